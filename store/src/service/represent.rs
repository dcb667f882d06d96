//! From rows to resources, for whoever looks at their attributes.

use super::{Context, Service, unavailable};
use crate::database::Database;
use crate::repository::{Member, Related, Stored};
use doorward::scim::{DateTime, Meta, Resource, ResourceType, ScimError, Version};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::sync::Arc;

/// What other tables have of a resource.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Others<'o> {
    pub(super) members: &'o [Member],
    pub(super) groups: &'o [Member],
    /// The names of the roles that the groups grant.
    pub(super) roles: &'o [String],
}

/// The same of many resources, by their ids.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    members: HashMap<String, Vec<Member>>,
    groups: HashMap<String, Vec<Member>>,
    roles: HashMap<String, Vec<String>>,
}

impl Loaded {
    pub(super) fn of(&self, id: &str) -> Others<'_> {
        Others { members: of(&self.members, id), groups: of(&self.groups, id), roles: of(&self.roles, id) }
    }
}

fn of<'f, T>(found: &'f HashMap<String, Vec<T>>, id: &str) -> &'f [T] {
    found.get(id).map_or(&[], Vec::as_slice)
}

impl<D: Database> Service<D> {
    /// Resources from rows, with what other tables have.
    pub(super) async fn represent(
        &self,
        context: &Context,
        resource_type: &Arc<ResourceType>,
        rows: &[Stored],
        related: Related,
    ) -> Result<Vec<Resource>, ScimError> {
        let loaded = self.load(context, rows, related).await?;
        rows.iter().map(|row| self.read(context, resource_type, row, loaded.of(&row.id))).collect()
    }

    /// What other tables have of resources, as far as it is asked for.
    pub(super) async fn load(
        &self,
        context: &Context,
        rows: &[Stored],
        related: Related,
    ) -> Result<Loaded, ScimError> {
        let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let tenant = context.tenant.as_str();
        let related = self.related(context, related).await?;
        let mut loaded = Loaded::default();
        if related.members {
            loaded.members =
                self.repository.members(tenant, &ids).await.map_err(|error| unavailable(&error))?;
        }
        if related.groups {
            loaded.groups =
                self.repository.groups(tenant, &ids).await.map_err(|error| unavailable(&error))?;
        }
        if related.roles {
            loaded.roles = self.repository.roles(tenant, &ids).await.map_err(|error| unavailable(&error))?;
        }
        Ok(loaded)
    }

    /// One resource.
    pub(super) async fn represent_one(
        &self,
        context: &Context,
        resource_type: &Arc<ResourceType>,
        row: &Stored,
        related: Related,
    ) -> Result<Resource, ScimError> {
        let resources = self.represent(context, resource_type, std::slice::from_ref(row), related).await?;
        resources.into_iter().next().ok_or_else(|| ScimError::not_found(&row.id))
    }

    pub(super) fn read(
        &self,
        context: &Context,
        resource_type: &Arc<ResourceType>,
        row: &Stored,
        others: Others<'_>,
    ) -> Result<Resource, ScimError> {
        let broken =
            |what: String| ScimError::new(500, format!("expected a readable resource, but found {what}"));
        let mut data: Map<String, Json> =
            serde_json::from_str(&row.data).map_err(|error| broken(error.to_string()))?;
        for (name, others) in [("members", others.members), ("groups", others.groups)] {
            let others: Vec<Json> = others.iter().map(|other| self.reference(context, name, other)).collect();
            if !others.is_empty() {
                data.insert(name.to_owned(), Json::Array(others));
            }
        }
        let mut resource =
            Resource::from_stored(resource_type, &data).map_err(|error| broken(error.to_string()))?;
        if let Some(roles) = self.layout(resource_type)?.roles() {
            roles.set(&mut resource, others.roles);
        }
        resource.set_meta(&meta(context, resource_type, row));
        Ok(resource)
    }

    fn reference(&self, context: &Context, name: &str, other: &Member) -> Json {
        let resource_type = self.catalog.resource_type(&other.resource_type);
        let reference = resource_type.map(|resource_type| location(context, resource_type, &other.id));
        // Nobody is in a group by way of another one, as far as is kept.
        let kind = if name == "groups" { "direct" } else { other.resource_type.as_str() };
        let mut members = Map::new();
        members.insert("value".to_owned(), other.id.as_str().into());
        members.extend(reference.map(|reference| ("$ref".to_owned(), reference.into())));
        members.extend(other.label.as_deref().map(|label| ("display".to_owned(), label.into())));
        members.insert("type".to_owned(), kind.into());
        Json::Object(members)
    }
}

/// What the service provider knows of a resource.
pub(super) fn meta(context: &Context, resource_type: &ResourceType, row: &Stored) -> Meta {
    let instant = |micros| DateTime::from_unix_micros(micros).unwrap_or(DateTime::MIN);
    Meta {
        created: instant(row.created),
        last_modified: instant(row.modified),
        location: location(context, resource_type, &row.id),
        version: Some(version(row.version).to_string()),
    }
}

/// The absolute URL of a resource.
pub(super) fn location(context: &Context, resource_type: &ResourceType, id: &str) -> String {
    format!("{}{}/{id}", context.base_url, resource_type.endpoint())
}

/// The entity tag of a version.
pub(super) fn version(number: i64) -> Version {
    Version::from(u64::try_from(number).unwrap_or_default())
}
