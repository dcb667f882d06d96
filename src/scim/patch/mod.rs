//! PATCH: RFC 7644 section 3.5.2.
//!
//! A [`Patch`] is a body held against a resource type: everything that can be refused without the resource has been. It is applied
//! to a resource as a whole, or divided into a [`Plan`], so that a store changes the members of a group without loading them.

mod apply;
mod compile;
mod items;
mod leave;
mod plan;
mod request;
mod selection;

pub use apply::Outcome;
pub use plan::{MemberChange, MustExist, Plan};

use super::filter::{FilterError, FilterSyntax};
use super::path::PatchPathError;
use super::resource_type::{AttributeRef, ResourceType, UnresolvedPath};
use super::schema::Attribute;
use super::value::{Unknown, Value, ValueError};
use selection::Selection;
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// The URN of the body of a PATCH (RFC 7644 section 3.5.2).
pub const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// What a PATCH does to a resource of one type: its operations in order, all of them or none.
#[derive(Debug, Clone)]
pub struct Patch {
    resource_type: Arc<ResourceType>,
    rules: PatchRules,
    changes: Vec<Change>,
}

/// How operations are read and applied. The default is the RFC's; a profile makes it softer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PatchRules {
    /// Takes a body with an empty list of operations, which changes nothing, where at least one must be there.
    pub takes_no_operations: bool,
    /// Leaves out `readOnly` attributes in the object of an operation without a path, where they would be an error.
    pub ignores_read_only: bool,
    /// Makes the value that the filter of a replacing operation describes, where there is none (`emails[type eq "work"].value`).
    pub creates_missing: bool,
    /// Removing by a filter what is not there changes nothing, where it would be `noTarget`.
    pub removes_missing: bool,
    /// What becomes of attributes that no schema has.
    pub unknown: Unknown,
    /// How filters in paths are read.
    pub filter_syntax: FilterSyntax,
}

/// Why a PATCH was refused. Nothing of it was applied.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}{fault}", .operation.map(|index| format!("Operations[{index}]: ")).unwrap_or_default())]
pub struct PatchError {
    /// The operation at fault, counted from 0; none if it is the body.
    pub operation: Option<usize>,
    /// What is wrong.
    pub fault: PatchFault,
}

/// What is wrong with a PATCH.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchFault {
    /// The body or an operation is not of the shape that it must have. `invalidSyntax`.
    #[error("{member}: expected {expected}")]
    Syntax {
        /// The member at fault.
        member: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// `op` is none of the three. `invalidSyntax`.
    #[error("op: expected \"add\", \"remove\" or \"replace\", but found {0:?}")]
    UnknownOp(String),
    /// The path is malformed: `invalidPath`, or `invalidFilter` if it is the filter in it.
    #[error(transparent)]
    Path(#[from] PatchPathError),
    /// The path names nothing of the resource type. `invalidPath`.
    #[error("path: {0}")]
    UnresolvedPath(#[from] UnresolvedPath),
    /// The filter in the path does not fit the attribute. `invalidFilter`.
    #[error("path: {0}")]
    Filter(#[from] FilterError),
    /// A filter on an attribute that has one value, or whose values have no sub-attributes. `invalidPath`.
    #[error("path: expected a multi-valued complex attribute before the filter, but found {0:?}")]
    NotSelectable(String),
    /// A removal without a path, or nothing is where the path leads. `noTarget`.
    #[error("expected a path to a value that there is, but found {0:?}")]
    NoTarget(String),
    /// The value is absent or does not fit. `invalidValue`.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The attribute is read-only, set for good, or required and would have no value. `mutability`.
    #[error("{path}: {reason}")]
    Mutability {
        /// The attribute.
        path: String,
        /// Why it may not be changed so.
        reason: Fixed,
    },
}

/// Why an attribute may not be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fixed {
    /// `readOnly`.
    #[error("expected an attribute that a client may change, but found a read-only one")]
    ReadOnly,
    /// `immutable`, and it has a value.
    #[error("expected the value that it has, since it is immutable")]
    Immutable,
    /// `required`.
    #[error("expected it to keep a value, since it is required")]
    Required,
}

/// One thing to do.
#[derive(Debug, Clone)]
struct Change {
    /// Of which operation it is a part, for errors.
    operation: usize,
    target: Target,
    action: Action,
}

/// What is changed.
#[derive(Debug, Clone)]
enum Target {
    /// An attribute, or a sub-attribute of one with a single value.
    Attribute(AttributeRef),
    /// Values of a multi-valued attribute.
    Items {
        attribute: AttributeRef,
        /// All of them if absent.
        selection: Option<Selection>,
        /// What of each; all of it if absent.
        sub_attribute: Option<Arc<Attribute>>,
    },
}

#[derive(Debug, Clone)]
enum Action {
    /// Of a multi-valued attribute these values beside those that are there; of any other the value in place of its own.
    Add(Value),
    Replace(Value),
    Remove,
    /// Those of the values of a multi-valued attribute that are the same as these.
    RemoveValues(Vec<Value>),
}

impl Patch {
    /// Reads the body of a PATCH and holds it against a resource type.
    ///
    /// # Errors
    /// [`PatchError`], the first fault.
    pub fn parse(
        resource_type: &Arc<ResourceType>,
        body: &Map<String, Json>,
        rules: &PatchRules,
    ) -> Result<Self, PatchError> {
        let operations = request::operations(body, rules)?;
        let mut changes = Vec::new();
        for (index, operation) in operations.into_iter().enumerate() {
            compile::compile(resource_type, rules, index, &operation, &mut changes)?;
        }
        Ok(Self { resource_type: Arc::clone(resource_type), rules: rules.clone(), changes })
    }

    /// The type of the resources that it is for.
    pub fn resource_type(&self) -> &Arc<ResourceType> {
        &self.resource_type
    }

    /// Whether there is nothing to do, as where all that was sent is ignored.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether it may change that attribute, or a part of it.
    pub fn touches(&self, attribute: &AttributeRef) -> bool {
        let whole = attribute.whole();
        self.changes.iter().any(|change| change.target.attribute() == whole)
    }

    /// The attributes that it may change, once each, in the order of the operations: what an audit record names.
    pub fn attributes(&self) -> Vec<AttributeRef> {
        let mut found: Vec<AttributeRef> = Vec::new();
        for change in &self.changes {
            let attribute = change.target.attribute();
            if !found.contains(&attribute) {
                found.push(attribute);
            }
        }
        found
    }
}

impl Change {
    fn fail(&self, fault: impl Into<PatchFault>) -> PatchError {
        PatchError { operation: Some(self.operation), fault: fault.into() }
    }
}

impl Target {
    /// The whole attribute.
    fn attribute(&self) -> AttributeRef {
        match self {
            Self::Attribute(attribute) | Self::Items { attribute, .. } => attribute.whole(),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Attribute(attribute) => write!(f, "{attribute}"),
            Self::Items { attribute, selection, sub_attribute } => {
                write!(f, "{attribute}")?;
                if let Some(selection) = selection {
                    write!(f, "[{selection}]")?;
                }
                sub_attribute.as_ref().map_or(Ok(()), |sub| write!(f, ".{}", sub.name))
            }
        }
    }
}

#[cfg(test)]
mod tests;
