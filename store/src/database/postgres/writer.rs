//! The one that writes.

use super::connection::Connection;
use super::fault::Fault;
use super::{enter, plain};
use crate::audit::Head;
use crate::database::queue::{Jobs, Outcomes, Work};
use crate::database::{DatabaseError, Guard, Scope, Step, Unit, WriteError, Written, chain};
use crate::sql::{Dialect, Statement};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_postgres::Config;

/// How often a transaction is tried that other processes are in the way of.
const ATTEMPTS: u32 = 5;
/// How long to wait before the second attempt; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(10);

pub(super) struct Writer {
    config: Config,
    /// How long a transaction may take.
    patience: Duration,
    connection: Option<Connection>,
    /// Whether COMMIT was sent: without an answer to it, it is not known what was written.
    committing: bool,
}

impl Writer {
    pub(super) fn new(config: Config, patience: Duration, connection: Connection) -> Self {
        Self { config, patience, connection: Some(connection), committing: false }
    }

    /// Writes what waits, until there is nobody who could write.
    pub(super) async fn run(mut self, mut jobs: Jobs) {
        while jobs.take().await {
            let works: Vec<_> = jobs.works().collect();
            let outcomes = self.write(&works).await;
            jobs.answer(outcomes);
        }
    }

    /// Does everything in one transaction; each work is undone on its own if it is refused.
    async fn write(&mut self, works: &[&Work]) -> Outcomes {
        let mut pause = PAUSE;
        let mut last = DatabaseError::Unavailable("it was not tried".to_owned());
        for _ in 0..ATTEMPTS {
            let reused = self.connection.is_some();
            self.committing = false;
            let Ok(tried) = timeout(self.patience, self.attempt(works)).await else {
                self.connection = None;
                return Err(DatabaseError::Unavailable(format!("no answer within {:?}", self.patience)));
            };
            let fault = match tried {
                Ok(outcomes) => return Ok(outcomes),
                Err(fault) => fault,
            };
            // What its transaction did is undone when a connection is closed.
            self.connection = None;
            if let Fault::Again(text) = fault {
                last = DatabaseError::Unavailable(text);
                sleep(pause).await;
                pause = pause.saturating_mul(2);
            } else if reused && !self.committing && fault.is_unavailable() {
                // It was lost while there was nothing to write: there may be a database again.
                last = fault.into();
            } else {
                return Err(fault.into());
            }
        }
        Err(last)
    }

    async fn attempt(&mut self, works: &[&Work]) -> Result<Vec<Result<Written, WriteError>>, Fault> {
        let connection = match &mut self.connection {
            Some(connection) if !connection.is_closed() => connection,
            lost => lost.insert(Connection::open(&self.config).await?),
        };
        // Processes that write to the same tenants lock them in the same order, and so do not wait for each other in a circle.
        let mut works: Vec<_> = works.iter().enumerate().collect();
        works.sort_by_key(|(_, work)| match work {
            Work::Unit(unit) => Some(&unit.tenant),
            Work::Administration(_) => None,
        });
        let mut outcomes = Vec::new();
        // Before the transaction, which a statement that is not understood would end.
        let mut ready = Vec::new();
        for (place, work) in works {
            match prepare(connection, work).await {
                Ok(()) => ready.push((place, work)),
                Err(Fault::Refused(error)) => outcomes.push((place, Err(error))),
                Err(fault) => return Err(fault),
            }
        }
        connection.run("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        // The heads of the chains, of tenants whose rows this transaction has locked.
        let mut heads = HashMap::new();
        for (place, work) in ready {
            let performed = match work {
                Work::Unit(unit) => perform(connection, unit, &mut heads).await,
                Work::Administration(statements) => {
                    // A tenant may go, and its head with it.
                    heads.clear();
                    administer(connection, statements).await
                }
            };
            let outcome = match performed {
                Ok(written) => Ok(written),
                Err(Fault::Refused(error)) => {
                    connection.run("ROLLBACK TO SAVEPOINT unit; RELEASE SAVEPOINT unit").await?;
                    Err(error)
                }
                Err(fault) => return Err(fault),
            };
            outcomes.push((place, outcome));
        }
        self.committing = true;
        connection.run("COMMIT").await?;
        outcomes.sort_by_key(|(place, _)| *place);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }
}

async fn prepare(connection: &mut Connection, work: &Work) -> Result<(), Fault> {
    let unit = match work {
        Work::Unit(unit) => unit,
        Work::Administration(statements) => {
            for statement in statements {
                connection.prepare(statement).await?;
            }
            return Ok(());
        }
    };
    if let Guard::Version { statement, .. } = &unit.guard {
        connection.prepare(statement).await?;
    }
    for step in &unit.steps {
        let (Step::Change(statement) | Step::Required(statement) | Step::Consequence(statement)) = step;
        connection.prepare(statement).await?;
    }
    Ok(())
}

async fn perform(
    connection: &mut Connection,
    unit: &Unit,
    heads: &mut HashMap<String, Head>,
) -> Result<Written, Fault> {
    let savepoint = plain("SAVEPOINT unit");
    let enter = enter(Scope::Tenant(&unit.tenant));
    // The head first, as a lock: of two processes that write to a tenant one waits here, and then reads what the other has written.
    let ask_head = chain::head(Dialect::Postgres, &unit.tenant);
    let mut first = vec![&savepoint, &enter, &ask_head];
    if let Guard::Version { statement, .. } = &unit.guard {
        first.push(statement);
    }
    let mut answers = connection.pipeline(&first).await?.into_iter().skip(2);
    let mut next = || answers.next().unwrap_or_default().rows;
    let found = chain::read_head(&next())?;
    let version_before = match &unit.guard {
        Guard::New => None,
        Guard::Version { expected, .. } => Some(Guard::check(&next(), *expected)?),
    };
    let changed = perform_steps(connection, &unit.steps).await?;
    let head = match heads.get(&unit.tenant).copied().or(found) {
        Some(head) => head,
        // The tenant is what is new.
        None => {
            let rows = connection.pipeline(&[&ask_head]).await?.pop().unwrap_or_default().rows;
            chain::read_head(&rows)?.ok_or(WriteError::Missing)?
        }
    };
    let release = plain("RELEASE SAVEPOINT unit");
    if !changed {
        connection.pipeline(&[&release]).await?;
        return Ok(Written { changed, version_before, sequence: head.sequence });
    }
    let (head, [insert, advance]) = chain::extend(Dialect::Postgres, unit, head, version_before)?;
    connection.pipeline(&[&insert, &advance, &release]).await?;
    heads.insert(unit.tenant.clone(), head);
    Ok(Written { changed, version_before, sequence: head.sequence })
}

async fn administer(connection: &mut Connection, statements: &[Statement]) -> Result<Written, Fault> {
    let (savepoint, enter, release) =
        (plain("SAVEPOINT unit"), enter(Scope::Service), plain("RELEASE SAVEPOINT unit"));
    let mut all = vec![&savepoint, &enter];
    all.extend(statements);
    all.push(&release);
    let answers = connection.pipeline(&all).await?;
    let changed = answers.iter().skip(2).take(statements.len()).any(|answer| answer.count > 0);
    Ok(Written { changed, version_before: None, sequence: 0 })
}

/// Does the steps, as many at once as can be: what is a consequence waits until it is known whether there was a change.
async fn perform_steps(connection: &mut Connection, steps: &[Step]) -> Result<bool, Fault> {
    let mut changed = false;
    let mut left = steps.iter().enumerate().peekable();
    while left.peek().is_some() {
        let mut taken: Vec<(usize, &Step)> = Vec::new();
        while let Some(next) = left.next_if(|(_, step)| changed || !matches!(step, Step::Consequence(_))) {
            taken.push(next);
        }
        if taken.is_empty() {
            // A consequence of nothing.
            left.next();
            continue;
        }
        let statements: Vec<&Statement> = taken
            .iter()
            .map(|(_, step)| {
                let (Step::Change(statement) | Step::Required(statement) | Step::Consequence(statement)) =
                    step;
                statement
            })
            .collect();
        let answers = connection.pipeline(&statements).await?;
        for ((place, step), answer) in taken.into_iter().zip(answers) {
            match step {
                Step::Required(_) if answer.count == 0 => return Err(WriteError::NothingFound(place).into()),
                Step::Required(_) | Step::Change(_) => changed |= answer.count > 0,
                Step::Consequence(_) => {}
            }
        }
    }
    Ok(changed)
}
