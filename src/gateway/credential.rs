//! The credential by which the store takes a gateway's word for who calls: a compact JWS (RFC 7515) in each forwarded request.
//!
//! It is HS256, which costs a sandbox a few microseconds where Ed25519 costs a hundred. It holds for one method and target, for a
//! minute: a stolen one is good for that request alone. The body is not a part of it.
//!
//! | member | meaning |
//! |---|---|
//! | `iss`, `aud` | the gateway's name; `doorward-store` |
//! | `iat`, `exp` | seconds since 1970 UTC |
//! | `tenant`, `profile` | whose data it is, and how its identity provider speaks |
//! | `sub` | who calls, for the audit trail |
//! | `base_url` | the URL of the service as the client knows it |
//! | `request_id`, `client` | the request's id, and the client's address if it is known |
//! | `htm`, `htu` | the method, and path with query, as they are forwarded |

use crate::jose::crypto::Hs256Key;
use crate::jose::{Algorithm, HeaderError, JwkError, JwsError, UnverifiedJws, base64url};
use crate::json::{self, Limits};
use crate::scim::Profile;
use crate::time::UnixTime;
use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// From `iat` to `exp`, and no longer.
pub const LIFETIME: Duration = Duration::from_secs(60);

/// How far the clocks of gateway and store may be apart.
pub const SKEW: Duration = Duration::from_secs(30);

/// The longest actor, in bytes.
pub const MAX_ACTOR_BYTES: usize = 256;

const TYPE: &str = "doorward-gateway+jwt";
const AUDIENCE: &str = "doorward-store";
/// The longest name of a gateway and id of a key, in bytes.
const MAX_NAME: usize = 64;
/// 12 members, and room for one that does not belong there.
const PAYLOAD: Limits = Limits { depth: 2, values: 16 };
/// A tag in base64url, and the dots.
const REST: usize = 45;

/// Whether `text` is fit to be a gateway's name or a key's id.
pub fn is_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(is_letter)
}

/// What a gateway says of one request.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'g> {
    /// The gateway's name.
    pub issuer: &'g str,
    /// Whose data it is: the tenant's id.
    pub tenant: &'g str,
    /// Who calls, for the audit trail; not empty. What is over [`MAX_ACTOR_BYTES`] is cut off, and control characters are replaced.
    pub actor: &'g str,
    /// How the tenant's identity provider speaks.
    pub profile: Profile,
    /// The URL of the service as the client knows it, without a slash at its end.
    pub base_url: &'g str,
    /// The id of the request.
    pub request_id: &'g str,
    /// The address of the client.
    pub client: Option<IpAddr>,
    /// The method, as it is forwarded.
    pub method: &'g str,
    /// Path and query, as they are forwarded.
    pub target: &'g str,
}

/// What a credential says that was verified, for the request that it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The gateway's name.
    pub issuer: String,
    /// Whose data it is: the tenant's id. Whether there is such a tenant, the store knows.
    pub tenant: String,
    /// Who calls, for the audit trail: 1 to 256 bytes, no control characters.
    pub actor: String,
    /// How the tenant's identity provider speaks.
    pub profile: Profile,
    /// The URL of the service as the client knows it, without a slash at its end.
    pub base_url: String,
    /// The id of the request.
    pub request_id: String,
    /// The address of the client.
    pub client: Option<IpAddr>,
}

/// A secret that a gateway and the store share.
#[derive(Clone)]
pub struct CredentialKey {
    id: String,
    mac: Hs256Key,
    /// The header as it is in every credential of this key, encoded, with the dot after it.
    header: String,
}

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialKeyError {
    /// Not the id of a key.
    #[error("expected the id of a key, of 1 to 64 of A-Z, a-z, 0-9, -, _ and ., but found {0:?}")]
    BadId(String),
    /// The secret could be guessed.
    #[error("expected a secret of at least 32 bytes, but found {found}")]
    SecretTooShort {
        /// Its length in bytes.
        found: usize,
    },
}

#[derive(Serialize)]
struct Payload<'g> {
    iss: &'g str,
    aud: &'static str,
    iat: i64,
    exp: i64,
    tenant: &'g str,
    sub: Cow<'g, str>,
    profile: &'static str,
    base_url: &'g str,
    request_id: &'g str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    htm: &'g str,
    htu: &'g str,
}

impl CredentialKey {
    /// A key of this id.
    ///
    /// # Errors
    /// [`CredentialKeyError`]; nothing of the secret is in it.
    pub fn new(id: String, secret: Vec<u8>) -> Result<Self, CredentialKeyError> {
        if !is_name(&id) {
            return Err(CredentialKeyError::BadId(id));
        }
        let too_short = |_: JwkError| CredentialKeyError::SecretTooShort { found: secret.len() };
        let mac = Hs256Key::new(&secret).map_err(too_short)?;
        // No character of an id needs an escape.
        let header = format!(r#"{{"alg":"{}","typ":"{TYPE}","kid":"{id}"}}"#, Algorithm::Hs256);
        let header = format!("{}.", base64url::encode(header.as_bytes()));
        Ok(Self { id, mac, header })
    }

    /// A digest of `label` that only who has the key can make. It must have no dot in it, as what is sealed has.
    pub fn digest(&self, label: &str) -> [u8; 32] {
        self.mac.tag(label.as_bytes())
    }

    /// The credential for what is granted, from `now` on for [`LIFETIME`].
    pub fn seal(&self, now: UnixTime, grant: &Grant<'_>) -> String {
        let payload = Payload {
            iss: grant.issuer,
            aud: AUDIENCE,
            iat: now.as_secs(),
            exp: now.saturating_add(LIFETIME).as_secs(),
            tenant: grant.tenant,
            sub: actor(grant.actor),
            profile: grant.profile.as_str(),
            base_url: grant.base_url,
            request_id: grant.request_id,
            client: grant.client,
            htm: grant.method,
            htu: grant.target,
        };
        // Texts and numbers always become JSON.
        let payload = serde_json::to_vec(&payload).unwrap_or_default();
        let encoded = payload.len().saturating_mul(4).div_ceil(3);
        let room = self.header.len().saturating_add(encoded).saturating_add(REST);
        let mut text = String::with_capacity(room);
        text.push_str(&self.header);
        base64url::append(&payload, &mut text);
        let tag = self.mac.tag(text.as_bytes());
        text.push('.');
        base64url::append(&tag, &mut text);
        text
    }
}

impl fmt::Debug for CredentialKey {
    /// The secret is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The actor as a credential has it.
pub(super) fn actor(text: &str) -> Cow<'_, str> {
    if text.is_empty() || is_actor(text) {
        return Cow::Borrowed(text);
    }
    let mut kept: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if kept.len() > MAX_ACTOR_BYTES {
        let room = MAX_ACTOR_BYTES.saturating_sub('…'.len_utf8());
        kept.truncate((0..=room).rev().find(|at| kept.is_char_boundary(*at)).unwrap_or(0));
        kept.push('…');
    }
    Cow::Owned(kept)
}

fn is_actor(text: &str) -> bool {
    (1..=MAX_ACTOR_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// What is put in front of paths: an absolute URL without query, fragment, or a slash at its end.
fn is_base_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_letter = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>?@\\".contains(&byte);
    rest.is_some_and(|rest| !rest.is_empty() && !rest.ends_with('/') && rest.bytes().all(is_letter))
}

/// The keys of every gateway whose word is taken. A gateway has several while they are changed.
#[derive(Debug, Clone, Default)]
pub struct CredentialKeys(Vec<(String, CredentialKey)>);

/// Why a key is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialKeysError {
    /// Not the name of a gateway.
    #[error("expected the name of a gateway, of 1 to 64 of A-Z, a-z, 0-9, -, _ and ., but found {0:?}")]
    BadIssuer(String),
    /// The gateway has a key of that id.
    #[error("expected a new id, but the gateway has a key {0:?}")]
    IdTaken(String),
    /// Another gateway has the secret, and each could pass for the other.
    #[error("expected a secret of this gateway alone, but {0:?} has it too")]
    SecretShared(String),
}

/// Why a credential is refused. Nothing of it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// Not three segments in base64url.
    #[error("expected a credential of three segments in base64url")]
    Malformed,
    /// A header that no gateway writes.
    #[error("expected the header of a gateway's credential")]
    Header,
    /// Another `alg`.
    #[error("expected a credential signed by HS256")]
    Algorithm,
    /// Another `typ`.
    #[error("expected a credential of the type {TYPE}")]
    TokenType,
    /// No `kid`, or one that no gateway has.
    #[error("expected a credential by a known key")]
    UnknownKey,
    /// The tag is not by that key over these bytes.
    #[error("expected a credential with a valid signature")]
    Signature,
    /// The payload is not one JSON object with each member once.
    #[error("expected the payload to be a JSON object with each member once")]
    Payload,
    /// A member is missing, or not what it must be.
    #[error("expected the member {0:?}, and of its kind")]
    Member(&'static str),
    /// A member that nobody knows, and that may be a restriction.
    #[error("expected no member that is not known")]
    UnknownMember,
    /// `iss` is not the gateway that the key belongs to.
    #[error("expected the issuer to be the gateway that has the key")]
    Issuer,
    /// `aud` is not the store.
    #[error("expected a credential for the store")]
    Audience,
    /// `exp` is not after `iat`, or more than [`LIFETIME`] after it.
    #[error("expected a credential that is good for at most a minute")]
    Lifetime,
    /// `iat` is later than now.
    #[error("expected a credential that is good already")]
    Early,
    /// `exp` is over.
    #[error("expected a credential that has not expired")]
    Expired,
    /// It is for another method.
    #[error("expected a credential for this method")]
    Method,
    /// It is for another path or query.
    #[error("expected a credential for this path and query")]
    Target,
}

impl CredentialError {
    /// A stable name for logs and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Header => "header",
            Self::Algorithm => "algorithm",
            Self::TokenType => "type",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Payload => "payload",
            Self::Member(_) => "member",
            Self::UnknownMember => "unknown_member",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Lifetime => "lifetime",
            Self::Early => "early",
            Self::Expired => "expired",
            Self::Method => "method",
            Self::Target => "target",
        }
    }
}

impl CredentialKeys {
    /// Whether no gateway's word is taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the word of the gateway of this name, by this key too.
    ///
    /// # Errors
    /// [`CredentialKeysError`]; nothing of the secret is in it.
    pub fn add(&mut self, issuer: &str, key: CredentialKey) -> Result<(), CredentialKeysError> {
        if !is_name(issuer) {
            return Err(CredentialKeysError::BadIssuer(issuer.to_owned()));
        }
        let tag = key.mac.tag(b"");
        for (other, known) in &self.0 {
            if other == issuer && known.id == key.id {
                return Err(CredentialKeysError::IdTaken(key.id));
            }
            if other != issuer && known.mac.verify(b"", &tag) {
                return Err(CredentialKeysError::SecretShared(other.clone()));
            }
        }
        self.0.push((issuer.to_owned(), key));
        Ok(())
    }

    /// What the credential `text` grants to a request with this method and target (path and query, byte for byte).
    ///
    /// # Errors
    /// [`CredentialError`], the first fault that is found. Nothing of the payload is read before the signature holds.
    pub fn open(
        &self,
        now: UnixTime,
        text: &[u8],
        method: &str,
        target: &str,
    ) -> Result<Granted, CredentialError> {
        let jws = UnverifiedJws::parse(text).map_err(|error| match error {
            JwsError::Segments | JwsError::NoSignature => CredentialError::Malformed,
            JwsError::Header(HeaderError::UnsupportedAlgorithm) => CredentialError::Algorithm,
            JwsError::Header(_) => CredentialError::Header,
        })?;
        let issuer = self.verified_issuer(&jws)?;
        let payload = jws.decode_unverified_payload().map_err(|_| CredentialError::Malformed)?;
        let members = json::parse_object(&payload, PAYLOAD).map_err(|_| CredentialError::Payload)?;
        read(members, issuer, now, method, target)
    }

    /// Whose key the credential is by.
    fn verified_issuer(&self, jws: &UnverifiedJws<'_>) -> Result<&str, CredentialError> {
        let header = jws.unverified_header();
        if header.algorithm != Algorithm::Hs256 {
            return Err(CredentialError::Algorithm);
        }
        if header.token_type.as_deref() != Some(TYPE) {
            return Err(CredentialError::TokenType);
        }
        let id = header.key_id.as_deref().ok_or(CredentialError::UnknownKey)?;
        // Two gateways may have keys of one id.
        let mut candidates = self.0.iter().filter(|(_, key)| key.id == id).peekable();
        let (_, first) = candidates.peek().ok_or(CredentialError::UnknownKey)?;
        let signed = jws.signing_input();
        // Nobody else writes these, so there is no reason to take another spelling or another member.
        if !signed.starts_with(first.header.as_bytes()) {
            return Err(CredentialError::Header);
        }
        let tag = jws.decode_signature().map_err(|_| CredentialError::Malformed)?;
        let by = candidates.find(|(_, key)| key.mac.verify(signed, &tag));
        by.map(|(issuer, _)| issuer.as_str()).ok_or(CredentialError::Signature)
    }
}

/// Judges a payload that `issuer` wrote.
fn read(
    mut members: Map<String, Value>,
    issuer: &str,
    now: UnixTime,
    method: &str,
    target: &str,
) -> Result<Granted, CredentialError> {
    let members = &mut members;
    let said = text(members, "iss")?;
    let audience = text(members, "aud")?;
    let (issued, expires) = (seconds(members, "iat")?, seconds(members, "exp")?);
    let granted = Granted {
        issuer: said,
        tenant: text(members, "tenant")?,
        actor: checked(text(members, "sub")?, "sub", is_actor)?,
        profile: Profile::from_name(&text(members, "profile")?).ok_or(CredentialError::Member("profile"))?,
        base_url: checked(text(members, "base_url")?, "base_url", is_base_url)?,
        request_id: text(members, "request_id")?,
        client: address(members, "client")?,
    };
    let (for_method, for_target) = (text(members, "htm")?, text(members, "htu")?);
    if !members.is_empty() {
        return Err(CredentialError::UnknownMember);
    }
    if granted.issuer != issuer {
        return Err(CredentialError::Issuer);
    }
    if audience != AUDIENCE {
        return Err(CredentialError::Audience);
    }
    if expires <= issued || expires.saturating_since(issued) > LIFETIME {
        return Err(CredentialError::Lifetime);
    }
    if issued > now.saturating_add(SKEW) {
        return Err(CredentialError::Early);
    }
    if expires <= now.saturating_sub(SKEW) {
        return Err(CredentialError::Expired);
    }
    if for_method != method {
        return Err(CredentialError::Method);
    }
    if for_target != target {
        return Err(CredentialError::Target);
    }
    Ok(granted)
}

fn text(members: &mut Map<String, Value>, name: &'static str) -> Result<String, CredentialError> {
    let Some(Value::String(text)) = members.remove(name) else { return Err(CredentialError::Member(name)) };
    Ok(text)
}

fn seconds(members: &mut Map<String, Value>, name: &'static str) -> Result<UnixTime, CredentialError> {
    let seconds = members.remove(name).as_ref().and_then(Value::as_i64);
    seconds.map(UnixTime::from_secs).ok_or(CredentialError::Member(name))
}

fn address(members: &mut Map<String, Value>, name: &'static str) -> Result<Option<IpAddr>, CredentialError> {
    if !members.contains_key(name) {
        return Ok(None);
    }
    text(members, name)?.parse().map(Some).map_err(|_| CredentialError::Member(name))
}

fn checked(
    text: String,
    name: &'static str,
    is_fine: impl Fn(&str) -> bool,
) -> Result<String, CredentialError> {
    if is_fine(&text) { Ok(text) } else { Err(CredentialError::Member(name)) }
}

#[cfg(test)]
mod tests;
