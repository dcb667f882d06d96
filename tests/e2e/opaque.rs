//! Opaque tokens of a real OpenID provider, npm's oidc-provider, through its introspection endpoint.

use crate::support::{Edge, Provider, document, eventually, node, output};
use anyhow::{Context, Result};
use doorward_testbed::{EnvoyConfig, Request, run, send};
use serde_json::{Value, json};

const METRICS: &str = "wasmcustom.doorward.jwt_authn";

/// RFC 8037 appendix A.1; the provider has the public half.
fn private_key() -> Value {
    json!({
        "kty": "OKP", "crv": "Ed25519", "kid": "edge",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    })
}

/// A provider that is asked, with these members of `introspection` beside the usual ones.
pub(crate) fn asked(provider: &Provider, more: Value) -> Value {
    let mut introspection = json!({
        "uri": format!("{}/token/introspection", provider.issuer()), "cluster": "idp", "danger_allow_http": true,
    });
    introspection.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "issuer": provider.issuer(), "audiences": ["api"], "introspection": introspection })
}

pub(crate) fn by_secret() -> Value {
    json!({ "client_id": "edge", "client_secret": "secret", "cache_for": "1s" })
}

async fn edge(provider: &Provider, configuration: &Value, workers: u32) -> Result<Edge> {
    let addr = provider.addr;
    let change = |config: EnvoyConfig| config.cluster("idp", addr).concurrency(workers);
    Edge::start_with(configuration, change, |listener| listener).await
}

pub(crate) fn opaque_token(provider: &Provider) -> Result<String> {
    let mut command = node("client_credentials.mjs");
    let printed = output(command.args([provider.issuer(), "urn:api:opaque".to_owned()]))?;
    let token = printed["access_token"].as_str().context("expected an access token")?.to_owned();
    assert!(!token.contains('.'), "expected an opaque token: {token}");
    Ok(token)
}

pub(crate) async fn control(provider: &Provider, path: &str, body: &str) -> Result<()> {
    let request = Request::new("POST", path).header("host", provider.addr.to_string()).body(body);
    assert_eq!(send(provider.addr, &request).await?.status, 204);
    Ok(())
}

#[test]
fn opaque_tokens_pass_with_identity_until_they_are_withdrawn() {
    run(async {
        let provider = Provider::start().await?;
        let mut configuration = document(&asked(&provider, by_secret()));
        configuration["identity_headers"] = json!([
            { "header": "x-user-id", "claim": ["client_id"] }, { "header": "x-scope", "claim": ["scope"] },
        ]);
        let edge = edge(&provider, &configuration, 1).await?;
        let token = opaque_token(&provider)?;
        let request = Request::get("/").bearer(&token).header("X_User_Id", "root");
        for _ in 0..20 {
            let seen = edge.forwarded(&request).await?;
            assert_eq!(seen.text("x-user-id").as_deref(), Some("service"));
            assert_eq!(seen.text("x-scope").as_deref(), Some("read write"));
            assert_eq!((seen.text("authorization"), seen.text("x_user_id")), (None, None));
        }
        assert_eq!(edge.denied(&Request::get("/").bearer("invented")).await?, (401, "token_inactive".into()));
        // A waiting body arrives whole.
        let other = opaque_token(&provider)?;
        let post = Request::new("POST", "/").bearer(&other).body("x".repeat(100_000));
        assert_eq!(edge.forwarded(&post).await?.body.len(), 100_000);

        control(&provider, "/test/revoke", &token).await?;
        eventually("the withdrawn token is refused", async || Ok(edge.send(&request).await?.status == 401))
            .await?;
        let called = format!("{METRICS}.introspection.corp.called");
        eventually("calls are counted", async || {
            Ok(edge.envoy.stats().await?.get(&called).is_some_and(|count| *count > 2))
        })
        .await?;
        edge.expect_healthy(1).await
    })
    .unwrap();
}

#[test]
fn an_assertion_signed_by_our_key_is_accepted_too() {
    run(async {
        let provider = Provider::start().await?;
        let by_key = json!({ "client_id": "edge-key", "private_key": private_key() });
        let edge = edge(&provider, &document(&asked(&provider, by_key)), 1).await?;
        for _ in 0..3 {
            // The provider takes each assertion once.
            edge.forwarded(&Request::get("/").bearer(&opaque_token(&provider)?)).await?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_flood_with_one_token_asks_once_a_worker() {
    run(async {
        let provider = Provider::start().await?;
        let mut settings = by_secret();
        settings["cache_for"] = json!("1h");
        // The provider may be slow while other tests run.
        settings["timeout"] = json!("30s");
        let edge = edge(&provider, &document(&asked(&provider, settings)), 4).await?;
        let request = Request::get("/").bearer(&opaque_token(&provider)?);
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let (addr, request) = (edge.addr(), request.clone());
            clients.spawn(async move { send(addr, &request).await.map(|response| response.status) });
        }
        while let Some(status) = clients.join_next().await {
            assert_eq!(status??, 200);
        }
        let called = format!("{METRICS}.introspection.corp.called");
        let hit = format!("{METRICS}.introspection.corp.hit");
        eventually("all are counted", async || {
            let stats = edge.envoy.stats().await?;
            let count = |name| stats.get(name).copied().unwrap_or_default();
            assert!(count(&called) <= 4, "{}", count(&called));
            // Who waited is judged again, and then knows.
            Ok(count(&hit) == 200)
        })
        .await
    })
    .unwrap();
}

#[test]
fn a_provider_that_is_down_or_refuses_us_is_not_the_clients_fault() {
    run(async {
        let provider = Provider::start().await?;
        let edge = edge(&provider, &document(&asked(&provider, by_secret())), 1).await?;
        let token = opaque_token(&provider)?;
        control(&provider, "/test/down", "").await?;
        let denied = edge.send(&Request::get("/").bearer(&token)).await?;
        assert_eq!((denied.status, crate::support::code(&denied)), (503, "introspection_unavailable".into()));
        assert_eq!(denied.header("retry-after").as_deref(), Some("5"));
        control(&provider, "/test/up", "").await?;
        let request = Request::get("/").bearer(&token);
        eventually("the token passes", async || Ok(edge.send(&request).await?.status == 200)).await?;

        let wrong = json!({ "client_id": "edge", "client_secret": "wrong" });
        let edge = self::edge(&provider, &document(&asked(&provider, wrong)), 1).await?;
        assert_eq!(edge.denied(&request).await?, (503, "introspection_unavailable".into()));
        let log = edge.envoy.log();
        assert!(log.contains("the client's credentials are not accepted"), "{log}");
        assert!(!log.contains(&token), "a token is in the log");
        Ok(())
    })
    .unwrap();
}
