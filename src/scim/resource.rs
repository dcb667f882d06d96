//! Resources: RFC 7643 section 3.

use super::date_time::DateTime;
use super::resource_type::{AttributeRef, META, ResourceType, SCHEMAS};
use super::schema::{Attribute, Mutability, Returned};
use super::value::{Complex, Place, Reading, Unknown, Value, ValueError, wrong_type};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// A resource, each value of the type that its schema says. `schemas` is always right: it follows the extensions that have
/// values.
#[derive(Debug, Clone)]
pub struct Resource {
    resource_type: Arc<ResourceType>,
    /// Common and core attributes.
    core: Complex,
    /// By URN, in the order of the resource type; none of them empty.
    extensions: Vec<(Arc<str>, Complex)>,
}

/// Why JSON is no resource, or may not replace one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// A value is at fault.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// `schemas` lacks the core schema.
    #[error("schemas: expected {0:?} among them, but did not find it")]
    SchemaMissing(String),
    /// `schemas` has one that the resource type has not.
    #[error("schemas: expected schemas of the resource type, but found {0:?}")]
    UnknownSchema(String),
    /// An extension that each resource of the type must have has no value.
    #[error("expected the extension {0:?}, since it is required, but found no value of it")]
    ExtensionMissing(String),
    /// An attribute that can be set only once has another value (RFC 7644 section 3.5.1).
    #[error("{path}: expected the value that it has, since it is immutable, but found another")]
    Immutable {
        /// The attribute.
        path: String,
    },
}

/// What the service provider knows of a resource (RFC 7643 section 3.1, `meta`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// When it was added.
    pub created: DateTime,
    /// When it was last changed.
    pub last_modified: DateTime,
    /// Its absolute URL.
    pub location: String,
    /// Its entity tag, as in the header field `ETag`.
    pub version: Option<String>,
}

impl Resource {
    /// Reads what a client sent, for a create or a replace. Attributes that are `readOnly` are left out, whatever they hold
    /// (RFC 7644 section 3.3): a client may send back what it was given.
    ///
    /// # Errors
    /// [`ResourceError`], the first fault.
    pub fn parse(
        resource_type: &Arc<ResourceType>,
        body: &Map<String, Json>,
        unknown: Unknown,
    ) -> Result<Self, ResourceError> {
        let resource = Self::read(resource_type, body, Reading::from_client(unknown))?;
        resource.check_schemas(unknown)?;
        for extension in resource_type.extensions().iter().filter(|extension| extension.required) {
            let urn = &extension.schema.id;
            if resource.extension(urn).is_none() {
                return Err(ResourceError::ExtensionMissing(urn.to_string()));
            }
        }
        Ok(resource.with_right_schemas())
    }

    /// Reads what [`Resource::to_json`] wrote. Attributes that the schemas no longer have are left out.
    ///
    /// # Errors
    /// [`ResourceError`] if a value no longer is of the type that its schema says.
    pub fn from_stored(
        resource_type: &Arc<ResourceType>,
        stored: &Map<String, Json>,
    ) -> Result<Self, ResourceError> {
        Self::read(resource_type, stored, Reading::STORED).map(Self::with_right_schemas)
    }

    /// This resource, read from the body of a PUT, in place of `old` (RFC 7644 section 3.5.1). What the client cannot set stays
    /// as it was, and so does what it cannot see and did not send, such as a password. The result equals `old` if nothing
    /// changed.
    ///
    /// # Errors
    /// [`ResourceError::Immutable`].
    pub fn replacing(mut self, old: &Self) -> Result<Self, ResourceError> {
        for attribute in self.resource_type.clone().all_attributes() {
            let definition = attribute.attribute();
            let before = old.get(&attribute);
            let now = match (self.get(&attribute).cloned(), before) {
                (Some(now), Some(before)) => Some(now.in_place_of(before, definition)),
                (now, _) => now,
            };
            let is_hidden = definition.returned == Returned::Never;
            let kept = match (definition.mutability, before, now) {
                (Mutability::ReadOnly, before, _) => before.cloned(),
                (Mutability::Immutable, Some(before), Some(now)) if *before != now => {
                    return Err(ResourceError::Immutable { path: attribute.to_string() });
                }
                (Mutability::Immutable | Mutability::WriteOnly, Some(before), None) => Some(before.clone()),
                (Mutability::ReadWrite, Some(before), None) if is_hidden => Some(before.clone()),
                (_, Some(Value::Complex(before)), Some(Value::Complex(now))) => {
                    check_immutable(&attribute, before, &now)?;
                    Some(Value::Complex(now))
                }
                (_, _, now) => now,
            };
            self.set(&attribute, kept);
        }
        Ok(self)
    }

    /// The resource type.
    pub fn resource_type(&self) -> &Arc<ResourceType> {
        &self.resource_type
    }

    /// `id`; none before the service provider chose it.
    pub fn id(&self) -> Option<&str> {
        self.core.get("id").and_then(Value::as_str)
    }

    /// `externalId`.
    pub fn external_id(&self) -> Option<&str> {
        self.core.get("externalId").and_then(Value::as_str)
    }

    /// Common and core attributes, in the order of the schemas.
    pub fn core(&self) -> &Complex {
        &self.core
    }

    /// The extensions that have values, by URN, in the order of the resource type.
    pub fn extensions(&self) -> impl Iterator<Item = (&Arc<str>, &Complex)> {
        self.extensions.iter().map(|(urn, complex)| (urn, complex))
    }

    /// The value of an attribute, or of the sub-attribute of an attribute with one value. None for a sub-attribute of a
    /// multi-valued one: see [`Resource::values`].
    pub fn get(&self, attribute: &AttributeRef) -> Option<&Value> {
        let whole = self.members(attribute)?.get(&attribute.attribute().name)?;
        match attribute.sub_attribute() {
            None => Some(whole),
            Some(sub) => whole.as_complex().and_then(|complex| complex.get(&sub.name)),
        }
    }

    /// Every single value of an attribute or sub-attribute, through multi-valued ones.
    pub fn values<'r>(&'r self, attribute: &AttributeRef) -> impl Iterator<Item = &'r Value> + use<'r> {
        let whole = self.members(attribute).and_then(|members| members.get(&attribute.attribute().name));
        let sub = attribute.sub_attribute().cloned();
        whole.into_iter().flat_map(Value::items).flat_map(move |item| {
            let found = match &sub {
                None => Some(item),
                Some(sub) => item.as_complex().and_then(|complex| complex.get(&sub.name)),
            };
            found.into_iter().flat_map(Value::items)
        })
    }

    /// Sets the value of a whole attribute, or takes it away. For what the service provider knows, such as `id` or `groups`,
    /// and for what it keeps apart; a sub-attribute is set in a complex value, which is made where there is none.
    pub fn set(&mut self, attribute: &AttributeRef, value: Option<Value>) {
        let resource_type = Arc::clone(&self.resource_type);
        let order = match attribute.extension() {
            None => resource_type.attributes(),
            Some(urn) => resource_type.extension(urn).map_or(&[][..], |found| &found.schema.attributes),
        };
        let value = match attribute.sub_attribute() {
            None => value,
            Some(sub) => {
                let whole = self.get(&attribute.whole()).cloned();
                if matches!(whole, Some(Value::Many(_))) {
                    return;
                }
                let mut complex = match whole {
                    Some(Value::Complex(complex)) => complex,
                    _ => Complex::new(),
                };
                match value {
                    Some(value) => complex.set(&attribute.attribute().sub_attributes, sub, value),
                    None => drop(complex.remove(&sub.name)),
                }
                if complex.is_empty() { None } else { Some(Value::Complex(complex)) }
            }
        };
        let members = match attribute.extension() {
            None => Some(&mut self.core),
            Some(urn) => {
                self.ensure_extension(urn);
                self.extensions.iter_mut().find(|(own, _)| own == urn).map(|(_, complex)| complex)
            }
        };
        match (members, value) {
            (Some(members), Some(value)) => members.set(order, attribute.attribute(), value),
            (Some(members), None) => drop(members.remove(&attribute.attribute().name)),
            (None, _) => {}
        }
        if attribute.extension().is_some() {
            self.extensions.retain(|(_, complex)| !complex.is_empty());
            self.put_schemas();
        }
    }

    /// Takes the value of a whole attribute out, such as the members that a store keeps in a table of their own.
    pub fn take(&mut self, attribute: &AttributeRef) -> Option<Value> {
        let attribute = attribute.whole();
        let value = self.get(&attribute).cloned();
        if value.is_some() {
            self.set(&attribute, None);
        }
        value
    }

    /// Takes the values of an attribute such as `members` out, each once by its sub-attribute `value`: what a store keeps in a table
    /// of their own.
    ///
    /// # Errors
    /// [`ValueError::Missing`] if one has no `value`.
    pub fn take_members(&mut self, attribute: &AttributeRef) -> Result<Vec<Complex>, ValueError> {
        let path = attribute.to_string();
        self.take(attribute).map_or(Ok(Vec::new()), |value| value.into_members(&path))
    }

    /// The attributes whose values are others than in `other`: what an audit record names.
    pub fn differences(&self, other: &Self) -> Vec<AttributeRef> {
        let differs = |attribute: &AttributeRef| self.get(attribute) != other.get(attribute);
        self.resource_type.all_attributes().filter(differs).collect()
    }

    /// Sets `id`.
    pub fn set_id(&mut self, id: &str) {
        self.set_core("id", Value::String(id.to_owned()));
    }

    /// Sets `meta`; `meta.resourceType` is the name of the resource type.
    pub fn set_meta(&mut self, meta: &Meta) {
        let Some(definition) = self.resource_type.attributes().iter().find(|own| &*own.name == META) else {
            return;
        };
        let mut complex = Complex::new();
        let values = [
            ("resourceType", Some(Value::String(self.resource_type.name().to_owned()))),
            ("created", Some(Value::DateTime(meta.created))),
            ("lastModified", Some(Value::DateTime(meta.last_modified))),
            ("location", Some(Value::Reference(meta.location.clone()))),
            ("version", meta.version.clone().map(Value::String)),
        ];
        for (name, value) in values {
            if let (Some(sub), Some(value)) = (definition.sub_attribute(name), value) {
                complex.set(&definition.sub_attributes, sub, value);
            }
        }
        self.set_core(META, Value::Complex(complex));
    }

    /// As JSON, with every attribute: for a store. What a client may see is left to a projection.
    pub fn to_json(&self) -> Map<String, Json> {
        let core = self.core.iter().map(|(name, value)| (String::from(&**name), value.to_json()));
        let extensions = self.extensions().map(|(urn, complex)| (String::from(&**urn), complex.to_json()));
        core.chain(extensions).collect()
    }

    fn read(
        resource_type: &Arc<ResourceType>,
        json: &Map<String, Json>,
        reading: Reading,
    ) -> Result<Self, ResourceError> {
        let is_extension = |name: &str| resource_type.extension(name).is_some();
        let core = json.iter().filter(|(name, _)| !is_extension(name));
        let core = Complex::read_members(resource_type.attributes(), core, &Place::Root, reading)?;
        let mut extensions = Vec::new();
        for extension in resource_type.extensions() {
            let schema = &extension.schema;
            let mut written = json.iter().filter(|(name, _)| schema.id.eq_ignore_ascii_case(name));
            let (first, second) = (written.next(), written.next());
            let place = Place::Extension(&schema.id);
            if second.is_some() {
                return Err(ValueError::Twice { place: place.to_string() }.into());
            }
            let Some((_, json)) = first.filter(|(_, json)| !json.is_null()) else { continue };
            let members = json.as_object().ok_or_else(|| wrong_type(&place, "an object", json))?;
            let members = members.iter().filter(|(name, json)| !schema.is_own_schemas(name, json));
            let complex = Complex::read_members(&schema.attributes, members, &place, reading)?;
            if !complex.is_empty() {
                extensions.push((Arc::clone(&schema.id), complex));
            }
        }
        Ok(Self { resource_type: Arc::clone(resource_type), core, extensions })
    }

    fn check_schemas(&self, unknown: Unknown) -> Result<(), ResourceError> {
        let schemas = self.core.get(SCHEMAS).map_or(&[][..], Value::items);
        let mut schemas = schemas.iter().filter_map(Value::as_str);
        let core = &self.resource_type.schema().id;
        if !schemas.clone().any(|urn| core.eq_ignore_ascii_case(urn)) {
            return Err(ResourceError::SchemaMissing(core.to_string()));
        }
        match schemas.find(|urn| !self.resource_type.has_schema(urn)) {
            Some(urn) if unknown == Unknown::Refused => Err(ResourceError::UnknownSchema(urn.to_owned())),
            _ => Ok(()),
        }
    }

    fn with_right_schemas(mut self) -> Self {
        self.put_schemas();
        self
    }

    fn put_schemas(&mut self) {
        let core = std::iter::once(&self.resource_type.schema().id);
        let urns = core.chain(self.extensions.iter().map(|(urn, _)| urn));
        let schemas = urns.map(|urn| Value::Reference(urn.to_string())).collect();
        self.set_core(SCHEMAS, Value::Many(schemas));
    }

    fn set_core(&mut self, name: &str, value: Value) {
        let order = self.resource_type.attributes();
        if let Some(attribute) = order.iter().find(|own| &*own.name == name) {
            self.core.set(order, attribute, value);
        }
    }

    /// The attributes among which `attribute` is.
    fn members(&self, attribute: &AttributeRef) -> Option<&Complex> {
        match attribute.extension() {
            None => Some(&self.core),
            Some(urn) => self.extension(urn),
        }
    }

    /// The values of an extension, by its URN as the schema spells it.
    pub fn extension(&self, urn: &str) -> Option<&Complex> {
        self.extensions.iter().find(|(own, _)| &**own == urn).map(|(_, complex)| complex)
    }

    /// Puts an extension without values at its place, if it is not there.
    fn ensure_extension(&mut self, urn: &Arc<str>) {
        if self.extension(urn).is_some() {
            return;
        }
        let extensions = self.resource_type.extensions();
        let rank = |urn: &str| extensions.iter().position(|extension| &*extension.schema.id == urn);
        let at = self.extensions.iter().take_while(|(own, _)| rank(own) < rank(urn)).count();
        self.extensions.insert(at, (Arc::clone(urn), Complex::new()));
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.resource_type == other.resource_type
            && self.core == other.core
            && self.extensions == other.extensions
    }
}

impl Serialize for Resource {
    /// Every attribute, in the order of the schemas, `meta` last.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.core.iter().filter(|(name, _)| &***name != META) {
            map.serialize_entry(&**name, value)?;
        }
        for (urn, complex) in self.extensions() {
            map.serialize_entry(&**urn, complex)?;
        }
        if let Some(meta) = self.core.get(META) {
            map.serialize_entry(META, meta)?;
        }
        map.end()
    }
}

/// Whether the sub-attributes of a complex value that can be set only once are as they were.
fn check_immutable(attribute: &AttributeRef, before: &Complex, now: &Complex) -> Result<(), ResourceError> {
    let is_immutable = |sub: &&Arc<Attribute>| sub.mutability == Mutability::Immutable;
    for sub in attribute.attribute().sub_attributes.iter().filter(is_immutable) {
        let (before, now) = (before.get(&sub.name), now.get(&sub.name));
        if before.is_some() && before != now {
            return Err(ResourceError::Immutable { path: format!("{attribute}.{}", sub.name) });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Catalog;
    use super::super::tests::{group, user};
    use super::*;
    use serde_json::json;

    const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    fn parse(json: Json) -> Result<Resource, ResourceError> {
        Resource::parse(&user(), json.as_object().unwrap(), Unknown::Refused)
    }

    fn check(json: Json, expected: Result<Json, ResourceError>) {
        let found = parse(json).map(|resource| Json::Object(resource.to_json()));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_resource_is_read_and_written_with_the_names_of_its_schemas() {
        check(
            json!({
                "schemas": [USER.to_uppercase(), ENTERPRISE], "id": "mine", "meta": {"version": "W/\"1\""}, "groups": [{"value": "g"}],
                "USERNAME": "bjensen", "externalid": "701", "active": true, "nickName": null, "roles": [],
                "emails": [{"Value": "b@x", "TYPE": "work", "primary": true}],
                ENTERPRISE.to_uppercase(): {"EmployeeNumber": "7", "manager": {"value": "26", "displayName": "M"}}
            }),
            Ok(json!({
                "schemas": [USER, ENTERPRISE], "userName": "bjensen", "externalId": "701", "active": true,
                "emails": [{"value": "b@x", "type": "work", "primary": true}],
                ENTERPRISE: {"employeeNumber": "7", "manager": {"value": "26"}}
            })),
        );
    }

    #[test]
    fn schemas_follow_the_extensions_with_values() {
        let schemas = |resource: &Resource| resource.to_json()["schemas"].clone();
        let mut resource =
            parse(json!({"schemas": [USER, ENTERPRISE], "userName": "b", ENTERPRISE: {}})).unwrap();
        assert_eq!(schemas(&resource), json!([USER]));
        let department = user().find(&format!("{ENTERPRISE}:department")).unwrap();
        resource.set(&department, Some(Value::String("Sales".into())));
        assert_eq!(schemas(&resource), json!([USER, ENTERPRISE]));
        assert_eq!(resource.take(&department), Some(Value::String("Sales".into())));
        assert_eq!(schemas(&resource), json!([USER]));
    }

    #[test]
    fn an_extension_may_say_that_it_is_itself() {
        let body = |schemas: Json| json!({"schemas": [USER], "userName": "b", ENTERPRISE: {"schemas": schemas, "division": "D"}});
        let expected = json!({"schemas": [USER, ENTERPRISE], "userName": "b", ENTERPRISE: {"division": "D"}});
        check(body(json!([ENTERPRISE])), Ok(expected.clone()));
        check(body(json!([ENTERPRISE.to_uppercase()])), Ok(expected));
        let place = format!("{ENTERPRISE}:schemas");
        let unknown = ValueError::UnknownAttribute { place };
        check(body(json!([USER])), Err(unknown.clone().into()));
        check(body(json!(ENTERPRISE)), Err(unknown.into()));
    }

    #[test]
    fn faults_are_refused_with_their_place() {
        let missing = |place: &str| Err(ValueError::Missing { place: place.to_owned() }.into());
        let unknown = |place: &str| Err(ValueError::UnknownAttribute { place: place.to_owned() }.into());
        check(json!({"schemas": [USER]}), missing("userName"));
        check(json!({"schemas": [USER], "userName": " "}), missing("userName"));
        check(json!({"userName": "b"}), missing("schemas"));
        check(json!({"schemas": [USER], "userName": "b", "nope": 1}), unknown("nope"));
        check(json!({"schemas": [USER], "userName": "b", "urn:x:y": {}}), unknown("urn:x:y"));
        let nested = json!({"schemas": [USER], "userName": "b", ENTERPRISE: {"manager": {"nope": 1}}});
        check(nested, unknown(&format!("{ENTERPRISE}:manager.nope")));
        let listed = json!({"schemas": [USER, "urn:x:y"], "userName": "b"});
        check(listed, Err(ResourceError::UnknownSchema("urn:x:y".into())));
        let core = Err(ResourceError::SchemaMissing(USER.into()));
        check(json!({"schemas": [ENTERPRISE], "userName": "b"}), core);
        let twice = ValueError::Twice { place: "userName".into() };
        check(json!({"schemas": [USER], "userName": "b", "username": "c"}), Err(twice.into()));
        let twice = ValueError::Twice { place: ENTERPRISE.into() };
        let body = json!({"schemas": [USER], "userName": "b", ENTERPRISE: {}, ENTERPRISE.to_lowercase(): {}});
        check(body, Err(twice.into()));
        let shape =
            ValueError::WrongType { place: ENTERPRISE.into(), expected: "an object", found: "an array" };
        check(json!({"schemas": [USER], "userName": "b", ENTERPRISE: []}), Err(shape.into()));
    }

    #[test]
    fn unknown_attributes_can_be_dropped() {
        let body = json!({"schemas": [USER, "urn:x:y"], "userName": "b", "nope": 1, "urn:x:y": {"a": 1}});
        let resource = Resource::parse(&user(), body.as_object().unwrap(), Unknown::Dropped).unwrap();
        assert_eq!(Json::Object(resource.to_json()), json!({"schemas": [USER], "userName": "b"}));
    }

    #[test]
    fn a_required_extension_must_be_there() {
        let types = json!({"name": "User", "endpoint": "/Users", "schema": USER,
            "schemaExtensions": [{"schema": ENTERPRISE, "required": true}]});
        let catalog = Catalog::with(&[], &[types]).unwrap();
        let user = catalog.resource_type("User").unwrap();
        let body = json!({"schemas": [USER], "userName": "b"});
        let found = Resource::parse(user, body.as_object().unwrap(), Unknown::Refused);
        assert_eq!(found, Err(ResourceError::ExtensionMissing(ENTERPRISE.into())));
    }

    fn stored() -> Resource {
        let json = json!({
            "schemas": [USER, ENTERPRISE], "id": "1", "userName": "b", "nickName": "n", "password": "secret",
            "emails": [{"value": "b@x", "primary": true}], "groups": [{"value": "g", "display": "G"}],
            "meta": {"resourceType": "User", "created": "2011-05-13T04:42:34.000Z", "location": "https://x/Users/1", "version": "W/\"1\""},
            ENTERPRISE: {"manager": {"value": "26", "$ref": "../Users/26", "displayName": "M"}}
        });
        let resource = Resource::from_stored(&user(), json.as_object().unwrap()).unwrap();
        assert_eq!(Json::Object(resource.to_json()), json);
        resource
    }

    #[test]
    fn what_is_stored_reads_back_and_is_written_in_order() {
        let text = serde_json::to_string(&stored()).unwrap();
        let read: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(Resource::from_stored(&user(), read.as_object().unwrap()).unwrap(), stored());
        let places: Vec<usize> =
            ["\"schemas\"", "\"id\"", "\"userName\"", "\"emails\"", "\"groups\"", ENTERPRISE, "\"meta\""]
                .iter()
                .map(|name| text.rfind(name).unwrap())
                .collect();
        assert!(places.is_sorted_by_key(|place| *place), "{text}");
    }

    #[test]
    fn a_replacement_keeps_what_a_client_cannot_set_or_see() {
        let new =
            parse(json!({"schemas": [USER], "id": "2", "userName": "c", "meta": {"version": "x"}})).unwrap();
        let replaced = new.replacing(&stored()).unwrap();
        let json = Json::Object(replaced.to_json());
        assert_eq!(json["id"], "1");
        assert_eq!(json["userName"], "c");
        assert_eq!(json["password"], "secret");
        assert_eq!(json["groups"], json!([{"value": "g", "display": "G"}]));
        assert_eq!(json["meta"]["version"], "W/\"1\"");
        for gone in ["nickName", "emails", ENTERPRISE] {
            assert!(json.get(gone).is_none(), "{gone}");
        }
        assert_eq!(json["schemas"], json!([USER]));
    }

    #[test]
    fn a_replacement_with_the_same_is_no_change() {
        let mut body = stored().to_json();
        assert_eq!(parse(Json::Object(body.clone())).unwrap().replacing(&stored()).unwrap(), stored());
        let two = json!([{"value": "1", "type": "work"}, {"value": "2"}]);
        let reversed = json!([{"value": "2"}, {"value": "1", "type": "work"}]);
        body.insert("phoneNumbers".into(), two);
        let old = Resource::from_stored(&user(), &body).unwrap();
        body.insert("phoneNumbers".into(), reversed);
        assert_eq!(parse(Json::Object(body)).unwrap().replacing(&old).unwrap(), old);
    }

    #[test]
    fn what_can_be_set_once_cannot_be_replaced() {
        let device = json!({"id": "urn:x:y", "attributes": [
            {"name": "serial", "mutability": "immutable"},
            {"name": "place", "type": "complex", "subAttributes": [{"name": "site", "mutability": "immutable"}, {"name": "desk"}]}
        ]});
        let types = json!({"name": "Device", "endpoint": "/Devices", "schema": "urn:x:y"});
        let catalog = Catalog::with(&[device], &[types]).unwrap();
        let device = catalog.resource_type("Device").unwrap();
        let read = |json: Json| {
            let mut members = json.as_object().unwrap().clone();
            members.insert("schemas".into(), json!(["urn:x:y"]));
            Resource::parse(device, &members, Unknown::Refused).unwrap()
        };
        let old = read(json!({"serial": "1", "place": {"site": "A", "desk": "1"}}));
        let check = |new: Json, expected: Result<Json, &str>| {
            let found = read(new).replacing(&old).map(|resource| {
                let mut json = resource.to_json();
                json.remove("schemas");
                Json::Object(json)
            });
            let expected = expected.map_err(|path| ResourceError::Immutable { path: path.to_owned() });
            assert_eq!(found, expected);
        };
        check(json!({"serial": "2"}), Err("serial"));
        check(json!({}), Ok(json!({"serial": "1"})));
        check(
            json!({"serial": "1", "place": {"site": "A", "desk": "2"}}),
            Ok(json!({"serial": "1", "place": {"site": "A", "desk": "2"}})),
        );
        check(json!({"place": {"site": "B"}}), Err("place.site"));
        check(json!({"place": {"desk": "1"}}), Err("place.site"));
    }

    #[test]
    fn values_are_found_through_lists() {
        let texts = |path: &str| -> Vec<String> {
            let resource = stored();
            let attribute = user().find(path).unwrap();
            resource.values(&attribute).map(|value| value.as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(texts("emails.value"), ["b@x"]);
        assert_eq!(texts("userName"), ["b"]);
        assert_eq!(texts(&format!("{ENTERPRISE}:manager.displayName")), ["M"]);
        assert_eq!(texts("schemas"), [USER, ENTERPRISE]);
        assert_eq!(texts("title"), [""; 0]);
    }

    #[test]
    fn members_are_taken_out_each_once() {
        let members = group().find("members").unwrap();
        let take = |json: Json| {
            let stored = json!({"displayName": "G", "members": json});
            let mut group = Resource::from_stored(&group(), stored.as_object().unwrap()).unwrap();
            let taken = group.take_members(&members)?;
            assert_eq!(group.get(&members), None);
            Ok(taken.iter().map(Complex::to_json).collect::<Json>())
        };
        let two = json!([{"value": "a", "type": "User"}, {"value": "b"}]);
        assert_eq!(take(json!([two[0], two[1], {"value": "a"}])), Ok(two));
        assert_eq!(take(json!([])), Ok(json!([])));
        let place = "members[1].value".to_owned();
        assert_eq!(take(json!([{"value": "a"}, {"type": "User"}])), Err(ValueError::Missing { place }));
    }

    #[test]
    fn differences_are_named() {
        let mut other = stored();
        let department = user().find(&format!("{ENTERPRISE}:department")).unwrap();
        other.set(&department, Some(Value::String("S".into())));
        other.set(&user().find("emails").unwrap(), None);
        let names: Vec<String> = stored().differences(&other).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["emails".to_owned(), format!("{ENTERPRISE}:department")]);
    }

    #[test]
    fn meta_and_id_are_the_service_providers() {
        let body = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "G"});
        let mut resource = Resource::parse(&group(), body.as_object().unwrap(), Unknown::Refused).unwrap();
        resource.set_id("7");
        let time = DateTime::parse("2011-05-13T04:42:34Z").unwrap();
        resource.set_meta(&Meta {
            created: time,
            last_modified: time,
            location: "https://x/Groups/7".into(),
            version: Some("W/\"1\"".into()),
        });
        assert_eq!(resource.id(), Some("7"));
        let expected = json!({
            "resourceType": "Group", "created": "2011-05-13T04:42:34.000Z", "lastModified": "2011-05-13T04:42:34.000Z",
            "location": "https://x/Groups/7", "version": "W/\"1\""
        });
        assert_eq!(resource.to_json()["meta"], expected);
    }
}
