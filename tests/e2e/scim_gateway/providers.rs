//! What identity providers really send, each kind of it once, by the gateway with that provider's profile, in Envoy and at an edge worker. What is kept is looked at by the
//! gateway and directly in the store.
//!
//! | row | who sends it |
//! |---|---|
//! | `E1` to `E19` | Entra ID |
//! | `O1` to `O9` | Okta |
//! | `G1` | Google |
//! | `J1` | JumpCloud |
//! | `L1` | OneLogin |
//! | `S1` | SailPoint |
//! | `R1` | anybody who replaces members by a short list |

use super::{ENTERPRISE, GROUP, USER, expect, group, id_of, patch, percent, scim_error, user};
use anyhow::{Context, Result, bail, ensure};
use doorward_testbed::{
    Algorithm, Connection, Database, GatewaySetup, Issuer, Request, Response, ScimGateway, ScimStore,
    ScimWorker, run, unix_now,
};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::task::JoinSet;

const TENANTS: [(&str, &str); 8] = [
    ("entra", "entra"),
    ("entra-jwt", "entra"),
    ("okta", "okta"),
    ("okta-limited", "okta"),
    ("google", "google"),
    ("jumpcloud", "jumpcloud"),
    ("onelogin", "onelogin"),
    ("sailpoint", "rfc"),
];
const ENTRA_TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const ENTRA_AUDIENCE: &str = "8adf8e6e-67b2-4cf2-a259-e3dc5476c621";

/// A store behind a gateway of either kind.
struct Bed {
    store: ScimStore,
    front: Front,
}

enum Front {
    Envoy(ScimGateway),
    Worker(ScimWorker),
}

impl Bed {
    fn addr(&self) -> SocketAddr {
        match &self.front {
            Front::Envoy(gateway) => gateway.addr(),
            Front::Worker(worker) => worker.addr(),
        }
    }

    fn url(&self, tenant: &str) -> String {
        match &self.front {
            Front::Envoy(gateway) => gateway.url(tenant),
            Front::Worker(worker) => worker.url(tenant),
        }
    }

    fn log(&self) -> String {
        match &self.front {
            Front::Envoy(gateway) => gateway.envoy.log(),
            Front::Worker(worker) => worker.process().log(),
        }
    }

    async fn send(&self, request: &Request) -> Result<Response> {
        doorward_testbed::send(self.addr(), &self.addressed(request)).await
    }

    /// With the gateway's own host.
    fn addressed(&self, request: &Request) -> Request {
        request.clone().header("host", self.addr().to_string())
    }
}

#[test]
fn what_providers_send_is_understood_and_kept() {
    run(async {
        let issuer = Issuer::start().await?;
        let store = store().await?;
        let gateway = ScimGateway::start(store.addr(), &setup(&issuer)?).await?;
        let bed = Bed { store, front: Front::Envoy(gateway) };
        replay_all(&bed, &issuer).await?;
        let Front::Envoy(gateway) = &bed.front else { bail!("expected Envoy") };
        crate::support::expect_healthy(&gateway.envoy, 1).await
    })
    .unwrap();
}

#[test]
fn what_providers_send_is_understood_and_kept_at_the_worker() {
    run(async {
        let issuer = Issuer::start().await?;
        let store = store().await?;
        let worker = ScimWorker::start(Some(store.addr()), &setup(&issuer)?).await?;
        replay_all(&Bed { store, front: Front::Worker(worker) }, &issuer).await
    })
    .unwrap();
}

async fn replay_all(bed: &Bed, issuer: &Issuer) -> Result<()> {
    for row in rows() {
        replay(bed, issuer, &row).await.with_context(|| {
            format!(
                "row {row}\n{}\n{}",
                bed.store.process().report(5),
                bed.log().lines().rev().take(5).collect::<Vec<_>>().join("\n")
            )
        })?;
    }
    Ok(())
}

async fn store() -> Result<ScimStore> {
    ScimStore::start(Database::Sqlite, &TENANTS, json!({})).await
}

/// Every row that there is. One without a case fails.
fn rows() -> Vec<String> {
    let entra = (1..=19).map(|number| format!("E{number}"));
    let okta = (1..=9).map(|number| format!("O{number}"));
    entra.chain(okta).chain(["G1", "J1", "L1", "S1", "R1"].map(str::to_owned)).collect()
}

fn setup(issuer: &Issuer) -> Result<GatewaySetup> {
    let mut setup = GatewaySetup::new(&TENANTS);
    setup.tenants["entra-jwt"]["jwt"] = json!({ "provider": "entra" });
    setup.tenants["okta-limited"]["rate"] = json!({ "requests_per_second": 1, "burst": 2 });
    setup.document.insert(
        "providers".to_owned(),
        json!({ "entra": {
            "issuer": format!("https://sts.windows.net/{ENTRA_TENANT}/"),
            "audiences": [ENTRA_AUDIENCE],
            "jwks": { "inline": issuer.jwks()? },
        } }),
    );
    Ok(setup)
}

async fn replay(bed: &Bed, issuer: &Issuer, row: &str) -> Result<()> {
    let entra = Tenant::new(bed, "entra", row)?;
    let okta = Tenant::new(bed, "okta", row)?;
    match row {
        "E1" => operations_in_capitals(&entra).await,
        "E2" => booleans_as_text(&entra).await,
        "E3" => a_base_url_with_a_query(&entra).await,
        "E4" => paths_as_names(&entra).await,
        "E5" => members_removed_by_value(&entra).await,
        "E6" => a_member_removed_by_filter(&entra).await,
        "E7" => null_references(&entra).await,
        "E8" => an_address_that_is_not_there(&entra).await,
        "E9" => managers(&entra).await,
        "E10" => nulls(&entra).await,
        "E11" => roles_in_text(&entra).await,
        "E12" => a_group_of_its_own_schema(&entra).await,
        "E13" => a_large_group(&entra).await,
        "E14" => filters(&entra).await,
        "E15" => a_test_of_the_connection(&entra).await,
        "E16" => names_in_other_case(&entra).await,
        "E17" => users_that_left(&entra).await,
        "E18" => a_token_of_entra(&Tenant::new(bed, "entra-jwt", row)?, issuer).await,
        "E19" => pages_of_old_times(&entra).await,
        "O1" => found_then_created(&okta).await,
        "O2" => a_create_with_everything(&okta).await,
        "O3" => read_then_replaced(&okta).await,
        "O4" => deactivated(&okta).await,
        "O5" => renamed_with_an_id(&okta).await,
        "O6" => members_all_or_nothing(&okta).await,
        "O7" => nothing_to_send("Okta sends no Bulk, no .search and no /Me"),
        "O8" => too_many(&Tenant::new(bed, "okta-limited", row)?).await,
        "O9" => an_unknown_member(&okta).await,
        "G1" => plain_json(&Tenant::new(bed, "google", row)?).await,
        "J1" => added_again(&Tenant::new(bed, "jumpcloud", row)?).await,
        "L1" => nobodys_agent(&Tenant::new(bed, "onelogin", row)?).await,
        "S1" => many_at_once(&Tenant::new(bed, "sailpoint", row)?).await,
        "R1" => a_short_list(&Tenant::new(bed, "sailpoint", row)?).await,
        _ => bail!("expected a case for this row"),
    }
}

/// Of a row that only says what does not come.
#[expect(clippy::unnecessary_wraps, reason = "a case as any other")]
fn nothing_to_send(_why: &str) -> Result<()> {
    Ok(())
}

/// A tenant, for one row: names have that row in them.
struct Tenant<'b> {
    bed: &'b Bed,
    name: &'static str,
    row: String,
    token: String,
    /// For who comes to the store directly.
    store_token: String,
}

impl<'b> Tenant<'b> {
    fn new(bed: &'b Bed, name: &'static str, row: &str) -> Result<Self> {
        let store_token = bed.store.token_named(name, &format!("row-{row}-{name}"))?;
        Ok(Self { bed, name, row: row.to_owned(), token: ScimGateway::token(name), store_token })
    }

    fn named(&self, name: &str) -> String {
        format!("{name}.{}@example.com", self.row.to_lowercase())
    }

    fn request(&self, method: &str, path: &str) -> Request {
        Request::new(method, format!("{}{path}", ScimGateway::path(self.name))).bearer(&self.token)
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Response> {
        let mut request = self.request(method, path);
        if !body.is_null() {
            request = request.header("content-type", "application/scim+json; charset=utf-8");
        }
        let request = request.body(if body.is_null() { String::new() } else { body.to_string() });
        self.bed.send(&request).await
    }

    async fn get(&self, path: &str) -> Result<Value> {
        expect(&self.ask("GET", path, &Value::Null).await?, 200)
    }

    async fn find(&self, endpoint: &str, filter: &str) -> Result<Value> {
        self.get(&format!("{endpoint}?filter={}", percent(filter))).await
    }

    async fn create(&self, endpoint: &str, body: &Value) -> Result<Value> {
        let response = self.ask("POST", endpoint, body).await?;
        let created = expect(&response, 201)?;
        let location = format!("{}{endpoint}/{}", self.bed.url(self.name), id_of(&created)?);
        ensure!(
            response.header("location").as_ref() == Some(&location)
                && created["meta"]["location"] == location,
            "expected the location {location}: {response:?}"
        );
        ensure!(self.shown(endpoint, &id_of(&created)?).await? == created, "expected it as it was answered");
        Ok(created)
    }

    /// A user of this name; its id.
    async fn user(&self, name: &str) -> Result<String> {
        id_of(&self.create("/Users", &user(&self.named(name))).await?)
    }

    /// A group with these members; its id.
    async fn group(&self, members: &[&String]) -> Result<String> {
        let members: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
        let mut body = group(&self.named("staff"));
        body["members"] = members.into();
        id_of(&self.create("/Groups", &body).await?)
    }

    /// Changes a resource, with the answer that the profile has for it.
    async fn change(&self, endpoint: &str, id: &str, operations: Value) -> Result<Value> {
        let answer = self.ask("PATCH", &format!("{endpoint}/{id}"), &patch(&operations)).await?;
        let expected = if self.name.starts_with("entra") { 204 } else { 200 };
        expect(&answer, expected).with_context(|| operations.to_string())?;
        self.shown(endpoint, id).await
    }

    /// A resource as the gateway shows it; the store shows the same, but for its own address.
    async fn shown(&self, endpoint: &str, id: &str) -> Result<Value> {
        let shown = self.get(&format!("{endpoint}/{id}")).await?;
        let direct = Request::get(format!("/scim/v2{endpoint}/{id}"))
            .bearer(&self.store_token)
            .header("host", self.bed.store.addr().to_string());
        let direct = doorward_testbed::send(self.bed.store.addr(), &direct).await?;
        let (own, theirs) = (self.bed.url(self.name), self.bed.store.url());
        let same: Value = serde_json::from_str(&expect(&direct, 200)?.to_string().replace(&theirs, &own))?;
        ensure!(same == shown, "expected the store to show {shown}, but found {}", direct.text());
        Ok(shown)
    }

    /// The ids of a group's members, in order.
    async fn members(&self, id: &str) -> Result<Vec<String>> {
        let shown = self.shown("/Groups", id).await?;
        let members = shown["members"].as_array().cloned().unwrap_or_default();
        let mut ids: Vec<_> =
            members.iter().map(|member| member["value"].as_str().unwrap_or_default().to_owned()).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    async fn expect_members(&self, id: &str, expected: &[&String]) -> Result<()> {
        let mut expected: Vec<String> = expected.iter().map(|id| (*id).clone()).collect();
        expected.sort_unstable();
        let found = self.members(id).await?;
        ensure!(found == expected, "expected the members {expected:?}, but found {found:?}");
        Ok(())
    }
}

/// Changes a new user operation by operation, and compares what is there then.
async fn changed(tenant: &Tenant<'_>, cases: &[(Value, &str, Value)]) -> Result<()> {
    let id = tenant.user("changed").await?;
    for (operation, pointer, expected) in cases {
        let shown = tenant.change("/Users", &id, json!([operation])).await?;
        let found = shown.pointer(pointer).unwrap_or(&Value::Null);
        ensure!(found == expected, "{operation}: expected {expected} at {pointer}, but found {shown}");
    }
    Ok(())
}

/// E1
async fn operations_in_capitals(entra: &Tenant<'_>) -> Result<()> {
    changed(
        entra,
        &[
            (json!({ "op": "Add", "path": "title", "value": "Boss" }), "/title", json!("Boss")),
            (json!({ "op": "Replace", "path": "title", "value": "Chief" }), "/title", json!("Chief")),
            (json!({ "op": "Remove", "path": "title" }), "/title", Value::Null),
            (json!({ "op": "ADD", "path": "title", "value": "Boss" }), "/title", json!("Boss")),
        ],
    )
    .await
}

/// E2
async fn booleans_as_text(entra: &Tenant<'_>) -> Result<()> {
    let at = |value: &str| json!({ "op": "Replace", "path": "active", "value": value });
    let without_path = |value: &str| json!({ "op": "Replace", "value": { "active": value } });
    changed(
        entra,
        &[
            (at("False"), "/active", json!(false)),
            (at("True"), "/active", json!(true)),
            (at("false"), "/active", json!(false)),
            (at("true"), "/active", json!(true)),
            (without_path("False"), "/active", json!(false)),
            (without_path("true"), "/active", json!(true)),
        ],
    )
    .await?;
    for (number, text) in ["True", "False", "true", "false"].into_iter().enumerate() {
        let mut body = user(&entra.named(&format!("created{number}")));
        body["active"] = text.into();
        let created = entra.create("/Users", &body).await?;
        ensure!(created["active"] == text.eq_ignore_ascii_case("true"), "{text}: {created}");
    }
    Ok(())
}

/// E3
async fn a_base_url_with_a_query(entra: &Tenant<'_>) -> Result<()> {
    let listed = entra.get("/?aadOptscim062020").await?;
    ensure!(listed["schemas"][0] == LIST, "{listed}");
    let created =
        expect(&entra.ask("POST", "/Users?aadOptscim062020", &user(&entra.named("query"))).await?, 201)?;
    let id = id_of(&created)?;
    let target = format!("/Users/{id}?aadOptscim062020");
    let operations = json!([{ "op": "Add", "path": "title", "value": "Boss" }]);
    expect(&entra.ask("PATCH", &target, &patch(&operations)).await?, 204)?;
    ensure!(entra.get(&target).await?["title"] == "Boss", "expected the title");
    let filter = percent(&format!("userName eq \"{}\"", entra.named("query")));
    for query in [format!("aadOptscim062020&filter={filter}"), format!("filter={filter}&aadOptscim062020")] {
        let found = entra.get(&format!("/Users?{query}")).await?;
        ensure!(found["totalResults"] == 1 && found["Resources"][0]["id"] == id, "{query}: {found}");
    }
    Ok(())
}

/// E4
async fn paths_as_names(entra: &Tenant<'_>) -> Result<()> {
    let id = entra.user("paths").await?;
    let value =
        json!({ "displayName": "B", "name.givenName": "K", format!("{ENTERPRISE}:employeeNumber"): "A" });
    let shown = entra.change("/Users", &id, json!([{ "op": "replace", "value": value }])).await?;
    let found = (&shown["displayName"], &shown["name"]["givenName"], &shown[ENTERPRISE]["employeeNumber"]);
    ensure!(found == (&json!("B"), &json!("K"), &json!("A")), "{shown}");
    Ok(())
}

/// E5
async fn members_removed_by_value(entra: &Tenant<'_>) -> Result<()> {
    let [one, two, three] = [entra.user("one").await?, entra.user("two").await?, entra.user("three").await?];
    let id = entra.group(&[&one, &two, &three]).await?;
    let remove = |member: Value| json!([{ "op": "Remove", "path": "members", "value": [member] }]);
    entra.change("/Groups", &id, remove(json!({ "value": one }))).await?;
    entra.expect_members(&id, &[&two, &three]).await?;
    entra.change("/Groups", &id, remove(json!({ "$ref": null, "value": two }))).await?;
    entra.expect_members(&id, &[&three]).await?;
    // Who is none: nobody goes.
    entra.change("/Groups", &id, remove(json!({ "$ref": null, "value": two }))).await?;
    entra.expect_members(&id, &[&three]).await
}

/// E6
async fn a_member_removed_by_filter(entra: &Tenant<'_>) -> Result<()> {
    let (one, two) = (entra.user("one").await?, entra.user("two").await?);
    let id = entra.group(&[&one, &two]).await?;
    let remove = json!([{ "op": "remove", "path": format!("members[value eq \"{one}\"]") }]);
    entra.change("/Groups", &id, remove.clone()).await?;
    entra.expect_members(&id, &[&two]).await?;
    entra.change("/Groups", &id, remove).await?;
    entra.expect_members(&id, &[&two]).await
}

/// E7
async fn null_references(entra: &Tenant<'_>) -> Result<()> {
    let one = entra.user("one").await?;
    let id = entra.group(&[]).await?;
    let add = json!([{ "op": "Add", "path": "members", "value": [{ "$ref": null, "value": one }] }]);
    entra.change("/Groups", &id, add).await?;
    entra.expect_members(&id, &[&one]).await
}

/// E8
async fn an_address_that_is_not_there(entra: &Tenant<'_>) -> Result<()> {
    let replace =
        |value: &str| json!({ "op": "Replace", "path": "emails[type eq \"work\"].value", "value": value });
    let of = |value: &str| json!([{ "type": "work", "value": value }]);
    changed(entra, &[(replace("x"), "/emails", of("x")), (replace("y"), "/emails", of("y"))]).await
}

/// E9
async fn managers(entra: &Tenant<'_>) -> Result<()> {
    let path = format!("{ENTERPRISE}:manager");
    let add = |value: &str| json!({ "op": "Add", "path": path, "value": value });
    let replace = |value: &str| json!({ "op": "Replace", "path": path, "value": value });
    let manager = format!("/{ENTERPRISE}/manager");
    let value = format!("{manager}/value");
    changed(
        entra,
        &[
            (add("271"), &value, json!("271")),
            (add(""), &manager, Value::Null),
            (replace("272"), &value, json!("272")),
            (replace(""), &manager, Value::Null),
        ],
    )
    .await?;
    let mut body = user(&entra.named("managed"));
    body["schemas"] = json!([USER, ENTERPRISE]);
    body[ENTERPRISE] = json!({ "manager": "123" });
    let created = entra.create("/Users", &body).await?;
    ensure!(created[ENTERPRISE]["manager"]["value"] == "123", "{created}");
    Ok(())
}

/// E10
async fn nulls(entra: &Tenant<'_>) -> Result<()> {
    let one = entra.user("one").await?;
    let id = entra.group(&[&one]).await?;
    let empty = json!([{ "op": "Replace", "path": "members", "value": null }]);
    entra.change("/Groups", &id, empty).await?;
    entra.expect_members(&id, &[]).await?;
    let name = |value: Value| json!({ "op": "Replace", "path": "name", "value": value });
    let both = json!({ "givenName": "K", "familyName": "F" });
    let given = json!({ "givenName": "K" });
    changed(
        entra,
        &[(name(both.clone()), "/name", both), (name(json!({ "familyName": null })), "/name", given)],
    )
    .await
}

/// E11
async fn roles_in_text(entra: &Tenant<'_>) -> Result<()> {
    let text = "{\"id\":\"827f\",\"value\":\"Admin\",\"displayName\":\"A\"}";
    let id = entra.user("role").await?;
    let add = json!([{ "op": "Add", "path": "roles", "value": [{ "value": text }] }]);
    let shown = entra.change("/Users", &id, add).await?;
    let roles = shown["roles"].as_array().context("expected roles")?;
    ensure!(roles.len() == 1 && roles[0]["value"] == "Admin", "{shown}");
    ensure!(roles[0]["display"] == "A" || roles[0].get("displayName").is_none(), "{shown}");
    Ok(())
}

/// E12
async fn a_group_of_its_own_schema(entra: &Tenant<'_>) -> Result<()> {
    let body = json!({
        "schemas": [GROUP, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
        "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159",
        "displayName": entra.named("displayName"),
        "meta": { "resourceType": "Group" },
    });
    let created = entra.create("/Groups", &body).await?;
    ensure!(created["schemas"] == json!([GROUP]) && created["meta"]["resourceType"] == "Group", "{created}");
    ensure!(created["externalId"] == body["externalId"], "{created}");
    Ok(())
}

/// E13: more members than a page has resources.
async fn a_large_group(entra: &Tenant<'_>) -> Result<()> {
    const MEMBERS: usize = 300;
    let create = |number: usize| {
        let data = user(&entra.named(&format!("member{number}")));
        json!({ "method": "POST", "path": "/Users", "bulkId": format!("u{number}"), "data": data })
    };
    let mut operations: Vec<Value> = (0..MEMBERS).map(create).collect();
    let mut large = group(&entra.named("large"));
    large["members"] = (0..MEMBERS).map(|number| json!({ "value": format!("bulkId:u{number}") })).collect();
    operations.push(json!({ "method": "POST", "path": "/Groups", "bulkId": "g", "data": large }));
    let body = json!({ "schemas": [BULK], "Operations": operations });
    expect(&entra.ask("POST", "/Bulk", &body).await?, 200)?;
    let filter = percent(&format!("displayName eq \"{}\"", entra.named("large")));
    let found = entra.get(&format!("/Groups?excludedAttributes=members&filter={filter}")).await?;
    ensure!(found["totalResults"] == 1, "{found}");
    let shown = &found["Resources"][0];
    ensure!(shown.get("members").is_none() && shown["displayName"] == entra.named("large"), "{shown}");
    let (id, one) = (id_of(shown)?, entra.user("one").await?);
    let add = json!([{ "op": "Add", "path": "members", "value": [{ "$ref": null, "value": one }] }]);
    let answer = entra.ask("PATCH", &format!("/Groups/{id}"), &patch(&add)).await?;
    expect(&answer, 204)?;
    let members = entra.members(&id).await?;
    ensure!(members.len() == MEMBERS + 1 && members.contains(&one), "found {}", members.len());
    Ok(())
}

/// E14
async fn filters(entra: &Tenant<'_>) -> Result<()> {
    let mut body = user(&entra.named("jyoung"));
    body["externalId"] = "jyoung".into();
    body["emails"] = json!([
        { "type": "work", "primary": true, "value": "filtered@example.com" },
        { "type": "home", "value": "home@example.com" },
    ]);
    let id = id_of(&entra.create("/Users", &body).await?)?;
    for (filter, count) in [
        (format!("userName eq \"{}\"", entra.named("jyoung")), 1),
        (format!("userName eq \"{}\"", entra.named("JYOUNG").to_uppercase()), 1),
        ("externalId eq \"jyoung\"".to_owned(), 1),
        ("externalId eq jyoung".to_owned(), 1),
        ("emails[type eq \"work\"].value eq \"filtered@example.com\"".to_owned(), 1),
        ("emails[type eq \"work\"].value eq \"home@example.com\"".to_owned(), 0),
        ("externalId eq \"other\"".to_owned(), 0),
    ] {
        let found = entra.find("/Users", &filter).await?;
        ensure!(found["totalResults"] == count, "{filter}: {found}");
        ensure!(count == 0 || found["Resources"][0]["id"] == id, "{filter}: {found}");
    }
    Ok(())
}

const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

/// E15
async fn a_test_of_the_connection(entra: &Tenant<'_>) -> Result<()> {
    let random = "b4f0e2e6-8a52-4b0e-a7a5-7a2d1f0c7e11";
    for path in [
        format!("/Users?filter={}", percent(&format!("userName eq \"{random}\""))),
        format!(
            "/Groups?excludedAttributes=members&filter={}",
            percent(&format!("displayName eq \"{random}\""))
        ),
    ] {
        let found = entra.get(&path).await?;
        let is_empty = found["Resources"].as_array().is_none_or(Vec::is_empty);
        ensure!(found["schemas"] == json!([LIST]) && found["totalResults"] == 0 && is_empty, "{found}");
    }
    Ok(())
}

/// E16
async fn names_in_other_case(entra: &Tenant<'_>) -> Result<()> {
    let at = |path: &str, value: &str| json!({ "op": "Replace", "path": path, "value": value });
    changed(
        entra,
        &[
            (at("emails[type eq \"other\"].Value", "o@x"), "/emails/0/value", json!("o@x")),
            (at("EMAILS[TYPE eq \"other\"].VALUE", "p@x"), "/emails/0/value", json!("p@x")),
            (at("DisplayName", "D"), "/displayName", json!("D")),
        ],
    )
    .await
}

/// E17
async fn users_that_left(entra: &Tenant<'_>) -> Result<()> {
    let id = entra.user("left").await?;
    let deactivate = json!([{ "op": "Replace", "path": "active", "value": "False" }]);
    ensure!(entra.change("/Users", &id, deactivate).await?["active"] == false, "expected it to be inactive");
    let filter = format!("userName eq \"{}\"", entra.named("left"));
    let found = entra.find("/Users", &filter).await?;
    ensure!(found["totalResults"] == 1 && found["Resources"][0]["active"] == false, "{found}");
    expect(&entra.ask("DELETE", &format!("/Users/{id}"), &Value::Null).await?, 204)?;
    let gone = entra.ask("GET", &format!("/Users/{id}"), &Value::Null).await?;
    ensure!(scim_error(&gone)?.0 == 404, "{gone:?}");
    ensure!(entra.find("/Users", &filter).await?["totalResults"] == 0, "expected it to be gone");
    Ok(())
}

/// E18
async fn a_token_of_entra(tenant: &Tenant<'_>, issuer: &Issuer) -> Result<()> {
    let claims = |tid: &str, audience: &str| {
        let now = unix_now();
        json!({
            "iss": format!("https://sts.windows.net/{tid}/"), "aud": audience, "tid": tid,
            "appid": "00000014-0000-0000-c000-000000000000", "sub": "9b2b9c7b-0a4d-4b6b-9a5a-1d4f6f0f3a11",
            "iat": now, "nbf": now, "exp": now + 3600, "ver": "1.0",
        })
    };
    let sign = |claims: &Value| issuer.sign(Algorithm::Rs256, "JWT", claims);
    let tenant = Tenant {
        token: sign(&claims(ENTRA_TENANT, ENTRA_AUDIENCE))?,
        store_token: tenant.store_token.clone(),
        row: tenant.row.clone(),
        ..*tenant
    };
    let id = tenant.user("signed").await?;
    let deactivate = json!([{ "op": "Replace", "path": "active", "value": "False" }]);
    ensure!(tenant.change("/Users", &id, deactivate).await?["active"] == false, "expected it to be inactive");
    let other = "0b27ad4f-8f0d-4e6a-9f36-22a3b3f5d1c2";
    for wrong in [claims(other, ENTRA_AUDIENCE), claims(ENTRA_TENANT, "00000002-0000-0000-c000-000000000000")]
    {
        let tenant =
            Tenant { token: sign(&wrong)?, store_token: String::new(), row: String::new(), ..tenant };
        let refused = tenant.ask("GET", &format!("/Users/{id}"), &Value::Null).await?;
        ensure!(scim_error(&refused)?.0 == 401, "{wrong}: {refused:?}");
    }
    Ok(())
}

/// E19
async fn pages_of_old_times(entra: &Tenant<'_>) -> Result<()> {
    for number in 0..7 {
        entra.user(&format!("page{number}")).await?;
    }
    let filter = "active eq true and (meta.lastModified ge \"0001-01-03T00:00:00.0000000Z\" and meta.lastModified le \"9999-12-31T23:59:59.9999999Z\")";
    // Who says nothing of `active` is neither.
    let active = json!([{ "op": "Add", "path": "active", "value": "True" }]);
    for number in 0..7 {
        let filter = format!("userName eq \"{}\"", entra.named(&format!("page{number}")));
        let found = entra.find("/Users", &filter).await?;
        entra.change("/Users", &id_of(&found["Resources"][0])?, active.clone()).await?;
    }
    let all = entra.find("/Users", filter).await?;
    let total = all["totalResults"].as_u64().context("expected a number")?;
    ensure!(total >= 7, "{all}");
    let page = entra.get(&format!("/Users?filter={}&count=5&startIndex=6", percent(filter))).await?;
    let resources = page["Resources"].as_array().context("expected resources")?;
    ensure!(page["startIndex"] == 6 && page["totalResults"] == total, "{page}");
    ensure!(resources.len() as u64 == (total - 5).min(5), "{page}");
    let expected = all["Resources"].as_array().context("expected resources")?;
    ensure!(resources.iter().eq(expected.iter().skip(5).take(5)), "expected the second page of all");
    Ok(())
}

/// O1
async fn found_then_created(okta: &Tenant<'_>) -> Result<()> {
    let lookup = format!(
        "/Users?filter={}&startIndex=1&count=100",
        percent(&format!("userName eq \"{}\"", okta.named("first")))
    );
    let found = okta.get(&lookup).await?;
    let numbers = [&found["totalResults"], &found["startIndex"], &found["itemsPerPage"]];
    ensure!(numbers == [&json!(0), &json!(1), &json!(0)], "{found}");
    let id = okta.user("first").await?;
    let found = okta.get(&lookup).await?;
    ensure!(found["totalResults"] == 1 && found["Resources"][0]["id"] == id, "{found}");
    for number in 0..4 {
        okta.user(&format!("more{number}")).await?;
    }
    let ids = |page: &Value| -> Vec<Value> {
        let resources = page["Resources"].as_array().cloned().unwrap_or_default();
        resources.iter().map(|user| user["id"].clone()).collect()
    };
    let whole = okta.get("/Users?startIndex=1&count=100").await?;
    let mut paged = Vec::new();
    while paged.len() < ids(&whole).len() {
        let page = okta.get(&format!("/Users?startIndex={}&count=2", paged.len() + 1)).await?;
        ensure!(page["totalResults"] == whole["totalResults"] && !ids(&page).is_empty(), "{page}");
        paged.extend(ids(&page));
    }
    ensure!(paged == ids(&whole) && paged.len() >= 5, "expected the same order on pages");
    Ok(())
}

/// O2
async fn a_create_with_everything(okta: &Tenant<'_>) -> Result<()> {
    let body = json!({
        "schemas": [USER],
        "userName": okta.named("test.user"),
        "name": { "givenName": "Test", "familyName": "User" },
        "emails": [{ "primary": true, "value": okta.named("test.user"), "type": "work" }],
        "displayName": "Test User",
        "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [],
        "password": "1mz050nq",
        "active": true,
    });
    let response = okta.ask("POST", "/Users", &body).await?;
    let created = expect(&response, 201)?;
    ensure!(response.header("location").is_some(), "{response:?}");
    let id = id_of(&created)?;
    let shown = okta.shown("/Users", &id).await?;
    for name in ["userName", "name", "emails", "displayName", "locale", "externalId", "active"] {
        ensure!(created[name] == body[name] && shown[name] == body[name], "{name}: {created}");
    }
    let asked = okta.get(&format!("/Users/{id}?attributes=password,userName")).await?;
    for answer in [&created, &shown, &asked] {
        ensure!(!answer.to_string().contains("1mz050nq") && answer.get("password").is_none(), "{answer}");
    }
    Ok(())
}

/// O3
async fn read_then_replaced(okta: &Tenant<'_>) -> Result<()> {
    let id = okta.user("replaced").await?;
    let staff = okta.group(&[&id]).await?;
    let before = okta.shown("/Users", &id).await?;
    ensure!(before["groups"][0]["value"] == staff, "{before}");
    let mut echo = before.clone();
    echo["displayName"] = "A".into();
    echo["active"] = false.into();
    let replaced = expect(&okta.ask("PUT", &format!("/Users/{id}"), &echo).await?, 200)?;
    ensure!(replaced == okta.shown("/Users", &id).await?, "{replaced}");
    for (name, expected) in [
        ("id", &json!(id)),
        ("displayName", &json!("A")),
        ("active", &json!(false)),
        ("groups", &before["groups"]),
    ] {
        ensure!(&replaced[name] == expected, "{name}: {replaced}");
    }
    ensure!(replaced["meta"]["created"] == before["meta"]["created"], "{replaced}");
    // What it says of the read-only ones is not looked at.
    echo["id"] = "abf4".into();
    echo["groups"] = json!([{ "value": "none" }]);
    echo["meta"] = json!({ "location": "http://evil.example/", "version": "W/\"9\"" });
    let again = expect(&okta.ask("PUT", &format!("/Users/{id}"), &echo).await?, 200)?;
    ensure!(again["id"] == id && again["groups"] == before["groups"], "{again}");
    ensure!(again["meta"]["location"] == before["meta"]["location"], "{again}");
    Ok(())
}

/// O4
async fn deactivated(okta: &Tenant<'_>) -> Result<()> {
    let id = okta.user("deactivated").await?;
    for active in [false, true, false] {
        let operations = json!([{ "op": "replace", "value": { "active": active } }]);
        ensure!(okta.change("/Users", &id, operations).await?["active"] == active, "expected {active}");
    }
    Ok(())
}

/// O5
async fn renamed_with_an_id(okta: &Tenant<'_>) -> Result<()> {
    let one = okta.user("one").await?;
    let id = okta.group(&[&one]).await?;
    let renamed = json!([{ "op": "replace", "value": { "id": "abf4", "displayName": "Renamed" } }]);
    let shown = okta.change("/Groups", &id, renamed).await?;
    ensure!(shown["displayName"] == "Renamed" && shown["id"] == id, "{shown}");
    okta.expect_members(&id, &[&one]).await
}

/// O6
async fn members_all_or_nothing(okta: &Tenant<'_>) -> Result<()> {
    let [one, two, three] = [okta.user("one").await?, okta.user("two").await?, okta.user("three").await?];
    let id = okta.group(&[&one, &two]).await?;
    let both = json!([
        { "op": "remove", "path": format!("members[value eq \"{one}\"]") },
        { "op": "add", "path": "members", "value": [{ "value": three, "display": "three" }] },
    ]);
    okta.change("/Groups", &id, both).await?;
    okta.expect_members(&id, &[&two, &three]).await?;
    let before = okta.shown("/Groups", &id).await?;
    let faulty = json!([
        { "op": "remove", "path": format!("members[value eq \"{two}\"]") },
        { "op": "add", "path": "nothing", "value": [{ "value": one }] },
    ]);
    let refused = okta.ask("PATCH", &format!("/Groups/{id}"), &patch(&faulty)).await?;
    ensure!(scim_error(&refused)?.0 == 400 && okta.shown("/Groups", &id).await? == before, "{refused:?}");
    let replace = |members: Value| json!([{ "op": "replace", "path": "members", "value": members }]);
    let shown = okta.change("/Groups", &id, replace(json!([{ "value": one }, { "value": two }]))).await?;
    ensure!(shown["members"].as_array().is_some_and(|members| members.len() == 2), "{shown}");
    okta.expect_members(&id, &[&one, &two]).await?;
    okta.change("/Groups", &id, replace(json!([]))).await?;
    okta.expect_members(&id, &[]).await
}

/// O8: the route's own timeouts, which are below 60 seconds, are in `faults`.
async fn too_many(okta: &Tenant<'_>) -> Result<()> {
    for _ in 0..100 {
        let response = okta.ask("GET", "/Users?count=1", &Value::Null).await?;
        if response.status == 200 {
            continue;
        }
        ensure!(scim_error(&response)?.0 == 429, "{response:?}");
        let wait = response.header("retry-after").context("expected Retry-After")?;
        ensure!(wait.parse::<u64>().is_ok_and(|seconds| (1..=60).contains(&seconds)), "{wait}");
        return Ok(());
    }
    bail!("expected 429")
}

/// O9
async fn an_unknown_member(okta: &Tenant<'_>) -> Result<()> {
    let (one, two) = (okta.user("one").await?, okta.user("two").await?);
    let id = okta.group(&[&one]).await?;
    let unknown = "5b1f3b1e-0000-4000-8000-000000000000";
    let push = json!([{ "op": "replace", "path": "members", "value": [{ "value": two }, { "value": unknown }, { "value": one }] }]);
    okta.change("/Groups", &id, push).await?;
    okta.expect_members(&id, &[&one, &two]).await
}

/// G1
async fn plain_json(google: &Tenant<'_>) -> Result<()> {
    let send = async |method: &str, path: &str, body: &Value| {
        let request = google.request(method, path).header("content-type", "application/json");
        google.bed.send(&request.body(body.to_string())).await
    };
    let created = expect(&send("POST", "/Users", &user(&google.named("google"))).await?, 201)?;
    let id = id_of(&created)?;
    let mut replacement = user(&google.named("google"));
    replacement["title"] = "Boss".into();
    expect(&send("PUT", &format!("/Users/{id}"), &replacement).await?, 200)?;
    let operations = json!([{ "op": "replace", "path": "active", "value": false }]);
    let answer = send("PATCH", &format!("/Users/{id}"), &patch(&operations)).await?;
    expect(&answer, 200)?;
    ensure!(answer.header("content-type").as_deref() == Some("application/scim+json"), "{answer:?}");
    let shown = google.shown("/Users", &id).await?;
    ensure!(shown["title"] == "Boss" && shown["active"] == false, "{shown}");
    Ok(())
}

/// J1
async fn added_again(jumpcloud: &Tenant<'_>) -> Result<()> {
    let one = jumpcloud.user("one").await?;
    let id = jumpcloud.group(&[]).await?;
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": one }] }]);
    let before = jumpcloud.change("/Groups", &id, add.clone()).await?;
    let after = jumpcloud.change("/Groups", &id, add).await?;
    // `meta` with version and time is in it.
    ensure!(before == after && before["meta"]["version"] == "W/\"2\"", "{before} {after}");
    jumpcloud.expect_members(&id, &[&one]).await
}

/// L1
async fn nobodys_agent(onelogin: &Tenant<'_>) -> Result<()> {
    let body = user(&onelogin.named("onelogin"));
    let request = onelogin.request("POST", "/Users").header("user-agent", "");
    let request = request.header("content-type", "application/scim+json").body(body.to_string());
    let created = expect(&onelogin.bed.send(&request).await?, 201)?;
    let read = onelogin.request("GET", &format!("/Users/{}", id_of(&created)?)).header("user-agent", "");
    ensure!(expect(&onelogin.bed.send(&read).await?, 200)? == created, "{created}");
    Ok(())
}

/// S1
async fn many_at_once(sailpoint: &Tenant<'_>) -> Result<()> {
    const UPDATES: usize = 60;
    let id = sailpoint.group(&[]).await?;
    let mut users = Vec::new();
    for number in 0..UPDATES {
        users.push(sailpoint.user(&format!("many{number}")).await?);
    }
    let mut updates = JoinSet::new();
    for user in &users {
        let add = json!([{ "op": "add", "path": "members", "value": [{ "value": user }] }]);
        let request = super::scim(sailpoint.request("PATCH", &format!("/Groups/{id}")), &patch(&add));
        let (addr, request) = (sailpoint.bed.addr(), sailpoint.bed.addressed(&request));
        updates.spawn(async move { Connection::open(addr).await?.send(&request).await });
    }
    for response in updates.join_all().await {
        expect(&response?, 200)?;
    }
    sailpoint.expect_members(&id, &users.iter().collect::<Vec<_>>()).await
}

/// R1
async fn a_short_list(sailpoint: &Tenant<'_>) -> Result<()> {
    let [one, two, three] =
        [sailpoint.user("one").await?, sailpoint.user("two").await?, sailpoint.user("three").await?];
    let id = sailpoint.group(&[&one, &two]).await?;
    let replace = json!([{ "op": "replace", "path": "members", "value": [{ "value": three }] }]);
    sailpoint.change("/Groups", &id, replace).await?;
    sailpoint.expect_members(&id, &[&three]).await
}
