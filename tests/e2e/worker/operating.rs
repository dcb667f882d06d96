//! What operators see of the worker: the page of counts, and log lines.

use super::transport::document;
use anyhow::ensure;
use doorward_testbed::{Issuer, Platform, Request, Upstream, WorkerRuntime, run, send};
use serde_json::{Value, json};

/// SHA-256 of `letmein`.
const SHA256: &str = "1c8bfe8f801d79745c4631d09fff36c82aa37fc4cce4fc946683d7b336b63032";

#[test]
fn counts_and_log_lines_tell_what_was_decided() {
    run(async {
        let (issuer, upstream) = (Issuer::start().await?, Upstream::start().await?);
        let mut document = document(&issuer, upstream.addr());
        document["worker"]["metrics"] = json!({ "path": "/.doorward/metrics", "sha256": SHA256 });
        let (good, expired) =
            (issuer.mint(&json!({}))?, issuer.mint(&json!({ "iat": 1, "nbf": 1, "exp": 2 }))?);
        for platform in Platform::ALL {
            let worker = WorkerRuntime::start(platform, &document).await?;
            let place = || format!("on {}\n{}", platform.name(), worker.log());
            for (token, status) in [(&good, 200), (&good, 200), (&expired, 401)] {
                let response = send(worker.addr(), &Request::get("/?a=secret").bearer(token)).await?;
                ensure!(response.status == status, "{response:?} {}", place());
            }
            upstream.clear();
            let page = Request::get("/.doorward/metrics?a=b");
            for request in [page.clone(), page.clone().bearer("letmeout"), page.clone().bearer(&good)] {
                let response = send(worker.addr(), &request).await?;
                ensure!(response.status == 401 && response.body.is_empty(), "{response:?} {}", place());
            }
            let text = send(worker.addr(), &page.bearer("letmein")).await?.text();
            ensure!(upstream.count() == 0, "expected the page to stay here {}", place());
            for line in [
                r#"doorward_worker_decisions_total{outcome="allowed",provider="corp",code=""} 2"#,
                r#"doorward_worker_decisions_total{outcome="denied",provider="corp",code="token_expired"} 1"#,
                r#"doorward_worker_token_cache_total{outcome="hit"} 1"#,
            ] {
                ensure!(
                    text.lines().any(|found| found == line),
                    "expected {line}, but found\n{text} {}",
                    place()
                );
            }
            let log = worker.log();
            let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            let denied: Vec<_> = lines.iter().filter(|line| line["event"] == "denied").collect();
            let [denied] = denied.as_slice() else { anyhow::bail!("expected one line {}", place()) };
            ensure!(denied["code"] == "token_expired" && denied["provider"] == "corp", "{denied}");
            for secret in [good.as_str(), expired.as_str(), "secret", "letmein", "alice"] {
                ensure!(!log.contains(secret), "expected no {secret} {}", place());
            }
        }
        Ok(())
    })
    .unwrap();
}
