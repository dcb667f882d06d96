//! The audit trail as it is in the database.

use crate::audit::{ChainError, Head, Verification};
use crate::database::{Database, DatabaseError, Scope, chain};
use crate::sql::Statement;

/// How many records are read at once.
const BATCH: i64 = 1_000;

/// What is wrong with a tenant's trail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrailError {
    /// No tenant has that id.
    #[error("expected a tenant, but there is none of the id {0:?}")]
    NoTenant(String),
    /// It is not what was written.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// It cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Follows a tenant's trail from its first record to the last one that is there now; answers how many there are.
///
/// # Errors
/// [`TrailError`], the first fault that is found.
pub async fn verify<D: Database>(database: &D, tenant: &str) -> Result<i64, TrailError> {
    in_batches(database, tenant, BATCH).await
}

async fn in_batches<D: Database>(database: &D, tenant: &str, batch: i64) -> Result<i64, TrailError> {
    let (head, last) = ends(database, tenant).await?;
    let mut verification = Verification::new();
    let mut reached = 0;
    loop {
        let select =
            Statement::new(database.dialect(), "SELECT sequence, record, hash FROM change WHERE tenant = ")
                .bind(tenant)
                .sql(" AND sequence > ")
                .bind(reached)
                .sql(" AND sequence <= ")
                .bind(head.sequence)
                .sql(" ORDER BY sequence LIMIT ")
                .bind(batch);
        let rows = database.read(Scope::Tenant(tenant), vec![select]).await?.pop().unwrap_or_default();
        let Some(row) = rows.last() else { break };
        reached = row.integer(0).map_err(DatabaseError::from)?;
        for row in &rows {
            let fields = || Ok::<_, crate::sql::RowError>((row.integer(0)?, row.text(1)?, row.blob(2)?));
            let (sequence, record, hash) = fields().map_err(DatabaseError::from)?;
            verification.follow(sequence, record, hash)?;
        }
    }
    let count = verification.finish(head)?;
    // Records after the head were never acknowledged by it.
    if last > head.sequence {
        return Err(ChainError::Short { expected: head.sequence, found: last }.into());
    }
    Ok(count)
}

/// The tenant's head and the place of its last record, as of one moment.
async fn ends<D: Database>(database: &D, tenant: &str) -> Result<(Head, i64), TrailError> {
    let head = chain::head(database.dialect(), tenant);
    let last = Statement::new(database.dialect(), "SELECT sequence FROM change WHERE tenant = ")
        .bind(tenant)
        .sql(" ORDER BY sequence DESC LIMIT 1");
    let found = database.read(Scope::Tenant(tenant), vec![head, last]).await?;
    let mut found = found.iter().map(Vec::as_slice);
    let head = chain::read_head(found.next().unwrap_or_default())?;
    let head = head.ok_or_else(|| TrailError::NoTenant(tenant.to_owned()))?;
    let last = found.next().and_then(<[_]>::first);
    let last = last.map_or(Ok(0), |row| row.integer(0)).map_err(DatabaseError::from)?;
    Ok((head, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Change, Operation, Origin};
    use crate::database::{Guard, Sqlite, SqliteOptions, Step, Unit};
    use crate::sql::Dialect;
    use crate::tenants::Tenants;
    use doorward::scim::Profile;
    use std::sync::Arc;

    /// A tenant with so many changes, and what is done to the database then.
    fn verified(changes: i64, then: &'static str) -> Result<i64, TrailError> {
        let folder = tempfile::tempdir().unwrap();
        let database = Arc::new(Sqlite::open(&SqliteOptions::new(folder.path().join("store.db"))).unwrap());
        let statement = |text| Statement::new(Dialect::Sqlite, text);
        let work = async {
            Tenants::new(Arc::clone(&database)).create("acme", "A", Profile::Rfc, 1).await.unwrap();
            for number in 0..changes {
                let change = Change {
                    time: number,
                    origin: Origin::default(),
                    operation: Operation::Patch,
                    resource_type: "User".to_owned(),
                    id: "u".to_owned(),
                    attributes: Vec::new(),
                    values: std::collections::BTreeMap::new(),
                    granting: None,
                };
                let step = Step::Change(statement("UPDATE tenant SET name = ").bind(format!("{number}")));
                let unit = Unit { tenant: "acme".to_owned(), guard: Guard::New, steps: vec![step], change };
                database.write(unit).await.unwrap();
            }
            if !then.is_empty() {
                assert!(database.administer(vec![statement(then)]).await.unwrap());
            }
            in_batches(database.as_ref(), "acme", 2).await
        };
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn an_untouched_trail_verifies_batch_by_batch() {
        for changes in [0, 1, 2, 3, 4, 5] {
            assert_eq!(verified(changes, ""), Ok(changes));
        }
    }

    #[test]
    fn whatever_is_done_to_a_trail_shows() {
        for (then, expected) in [
            ("DELETE FROM change WHERE sequence = 2", ChainError::Gap { expected: 2, found: 3 }),
            ("DELETE FROM change WHERE sequence = 3", ChainError::Short { expected: 3, found: 2 }),
            ("DELETE FROM change", ChainError::Short { expected: 3, found: 0 }),
            (
                "UPDATE change SET record = replace(record, 'User', 'Uzer') WHERE sequence = 2",
                ChainError::Altered(2),
            ),
            ("UPDATE tenant SET sequence = 2", ChainError::Altered(2)),
            (
                "UPDATE tenant SET sequence = 2, hash = (SELECT hash FROM change WHERE sequence = 2)",
                ChainError::Short { expected: 2, found: 3 },
            ),
        ] {
            assert_eq!(verified(3, then), Err(expected.into()), "{then}");
        }
    }
}
