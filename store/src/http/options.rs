//! How the server behaves.

use super::network::Network;
use axum::http::Uri;
use doorward::gateway::CredentialKeys;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

/// How the server behaves.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where the service listens.
    pub listen: SocketAddr,
    /// Where operators are listened to, if anywhere.
    pub admin: Option<SocketAddr>,
    /// Whether operators may be listened to beyond this machine, though nobody is asked who they are.
    pub danger_open_admin: bool,
    /// What the paths of the service begin with, such as `/scim/v2`; without a slash at its end, and empty for none.
    pub base_path: String,
    /// The absolute URL of the service, as clients see it, without a slash at its end. If absent: what trusted proxies say, and
    /// otherwise the address that is listened on.
    pub base_url: Option<String>,
    /// Whose fields `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<Network>,
    /// Who is let in.
    pub authentication: Authentication,
    /// Whose word is taken for who asks, instead of a token.
    pub gateways: CredentialKeys,
    /// How much, and how long.
    pub limits: Limits,
    /// The endpoints of the resource types, such as `/Users`, for the log and the metrics.
    pub endpoints: Vec<String>,
}

/// Who is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// Who has a token of a tenant, or is sent by a gateway.
    Bearer,
    /// Everyone, as this tenant; on loopback only.
    Open {
        /// The tenant's id.
        tenant: String,
    },
}

/// How much, and how long.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The longest body, in bytes.
    pub body: usize,
    /// How long a request's head may take, and how long a connection may be idle.
    pub head_timeout: Duration,
    /// How long a request's body may take.
    pub body_timeout: Duration,
    /// How long a client may take none of its response. After that its connection is closed.
    pub write_timeout: Duration,
    /// How many connections there may be; more wait to be accepted.
    pub connections: usize,
    /// How many requests are handled at once; more wait.
    pub requests: usize,
    /// How long they wait.
    pub wait: Duration,
    /// How many requests a tenant may make; any number if absent.
    pub rate: Option<Rate>,
    /// How long requests may take to end after the server was told to.
    pub drain: Duration,
}

/// A rate of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub requests_per_second: NonZeroU32,
    /// At once, after a pause.
    pub burst: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        let rate = |requests_per_second, burst| {
            Some(Rate {
                requests_per_second: NonZeroU32::new(requests_per_second)?,
                burst: NonZeroU32::new(burst)?,
            })
        };
        Self {
            // A group of 100,000 members.
            body: 8 << 20,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            connections: 1024,
            requests: 256,
            wait: Duration::from_secs(5),
            // A tenth of what two cores answer, so that no tenant is in the way of others. The most that a provider is known to send is
            // 25 a second (Entra ID), but migrations and tests send more.
            rate: rate(2_000, 10_000),
            drain: Duration::from_secs(30),
        }
    }
}

/// Why the server does not start with these options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// Everyone would be let in from everywhere.
    #[error("listen: expected a loopback address, since there is no authentication, but found {0}")]
    OpenBeyondLoopback(SocketAddr),
    /// What gateways say of who asks would not be heard.
    #[error("gateways: expected none, since there is no authentication")]
    OpenWithGateways,
    /// Everyone could make tokens from everywhere.
    #[error("admin: expected a loopback address, since operators are not asked who they are, but found {0}")]
    AdminBeyondLoopback(SocketAddr),
    /// Not a path.
    #[error("base_path: expected a path such as \"/scim/v2\", without a slash at its end, but found {0:?}")]
    BadBasePath(String),
    /// Not a URL.
    #[error(
        "base_url: expected an absolute URL such as \"https://scim.example.com/scim/v2\", without a slash at its end or a query, but found {0:?}"
    )]
    BadBaseUrl(String),
    /// Every address is listened on, and none is known to clients.
    #[error(
        "base_url: expected the URL that clients know, or trusted_proxies or gateways that say it, since {0} is no address to be reached at"
    )]
    NoBaseUrl(SocketAddr),
    /// Nothing would ever be accepted.
    #[error("limits.{0}: expected 1 or more")]
    Zero(&'static str),
}

impl ServerOptions {
    /// On these addresses, with tokens, and everything else as it is by default.
    pub fn new(listen: SocketAddr, admin: Option<SocketAddr>) -> Self {
        Self {
            listen,
            admin,
            danger_open_admin: false,
            base_path: "/scim/v2".to_owned(),
            base_url: None,
            trusted_proxies: Vec::new(),
            authentication: Authentication::Bearer,
            gateways: CredentialKeys::default(),
            limits: Limits::default(),
            endpoints: vec!["/Users".to_owned(), "/Groups".to_owned()],
        }
    }

    /// Whether a server may start with them.
    ///
    /// # Errors
    /// [`OptionsError`], the first that is found.
    pub fn check(&self) -> Result<(), OptionsError> {
        if self.authentication != Authentication::Bearer && !self.listen.ip().is_loopback() {
            return Err(OptionsError::OpenBeyondLoopback(self.listen));
        }
        if self.authentication != Authentication::Bearer && !self.gateways.is_empty() {
            return Err(OptionsError::OpenWithGateways);
        }
        if let Some(admin) = self.admin.filter(|admin| !admin.ip().is_loopback() && !self.danger_open_admin) {
            return Err(OptionsError::AdminBeyondLoopback(admin));
        }
        if !is_path(&self.base_path) {
            return Err(OptionsError::BadBasePath(self.base_path.clone()));
        }
        if let Some(url) = self.base_url.as_ref().filter(|url| !is_base_url(url)) {
            return Err(OptionsError::BadBaseUrl(url.clone()));
        }
        let is_told = !self.trusted_proxies.is_empty() || !self.gateways.is_empty();
        if self.base_url.is_none() && !is_told && self.listen.ip().is_unspecified() {
            return Err(OptionsError::NoBaseUrl(self.listen));
        }
        let Limits { body, connections, requests, .. } = self.limits;
        for (name, value) in [("body", body), ("connections", connections), ("requests", requests)] {
            if value == 0 {
                return Err(OptionsError::Zero(name));
            }
        }
        Ok(())
    }
}

/// Empty, or segments that need no percent-encoding.
fn is_path(text: &str) -> bool {
    let is_segment =
        |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    text.is_empty() || text.strip_prefix('/').is_some_and(|path| path.split('/').all(is_segment))
}

fn is_base_url(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        && uri.query().is_none()
        && !text.contains('#')
        && !text.ends_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward::gateway::CredentialKey;

    fn check(change: impl FnOnce(&mut ServerOptions)) -> Result<(), String> {
        let mut options =
            ServerOptions::new("127.0.0.1:8787".parse().unwrap(), Some("127.0.0.1:8788".parse().unwrap()));
        change(&mut options);
        options.check().map_err(|error| error.to_string())
    }

    fn refused(expected: &str, change: impl FnOnce(&mut ServerOptions)) {
        let error = check(change).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }

    fn gateways() -> CredentialKeys {
        let mut gateways = CredentialKeys::default();
        let key = CredentialKey::new("k".to_owned(), vec![1; 32]).unwrap();
        gateways.add("edge", key).unwrap();
        gateways
    }

    #[test]
    fn nothing_is_open_beyond_loopback() {
        let open = || Authentication::Open { tenant: "acme".to_owned() };
        for (address, is_loopback) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.168.1.1:1", false),
            ("[::ffff:127.0.0.1]:1", false),
        ] {
            let listen = |authentication| {
                check(|options| {
                    options.listen = address.parse().unwrap();
                    options.base_url = Some("https://a.example".to_owned());
                    options.authentication = authentication;
                })
            };
            assert_eq!(listen(open()).is_ok(), is_loopback, "{address}");
            assert_eq!(listen(Authentication::Bearer), Ok(()), "{address}");
            assert_eq!(check(|o| o.admin = Some(address.parse().unwrap())).is_ok(), is_loopback, "{address}");
        }
        let danger = check(|options| {
            options.admin = Some("0.0.0.0:1".parse().unwrap());
            options.danger_open_admin = true;
        });
        assert_eq!(danger, Ok(()));
        refused("listen: expected a loopback address", |options| {
            options.listen = "0.0.0.0:1".parse().unwrap();
            options.authentication = open();
        });
        refused("gateways: expected none, since there is no authentication", |options| {
            options.gateways = gateways();
            options.authentication = open();
        });
        refused("admin: expected a loopback address", |o| o.admin = Some("0.0.0.0:1".parse().unwrap()));
    }

    #[test]
    fn the_service_has_a_url() {
        for path in ["", "/scim", "/scim/v2", "/a.b/~c"] {
            assert_eq!(check(|options| options.base_path = path.to_owned()), Ok(()), "{path}");
        }
        for path in ["/", "scim", "/scim/", "//scim", "/a b", "/a?b", "/é"] {
            refused("base_path: ", |options| options.base_path = path.to_owned());
        }
        for url in ["https://scim.example.com", "http://a.example:8080/scim/v2"] {
            assert_eq!(check(|options| options.base_url = Some(url.to_owned())), Ok(()), "{url}");
        }
        for url in [
            "",
            "/scim",
            "a.example",
            "ftp://a.example",
            "https://a.example/",
            "https://a.example/?b",
            "https://a@b.example",
            "https://a.example/b#c",
        ] {
            refused("base_url: ", |options| options.base_url = Some(url.to_owned()));
        }
        let everywhere = |o: &mut ServerOptions| o.listen = "0.0.0.0:1".parse().unwrap();
        refused("base_url: expected the URL that clients know", everywhere);
        let behind_proxies = check(|options| {
            everywhere(options);
            options.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        });
        assert_eq!(behind_proxies, Ok(()));
        let behind_gateways = check(|options| {
            everywhere(options);
            options.gateways = gateways();
        });
        assert_eq!(behind_gateways, Ok(()));
    }

    #[test]
    fn a_limit_of_zero_is_refused() {
        refused("limits.body: ", |options| options.limits.body = 0);
        refused("limits.connections: ", |options| options.limits.connections = 0);
        refused("limits.requests: ", |options| options.limits.requests = 0);
    }
}
