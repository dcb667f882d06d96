//! HMAC with SHA-2: RFC 7518 section 3.2.

use crate::jose::{JwkError, Sha2};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384, Sha512};
use std::fmt;

pub(super) struct Key(Vec<u8>);

impl Key {
    /// The shortest hash.
    const MIN_BYTES: usize = 32;

    pub(super) fn new(secret: Vec<u8>) -> Result<Self, JwkError> {
        if secret.len() < Self::MIN_BYTES {
            Err(JwkError::SecretTooShort { expected: Self::MIN_BYTES, found: secret.len() })
        } else {
            Ok(Self(secret))
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.len()
    }

    /// RFC 7518 section 3.2: a key at least as long as the hash.
    pub(super) fn fits(&self, hash: Sha2) -> bool {
        self.0.len() >= hash.bytes()
    }

    pub(super) fn verify(&self, hash: Sha2, message: &[u8], tag: &[u8]) -> bool {
        match hash {
            Sha2::Sha256 => self.check::<Hmac<Sha256>>(message, tag),
            Sha2::Sha384 => self.check::<Hmac<Sha384>>(message, tag),
            Sha2::Sha512 => self.check::<Hmac<Sha512>>(message, tag),
        }
    }

    fn check<M: Mac + KeyInit>(&self, message: &[u8], tag: &[u8]) -> bool {
        // Compares in constant time, and the whole tag: a truncated one is refused.
        <M as KeyInit>::new_from_slice(&self.0)
            .is_ok_and(|mac| mac.chain_update(message).verify_slice(tag).is_ok())
    }
}

/// A secret that makes HS256 tags and checks them, for credentials between parts of our own. What the secret itself costs is
/// hashed once.
#[derive(Clone)]
pub struct Hs256Key(Hmac<Sha256>);

impl Hs256Key {
    /// The key of this secret.
    ///
    /// # Errors
    /// [`JwkError::SecretTooShort`] if it is shorter than the hash.
    pub fn new(secret: &[u8]) -> Result<Self, JwkError> {
        let too_short = JwkError::SecretTooShort { expected: Key::MIN_BYTES, found: secret.len() };
        if secret.len() < Key::MIN_BYTES {
            return Err(too_short);
        }
        // HMAC takes a secret of any length.
        <Hmac<Sha256> as KeyInit>::new_from_slice(secret).map(Self).map_err(|_| too_short)
    }

    /// The tag of `message`.
    pub fn tag(&self, message: &[u8]) -> [u8; 32] {
        self.0.clone().chain_update(message).finalize().into_bytes().into()
    }

    /// Whether `tag`, whole, is that of `message`. Compares in constant time.
    pub fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        self.0.clone().chain_update(message).verify_slice(tag).is_ok()
    }
}

impl fmt::Debug for Hs256Key {
    /// Key material is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hs256Key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::base64url;

    /// RFC 7515 appendix A.1.
    #[test]
    fn the_example_of_rfc_7515() {
        const SECRET: &[u8] =
            b"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        const MESSAGE: &[u8] = b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
            eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let key = Hs256Key::new(&base64url::decode(SECRET).unwrap()).unwrap();
        let tag = key.tag(MESSAGE);
        assert_eq!(base64url::encode(&tag), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert!(key.verify(MESSAGE, &tag));
        assert!(
            !key.verify(b"another", &tag) && !key.verify(MESSAGE, &tag[..31]) && !key.verify(MESSAGE, b"")
        );
        assert_eq!(format!("{key:?}"), "Hs256Key");
    }

    #[test]
    fn a_secret_is_as_long_as_the_hash() {
        let error = JwkError::SecretTooShort { expected: 32, found: 31 };
        assert_eq!(Hs256Key::new(&[7; 31]).err(), Some(error));
        assert!(Hs256Key::new(&[7; 32]).is_ok());
    }
}
