//! What the store's service costs without HTTP, on SQLite: `cargo bench -p doorward-store`, with `-- USERS` for another number than 5,000.
//! Prints a Markdown table, for comparing by eye.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a measurement may panic"
)]
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::print_stdout, reason = "the table is the result")]
#![allow(missing_docs, reason = "a program has no interface")]

use doorward::scim::{Catalog, CursorKey, Profile};
use doorward_store::audit::Origin;
use doorward_store::database::{Database, Sqlite, SqliteOptions};
use doorward_store::service::{Context, Request, Response, Service, Settings};
use doorward_store::sql::{Dialect, Statement};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::task::JoinSet;

/// Requests at once.
const CLIENTS: usize = 64;
/// Requests of each kind.
const REQUESTS: usize = 5_000;
/// Sizes of groups that a member is added to.
const GROUPS: [usize; 3] = [10, 2_000, 100_000];

struct Bench {
    service: Service<Sqlite>,
    users: usize,
}

fn main() {
    let users = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(5_000);
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(measure(users));
}

async fn measure(users: usize) {
    let folder = tempfile::tempdir().unwrap();
    let database = Sqlite::open(&SqliteOptions::new(folder.path().join("store.db"))).unwrap();
    let insert = Statement::new(
        Dialect::Sqlite,
        "INSERT INTO tenant (id, name, profile, created, sequence, hash) VALUES ('t', 't', 'rfc', 0, 0, zeroblob(32))",
    );
    database.administer(vec![insert]).await.unwrap();
    let catalog = Arc::new(Catalog::built_in().unwrap());
    let service = Service::new(Arc::new(database), catalog, Settings::default(), CursorKey::new([7; 32]));
    let bench = Arc::new(Bench { service, users });
    println!("{users} users, {CLIENTS} requests at once, SQLite with synchronous FULL\n");
    println!("| | a second | µs each, of one at a time |\n|---|---|---|");
    let created = bench
        .row("create, durable, with its record", users, |number| ("POST", "/Users".to_owned(), user(number)));
    let ids: Arc<Vec<String>> = Arc::new(created.await);
    let of = |ids: &Arc<Vec<String>>, number: usize| ids[number * 7_919 % ids.len()].clone();
    let all = Arc::clone(&ids);
    bench
        .row("GET by id", REQUESTS, move |number| {
            ("GET", format!("/Users/{}", of(&all, number)), Value::Null)
        })
        .await;
    for (what, filter) in [
        ("userName eq", "userName%20eq%20%22user-N@example.com%22"),
        ("externalId eq", "externalId%20eq%20%22ext-N%22"),
        (
            "emails[type eq \"work\"].value eq",
            "emails%5Btype%20eq%20%22work%22%5D.value%20eq%20%22user-N@example.com%22",
        ),
    ] {
        bench
            .row(what, REQUESTS, move |number| {
                let number = (number * 7_919 % users).to_string();
                ("GET", format!("/Users?filter={}", filter.replace('N', &number)), Value::Null)
            })
            .await;
    }
    bench.row("list of 100", 200, |_| ("GET", "/Users?count=100".to_owned(), Value::Null)).await;
    for size in GROUPS.into_iter().filter(|size| *size < users) {
        let members: Vec<Value> = ids.iter().take(size).map(|id| json!({ "value": id })).collect();
        let group = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "g", "members": members,
        });
        let created = bench.send("POST", "/Groups?attributes=id", group).await;
        let id = serde_json::from_slice::<Value>(&created.body.unwrap()).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let last = ids.last().unwrap().clone();
        bench
            .row(&format!("one member in and out of {size}"), 200, move |number| {
                let operation = if number % 2 == 0 {
                    json!({ "op": "add", "path": "members", "value": [{ "value": last }] })
                } else {
                    json!({ "op": "remove", "path": format!("members[value eq \"{last}\"]") })
                };
                let body = json!({
                    "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation],
                });
                ("PATCH", format!("/Groups/{id}?attributes=id"), body)
            })
            .await;
    }
}

fn user(number: usize) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": format!("user-{number}@example.com"), "externalId": format!("ext-{number}"), "active": true,
        "name": { "givenName": "User", "familyName": format!("Number {number}") },
        "emails": [{ "value": format!("user-{number}@example.com"), "type": "work", "primary": true }],
    })
}

impl Bench {
    /// Sends requests at once, and then some one at a time; answers the ids of what they showed.
    async fn row<F>(self: &Arc<Self>, what: &str, requests: usize, request: F) -> Vec<String>
    where
        F: Fn(usize) -> (&'static str, String, Value) + Clone + Send + 'static,
    {
        let next = Arc::new(AtomicUsize::new(0));
        let start = Instant::now();
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS.min(requests) {
            let (bench, next, request) = (Arc::clone(self), Arc::clone(&next), request.clone());
            clients.spawn(async move {
                let mut ids = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= requests {
                        return ids;
                    }
                    let (method, target, body) = request(number);
                    let response = bench.send(method, &target, body).await;
                    assert!(matches!(response.status, 200 | 201 | 204 | 400), "{target}: {response:?}");
                    let body = response.body.unwrap_or_default();
                    if method == "POST" {
                        let body: Value = serde_json::from_slice(&body).unwrap();
                        ids.push(body["id"].as_str().unwrap().to_owned());
                    }
                }
            });
        }
        let ids: Vec<String> = clients.join_all().await.into_iter().flatten().collect();
        let a_second = requests as f64 / start.elapsed().as_secs_f64();
        let (start, alone) = (Instant::now(), 50);
        for number in 0..alone {
            let number = if what.starts_with("create") { self.users + number } else { number };
            let (method, target, body) = request(number);
            self.send(method, &target, body).await;
        }
        let micros = start.elapsed().as_secs_f64() * 1e6 / alone as f64;
        println!("| {what} | {a_second:.0} | {micros:.0} |");
        ids
    }

    async fn send(&self, method: &str, target: &str, body: Value) -> Response {
        let context = Context {
            tenant: "t".to_owned(),
            profile: Profile::Rfc,
            origin: Origin { actor: "bench".to_owned(), address: None, request_id: "r".to_owned() },
            base_url: "https://scim.example.com/scim/v2".to_owned(),
            now: 1_800_000_000_000_000,
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request { method, path, query, body: text.as_bytes(), ..Request::default() };
        self.service.handle(&context, &request).await
    }
}
