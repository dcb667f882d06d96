//! Envoy's `jwt_authn` filter: `envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication`.

use super::document::{Document, Jwks, Provider};
use super::node::Node;
use super::note::Notes;
use super::rules::Rules;
use super::{place, provider};
use serde_json::{Map, Value};

const MAX_SKEW_SECONDS: u64 = 600;
const TIMEOUT_MILLIS: [u64; 2] = [100, 60_000];
const REFRESH_MILLIS: [u64; 2] = [1000, 86_400_000];
const LIFETIME_MILLIS: [u64; 2] = [1000, u64::MAX];

/// Converts the filter's configuration, or the first one in a bootstrap.
pub(super) fn convert(input: Value, notes: &mut Notes) -> Result<Document, String> {
    let mut found = Vec::new();
    find("", input, &mut found, notes);
    let (mut filters, mut routes) = (Vec::new(), Vec::new());
    for (path, kind, value) in found {
        if kind.ends_with("JwtAuthentication") {
            filters.push((path, value));
        } else {
            notes.left_out(&path, "requirements of single routes have no counterpart: write rules");
            routes.push((path, value));
        }
    }
    let mut filters = filters.into_iter();
    let (path, value) = filters.next().ok_or("expected a jwt_authn filter, but found none")?;
    for (path, _) in filters {
        notes.left_out(&path, "is another jwt_authn filter: each needs a document of its own");
    }
    let filter = Node::new(&path, value, notes).ok_or("expected the configuration of a jwt_authn filter")?;
    Ok(convert_filter(filter, routes, notes))
}

/// Every configuration of this filter, with its place and type; the input itself if it has providers.
fn find(path: &str, value: Value, found: &mut Vec<(String, String, Value)>, notes: &mut Notes) {
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(mut members) => {
            if let Some(kind) = kind(&members, &["@type"]) {
                found.push((path.to_owned(), kind, Value::Object(members)));
                return;
            }
            if let Some(kind) = kind(&members, &["type_url", "typeUrl"]) {
                // A TypedStruct: the configuration is its value.
                found.push((at("value"), kind, members.remove("value").unwrap_or_default()));
                return;
            }
            if path.is_empty() && (members.contains_key("providers") || members.contains_key("rules")) {
                found.push((String::new(), "JwtAuthentication".to_owned(), Value::Object(members)));
                return;
            }
            let is_filter = |value: &Value| value.as_object().and_then(|v| kind(v, &["@type"])).is_some();
            let is_off = members.get("disabled").is_some_and(|flag| *flag != Value::Bool(false));
            if is_off && members.get("typed_config").is_some_and(is_filter) {
                notes.differs(&at("disabled"), "the document applies wherever it is loaded");
            }
            for (name, value) in members {
                // By the filter's usual name, whatever its type says: at least `FilterConfig` is another.
                if name == "envoy.filters.http.jwt_authn" && !value.to_string().contains(".jwt_authn.") {
                    found.push((at(&name), String::new(), value));
                } else {
                    find(&at(&name), value, found, notes);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.into_iter().enumerate() {
                find(&format!("{path}[{index}]"), item, found, notes);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The type that an object says it is, if it is one of this filter's.
fn kind(members: &Map<String, Value>, names: &[&str]) -> Option<String> {
    let mut kinds = names.iter().filter_map(|name| members.get(*name)?.as_str());
    kinds.find(|kind| kind.contains(".jwt_authn.")).map(str::to_owned)
}

fn convert_filter(mut filter: Node, routes: Vec<(String, Value)>, notes: &mut Notes) -> Document {
    filter.ignore(&["@type", "stat_prefix"]);
    // What no rule is for, which these are about, is denied.
    filter.leave_out(&["filter_state_rules", "strip_failure_response"], notes);
    let mut document = Document::default();
    let filter_path = filter.path.clone();
    let [providers_path, rules_path] = ["providers", "rules"].map(|name| filter.at(name));
    let ((providers, map, rules), is_understood) = notes.watch(|notes| {
        document.bypass_cors_preflight = filter.flag("bypass_cors_preflight", notes);
        let (providers, map) = (filter.object("providers", notes), filter.object("requirement_map", notes));
        let rules = filter.items("rules", notes);
        filter.finish(notes);
        (providers, map, rules)
    });
    for (name, value) in providers.into_iter().flat_map(|mut node| node.take_all()) {
        if let Some(node) = Node::new(&format!("{providers_path}.{name}"), value, notes) {
            let provider = convert_provider(&name, node, &mut document, notes);
            document.providers.insert(name, provider);
        }
    }
    if document.providers.len() > 1 && document.payload_header.is_some() {
        notes.differs(&providers_path, "the payload header is set from the first token, whoever issued it");
    }
    let named = map.into_iter().flat_map(|mut node| node.take_all()).collect();
    let mut converter = Rules::new(named, &document.providers);
    if !is_understood {
        converter.doubt(if filter_path.is_empty() { "the filter" } else { &filter_path });
    }
    for (path, value) in routes {
        converter.route(&path, value, notes);
    }
    for (path, value) in rules {
        converter.rule(&path, value, notes);
    }
    document.rules = converter.finish(&rules_path, notes);
    document
}

/// What cannot be read leaves a provider whose tokens do not count.
fn convert_provider(name: &str, node: Node, document: &mut Document, notes: &mut Notes) -> Provider {
    let path = node.path.clone();
    let (mut provider, is_understood) = notes.watch(|notes| read_provider(name, node, document, notes));
    provider::settle(&mut provider, &path, is_understood, notes);
    provider
}

fn read_provider(name: &str, mut node: Node, document: &mut Document, notes: &mut Notes) -> Provider {
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
            Some(_) => notes.left_out(&node.at("clock_skew_seconds"), "expected at most 600 seconds"),
            None => notes.not_converted(&node.at("clock_skew_seconds"), "expected whole seconds"),
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
        notes.left_out(&node.at("pad_forward_payload_header"), "the payload is written as in the token");
    }
    // What others are told, and how long judgements are kept.
    node.leave_out(
        &[
            "payload_in_metadata",
            "header_in_metadata",
            "failed_status_in_metadata",
            "normalize_payload_in_metadata",
            "jwt_cache_config",
            "clear_route_cache",
        ],
        notes,
    );
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
        let Some(mut http) = remote.object("http_uri", notes) else {
            remote.finish(notes);
            return None;
        };
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
    for name in ["filename", "inline_bytes", "environment_variable", "watched_directory"] {
        if local.take(name).is_some() {
            notes.left_out(&local.at(name), "write the key set itself into `jwks.inline`");
        }
    }
    local.finish(notes);
    found
}
