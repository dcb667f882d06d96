//! A database whose faults somebody sees: clients are told no more than that there is one.

use super::{Bounds, Database, DatabaseError, Scope, Unit, WriteError, Written};
use crate::sql::{Dialect, Row, Statement};
use std::sync::Arc;

/// A database with whoever is told of its faults.
pub struct Observed<D> {
    database: Arc<D>,
    observer: Box<dyn Fn(&DatabaseError) + Send + Sync>,
}

impl<D: Database> Observed<D> {
    /// Tells `observer` of every fault of the database. That a change is refused is none.
    pub fn new(database: Arc<D>, observer: impl Fn(&DatabaseError) + Send + Sync + 'static) -> Self {
        Self { database, observer: Box::new(observer) }
    }

    fn tell<T>(&self, done: Result<T, WriteError>) -> Result<T, WriteError> {
        if let Err(WriteError::Database(error)) = &done {
            (self.observer)(error);
        }
        done
    }
}

impl<D: Database> Database for Observed<D> {
    fn dialect(&self) -> Dialect {
        self.database.dialect()
    }

    fn bounds(&self) -> Bounds {
        self.database.bounds()
    }

    async fn read(
        &self,
        scope: Scope<'_>,
        statements: Vec<Statement>,
    ) -> Result<Vec<Vec<Row>>, DatabaseError> {
        self.database.read(scope, statements).await.inspect_err(|error| (self.observer)(error))
    }

    async fn write(&self, unit: Unit) -> Result<Written, WriteError> {
        self.tell(self.database.write(unit).await)
    }

    async fn administer(&self, statements: Vec<Statement>) -> Result<bool, WriteError> {
        self.tell(self.database.administer(statements).await)
    }
}
