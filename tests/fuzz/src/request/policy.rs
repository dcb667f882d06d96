//! The one policy: every kind of rule, location and header.

use super::tokens;
use doorward::authn::Authn;
use doorward::config::Config;
use doorward::jose::base64url;
use serde_json::{Value, json};

pub(super) const CORP: &str = "https://login.example.com/";
pub(super) const PARTNER: &str = "https://partner.example.net";
pub(super) const TENANTS: [(&str, &str); 2] =
    [("https://id.example/t1/v2", "t1"), ("https://id.example/t2/v2", "t2")];

pub(super) fn load() -> Authn {
    let document = document().to_string();
    Config::load(document.as_bytes()).unwrap_or_else(|error| panic!("{error}")).into_authn(1)
}

pub(super) fn document() -> Value {
    let secret = json!({ "keys": [{ "kty": "oct", "k": base64url::encode(&tokens::SECRET) }] });
    json!({
        "providers": {
            "corp": {
                "issuer": CORP,
                "audiences": ["api"],
                "jwks": { "inline": { "keys": tokens::public_keys() } },
                "from": [
                    { "header": "authorization", "scheme": "Bearer" },
                    { "cookie": "session" },
                    { "query": "access_token" },
                ],
            },
            "partner": {
                "issuer": PARTNER,
                "audiences": ["api"],
                "algorithms": ["HS256"],
                "jwks": { "inline": secret },
                "from": [{ "header": "x-partner-token" }],
                "forward_token": true,
                "max_lifetime": "1h",
                "required_claims": [["org", "id"]],
            },
            "tenants": {
                "issuer": "https://id.example/{tenant}/v2",
                "issuer_claims": { "tenant": "tid" },
                "issuer_allow": { "tenant": ["t1", "t2"] },
                "audiences": ["api"],
                "algorithms": ["HS256"],
                "jwks": { "inline": secret },
            },
        },
        "rules": [
            { "match": { "path": { "exact": "/healthz" } }, "allow": "anonymous" },
            { "match": { "path": { "prefix": "/shadow" } }, "require": { "provider": "corp" }, "enforce": "report" },
            {
                "match": { "path": { "prefix": "/optional" } },
                "require": { "provider": "partner", "allow_missing": true },
            },
            {
                "match": { "path": { "prefix": "/both" } },
                "require": { "all": [{ "provider": "corp" }, { "provider": "partner", "scopes": ["read"] }] },
            },
            { "match": { "path": { "prefix": "/admin" } }, "require": { "provider": "corp", "scopes": ["admin"] } },
            {
                "match": { "path": { "template": "/orgs/{org}/plan" } },
                "require": { "provider": "tenants", "claims": [{ "path": ["plan"], "one_of": ["gold", 7] }] },
            },
            {
                "match": { "hosts": ["*.example.com"] },
                "require": { "any": [{ "provider": "corp" }, { "provider": "tenants" }] },
            },
        ],
        "identity_headers": [
            { "header": "x-user-id", "claim": ["sub"], "when_missing": "reject" },
            { "header": "x-groups", "claim": ["groups"] },
            { "header": "x-roles", "claim": ["realm_access", "roles"], "list": "json" },
            { "header": "x-mail", "claim": ["mail"], "list": "repeat", "encoding": "base64url" },
            { "header": "x-partner-id", "claim": ["org", "id"], "provider": "partner", "encoding": "reject" },
        ],
        "payload_header": "x-jwt-payload",
        "bypass_cors_preflight": true,
        "challenge": { "realm": "api" },
        "limits": { "max_token_bytes": 4096 },
    })
}
