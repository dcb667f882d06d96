//! Roles, and the groups whose members have them: what a grant says, without IO.

use doorward::scim::fold_case;
use serde::{Deserialize, Serialize};

/// The longest name of a role, in characters.
const MAX_ROLE: usize = 128;
/// The longest name of a group, in bytes: it is part of a key, and may become longer when it is folded.
const MAX_GROUP: usize = 512;

/// Which groups, by what they are known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GroupKey {
    /// By their name; case does not count.
    DisplayName(String),
    /// By what the identity provider calls them.
    ExternalId(String),
    /// By their id in this store.
    Id(String),
}

/// That the members of groups have a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The role's name.
    pub role: String,
    /// Of which groups.
    pub group: GroupKey,
    /// Since when, in microseconds since 1970 UTC.
    pub created: i64,
}

impl GroupKey {
    /// The key of that attribute; none if groups are not known by it.
    pub fn new(attribute: &str, value: String) -> Option<Self> {
        match attribute {
            "displayName" => Some(Self::DisplayName(value)),
            "externalId" => Some(Self::ExternalId(value)),
            "id" => Some(Self::Id(value)),
            _ => None,
        }
    }

    /// What the groups are known by.
    pub const fn attribute(&self) -> &'static str {
        match self {
            Self::DisplayName(_) => "displayName",
            Self::ExternalId(_) => "externalId",
            Self::Id(_) => "id",
        }
    }

    /// The value, as it was written.
    pub fn value(&self) -> &str {
        let (Self::DisplayName(value) | Self::ExternalId(value) | Self::Id(value)) = self;
        value
    }

    /// The value as it is compared (RFC 7643 sections 3.1 and 8.7.1, `caseExact`).
    pub fn compared(&self) -> String {
        match self {
            Self::DisplayName(value) => fold_case(value),
            Self::ExternalId(value) | Self::Id(value) => value.clone(),
        }
    }

    /// Whether it can be the key of a group.
    pub fn is_valid(&self) -> bool {
        self.value().len() <= MAX_GROUP && is_printable(self.value())
    }
}

/// Whether it can be the name of a role.
pub fn is_role(name: &str) -> bool {
    name.chars().count() <= MAX_ROLE && is_printable(name)
}

/// Something, without control characters and without blanks around it.
fn is_printable(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::{Draft, Layout};
    use doorward::scim::{Catalog, Resource};
    use serde_json::json;

    #[test]
    fn names_are_checked() {
        for (name, expected) in [
            ("admin", true),
            ("Leitung (alle) é/\u{1f600}", true),
            (&"é".repeat(128), true),
            (&"é".repeat(129), false),
            ("", false),
            (" a", false),
            ("a ", false),
            ("a\nb", false),
            ("a\0", false),
        ] {
            assert_eq!(is_role(name), expected, "{name:?}");
        }
        for (length, expected) in [(512, true), (513, false)] {
            assert_eq!(GroupKey::Id("a".repeat(length)).is_valid(), expected, "{length}");
        }
        assert!(!GroupKey::DisplayName("a\u{7f}".to_owned()).is_valid());
    }

    #[test]
    fn keys_compare_as_the_schema_of_groups_says() {
        let catalog = Catalog::built_in().unwrap();
        let group = catalog.resource_type("Group").unwrap();
        let body = json!({ "displayName": "Größe", "externalId": "Größe", "id": "Größe" });
        let resource = Resource::from_stored(group, body.as_object().unwrap()).unwrap();
        let draft = Draft::of(&resource, &Layout::of(group));
        let expected = ["displayName", "externalId", "id"]
            .map(|attribute| Some(GroupKey::new(attribute, "Größe".to_owned()).unwrap().compared()));
        assert_eq!(draft.keys().map(|key| key.map(str::to_owned)), expected);
        assert_eq!(GroupKey::new("userName", String::new()), None);
    }
}
