//! Envoy with the scim-gateway filter in front of a store, by `envoy/scim-gateway.yaml` as it is shipped: only where things are is
//! another, and who the tenants are.

use crate::scim_store::GATEWAY_KEY;
use crate::{Envoy, folder, port};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::net::SocketAddr;

/// A running gateway.
#[derive(Debug)]
pub struct ScimGateway {
    /// The proxy.
    pub envoy: Envoy,
    addr: SocketAddr,
}

/// How a gateway is set up.
#[derive(Debug, Clone)]
pub struct GatewaySetup {
    /// Tenants by id, each as in the configuration; without credentials of its own, each has the token [`ScimGateway::token`].
    pub tenants: Map<String, Value>,
    /// Members of the section `scim` in place of those of the file.
    pub scim: Map<String, Value>,
    /// Members of the document beside `scim`.
    pub document: Map<String, Value>,
    /// Clusters beside the store's, by name.
    pub clusters: Vec<(String, SocketAddr)>,
    /// Envoy's worker threads.
    pub workers: u32,
}

impl GatewaySetup {
    /// With these tenants by id and profile, and nothing else that is special.
    pub fn new(tenants: &[(&str, &str)]) -> Self {
        let tenant = |(id, profile): &(&str, &str)| ((*id).to_owned(), json!({ "profile": profile }));
        let rate = json!({ "requests_per_second": 1_000_000, "burst": 1_000_000 });
        let limits = json!({ "rate": rate });
        Self {
            tenants: tenants.iter().map(tenant).collect(),
            scim: Map::from_iter([("limits".to_owned(), limits)]),
            document: Map::new(),
            clusters: Vec::new(),
            workers: 1,
        }
    }
}

impl ScimGateway {
    /// Starts Envoy on a free port in front of the store at `store`.
    ///
    /// # Errors
    /// If there is no Envoy, or it refuses the configuration; with the end of its log.
    pub async fn start(store: SocketAddr, setup: &GatewaySetup) -> Result<Self> {
        let addr = port::loopback(port::free()?);
        let bootstrap = bootstrap(store, addr, setup)?;
        let envoy = Envoy::start_bootstrap(&bootstrap, setup.workers).await?;
        Ok(Self { envoy, addr })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The path below which a tenant's service is.
    pub fn path(tenant: &str) -> String {
        format!("/tenants/{tenant}/scim/v2")
    }

    /// The base URL of a tenant's service.
    pub fn url(&self, tenant: &str) -> String {
        format!("http://{}{}", self.addr, Self::path(tenant))
    }

    /// The token of a tenant.
    pub fn token(tenant: &str) -> String {
        format!("token-of-{tenant}-0123456789abcdef")
    }
}

/// The file, for these tests.
fn bootstrap(store: SocketAddr, addr: SocketAddr, setup: &GatewaySetup) -> Result<Value> {
    let path = folder::root().join("envoy/scim-gateway.yaml");
    let text = fs::read_to_string(&path).with_context(|| format!("expected {}", path.display()))?;
    let mut file: Value = serde_saphyr::from_str(&text).context("expected YAML")?;
    put(&mut file, "/admin/address", address(port::loopback(0)))?;
    put(&mut file, "/static_resources/listeners/0/address", address(addr))?;
    let filter = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config";
    let module = folder::dist().join("scim-gateway.wasm").display().to_string();
    put(&mut file, &format!("{filter}/vm_config/code/local/filename"), module.into())?;
    let value = format!("{filter}/configuration/value");
    let document = file.pointer(&value).and_then(Value::as_str).context("expected the configuration")?;
    let document = configuration(serde_json::from_str(document)?, addr, setup)?.to_string();
    put(&mut file, &value, document.into())?;
    let clusters = file.pointer_mut("/static_resources/clusters").and_then(Value::as_array_mut);
    let clusters = clusters.context("expected clusters")?;
    for cluster in clusters.iter_mut() {
        put(cluster, "/type", "STATIC".into())?;
        put(cluster, "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address", address(store))?;
    }
    for (name, endpoint) in &setup.clusters {
        clusters.push(json!({
            "name": name,
            "type": "STATIC",
            "connect_timeout": "2s",
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(*endpoint) } }] }],
            },
        }));
    }
    Ok(file)
}

/// Puts `value` in the place of what is there.
fn put(file: &mut Value, pointer: &str, value: Value) -> Result<()> {
    *file.pointer_mut(pointer).with_context(|| format!("expected {pointer}"))? = value;
    Ok(())
}

fn configuration(mut document: Value, addr: SocketAddr, setup: &GatewaySetup) -> Result<Value> {
    let mut tenants = setup.tenants.clone();
    for (id, tenant) in &mut tenants {
        let has_credentials = ["tokens", "jwt", "certificates"].iter().any(|name| tenant.get(name).is_some());
        if let (Some(tenant), false) = (tenant.as_object_mut(), has_credentials) {
            let token = json!([{ "name": "suite", "sha256": sha256(&ScimGateway::token(id)) }]);
            tenant.insert("tokens".to_owned(), token);
        }
    }
    put(&mut document, "/scim/base_url", format!("http://{addr}/tenants/{{tenant}}/scim/v2").into())?;
    put(&mut document, "/scim/store/key/secret", GATEWAY_KEY.into())?;
    put(&mut document, "/scim/tenants", Value::Object(tenants))?;
    let scim = document.pointer_mut("/scim").and_then(Value::as_object_mut);
    scim.context("expected the section scim")?.extend(setup.scim.clone());
    document.as_object_mut().context("expected a document")?.extend(setup.document.clone());
    Ok(document)
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|octet| format!("{octet:02x}")).collect()
}

fn address(addr: SocketAddr) -> Value {
    json!({ "socket_address": { "address": addr.ip().to_string(), "port_value": addr.port() } })
}
