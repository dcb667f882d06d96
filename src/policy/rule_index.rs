//! Finds the rules that may be for a request without looking at all of them: by host, then segment by segment of the path. What is
//! found is still held against the rule itself.

use super::route::{HostPattern, PathPattern, Rule, host_of, without_last_slash};
use std::collections::HashMap;

/// Rules by host and path, as places in their list.
#[derive(Debug, Clone, Default)]
pub(super) struct RuleIndex {
    /// Rules for any host.
    any: Node,
    /// Rules for one host, in lower case.
    exact: HashMap<String, Node>,
    /// Rules for every host below a domain: `.example.com`, in lower case.
    below: HashMap<String, Node>,
}

/// The rules whose patterns end at one place of the path, and what goes on from there.
#[derive(Debug, Clone, Default)]
struct Node {
    /// For this path and all below it.
    prefix: Vec<usize>,
    /// For this path alone.
    exact: Vec<usize>,
    next: HashMap<String, Node>,
    /// Where a template takes any segment.
    any: Option<Box<Node>>,
}

impl RuleIndex {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (place, rule) in rules.iter().enumerate() {
            let path = rule.matches.path.as_ref();
            for host in &rule.matches.hosts {
                let node = match host {
                    HostPattern::Exact(host) => index.exact.entry(host.clone()),
                    HostPattern::Below(domain) => index.below.entry(domain.clone()),
                };
                node.or_default().insert(path, place);
            }
            if rule.matches.hosts.is_empty() {
                index.any.insert(path, place);
            }
        }
        index
    }

    /// The first place for which `holds`, among those that may be for this host and path.
    pub(super) fn first(
        &self,
        authority: &[u8],
        path: &str,
        mut holds: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        let path = without_last_slash(path);
        let mut first = First { place: None, holds: &mut holds };
        self.any.search(path, &mut first);
        if !(self.exact.is_empty() && self.below.is_empty()) {
            let host = std::str::from_utf8(host_of(authority)).unwrap_or_default().to_ascii_lowercase();
            if let Some(node) = self.exact.get(&host) {
                node.search(path, &mut first);
            }
            for (dot, _) in host.match_indices('.') {
                if let Some(node) = host.get(dot..).and_then(|domain| self.below.get(domain)) {
                    node.search(path, &mut first);
                }
            }
        }
        first.place
    }
}

struct First<'f> {
    place: Option<usize>,
    holds: &'f mut dyn FnMut(usize) -> bool,
}

impl First<'_> {
    /// Places are in ascending order.
    fn offer(&mut self, places: &[usize]) {
        let earlier = places.iter().take_while(|place| self.place.is_none_or(|first| **place < first));
        let found = earlier.copied().find(|place| (self.holds)(*place));
        self.place = found.or(self.place);
    }
}

impl Node {
    fn insert(&mut self, path: Option<&PathPattern>, place: usize) {
        let mut node = self;
        let places = match path {
            None => &mut node.prefix,
            Some(PathPattern::Prefix(prefix)) => &mut node.descend(segments(prefix).map(Some)).prefix,
            Some(PathPattern::Exact(exact)) => &mut node.descend(segments(exact).map(Some)).exact,
            Some(PathPattern::Template(template)) => {
                node = node.descend(template.iter().map(Option::as_deref));
                &mut node.exact
            }
        };
        // A rule that names a host twice is there once.
        if places.last() != Some(&place) {
            places.push(place);
        }
    }

    fn descend<'s>(&mut self, segments: impl Iterator<Item = Option<&'s str>>) -> &mut Self {
        let mut node = self;
        for segment in segments {
            node = match segment {
                Some(literal) => node.next.entry(literal.to_owned()).or_default(),
                None => node.any.get_or_insert_default(),
            };
        }
        node
    }

    fn search(&self, path: &str, first: &mut First<'_>) {
        first.offer(&self.prefix);
        let Some(rest) = path.strip_prefix('/') else {
            return first.offer(&self.exact);
        };
        let (segment, rest) =
            rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).unwrap_or((rest, ""));
        if let Some(next) = self.next.get(segment) {
            next.search(rest, first);
        }
        if let Some(any) = &self.any {
            any.search(rest, first);
        }
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').skip(1)
}

#[cfg(test)]
mod tests {
    use super::super::{NormalPath, RuleAction, RuleMatch, Rules};
    use super::*;
    use proptest::prelude::*;

    fn path() -> impl Strategy<Value = Option<PathPattern>> {
        let text = "(/[ab]){0,3}/?";
        prop_oneof![
            Just(None),
            text.prop_map(|text| Some(PathPattern::exact(&text))),
            text.prop_map(|text| Some(PathPattern::prefix(&text))),
            "(/([ab]|\\{x\\})){1,3}".prop_map(|text| PathPattern::template(&text)),
        ]
    }

    fn host() -> impl Strategy<Value = HostPattern> {
        "(\\*\\.)?([ab]\\.){0,2}[ab]".prop_map(|text| HostPattern::parse(&text).unwrap())
    }

    fn rule() -> impl Strategy<Value = Rule> {
        let hosts = prop::collection::vec(host(), 0..3);
        let methods = prop::collection::vec("GET|PUT", 0..2);
        (hosts, path(), methods).prop_map(|(hosts, path, methods)| Rule {
            matches: RuleMatch { hosts, path, methods },
            action: RuleAction::Anonymous,
        })
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_look_at_every_rule_finds(
            rules in prop::collection::vec(rule(), 0..40),
            requests in prop::collection::vec(("GET|PUT|X", "([abAB]\\.){0,3}[abAB](:80|\\.)?", "(/[ab]){0,4}/?"), 1..20),
        ) {
            let rules = Rules::new(rules);
            for (method, host, path) in &requests {
                let path = if path.is_empty() { "/" } else { path };
                let path = NormalPath::parse(path.as_bytes()).unwrap();
                let (method, host) = (method.as_bytes(), host.as_bytes());
                let plainly = rules.iter().position(|rule| rule.matches.holds(method, host, &path));
                let index = RuleIndex::new(&rules.iter().cloned().collect::<Vec<_>>());
                let holds = |place: usize| rules.get(place).unwrap().matches.holds(method, host, &path);
                prop_assert_eq!(index.first(host, path.as_str(), holds), plainly);
                prop_assert_eq!(rules.find(method, host, &path).map(|(place, _)| place), plainly);
            }
        }
    }

    #[test]
    fn few_rules_are_looked_at_however_many_there_are() {
        let rule = |host: Option<String>, path: String| Rule {
            matches: RuleMatch {
                hosts: host.iter().map(|host| HostPattern::parse(host).unwrap()).collect(),
                path: Some(PathPattern::prefix(&path)),
                methods: vec![],
            },
            action: RuleAction::Anonymous,
        };
        let paths = (0..10_000).map(|number| rule(None, format!("/api/{number}")));
        let hosts = (0..10_000).map(|number| rule(Some(format!("t{number}.example.com")), "/x".into()));
        let domains = (0..10_000).map(|number| rule(Some(format!("*.d{number}.example.com")), "/y".into()));
        let rules: Vec<Rule> = paths.chain(hosts).chain(domains).collect();
        let index = RuleIndex::new(&rules);
        let looked_at = |host: &str, path: &str| {
            let mut looked = Vec::new();
            let found = index.first(host.as_bytes(), path, |place| {
                looked.push(place);
                true
            });
            (found, looked.len())
        };
        assert_eq!(looked_at("h", "/api/9999/x"), (Some(9999), 1));
        assert_eq!(looked_at("t9999.example.com", "/x"), (Some(19_999), 1));
        assert_eq!(looked_at("a.d9999.example.com:80", "/y/"), (Some(29_999), 1));
        assert_eq!(looked_at("h", "/api"), (None, 0));
    }
}
