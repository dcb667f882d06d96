//! The root context of any filter: one plugin configuration on one worker.

use crate::gate::{Gate, keep, take_answer};
use doorward_host::{Context, ContextType, HostError, HttpContext, RootContext};
use std::cell::RefCell;
use std::rc::Rc;

/// A gate that requests share; none until a configuration was accepted. It is borrowed for the length of one callback, and callbacks do
/// not nest.
pub type SharedGate<G> = Option<Rc<RefCell<G>>>;

/// What is a filter's own.
pub trait Filter: Gate + Sized + 'static {
    /// Reads the configuration, for the root context `root_id`; `None` if it has faults, each of which is in the log then.
    ///
    /// Called in `on_configure`.
    ///
    /// # Errors
    /// If a hostcall fails: the filter then does not load.
    fn configure(root_id: u32) -> Result<Option<Self>, HostError>;

    /// The context of one request. Without a gate it must be refused.
    fn http_context(id: u32, gate: SharedGate<Self>) -> Box<dyn HttpContext>;
}

/// The root context.
pub struct Root<F> {
    id: u32,
    gate: SharedGate<F>,
}

impl<F: Filter> Root<F> {
    /// The root context of this id, before its configuration.
    pub fn new(id: u32) -> Self {
        Self { id, gate: None }
    }

    /// Has the gate do something, if there is one.
    fn with_gate(&self, act: impl FnOnce(&mut F) -> Result<(), HostError>) -> Result<(), HostError> {
        match self.gate.as_ref().map(|gate| gate.try_borrow_mut()) {
            Some(Ok(mut gate)) => act(&mut gate),
            Some(Err(_)) | None => Ok(()),
        }
    }
}

impl<F: Filter> RootContext for Root<F> {
    fn on_configure(&mut self, _plugin_configuration_size: usize) -> bool {
        self.gate = match F::configure(self.id) {
            Ok(gate) => gate.map(|gate| Rc::new(RefCell::new(gate))),
            Err(error) => {
                log::error!("the configuration could not be taken: {error}");
                None
            }
        };
        self.gate.is_some()
    }

    fn on_tick(&mut self) {
        if let Err(error) = self.with_gate(keep) {
            log::error!("on a tick: {error}");
        }
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(F::http_context(context_id, self.gate.clone()))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl<F: Filter> Context for Root<F> {
    fn on_http_call_response(
        &mut self,
        token_id: u32,
        num_headers: usize,
        body_size: usize,
        _num_trailers: usize,
    ) {
        let taken = self.with_gate(|gate| take_answer(gate, token_id, num_headers, body_size));
        if let Err(error) = taken {
            log::error!("the answer to a call could not be taken: {error}");
        }
    }
}
