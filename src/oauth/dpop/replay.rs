//! Which proofs were used: RFC 9449 section 11.1, in bounded memory that all workers share.
//!
//! The host keeps the buckets in a store with compare-and-set from which nothing is ever deleted; what their bytes mean
//! is decided here. A bucket is what it has forgotten, followed by its entries: id and expiry of one proof each.

use super::hmac_for;
use crate::time::UnixTime;
use hmac::Mac;

/// How many buckets there are. Each is at most 5 KiB, all together 20 MiB.
pub const BUCKETS: u16 = 4096;

/// How many proofs one bucket remembers at a time.
pub const MAX_ENTRIES: usize = 256;

/// The format of a bucket's bytes. It belongs in the name under which the store keeps a bucket, so that a worker never
/// meets the bytes of another version, which it would have to refuse.
pub const FORMAT: u8 = 1;

const PURPOSE: &[u8; 16] = b"dpop replay     ";

/// Where a proof is remembered, and as what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplayKey {
    /// The number of the bucket, below [`BUCKETS`].
    pub bucket: u16,
    /// The proof inside its bucket.
    pub id: [u8; 12],
}

impl ReplayKey {
    /// The key of the proof `jti` by the key with this thumbprint. Nobody without `seed`, 32 unpredictable bytes that
    /// are the same for all workers, can choose proofs that all fall into one bucket and fill it.
    pub fn new(seed: &[u8; 32], thumbprint: &[u8; 32], jti: &str) -> Self {
        let tag = hmac_for(seed, PURPOSE).chain_update(thumbprint).chain_update(jti).finalize();
        let [high, low, rest @ ..] = <[u8; 32]>::from(tag.into_bytes());
        let mut id = [0; 12];
        for (to, from) in id.iter_mut().zip(rest) {
            *to = from;
        }
        Self { bucket: u16::from_be_bytes([high, low]) % BUCKETS, id }
    }
}

/// What became of a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Insert {
    /// It is new. The caller writes these bytes, if the bucket has not changed since, or else asks again with the new
    /// ones; only then may the request pass.
    Fresh(Vec<u8>),
    /// It was used before, or it is so old that the bucket may have forgotten it.
    Seen,
    /// Nothing can be said: there is no room, or the bytes are no bucket. The request must not pass.
    ///
    /// Bytes that are no bucket were written by something else than this code. To overwrite them would make every
    /// proof that they stood for fresh again, so they are refused until the store is emptied; see [`FORMAT`].
    Full,
}

/// Adds the proof `id` to a bucket. `current` is what the store has of it, `until` the last instant at which the proof
/// passes its other checks ([`super::UnverifiedProof::ends`]).
pub fn insert(current: Option<&[u8]>, now: UnixTime, id: [u8; 12], until: UnixTime) -> Insert {
    let bucket = match current {
        None => Some(Bucket { forgotten: UnixTime::from_millis(i64::MIN), entries: Vec::new() }),
        Some(bytes) => Bucket::decode(bytes),
    };
    let Some(mut bucket) = bucket else { return Insert::Full };
    // Before the expired entries are dropped, and whatever the clock says.
    if bucket.entries.iter().any(|entry| entry.id == id) {
        return Insert::Seen;
    }
    bucket.forget(now);
    // With a clock that only goes forward, what was forgotten ended before now, and no proof that is still accepted
    // did. If the clock was set back, a forgotten proof may be accepted again, and nobody can tell it from a new one.
    if until <= bucket.forgotten {
        return Insert::Seen;
    }
    if bucket.entries.len() >= MAX_ENTRIES {
        return Insert::Full;
    }
    bucket.entries.push(Entry { id, until });
    Insert::Fresh(bucket.encode())
}

struct Bucket {
    /// The latest expiry of an entry that was dropped. Not the time at which that was: a clock that runs ahead for a
    /// moment would then refuse every proof once it is right again.
    forgotten: UnixTime,
    entries: Vec<Entry>,
}

struct Entry {
    id: [u8; 12],
    until: UnixTime,
}

impl Bucket {
    const ENTRY_BYTES: usize = 20;

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (forgotten, rest) = bytes.split_first_chunk()?;
        let (entries, rest) = rest.as_chunks::<{ Self::ENTRY_BYTES }>();
        if !rest.is_empty() || entries.len() > MAX_ENTRIES {
            return None;
        }
        let entries = entries
            .iter()
            .map(|entry| Some(Entry { id: *entry.first_chunk()?, until: instant(*entry.last_chunk()?) }));
        Some(Self { forgotten: instant(*forgotten), entries: entries.collect::<Option<_>>()? })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.forgotten.as_millis().to_le_bytes().to_vec();
        for entry in &self.entries {
            bytes.extend(entry.id);
            bytes.extend(entry.until.as_millis().to_le_bytes());
        }
        bytes
    }

    fn forget(&mut self, now: UnixTime) {
        let ended = self.entries.iter().map(|entry| entry.until).filter(|until| *until < now);
        self.forgotten = ended.fold(self.forgotten, UnixTime::max);
        self.entries.retain(|entry| entry.until >= now);
    }
}

fn instant(bytes: [u8; 8]) -> UnixTime {
    UnixTime::from_millis(i64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// One bucket in virtual time; proofs are accepted for 60 seconds before and after `iat`.
    #[derive(Default)]
    struct Store(Option<Vec<u8>>);

    impl Store {
        /// "fresh", "seen" or "full".
        fn insert(&mut self, now: i64, proof: u32, until: i64) -> &'static str {
            match insert(self.0.as_deref(), at(now), id(proof), at(until)) {
                Insert::Fresh(bytes) => {
                    self.0 = Some(bytes);
                    "fresh"
                }
                Insert::Seen => "seen",
                Insert::Full => "full",
            }
        }

        fn entries(&self) -> usize {
            Bucket::decode(self.0.as_ref().unwrap()).unwrap().entries.len()
        }
    }

    fn at(secs: i64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    fn id(proof: u32) -> [u8; 12] {
        let mut id = [0; 12];
        id[8..].copy_from_slice(&proof.to_be_bytes());
        id
    }

    #[test]
    fn a_proof_is_fresh_once() {
        let mut store = Store::default();
        assert_eq!(store.insert(1000, 1, 1060), "fresh");
        assert_eq!(store.insert(1000, 2, 1060), "fresh");
        for now in [1000, 1030, 1060] {
            assert_eq!(store.insert(now, 1, 1060), "seen", "{now}");
            assert_eq!(store.insert(now, 2, 1060), "seen", "{now}");
        }
    }

    #[test]
    fn expired_entries_make_room() {
        let mut store = Store::default();
        for proof in 0..256 {
            assert_eq!(store.insert(1000, proof, 1060), "fresh", "{proof}");
        }
        assert_eq!(store.insert(1000, 256, 1060), "full");
        assert_eq!(store.insert(1000, 255, 1060), "seen");
        assert_eq!(store.insert(1060, 256, 1120), "full");
        assert_eq!(store.insert(1061, 256, 1121), "fresh");
        assert_eq!(store.entries(), 1);
    }

    #[test]
    fn only_expired_entries_are_dropped() {
        let mut store = Store::default();
        for proof in 0..10 {
            assert_eq!(store.insert(1000, proof, 1060 + i64::from(proof)), "fresh");
        }
        assert_eq!(store.insert(1065, 10, 1125), "fresh");
        assert_eq!(store.entries(), 6);
        for proof in 5..11 {
            assert_eq!(store.insert(1065, proof, 1060 + i64::from(proof)), "seen", "{proof}");
        }
    }

    #[test]
    fn a_clock_set_back_makes_nothing_fresh() {
        let mut store = Store::default();
        assert_eq!(store.insert(1000, 1, 1060), "fresh");
        // Proof 1 is dropped, then the clock goes back to when it was good.
        assert_eq!(store.insert(1100, 2, 1160), "fresh");
        assert_eq!(store.entries(), 1);
        assert_eq!(store.insert(1010, 1, 1060), "seen");
        // A new proof is not harmed, unless it is no younger than what was dropped.
        assert_eq!(store.insert(1010, 3, 1061), "fresh");
        assert_eq!(store.insert(1010, 4, 1060), "seen");
        // What was forgotten is remembered as such, however often the bucket is written.
        assert_eq!(store.insert(1110, 5, 1170), "fresh");
        assert_eq!(store.insert(1010, 3, 1061), "seen");
        assert_eq!(store.insert(1010, 1, 1060), "seen");
    }

    #[test]
    fn a_clock_that_ran_ahead_refuses_nothing_new() {
        let mut store = Store::default();
        assert_eq!(store.insert(1000, 1, 1060), "fresh");
        assert_eq!(store.insert(9_000_000, 2, 9_000_060), "fresh");
        assert_eq!(store.insert(1001, 3, 1061), "fresh");
        assert_eq!(store.insert(1001, 1, 1060), "seen");
    }

    #[test]
    fn a_proof_that_has_ended_is_not_fresh_twice() {
        let mut store = Store::default();
        assert_eq!(store.insert(1000, 1, 900), "fresh");
        assert_eq!(store.insert(1000, 1, 900), "seen");
        assert_eq!(store.insert(1000, 2, 1060), "fresh");
        assert_eq!(store.insert(1000, 1, 900), "seen");
    }

    #[test]
    fn bytes_that_are_no_bucket_are_refused() {
        let Insert::Fresh(good) = insert(None, at(1000), id(1), at(1060)) else { panic!() };
        let (now, until) = (at(1000), at(1060));
        for cut in (0..good.len()).filter(|cut| *cut != 8) {
            assert_eq!(insert(Some(&good[..cut]), now, id(2), until), Insert::Full, "{cut} bytes");
        }
        // More entries than a bucket ever has, all of them expired.
        let long = [&good[..8], &good[8..].repeat(257)].concat();
        assert_eq!(insert(Some(&long), at(2000), id(2), at(2060)), Insert::Full);
        let whole = [&good[..8], &good[8..].repeat(256)].concat();
        assert!(matches!(insert(Some(&whole), at(2000), id(2), at(2060)), Insert::Fresh(_)));
    }

    #[test]
    fn keys_are_spread_and_kept_apart() {
        let key = |seed: u8, thumbprint: u8, jti: &str| ReplayKey::new(&[seed; 32], &[thumbprint; 32], jti);
        let one = key(1, 1, "a");
        assert_eq!(key(1, 1, "a"), one);
        for other in [key(2, 1, "a"), key(1, 2, "a"), key(1, 1, "b"), key(1, 1, "")] {
            assert_ne!(other.id, one.id);
        }
        let buckets: BTreeSet<u16> = (0..4096).map(|jti| key(1, 1, &jti.to_string()).bucket).collect();
        assert!(buckets.iter().all(|bucket| *bucket < BUCKETS));
        // About 63 of 100 are met by chance.
        assert!(buckets.len() > 2400, "{}", buckets.len());
        assert!(buckets.iter().any(|bucket| *bucket > 4000) && buckets.iter().any(|bucket| *bucket < 100));
    }
}
