//! What the service does, request by request.

use crate::lab::{BASE, Lab, on_each, run, user};
use doorward::scim::Profile;
use doorward_store::audit::{Head, Verification};
use doorward_store::secret::secret;
use doorward_store::service::{Request, Settings};
use doorward_store::tenants::TenantError;
use serde_json::{Value, json};

#[test]
fn a_user_is_created_read_changed_and_removed() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let created = lab.send("POST", "/Users", user("Bjensen@example.com")).await.is(201);
        let id = created.id();
        let location = format!("{BASE}/Users/{id}");
        assert_eq!(created.header("location"), Some(location.as_str()));
        assert_eq!(created.header("etag"), Some("W/\"1\""));
        assert_eq!(created.body["meta"]["location"], location);
        assert_eq!(created.body["meta"]["version"], "W/\"1\"");
        let target = format!("/Users/{id}");
        assert_eq!(lab.get(&target).await.is(200).body, created.body);

        let patched = lab
            .patch(&target, json!([{ "op": "replace", "path": "displayName", "value": "Babs" }]))
            .await
            .is(200);
        assert_eq!(patched.body["displayName"], "Babs");
        assert_eq!(patched.header("etag"), Some("W/\"2\""));
        assert_eq!(patched.header("location"), Some(location.as_str()));
        assert_ne!(patched.body["meta"]["lastModified"], created.body["meta"]["lastModified"]);
        assert_eq!(patched.body["meta"]["created"], created.body["meta"]["created"]);

        let mut replacement = user("bjensen@example.com");
        replacement["active"] = true.into();
        let replaced = lab.send("PUT", &target, replacement.clone()).await.is(200);
        assert_eq!(replaced.body["displayName"], Value::Null);
        assert_eq!(replaced.body["active"], true);
        let found = lab.get(&target).await.is(200);
        assert_eq!(found.body, replaced.body);
        assert_eq!(found.header("location"), Some(location.as_str()));
        let head = lab.send("HEAD", &target, Value::Null).await.is(200);
        assert_eq!((head.body, head.headers), (found.body, found.headers));
        // The same again changes nothing.
        let again = lab.send("PUT", &target, replacement).await.is(200);
        assert_eq!(again.header("etag"), replaced.header("etag"));

        lab.send("DELETE", &target, Value::Null).await.is(204);
        lab.get(&target).await.is(404);
        lab.send("DELETE", &target, Value::Null).await.is(404);
        lab.send("PUT", &target, user("x")).await.is(404);
        lab.patch(&target, json!([{ "op": "remove", "path": "displayName" }])).await.is(404);
    });
}

#[test]
fn a_patch_that_changes_nothing_makes_no_version() {
    run(async {
        let lab = Lab::new(Profile::Rfc).await;
        let one = lab.user("one").await;
        let group = lab.group("staff", &[&one]).await;
        for operations in [
            json!([{ "op": "add", "path": "members", "value": [{ "value": one }] }]),
            json!([{ "op": "replace", "path": "members", "value": [{ "value": one }] }]),
            json!([{ "op": "replace", "path": "displayName", "value": "staff" }]),
        ] {
            let answer = lab.patch(&format!("/Groups/{group}"), operations.clone()).await.is(200);
            assert_eq!(answer.header("etag"), Some("W/\"1\""), "{operations}");
        }
        let changes: i64 =
            lab.connection().query_row("SELECT count(*) FROM change", [], |row| row.get(0)).unwrap();
        assert_eq!(changes, 2, "one for each create");
    });
}

#[test]
fn members_come_and_go_by_every_way_to_say_it() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let (one, two, three) = (lab.user("one").await, lab.user("two").await, lab.user("three").await);
        let named = json!([{ "op": "add", "path": "displayName", "value": "two" }]);
        lab.patch(&format!("/Users/{two}"), named).await.is(200);
        let group = lab.group("staff", &[&one]).await;
        let target = format!("/Groups/{group}");
        let values = |ids: &[&String]| ids.iter().map(|id| json!({ "value": id })).collect::<Vec<_>>();
        let add = |ids: &[&String]| json!({ "op": "add", "path": "members", "value": values(ids) });
        let replace = |ids: &[&String]| json!({ "op": "replace", "path": "members", "value": values(ids) });
        let by_filter =
            |id: &String| json!({ "op": "remove", "path": format!("members[value eq \"{id}\"]") });
        for (version, operations, expected) in [
            (2, json!([add(&[&two, &three])]), vec![&one, &two, &three]),
            (3, json!([by_filter(&two)]), vec![&one, &three]),
            (4, json!([{ "op": "remove", "path": "members", "value": values(&[&one]) }]), vec![&three]),
            (5, json!([replace(&[&one, &two])]), vec![&one, &two]),
            (6, json!([by_filter(&one), add(&[&three])]), vec![&two, &three]),
            (7, json!([{ "op": "remove", "path": "members" }]), vec![]),
            (8, json!([{ "op": "add", "value": { "members": values(&[&one]) } }]), vec![&one]),
            (9, json!([{ "op": "remove", "path": "members[type eq \"User\"]" }]), vec![]),
            (
                10,
                json!([add(&[&one, &two]), { "op": "remove", "path": "members[display eq \"two\"]" }]),
                vec![&one],
            ),
            (11, json!([{ "op": "remove", "path": "members" }]), vec![]),
        ] {
            let answer = lab.patch(&target, operations.clone()).await.is(200);
            assert_eq!(answer.header("etag"), Some(format!("W/\"{version}\"").as_str()), "{operations}");
            let mut expected: Vec<String> = expected.into_iter().cloned().collect();
            expected.sort();
            assert_eq!(lab.members(&group).await, expected, "{operations}");
        }
        let nobody = lab.patch(&target, json!([by_filter(&one)])).await.is(400);
        assert_eq!(nobody.scim_type(), "noTarget");
        let unknown = lab.patch(&target, json!([add(&[&"nobody".to_owned()])])).await.is(400);
        assert_eq!(unknown.scim_type(), "invalidValue");
        assert!(lab.members(&group).await.is_empty());
    });
}

#[test]
fn members_and_groups_show_each_other() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let mut body = user("one");
        body["displayName"] = "The One".into();
        let one = lab.send("POST", "/Users", body).await.is(201).id();
        let inner = lab.group("inner", &[&one]).await;
        let outer = lab.group("outer", &[&inner]).await;
        let shown = lab.get(&format!("/Users/{one}")).await.is(200);
        let expected = json!([{ "value": inner, "$ref": format!("{BASE}/Groups/{inner}"), "display": "inner", "type": "direct" }]);
        assert_eq!(shown.body["groups"], expected);
        let shown = lab.get(&format!("/Groups/{outer}")).await.is(200);
        assert_eq!(shown.body["members"][0]["type"], "Group");
        let shown = lab.get(&format!("/Groups/{inner}")).await.is(200);
        assert_eq!(shown.body["members"][0]["display"], "The One");
        assert_eq!(shown.body["members"][0]["$ref"], format!("{BASE}/Users/{one}"));
        let display = async |operations: Value| {
            lab.patch(&format!("/Users/{one}"), operations).await.is(200);
            lab.get(&format!("/Groups/{inner}")).await.is(200).body["members"][0]["display"].clone()
        };
        let formatted = json!([
            { "op": "replace", "path": "displayName", "value": "" },
            { "op": "add", "path": "name.formatted", "value": "Ms. One" },
        ]);
        assert_eq!(display(formatted).await, "Ms. One");
        // What somebody signs in with is no name to display.
        assert_eq!(display(json!([{ "op": "remove", "path": "name" }])).await, Value::Null);
        let shown = lab.get(&format!("/Groups/{inner}")).await.is(200);
        let expected = json!([{ "value": one, "$ref": format!("{BASE}/Users/{one}"), "type": "User" }]);
        assert_eq!(shown.body["members"], expected);
        let shown = lab.get(&format!("/Groups/{inner}?excludedAttributes=members")).await.is(200);
        assert_eq!(shown.body["members"], Value::Null);

        // Who is gone is nobody's member, and the group is another one than before.
        lab.send("DELETE", &format!("/Users/{one}"), Value::Null).await.is(204);
        let shown = lab.get(&format!("/Groups/{inner}")).await.is(200);
        assert_eq!(shown.body["members"], Value::Null);
        assert_eq!(shown.header("etag"), Some("W/\"2\""));
    });
}

#[test]
fn a_name_is_taken_whatever_its_case_and_free_again_when_it_is_gone() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let one = lab.user("One@example.com").await;
        let two = lab.user("two@example.com").await;
        let taken = lab.send("POST", "/Users", user("oNE@example.com")).await.is(409);
        assert_eq!(taken.scim_type(), "uniqueness");
        assert!(taken.body["detail"].as_str().unwrap().contains("userName"), "{taken:?}");
        let rename = json!([{ "op": "replace", "path": "userName", "value": "one@example.com" }]);
        let taken = lab.patch(&format!("/Users/{two}"), rename.clone()).await.is(409);
        assert_eq!(taken.scim_type(), "uniqueness");
        lab.send("PUT", &format!("/Users/{two}"), user("ONE@example.com")).await.is(409);
        // Its own name in another case is no conflict, and another tenant's is none either.
        lab.patch(&format!("/Users/{one}"), rename.clone()).await.is(200);
        lab.send_as("b", "POST", "/Users", user("one@example.com"), |request| request).await.is(201);
        lab.send("DELETE", &format!("/Users/{one}"), Value::Null).await.is(204);
        lab.patch(&format!("/Users/{two}"), rename).await.is(200);
    });
}

#[test]
fn conditions_guard_reads_and_writes() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let target = format!("/Users/{}", lab.user("one").await);
        let rename = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "add", "path": "nickName", "value": "o" }],
        });
        let send = async |method, if_match: Option<&'static str>, if_none_match: Option<&'static str>| {
            let body = if method == "PATCH" { rename.clone() } else { Value::Null };
            let conditions = |request| doorward_store::service::Request {
                if_match: if_match.map(str::as_bytes),
                if_none_match: if_none_match.map(str::as_bytes),
                ..request
            };
            lab.send_as("a", method, &target, body, conditions).await.status
        };
        assert_eq!(send("GET", None, Some("W/\"1\"")).await, 304);
        assert_eq!(send("GET", None, Some("W/\"2\"")).await, 200);
        assert_eq!(send("PATCH", Some("W/\"2\""), None).await, 412);
        assert_eq!(send("PATCH", Some("nonsense"), None).await, 400);
        assert_eq!(send("PATCH", Some("W/\"9\", W/\"1\""), None).await, 200);
        assert_eq!(send("DELETE", Some("W/\"1\""), None).await, 412);
        assert_eq!(send("DELETE", Some("*"), None).await, 204);
    });
}

#[test]
fn a_create_that_is_sent_again_is_answered_again() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let keyed = |request| doorward_store::service::Request { idempotency_key: Some(b"k1"), ..request };
        let first = lab.send_as("a", "POST", "/Users", user("one"), keyed).await.is(201);
        let first_id = first.id();
        let second = lab.send_as("a", "POST", "/Users", user("one"), keyed).await.is(201);
        assert_eq!((first.body, first.headers), (second.body, second.headers));
        lab.send_as("a", "POST", "/Users", user("two"), keyed).await.is(422);
        lab.send_as("b", "POST", "/Users", user("two"), keyed).await.is(201);
        let without = lab.send("POST", "/Users", user("one")).await.is(409);
        assert_eq!(without.scim_type(), "uniqueness");
        // With its members, and whatever became of the resource since.
        let group = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "staff",
            "members": [{ "value": first_id }],
        });
        let keyed = |request| doorward_store::service::Request { idempotency_key: Some(b"k2"), ..request };
        let first = lab.send_as("a", "POST", "/Groups", group.clone(), keyed).await.is(201);
        assert_eq!(lab.get(&format!("/Groups/{}", first.id())).await.body, first.body);
        lab.send("DELETE", &format!("/Groups/{}", first.id()), Value::Null).await.is(204);
        let second = lab.send_as("a", "POST", "/Groups", group, keyed).await.is(201);
        assert_eq!((first.body, first.headers), (second.body, second.headers));
    });
}

#[test]
fn a_password_is_nowhere() {
    run(async {
        let lab = Lab::new(Profile::Okta).await;
        let mut body = user("one");
        body["password"] = "s3cr3t-w0rd".into();
        let created = lab.send("POST", "/Users", body.clone()).await.is(201);
        let target = format!("/Users/{}", created.id());
        lab.send("PUT", &target, body).await.is(200);
        lab.patch(&target, json!([{ "op": "replace", "path": "password", "value": "s3cr3t-w0rd" }])).await;
        let connection = lab.connection();
        let found: i64 = connection
            .query_row("SELECT count(*) FROM resource WHERE data LIKE '%s3cr3t%'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(found, 0);
        assert_eq!(lab.get(&target).await.body["password"], Value::Null);
        assert_eq!(lab.get("/Users?filter=password%20pr").await.status, 400);
    });
}

#[test]
fn what_is_wrong_is_told_as_the_rfc_has_it() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let id = lab.user("one").await;
        let target = format!("/Users/{id}");
        for (method, path, body, status, scim_type) in [
            ("GET", "/Nothing", Value::Null, 404, ""),
            ("POST", "/Users", json!({ "userName": "x" }), 400, "invalidValue"),
            ("POST", "/Users", json!([]), 400, "invalidSyntax"),
            (
                "POST",
                "/Users",
                json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"] }),
                400,
                "invalidValue",
            ),
            ("GET", "/Users?filter=active%20gt%20true", Value::Null, 400, "invalidFilter"),
            ("GET", "/Users?filter=", Value::Null, 400, "invalidFilter"),
            ("GET", "/Users?sortBy=nothing", Value::Null, 400, "invalidPath"),
            ("PUT", "/Users", user("x"), 405, ""),
            ("DELETE", "/Schemas", Value::Null, 405, ""),
            ("POST", "/ServiceProviderConfig", json!({}), 405, ""),
            ("GET", "/Schemas?filter=id%20pr", Value::Null, 403, ""),
            ("GET", "/Me", Value::Null, 501, ""),
            ("POST", &target, user("x"), 405, ""),
        ] {
            let answer = lab.send(method, path, body).await;
            assert_eq!(
                (answer.status, answer.scim_type()),
                (status, scim_type),
                "{method} {path}: {answer:?}"
            );
            assert_eq!(answer.body["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error");
            assert_eq!(answer.body["status"], status.to_string());
        }
        for (path, allowed) in [
            ("/", "GET, HEAD"),
            ("/Schemas", "GET, HEAD"),
            ("/Users", "GET, HEAD, POST"),
            (&target, "GET, HEAD, PUT, PATCH, DELETE"),
            ("/Users/.search", "POST"),
            ("/Bulk", "POST"),
        ] {
            let answer = lab.send("OPTIONS", path, Value::Null).await.is(405);
            assert_eq!(answer.header("allow"), Some(allowed), "{path}");
        }
        let text =
            |request| doorward_store::service::Request { content_type: Some(b"text/plain"), ..request };
        lab.send_as("a", "POST", "/Users", user("x"), text).await.is(415);
    });
}

#[test]
fn a_bulk_request_resolves_references_and_goes_on_after_a_fault() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let group = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "staff",
            "members": [{ "value": "bulkId:u" }],
        });
        let job = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [
                { "method": "POST", "path": "/Groups", "bulkId": "g", "data": group },
                { "method": "POST", "path": "/Users", "bulkId": "u", "data": user("one") },
                { "method": "POST", "path": "/Users", "bulkId": "again", "data": user("ONE") },
            ],
        });
        let answer = lab.send("POST", "/Bulk", job).await.is(200);
        let statuses: Vec<&str> = answer.body["Operations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|o| o["status"].as_str().unwrap())
            .collect();
        assert_eq!(statuses, ["201", "201", "409"], "{answer:?}");
        let found = lab.get("/Groups?filter=displayName%20eq%20%22staff%22").await.is(200);
        let one = lab.get("/Users?filter=userName%20eq%20%22one%22").await.is(200);
        assert_eq!(found.body["Resources"][0]["members"][0]["value"], one.body["Resources"][0]["id"]);
    });
}

#[test]
fn nothing_of_one_tenant_answers_another() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let user_id = lab.user("one").await;
        let group = lab.group("staff", &[&user_id]).await;
        let as_b = async |method, target: String, body| {
            lab.send_as("b", method, &target, body, |request| request).await
        };
        let patch = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "replace", "path": "active", "value": false }],
        });
        assert_eq!(as_b("GET", format!("/Users/{user_id}"), Value::Null).await.status, 404);
        assert_eq!(as_b("PATCH", format!("/Users/{user_id}"), patch).await.status, 404);
        assert_eq!(as_b("PUT", format!("/Users/{user_id}"), user("x")).await.status, 404);
        assert_eq!(as_b("DELETE", format!("/Users/{user_id}"), Value::Null).await.status, 404);
        for filter in [
            "userName%20eq%20%22one%22".to_owned(),
            format!("id%20eq%20%22{user_id}%22"),
            format!("groups%20eq%20%22{group}%22"),
        ] {
            let found = as_b("GET", format!("/Users?filter={filter}"), Value::Null).await.is(200);
            assert_eq!(found.body["totalResults"], 0, "{filter}");
        }
        let theirs = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "x",
            "members": [{ "value": user_id }],
        });
        assert_eq!(as_b("POST", "/Groups".to_owned(), theirs).await.status, 400);
        lab.user("two").await;
        let page = lab.get("/Users?cursor=&count=1").await.is(200);
        let cursor = page.body["nextCursor"].as_str().unwrap();
        assert_eq!(
            as_b("GET", format!("/Users?cursor={cursor}"), Value::Null).await.scim_type(),
            "invalidCursor"
        );
    });
}

#[test]
fn every_change_has_one_record_and_the_chain_verifies() {
    run(async {
        let lab = Lab::new(Profile::Rfc).await;
        let one = lab.user("one").await;
        let group = lab.group("staff", &[&one]).await;
        lab.patch(&format!("/Users/{one}"), json!([{ "op": "add", "path": "nickName", "value": "o" }])).await;
        lab.send("DELETE", &format!("/Users/{one}"), Value::Null).await.is(204);
        let connection = lab.connection();
        let mut records =
            connection.prepare("SELECT sequence, record, hash FROM change ORDER BY sequence").unwrap();
        let records: Vec<(i64, String, Vec<u8>)> = records
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let mut verification = Verification::new();
        let mut seen = Vec::new();
        for (sequence, record, hash) in &records {
            verification.follow(*sequence, record, hash).unwrap();
            let record: Value = serde_json::from_str(record).unwrap();
            seen.push((record["operation"].clone(), record["id"].clone(), record["version_after"].clone()));
        }
        let expected = vec![
            (json!("create"), json!(one), json!(1)),
            (json!("create"), json!(group), json!(1)),
            (json!("patch"), json!(one), json!(2)),
            (json!("delete"), json!(one), Value::Null),
        ];
        assert_eq!(seen, expected);
        let head = connection
            .query_row("SELECT sequence, hash FROM tenant WHERE id = 'a'", [], |row| {
                let hash: Vec<u8> = row.get(1)?;
                Ok(Head { sequence: row.get(0)?, hash: hash.try_into().unwrap() })
            })
            .unwrap();
        assert_eq!(verification.finish(head), Ok(4));
        assert!(!records.iter().any(|(_, record, _)| record.contains("nickName\":")), "values are not kept");
    });
}

/// More members than a statement lists one by one.
#[test]
fn of_many_members_that_are_removed_one_is_enough() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let (one, other) = (lab.user("one").await, lab.user("other").await);
        let group = lab.group("staff", &[&one, &other]).await;
        let mut wanted: Vec<String> =
            (0..100).map(|number| format!("value eq \"nobody {number}\"")).collect();
        let remove = |wanted: &[String]| {
            let path = format!("members[{}]", wanted.join(" or "));
            json!([{ "op": "remove", "path": path }])
        };
        let target = format!("/Groups/{group}");
        assert_eq!(lab.patch(&target, remove(&wanted)).await.is(400).scim_type(), "noTarget");
        wanted.push(format!("value eq {one:?}"));
        lab.patch(&target, remove(&wanted)).await.is(200);
        assert_eq!(lab.members(&group).await, [other]);
    });
}

#[test]
fn tenants_tokens_and_secrets_are_kept() {
    const NOW: i64 = 1_800_000_000_000_000;
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let tenants = lab.tenants();
        tenants.create("acme", "Acme", Profile::Okta, NOW).await.unwrap();
        assert_eq!(
            tenants.create("acme", "Acme", Profile::Okta, NOW).await,
            Err(TenantError::TenantTaken("acme".to_owned()))
        );
        let token = tenants.issue("acme", "okta", Some(NOW + 10), NOW).await.unwrap();
        assert_eq!(
            tenants.issue("acme", "okta", None, NOW).await,
            Err(TenantError::TokenTaken("okta".to_owned()))
        );
        let access = tenants.authenticate(token.reveal(), NOW + 9).await.unwrap().unwrap();
        assert_eq!((access.tenant.as_str(), access.profile), ("acme", Profile::Okta));
        assert_eq!(tenants.authenticate(token.reveal(), NOW + 10).await, Ok(None));
        tenants.write_uses().await.unwrap();
        let kept = tenants.tokens("acme").await.unwrap();
        assert_eq!((kept[0].expires, kept[0].last_used), (Some(NOW + 10), Some(NOW + 9)));
        tenants.revoke("acme", "okta").await.unwrap();
        assert_eq!(tenants.authenticate(token.reveal(), NOW).await, Ok(None));
        let made = secret(lab.database(), "cursor").await.unwrap();
        assert_eq!(secret(lab.database(), "cursor").await, Ok(made));
        tenants.remove("acme").await.unwrap();
        assert_eq!(tenants.remove("acme").await, Err(TenantError::NoTenant("acme".to_owned())));
    });
}

#[test]
fn sixty_four_clients_lose_nothing() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let group = lab.group("staff", &[]).await;
        let mut ids = Vec::new();
        for number in 0..64 {
            ids.push(lab.user(&format!("u{number}")).await);
        }
        let target = format!("/Groups/{group}");
        // On one thread, but each request waits for the database: they overlap.
        let adds = ids.iter().enumerate().map(|(number, id)| {
            let operation = if number % 2 == 0 {
                json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }])
            } else {
                // This one rests on what it reads, and is worked out anew when it is overtaken.
                json!([
                    { "op": "add", "path": "members", "value": [{ "value": id }] },
                    { "op": "replace", "path": "displayName", "value": format!("staff {number}") },
                ])
            };
            lab.patch(&target, operation)
        });
        for answer in futures_like(adds).await {
            assert!(matches!(answer.status, 200 | 503), "{answer:?}");
        }
        let mut found = lab.members(&group).await;
        found.retain(|id| ids.iter().step_by(2).any(|added| added == id));
        assert_eq!(found.len(), 32);
    });
}

/// All of them at once.
async fn futures_like<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in &mut waiting {
            if output.is_none()
                && let std::task::Poll::Ready(done) = future.as_mut().poll(context)
            {
                *output = Some(done);
            }
        }
        if waiting.iter().all(|(_, output)| output.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    waiting.into_iter().filter_map(|(_, output)| output).collect()
}

#[test]
fn values_are_recorded_where_that_is_wanted() {
    on_each(async |kind| {
        let recorded =
            ["active", "name.familyName", "emails", "emails.value", "members"].map(str::to_owned).to_vec();
        let lab = Lab::with(kind, Profile::Rfc, Settings { recorded, ..Settings::default() }).await;
        let mut body = user("one");
        body["active"] = true.into();
        body["emails"] = json!([{ "value": "a@example.com" }]);
        let one = lab.send("POST", "/Users", body).await.is(201).id();
        let operations = json!([
            { "op": "remove", "path": "emails" }, { "op": "add", "path": "name.familyName", "value": "J" },
            { "op": "add", "path": "title", "value": "unseen" },
        ]);
        lab.patch(&format!("/Users/{one}"), operations).await.is(200);
        let group = lab.group("staff", &[&one]).await;
        lab.patch(&format!("/Groups/{group}"), json!([{ "op": "remove", "path": "members" }])).await.is(200);
        let values: Vec<Value> = lab.records().await.iter().map(|record| record["values"].clone()).collect();
        let email = json!([{ "value": "a@example.com" }]);
        let expected = [
            json!({ "active": true, "emails": email, "emails.value": ["a@example.com"] }),
            json!({ "emails": null, "emails.value": null, "name.familyName": "J" }),
            json!({ "members": [{ "add": [one] }] }),
            json!({ "members": [{ "remove": "all" }] }),
        ];
        assert_eq!(values, expected);
    });
}

#[test]
fn an_answer_is_forgotten_after_its_time() {
    on_each(async |kind| {
        // Each request of the lab comes a second after the one before.
        let settings = Settings { idempotency: std::time::Duration::from_secs(3), ..Settings::default() };
        let lab = Lab::with(kind, Profile::Rfc, settings).await;
        let create = async |name: &str| {
            lab.send_as("a", "POST", "/Users", user(name), |request| Request {
                idempotency_key: Some(b"k"),
                ..request
            })
            .await
        };
        let first = create("one").await.is(201).id();
        assert_eq!(create("one").await.is(201).id(), first);
        lab.get("/Users").await.is(200);
        lab.get("/Users").await.is(200);
        create("one").await.is(409);
        let second = create("two").await.is(201).id();
        assert_ne!(second, first);
        assert_eq!(create("two").await.is(201).id(), second);
    });
}

#[test]
fn a_list_tells_how_many_there_are() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let total = async |endpoint: &str| {
            lab.get(&format!("/{endpoint}?count=0")).await.is(200).body["totalResults"].clone()
        };
        assert_eq!((total("Users").await, total("Groups").await), (json!(0), json!(0)));
        let [one, two] = [lab.user("one").await, lab.user("two").await];
        lab.group("staff", &[&one]).await;
        lab.send("POST", "/Users", user("one")).await.is(409);
        lab.send_as("b", "POST", "/Users", user("one"), |request| request).await.is(201);
        assert_eq!((total("Users").await, total("Groups").await), (json!(2), json!(1)));
        lab.send("DELETE", &format!("/Users/{two}"), Value::Null).await.is(204);
        lab.send("DELETE", &format!("/Users/{two}"), Value::Null).await.is(404);
        assert_eq!((total("Users").await, total("Groups").await), (json!(1), json!(1)));
    });
}

#[test]
fn a_database_of_the_first_version_is_brought_up_to_date() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let one = lab.user("one").await;
        lab.user("two").await;
        lab.group("staff", &[&one]).await;
        lab.send_as("b", "POST", "/Users", user("one"), |request| request).await.is(201);
        let lab = lab.opened_from_version_1().await;
        let total = async |endpoint: &str| {
            lab.get(&format!("/{endpoint}?count=0")).await.is(200).body["totalResults"].clone()
        };
        assert_eq!((total("Users").await, total("Groups").await), (json!(2), json!(1)));
        lab.user("three").await;
        assert_eq!(total("Users").await, json!(3));
    });
}
