//! Where tokens are, and which paths a rule is for: the parts that Envoy and Istio have in common.

use super::document::{Location, PathMatch};
use super::node::Node;
use super::note::Notes;
use doorward::http::is_token;
use doorward::policy::{NormalPath, PathPattern};

/// The places that the input names; empty for the default.
pub(super) fn locations(node: &mut Node, names: [&str; 3], prefix: &str, notes: &mut Notes) -> Vec<Location> {
    let [headers, parameters, cookies] = names;
    let (mut places, mut lost) = (Vec::new(), false);
    for mut header in node.objects(headers, notes) {
        let name = header.string("name", notes).unwrap_or_default().to_ascii_lowercase();
        let prefix = header.string(prefix, notes).unwrap_or_default();
        match scheme(&name, &prefix) {
            Some(scheme) if is_token(name.as_bytes()) => {
                places.push(Location::Header { header: name, scheme });
            }
            _ => {
                lost = true;
                notes.left_out(
                    &header.path,
                    format!("a token after {prefix:?} in header {name:?}: only a scheme and a space can come before it"),
                );
            }
        }
        header.finish(notes);
    }
    let at = node.at(parameters);
    for query in node.strings(parameters, notes) {
        if is_token(query.as_bytes()) {
            places.push(Location::Query { query });
        } else {
            lost = true;
            notes.left_out(&at, format!("{query:?} is not a plain name"));
        }
    }
    let at = node.at(cookies);
    for cookie in node.strings(cookies, notes) {
        if is_token(cookie.as_bytes()) {
            places.push(Location::Cookie { cookie });
        } else {
            lost = true;
            notes.left_out(&at, format!("{cookie:?} is not a cookie's name"));
        }
    }
    if places.is_empty() && lost {
        // Without any, tokens would be looked for where the input does not say.
        notes.not_converted(&node.path, "there is no place left where a token can be");
    } else if places.is_empty() {
        notes.differs(
            &node.path,
            "tokens in the query parameter access_token are not looked for; name it in `from` if you need it",
        );
    }
    places
}

/// `Some(None)` for the whole value.
fn scheme(name: &str, prefix: &str) -> Option<Option<String>> {
    if prefix.is_empty() {
        return (name != "authorization").then_some(None);
    }
    prefix
        .strip_suffix(' ')
        .filter(|scheme| is_token(scheme.as_bytes()))
        .map(|scheme| Some(scheme.to_owned()))
}

/// Whether a path can stand in a rule.
fn is_plain(path: &str) -> bool {
    NormalPath::parse(path.as_bytes()).is_ok() && !path.contains(['?', '{', '}'])
}

/// This path alone.
pub(super) fn exact(at: &str, path: &str, notes: &mut Notes) -> Option<PathMatch> {
    if !is_plain(path) {
        notes.not_converted(at, format!("{path:?} is no path, or has more than one reading"));
        return None;
    }
    Some(PathMatch::Exact(path.to_owned()))
}

/// A prefix of characters, which here ends on a segment border. `Some(None)` is every path.
pub(super) fn prefix(at: &str, path: &str, notes: &mut Notes) -> Option<Option<PathMatch>> {
    if path.is_empty() || path == "/" {
        return Some(None);
    }
    let found = segments(at, path, notes)?;
    match path.strip_suffix('/') {
        Some(parent) => notes.differs(at, format!("matches {parent:?} too")),
        None => notes.differs(at, format!("matches {path:?} and what is below it, not \"{path}x\"")),
    }
    Some(Some(found))
}

/// This path and all below it.
pub(super) fn segments(at: &str, path: &str, notes: &mut Notes) -> Option<PathMatch> {
    if !is_plain(path) {
        notes.not_converted(at, format!("{path:?} is no path, or has more than one reading"));
        return None;
    }
    Some(PathMatch::Prefix(path.to_owned()))
}

/// A template of segments.
pub(super) fn template(at: &str, path: &str, notes: &mut Notes) -> Option<PathMatch> {
    if NormalPath::parse(path.as_bytes()).is_ok()
        && !path.contains('?')
        && PathPattern::template(path).is_some()
    {
        return Some(PathMatch::Template(path.to_owned()));
    }
    notes.not_converted(at, format!("{path:?}: only {{name}} filling one segment has a counterpart"));
    None
}
