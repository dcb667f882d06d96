//! A real OpenID provider, npm's oidc-provider: keys from where it publishes them, its access tokens (RFC 9068) and its ID
//! tokens.

use crate::support::{Edge, Provider, eventually, node, output};
use anyhow::{Context, Result};
use doorward_testbed::{EnvoyConfig, Request, Response, run, send};
use serde_json::{Value, json};

/// What `node/keys.mjs` lets the provider sign with.
const SIGNING: [&str; 7] = ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"];

async fn edge(provider: &Provider) -> Result<Edge> {
    let issuer = provider.issuer();
    // Where the keys are is for the provider to say.
    let metadata = send(
        provider.addr,
        &Request::get("/.well-known/openid-configuration").header("host", provider.addr.to_string()),
    )
    .await?;
    let metadata = metadata.json()?;
    assert_eq!(metadata["issuer"], issuer);
    let remote = json!({
        "uri": metadata["jwks_uri"], "cluster": "idp", "refresh": "1s", "danger_allow_http": true,
    });
    let entry = |audiences: Value, typ: &str| json!({ "issuer": issuer, "audiences": audiences, "token_types": [typ], "jwks": { "remote": remote } });
    let clients: Vec<_> = SIGNING.iter().map(|algorithm| format!("web-{algorithm}")).collect();
    let rule = |prefix: &str, require: Value| json!({ "match": { "path": { "prefix": prefix } }, "require": require });
    let document = json!({
        "providers": {
            "api": entry(json!(["api"]), "at+jwt"),
            "web": entry(json!(clients), "JWT"),
            // The audience is right, the type is not.
            "confused": entry(json!(clients), "at+jwt"),
            "other": entry(json!(["another-api"]), "at+jwt"),
        },
        "rules": [
            rule("/api", json!({ "provider": "api" })),
            rule("/write", json!({ "provider": "api", "scopes": ["read", "write"] })),
            rule("/admin", json!({ "provider": "api", "scopes": ["read", "admin"] })),
            rule("/web", json!({ "provider": "web" })),
            rule("/confused", json!({ "provider": "confused" })),
            rule("/other", json!({ "provider": "other" })),
        ],
        "identity_headers": [
            { "header": "x-user-id", "claim": ["sub"] },
            { "header": "x-user-email", "claim": ["email"] },
            { "header": "x-user-groups", "claim": ["groups"], "list": "comma" },
            { "header": "x-client-id", "claim": ["client_id"] },
        ],
    });
    let addr = provider.addr;
    let change = |config: EnvoyConfig| config.cluster("idp", addr);
    Edge::start_with(&document, change, |listener| listener).await
}

pub(crate) fn access_token(provider: &Provider, algorithm: &str, scope: &str) -> Result<String> {
    let resource = format!("urn:api:{algorithm}");
    let mut command = node("client_credentials.mjs");
    let printed = output(command.args([provider.issuer(), resource, scope.to_owned()]))?;
    Ok(printed["access_token"].as_str().context("expected an access token")?.to_owned())
}

/// ID token and access token of a user.
fn login(provider: &Provider, algorithm: &str) -> Result<(String, String)> {
    let printed = output(node("login.mjs").args([provider.issuer(), algorithm.to_owned()]))?;
    let token = |name: &str| printed[name].as_str().map(str::to_owned).context("expected both tokens");
    Ok((token("id_token")?, token("access_token")?))
}

fn challenge(response: &Response) -> String {
    response.header("www-authenticate").unwrap_or_default()
}

fn get(path: &str, token: &str) -> Request {
    Request::get(path).bearer(token)
}

const MANAGED: [&str; 4] = ["x-user-id", "x-user-email", "x-user-groups", "x-client-id"];

#[test]
fn access_tokens_of_every_algorithm_are_accepted() {
    run(async {
        let provider = Provider::start().await?;
        let edge = edge(&provider).await?;
        for algorithm in SIGNING {
            let token = access_token(&provider, algorithm, "read")?;
            let seen = edge.forwarded(&get("/api", &token)).await.context(algorithm)?;
            let found: Vec<_> = MANAGED.iter().map(|name| seen.text(name)).collect();
            // A service has no e-mail address and no groups.
            let service = || Some("service".to_owned());
            assert_eq!(found, [service(), None, None, service()], "{algorithm}");
        }
        let token = access_token(&provider, "ES256", "read")?;
        assert_eq!(edge.denied(&get("/other", &token)).await?, (401, "audience_not_allowed".into()));
        assert_eq!(edge.denied(&get("/web", &token)).await?, (401, "token_type_not_allowed".into()));

        let both = access_token(&provider, "ES256", "read write")?;
        edge.forwarded(&get("/write", &both)).await?;
        assert_eq!(edge.denied(&get("/write", &token)).await?, (403, "scope_missing".into()));
        let response = edge.send(&get("/admin", &both)).await?;
        let expected = r#"Bearer error="insufficient_scope", error_description="The token lacks a scope", scope="read admin""#;
        assert_eq!((response.status, challenge(&response).as_str()), (403, expected));
        edge.expect_healthy(1).await
    })
    .unwrap();
}

#[test]
fn id_tokens_and_access_tokens_are_not_taken_for_each_other() {
    run(async {
        let provider = Provider::start().await?;
        let edge = edge(&provider).await?;
        for algorithm in SIGNING {
            let (id_token, access_token) = login(&provider, algorithm)?;
            let found =
                |seen: doorward_testbed::Seen| MANAGED.map(|name| seen.text(name).unwrap_or_default());
            let seen = edge.forwarded(&get("/web", &id_token)).await.context(algorithm)?;
            // An ID token names its client in `aud` only.
            assert_eq!(found(seen), ["alice", "alice@example.com", "admins,engineering", ""], "{algorithm}");
            let seen = edge.forwarded(&get("/api", &access_token)).await.context(algorithm)?;
            let client = format!("web-{algorithm}");
            assert_eq!(
                found(seen),
                ["alice", "alice@example.com", "admins,engineering", &client],
                "{algorithm}"
            );

            for path in ["/confused", "/api"] {
                let denied = edge.denied(&get(path, &id_token)).await?;
                assert_eq!(denied, (401, "token_type_not_allowed".into()), "{algorithm} {path}");
            }
            assert_eq!(
                edge.denied(&get("/web", &access_token)).await?,
                (401, "token_type_not_allowed".into())
            );
        }
        edge.expect_healthy(1).await
    })
    .unwrap();
}

#[test]
fn rotation_and_outage_of_the_provider_are_survived() {
    run(async {
        let provider = Provider::start().await?;
        let edge = edge(&provider).await?;
        let old = get("/api", &access_token(&provider, "ES256", "read")?);
        edge.forwarded(&old).await?;
        let control = |path| Request::new("POST", path).header("host", provider.addr.to_string());
        assert_eq!(send(provider.addr, &control("/test/rotate")).await?.status, 204);
        let new = get("/api", &access_token(&provider, "ES256", "read")?);
        eventually("the new keys are there", async || Ok(edge.send(&new).await?.status == 200)).await?;
        assert_eq!(edge.denied(&old).await?, (401, "key_not_found".into()));

        assert_eq!(send(provider.addr, &control("/test/down")).await?.status, 204);
        let failures = || edge.envoy.log().matches("expected status 200, but found 503").count();
        eventually("fetches fail", async || {
            edge.forwarded(&new).await?;
            Ok(failures() > 2)
        })
        .await?;
        edge.forwarded(&new).await?;
        assert_eq!(send(provider.addr, &control("/test/up")).await?.status, 204);
        Ok(())
    })
    .unwrap();
}
