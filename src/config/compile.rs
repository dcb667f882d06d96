//! The raw document, checked and turned into what decisions need.

use super::duration;
use super::fault::{ConfigError, Faults, Path};
use super::uri::HttpUri;
use super::{document, raw};
use crate::authn::rejection::Challenge;
use crate::authn::{Authn, AuthnPolicy, Provider, TokenLocation, TrustedIssuer};
use crate::jose::{Algorithm, JwkSet, KeyOrigin};
use crate::jwt::{ClaimPath, ClaimRules, Issuer, IssuerTemplate};
use crate::oidc::{KeySetSource, RemoteKeySet};
use crate::policy::{
    AnyOf, ClaimCondition, ConditionTest, HostPattern, IdentityHeader, IdentityMapping, ListStyle, ManagedHeaders,
    NormalPath, PathPattern, ProviderId, ProviderRequirement, Requirement, Rule, RuleAction, RuleMatch, Rules,
    ValueEncoding, WhenMissing,
};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

const DEFAULT_CLOCK_SKEW: Duration = Duration::from_secs(60);
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(600);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_REFRESH: Duration = Duration::from_secs(300);
const MIN_REFRESH: Duration = Duration::from_secs(1);
const MAX_REFRESH: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_TOKEN_BYTES: usize = 16 * 1024;
const MIN_TOKEN_BYTES: u64 = 256;
const MAX_TOKEN_BYTES: u64 = 1024 * 1024;

/// A configuration without a fault.
#[derive(Debug)]
pub struct Config {
    policy: AuthnPolicy,
    key_sources: Vec<KeySetSource>,
}

impl Config {
    /// Reads and checks a document: JSON, UTF-8.
    ///
    /// # Errors
    /// [`ConfigError`], with every fault. What is unset denies, and what is unknown is a fault.
    pub fn load(text: &[u8]) -> Result<Self, ConfigError> {
        let mut faults = Faults::default();
        let config = document::read(text, &mut faults).map(|document| compile(document, &mut faults));
        match (config, faults.into_error()) {
            (Some(config), None) => Ok(config),
            (_, Some(error)) => Err(error),
            // A document that could not be read has left a fault.
            (None, None) => Ok(Self { policy: AuthnPolicy::default(), key_sources: Vec::new() }),
        }
    }

    /// What decisions depend on.
    pub fn policy(&self) -> &AuthnPolicy {
        &self.policy
    }

    /// Where each provider's keys come from, in the order of the policy's providers.
    pub fn key_sources(&self) -> &[KeySetSource] {
        &self.key_sources
    }

    /// The machine that decides by this configuration.
    pub fn into_authn(self) -> Authn {
        Authn::new(self.policy, self.key_sources)
    }
}

fn compile(document: raw::Document, faults: &mut Faults) -> Config {
    let root = Path::default();
    let mut compiler = Compiler { faults, ids: HashMap::new(), issuers: HashMap::new() };
    for (index, name) in document.providers.keys().enumerate() {
        compiler.ids.insert(name.clone(), ProviderId(index));
    }
    let (mut providers, mut key_sources) = (Vec::new(), Vec::new());
    for (index, (name, provider)) in document.providers.into_iter().enumerate() {
        let path = root.member("providers").member(&name);
        // A provider at fault leaves a gap that nobody sees: the document is refused.
        if let Some((provider, source)) = compiler.provider(&path, name, ProviderId(index), provider) {
            providers.push(provider);
            key_sources.push(source);
        }
    }
    let rules = compiler.rules(&root.member("rules"), document.rules);
    let identity = compiler.identity(document.identity_headers, document.payload_header);
    compiler.check_locations(&providers, &identity);
    let challenge = compiler.challenge(&root.member("challenge"), document.challenge);
    let max_token_bytes = compiler.max_token_bytes(&root.member("limits"), &document.limits);
    let policy = AuthnPolicy {
        providers,
        issuers: compiler.issuers,
        rules,
        managed: ManagedHeaders::new(identity.names()),
        identity,
        challenge,
        bypass_cors_preflight: document.bypass_cors_preflight,
        max_token_bytes,
    };
    Config { policy, key_sources }
}

struct Compiler<'f> {
    faults: &'f mut Faults,
    ids: HashMap<String, ProviderId>,
    issuers: HashMap<String, Vec<TrustedIssuer>>,
}

/// Providers.
impl Compiler<'_> {
    fn provider(
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
        let required_claims =
            required_claims.filter_map(|(i, segments)| self.claim_path(&required.item(i), segments)).collect();
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
        let Some(issuer) = self.faults.expect(&issuer_path, raw.issuer.as_deref(), "the value of \"iss\"") else {
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
                self.faults.add(&path.member(member).member(name), format_args!("the issuer has no part {{{name}}}"));
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
                    self.faults.add(&path.item(index), format_args!("expected one of {known}, but found {name:?}"));
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
                    self.faults.add(path, format_args!("expected inline keys, because {symmetric} uses a shared secret"));
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
        let timeout = self.duration(&timeout_path, raw.timeout.as_deref(), Duration::from_millis(100), MAX_TIMEOUT);
        let refresh = self.duration(&path.member("refresh"), raw.refresh.as_deref(), MIN_REFRESH, MAX_REFRESH);
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
                    let message = format_args!("expected an authentication scheme such as \"Bearer\", but found {scheme:?}");
                    self.faults.add(&path.member("scheme"), message);
                }
                if name == "authorization" && scheme.is_none() {
                    self.faults.add(path, "expected a scheme for the authorization header, such as \"Bearer\"");
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
    fn check_locations(&mut self, providers: &[Provider], identity: &IdentityMapping) {
        let managed = ManagedHeaders::new(identity.names());
        for provider in providers {
            for (index, location) in provider.locations.iter().enumerate() {
                let TokenLocation::Header { name, .. } = location else { continue };
                if managed.covers(name.as_bytes()) {
                    let path = Path::default().member("providers").member(&provider.name).member("from").item(index);
                    self.faults.add(&path, format_args!("header {name:?} is also an identity header, or an alias of one"));
                }
            }
        }
    }
}

/// Rules.
impl Compiler<'_> {
    fn rules(&mut self, path: &Path, raw: Vec<raw::Rule>) -> Rules {
        if raw.is_empty() {
            self.faults.add(path, "expected at least one rule: without any, every request is denied");
        }
        let rules = raw.into_iter().enumerate();
        Rules::new(rules.filter_map(|(index, raw)| self.rule(&path.item(index), raw)).collect())
    }

    fn rule(&mut self, path: &Path, raw: raw::Rule) -> Option<Rule> {
        let matches = self.faults.expect(&path.member("match"), raw.matches, "what the rule is for ({} is everything)");
        let matches = matches.map(|matches| self.rule_match(&path.member("match"), matches));
        let action = match (raw.allow, raw.require) {
            (Some(raw::Allow::Anonymous), None) => Some(RuleAction::Anonymous),
            (None, Some(require)) => {
                self.requirement(&path.member("require"), require).map(RuleAction::Require)
            }
            (Some(_), Some(_)) | (None, None) => {
                self.faults.add(path, "expected exactly one of allow, require");
                None
            }
        };
        Some(Rule { matches: matches?, action: action? })
    }

    fn rule_match(&mut self, path: &Path, raw: raw::Match) -> RuleMatch {
        let mut hosts = Vec::new();
        let hosts_path = path.member("hosts");
        if let Some(raw) = &raw.hosts {
            self.expect_some(&hosts_path, raw, "host");
        }
        for (index, host) in raw.hosts.unwrap_or_default().iter().enumerate() {
            let pattern = HostPattern::parse(host);
            let message = format!("a host without port, such as \"api.example.com\" or \"*.example.com\", not {host:?}");
            hosts.extend(self.faults.expect(&hosts_path.item(index), pattern, &message));
        }
        let methods_path = path.member("methods");
        let methods = raw.methods.unwrap_or_default();
        for (index, method) in methods.iter().enumerate() {
            if !is_token(method) || method.bytes().any(|byte| byte.is_ascii_lowercase()) {
                let message = format_args!("expected a method in upper case, but found {method:?}");
                self.faults.add(&methods_path.item(index), message);
            }
        }
        let path = raw.path.and_then(|pattern| self.path_pattern(&path.member("path"), &pattern));
        RuleMatch { hosts, path, methods }
    }

    fn path_pattern(&mut self, path: &Path, raw: &raw::PathMatch) -> Option<PathPattern> {
        let (kind, text) = match raw {
            raw::PathMatch::Exact(text) => ("exact", text),
            raw::PathMatch::Prefix(text) => ("prefix", text),
            raw::PathMatch::Template(text) => ("template", text),
        };
        let path = path.member(kind);
        let normal = self.faults.check(&path, NormalPath::parse(text.as_bytes()))?;
        if text.contains('?') {
            self.faults.add(&path, "expected a path without query");
        }
        match raw {
            raw::PathMatch::Exact(_) => Some(PathPattern::exact(normal.as_str())),
            raw::PathMatch::Prefix(_) => Some(PathPattern::prefix(normal.as_str())),
            raw::PathMatch::Template(_) => {
                let pattern = PathPattern::template(normal.as_str());
                self.faults.expect(&path, pattern, "segments such as \"/users/{id}\", a name filling its segment")
            }
        }
    }

    fn requirement(&mut self, path: &Path, raw: raw::Require) -> Option<Requirement> {
        let all = match raw.all {
            None => self.group(path, raw).into_iter().collect(),
            Some(members) => {
                if raw.provider.is_some() || raw.any.is_some() || !raw.scopes.is_empty() || !raw.claims.is_empty() || raw.allow_missing
                {
                    self.faults.add(path, "expected nothing beside all: write it inside its members");
                }
                let path = path.member("all");
                self.expect_some(&path, &members, "member");
                let mut groups = Vec::new();
                for (index, member) in members.into_iter().enumerate() {
                    let path = path.item(index);
                    if member.all.is_some() {
                        self.faults.add(&path.member("all"), "expected provider or any inside all");
                    } else {
                        groups.extend(self.group(&path, member));
                    }
                }
                groups
            }
        };
        if all.is_empty() { None } else { Some(Requirement { all }) }
    }

    /// `provider` alone is `any` of one.
    fn group(&mut self, path: &Path, raw: raw::Require) -> Option<AnyOf> {
        let allow_missing = raw.allow_missing;
        let alternatives: Vec<_> = match (&raw.provider, raw.any) {
            (Some(_), None) => {
                self.alternative(path, raw.provider, raw.scopes, raw.claims).into_iter().collect()
            }
            (None, Some(members)) => {
                if !raw.scopes.is_empty() || !raw.claims.is_empty() {
                    self.faults.add(path, "expected scopes and claims inside the members of any");
                }
                let path = path.member("any");
                self.expect_some(&path, &members, "member");
                let mut alternatives = Vec::new();
                for (index, member) in members.into_iter().enumerate() {
                    let path = path.item(index);
                    if member.any.is_some() || member.all.is_some() || member.allow_missing {
                        self.faults.add(&path, "expected provider, scopes and claims only, inside any");
                    } else {
                        alternatives.extend(self.alternative(&path, member.provider, member.scopes, member.claims));
                    }
                }
                alternatives
            }
            (Some(_), Some(_)) | (None, None) => {
                self.faults.add(path, "expected exactly one of provider, any, all");
                Vec::new()
            }
        };
        self.check_issuers(path, &alternatives);
        if alternatives.is_empty() { None } else { Some(AnyOf { alternatives, allow_missing }) }
    }

    /// A token's issuer must lead to one provider of the group.
    fn check_issuers(&mut self, path: &Path, alternatives: &[ProviderRequirement]) {
        let in_group = |id: ProviderId| alternatives.iter().any(|alternative| alternative.provider == id);
        let mut shared: Vec<&String> = Vec::new();
        for (issuer, trusted) in &self.issuers {
            if trusted.iter().filter(|trusted| in_group(trusted.provider)).count() > 1 {
                shared.push(issuer);
            }
        }
        shared.sort();
        if let Some(issuer) = shared.first() {
            let message = format!("expected each issuer at one provider of the group, but {issuer:?} is at several");
            self.faults.add(path, message);
        }
    }

    fn alternative(
        &mut self,
        path: &Path,
        provider: Option<String>,
        scopes: Vec<String>,
        claims: Vec<raw::Condition>,
    ) -> Option<ProviderRequirement> {
        let provider = self.provider_id(&path.member("provider"), provider);
        let scopes_path = path.member("scopes");
        for (index, scope) in scopes.iter().enumerate() {
            // RFC 6749 section 3.3.
            let is_scope = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
            if scope.is_empty() || !scope.bytes().all(is_scope) {
                let message = format_args!("expected one scope (RFC 6749 section 3.3), but found {scope:?}");
                self.faults.add(&scopes_path.item(index), message);
            }
        }
        let claims_path = path.member("claims");
        let mut conditions = Vec::new();
        for (index, claim) in claims.into_iter().enumerate() {
            conditions.extend(self.condition(&claims_path.item(index), claim));
        }
        Some(ProviderRequirement { provider: provider?, scopes, conditions })
    }

    fn provider_id(&mut self, path: &Path, name: Option<String>) -> Option<ProviderId> {
        let name = self.faults.expect(path, name, "the name of a provider")?;
        let id = self.ids.get(&name).copied();
        if id.is_none() {
            let mut known: Vec<_> = self.ids.keys().map(String::as_str).collect();
            known.sort_unstable();
            let known = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
            self.faults.add(path, format_args!("expected the name of a provider ({known}), but found {name:?}"));
        }
        id
    }

    fn condition(&mut self, path: &Path, raw: raw::Condition) -> Option<ClaimCondition> {
        let claim = self.claim_path(&path.member("path"), raw.path);
        let test = match (raw.equals, raw.one_of, raw.contains) {
            (Some(value), None, None) => {
                self.check_scalar(&path.member("equals"), &value);
                Some(ConditionTest::Equals(value))
            }
            (None, Some(values), None) => {
                let path = path.member("one_of");
                self.expect_some(&path, &values, "value");
                for (index, value) in values.iter().enumerate() {
                    self.check_scalar(&path.item(index), value);
                }
                Some(ConditionTest::OneOf(values))
            }
            (None, None, Some(value)) => {
                self.check_scalar(&path.member("contains"), &value);
                Some(ConditionTest::Contains(value))
            }
            _ => {
                self.faults.add(path, "expected exactly one of equals, one_of, contains");
                None
            }
        };
        Some(ClaimCondition { path: claim?, test: test? })
    }

    fn check_scalar(&mut self, path: &Path, value: &Value) {
        if !(value.is_string() || value.is_number() || value.is_boolean()) {
            self.faults.add(path, "expected a string, number or boolean");
        }
    }
}

/// Headers, challenge, limits.
impl Compiler<'_> {
    fn identity(&mut self, raw: Vec<raw::IdentityHeader>, payload: Option<String>) -> IdentityMapping {
        let root = Path::default();
        let path = root.member("identity_headers");
        let mut mapping = IdentityMapping::default();
        for (index, raw) in raw.into_iter().enumerate() {
            let path = path.item(index);
            let header = self.faults.expect(&path.member("header"), raw.header, "a header name");
            let header = header.and_then(|header| self.identity_name(&path.member("header"), &header, &mapping));
            let claim = self.claim_path(&path.member("claim"), raw.claim);
            let provider = raw.provider.map(|name| self.provider_id(&path.member("provider"), Some(name)));
            if let (Some(header), Some(claim)) = (header, claim) {
                mapping.headers.push(IdentityHeader {
                    header,
                    claim,
                    provider: provider.flatten(),
                    list: match raw.list {
                        raw::ListStyle::Comma => ListStyle::Comma,
                        raw::ListStyle::Space => ListStyle::Space,
                        raw::ListStyle::Json => ListStyle::Json,
                        raw::ListStyle::Repeat => ListStyle::Repeat,
                    },
                    encoding: match raw.encoding {
                        raw::Encoding::Percent => ValueEncoding::Percent,
                        raw::Encoding::Base64url => ValueEncoding::Base64Url,
                        raw::Encoding::Reject => ValueEncoding::Reject,
                    },
                    when_missing: match raw.when_missing {
                        raw::WhenMissing::Omit => WhenMissing::Omit,
                        raw::WhenMissing::Reject => WhenMissing::Reject,
                    },
                });
            }
        }
        if let Some(name) = payload {
            mapping.payload_header = self.identity_name(&root.member("payload_header"), &name, &mapping);
        }
        mapping
    }

    fn identity_name(&mut self, path: &Path, name: &str, mapping: &IdentityMapping) -> Option<String> {
        let name = self.header_name(path, name)?;
        // Headers by which hosts route, frame, or authenticate.
        const RESERVED: [&str; 14] = [
            "authorization", "connection", "content-encoding", "content-length", "content-type", "cookie", "expect",
            "host", "keep-alive", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
        ];
        if RESERVED.contains(&name.as_str()) {
            self.faults.add(path, format_args!("header {name:?} has a meaning of its own in HTTP"));
            return None;
        }
        if ManagedHeaders::new(mapping.names()).covers(name.as_bytes()) {
            self.faults.add(path, format_args!("header {name:?} is there already, or is an alias of one that is"));
            return None;
        }
        Some(name)
    }

    fn challenge(&mut self, path: &Path, raw: raw::Challenge) -> Challenge {
        let is_plain = |text: &String| {
            text.bytes().all(|byte| (byte.is_ascii_graphic() || byte == b' ') && byte != b'"' && byte != b'\\')
        };
        if raw.realm.as_ref().is_some_and(|realm| !is_plain(realm)) {
            self.faults.add(&path.member("realm"), "expected visible ASCII without quotes and backslashes");
        }
        if let Some(url) = &raw.resource_metadata {
            self.faults.check(&path.member("resource_metadata"), HttpUri::parse(url));
        }
        Challenge { realm: raw.realm, resource_metadata: raw.resource_metadata }
    }

    fn max_token_bytes(&mut self, path: &Path, raw: &raw::Limits) -> usize {
        let Some(bytes) = raw.max_token_bytes else { return DEFAULT_TOKEN_BYTES };
        if !(MIN_TOKEN_BYTES..=MAX_TOKEN_BYTES).contains(&bytes) {
            let message = format_args!("expected {MIN_TOKEN_BYTES} to {MAX_TOKEN_BYTES} bytes, but found {bytes}");
            self.faults.add(&path.member("max_token_bytes"), message);
        }
        usize::try_from(bytes).unwrap_or(DEFAULT_TOKEN_BYTES)
    }
}

/// What every part needs.
impl Compiler<'_> {
    fn expect_some<T>(&mut self, path: &Path, list: &[T], what: &str) {
        if list.is_empty() {
            self.faults.add(path, format_args!("expected at least one {what}"));
        }
    }

    fn duration(&mut self, path: &Path, text: Option<&str>, min: Duration, max: Duration) -> Option<Duration> {
        let duration = self.faults.check(path, duration::parse(text?))?;
        if duration < min || duration > max {
            self.faults.add(path, OutOfRange { min, max });
        }
        Some(duration)
    }

    fn claim_path(&mut self, path: &Path, segments: Vec<String>) -> Option<ClaimPath> {
        self.faults.expect(path, ClaimPath::new(segments), "the names on the way to a claim, such as [sub]")
    }

    fn header_name(&mut self, path: &Path, name: &str) -> Option<String> {
        self.check_token(path, name, "a header name");
        is_token(name).then(|| name.to_ascii_lowercase())
    }

    fn check_token(&mut self, path: &Path, text: &str, what: &str) {
        if !is_token(text) {
            self.faults.add(path, format_args!("expected {what}, but found {text:?}"));
        }
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_tchar)
}

struct OutOfRange {
    min: Duration,
    max: Duration,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.max == Duration::MAX {
            write!(f, "expected at least {:?}", self.min)
        } else {
            write!(f, "expected {:?} to {:?}", self.min, self.max)
        }
    }
}
