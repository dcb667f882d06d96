//! What the workers of one proxy tell each other about a key set: one fetches, all use what it fetched.
//!
//! The host keeps these bytes in a store that all workers share, with compare-and-set; what they mean is decided here.

use crate::time::UnixTime;
use std::time::Duration;

/// The outcome of one worker's fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySetRecord {
    /// When the fetch began.
    pub began: UnixTime,
    /// When it was answered.
    pub ended: UnixTime,
    /// Lifetime and body of the key set; `None` if the fetch failed.
    pub keys: Option<(Duration, Vec<u8>)>,
}

const FAILED: u8 = 0;
const KEYS: u8 = 1;

impl KeySetRecord {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.began.as_millis().to_le_bytes());
        bytes.extend(self.ended.as_millis().to_le_bytes());
        match &self.keys {
            None => bytes.push(FAILED),
            Some((lifetime, body)) => {
                bytes.push(KEYS);
                bytes.extend(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).to_le_bytes());
                bytes.extend(body);
            }
        }
        bytes
    }

    /// From bytes; `None` if they are no record.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (began, rest) = bytes.split_first_chunk()?;
        let (ended, rest) = rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first()?;
        let keys = match *kind {
            FAILED => None,
            KEYS => {
                let (lifetime, body) = rest.split_first_chunk()?;
                Some((Duration::from_millis(u64::from_le_bytes(*lifetime)), body.to_vec()))
            }
            _ => return None,
        };
        let instant = |bytes: &[u8; 8]| UnixTime::from_millis(i64::from_le_bytes(*bytes));
        Some(Self { began: instant(began), ended: instant(ended), keys })
    }
}

/// The right to fetch, held by one worker until an instant, so that a worker that dies does not keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The worker's own number.
    pub holder: u64,
    /// When it ends.
    pub until: UnixTime,
}

impl Lease {
    /// A lease is never longer: one that ends later was written by a clock that has been set back since.
    const LONGEST: Duration = Duration::from_secs(120);

    /// The lease that `holder` may write at `now`, over `current`. `Err` is the instant at which to try again.
    ///
    /// # Errors
    /// Another worker holds it.
    pub fn take(now: UnixTime, current: Option<Self>, holder: u64, term: Duration) -> Result<Self, UnixTime> {
        let until = now.saturating_add(term.min(Self::LONGEST));
        match current {
            Some(lease)
                if lease.holder != holder
                    && now < lease.until
                    && lease.until.saturating_since(now) <= Self::LONGEST =>
            {
                Err(lease.until)
            }
            _ => Ok(Self { holder, until }),
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        [self.holder.to_le_bytes(), self.until.as_millis().to_le_bytes()].concat()
    }

    /// From bytes; `None` if they are no lease.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (holder, rest) = bytes.split_first_chunk()?;
        let until = i64::from_le_bytes(<[u8; 8]>::try_from(rest).ok()?);
        Some(Self { holder: u64::from_le_bytes(*holder), until: UnixTime::from_millis(until) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_the_round_trip_and_truncation() {
        let (began, ended) = (UnixTime::from_millis(-1), UnixTime::from_secs(7));
        for keys in
            [None, Some((Duration::from_secs(300), b"{}".to_vec())), Some((Duration::ZERO, Vec::new()))]
        {
            let record = KeySetRecord { began, ended, keys };
            let bytes = record.encode();
            assert_eq!(KeySetRecord::decode(&bytes), Some(record));
            for end in 0..17 {
                assert_eq!(KeySetRecord::decode(&bytes[..end]).map(|r| r.keys), None, "{end}");
            }
        }
        assert_eq!(KeySetRecord::decode(&[2; 40]), None);
    }

    #[test]
    fn one_worker_holds_the_lease_until_it_ends() {
        let at = UnixTime::from_secs;
        let term = Duration::from_secs(10);
        let mine = Lease::take(at(0), None, 1, term).unwrap();
        assert_eq!(Lease::decode(&mine.encode()), Some(mine));
        assert_eq!(Lease::take(at(9), Some(mine), 2, term), Err(at(10)));
        assert_eq!(Lease::take(at(9), Some(mine), 1, term), Ok(Lease { holder: 1, until: at(19) }));
        assert_eq!(Lease::take(at(10), Some(mine), 2, term), Ok(Lease { holder: 2, until: at(20) }));
    }

    #[test]
    fn a_lease_from_a_clock_that_was_set_back_does_not_last() {
        let far = Lease { holder: 1, until: UnixTime::from_secs(100_000) };
        assert!(Lease::take(UnixTime::from_secs(0), Some(far), 2, Duration::from_secs(10)).is_ok());
    }
}
