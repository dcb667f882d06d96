//! The service behind the proxy: it echoes, and remembers, what reached it.

use crate::port::loopback;
use crate::server::{Server, WholeRequest, WholeResponse};
use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A running upstream. It answers 200 with a JSON document of what it received; see [`Seen::from_json`]. Below `/answer/STATUS` it
/// answers with that status, `Location: /elsewhere`, an `ETag` and two cookies.
#[derive(Debug)]
pub struct Upstream {
    server: Server,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as the upstream received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Header fields: the name in lower case, the value as received.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Upstream {
    /// Starts on any free loopback port.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start() -> Result<Self> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let memory = Arc::clone(&seen);
        let server = Server::start(loopback(0), move |request| {
            let answer = echo(&request, &memory);
            async move { answer }
        })
        .await?;
        Ok(Self { server, seen })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Every request received since the start or the last [`Self::clear`], in order of arrival.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }

    /// How many those are.
    pub fn count(&self) -> usize {
        lock(&self.seen).len()
    }

    /// Forgets them.
    pub fn clear(&self) {
        lock(&self.seen).clear();
    }
}

impl Seen {
    /// The values of every field of this name, in any case.
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_slice()).collect()
    }

    /// The value of the first field of this name, not UTF-8 replaced.
    pub fn text(&self, name: &str) -> Option<String> {
        self.values(name).first().map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// Reads the upstream's answer: `{"method", "path", "headers": [[name, value], …], "body"}`. Each character of a value
    /// or of the body stands for one byte (ISO 8859-1), so that nothing is lost.
    ///
    /// # Errors
    /// If `json` is anything else, for instance an answer of the proxy.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(json).context("expected the upstream's JSON document")?;
        let text = |key: &str| {
            value
                .get(key)
                .and_then(Value::as_str)
                .with_context(|| format!("expected `{key}` in the upstream's answer"))
        };
        let pairs =
            value.get("headers").and_then(Value::as_array).context("expected `headers` to be an array")?;
        let headers = pairs
            .iter()
            .map(|pair| match pair.as_array().map(Vec::as_slice) {
                Some([Value::String(name), Value::String(value)]) => Ok((name.clone(), to_bytes(value)?)),
                _ => anyhow::bail!("expected a header to be [name, value], but found {pair}"),
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            method: text("method")?.to_owned(),
            path: text("path")?.to_owned(),
            headers,
            body: to_bytes(text("body")?)?,
        })
    }

    fn to_json(&self) -> Value {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| json!([name, from_bytes(value)])).collect();
        json!({ "method": self.method, "path": self.path, "headers": headers, "body": from_bytes(&self.body) })
    }
}

fn echo(request: &WholeRequest, memory: &Mutex<Vec<Seen>>) -> Result<WholeResponse> {
    let seen = Seen {
        method: request.method().to_string(),
        path: request.uri().to_string(),
        headers: request.headers().iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect(),
        body: request.body().to_vec(),
    };
    let answer = seen.to_json().to_string();
    let status = seen.path.strip_prefix("/answer/").and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
    lock(memory).push(seen);
    let mut response = hyper::Response::builder().header("content-type", "application/json");
    if let Some(status) = status {
        response = response
            .status(status)
            .header("location", "/elsewhere")
            .header("etag", "\"1\"")
            .header("set-cookie", "a=1; Expires=Wed, 21 Oct 2099 07:28:00 GMT")
            .header("set-cookie", "b=2");
    }
    response.body(Full::new(Bytes::from(answer))).context("expected to build a response")
}

fn from_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn to_bytes(text: &str) -> Result<Vec<u8>> {
    text.chars()
        .map(u8::try_from)
        .collect::<Result<_, _>>()
        .context("expected every character to stand for one byte")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Request, run, send};

    #[test]
    fn echo_is_lossless() {
        run(async {
            let upstream = Upstream::start().await?;
            let every_byte: Vec<u8> = (0x80..=0xff).collect();
            let request = Request::new("POST", "/a?b=%00")
                .header("x-bytes", &every_byte)
                .header("x-twice", "1")
                .header("X_Twice", "2")
                .header("x-twice", "3")
                .body(every_byte.clone());
            let response = send(upstream.addr(), &request).await?;
            let seen = Seen::from_json(&response.body)?;
            assert_eq!(upstream.seen(), std::slice::from_ref(&seen));
            assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/a?b=%00"));
            assert_eq!(seen.values("X-Bytes"), [&every_byte]);
            assert_eq!(seen.values("x-twice"), [b"1", b"3"]);
            assert_eq!(seen.values("x_twice"), [b"2"]);
            assert_eq!(seen.body, every_byte);
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn a_thousand_headers_arrive() {
        run(async {
            let upstream = Upstream::start().await?;
            let request = (0..1000).fold(Request::get("/"), |r, i| r.header(format!("x-{i}"), "v"));
            assert_eq!(send(upstream.addr(), &request).await?.status, 200);
            assert_eq!(upstream.seen().iter().map(|seen| seen.headers.len()).collect::<Vec<_>>(), [1001]);
            Ok(())
        })
        .unwrap();
    }
}
