//! HTTP calls that a filter makes through the proxy's clusters.

use crate::abi::MapType;
use crate::clock::millis_rounded_up;
use crate::status::HostError;
use crate::{buffer, pairs, sys};
use std::fmt;
use std::time::Duration;

const CALL: &str = "proxy_http_call";

/// One call. The host does not retry it, follows no redirect and keeps no cookie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HttpCall<'a> {
    /// The cluster by its name in the proxy's configuration; it must exist.
    pub cluster: &'a str,
    /// `:method`.
    pub method: &'a str,
    /// `:path`, with the query.
    pub path: &'a str,
    /// `:authority`.
    pub authority: &'a str,
    /// Further request header fields, names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// Request body; may be empty.
    pub body: &'a [u8],
    /// How long to wait for the whole response, rounded up to a millisecond. Must not be zero, which for Envoy is for ever.
    pub timeout: Duration,
}

impl HttpCall<'_> {
    /// Starts the call and returns its token, which `on_http_call_response` is given with the answer. It is called on the
    /// context whose callback is running now, so no effective context of another may be set. The call ends with that context.
    ///
    /// Allowed in `on_tick`, `on_http_call_response` and in request callbacks; not in `on_vm_start` nor in
    /// `on_configure`: arm a tick there.
    ///
    /// # Errors
    /// [`HostError::Status`]: BadArgument if there is no such cluster; InternalFailure if the call failed at once, as for a
    /// cluster without a healthy host. There is then no token and no callback. [`HostError::Refused`] for a header
    /// with CR, LF or NUL in it, and for a timeout of zero.
    pub fn dispatch(&self) -> Result<u32, HostError> {
        let mut headers = Vec::with_capacity(self.headers.len().saturating_add(3));
        headers.extend([(":method", self.method), (":path", self.path), (":authority", self.authority)]);
        headers.extend_from_slice(self.headers);
        let safe = |(name, value): &(&str, &str)| {
            pairs::is_safe_name(name.as_bytes()) && pairs::is_safe_value(value.as_bytes())
        };
        if self.timeout.is_zero() || !headers.iter().all(safe) {
            return Err(HostError::Refused { call: CALL });
        }
        // Envoy takes a signed number, and refuses a negative one.
        let millis = millis_rounded_up(self.timeout).min(i32::MAX.unsigned_abs());
        sys::http_call(self.cluster, headers, self.body, Duration::from_millis(u64::from(millis)))
    }
}

impl fmt::Debug for HttpCall<'_> {
    /// Headers and body may carry credentials: neither is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpCall({} {}{} by {})", self.method, self.authority, self.path, self.cluster)
    }
}

/// The answer to an [`HttpCall`].
#[derive(Clone, PartialEq, Eq)]
pub struct HttpCallResponse {
    map: Vec<u8>,
    body_size: usize,
}

impl HttpCallResponse {
    /// The response that `on_http_call_response` announces by `num_headers` and `body_size` (bytes). `None` if the call
    /// failed without a response, which then has no headers.
    ///
    /// A response is not always the peer's: where Envoy cannot connect or waits in vain it makes one itself, 503 or 504
    /// with a text body.
    ///
    /// Allowed in `on_http_call_response` only.
    ///
    /// # Errors
    /// [`HostError::Status`] if the host refuses, [`HostError::Malformed`] if its header map is none.
    pub fn read(num_headers: usize, body_size: usize) -> Result<Option<Self>, HostError> {
        if num_headers == 0 {
            return Ok(None);
        }
        let map = sys::get_header_map_pairs(MapType::CallResponse)?;
        match pairs::parse(&map) {
            Ok(fields) if fields.is_empty() => Ok(None),
            Ok(_) => Ok(Some(Self { map, body_size })),
            Err(_) => Err(HostError::Malformed { call: "proxy_get_header_map_pairs" }),
        }
    }

    /// The HTTP status code; `None` if `:status` is missing or is not one.
    pub fn status(&self) -> Option<u16> {
        let text = self.header(":status")?;
        if text.len() != 3 || !text.iter().all(u8::is_ascii_digit) {
            return None;
        }
        std::str::from_utf8(text).ok()?.parse().ok()
    }

    /// The value of the first field of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        // `read` has parsed it once already.
        let fields = pairs::parse(&self.map).unwrap_or_default();
        fields.iter().find(|field| field.name.eq_ignore_ascii_case(name.as_bytes())).map(|field| field.value)
    }

    /// The whole body, `limit` bytes at most.
    ///
    /// Allowed in `on_http_call_response` only.
    ///
    /// # Errors
    /// [`HostError::TooLarge`] if it is longer; nothing is copied then.
    pub fn body(&self, limit: usize) -> Result<Vec<u8>, HostError> {
        buffer::http_call_response_body(self.body_size, limit)
    }
}

impl fmt::Debug for HttpCallResponse {
    /// Headers may carry credentials: only the status and the body's size are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpCallResponse({:?}, <{} bytes>)", self.status(), self.body_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;
    use crate::fake::{self, Call};

    const CALLOUT: HttpCall<'static> = HttpCall {
        cluster: "idp",
        method: "GET",
        path: "/jwks",
        authority: "idp.example",
        headers: &[("accept", "application/json")],
        body: b"",
        timeout: Duration::from_secs(5),
    };

    #[test]
    fn a_call_has_its_pseudo_headers_first() {
        fake::reset();
        assert_eq!(CALLOUT.dispatch(), Ok(1));
        assert_eq!(CALLOUT.dispatch(), Ok(2));
        fake::with(|host| {
            let Some(Call::HttpCall { cluster, headers, body, timeout, token: 1, .. }) = host.calls.first()
            else {
                panic!("{:?}", host.calls)
            };
            assert_eq!(
                (cluster.as_str(), body.as_slice(), *timeout),
                ("idp", &b""[..], Duration::from_secs(5))
            );
            let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, [":method", ":path", ":authority", "accept"]);
        });
    }

    #[test]
    fn a_call_for_ever_and_a_split_header_are_refused() {
        fake::reset();
        let refused = Err(HostError::Refused { call: CALL });
        assert_eq!(HttpCall { timeout: Duration::ZERO, ..CALLOUT }.dispatch(), refused);
        assert_eq!(HttpCall { path: "/ HTTP/1.1\r\nx: y", ..CALLOUT }.dispatch(), refused);
        fake::with(|host| host.force(CALL, 10));
        assert_eq!(CALLOUT.dispatch().unwrap_err().status(), Some(Status::InternalFailure));
    }

    #[test]
    fn a_response_is_read_by_name() {
        fake::reset();
        fake::with(|host| {
            host.set_call_response(
                [(":status", &b"200"[..]), ("Cache-Control", b"max-age=60")],
                b"{}".to_vec(),
            );
        });
        let response = HttpCallResponse::read(2, 2).unwrap().unwrap();
        assert_eq!(response.status(), Some(200));
        assert_eq!(response.header("cache-control"), Some(&b"max-age=60"[..]));
        assert_eq!(response.header("etag"), None);
        assert_eq!(response.body(2), Ok(b"{}".to_vec()));
        assert!(matches!(response.body(1), Err(HostError::TooLarge { size: 2, limit: 1, .. })));
    }

    #[test]
    fn a_failed_call_is_none() {
        fake::reset();
        assert_eq!(HttpCallResponse::read(0, 0), Ok(None));
        assert_eq!(
            HttpCallResponse::read(1, 0),
            Ok(None),
            "the host says that there are headers, and has none"
        );
    }

    #[test]
    fn a_strange_status_is_none() {
        fake::reset();
        for status in ["", "20", "2000", "+20", "2 0", "\u{661}"] {
            fake::with(|host| host.set_call_response([(":status", status.as_bytes())], vec![]));
            assert_eq!(HttpCallResponse::read(1, 0).unwrap().unwrap().status(), None, "{status}");
        }
    }
}
