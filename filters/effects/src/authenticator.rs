//! One worker's authentication by one configuration.

use crate::backend::Backends;
use crate::introspection::Introspector;
use crate::keys::KeyKeeper;
use crate::metrics::{Metrics, Names};
use crate::proofs;
use crate::waiting::WaitingRequests;
use doorward::authn::decision::Decision;
use doorward::authn::{Authn, AuthnPolicy, Awaited, Outcome, Step, wait_left};
use doorward::jose::crypto::{SignatureJob, Verdict};
use doorward::oauth::certificate_digest;
use doorward::oidc::KeySetState;
use doorward::time::UnixTime;
use doorward_host::callout::HttpCallResponse;
use doorward_host::clock::{self, Stopwatch};
use doorward_host::{HostError, property};
use std::time::Duration;

/// The tick while a call is to be made about a token: it cannot be made from a request, whose end would end it.
const URGENT_TICK: Duration = Duration::from_millis(1);
/// The tick while keys are awaited: requests may be waiting too.
const FAST_TICK: Duration = Duration::from_millis(50);
/// The tick otherwise: refreshes are counted in minutes.
const SLOW_TICK: Duration = Duration::from_secs(1);

/// The core's machine, and all that its effects need.
pub struct Authenticator {
    /// The root context, whose tick and calls these are.
    pub(crate) root_id: u32,
    authn: Authn,
    backends: Backends,
    keys: KeyKeeper,
    introspector: Introspector,
    metrics: Metrics,
    waiting: WaitingRequests,
    tick: Duration,
}

/// What the core made of a request whose effects were performed on the way.
#[derive(Debug)]
pub enum Judgement<'r> {
    /// To be performed by the filter.
    Decided(Decision<'r>),
    /// The request stays paused: [`Gate::admit`](crate::Gate::admit) is called for it when there is news, or when it has waited
    /// long enough.
    Waits,
}

impl Authenticator {
    /// For the root context `root_id`, whose tick is set. Workers with the same `configuration`, in bytes, share their keys. `prefix`
    /// is in front of every metric, as `doorward.jwt_authn`.
    ///
    /// Allowed in `on_configure`.
    ///
    /// # Errors
    /// If the host has no randomness, no shared data or no tick.
    pub fn new(
        root_id: u32,
        mut authn: Authn,
        configuration: &[u8],
        prefix: &'static str,
    ) -> Result<Self, HostError> {
        authn.share_secret(proofs::shared_secret()?);
        let metrics = Metrics::new(Names::new(prefix, authn.policy()));
        let mut new = Self {
            root_id,
            authn,
            backends: Backends::probe(),
            keys: KeyKeeper::new(configuration),
            introspector: Introspector::default(),
            metrics,
            waiting: WaitingRequests::default(),
            tick: Duration::ZERO,
        };
        // Calls cannot be made from `on_configure`: the first fetch waits for the first tick.
        new.set_tick(FAST_TICK)?;
        Ok(new)
    }

    /// By what is judged.
    pub fn policy(&self) -> &AuthnPolicy {
        self.authn.policy()
    }

    /// What metrics are called.
    pub fn names(&self) -> &Names {
        &self.metrics.names
    }

    /// Judges the request of the current (or effective) context, which is `context_id`. `begin` has the machine begin with it, as by
    /// [`Authn::begin`], with the same `now`.
    ///
    /// # Errors
    /// If a hostcall fails: the request must then be answered and never go on.
    pub fn judge<'r>(
        &mut self,
        context_id: u32,
        now: UnixTime,
        begin: impl FnOnce(&mut Authn) -> Step<'r>,
    ) -> Result<Judgement<'r>, HostError> {
        let judgement = self.perform(context_id, now, begin);
        if !matches!(judgement, Ok(Judgement::Waits)) {
            self.waiting.remove(context_id);
        }
        judgement
    }

    /// Forgets a request that is over: its client may have left while it waited.
    pub fn forget(&mut self, context_id: u32) {
        self.waiting.remove(context_id);
    }

    /// The core's effects, performed: the one `match` over them.
    fn perform<'r>(
        &mut self,
        context_id: u32,
        now: UnixTime,
        begin: impl FnOnce(&mut Authn) -> Step<'r>,
    ) -> Result<Judgement<'r>, HostError> {
        let mut step = begin(&mut self.authn);
        loop {
            let (pending, outcome) = match step {
                Step::Decide(decision) => return Ok(Judgement::Decided(decision)),
                Step::VerifySignature(job, pending) => (pending, Outcome::Signature(self.verify(&job)?)),
                Step::Await(awaited, pending) => {
                    if self.waiting.admits(context_id, now) {
                        self.wait(context_id, now, awaited)?;
                        return Ok(Judgement::Waits);
                    }
                    (pending, Outcome::Unavailable)
                }
                Step::ReadCertificate(pending) => (pending, Outcome::Certificate(client_certificate()?)),
                Step::RecordProof(record, pending) => (pending, Outcome::Proof(proofs::record(record, now)?)),
            };
            step = self.authn.resume(now, *pending, outcome);
        }
    }

    fn wait(&mut self, context_id: u32, now: UnixTime, awaited: Awaited) -> Result<(), HostError> {
        self.waiting.insert(context_id, now, awaited);
        // What it waits for starts with the next tick.
        self.set_tick(match awaited {
            Awaited::Keys(_) => FAST_TICK,
            Awaited::Introspection(..) => URGENT_TICK,
        })
    }

    fn verify(&mut self, job: &SignatureJob<'_>) -> Result<Verdict, HostError> {
        let watch = self.metrics.wants_times().then(Stopwatch::start).transpose()?;
        let (verdict, backend) = self.backends.verify(job);
        if let Some(watch) = watch {
            self.metrics.time_verification(backend, job.algorithm, watch.elapsed()?);
        }
        Ok(verdict)
    }

    /// Keeps keys and asks about tokens. The requests to be judged again: those for which there is news, and those that have waited
    /// long enough. Without news the others would only wait on, and judging ten thousand of them at each tick would leave the worker
    /// no time for anything else.
    pub(crate) fn tick(&mut self, now: UnixTime) -> Result<Vec<u32>, HostError> {
        let Self { authn, metrics, keys, introspector, .. } = self;
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
        Ok(self.waiting.contexts(|waiting| {
            let news = match waiting.awaited {
                Awaited::Keys(_) => adopted || ended,
                Awaited::Introspection(..) => known.contains(&waiting.awaited),
            };
            news || wait_left(waiting.since, now).is_none()
        }))
    }

    /// Takes the answer to a call, if it is one of these. The requests to be judged again.
    pub(crate) fn answer(
        &mut self,
        now: UnixTime,
        call: u32,
        response: Option<&HttpCallResponse>,
    ) -> Result<Vec<u32>, HostError> {
        let Self { authn, metrics, keys, introspector, .. } = self;
        if let Some(known) = introspector.answer(authn, metrics, now, call, response)? {
            return Ok(self.waiting.contexts(|waiting| waiting.awaited == known));
        }
        if keys.answer(authn, metrics, now, call, response)? {
            return Ok(self.waiting.contexts(|waiting| matches!(waiting.awaited, Awaited::Keys(_))));
        }
        Ok(Vec::new())
    }

    /// Hands counts and times over to the proxy.
    pub(crate) fn flush(&mut self) -> Result<(), HostError> {
        self.metrics.show_waiting(self.waiting.len())?;
        self.metrics.flush()
    }

    /// Has the root context called again, as soon as there may be something to do.
    pub(crate) fn rest(&mut self, now: UnixTime) -> Result<(), HostError> {
        let awaits = self.waiting.len() > 0 || KeyKeeper::is_pending(&self.authn, now);
        self.set_tick(if awaits { FAST_TICK } else { SLOW_TICK })
    }

    /// Has the root context called this often, if it is not already.
    fn set_tick(&mut self, tick: Duration) -> Result<(), HostError> {
        if self.tick != tick {
            clock::set_tick_period(tick)?;
            self.tick = tick;
        }
        Ok(())
    }
}

/// The SHA-256 of the certificate that the client of the current (or effective) context has shown in its TLS handshake.
///
/// # Errors
/// If the host refuses to tell.
pub fn client_certificate() -> Result<Option<[u8; 32]>, HostError> {
    let digest = property::get(&["connection", "sha256_peer_certificate_digest"])?;
    Ok(digest.and_then(|text| certificate_digest(&text)))
}
