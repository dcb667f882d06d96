//! `doorward store`: the backing store as a process.

mod document;
mod service;

use crate::database::{DatabaseUrl, block_on};
use document::Document;
use doorward::scim::Catalog;
use doorward_store::database::Observed;
use doorward_store::http::{Authentication, Log, Server, ServerOptions, shutdown_signal};
use doorward_store::tenants::Tenants;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const PORT: u16 = 8787;
const ADMIN_PORT: u16 = 8788;

/// Exits with 0 after SIGTERM or SIGINT, when requests have ended, and with 2 if it cannot start.
#[derive(clap::Args)]
pub(crate) struct Store {
    /// The database: sqlite:PATH, which is made, or postgres://USER@HOST/NAME; it is brought up to date.
    #[arg(long, value_name = "URL", value_parser = DatabaseUrl::parse)]
    db: DatabaseUrl,
    /// Where the service listens; otherwise as in the configuration, or 127.0.0.1:8787.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where operators are listened to (tenants, tokens, roles, metrics); otherwise as in the configuration, or 127.0.0.1:8788.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// The configuration: JSON, or YAML if the name ends in .yaml or .yml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Ask nobody for a token: everyone is this tenant. On a loopback address only.
    #[arg(long, value_name = "TENANT")]
    danger_no_authentication: Option<String>,
    /// Listen to operators beyond this machine, though nobody is asked who they are.
    #[arg(long)]
    danger_open_admin: bool,
}

impl Store {
    pub(crate) fn run(&self) -> Result<(), String> {
        let document = self.config.as_deref().map_or_else(|| Ok(Document::default()), Document::load)?;
        let catalog = Arc::new(document.catalog().map_err(|fault| self.at(&fault))?);
        let settings = document.settings(&catalog).map_err(|fault| self.at(&fault))?;
        let mut options = self.options(&document, &catalog);
        let folder = self.config.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        options.gateways = document.gateways(folder).map_err(|fault| self.at(&fault))?;
        options.check().map_err(|fault| self.at(&fault.to_string()))?;
        let database = self.db.open_or_make()?;
        block_on(async {
            // Before anything can be in use: from here on a signal ends the process in good order.
            let shutdown =
                shutdown_signal().map_err(|error| format!("expected to wait for signals: {error}"))?;
            let log = Log::to_stdout().map_err(|error| format!("expected to start the log: {error}"))?;
            let log = Arc::new(log);
            let told = Arc::clone(&log);
            let database = Arc::new(Observed::new(database, move |error| told.database_error(error)));
            // One for both, so that what operators do is seen at once.
            let tenants = Arc::new(Tenants::new(database));
            let service = service::service(Arc::clone(&tenants), catalog, settings).await?;
            let server = Server::bind(options, Arc::new(service), tenants, log).await;
            server.map_err(|error| error.to_string())?.run(shutdown).await;
            Ok(())
        })
    }

    /// The file in front of a fault.
    fn at(&self, fault: &str) -> String {
        match &self.config {
            Some(path) => {
                let lines = fault.lines().map(|line| format!("{}: {line}", path.display()));
                lines.collect::<Vec<_>>().join("\n")
            }
            None => fault.to_owned(),
        }
    }

    /// What the command line says is above the configuration.
    fn options(&self, document: &Document, catalog: &Catalog) -> ServerOptions {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listen = self.listen.or(document.listen()).unwrap_or_else(|| loopback(PORT));
        let admin =
            self.admin.map_or_else(|| document.admin().unwrap_or_else(|| Some(loopback(ADMIN_PORT))), Some);
        let mut options = document.options(ServerOptions::new(listen, admin));
        options.danger_open_admin |= self.danger_open_admin;
        if let Some(tenant) = &self.danger_no_authentication {
            options.authentication = Authentication::Open { tenant: tenant.clone() };
        }
        let types = catalog.resource_types().iter();
        options.endpoints = types.map(|resource_type| resource_type.endpoint().to_owned()).collect();
        options
    }
}
