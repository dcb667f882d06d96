//! Wishes for another protocol: a WebSocket needs a handshake and nothing else, and any other wish is ignored (RFC 9110 section 7.8).

use super::start::copied;
use super::transport::{PROCESSES, accepted, document, on, read_all, read_until, shown};
use anyhow::{Context, Result, ensure};
use doorward_testbed::{
    Issuer, Platform, Request, Upstream, WorkerBindings, WorkerRuntime, port, run, send, send_raw,
};
use serde_json::json;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// As Java's client asks for HTTP/2 wherever there is no TLS.
const H2C: &str =
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n";
const WEB_SOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn body_arrives_whatever_protocol_is_asked_for() {
    // Deno's own server answers such a request with 400.
    on(&[Platform::Workerd, Platform::Bun, Platform::Node], async |origin, worker| {
        for (framing, first, second) in [
            ("Content-Length: 11", "first", "second"),
            ("Transfer-Encoding: chunked", "5\r\nfirst\r\n", "6\r\nsecond\r\n0\r\n\r\n"),
        ] {
            for is_slow in [false, true] {
                let check = async {
                    let mut client = TcpStream::connect(worker).await?;
                    let head = format!("POST /public HTTP/1.1\r\nHost: a\r\n{H2C}{framing}\r\n\r\n{first}");
                    let rest = if is_slow { "" } else { second };
                    client.write_all(format!("{head}{rest}").as_bytes()).await?;
                    let mut server = accepted(&origin).await?;
                    let mut seen = read_until(&mut server, "first").await?;
                    if is_slow {
                        client.write_all(second.as_bytes()).await?;
                    }
                    // It may come in parts.
                    while !shown(&seen).contains("second") {
                        seen.extend(read_until(&mut server, "d").await?);
                    }
                    let seen = shown(&seen).to_lowercase();
                    ensure!(!seen.contains("upgrade:"), "expected no wish, but found {seen}");
                    server
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone")
                        .await?;
                    read_until(&mut client, "done").await.map(drop)
                };
                check.await.with_context(|| format!("{framing}, slow: {is_slow}"))?;
            }
        }
        Ok(())
    });
}

#[test]
fn handshake_with_a_body_is_400() {
    on(&PROCESSES, async |origin, worker| {
        for body in
            ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
        {
            let mut client = TcpStream::connect(worker).await?;
            let request = format!("GET /public HTTP/1.1\r\nHost: a\r\n{WEB_SOCKET}{body}");
            client.write_all(request.as_bytes()).await?;
            let answer = shown(&read_until(&mut client, "\r\n\r\n").await?);
            ensure!(answer.starts_with("\"HTTP/1.1 400 "), "{body:?}: expected 400, but found {answer}");
        }
        // The first that goes on is another one.
        let mut client = TcpStream::connect(worker).await?;
        client.write_all(b"GET /public/next HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        let head = shown(&read_until(&mut accepted(&origin).await?, "\r\n\r\n").await?);
        ensure!(head.contains("/public/next"), "expected no handshake to go on, but found {head}");
        Ok(())
    });
}

/// A client that asks for a WebSocket, and its request at the origin, as far as its head.
async fn asked(
    origin: &TcpListener,
    worker: SocketAddr,
    fields: &str,
) -> Result<(TcpStream, TcpStream, String)> {
    let mut client = TcpStream::connect(worker).await?;
    let request = format!("GET /public HTTP/1.1\r\nHost: a\r\n{WEB_SOCKET}{fields}\r\n");
    client.write_all(request.as_bytes()).await?;
    let mut server = accepted(origin).await?;
    let head = read_until(&mut server, "\r\n\r\n").await?;
    Ok((client, server, String::from_utf8_lossy(&head).into_owned()))
}

#[test]
fn client_that_goes_lets_the_origin_of_its_handshake_go() {
    on(&PROCESSES, async |origin, worker| {
        let (client, mut server, _) = asked(&origin, worker, "").await?;
        drop(client);
        read_all(&mut server).await.map(drop)
    });
}

#[test]
fn client_that_does_not_wait_for_the_origin_to_agree_is_dropped() {
    on(&[Platform::Node], async |origin, worker| {
        let (mut client, mut server, _) = asked(&origin, worker, "").await?;
        client.write_all(b"early").await?;
        read_all(&mut client).await?;
        read_all(&mut server).await.map(drop)
    });
}

#[test]
fn origin_that_does_not_agree_in_time_is_502() {
    run(async {
        let made = copied("agreement")?;
        let script = fs::read_to_string(made.join("process.js"))?;
        ensure!(script.contains("AGREEMENT = 30_000;"), "expected a bound of 30 seconds");
        fs::write(made.join("process.js"), script.replace("AGREEMENT = 30_000;", "AGREEMENT = 100;"))?;
        let issuer = Issuer::start().await?;
        for platform in PROCESSES {
            let origin = TcpListener::bind(port::loopback(0)).await?;
            let document = document(&issuer, origin.local_addr()?);
            let bindings = WorkerBindings::default();
            let worker = WorkerRuntime::start_modules(platform, &made, &document, &bindings).await?;
            let place = || format!("on {}\n{}", platform.name(), worker.log());
            let (mut client, mut server, _) = asked(&origin, worker.addr(), "").await.with_context(place)?;
            let answer = shown(&read_until(&mut client, "\r\n\r\n").await.with_context(place)?);
            ensure!(answer.starts_with("\"HTTP/1.1 502 "), "expected 502, but found {answer} {}", place());
            read_all(&mut server).await.with_context(place)?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn handshake_behind_another_request_ends_its_own_connection_at_most() {
    run(async {
        let (issuer, upstream) = (Issuer::start().await?, Upstream::start().await?);
        for platform in PROCESSES {
            let worker = WorkerRuntime::start(platform, &document(&issuer, upstream.addr())).await?;
            let place = || format!("on {}\n{}", platform.name(), worker.log());
            let request = "GET /public HTTP/1.1\r\nHost: a\r\n";
            let both = format!("{request}\r\n{request}{WEB_SOCKET}\r\n");
            send_raw(worker.addr(), both.as_bytes(), Duration::from_millis(300)).await?;
            let response = send(worker.addr(), &Request::get("/public")).await.with_context(place)?;
            ensure!(response.status == 200, "{response:?} {}", place());
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn identity_headers_of_a_list_stay_apart_in_a_handshake() {
    run(async {
        let issuer = Issuer::start().await?;
        let token = issuer.mint(&json!({ "groups": ["a", "b"] }))?;
        let origin = TcpListener::bind(port::loopback(0)).await?;
        let mut document = document(&issuer, origin.local_addr()?);
        document["rules"] = json!([{ "match": {}, "require": { "provider": "corp" } }]);
        document["identity_headers"] =
            json!([{ "header": "x-user-groups", "claim": ["groups"], "list": "repeat" }]);
        for platform in PROCESSES {
            let worker = WorkerRuntime::start(platform, &document).await?;
            let fields = format!("Authorization: Bearer {token}\r\n");
            let (_client, _server, head) = asked(&origin, worker.addr(), &fields).await?;
            let found: Vec<_> =
                head.lines().filter_map(|line| line.strip_prefix("x-user-groups: ")).collect();
            // Bun's WebSocket joins them.
            let expected: &[_] = if platform == Platform::Bun { &["a, b"] } else { &["a", "b"] };
            ensure!(found == expected, "{found:?} on {}\n{}", platform.name(), worker.log());
        }
        Ok(())
    })
    .unwrap();
}
