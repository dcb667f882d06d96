//! Instants and durations as values. The core never reads a clock: every call that depends on time takes `now`.

use std::fmt;
use std::time::Duration;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, leap seconds ignored (RFC 7519 section 2, NumericDate).
///
/// Arithmetic saturates, so that a hostile date can never wrap into the past or trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(i64);

impl UnixTime {
    /// The instant `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The instant `secs` seconds after the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This instant moved later by `duration`.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// This instant moved earlier by `duration`.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// How long after `earlier` this is; zero if it is not after, as when the clock went backwards.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let last = UnixTime::from_millis(i64::MAX);
        assert_eq!(last.saturating_add(Duration::MAX), last);
        assert_eq!(UnixTime::from_millis(i64::MIN).saturating_sub(Duration::MAX).as_millis(), i64::MIN);
        assert_eq!(UnixTime::from_secs(i64::MAX), last);
    }

    #[test]
    fn clock_going_backwards_is_no_time_at_all() {
        assert_eq!(UnixTime::from_secs(5).saturating_since(UnixTime::from_secs(9)), Duration::ZERO);
        assert_eq!(UnixTime::from_secs(9).saturating_since(UnixTime::from_secs(5)), Duration::from_secs(4));
    }

    #[test]
    fn seconds_round_down_before_the_epoch() {
        assert_eq!(UnixTime::from_millis(-1).as_secs(), -1);
    }
}
