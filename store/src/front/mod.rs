//! What is before the service, without a server: who asks, for what, and what the answer's head says. Whoever has requests, a listener or
//! a worker, comes to the same answers by it.

mod admin;
mod answer;
mod caller;
mod request_id;

pub use admin::{AdminRequest, administer};
pub use answer::{MEDIA_TYPE, fields, refusal, unavailable};
pub use caller::Caller;
pub use request_id::request_id;

use crate::audit::Origin;
use crate::database::Database;
use crate::service::{Context, Response};
use crate::tenants::{Access, Tenants};
use doorward::gateway::CredentialKeys;
use doorward::scim::Profile;
use doorward::time::UnixTime;
use std::net::IpAddr;
use std::sync::Arc;

/// What everyone may read: it says how to authenticate, and nothing of any tenant (RFC 7643 section 5, `authenticationSchemes`).
const PUBLIC: &str = "/ServiceProviderConfig";
/// What is wrong with a token that is there (RFC 6750 section 3.1).
const INVALID: &str = ", error=\"invalid_token\"";
/// The name of who asks where nobody is asked for a token.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// The head of a request, as far as it says who asks.
#[derive(Debug, Clone, Copy)]
pub struct Head<'r> {
    /// `GET`, `POST`, ….
    pub method: &'r str,
    /// Below the base path: what [`below`] answers.
    pub path: &'r str,
    /// The whole path with what follows `?`, as it was sent: a gateway's credential is for it.
    pub target: &'r str,
    /// Each field `Authorization`.
    pub authorization: &'r [&'r [u8]],
}

/// What was seen of who asks, for a log, whatever becomes of the request.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The tenant's id.
    pub tenant: Option<String>,
    /// Who asks, where that is no person's name.
    pub actor: Option<String>,
    /// Who speaks for the actor, whose own name may be a person's.
    pub gateway: Option<String>,
    /// Why a gateway's credential was refused.
    pub refused: Option<&'static str>,
    /// The request's id, of a gateway.
    pub request_id: Option<String>,
}

/// The path below the base path, with a slash in front.
///
/// # Errors
/// The answer to a path that is not below it.
pub fn below<'p>(path: &'p str, base_path: &str) -> Result<&'p str, Box<Response>> {
    match path.strip_prefix(base_path) {
        Some("") => Ok("/"),
        Some(rest) if rest.starts_with('/') => Ok(rest),
        Some(_) | None => Err(refusal(404, format!("expected a path below {base_path:?}"), &[])),
    }
}

/// Who asks. `now` is in microseconds since 1970 UTC.
///
/// # Errors
/// What is answered to who is not let in.
pub async fn admit<D: Database>(
    tenants: &Tenants<D>,
    gateways: &CredentialKeys,
    head: &Head<'_>,
    seen: &mut Seen,
    now: i64,
) -> Result<Caller, Box<Response>> {
    if is_public(head) {
        return Ok(nobody());
    }
    let [field] = head.authorization else {
        return Err(match head.authorization {
            [] => unauthorized("expected a bearer token, but found none", ""),
            _ => not_bearer(),
        });
    };
    let token = bearer(field).ok_or_else(not_bearer)?;
    if !gateways.is_empty() && is_jws(token) {
        return sent(tenants, gateways, head, token, seen, now).await;
    }
    match tenants.authenticate(token, now).await {
        Ok(Some(access)) => Ok(known(access, seen)),
        Ok(None) => Err(unauthorized(
            "expected a token that was issued here, and neither revoked nor expired",
            INVALID,
        )),
        Err(error) => Err(unavailable(&error)),
    }
}

/// Who asks where nobody is asked for a token: everyone has this access.
pub fn admit_everyone(access: &Arc<Access>, head: &Head<'_>, seen: &mut Seen) -> Caller {
    if is_public(head) { nobody() } else { known(Arc::clone(access), seen) }
}

impl Caller {
    /// What the service is told. A gateway says from where a request came and by what URL; of others, `address` and `base_url` do.
    /// `now` is in microseconds since 1970 UTC, and not from before the body came: others may have read what changed meanwhile, and would
    /// never ask for what is older.
    pub fn context(
        &self,
        told: impl FnOnce() -> (Option<IpAddr>, String),
        request_id: &str,
        now: i64,
    ) -> Context {
        let (address, base_url) = match self {
            Self::Known(_) => told(),
            Self::Sent(granted) => {
                (granted.client.map(|client| client.to_canonical()), granted.base_url.clone())
            }
        };
        Context {
            tenant: self.tenant().to_owned(),
            profile: self.profile(),
            origin: Origin {
                actor: self.actor(),
                address: address.map(|address| address.to_string()),
                request_id: request_id.to_owned(),
            },
            base_url,
            now,
        }
    }
}

fn is_public(head: &Head<'_>) -> bool {
    head.path == PUBLIC && ["GET", "HEAD"].contains(&head.method) && head.authorization.is_empty()
}

/// Who asks for what is public, of no tenant.
fn nobody() -> Caller {
    let access =
        Access { tenant: String::new(), profile: Profile::Rfc, token: ANONYMOUS.to_owned(), expires: None };
    Caller::Known(Arc::new(access))
}

fn known(access: Arc<Access>, seen: &mut Seen) -> Caller {
    seen.tenant = Some(access.tenant.clone());
    seen.actor = Some(access.token.clone());
    Caller::Known(access)
}

/// Takes a gateway's word for who asks.
async fn sent<D: Database>(
    tenants: &Tenants<D>,
    gateways: &CredentialKeys,
    head: &Head<'_>,
    credential: &str,
    seen: &mut Seen,
    now: i64,
) -> Result<Caller, Box<Response>> {
    let instant = UnixTime::from_millis(now.div_euclid(1000));
    let opened = gateways.open(instant, credential.as_bytes(), head.method, head.target);
    let granted = opened.map_err(|error| {
        seen.refused = Some(error.code());
        unauthorized(&error.to_string(), INVALID)
    })?;
    seen.request_id = Some(granted.request_id.clone());
    seen.tenant = Some(granted.tenant.clone());
    seen.gateway = Some(granted.issuer.clone());
    match tenants.exists(&granted.tenant, now).await {
        Ok(true) => Ok(Caller::Sent(Box::new(granted))),
        Ok(false) => {
            let tenant = &granted.tenant;
            let detail = format!("expected a tenant of this store, but there is none of the id {tenant:?}");
            Err(refusal(403, detail, &[]))
        }
        Err(error) => Err(unavailable(&error)),
    }
}

/// The token of `Authorization` (RFC 6750 section 2.1).
fn bearer(field: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(field).ok()?;
    let is_visible = |byte: u8| matches!(byte, b'\t' | b' '..=b'~');
    let (scheme, token) = text.split_once(' ').filter(|_| text.bytes().all(is_visible))?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

/// Whether it has three segments: a token of the store has one.
fn is_jws(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 2
}

fn not_bearer() -> Box<Response> {
    unauthorized("expected one field Authorization: Bearer TOKEN", "")
}

fn unauthorized(detail: &str, error: &str) -> Box<Response> {
    refusal(401, detail, &[("www-authenticate", format!("Bearer realm=\"scim\"{error}"))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_the_base_path_or_nowhere() {
        for (path, expected) in [
            ("/scim/v2/Users", Some("/Users")),
            ("/scim/v2", Some("/")),
            ("/scim/v2/", Some("/")),
            ("/scim/v22", None),
            ("/Users", None),
        ] {
            assert_eq!(below(path, "/scim/v2").ok(), expected, "{path}");
        }
        assert_eq!(below("/Users", "").ok(), Some("/Users"));
    }

    #[test]
    fn a_token_is_what_follows_the_scheme() {
        for (field, expected) in [
            (&b"Bearer abc"[..], Some("abc")),
            (b"bearer  abc ", Some("abc")),
            (b"Basic abc", None),
            (b"Bearer", None),
            (b"Bearer \xc3\xa9", None),
            (b"Bearer a\x01", None),
        ] {
            assert_eq!(bearer(field), expected, "{field:?}");
        }
    }
}
