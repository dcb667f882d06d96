//! Provider metadata: OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2.

use super::source::{Discovery, Endpoint, UriError};
use crate::json::{self, JsonError, Limits};
use serde_json::Value;

const LIMITS: Limits = Limits { depth: 8, values: 10_000 };

/// Why metadata was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// Not one strict JSON object.
    #[error("not provider metadata: {0}")]
    Json(#[from] JsonError),
    /// `issuer` is not the one that is trusted: the document is somebody else's (RFC 8414 section 3.3).
    #[error("expected the metadata of issuer {expected:?}, but found {found:?}")]
    Issuer {
        /// The issuer that is trusted.
        expected: String,
        /// The one in the document; empty if there is none.
        found: String,
    },
    /// There is no `jwks_uri`.
    #[error("expected member \"jwks_uri\"")]
    NoJwksUri,
    /// `jwks_uri` is no address.
    #[error("jwks_uri: {0}")]
    Uri(#[from] UriError),
    /// `jwks_uri` is not `https`.
    #[error("expected an https jwks_uri, but found {0:?}")]
    NotHttps(String),
}

/// The address of the key set.
pub(super) fn key_set_endpoint(text: &[u8], discovery: &Discovery) -> Result<Endpoint, MetadataError> {
    let metadata = json::parse_object(text, LIMITS)?;
    let issuer = metadata.get("issuer").and_then(Value::as_str).unwrap_or_default();
    if issuer != discovery.issuer {
        let (expected, found) = (discovery.issuer.clone(), issuer.to_owned());
        return Err(MetadataError::Issuer { expected, found });
    }
    let uri = metadata.get("jwks_uri").and_then(Value::as_str).ok_or(MetadataError::NoJwksUri)?;
    let endpoint = Endpoint::parse(uri, &discovery.jwks_cluster)?;
    if endpoint.scheme != "https" && !discovery.allow_http {
        return Err(MetadataError::NotHttps(uri.to_owned()));
    }
    Ok(endpoint)
}
