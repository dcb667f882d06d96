//! PostgreSQL, and databases that speak its protocol: for many processes that write to one database. One task of a process writes;
//! what waits for it is put into one transaction (group commit).

mod cell;
mod connection;
mod fault;
mod pool;
mod target;
mod url;
mod writer;

use super::migration::MIGRATIONS;
use super::queue::{Queue, queue};
use super::{Bounds, Database, DatabaseError, Scope, Unit, WriteError, Written};
use crate::sql::{Cell, Dialect, Row, Statement};
use connection::Connection;
use fault::Fault;
use pool::Pool;
use std::fmt;
use std::time::Duration;
use target::Target;
use tokio::time::timeout;
use writer::Writer;

/// The key of the lock under which tables are brought up to date: `doorward` in ASCII.
const MIGRATION_LOCK: i64 = 0x646f_6f72_7761_7264;

/// How a database is used.
///
/// What the URL says of TLS means:
///
/// - `sslmode=require` or `verify-full`: TLS, and the server's certificate and the name in it are verified, by both words (libpq verifies
///   nothing by `require`). A server without TLS is refused.
/// - `sslmode=disable`: no TLS.
/// - `sslmode=prefer`, or nothing: no TLS on sockets and to this machine; to every other host as by `require`, and to all hosts if there
///   are several and one of them is another machine. There is no way back to no TLS.
/// - `sslmode=verify-ca` is refused: names are always verified.
/// - `sslrootcert=FILE`: the authorities in this file (PEM) are trusted instead of the system's (`system`). Who names them asks for TLS, but
///   on sockets. They are read once.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgresql://user:password@host:5432/database`, or `host=/run/postgresql user=doorward dbname=doorward`. The role may not be a
    /// superuser, nor one with `BYPASSRLS`: row-level security would not hold for it.
    pub url: String,
    /// How many connections may read at once. One more writes.
    pub readers: usize,
    /// How long a read or a transaction may take, all waiting included.
    pub timeout: Duration,
    /// Whether the role may be one that row-level security does not hold for.
    pub danger_unwalled: bool,
}

impl PostgresOptions {
    /// For this database, with a few readers and 30 seconds.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), readers: 8, timeout: Duration::from_secs(30), danger_unwalled: false }
    }
}

impl fmt::Debug for PostgresOptions {
    /// Without the URL, which may have a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, readers, timeout, danger_unwalled } = self;
        f.debug_struct("PostgresOptions")
            .field("readers", readers)
            .field("timeout", timeout)
            .field("danger_unwalled", danger_unwalled)
            .finish_non_exhaustive()
    }
}

/// A database of a server.
pub struct Postgres {
    readers: Pool,
    writer: Queue,
    timeout: Duration,
}

impl Postgres {
    /// Connects, and brings the tables up to date. To be called in a tokio runtime, where the task that writes stays.
    ///
    /// # Errors
    /// [`DatabaseError`] if that fails, if the options are not understood, if row-level security does not hold for the role, or if the tables
    /// were written by a newer version.
    pub async fn open(options: &PostgresOptions) -> Result<Self, DatabaseError> {
        let target = Target::parse(&options.url)?;
        let mut connection = Connection::open(&target).await?;
        if !options.danger_unwalled {
            check_role(&mut connection).await?;
        }
        migrate(&mut connection).await?;
        let (writer, jobs) = queue();
        tokio::spawn(Writer::new(target.clone(), options.timeout, connection).run(jobs));
        Ok(Self { readers: Pool::new(target, options.readers), writer, timeout: options.timeout })
    }
}

impl Database for Postgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn bounds(&self) -> Bounds {
        Bounds::WIDE
    }

    async fn read(
        &self,
        scope: Scope<'_>,
        statements: Vec<Statement>,
    ) -> Result<Vec<Vec<Row>>, DatabaseError> {
        // A whole transaction is sent at once: it costs one round trip.
        let (begin, commit) = (plain("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"), plain("COMMIT"));
        let enter = enter(scope);
        let mut all = vec![&begin, &enter];
        all.extend(&statements);
        all.push(&commit);
        let answers = timeout(self.timeout, self.readers.run(&all)).await;
        let answers = answers.map_err(|_| {
            DatabaseError::Unavailable(format!("expected an answer within {:?}", self.timeout))
        })??;
        Ok(answers.into_iter().skip(2).take(statements.len()).map(|answer| answer.rows).collect())
    }

    async fn write(&self, unit: Unit) -> Result<Written, WriteError> {
        self.writer.write(unit).await
    }

    async fn administer(&self, statements: Vec<Statement>) -> Result<bool, WriteError> {
        self.writer.administer(statements).await
    }
}

fn plain(text: &'static str) -> Statement {
    Statement::new(Dialect::Postgres, text)
}

/// What tells the policies of the tables whose a transaction is.
fn enter(scope: Scope<'_>) -> Statement {
    let (tenant, service) = match scope {
        Scope::Tenant(tenant) => (tenant, "off"),
        Scope::Service => ("", "on"),
    };
    plain("SELECT set_config('doorward.tenant', ")
        .bind(tenant)
        .sql(", true), set_config('doorward.service', ")
        .bind(service)
        .sql(", true)")
}

async fn check_role(connection: &mut Connection) -> Result<(), Fault> {
    let ask = plain("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user");
    let found = connection.pipeline(&[&ask]).await?.pop().unwrap_or_default().rows;
    if found == [Row(vec![Cell::Integer(0)])] {
        return Ok(());
    }
    Err(DatabaseError::Failed(
        "expected a role that row-level security holds for, but found a superuser or one with BYPASSRLS"
            .to_owned(),
    )
    .into())
}

async fn migrate(connection: &mut Connection) -> Result<(), Fault> {
    // The version is read under the lock: two processes do not both bring it up to date.
    let lock = plain("SELECT pg_advisory_xact_lock(").bind(MIGRATION_LOCK).sql(")::text");
    connection.run("BEGIN").await?;
    connection.pipeline(&[&lock]).await?;
    let made = plain("SELECT to_regclass('doorward_version') IS NOT NULL");
    let made = connection.pipeline(&[&made]).await?.pop().unwrap_or_default().rows;
    if made != [Row(vec![Cell::Integer(1)])] {
        connection
            .run("CREATE TABLE doorward_version (version BIGINT NOT NULL); INSERT INTO doorward_version VALUES (0)")
            .await?;
    }
    let found = plain("SELECT version FROM doorward_version");
    let found = connection.pipeline(&[&found]).await?.pop().unwrap_or_default().rows;
    let found = match found.as_slice() {
        [row] => row.integer(0).map_err(DatabaseError::from)?,
        _ => {
            return Err(DatabaseError::Failed("expected one row in doorward_version".to_owned()).into());
        }
    };
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(DatabaseError::newer(known, found).into());
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        connection.run(&migration.text(Dialect::Postgres)).await?;
    }
    let update = plain("UPDATE doorward_version SET version = ").bind(known);
    connection.pipeline(&[&update]).await?;
    connection.run("COMMIT").await
}
