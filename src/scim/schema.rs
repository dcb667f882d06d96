//! Schemas and attributes: RFC 7643 sections 2 and 7.

use super::caseless::fold_case;
use super::resource_type::SCHEMAS;
use crate::json::located;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::fmt;
use std::sync::Arc;

/// A schema as RFC 7643 section 7 writes it. The built-in ones and those from a configuration are read by the same code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// A URN; compared without regard to case.
    pub id: Arc<str>,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// In the order in which they are written.
    pub attributes: Vec<Arc<Attribute>>,
    /// `schemas` of the document, which says nothing that is not known.
    #[serde(default, rename = "schemas", skip_serializing)]
    _schemas: Ignored,
    /// `meta` of a document that was fetched from a service provider.
    #[serde(default, rename = "meta", skip_serializing)]
    _meta: Ignored,
}

impl Schema {
    /// A schema of these attributes, without texts for people.
    pub fn new(id: &str, attributes: Vec<Attribute>) -> Self {
        Self {
            id: id.into(),
            name: String::new(),
            description: String::new(),
            attributes: attributes.into_iter().map(Arc::new).collect(),
            _schemas: Ignored,
            _meta: Ignored,
        }
    }

    /// Whether a member of an extension's object is `schemas` with the URN of this schema alone. Programs that make JSON of classes
    /// write it there, since it tells of which schemas "the current JSON structure" is (RFC 7643 section 3); it tells nothing new.
    pub(super) fn is_own_schemas(&self, name: &str, value: &Json) -> bool {
        let is_own = |urn: &Json| urn.as_str().is_some_and(|urn| self.id.eq_ignore_ascii_case(urn));
        name.eq_ignore_ascii_case(SCHEMAS)
            && self.attribute(name).is_none()
            && value.as_array().is_some_and(|urns| urns.iter().all(is_own))
    }

    /// The attribute of that name, without regard to case (RFC 7643 section 2.1).
    pub fn attribute(&self, name: &str) -> Option<&Arc<Attribute>> {
        find(&self.attributes, name)
    }
}

/// An attribute or a sub-attribute, with its characteristics (RFC 7643 sections 2.2 and 7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attribute {
    /// The spelling that is written; found without regard to case.
    pub name: Arc<str>,
    /// `type`.
    #[serde(rename = "type", default)]
    pub data_type: DataType,
    /// Whether the value is a list.
    #[serde(default)]
    pub multi_valued: bool,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Whether a resource must have a value, or a complex value this sub-attribute.
    #[serde(default)]
    pub required: bool,
    /// Values that are suggested (RFC 7643 section 7), and enforced only by [`Attribute::canonical_values_only`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canonical_values: Vec<String>,
    /// Whether other values than the canonical ones are refused. RFC 7643 section 2.3.1 leaves it to the service
    /// provider and has no characteristic for it, so this one is ours. No built-in attribute has it: identity providers send
    /// types of their own, and a user that cannot be provisioned for its address's label helps nobody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canonical_values_only: bool,
    /// Whether upper and lower case differ when values are compared.
    #[serde(default)]
    pub case_exact: bool,
    /// Who may change it.
    #[serde(default)]
    pub mutability: Mutability,
    /// When it is in a response.
    #[serde(default)]
    pub returned: Returned,
    /// Whether two resources may have the same value.
    #[serde(default)]
    pub uniqueness: Uniqueness,
    /// What a reference may refer to: names of resource types, `external`, `uri`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference_types: Vec<String>,
    /// Of a complex attribute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sub_attributes: Vec<Arc<Attribute>>,
}

impl Attribute {
    /// An attribute with the characteristics that RFC 7643 section 2.2 has as defaults.
    pub fn new(name: &str, data_type: DataType) -> Self {
        Self {
            name: name.into(),
            data_type,
            multi_valued: false,
            description: String::new(),
            required: false,
            canonical_values: Vec::new(),
            canonical_values_only: false,
            case_exact: false,
            mutability: Mutability::default(),
            returned: Returned::default(),
            uniqueness: Uniqueness::default(),
            reference_types: Vec::new(),
            sub_attributes: Vec::new(),
        }
    }

    /// The sub-attribute of that name, without regard to case.
    pub fn sub_attribute(&self, name: &str) -> Option<&Arc<Attribute>> {
        find(&self.sub_attributes, name)
    }

    /// Whether it has sub-attributes.
    pub fn is_complex(&self) -> bool {
        self.data_type == DataType::Complex
    }

    /// Whether two strings are the same value of this attribute, by `caseExact`.
    pub fn same_text(&self, one: &str, other: &str) -> bool {
        one == other || !self.case_exact && fold_case(one) == fold_case(other)
    }
}

fn find<'a>(attributes: &'a [Arc<Attribute>], name: &str) -> Option<&'a Arc<Attribute>> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

/// `type` (RFC 7643 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DataType {
    /// Text.
    #[default]
    String,
    /// `true` or `false`.
    Boolean,
    /// A number with or without a fraction.
    Decimal,
    /// A number without a fraction.
    Integer,
    /// `xsd:dateTime`.
    DateTime,
    /// Octets, as base64.
    Binary,
    /// A URI.
    Reference,
    /// An object of sub-attributes.
    Complex,
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Decimal => "decimal",
            Self::Integer => "integer",
            Self::DateTime => "dateTime",
            Self::Binary => "binary",
            Self::Reference => "reference",
            Self::Complex => "complex",
        })
    }
}

/// `mutability` (RFC 7643 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mutability {
    /// Only the service provider sets it.
    ReadOnly,
    /// A client may set and change it.
    #[default]
    ReadWrite,
    /// A client may set it once.
    Immutable,
    /// A client may set it and never sees it.
    WriteOnly,
}

/// `returned` (RFC 7643 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Returned {
    /// In every response, whatever was asked for.
    Always,
    /// In no response, and in no filter.
    Never,
    /// Unless it was left out by the request.
    #[default]
    Default,
    /// Only where it was asked for.
    Request,
}

/// `uniqueness` (RFC 7643 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Uniqueness {
    /// Values may repeat.
    #[default]
    None,
    /// Unique among the resources of the service provider, of the same tenant and type.
    Server,
    /// Unique in the world; held to the same as `server`.
    Global,
}

/// A member that is accepted and not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl Schema {
    /// Takes a schema from its JSON; else the place of the first fault, and what serde says of it.
    pub(super) fn from_json(json: &Json) -> Result<Self, (String, String)> {
        located::read(json).map_err(|(steps, error)| (located::written(&steps), error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_said_is_as_the_rfc_has_it() {
        let schema = Schema::from_json(&json!({"id": "urn:x", "attributes": [{"name": "a"}]})).unwrap();
        assert_eq!(schema, Schema::new("urn:x", vec![Attribute::new("a", DataType::String)]));
        let written = serde_json::to_value(&schema).unwrap();
        let expected = json!({
            "name": "a", "type": "string", "multiValued": false, "description": "", "required": false, "caseExact": false,
            "mutability": "readWrite", "returned": "default", "uniqueness": "none"
        });
        assert_eq!(written["attributes"][0], expected);
        assert_eq!(Schema::from_json(&written).unwrap(), schema);
    }

    #[test]
    fn faults_have_their_place() {
        let check = |json: Json, path: &str| assert_eq!(Schema::from_json(&json).unwrap_err().0, path);
        check(json!({"id": "urn:x", "attributes": [{"name": "a", "type": "text"}]}), "attributes[0].type");
        check(
            json!({"id": "urn:x", "attributes": [{"name": "a", "multivalued": true}]}),
            "attributes[0].multivalued",
        );
    }

    #[test]
    fn names_are_found_without_regard_to_case() {
        let schema = Schema::new("urn:x", vec![Attribute::new("userName", DataType::String)]);
        assert_eq!(&*schema.attribute("USERNAME").unwrap().name, "userName");
        assert!(schema.attribute("user").is_none());
    }
}
