//! Envoy HTTP filter: takes SCIM calls at the edge, and forwards clean ones to a backing store.
//!
//! Registration only. What is decided is the core's (`gateway`, `authn`, `scim`); what is performed is in `gate`; the proxy's
//! callbacks come in at `root` and `http`.

mod call;
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
