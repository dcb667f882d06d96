//! The one reading of a request path that rules are matched against.
//!
//! A rule is walked around when the edge and the upstream read the same path differently. So a path that has two
//! readings is refused, whatever rule it would have met:
//!
//! | in the path | why it is refused |
//! |---|---|
//! | `%2f`, `%5c`, `\` | a separator to some, a letter to others |
//! | `.` or `..` as a segment, however encoded | resolved by some, kept by others |
//! | an empty segment (`//`) | merged by some, kept by others |
//! | `;` or `%3b` | path parameters, cut off by some |
//! | `%25` before two hexadecimal digits, be they encoded themselves | decoded twice by some |
//! | `#`, control characters, bytes outside ASCII, `%` without two hexadecimal digits | not a path (RFC 3986) |
//! | percent-encoded bytes that are not UTF-8 | overlong encodings of `/` and `.` |
//!
//! Everything else is percent-decoded once; the query is cut off. The path is matched in its own case.

use std::borrow::Cow;

/// A path that has exactly one reading: decoded, without query, starting with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalPath<'r>(Cow<'r, str>);

/// Why a path was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// No path, or one that does not start with `/` (`OPTIONS *`, CONNECT, absolute form).
    #[error("expected a path that starts with /")]
    NotAbsolute,
    /// A byte that no path may have, or a broken percent-encoding (RFC 3986 section 3.3).
    #[error("not a path by RFC 3986")]
    NotAPath,
    /// Two servers could read it as two paths.
    #[error("the path has more than one reading")]
    Ambiguous,
}

impl<'r> NormalPath<'r> {
    /// Reads the value of `:path`.
    ///
    /// # Errors
    /// [`PathError`].
    pub fn parse(target: &'r [u8]) -> Result<Self, PathError> {
        let path = target.split(|byte| *byte == b'?').next().unwrap_or(target);
        if path.first() != Some(&b'/') {
            return Err(PathError::NotAbsolute);
        }
        if path.iter().any(|byte| !byte.is_ascii_graphic() || *byte == b'#') {
            return Err(PathError::NotAPath);
        }
        let decoded = decode(path)?;
        if decoded.contains(['\\', ';']) || has_odd_segment(&decoded) || has_escape(&decoded) {
            return Err(PathError::Ambiguous);
        }
        Ok(Self(decoded))
    }

    /// The path, starting with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Decodes once; copies only if there is something to decode.
fn decode(path: &[u8]) -> Result<Cow<'_, str>, PathError> {
    if !path.contains(&b'%') {
        return std::str::from_utf8(path).map(Cow::Borrowed).map_err(|_| PathError::NotAPath);
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let byte = hex_pair(rest).ok_or(PathError::NotAPath)?;
        rest = rest.get(2..).unwrap_or_default();
        match byte {
            b'/' | b'\\' | b';' => return Err(PathError::Ambiguous),
            _ if byte.is_ascii_control() => return Err(PathError::NotAPath),
            _ => decoded.push(byte),
        }
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| PathError::Ambiguous)
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let [high, low, ..] = bytes else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)?.checked_mul(16)?.checked_add(digit(*low)?)?).ok()
}

/// Something left that a second decoding would decode. Judged after the first one: `%25%32%65` becomes `%2e`.
fn has_escape(decoded: &str) -> bool {
    decoded.split('%').skip(1).any(|after| hex_pair(after.as_bytes()).is_some())
}

/// An empty, `.` or `..` segment; a slash at the end is none.
fn has_odd_segment(path: &str) -> bool {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return path == "//";
    }
    inner.split('/').any(|segment| matches!(segment, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &[u8], expected: Result<&str, PathError>) {
        let parsed = NormalPath::parse(target).map(|path| path.0.into_owned());
        assert_eq!(parsed, expected.map(str::to_owned), "{}", target.escape_ascii());
    }

    #[test]
    fn plain_paths_have_one_reading() {
        check(b"/", Ok("/"));
        check(b"/a/b/?x=/../;%2f#", Ok("/a/b/"));
        check(b"/%61dmin/%C3%BC%20x", Ok("/admin/ü x"));
        check(b"/a.b/..c/.d/...", Ok("/a.b/..c/.d/..."));
        check(b"/100%25/x", Ok("/100%/x"));
        check(b"/100%25z", Ok("/100%z"));
        check(b"/a:b@c!$&'()*+,=~", Ok("/a:b@c!$&'()*+,=~"));
    }

    #[test]
    fn paths_with_two_readings_are_refused() {
        for target in [
            "/a/../b",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/..",
            "/.",
            "/a/.",
            "/a/./b",
            "/a/..?x",
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a;b",
            "/a;/b",
            "/a%3bb",
            "/%252e%252e/",
            "/%2561",
            "/%25%36%31",
            "/%25%32%65%25%32%65/",
            "/%252%65/",
            "/%c0%af",
            "/%c0%ae%c0%ae/",
            "/%ff",
            "/%ed%a0%80",
        ] {
            check(target.as_bytes(), Err(PathError::Ambiguous));
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for target in ["/%", "/%2", "/%zz", "/%+1", "/a#b", "/a b", "/a\x00", "/%00", "/%0a", "/%7f", "/ü"] {
            check(target.as_bytes(), Err(PathError::NotAPath));
        }
        check(b"/\xff", Err(PathError::NotAPath));
        for target in ["", "*", "?x", "a", "http://host/a", "%2fa"] {
            check(target.as_bytes(), Err(PathError::NotAbsolute));
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_accepted_has_no_odd_segment_and_reads_the_same_again(target in "/[a-z./%25c;\\\\0ef]{0,12}") {
            if let Ok(path) = NormalPath::parse(target.as_bytes()) {
                proptest::prop_assert!(!path.as_str().contains("//"));
                proptest::prop_assert!(path.as_str().split('/').all(|s| s != "." && s != ".."));
                // Decoding again changes nothing, or is no decoding at all.
                if let Ok(again) = NormalPath::parse(path.as_str().as_bytes()) {
                    proptest::prop_assert_eq!(again.as_str(), path.as_str());
                }
            }
        }
    }
}
