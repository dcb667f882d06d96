//! Answers in the client's names.

use super::Mapping;
use super::object::member_mut;
use crate::gateway::{Call, GatewayPolicy, Method, Operation, Reason, Refusal};
use crate::json::{self, Limits};
use crate::scim::ValueError;
use serde_json::{Map, Value as Json};

/// A page of large groups, with room.
const LIMITS: Limits = Limits { depth: 32, values: 1_000_000 };

impl GatewayPolicy {
    /// Whether the body of an answer with that status is to be rewritten, by [`GatewayPolicy::rewrite_answer`]: it has attributes that
    /// the client calls otherwise.
    pub fn rewrites_answers(&self, call: &Call, status: u16) -> bool {
        let has_body = call.method != Method::Head && !matches!(status, 204 | 205);
        has_body && matches!(status, 200..=299) && self.maps_answers(call)
    }

    /// The body of such an answer as the client sees it.
    ///
    /// # Errors
    /// [`Refusal`] if it is not what a store answers with: whatever it is, nothing of it may go on.
    pub fn rewrite_answer(&self, call: &Call, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let failed = || Refusal::new(Reason::StoreFailed);
        let mut members = json::parse_object(body, LIMITS).map_err(|_| failed())?;
        match member_mut(&mut members, "Resources").filter(|_| call.operation() == Operation::Search) {
            Some(Json::Array(resources)) => {
                for resource in resources {
                    let members = resource.as_object_mut().ok_or_else(failed)?;
                    self.translate_back(call, members).map_err(|_| failed())?;
                }
            }
            Some(_) => return Err(failed()),
            // A page of none may have no list.
            None if call.operation() == Operation::Search => {}
            None => self.translate_back(call, &mut members).map_err(|_| failed())?,
        }
        serde_json::to_vec(&members).map_err(|_| failed())
    }

    /// Whether answers to a call have attributes that the client calls otherwise.
    pub(in crate::gateway) fn maps_answers(&self, call: &Call) -> bool {
        let has_resources = match call.operation() {
            Operation::Read
            | Operation::Search
            | Operation::Create
            | Operation::Replace
            | Operation::Patch => true,
            Operation::Delete | Operation::Bulk | Operation::Discover | Operation::Other => false,
        };
        has_resources && call.resource_type().is_some_and(|name| self.mapping(call, name).is_some())
    }

    fn mapping(&self, call: &Call, resource_type: &str) -> Option<&Mapping> {
        self.tenant(call.tenant?)?.mappings.of(resource_type)
    }

    /// By the type that the resource says it is of; one that does not say is of the type that was asked for.
    fn translate_back(&self, call: &Call, resource: &mut Map<String, Json>) -> Result<(), ValueError> {
        let said = resource.get("meta").and_then(|meta| meta.get("resourceType")).and_then(Json::as_str);
        let mapping = said.or(call.resource_type()).and_then(|name| self.mapping(call, name));
        mapping.map_or(Ok(()), |mapping| mapping.translate_back(resource))
    }
}
