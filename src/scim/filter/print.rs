//! Filters as text that parses to the same tree.

use super::{Comparison, Filter, Literal, Operand, Operator, TypedFilter};
use crate::scim::resource_type::AttributeRef;
use serde_json::Value as Json;
use std::fmt;

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(filters) => {
                list(f, filters, " and ", |filter| matches!(filter, Self::And(_) | Self::Or(_)))
            }
            Self::Or(filters) => list(f, filters, " or ", |filter| matches!(filter, Self::Or(_))),
            Self::Not(filter) => write!(f, "not ({filter})"),
            Self::Compare { path, operator, literal } => write!(f, "{path} {operator} {literal}"),
            Self::Present { path } => write!(f, "{path} pr"),
            Self::ValuePath { path, filter } => write!(f, "{path}[{filter}]"),
        }
    }
}

fn list(
    f: &mut fmt::Formatter<'_>,
    filters: &[Filter],
    separator: &str,
    needs_brackets: fn(&Filter) -> bool,
) -> fmt::Result {
    for (index, filter) in filters.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        if needs_brackets(filter) { write!(f, "({filter})")? } else { write!(f, "{filter}")? }
    }
    Ok(())
}

impl fmt::Display for TypedFilter {
    /// The same text for filters that differ in spelling only, as in the case of names. Held against the same resource
    /// type it is the same filter again; but [`TypedFilter::Constant`], which the grammar does not have.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Printed { filter: self, is_inside: false })
    }
}

/// A typed filter and where it stands.
#[derive(Clone, Copy)]
struct Printed<'f> {
    filter: &'f TypedFilter,
    /// Whether in the brackets of a value path, where attributes are named without what is before the brackets.
    is_inside: bool,
}

impl Printed<'_> {
    fn list(self, f: &mut fmt::Formatter<'_>, filters: &[TypedFilter], separator: &str) -> fmt::Result {
        for (index, filter) in filters.iter().enumerate() {
            if index > 0 {
                f.write_str(separator)?;
            }
            let printed = Printed { filter, is_inside: self.is_inside };
            let needs_brackets = match filter {
                TypedFilter::Or(_) => true,
                TypedFilter::And(_) => matches!(self.filter, TypedFilter::And(_)),
                TypedFilter::Not(_)
                | TypedFilter::Compare(_)
                | TypedFilter::Present(_)
                | TypedFilter::ValuePath { .. }
                | TypedFilter::Constant(_) => false,
            };
            if needs_brackets { write!(f, "({printed})")? } else { write!(f, "{printed}")? }
        }
        Ok(())
    }

    fn attribute(self, f: &mut fmt::Formatter<'_>, attribute: &AttributeRef) -> fmt::Result {
        match attribute.sub_attribute() {
            Some(sub) if self.is_inside => f.write_str(&sub.name),
            None if self.is_inside => f.write_str("value"),
            Some(_) | None => write!(f, "{attribute}"),
        }
    }
}

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.filter {
            TypedFilter::And(filters) => self.list(f, filters, " and "),
            TypedFilter::Or(filters) => self.list(f, filters, " or "),
            TypedFilter::Not(filter) => write!(f, "not ({})", Self { filter, ..*self }),
            TypedFilter::Compare(Comparison { attribute, operator, operand }) => {
                self.attribute(f, attribute)?;
                write!(f, " {operator} {operand}")
            }
            TypedFilter::Present(attribute) => {
                self.attribute(f, attribute)?;
                f.write_str(" pr")
            }
            TypedFilter::ValuePath { attribute, filter } => {
                write!(f, "{attribute}[{}]", Self { filter, is_inside: true })
            }
            TypedFilter::Constant(holds) => write!(f, "{holds}"),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(value) => write!(f, "{}", Json::from(value.as_str())),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Decimal(value) => write!(f, "{value:?}"),
            Self::DateTime(value) => write!(f, "\"{value}\""),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            // Debug: a point or an exponent is always there, and the number reads back as the same.
            Self::Decimal(value) => write!(f, "{value:?}"),
            Self::String(value) => write!(f, "{}", Json::from(value.as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::FilterSyntax;
    use super::*;
    use crate::scim::attr_path::AttrPath;
    use proptest::prelude::*;

    fn path() -> impl Strategy<Value = AttrPath> {
        let path =
            r"(urn:[a-z0-9:.]{0,8}[a-z]:)?(\$ref|not|and|or|pr|eq|[a-zA-Z][-_a-zA-Z0-9]{0,5})(\.[a-z]{1,4})?";
        path.prop_map(|text| AttrPath::parse(&text).unwrap())
    }

    fn literal() -> impl Strategy<Value = Literal> {
        prop_oneof![
            Just(Literal::Null),
            any::<bool>().prop_map(Literal::Boolean),
            any::<i64>().prop_map(Literal::Integer),
            (proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO)
                .prop_map(Literal::Decimal),
            any::<String>().prop_map(Literal::String),
        ]
    }

    fn composed(leaf: BoxedStrategy<Filter>) -> BoxedStrategy<Filter> {
        let compose = |inner: BoxedStrategy<Filter>| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::And),
                prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::Or),
                inner.prop_map(|filter| Filter::Not(Box::new(filter))),
            ]
        };
        leaf.prop_recursive(4, 24, 3, compose).boxed()
    }

    /// Any filter that the grammar has.
    fn filter() -> BoxedStrategy<Filter> {
        let compare = (path(), prop::sample::select(Operator::ALL.to_vec()), literal())
            .prop_map(|(path, operator, literal)| Filter::Compare { path, operator, literal });
        let simple = prop_oneof![3 => compare, 1 => path().prop_map(|path| Filter::Present { path })].boxed();
        let value_path = (path(), composed(simple.clone()))
            .prop_map(|(path, filter)| Filter::ValuePath { path, filter: Box::new(filter) });
        composed(prop_oneof![2 => simple, 1 => value_path].boxed())
    }

    #[test]
    fn brackets_stand_where_they_are_needed() {
        for text in [
            "a pr or b pr and c pr",
            "(a pr or b pr) and c pr",
            "a pr and (b pr and c pr)",
            "a pr or (b pr or c pr)",
            "not (a pr and b pr) or c[not (d eq \"\\\"\") and e gt 1.5]",
        ] {
            let filter = Filter::parse(text, &FilterSyntax::default()).unwrap();
            assert_eq!(filter.to_string(), text);
        }
    }

    #[test]
    fn a_typed_filter_has_one_spelling() {
        let user = crate::scim::tests::user();
        let resolve = |text: &str| {
            let filter = Filter::parse(text, &FilterSyntax::default()).unwrap();
            TypedFilter::resolve(&filter, &user).unwrap()
        };
        let check = |text: &str, expected: &str| {
            let typed = resolve(text);
            assert_eq!(typed.to_string(), expected, "{text}");
            assert_eq!(resolve(expected), typed, "{text}");
        };
        check("username  SW \"J\"", "userName sw \"j\"");
        check("emails[TYPE eq \"Work\"].value EQ \"X\"", "emails[type eq \"work\" and value eq \"x\"]");
        check(
            "Emails co \"x\" or (title PR or active eq true)",
            "emails.value co \"x\" or (title pr or active eq true)",
        );
        check("(id pr and (id pr or id pr)) and id pr", "(id pr and (id pr or id pr)) and id pr");
        check("(id pr and id pr) or not (id pr)", "id pr and id pr or not (id pr)");
        check("title eq null", "not (title pr)");
        check("schemas[VALUE sw \"u\"]", "schemas[value sw \"u\"]");
        check(
            "meta.created ge \"2011-05-13T05:00:00.0000000+01:00\"",
            "meta.created ge \"2011-05-13T04:00:00.000Z\"",
        );
        let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager";
        check(&format!("{} eq \"7\"", urn.to_uppercase()), &format!("{urn}.value eq \"7\""));
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same_tree(filter in filter()) {
            let syntax = FilterSyntax { max_length: usize::MAX, max_depth: 100, unquoted_strings: false };
            let text = filter.to_string();
            prop_assert_eq!(Filter::parse(&text, &syntax), Ok(filter), "{}", text);
        }
    }
}
