//! Istio's RequestAuthentication and AuthorizationPolicy (`security.istio.io/v1`).
//!
//! Without a policy that allows, Istio lets requests without token through and refuses bad tokens; with one, what no rule
//! allows is denied, as here. Istio's rules are a union, ours are tried in order: those that need no token come first. So a rule
//! that is left out allows less; but a policy that denies and is left out takes with it what it could be about.

use super::document::{
    Condition, Discovery, Document, Jwks, Match, PathMatch, Provider, Require, Rule, Test,
};
use super::node::Node;
use super::note::Notes;
use super::rules::expect_one;
use super::{PLACEHOLDER, place, provider};
use doorward::http::is_method;
use doorward::policy::HostPattern;
use serde_json::Value;

/// More combinations of conditions than this are for the reader.
const MAX_ALTERNATIVES: usize = 16;

/// Converts every document of the input.
pub(super) fn convert(inputs: Vec<Value>, notes: &mut Notes) -> Result<Document, String> {
    let mut document = Document::default();
    let (mut policies, mut is_istio) = (Vec::new(), false);
    let mut missed = Missed::Nothing;
    for (index, input) in inputs.into_iter().enumerate().filter(|(_, input)| !input.is_null()) {
        let kind = input.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = input.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let path = if kind.is_empty() { format!("[{index}]") } else { format!("{kind} {name}") };
        // A list of resources can hold some of Istio's.
        let is_other = kind == "PeerAuthentication"
            || input.get("apiVersion").is_some() && !input.to_string().contains("security.istio.io/");
        let (_, is_understood) = notes.watch(|notes| {
            let Some(mut node) = Node::new(&path, input, notes) else { return };
            match kind.as_str() {
                "RequestAuthentication" => {
                    is_istio = true;
                    if let Some(spec) = spec(&mut node, notes) {
                        authentication(&name, spec, &mut document, notes);
                    }
                    node.finish(notes);
                }
                "AuthorizationPolicy" => {
                    is_istio = true;
                    policies.extend(spec(&mut node, notes));
                    node.finish(notes);
                }
                _ => {
                    let why = "is neither a RequestAuthentication nor an AuthorizationPolicy";
                    if is_other { notes.left_out(&path, why) } else { notes.not_converted(&path, why) }
                }
            }
        });
        if !is_understood {
            missed = missed.max(if kind == "RequestAuthentication" { Missed::Open } else { Missed::Any });
        }
    }
    if !is_istio {
        return Err("expected a RequestAuthentication or an AuthorizationPolicy, but found none".to_owned());
    }
    let mut converter = Converter { providers: Vec::new(), open: Vec::new(), closed: Vec::new(), missed };
    converter.providers = document.providers.iter().map(|(n, p)| (n.clone(), p.clone())).collect();
    let mut allows = false;
    for policy in policies {
        allows |= converter.policy(policy, notes);
    }
    document.rules = converter.rules(allows, notes);
    Ok(document)
}

/// The `spec`; where it applies is where our document is loaded.
fn spec(node: &mut Node, notes: &mut Notes) -> Option<Node> {
    node.ignore(&["apiVersion", "kind", "metadata", "status"]);
    let Some(mut spec) = node.object("spec", notes) else {
        notes.not_converted(&node.at("spec"), "expected what is to be converted");
        return None;
    };
    for name in ["selector", "targetRef", "targetRefs"] {
        if spec.take(name).is_some() {
            notes.differs(&spec.at(name), "the document applies where it is loaded");
        }
    }
    Some(spec)
}

fn authentication(name: &str, mut spec: Node, document: &mut Document, notes: &mut Notes) {
    let rules = spec.objects("jwtRules", notes);
    let several = rules.len() > 1;
    for (index, node) in rules.into_iter().enumerate() {
        let base = if name.is_empty() { "provider" } else { name };
        let mut name = if several { format!("{base}-{index}") } else { base.to_owned() };
        while document.providers.contains_key(&name) {
            name.push_str("-2");
        }
        let path = node.path.clone();
        let (mut provider, is_understood) = notes.watch(|notes| jwt_rule(&name, node, document, notes));
        provider::settle(&mut provider, &path, is_understood, notes);
        document.providers.insert(name, provider);
    }
    spec.finish(notes);
}

fn jwt_rule(name: &str, mut node: Node, document: &mut Document, notes: &mut Notes) -> Provider {
    let mut provider = provider::identity(&mut node, notes);
    provider::note_expiry(&node.path, notes);
    provider.jwks = Some(keys(&mut node, &provider, notes));
    provider.from =
        place::locations(&mut node, ["fromHeaders", "fromParams", "fromCookies"], "prefix", notes);
    provider.forward_token = node.flag("forwardOriginalToken", notes);
    let names = ["outputClaimToHeaders", "header", "claim"];
    provider::claim_headers(document, &mut node, names, name, notes);
    if let Some(header) = node.string("outputPayloadToHeader", notes) {
        provider::payload_header(document, &node.at("outputPayloadToHeader"), &header, notes);
    }
    // It makes more tokens meet the conditions of policies.
    node.leave_out(&["spaceDelimitedClaims"], notes);
    node.finish(notes);
    provider
}

fn keys(node: &mut Node, provider: &Provider, notes: &mut Notes) -> Jwks {
    let path = node.at("jwksUri");
    let timeout = provider::duration_member(node, "timeout", [100, 60_000], notes);
    let uri = node.string("jwksUri", notes).or_else(|| node.string("jwks_uri", notes));
    if let Some(text) = node.string("jwks", notes) {
        let found = provider::inline(&node.at("jwks"), &text, notes);
        return found.unwrap_or_else(|| provider::no_keys(&node.at("jwks"), notes));
    }
    if let Some(uri) = uri {
        let found = provider::remote(&path, &uri, None, notes);
        return found.map_or_else(
            || provider::no_keys(&path, notes),
            |remote| Jwks::Remote(super::document::Remote { timeout, ..remote }),
        );
    }
    // Without an address Istio asks the issuer for it, as we do.
    let issuer = provider.issuer.as_deref().unwrap_or_default();
    if !issuer.starts_with("https://") && !issuer.starts_with("http://") {
        return provider::no_keys(&path, notes);
    }
    notes.add_to_do(&path, format!("name the Envoy cluster that leads to {issuer}: {PLACEHOLDER}"));
    Jwks::Discovery(Discovery {
        cluster: PLACEHOLDER.to_owned(),
        danger_allow_http: issuer.starts_with("http://"),
    })
}

/// What a part of the input could deny that was left out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Missed {
    Nothing,
    /// Requests without a token.
    Open,
    /// Any request.
    Any,
}

struct Converter {
    providers: Vec<(String, Provider)>,
    /// Rules that need no token.
    open: Vec<Match>,
    closed: Vec<Rule>,
    missed: Missed,
}

impl Converter {
    /// Whether the policy allows.
    fn policy(&mut self, mut policy: Node, notes: &mut Notes) -> bool {
        let ((action, rules), is_understood) = notes.watch(|notes| {
            let action = policy.string("action", notes).unwrap_or_else(|| "ALLOW".to_owned());
            (action, policy.items("rules", notes))
        });
        if action != "ALLOW" {
            notes.not_converted(&policy.at("action"), format!("{action}: only ALLOW has a counterpart"));
            self.missed = self.missed.max(match action.as_str() {
                "AUDIT" => Missed::Nothing,
                "DENY" if is_understood && rules.iter().all(|(_, rule)| is_for_missing(rule)) => Missed::Open,
                _ => Missed::Any,
            });
            return false;
        }
        let path = policy.path.clone();
        let (_, is_all) = notes.watch(|notes| policy.finish(notes));
        if !is_understood || !is_all {
            notes.not_converted(&path, "the policy is left out");
            self.missed = Missed::Any;
            return false;
        }
        for (path, rule) in rules {
            let found = Node::new(&path, rule, notes).and_then(|rule| self.rule(rule, notes));
            if found.is_none() {
                notes.not_converted(&path, "the rule is left out");
            }
        }
        true
    }

    /// `None` if a condition has no counterpart: without it the rule would allow more.
    fn rule(&mut self, mut rule: Node, notes: &mut Notes) -> Option<()> {
        let ((callers, conditions, to, is_open), is_understood) = notes.watch(|notes| {
            let [from, when, to] = ["from", "when", "to"].map(|name| rule.objects(name, notes));
            rule.finish(notes);
            let is_open = from.is_empty();
            let callers: Option<Vec<_>> = from.into_iter().map(|from| self.callers(from, notes)).collect();
            let conditions: Option<Vec<_>> = when.into_iter().map(|when| self.when(when, notes)).collect();
            (callers, conditions, to, is_open)
        });
        if !is_understood {
            return None;
        }
        let (mut callers, conditions) = (callers?.concat(), conditions?);
        let mut matches = Vec::new();
        if to.is_empty() {
            matches.push(Match::default());
        }
        for mut to in to {
            let (operation, is_understood) = notes.watch(|notes| {
                let operation = to.object("operation", notes);
                to.finish(notes);
                operation
            });
            let operation = operation.filter(|_| is_understood)?;
            matches.extend(operations(operation, notes).unwrap_or_default());
        }
        if is_open && conditions.is_empty() {
            self.open.extend(matches);
            return Some(());
        }
        if is_open {
            callers = self.anyone();
        }
        let require = combine(callers, conditions)?;
        self.closed.extend(matches.into_iter().map(|matches| Rule::require(matches, require.clone())));
        Some(())
    }

    /// Whom a source is about.
    fn callers(&self, mut from: Node, notes: &mut Notes) -> Option<Vec<Require>> {
        let mut source = from.object("source", notes)?;
        let path = source.at("requestPrincipals");
        let principals = source.strings("requestPrincipals", notes);
        let is_plain = source.is_empty() && !principals.is_empty();
        source.finish(notes);
        from.finish(notes);
        if !is_plain {
            return None;
        }
        let mut callers = Vec::new();
        for principal in principals {
            callers.extend(self.principal(&path, &principal, notes)?);
        }
        Some(callers)
    }

    fn anyone(&self) -> Vec<Require> {
        self.providers.iter().map(|(name, _)| Require::provider(name)).collect()
    }

    /// `ISSUER/SUBJECT`, either of which may be `*`.
    fn principal(&self, path: &str, text: &str, notes: &mut Notes) -> Option<Vec<Require>> {
        if text == "*" || text == "*/*" {
            return Some(self.anyone());
        }
        for (name, provider) in &self.providers {
            let issuer = provider.issuer.as_deref().unwrap_or_default();
            let Some(subject) = text.strip_prefix(issuer).and_then(|rest| rest.strip_prefix('/')) else {
                continue;
            };
            let mut require = Require::provider(name);
            if subject != "*" {
                if subject.contains('*') {
                    break;
                }
                let path = vec!["sub".to_owned()];
                require.claims.push(Condition { path, test: Test::Equals(subject.into()) });
            }
            return Some(vec![require]);
        }
        notes.not_converted(
            path,
            format!("{text:?}: expected *, or an issuer of jwtRules with /* or a subject"),
        );
        None
    }

    /// The alternatives for one condition: the claim is one of the values, or a list with one of them.
    fn when(&self, mut when: Node, notes: &mut Notes) -> Option<Vec<Require>> {
        let key = when.string("key", notes).unwrap_or_default();
        let values = when.strings("values", notes);
        let is_plain = when.is_empty() && !values.is_empty();
        let path = when.path.clone();
        when.finish(notes);
        let claim = match key.as_str() {
            "request.auth.principal" => {
                let found: Option<Vec<_>> =
                    values.iter().map(|value| self.principal(&path, value, notes)).collect();
                return found.filter(|_| is_plain).map(|all| all.into_iter().flatten().collect());
            }
            "request.auth.audiences" => Some(vec!["aud".to_owned()]),
            "request.auth.presenter" => Some(vec!["azp".to_owned()]),
            _ => claim_path(&key),
        };
        let Some(claim) = claim else {
            notes.not_converted(&path, format!("a condition on {key:?} has no counterpart"));
            return None;
        };
        if !is_plain || values.iter().any(|value| value.contains('*')) {
            notes.not_converted(&path, "only whole values have a counterpart");
            return None;
        }
        let alternative = |test: Test| {
            let claims = vec![Condition { path: claim.clone(), test }];
            Require { claims, ..Require::default() }
        };
        // Istio splits these at spaces.
        if claim == ["scope"] {
            let scopes =
                values.into_iter().map(|value| Require { scopes: vec![value], ..Require::default() });
            return Some(scopes.collect());
        }
        let values: Vec<Value> = values.into_iter().map(Value::from).collect();
        let contains = values.iter().map(|value| alternative(Test::Contains(value.clone())));
        Some([alternative(Test::OneOf(values.clone()))].into_iter().chain(contains).collect())
    }

    fn rules(self, allows: bool, notes: &mut Notes) -> Vec<Rule> {
        let anyone = combine(self.anyone(), Vec::new());
        let open = |matches: Match| match anyone.clone() {
            // A bad token is refused even where none is needed.
            Some(require) => Rule::require(matches, Require { allow_missing: true, ..require }),
            None => Rule::anonymous(matches),
        };
        let mut rules = Vec::new();
        match self.missed {
            Missed::Any => notes.not_converted(
                "rules",
                "all are left out: what was not converted could deny what they are for",
            ),
            Missed::Open if !self.open.is_empty() || !allows => notes.not_converted(
                "rules",
                "those that need no token are left out: what was not converted could deny what they are for",
            ),
            Missed::Open => {}
            Missed::Nothing if allows => rules.extend(self.open.into_iter().map(open)),
            Missed::Nothing => rules.push(open(Match::default())),
        }
        let closed = if self.missed == Missed::Any { Vec::new() } else { self.closed };
        if closed.len() > 1 {
            notes.differs("rules", "the first that matches decides; Istio allows what any of them allows");
        }
        rules.extend(closed);
        expect_one(&mut rules, "rules", notes);
        rules
    }
}

/// Whether a rule is about requests without a token alone: a `source` says so, and whatever else there is makes it fewer.
fn is_for_missing(rule: &Value) -> bool {
    let from = rule.get("from").and_then(Value::as_array);
    let is_missing = |from: &Value| {
        from.pointer("/source/notRequestPrincipals")
            .and_then(Value::as_array)
            .is_some_and(|all| all == &["*"])
    };
    from.is_some_and(|from| !from.is_empty() && from.iter().all(is_missing))
}

/// `request.auth.claims[a][b]`.
fn claim_path(key: &str) -> Option<Vec<String>> {
    let inner = key.strip_prefix("request.auth.claims[")?.strip_suffix(']')?;
    let names: Vec<_> = inner.split("][").map(str::to_owned).collect();
    let is_name = |name: &String| !name.is_empty() && !name.contains(['[', ']']);
    names.iter().all(is_name).then_some(names)
}

/// Every caller with every combination of conditions; `None` if there are none, or too many.
fn combine(callers: Vec<Require>, conditions: Vec<Vec<Require>>) -> Option<Require> {
    let mut alternatives = callers;
    for choices in conditions {
        let mut product = Vec::new();
        for one in &alternatives {
            for choice in &choices {
                // Two principals at once would be two providers.
                if choice.provider.is_some() && choice.provider != one.provider {
                    continue;
                }
                let mut both = one.clone();
                both.scopes.extend(choice.scopes.iter().cloned());
                both.claims.extend(choice.claims.iter().cloned());
                product.push(both);
            }
        }
        alternatives = product;
        if alternatives.len() > MAX_ALTERNATIVES {
            return None;
        }
    }
    match alternatives.len() {
        0 => None,
        1 => alternatives.pop(),
        _ => Some(Require { any: Some(alternatives), ..Require::default() }),
    }
}

/// One match for each path. `None` if a condition has no counterpart.
fn operations(mut operation: Node, notes: &mut Notes) -> Option<Vec<Match>> {
    let (paths_at, hosts_at) = (operation.at("paths"), operation.at("hosts"));
    let methods_at = operation.at("methods");
    let ([paths, methods, hosts], mut fine) = notes.watch(|notes| {
        let lists = ["paths", "methods", "hosts"].map(|name| operation.strings(name, notes));
        operation.finish(notes);
        lists
    });
    let is_any = |values: &[String]| values.iter().any(|value| value == "*");
    let methods = if is_any(&methods) { Vec::new() } else { methods };
    let hosts = if is_any(&hosts) { Vec::new() } else { hosts };
    for host in hosts.iter().filter(|host| HostPattern::parse(host).is_none()) {
        notes.not_converted(&hosts_at, format!("{host:?}: expected a host without port, or *.HOST"));
        fine = false;
    }
    for method in methods.iter().filter(|method| !is_method(method.as_bytes())) {
        notes.not_converted(&methods_at, format!("{method:?} is no method in upper case"));
        fine = false;
    }
    if !fine {
        return None;
    }
    let with = |path: Option<PathMatch>| Match { hosts: hosts.clone(), path, methods: methods.clone() };
    if paths.is_empty() || is_any(&paths) {
        return Some(vec![with(None)]);
    }
    let mut matches = Vec::new();
    for path in paths {
        // A path that is left out allows less.
        let found = if let Some(prefix) = path.strip_suffix('*').filter(|prefix| !prefix.contains(['*', '{']))
        {
            place::prefix(&paths_at, prefix, notes)
        } else if path.contains("{*}") && !path.replace("{*}", "").contains(['*', '{', '}']) {
            place::template(&paths_at, &path.replace("{*}", "{any}"), notes).map(Some)
        } else if path.contains('*') {
            notes.not_converted(
                &paths_at,
                format!("{path:?}: only a * at the end, or {{*}} for one segment, has a counterpart"),
            );
            None
        } else {
            place::exact(&paths_at, &path, notes).map(Some)
        };
        matches.extend(found.map(&with));
    }
    Some(matches)
}
