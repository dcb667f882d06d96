//! The edge worker that takes SCIM calls, `dist/scim-worker`, in a local workerd with a D1 database.

use crate::process::Process;
use crate::scim_gateway::configured_tenants;
use crate::{GATEWAY_KEY, GatewaySetup, ScimGateway, eventually, folder, port};
use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

/// How long workerd may take to start.
const START: Duration = Duration::from_secs(60);

/// A running worker. Dropping it ends it; its data goes too.
#[derive(Debug)]
pub struct ScimWorker {
    /// In a group of its own: npm's miniflare starts workerd.
    process: Process,
    addr: SocketAddr,
}

impl ScimWorker {
    /// Starts it, with a gateway's tenants and what else is in its document. Calls go on to `store`, or without it to the store that is
    /// in the worker.
    ///
    /// # Errors
    /// If npm's miniflare is not installed, or workerd does not start within 60 seconds; with the end of its log.
    pub async fn start(store: Option<SocketAddr>, setup: &GatewaySetup) -> Result<Self> {
        let addr = port::loopback(port::free()?);
        let folder = folder::scratch("scim-worker")?;
        let document = folder.join("document.json");
        fs::write(&document, document_of(store, addr, setup).to_string())
            .with_context(|| format!("expected {}", document.display()))?;
        let mut node = Command::new("node");
        node.arg(folder::root().join("tests/e2e/node/scim_worker.mjs"));
        node.arg(&document).arg(addr.port().to_string());
        let process = Process::spawn_group("scim-worker", &mut node, &folder)?;
        eventually("the worker is ready", START, async || {
            ensure!(process.exited().is_none(), "{}", process.report(20));
            Ok(process.log().lines().any(|line| line == "ready"))
        })
        .await?;
        Ok(Self { process, addr })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL of a tenant's service.
    pub fn url(&self, tenant: &str) -> String {
        format!("http://{}{}", self.addr, ScimGateway::path(tenant))
    }

    /// The process, for its log.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

fn document_of(store: Option<SocketAddr>, addr: SocketAddr, setup: &GatewaySetup) -> Value {
    let mut scim = Map::new();
    scim.insert("base_url".to_owned(), format!("http://{addr}/tenants/{{tenant}}/scim/v2").into());
    scim.insert("tenants".to_owned(), Value::Object(configured_tenants(setup)));
    let target = match store {
        Some(store) => {
            let key = json!({ "id": "k1", "secret": GATEWAY_KEY });
            scim.insert("store".to_owned(), json!({ "gateway": "edge", "key": key }));
            json!({ "url": format!("http://{store}") })
        }
        None => json!({ "d1": "DB" }),
    };
    scim.extend(setup.scim.clone());
    let mut document = Map::new();
    document.insert("scim".to_owned(), Value::Object(scim));
    document.insert("worker".to_owned(), json!({ "store": target }));
    document.extend(setup.document.clone());
    Value::Object(document)
}
