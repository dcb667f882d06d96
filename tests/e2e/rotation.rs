//! Keys over time, on four workers: rotation, outages, cold starts, floods, discovery, and one fetch for all.

use crate::support::{Edge, Gate, Provider, code, document, eventually, with};
use anyhow::{Context, Result, ensure};
use doorward_testbed::{Answer, Connection, EnvoyConfig, Issuer, Keys, Request, Response, Seen, run, send};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const WORKERS: u32 = 4;

/// A provider with the key set at `ISSUER/jwks`.
fn provider(issuer: &str, changes: Value) -> Value {
    let remote = json!({ "uri": format!("{issuer}/jwks"), "cluster": "issuer", "danger_allow_http": true });
    json!({ "issuer": issuer, "audiences": ["api"], "jwks": { "remote": with(remote, changes) } })
}

async fn edge(cluster: SocketAddr, document: &Value) -> Result<Edge> {
    let change = |config: EnvoyConfig| config.cluster("issuer", cluster).concurrency(WORKERS);
    Edge::start_with(document, change, |listener| listener).await
}

fn orders(token: &str) -> Request {
    Request::get("/orders").bearer(token)
}

/// A request with a token of the testbed issuer's current keys.
fn fresh(issuer: &Issuer) -> Result<Request> {
    Ok(orders(&issuer.mint(&json!({}))?))
}

/// A request with a new access token of the OpenID provider.
async fn access_token(provider: &Provider) -> Result<Request> {
    let request = Request::new("POST", "/token")
        .header("host", provider.addr.to_string())
        .header("authorization", "Basic c2VydmljZTpzZWNyZXQ=")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("grant_type=client_credentials&resource=urn:api:ES256&scope=read");
    let response = send(provider.addr, &request).await?.json()?;
    let token = response["access_token"].as_str();
    Ok(orders(token.with_context(|| format!("expected an access token, but found {response}"))?))
}

/// Tells the OpenID provider what to do, as `rotate`, `down`, `up`.
async fn tell(provider: &Provider, what: &str) -> Result<()> {
    let request = Request::new("POST", format!("/test/{what}")).header("host", provider.addr.to_string());
    let status = send(provider.addr, &request).await?.status;
    ensure!(status == 204, "expected the provider to {what}, but found {status}");
    Ok(())
}

/// Status and denial code.
fn outcome(response: &Response) -> String {
    if response.status == 200 { "200".to_owned() } else { format!("{} {}", response.status, code(response)) }
}

/// Connections of which every worker has some.
async fn connections(edge: &Edge) -> Result<Vec<Connection>> {
    let mut connections = Vec::new();
    for _ in 0..12 {
        connections.push(Connection::open(edge.addr()).await?);
    }
    eventually("every worker has a connection", async || {
        let stats = edge.envoy.stats().await?;
        let is_of_worker = |name: &str| name.contains(".worker_") && name.ends_with(".downstream_cx_active");
        let busy = stats.iter().filter(|(name, active)| is_of_worker(name) && **active > 0).count();
        let all = busy >= usize::try_from(WORKERS)?;
        if !all {
            connections.push(Connection::open(edge.addr()).await?);
        }
        Ok(all)
    })
    .await?;
    Ok(connections)
}

/// Sends `request` on every worker at once, on several connections each: the responses.
fn everywhere(connections: Vec<Connection>, request: &Request) -> JoinSet<Result<Response>> {
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let request = request.clone();
        tasks.spawn(async move { connection.send(&request).await });
    }
    tasks
}

/// What came of it, each once.
async fn outcomes(tasks: JoinSet<Result<Response>>) -> Result<Vec<String>> {
    let responses = tasks.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
    let mut outcomes: Vec<_> = responses.iter().map(outcome).collect();
    outcomes.sort_unstable();
    outcomes.dedup();
    Ok(outcomes)
}

/// Waits until so many requests are in Envoy and none has reached the upstream: all wait for keys.
async fn all_wait(edge: &Edge, count: usize) -> Result<()> {
    let count = u64::try_from(count)?;
    eventually("every request waits", async || {
        Ok(edge.envoy.stats().await?.get("http.edge.downstream_rq_active") >= Some(&count))
    })
    .await?;
    ensure!(edge.upstream.count() == 0, "expected no request to pass without keys\n{}", edge.envoy.log());
    Ok(())
}

/// Failed fetches in Envoy's log.
fn failures(edge: &Edge) -> usize {
    edge.envoy.log().matches("keys: provider \"corp\": ").count()
}

/// Requests one after another on connections to every worker, until it is stopped.
struct Load {
    ledger: Arc<Mutex<Ledger>>,
    connections: usize,
    tasks: JoinSet<Result<()>>,
}

#[derive(Default)]
struct Ledger {
    /// What to send, each under a name.
    requests: Vec<(&'static str, Request)>,
    /// How often each connection got an answer to a request of this name.
    answered: BTreeMap<(usize, &'static str), usize>,
    /// How often a request of this name had this outcome.
    outcomes: BTreeMap<(&'static str, String), usize>,
    is_over: bool,
}

impl Load {
    async fn start(edge: &Edge, name: &'static str, request: &Request) -> Result<Self> {
        let connections = connections(edge).await?;
        let ledger = Ledger { requests: vec![(name, request.clone())], ..Ledger::default() };
        let load = Self {
            ledger: Arc::new(Mutex::new(ledger)),
            connections: connections.len(),
            tasks: JoinSet::new(),
        };
        let load = connections.into_iter().enumerate().fold(load, |mut load, (number, connection)| {
            load.tasks.spawn(keep_sending(number, connection, Arc::clone(&load.ledger)));
            load
        });
        load.served(name, 3).await?;
        Ok(load)
    }

    /// Sends these, in turn, from now on.
    fn send(&self, requests: &[(&'static str, &Request)]) {
        let requests = requests.iter().map(|(name, request)| (*name, (*request).clone())).collect();
        lock(&self.ledger).requests = requests;
    }

    /// Waits until every connection has so many more answers to requests of this name.
    async fn served(&self, name: &'static str, times: usize) -> Result<()> {
        let count = |number: usize| lock(&self.ledger).answered.get(&(number, name)).copied().unwrap_or(0);
        let before: Vec<_> = (0..self.connections).map(count).collect();
        eventually("every connection is served", async || {
            Ok(before.iter().enumerate().all(|(number, before)| count(number) >= before + times))
        })
        .await
    }

    /// What came of requests of this name so far, each outcome once.
    fn outcomes(&self, name: &str) -> Vec<String> {
        let ledger = lock(&self.ledger);
        ledger.outcomes.keys().filter(|(n, _)| *n == name).map(|(_, outcome)| outcome.clone()).collect()
    }

    async fn stop(mut self) -> Result<()> {
        lock(&self.ledger).is_over = true;
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

async fn keep_sending(number: usize, mut connection: Connection, ledger: Arc<Mutex<Ledger>>) -> Result<()> {
    for turn in number.. {
        let (name, request) = {
            let ledger = lock(&ledger);
            if ledger.is_over {
                break;
            }
            ledger.requests[turn % ledger.requests.len()].clone()
        };
        let outcome = outcome(&connection.send(&request).await?);
        {
            let mut ledger = lock(&ledger);
            *ledger.answered.entry((number, name)).or_default() += 1;
            *ledger.outcomes.entry((name, outcome)).or_default() += 1;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn rotation_under_load_refuses_no_token_of_a_published_key() {
    run(async {
        let issuer = Issuer::start().await?;
        let changes = json!({ "refresh": "5m", "cooldown": "1s" });
        let started = Instant::now();
        let edge = edge(issuer.addr(), &document(&provider(&issuer.url(), changes))).await?;
        let mut old = fresh(&issuer)?;
        let load = Load::start(&edge, "first", &old).await?;
        for name in ["second", "third", "fourth"] {
            issuer.rotate_with_overlap()?;
            let new = fresh(&issuer)?;
            load.send(&[("old", &old), (name, &new)]);
            load.served(name, 10).await?;
            load.served("old", 1).await?;
            old = new;
        }
        for name in ["first", "old", "second", "third", "fourth"] {
            assert_eq!(load.outcomes(name), ["200"], "{name}\n{}", edge.envoy.log());
        }
        load.stop().await?;
        // None is a refresh.
        let (fetches, most) = (issuer.jwks_fetches(), started.elapsed().as_secs() + 2);
        ensure!(
            (4..=usize::try_from(most)?).contains(&fetches),
            "expected 4 to {most} fetches, but found {fetches}"
        );
        edge.expect_healthy(WORKERS.into()).await
    })
    .unwrap();
}

#[test]
fn rotation_of_a_real_provider_under_load_refuses_no_new_token() {
    run(async {
        let idp = Provider::start().await?;
        // The defaults: what saves the new tokens is not the refresh.
        let edge = edge(idp.addr, &document(&provider(&idp.issuer(), json!({})))).await?;
        let load = Load::start(&edge, "old", &access_token(&idp).await?).await?;
        assert_eq!(load.outcomes("old"), ["200"], "{}", edge.envoy.log());
        // The provider gives the old key up at once.
        tell(&idp, "rotate").await?;
        load.send(&[("new", &access_token(&idp).await?)]);
        load.served("new", 20).await?;
        assert_eq!(load.outcomes("new"), ["200"], "{}", edge.envoy.log());
        load.stop().await?;
        edge.expect_healthy(WORKERS.into()).await
    })
    .unwrap();
}

#[test]
fn an_outage_longer_than_the_refresh_interval_refuses_no_valid_token() {
    run(async {
        for is_gone in [false, true] {
            let idp = Provider::start().await?;
            let changes = json!({ "refresh": "1s" });
            let edge = edge(idp.addr, &document(&provider(&idp.issuer(), changes))).await?;
            let load = Load::start(&edge, "valid", &access_token(&idp).await?).await?;
            tell(&idp, "down").await?;
            let _idp = (!is_gone).then_some(idp);
            let down = Instant::now();
            eventually("fetches fail for longer than three intervals", async || {
                Ok(failures(&edge) >= 3 && down.elapsed() > Duration::from_secs(4))
            })
            .await?;
            load.served("valid", 20).await?;
            assert_eq!(load.outcomes("valid"), ["200"], "{is_gone}\n{}", edge.envoy.log());
            load.stop().await?;
            edge.expect_healthy(WORKERS.into()).await?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn keys_that_are_too_old_are_unavailable_until_the_provider_is_back() {
    run(async {
        let issuer = Issuer::start().await?;
        let changes = json!({ "refresh": "1s", "stale_for": "1s" });
        let edge = edge(issuer.addr(), &document(&provider(&issuer.url(), changes))).await?;
        let valid = fresh(&issuer)?;
        let expect = async |wanted: &str| {
            eventually(wanted, async || {
                let found = outcomes(everywhere(connections(&edge).await?, &valid)).await?;
                let is_known = |outcome: &String| ["200", "503 keys_unavailable"].contains(&&**outcome);
                ensure!(found.iter().all(is_known), "expected 200 or 503, but found {found:?}");
                Ok(found == [wanted])
            })
            .await
        };
        expect("200").await?;
        issuer.answer(Answer::Status(503));
        expect("503 keys_unavailable").await?;
        issuer.answer(Answer::Keys);
        expect("200").await?;
        edge.expect_healthy(WORKERS.into()).await
    })
    .unwrap();
}

#[test]
fn a_cold_start_without_the_provider_is_unavailable_and_never_unauthorized() {
    run(async {
        let idp = Provider::start().await?;
        let valid = access_token(&idp).await?;
        tell(&idp, "down").await?;
        let edge = edge(idp.addr, &document(&provider(&idp.issuer(), json!({})))).await?;
        let tasks = everywhere(connections(&edge).await?, &valid);
        for response in tasks.join_all().await {
            let response = response?;
            assert_eq!(outcome(&response), "503 keys_unavailable");
            assert_eq!(response.header("retry-after").as_deref(), Some("5"));
        }
        assert_eq!(edge.upstream.count(), 0);
        // By now, retries that doubled without bound would be half a minute apart.
        eventually("fetches keep failing", async || Ok(failures(&edge) >= 6)).await?;
        tell(&idp, "up").await?;
        let patience = Duration::from_secs(10);
        doorward_testbed::eventually("keys come with a retry in five seconds", patience, async || {
            let found = outcomes(everywhere(connections(&edge).await?, &valid)).await?;
            let is_known = |outcome: &String| ["200", "503 keys_unavailable"].contains(&&**outcome);
            ensure!(found.iter().all(is_known), "expected 200 or 503, but found {found:?}");
            Ok(found == ["200"])
        })
        .await?;
        edge.expect_healthy(WORKERS.into()).await
    })
    .unwrap();
}

#[test]
fn a_flood_of_invented_keys_makes_one_fetch_a_cooldown() {
    const CONNECTIONS: usize = 1000;
    const TOKENS: usize = 10_000;
    run(async {
        let issuer = Issuer::start().await?;
        let changes = json!({ "refresh": "5m", "cooldown": "1s" });
        let edge = edge(issuer.addr(), &document(&provider(&issuer.url(), changes))).await?;
        let valid = fresh(&issuer)?;
        let load = Load::start(&edge, "valid", &valid).await?;

        let nobody = Arc::new(Keys::generate("nobody")?);
        let claims = issuer.claims(&json!({})).to_string();
        let before = issuer.jwks_fetches();
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for connection in 0..CONNECTIONS {
            let (addr, nobody, claims) = (edge.addr(), Arc::clone(&nobody), claims.clone());
            tasks.spawn(async move {
                let mut outcomes = Vec::new();
                let mut client = Connection::open(addr).await?;
                for number in (connection..TOKENS).step_by(CONNECTIONS) {
                    let header = json!({ "alg": "ES256", "typ": "JWT", "kid": format!("invented-{number}") });
                    let token = nobody.sign_raw(&header, claims.as_bytes());
                    outcomes.push(outcome(&client.send(&orders(&token)).await?));
                }
                anyhow::Ok(outcomes)
            });
        }
        let mut found = BTreeMap::<String, usize>::new();
        while let Some(outcomes) = tasks.join_next().await {
            for outcome in outcomes?? {
                *found.entry(outcome).or_default() += 1;
            }
        }
        let (elapsed, fetches) = (started.elapsed(), issuer.jwks_fetches() - before);
        // One for each cooldown that has begun, and one for what was asked at the end of it.
        let most = usize::try_from(elapsed.as_secs())? + 2;
        ensure!((1..=most).contains(&fetches), "expected 1 to {most} fetches, but found {fetches}");
        let refused = ["401 key_not_found", "503 keys_unavailable"].map(|outcome| found.get(outcome));
        let refused: usize = refused.into_iter().flatten().sum();
        assert_eq!((refused, found.values().sum()), (TOKENS, TOKENS), "{found:?}");

        load.served("valid", 3).await?;
        assert_eq!(load.outcomes("valid"), ["200"]);
        load.stop().await?;
        let found = outcomes(everywhere(connections(&edge).await?, &valid)).await?;
        assert_eq!(found, ["200"]);
        edge.expect_healthy(WORKERS.into()).await
    })
    .unwrap();
}

#[test]
fn a_slow_provider_is_waited_for() {
    run(async {
        let issuer = Issuer::start().await?;
        issuer.delay(Duration::from_secs(2));
        let changes = json!({ "refresh": "5m", "cooldown": "1s" });
        let edge = edge(issuer.addr(), &document(&provider(&issuer.url(), changes))).await?;
        for when in ["first keys", "new keys"] {
            let found = outcomes(everywhere(connections(&edge).await?, &fresh(&issuer)?)).await?;
            assert_eq!(found, ["200"], "{when}\n{}", edge.envoy.log());
            issuer.rotate()?;
        }
        edge.expect_healthy(WORKERS.into()).await
    })
    .unwrap();
}

#[test]
fn a_refresh_that_brings_no_keys_takes_none_away() {
    run(async {
        let issuer = Issuer::start().await?;
        // Ten megabytes around keys that would do.
        let oversized = with(issuer.jwks()?, json!({ "filler": "x".repeat(10 << 20) })).to_string();
        let cases: [(&str, Vec<u8>, &str); 4] = [
            ("a page", b"<html>sign in</html>".to_vec(), "not a JWK Set"),
            ("bytes", (0..=255).cycle().take(10_000).collect(), "not a JWK Set"),
            ("nothing usable", br#"{"keys":[{"kty":"LWE"}]}"#.to_vec(), "no usable key among 1"),
            ("ten megabytes", oversized.into_bytes(), "expected at most 1048576 bytes"),
        ];
        for (name, body, reason) in cases {
            issuer.answer(Answer::Keys);
            let changes = json!({ "refresh": "1s" });
            let edge = edge(issuer.addr(), &document(&provider(&issuer.url(), changes))).await?;
            let load = Load::start(&edge, "valid", &fresh(&issuer)?).await?;
            issuer.answer(Answer::Body(body));
            eventually("two refreshes fail", async || Ok(failures(&edge) >= 2)).await?;
            load.served("valid", 10).await?;
            assert_eq!(load.outcomes("valid"), ["200"], "{name}\n{}", edge.envoy.log());
            ensure!(edge.envoy.log().contains(reason), "expected {reason:?} in\n{}", edge.envoy.log());
            load.stop().await?;
            edge.expect_healthy(WORKERS.into()).await?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn one_worker_fetches_for_all() {
    run(async {
        let issuer = Issuer::start().await?;
        let gate = Gate::closed().await?;
        let changes = json!({ "timeout": "60s" });
        let edge = edge(gate.addr, &document(&provider(&issuer.url(), changes))).await?;
        let connected = connections(&edge).await?;
        let count = connected.len();
        let waiting = everywhere(connected, &fresh(&issuer)?);
        all_wait(&edge, count).await?;
        // Whoever would ask has asked by now.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let opened = gate.open(issuer.addr());
        assert_eq!(outcomes(waiting).await?, ["200"], "{}", edge.envoy.log());
        // Envoy has counted those too that the issuer has not yet seen.
        let stats = edge.envoy.stats().await?;
        assert_eq!((stats.get("cluster.issuer.upstream_rq_total"), issuer.jwks_fetches()), (Some(&1), 1));
        // The same for a key that all of them ask for: two, if some ask while the fetch is out.
        issuer.rotate()?;
        let found = outcomes(everywhere(connections(&edge).await?, &fresh(&issuer)?)).await?;
        assert_eq!(found, ["200"], "{}", edge.envoy.log());
        let fetches = issuer.jwks_fetches();
        ensure!((2..=3).contains(&fetches), "expected one fetch for all workers, but found {fetches}");
        opened.abort();
        edge.expect_healthy(WORKERS.into()).await
    })
    .unwrap();
}

#[test]
fn discovery_leads_to_the_keys() {
    let discovered = |issuer: &str| {
        let discovery = json!({ "cluster": "issuer", "danger_allow_http": true });
        document(&json!({ "issuer": issuer, "audiences": ["api"], "jwks": { "discovery": discovery } }))
    };
    run(async {
        let issuer = Issuer::start().await?;
        let edge = edge(issuer.addr(), &discovered(&issuer.url())).await?;
        for fetches in [1, 2] {
            let found = outcomes(everywhere(connections(&edge).await?, &fresh(&issuer)?)).await?;
            assert_eq!(found, ["200"], "{}", edge.envoy.log());
            ensure!(
                (fetches..=fetches + 1).contains(&issuer.jwks_fetches()),
                "expected {fetches} fetches, but found {}",
                issuer.jwks_fetches()
            );
            issuer.rotate()?;
        }
        // Each worker keeps the address once it has fetched.
        let looked_up = issuer.metadata_fetches();
        ensure!(
            (1..=issuer.jwks_fetches()).contains(&looked_up),
            "expected the address to be kept, but found {looked_up} look-ups"
        );
        edge.expect_healthy(WORKERS.into()).await
    })
    .unwrap();
    run(async {
        let idp = Provider::start().await?;
        let edge = edge(idp.addr, &discovered(&idp.issuer())).await?;
        for _ in 0..2 {
            let found = outcomes(everywhere(connections(&edge).await?, &access_token(&idp).await?)).await?;
            assert_eq!(found, ["200"], "{}", edge.envoy.log());
            tell(&idp, "rotate").await?;
        }
        edge.expect_healthy(WORKERS.into()).await
    })
    .unwrap();
}

#[test]
fn metadata_of_another_issuer_leads_nowhere() {
    run(async {
        let issuer = Issuer::start().await?;
        let url = issuer.url();
        for other in [format!("{url}/"), format!("{url}/tenant"), "https://login.example.com".to_owned()] {
            let uri = issuer.metadata_uri();
            let discovery = json!({ "uri": uri, "cluster": "issuer", "danger_allow_http": true });
            let provider =
                json!({ "issuer": other, "audiences": ["api"], "jwks": { "discovery": discovery } });
            let edge = edge(issuer.addr(), &document(&provider)).await?;
            // Its keys are those of the issuer; only the names differ.
            let request = orders(&issuer.mint(&json!({ "iss": other }))?);
            let found = outcomes(everywhere(connections(&edge).await?, &request)).await?;
            assert_eq!(found, ["503 keys_unavailable"], "{other}");
            let reason = format!("expected the metadata of issuer {other:?}, but found {url:?}");
            ensure!(edge.envoy.log().contains(&reason), "expected {reason:?} in\n{}", edge.envoy.log());
            edge.expect_healthy(WORKERS.into()).await?;
        }
        assert_eq!(issuer.jwks_fetches(), 0);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_body_that_waits_for_keys_reaches_the_upstream_whole() {
    run(async {
        let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let chunks = body
            .chunks(999)
            .map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        let chunked = [chunks.collect::<Vec<_>>().concat(), b"0\r\n\r\n".to_vec()].concat();
        let issuer = Issuer::start().await?;
        let token = issuer.mint(&json!({}))?;
        let post = Request::new("POST", "/orders").bearer(&token);
        let requests =
            [post.clone().body(body.clone()), post.header("transfer-encoding", "chunked").body(chunked)];
        for request in requests {
            let gate = Gate::closed().await?;
            let changes = json!({ "timeout": "60s" });
            let edge = edge(gate.addr, &document(&provider(&issuer.url(), changes))).await?;
            let connected = connections(&edge).await?;
            let count = connected.len();
            let waiting = everywhere(connected, &request);
            all_wait(&edge, count).await?;
            let opened = gate.open(issuer.addr());
            for response in waiting.join_all().await {
                let response = response?;
                assert_eq!(outcome(&response), "200", "{}", edge.envoy.log());
                ensure!(Seen::from_json(&response.body)?.body == body, "expected the body to arrive whole");
            }
            assert_eq!(edge.upstream.count(), count);
            opened.abort();
            edge.expect_healthy(WORKERS.into()).await?;
        }
        Ok(())
    })
    .unwrap();
}
