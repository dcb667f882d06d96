//! The run itself.

use super::instructions;
use super::listeners::{Subject, config, module};
use super::load::{Batch, CONNECTIONS, Load};
use super::machine::Machine;
use super::plan::Plan;
use super::process::{cpu_time, resident};
use super::results::{Case, Cpu, Latency, Memory, Results, Sizes, Start};
use super::statistics::{median, percentile};
use super::tokens::{Set, Tokens};
use super::zipf;
use anyhow::{Context, Result, ensure};
use doorward_testbed::{Envoy, Request, eventually, run, send};
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// Workers whose VMs are weighed together.
const WORKERS: u32 = 4;

/// How long sending all large tokens may take, in seconds.
const PATIENCE: u32 = 120;

/// Measures all of it.
pub(super) fn measure(plan: Plan, count: bool) -> Result<Results> {
    let module = module();
    let module_bytes = fs::metadata(&module)
        .with_context(|| format!("expected {}: run `cargo xtask build`", module.display()))?
        .len();
    let load = Load::find()?;
    let mut machine = Machine::look(load.wrk.clone(), load.h2load.clone())?;
    let tokens = Tokens::get(&plan)?;
    let (instructions, dispatch) = if count { instructions::count()? } else { Default::default() };
    let bench = Bench { plan, load, tokens };
    run(async {
        let envoy = Envoy::start(&config(&Subject::ALL, &bench.tokens.jwks)?).await?;
        let cpu = bench.cpu(&envoy).await?;
        let latency = bench.latency(&envoy)?;
        drop(envoy);
        let start = bench.start().await?;
        let memory = bench.memory().await?;
        machine.host.leave();
        let sizes = Sizes {
            rounds: plan.rounds,
            requests: plan.requests,
            new: plan.new,
            distinct: plan.distinct,
            large: plan.large,
            rate: plan.rate,
            rate_seconds: plan.rate_seconds,
        };
        Ok(Results { machine, sizes, module_bytes, cpu, latency, start, memory, instructions, dispatch })
    })
}

struct Bench {
    plan: Plan,
    load: Load,
    tokens: Tokens,
}

impl Bench {
    async fn cpu(&self, envoy: &Envoy) -> Result<Vec<Cpu>> {
        let mut found = Vec::new();
        for case in Case::ALL {
            for set in &self.tokens.sets {
                let algorithm = if case == Case::NoToken { "-" } else { &set.algorithm };
                found.extend(self.case(envoy, case, algorithm, set).await?);
                if case == Case::NoToken {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// All rounds of one case, listener after listener in each, another one first each time. Round 0 warms up: it fills the
    /// caches with what comes again.
    async fn case(&self, envoy: &Envoy, case: Case, algorithm: &str, set: &Set) -> Result<Vec<Cpu>> {
        let mut micros: BTreeMap<Subject, Vec<f64>> = BTreeMap::new();
        for round in 0..=self.plan.rounds {
            let (tokens, order) = sent(&self.plan, case, set, round)?;
            let batch = self.load.batch(&tokens, &order)?;
            let mut subjects = Subject::ALL;
            subjects.rotate_left(round % Subject::ALL.len());
            for subject in subjects {
                if round == 0 {
                    probe(envoy, subject, case, probe_token(case, set)).await?;
                }
                let spent = self.round(envoy, subject, case, &batch).await?;
                if round > 0 {
                    micros.entry(subject).or_default().push(spent);
                }
            }
        }
        let shown: Vec<String> = Subject::ALL
            .iter()
            .map(|subject| {
                format!("{} {:.1}", subject.name(), median(micros.get(subject).map_or(&[], |m| m)))
            })
            .collect();
        println!("{} {algorithm}: {}", case.title(), shown.join(", "));
        let cpu = |(subject, micros)| Cpu { case, algorithm: algorithm.to_owned(), subject, micros };
        Ok(micros.into_iter().map(cpu).collect())
    }

    /// CPU time of Envoy a request, in µs. Every answer must be as `case` demands.
    async fn round(&self, envoy: &Envoy, subject: Subject, case: Case, batch: &Batch) -> Result<f64> {
        let before = Answers::of(envoy, subject).await?;
        let start = cpu_time(envoy.id())?;
        self.load.send(envoy.addr(subject.name())?, batch, self.plan.seconds)?;
        let spent = cpu_time(envoy.id())? - start;
        let answers = Answers::of(envoy, subject).await?.since(before);
        let expected = if passes(subject, case) { answers.successes } else { answers.client_errors };
        let enough = answers.all + u64::from(CONNECTIONS) >= batch.requests
            || answers.all > u64::from(self.plan.seconds) * 100;
        ensure!(
            enough && expected == answers.all,
            "expected {} answers as {:?} demands from {}, but found {answers:?}\n{}",
            batch.requests,
            case,
            subject.name(),
            envoy.log()
        );
        Ok(micros(spent) / answers.all as f64)
    }

    fn latency(&self, envoy: &Envoy) -> Result<Vec<Latency>> {
        let token = first(&self.tokens.sets.first().context("expected RS256")?.distinct)?;
        let mut found = Subject::ALL.map(|subject| Latency { subject, p50: Vec::new(), p99: Vec::new() });
        for round in 0..=self.plan.rounds {
            found.rotate_left(1);
            for latency in &mut found {
                let to = envoy.addr(latency.subject.name())?;
                let taken = self.load.at_rate(to, token, self.plan.rate, self.plan.rate_seconds)?;
                if round > 0 {
                    latency.p50.push(percentile(&taken, 50));
                    latency.p99.push(percentile(&taken, 99));
                }
            }
        }
        found.sort_by_key(|latency| latency.subject);
        Ok(found.to_vec())
    }

    async fn start(&self) -> Result<Start> {
        let mut start = Start { bare: Vec::new(), ours: Vec::new() };
        for _ in 0..self.plan.starts {
            start.bare.push(self.first_response(Subject::Bare).await?);
            start.ours.push(self.first_response(Subject::Ours).await?);
        }
        Ok(start)
    }

    /// From starting Envoy to the first response, in ms.
    async fn first_response(&self, subject: Subject) -> Result<f64> {
        let config = config(&[subject], &self.tokens.jwks)?;
        let set = self.tokens.sets.first().context("expected RS256")?;
        let start = Instant::now();
        let envoy = Envoy::start(&config).await?;
        probe(&envoy, subject, Case::Repeated, first(&set.distinct)?).await?;
        Ok(micros(start.elapsed()) / 1e3)
    }

    async fn memory(&self) -> Result<Memory> {
        let mut once = Vec::new();
        let mut each = Vec::new();
        for subject in [Subject::Bare, Subject::Ours] {
            let (one, more) = (self.idle(subject, 1).await?, self.idle(subject, WORKERS + 1).await?);
            once.push(one);
            each.push((more - one) / i64::from(WORKERS));
        }
        let added =
            |of: &[i64]| of.iter().rev().copied().reduce(|ours, bare| ours - bare).unwrap_or_default();
        let large = self.growth(Subject::Ours).await? - self.growth(Subject::Nothing).await?;
        Ok(Memory { shared: added(&once), vm: added(&each), large })
    }

    /// Memory of an Envoy that has served nothing.
    async fn idle(&self, subject: Subject, workers: u32) -> Result<i64> {
        let config = config(&[subject], &self.tokens.jwks)?.concurrency(workers);
        settled(&Envoy::start(&config).await?).await
    }

    /// What the memory of an Envoy with one worker grows by when each large token is sent once. Before, one token is sent as
    /// often, so that V8 has compiled what it compiles.
    async fn growth(&self, subject: Subject) -> Result<i64> {
        let envoy = Envoy::start(&config(&[subject], &self.tokens.jwks)?).await?;
        let eddsa = self.tokens.sets.last().context("expected EdDSA")?;
        let count = self.tokens.large.len();
        let mut memory = Vec::new();
        for (tokens, order) in [
            (eddsa.distinct.as_slice(), vec![0; count]),
            (self.tokens.large.as_slice(), (0..count).collect::<Vec<_>>()),
        ] {
            let batch = self.load.batch(tokens, &order)?;
            let before = Answers::of(&envoy, subject).await?;
            self.load.send(envoy.addr(subject.name())?, &batch, PATIENCE)?;
            let answers = Answers::of(&envoy, subject).await?.since(before);
            ensure!(
                answers.successes + u64::from(CONNECTIONS) >= batch.requests,
                "expected {} tokens to pass, but found {answers:?}",
                batch.requests
            );
            memory.push(settled(&envoy).await?);
        }
        Ok(memory.into_iter().rev().reduce(|after, before| after - before).unwrap_or_default())
    }
}

/// Memory of the process, in bytes, once it is idle: V8 compiles on threads of its own for a while.
async fn settled(envoy: &Envoy) -> Result<i64> {
    let idle = async || {
        let before = cpu_time(envoy.id())?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(cpu_time(envoy.id())? - before < Duration::from_millis(10))
    };
    eventually("Envoy is idle", Duration::from_secs(60), idle).await?;
    Ok(i64::try_from(resident(envoy.id())?)?)
}

/// What is sent in a round, and in which order.
fn sent(plan: &Plan, case: Case, set: &Set, round: usize) -> Result<(Vec<String>, Vec<usize>)> {
    let one = |token: &str| (vec![token.to_owned()], vec![0; plan.requests]);
    Ok(match case {
        Case::Repeated => one(first(&set.distinct)?),
        Case::BadSignature => one(&set.bad_signature),
        Case::NoToken => one(""),
        Case::New => {
            let new = set.new.get(round).context("expected tokens for every round")?;
            (new.clone(), (0..new.len()).collect())
        }
        // Each once, those last that come most often.
        Case::Zipf if round == 0 => (set.distinct.clone(), (0..set.distinct.len()).rev().collect()),
        Case::Zipf => {
            let order = zipf::order(plan.distinct, plan.requests, u64::try_from(round)?);
            (set.distinct.clone(), order)
        }
    })
}

/// A token to try first. Not one that is to be new.
fn probe_token(case: Case, set: &Set) -> &str {
    match case {
        Case::NoToken => "",
        Case::BadSignature => &set.bad_signature,
        Case::Repeated | Case::Zipf | Case::New => first(&set.distinct).unwrap_or_default(),
    }
}

/// What a listener has answered, as Envoy counts it.
#[derive(Debug, Clone, Copy)]
struct Answers {
    all: u64,
    successes: u64,
    client_errors: u64,
}

impl Answers {
    async fn of(envoy: &Envoy, subject: Subject) -> Result<Self> {
        let stats = envoy.stats().await?;
        let count = |name: &str| {
            let name = format!("http.{}.downstream_rq_{name}", subject.name());
            stats.get(&name).copied().unwrap_or(0)
        };
        Ok(Self { all: count("completed"), successes: count("2xx"), client_errors: count("4xx") })
    }

    fn since(self, before: Self) -> Self {
        Self {
            all: self.all - before.all,
            successes: self.successes - before.successes,
            client_errors: self.client_errors - before.client_errors,
        }
    }
}

/// One request, whose status must be exactly what `case` demands.
async fn probe(envoy: &Envoy, subject: Subject, case: Case, token: &str) -> Result<()> {
    let request = Request::get("/v1/orders/1234567").header("host", "api.example.com");
    let request = if token.is_empty() { request } else { request.bearer(token) };
    let response = send(envoy.addr(subject.name())?, &request).await?;
    let expected = if passes(subject, case) { 200 } else { 401 };
    ensure!(
        response.status == expected,
        "expected {expected} from {} for {case:?}, but found {}: {}\n{}",
        subject.name(),
        response.status,
        response.text(),
        envoy.log()
    );
    Ok(())
}

fn passes(subject: Subject, case: Case) -> bool {
    !subject.judges() || case.passes()
}

fn first(tokens: &[String]) -> Result<&str> {
    tokens.first().map(String::as_str).context("expected a token")
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> Set {
        Set {
            algorithm: "RS256".to_owned(),
            distinct: (0..200).map(|number| format!("d{number}")).collect(),
            new: vec![vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned(), "d".to_owned()]],
            bad_signature: "bad".to_owned(),
        }
    }

    #[test]
    fn every_round_of_new_tokens_has_others() {
        let set = set();
        let sent = |round| sent(&Plan::QUICK, Case::New, &set, round);
        assert_eq!(sent(0).unwrap(), (vec!["a".to_owned(), "b".to_owned()], vec![0, 1]));
        assert_eq!(sent(1).unwrap(), (vec!["c".to_owned(), "d".to_owned()], vec![0, 1]));
        assert!(sent(2).is_err());
        assert!(!set.new.concat().contains(&probe_token(Case::New, &set).to_owned()));
    }

    #[test]
    fn zipf_starts_with_each_token_once() {
        let set = set();
        let (_, mut order) = sent(&Plan::QUICK, Case::Zipf, &set, 0).unwrap();
        assert_eq!(order.last(), Some(&0));
        order.sort_unstable();
        assert_eq!(order, (0..200).collect::<Vec<_>>());
        let (tokens, order) = sent(&Plan::QUICK, Case::Zipf, &set, 1).unwrap();
        assert_eq!((tokens.len(), order.len()), (200, Plan::QUICK.requests));
    }

    #[test]
    fn only_filters_that_judge_deny() {
        for subject in Subject::ALL {
            let denies = [Case::BadSignature, Case::NoToken].map(|case| !passes(subject, case));
            assert_eq!(denies, [subject.judges(); 2], "{subject:?}");
            assert!(passes(subject, Case::New));
        }
    }
}
