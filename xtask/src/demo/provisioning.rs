//! The second act: what Entra ID sends, through scim-gateway in a real Envoy into a real store.

use crate::table::Table;
use anyhow::{Context, Result};
use doorward_testbed::{Database, GatewaySetup, Request, Response, ScimGateway, ScimStore, folder, send};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;

const TENANTS: [(&str, &str); 2] = [("acme", "entra"), ("globex", "okta")];
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// The parts.
pub(super) struct Provisioning {
    store: ScimStore,
    gateway: ScimGateway,
    /// A token of the store's own, to look into it past the gateway.
    token: String,
    /// The ids of alice and of the group, once they are there.
    ids: RefCell<Vec<String>>,
}

/// One row: a call, and what should become of it.
struct Case {
    sent: &'static str,
    request: Request,
    /// Status, and `scimType` or the code of the refusal.
    back: &'static str,
    /// What the store holds afterwards.
    keeps: &'static str,
}

impl Provisioning {
    pub(super) async fn start() -> Result<Self> {
        let store = ScimStore::start(Database::Sqlite, &TENANTS, json!({})).await?;
        let gateway = ScimGateway::start(store.addr(), &GatewaySetup::new(&TENANTS)).await?;
        let token = store.token("acme")?;
        Ok(Self { store, gateway, token, ids: RefCell::default() })
    }

    pub(super) fn log(&self) -> String {
        self.gateway.envoy.log()
    }

    pub(super) async fn ended(&self) {
        self.gateway.envoy.ended().await;
    }

    /// Makes every call and prints what became of it. The number of those that are not as they should be.
    pub(super) async fn show(&self) -> Result<usize> {
        let mut table = Table::new(&["the identity provider sent", "came back", "the store keeps", ""]);
        let mut surprises = 0;
        for number in 0.. {
            let Some(case) = self.case(number) else { break };
            let response = send(self.gateway.addr(), &case.request).await?;
            self.remember(&response);
            let (back, keeps) = (shown(&response), self.kept().await?);
            let is_expected = back == case.back && keeps == case.keeps;
            surprises += usize::from(!is_expected);
            let verdict = if is_expected { "as it should be" } else { "UNEXPECTED" };
            table.row([case.sent.to_owned(), back, keeps, verdict.to_owned()]);
        }
        println!("\n{}", table.render());
        Ok(surprises)
    }

    /// The calls, in their order; a later one names what an earlier one made.
    fn case(&self, number: usize) -> Option<Case> {
        let ids = self.ids.borrow();
        let id = |at: usize| ids.get(at).map_or("none", String::as_str);
        let patch = |path: String, operations: Value| {
            let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations });
            self.call("PATCH", "acme", &path, Some(&body))
        };
        Some(match number {
            0 => Case {
                sent: "is alice there?\n(no token)",
                request: Request::get(format!("{}/Users", ScimGateway::path("acme")))
                    .header("host", self.gateway.addr().to_string()),
                back: "401 credentials",
                keeps: "nobody",
            },
            1 => Case {
                sent: "create alice;\nactive is the text \"True\"",
                request: self.call(
                    "POST",
                    "acme",
                    "/Users",
                    Some(&json!({
                        "schemas": [USER, ENTERPRISE], "userName": "alice@example.com", "active": "True",
                        "displayName": "Alice", ENTERPRISE: { "department": "Sales" },
                    })),
                ),
                back: "201",
                keeps: "Alice: active, Sales",
            },
            2 => Case {
                sent: "move her to Engineering",
                request: patch(
                    format!("/Users/{}", id(0)),
                    json!([{ "op": "Replace", "path": format!("{ENTERPRISE}:department"), "value": "Engineering" }]),
                ),
                back: "204",
                keeps: "Alice: active, Engineering",
            },
            3 => Case {
                sent: "create a group with her",
                request: self.call(
                    "POST",
                    "acme",
                    "/Groups",
                    Some(&json!({ "schemas": [GROUP], "displayName": "on-call", "members": [{ "value": id(0) }] })),
                ),
                back: "201",
                keeps: "Alice: active, Engineering\nin on-call",
            },
            4 => Case {
                sent: "who is active? asked so\nthat it cannot be said",
                request: self.call("GET", "acme", "/Users?filter=active%20gt%20true", None),
                back: "400 invalidFilter",
                keeps: "Alice: active, Engineering\nin on-call",
            },
            5 => Case {
                sent: "remove her, by another\ntenant's token",
                request: self.call("DELETE", "globex", &format!("/../../../acme/scim/v2/Users/{}", id(0)), None),
                back: "401 credentials",
                keeps: "Alice: active, Engineering\nin on-call",
            },
            6 => Case {
                sent: "deactivate her; the\ntext \"False\"",
                request: patch(
                    format!("/Users/{}", id(0)),
                    json!([{ "op": "Replace", "path": "active", "value": "False" }]),
                ),
                back: "204",
                keeps: "Alice: inactive, Engineering\nin on-call",
            },
            _ => return None,
        })
    }

    fn call(&self, method: &str, tenant: &str, path: &str, body: Option<&Value>) -> Request {
        let request = Request::new(method, format!("{}{path}", ScimGateway::path(tenant)))
            .header("host", self.gateway.addr().to_string())
            .bearer(&ScimGateway::token(tenant));
        match body {
            Some(body) => request.header("content-type", "application/scim+json").body(body.to_string()),
            None => request,
        }
    }

    fn remember(&self, response: &Response) {
        let created = response.json().ok().filter(|_| response.status == 201);
        self.ids.borrow_mut().extend(created.and_then(|body| Some(body.get("id")?.as_str()?.to_owned())));
    }

    /// What the store itself says of its users.
    async fn kept(&self) -> Result<String> {
        let asked = Request::get("/scim/v2/Users").bearer(&self.token);
        let listed = send(self.store.addr(), &asked).await?.json()?;
        let users = listed.get("Resources").and_then(Value::as_array).context("expected a list")?;
        let mut lines = Vec::new();
        for user in users {
            let text = |pointer: &str| user.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let is_active = user.get("active") == Some(&json!(true));
            let active = if is_active { "active" } else { "inactive" };
            let department = text(&format!("/{ENTERPRISE}/department"));
            lines.push(format!("{}: {active}, {department}", text("/displayName")));
            let groups = user.get("groups").and_then(Value::as_array).into_iter().flatten();
            let names = groups.filter_map(|group| group.get("display")?.as_str());
            lines.extend(names.map(|name| format!("in {name}")));
        }
        Ok(if lines.is_empty() { "nobody".to_owned() } else { lines.join("\n") })
    }

    /// Prints calls to try.
    pub(super) fn invite(&self) -> Result<()> {
        let file = folder::scratch("demo")?.join("acme");
        fs::write(&file, format!("authorization: Bearer {}\n", ScimGateway::token("acme")))
            .with_context(|| format!("expected to write {}", file.display()))?;
        let file = file.strip_prefix(folder::root()).unwrap_or(&file).display().to_string();
        let url = self.gateway.url("acme");
        let mut text = "Try the gateway:\n".to_owned();
        for line in [
            format!("curl -si -H @{file} {url}/Users"),
            format!("curl -si -H @{file} '{url}/Users?filter=userName%20eq%20%22alice%40example.com%22'"),
            format!("curl -si -H @{file} -H 'Content-Type: application/scim+json' -d '{{}}' {url}/Users"),
            format!("dist/doorward audit verify --db {}", self.store.database()),
        ] {
            writeln!(text, "  {line}")?;
        }
        println!("{text}");
        Ok(())
    }
}

/// The status, and of an error its kind.
fn shown(response: &Response) -> String {
    let error = response.json().unwrap_or_default();
    match (response.status, error.get("scimType").and_then(Value::as_str)) {
        (status, Some(scim_type)) => format!("{status} {scim_type}"),
        (401, None) => "401 credentials".to_owned(),
        (status, None) => status.to_string(),
    }
}
