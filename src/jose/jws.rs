//! JWS Compact Serialization: RFC 7515 section 7.1.

use super::base64url::{self, NotBase64Url};
use super::{HeaderError, JoseHeader};

/// A compact JWS that has been split and whose header has been parsed, but whose signature nobody has checked.
///
/// Borrows the token: nothing is copied but the decoded header. Every method that shows unprotected content says so
/// in its name.
#[derive(Clone, PartialEq, Eq)]
pub struct UnverifiedJws<'t> {
    header: JoseHeader,
    signing_input: &'t [u8],
    payload: &'t [u8],
    signature: &'t [u8],
}

/// Why a text is not a compact JWS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwsError {
    /// Not exactly three segments: two dots. Five segments are an encrypted token (JWE), which we do not take.
    #[error("expected three segments separated by dots")]
    Segments,
    /// The signature segment is empty.
    #[error("the signature is empty")]
    NoSignature,
    /// The first segment.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

impl<'t> UnverifiedJws<'t> {
    /// Splits `token` and parses its header.
    ///
    /// # Errors
    /// [`JwsError`].
    pub fn parse(token: &'t [u8]) -> Result<Self, JwsError> {
        let mut dots = token.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(JwsError::Segments);
        };
        let (signing_input, rest) = token.split_at_checked(second).ok_or(JwsError::Segments)?;
        let (header, payload) = signing_input.split_at_checked(first).ok_or(JwsError::Segments)?;
        let (Some(payload), Some(signature)) = (payload.get(1..), rest.get(1..)) else {
            return Err(JwsError::Segments);
        };
        if signature.is_empty() {
            return Err(JwsError::NoSignature);
        }
        Ok(Self { header: JoseHeader::parse(header)?, signing_input, payload, signature })
    }

    /// The header; nobody vouches for it yet.
    pub fn unverified_header(&self) -> &JoseHeader {
        &self.header
    }

    /// The payload segment, still base64url; nobody vouches for it yet.
    pub fn unverified_payload_segment(&self) -> &'t [u8] {
        self.payload
    }

    /// The decoded payload; nobody vouches for it yet.
    ///
    /// # Errors
    /// [`NotBase64Url`].
    pub fn decode_unverified_payload(&self) -> Result<Vec<u8>, NotBase64Url> {
        base64url::decode(self.payload)
    }

    /// The bytes that the signature covers: header and payload segment with the dot between them.
    pub fn signing_input(&self) -> &'t [u8] {
        self.signing_input
    }

    /// The decoded signature.
    ///
    /// # Errors
    /// [`NotBase64Url`].
    pub fn decode_signature(&self) -> Result<Vec<u8>, NotBase64Url> {
        base64url::decode(self.signature)
    }
}

impl std::fmt::Debug for UnverifiedJws<'_> {
    /// The token is a credential: its header is shown, the rest is not.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnverifiedJws").field("header", &self.header).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "eyJhbGciOiJFUzI1NiJ9";

    #[test]
    fn segments_are_found() {
        let token = format!("{HEADER}.e30.AQ");
        let jws = UnverifiedJws::parse(token.as_bytes()).unwrap();
        assert_eq!(jws.signing_input(), format!("{HEADER}.e30").as_bytes());
        assert_eq!(jws.unverified_payload_segment(), b"e30");
        assert_eq!(jws.decode_unverified_payload().unwrap(), b"{}");
        assert_eq!(jws.decode_signature().unwrap(), [1]);
    }

    #[test]
    fn anything_but_three_segments_is_refused() {
        for token in ["", "..", HEADER, &format!("{HEADER}.e30"), &format!("{HEADER}..e30.AQ"), "a.b.c.d.e"] {
            let refused = UnverifiedJws::parse(token.as_bytes());
            assert!(matches!(refused, Err(JwsError::Segments | JwsError::NoSignature)), "{token}");
        }
        let unsigned = format!("{HEADER}.e30.");
        assert_eq!(UnverifiedJws::parse(unsigned.as_bytes()), Err(JwsError::NoSignature));
    }

    #[test]
    fn debug_shows_no_credential() {
        let token = format!("{HEADER}.e30.AQsecretsig");
        let shown = format!("{:?}", UnverifiedJws::parse(token.as_bytes()).unwrap());
        assert!(!shown.contains("secretsig") && !shown.contains("e30"), "{shown}");
    }
}
