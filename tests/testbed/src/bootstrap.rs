//! Envoy's bootstrap configuration, as JSON.

use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Everything that an Envoy is started with. It binds only 127.0.0.1, on ports of the system's choice.
#[derive(Debug, Clone)]
pub struct EnvoyConfig {
    listeners: Vec<Listener>,
    clusters: Vec<(String, SocketAddr)>,
    concurrency: u32,
    component_log_level: String,
}

/// One listener with its HTTP filters.
#[derive(Debug, Clone)]
pub struct Listener {
    name: String,
    filters: Vec<Value>,
    connection_manager: Map<String, Value>,
    protocol: Map<String, Value>,
    route: Value,
    transport_socket: Option<Value>,
}

/// One WebAssembly filter of a listener.
#[derive(Debug, Clone)]
pub struct WasmPlugin {
    module: PathBuf,
    configuration: String,
    name: String,
    vm_id: String,
    failure_policy: Value,
    extra: Map<String, Value>,
}

impl EnvoyConfig {
    /// One worker, no listener yet; requests go to the cluster `upstream` at this address.
    pub fn new(upstream: SocketAddr) -> Self {
        Self {
            listeners: Vec::new(),
            clusters: vec![("upstream".to_owned(), upstream)],
            concurrency: 1,
            component_log_level: "wasm:debug".to_owned(),
        }
    }

    /// Adds a listener.
    #[must_use]
    pub fn listener(mut self, listener: Listener) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Adds a cluster with one endpoint, for instance the issuer. Nobody need listen there.
    #[must_use]
    pub fn cluster(mut self, name: &str, endpoint: SocketAddr) -> Self {
        self.clusters.push((name.to_owned(), endpoint));
        self
    }

    /// The number of worker threads; each has its own VM.
    #[must_use]
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// Envoy's `--component-log-level`; `wasm:debug` if not set. Everything else is logged from `warning` up.
    #[must_use]
    pub fn component_log_level(mut self, levels: &str) -> Self {
        self.component_log_level = levels.to_owned();
        self
    }

    pub(crate) fn workers(&self) -> u32 {
        self.concurrency
    }

    pub(crate) fn log_levels(&self) -> &str {
        &self.component_log_level
    }

    /// The bootstrap document. `access_log` is where each request leaves one line of JSON.
    pub fn bootstrap(&self, access_log: &Path) -> Value {
        json!({
            "node": { "id": "testbed", "cluster": "testbed" },
            "admin": { "address": socket_address(SocketAddr::from(([127, 0, 0, 1], 0))) },
            "static_resources": {
                "listeners": self.listeners.iter().map(|listener| listener.to_json(access_log)).collect::<Vec<_>>(),
                "clusters": self.clusters.iter().map(|(name, endpoint)| cluster(name, *endpoint)).collect::<Vec<_>>(),
            },
        })
    }
}

impl Listener {
    /// A listener without filters that routes everything to the cluster `upstream`.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            filters: Vec::new(),
            connection_manager: Map::new(),
            protocol: Map::new(),
            route: json!({ "match": { "prefix": "/" }, "route": { "cluster": "upstream", "timeout": "30s" } }),
            transport_socket: None,
        }
    }

    /// Adds a WebAssembly filter after those that are there.
    #[must_use]
    pub fn wasm(self, plugin: &WasmPlugin) -> Self {
        self.http_filter(plugin.to_json())
    }

    /// Adds any HTTP filter, `{"name", "typed_config"}`, after those that are there.
    #[must_use]
    pub fn http_filter(mut self, filter: Value) -> Self {
        self.filters.push(filter);
        self
    }

    /// Answers 200 itself and asks no upstream: for measuring.
    #[must_use]
    pub fn direct_response(mut self) -> Self {
        let body = json!({ "inline_string": "ok" });
        self.route =
            json!({ "match": { "prefix": "/" }, "direct_response": { "status": 200, "body": body } });
        self
    }

    /// The most request headers to let through; Envoy's default is 100.
    #[must_use]
    pub fn max_headers_count(mut self, count: u32) -> Self {
        self.protocol.insert("max_headers_count".to_owned(), count.into());
        self
    }

    /// The most bytes of request headers to let through, in KiB; Envoy's default is 60.
    #[must_use]
    pub fn max_request_headers_kb(self, kib: u32) -> Self {
        self.connection_manager("max_request_headers_kb", kib.into())
    }

    /// Speaks TLS with a certificate and its key, and asks clients for a certificate by this authority. All are PEM files.
    #[must_use]
    pub fn mutual_tls(mut self, certificate: &Path, key: &Path, authority: &Path) -> Self {
        self.transport_socket = Some(mutual_tls(certificate, key, authority));
        self
    }

    /// Sets any other field of the HTTP connection manager, for instance `normalize_path`.
    #[must_use]
    pub fn connection_manager(mut self, field: &str, value: Value) -> Self {
        self.connection_manager.insert(field.to_owned(), value);
        self
    }

    fn to_json(&self, access_log: &Path) -> Value {
        let mut filters = self.filters.clone();
        filters.push(typed(
            "envoy.filters.http.router",
            "envoy.extensions.filters.http.router.v3.Router",
            json!({}),
        ));
        let mut manager = json!({
            "stat_prefix": self.name,
            "access_log": [access_log_to(access_log)],
            "common_http_protocol_options": self.protocol,
            "route_config": {
                "name": self.name,
                "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [self.route] }],
            },
            "http_filters": filters,
        });
        if let Some(members) = manager.as_object_mut() {
            members.extend(self.connection_manager.clone());
        }
        let manager = typed(
            "envoy.filters.network.http_connection_manager",
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            manager,
        );
        let mut chain = json!({ "filters": [manager] });
        if let (Some(members), Some(socket)) = (chain.as_object_mut(), &self.transport_socket) {
            members.insert("transport_socket".to_owned(), socket.clone());
        }
        json!({
            "name": self.name,
            "address": socket_address(SocketAddr::from(([127, 0, 0, 1], 0))),
            "filter_chains": [chain],
        })
    }
}

impl WasmPlugin {
    /// The filter `module` (a `.wasm` file) with this configuration document. A VM that traps is made anew, never bypassed.
    pub fn new(module: impl Into<PathBuf>, configuration: &Value) -> Self {
        Self::with_text(module, &configuration.to_string())
    }

    /// Like [`Self::new`] with any text for a configuration, JSON or not.
    pub fn with_text(module: impl Into<PathBuf>, configuration: &str) -> Self {
        Self {
            module: module.into(),
            configuration: configuration.to_owned(),
            name: "doorward".to_owned(),
            vm_id: "doorward".to_owned(),
            failure_policy: "FAIL_RELOAD".into(),
            extra: Map::new(),
        }
    }

    /// The name and root id, `doorward` if not set: two plugins in one VM need two.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// The id of the VM, `doorward` if not set: plugins with the same id and module share a VM and its shared data.
    #[must_use]
    pub fn vm_id(mut self, id: &str) -> Self {
        self.vm_id = id.to_owned();
        self
    }

    /// Sets any other field of Envoy's `PluginConfig`, for instance `allow_on_headers_stop_iteration`.
    #[must_use]
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.extra.insert(name.to_owned(), value);
        self
    }

    fn to_json(&self) -> Value {
        let mut config = json!({
            "name": self.name,
            "root_id": self.name,
            "failure_policy": self.failure_policy,
            "reload_config": { "backoff": { "base_interval": "0.1s" } },
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": self.configuration,
            },
            "vm_config": {
                "vm_id": self.vm_id,
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": self.module } },
            },
        });
        if let Some(members) = config.as_object_mut() {
            members.extend(self.extra.clone());
        }
        typed(
            "envoy.filters.http.wasm",
            "envoy.extensions.filters.http.wasm.v3.Wasm",
            json!({ "config": config }),
        )
    }
}

/// A transport socket that speaks TLS, and asks clients for a certificate by this authority.
pub(crate) fn mutual_tls(certificate: &Path, key: &Path, authority: &Path) -> Value {
    let file = |path: &Path| json!({ "filename": path });
    let context = json!({ "common_tls_context": {
        "tls_certificates": [{ "certificate_chain": file(certificate), "private_key": file(key) }],
        "validation_context": { "trusted_ca": file(authority) },
    }});
    let message = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
    typed("envoy.transport_sockets.tls", message, context)
}

fn typed(name: &str, message: &str, mut config: Value) -> Value {
    if let Some(members) = config.as_object_mut() {
        members.insert("@type".to_owned(), format!("type.googleapis.com/{message}").into());
    }
    json!({ "name": name, "typed_config": config })
}

fn cluster(name: &str, endpoint: SocketAddr) -> Value {
    let endpoint = json!({ "endpoint": { "address": socket_address(endpoint) } });
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [endpoint] }] },
    })
}

pub(crate) fn socket_address(addr: SocketAddr) -> Value {
    json!({ "socket_address": { "address": addr.ip().to_string(), "port_value": addr.port() } })
}

fn access_log_to(path: &Path) -> Value {
    let format = json!({ "json_format": {
        "method": "%REQ(:METHOD)%",
        "path": "%REQ(:PATH)%",
        "status": "%RESPONSE_CODE%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "reported": "%FILTER_STATE(wasm.doorward.reported:PLAIN)%",
        "provider": "%FILTER_STATE(wasm.doorward.provider:PLAIN)%",
        "subject": "%FILTER_STATE(wasm.doorward.sub:PLAIN)%",
        "flags": "%RESPONSE_FLAGS%",
    }});
    typed(
        "envoy.access_loggers.file",
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        json!({ "path": path, "log_format": format }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::loopback;

    #[test]
    fn configuration_reaches_the_plugin_as_one_string() {
        let plugin = WasmPlugin::new("/x/f.wasm", &json!({ "a": [1] })).name("n").vm_id("v");
        let json = plugin.field("allow_on_headers_stop_iteration", true.into()).to_json();
        let config = &json["typed_config"]["config"];
        assert_eq!(config["configuration"]["value"], r#"{"a":[1]}"#);
        assert_eq!((&config["root_id"], &config["vm_config"]["vm_id"]), (&json!("n"), &json!("v")));
        assert_eq!(config["failure_policy"], "FAIL_RELOAD");
        assert_eq!(config["allow_on_headers_stop_iteration"], true);
    }

    #[test]
    fn everything_is_on_loopback_and_the_router_is_last() {
        let filter = json!({ "name": "mine" });
        let listener = Listener::new("l").http_filter(filter).max_headers_count(9).max_request_headers_kb(8);
        let config = EnvoyConfig::new(loopback(1)).cluster("issuer", loopback(2)).listener(listener);
        let bootstrap = config.bootstrap(Path::new("/x/access.log"));
        let shown = bootstrap.to_string();
        assert_eq!(shown.matches(r#""address":"127.0.0.1""#).count(), shown.matches("port_value").count());
        let listener = &bootstrap["static_resources"]["listeners"][0];
        let manager = &listener["filter_chains"][0]["filters"][0]["typed_config"];
        let names: Vec<_> = manager["http_filters"].as_array().unwrap().iter().map(|f| &f["name"]).collect();
        assert_eq!(names, ["mine", "envoy.filters.http.router"]);
        assert_eq!(manager["max_request_headers_kb"], 8);
        assert_eq!(manager["common_http_protocol_options"]["max_headers_count"], 9);
    }
}
