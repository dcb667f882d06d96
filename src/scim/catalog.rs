//! All schemas and resource types of one service.

use super::attr_path::is_attribute_name;
use super::resource_type::{Extension, ResourceType, ResourceTypeDocument};
use super::schema::{Attribute, DataType, Schema};
use crate::json::located;
use serde_json::Value as Json;
use std::fmt;
use std::sync::Arc;

/// The schemas and resource types of a service: the built-in ones, and those from its configuration, which are the same to
/// everyone else. Valid as a whole.
#[derive(Debug)]
pub struct Catalog {
    schemas: Vec<Arc<Schema>>,
    resource_types: Vec<Arc<ResourceType>>,
}

const COMMON: &str = include_str!("schemas/common.json");
const BUILT_IN: [&str; 6] = [
    include_str!("schemas/user.json"),
    include_str!("schemas/enterprise_user.json"),
    include_str!("schemas/group.json"),
    include_str!("schemas/service_provider_config.json"),
    include_str!("schemas/resource_type.json"),
    include_str!("schemas/schema.json"),
];
const BUILT_IN_TYPES: &str = include_str!("schemas/resource_types.json");
/// Where other resources than a service's own answer (RFC 7644 section 3.2).
const TAKEN_ENDPOINTS: [&str; 6] =
    ["/ServiceProviderConfig", "/ResourceTypes", "/Schemas", "/Me", "/Bulk", "/.search"];
/// How deep a sub-attribute's sub-attributes may be: not at all (RFC 7643 section 2.3.8).
const DEPTH: usize = 1;

impl Catalog {
    /// User, Group and the enterprise extension (RFC 7643 section 4).
    ///
    /// # Errors
    /// None in fact: the built-in schemas are tested.
    pub fn built_in() -> Result<Self, CatalogError> {
        Self::with(&[], &[])
    }

    /// The built-in schemas and resource types, and these beside them, as RFC 7643 sections 6 and 7 write them. One with
    /// the URN, or the name, of a built-in one takes its place.
    ///
    /// # Errors
    /// Every fault, with its place: `schemas[0].attributes[2].type`, `resourceTypes[1].endpoint`.
    pub fn with(schemas: &[Json], resource_types: &[Json]) -> Result<Self, CatalogError> {
        let mut faults = Faults::default();
        let configured: Vec<Arc<Schema>> = schemas
            .iter()
            .enumerate()
            .filter_map(|(index, json)| faults.read_schema(json, &format!("schemas[{index}]")))
            .collect();
        let built_in = BUILT_IN.iter().filter_map(|text| faults.read_built_in(text)).collect();
        let schemas = merged(built_in, configured, |schema| schema.id.to_lowercase());

        let common = faults.read_built_in(COMMON).unwrap_or_else(|| Arc::new(Schema::new("", Vec::new())));
        let own: Vec<Json> = serde_json::from_str(BUILT_IN_TYPES).unwrap_or_default();
        let own: Vec<_> = own
            .iter()
            .filter_map(|json| faults.read_resource_type(json, "built-in", &schemas, &common))
            .collect();
        let configured: Vec<_> = resource_types
            .iter()
            .enumerate()
            .filter_map(|(index, json)| {
                faults.read_resource_type(json, &format!("resourceTypes[{index}]"), &schemas, &common)
            })
            .collect();
        let resource_types = merged(own, configured, |found| found.name().to_lowercase());
        faults.check_endpoints(&resource_types);
        faults.into_result(Self { schemas, resource_types })
    }

    /// Every schema, those that describe the service itself included.
    pub fn schemas(&self) -> &[Arc<Schema>] {
        &self.schemas
    }

    /// The schema of that URN, without regard to case.
    pub fn schema(&self, urn: &str) -> Option<&Arc<Schema>> {
        self.schemas.iter().find(|schema| schema.id.eq_ignore_ascii_case(urn))
    }

    /// Every resource type.
    pub fn resource_types(&self) -> &[Arc<ResourceType>] {
        &self.resource_types
    }

    /// The resource type of that name, which is that of `meta.resourceType`.
    pub fn resource_type(&self, name: &str) -> Option<&Arc<ResourceType>> {
        self.resource_types.iter().find(|found| found.name() == name)
    }

    /// The resource type at that endpoint, such as `/Users`. Paths of URLs differ by case.
    pub fn resource_type_at(&self, endpoint: &str) -> Option<&Arc<ResourceType>> {
        self.resource_types.iter().find(|found| found.endpoint() == endpoint)
    }
}

/// Those of `own` and `others`; of two with the same key the later one, at the place of the first.
fn merged<T>(own: Vec<Arc<T>>, others: Vec<Arc<T>>, key: impl Fn(&T) -> String) -> Vec<Arc<T>> {
    let mut all = own;
    for other in others {
        match all.iter_mut().find(|one| key(one) == key(&other)) {
            Some(one) => *one = other,
            None => all.push(other),
        }
    }
    all
}

/// One fault of a configured schema or resource type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogFault {
    /// As in `schemas[0].attributes[2].type`.
    pub place: String,
    /// What was expected, and what was found.
    pub problem: CatalogProblem,
}

/// What is wrong with a schema or a resource type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogProblem {
    /// Not of the shape that RFC 7643 gives it.
    #[error("{0}")]
    Shape(String),
    /// Not a URN.
    #[error("expected a URN of at least three parts, but found {0:?}")]
    BadUrn(String),
    /// Not the name of an attribute (RFC 7643 section 2.1).
    #[error("expected the name of an attribute, but found {0:?}")]
    BadName(String),
    /// Defined twice, or, in a core schema, with the name of a common attribute.
    #[error("expected each name once, without regard to case, but found {0:?} again")]
    Twice(String),
    /// A complex attribute without sub-attributes, or another one with some.
    #[error("expected sub-attributes for a complex attribute and for no other")]
    SubAttributes,
    /// Complex within complex (RFC 7643 section 2.3.8).
    #[error("expected no complex sub-attribute")]
    TooDeep,
    /// Only canonical values are accepted, and there are none.
    #[error("expected canonical values, since only those are accepted, but found none")]
    NoCanonicalValues,
    /// A resource type names a schema that is not there.
    #[error("expected the URN of a schema, but found {0:?}")]
    UnknownSchema(String),
    /// Not `/` and one segment, or taken by the protocol or another resource type.
    #[error("expected \"/\" and a segment that is not taken, but found {0:?}")]
    BadEndpoint(String),
}

impl fmt::Display for CatalogFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// Every fault of the schemas and resource types of a service; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogError {
    faults: Vec<CatalogFault>,
}

impl CatalogError {
    /// The faults, in the order in which they were found.
    pub fn faults(&self) -> &[CatalogFault] {
        &self.faults
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for CatalogError {}

#[derive(Default)]
struct Faults(Vec<CatalogFault>);

impl Faults {
    fn add(&mut self, place: String, problem: CatalogProblem) {
        self.0.push(CatalogFault { place, problem });
    }

    fn into_result<T>(self, value: T) -> Result<T, CatalogError> {
        if self.0.is_empty() { Ok(value) } else { Err(CatalogError { faults: self.0 }) }
    }

    /// A built-in schema. `Schema` itself has complex sub-attributes, whatever section 2.3.8 says.
    fn read_built_in(&mut self, text: &str) -> Option<Arc<Schema>> {
        let json: Json = serde_json::from_str(text)
            .map_err(|error| self.add("built-in".to_owned(), CatalogProblem::Shape(error.to_string())))
            .ok()?;
        self.read(&json, "built-in", Schema::from_json).map(Arc::new)
    }

    fn read_schema(&mut self, json: &Json, place: &str) -> Option<Arc<Schema>> {
        let schema = self.read(json, place, Schema::from_json)?;
        if !is_urn(&schema.id) {
            self.add(format!("{place}.id"), CatalogProblem::BadUrn(schema.id.to_string()));
        }
        self.check_attributes(&schema.attributes, &format!("{place}.attributes"), 0);
        Some(Arc::new(schema))
    }

    fn check_attributes(&mut self, attributes: &[Arc<Attribute>], place: &str, depth: usize) {
        for (index, attribute) in attributes.iter().enumerate() {
            let place = format!("{place}[{index}]");
            let name = &attribute.name;
            if !is_attribute_name(name) {
                self.add(format!("{place}.name"), CatalogProblem::BadName(name.to_string()));
            }
            if attributes.iter().take(index).any(|other| other.name.eq_ignore_ascii_case(name)) {
                self.add(format!("{place}.name"), CatalogProblem::Twice(name.to_string()));
            }
            let is_complex = attribute.data_type == DataType::Complex;
            if is_complex == attribute.sub_attributes.is_empty() {
                self.add(format!("{place}.subAttributes"), CatalogProblem::SubAttributes);
            }
            if is_complex && depth >= DEPTH {
                self.add(format!("{place}.type"), CatalogProblem::TooDeep);
                continue;
            }
            if attribute.canonical_values_only && attribute.canonical_values.is_empty() {
                self.add(format!("{place}.canonicalValues"), CatalogProblem::NoCanonicalValues);
            }
            let below = format!("{place}.subAttributes");
            self.check_attributes(&attribute.sub_attributes, &below, depth.saturating_add(1));
        }
    }

    fn read_resource_type(
        &mut self,
        json: &Json,
        place: &str,
        schemas: &[Arc<Schema>],
        common: &Schema,
    ) -> Option<Arc<ResourceType>> {
        let document = self.read(json, place, |json| {
            located::read::<ResourceTypeDocument>(json)
                .map_err(|(steps, error)| (located::written(&steps), error.to_string()))
        })?;
        let find = |urn: &str| schemas.iter().find(|schema| schema.id.eq_ignore_ascii_case(urn)).cloned();
        let is_segment = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        let segment = document.endpoint.strip_prefix('/').unwrap_or_default();
        let is_taken = TAKEN_ENDPOINTS.iter().any(|taken| taken.eq_ignore_ascii_case(&document.endpoint));
        if segment.is_empty() || segment.starts_with('.') || !segment.chars().all(is_segment) || is_taken {
            self.add(format!("{place}.endpoint"), CatalogProblem::BadEndpoint(document.endpoint.clone()));
        }
        let schema = find(&document.schema);
        if schema.is_none() {
            self.add(format!("{place}.schema"), CatalogProblem::UnknownSchema(document.schema.clone()));
        }
        for attribute in schema.iter().flat_map(|schema| &schema.attributes) {
            if common.attribute(&attribute.name).is_some() {
                let problem = CatalogProblem::Twice(attribute.name.to_string());
                self.add(format!("{place}.schema"), problem);
            }
        }
        let mut extensions: Vec<Extension> = Vec::new();
        for (index, extension) in document.schema_extensions.iter().enumerate() {
            let place = format!("{place}.schemaExtensions[{index}].schema");
            let Some(found) = find(&extension.schema) else {
                self.add(place, CatalogProblem::UnknownSchema(extension.schema.clone()));
                continue;
            };
            let is_again = |other: &Arc<Schema>| other.id == found.id;
            if schema.as_ref().is_some_and(is_again) || extensions.iter().any(|one| is_again(&one.schema)) {
                self.add(place, CatalogProblem::Twice(extension.schema.clone()));
            }
            extensions.push(Extension { schema: found, required: extension.required });
        }
        Some(Arc::new(ResourceType::new(document, common, schema?, extensions)))
    }

    fn check_endpoints(&mut self, resource_types: &[Arc<ResourceType>]) {
        for (index, one) in resource_types.iter().enumerate() {
            let same = |other: &Arc<ResourceType>| other.endpoint().eq_ignore_ascii_case(one.endpoint());
            if resource_types.iter().take(index).any(same) {
                let problem = CatalogProblem::BadEndpoint(one.endpoint().to_owned());
                self.add(format!("resource type {}", one.name()), problem);
            }
        }
    }

    fn read<T>(
        &mut self,
        json: &Json,
        place: &str,
        read: impl Fn(&Json) -> Result<T, (String, String)>,
    ) -> Option<T> {
        read(json)
            .map_err(|(path, message)| {
                let place = if path.is_empty() { place.to_owned() } else { format!("{place}.{path}") };
                self.add(place, CatalogProblem::Shape(message));
            })
            .ok()
    }
}

/// `urn:`, a namespace and more, of signs that a path may have. Other URIs as the names of schemas are not for new ones.
fn is_urn(text: &str) -> bool {
    let of_urn = |c: char| c.is_ascii_alphanumeric() || "-._~:/".contains(c);
    let mut parts = text.split(':');
    parts.next().is_some_and(|scheme| scheme.eq_ignore_ascii_case("urn"))
        && text.split(':').count() >= 3
        && parts.all(|part| !part.is_empty())
        && text.chars().all(of_urn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const DEVICE: &str = "urn:example:params:scim:schemas:Device";

    #[test]
    fn the_built_in_schemas_hold_what_is_asked_of_configured_ones() {
        let catalog = Catalog::built_in().unwrap();
        let mut faults = Faults::default();
        for schema in catalog.schemas().iter().filter(|schema| schema.name != "Schema") {
            faults.check_attributes(&schema.attributes, &schema.id, 0);
        }
        assert_eq!(faults.0, []);
        let names: Vec<&str> = catalog.resource_types().iter().map(|found| found.name()).collect();
        assert_eq!(names, ["User", "Group"]);
    }

    #[test]
    fn configured_types_stand_beside_built_in_ones_or_in_their_place() {
        let device = json!({"id": DEVICE, "attributes": [{"name": "serial", "required": true}]});
        let types = [
            json!({"name": "Device", "endpoint": "/Devices", "schema": DEVICE.to_uppercase()}),
            json!({"name": "Group", "endpoint": "/Groups", "schema": "urn:ietf:params:scim:schemas:core:2.0:Group",
                "schemaExtensions": [{"schema": DEVICE}]}),
        ];
        let catalog = Catalog::with(&[device], &types).unwrap();
        let names: Vec<&str> = catalog.resource_types().iter().map(|found| found.name()).collect();
        assert_eq!(names, ["User", "Group", "Device"]);
        let find =
            |name: &str, path: &str| catalog.resource_type(name).unwrap().find(path).map(|a| a.to_string());
        assert_eq!(find("Device", "SERIAL"), Some("serial".into()));
        assert_eq!(find("Group", &format!("{DEVICE}:serial")), Some(format!("{DEVICE}:serial")));
        assert_eq!(catalog.resource_type_at("/Devices").unwrap().name(), "Device");
    }

    #[test]
    fn every_fault_is_reported_with_its_place() {
        let schemas = [
            json!({"id": "device", "attributes": [{"name": "1"}, {"name": "a"}, {"name": "A", "type": "complex"}]}),
            json!({"id": DEVICE, "attributes": [{"name": "id"}, {"name": "b", "type": "complex", "subAttributes": [
                {"name": "c", "type": "complex", "subAttributes": [{"name": "d"}]}]}]}),
            json!({"id": DEVICE, "attributes": [{"name": "a", "kind": "string"}]}),
            json!({"id": "urn:x:y", "attributes": [{"name": "a", "canonicalValuesOnly": true}]}),
        ];
        let types = [
            json!({"name": "Device", "endpoint": "/Users", "schema": DEVICE}),
            json!({"name": "Other", "endpoint": "Others", "schema": "urn:x:z",
                "schemaExtensions": [{"schema": "urn:x:y"}, {"schema": "urn:x:y"}, {"schema": "urn:x:w"}]}),
            json!({"name": "Me", "endpoint": "/me", "schema": "urn:x:y"}),
        ];
        let error = Catalog::with(&schemas, &types).unwrap_err();
        let places: Vec<&str> = error.faults().iter().map(|fault| fault.place.as_str()).collect();
        let expected = [
            "schemas[0].id",
            "schemas[0].attributes[0].name",
            "schemas[0].attributes[2].name",
            "schemas[0].attributes[2].subAttributes",
            "schemas[1].attributes[1].subAttributes[0].type",
            "schemas[2].attributes[0].kind",
            "schemas[3].attributes[0].canonicalValues",
            "resourceTypes[0].schema",
            "resourceTypes[1].endpoint",
            "resourceTypes[1].schema",
            "resourceTypes[1].schemaExtensions[1].schema",
            "resourceTypes[1].schemaExtensions[2].schema",
            "resourceTypes[2].endpoint",
            "resource type Device",
        ];
        assert_eq!(places, expected, "{error}");
    }
}
