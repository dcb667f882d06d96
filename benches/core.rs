//! What the core costs on this machine: `cargo bench --bench core`. Prints a Markdown table, for comparing by eye; the
//! numbers that count are taken in a real Envoy, by `cargo xtask bench jwt`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a measurement may panic"
)]
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock; the core does not")]
#![allow(clippy::print_stdout, reason = "the table is the result")]
#![allow(missing_docs, reason = "a program has no interface")]

mod crowd;
#[path = "../tests/it/keys.rs"]
#[allow(dead_code, reason = "shared with the integration tests, which use all of it")]
mod keys;
mod request;

use crowd::Crowd;
use doorward::jose::Algorithm;
use doorward::jose::crypto::{Verdict, verify};
use keys::{Owner, TestKey};
use request::{NOW, authn, decide, micros, request, with_job};
use serde_json::json;
use std::hint::black_box;
use std::time::{Duration, Instant};

const ROUNDS: usize = 21;
/// One round lasts about this long.
const ROUND: Duration = Duration::from_millis(20);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(start) = arguments.iter().position(|argument| argument == "--count") {
        return count(&arguments[start + 1..]);
    }
    println!(
        "| algorithm | one signature, µs | request, first in a new machine, µs | request, repeated, µs | of it without the signature, µs |"
    );
    println!("|---|---|---|---|---|");
    for algorithm in Algorithm::ALL {
        let (key, token) = key_and_token(algorithm);
        let signature = signature(&key, &token);
        let bearer = format!("Bearer {token}");
        let fields = request(bearer.as_bytes());
        let new = || authn(algorithm.name(), &key.jwk);
        let mut authn = new();
        let first = median(|| {
            // Only the request is timed: a machine is made at start.
            let mut authn = new();
            let start = Instant::now();
            decide(&mut authn, &fields, verify);
            start.elapsed()
        });
        let repeated = repeated(|| decide(&mut authn, &fields, verify));
        let unsigned = self::repeated(|| decide(&mut authn, &fields, |_| Verdict::Valid));
        println!(
            "| {algorithm} | {} | {} | {} | {} |",
            micros(signature),
            micros(first),
            micros(repeated),
            micros(unsigned)
        );
    }
    println!("\n| issuers | rules | new token, without its signature, µs | token that comes again, µs |");
    println!("|---|---|---|---|");
    for (issuers, rules) in [(1, 1), (10, 100), (1_000, 10_000)] {
        let took = [0, Crowd::TOKENS].map(|cached| {
            let mut crowd = Crowd::new(issuers, rules, cached);
            repeated(|| crowd.ask_all()) / u32::try_from(Crowd::TOKENS).unwrap()
        });
        println!("| {issuers} | {rules} | {} | {} |", micros(took[0]), micros(took[1]));
    }
}

/// `request ALGORITHM CALLS` (without its signature), `signature ALGORITHM CALLS`, or `new|again ISSUERSxRULES CALLS`, without a look at
/// the clock: for counting instructions, by `cargo xtask bench jwt --instructions`.
fn count(arguments: &[String]) {
    let [what, of, calls] = arguments else { panic!("expected WHAT ALGORITHM|ISSUERSxRULES CALLS") };
    let calls = 0..calls.parse::<u32>().unwrap();
    if let Some((issuers, rules)) = of.split_once('x') {
        let cached = if what == "again" { Crowd::TOKENS } else { 0 };
        let mut crowd = Crowd::new(issuers.parse().unwrap(), rules.parse().unwrap(), cached);
        return calls.for_each(|_| crowd.ask_all());
    }
    let algorithm = Algorithm::ALL.into_iter().find(|known| known.name() == of).unwrap();
    let (key, token) = key_and_token(algorithm);
    match what.as_str() {
        "request" => {
            let bearer = format!("Bearer {token}");
            let fields = request(bearer.as_bytes());
            let mut authn = authn(algorithm.name(), &key.jwk);
            calls.for_each(|_| decide(&mut authn, &fields, |_| Verdict::Valid));
        }
        "signature" => {
            with_job(&key.jwk, &token, |job| {
                calls.for_each(|_| assert_eq!(verify(black_box(job)), Verdict::Valid));
            });
        }
        _ => panic!("expected request or signature, but found {what}"),
    }
}

fn key_and_token(algorithm: Algorithm) -> (TestKey, String) {
    let key = TestKey::new(algorithm, Owner::First, "k1");
    let token = key.sign(&json!({
        "iss": "https://login.example.com/", "aud": "api", "sub": "alice", "groups": ["a", "b", "c"],
        "iat": NOW - 60, "exp": NOW + 300,
    }));
    (key, token)
}

fn signature(key: &TestKey, token: &str) -> Duration {
    with_job(&key.jwk, token, |job| repeated(|| assert_eq!(verify(black_box(job)), Verdict::Valid)))
}

/// The median of rounds of many calls each, so that the clock's own resolution does not count.
fn repeated(mut call: impl FnMut()) -> Duration {
    let start = Instant::now();
    call();
    let once = start.elapsed().max(Duration::from_nanos(100));
    let calls = u32::try_from(ROUND.as_nanos() / once.as_nanos()).unwrap().clamp(1, 100_000);
    median(|| {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        start.elapsed() / calls
    })
}

fn median(mut round: impl FnMut() -> Duration) -> Duration {
    let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| round()).collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}
