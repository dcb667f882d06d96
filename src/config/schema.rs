//! The JSON Schema (2020-12) of the document, for editors and other tools. It knows shapes and names; what `compile`
//! checks beyond them is `Config::load`'s to say.

use super::raw::Document;
use crate::jose::Algorithm;
use crate::scim::Profile;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

/// The JSON Schema of the document.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(Plain);
    settings.into_generator().into_root_schema_for::<Document>().to_value()
}

/// What serde reads, without what nobody should be offered to write: `null` and empty values, which are read as absent.
#[derive(Clone)]
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(members) = schema.as_object_mut() {
            without_null(members);
            let is_empty = |value: &Value| match value {
                Value::Null => true,
                Value::Array(items) => items.is_empty(),
                Value::Object(members) => members.is_empty(),
                Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
            };
            if members.get("default").is_some_and(is_empty) {
                members.remove("default");
            }
            // Rust's, such as `uint64`: no format of JSON Schema.
            members.remove("format");
        }
        transform_subschemas(self, schema);
    }
}

fn without_null(members: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            members.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type") != Some(&Value::from("null")));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            members.remove("anyOf");
            members.extend(only);
        }
    }
}

pub(super) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" })
}

pub(super) fn algorithms(_: &mut SchemaGenerator) -> Schema {
    // RFC 9864's name for what EdDSA means here.
    let names: Vec<&str> =
        Algorithm::ALL.iter().map(|algorithm| algorithm.name()).chain(["Ed25519"]).collect();
    json_schema!({ "type": "array", "minItems": 1, "items": { "enum": names } })
}

pub(super) fn jwk_set(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["keys"],
        "properties": {
            "keys": {
                "type": "array",
                "minItems": 1,
                "items": { "type": "object", "required": ["kty"] },
            },
        },
    })
}

pub(super) fn secret(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [
        { "type": "string", "minLength": 1 },
        // In a worker, a variable.
        {
            "type": "object",
            "required": ["$env"],
            "properties": { "$env": { "type": "string", "minLength": 1 } },
            "additionalProperties": false,
        },
    ] })
}

pub(super) fn private_key(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["kty", "crv", "d", "x"],
        "properties": { "kty": { "enum": ["EC", "OKP"] }, "crv": { "enum": ["P-256", "Ed25519"] } },
    })
}

pub(super) fn scim_profile(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = Profile::ALL.into_iter().map(Profile::as_str).collect();
    json_schema!({ "enum": names })
}

pub(super) fn any(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "number", "boolean", "array", "object"] })
}

pub(super) fn scalar(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "number", "boolean"] })
}

pub(super) fn scalars(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "minItems": 1, "items": scalar(generator) })
}
