//! The Claims Set: RFC 7519 section 4.

use super::numeric_date;
use crate::jose::base64url;
use crate::json::{self, JsonError, Limits};
use crate::jwt::ClaimError;
use crate::time::UnixTime;
use serde_json::{Map, Value};
use std::fmt;

/// The claims of one token, parsed once.
#[derive(Clone, PartialEq)]
pub struct ClaimsSet(Map<String, Value>);

/// Why a payload is not a Claims Set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// The segment is not base64url.
    #[error("the payload is not base64url")]
    NotBase64Url,
    /// The payload is not one strict JSON object.
    #[error("the payload is not a JSON object: {0}")]
    Json(#[from] JsonError),
}

/// The names on the way from the top of a Claims Set to one claim. Segments, not a dotted string: names such as
/// `https://example.com/roles` have dots of their own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// A path of these segments; `None` if there is none.
    pub fn new(segments: Vec<String>) -> Option<Self> {
        if segments.is_empty() { None } else { Some(Self(segments)) }
    }

    /// A claim on the top level.
    pub fn top(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" > "))
    }
}

impl ClaimsSet {
    /// Deep enough for Keycloak's `resource_access`, with room; enough values for thousands of groups.
    pub(crate) const LIMITS: Limits = Limits { depth: 16, values: 10_000 };

    /// The members of a JSON object that was parsed within [`ClaimsSet::LIMITS`].
    pub(crate) fn from_members(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// Parses a payload segment, still base64url.
    ///
    /// # Errors
    /// [`ClaimsError`].
    pub fn parse(segment: &[u8]) -> Result<Self, ClaimsError> {
        let text = base64url::decode(segment).map_err(|_| ClaimsError::NotBase64Url)?;
        Ok(Self(json::parse_object(&text, Self::LIMITS)?))
    }

    /// The claim at `path`; `null` counts as absent.
    pub fn get(&self, path: &ClaimPath) -> Option<&Value> {
        let (first, rest) = path.0.split_first()?;
        let top = self.0.get(first)?;
        rest.iter().try_fold(top, |value, segment| value.get(segment)).filter(|value| !value.is_null())
    }

    /// The top-level claim `name`; `null` counts as absent.
    pub fn top(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A claim that must be a string if it is there.
    ///
    /// # Errors
    /// [`ClaimError::Malformed`].
    pub fn string(&self, name: &'static str) -> Result<Option<&str>, ClaimError> {
        self.top(name).map(|value| value.as_str().ok_or(ClaimError::Malformed(name))).transpose()
    }

    /// A claim that must be a NumericDate if it is there.
    ///
    /// # Errors
    /// [`ClaimError::Malformed`].
    pub fn date(&self, name: &'static str) -> Result<Option<UnixTime>, ClaimError> {
        self.top(name)
            .map(|value| numeric_date::parse(value).map_err(|_| ClaimError::Malformed(name)))
            .transpose()
    }

    /// The token's scopes: `scope` (RFC 8693 section 4.2, space-separated), or `scp` (Entra ID: the same; Okta: an
    /// array). Either may be a string or an array.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let value = self.top("scope").or_else(|| self.top("scp"));
        let items = value.and_then(Value::as_array).into_iter().flatten();
        let texts = value.into_iter().chain(items).filter_map(Value::as_str);
        texts.flat_map(|text| text.split(' ')).filter(|scope| !scope.is_empty())
    }
}

impl fmt::Debug for ClaimsSet {
    /// Claims are personal data: only the names are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(text: &str) -> ClaimsSet {
        ClaimsSet::parse(base64url::encode(text.as_bytes()).as_bytes()).unwrap()
    }

    fn path(segments: &[&str]) -> ClaimPath {
        ClaimPath::new(segments.iter().map(|s| (*s).to_owned()).collect()).unwrap()
    }

    #[test]
    fn claims_are_found_by_segments() {
        let claims = claims(r#"{"a":{"b.c":{"d":1}},"https://x/y":2,"n":null,"l":[1]}"#);
        assert_eq!(claims.get(&path(&["a", "b.c", "d"])), Some(&1.into()));
        assert_eq!(claims.get(&path(&["https://x/y"])), Some(&2.into()));
        for absent in [&["a", "b"][..], &["n"], &["n", "x"], &["l", "0"], &["a", "b.c", "d", "e"]] {
            assert_eq!(claims.get(&path(absent)), None, "{absent:?}");
        }
    }

    #[test]
    fn scopes_are_read_in_every_form() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(claims(text).scopes().collect::<Vec<_>>(), expected, "{text}");
        };
        check(r#"{"scope":"read  write "}"#, &["read", "write"]);
        check(r#"{"scp":"read write"}"#, &["read", "write"]);
        check(r#"{"scp":["read","write"]}"#, &["read", "write"]);
        check(r#"{"scope":"a","scp":"b"}"#, &["a"]);
        check(r#"{"scope":7}"#, &[]);
        check("{}", &[]);
    }

    #[test]
    fn hostile_payloads_are_refused() {
        let parse = |text: &str| ClaimsSet::parse(base64url::encode(text.as_bytes()).as_bytes());
        assert!(matches!(
            parse(r#"{"sub":"a","sub":"b"}"#),
            Err(ClaimsError::Json(JsonError::DuplicateMember(_)))
        ));
        assert!(matches!(parse(&"[".repeat(20_000)), Err(ClaimsError::Json(JsonError::TooDeep))));
        let wide = format!("{{\"a\":[{}1]}}", "1,".repeat(20_000));
        assert!(matches!(parse(&wide), Err(ClaimsError::Json(JsonError::TooManyValues))));
        assert_eq!(ClaimsSet::parse(b"e30="), Err(ClaimsError::NotBase64Url));
    }

    #[test]
    fn debug_shows_no_personal_data() {
        let shown = format!("{:?}", claims(r#"{"email":"a@example.com"}"#));
        assert!(shown.contains("email") && !shown.contains("example"), "{shown}");
    }
}
