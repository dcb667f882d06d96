//! A real Envoy.

use crate::bootstrap::EnvoyConfig;
use crate::client::{Request, send};
use crate::folder;
use crate::process::Process;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long Envoy may take to be ready; a large module on a busy machine takes seconds.
const START: Duration = Duration::from_secs(60);

/// The oldest release whose wasm options we use.
const OLDEST: (u32, u32) = (1, 33);

/// A running Envoy. Dropping it kills it.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    admin: SocketAddr,
    listeners: BTreeMap<String, SocketAddr>,
    folder: PathBuf,
}

impl Envoy {
    /// Starts Envoy with `config` and waits until all listeners accept.
    ///
    /// # Errors
    /// If there is no Envoy, or it refuses the configuration (a plugin that refuses its own included), or is not ready
    /// within 60 seconds; with the end of its log.
    pub async fn start(config: &EnvoyConfig) -> Result<Self> {
        let folder = folder::scratch("envoy")?;
        let bootstrap = config.bootstrap(&access_log(&folder));
        Self::start_in(folder, &bootstrap, config.workers(), config.log_levels()).await
    }

    /// Like [`Self::start`], with any bootstrap document: it must have an admin address on port 0.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub async fn start_bootstrap(bootstrap: &Value, workers: u32) -> Result<Self> {
        Self::start_in(folder::scratch("envoy")?, bootstrap, workers, "wasm:debug").await
    }

    async fn start_in(folder: PathBuf, bootstrap: &Value, workers: u32, log_levels: &str) -> Result<Self> {
        let file = folder.join("bootstrap.json");
        fs::write(&file, format!("{bootstrap:#}"))
            .with_context(|| format!("expected to write {}", file.display()))?;
        let admin = folder.join("admin");
        let mut command = Command::new(Self::program()?);
        command
            .arg("-c")
            .arg(&file)
            .arg("--admin-address-path")
            .arg(&admin)
            .args(["--concurrency", &workers.to_string()])
            .args(["--log-level", "warning", "--component-log-level", log_levels])
            .args(["--file-flush-interval-msec", "20"])
            .arg("--disable-hot-restart");
        let process = Process::spawn("envoy", &mut command, &folder)?;
        match ready(&process, &admin).await {
            Ok((admin, listeners)) => Ok(Self { process, admin, listeners, folder }),
            Err(e) => bail!("{e:#}\n{}", process.report(40)),
        }
    }

    /// The Envoy to use: `DOORWARD_ENVOY`, or a recent one on `PATH`, or the one that `cargo xtask setup` installs.
    ///
    /// # Errors
    /// If there is none.
    pub fn program() -> Result<PathBuf> {
        if let Some(path) = env::var_os("DOORWARD_ENVOY") {
            let path = PathBuf::from(path);
            let found = version(&path)
                .with_context(|| format!("expected DOORWARD_ENVOY={} to be Envoy", path.display()))?;
            ensure!(
                found >= OLDEST,
                "expected DOORWARD_ENVOY to be at least {OLDEST:?}, but found {found:?}"
            );
            return Ok(path);
        }
        let on_path =
            env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
        let candidates = on_path.into_iter().map(|dir| dir.join("envoy")).chain([Self::installed()]);
        candidates
            .filter(|path| path.is_file())
            .find(|path| version(path).is_ok_and(|found| found >= OLDEST))
            .context("expected Envoy: set DOORWARD_ENVOY, put it on PATH, or run `cargo xtask setup`")
    }

    /// Where `cargo xtask setup` puts its Envoy.
    pub fn installed() -> PathBuf {
        folder::target().join("tools/envoy/envoy/_bin/envoy")
    }

    /// Lets Envoy check a configuration file without starting it.
    ///
    /// # Errors
    /// If it is refused, with Envoy's reason.
    pub fn validate(file: &Path) -> Result<()> {
        let output = Command::new(Self::program()?)
            .args(["--mode", "validate", "--log-level", "warning", "-c"])
            .arg(file)
            .output()
            .context("expected to run Envoy")?;
        let log = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "expected Envoy to accept {}, but it said:\n{log}", file.display());
        Ok(())
    }

    /// The address of the listener of this name.
    ///
    /// # Errors
    /// If there is no such listener.
    pub fn addr(&self, listener: &str) -> Result<SocketAddr> {
        self.listeners.get(listener).copied().with_context(|| format!("expected a listener `{listener}`"))
    }

    /// The address of the admin interface.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The process id, for CPU times.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Counters and gauges that were ever touched, by name; a filter's own begin with `wasmcustom.`.
    ///
    /// # Errors
    /// If Envoy does not answer.
    pub async fn stats(&self) -> Result<BTreeMap<String, u64>> {
        let text = get(self.admin, "/stats?usedonly").await?;
        Ok(text
            .lines()
            .filter_map(|line| line.rsplit_once(": "))
            .filter_map(|(k, v)| Some((k.to_owned(), v.parse().ok()?)))
            .collect())
    }

    /// Envoy's log so far: warnings and errors, and all that filters say from `debug` up.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The access log so far, one document a request: `method`, `path`, `status`, `details` (response code details),
    /// `flags`. A request is there a moment after its response.
    pub fn access_log(&self) -> Vec<Value> {
        let text = fs::read_to_string(access_log(&self.folder)).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.process.exited().is_none()
    }

    /// Waits until it has ended, as it does when it crashes.
    pub async fn ended(&self) {
        while self.is_running() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn access_log(folder: &Path) -> PathBuf {
    folder.join("access.log")
}

async fn ready(process: &Process, admin: &Path) -> Result<(SocketAddr, BTreeMap<String, SocketAddr>)> {
    let deadline = Instant::now() + START;
    loop {
        if let Some(status) = process.exited() {
            bail!("expected Envoy to start, but it ended with {status}");
        }
        if let Some(found) = probe(admin).await {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "expected Envoy to be ready within {START:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn probe(admin: &Path) -> Option<(SocketAddr, BTreeMap<String, SocketAddr>)> {
    let admin = fs::read_to_string(admin).ok()?.trim().parse().ok()?;
    get(admin, "/ready").await.ok()?;
    let listeners = get(admin, "/listeners?format=json").await.ok()?;
    Some((admin, parse_listeners(&serde_json::from_str(&listeners).ok()?)))
}

async fn get(admin: SocketAddr, path: &str) -> Result<String> {
    let response = send(admin, &Request::get(path)).await?;
    ensure!(
        response.status == 200,
        "expected 200 from {path}, but found {}: {}",
        response.status,
        response.text()
    );
    Ok(response.text())
}

fn parse_listeners(document: &Value) -> BTreeMap<String, SocketAddr> {
    let statuses = document.get("listener_statuses").and_then(Value::as_array);
    let listener = |status: &Value| {
        let name = status.get("name")?.as_str()?.to_owned();
        let address = status.pointer("/local_address/socket_address")?;
        let ip = address.get("address")?.as_str()?.parse().ok()?;
        let port = u16::try_from(address.get("port_value")?.as_u64()?).ok()?;
        Some((name, SocketAddr::new(ip, port)))
    };
    statuses.into_iter().flatten().filter_map(listener).collect()
}

/// The version that the program at `path` says it is.
fn version(path: &Path) -> Result<(u32, u32)> {
    let output = Command::new(path).arg("--version").output().context("expected to run it")?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text).with_context(|| format!("expected Envoy's version, but found {text:?}"))
}

/// From `envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split("version:").nth(1)?.split('/').nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn version_is_read() {
        let cases = [
            ("\nenvoy  version: 9e5580/1.40.0/Clean/RELEASE/BoringSSL\n", Some((1, 40))),
            ("envoy  version: 9e5580/1.41.0-dev/Modified/DEBUG/BoringSSL", Some((1, 41))),
            ("envoy 3.2.1, a mail tool", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_version(text), expected, "{text}");
        }
    }

    #[test]
    fn listeners_are_read() {
        let address = json!({ "socket_address": { "address": "127.0.0.1", "port_value": 7 } });
        let document =
            json!({ "listener_statuses": [{ "name": "a", "local_address": address }, { "name": "b" }] });
        assert_eq!(
            parse_listeners(&document),
            BTreeMap::from([("a".to_owned(), SocketAddr::from(([127, 0, 0, 1], 7)))])
        );
    }
}
