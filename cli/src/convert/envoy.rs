//! Envoy's `jwt_authn` filter: `envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication`.

use super::document::{Document, Jwks, Match, Provider, Require, Rule};
use super::node::Node;
use super::note::Notes;
use super::{place, provider};
use doorward::policy::HostPattern;
use serde_json::Value;
use std::collections::BTreeMap;

const MAX_SKEW_SECONDS: u64 = 600;
const TIMEOUT_MILLIS: [u64; 2] = [100, 60_000];
const REFRESH_MILLIS: [u64; 2] = [1000, 86_400_000];
const LIFETIME_MILLIS: [u64; 2] = [1000, u64::MAX];

/// Converts the filter's configuration, or the first one in a bootstrap.
pub(super) fn convert(input: Value, notes: &mut Notes) -> Result<Document, String> {
    let mut found = Vec::new();
    find("", input, &mut found);
    let mut filters = Vec::new();
    for (path, kind, value) in found {
        if kind.ends_with("JwtAuthentication") {
            filters.push((path, value));
        } else {
            notes.not_converted(&path, "requirements of single routes have no counterpart: write rules");
        }
    }
    let mut filters = filters.into_iter();
    let (path, value) = filters.next().ok_or("expected a jwt_authn filter, but found none")?;
    for (path, _) in filters {
        notes.not_converted(&path, "is another jwt_authn filter: each needs a document of its own");
    }
    let filter = Node::new(&path, value, notes).ok_or("expected the configuration of a jwt_authn filter")?;
    Ok(convert_filter(filter, notes))
}

/// Every configuration of this filter, with its place and type; the input itself if it has providers.
fn find(path: &str, value: Value, found: &mut Vec<(String, String, Value)>) {
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(members) => {
            let kind = members.get("@type").and_then(Value::as_str).unwrap_or_default();
            if kind.contains(".jwt_authn.") {
                found.push((path.to_owned(), kind.to_owned(), Value::Object(members)));
            } else if path.is_empty() && (members.contains_key("providers") || members.contains_key("rules"))
            {
                found.push((String::new(), "JwtAuthentication".to_owned(), Value::Object(members)));
            } else {
                members.into_iter().for_each(|(name, value)| find(&at(&name), value, found));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.into_iter().enumerate() {
                find(&format!("{path}[{index}]"), item, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn convert_filter(mut filter: Node, notes: &mut Notes) -> Document {
    filter.ignore(&["@type", "stat_prefix"]);
    let mut document = Document {
        bypass_cors_preflight: filter.flag("bypass_cors_preflight", notes),
        ..Document::default()
    };
    let mut providers = filter.object("providers", notes);
    for (name, value) in providers.iter_mut().flat_map(Node::take_all).collect::<Vec<_>>() {
        let path = filter.at(&format!("providers.{name}"));
        if let Some(node) = Node::new(&path, value, notes) {
            let provider = convert_provider(&name, node, &mut document, notes);
            document.providers.insert(name, provider);
        }
    }
    if document.providers.len() > 1 && document.payload_header.is_some() {
        notes.differs(
            &filter.at("providers"),
            "the payload header is set from the first token, whoever issued it",
        );
    }
    let mut named = BTreeMap::new();
    let mut map = filter.object("requirement_map", notes);
    for (name, value) in map.iter_mut().flat_map(Node::take_all).collect::<Vec<_>>() {
        named.insert(name, value);
    }
    let mut rules = Rules { named, providers: &document.providers, lost: None, rules: Vec::new() };
    let rules_path = filter.at("rules");
    for rule in filter.objects("rules", notes) {
        rules.rule(rule, notes);
    }
    let mut rules = rules.rules;
    finish_rules(&mut rules, &rules_path, notes);
    document.rules = rules;
    filter.finish(notes);
    document
}

/// What Envoy does with requests that no rule is for, and how paths are read.
fn finish_rules(rules: &mut Vec<Rule>, path: &str, notes: &mut Notes) {
    let is_for_all = |rule: &Rule| {
        rule.matches.path.is_none() && rule.matches.hosts.is_empty() && rule.matches.methods.is_empty()
    };
    if !rules.iter().any(is_for_all) {
        notes.differs(
            path,
            "Envoy lets requests through that no rule is for; here they are denied: \
             add a last rule `{ match: {}, allow: anonymous }` if that is meant",
        );
    }
    if rules.iter().any(|rule| rule.matches.path.is_some()) {
        notes.differs(path, "a slash at the end of a path does not count, and ambiguous paths are refused");
    }
    if rules.is_empty() {
        // No rule at all would be a fault. This one admits nobody.
        let nobody = Match { hosts: vec!["nobody.invalid".to_owned()], ..Match::default() };
        rules.push(Rule::anonymous(nobody));
        notes.add_to_do(path, "there is no rule: the one for host nobody.invalid stands for those to come");
    }
}

fn convert_provider(name: &str, mut node: Node, document: &mut Document, notes: &mut Notes) -> Provider {
    let mut provider = provider::identity(&mut node, notes);
    if !node.flag("require_expiration", notes) {
        provider::note_expiry(&node.path, notes);
    }
    provider.jwks = keys(&mut node, notes).or_else(|| Some(provider::no_keys(&node.path, notes)));
    provider.forward_token = node.flag("forward", notes);
    provider.from =
        place::locations(&mut node, ["from_headers", "from_params", "from_cookies"], "value_prefix", notes);
    if let Some(skew) = node.take("clock_skew_seconds") {
        match skew.as_u64() {
            // To Envoy, 0 is the default.
            Some(0) => {}
            Some(seconds) if seconds <= MAX_SKEW_SECONDS => provider.clock_skew = Some(format!("{seconds}s")),
            _ => notes.not_converted(&node.at("clock_skew_seconds"), "expected at most 600 seconds"),
        }
    }
    provider.max_lifetime = provider::duration_member(&mut node, "max_lifetime", LIFETIME_MILLIS, notes);
    if provider.max_lifetime.is_some() {
        notes.differs(&node.at("max_lifetime"), "counts from \"iat\", not from now");
    }
    let names = ["claim_to_headers", "header_name", "claim_name"];
    if node.has("claim_to_headers") {
        notes.differs(&node.at("claim_to_headers"), "lists are written as a,b and not as base64url of JSON");
    }
    provider::claim_headers(document, &mut node, names, name, notes);
    if let Some(header) = node.string("forward_payload_header", notes) {
        provider::payload_header(document, &node.at("forward_payload_header"), &header, notes);
    }
    if node.flag("pad_forward_payload_header", notes) {
        notes.not_converted(&node.at("pad_forward_payload_header"), "the payload is written as in the token");
    }
    node.finish(notes);
    provider
}

fn keys(node: &mut Node, notes: &mut Notes) -> Option<Jwks> {
    if let Some(mut remote) = node.object("remote_jwks", notes) {
        let refresh = provider::duration_member(&mut remote, "cache_duration", REFRESH_MILLIS, notes);
        if remote.take("async_fetch").is_some() {
            notes.differs(&remote.at("async_fetch"), "keys are always fetched ahead");
        }
        if remote.take("retry_policy").is_some() {
            notes.differs(
                &remote.at("retry_policy"),
                "failed fetches are always repeated, at growing distances",
            );
        }
        let mut http = remote.object("http_uri", notes)?;
        let timeout = provider::duration_member(&mut http, "timeout", TIMEOUT_MILLIS, notes);
        let (uri, cluster) = (http.string("uri", notes), http.string("cluster", notes));
        let found = provider::remote(&http.at("uri"), &uri.unwrap_or_default(), cluster, notes);
        http.finish(notes);
        remote.finish(notes);
        return found.map(|mut found| {
            (found.timeout, found.refresh) = (timeout, refresh);
            Jwks::Remote(found)
        });
    }
    let mut local = node.object("local_jwks", notes)?;
    let text = local.string("inline_string", notes);
    let found = text.and_then(|text| provider::inline(&local.at("inline_string"), &text, notes));
    for name in ["filename", "inline_bytes", "environment_variable"] {
        local.refuse(name, "write the key set itself into `jwks.inline`", notes);
    }
    local.finish(notes);
    found
}

struct Rules<'d> {
    named: BTreeMap<String, Value>,
    providers: &'d BTreeMap<String, Provider>,
    /// The first rule with a requirement that could not be converted.
    lost: Option<String>,
    rules: Vec<Rule>,
}

impl Rules<'_> {
    fn rule(&mut self, mut node: Node, notes: &mut Notes) {
        let path = node.path.clone();
        let matches = node.object("match", notes);
        let matches = matches.map_or_else(|| Some(Match::default()), |matches| convert_match(matches, notes));
        let requires = match node.string("requirement_name", notes) {
            Some(name) => {
                let found = self.named.get(&name).cloned();
                if found.is_none() {
                    notes.not_converted(&path, format!("requirement {name:?} is not in requirement_map"));
                }
                // An unknown one is not the same as none.
                Some(found.unwrap_or(Value::Bool(false)))
            }
            None => node.take("requires"),
        };
        node.finish(notes);
        let requires = requires.filter(|value| value.as_object().is_none_or(|members| !members.is_empty()));
        let Some(requires) = requires else {
            return self.anonymous(&path, matches, notes);
        };
        let requires = Node::new(&format!("{path}.requires"), requires, notes)
            .and_then(|node| self.requirement(node, notes))
            .and_then(|groups| self.groups(&path, groups, notes));
        match (matches, requires) {
            (Some(matches), Some(mut require)) => {
                if let Some(lost) = self.lost.as_ref().filter(|_| require.allows_missing()) {
                    notes.not_converted(
                        &path,
                        format!("allow_missing is left out: it could let through what {lost} was for"),
                    );
                    require.forbid_missing();
                }
                self.rules.push(Rule::require(matches, require));
            }
            _ => {
                notes.not_converted(&path, "the rule is left out");
                self.lost.get_or_insert(path);
            }
        }
    }

    /// A rule without requirement. After a lost one it could let through what that one was for.
    fn anonymous(&mut self, path: &str, matches: Option<Match>, notes: &mut Notes) {
        match (matches, &self.lost) {
            (Some(matches), None) => self.rules.push(Rule::anonymous(matches)),
            (Some(_), Some(lost)) => {
                notes.not_converted(path, format!("is left out: it could let through what {lost} was for"));
            }
            (None, _) => notes.not_converted(path, "the rule is left out"),
        }
    }

    /// The groups that must all be met.
    fn requirement(&self, mut node: Node, notes: &mut Notes) -> Option<Vec<Group>> {
        let result = if let Some(name) = node.string("provider_name", notes) {
            self.provider(&node.path, name, notes).map(|group| vec![group])
        } else if let Some(mut both) = node.object("provider_and_audiences", notes) {
            let name = both.string("provider_name", notes).unwrap_or_default();
            let audiences = both.strings("audiences", notes);
            let own = self.providers.get(&name).and_then(|provider| provider.audiences.clone());
            let group = self.provider(&both.path, name, notes);
            if !audiences.is_empty() && own.as_ref() != Some(&audiences) {
                notes.not_converted(
                    &both.at("audiences"),
                    "audiences belong to the provider: write a provider for these",
                );
                None
            } else {
                group.map(|group| vec![group])
            }
        } else if let Some(mut any) = node.object("requires_any", notes) {
            self.any(&mut any, notes).map(|group| vec![group])
        } else if let Some(mut all) = node.object("requires_all", notes) {
            let members = all.objects("requirements", notes);
            let groups: Option<Vec<_>> =
                members.into_iter().map(|member| self.requirement(member, notes)).collect();
            groups.map(|groups| groups.into_iter().flatten().collect())
        } else if node.take("allow_missing").is_some() {
            Some(vec![Group { providers: self.providers.keys().cloned().collect(), allow_missing: true }])
        } else {
            for name in ["allow_missing_or_failed", "extract_only_without_validation"] {
                node.refuse(name, "a bad token is never accepted", notes);
            }
            None
        };
        node.finish(notes);
        result
    }

    fn provider(&self, path: &str, name: String, notes: &mut Notes) -> Option<Group> {
        if !self.providers.contains_key(&name) {
            notes.not_converted(path, format!("there is no provider {name:?}"));
            return None;
        }
        Some(Group { providers: vec![name], allow_missing: false })
    }

    fn any(&self, any: &mut Node, notes: &mut Notes) -> Option<Group> {
        let mut group = Group { providers: Vec::new(), allow_missing: false };
        for mut member in any.objects("requirements", notes) {
            // Beside others it only says that a token may be absent.
            if member.take("allow_missing").is_some() {
                group.allow_missing = true;
                member.finish(notes);
                continue;
            }
            let path = member.path.clone();
            match self.requirement(member, notes)?.as_slice() {
                [one] => {
                    group.allow_missing |= one.allow_missing;
                    for name in &one.providers {
                        if !group.providers.contains(name) {
                            group.providers.push(name.clone());
                        }
                    }
                }
                _ => {
                    notes.not_converted(&path, "all inside any has no counterpart");
                    return None;
                }
            }
        }
        if group.providers.is_empty() {
            group.providers = self.providers.keys().cloned().collect();
        }
        Some(group)
    }

    fn groups(&self, path: &str, groups: Vec<Group>, notes: &mut Notes) -> Option<Require> {
        for group in &groups {
            let mut issuers: Vec<_> =
                group.providers.iter().filter_map(|name| self.providers.get(name)?.issuer.as_ref()).collect();
            issuers.sort();
            let before = issuers.len();
            issuers.dedup();
            if issuers.len() < before || issuers.is_empty() {
                notes.not_converted(path, "needs providers, each with an issuer of its own");
                return None;
            }
        }
        let mut requires: Vec<Require> = groups.into_iter().map(Group::require).collect();
        match requires.len() {
            0 => None,
            1 => requires.pop(),
            _ => Some(Require { all: Some(requires), ..Require::default() }),
        }
    }
}

/// Providers of which one must be met.
struct Group {
    providers: Vec<String>,
    allow_missing: bool,
}

impl Group {
    fn require(self) -> Require {
        let mut alternatives: Vec<_> = self.providers.iter().map(|name| Require::provider(name)).collect();
        let single = if alternatives.len() == 1 { alternatives.pop() } else { None };
        let require = single.unwrap_or_else(|| Require { any: Some(alternatives), ..Require::default() });
        Require { allow_missing: self.allow_missing, ..require }
    }
}

/// `None` if some condition has no counterpart: without it the rule would be for other requests.
fn convert_match(mut node: Node, notes: &mut Notes) -> Option<Match> {
    let mut matches = Match::default();
    let mut fine = true;
    if let Some(false) = node.take("case_sensitive").and_then(|value| value.as_bool()) {
        notes.not_converted(&node.at("case_sensitive"), "paths are matched in their own case");
        fine = false;
    }
    if let Some(path) = node.string("prefix", notes) {
        match place::prefix(&node.at("prefix"), &path, notes) {
            Some(path) => matches.path = path,
            None => fine = false,
        }
    } else if let Some(path) = node.string("path_separated_prefix", notes) {
        // The same as ours, once the note on borders is not made.
        match place::prefix(&node.at("path_separated_prefix"), &path, &mut Notes::default()) {
            Some(path) => matches.path = path,
            None => fine = false,
        }
    } else if let Some(path) = node.string("path", notes) {
        matches.path = place::exact(&node.at("path"), &path, notes);
        fine &= matches.path.is_some();
    }
    if node.take("safe_regex").is_some() {
        notes.not_converted(
            &node.at("safe_regex"),
            "regular expressions have no counterpart: use exact, prefix or template",
        );
        fine = false;
    }
    for mut header in node.objects("headers", notes) {
        let name = header.string("name", notes).unwrap_or_default();
        let exact = header.string("exact_match", notes).or_else(|| {
            let mut string_match = header.object("string_match", notes)?;
            let exact = string_match.string("exact", notes);
            fine &= string_match.is_empty();
            string_match.finish(notes);
            exact
        });
        fine &= header.is_empty();
        let path = header.path.clone();
        header.finish(notes);
        match (name.to_ascii_lowercase().as_str(), exact) {
            (":method", Some(method)) if matches.methods.is_empty() && is_method(&method) => {
                matches.methods.push(method);
            }
            (":authority" | "host", Some(host)) if matches.hosts.is_empty() && is_exact_host(&host) => {
                matches.hosts.push(host);
            }
            _ => {
                notes.not_converted(&path, format!("a condition on header {name:?}: only :method and :authority, exact and once, have counterparts"));
                fine = false;
            }
        }
    }
    fine &= node.is_empty();
    node.finish(notes);
    fine.then_some(matches)
}

pub(super) fn is_method(method: &str) -> bool {
    place::is_token(method) && !method.bytes().any(|byte| byte.is_ascii_lowercase())
}

fn is_exact_host(host: &str) -> bool {
    matches!(HostPattern::parse(host), Some(HostPattern::Exact(_)))
}
