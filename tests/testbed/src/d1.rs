//! Real D1 databases of Cloudflare, in a local workerd, thrown away afterwards.

use crate::client::{Connection, Request};
use crate::miniflare::Miniflare;
use crate::{folder, port};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many databases one server has. They cost nothing until they are asked.
const DATABASES: usize = 256;

/// A running workerd with D1 databases in memory. Dropping it ends it; its data goes too.
#[derive(Debug)]
pub struct D1Server {
    _miniflare: Miniflare,
    port: u16,
    databases: AtomicUsize,
}

/// A database of a [`D1Server`], for one runtime.
#[derive(Debug)]
pub struct D1Database {
    number: usize,
    port: u16,
    /// Those that nobody uses now.
    connections: Mutex<Vec<Connection>>,
}

impl D1Server {
    /// Whether npm's miniflare is installed, as `cargo xtask setup --tests` does it.
    pub fn is_installed() -> bool {
        Miniflare::is_installed()
    }

    /// Starts it.
    ///
    /// # Errors
    /// If miniflare is not installed or workerd does not start within 60 seconds; with the end of its log.
    pub async fn start() -> Result<Self> {
        let folder = folder::scratch("d1")?;
        let miniflare = Miniflare::start("d1.mjs", &[DATABASES.to_string()], &folder).await?;
        let port = miniflare.ready().parse().context("expected a port")?;
        Ok(Self { _miniflare: miniflare, port, databases: AtomicUsize::new(0) })
    }

    /// A database that nobody else has, and that is empty; none if there are no more.
    pub fn database(&self) -> Option<D1Database> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let database = || D1Database { number, port: self.port, connections: Mutex::default() };
        (number < DATABASES).then(database)
    }
}

impl D1Database {
    /// Does a batch: statements as `{ "text": …, "parameters": […] }`. Answers `{ "outcomes": […] }` or `{ "error": … }`, as
    /// `tests/e2e/node/d1.mjs` says.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn batch(&self, statements: &[Value]) -> Result<Value> {
        let body = json!({ "database": self.number, "statements": statements }).to_string();
        let request = Request::new("POST", "/").header("content-type", "application/json").body(body);
        let free = self.connections.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match free {
            Some(connection) => connection,
            None => Connection::open(port::loopback(self.port)).await?,
        };
        let response = connection.send(&request).await?;
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        ensure!(response.status == 200, "expected an answer of D1, but found {}", response.text());
        response.json()
    }
}

#[cfg(test)]
#[allow(clippy::print_stderr, reason = "it is said what is left out")]
mod tests {
    use super::*;
    use crate::run;

    #[test]
    fn a_batch_is_done_whole_or_not_at_all() {
        if !D1Server::is_installed() {
            eprintln!("left out: miniflare is not installed");
            return;
        }
        run(async {
            let server = D1Server::start().await?;
            let [one, other] = [server.database(), server.database()].map(Option::unwrap);
            let statement = |text: &str, parameters: Value| json!({ "text": text, "parameters": parameters });
            let made = [
                statement("CREATE TABLE t (n BIGINT PRIMARY KEY, b BLOB)", json!([])),
                statement("INSERT INTO t VALUES (?1, ?2)", json!([7, [0, 255]])),
                statement("SELECT n, b FROM t", json!([])),
            ];
            let answer = one.batch(&made).await?;
            assert_eq!(answer["outcomes"][1]["changed"], 1);
            assert_eq!(answer["outcomes"][2]["rows"], json!([[7, [0, 255]]]));
            let insert = |number| statement("INSERT INTO t VALUES (?1, NULL)", json!([number]));
            let refused = one.batch(&[insert(8), insert(7)]).await?;
            assert!(
                refused["error"].as_str().unwrap().contains("UNIQUE constraint failed: t.n"),
                "{refused}"
            );
            let count = [statement("SELECT count(*) FROM t", json!([]))];
            assert_eq!(one.batch(&count).await?["outcomes"][0]["rows"], json!([[1]]));
            let elsewhere = other.batch(&count).await?;
            assert!(elsewhere["error"].as_str().unwrap().contains("no such table"), "{elsewhere}");
            Ok(())
        })
        .unwrap();
    }
}
