//! What both benchmarks of the core measure: one signature, and one request by one document.

use doorward::authn::decision::Decision;
use doorward::authn::{Authn, Outcome, Step};
use doorward::config::Config;
use doorward::http::{HeaderField, RequestHead};
use doorward::jose::crypto::{SignatureJob, Verdict};
use doorward::jose::{Jwk, KeyOrigin, UnverifiedJws};
use doorward::time::UnixTime;
use serde_json::{Value, json};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

/// When tokens are judged.
pub(crate) const NOW: i64 = 1_800_000_000;

/// The check of a token's signature.
pub(crate) fn with_job<T>(jwk: &Value, token: &str, work: impl FnOnce(&SignatureJob<'_>) -> T) -> T {
    let jws = UnverifiedJws::parse(token.as_bytes()).unwrap();
    work(&SignatureJob {
        algorithm: jws.unverified_header().algorithm,
        key: Arc::new(Jwk::from_json(jwk, KeyOrigin::Inline).unwrap()),
        signing_input: jws.signing_input(),
        signature: jws.decode_signature().unwrap().into(),
    })
}

/// A machine that judges every token anew.
pub(crate) fn authn(algorithm: &str, jwk: &Value) -> Authn {
    let document = json!({
        "providers": { "corp": {
            "issuer": "https://login.example.com/", "audiences": ["api"], "algorithms": [algorithm],
            "jwks": { "inline": { "keys": [jwk] } },
        } },
        "rules": [
            { "match": { "path": { "exact": "/healthz" } }, "allow": "anonymous" },
            { "match": { "path": { "prefix": "/" } }, "require": { "provider": "corp" } },
        ],
        "identity_headers": [
            { "header": "x-user-id", "claim": ["sub"] },
            { "header": "x-user-groups", "claim": ["groups"] },
        ],
        "limits": { "cached_tokens": 0 },
    });
    Config::load(document.to_string().as_bytes()).unwrap().into_authn(1)
}

/// A request as a browser's proxy sends it.
pub(crate) fn request(bearer: &[u8]) -> Vec<HeaderField<'_>> {
    request_to(b"/v1/orders/1234567?expand=items", bearer)
}

/// The same to another place.
pub(crate) fn request_to<'r>(path: &'r [u8], bearer: &'r [u8]) -> Vec<HeaderField<'r>> {
    let fields: [(&'r [u8], &'r [u8]); 12] = [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":authority", b"api.example.com"),
        (b":path", path),
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

/// Takes a request to its decision.
pub(crate) fn decide(
    authn: &mut Authn,
    fields: &[HeaderField<'_>],
    verify: impl Fn(&SignatureJob<'_>) -> Verdict,
) {
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

/// As a cell of a table.
pub(crate) fn micros(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e6)
}
