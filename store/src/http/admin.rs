//! The listener for operators. Nobody is asked who they are, so it is on loopback unless that is said to be unwanted. It
//! does what [`front::administer`] says, and beside that:
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /metrics` | | Prometheus' text format |
//! | `GET /healthz`, `GET /readyz` | | as on the public listener |

use super::forwarded::Peer;
use super::log::Log;
use super::metrics::Metrics;
use super::{clock, scim};
use crate::audit::Origin;
use crate::database::Database;
use crate::front::{self, AdminRequest, request_id};
use crate::tenants::Tenants;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Who it was, in the audit trail. No token and no gateway has a name with a blank.
const ACTOR: &str = "admin listener";
const PROMETHEUS: &str = "text/plain; version=0.0.4";

struct Admin<D> {
    tenants: Arc<Tenants<D>>,
    metrics: Arc<Metrics>,
    log: Arc<Log>,
}

type Shared<D> = State<Arc<Admin<D>>>;

pub(super) fn router<D: Database>(
    tenants: Arc<Tenants<D>>,
    metrics: Arc<Metrics>,
    log: Arc<Log>,
    address: SocketAddr,
) -> Router {
    let router = Router::new()
        .route("/metrics", get(text::<D>))
        .route("/readyz", get(readyz::<D>))
        .route("/healthz", get(scim::healthz))
        .fallback(administer::<D>)
        .with_state(Arc::new(Admin { tenants, metrics, log }));
    if address.ip().is_loopback() { router.layer(middleware::from_fn(refuse_browsers)) } else { router }
}

/// A page of the web can make a browser on this machine send requests here. It cannot choose `Host`, cannot leave `Origin` out of
/// anything that changes something, and is not asked for leave to send JSON, since there is nobody here to give it.
async fn refuse_browsers(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let foreign = !is_loopback(host) || headers.contains_key("origin");
    if foreign {
        let detail = "expected a request to a loopback address, not from a page of the web";
        let error = json!({ "error": detail }).to_string();
        return respond(StatusCode::FORBIDDEN, "application/json", error.into_bytes());
    }
    next.run(request).await
}

fn is_loopback(host: &str) -> bool {
    let name = host.parse::<axum::http::uri::Authority>();
    name.is_ok_and(|name| {
        let name = name.host().trim_matches(['[', ']']);
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

async fn administer<D: Database>(
    State(admin): Shared<D>,
    peer: Option<Extension<Peer>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = AdminRequest {
        method: method.as_str(),
        path: uri.path(),
        content_type: headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes),
        body: &body,
    };
    let done = front::administer(&admin.tenants, &request, origin(peer, &headers), clock::now()).await;
    let Some(done) = done else { return StatusCode::NOT_FOUND.into_response() };
    let mut response = Response::new(done.body.map_or_else(Body::empty, Body::from));
    *response.status_mut() = StatusCode::from_u16(done.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &done.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// For the audit trail.
fn origin(peer: Option<Extension<Peer>>, headers: &HeaderMap) -> Origin {
    Origin {
        actor: ACTOR.to_owned(),
        address: peer.map(|Extension(peer)| peer.remote.ip().to_canonical().to_string()),
        request_id: request_id(headers.get("x-request-id").map(HeaderValue::as_bytes), clock::now),
    }
}

async fn text<D: Database>(State(admin): Shared<D>) -> Response {
    respond(StatusCode::OK, PROMETHEUS, admin.metrics.text(admin.log.lost()).into_bytes())
}

async fn readyz<D: Database>(State(admin): Shared<D>) -> (StatusCode, &'static str) {
    scim::ready(&admin.tenants).await
}

fn respond(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_address_is_known_by_its_name() {
        for (host, expected) in [
            ("127.0.0.1:8788", true),
            ("127.0.0.1", true),
            ("[::1]:8788", true),
            ("LOCALHOST:8788", true),
            ("evil.example:8788", false),
            ("127.0.0.1.evil.example", false),
            ("192.168.1.1", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}
