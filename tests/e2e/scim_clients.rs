//! Client software that other people made, through the gateway into the store: what it believes afterwards is what the store holds.

use crate::support::{canaille, node, output, python};
use anyhow::{Context, Result, ensure};
use doorward_testbed::{Database, GatewaySetup, Request, ScimGateway, ScimStore, folder, run, send};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const TENANTS: [(&str, &str); 1] = [("acme", "rfc")];
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A store behind a gateway, with a way past the gateway to see what the store holds.
struct Bed {
    store: ScimStore,
    token: String,
    gateway: ScimGateway,
}

impl Bed {
    async fn start() -> Result<Self> {
        Self::start_with(json!({})).await
    }

    /// With changes to the store's configuration.
    async fn start_with(changes: Value) -> Result<Self> {
        let store = ScimStore::start(Database::Sqlite, &TENANTS, changes).await?;
        let token = store.token("acme")?;
        let gateway = ScimGateway::start(store.addr(), &GatewaySetup::new(&TENANTS)).await?;
        Ok(Self { store, token, gateway })
    }

    /// The client, told where the service is and what its token is.
    fn client(&self, mut script: Command) -> Command {
        script.args([self.gateway.url("acme"), ScimGateway::token("acme")]);
        // What is asked is on this machine, whatever the environment says of proxies.
        script.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        script
    }

    /// What the store holds at a path.
    async fn stored(&self, path: &str) -> Result<Value> {
        let request = Request::get(format!("/scim/v2{path}")).bearer(&self.token);
        let host = self.store.addr().to_string();
        let response = send(self.store.addr(), &request.header("host", host)).await?;
        ensure!(response.status == 200, "expected {path}, but found {} {}", response.status, response.text());
        response.json()
    }

    /// The resources that the store holds at an endpoint, by name.
    async fn all(&self, endpoint: &str, name: &str) -> Result<Vec<Value>> {
        let list = self.stored(&format!("{endpoint}?sortBy={name}")).await?;
        Ok(list["Resources"].as_array().cloned().unwrap_or_default())
    }

    /// What the store holds, as it is to be seen through the gateway: only URLs differ.
    async fn seen(&self, path: &str) -> Result<Value> {
        let stored = self.stored(path).await?.to_string();
        Ok(serde_json::from_str(&stored.replace(&self.store.url(), &self.gateway.url("acme")))?)
    }
}

/// A resource without what a service adds.
fn content(resource: &Value) -> Value {
    let mut resource = resource.clone();
    if let Some(members) = resource.as_object_mut() {
        members.retain(|name, _| !["id", "meta", "schemas", "groups"].contains(&name.as_str()));
    }
    resource
}

/// A member of what a client printed that must be a text.
fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.with_context(|| format!("expected {pointer} in {value}"))
}

fn values(resources: &[Value], name: &str) -> Vec<Value> {
    resources.iter().map(|resource| resource[name].clone()).collect()
}

#[test]
fn scim2_client_and_the_store_agree_on_every_step() {
    run(async {
        let bed = Bed::start().await?;
        let told = output(&mut bed.client(python("provision_scim2.py")))?;
        let alice = |family: Value, emails: Value, department: &str| {
            let mut user = json!({ "userName": "alice", "externalId": "701984", "name": family, ENTERPRISE: { "department": department } });
            user.as_object_mut().unwrap().extend(emails.as_object().unwrap().clone());
            user
        };
        let work = json!({ "emails": [{ "value": "alice@example.com", "type": "work" }] });
        let created = alice(json!({ "givenName": "Alice", "familyName": "Liddell" }), work, "Chess");
        assert_eq!((content(&told["created"]), &told["read"]), (created, &told["created"]));
        assert_eq!((&told["queried"], &told["searched"]), (&json!(["bob", "carol"]), &json!(["alice"])));
        let replaced = alice(json!({ "givenName": "Alice", "familyName": "Hargreaves" }), json!({}), "Chess");
        assert_eq!(content(&told["replaced"]), replaced);
        let emails = json!({ "emails": [{ "value": "alice@example.org", "primary": true }] });
        let modified = alice(json!({ "familyName": "Hargreaves" }), emails, "Croquet");
        assert_eq!(content(&told["modified"]), modified);
        assert_eq!(told["gone"][0], json!(404), "{}", told["gone"]);

        let (alice, group) = (text(&told, "/last/id")?, text(&told, "/group/id")?);
        assert_eq!(told["last"], bed.seen(&format!("/Users/{alice}")).await?);
        assert_eq!(told["group"], bed.seen(&format!("/Groups/{group}")).await?);
        assert_eq!(values(told["group"]["members"].as_array().unwrap(), "value"), [json!(alice), told["carol"].clone()]);
        assert_eq!(values(&bed.all("/Users", "userName").await?, "userName"), ["alice", "carol"]);
        Ok(())
    })
    .unwrap();
}

/// What is to come of a PATCH that scim-patch documents or tests.
#[derive(Debug)]
enum Verdict {
    /// The library's result is what the store holds.
    Same,
    /// Both refuse; we with this `scimType`.
    BothRefuse(&'static str),
    /// The library takes it; we refuse with this `scimType`, since.
    WeRefuse(&'static str, &'static str),
    /// Both take it, to different ends: of this the store holds this, since.
    Different(&'static str, Value, &'static str),
}
use Verdict::{BothRefuse, Different, Same, WeRefuse};

const UNKNOWN: &str = "no schema has it, and the profile rfc takes nothing that is unknown";
const NAMES: &str = "RFC 7644 section 3.5.2: without a path, the value has attributes by name; only the profile entra takes paths there";
const NO_TARGET: &str = "RFC 7644 sections 3.5.2.2 and 3.5.2.3: noTarget where a filter matches nothing";
const KIND: &str = "the schema has another type, of which the library knows nothing";
const REPLACED: &str =
    "RFC 7644 section 3.5.2.3: the values are replaced as a whole, where the library merges";

/// Of which each user has these.
fn emails() -> [Value; 3] {
    ["home", "work", "other"].map(
        |kind| json!({ "value": format!("{kind}@example.com"), "type": kind, "primary": kind == "home" }),
    )
}

/// Shapes of PATCH operations: what they are, the operations, and what is to come of them.
fn shapes() -> Vec<(&'static str, Value, Verdict)> {
    let e = |name: &str| format!("{ENTERPRISE}:{name}");
    let display = json!({ "display": "post" });
    let [home, work, other] = emails();
    vec![
        // Replace.
        ("replace an attribute", json!([{ "op": "replace", "path": "active", "value": false }]), Same),
        (
            "replace an attribute by its full name",
            json!([{ "op": "replace", "path": format!("{USER}:active"), "value": false }]),
            Same,
        ),
        ("replace without a path", json!([{ "op": "replace", "value": { "active": false } }]), Same),
        ("Replace with a capital letter", json!([{ "op": "Replace", "value": { "active": false } }]), Same),
        (
            "replace a sub-attribute",
            json!([{ "op": "replace", "path": "name.familyName", "value": "Morales" }]),
            Same,
        ),
        (
            "replace within a complex attribute",
            json!([{ "op": "replace", "path": "name", "value": { "familyName": "Morales" } }]),
            Same,
        ),
        (
            "replace a complex attribute by {}",
            json!([{ "op": "replace", "path": "name", "value": {} }]),
            Same,
        ),
        (
            "replace an extension's attribute",
            json!([{ "op": "replace", "path": e("department"), "value": "Web" }]),
            Same,
        ),
        (
            "replace an extension's object",
            json!([{ "op": "replace", "value": { ENTERPRISE: { "department": "Web" } } }]),
            Different(
                ENTERPRISE,
                json!({ "organization": "Daily Bugle", "department": "Web" }),
                "the library takes the dot in 2.0 for one of a path",
            ),
        ),
        (
            "replace paths as names, extension",
            json!([{ "op": "replace", "value": { e("organization"): "New", e("department"): "Web" } }]),
            WeRefuse("invalidValue", NAMES),
        ),
        (
            "replace two in turn",
            json!([{ "op": "replace", "path": "name", "value": { "givenName": "Miles", "familyName": "Morales" } }, { "op": "replace", "value": { "active": false } }]),
            Same,
        ),
        (
            "replace three in turn",
            json!([{ "op": "replace", "path": "name.givenName", "value": "Miles" }, { "op": "replace", "value": { "active": false } }, { "op": "replace", "path": "name.familyName", "value": "Morales" }]),
            Same,
        ),
        (
            "replace a value by filter",
            json!([{ "op": "replace", "path": "emails[primary eq true]", "value": { "value": "new@example.com", "primary": true } }]),
            Different(
                "emails",
                json!([{ "value": "new@example.com", "primary": true }, work, other]),
                REPLACED,
            ),
        ),
        (
            "replace a value's sub-attribute by filter",
            json!([{ "op": "replace", "path": "emails[primary eq true].value", "value": "new@example.com" }]),
            Same,
        ),
        (
            "replace by a filter with dots in its text",
            json!([{ "op": "Replace", "path": "emails[value eq \"home@example.com\"].value", "value": "new@example.com" }]),
            Same,
        ),
        (
            "replace by a filter with and",
            json!([{ "op": "replace", "path": "emails[type eq \"work\" and primary eq false].value", "value": "new@example.com" }]),
            Same,
        ),
        (
            "replace by a filter with or",
            json!([{ "op": "replace", "path": "emails[type eq \"work\" or type eq \"other\"].display", "value": "post" }]),
            Same,
        ),
        (
            "replace a sub-attribute of many by filter",
            json!([{ "op": "replace", "path": "emails[primary eq false].display", "value": "post" }]),
            Same,
        ),
        (
            "replace within many by filter",
            json!([{ "op": "replace", "path": "emails[primary eq false]", "value": display }]),
            Different("emails", json!([home, { "display": "post" }]), REPLACED),
        ),
        (
            "replace a sub-attribute of all",
            json!([{ "op": "replace", "path": "emails.display", "value": "post" }]),
            Same,
        ),
        (
            "replace all by an array",
            json!([{ "op": "replace", "path": "emails", "value": [{ "value": "new@example.com" }] }]),
            Same,
        ),
        (
            "replace all by an object",
            json!([{ "op": "replace", "path": "emails", "value": display }]),
            Different("emails", json!([{ "display": "post" }]), REPLACED),
        ),
        (
            "replace what is not there by filter",
            json!([{ "op": "replace", "path": "addresses[type eq \"work\"].country", "value": "DK" }]),
            WeRefuse("noTarget", NO_TARGET),
        ),
        (
            "replace a value that is not there by filter",
            json!([{ "op": "replace", "path": "emails[value eq \"bogus\"]", "value": { "value": "new@example.com" } }]),
            BothRefuse("noTarget"),
        ),
        (
            "replace a new attribute",
            json!([{ "op": "replace", "path": "nickName", "value": "Spidey" }]),
            Same,
        ),
        (
            "replace an unknown attribute",
            json!([{ "op": "replace", "path": "unknown.toto", "value": true }]),
            WeRefuse("invalidPath", UNKNOWN),
        ),
        (
            "replace a complex attribute by a text",
            json!([{ "op": "replace", "path": "name", "value": "BATMAN" }]),
            WeRefuse("invalidValue", KIND),
        ),
        (
            "replace a text by an object",
            json!([{ "op": "replace", "path": "emails[type eq \"work\"].value", "value": {} }]),
            WeRefuse("invalidValue", KIND),
        ),
        // Add.
        ("add without a path", json!([{ "op": "add", "value": { "nickName": "Spidey" } }]), Same),
        ("Add with a capital letter", json!([{ "op": "Add", "value": { "nickName": "Spidey" } }]), Same),
        ("add an attribute", json!([{ "op": "add", "path": "nickName", "value": "Spidey" }]), Same),
        (
            "add over a single value",
            json!([{ "op": "add", "path": "userName", "value": "add over a single value" }]),
            Same,
        ),
        (
            "add a sub-attribute",
            json!([{ "op": "add", "path": "name.middleName", "value": "Benjamin" }]),
            Same,
        ),
        (
            "add within a complex attribute",
            json!([{ "op": "add", "path": "name", "value": { "middleName": "Benjamin" } }]),
            Same,
        ),
        ("add {} to a complex attribute", json!([{ "op": "add", "path": "name", "value": {} }]), Same),
        (
            "add a text to a complex attribute",
            json!([{ "op": "add", "path": "name", "value": "titi" }]),
            BothRefuse("invalidValue"),
        ),
        (
            "add an unknown attribute",
            json!([{ "op": "add", "path": "newProperty", "value": "newValue" }]),
            WeRefuse("invalidPath", UNKNOWN),
        ),
        (
            "add an unknown attribute without a path",
            json!([{ "op": "add", "value": { "newProperty": "newValue" } }]),
            WeRefuse("invalidValue", UNKNOWN),
        ),
        (
            "add an extension's attribute",
            json!([{ "op": "add", "path": e("division"), "value": "Spiders" }]),
            Same,
        ),
        (
            "add an extension",
            json!([{ "op": "remove", "path": e("organization") }, { "op": "remove", "path": e("department") }, { "op": "add", "path": e("department"), "value": "Web" }]),
            Same,
        ),
        (
            "add paths as names, extension",
            json!([{ "op": "add", "value": { e("division"): "Spiders" } }]),
            WeRefuse("invalidValue", NAMES),
        ),
        (
            "add paths as names",
            json!([{ "op": "add", "value": { "name.givenName": "John", "name.formatted": "John Parker" } }]),
            WeRefuse("invalidValue", NAMES),
        ),
        (
            "add an array",
            json!([{ "op": "Add", "path": "emails", "value": [{ "value": "new@example.com" }] }]),
            Same,
        ),
        (
            "add an object to many",
            json!([{ "op": "add", "path": "emails", "value": { "value": "new@example.com", "type": "new" } }]),
            Same,
        ),
        (
            "add what is there",
            json!([{ "op": "add", "path": "emails", "value": { "value": "home@example.com", "type": "home", "primary": true } }]),
            Same,
        ),
        (
            "add what is there, and more",
            json!([{ "op": "add", "path": "emails", "value": [{ "value": "work@example.com", "type": "work", "primary": false }, { "value": "new@example.com" }] }]),
            Same,
        ),
        (
            "add an array without a path",
            json!([{ "op": "add", "value": { "emails": [{ "value": "new@example.com" }, { "value": "newer@example.com" }] } }]),
            Same,
        ),
        (
            "add an object to many without a path",
            json!([{ "op": "add", "value": { "emails": { "value": "new@example.com" } } }]),
            Same,
        ),
        (
            "add a second primary",
            json!([{ "op": "add", "path": "emails", "value": [{ "value": "new@example.com", "primary": true }] }]),
            Different(
                "emails",
                json!([{ "value": "home@example.com", "type": "home", "primary": false }, work, other, { "value": "new@example.com", "primary": true }]),
                "RFC 7644 section 3.5.2: a new primary value is the only one",
            ),
        ),
        (
            "add two more primaries",
            json!([{ "op": "add", "value": { "emails": [{ "value": "new@example.com", "primary": true }, { "value": "newer@example.com", "primary": true }] } }]),
            WeRefuse("invalidValue", "RFC 7643 section 2.4: at most one value is primary"),
        ),
        (
            "add within a value by filter",
            json!([{ "op": "add", "path": "emails[primary eq true]", "value": display }]),
            Same,
        ),
        (
            "add a sub-attribute of a value by filter",
            json!([{ "op": "add", "path": "emails[primary eq true].display", "value": "post" }]),
            Same,
        ),
        (
            "add a sub-attribute of many by filter",
            json!([{ "op": "add", "path": "emails[primary eq false].display", "value": "post" }]),
            Same,
        ),
        (
            "add within many by filter",
            json!([{ "op": "add", "path": "emails[primary eq false]", "value": display }]),
            Same,
        ),
        (
            "add by filter to none",
            json!([{ "op": "Add", "path": "addresses[type eq \"work\"].formatted", "value": "1111 Street Rd" }]),
            Same,
        ),
        (
            "add by filter to others",
            json!([{ "op": "add", "path": "addresses", "value": [{ "type": "home", "formatted": "2222 Avenue Blvd" }] }, { "op": "Add", "path": "addresses[type eq \"work\"].formatted", "value": "1122 Street Rd" }]),
            Same,
        ),
        (
            "add by filter with or to none",
            json!([{ "op": "Add", "path": "addresses[type eq \"work\" or type eq \"home\"].formatted", "value": "1111 Street Rd" }]),
            BothRefuse("noTarget"),
        ),
        (
            "add within what no filter matches",
            json!([{ "op": "add", "path": "emails[type eq \"none\"]", "value": display }]),
            Different(
                "emails",
                json!([home, work, other, { "type": "none", "display": "post" }]),
                "adding makes the value that the filter describes, as both do for one of its sub-attributes",
            ),
        ),
        // Remove.
        ("remove an attribute", json!([{ "op": "remove", "path": "active" }]), Same),
        ("Remove with a capital letter", json!([{ "op": "Remove", "path": "active" }]), Same),
        ("remove a sub-attribute", json!([{ "op": "remove", "path": "name.familyName" }]), Same),
        ("remove a complex attribute", json!([{ "op": "remove", "path": "name" }]), Same),
        (
            "remove two in turn",
            json!([{ "op": "remove", "path": "name" }, { "op": "remove", "path": "active" }]),
            Same,
        ),
        ("remove an extension's attribute", json!([{ "op": "remove", "path": e("department") }]), Same),
        ("remove a value by filter", json!([{ "op": "remove", "path": "emails[type eq \"work\"]" }]), Same),
        ("remove values by filter", json!([{ "op": "remove", "path": "emails[primary eq false]" }]), Same),
        ("remove all values by filter", json!([{ "op": "remove", "path": "emails[value co \"@\"]" }]), Same),
        (
            "remove by a filter with and",
            json!([{ "op": "remove", "path": "emails[type eq \"work\" and primary eq false]" }]),
            Same,
        ),
        (
            "remove by a filter that nothing matches",
            json!([{ "op": "remove", "path": "emails[type eq \"none\"]" }]),
            WeRefuse("noTarget", NO_TARGET),
        ),
        (
            "remove a value's sub-attribute by filter",
            json!([{ "op": "remove", "path": "emails[primary eq true].type" }]),
            Same,
        ),
        (
            "remove a sub-attribute of many by filter",
            json!([{ "op": "remove", "path": "emails[primary eq false].type" }]),
            Same,
        ),
        ("remove a sub-attribute of all", json!([{ "op": "remove", "path": "emails.type" }]), Same),
        ("remove what is not there", json!([{ "op": "remove", "path": "nickName" }]), Same),
        (
            "remove an unknown attribute",
            json!([{ "op": "remove", "path": "someField.level" }]),
            WeRefuse("invalidPath", UNKNOWN),
        ),
        (
            "remove by value, an array",
            json!([{ "op": "remove", "path": "emails", "value": [{ "value": "work@example.com", "type": "work", "primary": false }] }]),
            Same,
        ),
        (
            "remove by value, an object",
            json!([{ "op": "remove", "path": "emails", "value": { "value": "work@example.com", "type": "work", "primary": false } }]),
            Same,
        ),
        (
            "remove by a value that is not there",
            json!([{ "op": "remove", "path": "emails", "value": [{ "value": "bogus" }] }]),
            Same,
        ),
        (
            "remove by an array of arrays",
            json!([{ "op": "remove", "path": "emails", "value": [[]] }]),
            BothRefuse("invalidValue"),
        ),
        ("remove without a path", json!([{ "op": "remove" }]), BothRefuse("noTarget")),
        // What is no PATCH.
        (
            "an unknown operation",
            json!([{ "op": "delete", "path": "active", "value": true }]),
            BothRefuse("invalidSyntax"),
        ),
        (
            "an operation that is a number",
            json!([{ "op": 123, "path": "active", "value": true }]),
            BothRefuse("invalidSyntax"),
        ),
        ("no operation", json!([]), BothRefuse("invalidSyntax")),
        ("add without a value", json!([{ "op": "add", "path": "active" }]), BothRefuse("invalidValue")),
        (
            "a path that is no text",
            json!([{ "op": "add", "path": true, "value": "toto" }]),
            BothRefuse("invalidSyntax"),
        ),
        (
            "an incomplete filter",
            json!([{ "op": "replace", "path": "emails[value eq]", "value": true }]),
            BothRefuse("invalidFilter"),
        ),
        (
            "a filter without an end",
            json!([{ "op": "replace", "path": "emails[value eq \"toto\"", "value": true }]),
            BothRefuse("invalidFilter"),
        ),
        (
            "a text without an end",
            json!([{ "op": "Add", "path": "addresses[type eq \"work.formatted", "value": "1111 Street Rd" }]),
            BothRefuse("invalidFilter"),
        ),
        (
            "a filter that is none",
            json!([{ "op": "replace", "path": "emails[' eq true].value", "value": true }]),
            BothRefuse("invalidFilter"),
        ),
        (
            "a filter on a single value",
            json!([{ "op": "replace", "path": "userName[value eq \"toto\"]", "value": true }]),
            BothRefuse("invalidPath"),
        ),
    ]
}

#[test]
fn scim_patch_and_the_store_agree_but_where_the_rfc_is_stricter() {
    run(async {
        let bed = Bed::start().await?;
        let shapes = shapes();
        let names: BTreeSet<&str> = shapes.iter().map(|(name, ..)| *name).collect();
        ensure!(names.len() == shapes.len(), "expected each shape once");
        let cases: Vec<Value> = shapes
            .iter()
            .map(|(name, operations, _)| {
                let user = json!({
                    "schemas": [USER, ENTERPRISE],
                    "userName": name.replace(' ', "."),
                    "name": { "familyName": "Parker", "givenName": "Peter" },
                    "active": true,
                    "emails": emails(),
                    ENTERPRISE: { "organization": "Daily Bugle", "department": "Photos" },
                });
                json!([user, operations])
            })
            .collect();
        let told = output(bed.client(node("scim_patch.mjs")).arg(Value::Array(cases).to_string()))?;
        let results = told["results"].as_array().context("expected results")?;
        ensure!(results.len() == shapes.len(), "expected a result of each shape");
        let mut wrong = Vec::new();
        for ((name, operations, verdict), result) in shapes.iter().zip(results) {
            let stored = bed.stored(&format!("/Users/{}", text(result, "/created/id")?)).await?;
            if let Err(reason) = judge(verdict, result, &stored) {
                wrong.push(format!("{name}: {operations}: {reason}"));
            }
        }
        ensure!(wrong.is_empty(), "expected the verdicts that the table has, but\n{}", wrong.join("\n"));
        Ok(())
    })
    .unwrap();
}

/// Whether a PATCH came out as it is to.
fn judge(verdict: &Verdict, result: &Value, stored: &Value) -> Result<()> {
    let (status, body) = (&result["status"], &result["body"]);
    let refused = |kind: &str| *status == json!(400) && body["scimType"] == json!(kind);
    let is_untouched = content(stored) == content(&result["created"]);
    let by_library = result["library"].get("resource").map(content);
    let is_right = match verdict {
        Same => {
            *status == json!(200) && by_library == Some(content(stored)) && content(body) == content(stored)
        }
        BothRefuse(kind) => refused(kind) && is_untouched && by_library.is_none(),
        WeRefuse(kind, _) => refused(kind) && is_untouched && by_library.is_some(),
        Different(name, ours, _) => {
            *status == json!(200)
                && stored[*name] == *ours
                && by_library.is_some_and(|theirs| theirs != content(stored))
        }
    };
    let why = match verdict {
        Same | BothRefuse(_) => "that is what RFC 7644 says",
        WeRefuse(_, why) | Different(_, _, why) => why,
    };
    ensure!(
        is_right,
        "expected {verdict:?}, since {why}, but the library has {}, and the service {status} {}",
        result["library"],
        if *status == json!(200) { content(stored) } else { body.clone() }
    );
    Ok(())
}

/// A running `python/provision_canaille.py`, which does one thing after the other as it is told.
struct Canaille {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    log: PathBuf,
}

impl Canaille {
    fn start(mut script: Command) -> Result<Self> {
        let log = folder::scratch("canaille")?.join("canaille.log");
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut child = script.spawn().with_context(|| format!("expected to start {script:?}"))?;
        let input = child.stdin.take().context("expected an input")?;
        let output = BufReader::new(child.stdout.take().context("expected an output")?);
        Ok(Self { child, input, output, log })
    }

    /// Does the next thing, which must be `what`; answers with what it says of it.
    fn next(&mut self, what: &str) -> Result<Value> {
        writeln!(self.input)?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let [found, value]: [Value; 2] = serde_json::from_str(&line)
            .with_context(|| format!("expected {what}, but found {line:?}\n{}", self.said()))?;
        ensure!(found == json!(what), "expected {what}, but found {found}");
        Ok(value)
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Canaille {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `pages.announce` is for: scim2-models before 0.10 refuses a service that says how it pages (RFC 9865), and nothing else about
/// this one.
#[test]
fn canaille_refuses_a_service_that_announces_pages() {
    run(async {
        let bed = Bed::start().await?;
        let mut canaille = Canaille::start(bed.client(canaille("provision_canaille.py")))?;
        let refused = canaille.next("refused")?;
        let known =
            "1 validation error for ServiceProviderConfig\npagination\n  Extra inputs are not permitted";
        ensure!(refused.as_str().is_some_and(|refused| refused.starts_with(known)), "{refused}");
        assert_eq!(canaille.next("supported")?, json!(false), "{}", canaille.said());
        Ok(())
    })
    .unwrap();
}

#[test]
fn canaille_provisions_users_and_groups() {
    run(async {
        let bed = Bed::start_with(json!({ "pages": { "announce": false } })).await?;
        let mut canaille = Canaille::start(bed.client(canaille("provision_canaille.py")))?;
        assert_eq!(canaille.next("refused")?, Value::Null, "{}", canaille.said());
        assert_eq!(canaille.next("supported")?, json!(true), "{}", canaille.said());

        let alice = canaille.next("created")?;
        let users = bed.all("/Users", "userName").await?;
        let created = json!({
            "externalId": alice,
            "userName": "alice",
            "name": { "formatted": "Alice Liddell", "familyName": "Liddell", "givenName": "Alice" },
            "emails": [{ "value": "alice@example.com" }, { "value": "liddell@example.com" }],
            "phoneNumbers": [{ "value": "555-0100" }],
            "preferredLanguage": "en",
            "active": true,
            ENTERPRISE: { "organization": "Looking-Glass", "department": "Chess" },
        });
        assert_eq!(users.iter().map(content).collect::<Vec<_>>(), [created], "{}", canaille.said());
        let stored_alice = users[0]["id"].clone();

        canaille.next("changed")?;
        let changed = json!({
            "externalId": alice,
            "userName": "alice",
            "name": { "formatted": "Alice Hargreaves", "familyName": "Hargreaves", "givenName": "Alice" },
            "emails": [{ "value": "alice@example.org" }],
            "preferredLanguage": "en",
            "active": false,
            ENTERPRISE: { "organization": "Looking-Glass", "department": "Croquet" },
        });
        let users = bed.all("/Users", "userName").await?;
        assert_eq!(users.iter().map(content).collect::<Vec<_>>(), [changed], "{}", canaille.said());
        assert_eq!(users[0]["id"], stored_alice);

        let readers = canaille.next("grouped")?;
        let groups = bed.all("/Groups", "displayName").await?;
        assert_eq!(values(&groups, "externalId"), [readers], "{}", canaille.said());
        assert_eq!(groups[0]["displayName"], json!("readers"));
        assert_eq!(members(&groups[0]), std::slice::from_ref(&stored_alice));

        let bob = canaille.next("joined")?;
        let users = bed.all("/Users", "userName").await?;
        assert_eq!(values(&users, "externalId"), [alice, bob.clone()], "{}", canaille.said());
        let stored_bob = users[1]["id"].clone();
        let groups = bed.all("/Groups", "displayName").await?;
        assert_eq!(members(&groups[0]), [stored_alice, stored_bob.clone()]);

        canaille.next("user removed")?;
        assert_eq!(values(&bed.all("/Users", "userName").await?, "externalId"), [bob], "{}", canaille.said());
        assert_eq!(members(&bed.all("/Groups", "displayName").await?[0]), [stored_bob]);

        canaille.next("group removed")?;
        assert_eq!(bed.all("/Groups", "displayName").await?, [] as [Value; 0], "{}", canaille.said());
        // It reports each call that failed, and goes on.
        let said = canaille.said();
        ensure!(!said.contains("failed") && !said.contains("Unable"), "{said}");
        Ok(())
    })
    .unwrap();
}

/// Who is in a group, in the order of their ids.
fn members(group: &Value) -> Vec<Value> {
    let mut members = values(group["members"].as_array().map_or(&[], Vec::as_slice), "value");
    members.sort_by_key(Value::to_string);
    members
}
