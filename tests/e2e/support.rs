//! What the modules share: a configuration, an Envoy with the filter, and what came of a request.

use anyhow::{Context, Result, ensure};
use doorward_testbed::{
    Envoy, EnvoyConfig, Issuer, Listener, Process, Request, Response, Seen, Upstream, WasmPlugin, folder,
    port, send,
};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The listener of an [`Edge`].
pub(crate) const LISTENER: &str = "edge";

/// The built filter.
pub(crate) fn filter() -> PathBuf {
    folder::dist().join("jwt-authn.wasm")
}

/// An Envoy with the filter, before an upstream that remembers.
pub(crate) struct Edge {
    pub(crate) upstream: Upstream,
    pub(crate) envoy: Envoy,
}

impl Edge {
    /// One worker, no cluster but the upstream.
    pub(crate) async fn start(configuration: &Value) -> Result<Self> {
        Self::start_with(configuration, |config| config, |listener| listener).await
    }

    /// With any changes to Envoy's configuration and to its listener.
    pub(crate) async fn start_with(
        configuration: &Value,
        change: impl FnOnce(EnvoyConfig) -> EnvoyConfig,
        change_listener: impl FnOnce(Listener) -> Listener,
    ) -> Result<Self> {
        let upstream = Upstream::start().await?;
        let plugin = WasmPlugin::new(filter(), configuration);
        let listener = change_listener(Listener::new(LISTENER).wasm(&plugin));
        let envoy = Envoy::start(&change(EnvoyConfig::new(upstream.addr())).listener(listener)).await?;
        Ok(Self { upstream, envoy })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.envoy.addr(LISTENER).unwrap()
    }

    pub(crate) async fn send(&self, request: &Request) -> Result<Response> {
        send(self.addr(), request).await
    }

    /// Sends a request that is to be denied, and answers with its status and code. The upstream must not have seen it.
    pub(crate) async fn denied(&self, request: &Request) -> Result<(u16, String)> {
        let before = self.upstream.count();
        let response = self.send(request).await?;
        ensure!(self.upstream.count() == before, "expected a denial, but the upstream was reached");
        Ok((response.status, code(&response)))
    }

    /// Sends a request that is to be let through, and answers with what the upstream saw.
    pub(crate) async fn forwarded(&self, request: &Request) -> Result<Seen> {
        let response = self.send(request).await?;
        ensure!(
            response.status == 200,
            "expected 200, but found {} {}\n{}",
            response.status,
            response.text(),
            self.envoy.log()
        );
        Seen::from_json(&response.body)
    }

    /// How many requests Envoy has sent to the upstream, whatever that made of them.
    pub(crate) async fn upstream_requests(&self) -> Result<u64> {
        Ok(self.envoy.stats().await?.get("cluster.upstream.upstream_rq_total").copied().unwrap_or_default())
    }

    /// As [`expect_healthy`].
    pub(crate) async fn expect_healthy(&self, workers: u64) -> Result<()> {
        expect_healthy(&self.envoy, workers).await
    }
}

/// Fails if a VM has trapped, been reloaded or lost, or if the filter has reported an error.
pub(crate) async fn expect_healthy(envoy: &Envoy, workers: u64) -> Result<()> {
    let stats = send(envoy.admin(), &Request::get("/stats?filter=^wasm")).await?.text();
    let stat = |name: &str| {
        let value = stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.with_context(|| format!("expected the stat {name}, but found\n{stats}"))
    };
    // The main thread has a VM of its own.
    ensure!(
        stat("wasm.wasm_vm_count")? == (workers + 2).to_string(),
        "expected every VM to be there:\n{stats}"
    );
    for name in ["vm_reload", "vm_reload_backoff", "vm_reload_failure", "vm_reload_success"] {
        ensure!(stat(&format!("wasm.doorward.{name}"))? == "0", "expected no VM to be reloaded:\n{stats}");
    }
    let log = envoy.log();
    let bad = log.lines().find(|line| line.contains("[critical]") || line.contains("[error]"));
    ensure!(bad.is_none() && envoy.is_running(), "expected no error in Envoy's log, but found\n{log}");
    Ok(())
}

/// Rules that let everybody see `/healthz`, and ask all else for a token of `provider`, whose `sub` becomes `x-user-id`.
pub(crate) fn document(provider: &Value) -> Value {
    json!({
        "providers": { "corp": provider },
        "rules": [
            { "match": { "path": { "exact": "/healthz" } }, "allow": "anonymous" },
            { "match": { "path": { "prefix": "/" } }, "require": { "provider": "corp" } },
        ],
        "identity_headers": [{ "header": "x-user-id", "claim": ["sub"] }],
    })
}

/// `base` with the members of `changes` in place of its own; `null` removes one.
pub(crate) fn with(mut base: Value, changes: Value) -> Value {
    if let (Some(base), Value::Object(changes)) = (base.as_object_mut(), changes) {
        base.extend(changes);
        base.retain(|_, value| !value.is_null());
    }
    base
}

/// A provider with the testbed issuer's keys in the document itself.
pub(crate) fn inline_provider(issuer: &Issuer) -> Value {
    json!({ "issuer": issuer.url(), "audiences": ["api"], "jwks": { "inline": issuer.jwks().unwrap() } })
}

/// The denial code of a problem document (RFC 9457), or the body if it is none.
pub(crate) fn code(response: &Response) -> String {
    let problem = response.json().unwrap_or_default();
    problem["code"].as_str().map_or_else(|| response.text(), str::to_owned)
}

/// Sends each request, and fails unless it is denied with this status and code.
pub(crate) async fn expect_denials<const N: usize>(
    addr: SocketAddr,
    denials: [(Request, u16, &str); N],
) -> Result<()> {
    for (request, status, expected) in denials {
        let response = send(addr, &request).await?;
        assert_eq!((response.status, code(&response).as_str()), (status, expected), "{request:?}");
    }
    Ok(())
}

/// What an upstream that is lax with names may take a header for: only letters and digits count, in any case.
pub(crate) fn folded(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

/// Every header that an upstream may take for one of `managed`.
pub(crate) fn identity(seen: &Seen, managed: &[&str]) -> Vec<(String, String)> {
    let is_managed = |name: &str| managed.contains(&folded(name).as_str());
    let found = seen.headers.iter().filter(|(name, _)| is_managed(name));
    found.map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned())).collect()
}

/// Waits for half a minute at most: Envoy may be busy, and the tests beside this one too.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    doorward_testbed::eventually(what, Duration::from_secs(30), condition).await
}

/// A script of `node/`.
pub(crate) fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(folder::root().join("tests/e2e/node").join(script));
    command
}

/// A program of the environment that `cargo xtask setup --tests` makes from `python/requirements.txt`.
pub(crate) fn installed_python(program: &str) -> Command {
    Command::new(folder::target().join("tools/python/bin").join(program))
}

/// A script of `python/`, in that environment.
pub(crate) fn python(script: &str) -> Command {
    let mut command = installed_python("python");
    command.arg(folder::root().join("tests/e2e/python").join(script));
    command
}

/// A script of `python/` in the environment of `python/canaille.txt`.
pub(crate) fn canaille(script: &str) -> Command {
    let mut command = Command::new(folder::target().join("tools/canaille/bin/python"));
    command.arg(folder::root().join("tests/e2e/python").join(script));
    command
}

/// What a script prints, as JSON.
pub(crate) fn output(command: &mut Command) -> Result<Value> {
    let output = command.output().with_context(|| format!("expected to run {command:?}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "expected success from {command:?}, but it said\n{error}");
    serde_json::from_slice(&output.stdout).with_context(|| format!("expected JSON from {command:?}"))
}

/// A running `node/provider.mjs`.
pub(crate) struct Provider {
    pub(crate) addr: SocketAddr,
    _process: Process,
}

impl Provider {
    pub(crate) async fn start() -> Result<Self> {
        let process =
            Process::spawn("provider", node("provider.mjs").arg("0"), &folder::scratch("provider")?)?;
        let mut port = None;
        eventually("the provider is ready", async || {
            ensure!(process.exited().is_none(), "{}", process.report(20));
            let log = process.log();
            port = log.lines().find_map(|line| line.strip_prefix("ready ")?.parse::<u16>().ok());
            Ok(port.is_some() && log.ends_with('\n'))
        })
        .await?;
        let addr = SocketAddr::from(([127, 0, 0, 1], port.context("expected a port")?));
        Ok(Self { addr, _process: process })
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.addr)
    }
}

/// A way to an issuer that is closed at first: connections are taken, and nobody answers.
pub(crate) struct Gate {
    listener: TcpListener,
    pub(crate) addr: SocketAddr,
}

impl Gate {
    pub(crate) async fn closed() -> Result<Self> {
        let listener = TcpListener::bind(port::loopback(0)).await?;
        let addr = listener.local_addr()?;
        Ok(Self { listener, addr })
    }

    /// Whoever waits is let through, and all who come later.
    pub(crate) fn open(self, issuer: SocketAddr) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = self.listener.accept().await {
                connections.spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(issuer).await {
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        })
    }
}
