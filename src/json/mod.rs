//! Strict JSON (RFC 8259): duplicate member names refused, depth and size bounded.
//!
//! serde_json keeps the last of two members with the same name; a peer may keep the first. A token or a key that two
//! parsers read differently is an attack (RFC 7515 section 4, RFC 7519 section 4), so it is an error here.

pub(crate) mod located;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::Cell;
use std::fmt;

/// Bounds on a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Arrays and objects inside each other, the outermost counted.
    pub depth: usize,
    /// Values in all, members of objects and items of arrays.
    pub values: usize,
}

/// Why a JSON text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not JSON, or not UTF-8. The place is counted from 1.
    #[error("not JSON at line {line}, column {column}: {reason}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// What the parser expected.
        reason: String,
    },
    /// Two members of one object have the same name.
    #[error("expected each member once, but found two members {0:?}")]
    DuplicateMember(String),
    /// Deeper than [`Limits::depth`].
    #[error("nested deeper than the limit")]
    TooDeep,
    /// More values than [`Limits::values`].
    #[error("more values than the limit")]
    TooManyValues,
    /// The text is JSON, but not an object.
    #[error("expected a JSON object")]
    NotAnObject,
}

/// Parses a text that must be one JSON object.
///
/// # Errors
/// [`JsonError`], the first fault met.
pub fn parse_object(text: &[u8], limits: Limits) -> Result<Map<String, Value>, JsonError> {
    match parse(text, limits)? {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(JsonError::NotAnObject)
        }
    }
}

/// Parses a text that must be one JSON value.
///
/// # Errors
/// [`JsonError`], the first fault met.
pub fn parse(text: &[u8], limits: Limits) -> Result<Value, JsonError> {
    let state = State { fault: Cell::new(None), values_left: Cell::new(limits.values) };
    let mut parser = serde_json::Deserializer::from_slice(text);
    let parsed = Seed { state: &state, depth_left: limits.depth }
        .deserialize(&mut parser)
        .and_then(|value| parser.end().map(|()| value));
    parsed.map_err(|error| {
        state.fault.take().unwrap_or_else(|| JsonError::Syntax {
            line: error.line(),
            column: error.column(),
            reason: reason(&error),
        })
    })
}

/// serde_json's message without the place that it appends.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split_once(" at line ").map_or(text.as_str(), |(reason, _)| reason).to_owned()
}

struct State {
    /// serde errors are text; the typed fault travels beside it.
    fault: Cell<Option<JsonError>>,
    values_left: Cell<usize>,
}

impl State {
    fn fail<E: serde::de::Error>(&self, fault: JsonError) -> E {
        self.fault.set(Some(fault));
        E::custom("refused")
    }
}

#[derive(Clone, Copy)]
struct Seed<'s> {
    state: &'s State,
    depth_left: usize,
}

impl<'s> Seed<'s> {
    fn deeper<E: serde::de::Error>(self) -> Result<Seed<'s>, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Seed { state: self.state, depth_left }),
            None => Err(self.state.fail(JsonError::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.state.values_left.get().checked_sub(1) {
            Some(left) => self.state.values_left.set(left),
            None => return Err(self.state.fail(JsonError::TooManyValues)),
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(self.state.fail(JsonError::DuplicateMember(name)));
            }
            let value = access.next_value_seed(inner)?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { depth: 3, values: 8 };

    fn check(text: &str, expected: Result<&str, JsonError>) {
        let parsed = parse(text.as_bytes(), LIMITS).map(|v| v.to_string());
        assert_eq!(parsed, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn plain_values_are_accepted() {
        check(r#" {"a":[1,-2,1.5],"b":null} "#, Ok(r#"{"a":[1,-2,1.5],"b":null}"#));
        check(r#""\u00fc""#, Ok("\"ü\""));
    }

    #[test]
    fn duplicate_members_are_refused_at_every_level() {
        check(r#"{"a":1,"a":1}"#, Err(JsonError::DuplicateMember("a".into())));
        check(r#"{"a":1,"\u0061":2}"#, Err(JsonError::DuplicateMember("a".into())));
        check(r#"[{"b":{"c":1,"c":2}}]"#, Err(JsonError::DuplicateMember("c".into())));
    }

    #[test]
    fn limits_hold_at_their_border() {
        check("[[[]]]", Ok("[[[]]]"));
        check("[[[[]]]]", Err(JsonError::TooDeep));
        check("[1,2,3,4,5,6,7]", Ok("[1,2,3,4,5,6,7]"));
        check("[1,2,3,4,5,6,7,8]", Err(JsonError::TooManyValues));
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for text in ["", "{", "{}x", "{'a':1}", "{\"a\":1,}", "NaN", "01", "1e999", "\u{feff}{}", "\"\n\""] {
            assert!(matches!(parse(text.as_bytes(), LIMITS), Err(JsonError::Syntax { .. })), "{text}");
        }
        assert!(matches!(parse(b"\"\xff\"", LIMITS), Err(JsonError::Syntax { .. })));
        let Err(JsonError::Syntax { line, column, .. }) = parse(b"{\n  \"a\" 1}", LIMITS) else { panic!() };
        assert_eq!((line, column), (2, 7));
    }

    #[test]
    fn only_an_object_is_an_object() {
        assert_eq!(parse_object(b"[]", LIMITS), Err(JsonError::NotAnObject));
        assert!(parse_object(b"{}", LIMITS).is_ok());
    }
}
