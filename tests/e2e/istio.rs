//! `envoy/istio-wasmplugin.yaml` and `envoy/istio-scim-gateway.yaml` in a real Envoy. There is no Istio here: what istiod and its agent
//! make of the resources is done by hand, as in istio/istio, `pilot/pkg/model/extensions.go` and `pkg/wasm`.

use crate::configuration::{PROVIDER, TlsFronts};
use crate::support::{
    LISTENER, code, eventually, expect_denials, expect_healthy, identity, output, python, with,
};
use anyhow::{Context, Result, ensure};
use doorward_testbed::{
    Algorithm, Database, Envoy, EnvoyConfig, GATEWAY_KEY, Issuer, Listener, Request, ScimGateway, ScimStore,
    Seen, Upstream, folder, run, send,
};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// For jwt-authn.
const WASM_PLUGIN: &str = "istio-wasmplugin.yaml";

/// For scim-gateway.
const SCIM_GATEWAY: &str = "istio-scim-gateway.yaml";

/// The resources of the file, by kind.
struct Resources(Vec<Value>);

impl Resources {
    fn read(file: &str) -> Result<Self> {
        let text = fs::read_to_string(folder::root().join("envoy").join(file))?;
        Ok(Self(serde_saphyr::from_multiple(&text)?))
    }

    fn get(&self, kind: &str) -> Result<&Value> {
        let mut found = self.0.iter().filter(|resource| resource["kind"] == kind);
        let resource = found.next().with_context(|| format!("expected a {kind}"))?;
        ensure!(found.next().is_none(), "expected one {kind}");
        Ok(resource)
    }

    /// What the EnvoyFilter puts into Envoy's configuration there.
    fn patch(&self, apply_to: &str) -> Result<&Value> {
        let patches = self.get("EnvoyFilter")?["spec"]["configPatches"].as_array();
        let mut patches = patches.into_iter().flatten().filter(|patch| patch["applyTo"] == apply_to);
        let patch = &patches.next().with_context(|| format!("expected a patch of {apply_to}"))?["patch"];
        let operation = match apply_to {
            "EXTENSION_CONFIG" => "ADD",
            "HTTP_FILTER" => "INSERT_FIRST",
            _ => "MERGE",
        };
        ensure!(patch["operation"] == operation, "expected {operation}, but found {patch}");
        Ok(&patch["value"])
    }

    /// Envoy's filter as istiod makes it of the WasmPlugin, with the module where the agent has put it.
    fn filter(&self, module: &Path) -> Result<Value> {
        let plugin = self.get("WasmPlugin")?;
        let (metadata, spec) = (&plugin["metadata"], &plugin["spec"]);
        let name =
            format!("{}.{}", metadata["namespace"].as_str().unwrap(), metadata["name"].as_str().unwrap());
        let failure_policy = match spec["failStrategy"].as_str() {
            Some("FAIL_CLOSE") => "FAIL_CLOSED",
            other => anyhow::bail!("expected FAIL_CLOSE, but found {other:?}"),
        };
        let config = json!({
            "name": name,
            "root_id": spec["pluginName"].as_str().unwrap_or_default(),
            "failure_policy": failure_policy,
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": spec["pluginConfig"].to_string(),
            },
            "vm_config": {
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": module } },
            },
        });
        let typed = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
        Ok(json!({ "name": name, "typed_config": { "@type": typed, "config": config } }))
    }

    /// A listener with this filter before all others, and the fields that the EnvoyFilter merges into its connection manager.
    fn listener(&self, filter: Value) -> Result<Listener> {
        let manager = self.patch("NETWORK_FILTER")?["typed_config"].as_object().context("expected fields")?;
        let listener = Listener::new(LISTENER).http_filter(filter);
        Ok(manager
            .iter()
            .fold(listener, |listener, (field, value)| listener.connection_manager(field, value.clone())))
    }

    /// The filter's configuration as the agent hands it to Envoy: with the module where it has put it. The key and the token of the
    /// tenant `acme` are of this test.
    fn extension(&self, module: &Path) -> Result<Value> {
        let mut extension = self.patch("EXTENSION_CONFIG")?.clone();
        extension["@type"] = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig".into();
        let config = &mut extension["typed_config"]["config"];
        let code = &mut config["vm_config"]["code"];
        let uri = &code["remote"]["http_uri"]["uri"];
        ensure!(
            *uri == "oci://registry.example.com/doorward/scim-gateway@sha256:DIGEST"
                && code["remote"]["sha256"] == "nil",
            "expected an image by its digest alone, but found {code}"
        );
        *code = json!({ "local": { "filename": module } });
        let value = &mut config["configuration"]["value"];
        let mut document: Value = serde_json::from_str(value.as_str().context("expected a document")?)?;
        document["scim"]["store"]["key"]["secret"] = GATEWAY_KEY.into();
        let token = ScimGateway::sha256(&ScimGateway::token("acme"));
        document["scim"]["tenants"]["acme"]["tokens"] = json!([{ "name": "entra-2026", "sha256": token }]);
        *value = document.to_string().into();
        Ok(extension)
    }

    /// The name of the cluster that istiod makes of the ServiceEntry.
    fn cluster(&self) -> Result<String> {
        let spec = &self.get("ServiceEntry")?["spec"];
        let (host, port) = (&spec["hosts"][0], &spec["ports"][0]["number"]);
        Ok(format!("outbound|{port}||{}", host.as_str().context("expected a host")?))
    }

    /// The TLS that istiod gives that cluster by the DestinationRule; `authority` is the system's.
    fn tls(&self, authority: &Path) -> Result<Value> {
        let spec = &self.get("DestinationRule")?["spec"];
        ensure!(spec["host"] == self.get("ServiceEntry")?["spec"]["hosts"][0], "expected one host in both");
        let tls = &spec["trafficPolicy"]["tls"];
        ensure!(
            tls["mode"] == "SIMPLE" && tls["caCertificates"] == "system",
            "expected TLS, but found {tls}"
        );
        let names = tls["subjectAltNames"].as_array().context("expected names")?;
        let names = names.iter().map(|name| json!({ "san_type": "DNS", "matcher": { "exact": name } }));
        let context = json!({
            "trusted_ca": { "filename": authority },
            "match_typed_subject_alt_names": names.collect::<Vec<_>>(),
        });
        Ok(json!({ "name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": tls["sni"],
            "common_tls_context": { "validation_context": context },
        } }))
    }
}

/// The module of the image that `cargo xtask package` writes.
fn module(filter: &str) -> Result<PathBuf> {
    let layout = folder::dist().join("oci").join(filter);
    ensure!(layout.is_dir(), "expected {}: run `cargo xtask package`", layout.display());
    let module = folder::scratch("image")?.join("module.wasm");
    output(python("oci_module.py").arg(&layout).arg(&module))?;
    Ok(module)
}

/// An Envoy like a gateway of Istio's with these resources.
async fn gateway(resources: &Resources, upstream: &Upstream, tls: &TlsFronts, front: &str) -> Result<Envoy> {
    let cluster = resources.cluster()?;
    let listener = resources.listener(resources.filter(&module("jwt-authn")?)?)?;
    let config =
        EnvoyConfig::new(upstream.addr()).cluster(&cluster, tls.envoy.addr(front)?).listener(listener);
    let mut bootstrap = with(config.bootstrap(Path::new("/dev/null")), resources.patch("BOOTSTRAP")?.clone());
    let clusters = bootstrap["static_resources"]["clusters"].as_array_mut().context("expected clusters")?;
    let provider = clusters.iter_mut().find(|found| found["name"] == *cluster).context("expected it")?;
    provider["transport_socket"] = resources.tls(&tls.certificates.join("authority.crt"))?;
    Envoy::start_bootstrap(&bootstrap, 2).await
}

#[test]
fn istio_wasmplugin_yaml_protects_a_gateway() {
    run(async {
        let resources = Resources::read(WASM_PLUGIN)?;
        let (issuer, upstream) = (Issuer::start().await?, Upstream::start().await?);
        let tls = TlsFronts::start(&issuer).await?;
        let envoy = gateway(&resources, &upstream, &tls, "provider").await?;
        let addr = envoy.addr(LISTENER)?;
        let token = |changes: Value| {
            let claims = issuer.claims(&with(json!({ "iss": PROVIDER, "groups": ["a", "b"] }), changes));
            issuer.sign(Algorithm::Es256, "at+jwt", &claims)
        };
        let orders = || Request::get("/orders");
        let denied = [
            (orders(), 401, "token_missing"),
            (orders().bearer(&token(json!({ "aud": "other" }))?), 401, "audience_not_allowed"),
            (Request::get("/admin/users").bearer(&token(json!({}))?), 403, "scope_missing"),
            (Request::get("/healthz//..//orders"), 401, "token_missing"),
            (Request::get("/healthz;/orders"), 400, "path_not_accepted"),
        ];
        expect_denials(addr, denied).await?;
        for request in
            [Request::get("/healthz%2f..%2forders"), Request::get("/healthz").header("x_user_id", "root")]
        {
            assert_eq!(send(addr, &request).await?.status, 400, "{request:?}");
        }
        assert_eq!(upstream.count(), 0);
        let request = orders().header("x-user-id", "root").bearer(&token(json!({}))?);
        let response = send(addr, &request).await?;
        assert_eq!(response.status, 200, "{}\n{}", response.text(), envoy.log());
        let seen = Seen::from_json(&response.body)?;
        let expected =
            [("x-user-id", "alice"), ("x-user-groups", "a,b")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(identity(&seen, &["x-user-id", "x-user-groups"]), expected);
        assert_eq!(send(addr, &Request::get("/healthz")).await?.status, 200);

        // Labels, and the name under which README.md of `observability` says that VMs are counted.
        let expected = [
            "doorward_jwt_authn_denied{doorward_code=\"scope_missing\",doorward_provider=\"corp\"} 1",
            "envoy_wasm_istio_system_doorward_vm_reload_success{} 0",
        ];
        eventually("the metrics have labels", async || {
            let text = send(envoy.admin(), &Request::get("/stats/prometheus")).await?.text();
            Ok(expected.iter().all(|line| text.lines().any(|found| found == *line)))
        })
        .await?;
        Ok(())
    })
    .unwrap();
}

#[test]
fn istio_wasmplugin_yaml_takes_keys_from_the_provider_only() {
    run(async {
        let resources = Resources::read(WASM_PLUGIN)?;
        let (issuer, upstream) = (Issuer::start().await?, Upstream::start().await?);
        let tls = TlsFronts::start(&issuer).await?;
        for front in ["other", "stranger"] {
            let envoy = gateway(&resources, &upstream, &tls, front).await?;
            let claims = issuer.claims(&json!({ "iss": PROVIDER }));
            let token = issuer.sign(Algorithm::Es256, "at+jwt", &claims)?;
            let response = send(envoy.addr(LISTENER)?, &Request::get("/orders").bearer(&token)).await?;
            assert_eq!((response.status, code(&response).as_str()), (503, "keys_unavailable"), "{front}");
        }
        assert_eq!((upstream.count(), issuer.jwks_fetches()), (0, 0));
        Ok(())
    })
    .unwrap();
}

#[test]
fn istio_and_envoy_are_configured_alike() {
    let resources = Resources::read(WASM_PLUGIN).unwrap();
    let text = fs::read_to_string(folder::root().join("envoy/jwt-authn.yaml")).unwrap();
    let envoy: Value = serde_saphyr::from_str(&text).unwrap();
    let manager =
        &envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let document = &manager["http_filters"][0]["typed_config"]["config"]["configuration"]["value"];
    let mut document: Value = serde_json::from_str(document.as_str().unwrap()).unwrap();
    document["providers"]["corp"]["jwks"]["remote"]["cluster"] = resources.cluster().unwrap().into();
    let spec = &resources.get("WasmPlugin").unwrap()["spec"];
    assert_eq!(spec["pluginConfig"], document);
    assert_eq!(resources.patch("BOOTSTRAP").unwrap()["stats_config"], envoy["stats_config"]);
    let patch = &resources.patch("NETWORK_FILTER").unwrap()["typed_config"];
    for field in ["@type", "normalize_path", "merge_slashes", "path_with_escaped_slashes_action"] {
        assert_eq!(patch[field], manager[field], "{field}");
    }
    // Everything is for the same pods of one namespace.
    let workload = &resources.get("EnvoyFilter").unwrap()["spec"]["workloadSelector"]["labels"];
    assert_eq!(&spec["selector"]["matchLabels"], workload);
    for resource in &resources.0 {
        assert_eq!(resource["metadata"]["namespace"], "istio-system", "{}", resource["kind"]);
    }
    assert_eq!((&spec["phase"], &spec["imagePullPolicy"]), (&json!("AUTHN"), &json!("IfNotPresent")));
}

const SCIM: &str = "scim.example.com";

/// An Envoy like a gateway of Istio's with the filter for SCIM, whose configuration comes when it is discovered: from istiod by way of
/// the agent there, from the file `discovered` here.
fn discovering(resources: &Resources, store: SocketAddr, discovered: &Path) -> Result<Value> {
    let mut filter = resources.patch("HTTP_FILTER")?.clone();
    let source = filter["config_discovery"]["config_source"].as_object_mut().context("expected a source")?;
    ensure!(source.remove("ads") == Some(json!({})), "expected istiod, but found {source:?}");
    source.insert("path_config_source".to_owned(), json!({ "path": discovered }));
    let config = EnvoyConfig::new(store).listener(resources.listener(filter)?);
    let mut bootstrap = with(config.bootstrap(Path::new("/dev/null")), resources.patch("BOOTSTRAP")?.clone());
    let listener = &mut bootstrap["static_resources"]["listeners"][0];
    *listener = with(listener.take(), resources.patch("LISTENER")?.clone());
    Ok(bootstrap)
}

/// What is discovered, at once and whole.
fn discover(discovered: &Path, extensions: &[Value]) -> Result<()> {
    let written = discovered.with_extension("new");
    fs::write(&written, json!({ "resources": extensions }).to_string())?;
    Ok(fs::rename(&written, discovered)?)
}

#[test]
fn istio_scim_gateway_yaml_forwards_provisioning_to_the_store() {
    run(async {
        let resources = Resources::read(SCIM_GATEWAY)?;
        let store = ScimStore::start(Database::Sqlite, &[("acme", "entra")], json!({})).await?;
        let discovered = folder::scratch("discovered")?.join("extensions.json");
        discover(&discovered, &[resources.extension(&module("scim-gateway")?)?])?;
        let bootstrap = discovering(&resources, store.addr(), &discovered)?;
        let envoy = Envoy::start_bootstrap(&bootstrap, 2).await?;
        let addr = envoy.addr(LISTENER)?;
        let call = |method: &str, path: &str| {
            let target = format!("{}{path}", ScimGateway::path("acme"));
            Request::new(method, target).header("host", SCIM)
        };
        let known = |method: &str, path: &str| call(method, path).bearer(&ScimGateway::token("acme"));
        let scim = |request: Request, body: &Value| {
            request.header("content-type", "application/scim+json").body(body.to_string())
        };
        // As the file says: without a token, a SCIM error.
        let refused = send(addr, &call("GET", "/Users")).await?;
        assert_eq!(refused.status, 401, "{}\n{}", refused.text(), envoy.log());
        assert_eq!(refused.header("content-type").as_deref(), Some("application/scim+json"));
        // A body: the filter holds the head until it has it.
        let alice = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": "alice@example.com",
            "active": "True",
        });
        let created = send(addr, &scim(known("POST", "/Users"), &alice)).await?;
        assert_eq!(created.status, 201, "{}\n{}", created.text(), envoy.log());
        let id = created.json()?["id"].as_str().context("expected an id")?.to_owned();
        let location = format!("https://{SCIM}{}/Users/{id}", ScimGateway::path("acme"));
        assert_eq!(created.header("location"), Some(location));
        let leaves = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "Replace", "path": "active", "value": "False" }],
        });
        let user = format!("/Users/{id}");
        let patched = send(addr, &scim(known("PATCH", &user), &leaves)).await?;
        assert_eq!(patched.status, 204, "{}", patched.text());
        let stored = Request::get(format!("/scim/v2{user}")).bearer(&store.token("acme")?);
        let stored = send(store.addr(), &stored).await?;
        assert_eq!((stored.status, &stored.json()?["active"]), (200, &json!(false)));
        // The longest body that the filter takes.
        let bob = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "bob" }).to_string();
        let long = known("POST", "/Users").header("content-type", "application/scim+json");
        let blanks = " ".repeat((1 << 20) - bob.len());
        let created = send(addr, &long.body(format!("{bob}{blanks}"))).await?;
        assert_eq!(created.status, 201, "{}", created.text());
        // What the connection manager refuses by the patch of it.
        for request in [known("GET", "/Users%2f1"), known("GET", "/Users").header("x_user", "root")] {
            let refused = send(addr, &request).await?;
            assert_eq!(refused.status, 400, "{request:?}");
            assert_ne!(refused.header("content-type").as_deref(), Some("application/scim+json"));
        }
        let labels = [
            r#"doorward_scim_gateway_calls{doorward_tenant="acme",doorward_operation="create",doorward_outcome="done"} 2"#,
            r#"doorward_scim_gateway_refused{doorward_tenant="acme",doorward_code="credentials_missing"} 1"#,
        ];
        eventually("the metrics have labels", async || {
            let text = send(envoy.admin(), &Request::get("/stats/prometheus")).await?.text();
            Ok(labels.iter().all(|line| text.lines().any(|found| found == *line)))
        })
        .await?;
        expect_healthy(&envoy, 2).await
    })
    .unwrap();
}

#[test]
fn istio_scim_gateway_yaml_lets_nobody_in_without_the_module() {
    run(async {
        let resources = Resources::read(SCIM_GATEWAY)?;
        let upstream = Upstream::start().await?;
        let discovered = folder::scratch("discovered")?.join("extensions.json");
        discover(&discovered, &[])?;
        let bootstrap = discovering(&resources, upstream.addr(), &discovered)?;
        let envoy = Envoy::start_bootstrap(&bootstrap, 2).await?;
        let users = Request::get(format!("{}/Users", ScimGateway::path("acme"))).header("host", SCIM);
        let addr = envoy.addr(LISTENER)?;
        assert_eq!(send(addr, &users).await?.status, 500, "{}", envoy.log());
        discover(&discovered, &[resources.extension(&module("scim-gateway")?)?])?;
        eventually("the filter is there, without a new Envoy", async || {
            let status = send(addr, &users).await?.status;
            ensure!([401, 500].contains(&status), "expected nobody to be let in, but found {status}");
            Ok(status == 401)
        })
        .await?;
        assert_eq!(upstream.count(), 0);
        Ok(())
    })
    .unwrap();
}
