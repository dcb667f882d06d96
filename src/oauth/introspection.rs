//! Token Introspection: RFC 7662. The authorization server is asked what an opaque token stands for, and its answer is kept
//! for a while.
//!
//! A machine like that of key sets: [`IntrospectionMachine::look_up`] answers for one token or says that its request has to wait,
//! [`IntrospectionMachine::poll`] gives the calls to make, [`IntrospectionMachine::handle`] takes what came back. A token is asked
//! about once at a time, however many requests bring it.
//!
//! Tokens are credentials: none is kept beyond its call, only its SHA-256.

use super::client_authentication::ClientAuthentication;
use super::form;
use crate::jose::base64url;
use crate::json::{self, JsonError};
use crate::jwt::{ClaimsSet, VerifiedToken};
use crate::oidc::{Endpoint, FetchResult};
use crate::time::UnixTime;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A larger answer is refused.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// How many tokens are asked about at the same time; requests with others are refused at once.
const MAX_ASKED: usize = 1024;
/// How many answers are kept: active ones, and the rest, which any client can cause.
const MAX_KEPT: usize = 10_000;
/// How many bytes of active answers are kept, as they came.
const MAX_KEPT_BYTES: usize = 8 * 1024 * 1024;
/// How long a token that is not active is remembered as such, at most.
const INACTIVE_FOR: Duration = Duration::from_secs(10);
/// How long the failure of a call answers for its token.
const FAILED_FOR: Duration = Duration::from_secs(1);
/// An answer holds at least this long: the requests that wait for it come for it.
const SHORTEST: Duration = Duration::from_secs(1);

/// Where and how a provider is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introspection {
    /// The introspection endpoint.
    pub endpoint: Endpoint,
    /// How long one call may take.
    pub timeout: Duration,
    /// How long an answer is kept; `exp` ends it earlier.
    pub cache_for: Duration,
    /// The value that `iss` must have, if the answer has one.
    pub issuer: String,
    /// Who is asking.
    pub client: ClientAuthentication,
}

/// The SHA-256 of a token: names it without giving it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of `token`.
    pub fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// A POST that the host is to perform. Redirects are not followed.
#[derive(Clone, PartialEq, Eq)]
pub struct IntrospectionCall {
    /// Which token; for [`IntrospectionMachine::handle`].
    pub token: TokenDigest,
    /// Where.
    pub endpoint: Endpoint,
    /// Header fields.
    pub headers: Vec<(&'static str, String)>,
    /// `application/x-www-form-urlencoded`.
    pub body: Vec<u8>,
    /// How long to wait for the whole answer.
    pub timeout: Duration,
}

impl fmt::Debug for IntrospectionCall {
    /// Token and credentials are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionCall").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// An active token: what the authorization server said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct VouchedToken {
    /// Its claims.
    pub token: Arc<VerifiedToken>,
    /// The whole answer, base64url, as a JWT's payload would be.
    pub payload: String,
}

/// The answer for one token.
#[derive(Debug, Clone, PartialEq)]
pub enum IntrospectionAnswer {
    /// It is active.
    Active(Arc<VouchedToken>),
    /// It is not.
    Inactive,
    /// A call will tell.
    Wait,
    /// The authorization server cannot be asked.
    Unavailable,
}

/// What an answer to a call changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntrospectionUpdate {
    /// The token is active.
    Active,
    /// It is not.
    Inactive,
    /// Nothing is known.
    Failed(IntrospectionError),
}

/// Why a call told nothing of its token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IntrospectionError {
    /// No response: connection refused, reset, or the timeout passed.
    #[error("no response")]
    NoResponse,
    /// 401: the authorization server does not take our credentials (RFC 7662 section 2.3).
    #[error("expected status 200, but found 401: the client's credentials are not accepted")]
    ClientRefused,
    /// Another status.
    #[error("expected status 200, but found {0}")]
    Status(u16),
    /// More bytes than we read.
    #[error("expected at most {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// Not one strict JSON object.
    #[error("the answer is not a JSON object: {0}")]
    Json(#[from] JsonError),
    /// No boolean `active` (RFC 7662 section 2.2).
    #[error("expected member \"active\" to be true or false")]
    NotAnAnswer,
}

/// What the machine has done since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IntrospectionCounts {
    /// Requests answered from what was known.
    pub hits: u64,
    /// Requests that had to ask.
    pub misses: u64,
}

/// What one provider said of tokens, over time.
pub struct IntrospectionMachine {
    settings: Introspection,
    /// Makes `jti` differ from one proxy to the next.
    seed: u64,
    /// Calls made so far.
    calls: u64,
    known: BTreeMap<TokenDigest, Standing>,
    asked: usize,
    queue: VecDeque<Question>,
    active: Kept,
    inactive: Kept,
    counts: IntrospectionCounts,
}

struct Question {
    digest: TokenDigest,
    token: Vec<u8>,
    /// `traceparent` of the request that asks (W3C Trace Context).
    trace: Option<String>,
}

enum Standing {
    /// Since this instant.
    Asked(UnixTime),
    Active {
        vouched: Arc<VouchedToken>,
        bytes: usize,
        until: UnixTime,
        serial: u64,
    },
    Inactive {
        until: UnixTime,
        serial: u64,
    },
    Failed {
        until: UnixTime,
        serial: u64,
    },
}

/// Answers of one kind in the order they came, so that the oldest go first.
#[derive(Default)]
struct Kept {
    order: VecDeque<(TokenDigest, u64)>,
    bytes: usize,
}

impl IntrospectionMachine {
    /// A machine that knows nothing. `seed` should differ from one host to the next.
    pub fn new(settings: Introspection, seed: u64) -> Self {
        Self {
            settings,
            seed,
            calls: 0,
            known: BTreeMap::new(),
            asked: 0,
            queue: VecDeque::new(),
            active: Kept::default(),
            inactive: Kept::default(),
            counts: IntrospectionCounts::default(),
        }
    }

    /// Where and how the provider is asked.
    pub fn settings(&self) -> &Introspection {
        &self.settings
    }

    /// What was done since the start.
    pub fn counts(&self) -> IntrospectionCounts {
        self.counts
    }

    /// How many answers are kept, of every kind.
    pub fn kept(&self) -> usize {
        self.known.len().saturating_sub(self.asked)
    }

    /// The active tokens that are kept.
    pub fn vouched(&self) -> impl Iterator<Item = &VouchedToken> {
        self.known.values().filter_map(|standing| match standing {
            Standing::Active { vouched, .. } => Some(&**vouched),
            Standing::Asked(_) | Standing::Inactive { .. } | Standing::Failed { .. } => None,
        })
    }

    /// What is known of `token`. If a call has to be made, it carries `trace`, the request's `traceparent`.
    pub fn look_up(&mut self, now: UnixTime, token: &[u8], trace: Option<&str>) -> IntrospectionAnswer {
        let digest = TokenDigest::of(token);
        let known = match self.known.get(&digest) {
            Some(Standing::Active { vouched, until, .. }) if self.holds(now, *until) => {
                Some(IntrospectionAnswer::Active(Arc::clone(vouched)))
            }
            Some(Standing::Inactive { until, .. }) if self.holds(now, *until) => {
                Some(IntrospectionAnswer::Inactive)
            }
            Some(Standing::Failed { until, .. }) if self.holds(now, *until) => {
                Some(IntrospectionAnswer::Unavailable)
            }
            Some(Standing::Asked(since)) if self.is_out(now, *since) => {
                return IntrospectionAnswer::Wait;
            }
            Some(_) | None => None,
        };
        if let Some(known) = known {
            self.counts.hits = self.counts.hits.saturating_add(1);
            return known;
        }
        self.counts.misses = self.counts.misses.saturating_add(1);
        self.forget(digest);
        if self.asked >= MAX_ASKED {
            self.forget_lost(now);
        }
        if self.asked >= MAX_ASKED {
            return IntrospectionAnswer::Unavailable;
        }
        self.known.insert(digest, Standing::Asked(now));
        self.asked = self.asked.saturating_add(1);
        self.queue.push_back(Question { digest, token: token.to_vec(), trace: trace.map(str::to_owned) });
        IntrospectionAnswer::Wait
    }

    /// Whether a call will tell, and its answer may still come.
    pub fn is_asked(&self, now: UnixTime, token: TokenDigest) -> bool {
        matches!(self.known.get(&token), Some(Standing::Asked(since)) if self.is_out(now, *since))
    }

    /// The calls to make now. Each answer goes to [`IntrospectionMachine::handle`].
    pub fn poll(&mut self, now: UnixTime) -> Vec<IntrospectionCall> {
        let mut calls = Vec::with_capacity(self.queue.len());
        while let Some(question) = self.queue.pop_front() {
            self.calls = self.calls.wrapping_add(1);
            calls.push(self.call(now, question));
        }
        calls
    }

    fn call(&self, now: UnixTime, question: Question) -> IntrospectionCall {
        let unique = [self.seed.to_le_bytes(), self.calls.to_le_bytes(), now.as_millis().to_le_bytes()];
        let unique = base64url::encode(&Sha256::digest(unique.concat()));
        let (authorization, members) = self.settings.client.credentials(now, &unique);
        let mut headers = vec![
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
            ("accept", "application/json".to_owned()),
        ];
        headers.extend(authorization.map(|value| ("authorization", value)));
        headers.extend(question.trace.map(|trace| ("traceparent", trace)));
        let mut pairs: Vec<(&str, &[u8])> =
            vec![("token", &question.token), ("token_type_hint", b"access_token")];
        pairs.extend(members.iter().map(|(name, value)| (*name, value.as_slice())));
        IntrospectionCall {
            token: question.digest,
            endpoint: self.settings.endpoint.clone(),
            headers,
            body: form::body(&pairs),
            timeout: self.settings.timeout,
        }
    }

    /// Takes the answer to a call.
    pub fn handle(
        &mut self,
        now: UnixTime,
        token: TokenDigest,
        result: FetchResult<'_>,
    ) -> IntrospectionUpdate {
        let longest = now.saturating_add(self.settings.cache_for);
        self.forget(token);
        self.calls = self.calls.wrapping_add(1);
        let serial = self.calls;
        match read(result) {
            Ok(Some((claims, body))) => {
                let expires = claims.date("exp").ok().flatten();
                let until = expires.map_or(longest, |exp| exp.max(now.saturating_add(SHORTEST)).min(longest));
                let vouched = VouchedToken {
                    payload: base64url::encode(body),
                    token: Arc::new(VerifiedToken::introspected(claims, expires)),
                };
                let standing =
                    Standing::Active { vouched: Arc::new(vouched), bytes: body.len(), until, serial };
                self.known.insert(token, standing);
                self.active.order.push_back((token, serial));
                self.active.bytes = self.active.bytes.saturating_add(body.len());
                self.make_room();
                IntrospectionUpdate::Active
            }
            Ok(None) => {
                let until = now.saturating_add(INACTIVE_FOR.min(self.settings.cache_for));
                self.known.insert(token, Standing::Inactive { until, serial });
                self.inactive.order.push_back((token, serial));
                self.make_room();
                IntrospectionUpdate::Inactive
            }
            Err(error) => {
                let until = now.saturating_add(FAILED_FOR);
                self.known.insert(token, Standing::Failed { until, serial });
                self.inactive.order.push_back((token, serial));
                self.make_room();
                IntrospectionUpdate::Failed(error)
            }
        }
    }

    /// Whether an answer that ends at `until` still holds. One that ends later than any can was written before the clock was
    /// set back.
    fn holds(&self, now: UnixTime, until: UnixTime) -> bool {
        now < until && until.saturating_since(now) <= self.settings.cache_for
    }

    /// Whether a call is out. A host that lost the answer must not keep a token waiting for ever; nor may a clock that was set
    /// back.
    fn is_out(&self, now: UnixTime, since: UnixTime) -> bool {
        since <= now && now.saturating_since(since) < self.settings.timeout.saturating_mul(2)
    }

    fn forget(&mut self, token: TokenDigest) {
        match self.known.remove(&token) {
            Some(Standing::Asked(_)) => {
                self.asked = self.asked.saturating_sub(1);
                self.queue.retain(|question| question.digest != token);
            }
            Some(Standing::Active { bytes, .. }) => {
                self.active.bytes = self.active.bytes.saturating_sub(bytes);
            }
            Some(Standing::Inactive { .. } | Standing::Failed { .. }) | None => {}
        }
    }

    fn forget_lost(&mut self, now: UnixTime) {
        let lost = self.known.iter().filter_map(|(token, standing)| match standing {
            Standing::Asked(since) if !self.is_out(now, *since) => Some(*token),
            Standing::Asked(_)
            | Standing::Active { .. }
            | Standing::Inactive { .. }
            | Standing::Failed { .. } => None,
        });
        let lost: Vec<_> = lost.collect();
        for token in lost {
            self.forget(token);
        }
    }

    fn make_room(&mut self) {
        while self.active.order.len() > MAX_KEPT || self.active.bytes > MAX_KEPT_BYTES {
            let Some(oldest) = self.active.order.pop_front() else { return };
            self.forget_answer(oldest);
        }
        while self.inactive.order.len() > MAX_KEPT {
            let Some(oldest) = self.inactive.order.pop_front() else { return };
            self.forget_answer(oldest);
        }
    }

    /// Forgets one answer, unless a later one has taken its place.
    fn forget_answer(&mut self, (token, serial): (TokenDigest, u64)) {
        match self.known.get(&token) {
            Some(
                Standing::Active { serial: own, .. }
                | Standing::Inactive { serial: own, .. }
                | Standing::Failed { serial: own, .. },
            ) if *own == serial => self.forget(token),
            Some(_) | None => {}
        }
    }
}

impl fmt::Debug for IntrospectionMachine {
    /// Answers are personal data, and waiting tokens are credentials: only numbers are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionMachine")
            .field("settings", &self.settings)
            .field("kept", &self.kept())
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

/// The claims of an active token, with the whole answer; `None` for one that is not active.
fn read(result: FetchResult<'_>) -> Result<Option<(ClaimsSet, &[u8])>, IntrospectionError> {
    let response = result.map_err(|_| IntrospectionError::NoResponse)?;
    match response.status {
        200 => {}
        401 => return Err(IntrospectionError::ClientRefused),
        status => return Err(IntrospectionError::Status(status)),
    }
    if response.body.len() > MAX_BODY_BYTES {
        return Err(IntrospectionError::TooLarge);
    }
    let members = json::parse_object(response.body, ClaimsSet::LIMITS)?;
    match members.get("active") {
        Some(Value::Bool(true)) => Ok(Some((ClaimsSet::from_members(members), response.body))),
        Some(Value::Bool(false)) => Ok(None),
        Some(Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_))
        | None => Err(IntrospectionError::NotAnAnswer),
    }
}

#[cfg(test)]
mod tests {
    use super::super::client_authentication::AuthenticationMethod;
    use super::*;
    use crate::oidc::{FetchError, FetchResponse};
    use IntrospectionAnswer::{Inactive, Unavailable, Wait};

    const TIMEOUT: Duration = Duration::from_secs(5);
    const CACHE: Duration = Duration::from_secs(60);

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(1_000_000).saturating_add(Duration::from_secs(seconds.try_into().unwrap()))
    }

    fn machine() -> IntrospectionMachine {
        let client = ClientAuthentication {
            client_id: "edge".into(),
            method: AuthenticationMethod::SecretBasic("hunter2".into()),
        };
        let endpoint = Endpoint::parse("https://as.example/introspect", "as").unwrap();
        let settings = Introspection {
            endpoint,
            timeout: TIMEOUT,
            cache_for: CACHE,
            issuer: "https://as.example".into(),
            client,
        };
        IntrospectionMachine::new(settings, 1)
    }

    fn ok(body: &str) -> FetchResult<'_> {
        Ok(FetchResponse { status: 200, cache_control: None, body: body.as_bytes() })
    }

    fn answer(
        machine: &mut IntrospectionMachine,
        seconds: i64,
        result: FetchResult<'_>,
    ) -> IntrospectionUpdate {
        let calls = machine.poll(at(seconds));
        assert_eq!(calls.len(), 1);
        machine.handle(at(seconds), calls[0].token, result)
    }

    fn is_active(answer: &IntrospectionAnswer, subject: &str) -> bool {
        matches!(answer, IntrospectionAnswer::Active(vouched)
            if vouched.token.claims().string("sub") == Ok(Some(subject)))
    }

    #[test]
    fn a_token_is_asked_about_once_and_its_answer_is_kept() {
        let mut machine = machine();
        for _ in 0..3 {
            assert_eq!(machine.look_up(at(0), b"opaque+1", Some("00-trace")), Wait);
        }
        let calls = machine.poll(at(0));
        assert_eq!(calls.len(), 1);
        assert_eq!(machine.poll(at(0)), []);
        let call = &calls[0];
        assert_eq!(call.body, b"token=opaque%2B1&token_type_hint=access_token");
        assert!(call.headers.contains(&("authorization", "Basic ZWRnZTpodW50ZXIy".into())));
        assert!(call.headers.contains(&("traceparent", "00-trace".into())));
        assert_eq!(machine.look_up(at(4), b"opaque+1", None), Wait, "the call is out");

        let body = r#"{"active":true,"sub":"alice"}"#;
        assert_eq!(machine.handle(at(4), call.token, ok(body)), IntrospectionUpdate::Active);
        let IntrospectionAnswer::Active(vouched) = machine.look_up(at(63), b"opaque+1", None) else {
            panic!()
        };
        assert_eq!(vouched.payload, base64url::encode(body.as_bytes()));
        assert_eq!(machine.counts(), IntrospectionCounts { hits: 1, misses: 1 });
        assert_eq!(machine.look_up(at(64), b"opaque+1", None), Wait, "the answer is too old");
        assert_eq!(machine.look_up(at(64), b"opaque+2", None), Wait, "another token");
    }

    #[test]
    fn an_answer_never_outlives_exp() {
        let mut machine = machine();
        machine.look_up(at(0), b"t", None);
        let body = format!(r#"{{"active":true,"sub":"a","exp":{}}}"#, at(10).as_secs());
        answer(&mut machine, 0, ok(&body));
        assert!(is_active(&machine.look_up(at(9), b"t", None), "a"));
        assert_eq!(machine.look_up(at(10), b"t", None), Wait);
        // Said to be active after its end: kept for the requests that wait, which then refuse it.
        answer(&mut machine, 10, ok(&body));
        assert!(is_active(&machine.look_up(at(10), b"t", None), "a"));
        assert_eq!(machine.look_up(at(11), b"t", None), Wait);
    }

    #[test]
    fn inactive_tokens_are_remembered_for_less() {
        let mut machine = machine();
        machine.look_up(at(0), b"t", None);
        assert_eq!(answer(&mut machine, 0, ok(r#"{"active":false}"#)), IntrospectionUpdate::Inactive);
        assert_eq!(machine.look_up(at(9), b"t", None), Inactive);
        assert_eq!(machine.look_up(at(10), b"t", None), Wait);
    }

    #[test]
    fn a_failure_tells_nothing_and_is_soon_forgotten() {
        let cases = [
            (Err(FetchError::NoResponse), IntrospectionError::NoResponse),
            (
                Ok(FetchResponse { status: 401, cache_control: None, body: b"" }),
                IntrospectionError::ClientRefused,
            ),
            (
                Ok(FetchResponse { status: 503, cache_control: None, body: br#"{"active":true}"# }),
                IntrospectionError::Status(503),
            ),
            (ok("{}"), IntrospectionError::NotAnAnswer),
            (ok(r#"{"active":"true"}"#), IntrospectionError::NotAnAnswer),
            (ok(r#"{"active":1}"#), IntrospectionError::NotAnAnswer),
            (
                ok(r#"{"active":false,"active":true}"#),
                IntrospectionError::Json(JsonError::DuplicateMember("active".into())),
            ),
            (ok("[true]"), IntrospectionError::Json(JsonError::NotAnObject)),
        ];
        for (result, error) in cases {
            let mut machine = machine();
            machine.look_up(at(0), b"t", None);
            assert_eq!(answer(&mut machine, 0, result), IntrospectionUpdate::Failed(error));
            assert_eq!(machine.look_up(at(0), b"t", None), Unavailable);
            assert_eq!(machine.look_up(at(1), b"t", None), Wait);
        }
        let mut machine = machine();
        machine.look_up(at(0), b"t", None);
        let large = format!(r#"{{"active":true,"x":"{}"}}"#, "x".repeat(MAX_BODY_BYTES));
        let failed = IntrospectionUpdate::Failed(IntrospectionError::TooLarge);
        assert_eq!(answer(&mut machine, 0, ok(&large)), failed);
    }

    #[test]
    fn a_lost_answer_and_a_clock_set_back_do_not_hold_a_token_for_ever() {
        let mut machine = machine();
        machine.look_up(at(100), b"t", None);
        assert_eq!(machine.poll(at(100)).len(), 1);
        assert_eq!(machine.look_up(at(109), b"t", None), Wait);
        assert_eq!(machine.poll(at(109)).len(), 0);
        assert_eq!(machine.look_up(at(110), b"t", None), Wait);
        assert_eq!(machine.poll(at(110)).len(), 1, "asked again");
        assert_eq!(machine.look_up(at(50), b"t", None), Wait);
        assert_eq!(machine.poll(at(50)).len(), 1, "the clock was set back");

        let body = r#"{"active":true,"sub":"a"}"#;
        machine.handle(at(50), TokenDigest::of(b"t"), ok(body));
        assert!(is_active(&machine.look_up(at(50), b"t", None), "a"));
        assert_eq!(machine.look_up(at(0), b"t", None), Wait, "an answer from the future is none");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut machine = machine();
        for number in 0..MAX_ASKED {
            assert_eq!(machine.look_up(at(0), &number.to_le_bytes(), None), Wait);
        }
        assert_eq!(machine.look_up(at(0), b"one more", None), Unavailable);
        assert_eq!(machine.look_up(at(10), b"one more", None), Wait, "the others were lost");
        assert_eq!(machine.poll(at(10)).len(), 1);

        let body = format!(r#"{{"active":true,"x":"{}"}}"#, "x".repeat(1024));
        for number in 0_usize..12_000 {
            let digest = TokenDigest::of(&number.to_le_bytes());
            machine.handle(at(10), digest, ok(&body));
            let invented = TokenDigest::of(&number.to_be_bytes());
            machine.handle(at(10), invented, ok(r#"{"active":false}"#));
        }
        assert!(machine.active.bytes <= MAX_KEPT_BYTES, "{}", machine.active.bytes);
        assert!(machine.active.order.len() <= MAX_KEPT && machine.inactive.order.len() <= MAX_KEPT);
        assert!(machine.kept() <= 2 * MAX_KEPT);
        let newest = machine.look_up(at(10), &11_999_usize.to_le_bytes(), None);
        assert!(matches!(newest, IntrospectionAnswer::Active(_)), "the oldest go first");
        assert_eq!(machine.look_up(at(10), &1_usize.to_le_bytes(), None), Wait);
    }

    #[test]
    fn a_late_answer_for_a_forgotten_token_harms_nobody() {
        let mut machine = machine();
        let update = machine.handle(at(0), TokenDigest::of(b"t"), ok(r#"{"active":true}"#));
        assert_eq!(update, IntrospectionUpdate::Active);
        assert_eq!(machine.asked, 0);
        assert!(!format!("{machine:?}").contains("hunter2"));
    }
}
