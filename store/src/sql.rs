//! Statements: SQL text and parameters, for both databases. Whatever comes from outside is a parameter and never a part of the text.

use std::fmt::{self, Write};

/// What the two databases write differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL, and databases that speak its protocol.
    Postgres,
}

/// How many values a list has one by one in SQLite.
const SHORT_LIST: usize = 64;

impl Dialect {
    /// How many values the list of a statement may have: [`Statement::among`]. In SQLite any number, since a longer one is one parameter.
    pub const fn list(self) -> usize {
        match self {
            Self::Sqlite => usize::MAX,
            Self::Postgres => 500,
        }
    }
}

/// The value of a parameter or of a column.
#[derive(Clone, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// An integer; a boolean is 0 or 1.
    Integer(i64),
    /// Text.
    Text(String),
    /// Octets.
    Blob(Vec<u8>),
}

impl fmt::Debug for Cell {
    /// Values are personal data: their kind is shown, and nothing more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Integer(_) => "Integer",
            Self::Text(_) => "Text",
            Self::Blob(_) => "Blob",
        })
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<u8>> for Cell {
    fn from(value: Vec<u8>) -> Self {
        Self::Blob(value)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row that a statement returned.
#[derive(Debug, Clone, PartialEq)]
pub struct Row(pub Vec<Cell>);

/// A column has another type than the statement says, or is not there: the database is not ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected column {column} of a row to be {expected}")]
pub struct RowError {
    column: usize,
    expected: &'static str,
}

impl Row {
    /// The text in a column, counted from 0.
    ///
    /// # Errors
    /// If it is not text.
    pub fn text(&self, column: usize) -> Result<&str, RowError> {
        self.optional_text(column)?.ok_or(RowError { column, expected: "text" })
    }

    /// The text in a column, if it is not NULL.
    ///
    /// # Errors
    /// If it is neither.
    pub fn optional_text(&self, column: usize) -> Result<Option<&str>, RowError> {
        match self.0.get(column) {
            Some(Cell::Text(text)) => Ok(Some(text)),
            Some(Cell::Null) => Ok(None),
            _ => Err(RowError { column, expected: "text or NULL" }),
        }
    }

    /// The integer in a column.
    ///
    /// # Errors
    /// If it is not an integer.
    pub fn integer(&self, column: usize) -> Result<i64, RowError> {
        self.optional_integer(column)?.ok_or(RowError { column, expected: "an integer" })
    }

    /// The integer in a column, if it is not NULL.
    ///
    /// # Errors
    /// If it is neither.
    pub fn optional_integer(&self, column: usize) -> Result<Option<i64>, RowError> {
        match self.0.get(column) {
            Some(Cell::Integer(integer)) => Ok(Some(*integer)),
            Some(Cell::Null) => Ok(None),
            _ => Err(RowError { column, expected: "an integer or NULL" }),
        }
    }

    /// The octets in a column.
    ///
    /// # Errors
    /// If it has none.
    pub fn blob(&self, column: usize) -> Result<&[u8], RowError> {
        match self.0.get(column) {
            Some(Cell::Blob(octets)) => Ok(octets),
            _ => Err(RowError { column, expected: "octets" }),
        }
    }
}

/// SQL text with its parameters.
#[derive(Clone, PartialEq)]
pub struct Statement {
    dialect: Dialect,
    text: String,
    parameters: Vec<Cell>,
}

impl Statement {
    /// One that begins so.
    pub fn new(dialect: Dialect, text: &'static str) -> Self {
        Self { dialect, text: text.to_owned(), parameters: Vec::new() }
    }

    /// Goes on with a piece of SQL of our own.
    #[must_use]
    pub fn sql(mut self, text: &'static str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Goes on with a parameter.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Cell>) -> Self {
        self.push(value.into());
        self
    }

    /// Goes on with parameters between commas.
    #[must_use]
    pub fn bind_all<T: Into<Cell>>(mut self, values: impl IntoIterator<Item = T>) -> Self {
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.text.push_str(", ");
            }
            self.push(value.into());
        }
        self
    }

    /// Goes on with the texts that stand between the brackets of `IN`. A database bounds the number of parameters, and SQLite on Cloudflare
    /// by 100: there a longer list is JSON, which is one.
    #[must_use]
    pub fn among<T: AsRef<str>>(self, values: &[T]) -> Self {
        let texts = || values.iter().map(AsRef::as_ref);
        if self.dialect == Dialect::Sqlite && values.len() > SHORT_LIST {
            let list: serde_json::Value = texts().collect();
            return self.sql("SELECT value FROM json_each(").bind(list.to_string()).sql(")");
        }
        self.bind_all(texts())
    }

    /// Goes on with another one, whose parameters are counted on.
    #[must_use]
    pub fn append(mut self, pieces: &[Piece]) -> Self {
        for piece in pieces {
            match piece {
                Piece::Sql(text) => self.text.push_str(text),
                Piece::Bind(value) => self.push(value.clone()),
            }
        }
        self
    }

    /// What keeps others from changing the rows that were read, until the transaction ends. In SQLite there is one writer anyway.
    #[must_use]
    pub fn for_update(self) -> Self {
        match self.dialect {
            Dialect::Sqlite => self,
            Dialect::Postgres => self.sql(" FOR UPDATE"),
        }
    }

    fn push(&mut self, value: Cell) {
        self.parameters.push(value);
        let sign = match self.dialect {
            Dialect::Sqlite => '?',
            Dialect::Postgres => '$',
        };
        // Writing to a String does not fail.
        let _ = write!(self.text, "{sign}{}", self.parameters.len());
    }

    /// The database that it is for.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The text, with `?1` or `$1` in place of parameters.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The parameters, to be put as a database has them.
    pub(crate) fn parameters_mut(&mut self) -> &mut [Cell] {
        &mut self.parameters
    }

    /// The parameters.
    pub fn parameters(&self) -> &[Cell] {
        &self.parameters
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A part of a statement that is made before its place is known.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// SQL of our own.
    Sql(&'static str),
    /// A parameter.
    Bind(Cell),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_as_each_database_does() {
        for (dialect, expected) in [
            (Dialect::Sqlite, "SELECT a FROM t WHERE b = ?1 AND c IN (?2, ?3) AND d = ?4"),
            (Dialect::Postgres, "SELECT a FROM t WHERE b = $1 AND c IN ($2, $3) AND d = $4 FOR UPDATE"),
        ] {
            let statement = Statement::new(dialect, "SELECT a FROM t WHERE b = ")
                .bind("x")
                .sql(" AND c IN (")
                .bind_all([1, 2])
                .sql(")")
                .append(&[Piece::Sql(" AND d = "), Piece::Bind(Cell::Null)])
                .for_update();
            assert_eq!(statement.text(), expected);
            assert_eq!(statement.parameters().len(), 4);
        }
    }

    #[test]
    fn a_long_list_is_one_parameter_in_sqlite() {
        let values: Vec<String> = (0..SHORT_LIST + 1).map(|number| number.to_string()).collect();
        let list = |dialect, values: &[String]| Statement::new(dialect, "IN (").among(values).sql(")");
        let long = list(Dialect::Sqlite, &values);
        assert_eq!(long.text(), "IN (SELECT value FROM json_each(?1))");
        assert_eq!(long.parameters().len(), 1);
        assert_eq!(list(Dialect::Sqlite, &values[1..]).parameters().len(), SHORT_LIST);
        assert_eq!(list(Dialect::Postgres, &values).parameters().len(), SHORT_LIST + 1);
    }

    #[test]
    fn values_are_not_shown() {
        let statement = Statement::new(Dialect::Sqlite, "SELECT ").bind("secret");
        assert!(!format!("{statement:?} {:?}", statement.parameters()).contains("secret"));
    }

    #[test]
    fn a_column_of_another_type_is_an_error() {
        let row = Row(vec![Cell::Null, 7.into(), "x".into(), vec![1].into()]);
        assert_eq!(row.optional_text(0), Ok(None));
        assert_eq!(row.integer(1), Ok(7));
        assert_eq!(row.text(2), Ok("x"));
        assert_eq!(row.blob(3), Ok(&[1][..]));
        for (found, expected) in [
            (row.text(0).map(drop), "expected column 0 of a row to be text"),
            (row.integer(2).map(drop), "expected column 2 of a row to be an integer or NULL"),
            (row.text(9).map(drop), "expected column 9 of a row to be text or NULL"),
            (row.blob(2).map(drop), "expected column 2 of a row to be octets"),
        ] {
            assert_eq!(found.unwrap_err().to_string(), expected);
        }
    }
}
