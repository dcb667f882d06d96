//! Requests that try to walk around the worker, or to kill it: none reaches the origin under a path that it was not judged by, with an
//! identity that it does not have, or inside another one.

use super::start::copied;
use super::transport::{PROCESSES, document, read_until, shown};
use crate::support::folded;
use anyhow::ensure;
use doorward_testbed::{
    Issuer, Platform, Request, Upstream, WorkerBindings, WorkerRuntime, run, send, send_raw,
};
use serde_json::json;
use std::fs;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_millis(300);

/// None of these has a token; `/public` needs none. `\r\n` at the end is added.
const REQUESTS: [&str; 40] = [
    // Which path, and which host.
    "GET http://other.example/private HTTP/1.1\r\nHost: a\r\n",
    "GET http://a/public/../private HTTP/1.1\r\nHost: a\r\n",
    "GET /private HTTP/1.1\r\nHost: a/public?\r\n",
    "GET /private HTTP/1.1\r\nHost: a/public#\r\n",
    "GET /private HTTP/1.1\r\nHost: a\\public\\\r\n",
    "GET /private HTTP/1.1\r\nHost: user@a\r\n",
    "GET /private HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
    "GET /private HTTP/1.1\r\nHost:\r\n",
    "GET /private HTTP/1.0\r\n",
    "GET //private HTTP/1.1\r\nHost: a\r\n",
    "GET /private#/public HTTP/1.1\r\nHost: a\r\n",
    "GET /public/..;/private HTTP/1.1\r\nHost: a\r\n",
    "GET /public%2f..%2fprivate HTTP/1.1\r\nHost: a\r\n",
    "GET /public/%252e%252e/private HTTP/1.1\r\nHost: a\r\n",
    "GET /public\\..\\private HTTP/1.1\r\nHost: a\r\n",
    "GET /public/.%2e/private HTTP/1.1\r\nHost: a\r\n",
    "GET private HTTP/1.1\r\nHost: a\r\n",
    "GET ?/public HTTP/1.1\r\nHost: a\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n",
    "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n",
    "TRACE /public HTTP/1.1\r\nHost: a\r\n",
    "GET /public HTTP/1.1\r\nHost: a\r\nX-Original-URL: /private\r\nX-Rewrite-URL: /private\r\n",
    // Which method: a POST or PATCH below `/public/admin` needs a token.
    "post /public/admin HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na\r\n",
    "pOST /public/admin HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n",
    "patch /public/admin HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n",
    "Patch /public/admin HTTP/1.1\r\nHost: a\r\n",
    // Whose identity.
    "GET /public HTTP/1.1\r\nHost: a\r\nX\u{80}User\u{80}Id: root\r\n",
    "GET /public HTTP/1.1\r\nHost: a\r\nX\u{c3}\u{a9}User-Id: root\r\n",
    "GET /public HTTP/1.1\r\nHost: a\r\nX-User-Id : root\r\n",
    "GET /public HTTP/1.1\r\nHost: a\r\nX-A: b\r\n X-User-Id: root\r\n",
    "GET /public HTTP/1.1\r\nHost: a\r\nX-A: b\rX-User-Id: root\r\n",
    "GET /public HTTP/1.1\r\nHost: a\r\nX-A: b\nX-User-Id: root\r\n",
    "GET /public HTTP/1.1\r\nHost: a\r\nConnection: host, content-length, x-user-id, \u{fc}, ,\r\nX-User-Id: root\r\n",
    "GET /public HTTP/1.1\r\nHost: a\r\nx-user-id: root\r\nX_USER_ID: root\r\nx.user.id: root\r\n",
    // Which requests.
    "POST /public HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /private HTTP/1.1\r\nHost: a\r\n",
    "POST /public HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\nGET /private HTTP/1.1\r\nHost: a\r\n",
    "POST /public HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET /private HTTP/1.1\r\nHost: a\r\n",
    "GET /public HTTP/1.1\r\nHost: a\r\nContent-Length: 39\r\n\r\nGET /private HTTP/1.1\r\nHost: a\r\nX: y\r\n",
    "GET /public HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 39\r\n\r\nGET /private HTTP/1.1\r\nHost: a\r\nX: y\r\n",
    "POST /public HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nTrailer: X-User-Id\r\n\r\n1\r\na\r\n0\r\nX-User-Id: root\r\n",
];

#[test]
fn nothing_walks_around_the_worker() {
    run(async {
        let (issuer, upstream) = (Issuer::start().await?, Upstream::start().await?);
        for platform in Platform::ALL {
            let mut document = document(&issuer, upstream.addr());
            let admin =
                json!({ "match": { "path": { "prefix": "/public/admin" }, "methods": ["POST", "PATCH"] }, "require": { "provider": "corp" } });
            document["rules"].as_array_mut().unwrap().insert(0, admin);
            let worker = WorkerRuntime::start(platform, &document).await?;
            for request in REQUESTS {
                upstream.clear();
                // Each character is a byte.
                let bytes: Vec<u8> =
                    format!("{request}\r\n").chars().map(|c| u8::try_from(c).unwrap()).collect();
                let answer = send_raw(worker.addr(), &bytes, PATIENCE).await?;
                for seen in upstream.seen() {
                    let is_judged = seen.path.starts_with("/public")
                        && (!seen.path.starts_with("/public/admin") || seen.method == "GET")
                        && ["..", "%2e", "%2f", ";", "\\"].iter().all(|part| !seen.path.contains(part));
                    let identity = seen.headers.iter().any(|(name, _)| folded(name) == "x-user-id");
                    ensure!(
                        is_judged && !identity,
                        "{request:?} on {} became {seen:?}, answered {:?}\n{}",
                        platform.name(),
                        String::from_utf8_lossy(&answer),
                        worker.log()
                    );
                }
                ensure!(worker.is_running(), "{request:?} ended {}\n{}", platform.name(), worker.log());
            }
            let response = send(worker.addr(), &Request::get("/public")).await?;
            ensure!(response.status == 200, "{response:?} on {}\n{}", platform.name(), worker.log());
        }
        Ok(())
    })
    .unwrap();
}

/// Requests that some platform has no URL, or no `Request`, for; where it has, they may pass. `\r\n\r\n` at the end is added.
const FAULTS: [&str; 7] = [
    "GET /public HTTP/1.0\r\nConnection: foo",
    "GET /public HTTP/1.0",
    "GET /public HTTP/1.1\r\nHost: a b\r\nConnection: foo",
    "GET /public HTTP/1.1\r\nHost: [::1\r\nConnection: foo",
    "GET /public HTTP/1.1\r\nHost: user:pw@a\r\nConnection: foo",
    "TRACE /public HTTP/1.1\r\nHost: a\r\nConnection: foo",
    "CONNECT a:80 HTTP/1.1\r\nHost: a\r\nConnection: foo",
];

#[test]
fn request_at_fault_is_400_without_content() {
    run(async {
        let (issuer, upstream) = (Issuer::start().await?, Upstream::start().await?);
        for platform in PROCESSES {
            let worker = WorkerRuntime::start(platform, &document(&issuer, upstream.addr())).await?;
            for request in FAULTS {
                upstream.clear();
                let mut client = TcpStream::connect(worker.addr()).await?;
                client.write_all(format!("{request}\r\n\r\n").as_bytes()).await?;
                let answer = shown(&read_until(&mut client, "\r\n\r\n").await?);
                let is_refused = answer.contains(" 400 ") && answer.ends_with("\\r\\n\\r\\n\"");
                ensure!(
                    is_refused || upstream.count() == 1,
                    "{request:?} on {} was answered {answer}\n{}",
                    platform.name(),
                    worker.log()
                );
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn fault_of_ours_shows_nothing_of_it() {
    run(async {
        let made = copied("fault")?;
        let handler = "export const handler = () => Object.assign(() => { throw new Error('secret'); }, { prepare() {} });";
        fs::write(made.join("handler.js"), handler)?;
        for platform in [Platform::Deno, Platform::Bun] {
            let bindings = WorkerBindings::default();
            let worker = WorkerRuntime::start_modules(platform, &made, &json!({}), &bindings).await?;
            let response = send(worker.addr(), &Request::get("/public")).await?;
            let is_bare = response.status == 500 && !response.text().contains("secret");
            ensure!(is_bare, "{response:?} on {}\n{}", platform.name(), worker.log());
        }
        Ok(())
    })
    .unwrap();
}
