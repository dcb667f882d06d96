//! Instants and how far apart they are, for people.

use doorward::time::UnixTime;
use jiff::Timestamp;
use std::time::Duration;

/// The instant on this machine's clock.
pub(super) fn now() -> UnixTime {
    UnixTime::from_millis(Timestamp::now().as_millisecond())
}

/// Reads RFC 3339, or seconds since 1970.
pub(super) fn parse(text: &str) -> Result<UnixTime, String> {
    if let Ok(seconds) = text.parse::<i64>() {
        let instant = UnixTime::from_secs(seconds);
        return Timestamp::from_millisecond(instant.as_millis()).map(|_| instant).map_err(|e| e.to_string());
    }
    let instant = text.parse::<Timestamp>();
    instant
        .map(|instant| UnixTime::from_millis(instant.as_millisecond()))
        .map_err(|_| "expected RFC 3339 (2026-01-31T12:00:00Z) or seconds since 1970".to_owned())
}

/// The instant in RFC 3339, and how far it is from `now`.
pub(super) fn describe(instant: UnixTime, now: UnixTime) -> String {
    let distance = if instant == now {
        "now".to_owned()
    } else if instant < now {
        format!("{} ago", span(now.saturating_since(instant)))
    } else {
        format!("in {}", span(instant.saturating_since(now)))
    };
    format!("{} ({distance})", rfc3339(instant))
}

/// The instant in RFC 3339, to the second.
pub(super) fn rfc3339(instant: UnixTime) -> String {
    Timestamp::from_second(instant.as_secs()).map_or_else(|_| instant.to_string(), |time| time.to_string())
}

/// The two largest units that count.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [("d", 86_400_u64, u64::MAX), ("h", 3600, 24), ("m", 60, 60), ("s", 1, 60)];
    let count = |unit: u64, of: u64| seconds.checked_div(unit).and_then(|n| n.checked_rem(of)).unwrap_or(0);
    let counted = units.iter().map(|(name, unit, of)| (count(*unit, *of), *name));
    let shown = counted.skip_while(|(count, _)| *count == 0).take(2).filter(|(count, _)| *count > 0);
    let shown: Vec<_> = shown.map(|(count, name)| format!("{count}{name}")).collect();
    if shown.is_empty() { "less than 1s".to_owned() } else { shown.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_in_both_forms() {
        let check = |text: &str, millis: i64| {
            assert_eq!(parse(text), Ok(UnixTime::from_millis(millis)), "{text}");
        };
        check("0", 0);
        check("1767225600", 1_767_225_600_000);
        check("2026-01-01T00:00:00Z", 1_767_225_600_000);
        check("2026-01-01T01:00:00+01:00", 1_767_225_600_000);
        check("2026-01-01T00:00:00.5Z", 1_767_225_600_500);
        for text in ["", "soon", "2026-01-01", "99999999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn distances_have_two_units_and_a_direction() {
        let check = |seconds: i64, expected: &str| {
            let shown = describe(UnixTime::from_secs(seconds), UnixTime::from_secs(1_000_000));
            assert!(shown.ends_with(expected), "{seconds}: {shown}");
        };
        check(1_000_000, "(now)");
        check(1_000_059, "(in 59s)");
        check(999_940, "(1m ago)");
        check(1_003_661, "(in 1h 1m)");
        check(0, "(11d 13h ago)");
        check(1_086_401, "(in 1d)");
    }
}
