//! An HTTP/1.1 server on a loopback port, in this process.

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

/// A request with its whole body.
pub(crate) type WholeRequest = hyper::Request<Bytes>;
/// A response with its whole body.
pub(crate) type WholeResponse = hyper::Response<Full<Bytes>>;

/// A listening server. Dropping it closes the port and every connection.
#[derive(Debug)]
pub(crate) struct Server {
    addr: SocketAddr,
    accepting: AbortHandle,
}

impl Server {
    /// Listens on `addr` (port 0: any free one) and answers with `handle`; its error closes the connection without an
    /// answer.
    pub(crate) async fn start<H, F>(addr: SocketAddr, handle: H) -> Result<Self>
    where
        H: Fn(WholeRequest) -> F + Send + Sync + 'static,
        F: Future<Output = Result<WholeResponse>> + Send + 'static,
    {
        let listener =
            TcpListener::bind(addr).await.with_context(|| format!("expected to listen on {addr}"))?;
        let addr = listener.local_addr().context("expected a bound socket to have an address")?;
        let handle = Arc::new(handle);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                let handle = Arc::clone(&handle);
                let service = service_fn(move |request: hyper::Request<Incoming>| {
                    let handle = Arc::clone(&handle);
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        handle(hyper::Request::from_parts(head, body)).await
                    }
                });
                connections.spawn(async move {
                    // As many headers as Envoy can be told to let through.
                    let mut http = http1::Builder::new();
                    http.timer(TokioTimer::new()).max_headers(10_000).max_buf_size(16 << 20);
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { addr, accepting: accepting.abort_handle() })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The set of connections is part of the task, and goes with it.
        self.accepting.abort();
    }
}
