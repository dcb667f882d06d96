//! What operators ask for: tenants, tokens and roles. Whoever has the requests must know that they are an operator's: nobody is asked here.
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
//!
//! Bodies are `application/json`, and times as in RFC 3339. An error is `{"error": "…"}`.

use crate::audit::Origin;
use crate::database::{Database, DatabaseError};
use crate::role::{Grant, GroupKey};
use crate::service::Response;
use crate::tenants::{Tenant, TenantError, Tenants, TokenRecord};
use doorward::scim::{DateTime, Profile};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

const JSON: &str = "application/json";

/// A request of an operator.
#[derive(Debug, Clone, Copy)]
pub struct AdminRequest<'r> {
    /// `GET`, `POST`, ….
    pub method: &'r str,
    /// The path, still percent-encoded, without what follows `?`.
    pub path: &'r str,
    /// `Content-Type`.
    pub content_type: Option<&'r [u8]>,
    /// The body; empty if there is none.
    pub body: &'r [u8],
}

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
struct Refusal {
    status: u16,
    error: String,
    /// The methods that the path has.
    allow: Option<&'static str>,
}

impl Refusal {
    const fn new(status: u16, error: String) -> Self {
        Self { status, error, allow: None }
    }
}

type Answer = Result<Response, Refusal>;

/// Does what an operator asks for; none if there is no such path. `origin` is for the audit trail, and `now` in microseconds since 1970 UTC.
pub async fn administer<D: Database>(
    tenants: &Tenants<D>,
    request: &AdminRequest<'_>,
    origin: Origin,
    now: i64,
) -> Option<Response> {
    let segments = request.path.strip_prefix("/tenants")?;
    let segments = if segments.is_empty() { "" } else { segments.strip_prefix('/')? };
    let is_all = request.path == "/tenants";
    let decoded = segments.split('/').filter(|_| !is_all).map(|segment| {
        let text = percent_decode_str(segment).decode_utf8().map_err(|_| ());
        text.map(std::borrow::Cow::into_owned)
    });
    let decoded: Vec<Result<String, ()>> = decoded.collect();
    if decoded.iter().any(|segment| segment.as_ref().is_ok_and(String::is_empty)) {
        return None;
    }
    let Ok(decoded) = decoded.into_iter().collect::<Result<Vec<String>, ()>>() else {
        return Some(bad_request("expected a path in UTF-8".to_owned()).into());
    };
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let method = if request.method == "HEAD" { "GET" } else { request.method };
    let answer = match (segments.as_slice(), method) {
        ([], "GET") => list(tenants).await,
        ([], "POST") => create(tenants, request, now).await,
        ([], _) => Err(not_allowed("GET, HEAD, POST")),
        ([id], "DELETE") => remove(tenants, id).await,
        ([_], _) => Err(not_allowed("DELETE")),
        ([id, "tokens"], "GET") => tokens(tenants, id).await,
        ([id, "tokens"], "POST") => issue(tenants, id, request, now).await,
        ([_, "tokens"], _) => Err(not_allowed("GET, HEAD, POST")),
        ([id, "tokens", name], "DELETE") => revoke(tenants, id, name).await,
        ([_, "tokens", _], _) => Err(not_allowed("DELETE")),
        ([id, "roles"], "GET") => grants(tenants, id).await,
        ([_, "roles"], _) => Err(not_allowed("GET, HEAD")),
        ([id, "roles", role, by, group], "PUT") => grant(tenants, id, role, (by, group), origin, now).await,
        ([id, "roles", role, by, group], "DELETE") => {
            revoke_role(tenants, id, role, (by, group), origin, now).await
        }
        ([_, "roles", _, _, _], _) => Err(not_allowed("PUT, DELETE")),
        _ => return None,
    };
    Some(answer.unwrap_or_else(Response::from))
}

async fn list<D: Database>(tenants: &Tenants<D>) -> Answer {
    let tenants = tenants.list().await?;
    Ok(answer(200, &tenants.iter().map(describe).collect()))
}

async fn create<D: Database>(tenants: &Tenants<D>, request: &AdminRequest<'_>, now: i64) -> Answer {
    let new: NewTenant = read(request)?;
    let profile = Profile::from_name(&new.profile).ok_or_else(|| {
        let names: Vec<_> = Profile::ALL.iter().map(|profile| profile.as_str()).collect();
        bad_request(format!("profile: expected one of {}, but found {:?}", names.join(", "), new.profile))
    })?;
    let tenant = tenants.create(&new.id, &new.name, profile, now).await?;
    Ok(answer(201, &describe(&tenant)))
}

async fn remove<D: Database>(tenants: &Tenants<D>, id: &str) -> Answer {
    tenants.remove(id).await?;
    Ok(nothing())
}

async fn tokens<D: Database>(tenants: &Tenants<D>, id: &str) -> Answer {
    let tokens = tenants.tokens(id).await?;
    Ok(answer(200, &tokens.iter().map(describe_token).collect()))
}

async fn issue<D: Database>(tenants: &Tenants<D>, id: &str, request: &AdminRequest<'_>, now: i64) -> Answer {
    let new: NewToken = read(request)?;
    let expires = new.expires.as_deref().map(DateTime::parse).transpose();
    let expires = expires.map_err(|error| bad_request(format!("expires: {error}")))?;
    let expires = expires.map(DateTime::as_unix_micros);
    let token = tenants.issue(id, &new.name, expires, now).await?;
    Ok(answer(201, &json!({ "name": new.name, "token": token.reveal() })))
}

async fn revoke<D: Database>(tenants: &Tenants<D>, id: &str, name: &str) -> Answer {
    tenants.revoke(id, name).await?;
    Ok(nothing())
}

async fn grants<D: Database>(tenants: &Tenants<D>, id: &str) -> Answer {
    let grants = tenants.grants(id).await?;
    let describe = |grant: &Grant| {
        let Grant { role, group, created } = grant;
        json!({ "role": role, "group": group, "created": time(Some(*created)) })
    };
    Ok(answer(200, &grants.iter().map(describe).collect()))
}

async fn grant<D: Database>(
    tenants: &Tenants<D>,
    id: &str,
    role: &str,
    (by, group): (&str, &str),
    origin: Origin,
    now: i64,
) -> Answer {
    let group = group_key(by, group)?;
    let is_new = tenants.grant_role(id, role, &group, origin, now).await?;
    Ok(answer(if is_new { 201 } else { 200 }, &json!({ "role": role, "group": group })))
}

async fn revoke_role<D: Database>(
    tenants: &Tenants<D>,
    id: &str,
    role: &str,
    (by, group): (&str, &str),
    origin: Origin,
    now: i64,
) -> Answer {
    let group = group_key(by, group)?;
    tenants.revoke_role(id, role, &group, origin, now).await?;
    Ok(nothing())
}

fn group_key(by: &str, group: &str) -> Result<GroupKey, Refusal> {
    let wrong = || bad_request(format!("expected displayName, externalId or id, but found {by:?}"));
    GroupKey::new(by, group.to_owned()).ok_or_else(wrong)
}

fn read<T: DeserializeOwned>(request: &AdminRequest<'_>) -> Result<T, Refusal> {
    let found = String::from_utf8_lossy(request.content_type.unwrap_or_default());
    let media_type = found.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case(JSON) {
        return Err(Refusal::new(415, format!("expected Content-Type: {JSON}, but found {found:?}")));
    }
    let mut reader = serde_json::Deserializer::from_slice(request.body);
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

fn answer(status: u16, body: &Json) -> Response {
    Response {
        status,
        headers: vec![("content-type", JSON.to_owned())],
        body: Some(body.to_string().into_bytes()),
        ..Response::default()
    }
}

fn nothing() -> Response {
    Response { status: 204, ..Response::default() }
}

fn bad_request(detail: String) -> Refusal {
    Refusal::new(400, detail)
}

/// Of a path that is there, with another method than these.
fn not_allowed(methods: &'static str) -> Refusal {
    Refusal { allow: Some(methods), ..Refusal::new(405, format!("expected one of the methods {methods}")) }
}

impl From<TenantError> for Refusal {
    fn from(error: TenantError) -> Self {
        let status = match &error {
            TenantError::BadId(_)
            | TenantError::BadTitle
            | TenantError::BadTokenName(_)
            | TenantError::BadRole(_)
            | TenantError::BadGroup(_)
            | TenantError::ExpiresInThePast => 400,
            TenantError::TenantTaken(_) | TenantError::TokenTaken(_) | TenantError::TooManyGrants(_) => 409,
            TenantError::NoTenant(_) | TenantError::NoToken(_) | TenantError::NoGrant(_) => 404,
            TenantError::Database(DatabaseError::Unavailable(_)) => 503,
            TenantError::Database(DatabaseError::Full(_)) => 507,
            TenantError::Database(DatabaseError::Failed(_)) | TenantError::Random(_) => 500,
        };
        Self::new(status, error.to_string())
    }
}

impl From<Refusal> for Response {
    fn from(Refusal { status, error, allow }: Refusal) -> Self {
        let mut response = answer(status, &json!({ "error": error }));
        response.headers.extend(allow.map(|methods| ("allow", methods.to_owned())));
        response
    }
}
