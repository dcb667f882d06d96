//! Reading a JSON value with serde, and knowing where in it a fault is.
//!
//! One deserializer, not one wrapped around another for each type as `serde_path_to_error` has it: that costs a filter 100 KB, which
//! every VM would hold for the sake of documents that it reads once.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::{Error, Map, Value};
use std::cell::RefCell;

/// One step from a value to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// To a member of an object, or to what an enum's variant holds.
    Member(String),
    /// To an item of an array, counted from 0.
    Item(usize),
}

/// The steps as people write them: `attributes[2].type`. Nothing for the value itself.
pub(crate) fn written(steps: &[Step]) -> String {
    let mut way = String::new();
    for step in steps {
        match step {
            Step::Member(name) if way.is_empty() => way.push_str(name),
            Step::Member(name) => way.extend([".", name]),
            Step::Item(index) => way.extend(["[", &index.to_string(), "]"]),
        }
    }
    way
}

/// Reads `value` as a `T`.
///
/// # Errors
/// The first fault, and the way to it. A member with a name that is not known is at fault itself; a text that is taken for an
/// enum's variant has a step for it.
pub(crate) fn read<'v, T: Deserialize<'v>>(value: &'v Value) -> Result<T, (Vec<Step>, Error)> {
    let trail = Trail::default();
    T::deserialize(Located { value, trail: &trail }).map_err(|error| (trail.0.into_inner(), error))
}

/// The way to what is being read. A step is taken back only when what it leads to was read: after a fault all are there.
#[derive(Default)]
struct Trail(RefCell<Vec<Step>>);

impl Trail {
    fn enter(&self, step: Step) {
        self.0.borrow_mut().push(step);
    }

    fn leave(&self) {
        self.0.borrow_mut().pop();
    }
}

#[derive(Clone, Copy)]
struct Located<'v, 't> {
    value: &'v Value,
    trail: &'t Trail,
}

impl<'v> Located<'v, '_> {
    fn visit_array<V: Visitor<'v>>(self, items: &'v [Value], visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { items: items.iter().enumerate(), trail: self.trail })
    }

    fn visit_object<V: Visitor<'v>>(
        self,
        members: &'v Map<String, Value>,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Members { members: members.iter(), value: None, trail: self.trail })
    }

    fn is_not(self, expected: &dyn Expected) -> Error {
        let unexpected = match self.value {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => Unexpected::Unsigned(value),
                (None, Some(value), _) => Unexpected::Signed(value),
                (None, None, Some(value)) => Unexpected::Float(value),
                (None, None, None) => Unexpected::Other("number"),
            },
            Value::String(value) => Unexpected::Str(value),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        };
        Error::invalid_type(unexpected, expected)
    }
}

/// What each type asks for and nothing else: whatever a visitor is offered is compiled for it. So an array is not taken for a
/// struct either.
impl<'v> Deserializer<'v> for Located<'v, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => number.deserialize_any(visitor),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => self.visit_array(items, visitor),
            Value::Object(members) => self.visit_object(members, visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Bool(value) = self.value else { return Err(self.is_not(&visitor)) };
        visitor.visit_bool(*value)
    }

    fn deserialize_u64<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Number(number) = self.value else { return Err(self.is_not(&visitor)) };
        number.deserialize_any(visitor)
    }

    fn deserialize_str<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::String(text) = self.value else { return Err(self.is_not(&visitor)) };
        visitor.visit_borrowed_str(text)
    }

    fn deserialize_string<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_seq<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Array(items) = self.value else { return Err(self.is_not(&visitor)) };
        self.visit_array(items, visitor)
    }

    fn deserialize_map<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Object(members) = self.value else { return Err(self.is_not(&visitor)) };
        self.visit_object(members, visitor)
    }

    fn deserialize_struct<V: Visitor<'v>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'v>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// `name`, or `{ name: content }`.
    fn deserialize_enum<V: Visitor<'v>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut members = self.value.as_object().into_iter().flatten();
        let (name, content) = match (self.value, members.next(), members.next()) {
            (Value::String(name), ..) => (name, None),
            (_, Some((name, content)), None) => (name, Some(content)),
            (Value::Object(_), ..) => {
                return Err(Error::invalid_value(Unexpected::Map, &"an object with exactly one member"));
            }
            _ => return Err(self.is_not(&visitor)),
        };
        visitor.visit_enum(Variant { name, content, trail: self.trail })
    }

    forward_to_deserialize_any! {
        <V: Visitor<'v>>
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
        ignored_any
    }
}

struct Items<'v, 't> {
    items: std::iter::Enumerate<std::slice::Iter<'v, Value>>,
    trail: &'t Trail,
}

impl<'v> SeqAccess<'v> for Items<'v, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'v>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some((index, value)) = self.items.next() else { return Ok(None) };
        self.trail.enter(Step::Item(index));
        let item = seed.deserialize(Located { value, trail: self.trail })?;
        self.trail.leave();
        Ok(Some(item))
    }
}

struct Members<'v, 't> {
    members: serde_json::map::Iter<'v>,
    /// Of the member whose name was read last.
    value: Option<&'v Value>,
    trail: &'t Trail,
}

impl<'v> MapAccess<'v> for Members<'v, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'v>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((name, value)) = self.members.next() else { return Ok(None) };
        self.value = Some(value);
        self.trail.enter(Step::Member(name.clone()));
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'v>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let value =
            self.value.take().ok_or_else(|| Error::custom("a member's value was read before its name"))?;
        let value = seed.deserialize(Located { value, trail: self.trail })?;
        self.trail.leave();
        Ok(value)
    }
}

/// An enum's variant by its name.
struct Variant<'v, 't> {
    name: &'v str,
    content: Option<&'v Value>,
    trail: &'t Trail,
}

impl<'v> EnumAccess<'v> for Variant<'v, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'v>>(self, seed: T) -> Result<(T::Value, Self), Error> {
        let variant = seed.deserialize(BorrowedStrDeserializer::<Error>::new(self.name))?;
        self.trail.enter(Step::Member(self.name.to_owned()));
        Ok((variant, self))
    }
}

impl<'v, 't> Variant<'v, 't> {
    fn content(&self, expected: &'static str) -> Result<Located<'v, 't>, Error> {
        let value = self.content.ok_or_else(|| Error::invalid_type(Unexpected::UnitVariant, &expected))?;
        Ok(Located { value, trail: self.trail })
    }

    fn read<T>(&self, content: Result<T, Error>) -> Result<T, Error> {
        let content = content?;
        self.trail.leave();
        Ok(content)
    }
}

impl<'v> VariantAccess<'v> for Variant<'v, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        let content = match self.content {
            Some(value) => Deserialize::deserialize(Located { value, trail: self.trail }),
            None => Ok(()),
        };
        self.read(content)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'v>>(self, seed: T) -> Result<T::Value, Error> {
        let content = self.content("newtype variant")?;
        self.read(seed.deserialize(content))
    }

    fn tuple_variant<V: Visitor<'v>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        let content = self.content("tuple variant")?;
        self.read(content.deserialize_any(visitor))
    }

    fn struct_variant<V: Visitor<'v>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let content = self.content("struct variant")?;
        self.read(content.deserialize_struct("", &[], visitor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "snake_case")]
    enum Shape {
        Point,
        Circle(f64),
        Box { width: u8 },
        Pair(u8, u8),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wrapped(String);

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct All {
        shapes: Vec<Shape>,
        by_name: BTreeMap<String, Option<i64>>,
        wrapped: Option<Wrapped>,
        any: Value,
        tuple: Option<(u8, bool)>,
    }

    /// `expected`: the way to the fault, and its message.
    #[track_caller]
    fn fault(value: &Value, expected: &str) {
        let (steps, error) = read::<All>(value).unwrap_err();
        assert_eq!(format!("{}: {error}", written(&steps)), expected, "{value}");
    }

    #[test]
    fn what_serde_json_reads_is_read_alike() {
        for value in [
            json!({}),
            json!({ "shapes": ["point", { "point": null }, { "circle": 1.5 }, { "circle": 2 }, { "box": { "width": 3 } }, { "pair": [1, 2] }] }),
            json!({ "by_name": { "a": 1, "b": null, "c": -5 }, "wrapped": "text", "tuple": [1, true] }),
            json!({ "any": { "deep": [1, "two", 3.5, null, true, { "x": [] }] }, "wrapped": null }),
        ] {
            let theirs: All = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(read::<All>(&value).unwrap(), theirs, "{value}");
        }
    }

    #[test]
    fn a_fault_has_its_place() {
        let unknown = "unknown field `zz`, expected one of `shapes`, `by_name`, `wrapped`, `any`, `tuple`";
        let shapes = "expected one of `point`, `circle`, `box`, `pair`";
        for (value, expected) in [
            (json!([]), ": invalid type: sequence, expected struct All".to_owned()),
            (json!(7), ": invalid type: integer `7`, expected struct All".to_owned()),
            (json!({ "zz": 1 }), format!("zz: {unknown}")),
            (json!({ "shapes": {} }), "shapes: invalid type: map, expected a sequence".to_owned()),
            (json!({ "shapes": ["point", "line"] }), format!("shapes[1]: unknown variant `line`, {shapes}")),
            (json!({ "shapes": [{ "line": 1 }] }), format!("shapes[0]: unknown variant `line`, {shapes}")),
            (
                json!({ "shapes": ["circle"] }),
                "shapes[0].circle: invalid type: unit variant, expected newtype variant".to_owned(),
            ),
            (
                json!({ "shapes": [{ "circle": "x" }] }),
                "shapes[0].circle: invalid type: string \"x\", expected f64".to_owned(),
            ),
            (
                json!({ "shapes": [{ "box": { "width": 300 } }] }),
                "shapes[0].box.width: invalid value: integer `300`, expected u8".to_owned(),
            ),
            (
                json!({ "shapes": [{ "box": [1] }] }),
                "shapes[0].box: invalid type: sequence, expected struct variant Shape::Box".to_owned(),
            ),
            (
                json!({ "shapes": [{ "point": 1 }] }),
                "shapes[0].point: invalid type: integer `1`, expected unit".to_owned(),
            ),
            (
                json!({ "shapes": [{ "box": {}, "pair": [] }] }),
                "shapes[0]: invalid value: map, expected an object with exactly one member".to_owned(),
            ),
            (
                json!({ "shapes": [{}] }),
                "shapes[0]: invalid value: map, expected an object with exactly one member".to_owned(),
            ),
            (
                json!({ "shapes": [7] }),
                "shapes[0]: invalid type: integer `7`, expected enum Shape".to_owned(),
            ),
            (
                json!({ "by_name": { "a": 1, "b": "x" } }),
                "by_name.b: invalid type: string \"x\", expected i64".to_owned(),
            ),
            (
                json!({ "any": 1, "wrapped": 7 }),
                "wrapped: invalid type: integer `7`, expected a string".to_owned(),
            ),
        ] {
            fault(&value, &expected);
        }
    }
}
