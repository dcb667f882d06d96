//! Units as the service makes them, and what is there afterwards.

use anyhow::{Context, Result};
use doorward_store::audit::{Change, Head, Operation, Origin, START, Verification};
use doorward_store::database::{Database, Guard, Scope, Step, Unit};
use doorward_store::sql::{Cell, Dialect, Row, Statement};

fn unit(tenant: &str, id: &str, operation: Operation, guard: Guard, steps: Vec<Step>) -> Unit {
    let change = Change {
        time: 1,
        origin: Origin::default(),
        operation,
        resource_type: "User".to_owned(),
        id: id.to_owned(),
        attributes: Vec::new(),
        granting: None,
        values: std::collections::BTreeMap::new(),
    };
    Unit { tenant: tenant.to_owned(), guard, steps, change }
}

/// Adds a tenant.
pub(crate) fn tenant(dialect: Dialect, id: &str) -> Unit {
    let insert =
        Statement::new(dialect, "INSERT INTO tenant (id, name, profile, created, sequence, hash) VALUES (")
            .bind(id)
            .sql(", 'A', 'rfc', 1, 0, ")
            .bind(START.to_vec())
            .sql(")");
    unit(id, id, Operation::Create, Guard::New, vec![Step::Change(insert)])
}

/// Adds a user.
pub(crate) fn add(dialect: Dialect, tenant: &str, id: &str, user_name: &str) -> Unit {
    let insert = insert_user(dialect, tenant, id, user_name);
    unit(tenant, id, Operation::Create, Guard::New, vec![Step::Change(insert)])
}

fn insert_user(dialect: Dialect, tenant: &str, id: &str, user_name: &str) -> Statement {
    Statement::new(
        dialect,
        "INSERT INTO resource (tenant, type, version, created, modified, data, id, user_name, display_name) VALUES (",
    )
    .bind(tenant)
    .sql(", 'User', 1, 1, 1, '{}', ")
    .bind_all([Cell::from(id), user_name.into(), Cell::Null])
    .sql(")")
}

/// Gives a user another display name, if it has not got it.
pub(crate) fn rename(dialect: Dialect, tenant: &str, id: &str, expected: Option<i64>, name: &str) -> Unit {
    let change = Step::Change(set_name(dialect, tenant, id, name));
    let guard = Guard::Version { statement: version(dialect, tenant, id), expected };
    unit(tenant, id, Operation::Patch, guard, vec![change, count_up(dialect, tenant, id)])
}

fn version(dialect: Dialect, tenant: &str, id: &str) -> Statement {
    Statement::new(dialect, "SELECT version FROM resource WHERE tenant = ")
        .bind(tenant)
        .sql(" AND id = ")
        .bind(id)
        .for_update()
}

pub(crate) fn set_name(dialect: Dialect, tenant: &str, id: &str, name: &str) -> Statement {
    Statement::new(dialect, "UPDATE resource SET display_name = ")
        .bind(name)
        .sql(" WHERE tenant = ")
        .bind(tenant)
        .sql(" AND id = ")
        .bind(id)
        .sql(" AND display_name IS DISTINCT FROM ")
        .bind(name)
}

fn count_up(dialect: Dialect, tenant: &str, id: &str) -> Step {
    let count = Statement::new(dialect, "UPDATE resource SET version = version + 1 WHERE tenant = ")
        .bind(tenant)
        .sql(" AND id = ")
        .bind(id);
    Step::Consequence(count)
}

/// Makes a user a member of a group.
pub(crate) fn join(dialect: Dialect, tenant: &str, group: &str, member: &str) -> Unit {
    let insert = Statement::new(dialect, "INSERT INTO member (tenant, group_id, value) VALUES (")
        .bind_all([tenant, group, member])
        .sql(")");
    let guard = Guard::Version { statement: version(dialect, tenant, group), expected: None };
    unit(tenant, group, Operation::Patch, guard, vec![Step::Change(insert), count_up(dialect, tenant, group)])
}

/// The rows of one statement.
pub(crate) async fn rows(
    database: &impl Database,
    scope: Scope<'_>,
    statement: Statement,
) -> Result<Vec<Row>> {
    database.read(scope, vec![statement]).await?.pop().context("expected rows of a statement")
}

/// The ids, versions and display names of the tenant's resources.
pub(crate) async fn resources(
    database: &impl Database,
    tenant: &str,
) -> Result<Vec<(String, i64, Option<String>)>> {
    let ask =
        Statement::new(database.dialect(), "SELECT id, version, display_name FROM resource WHERE tenant = ")
            .bind(tenant)
            .sql(" ORDER BY id");
    let rows = rows(database, Scope::Tenant(tenant), ask).await?;
    let read =
        |row: &Row| Ok((row.text(0)?.to_owned(), row.integer(1)?, row.optional_text(2)?.map(str::to_owned)));
    rows.iter().map(read).collect()
}

/// How many records the tenant's chain has; an error if it is broken.
pub(crate) async fn verify(database: &impl Database, tenant: &str) -> Result<i64> {
    let dialect = database.dialect();
    let head = Statement::new(dialect, "SELECT sequence, hash FROM tenant WHERE id = ").bind(tenant);
    let records = Statement::new(dialect, "SELECT sequence, record, hash FROM change WHERE tenant = ")
        .bind(tenant)
        .sql(" ORDER BY sequence");
    let found = database.read(Scope::Tenant(tenant), vec![head, records]).await?;
    let [head, records] = found.as_slice() else {
        anyhow::bail!("expected two answers, but found {found:?}")
    };
    let mut verification = Verification::new();
    for row in records {
        verification.follow(row.integer(0)?, row.text(1)?, row.blob(2)?)?;
    }
    let head = head.first().context("expected a tenant")?;
    Ok(verification.finish(Head { sequence: head.integer(0)?, hash: head.blob(1)?.try_into()? })?)
}
