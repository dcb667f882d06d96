//! SQLite: one file, nothing to set up. One thread writes; what waits for it is put into one transaction (group commit).

use super::migration::{self, MIGRATIONS};
use super::{Database, DatabaseError, Guard, Scope, Step, Unit, WriteError, Written};
use crate::audit::{ChainHash, Head};
use crate::sql::{Cell, Dialect, Row, Statement};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, TransactionBehavior};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// How many units go into one transaction at most.
const BATCH: usize = 256;
/// How many units may wait; more are told to come back.
const QUEUE: usize = 4096;
/// How many statements are kept compiled on a connection.
const STATEMENTS: usize = 256;

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
    readers: Arc<Readers>,
    writer: mpsc::Sender<Job>,
}

struct Job {
    work: Work,
    answer: oneshot::Sender<Result<Written, WriteError>>,
}

enum Work {
    Unit(Box<Unit>),
    /// No unit: nothing is recorded.
    Statements(Vec<Statement>),
}

/// Connections that read, each for one at a time.
struct Readers {
    free: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Sqlite {
    /// Opens the file, or makes it, and brings its tables up to date.
    ///
    /// # Errors
    /// [`DatabaseError`] if that fails, or if the file was written by a newer version.
    pub fn open(options: &SqliteOptions) -> Result<Self, DatabaseError> {
        let mut writing =
            connect(options, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        migrate(&mut writing)?;
        let mut free = Vec::new();
        for _ in 0..options.readers.max(1) {
            free.push(connect(options, OpenFlags::SQLITE_OPEN_READ_ONLY)?);
        }
        let permits = Semaphore::new(free.len());
        let (writer, jobs) = mpsc::channel(QUEUE);
        thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || Writer { connection: writing, heads: HashMap::new() }.run(jobs))
            .map_err(|error| DatabaseError::Failed(format!("expected to start a thread: {error}")))?;
        Ok(Self { readers: Arc::new(Readers { free: Mutex::new(free), permits }), writer })
    }
}

impl Database for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn read(&self, _: Scope<'_>, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>, DatabaseError> {
        let readers = Arc::clone(&self.readers);
        let permit = self.readers.permits.acquire().await;
        let _permit = permit.map_err(|_| DatabaseError::Unavailable("it is being closed".to_owned()))?;
        let work = move || {
            let Some(mut connection) = readers.lock().pop() else {
                return Err(DatabaseError::Failed("expected a free connection".to_owned()));
            };
            let rows = read(&mut connection, &statements);
            readers.lock().push(connection);
            rows
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(DatabaseError::Failed(error.to_string())))
    }

    async fn write(&self, unit: Unit) -> Result<Written, WriteError> {
        self.enqueue(Work::Unit(Box::new(unit))).await
    }

    async fn administer(&self, statements: Vec<Statement>) -> Result<bool, WriteError> {
        Ok(self.enqueue(Work::Statements(statements)).await?.changed)
    }
}

impl Sqlite {
    async fn enqueue(&self, work: Work) -> Result<Written, WriteError> {
        let (answer, outcome) = oneshot::channel();
        self.writer.try_send(Job { work, answer }).map_err(|error| {
            DatabaseError::Unavailable(match error {
                mpsc::error::TrySendError::Full(_) => "too many writes wait".to_owned(),
                mpsc::error::TrySendError::Closed(_) => "it is closed".to_owned(),
            })
        })?;
        // Without an answer the writer is gone: whether it wrote is not known, so it is not said that it did.
        outcome
            .await
            .unwrap_or_else(|_| Err(DatabaseError::Unavailable("the writer ended".to_owned()).into()))
    }
}

impl Readers {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // Connections are whole whatever happened to who had the lock.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(options: &SqliteOptions, flags: OpenFlags) -> Result<Connection, DatabaseError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&options.path, flags)?;
    connection.busy_timeout(options.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
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
        return Err(DatabaseError::Failed(format!(
            "expected tables of version {known} or older, but found {found}: this program is older than the database"
        )));
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        transaction.execute_batch(&migration::text(migration, Dialect::Sqlite))?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

fn read(connection: &mut Connection, statements: &[Statement]) -> Result<Vec<Vec<Row>>, DatabaseError> {
    if let [statement] = statements {
        return Ok(vec![rows(connection, statement)?]);
    }
    let transaction = connection.transaction()?;
    let found = statements.iter().map(|statement| rows(&transaction, statement)).collect();
    transaction.commit()?;
    found
}

fn rows(connection: &Connection, statement: &Statement) -> Result<Vec<Row>, DatabaseError> {
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
    /// The heads of the chains as of the last commit, of tenants that were written to; another process may have moved them on.
    heads: HashMap<String, Head>,
}

impl Writer {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut waiting = Vec::new();
        while jobs.blocking_recv_many(&mut waiting, BATCH) > 0 {
            let outcomes = self.write(waiting.iter().map(|job| &job.work));
            let outcomes = outcomes.unwrap_or_else(|error| vec![Err(error.into()); waiting.len()]);
            for (job, outcome) in waiting.drain(..).zip(outcomes) {
                // Who asked may be gone.
                let _ = job.answer.send(outcome);
            }
        }
    }

    /// Does everything in one transaction; each work is undone on its own if it is refused.
    fn write<'w>(
        &mut self,
        works: impl Iterator<Item = &'w Work>,
    ) -> Result<Vec<Result<Written, WriteError>>, DatabaseError> {
        self.heads.clear();
        let mut transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut outcomes = Vec::new();
        for work in works {
            let mut savepoint = transaction.savepoint()?;
            let outcome = match work {
                Work::Unit(unit) => perform(&savepoint, unit, &mut self.heads),
                Work::Statements(statements) => {
                    // A tenant may go, and its head with it.
                    self.heads.clear();
                    administer(&savepoint, statements)
                }
            };
            match &outcome {
                Ok(_) => savepoint.commit()?,
                // The disk is full, or worse: nobody's change may be acknowledged.
                Err(WriteError::Database(error)) => return Err(error.clone()),
                Err(_) => {
                    savepoint.rollback()?;
                    savepoint.commit()?;
                }
            }
            outcomes.push(outcome);
        }
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
            let found = rows(connection, statement)?;
            let found = found.first().ok_or(WriteError::Missing)?.integer(0).map_err(DatabaseError::from)?;
            if expected.is_some_and(|expected| expected != found) {
                return Err(WriteError::Conflict { found });
            }
            Some(found)
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
        None => head_of(connection, &unit.tenant)?,
    };
    if !changed {
        return Ok(Written { changed, version_before, sequence: head.sequence });
    }
    let head = record(connection, unit, head, version_before)?;
    heads.insert(unit.tenant.clone(), head);
    Ok(Written { changed, version_before, sequence: head.sequence })
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
            Some(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
                WriteError::Taken
            }
            Some(rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => WriteError::Dangling,
            _ => DatabaseError::from(error).into(),
        }
    })
}

fn head_of(connection: &Connection, tenant: &str) -> Result<Head, WriteError> {
    let statement =
        Statement::new(Dialect::Sqlite, "SELECT sequence, hash FROM tenant WHERE id = ").bind(tenant);
    let found = rows(connection, &statement)?;
    let row = found.first().ok_or(WriteError::Missing)?;
    let read = || {
        let hash = ChainHash::try_from(row.blob(1)?)
            .map_err(|_| DatabaseError::Failed("expected a hash of 32 octets".to_owned()))?;
        Ok::<_, DatabaseError>(Head { sequence: row.integer(0)?, hash })
    };
    Ok(read()?)
}

/// Keeps the record of the change, and answers the chain's new head.
fn record(
    connection: &Connection,
    unit: &Unit,
    head: Head,
    version_before: Option<i64>,
) -> Result<Head, WriteError> {
    let record = unit.change.record(&unit.tenant, &head, version_before);
    let text = serde_json::to_string(&record).map_err(|error| DatabaseError::Failed(error.to_string()))?;
    let head = head.after(&text);
    let insert =
        Statement::new(Dialect::Sqlite, "INSERT INTO change (tenant, sequence, record, hash) VALUES (")
            .bind(unit.tenant.as_str())
            .sql(", ")
            .bind(head.sequence)
            .sql(", ")
            .bind(text)
            .sql(", ")
            .bind(head.hash.to_vec())
            .sql(")");
    execute(connection, &insert)?;
    let advance = Statement::new(Dialect::Sqlite, "UPDATE tenant SET sequence = ")
        .bind(head.sequence)
        .sql(", hash = ")
        .bind(head.hash.to_vec())
        .sql(" WHERE id = ")
        .bind(unit.tenant.as_str());
    execute(connection, &advance)?;
    Ok(head)
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
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::CannotOpen) => {
                Self::Unavailable(text)
            }
            Some(ErrorCode::DiskFull) => Self::Full(text),
            _ => Self::Failed(text),
        }
    }
}
