//! Keys that every process of a service has in common, such as the one that signs cursors.

use crate::database::{Database, DatabaseError, Scope, WriteError};
use crate::sql::Statement;

/// A key of 256 random bits.
pub type Secret = [u8; 32];

/// The secret of that name; it is made when it is asked for first.
///
/// # Errors
/// [`DatabaseError`], also if the system gives no random octets.
pub async fn secret<D: Database>(database: &D, name: &str) -> Result<Secret, DatabaseError> {
    if let Some(secret) = find(database, name).await? {
        return Ok(secret);
    }
    let mut made = Secret::default();
    getrandom::fill(&mut made)
        .map_err(|error| DatabaseError::Failed(format!("expected random octets of the system: {error}")))?;
    let insert = Statement::new(database.dialect(), "INSERT INTO secret (name, value) VALUES (")
        .bind(name)
        .sql(", ")
        .bind(made.to_vec())
        .sql(")");
    match database.administer(vec![insert]).await {
        Ok(_) => Ok(made),
        // Another process was faster: its secret is the one.
        Err(WriteError::Taken) => {
            let found = find(database, name).await?;
            found.ok_or_else(|| DatabaseError::Failed(format!("expected the secret {name:?}")))
        }
        Err(WriteError::Database(error)) => Err(error),
        Err(
            error @ (WriteError::Missing
            | WriteError::Conflict { .. }
            | WriteError::NothingFound(_)
            | WriteError::Dangling),
        ) => Err(DatabaseError::Failed(error.to_string())),
    }
}

async fn find<D: Database>(database: &D, name: &str) -> Result<Option<Secret>, DatabaseError> {
    let select = Statement::new(database.dialect(), "SELECT value FROM secret WHERE name = ").bind(name);
    let rows = database.read(Scope::Service, vec![select]).await?.pop().unwrap_or_default();
    let Some(row) = rows.first() else { return Ok(None) };
    let secret = Secret::try_from(row.blob(0)?);
    let secret =
        secret.map_err(|_| DatabaseError::Failed(format!("expected 32 octets as the secret {name:?}")))?;
    Ok(Some(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::{Sqlite, SqliteOptions};

    #[test]
    fn a_secret_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new(folder.path().join("store.db"));
        let (one, other) = (Sqlite::open(&options).unwrap(), Sqlite::open(&options).unwrap());
        let work = async {
            let made = secret(&one, "cursor").await.unwrap();
            assert_eq!(secret(&other, "cursor").await.unwrap(), made);
            assert_ne!(secret(&other, "another").await.unwrap(), made);
        };
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    }
}
