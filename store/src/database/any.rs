//! Either database, where it is chosen when the program starts.

use super::{Bounds, Database, DatabaseError, Postgres, Scope, Sqlite, Unit, WriteError, Written};
use crate::sql::{Dialect, Row, Statement};

/// One of the databases.
pub enum AnyDatabase {
    /// SQLite.
    Sqlite(Sqlite),
    /// PostgreSQL.
    Postgres(Box<Postgres>),
}

impl Database for AnyDatabase {
    fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(database) => database.dialect(),
            Self::Postgres(database) => database.dialect(),
        }
    }

    fn bounds(&self) -> Bounds {
        match self {
            Self::Sqlite(database) => database.bounds(),
            Self::Postgres(database) => database.bounds(),
        }
    }

    async fn read(
        &self,
        scope: Scope<'_>,
        statements: Vec<Statement>,
    ) -> Result<Vec<Vec<Row>>, DatabaseError> {
        match self {
            Self::Sqlite(database) => database.read(scope, statements).await,
            Self::Postgres(database) => database.read(scope, statements).await,
        }
    }

    async fn write(&self, unit: Unit) -> Result<Written, WriteError> {
        match self {
            Self::Sqlite(database) => database.write(unit).await,
            Self::Postgres(database) => database.write(unit).await,
        }
    }

    async fn administer(&self, statements: Vec<Statement>) -> Result<bool, WriteError> {
        match self {
            Self::Sqlite(database) => database.administer(statements).await,
            Self::Postgres(database) => database.administer(statements).await,
        }
    }
}
