//! Demonstrating Proof of Possession (DPoP) at a resource server: RFC 9449.
//!
//! What a caller does with one request, cheap steps first: [`UnverifiedProof::parse`], [`UnverifiedProof::check`],
//! the signature of [`UnverifiedProof::signature_job`], and only then [`replay::insert`].

mod nonce;
mod proof;
pub mod replay;
mod target;

pub use nonce::NonceKey;
pub use proof::{Expected, MalformedProof, ProofError, UnverifiedProof};
pub use replay::ReplayKey;
pub use target::{Origin, OriginError, Target};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// HMAC-SHA256 that has begun with `purpose`: even if a host uses one key for both, no nonce says anything of where a
/// proof is remembered.
fn hmac_for(key: &[u8; 32], purpose: &[u8; 16]) -> Hmac<Sha256> {
    // RFC 2104 section 2: a key shorter than a block is filled up with zeros, so a whole block has no length to check.
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    Hmac::<Sha256>::new(&block.into()).chain_update(purpose)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_is_the_key() {
        let expected = <Hmac<Sha256> as KeyInit>::new_from_slice(&[7; 32]).unwrap();
        let expected = expected.chain_update(b"0123456789abcdef").finalize().into_bytes();
        assert_eq!(hmac_for(&[7; 32], b"0123456789abcdef").finalize().into_bytes(), expected);
    }
}
