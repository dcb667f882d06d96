//! Which roles the members of which groups have, tenant by tenant. What changes is told by the audit trail: it changes what users are
//! shown with.

use super::{TenantError, Tenants};
use crate::audit::{Change, Granting, Moved, Operation, Origin};
use crate::database::{Database, DatabaseError, Guard, Scope, Step, Unit, WriteError};
use crate::role::{Grant, GroupKey, is_role};
use crate::sql::{Row, Statement};
use std::collections::BTreeMap;

/// How many grants a tenant may have.
const MAX_GRANTS: i64 = 1_000;
/// What records call that which is granted.
const ROLE: &str = "Role";

impl<D: Database> Tenants<D> {
    /// Grants a role to the members of groups; answers whether that is new. `now` is in microseconds since 1970 UTC.
    ///
    /// # Errors
    /// [`TenantError`] if a name is not one, there is no such tenant, or it has as many grants as it may have.
    pub async fn grant_role(
        &self,
        tenant: &str,
        role: &str,
        group: &GroupKey,
        origin: Origin,
        now: i64,
    ) -> Result<bool, TenantError> {
        if !is_role(role) {
            return Err(TenantError::BadRole(role.to_owned()));
        }
        if !group.is_valid() {
            return Err(TenantError::BadGroup(group.attribute()));
        }
        let insert = self
            .statement("INSERT INTO role_grant (tenant, role, known_by, value, label, created) SELECT t.id, ")
            .bind(role)
            .sql(", ")
            .bind(group.attribute())
            .sql(", ")
            .bind(group.compared())
            .sql(", ")
            .bind(group.value())
            .sql(", ")
            .bind(now)
            .sql(" FROM tenant t WHERE t.id = ")
            .bind(tenant)
            .sql(" AND (SELECT count(*) FROM role_grant g WHERE g.tenant = t.id) < ")
            .bind(MAX_GRANTS)
            .sql(" ON CONFLICT DO NOTHING");
        let change = change(Operation::Grant, role, group, origin, now);
        let written = self.write(tenant, Step::Change(insert), change).await?;
        self.note_grants(tenant, true, now);
        if written || self.grants(tenant).await?.iter().any(|grant| is(grant, role, group)) {
            return Ok(written);
        }
        Err(TenantError::TooManyGrants(MAX_GRANTS))
    }

    /// Takes the role from the members of these groups, as far as no other grant gives it to them.
    ///
    /// # Errors
    /// [`TenantError`] if there is no such grant or tenant.
    pub async fn revoke_role(
        &self,
        tenant: &str,
        role: &str,
        group: &GroupKey,
        origin: Origin,
        now: i64,
    ) -> Result<(), TenantError> {
        let delete = self
            .statement("DELETE FROM role_grant WHERE tenant = ")
            .bind(tenant)
            .sql(" AND role = ")
            .bind(role)
            .sql(" AND known_by = ")
            .bind(group.attribute())
            .sql(" AND value = ")
            .bind(group.compared());
        let change = change(Operation::Revoke, role, group, origin, now);
        // PostgreSQL has no texts with this character.
        let can_be = is_role(role) && group.is_valid();
        let written = can_be && self.write(tenant, Step::Change(delete), change).await?;
        self.cache().grants.clear();
        match written {
            true => Ok(()),
            false => {
                self.find(tenant).await?;
                Err(TenantError::NoGrant(role.to_owned()))
            }
        }
    }

    /// The grants of a tenant, in the order of roles.
    ///
    /// # Errors
    /// [`TenantError::NoTenant`] if there is no such tenant.
    pub async fn grants(&self, tenant: &str) -> Result<Vec<Grant>, TenantError> {
        self.find(tenant).await?;
        let select = self
            .statement("SELECT role, known_by, label, created FROM role_grant WHERE tenant = ")
            .bind(tenant)
            .sql(" ORDER BY role, known_by, value");
        let rows = self.rows_of(tenant, select).await?;
        Ok(rows.iter().map(grant).collect::<Result<_, _>>()?)
    }

    /// Whether a tenant has grants. The first one that another process makes is seen within five seconds. `now` is in microseconds
    /// since 1970 UTC.
    ///
    /// # Errors
    /// [`DatabaseError`] if that cannot be said.
    pub async fn has_grants(&self, tenant: &str, now: i64) -> Result<bool, DatabaseError> {
        let known = self.cache().grants.get(tenant, now).map(|found| found.is_some());
        if let Some(known) = known {
            return Ok(known);
        }
        let found = self.rows_of(tenant, self.grants_statement(tenant)).await?;
        let found = !found.is_empty();
        // One that was made meanwhile is not forgotten again.
        let is_known = self.cache().grants.get(tenant, now).is_some_and(|found| found.is_some());
        if !is_known {
            self.note_grants(tenant, found, now);
        }
        Ok(found || is_known)
    }

    /// Notes what was seen of a tenant's grants by the way.
    pub(crate) fn note_grants(&self, tenant: &str, has_grants: bool, now: i64) {
        self.cache().grants.put(tenant.to_owned(), has_grants.then_some(()), now);
    }

    /// What asks whether a tenant has grants: there is a row if so.
    pub(crate) fn grants_statement(&self, tenant: &str) -> Statement {
        self.statement("SELECT 1 FROM role_grant WHERE tenant = ").bind(tenant).sql(" LIMIT 1")
    }

    async fn rows_of(&self, tenant: &str, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        let found = self.database.read(Scope::Tenant(tenant), vec![statement]).await?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    /// Whether anything changed; the record is kept if so.
    async fn write(&self, tenant: &str, step: Step, change: Change) -> Result<bool, TenantError> {
        let unit = Unit { tenant: tenant.to_owned(), guard: Guard::New, steps: vec![step], change };
        match self.database.write(unit).await {
            Ok(written) => Ok(written.changed),
            Err(WriteError::Missing) => Err(TenantError::NoTenant(tenant.to_owned())),
            Err(WriteError::Database(error)) => Err(error.into()),
            Err(
                error @ (WriteError::Conflict { .. }
                | WriteError::Taken
                | WriteError::Dangling
                | WriteError::NothingFound(_)),
            ) => Err(DatabaseError::Failed(error.to_string()).into()),
        }
    }
}

fn change(operation: Operation, role: &str, group: &GroupKey, origin: Origin, now: i64) -> Change {
    Change {
        time: now,
        origin,
        operation,
        resource_type: ROLE.to_owned(),
        id: role.to_owned(),
        attributes: Vec::new(),
        values: BTreeMap::new(),
        granting: Some(Granting {
            roles: vec![role.to_owned()],
            group: Some(group.clone()),
            members: Moved::MANY,
        }),
    }
}

fn grant(row: &Row) -> Result<Grant, DatabaseError> {
    let (role, attribute, value) = (row.text(0)?, row.text(1)?, row.text(2)?);
    let group = GroupKey::new(attribute, value.to_owned()).ok_or_else(|| {
        DatabaseError::Failed(format!("expected what groups are known by, but found {attribute:?}"))
    })?;
    Ok(Grant { role: role.to_owned(), group, created: row.integer(3)? })
}

fn is(grant: &Grant, role: &str, group: &GroupKey) -> bool {
    let own = &grant.group;
    grant.role == role && own.attribute() == group.attribute() && own.compared() == group.compared()
}
