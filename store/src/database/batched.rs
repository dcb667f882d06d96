//! A database that does batches and nothing else, as Cloudflare's D1: statements go in together, in one transaction, and nobody decides
//! anything between them. So what a unit decides is put into the batch: statements that fail where it must not go on, by which everything
//! before them is undone.

use super::{
    Bounds, Database, DatabaseError, Guard, MaybeSend, MaybeSync, Scope, Step, Unit, WriteError, Written,
    chain,
};
use crate::audit::{Head, START};
use crate::sql::{Cell, Dialect, Row, Statement};
use std::fmt;
use std::future::Future;
use std::str::FromStr;

/// How often a unit is tried that others came before.
const ATTEMPTS: usize = 16;
/// The largest integer that JavaScript has no neighbour's name for.
const MAX_INTEGER: i64 = (1 << 53) - 1;
/// What the texts of failures of our own making have in them.
const MARK: &str = "doorward:";

/// What does batches. In WebAssembly nothing of it need be [`Send`].
pub trait Batches: MaybeSend + MaybeSync + 'static {
    /// Does statements of SQLite, in their order and in one transaction. The first that fails undoes all, and its text is the error. Foreign
    /// keys are enforced.
    fn batch(
        &self,
        statements: Vec<Statement>,
    ) -> impl Future<Output = Result<Vec<Outcome>, BatchError>> + MaybeSend;
}

/// What a statement of a batch came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The rows that it returned, each with its columns in their order. No two columns of a statement have the same name.
    pub rows: Vec<Row>,
    /// How many rows it changed: what the function `changes()` of SQLite says after it.
    pub changed: u64,
}

/// Why a batch was not done, as D1 says it: if SQLite did not do it, the text has the name of SQLite's code in it, such as
/// `SQLITE_CONSTRAINT`. Any other text is of something on the way to it, which passes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BatchError(pub String);

/// A database over batches. Its tables are made by whoever has it, of the files in `store/src/database/migrations`.
#[derive(Debug)]
pub struct Batched<B> {
    batches: B,
    attempts: usize,
}

impl<B: Batches> Batched<B> {
    /// Over these.
    pub const fn new(batches: B) -> Self {
        Self { batches, attempts: ATTEMPTS }
    }

    /// Tries a unit so often, instead of 16 times, if another change of the tenant comes first each time. Each time is two batches.
    #[must_use]
    pub fn attempts(self, attempts: usize) -> Self {
        Self { attempts, ..self }
    }

    async fn batch(&self, mut statements: Vec<Statement>) -> Result<Vec<Outcome>, BatchError> {
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        for parameter in statements.iter_mut().flat_map(Statement::parameters_mut) {
            // Beyond are only bounds, and times from the year 2255 on: of those that are asked about none is there, and a token that is to
            // expire later expires then.
            if let Cell::Integer(integer) = parameter {
                *integer = (*integer).clamp(-MAX_INTEGER, MAX_INTEGER);
            }
        }
        let count = statements.len();
        let outcomes = self.batches.batch(statements).await?;
        if outcomes.len() == count {
            return Ok(outcomes);
        }
        let found = outcomes.len();
        Err(BatchError(format!("SQLITE_MISUSE: expected {count} outcomes of a batch, but found {found}")))
    }

    /// Tries to write a unit; none if another change came first.
    async fn try_write(&self, unit: &Unit) -> Result<Option<Written>, WriteError> {
        let (head, version_before) = self.before(unit).await?;
        // Consequences of the steps before this place are left out: nothing had changed there.
        let mut from = 0;
        loop {
            let (sequence, statements) = plan(unit, head, version_before, from)?;
            let Err(error) = self.batch(statements).await else {
                return Ok(Some(Written { changed: true, version_before, sequence }));
            };
            match Reason::of(&error) {
                None => return Err(error.into()),
                Some(Reason::Moved) => return Ok(None),
                Some(Reason::Missing) => return Err(WriteError::Missing),
                Some(Reason::NothingFound(place)) => return Err(WriteError::NothingFound(place)),
                Some(Reason::Unchanged(place)) => {
                    let after = unit.steps.get(place..).unwrap_or_default();
                    if after.iter().all(|step| matches!(step, Step::Consequence(_))) {
                        let sequence = head.ok_or(WriteError::Missing)?.sequence;
                        return Ok(Some(Written { changed: false, version_before, sequence }));
                    }
                    from = place.saturating_add(1);
                }
            }
        }
    }

    /// The head of the tenant's chain and the version of the resource, as of one moment.
    async fn before(&self, unit: &Unit) -> Result<(Option<Head>, Option<i64>), WriteError> {
        let mut statements = vec![chain::head(Dialect::Sqlite, &unit.tenant)];
        if let Guard::Version { statement, .. } = &unit.guard {
            statements.push(statement.clone());
        }
        let outcomes = self.batch(statements).await?;
        let mut rows = outcomes.iter().map(|outcome| outcome.rows.as_slice());
        let head = chain::read_head(rows.next().unwrap_or_default())?;
        let version = match &unit.guard {
            Guard::New => None,
            Guard::Version { expected, .. } => {
                Some(Guard::check(rows.next().unwrap_or_default(), *expected)?)
            }
        };
        Ok((head, version))
    }
}

impl<B: Batches> Database for Batched<B> {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn bounds(&self) -> Bounds {
        Bounds::NARROW
    }

    async fn read(&self, _: Scope<'_>, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>, DatabaseError> {
        match self.batch(statements).await {
            Ok(outcomes) => Ok(outcomes.into_iter().map(|outcome| outcome.rows).collect()),
            Err(error) => Err(error.into()),
        }
    }

    async fn write(&self, unit: Unit) -> Result<Written, WriteError> {
        for _ in 0..self.attempts {
            if let Some(written) = self.try_write(&unit).await? {
                return Ok(written);
            }
        }
        Err(DatabaseError::Unavailable("too many writes at once: others came first each time".to_owned())
            .into())
    }

    async fn administer(&self, statements: Vec<Statement>) -> Result<bool, WriteError> {
        Ok(self.batch(statements).await?.iter().any(|outcome| outcome.changed > 0))
    }
}

/// The batch that writes a unit, or fails for a [`Reason`]; and the place of its record.
///
/// The tenant's row says how far the batch has come: its place in the chain is counted up as soon as something has changed, and its hash
/// is written last.
fn plan(
    unit: &Unit,
    head: Option<Head>,
    version_before: Option<i64>,
    from: usize,
) -> Result<(i64, Vec<Statement>), DatabaseError> {
    let before = head.unwrap_or(Head::START);
    let (after, record) = chain::extend(Dialect::Sqlite, unit, before, version_before)?;
    let mut statements = Vec::new();
    if head.is_some() {
        statements.push(fail_unless_head(Reason::Moved, &unit.tenant, Some(before.sequence), before.hash));
    }
    // Whether what comes next is only done if something has changed.
    let mut has_changed = false;
    let unchanged = |place| fail_unless_counted(Reason::Unchanged(place), &unit.tenant, after.sequence);
    for (place, step) in unit.steps.iter().enumerate() {
        match step {
            Step::Change(statement) => {
                statements.push(statement.clone());
                if !has_changed {
                    statements.push(count(&unit.tenant, after.sequence));
                }
            }
            Step::Required(statement) => {
                statements.extend([statement.clone(), fail_if_nothing(Reason::NothingFound(place))]);
                has_changed = true;
            }
            Step::Consequence(_) if !has_changed && place < from => {}
            Step::Consequence(statement) => {
                if !has_changed {
                    statements.push(unchanged(place));
                }
                statements.push(statement.clone());
                has_changed = true;
            }
        }
    }
    if !has_changed {
        statements.push(unchanged(unit.steps.len()));
    }
    if head.is_none() {
        // Unless the unit itself has added the tenant.
        statements.push(fail_unless_head(Reason::Missing, &unit.tenant, None, START));
    }
    statements.extend([record, chain::advance(Dialect::Sqlite, &unit.tenant, &after)]);
    Ok((after.sequence, statements))
}

/// Why a batch fails that is to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// The tenant has another head than the one that was read.
    Moved,
    /// There is no such tenant.
    Missing,
    /// A required step changed nothing.
    NothingFound(usize),
    /// Nothing has changed before this step.
    Unchanged(usize),
}

impl Reason {
    /// The reason in the text of a failure: `bad JSON path: 'doorward:moved'`.
    fn of(error: &BatchError) -> Option<Self> {
        let (_, text) = error.0.split_once("bad JSON path: '")?;
        let (text, _) = text.split_once('\'')?;
        text.strip_prefix(MARK)?.parse().ok()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved => f.write_str("moved"),
            Self::Missing => f.write_str("missing"),
            Self::NothingFound(place) => write!(f, "nothing_found:{place}"),
            Self::Unchanged(place) => write!(f, "unchanged:{place}"),
        }
    }
}

impl FromStr for Reason {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (name, place) = text.split_once(':').unwrap_or((text, ""));
        let place = || place.parse().map_err(|_| ());
        match name {
            "moved" => Ok(Self::Moved),
            "missing" => Ok(Self::Missing),
            "nothing_found" => Ok(Self::NothingFound(place()?)),
            "unchanged" => Ok(Self::Unchanged(place()?)),
            _ => Err(()),
        }
    }
}

/// What fails with the reason in its text, where its condition, which follows, holds.
fn fail(reason: Reason) -> Statement {
    Statement::new(Dialect::Sqlite, "SELECT json_extract('{}', ").bind(format!("{MARK}{reason}")).sql(")")
}

fn fail_if_nothing(reason: Reason) -> Statement {
    fail(reason).sql(" WHERE changes() = 0")
}

fn fail_unless_head(reason: Reason, tenant: &str, sequence: Option<i64>, hash: [u8; 32]) -> Statement {
    let statement = fail(reason)
        .sql(" WHERE NOT EXISTS (SELECT 1 FROM tenant WHERE id = ")
        .bind(tenant)
        .sql(" AND hash = ")
        .bind(hash.to_vec());
    match sequence {
        Some(sequence) => statement.sql(" AND sequence = ").bind(sequence).sql(")"),
        None => statement.sql(")"),
    }
}

fn fail_unless_counted(reason: Reason, tenant: &str, sequence: i64) -> Statement {
    fail(reason)
        .sql(" WHERE NOT EXISTS (SELECT 1 FROM tenant WHERE id = ")
        .bind(tenant)
        .sql(" AND sequence = ")
        .bind(sequence)
        .sql(")")
}

/// Counts the tenant's place up if the statement before changed something.
fn count(tenant: &str, sequence: i64) -> Statement {
    Statement::new(Dialect::Sqlite, "UPDATE tenant SET sequence = ")
        .bind(sequence)
        .sql(" WHERE id = ")
        .bind(tenant)
        .sql(" AND changes() > 0")
}

impl From<BatchError> for DatabaseError {
    fn from(BatchError(text): BatchError) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&["SQLITE_FULL", "maximum DB size"]) {
            Self::Full(text)
        } else if has(&["SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_INTERRUPT", "SQLITE_IOERR"]) {
            Self::Unavailable(text)
        } else if has(&["SQLITE_"]) {
            Self::Failed(text)
        } else {
            Self::Unavailable(text)
        }
    }
}

impl From<BatchError> for WriteError {
    fn from(error: BatchError) -> Self {
        // Neither has a value in it, only names of columns.
        if error.0.contains("UNIQUE constraint failed") {
            Self::Taken
        } else if error.0.contains("FOREIGN KEY constraint failed") {
            Self::Dangling
        } else {
            DatabaseError::from(error).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_read_as_it_is_written() {
        for reason in [Reason::Moved, Reason::Missing, Reason::NothingFound(12), Reason::Unchanged(0)] {
            let text = format!("D1_ERROR: bad JSON path: '{MARK}{reason}': SQLITE_ERROR");
            assert_eq!(Reason::of(&BatchError(text)), Some(reason));
        }
        for text in [
            "D1_ERROR: bad JSON path: 'moved': SQLITE_ERROR",
            "D1_ERROR: bad JSON path: 'doorward:other': SQLITE_ERROR",
            "D1_ERROR: bad JSON path: 'doorward:unchanged:x': SQLITE_ERROR",
            "D1_ERROR: near \"doorward:moved\": syntax error: SQLITE_ERROR",
        ] {
            assert_eq!(Reason::of(&BatchError(text.to_owned())), None, "{text}");
        }
    }

    #[test]
    fn a_text_says_whose_fault_it_is() {
        for (text, expected) in [
            ("D1_ERROR: UNIQUE constraint failed: tenant.id: SQLITE_CONSTRAINT", "Taken"),
            ("D1_ERROR: FOREIGN KEY constraint failed: SQLITE_CONSTRAINT", "Dangling"),
            ("D1_ERROR: NOT NULL constraint failed: tenant.name: SQLITE_CONSTRAINT", "Database(Failed("),
            ("D1_ERROR: near \"SELEKT\": syntax error at offset 0: SQLITE_ERROR", "Database(Failed("),
            ("D1_ERROR: database or disk is full: SQLITE_FULL", "Database(Full("),
            ("D1_ERROR: Exceeded maximum DB size", "Database(Full("),
            ("D1_ERROR: database is locked: SQLITE_BUSY", "Database(Unavailable("),
            ("D1_ERROR: D1 DB is overloaded. Requests queued for too long.", "Database(Unavailable("),
            ("D1_ERROR: Network connection lost.", "Database(Unavailable("),
        ] {
            let found = format!("{:?}", WriteError::from(BatchError(text.to_owned())));
            assert!(found.starts_with(expected), "{text}: {found}");
        }
    }
}
