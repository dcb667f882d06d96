//! One plugin configuration on one worker: reads it, and fetches keys on a tick.

use crate::gate::Gate;
use crate::http::Http;
use doorward::config::Config;
use doorward::oidc::{
    Fetch, FetchError, FetchResponse, FetchResult, KeySetMachine, KeySetState, KeySetUpdate,
};
use doorward::policy::ProviderId;
use doorward_host::callout::{HttpCall, HttpCallResponse};
use doorward_host::{Context, ContextType, HostError, HttpContext, RootContext, buffer, clock};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// While keys are awaited: requests may be waiting too.
const FAST_TICK: Duration = Duration::from_millis(50);
/// Otherwise: refreshes are counted in minutes.
const SLOW_TICK: Duration = Duration::from_secs(1);

/// The root context.
pub(crate) struct Root {
    id: u32,
    /// `None` until a configuration was accepted.
    gate: Option<Rc<RefCell<Gate>>>,
    /// Fetches that are out, by the token of their call.
    calls: HashMap<u32, ProviderId>,
    tick: Duration,
}

impl Root {
    pub(crate) fn new(id: u32) -> Self {
        Self { id, gate: None, calls: HashMap::new(), tick: Duration::ZERO }
    }

    fn configure(&mut self) -> Result<(), HostError> {
        let text = buffer::plugin_configuration()?;
        match Config::load(&text) {
            Ok(config) => {
                let authn = config.into_authn();
                self.gate = Some(Rc::new(RefCell::new(Gate::new(self.id, authn))));
                // Calls cannot be made from here: the first fetch waits for the first tick.
                self.set_tick(FAST_TICK)
            }
            Err(error) => {
                log::error!(
                    "the configuration has {} fault(s); the filter does not load",
                    error.faults().len()
                );
                for fault in error.faults() {
                    log::error!("configuration: {fault}");
                }
                Ok(())
            }
        }
    }

    fn set_tick(&mut self, tick: Duration) -> Result<(), HostError> {
        if self.tick != tick {
            clock::set_tick_period(tick)?;
            self.tick = tick;
        }
        Ok(())
    }

    fn fetch_keys(&mut self) -> Result<(), HostError> {
        let Some(gate) = self.gate.clone() else { return Ok(()) };
        let Ok(mut gate) = gate.try_borrow_mut() else { return Ok(()) };
        let now = clock::now()?;
        for (provider, fetch) in gate.authn.poll_fetches(now) {
            match dispatch(&fetch) {
                Ok(call) => {
                    self.calls.insert(call, provider);
                }
                Err(error) => {
                    log::warn!(
                        "keys: the call to cluster {:?} could not be made: {error}",
                        fetch.remote.cluster
                    );
                    take(&mut gate, provider, Err(FetchError::NoResponse))?;
                }
            }
        }
        if gate.has_waiting() {
            gate.admit_waiting();
        }
        let mut providers = (0..gate.authn.policy().providers.len()).map(ProviderId);
        let is_pending = providers.any(|id| matches!(gate.authn.keys(now, id), KeySetState::Pending));
        let tick = if is_pending || gate.has_waiting() { FAST_TICK } else { SLOW_TICK };
        drop(gate);
        self.set_tick(tick)
    }

    fn take_answer(&mut self, call: u32, num_headers: usize, body_size: usize) -> Result<(), HostError> {
        let Some(provider) = self.calls.remove(&call) else { return Ok(()) };
        let Some(Ok(mut gate)) = self.gate.as_ref().map(|gate| gate.try_borrow_mut()) else { return Ok(()) };
        let response = HttpCallResponse::read(num_headers, body_size)?;
        let Some((response, status)) =
            response.as_ref().and_then(|response| Some((response, response.status()?)))
        else {
            return take(&mut gate, provider, Err(FetchError::NoResponse));
        };
        // One byte more than the core takes, so that it is the core that says "too large".
        let body = match response.body(KeySetMachine::MAX_BODY_BYTES.saturating_add(1)) {
            Ok(body) => body,
            Err(HostError::TooLarge { .. }) => return take(&mut gate, provider, Err(FetchError::TooLarge)),
            Err(error) => return Err(error),
        };
        take(&mut gate, provider, Ok(FetchResponse { status, body: &body }))
    }
}

/// Envoy's name for a request to be made by the proxy: a callout.
fn dispatch(fetch: &Fetch) -> Result<u32, HostError> {
    let remote = &fetch.remote;
    HttpCall {
        cluster: &remote.cluster,
        method: "GET",
        path: &remote.path,
        authority: &remote.authority,
        headers: &[(":scheme", &remote.scheme), ("accept", "application/jwk-set+json, application/json")],
        body: &[],
        timeout: remote.timeout,
    }
    .dispatch()
}

/// Hands an answer to the core, says what came of it, and lets waiting requests try again.
fn take(gate: &mut Gate, provider: ProviderId, result: FetchResult<'_>) -> Result<(), HostError> {
    let update = gate.authn.handle_fetch(clock::now()?, provider, result);
    let name = gate.authn.policy().provider(provider).map_or("", |provider| &provider.name);
    match update {
        Some(KeySetUpdate::Fetched { keys, skipped }) => {
            log::info!("keys: provider {name:?} has {keys} key(s), {skipped} left out");
        }
        Some(KeySetUpdate::Failed(error)) => log::warn!("keys: provider {name:?}: {error}"),
        None => {}
    }
    gate.admit_waiting();
    Ok(())
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
        if let Err(error) = self.fetch_keys() {
            log::error!("keys: {error}");
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
        if let Err(error) = self.take_answer(token_id, num_headers, body_size) {
            log::error!("keys: {error}");
        }
    }
}
