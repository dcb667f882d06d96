//! Many issuers and many rules: what a request costs must not grow with them.

use crate::request::{NOW, decide, request_to};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use doorward::authn::Authn;
use doorward::config::Config;
use doorward::jose::crypto::Verdict;
use serde_json::{Map, Value, json};

/// A machine of many issuers and rules, and requests spread over them.
pub(crate) struct Crowd {
    authn: Authn,
    /// Path and `Authorization`.
    requests: Vec<(String, String)>,
}

impl Crowd {
    /// How many tokens are sent, whatever the number of issuers.
    pub(crate) const TOKENS: usize = 1_000;

    /// `cached`: how many tokens the machine remembers.
    pub(crate) fn new(issuers: usize, rules: usize, cached: usize) -> Self {
        let provider = |issuer: usize| {
            // The signature is not looked at.
            let key =
                json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
            let provider = json!({
                "issuer": name(issuer), "audiences": ["api"], "jwks": { "inline": { "keys": [key] } },
            });
            (format!("p{issuer}"), provider)
        };
        let rule = |rule: usize| {
            json!({
                "match": { "path": { "prefix": path(rule) } },
                "require": { "provider": format!("p{}", rule % issuers) },
            })
        };
        let document = json!({
            "providers": (0..issuers).map(provider).collect::<Map<String, Value>>(),
            "rules": (0..rules).map(rule).collect::<Vec<_>>(),
            "identity_headers": [{ "header": "x-user-id", "claim": ["sub"] }],
            "limits": { "cached_tokens": cached },
        });
        let authn = Config::load(document.to_string().as_bytes()).unwrap().into_authn(1);
        // A step that has no divisor in common with the number of rules leads to all of them.
        let request = |number: usize| {
            let rule = number * 7_919 % rules;
            (
                format!("{}/orders/{number:04}", path(rule)),
                format!("Bearer {}", token(rule % issuers, number)),
            )
        };
        let mut crowd = Self { authn, requests: (0..Self::TOKENS).map(request).collect() };
        crowd.ask_all();
        crowd
    }

    /// Sends all requests, once each.
    pub(crate) fn ask_all(&mut self) {
        for (path, bearer) in &self.requests {
            let fields = request_to(path.as_bytes(), bearer.as_bytes());
            decide(&mut self.authn, &fields, |_| Verdict::Valid);
        }
    }
}

// Of the same length for all, so that only their number differs.
fn name(issuer: usize) -> String {
    format!("https://login-{issuer:05}.example.com/")
}

fn path(rule: usize) -> String {
    format!("/v1/service-{rule:05}")
}

fn token(issuer: usize, number: usize) -> String {
    let claims = json!({
        "iss": name(issuer), "aud": "api", "sub": format!("user-{number:05}"), "iat": NOW - 60, "exp": NOW + 300,
    });
    let encode = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(json!({ "alg": "EdDSA", "typ": "JWT" }));
    format!("{header}.{}.{}", encode(claims), BASE64_URL_SAFE_NO_PAD.encode([1_u8; 64]))
}
