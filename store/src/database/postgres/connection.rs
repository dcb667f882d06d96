//! A connection: statements go out together, and their answers are awaited together.

use super::cell;
use super::fault::Fault;
use super::target::Target;
use crate::sql::{Cell, Row, Statement};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;
use tokio_postgres::Client;

/// How many statements are kept prepared on a connection.
const STATEMENTS: usize = 512;
/// How long it may take to tell the server that nobody waits.
const CANCEL: Duration = Duration::from_secs(1);

/// A connection, for one at a time.
pub(super) struct Connection {
    target: Target,
    client: Client,
    prepared: HashMap<String, Prepared>,
    /// Counts the uses of prepared statements.
    clock: u64,
}

struct Prepared {
    statement: tokio_postgres::Statement,
    last_used: u64,
}

/// What a statement was answered.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The rows that it returned.
    pub(super) rows: Vec<Row>,
    /// How many rows it returned or changed.
    pub(super) count: u64,
}

impl Connection {
    /// Connects.
    pub(super) async fn open(target: &Target) -> Result<Self, Fault> {
        let client = target.connect().await?;
        // Every question has an index. Where a table was small when a statement was planned, the plan that is kept would go through all
        // of it when it is large. A database that knows no such setting does without.
        let _ = client.batch_execute("SET enable_seqscan = off").await;
        Ok(Self { target: target.clone(), client, prepared: HashMap::new(), clock: 0 })
    }

    /// Whether it was lost.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Tells the server that nobody waits any more: it would go on, and keep its locks.
    pub(super) async fn cancel(&self) {
        // If that fails too, the server finds out by itself some time.
        let _ = timeout(CANCEL, self.target.cancel(&self.client.cancel_token())).await;
    }

    /// Runs statements of our own, without parameters.
    pub(super) async fn run(&self, text: &str) -> Result<(), Fault> {
        Ok(self.client.batch_execute(text).await?)
    }

    /// Runs statements in their order, without waiting for one before the next is sent; answers the first failure if there is one.
    pub(super) async fn pipeline(&mut self, statements: &[&Statement]) -> Result<Vec<Answer>, Fault> {
        self.send(statements).await?.into_iter().collect()
    }

    /// The same, with what became of each. Within a transaction those after a failure fail too.
    pub(super) async fn send(
        &mut self,
        statements: &[&Statement],
    ) -> Result<Vec<Result<Answer, Fault>>, Fault> {
        let mut ready = Vec::new();
        for statement in statements {
            ready.push((self.prepare(statement).await?, statement.parameters()));
        }
        let client = &self.client;
        // Each is sent when it is polled first, and they are polled in their order.
        Ok(join_all(ready.iter().map(|(prepared, parameters)| run(client, prepared, parameters))).await)
    }

    /// Has the server prepare a statement, if it has not yet.
    pub(super) async fn prepare(
        &mut self,
        statement: &Statement,
    ) -> Result<tokio_postgres::Statement, Fault> {
        self.clock = self.clock.saturating_add(1);
        if let Some(known) = self.prepared.get_mut(statement.text())
            && cell::fit(known.statement.params(), statement.parameters())
        {
            known.last_used = self.clock;
            return Ok(known.statement.clone());
        }
        let types: Vec<_> = statement.parameters().iter().map(cell::type_of).collect();
        let prepared = self.client.prepare_typed(statement.text(), &types).await?;
        if self.prepared.len() >= STATEMENTS {
            let oldest = self.prepared.iter().min_by_key(|(_, prepared)| prepared.last_used);
            if let Some(text) = oldest.map(|(text, _)| text.clone()) {
                self.prepared.remove(&text);
            }
        }
        let entry = Prepared { statement: prepared.clone(), last_used: self.clock };
        self.prepared.insert(statement.text().to_owned(), entry);
        Ok(prepared)
    }
}

async fn run(
    client: &Client,
    prepared: &tokio_postgres::Statement,
    parameters: &[Cell],
) -> Result<Answer, Fault> {
    let mut found = pin!(client.query_raw(prepared, parameters).await?);
    let mut answer = Answer::default();
    while let Some(row) = found.try_next().await? {
        let cells = (0..row.len()).map(|column| row.try_get(column));
        answer.rows.push(Row(cells.collect::<Result<_, _>>()?));
    }
    answer.count = found.rows_affected().unwrap_or_default();
    Ok(answer)
}
