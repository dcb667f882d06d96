//! Providers: issuer, keys, and where tokens are.

use super::{Compiler, is_token};
use crate::authn::{Provider, TokenLocation, TrustedIssuer};
use crate::config::fault::Path;
use crate::config::raw;
use crate::config::uri::HttpUri;
use crate::jose::{Algorithm, JwkSet, KeyOrigin};
use crate::jwt::{ClaimPath, ClaimRules, Issuer, IssuerTemplate};
use crate::oidc::{KeySetSource, RemoteKeySet};
use crate::policy::{IdentityMapping, ManagedHeaders, ProviderId};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const DEFAULT_CLOCK_SKEW: Duration = Duration::from_secs(60);
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(600);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_REFRESH: Duration = Duration::from_secs(300);
const MIN_REFRESH: Duration = Duration::from_secs(1);
const MAX_REFRESH: Duration = Duration::from_secs(24 * 3600);

impl Compiler<'_> {
    pub(super) fn provider(
        &mut self,
        path: &Path,
        name: String,
        id: ProviderId,
        raw: raw::Provider,
    ) -> Option<(Provider, KeySetSource)> {
        self.issuer(path, id, &raw);
        let algorithms = self.algorithms(&path.member("algorithms"), raw.algorithms.as_deref());
        let source = self.key_source(&path.member("jwks"), raw.jwks, &algorithms);
        let audiences = self.audiences(path, raw.audiences, raw.danger_any_audience);
        let token_types = self.token_types(&path.member("token_types"), raw.token_types);
        let skew_path = path.member("clock_skew");
        let clock_skew = self.duration(&skew_path, raw.clock_skew.as_deref(), Duration::ZERO, MAX_CLOCK_SKEW);
        let lifetime_path = path.member("max_lifetime");
        let max_lifetime =
            self.duration(&lifetime_path, raw.max_lifetime.as_deref(), Duration::from_secs(1), Duration::MAX);
        let required = path.member("required_claims");
        let required_claims = raw.required_claims.into_iter().enumerate();
        let required_claims = required_claims
            .filter_map(|(i, segments)| self.claim_path(&required.item(i), segments))
            .collect();
        let locations = self.locations(&path.member("from"), raw.from);
        let claims = ClaimRules {
            audiences,
            token_types,
            allow_no_expiry: raw.danger_no_expiry,
            clock_skew: clock_skew.unwrap_or(DEFAULT_CLOCK_SKEW),
            max_lifetime,
            required_claims,
        };
        Some((Provider { name, algorithms, claims, locations, forward_token: raw.forward_token }, source?))
    }

    fn issuer(&mut self, path: &Path, id: ProviderId, raw: &raw::Provider) {
        let issuer_path = path.member("issuer");
        let Some(issuer) = self.faults.expect(&issuer_path, raw.issuer.as_deref(), "the value of \"iss\"")
        else {
            return;
        };
        if issuer.is_empty() {
            self.faults.add(&issuer_path, "expected the value of \"iss\", but found an empty string");
        }
        let Some(template) = self.faults.check(&issuer_path, IssuerTemplate::parse(issuer)) else { return };
        for (member, names) in [
            ("issuer_claims", raw.issuer_claims.keys().collect::<Vec<_>>()),
            ("issuer_allow", raw.issuer_allow.keys().collect()),
        ] {
            for name in names.into_iter().filter(|name| !template.names().any(|part| part == *name)) {
                self.faults.add(
                    &path.member(member).member(name),
                    format_args!("the issuer has no part {{{name}}}"),
                );
            }
        }
        let claim = |name: &str| raw.issuer_claims.get(name).map(|claim| ClaimPath::top(claim));
        let allowed = |name: &str| raw.issuer_allow.get(name).map(Vec::as_slice);
        for Issuer { name, bindings } in
            self.faults.check(&issuer_path, template.expand(claim, allowed)).into_iter().flatten()
        {
            self.issuers.entry(name).or_default().push(TrustedIssuer { provider: id, bindings });
        }
    }

    fn algorithms(&mut self, path: &Path, names: Option<&[String]>) -> Vec<Algorithm> {
        let Some(names) = names else {
            return Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric()).collect();
        };
        self.expect_some(path, names, "algorithm");
        let mut algorithms = Vec::new();
        for (index, name) in names.iter().enumerate() {
            match Algorithm::from_name(name) {
                Some(algorithm) => algorithms.push(algorithm),
                None => {
                    let known: Vec<_> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
                    let known = known.join(", ");
                    self.faults
                        .add(&path.item(index), format_args!("expected one of {known}, but found {name:?}"));
                }
            }
        }
        algorithms
    }

    fn key_source(
        &mut self,
        path: &Path,
        raw: Option<raw::Jwks>,
        algorithms: &[Algorithm],
    ) -> Option<KeySetSource> {
        match self.faults.expect(path, raw, "one of remote, inline")? {
            raw::Jwks::Inline(keys) => self.inline_keys(&path.member("inline"), &keys, algorithms),
            raw::Jwks::Remote(remote) => {
                if let Some(symmetric) = algorithms.iter().find(|algorithm| algorithm.is_symmetric()) {
                    self.faults.add(
                        path,
                        format_args!("expected inline keys, because {symmetric} uses a shared secret"),
                    );
                }
                self.remote_keys(&path.member("remote"), &remote)
            }
        }
    }

    /// Unlike a fetched key set, one that the operator wrote may have no key that cannot be used.
    fn inline_keys(&mut self, path: &Path, keys: &Value, algorithms: &[Algorithm]) -> Option<KeySetSource> {
        let set = self.faults.check(path, JwkSet::from_json(keys, KeyOrigin::Inline))?;
        let path = path.member("keys");
        for skipped in set.skipped() {
            self.faults.add(&path.item(skipped.index), &skipped.reason);
        }
        if set.skipped().is_empty() {
            for (index, key) in set.keys().iter().enumerate() {
                if !algorithms.iter().any(|algorithm| key.fits(*algorithm)) {
                    self.faults.add(&path.item(index), "no algorithm of this provider fits the key");
                }
            }
            self.expect_some(&path, set.keys(), "key");
        }
        Some(KeySetSource::Inline(Arc::new(set)))
    }

    fn remote_keys(&mut self, path: &Path, raw: &raw::RemoteJwks) -> Option<KeySetSource> {
        let uri_path = path.member("uri");
        let uri = self.faults.expect(&uri_path, raw.uri.as_deref(), "the address of a JWK Set");
        let uri = uri.and_then(|uri| self.faults.check(&uri_path, HttpUri::parse(uri)));
        if uri.as_ref().is_some_and(|uri| uri.scheme == "http" && !raw.danger_allow_http) {
            self.faults.add(&uri_path, "expected https: whoever can change keys on the way can forge tokens");
        }
        let cluster_path = path.member("cluster");
        let cluster = raw.cluster.clone().filter(|cluster| !cluster.is_empty());
        let cluster = self.faults.expect(&cluster_path, cluster, "the name of a cluster");
        let timeout_path = path.member("timeout");
        let timeout =
            self.duration(&timeout_path, raw.timeout.as_deref(), Duration::from_millis(100), MAX_TIMEOUT);
        let refresh =
            self.duration(&path.member("refresh"), raw.refresh.as_deref(), MIN_REFRESH, MAX_REFRESH);
        let HttpUri { scheme, authority, path } = uri?;
        Some(KeySetSource::Remote(RemoteKeySet {
            cluster: cluster?,
            scheme,
            authority,
            path,
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
            refresh: refresh.unwrap_or(DEFAULT_REFRESH),
        }))
    }

    fn audiences(&mut self, path: &Path, audiences: Option<Vec<String>>, any: bool) -> Option<Vec<String>> {
        let path = path.member("audiences");
        match (&audiences, any) {
            (None, true) => {}
            (None, false) => self.faults.add(&path, "expected a list of audiences, but found nothing"),
            (Some(_), true) => self.faults.add(&path, "expected no audiences beside danger_any_audience"),
            (Some(list), false) => self.expect_some(&path, list, "audience"),
        }
        audiences
    }

    fn token_types(&mut self, path: &Path, types: Option<Vec<String>>) -> Vec<String> {
        if let Some(types) = &types {
            self.expect_some(path, types, "token type");
        }
        types.unwrap_or_else(|| vec!["JWT".to_owned(), "at+jwt".to_owned()])
    }

    fn locations(&mut self, path: &Path, raw: Option<Vec<raw::Location>>) -> Vec<TokenLocation> {
        let Some(raw) = raw else {
            let (name, scheme) = ("authorization".to_owned(), Some("Bearer".to_owned()));
            return vec![TokenLocation::Header { name, scheme }];
        };
        self.expect_some(path, &raw, "place");
        let locations = raw.into_iter().enumerate();
        locations.filter_map(|(index, raw)| self.location(&path.item(index), raw)).collect()
    }

    fn location(&mut self, path: &Path, raw: raw::Location) -> Option<TokenLocation> {
        if raw.scheme.is_some() && raw.header.is_none() {
            self.faults.add(&path.member("scheme"), "expected a header beside the scheme");
        }
        match raw {
            raw::Location { header: Some(header), scheme, cookie: None, query: None } => {
                let name = self.header_name(&path.member("header"), &header)?;
                if let Some(scheme) = scheme.as_ref().filter(|scheme| !is_token(scheme)) {
                    let message = format_args!(
                        "expected an authentication scheme such as \"Bearer\", but found {scheme:?}"
                    );
                    self.faults.add(&path.member("scheme"), message);
                }
                if name == "authorization" && scheme.is_none() {
                    self.faults
                        .add(path, "expected a scheme for the authorization header, such as \"Bearer\"");
                }
                Some(TokenLocation::Header { name, scheme })
            }
            raw::Location { header: None, scheme: _, cookie: Some(cookie), query: None } => {
                self.check_token(&path.member("cookie"), &cookie, "a cookie name");
                Some(TokenLocation::Cookie(cookie))
            }
            raw::Location { header: None, scheme: _, cookie: None, query: Some(query) } => {
                self.check_token(&path.member("query"), &query, "a plain parameter name");
                Some(TokenLocation::Query(query))
            }
            raw::Location { .. } => {
                self.faults.add(path, "expected exactly one of header, cookie, query");
                None
            }
        }
    }

    /// A token header that is an alias of a managed header would be removed as forged.
    pub(super) fn check_locations(&mut self, providers: &[Provider], identity: &IdentityMapping) {
        let managed = ManagedHeaders::new(identity.names());
        for provider in providers {
            for (index, location) in provider.locations.iter().enumerate() {
                let TokenLocation::Header { name, .. } = location else { continue };
                if managed.covers(name.as_bytes()) {
                    let path =
                        Path::default().member("providers").member(&provider.name).member("from").item(index);
                    self.faults.add(
                        &path,
                        format_args!("header {name:?} is also an identity header, or an alias of one"),
                    );
                }
            }
        }
    }
}
