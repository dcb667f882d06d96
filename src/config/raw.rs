//! The document as it is written: shapes and names only, nothing checked. Everything optional is `Option`, so that
//! what is missing is reported by `compile`, together with all else. Only `compile` reads these types.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Document {
    pub(super) providers: BTreeMap<String, Provider>,
    pub(super) rules: Vec<Rule>,
    pub(super) identity_headers: Vec<IdentityHeader>,
    pub(super) payload_header: Option<String>,
    pub(super) challenge: Challenge,
    pub(super) bypass_cors_preflight: bool,
    pub(super) limits: Limits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Provider {
    pub(super) issuer: Option<String>,
    pub(super) issuer_claims: BTreeMap<String, String>,
    pub(super) issuer_allow: BTreeMap<String, Vec<String>>,
    pub(super) audiences: Option<Vec<String>>,
    pub(super) danger_any_audience: bool,
    pub(super) algorithms: Option<Vec<String>>,
    pub(super) jwks: Option<Jwks>,
    pub(super) token_types: Option<Vec<String>>,
    pub(super) clock_skew: Option<String>,
    pub(super) max_lifetime: Option<String>,
    pub(super) danger_no_expiry: bool,
    pub(super) required_claims: Vec<Vec<String>>,
    pub(super) from: Option<Vec<Location>>,
    pub(super) forward_token: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Jwks {
    Discovery(DiscoveryJwks),
    Remote(RemoteJwks),
    /// A JWK Set. Kept as JSON: key material must not get into an error message.
    Inline(Value),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RemoteJwks {
    pub(super) uri: Option<String>,
    pub(super) cluster: Option<String>,
    pub(super) timeout: Option<String>,
    pub(super) refresh: Option<String>,
    pub(super) stale_for: Option<String>,
    pub(super) cooldown: Option<String>,
    pub(super) danger_allow_http: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DiscoveryJwks {
    pub(super) uri: Option<String>,
    pub(super) cluster: Option<String>,
    pub(super) jwks_cluster: Option<String>,
    pub(super) timeout: Option<String>,
    pub(super) refresh: Option<String>,
    pub(super) stale_for: Option<String>,
    pub(super) cooldown: Option<String>,
    pub(super) danger_allow_http: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Location {
    pub(super) header: Option<String>,
    pub(super) scheme: Option<String>,
    pub(super) cookie: Option<String>,
    pub(super) query: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rule {
    #[serde(rename = "match")]
    pub(super) matches: Option<Match>,
    pub(super) allow: Option<Allow>,
    pub(super) require: Option<Require>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Allow {
    Anonymous,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Match {
    pub(super) hosts: Option<Vec<String>>,
    pub(super) path: Option<PathMatch>,
    pub(super) methods: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PathMatch {
    Exact(String),
    Prefix(String),
    Template(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Require {
    pub(super) provider: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) claims: Vec<Condition>,
    pub(super) any: Option<Vec<Require>>,
    pub(super) all: Option<Vec<Require>>,
    pub(super) allow_missing: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Condition {
    pub(super) path: Vec<String>,
    pub(super) equals: Option<Value>,
    pub(super) one_of: Option<Vec<Value>>,
    pub(super) contains: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct IdentityHeader {
    pub(super) header: Option<String>,
    pub(super) claim: Vec<String>,
    pub(super) provider: Option<String>,
    pub(super) list: ListStyle,
    pub(super) encoding: Encoding,
    pub(super) when_missing: WhenMissing,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ListStyle {
    #[default]
    Comma,
    Space,
    Json,
    Repeat,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Encoding {
    #[default]
    Percent,
    Base64url,
    Reject,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WhenMissing {
    #[default]
    Omit,
    Reject,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Challenge {
    pub(super) realm: Option<String>,
    pub(super) resource_metadata: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub(super) max_token_bytes: Option<u64>,
}
