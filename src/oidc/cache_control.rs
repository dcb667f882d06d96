//! `Cache-Control` of a response: RFC 9111 section 5.2.2.

use std::time::Duration;

/// How long the response may be kept, if the field says so. `no-store` and `no-cache` are no time at all.
pub(super) fn lifetime(value: &[u8]) -> Option<Duration> {
    let mut found = None;
    for directive in value.split(|byte| *byte == b',') {
        let directive = directive.trim_ascii().to_ascii_lowercase();
        if directive.starts_with(b"no-store") || directive.starts_with(b"no-cache") {
            return Some(Duration::ZERO);
        }
        if let Some(seconds) = directive.strip_prefix(b"max-age=") {
            let digits = seconds.strip_prefix(b"\"").and_then(|s| s.strip_suffix(b"\"")).unwrap_or(seconds);
            let text = std::str::from_utf8(digits).unwrap_or_default();
            // Two that differ, or one that is no number: RFC 9111 section 4.2.1 has the response taken for stale.
            let seconds = text.parse().map_or(Duration::ZERO, Duration::from_secs);
            found = Some(found.map_or(seconds, |earlier: Duration| earlier.min(seconds)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_statement_counts() {
        let check = |value: &str, seconds: Option<u64>| {
            assert_eq!(lifetime(value.as_bytes()), seconds.map(Duration::from_secs), "{value}");
        };
        check("public, max-age=600, must-revalidate", Some(600));
        check("Max-Age=\"60\"", Some(60));
        check("max-age=600, max-age=60", Some(60));
        check("max-age=600, no-store", Some(0));
        check("no-cache", Some(0));
        check("max-age=soon", Some(0));
        check("max-age=-1", Some(0));
        check("s-maxage=60", None);
        check("", None);
        assert_eq!(lifetime(b"max-age=\xff"), Some(Duration::ZERO));
    }
}
