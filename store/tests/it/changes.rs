//! The change feed.

use crate::lab::{Answer, BASE, Lab, on_each, user};
use doorward::scim::Profile;
use doorward_store::service::Settings;
use serde_json::{Value, json};
use std::time::Duration;

/// What a page tells: operation, type, id and attributes.
fn told(page: &Answer) -> Vec<(String, String, String, Value)> {
    let changes = page.body["changes"].as_array().unwrap_or_else(|| panic!("{page:?}"));
    let text = |change: &Value, name: &str| change[name].as_str().unwrap().to_owned();
    let of = |change: &Value| {
        (
            text(change, "operation"),
            text(change, "resourceType"),
            text(change, "id"),
            change["attributes"].clone(),
        )
    };
    changes.iter().map(of).collect()
}

fn next(page: &Answer) -> String {
    page.body["next"].as_str().unwrap_or_else(|| panic!("{page:?}")).to_owned()
}

#[test]
fn every_change_is_told_once_and_in_order() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let empty = lab.get("/changes").await.is(200);
        assert!(told(&empty).is_empty());
        let start = next(&empty);

        let one = lab.user("one").await;
        let group = lab.group("staff", &[&one]).await;
        lab.send_as("b", "POST", "/Users", user("other"), |request| request).await.is(201);
        lab.patch(&format!("/Users/{one}"), json!([{ "op": "add", "path": "active", "value": false }]))
            .await
            .is(200);
        // Nothing changes.
        lab.patch(&format!("/Users/{one}"), json!([{ "op": "add", "path": "active", "value": false }]))
            .await
            .is(200);
        lab.send("DELETE", &format!("/Groups/{group}"), Value::Null).await.is(204);
        let all = vec![
            ("create".to_owned(), "User".to_owned(), one.clone(), json!(["userName"])),
            ("create".to_owned(), "Group".to_owned(), group.clone(), json!(["displayName", "members"])),
            ("patch".to_owned(), "User".to_owned(), one.clone(), json!(["active"])),
            ("delete".to_owned(), "Group".to_owned(), group.clone(), json!([])),
        ];
        let page = lab.get(&format!("/changes?since={start}")).await.is(200);
        assert_eq!(told(&page), all);
        assert_eq!(page.body["more"], false);
        assert_eq!(page.header("content-type"), Some("application/json"));
        let patched = &page.body["changes"][2];
        assert_eq!(patched["sequence"], 3);
        assert_eq!(patched["version"], "W/\"2\"");
        assert_eq!(patched["location"], format!("{BASE}/Users/{one}"));
        let gone = &page.body["changes"][3];
        assert!(gone.get("version").is_none() && gone.get("location").is_none(), "{gone}");
        // Who did it, and from where, is for the audit trail.
        assert!(patched.get("actor").is_none() && patched.get("request_id").is_none(), "{patched}");

        let (mut since, mut found) = (String::new(), Vec::new());
        loop {
            let page = lab.get(&format!("/changes?count=3&since={since}")).await.is(200);
            found.extend(told(&page));
            since = next(&page);
            if page.body["more"] == false {
                break;
            }
        }
        assert_eq!(found, all);
        assert_eq!(since, next(&lab.get("/changes?since=latest").await.is(200)));
        assert!(told(&lab.get(&format!("/changes?since={since}")).await.is(200)).is_empty());
    });
}

#[test]
fn a_place_of_another_history_is_gone() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        lab.user("one").await;
        let place = next(&lab.get("/changes").await.is(200));
        let ahead = place.replacen("1-", "2-", 1);
        lab.get(&format!("/changes?since={ahead}")).await.is(410);
        let target = format!("/changes?since={place}");
        lab.send_as("b", "GET", &target, Value::Null, |request| request).await.is(410);
        let (number, mark) = place.split_once('-').unwrap();
        let altered: String = mark.chars().map(|digit| if digit == '0' { '1' } else { '0' }).collect();
        lab.get(&format!("/changes?since={number}-{altered}")).await.is(410);
        for query in ["since=1", "since=x", "count=0", "count=-1", "wait=61", "wait=-1", "wait=x", "sinse=1"]
        {
            lab.get(&format!("/changes?{query}")).await.is(400);
        }
        lab.send("POST", "/changes", json!({})).await.is(405);
    });
}

#[test]
fn who_would_wait_is_told_of_a_change() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let place = next(&lab.get("/changes").await.is(200));
        assert_eq!(lab.get("/changes?wait=7").await.is(200).waits, Some(Duration::from_secs(7)));
        assert_eq!(lab.get("/changes").await.is(200).waits, None);
        let mut changes = lab.watch();
        lab.send_as("b", "POST", "/Users", user("other"), |request| request).await.is(201);
        assert!(!changes.has_changed().unwrap());
        let id = lab.user("one").await;
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        lab.patch(&format!("/Users/{id}"), json!([{ "op": "add", "path": "active", "value": true }]))
            .await
            .is(200);
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        lab.send("DELETE", &format!("/Users/{id}"), Value::Null).await.is(204);
        assert!(changes.has_changed().unwrap());
        let page = lab.get(&format!("/changes?wait=7&since={place}")).await.is(200);
        assert_eq!((page.waits, told(&page).len()), (None, 3));
    });
}
