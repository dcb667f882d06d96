//! What the client sees of the store's answer: nothing internal, and never an error that is not SCIM's.

use super::call::Call;
use super::policy::GatewayPolicy;
use super::refusal::{RETRY_AFTER, Reason, Refusal};
use crate::http::{HeaderField, HeaderMutation};
use crate::scim::ScimError;
use std::time::Duration;

/// What becomes of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It goes on, with these changes of its header fields.
    Pass(Vec<HeaderMutation<'static>>),
    /// The client gets this instead.
    Replace(Refusal),
}

/// Response fields that mean something to clients, beside `Location` and `Content-Length`. All others are the store's and the proxies'
/// own business.
const KEPT: [&[u8]; 12] = [
    b":status",
    b"allow",
    b"cache-control",
    b"connection",
    b"content-type",
    b"date",
    b"etag",
    b"retry-after",
    b"server",
    b"transfer-encoding",
    b"vary",
    b"x-request-id",
];

impl GatewayPolicy {
    /// Judges the head of a response that comes from the store, or from the proxy in its place.
    pub fn answer(&self, call: &Call, fields: &[HeaderField<'_>]) -> Answer {
        let value = |name: &[u8]| {
            fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
        };
        let status = value(b":status").and_then(status);
        let content_type = value(b"content-type").unwrap_or_default();
        let media_type = content_type.split(|octet| *octet == b';').next().unwrap_or_default().trim_ascii();
        let is_scim = media_type.eq_ignore_ascii_case(b"application/scim+json");
        match status {
            None | Some(0..=199) => return Answer::Replace(Refusal::new(Reason::StoreFailed)),
            // The client's token was good, or it needed none: that the gateway's credential was not is none of its business.
            Some(401 | 403) => return Answer::Replace(Refusal::new(Reason::StoreDisagrees)),
            Some(400..) if is_scim => {}
            Some(status @ 400..) => {
                return Answer::Replace(in_words(status, value(b"retry-after").and_then(seconds)));
            }
            Some(_) => {}
        }
        let base = call.tenant.and_then(|id| self.tenant(id)).map_or("", |tenant| tenant.base_url.as_str());
        let is_public = |location: &[u8]| {
            location
                .strip_prefix(base.as_bytes())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        let is_kept = |field: &HeaderField<'_>| {
            let name = field.name.to_ascii_lowercase();
            match name.as_slice() {
                b"location" => is_public(field.value),
                // Under the client's names the body has another length, be it for HEAD.
                b"content-length" => !(matches!(status, Some(..=399)) && self.maps_answers(call)),
                name => KEPT.contains(&name),
            }
        };
        let removed = fields.iter().filter(|field| !is_kept(field));
        Answer::Pass(removed.map(|field| HeaderMutation::Remove(field.name.to_vec().into())).collect())
    }
}

/// An error that is not SCIM's, as one of it: of the proxy in front of the store, most of the time. `wait` is what it says of when to
/// come again.
fn in_words(status: u16, wait: Option<Duration>) -> Refusal {
    match status {
        // No connection, a reset, a timeout, an open circuit: it may be there again soon.
        408 | 502..=504 => Refusal::new(Reason::StoreUnavailable),
        413 => Refusal::new(Reason::BodyTooLarge),
        429 => Refusal::limited(wait.unwrap_or(RETRY_AFTER)),
        500.. => Refusal::new(Reason::StoreFailed),
        status => Refusal {
            error: ScimError::new(status, "the request was not accepted"),
            ..Refusal::new(Reason::StoreFailed)
        },
    }
}

/// The whole seconds of a `Retry-After`; a date is none.
fn seconds(text: &[u8]) -> Option<Duration> {
    let is_number = text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| is_number)?;
    text.parse().ok().map(Duration::from_secs)
}

fn status(text: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(text).ok()?;
    if text.len() == 3 { text.parse().ok() } else { None }
}
