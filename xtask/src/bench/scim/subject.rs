//! The servers that are compared, started with nothing in them.

use super::case::Caller;
use crate::command::{capture, program};
use crate::setup;
use anyhow::{Context, Result, bail};
use doorward_testbed::{PostgresServer, Process, folder, port};
use serde::{Deserialize, Serialize};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to accept connections.
const START: Duration = Duration::from_secs(60);
const PEERS: &str = "benches/scim/peers";

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Subject {
    Sqlite,
    Postgres,
    Scimmy,
    Scim2Server,
}

/// A running one.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) caller: Caller,
    process: Process,
    /// Ends after the process does.
    _database: Option<PostgresServer>,
}

impl Subject {
    pub(super) const ALL: [Self; 4] = [Self::Sqlite, Self::Postgres, Self::Scimmy, Self::Scim2Server];
    pub(super) const OURS: [Self; 2] = [Self::Sqlite, Self::Postgres];
    pub(super) const PEERS: [Self; 2] = [Self::Scimmy, Self::Scim2Server];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Sqlite => "Doorward, SQLite",
            Self::Postgres => "Doorward, PostgreSQL",
            Self::Scimmy => "scimmy-routers",
            Self::Scim2Server => "scim2-server",
        }
    }

    /// Installs what it needs.
    pub(super) fn prepare(self) -> Result<()> {
        match self {
            Self::Sqlite => Ok(()),
            Self::Postgres => setup::postgres(),
            Self::Scimmy => setup::npm(PEERS),
            Self::Scim2Server => virtual_environment().map(drop),
        }
    }

    /// Starts it. `doorward` is our program.
    pub(super) fn start(self, doorward: &Path) -> Result<Running> {
        let scratch = folder::scratch("bench-scim")?;
        let address = port::loopback(port::free()?);
        let number = address.port().to_string();
        let peers = folder::root().join(PEERS);
        let mut caller = Caller { base: "/scim/v2".to_owned(), token: "bench".to_owned() };
        let mut database = None;
        let mut command = match self {
            Self::Sqlite => {
                let url = format!("sqlite:{}", scratch.join("store.db").display());
                store(doorward, &scratch, &url, address, &mut caller)?
            }
            Self::Postgres => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let server = runtime.block_on(PostgresServer::start())?;
                let url = server.url("doorward", &server.database()?);
                database = Some(server);
                store(doorward, &scratch, &url, address, &mut caller)?
            }
            Self::Scimmy => {
                caller.base = "/scim".to_owned();
                let mut command = program("node");
                command.arg(peers.join("scimmy.mjs"));
                command.args([&number, &caller.token]);
                command
            }
            Self::Scim2Server => {
                caller.base = "/v2".to_owned();
                let mut command = program(virtual_environment()?.join("bin/python"));
                command.arg(peers.join("scim2_server_peer.py"));
                command.args([&number, &caller.token]);
                command
            }
        };
        let process = Process::spawn("server", &mut command, &scratch)?;
        let deadline = Instant::now() + START;
        while TcpStream::connect(address).is_err() {
            if process.exited().is_some() || Instant::now() > deadline {
                bail!("expected {} to start\n{}", self.title(), process.report(40));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Running { address, caller, process, _database: database })
    }
}

impl Running {
    pub(super) fn process(&self) -> u32 {
        self.process.id()
    }
}

fn virtual_environment() -> Result<std::path::PathBuf> {
    setup::virtual_environment("bench-scim", &format!("{PEERS}/requirements.txt"))
}

/// Makes a tenant and its token; answers the command that serves them.
fn store(
    doorward: &Path,
    scratch: &Path,
    url: &str,
    address: SocketAddr,
    caller: &mut Caller,
) -> Result<Command> {
    let run = |arguments: &[&str]| capture(program(doorward).args(arguments).args(["--db", url]));
    run(&["tenant", "create", "bench", "--profile", "rfc"])?;
    caller.token = run(&["token", "create", "bench", "bench"])?.trim().to_owned();
    // Nothing else is other than it is by default.
    let config = scratch.join("store.yaml");
    fs::write(&config, "admin: null\nlimits: { rate: null }\n")
        .context("expected to write a configuration")?;
    let mut command = program(doorward);
    command.args(["store", "--db", url, "--listen", &address.to_string(), "--config"]).arg(config);
    Ok(command)
}
