//! The order of resources: RFC 7644 section 3.4.2.3.

use super::attr_path::{AttrPath, AttrPathError};
use super::caseless::fold_case;
use super::date_time::DateTime;
use super::resource::Resource;
use super::resource_type::{AttributeRef, ResourceType, UnresolvedPath};
use super::value::Value;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// By what resources are sorted. Where they are alike, by `id`, always ascending, so that pages do not overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    attribute: AttributeRef,
    order: SortOrder,
}

/// `sortOrder`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SortOrder {
    /// Smallest first, resources without a value last.
    #[default]
    Ascending,
    /// The reverse: resources without a value first.
    Descending,
}

/// Why resources cannot be sorted as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SortError {
    /// `sortBy` is no path.
    #[error("sortBy: {0}")]
    Path(#[from] AttrPathError),
    /// `sortBy` names no attribute.
    #[error("sortBy: {0}")]
    Unresolved(#[from] UnresolvedPath),
    /// The attribute is complex and has no sub-attribute `value`.
    #[error("sortBy: expected a sub-attribute of {0:?}, but found none")]
    Complex(String),
    /// An attribute that the client may never see: its order would tell what it holds.
    #[error("sortBy: expected an attribute that can be sorted by, but found {0:?}")]
    Hidden(String),
}

/// What one resource is sorted by; of one attribute, keys are ordered as its values are.
#[derive(Debug, Clone, PartialEq)]
pub enum SortKey {
    /// Of strings, references and binary values; folded ([`fold_case`]) where case does not matter. By code points.
    Text(String),
    /// False first.
    Boolean(bool),
    /// A number.
    Integer(i64),
    /// A number.
    Decimal(f64),
    /// An instant.
    DateTime(DateTime),
    /// No value: after all values.
    Missing,
}

impl SortOrder {
    /// As in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ascending => "ascending",
            Self::Descending => "descending",
        }
    }

    /// The order of a word, in any case.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Ascending, Self::Descending]
            .into_iter()
            .find(|order| order.as_str().eq_ignore_ascii_case(word))
    }
}

impl Sort {
    /// Sorts by the attribute of that path; a complex one by its sub-attribute `value`.
    ///
    /// # Errors
    /// [`SortError`].
    pub fn resolve(sort_by: &str, order: SortOrder, resource_type: &ResourceType) -> Result<Self, SortError> {
        let mut attribute = resource_type.resolve(&AttrPath::parse(sort_by)?)?;
        if attribute.definition().is_complex() {
            attribute = attribute.sub("value").map_err(|_| SortError::Complex(attribute.to_string()))?;
        }
        if attribute.is_hidden() {
            Err(SortError::Hidden(attribute.to_string()))
        } else {
            Ok(Self { attribute, order })
        }
    }

    /// Sorts resources of several types together, as at the root: each type by its attribute of that path. One that
    /// lacks it has no value there ([`SortKey::Missing`]); if all lack it, it is an error.
    ///
    /// # Errors
    /// [`SortError`].
    pub fn resolve_each(
        sort_by: &str,
        order: SortOrder,
        all: &[Arc<ResourceType>],
    ) -> Result<Vec<Option<Self>>, SortError> {
        let path = AttrPath::parse(sort_by)?;
        let has_path = |resource_type: &Arc<ResourceType>| resource_type.resolve(&path).is_ok();
        let is_known = all.iter().any(has_path);
        let resolve = |resource_type: &Arc<ResourceType>| {
            let is_lacking = is_known && !has_path(resource_type);
            if is_lacking { Ok(None) } else { Self::resolve(sort_by, order, resource_type).map(Some) }
        };
        all.iter().map(resolve).collect()
    }

    /// The attribute, never complex.
    pub fn attribute(&self) -> &AttributeRef {
        &self.attribute
    }

    /// The order.
    pub fn order(&self) -> SortOrder {
        self.order
    }

    /// What a resource is sorted by: of several values the primary one, or else the first.
    pub fn key(&self, resource: &Resource) -> SortKey {
        let items = resource.get(&self.attribute.whole()).map_or(&[][..], Value::items);
        let item = items.iter().find(|item| item.is_primary()).or(items.first());
        let value = match self.attribute.sub_attribute() {
            None => item,
            Some(sub) => item
                .and_then(Value::as_complex)
                .and_then(|complex| complex.get(&sub.name))
                .and_then(|value| value.items().first()),
        };
        match value {
            Some(Value::String(text) | Value::Reference(text)) if !self.attribute.definition().case_exact => {
                SortKey::Text(fold_case(text))
            }
            Some(Value::String(text) | Value::Reference(text) | Value::Binary(text)) => {
                SortKey::Text(text.clone())
            }
            Some(Value::Boolean(value)) => SortKey::Boolean(*value),
            Some(Value::Integer(value)) => SortKey::Integer(*value),
            Some(Value::Decimal(value)) => SortKey::Decimal(*value),
            Some(Value::DateTime(value)) => SortKey::DateTime(*value),
            Some(Value::Complex(_) | Value::Many(_)) | None => SortKey::Missing,
        }
    }

    /// Which of two resources comes first.
    pub fn compare(&self, one: &Resource, other: &Resource) -> Ordering {
        let ascending = self.key(one).order(&self.key(other));
        let order = match self.order {
            SortOrder::Ascending => ascending,
            SortOrder::Descending => ascending.reverse(),
        };
        order.then_with(|| one.id().cmp(&other.id()))
    }
}

impl fmt::Display for Sort {
    /// The same text for the same order, as in `userName ascending`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.attribute, self.order.as_str())
    }
}

impl SortKey {
    /// Which of two keys of one attribute comes first, ascending.
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            (Self::Boolean(one), Self::Boolean(other)) => one.cmp(other),
            (Self::Integer(one), Self::Integer(other)) => one.cmp(other),
            (Self::Decimal(one), Self::Decimal(other)) => one.total_cmp(other),
            (Self::DateTime(one), Self::DateTime(other)) => one.cmp(other),
            (one, other) => (*one == Self::Missing).cmp(&(*other == Self::Missing)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{group, user};
    use super::*;
    use serde_json::{Value as Json, json};

    /// The ids of the people in that order.
    fn check(sort_by: &str, people: &[Json], ascending: &str, descending: &str) {
        for (order, expected) in [(SortOrder::Ascending, ascending), (SortOrder::Descending, descending)] {
            let sort = Sort::resolve(sort_by, order, &user()).unwrap();
            let mut people: Vec<Resource> = people
                .iter()
                .map(|json| Resource::from_stored(&user(), json.as_object().unwrap()).unwrap())
                .collect();
            people.sort_by(|one, other| sort.compare(one, other));
            let ids: String = people.iter().filter_map(Resource::id).collect();
            assert_eq!(ids, expected, "{sort}");
        }
    }

    #[test]
    fn values_have_an_order_and_what_is_missing_is_last() {
        let people = [
            json!({"id": "a", "userName": "b", "externalId": "b", "active": true}),
            json!({"id": "b", "userName": "A", "externalId": "A", "active": false}),
            json!({"id": "c", "userName": "Á", "meta": {"created": "2011-01-01T00:30:00+01:00"}}),
            json!({"id": "d", "userName": "a", "externalId": "a", "meta": {"created": "2011-01-01T00:00:00Z"}}),
        ];
        check("userName", &people, "bdac", "cabd");
        check("externalId", &people, "bdac", "cadb");
        check("active", &people, "bacd", "cdab");
        check("meta.created", &people, "cdab", "abdc");
        check("id", &people, "abcd", "dcba");
    }

    #[test]
    fn of_several_values_the_primary_or_first_counts() {
        let people = [
            json!({"id": "a", "emails": [{"value": "z"}, {"value": "a", "primary": true}]}),
            json!({"id": "b", "emails": [{"value": "M"}, {"value": "a"}]}),
            json!({"id": "c", "emails": [{"type": "work", "primary": true}, {"value": "b"}]}),
        ];
        check("emails.value", &people, "abc", "cba");
        check("emails", &people, "abc", "cba");
    }

    #[test]
    fn what_cannot_be_sorted_by_is_refused() {
        let check = |sort_by: &str, expected: SortError| {
            assert_eq!(Sort::resolve(sort_by, SortOrder::Ascending, &user()), Err(expected), "{sort_by}");
        };
        check("nope", UnresolvedPath::UnknownAttribute("nope".into()).into());
        check("a b", AttrPathError::BadName("a b".into()).into());
        check("name", SortError::Complex("name".into()));
        check("password", SortError::Hidden("password".into()));
    }

    #[test]
    fn over_several_types_one_may_lack_the_attribute() {
        let both = [user(), group()];
        let check = |sort_by: &str, expected: Option<[bool; 2]>| {
            let sorts = Sort::resolve_each(sort_by, SortOrder::Ascending, &both).ok();
            assert_eq!(sorts.map(|sorts| [sorts[0].is_some(), sorts[1].is_some()]), expected, "{sort_by}");
        };
        check("displayName", Some([true, true]));
        check("userName", Some([true, false]));
        check("members", Some([false, true]));
        check("nope", None);
        check("password", None);
    }

    #[test]
    fn orders_are_words_in_any_case() {
        assert_eq!(SortOrder::from_word("DESCENDING"), Some(SortOrder::Descending));
        assert_eq!(SortOrder::from_word("desc"), None);
    }
}
