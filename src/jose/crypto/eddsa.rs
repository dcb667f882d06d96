//! Ed25519: RFC 8037 section 3.1, RFC 8032 section 5.1.

use crate::jose::JwkError;
use ed25519_dalek::{Signature, VerifyingKey};

pub(super) struct Key(VerifyingKey);

impl Key {
    pub(super) fn new(x: &[u8]) -> Result<Self, JwkError> {
        let x = <&[u8; 32]>::try_from(x).map_err(|_| JwkError::NotOnCurve)?;
        let key = VerifyingKey::from_bytes(x).map_err(|_| JwkError::NotOnCurve)?;
        // Under a key of small order one signature fits many messages.
        if key.is_weak() { Err(JwkError::NotOnCurve) } else { Ok(Self(key)) }
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}
