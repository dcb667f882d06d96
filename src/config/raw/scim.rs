//! The section `scim`, as it is written.

use super::Require;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// SCIM calls that the filter `scim-gateway`, or an edge worker, takes for a backing store.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("required" = ["tenants"])))]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Scim {
    /// What clients call a tenant's service, `{tenant}` for its id: `https://scim.example.com/tenants/{tenant}/scim/v2`. For tenants
    /// that have none of their own.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(in crate::config) base_url: Option<String>,
    /// The store that clean calls go to. Required, unless it is in an edge worker (`worker.store.d1`).
    pub(in crate::config) store: Option<ScimStore>,
    /// Whose calls are taken, by the tenant's id in the store.
    #[cfg_attr(feature = "schema", schemars(extend("minProperties" = 1)))]
    pub(in crate::config) tenants: BTreeMap<String, ScimTenant>,
    /// The claim by which JWTs name who calls. Default: `[sub]`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(in crate::config) subject: Option<Vec<String>>,
    /// Bounds on calls.
    pub(in crate::config) limits: ScimLimits,
    /// What audit lines show.
    pub(in crate::config) audit: ScimAudit,
    /// Schemas beside the built-in ones (RFC 7643 section 7), the same as the store's.
    pub(in crate::config) schemas: Vec<Value>,
    /// Resource types beside the built-in ones (RFC 7643 section 6), the same as the store's.
    pub(in crate::config) resource_types: Vec<Value>,
}

/// Where clean calls go, and how the gateway proves there who it is.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("required" = ["gateway", "key"])))]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct ScimStore {
    /// The path below which it answers. Default: `/scim/v2`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^(/[^/?#]+)*$")))]
    pub(in crate::config) base_path: Option<String>,
    /// What the gateway calls itself there: the name of one of the store's `gateways`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[A-Za-z0-9_.-]{1,64}$")))]
    pub(in crate::config) gateway: Option<String>,
    /// The key that both have.
    pub(in crate::config) key: Option<ScimKey>,
}

/// A key that gateway and store share.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("required" = ["id", "secret"])))]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct ScimKey {
    /// Its id, the same at the store.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[A-Za-z0-9_.-]{1,64}$")))]
    pub(in crate::config) id: Option<String>,
    /// 32 bytes or more in base64url, the same at the store.
    // Secrets are kept as JSON: a value of the wrong type must not get into an error message.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::schema::secret"))]
    pub(in crate::config) secret: Option<Value>,
}

/// Whose calls are taken: by tokens, a JWT, a client certificate, or a certificate and one of the others.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("anyOf" = [{ "required": ["tokens"] }, { "required": ["jwt"] }, { "required": ["certificates"] }])))]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct ScimTenant {
    /// How its identity provider speaks. Default: `rfc`, which softens nothing.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::schema::scim_profile"))]
    pub(in crate::config) profile: Option<String>,
    /// What clients call its service: by host and path of it calls find their tenant. Several tenants may have the same, if tokens tell
    /// them apart. Default: that of `scim`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(in crate::config) base_url: Option<String>,
    /// Hosts by which calls arrive, without port, if a proxy before this one changes it; `[]` for any. Default: that of `base_url`.
    pub(in crate::config) hosts: Option<Vec<String>>,
    /// Bearer tokens, by their hash.
    pub(in crate::config) tokens: Vec<ScimToken>,
    /// What a JWT must prove.
    pub(in crate::config) jwt: Option<Require>,
    /// Client certificates, of which one must be shown.
    pub(in crate::config) certificates: Vec<ScimCertificate>,
    /// What becomes of attributes that no schema has; as at the store. Default: `refuse`.
    pub(in crate::config) unknown_attributes: Option<UnknownAttributes>,
    /// Attributes that are not as in the store, by the name of their resource type (`User`). Names are those of whole attributes, of
    /// the resource (`title`) or of an extension (`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter`), and each
    /// is in one rule at most, on either side. Default: none.
    pub(in crate::config) attributes: BTreeMap<String, Vec<ScimAttribute>>,
    /// How many calls each of its actors may make. Default: that of `scim.limits`.
    pub(in crate::config) rate: Option<ScimRate>,
}

/// What becomes of one attribute between client and store.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("oneOf" = [
    { "required": ["rename", "to"], "maxProperties": 2 },
    { "required": ["constant", "value"], "maxProperties": 2 },
    { "required": ["drop"], "maxProperties": 1 },
    { "required": ["default", "value"], "maxProperties": 2 },
])))]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct ScimAttribute {
    /// What the client calls it; there need be no attribute of that name. One of the store's that is called so, the client no longer sees.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(in crate::config) rename: Option<String>,
    /// What the store calls it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(in crate::config) to: Option<String>,
    /// An attribute that each create and replace sets to `value`. The client neither sets nor sees it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(in crate::config) constant: Option<String>,
    /// An attribute that is not stored, and that the client sees none of.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(in crate::config) drop: Option<String>,
    /// An attribute that is set to `value` where a create or a replace has none.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(in crate::config) default: Option<String>,
    /// A value of the attribute, as its schema has it.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::schema::any"))]
    pub(in crate::config) value: Option<Value>,
}

/// What becomes of attributes that no schema has.
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum UnknownAttributes {
    /// The call is refused.
    Refuse,
    /// They are left out.
    Drop,
}

/// A bearer token that is known by its hash.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("required" = ["name", "sha256"])))]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct ScimToken {
    /// A name of your own, which is who calls in the audit trail.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[A-Za-z0-9_.-]{1,64}$")))]
    pub(in crate::config) name: Option<String>,
    /// SHA-256 of the token, in hexadecimal: `printf %s TOKEN | sha256sum`. The token must be random, 128 bits or more.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[0-9A-Fa-f]{64}$")))]
    pub(in crate::config) sha256: Option<String>,
    /// From when on it is refused: `2027-01-01T00:00:00Z`. Default: never.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub(in crate::config) expires: Option<String>,
}

/// A client certificate.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("required" = ["name", "sha256"])))]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct ScimCertificate {
    /// A name of your own, which is who calls if there is no token beside it.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[A-Za-z0-9_.-]{1,64}$")))]
    pub(in crate::config) name: Option<String>,
    /// SHA-256 of its DER, in hexadecimal: `openssl x509 -outform der | sha256sum`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[0-9A-Fa-f]{64}$")))]
    pub(in crate::config) sha256: Option<String>,
}

/// Bounds on SCIM calls.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct ScimLimits {
    /// Longest body in bytes, up to 16777216; the proxy's buffers must hold it. Default: 1048576.
    #[cfg_attr(feature = "schema", schemars(range(min = 1_024, max = 16_777_216)))]
    pub(in crate::config) body: Option<u64>,
    /// Bounds on Bulk requests.
    pub(in crate::config) bulk: ScimBulk,
    /// How many calls each actor of a tenant may make. Default: 100 a second, 1000 at once.
    pub(in crate::config) rate: Option<ScimRate>,
}

/// Bounds on Bulk requests, no wider than the store's, which announces its own.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct ScimBulk {
    /// Operations. Default: 1000.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100_000)))]
    pub(in crate::config) max_operations: Option<u64>,
    /// Bytes. Default: 1048576.
    #[cfg_attr(feature = "schema", schemars(range(min = 1_024, max = 16_777_216)))]
    pub(in crate::config) max_payload_size: Option<u64>,
}

/// A token bucket.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("required" = ["requests_per_second", "burst"])))]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct ScimRate {
    /// Calls a second.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
    pub(in crate::config) requests_per_second: Option<u64>,
    /// Calls at once.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
    pub(in crate::config) burst: Option<u64>,
}

/// What audit lines show.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct ScimAudit {
    /// Subjects of JWTs, and ids of resources that are no UUIDs. Default: `masked`.
    pub(in crate::config) personal_data: Option<PersonalData>,
}

/// How personal data is shown.
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum PersonalData {
    /// By the first 16 bytes of its SHA-256.
    Masked,
    /// As it is.
    Plain,
}
