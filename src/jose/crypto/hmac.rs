//! HMAC with SHA-2: RFC 7518 section 3.2.

use crate::jose::{Algorithm, JwkError};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384, Sha512};

pub(super) struct Key(Vec<u8>);

impl Key {
    /// RFC 7518 section 3.2: a key at least as long as the hash; 32 bytes for the shortest.
    const MIN_BYTES: usize = 32;

    pub(super) fn new(secret: Vec<u8>) -> Result<Self, JwkError> {
        if secret.len() < Self::MIN_BYTES { Err(JwkError::SecretTooShort(secret.len())) } else { Ok(Self(secret)) }
    }

    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], tag: &[u8]) -> bool {
        match algorithm {
            Algorithm::Hs256 => self.check::<Hmac<Sha256>>(32, message, tag),
            Algorithm::Hs384 => self.check::<Hmac<Sha384>>(48, message, tag),
            Algorithm::Hs512 => self.check::<Hmac<Sha512>>(64, message, tag),
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512
            | Algorithm::Es256
            | Algorithm::Es384
            | Algorithm::Es512
            | Algorithm::EdDsa => false,
        }
    }

    fn check<M: Mac + KeyInit>(&self, min_bytes: usize, message: &[u8], tag: &[u8]) -> bool {
        if self.0.len() < min_bytes {
            return false;
        }
        // Compares in constant time, and the whole tag: a truncated one is refused.
        <M as KeyInit>::new_from_slice(&self.0)
            .is_ok_and(|mac| mac.chain_update(message).verify_slice(tag).is_ok())
    }
}
