//! The URI that a proof is for: RFC 9449 section 4.3, step 9, compared after the normalisation of RFC 3986 sections
//! 6.2.2 and 6.2.3, without query and fragment.
//!
//! Dot segments are not resolved: the proxy refuses such paths ([`Target::matches`] too), so that none has two readings.

use std::fmt;
use std::net::Ipv6Addr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn parse(text: &[u8]) -> Option<Self> {
        if text.eq_ignore_ascii_case(b"https") {
            Some(Self::Https)
        } else if text.eq_ignore_ascii_case(b"http") {
            Some(Self::Http)
        } else {
            None
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Scheme, host and port, normalised: lower case, and the default port as good as none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

/// Why a text is not an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// No `http://` or `https://` at the beginning.
    #[error("expected a URI that starts with https:// or http://")]
    Scheme,
    /// The host is empty, has a character that no host name has, or has a user name before it.
    #[error("expected a host name or an IP address after the scheme")]
    Host,
    /// The port is not a number from 0 to 65535.
    #[error("expected a port number after the colon")]
    Port,
    /// There is a path, a query or a fragment, if only a `/`.
    #[error("expected nothing after host and port")]
    NotOnlyAnOrigin,
}

impl Origin {
    /// Reads an origin such as `https://api.example.com` or `http://localhost:8080`.
    ///
    /// # Errors
    /// [`OriginError`].
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let (scheme, authority) = text.split_once("://").ok_or(OriginError::Scheme)?;
        if authority.contains(['/', '?', '#']) {
            return Err(OriginError::NotOnlyAnOrigin);
        }
        Self::new(scheme.as_bytes(), authority.as_bytes())
    }

    fn new(scheme: &[u8], authority: &[u8]) -> Result<Self, OriginError> {
        let scheme = Scheme::parse(scheme).ok_or(OriginError::Scheme)?;
        let authority = std::str::from_utf8(authority).map_err(|_| OriginError::Host)?;
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, port)) => {
                let address: Ipv6Addr = address.parse().map_err(|_| OriginError::Host)?;
                (format!("[{address}]"), port)
            }
            None => {
                let (host, port) = authority
                    .split_at_checked(authority.find(':').unwrap_or(authority.len()))
                    .ok_or(OriginError::Host)?;
                if host.is_empty() || !host.bytes().all(is_unreserved) {
                    return Err(OriginError::Host);
                }
                (host.to_ascii_lowercase(), port)
            }
        };
        let port = match port.strip_prefix(':') {
            // RFC 3986 section 6.2.3: an empty port is the default one.
            Some("") => scheme.default_port(),
            // `u16` would take a sign too.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| OriginError::Port)?
            }
            None if port.is_empty() => scheme.default_port(),
            Some(_) | None => return Err(OriginError::Port),
        };
        Ok(Self { scheme, host, port })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.host)?;
        if self.port == self.scheme.default_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// What the `htu` of a proof for one request must be.
#[derive(Debug, Clone)]
pub struct Target<'o> {
    origins: &'o [Origin],
    /// The request's own, which counts only if no origins are configured.
    own: Option<Origin>,
    path: Option<String>,
}

impl<'o> Target<'o> {
    /// The target of a request with these parts of its head; of `path` what precedes a query.
    ///
    /// `origins` are those by which clients know the proxy, for a proxy behind another one; if there are none, the
    /// request's own scheme and authority count. A request whose parts are not those of a URI matches no proof.
    pub fn new(origins: &'o [Origin], scheme: &[u8], authority: &[u8], path: &[u8]) -> Self {
        let own = if origins.is_empty() { Origin::new(scheme, authority).ok() } else { None };
        // An empty path is that of CONNECT, whose target is no URI with a path.
        let path = if path.starts_with(b"/") { normal_path(without_query(path)) } else { None };
        Self { origins, own, path }
    }

    /// Whether `htu` names this target.
    pub fn matches(&self, htu: &str) -> bool {
        let (Some(path), Some((origin, htu_path))) = (&self.path, parse_uri(htu)) else { return false };
        *path == htu_path && (self.own.as_ref() == Some(&origin) || self.origins.contains(&origin))
    }
}

/// Origin and normalised path of an absolute URI.
fn parse_uri(text: &str) -> Option<(Origin, String)> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = rest.split_at_checked(rest.find(['/', '?', '#']).unwrap_or(rest.len()))?;
    let origin = Origin::new(scheme.as_bytes(), authority.as_bytes()).ok()?;
    Some((origin, normal_path(without_query(path.as_bytes()))?))
}

fn without_query(path: &[u8]) -> &[u8] {
    path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default()
}

/// RFC 3986 section 6.2.2: unreserved characters decoded, the hexadecimal digits of others in upper case; section 6.2.3:
/// an empty path is `/`. `None` for what is no path, and for dot segments.
fn normal_path(path: &[u8]) -> Option<String> {
    if path.is_empty() {
        return Some("/".to_owned());
    }
    let mut normal = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let ([high, low], after) = rest.split_first_chunk()?;
                rest = after;
                let digits = [char::from(*high), char::from(*low)];
                let value = digits
                    .iter()
                    .try_fold(0_u32, |value, digit| value.checked_mul(16)?.checked_add(digit.to_digit(16)?));
                let value = u8::try_from(value?).ok()?;
                if is_unreserved(value) {
                    normal.push(char::from(value));
                } else {
                    normal.push('%');
                    normal.extend(digits.map(|digit| digit.to_ascii_uppercase()));
                }
            }
            // A backslash is a slash to some.
            b'\\' => return None,
            byte if byte.is_ascii_graphic() => normal.push(char::from(*byte)),
            _ => return None,
        }
    }
    if normal.split('/').any(|segment| matches!(segment, "." | "..")) { None } else { Some(normal) }
}

/// RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap()
    }

    fn check(scheme: &str, authority: &str, path: &str, htu: &str, expected: bool) {
        let target = Target::new(&[], scheme.as_bytes(), authority.as_bytes(), path.as_bytes());
        assert_eq!(target.matches(htu), expected, "{scheme} {authority} {path}: {htu}");
    }

    #[test]
    fn the_same_uri_matches_however_it_is_written() {
        let check = |htu| check("https", "api.example.com", "/A/b~c%3Dd?q=/x", htu, true);
        check("https://api.example.com/A/b~c%3Dd");
        check("HTTPS://API.Example.com/A/b~c%3Dd");
        check("https://api.example.com:443/A/b~c%3Dd");
        check("https://api.example.com:/A/b~c%3Dd");
        check("https://api.example.com/%41/b%7ec%3dd");
        check("https://api.example.com/A/b~c%3Dd?q=other");
        check("https://api.example.com/A/b~c%3Dd#f?q");
        check("https://api.example.com/A/b~c%3Dd?q#f/../..");
    }

    #[test]
    fn the_request_is_normalised_too() {
        check("HTTP", "LocalHost:80", "/%7Ea/%c3%bc", "http://localhost/~a/%C3%BC", true);
        check("http", "localhost:8080", "/", "http://localhost:8080", true);
        check("http", "localhost:8080", "/?a", "http://localhost:8080?b", true);
        check("http", "[::1]:8080", "/", "http://[0:0:0:0:0:0:0:1]:8080/", true);
    }

    #[test]
    fn another_uri_does_not_match() {
        let check = |htu| check("https", "api.example.com", "/a/b", htu, false);
        check("http://api.example.com/a/b");
        check("http://api.example.com:443/a/b");
        check("https://api.example.com:8443/a/b");
        check("https://api.example.com:80/a/b");
        check("https://example.com/a/b");
        check("https://api.example.com./a/b");
        check("https://api.example.com.evil.example/a/b");
        check("https://api.example.com/a");
        check("https://api.example.com/a/b/");
        check("https://api.example.com/A/b");
        check("https://api.example.com//a/b");
        check("https://api.example.com/a%2Fb");
        check("https://api.example.com");
        check("//api.example.com/a/b");
        check("/a/b");
        check("");
    }

    #[test]
    fn hostile_uris_never_match() {
        let check = |path, htu| check("https", "h", path, htu, false);
        // Each would match without the rule that refuses it.
        check("/a", "https://user@h/a");
        check("/a", "https://user:443@h/a");
        check("/a", "https://h:+443/a");
        check("/a", "https://h:4 43/a");
        check("/a", "https://h:65979/a");
        check("/a", "https://h%2E/a");
        check("/a", "https://%68/a");
        check("/a", "https://h\\/a");
        check("/a", "https://h\\@evil/a");
        check("/a", "https:///h/a");
        check("/a/.", "https://h/a/.");
        check("/a/../b", "https://h/a/../b");
        check("/b", "https://h/a/../b");
        check("/a/%2e%2E/b", "https://h/a/%2e%2e/b");
        check("/ü", "https://h/ü");
        check("/%", "https://h/%");
        check("/%4", "https://h/%4");
        check("/%4g", "https://h/%4g");
        check("/%+1", "https://h/%+1");
        check("/a b", "https://h/a b");
        check("/a\\b", "https://h/a\\b");
        check("/a\u{7f}", "https://h/a\u{7f}");
        // What is encoded stays encoded: `%2541` is not `%41` is not `A`.
        check("/%2541", "https://h/%41");
        check("/%2F", "https://h//");
    }

    #[test]
    fn a_request_that_is_no_uri_matches_nothing() {
        check("", "h", "/", "https://h/", false);
        check("https", "", "/", "https:///", false);
        check("ftp", "h", "/", "ftp://h/", false);
        check("https", "u@h", "/", "https://h/", false);
        check("https", "h", "", "https://h", false);
        check("https", "h", "*", "https://h/*", false);
        check("https", "h", "*", "https://h*", false);
        check("https", "hü", "/", "https://hü/", false);
        let target = Target::new(&[], b"https", b"h\xff", b"/");
        assert!(!target.matches("https://h\u{fffd}/"));
        assert!(!Target::new(&[], b"https", b"h", b"/\xff").matches("https://h/\u{fffd}"));
    }

    #[test]
    fn configured_origins_take_the_place_of_the_requests_own() {
        let origins = [origin("https://api.example.com"), origin("http://localhost:8080")];
        let target = Target::new(&origins, b"http", b"10.0.0.1:15001", b"/a?q");
        for (htu, expected) in [
            ("https://api.example.com/a", true),
            ("https://API.example.com:443/%61", true),
            ("http://localhost:8080/a", true),
            ("http://10.0.0.1:15001/a", false),
            ("https://localhost:8080/a", false),
            ("http://localhost/a", false),
            ("https://api.example.com/b", false),
        ] {
            assert_eq!(target.matches(htu), expected, "{htu}");
        }
    }

    #[test]
    fn origins_are_read_strictly() {
        for (text, normal) in [
            ("https://api.example.com", "https://api.example.com"),
            ("HTTPS://API.example.com:443", "https://api.example.com"),
            ("http://a_b:80", "http://a_b"),
            ("http://a:443", "http://a:443"),
            ("https://[2001:DB8:0::1]:8443", "https://[2001:db8::1]:8443"),
        ] {
            assert_eq!(origin(text).to_string(), normal, "{text}");
        }
        for (text, expected) in [
            ("api.example.com", OriginError::Scheme),
            ("ftp://a", OriginError::Scheme),
            ("https:/a", OriginError::Scheme),
            ("https://", OriginError::Host),
            ("https://:443", OriginError::Host),
            ("https://user@a", OriginError::Host),
            ("https://*.example.com", OriginError::Host),
            ("https://[::1", OriginError::Host),
            ("https://[::g]", OriginError::Host),
            ("https://ü.example", OriginError::Host),
            ("https://a:b", OriginError::Port),
            ("https://a:+1", OriginError::Port),
            ("https://a:65536", OriginError::Port),
            ("https://a:1:2", OriginError::Port),
            ("https://[::1]1", OriginError::Port),
            ("https://a/", OriginError::NotOnlyAnOrigin),
            ("https://a/b", OriginError::NotOnlyAnOrigin),
            ("https://a?b", OriginError::NotOnlyAnOrigin),
            ("https://a#b", OriginError::NotOnlyAnOrigin),
        ] {
            assert_eq!(Origin::parse(text), Err(expected), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn normalising_twice_changes_nothing(
            host in "[A-Za-z0-9.-]{1,8}(:[0-9]{0,4})?",
            path in "(/([A-Za-z~._=]|%[2-7][0-9A-Fa-f]|%){0,6}){0,3}",
        ) {
            if let Some((origin, path)) = parse_uri(&format!("HTTPS://{host}{path}?q")) {
                let again = parse_uri(&format!("{origin}{path}"));
                proptest::prop_assert_eq!(again, Some((origin.clone(), path.clone())));
                // What is equal to itself by this measure is a target and its proof.
                let authority = origin.to_string().replace("https://", "");
                let target = Target::new(&[], b"https", authority.as_bytes(), path.as_bytes());
                let uri = format!("{origin}{path}");
                proptest::prop_assert!(target.matches(&uri));
            }
        }
    }
}
