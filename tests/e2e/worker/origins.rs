//! Origins that answer what cannot be passed on, or end connections: each is its client's loss alone.

use super::transport::{PATIENCE, PROCESSES, on, read_all, read_until};
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

async fn accepted(origin: &TcpListener) -> Result<TcpStream> {
    Ok(timeout(PATIENCE, origin.accept()).await.context("expected a connection")??.0)
}

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
