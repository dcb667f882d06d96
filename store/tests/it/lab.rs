//! A service over a database of its own, and requests to it.

use crate::batches::{LocalBatches, TABLES};
use crate::bed::{ATTEMPTS, PostgresBed};
use crate::d1::D1Batches;
use crate::database::TestDatabase;
use doorward::scim::{Catalog, CursorKey, Profile};
use doorward_store::audit::Origin;
use doorward_store::database::{AnyDatabase, Batched, Database, Postgres, Scope, Sqlite, SqliteOptions};
use doorward_store::role::GroupKey;
use doorward_store::service::{Context, Request, Response, Service, Settings};
use doorward_store::sql::Statement;
use doorward_store::tenants::Tenants;
use doorward_testbed::{D1Server, PostgresServer};
use serde_json::{Value, json};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const BASE: &str = "https://scim.example.com/scim/v2";

/// A service with two tenants, `a` and `b`.
pub(crate) struct Lab {
    service: Service<TestDatabase>,
    tenants: Arc<Tenants<TestDatabase>>,
    database: Arc<TestDatabase>,
    bed: Kept,
    profile: Profile,
    now: Cell<i64>,
}

/// What the database lives in.
enum Kept {
    Sqlite(tempfile::TempDir),
    Postgres(PostgresBed),
    Batched(tempfile::TempDir),
    D1(D1Batches),
}

/// Which database a lab has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    /// Batches as D1 does them.
    Batched,
    D1,
}

impl Kind {
    /// How many changes of one tenant are made at once where only that they are many counts: in batches each comes in the way of all others.
    pub(crate) fn at_once(self) -> usize {
        match self {
            Self::Sqlite | Self::Postgres => 1_000,
            Self::Batched | Self::D1 => 8,
        }
    }

    /// How many of so many random rounds are worth their time.
    pub(crate) fn rounds(self, all: usize) -> usize {
        match self {
            Self::Sqlite | Self::Postgres => all,
            Self::Batched => all / 2,
            Self::D1 => all / 5,
        }
    }
}

/// A response with its body read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) waits: Option<Duration>,
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
    /// Over SQLite.
    pub(crate) async fn new(profile: Profile) -> Self {
        Self::with(Kind::Sqlite, profile, Settings::default()).await
    }

    pub(crate) async fn with(kind: Kind, profile: Profile, settings: Settings) -> Self {
        let (database, bed) = match kind {
            Kind::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let database = Sqlite::open(&SqliteOptions::new(folder.path().join("store.db"))).unwrap();
                (sqlite(database), Kept::Sqlite(folder))
            }
            Kind::Postgres => {
                let bed = PostgresBed::new().await.unwrap().unwrap();
                let database = Postgres::open(&bed.options()).await.unwrap();
                (postgres(database), Kept::Postgres(bed))
            }
            Kind::Batched => {
                let folder = tempfile::tempdir().unwrap();
                let batches = LocalBatches::open(&folder.path().join("store.db"));
                (batched(batches), Kept::Batched(folder))
            }
            Kind::D1 => {
                let batches = D1Batches::new().await.unwrap().unwrap();
                (d1(batches.clone()), Kept::D1(batches))
            }
        };
        for tenant in ["a", "b"] {
            let insert = Statement::new(
                database.dialect(),
                "INSERT INTO tenant (id, name, profile, created, sequence, hash) VALUES (",
            )
            .bind_all([tenant, tenant, "rfc"])
            .sql(", 0, 0, ")
            .bind(vec![0; 32])
            .sql(")");
            database.administer(vec![insert]).await.unwrap();
        }
        let catalog = Arc::new(Catalog::built_in().unwrap());
        let database = Arc::new(database);
        let tenants = Arc::new(Tenants::new(Arc::clone(&database)));
        let service = Service::new(Arc::clone(&tenants), catalog, settings, CursorKey::new([7; 32]));
        Self { service, tenants, database, bed, profile, now: Cell::new(1_800_000_000_000_000) }
    }

    /// The same, after its database was taken back to its first version and opened again.
    pub(crate) async fn opened_from_version_1(self) -> Self {
        const NEWER: &str = "DROP TABLE tally; DROP TABLE role_grant; DROP INDEX idempotency_of_tenant; \
            CREATE INDEX idempotency_created ON idempotency (created);";
        let database = match &self.bed {
            Kept::Sqlite(_) => {
                self.connection().execute_batch(&format!("{NEWER} PRAGMA user_version = 1")).unwrap();
                sqlite(Sqlite::open(&SqliteOptions::new(self.path())).unwrap())
            }
            Kept::Postgres(bed) => {
                let back = format!("{NEWER} UPDATE doorward_version SET version = 1");
                bed.server.sql(&bed.name, &back).unwrap();
                postgres(Postgres::open(&bed.options()).await.unwrap())
            }
            Kept::Batched(_) => {
                let connection = self.connection();
                connection.execute_batch(NEWER).unwrap();
                TABLES.iter().skip(1).for_each(|tables| connection.execute_batch(tables).unwrap());
                batched(LocalBatches::open(&self.path()))
            }
            Kept::D1(batches) => {
                batches.execute(NEWER).await.unwrap();
                for tables in TABLES.into_iter().skip(1) {
                    batches.execute(tables).await.unwrap();
                }
                d1(batches.clone())
            }
        };
        let database = Arc::new(database);
        let catalog = Arc::new(Catalog::built_in().unwrap());
        let (settings, cursors) = (Settings::default(), CursorKey::new([7; 32]));
        let tenants = Arc::new(Tenants::new(Arc::clone(&database)));
        let service = Service::new(Arc::clone(&tenants), catalog, settings, cursors);
        Self { service, tenants, database, ..self }
    }

    /// Of SQLite.
    pub(crate) fn path(&self) -> std::path::PathBuf {
        match &self.bed {
            Kept::Sqlite(folder) | Kept::Batched(folder) => folder.path().join("store.db"),
            Kept::Postgres(_) | Kept::D1(_) => panic!("expected SQLite"),
        }
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

    /// What a request of tenant `a` is answered, as it is.
    pub(crate) async fn handle(&self, request: &Request<'_>) -> Response {
        self.service.handle(&self.context("a"), request).await
    }

    pub(crate) fn tenants(&self) -> &Tenants<TestDatabase> {
        &self.tenants
    }

    /// Grants a role of tenant `a`; answers whether that is new.
    pub(crate) async fn grant(&self, role: &str, group: &GroupKey) -> bool {
        let context = self.context("a");
        self.tenants.grant_role("a", role, group, context.origin, context.now).await.unwrap()
    }

    pub(crate) async fn revoke(&self, role: &str, group: &GroupKey) {
        let context = self.context("a");
        self.tenants.revoke_role("a", role, group, context.origin, context.now).await.unwrap();
    }

    pub(crate) fn database(&self) -> &TestDatabase {
        &self.database
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
        let Response { status, headers, body, rest, waits } = self.service.handle(&context, &request).await;
        let body = body.map(|body| [vec![body], rest.into_iter().flatten().collect()].concat().concat());
        let body = body.map_or(Value::Null, |body| serde_json::from_slice(&body).unwrap());
        Answer { status, body, headers, waits }
    }

    /// The audit trail of tenant `a`.
    pub(crate) async fn records(&self) -> Vec<Value> {
        let database = &self.database;
        let select = Statement::new(database.dialect(), "SELECT record FROM change WHERE tenant = ")
            .bind("a")
            .sql(" ORDER BY sequence");
        let rows = database.read(Scope::Tenant("a"), vec![select]).await.unwrap().pop().unwrap();
        rows.iter().map(|row| serde_json::from_str(row.text(0).unwrap()).unwrap()).collect()
    }

    pub(crate) fn watch(&self) -> tokio::sync::watch::Receiver<()> {
        self.service.watch("a")
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

fn sqlite(database: Sqlite) -> TestDatabase {
    TestDatabase::Native(AnyDatabase::Sqlite(database))
}

fn postgres(database: Postgres) -> TestDatabase {
    TestDatabase::Native(AnyDatabase::Postgres(Box::new(database)))
}

fn batched(batches: LocalBatches) -> TestDatabase {
    TestDatabase::Batched(Batched::new(batches).attempts(ATTEMPTS))
}

fn d1(batches: D1Batches) -> TestDatabase {
    TestDatabase::D1(Batched::new(batches).attempts(ATTEMPTS))
}

/// The body of a user.
pub(crate) fn user(name: &str) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name })
}

/// Runs a test to its end.
pub(crate) fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(test);
}

/// Runs a test on SQLite, on batches, and on PostgreSQL and D1 if they are installed.
pub(crate) fn on_each(test: impl AsyncFn(Kind)) {
    run(async {
        test(Kind::Sqlite).await;
        test(Kind::Batched).await;
        if PostgresServer::programs().is_some() {
            test(Kind::Postgres).await;
        } else {
            eprintln!("left out: PostgreSQL is not installed");
        }
        if D1Server::is_installed() {
            test(Kind::D1).await;
        } else {
            eprintln!("left out: miniflare is not installed");
        }
    });
}
