//! A BulkRequest, read.

use super::reference;
use crate::json::{self, JsonError, Limits};
use crate::scim::patch::PATCH_OP;
use crate::scim::version::{Version, VersionError};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;

/// The operations of a request, in the order in which they came.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkRequest {
    /// How many errors end the job; without it, none do. Zero is as one: the first.
    pub fail_on_errors: Option<usize>,
    /// The operations; one that is at fault fails alone.
    pub operations: Vec<BulkOperation>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkOperation {
    /// `method` as it came, for the response.
    pub method: String,
    /// The name of what is created, for others to refer to.
    pub bulk_id: Option<String>,
    /// The path of the resource to be changed, for the response; none for POST, and where it refers to what is created.
    pub resource: Option<String>,
    /// What is to be done.
    pub work: Result<BulkWork, BulkFault>,
}

/// What an operation does.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkWork {
    /// The method.
    pub method: BulkMethod,
    /// An endpoint to create at, or the path of a resource; relative to the base URL, with a slash first.
    pub path: String,
    /// The version that the resource must have.
    pub version: Option<Version>,
    /// The body; empty for DELETE.
    pub data: Map<String, Json>,
}

/// The methods that a Bulk operation may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BulkMethod {
    /// Creates.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Deletes.
    Delete,
}

impl BulkMethod {
    /// As in HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Post, Self::Put, Self::Patch, Self::Delete].into_iter().find(|method| method.as_str() == word)
    }
}

/// How much one request may do, as announced in the ServiceProviderConfig.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkLimits {
    /// `maxOperations`.
    pub max_operations: usize,
    /// `maxPayloadSize`, in bytes.
    pub max_payload_size: usize,
}

/// Why a request as a whole is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BulkError {
    /// Longer than [`BulkLimits::max_payload_size`].
    #[error("expected at most {limit} bytes (maxPayloadSize), but found {found}")]
    TooLarge {
        /// The bound.
        limit: usize,
        /// How long it is.
        found: usize,
    },
    /// More than [`BulkLimits::max_operations`].
    #[error("expected at most {limit} operations (maxOperations), but found {found}")]
    TooManyOperations {
        /// The bound.
        limit: usize,
        /// How many there are.
        found: usize,
    },
    /// Not one JSON object.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// `schemas` does not name it.
    #[error("schemas: expected {:?} among them", BulkRequest::SCHEMA)]
    NoBulkRequest,
    /// A member is missing or of another type of JSON.
    #[error("{place}: expected {expected}")]
    Malformed {
        /// The member.
        place: String,
        /// What it must be.
        expected: &'static str,
    },
}

/// Why one operation fails before it is performed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BulkFault {
    /// A member is missing or of another type of JSON.
    #[error("{member}: expected {expected}")]
    Malformed {
        /// The member.
        member: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// `path` does not fit the method.
    #[error("path: expected {expected}, but found {found:?}")]
    BadPath {
        /// What it must be.
        expected: &'static str,
        /// The path.
        found: String,
    },
    /// `version` is no entity tag.
    #[error("version: {0}")]
    BadVersion(#[from] VersionError),
    /// Another operation has the name.
    #[error("bulkId: expected each once, but found {0:?} again")]
    BulkIdTwice(String),
    /// No operation creates what is referred to.
    #[error("expected a reference to the bulkId of a POST of this request, but found {0:?}")]
    UnknownReference(String),
    /// What is referred to was not created.
    #[error("expected the resource of the bulkId {0:?}, but it was not created")]
    FailedReference(String),
}

/// A whole resource is some levels deep; the rest are those of the request.
const JSON_LIMITS: Limits = Limits { depth: 32, values: 1_000_000 };

impl BulkRequest {
    /// The schema of the body.
    pub const SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

    /// Reads a body.
    ///
    /// # Errors
    /// [`BulkError`]. Operations that are at fault are no error: they fail one by one.
    pub fn parse(body: &[u8], limits: BulkLimits) -> Result<Self, BulkError> {
        Self::from_json(&Self::read_body(body, limits)?, limits.max_operations)
    }

    /// Reads the JSON of a body, for who changes it before it is read as a request.
    ///
    /// # Errors
    /// [`BulkError::TooLarge`] and [`BulkError::Json`].
    pub fn read_body(body: &[u8], limits: BulkLimits) -> Result<Map<String, Json>, BulkError> {
        if body.len() > limits.max_payload_size {
            return Err(BulkError::TooLarge { limit: limits.max_payload_size, found: body.len() });
        }
        Ok(json::parse_object(body, JSON_LIMITS)?)
    }

    /// Reads a body that is JSON already. Names of members are read in any case.
    ///
    /// # Errors
    /// As [`BulkRequest::parse`], without the size.
    pub fn from_json(body: &Map<String, Json>, max_operations: usize) -> Result<Self, BulkError> {
        let is_ours =
            |schema: &Json| schema.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(Self::SCHEMA));
        let schemas = member(body, "schemas").and_then(Json::as_array);
        if !schemas.is_some_and(|schemas| schemas.iter().any(is_ours)) {
            return Err(BulkError::NoBulkRequest);
        }
        let malformed = |place: &str, expected| BulkError::Malformed { place: place.to_owned(), expected };
        let fail_on_errors = match member(body, "failOnErrors") {
            None => None,
            Some(value) => {
                let count =
                    value.as_u64().ok_or_else(|| malformed("failOnErrors", "an integer, 1 or more"))?;
                Some(usize::try_from(count).unwrap_or(usize::MAX))
            }
        };
        let operations = member(body, "Operations").and_then(Json::as_array);
        let operations = operations.ok_or_else(|| malformed("Operations", "an array"))?;
        if operations.len() > max_operations {
            return Err(BulkError::TooManyOperations { limit: max_operations, found: operations.len() });
        }
        let mut bulk_ids = BTreeSet::new();
        let operations = operations.iter().enumerate().map(|(index, operation)| {
            let members = operation.as_object();
            let members = members.ok_or_else(|| malformed(&format!("Operations[{index}]"), "an object"))?;
            Ok(BulkOperation::read(members, &mut bulk_ids))
        });
        Ok(Self { fail_on_errors, operations: operations.collect::<Result<_, BulkError>>()? })
    }
}

impl BulkOperation {
    /// `bulk_ids` are those of the operations before.
    fn read(members: &Map<String, Json>, bulk_ids: &mut BTreeSet<String>) -> Self {
        let method = member(members, "method").and_then(Json::as_str).unwrap_or_default().to_owned();
        let bulk_id = member(members, "bulkId").and_then(Json::as_str).map(str::to_owned);
        let work = BulkWork::read(&method, members).and_then(|work| match &bulk_id {
            Some(bulk_id) if work.method == BulkMethod::Post && !bulk_ids.insert(bulk_id.clone()) => {
                Err(BulkFault::BulkIdTwice(bulk_id.clone()))
            }
            _ => Ok(work),
        });
        let is_resource = |path: &&str| {
            let method = BulkMethod::from_word(&method).filter(|method| *method != BulkMethod::Post);
            let is_path = method.is_some_and(|method| check_path(method, path).is_ok());
            is_path && reference::in_url(path).is_empty()
        };
        let resource = member(members, "path").and_then(Json::as_str).filter(is_resource).map(str::to_owned);
        Self { method, bulk_id, resource, work }
    }
}

impl BulkWork {
    fn read(method: &str, members: &Map<String, Json>) -> Result<Self, BulkFault> {
        let malformed = |member, expected| BulkFault::Malformed { member, expected };
        let text = |name: &'static str| match member(members, name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(_) => Err(malformed(name, "a string")),
        };
        let method = BulkMethod::from_word(method)
            .ok_or_else(|| malformed("method", "\"POST\", \"PUT\", \"PATCH\" or \"DELETE\""))?;
        let bulk_id = text("bulkId")?;
        if method == BulkMethod::Post && bulk_id.is_none_or(|bulk_id| bulk_id.is_empty()) {
            return Err(malformed("bulkId", "a name for what a POST creates"));
        }
        let path = text("path")?.ok_or_else(|| malformed("path", "a string"))?;
        check_path(method, path)?;
        let version = text("version")?.filter(|_| method != BulkMethod::Post);
        let version = version.map(|version| Version::parse(version)).transpose()?;
        let data = match member(members, "data") {
            _ if method == BulkMethod::Delete => Map::new(),
            Some(Json::Object(data)) => data.clone(),
            // The example of RFC 7644 section 3.7.3 has the operations alone.
            Some(Json::Array(operations)) if method == BulkMethod::Patch => {
                let members = [("schemas", json!([PATCH_OP])), ("Operations", json!(operations))];
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }
            _ => return Err(malformed("data", "an object")),
        };
        Ok(Self { method, path: path.clone(), version, data })
    }

    /// The names that it refers to, in order; some may be there twice.
    pub(super) fn references(&self) -> Vec<&str> {
        let mut found = reference::in_url(&self.path);
        found.extend(self.data.iter().flat_map(|(name, value)| reference::in_json(name, value)));
        found
    }
}

/// A POST is to an endpoint, anything else to a resource.
fn check_path(method: BulkMethod, path: &str) -> Result<(), BulkFault> {
    let (segments, expected) = match method {
        BulkMethod::Post => (1, "an endpoint such as \"/Users\""),
        BulkMethod::Put | BulkMethod::Patch | BulkMethod::Delete => {
            (2, "a resource such as \"/Users/2819c223\"")
        }
    };
    let found = path.strip_prefix('/').map(|path| path.split('/').collect::<Vec<_>>()).unwrap_or_default();
    let is_path = found.len() == segments && !found.contains(&"") && !path.contains(['?', '#']);
    if is_path { Ok(()) } else { Err(BulkFault::BadPath { expected, found: path.to_owned() }) }
}

/// The member of that name in any case, unless it is `null`.
fn member<'m>(members: &'m Map<String, Json>, name: &str) -> Option<&'m Json> {
    let found = members.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    found.filter(|value| !value.is_null())
}
