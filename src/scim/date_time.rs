//! Dates with times: RFC 7643 section 2.3.5, `xsd:dateTime`.

use crate::time::UnixTime;
use std::fmt;
use std::num::Saturating;

/// An instant, in microseconds since 1970-01-01T00:00:00Z, from year 1 to year 9999.
///
/// Two texts of one instant are equal, whatever their offsets. It is printed in UTC with milliseconds, and with
/// microseconds only where there are some, so that what is printed reads back as the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTime(i64);

/// Why a text is not a [`DateTime`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DateTimeError {
    /// Not of the form, or no day of the calendar.
    #[error("expected a date and time such as \"2011-05-13T04:42:34Z\", but found {0:?}")]
    Malformed(String),
    /// In UTC, before year 1 or after year 9999.
    #[error("expected an instant from year 1 to year 9999, but found {0:?}")]
    OutOfRange(String),
}

const MICROS: i64 = 1_000_000;
const SECONDS_OF_DAY: i64 = 86_400;
/// From 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;
const DAYS_OF_400_YEARS: i64 = 146_097;

impl DateTime {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// The last microsecond of year 9999.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// Parses `YYYY-MM-DDThh:mm:ss[.fraction][Z|±hh:mm]`. A fraction may have any number of digits; those below
    /// microseconds are dropped. Without a zone it is UTC: `xsd:dateTime` lets it out, and says nothing of its
    /// meaning.
    ///
    /// # Errors
    /// [`DateTimeError`].
    pub fn parse(text: &str) -> Result<Self, DateTimeError> {
        let micros = micros(text).ok_or_else(|| DateTimeError::Malformed(text.to_owned()))?;
        Self::from_unix_micros(micros).ok_or_else(|| DateTimeError::OutOfRange(text.to_owned()))
    }

    /// The instant `micros` microseconds after 1970-01-01T00:00:00Z, if it is in range.
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&micros).then_some(Self(micros))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub const fn as_unix_micros(self) -> i64 {
        self.0
    }
}

impl From<UnixTime> for DateTime {
    /// An instant out of range becomes the first or the last one.
    fn from(time: UnixTime) -> Self {
        Self(time.as_millis().saturating_mul(1000).clamp(Self::MIN.0, Self::MAX.0))
    }
}

impl From<DateTime> for UnixTime {
    /// Rounds down to milliseconds.
    fn from(time: DateTime) -> Self {
        Self::from_millis(time.0.div_euclid(1000))
    }
}

impl std::str::FromStr for DateTime {
    type Err = DateTimeError;

    fn from_str(text: &str) -> Result<Self, DateTimeError> {
        Self::parse(text)
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.0.div_euclid(MICROS), self.0.rem_euclid(MICROS));
        let (days, second) = (seconds.div_euclid(SECONDS_OF_DAY), seconds.rem_euclid(SECONDS_OF_DAY));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.")?;
        if micros % 1000 == 0 { write!(f, "{:03}Z", micros / 1000) } else { write!(f, "{micros:06}Z") }
    }
}

/// Microseconds since 1970.
fn micros(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let (year, month_and_day) = date.split_once('-')?;
    let (month, day) = month_and_day.split_once('-')?;
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    if year == 0 || !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
        return None;
    }
    let (time, offset) = split_zone(time)?;
    let (time, fraction) = match time.split_once('.') {
        Some((time, digits)) => (time, fraction(digits)?),
        None => (time, 0),
    };
    let (hour, minute_and_second) = time.split_once(':')?;
    let (minute, second) = minute_and_second.split_once(':')?;
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    // 24:00:00 is the end of the day (XML Schema part 2, section 3.2.7.1).
    let is_time = hour < 24 && minute < 60 && second < 60;
    if !is_time && (hour, minute, second, fraction) != (24, 0, 0, 0) {
        return None;
    }
    let [day, hour, minute, second, offset, fraction] =
        [days(year, month, day), hour, minute, second, offset, fraction].map(Saturating);
    let seconds =
        day * Saturating(SECONDS_OF_DAY) + hour * Saturating(3600) + minute * Saturating(60) + second;
    Some(((seconds - offset * Saturating(60)) * Saturating(MICROS) + fraction).0)
}

/// The time without its zone, and the zone's offset in minutes.
fn split_zone(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix('Z') {
        return Some((time, 0));
    }
    let (time, zone, sign) = match (time.split_once('+'), time.split_once('-')) {
        (Some((time, zone)), _) => (time, zone, 1),
        (None, Some((time, zone))) => (time, zone, -1),
        (None, None) => return Some((time, 0)),
    };
    let (hours, minutes) = zone.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    let offset = (Saturating(hours) * Saturating(60) + Saturating(minutes)).0;
    (minutes < 60 && offset <= 14 * 60).then_some((time, offset.saturating_mul(sign)))
}

fn number(digits: &str, length: usize) -> Option<i64> {
    let is_number = digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

/// Digits after the point, in microseconds.
fn fraction(digits: &str) -> Option<i64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.get(..6).unwrap_or(digits).parse::<i64>().ok().map(|value| {
        let missing = 6_usize.saturating_sub(digits.len());
        (0..missing).fold(value, |value, _| value.saturating_mul(10))
    })
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, counted in years that begin in March, so that a leap day
/// is a year's last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let [year, month, day] = [year, month, day].map(Saturating);
    let year = if month.0 <= 2 { year - Saturating(1) } else { year };
    let month = Saturating((month.0.saturating_add(9)) % 12);
    let before_month = over(month * Saturating(153) + Saturating(2), 5);
    let before_year = year * Saturating(365) + over(year, 4) - over(year, 100) + over(year, 400);
    (before_year + before_month + day - Saturating(1 + DAYS_TO_1970)).0
}

/// Year, month and day: the reverse of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(DAYS_TO_1970);
    let of_cycle = Saturating(days.rem_euclid(DAYS_OF_400_YEARS));
    let leap_days = over(of_cycle, 1460) - over(of_cycle, 36_524) + over(of_cycle, 146_096);
    let year_of_cycle = over(of_cycle - leap_days, 365);
    let of_year =
        of_cycle - (year_of_cycle * Saturating(365) + over(year_of_cycle, 4) - over(year_of_cycle, 100));
    let month = over(of_year * Saturating(5) + Saturating(2), 153);
    let day = of_year - over(month * Saturating(153) + Saturating(2), 5) + Saturating(1);
    let year = Saturating(days.div_euclid(DAYS_OF_400_YEARS)) * Saturating(400) + year_of_cycle;
    let (year, month) = if month.0 < 10 {
        (year, month + Saturating(3))
    } else {
        (year + Saturating(1), month - Saturating(9))
    };
    (year.0, month.0, day.0)
}

/// The whole part of a quotient; no divisor here is zero.
fn over(dividend: Saturating<i64>, divisor: i64) -> Saturating<i64> {
    Saturating(dividend.0.checked_div_euclid(divisor).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(DateTime::parse(text).map(|time| time.to_string()), Ok(expected.to_owned()), "{text}");
    }

    #[test]
    fn every_form_is_printed_in_utc() {
        check("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z");
        check("2011-05-13T04:42:34Z", "2011-05-13T04:42:34.000Z");
        check("2011-05-13T04:42:34", "2011-05-13T04:42:34.000Z");
        check("2011-05-13T04:42:34.5+02:00", "2011-05-13T02:42:34.500Z");
        check("2011-12-31T23:00:00-01:30", "2012-01-01T00:30:00.000Z");
        check("2011-12-31T24:00:00Z", "2012-01-01T00:00:00.000Z");
        check("2024-02-29T12:00:00+14:00", "2024-02-28T22:00:00.000Z");
        check("0001-01-03T00:00:00.0000000Z", "0001-01-03T00:00:00.000Z");
        check("2016-02-29T23:59:59.1234567Z", "2016-02-29T23:59:59.123456Z");
        check("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z");
        check("2000-03-01T00:00:00.000000000000000000001Z", "2000-03-01T00:00:00.000Z");
    }

    #[test]
    fn what_is_no_date_is_refused() {
        let texts = [
            "",
            "2011-05-13",
            "2011-05-13T04:42Z",
            "2011-05-13 04:42:34Z",
            "2011-5-13T04:42:34Z",
            "2011-13-01T00:00:00Z",
            "2011-00-01T00:00:00Z",
            "2011-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2011-04-31T00:00:00Z",
            "2011-05-00T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
            "12011-01-01T00:00:00Z",
            "2011-05-13T24:00:01Z",
            "2011-05-13T23:60:00Z",
            "2011-05-13T23:00:60Z",
            "2011-05-13T04:42:34.Z",
            "2011-05-13T04:42:34.1x2Z",
            "2011-05-13T04:42:34.123456éZ",
            "2011-05-13T04:42:34+2:00",
            "2011-05-13T04:42:34+14:01",
            "2011-05-13T04:42:34+01:60",
            "2011-05-13T04:42:34z",
            "+011-05-13T04:42:34Z",
        ];
        for text in texts {
            assert_eq!(DateTime::parse(text), Err(DateTimeError::Malformed(text.into())));
        }
        for text in ["0001-01-01T00:00:00+00:01", "9999-12-31T24:00:00Z"] {
            assert_eq!(DateTime::parse(text), Err(DateTimeError::OutOfRange(text.into())));
        }
    }

    #[test]
    fn the_range_has_its_ends() {
        assert_eq!(DateTime::MIN.to_string(), "0001-01-01T00:00:00.000Z");
        assert_eq!(DateTime::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(DateTime::from(UnixTime::from_millis(i64::MIN)), DateTime::MIN);
        assert_eq!(DateTime::from(UnixTime::from_millis(i64::MAX)), DateTime::MAX);
        assert_eq!(DateTime::from_unix_micros(DateTime::MAX.as_unix_micros() + 1), None);
        assert_eq!(UnixTime::from(DateTime::from_unix_micros(-1).unwrap()).as_millis(), -1);
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let (mut expected, mut day) = ((1, 1, 1), days(1, 1, 1));
        while expected.0 < 10_000 {
            assert_eq!((civil(day), days(expected.0, expected.1, expected.2)), (expected, day));
            let (y, m, d) = expected;
            expected = match (m, d) {
                (12, 31) => (y + 1, 1, 1),
                (m, d) if d == days_of_month(y, m) => (y, m + 1, 1),
                (m, d) => (y, m, d + 1),
            };
            day += 1;
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(micros in DateTime::MIN.0..=DateTime::MAX.0) {
            let time = DateTime::from_unix_micros(micros).unwrap();
            prop_assert_eq!(DateTime::parse(&time.to_string()), Ok(time));
        }

        #[test]
        fn no_text_panics(text in "[-+T:.Z0-9é]{0,40}") {
            let _ = DateTime::parse(&text);
        }
    }
}
