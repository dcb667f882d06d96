//! `envoy/doorward.yaml`: both filters in one proxy, told apart by host; and what it, and the file for Istio, take over from the others.

use crate::support::{code, with};
use anyhow::{Context, Result};
use doorward_testbed::{
    Algorithm, Database, Envoy, GATEWAY_KEY, Issuer, Request, Response, ScimGateway, ScimStore, Seen,
    Upstream, folder, port, run, send,
};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;

const PROVIDER: &str = "https://login.example.com";
const TOKEN: &str = "a-token-that-only-this-test-knows";

fn read(name: &str) -> Result<Value> {
    let path = folder::root().join("envoy").join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("expected {}", path.display()))?;
    Ok(serde_saphyr::from_str(&text)?)
}

fn manager(file: &Value) -> &Value {
    &file["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
}

/// The plugin configuration of one of the filters.
fn plugin<'f>(file: &'f Value, name: &str) -> &'f Value {
    let filters = manager(file)["http_filters"].as_array().unwrap();
    let filter = filters.iter().find(|filter| filter["name"] == name).unwrap();
    &filter["typed_config"]["config"]
}

fn address(addr: SocketAddr) -> Value {
    json!({ "socket_address": { "address": addr.ip().to_string(), "port_value": addr.port() } })
}

/// The file with nothing changed but where things are, the keys of the provider, the secret, and one token.
fn on_loopback(issuer: &Issuer, service: SocketAddr, store: SocketAddr) -> Result<Value> {
    let mut file = read("doorward.yaml")?;
    file["admin"]["address"] = address(port::loopback(0));
    let resources = &mut file["static_resources"];
    resources["listeners"][0]["address"] = address(port::loopback(0));
    for cluster in resources["clusters"].as_array_mut().context("expected clusters")? {
        let endpoint = if cluster["name"] == "store" { store } else { service };
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] =
            address(endpoint);
        cluster["type"] = "STATIC".into();
        // The provider is asked nothing here.
        cluster.as_object_mut().context("expected a cluster")?.remove("transport_socket");
    }
    let filters = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
        .as_array_mut()
        .context("expected filters")?;
    for (filter, module) in filters.iter_mut().zip(["jwt-authn.wasm", "scim-gateway.wasm"]) {
        let config = &mut filter["typed_config"]["config"];
        config["vm_config"]["code"]["local"]["filename"] =
            folder::dist().join(module).display().to_string().into();
        let value = &mut config["configuration"]["value"];
        let mut document: Value = serde_json::from_str(value.as_str().context("expected a document")?)?;
        if module == "jwt-authn.wasm" {
            let corp = with(document["providers"]["corp"].clone(), json!({ "algorithms": null }));
            document["providers"]["corp"] = with(corp, json!({ "jwks": { "inline": issuer.jwks()? } }));
        } else {
            document["scim"]["store"]["key"]["secret"] = GATEWAY_KEY.into();
            document["scim"]["tenants"]["acme"]["tokens"][0]["sha256"] = ScimGateway::sha256(TOKEN).into();
        }
        *value = document.to_string().into();
    }
    Ok(file)
}

#[test]
fn doorward_yaml_has_both_filters_and_each_its_own_callers() {
    run(async {
        let (issuer, upstream) = (Issuer::start().await?, Upstream::start().await?);
        let store =
            ScimStore::start(Database::Sqlite, &[("acme", "entra"), ("globex", "okta")], json!({})).await?;
        let envoy = Envoy::start_bootstrap(&on_loopback(&issuer, upstream.addr(), store.addr())?, 2).await?;
        let addr = envoy.addr("ingress")?;
        let claims = issuer.claims(&json!({ "iss": PROVIDER }));
        let jwt = issuer.sign(Algorithm::Es256, "at+jwt", &claims)?;
        let at = async |host: &str, path: &str, token: Option<&str>| -> Result<Response> {
            let request = Request::get(path).header("host", host).header("x-user-id", "root");
            send(addr, &token.iter().fold(request, |request, token| request.bearer(token))).await
        };
        let users = "/tenants/acme/scim/v2/Users";
        for host in ["scim.example.com", "scim.example.com:8443"] {
            let listed = at(host, users, Some(TOKEN)).await?;
            assert_eq!((listed.status, &listed.json()?["totalResults"]), (200, &json!(0)), "{host}");
        }
        for (path, token, expected) in [
            (users, None, 401),
            (users, Some(jwt.as_str()), 401),
            ("/tenants/globex/scim/v2/Users", Some(TOKEN), 401),
            ("/orders", Some(TOKEN), 404),
            ("/orders", Some(jwt.as_str()), 404),
        ] {
            let refused = at("scim.example.com", path, token).await?;
            assert_eq!(refused.status, expected, "{path}");
            assert_eq!(refused.header("content-type").as_deref(), Some("application/scim+json"), "{path}");
        }
        for (path, token, expected) in [
            ("/orders", None, "token_missing"),
            ("/orders", Some(TOKEN), "token_malformed"),
            (users, Some(TOKEN), "token_malformed"),
        ] {
            let denied = at("api.example.com", path, token).await?;
            assert_eq!((denied.status, code(&denied).as_str()), (401, expected), "{path}");
        }
        assert_eq!(upstream.count(), 0);
        let served = at("api.example.com", "/orders", Some(&jwt)).await?;
        assert_eq!(served.status, 200, "{}", envoy.log());
        assert_eq!(Seen::from_json(&served.body)?.values("x-user-id"), [b"alice"]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_is_in_several_files_is_the_same() {
    let [jwt, scim, both] =
        ["jwt-authn.yaml", "scim-gateway.yaml", "doorward.yaml"].map(|name| read(name).unwrap());
    assert_eq!(plugin(&both, "doorward.jwt_authn"), plugin(&jwt, "doorward.jwt_authn"));
    assert_eq!(plugin(&both, "doorward.scim_gateway"), plugin(&scim, "doorward.scim_gateway"));
    assert_ne!(
        plugin(&both, "doorward.jwt_authn")["vm_config"]["vm_id"],
        plugin(&both, "doorward.scim_gateway")["vm_config"]["vm_id"]
    );
    let hosts =
        |file: &Value, at: usize| manager(file)["route_config"]["virtual_hosts"][at]["routes"].clone();
    assert_eq!(hosts(&both, 0), hosts(&scim, 0));
    assert_eq!(hosts(&both, 1), hosts(&jwt, 0));
    let cluster = |file: &Value, name: &str| {
        let clusters = file["static_resources"]["clusters"].as_array().unwrap();
        clusters.iter().find(|cluster| cluster["name"] == name).unwrap().clone()
    };
    for (file, name) in [(&jwt, "service"), (&jwt, "idp"), (&scim, "store")] {
        assert_eq!(cluster(&both, name), cluster(file, name), "{name}");
    }
    // Everything that keeps bad requests away.
    let hardening = |file: &Value| {
        let mut manager = manager(file).clone();
        for own in ["stat_prefix", "http_filters", "route_config", "access_log", "strip_any_host_port"] {
            manager.as_object_mut().unwrap().remove(own);
        }
        manager
    };
    assert_eq!(hardening(&both), hardening(&jwt));
    assert_eq!(hardening(&scim), hardening(&jwt));
}

#[test]
fn istio_has_the_gateway_as_envoy_has_it() {
    let text = fs::read_to_string(folder::root().join("envoy/istio-scim-gateway.yaml")).unwrap();
    let filter: Value = serde_saphyr::from_str(&text).unwrap();
    let patches = filter["spec"]["configPatches"].as_array().unwrap();
    let patch = |to: &str| &patches.iter().find(|patch| patch["applyTo"] == to).unwrap()["patch"]["value"];
    let extension = patch("EXTENSION_CONFIG");
    assert_eq!(extension["name"], patch("HTTP_FILTER")["name"]);
    let scim = read("scim-gateway.yaml").unwrap();
    // But for where the module is.
    let without_code = |config: &Value| {
        let mut config = config.clone();
        config["vm_config"].as_object_mut().unwrap().remove("code");
        let text = config["configuration"]["value"].as_str().unwrap().to_owned();
        config["configuration"]["value"] = serde_json::from_str(&text).unwrap();
        config
    };
    let own = without_code(&extension["typed_config"]["config"]);
    assert_eq!(own, without_code(plugin(&scim, "doorward.scim_gateway")));
    assert_eq!(patch("BOOTSTRAP")["stats_config"], scim["stats_config"]);
    let listener = &scim["static_resources"]["listeners"][0];
    assert_eq!(
        patch("LISTENER")["per_connection_buffer_limit_bytes"],
        listener["per_connection_buffer_limit_bytes"]
    );
    let merged = &patch("NETWORK_FILTER")["typed_config"];
    for field in ["@type", "normalize_path", "merge_slashes", "path_with_escaped_slashes_action"] {
        assert_eq!(merged[field], manager(&scim)[field], "{field}");
    }
}
