//! JSON read a second time: by serde_json as it comes, which keeps the last of two members with one name.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// The object in `text`, which the core has accepted.
pub fn object(text: &[u8]) -> Map<String, Value> {
    let value = serde_json::from_slice(text).expect("the core accepted what is not a JSON object");
    assert_eq!(members(text), count(&Value::Object(Map::clone(&value))), "a member is there twice");
    value
}

/// How many members the objects of `text` have, at every depth, repeated ones included.
fn members(text: &[u8]) -> usize {
    let Members(found) = serde_json::from_slice(text).expect("JSON");
    found
}

/// How many members the objects of `value` have, at every depth.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.len() + members.values().map(count).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

struct Members(usize);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Count)
    }
}

struct Count;

impl<'de> Visitor<'de> for Count {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Members, E> {
        Ok(Members(0))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Members, E> {
        Ok(Members(0))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Members, E> {
        Ok(Members(0))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Members, E> {
        Ok(Members(0))
    }

    fn visit_str<E>(self, _: &str) -> Result<Members, E> {
        Ok(Members(0))
    }

    fn visit_unit<E>(self) -> Result<Members, E> {
        Ok(Members(0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
        let mut found = 0;
        while let Some(Members(inner)) = access.next_element()? {
            found += inner;
        }
        Ok(Members(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
        let mut found = 0;
        while access.next_key::<IgnoredAnyName>()?.is_some() {
            let Members(inner) = access.next_value()?;
            found += inner + 1;
        }
        Ok(Members(found))
    }
}

/// A name that is not looked at.
struct IgnoredAnyName;

impl<'de> Deserialize<'de> for IgnoredAnyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_members_are_counted() {
        let count = |text: &str| members(text.as_bytes());
        assert_eq!(count(r#"{"a":1,"b":[{"c":null}],"d":{"e":1.5}}"#), 5);
        assert_eq!(count(r#"{"a":1,"a":{"b":true,"b":"x"}}"#), 4);
    }

    #[test]
    #[should_panic(expected = "a member is there twice")]
    fn what_has_a_member_twice_is_found() {
        object(br#"{"a":[{"b":1,"b":1}]}"#);
    }
}
