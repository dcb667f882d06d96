//! base64url as RFC 7515 section 2 wants it: the URL-safe alphabet, no padding, no white space, unused bits zero.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const STRICT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(false),
);

/// The text is not base64url: another alphabet, padding, white space, an impossible length, or unused bits that are
/// not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected base64url without padding")]
pub struct NotBase64Url;

/// Decodes `text`. Each byte string has exactly one encoding that is accepted.
///
/// # Errors
/// [`NotBase64Url`].
pub fn decode(text: &[u8]) -> Result<Vec<u8>, NotBase64Url> {
    STRICT.decode(text).map_err(|_| NotBase64Url)
}

/// Encodes `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    STRICT.encode(bytes)
}

/// Encodes `bytes` at the end of `text`.
pub fn append(bytes: &[u8], text: &mut String) {
    STRICT.encode_string(bytes, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_encoding_is_accepted() {
        assert_eq!(decode(b"_-8"), Ok(vec![0xff, 0xef]));
        assert_eq!(decode(b""), Ok(vec![]));
        for text in ["/+8", "_-8=", "_-9", "_-8\n", " _-8", "_", "_-8_\0", "ü"] {
            assert_eq!(decode(text.as_bytes()), Err(NotBase64Url), "{text:?}");
        }
    }

    #[test]
    fn what_is_there_is_kept() {
        let mut text = "a.".to_owned();
        append(&[0xff, 0xef], &mut text);
        assert_eq!(text, "a._-8");
    }

    proptest::proptest! {
        #[test]
        fn what_decodes_encodes_to_the_same_text(text in "[A-Za-z0-9_-]{0,40}") {
            if let Ok(bytes) = decode(text.as_bytes()) {
                proptest::prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
