//! The public listener: from a request to whoever handles it, and back.

use super::caller::Caller;
use super::entry::Entry;
use super::forwarded::{Peer, Proxies};
use super::log::Log;
use super::metrics::Metrics;
use super::options::ServerOptions;
use super::rate::RateLimit;
use super::request_id::request_id;
use super::routes::{Routes, method};
use super::trace::TraceParent;
use super::{Handle, clock};
use crate::audit::Origin;
use crate::database::{Database, DatabaseError, Scope};
use crate::service::{Context, Request, Response};
use crate::sql::Statement;
use crate::tenants::{Access, Tenants};
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::routing::get;
use doorward::gateway::retry_after;
use doorward::scim::ScimError;
use doorward::time::UnixTime;
use futures_util::stream;
use http_body_util::{BodyExt, Limited};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

const MEDIA_TYPE: &str = "application/scim+json";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How long the database may take to say that it is there.
const READY: Duration = Duration::from_secs(5);
/// What everyone may read: it says how to authenticate, and nothing of any tenant (RFC 7643 section 5, `authenticationSchemes`).
const PUBLIC: &str = "/ServiceProviderConfig";
/// What is wrong with a token that is there (RFC 6750 section 3.1).
const INVALID: &str = ", error=\"invalid_token\"";
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
    /// Who asks for what is public, of no tenant.
    pub(super) nobody: Arc<Access>,
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
            request_id: request_id(headers.get(REQUEST_ID).map(HeaderValue::as_bytes)),
            trace: headers.get("traceparent").and_then(|value| TraceParent::parse(value.as_bytes())),
            method: method(name),
            route: self.routes.other(),
            tenant: None,
            actor: None,
            gateway: None,
            refused: None,
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
        let Some(path) = self.below_base(parts.uri.path()) else {
            let base = &self.options.base_path;
            return Err(refusal(404, format!("expected a path below {base:?}"), &[]));
        };
        entry.route = self.routes.name(path);
        let is_public = path == PUBLIC
            && [Method::GET, Method::HEAD].contains(&parts.method)
            && !parts.headers.contains_key(AUTHORIZATION);
        let caller = if is_public {
            Caller::Known(Arc::clone(&self.nobody))
        } else {
            self.authenticate(entry, &parts, clock::now()).await?
        };
        self.check_rate(caller.tenant())?;
        let body = self.read(body).await?;
        // It is always there: connections are our own.
        let peer = parts.extensions.get::<Peer>().copied();
        let (address, base_url) = match &caller {
            Caller::Known(_) => {
                let client = peer.map(|peer| self.proxies.client(peer, &parts.headers));
                (client, self.base_url(peer, &parts.headers))
            }
            Caller::Sent(granted) => {
                (granted.client.map(|client| client.to_canonical()), granted.base_url.clone())
            }
        };
        let context = Context {
            tenant: caller.tenant().to_owned(),
            profile: caller.profile(),
            origin: Origin {
                actor: caller.actor(),
                address: address.map(|address| address.to_string()),
                request_id: entry.request_id.clone(),
            },
            base_url,
            // Not from before the body came: others may have read what changed meanwhile, and would never ask for what is older.
            now: clock::now(),
        };
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

    /// The path below the base path, with a slash in front.
    fn below_base<'p>(&self, path: &'p str) -> Option<&'p str> {
        match path.strip_prefix(self.options.base_path.as_str())? {
            "" => Some("/"),
            rest => rest.starts_with('/').then_some(rest),
        }
    }

    /// Who asks, which is noted for the log.
    async fn authenticate(
        &self,
        entry: &mut Entry,
        parts: &Parts,
        now: i64,
    ) -> Result<Caller, Box<Response>> {
        let mut known = |access: &Arc<Access>| {
            entry.tenant = Some(access.tenant.clone());
            entry.actor = Some(access.token.clone());
            Caller::Known(Arc::clone(access))
        };
        if let Some(access) = &self.open {
            return Ok(known(access));
        }
        let mut fields = parts.headers.get_all(AUTHORIZATION).iter();
        let Some(field) = fields.next() else {
            return Err(unauthorized("expected a bearer token, but found none", ""));
        };
        let Some(token) = bearer(field).filter(|_| fields.next().is_none()) else {
            return Err(unauthorized("expected one field Authorization: Bearer TOKEN", ""));
        };
        if !self.options.gateways.is_empty() && is_jws(token) {
            return self.admit(entry, parts, token, now).await;
        }
        match self.tenants.authenticate(token, now).await {
            Ok(Some(access)) => {
                self.write_uses();
                Ok(known(&access))
            }
            Ok(None) => Err(unauthorized(
                "expected a token that was issued here, and neither revoked nor expired",
                INVALID,
            )),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// When the database gets to it: no request waits for that.
    fn write_uses(&self) {
        if self.tenants.has_uses() {
            let tenants = Arc::clone(&self.tenants);
            tokio::spawn(async move { tenants.write_uses().await });
        }
    }

    /// Takes a gateway's word for who asks.
    async fn admit(
        &self,
        entry: &mut Entry,
        parts: &Parts,
        credential: &str,
        now: i64,
    ) -> Result<Caller, Box<Response>> {
        let target = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
        let instant = UnixTime::from_millis(now.div_euclid(1000));
        let opened =
            self.options.gateways.open(instant, credential.as_bytes(), parts.method.as_str(), target);
        let granted = opened.map_err(|error| {
            entry.refused = Some(error.code());
            unauthorized(&error.to_string(), INVALID)
        })?;
        entry.request_id = request_id(Some(granted.request_id.as_bytes()));
        entry.tenant = Some(granted.tenant.clone());
        entry.gateway = Some(granted.issuer.clone());
        match self.tenants.exists(&granted.tenant, now).await {
            Ok(true) => Ok(Caller::Sent(Box::new(granted))),
            Ok(false) => {
                let tenant = &granted.tenant;
                let detail =
                    format!("expected a tenant of this store, but there is none of the id {tenant:?}");
                Err(refusal(403, detail, &[]))
            }
            Err(error) => Err(unavailable(&error)),
        }
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

/// The token of `Authorization` (RFC 6750 section 2.1).
fn bearer(field: &HeaderValue) -> Option<&str> {
    let (scheme, token) = field.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

/// Whether it has three segments: a token of the store has one.
fn is_jws(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 2
}

fn unauthorized(detail: &str, error: &str) -> Box<Response> {
    refusal(401, detail, &[("www-authenticate", format!("Bearer realm=\"scim\"{error}"))])
}

fn unavailable(error: &DatabaseError) -> Box<Response> {
    match error {
        DatabaseError::Unavailable(_) => refusal(503, "expected a database that answers: try again", &[]),
        DatabaseError::Full(_) | DatabaseError::Failed(_) => refusal(500, "the database failed", &[]),
    }
}

fn refusal(status: u16, detail: impl Into<String>, headers: &[(&'static str, String)]) -> Box<Response> {
    let mut response = Response::from(ScimError::new(status, detail));
    response.headers.extend_from_slice(headers);
    Box::new(response)
}

fn to_axum(response: Response, request_id: &str) -> axum::response::Response {
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
    let has_body = answer.body().size_hint().exact() != Some(0);
    let headers = answer.headers_mut();
    if has_body {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    }
    // What is answered to one is not for others.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in &response.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            match *name {
                "content-type" => drop(headers.insert(header::CONTENT_TYPE, value)),
                name => drop(headers.append(HeaderName::from_static(name), value)),
            }
        }
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
    answer
}
