//! Envoy HTTP filter: validates JWTs and sets identity headers.
//!
//! Registration only. What is decided is the core's; how it comes to a decision is in `doorward_effects`; what is performed of it is
//! in `gate`; the proxy's callbacks come in at `root` and `http`.

mod gate;
mod http;
mod metrics;
mod root;
#[cfg(test)]
mod tests;

mod entry {
    doorward_host::main! {{
        doorward_host::logger::set_log_level(doorward_host::LogLevel::Info);
        doorward_host::set_root_context(|id| Box::new(crate::root::Root::new(id)));
    }}
}
