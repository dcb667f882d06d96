//! Envoy HTTP filter: validates JWTs and sets identity headers.
//!
//! Registration only. What is decided is the core's; how it comes to a decision is in `doorward_effects`; what is performed of it is
//! in `gate`; the proxy's callbacks come in at `http`, and those of the root context at
//! `doorward_effects::Root`.

mod gate;
mod http;
mod metrics;
#[cfg(test)]
mod tests;

mod entry {
    doorward_host::main! {{
        doorward_host::logger::set_log_level(doorward_host::LogLevel::Info);
        doorward_host::set_root_context(|id| Box::new(doorward_effects::Root::<crate::gate::Gate>::new(id)));
    }}
}
