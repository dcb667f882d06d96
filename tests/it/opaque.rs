//! Opaque tokens from head to decision (RFC 7662).

use crate::host::{CORP, End, Host, NOW, PARTNER, claims, corp_only, corp_token, key, with};
use crate::keys::Owner;
use doorward::authn::decision::Decision;
use doorward::authn::{Awaited, Outcome, Step};
use doorward::http::{HeaderField, RequestHead};
use doorward::oauth::{IntrospectionCall, TokenDigest};
use doorward::oidc::{FetchError, FetchResponse, FetchResult};
use doorward::policy::ProviderId;
use serde_json::{Value, json};

fn introspected(issuer: &str) -> Value {
    let introspection = json!({
        "uri": "https://login.example.com/introspect", "cluster": "idp", "client_id": "edge", "client_secret": "s",
    });
    json!({ "issuer": issuer, "audiences": ["api"], "introspection": introspection })
}

/// `opaque` is asked about its tokens, `corp` has keys; both may share an issuer.
fn document(opaque_issuer: &str) -> Value {
    let document = with(corp_only(), "/providers/opaque", introspected(opaque_issuer));
    let document = with(document, "/payload_header", json!("x-payload"));
    let require = json!({ "any": [{ "provider": "corp" }, { "provider": "opaque", "scopes": ["read"] }] });
    with(document, "/rules/0/require", require)
}

/// An answer about an active token.
fn active(change: &Value) -> String {
    let mut answer = claims(CORP, change);
    answer["active"] = json!(true);
    answer.to_string()
}

fn calls(host: &Host) -> Vec<(ProviderId, IntrospectionCall)> {
    host.authn.borrow_mut().poll_introspections(host.now)
}

fn answer(host: &Host, result: FetchResult<'_>) {
    let due = calls(host);
    let [(provider, call)] = due.as_slice() else { panic!("expected one call: {due:?}") };
    host.authn.borrow_mut().introspection_mut(*provider).unwrap().handle(host.now, call.token, result);
}

fn ok(body: &str) -> FetchResult<'_> {
    Ok(FetchResponse { status: 200, cache_control: None, body: body.as_bytes() })
}

/// How a request with an opaque token ends after this answer.
fn end_after(result: FetchResult<'_>) -> End {
    let host = Host::new(&document(CORP));
    assert_eq!(host.bearer("opaque").code(), "waits");
    answer(&host, result);
    host.bearer("opaque")
}

#[test]
fn an_active_token_passes_with_its_identity() {
    let mut host = Host::new(&document(CORP));
    let awaited = Awaited::Introspection(ProviderId(1), TokenDigest::of(b"opaque"));
    assert_eq!(host.bearer("opaque"), End::Awaits(awaited));
    let body = active(&json!({ "scope": "read write" }));
    answer(&host, ok(&body));
    let end = host.bearer("opaque");
    assert_eq!(end.values("x-user-id"), ["alice"]);
    assert_eq!(end.values("x-payload"), [doorward::jose::base64url::encode(body.as_bytes())]);
    assert_eq!(end.values("authorization"), [""; 0]);
    host.later(59);
    assert_eq!(host.bearer("opaque").code(), "ok");
    assert!(calls(&host).is_empty(), "the answer is kept");
    host.later(1);
    assert_eq!(host.bearer("opaque").code(), "waits", "for a minute");
}

#[test]
fn an_answer_is_held_to_the_same_rules_as_a_token() {
    let check = |change: Value, expected: &str| {
        let change = with(change, "/scope", json!("read"));
        assert_eq!(end_after(ok(&active(&change))).code(), expected, "{change}");
    };
    check(json!({}), "ok");
    check(json!({ "iss": null }), "ok");
    check(json!({ "exp": null }), "ok");
    check(json!({ "iss": PARTNER }), "issuer_not_allowed");
    check(json!({ "iss": 7 }), "claim_malformed");
    check(json!({ "aud": "other" }), "audience_not_allowed");
    check(json!({ "aud": null }), "claim_missing");
    check(json!({ "exp": NOW - 60 }), "token_expired");
    check(json!({ "nbf": NOW + 61 }), "token_not_yet_valid");
    assert_eq!(end_after(ok(&active(&json!({})))).code(), "scope_missing");
    assert_eq!(end_after(ok(r#"{"active":false}"#)).code(), "token_inactive");
}

#[test]
fn a_provider_that_cannot_be_asked_is_not_the_clients_fault() {
    let unavailable = end_after(Err(FetchError::NoResponse));
    assert_eq!(unavailable.code(), "introspection_unavailable");
    assert_eq!((unavailable.challenge(), unavailable.header("retry-after")), (None, Some("5")));
    let refused = Ok(FetchResponse { status: 401, cache_control: None, body: b"" });
    assert_eq!(end_after(refused).code(), "introspection_unavailable");
    assert_eq!(end_after(ok("{}")).code(), "introspection_unavailable");
}

#[test]
fn giving_up_is_unavailable_too() {
    let host = Host::new(&document(CORP));
    let fields = [
        HeaderField { name: b":method", value: b"GET" },
        HeaderField { name: b":path", value: b"/" },
        HeaderField { name: b"authorization", value: b"Bearer opaque" },
    ];
    let Step::Await(_, pending) = host.authn.borrow_mut().begin(host.now, RequestHead::new(&fields)) else {
        panic!()
    };
    let step = host.authn.borrow_mut().resume(host.now, *pending, Outcome::Unavailable);
    let Step::Decide(Decision::Reject(reply)) = step else { panic!() };
    assert_eq!((reply.denial.code(), reply.provider), ("introspection_unavailable", Some(ProviderId(1))));
}

#[test]
fn tokens_find_their_way_by_shape_and_issuer() {
    // One issuer: its JWTs by keys, its opaque tokens by asking.
    let host = Host::new(&document(CORP));
    assert_eq!(host.bearer(&corp_token(&json!({}))).code(), "ok");
    assert_eq!(host.bearer("v4.public.x").code(), "waits");
    assert_eq!(calls(&host).len(), 1);
    // Two issuers: each JWT to its own, and one of a third to nobody.
    let host = Host::new(&document(PARTNER));
    assert_eq!(host.bearer(&corp_token(&json!({}))).code(), "ok");
    assert_eq!(host.bearer(&corp_token(&json!({ "iss": PARTNER }))).code(), "waits");
    assert_eq!(host.bearer(&corp_token(&json!({ "iss": "https://other" }))).code(), "issuer_not_allowed");
    assert_eq!(host.bearer(&corp_token(&json!({ "iss": null }))).code(), "issuer_not_allowed");
    assert_eq!(calls(&host).len(), 1);
    // Without one that is asked, an opaque token is malformed.
    assert_eq!(Host::new(&corp_only()).bearer("opaque").code(), "token_malformed");
}

#[test]
fn calls_carry_the_trace_and_the_token() {
    let host = Host::new(&document(CORP));
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    host.get("/", &[("authorization", "Bearer a.b"), ("traceparent", trace)]);
    let calls = calls(&host);
    assert!(calls[0].1.headers.contains(&("traceparent", trace.to_owned())));
    assert!(calls[0].1.body.starts_with(b"token=a.b&"));
    assert!(!format!("{calls:?}").contains("a.b"));
}

#[test]
fn each_provider_keeps_its_place() {
    // `corp` looks into a header, `opaque` into a cookie: a token in the other's place is not its own.
    let document = with(document(PARTNER), "/providers/opaque/from", json!([{ "cookie": "session" }]));
    let host = Host::new(&document);
    assert_eq!(host.bearer("opaque").code(), "issuer_not_allowed");
    assert_eq!(host.get("/", &[("cookie", "session=opaque")]).code(), "waits");
    let jwt = key(Owner::First).sign(&claims(CORP, &json!({})));
    assert_eq!(host.get("/", &[("cookie", &format!("session={jwt}"))]).code(), "issuer_not_allowed");
}
