//! The JSON of a resource, or of a part of one, under other names.

use super::{Fate, Mapping, is_called};
use crate::scim::{AttrPath, Unknown, ValueError};
use serde_json::{Map, Value as Json};

impl Mapping {
    /// The body of a create or a replace in the store's names.
    ///
    /// # Errors
    /// [`ValueError::UnknownAttribute`] for what the client has no attribute of, unless such are dropped, and [`ValueError::Twice`].
    pub(in crate::gateway) fn translate_resource(
        &self,
        body: &mut Map<String, Json>,
        unknown: Unknown,
    ) -> Result<(), ValueError> {
        self.translate_object(body, unknown)?;
        for urn in self.clients_own() {
            body.retain(|name, value| !(name.eq_ignore_ascii_case(urn) && value.is_null()));
            if member_mut(body, urn).is_none() {
                forget_schema(body, urn);
            }
        }
        Ok(())
    }

    /// Gives the body of a create or a replace, in the store's names and softened, what the client does not say.
    pub(in crate::gateway) fn complete(&self, body: &mut Map<String, Json>) {
        for constant in &self.constants {
            set(body, &constant.path, constant.value.clone());
        }
        for default in &self.defaults {
            // RFC 7643 section 2.5: all of them are no value.
            let is_nothing =
                |value: &mut Json| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            let of_schema = match default.path.schema() {
                None => Some(&mut *body),
                Some(urn) => member_mut(body, urn).and_then(Json::as_object_mut),
            };
            let found = of_schema.and_then(|members| member_mut(members, default.path.attribute()));
            if found.is_none_or(is_nothing) {
                set(body, &default.path, default.value.clone());
            }
        }
    }

    /// An object of attributes and extensions in the store's names, whole or in part.
    pub(super) fn translate_object(
        &self,
        body: &mut Map<String, Json>,
        unknown: Unknown,
    ) -> Result<(), ValueError> {
        *body = self.translated(std::mem::take(body), |schema, name| self.to_store(schema, name), unknown)?;
        Ok(())
    }

    /// A resource of the store's in the client's names.
    pub(super) fn translate_back(&self, body: &mut Map<String, Json>) -> Result<(), ValueError> {
        let extensions = self.resource_type.extensions().iter().map(|extension| &*extension.schema.id);
        let before: Vec<&str> = extensions.filter(|urn| member_mut(body, urn).is_some()).collect();
        let to_client = |schema: Option<&str>, name: &str| self.to_client(schema, name);
        *body = self.translated(std::mem::take(body), to_client, Unknown::Refused)?;
        for urn in before {
            if member_mut(body, urn).is_none() {
                forget_schema(body, urn);
            }
        }
        Ok(())
    }

    fn translated<'m>(
        &'m self,
        body: Map<String, Json>,
        fate: impl Fn(Option<&str>, &str) -> Fate<'m>,
        unknown: Unknown,
    ) -> Result<Map<String, Json>, ValueError> {
        let mut translated = Map::new();
        // Set last, when the objects of all extensions are there.
        let mut renamed: Vec<(String, &AttrPath, Json)> = Vec::new();
        let mut sort = |schema: Option<&str>, name: String, value, same: &mut Map<String, Json>| {
            let place = |name: &str| schema.map_or_else(|| name.to_owned(), |urn| format!("{urn}:{name}"));
            match fate(schema, &name) {
                Fate::Same => drop(same.insert(name, value)),
                Fate::Renamed(path) => renamed.push((place(&name), path, value)),
                Fate::Unknown if unknown == Unknown::Refused => {
                    return Err(ValueError::UnknownAttribute { place: place(&name) });
                }
                Fate::Unknown | Fate::LeftOut => {}
            }
            Ok(())
        };
        for (name, mut value) in body {
            let extension = if self.is_extension(&name) { value.as_object_mut() } else { None };
            let Some(members) = extension else {
                sort(None, name, value, &mut translated)?;
                continue;
            };
            let was_empty = members.is_empty();
            let mut same = Map::new();
            for (member, value) in std::mem::take(members) {
                sort(Some(&name), member, value, &mut same)?;
            }
            if was_empty || !same.is_empty() {
                translated.insert(name, Json::Object(same));
            }
        }
        let mut seen: Vec<&AttrPath> = Vec::with_capacity(renamed.len());
        for (place, path, value) in renamed {
            if seen.iter().any(|other| is_called(other, path.schema(), path.attribute())) {
                return Err(ValueError::Twice { place });
            }
            seen.push(path);
            set(&mut translated, path, value);
        }
        Ok(translated)
    }
}

/// Sets an attribute, whatever was there. An extension whose object is something else is left so, to be refused.
fn set(body: &mut Map<String, Json>, path: &AttrPath, value: Json) {
    let Some(urn) = path.schema() else { return set_member(body, path.attribute(), value) };
    if member_mut(body, urn).is_none() {
        body.insert(urn.to_owned(), Json::Null);
    }
    let Some(extension) = member_mut(body, urn) else { return };
    if extension.is_null() {
        *extension = Json::Object(Map::new());
    }
    if let Json::Object(members) = extension {
        set_member(members, path.attribute(), value);
        name_schema(body, urn);
    }
}

fn set_member(members: &mut Map<String, Json>, name: &str, value: Json) {
    members.retain(|own, _| !own.eq_ignore_ascii_case(name));
    members.insert(name.to_owned(), value);
}

/// Adds a URN to `schemas`, if there are any.
fn name_schema(body: &mut Map<String, Json>, urn: &str) {
    if let Some(Json::Array(schemas)) = member_mut(body, "schemas")
        && !schemas.iter().any(|own| is_urn(own, urn))
    {
        schemas.push(Json::from(urn));
    }
}

/// Takes a URN out of `schemas`.
fn forget_schema(body: &mut Map<String, Json>, urn: &str) {
    if let Some(Json::Array(schemas)) = member_mut(body, "schemas") {
        schemas.retain(|own| !is_urn(own, urn));
    }
}

fn is_urn(json: &Json, urn: &str) -> bool {
    json.as_str().is_some_and(|own| own.eq_ignore_ascii_case(urn))
}

/// The member of that name in any case.
pub(super) fn member_mut<'j>(members: &'j mut Map<String, Json>, name: &str) -> Option<&'j mut Json> {
    members.iter_mut().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}
