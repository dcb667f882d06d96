//! Bodies of requests: RFC 7644 section 3.1.

use super::error::{ScimError, ScimType};
use crate::json::{self, Limits};
use serde_json::{Map, Value as Json};

/// Deep enough for schemas, and room for a group of 100,000 members.
const LIMITS: Limits = Limits { depth: 16, values: 1_000_000 };

/// Reads a body: one JSON object without duplicate members, and without the character U+0000 in its texts, which PostgreSQL cannot
/// keep and no identity provider sends.
///
/// # Errors
/// 400, with what was expected and where.
pub fn read_body(body: &[u8]) -> Result<Map<String, Json>, ScimError> {
    let members = json::parse_object(body, LIMITS)?;
    if has_escaped_nul(body) && members.iter().any(|(name, value)| name.contains('\0') || has_nul(value)) {
        return Err(ScimError::bad_request(
            ScimType::InvalidValue,
            "expected no text with the character U+0000",
        ));
    }
    Ok(members)
}

/// A body is SCIM or JSON; one that does not say is believed.
///
/// # Errors
/// 415.
pub fn check_media_type(content_type: Option<&[u8]>) -> Result<(), ScimError> {
    let Some(found) = content_type else { return Ok(()) };
    let media_type = found.split(|octet| *octet == b';').next().unwrap_or_default().trim_ascii();
    let expected: [&[u8]; 2] = [b"application/scim+json", b"application/json"];
    if expected.iter().any(|expected| media_type.eq_ignore_ascii_case(expected)) {
        return Ok(());
    }
    let found = String::from_utf8_lossy(media_type);
    Err(ScimError::new(
        415,
        format!("expected application/scim+json or application/json, but found {found:?}"),
    ))
}

/// JSON has the character only so: it must not stand there by itself.
fn has_escaped_nul(body: &[u8]) -> bool {
    body.windows(6).any(|octets| octets == b"\\u0000")
}

fn has_nul(value: &Json) -> bool {
    match value {
        Json::String(text) => text.contains('\0'),
        Json::Array(items) => items.iter().any(has_nul),
        Json::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_an_object_without_nul() {
        let refused = |body: &str| read_body(body.as_bytes()).map_err(|error| error.scim_type).unwrap_err();
        assert!(read_body(br#"{"a":"\\u0000"}"#).is_ok());
        assert_eq!(refused(r#"{"a":["\u0000"]}"#), Some(ScimType::InvalidValue));
        assert_eq!(refused(r#"{"a":{"\u0000":1}}"#), Some(ScimType::InvalidValue));
        assert_eq!(refused(r#"{"a":1,"a":1}"#), Some(ScimType::InvalidSyntax));
        assert_eq!(refused("[]"), Some(ScimType::InvalidSyntax));
    }

    #[test]
    fn media_types_are_scim_and_json() {
        let check = |text: &str| check_media_type(Some(text.as_bytes())).map_err(|error| error.status);
        for text in ["application/scim+json", "Application/JSON; charset=utf-8", "application/json "] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in ["", "text/plain", "application/json-patch+json", "application"] {
            assert_eq!(check(text), Err(415), "{text}");
        }
        assert_eq!(check_media_type(None), Ok(()));
    }
}
