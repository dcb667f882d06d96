//! The tables, version by version. A database is brought up to date when it is opened, under a lock; it is never taken back.

use crate::sql::Dialect;

/// What brings a database from one version to the next, oldest first. What was released is never edited.
pub(super) const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_begin.sql")];

/// The statements of a migration.
pub(super) fn text(migration: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::Sqlite => migration.replace(" BYTEA", " BLOB"),
        // Texts are ordered by code points, as in SQLite, and not by the rules of a language.
        Dialect::Postgres => migration.replace(" TEXT", " TEXT COLLATE \"C\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_database_has_its_own_words() {
        let text = |dialect| text("a BYTEA, b TEXT", dialect);
        assert_eq!(text(Dialect::Sqlite), "a BLOB, b TEXT");
        assert_eq!(text(Dialect::Postgres), "a BYTEA, b TEXT COLLATE \"C\"");
    }
}
