//! The SCIM store under other people's suites for SCIM servers, on both databases, directly, through the gateway and through the edge worker, and
//! in the edge worker on D1: every check passes but those that contradict what was chosen.

use crate::support::installed_python;
use anyhow::{Context, Result, ensure};
use doorward_testbed::{Database, GatewaySetup, ScimGateway, ScimStore, ScimWorker, folder, run};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The profiles that differ most: in what they soften, and in the answer to a PATCH.
const PROFILES: [&str; 3] = ["rfc", "entra", "okta"];

/// The checks of scim-sanity that fail by choice: by which profiles, what is checked, what the suite says, and why we do otherwise.
const CONTRADICTIONS: [(&[&str], &str, &str, &str); 6] = [
    (
        &["rfc", "entra"],
        "PATCH /Groups/{id} add member",
        "Expected 200, got 400",
        "it adds the member fake-member-id, and a member is a resource that there is (README, members)",
    ),
    (&["entra"], "PATCH /Groups/{id} remove members", "Expected 200, got 204", NO_CONTENT),
    (&["entra"], "PATCH /Users/{id}", "Expected HTTP 200, got 204", NO_CONTENT),
    (&["entra"], "PATCH /Groups/{id}", "Expected HTTP 200, got 204", NO_CONTENT),
    (&["entra"], "PATCH /Agents/{id}", "Expected HTTP 200, got 204", NO_CONTENT),
    (&["entra"], "PATCH /AgenticApplications/{id}", "Expected HTTP 200, got 204", NO_CONTENT),
];
const NO_CONTENT: &str =
    "RFC 7644 section 3.5.2 allows 204 too, and Entra ID expects it (docs/scim-profiles.md)";

#[test]
fn scim2_tester_finds_no_fault_on_sqlite() {
    run(async { scim2_tester(&Service::direct(Database::Sqlite).await?) }).unwrap();
}

#[test]
fn scim2_tester_finds_no_fault_on_postgresql() {
    run(async { scim2_tester(&Service::direct(Database::Postgresql).await?) }).unwrap();
}

#[test]
fn scim_sanity_finds_what_was_chosen_on_sqlite() {
    run(async { scim_sanity(&Service::direct(Database::Sqlite).await?) }).unwrap();
}

#[test]
fn scim_sanity_finds_what_was_chosen_on_postgresql() {
    run(async { scim_sanity(&Service::direct(Database::Postgresql).await?) }).unwrap();
}

#[test]
fn scim2_tester_finds_no_fault_through_the_gateway_on_sqlite() {
    run(async { scim2_tester(&Service::behind_the_gateway(Database::Sqlite).await?) }).unwrap();
}

#[test]
fn scim2_tester_finds_no_fault_through_the_gateway_on_postgresql() {
    run(async { scim2_tester(&Service::behind_the_gateway(Database::Postgresql).await?) }).unwrap();
}

#[test]
fn scim_sanity_finds_what_was_chosen_through_the_gateway_on_sqlite() {
    run(async { scim_sanity(&Service::behind_the_gateway(Database::Sqlite).await?) }).unwrap();
}

#[test]
fn scim_sanity_finds_what_was_chosen_through_the_gateway_on_postgresql() {
    run(async { scim_sanity(&Service::behind_the_gateway(Database::Postgresql).await?) }).unwrap();
}

#[test]
fn scim2_tester_finds_no_fault_at_the_worker_on_d1() {
    run(async { scim2_tester(&Service::in_the_worker().await?) }).unwrap();
}

#[test]
fn scim_sanity_finds_what_was_chosen_at_the_worker_on_d1() {
    run(async { scim_sanity(&Service::in_the_worker().await?) }).unwrap();
}

#[test]
fn scim2_tester_finds_no_fault_through_the_worker() {
    run(async { scim2_tester(&Service::behind_the_worker(Database::Sqlite).await?) }).unwrap();
}

#[test]
fn scim_sanity_finds_what_was_chosen_through_the_worker() {
    run(async { scim_sanity(&Service::behind_the_worker(Database::Sqlite).await?) }).unwrap();
}

/// Every check of scim2-tester, on every resource type that there is. It takes some seconds, so not by all profiles.
fn scim2_tester(service: &Service) -> Result<()> {
    for profile in ["rfc", "entra"] {
        let mut scim2 = installed_python("scim2");
        scim2.args(["--url", &service.url(profile), "test"]);
        scim2.env("SCIM_CLI_HEADERS", format!("Authorization: Bearer {}", service.token(profile)?));
        let (is_success, said) = service.finished(&mut scim2)?;
        let passed = said.lines().filter(|line| line.starts_with("SUCCESS ")).count();
        // It succeeds too if there is nothing that it could check.
        let types = "Resource types available are: 'User', 'Group', 'Agent', 'AgenticApplication'";
        ensure!(
            is_success && passed > 200 && said.contains(types),
            "{profile}: expected success of more than 200 checks, but {passed} passed\n{}",
            failures(&said).join("\n")
        );
    }
    Ok(())
}

/// What did not pass: a line each with the check, and what is said below it.
fn failures(said: &str) -> Vec<&str> {
    let mut is_passed = false;
    let failed = said.lines().filter(|line| {
        if !line.starts_with(' ') {
            is_passed = line.starts_with("SUCCESS ");
        }
        !is_passed
    });
    failed.collect()
}

/// Every check of scim-sanity, none of them left out.
fn scim_sanity(service: &Service) -> Result<()> {
    for profile in PROFILES {
        let mut probe = installed_python("scim-sanity");
        probe.args(["probe", &service.url(profile), "--json-output", "--i-accept-side-effects"]);
        probe.args(["--token", &service.token(profile)?]);
        let (_, said) = service.finished(&mut probe)?;
        let said: Value =
            serde_json::from_str(&said).with_context(|| format!("expected JSON, but found {said}"))?;
        let results = said["results"].as_array().context("expected results")?;
        let text = |result: &Value, name: &str| result[name].as_str().unwrap_or_default().to_owned();
        let mut failed: BTreeMap<String, String> = results
            .iter()
            .filter(|result| result["status"] != "pass")
            .map(|result| (text(result, "name"), text(result, "message")))
            .collect();
        for (_, name, found, why) in
            CONTRADICTIONS.iter().filter(|(profiles, ..)| profiles.contains(&profile))
        {
            let message = failed.remove(*name).unwrap_or_default();
            ensure!(
                message.starts_with(found),
                "{profile}: {name}: expected {found:?}, since {why}, but it says {message:?}: is it no contradiction any more?"
            );
        }
        ensure!(failed.is_empty(), "{profile}: expected no other fault, but found\n{failed:#?}");
        ensure!(results.len() > 40, "{profile}: expected more than 40 checks, but found {}", results.len());
    }
    Ok(())
}

/// A service under test, with a tenant of each profile that has its name.
struct Service {
    /// None if it is in the worker.
    store: Option<ScimStore>,
    /// What is in front of it.
    front: Front,
    scratch: PathBuf,
}

enum Front {
    Nothing,
    Gateway(ScimGateway),
    Worker(ScimWorker),
}

impl Service {
    async fn direct(database: Database) -> Result<Self> {
        Self::new(Some(store(database).await?), Front::Nothing)
    }

    async fn behind_the_gateway(database: Database) -> Result<Self> {
        let store = store(database).await?;
        let gateway = ScimGateway::start(store.addr(), &setup()).await?;
        Self::new(Some(store), Front::Gateway(gateway))
    }

    async fn behind_the_worker(database: Database) -> Result<Self> {
        let store = store(database).await?;
        let worker = ScimWorker::start(Some(store.addr()), &setup()).await?;
        Self::new(Some(store), Front::Worker(worker))
    }

    async fn in_the_worker() -> Result<Self> {
        Self::new(None, Front::Worker(ScimWorker::start(None, &setup()).await?))
    }

    fn new(store: Option<ScimStore>, front: Front) -> Result<Self> {
        Ok(Self { store, front, scratch: folder::scratch("suite")? })
    }

    fn url(&self, tenant: &str) -> String {
        match (&self.front, &self.store) {
            (Front::Gateway(gateway), _) => gateway.url(tenant),
            (Front::Worker(worker), _) => worker.url(tenant),
            (Front::Nothing, store) => store.as_ref().map(ScimStore::url).unwrap_or_default(),
        }
    }

    fn token(&self, tenant: &str) -> Result<String> {
        match (&self.front, &self.store) {
            (Front::Nothing, Some(store)) => store.token(tenant),
            (Front::Nothing, None) | (Front::Gateway(_) | Front::Worker(_), _) => {
                Ok(ScimGateway::token(tenant))
            }
        }
    }

    /// Whether a suite succeeded, and all that it said; that is also kept in a folder of its own.
    fn finished(&self, suite: &mut Command) -> Result<(bool, String)> {
        // What is asked is on this machine, whatever the environment says of proxies.
        suite.env("NO_PROXY", "127.0.0.1");
        let output = suite.output().with_context(|| format!("expected to run {suite:?}"))?;
        fs::write(self.scratch.join("suite.out"), &output.stdout)?;
        fs::write(self.scratch.join("suite.err"), &output.stderr)?;
        if let Some(store) = &self.store {
            ensure!(store.process().exited().is_none(), "{}", store.process().report(20));
        }
        match &self.front {
            Front::Nothing => {}
            Front::Gateway(gateway) => ensure!(gateway.envoy.is_running(), "{}", gateway.envoy.log()),
            Front::Worker(worker) => {
                ensure!(worker.process().exited().is_none(), "{}", worker.process().report(20));
            }
        }
        Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
    }
}

async fn store(database: Database) -> Result<ScimStore> {
    ScimStore::start(database, &tenants(), types()).await
}

fn setup() -> GatewaySetup {
    let mut setup = GatewaySetup::new(&tenants());
    if let Value::Object(types) = types() {
        setup.scim.extend(types);
    }
    setup
}

fn tenants() -> [(&'static str, &'static str); PROFILES.len()] {
    PROFILES.map(|profile| (profile, profile))
}

/// Resource types of draft-abbey-scim-agent-extension, which scim-sanity also checks where they are: what is configured is to be as good as
/// what is built in. Not all of their attributes, but some of each kind that scim2-tester has values for.
fn types() -> Value {
    let core = |name: &str| format!("urn:ietf:params:scim:schemas:core:2.0:{name}");
    let place = "urn:example:params:scim:schemas:extension:2.0:Place";
    let common = [
        json!({ "name": "name", "required": true, "uniqueness": "server" }),
        json!({ "name": "displayName" }),
        json!({ "name": "description" }),
        json!({ "name": "active", "type": "boolean" }),
    ];
    let schema = |id: &str, name: &str, attributes: Vec<Value>| json!({ "id": id, "name": name, "attributes": attributes });
    let agent = [
        json!({ "name": "subject", "mutability": "readOnly" }),
        json!({ "name": "protocols", "multiValued": true }),
        json!({ "name": "roles", "type": "complex", "multiValued": true, "subAttributes": [
            { "name": "value" }, { "name": "type" }, { "name": "primary", "type": "boolean" },
        ] }),
        json!({ "name": "x509Certificates", "type": "complex", "multiValued": true, "subAttributes": [
            { "name": "value", "type": "binary", "caseExact": true },
        ] }),
        json!({ "name": "parent", "type": "complex", "subAttributes": [
            { "name": "value", "caseExact": true },
            { "name": "$ref", "type": "reference", "referenceTypes": ["Agent"], "caseExact": true },
            { "name": "display", "mutability": "readOnly" },
        ] }),
    ];
    let application = [
        json!({ "name": "seats", "type": "integer" }),
        json!({ "name": "ports", "type": "integer", "multiValued": true }),
        json!({ "name": "site", "type": "reference", "referenceTypes": ["external"], "caseExact": true }),
    ];
    let extension = vec![
        json!({ "name": "floor", "type": "integer" }),
        json!({ "name": "desk", "type": "complex", "subAttributes": [{ "name": "number" }] }),
    ];
    json!({
        "schemas": [
            schema(&core("Agent"), "Agent", [common.as_slice(), &agent].concat()),
            schema(&core("AgenticApplication"), "AgenticApplication", [common.as_slice(), &application].concat()),
            schema(place, "Place", extension),
        ],
        "resource_types": [
            { "name": "Agent", "endpoint": "/Agents", "schema": core("Agent") },
            {
                "name": "AgenticApplication", "endpoint": "/AgenticApplications", "schema": core("AgenticApplication"),
                "schemaExtensions": [{ "schema": place, "required": false }],
            },
        ],
    })
}
