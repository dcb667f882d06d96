//! Tells our own document, which has `providers` and `rules` as Envoy's filter has, from what can be converted.

use serde_json::Value;

/// Members of the document that Envoy's filter does not have.
const OF_DOCUMENT: [&str; 7] =
    ["identity_headers", "payload_header", "filter_state", "challenge", "limits", "scim", "worker"];
/// Members of a provider that Envoy's does not have.
const OF_PROVIDER: [&str; 7] =
    ["jwks", "introspection", "from", "forward_token", "clock_skew", "danger_any_audience", "algorithms"];
/// Members of a requirement that Envoy's does not have.
const OF_REQUIREMENT: [&str; 3] = ["provider", "any", "all"];
/// What only Envoy's providers have.
const OF_ENVOYS_PROVIDER: [&str; 4] = ["remote_jwks", "remoteJwks", "local_jwks", "localJwks"];
/// What only Envoy's rules have.
const OF_ENVOYS_RULE: [&str; 3] = ["requires", "requirement_name", "requirementName"];

/// Whether the input is a document of ours, with faults or without: it has what only ours have, and nothing that only
/// Envoy's have.
pub(super) fn is_ours(input: &Value) -> bool {
    if has(input, &["@type", "kind", "static_resources", "staticResources"]) {
        return false;
    }
    let providers: Vec<&Value> =
        input.get("providers").and_then(Value::as_object).into_iter().flat_map(|all| all.values()).collect();
    let rules: Vec<&Value> = input.get("rules").and_then(Value::as_array).into_iter().flatten().collect();
    let is_envoys = providers.iter().any(|provider| has(provider, &OF_ENVOYS_PROVIDER))
        || rules.iter().any(|rule| has(rule, &OF_ENVOYS_RULE));
    !is_envoys
        && (has(input, &OF_DOCUMENT)
            || providers.iter().any(|provider| has(provider, &OF_PROVIDER))
            || rules.iter().any(|rule| is_our_rule(rule)))
}

fn is_our_rule(rule: &Value) -> bool {
    has(rule, &["allow", "enforce"])
        || rule.get("require").is_some_and(|require| has(require, &OF_REQUIREMENT))
        || rule.pointer("/match/path").is_some_and(Value::is_object)
}

fn has(value: &Value, names: &[&str]) -> bool {
    names.iter().any(|name| value.get(name).is_some())
}
