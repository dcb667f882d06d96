//! The rules of Envoy's `jwt_authn`, tried in order as ours are.
//!
//! A rule that is left out must not leave its requests to a later one that asks for less. Where its requests are known, a rule
//! that admits nobody takes its place. Where they are not, of what comes after it only that stays which asks for at least as
//! much.

use super::document::{Condition, Match, Provider, Require, Rule, Test};
use super::node::Node;
use super::note::Notes;
use super::place;
use doorward::http::is_method;
use doorward::policy::HostPattern;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Neither a host of anybody nor an issuer.
const NOBODY: &str = "nobody.invalid";

/// Converts rules in their order.
pub(super) struct Rules<'d> {
    named: BTreeMap<String, Value>,
    providers: &'d BTreeMap<String, Provider>,
    lost: Vec<Lost>,
    /// Rules for fewer requests than in Envoy.
    narrowed: Vec<Lost>,
    rules: Vec<Rule>,
}

/// Something for requests that cannot be told from others.
struct Lost {
    /// Where it is in the input.
    path: String,
    /// What they must prove, if that is known.
    groups: Option<Vec<Group>>,
}

impl<'d> Rules<'d> {
    pub(super) fn new(named: BTreeMap<String, Value>, providers: &'d BTreeMap<String, Provider>) -> Self {
        Self { named, providers, lost: Vec::new(), narrowed: Vec::new(), rules: Vec::new() }
    }

    /// Something was not understood that could be about any request.
    pub(super) fn doubt(&mut self, path: &str) {
        self.lost.push(Lost { path: path.to_owned(), groups: None });
    }

    /// A requirement of a single route, which comes before all rules. Which requests take the route is not known.
    pub(super) fn route(&mut self, path: &str, value: Value, notes: &mut Notes) {
        let (groups, is_understood) = notes.watch(|notes| {
            let mut node = Node::new(path, value, notes)?;
            node.ignore(&["@type"]);
            let groups = match node.take("disabled") {
                Some(Value::Bool(true)) => Some(Vec::new()),
                Some(_) => None,
                None if node.has("requirement_name") => self.need(&mut node, notes),
                None => None,
            };
            node.finish(notes);
            groups
        });
        self.lose(path, groups.filter(|_| is_understood));
    }

    /// One rule.
    pub(super) fn rule(&mut self, path: &str, value: Value, notes: &mut Notes) {
        let node = if value.is_null() { None } else { Node::new(path, value, notes) };
        let Some(mut node) = node else {
            notes.not_converted(path, "the rule is left out");
            return self.lose(path, None);
        };
        let (matches, is_understood) = notes.watch(|notes| convert_match(&mut node, notes));
        let matches = matches.filter(|_| is_understood);
        let (groups, is_understood) = notes.watch(|notes| {
            let groups = self.need(&mut node, notes);
            node.finish(notes);
            groups
        });
        match (matches, groups.filter(|_| is_understood)) {
            (Some(matches), Some(groups)) => self.add(path, matches, groups, notes),
            (Some(matches), None) => {
                notes.not_converted(path, "the rule is left out: its requests are denied");
                self.deny(path, matches.matches);
            }
            (None, groups) => {
                notes.not_converted(path, "the rule is left out");
                self.lose(path, groups);
            }
        }
    }

    /// A rule that is understood, unless it could let through what something before it was for.
    fn add(&mut self, path: &str, matches: Matches, mut groups: Vec<Group>, notes: &mut Notes) {
        if let Some(lost) = self.lost.iter().find(|lost| !lost.is_met_by(&groups)) {
            let lost = lost.path.clone();
            let is_open = groups.is_empty();
            groups.iter_mut().for_each(|group| group.allow_missing = false);
            if !self.lost.iter().all(|lost| lost.is_met_by(&groups)) {
                notes.not_converted(path, format!("is left out: it could let through what {lost} was for"));
                if !is_open {
                    self.deny(path, matches.matches);
                }
                return;
            }
            notes.not_converted(
                path,
                format!("allow_missing is left out: it could let through what {lost} was for"),
            );
        }
        for narrowed in self.narrowed.iter().filter(|narrowed| !narrowed.is_met_by(&groups)) {
            notes.differs(
                path,
                format!(
                    "asks for less than {}, and may be for requests that are no longer for that",
                    narrowed.path
                ),
            );
        }
        if !matches.is_whole {
            self.narrowed.push(Lost { path: path.to_owned(), groups: Some(groups.clone()) });
        }
        let matches = matches.matches;
        let mut requires: Vec<Require> = groups.into_iter().map(Group::require).collect();
        self.rules.push(match requires.len() {
            0 => Rule::anonymous(matches),
            1 => Rule::require(matches, requires.pop().unwrap_or_default()),
            _ => Rule::require(matches, Require { all: Some(requires), ..Require::default() }),
        });
    }

    /// Requests that are not known must prove as much hereafter.
    fn lose(&mut self, path: &str, groups: Option<Vec<Group>>) {
        self.lost.push(Lost { path: path.to_owned(), groups });
    }

    /// A rule that admits nobody: a token of a provider, by another issuer.
    fn deny(&mut self, path: &str, matches: Match) {
        let is_another = |provider: &Provider| provider.issuer.as_deref() != Some(NOBODY);
        let Some((name, _)) = self.providers.iter().find(|(_, provider)| is_another(provider)) else {
            return self.lose(path, None);
        };
        let issuer = Condition { path: vec!["iss".to_owned()], test: Test::Equals(NOBODY.into()) };
        let require = Require { claims: vec![issuer], ..Require::provider(name) };
        self.rules.push(Rule::require(matches, require));
    }

    /// The rules, with remarks on what Envoy does with requests that no rule is for, and on how paths are read.
    pub(super) fn finish(self, path: &str, notes: &mut Notes) -> Vec<Rule> {
        let mut rules = self.rules;
        let is_for_all = |rule: &Rule| {
            rule.matches.path.is_none() && rule.matches.hosts.is_empty() && rule.matches.methods.is_empty()
        };
        if !rules.iter().any(is_for_all) {
            let passes = "Envoy lets requests through that no rule is for; here they are denied";
            // A last rule for all would be for the requests of a lost one too.
            let lost = self.lost.iter().find(|lost| !lost.is_met_by(&[]));
            notes.differs(
                path,
                match lost {
                    None => {
                        format!(
                            "{passes}: add a last rule `{{ match: {{}}, allow: anonymous }}` if that is meant"
                        )
                    }
                    Some(lost) => format!("{passes}, so that nothing that {} was for passes", lost.path),
                },
            );
        }
        if rules.iter().any(|rule| rule.matches.path.is_some()) {
            notes.differs(
                path,
                "a slash at the end of a path does not count, and ambiguous paths are refused",
            );
        }
        expect_one(&mut rules, path, notes);
        rules
    }

    /// The groups that must all be met: none if nothing is required, `None` if that is not known.
    fn need(&self, node: &mut Node, notes: &mut Notes) -> Option<Vec<Group>> {
        let path = node.path.clone();
        let requires = if node.has("requirement_name") {
            let name = node.string("requirement_name", notes)?;
            let Some(found) = self.named.get(&name) else {
                notes.not_converted(&path, format!("requirement {name:?} is not in requirement_map"));
                return None;
            };
            found.clone()
        } else {
            node.take("requires").unwrap_or_else(|| Value::Object(Map::new()))
        };
        if requires.as_object().is_some_and(Map::is_empty) {
            return Some(Vec::new());
        }
        let requires = Node::new(&format!("{path}.requires"), requires, notes)?;
        let groups = self.requirement(requires, notes)?;
        self.check_issuers(&path, &groups, notes)?;
        Some(groups)
    }

    /// The groups that must all be met, at least one.
    fn requirement(&self, mut node: Node, notes: &mut Notes) -> Option<Vec<Group>> {
        let result = if let Some(name) = node.string("provider_name", notes) {
            self.provider(&node.path, name, notes).map(|group| vec![group])
        } else if let Some(both) = node.object("provider_and_audiences", notes) {
            self.provider_and_audiences(both, notes).map(|group| vec![group])
        } else if let Some(any) = node.object("requires_any", notes) {
            self.any(any, notes).map(|group| vec![group])
        } else if let Some(all) = node.object("requires_all", notes) {
            self.all(all, notes)
        } else if takes_missing(&mut node, notes) {
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

    fn provider_and_audiences(&self, mut both: Node, notes: &mut Notes) -> Option<Group> {
        let name = both.string("provider_name", notes).unwrap_or_default();
        let audiences = both.strings("audiences", notes);
        let own = self.providers.get(&name).and_then(|provider| provider.audiences.as_ref());
        let is_own = audiences.is_empty() || own == Some(&audiences);
        if !is_own {
            notes.not_converted(
                &both.at("audiences"),
                "audiences belong to the provider: write a provider for these",
            );
        }
        let group = self.provider(&both.path, name, notes);
        both.finish(notes);
        group.filter(|_| is_own)
    }

    fn any(&self, mut any: Node, notes: &mut Notes) -> Option<Group> {
        let mut group = Group { providers: Vec::new(), allow_missing: false };
        let members = any.objects("requirements", notes);
        if members.is_empty() {
            notes.not_converted(&any.at("requirements"), "expected requirements of which one must hold");
        }
        any.finish(notes);
        for mut member in members {
            // Beside others it only says that a token may be absent.
            if takes_missing(&mut member, notes) {
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

    fn all(&self, mut all: Node, notes: &mut Notes) -> Option<Vec<Group>> {
        let members = all.objects("requirements", notes);
        if members.is_empty() {
            notes.not_converted(&all.at("requirements"), "expected requirements that must all hold");
        }
        all.finish(notes);
        let groups: Option<Vec<_>> =
            members.into_iter().map(|member| self.requirement(member, notes)).collect();
        groups.map(|groups| groups.into_iter().flatten().collect())
    }

    /// A token must lead to one provider of its group.
    fn check_issuers(&self, path: &str, groups: &[Group], notes: &mut Notes) -> Option<()> {
        for group in groups {
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
        Some(())
    }
}

/// No rule at all would be a fault: then there is one that admits nobody.
pub(super) fn expect_one(rules: &mut Vec<Rule>, path: &str, notes: &mut Notes) {
    if rules.is_empty() {
        let nobody = Match { hosts: vec![NOBODY.to_owned()], ..Match::default() };
        rules.push(Rule::anonymous(nobody));
        notes
            .add_to_do(path, format!("there is no rule: the one for host {NOBODY} stands for those to come"));
    }
}

/// Whether there is `allow_missing`, an empty message.
fn takes_missing(node: &mut Node, notes: &mut Notes) -> bool {
    let missing = node.object("allow_missing", notes);
    let is_there = missing.is_some();
    missing.into_iter().for_each(|missing| missing.finish(notes));
    is_there
}

impl Lost {
    /// Whether what meets `others` meets this too.
    fn is_met_by(&self, others: &[Group]) -> bool {
        let is_met = |group: &Group| others.iter().any(|other| other.is_within(group));
        self.groups.as_ref().is_some_and(|groups| groups.iter().all(is_met))
    }
}

/// Providers of which one must be met.
#[derive(Clone)]
struct Group {
    providers: Vec<String>,
    allow_missing: bool,
}

impl Group {
    /// Whether what meets this meets `other` too.
    fn is_within(&self, other: &Self) -> bool {
        (other.allow_missing || !self.allow_missing)
            && self.providers.iter().all(|name| other.providers.contains(name))
    }

    fn require(self) -> Require {
        let mut alternatives: Vec<_> = self.providers.iter().map(|name| Require::provider(name)).collect();
        let single = if alternatives.len() == 1 { alternatives.pop() } else { None };
        let require = single.unwrap_or_else(|| Require { any: Some(alternatives), ..Require::default() });
        Require { allow_missing: self.allow_missing, ..require }
    }
}

/// Which requests a rule is for.
struct Matches {
    matches: Match,
    /// Whether they are all of those that Envoy has it for.
    is_whole: bool,
}

/// The `match` of a rule. `None`, or a remark, if something has no counterpart: without it the rule would be for other requests.
fn convert_match(rule: &mut Node, notes: &mut Notes) -> Option<Matches> {
    let Some(mut node) = rule.object("match", notes) else {
        notes.not_converted(&rule.at("match"), "expected the requests that the rule is for");
        return None;
    };
    let mut matches = Match::default();
    let mut is_whole = true;
    if node.take("case_sensitive").is_some_and(|value| value != Value::Bool(true)) {
        notes.not_converted(&node.at("case_sensitive"), "paths are matched in their own case");
    }
    if let Some(path) = node.string("prefix", notes) {
        matches.path = place::prefix(&node.at("prefix"), &path, notes)?;
        is_whole = path.is_empty() || path.ends_with('/');
    } else if let Some(path) = node.string("path_separated_prefix", notes) {
        // The same as ours, but for the note on borders.
        matches.path = Some(place::segments(&node.at("path_separated_prefix"), &path, notes)?);
    } else if let Some(path) = node.string("path", notes) {
        matches.path = Some(place::exact(&node.at("path"), &path, notes)?);
    } else if node.has("safe_regex") {
        node.refuse(
            "safe_regex",
            "regular expressions have no counterpart: use exact, prefix or template",
            notes,
        );
    } else {
        notes.not_converted(&node.path, "expected prefix, path_separated_prefix or path");
    }
    for mut header in node.objects("headers", notes) {
        let name = header.string("name", notes).unwrap_or_default();
        let exact = header.string("exact_match", notes).or_else(|| {
            let mut string_match = header.object("string_match", notes)?;
            let exact = string_match.string("exact", notes);
            string_match.finish(notes);
            exact
        });
        let path = header.path.clone();
        header.finish(notes);
        match (name.to_ascii_lowercase().as_str(), exact) {
            (":method", Some(method)) if matches.methods.is_empty() && is_method(method.as_bytes()) => {
                matches.methods.push(method);
            }
            (":authority" | "host", Some(host)) if matches.hosts.is_empty() && is_exact_host(&host) => {
                notes.differs(&path, "port and case of the host do not count");
                matches.hosts.push(host);
            }
            _ => {
                notes.not_converted(&path, format!("a condition on header {name:?}: only :method and :authority, exact and once, have counterparts"));
            }
        }
    }
    node.finish(notes);
    Some(Matches { matches, is_whole })
}

fn is_exact_host(host: &str) -> bool {
    matches!(HostPattern::parse(host), Some(HostPattern::Exact(_)))
}
