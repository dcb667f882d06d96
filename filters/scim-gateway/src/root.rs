//! One plugin configuration on one worker: reads it, and keeps what JWTs are judged by on a tick.

use crate::gate::Gate;
use crate::http::Http;
use doorward::config::Config;
use doorward_effects::{keep, read_configuration, take_answer};
use doorward_host::{Context, ContextType, HostError, HttpContext, RootContext, random};
use std::cell::RefCell;
use std::rc::Rc;

/// The root context.
pub(crate) struct Root {
    id: u32,
    /// `None` until a configuration was accepted.
    gate: Option<Rc<RefCell<Gate>>>,
}

impl Root {
    pub(crate) fn new(id: u32) -> Self {
        Self { id, gate: None }
    }

    fn configure(&mut self) -> Result<(), HostError> {
        let Some((config, text)) = read_configuration(Config::load_with_scim)? else { return Ok(()) };
        if let Some((policy, authn)) = config.into_gateway(random::number()) {
            let gate = Gate::new(self.id, policy, authn, &text)?;
            self.gate = Some(Rc::new(RefCell::new(gate)));
        }
        Ok(())
    }

    /// Has the gate do something, if there is one. It is borrowed for the length of one callback, and callbacks do not nest.
    fn with_gate(&self, act: impl FnOnce(&mut Gate) -> Result<(), HostError>) -> Result<(), HostError> {
        match self.gate.as_ref().map(|gate| gate.try_borrow_mut()) {
            Some(Ok(mut gate)) => act(&mut gate),
            Some(Err(_)) | None => Ok(()),
        }
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _plugin_configuration_size: usize) -> bool {
        if let Err(error) = self.configure() {
            log::error!("the configuration could not be taken: {error}");
            self.gate = None;
        }
        self.gate.is_some()
    }

    fn on_tick(&mut self) {
        if let Err(error) = self.with_gate(keep) {
            log::error!("on a tick: {error}");
        }
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Http::new(context_id, self.gate.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Root {
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
