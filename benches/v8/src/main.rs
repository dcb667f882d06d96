//! What one token costs in V8: `run.mjs` starts this with an algorithm, a JWK and a token by it, and it prints a row of the
//! table. `cargo xtask bench v8` builds it as it builds the filters.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a measurement may panic"
)]
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock; the core does not")]
#![allow(clippy::print_stdout, reason = "the row is the result")]

#[path = "../../request.rs"]
mod request;

use doorward::jose::crypto::{Verdict, verify};
use request::{authn, decide, micros, request, with_job};
use serde_json::Value;
use std::env::args;
use std::hint::black_box;
use std::time::{Duration, Instant};

const ROUNDS: usize = 40;
/// One round lasts about this long.
const ROUND: Duration = Duration::from_millis(20);
/// V8 compiles what is called often a second time, and better; only that counts.
const WARM_UP: Duration = Duration::from_millis(400);

fn main() {
    let [_, algorithm, key, token]: [String; 4] = args().collect::<Vec<_>>().try_into().unwrap();
    let key: Value = serde_json::from_str(&key).unwrap();
    let signature = with_job(&key, &token, |job| {
        assert_eq!(job.algorithm.name(), algorithm);
        measure(|| assert_eq!(verify(black_box(job)), Verdict::Valid))
    });
    let bearer = format!("Bearer {token}");
    let fields = request(bearer.as_bytes());
    let mut authn = authn(&algorithm, &key);
    // The signature is taken to be right.
    let rest = measure(|| decide(&mut authn, &fields, |_| Verdict::Valid));
    println!("| {algorithm} | {} | {} |", micros(signature), micros(rest));
}

/// The fastest of rounds of many calls each: the work is always the same, and whatever else runs only adds to it.
fn measure(mut call: impl FnMut()) -> Duration {
    let (start, mut calls) = (Instant::now(), 0_u32);
    while start.elapsed() < WARM_UP {
        call();
        calls += 1;
    }
    let share = ROUND.as_secs_f64() / WARM_UP.as_secs_f64();
    let calls = Duration::from_secs(calls.into()).mul_f64(share).as_secs().max(1);
    let calls = u32::try_from(calls).unwrap();
    let mut fastest = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        fastest = fastest.min(start.elapsed() / calls);
    }
    fastest
}
