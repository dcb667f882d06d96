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

#[path = "../tests/it/keys.rs"]
#[allow(dead_code, reason = "shared with the integration tests, which use all of it")]
mod keys;

use doorward::authn::decision::Decision;
use doorward::authn::{Authn, Outcome, Step};
use doorward::config::Config;
use doorward::http::{HeaderField, RequestHead};
use doorward::jose::crypto::{SignatureJob, Verdict, verify};
use doorward::jose::{Algorithm, Jwk, KeyOrigin, UnverifiedJws};
use doorward::time::UnixTime;
use keys::{Owner, TestKey, key_set};
use serde_json::json;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NOW: i64 = 1_800_000_000;
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
        let document = document(&key);
        let mut authn = authn(&document);
        let first = median(|| {
            // Only the request is timed: a machine is made at start.
            let mut authn = self::authn(&document);
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
}

/// `request ALGORITHM CALLS` (without its signature) or `signature ALGORITHM CALLS`, without a look at the clock: for
/// counting instructions, by `cargo xtask bench jwt --instructions`.
fn count(arguments: &[String]) {
    let [what, algorithm, calls] = arguments else { panic!("expected WHAT ALGORITHM CALLS") };
    let algorithm = Algorithm::ALL.into_iter().find(|known| known.name() == algorithm).unwrap();
    let (key, token) = key_and_token(algorithm);
    let calls = 0..calls.parse::<u32>().unwrap();
    match what.as_str() {
        "request" => {
            let bearer = format!("Bearer {token}");
            let fields = request(bearer.as_bytes());
            let mut authn = authn(&document(&key));
            calls.for_each(|_| decide(&mut authn, &fields, |_| Verdict::Valid));
        }
        "signature" => {
            with_job(&key, &token, |job| {
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
    with_job(key, token, |job| repeated(|| assert_eq!(verify(black_box(job)), Verdict::Valid)))
}

fn with_job<T>(key: &TestKey, token: &str, work: impl FnOnce(&SignatureJob<'_>) -> T) -> T {
    let jws = UnverifiedJws::parse(token.as_bytes()).unwrap();
    work(&SignatureJob {
        algorithm: key.algorithm,
        key: Arc::new(Jwk::from_json(&key.jwk, KeyOrigin::Inline).unwrap()),
        signing_input: jws.signing_input(),
        signature: jws.decode_signature().unwrap().into(),
    })
}

fn document(key: &TestKey) -> Vec<u8> {
    let document = json!({
        "providers": { "corp": {
            "issuer": "https://login.example.com/", "audiences": ["api"], "algorithms": [key.algorithm.name()],
            "jwks": { "inline": key_set([key]) },
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

fn authn(document: &[u8]) -> Authn {
    Config::load(document).unwrap().into_authn(1)
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

fn decide(authn: &mut Authn, fields: &[HeaderField<'_>], verify: impl Fn(&SignatureJob<'_>) -> Verdict) {
    let now = UnixTime::from_secs(NOW);
    let mut step = authn.begin(now, RequestHead::new(black_box(fields)));
    loop {
        step = match step {
            Step::VerifySignature(job, pending) => {
                authn.resume(now, *pending, Outcome::Signature(verify(&job)))
            }
            Step::Decide(Decision::Forward(forward)) => return drop(black_box(forward)),
            Step::Decide(Decision::Reject(reply)) => panic!("denied: {}", reply.denial),
            step @ (Step::Await(..) | Step::ReadCertificate(_) | Step::RecordProof(..)) => panic!("{step:?}"),
        }
    }
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

fn micros(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e6)
}
