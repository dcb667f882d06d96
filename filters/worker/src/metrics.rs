//! What operators count, for one isolate: as text for Prometheus, and as data points where the platform takes them.
//! What is on the page is in `docs/worker.md`. The tokens of SCIM calls are judged by a machine of their own: where there are two, caches are
//! added up, and of keys the newest are shown.

use crate::scim::Scim;
use crate::web;
use doorward::authn::decision::{Decision, Reported};
use doorward::authn::rejection::Denial;
use doorward::authn::{Authn, CacheCounts};
use doorward::oidc::KeySetState;
use doorward::policy::ProviderId;
use doorward::time::UnixTime;
use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write;
use wasm_bindgen::JsValue;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Allowed(Option<ProviderId>),
    Denied(Option<ProviderId>, Denial),
    Reported(Option<ProviderId>, Denial),
    Keys(ProviderId, KeysFrom),
    Introspected(ProviderId, bool),
}

/// Where keys came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KeysFrom {
    /// Their provider.
    Fetched,
    /// What another isolate had kept.
    Kept,
    /// Nowhere.
    Failed,
}

/// How often there was each of a kind.
pub(crate) type Counts<K> = RefCell<BTreeMap<K, u64>>;

/// Counts one.
pub(crate) fn count<K: Ord>(counts: &Counts<K>, key: K) {
    let mut counts = counts.borrow_mut();
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(1);
}

/// One isolate's counts.
pub(crate) struct Metrics {
    counts: Counts<Event>,
    dataset: Option<JsValue>,
}

impl Metrics {
    /// None yet. `dataset` takes a data point for each decision.
    pub(crate) fn new(dataset: Option<JsValue>) -> Self {
        Self { counts: RefCell::default(), dataset }
    }

    /// Counts one.
    pub(crate) fn count(&self, event: Event) {
        count(&self.counts, event);
    }

    /// Counts a decision.
    pub(crate) fn decided(&self, authn: &Authn, decision: &Decision<'_>) {
        let (event, outcome, provider, code) = match decision {
            Decision::Forward(forward) => match &forward.reported {
                Some(Reported { denial, provider, .. }) => {
                    (Event::Reported(*provider, *denial), "reported", *provider, denial.code())
                }
                None => (Event::Allowed(forward.provider), "allowed", forward.provider, ""),
            },
            Decision::Reject(reply) => {
                (Event::Denied(reply.provider, reply.denial), "denied", reply.provider, reply.denial.code())
            }
        };
        self.count(event);
        if let Some(dataset) = &self.dataset
            && let Err(error) = web::count(dataset, outcome, name(authn, provider), code)
        {
            log::warn!("a data point could not be written: {error:?}");
        }
    }

    /// As text for Prometheus: what was counted, what the machines hold, and SCIM calls.
    pub(crate) fn text(&self, machines: &[Ref<'_, Authn>], scim: Option<&Scim>, now: UnixTime) -> String {
        let mut page = Page::default();
        let counts = self.counts.borrow();
        // They have the same providers.
        let Some(authn) = machines.first() else { return page.0 };
        page.head("decisions_total", "counter");
        for (event, count) in counts.iter() {
            let (outcome, provider, code) = match event {
                Event::Allowed(provider) => ("allowed", *provider, ""),
                Event::Denied(provider, denial) => ("denied", *provider, denial.code()),
                Event::Reported(provider, denial) => ("reported", *provider, denial.code()),
                Event::Keys(..) | Event::Introspected(..) => continue,
            };
            let labels = [("outcome", outcome), ("provider", name(authn, provider)), ("code", code)];
            page.line("decisions_total", &labels, *count);
        }
        page.head("key_fetches_total", "counter");
        for (event, count) in counts.iter() {
            let Event::Keys(provider, from) = event else { continue };
            let outcome = match from {
                KeysFrom::Fetched => "fetched",
                KeysFrom::Kept => "kept",
                KeysFrom::Failed => "failed",
            };
            let labels = [("provider", name(authn, Some(*provider))), ("outcome", outcome)];
            page.line("key_fetches_total", &labels, *count);
        }
        page.head("introspections_total", "counter");
        for (event, count) in counts.iter() {
            let Event::Introspected(provider, is_answered) = event else { continue };
            let outcome = if *is_answered { "answered" } else { "failed" };
            let labels = [("provider", name(authn, Some(*provider))), ("outcome", outcome)];
            page.line("introspections_total", &labels, *count);
        }
        let (mut ages, mut sizes) = (BTreeMap::new(), BTreeMap::new());
        for (id, machine) in machines.iter().flat_map(|authn| authn.key_sets()) {
            if let (Some(age), KeySetState::Ready(set)) = (machine.age(now), machine.state(now)) {
                let is_newer = ages.get(&id).is_none_or(|known| age < *known);
                if is_newer {
                    ages.insert(id, age);
                    sizes.insert(id, set.keys().len());
                }
            }
        }
        page.head("key_age_seconds", "gauge");
        for (id, age) in ages {
            page.line("key_age_seconds", &[("provider", name(authn, Some(id)))], age.as_secs());
        }
        page.head("keys", "gauge");
        for (id, size) in sizes {
            page.line(
                "keys",
                &[("provider", name(authn, Some(id)))],
                u64::try_from(size).unwrap_or(u64::MAX),
            );
        }
        let caches: Vec<_> = machines.iter().map(|authn| authn.cache_counts()).collect();
        let sum = |part: fn(&CacheCounts) -> u64| {
            caches.iter().fold(0_u64, |sum, counts| sum.saturating_add(part(counts)))
        };
        page.head("token_cache_total", "counter");
        page.line("token_cache_total", &[("outcome", "hit")], sum(|counts| counts.hits));
        page.line("token_cache_total", &[("outcome", "miss")], sum(|counts| counts.misses));
        page.line("token_cache_total", &[("outcome", "evicted")], sum(|counts| counts.evictions));
        page.head("token_cache_entries", "gauge");
        let number = |count| u64::try_from(count).unwrap_or(u64::MAX);
        page.line(
            "token_cache_entries",
            &[],
            caches.iter().fold(0, |sum, counts| number(counts.entries).saturating_add(sum)),
        );
        page.head("token_cache_bytes", "gauge");
        page.line(
            "token_cache_bytes",
            &[],
            caches.iter().fold(0, |sum, counts| number(counts.bytes).saturating_add(sum)),
        );
        if let Some(scim) = scim {
            scim.show_counts(&mut page);
        }
        page.0
    }
}

fn name(authn: &Authn, provider: Option<ProviderId>) -> &str {
    provider.and_then(|id| authn.policy().provider(id)).map_or("-", |provider| &provider.name)
}

/// Prometheus's text format, version 0.0.4. Writing to a string does not fail.
#[derive(Default)]
pub(crate) struct Page(String);

impl Page {
    pub(crate) fn head(&mut self, metric: &str, kind: &str) {
        let _ = writeln!(self.0, "# TYPE doorward_worker_{metric} {kind}");
    }

    pub(crate) fn line(&mut self, metric: &str, labels: &[(&str, &str)], value: u64) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                format!("{name}=\"{value}\"")
            })
            .collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "doorward_worker_{metric}{labels} {value}");
    }
}
