//! The path of a PATCH operation: RFC 7644 section 3.5.2.

use super::attr_path::{AttrPath, AttrPathError};
use super::filter::{self, Filter, FilterError, FilterSyntax};
use std::fmt;

/// `attrPath / valuePath [subAttr]`, as written.
///
/// The URN of a schema alone, which names all of an extension, is not of this grammar, though some look like it
/// (`…:2.0:User`): who takes both compares with the schemas first.
#[derive(Debug, Clone, PartialEq)]
pub enum PatchPath {
    /// An attribute, or a sub-attribute.
    Attribute(AttrPath),
    /// The values of an attribute that match a filter, or a sub-attribute of each.
    ValuePath {
        /// The attribute.
        path: AttrPath,
        /// Which of its values.
        filter: Filter,
        /// What of them; all if absent.
        sub_attribute: Option<String>,
    },
}

/// Why a text is not a [`PatchPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchPathError {
    /// Not the path of an attribute.
    #[error("path {path:?}: {error}")]
    Attribute {
        /// The path.
        path: String,
        /// Why.
        error: AttrPathError,
    },
    /// The filter in brackets is at fault, or what follows it.
    #[error("path {path:?}: {error}")]
    Filter {
        /// The path, of which columns are counted.
        path: String,
        /// Why.
        error: FilterError,
    },
}

impl PatchPath {
    /// Parses a path, such as `name.familyName`, `members[value eq "2819c223"]` or `emails[type eq "work"].value`.
    ///
    /// # Errors
    /// [`PatchPathError`].
    pub fn parse(text: &str, syntax: &FilterSyntax) -> Result<Self, PatchPathError> {
        if !text.contains('[') {
            return AttrPath::parse(text)
                .map(Self::Attribute)
                .map_err(|error| PatchPathError::Attribute { path: text.to_owned(), error });
        }
        match filter::parse_value_path(text, syntax) {
            Ok((path, filter, sub_attribute)) => {
                let sub_attribute = sub_attribute.map(|path| path.attribute().to_owned());
                Ok(Self::ValuePath { path, filter, sub_attribute })
            }
            Err(FilterError::Path { error, column: 1 }) => {
                Err(PatchPathError::Attribute { path: text.to_owned(), error })
            }
            Err(error) => Err(PatchPathError::Filter { path: text.to_owned(), error }),
        }
    }

    /// The path without filter and without sub-attribute after it.
    pub fn attr_path(&self) -> &AttrPath {
        match self {
            Self::Attribute(path) | Self::ValuePath { path, .. } => path,
        }
    }
}

impl fmt::Display for PatchPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(path) => write!(f, "{path}"),
            Self::ValuePath { path, filter, sub_attribute: None } => write!(f, "{path}[{filter}]"),
            Self::ValuePath { path, filter, sub_attribute: Some(name) } => {
                write!(f, "{path}[{filter}].{name}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PatchPath, PatchPathError> {
        PatchPath::parse(text, &FilterSyntax::default())
    }

    #[test]
    fn each_form_is_read_and_printed() {
        for text in [
            "members",
            "name.familyName",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
            "addresses[type eq \"work\"]",
            "members[value eq \"2819c223-7f76-453a-919d-413861904646\"].displayName",
            "urn:x:y:e[a pr and not (b eq 1)].c",
        ] {
            assert_eq!(parse(text).map(|path| path.to_string()), Ok(text.to_owned()));
        }
        let path = parse("emails[type eq \"work\"].value").unwrap();
        assert_eq!(path.attr_path(), &AttrPath::parse("emails").unwrap());
        assert!(matches!(path, PatchPath::ValuePath { sub_attribute: Some(name), .. } if name == "value"));
    }

    fn refused(text: &str, expected: &str) {
        assert_eq!(parse(text).map_err(|error| error.to_string()), Err(expected.to_owned()));
    }

    #[test]
    fn faults_are_refused_with_their_place() {
        refused("", "path \"\": expected the name of an attribute, but found nothing");
        refused("a.b.c", "path \"a.b.c\": expected at most one sub-attribute, but found \"a.b.c\"");
        refused(
            "a.b.c[d pr]",
            "path \"a.b.c[d pr]\": expected at most one sub-attribute, but found \"a.b.c\"",
        );
        refused(
            "a[b]",
            "path \"a[b]\": expected an operator (eq, ne, co, sw, ew, gt, ge, lt, le, pr) at column 4, but found \"]\"",
        );
        refused(
            "a[b pr].c eq 1",
            "path \"a[b pr].c eq 1\": expected the end of the path at column 11, but found \"eq 1\"",
        );
        refused("a b[c pr]", "path \"a b[c pr]\": expected \"[\" at column 2, but found \" b[c pr]\"");
        refused(
            "a[b pr][c pr]",
            "path \"a[b pr][c pr]\": expected the end of the path at column 8, but found \"[c pr]\"",
        );
    }
}
