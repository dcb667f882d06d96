//! A BulkResponse, to be written.

use crate::scim::error::ScimError;
use crate::scim::version::Version;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// What became of the operations that were performed, in the order of the request. It serializes to the body of the
/// response, whose status is 200 also where every operation failed.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkResponse {
    /// One for each operation, up to that which ended the job.
    pub operations: Vec<BulkResult>,
}

/// What became of one operation.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkResult {
    /// As in the request.
    pub method: String,
    /// As in the request.
    pub bulk_id: Option<String>,
    /// The absolute URL of the resource; none if it was not created.
    pub location: Option<String>,
    /// The version that it has now.
    pub version: Option<Version>,
    /// The status, or why it failed.
    pub outcome: Result<u16, ScimError>,
}

impl BulkResponse {
    /// The schema of the body.
    pub const SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";
}

impl Serialize for BulkResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schemas", &[Self::SCHEMA])?;
        map.serialize_entry("Operations", &self.operations)?;
        map.end()
    }
}

impl Serialize for BulkResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("method", &self.method)?;
        if let Some(bulk_id) = &self.bulk_id {
            map.serialize_entry("bulkId", bulk_id)?;
        }
        if let Some(location) = &self.location {
            map.serialize_entry("location", location)?;
        }
        if let Some(version) = &self.version {
            map.serialize_entry("version", &version.to_string())?;
        }
        match &self.outcome {
            Ok(status) => map.serialize_entry("status", &status.to_string())?,
            Err(error) => {
                map.serialize_entry("status", &error.status.to_string())?;
                map.serialize_entry("response", error)?;
            }
        }
        map.end()
    }
}
