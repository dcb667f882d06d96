//! Spread, so that many proxies do not come all at once. Not for secrets.

use std::time::Duration;

/// A sequence of numbers that follows from its seed: xorshift64* (Vigna 2016).
#[derive(Debug, Clone)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Self(seed | 1)
    }

    /// A duration between `percent` and 100 percent of `longest`.
    pub(super) fn within(&mut self, percent: u32, longest: Duration) -> Duration {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        let span = 100_u32.saturating_sub(percent);
        let extra = u32::try_from(drawn).unwrap_or(0).checked_rem(span.saturating_add(1)).unwrap_or(0);
        longest.checked_div(100).unwrap_or_default().saturating_mul(percent.saturating_add(extra))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_stay_in_bounds_and_differ() {
        let longest = Duration::from_secs(100);
        let mut jitter = Jitter::new(0);
        let drawn: Vec<_> = (0..1000).map(|_| jitter.within(50, longest)).collect();
        assert!(drawn.iter().all(|d| (Duration::from_secs(50)..=longest).contains(d)));
        assert!(
            drawn.iter().any(|d| *d < Duration::from_secs(60))
                && drawn.iter().any(|d| *d > Duration::from_secs(90))
        );
        assert_ne!(Jitter::new(3).within(0, longest), Jitter::new(5).within(0, longest));
        assert_eq!(jitter.within(100, longest), longest);
    }
}
