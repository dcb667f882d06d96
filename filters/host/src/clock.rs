//! The host's clock, and its tick.

use crate::status::HostError;
use crate::sys;
use doorward::time::UnixTime;
use std::time::Duration;

/// The host's wall clock, in milliseconds since the epoch. Allowed in every phase.
///
/// # Errors
/// [`HostError::Status`] if the host has no clock, [`HostError::Malformed`] if its time is not an instant.
pub fn now() -> Result<UnixTime, HostError> {
    instant(sys::get_current_time_nanoseconds()?)
}

fn instant(nanoseconds: u64) -> Result<UnixTime, HostError> {
    let millis = i64::try_from(nanoseconds / 1_000_000)
        .map_err(|_| HostError::Malformed { call: "proxy_get_current_time_nanoseconds" })?;
    Ok(UnixTime::from_millis(millis))
}

/// Measures how long something takes, in the host's wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(u64);

impl Stopwatch {
    /// Starts now.
    ///
    /// # Errors
    /// [`HostError::Status`] if the host has no clock.
    pub fn start() -> Result<Self, HostError> {
        sys::get_current_time_nanoseconds().map(Self)
    }

    /// When it was started, in milliseconds since the epoch.
    ///
    /// # Errors
    /// [`HostError::Malformed`] if the host's time is not an instant.
    pub fn started(self) -> Result<UnixTime, HostError> {
        instant(self.0)
    }

    /// How long ago it was started; zero if the clock was set back since.
    ///
    /// # Errors
    /// [`HostError::Status`] if the host has no clock.
    pub fn elapsed(self) -> Result<Duration, HostError> {
        Ok(Duration::from_nanos(sys::get_current_time_nanoseconds()?.saturating_sub(self.0)))
    }
}

/// Has `on_tick` of the root context called every `period`, rounded up to a millisecond; zero ends it.
///
/// Allowed in the root context's callbacks, from `on_configure` on; in `on_vm_start` too.
///
/// # Errors
/// [`HostError::Status`] if the host refuses.
pub fn set_tick_period(period: Duration) -> Result<(), HostError> {
    sys::set_tick_period_milliseconds(millis_rounded_up(period))
}

/// `duration` in whole milliseconds: never zero unless it is zero, and the most that the ABI can say if it is longer.
pub(crate) fn millis_rounded_up(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;
    use crate::fake::{self, Call};

    #[test]
    fn time_is_milliseconds() {
        fake::reset();
        fake::with(|host| host.now_nanoseconds = 1_700_000_000_123_999_999);
        assert_eq!(now(), Ok(UnixTime::from_millis(1_700_000_000_123)));
        fake::with(|host| host.now_nanoseconds = u64::MAX);
        assert!(now().is_ok());
        fake::with(|host| host.force("proxy_get_current_time_nanoseconds", 12));
        assert_eq!(now().unwrap_err().status(), Some(Status::Unimplemented));
    }

    #[test]
    fn a_short_period_is_not_no_period() {
        fake::reset();
        for (period, millis) in [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 1),
            (Duration::from_millis(100), 100),
            (Duration::MAX, u32::MAX),
        ] {
            set_tick_period(period).unwrap();
            assert_eq!(fake::with(|host| host.calls.pop()), Some(Call::TickPeriod(millis)));
        }
    }
}
