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

use doorward::authn::decision::Decision;
use doorward::authn::{Authn, Outcome, Step};
use doorward::config::Config;
use doorward::http::{HeaderField, RequestHead};
use doorward::jose::crypto::{SignatureJob, Verdict, verify};
use doorward::jose::{Jwk, KeyOrigin, UnverifiedJws};
use doorward::time::UnixTime;
use serde_json::{Value, json};
use std::env::args;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NOW: i64 = 1_800_000_000;
const ROUNDS: usize = 40;
/// One round lasts about this long.
const ROUND: Duration = Duration::from_millis(20);
/// V8 compiles what is called often a second time, and better; only that counts.
const WARM_UP: Duration = Duration::from_millis(400);

fn main() {
    let [_, algorithm, key, token]: [String; 4] = args().collect::<Vec<_>>().try_into().unwrap();
    let key: Value = serde_json::from_str(&key).unwrap();
    let jws = UnverifiedJws::parse(token.as_bytes()).unwrap();
    let job = SignatureJob {
        algorithm: jws.unverified_header().algorithm,
        key: Arc::new(Jwk::from_json(&key, KeyOrigin::Inline).unwrap()),
        signing_input: jws.signing_input(),
        signature: jws.decode_signature().unwrap().into(),
    };
    assert_eq!(job.algorithm.name(), algorithm);
    let signature = measure(|| assert_eq!(verify(black_box(&job)), Verdict::Valid));

    let bearer = format!("Bearer {token}");
    let fields = request(bearer.as_bytes());
    let mut authn = Config::load(&document(&algorithm, &key)).unwrap().into_authn(1);
    let rest = measure(|| decide(&mut authn, &fields));
    println!("| {algorithm} | {} | {} |", micros(signature), micros(rest));
}

fn document(algorithm: &str, key: &Value) -> Vec<u8> {
    let document = json!({
        "providers": { "corp": {
            "issuer": "https://login.example.com/", "audiences": ["api"], "algorithms": [algorithm],
            "jwks": { "inline": { "keys": [key] } },
        } },
        "rules": [
            { "match": { "path": { "exact": "/healthz" } }, "allow": "anonymous" },
            { "match": { "path": { "prefix": "/" } }, "require": { "provider": "corp" } },
        ],
        "identity_headers": [
            { "header": "x-user-id", "claim": ["sub"] },
            { "header": "x-user-groups", "claim": ["groups"] },
        ],
    });
    document.to_string().into_bytes()
}

/// A request as a browser's proxy sends it.
fn request(bearer: &[u8]) -> Vec<HeaderField<'_>> {
    let fields: [(&[u8], &[u8]); 12] = [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":authority", b"api.example.com"),
        (b":path", b"/v1/orders/1234567?expand=items"),
        (b"accept", b"application/json"),
        (b"accept-encoding", b"gzip, br"),
        (b"user-agent", b"example/1.0"),
        (b"x-forwarded-for", b"192.0.2.1"),
        (b"x-forwarded-proto", b"https"),
        (b"x-request-id", b"5b7f7c1e-6a5e-4b6e-9b59-0d3c2f0e8a11"),
        (b"cookie", b"theme=dark; lang=en"),
        (b"authorization", bearer),
    ];
    fields.map(|(name, value)| HeaderField { name, value }).to_vec()
}

/// A whole request but for its signature, which is taken to be right.
fn decide(authn: &mut Authn, fields: &[HeaderField<'_>]) {
    let now = UnixTime::from_secs(NOW);
    let mut step = authn.begin(now, RequestHead::new(black_box(fields)));
    loop {
        step = match step {
            Step::VerifySignature(_, pending) => {
                authn.resume(now, *pending, Outcome::Signature(Verdict::Valid))
            }
            Step::Decide(Decision::Forward(forward)) => return drop(black_box(forward)),
            Step::Decide(Decision::Reject(reply)) => panic!("denied: {}", reply.denial),
            step @ (Step::Await(..) | Step::ReadCertificate(_) | Step::RecordProof(..)) => panic!("{step:?}"),
        }
    }
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

fn micros(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e6)
}
