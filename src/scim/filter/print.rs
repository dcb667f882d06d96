//! Filters as text that parses to the same tree.

use super::{Filter, Literal, Operator};
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
            Self::String(value) => write!(f, "{}", serde_json::Value::from(value.as_str())),
        }
    }
}

#[cfg(test)]
pub(in crate::scim) mod tests {
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
    pub(in crate::scim) fn filter() -> BoxedStrategy<Filter> {
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

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same_tree(filter in filter()) {
            let syntax = FilterSyntax { max_length: usize::MAX, max_depth: 100, unquoted_strings: false };
            let text = filter.to_string();
            prop_assert_eq!(Filter::parse(&text, &syntax), Ok(filter), "{}", text);
        }
    }
}
