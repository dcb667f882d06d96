//! The request's header map.

use crate::abi::MapType;
use crate::pairs;
use crate::status::HostError;
use crate::sys;
use doorward::http::{HeaderField, HeaderMutation};
use std::fmt;

/// The request's header fields as the host returned them: one buffer, one hostcall, nothing copied out of it.
///
/// A snapshot: [`apply`] does not change it.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestHeaders {
    map: Vec<u8>,
}

impl RequestHeaders {
    /// Reads the header map of the request of the current (or effective) context.
    ///
    /// Allowed from `on_http_request_headers` until the request has been answered or its context is deleted.
    ///
    /// # Errors
    /// [`HostError::Status`] if the host refuses. Where the context has no request, Envoy answers with no fields, which
    /// is no error here.
    pub fn read() -> Result<Self, HostError> {
        Ok(Self { map: sys::get_header_map_pairs(MapType::HttpRequestHeaders)? })
    }

    /// Every field, pseudo-headers included, in the order received.
    ///
    /// # Errors
    /// [`HostError::Malformed`] if the host's buffer is not a serialized map.
    pub fn fields(&self) -> Result<Vec<HeaderField<'_>>, HostError> {
        pairs::parse(&self.map).map_err(|_| HostError::Malformed { call: "proxy_get_header_map_pairs" })
    }
}

impl fmt::Debug for RequestHeaders {
    /// Headers carry credentials: only their length is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestHeaders(<{} bytes>)", self.map.len())
    }
}

/// Makes `mutations`, in order, to the request of the current (or effective) context.
///
/// Allowed when [`RequestHeaders::read`] is, and before the request went on.
///
/// # Errors
/// At the first mutation that fails; those before it have been made, so the request must then be answered locally and
/// never go on. [`HostError::Refused`] for a name or a value with CR, LF or NUL in it.
pub fn apply<'m, 'r: 'm>(
    mutations: impl IntoIterator<Item = &'m HeaderMutation<'r>>,
) -> Result<(), HostError> {
    let map = MapType::HttpRequestHeaders;
    for mutation in mutations {
        match mutation {
            HeaderMutation::Remove(name) => {
                safe("proxy_remove_header_map_value", name, b"")?;
                sys::remove_header_map_value(map, name)?;
            }
            HeaderMutation::Set(name, value) => {
                safe("proxy_replace_header_map_value", name, value)?;
                sys::replace_header_map_value(map, name, value)?;
            }
            HeaderMutation::Append(name, value) => {
                safe("proxy_add_header_map_value", name, value)?;
                sys::add_header_map_value(map, name, value)?;
            }
        }
    }
    Ok(())
}

fn safe(call: &'static str, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    if pairs::is_safe_name(name) && pairs::is_safe_value(value) {
        Ok(())
    } else {
        Err(HostError::Refused { call })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;
    use crate::fake::{self, Call};

    fn remove(name: &'static str) -> HeaderMutation<'static> {
        HeaderMutation::Remove(name.as_bytes().into())
    }

    fn set(name: &'static str, value: &'static [u8]) -> HeaderMutation<'static> {
        HeaderMutation::Set(name.as_bytes().into(), value.into())
    }

    fn append(name: &'static str, value: &'static [u8]) -> HeaderMutation<'static> {
        HeaderMutation::Append(name.as_bytes().into(), value.into())
    }

    #[test]
    fn fields_are_read_in_order_and_as_bytes() {
        fake::reset();
        fake::with(|host| {
            host.set_request_headers([(":path", &b"/"[..]), ("x-raw", b"\xff\xfe"), (":path", b"/2")]);
        });
        let headers = RequestHeaders::read().unwrap();
        let fields = headers.fields().unwrap();
        assert_eq!(fields.len(), 3);
        assert_eq!((fields[1].name, fields[1].value), (&b"x-raw"[..], &b"\xff\xfe"[..]));
        assert_eq!(fields[2].value, b"/2");
    }

    #[test]
    fn a_request_without_headers_has_no_fields() {
        fake::reset();
        assert_eq!(RequestHeaders::read().unwrap().fields().unwrap(), []);
    }

    #[test]
    fn statuses_and_bad_buffers_are_errors() {
        fake::reset();
        fake::with(|host| host.force("proxy_get_header_map_pairs", 2));
        let error = RequestHeaders::read().unwrap_err();
        assert_eq!(error.status(), Some(Status::BadArgument));
        let error = RequestHeaders { map: vec![1, 0, 0] }.fields().unwrap_err();
        assert_eq!(error, HostError::Malformed { call: "proxy_get_header_map_pairs" });
    }

    #[test]
    fn mutations_are_made_in_order() {
        fake::reset();
        fake::with(|host| {
            host.set_request_headers([("x-user", &b"forged"[..]), ("X-User", b"forged"), ("a", b"1")]);
        });
        let mutations =
            [remove("x-user"), set("x-user", b"alice"), append("x-user", b"bob"), set("a", b"\xff")];
        apply(&mutations).unwrap();
        fake::with(|host| {
            let calls = host.calls.iter().filter_map(|call| {
                if let Call::RemoveHeader(name) | Call::SetHeader(name, _) | Call::AddHeader(name, _) = call {
                    return Some(name.as_slice());
                }
                None
            });
            assert_eq!(host.calls.len(), 4, "{:?}", host.calls);
            assert_eq!(calls.collect::<Vec<_>>(), [&b"x-user"[..], b"x-user", b"x-user", b"a"]);
        });
    }

    #[test]
    fn the_first_failure_ends_it() {
        fake::reset();
        fake::with(|host| host.force("proxy_replace_header_map_value", 10));
        let error = apply(&[remove("a"), set("b", b""), remove("c")]).unwrap_err();
        assert_eq!(error.status(), Some(Status::InternalFailure));
        fake::with(|host| assert_eq!(host.calls.len(), 1, "{:?}", host.calls));
    }

    #[test]
    fn what_could_end_a_line_is_refused() {
        fake::reset();
        for (name, value) in [("", &b"v"[..]), ("a\n", b"v"), ("a", b"x\r\nx-admin: 1"), ("a", b"\0")] {
            let call = "proxy_replace_header_map_value";
            assert_eq!(apply(&[set(name, value)]), Err(HostError::Refused { call }), "{name:?}");
        }
        fake::with(|host| assert_eq!(host.calls, []));
    }

    #[test]
    fn debug_shows_no_header() {
        let shown = format!("{:?}", RequestHeaders { map: b"secret".to_vec() });
        assert_eq!(shown, "RequestHeaders(<6 bytes>)");
    }
}
