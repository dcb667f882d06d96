//! The document as it is written: shapes and names only, nothing checked. Everything optional is `Option`, so that
//! what is missing is reported by `compile`, together with all else. Outside this module only `document`, `compile` and
//! `schema` name these types.
//!
//! With the feature `schema` they are the source of the JSON Schema too: the doc comments become its descriptions, so they
//! are written for whoever edits a document, and `required` stands where `compile` reports what is missing.

mod scim;
mod worker;

pub(super) use scim::*;
pub(super) use worker::*;

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A Doorward configuration: which tokens are accepted, what requests need, and what applications see.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(title = "Doorward", extend("anyOf" = [{ "required": ["rules"] }, { "required": ["scim"] }])))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Document {
    /// Whose tokens are accepted, by a name of your own.
    pub(super) providers: BTreeMap<String, Provider>,
    /// What is required, in order: the first rule that matches decides, and what matches none is denied.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) rules: Vec<Rule>,
    /// What applications see. These headers are removed from every request first, under every alias.
    pub(super) identity_headers: Vec<IdentityHeader>,
    /// Name of a header for the whole payload, base64url as in the token; treated like an identity header.
    pub(super) payload_header: Option<String>,
    /// What access logs and RBAC see: claims as filter state `wasm.doorward.NAME`, and the provider's name as
    /// `wasm.doorward.provider`. Default: nothing is set.
    pub(super) filter_state: Vec<FilterState>,
    /// What `WWW-Authenticate` says.
    pub(super) challenge: Challenge,
    /// `true`: `OPTIONS` with `Origin` and `Access-Control-Request-Method` passes without token. Default: `false`.
    pub(super) bypass_cors_preflight: bool,
    /// Bounds on what clients send and cause.
    pub(super) limits: Limits,
    /// SCIM calls that the filter `scim-gateway`, or an edge worker, takes for a backing store. A document for these alone needs no `rules`.
    // Kept as JSON, so that a filter that has nothing to do with it need not hold what reads it.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Scim>"))]
    pub(super) scim: Option<Value>,
    /// What an edge worker does beside deciding. Proxies do not look at it.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Worker>"))]
    pub(super) worker: Option<Value>,
}

/// One party whose tokens are accepted: JWTs by its keys (`jwks`), or opaque tokens by asking it (`introspection`).
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("required" = ["issuer"], "oneOf" = [{ "required": ["jwks"] }, { "required": ["introspection"] }])))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Provider {
    /// The value of `iss`, byte for byte; or a template such as `https://login.microsoftonline.com/{tenant}/v2.0`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) issuer: Option<String>,
    /// For each part of the template, the top-level claim that must have the same value: `{ tenant: tid }`.
    pub(super) issuer_claims: BTreeMap<String, String>,
    /// For each part of the template, the values that are allowed.
    pub(super) issuer_allow: BTreeMap<String, Vec<String>>,
    /// Values of which `aud` must have one. Required, unless `danger_any_audience` is set.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) audiences: Option<Vec<String>>,
    /// `true`: any `aud`, or none; then leave `audiences` out. Default: `false`.
    pub(super) danger_any_audience: bool,
    /// Algorithms that tokens may use. Default: all but HS*.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::algorithms"))]
    pub(super) algorithms: Option<Vec<String>>,
    /// Where the keys are.
    pub(super) jwks: Option<Jwks>,
    /// Where to ask about opaque tokens (RFC 7662). Then `algorithms`, `token_types`, `danger_no_expiry` and a template as `issuer` are faults.
    pub(super) introspection: Option<Introspection>,
    /// Values of which the header's `typ` must be one; a token without `typ` counts as `JWT`. Default: `[JWT, at+jwt]`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) token_types: Option<Vec<String>>,
    /// How far clocks may differ, up to `10m`. Default: `60s`.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::duration"))]
    pub(super) clock_skew: Option<String>,
    /// Longest time from `iat` (or now) to `exp`. Default: none.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::duration"))]
    pub(super) max_lifetime: Option<String>,
    /// `true`: tokens without `exp` are accepted. Default: `false`.
    pub(super) danger_no_expiry: bool,
    /// Paths of claims that must be there: `[[sub], [tenant, id]]`.
    #[cfg_attr(feature = "schema", schemars(inner(length(min = 1))))]
    pub(super) required_claims: Vec<Vec<String>>,
    /// Where tokens are. Default: the `authorization` header with scheme `Bearer`; with `dpop`, scheme `DPoP`, and `Bearer` too if it
    /// is not required.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) from: Option<Vec<Location>>,
    /// `true`: the token stays in the request for the upstream. Default: `false`.
    pub(super) forward_token: bool,
    /// Accept tokens that are bound to a key of the client's (RFC 9449). Without it they are refused.
    pub(super) dpop: Option<Dpop>,
    /// `true`: only tokens that are bound to the client's certificate (RFC 8705). Those that are so bound are always held to it.
    /// Default: `false`.
    pub(super) certificate_bound: bool,
    /// `true`: bindings of tokens (`cnf`) that are not asked for here are ignored, so that a stolen token is as good as the client's
    /// own. Default: `false`.
    pub(super) danger_ignore_confirmation: bool,
}

/// Where to ask about opaque tokens, and as whom: `client_secret` or `private_key`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("required" = ["uri", "cluster", "client_id"], "oneOf" = [{ "required": ["client_secret"] }, { "required": ["private_key"] }])))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Introspection {
    /// Address of the introspection endpoint.
    pub(super) uri: Option<String>,
    /// The Envoy cluster that leads there.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) cluster: Option<String>,
    /// Our own identifier there.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) client_id: Option<String>,
    /// Our secret there.
    // Secrets are kept as JSON: a value of the wrong type must not get into an error message.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::secret"))]
    pub(super) client_secret: Option<Value>,
    /// How the secret is sent. Default: `client_secret_basic`.
    pub(super) authentication: Option<SecretMethod>,
    /// Our private key there, for assertions (`private_key_jwt`): a JWK, EC with P-256 or OKP with Ed25519.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::private_key"))]
    pub(super) private_key: Option<Value>,
    /// `aud` of the assertions. Default: the issuer.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) assertion_audience: Option<String>,
    /// For one call, `100ms` to `60s`. Default: `5s`.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::duration"))]
    pub(super) timeout: Option<String>,
    /// How long an answer is kept, `1s` to `1h`; `exp` ends it earlier. A token that is withdrawn passes for as long. Default: `60s`.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::duration"))]
    pub(super) cache_for: Option<String>,
    /// `true`: the address may be `http`. Default: `false`.
    pub(super) danger_allow_http: bool,
}

/// How a client's secret is sent.
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum SecretMethod {
    /// In the `Authorization` header.
    ClientSecretBasic,
    /// In the body.
    ClientSecretPost,
}

/// Demonstrating Proof of Possession (RFC 9449).
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Dpop {
    /// `false`: tokens that are not bound are accepted too. Default: `true`.
    pub(super) required: Option<bool>,
    /// Algorithms that proofs may use. Default: all but HS*.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::algorithms"))]
    pub(super) algorithms: Option<Vec<String>>,
    /// How far `iat` of a proof may be from now, either way, `1s` to `10m`. Default: `60s`.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::duration"))]
    pub(super) proof_max_age: Option<String>,
    /// What clients call this service, such as `https://api.example.com`, if a proxy before this one changes it. Default: the request's
    /// own scheme and host.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) origins: Option<Vec<String>>,
    /// Demand a nonce of ours in each proof, so that none can be made in advance. Default: none is demanded.
    pub(super) nonce: Option<DpopNonce>,
}

/// Nonces for proofs.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct DpopNonce {
    /// A nonce is good for this long, and for less than twice as long, `10s` to `24h`. Default: `5m`.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::duration"))]
    pub(super) lifetime: Option<String>,
    /// 32 bytes in base64url, the same for every proxy that serves the same clients. Default: made up by each proxy.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::secret"))]
    pub(super) secret: Option<Value>,
}

/// Where a provider's keys are.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum Jwks {
    /// By OpenID Connect Discovery: the metadata below the issuer names the key set.
    Discovery(DiscoveryJwks),
    /// At a known address, without discovery.
    Remote(RemoteJwks),
    /// A JWK Set, instead of fetching one; the only place for shared secrets.
    // Kept as JSON: key material must not get into an error message.
    Inline(#[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::jwk_set"))] Value),
}

/// A JWK Set at a known address.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("required" = ["uri", "cluster"])))]
#[serde(deny_unknown_fields, default)]
pub(super) struct RemoteJwks {
    /// Address of the JWK Set.
    pub(super) uri: Option<String>,
    /// The Envoy cluster that leads there.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) cluster: Option<String>,
    /// For one request, `100ms` to `60s`. Default: `5s`.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::duration"))]
    pub(super) timeout: Option<String>,
    /// Longest lifetime of a key set, `1s` to `24h`; `Cache-Control: max-age` shortens it. Default: `5m`.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::duration"))]
    pub(super) refresh: Option<String>,
    /// How long keys stay in force beyond their lifetime while the provider cannot be reached, up to `30d`. Default: `24h`.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::duration"))]
    pub(super) stale_for: Option<String>,
    /// Shortest time between two fetches caused by unknown keys, `1s` to `1h`. Default: `5s`.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::duration"))]
    pub(super) cooldown: Option<String>,
    /// `true`: addresses may be `http`. Default: `false`.
    pub(super) danger_allow_http: bool,
}

/// A JWK Set whose address is in the provider's metadata.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("required" = ["cluster"])))]
#[serde(deny_unknown_fields, default)]
pub(super) struct DiscoveryJwks {
    /// Where the metadata is. Default: the issuer with `/.well-known/openid-configuration` appended.
    pub(super) uri: Option<String>,
    /// The Envoy cluster that leads there.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) cluster: Option<String>,
    /// The Envoy cluster for the key set, if it is on another host. Default: as `cluster`.
    pub(super) jwks_cluster: Option<String>,
    /// For one request, `100ms` to `60s`. Default: `5s`.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::duration"))]
    pub(super) timeout: Option<String>,
    /// Longest lifetime of a key set, `1s` to `24h`; `Cache-Control: max-age` shortens it. Default: `5m`.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::duration"))]
    pub(super) refresh: Option<String>,
    /// How long keys stay in force beyond their lifetime while the provider cannot be reached, up to `30d`. Default: `24h`.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::duration"))]
    pub(super) stale_for: Option<String>,
    /// Shortest time between two fetches caused by unknown keys, `1s` to `1h`. Default: `5s`.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::duration"))]
    pub(super) cooldown: Option<String>,
    /// `true`: addresses may be `http`. Default: `false`.
    pub(super) danger_allow_http: bool,
}

/// A place where a token may be: exactly one of `header`, `cookie`, `query`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("oneOf" = [{ "required": ["header"] }, { "required": ["cookie"] }, { "required": ["query"] }])))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Location {
    /// A header's name.
    pub(super) header: Option<String>,
    /// The scheme in front of the token in that header, such as `Bearer`.
    pub(super) scheme: Option<String>,
    /// A cookie's name.
    pub(super) cookie: Option<String>,
    /// A parameter's name.
    pub(super) query: Option<String>,
}

/// Which requests it is for, and exactly one of `allow` and `require`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("required" = ["match"], "oneOf" = [{ "required": ["allow"] }, { "required": ["require"] }])))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rule {
    /// Conditions, all of which must hold; `{}` is every request.
    #[serde(rename = "match")]
    pub(super) matches: Option<Match>,
    /// `anonymous`: no token is looked for; identity headers are still removed.
    pub(super) allow: Option<Allow>,
    /// What the request must prove.
    pub(super) require: Option<Require>,
    /// What becomes of a request that does not; only beside `require`.
    pub(super) enforce: Option<Enforce>,
}

/// What becomes of a request that does not meet its requirement.
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum Enforce {
    /// It is denied; the default.
    Deny,
    /// It passes without identity, and the denial is reported.
    Report,
}

/// What passes without a token.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum Allow {
    /// No token is looked for.
    Anonymous,
}

/// Conditions on a request, all of which must hold.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Match {
    /// `api.example.com` or `*.example.com` (every host below); port and case do not count.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) hosts: Option<Vec<String>>,
    /// The path, decoded and without query; a `/` at the end does not count.
    pub(super) path: Option<PathMatch>,
    /// Methods in upper case.
    pub(super) methods: Option<Vec<String>>,
}

/// A pattern for the path.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum PathMatch {
    /// This path.
    Exact(String),
    /// This path and all below it: `/a` matches `/a/b`, not `/ab`.
    Prefix(String),
    /// Segment by segment, `{name}` for any one: `/users/{id}`.
    Template(String),
}

/// What a request must prove: exactly one of `provider`, `any`, `all`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("oneOf" = [{ "required": ["provider"] }, { "required": ["any"] }, { "required": ["all"] }])))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Require {
    /// A token of this provider, with all `scopes` and all `claims`.
    pub(super) provider: Option<String>,
    /// Scopes that the token must have, from `scope` or `scp`.
    pub(super) scopes: Vec<String>,
    /// Conditions on the token's claims.
    pub(super) claims: Vec<Condition>,
    /// Requirements of which one must hold for the one token that was sent.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) any: Option<Vec<Require>>,
    /// Requirements each of which must hold, for tokens in different places.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) all: Option<Vec<Require>>,
    /// `true`: a request without any token passes without identity; a bad token never does. Default: `false`.
    pub(super) allow_missing: bool,
}

/// A condition on a claim: `path`, and exactly one of `equals`, `one_of`, `contains`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("required" = ["path"], "oneOf" = [{ "required": ["equals"] }, { "required": ["one_of"] }, { "required": ["contains"] }])))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Condition {
    /// The names on the way to the claim: `[tenant, plan]`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) path: Vec<String>,
    /// The claim is this string, number or boolean.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::scalar"))]
    pub(super) equals: Option<Value>,
    /// The claim is one of these.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::scalars"))]
    pub(super) one_of: Option<Vec<Value>>,
    /// The claim is a list that has this item.
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::scalar"))]
    pub(super) contains: Option<Value>,
}

/// One claim that becomes one header.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("required" = ["header", "claim"])))]
#[serde(deny_unknown_fields, default)]
pub(super) struct IdentityHeader {
    /// Name of the header.
    pub(super) header: Option<String>,
    /// The names on the way to the claim: `[sub]`, `[realm_access, roles]`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) claim: Vec<String>,
    /// Only from this provider's tokens. Default: the first token of the request.
    pub(super) provider: Option<String>,
    /// How a list is written. Default: `comma`.
    pub(super) list: ListStyle,
    /// What happens to characters that a header cannot hold. Default: `percent`.
    pub(super) encoding: Encoding,
    /// For a claim that is absent, `null`, empty or of another type. Default: `omit`.
    pub(super) when_missing: WhenMissing,
}

/// One claim that becomes one entry of filter state.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("required" = ["name", "claim"])))]
#[serde(deny_unknown_fields, default)]
pub(super) struct FilterState {
    /// Letters in lower case, digits and `_`: the entry is `wasm.doorward.NAME`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[a-z0-9_]+$")))]
    pub(super) name: Option<String>,
    /// The names on the way to the claim: `[sub]`, `[realm_access, roles]`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(super) claim: Vec<String>,
    /// Only from this provider's tokens. Default: the first token of the request.
    pub(super) provider: Option<String>,
    /// How a list is written; not `repeat`. Default: `comma`.
    pub(super) list: ListStyle,
    /// What happens to characters that a header cannot hold. Default: `percent`.
    pub(super) encoding: Encoding,
    /// For a claim that is absent, `null`, empty or of another type. Default: `omit`.
    pub(super) when_missing: WhenMissing,
}

/// How a list is written.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum ListStyle {
    /// `a,b`
    #[default]
    Comma,
    /// `a b`
    Space,
    /// The claim as JSON text, whatever it is; the only one that writes objects.
    Json,
    /// One header each.
    Repeat,
}

/// What happens to characters that a header cannot hold.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum Encoding {
    /// They, `%` and the list's separator are percent-encoded.
    #[default]
    Percent,
    /// The whole value is base64url.
    Base64url,
    /// The request is denied.
    Reject,
}

/// What happens if there is no value.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum WhenMissing {
    /// The header is left out.
    #[default]
    Omit,
    /// The request is denied.
    Reject,
}

/// What `WWW-Authenticate` says.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Challenge {
    /// `realm`.
    pub(super) realm: Option<String>,
    /// URL for `resource_metadata` (RFC 9728).
    pub(super) resource_metadata: Option<String>,
}

/// Bounds on what clients send and cause.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    /// Longest token in bytes. Default: 16384.
    #[cfg_attr(feature = "schema", schemars(range(min = 256, max = 1_048_576)))]
    pub(super) max_token_bytes: Option<u64>,
    /// How many judged tokens each worker keeps, up to 1000000; `0` for none. Default: 10000.
    #[cfg_attr(feature = "schema", schemars(range(max = 1_000_000)))]
    pub(super) cached_tokens: Option<u32>,
    /// How many bytes these take, about, `65536` to `1073741824`. Default: 16777216.
    #[cfg_attr(feature = "schema", schemars(range(min = 65_536, max = 1_073_741_824)))]
    pub(super) cached_token_bytes: Option<u64>,
    /// How many denials a second are logged, by each worker, up to 10000; `0` for none. Default: 10.
    #[cfg_attr(feature = "schema", schemars(range(max = 10_000)))]
    pub(super) denial_logs: Option<u32>,
}
