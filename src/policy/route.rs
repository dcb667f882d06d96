//! Which rule a request falls under. The first that matches decides; none means denial.

use super::rule_index::RuleIndex;
use super::{NormalPath, Requirement};

/// With so few rules an index finds nothing sooner.
const FEW: usize = 8;

/// All rules, in the order configured.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    /// For many rules; a few are looked at one by one.
    index: Option<RuleIndex>,
}

impl PartialEq for Rules {
    /// The index follows from the rules.
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Which requests it is for.
    pub matches: RuleMatch,
    /// What it asks of them.
    pub action: RuleAction,
}

/// What a rule asks.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleAction {
    /// Nothing: no token is looked for.
    Anonymous,
    /// A token.
    Require(Requirement),
}

/// Conditions on a request, all of which must hold. An empty list holds for every request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RuleMatch {
    /// Hosts, of which one must match.
    pub hosts: Vec<HostPattern>,
    /// The path; `None` matches every path.
    pub path: Option<PathPattern>,
    /// Methods, of which one must be the request's; case-sensitive (RFC 9110 section 9.1).
    pub methods: Vec<String>,
}

/// A pattern for the host in `:authority`, its port left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// This host, in lower case.
    Exact(String),
    /// Every host below this domain, but not itself: `.example.com` for `*.example.com`, in lower case.
    Below(String),
}

/// A pattern for the path. Matched after [`NormalPath`] has given it its one reading. A slash at the end counts
/// nowhere: many servers answer `/admin` and `/admin/` alike, so a rule for one is a rule for both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathPattern {
    /// This path.
    Exact(String),
    /// This path and all below it, on segment borders: `/admin` matches `/admin/x`, not `/administrator`.
    Prefix(String),
    /// Segment by segment; `None` stands for any one segment.
    Template(Vec<Option<String>>),
}

impl Rules {
    /// The rules, in order.
    pub fn new(rules: Vec<Rule>) -> Self {
        let index = (rules.len() > FEW).then(|| RuleIndex::new(&rules));
        Self { rules, index }
    }

    /// The first rule that matches, with its place.
    pub fn find(&self, method: &[u8], authority: &[u8], path: &NormalPath<'_>) -> Option<(usize, &Rule)> {
        let holds = |rule: &Rule| rule.matches.holds(method, authority, path);
        let place = match &self.index {
            None => self.rules.iter().position(holds)?,
            Some(index) => {
                let holds = |place: usize| self.rules.get(place).is_some_and(holds);
                index.first(authority, path.as_str(), holds)?
            }
        };
        self.rules.get(place).map(|rule| (place, rule))
    }

    /// The rule at a place that [`Rules::find`] gave.
    pub fn get(&self, index: usize) -> Option<&Rule> {
        self.rules.get(index)
    }

    /// Every rule.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }
}

impl RuleMatch {
    pub(super) fn holds(&self, method: &[u8], authority: &[u8], path: &NormalPath<'_>) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|accepted| accepted.as_bytes() == method))
            && self.path.as_ref().is_none_or(|pattern| pattern.matches(path.as_str()))
            && (self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(authority)))
    }
}

impl HostPattern {
    /// Reads `example.com` or `*.example.com`. `None` if it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, below) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        // As in requests: a dot at the end changes nothing.
        let host = host.strip_suffix('.').unwrap_or(host);
        if !is_host(host.as_bytes()) || host.starts_with('.') {
            return None;
        }
        let host = host.to_ascii_lowercase();
        Some(if below { Self::Below(format!(".{host}")) } else { Self::Exact(host) })
    }

    fn matches(&self, authority: &[u8]) -> bool {
        let host = host_of(authority);
        if !is_host(host) {
            return false;
        }
        match self {
            Self::Exact(name) => host.eq_ignore_ascii_case(name.as_bytes()),
            Self::Below(domain) => {
                let start = host.len().checked_sub(domain.len()).filter(|start| *start > 0);
                let end = start.and_then(|start| host.get(start..));
                end.is_some_and(|end| end.eq_ignore_ascii_case(domain.as_bytes()))
            }
        }
    }
}

/// A name, an IPv4 address, or an IPv6 address in brackets; never user information.
fn is_host(host: &[u8]) -> bool {
    let (inner, is_ipv6) = match host {
        [b'[', inner @ .., b']'] => (inner, true),
        _ => (host, false),
    };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !inner.is_empty() && inner.iter().all(|byte| plain(byte) || (is_ipv6 && *byte == b':'))
}

/// The host in `:authority`, whatever its case.
pub fn host_of(authority: &[u8]) -> &[u8] {
    let host = without_port(authority);
    // A name with a dot at the end is the same name, spelled out to the root.
    host.strip_suffix(b".").unwrap_or(host)
}

fn without_port(authority: &[u8]) -> &[u8] {
    let colon = authority.iter().rposition(|byte| *byte == b':');
    match colon.and_then(|colon| authority.split_at_checked(colon)) {
        // The last colon of a bare IPv6 address is inside the brackets.
        Some((host, port)) if port.iter().skip(1).all(u8::is_ascii_digit) => host,
        _ => authority,
    }
}

impl PathPattern {
    /// The pattern for this path alone.
    pub fn exact(path: &str) -> Self {
        Self::Exact(without_last_slash(path).to_owned())
    }

    /// The pattern for this path and all below it.
    pub fn prefix(path: &str) -> Self {
        Self::Prefix(without_last_slash(path).to_owned())
    }

    /// The pattern with `{name}` for any one segment. `None` if a brace stands anywhere else.
    pub fn template(path: &str) -> Option<Self> {
        let segment = |text: &str| match text.strip_prefix('{').map(|rest| rest.strip_suffix('}')) {
            Some(Some(name)) if !name.is_empty() && !name.contains(['{', '}']) => Some(None),
            None if !text.contains(['{', '}']) => Some(Some(text.to_owned())),
            _ => None,
        };
        without_last_slash(path).split('/').skip(1).map(segment).collect::<Option<_>>().map(Self::Template)
    }

    fn matches(&self, path: &str) -> bool {
        let path = without_last_slash(path);
        match self {
            Self::Exact(exact) => path == exact,
            Self::Prefix(prefix) => path
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Self::Template(segments) => {
                let mut found = path.split('/').skip(1);
                segments.iter().all(|segment| match (segment, found.next()) {
                    (_, None) => false,
                    (Some(literal), Some(found)) => literal == found,
                    (None, Some(found)) => !found.is_empty(),
                }) && found.next().is_none()
            }
        }
    }
}

pub(super) fn without_last_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &PathPattern, path: &str, expected: bool) {
        let path = NormalPath::parse(path.as_bytes()).unwrap();
        assert_eq!(pattern.matches(path.as_str()), expected, "{pattern:?} {path:?}");
    }

    #[test]
    fn prefixes_end_on_segment_borders() {
        for prefix in ["/admin", "/admin/"] {
            let prefix = PathPattern::prefix(prefix);
            for path in ["/admin", "/admin/", "/admin/x", "/admin/x/y", "/%61dmin/x"] {
                check(&prefix, path, true);
            }
            for path in ["/administrator", "/", "/x/admin", "/Admin", "/admin%20"] {
                check(&prefix, path, false);
            }
        }
        for path in ["/", "/a", "/a/b/"] {
            check(&PathPattern::prefix("/"), path, true);
        }
    }

    #[test]
    fn exact_paths_ignore_only_a_slash_at_the_end() {
        let exact = PathPattern::exact("/healthz");
        check(&exact, "/healthz", true);
        check(&exact, "/healthz/", true);
        check(&exact, "/healthz?x", true);
        check(&exact, "/healthz/x", false);
        check(&PathPattern::exact("/"), "/", true);
        check(&PathPattern::exact("/"), "/a", false);
    }

    #[test]
    fn templates_match_segment_by_segment() {
        let template = PathPattern::template("/users/{id}/posts").unwrap();
        check(&template, "/users/7/posts", true);
        check(&template, "/users/7/posts/", true);
        for path in ["/users/posts", "/users/7/posts/1", "/users/7/8/posts", "/users/7", "/"] {
            check(&template, path, false);
        }
        for bad in ["/a{b}", "/{}", "/{a", "/a}", "/{a}{b}", "/{{a}}"] {
            assert_eq!(PathPattern::template(bad), None, "{bad}");
        }
    }

    #[test]
    fn hosts_ignore_port_case_and_root_dot() {
        let check = |pattern: &str, authority: &str, expected: bool| {
            let pattern = HostPattern::parse(pattern).unwrap();
            assert_eq!(pattern.matches(authority.as_bytes()), expected, "{pattern:?} {authority}");
        };
        for authority in
            ["api.example.com", "API.example.com:8443", "api.example.com.", "api.example.com.:80"]
        {
            check("api.example.com", authority, true);
            check("*.example.com", authority, true);
        }
        for authority in [
            "example.com",
            ".example.com",
            "badexample.com",
            "example.com:api.example.com",
            "x@api.example.com",
            "",
        ] {
            check("api.example.com", authority, false);
            check("*.example.com", authority, false);
        }
        check("api.example.com.", "api.example.com", true);
        check("[::1]", "[::1]:80", true);
        check("[::1]", "[::1]", true);
        for bad in ["", "*", "*.", "a b", "*.*.a", "a:80", "a/b"] {
            assert_eq!(HostPattern::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_first_match_decides_and_none_is_none() {
        let rule = |methods: &[&str], path: &str| Rule {
            matches: RuleMatch {
                hosts: vec![],
                path: Some(PathPattern::prefix(path)),
                methods: methods.iter().map(|m| (*m).to_owned()).collect(),
            },
            action: RuleAction::Anonymous,
        };
        let rules = Rules::new(vec![rule(&["POST"], "/a"), rule(&[], "/a/b"), rule(&["GET"], "/a")]);
        let find = |method: &str, path: &str| {
            let path = NormalPath::parse(path.as_bytes()).unwrap();
            rules.find(method.as_bytes(), b"h", &path).map(|(index, _)| index)
        };
        assert_eq!(find("POST", "/a/b"), Some(0));
        assert_eq!(find("GET", "/a/b"), Some(1));
        assert_eq!(find("GET", "/a"), Some(2));
        assert_eq!(find("get", "/a"), None);
        assert_eq!(find("GET", "/x"), None);
    }
}
