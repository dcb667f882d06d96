//! The buffers that the host keeps for us.

use crate::abi::BufferType;
use crate::status::{HostError, optional};
use crate::sys;

const CALL: &str = "proxy_get_buffer_bytes";

/// The plugin's configuration, as it stands in the proxy's own; empty if there is none.
///
/// Allowed in `on_configure` only: elsewhere Envoy has no such buffer, which reads as empty here.
///
/// # Errors
/// [`HostError::Status`] if the host refuses.
pub fn plugin_configuration() -> Result<Vec<u8>, HostError> {
    Ok(optional(sys::get_buffer_bytes(BufferType::PluginConfiguration, 0, usize::MAX))?.unwrap_or_default())
}

/// The body of the HTTP call's response, `size` bytes of it by the callback's word.
///
/// Allowed in `on_http_call_response` only.
pub(crate) fn http_call_response_body(size: usize, limit: usize) -> Result<Vec<u8>, HostError> {
    whole(BufferType::HttpCallResponseBody, size, limit)
}

/// All that is in `buffer`, `size` bytes by the callback's word; what the host does not have is empty.
pub(crate) fn whole(buffer: BufferType, size: usize, limit: usize) -> Result<Vec<u8>, HostError> {
    let too_large = |size| HostError::TooLarge { call: CALL, size, limit };
    if size > limit {
        return Err(too_large(size));
    }
    if size == 0 {
        return Ok(Vec::new());
    }
    // One byte more, so that a host that has more than it said is noticed.
    let body = optional(sys::get_buffer_bytes(buffer, 0, limit.saturating_add(1)))?.unwrap_or_default();
    if body.len() > limit { Err(too_large(body.len())) } else { Ok(body) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;
    use crate::fake;

    #[test]
    fn configuration_is_bytes() {
        fake::reset();
        assert_eq!(plugin_configuration(), Ok(vec![]));
        fake::with(|host| host.plugin_configuration = Some(b"{}\xff".to_vec()));
        assert_eq!(plugin_configuration(), Ok(b"{}\xff".to_vec()));
        fake::with(|host| host.force(CALL, 2));
        assert_eq!(plugin_configuration().unwrap_err().status(), Some(Status::BadArgument));
    }

    #[test]
    fn a_body_above_the_limit_is_not_read() {
        fake::reset();
        fake::with(|host| host.call_response_body = vec![7; 10]);
        assert_eq!(http_call_response_body(10, 10), Ok(vec![7; 10]));
        assert_eq!(
            http_call_response_body(10, 9),
            Err(HostError::TooLarge { call: CALL, size: 10, limit: 9 })
        );
        assert_eq!(http_call_response_body(0, 9), Ok(vec![]));
        assert_eq!(
            http_call_response_body(9, 9),
            Err(HostError::TooLarge { call: CALL, size: 10, limit: 9 }),
            "the host has more than it said"
        );
    }
}
