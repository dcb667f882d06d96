//! What providers send, row by row of the facts gathered about them: E for Entra ID, O for Okta, then the others by name.

use super::*;
use crate::scim::filter::{Filter, TypedFilter};
use crate::scim::patch::{MemberChange, PATCH_OP, Patch};
use crate::scim::resource::Resource;
use crate::scim::tests::resource_type;
use serde_json::{Map, Value as Json, json};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// What arrives.
enum Sent {
    /// A POST or PUT of a resource of that type.
    Resource(&'static str, Json),
    /// Operations on a user like [`babs`].
    Patch(Json),
    /// Operations on a group that is not loaded.
    Group(Json),
    /// A filter on users like [`babs`].
    Filter(&'static str),
}

use Sent::{Filter as ByFilter, Group, Patch as ByPatch, Resource as Whole};

/// The row, who sends it, what arrives, what it means, and whether `rfc` takes it to mean the same.
type Row = (&'static str, Profile, Sent, Json, Strict);

#[derive(Clone, Copy, PartialEq, Debug)]
enum Strict {
    Same,
    Refused,
}

use Strict::{Refused, Same};

fn babs() -> Json {
    json!({
        "schemas": [USER, ENTERPRISE], "id": "1", "externalId": "jyoung", "userName": "babs", "active": true,
        "name": {"familyName": "Jensen", "givenName": "Barbara"}, "nickName": "Babs",
        "emails": [{"value": "b@home", "type": "home"}],
        ENTERPRISE: {"manager": {"value": "26"}}
    })
}

/// Of a resource and of a PATCH of a user: the attributes that are asked about, and whether it changed. Of a group: the changes
/// of members. Of a filter: whether it matches. Else the error.
fn meaning(profile: Profile, sent: &Sent) -> Result<Json, String> {
    let softenings = profile.softenings();
    let rules = softenings.patch_rules(Unknown::Refused);
    let body = |operations: &Json| -> Map<String, Json> {
        json!({"schemas": [PATCH_OP], "Operations": operations}).as_object().unwrap().clone()
    };
    let user = resource_type("User");
    let group = resource_type("Group");
    match sent {
        Whole(name, json) => {
            let found = resource_type(name);
            let mut json = json.as_object().unwrap().clone();
            softenings.soften_resource(&found, &mut json);
            let resource =
                Resource::parse(&found, &json, Unknown::Refused).map_err(|error| error.to_string())?;
            let mut json = resource.to_json();
            json.remove("schemas");
            Ok(Json::Object(json))
        }
        ByPatch(operations) => {
            let mut body = body(operations);
            softenings.soften_patch(&user, &mut body);
            let before = Resource::from_stored(&user, babs().as_object().unwrap()).unwrap();
            let patch = Patch::parse(&user, &body, &rules).map_err(|error| error.to_string())?;
            let outcome = patch.apply(&before).map_err(|error| error.to_string())?;
            let mut after = outcome.resource.to_json();
            let mut gone: Map<String, Json> =
                babs().as_object().unwrap().keys().map(|name| (name.clone(), Json::Null)).collect();
            gone.retain(|name, _| !after.contains_key(name));
            after.retain(|name, value| name != "schemas" && babs().get(name) != Some(value));
            after.extend(gone);
            assert_eq!(outcome.changed, !after.is_empty());
            Ok(Json::Object(after))
        }
        Group(operations) => {
            let mut body = body(operations);
            softenings.soften_patch(&group, &mut body);
            let members = group.find("members").unwrap();
            let plan = Patch::parse(&group, &body, &rules).and_then(|patch| patch.plan(&members));
            let plan = plan.map_err(|error| error.to_string())?;
            Ok(plan.members.iter().map(change).collect())
        }
        ByFilter(text) => {
            let filter =
                Filter::parse(text, &softenings.filter_syntax()).map_err(|error| error.to_string())?;
            let filter = softenings.soften_filter(&user, filter);
            let filter = TypedFilter::resolve(&filter, &user).map_err(|error| error.to_string())?;
            let babs = Resource::from_stored(&user, babs().as_object().unwrap()).unwrap();
            Ok(Json::Bool(filter.matches(&babs)))
        }
    }
}

fn change(change: &MemberChange) -> Json {
    let ids = |members: &[crate::scim::value::Complex]| -> Json {
        members.iter().map(|member| member.get("value").unwrap().to_json()).collect()
    };
    match change {
        MemberChange::Add(members) => json!({"add": ids(members)}),
        MemberChange::Remove { values, .. } => json!({"remove": values}),
        MemberChange::RemoveMatching { .. } => json!("remove matching"),
        MemberChange::Clear => json!("clear"),
        MemberChange::ReplaceAll(members) => json!({"replace": ids(members)}),
    }
}

fn entra() -> Vec<Row> {
    let p = Profile::Entra;
    let employee = format!("{ENTERPRISE}:employeeNumber");
    let manager = format!("{ENTERPRISE}:manager");
    let role = json!({"value": "Admin", "display": "A"});
    let role_as_text = json!([{"value": "{\"id\":\"827f\",\"value\":\"Admin\",\"displayName\":\"A\"}"}]);
    vec![
        (
            "E1",
            p,
            ByPatch(json!([{"op": "Add", "path": "title", "value": "T"}])),
            json!({"title": "T"}),
            Same,
        ),
        (
            "E1",
            p,
            ByPatch(json!([{"op": "Replace", "path": "nickName", "value": "B"}])),
            json!({"nickName": "B"}),
            Same,
        ),
        ("E1", p, ByPatch(json!([{"op": "Remove", "path": "nickName"}])), json!({"nickName": null}), Same),
        // As Microsoft's SCIM Validator sends it.
        ("E1", p, ByPatch(json!([])), json!({}), Refused),
        (
            "E2",
            p,
            ByPatch(json!([{"op": "Replace", "path": "active", "value": "False"}])),
            json!({"active": false}),
            Refused,
        ),
        (
            "E2",
            p,
            ByPatch(json!([{"op": "replace", "path": "active", "value": "false"}])),
            json!({"active": false}),
            Refused,
        ),
        (
            "E2",
            p,
            ByPatch(json!([{"op": "replace", "value": {"active": "False"}}])),
            json!({"active": false}),
            Refused,
        ),
        ("E2", p, ByPatch(json!([{"op": "replace", "path": "active", "value": "True"}])), json!({}), Refused),
        (
            "E2",
            p,
            ByPatch(json!([{"op": "replace", "path": "active", "value": "no"}])),
            json!("active: expected true or false"),
            Refused,
        ),
        (
            "E2",
            p,
            Whole(
                "User",
                json!({"schemas": [USER], "userName": "b", "active": "False", "title": "True",
            "emails": [{"value": "x", "primary": "true"}]}),
            ),
            json!({"userName": "b", "active": false, "title": "True", "emails": [{"value": "x", "primary": true}]}),
            Refused,
        ),
        ("E2", p, ByFilter("active eq \"True\" and not (emails[primary eq \"true\"])"), json!(true), Refused),
        (
            "E4",
            p,
            ByPatch(
                json!([{"op": "replace", "value": {"displayName": "B", "name.givenName": "K", (employee.as_str()): "A"}}]),
            ),
            json!({"displayName": "B", "name": {"familyName": "Jensen", "givenName": "K"},
                ENTERPRISE: {"employeeNumber": "A", "manager": {"value": "26"}}}),
            Refused,
        ),
        (
            "E4",
            p,
            ByPatch(json!([{"op": "Replace", "value": {"emails[type eq \"home\"].value": "x"}}])),
            json!({"emails": [{"value": "x", "type": "home"}]}),
            Refused,
        ),
        (
            "E4",
            p,
            ByPatch(json!([{"op": "replace", "value": {"name.nope": "K"}}])),
            json!("name.nope"),
            Refused,
        ),
        (
            "E5",
            p,
            Group(json!([{"op": "Remove", "path": "members", "value": [{"value": "u1"}]}])),
            json!([{"remove": ["u1"]}]),
            Same,
        ),
        (
            "E5",
            p,
            Group(json!([{"op": "remove", "path": "members", "value": [{"value": "u1"}]}])),
            json!([{"remove": ["u1"]}]),
            Same,
        ),
        (
            "E5",
            p,
            Group(
                json!([{"op": "remove", "path": "members", "value": [{"$ref": null, "value": "u1"}, {"value": "u2"}]}]),
            ),
            json!([{"remove": ["u1", "u2"]}]),
            Same,
        ),
        ("E5", p, Group(json!([{"op": "remove", "path": "members", "value": []}])), json!([]), Same),
        (
            "E5",
            p,
            Group(json!([{"op": "remove", "path": "members", "value": ""}])),
            json!("members[0]"),
            Refused,
        ),
        (
            "E6",
            p,
            Group(json!([{"op": "remove", "path": "members[value eq \"u1\"]"}])),
            json!([{"remove": ["u1"]}]),
            Same,
        ),
        (
            "E7",
            p,
            Group(json!([{"op": "add", "path": "members", "value": [{"$ref": null, "value": "u1"}]}])),
            json!([{"add": ["u1"]}]),
            Same,
        ),
        (
            "E8",
            p,
            ByPatch(json!([{"op": "replace", "path": "emails[type eq \"work\"].value", "value": "x"}])),
            json!({"emails": [{"value": "b@home", "type": "home"}, {"value": "x", "type": "work"}]}),
            Refused,
        ),
        (
            "E8",
            p,
            ByPatch(
                json!([{"op": "replace", "path": "emails[type eq \"work\" and primary eq \"True\"].value", "value": "x"}]),
            ),
            json!({"emails": [{"value": "b@home", "type": "home"}, {"value": "x", "type": "work", "primary": true}]}),
            Refused,
        ),
        (
            "E9",
            p,
            ByPatch(json!([{"op": "add", "path": manager, "value": "271"}])),
            json!({ENTERPRISE: {"manager": {"value": "271"}}}),
            Refused,
        ),
        (
            "E9",
            p,
            ByPatch(json!([{"op": "add", "path": manager, "value": ""}])),
            json!({ENTERPRISE: null}),
            Refused,
        ),
        (
            "E9",
            p,
            ByPatch(json!([{"op": "replace", "path": manager, "value": ""}])),
            json!({ENTERPRISE: null}),
            Refused,
        ),
        (
            "E9",
            p,
            ByPatch(json!([{"op": "replace", "value": {ENTERPRISE: {"manager": "271"}}}])),
            json!({ENTERPRISE: {"manager": {"value": "271"}}}),
            Refused,
        ),
        (
            "E9",
            p,
            Whole(
                "User",
                json!({"schemas": [USER, ENTERPRISE], "userName": "b", ENTERPRISE: {"manager": "123"}}),
            ),
            json!({"userName": "b", ENTERPRISE: {"manager": {"value": "123"}}}),
            Refused,
        ),
        (
            "E10",
            p,
            Group(json!([{"op": "replace", "path": "members", "value": null}])),
            json!(["clear"]),
            Same,
        ),
        (
            "E10",
            p,
            ByPatch(json!([{"op": "replace", "path": "name", "value": {"familyName": null}}])),
            json!({"name": {"givenName": "Barbara"}}),
            Same,
        ),
        (
            "E11",
            p,
            ByPatch(json!([{"op": "add", "path": "roles", "value": role_as_text}])),
            json!({"roles": [role]}),
            Strict::Refused,
        ),
        (
            "E11",
            p,
            Whole("User", json!({"schemas": [USER], "userName": "b", "roles": role_as_text})),
            json!({"userName": "b", "roles": [role]}),
            Refused,
        ),
        (
            "E11",
            p,
            ByPatch(json!([{"op": "add", "path": "roles", "value": [{"value": "{not json"}]}])),
            json!({"roles": [{"value": "{not json"}]}),
            Same,
        ),
        (
            "E12",
            p,
            Whole(
                "Group",
                json!({"schemas": [GROUP, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
            "displayName": "G", "externalId": "7", "meta": {"resourceType": "Group"}}),
            ),
            json!({"displayName": "G", "externalId": "7"}),
            Refused,
        ),
        (
            "E13",
            p,
            Group(json!([{"op": "add", "path": "members", "value": [{"value": "u1"}]}])),
            json!([{"add": ["u1"]}]),
            Same,
        ),
        ("E14", p, ByFilter("userName eq \"BABS\""), json!(true), Same),
        ("E14", p, ByFilter("externalId eq \"jyoung\""), json!(true), Same),
        ("E14", p, ByFilter("externalId eq jyoung"), json!(true), Refused),
        ("E14", p, ByFilter("emails[type eq \"home\"].value eq \"b@home\""), json!(true), Same),
        ("E15", p, ByFilter("userName eq \"6f9e1c2a-9f5e-4a0e-8d35-9f3b6c1f9e1d\""), json!(false), Same),
        (
            "E16",
            p,
            ByPatch(json!([{"op": "add", "path": "emails[type eq \"home\"].Value", "value": "x"}])),
            json!({"emails": [{"value": "x", "type": "home"}]}),
            Same,
        ),
        (
            "E19",
            p,
            ByFilter("active eq true and not (meta.lastModified ge \"0001-01-03T00:00:00.0000000Z\")"),
            json!(true),
            Same,
        ),
    ]
}

fn okta() -> Vec<Row> {
    let p = Profile::Okta;
    let echoed = json!({"schemas": [USER], "id": "1", "userName": "b", "groups": [{"value": "g"}],
        "meta": {"resourceType": "User", "version": "W/\"1\""}});
    vec![
        (
            "O2",
            p,
            Whole(
                "User",
                json!({"schemas": [USER], "userName": "b", "password": "1mz050nq", "locale": "en-US", "externalId": "00ujl29u0le5T6Aj10h7", "groups": []}),
            ),
            json!({"userName": "b", "password": "1mz050nq", "locale": "en-US", "externalId": "00ujl29u0le5T6Aj10h7"}),
            Same,
        ),
        ("O3", p, Whole("User", echoed), json!({"userName": "b"}), Same),
        (
            "O4",
            p,
            ByPatch(json!([{"op": "replace", "value": {"active": false}}])),
            json!({"active": false}),
            Same,
        ),
        (
            "O5",
            p,
            ByPatch(json!([{"op": "replace", "value": {"id": "abf4", "displayName": "Renamed"}}])),
            json!({"displayName": "Renamed"}),
            Refused,
        ),
        (
            "O5",
            p,
            ByPatch(json!([{"op": "replace", "path": "id", "value": "abf4"}])),
            json!("id: expected an attribute that a client may change"),
            Refused,
        ),
        (
            "O6",
            p,
            Group(json!([{"op": "remove", "path": "members[value eq \"u1\"]"},
            {"op": "add", "path": "members", "value": [{"value": "u2", "display": "b@x"}]}])),
            json!([{"remove": ["u1"]}, {"add": ["u2"]}]),
            Same,
        ),
        (
            "O6",
            p,
            Group(json!([{"op": "replace", "path": "members", "value": [{"value": "u1"}, {"value": "u2"}]}])),
            json!([{"replace": ["u1", "u2"]}]),
            Same,
        ),
        ("O6", p, Group(json!([{"op": "replace", "path": "members", "value": []}])), json!(["clear"]), Same),
    ]
}

fn others() -> Vec<Row> {
    vec![
        (
            "JumpCloud repeats",
            Profile::JumpCloud,
            ByPatch(json!([{"op": "add", "path": "emails", "value": [{"value": "b@home", "type": "home"}]}])),
            json!({}),
            Same,
        ),
        (
            "JumpCloud repeats",
            Profile::JumpCloud,
            ByPatch(json!([{"op": "add", "value": {"nickName": "Babs"}}])),
            json!({}),
            Same,
        ),
        (
            "never guess",
            Profile::OneLogin,
            Group(json!([{"op": "replace", "path": "members", "value": [{"value": "u1"}]}])),
            json!([{"replace": ["u1"]}]),
            Same,
        ),
        ("suites", Profile::Rfc, ByFilter("active gt true"), json!("active"), Refused),
        (
            "suites",
            Profile::Rfc,
            ByPatch(json!([{"op": "add", "value": {"active": "true"}}])),
            json!("active"),
            Refused,
        ),
    ]
}

#[test]
fn what_providers_send_means_what_they_mean() {
    for (row, profile, sent, expected, strict) in entra().into_iter().chain(okta()).chain(others()) {
        let found = meaning(profile, &sent);
        match (&found, &expected) {
            (Err(error), Json::String(part)) => assert!(error.contains(part.as_str()), "{row}: {error}"),
            _ => assert_eq!(found, Ok(expected.clone()), "{row}"),
        }
        let by_rfc = meaning(Profile::Rfc, &sent);
        // What is a text to the RFC it takes for one: it never fails, and means something else.
        let is_refused = by_rfc.is_err() || by_rfc != found;
        assert_eq!(is_refused, strict == Refused, "{row} by the RFC: {by_rfc:?}");
    }
}

/// Rows that no pure function can show, and why.
const ELSEWHERE: [(&str, &str); 9] = [
    ("E3", "routing: the query of a base URL"),
    ("E17", "the store keeps and shows deactivated users"),
    ("E18", "the token filter"),
    ("O1", "the store's order across pages; ListResponse has its own tests"),
    ("O7", "nothing is sent"),
    ("O8", "HTTP: 429 with Retry-After"),
    ("O9", "the store alone knows which members exist: Softening::SkipsUnknownMembers"),
    ("Google", "HTTP: Content-Type"),
    ("OneLogin", "HTTP: an empty User-Agent"),
];

#[test]
fn every_row_has_a_case_or_a_place_elsewhere() {
    let rows: BTreeSet<&str> = entra().iter().chain(&okta()).map(|row| row.0).collect();
    let numbered = (1..=19).map(|n| format!("E{n}")).chain((1..=9).map(|n| format!("O{n}")));
    for row in numbered {
        let is_elsewhere = ELSEWHERE.iter().any(|(own, _)| *own == row);
        assert_ne!(rows.contains(row.as_str()), is_elsewhere, "{row}");
    }
    let okta = Profile::Okta.softenings();
    assert!(okta.has(Softening::SkipsUnknownMembers));
    assert_eq!(Profile::Entra.patch_answer(), PatchAnswer::NoContent);
}

#[test]
fn the_rfc_softens_nothing() {
    assert_eq!(Profile::Rfc.softenings().iter().count(), 0);
    assert_eq!(Profile::Rfc.softenings().patch_rules(Unknown::Refused), PatchRules::default());
    assert_eq!(Profile::default(), Profile::Rfc);
}

#[test]
fn each_softening_is_named_and_used() {
    let used: BTreeSet<Softening> =
        Profile::ALL.iter().flat_map(|profile| profile.softenings().iter().collect::<Vec<_>>()).collect();
    assert_eq!(used, Softening::ALL.into_iter().collect());
    for softening in Softening::ALL {
        assert_eq!(Softening::from_name(softening.as_str()), Some(softening));
        assert!(!softening.description().is_empty());
    }
    for profile in Profile::ALL {
        assert_eq!(Profile::from_name(profile.as_str()), Some(profile));
    }
}
