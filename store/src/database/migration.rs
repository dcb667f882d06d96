//! The tables, version by version. A database is brought up to date when it is opened, under a lock; it is never taken back.

use crate::sql::Dialect;

/// What brings a database from one version to the next, oldest first. What was released is never edited.
pub(super) const MIGRATIONS: [Migration; 4] = [
    Migration {
        tables: include_str!("migrations/0001_begin.sql"),
        policies: include_str!("migrations/postgres/0001_begin.sql"),
    },
    Migration {
        tables: include_str!("migrations/0002_tally.sql"),
        policies: include_str!("migrations/postgres/0002_tally.sql"),
    },
    Migration {
        tables: include_str!("migrations/0003_roles.sql"),
        policies: include_str!("migrations/postgres/0003_roles.sql"),
    },
    // No table, and so no policy.
    Migration { tables: include_str!("migrations/0004_idempotency.sql"), policies: "" },
];

/// A step from one version to the next.
pub(super) struct Migration {
    /// The tables, for both databases.
    tables: &'static str,
    /// What PostgreSQL has beside: who may see which rows. Every table with a tenant needs it.
    policies: &'static str,
}

impl Migration {
    /// Its statements.
    pub(super) fn text(&self, dialect: Dialect) -> String {
        let Self { tables, policies } = self;
        match dialect {
            Dialect::Sqlite => tables.replace(" BYTEA", " BLOB"),
            // Texts are ordered by code points, as in SQLite, and not by the rules of a language.
            Dialect::Postgres => format!("{}\n{policies}", tables.replace(" TEXT", " TEXT COLLATE \"C\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_database_has_its_own_words() {
        let migration = Migration { tables: "a BYTEA, b TEXT", policies: "POLICY" };
        assert_eq!(migration.text(Dialect::Sqlite), "a BLOB, b TEXT");
        assert_eq!(migration.text(Dialect::Postgres), "a BYTEA, b TEXT COLLATE \"C\"\nPOLICY");
    }
}
