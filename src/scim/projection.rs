//! Which attributes are in a response: RFC 7644 sections 3.4.2.5 and 3.9, RFC 7643 section 7 (`returned`).

use super::attr_path::{AttrPath, AttrPathError, is_uri_byte};
use super::resource::Resource;
use super::resource_type::{AttributeRef, ResourceType};
use super::schema::{Attribute, Returned};
use super::value::{Complex, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value as Json;
use std::sync::Arc;

/// What is returned of the resources of one type.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    core: Vec<Kept>,
    /// By URN.
    extensions: Vec<(Arc<str>, Vec<Kept>)>,
}

/// What is returned of one attribute. An attribute that is not kept is not listed.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    name: Arc<str>,
    /// Of a complex attribute, if not all of them: the sub-attributes.
    part: Option<Vec<Arc<str>>>,
}

/// Why attributes cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectionError {
    /// An item of `attributes` or `excludedAttributes` is not the path of an attribute.
    #[error("{parameter}: {error}")]
    Path {
        /// Which list.
        parameter: &'static str,
        /// Why.
        error: AttrPathError,
    },
}

impl Projection {
    /// Chooses attributes: those of `attributes`, or without any those that are returned by default, and of these not
    /// those of `excluded`. An item may be a path, or the URN of a schema for all of its attributes. What is always
    /// returned, `id` and `schemas` among it, stays; what is never returned does not come. Attributes that the
    /// resource type lacks are left out, since the same list may go to several types.
    ///
    /// # Errors
    /// [`ProjectionError`].
    pub fn new(
        resource_type: &ResourceType,
        attributes: &[String],
        excluded: &[String],
    ) -> Result<Self, ProjectionError> {
        let choice = Choice {
            is_explicit: !attributes.is_empty(),
            named: Names::read(resource_type, "attributes", attributes)?,
            excluded: Names::read(resource_type, "excludedAttributes", excluded)?,
        };
        let core = choice.keep(&resource_type.schema().id, None, resource_type.attributes());
        let extensions = resource_type.extensions().iter().map(|extension| {
            let schema = &extension.schema;
            (Arc::clone(&schema.id), choice.keep(&schema.id, Some(&schema.id), &schema.attributes))
        });
        let extensions = extensions.filter(|(_, kept)| !kept.is_empty()).collect();
        Ok(Self { core, extensions })
    }

    /// Whether an attribute is returned, or any part of it. A store need not read what is not.
    pub fn includes(&self, attribute: &AttributeRef) -> bool {
        let kept = match attribute.extension() {
            None => Some(&self.core),
            Some(urn) => self.extensions.iter().find(|(own, _)| own == urn).map(|(_, kept)| kept),
        };
        let kept = kept.and_then(|kept| kept.iter().find(|kept| kept.name == attribute.attribute().name));
        kept.is_some_and(|kept| match (&kept.part, attribute.sub_attribute()) {
            (None, _) | (Some(_), None) => true,
            (Some(part), Some(sub)) => part.contains(&sub.name),
        })
    }

    /// The resource as it is returned; it serializes in the order of the schemas.
    pub fn apply<'r>(&'r self, resource: &'r Resource) -> Projected<'r> {
        Projected { projection: self, resource }
    }
}

/// What paths and URNs name, resolved.
#[derive(Default)]
struct Names {
    schemas: Vec<String>,
    attributes: Vec<AttributeRef>,
}

impl Names {
    fn read(
        resource_type: &ResourceType,
        parameter: &'static str,
        items: &[String],
    ) -> Result<Self, ProjectionError> {
        let mut names = Self::default();
        for item in items {
            if resource_type.has_schema(item) {
                names.schemas.push(item.clone());
                continue;
            }
            let path = match AttrPath::parse(item) {
                Ok(path) => path,
                // The URN of a schema of another type may be no path: `urn:example:ext:1.0`.
                Err(_) if item.contains(':') && item.bytes().all(is_uri_byte) => continue,
                Err(error) => return Err(ProjectionError::Path { parameter, error }),
            };
            names.attributes.extend(resource_type.resolve(&path));
        }
        Ok(names)
    }

    fn has_schema(&self, urn: &str) -> bool {
        self.schemas.iter().any(|schema| schema.eq_ignore_ascii_case(urn))
    }

    fn has(&self, attribute: &AttributeRef) -> bool {
        self.attributes.contains(attribute)
    }

    fn has_part_of(&self, attribute: &AttributeRef) -> bool {
        self.attributes.iter().any(|own| {
            own.extension() == attribute.extension() && own.attribute().name == attribute.attribute().name
        })
    }
}

struct Choice {
    /// Whether the client named what it wants.
    is_explicit: bool,
    named: Names,
    excluded: Names,
}

impl Choice {
    fn keep(&self, urn: &str, extension: Option<&Arc<str>>, attributes: &[Arc<Attribute>]) -> Vec<Kept> {
        let of_schema = (self.named.has_schema(urn), self.excluded.has_schema(urn));
        let whole =
            |definition: &Arc<Attribute>| AttributeRef::new(extension.cloned(), Arc::clone(definition));
        attributes.iter().filter_map(|definition| self.keep_one(&whole(definition), of_schema)).collect()
    }

    fn keep_one(
        &self,
        attribute: &AttributeRef,
        (schema_named, schema_excluded): (bool, bool),
    ) -> Option<Kept> {
        if attribute.is_hidden() {
            return None;
        }
        let definition = attribute.attribute();
        let is_named = self.named.has(attribute);
        let is_excluded = schema_excluded || self.excluded.has(attribute);
        let is_kept = match definition.returned {
            Returned::Always => true,
            Returned::Never => false,
            Returned::Default => {
                let is_wanted = !self.is_explicit || schema_named || self.named.has_part_of(attribute);
                is_wanted && !is_excluded
            }
            Returned::Request => self.named.has_part_of(attribute) && !is_excluded,
        };
        if !is_kept {
            return None;
        }
        // All of it, unless parts of it were named and it was not.
        let is_whole = is_named || schema_named || !self.named.has_part_of(attribute);
        let subs = definition.sub_attributes.iter().filter(|sub| {
            let Ok(path) = attribute.sub(&sub.name) else { return false };
            if path.is_hidden() {
                return false;
            }
            match sub.returned {
                Returned::Always => true,
                Returned::Never => false,
                Returned::Default => (is_whole || self.named.has(&path)) && !self.excluded.has(&path),
                Returned::Request => self.named.has(&path) && !self.excluded.has(&path),
            }
        });
        let part: Vec<Arc<str>> = subs.map(|sub| Arc::clone(&sub.name)).collect();
        let is_all = part.len() == definition.sub_attributes.len();
        Some(Kept { name: Arc::clone(&definition.name), part: (!is_all).then_some(part) })
    }
}

/// A resource as it is returned.
#[derive(Debug, Clone, Copy)]
pub struct Projected<'r> {
    projection: &'r Projection,
    resource: &'r Resource,
}

impl Projected<'_> {
    /// As JSON.
    pub fn to_json(&self) -> Json {
        // Keys are strings: it cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl Serialize for Projected<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in chosen(self.resource.core(), &self.projection.core) {
            map.serialize_entry(&**name, &value)?;
        }
        for (urn, complex) in self.resource.extensions() {
            let kept = self.projection.extensions.iter().find(|(own, _)| own == urn);
            let part = Extension { complex, kept: kept.map_or(&[], |(_, kept)| kept) };
            if chosen(part.complex, part.kept).next().is_some() {
                map.serialize_entry(&**urn, &part)?;
            }
        }
        map.end()
    }
}

struct Extension<'r> {
    complex: &'r Complex,
    kept: &'r [Kept],
}

impl Serialize for Extension<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(chosen(self.complex, self.kept).map(|(name, value)| (&**name, value)))
    }
}

/// The attributes that are kept, and have something left.
fn chosen<'r>(
    complex: &'r Complex,
    kept: &'r [Kept],
) -> impl Iterator<Item = (&'r Arc<str>, Part<'r>)> + use<'r> {
    complex.iter().filter_map(move |(name, value)| {
        let kept = kept.iter().find(|kept| kept.name == *name)?;
        let part = Part { value, names: kept.part.as_deref() };
        (!part.is_empty()).then_some((name, part))
    })
}

/// A value, or some sub-attributes of it.
#[derive(Clone, Copy)]
struct Part<'r> {
    value: &'r Value,
    names: Option<&'r [Arc<str>]>,
}

impl<'r> Part<'r> {
    fn is_empty(self) -> bool {
        self.names.is_some() && self.items().all(|item| members(item, self.names).next().is_none())
    }

    /// The complex values.
    fn items(self) -> impl Iterator<Item = &'r Complex> {
        self.value.items().iter().filter_map(Value::as_complex)
    }
}

fn members<'r>(
    complex: &'r Complex,
    names: Option<&'r [Arc<str>]>,
) -> impl Iterator<Item = (&'r str, &'r Value)> {
    let is_kept = move |name: &Arc<str>| names.is_none_or(|names| names.contains(name));
    complex.iter().filter(move |(name, _)| is_kept(name)).map(|(name, value)| (&**name, value))
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(names) = self.names else { return self.value.serialize(serializer) };
        if let Value::Complex(complex) = self.value {
            return serializer.collect_map(members(complex, Some(names)));
        }
        let parts: Vec<Members<'_>> = self
            .items()
            .map(|complex| Members { complex, names })
            .filter(|part| members(part.complex, Some(part.names)).next().is_some())
            .collect();
        serializer.collect_seq(parts)
    }
}

struct Members<'r> {
    complex: &'r Complex,
    names: &'r [Arc<str>],
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(members(self.complex, Some(self.names)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::{DataType, Mutability};
    use super::super::tests::{group, user};
    use super::*;
    use serde_json::json;

    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    fn person() -> Resource {
        let json = json!({
            "id": "1",
            "userName": "b",
            "password": "secret",
            "name": {"familyName": "J", "givenName": "B"},
            "emails": [{"value": "w", "type": "work"}, {"value": "h"}, {"type": "other"}],
            ENTERPRISE: {"employeeNumber": "7", "manager": {"value": "2", "displayName": "M"}},
            "meta": {"resourceType": "User", "location": "l"}
        });
        Resource::from_stored(&user(), json.as_object().unwrap()).unwrap()
    }

    /// Lists are separated by spaces; `id` and `schemas` must be there and are not among what is expected.
    fn check(attributes: &str, excluded: &str, expected: Json) {
        let list = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        let projection = Projection::new(&user(), &list(attributes), &list(excluded)).unwrap();
        let mut found = projection.apply(&person()).to_json();
        let members = found.as_object_mut().unwrap();
        assert_eq!(members.remove("id"), Some(json!("1")));
        let schemas = json!(["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE]);
        assert_eq!(members.remove("schemas"), Some(schemas));
        assert_eq!(found, expected, "{attributes} - {excluded}");
    }

    #[test]
    fn what_is_returned_by_default_is_all_but_the_password() {
        let mut expected = person().to_json();
        for name in ["password", "id", "schemas"] {
            expected.remove(name);
        }
        check("", "", Json::Object(expected));
    }

    #[test]
    fn only_what_is_named_comes() {
        check("userName", "", json!({"userName": "b"}));
        check("USERNAME password nope", "", json!({"userName": "b"}));
        check("id", "", json!({}));
        check("urn:example:ext:1.0 urn:example:ext:2.0:User", "", json!({}));
        check("nope", "", json!({}));
        check("name", "", json!({"name": {"familyName": "J", "givenName": "B"}}));
        check("name.familyName", "", json!({"name": {"familyName": "J"}}));
        check("name.familyName name", "", json!({"name": {"familyName": "J", "givenName": "B"}}));
        check("emails.value", "", json!({"emails": [{"value": "w"}, {"value": "h"}]}));
        check("emails.display", "", json!({}));
        check("urn:ietf:params:scim:schemas:core:2.0:User:userName", "", json!({"userName": "b"}));
    }

    #[test]
    fn extensions_are_named_by_their_urn() {
        let of = |value: Json| json!({ENTERPRISE: value});
        let manager = json!({"value": "2", "displayName": "M"});
        check(ENTERPRISE, "", of(json!({"employeeNumber": "7", "manager": manager})));
        check(&ENTERPRISE.to_lowercase(), "", of(json!({"employeeNumber": "7", "manager": manager})));
        check(&format!("{ENTERPRISE}:manager"), "", of(json!({"manager": manager})));
        check(&format!("{ENTERPRISE}:manager.value"), "", of(json!({"manager": {"value": "2"}})));
        check(ENTERPRISE, &format!("{ENTERPRISE}:manager"), of(json!({"employeeNumber": "7"})));
    }

    #[test]
    fn what_is_excluded_goes_unless_it_is_always_returned() {
        let rest = "name emails meta";
        check("", &format!("id schemas userName {rest} {ENTERPRISE}"), json!({}));
        let name = json!({"familyName": "J"});
        check("", &format!("userName emails meta {ENTERPRISE} name.givenName"), json!({"name": name}));
        check("name userName", "name.givenName userName", json!({"name": name}));
        check("name.familyName name.givenName", "name.givenName", json!({"name": name}));
    }

    #[test]
    fn a_path_that_is_none_is_refused() {
        let error = AttrPathError::BadName("a b".into());
        let expected = ProjectionError::Path { parameter: "attributes", error };
        assert_eq!(Projection::new(&user(), &["a b".into()], &[]), Err(expected));
    }

    #[test]
    fn members_that_are_not_returned_need_not_be_read() {
        let members = group().find("members").unwrap();
        let value = group().find("members.value").unwrap();
        let check = |attributes: &[&str], excluded: &[&str], expected: (bool, bool)| {
            let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            let projection = Projection::new(&group(), &list(attributes), &list(excluded)).unwrap();
            assert_eq!((projection.includes(&members), projection.includes(&value)), expected);
        };
        check(&[], &[], (true, true));
        check(&[], &["members"], (false, false));
        check(&["displayName"], &[], (false, false));
        check(&["members.display"], &[], (true, false));
    }

    #[test]
    fn what_is_write_only_is_never_returned() {
        let mut secret = Attribute::new("secret", DataType::String);
        secret.mutability = Mutability::WriteOnly;
        let attribute = AttributeRef::new(None, Arc::new(secret));
        let named = Names { schemas: Vec::new(), attributes: vec![attribute.clone()] };
        let choice = Choice { is_explicit: true, named, excluded: Names::default() };
        assert_eq!(choice.keep_one(&attribute, (false, false)), None);
    }

    #[test]
    fn what_is_returned_on_request_must_be_named() {
        let mut secret = Attribute::new("secret", DataType::String);
        secret.returned = Returned::Request;
        let attribute = AttributeRef::new(None, Arc::new(secret));
        let choice = |named: &[AttributeRef]| Choice {
            is_explicit: !named.is_empty(),
            named: Names { schemas: Vec::new(), attributes: named.to_vec() },
            excluded: Names::default(),
        };
        assert_eq!(choice(&[]).keep_one(&attribute, (false, false)), None);
        assert_eq!(choice(&[]).keep_one(&attribute, (true, false)), None);
        assert!(choice(std::slice::from_ref(&attribute)).keep_one(&attribute, (false, false)).is_some());
    }
}
