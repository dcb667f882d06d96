//! Where a request came from and what it was sent to, as far as a proxy may say so.

use super::network::Network;
use axum::http::HeaderMap;
use std::net::{IpAddr, SocketAddr};

/// Both ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) remote: SocketAddr,
    pub(super) local: SocketAddr,
}

/// Whose fields `X-Forwarded-*` are believed.
#[derive(Debug, Clone, Default)]
pub(super) struct Proxies(pub(super) Vec<Network>);

impl Proxies {
    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The client: the last address of `X-Forwarded-For` that is not a trusted proxy, if the peer is one. What is before it, the
    /// client may have written itself.
    pub(super) fn client(&self, peer: Peer, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.remote.ip().to_canonical();
        let fields: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .map(|value| value.to_str().unwrap_or_default())
            .collect();
        for hop in fields.iter().flat_map(|field| field.split(',')).rev() {
            if !self.trusts(client) {
                break;
            }
            match hop.trim().parse::<IpAddr>() {
                Ok(address) => client = address.to_canonical(),
                Err(_) => break,
            }
        }
        client
    }

    /// The scheme and authority that the client asked, such as `https://scim.example.com`: what a trusted proxy says, and otherwise
    /// the address that the connection has here. Never the field `Host`, which anybody can write.
    pub(super) fn origin(&self, peer: Peer, headers: &HeaderMap) -> String {
        let forwarded = || {
            if !self.trusts(peer.remote.ip()) {
                return None;
            }
            let host = only(headers, "x-forwarded-host").filter(|host| is_authority(host))?;
            let scheme = only(headers, "x-forwarded-proto").filter(|s| matches!(*s, "http" | "https"))?;
            Some(format!("{scheme}://{host}"))
        };
        forwarded().unwrap_or_else(|| format!("http://{}", peer.local))
    }
}

/// The value of a field that is there once, and has one value: of several, it cannot be told which the proxy wrote.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// A host and, maybe, a port; no user information.
fn is_authority(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    (1..=255).contains(&text.len())
        && text.bytes().all(is_letter)
        && text.parse::<axum::http::uri::Authority>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        fields.iter().map(field).fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
    }

    fn peer(remote: &str) -> Peer {
        Peer {
            remote: SocketAddr::new(remote.parse().unwrap(), 40_000),
            local: "192.0.2.7:8787".parse().unwrap(),
        }
    }

    fn proxies() -> Proxies {
        Proxies(vec!["10.0.0.0/8".parse().unwrap()])
    }

    const HOST: (&str, &str) = ("x-forwarded-host", "scim.example.com");
    const PROTO: (&str, &str) = ("x-forwarded-proto", "https");

    #[test]
    fn a_trusted_proxy_says_what_was_asked() {
        const OWN: &str = "http://192.0.2.7:8787";
        for (remote, fields, expected) in [
            ("10.0.0.1", &[HOST, PROTO][..], "https://scim.example.com"),
            ("::ffff:10.0.0.1", &[HOST, PROTO], "https://scim.example.com"),
            ("203.0.113.9", &[HOST, PROTO], OWN),
            ("10.0.0.1", &[HOST], OWN),
            ("10.0.0.1", &[PROTO], OWN),
            ("10.0.0.1", &[HOST, ("x-forwarded-proto", "javascript")], OWN),
            ("10.0.0.1", &[PROTO, ("x-forwarded-host", "[2001:db8::1]:8443")], "https://[2001:db8::1]:8443"),
            ("10.0.0.1", &[PROTO, ("x-forwarded-host", "a.example/b")], OWN),
            ("10.0.0.1", &[PROTO, ("x-forwarded-host", "evil@a.example")], OWN),
            ("10.0.0.1", &[PROTO, ("x-forwarded-host", "evil.example, a.example")], OWN),
            ("10.0.0.1", &[PROTO, ("x-forwarded-host", "evil.example"), HOST], OWN),
            ("203.0.113.9", &[("host", "evil.example")], OWN),
        ] {
            assert_eq!(proxies().origin(peer(remote), &headers(fields)), expected, "{remote} {fields:?}");
        }
    }

    #[test]
    fn the_client_is_the_last_that_no_trusted_proxy_is() {
        const FOR: &str = "x-forwarded-for";
        for (remote, fields, expected) in [
            ("203.0.113.9", &[][..], "203.0.113.9"),
            ("203.0.113.9", &[(FOR, "198.51.100.1")], "203.0.113.9"),
            ("10.0.0.1", &[(FOR, "198.51.100.1")], "198.51.100.1"),
            ("10.0.0.1", &[(FOR, "192.0.2.1, 198.51.100.1, 10.0.0.2")], "198.51.100.1"),
            ("10.0.0.1", &[(FOR, "192.0.2.1"), (FOR, "198.51.100.1")], "198.51.100.1"),
            ("10.0.0.1", &[(FOR, "unknown")], "10.0.0.1"),
            ("10.0.0.1", &[(FOR, "unknown, 10.0.0.2")], "10.0.0.2"),
        ] {
            let found = proxies().client(peer(remote), &headers(fields)).to_string();
            assert_eq!(found, expected, "{remote} {fields:?}");
        }
    }
}
