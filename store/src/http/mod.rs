//! The service over HTTP/1.1: who asks, how much, how long, and what is told of it in the log and in metrics. What a request means
//! is for whoever handles it.
//!
//! There are two listeners. The public one has the service below its base path, `/healthz` and `/readyz`. The one for operators has
//! tenants, tokens, roles and `/metrics`: see [`admin`].

pub mod admin;
mod clock;
mod connection;
mod entry;
mod forwarded;
mod log;
mod metrics;
mod network;
mod options;
mod rate;
mod routes;
mod scim;
mod server;
mod signal;
mod trace;

pub use clock::now;
pub use log::Log;
pub use network::{Network, NetworkError};
pub use options::{Authentication, Limits, OptionsError, Rate, ServerOptions};
pub use server::{Server, StartError};
pub use signal::shutdown_signal;

use crate::database::Database;
use crate::service::{Context, Request, Response, Service};
use std::future::Future;
use tokio::sync::watch;

/// Whoever answers requests.
pub trait Handle: Send + Sync + 'static {
    /// Answers a request of a tenant.
    fn handle(&self, context: &Context, request: &Request<'_>) -> impl Future<Output = Response> + Send;

    /// What tells when something of a tenant has changed, for requests that wait.
    fn watch(&self, tenant: &str) -> watch::Receiver<()>;
}

impl<D: Database> Handle for Service<D> {
    async fn handle(&self, context: &Context, request: &Request<'_>) -> Response {
        Service::handle(self, context, request).await
    }

    fn watch(&self, tenant: &str) -> watch::Receiver<()> {
        Service::watch(self, tenant)
    }
}
