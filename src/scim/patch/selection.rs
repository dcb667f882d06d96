//! The filter in the path of an operation: which values of an attribute it is about.

use super::PatchFault;
use crate::scim::filter::{Comparison, Filter, Literal, Operand, Operator, TypedFilter};
use crate::scim::resource_type::AttributeRef;
use crate::scim::schema::{DataType, Mutability};
use crate::scim::value::{Complex, Place, Reading, Unknown, Value};
use serde_json::Value as Json;
use std::fmt;

#[derive(Debug, Clone)]
pub(super) struct Selection {
    /// As written: its texts are as the client spells them.
    written: Filter,
    typed: TypedFilter,
}

impl Selection {
    pub(super) fn new(attribute: &AttributeRef, filter: &Filter) -> Result<Self, PatchFault> {
        Ok(Self { written: filter.clone(), typed: TypedFilter::resolve_in(filter, attribute)? })
    }

    pub(super) fn matches(&self, item: &Value) -> bool {
        self.typed.matches_value(item)
    }

    pub(super) fn into_typed(self) -> TypedFilter {
        self.typed
    }

    /// A value that the filter describes: of `type eq "work" and primary eq true` both. None if it says anything else, or
    /// describes what a client may not set.
    pub(super) fn described(&self, attribute: &AttributeRef) -> Option<Complex> {
        let mut complex = Complex::new();
        describe(&self.written, attribute, &mut complex)?;
        self.matches(&Value::Complex(complex.clone())).then_some(complex)
    }

    /// The values of the sub-attribute `value` that the filter lists, if it does nothing else: `value eq "a" or value eq "b"`.
    pub(super) fn listed(&self) -> Option<Vec<String>> {
        let mut values = Vec::new();
        list(&self.typed, &mut values)?;
        Some(values)
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.written)
    }
}

fn describe(filter: &Filter, attribute: &AttributeRef, complex: &mut Complex) -> Option<()> {
    match filter {
        Filter::And(filters) => filters.iter().try_for_each(|filter| describe(filter, attribute, complex)),
        Filter::Compare { path, operator: Operator::Equal, literal } => {
            let sub = attribute.sub(path.attribute()).ok()?;
            let definition = sub.definition();
            if definition.mutability == Mutability::ReadOnly {
                return None;
            }
            let json = match literal {
                Literal::Null => return None,
                Literal::Boolean(value) => Json::from(*value),
                Literal::Integer(value) => Json::from(*value),
                Literal::Decimal(value) => Json::from(*value),
                Literal::String(text) => Json::from(text.as_str()),
            };
            let value =
                Value::read_one(definition, &json, &Place::Root, Reading::part(Unknown::Refused)).ok()??;
            complex.set(&attribute.attribute().sub_attributes, definition, value);
            Some(())
        }
        Filter::Or(_)
        | Filter::Not(_)
        | Filter::Compare { .. }
        | Filter::Present { .. }
        | Filter::ValuePath { .. } => None,
    }
}

fn list(filter: &TypedFilter, values: &mut Vec<String>) -> Option<()> {
    match filter {
        TypedFilter::Or(filters) => filters.iter().try_for_each(|filter| list(filter, values)),
        TypedFilter::Compare(Comparison {
            attribute,
            operator: Operator::Equal,
            operand: Operand::Text(text),
        }) => {
            let definition = attribute.definition();
            let is_value = &*definition.name == "value" && definition.data_type == DataType::String;
            // A folded text is not the value itself.
            if is_value && definition.case_exact {
                values.push(text.clone());
                Some(())
            } else {
                None
            }
        }
        TypedFilter::And(_)
        | TypedFilter::Not(_)
        | TypedFilter::Compare(_)
        | TypedFilter::Present(_)
        | TypedFilter::ValuePath { .. }
        | TypedFilter::Constant(_) => None,
    }
}
