//! The header maps of a request and of its response.

use crate::abi::MapType;
use crate::pairs;
use crate::status::HostError;
use crate::sys;
use doorward::http::{HeaderField, HeaderMutation};
use std::fmt;

const READ: &str = "proxy_get_header_map_pairs";

/// The request's header fields as the host returned them: one buffer, one hostcall, nothing copied out of it.
///
/// A snapshot: [`apply`] does not change it.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestHeaders {
    map: Vec<u8>,
}

/// The response's header fields, as [`RequestHeaders`] are the request's. [`apply_response`] does not change them.
#[derive(Clone, PartialEq, Eq)]
pub struct ResponseHeaders {
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
        Ok(Self { map: sys::get_header_map_pairs(MapType::Request)? })
    }

    /// Every field, pseudo-headers included, in the order received.
    ///
    /// # Errors
    /// [`HostError::Malformed`] if the host's buffer is not a serialized map.
    pub fn fields(&self) -> Result<Vec<HeaderField<'_>>, HostError> {
        parsed(&self.map)
    }
}

impl ResponseHeaders {
    /// Reads the header map of the response of the current (or effective) context.
    ///
    /// Allowed from `on_http_response_headers` until the context is deleted.
    ///
    /// # Errors
    /// [`HostError::Status`] if the host refuses. Where the context has no response yet, Envoy answers with no fields,
    /// which is no error here.
    pub fn read() -> Result<Self, HostError> {
        Ok(Self { map: sys::get_header_map_pairs(MapType::Response)? })
    }

    /// Every field, `:status` included, in the order received.
    ///
    /// # Errors
    /// [`HostError::Malformed`] if the host's buffer is not a serialized map.
    pub fn fields(&self) -> Result<Vec<HeaderField<'_>>, HostError> {
        parsed(&self.map)
    }
}

fn parsed(map: &[u8]) -> Result<Vec<HeaderField<'_>>, HostError> {
    pairs::parse(map).map_err(|_| HostError::Malformed { call: READ })
}

impl fmt::Debug for RequestHeaders {
    /// Headers carry credentials: only their length is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestHeaders(<{} bytes>)", self.map.len())
    }
}

impl fmt::Debug for ResponseHeaders {
    /// Headers carry credentials: only their length is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseHeaders(<{} bytes>)", self.map.len())
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
    apply_to(MapType::Request, mutations)
}

/// Makes `mutations`, in order, to the response of the current (or effective) context.
///
/// Allowed in `on_http_response_headers`, and while the headers are held because that callback returned `Action::Pause`. Who
/// will replace the body removes `content-length` before the headers go on.
///
/// # Errors
/// As [`apply`]: those before the first that fails have been made.
pub fn apply_response<'m, 'r: 'm>(
    mutations: impl IntoIterator<Item = &'m HeaderMutation<'r>>,
) -> Result<(), HostError> {
    apply_to(MapType::Response, mutations)
}

fn apply_to<'m, 'r: 'm>(
    map: MapType,
    mutations: impl IntoIterator<Item = &'m HeaderMutation<'r>>,
) -> Result<(), HostError> {
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
        assert_eq!(error, HostError::Malformed { call: READ });
        assert_eq!(ResponseHeaders::read().unwrap_err().call(), READ);
        assert!(ResponseHeaders { map: vec![1, 0, 0] }.fields().is_err());
    }

    #[test]
    fn the_response_has_headers_of_its_own() {
        fake::reset();
        fake::with(|host| {
            host.set_request_headers([("server", "request's")]);
            host.set_response_headers([(":status", "200"), ("server", "response's"), ("x", "1")]);
        });
        let headers = ResponseHeaders::read().unwrap();
        let values: Vec<_> = headers.fields().unwrap().iter().map(|field| field.value.to_vec()).collect();
        assert_eq!(values, [&b"200"[..], b"response's", b"1"]);
        apply_response(&[set(":status", b"404"), remove("server"), append("x", b"2")]).unwrap();
        let owned = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        fake::with(|host| {
            let expected = [owned(":status", "404"), owned("x", "1"), owned("x", "2")];
            assert_eq!(host.response_headers(), expected);
            assert_eq!(host.request_headers(), [owned("server", "request's")]);
            let (status, not_found) = owned(":status", "404");
            let (x, two) = owned("x", "2");
            let expected = [
                Call::SetResponseHeader(status, not_found),
                Call::RemoveResponseHeader(b"server".to_vec()),
                Call::AddResponseHeader(x, two),
            ];
            assert_eq!(host.calls, expected);
        });
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
            assert_eq!(apply_response(&[set(name, value)]), Err(HostError::Refused { call }), "{name:?}");
        }
        fake::with(|host| assert_eq!(host.calls, []));
    }

    #[test]
    fn debug_shows_no_header() {
        let shown = format!("{:?}", RequestHeaders { map: b"secret".to_vec() });
        assert_eq!(shown, "RequestHeaders(<6 bytes>)");
        let shown = format!("{:?}", ResponseHeaders { map: b"secret".to_vec() });
        assert_eq!(shown, "ResponseHeaders(<6 bytes>)");
    }
}
