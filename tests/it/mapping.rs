//! Attributes that a tenant calls otherwise than the store: requests as the store gets them, answers as the client does.

use crate::gateway::{Bed, Sent, bed_with, document_with, get, post};
use doorward::config::Config;
use doorward::gateway::{Answer, Reason, Refusal};
use doorward::http::{HeaderField, HeaderMutation};
use doorward::scim::{
    Catalog, DateTime, Meta, Patch, PatchRules, Projection, Resource, ResourceType, ScimType, Unknown,
};
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const OWN: &str = "urn:example:scim:ext:1.0:User";
const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const BETA: &str = "Bearer beta-token";
const ACME: &str = "Bearer acme-token";

/// Every kind of rule; a swap; into, out of and between extensions.
fn rules() -> Json {
    json!([
        { "rename": "employeeNumber", "to": format!("{ENTERPRISE}:employeeNumber") },
        { "rename": format!("{OWN}:room"), "to": "title" },
        { "rename": format!("{OWN}:boss"), "to": format!("{ENTERPRISE}:manager") },
        { "rename": format!("{ENTERPRISE}:division"), "to": "preferredLanguage" },
        { "rename": "nickName", "to": "displayName" },
        { "rename": format!("{CORE}:displayName"), "to": "nickName" },
        { "rename": "mails", "to": "emails" },
        { "constant": "userType", "value": "Employee" },
        { "constant": format!("{ENTERPRISE}:organization"), "value": "Acme" },
        { "drop": format!("{ENTERPRISE}:costCenter") },
        { "drop": "ims" },
        { "default": "locale", "value": "en-US" },
        { "default": "phoneNumbers", "value": [{ "value": "tel:+1", "type": "work" }] },
        { "default": format!("{ENTERPRISE}:department"), "value": "None" },
    ])
}

/// Of `beta`, who speaks as the RFC has it, and of `acme`, which is Entra ID.
static BED: LazyLock<Bed> = LazyLock::new(|| {
    bed_with(|document| {
        for tenant in ["acme", "beta"] {
            document["scim"]["tenants"][tenant]["attributes"] = json!({ "User": rules() });
        }
    })
});

/// The same with unknown attributes dropped.
static DROPPING: LazyLock<Bed> = LazyLock::new(|| {
    bed_with(|document| {
        document["scim"]["tenants"]["beta"]["attributes"] = json!({ "User": rules() });
        document["scim"]["tenants"]["beta"]["unknown_attributes"] = json!("drop");
    })
});

fn user(members: Json) -> Json {
    let mut user = json!({ "schemas": [CORE], "userName": "kim" });
    user.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    user
}

fn stored(members: Json) -> Json {
    let mut user = user(members);
    let fixed = json!({ "userType": "Employee", "locale": "en-US",
        "phoneNumbers": [{ "value": "tel:+1", "type": "work" }] });
    let members = user.as_object_mut().unwrap();
    for (name, value) in fixed.as_object().unwrap() {
        members.entry(name.clone()).or_insert(value.clone());
    }
    let enterprise = members.entry(ENTERPRISE).or_insert(json!({})).as_object_mut().unwrap();
    enterprise.insert("organization".to_owned(), json!("Acme"));
    enterprise.entry("department").or_insert(json!("None"));
    let schemas = members["schemas"].as_array_mut().unwrap();
    if !schemas.contains(&json!(ENTERPRISE)) {
        schemas.push(json!(ENTERPRISE));
    }
    user
}

fn send(bed: &Bed, method: &str, path: &str, token: &str, body: &Json) -> Result<Json, Refusal> {
    let body = body.to_string();
    let tenant = if token == ACME { "acme" } else { "beta" };
    let path = format!("/tenants/{tenant}/scim/v2{path}");
    let (_, forwarded) = bed.forward(&Sent { method, ..post(&path, token, &body) })?;
    Ok(serde_json::from_str(forwarded.body.as_deref().unwrap()).unwrap())
}

/// What the store gets of a create and of a replace, which are the same.
fn created(bed: &Bed, token: &str, user: &Json) -> Result<Json, Refusal> {
    let created = send(bed, "POST", "/Users", token, user);
    assert_eq!(created, send(bed, "PUT", "/Users/1", token, user));
    created
}

fn refused(result: Result<Json, Refusal>) -> (u16, Option<ScimType>, String) {
    let refusal = result.unwrap_err();
    assert_eq!(refusal.reason, Reason::NotAccepted);
    (refusal.status(), refusal.scim_type(), refusal.error.detail)
}

#[test]
fn the_store_gets_its_own_names() {
    for (sent, expected) in [
        (json!({}), json!({})),
        (json!({ "EMPLOYEENUMBER": "7" }), json!({ ENTERPRISE: { "employeeNumber": "7" } })),
        (json!({ "nickName": "a", "displayName": "b" }), json!({ "displayName": "a", "nickName": "b" })),
        (json!({ "NickName": "a" }), json!({ "displayName": "a" })),
        (
            json!({ "schemas": [CORE, OWN], OWN: { "Room": "4", "boss": { "value": "26" } } }),
            json!({ "title": "4", ENTERPRISE: { "manager": { "value": "26" } } }),
        ),
        (json!({ "schemas": [CORE, OWN] }), json!({})),
        (json!({ "schemas": [CORE, OWN], OWN: null }), json!({})),
        (
            json!({ "mails": [{ "value": "a@example.com", "type": "work" }] }),
            json!({ "emails": [{ "value": "a@example.com", "type": "work" }] }),
        ),
        // What the store has by rule, whatever the client says.
        (json!({ "userType": "Boss", ENTERPRISE: { "organization": "Other" } }), json!({})),
        (json!({ "userType": 7 }), json!({})),
        (json!({ "ims": [{ "value": "x" }], ENTERPRISE: { "costCenter": "9" } }), json!({})),
        // What it has where the client does not say.
        (json!({ "locale": "de-DE" }), json!({ "locale": "de-DE" })),
        (json!({ "Locale": null, "phoneNumbers": [] }), json!({})),
        (
            json!({ "phoneNumbers": [{ "value": "tel:+2" }], ENTERPRISE: { "department": "R" } }),
            json!({ "phoneNumbers": [{ "value": "tel:+2" }], ENTERPRISE: { "department": "R" } }),
        ),
    ] {
        assert_eq!(created(&BED, BETA, &user(sent.clone())), Ok(stored(expected)), "{sent}");
    }
    // Into an object that the client spells otherwise, and beside what it spells otherwise.
    let upper = ENTERPRISE.to_uppercase();
    let sent =
        json!({ &upper: { "Division": "x", "DEPARTMENT": "R" }, "employeeNumber": "7", "LOCALE": "de" });
    let got = created(&BED, BETA, &user(sent)).unwrap();
    let enterprise = json!({ "DEPARTMENT": "R", "employeeNumber": "7", "organization": "Acme" });
    assert_eq!((&got[&upper], got.get(ENTERPRISE)), (&enterprise, None));
    assert_eq!((&got["LOCALE"], got.get("locale")), (&json!("de"), None));
    assert_eq!(got["preferredLanguage"], "x");
    // Another type has no rules.
    let group = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "g" });
    assert_eq!(send(&BED, "POST", "/Groups", BETA, &group), Ok(group));
}

#[test]
fn what_the_client_has_no_attribute_of_is_unknown() {
    for sent in [
        json!({ "title": "x" }),
        json!({ "Emails": [] }),
        json!({ ENTERPRISE: { "EmployeeNumber": "7" } }),
        json!({ ENTERPRISE: { "manager": { "value": "26" } } }),
        json!({ "schemas": [CORE, OWN], OWN: { "room": "4", "other": 1 } }),
        json!({ "nobody": 1 }),
    ] {
        let (status, scim_type, detail) = refused(created(&BED, BETA, &user(sent.clone())));
        assert_eq!((status, scim_type), (400, Some(ScimType::InvalidSyntax)), "{sent}: {detail}");
        assert!(created(&DROPPING, BETA, &user(sent)).is_ok());
    }
    let sent = json!({ "title": "x", "preferredLanguage": "y", "emails": [], "locale": "a" });
    assert_eq!(created(&DROPPING, BETA, &user(sent)), Ok(stored(json!({ "locale": "a" }))));
    let (_, _, detail) = refused(created(&BED, BETA, &user(json!({ ENTERPRISE: { "manager": {} } }))));
    assert!(detail.starts_with(&format!("{ENTERPRISE}:manager: ")), "{detail}");
    // One attribute under two spellings is nobody's guess.
    for twice in [json!({ "nickName": "a", "NICKNAME": "b" }), json!({ OWN: { "room": "1", "Room": "2" } })] {
        let (_, scim_type, detail) = refused(created(&DROPPING, BETA, &user(twice)));
        assert_eq!(scim_type, Some(ScimType::InvalidSyntax), "{detail}");
    }
    // Values are judged as those of the store's attributes.
    let (_, scim_type, detail) = refused(created(&BED, BETA, &user(json!({ "nickName": 7 }))));
    assert_eq!(
        (scim_type, &*detail),
        (Some(ScimType::InvalidValue), "displayName: expected a string, but found a number")
    );
}

/// What the store gets of operations.
fn patched(bed: &Bed, token: &str, operations: Json) -> Result<Json, Refusal> {
    let body = json!({ "schemas": [PATCH_OP], "Operations": operations });
    send(bed, "PATCH", "/Users/1", token, &body).map(|mut body| body["Operations"].take())
}

#[test]
fn operations_are_on_the_stores_attributes() {
    let nothing = || json!([{ "op": "add", "value": {} }]);
    let one = |op: &str, path: &str, value: Json| json!([{ "op": op, "path": path, "value": value }]);
    let remove = |path: &str| json!([{ "op": "remove", "path": path }]);
    let whole = |op: &str, value: Json| json!([{ "op": op, "value": value }]);
    for (sent, expected) in [
        (one("add", "nickName", json!("a")), one("add", "displayName", json!("a"))),
        (one("add", "DISPLAYNAME", json!("a")), one("add", "nickName", json!("a"))),
        (one("add", &format!("{CORE}:nickName"), json!("a")), one("add", "displayName", json!("a"))),
        (
            one("replace", "employeenumber", json!("7")),
            one("replace", &format!("{ENTERPRISE}:employeeNumber"), json!("7")),
        ),
        (
            one("replace", &format!("{OWN}:boss.value"), json!("26")),
            one("replace", &format!("{ENTERPRISE}:manager.value"), json!("26")),
        ),
        (
            one("replace", "mails[type eq \"work\"].value", json!("a@example.com")),
            one("replace", "emails[type eq \"work\"].value", json!("a@example.com")),
        ),
        (remove("mails[primary eq true]"), remove("emails[primary eq true]")),
        (one("add", "userName", json!("k")), one("add", "userName", json!("k"))),
        // Left out, but the resource must be there.
        (one("add", "userType", json!("Boss")), nothing()),
        (remove(&format!("{ENTERPRISE}:costCenter")), nothing()),
        (remove("ims[type eq \"x\"].value"), nothing()),
        (whole("replace", json!({ "userType": "Boss", ENTERPRISE: { "costCenter": "9" } })), nothing()),
        (
            json!([{ "op": "remove", "path": "ims" }, { "op": "remove", "path": "active" }]),
            json!([{ "op": "add", "value": {} }, { "op": "remove", "path": "active" }]),
        ),
        // Objects are as resources, without what the client does not say.
        (whole("add", json!({})), whole("add", json!({}))),
        (whole("replace", json!({})), whole("replace", json!({}))),
        (
            whole("replace", json!({ "nickName": "a", "employeeNumber": "7", OWN: { "room": "4" } })),
            whole(
                "replace",
                json!({ "displayName": "a", "title": "4", ENTERPRISE: { "employeeNumber": "7" } }),
            ),
        ),
        (
            whole("add", json!({ "schemas": [CORE, OWN], "nickName": "a" })),
            whole("add", json!({ "schemas": [CORE, OWN], "displayName": "a" })),
        ),
        (whole("replace", json!({ "nickName": null })), whole("replace", json!({ "displayName": null }))),
        (one("add", CORE, json!({ "nickName": "a" })), one("add", CORE, json!({ "displayName": "a" }))),
        // A whole extension of the client's.
        (
            one("add", ENTERPRISE, json!({ "division": "x", "department": "R" })),
            whole("add", json!({ "preferredLanguage": "x", ENTERPRISE: { "department": "R" } })),
        ),
        (one("add", OWN, json!({ "room": "4" })), whole("add", json!({ "title": "4" }))),
        (
            remove(&OWN.to_uppercase()),
            json!([{ "op": "remove", "path": "title" }, { "op": "remove", "path": format!("{ENTERPRISE}:manager") }]),
        ),
        (
            whole("replace", json!({ OWN: null, "nickName": "a" })),
            json!([
                { "op": "replace", "value": { "displayName": "a" } },
                { "op": "remove", "path": "title" },
                { "op": "remove", "path": format!("{ENTERPRISE}:manager") },
            ]),
        ),
        (whole("add", json!({ OWN: null })), nothing()),
        (
            remove(ENTERPRISE),
            json!([
                { "op": "remove", "path": format!("{ENTERPRISE}:department") },
                { "op": "remove", "path": "preferredLanguage" },
            ]),
        ),
        (
            one("replace", ENTERPRISE, Json::Null),
            json!([
                { "op": "remove", "path": format!("{ENTERPRISE}:department") },
                { "op": "remove", "path": "preferredLanguage" },
            ]),
        ),
    ] {
        assert_eq!(patched(&BED, BETA, sent.clone()), Ok(expected), "{sent}");
    }
}

#[test]
fn extensions_are_what_their_schemas_say() {
    let [must, may, other] = ["must", "may", "other"].map(|name| format!("urn:example:device:{name}"));
    let schema = |id: &str| {
        json!({ "id": id, "attributes": [{ "name": "a" }, { "name": "b" },
        { "name": "read", "mutability": "readOnly" }, { "name": "asked", "returned": "request" }] })
    };
    let bed = bed_with(|document| {
        document["scim"]["schemas"] =
            json!([schema("urn:example:device:core"), schema(&must), schema(&may), schema(&other)]);
        document["scim"]["resource_types"] = json!([{ "name": "Device", "endpoint": "/Devices",
            "schema": "urn:example:device:core", "schemaExtensions":
                [{ "schema": must, "required": true }, { "schema": may }, { "schema": other }] }]);
        document["scim"]["tenants"]["beta"]["attributes"] = json!({ "Device": [
            { "rename": "x", "to": format!("{must}:a") }, { "rename": "y", "to": format!("{may}:a") },
        ] });
    });
    let patched = |operation: Json| {
        let body = json!({ "schemas": [PATCH_OP], "Operations": [operation] });
        send(&bed, "PATCH", "/Devices/1", BETA, &body).map(|mut body| body["Operations"].take())
    };
    // One by one, but for what no client can change; as a whole where it is the same to both.
    let removals = ["b", "asked"].map(|name| json!({ "op": "remove", "path": format!("{may}:{name}") }));
    assert_eq!(patched(json!({ "op": "remove", "path": may })), Ok(json!(removals)));
    for whole in [
        json!({ "op": "remove", "path": other }),
        json!({ "op": "replace", "path": other, "value": { "a": "1" } }),
        json!({ "op": "replace", "value": { &other: null } }),
    ] {
        assert_eq!(patched(whole.clone()), Ok(json!([whole])));
    }
    for required in [
        json!({ "op": "remove", "path": must }),
        json!({ "op": "add", "path": must, "value": null }),
        json!({ "op": "replace", "value": { &must: null } }),
    ] {
        let (_, scim_type, _) = refused(patched(required.clone()));
        assert_eq!(scim_type, Some(ScimType::Mutability), "{required}");
    }
    // The name of a schema asks for none that must be asked for by name.
    let path = format!("/tenants/beta/scim/v2/Devices?attributes={may}");
    let (_, forwarded) = bed.forward(&get(&path, BETA)).unwrap();
    assert_eq!(forwarded.path(), format!("/scim/v2/Devices?attributes={may}:b,{may}:read"));
}

#[test]
fn operations_at_fault_are_refused_as_without_rules() {
    let shadowed =
        json!([{ "op": "remove", "path": "active" }, { "op": "remove", "path": "emails[type eq \"x\"]" }]);
    let (status, scim_type, detail) = refused(patched(&BED, BETA, shadowed.clone()));
    assert_eq!((status, scim_type), (400, Some(ScimType::InvalidPath)));
    assert!(detail.starts_with("Operations[1]: ") && detail.contains("\"emails\""), "{detail}");
    let expected = json!([{ "op": "remove", "path": "active" }, { "op": "add", "value": {} }]);
    assert_eq!(patched(&DROPPING, BETA, shadowed), Ok(expected));
    for (operation, expected) in [
        (json!({ "op": "replace", "value": { "title": "x" } }), ScimType::InvalidValue),
        (json!({ "op": "replace", "path": ENTERPRISE, "value": { "manager": {} } }), ScimType::InvalidValue),
        (json!({ "op": "replace", "path": "employeeNumber", "value": 7 }), ScimType::InvalidValue),
        (json!({ "op": "replace", "path": "mails[", "value": 7 }), ScimType::InvalidFilter),
        (json!({ "op": "remove", "value": { "ims": [] } }), ScimType::NoTarget),
        (json!({ "op": "replace", "path": ENTERPRISE, "value": 7 }), ScimType::InvalidValue),
        (json!({ "op": "replace", "path": OWN, "value": 7 }), ScimType::InvalidPath),
        (json!({ "op": "replace", "path": 7, "value": 7 }), ScimType::InvalidSyntax),
        (json!({ "op": "replace", "value": { format!("{CORE}:nickName"): "a" } }), ScimType::InvalidValue),
        (json!({ "op": "replaces", "path": "ims" }), ScimType::InvalidSyntax),
        (json!({ "op": "replace", "value": { "nickName.x": 1 } }), ScimType::InvalidValue),
        (json!(7), ScimType::InvalidSyntax),
    ] {
        let (_, scim_type, detail) = refused(patched(&BED, BETA, json!([operation])));
        assert_eq!(scim_type, Some(expected), "{operation}: {detail}");
    }
}

#[test]
fn what_a_provider_sends_is_softened_under_the_stores_names() {
    let boss = |value: Json| json!({ "schemas": [CORE, OWN, "http://schemas.example.com/x"], OWN: { "boss": value } });
    let expected = stored(json!({ "schemas": [CORE], ENTERPRISE: { "manager": { "value": "26" } } }));
    assert_eq!(created(&BED, ACME, &user(boss(json!("26")))), Ok(expected));
    let sent = json!([{ "op": "Replace", "value": {
        "mails[type eq \"work\"].value": "a@example.com",
        format!("{OWN}:boss"): "26",
        "employeeNumber": "7",
        format!("{ENTERPRISE}:costCenter"): "9",
        format!("{ENTERPRISE}:division"): "x",
        "name.givenName": "K",
        "active": "False",
    } }]);
    let mut operations = patched(&BED, ACME, sent).unwrap();
    operations.as_array_mut().unwrap().sort_by_key(|operation| operation["path"].to_string());
    assert_eq!(
        operations,
        json!([
            { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "a@example.com" },
            { "op": "Replace", "path": "name.givenName", "value": "K" },
            { "op": "Replace", "path": format!("{ENTERPRISE}:manager"), "value": { "value": "26" } },
            { "op": "Replace", "value": { "active": false, "preferredLanguage": "x",
                ENTERPRISE: { "employeeNumber": "7" } } },
        ])
    );
    let (_, scim_type, _) = refused(patched(
        &BED,
        ACME,
        json!([{ "op": "add", "value": { "emails[type eq \"x\"].value": "a" } }]),
    ));
    assert_eq!(scim_type, Some(ScimType::InvalidPath));
    let sent = json!([{ "op": "add", "value": { ENTERPRISE: { "division": "x" }, OWN: { "boss": "26" } } }]);
    let expected = json!([{ "op": "add", "value": { "preferredLanguage": "x",
        ENTERPRISE: { "manager": { "value": "26" } } } }]);
    assert_eq!(patched(&BED, ACME, sent), Ok(expected));
    // A key that is a path, and a name, for the same attribute.
    let twice = json!([{ "op": "add", "value": { "nickName": "a", format!("{CORE}:nickName"): "b" } }]);
    let (_, scim_type, _) = refused(patched(&BED, ACME, twice));
    assert_eq!(scim_type, Some(ScimType::InvalidValue));
}

/// The query that the store gets.
fn query(path: &str) -> Result<String, Refusal> {
    let path = format!("/tenants/beta/scim/v2{path}");
    let (_, forwarded) = BED.forward(&get(&path, BETA))?;
    let query = forwarded.path().split_once('?').map_or("", |(_, query)| query);
    Ok(query.replace("%20", " ").replace("%22", "\"").replace("%5B", "[").replace("%5D", "]"))
}

#[test]
fn searches_name_the_stores_attributes() {
    let number = format!("{ENTERPRISE}:employeeNumber");
    for (sent, expected) in [
        ("filter=EmployeeNumber+eq+%227%22".to_owned(), format!("filter={number} eq \"7\"")),
        (
            "filter=mails[type+eq+%22work%22]+and+not+(mails.value+pr+or+nickName+eq+%22a%22)".to_owned(),
            "filter=emails[type eq \"work\"] and not %28emails.value pr or displayName eq \"a\"%29"
                .to_owned(),
        ),
        (format!("filter={OWN}:boss.value+pr"), format!("filter={ENTERPRISE}:manager.value pr")),
        ("filter=locale+pr+and+userName+pr".to_owned(), "filter=locale pr and userName pr".to_owned()),
        ("sortBy=nickname".to_owned(), "sortBy=displayName".to_owned()),
        (format!("sortBy={OWN}:boss.value"), format!("sortBy={ENTERPRISE}:manager.value")),
        (
            format!("attributes=userName,nickName,mails.value,userType,{ENTERPRISE}:costCenter,title"),
            "attributes=userName,displayName,emails.value".to_owned(),
        ),
        ("attributes=userType".to_owned(), "attributes=id".to_owned()),
        ("attributes=emails".to_owned(), "attributes=id".to_owned()),
        ("excludedAttributes=userType".to_owned(), String::new()),
        (
            "excludedAttributes=employeeNumber,locale".to_owned(),
            format!("excludedAttributes={number},locale"),
        ),
        (format!("attributes={ENTERPRISE}"), format!("attributes={ENTERPRISE}:department,preferredLanguage")),
        (format!("attributes={OWN}"), format!("attributes=title,{ENTERPRISE}:manager")),
    ] {
        assert_eq!(query(&format!("/Users?{sent}")), Ok(expected.clone()), "{sent}");
        if sent.contains("ttributes") {
            assert_eq!(query(&format!("/Users/1?{sent}")), Ok(expected), "{sent}");
        }
    }
    let core = query(&format!("/Users?attributes={CORE}")).unwrap();
    let names: Vec<&str> = core.trim_start_matches("attributes=").split(',').collect();
    assert!(names.contains(&"userName") && names.contains(&number.as_str()), "{core}");
    assert!(!names.iter().any(|name| ["title", "userType", "ims"].contains(name)), "{core}");
    for (sent, expected) in [
        ("filter=userType+eq+%22Employee%22", ScimType::InvalidFilter),
        ("filter=not+(ims+pr)", ScimType::InvalidFilter),
        ("filter=title+pr", ScimType::InvalidFilter),
        ("filter=emails[type+pr]", ScimType::InvalidFilter),
        ("sortBy=userType", ScimType::InvalidPath),
        ("sortBy=title", ScimType::InvalidPath),
        ("sortBy=a.b.c", ScimType::InvalidPath),
        ("attributes=a.b.c", ScimType::InvalidPath),
    ] {
        assert_eq!(query(&format!("/Users?{sent}")).unwrap_err().scim_type(), Some(expected), "{sent}");
    }
    let search = |path: &str| {
        let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
            "filter": "employeeNumber pr", "sortBy": "nickName", "attributes": ["mails"] });
        send(&BED, "POST", path, BETA, &body)
    };
    assert_eq!(
        search("/Users/.search"),
        Ok(json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
            "filter": format!("{number} pr"), "sortBy": "displayName", "attributes": ["emails"] }))
    );
    assert_eq!(search("/.search").unwrap_err().status(), 501);
    assert_eq!(query("/").unwrap_err().status(), 501);
    // Without rules there are no two names for anything.
    let plain = bed_with(|_| {});
    assert!(plain.forward(&get("/tenants/beta/scim/v2/?filter=displayName+pr", BETA)).is_ok());
}

#[test]
fn jobs_are_translated_operation_by_operation() {
    let bulk = |user: Json| {
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [
                { "method": "POST", "path": "/Users", "bulkId": "a", "data": user },
                { "method": "PATCH", "path": "/Users/1", "data": { "schemas": [PATCH_OP],
                    "Operations": [{ "op": "remove", "path": "nickName" }] } },
                { "method": "POST", "path": "/Groups", "bulkId": "b", "data": { "nickName": "g" } },
                { "method": "DELETE", "path": "/Users/2" },
            ],
        })
    };
    let sent = send(&BED, "POST", "/Bulk", BETA, &bulk(user(json!({ "employeeNumber": "7" })))).unwrap();
    let operations = &sent["Operations"];
    assert_eq!(operations[0]["data"], stored(json!({ ENTERPRISE: { "employeeNumber": "7" } })));
    assert_eq!(operations[1]["data"]["Operations"][0]["path"], "displayName");
    assert_eq!(operations[2]["data"], json!({ "nickName": "g" }), "the store refuses it by itself");
    assert_eq!(operations[3], json!({ "method": "DELETE", "path": "/Users/2" }));
    let (status, scim_type, detail) =
        refused(send(&BED, "POST", "/Bulk", BETA, &bulk(user(json!({ "title": "x" })))));
    assert_eq!((status, scim_type), (400, Some(ScimType::InvalidSyntax)));
    assert!(detail.starts_with("Operations[0]: title: "), "{detail}");
}

/// What the client gets for `body`.
fn answered(method: &str, path: &str, status: u16, body: &Json) -> Result<Json, Refusal> {
    let path = format!("/tenants/beta/scim/v2{path}");
    let sent = match method {
        "POST" => "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:SearchRequest\"]}".to_owned(),
        _ => String::new(),
    };
    let (call, _) = BED.forward(&Sent { method, ..post(&path, BETA, &sent) }).unwrap();
    assert!(BED.policy.rewrites_answers(&call, status), "{method} {path} {status}");
    let rewritten = BED.policy.rewrite_answer(&call, body.to_string().as_bytes())?;
    Ok(serde_json::from_slice(&rewritten).unwrap())
}

#[test]
fn the_client_gets_its_own_names() {
    let fixed = json!({ "schemas": [CORE, ENTERPRISE], "id": "1", "userName": "kim", "userType": "Employee",
        "meta": { "resourceType": "User", "version": "W/\"1\"" }, ENTERPRISE: { "organization": "Acme" } });
    let seen = json!({ "schemas": [CORE], "id": "1", "userName": "kim",
        "meta": { "resourceType": "User", "version": "W/\"1\"" } });
    for (has, sees) in [
        (json!({}), json!({})),
        (json!({ "title": "4" }), json!({ "schemas": [CORE, OWN], OWN: { "room": "4" } })),
        (json!({ "displayName": "a", "nickName": "b" }), json!({ "nickName": "a", "displayName": "b" })),
        (json!({ "nickName": "b" }), json!({ "displayName": "b" })),
        (
            json!({ ENTERPRISE: { "employeeNumber": "7", "costCenter": "9", "division": "hidden" } }),
            json!({ "employeeNumber": "7" }),
        ),
        (
            json!({ "preferredLanguage": "x", ENTERPRISE: { "organization": "Acme" } }),
            json!({ "schemas": [CORE, ENTERPRISE], ENTERPRISE: { "division": "x" } }),
        ),
        (
            json!({ ENTERPRISE: { "department": "R", "manager": { "value": "26" } } }),
            json!({ "schemas": [CORE, ENTERPRISE, OWN], ENTERPRISE: { "department": "R" },
                OWN: { "boss": { "value": "26" } } }),
        ),
        (
            json!({ "emails": [{ "value": "a" }], "ims": [{ "value": "x" }] }),
            json!({ "mails": [{ "value": "a" }] }),
        ),
        (json!({ "locale": "en-US" }), json!({ "locale": "en-US" })),
    ] {
        let merged = |base: &Json, more: &Json| {
            let mut merged = base.clone();
            merged.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            merged
        };
        let (store, client) = (merged(&fixed, &has), merged(&seen, &sees));
        let mut got = answered("GET", "/Users/1", 200, &store).unwrap();
        let sorted = |json: &mut Json| {
            json["schemas"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
        };
        let mut expected = client;
        sorted(&mut got);
        sorted(&mut expected);
        assert_eq!(got, expected, "{has}");
    }
}

#[test]
fn lists_are_rewritten_one_by_one() {
    let list = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], "totalResults": 3,
        "Resources": [
            { "id": "1", "displayName": "a", "meta": { "resourceType": "User" } },
            { "id": "2", "displayName": "b" },
            { "id": "3", "displayName": "c", "meta": { "resourceType": "Group" } },
        ] });
    let mut expected = list.clone();
    expected["Resources"][0] = json!({ "id": "1", "nickName": "a", "meta": { "resourceType": "User" } });
    expected["Resources"][1] = json!({ "id": "2", "nickName": "b" });
    for (method, path) in [("GET", "/Users"), ("POST", "/Users/.search")] {
        assert_eq!(answered(method, path, 200, &list), Ok(expected.clone()), "{method} {path}");
    }
    let empty = json!({ "totalResults": 0, "displayName": "of no user" });
    assert_eq!(answered("GET", "/Users", 200, &empty), Ok(empty));
    for bad in [json!({ "Resources": [7] }), json!({ "Resources": {} }), json!([]), json!("x")] {
        let refusal = answered("GET", "/Users", 200, &bad).unwrap_err();
        assert_eq!((refusal.reason, refusal.status()), (Reason::StoreFailed, 502), "{bad}");
    }
    let (call, _) = BED.forward(&get("/tenants/beta/scim/v2/Users/1", BETA)).unwrap();
    for bad in ["", "<html>", "{\"a\":1", "{\"displayName\":1,\"displayName\":2}"] {
        let refusal = BED.policy.rewrite_answer(&call, bad.as_bytes()).unwrap_err();
        assert_eq!((refusal.reason, refusal.status()), (Reason::StoreFailed, 502), "{bad}");
    }
}

#[test]
fn only_answers_with_resources_are_rewritten() {
    let user = user(json!({})).to_string();
    let patch =
        json!({ "schemas": [PATCH_OP], "Operations": [{ "op": "remove", "path": "locale" }] }).to_string();
    let bulk = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [] })
        .to_string();
    for (method, path, body, status, expected) in [
        ("GET", "/Users/1", "", 200, true),
        ("GET", "/Users/1", "", 304, false),
        ("GET", "/Users/1", "", 404, false),
        ("HEAD", "/Users/1", "", 200, false),
        ("GET", "/Users", "", 200, true),
        ("POST", "/Users", &user, 201, true),
        ("POST", "/Users", &user, 409, false),
        ("PUT", "/Users/1", &user, 200, true),
        ("PATCH", "/Users/1", &patch, 200, true),
        ("PATCH", "/Users/1", &patch, 204, false),
        ("DELETE", "/Users/1", "", 204, false),
        ("GET", "/Groups/1", "", 200, false),
        ("GET", "/Schemas", "", 200, false),
        ("POST", "/Bulk", &bulk, 200, false),
    ] {
        let full = format!("/tenants/beta/scim/v2{path}");
        let (call, _) = BED.forward(&Sent { method, ..post(&full, BETA, body) }).unwrap();
        assert_eq!(BED.policy.rewrites_answers(&call, status), expected, "{method} {path} {status}");
        // The length is another, where it is that of a resource: for HEAD too.
        let text = status.to_string();
        let fields =
            [(":status", text.as_str()), ("content-type", "application/scim+json"), ("content-length", "9")]
                .map(|(name, value)| HeaderField { name: name.as_bytes(), value: value.as_bytes() });
        let is_of_users = path.starts_with("/Users") && method != "DELETE" && status < 400;
        let removed = HeaderMutation::Remove(b"content-length".as_slice().into());
        let expected = if is_of_users { vec![removed] } else { vec![] };
        assert_eq!(BED.policy.answer(&call, &fields), Answer::Pass(expected), "{method} {path} {status}");
    }
    let (call, _) = bed_with(|_| {}).forward(&get("/tenants/beta/scim/v2/Users/1", BETA)).unwrap();
    assert!(!bed_with(|_| {}).policy.rewrites_answers(&call, 200));
}

#[test]
fn faults_of_rules_are_told_all_at_once() {
    let faults = |attributes: Json| -> Vec<String> {
        let document = document_with(|document| {
            document["scim"]["tenants"]["beta"]["attributes"] = attributes;
        });
        let error = Config::load_with_scim(document.to_string().as_bytes()).unwrap_err();
        let place = "scim.tenants.beta.attributes.";
        error.faults().iter().map(|fault| fault.to_string().replacen(place, "", 1)).collect()
    };
    let found = faults(json!({
        "Device": [],
        "Group": [{ "rename": "users", "to": "members" }, { "drop": "displayName" }],
        "User": [
            {},
            { "rename": "a", "drop": "title" },
            { "rename": "a" },
            { "drop": "title", "value": 1 },
            { "rename": "", "to": "nothing" },
            { "rename": "id", "to": "groups" },
            { "rename": ENTERPRISE, "to": "name.givenName" },
            { "rename": "emails[type eq \"x\"]", "to": "schemas" },
            { "rename": "b", "to": "nickName" },
            { "rename": "B", "to": "NickName" },
            { "rename": "c", "to": "C" },
            { "rename": "locale", "to": "Locale" },
            { "constant": "userName", "value": "x" },
            { "constant": "active", "value": "yes" },
            { "constant": "nickName", "value": "x" },
            { "default": "emails", "value": [] },
            { "default": "timezone" },
            { "default": "emails", "value": [{ "value": "a", "kind": "b" }] },
            { "drop": format!("{ENTERPRISE}:nothing") },
            { "drop": "userName" },
            { "drop": "b" },
            { "rename": "profileUrl", "to": "timezone" },
            { "drop": "profileUrl" },
        ],
    }));
    let expected = [
        "Device: expected one of User, Group, but found \"Device\"",
        "Group[0].to: expected an attribute that is the client's alone to set, but found \"members\"",
        "Group[1].drop: expected that a client can set \"displayName\", since it is required",
        "User[0]: expected one of rename, constant, drop and default",
        "User[10].to: expected an attribute of the resource type, but found \"C\"",
        "User[11].to: expected another name than the client's, but found \"Locale\"",
        "User[12].constant: expected an attribute of which resources may have the same value, but found \"userName\"",
        "User[13].value: active: expected true or false, but found a string",
        "User[14].constant: expected one rule for each attribute, but found another for \"nickName\"",
        "User[15].value: expected a value, but found none",
        "User[16].value: expected a value of the attribute, but found nothing",
        "User[17].value: emails[0].kind: expected an attribute of the resource type, but found an unknown one",
        &format!(
            "User[18].drop: expected an attribute of the resource type, but found \"{ENTERPRISE}:nothing\""
        ),
        "User[19].drop: expected that a client can set \"userName\", since it is required",
        "User[1]: expected one of rename, constant, drop and default",
        "User[20].drop: expected an attribute of the resource type, but found \"b\"",
        "User[22].drop: expected one rule for each attribute, but found another for \"profileUrl\"",
        "User[2].to: expected the store's name of the attribute, but found nothing",
        "User[3].value: expected nothing, since the rule has no use for it",
        "User[4].rename: expected the name of an attribute, but found nothing",
        "User[4].to: expected an attribute of the resource type, but found \"nothing\"",
        "User[5].rename: expected an attribute that is the client's alone to set, but found \"id\"",
        "User[5].to: expected an attribute that is the client's alone to set, but found \"groups\"",
        &format!("User[6].rename: expected the name of a whole attribute, but found \"{ENTERPRISE}\""),
        "User[6].to: expected the name of a whole attribute, but found \"name.givenName\"",
        "User[7].rename: expected the name of an attribute (a letter, then letters, digits, \"-\", \"_\"), but found \"emails[type eq \\\"x\\\"]\"",
        "User[7].to: expected an attribute that is the client's alone to set, but found \"schemas\"",
        "User[9].rename: expected one rule for each attribute, but found another for \"B\"",
        "User[9].to: expected one rule for each attribute, but found another for \"nickName\"",
    ];
    assert_eq!(found, expected, "{found:#?}");
    // Each rule is good, and no user can be made.
    let found = faults(json!({ "User": [{ "rename": "userName", "to": "nickName" }] }));
    assert_eq!(found, ["User: expected that a client can set \"userName\", since it is required"]);
    let swap = json!({ "User": [
        { "rename": "userName", "to": "externalId" }, { "rename": "externalId", "to": "userName" },
    ] });
    bed_with(|document| document["scim"]["tenants"]["beta"]["attributes"] = swap);
    let constant = json!({ "Group": [{ "constant": "displayName", "value": "all" }], "User": [] });
    bed_with(|document| document["scim"]["tenants"]["beta"]["attributes"] = constant);
}

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::built_in().unwrap());

fn user_type() -> Arc<ResourceType> {
    Arc::clone(CATALOG.resource_type("User").unwrap())
}

/// What the store keeps of a body, by the RFC alone.
fn kept(body: &Json) -> Resource {
    let mut resource = Resource::parse(&user_type(), body.as_object().unwrap(), Unknown::Refused).unwrap();
    resource.set_id("1");
    let then = DateTime::parse("2026-01-01T00:00:00Z").unwrap();
    resource.set_meta(&Meta { created: then, last_modified: then, location: "x".into(), version: None });
    resource
}

/// What the client sees of it.
fn seen(resource: &Resource) -> Map<String, Json> {
    let projection = Projection::new(&user_type(), &[], &[]).unwrap();
    let Json::Object(mut seen) =
        answered("GET", "/Users/1", 200, &projection.apply(resource).to_json()).unwrap()
    else {
        panic!()
    };
    seen.remove("id");
    seen.remove("meta");
    seen["schemas"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
    seen
}

/// What a client may have sent: each attribute that a rule is about, as the client calls it, and some beside. In the spelling of the
/// rules, so that it can be compared with what comes back.
fn attributes() -> impl Strategy<Value = Map<String, Json>> {
    let text = || prop::option::of("[a-z]{1,3}".prop_map(Json::from));
    let list = || {
        // Each once: to a PATCH two that are the same are one.
        let kind = prop::sample::select(vec!["work", "home"]);
        let items = prop::collection::btree_map("[a-z]{1,3}", kind, 1..3);
        let array = |items: BTreeMap<String, &str>| -> Json {
            items.into_iter().map(|(value, kind)| json!({ "value": value, "type": kind })).collect()
        };
        prop::option::of(items.prop_map(array))
    };
    let complex = prop::option::of("[0-9]{1,3}".prop_map(|value| json!({ "value": value })));
    let core = prop::array::uniform6(text()).prop_map(|values| {
        ["employeeNumber", "nickName", "displayName", "locale", "userType", "timezone"]
            .into_iter()
            .zip(values)
            .collect::<Vec<_>>()
    });
    let enterprise = prop::array::uniform4(text()).prop_map(|values| {
        ["division", "organization", "costCenter", "department"].into_iter().zip(values).collect::<Vec<_>>()
    });
    (core, enterprise, [list(), list(), list()], text(), complex).prop_map(
        |(core, enterprise, [mails, ims, phones], room, boss)| {
            let members = |values: Vec<(&str, Option<Json>)>| -> Map<String, Json> {
                values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
            };
            let mut user = members(core);
            user.extend(members(vec![("mails", mails), ("ims", ims), ("phoneNumbers", phones)]));
            let mut schemas = vec![CORE];
            for (urn, object) in
                [(ENTERPRISE, members(enterprise)), (OWN, members(vec![("room", room), ("boss", boss)]))]
            {
                if !object.is_empty() {
                    schemas.push(urn);
                    user.insert(urn.to_owned(), Json::Object(object));
                }
            }
            user.insert("userName".to_owned(), json!("kim"));
            user.insert("schemas".to_owned(), json!(schemas));
            user
        },
    )
}

/// What is left of what a client sent: without what is dropped and constant, with what is there by default.
fn expected(sent: &Map<String, Json>, with_defaults: bool) -> Map<String, Json> {
    let mut user = sent.clone();
    user.retain(|name, _| !["userType", "ims"].contains(&name.as_str()));
    let mut enterprise =
        user.remove(ENTERPRISE).map_or_else(Map::new, |members| members.as_object().unwrap().clone());
    enterprise.retain(|name, _| !["organization", "costCenter"].contains(&name.as_str()));
    if with_defaults {
        user.entry("locale").or_insert(json!("en-US"));
        user.entry("phoneNumbers").or_insert(json!([{ "value": "tel:+1", "type": "work" }]));
        enterprise.entry("department").or_insert(json!("None"));
    }
    if !enterprise.is_empty() {
        user.insert(ENTERPRISE.to_owned(), Json::Object(enterprise));
    }
    let schemas: Vec<&str> =
        [OWN, ENTERPRISE, CORE].into_iter().filter(|urn| *urn == CORE || user.contains_key(*urn)).collect();
    user.insert("schemas".to_owned(), json!(schemas));
    user["schemas"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
    user
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_client_sees_what_it_sent(sent in attributes()) {
        let body = created(&BED, BETA, &Json::Object(sent.clone())).unwrap();
        let resource = kept(&body);
        let fixed = resource.to_json();
        prop_assert_eq!(&fixed["userType"], "Employee");
        prop_assert_eq!(&fixed[ENTERPRISE]["organization"], "Acme");
        prop_assert!(!fixed.contains_key("ims") && fixed[ENTERPRISE].get("costCenter").is_none());
        let seen_first = seen(&resource);
        prop_assert_eq!(&seen_first, &expected(&sent, true));
        // What it saw it can send again.
        prop_assert_eq!(seen(&kept(&created(&BED, BETA, &Json::Object(seen_first.clone())).unwrap())), seen_first);
    }

    #[test]
    fn the_client_sees_what_it_patched(sent in attributes(), by_paths: bool) {
        // Upon a user of whom the store knows the least.
        let least = kept(&user(json!({})));
        let whole = |name: &str| !["schemas", "userName"].contains(&name);
        let operations: Vec<Json> = if by_paths {
            let paths = sent.iter().filter(|(name, _)| whole(name)).flat_map(|(name, value)| {
                let Some(members) = value.as_object() else { return vec![(name.clone(), value)] };
                members.iter().map(|(member, value)| (format!("{name}:{member}"), value)).collect()
            });
            paths.map(|(path, value)| json!({ "op": "add", "path": path, "value": value })).collect()
        } else {
            vec![json!({ "op": "replace", "value": sent })]
        };
        prop_assume!(!operations.is_empty());
        let operations = patched(&BED, BETA, json!(operations)).unwrap();
        let body = json!({ "schemas": [PATCH_OP], "Operations": operations });
        let patch = Patch::parse(&user_type(), body.as_object().unwrap(), &PatchRules::default()).unwrap();
        let after = patch.apply(&least).unwrap().resource;
        prop_assert_eq!(seen(&after), expected(&sent, false));
    }
}
