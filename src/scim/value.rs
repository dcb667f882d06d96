//! Values of attributes: RFC 7643 section 2.

use super::date_time::{DateTime, DateTimeError};
use super::schema::{Attribute, DataType, Mutability};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// A value of an attribute, of the type that its schema says.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    String(String),
    /// `true` or `false`.
    Boolean(bool),
    /// A number without a fraction.
    Integer(i64),
    /// A number with or without a fraction.
    Decimal(f64),
    /// An instant.
    DateTime(DateTime),
    /// Octets in base64 or base64url, as they came.
    Binary(String),
    /// A URI, as it came.
    Reference(String),
    /// Sub-attributes.
    Complex(Complex),
    /// The values of a multi-valued attribute; never empty in a resource, and none of them `Many`.
    Many(Vec<Value>),
}

/// The sub-attributes of a complex value, in the order of the schema. Names are spelled as the schema does.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Complex {
    members: Vec<(Arc<str>, Value)>,
}

impl Value {
    /// The text of a string, a reference or a binary value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Binary(text) | Self::Reference(text) => Some(text),
            Self::Boolean(_)
            | Self::Integer(_)
            | Self::Decimal(_)
            | Self::DateTime(_)
            | Self::Complex(_)
            | Self::Many(_) => None,
        }
    }

    /// The value of a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Boolean(value) = self { Some(*value) } else { None }
    }

    /// The sub-attributes of a complex value.
    pub fn as_complex(&self) -> Option<&Complex> {
        if let Self::Complex(complex) = self { Some(complex) } else { None }
    }

    /// The sub-attributes of a complex value.
    pub fn as_complex_mut(&mut self) -> Option<&mut Complex> {
        if let Self::Complex(complex) = self { Some(complex) } else { None }
    }

    /// The values of a multi-valued attribute; of another, the value itself.
    pub fn items(&self) -> &[Value] {
        if let Self::Many(items) = self { items } else { std::slice::from_ref(self) }
    }

    /// The values of a multi-valued attribute; of another, the value itself.
    pub fn into_items(self) -> Vec<Value> {
        if let Self::Many(items) = self { items } else { vec![self] }
    }

    /// This value of `attribute`, from a client, in place of `before`: each single value that is as it was keeps what a client
    /// cannot set of it, such as a display name. If all are as they were it is `before`, since a list has no order (RFC 7643
    /// section 2.4).
    pub(super) fn in_place_of(self, before: &Self, attribute: &Attribute) -> Self {
        if self == *before {
            return self;
        }
        let settable = |value: &Self| -> String {
            let mut value = value.clone();
            if let Self::Complex(complex) = &mut value {
                let is_read_only = |own: &&Arc<Attribute>| own.mutability == Mutability::ReadOnly;
                attribute
                    .sub_attributes
                    .iter()
                    .filter(is_read_only)
                    .for_each(|own| drop(complex.remove(&own.name)));
            }
            value.to_json().to_string()
        };
        let mut old: BTreeMap<String, Vec<&Self>> = BTreeMap::new();
        for item in before.items() {
            old.entry(settable(item)).or_default().push(item);
        }
        let is_list = matches!(self, Self::Many(_));
        let mut all_are_old = self.items().len() == before.items().len();
        let mut items = self.into_items();
        for item in &mut items {
            match old.get_mut(&item.to_json().to_string()).and_then(Vec::pop) {
                Some(own) => *item = own.clone(),
                None => all_are_old = false,
            }
        }
        if all_are_old {
            return before.clone();
        }
        match items.pop() {
            Some(single) if !is_list => single,
            last => {
                items.extend(last);
                Self::Many(items)
            }
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> Json {
        match self {
            Self::String(text) | Self::Binary(text) | Self::Reference(text) => Json::String(text.clone()),
            Self::Boolean(value) => Json::Bool(*value),
            Self::Integer(value) => Json::from(*value),
            Self::Decimal(value) => Json::from(*value),
            Self::DateTime(value) => Json::String(value.to_string()),
            Self::Complex(complex) => complex.to_json(),
            Self::Many(items) => Json::Array(items.iter().map(Self::to_json).collect()),
        }
    }
}

impl Complex {
    /// Without sub-attributes.
    pub const fn new() -> Self {
        Self { members: Vec::new() }
    }

    /// The value of a sub-attribute, without regard to the name's case.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of a sub-attribute, without regard to the name's case.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.members.iter_mut().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Sets the value of `attribute`, at its place in `order`: the attributes among which it is defined.
    pub fn set(&mut self, order: &[Arc<Attribute>], attribute: &Attribute, value: Value) {
        if let Some(own) = self.get_mut(&attribute.name) {
            *own = value;
            return;
        }
        let rank = |name: &str| order.iter().position(|other| *other.name == *name).unwrap_or(usize::MAX);
        let rank_of_new = rank(&attribute.name);
        // Mostly they come in order, so the search begins at the end.
        let after = self.members.iter().rposition(|(own, _)| rank(own) <= rank_of_new);
        let at = after.map_or(0, |after| after.saturating_add(1));
        self.members.insert(at, (Arc::clone(&attribute.name), value));
    }

    /// Takes a sub-attribute out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.members.iter().position(|(own, _)| own.eq_ignore_ascii_case(name))?;
        Some(self.members.remove(at).1)
    }

    /// The sub-attributes, in the order of the schema.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Value)> {
        self.members.iter().map(|(name, value)| (name, value))
    }

    /// Whether there are no sub-attributes.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many sub-attributes there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// As a JSON object.
    pub fn to_json(&self) -> Json {
        Json::Object(self.iter().map(|(name, value)| (String::from(&**name), value.to_json())).collect())
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::String(text) | Self::Binary(text) | Self::Reference(text) => serializer.serialize_str(text),
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Decimal(value) => serializer.serialize_f64(*value),
            Self::DateTime(value) => serializer.collect_str(value),
            Self::Complex(complex) => complex.serialize(serializer),
            Self::Many(items) => serializer.collect_seq(items),
        }
    }
}

impl Serialize for Complex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(&**name, value)?;
        }
        map.end()
    }
}

/// What becomes of attributes that no schema has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unknown {
    /// They are an error, so that nobody believes they were kept.
    #[default]
    Refused,
    /// They are left out.
    Dropped,
}

/// What is asked of JSON beside the types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    unknown: Unknown,
    /// Whether `readOnly` attributes are kept; else they are left out.
    keeps_read_only: bool,
    /// Whether what is required, canonical or primary is checked.
    checks: Checks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checks {
    /// Nothing: it was checked when it was stored.
    None,
    /// All but what is required, since it may be there already.
    Part,
    /// All.
    Whole,
}

impl Reading {
    /// From this program, earlier: everything that the schema still has is kept.
    pub(super) const STORED: Self =
        Self { unknown: Unknown::Dropped, keeps_read_only: true, checks: Checks::None };

    /// A whole resource from a client.
    pub(super) const fn from_client(unknown: Unknown) -> Self {
        Self { unknown, keeps_read_only: false, checks: Checks::Whole }
    }

    /// A value in a PATCH, which is laid upon what is there.
    pub(super) const fn part(unknown: Unknown) -> Self {
        Self { unknown, keeps_read_only: false, checks: Checks::Part }
    }
}

/// Where in a body: built only if there is a fault to report.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'p> {
    /// The body itself.
    Root,
    /// An extension's object.
    Extension(&'p str),
    /// A member.
    Member(&'p Place<'p>, &'p str),
    /// An item, counted from 0.
    Item(&'p Place<'p>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Extension(urn) => f.write_str(urn),
            Self::Member(Self::Root, name) => f.write_str(name),
            Self::Member(extension @ Self::Extension(_), name) => write!(f, "{extension}:{name}"),
            Self::Member(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// Why JSON is no value of an attribute. Places are paths, as in `emails[2].value`, counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Another type of JSON.
    #[error("{place}: expected {expected}, but found {found}")]
    WrongType {
        /// Where.
        place: String,
        /// `a string`, `an array`, ….
        expected: &'static str,
        /// `a number`, ….
        found: &'static str,
    },
    /// Not a date.
    #[error("{place}: {reason}")]
    BadDate {
        /// Where.
        place: String,
        /// What was expected.
        reason: DateTimeError,
    },
    /// Not base64.
    #[error("{place}: expected base64")]
    BadBase64 {
        /// Where.
        place: String,
    },
    /// Not one of the canonical values, where only those are accepted.
    #[error("{place}: expected one of {expected:?}, but found {found:?}")]
    NotCanonical {
        /// Where.
        place: String,
        /// The canonical values.
        expected: Vec<String>,
        /// The value.
        found: String,
    },
    /// No schema has it.
    #[error("{place}: expected an attribute of the resource type, but found an unknown one")]
    UnknownAttribute {
        /// Where.
        place: String,
    },
    /// Two members whose names differ only in case.
    #[error("{place}: expected each attribute once, but found it twice")]
    Twice {
        /// Where.
        place: String,
    },
    /// A required attribute or sub-attribute has no value.
    #[error("{place}: expected a value, since it is required, but found none")]
    Missing {
        /// Where.
        place: String,
    },
    /// More than one value is primary (RFC 7643 section 2.4).
    #[error("{place}: expected at most one primary value, but found more")]
    TwoPrimaries {
        /// Where.
        place: String,
    },
}

impl Value {
    /// Reads what `attribute` shall have, from a configuration; `None` if that is nothing. What a client cannot set is left out.
    ///
    /// # Errors
    /// [`ValueError`].
    pub fn parse(attribute: &Attribute, json: &Json) -> Result<Option<Self>, ValueError> {
        let place = Place::Member(&Place::Root, &attribute.name);
        Self::read(attribute, json, &place, Reading::from_client(Unknown::Refused))
    }

    /// Reads a value of `attribute`; for a multi-valued one, all of them. `None` if it is unassigned (RFC 7643 section
    /// 2.5): `null`, an empty array, or an object without any sub-attribute that has a value.
    pub(super) fn read(
        attribute: &Attribute,
        json: &Json,
        place: &Place<'_>,
        reading: Reading,
    ) -> Result<Option<Self>, ValueError> {
        if !attribute.multi_valued || json.is_null() {
            return Self::read_one(attribute, json, place, reading);
        }
        let items = json.as_array().ok_or_else(|| wrong_type(place, "an array", json))?;
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            values.extend(Self::read_one(attribute, item, &Place::Item(place, index), reading)?);
        }
        if reading.checks != Checks::None && values.iter().filter(|value| value.is_primary()).nth(1).is_some()
        {
            return Err(ValueError::TwoPrimaries { place: place.to_string() });
        }
        Ok(if values.is_empty() { None } else { Some(Self::Many(values)) })
    }

    /// Reads one value, of a multi-valued attribute too.
    pub(super) fn read_one(
        attribute: &Attribute,
        json: &Json,
        place: &Place<'_>,
        reading: Reading,
    ) -> Result<Option<Self>, ValueError> {
        if json.is_null() {
            return Ok(None);
        }
        let text = || json.as_str().ok_or_else(|| wrong_type(place, "a string", json));
        let value = match attribute.data_type {
            DataType::String => Self::String(text()?.to_owned()),
            DataType::Reference => Self::Reference(text()?.to_owned()),
            DataType::Binary if is_base64(text()?) => Self::Binary(text()?.to_owned()),
            DataType::Binary => return Err(ValueError::BadBase64 { place: place.to_string() }),
            DataType::DateTime => Self::DateTime(
                DateTime::parse(text()?)
                    .map_err(|reason| ValueError::BadDate { place: place.to_string(), reason })?,
            ),
            DataType::Boolean => {
                Self::Boolean(json.as_bool().ok_or_else(|| wrong_type(place, "true or false", json))?)
            }
            DataType::Integer => {
                Self::Integer(json.as_i64().ok_or_else(|| wrong_type(place, "an integer", json))?)
            }
            DataType::Decimal => {
                Self::Decimal(json.as_f64().ok_or_else(|| wrong_type(place, "a number", json))?)
            }
            DataType::Complex => {
                let complex = Complex::read(&attribute.sub_attributes, json, place, reading)?;
                return Ok(if complex.is_empty() { None } else { Some(Self::Complex(complex)) });
            }
        };
        if attribute.canonical_values_only && reading.checks != Checks::None {
            check_canonical(attribute, &value, place)?;
        }
        Ok(Some(value))
    }

    /// The values of an attribute such as `members`, each once by its sub-attribute `value`, which each must have.
    pub(super) fn into_members(self, path: &str) -> Result<Vec<Complex>, ValueError> {
        let mut seen = HashSet::new();
        let mut members = Vec::new();
        for (index, item) in self.into_items().into_iter().enumerate() {
            let value = item.as_complex().and_then(|complex| complex.get(VALUE)).and_then(Self::as_str);
            let value = value.filter(|value| !value.is_empty()).map(str::to_owned);
            let value =
                value.ok_or_else(|| ValueError::Missing { place: format!("{path}[{index}].{VALUE}") })?;
            if let (Self::Complex(complex), true) = (item, seen.insert(value)) {
                members.push(complex);
            }
        }
        Ok(members)
    }

    /// Whether it is a complex value with `primary` true.
    pub(super) fn is_primary(&self) -> bool {
        self.as_complex().and_then(|complex| complex.get(PRIMARY)).and_then(Self::as_bool) == Some(true)
    }

    /// Whether it is a text that says nothing: no value where one is required (RFC 7643 section 4.1.1, `userName`).
    pub(super) fn is_blank(&self) -> bool {
        self.as_str().is_some_and(|text| text.trim().is_empty())
    }
}

/// The sub-attribute that at most one value of an attribute has as true (RFC 7643 section 2.4).
pub(super) const PRIMARY: &str = "primary";
/// The sub-attribute that says what a complex value is (RFC 7643 section 2.4).
pub(super) const VALUE: &str = "value";

impl Complex {
    /// Reads the object of the attributes `order`.
    pub(super) fn read(
        order: &[Arc<Attribute>],
        json: &Json,
        place: &Place<'_>,
        reading: Reading,
    ) -> Result<Self, ValueError> {
        let members = json.as_object().ok_or_else(|| wrong_type(place, "an object", json))?;
        Self::read_members(order, members.iter(), place, reading)
    }

    /// Reads members of an object, those of the attributes `order`.
    pub(super) fn read_members<'j>(
        order: &[Arc<Attribute>],
        members: impl Iterator<Item = (&'j String, &'j Json)>,
        place: &Place<'_>,
        reading: Reading,
    ) -> Result<Self, ValueError> {
        // With the place in `order`, by which they are put in order once at the end.
        let mut found: Vec<(usize, Arc<str>, Value)> = Vec::new();
        let mut seen: Vec<usize> = Vec::new();
        for (name, json) in members {
            let mut own = order.iter().enumerate();
            let Some((rank, attribute)) = own.find(|(_, own)| own.name.eq_ignore_ascii_case(name)) else {
                if reading.unknown == Unknown::Dropped {
                    continue;
                }
                return Err(ValueError::UnknownAttribute { place: Place::Member(place, name).to_string() });
            };
            let place = Place::Member(place, &attribute.name);
            if seen.contains(&rank) {
                return Err(ValueError::Twice { place: place.to_string() });
            }
            seen.push(rank);
            if attribute.mutability == Mutability::ReadOnly && !reading.keeps_read_only {
                continue;
            }
            if let Some(value) = Value::read(attribute, json, &place, reading)? {
                found.push((rank, Arc::clone(&attribute.name), value));
            }
        }
        found.sort_unstable_by_key(|(rank, _, _)| *rank);
        let complex = Self { members: found.into_iter().map(|(_, name, value)| (name, value)).collect() };
        // An object of nothing is no value, so that it lacks nothing.
        if reading.checks == Checks::Whole && !complex.is_empty() {
            complex.check_required(order, place)?;
        }
        Ok(complex)
    }

    /// Whether every attribute that a client must give is there.
    pub(super) fn check_required(
        &self,
        order: &[Arc<Attribute>],
        place: &Place<'_>,
    ) -> Result<(), ValueError> {
        for attribute in order {
            let must_be_given = attribute.required && attribute.mutability != Mutability::ReadOnly;
            if must_be_given && self.get(&attribute.name).is_none_or(Value::is_blank) {
                return Err(ValueError::Missing { place: Place::Member(place, &attribute.name).to_string() });
            }
        }
        Ok(())
    }
}

fn check_canonical(attribute: &Attribute, value: &Value, place: &Place<'_>) -> Result<(), ValueError> {
    match value.as_str() {
        Some(text) if !attribute.canonical_values.iter().any(|own| attribute.same_text(own, text)) => {
            Err(ValueError::NotCanonical {
                place: place.to_string(),
                expected: attribute.canonical_values.clone(),
                found: text.to_owned(),
            })
        }
        _ => Ok(()),
    }
}

pub(super) fn wrong_type(place: &Place<'_>, expected: &'static str, json: &Json) -> ValueError {
    let found = match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    };
    ValueError::WrongType { place: place.to_string(), expected, found }
}

/// RFC 4648 sections 4 and 5: either alphabet, padding or none (RFC 7643 section 2.3.6).
fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let padding = text.len().saturating_sub(body.len());
    let of_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
    padding <= 2 && body.len() % 4 != 1 && body.bytes().all(of_alphabet)
}

#[cfg(test)]
mod tests {
    use super::super::tests::user;
    use super::*;
    use serde_json::json;

    fn check(path: &str, json: Json, expected: Result<Option<Json>, ValueError>) {
        let attribute = user().find(path).unwrap();
        let place = Place::Member(&Place::Root, &attribute.attribute().name);
        let reading = Reading::from_client(Unknown::Refused);
        let found = Value::read(attribute.definition(), &json, &place, reading);
        assert_eq!(found.map(|value| value.map(|value| value.to_json())), expected, "{path} {json}");
    }

    #[test]
    fn what_is_unassigned_is_none() {
        check("emails", json!(null), Ok(None));
        check("emails", json!([]), Ok(None));
        check("emails", json!([null, {}]), Ok(None));
        check("name", json!({"familyName": null}), Ok(None));
        check("userName", json!(null), Ok(None));
    }

    #[test]
    fn names_are_spelled_and_ordered_as_in_the_schema() {
        let attribute = user().find("name").unwrap();
        let json = json!({"GIVENNAME": "B", "familyname": "J", "Formatted": "B J"});
        let reading = Reading::from_client(Unknown::Refused);
        let value = Value::read(attribute.definition(), &json, &Place::Root, reading).unwrap().unwrap();
        let expected = r#"{"formatted":"B J","familyName":"J","givenName":"B"}"#;
        assert_eq!(serde_json::to_string(&value).unwrap(), expected);
    }

    #[test]
    fn types_are_checked_with_their_place() {
        let wrong = |place: &str, expected, found| {
            Err(ValueError::WrongType { place: place.to_owned(), expected, found })
        };
        check("userName", json!(1), wrong("userName", "a string", "a number"));
        check("active", json!("true"), wrong("active", "true or false", "a string"));
        check("emails", json!({"value": "x"}), wrong("emails", "an array", "an object"));
        check("emails", json!(["x"]), wrong("emails[0]", "an object", "a string"));
        check("emails", json!([{"value": []}]), wrong("emails[0].value", "a string", "an array"));
        let unknown = ValueError::UnknownAttribute { place: "emails[1].vaule".into() };
        check("emails", json!([{"value": "x"}, {"vaule": "x"}]), Err(unknown));
        let twice = ValueError::Twice { place: "name.givenName".into() };
        check("name", json!({"givenName": "a", "GivenName": "b"}), Err(twice));
        let primaries = ValueError::TwoPrimaries { place: "emails".into() };
        check("emails", json!([{"primary": true}, {"primary": true}]), Err(primaries));
        let place = "meta".to_owned();
        let reason = DateTimeError::Malformed("now".into());
        check("meta.created", json!("now"), Err(ValueError::BadDate { place, reason }));
    }

    #[test]
    fn binary_values_are_base64_of_either_alphabet() {
        for text in ["", "QQ==", "QQ", "QUI=", "-_8", "+/8="] {
            check("x509Certificates.value", json!(text), Ok(Some(json!(text))));
        }
        for text in ["Q", "QQ===", "Q Q=", "Q=Q="] {
            let place = "x509Certificates".to_owned();
            check("x509Certificates.value", json!(text), Err(ValueError::BadBase64 { place }));
        }
    }

    #[test]
    fn canonical_values_bind_only_where_the_schema_says_so() {
        check("emails.type", json!("private"), Ok(Some(json!("private"))));
        let mut attribute = Attribute::new("type", DataType::String);
        attribute.canonical_values = vec!["work".into(), "home".into()];
        attribute.canonical_values_only = true;
        let read = |text: &str| {
            Value::read(&attribute, &json!(text), &Place::Root, Reading::from_client(Unknown::Refused))
        };
        assert!(read("WORK").is_ok());
        assert!(matches!(read("private"), Err(ValueError::NotCanonical { .. })));
    }
}
