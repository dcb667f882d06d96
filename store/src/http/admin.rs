//! The listener for operators. Nobody is asked who they are, so it is on loopback unless that is said to be unwanted.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /tenants` | | `[{"id", "name", "profile", "created"}]` |
//! | `POST /tenants` | `{"id", "name", "profile"}` | 201, the tenant |
//! | `DELETE /tenants/ID` | | 204; everything of the tenant is gone |
//! | `GET /tenants/ID/tokens` | | `[{"name", "created", "expires", "last_used"}]` |
//! | `POST /tenants/ID/tokens` | `{"name", "expires"}` | 201, `{"name", "token"}`: the only time that the token is shown |
//! | `DELETE /tenants/ID/tokens/NAME` | | 204 |
//! | `GET /tenants/ID/roles` | | `[{"role", "group", "created"}]`; `group` is `{"displayName": …}`, `{"externalId": …}` or `{"id": …}` |
//! | `PUT /tenants/ID/roles/ROLE/BY/GROUP` | | 201, `{"role", "group"}`; 200 if it was there. `BY` is `displayName`, `externalId` or `id`; names are percent-encoded |
//! | `DELETE /tenants/ID/roles/ROLE/BY/GROUP` | | 204 |
//! | `GET /metrics` | | Prometheus' text format |
//! | `GET /healthz`, `GET /readyz` | | as on the public listener |
//!
//! Bodies are `application/json`, and times as in RFC 3339. An error is `{"error": "…"}`.

use super::forwarded::Peer;
use super::log::Log;
use super::metrics::Metrics;
use super::{clock, scim};
use crate::audit::Origin;
use crate::database::{Database, DatabaseError};
use crate::front::request_id;
use crate::role::{Grant, GroupKey};
use crate::tenants::{Tenant, TenantError, Tenants, TokenRecord};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{delete, get, put};
use doorward::scim::{DateTime, Profile};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

const JSON: &str = "application/json";
/// Who it was, in the audit trail. No token and no gateway has a name with a blank.
const ACTOR: &str = "admin listener";
const PROMETHEUS: &str = "text/plain; version=0.0.4";

struct Admin<D> {
    tenants: Arc<Tenants<D>>,
    metrics: Arc<Metrics>,
    log: Arc<Log>,
}

type Shared<D> = State<Arc<Admin<D>>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTenant {
    id: String,
    name: String,
    profile: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    name: String,
    expires: Option<String>,
}

/// Why a request of an operator was not done.
struct Refusal(StatusCode, String);

type Answer = Result<Response, Refusal>;

pub(super) fn router<D: Database>(
    tenants: Arc<Tenants<D>>,
    metrics: Arc<Metrics>,
    log: Arc<Log>,
    address: SocketAddr,
) -> Router {
    let router = Router::new()
        .route("/tenants", get(list::<D>).post(create::<D>))
        .route("/tenants/{id}", delete(remove::<D>))
        .route("/tenants/{id}/tokens", get(tokens::<D>).post(issue::<D>))
        .route("/tenants/{id}/tokens/{name}", delete(revoke::<D>))
        .route("/tenants/{id}/roles", get(grants::<D>))
        .route("/tenants/{id}/roles/{role}/{by}/{group}", put(grant::<D>).delete(revoke_role::<D>))
        .route("/metrics", get(text::<D>))
        .route("/readyz", get(readyz::<D>))
        .route("/healthz", get(scim::healthz))
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
        return Refusal(StatusCode::FORBIDDEN, detail.to_owned()).into();
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

async fn list<D: Database>(State(admin): Shared<D>) -> Answer {
    let tenants = admin.tenants.list().await?;
    answer(StatusCode::OK, &tenants.iter().map(describe).collect())
}

async fn create<D: Database>(State(admin): Shared<D>, headers: HeaderMap, body: Bytes) -> Answer {
    let new: NewTenant = read(&headers, &body)?;
    let profile = Profile::from_name(&new.profile).ok_or_else(|| {
        let names: Vec<_> = Profile::ALL.iter().map(|profile| profile.as_str()).collect();
        bad_request(format!("profile: expected one of {}, but found {:?}", names.join(", "), new.profile))
    })?;
    let tenant = admin.tenants.create(&new.id, &new.name, profile, clock::now()).await?;
    answer(StatusCode::CREATED, &describe(&tenant))
}

async fn remove<D: Database>(State(admin): Shared<D>, Path(id): Path<String>) -> Answer {
    admin.tenants.remove(&id).await?;
    Ok(nothing())
}

async fn tokens<D: Database>(State(admin): Shared<D>, Path(id): Path<String>) -> Answer {
    let tokens = admin.tenants.tokens(&id).await?;
    answer(StatusCode::OK, &tokens.iter().map(describe_token).collect())
}

async fn issue<D: Database>(
    State(admin): Shared<D>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let new: NewToken = read(&headers, &body)?;
    let expires = new.expires.as_deref().map(DateTime::parse).transpose();
    let expires = expires.map_err(|error| bad_request(format!("expires: {error}")))?;
    let expires = expires.map(DateTime::as_unix_micros);
    let token = admin.tenants.issue(&id, &new.name, expires, clock::now()).await?;
    answer(StatusCode::CREATED, &json!({ "name": new.name, "token": token.reveal() }))
}

async fn revoke<D: Database>(State(admin): Shared<D>, Path((id, name)): Path<(String, String)>) -> Answer {
    admin.tenants.revoke(&id, &name).await?;
    Ok(nothing())
}

async fn grants<D: Database>(State(admin): Shared<D>, Path(id): Path<String>) -> Answer {
    let grants = admin.tenants.grants(&id).await?;
    let describe = |grant: &Grant| {
        let Grant { role, group, created } = grant;
        json!({ "role": role, "group": group, "created": time(Some(*created)) })
    };
    answer(StatusCode::OK, &grants.iter().map(describe).collect())
}

async fn grant<D: Database>(
    State(admin): Shared<D>,
    Path((id, role, by, group)): Path<(String, String, String, String)>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Answer {
    let group = group_key(&by, group)?;
    let is_new = admin.tenants.grant_role(&id, &role, &group, origin(peer, &headers), clock::now()).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    answer(status, &json!({ "role": role, "group": group }))
}

async fn revoke_role<D: Database>(
    State(admin): Shared<D>,
    Path((id, role, by, group)): Path<(String, String, String, String)>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Answer {
    let group = group_key(&by, group)?;
    admin.tenants.revoke_role(&id, &role, &group, origin(peer, &headers), clock::now()).await?;
    Ok(nothing())
}

fn group_key(by: &str, group: String) -> Result<GroupKey, Refusal> {
    let wrong = || bad_request(format!("expected displayName, externalId or id, but found {by:?}"));
    GroupKey::new(by, group).ok_or_else(wrong)
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

fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Refusal> {
    let found = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = found.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case(JSON) {
        return Err(Refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("expected Content-Type: {JSON}, but found {found:?}"),
        ));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read =
        serde_path_to_error::deserialize(&mut reader).map_err(|error| bad_request(error.to_string()))?;
    reader.end().map_err(|error| bad_request(error.to_string()))?;
    Ok(read)
}

fn describe(tenant: &Tenant) -> Json {
    let Tenant { id, name, profile, created } = tenant;
    json!({ "id": id, "name": name, "profile": profile.as_str(), "created": time(Some(*created)) })
}

fn describe_token(token: &TokenRecord) -> Json {
    let TokenRecord { name, created, expires, last_used } = token;
    json!({ "name": name, "created": time(Some(*created)), "expires": time(*expires), "last_used": time(*last_used) })
}

fn time(micros: Option<i64>) -> Option<String> {
    Some(DateTime::from_unix_micros(micros?)?.to_string())
}

fn answer(status: StatusCode, body: &Json) -> Answer {
    Ok(respond(status, JSON, body.to_string().into_bytes()))
}

fn nothing() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn respond(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn bad_request(detail: String) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, detail)
}

impl From<TenantError> for Refusal {
    fn from(error: TenantError) -> Self {
        let status = match &error {
            TenantError::BadId(_)
            | TenantError::BadTitle
            | TenantError::BadTokenName(_)
            | TenantError::BadRole(_)
            | TenantError::BadGroup(_)
            | TenantError::ExpiresInThePast => StatusCode::BAD_REQUEST,
            TenantError::TenantTaken(_) | TenantError::TokenTaken(_) | TenantError::TooManyGrants(_) => {
                StatusCode::CONFLICT
            }
            TenantError::NoTenant(_) | TenantError::NoToken(_) | TenantError::NoGrant(_) => {
                StatusCode::NOT_FOUND
            }
            TenantError::Database(DatabaseError::Unavailable(_)) => StatusCode::SERVICE_UNAVAILABLE,
            TenantError::Database(DatabaseError::Full(_)) => StatusCode::INSUFFICIENT_STORAGE,
            TenantError::Database(DatabaseError::Failed(_)) | TenantError::Random(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self(status, error.to_string())
    }
}

impl From<Refusal> for Response {
    fn from(Refusal(status, error): Refusal) -> Self {
        respond(status, JSON, json!({ "error": error }).to_string().into_bytes())
    }
}

impl axum::response::IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.into()
    }
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
