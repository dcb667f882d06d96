//! A database for one test, and stores over it.

use crate::state::Reader;
use anyhow::{Context, Result, ensure};
use doorward_store::database::{Postgres, PostgresOptions};
use doorward_testbed::{Connection, PostgresServer, Process, Request, Response, eventually};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How long to wait for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program.
pub(crate) const DOORWARD: &str = env!("CARGO_BIN_EXE_doorward");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// A database that was empty when the test began.
pub(crate) struct Bed {
    pub(crate) kind: Kind,
    folder: PathBuf,
    /// Of the test alone: it may be stopped.
    pub(crate) server: Option<PostgresServer>,
    /// The database's name there.
    pub(crate) name: String,
    pub(crate) url: String,
    /// Of the configuration, and of the log of the store that was started last.
    logs: PathBuf,
    _own: Option<TempDir>,
}

/// A store that runs.
pub(crate) struct Store {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// Someone with a token, on a connection that is made again when it was lost.
pub(crate) struct Client {
    address: SocketAddr,
    token: String,
    connection: Option<Connection>,
}

/// Runs `doorward`; its standard output.
pub(crate) fn doorward(arguments: &[&str]) -> Result<String> {
    let output = Command::new(DOORWARD).args(arguments).output().context("expected to run doorward")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "expected doorward {arguments:?} to succeed: {:?} {error}",
        output.status
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Bed {
    /// None if PostgreSQL is not installed.
    pub(crate) async fn new(kind: Kind) -> Result<Option<Self>> {
        let own = TempDir::with_prefix("doorward-faults-")?;
        let (server, name) = match kind {
            Kind::Sqlite => (None, String::new()),
            Kind::Postgres if PostgresServer::programs().is_none() => {
                eprintln!("left out: PostgreSQL is not installed");
                return Ok(None);
            }
            Kind::Postgres => {
                let server = PostgresServer::start().await?;
                let name = server.database()?;
                (Some(server), name)
            }
        };
        let mut bed = Self::on(own.path(), server, name)?;
        bed._own = Some(own);
        Ok(Some(bed))
    }

    /// In a folder that is there, or in a database of that server.
    pub(crate) fn on(folder: &Path, server: Option<PostgresServer>, name: String) -> Result<Self> {
        let (kind, url) = match &server {
            None => (Kind::Sqlite, format!("sqlite:{}", folder.join("store.db").display())),
            Some(server) => (Kind::Postgres, server.url("doorward", &name)),
        };
        let logs = doorward_testbed::folder::scratch("faults")?;
        fs::write(logs.join("store.json"), r#"{"limits": {"rate": null}}"#)?;
        Ok(Self { kind, folder: folder.to_owned(), server, name, url, logs, _own: None })
    }

    /// Makes a tenant; answers a token.
    pub(crate) fn tenant(&self, id: &str) -> Result<String> {
        doorward(&["tenant", "create", id, "--db", &self.url])?;
        doorward(&["token", "create", id, "test", "--db", &self.url])
    }

    /// Starts a store and waits until it serves.
    pub(crate) async fn start(&self) -> Result<Store> {
        self.start_by(Command::new(DOORWARD)).await
    }

    /// The same by another program that becomes the store with the arguments that it is given.
    pub(crate) async fn start_by(&self, mut command: Command) -> Result<Store> {
        command.args(["store", "--db", &self.url, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.arg("--config").arg(self.logs.join("store.json"));
        let process = Process::spawn("store", &mut command, &self.logs)?;
        // It says where it listens: a port that was free before could be somebody else's by now.
        let mut started = None;
        eventually("the store starts", PATIENCE, async || {
            ensure!(process.exited().is_none(), "expected the store to run\n{}", process.report(20));
            started = process.log().lines().next().and_then(addresses);
            Ok(started.is_some())
        })
        .await?;
        let (address, admin) = started.context("expected addresses")?;
        Ok(Store { process, address, admin })
    }

    /// The program's verdict on the audit trail of every tenant.
    pub(crate) fn verify(&self) -> Result<String> {
        doorward(&["audit", "verify", "--db", &self.url])
    }

    /// What looks at the database past the store.
    pub(crate) async fn reader(&self) -> Result<Reader> {
        Ok(match self.kind {
            Kind::Sqlite => Reader::Sqlite(self.file()),
            Kind::Postgres => {
                let url = format!("{}?application_name=reader", self.url);
                Reader::Postgres(Box::new(Postgres::open(&PostgresOptions::new(url)).await?))
            }
        })
    }

    /// SQLite's file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("store.db")
    }
}

/// The addresses in the line of the log that says them.
fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let address = |name: &str| line[name].as_str()?.parse().ok();
    (line["event"] == "started").then_some((address("listen")?, address("admin")?))
}

impl Store {
    pub(crate) fn client(&self, token: &str) -> Client {
        Client { address: self.address, token: token.to_owned(), connection: None }
    }

    /// As SIGKILL does.
    pub(crate) fn kill(&self) {
        self.process.stop();
    }
}

impl Client {
    /// Sends a request with the token. The connection is not used again after an error.
    pub(crate) async fn send(&mut self, request: Request) -> Result<Response> {
        let request = request.bearer(&self.token);
        self.send_as_is(&request).await
    }

    pub(crate) async fn send_as_is(&mut self, request: &Request) -> Result<Response> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        let response = connection.send(request).await?;
        let closes = response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        self.connection = (!closes).then_some(connection);
        Ok(response)
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Response> {
        self.send(request("GET", path, None)).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Result<Response> {
        self.send(request("POST", path, Some(body))).await
    }

    pub(crate) async fn patch(&mut self, path: &str, operations: &Value) -> Result<Response> {
        self.send(request("PATCH", path, Some(&patch(operations)))).await
    }
}

/// A request to a path below the base path.
pub(crate) fn request(method: &str, path: &str, body: Option<&Value>) -> Request {
    let request = Request::new(method, format!("/scim/v2{path}"));
    match body {
        Some(body) => request.header("content-type", "application/scim+json").body(body.to_string()),
        None => request,
    }
}

/// The body of a PATCH.
pub(crate) fn patch(operations: &Value) -> Value {
    serde_json::json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": operations
    })
}

/// The body of a response, which has this status.
pub(crate) fn expect(response: &Response, status: u16) -> Result<Value> {
    ensure!(
        response.status == status,
        "expected {status}, but found {}: {}",
        response.status,
        response.text()
    );
    if response.body.is_empty() { Ok(Value::Null) } else { response.json() }
}

/// The `id` of a resource.
pub(crate) fn id_of(resource: &Value) -> Result<String> {
    Ok(resource["id"].as_str().with_context(|| format!("expected an id in {resource}"))?.to_owned())
}

/// The number in an entity tag.
pub(crate) fn version_of(response: &Response) -> Result<i64> {
    let tag = response.header("etag").context("expected an ETag")?;
    let number = tag.strip_prefix("W/\"").and_then(|tag| tag.strip_suffix('"'));
    number.and_then(|number| number.parse().ok()).with_context(|| format!("expected a version, not {tag}"))
}
