//! The scim-gateway filter in a real Envoy, between clients and a real store, by `envoy/scim-gateway.yaml`.

use crate::support::eventually;
use anyhow::{Context, Result};
use doorward_testbed::{Database, GatewaySetup, Request, Response, ScimGateway, ScimStore, run, send};
use serde_json::{Value, json};

const TENANTS: [(&str, &str); 2] = [("acme", "entra"), ("globex", "rfc")];

/// A store behind a gateway.
struct Bed {
    store: ScimStore,
    gateway: ScimGateway,
}

impl Bed {
    async fn start(setup: GatewaySetup) -> Result<Self> {
        let store = ScimStore::start(Database::Sqlite, &TENANTS, json!({})).await?;
        let gateway = ScimGateway::start(store.addr(), &setup).await?;
        Ok(Self { store, gateway })
    }

    async fn send(&self, request: &Request) -> Result<Response> {
        let addr = self.gateway.addr();
        send(addr, &request.clone().header("host", addr.to_string())).await
    }
}

/// A call of a tenant's own client.
fn call(method: &str, tenant: &str, path: &str) -> Request {
    Request::new(method, format!("{}{path}", ScimGateway::path(tenant))).bearer(&ScimGateway::token(tenant))
}

fn with_body(method: &str, tenant: &str, path: &str, body: &Value) -> Request {
    call(method, tenant, path).header("content-type", "application/scim+json").body(body.to_string())
}

fn user(name: &str) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name })
}

/// The status, and the SCIM error if it is one: its status, `scimType` and detail.
fn scim_error(response: &Response) -> Result<(u16, String)> {
    let error = response.json()?;
    anyhow::ensure!(
        error["schemas"] == json!(["urn:ietf:params:scim:api:messages:2.0:Error"])
            && error["status"] == json!(response.status.to_string())
            && response.header("content-type").as_deref() == Some("application/scim+json"),
        "expected a SCIM error, but found {response:?} {error}"
    );
    Ok((response.status, error["detail"].as_str().context("expected a detail")?.to_owned()))
}

#[test]
fn a_user_is_provisioned_through_the_gateway() {
    run(async {
        let bed = Bed::start(GatewaySetup::new(&TENANTS)).await?;
        let created = bed.send(&with_body("POST", "acme", "/Users", &user("alice"))).await?;
        assert_eq!(created.status, 201, "{}\n{}", created.text(), bed.gateway.envoy.log());
        let base = bed.gateway.url("acme");
        let location = created.header("location").context("expected a location")?;
        assert!(location.starts_with(&format!("{base}/Users/")), "{location}");
        assert_eq!(created.json()?["meta"]["location"], json!(location));
        let id = created.json()?["id"].as_str().context("expected an id")?.to_owned();
        let patch = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "Replace", "path": "active", "value": "False" }],
        });
        let patched = bed.send(&with_body("PATCH", "acme", &format!("/Users/{id}"), &patch)).await?;
        assert_eq!(patched.status, 204, "{}", patched.text());
        let read = bed.send(&call("GET", "acme", &format!("/Users/{id}"))).await?;
        assert_eq!((read.status, &read.json()?["active"]), (200, &json!(false)));
        let other = bed.send(&call("GET", "globex", &format!("/Users/{id}"))).await?;
        assert_eq!(scim_error(&other)?.0, 404, "another tenant sees nothing of it");
        let lines = audit_lines(&bed, 4).await?;
        let told: Vec<_> =
            lines.iter().map(|line| (&line["tenant"], &line["operation"], &line["outcome"])).collect();
        assert_eq!(
            told,
            [
                (&json!("acme"), &json!("create"), &json!("done")),
                (&json!("acme"), &json!("patch"), &json!("done")),
                (&json!("acme"), &json!("read"), &json!("done")),
                (&json!("globex"), &json!("read"), &json!("rejected")),
            ]
        );
        // The store's own log has the same ids.
        for line in &lines {
            let id = line["request_id"].as_str().context("expected an id")?;
            assert!(bed.store.process().log().contains(id), "{line}");
        }
        Ok(())
    })
    .unwrap();
}

/// The audit lines of the gateway, once there are so many.
async fn audit_lines(bed: &Bed, count: usize) -> Result<Vec<Value>> {
    let lines = || -> Vec<Value> {
        let log = bed.gateway.envoy.log();
        let lines =
            log.lines().filter_map(|line| line.find("{\"event\":\"scim_call\"").map(|at| &line[at..]));
        lines.filter_map(|line| serde_json::Deserializer::from_str(line).into_iter().next()?.ok()).collect()
    };
    eventually("the audit lines are there", async || Ok(lines().len() >= count)).await?;
    Ok(lines())
}

#[test]
fn a_store_that_is_gone_is_503_and_back_without_a_new_envoy() {
    run(async {
        let mut bed = Bed::start(GatewaySetup::new(&TENANTS)).await?;
        bed.store.kill();
        for request in [call("GET", "acme", "/Users"), with_body("POST", "acme", "/Users", &user("bob"))] {
            let gone = bed.send(&request).await?;
            assert_eq!(scim_error(&gone)?.0, 503, "{gone:?}");
            assert_eq!(gone.header("retry-after").as_deref(), Some("1"));
        }
        bed.store.restart().await?;
        eventually("the store is back", async || {
            Ok(bed.send(&with_body("POST", "acme", "/Users", &user("bob"))).await?.status == 201)
        })
        .await
    })
    .unwrap();
}
