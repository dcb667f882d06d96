//! Key sets that come late, wrong, changed or not at all.

use crate::support::{Edge, Gate, document, eventually, with};
use anyhow::{Context, Result, ensure};
use doorward_testbed::{Answer, Connection, EnvoyConfig, Issuer, Listener, Request, run};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The filter's limit for requests that wait.
const LIMIT: Duration = Duration::from_secs(10);

fn remote_provider(issuer: &Issuer, changes: Value) -> Value {
    let remote = json!({
        "uri": issuer.jwks_uri(), "cluster": "issuer", "timeout": "5s", "refresh": "1s", "danger_allow_http": true,
    });
    json!({ "issuer": issuer.url(), "audiences": ["api"], "jwks": { "remote": with(remote, changes) } })
}

async fn edge(issuer: &Issuer, cluster: SocketAddr, changes: Value) -> Result<Edge> {
    let change = |config: EnvoyConfig| config.cluster("issuer", cluster).concurrency(2);
    Edge::start_with(&document(&remote_provider(issuer, changes)), change, |listener| listener).await
}

fn orders(token: &str) -> Request {
    Request::get("/orders").bearer(token)
}

/// Requests on connections of their own, so that every worker gets some: the statuses that come back.
async fn statuses(edge: &Edge, request: &Request) -> Result<Vec<u16>> {
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let (addr, request) = (edge.addr(), request.clone());
        tasks.spawn(async move { anyhow::Ok(Connection::open(addr).await?.send(&request).await?.status) });
    }
    tasks.join_all().await.into_iter().collect()
}

#[test]
fn requests_wait_for_the_first_keys_and_then_pass() {
    run(async {
        const WAITING: u64 = 40;
        let issuer = Issuer::start().await?;
        let gate = Gate::closed().await?;
        let edge = edge(&issuer, gate.addr, json!({ "timeout": "60s" })).await?;
        // What needs no keys does not wait for them.
        assert_eq!(edge.send(&Request::get("/healthz")).await?.status, 200);
        assert_eq!(edge.denied(&Request::get("/orders")).await?, (401, "token_missing".into()));
        let expired = issuer.mint(&json!({ "iat": null, "nbf": null, "exp": 1_000_000_000 }))?;
        assert_eq!(edge.denied(&orders(&expired)).await?, (401, "token_expired".into()));
        edge.upstream.clear();

        let valid = orders(&issuer.mint(&json!({}))?);
        let forged = orders(&Issuer::start().await?.sign(
            doorward_testbed::Algorithm::Rs256,
            "JWT",
            &issuer.claims(&json!({})),
        )?);
        let mut tasks = JoinSet::new();
        for number in 0..WAITING {
            let addr = edge.addr();
            let request = if number % 4 == 0 { forged.clone() } else { valid.clone() };
            tasks
                .spawn(async move { anyhow::Ok(Connection::open(addr).await?.send(&request).await?.status) });
        }
        // One of those that wait gives up.
        let mut impatient = Connection::open(edge.addr()).await?;
        let sent = tokio::time::timeout(Duration::from_millis(200), impatient.send(&valid)).await;
        ensure!(sent.is_err(), "expected a request to wait, but found {sent:?}");
        eventually("every request waits", async || {
            Ok(edge.envoy.stats().await?.get("http.edge.downstream_rq_active") >= Some(&WAITING))
        })
        .await?;
        drop(impatient);
        assert_eq!(edge.upstream.count(), 0, "{}", edge.envoy.log());
        let opened = gate.open(issuer.addr());
        let mut statuses = tasks.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
        statuses.sort_unstable();
        let expected = [vec![200; 30], vec![401; 10]].concat();
        assert_eq!(statuses, expected, "{}", edge.envoy.log());
        // Nobody asks for the one who has left.
        ensure!(
            edge.upstream.count() <= 31,
            "expected one request each, but found {}",
            edge.upstream.count()
        );
        edge.expect_healthy(2).await?;
        opened.abort();
        Ok(())
    })
    .unwrap();
}

#[test]
fn requests_for_keys_that_never_come_are_denied_after_the_limit() {
    run(async {
        let issuer = Issuer::start().await?;
        issuer.answer(Answer::Hang);
        let edge = edge(&issuer, issuer.addr(), json!({ "timeout": "60s" })).await?;
        let token = issuer.mint(&json!({}))?;
        let sent = Instant::now();
        let response = edge.send(&orders(&token)).await?;
        // The wait is the filter's, whatever the fetch may still be at.
        ensure!(
            sent.elapsed() + Duration::from_millis(100) >= LIMIT,
            "expected a wait, but found {:?}",
            sent.elapsed()
        );
        assert_eq!((response.status, crate::support::code(&response).as_str()), (503, "keys_unavailable"));
        assert_eq!(response.header("retry-after").as_deref(), Some("5"));
        assert_eq!(edge.upstream.count(), 0);
        // Others are served all the while.
        assert_eq!(edge.send(&Request::get("/healthz")).await?.status, 200);
        edge.expect_healthy(2).await
    })
    .unwrap();
}

#[test]
fn no_answer_but_keys_is_ever_taken_for_keys() {
    run(async {
        let oversized = || {
            let mut body = br#"{"keys":[],"filler":""#.to_vec();
            body.resize(2 << 20, b'x');
            body.extend_from_slice(br#""}"#);
            body
        };
        let oct = json!({ "keys": [{ "kty": "oct", "kid": "key-1-RS256", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0" }] });
        let answers = [
            ("error", Answer::Status(500)),
            ("missing", Answer::Status(404)),
            ("redirect", Answer::Status(302)),
            ("html", Answer::Body(b"<html>sign in</html>".to_vec())),
            ("nothing", Answer::Body(Vec::new())),
            ("empty", Answer::Body(br#"{"keys":[]}"#.to_vec())),
            ("list", Answer::Body(b"[]".to_vec())),
            ("binary", Answer::Body(vec![0xff; 1000])),
            ("deep", Answer::Body(vec![b'['; 100_000])),
            ("oversized", Answer::Body(oversized())),
            ("oct", Answer::Body(oct.to_string().into_bytes())),
            ("close", Answer::Close),
            ("hang", Answer::Hang),
        ];
        let (mut issuers, mut providers, mut rules) = (Vec::new(), json!({}), Vec::new());
        for (name, answer) in answers {
            let issuer = Issuer::start().await?;
            issuer.answer(answer);
            providers[name] = remote_provider(&issuer, json!({ "cluster": name, "timeout": "1s" }));
            rules.push(json!({ "match": { "path": { "exact": format!("/{name}") } }, "require": { "provider": name } }));
            issuers.push((name, issuer));
        }
        let clusters = |config: EnvoyConfig| {
            issuers.iter().fold(config, |config, (name, issuer)| config.cluster(name, issuer.addr()))
        };
        let document = json!({ "providers": providers, "rules": rules });
        let edge = Edge::start_with(&document, clusters, |listener: Listener| listener).await?;
        for (name, issuer) in &issuers {
            let request = Request::get(format!("/{name}")).bearer(&issuer.mint(&json!({}))?);
            assert_eq!(edge.denied(&request).await?, (503, "keys_unavailable".into()), "{name}\n{}", edge.envoy.log());
        }
        // The same issuers may come to their senses.
        issuers.iter().for_each(|(_, issuer)| issuer.answer(Answer::Keys));
        for (name, issuer) in &issuers {
            let request = Request::get(format!("/{name}")).bearer(&issuer.mint(&json!({}))?);
            eventually(&format!("{name} has keys"), async || Ok(edge.send(&request).await?.status == 200)).await?;
        }
        edge.expect_healthy(1).await
    })
    .unwrap();
}

#[test]
fn rotated_keys_are_picked_up_and_old_ones_given_up() {
    run(async {
        let issuer = Issuer::start().await?;
        let edge = edge(&issuer, issuer.addr(), json!({})).await?;
        let old = orders(&issuer.mint(&json!({}))?);
        assert_eq!(statuses(&edge, &old).await?, [200; 16]);
        issuer.rotate_with_overlap()?;
        let new = orders(&issuer.mint(&json!({}))?);
        eventually("every worker has the new key", async || Ok(statuses(&edge, &new).await? == [200; 16]))
            .await?;
        assert_eq!(statuses(&edge, &old).await?, [200; 16], "both keys are published");
        issuer.rotate()?;
        eventually("the old keys are given up", async || {
            let found = [statuses(&edge, &old).await?, statuses(&edge, &new).await?];
            Ok(found == [[401; 16], [401; 16]])
        })
        .await?;
        assert_eq!(edge.denied(&old).await?, (401, "key_not_found".into()));
        assert_eq!(statuses(&edge, &orders(&issuer.mint(&json!({}))?)).await?, [200; 16]);
        edge.expect_healthy(2).await
    })
    .unwrap();
}

#[test]
fn an_outage_of_the_issuer_is_not_one_of_the_service() {
    run(async {
        let issuer = Issuer::start().await?;
        let edge = edge(&issuer, issuer.addr(), json!({})).await?;
        let valid = orders(&issuer.mint(&json!({}))?);
        assert_eq!(statuses(&edge, &valid).await?, [200; 16]);
        let outages = [
            Answer::Status(503),
            Answer::Body(br#"{"keys":[]}"#.to_vec()),
            Answer::Body(b"<html>".to_vec()),
            Answer::Close,
        ];
        for outage in outages {
            issuer.answer(outage.clone());
            let before = issuer.jwks_fetches();
            eventually("keys are fetched again, and once more", async || {
                assert_eq!(statuses(&edge, &valid).await?, [200; 16], "{outage:?}");
                Ok(issuer.jwks_fetches() >= before + 2)
            })
            .await?;
            // Each failure makes the next retry later; a success ends that.
            issuer.answer(Answer::Keys);
            let before = issuer.jwks_fetches();
            eventually("the outage is over", async || Ok(issuer.jwks_fetches() > before)).await?;
        }
        issuer.answer(Answer::Status(503));
        assert_eq!(statuses(&edge, &valid).await?, [200; 16]);
        // What was never valid is not valid in an outage either.
        let foreign = Issuer::start().await?.keys();
        let forged = foreign.sign(doorward_testbed::Algorithm::Rs256, "JWT", &issuer.claims(&json!({})))?;
        assert_eq!(edge.denied(&orders(&forged)).await?, (401, "signature_invalid".into()));
        issuer.rotate()?;
        issuer.answer(Answer::Keys);
        let new = orders(&issuer.mint(&json!({}))?);
        eventually("the keys after the outage are there", async || {
            Ok(statuses(&edge, &new).await? == [200; 16])
        })
        .await?;
        edge.expect_healthy(2).await
    })
    .unwrap();
}

#[test]
fn a_missing_cluster_denies_and_does_not_kill() {
    run(async {
        let issuer = Issuer::start().await?;
        let edge = edge(&issuer, issuer.addr(), json!({ "cluster": "no-such-cluster" })).await?;
        let response = edge.denied(&orders(&issuer.mint(&json!({}))?)).await.context("no cluster")?;
        assert_eq!(response, (503, "keys_unavailable".into()));
        assert!(edge.envoy.log().contains("no-such-cluster"), "{}", edge.envoy.log());
        assert_eq!(edge.send(&Request::get("/healthz")).await?.status, 200);
        edge.expect_healthy(2).await
    })
    .unwrap();
}
