//! Lists, filters and orders: whatever SQL answers must be what the core's evaluator answers.

use crate::lab::{Answer, Kind, Lab, on_each, run};
use doorward::scim::{
    Catalog, CursorKey, Filter, FilterSyntax, PageLimits, Profile, Resource, Sort, SortOrder, TypedFilter,
};
use doorward_store::database::{
    Bounds, Database, DatabaseError, Scope, Sqlite, SqliteOptions, Unit, WriteError, Written,
};
use doorward_store::role::GroupKey;
use doorward_store::service::{Request, Service, Settings};
use doorward_store::sql::{Dialect, Row, Statement};
use doorward_store::tenants::Tenants;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// Numbers that look random and are the same in every run: splitmix64.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(below).unwrap()).unwrap()
    }

    fn of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.next(texts.len())]
    }
}

const TEXTS: [&str; 10] = ["", "a", "B", "ab", "Ab_c", "%", "ä", "É", "z\u{10ffff}", "a'b"];
const KINDS: [&str; 3] = ["work", "Home", "other"];
/// Of the last nothing is kept.
const ROLE_KINDS: [&str; 3] = ["work", "own", "Granted"];

fn random_user(numbers: &mut Numbers, number: usize) -> Value {
    let mut user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": format!("{}{number}", numbers.of(&TEXTS)),
    });
    for name in ["externalId", "displayName", "nickName", "title"] {
        if numbers.next(3) > 0 {
            user[name] = numbers.of(&TEXTS).into();
        }
    }
    if numbers.next(3) > 0 {
        user["active"] = (numbers.next(2) == 0).into();
    }
    if numbers.next(2) > 0 {
        user["name"] = json!({ "familyName": numbers.of(&TEXTS) });
    }
    let emails: Vec<Value> = (0..numbers.next(3))
        .map(|_| json!({ "value": format!("{}@X", numbers.of(&TEXTS)), "type": numbers.of(&KINDS) }))
        .collect();
    user["emails"] = emails.into();
    let roles: Vec<Value> = (0..numbers.next(3))
        .map(|_| json!({ "value": numbers.of(&TEXTS), "type": numbers.of(&ROLE_KINDS) }))
        .collect();
    user["roles"] = roles.into();
    user
}

fn random_filter(numbers: &mut Numbers, depth: usize, ids: &[String]) -> String {
    if depth > 0 && numbers.next(2) == 0 {
        let (one, other) = (random_filter(numbers, depth - 1, ids), random_filter(numbers, depth - 1, ids));
        return match numbers.next(3) {
            0 => format!("({one}) and ({other})"),
            1 => format!("({one}) or ({other})"),
            _ => format!("not ({one})"),
        };
    }
    let operator = numbers.of(&["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]);
    let text = Value::from(numbers.of(&TEXTS));
    let attribute = numbers.of(&[
        "userName",
        "externalId",
        "displayName",
        "nickName",
        "title",
        "name.familyName",
        "emails.value",
    ]);
    match numbers.next(14) {
        0 => format!("{attribute} pr"),
        1 => format!("active {} {}", numbers.of(&["eq", "ne"]), numbers.of(&["true", "false"])),
        2 => format!("active {}", "pr"),
        3 => {
            let value = format!("{}@x", numbers.of(&TEXTS));
            format!("emails[type eq {:?} and value {operator} {}]", numbers.of(&KINDS), Value::from(value))
        }
        4 => format!("emails[type {operator} {:?}]", numbers.of(&KINDS)),
        5 => format!("emails.value eq {}", Value::from(format!("{}@x", numbers.of(&TEXTS)))),
        6 => {
            let second = 1_800_000_000 + numbers.next(80);
            let time = doorward::scim::DateTime::from_unix_micros(i64::try_from(second).unwrap() * 1_000_000)
                .unwrap();
            format!("meta.lastModified {} \"{time}\"", numbers.of(&["eq", "ne", "gt", "ge", "lt", "le"]))
        }
        7 => format!("id {operator} {:?}", ids[numbers.next(ids.len())]),
        8 => format!("groups.value eq {:?}", ids[numbers.next(ids.len())]),
        9 => format!("roles.value {operator} {text}"),
        10 => format!("roles[type eq {:?} and value {operator} {text}]", numbers.of(&ROLE_KINDS)),
        11 => format!("roles.type {operator} {:?}", numbers.of(&ROLE_KINDS)),
        12 => numbers.of(&["roles pr", "roles[type pr]", "roles.type pr", "roles.primary pr"]).to_owned(),
        _ => format!("{attribute} {operator} {text}"),
    }
}

/// Percent-encoded, for a query.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn ids(answer: &Answer) -> Vec<String> {
    let resources = answer.body["Resources"].as_array().cloned().unwrap_or_default();
    resources.iter().map(|resource| resource["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_filter_answers_what_the_evaluator_answers() {
    on_each(async |kind| {
        let settings =
            Settings { pages: PageLimits { default_count: 1_000, max_count: 1_000 }, ..Settings::default() };
        let lab = Lab::with(kind, Profile::Rfc, settings).await;
        let mut numbers = Numbers(1);
        let mut users = Vec::new();
        for number in 0..60 {
            users.push(lab.send("POST", "/Users", random_user(&mut numbers, number)).await.is(201).id());
        }
        let mut groups = Vec::new();
        for number in 0..3 {
            let members: Vec<&str> = users.iter().skip(number).step_by(7).map(String::as_str).collect();
            groups.push(lab.group(&format!("g{number}"), &members).await);
        }
        for (role, group) in [("a", "g0"), ("Ab_c", "G0"), ("a", "g1"), ("z", "g1")] {
            lab.grant(role, &GroupKey::DisplayName(group.to_owned())).await;
        }
        let catalog = Catalog::built_in().unwrap();
        let user = catalog.resource_type("User").unwrap();
        let all = lab.get("/Users").await.is(200);
        let resources: Vec<Resource> = all.body["Resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|resource| Resource::from_stored(user, resource.as_object().unwrap()).unwrap())
            .collect();
        assert_eq!(resources.len(), users.len());
        let granted = all.body.to_string().matches("\"type\":\"granted\"").count();
        assert!(granted > users.len() / 3, "expected roles that are granted: {granted}");
        let named: Vec<String> = users.iter().take(5).chain(&groups).cloned().collect();
        let (mut some, mut tried) = (0, 0);
        let rounds = kind.rounds(1_500);
        for round in 0..rounds {
            let text = random_filter(&mut numbers, 3, &named);
            let filter =
                Filter::parse(&text, &FilterSyntax::default()).unwrap_or_else(|e| panic!("{text}: {e}"));
            let Ok(typed) = TypedFilter::resolve(&filter, user) else { continue };
            let mut expected: Vec<&Resource> =
                resources.iter().filter(|resource| typed.matches(resource)).collect();
            let (mut order, mut query) = (None, String::new());
            if round % 3 == 0 {
                let path = numbers.of(&[
                    "userName",
                    "displayName",
                    "title",
                    "active",
                    "meta.created",
                    "emails.value",
                    "roles.value",
                    "roles.type",
                ]);
                let direction = [SortOrder::Ascending, SortOrder::Descending][numbers.next(2)];
                order = Some(Sort::resolve(path, direction, user).unwrap());
                query = format!("&sortBy={path}&sortOrder={}", direction.as_str());
            }
            match &order {
                Some(sort) => expected.sort_by(|one, other| sort.compare(one, other)),
                None => expected.sort_by(|one, other| one.id().cmp(&other.id())),
            }
            let expected: Vec<&str> = expected.iter().map(|resource| resource.id().unwrap()).collect();
            let found = lab.get(&format!("/Users?filter={}{query}", encoded(&text))).await;
            assert_eq!(found.status, 200, "{text}: {found:?}");
            assert_eq!(ids(&found), expected, "{text} {query}");
            assert_eq!(found.body["totalResults"], expected.len(), "{text}");
            // A part of it, wherever it begins.
            let (start, count) = (numbers.next(8) + 1, numbers.next(8));
            let part = lab
                .get(&format!("/Users?filter={}{query}&startIndex={start}&count={count}", encoded(&text)))
                .await;
            let wanted: Vec<&str> = expected.iter().skip(start - 1).take(count).copied().collect();
            assert_eq!(ids(&part), wanted, "{text} {query} {start} {count}");
            assert_eq!(part.body["totalResults"], expected.len(), "{text} {query} {start} {count}");
            tried += 1;
            some += usize::from(!expected.is_empty() && expected.len() < users.len());
        }
        let is_enough = tried * 3 > rounds * 2 && some * 3 > rounds;
        assert!(is_enough, "expected filters that find some: {some} of {tried}");
    });
}

/// D1 has no more than 100 parameters in a statement, and expressions no deeper than 100.
#[test]
fn a_filter_of_many_parts_is_answered() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let found = [lab.user("u7").await, lab.user("u149").await];
        lab.user("u150").await;
        let names = |count: usize| -> Vec<String> {
            (0..count).map(|number| format!("userName eq \"u{number}\"")).collect()
        };
        let present: Vec<&str> = [&["userName eq \"u7\""][..], &["id pr"; 150]].concat();
        for (filter, expected) in [
            (names(150).join(" or "), &found[..]),
            (names(90).join(" or "), &found[..1]),
            // Three parameters each, and not deep.
            (["userName sw \"u7\""; 40].join(" or "), &found[..1]),
            (present.join(" and "), &found[..1]),
            (format!("not ({})", names(140).join(" or ")), &[][..]),
        ] {
            let answer = lab.get(&format!("/Users?filter={}", encoded(&filter))).await.is(200);
            if expected.is_empty() {
                assert_eq!(ids(&answer).len(), 2, "{filter}");
            } else {
                assert_eq!(ids(&answer), expected, "{filter}");
            }
        }
    });
}

#[test]
fn a_walk_by_cursor_sees_each_once_while_others_come_and_go() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let mut users = Vec::new();
        for number in 0..10 {
            users.push(lab.user(&format!("u{number}")).await);
        }
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = lab.get(&format!("/Users?cursor={cursor}&count=3")).await.is(200);
            seen.extend(ids(&page));
            // One that was seen goes: by index, the next page would leave somebody out.
            let gone = seen.last().unwrap();
            lab.send("DELETE", &format!("/Users/{gone}"), Value::Null).await.is(204);
            match page.body["nextCursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, users);
        let other = lab.get(&format!("/Users?cursor={cursor}&filter=active%20pr")).await;
        assert_eq!((other.status, other.scim_type()), (400, "invalidCursor"));
        assert_eq!(lab.get("/Users?cursor=&count=0").await.scim_type(), "invalidCount");
    });
}

#[test]
fn the_root_lists_resources_of_every_type() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let one = lab.user("m").await;
        let group = lab.group("a", &[&one]).await;
        let two = lab.user("b").await;
        let all = lab.get("/").await.is(200);
        assert_eq!(all.body["totalResults"], 3);
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
            "filter": "id pr", "sortBy": "meta.created", "sortOrder": "descending", "count": 2,
        });
        let sorted = lab.send("POST", "/.search", body).await.is(200);
        assert_eq!(ids(&sorted), [two, group.clone()]);
        assert_eq!(sorted.body["totalResults"], 3);
        let named = lab.get("/?filter=displayName%20eq%20%22A%22").await.is(200);
        assert_eq!(ids(&named), [group]);
    });
}

#[test]
fn pages_are_as_long_as_the_service_allows() {
    on_each(async |kind| {
        let settings =
            Settings { pages: PageLimits { default_count: 2, max_count: 3 }, ..Settings::default() };
        let lab = Lab::with(kind, Profile::Rfc, settings).await;
        for number in 0..5 {
            lab.user(&format!("u{number}")).await;
        }
        for (query, start, length) in [
            ("", 1, 2),
            ("?count=9", 1, 3),
            ("?count=0", 1, 0),
            ("?count=-1", 1, 0),
            ("?startIndex=-3&count=1", 1, 1),
            ("?startIndex=5&count=3", 5, 1),
            ("?startIndex=99&count=3", 99, 0),
        ] {
            let page = lab.get(&format!("/Users{query}")).await.is(200);
            assert_eq!(page.body["totalResults"], 5, "{query}");
            assert_eq!(page.body["startIndex"], start, "{query}");
            assert_eq!(page.body["itemsPerPage"], length, "{query}");
            assert_eq!(ids(&page).len(), length, "{query}");
        }
    });
}

#[test]
fn pages_are_announced_unless_that_is_turned_off() {
    on_each(async |kind| {
        for announce_pages in [true, false] {
            let lab = Lab::with(kind, Profile::Rfc, Settings { announce_pages, ..Settings::default() }).await;
            let config = lab.get("/ServiceProviderConfig").await.is(200);
            assert_eq!(config.body["pagination"]["cursor"] == true, announce_pages, "{config:?}");
            assert_eq!(config.body.get("pagination").is_some(), announce_pages, "{config:?}");
            // A cursor is given either way.
            lab.user("one").await;
            lab.user("two").await;
            let page = lab.get("/Users?cursor&count=1").await.is(200);
            assert!(page.body["nextCursor"].is_string(), "{page:?}");
        }
    });
}

#[test]
fn what_is_shown_is_chosen() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        let id = lab.user("one").await;
        let shown = lab.get(&format!("/Users/{id}?attributes=userName")).await.is(200);
        let mut names: Vec<&String> = shown.body.as_object().unwrap().keys().collect();
        names.sort();
        assert_eq!(names, ["id", "schemas", "userName"]);
        let shown = lab.get("/Users?excludedAttributes=userName,meta").await.is(200);
        let shown = shown.body["Resources"][0].as_object().unwrap();
        assert!(!shown.contains_key("userName") && !shown.contains_key("meta"), "{shown:?}");
    });
}

#[test]
fn a_search_of_one_type_is_a_part_of_that_of_all() {
    on_each(async |kind| {
        let lab = Lab::with(kind, Profile::Rfc, Settings::default()).await;
        lab.user("one").await;
        lab.group("one", &[]).await;
        let users = lab.get("/Users?filter=meta.created%20pr").await.is(200);
        let all = lab.get("/?filter=meta.created%20pr").await.is(200);
        assert_eq!(all.body["totalResults"], 2);
        assert_eq!(users.body["Resources"][0], all.body["Resources"][0]);
    });
}

/// A database that notes what it is asked.
struct Noted(Sqlite, Mutex<Vec<Statement>>);

impl Database for Noted {
    fn dialect(&self) -> Dialect {
        self.0.dialect()
    }

    fn bounds(&self) -> Bounds {
        self.0.bounds()
    }

    fn read(
        &self,
        scope: Scope<'_>,
        statements: Vec<Statement>,
    ) -> impl Future<Output = Result<Vec<Vec<Row>>, DatabaseError>> + Send {
        self.1.lock().unwrap().extend(statements.clone());
        self.0.read(scope, statements)
    }

    fn administer(
        &self,
        statements: Vec<Statement>,
    ) -> impl Future<Output = Result<bool, WriteError>> + Send {
        self.0.administer(statements)
    }

    fn write(&self, unit: Unit) -> impl Future<Output = Result<Written, WriteError>> + Send {
        self.0.write(unit)
    }
}

#[test]
fn what_identity_providers_ask_is_found_by_an_index() {
    run(async {
        let lab = Lab::new(Profile::Rfc).await;
        let noted = Arc::new(Noted(Sqlite::open(&SqliteOptions::new(lab.path())).unwrap(), Mutex::default()));
        let catalog = Arc::new(Catalog::built_in().unwrap());
        let tenants = Arc::new(Tenants::new(Arc::clone(&noted)));
        let service = Service::new(tenants, catalog, Settings::default(), CursorKey::new([7; 32]));
        let connection = lab.connection();
        for (target, index) in [
            ("/Users?filter=userName eq \"x\"", "resource_user_name"),
            ("/Users?filter=externalId eq \"x\"", "resource_external_id"),
            ("/Groups?filter=displayName eq \"x\"", "resource_display_name"),
            ("/Users?filter=emails[type eq \"work\"].value eq \"x\"", "email_value"),
            ("/Users?filter=emails.value eq \"x\" and active eq true", "email_value"),
            ("/Groups?filter=members eq \"x\"", "member_value"),
            ("/Users", "resource_type"),
        ] {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let query = query.replace(' ', "%20");
            let request = Request { method: "GET", path, query: &query, ..Request::default() };
            noted.1.lock().unwrap().clear();
            assert_eq!(service.handle(&lab.context("a"), &request).await.status, 200, "{target}");
            let asked = noted.1.lock().unwrap().clone();
            let plan = format!("EXPLAIN QUERY PLAN {}", asked[0].text());
            let mut plan = connection.prepare(&plan).unwrap();
            let steps = plan.query_map(rusqlite::params_from_iter(asked[0].parameters()), |row| row.get(3));
            let steps: Vec<String> = steps.unwrap().map(Result::unwrap).collect();
            assert!(steps.iter().any(|step| step.contains(index)), "{target}: {steps:?}");
            assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{target}: {steps:?}");
        }
    });
}

/// What a request asks of the database, once it is known what the tenant grants.
async fn asked(lab: &Lab, noted: &Noted, service: &Service<Noted>, target: &str) -> Vec<Statement> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request { method: "GET", path, query, ..Request::default() };
    let context = lab.context("a");
    assert_eq!(service.handle(&context, &request).await.status, 200, "{target}");
    noted.1.lock().unwrap().clear();
    assert_eq!(service.handle(&context, &request).await.status, 200, "{target}");
    noted.1.lock().unwrap().clone()
}

#[test]
fn roles_cost_one_question_more_and_nothing_where_none_are_granted() {
    run(async {
        let lab = Lab::new(Profile::Rfc).await;
        let noted = Arc::new(Noted(Sqlite::open(&SqliteOptions::new(lab.path())).unwrap(), Mutex::default()));
        let tenants = Arc::new(Tenants::new(Arc::clone(&noted)));
        let catalog = Arc::new(Catalog::built_in().unwrap());
        let service =
            Service::new(Arc::clone(&tenants), catalog, Settings::default(), CursorKey::new([7; 32]));
        let (one, two) = (lab.user("one").await, lab.user("two").await);
        lab.group("staff", &[&one, &two]).await;
        let targets = [format!("/Users/{one}"), "/Users".to_owned(), "/Users?filter=roles%20pr".to_owned()];
        let mut counts = Vec::new();
        for target in &targets {
            let asked = asked(&lab, &noted, &service, target).await;
            assert!(!asked.iter().any(|statement| statement.text().contains("role")), "{asked:?}");
            counts.push(asked.len());
        }
        let staff = GroupKey::DisplayName("staff".to_owned());
        let context = lab.context("a");
        tenants.grant_role("a", "admin", &staff, context.origin, context.now).await.unwrap();
        // A filter that found nobody finds two, who are shown with their groups and roles.
        let more = [1, 1, 3];
        for ((target, count), more) in targets.iter().zip(&counts).zip(more) {
            let found = asked(&lab, &noted, &service, target).await;
            assert_eq!(found.len(), count + more, "{target}: {found:?}");
            let statement = found.iter().find(|statement| statement.text().contains("role_grant")).unwrap();
            let connection = lab.connection();
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.text())).unwrap();
            let steps = plan.query_map(rusqlite::params_from_iter(statement.parameters()), |row| row.get(3));
            let steps: Vec<String> = steps.unwrap().map(Result::unwrap).collect();
            let known = |index: &str, by: &str| {
                steps.iter().filter(|step| step.contains(index) && step.contains(by)).count()
            };
            assert_eq!(known("member_value", "value=?"), 1, "{target}: {steps:?}");
            assert_eq!(known("role_grant_group", "known_by=? AND value=?"), 3, "{target}: {steps:?}");
            assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{target}: {steps:?}");
        }
    });
}

#[test]
fn to_forget_old_answers_costs_the_same_however_many_there_are() {
    run(async {
        let lab = Lab::with(Kind::Sqlite, Profile::Rfc, Settings::default()).await;
        let connection = lab.connection();
        let forget = "EXPLAIN QUERY PLAN DELETE FROM idempotency WHERE tenant = ?1 AND created < ?2";
        let mut plan = connection.prepare(forget).unwrap();
        let steps = plan.query_map(("a", 1_i64), |row| row.get(3)).unwrap();
        let steps: Vec<String> = steps.map(Result::unwrap).collect();
        assert!(steps.iter().any(|step| step.contains("(tenant=? AND created<?)")), "{steps:?}");
    });
}
