//! Randomness for spreading load and telling workers apart. Not for secrets.

use std::hash::{BuildHasher, RandomState};

/// A number that differs from one VM to the next: the standard library's hash seed, which the host draws.
pub fn number() -> u64 {
    RandomState::new().hash_one(())
}
