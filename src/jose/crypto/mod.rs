//! Signature checks as values, and the pure-Rust verifier that every host has.
//!
//! The core never verifies by itself: it makes a [`SignatureJob`], and the host chooses who answers it. [`verify`] is
//! the answer that needs no host.

mod ecdsa;
mod eddsa;
mod hmac;
mod known_answers;
mod rsa;
mod signing;
mod spki;

pub use hmac::Hs256Key;
pub use known_answers::known_answers;
pub use signing::{SigningKey, SigningKeyError};

use super::{Algorithm, Jwk, JwkError, KeyFamily, Sha2};
use std::borrow::Cow;
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

/// A signature check in the form that X.509 libraries take: see [`SignatureJob::x509`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct X509Check<'j> {
    /// The hash.
    pub hash: Sha2,
    /// SubjectPublicKeyInfo, DER (RFC 5280 section 4.1.2.7).
    pub public_key: &'j [u8],
    /// RSASSA-PKCS1-v1_5, or Ecdsa-Sig-Value in DER (RFC 3279 section 2.2.3).
    pub signature: Cow<'j, [u8]>,
    /// What was signed.
    pub message: &'j [u8],
}

impl SignatureJob<'_> {
    /// The check for an X.509 library, such as the proxy's. `None` for algorithms without such a form (PSS needs parameters of its
    /// own; EdDSA and HMAC), and for a signature of the wrong length.
    pub fn x509(&self) -> Option<X509Check<'_>> {
        let public_key = self.key.material().spki.as_deref()?;
        let length = match self.algorithm {
            Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => None,
            Algorithm::Es256 => Some(32),
            Algorithm::Es384 => Some(48),
            Algorithm::Es512 => Some(66),
            Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512
            | Algorithm::EdDsa
            | Algorithm::Hs256
            | Algorithm::Hs384
            | Algorithm::Hs512 => return None,
        };
        let signature = match length {
            None => Cow::Borrowed(&*self.signature),
            Some(length) => Cow::Owned(spki::ecdsa_signature(&self.signature, length)?),
        };
        self.key.fits(self.algorithm).then(|| X509Check {
            hash: self.algorithm.hash(),
            public_key,
            signature,
            message: self.signing_input,
        })
    }
}

/// Parsed key material, ready to verify with.
pub struct VerifyingKey {
    material: Material,
    /// The key as X.509 has it, for hosts that verify in our place; none for kinds that they do not.
    spki: Option<Box<[u8]>>,
}

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
        let key = rsa::Key::new(modulus, exponent)?;
        Ok(Self::x509(Material::Rsa(key), spki::rsa(modulus, exponent)))
    }

    /// A P-256 key from its coordinates, 32 bytes each.
    ///
    /// # Errors
    /// [`JwkError::NotOnCurve`].
    pub fn p256(x: &[u8], y: &[u8]) -> Result<Self, JwkError> {
        let point = ecdsa::uncompressed(x, y, 32)?;
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).map_err(|_| JwkError::NotOnCurve)?;
        Ok(Self::x509(Material::P256(key), spki::ec(spki::P256, &point)))
    }

    /// A P-384 key from its coordinates, 48 bytes each.
    ///
    /// # Errors
    /// [`JwkError::NotOnCurve`].
    pub fn p384(x: &[u8], y: &[u8]) -> Result<Self, JwkError> {
        let point = ecdsa::uncompressed(x, y, 48)?;
        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&point).map_err(|_| JwkError::NotOnCurve)?;
        Ok(Self::x509(Material::P384(key), spki::ec(spki::P384, &point)))
    }

    /// A P-521 key from its coordinates, 66 bytes each.
    ///
    /// # Errors
    /// [`JwkError::NotOnCurve`].
    pub fn p521(x: &[u8], y: &[u8]) -> Result<Self, JwkError> {
        let point = ecdsa::uncompressed(x, y, 66)?;
        let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(&point).map_err(|_| JwkError::NotOnCurve)?;
        Ok(Self::x509(Material::P521(key), spki::ec(spki::P521, &point)))
    }

    /// An Ed25519 key (RFC 8032).
    ///
    /// # Errors
    /// [`JwkError::NotOnCurve`], also for points of small order.
    pub fn ed25519(x: &[u8]) -> Result<Self, JwkError> {
        eddsa::Key::new(x).map(|key| Self { material: Material::Ed25519(key), spki: None })
    }

    /// A shared secret.
    ///
    /// # Errors
    /// [`JwkError::SecretTooShort`].
    pub fn oct(secret: Vec<u8>) -> Result<Self, JwkError> {
        hmac::Key::new(secret).map(|key| Self { material: Material::Oct(key), spki: None })
    }

    fn x509(material: Material, spki: Vec<u8>) -> Self {
        Self { material, spki: Some(spki.into()) }
    }

    /// Whether the key is of the right kind, and long enough, for `algorithm`.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        let is_long_enough = match &self.material {
            Material::Oct(key) => key.fits(algorithm.hash()),
            Material::Rsa(_)
            | Material::P256(_)
            | Material::P384(_)
            | Material::P521(_)
            | Material::Ed25519(_) => true,
        };
        is_long_enough && self.family() == algorithm.key_family()
    }

    /// SubjectPublicKeyInfo, DER (RFC 5280 section 4.1.2.7), as WebCrypto imports keys; `None` for a shared secret.
    pub fn spki(&self) -> Option<Cow<'_, [u8]>> {
        match &self.material {
            Material::Ed25519(key) => Some(Cow::Owned(spki::ed25519(key.bytes()))),
            Material::Rsa(_)
            | Material::P256(_)
            | Material::P384(_)
            | Material::P521(_)
            | Material::Oct(_) => self.spki.as_deref().map(Cow::Borrowed),
        }
    }

    /// Length of a shared secret in bytes; `None` for a public key.
    pub fn secret_bytes(&self) -> Option<usize> {
        match &self.material {
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
        match &self.material {
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
        && match &job.key.material().material {
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
