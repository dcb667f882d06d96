//! What the worker does before there is a request.

use super::transport::document;
use crate::support::code;
use anyhow::{Context, ensure};
use doorward_testbed::{
    Issuer, Platform, Request, Upstream, WorkerBindings, WorkerRuntime, folder, run, send,
};
use serde_json::json;
use std::fs;

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

#[test]
fn rehearsal_goes_to_its_end() {
    run(async {
        let (made, worker) = (folder::scratch("rehearsal")?, folder::dist().join("worker"));
        for file in fs::read_dir(&worker).with_context(|| format!("expected {}", worker.display()))? {
            let file = file?;
            fs::copy(file.path(), made.join(file.file_name()))?;
        }
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
