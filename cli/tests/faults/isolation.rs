//! Tenants that know everything of another one but its token: ids, values, cursors, entity tags, idempotency keys. Whatever they ask,
//! nothing of it is answered that they did not say themselves, what they say is answered like what nobody has, and it stays as it was.

use crate::bed::{Bed, Client, Kind, Store, doorward, expect, id_of, patch, request};
use crate::random::Random;
use anyhow::{Context, Result, bail, ensure};
use doorward_testbed::{Request, Response, run, send};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Of each of the hostile tenants.
const ATTACKS: usize = 1_000;
const HOSTILE: [(&str, &str); 3] = [("mallory", "rfc"), ("eve", "okta"), ("trudy", "entra")];
/// Of the victim.
const ROLES: usize = 3;
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

#[test]
fn nothing_of_another_tenant_is_seen_or_changed_on_sqlite() {
    attacked(Kind::Sqlite);
}

#[test]
fn nothing_of_another_tenant_is_seen_or_changed_on_postgres() {
    attacked(Kind::Postgres);
}

/// What is known of the victim. What is sent in a body may be kept by who sent it, and be shown to them: that is `spent`, and what is
/// `held` is not sent so.
#[derive(Default)]
struct Loot {
    users: Vec<String>,
    groups: Vec<String>,
    held: Vec<String>,
    spent: Vec<String>,
    /// Keys and what was created with them.
    keys: Vec<(String, Value)>,
    cursors: Vec<String>,
    token: String,
}

/// Who attacks.
struct Hostile {
    client: Client,
    token: String,
    random: Random,
    users: Vec<String>,
    groups: Vec<String>,
    /// Keys and cursors of the victim are also said by what they stand for.
    base: String,
}

/// What an attack is about.
#[derive(Clone, Copy, PartialEq)]
enum Kinds {
    User,
    Group,
    Value,
}

fn attacked(kind: Kind) {
    let tested = run(async {
        let Some(bed) = Bed::new(kind).await? else { return Ok(()) };
        let mut random = Random::of("isolation");
        let token = bed.tenant("victim")?;
        let mut hostile = Vec::new();
        for (tenant, profile) in HOSTILE {
            doorward(&["tenant", "create", tenant, "--profile", profile, "--db", &bed.url])?;
            hostile.push(doorward(&["token", "create", tenant, "test", "--db", &bed.url])?);
        }
        let store = bed.start().await?;
        let mut loot = victim(&store, &token, &mut random).await?;
        // Roles of its own; and roles of others to whoever is in groups like these.
        let intruders = grants(&store, &token, &mut loot, &mut random).await?;
        let reader = bed.reader().await?;
        let before = (reader.everything("victim").await?, shown(&store, &token).await?);
        for role in &loot.held[loot.held.len() - ROLES..] {
            ensure!(before.1[0].contains(role.as_str()), "expected the role {role:?} to be shown");
        }
        let seen = before.1.concat();
        ensure!(!intruders.iter().any(|role| seen.contains(role)), "expected no roles of others");
        let attackers = hostile.iter().map(|token| attack(&store, token, random.fork(), &loot));
        let counts = try_join_all(attackers).await.with_context(|| store.process.report(5))?;
        let after = (reader.everything("victim").await?, shown(&store, &token).await?);
        ensure!(before.1 == after.1, "expected the victim to see what it saw before");
        for (number, (before, after)) in before.0.iter().zip(&after.0).enumerate() {
            ensure!(before == after, "expected table {number} to be as it was");
        }
        bed.verify()?;
        let log = store.process.log();
        ensure!(!log.contains(&token), "expected no token in the log");
        let statuses = counts.iter().flatten().fold(Vec::new(), tally);
        eprintln!("{kind:?}: {} requests: {statuses:?}", counts.iter().map(Vec::len).sum::<usize>());
        // They did not fail for a reason of their own.
        let of = |status| statuses.iter().find(|(found, _)| *found == status).map_or(0, |(_, count)| *count);
        ensure!(of(200) > ATTACKS / 4 && of(201) > ATTACKS / 20 && of(404) > ATTACKS / 20, "{statuses:?}");
        Ok(())
    });
    tested.unwrap();
}

fn tally(mut statuses: Vec<(u16, usize)>, status: &u16) -> Vec<(u16, usize)> {
    match statuses.iter_mut().find(|(found, _)| found == status) {
        Some((_, count)) => *count += 1,
        None => statuses.push((*status, 1)),
    }
    statuses
}

/// The tenant that is attacked, with a value of its own in every attribute.
async fn victim(store: &Store, token: &str, random: &mut Random) -> Result<Loot> {
    let mut client = store.client(token);
    let mut loot = Loot { token: token.to_owned(), ..Loot::default() };
    for number in 0..24 {
        // The first ones may be sent again as they are.
        let is_first = number < 4;
        let mut new = |is_held: bool| {
            let is_held = is_held && !is_first;
            let value = mark(random);
            if is_held { &mut loot.held } else { &mut loot.spent }.push(value.clone());
            value
        };
        let mut user = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
            "userName": new(false), "externalId": new(true), "displayName": new(true), "nickName": new(false),
            "title": new(true), "name": { "familyName": new(true), "givenName": new(false) },
            "emails": [{ "type": "work", "value": format!("{}@example.com", new(true)) }],
            ENTERPRISE: { "department": new(true), "employeeNumber": new(false) },
        });
        if let Some(manager) = loot.users.last().filter(|_| !is_first) {
            user[ENTERPRISE]["manager"] = json!({ "value": manager });
        }
        let key = mark(random);
        let create = request("POST", "/Users", Some(&user)).header("idempotency-key", &key);
        loot.users.push(id_of(&expect(&client.send(create).await?, 201)?)?);
        if is_first {
            loot.keys.push((key, user));
        }
    }
    for number in 0..6 {
        let members: Vec<Value> =
            loot.users.iter().skip(number).step_by(3).map(|id| json!({ "value": id })).collect();
        let (name, external_id) = (mark(random), mark(random));
        let group = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
            "displayName": name, "externalId": external_id, "members": members,
        });
        loot.groups.push(id_of(&expect(&client.post("/Groups", &group).await?, 201)?)?);
        loot.held.extend([name, external_id]);
    }
    let first = &loot.users[0];
    for version in 0..3 {
        let replace = json!([{ "op": "replace", "path": "title", "value": format!("zqtitle{version}") }]);
        expect(&client.patch(&format!("/Users/{first}"), &replace).await?, 200)?;
    }
    for list in
        ["/Users?cursor&count=5", "/Groups?cursor&count=2", "/Users?cursor&count=7&filter=userName%20pr"]
    {
        let page = expect(&client.get(list).await?, 200)?;
        loot.cursors.push(page["nextCursor"].as_str().context("expected a cursor")?.to_owned());
    }
    Ok(loot)
}

/// Grants a role to members of each of a few groups of the victim, and roles of the hostile tenants to groups that are known by the same
/// words; answers those.
async fn grants(store: &Store, token: &str, loot: &mut Loot, random: &mut Random) -> Result<Vec<String>> {
    let grant = async |tenant: &str, role: &str, by: &str, group: &str| -> Result<()> {
        let path = format!("/tenants/{tenant}/roles/{role}/{by}/{group}");
        let granted = send(store.admin, &Request::new("PUT", &path)).await?;
        ensure!(granted.status == 201, "expected a grant: {} {}", granted.status, granted.text());
        Ok(())
    };
    let mut intruders = Vec::new();
    for (number, by) in ["id", "displayName", "externalId"].into_iter().enumerate() {
        let group =
            expect(&store.client(token).get(&format!("/Groups/{}", loot.groups[number])).await?, 200)?;
        let word = group[by].as_str().context("expected what the group is known by")?;
        let role = mark(random);
        grant("victim", &role, by, word).await?;
        loot.held.push(role);
        for (tenant, _) in HOSTILE {
            let role = mark(random);
            grant(tenant, &role, by, word).await?;
            intruders.push(role);
        }
    }
    for (tenant, _) in HOSTILE {
        grant(tenant, "own", "displayName", "OWN0").await?;
    }
    Ok(intruders)
}

/// A value that is nowhere else.
fn mark(random: &mut Random) -> String {
    format!("zq{:016x}", random.next())
}

/// All that a tenant sees of itself.
async fn shown(store: &Store, token: &str) -> Result<Vec<String>> {
    let mut client = store.client(token);
    let mut shown = Vec::new();
    for path in ["/Users?count=1000", "/Groups?count=1000", "/?count=1000"] {
        let response = client.get(path).await?;
        expect(&response, 200)?;
        shown.push(response.text());
    }
    Ok(shown)
}

/// Attacks; answers the statuses.
async fn attack(store: &Store, token: &str, random: Random, loot: &Loot) -> Result<Vec<u16>> {
    let mut client = store.client(token);
    let (mut users, mut groups) = (Vec::new(), Vec::new());
    for number in 0..8 {
        let user = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": format!("own{number}") });
        users.push(id_of(&expect(&client.post("/Users", &user).await?, 201)?)?);
    }
    for number in 0..3 {
        let members: Vec<Value> = users.iter().map(|id| json!({ "value": id })).collect();
        let group = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": format!("own{number}"), "members": members,
        });
        groups.push(id_of(&expect(&client.post("/Groups", &group).await?, 201)?)?);
    }
    let own = expect(&client.get(&format!("/Users/{}", users[0])).await?, 200)?;
    let roles = json!([{ "value": "own", "type": "granted" }]);
    ensure!(own["roles"] == roles, "expected the role that it is granted: {own}");
    let base = format!("http://{}/scim/v2", store.address);
    let token = token.to_owned();
    let mut hostile = Hostile { client, token, random, users, groups, base };
    let mut statuses = Vec::new();
    for _ in 0..ATTACKS {
        let status = match hostile.random.below(100) {
            0..45 => hostile.indistinguishable(loot).await?,
            45..70 => hostile.write(loot).await?,
            70..80 => hostile.keys_and_cursors(loot).await?,
            80..90 => hostile.bulk(loot).await?,
            90..94 => hostile.elsewhere(loot).await?,
            94 => hostile.nul(loot).await?,
            _ => hostile.forge(loot).await?,
        };
        statuses.extend(status);
    }
    // What it has now is its own.
    for path in ["/Users?count=1000", "/Groups?count=1000", "/?count=1000"] {
        let response = hostile.client.get(path).await?;
        expect(&response, 200)?;
        hostile.judge(loot, path, &response)?;
    }
    Ok(statuses)
}

impl Hostile {
    /// What is asked about the victim is answered as if nobody had it.
    async fn indistinguishable(&mut self, loot: &Loot) -> Result<Vec<u16>> {
        let kind = *self.random.pick(&[Kinds::User, Kinds::User, Kinds::Group, Kinds::Value]);
        let (secret, fake) = match kind {
            Kinds::User => (self.random.pick(&loot.users).clone(), self.fake_id(loot)),
            Kinds::Group => (self.random.pick(&loot.groups).clone(), self.fake_id(loot)),
            Kinds::Value => (self.random.pick(&loot.held).clone(), mark(&mut self.random)),
        };
        let mut again = self.random.clone();
        let real = self.question(kind, &secret);
        std::mem::swap(&mut self.random, &mut again);
        let other = self.question(kind, &fake);
        let real_response = self.ask(loot, &secret, real.clone()).await?;
        let other_response = self.ask(loot, &fake, other).await?;
        let plain = |response: &Response, secret: &str| {
            let text = response.text().replace(secret, "SECRET");
            let etag = response.header("etag");
            (response.status, text, etag, response.header("location"))
        };
        let (found, expected) = (plain(&real_response, &secret), plain(&other_response, &fake));
        let shown = || String::from_utf8_lossy(&real.to_bytes()).into_owned();
        ensure!(
            found == expected,
            "expected the answer of what nobody has: {}\n{found:?}\n{expected:?}",
            shown()
        );
        Ok(vec![real_response.status, other_response.status])
    }

    /// An id like the victim's.
    fn fake_id(&mut self, loot: &Loot) -> String {
        let like = self.random.pick(&loot.users).clone();
        let tail = format!("{:012x}", self.random.next() >> 16);
        let (head, _) = like.rsplit_once('-').unwrap();
        format!("{head}-{tail}")
    }

    /// A question, or a change that must be refused.
    fn question(&mut self, kind: Kinds, secret: &str) -> Request {
        let endpoint = *self.random.pick(&["/Users", "/Groups"]);
        let own_group = self.random.pick(&self.groups).clone();
        let by_id = kind != Kinds::Value && self.random.chance(50);
        if !by_id {
            return self.search(kind, secret);
        }
        let resource = format!("{endpoint}/{secret}");
        let group =
            json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "changed" });
        let user =
            json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "changed" });
        let body = if endpoint == "/Users" { &user } else { &group };
        let rename = patch(&json!([{ "op": "replace", "path": "displayName", "value": "changed" }]));
        let remove = json!([{ "op": "remove", "path": format!("members[value eq \"{secret}\"]") }]);
        let request = match self.random.below(8) {
            0 | 1 => request("GET", &resource, None),
            2 => request("GET", &format!("{resource}?attributes=userName,members,groups"), None),
            3 => request("PUT", &resource, Some(body)),
            4 => request("PATCH", &resource, Some(&rename)),
            5 => request("DELETE", &resource, None),
            // Nobody is a member of that id.
            6 => request("PATCH", &format!("/Groups/{own_group}?attributes=id"), Some(&patch(&remove))),
            _ => request("GET", &format!("{resource}/../{secret}"), None),
        };
        match self.random.below(5) {
            0 => request.header("if-match", "W/\"1\""),
            1 => request.header("if-match", "*"),
            2 => request.header("if-none-match", "W/\"1\""),
            3 => request.header("if-none-match", "*"),
            _ => request,
        }
    }

    fn search(&mut self, kind: Kinds, secret: &str) -> Request {
        let attributes: &[&str] = match kind {
            Kinds::User => {
                &["id", "members.value", "manager", "manager.value", "meta.location", "members.$ref"]
            }
            Kinds::Group => &["id", "groups.value", "groups", "meta.location", "groups.$ref"],
            Kinds::Value => &[
                "userName",
                "externalId",
                "displayName",
                "nickName",
                "title",
                "name.familyName",
                "emails.value",
                "emails",
                "members.display",
                "groups.display",
                "roles",
                "roles.value",
                "department",
            ],
        };
        let attribute = match *self.random.pick(attributes) {
            name @ ("manager" | "manager.value" | "department") => format!("{ENTERPRISE}:{name}"),
            name => name.to_owned(),
        };
        let operator = *self.random.pick(&["eq", "co", "sw", "ew", "eq"]);
        let filter = format!("{attribute} {operator} \"{secret}\"");
        let filter = match self.random.below(8) {
            0 => format!("{filter} and {attribute} pr"),
            1 => format!("not (not ({filter}))"),
            2 => format!("({filter}) or id eq \"{secret}\""),
            3 => format!("emails[value co \"{secret}\"]"),
            4 => format!("members[value eq \"{secret}\" or display co \"{secret}\"]"),
            _ => filter,
        };
        let place = *self.random.pick(&["/Users", "/Groups", ""]);
        let sort =
            *self.random.pick(&["", "userName", "displayName", "meta.lastModified", "id", "externalId"]);
        if self.random.chance(40) {
            let mut body = json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": filter, "count": 10
            });
            if !sort.is_empty() {
                body["sortBy"] = json!(sort);
            }
            return request("POST", &format!("{place}/.search"), Some(&body));
        }
        let mut query = format!("filter={}&count=10", percent(&filter));
        if !sort.is_empty() {
            query += &format!("&sortBy={sort}");
        }
        if self.random.chance(20) {
            query += "&startIndex=1";
        } else if self.random.chance(20) && !place.is_empty() && sort.is_empty() {
            query += "&cursor";
        }
        let place = if place.is_empty() { "/" } else { place };
        request("GET", &format!("{place}?{query}"), None)
    }

    /// Its own data, with the victim's in it.
    async fn write(&mut self, loot: &Loot) -> Result<Vec<u16>> {
        let (user, group) = (self.random.pick(&self.users).clone(), self.random.pick(&self.groups).clone());
        let (theirs, their_group) =
            (self.random.pick(&loot.users).clone(), self.random.pick(&loot.groups).clone());
        let reference = format!("{}/Users/{theirs}", self.base);
        let member = match self.random.below(4) {
            0 => json!({ "value": theirs }),
            1 => json!({ "value": theirs, "$ref": reference, "type": "User", "display": "x" }),
            2 => json!({ "value": their_group, "type": "Group" }),
            _ => json!({ "value": self.random.pick(&self.users), "$ref": reference }),
        };
        let schemas = json!(["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE]);
        let name = format!("own-{:x}", self.random.next());
        let spent = self.random.pick(&loot.spent).clone();
        let of_group = json!(["urn:ietf:params:scim:schemas:core:2.0:Group"]);
        let request = match self.random.below(9) {
            0 => {
                let body =
                    json!({ "schemas": schemas, "userName": spent, "id": theirs, "externalId": spent });
                request("POST", "/Users", Some(&body))
            }
            1 => {
                let group = [json!({ "value": their_group })];
                let body = json!({ "schemas": schemas, "userName": name, "groups": group, "meta": { "location": reference } });
                request("POST", "/Users", Some(&body))
            }
            2 => {
                let body = json!({ "schemas": of_group, "displayName": name, "members": [member] });
                request("POST", "/Groups", Some(&body))
            }
            3 => {
                let body = json!({ "schemas": of_group, "displayName": name, "id": their_group, "members": [member] });
                request("PUT", &format!("/Groups/{group}"), Some(&body))
            }
            4 => {
                let body = json!({ "schemas": schemas, "userName": name, "id": theirs, "nickName": spent });
                request("PUT", &format!("/Users/{user}"), Some(&body))
            }
            5 => {
                let operations = json!([{ "op": "add", "path": "members", "value": [member] }]);
                request("PATCH", &format!("/Groups/{group}"), Some(&patch(&operations)))
            }
            6 => {
                let operations =
                    json!([{ "op": "replace", "value": { "members": [member], "id": their_group } }]);
                request("PATCH", &format!("/Groups/{group}"), Some(&patch(&operations)))
            }
            7 => {
                let operations = json!([{ "op": "replace", "value": { "id": theirs, "title": spent } }]);
                request("PATCH", &format!("/Users/{user}"), Some(&patch(&operations)))
            }
            _ => {
                let path = format!("members[value eq \"{theirs}\" or value eq \"{user}\"]");
                let operations = json!([{ "op": "remove", "path": path }, { "op": "add", "path": "members", "value": [member] }]);
                request("PATCH", &format!("/Groups/{group}"), Some(&patch(&operations)))
            }
        };
        Ok(vec![self.ask(loot, "", request).await?.status])
    }

    async fn keys_and_cursors(&mut self, loot: &Loot) -> Result<Vec<u16>> {
        if self.random.chance(40) {
            let (key, body) = self.random.pick(&loot.keys).clone();
            // The very request: it is done for whoever sends it, and not answered as the victim was.
            let request = request("POST", "/Users", Some(&body)).header("idempotency-key", &key);
            let response = self.ask(loot, &key, request).await?;
            // 409: an attack before took the name without the key.
            ensure!(matches!(response.status, 201 | 409), "{} {}", response.status, response.text());
            return Ok(vec![response.status]);
        }
        let mut cursor = self.random.pick(&loot.cursors).clone();
        let endpoint = *self.random.pick(&["/Users", "/Groups"]);
        if self.random.chance(30) {
            let at = self.random.below(cursor.len());
            cursor.replace_range(at..=at, ["A", "z", "0", "_"][self.random.below(4)]);
        }
        let filter = *self.random.pick(&["", "&filter=userName%20pr"]);
        let request = if self.random.chance(30) {
            let body = json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "cursor": cursor, "count": 5
            });
            request("POST", &format!("{endpoint}/.search"), Some(&body))
        } else {
            request("GET", &format!("{endpoint}?cursor={}&count=5{filter}", percent(&cursor)), None)
        };
        let response = self.ask(loot, &cursor, request).await?;
        let body = expect(&response, 400)?;
        let expected = body["scimType"] == "invalidCursor" || body["scimType"] == "invalidFilter";
        ensure!(expected, "expected the cursor to be refused: {body}");
        Ok(vec![400])
    }

    async fn bulk(&mut self, loot: &Loot) -> Result<Vec<u16>> {
        let (theirs, their_group) =
            (self.random.pick(&loot.users).clone(), self.random.pick(&loot.groups).clone());
        let spent = self.random.pick(&loot.spent).clone();
        let user = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": spent });
        let name = format!("bulk-{:x}", self.random.next());
        let group = |members: Value| json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name, "members": members });
        let rename = patch(&json!([{ "op": "replace", "path": "displayName", "value": "changed" }]));
        let all = [
            json!({ "method": "PATCH", "path": format!("/Users/{theirs}"), "data": rename }),
            json!({ "method": "PUT", "path": format!("/Users/{theirs}"), "data": user, "version": "W/\"1\"" }),
            json!({ "method": "DELETE", "path": format!("/Users/{theirs}") }),
            json!({ "method": "DELETE", "path": format!("/Groups/{their_group}"), "version": "W/\"1\"" }),
            json!({ "method": "POST", "path": "/Users", "bulkId": theirs, "data": user }),
            json!({ "method": "PATCH", "path": format!("/Users/bulkId:{theirs}"), "data": rename }),
            json!({ "method": "POST", "path": "/Groups", "bulkId": "g", "data": group(json!([{ "value": theirs }])) }),
            json!({
                "method": "POST", "path": "/Groups", "bulkId": "h",
                "data": group(json!([{ "value": format!("bulkId:{theirs}") }])),
            }),
        ];
        let mut operations = Vec::new();
        for operation in all {
            if self.random.chance(50) {
                operations.push(operation);
            }
        }
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations
        });
        let response = self.ask(loot, "", request("POST", "/Bulk", Some(&body))).await?;
        let body = expect(&response, 200)?;
        for operation in body["Operations"].as_array().context("expected operations")? {
            let place = operation["location"].as_str().unwrap_or_default();
            let done = operation["status"].as_str().is_some_and(|status| status.starts_with('2'));
            let is_theirs = place.ends_with(&theirs) || place.ends_with(&their_group);
            ensure!(!(done && is_theirs), "expected nothing to be done to the victim: {operation}");
        }
        Ok(vec![200])
    }

    /// Other ways to say which tenant is meant.
    async fn elsewhere(&mut self, loot: &Loot) -> Result<Vec<u16>> {
        let theirs = self.random.pick(&loot.users).clone();
        let path = match self.random.below(9) {
            0 => format!("/victim/Users/{theirs}"),
            1 => format!("/../victim/Users/{theirs}"),
            2 => format!("//Users/{theirs}"),
            3 => format!("/Users/{theirs}%00"),
            4 => format!("/Users/%2e%2e/Users/{theirs}"),
            5 => format!("/Users/{}", theirs.to_uppercase()),
            6 => format!("/Users/{theirs}?tenant=victim&aadOptscim062020"),
            7 => "/Users?tenant=victim&count=10".to_owned(),
            _ => format!("/users/{theirs}"),
        };
        let request = request("GET", &path, None)
            .header("x-tenant", "victim")
            .header("x-forwarded-host", "victim.example.com")
            .header("x-forwarded-user", "victim");
        let response = self.ask(loot, &theirs, request).await?;
        let is_list = path.starts_with("/Users?");
        ensure!(is_list == (response.status == 200), "{path}: {} {}", response.status, response.text());
        Ok(vec![response.status])
    }

    /// A character that not every database has in its texts.
    async fn nul(&mut self, loot: &Loot) -> Result<Vec<u16>> {
        let group = format!("/Groups/{}", self.groups[0]);
        let filter = "value eq \"\\u0000\"";
        let search = |filter: &str| request("GET", &format!("/Users?filter={}", percent(filter)), None);
        let user = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "a\0" });
        let request = match self.random.below(5) {
            0 => search("userName eq \"a\\u0000\""),
            1 => search("emails[value co \"\\u0000\"]"),
            2 => search("externalId eq a\0b"),
            3 => request("POST", "/Users", Some(&user)),
            _ => {
                let remove = json!([{ "op": "remove", "path": format!("members[{filter}]") }]);
                request("PATCH", &group, Some(&patch(&remove)))
            }
        };
        let response = self.ask(loot, "", request).await?;
        ensure!(response.status == 400, "expected 400: {} {}", response.status, response.text());
        Ok(vec![400])
    }

    /// Tokens that are not the victim's, but nearly.
    async fn forge(&mut self, loot: &Loot) -> Result<Vec<u16>> {
        let token = loot.token.as_str();
        let at = 1 + self.random.below(token.len() - 1);
        let swapped: String = token
            .char_indices()
            .map(|(place, letter)| match letter.is_ascii_lowercase() {
                _ if place != at => letter,
                true => letter.to_ascii_uppercase(),
                false => letter.to_ascii_lowercase(),
            })
            .collect();
        let own = self.token.clone();
        let fields: Vec<String> = match self.random.below(9) {
            0 => vec![format!("Bearer {}", token.split_at(at).0)],
            1 => vec![format!("Bearer {}", token.split_at(at).1)],
            2 if swapped != token => vec![format!("Bearer {swapped}")],
            2 | 3 => vec![format!("Bearer {token}A")],
            4 => vec![format!("Bearer {own}"), format!("Bearer {token}")],
            5 => vec![format!("Bearer {own}, Bearer {token}")],
            6 => vec![format!("Basic {token}")],
            7 => vec![token.to_owned()],
            _ => vec![format!("Bearer {}", token.to_ascii_uppercase())],
        };
        let mut request = request("GET", "/Users?count=10", None).header("cookie", format!("token={token}"));
        for field in &fields {
            request = request.header("authorization", field);
        }
        let response = self.client.send_as_is(&request).await?;
        ensure!(response.status == 401, "expected {fields:?} to be refused: {}", response.status);
        let challenge = response.header("www-authenticate");
        ensure!(challenge.is_some_and(|challenge| challenge.starts_with("Bearer")), "expected a challenge");
        self.judge(loot, "", &response)?;
        ensure!(!response.text().contains("dws_"), "expected no token: {}", response.text());
        Ok(vec![401])
    }

    /// Sends a request, and looks for what was not in it.
    async fn ask(&mut self, loot: &Loot, said: &str, request: Request) -> Result<Response> {
        let response = self.client.send(request.clone()).await?;
        let said = format!("{said} {}", String::from_utf8_lossy(&request.to_bytes()));
        self.judge(loot, &said, &response)?;
        if response.status >= 500 && response.status != 501 {
            bail!("expected no fault: {} {} to {said}", response.status, response.text());
        }
        Ok(response)
    }

    fn judge(&self, loot: &Loot, said: &str, response: &Response) -> Result<()> {
        let said = said.to_lowercase();
        let fields = response.headers.iter().map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        let text = fields.chain([response.text()]).collect::<Vec<_>>().join("\n").to_lowercase();
        let secrets = loot.users.iter().chain(&loot.groups).chain(&loot.held).chain(&loot.cursors);
        let leaked: BTreeSet<&String> = secrets
            .filter(|secret| text.contains(&secret.to_lowercase()) && !said.contains(&secret.to_lowercase()))
            .collect();
        ensure!(
            leaked.is_empty(),
            "expected nothing of the victim: {leaked:?} in the answer to {said}\n{text}"
        );
        Ok(())
    }
}

/// Percent-encoded, but for letters and digits.
fn percent(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(encode).collect()
}
