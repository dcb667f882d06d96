//! Envoy with the scim-gateway filter in front of a store, by `envoy/scim-gateway.yaml` as it is shipped: only where things are is
//! another, and who the tenants are.

use crate::bootstrap::{self, socket_address};
use crate::scim_store::GATEWAY_KEY;
use crate::{Envoy, folder, port};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

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
    /// The listener's `transport_socket`, see [`Self::mutual_tls`]; without, it speaks plain HTTP.
    pub transport_socket: Option<Value>,
    /// Envoy's worker threads.
    pub workers: u32,
    /// `stats_config` of another file of `envoy/`.
    pub stats_config: Option<Value>,
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
            transport_socket: None,
            workers: 1,
            stats_config: None,
        }
    }

    /// Has the listener speak TLS with a certificate and its key, and ask clients for a certificate by this authority. All are PEM
    /// files.
    #[must_use]
    pub fn mutual_tls(mut self, certificate: &Path, key: &Path, authority: &Path) -> Self {
        self.transport_socket = Some(bootstrap::mutual_tls(certificate, key, authority));
        self
    }
}

impl ScimGateway {
    /// Starts Envoy on a free port in front of the store at `store`.
    ///
    /// # Errors
    /// If there is no Envoy, or it refuses the configuration; with the end of its log.
    pub async fn start(store: SocketAddr, setup: &GatewaySetup) -> Result<Self> {
        let addr = port::loopback(port::free()?);
        let bootstrap = file(store, addr, setup)?;
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

    /// A token as the configuration has it: its SHA-256 in hexadecimal.
    pub fn sha256(token: &str) -> String {
        Sha256::digest(token.as_bytes()).iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// The token of a tenant.
    pub fn token(tenant: &str) -> String {
        format!("token-of-{tenant}-0123456789abcdef")
    }
}

/// The file, for these tests.
fn file(store: SocketAddr, addr: SocketAddr, setup: &GatewaySetup) -> Result<Value> {
    let path = folder::root().join("envoy/scim-gateway.yaml");
    let text = fs::read_to_string(&path).with_context(|| format!("expected {}", path.display()))?;
    let mut file: Value = serde_saphyr::from_str(&text).context("expected YAML")?;
    *at(&mut file, "/admin/address")? = socket_address(port::loopback(0));
    if let Some(stats_config) = &setup.stats_config {
        *at(&mut file, "/stats_config")? = stats_config.clone();
    }
    let listener = at(&mut file, "/static_resources/listeners/0")?;
    *at(listener, "/address")? = socket_address(addr);
    if let (Some(socket), Some(chain)) =
        (&setup.transport_socket, at(listener, "/filter_chains/0")?.as_object_mut())
    {
        chain.insert("transport_socket".to_owned(), socket.clone());
    }
    let filter = "/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config";
    let config = at(listener, filter)?;
    *at(config, "/vm_config/code/local/filename")? =
        folder::dist().join("scim-gateway.wasm").display().to_string().into();
    let value = at(config, "/configuration/value")?;
    let document: Value = serde_json::from_str(value.as_str().context("expected the configuration")?)?;
    *value = configuration(document, addr, setup)?.to_string().into();
    let clusters =
        at(&mut file, "/static_resources/clusters")?.as_array_mut().context("expected clusters")?;
    for cluster in clusters.iter_mut() {
        *at(cluster, "/type")? = "STATIC".into();
        *at(cluster, "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address")? = socket_address(store);
    }
    for (name, endpoint) in &setup.clusters {
        clusters.push(json!({
            "name": name,
            "type": "STATIC",
            "connect_timeout": "2s",
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": socket_address(*endpoint) } }] }],
            },
        }));
    }
    Ok(file)
}

fn at<'v>(value: &'v mut Value, pointer: &str) -> Result<&'v mut Value> {
    value.pointer_mut(pointer).with_context(|| format!("expected {pointer}"))
}

fn configuration(mut document: Value, addr: SocketAddr, setup: &GatewaySetup) -> Result<Value> {
    let scim = at(&mut document, "/scim")?;
    *at(scim, "/base_url")? = format!("http://{addr}/tenants/{{tenant}}/scim/v2").into();
    *at(scim, "/store/key")? = json!({ "id": "k1", "secret": GATEWAY_KEY });
    *at(scim, "/tenants")? = Value::Object(configured_tenants(setup));
    if let Some(members) = scim.as_object_mut() {
        members.extend(setup.scim.clone());
    }
    if let Some(members) = document.as_object_mut() {
        members.extend(setup.document.clone());
    }
    Ok(document)
}

/// The tenants, each with a way to authenticate.
pub(crate) fn configured_tenants(setup: &GatewaySetup) -> Map<String, Value> {
    let mut tenants = setup.tenants.clone();
    for (id, tenant) in &mut tenants {
        let has_credentials = ["tokens", "jwt", "certificates"].iter().any(|name| tenant.get(name).is_some());
        if let (false, Some(tenant)) = (has_credentials, tenant.as_object_mut()) {
            let token = json!({ "name": "suite", "sha256": ScimGateway::sha256(&ScimGateway::token(id)) });
            tenant.insert("tokens".to_owned(), json!([token]));
        }
    }
    tenants
}
