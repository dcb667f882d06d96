//! NumericDate: RFC 7519 section 2. Seconds since the epoch, possibly fractional.

use crate::time::UnixTime;
use serde_json::Value;

/// 9999-12-31T23:59:59Z. A date after it is milliseconds taken for seconds, or an attack; never a date.
const LAST_SECOND: i64 = 253_402_300_799;

/// The value is not a date that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumericDateError {
    /// Not a JSON number.
    #[error("expected a number of seconds")]
    NotANumber,
    /// Before the epoch, or after the year 9999. Refused, never wrapped.
    #[error("expected a date from 1970 to 9999")]
    OutOfRange,
}

/// Reads a date; fractions are cut to milliseconds.
pub(super) fn parse(value: &Value) -> Result<UnixTime, NumericDateError> {
    let Value::Number(number) = value else { return Err(NumericDateError::NotANumber) };
    if let Some(seconds) = number.as_i64() {
        let fits = (0..=LAST_SECOND).contains(&seconds);
        return if fits { Ok(UnixTime::from_secs(seconds)) } else { Err(NumericDateError::OutOfRange) };
    }
    let seconds = number.as_f64().ok_or(NumericDateError::OutOfRange)?;
    #[expect(clippy::cast_precision_loss, reason = "the bound is far below 2^53")]
    let last = LAST_SECOND as f64;
    if !(0.0..=last).contains(&seconds) {
        return Err(NumericDateError::OutOfRange);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range was checked: at most 2.6e14, an integer after floor"
    )]
    let millis = (seconds * 1000.0).floor() as i64;
    Ok(UnixTime::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn seconds_and_fractions_are_dates() {
        let check =
            |value: Value, millis| assert_eq!(parse(&value), Ok(UnixTime::from_millis(millis)), "{value}");
        check(json!(0), 0);
        check(json!(1_300_819_380), 1_300_819_380_000);
        check(json!(1_300_819_380.25), 1_300_819_380_250);
        check(json!(1.5e9), 1_500_000_000_000);
        check(json!(253_402_300_799_i64), 253_402_300_799_000);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for value in
            [json!(-1), json!(253_402_300_800_i64), json!(u64::MAX), json!(1e300), json!(-0.5), json!(-1e300)]
        {
            assert_eq!(parse(&value), Err(NumericDateError::OutOfRange), "{value}");
        }
        for value in [json!("1300819380"), json!(null), json!([1]), json!(true)] {
            assert_eq!(parse(&value), Err(NumericDateError::NotANumber), "{value}");
        }
    }
}
