//! Filters of searches. The input is the text of one.

use crate::scim::{resource_types, sample, softenings};
use doorward::scim::{Filter, FilterSyntax, TypedFilter};

/// What is printed is read as the same, by whoever holds it against whatever type; a filter and its contrary divide the world.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for softenings in softenings() {
        let syntax = softenings.filter_syntax();
        let Ok(filter) = Filter::parse(text, &syntax) else { continue };
        let wide =
            FilterSyntax { max_length: syntax.max_length * 8, max_depth: syntax.max_depth * 2, ..syntax };
        let printed = filter.to_string();
        assert_eq!(Filter::parse(&printed, &wide).as_ref(), Ok(&filter), "{printed}");
        assert!(!printed.contains('\0'));
        for resource_type in resource_types() {
            let Ok(typed) = TypedFilter::resolve(&filter, resource_type) else { continue };
            let resource = sample(resource_type);
            let matches = typed.matches(&resource);
            let contrary = TypedFilter::Not(Box::new(typed.clone()));
            assert_ne!(matches, contrary.matches(&resource), "{printed}");
            for attribute in typed.attributes() {
                assert!(!attribute.is_hidden(), "{attribute} is never told");
            }
            // Softer filters may match more, and are whole filters.
            let soft = softenings.soften_filter(resource_type, filter.clone());
            if let Ok(soft) = TypedFilter::resolve(&soft, resource_type) {
                soft.matches(&resource);
            }
            let said = typed.to_string();
            if !has_constant(&typed) {
                let again = Filter::parse(&said, &wide).unwrap_or_else(|error| panic!("{said}: {error}"));
                assert_eq!(TypedFilter::resolve(&again, resource_type).as_ref(), Ok(&typed), "{said}");
            }
        }
    }
}

fn has_constant(filter: &TypedFilter) -> bool {
    match filter {
        TypedFilter::And(filters) | TypedFilter::Or(filters) => filters.iter().any(has_constant),
        TypedFilter::Not(filter) | TypedFilter::ValuePath { filter, .. } => has_constant(filter),
        TypedFilter::Compare(_) | TypedFilter::Present(_) => false,
        TypedFilter::Constant(_) => true,
    }
}
