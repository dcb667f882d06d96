//! Durations as strings with a unit.

use std::time::Duration;

/// The text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a whole number with a unit (ms, s, m, h, d) such as \"30s\", but found {0:?}")]
pub(super) struct NotADuration(String);

/// Reads `250ms`, `30s`, `5m`, `24h`, `7d`.
pub(super) fn parse(text: &str) -> Result<Duration, NotADuration> {
    let error = || NotADuration(text.to_owned());
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
    let (number, unit) = text.split_at_checked(unit_at).ok_or_else(error)?;
    let number: u64 = number.parse().map_err(|_| error())?;
    let unit_millis: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(error()),
    };
    number.checked_mul(unit_millis).map(Duration::from_millis).ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_needed_and_known() {
        let check =
            |text: &str, millis: u64| assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        check("250ms", 250);
        check("30s", 30_000);
        check("5m", 300_000);
        check("24h", 86_400_000);
        check("7d", 604_800_000);
        check("0s", 0);
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "+5s",
            "5 s",
            "5S",
            "1.5h",
            "1h30m",
            "99999999999999999999s",
            "18446744073709551615d",
            "٣s",
        ] {
            assert_eq!(parse(text), Err(NotADuration(text.into())), "{text}");
        }
    }
}
