//! Batches as D1 does them, on SQLite in this process: numbers are JavaScript's, rows are objects, and of a failure there is a text.

use crate::units::{add, resources, tenant, verify};
use doorward_store::database::{
    BatchError, Batched, Batches, Bounds, Database, DatabaseError, Outcome, WriteError,
};
use doorward_store::sql::{Cell, Dialect, Row, Statement};
use doorward_testbed::run;
use futures_util::future::join_all;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, TransactionBehavior, ffi};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Tables as whoever has a D1 makes them.
pub(crate) const TABLES: [&str; 4] = [
    include_str!("../../src/database/migrations/0001_begin.sql"),
    include_str!("../../src/database/migrations/0002_tally.sql"),
    include_str!("../../src/database/migrations/0003_roles.sql"),
    include_str!("../../src/database/migrations/0004_idempotency.sql"),
];

pub(crate) struct LocalBatches(Mutex<Connection>);

impl LocalBatches {
    /// Opens the file, which has tables, or gets them now.
    pub(crate) fn open(path: &Path) -> Self {
        let mut connection = Connection::open(path).unwrap();
        connection.busy_timeout(Duration::from_secs(60)).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        // What the machine does is not looked at here.
        connection.pragma_update(None, "synchronous", "off").unwrap();
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let is_new = !transaction.table_exists(None, "tenant").unwrap();
        for tables in TABLES.into_iter().filter(|_| is_new) {
            transaction.execute_batch(tables).unwrap();
        }
        transaction.commit().unwrap();
        Self(Mutex::new(connection))
    }
}

impl Batches for LocalBatches {
    async fn batch(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, BatchError> {
        // Others come in between wherever they can.
        tokio::task::yield_now().await;
        let done = do_all(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), &statements);
        tokio::task::yield_now().await;
        done.map_err(|error| BatchError(format!("D1_ERROR: {error}: {}", code(&error))))
    }
}

fn do_all(connection: &mut Connection, statements: &[Statement]) -> rusqlite::Result<Vec<Outcome>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut outcomes = Vec::new();
    for statement in statements {
        let count = statement.parameters().len();
        assert!(count <= Bounds::NARROW.parameters, "{count} parameters: {statement:?}");
        let mut prepared = transaction.prepare_cached(statement.text())?;
        // Rows come as objects: of two columns with one name, one is lost, and names that are numbers come first.
        let names: Vec<String> = prepared.column_names().map(str::to_owned).collect();
        let different: BTreeSet<&String> = names.iter().collect();
        assert_eq!(names.len(), different.len(), "{statement:?}");
        assert!(names.len() < 2 || names.iter().all(|name| name.parse::<u32>().is_err()), "{statement:?}");
        let parameters = statement.parameters().iter().map(parameter);
        let mut found = prepared.query(rusqlite::params_from_iter(parameters))?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let cells = (0..names.len()).map(|column| row.get_ref(column).map(cell));
            rows.push(Row(cells.collect::<Result<_, _>>()?));
        }
        drop(found);
        let changed = if prepared.readonly() { 0 } else { transaction.changes() };
        outcomes.push(Outcome { rows, changed });
    }
    transaction.commit()?;
    Ok(outcomes)
}

/// Every number is bound as one with a fraction.
#[allow(clippy::cast_precision_loss, reason = "that is what is looked for")]
fn parameter(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(integer) => Value::Real(*integer as f64),
        Cell::Text(text) => Value::Text(text.clone()),
        Cell::Blob(octets) => Value::Blob(octets.clone()),
    }
}

#[allow(clippy::cast_precision_loss, reason = "that is what is looked for")]
fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(integer) => number(integer as f64),
        ValueRef::Real(real) => number(real),
        ValueRef::Text(text) => Cell::Text(String::from_utf8(text.to_vec()).unwrap()),
        ValueRef::Blob(octets) => Cell::Blob(octets.to_vec()),
    }
}

#[allow(clippy::cast_possible_truncation, reason = "it is whole")]
fn number(number: f64) -> Cell {
    assert_eq!(number.trunc(), number, "expected a whole number");
    Cell::Integer(number as i64)
}

/// The name of SQLite's code.
fn code(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error().map(|error| error.extended_code & 0xff) {
        Some(ffi::SQLITE_CONSTRAINT) => "SQLITE_CONSTRAINT",
        Some(ffi::SQLITE_BUSY) => "SQLITE_BUSY",
        Some(ffi::SQLITE_FULL) => "SQLITE_FULL",
        _ => "SQLITE_ERROR",
    }
}

/// A unit that others come before each time is refused, and nothing of it is there.
#[test]
fn who_is_overtaken_too_often_is_told() {
    run(async {
        let folder = tempfile::tempdir()?;
        let database = Batched::new(LocalBatches::open(&folder.path().join("store.db"))).attempts(2);
        database.write(tenant(Dialect::Sqlite, "a")).await?;
        let writer = |number: usize| {
            let (database, id) = (&database, number.to_string());
            async move { database.write(add(Dialect::Sqlite, "a", &id, &id)).await }
        };
        let outcomes = join_all((0..64).map(writer)).await;
        let written = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        for outcome in outcomes {
            match outcome {
                Ok(_) => {}
                Err(WriteError::Database(DatabaseError::Unavailable(text))) => {
                    assert!(text.starts_with("too many writes at once"), "{text}");
                }
                Err(other) => anyhow::bail!("expected to be told to come again, but found {other}"),
            }
        }
        assert!((1..64).contains(&written), "{written}");
        assert_eq!(resources(&database, "a").await?.len(), written);
        assert_eq!(verify(&database, "a").await?, i64::try_from(written)? + 1);
        Ok(())
    })
    .unwrap();
}
