//! One call on its way through the gateway.

use super::policy::{GatewayPolicy, Personal, TenantId};
use super::refusal::{Reason, Refusal};
use crate::http::RequestHead;
use crate::scim::{Route, ScimError};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt;

/// A call: what is known of it, from its head to its end.
#[derive(Debug, Clone)]
pub struct Call {
    /// Whose data it is about, once that is known.
    pub(super) tenant: Option<TenantId>,
    /// Tenants that it may be for.
    pub(super) candidates: Vec<TenantId>,
    pub(super) actor: Option<Actor>,
    /// Whether a certificate of the tenant was shown.
    pub(super) is_certified: bool,
    pub(super) method: Method,
    /// What its path names; an error is told only to who may know.
    pub(super) route: Result<Route, ScimError>,
    /// What follows `?`.
    pub(super) query: String,
    pub(super) request_id: String,
    pub(super) trace_id: Option<String>,
    pub(super) fields: Fields,
}

/// What the head says beside.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    pub(super) content_type: Option<Vec<u8>>,
    pub(super) content_length: Option<u64>,
    pub(super) content_encoding: Option<Vec<u8>>,
    pub(super) if_match: Option<Vec<u8>>,
    pub(super) if_none_match: Option<Vec<u8>>,
    pub(super) idempotency_key: Option<Vec<u8>>,
    /// A field that must stand once and does not.
    pub(super) repeated: Option<&'static str>,
    /// Fields that the store must not see: names as received.
    pub(super) removed: Vec<Vec<u8>>,
    /// Whether the client's request id is used.
    pub(super) has_request_id: bool,
}

/// Who calls.
#[derive(Clone, PartialEq, Eq)]
pub enum Actor {
    /// Nobody in particular, for what everyone may read.
    Anonymous,
    /// A token that is known by its hash, by its name.
    Token(String),
    /// The subject of a JWT.
    Subject(String),
    /// A certificate, by its name.
    Certificate(String),
}

/// The methods of SCIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
    /// Any other word.
    Other,
}

/// What is done, for audit lines and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// One resource is read.
    Read,
    /// Resources are searched for or listed.
    Search,
    /// A resource is made.
    Create,
    /// A resource is replaced.
    Replace,
    /// A resource is changed.
    Patch,
    /// A resource is removed.
    Delete,
    /// Many of these.
    Bulk,
    /// What describes the service is read.
    Discover,
    /// None of these.
    Other,
}

impl Method {
    pub(super) fn of(word: &[u8]) -> Self {
        match word {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"PATCH" => Self::Patch,
            b"DELETE" => Self::Delete,
            _ => Self::Other,
        }
    }

    /// The word; of one that SCIM does not have, `other`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Other => "other",
        }
    }
}

impl Operation {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Search => "search",
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Bulk => "bulk",
            Self::Discover => "discover",
            Self::Other => "other",
        }
    }
}

impl Actor {
    /// For the store's audit trail: `token:NAME`, `subject:SUB`, `certificate:NAME`, `anonymous`.
    pub fn name(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::Token(name) => format!("token:{name}"),
            Self::Subject(subject) => format!("subject:{subject}"),
            Self::Certificate(name) => format!("certificate:{name}"),
        }
    }

    /// For audit lines at the edge: names are the operator's own, a subject is a person's.
    pub(super) fn shown(&self, personal: Personal) -> String {
        match (self, personal) {
            (Self::Subject(subject), Personal::Masked) => format!("subject:{}", masked(subject)),
            (Self::Anonymous | Self::Token(_) | Self::Certificate(_) | Self::Subject(_), _) => self.name(),
        }
    }
}

impl fmt::Debug for Actor {
    /// Subjects are personal data: their hash is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown(Personal::Masked))
    }
}

/// The first 16 bytes, in hexadecimal, of the SHA-256: who knows the text can find it, and who does not can guess it no better than
/// it can be guessed.
pub(super) fn masked(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let digits: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

impl Call {
    /// The operation.
    pub fn operation(&self) -> Operation {
        let Ok(route) = &self.route else { return Operation::Other };
        match (self.method, route) {
            (Method::Get | Method::Head, Route::Resource(..)) => Operation::Read,
            (Method::Get | Method::Head, Route::Resources(_) | Route::Root)
            | (Method::Post, Route::Search(_) | Route::RootSearch) => Operation::Search,
            (Method::Post, Route::Resources(_)) => Operation::Create,
            (Method::Put, Route::Resource(..)) => Operation::Replace,
            (Method::Patch, Route::Resource(..)) => Operation::Patch,
            (Method::Delete, Route::Resource(..)) => Operation::Delete,
            (Method::Post, Route::Bulk) => Operation::Bulk,
            (
                Method::Get | Method::Head,
                Route::ServiceProviderConfig | Route::ResourceTypes(_) | Route::Schemas(_),
            ) => Operation::Discover,
            _ => Operation::Other,
        }
    }

    /// The tenant, once it is known.
    pub fn tenant(&self) -> Option<TenantId> {
        self.tenant
    }

    /// Who calls, once it is known.
    pub fn actor(&self) -> Option<&Actor> {
        self.actor.as_ref()
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The id that this call has in the audit line, in the store's audit record and in the response.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Whether it may be sent to the store again if nobody knows whether it came there: what is read, what is written as a whole, and a
    /// create, which the store knows again by its `Idempotency-Key`. What asks for a version is done only once.
    pub fn is_repeatable(&self) -> bool {
        match self.operation() {
            Operation::Read | Operation::Search | Operation::Create | Operation::Discover => true,
            Operation::Replace | Operation::Delete => self.fields.if_match.is_none(),
            Operation::Patch | Operation::Bulk | Operation::Other => false,
        }
    }

    /// The name of the resource type that it is about; none if it is about several, or none.
    pub(super) fn resource_type(&self) -> Option<&str> {
        match self.route.as_ref().ok()? {
            Route::Resources(resource_type)
            | Route::Search(resource_type)
            | Route::Resource(resource_type, _) => Some(resource_type.name()),
            Route::Root
            | Route::RootSearch
            | Route::ServiceProviderConfig
            | Route::ResourceTypes(_)
            | Route::Schemas(_)
            | Route::Bulk
            | Route::Me
            | Route::Changes => None,
        }
    }

    /// The id of the resource that it is about.
    pub(super) fn target(&self) -> Option<&str> {
        let Ok(Route::Resource(_, id)) = &self.route else { return None };
        Some(id)
    }
}

/// The longest request id that is taken over, in bytes.
const LONGEST_ID: usize = 128;

/// A request id that looks like one, at the edge and in the store alike.
pub fn plausible_id(sent: &[u8]) -> Option<&str> {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:~/+=@".contains(byte);
    let fits = (1..=LONGEST_ID).contains(&sent.len()) && sent.iter().all(is_letter);
    std::str::from_utf8(sent).ok().filter(|_| fits)
}

/// Fields that clients have no business sending to the store: by which others route, override or vouch.
const REMOVED: [&[u8]; 9] = [
    b"cookie",
    b"proxy-authorization",
    b"forwarded",
    b"x-forwarded-host",
    b"x-http-method",
    b"x-http-method-override",
    b"x-method-override",
    b"x-original-url",
    b"x-rewrite-url",
];

impl Fields {
    /// What the store must not see, and what it must see once.
    pub(super) fn of(head: &RequestHead<'_>) -> Self {
        let mut fields = Self::default();
        for field in head.fields {
            let mut once = |place: &mut Option<Vec<u8>>, name| {
                if place.replace(field.value.to_vec()).is_some() {
                    fields.repeated = Some(name);
                }
            };
            // Proxies write names in lower case, most of the time.
            let name = match field.name.iter().any(u8::is_ascii_uppercase) {
                true => Cow::Owned(field.name.to_ascii_lowercase()),
                false => Cow::Borrowed(field.name),
            };
            match name.as_ref() {
                b"content-type" => once(&mut fields.content_type, "Content-Type"),
                b"if-match" => once(&mut fields.if_match, "If-Match"),
                b"if-none-match" => once(&mut fields.if_none_match, "If-None-Match"),
                b"idempotency-key" => once(&mut fields.idempotency_key, "Idempotency-Key"),
                b"content-encoding" => once(&mut fields.content_encoding, "Content-Encoding"),
                b"content-length" => {
                    let length = std::str::from_utf8(field.value).ok().and_then(|text| text.parse().ok());
                    // What is no number is the proxy's to refuse; here it is too long.
                    fields.content_length = Some(length.unwrap_or(u64::MAX));
                }
                name if REMOVED.contains(&name) || is_ours(name) => {
                    fields.removed.push(field.name.to_vec());
                }
                _ => {}
            }
        }
        // Removing one removes all of its name.
        fields.removed.sort_unstable();
        fields.removed.dedup();
        fields
    }
}

/// `x-doorward-…`, under every alias: to some readers `_`, `-` and `.` are the same.
fn is_ours(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"x-doorward";
    let alike = |(own, sent): (&u8, &u8)| own == sent || (*own == b'-' && matches!(*sent, b'_' | b'.'));
    name.len() >= PREFIX.len() && PREFIX.iter().zip(name).all(alike)
}

impl GatewayPolicy {
    /// What the head alone decides about the body: nothing of it is read before.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check_head(&self, call: &Call) -> Result<(), Refusal> {
        let fields = &call.fields;
        if let Some(name) = fields.repeated {
            return Err(Refusal::saying(Reason::HeaderRepeated, format!("{name}: expected the field once")));
        }
        let is_encoded = |encoding: &Vec<u8>| !encoding.eq_ignore_ascii_case(b"identity");
        if fields.content_encoding.as_ref().is_some_and(is_encoded) {
            return Err(Refusal::new(Reason::ContentEncoding));
        }
        let limit = self.body_limit(call);
        if fields.content_length.is_some_and(|length| length > u64::try_from(limit).unwrap_or(u64::MAX)) {
            return Err(Refusal::too_large(limit));
        }
        Ok(())
    }

    /// How long the body of a call may be, in bytes.
    pub fn body_limit(&self, call: &Call) -> usize {
        match &call.route {
            Ok(Route::Bulk) => self.max_body.min(self.bulk.max_payload_size),
            Ok(_) | Err(_) => self.max_body,
        }
    }
}
