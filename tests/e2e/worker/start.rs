//! What the worker does before there is a request.

use super::transport::document;
use crate::support::code;
use anyhow::{Context, Result, ensure};
use doorward_testbed::{
    Issuer, Platform, Request, Upstream, WorkerBindings, WorkerRuntime, folder, run, send,
};
use serde_json::json;
use std::fs;
use std::path::PathBuf;

#[test]
fn document_at_fault_lets_nobody_pass() {
    run(async {
        let (issuer, upstream) = (Issuer::start().await?, Upstream::start().await?);
        let (mut misspelt, mut unbound) =
            (document(&issuer, upstream.addr()), document(&issuer, upstream.addr()));
        misspelt["rules"][1]["requires"] = json!({});
        unbound["worker"]["secret"] = json!({ "$env": "NOBODY_HAS_IT" });
        for (document, fault) in [
            (&misspelt, "requires"),
            (&unbound, r#"expected a text in the variable "NOBODY_HAS_IT""#),
            (&json!("no document"), "expected"),
        ] {
            // A process does not start; workerd has no way not to.
            for platform in [Platform::Deno, Platform::Bun, Platform::Node] {
                let started = WorkerRuntime::start(platform, document).await;
                let error = started.err().with_context(|| format!("expected no {}", platform.name()))?;
                let error = format!("{error:?}");
                ensure!(error.contains(fault), "expected {fault} on {}, but found {error}", platform.name());
            }
            let worker = WorkerRuntime::start(Platform::Workerd, document).await?;
            for path in ["/", "/public"] {
                let response = send(worker.addr(), &Request::get(path)).await?;
                let found = (response.status, code(&response));
                ensure!(found == (500, "internal_error".into()), "{found:?}");
                ensure!(!response.text().contains(fault), "{response:?}");
            }
            ensure!(worker.log().contains(fault), "expected {fault}\n{}", worker.log());
        }
        ensure!(upstream.count() == 0, "expected nobody to pass");
        Ok(())
    })
    .unwrap();
}

/// A folder with what is in `dist/worker`, for changes.
pub(super) fn copied(name: &str) -> Result<PathBuf> {
    let (made, worker) = (folder::scratch(name)?, folder::dist().join("worker"));
    for file in fs::read_dir(&worker).with_context(|| format!("expected {}", worker.display()))? {
        let file = file?;
        fs::copy(file.path(), made.join(file.file_name()))?;
    }
    Ok(made)
}

#[test]
fn a_document_can_be_in_a_module_of_ones_own() {
    run(async {
        let (issuer, upstream) = (Issuer::start().await?, Upstream::start().await?);
        let document = document(&issuer, upstream.addr());
        let told = r#"console.log(`doorward: listening on 127.0.0.1 ${port}`)"#;
        for (platform, entry, served) in [
            (Platform::Workerd, "cloudflare.js", format!("export default worker({document});")),
            (Platform::Deno, "deno.js", format!("export default worker({document});")),
            (
                Platform::Bun,
                "bun.js",
                format!(
                    "const {{ port }} = Bun.serve({{ ...worker({document}), port: 0, hostname: '127.0.0.1' }}); {told}"
                ),
            ),
            (
                Platform::Node,
                "node.js",
                format!(
                    "const server = worker({document}).listen(0, '127.0.0.1', () => {{ \
                     const {{ port }} = server.address(); {told} }});"
                ),
            ),
        ] {
            let made = copied("own")?;
            fs::rename(made.join(entry), made.join("theirs.js"))?;
            let name = if platform == Platform::Node { "serve as worker" } else { "worker" };
            fs::write(made.join(entry), format!("import {{ {name} }} from './theirs.js';\n{served}\n"))?;
            let bindings = WorkerBindings::default();
            // The document beside it is at fault.
            let worker = WorkerRuntime::start_modules(platform, &made, &json!({}), &bindings).await?;
            let bearer = Request::get("/").bearer(&issuer.mint(&json!({}))?);
            let response = send(worker.addr(), &bearer).await?;
            ensure!(response.status == 200, "{}: {response:?}\n{}", platform.name(), worker.log());
            let response = send(worker.addr(), &Request::get("/")).await?;
            ensure!(response.status == 401, "{}: {response:?}\n{}", platform.name(), worker.log());
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn only_where_there_is_a_zone_requests_go_on_to_where_they_were_sent() {
    run(async {
        let (issuer, upstream) = (Issuer::start().await?, Upstream::start().await?);
        let mut document = document(&issuer, upstream.addr());
        document["worker"] = json!({});
        for platform in [Platform::Deno, Platform::Bun, Platform::Node] {
            let started = WorkerRuntime::start(platform, &document).await;
            let error = started.err().with_context(|| format!("expected no {}", platform.name()))?;
            let error = format!("{error:?}");
            ensure!(error.contains("worker.origin"), "{}: {error}", platform.name());
        }
        let worker = WorkerRuntime::start(Platform::Workerd, &document).await?;
        let request = Request::get("/public").header("host", upstream.addr().to_string());
        let response = send(worker.addr(), &request).await?;
        ensure!(response.status == 200 && upstream.count() == 1, "{response:?}\n{}", worker.log());
        Ok(())
    })
    .unwrap();
}

#[test]
fn rehearsal_goes_to_its_end() {
    run(async {
        let made = copied("rehearsal")?;
        fs::copy(folder::root().join("tests/e2e/node/rehearsal_handler.js"), made.join("handler.js"))?;
        for platform in Platform::ALL {
            let bindings = WorkerBindings::default();
            let worker = WorkerRuntime::start_modules(platform, &made, &json!({}), &bindings).await?;
            // Where requests wait for the script, it is over by then.
            let path = if platform == Platform::Workerd { "/now" } else { "/" };
            let found = send(worker.addr(), &Request::get(path)).await?.text();
            ensure!(found == "nobody", "expected the made-up user on {}, but found {found}", platform.name());
        }
        Ok(())
    })
    .unwrap();
}
