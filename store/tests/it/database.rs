//! The databases of the tests in one type.

use crate::batches::LocalBatches;
use crate::d1::D1Batches;
use doorward_store::database::{
    AnyDatabase, Batched, Bounds, Database, DatabaseError, Scope, Unit, WriteError, Written,
};
use doorward_store::sql::{Dialect, Row, Statement};

/// One of them.
pub(crate) enum TestDatabase {
    /// SQLite or PostgreSQL.
    Native(AnyDatabase),
    /// Batches in this process.
    Batched(Batched<LocalBatches>),
    /// D1.
    D1(Batched<D1Batches>),
}

/// Does the same with each.
macro_rules! each {
    ($self:expr, $database:ident => $done:expr) => {
        match $self {
            Self::Native($database) => $done,
            Self::Batched($database) => $done,
            Self::D1($database) => $done,
        }
    };
}

impl Database for TestDatabase {
    fn dialect(&self) -> Dialect {
        each!(self, database => database.dialect())
    }

    fn bounds(&self) -> Bounds {
        each!(self, database => database.bounds())
    }

    async fn read(
        &self,
        scope: Scope<'_>,
        statements: Vec<Statement>,
    ) -> Result<Vec<Vec<Row>>, DatabaseError> {
        each!(self, database => database.read(scope, statements).await)
    }

    async fn write(&self, unit: Unit) -> Result<Written, WriteError> {
        each!(self, database => database.write(unit).await)
    }

    async fn administer(&self, statements: Vec<Statement>) -> Result<bool, WriteError> {
        each!(self, database => database.administer(statements).await)
    }
}
