//! HMAC with SHA-2: RFC 7518 section 3.2.

use crate::jose::{JwkError, Sha2};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384, Sha512};

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
