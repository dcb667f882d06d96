//! Sends requests over kept connections as fast as they are answered, and counts.

use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// How long one response may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Connections; each sends its next request when the last one was answered.
    pub(super) connections: usize,
    /// Requests at most.
    pub(super) requests: usize,
    /// No request begins later.
    pub(super) time: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    /// How long all of it took.
    pub(super) elapsed: Duration,
    /// Of each answered request, in µs, in no order.
    pub(super) micros: Vec<f64>,
    /// What `keep` made of the responses' bodies, in no order.
    pub(super) kept: Vec<String>,
}

impl Outcome {
    /// Requests a second.
    pub(super) fn rate(&self) -> f64 {
        self.micros.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// A response.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
}

/// Sends what `request` makes of 0, 1, 2 and so on, whole requests in octets. `keep` says what to keep of a response, or what is wrong
/// with it.
pub(super) fn drive(
    address: SocketAddr,
    load: Load,
    request: impl Fn(usize) -> Vec<u8> + 'static,
    keep: impl Fn(Answer<'_>) -> Result<Option<String>> + 'static,
) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("expected to start a tokio runtime")?;
    let (request, keep, next) = (Rc::new(request), Rc::new(keep), Rc::new(AtomicUsize::new(0)));
    let tasks = LocalSet::new();
    let start = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..load.connections.min(load.requests) {
        let (request, keep, next) = (Rc::clone(&request), Rc::clone(&keep), Rc::clone(&next));
        clients.push(tasks.spawn_local(async move {
            let mut connection = Connection::open(address).await?;
            let mut outcome = Outcome::default();
            while start.elapsed() < load.time {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= load.requests {
                    break;
                }
                let request = request(number);
                let begin = Instant::now();
                let exchange = tokio::time::timeout(PATIENCE, connection.exchange(&request)).await;
                let is_kept_open = exchange.context("expected a response within 2 minutes")??;
                outcome.micros.push(begin.elapsed().as_secs_f64() * 1e6);
                let kept = keep(connection.answer());
                let sent = || String::from_utf8_lossy(request.get(..300).unwrap_or(&request)).into_owned();
                outcome.kept.extend(kept.with_context(sent)?);
                if !is_kept_open {
                    connection = Connection::open(address).await?;
                }
            }
            anyhow::Ok(outcome)
        }));
    }
    let mut all = Outcome::default();
    runtime.block_on(tasks.run_until(async {
        for client in clients {
            let outcome = client.await.context("expected the client to end")??;
            all.micros.extend(outcome.micros);
            all.kept.extend(outcome.kept);
        }
        anyhow::Ok(())
    }))?;
    all.elapsed = start.elapsed();
    Ok(all)
}

/// A connection, and the last response on it.
struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
    status: u16,
    body: Vec<u8>,
}

/// How a body ends.
enum Framing {
    Length(usize),
    Chunked,
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("expected {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { address, stream, buffer: Vec::new(), status: 0, body: Vec::new() })
    }

    fn answer(&self) -> Answer<'_> {
        Answer { status: self.status, body: &self.body }
    }

    /// Sends a request and reads the response; answers whether the connection can be used again.
    async fn exchange(&mut self, request: &[u8]) -> Result<bool> {
        self.buffer.clear();
        self.stream
            .write_all(request)
            .await
            .with_context(|| format!("expected to send to {}", self.address))?;
        let head = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            self.more().await?;
        };
        let text = std::str::from_utf8(self.buffer.get(..head).unwrap_or_default())?;
        let (framing, is_kept_open);
        (self.status, framing, is_kept_open) = read_head(text)?;
        let start = head + 4;
        match framing {
            Framing::Length(length) => {
                while self.buffer.len() < start + length {
                    self.more().await?;
                }
                self.body.clear();
                self.body.extend_from_slice(self.buffer.get(start..start + length).unwrap_or_default());
            }
            Framing::Chunked => self.read_chunks(start).await?,
        }
        Ok(is_kept_open)
    }

    async fn read_chunks(&mut self, mut at: usize) -> Result<()> {
        self.body.clear();
        loop {
            let line = loop {
                if let Some(end) = self.buffer.get(at..).and_then(|rest| find(rest, b"\r\n")) {
                    break at + end;
                }
                self.more().await?;
            };
            let size = std::str::from_utf8(self.buffer.get(at..line).unwrap_or_default())?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
            let (begin, end) = (line + 2, line + 2 + size);
            while self.buffer.len() < end + 2 {
                self.more().await?;
            }
            if size == 0 {
                return Ok(());
            }
            self.body.extend_from_slice(self.buffer.get(begin..end).unwrap_or_default());
            at = end + 2;
        }
    }

    async fn more(&mut self) -> Result<()> {
        self.buffer.reserve(16 << 10);
        let read = self.stream.read_buf(&mut self.buffer).await.context("expected a response")?;
        ensure!(read > 0, "expected a whole response, but the connection was closed");
        Ok(())
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// The status, how the body ends, and whether the connection stays.
fn read_head(head: &str) -> Result<(u16, Framing, bool)> {
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(' ');
    let (Some(version), Some(Ok(status))) = (words.next(), words.next().map(str::parse)) else {
        bail!("expected a status line, but found {first:?}");
    };
    let (mut framing, mut is_kept_open) = (Framing::Length(0), version == "HTTP/1.1");
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            framing = Framing::Length(value.parse().context("expected a Content-Length")?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("connection") {
            is_kept_open = value.eq_ignore_ascii_case("keep-alive");
        }
    }
    Ok((status, framing, is_kept_open))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    /// Answers each connection's requests with these responses, one after another.
    fn server(responses: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                for response in responses {
                    let mut line = String::new();
                    while reader.read_line(&mut line).unwrap() > 2 {
                        line.clear();
                    }
                    for part in response.split('|') {
                        stream.write_all(part.as_bytes()).unwrap();
                    }
                }
            }
        });
        address
    }

    fn run(responses: &'static [&'static str], requests: usize) -> Result<Vec<String>> {
        let load = Load { connections: 1, requests, time: Duration::from_secs(60) };
        let keep = |answer: Answer<'_>| {
            Ok(Some(format!("{} {}", answer.status, String::from_utf8_lossy(answer.body))))
        };
        let outcome = drive(server(responses), load, |_| b"GET / HTTP/1.1\r\n\r\n".to_vec(), keep)?;
        assert_eq!(outcome.micros.len(), requests);
        assert!(outcome.rate() > 0.0);
        Ok(outcome.kept)
    }

    #[test]
    fn bodies_are_read_whole() {
        let found = run(
            &[
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n|ab|c",
                "HTTP/1.1 204 No Content\r\n\r\n",
                "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n2|\r\nab\r|\n1;x\r\nc\r\n0\r\n\r\n",
            ],
            3,
        );
        assert_eq!(found.unwrap(), ["200 abc", "204 ", "201 abc"]);
    }

    #[test]
    fn a_closed_connection_is_opened_again() {
        const CLOSING: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na";
        assert_eq!(run(&[CLOSING], 3).unwrap(), ["200 a", "200 a", "200 a"]);
        const OLD: &str = "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na";
        assert_eq!(run(&[OLD], 2).unwrap().len(), 2);
    }

    #[test]
    fn half_a_response_is_an_error() {
        let error = run(&["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"], 1);
        assert!(error.is_err(), "{error:?}");
        assert!(run(&["hello\r\n\r\n"], 1).is_err());
    }
}
