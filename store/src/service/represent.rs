//! From rows to resources, for whoever looks at their attributes.

use super::{Context, Service, unavailable};
use crate::database::Database;
use crate::repository::{Member, Related, Stored};
use doorward::scim::{DateTime, Meta, Resource, ResourceType, ScimError, Version};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::sync::Arc;

impl<D: Database> Service<D> {
    /// Resources from rows, with what other tables have.
    pub(super) async fn represent(
        &self,
        context: &Context,
        resource_type: &Arc<ResourceType>,
        rows: &[Stored],
        related: Related,
    ) -> Result<Vec<Resource>, ScimError> {
        let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let tenant = context.tenant.as_str();
        let mut members = HashMap::new();
        if related.members {
            members = self.repository.members(tenant, &ids).await.map_err(|error| unavailable(&error))?;
        }
        let mut groups = HashMap::new();
        if related.groups {
            groups = self.repository.groups(tenant, &ids).await.map_err(|error| unavailable(&error))?;
        }
        let resource = |row: &Stored| {
            let [members, groups] =
                [members.get(&row.id), groups.get(&row.id)].map(|found| found.map(Vec::as_slice));
            self.read(context, resource_type, row, [("members", members), ("groups", groups)])
        };
        rows.iter().map(resource).collect()
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
        related: [(&str, Option<&[Member]>); 2],
    ) -> Result<Resource, ScimError> {
        let broken =
            |what: String| ScimError::new(500, format!("expected a readable resource, but found {what}"));
        let mut data: Map<String, Json> =
            serde_json::from_str(&row.data).map_err(|error| broken(error.to_string()))?;
        for (name, others) in related {
            let others = others.into_iter().flatten().map(|other| self.reference(context, name, other));
            let others: Vec<Json> = others.collect();
            if !others.is_empty() {
                data.insert(name.to_owned(), Json::Array(others));
            }
        }
        let mut resource =
            Resource::from_stored(resource_type, &data).map_err(|error| broken(error.to_string()))?;
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
