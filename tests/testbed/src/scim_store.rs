//! The SCIM store as a process: `dist/doorward store`.

use crate::client::{Request, send};
use crate::postgres::PostgresServer;
use crate::process::Process;
use crate::runtime::eventually;
use crate::{folder, port};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long the store may take to be ready on a busy machine.
const START: Duration = Duration::from_secs(30);

/// The secret that the store and the gateways of a test share, base64url.
pub const GATEWAY_KEY: &str = "dGVzdGJlZC1nYXRld2F5LWtleS0wMTIzNDU2Nzg5YWJjZGVm";

/// Where a store keeps its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// A file of its own.
    Sqlite,
    /// A server of its own.
    Postgresql,
}

/// A running store. Dropping it kills it.
#[derive(Debug)]
pub struct ScimStore {
    database: String,
    addr: SocketAddr,
    admin: SocketAddr,
    configuration: PathBuf,
    folder: PathBuf,
    process: Process,
    _server: Option<PostgresServer>,
}

impl ScimStore {
    /// Starts a store that takes the word of the gateway `edge`, with tenants by id and profile, and waits until it is ready. `changes`
    /// are members of its configuration beside that.
    ///
    /// # Errors
    /// If `dist/doorward` or PostgreSQL is not there, or the store does not start; with the end of its log.
    pub async fn start(database: Database, tenants: &[(&str, &str)], changes: Value) -> Result<Self> {
        let folder = folder::scratch("store")?;
        let (database, server) = match database {
            Database::Sqlite => (format!("sqlite:{}", folder.join("store.db").display()), None),
            Database::Postgresql => {
                let server = PostgresServer::start().await?;
                (server.url("doorward", &server.database()?), Some(server))
            }
        };
        for (id, profile) in tenants {
            doorward(&["tenant", "create", id, "--profile", profile, "--db", &database])?;
        }
        let mut document = json!({
            "gateways": [{ "name": "edge", "keys": [{ "id": "k1", "secret": GATEWAY_KEY }] }],
            // A test is not one of the clients that the store is to be protected from.
            "limits": { "rate": null },
        });
        if let (Some(document), Value::Object(changes)) = (document.as_object_mut(), changes) {
            document.extend(changes);
        }
        let configuration = folder.join("store.json");
        fs::write(&configuration, document.to_string()).context("expected to write the configuration")?;
        let [addr, admin] = [port::loopback(port::free()?), port::loopback(port::free()?)];
        let process = spawn(&database, addr, admin, &configuration, &folder)?;
        let store = Self { database, addr, admin, configuration, folder, process, _server: server };
        store.ready().await?;
        Ok(store)
    }

    /// Kills the store at once, as a power cut does.
    pub fn kill(&self) {
        self.process.stop();
    }

    /// Starts it again on the same address and database, after [`Self::kill`].
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.process.stop();
        self.process = spawn(&self.database, self.addr, self.admin, &self.configuration, &self.folder)?;
        self.ready().await
    }

    async fn ready(&self) -> Result<()> {
        eventually("the store is ready", START, async || {
            ensure!(self.process.exited().is_none(), "{}", self.process.report(20));
            Ok(send(self.addr, &Request::get("/readyz")).await.is_ok_and(|response| response.status == 200))
        })
        .await
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it listens to operators.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its base URL, for those who come directly.
    pub fn url(&self) -> String {
        format!("http://{}/scim/v2", self.addr)
    }

    /// Its database, as `--db` wants it.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The process, for its log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// A new token of a tenant, for those who come directly.
    ///
    /// # Errors
    /// If there is no such tenant.
    pub fn token(&self, tenant: &str) -> Result<String> {
        self.token_named(tenant, "suite")
    }

    /// Like [`Self::token`], with a name of its own: a tenant may have several.
    ///
    /// # Errors
    /// If there is no such tenant, or it has a token of this name.
    pub fn token_named(&self, tenant: &str, name: &str) -> Result<String> {
        let printed = doorward(&["token", "create", tenant, name, "--db", &self.database])?;
        Ok(printed.trim().to_owned())
    }
}

fn spawn(
    database: &str,
    addr: SocketAddr,
    admin: SocketAddr,
    configuration: &Path,
    folder: &Path,
) -> Result<Process> {
    let mut store = Command::new(folder::dist().join("doorward"));
    store.args(["store", "--db", database, "--config"]).arg(configuration);
    store.args(["--listen", &addr.to_string(), "--admin", &admin.to_string()]);
    Process::spawn("store", &mut store, folder)
}

/// Runs `doorward`; answers what it prints.
fn doorward(arguments: &[&str]) -> Result<String> {
    let output = Command::new(folder::dist().join("doorward"))
        .args(arguments)
        .output()
        .context("expected dist/doorward")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "expected {arguments:?} to succeed, but it said\n{error}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
