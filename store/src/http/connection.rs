//! Connections: how many, and how long one may take to say what it wants and to hear what it is told.

use super::forwarded::Peer;
use super::log::{Level, Log};
use super::options::Limits;
use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;

/// How large the head of a request may be, in bytes.
const HEAD: usize = 64 << 10;
/// How long to wait if no connection can be accepted, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves what a listener accepts until it is told to stop, and then lets requests end.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    log: Arc<Log>,
    mut stop: watch::Receiver<bool>,
) {
    let connections = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_timeout).max_buf_size(HEAD);
    loop {
        let accept = async {
            // It is never closed.
            let permit = Arc::clone(&connections).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            accepted = accept => accepted,
            // Whoever could tell is gone: that is the end too.
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let accepted = accepted.and_then(|(stream, remote)| {
            stream.set_nodelay(true)?;
            Ok((Peer { remote, local: stream.local_addr()? }, stream))
        });
        let (peer, stream) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                log.line(Level::Error, "accept_failed", json!({ "error": error.to_string() }));
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let router = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            router.call(request)
        });
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.write_timeout));
        let connection = graceful.watch(http.serve_connection(TokioIo::new(Box::pin(stream)), service));
        tokio::spawn(async move {
            // A client that breaks its connection is its own business; a request that it broke is in the log.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        log.line(Level::Error, "drain_timeout", json!({}));
    }
}
