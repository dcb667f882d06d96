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
