//! What the store asks of a database, and the databases that can do it.
//!
//! A change is handed over whole, as a [`Unit`]: nothing is decided between its statements but what the unit says. So writers can be
//! put together in one transaction, and nobody holds one open while a client is slow.

#[cfg(feature = "native")]
mod any;
mod batched;
mod bounds;
pub(crate) mod chain;
#[cfg(feature = "native")]
mod migration;
mod observed;
#[cfg(feature = "native")]
mod postgres;
#[cfg(feature = "native")]
mod queue;
#[cfg(feature = "native")]
mod sqlite;
mod threads;

#[cfg(feature = "native")]
pub use any::AnyDatabase;
pub use batched::{BatchError, Batched, Batches, Outcome};
pub use bounds::Bounds;
pub use observed::Observed;
#[cfg(feature = "native")]
pub use postgres::{Postgres, PostgresOptions};
#[cfg(feature = "native")]
pub use sqlite::{Sqlite, SqliteOptions};
pub use threads::{MaybeSend, MaybeSync};

use crate::audit::Change;
use crate::sql::{Dialect, Row, RowError, Statement};
use std::future::Future;

/// A database.
pub trait Database: MaybeSend + MaybeSync + 'static {
    /// How its statements are written.
    fn dialect(&self) -> Dialect;

    /// How large its statements may be.
    fn bounds(&self) -> Bounds;

    /// Reads: the rows of each statement, all as of one moment. Whatever the statements say, the database may keep back what is
    /// beyond the scope; PostgreSQL does.
    fn read(
        &self,
        scope: Scope<'_>,
        statements: Vec<Statement>,
    ) -> impl Future<Output = Result<Vec<Vec<Row>>, DatabaseError>> + MaybeSend;

    /// Writes a unit: all of it, or nothing. When it answers, the change is durable.
    fn write(&self, unit: Unit) -> impl Future<Output = Result<Written, WriteError>> + MaybeSend;

    /// Writes what is no change of a tenant's data, and leaves no record: tenants, their tokens, and secrets. All of it, or nothing.
    /// Answers whether any row changed. A value that is in use is [`WriteError::Taken`].
    fn administer(
        &self,
        statements: Vec<Statement>,
    ) -> impl Future<Output = Result<bool, WriteError>> + MaybeSend;
}

/// Whose data a read may see. A write sees its unit's tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'t> {
    /// This tenant's.
    Tenant(&'t str),
    /// That of the service itself: every tenant and token, and nobody's resources.
    Service,
}

/// A change of one tenant's data.
#[derive(Debug, Clone)]
pub struct Unit {
    /// The tenant.
    pub tenant: String,
    /// Which version the resource must have.
    pub guard: Guard,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// The record of it; kept only if something changed.
    pub change: Change,
}

/// What must hold before anything is done.
#[derive(Debug, Clone)]
pub enum Guard {
    /// Nothing: the resource is new, or what is changed is none.
    New,
    /// The statement answers the version of the resource, and keeps others from changing it.
    Version {
        /// It returns one row with one column.
        statement: Statement,
        /// The version that it must be; any if absent.
        expected: Option<i64>,
    },
}

impl Guard {
    /// The version in the rows of a guard's statement, if it is the expected one.
    fn check(rows: &[Row], expected: Option<i64>) -> Result<i64, WriteError> {
        let found = rows.first().ok_or(WriteError::Missing)?.integer(0).map_err(DatabaseError::from)?;
        if expected.is_some_and(|expected| expected != found) {
            return Err(WriteError::Conflict { found });
        }
        Ok(found)
    }
}

/// A part of a unit.
#[derive(Debug, Clone)]
pub enum Step {
    /// Whatever rows this changes are a change of the resource.
    Change(Statement),
    /// The same, and it is an error if it changes none: the place of the step is told.
    Required(Statement),
    /// Only done if a step before changed something, such as counting the version up.
    Consequence(Statement),
}

/// What became of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Whether anything changed. If not, there is no record.
    pub changed: bool,
    /// The version of the resource before; none of a new one.
    pub version_before: Option<i64>,
    /// The place of the record; that of the tenant's last one if nothing changed.
    pub sequence: i64,
}

/// Why a database did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// It cannot be reached, or is too busy: later it may answer.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// It has no room for more.
    #[error("the database has no room left: {0}")]
    Full(String),
    /// It did not understand, or its content is not ours: a bug, or somebody else's database.
    #[error("the database failed: {0}")]
    Failed(String),
}

#[cfg(feature = "native")]
impl DatabaseError {
    /// The tables are of a version that is not known here.
    fn newer(known: i64, found: i64) -> Self {
        Self::Failed(format!(
            "expected tables of version {known} or older, but found {found}: this program is older than the database"
        ))
    }
}

impl From<RowError> for DatabaseError {
    fn from(error: RowError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Why a unit was not written. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The resource is not there.
    #[error("the resource is not there")]
    Missing,
    /// The resource has another version than expected.
    #[error("the resource has another version")]
    Conflict {
        /// The one that it has.
        found: i64,
    },
    /// A value that must be unique is in use.
    #[error("a value that must be unique is in use")]
    Taken,
    /// It refers to a resource that is not there, such as a member.
    #[error("it refers to a resource that is not there")]
    Dangling,
    /// A [`Step::Required`] changed nothing.
    #[error("step {0} found nothing")]
    NothingFound(usize),
    /// The database did not do it.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
