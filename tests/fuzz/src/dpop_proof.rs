//! A DPoP proof (RFC 9449) for one request and one token. The input is a proof, byte for byte; or, if it starts with `{`, lines that are
//! each encoded and joined by dots.

use crate::plain;
use doorward::jose::{Algorithm, base64url, thumbprint};
use doorward::oauth::dpop::{Expected, ProofError, Target, UnverifiedProof};
use doorward::time::UnixTime;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::time::Duration;

const NOW: i64 = 1_800_000_000;
const MAX_AGE: i64 = 60;
const TOKEN: &[u8] = b"token";
/// The members of keys that are not public.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A proof that is accepted says what it must, by the plainest reading, and is good for nothing else.
pub fn check(input: &[u8]) {
    if input.starts_with(b"{") {
        let segments: Vec<String> = input.split(|byte| *byte == b'\n').map(base64url::encode).collect();
        proof(segments.join(".").as_bytes());
    } else {
        proof(input);
    }
}

fn proof(text: &[u8]) {
    let Ok(proof) = UnverifiedProof::parse(text) else { return };
    assert!(text.len() <= UnverifiedProof::MAX_BYTES);
    let segments: Vec<Map<String, Value>> = text
        .split(|byte| *byte == b'.')
        .take(2)
        .map(|segment| plain::object(&base64url::decode(segment).expect("a segment that was accepted")))
        .collect();
    let [header, claims] = segments.as_slice() else { panic!("not two segments") };
    let typ = header["typ"].as_str().expect("a type").to_ascii_lowercase();
    assert!(typ == "dpop+jwt" || typ == "application/dpop+jwt", "{typ}");
    let jwk = &header["jwk"];
    assert!(PRIVATE.iter().all(|name| jwk.get(name).is_none()), "a private key");
    let jkt = thumbprint::sha256(jwk).expect("a key that was accepted has a thumbprint");
    let job = proof.signature_job();
    assert!(!job.algorithm.is_symmetric() && job.key.fits(job.algorithm), "{job:?}");
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let (id, method, uri) = (text("jti").expect("jti"), text("htm").expect("htm"), text("htu").expect("htu"));
    assert!(!id.is_empty() && id.len() <= UnverifiedProof::MAX_ID_BYTES);

    let target = Target::new(&[], b"https", b"api.example.com", b"/orders?page=2");
    let others: Vec<_> = Algorithm::ALL.into_iter().filter(|other| *other != job.algorithm).collect();
    let expected = Expected {
        now: UnixTime::from_secs(NOW),
        method: b"GET",
        target: &target,
        token: TOKEN,
        thumbprint: &jkt,
        algorithms: &Algorithm::ALL,
        max_age: Duration::from_secs(MAX_AGE.unsigned_abs()),
        nonce: None,
    };
    let verdict = proof.check(&expected);
    assert_eq!(proof.check(&expected), verdict, "checked twice, it is the same");
    let mut other_key = jkt;
    other_key[0] ^= 1;
    assert!(proof.check(&Expected { thumbprint: &other_key, ..expected }).is_err(), "bound to another key");
    assert!(proof.check(&Expected { token: b"other", ..expected }).is_err() || verdict.is_err());
    assert_eq!(proof.check(&Expected { algorithms: &others, ..expected }), Err(ProofError::Algorithm));
    if verdict.is_ok() {
        assert_eq!(method, "GET");
        let issued = claims["iat"].as_f64().expect("a number");
        assert!((issued - NOW as f64).abs() <= MAX_AGE as f64, "{issued}");
        assert_eq!(text("ath"), Some(base64url::encode(&Sha256::digest(TOKEN)).as_str()));
        let (start, end) = uri.split_at_checked("https://".len()).expect("an absolute URI");
        assert!(start.eq_ignore_ascii_case("https://"), "{uri}");
        assert!(end.to_ascii_lowercase().starts_with("api.example.com"), "{uri}");
        assert!(!end.contains('@') && !end.contains(".."), "{uri}");
        let other = Target::new(&[], b"https", b"api.example.com", b"/orders/7");
        assert_eq!(proof.check(&Expected { target: &other, ..expected }), Err(ProofError::Request));
        let ends = proof.ends(expected.max_age);
        let late = UnixTime::from_millis(ends.as_millis() + 1);
        assert_eq!(
            proof.check(&Expected { now: late, ..expected }),
            Err(ProofError::Age),
            "forgotten too early"
        );
    }
    let key = proof.replay_key(&[7; 32]);
    assert!(key.bucket < doorward::oauth::dpop::replay::BUCKETS);
    assert_eq!(proof.replay_key(&[7; 32]), key);
}
