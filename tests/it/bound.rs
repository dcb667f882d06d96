//! Tokens that are bound to a certificate (RFC 8705) or to a key (RFC 9449), from head to decision.

use crate::host::{End, Host, NOW, PARTNER, claims, corp_only, corp_token, key, with};
use crate::keys::{Owner, TestKey, key_set};
use doorward::jose::{Algorithm, base64url, thumbprint};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::cell::Cell;

const REQUEST: &str = "https://api.example.com/orders";

/// A client with a key of its own.
struct Client {
    key: TestKey,
    proofs: Cell<u32>,
}

impl Client {
    fn new(owner: Owner) -> Self {
        Self { key: TestKey::new(Algorithm::EdDsa, owner, "client"), proofs: Cell::new(0) }
    }

    /// The public key as a proof shows it.
    fn jwk(&self) -> Value {
        let mut jwk = self.key.jwk.clone();
        jwk.as_object_mut().unwrap().retain(|name, _| ["kty", "crv", "x"].contains(&name.as_str()));
        jwk
    }

    fn thumbprint(&self) -> String {
        base64url::encode(&thumbprint::sha256(&self.jwk()).unwrap())
    }

    /// A token that is bound to the key.
    fn token(&self) -> String {
        corp_token(&json!({ "cnf": { "jkt": self.thumbprint() } }))
    }

    /// A proof for a GET of `REQUEST` with `token`; `change` replaces claims, `null` takes one out.
    fn proof(&self, token: &str, change: &Value) -> String {
        self.proofs.set(self.proofs.get() + 1);
        let mut claims = json!({
            "jti": self.proofs.get().to_string(), "htm": "GET", "htu": REQUEST, "iat": NOW,
            "ath": base64url::encode(&Sha256::digest(token)),
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let header = json!({ "alg": "EdDSA", "typ": "dpop+jwt", "jwk": self.jwk() });
        self.key.sign_raw(&header.to_string(), &claims.to_string())
    }
}

fn send(host: &Host, scheme: &str, token: &str, proof: Option<&str>) -> End {
    let authorization = format!("{scheme} {token}");
    let mut fields = vec![("authorization", authorization.as_str())];
    fields.extend(proof.map(|proof| ("dpop", proof)));
    host.get("/orders?page=2", &fields)
}

fn host(dpop: Value) -> Host {
    Host::new(&with(corp_only(), "/providers/corp/dpop", dpop))
}

#[test]
fn a_bound_token_passes_with_a_proof_and_both_end_here() {
    let (host, client) = (host(json!({})), Client::new(Owner::First));
    let token = client.token();
    let proof = client.proof(&token, &json!({}));
    let end = send(&host, "DPoP", &token, Some(&proof));
    assert_eq!(end.values("x-user-id"), ["alice"]);
    assert_eq!((end.values("authorization"), end.values("dpop")), (vec![], vec![]));
}

#[test]
fn each_fault_of_a_proof_has_its_code() {
    let (host, client) = (host(json!({})), Client::new(Owner::First));
    let token = client.token();
    let check = |change: Value, expected: &str| {
        let proof = client.proof(&token, &change);
        assert_eq!(send(&host, "dpop", &token, Some(&proof)).code(), expected, "{change}");
    };
    check(json!({}), "ok");
    check(json!({ "htu": "HTTPS://API.example.com:443/%6Frders?other#x" }), "ok");
    check(json!({ "htm": "POST" }), "dpop_request_mismatch");
    check(json!({ "htu": "https://api.example.com/order" }), "dpop_request_mismatch");
    check(json!({ "htu": "http://api.example.com/orders" }), "dpop_request_mismatch");
    check(json!({ "htu": "https://other.example.com/orders" }), "dpop_request_mismatch");
    check(json!({ "iat": NOW - 60 }), "ok");
    check(json!({ "iat": NOW - 61 }), "dpop_proof_expired");
    check(json!({ "iat": NOW + 61 }), "dpop_proof_expired");
    check(json!({ "ath": null }), "dpop_token_mismatch");
    check(json!({ "ath": base64url::encode(&Sha256::digest("other")) }), "dpop_token_mismatch");
    check(json!({ "jti": null }), "dpop_proof_malformed");

    let good = client.proof(&token, &json!({}));
    let code = |proof: Option<&str>| send(&host, "DPoP", &token, proof).code().to_owned();
    assert_eq!(code(None), "dpop_proof_missing");
    assert_eq!(code(Some("")), "dpop_proof_malformed");
    assert_eq!(code(Some(&token)), "dpop_proof_malformed");
    assert_eq!(code(Some(&format!("{good}, {good}"))), "dpop_proof_malformed");
    let stolen = Client::new(Owner::Second).proof(&token, &json!({}));
    assert_eq!(code(Some(&stolen)), "dpop_token_mismatch");
    let (signed, _) = good.rsplit_once('.').unwrap();
    assert_eq!(code(Some(&format!("{signed}.{}", base64url::encode(&[0; 64])))), "dpop_signature_invalid");
    let authorization = format!("DPoP {token}");
    let twice = [("authorization", authorization.as_str()), ("dpop", &good), ("DPoP", &good)];
    assert_eq!(host.get("/orders", &twice).code(), "dpop_proof_malformed");
    // None of the refused ones was used up.
    assert_eq!(code(Some(&good)), "ok");
    assert_eq!(code(Some(&good)), "dpop_proof_replayed");
}

#[test]
fn a_proof_is_used_up_when_all_else_is_settled() {
    let client = Client::new(Owner::First);
    let mut document = with(corp_only(), "/providers/corp/dpop", json!({}));
    document["providers"]["partner"] = json!({
        "issuer": PARTNER, "audiences": ["api"], "from": [{ "header": "x-partner-token" }],
        "jwks": { "remote": { "uri": "https://partner.example.com/jwks", "cluster": "partner" } },
    });
    document["rules"][0]["require"] = json!({ "all": [
        { "any": [{ "provider": "corp" }] }, { "any": [{ "provider": "partner", "scopes": ["read"] }] },
    ] });
    let mut host = Host::new(&document);
    let token = client.token();
    let proof = client.proof(&token, &json!({}));
    let authorization = format!("DPoP {token}");
    let partner = |scope: &str| key(Owner::Second).sign(&claims(PARTNER, &json!({ "scope": scope })));
    let (read, write) = (partner("read"), partner("write"));
    let send = |host: &Host, partner: &str| {
        host.get(
            "/orders",
            &[("authorization", &authorization), ("dpop", &proof), ("x-partner-token", partner)],
        )
    };
    let End::Awaits(_) = send(&host, &read) else { panic!() };
    let keys = key_set([&key(Owner::Second)]).to_string();
    host.answer(Ok(keys.as_bytes()));
    assert_eq!(send(&host, &write).code(), "scope_missing");
    assert_eq!(send(&host, &read).code(), "ok");
    assert_eq!(send(&host, &read).code(), "dpop_proof_replayed");
}

#[test]
fn a_forged_proof_cannot_use_up_the_clients_own() {
    let (host, client) = (host(json!({})), Client::new(Owner::First));
    let token = client.token();
    let proof = client.proof(&token, &json!({}));
    let (signed, _) = proof.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", base64url::encode(&[1; 64]));
    assert_eq!(send(&host, "DPoP", &token, Some(&forged)).code(), "dpop_signature_invalid");
    assert_eq!(send(&host, "DPoP", &token, Some(&proof)).code(), "ok");
}

#[test]
fn what_is_bound_does_not_pass_as_a_bearer_token_nor_the_other_way_round() {
    let client = Client::new(Owner::First);
    let (bound, unbound) = (client.token(), corp_token(&json!({})));
    let proof = || client.proof(&bound, &json!({}));
    let strict = host(json!({}));
    assert_eq!(send(&strict, "Bearer", &bound, Some(&proof())).code(), "token_missing");
    assert_eq!(send(&strict, "Bearer", &unbound, None).code(), "token_missing");
    assert_eq!(send(&strict, "DPoP", &unbound, Some(&proof())).code(), "binding_missing");
    let lenient = host(json!({ "required": false }));
    assert_eq!(send(&lenient, "Bearer", &bound, Some(&proof())).code(), "dpop_downgraded");
    assert_eq!(send(&lenient, "DPoP", &unbound, Some(&proof())).code(), "binding_missing");
    assert_eq!(send(&lenient, "Bearer", &unbound, None).code(), "ok");
    assert_eq!(send(&lenient, "DPoP", &bound, Some(&proof())).code(), "ok");
    // Where proofs are not understood, bound tokens are refused.
    let plain = Host::new(&corp_only());
    assert_eq!(send(&plain, "Bearer", &bound, None).code(), "binding_not_supported");
    let other = corp_token(&json!({ "cnf": { "kid": "x" } }));
    assert_eq!(send(&plain, "Bearer", &other, None).code(), "binding_not_supported");
    let ignoring = with(corp_only(), "/providers/corp/danger_ignore_confirmation", json!(true));
    let ignoring = Host::new(&ignoring);
    assert_eq!(send(&ignoring, "Bearer", &bound, None).code(), "ok");
    assert_eq!(send(&ignoring, "Bearer", &other, None).code(), "ok");
}

#[test]
fn challenges_name_the_schemes_and_the_algorithms() {
    let strict = host(json!({ "algorithms": ["ES256", "EdDSA"] }));
    assert_eq!(strict.get("/orders", &[]).challenge(), Some(r#"DPoP algs="ES256 EdDSA""#));
    let lenient = host(json!({ "required": false, "algorithms": ["EdDSA"] }));
    assert_eq!(lenient.get("/orders", &[]).challenge(), Some(r#"Bearer, DPoP algs="EdDSA""#));
    let strict = host(json!({ "algorithms": ["ES256"] }));
    let client = Client::new(Owner::First);
    let token = client.token();
    let end = send(&strict, "DPoP", &token, Some(&client.proof(&token, &json!({}))));
    assert_eq!(end.code(), "dpop_algorithm_not_allowed");
    assert!(end.challenge().unwrap().starts_with(r#"DPoP error="invalid_dpop_proof""#), "{end:?}");
}

#[test]
fn nonces_are_demanded_given_and_checked() {
    let mut host = host(json!({ "nonce": { "lifetime": "60s" } }));
    let client = Client::new(Owner::First);
    let token = client.token();
    let end = send(&host, "DPoP", &token, Some(&client.proof(&token, &json!({}))));
    assert_eq!(end.code(), "dpop_nonce_required");
    assert!(end.challenge().unwrap().starts_with(r#"DPoP error="use_dpop_nonce""#), "{end:?}");
    let nonce = end.header("dpop-nonce").unwrap().to_owned();
    let with_nonce = |nonce: &str, now: i64| client.proof(&token, &json!({ "nonce": nonce, "iat": now }));
    assert_eq!(send(&host, "DPoP", &token, Some(&with_nonce(&nonce, NOW))).code(), "ok");
    assert_eq!(send(&host, "DPoP", &token, Some(&with_nonce("AAAA", NOW))).code(), "dpop_nonce_required");
    host.later(120);
    let late = with_nonce(&nonce, NOW + 120);
    assert_eq!(send(&host, "DPoP", &token, Some(&late)).code(), "dpop_nonce_required");
    // Another fault comes first: a nonce would not help.
    let wrong = client.proof(&token, &json!({ "htm": "PUT", "iat": NOW + 120 }));
    assert_eq!(send(&host, "DPoP", &token, Some(&wrong)).code(), "dpop_request_mismatch");
}

#[test]
fn behind_another_proxy_the_configured_origins_count() {
    let host = host(json!({ "origins": ["https://shop.example.com"] }));
    let client = Client::new(Owner::First);
    let token = client.token();
    let check = |htu: &str, expected: &str| {
        let proof = client.proof(&token, &json!({ "htu": htu }));
        assert_eq!(send(&host, "DPoP", &token, Some(&proof)).code(), expected, "{htu}");
    };
    check("https://shop.example.com/orders", "ok");
    check(REQUEST, "dpop_request_mismatch");
}

#[test]
fn a_certificate_bound_token_needs_the_certificate() {
    let bound = |digest: [u8; 32]| corp_token(&json!({ "cnf": { "x5t#S256": base64url::encode(&digest) } }));
    let host = Host::new(&corp_only());
    let check = |shown: Option<[u8; 32]>, expected: &str| {
        host.certificate.set(shown);
        assert_eq!(host.bearer(&bound([5; 32])).code(), expected, "{shown:?}");
    };
    check(Some([5; 32]), "ok");
    check(Some([6; 32]), "certificate_mismatch");
    check(None, "certificate_mismatch");
    assert_eq!(host.bearer(&corp_token(&json!({}))).code(), "ok");

    let strict = Host::new(&with(corp_only(), "/providers/corp/certificate_bound", json!(true)));
    strict.certificate.set(Some([5; 32]));
    assert_eq!(strict.bearer(&bound([5; 32])).code(), "ok");
    assert_eq!(strict.bearer(&corp_token(&json!({}))).code(), "binding_missing");
    let malformed = corp_token(&json!({ "cnf": { "x5t#S256": "BQ" } }));
    assert_eq!(strict.bearer(&malformed).code(), "binding_not_supported");
    let ignoring = with(corp_only(), "/providers/corp/danger_ignore_confirmation", json!(true));
    assert_eq!(Host::new(&ignoring).bearer(&bound([5; 32])).code(), "ok");
    let held = Host::new(&with(ignoring, "/providers/corp/certificate_bound", json!(true)));
    assert_eq!(held.bearer(&bound([5; 32])).code(), "certificate_mismatch");
}

#[test]
fn a_token_bound_twice_needs_both() {
    let (host, client) = (host(json!({})), Client::new(Owner::First));
    let digest = base64url::encode(&[5; 32]);
    let token = corp_token(&json!({ "cnf": { "jkt": client.thumbprint(), "x5t#S256": digest } }));
    let proof = || client.proof(&token, &json!({}));
    host.certificate.set(Some([5; 32]));
    assert_eq!(send(&host, "DPoP", &token, Some(&proof())).code(), "ok");
    assert_eq!(send(&host, "DPoP", &token, None).code(), "dpop_proof_missing");
    host.certificate.set(None);
    assert_eq!(send(&host, "DPoP", &token, Some(&proof())).code(), "certificate_mismatch");
}

#[test]
fn without_a_shared_secret_no_proof_is_taken() {
    let document = with(corp_only(), "/providers/corp/dpop", json!({}));
    let host = Host::new(&document);
    let config = doorward::config::Config::load(document.to_string().as_bytes()).unwrap();
    host.authn.replace(config.into_authn(1));
    let client = Client::new(Owner::First);
    let token = client.token();
    assert_eq!(send(&host, "DPoP", &token, Some(&client.proof(&token, &json!({})))).code(), "internal_error");
}
