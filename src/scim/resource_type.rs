//! Resource types: RFC 7643 section 6; and what a path to an attribute means in one.

use super::attr_path::AttrPath;
use super::schema::{Attribute, Mutability, Returned, Schema, Uniqueness};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A resource type with its schemas, in which paths can be resolved. Made by a [`Catalog`](super::Catalog).
#[derive(Debug)]
pub struct ResourceType {
    document: ResourceTypeDocument,
    schema: Arc<Schema>,
    extensions: Vec<Extension>,
    /// The common attributes and those of the core schema, in the order in which they are written.
    attributes: Vec<Arc<Attribute>>,
}

/// An extension of a resource type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its schema.
    pub schema: Arc<Schema>,
    /// Whether each resource must have it.
    pub required: bool,
}

/// A resource type as RFC 7643 section 6 writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceTypeDocument {
    /// The name again, or what the author prefers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `meta.resourceType` of its resources.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Relative to the base URL, with a slash first: `/Users`.
    pub endpoint: String,
    /// The URN of the core schema.
    pub schema: String,
    /// The URNs of the extensions.
    #[serde(default)]
    pub schema_extensions: Vec<ExtensionDocument>,
}

/// An item of `schemaExtensions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtensionDocument {
    /// The URN.
    pub schema: String,
    /// Whether each resource must have it.
    #[serde(default)]
    pub required: bool,
}

impl ResourceType {
    pub(super) fn new(
        document: ResourceTypeDocument,
        common: &Schema,
        schema: Arc<Schema>,
        extensions: Vec<Extension>,
    ) -> Self {
        // `meta` is written last, as every example of the RFC has it.
        let (meta, first): (Vec<_>, Vec<_>) =
            common.attributes.iter().cloned().partition(|attribute| &*attribute.name == META);
        let attributes = first.into_iter().chain(schema.attributes.iter().cloned()).chain(meta).collect();
        Self { document, schema, extensions, attributes }
    }

    /// `meta.resourceType` of its resources.
    pub fn name(&self) -> &str {
        &self.document.name
    }

    /// Relative to the base URL, with a slash first: `/Users`.
    pub fn endpoint(&self) -> &str {
        &self.document.endpoint
    }

    /// As RFC 7643 section 6 writes it.
    pub fn document(&self) -> &ResourceTypeDocument {
        &self.document
    }

    /// The core schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The extensions, in the order configured.
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// The common attributes (RFC 7643 section 3.1) and those of the core schema, in the order in which they are written.
    pub fn attributes(&self) -> &[Arc<Attribute>] {
        &self.attributes
    }

    /// The extension of that URN, without regard to case.
    pub fn extension(&self, urn: &str) -> Option<&Extension> {
        self.extensions.iter().find(|extension| extension.schema.id.eq_ignore_ascii_case(urn))
    }

    /// Whether `urn` is the core schema or one of the extensions.
    pub fn has_schema(&self, urn: &str) -> bool {
        self.schema.id.eq_ignore_ascii_case(urn) || self.extension(urn).is_some()
    }

    /// Every attribute: common, core, then those of each extension; without sub-attributes.
    pub fn all_attributes(&self) -> impl Iterator<Item = AttributeRef> {
        let core = self.attributes.iter().map(|own| AttributeRef::new(None, Arc::clone(own)));
        let of_extension = |extension: &'_ Extension| {
            let urn = Arc::clone(&extension.schema.id);
            let attributes = extension.schema.attributes.clone();
            attributes.into_iter().map(move |own| AttributeRef::new(Some(Arc::clone(&urn)), own))
        };
        core.chain(self.extensions.iter().flat_map(of_extension))
    }

    /// What no two resources may have the same value of, such as `userName`: `uniqueness` is not `none`. Attributes and
    /// sub-attributes; not `id`, which the service provider chooses.
    pub fn unique_attributes(&self) -> impl Iterator<Item = AttributeRef> {
        let with_subs = |whole: AttributeRef| {
            let subs = whole.attribute.sub_attributes.clone();
            let of = whole.clone();
            let sub = move |sub| AttributeRef { sub_attribute: Some(sub), ..of.clone() };
            std::iter::once(whole).chain(subs.into_iter().map(sub))
        };
        let is_unique = |found: &AttributeRef| found.definition().uniqueness != Uniqueness::None;
        let is_own = |found: &AttributeRef| &*found.attribute.name != "id" || found.extension.is_some();
        self.all_attributes().flat_map(with_subs).filter(is_unique).filter(is_own)
    }

    /// What a path names, without regard to case. Common and core attributes may have the core schema's URN before them;
    /// attributes of an extension must have the extension's.
    ///
    /// # Errors
    /// [`UnresolvedPath`]. The path of an extension as a whole is none to an attribute: see [`ResourceType::extension`].
    pub fn resolve(&self, path: &AttrPath) -> Result<AttributeRef, UnresolvedPath> {
        let (extension, attributes) = match path.schema() {
            None => (None, self.attributes.as_slice()),
            Some(urn) if self.schema.id.eq_ignore_ascii_case(urn) => (None, self.attributes.as_slice()),
            Some(urn) => {
                let extension =
                    self.extension(urn).ok_or_else(|| UnresolvedPath::UnknownSchema(urn.to_owned()))?;
                (Some(Arc::clone(&extension.schema.id)), extension.schema.attributes.as_slice())
            }
        };
        let attribute = attributes
            .iter()
            .find(|attribute| attribute.name.eq_ignore_ascii_case(path.attribute()))
            .ok_or_else(|| UnresolvedPath::UnknownAttribute(path.without_sub_attribute().to_string()))?;
        let whole = AttributeRef { extension, attribute: Arc::clone(attribute), sub_attribute: None };
        match path.sub_attribute() {
            None => Ok(whole),
            Some(name) => whole.sub(name),
        }
    }

    /// [`ResourceType::resolve`] of a path as text; for the names that a program knows.
    pub fn find(&self, path: &str) -> Option<AttributeRef> {
        AttrPath::parse(path).ok().and_then(|path| self.resolve(&path).ok())
    }
}

/// The name of the common attribute `meta`.
pub(super) const META: &str = "meta";
/// The name of the common attribute `schemas`.
pub(super) const SCHEMAS: &str = "schemas";

impl PartialEq for ResourceType {
    /// By name, which is unique in a catalog.
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

/// An attribute of a resource type, or a sub-attribute of one. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeRef {
    extension: Option<Arc<str>>,
    attribute: Arc<Attribute>,
    sub_attribute: Option<Arc<Attribute>>,
}

impl AttributeRef {
    pub(super) fn new(extension: Option<Arc<str>>, attribute: Arc<Attribute>) -> Self {
        Self { extension, attribute, sub_attribute: None }
    }

    /// The URN of the extension that has it; none for a common or a core attribute.
    pub fn extension(&self) -> Option<&Arc<str>> {
        self.extension.as_ref()
    }

    /// The attribute.
    pub fn attribute(&self) -> &Arc<Attribute> {
        &self.attribute
    }

    /// The sub-attribute, if the path has one.
    pub fn sub_attribute(&self) -> Option<&Arc<Attribute>> {
        self.sub_attribute.as_ref()
    }

    /// What is named: the sub-attribute if there is one, else the attribute.
    pub fn definition(&self) -> &Arc<Attribute> {
        self.sub_attribute.as_ref().unwrap_or(&self.attribute)
    }

    /// The sub-attribute `name` of this attribute, in place of its own if it has one.
    ///
    /// # Errors
    /// [`UnresolvedPath`] if the attribute has no such sub-attribute.
    pub fn sub(&self, name: &str) -> Result<Self, UnresolvedPath> {
        let whole = self.whole();
        if !self.attribute.is_complex() {
            return Err(UnresolvedPath::NotComplex(whole.to_string()));
        }
        match self.attribute.sub_attribute(name) {
            Some(sub) => Ok(Self { sub_attribute: Some(Arc::clone(sub)), ..whole }),
            None => Err(UnresolvedPath::UnknownAttribute(format!("{whole}.{name}"))),
        }
    }

    /// Whether a client never sees it. It must not learn by filters or by order what it holds either.
    pub fn is_hidden(&self) -> bool {
        let parts = [Some(&self.attribute), self.sub_attribute.as_ref()];
        parts.into_iter().flatten().any(|definition| {
            definition.returned == Returned::Never || definition.mutability == Mutability::WriteOnly
        })
    }

    /// The attribute without the sub-attribute.
    #[must_use]
    pub fn whole(&self) -> Self {
        Self { sub_attribute: None, ..self.clone() }
    }
}

impl fmt::Display for AttributeRef {
    /// The canonical path: `name.givenName`, `urn:…:User:manager.value`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(urn) = &self.extension {
            write!(f, "{urn}:")?;
        }
        f.write_str(&self.attribute.name)?;
        match &self.sub_attribute {
            Some(sub) => write!(f, ".{}", sub.name),
            None => Ok(()),
        }
    }
}

/// Why a path names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnresolvedPath {
    /// The URN is neither the core schema's nor an extension's.
    #[error("expected a schema of the resource type, but found {0:?}")]
    UnknownSchema(String),
    /// The schema has no such attribute, or the attribute no such sub-attribute.
    #[error("expected an attribute of the resource type, but found {0:?}")]
    UnknownAttribute(String),
    /// A sub-attribute of an attribute that has none.
    #[error("expected a complex attribute before the sub-attribute, but found {0:?}")]
    NotComplex(String),
}

#[cfg(test)]
mod tests {
    use super::super::tests::user;
    use super::*;

    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    fn check(path: &str, expected: Result<&str, UnresolvedPath>) {
        let found = user().resolve(&AttrPath::parse(path).unwrap()).map(|found| found.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{path}");
    }

    #[test]
    fn paths_name_attributes_without_regard_to_case() {
        check("USERNAME", Ok("userName"));
        check("Name.FamilyNAME", Ok("name.familyName"));
        check("id", Ok("id"));
        check("Meta.LastModified", Ok("meta.lastModified"));
        check("externalID", Ok("externalId"));
        check("urn:ietf:params:scim:schemas:core:2.0:user:emails.value", Ok("emails.value"));
        check("urn:ietf:params:scim:schemas:core:2.0:User:id", Ok("id"));
        let manager = format!("{ENTERPRISE}:manager.value");
        check(&manager, Ok(&manager));
        check(&manager.to_uppercase(), Ok(&manager));
    }

    #[test]
    fn unique_attributes_are_known() {
        let found: Vec<String> = user().unique_attributes().map(|found| found.to_string()).collect();
        assert_eq!(found, ["userName"]);
    }

    #[test]
    fn what_names_nothing_is_refused() {
        let unknown = |path: &str| Err(UnresolvedPath::UnknownAttribute(path.to_owned()));
        check("nope", unknown("nope"));
        check("manager", unknown("manager"));
        check("name.nope", unknown("name.nope"));
        check(&format!("{ENTERPRISE}:userName"), unknown(&format!("{ENTERPRISE}:userName")));
        check("userName.value", Err(UnresolvedPath::NotComplex("userName".into())));
        check("urn:x:y:a", Err(UnresolvedPath::UnknownSchema("urn:x:y".into())));
    }
}
