//! Where keys come from, and how patient we are with it.

use crate::jose::JwkSet;
use std::sync::Arc;
use std::time::Duration;

/// Where keys come from.
#[derive(Debug, Clone)]
pub enum KeySetSource {
    /// From the configuration; never fetched.
    Inline(Arc<JwkSet>),
    /// From a known address.
    Remote(RemoteKeySet),
    /// From the address that the provider's metadata names.
    Discovery(Discovery),
}

/// A key set at a known address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteKeySet {
    /// Where.
    pub endpoint: Endpoint,
    /// When.
    pub timing: Timing,
}

/// A key set whose address is in the provider's metadata (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// The issuer that the metadata must name, byte for byte.
    pub issuer: String,
    /// Where the metadata is.
    pub endpoint: Endpoint,
    /// The cluster for the key set, which may be on another host than the metadata.
    pub jwks_cluster: String,
    /// Whether the key set may be at an `http` address (`danger_allow_http`).
    pub allow_http: bool,
    /// When.
    pub timing: Timing,
}

/// What a host needs to make a GET request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// What the host calls the place to connect to: Envoy's cluster.
    pub cluster: String,
    /// `https` or `http`.
    pub scheme: String,
    /// Host and port for `:authority`.
    pub authority: String,
    /// Path and query; starts with `/`.
    pub path: String,
}

/// How patient we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long one fetch may take.
    pub timeout: Duration,
    /// The longest lifetime of a key set; `Cache-Control` may shorten it.
    pub refresh: Duration,
    /// How long keys stay in force beyond their lifetime while the provider cannot be reached.
    pub stale_for: Duration,
    /// The shortest time between two fetches that unknown keys make.
    pub cooldown: Duration,
}

/// The text is not an absolute HTTP URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an absolute https URI without user information or fragment, but found {0:?}")]
pub struct UriError(pub String);

impl Endpoint {
    /// The endpoint at an absolute `http` or `https` URI (RFC 9110 section 4.2), through `cluster`.
    ///
    /// # Errors
    /// [`UriError`].
    pub fn parse(uri: &str, cluster: &str) -> Result<Self, UriError> {
        Self::split(uri, cluster).ok_or_else(|| UriError(uri.to_owned()))
    }

    fn split(uri: &str, cluster: &str) -> Option<Self> {
        let (scheme, rest) = uri.split_once("://")?;
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
        is_fine.then(|| Self {
            cluster: cluster.to_owned(),
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            path,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_uris_are_split() {
        let check = |uri: &str, scheme: &str, authority: &str, path: &str| {
            let found = Endpoint::parse(uri, "c").unwrap();
            assert_eq!((&*found.scheme, &*found.authority, &*found.path), (scheme, authority, path), "{uri}");
        };
        check("https://idp.example/jwks", "https", "idp.example", "/jwks");
        check("http://127.0.0.1:9000", "http", "127.0.0.1:9000", "/");
        check("https://[::1]:8443/a/b?c=d", "https", "[::1]:8443", "/a/b?c=d");
        check("https://a?b", "https", "a", "/?b");
    }

    #[test]
    fn everything_else_is_refused() {
        for uri in [
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
            "https://a\r\n/",
        ] {
            assert_eq!(Endpoint::parse(uri, "c"), Err(UriError(uri.to_owned())));
        }
    }
}
