//! A tenant's attributes where they are not the store's: which have other names, which are always the same, which are left out.
//!
//! A request is translated to the store's names before it is softened and read, so that all that is known of attributes holds for
//! it too; an answer is translated back when it has come.

mod answer;
mod object;
mod patch;
mod rule;
mod search;

pub use rule::{MappingFault, MappingProblem, MappingRule};

use crate::scim::{AttrPath, ResourceType};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The mappings of a tenant, by resource type.
#[derive(Debug, Clone, Default)]
pub struct Mappings(BTreeMap<String, Mapping>);

/// How the attributes of one resource type are called by the client, and how by the store. Made of [`MappingRule`]s.
#[derive(Debug, Clone)]
pub struct Mapping {
    resource_type: Arc<ResourceType>,
    renames: Vec<Rename>,
    /// What the store always has.
    constants: Vec<Fixed>,
    /// What neither sees of the other.
    drops: Vec<AttrPath>,
    /// What the store has where the client does not say.
    defaults: Vec<Fixed>,
}

/// One attribute under two names. Paths have no sub-attribute, and a schema only if it is an extension's.
#[derive(Debug, Clone)]
struct Rename {
    client: AttrPath,
    store: AttrPath,
}

/// An attribute and its value.
#[derive(Debug, Clone)]
struct Fixed {
    path: AttrPath,
    value: Json,
}

/// What becomes of an attribute on the way to the other side, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate<'m> {
    /// It is called the same there.
    Same,
    /// It is called so there.
    Renamed(&'m AttrPath),
    /// The other side does not see it.
    LeftOut,
    /// There is none of this name: what is called so there has another name here.
    Unknown,
}

impl Mappings {
    /// Adds the mapping of a resource type, in place of another of the same type.
    pub fn add(&mut self, mapping: Mapping) {
        self.0.insert(mapping.resource_type.name().to_owned(), mapping);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// That of the resource type of this name.
    pub(super) fn of(&self, resource_type: &str) -> Option<&Mapping> {
        self.0.get(resource_type)
    }
}

impl Mapping {
    /// What the store makes of an attribute that the client names; `schema` is what the client wrote before it.
    fn to_store(&self, schema: Option<&str>, attribute: &str) -> Fate<'_> {
        let schema = self.extension_of(schema);
        let is_it = |path: &AttrPath| is_called(path, schema, attribute);
        if let Some(rename) = self.renames.iter().find(|rename| is_it(&rename.client)) {
            Fate::Renamed(&rename.store)
        } else if self.renames.iter().any(|rename| is_it(&rename.store)) {
            Fate::Unknown
        } else if self.is_withheld(schema, attribute) {
            Fate::LeftOut
        } else {
            Fate::Same
        }
    }

    /// What the client sees of an attribute of the store.
    fn to_client(&self, schema: Option<&str>, attribute: &str) -> Fate<'_> {
        let schema = self.extension_of(schema);
        let is_it = |path: &AttrPath| is_called(path, schema, attribute);
        if let Some(rename) = self.renames.iter().find(|rename| is_it(&rename.store)) {
            Fate::Renamed(&rename.client)
        } else if self.renames.iter().any(|rename| is_it(&rename.client))
            || self.is_withheld(schema, attribute)
        {
            Fate::LeftOut
        } else {
            Fate::Same
        }
    }

    /// Whether client and store see nothing of it of each other.
    fn is_withheld(&self, schema: Option<&str>, attribute: &str) -> bool {
        let mut withheld = self.drops.iter().chain(self.constants.iter().map(|constant| &constant.path));
        withheld.any(|path| is_called(path, schema, attribute))
    }

    /// The URN of an extension; that of the core schema says nothing.
    fn extension_of<'s>(&self, schema: Option<&'s str>) -> Option<&'s str> {
        schema.filter(|urn| !self.resource_type.schema().id.eq_ignore_ascii_case(urn))
    }

    /// Whether the attributes of that URN are in an object of their own, on either side.
    fn is_extension(&self, urn: &str) -> bool {
        self.resource_type.extension(urn).is_some()
            || self.clients_own().any(|own| own.eq_ignore_ascii_case(urn))
    }

    /// Extensions that only the client has.
    fn clients_own(&self) -> impl Iterator<Item = &str> {
        let urns = self.renames.iter().filter_map(|rename| rename.client.schema());
        urns.filter(|urn| !self.resource_type.has_schema(urn))
    }

    /// Whether any attribute of that URN is another thing on the other side.
    fn touches(&self, urn: &str) -> bool {
        let renamed = self.renames.iter().flat_map(|rename| [&rename.client, &rename.store]);
        let withheld = self.drops.iter().chain(self.constants.iter().map(|constant| &constant.path));
        let urn = self.extension_of(Some(urn));
        renamed.chain(withheld).any(|path| same_schema(path.schema(), urn))
    }
}

/// Names are the same in upper and lower case (RFC 7643 section 2.1).
fn is_called(path: &AttrPath, schema: Option<&str>, attribute: &str) -> bool {
    same_schema(path.schema(), schema) && path.attribute().eq_ignore_ascii_case(attribute)
}

/// Whether two extensions are the same; none is the resource itself.
fn same_schema(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// `path` with the sub-attribute that another name had.
fn with_sub(path: &AttrPath, sub_attribute: Option<&str>) -> AttrPath {
    // What was a sub-attribute there is one here.
    sub_attribute.and_then(|sub| path.with_sub_attribute(sub).ok()).unwrap_or_else(|| path.clone())
}
