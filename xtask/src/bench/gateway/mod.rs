//! What the SCIM gateway adds to a call: CPU time of Envoy, and latency, against the same Envoy without it.

mod case;
mod report;
mod results;

use super::machine::Machine;
use super::process::cpu_time;
use super::report::file;
use crate::command::{program, shown};
use anyhow::{Context, Result, ensure};
use case::{Case, Way, user};
use doorward_testbed::{
    Database, Envoy, EnvoyConfig, GATEWAY_KEY, Listener, Request, ScimGateway, ScimStore, WasmPlugin, folder,
    run, send,
};
use results::{Found, Results, Series};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const TENANTS: [(&str, &str); 2] = [("entra", "entra"), ("rfc", "rfc")];
/// Connections of a round for CPU time.
const CONNECTIONS: u32 = 8;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// One short round, to see that all of it works; its numbers mean little.
    #[arg(long)]
    quick: bool,
    /// So many rounds.
    #[arg(long, value_name = "N", default_value_t = 7)]
    rounds: usize,
    /// Write benches/gateway.json, and GATEWAY.md from it.
    #[arg(long, conflicts_with = "quick")]
    commit: bool,
}

/// Measures, and tells.
pub(crate) fn start(options: &Options) -> Result<()> {
    let (rounds, seconds) = if options.quick { (1, 1) } else { (options.rounds, 2) };
    let results = run(measure(rounds, seconds))?;
    println!("\n{}", report::markdown(&results));
    if options.commit {
        let text = serde_json::to_string_pretty(&results)? + "\n";
        fs::write(file("gateway.json"), text).context("expected to write the results")?;
        report::write(&results)?;
    }
    Ok(())
}

/// Writes the report anew from the results that are kept.
pub(crate) fn rewrite() -> Result<()> {
    let kept = fs::read(file("gateway.json")).context("expected benches/gateway.json")?;
    report::write(&serde_json::from_slice(&kept).context("expected results of the gateway")?)
}

/// What is measured, running.
struct Bench {
    store: ScimStore,
    envoy: Envoy,
    folder: PathBuf,
    /// Users by tenant, and tokens of the store's own.
    users: BTreeMap<&'static str, (String, String)>,
    seconds: u32,
}

async fn measure(rounds: usize, seconds: u32) -> Result<Results> {
    let module = folder::dist().join("scim-gateway.wasm");
    let module_bytes = fs::metadata(&module)
        .with_context(|| format!("expected {}: run `cargo xtask build`", module.display()))?
        .len();
    let load = super::load::Load::find()?;
    let mut machine = Machine::look(load.wrk, load.h2load)?;
    let bench = Bench::start(&module, seconds).await?;
    let mut found = Vec::new();
    for case in Case::ALL {
        let (mut without, mut with) = (Series::default(), Series::default());
        for round in 0..=rounds {
            let mut ways = [("bare", &mut without), ("gateway", &mut with)];
            ways.rotate_left(round % 2);
            for (listener, series) in ways {
                let (cpu, latency) = bench.round(case, listener, round)?;
                // The first one warms up.
                if round > 0 {
                    series.cpu.push(cpu);
                    series.latency.push(latency);
                }
            }
        }
        let shown = |series: &Series| super::statistics::median(&series.cpu);
        println!("{}: {:.1} without, {:.1} with", case.title(), shown(&without), shown(&with));
        found.push(Found { case, without, with });
    }
    ensure!(bench.envoy.is_running(), "expected Envoy to run on");
    ensure!(bench.store.process().exited().is_none(), "{}", bench.store.process().report(20));
    machine.host.leave();
    Ok(Results { machine, rounds, seconds, module_bytes, found })
}

impl Bench {
    async fn start(module: &Path, seconds: u32) -> Result<Self> {
        let store = ScimStore::start(Database::Sqlite, &TENANTS, json!({})).await?;
        let plugin = WasmPlugin::new(module, &configuration())
            .vm_id("doorward-scim")
            .field("allow_on_headers_stop_iteration", true.into());
        let quiet = |name: &str| Listener::new(name).connection_manager("access_log", json!([]));
        let config = EnvoyConfig::new(store.addr())
            .listener(quiet("bare"))
            .listener(quiet("gateway").wasm(&plugin))
            // Audit lines are part of what is measured; where they go is not.
            .component_log_level("wasm:info");
        let envoy = Envoy::start(&config).await?;
        let mut users = BTreeMap::new();
        for (tenant, _) in TENANTS {
            let token = store.token(tenant)?;
            let create = Request::new("POST", "/scim/v2/Users")
                .bearer(&token)
                .header("content-type", "application/scim+json")
                .body(user("bench@example.com").to_string());
            let created = send(store.addr(), &create).await?;
            let created = created.json()?;
            let id = created.get("id").and_then(Value::as_str).context("expected an id")?.to_owned();
            users.insert(tenant, (id, token));
        }
        Ok(Self { store, envoy, folder: folder::scratch("bench")?, users, seconds })
    }

    /// CPU time of Envoy for a call, and its median time on one connection, both in µs.
    fn round(&self, case: Case, listener: &str, round: usize) -> Result<(f64, f64)> {
        let tenant = case.tenant();
        let (id, token) = self.users.get(tenant).context("expected the tenant's user")?;
        let addr = self.envoy.addr(listener)?;
        let edge_token = edge_token(tenant);
        let way = match listener {
            "bare" => Way { addr, base: "/scim/v2".to_owned(), token },
            _ => Way { addr, base: format!("/tenants/{tenant}/scim/v2"), token: &edge_token },
        };
        let before = cpu_time(self.envoy.id())?;
        let (calls, _) = self.send(case, &way, id, CONNECTIONS, round)?;
        let spent = cpu_time(self.envoy.id())?.saturating_sub(before);
        let (_, latency) = self.send(case, &way, id, 1, round)?;
        Ok((spent.as_secs_f64() * 1e6 / calls, latency))
    }

    /// How many calls were answered, all of them as they must be, and their median time in µs.
    fn send(
        &self,
        case: Case,
        way: &Way<'_>,
        id: &str,
        connections: u32,
        round: usize,
    ) -> Result<(f64, f64)> {
        let (script, request) = (self.folder.join("load.lua"), self.folder.join("request"));
        fs::write(&script, include_str!("load.lua")).context("expected to write the script")?;
        fs::write(&request, case.bytes(way, id)).context("expected to write the request")?;
        // No two names are the same: of a round, a way and a number of connections.
        let first = format!("{round}{}{connections}00000000", way.addr.port());
        let mut wrk = program("wrk");
        wrk.args([
            "-t",
            "1",
            "-c",
            &connections.to_string(),
            "-d",
            &format!("{}s", self.seconds),
            "--latency",
            "-s",
        ])
        .arg(&script)
        .arg(format!("http://{}/", way.addr))
        .arg("--")
        .arg(&request)
        .arg(first);
        let output = wrk.output().with_context(|| format!("expected to start {}", shown(&wrk)))?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success() && !said.contains("Non-2xx") && !said.contains("Socket errors"),
            "{}: expected success alone, but wrk said\n{said}",
            case.title()
        );
        let calls = said.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
        let median = said.lines().find_map(|line| micros(line.trim().strip_prefix("50%")?.trim()));
        Ok((calls.context("expected a number of requests")?, median.context("expected a median")?))
    }
}

/// `123.00us`, `1.23ms` or `1.23s` as µs.
fn micros(text: &str) -> Option<f64> {
    let of = |unit: &str, factor: f64| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor);
    of("us", 1.0).or_else(|| of("ms", 1e3)).or_else(|| of("s", 1e6))
}

fn configuration() -> Value {
    let tenant = |(id, profile): (&str, &str)| {
        let token = json!({ "name": "bench", "sha256": ScimGateway::sha256(&edge_token(id)) });
        (id.to_owned(), json!({ "profile": profile, "hosts": [], "tokens": [token] }))
    };
    let tenants: serde_json::Map<String, Value> = TENANTS.into_iter().map(tenant).collect();
    json!({
        "scim": {
            "base_url": "https://scim.example.com/tenants/{tenant}/scim/v2",
            "store": { "gateway": "edge", "key": { "id": "k1", "secret": GATEWAY_KEY } },
            "limits": { "rate": { "requests_per_second": 1_000_000, "burst": 1_000_000 } },
            "tenants": tenants,
        },
    })
}

/// A token is one tenant's.
fn edge_token(tenant: &str) -> String {
    format!("token-of-the-benchmark-for-{tenant}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_unit() {
        assert_eq!(micros("123.50us"), Some(123.5));
        assert_eq!(micros("1.25ms"), Some(1250.0));
        assert_eq!(micros("2.00s"), Some(2_000_000.0));
        assert_eq!(micros("x"), None);
    }
}
