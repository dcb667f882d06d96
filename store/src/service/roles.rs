//! Roles that groups grant: whose are to be read, and what the record of a change of a group says of them.

use super::{Context, Service, unavailable};
use crate::audit::{Granting, Moved};
use crate::database::Database;
use crate::repository::{Draft, MemberStep, Related};
use doorward::scim::{ResourceType, ScimError};

/// The name of the resource type whose members have roles.
pub(super) const GROUP: &str = "Group";
/// How many ids of members the record of a change has at most.
const LISTED: usize = 1_000;

impl<D: Database> Service<D> {
    /// What must be read of what is asked for: of a tenant that grants no roles, none are.
    pub(super) async fn related(&self, context: &Context, related: Related) -> Result<Related, ScimError> {
        let roles = related.roles && self.has_grants(context).await?;
        Ok(Related { roles, ..related })
    }

    async fn has_grants(&self, context: &Context) -> Result<bool, ScimError> {
        let found = self.tenants.has_grants(&context.tenant, context.now).await;
        found.map_err(|error| unavailable(&error))
    }

    /// The roles that a resource grants now, if it is a group.
    async fn granted_by(
        &self,
        context: &Context,
        resource_type: &ResourceType,
        id: &str,
    ) -> Result<Vec<String>, ScimError> {
        if resource_type.name() != GROUP || !self.has_grants(context).await? {
            return Ok(Vec::new());
        }
        let found = self.repository.granted_by(&context.tenant, &[id]).await;
        Ok(found.map_err(|error| unavailable(&error))?.remove(id).unwrap_or_default())
    }

    /// The roles that a group would grant.
    async fn granted_to(&self, context: &Context, draft: &Draft) -> Result<Vec<String>, ScimError> {
        if draft.resource_type != GROUP || !self.has_grants(context).await? {
            return Ok(Vec::new());
        }
        let found = self.repository.granted_to(&context.tenant, draft).await;
        found.map_err(|error| unavailable(&error))
    }

    /// What the creation of a resource has to do with roles.
    pub(super) async fn granting_new(
        &self,
        context: &Context,
        draft: &Draft,
        steps: &[MemberStep],
    ) -> Result<Option<Granting>, ScimError> {
        let roles = self.granted_to(context, draft).await?;
        Ok(granting(&roles, &roles, moved(steps)))
    }

    /// The same of the change of one. `draft` is how it shall be, if its attributes change.
    pub(super) async fn granting(
        &self,
        context: &Context,
        resource_type: &ResourceType,
        id: &str,
        draft: Option<&Draft>,
        steps: &[MemberStep],
    ) -> Result<Option<Granting>, ScimError> {
        let before = self.granted_by(context, resource_type, id).await?;
        let after = match draft {
            Some(draft) => self.granted_to(context, draft).await?,
            None => before.clone(),
        };
        Ok(granting(&before, &after, moved(steps)))
    }

    /// The same of the removal of one, and the version that it rests on: none if it has nothing to do with roles.
    pub(super) async fn granting_gone(
        &self,
        context: &Context,
        resource_type: &ResourceType,
        id: &str,
    ) -> Result<Option<(Granting, i64)>, ScimError> {
        let roles = self.granted_by(context, resource_type, id).await?;
        if roles.is_empty() {
            return Ok(None);
        }
        // Before the members: whoever comes later makes another version.
        let version = self.row(context, resource_type, id).await?.version;
        let members = if self.has_few_members(context, id).await? {
            let found = self.members(context, id).await?;
            let removed = found.into_iter().map(|member| member.id).collect();
            Moved::Listed { added: Vec::new(), removed }
        } else {
            Moved::MANY
        };
        Ok(Some((Granting { roles, group: None, members }, version)))
    }

    /// Whether it is to be told which members a change takes from a group, though it takes all of them.
    pub(super) async fn tells_members(
        &self,
        context: &Context,
        resource_type: &ResourceType,
        id: &str,
    ) -> Result<bool, ScimError> {
        let roles = self.granted_by(context, resource_type, id).await?;
        Ok(!roles.is_empty() && self.has_few_members(context, id).await?)
    }

    /// No more than a record has room for.
    async fn has_few_members(&self, context: &Context, id: &str) -> Result<bool, ScimError> {
        let has_more = self.repository.has_more_members(&context.tenant, id, LISTED).await;
        Ok(!has_more.map_err(|error| unavailable(&error))?)
    }
}

/// With the roles of before and after. Where they are not the same, the change is one for all members.
fn granting(before: &[String], after: &[String], moved: Moved) -> Option<Granting> {
    let mut roles = [before, after].concat();
    roles.sort();
    roles.dedup();
    let members = if before == after { moved } else { Moved::MANY };
    (!roles.is_empty()).then_some(Granting { roles, group: None, members })
}

fn moved(steps: &[MemberStep]) -> Moved {
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            MemberStep::Add(ids) => added.extend(ids.iter().cloned()),
            MemberStep::Remove(ids) | MemberStep::RemoveSome(ids) => removed.extend(ids.iter().cloned()),
            MemberStep::Clear => return Moved::MANY,
        }
    }
    if added.len().saturating_add(removed.len()) > LISTED {
        return Moved::MANY;
    }
    Moved::Listed { added, removed }
}
