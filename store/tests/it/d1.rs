//! Batches of real D1, in a local workerd.

use crate::batches::TABLES;
use anyhow::{Context, Result};
use doorward_store::database::{BatchError, Batches, Outcome};
use doorward_store::sql::{Cell, Row, Statement};
use doorward_testbed::{D1Database, D1Server};
use serde_json::{Value, json};
use std::sync::{Arc, Weak};
use tokio::sync::Mutex;

/// One database.
#[derive(Clone)]
pub(crate) struct D1Batches {
    database: Arc<D1Database>,
    /// It ends when nobody has it any more.
    _server: Arc<D1Server>,
}

impl D1Batches {
    /// A new one with tables, on a server that tests share which run at the same time; none if it is not installed.
    pub(crate) async fn new() -> Result<Option<Self>> {
        static SHARED: Mutex<Weak<D1Server>> = Mutex::const_new(Weak::new());
        if !D1Server::is_installed() {
            eprintln!("left out: miniflare is not installed");
            return Ok(None);
        }
        let mut shared = SHARED.lock().await;
        let found = shared.upgrade().and_then(|server| Some((server.database()?, server)));
        let (database, server) = match found {
            Some(found) => found,
            None => {
                let server = Arc::new(D1Server::start().await?);
                (server.database().context("expected a database")?, server)
            }
        };
        *shared = Arc::downgrade(&server);
        drop(shared);
        let batches = Self { database: Arc::new(database), _server: server };
        for tables in TABLES {
            batches.execute(tables).await?;
        }
        Ok(Some(batches))
    }

    /// Does statements without parameters, one after the other: text with `;` between.
    pub(crate) async fn execute(&self, text: &str) -> Result<()> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("--"));
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        let statements = text.split(';').map(str::trim).filter(|text| !text.is_empty());
        let statements: Vec<Value> =
            statements.map(|text| json!({ "text": text, "parameters": [] })).collect();
        let answer = self.database.batch(&statements).await?;
        anyhow::ensure!(answer["error"].is_null(), "{answer}");
        Ok(())
    }
}

impl Batches for D1Batches {
    async fn batch(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, BatchError> {
        let statement = |statement: &Statement| {
            let parameters: Vec<Value> = statement.parameters().iter().map(parameter).collect();
            json!({ "text": statement.text(), "parameters": parameters })
        };
        let statements: Vec<Value> = statements.iter().map(statement).collect();
        let answer = self.database.batch(&statements).await;
        let answer = answer.map_err(|error| BatchError(format!("{error:#}")))?;
        match answer["error"].as_str() {
            Some(error) => Err(BatchError(error.to_owned())),
            None => Ok(answer["outcomes"].as_array().unwrap().iter().map(outcome).collect()),
        }
    }
}

fn parameter(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(integer) => json!(integer),
        Cell::Text(text) => json!(text),
        Cell::Blob(octets) => json!(octets),
    }
}

fn outcome(outcome: &Value) -> Outcome {
    let row = |row: &Value| Row(row.as_array().unwrap().iter().map(cell).collect());
    Outcome {
        rows: outcome["rows"].as_array().unwrap().iter().map(row).collect(),
        changed: outcome["changed"].as_u64().unwrap(),
    }
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::Number(number) => Cell::Integer(number.as_i64().unwrap()),
        Value::String(text) => Cell::Text(text.clone()),
        Value::Array(octets) => {
            Cell::Blob(octets.iter().map(|octet| u8::try_from(octet.as_u64().unwrap()).unwrap()).collect())
        }
        Value::Bool(_) | Value::Object(_) => panic!("expected a value of SQLite, but found {value}"),
    }
}
