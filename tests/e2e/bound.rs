//! Bound tokens: DPoP with a real OpenID provider and npm's jose, and client certificates over TLS.

use crate::support::{Edge, Provider, code, document, inline_provider, node, output, python, with};
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use doorward_testbed::{EnvoyConfig, Issuer, Request, Response, folder, run};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// A running `node/dpop_client.mjs`.
pub(crate) struct Client {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Client {
    pub(crate) fn start() -> Result<Self> {
        let mut command = node("dpop_client.mjs");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("expected node")?;
        let input = child.stdin.take().context("expected a pipe")?;
        let output = BufReader::new(child.stdout.take().context("expected a pipe")?);
        Ok(Self { child, input, output })
    }

    fn ask(&mut self, command: &Value) -> Result<Value> {
        writeln!(self.input, "{command}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("expected JSON for {command}"))
    }

    /// A bound token, for a resource or opaque.
    pub(crate) fn token(&mut self, provider: &Provider, resource: &str) -> Result<String> {
        let answer = self.ask(&json!({ "token": provider.issuer(), "resource": resource }))?;
        assert_eq!(answer["token_type"], "DPoP");
        Ok(answer["access_token"].as_str().context("expected a token")?.to_owned())
    }

    pub(crate) fn proof(&mut self, proof: Value) -> Result<String> {
        let answer = self.ask(&json!({ "proof": proof }))?;
        Ok(answer["proof"].as_str().context("expected a proof")?.to_owned())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn signed(scheme: &str, token: &str, proof: &str) -> Request {
    Request::get("/orders?page=2").header("authorization", format!("{scheme} {token}")).header("dpop", proof)
}

pub(crate) fn verdict(response: &Response) -> (u16, String) {
    (response.status, if response.status == 200 { "ok".to_owned() } else { code(response) })
}

/// The provider's JWTs by their keys, its opaque tokens by asking; both bound.
pub(crate) fn configuration(provider: &Provider, dpop: &Value) -> Value {
    let issuer = provider.issuer();
    let remote = json!({ "uri": format!("{issuer}/jwks"), "cluster": "idp", "danger_allow_http": true });
    let introspection = json!({
        "uri": format!("{issuer}/token/introspection"), "cluster": "idp", "danger_allow_http": true,
        "client_id": "edge", "client_secret": "secret",
    });
    json!({
        "providers": {
            "jwt": { "issuer": issuer, "audiences": ["api"], "jwks": { "remote": remote }, "dpop": dpop },
            "opaque": { "issuer": issuer, "audiences": ["api"], "introspection": introspection, "dpop": dpop },
        },
        "rules": [{ "match": {}, "require": { "any": [{ "provider": "jwt" }, { "provider": "opaque" }] } }],
        "identity_headers": [{ "header": "x-client", "claim": ["client_id"] }],
    })
}

async fn edge(provider: &Provider, dpop: Value, workers: u32) -> Result<Edge> {
    let addr = provider.addr;
    let change = |config: EnvoyConfig| config.cluster("idp", addr).concurrency(workers);
    Edge::start_with(&configuration(provider, &dpop), change, |listener| listener).await
}

#[test]
fn a_proof_passes_once_whichever_worker_sees_it() {
    run(async {
        let provider = Provider::start().await?;
        let edge = edge(&provider, json!({}), 4).await?;
        let mut client = Client::start()?;
        let url = "http://localhost/orders";
        for resource in ["urn:api:ES256", "urn:api:opaque"] {
            let token = client.token(&provider, resource)?;
            let proof = client.proof(json!({ "method": "GET", "url": url, "token": token }))?;
            let seen = edge.forwarded(&signed("DPoP", &token, &proof)).await?;
            assert_eq!(seen.text("x-client").as_deref(), Some("service"));
            assert_eq!((seen.text("authorization"), seen.text("dpop")), (None, None));
            // Each request comes on a connection of its own, and so to any of the four workers.
            for _ in 0..20 {
                let again = edge.send(&signed("DPoP", &token, &proof)).await?;
                assert_eq!(verdict(&again), (401, "dpop_proof_replayed".into()), "{resource}");
            }
            // At the same time on all workers: one of them wins.
            let proof = client.proof(json!({ "method": "GET", "url": url, "token": token }))?;
            let mut requests = tokio::task::JoinSet::new();
            for _ in 0..40 {
                let (addr, request) = (edge.addr(), signed("DPoP", &token, &proof));
                requests.spawn(async move { doorward_testbed::send(addr, &request).await });
            }
            let mut passed = 0;
            while let Some(response) = requests.join_next().await {
                let response = response??;
                match response.status {
                    200 => passed += 1,
                    _ => assert_eq!(verdict(&response), (401, "dpop_proof_replayed".into())),
                }
            }
            assert_eq!(passed, 1, "{resource}");
        }
        edge.expect_healthy(4).await
    })
    .unwrap();
}

#[test]
fn what_does_not_fit_the_proof_is_refused() {
    run(async {
        let provider = Provider::start().await?;
        let edge = edge(&provider, json!({ "required": false }), 1).await?;
        let (mut client, mut thief) = (Client::start()?, Client::start()?);
        let url = "http://localhost/orders";
        let token = client.token(&provider, "urn:api:ES256")?;
        let good = || json!({ "method": "GET", "url": url, "token": token });
        let cases = [
            (good(), "ok"),
            (with(good(), json!({ "method": "POST" })), "dpop_request_mismatch"),
            (with(good(), json!({ "url": format!("{url}/7") })), "dpop_request_mismatch"),
            (with(good(), json!({ "url": "https://api.example.com/orders" })), "dpop_request_mismatch"),
            (with(good(), json!({ "token": "another" })), "dpop_token_mismatch"),
            (with(good(), json!({ "token": null })), "dpop_token_mismatch"),
            (with(good(), json!({ "iat": 1_700_000_000 })), "dpop_proof_expired"),
        ];
        for (proof, expected) in cases {
            let sent = client.proof(proof.clone())?;
            let response = edge.send(&signed("DPoP", &token, &sent)).await?;
            assert_eq!(verdict(&response).1, expected, "{proof}");
        }
        let stolen = thief.proof(good())?;
        let response = edge.send(&signed("DPoP", &token, &stolen)).await?;
        assert_eq!(verdict(&response), (401, "dpop_token_mismatch".into()));
        let challenge = response.header("www-authenticate").unwrap_or_default();
        assert!(challenge.contains(r#"DPoP error="invalid_dpop_proof""#), "{challenge}");

        let proof = client.proof(good())?;
        let response = edge.send(&signed("Bearer", &token, &proof)).await?;
        assert_eq!(verdict(&response), (401, "dpop_downgraded".into()));
        let bare = Request::get("/orders").header("authorization", format!("DPoP {token}"));
        assert_eq!(edge.denied(&bare).await?, (401, "dpop_proof_missing".into()));
        edge.expect_healthy(1).await
    })
    .unwrap();
}

#[test]
fn a_nonce_is_given_and_then_demanded() {
    run(async {
        let provider = Provider::start().await?;
        let edge = edge(&provider, json!({ "nonce": {} }), 4).await?;
        let mut client = Client::start()?;
        let url = "http://localhost/orders";
        let token = client.token(&provider, "urn:api:EdDSA")?;
        let proof = client.proof(json!({ "method": "GET", "url": url, "token": token }))?;
        let response = edge.send(&signed("DPoP", &token, &proof)).await?;
        assert_eq!(verdict(&response), (401, "dpop_nonce_required".into()));
        let nonce = response.header("dpop-nonce").context("expected a nonce")?;
        // Any worker takes it.
        for _ in 0..10 {
            let proof =
                client.proof(json!({ "method": "GET", "url": url, "token": token, "nonce": nonce }))?;
            edge.forwarded(&signed("DPoP", &token, &proof)).await?;
        }
        Ok(())
    })
    .unwrap();
}

/// The SHA-256 of a certificate, as RFC 8705 section 3.1 has it.
fn thumbprint(pem: &str) -> String {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(body).unwrap();
    doorward::jose::base64url::encode(&Sha256::digest(der))
}

#[test]
fn a_certificate_bound_token_passes_with_its_certificate_alone() {
    run(async {
        let issuer = Issuer::start().await?;
        let folder = folder::scratch("certificates")?;
        output(python("certificates.py").arg(&folder))?;
        let file = |name: &str| folder.join(name);
        let configuration = document(&with(inline_provider(&issuer), json!({ "certificate_bound": true })));
        let edge = Edge::start_with(
            &configuration,
            |config| config,
            |listener| {
                listener.mutual_tls(&file("provider.crt"), &file("provider.key"), &file("authority.crt"))
            },
        )
        .await?;
        let digest = thumbprint(&fs::read_to_string(file("other.crt"))?);
        let bound = issuer.mint(&json!({ "cnf": { "x5t#S256": digest } }))?;
        let unbound = issuer.mint(&json!({}))?;
        let get = |certificate: &str, token: &str| -> Result<(u64, String)> {
            let mut command = node("tls_get.mjs");
            command.arg(edge.addr().port().to_string()).arg(&folder).args([certificate, token]);
            let answer = output(&mut command)?;
            let body: Value = serde_json::from_str(answer["body"].as_str().unwrap_or_default())?;
            let status = answer["status"].as_u64().context("expected a status")?;
            Ok((status, body["code"].as_str().unwrap_or("ok").to_owned()))
        };
        assert_eq!(get("other", &bound)?, (200, "ok".into()));
        assert_eq!(get("provider", &bound)?, (401, "certificate_mismatch".into()));
        assert_eq!(get("-", &bound)?, (401, "certificate_mismatch".into()));
        assert_eq!(get("other", &unbound)?, (401, "binding_missing".into()));
        Ok(())
    })
    .unwrap();
}
