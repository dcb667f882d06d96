//! JWK Sets, from the network and from the configuration.

use crate::plain;
use doorward::jose::crypto::{SignatureJob, Verdict, verify};
use doorward::jose::{Algorithm, Jwk, JwkSet, KeyFamily, KeyOrigin, base64url};
use serde_json::Value;
use std::sync::Arc;

/// Only keys that their own members allow are taken, and only for what they are for.
pub fn check(input: &[u8]) {
    let inline = JwkSet::parse(input, KeyOrigin::Inline);
    let remote = JwkSet::parse(input, KeyOrigin::Remote);
    let (inline, remote) = match (inline, remote) {
        (Ok(inline), Ok(remote)) => (inline, remote),
        (inline, remote) => {
            assert_eq!(inline.err(), remote.err(), "where keys come from does not change what a JWK Set is");
            return;
        }
    };
    let whole = Value::Object(plain::object(input));
    let entries = whole["keys"].as_array().expect("a list of keys");
    assert!(entries.len() <= JwkSet::MAX_KEYS);
    for (set, origin) in [(&inline, KeyOrigin::Inline), (&remote, KeyOrigin::Remote)] {
        check_set(set, entries, origin);
        let again = JwkSet::from_json(&whole, origin).expect("the same set");
        assert_eq!(again.skipped(), set.skipped());
        assert_eq!(again.keys().len(), set.keys().len());
    }
    let secrets = inline.keys().iter().filter(|key| key.family() == KeyFamily::Oct).count();
    assert_eq!(inline.keys().len() - secrets, remote.keys().len(), "only shared secrets make a difference");
    verify_junk(&inline, input);
}

fn check_set(set: &JwkSet, entries: &[Value], origin: KeyOrigin) {
    let skipped: Vec<usize> = set.skipped().iter().map(|skipped| skipped.index).collect();
    assert!(skipped.windows(2).all(|pair| pair[0] < pair[1]) && skipped.iter().all(|i| *i < entries.len()));
    assert_eq!(set.keys().len() + skipped.len(), entries.len(), "each is a key or is left out");
    let kept = entries.iter().enumerate().filter(|(index, _)| !skipped.contains(index));
    for (key, (_, entry)) in set.keys().iter().zip(kept) {
        check_key(key, entry, origin);
    }
    let mut names: Vec<Option<&str>> = set.keys().iter().take(8).map(|key| key.key_id()).collect();
    names.extend([None, Some("no such key")]);
    for name in names {
        for algorithm in Algorithm::ALL {
            check_candidates(set, name, algorithm);
        }
    }
}

fn check_key(key: &Jwk, entry: &Value, origin: KeyOrigin) {
    let text = |name: &str| entry.get(name).map(|value| value.as_str().expect("a string"));
    let bytes = |name: &str| base64url::decode(text(name).expect("a member").as_bytes()).expect("base64url");
    assert_eq!(key.key_id(), text("kid"));
    assert!(matches!(text("use"), None | Some("sig")), "not for signatures");
    let operations = entry.get("key_ops").map(|list| list.as_array().expect("a list"));
    assert!(operations.is_none_or(|list| list.iter().any(|operation| operation == "verify")));
    let family = match (text("kty").expect("kty"), text("crv")) {
        ("RSA", _) => KeyFamily::Rsa,
        ("EC", Some("P-256")) => KeyFamily::P256,
        ("EC", Some("P-384")) => KeyFamily::P384,
        ("EC", Some("P-521")) => KeyFamily::P521,
        ("OKP", Some("Ed25519")) => KeyFamily::Ed25519,
        ("oct", _) => KeyFamily::Oct,
        other => panic!("a key of kind {other:?}"),
    };
    assert_eq!(key.family(), family);
    if family == KeyFamily::Oct {
        assert_eq!(origin, KeyOrigin::Inline, "a shared secret from the network");
        assert!(bytes("k").len() >= 32, "a short secret");
    } else {
        assert!(entry.get("d").is_none(), "a published private key");
    }
    if family == KeyFamily::Rsa {
        let modulus = bytes("n");
        let modulus = &modulus[modulus.iter().position(|byte| *byte != 0).expect("a modulus")..];
        let bits = modulus.len() * 8 - usize::try_from(modulus[0].leading_zeros()).unwrap();
        assert!((2048..=8192).contains(&bits), "{bits} bits");
        let exponent = bytes("e");
        let exponent = exponent.iter().fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
        assert!(exponent % 2 == 1 && (65537..=1 << 33).contains(&exponent), "exponent {exponent}");
    }
    for algorithm in Algorithm::ALL {
        let own = text("alg").map(|name| Algorithm::from_name(name).expect("an algorithm"));
        if key.fits(algorithm) {
            assert_eq!(algorithm.key_family(), family);
            assert!(own.is_none_or(|own| own == algorithm), "the key is for {own:?}, not for {algorithm}");
        } else if own == Some(algorithm) {
            panic!("a key that does not fit its own algorithm {algorithm}");
        }
    }
}

/// Against the plainest reading of what [`JwkSet::candidates`] promises.
fn check_candidates(set: &JwkSet, name: Option<&str>, algorithm: Algorithm) {
    let found = set.candidates(name, algorithm);
    assert!(found.len() <= JwkSet::MAX_CANDIDATES);
    let fitting: Vec<&Arc<Jwk>> = set.keys().iter().filter(|key| key.fits(algorithm)).collect();
    let mut expected: Vec<&Arc<Jwk>> =
        fitting.iter().filter(|key| name.is_none() || key.key_id() == name).copied().collect();
    if expected.is_empty() {
        expected = fitting.into_iter().filter(|key| key.key_id().is_none()).collect();
    }
    expected.truncate(JwkSet::MAX_CANDIDATES);
    assert!(found.len() == expected.len() && found.iter().zip(&expected).all(|(a, b)| Arc::ptr_eq(a, b)));
}

/// No signature that was not made with the key is valid, whatever the key; checking it must not panic either.
fn verify_junk(set: &JwkSet, message: &[u8]) {
    for algorithm in Algorithm::ALL {
        // The first key alone: hostile RSA keys take milliseconds.
        let Some(key) = set.candidates(None, algorithm).first().map(|key| Arc::clone(key)) else { continue };
        let length = match algorithm.key_family() {
            KeyFamily::Rsa => 256,
            KeyFamily::P256 | KeyFamily::Ed25519 => 64,
            KeyFamily::P384 => 96,
            KeyFamily::P521 => 132,
            KeyFamily::Oct => algorithm.hash().bytes(),
        };
        for junk in [vec![], vec![0; length], vec![1; length]] {
            let job = SignatureJob {
                algorithm,
                key: Arc::clone(&key),
                signing_input: message,
                signature: junk.into(),
            };
            assert_eq!(verify(&job), Verdict::Invalid, "{job:?}");
        }
    }
}
