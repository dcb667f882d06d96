//! What lies between client and origin: bodies as they come, in both directions, connections that end, and WebSockets.

use crate::support::{eventually, inline_provider, node, output};
use anyhow::{Context, Result, ensure};
use doorward_testbed::{
    Issuer, Platform, Process, Request, Upstream, WorkerRuntime, folder, port, run, send, worker_section,
};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Where both ends are held to be one connection. A plain worker in workerd ends a chunked body well that broke off, and goes on to wait
/// for the origin when the client has gone.
pub(super) const PROCESSES: [Platform; 3] = [Platform::Deno, Platform::Bun, Platform::Node];

pub(super) fn document(issuer: &Issuer, origin: SocketAddr) -> Value {
    json!({
        "worker": worker_section(origin),
        "providers": { "corp": inline_provider(issuer) },
        "rules": [
            { "match": { "path": { "prefix": "/public" } }, "allow": "anonymous" },
            { "match": {}, "require": { "provider": "corp" } },
        ],
        "identity_headers": [{ "header": "x-user-id", "claim": ["sub"] }],
    })
}

/// A connection of the worker to its origin.
pub(super) async fn accepted(origin: &TcpListener) -> Result<TcpStream> {
    Ok(timeout(PATIENCE, origin.accept()).await.context("expected a connection")??.0)
}

/// Reads until `end` has come.
pub(super) async fn read_until(stream: &mut TcpStream, end: &str) -> Result<Vec<u8>> {
    let mut read = Vec::new();
    while !read.windows(end.len()).any(|window| window == end.as_bytes()) {
        let more = timeout(PATIENCE, stream.read_buf(&mut read));
        let count = more.await.with_context(|| format!("expected {end:?} after {}", shown(&read)))??;
        ensure!(count > 0, "expected {end:?}, but the connection was closed after {}", shown(&read));
    }
    Ok(read)
}

/// Reads until the peer has closed or reset the connection.
pub(super) async fn read_all(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut read = Vec::new();
    let _ =
        timeout(PATIENCE, stream.read_to_end(&mut read)).await.context("expected the connection to end")?;
    Ok(read)
}

pub(super) fn shown(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(bytes))
}

/// Runs a check on platforms, with an origin that is played by the check.
pub(super) fn on(platforms: &[Platform], check: impl AsyncFn(TcpListener, SocketAddr) -> Result<()>) {
    run(async {
        let issuer = Issuer::start().await?;
        for platform in platforms {
            let origin = TcpListener::bind(port::loopback(0)).await?;
            let worker = WorkerRuntime::start(*platform, &document(&issuer, origin.local_addr()?)).await?;
            let place = || format!("on {}\n{}", platform.name(), worker.log());
            check(origin, worker.addr()).await.with_context(place)?;
            ensure!(worker.is_running(), "expected the worker to go on {}", place());
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn bodies_stream_in_both_directions() {
    on(&Platform::ALL, async |origin, worker| {
        let mut client = TcpStream::connect(worker).await?;
        let head = "POST /public HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        client.write_all(head.as_bytes()).await?;
        let mut server = accepted(&origin).await?;
        read_until(&mut server, "first").await?;
        client.write_all(b"6\r\nsecond\r\n0\r\n\r\n").await?;
        read_until(&mut server, "0\r\n\r\n").await?;
        server.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n").await?;
        read_until(&mut client, "one").await?;
        server.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await?;
        let rest = read_until(&mut client, "0\r\n\r\n").await?;
        ensure!(shown(&rest).contains("two"), "expected the rest, but found {}", shown(&rest));
        Ok(())
    });
}

#[test]
fn encoded_bodies_are_left_alone() {
    on(&Platform::ALL, async |origin, worker| {
        let client = tokio::spawn(async move { send(worker, &Request::get("/public")).await });
        let mut server = accepted(&origin).await?;
        let asked = read_until(&mut server, "\r\n\r\n").await?;
        let asked = shown(&asked).to_lowercase();
        ensure!(
            !asked.contains("gzip"),
            "expected nothing that the client did not ask for, but found {asked}"
        );
        // It is none: whoever unpacks it notices.
        server
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!")
            .await?;
        let response = client.await??;
        let encoding = response.header("content-encoding");
        ensure!(encoding.as_deref() == Some("gzip"), "expected gzip, but found {encoding:?}");
        ensure!(response.body == b"not gzip!", "expected it as it was, but found {}", response.text());
        Ok(())
    });
}

#[test]
fn origin_that_cannot_be_reached_is_502() {
    on(&Platform::ALL, async |origin, worker| {
        let is_502 = async |request: &Request| {
            let response = send(worker, request).await?;
            let problem = response.json()?;
            ensure!(
                response.status == 502 && problem["status"] == 502,
                "expected 502, but found {response:?}"
            );
            ensure!(response.header("content-type").as_deref() == Some("application/problem+json"));
            Ok(())
        };
        // It hangs up without an answer.
        let closing = tokio::spawn(async move {
            for _ in 0..2 {
                let (mut server, _) = origin.accept().await.unwrap();
                let _ = read_until(&mut server, "\r\n\r\n").await;
            }
        });
        is_502(&Request::get("/public")).await?;
        is_502(&Request::new("POST", "/public").body("abc")).await?;
        closing.abort();
        let _ = closing.await;
        // Nobody is there.
        is_502(&Request::get("/public")).await?;
        is_502(&Request::new("POST", "/public").body("abc")).await
    });
}

#[test]
fn body_that_breaks_off_is_not_passed_on_as_whole() {
    on(&PROCESSES, async |origin, worker| {
        let mut client = TcpStream::connect(worker).await?;
        client.write_all(b"GET /public HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        let mut server = accepted(&origin).await?;
        read_until(&mut server, "\r\n\r\n").await?;
        server.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n").await?;
        let mut read = read_until(&mut client, "part").await?;
        drop(server);
        read.extend(read_all(&mut client).await?);
        ensure!(!shown(&read).ends_with("0\\r\\n\\r\\n\""), "expected no end, but found {}", shown(&read));
        Ok(())
    });
}

#[test]
fn client_that_goes_lets_the_origin_go() {
    on(&PROCESSES, async |origin, worker| {
        let mut client = TcpStream::connect(worker).await?;
        client.write_all(b"GET /public HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        let mut server = accepted(&origin).await?;
        read_until(&mut server, "\r\n\r\n").await?;
        drop(client);
        read_all(&mut server).await.map(drop)
    });
}

#[test]
fn bodies_of_every_method_arrive_framed() {
    run(async {
        let issuer = Issuer::start().await?;
        let upstream = Upstream::start().await?;
        for platform in Platform::ALL {
            let worker = WorkerRuntime::start(platform, &document(&issuer, upstream.addr())).await?;
            for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
                upstream.clear();
                let request = Request::new(method, "/public")
                    .header("transfer-encoding", "chunked")
                    .body("3\r\nabc\r\n0\r\n\r\n");
                let place = || format!("{method} on {}\n{}", platform.name(), worker.log());
                let response = send(worker.addr(), &request).await.with_context(place)?;
                let seen = upstream.seen();
                let found: Vec<_> =
                    seen.iter().map(|seen| (seen.method.as_str(), seen.body.as_slice())).collect();
                ensure!(response.status == 200 && found == [(method, &b"abc"[..])], "{found:?} {}", place());
            }
            // What asks for another protocol than WebSocket is an ordinary request.
            let request = Request::get("/public").header("connection", "Upgrade").header("upgrade", "h2c");
            let response = send(worker.addr(), &request).await?;
            ensure!(response.status == 200, "{response:?} on {}", platform.name());
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn web_sockets_pass() {
    run(async {
        let issuer = Issuer::start().await?;
        let process =
            Process::spawn("websocket", node("websocket.mjs").arg("origin"), &folder::scratch("websocket")?)?;
        let mut found = None;
        eventually("the origin is ready", async || {
            ensure!(process.exited().is_none(), "{}", process.report(20));
            found = process.log().lines().find_map(|line| line.strip_prefix("ready ")?.parse::<u16>().ok());
            Ok(found.is_some())
        })
        .await?;
        let origin = port::loopback(found.context("expected a port")?);
        let token = issuer.mint(&json!({}))?;
        let fields =
            json!({ "authorization": format!("Bearer {token}"), "X_User_Id": "root", "x-user-id": "root" });
        for platform in Platform::ALL {
            let worker = WorkerRuntime::start(platform, &document(&issuer, origin)).await?;
            let place = || format!("on {}\n{}", platform.name(), worker.log());
            let call = |path: &str, fields: &Value| {
                let url = format!("ws://{}{path}", worker.addr());
                output(node("websocket.mjs").args(["client", &url, &fields.to_string()])).with_context(place)
            };
            let passed = call("/chat?a=1", &fields)?;
            let greeting: Value = serde_json::from_str(passed["messages"][0].as_str().with_context(place)?)?;
            let expected = json!({ "path": "/chat?a=1", "user": "alice", "protocol": "chat" });
            ensure!(greeting == expected, "{greeting} {}", place());
            let rest = passed["messages"].as_array().context("expected messages")?.get(1..);
            ensure!(
                rest == Some(&[json!("hello"), json!([0, 1, 255]), json!(100_000)]),
                "{passed} {}",
                place()
            );
            let ended = (&passed["code"], &passed["reason"], &passed["protocol"]);
            ensure!(ended == (&json!(4001), &json!("bye"), &json!("chat")), "{passed} {}", place());

            let denied = call("/chat", &json!({}))?;
            ensure!(denied["status"] == 401, "{denied} {}", place());
            let problem: Value = serde_json::from_str(denied["body"].as_str().unwrap_or_default())?;
            ensure!(problem["code"] == "token_missing", "{denied} {}", place());

            // Those that have no raw connection do not learn what the origin says.
            let refused = call("/refuse", &fields)?;
            let bridged = matches!(platform, Platform::Deno | Platform::Bun);
            let expected = if bridged { json!([502, null]) } else { json!([403, "so"]) };
            ensure!(json!([refused["status"], refused["why"]]) == expected, "{refused} {}", place());
            ensure!(worker.is_running(), "expected the worker to go on {}", place());
        }
        Ok(())
    })
    .unwrap();
}
