//! Answering a request at the proxy.

use crate::pairs;
use crate::status::HostError;
use crate::sys;

const CALL: &str = "proxy_send_local_response";

/// A response made by the filter (Envoy's word); the upstream sees nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalReply<'a> {
    /// HTTP status code.
    pub status: u16,
    /// Envoy's response code details, `%RESPONSE_CODE_DETAILS%` in access logs: a code, no personal data.
    pub details: &'a str,
    /// Response header fields. `content-length` is the host's business.
    pub headers: &'a [(&'a str, &'a str)],
    /// Response body; may be empty.
    pub body: &'a [u8],
}

impl LocalReply<'_> {
    /// Answers the request of the current (or effective) context with this reply. After it, `Action::Pause` must be
    /// returned from the request's callback, and `continue_request` not be called.
    ///
    /// Allowed while the request's headers or body are handled or paused, and not after response headers were sent.
    ///
    /// # Errors
    /// [`HostError::Refused`] for a header with CR, LF or NUL in it; [`HostError::Status`] if the host refuses. In either
    /// case nothing was sent and the request must not go on: try a reply without headers, or leave the request paused.
    pub fn send(&self) -> Result<(), HostError> {
        let refused = HostError::Refused { call: CALL };
        let safe = |(name, value): &(&str, &str)| {
            pairs::is_safe_name(name.as_bytes()) && pairs::is_safe_value(value.as_bytes())
        };
        if !self.headers.iter().all(safe) || !pairs::is_safe_value(self.details.as_bytes()) {
            return Err(refused);
        }
        let headers = pairs::serialize(self.headers).ok_or(refused)?;
        sys::send_local_response(u32::from(self.status), self.details.as_bytes(), self.body, &headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{self, Call};

    #[test]
    fn a_reply_is_sent_whole() {
        fake::reset();
        let headers = [("www-authenticate", "Bearer"), ("content-type", "application/problem+json")];
        LocalReply { status: 401, details: "jwt_missing", headers: &headers, body: b"{}" }.send().unwrap();
        let sent = fake::with(|host| host.calls.clone());
        let owned =
            headers.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).to_vec();
        let details = b"jwt_missing".to_vec();
        assert_eq!(sent, [Call::LocalReply { status: 401, details, headers: owned, body: b"{}".to_vec() }]);
    }

    #[test]
    fn a_header_that_could_end_a_line_is_refused() {
        fake::reset();
        let headers = [("x", "a\r\nset-cookie: b")];
        let reply = LocalReply { status: 401, details: "", headers: &headers, body: b"" };
        assert_eq!(reply.send(), Err(HostError::Refused { call: CALL }));
        fake::with(|host| assert_eq!(host.calls, []));
    }
}
