//! The database of a store, as the command line names it.

use doorward_store::database::{Sqlite, SqliteOptions};
use doorward_store::tenants::Tenants;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// A fault of usage, of the configuration or of the database.
const FAULT: u8 = 2;

/// Which database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatabaseUrl(PathBuf);

/// Of whoever works on an existing one.
#[derive(Debug, clap::Args)]
pub(crate) struct DatabaseArguments {
    /// The database: sqlite:PATH.
    #[arg(long, value_name = "URL", value_parser = DatabaseUrl::parse)]
    pub(crate) db: DatabaseUrl,
}

impl DatabaseUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("sqlite:").filter(|path| !path.is_empty());
        path.map(|path| Self(path.into())).ok_or_else(|| "expected sqlite:PATH".to_owned())
    }

    /// Opens the database; a new file is made.
    pub(crate) fn open_or_make(&self) -> Result<Arc<Sqlite>, String> {
        let database = Sqlite::open(&SqliteOptions::new(&self.0));
        database.map(Arc::new).map_err(|error| format!("{}: {error}", self.0.display()))
    }

    /// Opens a database that must be there, so that a mistyped path makes no new one.
    pub(crate) fn open(&self) -> Result<Arc<Sqlite>, String> {
        if !self.0.exists() {
            return Err(format!("{}: expected a database, but there is none", self.0.display()));
        }
        self.open_or_make()
    }
}

impl DatabaseArguments {
    pub(crate) fn tenants(&self) -> Result<Tenants<Sqlite>, String> {
        Ok(Tenants::new(self.db.open()?))
    }
}

/// Runs something short to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("expected to start a runtime: {error}"))?.block_on(work)
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
