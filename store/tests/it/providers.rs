//! What identity providers really send, from one request to the next, and what is kept of it.

use crate::lab::{Lab, on_each, user};
use doorward::scim::Profile;
use doorward_store::service::Settings;
use serde_json::{Value, json};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

#[test]
fn entra_tests_the_connection_and_finds_nobody() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Entra, Settings::default()).await;
        for path in [
            "/Users?aadOptscim062020&filter=userName%20eq%20%22b4f0e2e6-8a52-4b0e-a7a5-7a2d1f0c7e11%22",
            "/Groups?excludedAttributes=members&filter=displayName%20eq%20%22b4f0e2e6%22",
            "/?aadOptscim062020",
        ] {
            let found = lab.get(path).await.is(200);
            assert_eq!(found.body["totalResults"], 0, "{path}");
            assert_eq!(found.body["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:ListResponse");
        }
    });
}

#[test]
fn entra_provisions_a_user_and_takes_it_away() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Entra, Settings::default()).await;
        let body = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
            "externalId": "jyoung", "userName": "j.young@example.com", "active": "True",
            "emails": [{ "primary": true, "type": "work", "value": "j.young@example.com" }],
            ENTERPRISE: { "manager": "123" },
        });
        let id = lab.send("POST", "/Users", body).await.is(201).id();
        let target = format!("/Users/{id}");
        for (operation, pointer, expected) in [
            (json!({ "op": "Replace", "path": "active", "value": "False" }), "/active", json!(false)),
            (
                json!({ "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "x@example.com" }),
                "/emails/0/value",
                json!("x@example.com"),
            ),
            (
                json!({ "op": "Replace", "path": "emails[type eq \"other\"].Value", "value": "o@example.com" }),
                "/emails/1/value",
                json!("o@example.com"),
            ),
            (
                json!({ "op": "Add", "path": format!("{ENTERPRISE}:manager"), "value": "271" }),
                "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/manager/value",
                json!("271"),
            ),
            (
                json!({ "op": "Add", "path": format!("{ENTERPRISE}:manager"), "value": "" }),
                "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/manager",
                Value::Null,
            ),
            (
                json!({ "op": "replace", "value": { "displayName": "B", "name.givenName": "K", format!("{ENTERPRISE}:employeeNumber"): "A" } }),
                "/name/givenName",
                json!("K"),
            ),
            (
                json!({ "op": "Replace", "path": "name", "value": { "familyName": null } }),
                "/name/givenName",
                json!("K"),
            ),
            (
                json!({ "op": "Add", "path": "roles", "value": [{ "value": "{\"id\":\"827f\",\"value\":\"Admin\",\"displayName\":\"A\"}" }] }),
                "/roles/0/value",
                json!("Admin"),
            ),
        ] {
            let answer = lab.patch(&target, json!([operation])).await;
            assert!(matches!(answer.status, 200 | 204), "{operation}: {answer:?}");
            let shown = lab.get(&target).await.is(200);
            assert_eq!(shown.body.pointer(pointer).unwrap_or(&Value::Null), &expected, "{operation}");
        }
        // One that is deactivated stays to be found.
        for filter in [
            "userName eq \"J.YOUNG@example.com\"",
            "externalId eq jyoung",
            "emails[type eq \"work\"].value eq \"X@example.com\"",
        ] {
            let filter: String = filter.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let found = lab.get(&format!("/Users?filter={filter}")).await.is(200);
            assert_eq!(found.body["totalResults"], 1, "{found:?}");
            assert_eq!(found.body["Resources"][0]["active"], false);
        }
        lab.send("DELETE", &target, Value::Null).await.is(204);
        lab.get(&target).await.is(404);
    });
}

#[test]
fn entra_changes_members_in_its_own_words() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Entra, Settings::default()).await;
        let (one, two) = (lab.user("one").await, lab.user("two").await);
        let body = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group", "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
            "externalId": "8aa1a0c0", "displayName": "staff", "meta": { "resourceType": "Group" },
        });
        let group = lab.send("POST", "/Groups", body).await.is(201).id();
        let target = format!("/Groups/{group}");
        for (operation, expected) in [
            (
                json!({ "op": "Add", "path": "members", "value": [{ "$ref": null, "value": one }] }),
                vec![&one],
            ),
            (
                json!({ "op": "Add", "path": "members", "value": [{ "$ref": null, "value": two }] }),
                vec![&one, &two],
            ),
            (
                json!({ "op": "Remove", "path": "members", "value": [{ "$ref": null, "value": one }] }),
                vec![&two],
            ),
            (json!({ "op": "remove", "path": format!("members[value eq \"{one}\"]") }), vec![&two]),
            (json!({ "op": "Replace", "path": "members", "value": null }), vec![]),
        ] {
            lab.patch(&target, json!([operation])).await.is(204);
            let expected: Vec<String> = expected.into_iter().cloned().collect();
            assert_eq!(lab.members(&group).await, expected, "{operation}");
        }
    });
}

#[test]
fn okta_provisions_deactivates_and_pushes_groups() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Okta, Settings::default()).await;
        let found = lab.get("/Users?filter=userName%20eq%20%22a%40x%22&startIndex=1&count=100").await.is(200);
        assert_eq!(
            (&found.body["totalResults"], &found.body["startIndex"], &found.body["itemsPerPage"]),
            (&json!(0), &json!(1), &json!(0))
        );
        let mut body = user("a@x");
        body["password"] = "1mz050nq".into();
        body["groups"] = json!([]);
        body["locale"] = "en-US".into();
        body["externalId"] = "00ujl29u0le5T6Aj10h7".into();
        let created = lab.send("POST", "/Users", body).await.is(201);
        let target = format!("/Users/{}", created.id());
        assert!(created.header("location").is_some());
        // It sends back what it got, with one thing changed.
        let mut echo = lab.get(&target).await.is(200).body;
        echo["displayName"] = "A".into();
        let replaced = lab.send("PUT", &target, echo).await.is(200);
        assert_eq!(replaced.body["displayName"], "A");
        lab.patch(&target, json!([{ "op": "replace", "value": { "active": false } }])).await;
        assert_eq!(lab.get(&target).await.body["active"], false);

        let group = lab.group("staff", &[&created.id()]).await;
        let pushed = format!("/Groups/{group}");
        let renamed = json!([{ "op": "replace", "value": { "id": "abf4", "displayName": "Renamed" } }]);
        lab.patch(&pushed, renamed).await;
        assert_eq!(lab.get(&pushed).await.body["displayName"], "Renamed");
        assert_eq!(lab.get(&pushed).await.id(), group);
        // One unknown member does not fail the push.
        let members = json!([{ "op": "replace", "path": "members", "value": [{ "value": created.id() }, { "value": "gone" }] }]);
        let answer = lab.patch(&pushed, members).await;
        assert!(matches!(answer.status, 200 | 204), "{answer:?}");
        assert_eq!(lab.members(&group).await, [created.id()]);
        lab.patch(&pushed, json!([{ "op": "replace", "path": "members", "value": [] }])).await;
        assert!(lab.members(&group).await.is_empty());
    });
}

#[test]
fn what_is_added_again_changes_nothing() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::JumpCloud, Settings::default()).await;
        let one = lab.user("one").await;
        let group = lab.group("staff", &[]).await;
        let target = format!("/Groups/{group}");
        let add = json!([{ "op": "add", "path": "members", "value": [{ "value": one }] }]);
        lab.patch(&target, add.clone()).await;
        let before = lab.get(&target).await.is(200);
        lab.patch(&target, add).await;
        let after = lab.get(&target).await.is(200);
        assert_eq!((before.body, before.headers), (after.body, after.headers));
    });
}

#[test]
fn the_strict_profile_softens_nothing() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let id = lab.user("one").await;
        let target = format!("/Users/{id}");
        for operation in [
            json!({ "op": "replace", "path": "active", "value": "False" }),
            json!({ "op": "replace", "path": "emails[type eq \"work\"].value", "value": "x" }),
            json!({ "op": "replace", "value": { "name.givenName": "K" } }),
        ] {
            assert_eq!(lab.patch(&target, json!([operation])).await.status, 400, "{operation}");
        }
        assert_eq!(lab.get("/Users?filter=externalId%20eq%20jyoung").await.status, 400);
        assert_eq!(lab.get(&target).await.header("etag"), Some("W/\"1\""));
    });
}
