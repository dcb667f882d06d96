//! How many requests a tenant may make: a token bucket for each.

use super::options::Rate;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The buckets of tenants. Each is one number: when it will be full again.
#[derive(Debug)]
pub(super) struct RateLimit {
    /// How long one request takes to be refilled.
    interval: Duration,
    /// How long a whole bucket takes.
    burst: Duration,
    full_at: Mutex<HashMap<String, Duration>>,
}

impl RateLimit {
    pub(super) fn new(rate: Rate) -> Self {
        let interval =
            Duration::from_secs(1).checked_div(rate.requests_per_second.get()).unwrap_or(Duration::MAX);
        let burst = interval.saturating_mul(rate.burst.get());
        Self { interval, burst, full_at: Mutex::default() }
    }

    /// Takes one request out of the tenant's bucket. `now` counts from any moment, the same every time.
    ///
    /// # Errors
    /// If it is empty: how long until it is not.
    pub(super) fn take(&self, tenant: &str, now: Duration) -> Result<(), Duration> {
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = buckets.get(tenant).copied().unwrap_or_default().max(now).saturating_add(self.interval);
        let wait = full_at.saturating_sub(now).saturating_sub(self.burst);
        if !wait.is_zero() {
            return Err(wait);
        }
        match buckets.get_mut(tenant) {
            Some(bucket) => *bucket = full_at,
            // Only who was let in has a bucket, so there are no more of them than tenants.
            None => drop(buckets.insert(tenant.to_owned(), full_at)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward::gateway::retry_after;
    use std::num::NonZeroU32;

    fn limit(requests_per_second: u32, burst: u32) -> RateLimit {
        let [requests_per_second, burst] = [requests_per_second, burst].map(|n| NonZeroU32::new(n).unwrap());
        RateLimit::new(Rate { requests_per_second, burst })
    }

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let limit = limit(2, 3);
        let at = |millis, tenant| {
            limit.take(tenant, Duration::from_millis(millis)).map_err(|wait| wait.as_millis())
        };
        assert_eq!([at(0, "a"), at(0, "a"), at(0, "a")], [Ok(()); 3]);
        assert_eq!(at(0, "a"), Err(500));
        assert_eq!(at(0, "b"), Ok(()));
        assert_eq!(at(400, "a"), Err(100));
        assert_eq!(at(500, "a"), Ok(()));
        assert_eq!(at(500, "a"), Err(500));
        // It is never fuller than full.
        assert_eq!([at(60_000, "a"), at(60_000, "a"), at(60_000, "a")], [Ok(()); 3]);
        assert_eq!(at(60_000, "a"), Err(500));
    }

    #[test]
    fn seconds_are_whole_and_enough() {
        for (millis, expected) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (9_999, 10)] {
            assert_eq!(retry_after(Duration::from_millis(millis)), expected, "{millis}");
        }
    }
}
