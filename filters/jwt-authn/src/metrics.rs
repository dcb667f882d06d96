//! What operators count. Envoy shows each as `wasmcustom.doorward.jwt_authn.…`:
//!
//! | metric | kind | counts |
//! |---|---|---|
//! | `allowed.PROVIDER` | counter | requests that passed |
//! | `denied.PROVIDER.CODE` | counter | denials |
//! | `reported.PROVIDER.CODE` | counter | denials that `enforce: report` let through |
//! | `keys.PROVIDER.fetched`, `keys.PROVIDER.failed` | counter | key fetches of this proxy, by outcome |
//! | `keys.PROVIDER.age_seconds` | gauge | age of the keys in force |
//!
//! PROVIDER is whose token it was, and `-` where there was none or it was not known.
//! Counts are kept in the VM and handed over on the tick: a request costs no hostcall for them.

use doorward::authn::decision::{Decision, Reported};
use doorward::authn::rejection::Denial;
use doorward::policy::ProviderId;
use doorward_host::HostError;
use doorward_host::metrics::{Counter, Gauge};
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
}

/// Counts not handed over yet, and the counters to hand them to.
pub(crate) struct Metrics {
    /// Provider names as parts of metric names.
    providers: Vec<String>,
    counts: BTreeMap<Event, u64>,
    counters: BTreeMap<Event, Counter>,
    /// The age last shown, in seconds, and where: on a fast tick it is still the same.
    ages: BTreeMap<ProviderId, (Gauge, u64)>,
}

impl Metrics {
    /// Metrics for providers of these names, in the policy's order.
    pub(crate) fn new<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let providers = names.map(part).collect();
        Self { providers, counts: BTreeMap::new(), counters: BTreeMap::new(), ages: BTreeMap::new() }
    }

    pub(crate) fn count_decision(&mut self, decision: &Decision<'_>) {
        self.count(match decision {
            Decision::Forward(forward) => match forward.reported {
                Some(Reported { denial, provider, .. }) => Event::Reported(provider, denial),
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

    fn count(&mut self, event: Event) {
        let count = self.counts.entry(event).or_default();
        *count = count.saturating_add(1);
    }

    /// Hands the counts over to the proxy.
    pub(crate) fn flush(&mut self) -> Result<(), HostError> {
        while let Some((event, count)) = self.counts.pop_first() {
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
        Ok(())
    }

    /// Shows how old the keys in force are.
    pub(crate) fn show_age(&mut self, provider: ProviderId, age: Duration) -> Result<(), HostError> {
        let seconds = age.as_secs();
        let gauge = match self.ages.get(&provider) {
            Some((_, shown)) if *shown == seconds => return Ok(()),
            Some((gauge, _)) => *gauge,
            None => Gauge::define(&format!("{PREFIX}.keys.{}.age_seconds", self.provider(provider)))?,
        };
        gauge.set(seconds)?;
        self.ages.insert(provider, (gauge, seconds));
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
