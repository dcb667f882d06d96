//! The values of a multi-valued attribute: which of them are the same, and at most one that is primary.

use super::Fixed;
use crate::scim::caseless::fold_case;
use crate::scim::schema::{Attribute, Mutability};
use crate::scim::value::{Complex, PRIMARY, VALUE, Value};
use std::collections::HashMap;

/// Values, found by what makes them the same. That is the sub-attribute `value`, told apart by `type` where both values have
/// one (RFC 7643 section 2.4); or else all of the value.
pub(super) struct Items<'a> {
    attribute: &'a Attribute,
    values: Vec<Value>,
    places: HashMap<Key, Vec<usize>>,
}

/// Equal for values that may be the same.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    /// The text that the value is, or its sub-attribute `value`; folded if case does not count.
    Text(String),
    /// All of it, as JSON.
    Whole(String),
}

const TYPE: &str = "type";

impl<'a> Items<'a> {
    pub(super) fn new(attribute: &'a Attribute, values: Vec<Value>) -> Self {
        let mut items = Self { attribute, values: Vec::new(), places: HashMap::new() };
        values.into_iter().for_each(|value| items.push(value));
        items
    }

    pub(super) fn into_values(self) -> Vec<Value> {
        self.values
    }

    /// Adds a value, or what it says more than one that is there. Returns its place.
    pub(super) fn add(&mut self, value: Value) -> Result<usize, Fixed> {
        let Some(place) = self.place_of(&value) else {
            self.push(value);
            return Ok(self.values.len().saturating_sub(1));
        };
        if let (Some(own), Value::Complex(new)) =
            (self.values.get_mut(place).and_then(Value::as_complex_mut), value)
        {
            merge(self.attribute, own, &new)?;
        }
        Ok(place)
    }

    /// Whether one of the values is the same as this one.
    pub(super) fn contain(&self, value: &Value) -> bool {
        self.place_of(value).is_some()
    }

    fn push(&mut self, value: Value) {
        self.places.entry(self.key(&value)).or_default().push(self.values.len());
        self.values.push(value);
    }

    fn place_of(&self, value: &Value) -> Option<usize> {
        let places = self.places.get(&self.key(value))?;
        places.iter().copied().find(|place| self.values.get(*place).is_some_and(|own| self.fits(own, value)))
    }

    fn key(&self, value: &Value) -> Key {
        let fold = |attribute: &Attribute, text: &str| {
            Key::Text(if attribute.case_exact { text.to_owned() } else { fold_case(text) })
        };
        let (definition, text) = match value.as_complex() {
            None => (Some(self.attribute), value.as_str()),
            Some(complex) => (
                self.attribute.sub_attribute(VALUE).map(|definition| &**definition),
                complex.get(VALUE).and_then(Value::as_str),
            ),
        };
        match definition.zip(text) {
            Some((definition, text)) => fold(definition, text),
            None => Key::Whole(value.to_json().to_string()),
        }
    }

    /// Whether two values of the same key are of the same type, as far as both say it. Where `value` can be set only once, as that
    /// of a member, it alone says what the value is.
    fn fits(&self, one: &Value, other: &Value) -> bool {
        let (Some(one), Some(other)) = (one.as_complex(), other.as_complex()) else { return true };
        let value = self.attribute.sub_attribute(VALUE);
        if value.is_some_and(|value| value.mutability == Mutability::Immutable) {
            return true;
        }
        let text = |complex: &'_ Complex| complex.get(TYPE).and_then(Value::as_str).map(str::to_owned);
        match (self.attribute.sub_attribute(TYPE), text(one), text(other)) {
            (Some(definition), Some(one), Some(other)) => definition.same_text(&one, &other),
            _ => true,
        }
    }
}

/// Lays the sub-attributes of `new` upon `own`. One that differs in case alone, where case does not count, is what is there.
pub(super) fn merge(attribute: &Attribute, own: &mut Complex, new: &Complex) -> Result<(), Fixed> {
    for definition in &attribute.sub_attributes {
        let Some(value) = new.get(&definition.name) else { continue };
        let value = &joined(definition, own.get(&definition.name), value)?;
        let is_same = match own.get(&definition.name) {
            None => false,
            Some(before) => match (before.as_str(), value.as_str()) {
                (Some(before), Some(value)) => definition.same_text(before, value),
                _ => before == value,
            },
        };
        if is_same {
            continue;
        }
        if definition.mutability == Mutability::Immutable && own.get(&definition.name).is_some() {
            return Err(Fixed::Immutable);
        }
        own.set(&attribute.sub_attributes, definition, value.clone());
    }
    Ok(())
}

/// The values `new` beside those that are there; of an attribute with a single value, `new`.
pub(super) fn joined(definition: &Attribute, before: Option<&Value>, new: &Value) -> Result<Value, Fixed> {
    let (Some(before), true) = (before, definition.multi_valued) else { return Ok(new.clone()) };
    let mut items = Items::new(definition, before.items().to_vec());
    for value in new.items() {
        items.add(value.clone())?;
    }
    Ok(Value::Many(items.into_values()))
}

/// More than one value was made primary at once.
pub(super) struct TwoPrimaries;

/// Where one of the values at `changed` is primary, takes it from all others (RFC 7644 section 3.5.2).
pub(super) fn settle_primary(values: &mut [Value], changed: &[usize]) -> Result<(), TwoPrimaries> {
    let is_primary = |place: &usize| values.get(*place).is_some_and(Value::is_primary);
    let mut primaries: Vec<usize> = changed.iter().copied().filter(|place| is_primary(place)).collect();
    primaries.sort_unstable();
    primaries.dedup();
    let keeps = match primaries.as_slice() {
        [] => return Ok(()),
        [one] => *one,
        [_, _, ..] => return Err(TwoPrimaries),
    };
    let others = values.iter_mut().enumerate().filter(|(place, _)| *place != keeps);
    for (_, value) in others {
        let primary = value.as_complex_mut().and_then(|complex| complex.get_mut(PRIMARY));
        if let Some(primary) = primary.filter(|primary| primary.as_bool() == Some(true)) {
            *primary = Value::Boolean(false);
        }
    }
    Ok(())
}
