//! Identity providers: npm's oidc-provider and the testbed's issuer, over time, before workerd and Node.js.

use crate::bound::{Client, configuration, signed, verdict};
use crate::oidc_provider::access_token;
use crate::opaque::{asked, by_secret, control, opaque_token};
use crate::support::{Provider, code, document, eventually, with};
use anyhow::{Context, Result, ensure};
use doorward_testbed::{
    Answer, Issuer, Platform, Request, ScimGateway, Upstream, WorkerBindings, WorkerRuntime, folder, run,
    send, worker_section,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinSet;

/// One where many isolates share nothing, and one where a process is alone.
const PLATFORMS: [Platform; 2] = [Platform::Workerd, Platform::Node];

/// A document for the worker, with this origin.
fn edge(document: Value, upstream: &Upstream) -> Value {
    with(document, json!({ "worker": worker_section(upstream.addr()) }))
}

fn remote(issuer: &Issuer, more: Value) -> Value {
    let remote = with(json!({ "uri": issuer.jwks_uri(), "cluster": "idp", "danger_allow_http": true }), more);
    document(&json!({ "issuer": issuer.url(), "audiences": ["api"], "jwks": { "remote": remote } }))
}

#[test]
fn rotation_and_outage_deny_nobody() {
    run(async {
        let upstream = Upstream::start().await?;
        for platform in PLATFORMS {
            let provider = Provider::start().await?;
            let discovery = json!({ "cluster": "idp", "refresh": "1s", "danger_allow_http": true });
            let keys = json!({ "issuer": provider.issuer(), "audiences": ["api"], "jwks": { "discovery": discovery } });
            let worker = WorkerRuntime::start(platform, &edge(document(&keys), &upstream)).await?;
            let judged = async |token: &str| -> Result<(u16, String)> {
                Ok(verdict(&send(worker.addr(), &Request::get("/").bearer(token)).await?))
            };
            let place = || format!("on {}\n{}", platform.name(), worker.log());
            let good = (200, "ok".to_owned());
            let old = access_token(&provider, "ES256", "read")?;
            let found = judged(&old).await?;
            ensure!(found == good, "{found:?} {}", place());

            control(&provider, "/test/rotate", "").await?;
            for algorithm in ["ES256", "RS256", "EdDSA", "PS256", "ES512"] {
                let token = access_token(&provider, algorithm, "read")?;
                let found = judged(&token).await?;
                ensure!(found == good, "{algorithm} after rotation: {found:?} {}", place());
            }
            let found = judged(&old).await?;
            ensure!(found == (401, "key_not_found".into()), "{found:?} {}", place());

            let (new, other) =
                (access_token(&provider, "ES256", "read")?, access_token(&provider, "RS256", "write")?);
            control(&provider, "/test/down", "").await?;
            let failures = || worker.log().matches("expected status 200, but found 503").count();
            eventually("fetches fail", async || {
                let found = judged(&new).await?;
                ensure!(found == good, "in the outage: {found:?} {}", place());
                Ok(failures() > 1)
            })
            .await?;
            // Not judged before: its key is still in force.
            let found = judged(&other).await?;
            ensure!(found == good, "in the outage: {found:?} {}", place());
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn outage_at_the_start_is_503_until_it_ends() {
    run(async {
        let (upstream, issuer) = (Upstream::start().await?, Issuer::start().await?);
        let request = Request::get("/").bearer(&issuer.mint(&json!({}))?);
        for platform in PLATFORMS {
            let worker = WorkerRuntime::start(platform, &edge(remote(&issuer, json!({})), &upstream)).await?;
            issuer.answer(Answer::Status(500));
            let response = send(worker.addr(), &request).await?;
            let found = (response.status, code(&response));
            ensure!(found == (503, "keys_unavailable".into()), "{found:?} on {}", platform.name());
            // What needs no keys is served.
            let response = send(worker.addr(), &Request::get("/healthz")).await?;
            ensure!(response.status == 200, "{response:?} on {}", platform.name());
            issuer.answer(Answer::Keys);
            eventually("keys are there", async || Ok(send(worker.addr(), &request).await?.status == 200))
                .await?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_request_waits_for_keys_no_longer_than_is_said() {
    run(async {
        let (upstream, issuer) = (Upstream::start().await?, Issuer::start().await?);
        issuer.delay(Duration::from_secs(25));
        let document = edge(remote(&issuer, json!({ "timeout": "30s" })), &upstream);
        let mut requests = JoinSet::new();
        for platform in Platform::ALL {
            let worker = WorkerRuntime::start(platform, &document).await?;
            let request = Request::get("/").bearer(&issuer.mint(&json!({}))?);
            requests.spawn(async move { (platform, send(worker.addr(), &request).await, worker) });
        }
        while let Some(answered) = requests.join_next().await {
            let (platform, response, worker) = answered?;
            let response = response?;
            let found = (response.status, code(&response));
            let place = || format!("on {}\n{}", platform.name(), worker.log());
            ensure!(found == (503, "keys_unavailable".into()), "{found:?} {}", place());
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn sixty_four_requests_at_the_start_make_one_fetch() {
    run(async {
        let upstream = Upstream::start().await?;
        for platform in Platform::ALL {
            let issuer = Issuer::start().await?;
            issuer.delay(Duration::from_millis(300));
            let worker = WorkerRuntime::start(platform, &edge(remote(&issuer, json!({})), &upstream)).await?;
            let (addr, mut requests) = (worker.addr(), JoinSet::new());
            for number in 0..64 {
                let token = issuer.mint(&json!({ "jti": number.to_string() }))?;
                requests.spawn(async move { send(addr, &Request::get("/").bearer(&token)).await });
            }
            while let Some(response) = requests.join_next().await {
                let response = response??;
                ensure!(response.status == 200, "{response:?} on {}\n{}", platform.name(), worker.log());
            }
            ensure!(issuer.jwks_fetches() == 1, "{} fetches on {}", issuer.jwks_fetches(), platform.name());
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_request_that_waits_is_judged_again_only_when_there_is_news() {
    run(async {
        let upstream = Upstream::start().await?;
        let page_token = "page";
        for platform in Platform::ALL {
            let issuer = Issuer::start().await?;
            // As long as some fifty looks take.
            issuer.delay(Duration::from_millis(500));
            let mut document = edge(remote(&issuer, json!({})), &upstream);
            document["worker"]["metrics"] =
                json!({ "path": "/metrics", "sha256": ScimGateway::sha256(page_token) });
            let worker = WorkerRuntime::start(platform, &document).await?;
            let (addr, mut requests) = (worker.addr(), JoinSet::new());
            for _ in 0..4 {
                let request = Request::get("/").bearer(&issuer.mint(&json!({}))?);
                requests.spawn(async move { send(addr, &request).await });
            }
            while let Some(response) = requests.join_next().await {
                let response = response??;
                ensure!(response.status == 200, "{response:?} on {}\n{}", platform.name(), worker.log());
            }
            let page = send(worker.addr(), &Request::get("/metrics").bearer(page_token)).await?.text();
            let misses = page
                .lines()
                .find_map(|line| line.strip_prefix(r#"doorward_worker_token_cache_total{outcome="miss"} "#));
            let misses: u64 = misses.with_context(|| page.clone())?.parse()?;
            // At its start, and when the keys are there.
            ensure!(misses <= 8, "{}: four requests were judged {misses} times", platform.name());
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn requests_at_once_get_what_is_said_of_their_own_token() {
    run(async {
        let issuer = Issuer::start().await?;
        for platform in Platform::ALL {
            let upstream = Upstream::start().await?;
            let worker = WorkerRuntime::start(platform, &edge(remote(&issuer, json!({})), &upstream)).await?;
            let mut requests = JoinSet::new();
            for number in 0..96 {
                let token = issuer.mint(&json!({ "sub": number.to_string() }))?;
                // Every third has the signature of another.
                let is_forged = number % 3 == 0;
                let (signed, signature) = token.rsplit_once('.').context("expected a JWT")?;
                let other = issuer.mint(&json!({ "sub": "other" }))?;
                let signature = if is_forged { other.rsplit('.').next().unwrap_or("") } else { signature };
                let request = Request::get(format!("/{number}")).bearer(&format!("{signed}.{signature}"));
                let addr = worker.addr();
                requests.spawn(async move { (is_forged, send(addr, &request).await) });
            }
            while let Some(answered) = requests.join_next().await {
                let (is_forged, response) = answered?;
                let found = response?.status;
                let expected = if is_forged { 401 } else { 200 };
                ensure!(found == expected, "{found} on {}\n{}", platform.name(), worker.log());
            }
            let seen = upstream.seen();
            ensure!(seen.len() == 64, "{} passed on {}", seen.len(), platform.name());
            for seen in seen {
                let (path, user) = (Some(seen.path.clone()), seen.text("x-user-id"));
                let path = path.as_deref().and_then(|path| path.strip_prefix('/'));
                ensure!(path == user.as_deref(), "{user:?} at {path:?} on {}", platform.name());
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn an_isolate_that_starts_takes_the_keys_of_another() {
    run(async {
        let (upstream, issuer) = (Upstream::start().await?, Issuer::start().await?);
        let request = Request::get("/").bearer(&issuer.mint(&json!({}))?);
        for is_kept in [true, false] {
            let mut document = edge(remote(&issuer, json!({})), &upstream);
            if is_kept {
                document["worker"]["keys"] = json!({ "kv": "KEYS" });
            }
            let bindings = WorkerBindings { keys: true, isolates: Some(16), ..WorkerBindings::default() };
            let worker = WorkerRuntime::start_with(Platform::Workerd, &document, &bindings).await?;
            // Keys are kept after the answer: it may be the third isolate that finds them.
            let mut without_fetch = 0;
            for isolate in 0..16 {
                let before = issuer.jwks_fetches();
                let response = send(worker.isolate(isolate)?, &request).await?;
                ensure!(response.status == 200, "{response:?} of isolate {isolate}\n{}", worker.log());
                without_fetch += usize::from(issuer.jwks_fetches() == before);
            }
            let expected = if is_kept { without_fetch > 0 } else { without_fetch == 0 };
            ensure!(expected, "{without_fetch} of 16 isolates made no fetch\n{}", worker.log());
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_process_that_starts_takes_the_keys_of_another() {
    run(async {
        let (upstream, issuer) = (Upstream::start().await?, Issuer::start().await?);
        let request = Request::get("/").bearer(&issuer.mint(&json!({}))?);
        let mut document = edge(remote(&issuer, json!({})), &upstream);
        document["worker"]["keys"] = json!({ "cache": "doorward" });
        for platform in [Platform::Deno, Platform::Workerd] {
            let caches = Some(folder::scratch("caches")?);
            let bindings = WorkerBindings { caches, ..WorkerBindings::default() };
            let start = async |bindings: &WorkerBindings| -> Result<(WorkerRuntime, bool)> {
                let before = issuer.jwks_fetches();
                let worker = WorkerRuntime::start_with(platform, &document, bindings).await?;
                let response = send(worker.addr(), &request).await?;
                ensure!(response.status == 200, "{response:?} on {}\n{}", platform.name(), worker.log());
                Ok((worker, issuer.jwks_fetches() > before))
            };
            // Keys are kept after the answer, while this one still runs.
            let (first, _) = start(&bindings).await?;
            eventually("a process makes no fetch", async || Ok(!start(&bindings).await?.1))
                .await
                .with_context(|| first.log())?;
            // Where nothing is kept, keys are fetched.
            let elsewhere = WorkerBindings { caches: Some(folder::scratch("caches")?), ..bindings };
            ensure!(start(&elsewhere).await?.1, "expected a fetch on {}", platform.name());
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_platform_without_caches_has_keys_fetched() {
    run(async {
        let (upstream, issuer) = (Upstream::start().await?, Issuer::start().await?);
        let mut document = edge(remote(&issuer, json!({})), &upstream);
        document["worker"]["keys"] = json!({ "cache": "doorward" });
        let worker = WorkerRuntime::start(Platform::Workerd, &document).await?;
        let response = send(worker.addr(), &Request::get("/").bearer(&issuer.mint(&json!({}))?)).await?;
        ensure!(response.status == 200, "{response:?}\n{}", worker.log());
        for fault in ["could not be read", "could not be kept"] {
            eventually("it is told", async || Ok(worker.log().contains(fault)))
                .await
                .with_context(|| worker.log())?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn opaque_tokens_are_asked_about() {
    run(async {
        let upstream = Upstream::start().await?;
        let provider = Provider::start().await?;
        let mut keys = document(&asked(&provider, by_secret()));
        keys["identity_headers"] = json!([{ "header": "x-user-id", "claim": ["client_id"] }]);
        for platform in PLATFORMS {
            let worker = WorkerRuntime::start(platform, &edge(keys.clone(), &upstream)).await?;
            let token = opaque_token(&provider)?;
            let request = Request::get("/").bearer(&token);
            upstream.clear();
            let response = send(worker.addr(), &request).await?;
            ensure!(response.status == 200, "{response:?} on {}\n{}", platform.name(), worker.log());
            let seen = upstream.seen().pop().context("expected a request at the upstream")?;
            ensure!(seen.text("x-user-id").as_deref() == Some("service"), "{seen:?} on {}", platform.name());
            let found = verdict(&send(worker.addr(), &Request::get("/").bearer("invented")).await?);
            ensure!(found == (401, "token_inactive".into()), "{found:?} on {}", platform.name());
            control(&provider, "/test/revoke", &token).await?;
            let gone = async || Ok(send(worker.addr(), &request).await?.status == 401);
            eventually("the withdrawn token is refused", gone).await?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_proof_passes_once() {
    run(async {
        let upstream = Upstream::start().await?;
        let provider = Provider::start().await?;
        let mut client = Client::start()?;
        let shared = json!({ "durable_object": "PROOFS" });
        for (platform, proofs, isolates) in [
            (Platform::Node, json!("isolate"), 1),
            (Platform::Workerd, json!("isolate"), 1),
            (Platform::Workerd, shared, 2),
        ] {
            let mut document = edge(configuration(&provider, &json!({})), &upstream);
            document["worker"]["proofs"] = proofs.clone();
            // 32 bytes, all of them zero.
            document["worker"]["secret"] = json!("A".repeat(43));
            let bindings = WorkerBindings {
                proofs: isolates > 1,
                isolates: Some(isolates),
                ..WorkerBindings::default()
            };
            let worker = WorkerRuntime::start_with(platform, &document, &bindings).await?;
            let place = || format!("on {} with {proofs}\n{}", platform.name(), worker.log());
            for resource in ["urn:api:ES256", "urn:api:opaque"] {
                let token = client.token(&provider, resource)?;
                let url = "http://localhost/orders";
                let proof = client.proof(json!({ "method": "GET", "url": url, "token": token }))?;
                let request = signed("DPoP", &token, &proof);
                let mut found = Vec::new();
                for isolate in 0..isolates {
                    let addr = if isolates == 1 { worker.addr() } else { worker.isolate(isolate)? };
                    for _ in 0..2 {
                        found.push(verdict(&send(addr, &request).await?));
                    }
                }
                let replayed = (401, "dpop_proof_replayed".to_owned());
                ensure!(found[0] == (200, "ok".to_owned()), "{found:?} {}", place());
                ensure!(found[1..].iter().all(|found| *found == replayed), "{found:?} {}", place());
                // By another key, for another request, and without any.
                let other = client.proof(json!({ "method": "POST", "url": url, "token": token }))?;
                let found = verdict(&send(worker.addr(), &signed("DPoP", &token, &other)).await?);
                ensure!(found == (401, "dpop_request_mismatch".into()), "{found:?} {}", place());
                let bare = Request::get("/orders").header("authorization", format!("DPoP {token}"));
                let found = verdict(&send(worker.addr(), &bare).await?);
                ensure!(found == (401, "dpop_proof_missing".into()), "{found:?} {}", place());
            }
        }
        Ok(())
    })
    .unwrap();
}
