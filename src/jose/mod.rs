//! JSON Object Signing and Encryption: RFC 7515 (JWS), 7517 (JWK), 7518 (JWA), 8037 and 9864 (Ed25519).
//!
//! Compact serialization only. Knows nothing of claims, providers or requests.

pub mod base64url;
pub mod crypto;
mod header;
mod jwa;
mod jwk;
mod jws;
pub mod thumbprint;

pub use header::{HeaderError, JoseHeader};
pub use jwa::{Algorithm, KeyFamily, Sha2};
pub use jwk::{Jwk, JwkError, JwkSet, JwkSetError, KeyOrigin, SkippedKey};
pub use jws::{JwsError, UnverifiedJws};
