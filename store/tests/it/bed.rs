//! Databases for one test each.

use crate::batches::LocalBatches;
use crate::d1::D1Batches;
use anyhow::Result;
use doorward_store::database::{Batched, Database, Postgres, PostgresOptions, Sqlite, SqliteOptions};
use doorward_testbed::PostgresServer;
use std::sync::{Arc, Weak};
use tempfile::TempDir;
use tokio::sync::Mutex;

/// A database that was empty when the test began.
pub(crate) trait Bed {
    type Database: Database;

    /// Opens it: each time as another process would.
    async fn open(&self) -> Result<Self::Database>;

    /// Whether units that are handed over one after the other are written so.
    const IN_ORDER: bool = true;
    /// How often each of many writers writes.
    const ROUNDS: usize = 8;
}

/// A database that brings its tables up to date itself.
pub(crate) trait Migrated: Bed {
    /// Runs a statement past everything that the store does.
    fn sql(&self, statement: &str) -> Result<()>;

    /// What says that the tables are of a version that comes in a hundred years.
    const NEWER: &str;
}

pub(crate) struct SqliteBed(TempDir);

impl SqliteBed {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(TempDir::new()?))
    }
}

impl Bed for SqliteBed {
    type Database = Sqlite;

    async fn open(&self) -> Result<Sqlite> {
        Ok(Sqlite::open(&SqliteOptions::new(self.0.path().join("store.db")))?)
    }
}

impl Migrated for SqliteBed {
    fn sql(&self, statement: &str) -> Result<()> {
        Ok(rusqlite::Connection::open(self.0.path().join("store.db"))?.execute_batch(statement)?)
    }

    const NEWER: &str = "PRAGMA user_version = 1000";
}

/// Batches as D1 does them.
pub(crate) struct BatchedBed(TempDir);

impl BatchedBed {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(TempDir::new()?))
    }
}

/// How often a unit may be overtaken in these tests: more often than there are others.
pub(crate) const ATTEMPTS: usize = 1_000;

impl Bed for BatchedBed {
    type Database = Batched<LocalBatches>;

    async fn open(&self) -> Result<Self::Database> {
        Ok(Batched::new(LocalBatches::open(&self.0.path().join("store.db"))).attempts(ATTEMPTS))
    }

    const IN_ORDER: bool = false;
    const ROUNDS: usize = 2;
}

/// D1.
pub(crate) struct D1Bed(D1Batches);

impl D1Bed {
    /// None if it is not installed.
    pub(crate) async fn new() -> Result<Option<Self>> {
        Ok(D1Batches::new().await?.map(Self))
    }
}

impl Bed for D1Bed {
    type Database = Batched<D1Batches>;

    async fn open(&self) -> Result<Self::Database> {
        Ok(Batched::new(self.0.clone()).attempts(ATTEMPTS))
    }

    const IN_ORDER: bool = false;
    const ROUNDS: usize = 2;
}

pub(crate) struct PostgresBed {
    pub(crate) server: Arc<PostgresServer>,
    pub(crate) name: String,
}

impl PostgresBed {
    /// On a server that tests share which run at the same time; none if it is not installed.
    pub(crate) async fn new() -> Result<Option<Self>> {
        static SHARED: Mutex<Weak<PostgresServer>> = Mutex::const_new(Weak::new());
        if PostgresServer::programs().is_none() {
            eprintln!("left out: PostgreSQL is not installed");
            return Ok(None);
        }
        let mut shared = SHARED.lock().await;
        let server = match shared.upgrade() {
            Some(server) => server,
            None => Arc::new(PostgresServer::start().await?),
        };
        *shared = Arc::downgrade(&server);
        let name = server.database()?;
        Ok(Some(Self { server, name }))
    }

    pub(crate) fn options(&self) -> PostgresOptions {
        PostgresOptions::new(self.server.url("doorward", &self.name))
    }
}

impl Bed for PostgresBed {
    type Database = Postgres;

    async fn open(&self) -> Result<Postgres> {
        Ok(Postgres::open(&self.options()).await?)
    }
}

impl Migrated for PostgresBed {
    fn sql(&self, statement: &str) -> Result<()> {
        self.server.sql(&self.name, statement).map(drop)
    }

    const NEWER: &str = "UPDATE doorward_version SET version = 1000";
}
