//! References to what other operations create: `bulkId:NAME`, where an id belongs (RFC 7644 section 3.7.2).

use serde_json::{Map, Value as Json};

const MARK: &str = "bulkId:";

/// A text, in parts.
enum Part<'t> {
    Text(&'t str),
    /// The name.
    Reference(&'t str),
}

/// The names in a URL.
pub(super) fn in_url(url: &str) -> Vec<&str> {
    names(url_parts(url))
}

/// The names in the member `name`, however deep.
pub(super) fn in_json<'j>(name: &'j str, value: &'j Json) -> Vec<&'j str> {
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => Vec::new(),
        Json::String(text) => names(parts(name, text)),
        Json::Array(items) => items.iter().flat_map(|item| in_json(name, item)).collect(),
        Json::Object(members) => members.iter().flat_map(|(name, value)| in_json(name, value)).collect(),
    }
}

/// The URL with ids in place of names.
pub(super) fn resolve_url<'i>(url: &str, id: &impl Fn(&str) -> Option<&'i str>) -> Option<String> {
    resolved(url_parts(url), id)
}

/// The members with ids in place of names; `None` if a name has no id.
pub(super) fn resolve_members<'i>(
    members: &Map<String, Json>,
    id: &impl Fn(&str) -> Option<&'i str>,
) -> Option<Map<String, Json>> {
    members.iter().map(|(name, value)| Some((name.clone(), resolve(name, value, id)?))).collect()
}

/// The member `name` with ids in place of names.
pub(super) fn resolve<'i>(name: &str, value: &Json, id: &impl Fn(&str) -> Option<&'i str>) -> Option<Json> {
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => Some(value.clone()),
        Json::String(text) => resolved(parts(name, text), id).map(Json::String),
        Json::Array(items) => items.iter().map(|item| resolve(name, item, id)).collect(),
        Json::Object(members) => resolve_members(members, id).map(Json::Object),
    }
}

fn names(parts: Vec<Part<'_>>) -> Vec<&str> {
    let name = |part| if let Part::Reference(name) = part { Some(name) } else { None };
    parts.into_iter().filter_map(name).collect()
}

fn resolved<'i>(parts: Vec<Part<'_>>, id: &impl Fn(&str) -> Option<&'i str>) -> Option<String> {
    parts
        .into_iter()
        .map(|part| match part {
            Part::Text(text) => Some(text),
            Part::Reference(name) => id(name),
        })
        .collect()
}

/// A text is a reference as a whole. In `$ref` it is the last segment; in the `path` of a PATCH operation, a string
/// of the filter.
fn parts<'t>(name: &str, text: &'t str) -> Vec<Part<'t>> {
    match name {
        "$ref" => url_parts(text),
        "path" if text.contains("[") => {
            let strings = text.split('"').map(part);
            strings
                .enumerate()
                .flat_map(|(index, part)| [Part::Text(if index > 0 { "\"" } else { "" }), part])
                .collect()
        }
        _ => vec![part(text)],
    }
}

fn url_parts(url: &str) -> Vec<Part<'_>> {
    match url.rsplit_once('/') {
        Some((before, segment)) => vec![Part::Text(before), Part::Text("/"), part(segment)],
        None => vec![part(url)],
    }
}

fn part(text: &str) -> Part<'_> {
    text.strip_prefix(MARK).map_or(Part::Text(text), Part::Reference)
}
