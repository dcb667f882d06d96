//! Origins that answer what cannot be passed on, or end connections: each is its client's loss alone.

use super::transport::{PATIENCE, PROCESSES, accepted, on, read_all, read_until};
use anyhow::{Context, Result, ensure};
use doorward_testbed::{Request, send};
use std::net::SocketAddr;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// None of these can be a `Response`.
const ANSWERS: [&str; 8] = [
    "HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 999 Odd\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA B: c\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\0c\r\nContent-Length: 0\r\n\r\n",
    "hello\r\n\r\n",
];

/// Sends a request that is to be answered with 502, and with a problem document if there may be one.
async fn is_502(worker: SocketAddr, request: Request) -> Result<()> {
    let response = send(worker, &request).await?;
    ensure!(response.status == 502, "expected 502, but found {response:?}");
    ensure!(response.header("content-type").as_deref() == Some("application/problem+json"), "{response:?}");
    Ok(())
}

#[test]
fn answer_that_cannot_be_passed_on_is_502() {
    on(&PROCESSES, async |origin, worker| {
        for answer in ANSWERS {
            for method in ["GET", "HEAD", "POST"] {
                let client = tokio::spawn(is_502(worker, Request::new(method, "/public")));
                let check = async {
                    let mut server = accepted(&origin).await?;
                    read_until(&mut server, "\r\n\r\n").await?;
                    server.write_all(answer.as_bytes()).await?;
                    read_all(&mut server).await?;
                    client.await?
                };
                check.await.with_context(|| format!("{method} with {answer:?}"))?;
            }
        }
        Ok(())
    });
}

/// Has the worker keep a connection: a request that the origin answers.
async fn kept(origin: &TcpListener, worker: SocketAddr) -> Result<TcpStream> {
    let client = tokio::spawn(async move { send(worker, &Request::get("/public")).await });
    let mut server = accepted(origin).await?;
    read_until(&mut server, "\r\n\r\n").await?;
    server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await?;
    ensure!(client.await??.status == 200);
    Ok(server)
}

#[test]
fn request_whose_kept_connection_ends_is_sent_once_unless_it_is_safe() {
    on(&PROCESSES, async |origin, worker| {
        for (method, body) in [("POST", "hello"), ("POST", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "")] {
            let check = async {
                let mut server = kept(&origin, worker).await?;
                let mut client = tokio::spawn(is_502(worker, Request::new(method, "/public").body(body)));
                // Some platforms take a new connection at once.
                let mut server = tokio::select! {
                    read = read_until(&mut server, "\r\n\r\n") => read.map(|_| server)?,
                    other = accepted(&origin) => {
                        let mut other = other?;
                        read_until(&mut other, "\r\n\r\n").await?;
                        other
                    }
                };
                server.shutdown().await?;
                drop(server);
                let mut count = 1;
                loop {
                    tokio::select! {
                        outcome = timeout(PATIENCE, &mut client) => {
                            outcome.context("expected an answer")???;
                            break;
                        }
                        other = origin.accept() => {
                            read_until(&mut other?.0, "\r\n\r\n").await?;
                            count += 1;
                        }
                    }
                }
                ensure!(count == 1 || method == "GET", "expected one request, but found {count}");
                Ok(())
            };
            check.await.with_context(|| format!("{method} with {body:?}"))?;
        }
        Ok(())
    });
}
