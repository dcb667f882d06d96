//! Roles that groups grant.

use crate::lab::{Answer, BASE, Lab, on_each, run, user};
use doorward::scim::Profile;
use doorward_store::audit::Origin;
use doorward_store::role::GroupKey;
use doorward_store::service::Settings;
use doorward_store::tenants::{TenantError, Tenants};
use doorward_store::trail;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::sync::Arc;

fn name(text: &str) -> GroupKey {
    GroupKey::DisplayName(text.to_owned())
}

fn granted(roles: &[&str]) -> Value {
    roles.iter().map(|role| json!({ "value": role, "type": "granted" })).collect()
}

/// The roles in a resource.
fn roles(resource: &Value) -> Value {
    resource.get("roles").cloned().unwrap_or(json!([]))
}

async fn lab(kind: crate::lab::Kind) -> Lab {
    Lab::with(kind, Profile::Rfc, Settings::default()).await
}

/// What a user is shown with, which is the same wherever it is shown.
async fn shown(lab: &Lab, id: &str) -> Value {
    let plain = roles(&lab.get(&format!("/Users/{id}")).await.is(200).body);
    let one = format!("filter=id%20eq%20%22{id}%22");
    let search = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": format!("id eq \"{id}\""),
    });
    let places = [
        lab.get(&format!("/Users/{id}?attributes=roles")).await.is(200).body,
        lab.get(&format!("/Users/{id}?excludedAttributes=groups")).await.is(200).body,
        lab.get(&format!("/Users?{one}")).await.is(200).body["Resources"][0].clone(),
        lab.get(&format!("/Users?{one}&attributes=roles")).await.is(200).body["Resources"][0].clone(),
        lab.get(&format!("/?{one}&sortBy=id")).await.is(200).body["Resources"][0].clone(),
        lab.send("POST", "/Users/.search", search).await.is(200).body["Resources"][0].clone(),
    ];
    for place in places {
        assert_eq!(roles(&place), plain, "{place}");
    }
    plain
}

async fn rename(lab: &Lab, group: &str, to: &str) {
    let replace = json!([{ "op": "replace", "path": "displayName", "value": to }]);
    lab.patch(&format!("/Groups/{group}"), replace).await.is(200);
}

#[test]
fn who_is_in_a_group_has_its_roles() {
    on_each(async |kind| {
        let lab = lab(kind).await;
        let (one, other) = (lab.user("one").await, lab.user("other").await);
        let group = lab.group("Größe", &[&one]).await;
        let second = lab.group("second", &[&one, &other]).await;
        assert_eq!(shown(&lab, &one).await, json!([]));
        assert!(lab.grant("admin", &name("GRÖßE")).await);
        assert!(!lab.grant("admin", &name("größe")).await, "it is granted already");
        assert_eq!(shown(&lab, &one).await, granted(&["admin"]));
        assert_eq!(shown(&lab, &other).await, json!([]));
        // The same role by another group is one role.
        lab.grant("admin", &GroupKey::Id(second.clone())).await;
        lab.grant("Reader", &GroupKey::Id(second.clone())).await;
        assert_eq!(shown(&lab, &one).await, granted(&["Reader", "admin"]));
        assert_eq!(shown(&lab, &other).await, granted(&["Reader", "admin"]));
        // Groups are shown, but have no roles; nor has who is in a group of a group.
        let outer = lab.group("outer", &[&group]).await;
        lab.grant("outer", &name("outer")).await;
        assert_eq!(shown(&lab, &one).await, granted(&["Reader", "admin"]));
        let nested = lab.get(&format!("/Groups/{group}")).await.is(200);
        assert!(nested.body.get("roles").is_none(), "{nested:?}");
        lab.send("DELETE", &format!("/Groups/{outer}"), Value::Null).await.is(204);
        // Another name, and it is gone; by its id it stays.
        rename(&lab, &group, "elsewhere").await;
        lab.revoke("admin", &GroupKey::Id(second.clone())).await;
        assert_eq!(shown(&lab, &one).await, granted(&["Reader"]));
        rename(&lab, &group, "GRÖßE").await;
        assert_eq!(shown(&lab, &one).await, granted(&["Reader", "admin"]));
        rename(&lab, &second, "anything").await;
        lab.send("DELETE", &format!("/Groups/{group}"), Value::Null).await.is(204);
        assert_eq!(shown(&lab, &one).await, granted(&["Reader"]));
        let leave = json!([{ "op": "remove", "path": format!("members[value eq \"{one}\"]") }]);
        lab.patch(&format!("/Groups/{second}"), leave).await.is(200);
        assert_eq!(shown(&lab, &one).await, json!([]));
        assert_eq!(shown(&lab, &other).await, granted(&["Reader"]));
        lab.revoke("Reader", &GroupKey::Id(second)).await;
        assert_eq!(shown(&lab, &other).await, json!([]));
        assert!(trail::verify(lab.database(), "a").await.unwrap() > 10);
    });
}

#[test]
fn an_external_id_is_compared_exactly() {
    on_each(async |kind| {
        let lab = lab(kind).await;
        let one = lab.user("one").await;
        let group = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "x", "externalId": "Ab",
            "members": [{ "value": one }],
        });
        lab.send("POST", "/Groups", group).await.is(201);
        lab.grant("other", &GroupKey::ExternalId("ab".to_owned())).await;
        assert_eq!(shown(&lab, &one).await, json!([]));
        lab.grant("own", &GroupKey::ExternalId("Ab".to_owned())).await;
        assert_eq!(shown(&lab, &one).await, granted(&["own"]));
        // A key is one of its kind alone.
        lab.grant("name", &name("Ab")).await;
        lab.grant("id", &GroupKey::Id("x".to_owned())).await;
        assert_eq!(shown(&lab, &one).await, granted(&["own"]));
    });
}

#[test]
fn granted_roles_stand_beside_those_that_are_provisioned() {
    on_each(async |kind| {
        let lab = lab(kind).await;
        let own = json!([{ "value": "admin", "primary": true }, { "value": "b", "type": "work" }]);
        let mut body = user("one");
        body["roles"] = own.clone();
        body["roles"].as_array_mut().unwrap().push(json!({ "value": "mine", "type": "GRANTED" }));
        let created = lab.send("POST", "/Users", body.clone()).await.is(201);
        assert_eq!(created.body["roles"], own);
        let id = created.id();
        assert_eq!(shown(&lab, &id).await, own);
        let group = lab.group("staff", &[&id]).await;
        lab.grant("admin", &name("staff")).await;
        let both = json!([own[0], own[1], { "value": "admin", "type": "granted" }]);
        assert_eq!(shown(&lab, &id).await, both);

        // What is sent back changes nothing.
        let target = format!("/Users/{id}");
        let before = lab.get(&target).await.is(200);
        let is_same = |answer: Answer| {
            assert_eq!((answer.status, &answer.body), (200, &before.body), "{answer:?}");
            assert_eq!(answer.header("etag"), before.header("etag"));
        };
        is_same(lab.send("PUT", &target, before.body.clone()).await);
        for operations in [
            json!([{ "op": "replace", "path": "roles", "value": both }]),
            json!([{ "op": "add", "path": "roles", "value": both }]),
            json!([{ "op": "replace", "value": { "roles": both } }]),
            json!([{ "op": "add", "path": "roles", "value": [{ "value": "x", "type": "Granted", "primary": true }] }]),
            json!([{ "op": "remove", "path": "roles[type eq \"granted\"]" }]),
            json!([{ "op": "replace", "path": "roles[value eq \"b\"].type", "value": "granted" }]),
        ] {
            is_same(lab.patch(&target, operations).await);
        }
        // By the same word those that are provisioned are found, and no others.
        let remove = json!([{ "op": "remove", "path": "roles[value eq \"admin\"]" }]);
        let left = json!([own[1], { "value": "admin", "type": "granted" }]);
        assert_eq!(lab.patch(&target, remove.clone()).await.is(200).body["roles"], left);
        assert_eq!(lab.patch(&target, remove).await.is(400).scim_type(), "noTarget");
        let mut put = user("one");
        put["roles"] = json!([{ "value": "c" }, { "value": "admin", "type": "granted" }]);
        let replaced = lab.send("PUT", &target, put).await.is(200);
        assert_eq!(
            replaced.body["roles"],
            json!([{ "value": "c" }, { "value": "admin", "type": "granted" }])
        );
        assert_eq!(replaced.header("etag"), Some("W/\"3\""));
        assert_eq!(lab.send("PUT", &target, user("one")).await.is(200).body["roles"], granted(&["admin"]));
        assert_eq!(shown(&lab, &id).await, granted(&["admin"]));
        // Who becomes or ceases to be a member is no change of the user, as with `groups`.
        lab.send("DELETE", &format!("/Groups/{group}"), Value::Null).await.is(204);
        let last = lab.get(&target).await.is(200);
        assert_eq!((roles(&last.body), last.header("etag")), (json!([]), Some("W/\"4\"")));
        lab.send("DELETE", &target, Value::Null).await.is(204);
    });
}

#[test]
fn what_was_kept_as_granted_before_is_not_shown() {
    run(async {
        let lab = Lab::new(Profile::Rfc).await;
        let mut body = user("one");
        body["roles"] = json!([{ "value": "a", "type": "work" }, { "value": "b" }]);
        let id = lab.send("POST", "/Users", body).await.is(201).id();
        let older = "UPDATE resource SET data = replace(data, '\"work\"', '\"Granted\"')";
        lab.connection().execute_batch(older).unwrap();
        assert_eq!(shown(&lab, &id).await, json!([{ "value": "b" }]));
        assert_eq!(lab.get("/Users?filter=roles.value%20eq%20%22a%22").await.is(200).body["totalResults"], 0);
    });
}

#[test]
fn roles_are_found_by_filters() {
    on_each(async |kind| {
        let lab = lab(kind).await;
        let (one, two) = (lab.user("one").await, lab.user("two").await);
        let mut body = user("three");
        body["roles"] = json!([{ "value": "admin" }]);
        let three = lab.send("POST", "/Users", body).await.is(201).id();
        lab.group("staff", &[&one]).await;
        let found = async |filter: &str| -> Vec<String> {
            let encoded: String = filter.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let page = lab.get(&format!("/Users?filter={encoded}")).await.is(200);
            let found = page.body["Resources"].as_array().cloned().unwrap_or_default();
            assert_eq!(page.body["totalResults"], found.len(), "{filter}");
            found.iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect()
        };
        let pr = "roles pr";
        assert_eq!(found(pr).await, std::slice::from_ref(&three));
        lab.grant("admin", &name("staff")).await;
        for (filter, expected) in [
            (pr, vec![&one, &three]),
            ("roles.value eq \"ADMIN\"", vec![&one, &three]),
            ("roles eq \"admin\"", vec![&one, &three]),
            ("roles[type eq \"Granted\" and value eq \"admin\"]", vec![&one]),
            ("roles[type eq \"granted\" and value eq \"x\"]", vec![]),
            ("not (roles pr)", vec![&two]),
            ("roles.type eq \"granted\" and userName sw \"o\"", vec![&one]),
            ("roles.value eq \"admin\" or userName eq \"two\"", vec![&one, &two, &three]),
        ] {
            assert_eq!(found(filter).await.iter().collect::<Vec<_>>(), expected, "{filter}");
        }
    });
}

#[test]
fn grants_of_one_tenant_are_nothing_to_another() {
    on_each(async |kind| {
        let lab = lab(kind).await;
        let theirs = lab.send_as("b", "POST", "/Users", user("one"), |request| request).await.is(201).id();
        let group = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "staff", "externalId": "s",
            "members": [{ "value": theirs }],
        });
        let group = lab.send_as("b", "POST", "/Groups", group, |request| request).await.is(201).id();
        for key in [name("staff"), GroupKey::ExternalId("s".to_owned()), GroupKey::Id(group)] {
            lab.grant("admin", &key).await;
        }
        let target = format!("/Users/{theirs}");
        let get = async |target: &str| lab.send_as("b", "GET", target, Value::Null, |request| request).await;
        assert!(!get("/changes").await.body.to_string().contains("roles"));
        assert_eq!(lab.tenants().grants("b").await, Ok(Vec::new()));
        // Whoever grants nothing is not even asked.
        for own in [None, Some("own")] {
            if let Some(own) = own {
                let granted = lab.tenants().grant_role("b", own, &name("nobody"), Origin::default(), 1).await;
                assert_eq!(granted, Ok(true));
            }
            for target in [target.as_str(), "/Users", "/Users?filter=roles%20pr", "/changes"] {
                let found = get(target).await.is(200);
                assert!(!found.body.to_string().contains("admin"), "{found:?}");
            }
        }
        let feed = get("/changes").await.is(200);
        assert_eq!(feed.body["changes"].as_array().map(Vec::len), Some(3));
        assert_eq!(feed.body["changes"][0]["roles"], json!([]));
        let no_grant = lab.tenants().revoke_role("b", "admin", &name("staff"), Origin::default(), 1).await;
        assert_eq!(no_grant, Err(TenantError::NoGrant("admin".to_owned())));
        assert_eq!(lab.tenants().grants("a").await.unwrap().len(), 3);
        // They go with their tenant.
        lab.tenants().remove("a").await.unwrap();
        lab.tenants().create("a", "a", Profile::Rfc, 1).await.unwrap();
        assert_eq!(lab.tenants().grants("a").await, Ok(Vec::new()));
        assert_eq!(lab.tenants().grants("b").await.unwrap().len(), 1);
    });
}

#[test]
fn the_first_grant_of_another_process_is_seen_within_five_seconds() {
    on_each(async |kind| {
        let lab = lab(kind).await;
        let one = lab.user("one").await;
        lab.group("staff", &[&one]).await;
        let target = format!("/Users/{one}");
        let process = Tenants::new(lab.shared_database());
        assert_eq!(roles(&lab.get(&target).await.body), json!([]));
        process.grant_role("a", "admin", &name("staff"), Origin::default(), 1).await.unwrap();
        // Each request comes a second after the one before.
        let mut seen = Vec::new();
        for _ in 0..5 {
            seen.push(roles(&lab.get(&target).await.body) == granted(&["admin"]));
        }
        assert_eq!((seen[0], seen[4]), (false, true), "{seen:?}");
        // The second one at once.
        process.grant_role("a", "other", &name("staff"), Origin::default(), 1).await.unwrap();
        assert_eq!(roles(&lab.get(&target).await.body), granted(&["admin", "other"]));
    });
}

#[test]
fn whoever_reads_of_a_grant_in_the_feed_sees_its_roles() {
    on_each(async |kind| {
        let lab = lab(kind).await;
        let one = lab.user("one").await;
        lab.group("staff", &[&one]).await;
        assert_eq!(roles(&lab.get(&format!("/Users/{one}")).await.body), json!([]));
        let process = Tenants::new(lab.shared_database());
        process.grant_role("a", "admin", &name("staff"), Origin::default(), 1).await.unwrap();
        let told = lab.get("/changes").await.is(200);
        assert_eq!(told.body["changes"][2]["operation"], "grant");
        assert_eq!(roles(&lab.get(&format!("/Users/{one}")).await.body), granted(&["admin"]));
    });
}

#[test]
fn a_tenant_has_so_many_grants_and_no_more() {
    on_each(async |kind| {
        let lab = lab(kind).await;
        let tenants = lab.tenants();
        let grant = |number: usize| async move {
            let role = format!("role {number}");
            tenants.grant_role("a", &role, &name("staff"), Origin::default(), 1).await
        };
        let numbers: Vec<usize> = (0..1_000).collect();
        for at_once in numbers.chunks(kind.at_once()) {
            for outcome in join_all(at_once.iter().copied().map(grant)).await {
                assert_eq!(outcome, Ok(true));
            }
        }
        assert_eq!(grant(1_000).await, Err(TenantError::TooManyGrants(1_000)));
        assert_eq!(grant(7).await, Ok(false), "it is there");
        assert_eq!(tenants.grants("a").await.unwrap().len(), 1_000);
        assert_eq!(trail::verify(lab.database(), "a").await, Ok(1_000));
        let one = lab.user("one").await;
        lab.group("staff", &[&one]).await;
        assert_eq!(shown(&lab, &one).await.as_array().map(Vec::len), Some(1_000));
        for (tenant, role, group, expected) in [
            ("nobody", "r", name("g"), TenantError::NoTenant("nobody".to_owned())),
            ("a", " r", name("g"), TenantError::BadRole(" r".to_owned())),
            ("a", "r", name(""), TenantError::BadGroup("displayName")),
        ] {
            let granted = tenants.grant_role(tenant, role, &group, Origin::default(), 1).await;
            assert_eq!(granted, Err(expected));
        }
        let nobodys = tenants.revoke_role("nobody", "r", &name("g"), Origin::default(), 1).await;
        assert_eq!(nobodys, Err(TenantError::NoTenant("nobody".to_owned())));
        for role in ["r", "a\0"] {
            let none = tenants.revoke_role("a", role, &name("g"), Origin::default(), 1).await;
            assert_eq!(none, Err(TenantError::NoGrant(role.to_owned())));
        }
    });
}

/// The changes after a place, without what is the same of all.
async fn told(lab: &Lab, since: &mut String) -> Vec<Value> {
    let page = lab.get(&format!("/changes?since={since}")).await.is(200);
    page.body["next"].as_str().unwrap().clone_into(since);
    let changes = page.body["changes"].as_array().unwrap();
    let of = |change: &Value| {
        let mut told = json!({ "operation": change["operation"], "id": change["id"] });
        for name in ["roles", "members", "group"] {
            if let Some(value) = change.get(name) {
                told[name] = value.clone();
            }
        }
        told
    };
    changes.iter().map(of).collect()
}

fn listed(added: &[&str], removed: &[&str]) -> Value {
    json!({ "added": added, "removed": removed })
}

#[test]
fn the_feed_tells_whose_roles_may_have_changed() {
    on_each(async |kind| {
        let lab = lab(kind).await;
        let mut since = String::new();
        let (one, two) = (lab.user("one").await, lab.user("two").await);
        let group = lab.group("staff", &[&one]).await;
        assert_eq!(
            told(&lab, &mut since).await,
            [&one, &two, &group].map(|id| json!({ "operation": "create", "id": id })),
            "nothing of roles where none are granted"
        );
        lab.grant("admin", &name("Staff")).await;
        let page = lab.get(&format!("/changes?since={since}")).await.is(200);
        let entry = page.body["changes"][0].clone();
        let keys: Vec<&String> = entry.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 9, "{entry}");
        assert_eq!((&entry["resourceType"], &entry["attributes"]), (&json!("Role"), &json!([])));
        let grant = |operation: &str| json!({ "operation": operation, "id": "admin", "roles": ["admin"], "group": { "displayName": "Staff" }, "members": "many" });
        assert_eq!(told(&lab, &mut since).await, [grant("grant")]);

        let target = format!("/Groups/{group}");
        let rename = |to: &str| json!([{ "op": "replace", "path": "displayName", "value": to }]);
        let with = |id: &str| json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }]);
        let without = |id: &str| json!([{ "op": "remove", "path": format!("members[value eq \"{id}\"]") }]);
        let patched = |members: Value| json!({ "operation": "patch", "id": group, "roles": ["admin"], "members": members });
        lab.patch(&target, with(&two)).await.is(200);
        assert_eq!(told(&lab, &mut since).await, [patched(listed(&[&two], &[]))]);
        lab.patch(&target, without(&one)).await.is(200);
        assert_eq!(told(&lab, &mut since).await, [patched(listed(&[], &[&one]))]);
        let external = json!([{ "op": "add", "path": "externalId", "value": "x" }]);
        lab.patch(&target, external).await.is(200);
        assert_eq!(told(&lab, &mut since).await, [patched(listed(&[], &[]))]);
        // Of all that are taken out it is told who they were.
        lab.patch(&target, json!([{ "op": "remove", "path": "members" }])).await.is(200);
        assert_eq!(told(&lab, &mut since).await, [patched(listed(&[], &[&two]))]);
        let put = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "staff",
            "members": [{ "value": one }],
        });
        lab.send("PUT", &target, put).await.is(200);
        let replaced = json!({ "operation": "replace", "id": group, "roles": ["admin"], "members": listed(&[&one], &[]) });
        assert_eq!(told(&lab, &mut since).await, [replaced]);
        // It stops, and begins again: for all who are in it.
        lab.patch(&target, rename("other")).await.is(200);
        assert_eq!(told(&lab, &mut since).await, [patched(json!("many"))]);
        lab.patch(&target, with(&two)).await.is(200);
        assert_eq!(told(&lab, &mut since).await, [json!({ "operation": "patch", "id": group })]);
        lab.patch(&target, rename("STAFF")).await.is(200);
        assert_eq!(told(&lab, &mut since).await, [patched(json!("many"))]);

        // Users are told with the roles that they have when that is read.
        let nick = json!([{ "op": "add", "path": "nickName", "value": "n" }]);
        lab.patch(&format!("/Users/{one}"), nick).await.is(200);
        let three = lab.user("three").await;
        lab.send("DELETE", &format!("/Users/{three}"), Value::Null).await.is(204);
        assert_eq!(
            told(&lab, &mut since).await,
            [
                json!({ "operation": "patch", "id": one, "roles": ["admin"] }),
                json!({ "operation": "create", "id": three, "roles": [] }),
                json!({ "operation": "delete", "id": three, "roles": [] }),
            ]
        );
        let second = lab.group("staff", &[&one, &two]).await;
        let mut both = [one.as_str(), two.as_str()];
        both.sort_unstable();
        let created =
            json!({ "operation": "create", "id": second, "roles": ["admin"], "members": listed(&both, &[]) });
        assert_eq!(told(&lab, &mut since).await, [created]);
        lab.send("DELETE", &format!("/Groups/{second}"), Value::Null).await.is(204);
        let gone =
            json!({ "operation": "delete", "id": second, "roles": ["admin"], "members": listed(&[], &both) });
        assert_eq!(told(&lab, &mut since).await, [gone]);
        lab.revoke("admin", &name("STAFF")).await;
        let mut revoked = grant("revoke");
        revoked["group"]["displayName"] = "STAFF".into();
        assert_eq!(told(&lab, &mut since).await, [revoked]);
        lab.patch(&target, without(&two)).await.is(200);
        assert_eq!(told(&lab, &mut since).await, [json!({ "operation": "patch", "id": group })]);
        let records = lab.records().await;
        assert_eq!(records[3]["granting"]["group"], json!({ "displayName": "Staff" }));
        assert_eq!(records[3]["actor"], "test");
        assert_eq!(trail::verify(lab.database(), "a").await, Ok(i64::try_from(records.len()).unwrap()));
        let all = lab.get("/changes?since=&count=1000").await.is(200);
        assert!(all.body["changes"][2]["location"].as_str().unwrap().starts_with(BASE));
    });
}

#[test]
fn a_group_that_grants_since_is_told_as_one() {
    on_each(async |kind| {
        let lab = lab(kind).await;
        let one = lab.user("one").await;
        let group = lab.group("staff", &[&one]).await;
        lab.grant("admin", &name("staff")).await;
        let changes = told(&lab, &mut String::new()).await;
        assert_eq!(changes[0], json!({ "operation": "create", "id": one, "roles": ["admin"] }));
        assert_eq!(
            changes[1],
            json!({ "operation": "create", "id": group, "roles": ["admin"], "members": "many" })
        );
        // And with what it grants beside what it granted then.
        let mut since = lab.get("/changes?since=latest").await.body["next"].as_str().unwrap().to_owned();
        let leave = json!([{ "op": "remove", "path": "members" }]);
        lab.patch(&format!("/Groups/{group}"), leave).await.is(200);
        lab.grant("Reader", &GroupKey::Id(group.clone())).await;
        lab.revoke("admin", &name("staff")).await;
        let changes = told(&lab, &mut since).await;
        assert_eq!(
            changes[0],
            json!({ "operation": "patch", "id": group, "roles": ["Reader", "admin"], "members": listed(&[], &[&one]) })
        );
    });
}

#[test]
fn more_members_than_a_record_lists_are_many() {
    on_each(async |kind| {
        let settings = Settings {
            bulk: doorward::scim::BulkLimits { max_operations: 2_000, max_payload_size: 1 << 20 },
            ..Settings::default()
        };
        let lab = Lab::with(kind, Profile::Rfc, settings).await;
        let operations: Vec<Value> = (0..1_001)
            .map(|number| json!({ "method": "POST", "path": "/Users", "bulkId": format!("b{number}"), "data": user(&format!("u{number}")) }))
            .collect();
        let bulk = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations });
        let made = lab.send("POST", "/Bulk", bulk).await.is(200);
        let ids: Vec<&str> = made.body["Operations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|made| made["location"].as_str().unwrap().rsplit('/').next().unwrap())
            .collect();
        lab.grant("admin", &name("staff")).await;
        let mut since =
            lab.get("/changes?since=latest").await.is(200).body["next"].as_str().unwrap().to_owned();
        let few = lab.group("staff", &ids[1..]).await;
        let created = told(&lab, &mut since).await;
        assert_eq!(created[0]["members"]["added"].as_array().map(Vec::len), Some(1_000));
        lab.group("staff", &ids).await;
        assert_eq!(told(&lab, &mut since).await[0]["members"], "many");
        lab.patch(
            &format!("/Groups/{few}?attributes=id"),
            json!([{ "op": "add", "path": "members", "value": [{ "value": ids[0] }] }]),
        )
        .await
        .is(200);
        lab.patch(&format!("/Groups/{few}?attributes=id"), json!([{ "op": "remove", "path": "members" }]))
            .await
            .is(200);
        let changes = told(&lab, &mut since).await;
        assert_eq!(
            (&changes[0]["members"], &changes[1]["members"]),
            (&listed(&[ids[0]], &[]), &json!("many"))
        );
    });
}

/// Of a process of its own.
impl Lab {
    fn shared_database(&self) -> Arc<crate::database::TestDatabase> {
        Arc::clone(self.tenants().database())
    }
}

#[test]
fn who_is_in_a_group_at_its_end_is_told() {
    on_each(async |kind| {
        let lab = lab(kind).await;
        let users = [lab.user("one").await, lab.user("two").await, lab.user("three").await];
        lab.grant("admin", &name("staff")).await;
        let mut since = lab.get("/changes?since=latest").await.body["next"].as_str().unwrap().to_owned();
        for _ in 0..20 {
            let group = lab.group("staff", &[&users[0]]).await;
            let target = format!("/Groups/{group}");
            let add = |id: &str| json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }]);
            // Whoever comes when it is gone is 404.
            let (one, other, gone) = tokio::join!(
                lab.patch(&target, add(&users[1])),
                lab.patch(&target, add(&users[2])),
                lab.send("DELETE", &target, Value::Null),
            );
            gone.is(204);
            let joined =
                [one, other].iter().zip(&users[1..]).fold(vec![&users[0]], |mut joined, (answer, id)| {
                    assert!([200, 404].contains(&answer.status), "{answer:?}");
                    joined.extend((answer.status == 200).then_some(id));
                    joined
                });
            let changes = told(&lab, &mut since).await;
            let last = changes.last().unwrap();
            assert_eq!(last["operation"], "delete");
            if last["members"] != "many" {
                let removed: Vec<&str> = last["members"]["removed"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|id| id.as_str().unwrap())
                    .collect();
                assert!(joined.iter().all(|id| removed.contains(&id.as_str())), "{joined:?} {changes:?}");
            }
        }
    });
}
