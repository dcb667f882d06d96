//! The smallest filter against a host in the process. What a request meets on its way is tested with `jwt-authn`, and in the core.

use crate::gate::{keep, take_answer};
use crate::{Authenticator, Gate, Judgement, Passage};
use doorward::authn::decision::Decision;
use doorward::authn::{Authn, Step};
use doorward::config::Config;
use doorward::http::RequestHead;
use doorward::time::UnixTime;
use doorward_host::fake::{self, Call};
use doorward_host::headers::RequestHeaders;
use doorward_host::{HostError, clock};

/// RFC 7515 appendix A.3: ES256, issuer joe, expires at 1300819380.
const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
const DOCUMENT: &str = r#"{
    "providers":{"joe.example":{"issuer":"joe","danger_any_audience":true,
        "jwks":{"remote":{"uri":"https://joe.example/keys","cluster":"joe"}}}},
    "rules":[{"match":{"path":{"exact":"/open"}},"allow":"anonymous"},
        {"match":{},"require":{"provider":"joe.example"}}]}"#;
const BEFORE_EXPIRY: u64 = 1_300_819_000;
const ROOT: u32 = 1;
const REQUEST: u32 = 7;

/// Where a filter begins with a request.
type Begin = for<'r> fn(&mut Authn, UnixTime, RequestHead<'r>) -> Step<'r>;

struct Filter {
    authenticator: Authenticator,
    begin: Begin,
    /// What it makes of a request that may pass.
    passed: Passage,
    /// What became of each request, in order.
    passages: Vec<Passage>,
    flushed: u32,
}

impl Filter {
    fn new() -> Self {
        fake::reset();
        fake::with(|host| {
            host.now_nanoseconds = BEFORE_EXPIRY * 1_000_000_000;
            host.effective_context = ROOT;
        });
        let authn = Config::load(DOCUMENT.as_bytes()).unwrap().into_authn(1);
        let authenticator =
            Authenticator::new(ROOT, authn, DOCUMENT.as_bytes(), "doorward.scim_gateway").unwrap();
        let begin: Begin = |authn, now, head| authn.begin(now, head);
        Self { authenticator, begin, passed: Passage::Open, passages: Vec::new(), flushed: 0 }
    }

    fn try_admit(&mut self, context_id: u32) -> Result<Passage, HostError> {
        let now = clock::now()?;
        let received = RequestHeaders::read()?;
        let fields = received.fields()?;
        let head = RequestHead::new(&fields);
        let begin = self.begin;
        Ok(match self.authenticator.judge(context_id, now, |authn| begin(authn, now, head))? {
            Judgement::Decided(Decision::Forward(_)) => self.passed,
            Judgement::Decided(Decision::Reject(_)) => Passage::Answered,
            Judgement::Waits => Passage::Waiting,
        })
    }

    /// A request with a token comes in, and calls before it are forgotten.
    fn receive(&mut self, context_id: u32) -> Passage {
        fake::with(|host| {
            host.effective_context = context_id;
            let bearer = format!("Bearer {TOKEN}");
            host.set_request_headers([
                (":method", "GET"),
                (":path", "/"),
                (":authority", "api"),
                ("authorization", &bearer),
            ]);
            host.calls.clear();
        });
        self.admit(context_id)
    }

    /// Ticks, and returns the last call's number.
    fn tick(&mut self) -> u32 {
        fake::with(|host| host.effective_context = ROOT);
        keep(self).unwrap();
        fake::with(|host| {
            let numbers =
                host.calls.iter().rev().find_map(|call| {
                    if let Call::HttpCall { token, .. } = call { Some(*token) } else { None }
                });
            numbers.unwrap()
        })
    }

    fn answer(&mut self, call: u32, keys: &str) {
        fake::with(|host| {
            host.effective_context = ROOT;
            host.set_call_response([(":status", "200")], keys.as_bytes().to_vec());
        });
        take_answer(self, call, 1, keys.len()).unwrap();
    }
}

impl Gate for Filter {
    fn authenticator(&mut self) -> &mut Authenticator {
        &mut self.authenticator
    }

    fn admit(&mut self, context_id: u32) -> Passage {
        let passage = self.try_admit(context_id).unwrap_or(Passage::Answered);
        self.passages.push(passage);
        passage
    }

    fn flush(&mut self) -> Result<(), HostError> {
        self.flushed = self.flushed.saturating_add(1);
        Ok(())
    }
}

fn later(seconds: u64) {
    let more = seconds.saturating_mul(1_000_000_000);
    fake::with(|host| host.now_nanoseconds = host.now_nanoseconds.saturating_add(more));
}

fn continued() -> Vec<u32> {
    fake::with(|host| {
        let ids = host
            .calls
            .iter()
            .filter_map(|call| if let Call::ContinueRequest(id) = call { Some(*id) } else { None });
        ids.collect()
    })
}

#[test]
fn requests_go_on_when_their_keys_come_and_it_is_counted_under_the_filters_name() {
    let mut filter = Filter::new();
    assert_eq!(filter.receive(REQUEST), Passage::Waiting);
    assert_eq!(filter.receive(REQUEST + 1), Passage::Waiting);
    let call = filter.tick();
    fake::with(|host| assert_eq!(host.metric("doorward.scim_gateway.waiting"), [2]));
    filter.answer(call + 1, KEYS);
    assert_eq!(continued(), [0_u32; 0], "another call");
    filter.answer(call, KEYS);
    assert_eq!(continued(), [REQUEST, REQUEST + 1]);
    assert_eq!(fake::with(|host| host.effective_context), ROOT);
    later(3);
    filter.tick();
    fake::with(|host| {
        let metric = |name: &str| host.metric(&format!("doorward.scim_gateway.{name}")).to_vec();
        assert_eq!(metric("keys.joe_example.fetched"), [1]);
        assert_eq!(metric("keys.joe_example.age_seconds"), [3]);
        assert_eq!((metric("waiting"), metric("token_cache.entries")), (vec![0], vec![1]));
        assert_eq!(metric("verification_microseconds.sandbox.ES256").len(), 1);
        assert!(host.metric("doorward.jwt_authn.waiting").is_empty());
    });
    assert_eq!((filter.passages.len(), filter.flushed), (4, 2));
}

#[test]
fn the_filter_says_how_to_begin() {
    let mut filter = Filter::new();
    filter.begin = |authn, now, head| authn.begin(now, RequestHead { path: b"/open", ..head });
    assert_eq!(filter.receive(REQUEST), Passage::Open);
    filter.begin = |authn, now, head| authn.begin(now, RequestHead { path: b"/../..", ..head });
    assert_eq!(filter.receive(REQUEST), Passage::Answered);
}

#[test]
fn a_request_that_the_filter_keeps_paused_is_not_judged_again() {
    let mut filter = Filter::new();
    filter.passed = Passage::Waiting;
    filter.receive(REQUEST);
    let call = filter.tick();
    filter.answer(call, KEYS);
    assert_eq!(filter.passages, [Passage::Waiting, Passage::Waiting]);
    later(20);
    filter.tick();
    assert_eq!(filter.passages.len(), 2);
    assert_eq!(continued(), [0_u32; 0]);
}

#[test]
fn a_request_that_failed_waits_no_longer() {
    for failing in ["proxy_get_header_map_pairs", "proxy_get_current_time_nanoseconds"] {
        let mut filter = Filter::new();
        filter.receive(REQUEST);
        filter.tick();
        later(10);
        let now = UnixTime::from_secs(i64::try_from(BEFORE_EXPIRY).unwrap() + 10);
        fake::with(|host| host.force(failing, 10));
        let again = filter.authenticator.tick(now).unwrap();
        assert_eq!(again, [REQUEST]);
        crate::gate::admit_again(&mut filter, again);
        assert_eq!(filter.passages, [Passage::Waiting, Passage::Answered], "{failing}");
        assert_eq!(filter.authenticator.tick(now).unwrap(), [0_u32; 0], "{failing}");
    }
}

#[test]
fn a_request_that_cannot_be_seen_to_does_not_wait() {
    let mut filter = Filter::new();
    let call = filter.tick();
    // RFC 8037 appendix A.2: not the token's key, so that it has to be fetched for.
    filter.answer(
        call,
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
    );
    filter.tick();
    later(6);
    fake::with(|host| host.force("proxy_set_tick_period_milliseconds", 10));
    assert_eq!(filter.receive(REQUEST), Passage::Answered);
    fake::with(|host| host.force("proxy_set_tick_period_milliseconds", 0));
    let call = filter.tick();
    filter.answer(call, KEYS);
    assert_eq!(filter.passages, [Passage::Answered]);
}
