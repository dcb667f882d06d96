//! Providers: issuer, keys, and where tokens are.

use super::Compiler;
use crate::authn::{DpopRules, Provider, TokenLocation, TrustedIssuer, Verification};
use crate::config::fault::Path;
use crate::config::raw;
use crate::http::is_token;
use crate::jose::{Algorithm, JwkSet, KeyOrigin};
use crate::jwt::{ClaimPath, ClaimRules, Issuer, IssuerTemplate};
use crate::oidc::{Discovery, Endpoint, KeySetSource, RemoteKeySet, Timing};
use crate::policy::{IdentityMapping, ManagedHeaders, ProviderId};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const DEFAULT_CLOCK_SKEW: Duration = Duration::from_secs(60);
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(600);
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const MAX_TIMEOUT: Duration = Duration::from_secs(60);
pub(super) const MIN_TIMEOUT: Duration = Duration::from_millis(100);
const DEFAULT_REFRESH: Duration = Duration::from_secs(300);
const MIN_REFRESH: Duration = Duration::from_secs(1);
const MAX_REFRESH: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_STALE: Duration = Duration::from_secs(24 * 3600);
const MAX_STALE: Duration = Duration::from_secs(30 * 24 * 3600);
const DEFAULT_COOLDOWN: Duration = Duration::from_secs(5);
const MIN_COOLDOWN: Duration = Duration::from_secs(1);
const MAX_COOLDOWN: Duration = Duration::from_secs(3600);

impl Compiler<'_> {
    pub(super) fn provider(
        &mut self,
        path: &Path,
        name: String,
        id: ProviderId,
        raw: raw::Provider,
    ) -> Option<(Provider, Verification)> {
        self.issuer(path, id, &raw);
        let is_introspected = raw.introspection.is_some();
        if is_introspected {
            self.check_for_opaque_tokens(path, &raw);
        }
        let algorithms = self.algorithms(&path.member("algorithms"), raw.algorithms.as_deref());
        let binding = self.binding(path, raw.dpop, raw.certificate_bound, raw.danger_ignore_confirmation);
        let issuer = raw.issuer.as_deref();
        let verification = match (raw.jwks, raw.introspection) {
            (Some(jwks), None) => {
                let source = self.key_source(&path.member("jwks"), jwks, &algorithms, issuer);
                source.map(Verification::Keys)
            }
            (None, Some(introspection)) => {
                let path = path.member("introspection");
                let introspection = self.introspection(&path, introspection, issuer);
                introspection.map(Verification::Introspection)
            }
            (Some(_), Some(_)) | (None, None) => {
                self.faults.add(path, "expected exactly one of jwks, introspection");
                None
            }
        };
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
        let locations = self.locations(&path.member("from"), raw.from, binding.dpop.as_ref());
        let claims = ClaimRules {
            audiences,
            token_types,
            // Whoever is asked says that a token is active now, with "exp" or without (RFC 7662 section 2.2).
            allow_no_expiry: raw.danger_no_expiry || is_introspected,
            clock_skew: clock_skew.unwrap_or(DEFAULT_CLOCK_SKEW),
            max_lifetime,
            required_claims,
        };
        let forward_token = raw.forward_token;
        let provider =
            Provider { name, algorithms, claims, locations, forward_token, is_introspected, binding };
        Some((provider, verification?))
    }

    /// Members that are about JWTs, and would have no effect.
    fn check_for_opaque_tokens(&mut self, path: &Path, raw: &raw::Provider) {
        for (member, is_there) in [
            ("algorithms", raw.algorithms.is_some()),
            ("token_types", raw.token_types.is_some()),
            ("danger_no_expiry", raw.danger_no_expiry),
        ] {
            if is_there {
                self.faults
                    .add(&path.member(member), "expected nothing beside introspection: it is about JWTs");
            }
        }
        if raw.issuer.as_ref().is_some_and(|issuer| issuer.contains('{')) {
            self.faults.add(&path.member("issuer"), "expected an issuer without parts beside introspection");
        }
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

    pub(super) fn algorithms(&mut self, path: &Path, names: Option<&[String]>) -> Vec<Algorithm> {
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
        raw: raw::Jwks,
        algorithms: &[Algorithm],
        issuer: Option<&str>,
    ) -> Option<KeySetSource> {
        if let Some(symmetric) = algorithms.iter().find(|algorithm| algorithm.is_symmetric())
            && !matches!(raw, raw::Jwks::Inline(_))
        {
            self.faults
                .add(path, format_args!("expected inline keys, because {symmetric} uses a shared secret"));
        }
        match raw {
            raw::Jwks::Inline(keys) => self.inline_keys(&path.member("inline"), &keys, algorithms),
            raw::Jwks::Remote(remote) => self.remote_keys(&path.member("remote"), remote),
            raw::Jwks::Discovery(discovery) => {
                self.discovered_keys(&path.member("discovery"), discovery, issuer)
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

    fn remote_keys(&mut self, path: &Path, raw: raw::RemoteJwks) -> Option<KeySetSource> {
        let cluster = self.cluster(path, raw.cluster);
        let uri = self.faults.expect(&path.member("uri"), raw.uri, "the address of a JWK Set");
        let endpoint = self.endpoint(path, uri.as_deref(), cluster.as_deref(), raw.danger_allow_http);
        let timing = self.timing(
            path,
            [
                raw.timeout.as_deref(),
                raw.refresh.as_deref(),
                raw.stale_for.as_deref(),
                raw.cooldown.as_deref(),
            ],
        );
        Some(KeySetSource::Remote(RemoteKeySet { endpoint: endpoint?, timing }))
    }

    /// OpenID Connect Discovery 1.0 section 4: the metadata is below the issuer. Elsewhere (RFC 8414), `uri` says where.
    fn discovered_keys(
        &mut self,
        path: &Path,
        raw: raw::DiscoveryJwks,
        issuer: Option<&str>,
    ) -> Option<KeySetSource> {
        let cluster = self.cluster(path, raw.cluster);
        let timing = self.timing(
            path,
            [
                raw.timeout.as_deref(),
                raw.refresh.as_deref(),
                raw.stale_for.as_deref(),
                raw.cooldown.as_deref(),
            ],
        );
        let issuer = issuer?;
        if issuer.contains('{') {
            self.faults.add(path, "expected an issuer without parts: metadata names one issuer; use remote");
        }
        let uri = raw.uri.unwrap_or_else(|| {
            format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer))
        });
        let endpoint = self.endpoint(path, Some(&uri), cluster.as_deref(), raw.danger_allow_http);
        Some(KeySetSource::Discovery(Discovery {
            issuer: issuer.to_owned(),
            jwks_cluster: raw.jwks_cluster.or(cluster)?,
            endpoint: endpoint?,
            allow_http: raw.danger_allow_http,
            timing,
        }))
    }

    pub(super) fn cluster(&mut self, path: &Path, cluster: Option<String>) -> Option<String> {
        let cluster = cluster.filter(|cluster| !cluster.is_empty());
        self.faults.expect(&path.member("cluster"), cluster, "the name of a cluster")
    }

    pub(super) fn endpoint(
        &mut self,
        path: &Path,
        uri: Option<&str>,
        cluster: Option<&str>,
        allow_http: bool,
    ) -> Option<Endpoint> {
        let path = path.member("uri");
        let endpoint = self.faults.check(&path, Endpoint::parse(uri?, cluster.unwrap_or_default()))?;
        if endpoint.scheme == "http" && !allow_http {
            self.faults.add(&path, "expected https: whoever can change keys on the way can forge tokens");
        }
        Some(endpoint)
    }

    fn timing(&mut self, path: &Path, texts: [Option<&str>; 4]) -> Timing {
        let [timeout, refresh, stale_for, cooldown] = texts;
        let mut within = |member: &str, text, default, min, max| {
            self.duration(&path.member(member), text, min, max).unwrap_or(default)
        };
        Timing {
            timeout: within("timeout", timeout, DEFAULT_TIMEOUT, MIN_TIMEOUT, MAX_TIMEOUT),
            refresh: within("refresh", refresh, DEFAULT_REFRESH, MIN_REFRESH, MAX_REFRESH),
            stale_for: within("stale_for", stale_for, DEFAULT_STALE, Duration::ZERO, MAX_STALE),
            cooldown: within("cooldown", cooldown, DEFAULT_COOLDOWN, MIN_COOLDOWN, MAX_COOLDOWN),
        }
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

    fn locations(
        &mut self,
        path: &Path,
        raw: Option<Vec<raw::Location>>,
        dpop: Option<&DpopRules>,
    ) -> Vec<TokenLocation> {
        let Some(raw) = raw else {
            let bearer = dpop.is_none_or(|dpop| !dpop.required).then(|| authorization("Bearer"));
            return bearer.into_iter().chain(dpop.map(|_| authorization("DPoP"))).collect();
        };
        self.expect_some(path, &raw, "place");
        let locations = raw.into_iter().enumerate();
        let locations: Vec<_> =
            locations.filter_map(|(index, raw)| self.location(&path.item(index), raw)).collect();
        let has_dpop = locations.iter().any(TokenLocation::is_dpop);
        if dpop.is_some() && !has_dpop {
            self.faults
                .add(path, "expected { header: authorization, scheme: DPoP } among the places, for dpop");
        }
        if dpop.is_none() && has_dpop {
            self.faults.add(path, "expected dpop beside a place with scheme DPoP");
        }
        locations
    }

    fn location(&mut self, path: &Path, raw: raw::Location) -> Option<TokenLocation> {
        if raw.scheme.is_some() && raw.header.is_none() {
            self.faults.add(&path.member("scheme"), "expected a header beside the scheme");
        }
        match raw {
            raw::Location { header: Some(header), scheme, cookie: None, query: None } => {
                let name = self.header_name(&path.member("header"), &header)?;
                if let Some(scheme) = scheme.as_ref().filter(|scheme| !is_token(scheme.as_bytes())) {
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

fn authorization(scheme: &str) -> TokenLocation {
    TokenLocation::Header { name: "authorization".to_owned(), scheme: Some(scheme.to_owned()) }
}
