//! workerd's configuration: the worker, once or in several isolates, and what it has beside its document.

use crate::worker_runtime::{Service, WorkerBindings};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::fs;
use std::path::Path;

const ENTRY: &str = "cloudflare.js";
/// What is of other platforms alone.
const FOREIGN: [&str; 4] = ["bun.js", "deno.js", "node.js", "process.js"];
const SINCE: &str = r#"compatibilityDate = "2026-07-01""#;

/// Workers that play a part of the platform.
const KEYS: &str = include_str!("workerd/keys.js");
const CACHES: &str = include_str!("workerd/caches.js");
const POINTS: &str = include_str!("workerd/points.js");

/// What is listed, as it grows.
struct Lists<'f> {
    folder: &'f Path,
    services: String,
    sockets: String,
    /// What is bound to names of the worker.
    bound: String,
}

impl Lists<'_> {
    /// Adds a worker of one module, with bindings.
    fn add_worker(&mut self, name: &str, module: &str, bindings: &str) -> Result<()> {
        let file = format!("{name}.js");
        fs::write(self.folder.join(&file), module).with_context(|| format!("expected to write {file}"))?;
        let modules = format!(r#"modules = [(name = "{file}", esModule = embed "{file}")]"#);
        let worker = format!(r"({modules}, bindings = [{bindings}], {SINCE})");
        Ok(write!(self.services, r#"(name = "{name}", worker = {worker}),"#)?)
    }

    /// Adds a folder that may be written to.
    fn add_folder(&mut self, name: &str, path: &Path) -> Result<()> {
        fs::create_dir_all(path).with_context(|| format!("expected to make {}", path.display()))?;
        let disk = format!(r#"(path = "{}", writable = true)"#, path.display());
        Ok(write!(self.services, r#"(name = "{name}", disk = {disk}),"#)?)
    }

    /// Binds something to a name.
    fn bind(&mut self, name: &str, what: &str) -> Result<()> {
        Ok(write!(self.bound, r#"(name = "{name}", {what}),"#)?)
    }
}

/// The modules of JavaScript beside the entry.
fn scripts(worker: &Path) -> Result<Vec<String>> {
    let mut scripts = Vec::new();
    for file in fs::read_dir(worker).with_context(|| format!("expected {}", worker.display()))? {
        let name = file?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".js") && name != ENTRY && !FOREIGN.contains(&name.as_str()) {
            scripts.push(name);
        }
    }
    Ok(scripts)
}

/// The configuration, for a file in `folder`, into which goes all that it names. Sockets are `http0`, `http1` and so on.
pub(crate) fn config(worker: &Path, folder: &Path, bindings: &WorkerBindings) -> Result<String> {
    // Files are named relatively to the configuration.
    let scripts = scripts(worker)?;
    for file in scripts.iter().map(String::as_str).chain([ENTRY, "doorward.wasm"]) {
        fs::copy(worker.join(file), folder.join(file)).with_context(|| format!("expected {file}"))?;
    }
    let mut lists = Lists { folder, services: String::new(), sockets: String::new(), bound: String::new() };
    lists.bind("DOORWARD", r#"text = embed "document.json""#)?;
    if bindings.keys {
        lists.add_worker("keys", KEYS, "")?;
        lists.bind("KEYS", r#"kvNamespace = "keys""#)?;
    }
    if bindings.points {
        lists.add_worker("points", POINTS, "")?;
        lists.bind("POINTS", r#"analyticsEngine = "points""#)?;
    }
    for (name, service) in &bindings.services {
        match service {
            Service::Server(addr) => {
                let external = format!(r#"(address = "{addr}", http = ())"#);
                write!(lists.services, r#"(name = "{name}", external = {external}),"#)?;
            }
            Service::Worker(module) => lists.add_worker(name, module, "")?,
        }
        lists.bind(name, &format!(r#"service = "{name}""#))?;
    }
    let caches = match &bindings.caches {
        Some(path) => {
            lists.add_folder("kept", path)?;
            lists.add_worker("caches", CACHES, r#"(name = "FOLDER", service = "kept")"#)?;
            r#"cacheApiOutbound = "caches","#
        }
        None => "",
    };
    let modules: String = scripts
        .iter()
        .map(|file| format!(r#"(name = "{file}", esModule = embed "{file}"),"#))
        .chain([r#"(name = "doorward.wasm", wasm = embed "doorward.wasm")"#.to_owned()])
        .collect();
    let modules = format!(r#"modules = [(name = "{ENTRY}", esModule = embed "{ENTRY}"),{modules}],"#);
    if bindings.proofs {
        // In memory they would have no SQL.
        lists.add_folder("disk", &folder.join("objects"))?;
        let class = r#"durableObjectNamespaces = [(className = "Proofs", uniqueKey = "proofs", enableSql = true)],
            durableObjectStorage = (localDisk = "disk")"#;
        write!(lists.services, r#"(name = "proofs", worker = ({modules} {SINCE}, {class})),"#)?;
        lists.bind("PROOFS", r#"durableObjectNamespace = (className = "Proofs", serviceName = "proofs")"#)?;
    }
    let http = bindings.cf.map_or_else(String::new, |field| format!(r#"cfBlobHeader = "{field}""#));
    let Lists { mut services, mut sockets, bound, .. } = lists;
    for number in 0..bindings.isolates.unwrap_or(1) {
        write!(
            services,
            r#"(name = "worker{number}", worker = ({modules} {caches} bindings = [{bound}], {SINCE})),"#
        )?;
        write!(
            sockets,
            r#"(name = "http{number}", address = "127.0.0.1:0", http = ({http}), service = "worker{number}"),"#
        )?;
    }
    Ok(format!(
        r#"using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [{services} (name = "internet", network = (allow = ["private", "public"]))],
  sockets = [{sockets}],
);
"#
    ))
}
