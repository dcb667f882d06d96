//! The scim-gateway filter in a real Envoy, between clients and a real store, by `envoy/scim-gateway.yaml`.
//!
//! | module | what it holds |
//! |---|---|
//! | `callers` | who is taken for whom: tokens, JWTs, certificates, rates; and what who is refused is told |
//! | `faults` | a store that is gone, slow, broken, or killed in the middle: what is answered, and what is there afterwards |
//! | `hostile` | bodies, queries and framings that are made to break what reads them |
//! | `isolation` | tenants, and others with no token, that try to see or change another one's data |
//! | `providers` | what identity providers really send, each kind of it once |
//! | `random` | numbers that follow from a seed |
//! | `worker` | the same calls at an edge worker, before a store or with one in it |

mod callers;
mod faults;
mod hostile;
mod isolation;
mod providers;
mod random;
mod worker;

use crate::support::eventually;
use anyhow::{Context, Result, ensure};
use doorward_testbed::{Database, GatewaySetup, Request, Response, ScimGateway, ScimStore, run, send};
use serde_json::{Value, json};

const TENANTS: [(&str, &str); 2] = [("acme", "entra"), ("globex", "rfc")];
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A store behind a gateway.
struct Bed {
    store: ScimStore,
    gateway: ScimGateway,
}

impl Bed {
    async fn start(setup: GatewaySetup) -> Result<Self> {
        Self::start_on(Database::Sqlite, &TENANTS, json!({}), setup).await
    }

    /// With these tenants in the store, and changes to its configuration.
    async fn start_on(
        database: Database,
        tenants: &[(&str, &str)],
        changes: Value,
        setup: GatewaySetup,
    ) -> Result<Self> {
        let store = ScimStore::start(database, tenants, changes).await?;
        let gateway = ScimGateway::start(store.addr(), &setup).await?;
        Ok(Self { store, gateway })
    }

    async fn send(&self, request: &Request) -> Result<Response> {
        send(self.gateway.addr(), &self.addressed(request)).await
    }

    /// With the gateway's own host.
    fn addressed(&self, request: &Request) -> Request {
        request.clone().header("host", self.gateway.addr().to_string())
    }
}

/// A call of a tenant's own client.
fn call(method: &str, tenant: &str, path: &str) -> Request {
    plain(method, tenant, path).bearer(&ScimGateway::token(tenant))
}

/// A call of nobody.
fn plain(method: &str, tenant: &str, path: &str) -> Request {
    Request::new(method, format!("{}{path}", ScimGateway::path(tenant)))
}

fn with_body(method: &str, tenant: &str, path: &str, body: &Value) -> Request {
    scim(call(method, tenant, path), body)
}

fn scim(request: Request, body: &Value) -> Request {
    request.header("content-type", "application/scim+json").body(body.to_string())
}

fn user(name: &str) -> Value {
    json!({ "schemas": [USER], "userName": name })
}

fn group(name: &str) -> Value {
    json!({ "schemas": [GROUP], "displayName": name })
}

fn patch(operations: &Value) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations })
}

fn id_of(resource: &Value) -> Result<String> {
    Ok(resource["id"].as_str().with_context(|| format!("expected an id: {resource}"))?.to_owned())
}

/// The body of a response, if it has this status.
fn expect(response: &Response, status: u16) -> Result<Value> {
    ensure!(
        response.status == status,
        "expected {status}, but found {} {}",
        response.status,
        response.text()
    );
    if response.body.is_empty() { Ok(Value::Null) } else { response.json() }
}

/// Percent-encoded, but for letters and digits.
fn percent(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// The status of a SCIM error, and its detail. It has what the RFC wants, and a challenge if it is 401.
fn scim_error(response: &Response) -> Result<(u16, String)> {
    let error = response.json()?;
    ensure!(
        response.status >= 400
            && error["schemas"] == json!(["urn:ietf:params:scim:api:messages:2.0:Error"])
            && error["status"] == json!(response.status.to_string())
            && response.header("content-type").as_deref() == Some("application/scim+json"),
        "expected a SCIM error, but found {response:?} {error}"
    );
    let challenge = response.header("www-authenticate");
    ensure!(
        challenge.is_some_and(|challenge| challenge.starts_with("Bearer")) == (response.status == 401),
        "expected a challenge with 401 and nowhere else: {response:?}"
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
            let is_there = async || Ok(bed.store.process().log().contains(id));
            eventually("the store has the line of a request", is_there)
                .await
                .with_context(|| line.to_string())?;
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
fn a_client_may_have_names_of_its_own() {
    run(async {
        let mut setup = GatewaySetup::new(&TENANTS);
        setup.tenants["globex"]["attributes"] = json!({ "User": [
            { "rename": "role", "to": "title" },
            { "constant": "userType", "value": "Employee" },
            { "default": "locale", "value": "en-US" },
        ] });
        let bed = Bed::start(setup).await?;
        // So many that a page of them comes in several pieces.
        let job: Vec<_> = (0..150)
            .map(|number| {
                let mut user = user(&format!("user-{number}"));
                user["role"] = json!("Ärztin ".repeat(50).trim());
                json!({ "method": "POST", "path": "/Users", "bulkId": number.to_string(), "data": user })
            })
            .collect();
        let schemas = json!(["urn:ietf:params:scim:api:messages:2.0:BulkRequest"]);
        let job = json!({ "schemas": schemas, "Operations": job });
        assert_eq!(bed.send(&with_body("POST", "globex", "/Bulk", &job)).await?.status, 200);
        let page =
            bed.send(&call("GET", "globex", "/Users?count=150&filter=role+sw+%22%C3%84rztin%22")).await?;
        let seen = page.json()?;
        let resources = seen["Resources"].as_array().context("expected resources")?;
        assert!(page.text().len() > 100_000, "{}", page.text().len());
        assert_eq!((seen["totalResults"].as_u64(), resources.len()), (Some(150), 150));
        let is_the_clients = |user: &Value| {
            user["role"].is_string() && user.get("title").is_none() && user.get("userType").is_none()
        };
        assert!(resources.iter().all(is_the_clients));
        let id = resources[0]["id"].as_str().context("expected an id")?;
        let head = bed.send(&call("HEAD", "globex", &format!("/Users/{id}"))).await?;
        let read = bed.send(&call("GET", "globex", &format!("/Users/{id}"))).await?;
        assert_eq!((head.status, head.header("etag")), (200, read.header("etag")));
        assert_eq!((read.json()?["role"].is_string(), &read.json()?["locale"]), (true, &json!("en-US")));
        // The store has names of its own.
        let token = bed.store.token("globex")?;
        let stored = Request::get(format!("/scim/v2/Users/{id}")).bearer(&token);
        let stored = send(bed.store.addr(), &stored).await?.json()?;
        assert_eq!((&stored["userType"], stored.get("role")), (&json!("Employee"), None), "{stored}");
        assert_eq!(stored["title"], read.json()?["role"]);
        let missing = bed.send(&call("GET", "globex", "/Users/none")).await?;
        assert_eq!(scim_error(&missing)?.0, 404);
        Ok(())
    })
    .unwrap();
}
