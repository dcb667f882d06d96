//! The listener for operators.

use crate::bed::{Bed, with};
use anyhow::Result;
use doorward_store::database::Sqlite;
use doorward_testbed::{Request, Response, send};
use serde_json::{Value, json};

async fn post(bed: &Bed<Sqlite>, path: &str, body: &Value) -> Result<Response> {
    let request = Request::new("POST", path).header("Content-Type", "application/json; charset=utf-8");
    send(bed.admin, &request.body(body.to_string())).await
}

#[test]
fn tenants_and_tokens_are_made_listed_and_removed() {
    with(
        |_| {},
        async |bed| {
            let get = async |path: &str| send(bed.admin, &Request::get(path)).await;
            let remove = async |path: &str| send(bed.admin, &Request::new("DELETE", path)).await;
            let made = post(bed, "/tenants", &json!({ "id": "b", "name": "B", "profile": "entra" })).await?;
            assert_eq!((made.status, &made.json()?["profile"]), (201, &json!("entra")));
            let listed = get("/tenants").await?.json()?;
            assert_eq!((listed.as_array().unwrap().len(), &listed[1]), (2, &made.json()?));
            let new = json!({ "name": "ci", "expires": "2999-01-01T00:00:00Z" });
            let issued = post(bed, "/tenants/b/tokens", &new).await?;
            assert_eq!(issued.status, 201);
            let token = issued.json()?["token"].as_str().unwrap().to_owned();
            let scim = async || send(bed.address, &Request::get("/scim/v2/Users").bearer(&token)).await;
            assert_eq!(scim().await?.status, 201);
            let tokens = get("/tenants/b/tokens").await?;
            assert_eq!(
                (&tokens.json()?[0]["name"], &tokens.json()?[0]["expires"]),
                (&json!("ci"), &json!("2999-01-01T00:00:00.000Z"))
            );
            assert!(!tokens.text().contains(&token));
            assert_eq!(remove("/tenants/b/tokens/ci").await?.status, 204);
            assert_eq!(scim().await?.status, 401);
            assert_eq!(remove("/tenants/b/tokens/ci").await?.status, 404);
            assert_eq!(remove("/tenants/b").await?.status, 204);
            assert_eq!(get("/tenants/b/tokens").await?.status, 404);
            Ok(())
        },
    );
}

#[test]
fn a_fault_says_what_was_expected() {
    with(
        |_| {},
        async |bed| {
            for (path, body, status, error) in [
                (
                    "/tenants",
                    json!({ "id": "A", "name": "A", "profile": "rfc" }),
                    400,
                    "expected the id of a tenant",
                ),
                (
                    "/tenants",
                    json!({ "id": "a", "name": "A", "profile": "x" }),
                    400,
                    "profile: expected one of rfc, entra, ",
                ),
                ("/tenants", json!({ "id": "a", "name": "A" }), 400, "missing field `profile`"),
                (
                    "/tenants",
                    json!({ "id": "a", "name": "A", "profile": "rfc", "x": 1 }),
                    400,
                    "x: unknown field `x`",
                ),
                (
                    "/tenants",
                    json!({ "id": "acme", "name": "A", "profile": "rfc" }),
                    409,
                    "expected a new id",
                ),
                ("/tenants/acme/tokens", json!({ "name": "okta" }), 409, "expected a new name"),
                ("/tenants/acme/tokens", json!({ "name": "t", "expires": "soon" }), 400, "expires: expected"),
                (
                    "/tenants/acme/tokens",
                    json!({ "name": "t", "expires": "2001-01-01T00:00:00Z" }),
                    400,
                    "expected an expiry in the future",
                ),
                ("/tenants/nobody/tokens", json!({ "name": "t" }), 404, "expected a tenant"),
            ] {
                let response = post(bed, path, &body).await?;
                let found = response.json()?["error"].as_str().unwrap().to_owned();
                assert!(
                    response.status == status && found.starts_with(error),
                    "{body}: {} {found}",
                    response.status
                );
            }
            Ok(())
        },
    );
}

#[test]
fn a_page_of_the_web_is_refused() {
    with(
        |_| {},
        async |bed| {
            let body = json!({ "id": "b", "name": "B", "profile": "rfc" }).to_string();
            let new = || Request::new("POST", "/tenants").body(body.clone());
            let json = |request: Request| request.header("Content-Type", "application/json");
            for (request, expected) in [
                (json(new()).header("Host", "evil.example"), 403),
                (json(new()).header("Origin", "https://evil.example"), 403),
                (new().header("Content-Type", "text/plain"), 415),
                (new(), 415),
                (Request::get("/tenants").header("Host", "evil.example"), 403),
                (json(new()), 201),
            ] {
                assert_eq!(send(bed.admin, &request).await?.status, expected, "{request:?}");
            }
            Ok(())
        },
    );
}

#[test]
fn operators_are_not_listened_to_in_public() {
    with(
        |_| {},
        async |bed| {
            assert_eq!(send(bed.address, &Request::get("/tenants").bearer(&bed.token)).await?.status, 404);
            Ok(())
        },
    );
}
