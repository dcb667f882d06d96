//! What a request says, and what it is answered.

use super::members::Rest;
use crate::audit::Origin;
use doorward::scim::{Profile, ScimError};
use std::time::Duration;

/// Who asks, and when.
#[derive(Debug, Clone)]
pub struct Context {
    /// Whose data it is: the tenant's id.
    pub tenant: String,
    /// How the tenant's identity provider speaks.
    pub profile: Profile,
    /// For the audit trail.
    pub origin: Origin,
    /// The absolute URL of the service, without a slash at its end, such as `https://scim.example.com/scim/v2`.
    pub base_url: String,
    /// Microseconds since 1970 UTC.
    pub now: i64,
}

/// A request, as far as the service looks at it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'r> {
    /// `GET`, `POST`, …. `HEAD` is answered as `GET` is: leaving the body out is for whoever sends the answer.
    pub method: &'r str,
    /// Below the base URL, still percent-encoded: `/Users/2819c223`.
    pub path: &'r str,
    /// What follows `?`; may be empty.
    pub query: &'r str,
    /// `Content-Type`.
    pub content_type: Option<&'r [u8]>,
    /// `If-Match`.
    pub if_match: Option<&'r [u8]>,
    /// `If-None-Match`.
    pub if_none_match: Option<&'r [u8]>,
    /// `Idempotency-Key`: a create that is sent again with the same key is answered as it was the first time.
    pub idempotency_key: Option<&'r [u8]>,
    /// The body; empty if there is none.
    pub body: &'r [u8],
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Header fields beside `Content-Type` and `Content-Length`, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// JSON, as `application/scim+json` unless a field says otherwise; none where there is no content.
    pub body: Option<Vec<u8>>,
    /// What follows the body, part by part.
    pub rest: Option<Rest>,
    /// There is nothing new, and the client would wait so long for it: whoever has a clock asks again when there is
    /// ([`Service::watch`](super::Service::watch)), and answers this when the time is over.
    pub waits: Option<Duration>,
}

/// In seconds: how long a database that is gone, or a server that has too much to do, may need.
const RETRY_AFTER: &str = "1";

impl From<ScimError> for Response {
    fn from(error: ScimError) -> Self {
        // Without it there are clients that take 503 for final.
        let wait = (error.status == 503).then(|| ("retry-after", RETRY_AFTER.to_owned()));
        Self {
            status: error.status,
            headers: wait.into_iter().collect(),
            body: serde_json::to_vec(&error).ok(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_may_come_again_is_told_when() {
        for (status, expected) in [(503, vec![("retry-after", "1".to_owned())]), (500, vec![]), (507, vec![])]
        {
            assert_eq!(Response::from(ScimError::new(status, "")).headers, expected, "{status}");
        }
    }
}
