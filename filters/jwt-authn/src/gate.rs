//! Performs what the core decides, and keeps the requests that wait for keys.

use crate::metrics::Metrics;
use doorward::authn::decision::{Decision, LocalReply, Reported};
use doorward::authn::rejection::internal_error;
use doorward::authn::{Authn, Outcome, Step};
use doorward::http::RequestHead;
use doorward::jose::crypto;
use doorward::time::UnixTime;
use doorward_host::headers::{self, RequestHeaders};
use doorward_host::{HostError, clock, property, reply, stream};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a request waits for keys: the first of its provider, or one that its provider may just have published.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How many requests wait at most; each holds a connection.
const MAX_WAITING: usize = 10_000;

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
    /// It waits for keys.
    Waiting,
}

/// The decisions of one plugin configuration on one worker.
pub(crate) struct Gate {
    root_id: u32,
    pub(crate) authn: Authn,
    pub(crate) metrics: Metrics,
    tick: Duration,
    /// Waiting requests by context, with the instant since when.
    waiting: BTreeMap<u32, UnixTime>,
}

/// What the core made of a request whose signatures were checked on the way.
enum Judgement<'r> {
    Decided(Decision<'r>),
    KeysPending,
}

impl Gate {
    pub(crate) fn new(root_id: u32, authn: Authn) -> Self {
        let names = authn.policy().providers.iter().map(|provider| provider.name.as_str());
        let metrics = Metrics::new(names);
        Self { root_id, authn, metrics, tick: Duration::ZERO, waiting: BTreeMap::new() }
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
        let since = self.waiting.get(&context_id).copied();
        let may_wait = match since {
            Some(since) => !is_overdue(since, now),
            None => self.waiting.len() < MAX_WAITING,
        };
        let head = RequestHead::new(&fields);
        let Judgement::Decided(decision) = judge(&mut self.authn, now, head, may_wait) else {
            self.waiting.entry(context_id).or_insert(now);
            // The fetch that it waits for starts with the next tick.
            self.set_tick(FAST_TICK)?;
            return Ok(Passage::Waiting);
        };
        let passage = match &decision {
            Decision::Forward(forward) => {
                headers::apply(forward.all())?;
                if let Some(reported) = &forward.reported {
                    self.report(reported)?;
                }
                Passage::Open
            }
            Decision::Reject(reply) => answer(reply),
        };
        self.metrics.count_decision(&decision);
        Ok(passage)
    }

    /// Says what an unenforced rule would have denied: in the log, and as `wasm.doorward.reported` in filter state, for
    /// access logs.
    fn report(&self, reported: &Reported) -> Result<(), HostError> {
        let provider = reported.provider.and_then(|id| self.authn.policy().provider(id));
        let provider = provider.map_or("-", |provider| &provider.name);
        let (code, rule) = (reported.denial.code(), reported.rule);
        log::info!("reported, not denied: code={code} rule={rule} provider={provider:?}");
        property::set("doorward.reported", code.as_bytes())
    }

    /// Judges every waiting request again: a fetch has ended.
    pub(crate) fn admit_waiting(&mut self) {
        self.admit_again(self.waiting.keys().copied().collect());
    }

    /// Judges the requests again that have waited long enough. Without news the others would only wait on, and judging ten
    /// thousand of them at each tick would leave the worker no time for anything else.
    pub(crate) fn admit_overdue(&mut self, now: UnixTime) {
        let overdue = self.waiting.iter().filter(|(_, since)| is_overdue(**since, now));
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

    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// Whether a request has waited long enough, or the clock was set back while it did.
fn is_overdue(since: UnixTime, now: UnixTime) -> bool {
    now < since || now.saturating_since(since) >= MAX_WAIT
}

/// The core's effects, performed: the one `match` over them.
fn judge<'r>(authn: &mut Authn, now: UnixTime, head: RequestHead<'r>, may_wait: bool) -> Judgement<'r> {
    let mut step = authn.begin(now, head);
    loop {
        step = match step {
            Step::Decide(decision) => return Judgement::Decided(decision),
            Step::VerifySignature(job, pending) => {
                authn.resume(now, *pending, Outcome::Signature(crypto::verify(&job)))
            }
            Step::AwaitKeys(_, _) if may_wait => return Judgement::KeysPending,
            Step::AwaitKeys(_, pending) => authn.resume(now, *pending, Outcome::KeysUnavailable),
        }
    }
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
