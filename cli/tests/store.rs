//! `doorward store` and what administers it, as they are called.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests")]

use anyhow::{Context, Result, ensure};
use doorward::gateway::{CredentialKey, Grant};
use doorward::scim::Profile;
use doorward::time::UnixTime;
use doorward_testbed::{Process, Request, eventually, port, run, send};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `doorward`; the exit code, the standard output and the standard error.
fn doorward(arguments: &[&str]) -> (Option<i32>, String, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_doorward")).args(arguments).output().unwrap();
    (run.status.code(), String::from_utf8(run.stdout).unwrap(), String::from_utf8(run.stderr).unwrap())
}

fn fine(arguments: &[&str]) -> String {
    let (code, out, err) = doorward(arguments);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{arguments:?}");
    out
}

fn refused(arguments: &[&str], expected: &str) {
    let (code, out, err) = doorward(arguments);
    assert!(
        code == Some(2) && out.is_empty() && err.contains(expected),
        "{arguments:?}: {code:?} {out} {err}"
    );
}

fn url(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("store.db").display())
}

#[test]
fn tenants_and_tokens_are_made_listed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let db = &url(folder.path());
    refused(&["tenant", "list", "--db", db], "expected a database, but there is none");
    assert_eq!(
        fine(&["tenant", "create", "acme", "--db", db, "--name", "Acme Inc.", "--profile", "okta"]),
        "acme\n"
    );
    refused(&["tenant", "create", "acme", "--db", db], "there is a tenant \"acme\"");
    refused(&["tenant", "create", "b", "--db", db, "--profile", "x"], "expected one of rfc, entra, okta");
    let listed = fine(&["tenant", "list", "--db", db]);
    assert!(listed.starts_with("acme\tokta\t2") && listed.ends_with("Z\tAcme Inc.\n"), "{listed}");
    let token = fine(&["token", "create", "acme", "ci", "--db", db, "--expires", "90d"]);
    assert!(token.starts_with("dws_") && token.len() == 48, "{token}");
    let listed = fine(&["token", "list", "acme", "--db", db]);
    assert!(
        listed.starts_with("ci\t2") && listed.ends_with("Z\t-\n") && !listed.contains("dws_"),
        "{listed}"
    );
    refused(&["token", "create", "acme", "x", "--db", db, "--expires", "soon"], "expected RFC 3339");
    fine(&["token", "revoke", "acme", "ci", "--db", db]);
    refused(&["token", "revoke", "acme", "ci", "--db", db], "expected a token");
    assert_eq!(fine(&["audit", "verify", "--db", db]), "acme: ok (0 record(s))\n");
    refused(&["audit", "verify", "nobody", "--db", db], "expected a tenant");
    fine(&["tenant", "remove", "acme", "--db", db]);
    assert_eq!(fine(&["tenant", "list", "--db", db]), "");
}

#[test]
fn roles_are_granted_listed_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let db = &url(folder.path());
    fine(&["tenant", "create", "acme", "--db", db]);
    let grant = |verb: &'static str, rest: &[&'static str]| {
        let arguments = [&["role", verb, "acme"], rest, &["--db", db]].concat();
        arguments.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let done = |verb, rest: &[&'static str]| {
        let arguments = grant(verb, rest);
        assert_eq!(fine(&arguments.iter().map(String::as_str).collect::<Vec<_>>()), "");
    };
    let not_done = |verb, rest: &[&'static str], expected| {
        let arguments = grant(verb, rest);
        refused(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    };
    done("grant", &["admin", "--group-name", "Platform Admins"]);
    done("grant", &["admin", "--group-name", "platform admins"]);
    done("grant", &["reader", "--group-external-id", "00g1"]);
    done("grant", &["reader", "--group-id", "2819c223"]);
    let listed = fine(&["role", "list", "acme", "--db", db]);
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 3, "{listed}");
    for (line, expected) in lines.iter().zip([
        "admin\tdisplayName\tPlatform Admins\t2",
        "reader\texternalId\t00g1\t2",
        "reader\tid\t2819c223\t2",
    ]) {
        assert!(line.starts_with(expected) && line.ends_with('Z'), "{line}");
    }
    done("revoke", &["admin", "--group-name", "PLATFORM ADMINS"]);
    not_done(
        "revoke",
        &["admin", "--group-name", "Platform Admins"],
        "expected a grant, but the role \"admin\"",
    );
    not_done("revoke", &["reader", "--group-id", "00g1"], "expected a grant");
    not_done("grant", &["", "--group-id", "1"], "expected the name of a role");
    not_done("grant", &["reader"], "--group-name <NAME>|--group-external-id <ID>|--group-id <ID>");
    not_done("grant", &["reader", "--group-id", "1", "--group-name", "x"], "cannot be used with");
    refused(&["role", "list", "nobody", "--db", db], "expected a tenant");
    assert_eq!(fine(&["audit", "verify", "--db", db]), "acme: ok (4 record(s))\n");
}

#[test]
fn a_trail_that_was_altered_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let db = &url(folder.path());
    fine(&["tenant", "create", "acme", "--db", db]);
    fine(&["tenant", "create", "other", "--db", db]);
    // What a hand with access to the file can do.
    let work = async {
        use doorward_store::database::{Database, Sqlite, SqliteOptions};
        use doorward_store::sql::{Dialect, Statement};
        let database = Sqlite::open(&SqliteOptions::new(folder.path().join("store.db")))?;
        let update = "UPDATE tenant SET sequence = 2 WHERE id = 'acme'";
        database.administer(vec![Statement::new(Dialect::Sqlite, update)]).await?;
        Ok(())
    };
    run(work).unwrap();
    let (code, out, err) = doorward(&["audit", "verify", "--db", db]);
    assert_eq!((code, out.as_str()), (Some(1), "other: ok (0 record(s))\n"));
    assert_eq!(err, "acme: expected records up to 2, but the last one is 0\n");
}

#[test]
fn a_store_that_must_not_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let db = &url(folder.path());
    let config = |text: &str| {
        let path = folder.path().join("store.yaml");
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    refused(&["store", "--db", "mysql:x"], "expected sqlite:PATH");
    refused(
        &["store", "--db", db, "--listen", "0.0.0.0:0", "--danger-no-authentication", "acme"],
        "listen: expected a loopback address",
    );
    refused(&["store", "--db", db, "--listen", "0.0.0.0:0"], "base_url: expected");
    refused(&["store", "--db", db, "--admin", "0.0.0.0:0"], "admin: expected a loopback address");
    refused(
        &[
            "store",
            "--db",
            db,
            "--danger-no-authentication",
            "acme",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ],
        "expected a tenant",
    );
    for (text, expected) in [
        ("limits: { bodi: 1 }", "store.yaml: limits.bodi: unknown field"),
        ("base_url: scim.example.com", "store.yaml: base_url: expected an absolute URL"),
        ("schemas: [{}]", "store.yaml: schemas[0]"),
        ("a: 1\na: 2", "store.yaml: expected YAML"),
        (
            "gateways: [{ name: edge, keys: [{ id: k1, secret_file: nowhere.key }] }]",
            "store.yaml: gateways[0].keys[0].secret_file: expected a file to read",
        ),
    ] {
        refused(&["store", "--db", db, "--config", &config(text)], expected);
    }
    let text = format!("gateways: [{{ name: edge, keys: [{{ id: k1, secret: {} }}] }}]", "A".repeat(43));
    refused(
        &["store", "--db", db, "--danger-no-authentication", "acme", "--config", &config(&text)],
        "store.yaml: gateways: expected none, since there is no authentication",
    );
}

/// What a gateway forwards a request for `/scim/Schemas` with.
fn credential(secret: &[u8]) -> String {
    let grant = Grant {
        issuer: "edge",
        tenant: "acme",
        actor: "okta-admin",
        profile: Profile::Okta,
        base_url: "https://scim.example.com",
        request_id: "r-1",
        client: None,
        method: "GET",
        target: "/scim/Schemas",
    };
    let now = UnixTime::from_millis(doorward_store::http::now().div_euclid(1000));
    CredentialKey::new("k1".to_owned(), secret.to_vec()).unwrap().seal(now, &grant)
}

/// More than go into a response at once.
const LARGE: usize = 1_200;

/// Makes users and a group of them; how many members it has.
async fn members_of_a_large_group(store: SocketAddr, token: &str) -> Result<usize> {
    let post = async |path: &str, body: Value| {
        let request = Request::new("POST", format!("/scim{path}")).bearer(token).body(body.to_string());
        send(store, &request).await?.json()
    };
    let mut members = Vec::new();
    for start in [0, LARGE / 2] {
        let create = |number: usize| {
            let user = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": format!("u{number}") });
            json!({ "method": "POST", "path": "/Users", "bulkId": number.to_string(), "data": user })
        };
        let operations: Vec<Value> = (start..start.saturating_add(LARGE / 2)).map(create).collect();
        let schemas = ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"];
        let done = post("/Bulk", json!({ "schemas": schemas, "Operations": operations })).await?;
        let locations =
            done.get("Operations").and_then(Value::as_array).context("expected operations")?.iter();
        let id =
            |operation: &Value| operation.get("location")?.as_str()?.rsplit('/').next().map(str::to_owned);
        members.extend(locations.filter_map(id).map(|id| json!({ "value": id })));
    }
    let schemas = ["urn:ietf:params:scim:schemas:core:2.0:Group"];
    let group =
        post("/Groups", json!({ "schemas": schemas, "displayName": "all", "members": members })).await?;
    let path = format!("/scim/Groups/{}", group.get("id").and_then(Value::as_str).context("expected an id")?);
    let read = send(store, &Request::get(&path).bearer(token)).await?;
    ensure!(read.header("transfer-encoding").as_deref() == Some("chunked"), "expected parts");
    let group = read.json()?;
    let values: BTreeSet<&str> = group
        .get("members")
        .and_then(Value::as_array)
        .context("expected members")?
        .iter()
        .filter_map(|m| m.get("value")?.as_str())
        .collect();
    Ok(values.len())
}

#[test]
fn a_store_serves_until_it_is_told_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let db = &url(folder.path());
    fine(&["tenant", "create", "acme", "--db", db]);
    let token = fine(&["token", "create", "acme", "ci", "--db", db]);
    let token = token.trim();
    let config = folder.path().join("store.yaml");
    let gateways = "[{ name: edge, keys: [{ id: k1, secret_file: gateway.key }] }]";
    fs::write(&config, format!("base_path: /scim\nlimits: {{ drain: 5s }}\ngateways: {gateways}\n")).unwrap();
    fs::write(folder.path().join("gateway.key"), format!("{}\n", "A".repeat(43))).unwrap();
    let (listen, admin) = (port::loopback(port::free().unwrap()), port::loopback(port::free().unwrap()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    command.args(["store", "--db", db, "--listen", &listen.to_string(), "--admin", &admin.to_string()]);
    command.args(["--config", config.to_str().unwrap()]);
    let process = Process::spawn("store", &mut command, folder.path()).unwrap();
    let served = run(async {
        let ready = async || Ok(send(listen, &Request::get("/readyz")).await.is_ok_and(|r| r.status == 200));
        eventually("the store is ready", PATIENCE, ready).await?;
        let get = || Request::get("/scim/Schemas");
        assert_eq!(send(listen, &get()).await?.status, 401);
        let [known, unknown] = [0, 1].map(|octet| credential(&[octet; 32]));
        for (bearer, expected) in [(token, 200), (&known, 200), (&unknown, 401)] {
            assert_eq!(send(listen, &get().bearer(bearer)).await?.status, expected);
        }
        assert!(send(admin, &Request::get("/tenants")).await?.text().contains("acme"));
        assert_eq!(members_of_a_large_group(listen, token).await?, LARGE);
        // Another process can tell, since the database is one.
        eventually("the use is written", PATIENCE, async || {
            Ok(!fine(&["token", "list", "acme", "--db", db]).trim().ends_with('-'))
        })
        .await?;
        let kill = Command::new("kill").args(["-TERM", &process.id().to_string()]).status()?;
        assert!(kill.success());
        eventually("the store ends", PATIENCE, async || Ok(process.exited().is_some())).await
    });
    served.unwrap_or_else(|error| panic!("{error:#}\n{}", process.report(20)));
    assert!(process.exited().unwrap().success(), "{}", process.report(20));
    let log = process.log();
    for event in ["started", "request", "stopping", "stopped"] {
        assert!(log.contains(&format!("\"event\":\"{event}\"")), "{event}\n{log}");
    }
    assert!(!log.contains(token) && !log.contains("eyJ"), "{log}");
}
