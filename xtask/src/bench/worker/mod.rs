//! What the edge worker costs in workerd, beside a worker by hand with npm's `jose` and one that does nothing.

mod report;
mod results;
mod workers;

use super::load::Load;
use super::machine::Host;
use super::plan::Plan;
use super::process::{cpu_time, cpu_time_source};
use super::report::file;
use super::tokens::{Set, Tokens};
use crate::command::{capture, program, shown};
use crate::setup;
use anyhow::{Context, Result, ensure};
use doorward_testbed::{folder, run};
use flate2::Compression;
use flate2::write::GzEncoder;
use results::{Case, Cold, Found, Results, Size, Subject};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;
use workers::Workers;

/// Connections of a round.
const CONNECTIONS: u32 = 8;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// One short round, to see that all of it works; its numbers mean little.
    #[arg(long)]
    quick: bool,
    /// So many rounds.
    #[arg(long, value_name = "N", default_value_t = 7)]
    rounds: usize,
    /// Write benches/worker.json, and WORKER.md from it.
    #[arg(long, conflicts_with = "quick")]
    commit: bool,
}

/// Measures, and tells.
pub(crate) fn start(options: &Options) -> Result<()> {
    setup::npm("benches/worker")?;
    let (rounds, seconds) = if options.quick { (1, 1) } else { (options.rounds, 1) };
    let plan = if options.quick { Plan::QUICK } else { Plan::FULL };
    let results = measure(plan, rounds, seconds)?;
    println!("\n{}", report::markdown(&results));
    if options.commit {
        let text = serde_json::to_string_pretty(&results)? + "\n";
        fs::write(file("worker.json"), text).context("expected to write the results")?;
        report::write(&results)?;
    }
    Ok(())
}

/// Writes the report anew from the results that are kept.
pub(crate) fn rewrite() -> Result<()> {
    let kept = fs::read(file("worker.json")).context("expected benches/worker.json")?;
    report::write(&serde_json::from_slice(&kept).context("expected results of the worker")?)
}

fn measure(plan: Plan, rounds: usize, seconds: u32) -> Result<Results> {
    let load = Load::find()?;
    let mut host = Host::look()?;
    let tokens = Tokens::get(&plan)?;
    let folder = folder::scratch("bench")?;
    let script = folder.join("cycle.lua");
    fs::write(&script, include_str!("load.lua")).context("expected to write the script")?;
    let bench = Bench { script, tokens: folder.join("cycle"), folder, rounds, seconds };
    let (found, cold) = run(async {
        let found = bench.requests(&tokens).await?;
        Ok((found, bench.cold(&tokens).await?))
    })?;
    host.leave();
    Ok(Results {
        host,
        workerd: capture(program(workers::binary()?).arg("--version"))?,
        jose: jose_version()?,
        wrk: load.wrk,
        cpu_time: cpu_time_source().to_owned(),
        rounds,
        seconds,
        sizes: ["worker", "scim-worker"].into_iter().map(size).collect::<Result<_>>()?,
        found,
        cold,
    })
}

struct Bench {
    folder: PathBuf,
    script: PathBuf,
    /// The tokens of a round, a line each.
    tokens: PathBuf,
    rounds: usize,
    seconds: u32,
}

impl Bench {
    /// All workers in one process, by turns.
    async fn requests(&self, tokens: &Tokens) -> Result<Vec<Found>> {
        let all: Vec<_> =
            Case::ALL.iter().flat_map(|case| Subject::ALL.map(|subject| (subject, *case))).collect();
        let workers = Workers::start(&all, &tokens.jwks, &self.folder).await?;
        let mut found = Vec::new();
        for case in Case::ALL {
            for set in &tokens.sets {
                found.push(self.case(&workers, case, set).await?);
            }
        }
        Ok(found)
    }

    async fn case(&self, workers: &Workers, case: Case, set: &Set) -> Result<Found> {
        let sent = match case {
            Case::Repeated => set.distinct.get(..1).context("expected a token")?,
            Case::New => set.new.first().context("expected new tokens")?,
        };
        fs::write(&self.tokens, sent.join("\n") + "\n").context("expected to write the tokens")?;
        let mut micros = [const { Vec::new() }; 3];
        for round in 0..=self.rounds {
            let mut places = [0, 1, 2];
            places.rotate_left(round % 3);
            for place in places {
                let (subject, series) =
                    Subject::ALL.get(place).zip(micros.get_mut(place)).context("expected three subjects")?;
                if round == 0 {
                    workers.probe(*subject, case, sent.first().context("expected a token")?).await?;
                }
                let before = cpu_time(workers.id())?;
                let calls = self.send(workers.addr(*subject, case)?)?;
                let spent = cpu_time(workers.id())?.saturating_sub(before);
                // The first one warms up.
                if round > 0 {
                    series.push(spent.as_secs_f64() * 1e6 / calls);
                }
            }
        }
        let [nothing, jose, ours] = micros;
        let found = Found { case, algorithm: set.algorithm.clone(), nothing, jose, ours };
        println!("{}", report::line(&found));
        Ok(found)
    }

    /// How many requests were answered, all of them with success.
    fn send(&self, to: SocketAddr) -> Result<f64> {
        let mut wrk = program("wrk");
        wrk.args(["-t", "1", "-c", &CONNECTIONS.to_string(), "-d", &format!("{}s", self.seconds), "-s"])
            .arg(&self.script)
            .arg(format!("http://{to}/"))
            .arg("--")
            .arg(&self.tokens);
        let output = wrk.output().with_context(|| format!("expected to start {}", shown(&wrk)))?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success() && !said.contains("Non-2xx") && !said.contains("Socket errors"),
            "expected success alone, but wrk said\n{said}"
        );
        let calls = said.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
        calls.context("expected a number of requests")
    }

    /// One worker in a process of its own, from its start.
    async fn cold(&self, tokens: &Tokens) -> Result<Vec<Cold>> {
        let token = tokens.sets.first().and_then(|set| set.distinct.first()).context("expected a token")?;
        let mut found = Subject::ALL.map(|subject| Cold { subject, cpu: Vec::new(), first: Vec::new() });
        for round in 0..=self.rounds {
            found.rotate_left(1);
            for cold in &mut found {
                let workers =
                    Workers::start(&[(cold.subject, Case::Repeated)], &tokens.jwks, &self.folder).await?;
                let start = Instant::now();
                workers.probe(cold.subject, Case::Repeated, token).await?;
                let first = start.elapsed();
                let cpu = cpu_time(workers.id())?;
                if round > 0 {
                    cold.first.push(first.as_secs_f64() * 1e3);
                    cold.cpu.push(cpu.as_secs_f64() * 1e3);
                }
            }
        }
        found.sort_by_key(|cold| cold.subject);
        Ok(found.to_vec())
    }
}

/// What is deployed of a folder in `dist`.
fn size(folder: &str) -> Result<Size> {
    let (mut bytes, mut compressed) = (0, 0);
    for name in workers::OURS {
        let content = read(&folder::dist().join(folder).join(name))?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&content).context("expected to compress")?;
        bytes += u64::try_from(content.len())?;
        compressed += u64::try_from(encoder.finish().context("expected to compress")?.len())?;
    }
    Ok(Size { folder: folder.to_owned(), bytes, compressed })
}

fn jose_version() -> Result<String> {
    let manifest = read(&workers::sources().join("node_modules/jose/package.json"))?;
    let manifest: Value = serde_json::from_slice(&manifest).context("expected the manifest of jose")?;
    Ok(manifest.get("version").and_then(Value::as_str).unwrap_or("unknown").to_owned())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("expected {}", file.display()))
}
