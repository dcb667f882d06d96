//! Parts of a policy in the words of the configuration.

use doorward::authn::TokenLocation;
use doorward::jose::KeyFamily;
use doorward::policy::{ConditionTest, HostPattern, PathPattern, RuleMatch};

/// What a rule is for.
pub(super) fn rule_match(matches: &RuleMatch) -> String {
    let mut parts = Vec::new();
    if !matches.hosts.is_empty() {
        let hosts: Vec<_> = matches.hosts.iter().map(host).collect();
        parts.push(format!("hosts {}", hosts.join(", ")));
    }
    parts.extend(matches.path.as_ref().map(path));
    if !matches.methods.is_empty() {
        parts.push(format!("methods {}", matches.methods.join(", ")));
    }
    if parts.is_empty() { "every request".to_owned() } else { parts.join("; ") }
}

fn host(host: &HostPattern) -> String {
    match host {
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Below(domain) => format!("*{domain}"),
    }
}

fn path(pattern: &PathPattern) -> String {
    let or_root = |path: &str| if path.is_empty() { "/".to_owned() } else { path.to_owned() };
    match pattern {
        PathPattern::Exact(path) => format!("path exact {}", or_root(path)),
        PathPattern::Prefix(path) => format!("path prefix {}", or_root(path)),
        PathPattern::Template(segments) => {
            let segments = segments.iter().map(|segment| format!("/{}", segment.as_deref().unwrap_or("{…}")));
            format!("path template {}", segments.collect::<String>())
        }
    }
}

/// A place where a token may be.
pub(super) fn location(location: &TokenLocation) -> String {
    match location {
        TokenLocation::Header { name, scheme: Some(scheme) } => format!("header {name}, scheme {scheme}"),
        TokenLocation::Header { name, scheme: None } => format!("header {name}"),
        TokenLocation::Cookie(name) => format!("cookie {name}"),
        TokenLocation::Query(name) => format!("query parameter {name}"),
    }
}

/// What a claim must be.
pub(super) fn condition(test: &ConditionTest) -> String {
    match test {
        ConditionTest::Equals(value) => format!("equals {value}"),
        ConditionTest::OneOf(values) => {
            let values: Vec<_> = values.iter().map(ToString::to_string).collect();
            format!("is one of {}", values.join(", "))
        }
        ConditionTest::Contains(value) => format!("contains {value}"),
    }
}

/// The type of a key.
pub(super) const fn family(family: KeyFamily) -> &'static str {
    match family {
        KeyFamily::Rsa => "RSA",
        KeyFamily::P256 => "EC P-256",
        KeyFamily::P384 => "EC P-384",
        KeyFamily::P521 => "EC P-521",
        KeyFamily::Ed25519 => "Ed25519",
        KeyFamily::Oct => "shared secret",
    }
}

/// A `kid`, quoted: it is the sender's text.
pub(super) fn key_id(key_id: Option<&str>) -> String {
    key_id.map_or("no kid".to_owned(), |key_id| format!("kid {key_id:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_shown_as_it_is_written() {
        let check = |hosts: &[&str], pattern: Option<PathPattern>, methods: &[&str], expected: &str| {
            let hosts = hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect();
            let methods = methods.iter().map(|method| (*method).to_owned()).collect();
            assert_eq!(rule_match(&RuleMatch { hosts, path: pattern, methods }), expected);
        };
        check(&[], None, &[], "every request");
        check(&["a.example", "*.b.example"], None, &["GET"], "hosts a.example, *.b.example; methods GET");
        check(&[], Some(PathPattern::prefix("/")), &[], "path prefix /");
        check(&[], Some(PathPattern::exact("/a/")), &[], "path exact /a");
        check(&[], PathPattern::template("/a/{id}/b"), &[], "path template /a/{…}/b");
    }
}
