//! One plugin configuration on one worker: reads it, keeps its keys and asks about tokens on a tick.

use crate::gate::{FAST_TICK, Gate, SLOW_TICK};
use crate::http::Http;
use crate::introspection::Introspector;
use crate::keys::KeyKeeper;
use crate::proofs;
use doorward::config::Config;
use doorward::oidc::KeySetState;
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
    introspector: Introspector,
}

impl Root {
    pub(crate) fn new(id: u32) -> Self {
        Self { id, configured: None }
    }

    fn configure(&mut self) -> Result<(), HostError> {
        let text = buffer::plugin_configuration()?;
        match Config::load_with_rules(&text) {
            Ok(config) => {
                let mut authn = config.into_authn(random::number());
                authn.share_secret(proofs::shared_secret()?);
                let mut gate = Gate::new(self.id, authn);
                // Calls cannot be made from here: the first fetch waits for the first tick.
                gate.set_tick(FAST_TICK)?;
                let gate = Rc::new(RefCell::new(gate));
                let (keys, introspector) = (KeyKeeper::new(&text), Introspector::default());
                self.configured = Some(Configured { gate, keys, introspector });
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

    fn keep(&mut self) -> Result<(), HostError> {
        let Some(Configured { gate, keys, introspector }) = &mut self.configured else { return Ok(()) };
        let Ok(mut gate) = gate.try_borrow_mut() else { return Ok(()) };
        let now = clock::now()?;
        let Gate { authn, metrics, .. } = &mut *gate;
        let known = introspector.ask(authn, metrics, now);
        let adopted = keys.adopt(authn, now)?;
        let ended = keys.fetch(authn, metrics, now)?;
        for (id, machine) in authn.key_sets() {
            if let (Some(age), KeySetState::Ready(set)) = (machine.age(now), machine.state(now)) {
                metrics.show_keys(id, age, set.keys().len())?;
            }
        }
        for (id, machine) in authn.introspections() {
            metrics.show_introspection(id, machine.counts(), machine.kept())?;
        }
        metrics.show_cache(authn.cache_counts())?;
        if adopted || ended {
            gate.admit_waiting_for_keys();
        }
        gate.admit_waiting_for(&known);
        gate.admit_overdue(now);
        let waiting = gate.waiting();
        let tick = if waiting > 0 || KeyKeeper::is_pending(&gate.authn, now) { FAST_TICK } else { SLOW_TICK };
        gate.metrics.show_waiting(waiting)?;
        gate.metrics.flush()?;
        gate.set_tick(tick)
    }

    fn take_answer(&mut self, call: u32, num_headers: usize, body_size: usize) -> Result<(), HostError> {
        let Some(Configured { gate, keys, introspector }) = &mut self.configured else { return Ok(()) };
        let Ok(mut gate) = gate.try_borrow_mut() else { return Ok(()) };
        let now = clock::now()?;
        let response = HttpCallResponse::read(num_headers, body_size)?;
        let Gate { authn, metrics, .. } = &mut *gate;
        if let Some(known) = introspector.answer(authn, metrics, now, call, response.as_ref())? {
            gate.admit_waiting_for(&[known]);
        } else if keys.answer(authn, metrics, now, call, response.as_ref())? {
            gate.admit_waiting_for_keys();
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
        if let Err(error) = self.keep() {
            log::error!("on a tick: {error}");
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
            log::error!("the answer to a call could not be taken: {error}");
        }
    }
}
