//! An HTTP/1.1 client that sends exactly what it is told: names in any case, values in any bytes, broken requests too.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long to wait for a whole response.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request to send. `Host` and `Content-Length` are added if it has none; nothing else is added or checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    method: String,
    target: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

/// A response as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header fields: the name in lower case, the value as received.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, without its transfer coding.
    pub body: Vec<u8>,
}

/// A connection that is kept for more than one request.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// Sends `request` on a connection of its own.
///
/// # Errors
/// If there is no connection, or no complete response within 30 seconds.
pub async fn send(addr: SocketAddr, request: &Request) -> Result<Response> {
    Connection::open(addr).await?.send(request).await
}

/// Writes `bytes` and reads what comes back until the peer closes or `patience` is over.
///
/// # Errors
/// If there is no connection. A connection that is reset later is not an error: what came before it is answered.
pub async fn send_raw(addr: SocketAddr, bytes: &[u8], patience: Duration) -> Result<Vec<u8>> {
    let mut connection = Connection::open(addr).await?;
    let _ = connection.stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(patience, connection.stream.read_to_end(&mut answer)).await;
    Ok(answer)
}

impl Request {
    /// A request with this method and target.
    pub fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        let target = target.as_ref().to_vec();
        Self { method: method.to_owned(), target, headers: Vec::new(), body: Vec::new() }
    }

    /// A GET request.
    pub fn get(target: impl AsRef<[u8]>) -> Self {
        Self::new("GET", target)
    }

    /// Adds one field after those that are there.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Adds `Authorization: Bearer TOKEN`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The request in HTTP/1.1 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let has = |name: &[u8]| self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        let mut bytes = [self.method.as_bytes(), b" ", &self.target, b" HTTP/1.1\r\n"].concat();
        if !has(b"host") {
            bytes.extend_from_slice(b"Host: localhost\r\n");
        }
        for (name, value) in &self.headers {
            bytes.extend([name, b": ".as_slice(), value, b"\r\n"].concat());
        }
        if !self.body.is_empty() && !has(b"content-length") && !has(b"transfer-encoding") {
            bytes.extend(format!("Content-Length: {}\r\n", self.body.len()).into_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl Response {
    /// The value of the first field of this name, in any case, not UTF-8 replaced.
    pub fn header(&self, name: &str) -> Option<String> {
        let field = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        field.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// The body, not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// If it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("expected JSON, but found {:?}", self.text()))
    }
}

impl Connection {
    /// Connects to `addr`.
    ///
    /// # Errors
    /// If nobody listens there.
    pub async fn open(addr: SocketAddr) -> Result<Self> {
        let stream =
            TcpStream::connect(addr).await.with_context(|| format!("expected to connect to {addr}"))?;
        let _ = stream.set_nodelay(true);
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Sends `request` and reads its response; informational ones (1xx) are skipped.
    ///
    /// # Errors
    /// If there is no complete response within 30 seconds.
    pub async fn send(&mut self, request: &Request) -> Result<Response> {
        // A proxy may answer and close before it has read everything: then the answer is what counts.
        let written = self.stream.write_all(&request.to_bytes()).await;
        let response = timeout(PATIENCE, self.receive(request.method == "HEAD"))
            .await
            .with_context(|| format!("expected a response within {PATIENCE:?}"))?;
        match (response, written) {
            (Ok(response), _) => Ok(response),
            (Err(e), Ok(())) => Err(e),
            (Err(e), Err(cause)) => Err(e.context(format!("the request could not be written: {cause}"))),
        }
    }

    /// Writes `bytes` as they are: a part of a request, or several.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await.context("expected to write to the connection")
    }

    /// Reads the response to what was written.
    ///
    /// # Errors
    /// As for [`Self::send`].
    pub async fn read(&mut self) -> Result<Response> {
        timeout(PATIENCE, self.receive(false))
            .await
            .with_context(|| format!("expected a response within {PATIENCE:?}"))?
    }

    async fn receive(&mut self, head_only: bool) -> Result<Response> {
        loop {
            let mut response = self.receive_head().await?;
            if (100..200).contains(&response.status) {
                continue;
            }
            if !(head_only || matches!(response.status, 204 | 304)) {
                response.body = self.receive_body(&response).await?;
            }
            return Ok(response);
        }
    }

    async fn receive_head(&mut self) -> Result<Response> {
        loop {
            if let Some((response, length)) = parse_head(&self.unread)? {
                self.unread.drain(..length);
                return Ok(response);
            }
            ensure!(self.fill().await? > 0, "expected a response, but the connection was closed");
        }
    }

    async fn receive_body(&mut self, head: &Response) -> Result<Vec<u8>> {
        let chunked = head.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"));
        if chunked {
            return self.receive_chunks().await;
        }
        if let Some(length) = head.header("content-length") {
            let length =
                length.parse().with_context(|| format!("expected a length, but found {length:?}"))?;
            return self.take(length).await;
        }
        while self.fill().await? > 0 {}
        Ok(std::mem::take(&mut self.unread))
    }

    async fn receive_chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.take_line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16)
                .with_context(|| format!("expected a chunk, but found {line:?}"))?;
            if size == 0 {
                while !self.take_line().await?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(size).await?);
            ensure!(self.take_line().await?.is_empty(), "expected the end of a chunk");
        }
    }

    async fn take_line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.take(end).await?;
                self.take(2).await?;
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            ensure!(self.fill().await? > 0, "expected a line, but the connection was closed");
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.unread.len() < length {
            let found = self.unread.len();
            ensure!(
                self.fill().await? > 0,
                "expected {length} bytes, but the connection was closed after {found}"
            );
        }
        Ok(self.unread.drain(..length).collect())
    }

    async fn fill(&mut self) -> Result<usize> {
        self.stream.read_buf(&mut self.unread).await.context("expected to read from the connection")
    }
}

/// The head of a response and its length in bytes, or nothing if it is not complete.
fn parse_head(bytes: &[u8]) -> Result<Option<(Response, usize)>> {
    let mut fields = vec![httparse::EMPTY_HEADER; 1024];
    let mut head = httparse::Response::new(&mut fields);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(e) => bail!("expected an HTTP/1.1 response, but found {:?}: {e}", String::from_utf8_lossy(bytes)),
    };
    let status = head.code.context("expected a status code")?;
    let headers = head.headers.iter().map(|f| (f.name.to_ascii_lowercase(), f.value.to_vec())).collect();
    Ok(Some((Response { status, headers, body: Vec::new() }, length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::loopback;
    use crate::run;
    use tokio::net::TcpListener;

    /// What the client makes of a peer that writes `answer`, in pieces of `size` bytes, and closes.
    fn received(method: &'static str, answer: &'static [u8], size: usize) -> Result<Response> {
        run(async move {
            let listener = TcpListener::bind(loopback(0)).await?;
            let addr = listener.local_addr()?;
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                for piece in answer.chunks(size) {
                    let _ = stream.write_all(piece).await;
                    tokio::task::yield_now().await;
                }
            });
            send(addr, &Request::new(method, "/")).await
        })
    }

    #[test]
    fn bodies_end_where_they_say() {
        let cases: [(&str, &[u8], u16, &[u8]); 6] = [
            ("GET", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab", 200, b"ab"),
            ("GET", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\nc\r\n\r\n0\r\nt: 1\r\n\r\n", 200, b"abc\r\n"),
            ("GET", b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, b"until the end"),
            ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", 200, b""),
            ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
            ("GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\r\ncontent-length: 1\r\n\r\nx", 403, b"x"),
        ];
        for (method, answer, status, body) in cases {
            for size in [1, 7, 1000] {
                let response = received(method, answer, size).unwrap();
                let shown = String::from_utf8_lossy(answer);
                assert_eq!((response.status, response.body.as_slice()), (status, body), "{shown} in {size}");
            }
        }
    }

    #[test]
    fn broken_responses_are_errors() {
        let cases: [&[u8]; 4] = [
            b"",
            b"nonsense\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        ];
        for answer in cases {
            assert!(received("GET", answer, 1000).is_err(), "{}", String::from_utf8_lossy(answer));
        }
    }

    #[test]
    fn requests_are_written_as_given() {
        let request = Request::new("PUT", b"/\xff").header("X_User.Id", [0xfe]).header("HOST", "h").body("b");
        assert_eq!(
            request.to_bytes(),
            b"PUT /\xff HTTP/1.1\r\nX_User.Id: \xfe\r\nHOST: h\r\nContent-Length: 1\r\n\r\nb"
        );
    }
}
