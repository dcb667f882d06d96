//! Tenants that know everything of another one but its token, and others who have none: ids, values, cursors, keys, request ids, and how the
//! store is asked. Whatever they send, nothing of it is answered that they did not say themselves, and it stays as it was.

use super::random::Random;
use super::{
    Bed, ENTERPRISE, GROUP, USER, expect, group, id_of, patch, percent, plain, scim, scim_error, user,
};
use crate::support::expect_healthy;
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use doorward::gateway::{CredentialKey, Grant};
use doorward::scim::Profile;
use doorward::time::UnixTime;
use doorward_testbed::{
    Database, GATEWAY_KEY, GatewaySetup, Request, Response, ScimGateway, run, send, unix_now,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;

/// Of each attacker.
const ATTACKS: usize = 1_500;
const VICTIM: &str = "victim";
const TENANTS: [(&str, &str); 3] = [(VICTIM, "rfc"), ("mallory", "entra"), ("eve", "okta")];
/// Who attacks, each with its token but the last.
const ATTACKERS: [&str; 3] = ["mallory", "eve", "nobody"];

/// What is known of the victim.
#[derive(Debug, Clone, Default)]
struct Loot {
    users: Vec<String>,
    groups: Vec<String>,
    /// Values that nobody sends in a body.
    held: Vec<String>,
    /// Values that are sent in bodies, and so may be kept by who sends them.
    spent: Vec<String>,
    /// Keys, and what was created with them.
    keys: Vec<(String, Value)>,
    cursors: Vec<String>,
    request_ids: Vec<String>,
}

/// Who attacks.
struct Attacker {
    name: &'static str,
    gateway: SocketAddr,
    store: SocketAddr,
    random: Random,
    loot: Loot,
    /// Its own user and group; of who has no token, nothing.
    user: String,
    group: String,
    /// By what was tried and came of it.
    tally: BTreeMap<(&'static str, u16), usize>,
}

#[test]
fn nothing_of_another_tenant_is_seen_or_changed() {
    run(async {
        let mut random = Random::of("isolation");
        let bed = Bed::start_on(Database::Sqlite, &TENANTS, json!({}), GatewaySetup::new(&TENANTS)).await?;
        let token = bed.store.token(VICTIM)?;
        let loot = victim(&bed, &mut random).await?;
        let before = everything(&bed, &token).await?;
        let mut attacks = JoinSet::new();
        for name in ATTACKERS {
            let (user, group) = if name == "nobody" { Default::default() } else { own(&bed, name).await? };
            let attacker = Attacker {
                name,
                gateway: bed.gateway.addr(),
                store: bed.store.addr(),
                random: random.fork(),
                loot: loot.clone(),
                user,
                group,
                tally: BTreeMap::new(),
            };
            attacks.spawn(attacker.attack());
        }
        let mut tally: BTreeMap<(&str, u16), usize> = BTreeMap::new();
        for attacker in attacks.join_all().await {
            for (key, count) in attacker.context("an attack has come to something")? {
                *tally.entry(key).or_default() += count;
            }
        }
        ensure!(everything(&bed, &token).await? == before, "expected the victim to be as it was");
        // What the others have is their own.
        for name in ["mallory", "eve"] {
            for path in ["/Users?count=1000", "/Groups?count=1000"] {
                let listed = bed.send(&super::call("GET", name, path)).await?;
                expect(&listed, 200)?;
                let text = listed.text().to_lowercase();
                let leaked: Vec<_> = loot.held.iter().filter(|value| text.contains(*value)).collect();
                ensure!(leaked.is_empty(), "expected nothing of the victim at {name}: {leaked:?}");
            }
        }
        for (name, _) in TENANTS {
            for log in [bed.gateway.envoy.log(), bed.store.process().log()] {
                ensure!(!log.contains(&ScimGateway::token(name)), "expected no token in a log");
            }
        }
        said(&tally);
        // They did not fail for reasons of their own.
        let of = |what: &str, status: u16| {
            let found = tally.iter().find(|((kind, code), _)| *kind == what && *code == status);
            found.map_or(0, |(_, count)| *count)
        };
        for (what, status, least) in [
            ("spoof", 200, 50),
            ("path", 401, 100),
            ("path", 400, 50),
            ("ids", 404, 50),
            ("write", 201, 10),
            ("write", 400, 10),
            ("bulk", 200, 20),
            ("cursor", 400, 20),
            ("search", 200, 50),
            ("token", 401, 100),
            ("credential", 401, 100),
            ("replay", 401, 50),
            ("replay", 200, 10),
        ] {
            ensure!(of(what, status) >= least, "expected more of {what} to end with {status}: {tally:?}");
        }
        expect_healthy(&bed.gateway.envoy, 1).await
    })
    .unwrap();
}

#[allow(clippy::print_stderr, reason = "what was tried is said")]
fn said(tally: &BTreeMap<(&str, u16), usize>) {
    eprintln!("{} requests: {tally:?}", tally.values().sum::<usize>());
}

/// A value that is nowhere else.
fn mark(random: &mut Random) -> String {
    format!("zq{:016x}", random.next())
}

/// The tenant that is attacked.
async fn victim(bed: &Bed, random: &mut Random) -> Result<Loot> {
    let mut loot = Loot::default();
    for number in 0..12 {
        let (spent, held) = (mark(random), [mark(random), mark(random), mark(random), mark(random)]);
        let mut body = json!({
            "schemas": [USER, ENTERPRISE], "userName": spent, "externalId": held[0], "title": held[1],
            "emails": [{ "type": "work", "value": format!("{}@example.com", held[2]) }],
            ENTERPRISE: { "department": held[3] },
        });
        let is_spent = number < 3;
        if is_spent {
            body = user(&spent);
        }
        let (key, request_id) = (mark(random), mark(random));
        let create = super::with_body("POST", VICTIM, "/Users", &body);
        let create = create.header("idempotency-key", &key).header("x-request-id", &request_id);
        loot.users.push(id_of(&expect(&bed.send(&create).await?, 201)?)?);
        loot.request_ids.push(request_id);
        loot.spent.push(spent);
        if is_spent {
            loot.keys.push((key, body));
        } else {
            loot.held.extend(held);
        }
    }
    for number in 0..4 {
        let (name, external_id) = (mark(random), mark(random));
        let members: Vec<_> =
            loot.users.iter().skip(number).step_by(2).map(|id| json!({ "value": id })).collect();
        let body =
            json!({ "schemas": [GROUP], "displayName": name, "externalId": external_id, "members": members });
        let created = bed.send(&super::with_body("POST", VICTIM, "/Groups", &body)).await?;
        loot.groups.push(id_of(&expect(&created, 201)?)?);
        loot.held.extend([name, external_id]);
    }
    for path in ["/Users?cursor&count=5", "/Groups?cursor&count=2"] {
        let page = expect(&bed.send(&super::call("GET", VICTIM, path)).await?, 200)?;
        loot.cursors.push(page["nextCursor"].as_str().context("expected a cursor")?.to_owned());
    }
    Ok(loot)
}

/// A user and a group of who attacks, with which it may do as it likes.
async fn own(bed: &Bed, name: &str) -> Result<(String, String)> {
    let user = bed.send(&super::with_body("POST", name, "/Users", &user("own"))).await?;
    let group = bed.send(&super::with_body("POST", name, "/Groups", &group("own"))).await?;
    Ok((id_of(&expect(&user, 201)?)?, id_of(&expect(&group, 201)?)?))
}

/// All that the victim sees of itself, by the gateway and in the store, and the place of its last change.
async fn everything(bed: &Bed, token: &str) -> Result<Vec<String>> {
    let mut shown = Vec::new();
    for path in ["/Users?count=1000", "/Groups?count=1000", "/?count=1000"] {
        let by_gateway = bed.send(&super::call("GET", VICTIM, path)).await?;
        let direct = Request::get(format!("/scim/v2{path}")).bearer(token);
        for response in [by_gateway, send(bed.store.addr(), &direct).await?] {
            expect(&response, 200)?;
            shown.push(response.text());
        }
    }
    let changes = Request::get("/scim/v2/changes?since=latest").bearer(token);
    let changes = expect(&send(bed.store.addr(), &changes).await?, 200)?;
    shown.push(changes["next"].as_str().context("expected a place")?.to_owned());
    Ok(shown)
}

impl Attacker {
    async fn attack(mut self) -> Result<BTreeMap<(&'static str, u16), usize>> {
        for number in 0..ATTACKS {
            let kind = self.random.below(100);
            let attack = match kind {
                0..20 => self.path().await,
                20..35 => self.spoof().await,
                35..45 => self.ids().await,
                45..55 => self.search().await,
                55..65 => self.write().await,
                65..72 => self.bulk().await,
                72..78 => self.cursor().await,
                78..86 => self.token().await,
                86..94 => self.credential().await,
                _ => self.replay().await,
            };
            attack.with_context(|| format!("{}: attack {number}", self.name))?;
        }
        Ok(self.tally)
    }

    fn is_nobody(&self) -> bool {
        self.name == "nobody"
    }

    /// The path of its own service; who has none tries that of the victim.
    fn base(&self) -> String {
        ScimGateway::path(if self.is_nobody() { VICTIM } else { self.name })
    }

    /// A call of its own.
    fn own(&self, method: &str, path: &str) -> Request {
        let request = Request::new(method, format!("{}{path}", self.base()));
        if self.is_nobody() { request } else { request.bearer(&ScimGateway::token(self.name)) }
    }

    fn theirs(&mut self) -> String {
        let all = [self.loot.users.as_slice(), &self.loot.groups].concat();
        self.random.pick(&all).clone()
    }

    /// Sends a request to the gateway, and looks for what was not in it.
    /// What is not in SCIM is Envoy's own: of a target or a header field that it does not take, such as a scheme that is not spoken here.
    async fn ask(&mut self, kind: &'static str, request: Request) -> Result<Response> {
        let has_host = String::from_utf8_lossy(&request.to_bytes()).to_lowercase().contains("\r\nhost:");
        let request = if has_host && !request.to_bytes().windows(17).any(|at| at == b"\r\nHost: localhost") {
            request
        } else {
            request.header("host", self.gateway.to_string())
        };
        self.ask_at(self.gateway, kind, request).await
    }

    async fn ask_at(&mut self, addr: SocketAddr, kind: &'static str, request: Request) -> Result<Response> {
        let bytes = request.to_bytes();
        let said = String::from_utf8_lossy(&bytes).to_lowercase();
        let response = send(addr, &request).await.with_context(|| said.clone())?;
        *self.tally.entry((kind, response.status)).or_default() += 1;
        let shown = || format!("{} {} to {said}", response.status, response.text());
        ensure!(response.status < 500 || response.status == 501, "expected no fault: {}", shown());
        let is_scim = response.header("content-type").as_deref() == Some("application/scim+json");
        let is_envoys = addr == self.gateway && matches!(response.status, 400 | 403 | 404);
        if response.status >= 400 && (is_scim || !is_envoys) && !response.body.is_empty() {
            scim_error(&response).with_context(shown)?;
        }
        let fields = response.headers.iter().map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        let text = fields.chain([response.text()]).collect::<Vec<_>>().join("\n").to_lowercase();
        let loot = &self.loot;
        let all = [&loot.users, &loot.groups, &loot.held, &loot.cursors, &loot.request_ids];
        let leaked: Vec<_> = all
            .into_iter()
            .flatten()
            .map(|secret| secret.to_lowercase())
            .filter(|secret| text.contains(secret) && !said.contains(secret))
            .collect();
        ensure!(leaked.is_empty(), "expected nothing of the victim, but found {leaked:?}: {}", shown());
        Ok(response)
    }

    /// That a call of the victim's name was not let through.
    fn expect_refused(response: &Response) -> Result<()> {
        ensure!(response.status >= 400, "expected a refusal, but found {response:?} {}", response.text());
        Ok(())
    }

    /// Another spelling of the victim's paths.
    async fn path(&mut self) -> Result<()> {
        let (own, theirs) = (self.base(), ScimGateway::path(VICTIM));
        let id = self.random.pick(&self.loot.users).clone();
        let rest =
            self.random.pick(&[format!("/Users/{id}"), "/Users".to_owned(), "/Bulk".to_owned()]).clone();
        let addr = self.gateway;
        let mut target = match self.random.below(24) {
            0 => format!("{theirs}{rest}"),
            1 => format!("{own}/../../../{VICTIM}/scim/v2{rest}"),
            2 => format!("{own}/%2e%2e/%2e%2e/%2E%2e/{VICTIM}/scim/v2{rest}"),
            3 => format!("{own}/..%2f..%2f..%2f{VICTIM}/scim/v2{rest}"),
            4 => format!("{own}/..;/..;/..;/{VICTIM}/scim/v2{rest}"),
            5 => format!("{own}\\..\\..\\..\\{VICTIM}\\scim\\v2{rest}"),
            6 => format!("{own}/..%5c..%5c..%5c{VICTIM}/scim/v2{rest}"),
            7 => format!("//{}", theirs.trim_start_matches('/')) + &rest,
            8 => format!("{}{rest}", theirs.replace('/', "//")),
            9 => format!("http://{addr}{theirs}{rest}"),
            10 => format!("https://victim.example.com{theirs}{rest}"),
            11 => format!("http://victim@{addr}{theirs}{rest}"),
            12 => format!("{}{rest}", theirs.to_uppercase()),
            13 => format!("/tenants/{VICTIM}./scim/v2{rest}"),
            14 => format!("/tenants/{VICTIM}%00/scim/v2{rest}"),
            15 => format!("/tenants/%76ictim/scim/v2{rest}"),
            16 => format!("/tenants/%2576ictim/scim/v2{rest}"),
            17 => format!("{theirs};x=1{rest};y=2"),
            18 => format!("{theirs}/.{rest}/."),
            19 => format!("{own}?/../../../{VICTIM}/scim/v2{rest}"),
            20 => format!("{own}#/../../../{VICTIM}/scim/v2{rest}"),
            21 => format!("{}/%2e{rest}", theirs),
            22 => format!("/scim/v2{rest}"),
            _ => format!("{own}/Users/..%252f..%252f..%252f{VICTIM}/scim/v2{rest}"),
        };
        if self.random.chance(40) {
            let at = self.random.below(target.len());
            let odd =
                *self.random.pick(&["/", ".", "%", ";", "\\", "?", "%2e", "%2f", "//", "../", "a", ":"]);
            target.insert_str(at, odd);
        }
        let method = *self.random.pick(&["GET", "GET", "DELETE", "PUT", "PATCH", "POST", "HEAD"]);
        let mut request = Request::new(method, &target);
        if !self.is_nobody() {
            request = request.bearer(&ScimGateway::token(self.name));
        }
        if matches!(method, "PUT" | "PATCH" | "POST") {
            let rename = patch(&json!([{ "op": "replace", "path": "title", "value": "changed" }]));
            let body = if method == "PATCH" { rename } else { user("changed") };
            request = scim(request, &body);
        }
        // A target may lead to the attacker's own service; what comes from there is its own.
        self.ask("path", request).await?;
        Ok(())
    }

    /// Its own calls, with header fields that speak of the victim.
    async fn spoof(&mut self) -> Result<()> {
        let theirs = ScimGateway::path(VICTIM);
        let mut request = match self.random.below(4) {
            0 => self.own("GET", &format!("/Users/{}", self.user)),
            1 => {
                let id = self.theirs();
                self.own("GET", &format!("/Users/{id}"))
            }
            2 => self.own("GET", "/Users?count=100"),
            _ => self.own("GET", "/Groups?count=100"),
        };
        let mut is_elsewhere = false;
        for _ in 0..=self.random.below(5) {
            let id = self.random.pick(&self.loot.users).clone();
            let request_id = self.random.pick(&self.loot.request_ids).clone();
            let target = format!("{theirs}/Users/{id}");
            request = match self.random.below(24) {
                0 => request.header("x-doorward-tenant", VICTIM),
                1 => request.header("X-Doorward.Tenant", VICTIM),
                2 => request.header("x_doorward_tenant", VICTIM),
                3 => request.header("x-doorward-actor", "edge:token:suite"),
                4 => {
                    request.header("x-tenant", VICTIM).header("tenant", VICTIM).header("x-tenant-id", VICTIM)
                }
                5 => request.header("x-forwarded-host", "victim.example.com"),
                6 => request.header("forwarded", "for=127.0.0.1;host=victim.example.com;proto=https"),
                7 => request.header("x-original-url", &target).header("x-rewrite-url", &target),
                8 => request.header("x-envoy-original-path", &target),
                9 => request.header("x-forwarded-prefix", &theirs),
                10 => request.header("x-http-method-override", "DELETE").header("x-http-method", "DELETE"),
                11 => request.header("x-request-id", &request_id),
                12 => request.header("x-forwarded-for", "127.0.0.1, 10.0.0.1"),
                13 => {
                    request.header("cookie", format!("token={}; tenant={VICTIM}", ScimGateway::token(VICTIM)))
                }
                14 => request.header("proxy-authorization", format!("Bearer {}", ScimGateway::token(VICTIM))),
                15 => request.header("x-authorization", format!("Bearer {}", ScimGateway::token(VICTIM))),
                16 => request.header("connection", "authorization, x-request-id"),
                17 => request.header("x-envoy-decorator-operation", "x").header("x-envoy-internal", "true"),
                18 => request.header("x-forwarded-user", VICTIM).header("x-remote-user", VICTIM),
                19 => request.header("if-none-match", "W/\"1\""),
                20 => {
                    request.header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
                }
                21 => request.header("x-forwarded-client-cert", "By=x;Hash=y;Subject=\"CN=victim\""),
                22 => {
                    is_elsewhere = true;
                    let host = *self.random.pick(&[
                        "victim.example.com",
                        "victim",
                        "",
                        "127.0.0.1",
                        "127.0.0.1.",
                        "127.0.0.1@victim",
                        "127.0.0.1:1",
                    ]);
                    request.header("host", host)
                }
                _ => request.header("x-envoy-retry-on", "5xx").header("x-envoy-max-retries", "9"),
            };
        }
        let response = self.ask("spoof", request).await?;
        let is_read = matches!(response.status, 200 | 304 | 404) || is_elsewhere && response.status == 400;
        let is_odd = response.status == 400
            && response.header("content-type").as_deref() != Some("application/scim+json");
        ensure!(
            if self.is_nobody() {
                response.status >= 400
            } else {
                is_read || is_odd || response.status == 401
            },
            "expected its own, but found {response:?} {}",
            response.text()
        );
        Ok(())
    }

    /// The victim's ids in its own service.
    async fn ids(&mut self) -> Result<()> {
        let id = self.theirs();
        let endpoint = *self.random.pick(&["/Users", "/Groups"]);
        let method = *self.random.pick(&["GET", "PUT", "PATCH", "DELETE"]);
        let mut request = self.own(method, &format!("{endpoint}/{id}"));
        request = match self.random.below(4) {
            0 => request.header("if-match", "W/\"1\""),
            1 => request.header("if-match", "*"),
            _ => request,
        };
        let request = match (method, endpoint) {
            ("PUT", "/Users") => scim(request, &user("changed")),
            ("PUT", _) => scim(request, &group("changed")),
            ("PATCH", _) => {
                let rename = json!([{ "op": "replace", "path": "displayName", "value": "changed" }]);
                scim(request, &patch(&rename))
            }
            _ => request,
        };
        let response = self.ask("ids", request).await?;
        let expected = if self.is_nobody() { 401 } else { 404 };
        ensure!(matches!(response.status, 412) || response.status == expected, "{response:?}");
        Ok(())
    }

    /// Searches by the victim's values and ids.
    async fn search(&mut self) -> Result<()> {
        let loot = &self.loot;
        let all = [loot.users.as_slice(), &loot.groups, &loot.held].concat();
        let secret = self.random.pick(&all).clone();
        let attribute = *self.random.pick(&[
            "id",
            "externalId",
            "meta.location",
            "displayName",
            "userName",
            "title",
            "emails.value",
            "members.value",
            "groups.value",
            "members.$ref",
            "name.familyName",
        ]);
        let operator = *self.random.pick(&["eq", "co", "sw", "ew", "ne"]);
        let filter = format!("{attribute} {operator} \"{secret}\"");
        let filter = match self.random.below(4) {
            0 => format!("not ({filter})"),
            1 => format!("({filter}) or id eq \"{secret}\""),
            2 => format!("{filter} or meta.created pr"),
            _ => filter,
        };
        let place = *self.random.pick(&["/Users", "/Groups"]);
        let request = if self.random.chance(40) {
            let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": filter });
            scim(self.own("POST", &format!("{place}/.search")), &body)
        } else {
            self.own("GET", &format!("{place}?filter={}&tenant={VICTIM}", percent(&filter)))
        };
        self.ask("search", request).await?;
        Ok(())
    }

    /// Its own data, with the victim's in it.
    async fn write(&mut self) -> Result<()> {
        let (id, spent) = (self.theirs(), self.random.pick(&self.loot.spent).clone());
        let reference = format!("http://{}{}/Users/{id}", self.gateway, ScimGateway::path(VICTIM));
        let member = json!({ "value": id, "$ref": reference, "type": "User" });
        let name = format!("own-{:x}", self.random.next());
        let request = match self.random.below(6) {
            0 => {
                let mut body = user(&name);
                body["id"] = id.into();
                body["nickName"] = spent.into();
                body["meta"] = json!({ "location": reference });
                scim(self.own("POST", "/Users"), &body)
            }
            1 => {
                let (key, body) = self.random.pick(&self.loot.keys).clone();
                scim(self.own("POST", "/Users"), &body).header("idempotency-key", key)
            }
            2 => {
                let mut body = group(&name);
                body["members"] = json!([member]);
                scim(self.own("POST", "/Groups"), &body)
            }
            3 => {
                let operations = json!([{ "op": "add", "path": "members", "value": [member] }]);
                scim(self.own("PATCH", &format!("/Groups/{}", self.group)), &patch(&operations))
            }
            4 => {
                let path = format!("members[value eq \"{id}\"]");
                let operations = json!([{ "op": "remove", "path": path }]);
                scim(self.own("PATCH", &format!("/Groups/{}", self.group)), &patch(&operations))
            }
            _ => {
                let mut body = user(&name);
                body["id"] = id.into();
                scim(self.own("PUT", &format!("/Users/{}", self.user)), &body)
            }
        };
        self.ask("write", request).await?;
        Ok(())
    }

    async fn bulk(&mut self) -> Result<()> {
        let (id, theirs) = (self.theirs(), ScimGateway::path(VICTIM));
        let rename = patch(&json!([{ "op": "replace", "path": "displayName", "value": "changed" }]));
        let name = format!("bulk-{:x}", self.random.next());
        let mut with_member = group(&name);
        with_member["members"] = json!([{ "value": format!("bulkId:{id}") }, { "value": id }]);
        let all = [
            json!({ "method": "DELETE", "path": format!("/Users/{id}") }),
            json!({ "method": "PATCH", "path": format!("/Groups/{id}"), "data": rename, "version": "W/\"1\"" }),
            json!({ "method": "DELETE", "path": format!("{theirs}/Users/{id}") }),
            json!({ "method": "DELETE", "path": format!("/../../../{VICTIM}/scim/v2/Users/{id}") }),
            json!({ "method": "DELETE", "path": format!("http://{}{theirs}/Users/{id}", self.gateway) }),
            json!({ "method": "DELETE", "path": format!("/Users/bulkId:{id}") }),
            json!({ "method": "POST", "path": "/Users", "bulkId": id, "data": user(&name) }),
            json!({ "method": "POST", "path": "/Groups", "bulkId": "g", "data": with_member }),
        ];
        let operations: Vec<Value> = all.into_iter().filter(|_| self.random.chance(60)).collect();
        let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations });
        let response = self.ask("bulk", scim(self.own("POST", "/Bulk"), &body)).await?;
        if response.status == 200 {
            for operation in response.json()?["Operations"].as_array().context("expected operations")? {
                let is_done = operation["status"].as_str().is_some_and(|status| status.starts_with('2'));
                let location = operation["location"].as_str().unwrap_or_default();
                let is_theirs = location.contains(&id);
                ensure!(!(is_done && is_theirs), "expected nothing to be done to the victim: {operation}");
            }
        }
        Ok(())
    }

    async fn cursor(&mut self) -> Result<()> {
        let mut cursor = self.random.pick(&self.loot.cursors).clone();
        if self.random.chance(30) {
            let at = self.random.below(cursor.len());
            cursor.replace_range(at..=at, ["A", "z", "0", "_"][self.random.below(4)]);
        }
        let endpoint = *self.random.pick(&["/Users", "/Groups"]);
        let request = if self.random.chance(30) {
            let body = json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "cursor": cursor, "count": 5
            });
            scim(self.own("POST", &format!("{endpoint}/.search")), &body)
        } else {
            self.own("GET", &format!("{endpoint}?cursor={}&count=5", percent(&cursor)))
        };
        let response = self.ask("cursor", request).await?;
        Self::expect_refused(&response)
    }

    /// The victim's service, by tokens that are nearly its own.
    async fn token(&mut self) -> Result<()> {
        let token = ScimGateway::token(VICTIM);
        let own = ScimGateway::token("mallory");
        let at = 1 + self.random.below(token.len() - 1);
        let fields: Vec<String> = match self.random.below(12) {
            0 => vec![format!("Bearer {}", &token[..at])],
            1 => vec![format!("Bearer {}", &token[at..])],
            2 => vec![format!("Bearer {token}A")],
            3 => vec![format!("Bearer {own}"), format!("Bearer {token}")],
            4 => vec![format!("Bearer {token}"), format!("Bearer {own}")],
            5 => vec![format!("Bearer {token}, Bearer {own}")],
            6 => vec![format!("Basic {token}")],
            7 => vec![token.clone()],
            8 => vec![format!("Bearer {}", token.to_uppercase())],
            9 => vec![format!("Bearer {}", ScimGateway::sha256(&token))],
            10 => vec![format!("Bearer\t{token}")],
            _ => vec![],
        };
        let path = match self.random.below(3) {
            0 => "/Users".to_owned(),
            1 => format!("/Users/{}", self.theirs()),
            _ => format!("/Users?access_token={token}"),
        };
        let request = fields
            .iter()
            .fold(plain("GET", VICTIM, &path), |request, field| request.header("authorization", field));
        let response = self.ask("token", request.header("cookie", format!("token={token}"))).await?;
        ensure!(response.status == 401, "expected {fields:?} to be refused: {response:?}");
        // And the victim's own, where somebody else is called.
        let stray = plain("GET", "mallory", "/Users").bearer(&token);
        ensure!(self.ask("token", stray).await?.status == 401, "expected a token to be of no use elsewhere");
        Ok(())
    }

    /// A credential such as the gateway writes for the store.
    fn seal(key: &CredentialKey, tenant: &str, age: u64, method: &str, target: &str) -> String {
        let now = UnixTime::from_secs(i64::try_from(unix_now() - age).unwrap());
        let grant = Grant {
            issuer: "edge",
            tenant,
            actor: "token:suite",
            profile: Profile::Rfc,
            base_url: "http://victim.example.com",
            request_id: "forged",
            client: None,
            method,
            target,
        };
        key.seal(now, &grant)
    }

    fn known_key() -> CredentialKey {
        let secret = BASE64_URL_SAFE_NO_PAD.decode(GATEWAY_KEY).unwrap();
        CredentialKey::new("k1".to_owned(), secret).unwrap()
    }

    /// A forged credential, for the gateway and for the store.
    async fn credential(&mut self) -> Result<()> {
        let (method, target) = ("GET", format!("/scim/v2/Users/{}", self.random.pick(&self.loot.users)));
        let secret: Vec<u8> = (0..4).flat_map(|_| self.random.next().to_le_bytes()).collect();
        let guessed = CredentialKey::new("k1".to_owned(), secret.clone()).unwrap();
        let other = CredentialKey::new("k2".to_owned(), secret).unwrap();
        let captured = Self::seal(&Self::known_key(), VICTIM, 0, method, "/scim/v2/Schemas");
        let own = Self::seal(&Self::known_key(), "mallory", 0, method, &target);
        let segments =
            |credential: &str| -> Vec<String> { credential.split('.').map(str::to_owned).collect() };
        let decoded = |segment: &str| BASE64_URL_SAFE_NO_PAD.decode(segment).unwrap();
        let credential = match self.random.below(9) {
            0 => Self::seal(&guessed, VICTIM, 0, method, &target),
            1 => Self::seal(&other, VICTIM, 0, method, &target),
            // Captured: for another target, or long ago.
            2 => captured,
            3 => Self::seal(&Self::known_key(), VICTIM, 600, method, &target),
            4 => Self::seal(&Self::known_key(), VICTIM, 0, "DELETE", &target),
            // Its own, with the victim's name in it.
            5 => {
                let mut segments = segments(&own);
                let payload = String::from_utf8(decoded(&segments[1]))?.replace("mallory", VICTIM);
                segments[1] = BASE64_URL_SAFE_NO_PAD.encode(payload);
                segments.join(".")
            }
            // Without a signature.
            6 => {
                let payload = &segments(&Self::seal(&guessed, VICTIM, 0, method, &target))[1];
                let header = BASE64_URL_SAFE_NO_PAD
                    .encode(r#"{"alg":"none","typ":"doorward-gateway+jwt","kid":"k1"}"#);
                format!("{header}.{payload}.")
            }
            // One of its characters is another.
            7 => {
                let mut credential = Self::seal(&Self::known_key(), VICTIM, 0, method, &target);
                let at = self.random.below(credential.len());
                let last = credential.len() - 1;
                let same = credential[at..=at].to_owned();
                let new = ["A", "b", "0", "-"].into_iter().find(|new| *new != same).unwrap();
                credential.replace_range(at..=at, if at == last { "." } else { new });
                credential
            }
            _ => format!("{}.{own}", segments(&own)[0]),
        };
        for (addr, path) in [
            (self.store, target.clone()),
            (self.gateway, target.replace("/scim/v2", &ScimGateway::path(VICTIM))),
            (self.gateway, target.clone()),
        ] {
            let request = Request::new(method, &path).header("host", addr.to_string()).bearer(&credential);
            let response = self.ask_at(addr, "credential", request).await?;
            let expected: &[u16] = if addr == self.store || path != target { &[401] } else { &[404] };
            ensure!(expected.contains(&response.status), "{path} {credential}: {response:?}");
        }
        Ok(())
    }

    /// Whole credentials of its own that it has come by: good for what they say, to the store alone.
    async fn replay(&mut self) -> Result<()> {
        let tenant = if self.is_nobody() { "mallory" } else { self.name };
        let id = self.random.pick(&self.loot.users).clone();
        let list = "/scim/v2/Users?count=100";
        let credential = Self::seal(&Self::known_key(), tenant, 0, "GET", list);
        let at = |path: &str| Request::get(path).bearer(&credential);
        let again = self.ask_at(self.store, "replay", at(list)).await?;
        expect(&again, 200)?;
        for path in [
            "/scim/v2/Users?count=99".to_owned(),
            format!("/scim/v2/Users/{id}"),
            format!("{list}&tenant={VICTIM}"),
            list.replace("Users", "%55sers"),
            list.replace("/Users", "//Users"),
        ] {
            let response = self.ask_at(self.store, "replay", at(&path)).await?;
            ensure!(response.status == 401, "{path}: {response:?}");
        }
        for path in [format!("{}/Users?count=100", ScimGateway::path(tenant)), list.to_owned()] {
            let request = at(&path).header("host", self.gateway.to_string());
            let response = self.ask_at(self.gateway, "replay", request).await?;
            Self::expect_refused(&response)?;
        }
        Ok(())
    }
}

#[test]
fn a_request_in_another_one_is_no_request() {
    run(async {
        let bed =
            Bed::start_on(Database::Sqlite, &TENANTS, json!({}), GatewaySetup::new(&TENANTS)).await?;
        let created = bed.send(&super::with_body("POST", VICTIM, "/Users", &user("kept"))).await?;
        let id = id_of(&expect(&created, 201)?)?;
        let (own, theirs) = (ScimGateway::path("mallory"), ScimGateway::path(VICTIM));
        let host = bed.gateway.addr();
        let token = ScimGateway::token("mallory");
        // Straight to the store it would be one of the victim's, if the gateway's word were taken for it.
        let inner = format!("DELETE /scim/v2/Users/{id} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        let head = format!("POST {own}/Users HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/scim+json\r\n");
        let chunked = format!("0\r\n\r\n{inner}");
        for framing in [
            format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}", chunked.len()),
            format!("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n{chunked}"),
            format!("Transfer-Encoding: chunked, identity\r\n\r\n{chunked}"),
            format!("Transfer-Encoding: identity, chunked\r\n\r\n{chunked}"),
            format!("Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n{inner}"),
            format!("Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n{inner}"),
            format!("Transfer-Encoding:\tchunked\r\n\r\n{chunked}"),
            format!("Content-Length: 0\r\nContent-Length: {}\r\n\r\n{inner}", inner.len()),
            format!("Content-Length: 0, {}\r\n\r\n{inner}", inner.len()),
            format!("Content-Length: +0\r\n\r\n{inner}"),
            format!("Content-Length: 0\r\n\r\n{inner}"),
            format!("Content-Length: 0\r\n\r\n{}", inner.replace("/scim/v2", &theirs)),
            format!("Transfer-Encoding: chunked\r\n\r\n1;a=\"\r\n\r\nx\r\n{chunked}"),
            format!("Transfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: Bearer {}\r\nx-doorward-tenant: {VICTIM}\r\n\r\n{inner}", ScimGateway::token(VICTIM)),
            format!("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: 0\r\n\r\n{inner}"),
            format!("X-Note: a\r\n\tb\r\nContent-Length: 0\r\n\r\n{inner}"),
        ] {
            let sent = format!("{head}{framing}");
            let answer = doorward_testbed::send_raw(host, sent.as_bytes(), Duration::from_millis(300)).await?;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            ensure!(!answer.contains("HTTP/1.1 2"), "expected no success: {sent}\n{answer}");
            let read = bed.send(&super::call("GET", VICTIM, &format!("/Users/{id}"))).await?;
            ensure!(read.status == 200, "expected the victim's user to be there: {sent}\n{answer}");
        }
        expect_healthy(&bed.gateway.envoy, 1).await
    })
    .unwrap();
}
