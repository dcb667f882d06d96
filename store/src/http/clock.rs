//! The clock: the one place that reads it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in microseconds since 1970 UTC; 0 if the clock is before that.
#[allow(
    clippy::disallowed_methods,
    reason = "whoever decides something takes `now` as an argument, and gets it from here"
)]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
