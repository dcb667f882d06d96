//! The rules that a mapping is made of, and what may be wrong with them.

use super::{Fate, Fixed, Mapping, Rename, is_called};
use crate::scim::{
    AttrPath, AttrPathError, Attribute, AttributeRef, Mutability, ResourceType, Uniqueness, UnresolvedPath,
    Value, ValueError,
};
use serde_json::Value as Json;
use std::sync::Arc;

/// One rule. Attributes are whole ones: `title`, `urn:…:User:costCenter`.
#[derive(Debug, Clone, PartialEq)]
pub enum MappingRule {
    /// What the client calls `from` the store calls `to`.
    Rename {
        /// The client's name; there need be no such attribute.
        from: String,
        /// The store's name.
        to: String,
    },
    /// The store always has this value; the client neither sets nor sees it.
    Constant {
        /// The attribute.
        attribute: String,
        /// Its value.
        value: Json,
    },
    /// What the client says of it is not stored, and it sees none.
    Drop {
        /// The attribute.
        attribute: String,
    },
    /// The value where a create or a replace does not say.
    Default {
        /// The attribute.
        attribute: String,
        /// Its value.
        value: Json,
    },
}

/// What is wrong with a rule, and where in it.
#[derive(Debug, Clone, PartialEq)]
pub struct MappingFault {
    /// `rename`, `to`, `constant`, `drop`, `default` or `value`.
    pub member: &'static str,
    /// What it is.
    pub problem: MappingProblem,
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingProblem {
    /// Not the name of an attribute.
    #[error(transparent)]
    Path(#[from] AttrPathError),
    /// A schema, or a part of an attribute.
    #[error("expected the name of a whole attribute, but found {0:?}")]
    NotWhole(String),
    /// The resource type has none of that name.
    #[error(transparent)]
    Unresolved(#[from] UnresolvedPath),
    /// What the service itself knows, or keeps apart.
    #[error("expected an attribute that is the client's alone to set, but found {0:?}")]
    NotTheClients(String),
    /// Another rule has the name.
    #[error("expected one rule for each attribute, but found another for {0:?}")]
    Again(String),
    /// A rename to the same name.
    #[error("expected another name than the client's, but found {0:?}")]
    SameName(String),
    /// To be dropped, or given to another, and no resource can be without it.
    #[error("expected that a client can set {0:?}, since it is required")]
    Required(String),
    /// No two resources may have the same value of it.
    #[error("expected an attribute of which resources may have the same value, but found {0:?}")]
    Unique(String),
    /// No value of the attribute.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// Nothing at all.
    #[error("expected a value, but found none")]
    NoValue,
}

/// Common attributes that only the service knows (RFC 7643 section 3.1), and members, which it keeps apart and mirrors in `groups`.
const THE_SERVICES: [&str; 4] = ["id", "schemas", "meta", "members"];

impl Mapping {
    /// A mapping without rules: client and store have the same names.
    pub fn new(resource_type: &Arc<ResourceType>) -> Self {
        Self {
            resource_type: Arc::clone(resource_type),
            renames: Vec::new(),
            constants: Vec::new(),
            drops: Vec::new(),
            defaults: Vec::new(),
        }
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.renames.is_empty() && self.plain_names().next().is_none()
    }

    /// Adds a rule.
    ///
    /// # Errors
    /// All that is wrong with it; then it is not added.
    pub fn add(&mut self, rule: &MappingRule) -> Result<(), Vec<MappingFault>> {
        let at = |member| move |problem| MappingFault { member, problem };
        match rule {
            MappingRule::Rename { from, to } => {
                let client = self.clients(from).map_err(at("rename"));
                let store = self.stores(to).and_then(|store| self.free_path(&store)).map_err(at("to"));
                let (client, store) = both(client, store)?;
                if is_called(&client, store.schema(), store.attribute()) {
                    return Err(vec![at("to")(MappingProblem::SameName(to.clone()))]);
                }
                self.renames.push(Rename { client, store });
            }
            MappingRule::Drop { attribute } => {
                let path = self.dropped(attribute).map_err(|problem| vec![at("drop")(problem)])?;
                self.drops.push(path);
            }
            MappingRule::Constant { attribute, value } => {
                let fixed = self.fixed("constant", attribute, value)?;
                self.constants.push(fixed);
            }
            MappingRule::Default { attribute, value } => {
                let fixed = self.fixed("default", attribute, value)?;
                self.defaults.push(fixed);
            }
        }
        Ok(())
    }

    /// Looks at all rules together.
    ///
    /// # Errors
    /// [`MappingProblem::Required`] for an attribute that the client has no name for any more, and no resource can be without.
    pub fn check(&self) -> Result<(), MappingProblem> {
        let is_lost = |attribute: &AttributeRef| {
            let definition = attribute.attribute();
            let schema = attribute.extension().map(|urn| &**urn);
            let is_constant =
                self.constants.iter().any(|constant| is_called(&constant.path, schema, &definition.name));
            definition.required
                && definition.mutability != Mutability::ReadOnly
                && !is_constant
                && self.to_client(schema, &definition.name) == Fate::LeftOut
        };
        match self.resource_type.all_attributes().find(is_lost) {
            Some(attribute) => Err(MappingProblem::Required(attribute.to_string())),
            None => Ok(()),
        }
    }

    /// A name of the client's.
    fn clients(&self, text: &str) -> Result<AttrPath, MappingProblem> {
        let path = self.whole(text)?;
        let path = match self.resource_type.resolve(&path) {
            Ok(found) => {
                check_clients(&found)?;
                AttrPath::parse(&found.to_string())?
            }
            Err(_) => match self.extension_of(path.schema()) {
                Some(_) => path,
                None => AttrPath::parse(path.attribute())?,
            },
        };
        let names = self.renames.iter().map(|rename| &rename.client).chain(self.plain_names());
        check_once(&path, names)?;
        Ok(path)
    }

    /// An attribute of the store's.
    fn stores(&self, text: &str) -> Result<AttributeRef, MappingProblem> {
        let found = self.resource_type.resolve(&self.whole(text)?)?;
        check_clients(&found)?;
        Ok(found)
    }

    /// The path of an attribute of the store's that no rule is about yet.
    fn free_path(&self, attribute: &AttributeRef) -> Result<AttrPath, MappingProblem> {
        let path = AttrPath::parse(&attribute.to_string())?;
        check_once(&path, self.renames.iter().map(|rename| &rename.store).chain(self.plain_names()))?;
        Ok(path)
    }

    /// The same of one that has one name on both sides.
    fn plain_path(&self, attribute: &AttributeRef) -> Result<AttrPath, MappingProblem> {
        let path = self.free_path(attribute)?;
        check_once(&path, self.renames.iter().map(|rename| &rename.client))?;
        Ok(path)
    }

    fn dropped(&self, text: &str) -> Result<AttrPath, MappingProblem> {
        let found = self.stores(text)?;
        if found.attribute().required {
            return Err(MappingProblem::Required(found.to_string()));
        }
        self.plain_path(&found)
    }

    fn fixed(&self, member: &'static str, text: &str, value: &Json) -> Result<Fixed, Vec<MappingFault>> {
        let at = |member| move |problem| MappingFault { member, problem };
        let found = self.stores(text).map_err(|problem| vec![at(member)(problem)])?;
        let path = match found.attribute().uniqueness {
            Uniqueness::None => self.plain_path(&found),
            Uniqueness::Server | Uniqueness::Global => Err(MappingProblem::Unique(found.to_string())),
        };
        let value = value_of(found.attribute(), value).map_err(at("value"));
        let (path, value) = both(path.map_err(at(member)), value)?;
        Ok(Fixed { path, value })
    }

    /// Names that are the same on both sides.
    fn plain_names(&self) -> impl Iterator<Item = &AttrPath> {
        let fixed = self.constants.iter().chain(&self.defaults).map(|fixed| &fixed.path);
        self.drops.iter().chain(fixed)
    }

    /// The path of a whole attribute.
    fn whole(&self, text: &str) -> Result<AttrPath, MappingProblem> {
        let is_schema = self.resource_type.has_schema(text);
        let path = AttrPath::parse(text)?;
        if is_schema || path.sub_attribute().is_some() {
            return Err(MappingProblem::NotWhole(text.to_owned()));
        }
        Ok(path)
    }
}

fn check_clients(attribute: &AttributeRef) -> Result<(), MappingProblem> {
    let definition = attribute.attribute();
    let is_services = attribute.extension().is_none() && THE_SERVICES.contains(&&*definition.name);
    if is_services || definition.mutability == Mutability::ReadOnly {
        return Err(MappingProblem::NotTheClients(attribute.to_string()));
    }
    Ok(())
}

fn check_once<'p>(
    path: &AttrPath,
    mut others: impl Iterator<Item = &'p AttrPath>,
) -> Result<(), MappingProblem> {
    match others.any(|other| is_called(other, path.schema(), path.attribute())) {
        true => Err(MappingProblem::Again(path.to_string())),
        false => Ok(()),
    }
}

/// The value as the store would show it.
fn value_of(attribute: &Attribute, value: &Json) -> Result<Json, MappingProblem> {
    let value = Value::parse(attribute, value)?.ok_or(MappingProblem::NoValue)?;
    Ok(value.to_json())
}

fn both<A, B>(a: Result<A, MappingFault>, b: Result<B, MappingFault>) -> Result<(A, B), Vec<MappingFault>> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (a, b) => Err(a.err().into_iter().chain(b.err()).collect()),
    }
}
