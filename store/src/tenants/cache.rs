//! What the database says of tokens, tenants and grants, for a few seconds, so that a request costs no call of it.

use super::{Access, TokenHash};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// How long an answer is good, in microseconds. So long may a token that another process revoked be used on.
const LIFETIME: i64 = 5_000_000;
/// How often the last use is written at most, in microseconds.
const USE_INTERVAL: i64 = 60_000_000;
/// How many answers are kept. Whoever sends random tokens makes room for them, and no more.
const CAPACITY: usize = 10_000;

/// Answers of the database, those that there is nothing included.
#[derive(Debug)]
pub(super) struct Cache<K, V>(HashMap<K, Entry<V>>);

#[derive(Debug)]
struct Entry<V> {
    found: Option<V>,
    /// Microseconds since 1970 UTC.
    read: i64,
}

/// What the database says of a token.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) access: Arc<Access>,
    /// Microseconds since 1970 UTC.
    pub(super) last_used: Option<i64>,
}

impl<V> Entry<V> {
    fn is_fresh(&self, now: i64) -> bool {
        // A clock that was set back makes nothing last longer.
        (0..LIFETIME).contains(&now.saturating_sub(self.read))
    }
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash, V> Cache<K, V> {
    /// The answer, if there is a fresh one.
    #[allow(clippy::option_option, reason = "no answer is not the answer that there is none")]
    pub(super) fn get<Q>(&self, key: &Q, now: i64) -> Option<Option<&V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let entry = self.0.get(key).filter(|entry| entry.is_fresh(now))?;
        Some(entry.found.as_ref())
    }

    pub(super) fn put(&mut self, key: K, found: Option<V>, now: i64) {
        if self.0.len() >= CAPACITY {
            self.0.retain(|_, entry| entry.is_fresh(now));
        }
        if self.0.len() >= CAPACITY {
            self.0.retain(|_, entry| entry.found.is_some());
        }
        if self.0.len() < CAPACITY {
            self.0.insert(key, Entry { found, read: now });
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Cache<TokenHash, Found> {
    /// Notes that a token was used. Answers whether that is to be written.
    pub(super) fn note_use(&mut self, hash: &TokenHash, now: i64) -> bool {
        let Some(found) = self.0.get_mut(hash).and_then(|entry| entry.found.as_mut()) else { return false };
        let is_due = found.last_used.is_none_or(|last| now.saturating_sub(last) >= USE_INTERVAL);
        if is_due {
            found.last_used = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward::scim::Profile;

    fn found() -> Found {
        let access = Access {
            tenant: "acme".to_owned(),
            profile: Profile::Rfc,
            token: "okta".to_owned(),
            expires: None,
        };
        Found { access: Arc::new(access), last_used: None }
    }

    fn hash(number: usize) -> TokenHash {
        let mut octets = [0; 32];
        octets[..8].copy_from_slice(&number.to_le_bytes());
        TokenHash(octets)
    }

    #[test]
    fn an_answer_is_good_for_a_few_seconds() {
        let mut cache = Cache::default();
        cache.put(hash(1), Some(found()), 1_000);
        cache.put(hash(2), None, 1_000);
        for (now, is_fresh) in [(1_000, true), (5_000_999, true), (5_001_000, false), (999, false)] {
            assert_eq!(cache.get(&hash(1), now).is_some(), is_fresh, "{now}");
            assert_eq!(cache.get(&hash(2), now).is_some_and(|found| found.is_none()), is_fresh, "{now}");
        }
        assert!(cache.get(&hash(3), 1_000).is_none());
    }

    #[test]
    fn unknown_tokens_do_not_push_out_known_ones_nor_grow_the_cache() {
        let mut cache = Cache::default();
        cache.put(hash(0), Some(found()), 0);
        for number in 1..3 * CAPACITY {
            cache.put(hash(number), None, 0);
        }
        assert!(cache.0.len() <= CAPACITY);
        assert!(cache.get(&hash(0), 0).is_some_and(|found| found.is_some()));
    }

    #[test]
    fn a_use_is_written_at_most_once_a_minute() {
        let mut cache = Cache::default();
        cache.put(hash(1), Some(found()), 0);
        for (now, is_due) in
            [(5, true), (6, false), (60_000_004, false), (60_000_005, true), (60_000_006, false)]
        {
            assert_eq!(cache.note_use(&hash(1), now), is_due, "{now}");
        }
        assert!(!cache.note_use(&hash(2), 5));
    }
}
