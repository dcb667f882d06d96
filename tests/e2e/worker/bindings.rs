//! What Cloudflare's platform binds and tells, in workerd: an origin behind a binding, a dataset of decisions, and certificates of clients.

use super::transport::{document, read_until, shown};
use crate::bound::verdict;
use crate::support::{eventually, identity, with};
use anyhow::{Context, Result, ensure};
use doorward_testbed::{
    Issuer, Platform, Request, ScimGateway, Seen, Service, Upstream, WorkerBindings, WorkerRuntime, port,
    run, send,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A worker that tells what it has received, as [`Seen::from_json`] wants it and with the URL; below `/public/echo` it sends the body back as
/// it comes, and `/public/away` is elsewhere.
const ORIGIN: &str = r#"
export default {
  async fetch(request) {
    const { url, method, headers } = request;
    const { pathname, search } = new URL(url);
    if (pathname === "/public/away") return new Response(null, { status: 302, headers: { location: "/public" } });
    if (pathname === "/public/echo") return new Response(request.body);
    return Response.json({ url, method, path: pathname + search, headers: [...headers], body: await request.text() });
  },
};
"#;

#[test]
fn requests_go_to_the_worker_that_is_bound() {
    run(async {
        let issuer = Issuer::start().await?;
        // Nobody is there, nor at the host that clients name.
        let mut document = document(&issuer, port::loopback(port::free()?));
        document["worker"]["origin"] = json!({ "binding": "ORIGIN" });
        let services = vec![("ORIGIN", Service::Worker(ORIGIN))];
        let bindings = WorkerBindings { services, ..WorkerBindings::default() };
        let worker = WorkerRuntime::start_with(Platform::Workerd, &document, &bindings).await?;
        let place = || worker.log();
        let forged = |request: Request| {
            request.header("x-user-id", "root").header("X_User_Id", "root").header("x-user-id", "admin")
        };
        let token = issuer.mint(&json!({}))?;
        for (method, path, body) in [("GET", "/a%20b/%C3%A9?c=%20d&e", ""), ("PUT", "/a/b+c%40", "abc\n")] {
            let request = Request::new(method, path).header("host", "app.example.com:8080").body(body);
            let response = send(worker.addr(), &forged(request.bearer(&token)).header("x-else", "1")).await?;
            ensure!(response.status == 200, "{response:?} {}", place());
            let seen = Seen::from_json(&response.body)?;
            let url = format!("http://app.example.com:8080{path}");
            ensure!(response.json()?["url"] == url, "expected {url}, but found {}", response.text());
            ensure!((seen.method.as_str(), seen.path.as_str()) == (method, path), "{seen:?}");
            ensure!(seen.body == body.as_bytes() && seen.text("x-else").as_deref() == Some("1"), "{seen:?}");
            let identity = identity(&seen, &["x-user-id"]);
            ensure!(identity == [("x-user-id".to_owned(), "alice".to_owned())], "{identity:?}");
        }
        let anonymous = send(worker.addr(), &forged(Request::get("/public"))).await?;
        let identity = identity(&Seen::from_json(&anonymous.body)?, &["x-user-id"]);
        ensure!(identity.is_empty(), "{identity:?}");
        let found = verdict(&send(worker.addr(), &forged(Request::get("/private"))).await?);
        ensure!(found == (401, "token_missing".into()), "{found:?} {}", place());
        // It is for the client to follow.
        let away = send(worker.addr(), &Request::get("/public/away")).await?;
        ensure!(
            (away.status, away.header("location")) == (302, Some("/public".into())),
            "{away:?} {}",
            place()
        );

        let mut client = TcpStream::connect(worker.addr()).await?;
        let head =
            "POST /public/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        client.write_all(head.as_bytes()).await?;
        let read = read_until(&mut client, "first").await.with_context(place)?;
        ensure!(shown(&read).contains("HTTP/1.1 200"), "{} {}", shown(&read), place());
        client.write_all(b"6\r\nsecond\r\n0\r\n\r\n").await?;
        read_until(&mut client, "second").await.with_context(place)?;
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_dataset_takes_a_data_point_for_each_decision() {
    run(async {
        let (issuer, upstream) = (Issuer::start().await?, Upstream::start().await?);
        let mut document = document(&issuer, upstream.addr());
        document["worker"]["analytics"] = json!("POINTS");
        document["rules"].as_array_mut().context("expected rules")?.insert(
            0,
            json!({ "match": { "path": { "exact": "/report" } }, "require": { "provider": "corp" }, "enforce": "report" }),
        );
        let bindings = WorkerBindings { points: true, ..WorkerBindings::default() };
        let worker = WorkerRuntime::start_with(Platform::Workerd, &document, &bindings).await?;
        let good = issuer.mint(&json!({}))?;
        let expired = issuer.mint(&json!({ "iat": 1, "nbf": 1, "exp": 2 }))?;
        let cases = [
            (Request::get("/").bearer(&good), 200, ["allowed", "corp", ""]),
            // Judged before.
            (Request::get("/").bearer(&good), 200, ["allowed", "corp", ""]),
            (Request::get("/public"), 200, ["allowed", "-", ""]),
            (Request::get("/").bearer(&expired), 401, ["denied", "corp", "token_expired"]),
            (Request::get("/"), 401, ["denied", "-", "token_missing"]),
            (Request::get("/report").bearer(&expired), 200, ["reported", "corp", "token_expired"]),
            (Request::get("/report"), 200, ["reported", "-", "token_missing"]),
        ];
        let points = || -> Vec<Value> {
            let log = worker.log();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.filter_map(|line| line.get("point").cloned()).collect()
        };
        let mut expected = Vec::new();
        for (request, status, [outcome, provider, code]) in cases {
            let response = send(worker.addr(), &request).await?;
            ensure!(response.status == status, "{response:?}\n{}", worker.log());
            // What is not told is nothing, and a number that is not told is 0.
            let blobs = json!([outcome, provider, code, null]);
            expected.push(json!({ "index": provider, "blobs": blobs, "doubles": [1, 0] }));
            eventually("the data point is there", async || Ok(points().len() >= expected.len()))
                .await
                .with_context(|| worker.log())?;
            ensure!(points() == expected, "expected {expected:#?}, but found\n{}", worker.log());
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_certificate_bound_token_passes_with_what_the_platform_tells_alone() {
    run(async {
        let (issuer, upstream) = (Issuer::start().await?, Upstream::start().await?);
        let mut document = document(&issuer, upstream.addr());
        document["providers"]["corp"] =
            with(document["providers"]["corp"].clone(), json!({ "certificate_bound": true }));
        let thumbprint = doorward::jose::base64url::encode(&Sha256::digest(b"own"));
        let bound = issuer.mint(&json!({ "cnf": { "x5t#S256": thumbprint } }))?;
        let unbound = issuer.mint(&json!({}))?;
        let shown = |presented: &str, certificate: &str| {
            let fingerprint = ScimGateway::sha256(certificate);
            Some(json!({ "tlsClientAuth": { "certPresented": presented, "certFingerprintSHA256": fingerprint } }))
        };
        let none = json!({ "tlsClientAuth": { "certPresented": "0", "certFingerprintSHA256": "" } });
        let passes = (200, "ok");
        let mismatch = (401, "certificate_mismatch");
        let cases = [
            (shown("1", "own"), &bound, passes),
            (shown("1", "other"), &bound, mismatch),
            (shown("0", "own"), &bound, mismatch),
            (Some(none), &bound, mismatch),
            (Some(json!({})), &bound, mismatch),
            (None, &bound, mismatch),
            (shown("1", "own"), &unbound, (401, "binding_missing")),
        ];
        let ask = async |worker: &WorkerRuntime, cf: Option<&Value>, token: &str| -> Result<(u16, String)> {
            let request = Request::get("/").bearer(token);
            let request = match cf {
                Some(cf) => request.header("CF-Blob", cf.to_string()),
                None => request,
            };
            Ok(verdict(&send(worker.addr(), &request).await?))
        };
        let bindings = WorkerBindings { cf: Some("CF-Blob"), ..WorkerBindings::default() };
        let worker = WorkerRuntime::start_with(Platform::Workerd, &document, &bindings).await?;
        for (cf, token, (status, code)) in &cases {
            let found = ask(&worker, cf.as_ref(), token).await?;
            ensure!(found == (*status, (*code).to_owned()), "{found:?} for {cf:?}\n{}", worker.log());
        }
        // Where the platform does not tell, nobody else can.
        for platform in Platform::ALL {
            let worker = WorkerRuntime::start(platform, &document).await?;
            let found = ask(&worker, shown("1", "own").as_ref(), &bound).await?;
            ensure!(found.1 == "certificate_mismatch", "{found:?} on {}\n{}", platform.name(), worker.log());
        }
        Ok(())
    })
    .unwrap();
}
