//! Cursors: RFC 9865. Nothing is kept for them: a cursor carries where its page begins and when it ends to be good.

use crate::time::UnixTime;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// The key under which cursors are made and read. Whoever knows it can make cursors.
#[derive(Clone)]
pub struct CursorKey([u8; 32]);

/// The search that a cursor belongs to. A cursor of one search is none of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorScope<'s> {
    /// Whose data is searched.
    pub tenant: &'s str,
    /// The resource type, or the endpoint.
    pub resource_type: &'s str,
    /// The filter, a [`TypedFilter`](super::TypedFilter) as printed, so that another spelling is no other search.
    pub filter: Option<&'s str>,
    /// By what is sorted, and in which order.
    pub sort: Option<&'s str>,
}

/// Why a cursor is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CursorError {
    /// Not made under this key, or for another search.
    #[error("expected a cursor of this search, unchanged: leave it empty for the first page")]
    Invalid,
    /// Too old.
    #[error("expected a cursor that has not expired: begin again at the first page")]
    Expired,
}

/// So that the form can change: a cursor of another form is invalid.
const FORM: u8 = 1;
/// The form, and the expiry in seconds.
const HEAD: usize = 9;
const TAG: usize = 32;

impl CursorKey {
    /// A key of 32 unpredictable bytes, the same in every process that serves the data.
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Makes a cursor that stands for `position` in that search until `expires` (whole seconds). The position is not
    /// secret: the client can read it.
    pub fn seal(&self, scope: &CursorScope<'_>, position: &[u8], expires: UnixTime) -> String {
        let mut bytes = vec![FORM];
        bytes.extend_from_slice(&expires.as_secs().to_be_bytes());
        bytes.extend_from_slice(position);
        let tag = self.mac(scope, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position of a cursor.
    ///
    /// # Errors
    /// [`CursorError`].
    pub fn open(&self, scope: &CursorScope<'_>, cursor: &str, now: UnixTime) -> Result<Vec<u8>, CursorError> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| CursorError::Invalid)?;
        let (sealed, tag) = bytes
            .len()
            .checked_sub(TAG)
            .and_then(|length| bytes.split_at_checked(length))
            .ok_or(CursorError::Invalid)?;
        self.mac(scope, sealed).verify_slice(tag).map_err(|_| CursorError::Invalid)?;
        let (head, position) = sealed.split_at_checked(HEAD).ok_or(CursorError::Invalid)?;
        let [FORM, expires @ ..] = head else { return Err(CursorError::Invalid) };
        let expires: [u8; 8] = expires.try_into().map_err(|_| CursorError::Invalid)?;
        if now >= UnixTime::from_secs(i64::from_be_bytes(expires)) {
            return Err(CursorError::Expired);
        }
        Ok(position.to_vec())
    }

    /// Every part with its length before it, so that no two searches look alike.
    fn mac(&self, scope: &CursorScope<'_>, sealed: &[u8]) -> Hmac<Sha256> {
        // RFC 2104 pads a key to one block with zeros; a whole block cannot have the wrong length.
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(self.0) {
            *to = from;
        }
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
        mac.update(b"doorward scim cursor");
        let parts = [Some(scope.tenant), Some(scope.resource_type), scope.filter, scope.sort];
        for part in parts.into_iter().map(|part| part.map(str::as_bytes)).chain([Some(sealed)]) {
            // Absent is not empty.
            mac.update(&[u8::from(part.is_some())]);
            let part = part.unwrap_or_default();
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for CursorKey {
    /// The key is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CursorKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: CursorKey = CursorKey::new([7; 32]);
    const SCOPE: CursorScope<'_> =
        CursorScope { tenant: "t", resource_type: "User", filter: Some("title pr"), sort: None };
    const EXPIRES: UnixTime = UnixTime::from_secs(1000);

    fn open(scope: &CursorScope<'_>, cursor: &str) -> Result<Vec<u8>, CursorError> {
        KEY.open(scope, cursor, UnixTime::from_secs(999))
    }

    #[test]
    fn a_cursor_is_good_until_it_expires() {
        for position in [&b""[..], b"x", b"name\0id"] {
            let cursor = KEY.seal(&SCOPE, position, EXPIRES);
            assert_eq!(open(&SCOPE, &cursor), Ok(position.to_vec()));
            assert_eq!(KEY.open(&SCOPE, &cursor, EXPIRES), Err(CursorError::Expired));
        }
    }

    #[test]
    fn a_cursor_belongs_to_one_search_and_one_key() {
        let cursor = KEY.seal(&SCOPE, b"x", EXPIRES);
        for other in [
            CursorScope { tenant: "u", ..SCOPE },
            CursorScope { resource_type: "Group", ..SCOPE },
            CursorScope { filter: None, ..SCOPE },
            CursorScope { filter: Some("userName pr"), ..SCOPE },
            CursorScope { sort: Some(""), ..SCOPE },
            CursorScope { tenant: "tU", resource_type: "ser", ..SCOPE },
        ] {
            assert_eq!(open(&other, &cursor), Err(CursorError::Invalid), "{other:?}");
        }
        // Parts that are alike once they are joined.
        let one = CursorScope { tenant: "t", resource_type: "a\u{1}b", ..SCOPE };
        let other = CursorScope { tenant: "t\u{1}a", resource_type: "b", ..SCOPE };
        assert_eq!(open(&other, &KEY.seal(&one, b"x", EXPIRES)), Err(CursorError::Invalid));
        let other_key = CursorKey::new([8; 32]);
        assert_eq!(other_key.open(&SCOPE, &cursor, UnixTime::from_secs(0)), Err(CursorError::Invalid));
        assert!(!format!("{KEY:?}").contains('7'));
    }

    #[test]
    fn no_bit_can_be_changed() {
        let cursor = KEY.seal(&SCOPE, b"position", EXPIRES);
        let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&SCOPE, &URL_SAFE_NO_PAD.encode(bytes)), Err(CursorError::Invalid), "{bit}");
        }
        for length in 0..cursor.len() {
            assert_eq!(open(&SCOPE, cursor.get(..length).unwrap()), Err(CursorError::Invalid), "{length}");
        }
        for text in ["x", "ü", &format!("{cursor}="), &format!("{cursor}AAAA")] {
            assert_eq!(open(&SCOPE, text), Err(CursorError::Invalid), "{text}");
        }
    }
}
