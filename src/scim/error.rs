//! Errors as responses: RFC 7644 section 3.12.

use super::attr_path::AttrPathError;
use super::bulk::{BulkError, BulkFault};
use super::cursor::CursorError;
use super::filter::FilterError;
use super::list::PagingError;
use super::patch::{PatchError, PatchFault};
use super::path::PatchPathError;
use super::projection::ProjectionError;
use super::resource::ResourceError;
use super::resource_type::UnresolvedPath;
use super::search::{COUNT, FILTER, SearchError};
use super::sort::SortError;
use super::value::ValueError;
use super::version::VersionError;
use crate::json::JsonError;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;

/// A request that failed, as it is told to the client. It serializes to the body of the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScimError {
    /// The status of the response.
    pub status: u16,
    /// What kind of fault it is, if the RFC has a word for it.
    pub scim_type: Option<ScimType>,
    /// For people.
    pub detail: String,
}

/// `scimType` (RFC 7644 section 3.12, table 9; RFC 9865 section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScimType {
    /// The filter is at fault, in a search or in the path of a PATCH.
    InvalidFilter,
    /// More results than the service is willing to process.
    TooMany,
    /// A value that must be unique is in use.
    Uniqueness,
    /// An attribute that the client may not change.
    Mutability,
    /// The body is not of the right structure.
    InvalidSyntax,
    /// A path to an attribute is at fault.
    InvalidPath,
    /// The path of a PATCH names nothing that could be changed.
    NoTarget,
    /// A value is missing, or does not fit the attribute.
    InvalidValue,
    /// Another version of the protocol.
    InvalidVers,
    /// What was asked for must not be in a URL.
    Sensitive,
    /// Not a cursor of this service, or not of this search.
    InvalidCursor,
    /// The cursor is too old.
    ExpiredCursor,
    /// `count` is out of range.
    InvalidCount,
}

impl ScimType {
    /// As in the response.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::TooMany => "tooMany",
            Self::Uniqueness => "uniqueness",
            Self::Mutability => "mutability",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidPath => "invalidPath",
            Self::NoTarget => "noTarget",
            Self::InvalidValue => "invalidValue",
            Self::InvalidVers => "invalidVers",
            Self::Sensitive => "sensitive",
            Self::InvalidCursor => "invalidCursor",
            Self::ExpiredCursor => "expiredCursor",
            Self::InvalidCount => "invalidCount",
        }
    }
}

impl ScimError {
    /// The schema of an error.
    pub const SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
    /// The longest detail, in bytes: what is found at fault is repeated in it, and it may be long.
    pub const MAX_DETAIL: usize = 1024;

    /// A status without `scimType`.
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if detail.len() > Self::MAX_DETAIL {
            let ends = detail.char_indices().map(|(at, _)| at).take_while(|at| *at <= Self::MAX_DETAIL);
            let end = ends.last().unwrap_or_default();
            detail.truncate(end);
            detail.push('…');
        }
        Self { status, scim_type: None, detail }
    }

    /// A status with `scimType`.
    pub fn typed(status: u16, scim_type: ScimType, detail: impl Into<String>) -> Self {
        Self { scim_type: Some(scim_type), ..Self::new(status, detail) }
    }

    /// 400, with `scimType`.
    pub fn bad_request(scim_type: ScimType, detail: impl Into<String>) -> Self {
        Self::typed(400, scim_type, detail)
    }

    /// 404 for a resource.
    pub fn not_found(id: &str) -> Self {
        Self::new(404, format!("expected a resource, but found none of the id {id:?}"))
    }

    /// 409 for a value that is in use; `path` is the attribute's.
    pub fn uniqueness(path: &str) -> Self {
        Self::typed(409, ScimType::Uniqueness, format!("{path}: expected a value that is not in use"))
    }
}

impl fmt::Display for ScimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(scim_type) = self.scim_type {
            write!(f, " {}", scim_type.as_str())?;
        }
        write!(f, ": {}", self.detail)
    }
}

impl std::error::Error for ScimError {}

impl Serialize for ScimError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schemas", &[Self::SCHEMA])?;
        // A string, as every example of the RFC has it.
        map.serialize_entry("status", &self.status.to_string())?;
        if let Some(scim_type) = self.scim_type {
            map.serialize_entry("scimType", scim_type.as_str())?;
        }
        map.serialize_entry("detail", &self.detail)?;
        map.end()
    }
}

impl From<JsonError> for ScimError {
    fn from(error: JsonError) -> Self {
        Self::bad_request(ScimType::InvalidSyntax, error.to_string())
    }
}

impl From<AttrPathError> for ScimError {
    fn from(error: AttrPathError) -> Self {
        Self::bad_request(ScimType::InvalidPath, error.to_string())
    }
}

impl From<UnresolvedPath> for ScimError {
    fn from(error: UnresolvedPath) -> Self {
        Self::bad_request(ScimType::InvalidPath, error.to_string())
    }
}

impl From<PatchPathError> for ScimError {
    fn from(error: PatchPathError) -> Self {
        let scim_type = match &error {
            PatchPathError::Attribute { .. } => ScimType::InvalidPath,
            PatchPathError::Filter { .. } => ScimType::InvalidFilter,
        };
        Self::bad_request(scim_type, error.to_string())
    }
}

impl From<FilterError> for ScimError {
    fn from(error: FilterError) -> Self {
        Self::bad_request(ScimType::InvalidFilter, error.to_string())
    }
}

impl From<ValueError> for ScimError {
    fn from(error: ValueError) -> Self {
        let scim_type = match &error {
            ValueError::UnknownAttribute { .. } | ValueError::Twice { .. } => ScimType::InvalidSyntax,
            ValueError::WrongType { .. }
            | ValueError::BadDate { .. }
            | ValueError::BadBase64 { .. }
            | ValueError::NotCanonical { .. }
            | ValueError::Missing { .. }
            | ValueError::TwoPrimaries { .. } => ScimType::InvalidValue,
        };
        Self::bad_request(scim_type, error.to_string())
    }
}

impl From<ResourceError> for ScimError {
    fn from(error: ResourceError) -> Self {
        let scim_type = match error {
            ResourceError::Value(error) => return error.into(),
            ResourceError::SchemaMissing(_)
            | ResourceError::UnknownSchema(_)
            | ResourceError::ExtensionMissing(_) => ScimType::InvalidValue,
            ResourceError::Immutable { .. } => ScimType::Mutability,
        };
        Self::bad_request(scim_type, error.to_string())
    }
}

impl From<CursorError> for ScimError {
    fn from(error: CursorError) -> Self {
        let scim_type = match &error {
            CursorError::Invalid => ScimType::InvalidCursor,
            CursorError::Expired => ScimType::ExpiredCursor,
        };
        Self::bad_request(scim_type, error.to_string())
    }
}

impl From<PagingError> for ScimError {
    fn from(error: PagingError) -> Self {
        let PagingError::CountTooSmall { .. } = &error;
        Self::bad_request(ScimType::InvalidCount, error.to_string())
    }
}

impl From<SortError> for ScimError {
    fn from(error: SortError) -> Self {
        Self::bad_request(ScimType::InvalidPath, error.to_string())
    }
}

impl From<ProjectionError> for ScimError {
    fn from(error: ProjectionError) -> Self {
        Self::bad_request(ScimType::InvalidPath, error.to_string())
    }
}

impl From<SearchError> for ScimError {
    fn from(error: SearchError) -> Self {
        let scim_type = match error.parameter() {
            None => ScimType::InvalidSyntax,
            Some(FILTER) => ScimType::InvalidFilter,
            Some(COUNT) => ScimType::InvalidCount,
            Some(_) => ScimType::InvalidValue,
        };
        Self::bad_request(scim_type, error.to_string())
    }
}

impl From<VersionError> for ScimError {
    fn from(error: VersionError) -> Self {
        match &error {
            VersionError::Malformed { .. } => Self::bad_request(ScimType::InvalidValue, error.to_string()),
            VersionError::Failed => Self::new(412, error.to_string()),
        }
    }
}

impl From<PatchError> for ScimError {
    fn from(error: PatchError) -> Self {
        let scim_type = match &error.fault {
            PatchFault::Syntax { .. } | PatchFault::UnknownOp(_) => ScimType::InvalidSyntax,
            PatchFault::Path(PatchPathError::Filter { .. }) | PatchFault::Filter(_) => {
                ScimType::InvalidFilter
            }
            PatchFault::Path(PatchPathError::Attribute { .. })
            | PatchFault::UnresolvedPath(_)
            | PatchFault::NotSelectable(_) => ScimType::InvalidPath,
            PatchFault::NoTarget(_) => ScimType::NoTarget,
            PatchFault::Value(_) => ScimType::InvalidValue,
            PatchFault::Mutability { .. } => ScimType::Mutability,
        };
        Self::bad_request(scim_type, error.to_string())
    }
}

impl From<BulkError> for ScimError {
    fn from(error: BulkError) -> Self {
        match &error {
            BulkError::TooLarge { .. } | BulkError::TooManyOperations { .. } => {
                Self::new(413, error.to_string())
            }
            BulkError::Json(_) | BulkError::NoBulkRequest | BulkError::Malformed { .. } => {
                Self::bad_request(ScimType::InvalidSyntax, error.to_string())
            }
        }
    }
}

impl From<BulkFault> for ScimError {
    fn from(error: BulkFault) -> Self {
        let scim_type = match &error {
            BulkFault::Malformed { .. } | BulkFault::BadPath { .. } | BulkFault::BadVersion(_) => {
                ScimType::InvalidSyntax
            }
            BulkFault::BulkIdTwice(_) | BulkFault::UnknownReference(_) | BulkFault::FailedReference(_) => {
                ScimType::InvalidValue
            }
        };
        Self::bad_request(scim_type, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_is_written_as_the_rfc_has_it() {
        let error = ScimError::bad_request(ScimType::Mutability, "Attribute 'id' is readOnly");
        let expected = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "scimType": "mutability",
            "detail": "Attribute 'id' is readOnly",
            "status": "400"
        });
        assert_eq!(serde_json::to_value(&error).unwrap(), expected);
        assert_eq!(error.to_string(), "400 mutability: Attribute 'id' is readOnly");
        let untyped = serde_json::to_value(ScimError::not_found("x")).unwrap();
        assert_eq!((untyped["status"].as_str(), untyped.get("scimType")), (Some("404"), None));
    }

    #[test]
    fn each_fault_has_its_type() {
        let check = |error: ScimError, status, scim_type| {
            assert_eq!((error.status, error.scim_type), (status, scim_type), "{error}");
        };
        check(JsonError::NotAnObject.into(), 400, Some(ScimType::InvalidSyntax));
        check(AttrPathError::Empty.into(), 400, Some(ScimType::InvalidPath));
        check(FilterError::NoValue { path: "name".into() }.into(), 400, Some(ScimType::InvalidFilter));
        check(CursorError::Expired.into(), 400, Some(ScimType::ExpiredCursor));
        check(VersionError::Failed.into(), 412, None);
        let immutable = ResourceError::Immutable { path: "x".into() };
        check(immutable.into(), 400, Some(ScimType::Mutability));
        let unknown = ValueError::UnknownAttribute { place: "x".into() };
        check(ResourceError::Value(unknown).into(), 400, Some(ScimType::InvalidSyntax));
        check(ScimError::uniqueness("userName"), 409, Some(ScimType::Uniqueness));
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let error = ScimError::new(400, "é".repeat(1000));
        assert_eq!(error.detail.len(), 1024 + '…'.len_utf8());
    }
}
