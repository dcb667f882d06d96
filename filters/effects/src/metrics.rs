//! What operators count, whatever the filter. Envoy shows each as `wasmcustom.PREFIX.…`, with the filter's prefix:
//!
//! | metric | kind | counts |
//! |---|---|---|
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
//! BACKEND is who checks signatures: `host` is the proxy, `sandbox` is pure Rust in the VM. What a filter counts beside these it keeps
//! in [`Counts`] of its own, under the same [`Names`].
//! Counts are kept in the VM and handed over on the tick: a request costs no hostcall for them.

use crate::backend::Backend;
use doorward::authn::{AuthnPolicy, CacheCounts};
use doorward::jose::Algorithm;
use doorward::oauth::IntrospectionCounts;
use doorward::policy::ProviderId;
use doorward_host::HostError;
use doorward_host::metrics::{Counter, Gauge, Histogram};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    KeysFetched(ProviderId),
    KeysFailed(ProviderId),
    IntrospectionCalled(ProviderId),
    IntrospectionFailed(ProviderId),
    IntrospectionHit(ProviderId),
    CacheHit,
    CacheMiss,
    CacheEvicted,
}

impl Event {
    fn name(self, names: &Names) -> String {
        let prefix = names.prefix;
        let of = |id| names.provider(Some(id));
        match self {
            Self::KeysFetched(id) => format!("{prefix}.keys.{}.fetched", of(id)),
            Self::KeysFailed(id) => format!("{prefix}.keys.{}.failed", of(id)),
            Self::IntrospectionCalled(id) => format!("{prefix}.introspection.{}.called", of(id)),
            Self::IntrospectionFailed(id) => format!("{prefix}.introspection.{}.failed", of(id)),
            Self::IntrospectionHit(id) => format!("{prefix}.introspection.{}.hit", of(id)),
            Self::CacheHit => format!("{prefix}.token_cache.hit"),
            Self::CacheMiss => format!("{prefix}.token_cache.miss"),
            Self::CacheEvicted => format!("{prefix}.token_cache.evicted"),
        }
    }
}

/// Times taken between two ticks, at most: each costs a hostcall.
const MAX_TIMES: usize = 100;

/// What metrics are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    prefix: &'static str,
    /// Provider names as parts of metric names.
    providers: Vec<String>,
}

impl Names {
    /// Names that start with `prefix`, for the providers of this policy.
    pub fn new(prefix: &'static str, policy: &AuthnPolicy) -> Self {
        Self { prefix, providers: policy.providers.iter().map(|provider| part(&provider.name)).collect() }
    }

    /// What is in front of every name, without the dot.
    pub fn prefix(&self) -> &'static str {
        self.prefix
    }

    /// The provider's name as one part of a metric's; `-` for none.
    pub fn provider(&self, id: Option<ProviderId>) -> &str {
        let Some(id) = id else { return "-" };
        self.providers.get(id.0).map_or("unknown", String::as_str)
    }
}

/// Counts not handed over yet, by what is counted.
#[derive(Debug)]
pub struct Counts<E>(BTreeMap<E, Count>);

#[derive(Debug, Default)]
struct Count {
    more: u64,
    /// The counter to hand it to, once there was anything.
    counter: Option<Counter>,
}

impl<E> Default for Counts<E> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<E: Copy + Ord> Counts<E> {
    /// Counts one.
    pub fn count(&mut self, event: E) {
        self.add(event, 1);
    }

    /// Counts `more`.
    pub fn add(&mut self, event: E, more: u64) {
        let count = self.0.entry(event).or_default();
        count.more = count.more.saturating_add(more);
    }

    /// Hands the counts over to the proxy, each to the counter of that name.
    ///
    /// # Errors
    /// [`HostError::Status`] if the host refuses one; those after it are handed over the next time.
    pub fn flush(&mut self, name: impl Fn(E) -> String) -> Result<(), HostError> {
        for (event, count) in &mut self.0 {
            let more = std::mem::take(&mut count.more);
            if more == 0 {
                continue;
            }
            let counter = match count.counter {
                Some(counter) => counter,
                None => *count.counter.insert(Counter::define(&name(*event))?),
            };
            counter.increment(more)?;
        }
        Ok(())
    }
}

/// What every filter counts.
pub(crate) struct Metrics {
    pub(crate) names: Names,
    counts: Counts<Event>,
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
    pub(crate) fn new(names: Names) -> Self {
        Self {
            names,
            counts: Counts::default(),
            shown: BTreeMap::new(),
            parts: BTreeMap::new(),
            hits: BTreeMap::new(),
            cache: CacheCounts::default(),
            times: Vec::new(),
            histograms: BTreeMap::new(),
        }
    }

    pub(crate) fn count_fetch(&mut self, provider: ProviderId, succeeded: bool) {
        self.counts.count(if succeeded { Event::KeysFetched(provider) } else { Event::KeysFailed(provider) });
    }

    pub(crate) fn count_introspection(&mut self, provider: ProviderId) {
        self.counts.count(Event::IntrospectionCalled(provider));
    }

    pub(crate) fn count_failed_introspection(&mut self, provider: ProviderId) {
        self.counts.count(Event::IntrospectionFailed(provider));
    }

    /// Whether more times are taken before the next tick: to measure one costs two hostcalls.
    pub(crate) fn wants_times(&self) -> bool {
        self.times.len() < MAX_TIMES
    }

    pub(crate) fn time_verification(&mut self, backend: Backend, algorithm: Algorithm, time: Duration) {
        self.times.push((backend, algorithm, time));
    }

    /// Hands counts and times over to the proxy.
    pub(crate) fn flush(&mut self) -> Result<(), HostError> {
        self.counts.flush(|event| event.name(&self.names))?;
        for (backend, algorithm, time) in std::mem::take(&mut self.times) {
            let histogram = match self.histograms.get(&(backend, algorithm)) {
                Some(histogram) => *histogram,
                None => {
                    let name = format!(
                        "{}.verification_microseconds.{}.{algorithm}",
                        self.names.prefix,
                        backend.name()
                    );
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
        let prefix = format!("{}.keys.{}", self.names.prefix, self.names.provider(Some(provider)));
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
        self.counts.add(Event::IntrospectionHit(provider), counts.hits.saturating_sub(counted));
        let (prefix, provider) = (self.names.prefix, self.names.provider(Some(provider)));
        self.show_part(format!("{prefix}.introspection.{provider}.cached"), kept)
    }

    /// Shows what the cache of judged tokens does and holds.
    pub(crate) fn show_cache(&mut self, counts: CacheCounts) -> Result<(), HostError> {
        let before = std::mem::replace(&mut self.cache, counts);
        self.counts.add(Event::CacheHit, counts.hits.saturating_sub(before.hits));
        self.counts.add(Event::CacheMiss, counts.misses.saturating_sub(before.misses));
        self.counts.add(Event::CacheEvicted, counts.evictions.saturating_sub(before.evictions));
        let prefix = self.names.prefix;
        self.show_part(format!("{prefix}.token_cache.entries"), counts.entries)?;
        self.show_part(format!("{prefix}.token_cache.bytes"), counts.bytes)
    }

    /// Shows how many requests wait.
    pub(crate) fn show_waiting(&mut self, waiting: usize) -> Result<(), HostError> {
        self.show_part(format!("{}.waiting", self.names.prefix), waiting)
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
}

/// A name as one part of a metric name: dots would make two of it.
fn part(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    name.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward_host::fake;

    #[test]
    fn a_name_is_one_part_of_a_metrics_name() {
        let names = Names { prefix: "doorward.x", providers: vec![part("a.b-c/\u{e9}")] };
        assert_eq!(names.provider(Some(ProviderId(0))), "a_b-c__");
        assert_eq!(names.provider(Some(ProviderId(1))), "unknown");
        assert_eq!((names.provider(None), names.prefix()), ("-", "doorward.x"));
    }

    #[test]
    fn counts_are_handed_over_once_and_by_name() {
        fake::reset();
        let mut counts = Counts::default();
        let flush = |counts: &mut Counts<char>| counts.flush(|event| format!("doorward.x.{event}"));
        let shown = |name: &str| fake::with(|host| host.metric(&format!("doorward.x.{name}")).to_vec());
        counts.count('a');
        counts.add('b', 2);
        counts.add('c', 0);
        flush(&mut counts).unwrap();
        flush(&mut counts).unwrap();
        counts.count('a');
        flush(&mut counts).unwrap();
        assert_eq!((shown("a"), shown("b"), shown("c")), (vec![2], vec![2], vec![]));
        counts.count('a');
        counts.count('b');
        fake::with(|host| host.force("proxy_increment_metric", 10));
        assert!(flush(&mut counts).is_err());
        fake::with(|host| host.force("proxy_increment_metric", 0));
        flush(&mut counts).unwrap();
        assert_eq!((shown("a"), shown("b")), (vec![2], vec![3]), "what follows the one that failed");
    }
}
