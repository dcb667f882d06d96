//! The members of a large group, as JSON that is made while it is sent.
//!
//! They are read together, as of one moment, and no connection of the database is held while a client takes its time; but their text,
//! which is several times as long, is never in memory as a whole.

use crate::repository::Member;
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// How many members are made into text at once.
const PART: usize = 500;

/// A reference to a resource, as an element of `members` or `groups`.
#[derive(Serialize)]
pub(super) struct Reference<'r> {
    pub(super) value: &'r str,
    #[serde(rename = "$ref", skip_serializing_if = "Option::is_none")]
    pub(super) reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) display: Option<&'r str>,
    #[serde(rename = "type")]
    pub(super) kind: &'r str,
}

/// What follows the beginning of a body, part by part.
#[derive(Clone, PartialEq, Eq)]
pub struct Rest {
    members: Arc<[Member]>,
    /// The URLs of the endpoints, with a slash at their end, by the names of resource types.
    endpoints: HashMap<String, String>,
    next: usize,
    /// What comes after the members.
    end: Option<String>,
}

impl Rest {
    pub(super) fn new(members: Vec<Member>, endpoints: HashMap<String, String>, end: String) -> Self {
        Self { members: members.into(), endpoints, next: 0, end: Some(end) }
    }
}

impl Iterator for Rest {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let part = self.members.get(self.next..).unwrap_or_default();
        let part = part.get(..PART).unwrap_or(part);
        if part.is_empty() {
            return self.end.take().map(String::into_bytes);
        }
        let mut text = Vec::new();
        for member in part {
            if self.next > 0 {
                text.push(b',');
            }
            self.next = self.next.saturating_add(1);
            let endpoint = self.endpoints.get(&member.resource_type);
            let reference = Reference {
                value: &member.id,
                reference: endpoint.map(|endpoint| format!("{endpoint}{}", member.id)),
                display: member.label.as_deref(),
                kind: &member.resource_type,
            };
            // Texts alone: nothing that could fail.
            let _ = serde_json::to_writer(&mut text, &reference);
        }
        Some(text)
    }
}

impl fmt::Debug for Rest {
    /// How much there is: members are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rest of ")?;
        write!(f, "{} members", self.members.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(count: usize) -> (String, usize) {
        let member = |number: usize| Member {
            id: format!("id-{number}"),
            resource_type: if number == 1 { "Unknown" } else { "User" }.to_owned(),
            label: (number == 0).then(|| "a \"b\"".to_owned()),
        };
        let endpoints = HashMap::from([("User".to_owned(), "https://x/Users/".to_owned())]);
        let rest = Rest::new((0..count).map(member).collect(), endpoints, "]}".to_owned());
        assert!(!format!("{rest:?}").contains("id-"));
        let parts: Vec<Vec<u8>> = rest.collect();
        (String::from_utf8(parts.concat()).unwrap(), parts.len())
    }

    #[test]
    fn parts_come_to_the_whole() {
        let expected = concat!(
            r#"{"value":"id-0","$ref":"https://x/Users/id-0","display":"a \"b\"","type":"User"},"#,
            r#"{"value":"id-1","type":"Unknown"}]}"#
        );
        assert_eq!(text(2), (expected.to_owned(), 2));
        assert_eq!(text(0), ("]}".to_owned(), 1));
        for (count, parts) in [(PART, 2), (PART + 1, 3), (3 * PART, 4)] {
            let (text, found) = text(count);
            assert_eq!(found, parts);
            let whole: serde_json::Value = serde_json::from_str(&format!("{{\"members\":[{text}")).unwrap();
            assert_eq!(whole["members"].as_array().unwrap().len(), count);
        }
    }
}
