//! What is asked, as whole requests in octets.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Members of the groups that one member goes in and out of.
pub(super) const GROUPS: [usize; 3] = [10, 2_000, 100_000];

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Case {
    Create,
    Get,
    UserName,
    ExternalId,
    Email,
    List,
    /// One member in and out of a group of so many.
    Member(usize),
}

impl Case {
    /// Of everything but groups.
    pub(super) const USERS: [Self; 6] =
        [Self::Create, Self::Get, Self::UserName, Self::ExternalId, Self::Email, Self::List];

    pub(super) fn title(self) -> String {
        match self {
            Self::Create => "create".to_owned(),
            Self::Get => "GET by id".to_owned(),
            Self::UserName => "`userName eq`".to_owned(),
            Self::ExternalId => "`externalId eq`".to_owned(),
            Self::Email => "`emails[type eq \"work\"].value eq`".to_owned(),
            Self::List => "list of 100".to_owned(),
            Self::Member(members) => format!("PATCH, one member, group of {}", thousands(members)),
        }
    }
}

/// `100,000`.
pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// How requests of one server begin.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// What paths begin with.
    pub(super) base: String,
    pub(super) token: String,
}

impl Caller {
    pub(super) fn get(&self, target: &str) -> Vec<u8> {
        self.request("GET", target, "")
    }

    pub(super) fn send(&self, method: &str, target: &str, body: &Value) -> Vec<u8> {
        self.request(method, target, &body.to_string())
    }

    fn request(&self, method: &str, target: &str, body: &str) -> Vec<u8> {
        let Self { base, token } = self;
        let content = match body.len() {
            0 => String::new(),
            length => format!("Content-Type: application/scim+json\r\nContent-Length: {length}\r\n"),
        };
        format!(
            "{method} {base}{target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\
             Accept: application/scim+json\r\n{content}\r\n{body}"
        )
        .into_bytes()
    }

    /// Asks for the user of this number, by a filter.
    pub(super) fn find(&self, case: Case, number: usize) -> Vec<u8> {
        let filter = match case {
            Case::ExternalId => format!("externalId%20eq%20%22ext-{number}%22"),
            Case::Email => {
                format!("emails%5Btype%20eq%20%22work%22%5D.value%20eq%20%22user-{number}%40example.com%22")
            }
            Case::UserName | Case::Create | Case::Get | Case::List | Case::Member(_) => {
                format!("userName%20eq%20%22user-{number}%40example.com%22")
            }
        };
        self.get(&format!("/Users?filter={filter}"))
    }
}

/// A user as providers send it.
pub(super) fn user(number: usize) -> Value {
    let mail = format!("user-{number}@example.com");
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": mail, "externalId": format!("ext-{number}"), "active": true,
        "displayName": format!("User {number}"),
        "name": { "givenName": "User", "familyName": format!("Number {number}") },
        "emails": [{ "value": mail, "type": "work", "primary": true }],
        "title": "Engineer", "locale": "en-US",
    })
}

/// A group without members.
pub(super) fn group(name: &str) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name })
}

pub(super) fn add<'i>(ids: impl IntoIterator<Item = &'i String>) -> Value {
    let members: Vec<Value> = ids.into_iter().map(|id| json!({ "value": id })).collect();
    patch(&json!({ "op": "add", "path": "members", "value": members }))
}

pub(super) fn remove(id: &str) -> Value {
    patch(&json!({ "op": "remove", "path": format!("members[value eq \"{id}\"]") }))
}

fn patch(operation: &Value) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([7, 1_000, 100_000].map(thousands), ["7", "1,000", "100,000"]);
    }

    #[test]
    fn requests_are_whole() {
        let caller = Caller { base: "/scim".to_owned(), token: "t".to_owned() };
        let text = String::from_utf8(caller.send("POST", "/Users", &json!({}))).unwrap();
        let expected = "POST /scim/Users HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer t\r\n\
                        Accept: application/scim+json\r\nContent-Type: application/scim+json\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(text, expected);
        assert!(String::from_utf8(caller.get("/Users")).unwrap().ends_with("scim+json\r\n\r\n"));
    }
}
