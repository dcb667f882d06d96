//! Our configuration in the files of others: Envoy's (bootstrap, resources, dumps) and Istio's (WasmPlugin, EnvoyFilter).

use crate::file::Document;
use doorward::config::Path;
use serde_json::{Map, Value};

/// What [`find`] looks for, for people.
pub(crate) const LOOKED_FOR: &str = "a document with providers, rules or scim, or an Envoy or Istio configuration with a wasm \
     plugin whose name, root_id or module is ours, or whose configuration has one of these";

/// Members by which a document is ours, wherever it stands.
const MARKS: [&str; 3] = ["providers", "rules", "scim"];

/// A configuration that a file has for us.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plugin {
    /// Where it is in the file; empty for a file that is nothing else.
    pub(crate) place: String,
    /// What is wrong with how it is handed over.
    pub(crate) fault: Option<String>,
    /// The document, JSON text.
    pub(crate) text: Option<Vec<u8>>,
}

/// Every configuration of ours. Those of other plugins are left alone.
pub(crate) fn find(documents: &[Document]) -> Vec<Plugin> {
    let mut found = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        let start = found.len();
        if is_alone(&document.value) {
            let text = Some(document.text.clone());
            found.push(Plugin { text, ..Plugin::default() });
        } else {
            walk(&document.value, &Path::default(), &mut found);
        }
        if documents.len() > 1 {
            for plugin in found.iter_mut().skip(start) {
                let number = format!("document {}", index.saturating_add(1));
                plugin.place =
                    if plugin.place.is_empty() { number } else { format!("{number}: {}", plugin.place) };
            }
        }
    }
    found
}

/// Nothing but ours. Kubernetes has resources with `rules` of their own.
fn is_alone(value: &Value) -> bool {
    let has = |name: &str| value.get(name).is_some();
    MARKS.into_iter().any(has) && !(has("apiVersion") && has("kind"))
}

fn walk(value: &Value, place: &Path, found: &mut Vec<Plugin>) {
    match value {
        Value::Object(members) => {
            if let Some((path, config)) = envoy_plugin(members, place) {
                found.extend(read_envoy(config, &path));
            } else if is_wasm_plugin(members) {
                found.extend(read_istio(members, place));
            } else {
                for (name, member) in members {
                    walk(member, &place.member(name), found);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &place.item(index), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The `config` (envoy.extensions.wasm.v3.PluginConfig) of a filter, and where it is.
fn envoy_plugin<'v>(members: &'v Map<String, Value>, place: &Path) -> Option<(Path, &'v Value)> {
    let type_url = text(members, "@type", "@type")?;
    if type_url.ends_with(".Wasm") {
        return Some((place.member("config"), members.get("config")?));
    }
    // Istio's way to write a type that the control plane does not know.
    let inner = text(members, "type_url", "typeUrl")?;
    if type_url.ends_with(".TypedStruct") && inner.ends_with(".Wasm") {
        return Some((place.member("value").member("config"), members.get("value")?.get("config")?));
    }
    None
}

fn read_envoy(config: &Value, place: &Path) -> Option<Plugin> {
    let config = config.as_object()?;
    let is_named = [text(config, "name", "name"), text(config, "root_id", "rootId")]
        .into_iter()
        .flatten()
        .any(is_our_name)
        || member(config, "vm_config", "vmConfig").is_some_and(has_our_module);
    let Some(configuration) = config.get("configuration") else {
        let fault = "expected configuration: without one, every request is denied".to_owned();
        return is_named.then(|| Plugin { place: place.to_string(), fault: Some(fault), text: None });
    };
    let place = place.member("configuration");
    let type_url = configuration.get("@type").and_then(Value::as_str).unwrap_or_default();
    let value = configuration.get("value");
    match (type_url.rsplit('/').next().unwrap_or_default(), value) {
        ("google.protobuf.StringValue", Some(Value::String(text))) => {
            let document: Option<Value> = serde_json::from_str(text).ok();
            let is_ours = is_named || document.as_ref().is_some_and(looks_like_ours);
            let holds = member(config, "allow_on_headers_stop_iteration", "allowOnHeadersStopIteration");
            let is_gateway = document.as_ref().is_some_and(is_for_the_gateway_alone);
            let fault = (is_gateway && holds != Some(&Value::Bool(true))).then(|| WAITS_FOR_EVER.to_owned());
            let text = Some(text.clone().into_bytes());
            is_ours.then(|| Plugin { place: place.to_string(), fault, text })
        }
        (kind, _) => {
            // What was meant is checked all the same, so that all faults come at once.
            let meant = if kind.is_empty() { configuration } else { value.unwrap_or(&Value::Null) };
            let is_ours = looks_like_ours(meant);
            let text = is_ours.then(|| meant.to_string().into_bytes());
            let fault = Some(not_a_string(kind));
            (is_named || is_ours).then(|| Plugin { place: place.to_string(), fault, text })
        }
    }
}

fn not_a_string(kind: &str) -> String {
    let expected = "expected \"@type\": type.googleapis.com/google.protobuf.StringValue and the document as JSON text \
                    in value";
    match kind {
        "" => format!("{expected}, but found no \"@type\""),
        "google.protobuf.StringValue" => format!("{expected}, but found no text"),
        "google.protobuf.Struct" => {
            format!("{expected}, but found a {kind}: Envoy hands it over as protobuf, not as JSON")
        }
        _ => format!("{expected}, but found {kind:?}"),
    }
}

/// A resource of Istio; its `pluginConfig` reaches the plugin as JSON.
fn is_wasm_plugin(members: &Map<String, Value>) -> bool {
    text(members, "kind", "kind") == Some("WasmPlugin")
        && text(members, "apiVersion", "apiVersion")
            .is_some_and(|api| api.starts_with("extensions.istio.io/"))
}

fn read_istio(members: &Map<String, Value>, place: &Path) -> Option<Plugin> {
    let spec = members.get("spec")?.as_object()?;
    let name = members.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Value::as_str);
    let is_named = [name, text(spec, "pluginName", "plugin_name")].into_iter().flatten().any(is_our_name)
        || text(spec, "url", "url").is_some_and(is_our_module);
    let place = place.member("spec").member("pluginConfig");
    match member(spec, "pluginConfig", "plugin_config") {
        Some(config) if is_named || looks_like_ours(config) => {
            let text = Some(config.to_string().into_bytes());
            let fault = is_for_the_gateway_alone(config)
                .then(|| format!("{WAITS_FOR_EVER}; a WasmPlugin cannot say it, an EnvoyFilter can"));
            Some(Plugin { place: place.to_string(), fault, text })
        }
        None if is_named => {
            let fault = "expected the document: without one, every request is denied".to_owned();
            Some(Plugin { place: place.to_string(), fault: Some(fault), text: None })
        }
        Some(_) | None => None,
    }
}

/// A member by its name in protobuf and in JSON.
fn member<'v>(members: &'v Map<String, Value>, name: &str, other: &str) -> Option<&'v Value> {
    members.get(name).or_else(|| members.get(other))
}

fn text<'v>(members: &'v Map<String, Value>, name: &str, other: &str) -> Option<&'v str> {
    member(members, name, other)?.as_str()
}

fn is_our_name(name: &str) -> bool {
    name.contains("doorward")
}

/// A path, URL or image of the module.
fn is_our_module(module: &str) -> bool {
    let is_file = |file: &&str| module.ends_with(file);
    module.contains("doorward") || ["jwt-authn.wasm", "scim-gateway.wasm"].iter().any(is_file)
}

fn has_our_module(vm_config: &Value) -> bool {
    let places = ["/code/local/filename", "/code/remote/http_uri/uri", "/code/remote/httpUri/uri"];
    places.into_iter().filter_map(|place| vm_config.pointer(place)?.as_str()).any(is_our_module)
}

/// Envoy would go on with the head of a call, or hold its body for ever.
const WAITS_FOR_EVER: &str = "expected allow_on_headers_stop_iteration: true beside the configuration of the SCIM gateway: without it \
     a call with a body waits for ever";

/// Whether only scim-gateway can be meant: jwt-authn may have the same document, and needs rules.
fn is_for_the_gateway_alone(document: &Value) -> bool {
    document.get("scim").is_some() && document.get("rules").is_none()
}

/// Rules that are plain text belong to another plugin: a web application firewall's, for instance.
fn looks_like_ours(value: &Value) -> bool {
    let is_text = |rules: &Vec<Value>| !rules.is_empty() && rules.iter().all(Value::is_string);
    value.get("providers").is_some()
        || value.get("scim").is_some()
        || value.get("rules").is_some_and(|rules| !rules.as_array().is_some_and(is_text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const STRING: &str = "type.googleapis.com/google.protobuf.StringValue";
    const STRUCT: &str = "type.googleapis.com/google.protobuf.Struct";
    const OURS: &str = r#"{"rules":[]}"#;

    fn filter(config: &Value) -> Value {
        json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": config})
    }

    fn string(text: &str) -> Value {
        json!({"@type": STRING, "value": text})
    }

    /// Place, whether it has a fault, and the document of everything found in these documents.
    fn check_all(documents: &[Value], expected: &[(&str, bool, Option<&str>)]) {
        let read = |value: &Value| Document { text: value.to_string().into_bytes(), value: value.clone() };
        let found = find(&documents.iter().map(read).collect::<Vec<_>>());
        let found: Vec<_> = found
            .iter()
            .map(|plugin| {
                let text = plugin.text.as_ref().map(|text| std::str::from_utf8(text).unwrap());
                (plugin.place.as_str(), plugin.fault.is_some(), text)
            })
            .collect();
        assert_eq!(found, expected, "{documents:#?}");
    }

    fn check(document: Value, expected: &[(&str, bool, Option<&str>)]) {
        check_all(&[document], expected);
    }

    #[test]
    fn a_document_alone_is_its_own_place() {
        check(json!({"rules": []}), &[("", false, Some(OURS))]);
        check(json!({"providers": 7}), &[("", false, Some(r#"{"providers":7}"#))]);
        check(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": []}), &[]);
        for nothing in [json!({}), json!(null), json!([]), json!({"static_resources": {}})] {
            check(nothing, &[]);
        }
    }

    #[test]
    fn a_plugin_of_envoy_is_ours_by_what_it_has_or_by_its_name() {
        let at = |config: &Value| json!({"listeners": [{"typed_config": filter(config)}]});
        let place = "listeners[0].typed_config.config.configuration";
        check(at(&json!({"configuration": string(OURS)})), &[(place, false, Some(OURS))]);
        for named in [
            json!({"name": "doorward", "configuration": string("x")}),
            json!({"rootId": "doorward", "configuration": string("x")}),
            json!({"vm_config": {"code": {"local": {"filename": "/a/jwt-authn.wasm"}}}, "configuration": string("x")}),
            json!({"vmConfig": {"code": {"remote": {"httpUri": {"uri": "https://a/doorward.wasm"}}}}, "configuration": string("x")}),
        ] {
            check(at(&named), &[(place, false, Some("x"))]);
        }
        check(at(&json!({"name": "doorward"})), &[("listeners[0].typed_config.config", true, None)]);
    }

    #[test]
    fn other_plugins_are_left_alone() {
        for text in ["x", "{}", "[]", r#"{"limit":1}"#, r#"{"rules":["SecRuleEngine On"]}"#] {
            check(filter(&json!({"name": "other", "configuration": string(text)})), &[]);
        }
        check(filter(&json!({"configuration": {"@type": STRUCT, "value": {"limit": 1}}})), &[]);
        check(filter(&json!({})), &[]);
        // Envoy's own filter has providers and rules too.
        let own = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication";
        check(json!({"typed_config": {"@type": own, "providers": {}, "rules": []}}), &[]);
    }

    #[test]
    fn what_is_not_text_is_a_fault_and_checked_all_the_same() {
        let place = "config.configuration";
        let with = |configuration: Value| filter(&json!({"configuration": configuration}));
        check(with(json!({"@type": STRUCT, "value": {"rules": []}})), &[(place, true, Some(OURS))]);
        check(with(json!({"@type": STRING, "value": {"rules": []}})), &[(place, true, Some(OURS))]);
        check(with(json!({"rules": []})), &[(place, true, Some(OURS))]);
        let named = json!({"name": "doorward", "configuration": {"@type": STRUCT, "value": {}}});
        check(filter(&named), &[(place, true, None)]);
        let bytes = json!({"name": "doorward", "configuration": {"@type": "google.protobuf.BytesValue", "value": "e30="}});
        check(filter(&bytes), &[(place, true, None)]);
        assert!(not_a_string("google.protobuf.Struct").contains("as protobuf, not as JSON"));
    }

    #[test]
    fn istio_has_it_as_a_plain_object_or_in_an_envoy_filter() {
        let plugin = |name: &str, url: &str, spec: Value| {
            let mut plugin = json!({"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
                "metadata": {"name": name}, "spec": spec});
            plugin["spec"]["url"] = json!(url);
            plugin
        };
        let place = "spec.pluginConfig";
        check(plugin("a", "oci://b", json!({"pluginConfig": {"rules": []}})), &[(place, false, Some(OURS))]);
        check(plugin("a", "oci://b", json!({"pluginConfig": {"limit": 1}})), &[]);
        check(plugin("doorward", "oci://b", json!({"pluginConfig": {}})), &[(place, false, Some("{}"))]);
        check(plugin("a", "oci://b/doorward:1", json!({})), &[(place, true, None)]);
        let patch = json!({"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
        "spec": {"configPatches": [{"patch": {"value": {"typed_config": {
            "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
            "type_url": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "value": {"config": {"configuration": string(OURS)}},
        }}}}]}});
        let place = "spec.configPatches[0].patch.value.typed_config.value.config.configuration";
        check(patch, &[(place, false, Some(OURS))]);
    }

    #[test]
    fn the_gateway_needs_to_hold_heads() {
        let scim = r#"{"scim":{}}"#;
        let place = "config.configuration";
        let with = |holds: Value| {
            filter(&json!({"configuration": string(scim), "allow_on_headers_stop_iteration": holds}))
        };
        check(with(json!(true)), &[(place, false, Some(scim))]);
        check(with(json!(false)), &[(place, true, Some(scim))]);
        check(filter(&json!({"configuration": string(scim)})), &[(place, true, Some(scim))]);
        // Both filters may read it; jwt-authn holds nothing.
        let both = r#"{"rules":[],"scim":{}}"#;
        check(filter(&json!({"configuration": string(both)})), &[(place, false, Some(both))]);
        let plugin = json!({"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
            "metadata": {"name": "a"}, "spec": {"url": "oci://b", "pluginConfig": {"scim": {}}}});
        check(plugin, &[("spec.pluginConfig", true, Some(scim))]);
        check(json!({"scim": {}}), &[("", false, Some(scim))]);
    }

    #[test]
    fn documents_of_one_file_are_counted_from_1() {
        let wasm = filter(&json!({"configuration": string(OURS)}));
        check_all(
            &[json!({}), wasm, json!({"rules": []})],
            &[("document 2: config.configuration", false, Some(OURS)), ("document 3", false, Some(OURS))],
        );
    }
}
