//! Requests as the RFC would have them, from what providers send.

use super::{Softening, Softenings};
use crate::json::{self, Limits};
use crate::scim::attr_path::AttrPath;
use crate::scim::filter::{Filter, Literal};
use crate::scim::path::PatchPath;
use crate::scim::resource_type::{AttributeRef, ResourceType, SCHEMAS};
use crate::scim::schema::{Attribute, DataType};
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// A role as Entra ID writes it is an object of a few texts.
const ROLE: Limits = Limits { depth: 2, values: 32 };

impl Softenings {
    /// Softens the body of a create or a replace. What it cannot make sense of stays as it is, to be refused.
    pub fn soften_resource(&self, resource_type: &ResourceType, body: &mut Map<String, Json>) {
        if self.has(Softening::UnknownSchemas) {
            drop_unknown_schemas(resource_type, body);
        }
        self.soften_object(resource_type, body);
    }

    /// Softens the body of a PATCH. An operation without a path may become several.
    pub fn soften_patch(&self, resource_type: &ResourceType, body: &mut Map<String, Json>) {
        let Some(Json::Array(operations)) = member_mut(body, "Operations") else { return };
        let mut softened = Vec::with_capacity(operations.len());
        for operation in std::mem::take(operations) {
            if let Json::Object(operation) = operation {
                self.soften_operation(resource_type, operation, &mut softened);
            } else {
                softened.push(operation);
            }
        }
        *operations = softened;
    }

    /// Softens a filter that was read.
    #[must_use]
    pub fn soften_filter(&self, resource_type: &ResourceType, filter: Filter) -> Filter {
        if !self.has(Softening::BooleansAsText) {
            return filter;
        }
        with_booleans(filter, &|path| resource_type.resolve(path).ok())
    }

    fn soften_operation(
        &self,
        resource_type: &ResourceType,
        mut operation: Map<String, Json>,
        softened: &mut Vec<Json>,
    ) {
        let path = match member_mut(&mut operation, "path") {
            None | Some(Json::Null) => None,
            Some(Json::String(path)) => Some(path.clone()),
            Some(_) => return softened.push(Json::Object(operation)),
        };
        match path {
            Some(path) => softened.push(Json::Object(self.soften_at(resource_type, &path, operation))),
            None => self.soften_without_path(resource_type, operation, softened),
        }
    }

    fn soften_without_path(
        &self,
        resource_type: &ResourceType,
        mut operation: Map<String, Json>,
        softened: &mut Vec<Json>,
    ) {
        let op = member_mut(&mut operation, "op").cloned();
        let mut others = Vec::new();
        if let Some(Json::Object(members)) = member_mut(&mut operation, "value") {
            if self.has(Softening::PathsAsNames) {
                others = take_paths(self, resource_type, members);
            }
            self.soften_object(resource_type, members);
            if members.is_empty() && !others.is_empty() {
                operation.clear();
            }
        }
        if !operation.is_empty() {
            softened.push(Json::Object(operation));
        }
        for (path, value) in others {
            let mut operation = Map::new();
            operation.extend(op.clone().map(|op| ("op".to_owned(), op)));
            operation.insert("path".to_owned(), Json::String(path.clone()));
            operation.insert("value".to_owned(), value);
            softened.push(Json::Object(self.soften_at(resource_type, &path, operation)));
        }
    }

    /// An operation with a path.
    fn soften_at(
        &self,
        resource_type: &ResourceType,
        path: &str,
        mut operation: Map<String, Json>,
    ) -> Map<String, Json> {
        if let Some(extension) = resource_type.extension(path) {
            if let Some(Json::Object(members)) = member_mut(&mut operation, "value") {
                self.soften_members(&extension.schema.attributes, members);
            }
            return operation;
        }
        let Some((parsed, attribute)) = self.resolve(resource_type, path) else { return operation };
        if let PatchPath::ValuePath { path, filter, sub_attribute } = parsed
            && self.has(Softening::BooleansAsText)
        {
            let whole = attribute.whole();
            let filter = with_booleans(filter, &|path| whole.sub(path.attribute()).ok());
            let path = PatchPath::ValuePath { path, filter, sub_attribute };
            if let Some(text) = member_mut(&mut operation, "path") {
                *text = Json::String(path.to_string());
            }
        }
        let Some(value) = member_mut(&mut operation, "value") else { return operation };
        let was_value = !value.is_null();
        self.soften_value(attribute.definition(), value);
        if was_value && value.is_null() {
            // The empty text: there shall be none, whatever the operation is called.
            operation.retain(|name, _| !name.eq_ignore_ascii_case("value"));
            if let Some(op) = member_mut(&mut operation, "op") {
                *op = Json::from("remove");
            }
        }
        operation
    }

    fn resolve(&self, resource_type: &ResourceType, path: &str) -> Option<(PatchPath, AttributeRef)> {
        let parsed = PatchPath::parse(path, &self.filter_syntax()).ok()?;
        let attribute = resource_type.resolve(parsed.attr_path()).ok()?;
        let attribute = match &parsed {
            PatchPath::ValuePath { sub_attribute: Some(name), .. } => attribute.sub(name).ok()?,
            PatchPath::ValuePath { sub_attribute: None, .. } | PatchPath::Attribute(_) => attribute,
        };
        Some((parsed, attribute))
    }

    /// An object of attributes and extensions.
    fn soften_object(&self, resource_type: &ResourceType, members: &mut Map<String, Json>) {
        self.soften_members(resource_type.attributes(), members);
        for (name, value) in members.iter_mut() {
            if let (Some(extension), Json::Object(members)) = (resource_type.extension(name), value) {
                self.soften_members(&extension.schema.attributes, members);
            }
        }
    }

    fn soften_members(&self, attributes: &[Arc<Attribute>], members: &mut Map<String, Json>) {
        for (name, value) in members.iter_mut() {
            if let Some(attribute) = attributes.iter().find(|own| own.name.eq_ignore_ascii_case(name)) {
                self.soften_value(attribute, value);
            }
        }
    }

    fn soften_value(&self, attribute: &Attribute, value: &mut Json) {
        let items = match value.as_array_mut() {
            Some(items) if attribute.multi_valued => items.as_mut_slice(),
            _ => std::slice::from_mut(value),
        };
        items.iter_mut().for_each(|item| self.soften_one(attribute, item));
    }

    fn soften_one(&self, attribute: &Attribute, value: &mut Json) {
        let has_value = attribute.is_complex() && attribute.sub_attribute("value").is_some();
        match value {
            Json::String(text) if attribute.data_type == DataType::Boolean => {
                if let Some(boolean) = boolean(text).filter(|_| self.has(Softening::BooleansAsText)) {
                    *value = Json::Bool(boolean);
                }
            }
            // The empty text must not stand for "no values" of a list: it could empty a group.
            Json::String(text) if attribute.multi_valued && text.is_empty() => {}
            Json::String(text) if has_value && self.has(Softening::TextForComplex) => {
                *value = if text.is_empty() {
                    Json::Null
                } else {
                    let mut complex = Map::new();
                    complex.insert("value".to_owned(), Json::String(std::mem::take(text)));
                    self.unfold_text(attribute, &mut complex);
                    Json::Object(complex)
                };
            }
            Json::Object(members) if attribute.is_complex() => {
                self.unfold_text(attribute, members);
                self.soften_members(&attribute.sub_attributes, members);
            }
            Json::Null
            | Json::Bool(_)
            | Json::Number(_)
            | Json::String(_)
            | Json::Array(_)
            | Json::Object(_) => {}
        }
    }

    /// Where `value` is an object as text, takes what the attribute knows of it.
    fn unfold_text(&self, attribute: &Attribute, members: &mut Map<String, Json>) {
        if !self.has(Softening::JsonInText) {
            return;
        }
        let Some(Json::String(text)) = member_mut(members, "value") else { return };
        if !text.starts_with('{') {
            return;
        }
        let Ok(inner) = json::parse_object(text.as_bytes(), ROLE) else { return };
        if !inner.get("value").is_some_and(Json::is_string) {
            return;
        }
        members.retain(|name, _| !name.eq_ignore_ascii_case("value"));
        for (name, value) in inner {
            let name = if name == "displayName" { "display" } else { name.as_str() };
            if attribute.sub_attribute(name).is_some() {
                members.insert(name.to_owned(), value);
            }
        }
    }
}

/// Takes out the members whose names are paths: with a sub-attribute, a URN or a filter.
fn take_paths(
    softenings: &Softenings,
    resource_type: &ResourceType,
    members: &mut Map<String, Json>,
) -> Vec<(String, Json)> {
    let is_path = |name: &str| {
        let is_plain = !name.contains(['.', ':', '[']);
        !is_plain
            && resource_type.extension(name).is_none()
            && softenings.resolve(resource_type, name).is_some()
    };
    let (paths, names): (Map<_, _>, Map<_, _>) =
        std::mem::take(members).into_iter().partition(|(name, _)| is_path(name));
    *members = names;
    paths.into_iter().collect()
}

fn drop_unknown_schemas(resource_type: &ResourceType, body: &mut Map<String, Json>) {
    let Some(Json::Array(schemas)) = member_mut(body, SCHEMAS) else { return };
    let (known, unknown): (Vec<Json>, Vec<Json>) = std::mem::take(schemas)
        .into_iter()
        .partition(|urn| urn.as_str().is_none_or(|urn| resource_type.has_schema(urn)));
    *schemas = known;
    body.retain(|name, _| !unknown.iter().any(|urn| urn == name));
}

/// The filter with texts turned into booleans where they are compared with booleans.
fn with_booleans(filter: Filter, resolve: &dyn Fn(&AttrPath) -> Option<AttributeRef>) -> Filter {
    let each =
        |filters: Vec<Filter>| filters.into_iter().map(|filter| with_booleans(filter, resolve)).collect();
    match filter {
        Filter::And(filters) => Filter::And(each(filters)),
        Filter::Or(filters) => Filter::Or(each(filters)),
        Filter::Not(filter) => Filter::Not(Box::new(with_booleans(*filter, resolve))),
        Filter::Compare { path, operator, literal: Literal::String(text) } => {
            let is_boolean =
                resolve(&path).is_some_and(|found| found.definition().data_type == DataType::Boolean);
            let literal = match boolean(&text).filter(|_| is_boolean) {
                Some(value) => Literal::Boolean(value),
                None => Literal::String(text),
            };
            Filter::Compare { path, operator, literal }
        }
        Filter::ValuePath { path, filter } => {
            let whole = resolve(&path);
            let inner = |sub: &AttrPath| whole.as_ref().and_then(|whole| whole.sub(sub.attribute()).ok());
            Filter::ValuePath { path, filter: Box::new(with_booleans(*filter, &inner)) }
        }
        other @ (Filter::Compare { .. } | Filter::Present { .. }) => other,
    }
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

fn member_mut<'j>(members: &'j mut Map<String, Json>, name: &str) -> Option<&'j mut Json> {
    members.iter_mut().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}
