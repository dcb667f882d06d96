//! Randomness.

use crate::status::HostError;
use std::hash::{BuildHasher, RandomState};

/// A number that differs from one VM to the next: the standard library's hash seed, which the host draws. Not for secrets.
pub fn number() -> u64 {
    RandomState::new().hash_one(())
}

/// 32 unpredictable bytes, from the host's generator.
///
/// # Errors
/// [`HostError::Malformed`] if the host gives none.
pub fn secret() -> Result<[u8; 32], HostError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| HostError::Malformed { call: "random_get" })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ() {
        assert_ne!(secret().unwrap(), secret().unwrap());
        assert_ne!(secret().unwrap(), [0; 32]);
    }
}
