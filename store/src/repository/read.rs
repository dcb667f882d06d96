//! Questions to the database.

use super::Repository;
use super::layout::Column;
use super::predicate::Predicate;
use super::write::Draft;
use crate::database::{Database, DatabaseError, Scope};
use crate::sql::{Dialect, Piece, Row, RowError, Statement};
use std::collections::HashMap;

/// A resource as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its id.
    pub id: String,
    /// Its version, from 1.
    pub version: i64,
    /// When it was added, in microseconds since 1970 UTC.
    pub created: i64,
    /// When it was changed last.
    pub modified: i64,
    /// Its attributes as JSON, without those that other tables have.
    pub data: String,
}

/// What is known of a resource that is a member, or of a group that has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// The name of its resource type.
    pub resource_type: String,
    /// What people call it.
    pub label: Option<String>,
}

/// Which other tables are read too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Related {
    /// The members of groups.
    pub members: bool,
    /// The groups of members.
    pub groups: bool,
    /// The roles that the groups of users grant.
    pub roles: bool,
}

/// A resource with what other tables have of it, as far as that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Its row.
    pub row: Stored,
    /// Its members, in the order of their ids.
    pub members: Vec<Member>,
    /// The groups that it is in, in the order of their ids.
    pub groups: Vec<Member>,
    /// The roles that they grant, in the order of their names, each once.
    pub roles: Vec<String>,
}

/// The order of a list, by a column; those that are alike, and all without one, by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// By what; absent values last.
    pub column: Column,
    /// The reverse: absent values first. Ids are ascending all the same.
    pub descending: bool,
}

/// Where in a list to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// After this many.
    Offset(i64),
    /// After the resource of this id, in a list by id.
    After(String),
}

/// A part of a list.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'l> {
    /// The tenant's id.
    pub tenant: &'l str,
    /// The name of the resource type.
    pub resource_type: &'l str,
    /// Which resources.
    pub predicate: Option<&'l Predicate>,
    /// In which order; by id if absent.
    pub order: Option<Order>,
}

const STORED: &str =
    "SELECT r.id, r.version, r.created, r.modified, r.data FROM resource r WHERE r.tenant = ";

/// How one side of a membership finds the other.
struct Relation {
    select: &'static str,
    among: &'static str,
    order: &'static str,
}

const MEMBERS: Relation = Relation {
    select: "SELECT m.group_id, r.id, r.type, r.label FROM member m JOIN resource r \
             ON r.tenant = m.tenant AND r.id = m.value WHERE m.tenant = ",
    among: " AND m.group_id IN (",
    order: ") ORDER BY m.group_id, m.value",
};

const GROUPS: Relation = Relation {
    select: "SELECT m.value, r.id, r.type, r.label FROM member m JOIN resource r \
             ON r.tenant = m.tenant AND r.id = m.group_id WHERE m.tenant = ",
    among: " AND m.value IN (",
    order: ") ORDER BY m.value, m.group_id",
};

/// The roles of users. They are those of the groups that they are in themselves, as `groups` shows them. SQLite goes through tables that are
/// joined by CROSS JOIN in their order; by itself it would begin with all groups.
/// An index is used for each of several alternatives only if each says whose it is.
const ROLES: Relation = Relation {
    select: "SELECT DISTINCT m.value, g.role FROM member m CROSS JOIN resource r CROSS JOIN role_grant g \
             WHERE r.tenant = m.tenant AND r.id = m.group_id AND r.type = 'Group' AND \
             (g.tenant = r.tenant AND g.known_by = 'displayName' AND g.value = r.display_name \
             OR g.tenant = r.tenant AND g.known_by = 'externalId' AND g.value = r.external_id \
             OR g.tenant = r.tenant AND g.known_by = 'id' AND g.value = r.id) AND m.tenant = ",
    among: " AND m.value IN (",
    order: ") ORDER BY m.value, g.role",
};

/// The roles that groups grant.
const GRANTED: Relation = Relation {
    select: "SELECT DISTINCT r.id, g.role FROM resource r CROSS JOIN role_grant g \
             WHERE r.type = 'Group' AND \
             (g.tenant = r.tenant AND g.known_by = 'displayName' AND g.value = r.display_name \
             OR g.tenant = r.tenant AND g.known_by = 'externalId' AND g.value = r.external_id \
             OR g.tenant = r.tenant AND g.known_by = 'id' AND g.value = r.id) AND r.tenant = ",
    among: " AND r.id IN (",
    order: ") ORDER BY r.id, g.role",
};

impl<D: Database> Repository<D> {
    /// A resource.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn get(
        &self,
        tenant: &str,
        resource_type: &str,
        id: &str,
    ) -> Result<Option<Stored>, DatabaseError> {
        let rows = self.one(tenant, self.by_id(tenant, resource_type, id)).await?;
        rows.first().map(stored).transpose()
    }

    /// A resource with what is related to it, all as of one moment.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn get_whole(
        &self,
        tenant: &str,
        resource_type: &str,
        id: &str,
        related: Related,
    ) -> Result<Option<Whole>, DatabaseError> {
        let mut statements = vec![self.by_id(tenant, resource_type, id)];
        let ids = [id];
        statements.extend(related.members.then(|| self.related_statement(&MEMBERS, tenant, &ids)));
        statements.extend(related.groups.then(|| self.related_statement(&GROUPS, tenant, &ids)));
        statements.extend(related.roles.then(|| self.related_statement(&ROLES, tenant, &ids)));
        let mut found = self.database.read(Scope::Tenant(tenant), statements).await?.into_iter();
        let Some(row) = found.next().unwrap_or_default().first().map(stored).transpose()? else {
            return Ok(None);
        };
        let mut others = |is_read: bool| {
            let rows = if is_read { found.next() } else { None };
            rows.unwrap_or_default().iter().map(|row| member(row, 1)).collect::<Result<Vec<_>, _>>()
        };
        let (members, groups) = (others(related.members)?, others(related.groups)?);
        let roles = if related.roles { found.next() } else { None }.unwrap_or_default();
        let roles = roles.iter().map(|row| Ok(row.text(1)?.to_owned())).collect::<Result<_, RowError>>()?;
        Ok(Some(Whole { row, members, groups, roles }))
    }

    fn by_id(&self, tenant: &str, resource_type: &str, id: &str) -> Statement {
        self.statement(STORED)
            .bind(tenant)
            .sql(" AND r.id = ")
            .bind(id)
            .sql(" AND r.type = ")
            .bind(resource_type)
    }

    /// How many resources there are.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn count(&self, listed: Listed<'_>) -> Result<u64, DatabaseError> {
        let statement = if listed.predicate.is_some() {
            which(self.statement("SELECT count(*) FROM resource r WHERE r.tenant = "), listed)
        } else {
            self.statement("SELECT t.resources FROM tally t WHERE t.tenant = ")
                .bind(listed.tenant)
                .sql(" AND t.type = ")
                .bind(listed.resource_type)
        };
        let rows = self.one(listed.tenant, statement).await?;
        let count = rows.first().map_or(Ok(0), |row| row.integer(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Resources in order, `limit` at most.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn list(
        &self,
        listed: Listed<'_>,
        position: &Position,
        limit: usize,
    ) -> Result<Vec<Stored>, DatabaseError> {
        let mut statement = which(self.statement(STORED), listed);
        if let Position::After(id) = position {
            statement = statement.sql(" AND r.id > ").bind(id.as_str());
        }
        statement = statement.sql(" ORDER BY ");
        if let Some(Order { column, descending }) = listed.order {
            let (absent, order) =
                if descending { (" IS NOT NULL, ", " DESC, ") } else { (" IS NULL, ", ", ") };
            statement = statement.sql(column.name()).sql(absent).sql(column.name()).sql(order);
        }
        // SQLite knows nothing of how many it would find, and would rather go through all by id; the sign keeps it from that.
        let is_selective = listed.predicate.is_some_and(|predicate| predicate.selective);
        if is_selective && self.database.dialect() == Dialect::Sqlite {
            statement = statement.sql("+");
        }
        statement = statement.sql("r.id LIMIT ").bind(i64::try_from(limit).unwrap_or(i64::MAX));
        if let Position::Offset(offset @ 1..) = position {
            statement = statement.sql(" OFFSET ").bind(*offset);
        }
        self.one(listed.tenant, statement).await?.iter().map(stored).collect()
    }

    /// The resources of these ids, in no order; those that are not there are left out.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn get_each(
        &self,
        tenant: &str,
        resource_type: &str,
        ids: &[String],
    ) -> Result<HashMap<String, Stored>, DatabaseError> {
        let statement = |chunk: &[String]| {
            self.statement(STORED)
                .bind(tenant)
                .sql(" AND r.type = ")
                .bind(resource_type)
                .sql(" AND r.id IN (")
                .among(chunk)
                .sql(")")
        };
        let mut found = HashMap::new();
        for row in self.each(tenant, ids, statement).await? {
            let resource = stored(&row)?;
            found.insert(resource.id.clone(), resource);
        }
        Ok(found)
    }

    /// Which of these resources are there, of whatever type.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn existing(&self, tenant: &str, ids: &[&str]) -> Result<Vec<Member>, DatabaseError> {
        let statement = |chunk: &[&str]| {
            self.statement("SELECT r.id, r.type, r.label FROM resource r WHERE r.tenant = ")
                .bind(tenant)
                .sql(" AND r.id IN (")
                .among(chunk)
                .sql(")")
        };
        self.each(tenant, ids, statement).await?.iter().map(|row| member(row, 0)).collect()
    }

    /// The members of groups, by group, in the order of their ids.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn members(
        &self,
        tenant: &str,
        groups: &[&str],
    ) -> Result<HashMap<String, Vec<Member>>, DatabaseError> {
        self.related(&MEMBERS, tenant, groups).await
    }

    /// The groups of members, by member, in the order of their ids.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn groups(
        &self,
        tenant: &str,
        members: &[&str],
    ) -> Result<HashMap<String, Vec<Member>>, DatabaseError> {
        self.related(&GROUPS, tenant, members).await
    }

    /// The roles that the groups of users grant, by user, in the order of their names, each once.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn roles(
        &self,
        tenant: &str,
        users: &[&str],
    ) -> Result<HashMap<String, Vec<String>>, DatabaseError> {
        self.names(&ROLES, tenant, users).await
    }

    /// The roles that groups grant, by group, in the order of their names, each once.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn granted_by(
        &self,
        tenant: &str,
        groups: &[&str],
    ) -> Result<HashMap<String, Vec<String>>, DatabaseError> {
        self.names(&GRANTED, tenant, groups).await
    }

    /// The roles that a group would grant, in the order of their names, each once.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn granted_to(&self, tenant: &str, group: &Draft) -> Result<Vec<String>, DatabaseError> {
        let [display_name, external_id, id] = group.keys();
        let statement = self
            .statement(
                "SELECT DISTINCT g.role FROM role_grant g WHERE g.known_by = 'displayName' AND g.tenant = ",
            )
            .bind(tenant)
            .sql(" AND g.value = ")
            .bind(display_name)
            .sql(" OR g.known_by = 'externalId' AND g.tenant = ")
            .bind(tenant)
            .sql(" AND g.value = ")
            .bind(external_id)
            .sql(" OR g.known_by = 'id' AND g.tenant = ")
            .bind(tenant)
            .sql(" AND g.value = ")
            .bind(id)
            .sql(" ORDER BY g.role");
        let rows = self.one(tenant, statement).await?;
        Ok(rows.iter().map(|row| Ok(row.text(0)?.to_owned())).collect::<Result<_, RowError>>()?)
    }

    async fn names(
        &self,
        relation: &Relation,
        tenant: &str,
        ids: &[&str],
    ) -> Result<HashMap<String, Vec<String>>, DatabaseError> {
        let mut found: HashMap<String, Vec<String>> = HashMap::new();
        let statement = |chunk: &[&str]| self.related_statement(relation, tenant, chunk);
        for row in self.each(tenant, ids, statement).await? {
            found.entry(row.text(0)?.to_owned()).or_default().push(row.text(1)?.to_owned());
        }
        Ok(found)
    }

    /// Whether a group has more members than so many. Of a larger one not all are looked at.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn has_more_members(
        &self,
        tenant: &str,
        group: &str,
        count: usize,
    ) -> Result<bool, DatabaseError> {
        let statement = self
            .statement("SELECT m.value FROM member m WHERE m.tenant = ")
            .bind(tenant)
            .sql(" AND m.group_id = ")
            .bind(group)
            .sql(" ORDER BY m.value LIMIT 1 OFFSET ")
            .bind(i64::try_from(count).unwrap_or(i64::MAX));
        Ok(!self.one(tenant, statement).await?.is_empty())
    }

    async fn related(
        &self,
        relation: &Relation,
        tenant: &str,
        ids: &[&str],
    ) -> Result<HashMap<String, Vec<Member>>, DatabaseError> {
        let mut found: HashMap<String, Vec<Member>> = HashMap::new();
        let statement = |chunk: &[&str]| self.related_statement(relation, tenant, chunk);
        for row in self.each(tenant, ids, statement).await? {
            found.entry(row.text(0)?.to_owned()).or_default().push(member(&row, 1)?);
        }
        Ok(found)
    }

    fn related_statement(&self, relation: &Relation, tenant: &str, ids: &[&str]) -> Statement {
        let statement = self.statement(relation.select).bind(tenant).sql(relation.among);
        statement.among(ids).sql(relation.order)
    }

    /// What a create with that `Idempotency-Key` was answered, not before `since`: the fingerprint of what was sent, the id, and the body.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn answered(
        &self,
        tenant: &str,
        key: &str,
        since: i64,
    ) -> Result<Option<(Vec<u8>, String, String)>, DatabaseError> {
        let statement = self
            .statement("SELECT fingerprint, id, response FROM idempotency WHERE tenant = ")
            .bind(tenant)
            .sql(" AND key = ")
            .bind(key)
            .sql(" AND created >= ")
            .bind(since);
        let rows = self.one(tenant, statement).await?;
        let read = |row: &Row| Ok((row.blob(0)?.to_vec(), row.text(1)?.to_owned(), row.text(2)?.to_owned()));
        rows.first().map(read).transpose()
    }

    /// Which attribute of a resource has a value that another one of its type has; none if all are free.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn taken(
        &self,
        tenant: &str,
        resource_type: &str,
        id: &str,
        user_name: Option<&str>,
        unique_values: &[(String, String)],
    ) -> Result<Option<String>, DatabaseError> {
        if let Some(user_name) = user_name {
            let statement = self
                .statement("SELECT r.id FROM resource r WHERE r.tenant = ")
                .bind(tenant)
                .sql(" AND r.type = ")
                .bind(resource_type)
                .sql(" AND r.user_name = ")
                .bind(user_name)
                .sql(" AND r.id <> ")
                .bind(id);
            if !self.one(tenant, statement).await?.is_empty() {
                return Ok(Some("userName".to_owned()));
            }
        }
        for (attribute, value) in unique_values {
            let statement = self
                .statement("SELECT u.id FROM unique_value u WHERE u.tenant = ")
                .bind(tenant)
                .sql(" AND u.type = ")
                .bind(resource_type)
                .sql(" AND u.attribute = ")
                .bind(attribute.as_str())
                .sql(" AND u.value = ")
                .bind(value.as_str())
                .sql(" AND u.id <> ")
                .bind(id);
            if !self.one(tenant, statement).await?.is_empty() {
                return Ok(Some(attribute.clone()));
            }
        }
        Ok(None)
    }

    pub(super) fn statement(&self, text: &'static str) -> Statement {
        Statement::new(self.database.dialect(), text)
    }

    /// The rows of all values together, as of one moment.
    async fn each<T: AsRef<str>>(
        &self,
        tenant: &str,
        values: &[T],
        statement: impl Fn(&[T]) -> Statement,
    ) -> Result<Vec<Row>, DatabaseError> {
        let statements: Vec<Statement> =
            values.chunks(self.database.dialect().list()).map(statement).collect();
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.database.read(Scope::Tenant(tenant), statements).await?.into_iter().flatten().collect())
    }

    async fn one(&self, tenant: &str, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        Ok(self.database.read(Scope::Tenant(tenant), vec![statement]).await?.pop().unwrap_or_default())
    }
}

fn which(statement: Statement, listed: Listed<'_>) -> Statement {
    let statement = statement.bind(listed.tenant).sql(" AND r.type = ").bind(listed.resource_type);
    match listed.predicate {
        Some(predicate) => statement.append(&[Piece::Sql(" AND ")]).append(&predicate.pieces),
        None => statement,
    }
}

fn stored(row: &Row) -> Result<Stored, DatabaseError> {
    Ok(Stored {
        id: row.text(0)?.to_owned(),
        version: row.integer(1)?,
        created: row.integer(2)?,
        modified: row.integer(3)?,
        data: row.text(4)?.to_owned(),
    })
}

fn member(row: &Row, at: usize) -> Result<Member, DatabaseError> {
    let column = |offset: usize| at.saturating_add(offset);
    Ok(Member {
        id: row.text(column(0))?.to_owned(),
        resource_type: row.text(column(1))?.to_owned(),
        label: row.optional_text(column(2))?.map(str::to_owned),
    })
}
