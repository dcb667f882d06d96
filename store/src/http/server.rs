//! The server: both listeners, from their start to their end.

use super::forwarded::Proxies;
use super::log::{Level, Log};
use super::metrics::Metrics;
use super::options::{Authentication, OptionsError, ServerOptions};
use super::rate::RateLimit;
use super::routes::Routes;
use super::scim::{self, Shared};
use super::{Handle, admin, connection};
use crate::database::Database;
use crate::front::ANONYMOUS;
use crate::tenants::{Access, TenantError, Tenants};
use axum::Router;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// A server that is about to run: its addresses are taken, and nothing is accepted yet.
pub struct Server {
    public: Listening,
    admin: Option<Listening>,
    options: ServerOptions,
    log: Arc<Log>,
    /// Tells that it is to end.
    tell: watch::Sender<bool>,
    stop: watch::Receiver<bool>,
}

struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
}

/// Why a server does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// It must not, with these options.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// An address cannot be listened on.
    #[error("expected to listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        reason: String,
    },
    /// Without authentication everyone is a tenant that must be there.
    #[error(transparent)]
    Tenant(#[from] TenantError),
}

impl Server {
    /// Takes the addresses.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn bind<H: Handle, D: Database>(
        options: ServerOptions,
        handle: Arc<H>,
        tenants: Arc<Tenants<D>>,
        log: impl Into<Arc<Log>>,
    ) -> Result<Self, StartError> {
        options.check()?;
        let open = match &options.authentication {
            Authentication::Bearer => None,
            Authentication::Open { tenant } => {
                let found = tenants.find(tenant).await?;
                let token = ANONYMOUS.to_owned();
                Some(Arc::new(Access { tenant: found.id, profile: found.profile, token, expires: None }))
            }
        };
        let (tell, stop) = watch::channel(false);
        let (log, metrics) = (log.into(), Arc::new(Metrics::default()));
        let admin = match options.admin {
            Some(address) => {
                let router =
                    admin::router(Arc::clone(&tenants), Arc::clone(&metrics), Arc::clone(&log), address);
                Some(listen(address, router).await?)
            }
            None => None,
        };
        let shared = Shared {
            handle,
            tenants,
            open,
            routes: Routes::new(options.endpoints.iter().map(String::as_str)),
            proxies: Proxies(options.trusted_proxies.clone()),
            rate: options.limits.rate.map(RateLimit::new),
            requests: Semaphore::new(options.limits.requests),
            waits: Semaphore::new(options.limits.connections.div_ceil(2)),
            log: Arc::clone(&log),
            metrics,
            started: Instant::now(),
            stop: stop.clone(),
            options: options.clone(),
        };
        let public = listen(options.listen, scim::router(Arc::new(shared))).await?;
        Ok(Self { public, admin, options, log, tell, stop })
    }

    /// Where the service listens.
    pub fn address(&self) -> SocketAddr {
        self.public.address
    }

    /// Where operators are listened to.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    /// Serves until `shutdown` is done, and then until requests have ended or the time for that is over.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { public, admin, options, log, tell, stop } = self;
        let addresses = json!({
            "listen": public.address.to_string(),
            "admin": admin.as_ref().map(|admin| admin.address.to_string()),
            "authentication": options.authentication == Authentication::Bearer,
        });
        log.line(Level::Info, "started", addresses);
        let serve = |listening: Listening| {
            let Listening { listener, router, .. } = listening;
            connection::serve(listener, router, options.limits.clone(), Arc::clone(&log), stop.clone())
        };
        let public = serve(public);
        let admin = admin.map(serve);
        let admin = async {
            if let Some(admin) = admin {
                admin.await;
            }
        };
        let tell = async {
            shutdown.await;
            log.line(Level::Info, "stopping", json!({}));
            // Both listeners hear it.
            let _ = tell.send(true);
        };
        tokio::join!(public, admin, tell);
        log.line(Level::Info, "stopped", json!({}));
    }
}

async fn listen(address: SocketAddr, router: Router) -> Result<Listening, StartError> {
    let failed = |error: std::io::Error| StartError::Listen { address, reason: error.to_string() };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Listening { listener, address, router })
}
