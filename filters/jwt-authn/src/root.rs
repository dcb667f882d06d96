//! One plugin configuration on one worker: reads it, and keeps its keys on a tick.

use crate::gate::{FAST_TICK, Gate, SLOW_TICK};
use crate::http::Http;
use crate::keys::KeyKeeper;
use doorward::config::Config;
use doorward::policy::ProviderId;
use doorward_host::callout::HttpCallResponse;
use doorward_host::{Context, ContextType, HostError, HttpContext, RootContext, buffer, clock, random};
use std::cell::RefCell;
use std::rc::Rc;

/// The root context.
pub(crate) struct Root {
    id: u32,
    /// `None` until a configuration was accepted.
    configured: Option<Configured>,
}

struct Configured {
    gate: Rc<RefCell<Gate>>,
    keys: KeyKeeper,
}

impl Root {
    pub(crate) fn new(id: u32) -> Self {
        Self { id, configured: None }
    }

    fn configure(&mut self) -> Result<(), HostError> {
        let text = buffer::plugin_configuration()?;
        match Config::load(&text) {
            Ok(config) => {
                let mut gate = Gate::new(self.id, config.into_authn(random::number()));
                // Calls cannot be made from here: the first fetch waits for the first tick.
                gate.set_tick(FAST_TICK)?;
                let gate = Rc::new(RefCell::new(gate));
                self.configured = Some(Configured { gate, keys: KeyKeeper::new(&text) });
                Ok(())
            }
            Err(error) => {
                log::error!(
                    "the configuration has {} fault(s); the filter does not load",
                    error.faults().len()
                );
                for fault in error.faults() {
                    log::error!("configuration: {fault}");
                }
                if !text.trim_ascii_start().starts_with(b"{") {
                    // Envoy hands over a google.protobuf.Struct as protobuf, not as JSON.
                    log::error!("configuration: expected JSON text in a google.protobuf.StringValue");
                }
                Ok(())
            }
        }
    }

    fn keep_keys(&mut self) -> Result<(), HostError> {
        let Some(Configured { gate, keys }) = &mut self.configured else { return Ok(()) };
        let Ok(mut gate) = gate.try_borrow_mut() else { return Ok(()) };
        let now = clock::now()?;
        let Gate { authn, metrics, .. } = &mut *gate;
        let adopted = keys.adopt(authn, now)?;
        let ended = keys.fetch(authn, metrics, now)?;
        for (index, machine) in authn.key_sets().iter().enumerate() {
            if let Some(age) = machine.age(now) {
                metrics.show_age(ProviderId(index), age)?;
            }
        }
        if adopted || ended {
            gate.admit_waiting();
        } else {
            gate.admit_overdue(now);
        }
        let tick =
            if gate.has_waiting() || KeyKeeper::is_pending(&gate.authn, now) { FAST_TICK } else { SLOW_TICK };
        gate.metrics.flush()?;
        gate.set_tick(tick)
    }

    fn take_answer(&mut self, call: u32, num_headers: usize, body_size: usize) -> Result<(), HostError> {
        let Some(Configured { gate, keys }) = &mut self.configured else { return Ok(()) };
        let Ok(mut gate) = gate.try_borrow_mut() else { return Ok(()) };
        let now = clock::now()?;
        let response = HttpCallResponse::read(num_headers, body_size)?;
        let Gate { authn, metrics, .. } = &mut *gate;
        if keys.answer(authn, metrics, now, call, response.as_ref())? {
            gate.admit_waiting();
        }
        Ok(())
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _plugin_configuration_size: usize) -> bool {
        if let Err(error) = self.configure() {
            log::error!("the configuration could not be taken: {error}");
            self.configured = None;
        }
        self.configured.is_some()
    }

    fn on_tick(&mut self) {
        if let Err(error) = self.keep_keys() {
            log::error!("keys: {error}");
        }
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        let gate = self.configured.as_ref().map(|configured| Rc::clone(&configured.gate));
        Some(Box::new(Http::new(context_id, gate)))
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
        if let Err(error) = self.take_answer(token_id, num_headers, body_size) {
            log::error!("keys: {error}");
        }
    }
}
