//! workerd with the workers that are measured.

use super::results::{Case, Subject};
use crate::bench::tokens::{AUDIENCE, ISSUER};
use crate::command::{capture, program};
use anyhow::{Context, Result};
use doorward_testbed::{Process, Request, eventually, folder, port, send};
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many judged tokens are kept where all tokens shall be new.
const KEPT: usize = 100;
/// What a worker of ours is made of.
pub(super) const OURS: [&str; 6] =
    ["cloudflare.js", "doorward.js", "doorward.wasm", "handler.js", "rehearsal.js", "web.js"];

/// A running workerd.
pub(super) struct Workers {
    process: Process,
    addrs: Vec<((Subject, Case), SocketAddr)>,
}

/// Where the peers are.
pub(super) fn sources() -> PathBuf {
    folder::root().join("benches/worker")
}

impl Workers {
    /// Starts these workers in one process.
    pub(super) async fn start(subjects: &[(Subject, Case)], jwks: &Value, folder: &Path) -> Result<Self> {
        bundle(folder)?;
        for file in OURS {
            let from = folder::dist().join("worker").join(file);
            fs::copy(&from, folder.join(file))
                .with_context(|| format!("expected {}: run `cargo xtask build`", from.display()))?;
        }
        let mut addrs = Vec::new();
        for subject in subjects {
            addrs.push((*subject, port::loopback(port::free()?)));
        }
        fs::write(folder.join("keys.json"), jwks.to_string()).context("expected to write the keys")?;
        let keys = port::loopback(port::free()?);
        let config = folder.join("workers.capnp");
        fs::write(&config, capnp(&addrs, keys)).context("expected to write workerd's configuration")?;
        let mut command = program(binary()?);
        command.arg("serve").arg(&config);
        let process = Process::spawn("workerd", &mut command, folder)?;
        let workers = Self { process, addrs };
        // A socket takes connections before its worker is there. All workers are, once one of them answers.
        let answers =
            async || Ok(send(keys, &Request::get("/jwks")).await.is_ok_and(|found| found.status == 200));
        eventually("workerd answers", Duration::from_secs(30), answers)
            .await
            .with_context(|| workers.process.report(20))?;
        Ok(workers)
    }

    /// Where a worker listens.
    pub(super) fn addr(&self, subject: Subject, case: Case) -> Result<SocketAddr> {
        let found = self.addrs.iter().find(|(known, _)| *known == (subject, case));
        found.map(|(_, addr)| *addr).context("expected this worker to run")
    }

    /// The id of the process.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends one request, whose answer must name the token's user.
    pub(super) async fn probe(&self, subject: Subject, case: Case, token: &str) -> Result<()> {
        let request = Request::get("/v1/orders/1").header("host", "api.example.com").bearer(token);
        let response = send(self.addr(subject, case)?, &request).await?;
        let is_fine = response.status == 200
            && (subject == Subject::Nothing || response.text().starts_with("5b7f7c1e-"));
        anyhow::ensure!(
            is_fine,
            "expected {} to pass the token's user on, but found {}: {}\n{}",
            subject.name(),
            response.status,
            response.text(),
            self.process.report(20)
        );
        Ok(())
    }
}

/// workerd itself, which a package for the platform has. Not the script of npm's: the process must be the one whose time is taken.
pub(super) fn binary() -> Result<PathBuf> {
    let script = "console.log(require('workerd').default)";
    let found = capture(program("node").arg("-e").arg(script).current_dir(sources()))?;
    Ok(PathBuf::from(found))
}

/// The worker with `jose` in one file, as its users deploy it.
fn bundle(folder: &Path) -> Result<()> {
    for peer in ["keys.mjs", "nothing.mjs", "origin.mjs"] {
        fs::copy(sources().join(peer), folder.join(peer)).with_context(|| format!("expected {peer}"))?;
    }
    let mut esbuild = program(sources().join("node_modules/@esbuild").join(platform()).join("bin/esbuild"));
    esbuild
        .arg(sources().join("jose.mjs"))
        .args(["--bundle", "--minify", "--format=esm", "--log-level=warning"])
        .arg(format!("--outfile={}", folder.join("jose.mjs").display()));
    capture(&mut esbuild).map(drop)
}

/// As npm calls it.
fn platform() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{}-{arch}", std::env::consts::OS)
}

fn capnp(addrs: &[((Subject, Case), SocketAddr)], keys: SocketAddr) -> String {
    let jwks = &format!("http://{keys}/jwks");
    let (mut services, mut sockets) = (String::new(), String::new());
    for ((subject, case), addr) in addrs {
        let name = format!("{}-{case:?}", subject.name());
        let modules = match subject {
            Subject::Nothing => "(name = \"nothing.mjs\", esModule = embed \"nothing.mjs\")".to_owned(),
            Subject::Jose => "(name = \"jose.mjs\", esModule = embed \"jose.mjs\")".to_owned(),
            Subject::Ours => OURS
                .map(|file| {
                    let kind = if file.ends_with(".wasm") { "wasm" } else { "esModule" };
                    format!("(name = \"{file}\", {kind} = embed \"{file}\")")
                })
                .join(", "),
        };
        let document = Value::String(document(*case, jwks).to_string());
        let jwks = Value::from(jwks.as_str());
        let _ = writeln!(
            services,
            "(name = \"{name}\", worker = (modules = [{modules}], compatibilityDate = \"2026-07-01\", bindings = [\
             (name = \"ORIGIN\", service = \"origin\"), (name = \"JWKS\", text = {jwks}), \
             (name = \"DOORWARD\", text = {document})])),"
        );
        let _ =
            writeln!(sockets, "(name = \"{name}\", address = \"{addr}\", http = (), service = \"{name}\"),");
    }
    // The measured one is made last, as a platform makes an isolate for its first request: with each one that it makes, workerd drops the code
    // that V8 has compiled in haste, that of all others too.
    format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\n\
         const config :Workerd.Config = (services = [\n\
         (name = \"internet\", network = (allow = [\"private\"])),\n\
         (name = \"origin\", worker = (modules = [(name = \"origin.mjs\", esModule = embed \"origin.mjs\")], \
         compatibilityDate = \"2026-07-01\")),\n\
         (name = \"keys\", worker = (modules = [(name = \"keys.mjs\", esModule = embed \"keys.mjs\"), \
         (name = \"keys.json\", json = embed \"keys.json\")], compatibilityDate = \"2026-07-01\")),\n\
         {services}],\n\
         sockets = [\n{sockets}(name = \"keys\", address = \"{keys}\", http = (), service = \"keys\")]);\n"
    )
}

/// What both judge by.
fn document(case: Case, jwks: &str) -> Value {
    let mut document = json!({
        "providers": { "corp": {
            "issuer": ISSUER,
            "audiences": [AUDIENCE],
            "algorithms": ["RS256", "ES256", "EdDSA"],
            "jwks": { "remote": { "uri": jwks, "cluster": "corp", "danger_allow_http": true } },
        } },
        "rules": [{ "match": { "path": { "prefix": "/" } }, "require": { "provider": "corp" } }],
        "identity_headers": [
            { "header": "x-user-id", "claim": ["sub"] },
            { "header": "x-user-scope", "claim": ["scope"] },
        ],
        "worker": { "origin": { "binding": "ORIGIN" } },
    });
    if case == Case::New
        && let Some(document) = document.as_object_mut()
    {
        document.insert("limits".to_owned(), json!({ "cached_tokens": KEPT }));
    }
    document
}
