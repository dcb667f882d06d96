//! ECDSA on the NIST curves: RFC 7518 section 3.4. Signatures are r and s at full length, concatenated.

use crate::jose::JwkError;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// SEC 1 section 2.3.3: an uncompressed point. Coordinates must have full length (RFC 7518 section 6.2.1.2).
pub(super) fn uncompressed(x: &[u8], y: &[u8], length: usize) -> Result<Vec<u8>, JwkError> {
    if x.len() != length || y.len() != length {
        return Err(JwkError::NotOnCurve);
    }
    Ok([&[4], x, y].concat())
}

pub(super) fn verify_p256(key: &p256::ecdsa::VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    p256::ecdsa::Signature::from_slice(signature)
        .is_ok_and(|signature| key.verify_prehash(&Sha256::digest(message), &signature).is_ok())
}

pub(super) fn verify_p384(key: &p384::ecdsa::VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    p384::ecdsa::Signature::from_slice(signature)
        .is_ok_and(|signature| key.verify_prehash(&Sha384::digest(message), &signature).is_ok())
}

pub(super) fn verify_p521(key: &p521::ecdsa::VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    p521::ecdsa::Signature::from_slice(signature)
        .is_ok_and(|signature| key.verify_prehash(&Sha512::digest(message), &signature).is_ok())
}
