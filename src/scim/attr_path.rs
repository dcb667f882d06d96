//! The path to an attribute: RFC 7644 section 3.4.2.2, `attrPath`.

use std::fmt;

/// `[URI ":"] ATTRNAME ["." ATTRNAME]`, as written: what it names is found by a resource type, without regard to
/// case.
///
/// The URN of a schema alone is no such path, though it may look like one (`…:2.0:User`): who takes both compares
/// with the schemas first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttrPath {
    schema: Option<String>,
    attribute: String,
    sub_attribute: Option<String>,
}

/// Why a text is not an [`AttrPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttrPathError {
    /// There is nothing.
    #[error("expected the name of an attribute, but found nothing")]
    Empty,
    /// Not an attribute name (RFC 7643 section 2.1).
    #[error(
        "expected the name of an attribute (a letter, then letters, digits, \"-\", \"_\"), but found {0:?}"
    )]
    BadName(String),
    /// What stands before the attribute is not a URI.
    #[error("expected the URN of a schema before the attribute, but found {0:?}")]
    BadSchema(String),
    /// More than one sub-attribute: SCIM has no deeper nesting (RFC 7643 section 2.3.8).
    #[error("expected at most one sub-attribute, but found {0:?}")]
    TooDeep(String),
}

impl AttrPath {
    /// Parses a path, such as `userName`, `name.familyName` or `urn:…:enterprise:2.0:User:manager.value`.
    ///
    /// # Errors
    /// [`AttrPathError`].
    pub fn parse(text: &str) -> Result<Self, AttrPathError> {
        if text.is_empty() {
            return Err(AttrPathError::Empty);
        }
        let (schema, name) = match text.rsplit_once(':') {
            Some((schema, name)) => (Some(schema), name),
            None => (None, text),
        };
        if let Some(schema) = schema.filter(|schema| !is_uri(schema)) {
            return Err(AttrPathError::BadSchema(schema.to_owned()));
        }
        let mut names = name.split('.');
        let attribute = checked_name(names.next().unwrap_or_default())?;
        let sub_attribute = names.next().map(checked_name).transpose()?;
        if names.next().is_some() {
            return Err(AttrPathError::TooDeep(name.to_owned()));
        }
        Ok(Self { schema: schema.map(str::to_owned), attribute, sub_attribute })
    }

    /// The URN of the schema, if the path has one.
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// The attribute.
    pub fn attribute(&self) -> &str {
        &self.attribute
    }

    /// The sub-attribute, if the path has one.
    pub fn sub_attribute(&self) -> Option<&str> {
        self.sub_attribute.as_deref()
    }

    /// The same path with `sub_attribute`, in place of its own if it has one.
    ///
    /// # Errors
    /// [`AttrPathError::BadName`].
    pub fn with_sub_attribute(&self, sub_attribute: &str) -> Result<Self, AttrPathError> {
        Ok(Self { sub_attribute: Some(checked_name(sub_attribute)?), ..self.clone() })
    }

    /// The same path without its sub-attribute.
    #[must_use]
    pub fn without_sub_attribute(&self) -> Self {
        Self { sub_attribute: None, ..self.clone() }
    }
}

impl fmt::Display for AttrPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}:")?;
        }
        f.write_str(&self.attribute)?;
        match &self.sub_attribute {
            Some(sub_attribute) => write!(f, ".{sub_attribute}"),
            None => Ok(()),
        }
    }
}

impl std::str::FromStr for AttrPath {
    type Err = AttrPathError;

    fn from_str(text: &str) -> Result<Self, AttrPathError> {
        Self::parse(text)
    }
}

/// Whether `text` can be the name of an attribute (RFC 7643 section 2.1).
///
/// The first sign may be `$` beside a letter: the RFC's own `$ref` starts with it.
pub fn is_attribute_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'$')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'$' | b'-' | b'_'))
}

fn checked_name(name: &str) -> Result<String, AttrPathError> {
    if is_attribute_name(name) { Ok(name.to_owned()) } else { Err(AttrPathError::BadName(name.to_owned())) }
}

/// Whether `text` has the shape of a URI with a scheme; brackets and quotes end a path in a filter, so they are out.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(of_scheme)
        && !rest.is_empty()
        && rest.bytes().all(is_uri_byte)
}

/// The signs of RFC 3986 section 2, brackets left out.
pub(super) fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'*+,;=%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    fn check(text: &str, expected: (Option<&str>, &str, Option<&str>)) {
        let path = AttrPath::parse(text).unwrap();
        assert_eq!((path.schema(), path.attribute(), path.sub_attribute()), expected, "{text}");
        assert_eq!(path.to_string(), text);
    }

    #[test]
    fn each_part_is_told_apart() {
        check("userName", (None, "userName", None));
        check("name.familyName", (None, "name", Some("familyName")));
        check("members.$ref", (None, "members", Some("$ref")));
        check("x-1_2", (None, "x-1_2", None));
        check(&format!("{ENTERPRISE}:manager.value"), (Some(ENTERPRISE), "manager", Some("value")));
        check("http://example.com/ext:a", (Some("http://example.com/ext"), "a", None));
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_place() {
        let cases = [
            ("", AttrPathError::Empty),
            (".", AttrPathError::BadName(String::new())),
            ("a.", AttrPathError::BadName(String::new())),
            ("1a", AttrPathError::BadName("1a".into())),
            ("-a", AttrPathError::BadName("-a".into())),
            ("a b", AttrPathError::BadName("a b".into())),
            ("ä", AttrPathError::BadName("ä".into())),
            ("a.b.c", AttrPathError::TooDeep("a.b.c".into())),
            (":a", AttrPathError::BadSchema(String::new())),
            ("core:a", AttrPathError::BadSchema("core".into())),
            ("urn:x(y):a", AttrPathError::BadSchema("urn:x(y)".into())),
            ("urn:ext:1.0", AttrPathError::BadName("1".into())),
        ];
        for (text, error) in cases {
            assert_eq!(AttrPath::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn the_sub_attribute_can_be_changed() {
        let path = AttrPath::parse("name.familyName").unwrap();
        assert_eq!(path.without_sub_attribute().to_string(), "name");
        assert_eq!(path.with_sub_attribute("givenName").map(|p| p.to_string()), Ok("name.givenName".into()));
        assert_eq!(path.with_sub_attribute("a.b"), Err(AttrPathError::BadName("a.b".into())));
    }
}
