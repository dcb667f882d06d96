//! A server on free loopback ports, with a tenant and a token.

use anyhow::{Context as _, Result};
use doorward::scim::Profile;
use doorward_store::database::{
    Bounds, Database, DatabaseError, Scope, Sqlite, SqliteOptions, Unit, WriteError, Written,
};
use doorward_store::http::{self, Handle, Log, Server, ServerOptions};
use doorward_store::service::{Context, Request, Response};
use doorward_store::sql::{Dialect, Row, Statement};
use doorward_store::tenants::Tenants;
use doorward_testbed::{eventually, port, run};
use serde_json::Value;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinHandle;

/// How long to wait for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A service that remembers.
pub(crate) struct Fake {
    pub(crate) seen: Mutex<Vec<Seen>>,
    /// A request of `/Gate` came in.
    pub(crate) entered: Semaphore,
    /// A request of `/Gate` may go on.
    pub(crate) gate: Semaphore,
    /// Tells of changes.
    pub(crate) changes: watch::Sender<()>,
    /// Whether there was one.
    pub(crate) changed: AtomicBool,
}

/// What it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) context: Context,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) fields: [Option<Vec<u8>>; 4],
    pub(crate) body: Vec<u8>,
}

impl Handle for Fake {
    fn watch(&self, _: &str) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    async fn handle(&self, context: &Context, request: &Request<'_>) -> Response {
        let fields = [request.content_type, request.if_match, request.if_none_match, request.idempotency_key];
        self.seen.lock().unwrap().push(Seen {
            context: context.clone(),
            method: request.method.to_owned(),
            path: request.path.to_owned(),
            query: request.query.to_owned(),
            fields: fields.map(|field| field.map(<[u8]>::to_vec)),
            body: request.body.to_vec(),
        });
        match request.path {
            "/Gate" => {
                self.entered.add_permits(1);
                self.gate.acquire().await.unwrap().forget();
                Response { status: 200, body: Some(b"{}".to_vec()), ..Response::default() }
            }
            "/changes" => {
                let waits = (!self.changed.load(Ordering::SeqCst)).then_some(Duration::from_secs(60));
                self.entered.add_permits(1);
                let headers = vec![("content-type", "application/json".to_owned())];
                Response { status: 200, headers, body: Some(b"{}".to_vec()), waits, ..Response::default() }
            }
            // More than sockets on both sides hold.
            "/Large" => Response { status: 200, body: Some(vec![b' '; 64 << 20]), ..Response::default() },
            "/Nothing" => Response { status: 204, ..Response::default() },
            _ => Response {
                status: 201,
                headers: vec![
                    ("location", format!("{}/Users/1", context.base_url)),
                    ("etag", "W/\"1\"".to_owned()),
                ],
                body: Some(br#"{"id":"1"}"#.to_vec()),
                ..Response::default()
            },
        }
    }
}

/// A log in memory.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Memory {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines of an event, as soon as there are so many.
    pub(crate) async fn lines(&self, event: &str, count: usize) -> Result<Vec<Value>> {
        let read = || -> Vec<Value> {
            let text = self.text();
            let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
            lines.filter(|line: &Value| line["event"] == event).collect()
        };
        eventually("the log has the lines", PATIENCE, async || Ok(read().len() >= count)).await?;
        Ok(read())
    }
}

/// A database that is gone.
pub(crate) struct Gone;

impl Database for Gone {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn bounds(&self) -> Bounds {
        Bounds::WIDE
    }

    async fn read(&self, _: Scope<'_>, _: Vec<Statement>) -> Result<Vec<Vec<Row>>, DatabaseError> {
        Err(DatabaseError::Unavailable("gone".to_owned()))
    }

    async fn write(&self, _: Unit) -> Result<Written, WriteError> {
        Err(DatabaseError::Unavailable("gone".to_owned()).into())
    }

    async fn administer(&self, _: Vec<Statement>) -> Result<bool, WriteError> {
        Err(DatabaseError::Unavailable("gone".to_owned()).into())
    }
}

/// A server that runs.
pub(crate) struct Bed<D> {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Of the tenant `acme`, by the name `okta`.
    pub(crate) token: String,
    pub(crate) fake: Arc<Fake>,
    pub(crate) tenants: Arc<Tenants<D>>,
    pub(crate) log: Memory,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl<D> Bed<D> {
    /// Tells the server to end.
    pub(crate) fn stop(&self) {
        let _ = self.stop.lock().unwrap().take().unwrap().send(());
    }

    pub(crate) fn is_running(&self) -> bool {
        self.task.lock().unwrap().as_ref().is_some_and(|task| !task.is_finished())
    }

    /// Waits until it has.
    pub(crate) async fn stopped(&self) -> Result<()> {
        let task = self.task.lock().unwrap().take().unwrap();
        tokio::time::timeout(PATIENCE, task).await.context("expected the server to end")??;
        Ok(())
    }
}

/// Options on free ports.
pub(crate) fn options() -> ServerOptions {
    ServerOptions::new(port::loopback(0), Some(port::loopback(0)))
}

async fn start<D: Database>(
    options: ServerOptions,
    tenants: Arc<Tenants<D>>,
    token: String,
) -> Result<Bed<D>> {
    let (seen, entered, gate) = (Mutex::default(), Semaphore::new(0), Semaphore::new(0));
    let (changes, changed) = (watch::channel(()).0, AtomicBool::new(false));
    let fake = Arc::new(Fake { seen, entered, gate, changes, changed });
    let log = Memory::default();
    let server =
        Server::bind(options, Arc::clone(&fake), Arc::clone(&tenants), Log::to(log.clone())?).await?;
    let (address, admin) = (server.address(), server.admin_address().context("expected an admin listener")?);
    let (stop, stopping) = oneshot::channel();
    let task = tokio::spawn(server.run(async {
        let _ = stopping.await;
    }));
    let (stop, task) = (Mutex::new(Some(stop)), Mutex::new(Some(task)));
    Ok(Bed { address, admin, token, fake, tenants, log, stop, task })
}

/// Runs a test with a server on a new database.
pub(crate) fn with(
    change: impl FnOnce(&mut ServerOptions),
    test: impl AsyncFnOnce(&Bed<Sqlite>) -> Result<()>,
) {
    let folder = tempfile::tempdir().unwrap();
    let tested = run(async {
        let database = Sqlite::open(&SqliteOptions::new(folder.path().join("store.db")))?;
        let tenants = Arc::new(Tenants::new(Arc::new(database)));
        tenants.create("acme", "Acme Inc.", Profile::Okta, http::now()).await?;
        let token = tenants.issue("acme", "okta", None, http::now()).await?;
        let mut options = options();
        change(&mut options);
        test(&start(options, tenants, token.reveal().to_owned()).await?).await
    });
    tested.unwrap();
}

/// Runs a test with a server whose database is gone.
pub(crate) fn without_database(test: impl AsyncFnOnce(&Bed<Gone>) -> Result<()>) {
    let token = format!("dws_{}", "A".repeat(43));
    let tested =
        run(async { test(&start(options(), Arc::new(Tenants::new(Arc::new(Gone))), token).await?).await });
    tested.unwrap();
}
