//! A store that is gone, slow, broken, or killed in the middle: what is answered, and what is there afterwards.

use super::random::Random;
use super::{Bed, TENANTS, call, expect, group, id_of, patch, plain, scim_error, user, with_body};
use crate::support::{eventually, expect_healthy};
use anyhow::{Context, Result, ensure};
use doorward_testbed::{Database, GatewaySetup, Request, Response, ScimGateway, port, run, send};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

pub(super) const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

/// One of each kind.
fn calls() -> Vec<Request> {
    let title = patch(&json!([{ "op": "add", "path": "title", "value": "Boss" }]));
    let search = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "count": 1 });
    let operation = json!({ "method": "POST", "path": "/Groups", "bulkId": "g", "data": group("bulk") });
    vec![
        call("GET", "acme", "/Users"),
        call("GET", "acme", "/Groups/1"),
        call("GET", "acme", "/Schemas"),
        plain("GET", "acme", "/ServiceProviderConfig"),
        with_body("POST", "acme", "/Users", &user("bob")),
        with_body("PUT", "acme", "/Users/1", &user("bob")),
        with_body("PATCH", "acme", "/Users/1", &title),
        call("DELETE", "acme", "/Users/1"),
        with_body("POST", "acme", "/Users/.search", &search),
        with_body("POST", "acme", "/Bulk", &json!({ "schemas": [BULK], "Operations": [operation] })),
    ]
}

/// That it is told to come again.
pub(super) fn expect_unavailable(request: &Request, response: &Response) -> Result<()> {
    let shown = || String::from_utf8_lossy(&request.to_bytes()).into_owned();
    let (status, _) = scim_error(response).with_context(shown)?;
    ensure!(
        status == 503 && response.header("retry-after").as_deref() == Some("1"),
        "{}: {response:?}",
        shown()
    );
    Ok(())
}

#[test]
fn a_store_that_is_gone_is_503_and_back_without_a_new_envoy() {
    run(async {
        let mut bed = Bed::start(GatewaySetup::new(&TENANTS)).await?;
        bed.store.kill();
        for request in calls() {
            expect_unavailable(&request, &bed.send(&request).await?)?;
        }
        // What the edge settles by itself it does all the same.
        assert_eq!(scim_error(&bed.send(&plain("GET", "acme", "/Users")).await?)?.0, 401);
        assert_eq!(scim_error(&bed.send(&call("GET", "acme", "/Nothing")).await?)?.0, 404);
        bed.store.restart().await?;
        eventually("the store is back", async || {
            Ok(bed.send(&with_body("POST", "acme", "/Users", &user("bob"))).await?.status == 201)
        })
        .await?;
        expect_healthy(&bed.gateway.envoy, 1).await
    })
    .unwrap();
}

/// Tells a process of ours to stop or to go on.
pub(super) fn signal(id: u32, name: &str) -> Result<()> {
    let status = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status()?;
    ensure!(status.success(), "expected to signal {id}");
    Ok(())
}

#[test]
fn a_store_that_does_not_answer_is_503_by_the_timeout_of_the_route() {
    run(async {
        let bed = Bed::start(GatewaySetup::new(&TENANTS)).await?;
        let kept =
            id_of(&expect(&bed.send(&with_body("POST", "acme", "/Groups", &group("kept"))).await?, 201)?)?;
        signal(bed.store.process().id(), "STOP")?;
        let mut asked = JoinSet::new();
        // A Bulk request may take longer than this test's client waits.
        let is_bulk = |request: &Request| String::from_utf8_lossy(&request.to_bytes()).contains("/Bulk ");
        let create = with_body("POST", "acme", "/Groups", &group("late"));
        for request in calls().into_iter().filter(|request| !is_bulk(request)).chain([create]) {
            let (addr, request) = (bed.gateway.addr(), bed.addressed(&request));
            asked.spawn(async move { (send(addr, &request).await, request) });
        }
        for (response, request) in asked.join_all().await {
            expect_unavailable(&request, &response?)?;
        }
        signal(bed.store.process().id(), "CONT")?;
        eventually("the store goes on", async || {
            Ok(bed.send(&call("GET", "acme", &format!("/Groups/{kept}"))).await?.status == 200)
        })
        .await?;
        // What was given up may have been done, and not twice.
        let late = all_groups(&bed).await?.get("late").copied().unwrap_or_default();
        ensure!(late <= 1, "expected the group once at most, but found it {late} times");
        expect_healthy(&bed.gateway.envoy, 1).await
    })
    .unwrap();
}

/// How many groups of each name the store has.
async fn all_groups(bed: &Bed) -> Result<BTreeMap<String, usize>> {
    let token =
        bed.store.token_named("acme", &format!("reader{}", TOKENS.fetch_add(1, Ordering::Relaxed)))?;
    let mut found = BTreeMap::new();
    let mut read = 0;
    loop {
        let path = format!("/scim/v2/Groups?startIndex={}&count=1000&attributes=displayName", read + 1);
        let page = expect(&send(bed.store.addr(), &Request::get(path).bearer(&token)).await?, 200)?;
        let resources = page["Resources"].as_array().cloned().unwrap_or_default();
        for resource in &resources {
            let name = resource["displayName"].as_str().context("expected a name")?;
            *found.entry(name.to_owned()).or_default() += 1;
        }
        read += resources.len();
        if page["totalResults"] == read {
            return Ok(found);
        }
        ensure!(!resources.is_empty(), "expected {page} to have resources");
    }
}

static TOKENS: AtomicUsize = AtomicUsize::new(0);

/// That who was acknowledged is there, and nobody twice.
fn expect_once(found: &BTreeMap<String, usize>, acknowledged: &[String]) -> Result<()> {
    let twice: Vec<_> = found.iter().filter(|(_, count)| **count > 1).collect();
    ensure!(twice.is_empty(), "expected each group once, but found {twice:?}");
    let lost: Vec<_> = acknowledged.iter().filter(|name| !found.contains_key(*name)).collect();
    ensure!(lost.is_empty(), "expected what was acknowledged to be there: {lost:?}");
    Ok(())
}

#[test]
fn a_bulk_request_that_is_cut_short_is_done_in_part_and_not_twice() {
    const OPERATIONS: usize = 1000;
    const CUT: usize = 3;
    run(async {
        let mut random = Random::of("bulk");
        let mut bed = Bed::start(GatewaySetup::new(&TENANTS)).await?;
        let token = bed.store.token("acme")?;
        let store = bed.store.addr();
        let count = async || -> Result<u64> {
            let counted = send(store, &Request::get("/scim/v2/Groups?count=0").bearer(&token)).await?;
            expect(&counted, 200)?["totalResults"].as_u64().context("expected a number")
        };
        let (mut acknowledged, mut cut) = (Vec::new(), 0);
        // One that was faster than the kill proves nothing.
        for round in 0..10 * CUT {
            let before = format!("before-{round}");
            expect(&bed.send(&with_body("POST", "acme", "/Groups", &group(&before))).await?, 201)?;
            acknowledged.push(before);
            let operation = |number: usize| {
                let data = group(&format!("bulk-{round}-{number}"));
                json!({ "method": "POST", "path": "/Groups", "bulkId": format!("g{number}"), "data": data })
            };
            let operations: Vec<Value> = (0..OPERATIONS).map(operation).collect();
            let body = json!({ "schemas": [BULK], "Operations": operations });
            let request = bed.addressed(&with_body("POST", "acme", "/Bulk", &body));
            let (addr, base) = (bed.gateway.addr(), count().await?);
            let sent = tokio::spawn(async move { send(addr, &request).await });
            let enough = base + 1 + u64::try_from(random.below(OPERATIONS / 4))?;
            eventually("it is under way", async || Ok(count().await? >= enough)).await?;
            bed.store.kill();
            // At once, so that it would be there if the request were tried again.
            bed.store.restart().await?;
            let response = sent.await??;
            if response.status == 200 {
                acknowledged.extend((0..OPERATIONS).map(|number| format!("bulk-{round}-{number}")));
                continue;
            }
            ensure!(scim_error(&response)?.0 == 503, "{response:?}");
            cut += 1;
            if cut == CUT {
                break;
            }
        }
        ensure!(cut == CUT, "expected some to be cut short, but only {cut} were");
        eventually("the gateway is back", async || {
            Ok(bed.send(&call("GET", "acme", "/Users")).await?.status == 200)
        })
        .await?;
        expect_once(&all_groups(&bed).await?, &acknowledged)?;
        expect_healthy(&bed.gateway.envoy, 1).await
    })
    .unwrap();
}

#[test]
fn creates_are_done_once_whoever_is_killed_on_sqlite() {
    run(creates(Database::Sqlite)).unwrap();
}

#[test]
fn creates_are_done_once_whoever_is_killed_on_postgresql() {
    run(creates(Database::Postgresql)).unwrap();
}

/// Clients create groups, of which there may be many of one name, while the store is killed and started again. Envoy tries again what got no
/// answer, and nothing but its `Idempotency-Key` keeps that from being done twice.
async fn creates(database: Database) -> Result<()> {
    const KILLS: usize = 8;
    const CLIENTS: usize = 8;
    let mut random = Random::of("creates");
    let mut bed = Bed::start_on(database, &TENANTS, json!({}), GatewaySetup::new(&TENANTS)).await?;
    let (done, total) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients: JoinSet<Result<Vec<String>>> = JoinSet::new();
    for client in 0..CLIENTS {
        let (addr, done, total) = (bed.gateway.addr(), Arc::clone(&done), Arc::clone(&total));
        clients.spawn(async move {
            let mut acknowledged = Vec::new();
            for number in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let name = format!("group-{client}-{number}");
                let request = with_body("POST", "acme", "/Groups", &group(&name));
                let response = send(addr, &request.header("host", addr.to_string())).await?;
                if response.status == 201 {
                    acknowledged.push(name);
                    total.fetch_add(1, Ordering::Relaxed);
                } else {
                    ensure!(scim_error(&response)?.0 == 503, "{response:?}");
                }
            }
            Ok(acknowledged)
        });
    }
    for _ in 0..KILLS {
        let enough = total.load(Ordering::Relaxed) + 10 + random.below(50);
        eventually("some are created", async || Ok(total.load(Ordering::Relaxed) >= enough)).await?;
        bed.store.kill();
        bed.store.restart().await?;
    }
    let enough = total.load(Ordering::Relaxed) + 10;
    eventually("the gateway is back", async || Ok(total.load(Ordering::Relaxed) >= enough)).await?;
    done.store(true, Ordering::Relaxed);
    let acknowledged = clients.join_all().await.into_iter().collect::<Result<Vec<_>>>()?.concat();
    expect_once(&all_groups(&bed).await?, &acknowledged)?;
    // Otherwise nothing could have been done twice.
    eventually("some that were acknowledged were tried more than once", async || {
        let log = bed.gateway.envoy.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(lines.filter(|line| line["status"] == 201 && line["attempts"].as_u64() > Some(1)).count()
            >= KILLS / 2)
    })
    .await?;
    expect_healthy(&bed.gateway.envoy, 1).await
}

/// In the store's place: it reads a request's head, answers as told, and closes.
pub(super) struct Fake {
    pub(super) addr: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Fake {
    pub(super) async fn start() -> Result<(Self, Arc<Mutex<Vec<u8>>>)> {
        let listener = TcpListener::bind(port::loopback(0)).await?;
        let addr = listener.local_addr()?;
        let (heads, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (seen, said) = (Arc::clone(&heads), Arc::clone(&answer));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, said) = (Arc::clone(&seen), Arc::clone(&said));
                tokio::spawn(async move {
                    let mut received = Vec::new();
                    let end = b"\r\n\r\n";
                    while !received.windows(end.len()).any(|bytes| bytes == end) {
                        match stream.read_buf(&mut received).await {
                            Ok(0) | Err(_) => return,
                            Ok(_) => {}
                        }
                    }
                    seen.lock().unwrap().push(String::from_utf8_lossy(&received).into_owned());
                    let answer = said.lock().unwrap().clone();
                    let _ = stream.write_all(&answer).await;
                });
            }
        });
        Ok((Self { addr, heads, task }, answer))
    }

    /// What has come since it was asked last.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.heads.lock().unwrap())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[test]
fn what_must_not_be_done_twice_is_sent_once() {
    run(async {
        let (fake, answer) = Fake::start().await?;
        let gateway = ScimGateway::start(fake.addr, &GatewaySetup::new(&TENANTS)).await?;
        let ask = async |request: &Request| {
            send(gateway.addr(), &request.clone().header("host", gateway.addr().to_string())).await
        };
        let operation = json!({ "method": "DELETE", "path": "/Groups/1" });
        let bulk = json!({ "schemas": [BULK], "Operations": [operation] });
        let title = patch(&json!([{ "op": "add", "path": "title", "value": "Boss" }]));
        let search =
            json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "count": 1 });
        let bound = |request: Request| request.header("if-match", "W/\"1\"");
        let cases = [
            (call("GET", "acme", "/Users/1"), 4),
            (call("DELETE", "acme", "/Users/1"), 4),
            (with_body("PUT", "acme", "/Users/1", &user("a")), 4),
            (with_body("POST", "acme", "/Users", &user("a")), 4),
            (with_body("POST", "acme", "/Users/", &user("a")), 4),
            (with_body("POST", "acme", "/Users/.search", &search), 4),
            (with_body("PATCH", "acme", "/Users/1", &title), 1),
            (bound(call("DELETE", "acme", "/Users/1")), 1),
            (bound(with_body("PUT", "acme", "/Users/1", &user("a"))), 1),
            (with_body("POST", "acme", "/Bulk", &bulk), 1),
            (with_body("POST", "acme", "/Bulk/", &bulk), 1),
            (with_body("POST", "acme", "/Bulk?aadOptscim062020", &bulk), 1),
            (with_body("POST", "acme", "/Bul%6b", &bulk), 1),
            (with_body("POST", "acme", "/%42%75%6C%6B", &bulk), 1),
        ];
        // The connection ends without an answer, or the store says that it cannot.
        for said in ["", "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"]
        {
            *answer.lock().unwrap() = said.as_bytes().to_vec();
            for (request, attempts) in &cases {
                expect_unavailable(request, &ask(request).await?)?;
                let heads = fake.take();
                let shown = String::from_utf8_lossy(&request.to_bytes()).into_owned();
                assert_eq!(heads.len(), *attempts, "{said} {shown}\n{heads:?}");
                let keys: Vec<_> = heads.iter().map(|head| field(head, "idempotency-key")).collect();
                let is_create = heads[0].starts_with("POST /scim/v2/Users HTTP");
                ensure!(keys.iter().all(|key| *key == keys[0]), "expected one key: {keys:?}");
                ensure!(keys[0].is_some() == is_create, "expected a key with a create: {heads:?}");
            }
        }
        expect_healthy(&gateway.envoy, 1).await
    })
    .unwrap();
}

/// The value of a field.
pub(super) fn field(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

#[test]
fn what_a_broken_store_says_is_told_in_scim() {
    run(async {
        let (fake, answer) = Fake::start().await?;
        let gateway = ScimGateway::start(fake.addr, &GatewaySetup::new(&TENANTS)).await?;
        told_in_scim(gateway.addr(), &answer).await?;
        expect_healthy(&gateway.envoy, 1).await
    })
    .unwrap();
}

/// What is told by a gateway at `addr` of a store whose answer is `answer`.
pub(super) async fn told_in_scim(addr: SocketAddr, answer: &Mutex<Vec<u8>>) -> Result<()> {
    let request =
        with_body("PATCH", "acme", "/Users/1", &patch(&json!([{ "op": "remove", "path": "title" }])));
    let request = request.header("host", addr.to_string());
    for (said, status) in [
        ("nonsense\r\n\r\n", 503),
        (
            "HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\nsecret",
            502,
        ),
        ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 6\r\n\r\nsecret", 503),
        ("HTTP/1.1 504 Gateway Timeout\r\ncontent-length: 6\r\n\r\nsecret", 503),
        (
            "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer realm=\"secret\"\r\ncontent-length: 6\r\n\r\nsecret",
            502,
        ),
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-type: application/scim+json\r\ncontent-length: 6\r\n\r\nsecret",
            502,
        ),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 6\r\n\r\nsecret", 404),
        ("HTTP/1.1 413 Payload Too Large\r\nconnection: close\r\n\r\nsecret", 413),
        ("HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n", 429),
        ("HTTP/1.1 429 Too Many Requests\r\nretry-after: 30\r\ncontent-length: 6\r\n\r\nsecret", 429),
        ("HTTP/1.1 599 Secret\r\ncontent-length: 0\r\n\r\n", 502),
        ("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 9\r\n\r\nsecret", 502),
    ] {
        *answer.lock().unwrap() = said.as_bytes().to_vec();
        let response = send(addr, &request).await?;
        let (found, detail) = scim_error(&response).with_context(|| said.to_owned())?;
        assert_eq!(found, status, "{said} {detail}");
        let wait = [429, 503].contains(&status).then(|| if said.contains("30") { "30" } else { "1" });
        assert_eq!(response.header("retry-after").as_deref(), wait, "{said}");
        ensure!(!format!("{response:?}{}", response.text()).contains("secret"), "{said} {response:?}");
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/scim+json\r\nserver: secret/1.0\r\nset-cookie: secret=1\r\nx-powered-by: secret\r\nlocation: http://secret:8787/scim/v2/Users/1\r\nx-envoy-upstream-service-time: 7\r\netag: W/\"1\"\r\ncontent-length: 2\r\n\r\n{}";
    *answer.lock().unwrap() = head.as_bytes().to_vec();
    let response = send(addr, &request).await?;
    expect(&response, 200)?;
    let names: Vec<_> = response.headers.iter().map(|(name, _)| name.as_str()).collect();
    ensure!(!response.headers.iter().any(|(_, value)| value.starts_with(b"secret")), "{response:?}");
    for name in ["set-cookie", "x-powered-by", "location", "x-envoy-upstream-service-time"] {
        ensure!(!names.contains(&name), "expected no {name}: {response:?}");
    }
    assert_eq!(response.header("etag").as_deref(), Some("W/\"1\""));
    Ok(())
}
