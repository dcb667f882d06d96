use super::*;
use crate::scim::resource::Resource;
use crate::scim::tests::{group, user};
use crate::scim::value::Complex;
use crate::scim::{Catalog, Profile, ScimError};
use serde_json::json;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn stored() -> Json {
    json!({
        "schemas": [USER, ENTERPRISE], "id": "1", "userName": "babs", "nickName": "Babs", "active": true,
        "name": {"familyName": "Jensen", "givenName": "Barbara"},
        "emails": [
            {"value": "b@work", "type": "work", "primary": true},
            {"value": "b@home", "type": "home"}
        ],
        "groups": [{"value": "g"}],
        ENTERPRISE: {"employeeNumber": "7", "manager": {"value": "26", "displayName": "M"}}
    })
}

fn body(operations: &Json) -> Map<String, Json> {
    let json = json!({"schemas": [PATCH_OP], "Operations": operations});
    json.as_object().unwrap().clone()
}

fn soft() -> PatchRules {
    PatchRules {
        ignores_read_only: true,
        creates_missing: true,
        removes_missing: true,
        ..PatchRules::default()
    }
}

fn apply(operations: &Json, rules: &PatchRules) -> Result<Outcome, PatchError> {
    let before = Resource::from_stored(&user(), stored().as_object().unwrap()).unwrap();
    Patch::parse(&user(), &body(operations), rules)?.apply(&before)
}

/// `expected` are the attributes that are other than before; `null` for one that is gone.
fn check_by(rules: &PatchRules, operations: &Json, expected: &Json) {
    let outcome = apply(operations, rules).unwrap_or_else(|error| panic!("{operations}: {error}"));
    let mut after = stored();
    for (name, value) in expected.as_object().unwrap() {
        if value.is_null() {
            after.as_object_mut().unwrap().remove(name);
        } else {
            after[name] = value.clone();
        }
    }
    assert_eq!(Json::Object(outcome.resource.to_json()), after, "{operations}");
    assert_eq!(outcome.changed, after != stored(), "{operations}");
}

fn check(operation: Json, expected: Json) {
    check_by(&PatchRules::default(), &json!([operation]), &expected);
}

fn check_soft(operation: Json, expected: Json) {
    check_by(&soft(), &json!([operation]), &expected);
}

fn unchanged(operation: Json) {
    check(operation, json!({}));
}

/// `kind` is the `scimType`.
fn refused(operation: Json, kind: &str) {
    refused_by(&PatchRules::default(), &json!([operation]), kind);
}

fn refused_by(rules: &PatchRules, operations: &Json, kind: &str) {
    let error = apply(operations, rules).expect_err(&operations.to_string());
    assert_eq!(scim_type(error.clone()), kind, "{operations}: {error}");
}

fn scim_type(error: PatchError) -> &'static str {
    ScimError::from(error).scim_type.unwrap().as_str()
}

#[test]
fn single_values_are_added_and_replaced_alike() {
    for op in ["add", "replace", "Add", "REPLACE"] {
        check(json!({"op": op, "path": "nickName", "value": "B"}), json!({"nickName": "B"}));
        check(json!({"op": op, "path": "title", "value": "T"}), json!({"title": "T"}));
        check(json!({"op": op, "path": "active", "value": false}), json!({"active": false}));
        check(
            json!({"op": op, "value": {"active": false, "title": "T"}}),
            json!({"active": false, "title": "T"}),
        );
        check(json!({"op": op, "path": format!("{USER}:title"), "value": "T"}), json!({"title": "T"}));
        check(json!({"op": op, "path": USER, "value": {"title": "T"}}), json!({"title": "T"}));
        unchanged(json!({"op": op, "path": "nickname", "value": "Babs"}));
        unchanged(json!({"op": op, "value": {"NICKNAME": "Babs", "schemas": [USER]}}));
    }
    check(json!({"op": "replace", "path": "nickName", "value": "babs"}), json!({"nickName": "babs"}));
    check(json!({"op": "replace", "path": "nickName", "value": null}), json!({"nickName": null}));
    unchanged(json!({"op": "add", "path": "nickName", "value": null}));
}

#[test]
fn what_a_complex_value_does_not_name_stays() {
    for op in ["add", "replace"] {
        let expected = json!({"name": {"familyName": "J", "givenName": "Barbara", "middleName": "M"}});
        check(
            json!({"op": op, "path": "name", "value": {"familyName": "J", "middleName": "M"}}),
            expected.clone(),
        );
        check(json!({"op": op, "value": {"name": {"familyName": "J", "middleName": "M"}}}), expected);
        let expected = json!({"name": {"familyName": "J", "givenName": "Barbara"}});
        check(json!({"op": op, "path": "name.familyName", "value": "J"}), expected);
        unchanged(json!({"op": op, "path": "name", "value": {"givenName": "Barbara"}}));
        unchanged(json!({"op": op, "path": "name", "value": {}}));
    }
    check(
        json!({"op": "replace", "path": "name", "value": {"familyName": null}}),
        json!({"name": {"givenName": "Barbara"}}),
    );
    unchanged(json!({"op": "add", "path": "name", "value": {"familyName": null}}));
    check(json!({"op": "replace", "path": "name", "value": null}), json!({"name": null}));
    let both = json!({"op": "replace", "path": "name", "value": {"familyName": null, "givenName": null}});
    check(both, json!({"name": null}));
}

#[test]
fn values_are_added_beside_those_that_are_there() {
    let (work, home) = (&stored()["emails"][0], &stored()["emails"][1]);
    let new = json!({"value": "b@other", "type": "other"});
    let expected = json!({"emails": [work, home, new]});
    check(json!({"op": "add", "path": "emails", "value": [new]}), expected.clone());
    check(json!({"op": "add", "path": "emails", "value": new}), expected.clone());
    check(json!({"op": "add", "value": {"emails": [new, home, new]}}), expected);
    let second = json!({"value": "b@work", "type": "home"});
    check(json!({"op": "add", "path": "emails", "value": [second]}), json!({"emails": [work, home, second]}));
    check(
        json!({"op": "add", "path": "emails", "value": [{"value": "b@home", "display": "B"}]}),
        json!({"emails": [work, {"value": "b@home", "type": "home", "display": "B"}]}),
    );
    unchanged(json!({"op": "add", "path": "emails", "value": []}));
    unchanged(json!({"op": "add", "path": "emails", "value": [home, work]}));
    unchanged(json!({"op": "add", "path": "emails", "value": [{"value": "B@HOME"}]}));
    let address = json!({"streetAddress": "1", "type": "work"});
    check(
        json!({"op": "add", "path": "addresses", "value": [address, address]}),
        json!({"addresses": [address]}),
    );
}

#[test]
fn a_list_is_replaced_as_a_whole() {
    let new = json!([{"value": "b@x"}]);
    check(json!({"op": "replace", "path": "emails", "value": new}), json!({"emails": new}));
    check(json!({"op": "replace", "value": {"emails": new}}), json!({"emails": new}));
    check(json!({"op": "replace", "path": "emails", "value": []}), json!({"emails": null}));
    check(json!({"op": "replace", "path": "emails", "value": null}), json!({"emails": null}));
    unchanged(json!({"op": "replace", "path": "emails", "value": stored()["emails"]}));
    let reversed = json!([stored()["emails"][1], stored()["emails"][0]]);
    unchanged(json!({"op": "replace", "path": "emails", "value": reversed}));
    // Not a value, so it must not stand for "no values".
    refused(json!({"op": "replace", "path": "emails", "value": [{}]}), "invalidValue");
    refused(json!({"op": "replace", "path": "emails", "value": [null]}), "invalidValue");
}

#[test]
fn a_filter_selects_the_values() {
    let (work, home) = (&stored()["emails"][0], &stored()["emails"][1]);
    let changed = json!({"emails": [{"value": "new", "type": "work", "primary": true}, home]});
    for op in ["add", "replace"] {
        check(json!({"op": op, "path": "emails[type eq \"work\"].value", "value": "new"}), changed.clone());
        check(
            json!({"op": op, "path": "EMAILS[TYPE eq \"WORK\" and value sw \"b\"].VALUE", "value": "new"}),
            changed.clone(),
        );
    }
    check(
        json!({"op": "replace", "path": "emails[type eq \"work\"]", "value": {"value": "new"}}),
        json!({"emails": [{"value": "new"}, home]}),
    );
    check(
        json!({"op": "replace", "path": "emails[value pr]", "value": [{"value": "new"}]}),
        json!({"emails": [{"value": "new"}]}),
    );
    check(
        json!({"op": "add", "path": "emails[type eq \"home\"]", "value": {"display": "H"}}),
        json!({"emails": [work, {"value": "b@home", "type": "home", "display": "H"}]}),
    );
    check(json!({"op": "remove", "path": "emails[type eq \"work\"]"}), json!({"emails": [home]}));
    check(json!({"op": "remove", "path": "emails[value pr]"}), json!({"emails": null}));
    check(
        json!({"op": "remove", "path": "emails[type eq \"home\"].type"}),
        json!({"emails": [work, {"value": "b@home"}]}),
    );
    check(
        json!({"op": "replace", "path": "emails[type eq \"home\"]", "value": null}),
        json!({"emails": [work]}),
    );
    unchanged(json!({"op": "replace", "path": "emails[type eq \"work\"].value", "value": "b@work"}));
    let path = "emails[type eq \"home\" or primary eq true].display";
    check(
        json!({"op": "add", "path": path, "value": "D"}),
        json!({"emails": [
            {"value": "b@work", "display": "D", "type": "work", "primary": true},
            {"value": "b@home", "display": "D", "type": "home"}
        ]}),
    );
}

#[test]
fn a_sub_attribute_without_filter_is_that_of_every_value() {
    check(
        json!({"op": "replace", "path": "emails.type", "value": "other"}),
        json!({"emails": [{"value": "b@work", "type": "other", "primary": true}, {"value": "b@home", "type": "other"}]}),
    );
    check(
        json!({"op": "remove", "path": "emails.type"}),
        json!({"emails": [{"value": "b@work", "primary": true}, {"value": "b@home"}]}),
    );
    refused(json!({"op": "replace", "path": "photos.type", "value": "photo"}), "noTarget");
    unchanged(json!({"op": "remove", "path": "photos.type"}));
}

#[test]
fn what_a_filter_does_not_find_is_added_or_is_no_target() {
    let emails = stored()["emails"].as_array().unwrap().clone();
    let with = |new: Json| json!({"emails": [emails[0], emails[1], new]});
    let other = json!({"value": "o", "type": "Other"});
    let path = "emails[type eq \"Other\"]";
    check(json!({"op": "add", "path": format!("{path}.value"), "value": "o"}), with(other.clone()));
    check(json!({"op": "add", "path": path, "value": {"value": "o"}}), with(other.clone()));
    refused(json!({"op": "add", "path": path, "value": {"value": "o", "type": "x"}}), "noTarget");
    refused(
        json!({"op": "add", "path": "emails[type ne \"work\" and type ne \"home\"].value", "value": "o"}),
        "noTarget",
    );
    for op in [
        json!({"op": "replace", "path": format!("{path}.value"), "value": "o"}),
        json!({"op": "replace", "path": path, "value": {"value": "o"}}),
    ] {
        refused(op.clone(), "noTarget");
        check_soft(op, with(other.clone()));
    }
    for op in
        [json!({"op": "remove", "path": path}), json!({"op": "remove", "path": format!("{path}.value")})]
    {
        refused(op.clone(), "noTarget");
        check_soft(op, json!({}));
    }
    let described =
        json!({"op": "replace", "path": "emails[type eq \"x\" or type eq \"y\"].value", "value": "o"});
    refused_by(&soft(), &json!([described]), "noTarget");
}

#[test]
fn removal_takes_what_the_path_names() {
    check(json!({"op": "remove", "path": "nickName"}), json!({"nickName": null}));
    check(json!({"op": "remove", "path": "name.familyName"}), json!({"name": {"givenName": "Barbara"}}));
    check(json!({"op": "remove", "path": "name"}), json!({"name": null}));
    check(json!({"op": "remove", "path": "emails"}), json!({"emails": null}));
    unchanged(json!({"op": "remove", "path": "title"}));
    refused(json!({"op": "remove"}), "noTarget");
    refused(json!({"op": "remove", "value": {"nickName": "Babs"}}), "noTarget");
}

#[test]
fn removal_with_a_value_takes_that_value_alone() {
    let (work, home) = (&stored()["emails"][0], &stored()["emails"][1]);
    check(
        json!({"op": "remove", "path": "emails", "value": [{"value": "b@work"}]}),
        json!({"emails": [home]}),
    );
    check(
        json!({"op": "remove", "path": "emails", "value": {"value": "b@home", "type": "home"}}),
        json!({"emails": [work]}),
    );
    unchanged(json!({"op": "remove", "path": "emails", "value": [{"value": "b@home", "type": "work"}]}));
    unchanged(json!({"op": "remove", "path": "emails", "value": [{"value": "nobody"}]}));
    unchanged(json!({"op": "remove", "path": "emails", "value": []}));
    check(json!({"op": "remove", "path": "nickName", "value": "Babs"}), json!({"nickName": null}));
}

#[test]
fn extensions_are_named_by_their_urn() {
    let manager = json!({"value": "26", "displayName": "M"});
    let with = |department: &str| json!({ENTERPRISE: {"employeeNumber": "7", "department": department, "manager": manager}});
    for op in ["add", "replace"] {
        check(json!({"op": op, "path": format!("{ENTERPRISE}:department"), "value": "S"}), with("S"));
        check(json!({"op": op, "path": ENTERPRISE, "value": {"department": "S"}}), with("S"));
        check(json!({"op": op, "value": {ENTERPRISE.to_lowercase(): {"DEPARTMENT": "S"}}}), with("S"));
        let itself = json!({"schemas": [ENTERPRISE], "department": "S"});
        check(json!({"op": op, "path": ENTERPRISE, "value": itself}), with("S"));
        check(json!({"op": op, "value": {ENTERPRISE: itself}}), with("S"));
        let other = json!({"schemas": [USER], "department": "S"});
        refused(json!({"op": op, "path": ENTERPRISE, "value": other}), "invalidValue");
    }
    let expected =
        json!({ENTERPRISE: {"employeeNumber": "7", "manager": {"value": "9", "displayName": "M"}}});
    check(
        json!({"op": "replace", "path": format!("{ENTERPRISE}:manager.value"), "value": "9"}),
        expected.clone(),
    );
    check(
        json!({"op": "replace", "path": format!("{ENTERPRISE}:manager"), "value": {"value": "9", "displayName": "N"}}),
        expected,
    );
    let expected = json!({ENTERPRISE: {"manager": manager}});
    check(json!({"op": "remove", "path": format!("{ENTERPRISE}:employeeNumber")}), expected);
    let gone = json!({ENTERPRISE: null, "schemas": [USER]});
    check(json!({"op": "remove", "path": ENTERPRISE}), gone.clone());
    check(json!({"op": "replace", "path": ENTERPRISE, "value": null}), gone);
    refused(json!({"op": "add", "path": "employeeNumber", "value": "1"}), "invalidPath");
    refused(json!({"op": "add", "path": "urn:x:y:z", "value": "1"}), "invalidPath");
}

#[test]
fn at_most_one_value_is_primary() {
    let home = |primary: bool| json!({"value": "b@home", "type": "home", "primary": primary});
    let work = |primary: bool| json!({"value": "b@work", "type": "work", "primary": primary});
    let moved = json!({"emails": [work(false), home(true)]});
    check(json!({"op": "replace", "path": "emails[type eq \"home\"].primary", "value": true}), moved.clone());
    check(json!({"op": "add", "path": "emails", "value": [{"value": "b@home", "primary": true}]}), moved);
    let new = json!({"value": "n", "primary": true});
    let expected = json!({"emails": [work(false), stored()["emails"][1], new]});
    check(json!({"op": "add", "path": "emails", "value": [new]}), expected);
    refused(json!({"op": "replace", "path": "emails[value pr].primary", "value": true}), "invalidValue");
    let two = json!([{"value": "1", "primary": true}, {"value": "2", "primary": true}]);
    refused(json!({"op": "add", "path": "emails", "value": two}), "invalidValue");
    refused(json!({"op": "replace", "path": "emails", "value": two}), "invalidValue");
}

#[test]
fn what_a_client_cannot_change_is_refused() {
    for op in ["add", "replace", "remove"] {
        for path in ["id", "meta", "meta.version", "groups", "groups[value eq \"g\"]", "groups.display"] {
            refused(json!({"op": op, "path": path, "value": "x"}), "mutability");
        }
        refused(
            json!({"op": op, "path": format!("{ENTERPRISE}:manager.displayName"), "value": "x"}),
            "mutability",
        );
    }
    refused(json!({"op": "replace", "value": {"id": "2", "nickName": "B"}}), "mutability");
    check_soft(json!({"op": "replace", "value": {"id": "2", "nickName": "B"}}), json!({"nickName": "B"}));
    refused_by(&soft(), &json!([{"op": "replace", "path": "id", "value": "2"}]), "mutability");
    refused(json!({"op": "remove", "path": "userName"}), "mutability");
    refused(json!({"op": "replace", "path": "userName", "value": null}), "mutability");
    refused(json!({"op": "replace", "path": "userName", "value": " "}), "invalidValue");
}

#[test]
fn what_can_be_set_once_stays() {
    let device = json!({"id": "urn:x:y", "attributes": [
        {"name": "serial", "mutability": "immutable"},
        {"name": "tags", "multiValued": true},
        {"name": "model", "type": "complex", "mutability": "immutable", "subAttributes": [{"name": "maker"}, {"name": "year"}]},
        {"name": "keys", "type": "complex", "multiValued": true, "subAttributes": [
            {"name": "value", "mutability": "immutable"}, {"name": "label", "required": true}, {"name": "uses", "multiValued": true}]},
        {"name": "place", "type": "complex", "subAttributes": [{"name": "site", "required": true}, {"name": "desk"}]}
    ]});
    let types = json!({"name": "Device", "endpoint": "/Devices", "schema": "urn:x:y"});
    let catalog = Catalog::with(&[device], &[types]).unwrap();
    let device = catalog.resource_type("Device").unwrap();
    let try_on = |before: &Json, operation: Json| {
        let before = Resource::from_stored(device, before.as_object().unwrap()).unwrap();
        let patch = Patch::parse(device, &body(&json!([operation])), &PatchRules::default());
        let found = patch.and_then(|patch| patch.apply(&before));
        found.map(|outcome| {
            let mut json = outcome.resource.to_json();
            json.remove("schemas");
            Json::Object(json)
        })
    };
    let check = |before: Json, operation: Json, expected: Result<Json, &str>| {
        let found = try_on(&before, operation.clone()).map_err(|error| scim_type(error.clone()));
        assert_eq!(found, expected, "{operation}");
    };
    let set = json!({"serial": "1"});
    check(json!({}), json!({"op": "add", "path": "serial", "value": "1"}), Ok(set.clone()));
    check(set.clone(), json!({"op": "replace", "path": "serial", "value": "1"}), Ok(set.clone()));
    check(set.clone(), json!({"op": "add", "path": "serial", "value": "2"}), Err("mutability"));
    check(set.clone(), json!({"op": "remove", "path": "serial"}), Err("mutability"));
    check(json!({}), json!({"op": "remove", "path": "serial"}), Ok(json!({})));
    let model = json!({"model": {"maker": "M", "year": "2001"}});
    let add = |value: &Json| json!({"op": "add", "value": value});
    check(json!({}), add(&model), Ok(model.clone()));
    check(model.clone(), add(&model), Ok(model.clone()));
    check(model.clone(), add(&json!({"model": {"year": "2002"}})), Err("mutability"));
    check(json!({"model": {"maker": "M"}}), add(&json!({"model": {"year": "2001"}})), Err("mutability"));
    check(model, json!({"op": "remove", "path": "model.year"}), Err("mutability"));
    let keys = json!({"keys": [{"value": "k", "label": "l"}]});
    let path = "keys[label eq \"l\"]";
    check(
        keys.clone(),
        json!({"op": "replace", "path": format!("{path}.value"), "value": "m"}),
        Err("mutability"),
    );
    check(keys.clone(), json!({"op": "remove", "path": format!("{path}.value")}), Err("mutability"));
    check(keys.clone(), json!({"op": "remove", "path": format!("{path}.label")}), Err("mutability"));
    let using = |uses: Json| json!({"keys": [{"value": "k", "label": "l", "uses": uses}]});
    let uses = format!("{path}.uses");
    check(keys.clone(), json!({"op": "add", "path": uses, "value": ["a"]}), Ok(using(json!(["a"]))));
    check(
        using(json!(["a"])),
        json!({"op": "add", "path": uses, "value": ["b", "A"]}),
        Ok(using(json!(["a", "b"]))),
    );
    check(
        using(json!(["a"])),
        json!({"op": "add", "path": path, "value": {"uses": ["b"]}}),
        Ok(using(json!(["a", "b"]))),
    );
    check(
        using(json!(["a"])),
        json!({"op": "replace", "path": uses, "value": ["b"]}),
        Ok(using(json!(["b"]))),
    );
    let new = json!([{"value": "m", "label": "n"}]);
    check(keys.clone(), json!({"op": "replace", "path": path, "value": new}), Ok(json!({"keys": new})));
    check(keys.clone(), json!({"op": "remove", "path": "keys", "value": [{"value": "k"}]}), Ok(json!({})));
    check(keys.clone(), json!({"op": "add", "path": "keys", "value": [{"value": "m"}]}), Err("invalidValue"));
    check(
        keys,
        json!({"op": "add", "path": "keys[value eq \"m\"]", "value": {"value": "m"}}),
        Err("invalidValue"),
    );
    check(json!({}), json!({"op": "add", "path": "place.desk", "value": "1"}), Err("invalidValue"));
    let place = json!({"place": {"site": "A"}});
    check(
        place.clone(),
        json!({"op": "add", "path": "place.desk", "value": "1"}),
        Ok(json!({"place": {"site": "A", "desk": "1"}})),
    );
    check(place, json!({"op": "remove", "path": "place.site"}), Err("mutability"));
    let tags = json!({"tags": ["a", "b"]});
    check(
        tags.clone(),
        json!({"op": "add", "path": "tags", "value": ["B", "c", "c"]}),
        Ok(json!({"tags": ["a", "b", "c"]})),
    );
    check(tags.clone(), json!({"op": "remove", "path": "tags", "value": ["A"]}), Ok(json!({"tags": ["b"]})));
    check(tags, json!({"op": "replace", "path": "tags", "value": "d"}), Ok(json!({"tags": ["d"]})));
}

#[test]
fn values_must_fit() {
    for op in ["add", "replace"] {
        refused(json!({"op": op, "path": "nickName"}), "invalidValue");
        refused(json!({"op": op, "path": "nickName", "value": 1}), "invalidValue");
        refused(json!({"op": op, "path": "active", "value": "false"}), "invalidValue");
        refused(json!({"op": op, "path": "name", "value": "x"}), "invalidValue");
        refused(json!({"op": op, "path": "name", "value": {"nope": "x"}}), "invalidValue");
        refused(json!({"op": op, "path": "emails", "value": "x"}), "invalidValue");
        refused(json!({"op": op, "path": "emails[type eq \"work\"]", "value": "x"}), "invalidValue");
        refused(json!({"op": op, "path": "schemas", "value": ["urn:x:y"]}), "invalidValue");
        refused(json!({"op": op}), "invalidValue");
        refused(json!({"op": op, "value": "x"}), "invalidValue");
        refused(json!({"op": op, "value": {"nickName": "x", "nickname": "y"}}), "invalidValue");
        refused(
            json!({"op": op, "path": "name", "value": {"givenName": "x", "GivenName": "y"}}),
            "invalidValue",
        );
        refused(json!({"op": op, "value": {"nope": 1}}), "invalidValue");
        refused(json!({"op": op, "value": {"name.givenName": "x"}}), "invalidValue");
        refused(json!({"op": op, "value": {ENTERPRISE: {"nope": 1}}}), "invalidValue");
        unchanged(json!({"op": op, "path": "schemas", "value": [USER, ENTERPRISE]}));
    }
}

#[test]
fn paths_must_be_paths() {
    for path in [
        "",
        "1",
        "nope",
        "name.nope",
        "nickName.x",
        "a.b.c",
        "nickName[value eq \"x\"]",
        "name[givenName pr]",
    ] {
        refused(json!({"op": "replace", "path": path, "value": "x"}), "invalidPath");
        refused(json!({"op": "remove", "path": path}), "invalidPath");
    }
    for path in
        ["emails[", "emails[type]", "emails[type eq work]", "emails[nope pr]", "emails[primary gt true]"]
    {
        refused(json!({"op": "replace", "path": path, "value": "x"}), "invalidFilter");
    }
    refused(json!({"op": "remove", "path": "emails[type eq \"work\"].nope"}), "invalidPath");
}

#[test]
fn bodies_must_be_of_the_shape() {
    for operation in [
        json!("add"),
        json!({"path": "nickName"}),
        json!({"op": 1, "path": "nickName"}),
        json!({"op": "move", "path": "nickName"}),
        json!({"op": "replaced", "path": "nickName", "value": "x"}),
        json!({"op": "replace", "path": 1, "value": "x"}),
        json!({"op": "replace", "path": "nickName", "Path": "title", "value": "x"}),
    ] {
        refused(operation, "invalidSyntax");
    }
    for text in [
        json!({"Operations": [{"op": "remove", "path": "nickName"}]}),
        json!({"schemas": [USER], "Operations": [{"op": "remove", "path": "nickName"}]}),
        json!({"schemas": [PATCH_OP]}),
        json!({"schemas": [PATCH_OP], "Operations": []}),
        json!({"schemas": [PATCH_OP], "Operations": {}}),
    ] {
        let error = Patch::parse(&user(), text.as_object().unwrap(), &PatchRules::default()).unwrap_err();
        assert_eq!((error.operation, scim_type(error.clone())), (None, "invalidSyntax"), "{text}");
    }
    check(json!({"OP": "add", "Path": "title", "VALUE": "T"}), json!({"title": "T"}));
}

#[test]
fn operations_hold_in_order_all_or_none() {
    let operations = json!([
        {"op": "remove", "path": "emails"},
        {"op": "add", "path": "emails", "value": [{"value": "a", "type": "work"}]},
        {"op": "replace", "path": "emails[type eq \"work\"].value", "value": "b"},
        {"op": "add", "path": "title", "value": "T"},
        {"op": "remove", "path": "title"}
    ]);
    check_by(&PatchRules::default(), &operations, &json!({"emails": [{"value": "b", "type": "work"}]}));
    let there_and_back = json!([{"op": "replace", "path": "nickName", "value": "x"}, {"op": "replace", "path": "nickName", "value": "Babs"}]);
    check_by(&PatchRules::default(), &there_and_back, &json!({}));
    let operations = json!([{"op": "replace", "path": "nickName", "value": "x"}, {"op": "remove", "path": "photos[value eq \"x\"]"}]);
    assert_eq!(apply(&operations, &PatchRules::default()).unwrap_err().operation, Some(1));
}

#[test]
fn unknown_attributes_can_be_dropped() {
    let rules = PatchRules { unknown: Unknown::Dropped, ..PatchRules::default() };
    let drop = |operation: Json, expected: Json| check_by(&rules, &json!([operation]), &expected);
    drop(json!({"op": "add", "path": "nope", "value": 1}), json!({}));
    drop(json!({"op": "add", "path": "urn:x:y:z", "value": 1}), json!({}));
    drop(json!({"op": "remove", "path": "nope[a pr]"}), json!({}));
    drop(json!({"op": "add", "path": "emails[type eq \"home\"].nope", "value": 1}), json!({}));
    drop(json!({"op": "add", "value": {"nope": 1, "title": "T"}}), json!({"title": "T"}));
    drop(
        json!({"op": "add", "path": "name", "value": {"nope": 1, "givenName": "B"}}),
        json!({"name": {"givenName": "B", "familyName": "Jensen"}}),
    );
    drop(
        json!({"op": "replace", "path": "emails", "value": [{"nope": 1, "value": "x"}]}),
        json!({"emails": [{"value": "x"}]}),
    );
    refused_by(&rules, &json!([{"op": "replace", "path": "emails", "value": [{"nope": 1}]}]), "invalidValue");
}

fn plan(operations: &Json, rules: &PatchRules) -> Result<Plan, PatchError> {
    let members = group().find("members").unwrap();
    Patch::parse(&group(), &body(operations), rules)?.plan(&members)
}

/// Members as texts: the change and the `value`s; an exclamation mark where one must exist.
fn changes(operations: &Json, rules: &PatchRules) -> Vec<String> {
    let ids = |members: &[Complex]| -> String {
        let ids: Vec<&str> =
            members.iter().map(|member| member.get("value").unwrap().as_str().unwrap()).collect();
        ids.join(" ")
    };
    let must = |must_exist: &Option<MustExist>| if must_exist.is_some() { "!" } else { "" };
    let plan = plan(operations, rules).unwrap_or_else(|error| panic!("{operations}: {error}"));
    let text = |change: &MemberChange| match change {
        MemberChange::Add(members) => format!("add {}", ids(members)),
        MemberChange::Remove { values, must_exist } => {
            format!("remove{} {}", must(must_exist), values.join(" "))
        }
        MemberChange::RemoveMatching { must_exist, .. } => format!("remove{} matching", must(must_exist)),
        MemberChange::Clear => "clear".to_owned(),
        MemberChange::ReplaceAll(members) => format!("replace {}", ids(members)),
    };
    plan.members.iter().map(text).collect()
}

#[test]
fn members_are_planned_without_being_loaded() {
    let check = |operation: Json, expected: &[&str]| {
        assert_eq!(changes(&json!([operation]), &PatchRules::default()), expected, "{operation}");
    };
    let (a, b) = (json!({"value": "a", "$ref": null, "type": "User", "display": "A"}), json!({"value": "b"}));
    check(json!({"op": "add", "path": "members", "value": [a, b, a]}), &["add a b"]);
    check(json!({"op": "add", "path": "members", "value": a}), &["add a"]);
    check(json!({"op": "add", "value": {"members": [a]}}), &["add a"]);
    check(json!({"op": "add", "path": "members", "value": []}), &[]);
    check(json!({"op": "replace", "path": "members", "value": [a, b]}), &["replace a b"]);
    check(json!({"op": "replace", "value": {"members": [b], "displayName": "G"}}), &["replace b"]);
    check(json!({"op": "replace", "path": "members", "value": []}), &["clear"]);
    check(json!({"op": "replace", "path": "members", "value": null}), &["clear"]);
    check(json!({"op": "remove", "path": "members"}), &["clear"]);
    check(json!({"op": "remove", "path": "members", "value": [a, b]}), &["remove a b"]);
    check(json!({"op": "remove", "path": "members", "value": []}), &[]);
    check(json!({"op": "remove", "path": "members[value eq \"a\"]"}), &["remove! a"]);
    check(json!({"op": "remove", "path": "members[value eq \"a\" or value eq \"b\"]"}), &["remove! a b"]);
    check(json!({"op": "remove", "path": "members[type eq \"User\"]"}), &["remove! matching"]);
    check(json!({"op": "remove", "path": "members[not (value eq \"a\")]"}), &["remove! matching"]);
    check(json!({"op": "replace", "path": "members[value eq \"a\"]", "value": b}), &["remove! a", "add b"]);
    let both = json!([{"op": "remove", "path": "members[value eq \"a\"]"}, {"op": "add", "path": "members", "value": [b]}]);
    assert_eq!(changes(&both, &soft()), ["remove a", "add b"]);
}

#[test]
fn the_rest_of_a_plan_leaves_the_members_alone() {
    let operations = json!([
        {"op": "replace", "value": {"displayName": "New", "members": [{"value": "a"}]}},
        {"op": "remove", "path": "members[value eq \"b\"]"},
        {"op": "add", "path": "externalId", "value": "7"}
    ]);
    let plan = plan(&operations, &PatchRules::default()).unwrap();
    let members = group().find("members").unwrap();
    assert!(!plan.rest.touches(&members));
    let names: Vec<String> = plan.rest.attributes().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["displayName", "externalId"]);
    let json = json!({"displayName": "Old"});
    let before = Resource::from_stored(&group(), json.as_object().unwrap()).unwrap();
    let outcome = plan.rest.apply(&before).unwrap();
    let after = outcome.resource.to_json();
    assert_eq!((&after["displayName"], &after["externalId"]), (&json!("New"), &json!("7")));
    let MemberChange::Remove { must_exist: Some(must_exist), .. } = &plan.members[1] else { panic!() };
    let error = must_exist.error();
    assert_eq!(error.operation, Some(1));
    assert_eq!(error.fault, PatchFault::NoTarget("members[value eq \"b\"]".into()));
}

#[test]
fn members_without_value_and_parts_of_members_are_refused() {
    let check = |operation: Json, kind: &str| {
        let error = plan(&json!([operation]), &PatchRules::default()).unwrap_err();
        assert_eq!(scim_type(error.clone()), kind, "{operation}");
    };
    check(json!({"op": "add", "path": "members", "value": [{"type": "User"}]}), "invalidValue");
    check(json!({"op": "add", "path": "members", "value": [{"value": ""}]}), "invalidValue");
    check(json!({"op": "add", "path": "members", "value": ["a"]}), "invalidValue");
    check(json!({"op": "replace", "path": "members", "value": [{"$ref": null}]}), "invalidValue");
    check(json!({"op": "remove", "path": "members", "value": [{"display": "A"}]}), "invalidValue");
    check(json!({"op": "replace", "path": "members[value eq \"a\"].value", "value": "b"}), "mutability");
    check(json!({"op": "replace", "path": "members[value eq \"a\"].display", "value": "b"}), "mutability");
    check(json!({"op": "remove", "path": "members[value eq \"a\"].type"}), "mutability");
    check(json!({"op": "add", "path": "members[value eq \"a\"]", "value": {"type": "User"}}), "mutability");
}

#[test]
fn a_list_that_is_replaced_keeps_what_a_client_cannot_set() {
    let before = json!({"displayName": "G", "members": [{"value": "a", "display": "A"}, {"value": "b", "display": "B"}]});
    let before = Resource::from_stored(&group(), before.as_object().unwrap()).unwrap();
    let replaced = |members: Json| {
        let operations = json!([{"op": "replace", "path": "members", "value": members}]);
        let patch = Patch::parse(&group(), &body(&operations), &PatchRules::default()).unwrap();
        let outcome = patch.apply(&before).unwrap();
        (outcome.resource.to_json()["members"].clone(), outcome.changed)
    };
    let kept = json!([{"value": "a", "display": "A"}, {"value": "b", "display": "B"}]);
    assert_eq!(replaced(json!([{"value": "b"}, {"value": "a"}])), (kept, false));
    let kept = json!([{"value": "c"}, {"value": "a", "display": "A"}]);
    assert_eq!(
        replaced(json!([{"value": "c", "display": "C"}, {"value": "a", "display": "?"}])),
        (kept, true)
    );
}

/// What the plan says and what applying the whole says is the same.
#[test]
fn a_plan_means_what_the_patch_does() {
    let before = json!({"displayName": "G", "members": [{"value": "a", "type": "User"}, {"value": "b"}, {"value": "c", "type": "Group"}]});
    let before = Resource::from_stored(&group(), before.as_object().unwrap()).unwrap();
    let members = group().find("members").unwrap();
    for operations in [
        json!([{"op": "add", "path": "members", "value": [{"value": "d"}, {"value": "a"}]}]),
        json!([{"op": "remove", "path": "members", "value": [{"value": "b", "type": "User"}, {"value": "z"}]}]),
        json!([{"op": "remove", "path": "members[type eq \"User\"]"}, {"op": "add", "path": "members", "value": [{"value": "e"}]}]),
        json!([{"op": "replace", "path": "members", "value": [{"value": "e"}, {"value": "a"}]}, {"op": "remove", "path": "members[value eq \"e\"]"}]),
        json!([{"op": "remove", "path": "members"}, {"op": "add", "value": {"members": [{"value": "x"}]}}]),
        json!([{"op": "replace", "path": "members[value eq \"a\"]", "value": {"value": "f"}}]),
    ] {
        let patch = Patch::parse(&group(), &body(&operations), &PatchRules::default()).unwrap();
        let mut whole: Vec<String> = patch
            .apply(&before)
            .unwrap()
            .resource
            .values(&members.sub("value").unwrap())
            .map(|value| value.as_str().unwrap().to_owned())
            .collect();
        whole.sort();
        let mut kept: Vec<(String, Value)> = before
            .values(&members)
            .map(|value| {
                (
                    value.as_complex().unwrap().get("value").unwrap().as_str().unwrap().to_owned(),
                    value.clone(),
                )
            })
            .collect();
        let id = |member: &Complex| member.get("value").unwrap().as_str().unwrap().to_owned();
        for change in patch.plan(&members).unwrap().members {
            match change {
                MemberChange::Add(new) => {
                    for member in new {
                        if !kept.iter().any(|(own, _)| *own == id(&member)) {
                            kept.push((id(&member), Value::Complex(member)));
                        }
                    }
                }
                MemberChange::Remove { values, .. } => kept.retain(|(own, _)| !values.contains(own)),
                MemberChange::RemoveMatching { filter, .. } => {
                    kept.retain(|(_, member)| !filter.matches_value(member));
                }
                MemberChange::Clear => kept.clear(),
                MemberChange::ReplaceAll(new) => {
                    kept = new.into_iter().map(|member| (id(&member), Value::Complex(member))).collect();
                }
            }
        }
        let mut planned: Vec<String> = kept.into_iter().map(|(own, _)| own).collect();
        planned.sort();
        assert_eq!(planned, whole, "{operations}");
    }
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    /// Paths and values that fit and that do not, so that most operations have an effect.
    fn operation() -> impl Strategy<Value = Json> {
        let op = prop_oneof![Just("add"), Just("replace"), Just("remove")];
        let path = prop_oneof![
            Just(None),
            proptest::sample::select(vec![
                "nickName",
                "userName",
                "title",
                "active",
                "name",
                "name.familyName",
                "emails",
                "emails.type",
                "emails.display",
                "emails[type eq \"work\"]",
                "emails[type eq \"work\"].value",
                "emails[primary eq true].display",
                "emails[value sw \"b\"].primary",
                "emails[not (type pr)]",
                "roles",
                "roles[value eq \"a\"].display",
                "id",
                "groups",
                "nope",
            ])
            .prop_map(Some),
        ];
        let text = || prop_oneof![Just("a"), Just("b"), Just("b@work"), Just("A"), Just(""), Just("work")];
        let item = (text(), proptest::option::of(text()), proptest::option::of(any::<bool>()))
            .prop_map(|(value, kind, primary)| json!({"value": value, "type": kind, "primary": primary}));
        let value = prop_oneof![
            text().prop_map(Json::from),
            any::<bool>().prop_map(Json::from),
            Just(Json::Null),
            item.clone(),
            proptest::collection::vec(item.clone(), 0..4).prop_map(Json::from),
            (text(), proptest::collection::vec(item, 0..3)).prop_map(
                |(text, items)| json!({"nickName": text, "name": {"givenName": text, "familyName": null}, "emails": items})
            ),
        ];
        (op, path, proptest::option::of(value)).prop_map(|(op, path, value)| {
            let mut operation = Map::new();
            operation.insert("op".into(), op.into());
            operation.extend(path.map(|path| ("path".to_owned(), Json::from(path))));
            operation.extend(value.map(|value| ("value".to_owned(), value)));
            Json::Object(operation)
        })
    }

    fn primaries(resource: &Resource, path: &str) -> usize {
        let attribute = user().find(path).unwrap();
        resource.values(&attribute).filter(|value| value.is_primary()).count()
    }

    proptest! {
        /// Softening changes the meaning of nothing that the RFC accepts.
        #[test]
        fn profiles_agree_where_the_rfc_accepts(operations in proptest::collection::vec(operation(), 1..4)) {
            let before = Resource::from_stored(&user(), stored().as_object().unwrap()).unwrap();
            let body = body(&Json::from(operations));
            let by_rfc = Patch::parse(&user(), &body, &PatchRules::default()).and_then(|patch| patch.apply(&before));
            let Ok(by_rfc) = by_rfc else { return Ok(()) };
            for profile in Profile::ALL {
                let softenings = profile.softenings();
                let mut softened = body.clone();
                softenings.soften_patch(&user(), &mut softened);
                let patch = Patch::parse(&user(), &softened, &softenings.patch_rules(Unknown::Refused));
                let outcome = patch.and_then(|patch| patch.apply(&before));
                prop_assert_eq!(outcome.as_ref(), Ok(&by_rfc), "{}", profile);
            }
        }

        /// What comes out is a resource like any other; `changed` tells the truth; one operation done twice is done once, unless
        /// it changes what its own filter is about.
        #[test]
        fn the_outcome_is_a_resource(operations in proptest::collection::vec(operation(), 1..4), is_soft in any::<bool>()) {
            let rules = if is_soft { soft() } else { PatchRules::default() };
            let before = Resource::from_stored(&user(), stored().as_object().unwrap()).unwrap();
            let Ok(patch) = Patch::parse(&user(), &body(&Json::from(operations.clone())), &rules) else { return Ok(()) };
            let Ok(outcome) = patch.apply(&before) else { return Ok(()) };
            prop_assert_eq!(outcome.changed, outcome.resource != before);
            let json = outcome.resource.to_json();
            prop_assert_eq!(&Resource::from_stored(&user(), &json).unwrap(), &outcome.resource);
            let echoed = Resource::parse(&user(), &json, Unknown::Refused).unwrap().replacing(&outcome.resource);
            prop_assert_eq!(echoed.as_ref(), Ok(&outcome.resource));
            prop_assert!(primaries(&outcome.resource, "emails") <= 1);
            prop_assert!(primaries(&outcome.resource, "roles") <= 1);
            prop_assert_eq!(&json["id"], "1");
            let has_filter = operations.iter().any(|operation| operation["path"].as_str().is_some_and(|path| path.contains('[')));
            if let ([_], false, Ok(again)) = (operations.as_slice(), has_filter, patch.apply(&outcome.resource)) {
                prop_assert!(!again.changed, "{:?}", again.resource.to_json());
            }
        }
    }
}
