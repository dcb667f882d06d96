//! The proxy's attributes, by path.

use crate::status::{HostError, optional};
use crate::sys;

/// The bytes of the attribute at `path`, as `["connection", "sha256_peer_certificate_digest"]`; `None` if there is none.
/// Text is bytes as it stands, numbers are 64 bits little-endian.
///
/// Allowed in every phase; a request's attributes only while its context is the current or the effective one.
///
/// # Errors
/// [`HostError::Status`] if the host refuses or cannot serialize the attribute.
pub fn get(path: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
    optional(sys::get_property(path.join("\0").as_bytes()))
}

/// Stores `value` as `name` in the request's filter state, where access logs and RBAC read it as `wasm.<name>`.
///
/// Allowed while a request's context is the current or the effective one.
///
/// # Errors
/// [`HostError::Status`] if the host refuses, as when there is no request.
pub fn set(name: &str, value: &[u8]) -> Result<(), HostError> {
    sys::set_property(name.as_bytes(), value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;
    use crate::fake;

    #[test]
    fn segments_are_joined_by_nul() {
        fake::reset();
        fake::with(|host| host.properties.insert(b"connection\0mtls".to_vec(), vec![1]));
        assert_eq!(get(&["connection", "mtls"]), Ok(Some(vec![1])));
        assert_eq!(get(&["connection"]), Ok(None));
        set("doorward.sub", b"\xff").unwrap();
        assert_eq!(get(&["doorward.sub"]), Ok(Some(vec![0xff])));
    }

    #[test]
    fn other_statuses_are_errors() {
        fake::reset();
        fake::with(|host| host.force("proxy_get_property", 3));
        assert_eq!(get(&["x"]).unwrap_err().status(), Some(Status::SerializationFailure));
    }
}
