//! Filters: RFC 7644 section 3.4.2.2.
//!
//! [`Filter`] is what was written; held against a resource type it becomes a typed filter, which is evaluated here or
//! compiled to a query by a store. A filter that is at fault in any way is an error, never one that matches
//! everything.

mod evaluate;
mod parse;
mod print;
mod typed;

pub(super) use parse::parse_value_path;
pub use typed::{Comparison, Operand, TypedFilter};

use super::attr_path::{AttrPath, AttrPathError};
use super::date_time::DateTimeError;
use super::resource_type::UnresolvedPath;
use super::schema::DataType;

/// A filter as written. What it names may not exist.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of these, two or more.
    And(Vec<Filter>),
    /// At least one of these, two or more.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// `path operator literal`.
    Compare {
        /// The attribute.
        path: AttrPath,
        /// How it is compared.
        operator: Operator,
        /// With what.
        literal: Literal,
    },
    /// `path pr`.
    Present {
        /// The attribute.
        path: AttrPath,
    },
    /// `path[filter]`: one value of the attribute matches all of the filter.
    ValuePath {
        /// The attribute.
        path: AttrPath,
        /// What is said of its sub-attributes; holds no further value path.
        filter: Box<Filter>,
    },
}

/// The operators that compare (RFC 7644 section 3.4.2.2, table 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `eq`: equal.
    Equal,
    /// `ne`: not equal.
    NotEqual,
    /// `co`: contains.
    Contains,
    /// `sw`: starts with.
    StartsWith,
    /// `ew`: ends with.
    EndsWith,
    /// `gt`: greater than.
    Greater,
    /// `ge`: greater than or equal to.
    GreaterOrEqual,
    /// `lt`: less than.
    Less,
    /// `le`: less than or equal to.
    LessOrEqual,
}

impl Operator {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Equal,
        Self::NotEqual,
        Self::Contains,
        Self::StartsWith,
        Self::EndsWith,
        Self::Greater,
        Self::GreaterOrEqual,
        Self::Less,
        Self::LessOrEqual,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "eq",
            Self::NotEqual => "ne",
            Self::Contains => "co",
            Self::StartsWith => "sw",
            Self::EndsWith => "ew",
            Self::Greater => "gt",
            Self::GreaterOrEqual => "ge",
            Self::Less => "lt",
            Self::LessOrEqual => "le",
        }
    }

    /// The operator of a word, in any case.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.as_str().eq_ignore_ascii_case(word))
    }
}

/// What an attribute is compared with (RFC 7644 section 3.4.2.2, `compValue`).
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number without fraction and exponent.
    Integer(i64),
    /// Any other number; finite.
    Decimal(f64),
    /// A string, its escapes resolved.
    String(String),
}

/// How a filter is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterSyntax {
    /// The longest filter, in bytes.
    pub max_length: usize,
    /// Brackets inside each other, round and square, the outermost counted.
    pub max_depth: usize,
    /// Takes a word without quotes as a string (`externalId eq jyoung`), against the grammar.
    pub unquoted_strings: bool,
}

impl Default for FilterSyntax {
    /// 8 KiB, 16 levels, and the grammar as it is.
    fn default() -> Self {
        Self { max_length: 8192, max_depth: 16, unquoted_strings: false }
    }
}

/// Why a filter was refused. Columns are bytes, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// Longer than [`FilterSyntax::max_length`].
    #[error("expected a filter of at most {limit} bytes, but found {found}")]
    TooLong {
        /// The bound.
        limit: usize,
        /// How long it is.
        found: usize,
    },
    /// Deeper than [`FilterSyntax::max_depth`].
    #[error("expected brackets at most {limit} deep, but found more at column {column}")]
    TooDeep {
        /// The bound.
        limit: usize,
        /// Where the bracket is that is too much.
        column: usize,
    },
    /// Not of the grammar.
    #[error("expected {expected} at column {column}, but found {found}")]
    Syntax {
        /// What could have stood there.
        expected: &'static str,
        /// What stands there, shortened.
        found: String,
        /// Where.
        column: usize,
    },
    /// The path to an attribute is not one.
    #[error("at column {column}: {error}")]
    Path {
        /// Why.
        error: AttrPathError,
        /// Where it begins.
        column: usize,
    },
    /// An attribute that is not there.
    #[error(transparent)]
    Unresolved(#[from] UnresolvedPath),
    /// An attribute that the client may never see.
    #[error("expected an attribute that can be filtered on, but found {path:?}")]
    NotFilterable {
        /// The attribute.
        path: String,
    },
    /// The attribute is complex and has no sub-attribute `value` to compare.
    #[error("expected a sub-attribute of {path:?} to compare, but found none")]
    NoValue {
        /// The attribute.
        path: String,
    },
    /// Brackets after an attribute that is neither complex nor multi-valued.
    #[error("expected a complex or multi-valued attribute before \"[\", but found {path:?}")]
    NoBrackets {
        /// The attribute.
        path: String,
    },
    /// An operator that values of this type do not have.
    #[error("expected an operator for a value of type {data_type}, but found {operator} after {path:?}")]
    WrongOperator {
        /// The attribute.
        path: String,
        /// Its type.
        data_type: DataType,
        /// The operator.
        operator: Operator,
    },
    /// A literal that is no value of this type.
    #[error("expected a value of type {data_type} for {path:?}, but found {found}")]
    WrongLiteral {
        /// The attribute.
        path: String,
        /// Its type.
        data_type: DataType,
        /// The literal.
        found: String,
    },
    /// Not a date.
    #[error("{path}: {error}")]
    BadDate {
        /// The attribute.
        path: String,
        /// What was expected.
        error: DateTimeError,
    },
}
