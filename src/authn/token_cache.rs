//! Tokens that were judged before: a repeated one costs no parsing and no cryptography.
//!
//! A token is found by all of its bytes. Its hash, under a seed that no client knows, only says where to look; another token with the
//! same hash is a miss. What is kept ends with the token, and counts only as long as the provider's keys are the same.

use super::rejection::Rejection;
use crate::http::HeaderMutation;
use crate::policy::ProviderId;
use crate::time::UnixTime;
use siphasher::sip::SipHasher13;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// How long a token that was refused for its signature is remembered.
const FORGED_FOR: Duration = Duration::from_secs(10);
/// How many such tokens are kept, and how many bytes: any client can cause them.
const FORGED: CacheLimits = CacheLimits { entries: 4096, bytes: 4 * 1024 * 1024 };
/// What a slot takes beside what it holds, about.
const SLOT_BYTES: usize = 256;

/// The bounds of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// Tokens; 0 for no cache.
    pub entries: usize,
    /// Bytes, about.
    pub bytes: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { entries: 10_000, bytes: 16 * 1024 * 1024 }
    }
}

/// What a cache has done since its start, and holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheCounts {
    /// Requests that were answered from it.
    pub hits: u64,
    /// Requests whose token was not in it, or no longer.
    pub misses: u64,
    /// Tokens that made room for others.
    pub evictions: u64,
    /// Tokens that it holds.
    pub entries: usize,
    /// Bytes that it holds, about.
    pub bytes: usize,
}

/// A token, and where to look for it: hashed once a request.
#[derive(Clone, Copy)]
pub(super) struct TokenKey<'t> {
    hash: u64,
    pub(super) token: &'t [u8],
}

/// Both caches of a host.
pub(super) struct TokenCache {
    /// The seed of the hash.
    seed: (u64, u64),
    verified: Table<VerifiedToken>,
    forged: Table<ForgedToken>,
    hits: u64,
    misses: u64,
}

/// Whose keys vouch for a token, and which version of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Voucher {
    pub(super) provider: ProviderId,
    pub(super) generation: u64,
}

/// What is known of a token.
pub(super) enum Known<'c> {
    /// Its signature is valid, and this is what the rule makes of it.
    Finished(Voucher, &'c Arc<Finished>),
    /// Its signature is not valid.
    Forged(Voucher, &'c Rejection),
}

/// What a rule makes of a token, whatever else is in the request.
#[derive(Debug, PartialEq)]
pub(super) struct Finished {
    /// Where the token is: a place in its provider's `locations`.
    pub(super) location: usize,
    pub(super) identity: Arc<[HeaderMutation<'static>]>,
    pub(super) state: Arc<[(String, String)]>,
}

#[derive(Debug)]
struct VerifiedToken {
    voucher: Voucher,
    ends: Option<UnixTime>,
    since: UnixTime,
    /// By the rule's place.
    finished: Vec<(usize, Arc<Finished>)>,
}

#[derive(Debug)]
struct ForgedToken {
    voucher: Voucher,
    until: UnixTime,
    rejection: Box<Rejection>,
}

impl fmt::Debug for TokenCache {
    /// The seed is not shown: with it, tokens could be aimed at one place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("verified", &self.verified)
            .field("forged", &self.forged)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenKey<'_> {
    /// The token is a credential and is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").finish_non_exhaustive()
    }
}

impl TokenCache {
    pub(super) fn new(limits: CacheLimits, seed: u64) -> Self {
        let seed = (seed, seed.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15);
        let forged = if limits.entries == 0 { limits } else { FORGED };
        Self { seed, verified: Table::new(limits), forged: Table::new(forged), hits: 0, misses: 0 }
    }

    /// Where to look for `token`.
    pub(super) fn key<'t>(&self, token: &'t [u8]) -> TokenKey<'t> {
        let mut hasher = SipHasher13::new_with_keys(self.seed.0, self.seed.1);
        hasher.write(token);
        TokenKey { hash: hasher.finish(), token }
    }

    /// What `rule` made of the token before.
    pub(super) fn find(&mut self, now: UnixTime, key: TokenKey<'_>, rule: usize) -> Option<Known<'_>> {
        let verified = self.verified.get(key).filter(|verified| verified.is_in_time(now));
        if let Some((voucher, finished)) =
            verified.and_then(|verified| Some((verified.voucher, verified.finished(rule)?)))
        {
            self.hits = self.hits.saturating_add(1);
            return Some(Known::Finished(voucher, finished));
        }
        // Valid for one provider, it may be forged for another.
        if let Some(forged) = self.forged.get(key).filter(|forged| forged.is_in_time(now)) {
            self.hits = self.hits.saturating_add(1);
            return Some(Known::Forged(forged.voucher, &forged.rejection));
        }
        self.misses = self.misses.saturating_add(1);
        None
    }

    /// Whether the signature of the token was found valid by these keys.
    pub(super) fn is_verified(&mut self, now: UnixTime, key: TokenKey<'_>, voucher: Voucher) -> bool {
        let verified = self.verified.get(key);
        verified.is_some_and(|verified| verified.is_in_time(now) && verified.voucher == voucher)
    }

    /// Keeps that the signature of the token, which ends at `ends`, is valid.
    pub(super) fn insert_verified(
        &mut self,
        now: UnixTime,
        key: TokenKey<'_>,
        voucher: Voucher,
        ends: Option<UnixTime>,
    ) {
        let verified = VerifiedToken { voucher, ends, since: now, finished: Vec::new() };
        self.verified.insert(key, verified);
    }

    /// Keeps what `rule` makes of the token, if it is still there.
    pub(super) fn insert_finished(
        &mut self,
        key: TokenKey<'_>,
        voucher: Voucher,
        rule: usize,
        finished: Arc<Finished>,
    ) {
        let more = finished.bytes();
        let Some(verified) = self.verified.get(key) else { return };
        if verified.voucher == voucher && verified.finished(rule).is_none() {
            verified.finished.push((rule, finished));
            self.verified.grow(key, more);
        }
    }

    /// Keeps that the signature of the token is by none of these keys.
    pub(super) fn insert_forged(
        &mut self,
        now: UnixTime,
        key: TokenKey<'_>,
        voucher: Voucher,
        rejection: Rejection,
    ) {
        let until = now.saturating_add(FORGED_FOR);
        self.forged.insert(key, ForgedToken { voucher, until, rejection: Box::new(rejection) });
    }

    pub(super) fn counts(&self) -> CacheCounts {
        CacheCounts {
            hits: self.hits,
            misses: self.misses,
            evictions: self.verified.evictions.saturating_add(self.forged.evictions),
            entries: self.verified.slots.len().saturating_add(self.forged.slots.len()),
            bytes: self.verified.bytes.saturating_add(self.forged.bytes),
        }
    }
}

impl VerifiedToken {
    /// Not after the token's end, nor before it was seen, as when the clock was set back: then its dates are checked anew.
    fn is_in_time(&self, now: UnixTime) -> bool {
        now >= self.since && self.ends.is_none_or(|ends| now < ends)
    }

    fn finished(&self, rule: usize) -> Option<&Arc<Finished>> {
        self.finished.iter().find(|(of, _)| *of == rule).map(|(_, finished)| finished)
    }
}

impl ForgedToken {
    fn is_in_time(&self, now: UnixTime) -> bool {
        now < self.until && self.until.saturating_since(now) <= FORGED_FOR
    }
}

impl Finished {
    fn bytes(&self) -> usize {
        let headers = self.identity.iter().map(|mutation| match mutation {
            HeaderMutation::Remove(name) => name.len(),
            HeaderMutation::Set(name, value) | HeaderMutation::Append(name, value) => {
                name.len().saturating_add(value.len())
            }
        });
        let state = self.state.iter().map(|(name, value)| name.len().saturating_add(value.len()));
        headers.chain(state).map(|bytes| bytes.saturating_add(64)).fold(64, usize::saturating_add)
    }
}

/// Tokens with what is known of them, within bounds. The oldest go first, but those used since are passed over once.
struct Table<T> {
    limits: CacheLimits,
    slots: HashMap<u64, Slot<T>, BuildHasherDefault<Itself>>,
    order: VecDeque<u64>,
    bytes: usize,
    evictions: u64,
}

struct Slot<T> {
    token: Box<[u8]>,
    used: bool,
    bytes: usize,
    known: T,
}

impl<T> Table<T> {
    fn new(limits: CacheLimits) -> Self {
        let (slots, order) = (HashMap::default(), VecDeque::new());
        Self { limits, slots, order, bytes: 0, evictions: 0 }
    }

    fn get(&mut self, key: TokenKey<'_>) -> Option<&mut T> {
        let slot = self.slots.get_mut(&key.hash).filter(|slot| is_same(&slot.token, key.token))?;
        slot.used = true;
        Some(&mut slot.known)
    }

    fn insert(&mut self, TokenKey { hash, token }: TokenKey<'_>, known: T) {
        let bytes = token.len().saturating_add(SLOT_BYTES);
        if self.limits.entries == 0 || bytes > self.limits.bytes {
            return;
        }
        match self.slots.insert(hash, Slot { token: token.into(), used: false, bytes, known }) {
            // The same token judged again, or another with its hash: either way this one is newer.
            Some(old) => self.bytes = self.bytes.saturating_sub(old.bytes),
            None => self.order.push_back(hash),
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.make_room();
    }

    /// A slot holds this much more.
    fn grow(&mut self, key: TokenKey<'_>, more: usize) {
        if let Some(slot) = self.slots.get_mut(&key.hash) {
            slot.bytes = slot.bytes.saturating_add(more);
            self.bytes = self.bytes.saturating_add(more);
            self.make_room();
        }
    }

    fn make_room(&mut self) {
        while self.slots.len() > self.limits.entries || self.bytes > self.limits.bytes {
            let Some(oldest) = self.order.pop_front() else { return };
            match self.slots.get_mut(&oldest) {
                Some(slot) if slot.used => {
                    slot.used = false;
                    self.order.push_back(oldest);
                }
                Some(slot) => {
                    self.bytes = self.bytes.saturating_sub(slot.bytes);
                    self.slots.remove(&oldest);
                    self.evictions = self.evictions.saturating_add(1);
                }
                None => {}
            }
        }
    }
}

impl<T> fmt::Debug for Table<T> {
    /// Tokens are credentials: only numbers are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("entries", &self.slots.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// The keys of the table are hashes already.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not used: the keys are u64.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Word by word: a filter's own `memcmp` goes byte by byte.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let (words, rest) = one.as_chunks::<8>();
    let (other_words, other_rest) = other.as_chunks::<8>();
    let same = |(one, other): (&[u8; 8], &[u8; 8])| u64::from_ne_bytes(*one) == u64::from_ne_bytes(*other);
    one.len() == other.len() && rest == other_rest && words.iter().zip(other_words).all(same)
}

#[cfg(test)]
mod tests {
    use super::super::rejection::Denial;
    use super::*;

    const VOUCHER: Voucher = Voucher { provider: ProviderId(0), generation: 1 };

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    fn finished(value: &str) -> Arc<Finished> {
        let name = b"x-user-id".to_vec();
        let header = HeaderMutation::Set(name.into(), value.as_bytes().to_vec().into());
        Arc::new(Finished { location: 0, identity: Arc::from([header]), state: Arc::default() })
    }

    fn cache(entries: usize, bytes: usize) -> TokenCache {
        TokenCache::new(CacheLimits { entries, bytes }, 7)
    }

    fn keep(cache: &mut TokenCache, now: i64, token: &[u8], ends: i64) {
        let key = cache.key(token);
        cache.insert_verified(at(now), key, VOUCHER, Some(at(ends)));
        cache.insert_finished(key, VOUCHER, 0, finished("alice"));
    }

    fn is_finished(cache: &mut TokenCache, now: i64, token: &[u8]) -> bool {
        matches!(cache.find(at(now), cache.key(token), 0), Some(Known::Finished(VOUCHER, _)))
    }

    #[test]
    fn only_the_same_token_hits() {
        let mut cache = cache(100, 100_000);
        let token = b"header.payload.signature";
        keep(&mut cache, 0, token, 60);
        assert!(is_finished(&mut cache, 0, token));
        for at in 0..token.len() {
            let mut forged = token.to_vec();
            forged[at] ^= 1;
            assert!(!is_finished(&mut cache, 0, &forged), "byte {at}");
            assert!(!is_finished(&mut cache, 0, &token[..at]), "prefix of {at}");
        }
        assert!(!is_finished(&mut cache, 0, b"header.payload.signature2"));
        let key = cache.key(token);
        assert!(cache.find(at(0), key, 1).is_none(), "another rule");
        assert!(cache.is_verified(at(0), key, VOUCHER));
        assert!(!cache.is_verified(at(0), key, Voucher { generation: 2, ..VOUCHER }));
        assert!(!cache.is_verified(at(0), key, Voucher { provider: ProviderId(1), ..VOUCHER }));
    }

    #[test]
    fn a_token_with_the_hash_of_another_does_not_hit() {
        let key = cache(100, 100_000).key(b"mine");
        let mut table = Table::new(CacheLimits::default());
        table.insert(key, 1);
        assert_eq!(table.get(key), Some(&mut 1));
        // As if its hash were the same.
        assert_eq!(table.get(TokenKey { token: b"forged", ..key }), None);
        let other = TokenCache::new(CacheLimits::default(), 8);
        assert_ne!(other.key(b"mine").hash, key.hash, "the seed counts");
    }

    #[test]
    fn nothing_outlives_the_token_or_precedes_its_arrival() {
        let mut cache = cache(100, 100_000);
        keep(&mut cache, 10, b"t", 60);
        assert!(is_finished(&mut cache, 59, b"t"));
        assert!(!is_finished(&mut cache, 60, b"t"));
        assert!(!is_finished(&mut cache, 9, b"t"), "the clock was set back");
        assert!(!cache.is_verified(at(60), cache.key(b"t"), VOUCHER));
    }

    #[test]
    fn forged_tokens_are_remembered_for_a_while_and_apart() {
        let mut cache = cache(1, 100_000);
        keep(&mut cache, 0, b"good", 60);
        for number in 0_u32..10_000 {
            let rejection = Rejection::of(ProviderId(0), Denial::SignatureInvalid);
            cache.insert_forged(at(0), cache.key(&number.to_le_bytes()), VOUCHER, rejection);
        }
        assert!(is_finished(&mut cache, 0, b"good"), "a flood of forged tokens leaves the others alone");
        assert!(cache.counts().entries <= FORGED.entries + 1);
        let mut find = |now| {
            let known = cache.find(at(now), cache.key(&9_999_u32.to_le_bytes()), 0);
            known.is_some_and(|known| matches!(known, Known::Forged(VOUCHER, _)))
        };
        assert!(find(0) && find(9));
        assert!(!find(10) && !find(-1));
    }

    #[test]
    fn entries_and_bytes_are_bounded_and_what_is_used_stays() {
        let mut cache = cache(100, 1_000_000);
        for number in 0_u32..1000 {
            keep(&mut cache, 0, &number.to_le_bytes(), 60);
            assert!(is_finished(&mut cache, 0, &0_u32.to_le_bytes()), "{number}: used all the time");
        }
        let counts = cache.counts();
        assert_eq!((counts.entries, counts.evictions), (100, 900));
        assert!(!is_finished(&mut cache, 0, &1_u32.to_le_bytes()));

        let mut cache = self::cache(1_000_000, 100_000);
        for number in 0_u32..1000 {
            let token = [&number.to_le_bytes()[..], &[7; 1000]].concat();
            keep(&mut cache, 0, &token, 60);
            assert!(cache.counts().bytes <= 100_000);
        }
        assert!(cache.counts().entries > 50);
        keep(&mut cache, 0, &[7; 200_000], 60);
        assert!(!is_finished(&mut cache, 0, &[7; 200_000]), "too large for any cache");
        let held: usize = cache.verified.slots.values().map(|slot| slot.bytes).sum();
        assert_eq!(held, cache.counts().bytes);
        assert_eq!(cache.verified.order.len(), cache.verified.slots.len());
    }

    #[test]
    fn no_entries_are_no_cache() {
        let mut cache = cache(0, 1_000_000);
        keep(&mut cache, 0, b"t", 60);
        let forged = cache.key(b"f");
        cache.insert_forged(at(0), forged, VOUCHER, Rejection::of(ProviderId(0), Denial::SignatureInvalid));
        assert!(!is_finished(&mut cache, 0, b"t") && cache.find(at(0), forged, 0).is_none());
        assert_eq!(cache.counts().entries, 0);
    }

    #[test]
    fn debug_shows_no_token() {
        let mut cache = cache(10, 10_000);
        keep(&mut cache, 0, b"secret", 60);
        assert!(!format!("{cache:?}").contains("secret"));
    }
}
