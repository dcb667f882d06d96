//! How many calls an actor may make: a token bucket, kept where all workers see it.

use crate::time::UnixTime;
use std::num::NonZeroU32;
use std::time::Duration;

/// A bucket: it holds `burst` calls, and `per_second` of them come back each second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Calls a second.
    pub per_second: NonZeroU32,
    /// Calls at once.
    pub burst: NonZeroU32,
}

/// The name of a bucket in shared data. There are so many that two actors rarely share one, and so few that their names, which are
/// never deleted, fill no memory.
pub type BucketName = u16;

impl Rate {
    /// Takes one call out of a bucket, as it was read (`None` if nobody used it yet). The bytes are what to keep instead.
    ///
    /// A bucket is one number: when it will be full again, in microseconds since 1970. What cannot be read is a full bucket.
    ///
    /// # Errors
    /// If it is empty: how long until it is not.
    pub fn take(self, kept: Option<&[u8]>, now: UnixTime) -> Result<[u8; 8], Duration> {
        let interval = 1_000_000_u64.div_ceil(u64::from(self.per_second.get()));
        let burst = interval.saturating_mul(u64::from(self.burst.get()));
        let now = u64::try_from(now.as_millis()).unwrap_or_default().saturating_mul(1_000);
        let kept = kept.and_then(|kept| <[u8; 8]>::try_from(kept).ok()).map_or(0, u64::from_le_bytes);
        // Fuller than empty it cannot be: then the clock was set back, and nobody shall wait until it is there again.
        let full_at = if kept > now.saturating_add(burst) { now } else { kept.max(now) };
        let full_at = full_at.saturating_add(interval);
        match full_at.saturating_sub(now).saturating_sub(burst) {
            0 => Ok(full_at.to_le_bytes()),
            wait => Err(Duration::from_micros(wait)),
        }
    }
}

/// For `Retry-After`: whole seconds, at least one, and not too few.
pub fn retry_after(wait: Duration) -> u64 {
    let more = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(more).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u32, burst: u32) -> Rate {
        let [per_second, burst] = [per_second, burst].map(|number| NonZeroU32::new(number).unwrap());
        Rate { per_second, burst }
    }

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let (rate, mut kept) = (rate(2, 3), None);
        let mut at = |millis| {
            let taken =
                rate.take(kept.as_ref().map(|kept: &[u8; 8]| kept.as_slice()), UnixTime::from_millis(millis));
            match taken {
                Ok(bytes) => {
                    kept = Some(bytes);
                    None
                }
                Err(wait) => Some(wait.as_millis()),
            }
        };
        let start = 1_700_000_000_000;
        assert_eq!([at(start), at(start), at(start)], [None; 3]);
        assert_eq!(at(start), Some(500));
        assert_eq!(at(start + 400), Some(100));
        assert_eq!(at(start + 500), None);
        assert_eq!(at(start + 500), Some(500));
        // It is never fuller than full.
        assert_eq!([at(start + 60_000), at(start + 60_000), at(start + 60_000)], [None; 3]);
        assert_eq!(at(start + 60_000), Some(500));
    }

    #[test]
    fn a_clock_set_back_and_bytes_of_others_keep_nobody_out() {
        let rate = rate(1, 1);
        let later = rate.take(None, UnixTime::from_secs(1_000_000)).unwrap();
        assert!(rate.take(Some(&later), UnixTime::from_secs(1_000_000)).is_err());
        assert!(rate.take(Some(&later), UnixTime::from_secs(1_000)).is_ok());
        assert!(rate.take(Some(b"what"), UnixTime::from_secs(1_000)).is_ok());
        assert!(rate.take(Some(&[255; 8]), UnixTime::from_secs(1_000)).is_ok());
        assert!(rate.take(None, UnixTime::from_secs(-1)).is_ok());
    }

    #[test]
    fn seconds_are_whole_and_enough() {
        for (millis, expected) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (9_999, 10)] {
            assert_eq!(retry_after(Duration::from_millis(millis)), expected, "{millis}");
        }
    }
}
