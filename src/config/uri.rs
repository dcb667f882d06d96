//! Absolute HTTP URIs: RFC 9110 section 4.2.

/// An `http` or `https` URI in the parts that a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpUri {
    pub(super) scheme: String,
    pub(super) authority: String,
    /// Path and query; `/` if there is none.
    pub(super) path: String,
}

/// The text is not an absolute HTTP URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an absolute https URI without user information or fragment, but found {0:?}")]
pub(super) struct NotAnHttpUri(String);

impl HttpUri {
    pub(super) fn parse(text: &str) -> Result<Self, NotAnHttpUri> {
        Self::split(text).ok_or_else(|| NotAnHttpUri(text.to_owned()))
    }

    fn split(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(authority_end)?;
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        let is_path = |byte: u8| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte);
        let is_fine = matches!(scheme, "http" | "https")
            && !authority.is_empty()
            && !authority.starts_with(':')
            && authority.bytes().all(is_host)
            && path.bytes().all(is_path);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        is_fine.then(|| Self { scheme: scheme.to_owned(), authority: authority.to_owned(), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_uris_are_split() {
        let check = |text: &str, scheme: &str, authority: &str, path: &str| {
            let expected = HttpUri { scheme: scheme.into(), authority: authority.into(), path: path.into() };
            assert_eq!(HttpUri::parse(text), Ok(expected), "{text}");
        };
        check("https://idp.example/jwks", "https", "idp.example", "/jwks");
        check("http://127.0.0.1:9000", "http", "127.0.0.1:9000", "/");
        check("https://[::1]:8443/a/b?c=d", "https", "[::1]:8443", "/a/b?c=d");
        check("https://a?b", "https", "a", "/?b");
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "idp.example",
            "/jwks",
            "https://",
            "https:///x",
            "ftp://a/",
            "HTTPS//a",
            "https://u:p@a/",
            "https://a/#f",
            "https://a/ b",
            "https://a/\u{fc}",
            "https://:80/",
        ] {
            assert!(HttpUri::parse(text).is_err(), "{text}");
        }
    }
}
