//! Where a provider is asked about its tokens, and as whom.

use super::Compiler;
use super::provider::{DEFAULT_TIMEOUT, MAX_TIMEOUT, MIN_TIMEOUT};
use crate::config::fault::Path;
use crate::config::raw;
use crate::jose::crypto::SigningKey;
use crate::oauth::{AuthenticationMethod, ClientAuthentication, Introspection};
use serde_json::Value;
use std::time::Duration;

const DEFAULT_CACHE: Duration = Duration::from_secs(60);
const MIN_CACHE: Duration = Duration::from_secs(1);
const MAX_CACHE: Duration = Duration::from_secs(3600);

impl Compiler<'_> {
    pub(super) fn introspection(
        &mut self,
        path: &Path,
        raw: raw::Introspection,
        issuer: Option<&str>,
    ) -> Option<Introspection> {
        let cluster = self.cluster(path, raw.cluster);
        let uri_path = path.member("uri");
        let uri = self.faults.expect(&uri_path, raw.uri, "the address of the introspection endpoint");
        let endpoint = self.endpoint(path, uri.as_deref(), cluster.as_deref(), raw.danger_allow_http);
        let timeout =
            self.duration(&path.member("timeout"), raw.timeout.as_deref(), MIN_TIMEOUT, MAX_TIMEOUT);
        let cache_for =
            self.duration(&path.member("cache_for"), raw.cache_for.as_deref(), MIN_CACHE, MAX_CACHE);
        let client_id = raw.client_id.filter(|client_id| !client_id.is_empty());
        let client_id = self.faults.expect(&path.member("client_id"), client_id, "our identifier there");
        if raw.assertion_audience.is_some() && raw.private_key.is_none() {
            self.faults.add(&path.member("assertion_audience"), "expected private_key beside it");
        }
        if raw.authentication.is_some() && raw.client_secret.is_none() {
            self.faults.add(&path.member("authentication"), "expected client_secret beside it");
        }
        let method = match (raw.client_secret, raw.private_key) {
            (Some(secret), None) => {
                let secret = self.secret(&path.member("client_secret"), &secret);
                secret.map(|secret| match raw.authentication {
                    Some(raw::SecretMethod::ClientSecretPost) => AuthenticationMethod::SecretPost(secret),
                    Some(raw::SecretMethod::ClientSecretBasic) | None => {
                        AuthenticationMethod::SecretBasic(secret)
                    }
                })
            }
            (None, Some(key)) => {
                let key = self.faults.check(&path.member("private_key"), SigningKey::from_json(&key));
                let audience = raw.assertion_audience.or_else(|| issuer.map(str::to_owned));
                key.zip(audience).map(|(key, audience)| AuthenticationMethod::PrivateKeyJwt {
                    key: Box::new(key),
                    audience,
                })
            }
            (Some(_), Some(_)) | (None, None) => {
                self.faults.add(path, "expected exactly one of client_secret, private_key");
                None
            }
        };
        Some(Introspection {
            endpoint: endpoint?,
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
            cache_for: cache_for.unwrap_or(DEFAULT_CACHE),
            issuer: issuer?.to_owned(),
            client: ClientAuthentication { client_id: client_id?, method: method? },
        })
    }

    /// A secret, which no message repeats.
    pub(super) fn secret(&mut self, path: &Path, value: &Value) -> Option<String> {
        let secret = value.as_str().filter(|secret| !secret.is_empty());
        if secret.is_none() {
            self.faults.add(path, "expected a string that is not empty");
        }
        secret.map(str::to_owned)
    }
}
