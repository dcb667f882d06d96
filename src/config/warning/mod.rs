//! What is legal in a configuration, and still worth a second look.
//!
//! Computed from what was compiled and only when asked for, so that no filter pays for it. What is here is what operators are
//! glad to be told; a plain, strict document has no warning.

mod coverage;

use super::Config;
use super::fault::Path;
use crate::authn::{Provider, TokenLocation, Verification};
use crate::gateway::{GatewayPolicy, Personal, TenantId};
use crate::jwt::ClaimPath;
use crate::oauth::Introspection;
use crate::oidc::KeySetSource;
use crate::policy::{Enforcement, ProviderId, RuleAction, WhenMissing};
use coverage::Coverage;
use std::fmt;
use std::time::Duration;

/// Clocks that are kept by NTP differ by less than a second.
const LONG_SKEW: Duration = Duration::from_secs(300);

/// A token that is withdrawn should not pass for long.
const LONG_CACHE: Duration = Duration::from_secs(300);

/// One choice worth a second look.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// As in [`super::Fault`].
    pub path: String,
    /// What it means, and what to do instead.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl Config {
    /// Risky choices and rules without effect, in the order of the document: providers, rules, headers.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut found = Found::default();
        let providers = &self.policy().providers;
        for (index, (provider, verification)) in providers.iter().zip(self.verifications()).enumerate() {
            let path = Path::default().member("providers").member(&provider.name);
            found.claims(&path, provider);
            found.locations(&path.member("from"), provider);
            match verification {
                Verification::Keys(source) => found.keys(&path.member("jwks"), source),
                Verification::Introspection(introspection) => {
                    found.introspection(&path.member("introspection"), introspection);
                }
            }
            found.binding(&path, provider);
            if !self.is_used(ProviderId(index)) {
                found.add(&path, "no rule requires this provider: its tokens are never accepted");
            }
        }
        found.rules(self);
        found.headers(self);
        if let Some(gateway) = self.gateway() {
            found.scim(&Path::default().member("scim"), gateway);
        }
        found.0
    }

    fn is_used(&self, id: ProviderId) -> bool {
        self.rules().any(|rule| match &rule.action {
            RuleAction::Anonymous => false,
            RuleAction::Require(requirement) => {
                requirement.all.iter().any(|group| group.of(id).next().is_some())
            }
        })
    }
}

#[derive(Default)]
struct Found(Vec<Warning>);

impl Found {
    fn add(&mut self, path: &Path, message: impl fmt::Display) {
        self.0.push(Warning { path: path.to_string(), message: message.to_string() });
    }

    fn claims(&mut self, path: &Path, provider: &Provider) {
        let claims = &provider.claims;
        if claims.audiences.is_none() {
            self.add(
                &path.member("danger_any_audience"),
                "a token that this issuer made for any other service is accepted here; list the audiences",
            );
        }
        for (index, algorithm) in provider.algorithms.iter().enumerate() {
            if algorithm.is_symmetric() {
                let message = format_args!(
                    "{algorithm} uses a shared secret: whoever can check a token can make one, and the secret \
                     is in this document"
                );
                self.add(&path.member("algorithms").item(index), message);
            }
        }
        if claims.clock_skew > LONG_SKEW {
            let message = format_args!(
                "every token is accepted for {:?} after its end; synchronize clocks",
                claims.clock_skew
            );
            self.add(&path.member("clock_skew"), message);
        }
        if claims.allow_no_expiry && !provider.is_introspected {
            self.add(
                &path.member("danger_no_expiry"),
                "a token without exp is accepted until its key is withdrawn, whoever has stolen it",
            );
        }
    }

    fn scim(&mut self, path: &Path, gateway: &GatewayPolicy) {
        if gateway.personal == Personal::Plain {
            self.add(
                &path.member("audit").member("personal_data"),
                "audit lines name persons; keep them as long as the law lets you, and no longer",
            );
        }
        for (index, tenant) in gateway.tenants.iter().enumerate() {
            let path = path.member("tenants").member(&tenant.name);
            if tenant.base_url.starts_with("http:") {
                self.add(
                    &path.member("base_url"),
                    "clients send their tokens as they are to an http address",
                );
            }
            for name in gateway.tokens.without_end(TenantId(index)) {
                let message = format_args!(
                    "token {name:?} has no expires: whoever has a copy of it may use it for good"
                );
                self.add(&path.member("tokens"), message);
            }
        }
    }

    fn locations(&mut self, path: &Path, provider: &Provider) {
        for (index, location) in provider.locations.iter().enumerate() {
            let path = path.item(index);
            match location {
                TokenLocation::Header { .. } => {}
                TokenLocation::Cookie(_) => self.add(
                    &path.member("cookie"),
                    "browsers send cookies along with requests that other sites cause: the cookie needs SameSite, \
                     or the application protection against CSRF",
                ),
                TokenLocation::Query(_) => self.add(
                    &path.member("query"),
                    "tokens in addresses get into access logs, browser histories and Referer (RFC 6750 section 5.3)",
                ),
            }
        }
    }

    fn keys(&mut self, path: &Path, source: &KeySetSource) {
        let kind = match source {
            KeySetSource::Discovery(discovery) if discovery.allow_http => "discovery",
            // Without a plain address the permission has no effect.
            KeySetSource::Remote(remote) if remote.endpoint.scheme == "http" => "remote",
            KeySetSource::Inline(_) | KeySetSource::Discovery(_) | KeySetSource::Remote(_) => return,
        };
        self.add(
            &path.member(kind).member("danger_allow_http"),
            "keys may be fetched without TLS: whoever can change them on the way can forge tokens",
        );
    }

    fn introspection(&mut self, path: &Path, introspection: &Introspection) {
        if introspection.endpoint.scheme == "http" {
            self.add(
                &path.member("danger_allow_http"),
                "tokens and our credentials are sent without TLS: whoever is on the way can read them, and vouch for any token",
            );
        }
        if introspection.cache_for > LONG_CACHE {
            let message = format_args!(
                "a token that is withdrawn passes for up to {:?} longer",
                introspection.cache_for
            );
            self.add(&path.member("cache_for"), message);
        }
    }

    fn binding(&mut self, path: &Path, provider: &Provider) {
        let binding = &provider.binding;
        if binding.ignore_unchecked {
            self.add(
                &path.member("danger_ignore_confirmation"),
                "a token that its issuer has bound to one client is accepted from whoever holds it",
            );
        }
        if binding.dpop.as_ref().is_some_and(|dpop| !dpop.required) {
            self.add(
                &path.member("dpop").member("required"),
                "tokens that are not bound are accepted too: a stolen one passes",
            );
        }
    }

    fn rules(&mut self, config: &Config) {
        let rules = &config.policy().rules;
        let covered: Vec<_> = rules.iter().map(|rule| Coverage::of(&rule.matches)).collect();
        let root = Path::default().member("rules");
        for (index, (rule, own)) in rules.iter().zip(&covered).enumerate() {
            let path = root.item(index);
            if let Some(first) = covered.iter().take(index).position(|earlier| earlier.covers(own)) {
                let message =
                    format_args!("no request gets here: rules[{first}] matches all that this rule does");
                self.add(&path.member("match"), message);
            }
            match &rule.action {
                RuleAction::Anonymous if own.is_everything() => self.add(
                    &path.member("allow"),
                    "every request that no rule before matches passes without token, new paths of the \
                     application included; list the open paths",
                ),
                RuleAction::Require(requirement) if requirement.enforcement == Enforcement::Report => self.add(
                    &path.member("enforce"),
                    "requests without what is required pass and are only reported; set deny once the reports are \
                     as expected",
                ),
                RuleAction::Anonymous | RuleAction::Require(_) => {}
            }
        }
    }

    fn headers(&mut self, config: &Config) {
        let policy = config.policy();
        let subject = ClaimPath::top("sub");
        let root = Path::default().member("identity_headers");
        for (index, header) in policy.identity.headers.iter().enumerate() {
            let mut providers = policy.providers.iter().enumerate();
            let may_lack_it = providers.any(|(id, provider)| {
                let is_meant = header.provider.is_none_or(|only| only == ProviderId(id));
                is_meant && !provider.claims.required_claims.contains(&subject)
            });
            if header.claim == subject && header.when_missing == WhenMissing::Omit && may_lack_it {
                let message = format_args!(
                    "a valid token without sub passes, and the application sees no {}; with reject it is denied",
                    header.header
                );
                self.add(&root.item(index).member("when_missing"), message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A strict document, changed at JSON pointers, must have warnings at exactly these paths.
    fn check(changes: &[(&str, Value)], expected: &[&str]) {
        let mut document = json!({
            "providers": {"corp": {
                "issuer": "https://login.example.com/",
                "audiences": ["api"],
                "jwks": {"remote": {"uri": "https://login.example.com/jwks", "cluster": "idp"}},
            }},
            "rules": [{"match": {"path": {"prefix": "/"}}, "require": {"provider": "corp"}}],
        });
        for (pointer, value) in changes {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let parent = document.pointer_mut(parent).unwrap();
            if let Some(items) = parent.as_array_mut() {
                items.insert(name.parse().unwrap(), value.clone());
            } else if value.is_null() {
                parent.as_object_mut().unwrap().remove(name);
            } else {
                parent[name] = value.clone();
            }
        }
        let config = Config::load(document.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let found = config.warnings();
        let paths: Vec<_> = found.iter().map(|warning| warning.path.as_str()).collect();
        assert_eq!(paths, expected, "{changes:?}\n{found:#?}");
    }

    fn corp(changes: &[(&str, Value)], expected: &[&str]) {
        let pointers: Vec<_> = changes.iter().map(|(name, _)| format!("/providers/corp/{name}")).collect();
        let changes: Vec<_> =
            pointers.iter().zip(changes).map(|(at, (_, v))| (at.as_str(), v.clone())).collect();
        let expected: Vec<_> = expected.iter().map(|path| format!("providers.corp.{path}")).collect();
        check(&changes, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn a_strict_document_has_none() {
        check(&[], &[]);
        check(&[("/payload_header", json!("x-payload")), ("/bypass_cors_preflight", json!(true))], &[]);
        corp(&[("clock_skew", json!("5m")), ("forward_token", json!(true))], &[]);
        corp(&[("from", json!([{"header": "x-token"}]))], &[]);
    }

    #[test]
    fn each_danger_that_is_set_is_named() {
        corp(&[("danger_any_audience", json!(true)), ("audiences", Value::Null)], &["danger_any_audience"]);
        corp(&[("danger_no_expiry", json!(true))], &["danger_no_expiry"]);
        let remote = json!({"remote": {"uri": "http://a/", "cluster": "c", "danger_allow_http": true}});
        corp(&[("jwks", remote)], &["jwks.remote.danger_allow_http"]);
        let discovery = json!({"discovery": {"cluster": "c", "danger_allow_http": true}});
        corp(&[("jwks", discovery)], &["jwks.discovery.danger_allow_http"]);
        corp(&[("danger_ignore_confirmation", json!(true))], &["danger_ignore_confirmation"]);
        let introspection = json!({"uri": "http://a/", "cluster": "c", "client_id": "e", "client_secret": "s",
            "danger_allow_http": true});
        let asked = [("jwks", Value::Null), ("introspection", introspection)];
        corp(&asked, &["introspection.danger_allow_http"]);
    }

    #[test]
    fn weak_choices_of_a_provider_are_named() {
        let secret =
            json!({"inline": {"keys": [{"kty": "oct", "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}});
        corp(&[("jwks", secret), ("algorithms", json!(["RS256", "HS256"]))], &["algorithms[1]"]);
        corp(&[("clock_skew", json!("301s"))], &["clock_skew"]);
        corp(&[("dpop", json!({"required": false}))], &["dpop.required"]);
        corp(&[("dpop", json!({}))], &[]);
        let introspection = json!({"uri": "https://a/", "cluster": "c", "client_id": "e", "client_secret": "s",
            "cache_for": "10m"});
        corp(&[("jwks", Value::Null), ("introspection", introspection)], &["introspection.cache_for"]);
        corp(&[("from", json!([{"query": "t"}, {"cookie": "t"}]))], &["from[0].query", "from[1].cookie"]);
    }

    #[test]
    fn a_provider_that_no_rule_requires_is_named() {
        let other = json!({"issuer": "a", "audiences": ["a"], "jwks": {"remote": {"uri": "https://a/", "cluster": "c"}}});
        check(&[("/providers/other", other.clone())], &["providers.other"]);
        let any = json!({"any": [{"provider": "corp"}, {"provider": "other"}]});
        check(&[("/providers/other", other), ("/rules/0/require", any)], &[]);
    }

    #[test]
    fn a_rule_that_no_request_reaches_is_named() {
        let rule = |matches: Value| json!({"match": matches, "require": {"provider": "corp"}});
        check(&[("/rules/0", rule(json!({"path": {"prefix": "/a"}})))], &[]);
        check(&[("/rules/1", rule(json!({"path": {"exact": "/a"}})))], &["rules[1].match"]);
        check(&[("/rules/0", rule(json!({})))], &["rules[1].match"]);
        check(&[("/rules/0", rule(json!({"methods": ["GET"]})))], &[]);
    }

    #[test]
    fn a_rule_that_only_reports_is_named() {
        check(&[("/rules/0/enforce", json!("report"))], &["rules[0].enforce"]);
        check(&[("/rules/0/enforce", json!("deny"))], &[]);
    }

    #[test]
    fn what_leaves_the_rest_open_is_named() {
        let open = |matches: Value| json!({"match": matches, "allow": "anonymous"});
        let protect = ("/rules/0/match/path/prefix", json!("/admin"));
        check(&[protect.clone(), ("/rules/1", open(json!({})))], &["rules[1].allow"]);
        check(&[protect.clone(), ("/rules/1", open(json!({"path": {"prefix": "/"}})))], &["rules[1].allow"]);
        for narrow in
            [json!({"path": {"exact": "/"}}), json!({"hosts": ["a.b"]}), json!({"methods": ["OPTIONS"]})]
        {
            check(&[protect.clone(), ("/rules/1", open(narrow))], &[]);
        }
    }

    #[test]
    fn a_subject_that_may_be_absent_is_named() {
        let header = |value: Value| ("/identity_headers", json!([value]));
        let plain = header(json!({"header": "x-user", "claim": ["sub"]}));
        check(std::slice::from_ref(&plain), &["identity_headers[0].when_missing"]);
        check(&[plain, ("/providers/corp/required_claims", json!([["sub"]]))], &[]);
        check(&[header(json!({"header": "x-user", "claim": ["sub"], "when_missing": "reject"}))], &[]);
        check(&[header(json!({"header": "x-groups", "claim": ["groups"]}))], &[]);
    }

    #[test]
    fn scim_is_looked_at_too() {
        let token = json!({"name": "a", "sha256": "ab".repeat(32)});
        let scim = |changes: &[(&str, Value)]| {
            let mut scim = json!({
                "base_url": "https://scim.example.com/{tenant}",
                "store": {"gateway": "edge", "key": {"id": "k1", "secret": "A".repeat(43)}},
                "tenants": {"acme": {"tokens": [token], "jwt": {"provider": "corp"}}},
            });
            scim["tenants"]["acme"]["tokens"][0]["expires"] = json!("2027-01-01T00:00:00Z");
            for (pointer, value) in changes {
                let (parent, name) = pointer.rsplit_once('/').unwrap();
                scim.pointer_mut(parent).unwrap()[name] = value.clone();
            }
            scim
        };
        check(&[("/scim", scim(&[]))], &[]);
        // A provider that only tenants have is one that is used.
        let anonymous = json!([{"match": {"path": {"exact": "/healthz"}}, "allow": "anonymous"}]);
        check(&[("/rules", anonymous), ("/scim", scim(&[]))], &[]);
        check(
            &[(
                "/scim",
                scim(&[
                    ("/audit", json!({"personal_data": "plain"})),
                    ("/base_url", json!("http://scim.example.com/{tenant}")),
                    ("/tenants/acme/tokens", json!([token])),
                ]),
            )],
            &["scim.audit.personal_data", "scim.tenants.acme.base_url", "scim.tenants.acme.tokens"],
        );
    }
}
