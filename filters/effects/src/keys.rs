//! Key sets over the proxy's callouts: one worker fetches, all workers use what it fetched.
//!
//! Shared data holds, for each provider, the last outcome (a [`KeySetRecord`]) and a [`Lease`], and for all of them one
//! stamp, whose version tells a worker at each tick whether there is anything new to read.

use crate::callout::with_answer;
use crate::metrics::Metrics;
use doorward::authn::Authn;
use doorward::oidc::{Fetch, FetchError, FetchResult, KeySetRecord, KeySetState, KeySetUpdate, Lease, Next};
use doorward::policy::ProviderId;
use doorward::time::UnixTime;
use doorward_host::callout::{HttpCall, HttpCallResponse};
use doorward_host::shared_data::{self, Version};
use doorward_host::{HostError, random};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// How long a worker that was not first waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// One worker's part in keeping key sets.
pub(crate) struct KeyKeeper {
    /// Prefix of the shared names: workers with another configuration keep key sets of their own.
    prefix: String,
    /// This worker's number.
    holder: u64,
    /// Fetches that are out, by the token of their call.
    calls: HashMap<u32, ProviderId>,
    /// The stamp at the last look.
    stamp: Option<Version>,
}

impl KeyKeeper {
    /// A keeper for the workers that have this configuration.
    pub(crate) fn new(configuration: &[u8]) -> Self {
        // Not for secrecy: the same bytes must give the same name on every worker.
        let mut hasher = DefaultHasher::new();
        configuration.hash(&mut hasher);
        let prefix = format!("doorward.keys.{:016x}", hasher.finish());
        Self { prefix, holder: random::number(), calls: HashMap::new(), stamp: None }
    }

    /// Reads what other workers fetched. Whether there was any news.
    pub(crate) fn adopt(&mut self, authn: &mut Authn, now: UnixTime) -> Result<bool, HostError> {
        let stamp = shared_data::get(&self.stamp_name())?.map(|value| value.version);
        if stamp == self.stamp {
            return Ok(false);
        }
        self.stamp = stamp;
        let mut news = false;
        let ids: Vec<_> = authn.key_sets().map(|(id, _)| id).collect();
        for id in ids {
            let Some(record) = shared_data::get(&self.record_name(id))? else { continue };
            let Some(record) = KeySetRecord::decode(&record.value) else { continue };
            let update = authn.key_set_mut(id).and_then(|machine| machine.adopt(now, &record));
            news |= update.is_some();
        }
        Ok(news)
    }

    /// Starts the fetches that are due and that no other worker is making. Whether any ended at once.
    pub(crate) fn fetch(
        &mut self,
        authn: &mut Authn,
        metrics: &mut Metrics,
        now: UnixTime,
    ) -> Result<bool, HostError> {
        let mut ended = false;
        for (id, fetch) in authn.poll_fetches(now) {
            match self.take_lease(id, now, fetch.timeout)? {
                Ok(()) => ended |= self.dispatch(authn, metrics, now, id, &fetch)?,
                Err(until) => {
                    if let Some(machine) = authn.key_set_mut(id) {
                        machine.postpone(until.min(now.saturating_add(LOOK_AGAIN)));
                    }
                }
            }
        }
        Ok(ended)
    }

    /// Takes the answer to a call. Whether it ended a fetch.
    pub(crate) fn answer(
        &mut self,
        authn: &mut Authn,
        metrics: &mut Metrics,
        now: UnixTime,
        call: u32,
        response: Option<&HttpCallResponse>,
    ) -> Result<bool, HostError> {
        let Some(id) = self.calls.remove(&call) else { return Ok(false) };
        with_answer(response, |result| self.handle(authn, metrics, now, id, result))?
    }

    /// Whether some provider has no keys yet.
    pub(crate) fn is_pending(authn: &Authn, now: UnixTime) -> bool {
        authn.key_sets().any(|(_, machine)| matches!(machine.state(now), KeySetState::Pending))
    }

    fn dispatch(
        &mut self,
        authn: &mut Authn,
        metrics: &mut Metrics,
        now: UnixTime,
        id: ProviderId,
        fetch: &Fetch,
    ) -> Result<bool, HostError> {
        let endpoint = &fetch.endpoint;
        let call = HttpCall {
            cluster: &endpoint.cluster,
            method: "GET",
            path: &endpoint.path,
            authority: &endpoint.authority,
            headers: &[
                (":scheme", &endpoint.scheme),
                ("accept", "application/jwk-set+json, application/json"),
            ],
            body: &[],
            timeout: fetch.timeout,
        };
        match call.dispatch() {
            Ok(token) => {
                self.calls.insert(token, id);
                Ok(false)
            }
            Err(error) => {
                log::warn!("keys: the call to cluster {:?} could not be made: {error}", endpoint.cluster);
                self.handle(authn, metrics, now, id, Err(FetchError::NoResponse))
            }
        }
    }

    fn handle(
        &mut self,
        authn: &mut Authn,
        metrics: &mut Metrics,
        now: UnixTime,
        id: ProviderId,
        result: FetchResult<'_>,
    ) -> Result<bool, HostError> {
        let Some(machine) = authn.key_set_mut(id) else { return Ok(false) };
        let (update, next) = machine.handle(now, result);
        let name = authn.policy().provider(id).map_or("", |provider| &provider.name);
        match update {
            KeySetUpdate::Located => {}
            KeySetUpdate::Fetched { keys, skipped } => {
                metrics.count_fetch(id, true);
                log::info!("keys: provider {name:?} has {keys} key(s), {skipped} left out");
            }
            KeySetUpdate::Failed(error) => {
                metrics.count_fetch(id, false);
                log::warn!("keys: provider {name:?}: {error}");
            }
        }
        match next {
            Next::Fetch(fetch) => {
                // A second request needs a second term. Should the lease be lost, two workers fetch: no harm.
                let _ = self.take_lease(id, now, fetch.timeout)?;
                self.dispatch(authn, metrics, now, id, &fetch)
            }
            Next::Tell(record) => {
                self.tell(id, now, &record)?;
                Ok(true)
            }
            Next::Nothing => Ok(true),
        }
    }

    /// First the outcome, then the stamp, then the lease: who finds the lease free has found the outcome before.
    fn tell(&mut self, id: ProviderId, now: UnixTime, record: &KeySetRecord) -> Result<(), HostError> {
        shared_data::set(&self.record_name(id), &record.encode())?;
        shared_data::set(&self.stamp_name(), b"")?;
        let name = self.lease_name(id);
        if let Some(current) = shared_data::get(&name)?
            && Lease::decode(&current.value).is_some_and(|lease| lease.holder == self.holder)
        {
            let over = Lease { holder: self.holder, until: now };
            // Lost to another worker meanwhile: then it is that worker's to end.
            let _ = shared_data::compare_and_set(&name, &over.encode(), current.version)?;
        }
        Ok(())
    }

    /// Takes the lease for one request. `Err` is the instant at which to try again.
    fn take_lease(
        &self,
        id: ProviderId,
        now: UnixTime,
        timeout: Duration,
    ) -> Result<Result<(), UnixTime>, HostError> {
        let term = timeout.saturating_add(LOOK_AGAIN);
        let name = self.lease_name(id);
        let current = shared_data::get(&name)?;
        let held = current.as_ref().and_then(|current| Lease::decode(&current.value));
        let lease = match Lease::take(now, held, self.holder, term) {
            Ok(lease) => lease.encode(),
            Err(until) => return Ok(Err(until)),
        };
        let won = match current {
            Some(current) => shared_data::compare_and_set(&name, &lease, current.version)?,
            None => shared_data::create(&name, &lease)?,
        };
        Ok(if won { Ok(()) } else { Err(now.saturating_add(LOOK_AGAIN)) })
    }

    fn stamp_name(&self) -> String {
        format!("{}.stamp", self.prefix)
    }

    fn record_name(&self, id: ProviderId) -> String {
        format!("{}.{}.record", self.prefix, id.0)
    }

    fn lease_name(&self, id: ProviderId) -> String {
        format!("{}.{}.lease", self.prefix, id.0)
    }
}
