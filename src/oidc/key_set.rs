//! The key set of one provider: which keys are in force now, and when to fetch them again.
//!
//! The machine is driven by its host: [`KeySetMachine::poll`] says whether to fetch now, [`KeySetMachine::handle`]
//! takes what came back. It holds no clock and opens no connection, so outages and rotation are tested in virtual time.

use crate::jose::{JwkSet, JwkSetError, KeyOrigin};
use crate::time::UnixTime;
use std::sync::Arc;
use std::time::Duration;

/// The first retry after a failed fetch; each further one waits twice as long.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Retries wait no longer than this.
const LAST_RETRY: Duration = Duration::from_secs(60);
/// How long keys are kept in force while the provider cannot be reached.
const MAX_STALE: Duration = Duration::from_secs(24 * 3600);
/// A larger response is refused unread.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Where keys come from.
#[derive(Debug, Clone)]
pub enum KeySetSource {
    /// From the configuration; never fetched.
    Inline(Arc<JwkSet>),
    /// From the network.
    Remote(RemoteKeySet),
}

/// A key set on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteKeySet {
    /// What the host calls the place to connect to: Envoy's cluster.
    pub cluster: String,
    /// `https`, or `http` where the configuration says `danger_allow_http`.
    pub scheme: String,
    /// Host and port for `:authority`.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// How long one fetch may take.
    pub timeout: Duration,
    /// How long after a fetch the next one follows.
    pub refresh: Duration,
}

/// A GET that the host is to perform. Its answer goes to [`KeySetMachine::handle`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Where and how.
    pub remote: RemoteKeySet,
}

/// What came back.
pub type FetchResult<'b> = Result<FetchResponse<'b>, FetchError>;

/// A response, whatever its status.
#[derive(Debug, Clone, Copy)]
pub struct FetchResponse<'b> {
    /// HTTP status.
    pub status: u16,
    /// Body, as far as the host read it.
    pub body: &'b [u8],
}

/// Why a fetch gave no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No response: connection refused, reset, or the timeout passed.
    #[error("no response")]
    NoResponse,
    /// A status other than 200.
    #[error("expected status 200, but found {0}")]
    Status(u16),
    /// More bytes than we read.
    #[error("expected at most {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// Not a JWK Set.
    #[error(transparent)]
    Content(#[from] JwkSetError),
    /// A JWK Set without a key that we can use: never taken for keys.
    #[error("no usable key among {0}")]
    NoUsableKey(usize),
}

/// Which keys are in force.
#[derive(Debug, Clone)]
pub enum KeySetState {
    /// These.
    Ready(Arc<JwkSet>),
    /// None yet: the first fetch has not been answered. A request may wait.
    Pending,
    /// None, and the last fetch failed: the provider cannot be reached.
    Unavailable,
}

/// What an answer changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySetUpdate {
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
    keys: Option<Arc<JwkSet>>,
    /// When the keys in force were fetched.
    fetched_at: UnixTime,
    /// When to fetch next; `None` for never.
    due: Option<UnixTime>,
    /// A fetch is out since this instant.
    in_flight: Option<UnixTime>,
    failures: u32,
}

impl KeySetMachine {
    /// The largest body that the host need hand over.
    pub const MAX_BODY_BYTES: usize = MAX_BODY_BYTES;

    /// A machine at its start. A remote key set is due at once.
    pub fn new(source: KeySetSource) -> Self {
        let (keys, due) = match &source {
            KeySetSource::Inline(keys) => (Some(Arc::clone(keys)), None),
            KeySetSource::Remote(_) => (None, Some(UnixTime::from_millis(i64::MIN))),
        };
        Self { source, keys, fetched_at: UnixTime::default(), due, in_flight: None, failures: 0 }
    }

    /// The keys in force at `now`.
    pub fn state(&self, now: UnixTime) -> KeySetState {
        let is_remote = matches!(self.source, KeySetSource::Remote(_));
        match &self.keys {
            Some(_) if is_remote && now.saturating_since(self.fetched_at) > MAX_STALE => {
                KeySetState::Unavailable
            }
            Some(keys) => KeySetState::Ready(Arc::clone(keys)),
            None if self.failures == 0 => KeySetState::Pending,
            None => KeySetState::Unavailable,
        }
    }

    /// The fetch to start now, if one is due and none is out.
    pub fn poll(&mut self, now: UnixTime) -> Option<Fetch> {
        let KeySetSource::Remote(remote) = &self.source else { return None };
        // A host that lost the answer must not keep the machine waiting for ever; nor may a clock that was set back.
        let patience = remote.timeout.saturating_mul(2);
        let waits =
            self.in_flight.is_some_and(|since| since <= now && now.saturating_since(since) < patience);
        let longest = remote.refresh.max(LAST_RETRY);
        let is_due = self.due.is_some_and(|due| due <= now || due.saturating_since(now) > longest);
        if waits || !is_due {
            return None;
        }
        self.in_flight = Some(now);
        Some(Fetch { remote: remote.clone() })
    }

    /// Takes the answer to the last [`Fetch`].
    pub fn handle(&mut self, now: UnixTime, result: FetchResult<'_>) -> KeySetUpdate {
        self.in_flight = None;
        let KeySetSource::Remote(remote) = &self.source else {
            return KeySetUpdate::Failed(FetchError::NoResponse);
        };
        match result.and_then(read) {
            Ok(keys) => {
                let update = KeySetUpdate::Fetched { keys: keys.keys().len(), skipped: keys.skipped().len() };
                self.keys = Some(Arc::new(keys));
                self.fetched_at = now;
                self.failures = 0;
                self.due = Some(now.saturating_add(remote.refresh));
                update
            }
            Err(error) => {
                let wait = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(self.failures)).min(LAST_RETRY);
                self.failures = self.failures.saturating_add(1);
                self.due = Some(now.saturating_add(wait));
                KeySetUpdate::Failed(error)
            }
        }
    }
}

fn read(response: FetchResponse<'_>) -> Result<JwkSet, FetchError> {
    if response.status != 200 {
        return Err(FetchError::Status(response.status));
    }
    if response.body.len() > MAX_BODY_BYTES {
        return Err(FetchError::TooLarge);
    }
    let keys = JwkSet::parse(response.body, KeyOrigin::Remote)?;
    if keys.keys().is_empty() { Err(FetchError::NoUsableKey(keys.skipped().len())) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[u8] =
        br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    fn at(secs: i64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    fn machine() -> KeySetMachine {
        KeySetMachine::new(KeySetSource::Remote(RemoteKeySet {
            cluster: "idp".into(),
            scheme: "https".into(),
            authority: "idp.example".into(),
            path: "/jwks".into(),
            timeout: Duration::from_secs(5),
            refresh: Duration::from_secs(300),
        }))
    }

    fn ok(body: &[u8]) -> FetchResult<'_> {
        Ok(FetchResponse { status: 200, body })
    }

    #[test]
    fn keys_are_fetched_at_once_and_again_after_refresh() {
        let mut machine = machine();
        assert!(matches!(machine.state(at(0)), KeySetState::Pending));
        assert!(machine.poll(at(0)).is_some());
        assert!(machine.poll(at(1)).is_none(), "one fetch at a time");
        assert_eq!(machine.handle(at(2), ok(KEYS)), KeySetUpdate::Fetched { keys: 1, skipped: 0 });
        assert!(matches!(machine.state(at(2)), KeySetState::Ready(_)));
        assert!(machine.poll(at(301)).is_none());
        assert!(machine.poll(at(302)).is_some());
    }

    #[test]
    fn failures_back_off_and_keep_the_keys_for_a_day() {
        let mut machine = machine();
        machine.poll(at(0));
        machine.handle(at(0), ok(KEYS));
        let mut now = 300;
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(machine.poll(at(now)).is_some(), "{now}");
            assert_eq!(
                machine.handle(at(now), Err(FetchError::NoResponse)),
                KeySetUpdate::Failed(FetchError::NoResponse)
            );
            assert!(machine.poll(at(now + wait - 1)).is_none(), "{now}");
            now += wait;
        }
        assert!(matches!(machine.state(at(24 * 3600)), KeySetState::Ready(_)));
        assert!(matches!(machine.state(at(24 * 3600 + 1)), KeySetState::Unavailable));
        assert!(machine.poll(at(24 * 3600 + 1)).is_some());
        machine.handle(at(24 * 3600 + 1), ok(KEYS));
        assert!(matches!(machine.state(at(24 * 3600 + 1)), KeySetState::Ready(_)));
    }

    #[test]
    fn no_answer_is_ever_taken_for_keys_but_keys() {
        let too_large = vec![b' '; MAX_BODY_BYTES + 1];
        let cases: [(FetchResult<'_>, FetchError); 6] = [
            (Err(FetchError::NoResponse), FetchError::NoResponse),
            (Ok(FetchResponse { status: 500, body: KEYS }), FetchError::Status(500)),
            (Ok(FetchResponse { status: 302, body: KEYS }), FetchError::Status(302)),
            (ok(&too_large), FetchError::TooLarge),
            (ok(br#"{"keys":[]}"#), FetchError::NoUsableKey(0)),
            (ok(br#"{"keys":[{"kty":"LWE"}]}"#), FetchError::NoUsableKey(1)),
        ];
        for (result, error) in cases {
            let mut machine = machine();
            machine.poll(at(0));
            assert_eq!(machine.handle(at(0), result), KeySetUpdate::Failed(error));
            assert!(matches!(machine.state(at(0)), KeySetState::Unavailable));
        }
        let mut machine = machine();
        machine.poll(at(0));
        assert!(matches!(machine.handle(at(0), ok(b"<html>")), KeySetUpdate::Failed(FetchError::Content(_))));
    }

    #[test]
    fn a_lost_answer_or_a_clock_set_back_does_not_stop_it() {
        let mut machine = machine();
        assert!(machine.poll(at(1000)).is_some());
        assert!(machine.poll(at(1009)).is_none());
        assert!(machine.poll(at(1010)).is_some(), "twice the timeout has passed");
        machine.handle(at(1010), ok(KEYS));
        assert!(machine.poll(at(100)).is_some(), "the clock was set back by more than the refresh interval");
    }

    #[test]
    fn inline_keys_are_never_fetched() {
        let keys = Arc::new(JwkSet::parse(KEYS, KeyOrigin::Inline).unwrap());
        let mut machine = KeySetMachine::new(KeySetSource::Inline(keys));
        assert!(machine.poll(at(0)).is_none());
        assert!(matches!(machine.state(at(1_000_000_000)), KeySetState::Ready(_)));
    }
}
