//! Versions of resources: RFC 7644 section 3.14, and the conditions of RFC 9110 section 13 on them.

use std::fmt;

/// The version of a resource. Written as a weak entity tag, `W/"3694e05e9dff590"`: two responses of one version may
/// differ in their bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(String);

/// Why a condition does not let a request pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// Not an entity tag, or not a list of them.
    #[error("expected {expected}, but found {found:?}")]
    Malformed {
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// The resource has another version, or is there where it must not be, or is not there.
    #[error("expected another version of the resource: it was changed since, or the condition never held")]
    Failed,
}

impl Version {
    /// A version of that name, if an entity tag can have it: printable, without double quotes.
    pub fn new(tag: &str) -> Option<Self> {
        let may_have = |byte: u8| byte > b' ' && byte != b'"' && byte != 0x7f;
        tag.bytes().all(may_have).then(|| Self(tag.to_owned()))
    }

    /// The name, without `W/` and quotes.
    pub fn tag(&self) -> &str {
        &self.0
    }

    /// Reads one entity tag, such as `meta.version` and the `version` of a Bulk operation are, weak or strong. Tags
    /// are compared weakly (RFC 9110 section 8.8.3.2) also in `If-Match`: RFC 7644 gives every resource a weak one.
    ///
    /// # Errors
    /// [`VersionError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        match take_tag(text) {
            Some((version, "")) => Ok(version),
            _ => Err(malformed("an entity tag such as W/\"1\"", text)),
        }
    }
}

impl From<u64> for Version {
    /// For who counts versions.
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "W/\"{}\"", self.0)
    }
}

/// The conditions of a request: `If-Match` and `If-None-Match`. By default there are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    /// `*`: any version that is there.
    Any,
    OneOf(Vec<Version>),
}

/// What is sent to a client that reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// The resource.
    Modified,
    /// 304: the client has it.
    NotModified,
}

impl Conditions {
    /// Reads the header fields; of several of one name, their values joined by commas. What cannot be read is an
    /// error and never no condition.
    ///
    /// # Errors
    /// [`VersionError::Malformed`].
    pub fn parse(if_match: Option<&[u8]>, if_none_match: Option<&[u8]>) -> Result<Self, VersionError> {
        let read = |value: Option<&[u8]>| value.map(Tags::parse).transpose();
        Ok(Self { if_match: read(if_match)?, if_none_match: read(if_none_match)? })
    }

    /// The condition that the resource still has `version`, as in a Bulk operation.
    pub fn unchanged(version: Version) -> Self {
        Self { if_match: Some(Tags::OneOf(vec![version])), if_none_match: None }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a write may happen; `current` is the version of the resource, if it is there. The same transaction
    /// must write.
    ///
    /// # Errors
    /// [`VersionError::Failed`].
    pub fn check_write(&self, current: Option<&Version>) -> Result<(), VersionError> {
        let is_met = self.if_match.as_ref().is_none_or(|tags| tags.has(current))
            && !self.if_none_match.as_ref().is_some_and(|tags| tags.has(current));
        if is_met { Ok(()) } else { Err(VersionError::Failed) }
    }

    /// What a read is answered with.
    ///
    /// # Errors
    /// [`VersionError::Failed`] if `If-Match` is not met.
    pub fn check_read(&self, current: &Version) -> Result<Freshness, VersionError> {
        if self.if_match.as_ref().is_some_and(|tags| !tags.has(Some(current))) {
            return Err(VersionError::Failed);
        }
        let is_known = self.if_none_match.as_ref().is_some_and(|tags| tags.has(Some(current)));
        Ok(if is_known { Freshness::NotModified } else { Freshness::Modified })
    }
}

impl Tags {
    fn parse(value: &[u8]) -> Result<Self, VersionError> {
        let fault = || malformed("\"*\" or entity tags such as W/\"1\"", &String::from_utf8_lossy(value));
        let mut rest = std::str::from_utf8(value).map_err(|_| fault())?.trim_matches(BLANK);
        if rest == "*" {
            return Ok(Self::Any);
        }
        let mut versions = Vec::new();
        loop {
            // Empty items are allowed (RFC 9110 section 5.6.1).
            rest = rest.trim_start_matches([',', ' ', '\t']);
            if rest.is_empty() && !versions.is_empty() {
                return Ok(Self::OneOf(versions));
            }
            let (version, after) = take_tag(rest).ok_or_else(fault)?;
            rest = after.trim_start_matches(BLANK);
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err(fault());
            }
            versions.push(version);
        }
    }

    fn has(&self, current: Option<&Version>) -> bool {
        match (self, current) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::OneOf(versions), Some(current)) => versions.contains(current),
        }
    }
}

const BLANK: [char; 2] = [' ', '\t'];

/// The entity tag at the beginning of `text`, and what follows it.
fn take_tag(text: &str) -> Option<(Version, &str)> {
    let quoted = text.strip_prefix("W/").unwrap_or(text).strip_prefix('"')?;
    let (tag, rest) = quoted.split_once('"')?;
    Version::new(tag).map(|version| (version, rest))
}

fn malformed(expected: &'static str, found: &str) -> VersionError {
    VersionError::Malformed { expected, found: found.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(tag: &str) -> Version {
        Version::new(tag).unwrap()
    }

    #[test]
    fn a_version_is_a_weak_entity_tag() {
        assert_eq!(version("a1").to_string(), "W/\"a1\"");
        assert_eq!(Version::from(7).to_string(), "W/\"7\"");
        assert_eq!(Version::parse("W/\"a1\""), Ok(version("a1")));
        assert_eq!(Version::parse("\"a1\""), Ok(version("a1")));
        assert_eq!(Version::new("a\"b"), None);
        assert_eq!(Version::new("a b"), None);
        for text in ["", "a1", "\"a1", "w/\"a1\"", "W/ \"a1\"", "\"a\" ", "\"a\",\"b\"", "*"] {
            assert!(Version::parse(text).is_err(), "{text}");
        }
    }

    /// `current` is the version that is there; the answers are to a write, and to a read where there is something to
    /// read.
    fn check(
        (if_match, if_none_match): (Option<&str>, Option<&str>),
        current: Option<&str>,
        write: bool,
        read: Option<Freshness>,
    ) {
        let conditions =
            Conditions::parse(if_match.map(str::as_bytes), if_none_match.map(str::as_bytes)).unwrap();
        let current = current.map(version);
        let case = format!("{if_match:?} {if_none_match:?} {current:?}");
        assert_eq!(conditions.check_write(current.as_ref()).is_ok(), write, "{case}");
        assert_eq!(current.and_then(|current| conditions.check_read(&current).ok()), read, "{case}");
    }

    #[test]
    fn conditions_hold_as_in_http() {
        let (modified, not_modified) = (Some(Freshness::Modified), Some(Freshness::NotModified));
        check((None, None), Some("1"), true, modified);
        check((None, None), None, true, None);
        check((Some("W/\"1\""), None), Some("1"), true, modified);
        check((Some("\"1\""), None), Some("1"), true, modified);
        check((Some("W/\"2\""), None), Some("1"), false, None);
        check((Some("W/\"2\" , W/\"1\""), None), Some("1"), true, modified);
        check((Some("W/\"1\""), None), None, false, None);
        check((Some("*"), None), Some("1"), true, modified);
        check((Some(" * "), None), None, false, None);
        check((None, Some("*")), Some("1"), false, not_modified);
        check((None, Some("*")), None, true, None);
        check((None, Some("W/\"1\"")), Some("1"), false, not_modified);
        check((None, Some("W/\"2\",\"3\"")), Some("1"), true, modified);
        check((Some("W/\"1\""), Some("W/\"1\"")), Some("1"), false, not_modified);
    }

    #[test]
    fn what_cannot_be_read_is_no_absent_condition() {
        for value in ["", " ", ",", "1", "W/1", "\"1\" \"2\"", "\"1\", *", "\"1", "\"1\", x", "W/\"a b\""] {
            assert!(Conditions::parse(Some(value.as_bytes()), None).is_err(), "{value}");
            assert!(Conditions::parse(None, Some(value.as_bytes())).is_err(), "{value}");
        }
        assert!(Conditions::parse(Some(b"\"\xff\""), None).is_err());
    }

    #[test]
    fn the_version_of_a_bulk_operation_is_a_condition() {
        let conditions = Conditions::unchanged(version("1"));
        assert_eq!(conditions.check_write(Some(&version("1"))), Ok(()));
        assert_eq!(conditions.check_write(Some(&version("2"))), Err(VersionError::Failed));
        assert!(!conditions.is_empty() && Conditions::default().is_empty());
    }
}
