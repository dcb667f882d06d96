//! Free loopback ports, for parts that must be told theirs. Parts of this crate bind port 0 instead, which cannot race.

use anyhow::{Context, Result};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A port on 127.0.0.1 that nothing listened on a moment ago. Also the address of an upstream that is down.
///
/// # Errors
/// If the system has none left.
pub fn free() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("expected a free loopback port")?;
    Ok(listener.local_addr().context("expected a bound socket to have an address")?.port())
}

/// 127.0.0.1 with `port`.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_port_can_be_bound() {
        TcpListener::bind(loopback(free().unwrap())).unwrap();
    }
}
