//! A service over a database of its own, and requests to it.

use doorward::scim::{Catalog, CursorKey, Profile};
use doorward_store::audit::Origin;
use doorward_store::database::{Sqlite, SqliteOptions};
use doorward_store::service::{Context, Request, Response, Service, Settings};
use serde_json::{Value, json};
use std::cell::Cell;
use std::sync::Arc;

pub(crate) const BASE: &str = "https://scim.example.com/scim/v2";

/// A service with two tenants, `a` and `b`.
pub(crate) struct Lab {
    service: Service<Sqlite>,
    folder: tempfile::TempDir,
    profile: Profile,
    now: Cell<i64>,
}

/// A response with its body read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str())
    }

    /// The id of the resource in it.
    pub(crate) fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_else(|| panic!("expected an id in {self:?}")).to_owned()
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// The `scimType` of an error.
    pub(crate) fn scim_type(&self) -> &str {
        self.body["scimType"].as_str().unwrap_or_default()
    }
}

impl Lab {
    pub(crate) fn new(profile: Profile) -> Self {
        Self::with(profile, Settings::default())
    }

    pub(crate) fn with(profile: Profile, settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let database = Arc::new(Sqlite::open(&SqliteOptions::new(&path)).unwrap());
        let connection = rusqlite::Connection::open(&path).unwrap();
        for tenant in ["a", "b"] {
            let insert = "INSERT INTO tenant VALUES (?1, ?1, 'rfc', 0, 0, zeroblob(32))";
            connection.execute(insert, [tenant]).unwrap();
        }
        let catalog = Arc::new(Catalog::built_in().unwrap());
        let service = Service::new(database, catalog, settings, CursorKey::new([7; 32]));
        Self { service, folder, profile, now: Cell::new(1_800_000_000_000_000) }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("store.db")
    }

    pub(crate) fn connection(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    /// What goes with a request, a second after the one before.
    pub(crate) fn context(&self, tenant: &str) -> Context {
        self.now.set(self.now.get() + 1_000_000);
        Context {
            tenant: tenant.to_owned(),
            profile: self.profile,
            origin: Origin { actor: "test".to_owned(), address: None, request_id: "r1".to_owned() },
            base_url: BASE.to_owned(),
            now: self.now.get(),
        }
    }

    /// Sends a request of tenant `a`, a second after the one before.
    pub(crate) async fn send(&self, method: &str, target: &str, body: Value) -> Answer {
        self.send_as("a", method, target, body, |request| request).await
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, Value::Null).await
    }

    pub(crate) async fn send_as<'r>(
        &self,
        tenant: &str,
        method: &'r str,
        target: &'r str,
        body: Value,
        more: impl FnOnce(Request<'r>) -> Request<'r>,
    ) -> Answer {
        let context = self.context(tenant);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let request = more(Request { method, path, query, ..Request::default() });
        let request = Request { body: text.as_bytes(), ..request };
        let Response { status, headers, body } = self.service.handle(&context, &request).await;
        let body = body.map_or(Value::Null, |body| serde_json::from_slice(&body).unwrap());
        Answer { status, body, headers }
    }

    /// Creates a user of that name; answers the id.
    pub(crate) async fn user(&self, name: &str) -> String {
        self.send("POST", "/Users", user(name)).await.is(201).id()
    }

    /// Creates a group of these members; answers the id.
    pub(crate) async fn group(&self, name: &str, members: &[&str]) -> String {
        let members: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
        let group = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name, "members": members,
        });
        self.send("POST", "/Groups", group).await.is(201).id()
    }

    /// Patches a resource.
    pub(crate) async fn patch(&self, target: &str, operations: Value) -> Answer {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations,
        });
        self.send("PATCH", target, body).await
    }

    /// The ids of the members of a group, in order.
    pub(crate) async fn members(&self, group: &str) -> Vec<String> {
        let group = self.get(&format!("/Groups/{group}")).await.is(200);
        let members = group.body["members"].as_array().cloned().unwrap_or_default();
        let mut ids: Vec<String> =
            members.iter().map(|member| member["value"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    }
}

/// The body of a user.
pub(crate) fn user(name: &str) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name })
}

/// Runs a test to its end.
pub(crate) fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(test);
}
