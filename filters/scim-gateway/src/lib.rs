//! Envoy HTTP filter: takes SCIM calls at the edge, and forwards clean ones to a backing store.
//!
//! Registration only. What is decided is the core's (`gateway`, `authn`, `scim`); what is performed is in `gate`; the proxy's
//! callbacks come in at `http`, and those of the root context at
//! `doorward_effects::Root`.

mod call;
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
