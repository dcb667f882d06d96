//! Which rule leaves nothing for which. Used only to warn: requests are matched by `policy`.

use crate::policy::{HostPattern, PathPattern, RuleMatch};

/// The requests that a rule matches.
pub(super) struct Coverage<'r> {
    matches: &'r RuleMatch,
    path: Segments<'r>,
}

impl<'r> Coverage<'r> {
    pub(super) fn of(matches: &'r RuleMatch) -> Self {
        Self { matches, path: Segments::of(matches.path.as_ref()) }
    }

    /// Whether every request that meets `later` meets this too. `false` also where it would take several rules to do so.
    pub(super) fn covers(&self, later: &Self) -> bool {
        list_covers(&self.matches.methods, &later.matches.methods, |a, b| a == b)
            && list_covers(&self.matches.hosts, &later.matches.hosts, host_covers)
            && self.path.covers(&later.path)
    }

    /// Whether every request matches.
    pub(super) fn is_everything(&self) -> bool {
        self.matches.methods.is_empty()
            && self.matches.hosts.is_empty()
            && self.path.is_open
            && self.path.first.is_empty()
    }
}

/// An empty list holds for everything.
fn list_covers<T>(earlier: &[T], later: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
    let is_covered = |item: &T| earlier.iter().any(|other| covers(other, item));
    earlier.is_empty() || (!later.is_empty() && later.iter().all(is_covered))
}

fn host_covers(earlier: &HostPattern, later: &HostPattern) -> bool {
    match (earlier, later) {
        (HostPattern::Exact(earlier), HostPattern::Exact(later)) => earlier == later,
        (HostPattern::Exact(_), HostPattern::Below(_)) => false,
        (HostPattern::Below(domain), HostPattern::Exact(host)) => {
            host.len() > domain.len() && host.ends_with(domain)
        }
        (HostPattern::Below(domain), HostPattern::Below(inner)) => inner.ends_with(domain),
    }
}

/// A path pattern, segment by segment; `None` stands for any one.
struct Segments<'p> {
    first: Vec<Option<&'p str>>,
    /// Whether more may follow.
    is_open: bool,
}

impl<'p> Segments<'p> {
    fn of(pattern: Option<&'p PathPattern>) -> Self {
        let split = |path: &'p str| path.split('/').skip(1).map(Some).collect();
        match pattern {
            None => Self { first: Vec::new(), is_open: true },
            Some(PathPattern::Exact(path)) => Self { first: split(path), is_open: false },
            Some(PathPattern::Prefix(path)) => Self { first: split(path), is_open: true },
            Some(PathPattern::Template(segments)) => {
                Self { first: segments.iter().map(Option::as_deref).collect(), is_open: false }
            }
        }
    }

    fn covers(&self, later: &Self) -> bool {
        let lengths_fit = if self.is_open {
            later.first.len() >= self.first.len()
        } else {
            !later.is_open && later.first.len() == self.first.len()
        };
        let mut pairs = self.first.iter().zip(&later.first);
        lengths_fit && pairs.all(|(earlier, later)| earlier.is_none() || earlier == later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `METHODS HOSTS PATH`: lists with commas, `-` for none; a path that ends in `*` is a prefix, one with `{` a template.
    fn rule(text: &str) -> RuleMatch {
        let parts: Vec<&str> = text.split(' ').collect();
        let list = |text: &str| -> Vec<String> {
            text.split(',').filter(|item| *item != "-").map(str::to_owned).collect()
        };
        let path = match parts[2] {
            "-" => None,
            path if path.contains('{') => PathPattern::template(path),
            path => {
                Some(path.strip_suffix('*').map_or_else(|| PathPattern::exact(path), PathPattern::prefix))
            }
        };
        let hosts = list(parts[1]).iter().map(|host| HostPattern::parse(host).unwrap()).collect();
        RuleMatch { hosts, path, methods: list(parts[0]) }
    }

    fn check(earlier: &str, later: &str, expected: bool) {
        let (first, second) = (rule(earlier), rule(later));
        assert_eq!(Coverage::of(&first).covers(&Coverage::of(&second)), expected, "{earlier} before {later}");
    }

    #[test]
    fn a_rule_without_conditions_covers_all_and_only_its_like_covers_it() {
        for later in ["- - -", "GET a.b /x", "- *.b /x*", "- - /{a}"] {
            check("- - -", later, true);
            check("- - /*", later, true);
        }
        for earlier in ["GET - -", "- a.b -", "- - /x*", "- - /"] {
            check(earlier, "- - -", false);
            check(earlier, "- - /*", false);
        }
    }

    #[test]
    fn paths_are_covered_on_segment_borders() {
        check("- - /a*", "- - /a", true);
        check("- - /a*", "- - /a/b*", true);
        check("- - /a*", "- - /a/{x}", true);
        check("- - /a*", "- - /ab*", false);
        check("- - /a/b*", "- - /a*", false);
        check("- - /a", "- - /a", true);
        check("- - /a", "- - /a*", false);
        check("- - /a/{x}", "- - /a/b", true);
        check("- - /a/{x}", "- - /a/{y}", true);
        check("- - /a/{x}", "- - /a", false);
        check("- - /a/{x}", "- - /a/b*", false);
        check("- - /a/b", "- - /a/{x}", false);
        check("- - /a/b*", "- - /a/{x}", false);
    }

    #[test]
    fn hosts_and_methods_are_covered_one_by_one() {
        check("GET,POST - -", "GET - /x", true);
        check("GET - -", "GET,POST - -", false);
        check("- *.b.c -", "- a.b.c,*.a.b.c -", true);
        check("- *.b.c -", "- a.b.c,b.c -", false);
        check("- a.b.c -", "- *.b.c -", false);
        check("- *.b.c -", "- ab.c -", false);
        check("- *.b.c -", "- *.d.c -", false);
        check("- *.a.b.c -", "- *.b.c -", false);
        check("GET a.b /x*", "GET a.b /x/y", true);
        check("GET a.b /x*", "GET c.d /x/y", false);
    }

    proptest::proptest! {
        #[test]
        fn what_is_covered_never_gets_a_request(
            earlier in "(-|GET|GET,PUT) (-|a\\.b|\\*\\.b) (-|/\\*|/x|/x\\*|/x/y|/\\{a\\}|/x/\\{a\\})",
            later in "(-|GET|GET,PUT) (-|a\\.b|\\*\\.b) (-|/\\*|/x|/x\\*|/x/y|/\\{a\\}|/x/\\{a\\})",
            method in "GET|PUT|POST",
            host in "a\\.b|c\\.b|b",
            path in "/(x|y)?(/(x|y)){0,2}",
        ) {
            use crate::policy::{NormalPath, Rule, RuleAction, Rules};
            let (earlier, later) = (rule(&earlier), rule(&later));
            if let Ok(path) = NormalPath::parse(path.as_bytes()) && Coverage::of(&earlier).covers(&Coverage::of(&later)) {
                let rules = [earlier, later].map(|matches| Rule { matches, action: RuleAction::Anonymous });
                let found = Rules::new(rules.to_vec()).find(method.as_bytes(), host.as_bytes(), &path).map(|(i, _)| i);
                proptest::prop_assert_ne!(found, Some(1));
            }
        }
    }
}
