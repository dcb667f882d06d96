//! Why a call is refused at the edge, and the one map from each reason to what the client sees: a SCIM error (RFC 7644 section 3.12).

use super::rate::retry_after;
use crate::authn::decision::LocalReply;
use crate::authn::rejection::Denial;
use crate::scim::{ScimError, ScimType};
use std::time::Duration;

/// Why a call is refused. Each has a stable code, for audit lines, metrics and the proxy's response code details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// The path has more than one reading, or is none.
    PathNotAccepted,
    /// No tenant is called there.
    NoTenant,
    /// Neither token nor certificate was sent.
    CredentialsMissing,
    /// `Authorization` twice, or not `Bearer` and one token.
    CredentialsMalformed,
    /// No tenant that is called there has the token.
    TokenUnknown,
    /// The token was good until some time ago.
    TokenExpired,
    /// What a JWT lacks.
    Token(Denial),
    /// The client showed no certificate, or one that is not the tenant's.
    CertificateUnknown,
    /// The actor's bucket is empty.
    RateLimited,
    /// A header field that must stand once is there again.
    HeaderRepeated,
    /// `Content-Encoding`: bodies are read as they are.
    ContentEncoding,
    /// The body is longer than the limit.
    BodyTooLarge,
    /// The body ended before its time.
    BodyIncomplete,
    /// The call is not as SCIM and the tenant's schemas want it.
    NotAccepted,
    /// The store cannot be reached, or takes too long.
    StoreUnavailable,
    /// The store does not take the gateway's word: one of both is configured amiss.
    StoreDisagrees,
    /// The store failed in a way that SCIM has no words for.
    StoreFailed,
    /// The filter itself failed.
    InternalError,
}

impl Reason {
    /// Its code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::PathNotAccepted => "path_not_accepted",
            Self::NoTenant => "no_tenant",
            Self::CredentialsMissing => "credentials_missing",
            Self::CredentialsMalformed => "credentials_malformed",
            Self::TokenUnknown => "token_unknown",
            Self::TokenExpired => "token_expired",
            Self::Token(denial) => denial.code(),
            Self::CertificateUnknown => "certificate_unknown",
            Self::RateLimited => "rate_limited",
            Self::HeaderRepeated => "header_repeated",
            Self::ContentEncoding => "content_encoding",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyIncomplete => "body_incomplete",
            Self::NotAccepted => "not_accepted",
            Self::StoreUnavailable => "store_unavailable",
            Self::StoreDisagrees => "store_disagrees",
            Self::StoreFailed => "store_failed",
            Self::InternalError => "internal_error",
        }
    }
}

/// A call that is answered at the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// What the client is told.
    pub error: ScimError,
    /// Response header fields beside `Content-Type`.
    pub headers: Vec<(&'static str, String)>,
}

/// How long a store that is gone, or has too much to do, may need.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Refusal {
    /// A reason that says all there is to say.
    pub fn new(reason: Reason) -> Self {
        let (status, detail) = match reason {
            Reason::PathNotAccepted => (400, "expected a path that has one reading"),
            Reason::NoTenant => (404, "expected the address of a SCIM service"),
            Reason::CredentialsMissing => (401, "expected a bearer token, but found none"),
            Reason::CredentialsMalformed => (401, "expected one field Authorization: Bearer TOKEN"),
            Reason::TokenUnknown => (401, "expected a token that is known here"),
            Reason::TokenExpired => (401, "expected a token that has not expired"),
            Reason::Token(denial) => (denial.status(), denial.title()),
            Reason::CertificateUnknown => (401, "expected a client certificate that is known here"),
            Reason::RateLimited => (429, "expected fewer requests"),
            Reason::HeaderRepeated => (400, "expected the field once"),
            Reason::ContentEncoding => (415, "expected a body without Content-Encoding"),
            Reason::BodyTooLarge => (413, "expected a shorter body"),
            Reason::BodyIncomplete => (400, "expected a whole body"),
            Reason::NotAccepted => (400, "expected a SCIM request"),
            Reason::StoreUnavailable => (503, "the service is not available; try again later"),
            Reason::StoreDisagrees | Reason::StoreFailed => (502, "the service failed"),
            Reason::InternalError => (500, "the gateway failed"),
        };
        let mut refusal = Self { reason, error: ScimError::new(status, detail), headers: Vec::new() };
        if let Some(error) = reason.challenge() {
            refusal.headers.push(("www-authenticate", format!("Bearer realm=\"scim\"{error}")));
        }
        if reason == Reason::StoreUnavailable {
            // Without it there are clients that take 503 for final.
            refusal.headers.push(("retry-after", retry_after(RETRY_AFTER).to_string()));
        }
        refusal
    }

    /// The same with another detail.
    pub(super) fn saying(reason: Reason, detail: impl Into<String>) -> Self {
        let mut refusal = Self::new(reason);
        refusal.error = ScimError::new(refusal.error.status, detail);
        refusal
    }

    /// What the token machine refused, as SCIM.
    pub fn of_token(reply: &LocalReply) -> Self {
        let mut refusal = Self::new(Reason::Token(reply.denial));
        let kept =
            reply.headers.iter().filter(|(name, _)| *name != "content-type" && *name != "cache-control");
        refusal.headers = kept.map(|(name, value)| (*name, value.clone().into_owned())).collect();
        refusal
    }

    /// Too many calls.
    pub fn limited(wait: Duration) -> Self {
        let seconds = retry_after(wait);
        let detail = format!("expected fewer requests: try again in {seconds} second(s)");
        let mut refusal = Self::saying(Reason::RateLimited, detail);
        refusal.headers.push(("retry-after", seconds.to_string()));
        refusal
    }

    /// A body of more than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::saying(Reason::BodyTooLarge, format!("expected a body of at most {limit} bytes"))
    }

    /// The status of the response.
    pub fn status(&self) -> u16 {
        self.error.status
    }

    /// `scimType`, if there is one.
    pub fn scim_type(&self) -> Option<ScimType> {
        self.error.scim_type
    }

    /// The body of the response, `application/scim+json`.
    pub fn body(&self) -> Vec<u8> {
        serde_json::to_vec(&self.error).unwrap_or_default()
    }
}

impl Reason {
    /// What follows the realm in `WWW-Authenticate` (RFC 6750 section 3); none if there is no challenge.
    const fn challenge(self) -> Option<&'static str> {
        match self {
            Self::CredentialsMissing => Some(""),
            Self::CredentialsMalformed => Some(", error=\"invalid_request\""),
            Self::TokenUnknown | Self::TokenExpired | Self::CertificateUnknown => {
                Some(", error=\"invalid_token\"")
            }
            Self::PathNotAccepted
            | Self::NoTenant
            // The token machine writes its own.
            | Self::Token(_)
            | Self::RateLimited
            | Self::HeaderRepeated
            | Self::ContentEncoding
            | Self::BodyTooLarge
            | Self::BodyIncomplete
            | Self::NotAccepted
            | Self::StoreUnavailable
            | Self::StoreDisagrees
            | Self::StoreFailed
            | Self::InternalError => None,
        }
    }
}

impl From<ScimError> for Refusal {
    fn from(error: ScimError) -> Self {
        Self { reason: Reason::NotAccepted, error, headers: Vec::new() }
    }
}
