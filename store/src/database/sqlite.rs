//! SQLite: one file, nothing to set up. One thread writes; what waits for it is put into one transaction (group commit).

use super::migration::MIGRATIONS;
use super::queue::{Jobs, Outcomes, Queue, Work, queue};
use super::{Bounds, Database, DatabaseError, Guard, Scope, Step, Unit, WriteError, Written, chain};
use crate::audit::Head;
use crate::sql::{Cell, Dialect, Row, Statement};
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, TransactionBehavior, ffi};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How many statements are kept compiled on a connection.
const STATEMENTS: usize = 256;
/// How many of SQLite's instructions a statement may take on the thread of who asks: about 100 µs.
const SHORT: i32 = 4_000;

/// How a file is used.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The file.
    pub path: PathBuf,
    /// How many threads may read at once.
    pub readers: usize,
    /// How long to wait for another process that writes.
    pub busy_timeout: Duration,
}

impl SqliteOptions {
    /// For this file, with a few readers.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), readers: 4, busy_timeout: Duration::from_secs(5) }
    }
}

/// A database in a file.
pub struct Sqlite {
    /// For what is short, such as a resource by its id: it is read at once, without the detour by another thread, which would take
    /// several times as long. SQLite itself breaks off what turns out not to be.
    short: Readers,
    /// For everything else.
    readers: Arc<Readers>,
    permits: Semaphore,
    writer: Queue,
}

/// Connections that read, each for one at a time.
struct Readers(Mutex<Vec<Connection>>);

impl Sqlite {
    /// Opens the file, or makes it, and brings its tables up to date.
    ///
    /// # Errors
    /// [`DatabaseError`] if that fails, or if the file was written by a newer version.
    pub fn open(options: &SqliteOptions) -> Result<Self, DatabaseError> {
        let mut writing =
            connect(options, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        migrate(&mut writing)?;
        let (mut short, mut free) = (Vec::new(), Vec::new());
        for _ in 0..options.readers.max(1) {
            free.push(connect(options, OpenFlags::SQLITE_OPEN_READ_ONLY)?);
            let mut connection = connect(options, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            connection.progress_handler(SHORT, Some(|| true))?;
            short.push(connection);
        }
        let permits = Semaphore::new(free.len());
        let (writer, jobs) = queue();
        thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || Writer { connection: writing }.run(jobs))
            .map_err(|error| DatabaseError::Failed(format!("expected to start a thread: {error}")))?;
        let [short, readers] = [short, free].map(|connections| Readers(Mutex::new(connections)));
        Ok(Self { short, readers: Arc::new(readers), permits, writer })
    }
}

impl Database for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn bounds(&self) -> Bounds {
        Bounds::WIDE
    }

    async fn read(&self, _: Scope<'_>, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>, DatabaseError> {
        if let Some(rows) = self.short.with(|connection| read(connection, &statements)) {
            let is_long =
                |error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted);
            if !rows.as_ref().is_err_and(is_long) {
                return Ok(rows?);
            }
        }
        let readers = Arc::clone(&self.readers);
        let permit = self.permits.acquire().await;
        let _permit = permit.map_err(|_| DatabaseError::Unavailable("it is being closed".to_owned()))?;
        let done =
            tokio::task::spawn_blocking(move || readers.with(|connection| read(connection, &statements)));
        match done.await {
            Ok(Some(rows)) => Ok(rows?),
            Ok(None) => Err(DatabaseError::Failed("expected a free connection".to_owned())),
            Err(error) => Err(DatabaseError::Failed(error.to_string())),
        }
    }

    async fn write(&self, unit: Unit) -> Result<Written, WriteError> {
        self.writer.write(unit).await
    }

    async fn administer(&self, statements: Vec<Statement>) -> Result<bool, WriteError> {
        self.writer.administer(statements).await
    }
}

impl Readers {
    /// Does something with a connection, if one is free.
    fn with<T>(&self, work: impl FnOnce(&Connection) -> T) -> Option<T> {
        // Connections are whole whatever happened to who had the lock.
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        let done = work(&connection);
        if !connection.is_autocommit() {
            // What it began must not be what the next one reads in.
            let _ = connection.execute_batch("ROLLBACK");
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Some(done)
    }
}

fn connect(options: &SqliteOptions, flags: OpenFlags) -> Result<Connection, DatabaseError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&options.path, flags)?;
    connection.busy_timeout(options.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // A statement keeps the plan that it was compiled with. Otherwise SQLite compiles it anew for other parameters, which takes several
    // times as long as to run it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    if flags.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) {
        // WAL: readers and the writer do not wait for each other. FULL: a commit is on the disk before it is acknowledged, whatever
        // happens to the machine.
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
    }
    // In KiB, negative by SQLite's convention.
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<(), DatabaseError> {
    // The lock of writers is taken first, and the version read under it: two processes do not both bring it up to date.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(DatabaseError::newer(known, found));
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        transaction.execute_batch(&migration.text(Dialect::Sqlite))?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

fn read(connection: &Connection, statements: &[Statement]) -> rusqlite::Result<Vec<Vec<Row>>> {
    if let [statement] = statements {
        return Ok(vec![rows(connection, statement)?]);
    }
    // As statements that are kept compiled, which those of the library's own transactions are not.
    connection.prepare_cached("BEGIN")?.execute([])?;
    let found = statements.iter().map(|statement| rows(connection, statement)).collect();
    connection.prepare_cached("ROLLBACK")?.execute([])?;
    found
}

fn rows(connection: &Connection, statement: &Statement) -> rusqlite::Result<Vec<Row>> {
    let mut prepared = connection.prepare_cached(statement.text())?;
    let columns = prepared.column_count();
    let mut found = prepared.query(rusqlite::params_from_iter(statement.parameters()))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let cells = (0..columns).map(|column| row.get_ref(column).map(Cell::from));
        rows.push(Row(cells.collect::<Result<_, _>>()?));
    }
    Ok(rows)
}

/// The one that writes.
struct Writer {
    connection: Connection,
}

impl Writer {
    fn run(mut self, mut jobs: Jobs) {
        while jobs.blocking_take() {
            let outcomes = self.write(jobs.works());
            jobs.answer(outcomes);
        }
    }

    /// Does everything in one transaction; each work is undone on its own if it is refused.
    fn write<'w>(&mut self, works: impl Iterator<Item = &'w Work>) -> Outcomes {
        let mut transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // The heads of the chains, of tenants that were written to.
        let mut heads = HashMap::new();
        let mut outcomes = Vec::new();
        for work in works {
            if let Work::Administration(_) = work {
                // A tenant may go, and its head with it.
                advance(&transaction, &mut heads)?;
            }
            let mut savepoint = transaction.savepoint()?;
            let outcome = match work {
                Work::Unit(unit) => perform(&savepoint, unit, &mut heads),
                Work::Administration(statements) => administer(&savepoint, statements),
            };
            match &outcome {
                Ok(_) => savepoint.commit()?,
                // The disk is full, or another process writes: nobody's change may be acknowledged.
                Err(WriteError::Database(
                    error @ (DatabaseError::Full(_) | DatabaseError::Unavailable(_)),
                )) => return Err(error.clone()),
                // If what failed was more than this unit, this fails too.
                Err(_) => {
                    savepoint.rollback()?;
                    savepoint.commit()?;
                }
            }
            outcomes.push(outcome);
        }
        advance(&transaction, &mut heads)?;
        transaction.commit()?;
        Ok(outcomes)
    }
}

fn perform(
    connection: &Connection,
    unit: &Unit,
    heads: &mut HashMap<String, Head>,
) -> Result<Written, WriteError> {
    let version_before = match &unit.guard {
        Guard::New => None,
        Guard::Version { statement, expected } => {
            Some(Guard::check(&rows(connection, statement).map_err(DatabaseError::from)?, *expected)?)
        }
    };
    let mut changed = false;
    for (place, step) in unit.steps.iter().enumerate() {
        match step {
            Step::Change(statement) => changed |= execute(connection, statement)? > 0,
            Step::Required(statement) => {
                if execute(connection, statement)? == 0 {
                    return Err(WriteError::NothingFound(place));
                }
                changed = true;
            }
            Step::Consequence(statement) if changed => drop(execute(connection, statement)?),
            Step::Consequence(_) => {}
        }
    }
    let head = match heads.get(&unit.tenant) {
        Some(head) => *head,
        None => {
            let found =
                rows(connection, &chain::head(Dialect::Sqlite, &unit.tenant)).map_err(DatabaseError::from)?;
            chain::read_head(&found)?.ok_or(WriteError::Missing)?
        }
    };
    if !changed {
        return Ok(Written { changed, version_before, sequence: head.sequence });
    }
    let (head, record) = chain::extend(Dialect::Sqlite, unit, head, version_before)?;
    execute(connection, &record)?;
    heads.insert(unit.tenant.clone(), head);
    Ok(Written { changed, version_before, sequence: head.sequence })
}

/// Writes how far the chains have come.
fn advance(connection: &Connection, heads: &mut HashMap<String, Head>) -> Result<(), DatabaseError> {
    for (tenant, head) in heads.drain() {
        let advance = chain::advance(Dialect::Sqlite, &tenant, &head);
        connection
            .prepare_cached(advance.text())?
            .execute(rusqlite::params_from_iter(advance.parameters()))?;
    }
    Ok(())
}

/// The answer says whether anything changed, and no more.
fn administer(connection: &Connection, statements: &[Statement]) -> Result<Written, WriteError> {
    let mut changed = false;
    for statement in statements {
        changed |= execute(connection, statement)? > 0;
    }
    Ok(Written { changed, version_before: None, sequence: 0 })
}

fn execute(connection: &Connection, statement: &Statement) -> Result<usize, WriteError> {
    let mut prepared = connection.prepare_cached(statement.text()).map_err(DatabaseError::from)?;
    prepared.execute(rusqlite::params_from_iter(statement.parameters())).map_err(|error| {
        match error.sqlite_error().map(|error| error.extended_code) {
            Some(ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => WriteError::Taken,
            Some(ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => WriteError::Dangling,
            _ => DatabaseError::from(error).into(),
        }
    })
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Integer(integer) => ToSqlOutput::Owned(Value::Integer(*integer)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Blob(octets) => ToSqlOutput::Borrowed(ValueRef::Blob(octets)),
        })
    }
}

impl From<ValueRef<'_>> for Cell {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(integer) => Self::Integer(integer),
            // No column holds one; as text it is refused where a number is expected.
            ValueRef::Real(real) => Self::Text(real.to_string()),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(octets) => Self::Blob(octets.to_vec()),
        }
    }
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        // SQLite calls a disk full if the system does (ENOSPC), but not a quota (EDQUOT) or a limit of the process (EFBIG).
        let is_unwritable = error.sqlite_error().is_some_and(|error| {
            matches!(error.extended_code, ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_SHMSIZE)
        });
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::CannotOpen) => {
                Self::Unavailable(text)
            }
            Some(ErrorCode::DiskFull) => Self::Full(text),
            _ if is_unwritable => Self::Full(text),
            _ => Self::Failed(text),
        }
    }
}
