//! The database of a store, as the command line names it.

use doorward_store::database::{AnyDatabase, Postgres, PostgresOptions, Sqlite, SqliteOptions};
use doorward_store::tenants::Tenants;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use tokio::runtime::Runtime;

/// A fault of usage, of the configuration or of the database.
const FAULT: u8 = 2;

/// Which database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DatabaseUrl {
    Sqlite(PathBuf),
    Postgres(String),
}

/// Of whoever works on an existing one.
#[derive(Debug, clap::Args)]
pub(crate) struct DatabaseArguments {
    /// The database: sqlite:PATH, or postgres://USER@HOST/NAME.
    #[arg(long, value_name = "URL", value_parser = DatabaseUrl::parse)]
    pub(crate) db: DatabaseUrl,
}

impl DatabaseUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Ok(Self::Postgres(text.to_owned()));
        }
        let path = text.strip_prefix("sqlite:").filter(|path| !path.is_empty());
        path.map(|path| Self::Sqlite(path.into()))
            .ok_or_else(|| "expected sqlite:PATH or postgres://USER@HOST/NAME".to_owned())
    }

    /// Opens the database; a new file is made.
    pub(crate) fn open_or_make(&self) -> Result<Arc<AnyDatabase>, String> {
        let database = match self {
            Self::Sqlite(path) => Sqlite::open(&SqliteOptions::new(path))
                .map(AnyDatabase::Sqlite)
                .map_err(|error| format!("{}: {error}", path.display())),
            // Without the URL, which may have a password.
            Self::Postgres(url) => runtime()?
                .block_on(Postgres::open(&PostgresOptions::new(url)))
                .map(|database| AnyDatabase::Postgres(Box::new(database)))
                .map_err(|error| error.to_string()),
        };
        database.map(Arc::new)
    }

    /// Opens a database that must be there, so that a mistyped path makes no new one.
    pub(crate) fn open(&self) -> Result<Arc<AnyDatabase>, String> {
        match self {
            Self::Sqlite(path) if !path.exists() => {
                Err(format!("{}: expected a database, but there is none", path.display()))
            }
            Self::Sqlite(_) | Self::Postgres(_) => self.open_or_make(),
        }
    }
}

impl DatabaseArguments {
    pub(crate) fn tenants(&self) -> Result<Tenants<AnyDatabase>, String> {
        Ok(Tenants::new(self.db.open()?))
    }
}

/// One for the whole process: the task that writes to PostgreSQL lives in it.
pub(crate) fn runtime() -> Result<&'static Runtime, String> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("expected to start a runtime: {error}"))?;
    Ok(RUNTIME.get_or_init(|| runtime))
}

/// Runs something to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    runtime()?.block_on(work)
}

/// Prints a fault. Exits with 0 if there is none, with 2 otherwise.
pub(crate) fn report(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::from(FAULT)
        }
    }
}

/// An instant of the store in RFC 3339; `-` for none.
pub(crate) fn time(micros: Option<i64>) -> String {
    let time = micros.and_then(doorward::scim::DateTime::from_unix_micros);
    time.map_or_else(|| "-".to_owned(), |time| time.to_string())
}
