//! What a client is shown of a resource.

use crate::lab::{Lab, on_each, user};
use doorward::scim::{PageLimits, Profile};
use doorward_store::service::Settings;
use serde_json::{Value, json};

#[test]
fn what_is_shown_as_it_is_kept_is_what_is_shown_of_each_attribute() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let one = lab.user("one").await;
        let mut rich = user("rich \"\u{e9}\u{1f600}\\ ");
        rich["schemas"] = json!([
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
        ]);
        rich["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"] =
            json!({ "department": "}", "manager": { "value": one } });
        rich["emails"] =
            json!([{ "value": "a@b.example", "type": "work", "primary": true }, { "value": "c@d.example" }]);
        rich["password"] = "secret".into();
        let created = lab.send("POST", "/Users", rich).await.is(201);
        let id = created.id();
        let group = lab.group("staff", &[&id, &one]).await;
        for target in [format!("/Users/{id}"), format!("/Users/{one}"), format!("/Groups/{group}")] {
            let plain = lab.get(&target).await.is(200);
            let parsed = lab.get(&format!("{target}?excludedAttributes=urn:x:y")).await.is(200);
            assert_eq!(plain.body, parsed.body);
            assert!(!plain.body.to_string().contains("secret"));
            let (kind, id) = target.trim_start_matches('/').split_once('/').unwrap();
            for more in ["", "&excludedAttributes=urn:x:y"] {
                let list = lab.get(&format!("/{kind}?filter=id%20eq%20%22{id}%22{more}")).await.is(200);
                assert_eq!(list.body["Resources"], json!([plain.body]), "{more}");
            }
        }
        assert_eq!(lab.get(&format!("/Users/{id}")).await.body["groups"][0]["value"], group);
    });
}

#[test]
fn a_patch_of_a_large_group_is_answered_without_it() {
    on_each(async |kind| {
        let settings =
            Settings { pages: PageLimits { default_count: 2, max_count: 9 }, ..Settings::default() };
        let lab = Lab::with(kind, Profile::Rfc, settings).await;
        let [one, two, three] = [lab.user("one").await, lab.user("two").await, lab.user("three").await];
        let group = lab.group("staff", &[&one]).await;
        let target = format!("/Groups/{group}");
        let add = |id: &str| json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }]);
        let small = lab.patch(&target, add(&two)).await.is(200);
        assert_eq!(small.body["members"].as_array().map(Vec::len), Some(2));
        let large = lab.patch(&target, add(&three)).await.is(204);
        assert_eq!(large.header("etag"), Some("W/\"3\""));
        let named = lab.patch(&format!("{target}?attributes=members"), add(&three)).await.is(200);
        assert_eq!(named.body["members"].as_array().map(Vec::len), Some(3));
        let other = json!([{ "op": "replace", "path": "displayName", "value": "all" }]);
        let excluded = lab.patch(&format!("{target}?excludedAttributes=members"), other).await.is(200);
        assert_eq!(excluded.body["displayName"], "all");
        let remove = json!([{ "op": "remove", "path": format!("members[value eq \"{three}\"]") }]);
        assert_eq!(
            lab.patch(&target, remove).await.is(200).body["members"].as_array().map(Vec::len),
            Some(2)
        );
        assert_eq!(lab.members(&group).await.len(), 2);
    });
}

#[test]
fn a_large_group_is_shown_whole() {
    on_each(async |kind| {
        let settings = Settings {
            pages: PageLimits { default_count: 2_000, max_count: 2_000 },
            bulk: doorward::scim::BulkLimits { max_operations: 2_000, max_payload_size: 1 << 20 },
            ..Settings::default()
        };
        let lab = Lab::with(kind, Profile::Rfc, settings).await;
        let operations: Vec<Value> = (0..1_001)
            .map(|number| json!({ "method": "POST", "path": "/Users", "bulkId": "x", "data": user(&format!("u{number}")) }))
            .enumerate()
            .map(|(number, mut operation)| {
                operation["bulkId"] = format!("b{number}").into();
                operation
            })
            .collect();
        let bulk = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations });
        lab.send("POST", "/Bulk", bulk).await.is(200);
        let listed = lab.get("/Users?attributes=id").await.is(200);
        let ids: Vec<&str> = listed.body["Resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids.len(), 1_001);
        let group = lab.group("all", &ids).await;
        let target = format!("/Groups/{group}");
        let in_parts = lab.get(&target).await.is(200);
        let at_once = lab.get(&format!("{target}?excludedAttributes=urn:x:y")).await.is(200);
        assert_eq!(in_parts.body, at_once.body);
        assert_eq!(in_parts.header("etag"), at_once.header("etag"));
        assert_eq!(in_parts.body["members"].as_array().map(Vec::len), Some(1_001));
        let answered =
            lab.patch(&target, json!([{ "op": "replace", "path": "displayName", "value": "x" }])).await;
        assert_eq!(answered.is(200).body["members"], in_parts.body["members"]);
    });
}
