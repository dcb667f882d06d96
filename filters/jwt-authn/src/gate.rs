//! Performs what the core decides, and keeps the requests that wait for keys or for an answer about their token.

use crate::backend::Backends;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::proofs;
use doorward::authn::decision::{Decision, Forward, LocalReply};
use doorward::authn::rejection::internal_error;
use doorward::authn::{Authn, Awaited, LogLine, Outcome, Step};
use doorward::http::RequestHead;
use doorward::jose::crypto::{SignatureJob, Verdict};
use doorward::oauth::certificate_digest;
use doorward::time::UnixTime;
use doorward_host::clock::Stopwatch;
use doorward_host::headers::{self, RequestHeaders};
use doorward_host::{HostError, clock, property, reply, stream};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a request waits: for the first keys of its provider, one that its provider may just have published, or an answer
/// about its token.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Filter state is `wasm.` and this.
const STATE: &str = "doorward";
/// How many requests wait at most; each holds a connection.
const MAX_WAITING: usize = 10_000;

/// The tick while a call is to be made about a token: it cannot be made from a request, whose end would end it.
const URGENT_TICK: Duration = Duration::from_millis(1);
/// The tick while keys are awaited: requests may be waiting too.
pub(crate) const FAST_TICK: Duration = Duration::from_millis(50);
/// The tick otherwise: refreshes are counted in minutes.
pub(crate) const SLOW_TICK: Duration = Duration::from_secs(1);

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It may go on to the upstream.
    Open,
    /// It was answered here.
    Answered,
    /// It waits.
    Waiting,
}

/// The decisions of one plugin configuration on one worker.
pub(crate) struct Gate {
    root_id: u32,
    pub(crate) authn: Authn,
    pub(crate) metrics: Metrics,
    backends: Backends,
    journal: Journal,
    tick: Duration,
    /// Waiting requests by context.
    waiting: BTreeMap<u32, Waiting>,
}

/// A request that waits.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    since: UnixTime,
    awaited: Awaited,
}

/// What the core made of a request whose effects were performed on the way.
enum Judgement<'r> {
    Decided(Decision<'r>),
    Waits(Awaited),
}

impl Gate {
    pub(crate) fn new(root_id: u32, authn: Authn) -> Self {
        let names = authn.policy().providers.iter().map(|provider| provider.name.as_str());
        let metrics = Metrics::new(names);
        let backends = Backends::probe();
        Self {
            root_id,
            authn,
            metrics,
            backends,
            journal: Journal::default(),
            tick: Duration::ZERO,
            waiting: BTreeMap::new(),
        }
    }

    /// Judges the request of the current context and performs the decision.
    pub(crate) fn admit(&mut self, context_id: u32) -> Passage {
        let passage = self.try_admit(context_id).unwrap_or_else(|error| {
            log::error!("a request was denied because of a failed hostcall: {error}");
            self.metrics.count_internal_error();
            deny()
        });
        if passage != Passage::Waiting {
            self.waiting.remove(&context_id);
        }
        passage
    }

    fn try_admit(&mut self, context_id: u32) -> Result<Passage, HostError> {
        let now = clock::now()?;
        let received = RequestHeaders::read()?;
        let fields = received.fields()?;
        let since = self.waiting.get(&context_id).map(|waiting| waiting.since);
        let may_wait = match since {
            Some(since) => !is_overdue(since, now),
            None => self.waiting.len() < MAX_WAITING,
        };
        let head = RequestHead::new(&fields);
        let Self { authn, metrics, backends, .. } = self;
        let decision = match judge(authn, |job| verify(backends, metrics, job), now, head, may_wait)? {
            Judgement::Decided(decision) => decision,
            Judgement::Waits(awaited) => {
                self.waiting.insert(context_id, Waiting { since: since.unwrap_or(now), awaited });
                // What it waits for starts with the next tick.
                self.set_tick(match awaited {
                    Awaited::Keys(_) => FAST_TICK,
                    Awaited::Introspection(..) => URGENT_TICK,
                })?;
                return Ok(Passage::Waiting);
            }
        };
        let passage = match &decision {
            Decision::Forward(forward) => {
                self.forward(now, &head, forward)?;
                Passage::Open
            }
            Decision::Reject(reply) => {
                self.journal.write(self.authn.policy(), now, &head, &LogLine::denied(reply));
                answer(reply)
            }
        };
        self.metrics.count_decision(&decision);
        Ok(passage)
    }

    fn forward(
        &mut self,
        now: UnixTime,
        head: &RequestHead<'_>,
        forward: &Forward<'_>,
    ) -> Result<(), HostError> {
        headers::apply(forward.all())?;
        let policy = self.authn.policy();
        for (name, value) in forward.state.iter() {
            property::set(&format!("{STATE}.{name}"), value.as_bytes())?;
        }
        if let Some(provider) = forward.provider.and_then(|id| policy.provider(id))
            && policy.filter_state.names().next().is_some()
        {
            property::set(&format!("{STATE}.provider"), provider.name.as_bytes())?;
        }
        if let Some(reported) = &forward.reported {
            // What an unenforced rule would have denied is for access logs too.
            property::set(&format!("{STATE}.reported"), reported.denial.code().as_bytes())?;
            self.journal.write(policy, now, head, &LogLine::reported(reported));
        }
        Ok(())
    }

    /// Judges every request again that waits for keys: a fetch has ended.
    pub(crate) fn admit_waiting_for_keys(&mut self) {
        let waiting = self.waiting.iter().filter(|(_, waiting)| matches!(waiting.awaited, Awaited::Keys(_)));
        self.admit_again(waiting.map(|(id, _)| *id).collect());
    }

    /// Judges every request again that waits for one of these.
    pub(crate) fn admit_waiting_for(&mut self, known: &[Awaited]) {
        let waiting = self.waiting.iter().filter(|(_, waiting)| known.contains(&waiting.awaited));
        self.admit_again(waiting.map(|(id, _)| *id).collect());
    }

    /// Judges the requests again that have waited long enough. Without news the others would only wait on, and judging ten
    /// thousand of them at each tick would leave the worker no time for anything else.
    pub(crate) fn admit_overdue(&mut self, now: UnixTime) {
        let overdue = self.waiting.iter().filter(|(_, waiting)| is_overdue(waiting.since, now));
        self.admit_again(overdue.map(|(id, _)| *id).collect());
    }

    fn admit_again(&mut self, ids: Vec<u32>) {
        if ids.is_empty() {
            return;
        }
        for id in ids {
            let outcome = stream::with_effective_context(id, self.root_id, || self.admit(id));
            let resumed = match outcome {
                Ok(Passage::Open) => stream::continue_request(id),
                Ok(Passage::Answered | Passage::Waiting) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = resumed {
                // The stream is gone: its client has left.
                log::debug!("a waiting request could not be resumed: {error}");
                self.waiting.remove(&id);
            }
        }
        if let Err(error) = stream::set_effective_context(self.root_id) {
            log::error!("the root context could not be restored: {error}");
        }
    }

    /// Has the root context called this often, if it is not already.
    pub(crate) fn set_tick(&mut self, tick: Duration) -> Result<(), HostError> {
        if self.tick != tick {
            clock::set_tick_period(tick)?;
            self.tick = tick;
        }
        Ok(())
    }

    /// Forgets a request that is over.
    pub(crate) fn forget(&mut self, context_id: u32) {
        self.waiting.remove(&context_id);
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// Whether a request has waited long enough, or the clock was set back while it did.
fn is_overdue(since: UnixTime, now: UnixTime) -> bool {
    now < since || now.saturating_since(since) >= MAX_WAIT
}

/// The core's effects, performed: the one `match` over them.
fn judge<'r>(
    authn: &mut Authn,
    mut verify: impl FnMut(&SignatureJob<'_>) -> Result<Verdict, HostError>,
    now: UnixTime,
    head: RequestHead<'r>,
    may_wait: bool,
) -> Result<Judgement<'r>, HostError> {
    let mut step = authn.begin(now, head);
    loop {
        let (pending, outcome) = match step {
            Step::Decide(decision) => return Ok(Judgement::Decided(decision)),
            Step::VerifySignature(job, pending) => (pending, Outcome::Signature(verify(&job)?)),
            Step::Await(awaited, _) if may_wait => return Ok(Judgement::Waits(awaited)),
            Step::Await(_, pending) => (pending, Outcome::Unavailable),
            Step::ReadCertificate(pending) => (pending, Outcome::Certificate(client_certificate()?)),
            Step::RecordProof(record, pending) => (pending, Outcome::Proof(proofs::record(record, now)?)),
        };
        step = authn.resume(now, *pending, outcome);
    }
}

fn verify(
    backends: &mut Backends,
    metrics: &mut Metrics,
    job: &SignatureJob<'_>,
) -> Result<Verdict, HostError> {
    let watch = metrics.wants_times().then(Stopwatch::start).transpose()?;
    let (verdict, backend) = backends.verify(job);
    if let Some(watch) = watch {
        metrics.time_verification(backend, job.algorithm, watch.elapsed()?);
    }
    Ok(verdict)
}

/// The SHA-256 of the certificate that the client has shown in its TLS handshake.
fn client_certificate() -> Result<Option<[u8; 32]>, HostError> {
    let digest = property::get(&["connection", "sha256_peer_certificate_digest"])?;
    Ok(digest.and_then(|text| certificate_digest(&text)))
}

/// Answers a request that cannot be judged.
pub(crate) fn deny() -> Passage {
    answer(&internal_error())
}

/// Answers the client. Should even that fail, the request stays paused until a timeout ends it: it never passes.
fn answer(decided: &LocalReply) -> Passage {
    let headers: Vec<(&str, &str)> =
        decided.headers.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let details = format!("doorward_{}", decided.denial.code());
    let reply = reply::LocalReply {
        status: decided.status,
        details: &details,
        headers: &headers,
        body: decided.body.as_bytes(),
    };
    if let Err(error) = reply.send() {
        log::error!("a denial could not be sent: {error}");
    }
    Passage::Answered
}
