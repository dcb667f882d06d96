//! `envoy/istio-wasmplugin.yaml` in a real Envoy. There is no Istio here: what istiod and its agent make of the resources is done
//! by hand, as in istio/istio, `pilot/pkg/model/extensions.go` and `pkg/wasm`.

use crate::configuration::{PROVIDER, TlsFronts};
use crate::support::{LISTENER, code, eventually, expect_denials, identity, output, python, with};
use anyhow::{Context, Result, ensure};
use doorward_testbed::{
    Algorithm, Envoy, EnvoyConfig, Issuer, Listener, Request, Seen, Upstream, folder, run, send,
};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The resources of the file, by kind.
struct Resources(Vec<Value>);

impl Resources {
    fn read() -> Result<Self> {
        let text = fs::read_to_string(folder::root().join("envoy/istio-wasmplugin.yaml"))?;
        Ok(Self(serde_saphyr::from_multiple(&text)?))
    }

    fn get(&self, kind: &str) -> Result<&Value> {
        let mut found = self.0.iter().filter(|resource| resource["kind"] == kind);
        let resource = found.next().with_context(|| format!("expected a {kind}"))?;
        ensure!(found.next().is_none(), "expected one {kind}");
        Ok(resource)
    }

    /// What the EnvoyFilter merges into Envoy's configuration there.
    fn patch(&self, apply_to: &str) -> Result<&Value> {
        let patches = self.get("EnvoyFilter")?["spec"]["configPatches"].as_array();
        let mut patches = patches.into_iter().flatten().filter(|patch| patch["applyTo"] == apply_to);
        let patch = &patches.next().with_context(|| format!("expected a patch of {apply_to}"))?["patch"];
        ensure!(patch["operation"] == "MERGE", "expected MERGE, but found {patch}");
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
fn module() -> Result<PathBuf> {
    let layout = folder::dist().join("oci/jwt-authn");
    ensure!(layout.is_dir(), "expected {}: run `cargo xtask package`", layout.display());
    let module = folder::scratch("image")?.join("module.wasm");
    output(python("oci_module.py").arg(&layout).arg(&module))?;
    Ok(module)
}

/// An Envoy like a gateway of Istio's with these resources.
async fn gateway(resources: &Resources, upstream: &Upstream, tls: &TlsFronts, front: &str) -> Result<Envoy> {
    let cluster = resources.cluster()?;
    let mut listener = Listener::new(LISTENER).http_filter(resources.filter(&module()?)?);
    let manager =
        resources.patch("NETWORK_FILTER")?["typed_config"].as_object().context("expected fields")?;
    for (field, value) in manager {
        listener = listener.connection_manager(field, value.clone());
    }
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
        let resources = Resources::read()?;
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
        let resources = Resources::read()?;
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
    let resources = Resources::read().unwrap();
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
