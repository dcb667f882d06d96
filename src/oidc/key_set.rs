//! The keys of one provider over time: which are in force now, when to fetch them again, and what to do about a token
//! whose key is not among them.
//!
//! The machine is driven by its host: [`KeySetMachine::poll`] says whether to fetch now, [`KeySetMachine::handle`]
//! takes what came back, [`KeySetMachine::look_up`] answers for one token. It holds no clock, opens no connection and
//! draws no random numbers (the host gives a seed), so outages and rotation are tested in virtual time.
//!
//! Its rules:
//! - Keys are fetched again at 80 to 90 percent of their lifetime, so that no request ever waits for a refresh.
//! - A failed fetch changes nothing: the keys in force stay so for `stale_for` beyond their lifetime. Retries wait ever
//!   longer, up to a minute, or to five seconds while there are no keys in force.
//! - A key that is not known makes one fetch, no sooner than `cooldown` after the one before, and its request waits. A key
//!   that a fetch did not bring is remembered, so that it causes no second fetch within the cooldown.
//! - Nothing but keys is ever taken for keys.

use super::fetch::{Fetch, FetchError, FetchResult};
use super::jitter::Jitter;
use super::record::KeySetRecord;
use super::source::{Endpoint, KeySetSource, Timing};
use super::unknown_keys::{Told, UnknownKeys};
use super::{cache_control, metadata};
use crate::jose::{Algorithm, Jwk, JwkSet, KeyOrigin};
use crate::time::UnixTime;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// The first retry after a failed fetch; each further one waits twice as long.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Retries wait no longer than this.
const LAST_RETRY: Duration = Duration::from_secs(60);
/// While there are no keys in force, retries wait no longer than this: every request depends on the next one.
const LAST_URGENT_RETRY: Duration = Duration::from_secs(5);
/// While there are no keys yet, requests wait through this many failures; after them they are denied at once.
const PATIENCE_FAILURES: u32 = 3;
/// `Cache-Control` does not shorten a lifetime below this: a provider that forbids caching would be asked for ever.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(30);
/// An address from metadata is looked up again after this.
const METADATA_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Which keys are in force.
#[derive(Debug, Clone)]
pub enum KeySetState {
    /// These.
    Ready(Arc<JwkSet>),
    /// None yet, but soon. A request may wait.
    Pending,
    /// None: the provider cannot be reached, and has not been for too long.
    Unavailable,
}

/// The answer for one token.
#[derive(Debug, Clone)]
pub enum KeyAnswer {
    /// Try these.
    Keys(Vec<Arc<Jwk>>),
    /// A fetch will tell.
    Wait,
    /// The provider has no such key.
    NotFound,
    /// The provider's keys cannot be had.
    Unavailable,
}

/// What an answer to a fetch changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySetUpdate {
    /// The address of the key set is known; the key set itself is to be fetched next.
    Located,
    /// New keys are in force: how many, and how many were left out.
    Fetched {
        /// Usable keys.
        keys: usize,
        /// Keys left out; see [`JwkSet::skipped`].
        skipped: usize,
    },
    /// The keys that were in force stay so.
    Failed(FetchError),
}

/// The key set of one provider over time.
#[derive(Debug)]
pub struct KeySetMachine {
    source: KeySetSource,
    jitter: Jitter,
    /// Where the key set is, and since when that is known. A remote key set's is known from the start.
    located: Option<(Endpoint, UnixTime)>,
    keys: Option<Keys>,
    /// When to fetch next; `None` for never.
    due: Option<UnixTime>,
    /// A fetch is out.
    attempt: Option<Attempt>,
    /// When the last fetch began, here or on another worker: the cooldown counts from it.
    last_began: Option<UnixTime>,
    /// When the fetch began whose outcome is the latest known.
    outcome_of: Option<UnixTime>,
    failures: u32,
    unknown: UnknownKeys,
    /// Counts key sets that differ from the one before.
    generation: u64,
}

#[derive(Debug)]
struct Keys {
    set: Arc<JwkSet>,
    /// From this instant they are no longer in force.
    stale_at: UnixTime,
    fetched_at: UnixTime,
    /// SHA-256 of the document.
    digest: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attempt {
    /// When the first request of the attempt was sent: metadata and key set are one attempt.
    began: UnixTime,
    /// When the current request was sent.
    sent: UnixTime,
}

impl KeySetMachine {
    /// A machine at its start. A remote key set is due at once. `seed` spreads retries over time.
    pub fn new(source: KeySetSource, seed: u64) -> Self {
        let start = UnixTime::from_millis(i64::MIN);
        let (located, due) = match &source {
            KeySetSource::Inline(_) => (None, None),
            KeySetSource::Remote(remote) => (Some((remote.endpoint.clone(), start)), Some(start)),
            KeySetSource::Discovery(_) => (None, Some(start)),
        };
        Self {
            source,
            jitter: Jitter::new(seed),
            located,
            keys: None,
            due,
            attempt: None,
            last_began: None,
            outcome_of: None,
            failures: 0,
            unknown: UnknownKeys::default(),
            generation: 0,
        }
    }

    /// The keys in force at `now`.
    pub fn state(&self, now: UnixTime) -> KeySetState {
        match (&self.source, &self.keys) {
            (KeySetSource::Inline(set), _) => KeySetState::Ready(Arc::clone(set)),
            // A clock that was set back leaves keys in force, not out of it.
            (_, Some(keys)) if now < keys.stale_at => KeySetState::Ready(Arc::clone(&keys.set)),
            (_, None) if self.failures < PATIENCE_FAILURES => KeySetState::Pending,
            (_, Some(_) | None) => KeySetState::Unavailable,
        }
    }

    /// Whether there are keys in force at `now`.
    pub fn is_in_force(&self, now: UnixTime) -> bool {
        matches!(self.source, KeySetSource::Inline(_))
            || self.keys.as_ref().is_some_and(|keys| now < keys.stale_at)
    }

    /// A number that changes whenever the keys do, and only then.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How long ago the keys in force were fetched; `None` for inline keys and before the first fetch.
    pub fn age(&self, now: UnixTime) -> Option<Duration> {
        self.keys.as_ref().map(|keys| now.saturating_since(keys.fetched_at))
    }

    /// The keys to try for a token with this header.
    pub fn look_up(&mut self, now: UnixTime, key_id: Option<&str>, algorithm: Algorithm) -> KeyAnswer {
        let set = match self.state(now) {
            KeySetState::Ready(set) => set,
            KeySetState::Pending => return KeyAnswer::Wait,
            KeySetState::Unavailable => return KeyAnswer::Unavailable,
        };
        let found = set.candidates(key_id, algorithm);
        if !found.is_empty() {
            return KeyAnswer::Keys(found.into_iter().map(Arc::clone).collect());
        }
        let Some(timing) = self.timing() else { return KeyAnswer::NotFound };
        match self.unknown.ask(now, key_id.unwrap_or(algorithm.name())) {
            Told::Absent => KeyAnswer::NotFound,
            Told::Wait => {
                self.hasten(now, timing.cooldown);
                KeyAnswer::Wait
            }
        }
    }

    /// The fetch to start now, if one is due and none is out.
    pub fn poll(&mut self, now: UnixTime) -> Option<Fetch> {
        let timing = self.timing()?;
        // A host that lost the answer must not keep the machine waiting for ever; nor may a clock that was set back.
        let patience = timing.timeout.saturating_mul(2);
        let is_out = |attempt: Attempt| attempt.sent <= now && now.saturating_since(attempt.sent) < patience;
        if self.attempt.is_some_and(is_out) {
            return None;
        }
        let longest = timing.refresh.max(LAST_RETRY);
        if !self.due.is_some_and(|due| due <= now || due.saturating_since(now) > longest) {
            return None;
        }
        if matches!(self.source, KeySetSource::Discovery(_))
            && self
                .located
                .as_ref()
                .is_some_and(|(_, since)| now.saturating_since(*since) >= METADATA_LIFETIME)
        {
            self.located = None;
        }
        self.last_began = Some(now);
        self.attempt = Some(Attempt { began: now, sent: now });
        self.next_request(timing)
    }

    fn next_request(&self, timing: Timing) -> Option<Fetch> {
        let endpoint = match (&self.located, &self.source) {
            (Some((endpoint, _)), _) => endpoint,
            (None, KeySetSource::Discovery(discovery)) => &discovery.endpoint,
            (None, KeySetSource::Inline(_) | KeySetSource::Remote(_)) => return None,
        };
        Some(Fetch { endpoint: endpoint.clone(), timeout: timing.timeout })
    }

    /// Gives back a fetch that another worker is to make; the machine asks again at `until`.
    pub fn postpone(&mut self, until: UnixTime) {
        self.attempt = None;
        self.due = Some(until);
    }

    /// Takes the answer to the last [`Fetch`]. After [`KeySetUpdate::Located`] there is another to make at once; every
    /// other update comes with a record for the other workers.
    pub fn handle(&mut self, now: UnixTime, result: FetchResult<'_>) -> (KeySetUpdate, Next) {
        let began = self.attempt.take().map_or(now, |attempt| attempt.began);
        let Some(timing) = self.timing() else {
            return (KeySetUpdate::Failed(FetchError::NoResponse), Next::Nothing);
        };
        let response = match result.and_then(|response| response.content().map(|_| response)) {
            Ok(response) => response,
            Err(error) => return self.fail(now, began, error),
        };
        if let (None, KeySetSource::Discovery(discovery)) = (&self.located, &self.source) {
            return match metadata::key_set_endpoint(response.body, discovery) {
                Ok(endpoint) => {
                    self.located = Some((endpoint, now));
                    self.attempt = Some(Attempt { began, sent: now });
                    let next = self.next_request(timing).map_or(Next::Nothing, Next::Fetch);
                    (KeySetUpdate::Located, next)
                }
                Err(error) => self.fail(now, began, error.into()),
            };
        }
        let lifetime = response.cache_control.and_then(cache_control::lifetime).unwrap_or(timing.refresh);
        let lifetime = lifetime.max(SHORTEST_LIFETIME).min(timing.refresh);
        match read(response.body) {
            Ok(set) => {
                let update = self.install(now, began, lifetime, (set, response.body), timing);
                let keys = Some((lifetime, response.body.to_vec()));
                (update, Next::Tell(KeySetRecord { began, ended: now, keys }))
            }
            Err(error) => self.fail(now, began, error),
        }
    }

    /// Takes what another worker fetched. `None` if it is no news.
    pub fn adopt(&mut self, now: UnixTime, record: &KeySetRecord) -> Option<KeySetUpdate> {
        let timing = self.timing()?;
        if self.outcome_of.is_some_and(|known| record.began <= known) {
            return None;
        }
        self.last_began = self.last_began.max(Some(record.began));
        self.attempt = None;
        Some(match &record.keys {
            None => self.fail(now, record.began, FetchError::Elsewhere).0,
            Some((lifetime, body)) => match read(body) {
                Ok(set) => self.install(record.ended, record.began, *lifetime, (set, body), timing),
                Err(error) => self.fail(now, record.began, error).0,
            },
        })
    }

    fn install(
        &mut self,
        fetched_at: UnixTime,
        began: UnixTime,
        lifetime: Duration,
        (set, body): (JwkSet, &[u8]),
        timing: Timing,
    ) -> KeySetUpdate {
        let digest = Sha256::digest(body).into();
        if self.keys.as_ref().is_none_or(|keys| keys.digest != digest) {
            self.generation = self.generation.saturating_add(1);
        }
        let update = KeySetUpdate::Fetched { keys: set.keys().len(), skipped: set.skipped().len() };
        let stale_at = fetched_at.saturating_add(lifetime).saturating_add(timing.stale_for);
        let is_there = |name: &str| set.keys().iter().any(|key| key.key_id() == Some(name));
        self.unknown.answered(began, fetched_at.saturating_add(timing.cooldown), is_there);
        self.keys = Some(Keys { set: Arc::new(set), stale_at, fetched_at, digest });
        self.failures = 0;
        self.outcome_of = Some(began);
        let ahead = lifetime.saturating_mul(9).checked_div(10).unwrap_or(lifetime);
        self.due = Some(fetched_at.saturating_add(self.jitter.within(89, ahead)));
        if self.unknown.is_asked() {
            // Asked for while the fetch was out: it may have been too early for them.
            self.hasten(fetched_at, timing.cooldown);
        }
        update
    }

    fn fail(&mut self, now: UnixTime, began: UnixTime, error: FetchError) -> (KeySetUpdate, Next) {
        let longest =
            if matches!(self.state(now), KeySetState::Ready(_)) { LAST_RETRY } else { LAST_URGENT_RETRY };
        let wait = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(self.failures)).min(longest);
        self.failures = self.failures.saturating_add(1);
        self.outcome_of = Some(began);
        self.due = Some(now.saturating_add(self.jitter.within(50, wait)));
        if matches!(self.source, KeySetSource::Discovery(_)) {
            // The address may have changed.
            self.located = None;
        }
        let record = KeySetRecord { began, ended: now, keys: None };
        (KeySetUpdate::Failed(error), Next::Tell(record))
    }

    /// Moves the next fetch forward to the end of the cooldown.
    fn hasten(&mut self, now: UnixTime, cooldown: Duration) {
        let earliest = self.last_began.map_or(now, |began| began.saturating_add(cooldown).max(now));
        self.due = Some(self.due.map_or(earliest, |due| due.min(earliest)));
    }

    fn timing(&self) -> Option<Timing> {
        match &self.source {
            KeySetSource::Inline(_) => None,
            KeySetSource::Remote(remote) => Some(remote.timing),
            KeySetSource::Discovery(discovery) => Some(discovery.timing),
        }
    }
}

/// What the host does after an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Make this request.
    Fetch(Fetch),
    /// Tell the other workers.
    Tell(KeySetRecord),
    /// Nothing.
    Nothing,
}

fn read(body: &[u8]) -> Result<JwkSet, FetchError> {
    let keys = JwkSet::parse(body, KeyOrigin::Remote)?;
    if keys.keys().is_empty() { Err(FetchError::NoUsableKey(keys.skipped().len())) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::{Discovery, FetchResponse, MetadataError, RemoteKeySet};

    const OLD: &[u8] =
        br#"{"keys":[{"kid":"old","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    const NEW: &[u8] = br#"{"keys":[
        {"kid":"old","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kid":"new","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    const HOUR: i64 = 3600;

    fn at(secs: i64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    const TIMING: Timing = Timing {
        timeout: Duration::from_secs(5),
        refresh: Duration::from_secs(300),
        stale_for: Duration::from_secs(24 * 3600),
        cooldown: Duration::from_secs(5),
    };

    fn endpoint() -> Endpoint {
        Endpoint::parse("https://idp.example/jwks", "idp").unwrap()
    }

    fn machine() -> KeySetMachine {
        KeySetMachine::new(KeySetSource::Remote(RemoteKeySet { endpoint: endpoint(), timing: TIMING }), 7)
    }

    fn discovered() -> KeySetMachine {
        KeySetMachine::new(
            KeySetSource::Discovery(Discovery {
                issuer: "https://idp.example".into(),
                endpoint: Endpoint::parse("https://idp.example/.well-known/openid-configuration", "idp")
                    .unwrap(),
                jwks_cluster: "keys".into(),
                allow_http: false,
                timing: TIMING,
            }),
            7,
        )
    }

    fn ok(body: &[u8]) -> FetchResult<'_> {
        Ok(FetchResponse { status: 200, cache_control: None, body })
    }

    /// A machine that fetched `OLD` at second 0.
    fn started() -> KeySetMachine {
        let mut machine = machine();
        assert!(machine.poll(at(0)).is_some());
        assert_eq!(machine.handle(at(0), ok(OLD)).0, KeySetUpdate::Fetched { keys: 1, skipped: 0 });
        machine
    }

    /// Runs from second to second until `end`, answering each fetch at once; the seconds of the fetches.
    fn run<'b>(
        machine: &mut KeySetMachine,
        from: i64,
        end: i64,
        answer: impl Fn() -> FetchResult<'b>,
    ) -> Vec<i64> {
        let mut fetches = Vec::new();
        for now in from..end {
            if machine.poll(at(now)).is_some() {
                fetches.push(now);
                machine.handle(at(now), answer());
            }
        }
        fetches
    }

    fn look_up(machine: &mut KeySetMachine, now: i64, key_id: &str) -> &'static str {
        match machine.look_up(at(now), Some(key_id), Algorithm::EdDsa) {
            KeyAnswer::Keys(_) => "keys",
            KeyAnswer::Wait => "wait",
            KeyAnswer::NotFound => "not found",
            KeyAnswer::Unavailable => "unavailable",
        }
    }

    #[test]
    fn keys_are_fetched_at_once_and_again_ahead_of_expiry() {
        let mut machine = machine();
        assert_eq!(look_up(&mut machine, 0, "old"), "wait");
        assert!(machine.poll(at(0)).is_some());
        assert!(machine.poll(at(1)).is_none(), "one fetch at a time");
        machine.handle(at(2), ok(OLD));
        assert_eq!(look_up(&mut machine, 2, "old"), "keys");
        let fetches = run(&mut machine, 3, 3 * HOUR, || ok(OLD));
        let gaps: Vec<i64> = fetches.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (240..=270).contains(gap)), "{gaps:?}");
        assert!(gaps.iter().any(|gap| *gap != gaps[0]), "spread: {gaps:?}");
    }

    #[test]
    fn cache_control_shortens_a_lifetime_within_bounds() {
        let check = |cache_control: &str, range: std::ops::RangeInclusive<i64>| {
            let mut machine = machine();
            machine.poll(at(0));
            let cache_control = Some(cache_control.as_bytes());
            machine.handle(at(0), Ok(FetchResponse { status: 200, cache_control, body: OLD }));
            let next = (1..HOUR).find(|now| machine.poll(at(*now)).is_some()).unwrap();
            assert!(range.contains(&next), "{cache_control:?}: {next}");
        };
        check("max-age=100", 80..=90);
        check("max-age=86400", 240..=270);
        check("no-store", 24..=27);
        check("max-age=1", 24..=27);
    }

    #[test]
    fn an_outage_is_outlived_for_as_long_as_configured() {
        let mut machine = started();
        let fetches = run(&mut machine, 1, 2 * HOUR, || Err(FetchError::NoResponse));
        // 300 s, then 1, 2, 4, … 60 s, shortened by up to a half.
        assert!((100..=240).contains(&fetches.len()), "{}", fetches.len());
        assert_eq!(look_up(&mut machine, 24 * HOUR, "old"), "keys");
        assert_eq!(look_up(&mut machine, 24 * HOUR + 300, "old"), "unavailable");
        machine.poll(at(24 * HOUR + 300));
        machine.handle(at(24 * HOUR + 300), ok(OLD));
        assert_eq!(look_up(&mut machine, 24 * HOUR + 301, "old"), "keys");
    }

    #[test]
    fn rotation_makes_one_fetch_and_loses_no_request() {
        let mut machine = started();
        assert_eq!(look_up(&mut machine, 100, "new"), "wait");
        assert_eq!(look_up(&mut machine, 100, "new"), "wait");
        assert!(machine.poll(at(100)).is_some());
        machine.handle(at(101), ok(NEW));
        assert_eq!(look_up(&mut machine, 101, "new"), "keys");
        assert_eq!(run(&mut machine, 101, 200, || ok(NEW)), [0_i64; 0]);
    }

    #[test]
    fn a_rotation_just_after_a_fetch_waits_for_the_cooldown() {
        let mut machine = started();
        assert_eq!(look_up(&mut machine, 1, "new"), "wait");
        assert_eq!(run(&mut machine, 1, 20, || ok(NEW)), [5]);
        assert_eq!(look_up(&mut machine, 20, "new"), "keys");
    }

    #[test]
    fn a_fetch_that_began_before_the_question_does_not_answer_it() {
        let mut machine = started();
        assert!((1..400).any(|now| machine.poll(at(now)).is_some()), "the refresh is out");
        let sent = machine.last_began.unwrap().as_secs();
        assert_eq!(look_up(&mut machine, sent + 1, "new"), "wait");
        machine.handle(at(sent + 2), ok(OLD));
        assert_eq!(look_up(&mut machine, sent + 2, "new"), "wait");
        assert_eq!(run(&mut machine, sent + 2, sent + 20, || ok(NEW)), [sent + 5]);
        assert_eq!(look_up(&mut machine, sent + 20, "new"), "keys");
    }

    #[test]
    fn a_flood_of_invented_keys_makes_one_fetch_a_cooldown() {
        let mut machine = started();
        let mut fetches = 0;
        for now in 10..110 {
            for n in 0..100 {
                look_up(&mut machine, now, &format!("invented-{now}-{n}"));
            }
            if machine.poll(at(now)).is_some() {
                fetches += 1;
                machine.handle(at(now), ok(OLD));
            }
        }
        assert!((15..=21).contains(&fetches), "{fetches}");
    }

    #[test]
    fn a_flood_does_not_deny_a_key_that_was_just_published() {
        let mut machine = started();
        for n in 0..5000 {
            look_up(&mut machine, 1, &format!("invented-{n}"));
        }
        assert_eq!(look_up(&mut machine, 1, "new"), "wait");
        assert_eq!(run(&mut machine, 1, 7, || ok(NEW)), [5]);
        assert_eq!(look_up(&mut machine, 7, "new"), "keys");
        assert_eq!(look_up(&mut machine, 7, "invented-0"), "not found");
    }

    #[test]
    fn a_key_that_came_while_it_was_asked_for_needs_no_second_fetch() {
        let mut machine = started();
        assert!(machine.poll(at(300)).is_some());
        assert_eq!(look_up(&mut machine, 301, "new"), "wait");
        machine.handle(at(302), ok(NEW));
        assert_eq!(look_up(&mut machine, 302, "new"), "keys");
        assert_eq!(run(&mut machine, 302, 400, || ok(NEW)), [0_i64; 0]);
    }

    #[test]
    fn a_key_that_no_fetch_brings_is_denied_and_remembered() {
        let mut machine = started();
        assert_eq!(look_up(&mut machine, 100, "invented"), "wait");
        machine.poll(at(100));
        machine.handle(at(100), ok(OLD));
        assert_eq!(look_up(&mut machine, 100, "invented"), "not found");
        assert_eq!(look_up(&mut machine, 104, "invented"), "not found");
        assert_eq!(run(&mut machine, 100, 120, || ok(OLD)), [0_i64; 0]);
        // Published late: asked again after the cooldown.
        assert_eq!(look_up(&mut machine, 105, "invented"), "wait");
    }

    #[test]
    fn a_provider_that_comes_back_after_a_cold_start_is_found_soon() {
        let mut machine = machine();
        run(&mut machine, 0, HOUR, || Err(FetchError::NoResponse));
        let found = run(&mut machine, HOUR, HOUR + 100, || ok(OLD));
        assert!(found[0] <= HOUR + 5, "{found:?}");
    }

    #[test]
    fn no_keys_at_all_are_waited_for_and_then_not() {
        let mut machine = machine();
        let fetches = run(&mut machine, 0, 2, || Err(FetchError::NoResponse));
        assert_eq!(fetches.len(), 2);
        assert_eq!(look_up(&mut machine, 2, "old"), "wait");
        run(&mut machine, 2, 10, || Err(FetchError::NoResponse));
        assert_eq!(look_up(&mut machine, 10, "old"), "unavailable");
        run(&mut machine, 10, 100, || ok(OLD));
        assert_eq!(look_up(&mut machine, 100, "old"), "keys");
    }

    #[test]
    fn no_answer_is_ever_taken_for_keys_but_keys() {
        let too_large = vec![b' '; FetchResponse::READ_BYTES];
        let status = |status| Ok(FetchResponse { status, cache_control: None, body: OLD });
        let cases: [(FetchResult<'_>, FetchError); 6] = [
            (Err(FetchError::NoResponse), FetchError::NoResponse),
            (status(500), FetchError::Status(500)),
            (status(302), FetchError::Status(302)),
            (ok(&too_large), FetchError::TooLarge),
            (ok(br#"{"keys":[]}"#), FetchError::NoUsableKey(0)),
            (ok(br#"{"keys":[{"kty":"LWE"}]}"#), FetchError::NoUsableKey(1)),
        ];
        for (result, error) in cases {
            let mut machine = started();
            machine.poll(at(300));
            assert_eq!(machine.handle(at(300), result).0, KeySetUpdate::Failed(error));
            assert_eq!(look_up(&mut machine, 300, "old"), "keys");
        }
        let mut machine = machine();
        machine.poll(at(0));
        assert!(matches!(
            machine.handle(at(0), ok(b"<html>")).0,
            KeySetUpdate::Failed(FetchError::Content(_))
        ));
    }

    #[test]
    fn a_lost_answer_or_a_clock_set_back_does_not_stop_it() {
        let mut machine = machine();
        assert!(machine.poll(at(1000)).is_some());
        assert!(machine.poll(at(1009)).is_none());
        assert!(machine.poll(at(1010)).is_some(), "twice the timeout has passed");
        machine.handle(at(1010), ok(OLD));
        assert!(machine.poll(at(100)).is_some(), "the clock was set back by more than the refresh interval");
        assert_eq!(look_up(&mut machine, 100, "old"), "keys");
    }

    #[test]
    fn inline_keys_are_never_fetched() {
        let keys = Arc::new(JwkSet::parse(OLD, KeyOrigin::Inline).unwrap());
        let mut machine = KeySetMachine::new(KeySetSource::Inline(keys), 7);
        assert!(machine.poll(at(0)).is_none());
        assert_eq!(look_up(&mut machine, 1_000_000_000, "old"), "keys");
        assert_eq!(look_up(&mut machine, 1_000_000_000, "new"), "not found");
    }

    #[test]
    fn discovery_leads_to_the_key_set_and_is_repeated_after_failures() {
        let metadata = br#"{"issuer":"https://idp.example","jwks_uri":"https://keys.example/k"}"#;
        let mut machine = discovered();
        assert_eq!(machine.poll(at(0)).unwrap().endpoint.path, "/.well-known/openid-configuration");
        let (update, next) = machine.handle(at(1), ok(metadata));
        let Next::Fetch(fetch) = next else { panic!("{next:?}") };
        assert_eq!(update, KeySetUpdate::Located);
        assert_eq!(
            (&*fetch.endpoint.cluster, &*fetch.endpoint.authority, &*fetch.endpoint.path),
            ("keys", "keys.example", "/k")
        );
        machine.handle(at(2), ok(OLD));
        assert_eq!(look_up(&mut machine, 2, "old"), "keys");
        // A refresh goes straight to the key set; after a failure the address is looked up anew.
        let due = (3..400).find_map(|now| machine.poll(at(now)).map(|fetch| (now, fetch))).unwrap();
        assert_eq!(due.1.endpoint.path, "/k");
        machine.handle(at(due.0), Err(FetchError::Status(404)));
        let retry = (due.0..).find_map(|now| machine.poll(at(now))).unwrap();
        assert_eq!(retry.endpoint.path, "/.well-known/openid-configuration");
    }

    #[test]
    fn metadata_of_another_issuer_or_without_https_is_refused() {
        let check = |body: &str, refused: fn(&MetadataError) -> bool| {
            let mut machine = discovered();
            machine.poll(at(0));
            let (update, _) = machine.handle(at(0), ok(body.as_bytes()));
            assert!(
                matches!(&update, KeySetUpdate::Failed(FetchError::Metadata(error)) if refused(error)),
                "{update:?}"
            );
        };
        let jwks = r#""jwks_uri":"https://idp.example/k""#;
        check(&format!(r#"{{"issuer":"https://idp.example/",{jwks}}}"#), |e| {
            matches!(e, MetadataError::Issuer { .. })
        });
        check(&format!("{{{jwks}}}"), |e| matches!(e, MetadataError::Issuer { .. }));
        check(r#"{"issuer":"https://idp.example"}"#, |e| matches!(e, MetadataError::NoJwksUri));
        check(r#"{"issuer":"https://idp.example","jwks_uri":"http://idp.example/k"}"#, |e| {
            matches!(e, MetadataError::NotHttps(_))
        });
        check(r#"{"issuer":"https://idp.example","jwks_uri":"/k"}"#, |e| matches!(e, MetadataError::Uri(_)));
        check("[]", |e| matches!(e, MetadataError::Json(_)));
    }

    #[test]
    fn what_one_worker_fetched_all_workers_use() {
        let (mut one, mut other) = (machine(), machine());
        one.poll(at(0));
        let (_, Next::Tell(record)) = one.handle(at(1), ok(OLD)) else { panic!() };
        assert!(other.poll(at(0)).is_some());
        other.postpone(at(10));
        assert!(other.poll(at(9)).is_none());
        assert_eq!(other.adopt(at(1), &record), Some(KeySetUpdate::Fetched { keys: 1, skipped: 0 }));
        assert_eq!(look_up(&mut other, 1, "old"), "keys");
        assert_eq!(other.adopt(at(2), &record), None, "no news");
        assert_eq!(run(&mut other, 2, 200, || ok(OLD)), [0_i64; 0]);
    }

    #[test]
    fn a_worker_that_dies_with_the_lease_is_replaced() {
        let mut other = machine();
        other.poll(at(0));
        other.postpone(at(10));
        assert!(other.poll(at(10)).is_some());
    }

    #[test]
    fn another_workers_failure_is_shared_too() {
        let (mut one, mut other) = (started(), started());
        one.poll(at(300));
        let (_, Next::Tell(record)) = one.handle(at(301), Err(FetchError::NoResponse)) else { panic!() };
        assert_eq!(other.adopt(at(301), &record), Some(KeySetUpdate::Failed(FetchError::Elsewhere)));
        assert_eq!(look_up(&mut other, 301, "old"), "keys");
        assert!(other.poll(at(301)).is_none(), "the retry waits on every worker");
    }

    #[test]
    fn a_key_asked_for_on_one_worker_is_answered_by_another_workers_fetch() {
        let (mut one, mut other) = (started(), started());
        assert_eq!(look_up(&mut other, 100, "new"), "wait");
        one.look_up(at(100), Some("new"), Algorithm::EdDsa);
        one.poll(at(100));
        let (_, Next::Tell(record)) = one.handle(at(101), ok(NEW)) else { panic!() };
        other.adopt(at(101), &record);
        assert_eq!(look_up(&mut other, 101, "new"), "keys");
    }
}
