//! The filter against a host in the process: what no proxy can be made to do, such as failing hostcalls.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm,
    reason = "tests look for the one call they mean"
)]

use crate::gate::Gate;
use doorward_host::fake::{self, Call};
use doorward_host::{Action, Context, HttpContext, RootContext};
use std::cell::Cell;
use std::rc::Rc;

/// RFC 7515 appendix A.3: ES256, issuer joe, expires at 1300819380.
const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
const BEFORE_EXPIRY: u64 = 1_300_819_000;
type Root = doorward_effects::Root<Gate>;

const ROOT: u32 = 1;
const REQUEST: u32 = 7;

fn document(jwks: &str) -> String {
    format!(
        r#"{{"providers":{{"joe":{{"issuer":"joe","danger_any_audience":true,"jwks":{jwks}}}}},
            "rules":[{{"match":{{"path":{{"exact":"/open"}}}},"allow":"anonymous"}},{{"match":{{}},"require":{{"provider":"joe"}}}}],
            "identity_headers":[{{"header":"x-issuer","claim":["iss"]}}]}}"#
    )
}

fn inline() -> String {
    document(&format!(r#"{{"inline":{{"keys":[{KEY}]}}}}"#))
}

fn remote() -> String {
    document(r#"{"remote":{"uri":"https://joe.example/keys","cluster":"joe"}}"#)
}

/// A document under which each signature is checked anew.
fn uncached() -> String {
    inline().replace(r#""rules""#, r#""limits":{"cached_tokens":0},"rules""#)
}

/// A root context with this configuration, at a time when the token is valid.
fn root(document: &str) -> (Root, bool) {
    fake::reset();
    fake::with(|host| {
        host.now_nanoseconds = BEFORE_EXPIRY * 1_000_000_000;
        host.plugin_configuration = Some(document.as_bytes().to_vec());
        host.effective_context = ROOT;
    });
    let mut root = Root::new(ROOT);
    let accepted = root.on_configure(document.len());
    (root, accepted)
}

/// Sends a request and forgets the calls before it.
fn send(root: &Root, path: &str, extra: &[(&str, &str)]) -> (Box<dyn HttpContext>, Action) {
    fake::with(|host| {
        host.effective_context = REQUEST;
        let fields = [(":method", "GET"), (":path", path), (":authority", "api")];
        host.set_request_headers(fields.into_iter().chain(extra.iter().copied()));
        host.calls.clear();
    });
    let mut http = root.create_http_context(REQUEST).unwrap();
    let action = http.on_http_request_headers(3 + extra.len(), true);
    (http, action)
}

fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

fn header(name: &str) -> Option<String> {
    fake::with(|host| {
        host.effective_context = REQUEST;
        let found = host.request_headers().iter().find(|(n, _)| n == name.as_bytes());
        found.map(|(_, value)| String::from_utf8(value.clone()).unwrap())
    })
}

/// The status and details of the one local reply.
fn replied() -> Option<(u32, String)> {
    fake::with(|host| {
        let mut replies = host.calls.iter().filter_map(|call| match call {
            Call::LocalReply { status, details, .. } => {
                Some((*status, String::from_utf8(details.clone()).unwrap()))
            }
            _ => None,
        });
        let reply = replies.next();
        assert_eq!(replies.next(), None, "two replies to one request");
        reply
    })
}

fn expect_denied(action: Action, status: u32, details: &str) {
    assert_eq!(action, Action::Pause);
    assert_eq!(replied(), Some((status, details.to_owned())));
}

#[test]
fn a_valid_token_passes_and_becomes_a_header() {
    let (root, _) = root(&inline());
    let (_http, action) = send(&root, "/", &[("authorization", &bearer()), ("X_Issuer", "forged")]);
    assert_eq!((action, replied()), (Action::Continue, None));
    assert_eq!(header("x-issuer").as_deref(), Some("joe"));
    assert_eq!((header("authorization"), header("X_Issuer")), (None, None));
}

#[test]
fn a_faulty_configuration_does_not_load_and_denies_everything() {
    let (root, accepted) = root(r#"{"rules":[]}"#);
    assert!(!accepted);
    let (_http, action) = send(&root, "/open", &[]);
    expect_denied(action, 500, "doorward_internal_error");
}

#[test]
fn a_failing_hostcall_denies() {
    for call in [
        "proxy_get_current_time_nanoseconds",
        "proxy_get_header_map_pairs",
        "proxy_remove_header_map_value",
        "proxy_replace_header_map_value",
    ] {
        let (root, _) = root(&inline());
        fake::with(|host| host.force(call, 10));
        let (_http, action) = send(&root, "/", &[("authorization", &bearer()), ("x-issuer", "forged")]);
        expect_denied(action, 500, "doorward_internal_error");
    }
}

#[test]
fn a_denial_that_cannot_be_sent_still_does_not_pass() {
    let (root, _) = root(&inline());
    fake::with(|host| host.force("proxy_send_local_response", 10));
    let (_http, action) = send(&root, "/", &[]);
    assert_eq!((action, replied()), (Action::Pause, None));
}

/// Ticks until the key set has been asked for, and returns the call's token.
fn tick(root: &mut Root) -> u32 {
    fake::with(|host| host.effective_context = ROOT);
    root.on_tick();
    fake::with(|host| {
        let tokens = host.calls.iter().rev().find_map(|call| match call {
            Call::HttpCall { token, cluster, .. } if cluster == "joe" => Some(*token),
            _ => None,
        });
        tokens.unwrap()
    })
}

fn answer(root: &mut Root, call: u32, status: &str, body: &str) {
    fake::with(|host| {
        host.effective_context = ROOT;
        host.set_call_response([(":status", status)], body.as_bytes().to_vec());
    });
    root.on_http_call_response(call, 1, body.len(), 0);
}

fn later(millis: u64) {
    fake::with(|host| host.now_nanoseconds += millis * 1_000_000);
}

fn was_continued() -> bool {
    fake::with(|host| host.calls.contains(&Call::ContinueRequest(REQUEST)))
}

#[test]
fn a_request_waits_for_the_first_keys() {
    let (mut root, _) = root(&remote());
    let (_http, action) = send(&root, "/", &[("authorization", &bearer())]);
    assert_eq!((action, replied()), (Action::Pause, None));
    let call = tick(&mut root);
    assert!(!was_continued());
    answer(&mut root, call, "200", &format!(r#"{{"keys":[{KEY}]}}"#));
    assert!(was_continued());
    assert_eq!(header("x-issuer").as_deref(), Some("joe"));
}

#[test]
fn a_request_that_waited_is_judged_like_any_other() {
    let (mut root, _) = root(&remote());
    let tampered = bearer().replace(".DtEh", ".DtEi");
    let (_http, _) = send(&root, "/", &[("authorization", &tampered)]);
    let call = tick(&mut root);
    answer(&mut root, call, "200", &format!(r#"{{"keys":[{KEY}]}}"#));
    assert!(!was_continued());
    expect_denied(Action::Pause, 401, "doorward_signature_invalid");
}

#[test]
fn keys_that_do_not_come_are_not_the_clients_fault() {
    let (mut root, _) = root(&remote());
    let (_http, _) = send(&root, "/", &[("authorization", &bearer())]);
    for _ in 0..3 {
        assert_eq!(replied(), None, "the first failures are waited through");
        let call = tick(&mut root);
        answer(&mut root, call, "500", "");
        later(2000);
    }
    expect_denied(Action::Pause, 503, "doorward_keys_unavailable");
    assert!(!was_continued());
}

#[test]
fn a_request_waits_no_longer_than_the_limit() {
    let (mut root, _) = root(&remote());
    let (_http, _) = send(&root, "/", &[("authorization", &bearer())]);
    tick(&mut root);
    later(9_900);
    root.on_tick();
    assert_eq!(replied(), None);
    later(100);
    root.on_tick();
    expect_denied(Action::Pause, 503, "doorward_keys_unavailable");
}

#[test]
fn a_client_that_left_is_forgotten() {
    let (mut root, _) = root(&remote());
    let (http, _) = send(&root, "/", &[("authorization", &bearer())]);
    drop(http);
    let call = tick(&mut root);
    answer(&mut root, call, "200", &format!(r#"{{"keys":[{KEY}]}}"#));
    assert!(!was_continued());
    assert_eq!(replied(), None);
}

#[test]
fn a_call_that_cannot_be_made_is_tried_again() {
    let (mut root, _) = root(&remote());
    fake::with(|host| host.force("proxy_http_call", 10));
    root.on_tick();
    fake::with(|host| host.force("proxy_http_call", 0));
    later(1000);
    tick(&mut root);
}

#[test]
fn an_anonymous_route_passes_without_forged_headers() {
    let (root, _) = root(&inline());
    let (_http, action) = send(&root, "/open", &[("x.issuer", "forged"), ("authorization", "Bearer x")]);
    assert_eq!((action, replied()), (Action::Continue, None));
    fake::with(|host| assert_eq!(host.calls, [Call::RemoveHeader(b"x.issuer".to_vec())]));
    assert_eq!(header("authorization").as_deref(), Some("Bearer x"), "a token that was not used stays");
}

/// A second worker: another VM with the same configuration, on the same shared data.
fn second_worker(document: &str) -> Root {
    let mut root = Root::new(ROOT + 1);
    fake::with(|host| host.plugin_configuration = Some(document.as_bytes().to_vec()));
    assert!(root.on_configure(document.len()));
    root
}

fn calls_made() -> usize {
    fake::with(|host| host.calls.iter().filter(|call| matches!(call, Call::HttpCall { .. })).count())
}

#[test]
fn one_worker_fetches_and_requests_on_all_workers_go_on() {
    let (mut first, _) = root(&remote());
    let mut second = second_worker(&remote());
    let (_http, action) = send(&second, "/", &[("authorization", &bearer())]);
    assert_eq!(action, Action::Pause);
    let call = tick(&mut first);
    second.on_tick();
    assert_eq!(calls_made(), 1, "the other worker has the lease");
    answer(&mut first, call, "200", &format!(r#"{{"keys":[{KEY}]}}"#));
    assert!(!was_continued(), "the request is on the second worker");
    second.on_tick();
    assert!(was_continued());
    assert_eq!(calls_made(), 1);
}

#[test]
fn a_worker_that_dies_while_it_fetches_is_replaced() {
    let (mut first, _) = root(&remote());
    let mut second = second_worker(&remote());
    tick(&mut first);
    drop(first);
    second.on_tick();
    assert_eq!(calls_made(), 1);
    later(15_000);
    second.on_tick();
    assert_eq!(calls_made(), 2, "the lease has ended");
}

#[test]
fn a_worker_that_starts_late_has_keys_at_its_first_tick() {
    let (mut first, _) = root(&remote());
    let call = tick(&mut first);
    answer(&mut first, call, "200", &format!(r#"{{"keys":[{KEY}]}}"#));
    let mut second = second_worker(&remote());
    second.on_tick();
    assert_eq!(calls_made(), 1);
    let (_http, action) = send(&second, "/", &[("authorization", &bearer())]);
    assert_eq!(action, Action::Continue);
}

#[test]
fn an_unknown_key_is_fetched_for_and_its_request_waits() {
    let (mut root, _) = root(&remote());
    let call = tick(&mut root);
    // RFC 8037 appendix A.2: not the token's.
    let other =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    answer(&mut root, call, "200", other);
    root.on_tick();
    later(6000);
    let (_http, action) = send(&root, "/", &[("authorization", &bearer())]);
    assert_eq!((action, replied()), (Action::Pause, None));
    let calls = fake::with(|host| host.calls.clone());
    assert_eq!(calls, [Call::TickPeriod(50)], "the fetch does not wait for the slow tick");
    let call = tick(&mut root);
    answer(&mut root, call, "200", &format!(r#"{{"keys":[{KEY}]}}"#));
    assert!(was_continued());
}

#[test]
fn decisions_are_counted_and_handed_over_on_the_tick() {
    let (mut root, _) = root(&inline());
    send(&root, "/", &[("authorization", &bearer())]);
    send(&root, "/", &[("authorization", &bearer())]);
    send(&root, "/", &[("authorization", &bearer().replace(".DtEh", ".DtEi"))]);
    send(&root, "/", &[]);
    send(&root, "/open", &[]);
    fake::with(|host| {
        assert_eq!(host.metric("doorward.jwt_authn.allowed.joe"), [0_u64; 0], "no hostcall per request");
    });
    root.on_tick();
    fake::with(|host| {
        let metric = |name: &str| host.metric(&format!("doorward.jwt_authn.{name}")).to_vec();
        assert_eq!(metric("allowed.joe"), [2]);
        assert_eq!(metric("allowed.-"), [1]);
        assert_eq!(metric("denied.joe.signature_invalid"), [1]);
        assert_eq!(metric("denied.-.token_missing"), [1]);
    });
}

#[test]
fn key_fetches_are_counted_by_outcome() {
    let (mut root, _) = root(&remote());
    let call = tick(&mut root);
    answer(&mut root, call, "500", "");
    later(1000);
    let call = tick(&mut root);
    answer(&mut root, call, "200", &format!(r#"{{"keys":[{KEY}]}}"#));
    later(7000);
    root.on_tick();
    fake::with(|host| {
        let metric = |name: &str| host.metric(&format!("doorward.jwt_authn.keys.joe.{name}")).to_vec();
        assert_eq!((metric("failed"), metric("fetched"), metric("age_seconds")), (vec![1], vec![1], vec![7]));
    });
}

#[test]
fn an_unenforced_rule_lets_through_what_it_would_deny_and_says_so() {
    let (mut root, accepted) = root(&inline().replace(r#""require""#, r#""enforce":"report","require""#));
    assert!(accepted);
    let (_http, action) = send(&root, "/", &[("x-issuer", "forged"), ("authorization", "Bearer x.y.z")]);
    assert_eq!((action, replied()), (Action::Continue, None));
    assert_eq!(header("x-issuer"), None, "identity headers are ours all the same");
    assert_eq!(header("authorization").as_deref(), Some("Bearer x.y.z"));
    let reported = Call::SetProperty(b"doorward.reported".to_vec(), b"token_malformed".to_vec());
    fake::with(|host| assert!(host.calls.contains(&reported), "{:?}", host.calls));
    root.on_tick();
    fake::with(|host| assert_eq!(host.metric("doorward.jwt_authn.reported.-.token_malformed"), [1]));
    // What the rule would let through, it lets through with identity.
    let (_http, action) = send(&root, "/", &[("authorization", &bearer())]);
    assert_eq!((action, header("x-issuer").as_deref()), (Action::Continue, Some("joe")));
}

#[test]
fn a_waiting_request_costs_nothing_until_there_is_news() {
    let (mut root, _) = root(&remote());
    let (_http, _) = send(&root, "/", &[("authorization", &bearer())]);
    let call = tick(&mut root);
    fake::with(|host| host.calls.clear());
    later(50);
    root.on_tick();
    fake::with(|host| assert_eq!(host.calls, []));
    answer(&mut root, call, "200", &format!(r#"{{"keys":[{KEY}]}}"#));
    assert!(was_continued());
}

#[test]
fn a_clock_that_is_set_back_leaves_no_request_waiting() {
    let (mut root, _) = root(&remote());
    let (_http, _) = send(&root, "/", &[("authorization", &bearer())]);
    tick(&mut root);
    fake::with(|host| host.now_nanoseconds -= 60 * 1_000_000_000);
    root.on_tick();
    expect_denied(Action::Pause, 503, "doorward_keys_unavailable");
}

fn opaque() -> String {
    let introspection = r#""introspection":{"uri":"https://joe.example/introspect","cluster":"joe","client_id":"edge","client_secret":"s"}"#;
    document("{}").replace(r#""jwks":{}"#, introspection)
}

#[test]
fn a_request_with_an_opaque_token_waits_for_the_answer() {
    let (mut root, accepted) = root(&opaque());
    assert!(accepted);
    root.on_tick();
    let (_http, action) = send(&root, "/", &[("authorization", "Bearer opaque")]);
    assert_eq!((action, replied()), (Action::Pause, None));
    let calls = fake::with(|host| host.calls.clone());
    assert_eq!(calls, [Call::TickPeriod(1)], "the call does not wait for the slow tick");
    let call = tick(&mut root);
    let asked = fake::with(|host| {
        host.calls
            .iter()
            .any(|call| matches!(call, Call::HttpCall { body, .. } if body.starts_with(b"token=opaque&")))
    });
    assert!(asked && !was_continued());
    later(2000);
    root.on_tick();
    fake::with(|host| assert_eq!(host.metric("doorward.jwt_authn.waiting"), [1]));
    answer(&mut root, call, "200", r#"{"active":true,"iss":"joe"}"#);
    assert!(was_continued());
    assert_eq!(header("x-issuer").as_deref(), Some("joe"));
    let (_http, action) = send(&root, "/", &[("authorization", "Bearer opaque")]);
    assert_eq!(action, Action::Continue, "the answer is kept");
    root.on_tick();
    fake::with(|host| {
        let metric = |name: &str| host.metric(&format!("doorward.jwt_authn.{name}")).to_vec();
        assert_eq!(metric("introspection.joe.called"), [1]);
        // The request that waited is judged again.
        assert_eq!(metric("introspection.joe.hit"), [2]);
        assert_eq!(metric("introspection.joe.cached"), [1]);
        assert_eq!(metric("waiting"), [0]);
    });
}

#[test]
fn requests_that_wait_for_another_answer_are_left_alone() {
    let (mut root, _) = root(&opaque());
    let (_first, _) = send(&root, "/", &[("authorization", "Bearer one")]);
    let call = tick(&mut root);
    fake::with(|host| {
        host.effective_context = REQUEST + 1;
        host.set_request_headers([(":method", "GET"), (":path", "/"), ("authorization", "Bearer two")]);
    });
    let mut second = root.create_http_context(REQUEST + 1).unwrap();
    assert_eq!(second.on_http_request_headers(3, true), Action::Pause);
    tick(&mut root);
    fake::with(|host| host.calls.clear());
    answer(&mut root, call, "200", r#"{"active":false}"#);
    expect_denied(Action::Pause, 401, "doorward_token_inactive");
    fake::with(|host| assert!(!host.calls.contains(&Call::SetEffectiveContext(REQUEST + 1))));
}

#[test]
fn an_answer_that_does_not_come_is_not_the_clients_fault() {
    let (mut root, _) = root(&opaque());
    fake::with(|host| host.force("proxy_http_call", 10));
    let (_http, _) = send(&root, "/", &[("authorization", "Bearer opaque")]);
    root.on_tick();
    expect_denied(Action::Pause, 503, "doorward_introspection_unavailable");
    fake::with(|host| host.force("proxy_http_call", 0));
    let (_http, _) = send(&root, "/", &[("authorization", "Bearer other")]);
    let call = tick(&mut root);
    fake::with(|host| {
        host.effective_context = ROOT;
        host.set_call_response([("x", "")], vec![]);
    });
    root.on_http_call_response(call, 0, 0, 0);
    expect_denied(Action::Pause, 503, "doorward_introspection_unavailable");
    root.on_tick();
    fake::with(|host| assert_eq!(host.metric("doorward.jwt_authn.introspection.joe.failed"), [2]));
}

/// RFC 7519 has no signature here: an opaque token, so that claims can be any.
fn opaque_with(claims: &str) -> (Root, String) {
    let (mut root, accepted) = root(&opaque());
    assert!(accepted);
    let (http, _) = send(&root, "/", &[("authorization", "Bearer opaque")]);
    drop(http);
    let call = tick(&mut root);
    let body = format!(r#"{{"active":true,"iss":"joe",{claims}}}"#);
    answer(&mut root, call, "200", &body);
    (root, "Bearer opaque".to_owned())
}

#[test]
fn a_bound_token_is_held_to_the_certificate_of_the_connection() {
    // The SHA-256 of nothing, as hexadecimal digits and as base64url.
    const DIGEST: &[u8] = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let (root, bearer) = opaque_with(r#""cnf":{"x5t#S256":"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"}"#);
    let path = b"connection\0sha256_peer_certificate_digest".to_vec();
    let check = |shown: Option<&[u8]>, expected: Action| {
        fake::with(|host| match shown {
            Some(digest) => drop(host.properties.insert(path.clone(), digest.to_vec())),
            None => drop(host.properties.remove(&path)),
        });
        let (_http, action) = send(&root, "/", &[("authorization", &bearer)]);
        assert_eq!(action, expected, "{shown:?}");
    };
    check(Some(DIGEST), Action::Continue);
    check(None, Action::Pause);
    assert_eq!(replied(), Some((401, "doorward_certificate_mismatch".to_owned())));
    check(Some(&DIGEST.to_ascii_uppercase()), Action::Continue);
    check(Some(&DIGEST[2..]), Action::Pause);
    check(Some(&[DIGEST, b"00"].concat()), Action::Pause);
    check(Some(&[&DIGEST[2..], b"+5"].concat()), Action::Pause);
    check(Some(b"f"), Action::Pause);
}

#[test]
fn claims_become_filter_state_with_the_providers_name() {
    let state = r#""filter_state":[{"name":"issuer","claim":["iss"]}],"providers""#;
    let (root, accepted) = root(&inline().replace(r#""providers""#, state));
    assert!(accepted);
    let (_http, action) = send(&root, "/", &[("authorization", &bearer())]);
    assert_eq!(action, Action::Continue);
    let set = |name: &str| Call::SetProperty(name.as_bytes().to_vec(), b"joe".to_vec());
    fake::with(|host| {
        let found: Vec<_> =
            host.calls.iter().filter(|call| matches!(call, Call::SetProperty(..))).cloned().collect();
        assert_eq!(found, [set("doorward.issuer"), set("doorward.provider")]);
    });
    let (_http, _) = send(&root, "/open", &[]);
    fake::with(|host| assert!(!host.calls.iter().any(|call| matches!(call, Call::SetProperty(..)))));
}

#[test]
fn verifications_are_timed_by_algorithm() {
    let (mut root, _) = root(&uncached());
    for _ in 0..150 {
        send(&root, "/", &[("authorization", &bearer())]);
    }
    root.on_tick();
    fake::with(|host| {
        let times = host.metric("doorward.jwt_authn.verification_microseconds.sandbox.ES256");
        assert_eq!(times.len(), 100, "each costs a hostcall");
    });
}

/// A proxy that checks signatures as the sandbox does, but for what `change` makes of its answers. Counts how often it was asked.
fn with_host_crypto(change: fn(u32, bool) -> Result<bool, u32>) -> Rc<Cell<u32>> {
    let asked = Rc::new(Cell::new(0));
    let counter = Rc::clone(&asked);
    fake::with(|host| {
        host.set_foreign_function("verify_signature", move |arguments| {
            counter.set(counter.get() + 1);
            // Known answers differ in their last letter; the token of RFC 7515 is valid.
            let valid = !arguments.ends_with(b"answes") && !arguments.ends_with(b"forged");
            change(counter.get(), valid).map(|valid| if valid { vec![8, 1] } else { vec![] })
        });
    });
    asked
}

/// A root context that has been configured beside such a proxy.
fn root_with_host_crypto(change: fn(u32, bool) -> Result<bool, u32>) -> (Root, Rc<Cell<u32>>) {
    drop(root(&uncached()));
    let asked = with_host_crypto(change);
    let mut root = Root::new(ROOT);
    fake::with(|host| host.plugin_configuration = Some(uncached().into_bytes()));
    assert!(root.on_configure(0));
    (root, asked)
}

fn verifications(backend: &str) -> usize {
    fake::with(|host| {
        host.metric(&format!("doorward.jwt_authn.verification_microseconds.{backend}.ES256")).len()
    })
}

#[test]
fn the_proxy_checks_signatures_once_its_known_answers_were_right() {
    let (mut root, asked) = root_with_host_crypto(|_, valid| Ok(valid));
    assert_eq!(asked.get(), 12, "two for each of six algorithms");
    let (_http, action) = send(&root, "/", &[("authorization", &bearer())]);
    assert_eq!((action, asked.get()), (Action::Continue, 13));
    root.on_tick();
    assert_eq!((verifications("host"), verifications("sandbox")), (1, 0));
}

#[test]
fn a_proxy_that_gives_a_wrong_answer_is_not_asked_again() {
    for change in [
        (|_, _| Ok(true)) as fn(u32, bool) -> Result<bool, u32>,
        |_, _| Ok(false),
        |_, valid| Ok(!valid),
        |_, _| Err(2),
        |_, _| Err(1),
    ] {
        let (mut root, asked) = root_with_host_crypto(change);
        let before = asked.get();
        let (_http, action) = send(&root, "/", &[("authorization", &bearer())]);
        assert_eq!((action, asked.get()), (Action::Continue, before));
        let (_http, _) = send(&root, "/", &[("authorization", &bearer().replace(".DtEh", ".DtEi"))]);
        expect_denied(Action::Pause, 401, "doorward_signature_invalid");
        root.on_tick();
        assert_eq!((verifications("host"), verifications("sandbox")), (0, 2));
    }
}

#[test]
fn a_proxy_that_fails_later_is_replaced_by_the_sandbox() {
    let (mut root, asked) =
        root_with_host_crypto(|count, valid| if count > 12 { Err(10) } else { Ok(valid) });
    for _ in 0..2 {
        let (_http, action) = send(&root, "/", &[("authorization", &bearer())]);
        assert_eq!((action, asked.get()), (Action::Continue, 13), "it is not asked again");
    }
    root.on_tick();
    assert_eq!((verifications("host"), verifications("sandbox")), (0, 2));
}

#[test]
fn a_repeated_token_takes_the_fewest_hostcalls() {
    let three = r#""identity_headers":[{"header":"x-a","claim":["iss"]},{"header":"x-b","claim":["iss"]},"#;
    let (mut root, accepted) = root(&inline().replace(r#""identity_headers":["#, three));
    assert!(accepted);
    let made = |root: &Root, extra: &[(&str, &str)]| {
        let authorization = bearer();
        let fields = [&[("authorization", authorization.as_str())], extra].concat();
        fake::with(|host| drop(host.take_made()));
        let (_http, action) = send(root, "/", &fields);
        assert_eq!(action, Action::Continue);
        fake::with(|host| host.take_made())
    };
    const CLOCK: &str = "proxy_get_current_time_nanoseconds";
    const READ: &str = "proxy_get_header_map_pairs";
    const REMOVE: &str = "proxy_remove_header_map_value";
    const SET: &str = "proxy_replace_header_map_value";
    // The first time, the signature is checked, and that is timed.
    assert_eq!(made(&root, &[]), [CLOCK, READ, CLOCK, CLOCK, REMOVE, SET, SET, SET]);
    for _ in 0..3 {
        assert_eq!(made(&root, &[]), [CLOCK, READ, REMOVE, SET, SET, SET]);
    }
    assert_eq!(made(&root, &[("X_A", "forged")]), [CLOCK, READ, REMOVE, REMOVE, SET, SET, SET]);
    root.on_tick();
    fake::with(|host| {
        let metric = |name: &str| host.metric(&format!("doorward.jwt_authn.token_cache.{name}")).to_vec();
        assert_eq!((metric("hit"), metric("miss"), metric("entries")), (vec![4], vec![1], vec![1]));
        assert!(metric("bytes")[0] > 300);
    });
}
