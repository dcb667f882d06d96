//! Whatever a key set from the network holds, it is a set without that key: never a trap, never a key.

use crate::keys::{Owner, TestKey};
use doorward::jose::crypto::{SignatureJob, Verdict, verify};
use doorward::jose::{Algorithm, Jwk, JwkError, JwkSet, KeyOrigin, base64url};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

fn usable(key: &Value) -> usize {
    let document = json!({ "keys": [key] }).to_string();
    JwkSet::parse(document.as_bytes(), KeyOrigin::Remote).unwrap().keys().len()
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Value {
    json!({ "kty": "RSA", "n": base64url::encode(modulus), "e": base64url::encode(exponent) })
}

fn modulus(first: u8, last: u8) -> Vec<u8> {
    let mut bytes = vec![0x5a; 256];
    (bytes[0], bytes[255]) = (first, last);
    bytes
}

#[test]
fn keys_that_are_none_are_left_out() {
    let e = [1, 0, 1];
    for (what, key) in [
        ("even modulus", rsa(&modulus(0x80, 0), &e)),
        ("2047 bits", rsa(&modulus(0x7f, 1), &e)),
        ("8193 bits", rsa(&[&[1][..], &[0xff; 1024]].concat(), &e)),
        ("modulus of zeros", rsa(&[0; 256], &e)),
        ("no modulus", rsa(&[], &e)),
        ("exponent 0", rsa(&modulus(0x80, 1), &[0])),
        ("exponent 1", rsa(&modulus(0x80, 1), &[1])),
        ("exponent 3", rsa(&modulus(0x80, 1), &[3])),
        ("even exponent", rsa(&modulus(0x80, 1), &[1, 0, 2])),
        ("exponent as long as the modulus", rsa(&modulus(0x80, 1), &modulus(0x70, 1))),
        ("no exponent", rsa(&modulus(0x80, 1), &[])),
        ("point at infinity", json!({ "kty": "EC", "crv": "P-256", "x": "", "y": "" })),
        ("point of zeros", ec("P-256", &[0; 32], &[0; 32])),
        ("point beyond the field", ec("P-256", &[0xff; 32], &[0xff; 32])),
        ("short coordinates", ec("P-384", &[1; 32], &[1; 32])),
        ("P-521 beyond the field", ec("P-521", &[0xff; 66], &[0xff; 66])),
        (
            "Ed25519 of small order",
            json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url::encode(&[0; 32]) }),
        ),
        ("Ed25519, the neutral element", json!({ "kty": "OKP", "crv": "Ed25519", "x": neutral() })),
        (
            "Ed25519 not on the curve",
            json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url::encode(&[2; 32]) }),
        ),
        ("Ed448", json!({ "kty": "OKP", "crv": "Ed448", "x": base64url::encode(&[9; 57]) })),
    ] {
        assert_eq!(usable(&key), 0, "{what}");
    }
    assert_eq!(usable(&rsa(&modulus(0x80, 1), &e)), 1, "the shape that the others are broken from");
}

fn secret(algorithm: &str, bytes: usize) -> Result<Jwk, JwkError> {
    let key = json!({ "kty": "oct", "alg": algorithm, "k": base64url::encode(&vec![7; bytes]) });
    Jwk::from_json(&key, KeyOrigin::Inline)
}

#[test]
fn short_secrets_are_no_keys() {
    assert_eq!(secret("HS256", 31).err(), Some(JwkError::SecretTooShort { expected: 32, found: 31 }));
    assert!(secret("HS256", 32).is_ok() && secret("HS384", 48).is_ok() && secret("HS512", 64).is_ok());
}

/// RFC 7518 section 3.2. No signature by such a key is ever valid; it must not load and refuse every token.
#[test]
fn a_secret_too_short_for_its_algorithm_is_no_key() {
    assert!(secret("HS512", 32).is_err(), "taken for a key of HS512");
}

fn ec(curve: &str, x: &[u8], y: &[u8]) -> Value {
    json!({ "kty": "EC", "crv": curve, "x": base64url::encode(x), "y": base64url::encode(y) })
}

fn neutral() -> String {
    let mut one = [0; 32];
    one[0] = 1;
    base64url::encode(&one)
}

/// RFC 8032 leaves room that some verifiers use: a point R of small order, and an S beyond the group's order, give a
/// second signature for one message. Made for the first test key and the message `a.b`.
#[test]
fn there_is_one_ed25519_signature_for_one_nonce() {
    let key = TestKey::new(Algorithm::EdDsa, Owner::First, "k");
    let check = |what: &str, signature: &str, expected: Verdict| {
        let job = SignatureJob {
            algorithm: Algorithm::EdDsa,
            key: Arc::new(Jwk::from_json(&key.jwk, KeyOrigin::Remote).unwrap()),
            signing_input: b"a.b",
            signature: base64url::decode(signature.as_bytes()).unwrap().into(),
        };
        assert_eq!(verify(&job), expected, "{what}");
    };
    let good = "709i-EeXM62HnPrO08ianDndT8eV7y76HD6v5NcpoIGqLFT0iaCMslAQC9l3k8BCdZUZKYGA-B0LUTgEVWibBg";
    check("by the key", good, Verdict::Valid);
    let beyond = "709i-EeXM62HnPrO08ianDndT8eV7y76HD6v5NcpoIGXAEpRpAOfCietAnxWjZ9XdZUZKYGA-B0LUTgEVWibFg";
    check("S plus the order", beyond, Verdict::Invalid);
    let neutral = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACiOp7j5RiS_c5L_w2YdVFXT6W1wDbRbSlDjS5YoBgCw";
    check("R is the neutral element", neutral, Verdict::Invalid);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// An RSA key is any odd number of the right size: what does not divide it must still not trap.
    #[test]
    fn any_rsa_key_and_signature_get_a_verdict(
        mut modulus in prop::collection::vec(any::<u8>(), 256..260),
        signature in prop::collection::vec(any::<u8>(), 0..300),
        scheme in 0..6_usize,
    ) {
        modulus[0] |= 0x80;
        let Ok(key) = Jwk::from_json(&rsa(&modulus, &[1, 0, 1]), KeyOrigin::Remote) else { return Ok(()) };
        let job = SignatureJob {
            algorithm: Algorithm::ALL[scheme],
            key: Arc::new(key),
            signing_input: b"a.b",
            signature: signature.into(),
        };
        prop_assert_eq!(verify(&job), Verdict::Invalid);
    }

    /// A signature of any length and content, for every kind of key.
    #[test]
    fn any_signature_gets_a_verdict(signature in prop::collection::vec(any::<u8>(), 0..200), which in 6..13_usize) {
        let key = TestKey::new(Algorithm::ALL[which], Owner::First, "k");
        let job = SignatureJob {
            algorithm: key.algorithm,
            key: Arc::new(Jwk::from_json(&key.jwk, KeyOrigin::Inline).unwrap()),
            signing_input: b"a.b",
            signature: signature.into(),
        };
        prop_assert_eq!(verify(&job), Verdict::Invalid);
    }

    /// A key never answers for an algorithm that it does not fit, whoever asks.
    #[test]
    fn a_key_that_does_not_fit_says_invalid(which in 6..13_usize, asked in 0..13_usize) {
        let key = TestKey::new(Algorithm::ALL[which], Owner::First, "k");
        let token = key.sign(&json!({}));
        let (input, signature) = token.rsplit_once('.').unwrap();
        let job = SignatureJob {
            algorithm: Algorithm::ALL[asked],
            key: Arc::new(Jwk::from_json(&key.jwk, KeyOrigin::Inline).unwrap()),
            signing_input: input.as_bytes(),
            signature: base64url::decode(signature.as_bytes()).unwrap().into(),
        };
        let expected = if asked == which { Verdict::Valid } else { Verdict::Invalid };
        prop_assert_eq!(verify(&job), expected);
    }
}
