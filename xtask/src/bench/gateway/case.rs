//! What is sent.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// One kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Case {
    Filter,
    Get,
    Patch,
    SoftenedPatch,
    Create,
}

/// Whom a call is for, and by what way.
pub(super) struct Way<'w> {
    pub(super) addr: SocketAddr,
    pub(super) base: String,
    pub(super) token: &'w str,
}

impl Case {
    pub(super) const ALL: [Self; 5] =
        [Self::Filter, Self::Get, Self::Patch, Self::SoftenedPatch, Self::Create];

    /// What people read.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Filter => "GET, `userName eq`",
            Self::Get => "GET by id",
            Self::Patch => "PATCH of 2 KB",
            Self::SoftenedPatch => "PATCH of 2 KB, profile `entra`",
            Self::Create => "POST of 1 KB",
        }
    }

    /// Whose profile it is sent by: tenants are called as their profiles.
    pub(super) fn tenant(self) -> &'static str {
        match self {
            Self::SoftenedPatch => "entra",
            Self::Filter | Self::Get | Self::Patch | Self::Create => "rfc",
        }
    }

    /// What the gateway may add, in µs of CPU, where there is an aim.
    pub(super) fn aim(self) -> Option<f64> {
        match self {
            Self::Filter => Some(60.0),
            Self::Patch => Some(150.0),
            Self::Get | Self::SoftenedPatch | Self::Create => None,
        }
    }

    /// The request as it goes over the wire; `id` is that of a user of the tenant.
    pub(super) fn bytes(self, way: &Way<'_>, id: &str) -> Vec<u8> {
        let (method, path, body) = match self {
            Self::Filter => {
                ("GET", "/Users?filter=userName%20eq%20%22bench%40example.com%22".to_owned(), None)
            }
            Self::Get => ("GET", format!("/Users/{id}"), None),
            Self::Patch => ("PATCH", format!("/Users/{id}"), Some(patch(&json!(true)))),
            Self::SoftenedPatch => ("PATCH", format!("/Users/{id}"), Some(patch(&json!("True")))),
            Self::Create => ("POST", "/Users".to_owned(), Some(user("user-NNNNNNNNNNNNNNNN@example.com"))),
        };
        let Way { addr, base, token } = way;
        let mut text = format!(
            "{method} {base}{path} HTTP/1.1\r\nHost: {addr}\r\nUser-Agent: example/1.0\r\nAccept: application/scim+json\r\n\
             Authorization: Bearer {token}\r\n"
        );
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        if !body.is_empty() {
            text += &format!("Content-Type: application/scim+json\r\nContent-Length: {}\r\n", body.len());
        }
        text += "\r\n";
        text += &body;
        text.into_bytes()
    }
}

/// A user of about 1 KB.
pub(super) fn user(name: &str) -> Value {
    json!({
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        ],
        "userName": name,
        "name": { "givenName": "Barbara", "familyName": "Jensen", "formatted": "Ms. Barbara J Jensen, III" },
        "displayName": "Babs Jensen",
        "title": "Tour Guide",
        "active": true,
        "preferredLanguage": "en-US",
        "emails": [
            { "value": "bjensen@example.com", "type": "work", "primary": true },
            { "value": "babs@jensen.org", "type": "home" },
        ],
        "addresses": [{
            "type": "work", "streetAddress": "100 Universal City Plaza", "locality": "Hollywood", "region": "CA",
            "postalCode": "91608", "country": "US", "formatted": "100 Universal City Plaza\nHollywood, CA 91608 USA",
        }],
        "phoneNumbers": [{ "value": "555-555-5555", "type": "work" }],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
            "employeeNumber": "701984", "costCenter": "4130", "organization": "Universal Studios",
            "division": "Theme Park", "department": "Tour Operations",
        },
    })
}

/// Operations of 2 KB: what a provider sends that says all of a user again.
fn patch(active: &Value) -> Value {
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let mut operations = vec![json!({ "op": "replace", "path": "active", "value": active })];
    let texts = [
        ("displayName", "Babs Jensen"),
        ("title", "Tour Guide"),
        ("preferredLanguage", "en-US"),
        ("locale", "en-US"),
        ("timezone", "America/Los_Angeles"),
        ("nickName", "Babs"),
        ("userType", "Employee"),
        ("name.givenName", "Barbara"),
        ("name.familyName", "Jensen"),
        ("name.formatted", "Ms. Barbara J Jensen, III"),
        ("emails[type eq \"work\"].value", "bjensen@example.com"),
        ("emails[type eq \"home\"].value", "babs@jensen.org"),
        ("phoneNumbers[type eq \"work\"].value", "555-555-5555"),
        ("addresses[type eq \"work\"].streetAddress", "100 Universal City Plaza"),
        ("addresses[type eq \"work\"].locality", "Hollywood"),
        ("addresses[type eq \"work\"].region", "CA"),
        ("addresses[type eq \"work\"].postalCode", "91608"),
    ];
    operations.extend(texts.map(|(path, value)| json!({ "op": "replace", "path": path, "value": value })));
    for name in ["employeeNumber", "costCenter", "organization", "division", "department"] {
        operations.push(json!({ "op": "replace", "path": format!("{enterprise}:{name}"), "value": "4130" }));
    }
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_as_large_as_is_said() {
        let length = |body: Value| body.to_string().len();
        assert!((1_800..2_300).contains(&length(patch(&json!(true)))), "{}", length(patch(&json!(true))));
        assert!((850..1_300).contains(&length(user("a"))), "{}", length(user("a")));
    }
}
