//! One request from head to decision: configuration, tokens, keys and headers together, in virtual time.

use crate::host::{
    CORP, End, Fields, Host, NOW, PARTNER, claims, corp_only, corp_token, key, provider, with,
};
use crate::keys::{Owner, TestKey, key_set};
use doorward::authn::decision::Decision;
use doorward::authn::{Awaited, LogLine, Outcome, Step};
use doorward::http::{HeaderField, RequestHead};
use doorward::jose::{Algorithm, base64url, crypto};
use doorward::oidc::{FetchError, KeySetUpdate};
use doorward::policy::ProviderId;
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn each_token_gets_its_own_verdict() {
    let host = Host::new(&corp_only());
    let check = |token: &str, expected: &str| {
        let end = host.bearer(token);
        assert_eq!(end.code(), expected, "{token}");
    };
    let claim = |change: Value, expected: &str| check(&corp_token(&change), expected);
    claim(json!({}), "ok");
    claim(json!({ "aud": ["other", "api"] }), "ok");
    claim(json!({ "aud": "other" }), "audience_not_allowed");
    claim(json!({ "aud": null }), "claim_missing");
    claim(json!({ "iss": "https://login.example.com" }), "issuer_not_allowed");
    claim(json!({ "iss": null }), "issuer_not_allowed");
    claim(json!({ "exp": null }), "claim_missing");
    claim(json!({ "exp": "soon" }), "claim_malformed");
    // The clock may differ by a minute, unless configured otherwise; on the border a token has ended.
    claim(json!({ "exp": NOW - 59 }), "ok");
    claim(json!({ "exp": NOW - 60 }), "token_expired");
    claim(json!({ "nbf": NOW + 60 }), "ok");
    claim(json!({ "nbf": NOW + 61 }), "token_not_yet_valid");
    claim(json!({ "iat": NOW + 61 }), "token_issued_in_future");

    let good = claims(CORP, &json!({}));
    let signer = key(Owner::First);
    check(&key(Owner::Second).sign(&good), "signature_invalid");
    check(&TestKey::new(Algorithm::Es256, Owner::First, "k2").sign(&good), "key_not_found");
    check(&TestKey::new(Algorithm::Es384, Owner::First, "k1").sign(&good), "key_not_found");
    check(&TestKey::new(Algorithm::Hs256, Owner::First, "k1").sign(&good), "algorithm_not_allowed");
    check(&signer.sign_raw(r#"{"alg":"none"}"#, &good.to_string()), "algorithm_not_allowed");
    check(&signer.sign_raw(r#"{"alg":"ES256"}"#, &good.to_string()), "ok");
    check(&signer.sign_raw(r#"{"alg":"ES256","crit":["x"],"x":1}"#, &good.to_string()), "token_malformed");
    check(&signer.sign_raw(r#"{"alg":"ES256"}"#, "[]"), "token_malformed");
    check(&signer.sign_typed("at+jwt", &good), "ok");
    check(&signer.sign_typed("dpop+jwt", &good), "token_type_not_allowed");
    check("not-a-token", "token_malformed");
    check("a b", "credentials_malformed");
    check("", "credentials_malformed");
    check(&"a".repeat(17_000), "token_too_large");
}

#[test]
fn a_request_without_a_token_is_challenged() {
    let host = Host::new(&with(corp_only(), "/challenge", json!({ "realm": "api" })));
    let end = host.get("/", &[]);
    assert_eq!((end.code(), end.challenge()), ("token_missing", Some("Bearer realm=\"api\"")));
    assert_eq!(host.get("/", &[("authorization", "Basic YTpi")]).code(), "token_missing");
    let end = host.bearer(&corp_token(&json!({ "exp": 1 })));
    let expected = r#"Bearer realm="api", error="invalid_token", error_description="The token has expired""#;
    assert_eq!(end.challenge(), Some(expected));
    let two = [("authorization", "Bearer a.b.c"), ("authorization", "Bearer a.b.c")];
    assert_eq!(host.get("/", &two).code(), "token_repeated");
}

#[test]
fn what_no_rule_is_for_is_denied() {
    let host = Host::new(&with(
        corp_only(),
        "/rules/0/match",
        json!({ "path": { "prefix": "/api" }, "methods": ["GET"] }),
    ));
    let token = format!("Bearer {}", corp_token(&json!({})));
    let check = |method: &str, path: &str, expected: &str| {
        let (end, _) = host.run(method, path, &[("authorization", &token)]);
        assert_eq!(end.code(), expected, "{method} {path}");
    };
    check("GET", "/api/x?y", "ok");
    check("POST", "/api/x", "no_matching_rule");
    check("GET", "/apis", "no_matching_rule");
    check("GET", "/api/..%2fadmin", "path_not_accepted");
    check("GET", "/api//x", "path_not_accepted");
    check("CONNECT", "", "path_not_accepted");
    check("get", "/api/x", "method_not_accepted");
    check("Get", "/api/x", "method_not_accepted");
    check("G\u{d7}T", "/api/x", "method_not_accepted");
    check("", "/api/x", "method_not_accepted");
    check("M-SEARCH", "/api/x", "no_matching_rule");
    let named = |name: &str| host.get("/api/x", &[("authorization", &token), (name, "v")]).code().to_owned();
    assert_eq!((named("x-caf_e"), named("x-caf\u{e9}")), ("ok".to_owned(), "header_not_accepted".to_owned()));
}

#[test]
fn every_key_of_the_kid_is_tried_up_to_a_bound() {
    let (first, second) = (key(Owner::First), key(Owner::Second));
    let check = |keys: &[&TestKey], expected: (&str, usize)| {
        let host = Host::new(&with(corp_only(), "/providers/corp", provider(CORP, keys)));
        let token = format!("Bearer {}", corp_token(&json!({})));
        let (end, checks) = host.run("GET", "/", &[("authorization", &token)]);
        assert_eq!((end.code(), checks), expected);
    };
    check(&[&first], ("ok", 1));
    check(&[&second, &first], ("ok", 2));
    check(&[&first, &second], ("ok", 1));
    check(&[&second, &second], ("signature_invalid", 2));
    check(&[&second, &second, &second, &first], ("ok", 4));
    check(&[&second, &second, &second, &second, &first], ("signature_invalid", 4));
}

/// Two providers, told apart by where their tokens are.
fn two_providers(require: &Value) -> Host {
    let place = |issuer: &str, owner: Owner, header: &str| {
        with(json!({ "p": provider(issuer, &[&key(owner)]) }), "/p/from", json!([{ "header": header }]))["p"]
            .clone()
    };
    Host::new(&json!({
        "providers": {
            "corp": place(CORP, Owner::First, "x-corp-token"),
            "partner": place(PARTNER, Owner::Second, "x-partner-token"),
        },
        "rules": [{ "match": {}, "require": require }],
        "identity_headers": [
            { "header": "x-user-id", "claim": ["sub"] },
            { "header": "x-partner-id", "claim": ["sub"], "provider": "partner" },
            { "header": "x-groups", "claim": ["groups"], "list": "repeat" },
        ],
        "payload_header": "x-payload",
    }))
}

fn tokens() -> (String, String) {
    let corp = key(Owner::First).sign(&claims(CORP, &json!({ "sub": "alice", "groups": ["a,b", "c"] })));
    let partner = key(Owner::Second).sign(&claims(PARTNER, &json!({ "sub": "p-7", "scope": "read" })));
    (corp, partner)
}

#[test]
fn any_takes_one_token_and_refuses_two() {
    let host = two_providers(&json!({ "any": [{ "provider": "corp" }, { "provider": "partner" }] }));
    let (corp, partner) = tokens();
    assert_eq!(host.get("/", &[("x-corp-token", &corp)]).values("x-user-id"), ["alice"]);
    assert_eq!(host.get("/", &[("x-partner-token", &partner)]).values("x-user-id"), ["p-7"]);
    let both = [("x-corp-token", corp.as_str()), ("x-partner-token", partner.as_str())];
    assert_eq!(host.get("/", &both).code(), "token_repeated");
    // In the other's place a token proves nothing.
    assert_eq!(host.get("/", &[("x-partner-token", &corp)]).code(), "issuer_not_allowed");
    assert_eq!(host.get("/", &[]).code(), "token_missing");
}

#[test]
fn all_takes_a_token_for_each() {
    let host = two_providers(
        &json!({ "all": [{ "provider": "corp" }, { "provider": "partner", "scopes": ["read"] }] }),
    );
    let (corp, partner) = tokens();
    let both = [("x-partner-token", partner.as_str()), ("x-corp-token", corp.as_str())];
    let (end, checks) = host.run("GET", "/", &both);
    assert_eq!(checks, 2);
    // The first of the requirement is the one that names the user, whatever the order of the headers.
    assert_eq!((end.values("x-user-id"), end.values("x-partner-id")), (vec!["alice"], vec!["p-7"]));
    assert_eq!(end.values("x-payload"), [corp.split('.').nth(1).unwrap()]);
    assert!(end.values("x-corp-token").is_empty() && end.values("x-partner-token").is_empty());
    assert_eq!(host.get("/", &both[..1]).code(), "token_missing");
    assert_eq!(host.get("/", &both[1..]).code(), "token_missing");
    let weak = key(Owner::Second).sign(&claims(PARTNER, &json!({ "scope": "write" })));
    let end = host.get("/", &[("x-partner-token", &weak), ("x-corp-token", &corp)]);
    assert_eq!(end.code(), "scope_missing");
    assert!(end.challenge().unwrap().ends_with(r#"scope="read""#), "{end:?}");
}

#[test]
fn allow_missing_lets_nothing_but_absence_pass() {
    let host = two_providers(&json!({ "provider": "corp", "allow_missing": true }));
    let (corp, partner) = tokens();
    let forged = [("x-user-id", "root"), ("X_User.Id", "root"), ("x-payload", "e30")];
    let end = host.get("/", &forged);
    for (name, _) in forged {
        assert!(end.values(name).is_empty(), "{name}");
    }
    assert_eq!(host.get("/", &[("x-corp-token", &corp)]).values("x-user-id"), ["alice"]);
    assert_eq!(host.get("/", &[("x-corp-token", "x")]).code(), "token_malformed");
    assert_eq!(host.get("/", &[("x-corp-token", &partner)]).code(), "issuer_not_allowed");
    assert_eq!(host.get("/", &[("x-corp-token", "")]).code(), "token_malformed");
}

#[test]
fn conditions_on_claims_are_met_or_denied() {
    let check = |condition: &Value, claim: Value, expected: &str| {
        let require = json!({ "provider": "corp", "claims": [condition] });
        let host = Host::new(&with(corp_only(), "/rules/0/require", require));
        assert_eq!(host.bearer(&corp_token(&claim)).code(), expected, "{condition} {claim}");
    };
    let one_of = json!({ "path": ["tenant", "plan"], "one_of": ["gold", "silver"] });
    check(&one_of, json!({ "tenant": { "plan": "silver" } }), "ok");
    check(&one_of, json!({ "tenant": { "plan": "lead" } }), "claim_not_allowed");
    check(&one_of, json!({ "tenant": { "plan": ["gold"] } }), "claim_not_allowed");
    check(&one_of, json!({}), "claim_not_allowed");
    let contains = json!({ "path": ["groups"], "contains": "admin" });
    check(&contains, json!({ "groups": ["user", "admin"] }), "ok");
    check(&contains, json!({ "groups": ["user", "administrator"] }), "claim_not_allowed");
    check(&contains, json!({ "groups": "admin" }), "claim_not_allowed");
    let equals = json!({ "path": ["email_verified"], "equals": true });
    check(&equals, json!({ "email_verified": true }), "ok");
    check(&equals, json!({ "email_verified": "true" }), "claim_not_allowed");
}

#[test]
fn an_issuer_with_tenants_is_bound_to_the_tenant_claim() {
    let entra = json!({
        "issuer": "https://login.example.com/{tenant}/v2.0", "issuer_claims": { "tenant": "tid" },
        "issuer_allow": { "tenant": ["a", "b"] }, "audiences": ["api"],
        "jwks": { "inline": key_set([&key(Owner::First)]) },
    });
    let host = Host::new(&with(corp_only(), "/providers/corp", entra));
    let check = |tenant: &str, tid: Value, expected: &str| {
        let token =
            corp_token(&json!({ "iss": format!("https://login.example.com/{tenant}/v2.0"), "tid": tid }));
        assert_eq!(host.bearer(&token).code(), expected, "{tenant} {tid}");
    };
    check("a", json!("a"), "ok");
    check("b", json!("b"), "ok");
    check("a", json!("b"), "issuer_mismatch");
    check("a", json!(["a"]), "issuer_mismatch");
    check("a", json!(null), "issuer_mismatch");
    check("c", json!("c"), "issuer_not_allowed");
    check("a/../b", json!("b"), "issuer_not_allowed");
    check("{tenant}", json!("{tenant}"), "issuer_not_allowed");
}

/// Tokens may live ten minutes, and must have a `jti`.
fn short_lived() -> Host {
    let document = with(corp_only(), "/providers/corp/max_lifetime", json!("600s"));
    Host::new(&with(document, "/providers/corp/required_claims", json!([["jti"]])))
}

#[test]
fn lifetime_and_required_claims_are_the_providers_to_set() {
    let host = short_lived();
    let check = |change: Value, expected: &str| {
        assert_eq!(host.bearer(&corp_token(&change)).code(), expected, "{change}");
    };
    check(json!({ "jti": "1", "iat": NOW - 60, "exp": NOW + 540 }), "ok");
    check(json!({ "jti": "1", "iat": NOW - 60, "exp": NOW + 541 }), "token_lifetime_too_long");
    check(json!({ "jti": "1", "iat": null, "exp": NOW + 600 }), "ok");
    check(json!({ "jti": "1", "iat": null, "exp": NOW + 601 }), "token_lifetime_too_long");
    check(json!({}), "claim_missing");
    check(json!({ "jti": "" }), "ok");
}

/// Within the clock skew neither date is refused by itself.
#[test]
fn a_token_that_ends_before_it_begins_is_refused() {
    let token = corp_token(&json!({ "jti": "1", "iat": NOW + 30, "exp": NOW + 20 }));
    assert_ne!(short_lived().bearer(&token).code(), "ok", "ended before it began");
}

fn remote() -> Value {
    let remote = json!({ "uri": "https://login.example.com/jwks", "cluster": "idp", "refresh": "300s" });
    with(corp_only(), "/providers/corp/jwks", json!({ "remote": remote }))
}

#[test]
fn requests_wait_for_the_first_keys_and_no_longer() {
    let mut host = Host::new(&remote());
    let token = corp_token(&json!({}));
    assert_eq!(host.bearer(&token), End::Awaits(Awaited::Keys(ProviderId(0))));
    // What needs no key does not wait.
    assert_eq!(host.bearer(&corp_token(&json!({ "exp": 1 }))).code(), "token_expired");
    assert_eq!(host.get("/", &[]).code(), "token_missing");

    let bearer = format!("Bearer {token}");
    let fields = [
        HeaderField { name: b":method", value: b"GET" },
        HeaderField { name: b":path", value: b"/" },
        HeaderField { name: b"authorization", value: bearer.as_bytes() },
    ];
    let Step::Await(_, pending) = host.authn.borrow_mut().begin(host.now, RequestHead::new(&fields)) else {
        panic!()
    };
    let Step::Decide(Decision::Reject(reply)) =
        host.authn.borrow_mut().resume(host.now, *pending, Outcome::Unavailable)
    else {
        panic!()
    };
    assert_eq!((reply.denial.code(), reply.status), ("keys_unavailable", 503));

    let keys = key_set([&key(Owner::First)]).to_string();
    assert_eq!(host.answer(Ok(keys.as_bytes())), KeySetUpdate::Fetched { keys: 1, skipped: 0 });
    assert_eq!(host.bearer(&token).values("x-user-id"), ["alice"]);
}

#[test]
fn an_answer_about_a_signature_cannot_stand_in_for_keys() {
    let host = Host::new(&remote());
    let bearer = format!("Bearer {}", corp_token(&json!({})));
    let fields = [
        HeaderField { name: b":method", value: b"GET" },
        HeaderField { name: b":path", value: b"/" },
        HeaderField { name: b"authorization", value: bearer.as_bytes() },
    ];
    let Step::Await(_, pending) = host.authn.borrow_mut().begin(host.now, RequestHead::new(&fields)) else {
        panic!()
    };
    let step = host.authn.borrow_mut().resume(host.now, *pending, Outcome::Signature(crypto::Verdict::Valid));
    assert!(matches!(step, Step::Decide(Decision::Reject(reply)) if reply.denial.code() == "internal_error"));
}

#[test]
fn outages_and_rotation_are_survived() {
    let mut host = Host::new(&remote());
    let (old, new) = (key(Owner::First), TestKey::new(Algorithm::Es256, Owner::Second, "k2"));
    let (old_set, new_set) = (key_set([&old]).to_string(), key_set([&new]).to_string());
    let long = json!({ "exp": NOW + 200_000 });
    let (old_token, new_token) = (corp_token(&long), new.sign(&claims(CORP, &long)));

    // The first failures are waited through, further ones are not.
    for (wait, code) in [(0, "waits"), (1, "waits"), (2, "keys_unavailable")] {
        host.later(wait);
        host.answer(Err(FetchError::NoResponse));
        assert_eq!(host.bearer(&old_token).code(), code);
        let due = host.authn.borrow_mut().poll_fetches(host.now);
        assert!(due.is_empty(), "a failed fetch is not repeated at once");
    }
    host.later(4);
    host.answer(Ok(old_set.as_bytes()));
    assert_eq!(host.bearer(&old_token).code(), "ok");

    // Keys stay in force while the provider is away, and what is no key set does not replace them.
    host.later(300);
    host.answer(Ok(b"{\"keys\":[]}"));
    host.later(1);
    host.answer(Ok(b"<html>"));
    assert_eq!(host.bearer(&old_token).code(), "ok");

    // A token of the next key makes a fetch, no sooner than the cooldown allows, and waits for it.
    assert_eq!(host.bearer(&new_token).code(), "waits");
    host.later(5);
    host.answer(Ok(new_set.as_bytes()));
    assert_eq!(host.bearer(&new_token).code(), "ok");
    // The old key is gone: that, too, one fetch must tell.
    assert_eq!(host.bearer(&old_token).code(), "waits");
    host.later(5);
    host.answer(Ok(new_set.as_bytes()));
    assert_eq!((host.bearer(&old_token).code(), host.bearer(&new_token).code()), ("key_not_found", "ok"));

    host.later(300 + 24 * 3600 - 1);
    assert_eq!(host.bearer(&new_token).code(), "ok");
    host.later(1);
    assert_eq!(host.bearer(&new_token).code(), "keys_unavailable");
}

#[test]
fn a_shared_secret_from_the_network_is_no_key() {
    let mut host = Host::new(&remote());
    let secret = TestKey::new(Algorithm::Hs256, Owner::First, "k1");
    let keys = key_set([&secret, &key(Owner::First)]).to_string();
    assert_eq!(host.answer(Ok(keys.as_bytes())), KeySetUpdate::Fetched { keys: 1, skipped: 1 });
    assert_eq!(host.bearer(&secret.sign(&claims(CORP, &json!({})))).code(), "algorithm_not_allowed");
}

#[test]
fn forged_identity_headers_never_reach_the_upstream() {
    let rules = json!([
        { "match": { "path": { "exact": "/open" } }, "allow": "anonymous" },
        { "match": { "path": { "prefix": "/api" } }, "require": { "provider": "corp" } },
    ]);
    let bypass = with(with(corp_only(), "/rules", rules), "/bypass_cors_preflight", json!(true));
    let host = Host::new(&bypass);
    let token = format!("Bearer {}", corp_token(&json!({})));
    let forged = [("x-user-id", "root"), ("X-User-Id", "root"), ("x_user_id", "root"), ("x.user.id", "root")];
    let preflight = [("origin", "https://a.example"), ("access-control-request-method", "PUT")];
    for (method, path, more, expected) in [
        ("GET", "/open", &[][..], &[][..]),
        ("GET", "/api", &[("authorization", token.as_str())], &["alice"]),
        ("OPTIONS", "/api", &preflight, &[]),
        ("OPTIONS", "/nowhere", &preflight, &[]),
    ] {
        let (end, _) = host.run(method, path, &[&forged[..], more].concat());
        assert_eq!(end.values("x-user-id"), expected, "{method} {path}");
        for (name, _) in &forged[1..] {
            assert!(end.values(name).is_empty(), "{method} {path} {name}");
        }
    }
    // What only looks like a preflight is judged like any request.
    let check =
        |host: &Host, method: &str, fields: Fields<'_>| host.run(method, "/api", fields).0.code().to_owned();
    assert_eq!(check(&host, "GET", &preflight), "token_missing");
    assert_eq!(check(&host, "OPTIONS", &preflight[..1]), "token_missing");
    assert_eq!(check(&host, "OPTIONS", &preflight[1..]), "token_missing");
    let strict = Host::new(&with(bypass, "/bypass_cors_preflight", json!(false)));
    assert_eq!(check(&strict, "OPTIONS", &preflight), "token_missing");
}

#[test]
fn the_used_token_is_taken_out_and_nothing_else() {
    let from = json!([
        { "header": "authorization", "scheme": "Bearer" },
        { "header": "x-token" },
        { "cookie": "session" },
        { "query": "access_token" },
    ]);
    let taken = Host::new(&with(corp_only(), "/providers/corp/from", from.clone()));
    let document =
        with(with(corp_only(), "/providers/corp/from", from), "/providers/corp/forward_token", json!(true));
    let kept = Host::new(&document);
    let token = corp_token(&json!({}));
    let (bearer, cookie) = (format!("Bearer {token}"), format!("a=1; session={token}; b=2"));
    let (alone, query) = (format!("session={token}"), format!("/p?x=1&access_token={token}&y=%20"));
    let check = |path: &str, fields: Fields<'_>, name: &str, expected: &[&str]| {
        assert_eq!(taken.get(path, fields).values(name), expected, "{name}");
        let unchanged = kept.get(path, fields);
        let sent: Vec<&str> =
            fields.iter().filter(|(found, _)| *found == name).map(|(_, value)| *value).collect();
        let sent = if name == ":path" { vec![path] } else { sent };
        assert_eq!(unchanged.values(name), sent, "{name}");
        assert_eq!(unchanged.values("x-user-id"), ["alice"]);
    };
    check("/", &[("authorization", &bearer)], "authorization", &[]);
    check("/", &[("x-token", &token)], "x-token", &[]);
    check("/", &[("x-token", &token), ("authorization", "Basic YTpi")], "authorization", &["Basic YTpi"]);
    check("/", &[("cookie", &cookie)], "cookie", &["a=1; b=2"]);
    check("/", &[("cookie", &alone)], "cookie", &[]);
    check("/", &[("cookie", "a=1"), ("cookie", &alone)], "cookie", &["a=1"]);
    check(&query, &[], ":path", &["/p?x=1&y=%20"]);
    check(&format!("/p?access_token={token}"), &[], ":path", &["/p"]);
    check(&format!("/p?%61ccess_token={token}&z"), &[], ":path", &["/p?z"]);
    let two = [("authorization", bearer.as_str()), ("cookie", alone.as_str())];
    assert_eq!(taken.get("/", &two).code(), "token_repeated");
}

#[test]
fn claims_become_headers() {
    let host = two_providers(&json!({ "any": [{ "provider": "corp" }, { "provider": "partner" }] }));
    let (corp, partner) = tokens();
    let end = host.get("/", &[("x-corp-token", &corp), ("x-partner-id", "forged"), ("x-groups", "forged")]);
    assert_eq!(end.values("x-user-id"), ["alice"]);
    assert_eq!(end.values("x-partner-id"), Vec::<&str>::new(), "bound to tokens of partner");
    assert_eq!(end.values("x-groups"), ["a%2Cb", "c"]);
    let payload = base64url::decode(end.values("x-payload")[0].as_bytes()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["sub"], "alice");
    assert_eq!(host.get("/", &[("x-partner-token", &partner)]).values("x-partner-id"), ["p-7"]);
}

#[test]
fn a_claim_that_must_identify_does_or_the_request_ends() {
    let headers =
        json!([{ "header": "x-user-id", "claim": ["sub"], "when_missing": "reject", "encoding": "reject" }]);
    let host = Host::new(&with(corp_only(), "/identity_headers", headers));
    assert_eq!(host.bearer(&corp_token(&json!({}))).values("x-user-id"), ["alice"]);
    assert_eq!(host.bearer(&corp_token(&json!({ "sub": null }))).code(), "identity_claim_missing");
    assert_eq!(host.bearer(&corp_token(&json!({ "sub": "a\r\nb" }))).code(), "identity_claim_unsafe");
    let encoded = Host::new(&corp_only());
    assert_eq!(encoded.bearer(&corp_token(&json!({ "sub": "a\r\nb" }))).values("x-user-id"), ["a%0D%0Ab"]);
}

#[test]
fn every_algorithm_passes_with_its_key() {
    for algorithm in Algorithm::ALL {
        let key = TestKey::new(algorithm, Owner::First, "k1");
        let document = with(corp_only(), "/providers/corp", provider(CORP, &[&key]));
        let host = Host::new(&with(document, "/providers/corp/algorithms", json!([algorithm.name()])));
        assert_eq!(host.bearer(&key.sign(&claims(CORP, &json!({})))).code(), "ok", "{algorithm}");
        let wrong = TestKey::new(algorithm, Owner::Second, "k1");
        assert_eq!(
            host.bearer(&wrong.sign(&claims(CORP, &json!({})))).code(),
            "signature_invalid",
            "{algorithm}"
        );
    }
}

/// Starts that lead past the first checks.
const PREFIXES: [&str; 5] =
    ["", "Bearer ", "session=", "eyJhbGciOiJFUzI1NiJ9.", "Bearer eyJhbGciOiJFUzI1NiJ9.e30."];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// A client can send any bytes in any field: each request gets an answer, and none of these passes.
    #[test]
    fn any_bytes_get_an_answer(
        path in prop::collection::vec(any::<u8>(), 0..40),
        fields in prop::collection::vec((0..5_usize, prop::collection::vec(any::<u8>(), 0..60)), 0..6),
        prefix in prop::sample::select(PREFIXES.to_vec()),
    ) {
        let from = json!([
            { "header": "authorization", "scheme": "Bearer" },
            { "header": "x-token" },
            { "cookie": "session" },
            { "query": "t" },
        ]);
        let host = Host::new(&with(corp_only(), "/providers/corp/from", from));
        let names = ["authorization", "x-token", "cookie", "x-user-id", "Host"].map(str::as_bytes);
        let values: Vec<Vec<u8>> = fields.iter().map(|(_, value)| [prefix.as_bytes(), value].concat()).collect();
        let path = [b"/?t=", &path[..]].concat();
        let mut view = vec![HeaderField { name: b":method", value: b"GET" }, HeaderField { name: b":path", value: &path }];
        let named = fields.iter().zip(&values).map(|((name, _), value)| HeaderField { name: names[*name], value });
        view.extend(named);
        match host.authn.borrow_mut().begin(host.now, RequestHead::new(&view)) {
            Step::Decide(Decision::Reject(reply)) => prop_assert!(reply.status >= 400),
            step @ (Step::Decide(_)
            | Step::VerifySignature(..)
            | Step::Await(..)
            | Step::ReadCertificate(_)
            | Step::RecordProof(..)) => prop_assert!(false, "{:?}", step),
        }
    }
}

/// The values of `x-h` that the upstream sees for a claim, list style by name.
fn header_of(list: &str, claim: &Value) -> Vec<String> {
    let headers = json!([{ "header": "x-h", "claim": ["c"], "list": list }]);
    let host = Host::new(&with(corp_only(), "/identity_headers", headers));
    host.bearer(&corp_token(&json!({ "c": claim }))).values("x-h").into_iter().map(str::to_owned).collect()
}

#[test]
fn two_lists_are_never_written_alike() {
    let check = |list: &str| {
        let one = header_of(list, &json!(["a,b", "c d"]));
        for other in
            [json!(["a", "b", "c d"]), json!(["a,b", "c", "d"]), json!(["a%2Cb", "c d"]), json!(["a,b c d"])]
        {
            assert_ne!(one, header_of(list, &other), "{list}: {other}");
        }
    };
    ["comma", "space", "json", "repeat"].into_iter().for_each(check);
}

/// RFC 9110 section 5.3 lets every recipient join the fields of one name with commas, and WSGI, CGI and Node.js do; so
/// a comma inside an item of a repeated header would make two groups of one.
#[test]
fn repeated_fields_survive_being_joined() {
    let joined = |claim: &Value| header_of("repeat", claim).join(",");
    assert_ne!(joined(&json!(["a,b"])), joined(&json!(["a", "b"])), "one group, read as two");
}

/// Were a string written as it is, text that looks like a list would be one.
#[test]
fn a_string_is_never_written_like_a_json_list() {
    assert_ne!(
        header_of("json", &json!("[\"admin\"]")),
        header_of("json", &json!(["admin"])),
        "a string, read as a list"
    );
}

fn decide<'r>(host: &Host, fields: &'r [HeaderField<'r>]) -> Decision<'r> {
    let mut authn = host.authn.borrow_mut();
    let mut step = authn.begin(host.now, RequestHead::new(fields));
    loop {
        step = match step {
            Step::Decide(decision) => return decision,
            Step::VerifySignature(job, pending) => {
                authn.resume(host.now, *pending, Outcome::Signature(crypto::verify(&job)))
            }
            step @ (Step::Await(..) | Step::ReadCertificate(_) | Step::RecordProof(..)) => panic!("{step:?}"),
        };
    }
}

#[test]
fn claims_become_filter_state() {
    let entries = json!([
        { "name": "sub", "claim": ["sub"] },
        { "name": "groups", "claim": ["groups"], "list": "json" },
        { "name": "none", "claim": ["none"] },
    ]);
    let host = Host::new(&with(corp_only(), "/filter_state", entries));
    let bearer = format!("Bearer {}", corp_token(&json!({ "groups": ["a", "b"] })));
    let fields = [
        HeaderField { name: b":method", value: b"GET" },
        HeaderField { name: b":path", value: b"/" },
        HeaderField { name: b"authorization", value: bearer.as_bytes() },
    ];
    let Decision::Forward(forward) = decide(&host, &fields) else { panic!() };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(*forward.state, [pair("sub", "alice"), pair("groups", r#"["a","b"]"#)]);

    let needed = json!([{ "name": "none", "claim": ["none"], "when_missing": "reject" }]);
    let host = Host::new(&with(corp_only(), "/filter_state", needed));
    assert_eq!(host.bearer(&corp_token(&json!({}))).code(), "identity_claim_missing");
}

#[test]
fn a_log_line_says_why_and_gives_nobody_away() {
    let host = Host::new(&corp_only());
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let token = corp_token(&json!({ "exp": 1, "email": "alice@example.com" }));
    let bearer = format!("Bearer {token}");
    let fields = [
        HeaderField { name: b":method", value: b"GET" },
        HeaderField { name: b":path", value: b"/secret?x=y" },
        HeaderField { name: b"authorization", value: bearer.as_bytes() },
        HeaderField { name: b"traceparent", value: trace.as_bytes() },
    ];
    let Decision::Reject(reply) = decide(&host, &fields) else { panic!() };
    let authn = host.authn.borrow();
    let head = RequestHead::new(&fields);
    let line = LogLine::denied(&reply).to_json(authn.policy(), &head, 3);
    let expected = json!({
        "event": "denied", "code": "token_expired", "rule": 0, "provider": "corp", "kid": "k1", "iss": CORP,
        "sub_hash": reply.evidence.subject_hash().unwrap(), "suppressed": 3,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    });
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
    for private in ["alice", "secret", &token[..40]] {
        assert!(!line.contains(private), "{line}");
    }
}
