//! The listener for operators.

use crate::bed::{Bed, with};
use anyhow::Result;
use doorward_store::database::{Database, Scope, Sqlite};
use doorward_store::sql::Statement;
use doorward_store::trail;
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
fn what_is_not_there_is_told() {
    with(
        |_| {},
        async |bed| {
            for (method, path, status, allow) in [
                ("GET", "/nothing", 404, None),
                ("GET", "/tenantsandmore", 404, None),
                ("GET", "/tenants/", 404, None),
                ("GET", "/tenants/acme/nothing", 404, None),
                ("DELETE", "/tenants//tokens", 404, None),
                ("GET", "/tenants/%ff/tokens", 400, None),
                ("PUT", "/tenants", 405, Some("GET, HEAD, POST")),
                ("GET", "/tenants/acme", 405, Some("DELETE")),
                ("POST", "/tenants/acme/roles/x/id/y", 405, Some("PUT, DELETE")),
                ("HEAD", "/tenants/acme/tokens", 200, None),
            ] {
                let response = send(bed.admin, &Request::new(method, path)).await?;
                assert_eq!(response.status, status, "{method} {path}");
                assert_eq!(response.header("allow").as_deref(), allow, "{method} {path}");
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

#[test]
fn roles_are_granted_listed_and_revoked() {
    with(
        |_| {},
        async |bed| {
            let ask = async |method: &str, path: &str| {
                let request = Request::new(method, path).header("X-Request-Id", "r-7");
                send(bed.admin, &request).await
            };
            let roles = "/tenants/acme/roles";
            assert_eq!(ask("GET", roles).await?.json()?, json!([]));
            // Percent-encoded, so that a name may have any sign.
            let admins = "/tenants/acme/roles/a%2Fb/displayName/All%20%C3%A9%2F%25";
            let granted = ask("PUT", admins).await?;
            let expected = json!({ "role": "a/b", "group": { "displayName": "All é/%" } });
            assert_eq!((granted.status, granted.json()?), (201, expected.clone()));
            assert_eq!(ask("PUT", admins).await?.status, 200);
            assert_eq!(ask("PUT", "/tenants/acme/roles/x/externalId/e1").await?.status, 201);
            let listed = ask("GET", roles).await?.json()?;
            assert_eq!(listed.as_array().map(Vec::len), Some(2));
            assert_eq!((&listed[0]["role"], &listed[0]["group"]), (&expected["role"], &expected["group"]));
            assert!(listed[0]["created"].as_str().is_some_and(|time| time.ends_with('Z')), "{listed}");
            assert_eq!(listed[1]["group"], json!({ "externalId": "e1" }));
            assert_eq!(ask("DELETE", admins).await?.status, 204);
            assert_eq!(ask("GET", roles).await?.json()?.as_array().map(Vec::len), Some(1));
            for (method, path, status, error) in [
                ("DELETE", admins, 404, "expected a grant, but the role \"a/b\""),
                ("DELETE", "/tenants/nobody/roles/x/id/y", 404, "expected a tenant"),
                ("PUT", "/tenants/nobody/roles/x/id/y", 404, "expected a tenant"),
                ("GET", "/tenants/nobody/roles", 404, "expected a tenant"),
                ("PUT", "/tenants/acme/roles/x/name/y", 400, "expected displayName, externalId or id"),
                ("PUT", "/tenants/acme/roles/%20/id/y", 400, "expected the name of a role"),
                ("PUT", "/tenants/acme/roles/x/id/%00", 400, "expected the id of groups"),
            ] {
                let response = ask(method, path).await?;
                let found = response.json()?["error"].as_str().unwrap().to_owned();
                assert!(response.status == status && found.starts_with(error), "{path}: {found}");
            }
            let foreign = Request::new("PUT", admins).header("Origin", "https://evil.example");
            assert_eq!(send(bed.admin, &foreign).await?.status, 403);
            let database = bed.tenants.database();
            let select = Statement::new(database.dialect(), "SELECT record FROM change ORDER BY sequence");
            let rows = database.read(Scope::Tenant("acme"), vec![select]).await?.remove(0);
            let record: Value = serde_json::from_str(rows[0].text(0)?)?;
            assert_eq!(
                (&record["actor"], &record["address"], &record["request_id"], &record["operation"]),
                (&json!("admin listener"), &json!("127.0.0.1"), &json!("r-7"), &json!("grant"))
            );
            assert_eq!((rows.len(), trail::verify(database.as_ref(), "acme").await?), (3, 3));
            Ok(())
        },
    );
}
