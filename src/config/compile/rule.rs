//! Rules: what they are for, and what they require.

use super::Compiler;
use crate::config::fault::Path;
use crate::config::raw;
use crate::http::is_method;
use crate::policy::{
    AnyOf, ClaimCondition, ConditionTest, Enforcement, HostPattern, NormalPath, PathPattern, ProviderId,
    ProviderRequirement, Requirement, Rule, RuleAction, RuleMatch, Rules,
};
use serde_json::Value;

impl Compiler<'_> {
    pub(super) fn rules(&mut self, path: &Path, raw: Vec<raw::Rule>) -> Rules {
        if raw.is_empty() {
            self.faults.add(path, super::NO_RULES);
        }
        let rules = raw.into_iter().enumerate();
        Rules::new(rules.filter_map(|(index, raw)| self.rule(&path.item(index), raw)).collect())
    }

    fn rule(&mut self, path: &Path, raw: raw::Rule) -> Option<Rule> {
        let matches =
            self.faults.expect(&path.member("match"), raw.matches, "what the rule is for ({} is everything)");
        let matches = matches.map(|matches| self.rule_match(&path.member("match"), matches));
        let enforcement = match raw.enforce {
            Some(raw::Enforce::Report) => Enforcement::Report,
            Some(raw::Enforce::Deny) | None => Enforcement::Deny,
        };
        let action = match (raw.allow, raw.require) {
            (Some(raw::Allow::Anonymous), None) => {
                if raw.enforce.is_some() {
                    self.faults.add(&path.member("enforce"), "expected require beside enforce");
                }
                Some(RuleAction::Anonymous)
            }
            (None, Some(require)) => {
                let all = self.requirement(&path.member("require"), require);
                all.map(|all| RuleAction::Require(Requirement { all, enforcement }))
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
            let message = format!(
                "a host without port, such as \"api.example.com\" or \"*.example.com\", not {host:?}"
            );
            hosts.extend(self.faults.expect(&hosts_path.item(index), pattern, &message));
        }
        let methods_path = path.member("methods");
        let methods = raw.methods.unwrap_or_default();
        for (index, method) in methods.iter().enumerate() {
            if !is_method(method.as_bytes()) {
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
                self.faults.expect(
                    &path,
                    pattern,
                    "segments such as \"/users/{id}\", a name filling its segment",
                )
            }
        }
    }

    /// The groups of a requirement, at least one.
    pub(super) fn requirement(&mut self, path: &Path, raw: raw::Require) -> Option<Vec<AnyOf>> {
        let all = match raw.all {
            None => self.group(path, raw).into_iter().collect(),
            Some(members) => {
                if raw.provider.is_some()
                    || raw.any.is_some()
                    || !raw.scopes.is_empty()
                    || !raw.claims.is_empty()
                    || raw.allow_missing
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
        if all.is_empty() { None } else { Some(all) }
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
                        alternatives.extend(self.alternative(
                            &path,
                            member.provider,
                            member.scopes,
                            member.claims,
                        ));
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

    /// A token must lead to one provider of the group: a JWT by its issuer, and an opaque one, which names nobody, to the only one
    /// that is asked.
    fn check_issuers(&mut self, path: &Path, alternatives: &[ProviderRequirement]) {
        let mut asked = alternatives
            .iter()
            .map(|alternative| alternative.provider)
            .filter(|id| self.introspected.contains(id));
        let first = asked.next();
        if asked.any(|id| Some(id) != first) {
            let message = "expected at most one provider with introspection in a group: an opaque token names no issuer";
            self.faults.add(path, message);
        }
        let in_group = |id: ProviderId| alternatives.iter().any(|alternative| alternative.provider == id);
        let by_keys = |id: ProviderId| in_group(id) && !self.introspected.contains(&id);
        let shared = self
            .issuers
            .iter()
            .filter(|(_, trusted)| trusted.iter().filter(|trusted| by_keys(trusted.provider)).count() > 1);
        if let Some(issuer) = shared.map(|(issuer, _)| issuer).min() {
            let message =
                format!("expected each issuer at one provider of the group, but {issuer:?} is at several");
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

    pub(super) fn provider_id(&mut self, path: &Path, name: Option<String>) -> Option<ProviderId> {
        let name = self.faults.expect(path, name, "the name of a provider")?;
        let id = self.ids.get(&name).copied();
        if id.is_none() {
            let known: Vec<_> = self.ids.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
            self.faults
                .add(path, format_args!("expected the name of a provider ({known}), but found {name:?}"));
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
