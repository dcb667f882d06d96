//! The edge worker, `dist/worker`, in the runtimes that it is for.

use crate::process::Process;
use crate::{eventually, folder, port, workerd};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a runtime may take to listen.
const START: Duration = Duration::from_secs(60);

/// A runtime for edge workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// `workerd`, which is the runtime of Cloudflare Workers; npm's miniflare brings it.
    Workerd,
    /// Deno, by its npm package.
    Deno,
    /// Bun, by its npm package.
    Bun,
    /// The Node.js on `PATH`.
    Node,
}

/// A running worker. Dropping it ends it.
#[derive(Debug)]
pub struct WorkerRuntime {
    process: Process,
    addr: SocketAddr,
}

/// What a platform has beside the worker's document.
#[derive(Debug, Clone, Default)]
pub struct WorkerBindings {
    /// A key-value namespace, bound to `KEYS`, which all isolates share. Only for [`Platform::Workerd`].
    pub keys: bool,
    /// Durable Objects of the class `Proofs`, bound to `PROOFS`. Only for [`Platform::Workerd`].
    pub proofs: bool,
    /// Where `caches` keep what they have. Only for [`Platform::Deno`] and [`Platform::Workerd`]; without, workerd has none.
    pub caches: Option<PathBuf>,
    /// A dataset of Workers Analytics Engine, bound to `POINTS`: each data point is a line of the log, `{ "point": { "index", "blobs",
    /// "doubles" } }`. Only for [`Platform::Workerd`].
    pub points: bool,
    /// Services by what they are bound to. Only for [`Platform::Workerd`].
    pub services: Vec<(&'static str, Service)>,
    /// The field of a request that has its `cf`, as JSON; without, clients cannot say it. Only for [`Platform::Workerd`].
    pub cf: Option<&'static str>,
    /// How many isolates there are, each with an address of its own: [`WorkerRuntime::isolate`]. Only for [`Platform::Workerd`].
    pub isolates: Option<u16>,
}

/// What a request may go on to by a binding.
#[derive(Debug, Clone, Copy)]
pub enum Service {
    /// A server that speaks HTTP.
    Server(SocketAddr),
    /// Another worker of the same workerd: the text of its one module.
    Worker(&'static str),
}

impl Platform {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Workerd, Self::Deno, Self::Bun, Self::Node];

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Workerd => "workerd",
            Self::Deno => "deno",
            Self::Bun => "bun",
            Self::Node => "node",
        }
    }

    /// The program. npm's own are started by scripts at installation, which are not run: theirs are in the platform's package.
    ///
    /// # Errors
    /// If it is not installed.
    pub fn program(self) -> Result<PathBuf> {
        let is_arm = cfg!(target_arch = "aarch64");
        let package = match (self, is_arm) {
            (Self::Workerd, false) => "@cloudflare/workerd-linux-64/bin/workerd",
            (Self::Workerd, true) => "@cloudflare/workerd-linux-arm64/bin/workerd",
            (Self::Deno, false) => "@deno/linux-x64-glibc/deno",
            (Self::Deno, true) => "@deno/linux-arm64-glibc/deno",
            (Self::Bun, false) => "@oven/bun-linux-x64/bin/bun",
            (Self::Bun, true) => "@oven/bun-linux-aarch64/bin/bun",
            (Self::Node, _) => return Ok(PathBuf::from("node")),
        };
        let program = folder::root().join("tests/e2e/node/node_modules").join(package);
        ensure!(program.is_file(), "expected {}: run `cargo xtask setup --tests`", program.display());
        Ok(program)
    }
}

impl WorkerRuntime {
    /// Starts the worker with this document, and waits until it listens on a free loopback port.
    ///
    /// # Errors
    /// If the runtime is not installed, or does not listen within 60 seconds; with the end of its log.
    pub async fn start(platform: Platform, document: &Value) -> Result<Self> {
        Self::start_with(platform, document, &WorkerBindings::default()).await
    }

    /// Like [`Self::start`], with what the platform binds.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub async fn start_with(platform: Platform, document: &Value, bindings: &WorkerBindings) -> Result<Self> {
        Self::start_modules(platform, &folder::dist().join("worker"), document, bindings).await
    }

    /// Like [`Self::start_with`], with the modules of another folder.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub async fn start_modules(
        platform: Platform,
        worker: &Path,
        document: &Value,
        bindings: &WorkerBindings,
    ) -> Result<Self> {
        let entry = worker.join(entry(platform));
        ensure!(entry.is_file(), "expected {}: run `cargo xtask build`", entry.display());
        let folder = folder::scratch(platform.name())?;
        let file = folder.join("document.json");
        fs::write(&file, document.to_string()).with_context(|| format!("expected {}", file.display()))?;
        let mut command = Command::new(platform.program()?);
        command.env("DOORWARD_FILE", &file).env("HOST", "127.0.0.1").env("PORT", "0");
        match platform {
            Platform::Workerd => {
                let config = folder.join("config.capnp");
                fs::write(&config, workerd::config(worker, &folder, bindings)?)
                    .with_context(|| format!("expected {}", config.display()))?;
                command.args(["serve", "--control-fd=1"]);
                if bindings.points {
                    // workerd has datasets only so.
                    command.arg("--experimental");
                }
                command.arg(&config);
            }
            Platform::Deno => {
                command
                    .env("DENO_NO_UPDATE_CHECK", "1")
                    .env("DENO_DIR", bindings.caches.clone().unwrap_or_else(|| folder.join("deno")))
                    .args(["serve", "--no-remote", "--no-config", "--host=127.0.0.1", "--port=0"])
                    .args(["--allow-env", "--allow-net", "--allow-read"])
                    .arg(&entry);
            }
            Platform::Bun | Platform::Node => {
                command.arg(&entry);
            }
        }
        let process = Process::spawn(platform.name(), &mut command, &folder)?;
        let mut addr = None;
        eventually(&format!("{} listens", platform.name()), START, async || {
            ensure!(process.exited().is_none(), "{}", process.report(20));
            addr = process.log().lines().find_map(|line| listening(line, "http0"));
            Ok(addr.is_some())
        })
        .await?;
        Ok(Self { process, addr: addr.context("expected an address")? })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where one of several isolates listens, counted from 0.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn isolate(&self, number: u16) -> Result<SocketAddr> {
        let name = format!("http{number}");
        let log = self.process.log();
        log.lines()
            .find_map(|line| listening(line, &name))
            .with_context(|| format!("expected {name}, but found\n{log}"))
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The process id, for CPU times.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.process.exited().is_none()
    }
}

fn entry(platform: Platform) -> &'static str {
    match platform {
        Platform::Workerd => "cloudflare.js",
        Platform::Deno => "deno.js",
        Platform::Bun => "bun.js",
        Platform::Node => "node.js",
    }
}

/// The address in a line by which a runtime says that it listens: workerd's on its control channel, Deno's, or that of our entries.
fn listening(line: &str, socket: &str) -> Option<SocketAddr> {
    let port = if let Ok(event) = serde_json::from_str::<Value>(line) {
        let is_it = event.get("event")? == "listen" && event.get("socket")? == socket;
        is_it.then(|| event.get("port").and_then(Value::as_u64))??.to_string()
    } else if let Some((_, url)) = line.split_once("Listening on http://127.0.0.1:") {
        url.trim_end_matches('/').to_owned()
    } else {
        line.strip_prefix("doorward: listening on 127.0.0.1 ")?.to_owned()
    };
    Some(port::loopback(port.parse().ok()?))
}

/// The worker's section of a document: where requests go on to, and DPoP proofs remembered by the one isolate.
pub fn worker_section(origin: SocketAddr) -> Value {
    json!({ "origin": { "url": format!("http://{origin}") }, "proofs": "isolate" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let cases = [
            (r#"{"event":"listen","socket":"http0","port":7}"#, Some(7)),
            (r#"{"event":"listen","socket":"http1","port":7}"#, None),
            ("deno serve: Listening on http://127.0.0.1:7/", Some(7)),
            ("doorward: listening on 127.0.0.1 7", Some(7)),
            (r#"{"code":"token_missing","event":"denied"}"#, None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(listening(line, "http0"), expected.map(port::loopback), "{line}");
        }
    }
}
