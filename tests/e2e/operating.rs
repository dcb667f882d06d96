//! What operators see: rules that only report, and metrics.

use crate::support::{Edge, document, eventually, inline_provider, with};
use doorward_testbed::{Issuer, Request, run};
use serde_json::{Value, json};

const METRICS: &str = "wasmcustom.doorward.jwt_authn";

#[test]
fn a_rule_that_only_reports_denies_nothing_and_says_what_it_would_have_denied() {
    run(async {
        let issuer = Issuer::start().await?;
        let rules = json!([{ "match": {}, "require": { "provider": "issuer" }, "enforce": "report" }]);
        let provider = json!({ "providers": { "issuer": inline_provider(&issuer) } });
        let headers = json!([{ "header": "x-user-id", "claim": ["sub"] }]);
        let configuration = with(provider, json!({ "rules": rules, "identity_headers": headers }));
        let edge = Edge::start(&configuration).await?;

        let anonymous = edge.forwarded(&Request::get("/").header("X_User_Id", "root")).await?;
        assert_eq!(anonymous.text("x_user_id"), None, "identity headers are ours all the same");
        let expired = issuer.mint(&json!({ "iat": 1000, "nbf": 1000, "exp": 2000 }))?;
        let expired = edge.forwarded(&Request::get("/").bearer(&expired).header("x-user-id", "root")).await?;
        assert_eq!(expired.text("x-user-id"), None);
        let valid = edge.forwarded(&Request::get("/").bearer(&issuer.mint(&json!({}))?)).await?;
        assert_eq!(valid.text("x-user-id").as_deref(), Some("alice"));

        let reported =
            || edge.envoy.access_log().iter().map(|line| line["reported"].clone()).collect::<Vec<_>>();
        eventually("the access log is written", async || Ok(reported().len() == 3)).await?;
        assert_eq!(reported(), [json!("token_missing"), json!("token_expired"), Value::Null]);
        for (name, count) in
            [("reported.-.token_missing", 1), ("reported.issuer.token_expired", 1), ("allowed.issuer", 1)]
        {
            let name = format!("{METRICS}.{name}");
            eventually(&name, async || Ok(edge.envoy.stats().await?.get(&name) == Some(&count))).await?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn denials_are_counted_by_provider_and_code() {
    run(async {
        let issuer = Issuer::start().await?;
        let edge = Edge::start(&document(&inline_provider(&issuer))).await?;
        let wrong = issuer.mint(&json!({ "aud": "another" }))?;
        for _ in 0..3 {
            edge.denied(&Request::get("/").bearer(&wrong)).await?;
        }
        edge.denied(&Request::get("/")).await?;
        let missing = format!("{METRICS}.denied.-.token_missing");
        eventually("the counts are handed over", async || {
            Ok(edge.envoy.stats().await?.get(&missing) == Some(&1))
        })
        .await?;
        let stats = edge.envoy.stats().await?;
        let counted: Vec<_> =
            stats.into_iter().filter(|(name, _)| name.ends_with(".audience_not_allowed")).collect();
        assert_eq!(counted.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [3], "{counted:?}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn claims_reach_access_logs_and_rbac() {
    run(async {
        let issuer = Issuer::start().await?;
        let state = json!([{ "name": "sub", "claim": ["sub"] }, { "name": "plan", "claim": ["plan"] }]);
        let configuration = with(document(&inline_provider(&issuer)), json!({ "filter_state": state }));
        let gold =
            json!({ "filter_state": { "key": "wasm.doorward.plan", "string_match": { "exact": "gold" } } });
        let policy = json!({ "permissions": [{ "any": true }], "principals": [gold] });
        let rbac = json!({
            "name": "envoy.filters.http.rbac",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
                "rules": { "action": "ALLOW", "policies": { "gold": policy } },
            },
        });
        let edge =
            Edge::start_with(&configuration, |config| config, |listener| listener.http_filter(rbac)).await?;
        let send = async |plan: &str| -> anyhow::Result<u16> {
            let token = issuer.mint(&json!({ "plan": plan }))?;
            Ok(edge.send(&Request::get("/").bearer(&token)).await?.status)
        };
        assert_eq!(send("gold").await?, 200);
        assert_eq!(send("silver").await?, 403);
        assert_eq!(edge.send(&Request::get("/healthz")).await?.status, 403, "nobody's plan is gold");
        let logged = || {
            let log = edge.envoy.access_log();
            log.iter().map(|line| (line["subject"].clone(), line["provider"].clone())).collect::<Vec<_>>()
        };
        eventually("the access log is written", async || Ok(logged().len() == 3)).await?;
        let alice = (json!("alice"), json!("corp"));
        assert_eq!(logged(), [alice.clone(), alice, (Value::Null, Value::Null)]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn denials_are_logged_with_their_reason_and_within_bounds() {
    run(async {
        let issuer = Issuer::start().await?;
        let limits = json!({ "limits": { "denial_logs": 3 } });
        let edge = Edge::start(&with(document(&inline_provider(&issuer)), limits)).await?;
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let expired = issuer.mint(&json!({ "iat": 1000, "nbf": 1000, "exp": 2000 }))?;
        let request = Request::get("/private?x=hidden").bearer(&expired).header("traceparent", trace);
        for _ in 0..50 {
            edge.denied(&request).await?;
        }
        let lines = || -> Vec<Value> {
            let log = edge.envoy.log();
            let found = log.lines().filter_map(|line| line.get(line.find(r#"{"code""#)?..));
            found.filter_map(|json| serde_json::from_str(json).ok()).collect()
        };
        let found = lines();
        // At most three in each second that the requests took.
        assert!(!found.is_empty() && found.len() < 50, "{}", found.len());
        let first = &found[0];
        assert_eq!(first["event"], "denied");
        assert_eq!(first["code"], "token_expired");
        assert_eq!((&first["provider"], &first["rule"]), (&json!("corp"), &json!(1)));
        assert_eq!(first["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(first["kid"].is_string() && first["sub_hash"].as_str().is_some_and(|hash| hash.len() == 32));
        let log = edge.envoy.log();
        for private in ["alice", "hidden", &expired[..60]] {
            assert!(
                !log.lines().any(|line| line.contains(r#"{"code""#) && line.contains(private)),
                "{private}"
            );
        }
        Ok(())
    })
    .unwrap();
}
