//! The SCIM store under other people's suites for SCIM servers, on both databases: every check passes but those that contradict what was
//! chosen.

use crate::support::{eventually, installed_python};
use anyhow::{Context, Result, ensure};
use doorward_testbed::{PostgresServer, Process, Request, folder, port, run, send};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
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
    run(async { scim2_tester(&Store::on_sqlite().await?) }).unwrap();
}

#[test]
fn scim2_tester_finds_no_fault_on_postgresql() {
    run(async { scim2_tester(&Store::on_postgresql().await?) }).unwrap();
}

#[test]
fn scim_sanity_finds_what_was_chosen_on_sqlite() {
    run(async { scim_sanity(&Store::on_sqlite().await?) }).unwrap();
}

#[test]
fn scim_sanity_finds_what_was_chosen_on_postgresql() {
    run(async { scim_sanity(&Store::on_postgresql().await?) }).unwrap();
}

/// Every check of scim2-tester, on every resource type that there is. It takes some seconds, so not by all profiles.
fn scim2_tester(store: &Store) -> Result<()> {
    for profile in ["rfc", "entra"] {
        let mut scim2 = installed_python("scim2");
        scim2.args(["--url", &store.url(), "test"]);
        scim2.env("SCIM_CLI_HEADERS", format!("Authorization: Bearer {}", store.token(profile)?));
        let (is_success, said) = store.finished(&mut scim2)?;
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
fn scim_sanity(store: &Store) -> Result<()> {
    for profile in PROFILES {
        let mut probe = installed_python("scim-sanity");
        probe.args(["probe", &store.url(), "--json-output", "--i-accept-side-effects"]);
        probe.args(["--token", &store.token(profile)?]);
        let (_, said) = store.finished(&mut probe)?;
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

/// A store as a process, with a tenant of each profile that has its name.
struct Store {
    database: String,
    addr: SocketAddr,
    process: Process,
    scratch: PathBuf,
    _server: Option<PostgresServer>,
}

impl Store {
    async fn on_sqlite() -> Result<Self> {
        let scratch = folder::scratch("store")?;
        let database = format!("sqlite:{}", scratch.join("store.db").display());
        Self::start(database, scratch, None).await
    }

    async fn on_postgresql() -> Result<Self> {
        let server = PostgresServer::start().await?;
        let database = server.url("doorward", &server.database()?);
        Self::start(database, folder::scratch("store")?, Some(server)).await
    }

    async fn start(database: String, scratch: PathBuf, server: Option<PostgresServer>) -> Result<Self> {
        for profile in PROFILES {
            doorward(&["tenant", "create", profile, "--profile", profile, "--db", &database])?;
        }
        let configuration = scratch.join("store.json");
        fs::write(&configuration, configuration_with_types().to_string())?;
        let (addr, admin) = (port::loopback(port::free()?), port::loopback(port::free()?));
        let mut store = Command::new(folder::dist().join("doorward"));
        store.args(["store", "--db", &database, "--config"]).arg(configuration);
        store.args(["--listen", &addr.to_string(), "--admin", &admin.to_string()]);
        let process = Process::spawn("store", &mut store, &scratch)?;
        eventually("the store is ready", async || {
            ensure!(process.exited().is_none(), "{}", process.report(20));
            Ok(send(addr, &Request::get("/readyz")).await.is_ok_and(|response| response.status == 200))
        })
        .await?;
        Ok(Self { database, addr, process, scratch, _server: server })
    }

    fn url(&self) -> String {
        format!("http://{}/scim/v2", self.addr)
    }

    fn token(&self, tenant: &str) -> Result<String> {
        let printed = doorward(&["token", "create", tenant, "suite", "--db", &self.database])?;
        Ok(printed.trim().to_owned())
    }

    /// Whether a suite succeeded, and all that it said; that is also kept beside the store's log.
    fn finished(&self, suite: &mut Command) -> Result<(bool, String)> {
        // What is asked is on this machine, whatever the environment says of proxies.
        suite.env("NO_PROXY", "127.0.0.1");
        let output = suite.output().with_context(|| format!("expected to run {suite:?}"))?;
        fs::write(self.scratch.join("suite.out"), &output.stdout)?;
        fs::write(self.scratch.join("suite.err"), &output.stderr)?;
        ensure!(self.process.exited().is_none(), "{}", self.process.report(20));
        Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
    }
}

/// Runs `doorward`; answers what it prints.
fn doorward(arguments: &[&str]) -> Result<String> {
    let output = Command::new(folder::dist().join("doorward"))
        .args(arguments)
        .output()
        .context("expected dist/doorward")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "expected {arguments:?} to succeed, but it said\n{error}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Resource types of draft-abbey-scim-agent-extension, which scim-sanity also checks where they are: what is configured is to be as good as
/// what is built in. Not all of their attributes, but some of each kind that scim2-tester has values for.
fn configuration_with_types() -> Value {
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
        // A suite is not one of the clients that the store is to be protected from.
        "limits": { "rate": null },
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
