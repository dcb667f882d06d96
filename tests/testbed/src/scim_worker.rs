//! The edge worker that takes SCIM calls, `dist/scim-worker`, in a local workerd with a D1 database.

use crate::miniflare::Miniflare;
use crate::process::Process;
use crate::scim_gateway::configured_tenants;
use crate::{GATEWAY_KEY, GatewaySetup, ScimGateway, folder, port};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::fs;
use std::net::SocketAddr;

/// A running worker. Dropping it ends it; its data goes too.
#[derive(Debug)]
pub struct ScimWorker {
    miniflare: Miniflare,
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
        let target = match store {
            Some(store) => json!({ "url": format!("http://{store}") }),
            None => json!({ "d1": "DB" }),
        };
        fs::write(&document, Self::document(&target, &addr.to_string(), setup).to_string())
            .with_context(|| format!("expected {}", document.display()))?;
        let arguments = [document.display().to_string(), addr.port().to_string()];
        let miniflare = Miniflare::start("scim_worker.mjs", &arguments, &folder).await?;
        Ok(Self { miniflare, addr })
    }

    /// The document of a worker that is called at `host`, with a gateway's tenants and what else is in its document. Calls go on to
    /// `target`, as `worker.store` says it.
    pub fn document(target: &Value, host: &str, setup: &GatewaySetup) -> Value {
        let mut scim = Map::new();
        scim.insert("base_url".to_owned(), format!("http://{host}/tenants/{{tenant}}/scim/v2").into());
        scim.insert("tenants".to_owned(), Value::Object(configured_tenants(setup)));
        if target.get("d1").is_none() {
            let key = json!({ "id": "k1", "secret": GATEWAY_KEY });
            scim.insert("store".to_owned(), json!({ "gateway": "edge", "key": key }));
        }
        scim.extend(setup.scim.clone());
        let mut document = Map::new();
        document.insert("scim".to_owned(), Value::Object(scim));
        document.insert("worker".to_owned(), json!({ "store": target }));
        document.extend(setup.document.clone());
        Value::Object(document)
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
        self.miniflare.process()
    }
}
