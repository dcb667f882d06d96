//! What Envoy says to a faulty document, what it never says, and the files under `envoy/` that are Envoy's.

use crate::support::{
    Edge, LISTENER, code, document, eventually, expect_denials, filter, identity, inline_provider, output,
    python, with,
};
use anyhow::{Context, Result, ensure};
use doorward_testbed::{
    Algorithm, Envoy, EnvoyConfig, GATEWAY_KEY, Issuer, Listener, Request, Seen, Upstream, WasmPlugin,
    folder, port, run, send,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A shared secret as a JWK's `k`, and as the bytes that it stands for.
const SECRET: &str = "dGhlLXNoYXJlZC1zZWNyZXQtb2YtdGhpcy10ZXN0LTAxMjM0NTY3ODk";
const SECRET_TEXT: &str = "the-shared-secret-of-this-test";

#[test]
fn a_faulty_document_keeps_envoy_from_starting_and_every_fault_is_in_its_log() {
    run(async {
        let document = json!({
            "providers": {
                "corp": { "issuer": "https://a.example.com", "jwks": { "remote": { "uri": "http://a.example.com/jwks" } } },
                "web": { "issuer": "", "audiences": ["web"], "algorithms": ["none"], "jwks": { "inline": { "keys": [] } } },
            },
            "rules": [
                { "match": {}, "allow": "anonymous", "require": { "provider": "corp" } },
                { "match": { "path": { "prefix": "/a/../b" } }, "require": { "provider": "nobody" } },
            ],
            "identity_headers": [{ "header": "x-user-id", "claim": ["sub"] }, { "header": "X_User_Id", "claim": ["sub"] }],
            "unknown": true,
        });
        let expected = [
            "providers.corp.audiences: ",
            "providers.corp.jwks.remote.cluster: ",
            "providers.corp.jwks.remote.uri: ",
            "providers.web.algorithms[0]: ",
            "providers.web.issuer: ",
            "rules[0]: ",
            "rules[1].match.path.prefix: ",
            "rules[1].require.provider: ",
            "identity_headers[1].header: ",
            "unknown: ",
        ];
        let error = refusal(&WasmPlugin::new(filter(), &document)).await?;
        for path in expected {
            assert!(error.contains(&format!("configuration: {path}")), "{path} is not in\n{error}");
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_is_no_document_keeps_envoy_from_starting() {
    run(async {
        for text in ["", "{}", "[]", "providers: {}", "{\"rules\":[],\"rules\":[]}"] {
            let error = refusal(&WasmPlugin::with_text(filter(), text)).await?;
            assert!(error.contains("the filter does not load"), "{text:?}: {error}");
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn no_secret_and_no_token_gets_into_the_log() {
    run(async {
        let upstream = Upstream::start().await?;
        let issuer = Issuer::start().await?;
        let key = json!({ "kty": "oct", "kid": "shared", "alg": "HS256", "k": SECRET });
        let provider = json!({
            "issuer": issuer.url(), "audiences": ["api"], "algorithms": ["HS256"], "jwks": { "inline": { "keys": [key] } },
        });
        let plugin = WasmPlugin::new(filter(), &document(&provider));
        // Everything that the filter and Envoy's part for it say. (At `config:debug` Envoy itself writes every filter's
        // configuration to its log, this one included: that is in the operator's hand.)
        let config = EnvoyConfig::new(upstream.addr())
            .component_log_level("wasm:trace,main:debug,init:debug,filter:debug,client:debug")
            .listener(Listener::new(LISTENER).wasm(&plugin));
        let envoy = Envoy::start(&config).await?;
        let token = issuer.sign(Algorithm::Es256, "JWT", &issuer.claims(&json!({})))?;
        for path in ["/orders", "/healthz", "/a//b"] {
            send(envoy.addr(LISTENER)?, &Request::get(path).bearer(&token)).await?;
        }
        expect_no_secret(&envoy.log(), &token);

        // The same in documents that are refused: what is wrong is said without the value.
        let keys = [
            json!({ "kty": "oct", "kid": "shared", "alg": "HS256", "k": format!("{SECRET}=") }),
            json!({ "kty": SECRET, "k": SECRET }),
            json!({ "kty": "oct", "alg": SECRET, "k": SECRET }),
            json!({ "kty": "oct", "use": [SECRET], "k": [SECRET] }),
            json!({ "kty": "RSA", "n": SECRET, "e": SECRET, "d": SECRET }),
            json!(SECRET),
        ];
        for key in keys {
            let provider = with(provider.clone(), json!({ "jwks": { "inline": { "keys": [key] } } }));
            let error = refusal(&WasmPlugin::new(filter(), &document(&provider))).await?;
            expect_no_secret(&error, &token);
        }
        Ok(())
    })
    .unwrap();
}

fn expect_no_secret(log: &str, token: &str) {
    assert!(log.contains("wasm"), "this is no log of the filter:\n{log}");
    for secret in [SECRET, SECRET_TEXT].into_iter().chain(token.split('.')) {
        assert!(!log.contains(secret), "{secret} is in\n{log}");
    }
}

/// Envoy's reason for not starting with this plugin.
async fn refusal(plugin: &WasmPlugin) -> Result<String> {
    let nobody = port::loopback(port::free()?);
    let config = EnvoyConfig::new(nobody).listener(Listener::new(LISTENER).wasm(plugin));
    let error = Envoy::start(&config).await.err().context("expected Envoy to refuse to start, but it did")?;
    let error = format!("{error:#}");
    ensure!(error.contains("but it ended with"), "expected Envoy to end, but found\n{error}");
    Ok(error)
}

#[test]
fn every_file_is_accepted_by_envoy() {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder::root().join("envoy")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        if text.contains("\nkind: WasmPlugin\n") || text.contains("\nkind: EnvoyFilter\n") {
            // For Istio, which makes Envoy's configuration of it: see `istio`.
            continue;
        }
        let text = text.replace("/etc/envoy/", &format!("{}/", folder::dist().display()));
        // Nobody shall run with a secret that is in a file of ours.
        let text = text.replace("\"secret\": \"SECRET\"", &format!("\"secret\": \"{GATEWAY_KEY}\""));
        let copy = folder::scratch("validate").unwrap().join(path.file_name().unwrap());
        fs::write(&copy, text).unwrap();
        // Also loads the filter and lets it read its configuration.
        Envoy::validate(&copy).unwrap();
        files.insert(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    for file in ["jwt-authn.yaml", "scim-gateway.yaml", "doorward.yaml"] {
        assert!(files.contains(file), "{file} is not among {files:?}");
    }
}

/// What `jwt-authn.yaml` says of the provider.
pub(crate) const PROVIDER: &str = "https://login.example.com";

#[test]
fn jwt_authn_yaml_protects_its_service() {
    run(async {
        let issuer = Issuer::start().await?;
        let upstream = Upstream::start().await?;
        let tls = TlsFronts::start(&issuer).await?;
        let bootstrap = on_loopback(&read("jwt-authn.yaml")?, &tls, "provider", upstream.addr())?;
        let envoy = Envoy::start_bootstrap(&bootstrap, 2).await?;
        let addr = envoy.addr("ingress")?;
        let token = |changes: Value| {
            let claims = issuer.claims(&with(json!({ "iss": PROVIDER, "groups": ["a", "b"] }), changes));
            issuer.sign(Algorithm::Es256, "at+jwt", &claims)
        };
        let orders = || Request::get("/orders");
        let denied = [
            (orders(), 401, "token_missing"),
            (orders().bearer(&issuer.mint(&json!({ "iss": PROVIDER }))?), 401, "token_type_not_allowed"),
            (orders().bearer(&token(json!({ "aud": "other" }))?), 401, "audience_not_allowed"),
            (orders().bearer(&token(json!({ "iss": issuer.url() }))?), 401, "issuer_not_allowed"),
            (Request::get("/admin/users").bearer(&token(json!({}))?), 403, "scope_missing"),
            (Request::new("POST", "/healthz"), 401, "token_missing"),
            // Envoy makes the path plain before the filter judges it.
            (Request::get("/healthz/../orders"), 401, "token_missing"),
            (Request::get("/healthz//..//orders"), 401, "token_missing"),
            (Request::get("/healthz/..;/orders"), 401, "token_missing"),
            (Request::get("/healthz\\..\\orders"), 401, "token_missing"),
            (Request::get("/healthz;/orders"), 400, "path_not_accepted"),
            (Request::get("/healthz/%252e%252e/orders"), 400, "path_not_accepted"),
        ];
        expect_denials(addr, denied).await?;
        // Refused by Envoy itself.
        for request in
            [Request::get("/healthz%2f..%2forders"), Request::get("/healthz").header("x_user_id", "root")]
        {
            assert_eq!(send(addr, &request).await?.status, 400, "{request:?}");
        }
        assert_eq!(upstream.count(), 0);

        let managed = ["x-user-id", "x-user-groups"];
        let forged = |request: Request| request.header("x-user-id", "root").header("X.User.Groups", "admins");
        let seen = Seen::from_json(&send(addr, &forged(Request::get("/healthz"))).await?.body)?;
        assert_eq!(identity(&seen, &managed), []);
        let response = send(addr, &forged(orders()).bearer(&token(json!({}))?)).await?;
        assert_eq!(response.status, 200, "{}\n{}", response.text(), envoy.log());
        let seen = Seen::from_json(&response.body)?;
        let expected = [("x-user-id", "alice"), ("x-user-groups", "a,b")];
        assert_eq!(
            identity(&seen, &managed),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(seen.values("authorization"), Vec::<&[u8]>::new());
        let admin = Request::get("/admin/users").bearer(&token(json!({ "scope": "read admin" }))?);
        assert_eq!(send(addr, &admin).await?.status, 200);

        // As Prometheus sees it, with the labels that the file makes of the metrics' names.
        let scraped = async || {
            let text = send(envoy.admin(), &Request::get("/stats/prometheus")).await?.text();
            Ok::<_, anyhow::Error>(text.lines().any(|line| {
                line.starts_with("doorward_jwt_authn_denied{")
                    && line.contains("doorward_provider=\"corp\"")
                    && line.contains("doorward_code=\"scope_missing\"")
            }))
        };
        eventually("the metric of a denial has labels", async || scraped().await).await?;
        Ok(())
    })
    .unwrap();
}

fn read(name: &str) -> Result<Value> {
    let path: PathBuf = folder::root().join("envoy").join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("expected {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("expected YAML in {name}"))
}

/// Whoever answers in the provider's place has its keys refused: they come by TLS, and it has not the certificate.
#[test]
fn jwt_authn_yaml_takes_keys_from_the_provider_only() {
    run(async {
        let issuer = Issuer::start().await?;
        let upstream = Upstream::start().await?;
        let tls = TlsFronts::start(&issuer).await?;
        for front in ["other", "stranger"] {
            let bootstrap = on_loopback(&read("jwt-authn.yaml")?, &tls, front, upstream.addr())?;
            let envoy = Envoy::start_bootstrap(&bootstrap, 1).await?;
            let token =
                issuer.sign(Algorithm::Es256, "at+jwt", &issuer.claims(&json!({ "iss": PROVIDER })))?;
            let response = send(envoy.addr("ingress")?, &Request::get("/orders").bearer(&token)).await?;
            assert_eq!((response.status, code(&response).as_str()), (503, "keys_unavailable"), "{front}");
            assert!(
                envoy.stats().await?.contains_key("cluster.idp.ssl.fail_verify_san") == (front == "other"),
                "{front}"
            );
            assert!(
                envoy.stats().await?.contains_key("cluster.idp.ssl.fail_verify_error")
                    == (front == "stranger"),
                "{front}"
            );
        }
        assert_eq!((upstream.count(), issuer.jwks_fetches()), (0, 0));
        Ok(())
    })
    .unwrap();
}

/// The issuer behind TLS, with each of the certificates of `python/certificates.py` at a port of its own.
pub(crate) struct TlsFronts {
    pub(crate) envoy: Envoy,
    pub(crate) certificates: PathBuf,
}

impl TlsFronts {
    pub(crate) async fn start(issuer: &Issuer) -> Result<Self> {
        let certificates = folder::scratch("certificates")?;
        output(python("certificates.py").arg(&certificates))?;
        let file = |name: &str| json!({ "filename": certificates.join(name) });
        let typed = |message: &str, mut config: Value| {
            config["@type"] = format!("type.googleapis.com/{message}").into();
            config
        };
        let listener = |name: &str| {
            let context = json!({ "tls_certificates": [{
                "certificate_chain": file(&format!("{name}.crt")), "private_key": file(&format!("{name}.key")),
            }] });
            let context = typed(
                "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                json!({ "common_tls_context": context }),
            );
            let proxy = typed(
                "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                json!({ "stat_prefix": name, "cluster": "issuer" }),
            );
            json!({ "name": name, "address": address(port::loopback(0)), "filter_chains": [{
                "transport_socket": { "name": "envoy.transport_sockets.tls", "typed_config": context },
                "filters": [{ "name": "envoy.filters.network.tcp_proxy", "typed_config": proxy }],
            }] })
        };
        let listeners = ["provider", "other", "stranger"].map(listener);
        let endpoint = json!({ "endpoint": { "address": address(issuer.addr()) } });
        let bootstrap = json!({
            "admin": { "address": address(port::loopback(0)) },
            "static_resources": {
                "listeners": listeners,
                "clusters": [{
                    "name": "issuer",
                    "load_assignment": { "cluster_name": "issuer", "endpoints": [{ "lb_endpoints": [endpoint] }] },
                }],
            },
        });
        Ok(Self { envoy: Envoy::start_bootstrap(&bootstrap, 1).await?, certificates })
    }
}

/// The file with nothing changed but where things are: ports, endpoints, the module, the certificate authority.
fn on_loopback(file: &Value, tls: &TlsFronts, front: &str, upstream: SocketAddr) -> Result<Value> {
    let authority = tls.certificates.join("authority.crt");
    let text = file.to_string();
    let text = text.replace("/etc/envoy/jwt-authn.wasm", &filter().display().to_string());
    let text = text.replace("/etc/ssl/certs/ca-certificates.crt", &authority.display().to_string());
    let mut file: Value = serde_json::from_str(&text)?;
    file["admin"]["address"] = address(port::loopback(0));
    let resources = &mut file["static_resources"];
    resources["listeners"][0]["address"] = address(port::loopback(0));
    for cluster in resources["clusters"].as_array_mut().context("expected clusters")? {
        let found = if cluster["name"] == "idp" { tls.envoy.addr(front)? } else { upstream };
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] = address(found);
        cluster["type"] = "STATIC".into();
    }
    Ok(file)
}

fn address(addr: SocketAddr) -> Value {
    json!({ "socket_address": { "address": addr.ip().to_string(), "port_value": addr.port() } })
}

#[test]
fn a_valid_document_starts_and_serves() {
    run(async {
        let issuer = Issuer::start().await?;
        let edge = Edge::start(&document(&inline_provider(&issuer))).await?;
        let seen = edge.forwarded(&Request::get("/orders").bearer(&issuer.mint(&json!({}))?)).await?;
        assert_eq!(identity(&seen, &["x-user-id"]), [("x-user-id".to_owned(), "alice".to_owned())]);
        edge.expect_healthy(1).await
    })
    .unwrap();
}
