//! The server that connections are made to, and how: with TLS or without.

use super::super::DatabaseError;
use super::fault::Fault;
use super::url::{Mode, Url};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::config::{Host, SslMode, SslNegotiation};
use tokio_postgres::{CancelToken, Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The protocol in the handshake (ALPN): servers insist on it where TLS begins at once (`sslnegotiation=direct`).
const PROTOCOL: &[u8] = b"postgresql";

/// The server that connections are made to, and how. Cheap to clone.
#[derive(Clone)]
pub(super) struct Target(Arc<Inner>);

struct Inner {
    config: Config,
    /// None: without TLS. If there is one, then nothing is said to a server without it.
    tls: Option<MakeRustlsConnect>,
}

impl Target {
    /// Reads a URL, or `key=value` pairs, and the certificates that it names.
    pub(super) fn parse(text: &str) -> Result<Self, DatabaseError> {
        let url = Url::parse(text)?;
        // The error names the option at fault and not its value, which may be a password.
        let mut config: Config = url.rest.parse().map_err(|error| DatabaseError::from(Fault::from(error)))?;
        let tls = if asks_for_tls(&url, &config)? {
            config.ssl_mode(SslMode::Require);
            Some(connector(url.roots.as_deref())?)
        } else {
            config.ssl_mode(SslMode::Disable);
            None
        };
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(5));
        }
        if config.get_application_name().is_none() {
            config.application_name("doorward");
        }
        Ok(Self(Arc::new(Inner { config, tls })))
    }

    /// Connects. Messages are carried until the client is dropped.
    pub(super) async fn connect(&self) -> Result<Client, Fault> {
        let Inner { config, tls } = &*self.0;
        // The task ends with the client; whoever waits for an answer is told the error.
        match tls {
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                tokio::spawn(async move {
                    let _ = connection.await;
                });
                Ok(client)
            }
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                tokio::spawn(async move {
                    let _ = connection.await;
                });
                Ok(client)
            }
        }
    }

    /// Tells the server to give up what a connection to it is doing.
    pub(super) async fn cancel(&self, token: &CancelToken) -> Result<(), Fault> {
        match &self.0.tls {
            Some(tls) => Ok(token.cancel_query(tls.clone()).await?),
            None => Ok(token.cancel_query(NoTls).await?),
        }
    }
}

fn asks_for_tls(url: &Url, config: &Config) -> Result<bool, DatabaseError> {
    let is_socket = |host: &Host| matches!(host, Host::Unix(_));
    let is_near = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
    };
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    let asks = match url.mode {
        Mode::Disable => false,
        Mode::Require => true,
        Mode::Prefer => {
            let named = url.roots.is_some() || config.get_ssl_negotiation() == SslNegotiation::Direct;
            let near = hosts.iter().all(is_near) && addresses.iter().all(IpAddr::is_loopback);
            // Who says how it is to be done wants it done.
            !near || named && !hosts.iter().all(is_socket)
        }
    };
    if asks && hosts.iter().any(is_socket) {
        return Err(DatabaseError::Failed(
            "expected a host's name instead of a socket: PostgreSQL has no TLS on sockets; sslmode=disable goes without".to_owned(),
        ));
    }
    if asks && hosts.is_empty() {
        return Err(DatabaseError::Failed(
            "expected a host's name, which must be that in its certificate".to_owned(),
        ));
    }
    Ok(asks)
}

/// Certificates and names are verified, whatever the mode.
fn connector(roots: Option<&str>) -> Result<MakeRustlsConnect, DatabaseError> {
    let roots = match roots {
        None | Some("system") => system_roots()?,
        Some(path) => roots_in(path)?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions();
    let config =
        config.map_err(|error| DatabaseError::Failed(format!("expected TLS 1.2 and 1.3: {error}")))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

fn system_roots() -> Result<RootCertStore, DatabaseError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A system has some that are too old to be understood.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reasons: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(DatabaseError::Failed(format!(
            "expected certificate authorities on this system, or sslrootcert=FILE: {}",
            reasons.join("; ")
        )));
    }
    Ok(roots)
}

fn roots_in(path: &str) -> Result<RootCertStore, DatabaseError> {
    let failed = |reason: &dyn std::fmt::Display| {
        DatabaseError::Failed(format!("sslrootcert: expected certificates in PEM in {path:?}: {reason}"))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))? {
        roots.add(certificate.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() {
        return Err(failed(&"there is none"));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn far_hosts_are_spoken_to_with_tls() {
        for (text, expected) in [
            ("postgres://a@127.0.0.1/d", Ok(false)),
            ("postgres://a@[::1]/d", Ok(false)),
            ("postgres://a@localhost/d?sslmode=prefer", Ok(false)),
            ("host=/run/postgresql user=a", Ok(false)),
            ("host=/run/postgresql,localhost user=a", Ok(false)),
            ("hostaddr=127.0.0.1 user=a", Ok(false)),
            ("postgres://a@db.example.com/d", Ok(true)),
            ("postgres://a@db.example.com/d?sslmode=prefer", Ok(true)),
            ("postgres://a@192.0.2.1/d", Ok(true)),
            ("host=localhost,db.example.com user=a", Ok(true)),
            ("host=localhost hostaddr=192.0.2.1 user=a", Ok(true)),
            ("host=db.example.com hostaddr=127.0.0.1 user=a", Ok(true)),
            ("postgres://a@db.example.com/d?sslmode=disable", Ok(false)),
            ("postgres://a@localhost/d?sslmode=require", Ok(true)),
            ("host=localhost sslmode=verify-full user=a", Ok(true)),
            ("host=localhost sslrootcert=/a.pem user=a", Ok(true)),
            ("host=localhost sslrootcert=/a.pem sslmode=disable user=a", Ok(false)),
            ("host=localhost sslnegotiation=direct user=a", Ok(true)),
            ("host=/run/postgresql sslrootcert=/a.pem user=a", Ok(false)),
            ("host=/run/postgresql sslmode=require user=a", Err("instead of a socket")),
            ("host=/run/postgresql,db.example.com user=a", Err("instead of a socket")),
            ("hostaddr=192.0.2.1 user=a", Err("expected a host's name")),
        ] {
            let url = Url::parse(text).unwrap();
            let found = asks_for_tls(&url, &url.rest.parse().unwrap());
            match (&found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(*found, expected, "{text}"),
                (Err(error), Err(expected)) => {
                    assert!(error.to_string().contains(expected), "{text}: {error}");
                }
                _ => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn roots_must_be_there() {
        let url = |path: &std::path::Path| {
            format!("host=localhost password=secret sslrootcert='{}'", path.display())
        };
        let not_a_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (content, expected) in
            [("", "there is none"), ("x", "there is none"), (not_a_certificate, "certificate")]
        {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(content.as_bytes()).unwrap();
            let error = Target::parse(&url(file.path())).err().unwrap().to_string();
            assert!(error.contains("sslrootcert: ") && error.contains(expected), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let error = Target::parse(&url(&folder.path().join("none.pem"))).err().unwrap().to_string();
        assert!(error.contains("sslrootcert: ") && error.contains("none.pem"), "{error}");
    }
}
