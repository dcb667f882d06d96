//! The same calls at an edge worker: before a store, a broken one among them, and with a store in it, on D1.

use super::faults::{BULK, Fake, expect_unavailable, field, signal, told_in_scim};
use super::{TENANTS, call, expect, id_of, patch, plain, scim, scim_error, user, with_body};
use crate::support::{eventually, with};
use anyhow::{Context, Result, ensure};
use doorward::jose::base64url;
use doorward_testbed::{
    Database, GatewaySetup, Issuer, Platform, Request, Response, ScimGateway, ScimStore, ScimWorker, Service,
    Upstream, WorkerBindings, WorkerRuntime, folder, port, run, send,
};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

async fn ask(worker: &ScimWorker, request: &Request) -> Result<Response> {
    send(worker.addr(), &request.clone().header("host", worker.addr().to_string())).await
}

/// Where a worker that is started by [`before`] is called.
const HOST: &str = "scim.example.com";

/// A worker before a store that is bound to `STORE`, with what else is bound, and changes to its section of the document.
async fn before(
    store: SocketAddr,
    setup: &GatewaySetup,
    mut bindings: WorkerBindings,
    changes: Value,
) -> Result<WorkerRuntime> {
    let mut document = ScimWorker::document(&json!({ "binding": "STORE" }), HOST, setup);
    document["worker"] = with(document["worker"].take(), changes);
    bindings.services.push(("STORE", Service::Server(store)));
    let modules = folder::dist().join("scim-worker");
    WorkerRuntime::start_modules(Platform::Workerd, &modules, &document, &bindings).await
}

async fn ask_at(addr: SocketAddr, request: &Request) -> Result<Response> {
    send(addr, &request.clone().header("host", HOST)).await
}

/// The audit lines, once there are so many.
async fn audit_lines(worker: &ScimWorker, count: usize) -> Result<Vec<Value>> {
    let lines = || -> Vec<Value> {
        let log = worker.process().log();
        let lines = log.lines().filter(|line| line.contains("\"event\":\"scim_call\""));
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    eventually("the audit lines are there", async || Ok(lines().len() >= count)).await?;
    Ok(lines())
}

#[test]
fn what_may_be_done_twice_is_sent_again_once() {
    run(async {
        let (fake, answer) = Fake::start().await?;
        let worker = ScimWorker::start(Some(fake.addr), &GatewaySetup::new(&TENANTS)).await?;
        let bulk = json!({ "schemas": [BULK], "Operations": [{ "method": "DELETE", "path": "/Groups/1" }] });
        let title = patch(&json!([{ "op": "add", "path": "title", "value": "Boss" }]));
        let bound = |request: Request| request.header("if-match", "W/\"1\"");
        let cases = [
            (call("GET", "acme", "/Users/1"), 2),
            (call("DELETE", "acme", "/Users/1"), 2),
            (with_body("PUT", "acme", "/Users/1", &user("a")), 2),
            (with_body("POST", "acme", "/Users", &user("a")), 2),
            (with_body("PATCH", "acme", "/Users/1", &title), 1),
            (bound(call("DELETE", "acme", "/Users/1")), 1),
            (bound(with_body("PUT", "acme", "/Users/1", &user("a"))), 1),
            (with_body("POST", "acme", "/Bulk", &bulk), 1),
        ];
        // The connection ends without an answer, or the store says that it cannot.
        for said in ["", "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"]
        {
            *answer.lock().unwrap() = said.as_bytes().to_vec();
            for (request, attempts) in &cases {
                expect_unavailable(request, &ask(&worker, request).await?)?;
                let heads = fake.take();
                let shown = String::from_utf8_lossy(&request.to_bytes()).into_owned();
                assert_eq!(heads.len(), *attempts, "{said} {shown}\n{heads:?}");
                let keys: Vec<_> = heads.iter().map(|head| field(head, "idempotency-key")).collect();
                let is_create = heads[0].starts_with("POST /scim/v2/Users HTTP");
                ensure!(keys.iter().all(|key| *key == keys[0]), "expected one key: {keys:?}");
                ensure!(keys[0].is_some() == is_create, "expected a key with a create: {heads:?}");
            }
        }
        // Of what clients send, the store sees what it has use for.
        *answer.lock().unwrap() = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_vec();
        let request = call("DELETE", "acme", "/Users/1").header("x-secret", "1").header("cookie", "a=b");
        assert_eq!(ask(&worker, &request.header("x-request-id", "mine")).await?.status, 204);
        let heads = fake.take();
        assert_eq!(field(&heads[0], "x-request-id").as_deref(), Some("mine"), "{heads:?}");
        for name in ["x-secret", "cookie"] {
            assert_eq!(field(&heads[0], name), None, "{heads:?}");
        }
        ensure!(!heads[0].contains("token-of-acme"), "expected the gateway's credential: {heads:?}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_a_broken_store_says_is_told_in_scim() {
    run(async {
        let (fake, answer) = Fake::start().await?;
        let worker = ScimWorker::start(Some(fake.addr), &GatewaySetup::new(&TENANTS)).await?;
        told_in_scim(worker.addr(), &answer).await?;
        drop(fake);
        let gone =
            ScimWorker::start(Some(port::loopback(port::free()?)), &GatewaySetup::new(&TENANTS)).await?;
        let request = call("GET", "acme", "/Users");
        expect_unavailable(&request, &ask(&gone, &request).await?)
    })
    .unwrap();
}

#[test]
fn rules_and_calls_are_judged_side_by_side() {
    run(async {
        let (issuer, upstream) = (Issuer::start().await?, Upstream::start().await?);
        let mut setup = GatewaySetup::new(&TENANTS);
        let provider = json!({
            "issuer": issuer.url(), "audiences": ["doorward-test"],
            "jwks": { "remote": { "uri": issuer.jwks_uri(), "cluster": "idp", "danger_allow_http": true } },
        });
        setup.document.insert("providers".to_owned(), json!({ "idp": provider }));
        setup.document.insert(
            "rules".to_owned(),
            json!([
                { "match": { "path": { "prefix": "/public" } }, "allow": "anonymous" },
                { "match": { "path": { "prefix": "/" } }, "require": { "provider": "idp" } },
            ]),
        );
        let page_token = "page-0123456789abcdef";
        setup.document.insert(
            "worker".to_owned(),
            json!({
                "origin": { "url": format!("http://{}", upstream.addr()) },
                "store": { "d1": "DB" },
                "metrics": { "path": "/metrics", "sha256": ScimGateway::sha256(page_token) },
            }),
        );
        setup.tenants["globex"]["jwt"] = json!({ "provider": "idp" });
        let worker = ScimWorker::start(None, &setup).await?;
        let jwt = issuer.mint(&json!({ "sub": "ada", "aud": "doorward-test" }))?;
        for (request, status) in [
            (Request::get("/public"), 200),
            (Request::get("/private"), 401),
            (Request::get("/private").bearer(&jwt), 200),
            // A token of one is none of the other's.
            (Request::get("/private").bearer("token-of-acme-0123456789abcdef"), 401),
            (call("GET", "acme", "/Users"), 200),
            (plain("GET", "acme", "/Users").bearer(&jwt), 401),
            (plain("GET", "globex", "/Users").bearer(&jwt), 200),
            (plain("GET", "globex", "/Users"), 401),
            (plain("GET", "globex", "/ServiceProviderConfig"), 200),
            (plain("GET", "other", "/Users").bearer(&jwt), 200),
        ] {
            let response = ask(&worker, &request).await?;
            let shown = String::from_utf8_lossy(&request.to_bytes()).into_owned();
            assert_eq!(response.status, status, "{shown} {}\n{}", response.text(), worker.process().log());
        }
        let paths: Vec<_> = upstream.seen().into_iter().map(|seen| seen.path).collect();
        assert_eq!(paths, ["/public", "/private", "/tenants/other/scim/v2/Users"]);
        let lines = audit_lines(&worker, 5).await?;
        let actors: Vec<_> = lines.iter().map(|line| line["actor"].as_str().unwrap_or("-")).collect();
        assert!(actors[0] == "token:suite" && actors[2].starts_with("subject:sha256:"), "{actors:?}");
        let page = ask(&worker, &Request::get("/metrics").bearer(page_token)).await?.text();
        for line in [
            "doorward_worker_scim_calls_total{tenant=\"acme\",operation=\"search\",outcome=\"done\"} 1",
            "doorward_worker_scim_calls_total{tenant=\"globex\",operation=\"discover\",outcome=\"done\"} 1",
            "doorward_worker_scim_refused_total{tenant=\"acme\",code=\"token_unknown\"} 1",
            "doorward_worker_decisions_total{outcome=\"allowed\",provider=\"idp\",code=\"\"} 2",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_call_is_refused_before_the_store_in_the_worker() {
    run(async {
        let mut setup = GatewaySetup::new(&TENANTS);
        setup.scim.insert("limits".to_owned(), json!({ "body": 2048 }));
        setup.tenants["globex"]["rate"] = json!({ "requests_per_second": 1, "burst": 2 });
        setup.tenants["globex"]["attributes"] = json!({ "User": [{ "rename": "role", "to": "title" }] });
        let worker = ScimWorker::start(None, &setup).await?;
        let long = json!({ "schemas": [super::USER], "userName": "a".repeat(4_000) });
        for (request, status) in [
            (with_body("POST", "acme", "/Users", &long), 413),
            (scim(call("POST", "acme", "/Users").header("content-encoding", "gzip"), &user("a")), 415),
            (call("POST", "acme", "/Users").header("content-type", "text/plain").body("{}"), 415),
            (plain("GET", "acme", "/Users").bearer("other"), 401),
            (call("GET", "nobody", "/Users"), 404),
            (call("GET", "acme", "/changes"), 404),
            (call("PATCH", "acme", "/Users"), 405),
        ] {
            let response = ask(&worker, &request).await?;
            assert_eq!(scim_error(&response)?.0, status, "{response:?}");
        }
        // The client's own names go in and out.
        let mut named = user("bob");
        named["role"] = json!("Boss");
        let created = expect(&ask(&worker, &with_body("POST", "globex", "/Users", &named)).await?, 201)?;
        assert_eq!((&created["role"], created.get("title")), (&json!("Boss"), None));
        let read = ask(&worker, &call("GET", "globex", &format!("/Users/{}", id_of(&created)?))).await?;
        assert_eq!(read.json()?["role"], json!("Boss"));
        let limited = ask(&worker, &call("GET", "globex", "/Users")).await?;
        assert_eq!(scim_error(&limited)?.0, 429);
        assert_eq!(limited.header("retry-after").as_deref(), Some("1"));
        Ok(())
    })
    .unwrap();
}

#[test]
fn many_creates_at_once_lose_nothing() {
    run(async {
        let worker = ScimWorker::start(None, &GatewaySetup::new(&TENANTS)).await?;
        let mut calls = JoinSet::new();
        for number in 0..12 {
            let request = with_body("POST", "acme", "/Users", &user(&format!("user-{number}")));
            let (addr, request) = (worker.addr(), request.header("host", worker.addr().to_string()));
            calls.spawn(async move { send(addr, &request).await });
        }
        while let Some(done) = calls.join_next().await {
            let response = done??;
            expect(&response, 201).with_context(|| worker.process().log())?;
        }
        let all = expect(&ask(&worker, &call("GET", "acme", "/Users")).await?, 200)?;
        assert_eq!(all["totalResults"], json!(12));
        let again = ask(&worker, &with_body("POST", "acme", "/Users", &user("user-3"))).await?;
        assert_eq!(scim_error(&again)?.0, 409);
        let other = expect(&ask(&worker, &call("GET", "globex", "/Users")).await?, 200)?;
        assert_eq!(other["totalResults"], json!(0), "another tenant sees nothing of it");
        Ok(())
    })
    .unwrap();
}

#[test]
fn calls_go_on_to_the_store_that_is_bound() {
    run(async {
        let mut store = ScimStore::start(Database::Sqlite, &TENANTS, json!({})).await?;
        let setup = GatewaySetup::new(&TENANTS);
        let worker = before(store.addr(), &setup, WorkerBindings::default(), json!({})).await?;
        let ask = async |request: &Request| ask_at(worker.addr(), request).await;
        let created = ask(&with_body("POST", "acme", "/Users", &user("alice"))).await?;
        let id = id_of(&expect(&created, 201).with_context(|| worker.log())?)?;
        let location = format!("http://{HOST}{}/Users/{id}", ScimGateway::path("acme"));
        assert_eq!(created.header("location").as_deref(), Some(location.as_str()));
        let path = format!("/Users/{id}");
        let title = patch(&json!([{ "op": "add", "path": "title", "value": "Boss" }]));
        expect(&ask(&with_body("PATCH", "acme", &path, &title)).await?, 204)?;
        // It is this store that has it.
        let direct = Request::get(format!("/scim/v2{path}")).bearer(&store.token("acme")?);
        let stored = expect(&send(store.addr(), &direct).await?, 200)?;
        assert_eq!((&stored["userName"], &stored["title"]), (&json!("alice"), &json!("Boss")));
        let read = expect(&ask(&call("GET", "acme", &path)).await?, 200)?;
        assert_eq!((&read["title"], &read["meta"]["location"]), (&json!("Boss"), &json!(location)));
        assert_eq!(scim_error(&ask(&call("GET", "globex", &path)).await?)?.0, 404);
        assert_eq!(scim_error(&ask(&plain("GET", "acme", &path).bearer("other")).await?)?.0, 401);

        store.kill();
        let request = call("GET", "acme", &path);
        expect_unavailable(&request, &ask(&request).await?)?;
        store.restart().await?;
        assert_eq!(expect(&ask(&request).await?, 200)?["title"], json!("Boss"));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_call_is_done_and_told_when_its_client_has_left() {
    run(async {
        let store = ScimStore::start(Database::Sqlite, &TENANTS, json!({})).await?;
        let worker =
            before(store.addr(), &GatewaySetup::new(&TENANTS), WorkerBindings::default(), json!({})).await?;
        signal(store.process().id(), "STOP")?;
        let mut client = TcpStream::connect(worker.addr()).await?;
        let request = with_body("POST", "acme", "/Users", &user("late")).header("host", HOST);
        client.write_all(&request.to_bytes()).await?;
        // Another one, behind it: when it is refused, the first has been taken.
        let other = ask_at(worker.addr(), &plain("GET", "acme", "/Users")).await?;
        assert_eq!(other.status, 401);
        // Reset, since workerd sees no other end before it writes. It has seen it when it answers again.
        client.set_zero_linger()?;
        drop(client);
        assert_eq!(ask_at(worker.addr(), &plain("GET", "acme", "/Users")).await?.status, 401);
        signal(store.process().id(), "CONT")?;
        let told = || {
            let log = worker.log();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.filter(|line| line["operation"] == "create" && line["status"] == 201).count()
        };
        eventually("the call is told", async || Ok(told() == 1)).await.with_context(|| worker.log())?;
        let found =
            ask_at(worker.addr(), &call("GET", "acme", "/Users?filter=userName+eq+%22late%22")).await?;
        assert_eq!(expect(&found, 200)?["totalResults"], json!(1));
        Ok(())
    })
    .unwrap();
}

#[test]
fn an_isolate_that_starts_takes_the_keys_of_another() {
    run(async {
        let store = ScimStore::start(Database::Sqlite, &TENANTS, json!({})).await?;
        let issuer = Issuer::start().await?;
        let mut setup = GatewaySetup::new(&TENANTS);
        let provider = json!({
            "issuer": issuer.url(), "audiences": ["api"],
            "jwks": { "remote": { "uri": issuer.jwks_uri(), "cluster": "idp", "danger_allow_http": true } },
        });
        setup.document.insert("providers".to_owned(), json!({ "idp": provider }));
        setup.tenants["globex"]["jwt"] = json!({ "provider": "idp" });
        let jwt = issuer.mint(&json!({}))?;
        for keys in [json!({ "kv": "KEYS" }), json!({ "cache": "doorward" }), Value::Null] {
            let bindings = WorkerBindings {
                keys: true,
                caches: Some(folder::scratch("caches")?),
                isolates: Some(16),
                ..WorkerBindings::default()
            };
            let worker = before(store.addr(), &setup, bindings, json!({ "keys": keys })).await?;
            // Keys are kept after the answer: it may be the third isolate that finds them.
            let mut without_fetch = 0;
            for isolate in 0..16 {
                let before = issuer.jwks_fetches();
                let request = plain("GET", "globex", "/Users").bearer(&jwt);
                let response = ask_at(worker.isolate(isolate)?, &request).await?;
                expect(&response, 200).with_context(|| format!("{isolate} {keys}\n{}", worker.log()))?;
                without_fetch += usize::from(issuer.jwks_fetches() == before);
            }
            let expected = if keys.is_null() { without_fetch == 0 } else { without_fetch > 0 };
            ensure!(expected, "{without_fetch} of 16 isolates made no fetch with {keys}\n{}", worker.log());
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_certificate_is_wanted_where_the_platform_tells_it() {
    run(async {
        let store = ScimStore::start(Database::Sqlite, &TENANTS, json!({})).await?;
        let mut setup = GatewaySetup::new(&TENANTS);
        setup.tenants["acme"]["certificates"] =
            json!([{ "name": "okta-mtls", "sha256": ScimGateway::sha256("own") }]);
        let told = WorkerBindings { cf: Some("CF-Blob"), ..WorkerBindings::default() };
        for (bindings, own) in [(told, 200), (WorkerBindings::default(), 401)] {
            let worker = before(store.addr(), &setup, bindings, json!({})).await?;
            for (certificate, status) in [(Some("own"), own), (Some("other"), 401), (None, 401)] {
                let auth = certificate.map(|shown| {
                    json!({ "certPresented": "1", "certFingerprintSHA256": ScimGateway::sha256(shown) })
                });
                let cf = json!({ "tlsClientAuth": auth });
                let request = plain("GET", "acme", "/Users").header("CF-Blob", cf.to_string());
                let response = ask_at(worker.addr(), &request).await?;
                assert_eq!(response.status, status, "{cf} {}\n{}", response.text(), worker.log());
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn the_address_of_a_client_is_what_the_platform_tells() {
    run(async {
        let (fake, answer) = Fake::start().await?;
        *answer.lock().unwrap() = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_vec();
        let told = WorkerBindings { cf: Some("CF-Blob"), ..WorkerBindings::default() };
        // On Cloudflare the field is its front's. Elsewhere it is the client's own, whatever `cf` workerd makes up.
        for (bindings, expected) in [(told, json!("192.0.2.7")), (WorkerBindings::default(), Value::Null)] {
            let worker = before(fake.addr, &GatewaySetup::new(&TENANTS), bindings, json!({})).await?;
            for (address, expected) in
                [(Some("192.0.2.7"), &expected), (Some("me"), &Value::Null), (None, &Value::Null)]
            {
                let mut request = call("DELETE", "acme", "/Users/1").header("CF-Blob", r#"{"colo":"AMS"}"#);
                if let Some(address) = address {
                    request = request.header("CF-Connecting-IP", address);
                }
                assert_eq!(ask_at(worker.addr(), &request).await?.status, 204, "{}", worker.log());
                let credential = field(&fake.take()[0], "authorization").context("expected a credential")?;
                let claims = credential.split('.').nth(1).context("expected claims")?;
                let claims: Value = serde_json::from_slice(&base64url::decode(claims.as_bytes())?)?;
                assert_eq!(
                    (&claims["sub"], &claims["client"]),
                    (&json!("token:suite"), expected),
                    "{address:?}"
                );
            }
        }
        Ok(())
    })
    .unwrap();
}
