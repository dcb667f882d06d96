//! Filters as SQL, as far as columns and tables go.

use super::layout::{Column, EmailColumn, Layout, Place};
use crate::database::Bounds;
use crate::sql::{Cell, Piece};
use doorward::scim::{Comparison, Operand, Operator, TypedFilter};

/// A condition in SQL that holds wherever the filter does. It is never NULL, so that it can be turned around.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicate {
    /// An expression on the table `r`.
    pub pieces: Vec<Piece>,
    /// Whether the filter holds wherever it does. If not, what it finds must be held against the filter.
    pub exact: bool,
    /// Whether it finds few, by an index: then the index is worth more than an order that is there already.
    pub selective: bool,
    /// How deep the expression is at most.
    depth: usize,
}

/// How deep one comparison is at most.
const COMPARISON: usize = 8;
/// What a statement has beside its predicate: parameters, and the depth of its expression.
const BESIDE: usize = 12;

impl Predicate {
    /// Of a filter, for one tenant; none if SQL cannot help.
    pub fn of(filter: &TypedFilter, layout: &Layout, tenant: &str) -> Option<Self> {
        Compiler { layout, tenant }.compile(filter)
    }

    /// Whether a statement of a database with these bounds may have it.
    pub fn fits(&self, bounds: Bounds) -> bool {
        let parameters = self.pieces.iter().filter(|piece| matches!(piece, Piece::Bind(_))).count();
        parameters.saturating_add(BESIDE) <= bounds.parameters
            && self.depth.saturating_add(BESIDE) <= bounds.depth
    }

    fn exact(pieces: Vec<Piece>) -> Option<Self> {
        Some(Self { pieces, exact: true, selective: false, depth: COMPARISON })
    }

    fn selective(pieces: Vec<Piece>) -> Option<Self> {
        Some(Self { pieces, exact: true, selective: true, depth: COMPARISON })
    }
}

struct Compiler<'c> {
    layout: &'c Layout,
    tenant: &'c str,
}

impl Compiler<'_> {
    fn compile(&self, filter: &TypedFilter) -> Option<Predicate> {
        match filter {
            TypedFilter::And(parts) => self.all(parts),
            TypedFilter::Or(parts) => self.any(parts),
            TypedFilter::Not(part) => {
                let part = self.compile(part).filter(|part| part.exact)?;
                let depth = part.depth.saturating_add(1);
                Some(Predicate { pieces: around("NOT (", part.pieces, ")"), selective: false, depth, ..part })
            }
            TypedFilter::Compare(comparison) => self.compare(comparison),
            TypedFilter::Present(attribute) => match self.layout.place(attribute)? {
                Place::Column(column) => Predicate::exact(present(column)),
                Place::Email(_) | Place::Member | Place::Group => None,
            },
            TypedFilter::ValuePath { attribute, filter } => self.email_with(attribute, filter),
            TypedFilter::Constant(value) => {
                Predicate::exact(vec![Piece::Sql(if *value { "1 = 1" } else { "1 = 0" })])
            }
        }
    }

    /// What SQL cannot say is left out: then the rest still holds wherever all of it does.
    fn all(&self, parts: &[TypedFilter]) -> Option<Predicate> {
        let compiled: Vec<_> = parts.iter().map(|part| self.compile(part)).collect();
        let exact = compiled.iter().all(|part| part.as_ref().is_some_and(|part| part.exact));
        let known: Vec<_> = compiled.into_iter().flatten().collect();
        let selective = known.iter().any(|part| part.selective);
        let depth = depth_of(&known);
        let known: Vec<_> = known.into_iter().map(|part| part.pieces).collect();
        let is_empty = known.is_empty();
        (!is_empty).then(|| Predicate { pieces: joined(known, " AND "), exact, selective, depth })
    }

    fn any(&self, parts: &[TypedFilter]) -> Option<Predicate> {
        let compiled = parts.iter().map(|part| self.compile(part)).collect::<Option<Vec<_>>>()?;
        let exact = compiled.iter().all(|part| part.exact);
        let selective = compiled.iter().all(|part| part.selective);
        let depth = depth_of(&compiled);
        let pieces = joined(compiled.into_iter().map(|part| part.pieces).collect(), " OR ");
        Some(Predicate { pieces, exact, selective, depth })
    }

    fn compare(&self, comparison: &Comparison) -> Option<Predicate> {
        let Comparison { attribute, operator, operand } = comparison;
        let place = self.layout.place(attribute)?;
        match (place, operand) {
            (Place::Column(column), Operand::Text(text)) => compare_text(column.name(), *operator, text),
            (Place::Column(column), Operand::Boolean(value)) => {
                compare_number(column.name(), *operator, i64::from(*value))
            }
            (Place::Column(column), Operand::DateTime(instant)) => {
                compare_number(column.name(), *operator, instant.as_unix_micros())
            }
            (Place::Email(EmailColumn::Value), Operand::Text(text)) if *operator == Operator::Equal => {
                Predicate::selective(self.email(text, None))
            }
            (Place::Member, Operand::Text(text)) if *operator == Operator::Equal => {
                Predicate::selective(vec![
                    Piece::Sql("r.id IN (SELECT m.group_id FROM member m WHERE m.tenant = "),
                    Piece::Bind(self.tenant.into()),
                    Piece::Sql(" AND m.value = "),
                    Piece::Bind(text.as_str().into()),
                    Piece::Sql(")"),
                ])
            }
            (Place::Group, Operand::Text(text)) if *operator == Operator::Equal => {
                Predicate::selective(vec![
                    Piece::Sql("r.id IN (SELECT m.value FROM member m WHERE m.tenant = "),
                    Piece::Bind(self.tenant.into()),
                    Piece::Sql(" AND m.group_id = "),
                    Piece::Bind(text.as_str().into()),
                    Piece::Sql(")"),
                ])
            }
            _ => None,
        }
    }

    /// `emails[type eq "work" and value eq "x"]`. Of anything else in the brackets, what is said about the value alone helps.
    fn email_with(
        &self,
        attribute: &doorward::scim::AttributeRef,
        filter: &TypedFilter,
    ) -> Option<Predicate> {
        let alone = [filter.clone()];
        let parts = if let TypedFilter::And(parts) = filter { parts.as_slice() } else { &alone };
        let (mut value, mut kind, mut exact) = (None, None, true);
        for part in parts {
            let mut place = None;
            if let TypedFilter::Compare(comparison) = part
                && comparison.operator == Operator::Equal
            {
                place = self.layout.place(&comparison.attribute).zip(Some(&comparison.operand));
            }
            match place {
                Some((Place::Email(EmailColumn::Value), Operand::Text(text))) if value.is_none() => {
                    value = Some(text);
                }
                Some((Place::Email(EmailColumn::Kind), Operand::Text(text))) if kind.is_none() => {
                    kind = Some(text);
                }
                // A member is found by its value alone.
                Some((Place::Member, Operand::Text(text))) if parts.len() == 1 => {
                    let equal = Comparison {
                        attribute: attribute.sub("value").ok()?,
                        operator: Operator::Equal,
                        operand: Operand::Text(text.clone()),
                    };
                    return self.compare(&equal);
                }
                _ => exact = false,
            }
        }
        let pieces = self.email(value?, kind.map(String::as_str));
        Some(Predicate { pieces, exact, selective: true, depth: COMPARISON })
    }

    fn email(&self, value: &str, kind: Option<&str>) -> Vec<Piece> {
        let mut pieces = vec![
            Piece::Sql("r.id IN (SELECT e.id FROM email e WHERE e.tenant = "),
            Piece::Bind(self.tenant.into()),
            Piece::Sql(" AND e.value = "),
            Piece::Bind(value.into()),
        ];
        if let Some(kind) = kind {
            pieces.extend([Piece::Sql(" AND e.kind = "), Piece::Bind(kind.into())]);
        }
        pieces.push(Piece::Sql(")"));
        pieces
    }
}

fn present(column: Column) -> Vec<Piece> {
    let name = Piece::Sql(column.name());
    match column {
        Column::Active | Column::Created | Column::Modified => vec![name, Piece::Sql(" IS NOT NULL")],
        Column::Id | Column::UserName | Column::ExternalId | Column::DisplayName => {
            vec![Piece::Sql("("), name.clone(), Piece::Sql(" IS NOT NULL AND "), name, Piece::Sql(" <> '')")]
        }
    }
}

/// The signs that mean in SQL what operators mean; none for parts of texts.
fn sign(operator: Operator) -> Option<&'static str> {
    match operator {
        Operator::Equal => Some(" = "),
        Operator::NotEqual => Some(" <> "),
        Operator::Greater => Some(" > "),
        Operator::GreaterOrEqual => Some(" >= "),
        Operator::Less => Some(" < "),
        Operator::LessOrEqual => Some(" <= "),
        Operator::Contains | Operator::StartsWith | Operator::EndsWith => None,
    }
}

fn compare_number(column: &'static str, operator: Operator, value: i64) -> Option<Predicate> {
    Predicate::exact(compared(column, operator, sign(operator)?, value.into()))
}

fn compare_text(column: &'static str, operator: Operator, text: &str) -> Option<Predicate> {
    // PostgreSQL has no texts with this character, and SQLite does not look behind it.
    if text.contains('\0') {
        return None;
    }
    if let Some(sign) = sign(operator) {
        let pieces = compared(column, operator, sign, text.into());
        let selective = operator == Operator::Equal;
        return Some(Predicate { pieces, exact: true, selective, depth: COMPARISON });
    }
    let bind = || Piece::Bind(text.into());
    let mut pieces = vec![Piece::Sql("("), Piece::Sql(column), Piece::Sql(" IS NOT NULL AND ")];
    // In words that both databases have; LIKE would take `%` and `_` for signs.
    match operator {
        // The lower bound alone an index can answer.
        Operator::StartsWith => pieces.extend([
            Piece::Sql(column),
            Piece::Sql(" >= "),
            bind(),
            Piece::Sql(" AND substr("),
            Piece::Sql(column),
            Piece::Sql(", 1, length("),
            bind(),
            Piece::Sql(")) = "),
            bind(),
        ]),
        // A longer text would begin before the column does.
        Operator::EndsWith => pieces.extend([
            Piece::Sql("length("),
            Piece::Sql(column),
            Piece::Sql(") >= length("),
            bind(),
            Piece::Sql(") AND substr("),
            Piece::Sql(column),
            Piece::Sql(", length("),
            Piece::Sql(column),
            Piece::Sql(") - length("),
            bind(),
            Piece::Sql(") + 1) = "),
            bind(),
        ]),
        Operator::Contains if text.is_empty() => pieces.push(Piece::Sql("1 = 1")),
        Operator::Contains => pieces.extend([
            Piece::Sql("length("),
            Piece::Sql(column),
            Piece::Sql(") > length(replace("),
            Piece::Sql(column),
            Piece::Sql(", "),
            bind(),
            Piece::Sql(", ''))"),
        ]),
        Operator::Equal
        | Operator::NotEqual
        | Operator::Greater
        | Operator::GreaterOrEqual
        | Operator::Less
        | Operator::LessOrEqual => return None,
    }
    pieces.push(Piece::Sql(")"));
    Predicate::exact(pieces)
}

fn compared(column: &'static str, operator: Operator, sign: &'static str, value: Cell) -> Vec<Piece> {
    // An absent value is not equal to any, and is nothing else.
    let absent = if operator == Operator::NotEqual { " IS NULL OR " } else { " IS NOT NULL AND " };
    vec![
        Piece::Sql("("),
        Piece::Sql(column),
        Piece::Sql(absent),
        Piece::Sql(column),
        Piece::Sql(sign),
        Piece::Bind(value),
        Piece::Sql(")"),
    ]
}

/// Of these in a row: each is one deeper than the one before.
fn depth_of(parts: &[Predicate]) -> usize {
    let deepest = parts.iter().map(|part| part.depth).max().unwrap_or_default();
    deepest.saturating_add(parts.len())
}

fn joined(parts: Vec<Vec<Piece>>, between: &'static str) -> Vec<Piece> {
    let mut pieces = vec![Piece::Sql("(")];
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            pieces.push(Piece::Sql(between));
        }
        pieces.extend(part);
    }
    pieces.push(Piece::Sql(")"));
    pieces
}

fn around(before: &'static str, mut pieces: Vec<Piece>, after: &'static str) -> Vec<Piece> {
    pieces.insert(0, Piece::Sql(before));
    pieces.push(Piece::Sql(after));
    pieces
}
