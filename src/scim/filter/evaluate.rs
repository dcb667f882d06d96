//! The reference evaluator: what a filter means. Whoever compiles filters to queries is held against it.

use super::{Comparison, Operand, Operator, TypedFilter};
use crate::scim::caseless::fold_case;
use crate::scim::resource::Resource;
use crate::scim::resource_type::AttributeRef;
use crate::scim::value::Value;
use std::cmp::Ordering;

impl TypedFilter {
    /// Whether the filter matches a resource.
    pub fn matches(&self, resource: &Resource) -> bool {
        self.holds(&Scope::Resource(resource))
    }

    /// Whether the filter of a value path matches one value of its attribute.
    pub fn matches_value(&self, value: &Value) -> bool {
        self.holds(&Scope::Value(value))
    }

    fn holds(&self, scope: &Scope<'_>) -> bool {
        match self {
            Self::And(filters) => filters.iter().all(|filter| filter.holds(scope)),
            Self::Or(filters) => filters.iter().any(|filter| filter.holds(scope)),
            Self::Not(filter) => !filter.holds(scope),
            Self::Compare(comparison) => scope.any(&comparison.attribute, |value| comparison.holds(value)),
            Self::Present(attribute) => scope.any(attribute, |value| value.is_some_and(is_present)),
            Self::ValuePath { attribute, filter } => {
                scope.items(attribute).iter().any(|value| filter.matches_value(value))
            }
            Self::Constant(holds) => *holds,
        }
    }
}

/// What attributes are looked up in.
enum Scope<'v> {
    Resource(&'v Resource),
    /// One value of the attribute of a value path.
    Value(&'v Value),
}

impl<'v> Scope<'v> {
    /// The values of the whole attribute.
    fn items(&self, attribute: &AttributeRef) -> &'v [Value] {
        match self {
            Self::Resource(resource) => resource.get(&attribute.whole()).map_or(&[], Value::items),
            Self::Value(value) => std::slice::from_ref(*value),
        }
    }

    /// Whether `test` holds for any value; where there is none, for one that is absent.
    fn any(&self, attribute: &AttributeRef, test: impl Fn(Option<&Value>) -> bool) -> bool {
        let of_item = |item: &Value| match attribute.sub_attribute() {
            None => test(Some(item)),
            Some(sub) => match item.as_complex().and_then(|complex| complex.get(&sub.name)) {
                None => test(None),
                Some(value) => value.items().iter().any(|value| test(Some(value))),
            },
        };
        match self.items(attribute) {
            [] => test(None),
            items => items.iter().any(of_item),
        }
    }
}

/// RFC 7644 section 3.4.2.2, table 3: "a non-empty or non-null value, or … a non-empty node for complex attributes".
fn is_present(value: &Value) -> bool {
    match value {
        Value::String(text) | Value::Reference(text) | Value::Binary(text) => !text.is_empty(),
        Value::Boolean(_) | Value::Integer(_) | Value::Decimal(_) | Value::DateTime(_) => true,
        Value::Complex(complex) => complex.iter().any(|(_, value)| is_present(value)),
        Value::Many(values) => values.iter().any(is_present),
    }
}

impl Comparison {
    fn holds(&self, value: Option<&Value>) -> bool {
        let Some(value) = value else { return self.operator == Operator::NotEqual };
        match (&self.operand, value) {
            (Operand::Text(operand), value) => match value.as_str() {
                Some(text) if self.ignores_case() => self.text_holds(&fold_case(text), operand),
                Some(text) => self.text_holds(text, operand),
                None => false,
            },
            (Operand::Boolean(operand), Value::Boolean(value)) => self.order_holds(value.cmp(operand)),
            (Operand::Integer(operand), Value::Integer(value)) => self.order_holds(value.cmp(operand)),
            (Operand::DateTime(operand), Value::DateTime(value)) => self.order_holds(value.cmp(operand)),
            (Operand::Decimal(operand), Value::Decimal(value)) => {
                value.partial_cmp(operand).is_some_and(|order| self.order_holds(order))
            }
            _ => false,
        }
    }

    fn text_holds(&self, text: &str, operand: &str) -> bool {
        match self.operator {
            Operator::Contains => text.contains(operand),
            Operator::StartsWith => text.starts_with(operand),
            Operator::EndsWith => text.ends_with(operand),
            Operator::Equal
            | Operator::NotEqual
            | Operator::Greater
            | Operator::GreaterOrEqual
            | Operator::Less
            | Operator::LessOrEqual => self.order_holds(text.cmp(operand)),
        }
    }

    fn order_holds(&self, order: Ordering) -> bool {
        match self.operator {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterOrEqual => order.is_ge(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
            Operator::Contains | Operator::StartsWith | Operator::EndsWith => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Filter, FilterSyntax, Literal};
    use super::*;
    use crate::scim::attr_path::AttrPath;
    use crate::scim::resource_type::ResourceType;
    use crate::scim::tests::{group, user};
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};
    use std::sync::Arc;

    fn resource(resource_type: &Arc<ResourceType>, json: &Json) -> Resource {
        Resource::from_stored(resource_type, json.as_object().unwrap()).unwrap()
    }

    fn bjensen() -> Json {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "id": "2819c223",
            "externalId": "701984",
            "userName": "bjensen@Example.com",
            "name": {"familyName": "Jensen", "givenName": "Bärbel", "middleName": ""},
            "active": true,
            "emails": [
                {"value": "bjensen@example.com", "type": "work", "primary": true},
                {"value": "babs@jensen.org", "type": "home"},
                {"value": "untyped@x.org"}
            ],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
                "employeeNumber": "701984", "manager": {"value": "26118915"}
            },
            "meta": {"created": "2010-01-23T04:56:22Z", "lastModified": "2011-05-13T04:42:34.123456Z"}
        })
    }

    fn matches(text: &str, resource: &Resource) -> bool {
        let filter = Filter::parse(text, &FilterSyntax::default()).unwrap();
        TypedFilter::resolve(&filter, resource.resource_type()).unwrap().matches(resource)
    }

    fn check(text: &str, expected: bool) {
        assert_eq!(matches(text, &resource(&user(), &bjensen())), expected, "{text}");
        assert_eq!(
            matches(&format!("not ({text})"), &resource(&user(), &bjensen())),
            !expected,
            "not {text}"
        );
    }

    #[test]
    fn strings_are_compared_by_case_exact() {
        check(r#"userName eq "BJENSEN@example.COM""#, true);
        check(r#"userName eq "bjensen""#, false);
        check(r#"externalId eq "701984""#, true);
        check(r#"id eq "2819C223""#, false);
        check(r#"name.givenName eq "BÄRBEL""#, true);
        check(r#"userName co "SEN@""#, true);
        check(r#"userName sw "BJ""#, true);
        check(r#"userName sw "j""#, false);
        check(r#"userName ew ".COM""#, true);
        check(r#"userName ew ".org""#, false);
        check(r#"userName co """#, true);
    }

    #[test]
    fn order_is_that_of_folded_code_points() {
        check(r#"name.familyName gt "JENSEM""#, true);
        check(r#"name.familyName gt "jensen""#, false);
        check(r#"name.familyName ge "jensen""#, true);
        check(r#"name.familyName lt "jensen""#, false);
        check(r#"name.familyName le "JENSEN""#, true);
        check(r#"name.familyName lt "k""#, true);
    }

    #[test]
    fn booleans_and_dates_are_no_texts() {
        check("active eq true", true);
        check("active ne true", false);
        check("active eq false", false);
        check(r#"meta.created eq "2010-01-23T05:56:22.000000+01:00""#, true);
        check(r#"meta.lastModified gt "2011-05-13T04:42:34.123455Z""#, true);
        check(r#"meta.lastModified gt "2011-05-13T04:42:34.123456Z""#, false);
        check(r#"meta.lastModified ge "0001-01-03T00:00:00.0000000Z""#, true);
        check(r#"meta.lastModified lt "2011-05-13T04:42:34.1234567Z""#, false);
    }

    #[test]
    fn any_value_of_several_will_do() {
        check(r#"emails eq "babs@jensen.org""#, true);
        check(r#"emails.value eq "BABS@jensen.org""#, true);
        check(r#"emails.type eq "work""#, true);
        check(r#"emails.type ne "work""#, true);
        check(r#"emails.type eq "other""#, false);
        check(r#"emails.value co "example.com" and emails.type eq "home""#, true);
    }

    #[test]
    fn brackets_speak_of_one_value() {
        check(r#"emails[value co "example.com" and type eq "home"]"#, false);
        check(r#"emails[value co "jensen.org" and type eq "home"]"#, true);
        check(r#"emails[type eq "work"].value eq "bjensen@example.com""#, true);
        check(r#"emails[type eq "Work"].Value eq "babs@jensen.org""#, false);
        check(r#"emails[not (type pr)]"#, true);
        check(r#"emails[type eq "home" or primary eq true]"#, true);
        check(r#"phoneNumbers[type ne "work"]"#, false);
        check(r#"name[familyName eq "jensen"]"#, true);
        check(r#"schemas[value eq "urn:ietf:params:scim:schemas:core:2.0:User"]"#, true);
    }

    #[test]
    fn what_has_no_value_is_not_equal_to_anything() {
        check(r#"title eq "x""#, false);
        check(r#"title ne "x""#, true);
        check(r#"title gt "x""#, false);
        check(r#"title le "x""#, false);
        check(r#"phoneNumbers.type ne "work""#, true);
        check(r#"emails[value sw "untyped" and type ne "work"]"#, true);
    }

    #[test]
    fn what_is_empty_is_not_present() {
        check("userName pr", true);
        check("name pr", true);
        check("name.middleName pr", false);
        check("name.honorificPrefix pr", false);
        check("title pr", false);
        check("emails pr", true);
        check("emails.type pr", true);
        check("emails.display pr", false);
        check("phoneNumbers pr", false);
        check("active pr", true);
        check("title eq null", true);
        check("userName eq null", false);
    }

    #[test]
    fn extensions_and_common_attributes_are_found() {
        check(
            r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber eq "701984""#,
            true,
        );
        check(r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq "26118915""#, true);
        check(r#"urn:ietf:params:scim:schemas:core:2.0:User:userName pr"#, true);
        check(r#"schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User""#, true);
    }

    #[test]
    fn members_are_compared_by_their_value() {
        let json = json!({"id": "g", "displayName": "G", "members": [{"value": "u1"}, {"value": "u2"}]});
        let group = resource(&group(), &json);
        assert!(matches(r#"members eq "u2""#, &group));
        assert!(matches(r#"members[value eq "u1"]"#, &group));
        assert!(!matches(r#"members[value eq "u3"]"#, &group));
    }

    fn filter() -> impl Strategy<Value = Filter> {
        let text = || prop::sample::select(vec!["", "a", "A", "ab", "b", "work"]);
        let of = |paths: &[&str]| {
            let paths: Vec<AttrPath> = paths.iter().map(|path| AttrPath::parse(path).unwrap()).collect();
            (prop::sample::select(paths), prop::sample::select(Operator::ALL.to_vec()), text()).prop_map(
                |(path, operator, text)| Filter::Compare {
                    path,
                    operator,
                    literal: Literal::String(text.to_owned()),
                },
            )
        };
        let present = Just(Filter::Present { path: AttrPath::parse("emails.type").unwrap() });
        let in_brackets = of(&["value", "type"]).prop_map(|filter| Filter::ValuePath {
            path: AttrPath::parse("emails").unwrap(),
            filter: Box::new(filter),
        });
        let outside = of(&["userName", "externalId", "name.givenName", "emails", "emails.type"]);
        let leaf = prop_oneof![4 => outside, 1 => present, 2 => in_brackets];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::And),
                prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::Or),
                inner.prop_map(|filter| Filter::Not(Box::new(filter))),
            ]
        })
    }

    fn person() -> impl Strategy<Value = Json> {
        let text = || prop::option::of(prop::sample::select(vec!["", "a", "A", "aB", "b"]));
        let email = (text(), text()).prop_map(|(value, kind)| json!({"value": value, "type": kind}));
        (text(), text(), text(), prop::collection::vec(email, 0..3)).prop_map(|(user, external, given, emails)| {
            json!({"userName": user, "externalId": external, "name": {"givenName": given}, "emails": emails})
        })
    }

    proptest! {
        /// Every operator against the opposite one, on attributes with one value or none.
        #[test]
        fn opposites_exclude_each_other(person in person(), text in "[aAbB]{0,2}") {
            let resource = resource(&user(), &person);
            let literal = Literal::String(text);
            for path in ["userName", "externalId", "name.givenName"] {
                let holds = |operator: Operator| matches(&format!("{path} {operator} {literal}"), &resource);
                prop_assert_ne!(holds(Operator::Equal), holds(Operator::NotEqual));
                let has_value = holds(Operator::Equal) || holds(Operator::Less) || holds(Operator::Greater);
                prop_assert_eq!(has_value, holds(Operator::Contains) || matches(&format!("{path} sw \"\""), &resource));
                prop_assert_eq!(holds(Operator::Less) && has_value, has_value && !holds(Operator::GreaterOrEqual));
                prop_assert_eq!(holds(Operator::Greater) && has_value, has_value && !holds(Operator::LessOrEqual));
                prop_assert!(!holds(Operator::Equal) || holds(Operator::StartsWith) && holds(Operator::EndsWith));
            }
        }

        #[test]
        fn what_is_printed_means_the_same(person in person(), filter in filter()) {
            let resource = resource(&user(), &person);
            let typed = TypedFilter::resolve(&filter, &user()).unwrap();
            prop_assert_eq!(matches(&filter.to_string(), &resource), typed.matches(&resource));
            let again = Filter::parse(&typed.to_string(), &FilterSyntax::default()).unwrap();
            prop_assert_eq!(TypedFilter::resolve(&again, &user()), Ok(typed));
        }
    }
}
