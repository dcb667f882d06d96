//! The section `worker`, as it is written.

use serde::Deserialize;
use serde_json::Value;

/// What an edge worker does beside deciding. Proxies do not look at it.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Worker {
    /// Where requests go on to. Default: on Cloudflare where they were sent, as for a worker in front of its zone; required elsewhere.
    pub(in crate::config) origin: Option<Origin>,
    /// Where key sets are kept for isolates that start, so that they do not fetch them again. Default: nowhere.
    pub(in crate::config) keys: Option<KeyMemory>,
    /// Where used DPoP proofs are remembered. Required where a provider has `dpop`.
    pub(in crate::config) proofs: Option<ProofMemory>,
    /// 32 bytes in base64url, the same in all isolates; from a secret of the platform. Required with `durable_object`, since proofs are
    /// remembered by it, and nonces are made with it. Default: made up by each isolate.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::schema::secret"))]
    pub(in crate::config) secret: Option<Value>,
    /// Where counts are shown. Default: nowhere.
    pub(in crate::config) metrics: Option<MetricsPage>,
    /// Binding of a Workers Analytics Engine dataset that takes a data point for each decision. Default: none.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(in crate::config) analytics: Option<String>,
    /// Where SCIM calls for the tenants of `scim` go on to. Required with `scim`.
    pub(in crate::config) store: Option<StoreTarget>,
}

/// Where SCIM calls go on to.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum StoreTarget {
    /// Scheme, host and port of a store: `https://store.internal.example`. Its path is `scim.store.base_path`.
    Url(String),
    /// A binding by which a store is reached.
    Binding(String),
    /// The binding of a D1 database: the store is in the worker, and there is no server. Then `scim.store` may be absent.
    D1(String),
}

/// Where requests go on to.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum Origin {
    /// Scheme, host and port: `https://origin.example.com`.
    Url(String),
    /// A binding, such as that of another worker.
    Binding(String),
}

/// Where key sets are kept.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum KeyMemory {
    /// The platform's `caches`, by a name of your own.
    Cache(String),
    /// The binding of a key-value namespace.
    Kv(String),
}

/// Where used DPoP proofs are remembered.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum ProofMemory {
    /// In the isolate's memory. Only where one process serves all clients: elsewhere a proof is good once in each isolate.
    Isolate,
    /// The binding of a Durable Object namespace, for the class `Proofs`.
    DurableObject(String),
}

/// Where counts are shown.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("required" = ["path", "sha256"])))]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct MetricsPage {
    /// The path, such as `/.doorward/metrics`. No request to it goes on.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^/.+")))]
    pub(in crate::config) path: Option<String>,
    /// SHA-256 of the bearer token that must be shown, in hexadecimal.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[0-9A-Fa-f]{64}$")))]
    pub(in crate::config) sha256: Option<String>,
}
