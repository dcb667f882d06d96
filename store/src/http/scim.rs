//! The public listener: from a request to whoever handles it, and back.

use super::entry::Entry;
use super::forwarded::{Peer, Proxies};
use super::log::Log;
use super::metrics::Metrics;
use super::options::ServerOptions;
use super::rate::RateLimit;
use super::routes::{Routes, method};
use super::trace::TraceParent;
use super::{Handle, clock};
use crate::database::{Database, Scope};
use crate::front::{self, Caller, Head, Seen, refusal, request_id};
use crate::service::{Context, Request, Response};
use crate::sql::Statement;
use crate::tenants::{Access, Tenants};
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::routing::get;
use doorward::gateway::retry_after;
use futures_util::stream;
use http_body_util::{BodyExt, Limited};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How long the database may take to say that it is there.
const READY: Duration = Duration::from_secs(5);
/// Where requests may wait for a change.
const FEED: &str = "/changes";
/// How often they look for what another process has changed.
const LOOK: Duration = Duration::from_secs(1);

/// What requests share.
pub(super) struct Shared<H, D> {
    pub(super) handle: Arc<H>,
    pub(super) tenants: Arc<Tenants<D>>,
    /// Who everyone is, if nobody is asked.
    pub(super) open: Option<Arc<Access>>,
    pub(super) options: ServerOptions,
    pub(super) routes: Routes,
    pub(super) proxies: Proxies,
    pub(super) rate: Option<RateLimit>,
    pub(super) requests: Semaphore,
    pub(super) log: Arc<Log>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) started: Instant,
    /// How many requests may wait for a change; more are answered at once, so that there are connections left for others.
    pub(super) waits: Semaphore,
    /// Whether the server is to end.
    pub(super) stop: watch::Receiver<bool>,
}

/// Everything on the public listener.
pub(super) fn router<H: Handle, D: Database>(shared: Arc<Shared<H, D>>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz::<H, D>))
        .fallback(serve::<H, D>)
        .with_state(shared)
}

/// The process runs.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz<H: Handle, D: Database>(
    State(shared): State<Arc<Shared<H, D>>>,
) -> (StatusCode, &'static str) {
    ready(&shared.tenants).await
}

/// The database answers. Why it does not is not for everyone to know.
pub(super) async fn ready<D: Database>(tenants: &Tenants<D>) -> (StatusCode, &'static str) {
    let database = tenants.database();
    let select = Statement::new(database.dialect(), "SELECT id FROM tenant LIMIT 1");
    match timeout(READY, database.read(Scope::Service, vec![select])).await {
        Ok(Ok(_)) => (StatusCode::OK, "ok\n"),
        Ok(Err(_)) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}

async fn serve<H: Handle, D: Database>(
    State(shared): State<Arc<Shared<H, D>>>,
    request: axum::extract::Request,
) -> axum::response::Response {
    let mut entry = shared.begin(request.method().as_str(), request.headers());
    let response = shared.answer(&mut entry, request).await.unwrap_or_else(|response| *response);
    entry.status = Some(response.status);
    to_axum(response, &entry.request_id)
}

impl<H: Handle, D: Database> Shared<H, D> {
    fn begin(&self, name: &str, headers: &HeaderMap) -> Entry {
        self.metrics.begin();
        Entry {
            request_id: request_id(headers.get(REQUEST_ID).map(HeaderValue::as_bytes), clock::now),
            trace: headers.get("traceparent").and_then(|value| TraceParent::parse(value.as_bytes())),
            method: method(name),
            route: self.routes.other(),
            seen: Seen::default(),
            status: None,
            started: Instant::now(),
            log: Arc::clone(&self.log),
            metrics: Arc::clone(&self.metrics),
        }
    }

    /// What costs least is asked first, and nothing of a body is read before it is known whose it is.
    async fn answer(
        &self,
        entry: &mut Entry,
        request: axum::extract::Request,
    ) -> Result<Response, Box<Response>> {
        let (parts, body) = request.into_parts();
        let path = front::below(parts.uri.path(), &self.options.base_path)?;
        entry.route = self.routes.name(path);
        let authorization: Vec<&[u8]> =
            parts.headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
        let head = Head {
            method: parts.method.as_str(),
            path,
            target: parts.uri.path_and_query().map_or("", PathAndQuery::as_str),
            authorization: &authorization,
        };
        let caller = self.admit(entry, &head).await?;
        self.check_rate(caller.tenant())?;
        let body = self.read(body).await?;
        // It is always there: connections are our own.
        let peer = parts.extensions.get::<Peer>().copied();
        let told = || {
            let client = peer.map(|peer| self.proxies.client(peer, &parts.headers));
            (client, self.base_url(peer, &parts.headers))
        };
        let context = caller.context(told, &entry.request_id, clock::now());
        let field = |name: HeaderName| parts.headers.get(name).map(HeaderValue::as_bytes);
        let request = Request {
            method: parts.method.as_str(),
            path,
            query: parts.uri.query().unwrap_or_default(),
            content_type: field(CONTENT_TYPE),
            if_match: field(IF_MATCH),
            if_none_match: field(IF_NONE_MATCH),
            idempotency_key: field(HeaderName::from_static("idempotency-key")),
            body: &body,
        };
        self.handle(&context, &request, entry.started).await
    }

    /// Hands a request over. One that waits for a change holds nothing meanwhile but its connection.
    async fn handle(
        &self,
        context: &Context,
        request: &Request<'_>,
        started: Instant,
    ) -> Result<Response, Box<Response>> {
        let mut stop = self.stop.clone();
        let mut changes = (request.path == FEED).then(|| self.handle.watch(&context.tenant));
        loop {
            let permit = timeout(self.options.limits.wait, self.requests.acquire()).await;
            let Ok(Ok(permit)) = permit else {
                return Err(refusal(503, "expected less to do: try again", &[]));
            };
            let response = self.handle.handle(context, request).await;
            drop(permit);
            let (Some(wait), Some(changes)) = (response.waits, &mut changes) else { return Ok(response) };
            let left = wait.saturating_sub(started.elapsed());
            if left.is_zero() || *stop.borrow() {
                return Ok(response);
            }
            let Ok(_waits) = self.waits.try_acquire() else { return Ok(response) };
            let told = async {
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = told => {}
                () = sleep(left.min(LOOK)) => {}
                // Whoever could tell is gone: that is the end too.
                _ = stop.wait_for(|stop| *stop) => return Ok(response),
            }
        }
    }

    /// Who asks, which is noted for the log.
    async fn admit(&self, entry: &mut Entry, head: &Head<'_>) -> Result<Caller, Box<Response>> {
        if let Some(access) = &self.open {
            return Ok(front::admit_everyone(access, head, &mut entry.seen));
        }
        let gateways = &self.options.gateways;
        let admitted = front::admit(&self.tenants, gateways, head, &mut entry.seen, clock::now()).await;
        if let Some(id) = &entry.seen.request_id {
            entry.request_id = request_id(Some(id.as_bytes()), clock::now);
        }
        if self.tenants.has_uses() {
            // When the database gets to it: no request waits for that.
            let tenants = Arc::clone(&self.tenants);
            tokio::spawn(async move { tenants.write_uses().await });
        }
        admitted
    }

    fn check_rate(&self, tenant: &str) -> Result<(), Box<Response>> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.take(tenant, self.started.elapsed()).map_err(|wait| {
            let seconds = retry_after(wait);
            let detail = format!("expected fewer requests: try again in {seconds} second(s)");
            refusal(429, detail, &[("retry-after", seconds.to_string())])
        })
    }

    async fn read(&self, body: Body) -> Result<Bytes, Box<Response>> {
        let limits = &self.options.limits;
        // What is left of the body is not waited for.
        let close = [("connection", "close".to_owned())];
        let too_large = || refusal(413, format!("expected a body of at most {} bytes", limits.body), &close);
        if body.size_hint().lower() > u64::try_from(limits.body).unwrap_or(u64::MAX) {
            return Err(too_large());
        }
        match timeout(limits.body_timeout, Limited::new(body, limits.body).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err(refusal(400, "expected a whole body", &close)),
            Err(_) => {
                let detail = format!("expected a whole body within {:?}", limits.body_timeout);
                Err(refusal(408, detail, &close))
            }
        }
    }

    fn base_url(&self, peer: Option<Peer>, headers: &HeaderMap) -> String {
        let base_path = &self.options.base_path;
        match (&self.options.base_url, peer) {
            (Some(url), _) => url.clone(),
            (None, Some(peer)) => format!("{}{base_path}", self.proxies.origin(peer, headers)),
            (None, None) => base_path.clone(),
        }
    }
}

fn to_axum(response: Response, request_id: &str) -> axum::response::Response {
    let fields = front::fields(&response, request_id);
    let body = response.body.map(Bytes::from);
    let mut answer = axum::response::Response::new(match (body, response.rest) {
        (Some(body), Some(rest)) => {
            let parts = std::iter::once(body).chain(rest.map(Bytes::from));
            Body::from_stream(stream::iter(parts.map(Ok::<_, Infallible>)))
        }
        (Some(body), None) => Body::from(body),
        (None, _) => Body::empty(),
    });
    // Whoever handles requests answers with a status.
    *answer.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    answer
}
