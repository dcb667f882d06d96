//! Cloudflare's D1: statements in, rows out, a batch at a time.

use crate::exchange;
use doorward_store::database::{BatchError, Batches, Outcome};
use doorward_store::sql::{Cell, Row, Statement};
use serde_json::{Value, json};
use wasm_bindgen::JsValue;

/// A D1 database, by its place among those of the isolate.
pub(crate) struct D1(u32);

impl D1 {
    pub(crate) fn new(binding: &JsValue) -> Self {
        Self(exchange::database(binding))
    }
}

impl Batches for D1 {
    async fn batch(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, BatchError> {
        let statements: Vec<Value> = statements.iter().map(written).collect();
        let answer =
            exchange::batch(self.0, &Value::Array(statements).to_string()).await.map_err(BatchError)?;
        match serde_json::from_str(&answer) {
            Ok(Value::Array(outcomes)) => outcomes.into_iter().map(outcome).collect(),
            Ok(Value::String(error)) => Err(BatchError(error)),
            Ok(_) | Err(_) => Err(unreadable()),
        }
    }
}

/// Its text and its parameters.
fn written(statement: &Statement) -> Value {
    let parameters: Vec<Value> = statement
        .parameters()
        .iter()
        .map(|cell| match cell {
            Cell::Null => Value::Null,
            Cell::Integer(integer) => json!(integer),
            Cell::Text(text) => json!(text),
            Cell::Blob(octets) => json!(octets),
        })
        .collect();
    json!([statement.text(), parameters])
}

fn outcome(value: Value) -> Result<Outcome, BatchError> {
    let Value::Array(parts) = value else { return Err(unreadable()) };
    let Ok([Value::Array(rows), changed]) = <[Value; 2]>::try_from(parts) else { return Err(unreadable()) };
    let rows = rows.into_iter().map(row).collect::<Option<_>>().ok_or_else(unreadable)?;
    Ok(Outcome { rows, changed: changed.as_u64().ok_or_else(unreadable)? })
}

fn row(value: Value) -> Option<Row> {
    let Value::Array(cells) = value else { return None };
    cells.into_iter().map(cell).collect::<Option<_>>().map(Row)
}

fn cell(value: Value) -> Option<Cell> {
    match value {
        Value::Null => Some(Cell::Null),
        Value::Number(number) => number.as_i64().map(Cell::Integer),
        Value::String(text) => Some(Cell::Text(text)),
        Value::Array(octets) => {
            let octet = |value: &Value| u8::try_from(value.as_u64()?).ok();
            octets.iter().map(octet).collect::<Option<_>>().map(Cell::Blob)
        }
        Value::Bool(_) | Value::Object(_) => None,
    }
}

/// Not what D1 answers: nothing that passes.
fn unreadable() -> BatchError {
    BatchError("SQLITE_MISUSE: expected rows as D1 has them".to_owned())
}
