//! Nonces that the server chooses: RFC 9449 sections 8 and 9. Nothing is kept: a nonce carries the window of time in
//! which it was issued, and a tag that only the holder of the key can make.

use super::hmac_for;
use crate::jose::base64url;
use crate::time::UnixTime;
use hmac::Mac;
use std::fmt;
use std::time::Duration;

const PURPOSE: &[u8; 16] = b"dpop nonce      ";
const TAG_BYTES: usize = 16;

/// The key that nonces are made and checked with. Who knows it can make proofs in advance.
#[derive(Clone)]
pub struct NonceKey {
    key: [u8; 32],
    lifetime: Duration,
}

impl NonceKey {
    /// A key of 32 unpredictable bytes, the same for all workers. A nonce is valid for at least `lifetime`, and for
    /// less than twice as long.
    pub const fn new(key: [u8; 32], lifetime: Duration) -> Self {
        Self { key, lifetime }
    }

    /// The nonce of now: it stays the same until the window ends.
    pub fn issue(&self, now: UnixTime) -> String {
        let window = self.window(now).to_be_bytes();
        let tag = hmac_for(&self.key, PURPOSE).chain_update(window).finalize().into_bytes();
        let nonce: Vec<u8> = window.into_iter().chain(tag.into_iter().take(TAG_BYTES)).collect();
        base64url::encode(&nonce)
    }

    /// Whether `nonce` was issued in this window or the one before. The one after counts too: the clock may have been
    /// set back a little since.
    pub fn is_valid(&self, nonce: &str, now: UnixTime) -> bool {
        let Ok(bytes) = base64url::decode(nonce.as_bytes()) else { return false };
        let Some((window, tag)) = bytes.split_first_chunk::<8>() else { return false };
        // `verify_truncated_left` takes a tag of any length, and compares in constant time.
        i64::from_be_bytes(*window).abs_diff(self.window(now)) <= 1
            && tag.len() == TAG_BYTES
            && hmac_for(&self.key, PURPOSE).chain_update(window).verify_truncated_left(tag).is_ok()
    }

    fn window(&self, now: UnixTime) -> i64 {
        let length = i64::try_from(self.lifetime.as_millis()).unwrap_or(i64::MAX).max(1);
        now.as_millis().checked_div_euclid(length).unwrap_or(0)
    }
}

impl fmt::Debug for NonceKey {
    /// The key is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NonceKey").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: NonceKey = NonceKey::new([0xab; 32], Duration::from_secs(60));

    fn at(secs: i64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    #[test]
    fn a_nonce_outlives_its_window_by_one() {
        let nonce = KEY.issue(at(600));
        assert_eq!(nonce, KEY.issue(UnixTime::from_millis(659_999)));
        assert_ne!(nonce, KEY.issue(at(660)));
        for (now, expected) in
            [(539, false), (540, true), (600, true), (659, true), (719, true), (720, false)]
        {
            assert_eq!(KEY.is_valid(&nonce, at(now)), expected, "{now}");
        }
    }

    #[test]
    fn only_our_own_nonces_are_valid() {
        let now = at(600);
        let nonce = KEY.issue(now);
        let bytes = base64url::decode(nonce.as_bytes()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(!KEY.is_valid(&base64url::encode(&changed), now), "byte {at}");
        }
        // A window may be chosen by anybody, its tag may not.
        let next = KEY.issue(at(660));
        let next = base64url::decode(next.as_bytes()).unwrap();
        let mixed = [&next[..8], &bytes[8..]].concat();
        assert!(!KEY.is_valid(&base64url::encode(&mixed), now));
        for cut in 0..bytes.len() {
            assert!(!KEY.is_valid(&base64url::encode(&bytes[..cut]), now), "{cut} bytes");
        }
        let whole = hmac_for(&KEY.key, PURPOSE).chain_update(&bytes[..8]).finalize().into_bytes();
        assert!(!KEY.is_valid(&base64url::encode(&[&bytes[..8], &whole[..]].concat()), now));
        for text in ["", "a", "ü", &format!("{nonce}="), &nonce.to_lowercase()] {
            assert!(!KEY.is_valid(text, now), "{text:?}");
        }
        let other = NonceKey::new([0xac; 32], KEY.lifetime);
        assert!(!other.is_valid(&nonce, now));
    }

    #[test]
    fn a_nonce_has_only_characters_that_a_nonce_may_have() {
        // RFC 9449 section 8.1: NQCHAR, of which base64url is a part.
        assert_eq!(KEY.issue(at(600)).len(), 32);
        assert!(base64url::decode(KEY.issue(at(-1)).as_bytes()).is_ok());
    }

    #[test]
    fn odd_clocks_and_lifetimes_do_not_trap() {
        for lifetime in [Duration::ZERO, Duration::from_millis(1), Duration::MAX] {
            for now in [i64::MIN, -1, 0, i64::MAX].map(UnixTime::from_millis) {
                let key = NonceKey::new([1; 32], lifetime);
                assert!(key.is_valid(&key.issue(now), now), "{lifetime:?} {now:?}");
            }
        }
    }

    #[test]
    fn debug_does_not_show_the_key() {
        let shown = format!("{KEY:?}");
        assert!(!shown.contains("171") && !shown.contains("ab"), "{shown}");
    }
}
