//! What operators count. Envoy shows each as `wasmcustom.doorward.jwt_authn.…`:
//!
//! | metric | kind | counts |
//! |---|---|---|
//! | `allowed.PROVIDER` | counter | requests that passed |
//! | `denied.PROVIDER.CODE` | counter | denials |
//! | `reported.PROVIDER.CODE` | counter | denials that `enforce: report` let through |
//! | `keys.PROVIDER.fetched`, `keys.PROVIDER.failed` | counter | key fetches of this proxy, by outcome |
//! | `keys.PROVIDER.age_seconds` | gauge | age of the keys in force |
//! | `keys.PROVIDER.count` | gauge | how many keys are in force |
//! | `introspection.PROVIDER.called`, `introspection.PROVIDER.failed` | counter | calls about opaque tokens, and those that told nothing |
//! | `introspection.PROVIDER.hit` | counter | requests answered from what was known |
//! | `introspection.PROVIDER.cached` | gauge | answers kept, by all workers |
//! | `verification_microseconds.BACKEND.ALGORITHM` | histogram | time for one signature; up to 100 a tick and worker are taken |
//! | `token_cache.hit`, `token_cache.miss`, `token_cache.evicted` | counter | requests whose token was judged before, and others; tokens that made room |
//! | `token_cache.entries`, `token_cache.bytes` | gauge | what the caches of all workers hold |
//! | `waiting` | gauge | requests that wait for keys or for an answer about their token, on all workers |
//!
//! PROVIDER is whose token it was, and `-` where there was none or it was not known. BACKEND is who checks signatures: `host`
//! is the proxy, `sandbox` is pure Rust in the VM.
//! Counts are kept in the VM and handed over on the tick: a request costs no hostcall for them.

use crate::backend::Backend;
use doorward::authn::CacheCounts;
use doorward::authn::decision::{Decision, Reported};
use doorward::authn::rejection::Denial;
use doorward::jose::Algorithm;
use doorward::oauth::IntrospectionCounts;
use doorward::policy::ProviderId;
use doorward_host::HostError;
use doorward_host::metrics::{Counter, Gauge, Histogram};
use std::collections::BTreeMap;
use std::time::Duration;

const PREFIX: &str = "doorward.jwt_authn";

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Allowed(Option<ProviderId>),
    Denied(Option<ProviderId>, Denial),
    Reported(Option<ProviderId>, Denial),
    KeysFetched(ProviderId),
    KeysFailed(ProviderId),
    IntrospectionCalled(ProviderId),
    IntrospectionFailed(ProviderId),
    IntrospectionHit(ProviderId),
    CacheHit,
    CacheMiss,
    CacheEvicted,
}

/// Times taken between two ticks, at most: each costs a hostcall.
const MAX_TIMES: usize = 100;

/// Counts not handed over yet, and the counters to hand them to.
pub(crate) struct Metrics {
    /// Provider names as parts of metric names.
    providers: Vec<String>,
    counts: BTreeMap<Event, u64>,
    counters: BTreeMap<Event, Counter>,
    /// Gauges that one worker's word is good for, by name, with what was shown last.
    shown: BTreeMap<String, (Gauge, u64)>,
    /// Gauges that add up over workers, by name, with this worker's part.
    parts: BTreeMap<String, (Gauge, usize)>,
    /// Answers from what was known, as far as they were counted.
    hits: BTreeMap<ProviderId, u64>,
    /// What the cache has done, as far as it was counted.
    cache: CacheCounts,
    times: Vec<(Backend, Algorithm, Duration)>,
    histograms: BTreeMap<(Backend, Algorithm), Histogram>,
}

impl Metrics {
    /// Metrics for providers of these names, in the policy's order.
    pub(crate) fn new<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        Self {
            providers: names.map(part).collect(),
            counts: BTreeMap::new(),
            counters: BTreeMap::new(),
            shown: BTreeMap::new(),
            parts: BTreeMap::new(),
            hits: BTreeMap::new(),
            cache: CacheCounts::default(),
            times: Vec::new(),
            histograms: BTreeMap::new(),
        }
    }

    pub(crate) fn count_decision(&mut self, decision: &Decision<'_>) {
        self.count(match decision {
            Decision::Forward(forward) => match &forward.reported {
                Some(Reported { denial, provider, .. }) => Event::Reported(*provider, *denial),
                None => Event::Allowed(forward.provider),
            },
            Decision::Reject(reply) => Event::Denied(reply.provider, reply.denial),
        });
    }

    /// A denial that the core did not make: a hostcall failed.
    pub(crate) fn count_internal_error(&mut self) {
        self.count(Event::Denied(None, Denial::InternalError));
    }

    pub(crate) fn count_fetch(&mut self, provider: ProviderId, succeeded: bool) {
        self.count(if succeeded { Event::KeysFetched(provider) } else { Event::KeysFailed(provider) });
    }

    pub(crate) fn count_introspection(&mut self, provider: ProviderId) {
        self.count(Event::IntrospectionCalled(provider));
    }

    pub(crate) fn count_failed_introspection(&mut self, provider: ProviderId) {
        self.count(Event::IntrospectionFailed(provider));
    }

    /// Whether more times are taken before the next tick: to measure one costs two hostcalls.
    pub(crate) fn wants_times(&self) -> bool {
        self.times.len() < MAX_TIMES
    }

    pub(crate) fn time_verification(&mut self, backend: Backend, algorithm: Algorithm, time: Duration) {
        self.times.push((backend, algorithm, time));
    }

    fn count(&mut self, event: Event) {
        self.add(event, 1);
    }

    fn add(&mut self, event: Event, more: u64) {
        let count = self.counts.entry(event).or_default();
        *count = count.saturating_add(more);
    }

    /// Hands counts and times over to the proxy.
    pub(crate) fn flush(&mut self) -> Result<(), HostError> {
        while let Some((event, count)) = self.counts.pop_first() {
            if count == 0 {
                continue;
            }
            let counter = match self.counters.get(&event) {
                Some(counter) => *counter,
                None => {
                    let counter = Counter::define(&self.name(event))?;
                    self.counters.insert(event, counter);
                    counter
                }
            };
            counter.increment(count)?;
        }
        for (backend, algorithm, time) in std::mem::take(&mut self.times) {
            let histogram = match self.histograms.get(&(backend, algorithm)) {
                Some(histogram) => *histogram,
                None => {
                    let name = format!("{PREFIX}.verification_microseconds.{}.{algorithm}", backend.name());
                    let histogram = Histogram::define(&name)?;
                    self.histograms.insert((backend, algorithm), histogram);
                    histogram
                }
            };
            histogram.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))?;
        }
        Ok(())
    }

    /// Shows how old the keys in force are, and how many.
    pub(crate) fn show_keys(
        &mut self,
        provider: ProviderId,
        age: Duration,
        count: usize,
    ) -> Result<(), HostError> {
        let prefix = format!("{PREFIX}.keys.{}", self.provider(provider));
        self.show(format!("{prefix}.age_seconds"), age.as_secs())?;
        self.show(format!("{prefix}.count"), u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// Shows how often answers were known, and how many are kept.
    pub(crate) fn show_introspection(
        &mut self,
        provider: ProviderId,
        counts: IntrospectionCounts,
        kept: usize,
    ) -> Result<(), HostError> {
        let counted = self.hits.insert(provider, counts.hits).unwrap_or_default();
        self.add(Event::IntrospectionHit(provider), counts.hits.saturating_sub(counted));
        self.show_part(format!("{PREFIX}.introspection.{}.cached", self.provider(provider)), kept)
    }

    /// Shows what the cache of judged tokens does and holds.
    pub(crate) fn show_cache(&mut self, counts: CacheCounts) -> Result<(), HostError> {
        let before = std::mem::replace(&mut self.cache, counts);
        self.add(Event::CacheHit, counts.hits.saturating_sub(before.hits));
        self.add(Event::CacheMiss, counts.misses.saturating_sub(before.misses));
        self.add(Event::CacheEvicted, counts.evictions.saturating_sub(before.evictions));
        self.show_part(format!("{PREFIX}.token_cache.entries"), counts.entries)?;
        self.show_part(format!("{PREFIX}.token_cache.bytes"), counts.bytes)
    }

    /// Shows how many requests wait.
    pub(crate) fn show_waiting(&mut self, waiting: usize) -> Result<(), HostError> {
        self.show_part(format!("{PREFIX}.waiting"), waiting)
    }

    /// On a fast tick most are still the same.
    fn show(&mut self, name: String, value: u64) -> Result<(), HostError> {
        let gauge = match self.shown.get(&name) {
            Some((_, shown)) if *shown == value => return Ok(()),
            Some((gauge, _)) => *gauge,
            None => Gauge::define(&name)?,
        };
        gauge.set(value)?;
        self.shown.insert(name, (gauge, value));
        Ok(())
    }

    fn show_part(&mut self, name: String, value: usize) -> Result<(), HostError> {
        let (gauge, shown) = match self.parts.get(&name) {
            Some((_, shown)) if *shown == value => return Ok(()),
            Some(known) => *known,
            None => (Gauge::define(&name)?, 0),
        };
        let signed = |count| i64::try_from(count).unwrap_or(i64::MAX);
        gauge.increment(signed(value).saturating_sub(signed(shown)))?;
        self.parts.insert(name, (gauge, value));
        Ok(())
    }

    fn name(&self, event: Event) -> String {
        let of = |provider: Option<ProviderId>| provider.map_or("-", |id| self.provider(id));
        match event {
            Event::Allowed(provider) => format!("{PREFIX}.allowed.{}", of(provider)),
            Event::Denied(provider, denial) => format!("{PREFIX}.denied.{}.{denial}", of(provider)),
            Event::Reported(provider, denial) => format!("{PREFIX}.reported.{}.{denial}", of(provider)),
            Event::KeysFetched(id) => format!("{PREFIX}.keys.{}.fetched", self.provider(id)),
            Event::KeysFailed(id) => format!("{PREFIX}.keys.{}.failed", self.provider(id)),
            Event::IntrospectionCalled(id) => format!("{PREFIX}.introspection.{}.called", self.provider(id)),
            Event::IntrospectionFailed(id) => format!("{PREFIX}.introspection.{}.failed", self.provider(id)),
            Event::IntrospectionHit(id) => format!("{PREFIX}.introspection.{}.hit", self.provider(id)),
            Event::CacheHit => format!("{PREFIX}.token_cache.hit"),
            Event::CacheMiss => format!("{PREFIX}.token_cache.miss"),
            Event::CacheEvicted => format!("{PREFIX}.token_cache.evicted"),
        }
    }

    fn provider(&self, id: ProviderId) -> &str {
        self.providers.get(id.0).map_or("unknown", String::as_str)
    }
}

/// A name as one part of a metric name: dots would make two of it.
fn part(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    name.chars().map(plain).collect()
}
