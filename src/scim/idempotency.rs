//! `Idempotency-Key`: a create that is sent again with the same key is answered as it was the first time
//! (draft-ietf-httpapi-idempotency-key-header).

use super::error::ScimError;

/// The longest key, in bytes.
const LONGEST: usize = 255;

/// The key of a request, as the field has it.
///
/// # Errors
/// 400 if it is not 1 to 255 printable ASCII characters.
pub fn idempotency_key(field: Option<&[u8]>) -> Result<Option<&str>, ScimError> {
    let Some(key) = field else { return Ok(None) };
    let is_plain = !key.is_empty() && key.len() <= LONGEST && key.iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(key) {
        Ok(key) if is_plain => Ok(Some(key)),
        _ => Err(ScimError::new(400, "Idempotency-Key: expected 1 to 255 printable ASCII characters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_plain_and_not_too_long() {
        assert_eq!(idempotency_key(None), Ok(None));
        assert_eq!(idempotency_key(Some(b"8e03978e-40d5")), Ok(Some("8e03978e-40d5")));
        assert!(idempotency_key(Some(&[b'a'; 255])).is_ok());
        for refused in [&b""[..], b"a b", b"\xff", &[b'a'; 256]] {
            let status = idempotency_key(Some(refused)).map_err(|error| error.status);
            assert_eq!(status, Err(400), "{refused:?}");
        }
    }
}
