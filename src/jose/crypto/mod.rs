//! Signature checks as values, and the pure-Rust verifier that every host has.
//!
//! The core never verifies by itself: it makes a [`SignatureJob`], and the host chooses who answers it. [`verify`] is
//! the answer that needs no host.

mod ecdsa;
mod eddsa;
mod hmac;
mod rsa;
mod signing;

pub use signing::{SigningKey, SigningKeyError};

use super::{Algorithm, Jwk, JwkError, KeyFamily};
use std::fmt;
use std::sync::Arc;

/// One signature to check.
#[derive(Clone)]
pub struct SignatureJob<'t> {
    /// The algorithm of the token's header; it fits the key.
    pub algorithm: Algorithm,
    /// The key.
    pub key: Arc<Jwk>,
    /// What was signed, borrowed from the token.
    pub signing_input: &'t [u8],
    /// The signature as JWA encodes it (ECDSA: r and s, concatenated; RFC 7518 section 3.4).
    pub signature: Arc<[u8]>,
}

impl fmt::Debug for SignatureJob<'_> {
    /// The token is a credential and is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureJob")
            .field("algorithm", &self.algorithm)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// The answer to a [`SignatureJob`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The signature is by this key over exactly these bytes.
    Valid,
    /// It is not.
    Invalid,
}

impl From<bool> for Verdict {
    fn from(valid: bool) -> Self {
        if valid { Self::Valid } else { Self::Invalid }
    }
}

/// Parsed key material, ready to verify with.
pub struct VerifyingKey(Material);

enum Material {
    Rsa(rsa::Key),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
    Ed25519(eddsa::Key),
    Oct(hmac::Key),
}

impl VerifyingKey {
    /// An RSA key from modulus and exponent, big-endian (RFC 7518 section 6.3.1).
    ///
    /// # Errors
    /// [`JwkError::RsaSize`], [`JwkError::RsaExponent`], [`JwkError::NotRsa`].
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, JwkError> {
        rsa::Key::new(modulus, exponent).map(|key| Self(Material::Rsa(key)))
    }

    /// A P-256 key from its coordinates, 32 bytes each.
    ///
    /// # Errors
    /// [`JwkError::NotOnCurve`].
    pub fn p256(x: &[u8], y: &[u8]) -> Result<Self, JwkError> {
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&ecdsa::uncompressed(x, y, 32)?);
        key.map(|key| Self(Material::P256(key))).map_err(|_| JwkError::NotOnCurve)
    }

    /// A P-384 key from its coordinates, 48 bytes each.
    ///
    /// # Errors
    /// [`JwkError::NotOnCurve`].
    pub fn p384(x: &[u8], y: &[u8]) -> Result<Self, JwkError> {
        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&ecdsa::uncompressed(x, y, 48)?);
        key.map(|key| Self(Material::P384(key))).map_err(|_| JwkError::NotOnCurve)
    }

    /// A P-521 key from its coordinates, 66 bytes each.
    ///
    /// # Errors
    /// [`JwkError::NotOnCurve`].
    pub fn p521(x: &[u8], y: &[u8]) -> Result<Self, JwkError> {
        let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(&ecdsa::uncompressed(x, y, 66)?);
        key.map(|key| Self(Material::P521(key))).map_err(|_| JwkError::NotOnCurve)
    }

    /// An Ed25519 key (RFC 8032).
    ///
    /// # Errors
    /// [`JwkError::NotOnCurve`], also for points of small order.
    pub fn ed25519(x: &[u8]) -> Result<Self, JwkError> {
        eddsa::Key::new(x).map(|key| Self(Material::Ed25519(key)))
    }

    /// A shared secret.
    ///
    /// # Errors
    /// [`JwkError::SecretTooShort`].
    pub fn oct(secret: Vec<u8>) -> Result<Self, JwkError> {
        hmac::Key::new(secret).map(|key| Self(Material::Oct(key)))
    }

    /// Whether the key is of the right kind, and long enough, for `algorithm`.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        let is_long_enough = match &self.0 {
            Material::Oct(key) => key.fits(algorithm.hash()),
            Material::Rsa(_)
            | Material::P256(_)
            | Material::P384(_)
            | Material::P521(_)
            | Material::Ed25519(_) => true,
        };
        is_long_enough && self.family() == algorithm.key_family()
    }

    /// Length of a shared secret in bytes; `None` for a public key.
    pub fn secret_bytes(&self) -> Option<usize> {
        match &self.0 {
            Material::Oct(key) => Some(key.bytes()),
            Material::Rsa(_)
            | Material::P256(_)
            | Material::P384(_)
            | Material::P521(_)
            | Material::Ed25519(_) => None,
        }
    }

    /// `kty` and `crv`.
    pub fn family(&self) -> KeyFamily {
        match &self.0 {
            Material::Rsa(_) => KeyFamily::Rsa,
            Material::P256(_) => KeyFamily::P256,
            Material::P384(_) => KeyFamily::P384,
            Material::P521(_) => KeyFamily::P521,
            Material::Ed25519(_) => KeyFamily::Ed25519,
            Material::Oct(_) => KeyFamily::Oct,
        }
    }
}

impl fmt::Debug for VerifyingKey {
    /// Key material is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({:?})", self.family())
    }
}

/// Answers `job` in pure Rust. A key that does not fit the algorithm answers [`Verdict::Invalid`].
pub fn verify(job: &SignatureJob<'_>) -> Verdict {
    let (hash, message, signature) = (job.algorithm.hash(), job.signing_input, &*job.signature);
    let valid = job.key.fits(job.algorithm)
        && match &job.key.material().0 {
            Material::Rsa(key) if job.algorithm.is_pss() => key.verify_pss(hash, message, signature),
            Material::Rsa(key) => key.verify_pkcs1(hash, message, signature),
            Material::P256(key) => ecdsa::verify_p256(key, message, signature),
            Material::P384(key) => ecdsa::verify_p384(key, message, signature),
            Material::P521(key) => ecdsa::verify_p521(key, message, signature),
            Material::Ed25519(key) => key.verify(message, signature),
            Material::Oct(key) => key.verify(hash, message, signature),
        };
    Verdict::from(valid)
}
