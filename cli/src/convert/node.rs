//! An object of the input that knows which of its members were read, so that none can be dropped in silence.

use super::note::Notes;
use serde_json::{Map, Value};

const NO_COUNTERPART: &str = "has no counterpart";

/// An object, with its place in the input. End with [`Node::finish`].
pub(super) struct Node {
    pub(super) path: String,
    members: Map<String, Value>,
}

impl Node {
    /// The object at `path`; anything else is noted.
    pub(super) fn new(path: &str, value: Value, notes: &mut Notes) -> Option<Self> {
        match value {
            Value::Object(members) => Some(Self { path: path.to_owned(), members }),
            Value::Null => Some(Self { path: path.to_owned(), members: Map::new() }),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                notes.not_converted(path, "expected an object");
                None
            }
        }
    }

    /// The place of a member.
    pub(super) fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Takes a member, which protobuf's JSON writes in snake or in camel case.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let found = self.members.remove(name).or_else(|| self.members.remove(&camel_case(name)));
        found.filter(|value| !value.is_null())
    }

    /// Whether a member is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name) || self.members.contains_key(&camel_case(name))
    }

    pub(super) fn string(&mut self, name: &str, notes: &mut Notes) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            other
            @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                self.unread(name, &other, "a string", notes);
                None
            }
        }
    }

    pub(super) fn flag(&mut self, name: &str, notes: &mut Notes) -> bool {
        match self.take(name) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(other) => {
                self.unread(name, &other, "true or false", notes);
                false
            }
        }
    }

    pub(super) fn object(&mut self, name: &str, notes: &mut Notes) -> Option<Self> {
        let value = self.take(name)?;
        Self::new(&self.at(name), value, notes)
    }

    /// The items of a list, each with its place.
    pub(super) fn items(&mut self, name: &str, notes: &mut Notes) -> Vec<(String, Value)> {
        let at = self.at(name);
        match self.take(name) {
            None => Vec::new(),
            Some(Value::Array(items)) => {
                items.into_iter().enumerate().map(|(index, item)| (format!("{at}[{index}]"), item)).collect()
            }
            Some(other) => {
                self.unread(name, &other, "a list", notes);
                Vec::new()
            }
        }
    }

    pub(super) fn objects(&mut self, name: &str, notes: &mut Notes) -> Vec<Self> {
        let items = self.items(name, notes);
        items.into_iter().filter_map(|(path, value)| Self::new(&path, value, notes)).collect()
    }

    pub(super) fn strings(&mut self, name: &str, notes: &mut Notes) -> Vec<String> {
        let mut texts = Vec::new();
        for (path, item) in self.items(name, notes) {
            match item {
                Value::String(text) => texts.push(text),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    notes.not_converted(&path, "expected a string");
                }
            }
        }
        texts
    }

    /// Every member that is left, by name.
    pub(super) fn take_all(&mut self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.members).into_iter().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Drops members that say nothing about requests.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.take(name);
        }
    }

    /// Notes that a member was not read, and why.
    pub(super) fn refuse(&mut self, name: &str, why: &str, notes: &mut Notes) {
        if self.take(name).is_some() {
            notes.not_converted(&self.at(name), why);
        }
    }

    /// Notes members that limit nothing, and have no counterpart.
    pub(super) fn leave_out(&mut self, names: &[&str], notes: &mut Notes) {
        for name in names {
            if self.take(name).is_some() {
                notes.left_out(&self.at(name), NO_COUNTERPART);
            }
        }
    }

    /// Notes every member that nobody took.
    pub(super) fn finish(self, notes: &mut Notes) {
        for (name, value) in &self.members {
            if !value.is_null() {
                notes.not_converted(&self.at(name), NO_COUNTERPART);
            }
        }
    }

    fn unread(&self, name: &str, found: &Value, expected: &str, notes: &mut Notes) {
        let kind = match found {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        notes.not_converted(&self.at(name), format!("expected {expected}, but found {kind}"));
    }
}

fn camel_case(name: &str) -> String {
    let mut camel = String::new();
    for (index, word) in name.split('_').enumerate() {
        let mut letters = word.chars();
        match letters.next() {
            Some(first) if index > 0 => camel.push(first.to_ascii_uppercase()),
            Some(first) => camel.push(first),
            None => {}
        }
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_nobody_takes_is_noted() {
        let mut notes = Notes::default();
        let value = json!({"remoteJwks": {"a": 1}, "left": 2, "none": null, "text": 3});
        let mut node = Node::new("p", value, &mut notes).unwrap();
        let inner = node.object("remote_jwks", &mut notes).unwrap();
        assert_eq!(inner.path, "p.remote_jwks");
        inner.finish(&mut notes);
        assert_eq!(node.string("text", &mut notes), None);
        node.finish(&mut notes);
        let notes: Vec<_> = notes.iter().map(ToString::to_string).collect();
        let expected = [
            "not converted: p.remote_jwks.a: has no counterpart",
            "not converted: p.text: expected a string, but found a number",
            "not converted: p.left: has no counterpart",
        ];
        assert_eq!(notes, expected);
    }
}
