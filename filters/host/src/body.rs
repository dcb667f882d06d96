//! The bodies of a request and of its response, as far as the proxy has buffered them for us.
//!
//! A body is whole when its callback says `end_of_stream`, or when trailers come; until then return `Action::Pause`, and the proxy
//! buffers it, up to its own limit. The size that each callback announces is that of all that is buffered.

use crate::abi::BufferType;
use crate::status::HostError;
use crate::{buffer, sys};

/// All that is buffered of the request's body of the current (or effective) context: `size` bytes, as its last callback announced,
/// and `limit` at most.
///
/// Allowed in `on_http_request_body`, in `on_http_request_trailers`, and while the request is paused by the former.
///
/// # Errors
/// [`HostError::TooLarge`] if it is longer; nothing is copied then. [`HostError::Malformed`] if the host has less than it
/// announced, [`HostError::Status`] if it refuses.
pub fn request(size: usize, limit: usize) -> Result<Vec<u8>, HostError> {
    whole(BufferType::HttpRequestBody, size, limit)
}

/// Makes `body` the request's body, instead of all that is buffered. Nothing keeps `content-length` right: remove or set it, with
/// the headers still held.
///
/// Allowed when [`request()`] is.
///
/// # Errors
/// [`HostError::Status`] if the host refuses, as when there is no body: the old one must then not go on.
pub fn replace_request(body: &[u8]) -> Result<(), HostError> {
    replace(BufferType::HttpRequestBody, body)
}

/// All that is buffered of the response's body, as [`request()`].
///
/// Allowed in `on_http_response_body`, in `on_http_response_trailers`, and while the response is paused by the former.
///
/// # Errors
/// As [`request()`].
pub fn response(size: usize, limit: usize) -> Result<Vec<u8>, HostError> {
    whole(BufferType::HttpResponseBody, size, limit)
}

/// Makes `body` the response's body, as [`replace_request`].
///
/// Allowed when [`response()`] is.
///
/// # Errors
/// As [`replace_request`].
pub fn replace_response(body: &[u8]) -> Result<(), HostError> {
    replace(BufferType::HttpResponseBody, body)
}

fn whole(buffer: BufferType, size: usize, limit: usize) -> Result<Vec<u8>, HostError> {
    let body = buffer::whole(buffer, size, limit)?;
    if body.len() < size { Err(HostError::Malformed { call: "proxy_get_buffer_bytes" }) } else { Ok(body) }
}

fn replace(buffer: BufferType, body: &[u8]) -> Result<(), HostError> {
    // From the start, and no fewer bytes than there are: that is what replaces in Envoy.
    sys::set_buffer_bytes(buffer, 0, usize::MAX, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;
    use crate::fake::{self, Call};

    const READ: &str = "proxy_get_buffer_bytes";

    #[test]
    fn bodies_are_read_and_replaced_whole() {
        fake::reset();
        fake::with(|host| {
            host.effective_context = 7;
            host.set_request_body(*b"re\xff");
            host.set_response_body(*b"answer");
        });
        assert_eq!(request(3, 3), Ok(b"re\xff".to_vec()));
        assert_eq!(response(6, 100), Ok(b"answer".to_vec()));
        replace_request(b"longer than before").unwrap();
        replace_response(b"").unwrap();
        fake::with(|host| {
            assert_eq!(host.request_body(), Some(&b"longer than before"[..]));
            assert_eq!(host.response_body(), Some(&b""[..]));
            let expected =
                [Call::ReplaceRequestBody(b"longer than before".to_vec()), Call::ReplaceResponseBody(vec![])];
            assert_eq!(host.calls, expected);
        });
        assert_eq!(response(0, 0), Ok(vec![]));
    }

    #[test]
    fn a_body_above_the_limit_is_not_asked_for() {
        fake::reset();
        fake::with(|host| host.set_request_body(vec![7; 10]));
        assert_eq!(request(10, 9), Err(HostError::TooLarge { call: READ, size: 10, limit: 9 }));
        assert_eq!(fake::with(|host| host.take_made()), [""; 0]);
        // A host that has more than it announced.
        assert_eq!(request(9, 9), Err(HostError::TooLarge { call: READ, size: 10, limit: 9 }));
    }

    #[test]
    fn a_body_that_is_not_there_is_an_error_and_never_an_empty_one() {
        fake::reset();
        assert_eq!(request(1, 9), Err(HostError::Malformed { call: READ }));
        assert_eq!(replace_request(b"x").unwrap_err().status(), Some(Status::NotFound));
        fake::with(|host| host.set_response_body(*b"12"));
        assert_eq!(response(3, 9), Err(HostError::Malformed { call: READ }));
        fake::with(|host| {
            host.force(READ, 2);
            host.force("proxy_set_buffer_bytes", 10);
        });
        assert_eq!(response(2, 9).unwrap_err().status(), Some(Status::BadArgument));
        assert_eq!(replace_response(b"x").unwrap_err().status(), Some(Status::InternalFailure));
    }

    #[test]
    fn each_context_has_its_body() {
        fake::reset();
        fake::with(|host| host.set_request_body(*b"0"));
        crate::stream::set_effective_context(7).unwrap();
        fake::with(|host| host.set_request_body(*b"7"));
        assert_eq!(request(1, 1), Ok(b"7".to_vec()));
        crate::stream::set_effective_context(0).unwrap();
        assert_eq!(request(1, 1), Ok(b"0".to_vec()));
    }
}
