//! The tenant's chain of records, as rows.

use super::{DatabaseError, Unit};
use crate::audit::{ChainHash, Head};
use crate::sql::{Dialect, Row, Statement};

/// What asks for the head of a chain.
pub(crate) fn head(dialect: Dialect, tenant: &str) -> Statement {
    Statement::new(dialect, "SELECT sequence, hash FROM tenant WHERE id = ").bind(tenant)
}

/// The head from the rows of [`head`]; none if there is no such tenant.
///
/// # Errors
/// [`DatabaseError::Failed`] if it is none of ours.
pub(crate) fn read_head(rows: &[Row]) -> Result<Option<Head>, DatabaseError> {
    let Some(row) = rows.first() else { return Ok(None) };
    let hash = ChainHash::try_from(row.blob(1)?)
        .map_err(|_| DatabaseError::Failed("expected a hash of 32 octets".to_owned()))?;
    Ok(Some(Head { sequence: row.integer(0)?, hash }))
}

/// What keeps the record of a unit's change; and the head with it.
///
/// # Errors
/// [`DatabaseError::Failed`] if the record cannot be written as JSON.
pub(super) fn extend(
    dialect: Dialect,
    unit: &Unit,
    head: Head,
    version_before: Option<i64>,
) -> Result<(Head, Statement), DatabaseError> {
    let record = unit.change.record(&unit.tenant, &head, version_before);
    let text = serde_json::to_string(&record).map_err(|error| DatabaseError::Failed(error.to_string()))?;
    let head = head.after(&text);
    let insert = Statement::new(dialect, "INSERT INTO change (tenant, sequence, record, hash) VALUES (")
        .bind(unit.tenant.as_str())
        .sql(", ")
        .bind(head.sequence)
        .sql(", ")
        .bind(text)
        .sql(", ")
        .bind(head.hash.to_vec())
        .sql(")");
    Ok((head, insert))
}

/// What makes this the head of a tenant: once in a transaction, after all of its records.
pub(super) fn advance(dialect: Dialect, tenant: &str, head: &Head) -> Statement {
    Statement::new(dialect, "UPDATE tenant SET sequence = ")
        .bind(head.sequence)
        .sql(", hash = ")
        .bind(head.hash.to_vec())
        .sql(" WHERE id = ")
        .bind(tenant)
}
