//! The folders under `examples/`: what their READMEs show is what happens, and what they say of themselves is true.

use crate::support::{Edge, code, eventually, filter, output, python, with};
use anyhow::{Context, Result, ensure};
use doorward::jose::base64url;
use doorward_testbed::readme::{Changing, Shown, between_marks, mark, replace, shown};
use doorward_testbed::{
    Algorithm, Envoy, Issuer, Platform, Process, Request, Response, Seen, Upstream, WasmPlugin, folder, port,
    run, send, unix_now,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The examples whose commands need a shell, and perhaps a proxy. What is not among them has only `dist/doorward`, and is run
/// by `cli/tests/documentation.rs`; so is the last one, which needs no proxy.
const FOLLOWED: [&str; 7] = [
    "cloudflare-worker",
    "deno-edge",
    "entra-multi-tenant",
    "identity-headers",
    "shadow-rollout",
    GATEWAY,
    "scim-standalone",
];

/// What its commands print has ids and times, which are others each time.
const GATEWAY: &str = "scim-gateway";

#[test]
fn every_command_of_every_readme_is_run() {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder::root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let needs_shell =
            |shown: &Shown| !shown.command.starts_with("dist/doorward ") && !is_setup(&shown.command);
        let readme = fs::read_to_string(path.join("README.md")).unwrap();
        if shown(&readme).iter().any(needs_shell) {
            found.insert(name);
        }
    }
    assert_eq!(found, FOLLOWED.map(str::to_owned).into());
}

#[test]
fn the_readme_of_entra_multi_tenant_can_be_followed() {
    run(follow("entra-multi-tenant")).unwrap();
}

#[test]
fn the_readme_of_identity_headers_can_be_followed() {
    run(follow("identity-headers")).unwrap();
}

#[test]
fn the_readme_of_shadow_rollout_can_be_followed() {
    run(follow("shadow-rollout")).unwrap();
}

#[test]
fn the_readme_of_scim_gateway_can_be_followed() {
    run(follow(GATEWAY)).unwrap();
}

#[test]
fn the_readme_of_cloudflare_worker_can_be_followed() {
    run(follow("cloudflare-worker")).unwrap();
}

#[test]
fn the_readme_of_deno_edge_can_be_followed() {
    run(follow("deno-edge")).unwrap();
}

/// What `cargo xtask test` has done before.
fn is_setup(command: &str) -> bool {
    command == "cargo xtask build" || command.starts_with("npm ci ")
}

/// Runs every command of an example's README in one shell in the root folder, and compares what it prints.
///
/// As it stands there, but for what the tests beside this one use too: ports, `/tmp`, and where cargo builds.
async fn follow(example: &str) -> Result<()> {
    let scratch = folder::scratch("readme")?;
    let shown_folder = |path: PathBuf| format!("{}/", path.display());
    let read = |path: &str| fs::read_to_string(folder::root().join(path)).with_context(|| path.to_owned());
    let place = |name: &str| format!("examples/{example}/{name}");
    let configured: Vec<_> = ["envoy.yaml", "store.yaml"]
        .into_iter()
        .filter(|name| folder::root().join(place(name)).exists())
        .collect();
    let mut replaced = vec![
        ("/tmp/doorward-".to_owned(), format!("{}/doorward-", scratch.display())),
        ("target/debug/".to_owned(), shown_folder(folder::target().join("debug"))),
        ("dist/".to_owned(), shown_folder(folder::dist())),
    ];
    for port in ["18080", "18081", "18082", "18083", "18901"] {
        replaced.push((port.to_owned(), port::free()?.to_string()));
    }
    for name in &configured {
        replaced.push((place(name), scratch.join(name).display().to_string()));
    }
    let here = |text: &str| replace(text, &replaced);
    for name in configured {
        fs::write(scratch.join(name), here(&read(&place(name))?))?;
    }
    let all: Vec<_> = shown(&here(&read(&format!("examples/{example}/README.md"))?))
        .into_iter()
        .filter(|shown| !is_setup(&shown.command))
        .collect();
    ensure!(!all.is_empty(), "expected commands in the README of {example}");
    ensure!(all.iter().any(|shown| !shown.printed.is_empty()), "expected what they print");

    let script = scratch.join("commands.sh");
    let changes = example == GATEWAY;
    fs::write(&script, as_script(&scratch, &all, changes)?)?;
    let mut bash = Command::new("bash");
    bash.arg(&script).current_dir(folder::root());
    let path = std::env::var("PATH").unwrap_or_default();
    bash.env("PATH", format!("{}:{path}", programs(&scratch)?.display()));
    // wrangler would ask its maker.
    bash.envs([("WRANGLER_SEND_METRICS", "false"), ("CLOUDFLARE_CF_FETCH_ENABLED", "false"), ("CI", "1")]);
    bash.env("DENO_NO_UPDATE_CHECK", "1");
    // wrangler tidies up unless it is killed, as here.
    let temporary = scratch.join("temporary");
    fs::create_dir(&temporary)?;
    bash.env("TMPDIR", &temporary);
    // What it starts in the background ends with it.
    let process = Process::spawn_group("commands", &mut bash, &scratch)?;
    doorward_testbed::eventually("the last command has ended", Duration::from_secs(600), async || {
        let log = process.log();
        Ok(log.contains(&mark(all.len())) || process.exited().is_some())
    })
    .await?;
    let log = process.log();
    let (mut steady_shown, mut steady_found) = (Changing::default(), Changing::default());
    for (number, shown) in all.iter().enumerate() {
        let found = between_marks(&log, number);
        let found = found.with_context(|| format!("expected to come to {}\n{log}", shown.command))?;
        let is_same = if changes {
            steady_found.steady(found.trim_end()) == steady_shown.steady(&shown.printed)
        } else {
            found.trim_end() == shown.printed
        };
        ensure!(
            is_same,
            "examples/{example}/README.md: {}\nshould print\n{}\nbut printed\n{found}",
            shown.command,
            shown.printed
        );
    }
    drop(process);
    fs::remove_dir_all(&temporary).with_context(|| format!("expected to remove {}", temporary.display()))
}

/// The commands as one script. A command that only looks at what becomes visible a moment later (metrics, files that Envoy writes)
/// looks again until it sees what is expected, half a minute at most; as many lines, if what it prints changes.
fn as_script(scratch: &Path, all: &[Shown], changes: bool) -> Result<String> {
    let mut script = String::new();
    for (number, Shown { command, printed }) in all.iter().enumerate() {
        script += &format!("printf '%s' '{}'\n", mark(number));
        let only_looks = ["curl", "grep", "LC_ALL=C sort"].iter().any(|start| command.starts_with(start))
            && ["/stats", "doorward-access-", "doorward-log-"].iter().any(|what| command.contains(what));
        if only_looks {
            let expected = scratch.join(format!("expected-{number}"));
            fs::write(&expected, printed)?;
            script += &format!("look() {{\n{command}\n}}\n");
            let expected = expected.display();
            let is_there = if changes {
                format!("$(printf %s \"$found\" | grep -c '') = $(grep -c '' {expected})")
            } else {
                format!("\"$found\" = \"$(cat {expected})\"")
            };
            script +=
                &format!("for _ in $(seq 300); do found=$(look); [ {is_there} ] && break; sleep 0.1; done\n");
            script += "printf '%s\\n' \"$found\"\n";
        } else {
            script += &format!("{command}\n");
        }
    }
    script += &format!("printf '%s' '{}'\nwait\n", mark(all.len()));
    Ok(script)
}

/// A folder with the test bed's Envoy and Deno under their usual names; other Envoys run on this machine at the same time.
fn programs(scratch: &Path) -> Result<PathBuf> {
    let folder = scratch.join("bin");
    fs::create_dir(&folder)?;
    let envoy = folder.join("envoy");
    let program = Envoy::program()?;
    fs::write(&envoy, format!("#!/bin/sh\nexec '{}' --disable-hot-restart \"$@\"\n", program.display()))?;
    fs::set_permissions(&envoy, fs::Permissions::from_mode(0o755))?;
    std::os::unix::fs::symlink(Platform::Deno.program()?, folder.join("deno"))?;
    Ok(folder)
}

#[test]
fn envoy_is_given_the_documents_that_stand_beside_its_configuration() {
    let cases: [(&str, &[&str]); 4] = [
        ("entra-multi-tenant", &["doorward.yaml"]),
        ("identity-headers", &["doorward.yaml"]),
        ("shadow-rollout", &["current.yaml", "next.yaml"]),
        (GATEWAY, &["doorward.yaml"]),
    ];
    for (example, documents) in cases {
        let configured: Vec<Value> = plugins(&mut yaml(example, "envoy.yaml").unwrap())
            .into_iter()
            .map(|plugin| document_of(plugin).unwrap())
            .collect();
        let documents: Vec<Value> = documents.iter().map(|name| yaml(example, name).unwrap()).collect();
        assert_eq!(configured, documents, "{example}");
    }
}

fn yaml(example: &str, name: &str) -> Result<Value> {
    let path = folder::root().join("examples").join(example).join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("expected {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("expected YAML in {}", path.display()))
}

/// The `config` of each wasm filter of an Envoy configuration, in order.
fn plugins(bootstrap: &mut Value) -> Vec<&mut Value> {
    let manager = &mut bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0];
    let filters = manager["typed_config"]["http_filters"].as_array_mut().unwrap();
    filters.iter_mut().filter_map(|filter| filter["typed_config"].get_mut("config")).collect()
}

fn document_of(plugin: &Value) -> Result<Value> {
    let text = plugin["configuration"]["value"].as_str().context("expected the document as text")?;
    serde_json::from_str(text).context("expected the document as JSON")
}

/// Starts an example's Envoy with nothing changed but where things are: ports, endpoints, the module.
async fn start_envoy(mut bootstrap: Value, clusters: &BTreeMap<&str, SocketAddr>) -> Result<Envoy> {
    for plugin in plugins(&mut bootstrap) {
        plugin["vm_config"]["code"]["local"]["filename"] = filter().display().to_string().into();
    }
    bootstrap["admin"]["address"] = address(port::loopback(0));
    let resources = &mut bootstrap["static_resources"];
    resources["listeners"][0]["address"] = address(port::loopback(0));
    for cluster in resources["clusters"].as_array_mut().context("expected clusters")? {
        let name = cluster["name"].as_str().context("expected a name")?;
        let found = clusters.get(name).with_context(|| format!("expected an address for cluster {name}"))?;
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] =
            address(*found);
        cluster["type"] = "STATIC".into();
    }
    Envoy::start_bootstrap(&bootstrap, 2).await
}

fn address(addr: SocketAddr) -> Value {
    json!({ "socket_address": { "address": addr.ip().to_string(), "port_value": addr.port() } })
}

/// The three services of `examples/identity-headers`, and their Envoy with the test bed's keys.
struct Services {
    issuer: Issuer,
    envoy: Envoy,
    apps: BTreeMap<&'static str, SocketAddr>,
    processes: Vec<Process>,
}

impl Services {
    async fn start() -> Result<Self> {
        let example = folder::root().join("examples/identity-headers");
        let mut python = Command::new("python3");
        python.arg(example.join("python/app.py"));
        let mut node = Command::new("node");
        node.arg(example.join("node/app.mjs"));
        let commands = [("python", python), ("node", node), ("rust", rust_app()?)];
        let mut apps = BTreeMap::new();
        let mut processes = Vec::new();
        for (name, mut command) in commands {
            let port = port::free()?;
            let process = Process::spawn(name, command.arg(port.to_string()), &folder::scratch("services")?)?;
            let addr = port::loopback(port);
            eventually(&format!("{name} listens"), async || {
                ensure!(process.exited().is_none(), "{}", process.report(20));
                Ok(send(addr, &Request::get("/healthz"))
                    .await
                    .is_ok_and(|response| response.text() == "ok\n"))
            })
            .await?;
            apps.insert(name, addr);
            processes.push(process);
        }
        let issuer = Issuer::start().await?;
        let mut bootstrap = yaml("identity-headers", "envoy.yaml")?;
        for plugin in plugins(&mut bootstrap) {
            let mut document = document_of(plugin)?;
            document["providers"]["corp"]["jwks"]["inline"] = issuer.jwks()?;
            plugin["configuration"]["value"] = document.to_string().into();
        }
        let envoy = start_envoy(bootstrap, &apps).await?;
        Ok(Self { issuer, envoy, apps, processes })
    }

    /// A token with these claims, `null` ones too.
    fn token(&self, claims: &Value) -> Result<String> {
        let mut all = self.issuer.claims(&json!({ "iss": "https://login.example.com/" }));
        all.as_object_mut()
            .context("expected claims")?
            .extend(claims.as_object().cloned().unwrap_or_default());
        self.issuer.sign(Algorithm::Rs256, "JWT", &all)
    }

    /// What every service answers to one request through the proxy.
    async fn answers(&self, path: &str, change: impl Fn(Request) -> Request) -> Result<Vec<Response>> {
        let mut answers = Vec::new();
        for name in self.apps.keys() {
            let request = change(Request::get(format!("/{name}{path}")));
            answers.push(send(self.envoy.addr("ingress")?, &request).await?);
        }
        Ok(answers)
    }

    /// What every service answers to one request that takes no proxy.
    async fn direct(&self, request: &Request) -> Result<Vec<Response>> {
        let mut answers = Vec::new();
        for addr in self.apps.values() {
            answers.push(send(*addr, request).await?);
        }
        Ok(answers)
    }

    fn logs(&self) -> String {
        self.processes.iter().map(|process| process.report(10) + "\n").collect()
    }
}

/// Built as the README says.
fn rust_app() -> Result<Command> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--package", "identity-headers-example"]);
    let built = cargo.current_dir(folder::root()).status().context("expected to run cargo")?;
    ensure!(built.success(), "expected the Rust service to be built");
    Ok(Command::new(folder::target().join("debug/identity-headers-example")))
}

/// What a service should understand of a token with these claims: nothing but what was signed.
fn understood(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    let payload = String::from_utf8(base64url::decode(payload.as_bytes()).unwrap()).unwrap();
    let claims: Value = serde_json::from_str(&payload).unwrap();
    let text = |claim: &Value| match claim.as_str() {
        Some(text) => Some(text.to_owned()).filter(|text| !text.is_empty()),
        None => (claim.is_number() || claim.is_boolean()).then(|| claim.to_string()),
    };
    let list = |name: &str| match claims[name].as_array() {
        Some(items) => items.iter().map(|item| text(item).unwrap()).collect(),
        None => text(&claims[name]).into_iter().collect::<Vec<_>>(),
    };
    json!({
        "anonymous": false,
        "user_id": text(&claims["sub"]),
        "name": text(&claims["name"]),
        "groups": list("groups"),
        "roles": list("roles"),
        "permissions": list("permissions"),
        "address": claims["address"],
        "motto": text(&claims["motto"]),
        "employee_number": text(&claims["employee_number"]),
        "issuer": claims["iss"],
        "payload": payload,
    })
}

/// What a client may try: our headers in every spelling, and values that a careless parser takes for a new line or a new field.
fn forged(request: Request) -> Request {
    [
        ("x-user-id", b"root".as_slice()),
        ("X-User-Id", b"root"),
        ("X_User_Id", b"root"),
        ("x.user.id", b"root"),
        ("x-user-groups", b"admins"),
        ("x_user-groups", b"admins"),
        ("x-user-roles", b"admin"),
        ("x-user-permissions", b"everything"),
        ("x-user-name", b"root"),
        ("x-user-address", b"{\"city\":\"forged\"}"),
        ("x-user-motto", b"cm9vdA"),
        ("x-employee-number", b"0"),
        ("x-jwt-payload", b"eyJpc3MiOiJmb3JnZWQifQ"),
        ("x-note", b"a\x85x-user-id: root\x85"),
        ("x-note", b"\xe2\x80\xa8x-user-id: root"),
        ("x-note", b"\xff\xfe"),
        ("x-note", b"a\tb, x-user-groups: admins"),
    ]
    .into_iter()
    .fold(request, |request, (name, value)| request.header(name, value))
}

#[test]
fn three_services_understand_exactly_what_was_signed() {
    run(async {
        let services = Services::start().await?;
        let fifty: Vec<String> = (0..50).map(|number| format!("team {number}, 100% of it/ü")).collect();
        let every_ascii: String = (0_u8..128).map(char::from).collect();
        let hard = [
            "a,b", ", ", ",", " ", "  both ends  ", "100%", "%", "%2C", "%2c,", "%25", "a+b", "a%20b", "=?utf-8?q?root?=",
            "a\r\nx-user-id: root", "a\nb", "\u{0}", "\u{7f}", "\u{85}", "\u{2028}", "\u{feff}bom", "\"quoted\"",
            "back\\slash", "a;b=c", "(comment)", "李小龍", "👩‍👩‍👧", "e\u{301}", "مرحبا", "\u{10ffff}", "null", "[]",
        ];
        let cases = [
            json!({}),
            json!({ "sub": "auth0|user@example.com", "name": "Zoë Müller", "groups": ["engineering", "on call"] }),
            json!({ "sub": " ,%\u{0}ü", "name": every_ascii, "motto": every_ascii, "groups": [every_ascii] }),
            json!({ "groups": hard, "roles": hard, "permissions": hard }),
            // One group named `a,b` is not two, and a string is a list of one.
            json!({ "groups": "a,b", "roles": "a b", "permissions": "a,b" }),
            json!({ "groups": ["a,b"], "roles": ["a b"], "permissions": ["a,b"] }),
            json!({ "groups": ["a", "b"], "roles": ["a", "b"], "permissions": ["a", "b"] }),
            json!({ "groups": [], "roles": [], "permissions": [], "name": "", "motto": "", "address": null }),
            json!({ "groups": null, "roles": null, "permissions": null, "name": null, "motto": null }),
            json!({ "groups": fifty, "roles": fifty, "permissions": fifty }),
            json!({ "groups": [1, true, "1", -2.5] }),
            json!({ "name": "a".repeat(8192) }),
            json!({ "employee_number": 0 }),
            json!({ "employee_number": -7 }),
            json!({ "employee_number": 9_007_199_254_740_993_u64 }),
            json!({ "employee_number": u64::MAX }),
            json!({ "employee_number": i64::MIN }),
            json!({ "employee_number": "0042" , "name": "00" }),
            json!({ "motto": "\u{feff}\u{0}+/=\r\n¡Sí!" }),
            json!({ "address": { "city": "Zürich", "lines": ["a,b", "\u{0}\u{7f}%2C"], "__proto__": { "x": [null, false, 1.5, -3] } } }),
            json!({ "address": ["a", ["b", {}], "👩‍👩‍👧"] }),
            json!({ "address": "a,b" }),
            json!({ "address": 9_007_199_254_740_991_u64 }),
            json!({ "address": false }),
        ];
        for claims in cases {
            let token = services.token(&claims)?;
            let mut expected = understood(&token);
            if claims["employee_number"] == "0042" {
                expected["employee_number"] = "42".into();
            }
            for path in ["/orders", "/public"] {
                for answer in services.answers(path, |request| forged(request).bearer(&token)).await? {
                    assert_eq!(answer.status, 200, "{claims}\n{}\n{}", answer.text(), services.logs());
                    assert_eq!(answer.json()?, expected, "{claims}");
                }
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn three_services_take_nobody_for_somebody() {
    run(async {
        let services = Services::start().await?;
        let nobody = json!({
            "anonymous": true, "user_id": null, "name": null, "groups": [], "roles": [], "permissions": [], "address": null,
            "motto": null, "employee_number": null, "issuer": null, "payload": null,
        });
        for answer in services.answers("/public", forged).await? {
            assert_eq!((answer.status, answer.json()?), (200, nobody.clone()));
        }
        // A bad token is not nobody's, and a token without a subject is nobody's either.
        let expired = services.token(&json!({ "iat": 1000, "nbf": 1000, "exp": 2000 }))?;
        let nameless = services.token(&json!({ "sub": null }))?;
        let denied = [
            ("/public", Some(&expired), 401, "token_expired"),
            ("/orders", None, 401, "token_missing"),
            ("/orders", Some(&nameless), 403, "identity_claim_missing"),
        ];
        for (path, token, status, expected) in denied {
            let request = |request| match token {
                Some(token) => forged(request).bearer(token),
                None => forged(request),
            };
            for answer in services.answers(path, request).await? {
                assert_eq!((answer.status, code(&answer).as_str()), (status, expected), "{path}");
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn three_services_refuse_what_they_cannot_read() {
    run(async {
        let services = Services::start().await?;
        // Claims of another type than the service was written for.
        for claims in [
            json!({ "name": ["a", "b"] }),
            json!({ "sub": ["alice", "root"] }),
            json!({ "employee_number": 1.5 }),
            json!({ "employee_number": "x" }),
            json!({ "employee_number": [1, 2] }),
            json!({ "motto": ["a", "b"] }),
        ] {
            let token = services.token(&claims)?;
            for answer in services.answers("/orders", |request| request.bearer(&token)).await? {
                assert_eq!(answer.status, 500, "{claims}: {}", answer.text());
            }
        }
        // What Doorward never writes.
        let fields: [(&str, &[&str]); 14] = [
            ("x-user-id", &["a", "b"]),
            ("x-user-id", &["a,b"]),
            ("x-user-id", &[""]),
            ("x-user-id", &["%"]),
            ("x-user-id", &["%2"]),
            ("x-user-id", &["%2c"]),
            ("x-user-id", &["%zz"]),
            ("x-user-id", &["%FF"]),
            ("x-user-id", &["%ED%A0%80"]),
            ("x-user-groups", &["a,,b"]),
            ("x-user-groups", &["a,"]),
            ("x-user-address", &["{"]),
            ("x-user-motto", &["YQ=="]),
            ("x-user-motto", &["_w"]),
        ];
        for (name, values) in fields {
            let request = values.iter().fold(Request::get("/"), |request, value| request.header(name, value));
            for answer in services.direct(&request).await? {
                assert_eq!(answer.status, 500, "{name}: {values:?}: {}", answer.text());
            }
        }
        // Repeated fields, some of them joined on the way.
        let joined = Request::get("/")
            .header("x-user-permissions", "a%2Cb, c d ,%20e")
            .header("X-User-Permissions", "f%25");
        for answer in services.direct(&joined).await? {
            assert_eq!(answer.json()?["permissions"], json!(["a,b", "c d", " e", "f%"]));
        }
        Ok(())
    })
    .unwrap();
}

/// Where Entra's keys are, in the test bed: by TLS, for this host and these paths only.
struct Entra {
    issuer: Issuer,
    front: Envoy,
    authority: PathBuf,
}

const ENTRA: &str = "login.microsoftonline.com";

impl Entra {
    /// With one of the certificates of `python/certificates.py`.
    async fn start(certificate: &str) -> Result<Self> {
        let issuer = Issuer::start().await?;
        let certificates = folder::scratch("certificates")?;
        output(python("certificates.py").arg(&certificates).arg(ENTRA))?;
        let file = |name: &str| json!({ "filename": certificates.join(name) });
        let typed = |message: &str, mut config: Value| {
            config["@type"] = format!("type.googleapis.com/{message}").into();
            config
        };
        let context = json!({ "tls_certificates": [{
            "certificate_chain": file(&format!("{certificate}.crt")),
            "private_key": file(&format!("{certificate}.key")),
        }] });
        let context = typed(
            "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            json!({ "common_tls_context": context }),
        );
        let keys = |path: &str| json!({ "match": { "path": path }, "route": { "cluster": "issuer", "prefix_rewrite": "/jwks" } });
        let routes = [keys("/common/discovery/v2.0/keys"), keys("/common/discovery/keys")];
        let router = typed("envoy.extensions.filters.http.router.v3.Router", json!({}));
        let manager = typed(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            json!({
                "stat_prefix": "entra",
                "http_filters": [{ "name": "envoy.filters.http.router", "typed_config": router }],
                "route_config": { "virtual_hosts": [{ "name": "entra", "domains": [ENTRA], "routes": routes }] },
            }),
        );
        let endpoint = json!({ "endpoint": { "address": address(issuer.addr()) } });
        let bootstrap = json!({
            "admin": { "address": address(port::loopback(0)) },
            "static_resources": {
                "listeners": [{ "name": "entra", "address": address(port::loopback(0)), "filter_chains": [{
                    "transport_socket": { "name": "envoy.transport_sockets.tls", "typed_config": context },
                    "filters": [{
                        "name": "envoy.filters.network.http_connection_manager", "typed_config": manager,
                    }],
                }] }],
                "clusters": [{
                    "name": "issuer",
                    "load_assignment": { "cluster_name": "issuer", "endpoints": [{ "lb_endpoints": [endpoint] }] },
                }],
            },
        });
        let front = Envoy::start_bootstrap(&bootstrap, 1).await?;
        Ok(Self { issuer, front, authority: certificates.join("authority.crt") })
    }

    /// The example's Envoy. Its document as it stands; the authority of this test in place of the world's, and the cluster leads to
    /// this machine.
    async fn edge(&self, api: SocketAddr) -> Result<Envoy> {
        let authority = self.authority.display().to_string();
        let bootstrap = yaml("entra-multi-tenant", "envoy.yaml")?.to_string();
        let bootstrap = bootstrap.replace("/etc/ssl/certs/ca-certificates.crt", &authority);
        let clusters = BTreeMap::from([("api", api), ("entra", self.front.addr("entra")?)]);
        start_envoy(serde_json::from_str(&bootstrap)?, &clusters).await
    }

    /// A token with the claims of a file of the example, valid now.
    fn token(&self, file: &str, changes: Value) -> Result<String> {
        let path = folder::root().join("examples/entra-multi-tenant/tokens").join(format!("{file}.json"));
        let claims: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
        let now = unix_now();
        let dates = json!({ "iat": now, "nbf": now, "exp": now + 600 });
        self.issuer.sign(Algorithm::Rs256, "JWT", &with(with(claims, dates), changes))
    }
}

#[test]
fn entra_multi_tenant_lets_through_whom_it_says() {
    run(async {
        let entra = Entra::start("provider").await?;
        let upstream = Upstream::start().await?;
        let envoy = entra.edge(upstream.addr()).await?;
        let addr = envoy.addr("ingress")?;
        let none = || json!({});
        let get = Request::get;
        let import = || Request::new("POST", "/import");
        let denied = [
            (get("/orders"), "other-tenant", none(), 401, "issuer_not_allowed"),
            (get("/orders"), "mismatch", none(), 401, "issuer_mismatch"),
            (get("/orders"), "user", json!({ "tid": null }), 401, "issuer_mismatch"),
            (
                get("/orders"),
                "user",
                json!({ "iss": format!("https://{ENTRA}/common/v2.0") }),
                401,
                "issuer_not_allowed",
            ),
            // The other format's issuer does not take this one's tokens: no `azp`, another audience.
            (
                get("/orders"),
                "user-v1",
                json!({ "iss": format!("https://{ENTRA}/11111111-aaaa-4aaa-8aaa-111111111111/v2.0") }),
                401,
                "audience_not_allowed",
            ),
            (
                get("/orders"),
                "user",
                json!({ "iss": "https://sts.windows.net/11111111-aaaa-4aaa-8aaa-111111111111/" }),
                401,
                "claim_missing",
            ),
            (get("/orders"), "user", json!({ "oid": null }), 401, "claim_missing"),
            (get("/orders"), "id-token", none(), 401, "claim_missing"),
            (get("/orders"), "user", json!({ "scp": "Calendar.Read" }), 403, "scope_missing"),
            (get("/orders"), "app", json!({ "roles": null }), 403, "scope_missing"),
            // A user with the role of an application is none.
            (
                get("/orders"),
                "user",
                json!({ "scp": "Calendar.Read", "roles": ["Orders.Read.All"] }),
                403,
                "scope_missing",
            ),
            (get("/orders"), "user-v1", json!({ "aud": "api://another" }), 401, "audience_not_allowed"),
            (get("/admin/users"), "guest", none(), 403, "claim_not_allowed"),
            (get("/admin/users"), "user", json!({ "roles": null }), 403, "claim_not_allowed"),
            (get("/admin/users"), "app", none(), 403, "scope_missing"),
            (import(), "user", none(), 403, "claim_not_allowed"),
            (import(), "user-v1", none(), 403, "claim_not_allowed"),
            (get("/elsewhere"), "user", none(), 403, "no_matching_rule"),
        ];
        for (request, file, changes, status, expected) in denied {
            let shown = format!("{request:?} {file} {changes}");
            let request = request.bearer(&entra.token(file, changes)?);
            let response = send(addr, &request).await?;
            assert_eq!((response.status, code(&response).as_str()), (status, expected), "{shown}");
        }
        assert_eq!(upstream.count(), 0);

        let (a, b) = ("11111111-aaaa-4aaa-8aaa-111111111111", "22222222-bbbb-4bbb-8bbb-222222222222");
        let (web, daemon) = ("44444444-dddd-4ddd-8ddd-444444444444", "55555555-eeee-4eee-8eee-555555555555");
        let (ana, ben, job) = (
            "66666666-0000-4000-8000-000000000001",
            "66666666-0000-4000-8000-000000000002",
            "66666666-0000-4000-8000-0000000000d1",
        );
        let groups = "77777777-0000-4000-8000-000000000001,77777777-0000-4000-8000-000000000002";
        let app_roles = "Orders.Read.All,Orders.Import.All";
        let allowed: [(Request, &str, [&str; 8]); 8] = [
            (get("/orders"), "user", [a, ana, "", web, "", "Orders.Admin", groups, ""]),
            (get("/orders"), "user-v1", [a, ana, "", "", web, "Orders.Admin", groups, ""]),
            (get("/orders"), "guest", [a, ben, "", web, "", "Orders.Admin", groups, ""]),
            (get("/orders"), "many-groups", [a, ana, "", web, "", "Orders.Admin", "", "src1"]),
            (get("/orders"), "app", [b, job, "app", daemon, "", app_roles, "", ""]),
            (get("/admin/users"), "user-v1", [a, ana, "", "", web, "Orders.Admin", groups, ""]),
            (import(), "app", [b, job, "app", daemon, "", app_roles, "", ""]),
            (import(), "app-v1", [b, job, "app", "", daemon, app_roles, "", ""]),
        ];
        let names = [
            "x-tenant-id",
            "x-object-id",
            "x-token-for",
            "x-client-id",
            "x-client-id-v1",
            "x-app-roles",
            "x-groups",
            "x-groups-elsewhere",
        ];
        for (request, file, expected) in allowed {
            let forged = names.iter().fold(request, |request, name| request.header(name, "forged"));
            let response = send(addr, &forged.bearer(&entra.token(file, json!({}))?)).await?;
            assert_eq!(response.status, 200, "{file}: {}\n{}", response.text(), envoy.log());
            let seen = Seen::from_json(&response.body)?;
            let found = names.map(|name| seen.text(name).unwrap_or_default());
            assert_eq!(found, expected, "{file}");
        }
        Ok(())
    })
    .unwrap();
}

/// Whoever answers in Entra's place has not its certificate.
#[test]
fn entra_multi_tenant_takes_keys_from_entra_only() {
    run(async {
        let upstream = Upstream::start().await?;
        for (certificate, fault) in [("other", "fail_verify_san"), ("stranger", "fail_verify_error")] {
            let entra = Entra::start(certificate).await?;
            let envoy = entra.edge(upstream.addr()).await?;
            let request = Request::get("/orders").bearer(&entra.token("user", json!({}))?);
            let response = send(envoy.addr("ingress")?, &request).await?;
            assert_eq!(
                (response.status, code(&response).as_str()),
                (503, "keys_unavailable"),
                "{certificate}"
            );
            assert!(
                envoy.stats().await?.contains_key(&format!("cluster.entra.ssl.{fault}")),
                "{certificate}"
            );
            assert_eq!((upstream.count(), entra.issuer.jwks_fetches()), (0, 0));
        }
        Ok(())
    })
    .unwrap();
}

/// The documents of `examples/shadow-rollout` with the test bed's keys: the one in force, and behind it the one to be.
async fn start_shadow(issuer: &Issuer) -> Result<Edge> {
    let document = |file: &str, provider: &str| {
        let mut document = yaml("shadow-rollout", file)?;
        document["providers"][provider]["jwks"]["inline"] = issuer.jwks()?;
        Ok::<_, anyhow::Error>(document)
    };
    let next = WasmPlugin::new(filter(), &document("next.yaml", "corp_next")?);
    Edge::start_with(
        &document("current.yaml", "corp")?,
        |config| config,
        |listener| listener.wasm(&next.vm_id("next")),
    )
    .await
}

#[test]
fn a_policy_that_only_reports_changes_nothing_for_the_service() {
    run(async {
        let issuer = Issuer::start().await?;
        let edge = start_shadow(&issuer).await?;
        let token = |changes: Value| {
            issuer
                .mint(&with(json!({ "iss": "https://login.example.com/", "scope": "orders:read" }), changes))
        };
        // In force: a token, and no forged header.
        let post = || Request::new("POST", "/orders").header("x-user-id", "root");
        assert_eq!(edge.denied(&post()).await?, (401, "token_missing".to_owned()));
        let expired = token(json!({ "iat": 1000, "nbf": 1000, "exp": 2000 }))?;
        assert_eq!(edge.denied(&post().bearer(&expired)).await?, (401, "token_expired".to_owned()));
        // Reported: nothing but the token that stays in the request.
        for (changes, reported) in [(json!({}), true), (json!({ "scope": "orders:write" }), false)] {
            let seen = edge.forwarded(&post().bearer(&token(changes)?)).await?;
            assert_eq!(seen.text("x-user-id").as_deref(), Some("alice"));
            assert_eq!(seen.text("authorization").is_some(), reported);
        }
        Ok(())
    })
    .unwrap();
}

/// Why the example has two filters.
#[test]
fn a_rule_that_only_reports_opens_what_the_rules_behind_it_protect() {
    run(async {
        let issuer = Issuer::start().await?;
        let mut document = yaml("shadow-rollout", "current.yaml")?;
        document["providers"]["corp"]["jwks"]["inline"] = issuer.jwks()?;
        let mut rule = yaml("shadow-rollout", "next.yaml")?["rules"][0].clone();
        rule["require"]["provider"] = "corp".into();
        document["rules"].as_array_mut().context("expected rules")?.insert(0, rule);
        let edge = Edge::start(&document).await?;
        assert_eq!(edge.denied(&Request::get("/orders")).await?, (401, "token_missing".to_owned()));
        edge.forwarded(&Request::new("POST", "/orders")).await?;
        Ok(())
    })
    .unwrap();
}

const SCIM: &str = "scim.example.com";

/// The Envoy of `examples/scim-standalone` in front of its store, as both files stand but for where things are.
#[test]
fn scim_standalone_is_reached_by_tls_and_nothing_else_of_the_store_is() {
    run(async {
        let scratch = folder::scratch("scim")?;
        let doorward = |arguments: &[&str]| {
            let mut command = Command::new(folder::dist().join("doorward"));
            command.args(arguments).args(["--db", &format!("sqlite:{}", scratch.join("store.db").display())]);
            command
        };
        let printed = |mut command: Command| -> Result<String> {
            let output = command.output().context("expected a program")?;
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(output.status.success(), "{command:?}: {error}");
            Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
        };
        printed(doorward(&["tenant", "create", "acme", "--profile", "entra"]))?;
        let token = printed(doorward(&["token", "create", "acme", "entra"]))?;
        let (addr, admin) = (port::loopback(port::free()?), port::loopback(port::free()?));
        let config = folder::root().join("examples/scim-standalone/store.yaml").display().to_string();
        let mut store = doorward(&["store", "--config", &config]);
        store.args(["--listen", &addr.to_string(), "--admin", &admin.to_string()]);
        let store = Process::spawn("store", &mut store, &scratch)?;
        eventually("the store is ready", async || {
            Ok(send(addr, &Request::get("/readyz")).await.is_ok_and(|response| response.status == 200))
        })
        .await
        .with_context(|| store.report(20))?;

        output(python("certificates.py").arg(&scratch).arg(SCIM))?;
        let mut bootstrap = yaml("scim-standalone", "envoy.yaml")?.to_string();
        for (shown, made) in [(".crt", "provider.crt"), (".key", "provider.key")] {
            let shown = format!("/etc/ssl/{SCIM}{shown}");
            bootstrap = bootstrap.replace(&shown, &scratch.join(made).display().to_string());
        }
        let clusters = BTreeMap::from([("store", addr)]);
        let envoy = start_envoy(serde_json::from_str(&bootstrap)?, &clusters).await?;
        let edge = envoy.addr("scim")?;
        // The status, and the answer.
        let get = |path: &str| -> Result<(String, String)> {
            let mut curl = Command::new("curl");
            curl.args(["-sS", "--path-as-is", "--noproxy", "*", "-w", "\n%{http_code}", "--cacert"]);
            curl.arg(scratch.join("authority.crt"));
            curl.args(["--resolve", &format!("{SCIM}:{}:127.0.0.1", edge.port())]);
            curl.args([
                "-H",
                &format!("Authorization: Bearer {token}"),
                "-H",
                "X-Forwarded-For: 203.0.113.9",
            ]);
            curl.arg(format!("https://{SCIM}:{}{path}", edge.port()));
            let said = printed(curl)?;
            let (body, status) = said.rsplit_once('\n').context("expected a status")?;
            Ok((status.to_owned(), body.to_owned()))
        };
        let (status, body) = get("/scim/v2/ResourceTypes/User")?;
        assert_eq!(status, "200", "{body}");
        assert!(body.contains(&format!("\"https://{SCIM}/scim/v2/ResourceTypes/User\"")), "{body}");
        for path in ["/tenants", "/metrics", "/readyz", "/scim/v2x", "/scim/v2/../../readyz"] {
            assert_eq!(get(path)?.0, "404", "{path}");
        }
        Ok(())
    })
    .unwrap();
}
