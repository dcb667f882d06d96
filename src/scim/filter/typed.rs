//! Filters held against a resource type.

use super::{Filter, FilterError, Literal, Operator};
use crate::scim::attr_path::AttrPath;
use crate::scim::caseless::fold_case;
use crate::scim::date_time::DateTime;
use crate::scim::resource_type::{AttributeRef, ResourceType, UnresolvedPath};
use crate::scim::schema::DataType;
use std::sync::Arc;

/// A filter whose attributes exist, and whose operators and literals fit them.
///
/// It is two-valued: what does not match is false, and [`TypedFilter::Not`] turns it around. A store that compiles it
/// to SQL must not let NULL get between.
///
/// Where an attribute has more values than one, a test holds if it does for any of them. Where it has none, there is
/// one absent value, which only [`Operator::NotEqual`] matches. Inside a complex value, a sub-attribute without value
/// is absent in the same way.
#[derive(Debug, Clone, PartialEq)]
pub enum TypedFilter {
    /// All of these.
    And(Vec<TypedFilter>),
    /// At least one of these.
    Or(Vec<TypedFilter>),
    /// Not this.
    Not(Box<TypedFilter>),
    /// An attribute compared with a literal.
    Compare(Comparison),
    /// The attribute has a value that is not empty: no text of nothing, no complex value without sub-attributes that
    /// have one.
    Present(AttributeRef),
    /// One value of the attribute matches all of the filter. In there, attributes are sub-attributes of that value;
    /// of an attribute that is not complex, the attribute itself, meaning the value.
    ValuePath {
        /// The attribute, never a sub-attribute.
        attribute: AttributeRef,
        /// What is said of one value; holds no further value path.
        filter: Box<TypedFilter>,
    },
    /// What remains of a test on an attribute that this resource type lacks, in a search over several
    /// (RFC 7644 section 3.4.2.1): true or false of every resource.
    Constant(bool),
}

/// An attribute compared with a literal.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Never complex: a complex attribute is compared by its sub-attribute `value`.
    pub attribute: AttributeRef,
    /// One that fits the attribute's type.
    pub operator: Operator,
    /// Of the attribute's type.
    pub operand: Operand,
}

impl Comparison {
    /// Whether upper and lower case are the same. The operand is folded ([`fold_case`]) then.
    pub fn ignores_case(&self) -> bool {
        let definition = self.attribute.definition();
        !definition.case_exact && definition.data_type != DataType::Binary
    }
}

/// What an attribute is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// For strings, references and binary values; folded where [`Comparison::ignores_case`]. Order is that of code
    /// points.
    Text(String),
    /// For booleans.
    Boolean(bool),
    /// For integers.
    Integer(i64),
    /// For decimals.
    Decimal(f64),
    /// For dates, compared as instants.
    DateTime(DateTime),
}

impl TypedFilter {
    /// Holds a filter against the resource type that is searched.
    ///
    /// # Errors
    /// [`FilterError`], the first fault.
    pub fn resolve(filter: &Filter, resource_type: &ResourceType) -> Result<Self, FilterError> {
        resolve(filter, &Scope::Resources { resource_type, all: &[] })
    }

    /// Holds a filter against each of the resource types that are searched together, as at the root. An attribute
    /// that one of them lacks has no value there; one that all of them lack is an error.
    ///
    /// # Errors
    /// [`FilterError`], the first fault.
    pub fn resolve_each(filter: &Filter, all: &[Arc<ResourceType>]) -> Result<Vec<Self>, FilterError> {
        all.iter().map(|resource_type| resolve(filter, &Scope::Resources { resource_type, all })).collect()
    }

    /// Holds the filter in the brackets of a path against the attribute before them.
    ///
    /// # Errors
    /// [`FilterError`], the first fault.
    pub fn resolve_in(filter: &Filter, attribute: &AttributeRef) -> Result<Self, FilterError> {
        let definition = attribute.definition();
        if attribute.sub_attribute().is_some() || !definition.is_complex() && !definition.multi_valued {
            return Err(FilterError::NoBrackets { path: attribute.to_string() });
        }
        check_filterable(attribute)?;
        resolve(filter, &Scope::Values(attribute))
    }
}

impl TypedFilter {
    /// The attributes that the filter asks about, some maybe twice; those before brackets without those inside. What
    /// is not among them need not be read.
    pub fn attributes(&self) -> Vec<&AttributeRef> {
        match self {
            Self::And(filters) | Self::Or(filters) => filters.iter().flat_map(Self::attributes).collect(),
            Self::Not(filter) => filter.attributes(),
            Self::Compare(comparison) => vec![&comparison.attribute],
            Self::Present(attribute) | Self::ValuePath { attribute, .. } => vec![attribute],
            Self::Constant(_) => Vec::new(),
        }
    }
}

/// What paths are relative to.
enum Scope<'s> {
    Resources {
        resource_type: &'s ResourceType,
        /// Those whose attributes may be named too.
        all: &'s [Arc<ResourceType>],
    },
    /// The values of one attribute.
    Values(&'s AttributeRef),
}

impl Scope<'_> {
    /// The attribute of that path; `None` if only another resource type has it.
    fn find(&self, path: &AttrPath) -> Result<Option<AttributeRef>, FilterError> {
        let attribute = match self {
            Self::Resources { resource_type, all } => match resource_type.resolve(path) {
                Err(_) if all.iter().any(|other| other.resolve(path).is_ok()) => return Ok(None),
                resolved => resolved?,
            },
            Self::Values(whole) => {
                let is_plain = path.schema().is_none() && path.sub_attribute().is_none();
                if is_plain && whole.attribute().is_complex() {
                    whole.sub(path.attribute())?
                } else if is_plain && path.attribute().eq_ignore_ascii_case(VALUE) {
                    (*whole).clone()
                } else {
                    return Err(UnresolvedPath::UnknownAttribute(format!("{whole}[{path}]")).into());
                }
            }
        };
        check_filterable(&attribute)?;
        Ok(Some(attribute))
    }
}

/// The sub-attribute by which a complex value is compared (RFC 7643 section 2.4).
const VALUE: &str = "value";

fn resolve(filter: &Filter, scope: &Scope<'_>) -> Result<TypedFilter, FilterError> {
    let list = |filters: &[Filter]| {
        filters.iter().map(|filter| resolve(filter, scope)).collect::<Result<Vec<_>, _>>()
    };
    match filter {
        Filter::And(filters) => list(filters).map(TypedFilter::And),
        Filter::Or(filters) => list(filters).map(TypedFilter::Or),
        Filter::Not(filter) => Ok(not(resolve(filter, scope)?)),
        Filter::Compare { path, operator, literal } => match scope.find(path)? {
            Some(attribute) => compare(attribute, *operator, literal),
            None => {
                let is_null = *literal == Literal::Null;
                let holds =
                    matches!((operator, is_null), (Operator::Equal, true) | (Operator::NotEqual, false));
                Ok(TypedFilter::Constant(holds))
            }
        },
        Filter::Present { path } => {
            Ok(scope.find(path)?.map_or(TypedFilter::Constant(false), TypedFilter::Present))
        }
        Filter::ValuePath { path, filter } => match scope.find(path)? {
            Some(attribute) => {
                let filter = Box::new(TypedFilter::resolve_in(filter, &attribute)?);
                Ok(TypedFilter::ValuePath { attribute, filter })
            }
            None => Ok(TypedFilter::Constant(false)),
        },
    }
}

fn not(filter: TypedFilter) -> TypedFilter {
    TypedFilter::Not(Box::new(filter))
}

fn check_filterable(attribute: &AttributeRef) -> Result<(), FilterError> {
    if attribute.is_hidden() {
        Err(FilterError::NotFilterable { path: attribute.to_string() })
    } else {
        Ok(())
    }
}

fn compare(
    attribute: AttributeRef,
    operator: Operator,
    literal: &Literal,
) -> Result<TypedFilter, FilterError> {
    // `null` is "unassigned" (RFC 7643 section 2.5).
    if *literal == Literal::Null {
        return match operator {
            Operator::Equal => Ok(not(TypedFilter::Present(attribute))),
            Operator::NotEqual => Ok(TypedFilter::Present(attribute)),
            Operator::Contains
            | Operator::StartsWith
            | Operator::EndsWith
            | Operator::Greater
            | Operator::GreaterOrEqual
            | Operator::Less
            | Operator::LessOrEqual => Err(wrong_operator(&attribute, operator)),
        };
    }
    let attribute = if attribute.definition().is_complex() {
        let value = attribute.sub(VALUE).ok();
        let value = value.filter(|value| !value.definition().is_complex());
        value.ok_or_else(|| FilterError::NoValue { path: attribute.to_string() })?
    } else {
        attribute
    };
    check_filterable(&attribute)?;
    let operand = operand(&attribute, operator, literal)?;
    let mut comparison = Comparison { attribute, operator, operand };
    if let Operand::Text(text) = &comparison.operand
        && comparison.ignores_case()
    {
        comparison.operand = Operand::Text(fold_case(text));
    }
    Ok(TypedFilter::Compare(comparison))
}

fn operand(attribute: &AttributeRef, operator: Operator, literal: &Literal) -> Result<Operand, FilterError> {
    let data_type = attribute.definition().data_type;
    if !fits(operator, data_type) {
        return Err(wrong_operator(attribute, operator));
    }
    match (data_type, literal) {
        (DataType::String | DataType::Reference | DataType::Binary, Literal::String(text)) => {
            Ok(Operand::Text(text.clone()))
        }
        (DataType::Boolean, Literal::Boolean(value)) => Ok(Operand::Boolean(*value)),
        (DataType::Integer, Literal::Integer(value)) => Ok(Operand::Integer(*value)),
        (DataType::Decimal, Literal::Decimal(value)) => Ok(Operand::Decimal(*value)),
        (DataType::Decimal, Literal::Integer(value)) => Ok(Operand::Decimal(*value as f64)),
        (DataType::DateTime, Literal::String(text)) => DateTime::parse(text)
            .map(Operand::DateTime)
            .map_err(|error| FilterError::BadDate { path: attribute.to_string(), error }),
        _ => Err(FilterError::WrongLiteral {
            path: attribute.to_string(),
            data_type,
            found: literal.to_string(),
        }),
    }
}

/// RFC 7644 section 3.4.2.2, table 3: booleans and binary values have no order; parts are of texts.
fn fits(operator: Operator, data_type: DataType) -> bool {
    match operator {
        Operator::Equal | Operator::NotEqual => true,
        Operator::Contains | Operator::StartsWith | Operator::EndsWith => {
            matches!(data_type, DataType::String | DataType::Reference)
        }
        Operator::Greater | Operator::GreaterOrEqual | Operator::Less | Operator::LessOrEqual => {
            !matches!(data_type, DataType::Boolean | DataType::Binary)
        }
    }
}

fn wrong_operator(attribute: &AttributeRef, operator: Operator) -> FilterError {
    let data_type = attribute.definition().data_type;
    FilterError::WrongOperator { path: attribute.to_string(), data_type, operator }
}

#[cfg(test)]
mod tests {
    use super::super::FilterSyntax;
    use super::*;
    use crate::scim::date_time::DateTimeError;
    use crate::scim::schema::Attribute;
    use crate::scim::tests::{group, user};

    fn resolve(text: &str) -> Result<TypedFilter, FilterError> {
        TypedFilter::resolve(&Filter::parse(text, &FilterSyntax::default()).unwrap(), &user())
    }

    fn refused(text: &str, expected: FilterError) {
        assert_eq!(resolve(text), Err(expected), "{text}");
    }

    fn compare(path: &str, operator: Operator, operand: Operand) -> TypedFilter {
        TypedFilter::Compare(Comparison { attribute: user().find(path).unwrap(), operator, operand })
    }

    #[test]
    fn literals_take_the_type_of_their_attribute() {
        let text = |text: &str| Operand::Text(text.to_owned());
        let check = |filter: &str, path: &str, operator, operand| {
            assert_eq!(resolve(filter), Ok(compare(path, operator, operand)), "{filter}");
        };
        check("USERNAME eq \"Ab\"", "userName", Operator::Equal, text("ab"));
        check("externalId sw \"Ab\"", "externalId", Operator::StartsWith, text("Ab"));
        check("active ne true", "active", Operator::NotEqual, Operand::Boolean(true));
        check("emails co \"X\"", "emails.value", Operator::Contains, text("x"));
        check("x509Certificates.value eq \"QQ==\"", "x509Certificates.value", Operator::Equal, text("QQ=="));
        check(
            "meta.lastModified ge \"0001-01-03T00:00:00.0000000Z\"",
            "meta.lastModified",
            Operator::GreaterOrEqual,
            Operand::DateTime(DateTime::parse("0001-01-03T00:00:00Z").unwrap()),
        );
        let manager = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager";
        check(&format!("{manager} eq \"26\""), &format!("{manager}.value"), Operator::Equal, text("26"));
    }

    #[test]
    fn binary_values_have_their_case() {
        // caseExact is false where the schema does not say, but base64 without its case is another value.
        let attribute = AttributeRef::new(None, Arc::new(Attribute::new("key", DataType::Binary)));
        let literal = Literal::String("QQ==".to_owned());
        let comparison = super::compare(attribute, Operator::Equal, &literal);
        let is_kept = |operand: &Operand| *operand == Operand::Text("QQ==".to_owned());
        assert!(matches!(comparison, Ok(TypedFilter::Compare(comparison)) if is_kept(&comparison.operand)));
    }

    #[test]
    fn null_asks_whether_there_is_a_value() {
        let title = || user().find("title").unwrap();
        assert_eq!(resolve("title ne null"), Ok(TypedFilter::Present(title())));
        assert_eq!(resolve("title eq null"), Ok(not(TypedFilter::Present(title()))));
        refused(
            "title gt null",
            FilterError::WrongOperator {
                path: "title".into(),
                data_type: DataType::String,
                operator: Operator::Greater,
            },
        );
    }

    #[test]
    fn operators_must_fit_the_type() {
        let check = |path: &str, operator: Operator, literal: &str, data_type| {
            let expected = FilterError::WrongOperator { path: path.to_owned(), data_type, operator };
            refused(&format!("{path} {operator} {literal}"), expected);
        };
        for operator in Operator::ALL.into_iter().skip(2) {
            check("active", operator, "true", DataType::Boolean);
            check("x509Certificates.value", operator, "\"QQ==\"", DataType::Binary);
        }
        for operator in [Operator::Contains, Operator::StartsWith, Operator::EndsWith] {
            check("meta.created", operator, "\"2011\"", DataType::DateTime);
        }
    }

    #[test]
    fn literals_must_fit_the_type() {
        let check = |path: &str, literal: &str, data_type| {
            let expected =
                FilterError::WrongLiteral { path: path.to_owned(), data_type, found: literal.to_owned() };
            refused(&format!("{path} eq {literal}"), expected);
        };
        check("userName", "1", DataType::String);
        check("userName", "true", DataType::String);
        check("active", "\"true\"", DataType::Boolean);
        check("active", "1", DataType::Boolean);
        check("meta.created", "1", DataType::DateTime);
        check("profileUrl", "1", DataType::Reference);
        let error = DateTimeError::Malformed("now".into());
        refused("meta.created gt \"now\"", FilterError::BadDate { path: "meta.created".into(), error });
    }

    #[test]
    fn only_what_exists_and_may_be_seen_can_be_filtered_on() {
        let unknown = |path: &str| FilterError::Unresolved(UnresolvedPath::UnknownAttribute(path.to_owned()));
        refused("nope eq 1", unknown("nope"));
        refused("name.nope pr", unknown("name.nope"));
        refused("emails[nope pr]", unknown("emails.nope"));
        refused("emails[emails.type pr]", unknown("emails[emails.type]"));
        refused("title pr or not (nope pr)", unknown("nope"));
        refused("members pr", unknown("members"));
        for text in
            ["password eq \"x\"", "password pr", "password ne null", "userName pr or password sw \"a\""]
        {
            refused(text, FilterError::NotFilterable { path: "password".into() });
        }
        refused("name eq \"x\"", FilterError::NoValue { path: "name".into() });
        refused("userName[value eq \"x\"]", FilterError::NoBrackets { path: "userName".into() });
        refused("name.familyName[value pr]", FilterError::NoBrackets { path: "name.familyName".into() });
    }

    #[test]
    fn values_that_are_not_complex_are_named_value() {
        let filter = resolve("schemas[value sw \"urn:\"]").unwrap();
        let TypedFilter::ValuePath { attribute, filter } = filter else { panic!() };
        assert!(
            matches!(*filter, TypedFilter::Compare(Comparison { attribute: inner, .. }) if inner == attribute)
        );
    }

    #[test]
    fn a_filter_says_what_it_asks_about() {
        let filter =
            resolve("id pr and not (emails[type eq \"work\"] or NAME.givenName ne null or emails eq \"x\")");
        let filter = filter.unwrap();
        let attributes: Vec<String> = filter.attributes().into_iter().map(ToString::to_string).collect();
        assert_eq!(attributes, ["id", "emails", "name.givenName", "emails.value"]);
    }

    #[test]
    fn over_several_types_an_attribute_that_is_lacking_has_no_value() {
        let both = [user(), group()];
        let check = |text: &str, expected: Option<bool>| {
            let filter = Filter::parse(text, &FilterSyntax::default()).unwrap();
            let of_group = TypedFilter::resolve_each(&filter, &both).map(|filters| filters[1].clone());
            assert_eq!(of_group.ok(), expected.map(TypedFilter::Constant), "{text}");
        };
        check("userName eq \"x\"", Some(false));
        check("userName ne \"x\"", Some(true));
        check("userName pr", Some(false));
        check("userName eq null", Some(true));
        check("userName ne null", Some(false));
        check("userName gt null", None);
        check("emails[type eq \"work\"]", Some(false));
        check("nope eq 1", None);
        check("password pr", None);
    }
}
