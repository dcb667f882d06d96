//! Which attributes of a resource type have a column or a table of their own.

use doorward::scim::{AttributeRef, DataType, GrantedRoles, Resource, ResourceType, Value, fold_case};

/// The place of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A column of `resource`.
    Column(Column),
    /// `value` or `kind` of the table `email`.
    Email(EmailColumn),
    /// The table `member`, as the members of a group see it.
    Member,
    /// The same, as the groups of a member see it.
    Group,
}

/// A column of `resource` that filters and orders may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// `id`.
    Id,
    /// `userName`.
    UserName,
    /// `externalId`.
    ExternalId,
    /// `displayName`.
    DisplayName,
    /// `active`.
    Active,
    /// `meta.created`.
    Created,
    /// `meta.lastModified`.
    Modified,
}

/// A column of `email`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailColumn {
    /// `emails.value`.
    Value,
    /// `emails.type`.
    Kind,
}

impl Column {
    /// Its name, of the table `r`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "r.id",
            Self::UserName => "r.user_name",
            Self::ExternalId => "r.external_id",
            Self::DisplayName => "r.display_name",
            Self::Active => "r.active",
            Self::Created => "r.created",
            Self::Modified => "r.modified",
        }
    }
}

/// Where the attributes of one resource type are.
#[derive(Debug, Clone)]
pub struct Layout {
    places: Vec<(AttributeRef, Place)>,
    unique: Vec<AttributeRef>,
    members: Option<AttributeRef>,
    groups: Option<AttributeRef>,
    roles: Option<GrantedRoles>,
    emails: Option<AttributeRef>,
    password: Option<AttributeRef>,
    /// `displayName`, and after it `name.formatted`.
    labels: Vec<AttributeRef>,
}

/// Paths, what is there if the attribute has that type and one value, or several.
const COLUMNS: [(&str, DataType, Column); 7] = [
    ("id", DataType::String, Column::Id),
    ("userName", DataType::String, Column::UserName),
    ("externalId", DataType::String, Column::ExternalId),
    ("displayName", DataType::String, Column::DisplayName),
    ("active", DataType::Boolean, Column::Active),
    ("meta.created", DataType::DateTime, Column::Created),
    ("meta.lastModified", DataType::DateTime, Column::Modified),
];

impl Layout {
    /// That of a resource type. A configured type has the same places for attributes of the same name and type.
    pub fn of(resource_type: &ResourceType) -> Self {
        let mut places = Vec::new();
        for (path, data_type, column) in COLUMNS {
            let found = resource_type
                .find(path)
                .filter(|found| found.definition().data_type == data_type && !found.attribute().multi_valued);
            places.extend(found.map(|found| (found, Place::Column(column))));
        }
        let complex = |name: &str| {
            resource_type
                .find(name)
                .filter(|found| found.attribute().multi_valued && found.attribute().is_complex())
        };
        let (emails, members, groups) = (complex("emails"), complex("members"), complex("groups"));
        let mut add = |whole: &Option<AttributeRef>, sub: &str, place: Place| {
            let sub = whole.as_ref().and_then(|whole| whole.sub(sub).ok());
            places.extend(sub.map(|sub| (sub, place)));
        };
        add(&emails, "value", Place::Email(EmailColumn::Value));
        add(&emails, "type", Place::Email(EmailColumn::Kind));
        add(&members, "value", Place::Member);
        add(&groups, "value", Place::Group);
        let has_column = |attribute: &AttributeRef| {
            places.iter().any(|(found, place)| {
                found == attribute && matches!(place, Place::Column(Column::Id | Column::UserName))
            })
        };
        let unique = resource_type.unique_attributes().filter(|attribute| !has_column(attribute)).collect();
        let password = resource_type.find("password");
        let label =
            |path| resource_type.find(path).filter(|found| found.definition().data_type == DataType::String);
        let labels = ["displayName", "name.formatted"].into_iter().filter_map(label).collect();
        let roles = GrantedRoles::of(resource_type);
        Self { places, unique, members, groups, roles, emails, password, labels }
    }

    /// The place of an attribute, if it has one.
    pub fn place(&self, attribute: &AttributeRef) -> Option<Place> {
        self.places.iter().find(|(found, _)| found == attribute).map(|(_, place)| *place)
    }

    /// The column of an attribute, if it has one.
    pub fn column(&self, attribute: &AttributeRef) -> Option<Column> {
        match self.place(attribute)? {
            Place::Column(column) => Some(column),
            Place::Email(_) | Place::Member | Place::Group => None,
        }
    }

    /// `members`, kept in a table of its own.
    pub fn members(&self) -> Option<&AttributeRef> {
        self.members.as_ref()
    }

    /// `groups`, which follows from the members of groups.
    pub fn groups(&self) -> Option<&AttributeRef> {
        self.groups.as_ref()
    }

    /// The roles among `roles` that follow from the groups of a user.
    pub fn roles(&self) -> Option<&GrantedRoles> {
        self.roles.as_ref()
    }

    /// `password`, which is not kept.
    pub fn password(&self) -> Option<&AttributeRef> {
        self.password.as_ref()
    }

    /// What is in a column, of a resource: as it is compared.
    pub fn text(&self, resource: &Resource, column: Column) -> Option<String> {
        let (attribute, _) = self.places.iter().find(|(_, place)| *place == Place::Column(column))?;
        let text = resource.get(attribute)?.as_str()?;
        Some(if attribute.definition().case_exact { text.to_owned() } else { fold_case(text) })
    }

    /// The boolean in a column.
    pub fn boolean(&self, resource: &Resource, column: Column) -> Option<bool> {
        let (attribute, _) = self.places.iter().find(|(_, place)| *place == Place::Column(column))?;
        resource.get(attribute)?.as_bool()
    }

    /// What people call a resource: its display name, or else its full name. Its `userName` is not shown instead: that is what it signs
    /// in with, and no name to display (RFC 7643 section 2.4).
    pub fn label<'r>(&self, resource: &'r Resource) -> Option<&'r str> {
        let mut texts = self.labels.iter().filter_map(|attribute| resource.get(attribute)?.as_str());
        texts.find(|text| !text.trim().is_empty())
    }

    /// The e-mail addresses with their types, both as they are compared.
    pub fn emails(&self, resource: &Resource) -> Vec<(String, Option<String>)> {
        let items =
            self.emails.as_ref().and_then(|emails| resource.get(emails)).map_or(&[][..], Value::items);
        let email = |item: &Value| {
            let email = item.as_complex()?;
            let text = |name| email.get(name).and_then(Value::as_str).map(fold_case);
            Some((text("value")?, text("type")))
        };
        items.iter().filter_map(email).collect()
    }

    /// The values that no other resource may have, but for `userName`, which has a column: paths and values as they are compared.
    pub fn unique_values(&self, resource: &Resource) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for attribute in &self.unique {
            let exact = attribute.definition().case_exact;
            for value in resource.values(attribute) {
                let text = match value.as_str() {
                    Some(text) if !exact => fold_case(text),
                    Some(text) => text.to_owned(),
                    None => value.to_json().to_string(),
                };
                found.push((attribute.to_string(), text));
            }
        }
        found.sort();
        found.dedup();
        found
    }
}
