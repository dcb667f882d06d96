//! A token that comes again: what is remembered of it, and what ends that.

use crate::host::{CORP, End, Host, NOW, claims, corp_only, corp_token, key, with};
use crate::keys::{Owner, TestKey, key_set};
use doorward::jose::{Algorithm, base64url};
use serde_json::{Value, json};

/// The end of a request with this token, and how many signatures were checked for it.
fn send(host: &Host, path: &str, token: &str) -> (String, usize) {
    let (end, checks) = host.run("GET", path, &[("authorization", &format!("Bearer {token}"))]);
    (end.code().to_owned(), checks)
}

fn expect(host: &Host, path: &str, token: &str, code: &str, checks: usize) {
    assert_eq!(send(host, path, token), (code.to_owned(), checks), "{path}");
}

fn forged(token: &str) -> String {
    let (signed, _) = token.rsplit_once('.').unwrap();
    format!("{signed}.{}", base64url::encode(&[1; 64]))
}

#[test]
fn a_repeated_token_costs_no_signature_check_and_passes_the_same_way() {
    let host = Host::new(&corp_only());
    let token = corp_token(&json!({}));
    let fields = [("authorization", &*format!("Bearer {token}")), ("X_User_Id", "root"), ("cookie", "a=b")];
    let (first, checks) = host.run("GET", "/", &fields);
    assert_eq!(checks, 1);
    for _ in 0..3 {
        let (again, checks) = host.run("GET", "/", &fields);
        assert_eq!((&again, checks), (&first, 0));
    }
    assert_eq!(first.values("x-user-id"), ["alice"]);
    assert_eq!((first.values("X_User_Id"), first.values("authorization")), (vec![], vec![]));
    let counts = host.authn.borrow().cache_counts();
    assert_eq!((counts.hits, counts.misses, counts.entries), (3, 1, 1));
}

#[test]
fn a_token_ends_when_it_ends() {
    let mut host = Host::new(&corp_only());
    let token = corp_token(&json!({ "exp": NOW + 100 }));
    expect(&host, "/", &token, "ok", 1);
    host.later(159);
    expect(&host, "/", &token, "ok", 0);
    host.later(1);
    expect(&host, "/", &token, "token_expired", 0);
    // A clock that is set back far enough finds a token from the future.
    let mut host = Host::new(&corp_only());
    expect(&host, "/", &token, "ok", 1);
    host.now = doorward::time::UnixTime::from_secs(NOW - 1000);
    expect(&host, "/", &token, "token_issued_in_future", 0);
}

#[test]
fn only_the_very_same_token_is_remembered() {
    let host = Host::new(&corp_only());
    let token = corp_token(&json!({}));
    expect(&host, "/", &token, "ok", 1);
    let other = corp_token(&json!({ "sub": "mallory" }));
    let (head, payload, signature) = (
        token.split('.').next().unwrap(),
        other.split('.').nth(1).unwrap(),
        token.split('.').nth(2).unwrap(),
    );
    expect(&host, "/", &format!("{head}.{payload}.{signature}"), "signature_invalid", 1);
    expect(&host, "/", &forged(&token), "signature_invalid", 1);
    expect(&host, "/", &token[..token.len() - 1], "token_malformed", 0);
    expect(&host, "/", &token, "ok", 0);
}

#[test]
fn a_bad_signature_is_checked_once_for_a_while() {
    let mut host = Host::new(&corp_only());
    let token = forged(&corp_token(&json!({})));
    expect(&host, "/", &token, "signature_invalid", 1);
    let (End::Denied(first), 0) = host.run("GET", "/", &[("authorization", &format!("Bearer {token}"))])
    else {
        panic!()
    };
    assert_eq!(first.evidence.key_id(), Some("k1"));
    host.later(9);
    expect(&host, "/", &token, "signature_invalid", 0);
    host.later(1);
    expect(&host, "/", &token, "signature_invalid", 1);
}

fn remote() -> Value {
    let remote = json!({ "uri": "https://login.example.com/jwks", "cluster": "idp", "refresh": "60s", "stale_for": "60s" });
    with(corp_only(), "/providers/corp/jwks", json!({ "remote": remote }))
}

#[test]
fn other_keys_end_it_and_the_same_keys_do_not() {
    let mut host = Host::new(&remote());
    let token = corp_token(&json!({ "exp": NOW + 1000 }));
    let bad = forged(&token);
    let keys = key_set([&key(Owner::First)]).to_string();
    expect(&host, "/", &token, "waits", 0);
    host.answer(Ok(keys.as_bytes()));
    expect(&host, "/", &token, "ok", 1);
    expect(&host, "/", &bad, "signature_invalid", 1);
    host.later(60);
    host.answer(Ok(keys.as_bytes()));
    expect(&host, "/", &token, "ok", 0);

    let two = key_set([&key(Owner::First), &TestKey::new(Algorithm::Es256, Owner::Second, "k2")]).to_string();
    host.later(60);
    host.answer(Ok(two.as_bytes()));
    expect(&host, "/", &token, "ok", 1);
    expect(&host, "/", &bad, "signature_invalid", 1);
    let rotated = key_set([&key(Owner::Second)]).to_string();
    host.later(60);
    host.answer(Ok(rotated.as_bytes()));
    expect(&host, "/", &token, "signature_invalid", 1);
    host.later(60);
    host.answer(Ok(two.as_bytes()));
    expect(&host, "/", &token, "ok", 1);
    // Beyond their lifetime and `stale_for` keys vouch for nothing any more.
    host.later(121);
    assert_eq!(send(&host, "/", &token).0, "keys_unavailable");
}

#[test]
fn each_rule_judges_for_itself_with_one_signature_check() {
    let rule =
        |path: &str, require: Value| json!({ "match": { "path": { "prefix": path } }, "require": require });
    let rules = json!([
        rule("/write", json!({ "provider": "corp", "scopes": ["write"] })),
        rule("/read", json!({ "provider": "corp", "scopes": ["read"] })),
        rule(
            "/both",
            json!({ "all": [{ "provider": "corp" }, { "provider": "corp", "allow_missing": true }] })
        ),
        rule("/open", json!({ "provider": "corp", "allow_missing": true })),
    ]);
    let host = Host::new(&with(corp_only(), "/rules", rules));
    let token = corp_token(&json!({ "scope": "read" }));
    expect(&host, "/write", &token, "scope_missing", 1);
    for _ in 0..2 {
        expect(&host, "/write", &token, "scope_missing", 0);
        expect(&host, "/read", &token, "ok", 0);
        expect(&host, "/both", &token, "ok", 0);
        expect(&host, "/open", &token, "ok", 0);
        expect(&host, "/elsewhere", &token, "no_matching_rule", 0);
    }
    assert_eq!(host.get("/read", &[]).code(), "token_missing");
    assert_eq!(host.get("/open", &[]).code(), "ok");
}

#[test]
fn another_provider_with_the_same_issuer_is_another_matter() {
    let mut document = corp_only();
    let mut strict = document["providers"]["corp"].clone();
    strict["jwks"]["inline"] = key_set([&key(Owner::Second)]);
    document["providers"]["strict"] = strict;
    document["rules"] = json!([
        { "match": { "path": { "prefix": "/strict" } }, "require": { "provider": "strict" } },
        { "match": {}, "require": { "provider": "corp" } },
    ]);
    let host = Host::new(&document);
    let token = corp_token(&json!({}));
    expect(&host, "/", &token, "ok", 1);
    expect(&host, "/strict", &token, "signature_invalid", 1);
    expect(&host, "/strict", &token, "signature_invalid", 0);
    expect(&host, "/", &token, "ok", 0);
}

#[test]
fn another_place_is_another_matter() {
    let from = json!([{ "header": "authorization", "scheme": "Bearer" }, { "cookie": "session" }]);
    let host = Host::new(&with(corp_only(), "/providers/corp/from", from));
    let token = corp_token(&json!({}));
    let cookie = format!("session={token}");
    expect(&host, "/", &token, "ok", 1);
    for _ in 0..2 {
        let end = host.get("/", &[("cookie", &cookie)]);
        assert_eq!((end.values("cookie"), end.values("x-user-id")), (vec![], vec!["alice"]));
        let end = host.bearer(&token);
        assert_eq!((end.values("authorization"), end.values("x-user-id")), (vec![], vec!["alice"]));
    }
}

#[test]
fn a_token_that_is_kept_is_kept_for_its_rule_alone() {
    // A reporting rule remembers nothing that an enforced one would not.
    let rules = json!([
        { "match": { "path": { "prefix": "/new" } }, "require": { "provider": "corp", "scopes": ["x"] }, "enforce": "report" },
        { "match": {}, "require": { "provider": "corp" } },
    ]);
    let host = Host::new(&with(corp_only(), "/rules", rules));
    let token = key(Owner::First).sign(&claims(CORP, &json!({})));
    for _ in 0..2 {
        let end = host.get("/new", &[("authorization", &format!("Bearer {token}"))]);
        assert_eq!(end.values("x-user-id"), [""; 0], "reported, without identity");
    }
    expect(&host, "/", &token, "ok", 0);
}

#[test]
fn without_a_cache_each_signature_is_checked() {
    let host = Host::new(&with(corp_only(), "/limits", json!({ "cached_tokens": 0 })));
    let token = corp_token(&json!({}));
    for _ in 0..2 {
        expect(&host, "/", &token, "ok", 1);
        expect(&host, "/", &forged(&token), "signature_invalid", 1);
    }
}
