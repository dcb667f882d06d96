//! Values as PostgreSQL has them: BIGINT, TEXT, BYTEA, NULL.

use crate::sql::Cell;
use bytes::BytesMut;
use std::error::Error;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

type Fallible<T> = Result<T, Box<dyn Error + Sync + Send>>;

/// The type that a parameter of this value is said to have. Not what the server would guess: it takes the `$1` of `$1 + 1` for an
/// INTEGER of 32 bits. For NULL the server has to guess.
pub(super) fn type_of(cell: &Cell) -> Type {
    match cell {
        Cell::Null => Type::UNKNOWN,
        Cell::Integer(_) => Type::INT8,
        Cell::Text(_) => Type::TEXT,
        Cell::Blob(_) => Type::BYTEA,
    }
}

/// Whether a statement that was prepared for such parameters takes these.
pub(super) fn fit(types: &[Type], cells: &[Cell]) -> bool {
    types.len() == cells.len()
        && types.iter().zip(cells).all(|(r#type, cell)| *cell == Cell::Null || *r#type == type_of(cell))
}

impl ToSql for Cell {
    fn to_sql(&self, r#type: &Type, out: &mut BytesMut) -> Fallible<IsNull> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(integer) => integer.to_sql(r#type, out),
            Self::Text(text) => text.to_sql(r#type, out),
            Self::Blob(octets) => octets.to_sql(r#type, out),
        }
    }

    // NULL is of every type; that the others are of theirs is seen to by `fit`.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell {
    fn from_sql(r#type: &Type, raw: &'a [u8]) -> Fallible<Self> {
        Ok(match *r#type {
            Type::INT8 => Self::Integer(i64::from_sql(r#type, raw)?),
            Type::INT4 => Self::Integer(i32::from_sql(r#type, raw)?.into()),
            Type::BOOL => bool::from_sql(r#type, raw)?.into(),
            Type::BYTEA => Self::Blob(raw.to_vec()),
            _ => Self::Text(String::from_sql(r#type, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Fallible<Self> {
        Ok(Self::Null)
    }

    fn accepts(r#type: &Type) -> bool {
        matches!(*r#type, Type::INT8 | Type::INT4 | Type::BOOL | Type::BYTEA)
            || <String as FromSql<'_>>::accepts(r#type)
    }
}
