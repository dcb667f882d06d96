//! A PATCH in the store's names.

use super::object::member_mut;
use super::{Fate, Mapping, Rename, same_schema, with_sub};
use crate::scim::{
    Mutability, PatchError, PatchFault, PatchPath, Softening, Softenings, Unknown, UnresolvedPath, ValueError,
};
use serde_json::{Map, Value as Json, json};

/// What operations are translated by.
struct Translation<'t> {
    mapping: &'t Mapping,
    softenings: &'t Softenings,
    unknown: Unknown,
}

/// What becomes of a path.
enum Path {
    /// As it is, to be judged by who reads it.
    Same,
    /// This instead.
    Other(String),
    /// Nothing: the operation says nothing to the store.
    LeftOut,
}

impl Mapping {
    /// The body of a PATCH in the store's names. What has nothing to say to the store any more becomes an operation that changes
    /// nothing: so operations are counted as the client counts them, and the resource must be there all the same.
    ///
    /// # Errors
    /// [`PatchError`] for what the client has no attribute of, unless such are dropped. All else that is at fault stays as it is.
    pub(in crate::gateway) fn translate_patch(
        &self,
        body: &mut Map<String, Json>,
        softenings: &Softenings,
        unknown: Unknown,
    ) -> Result<(), PatchError> {
        let translation = Translation { mapping: self, softenings, unknown };
        let Some(Json::Array(operations)) = member_mut(body, "Operations") else { return Ok(()) };
        let mut translated = Vec::with_capacity(operations.len());
        for (index, operation) in std::mem::take(operations).into_iter().enumerate() {
            let Json::Object(operation) = operation else {
                translated.push(operation);
                continue;
            };
            let fail = |fault| PatchError { operation: Some(index), fault };
            let becomes = translation.operation(operation).map_err(fail)?;
            match becomes.is_empty() {
                true => translated.push(json!({ "op": "add", "value": {} })),
                false => translated.extend(becomes),
            }
        }
        *operations = translated;
        Ok(())
    }
}

impl Translation<'_> {
    fn operation(&self, mut operation: Map<String, Json>) -> Result<Vec<Json>, PatchFault> {
        if !["add", "remove", "replace"].into_iter().any(|op| is_op(&mut operation, op)) {
            return Ok(vec![Json::Object(operation)]);
        }
        let path = match member_mut(&mut operation, "path") {
            None | Some(Json::Null) => return self.without_path(operation),
            Some(Json::String(path)) => path.clone(),
            Some(_) => return Ok(vec![Json::Object(operation)]),
        };
        if self.mapping.resource_type.schema().id.eq_ignore_ascii_case(&path) {
            return self.without_path(operation);
        }
        if self.mapping.is_extension(&path) {
            return self.on_extension(&path, operation);
        }
        match self.path(&path)? {
            Path::Same => {}
            Path::LeftOut => return Ok(Vec::new()),
            Path::Other(path) => {
                if let Some(own) = member_mut(&mut operation, "path") {
                    *own = Json::String(path);
                }
            }
        }
        Ok(vec![Json::Object(operation)])
    }

    /// The path of an attribute, with or without a filter. What is in brackets is below the attribute, and stays.
    fn path(&self, text: &str) -> Result<Path, PatchFault> {
        let Ok(parsed) = PatchPath::parse(text, &self.softenings.filter_syntax()) else {
            return Ok(Path::Same);
        };
        let path = parsed.attr_path();
        Ok(match self.mapping.to_store(path.schema(), path.attribute()) {
            Fate::Same => Path::Same,
            Fate::LeftOut => Path::LeftOut,
            Fate::Unknown if self.unknown == Unknown::Dropped => Path::LeftOut,
            Fate::Unknown => {
                let name = path.without_sub_attribute().to_string();
                return Err(UnresolvedPath::UnknownAttribute(name).into());
            }
            Fate::Renamed(to) => {
                let path = with_sub(to, path.sub_attribute());
                Path::Other(match parsed {
                    PatchPath::Attribute(_) => path.to_string(),
                    PatchPath::ValuePath { filter, sub_attribute, .. } => {
                        PatchPath::ValuePath { path, filter, sub_attribute }.to_string()
                    }
                })
            }
        })
    }

    /// An operation on a whole extension.
    fn on_extension(&self, urn: &str, mut operation: Map<String, Json>) -> Result<Vec<Json>, PatchFault> {
        let is_removal = is_op(&mut operation, "remove");
        let is_required = self.mapping.resource_type.extension(urn).is_some_and(|found| found.required);
        match member_mut(&mut operation, "value") {
            _ if !self.mapping.touches(urn) => Ok(vec![Json::Object(operation)]),
            // Nobody may: the store says so.
            value if is_required && (is_removal || value.as_ref().is_some_and(|value| value.is_null())) => {
                Ok(vec![Json::Object(operation)])
            }
            _ if is_removal => Ok(self.removals(urn)),
            Some(Json::Null) => Ok(self.removals(urn)),
            Some(value @ Json::Object(_)) => {
                let members = std::mem::take(value);
                *value = json!({ urn: members });
                operation.retain(|name, _| !name.eq_ignore_ascii_case("path"));
                self.without_path(operation)
            }
            Some(_) | None => Ok(vec![Json::Object(operation)]),
        }
    }

    /// The removal of all that the client has in an extension, one by one: the store's extension may hold other things.
    fn removals(&self, urn: &str) -> Vec<Json> {
        let of_store = self.mapping.resource_type.extension(urn).into_iter().flat_map(|found| {
            let id = &found.schema.id;
            let same = found.schema.attributes.iter().filter(|attribute| {
                attribute.mutability != Mutability::ReadOnly
                    && self.mapping.to_store(Some(id), &attribute.name) == Fate::Same
            });
            same.map(move |attribute| format!("{id}:{}", attribute.name))
        });
        let is_of_it = |rename: &&Rename| same_schema(rename.client.schema(), Some(urn));
        let renamed = self.mapping.renames.iter().filter(is_of_it);
        let paths = of_store.chain(renamed.map(|rename| rename.store.to_string()));
        paths.map(|path| json!({ "op": "remove", "path": path })).collect()
    }

    /// An operation whose value is laid upon the resource.
    fn without_path(&self, mut operation: Map<String, Json>) -> Result<Vec<Json>, PatchFault> {
        let (is_removal, is_replace) = (is_op(&mut operation, "remove"), is_op(&mut operation, "replace"));
        let Some(Json::Object(members)) = member_mut(&mut operation, "value").filter(|_| !is_removal) else {
            return Ok(vec![Json::Object(operation)]);
        };
        let was_empty = members.is_empty();
        let mut removals = Vec::new();
        members.retain(|name, value| {
            let is_gone = value.is_null() && self.mapping.is_extension(name) && self.mapping.touches(name);
            let is_required = self.mapping.resource_type.extension(name).is_some_and(|found| found.required);
            if is_gone && !is_required && is_replace {
                removals.extend(self.removals(name));
            }
            !is_gone || is_required
        });
        let paths = self.take_paths(members)?;
        self.mapping.translate_object(members, self.unknown)?;
        for (name, value) in paths {
            if member_mut(members, &name).is_some() {
                return Err(ValueError::Twice { place: name }.into());
            }
            members.insert(name, value);
        }
        let mut becomes = Vec::with_capacity(removals.len().saturating_add(1));
        if was_empty || !members.is_empty() {
            becomes.push(Json::Object(operation));
        }
        becomes.extend(removals);
        Ok(becomes)
    }

    /// Takes out the members whose names are paths, where a profile allows them, under their new names.
    fn take_paths(&self, members: &mut Map<String, Json>) -> Result<Vec<(String, Json)>, PatchFault> {
        if !self.softenings.has(Softening::PathsAsNames) {
            return Ok(Vec::new());
        }
        let is_path = |name: &str| name.contains(['.', ':', '[']) && !self.mapping.is_extension(name);
        let (paths, names): (Map<_, _>, Map<_, _>) =
            std::mem::take(members).into_iter().partition(|(name, _)| is_path(name));
        *members = names;
        let mut taken = Vec::with_capacity(paths.len());
        for (name, value) in paths {
            match self.path(&name)? {
                Path::Same => taken.push((name, value)),
                Path::Other(name) => taken.push((name, value)),
                Path::LeftOut => {}
            }
        }
        Ok(taken)
    }
}

fn is_op(operation: &mut Map<String, Json>, op: &str) -> bool {
    member_mut(operation, "op").and_then(|own| own.as_str()).is_some_and(|own| own.eq_ignore_ascii_case(op))
}
