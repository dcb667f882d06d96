//! The configuration document, with what the platform keeps for it put in.

use crate::web;
use doorward::json::{self, Limits};
use serde_json::Value;
use wasm_bindgen::JsValue;

/// The member by which an object stands for a variable or a secret of the platform: `{ "$env": "NAME" }`.
const VARIABLE: &str = "$env";
const LIMITS: Limits = Limits { depth: 32, values: 1_000_000 };

/// The document with every `{ "$env": "NAME" }` replaced by the text bound to that name.
///
/// # Errors
/// A line for each name that has none. What is no JSON is left to whoever reads the document.
pub(crate) fn filled(text: &str, bindings: &JsValue) -> Result<Vec<u8>, String> {
    if !text.contains(VARIABLE) {
        return Ok(text.as_bytes().to_vec());
    }
    let Ok(members) = json::parse_object(text.as_bytes(), LIMITS) else {
        return Ok(text.as_bytes().to_vec());
    };
    let (mut document, mut missing) = (Value::Object(members), Vec::new());
    fill(&mut document, bindings, &mut missing);
    if missing.is_empty() { Ok(document.to_string().into_bytes()) } else { Err(missing.join("\n")) }
}

fn fill(value: &mut Value, bindings: &JsValue, missing: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            let name = members.get(VARIABLE).and_then(Value::as_str).filter(|_| members.len() == 1);
            match name
                .map(|name| web::bound(bindings, name).map(|found| (name.to_owned(), found.as_string())))
            {
                None => members.values_mut().for_each(|value| fill(value, bindings, missing)),
                Some(Ok((_, Some(text)))) => *value = Value::String(text),
                Some(Ok((name, None))) => missing.push(format!("expected a text bound to {name:?}")),
                Some(Err(error)) => missing.push(error),
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|value| fill(value, bindings, missing)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
