//! The SCIM store over HTTP, beside other SCIM servers: how many requests a second, and how long one takes.

mod case;
mod driver;
mod report;
mod results;
mod subject;

use super::machine::Host;
use super::process::cpu_time;
use super::statistics::percentile;
use crate::artifacts;
use crate::command::{capture, program};
use anyhow::{Context, Result, ensure};
use case::{Case, GROUPS, add, group, remove, user};
use doorward_testbed::{PostgresServer, folder};
use driver::{Answer, Load, Outcome, drive};
use results::{Found, Results};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use subject::{Running, Subject};

/// Connections of the cases that are about throughput.
const CONNECTIONS: usize = 64;
/// How many members are added at once while a group is made.
const CHUNK: usize = 1_000;
/// How many times one member goes in or out of a group.
const MEMBER_CHANGES: usize = 1_000;
/// How many users the other servers are tried with at most.
const PEERS_UP_TO: usize = 20_000;
/// How long the users or the members of a group may take to be made; a server that takes longer is left out of what needs them.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// So many users; several times for several runs.
    #[arg(long, value_name = "N", default_values_t = [5_000, 200_000])]
    users: Vec<usize>,
    /// How long each case lasts, in seconds.
    #[arg(long, value_name = "N", default_value_t = 5)]
    seconds: u64,
    /// Leave the other servers out.
    #[arg(long, conflicts_with = "commit")]
    no_peers: bool,
    /// Leave PostgreSQL out.
    #[arg(long, conflicts_with = "commit")]
    no_postgres: bool,
    /// Our program, if it is not to be built anew.
    #[arg(long, value_name = "FILE")]
    doorward: Option<PathBuf>,
    /// Also write the results as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write benches/scim.json, and SCIM.md from it.
    #[arg(long)]
    commit: bool,
}

/// Measures, and prints tables.
pub(crate) fn start(options: &Options) -> Result<()> {
    let doorward = match &options.doorward {
        Some(file) => file.clone(),
        None => {
            artifacts::native()?;
            folder::dist().join("doorward")
        }
    };
    let is_wanted = |subject: &Subject| {
        let is_peer = Subject::PEERS.contains(subject);
        !(options.no_peers && is_peer || options.no_postgres && *subject == Subject::Postgres)
    };
    let subjects: Vec<Subject> = Subject::ALL.into_iter().filter(is_wanted).collect();
    for subject in &subjects {
        subject.prepare()?;
    }
    let mut results = Results {
        host: Host::look()?,
        seconds: options.seconds,
        postgres: postgres()?,
        found: Vec::new(),
        left_out: Vec::new(),
    };
    for users in &options.users {
        for subject in &subjects {
            if Subject::PEERS.contains(subject) && *users > PEERS_UP_TO {
                results.left_out.push(format!(
                    "{} with {} users: each of its searches goes through all of them, and a case would take minutes",
                    subject.title(),
                    case::thousands(*users)
                ));
                continue;
            }
            let running = subject.start(&doorward)?;
            let mut bench = Bench {
                subject: *subject,
                users: *users,
                running,
                seconds: options.seconds,
                results: &mut results,
            };
            bench.run()?;
        }
    }
    results.host.leave();
    println!("\n{}", report::markdown(&results));
    if let Some(file) = &options.json {
        results.write(file)?;
    }
    if options.commit {
        results.write(&super::report::file("scim.json"))?;
        rewrite()?;
    }
    Ok(())
}

/// Writes `SCIM.md` from `scim.json`.
pub(super) fn rewrite() -> Result<()> {
    report::write(&Results::read(&super::report::file("scim.json"))?)
}

fn postgres() -> Result<String> {
    match PostgresServer::programs() {
        Some(programs) => capture(program(programs.join("postgres")).arg("--version")),
        None => Ok("no PostgreSQL".to_owned()),
    }
}

/// One server with so many users.
struct Bench<'r> {
    subject: Subject,
    users: usize,
    running: Running,
    seconds: u64,
    results: &'r mut Results,
}

impl Bench<'_> {
    fn run(&mut self) -> Result<()> {
        let caller = self.running.caller.clone();
        let load = Load { connections: CONNECTIONS, requests: self.users, time: PATIENCE };
        let create = move |number| caller.send("POST", "/Users", &user(number));
        let ids = self.measure(Case::Create, load, create, |answer| Ok(Some(id(&answer)?)))?;
        if ids.len() < self.users {
            let Self { subject, users, .. } = self;
            self.results.left_out.push(format!(
                "{} with {} users: after {} s there were {}",
                subject.title(),
                case::thousands(*users),
                PATIENCE.as_secs(),
                case::thousands(ids.len()),
            ));
            return Ok(());
        }
        let (users, caller) = (self.users, self.running.caller.clone());
        let some =
            Load { connections: CONNECTIONS, requests: usize::MAX, time: Duration::from_secs(self.seconds) };
        let (paths, of) = (ids.clone(), caller.clone());
        let get = move |number: usize| {
            of.get(&format!("/Users/{}", paths.get(scattered(number, users)).map_or("", String::as_str)))
        };
        self.measure(Case::Get, some, get, |answer| expect(&answer, 200, "\"userName\""))?;
        for case in [Case::UserName, Case::ExternalId, Case::Email] {
            let of = caller.clone();
            let find = move |number| of.find(case, scattered(number, users));
            self.measure(case, some, find, |answer| {
                expect(&answer, 200, "\"totalResults\":1,")
                    .or_else(|_| expect(&answer, 200, "\"totalResults\":1}"))
            })?;
        }
        let of = caller.clone();
        let list = move |_| of.get("/Users?startIndex=1&count=100");
        self.measure(Case::List, some, list, |answer| expect(&answer, 200, "\"itemsPerPage\":100"))?;
        for size in GROUPS {
            if size < users {
                self.member(&ids, size)?;
            }
        }
        Ok(())
    }

    /// One member in and out of a group.
    fn member(&mut self, ids: &[String], size: usize) -> Result<()> {
        let caller = self.running.caller.clone();
        let one = |request: Vec<u8>, time| {
            let load = Load { connections: 1, requests: 1, time };
            drive(
                self.running.address,
                load,
                move |_| request.clone(),
                |answer| match answer.status {
                    204 => Ok(Some(String::new())),
                    _ => Ok(Some(id(&answer)?)),
                },
            )
        };
        let name = format!("group-{size}");
        let made = one(caller.send("POST", "/Groups", &group(&name)), PATIENCE)?;
        let path = format!("/Groups/{}", made.kept.first().context("expected the group's id")?);
        let begin = std::time::Instant::now();
        for chunk in ids.get(..size).unwrap_or_default().chunks(CHUNK) {
            if begin.elapsed() > PATIENCE {
                self.results.left_out.push(format!(
                    "{}, a group of {}: it took longer than {} s to make",
                    self.subject.title(),
                    case::thousands(size),
                    PATIENCE.as_secs()
                ));
                return Ok(());
            }
            one(caller.send("PATCH", &path, &add(chunk)), PATIENCE)?;
        }
        let last = ids.last().context("expected users")?.clone();
        let load = Load { connections: 1, requests: MEMBER_CHANGES, time: Duration::from_secs(self.seconds) };
        let change = move |number: usize| {
            let last = &last;
            caller.send("PATCH", &path, &if number.is_multiple_of(2) { add([last]) } else { remove(last) })
        };
        let keep = |answer: Answer<'_>| {
            ensure!(matches!(answer.status, 200 | 204), "expected 200 or 204, but found {}", answer.status);
            Ok(None)
        };
        self.measure(Case::Member(size), load, change, keep).map(drop)
    }

    fn measure(
        &mut self,
        case: Case,
        load: Load,
        request: impl Fn(usize) -> Vec<u8> + 'static,
        keep: impl Fn(Answer<'_>) -> Result<Option<String>> + 'static,
    ) -> Result<Vec<String>> {
        let before = cpu_time(self.running.process())?;
        let outcome = drive(self.running.address, load, request, keep);
        let outcome = outcome.with_context(|| format!("{}, {}", self.subject.title(), case.title()))?;
        let used = cpu_time(self.running.process())?.saturating_sub(before);
        let Outcome { micros, .. } = &outcome;
        let found = Found {
            subject: self.subject,
            users: self.users,
            case,
            connections: load.connections,
            rate: outcome.rate(),
            p50: percentile(micros, 50),
            p99: percentile(micros, 99),
            cpu: used.as_secs_f64() * 1e6 / micros.len() as f64,
        };
        println!(
            "{:<20} {:>7} users  {:<34} {:>8.0}/s  p50 {:>8.0} µs  p99 {:>8.0} µs  CPU {:>6.0} µs",
            self.subject.title(),
            self.users,
            case.title(),
            found.rate,
            found.p50,
            found.p99,
            found.cpu
        );
        self.results.found.push(found);
        Ok(outcome.kept)
    }
}

/// Numbers below `users`, each once before one comes again, and none near the one before it.
fn scattered(number: usize, users: usize) -> usize {
    // A prime that divides no number of users that anybody would choose.
    number.wrapping_mul(7_919) % users
}

fn id(answer: &Answer<'_>) -> Result<String> {
    let text = || String::from_utf8_lossy(answer.body.get(..500).unwrap_or(answer.body)).into_owned();
    ensure!(
        matches!(answer.status, 200 | 201),
        "expected 200 or 201, but found {} {}",
        answer.status,
        text()
    );
    let body: Value = serde_json::from_slice(answer.body).with_context(text)?;
    body.get("id").and_then(Value::as_str).map(str::to_owned).with_context(text)
}

/// The status, and a text that must be in the body, whatever spaces are in it.
fn expect(answer: &Answer<'_>, status: u16, text: &str) -> Result<Option<String>> {
    let has = |text: &str| answer.body.windows(text.len()).any(|window| window == text.as_bytes());
    ensure!(
        answer.status == status && (has(text) || has(&text.replace(':', ": "))),
        "expected {status} and {text}, but found {} {}",
        answer.status,
        String::from_utf8_lossy(answer.body.get(..500).unwrap_or(answer.body))
    );
    Ok(None)
}
