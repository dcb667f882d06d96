//! The JOSE Header of a JWS: RFC 7515 section 4.

use super::{Algorithm, base64url};
use crate::json::{self, JsonError, Limits};
use serde_json::{Map, Value};

/// Room for `x5c` and unknown members, none for abuse.
const LIMITS: Limits = Limits { depth: 4, values: 64 };

/// What we use of a JOSE Header. Keys and key locations inside it (`jwk`, `jku`, `x5u`, `x5c`) are never used: who
/// sends the token must not choose the key that it is verified with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoseHeader {
    /// `alg`.
    pub algorithm: Algorithm,
    /// `kid`, a hint which key to try.
    pub key_id: Option<String>,
    /// `typ` as sent.
    pub token_type: Option<String>,
}

/// Why a JOSE Header was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The segment is not base64url.
    #[error("the header is not base64url")]
    NotBase64Url,
    /// The segment is not one strict JSON object.
    #[error("the header is not a JSON object: {0}")]
    Json(#[from] JsonError),
    /// A member has another type than RFC 7515 gives it.
    #[error("expected header member {0:?} to be a string")]
    WrongType(&'static str),
    /// There is no `alg`.
    #[error("the header has no \"alg\"")]
    NoAlgorithm,
    /// `alg` is not an algorithm that we verify; `none` is never one.
    #[error("unsupported \"alg\"")]
    UnsupportedAlgorithm,
    /// There is a `crit`: we understand no extension, so every one is refused (RFC 7515 section 4.1.11).
    #[error("the header has \"crit\"")]
    Critical,
    /// `b64` is there and is not `true` (RFC 7797).
    #[error("the header has \"b64\" other than true")]
    UnencodedPayload,
}

impl JoseHeader {
    /// Parses the first segment of a compact JWS.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn parse(segment: &[u8]) -> Result<Self, HeaderError> {
        let text = base64url::decode(segment).map_err(|_| HeaderError::NotBase64Url)?;
        let mut members = json::parse_object(&text, LIMITS)?;
        if members.contains_key("crit") {
            return Err(HeaderError::Critical);
        }
        if members.get("b64").is_some_and(|b64| b64 != &Value::Bool(true)) {
            return Err(HeaderError::UnencodedPayload);
        }
        let algorithm = take_string(&mut members, "alg")?.ok_or(HeaderError::NoAlgorithm)?;
        Ok(Self {
            algorithm: Algorithm::from_name(&algorithm).ok_or(HeaderError::UnsupportedAlgorithm)?,
            key_id: take_string(&mut members, "kid")?,
            token_type: take_string(&mut members, "typ")?,
        })
    }
}

fn take_string(members: &mut Map<String, Value>, name: &'static str) -> Result<Option<String>, HeaderError> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(HeaderError::WrongType(name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<JoseHeader, HeaderError> {
        JoseHeader::parse(base64url::encode(text.as_bytes()).as_bytes())
    }

    #[test]
    fn known_members_are_taken_and_unknown_ones_ignored() {
        let header =
            parse(r#"{"alg":"RS256","kid":"k","typ":"at+jwt","x5c":["MII"],"jwk":{"kty":"oct","k":"AA"}}"#);
        let expected = JoseHeader {
            algorithm: Algorithm::Rs256,
            key_id: Some("k".into()),
            token_type: Some("at+jwt".into()),
        };
        assert_eq!(header, Ok(expected));
        assert!(parse(r#"{"alg":"RS256","b64":true}"#).is_ok());
    }

    #[test]
    fn faults_are_refused() {
        let cases = [
            (r#"{"alg":"none"}"#, HeaderError::UnsupportedAlgorithm),
            (r#"{"alg":"rs256"}"#, HeaderError::UnsupportedAlgorithm),
            (r#"{"typ":"JWT"}"#, HeaderError::NoAlgorithm),
            (r#"{"alg":["RS256"]}"#, HeaderError::WrongType("alg")),
            (r#"{"alg":"RS256","kid":1}"#, HeaderError::WrongType("kid")),
            (r#"{"alg":"RS256","typ":null}"#, HeaderError::WrongType("typ")),
            (r#"{"alg":"RS256","crit":["exp"],"exp":1}"#, HeaderError::Critical),
            (r#"{"alg":"RS256","crit":[]}"#, HeaderError::Critical),
            (r#"{"alg":"RS256","b64":false}"#, HeaderError::UnencodedPayload),
            (r#"{"alg":"RS256","alg":"RS256"}"#, HeaderError::Json(JsonError::DuplicateMember("alg".into()))),
            (r#"["RS256"]"#, HeaderError::Json(JsonError::NotAnObject)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
        assert_eq!(JoseHeader::parse(b"e30="), Err(HeaderError::NotBase64Url));
    }
}
