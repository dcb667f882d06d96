//! The one that writes.

use super::connection::{Answer, Connection};
use super::fault::Fault;
use super::{enter, plain};
use crate::audit::Head;
use crate::database::queue::{Jobs, Outcomes, Work};
use crate::database::{DatabaseError, Guard, Scope, Step, Unit, WriteError, Written, chain};
use crate::sql::{Dialect, Statement};
use std::collections::HashMap;
use std::iter::{Enumerate, Peekable};
use std::slice;
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
                if let Some(connection) = self.connection.take() {
                    connection.cancel().await;
                }
                return Err(DatabaseError::Unavailable(format!(
                    "expected an answer within {:?}",
                    self.patience
                )));
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
        // Whether the last unit's savepoint is still there: it is released together with what comes next.
        let mut open = false;
        for (place, work) in ready {
            let outcome = match work {
                Work::Unit(unit) => perform(connection, unit, &mut heads, open).await,
                Work::Administration(statements) => {
                    // A tenant may go, and its head with it.
                    heads.clear();
                    administer(connection, statements, open).await
                }
            };
            open = outcome.is_ok();
            let outcome = match outcome {
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
        connection.prepare(statement_of(step)).await?;
    }
    Ok(())
}

fn statement_of(step: &Step) -> &Statement {
    let (Step::Change(statement) | Step::Required(statement) | Step::Consequence(statement)) = step;
    statement
}

/// Does what is no unit. Its savepoint stays, like a unit's.
async fn administer(
    connection: &mut Connection,
    statements: &[Statement],
    open: bool,
) -> Result<Written, Fault> {
    let (release, savepoint) = (plain("RELEASE SAVEPOINT unit"), plain("SAVEPOINT unit"));
    let enter = enter(Scope::Service);
    let mut sent = if open { vec![&release] } else { Vec::new() };
    sent.extend([&savepoint, &enter]);
    let begun = sent.len();
    sent.extend(statements);
    let answers = connection.pipeline(&sent).await?;
    let changed = answers.iter().skip(begun).any(|answer| answer.count > 0);
    Ok(Written { changed, version_before: None, sequence: 0 })
}

/// Does a unit in two round trips: what finds out whether it may be done is sent together with the first steps, which are undone if
/// not; the others are sent together with the record.
async fn perform(
    connection: &mut Connection,
    unit: &Unit,
    heads: &mut HashMap<String, Head>,
    open: bool,
) -> Result<Written, Fault> {
    let known = heads.get(&unit.tenant).copied();
    let (release, savepoint) = (plain("RELEASE SAVEPOINT unit"), plain("SAVEPOINT unit"));
    let enter = enter(Scope::Tenant(&unit.tenant));
    let mut sent = vec![&savepoint, &enter];
    if open {
        sent.insert(0, &release);
    }
    let begun = sent.len();
    // The head first, as a lock: of two processes that write to a tenant one waits here, and then reads what the other has written.
    let ask_head = chain::head(Dialect::Postgres, &unit.tenant).for_update();
    if known.is_none() {
        sent.push(&ask_head);
    }
    if let Guard::Version { statement, .. } = &unit.guard {
        sent.push(statement);
    }
    let mut steps = Steps { left: unit.steps.iter().enumerate().peekable(), changed: false };
    let mut taken = steps.take();
    sent.extend(taken.iter().map(|(_, step)| statement_of(step)));

    let mut answers = connection.send(&sent).await?.into_iter();
    for answer in answers.by_ref().take(begun) {
        answer?;
    }
    let mut rows = || answers.next().unwrap_or_else(|| Ok(Answer::default())).map(|answer| answer.rows);
    let found = if known.is_none() { chain::read_head(&rows()?)? } else { known };
    let version_before = match &unit.guard {
        Guard::New => None,
        Guard::Version { expected, .. } => Some(Guard::check(&rows()?, *expected)?),
    };
    steps.judge(&taken, &mut answers)?;
    loop {
        taken = steps.take();
        if steps.changed || taken.is_empty() {
            break;
        }
        let sent: Vec<_> = taken.iter().map(|(_, step)| statement_of(step)).collect();
        steps.judge(&taken, &mut connection.send(&sent).await?.into_iter())?;
    }

    let head = match found {
        Some(head) => head,
        // The tenant is what is new.
        None => {
            let rows = connection.pipeline(&[&ask_head]).await?.pop().unwrap_or_default().rows;
            chain::read_head(&rows)?.ok_or(WriteError::Missing)?
        }
    };
    let head = if steps.changed {
        let (head, record) = chain::extend(Dialect::Postgres, unit, head, version_before)?;
        let sent: Vec<_> = taken.iter().map(|(_, step)| statement_of(step)).chain(&record).collect();
        let mut answers = connection.send(&sent).await?.into_iter();
        steps.judge(&taken, &mut answers)?;
        answers.collect::<Result<Vec<_>, _>>()?;
        head
    } else {
        head
    };
    heads.insert(unit.tenant.clone(), head);
    Ok(Written { changed: steps.changed, version_before, sequence: head.sequence })
}

/// The steps of a unit, and what has become of those that are done.
struct Steps<'u> {
    left: Peekable<Enumerate<slice::Iter<'u, Step>>>,
    changed: bool,
}

impl<'u> Steps<'u> {
    /// The steps that can be done next, together: a consequence waits until it is known whether there was a change. None if all are done.
    fn take(&mut self) -> Vec<(usize, &'u Step)> {
        let changed = self.changed;
        let waits = |step: &Step| !changed && matches!(step, Step::Consequence(_));
        let mut taken = Vec::new();
        while let Some(next) = self.left.next_if(|(_, step)| !waits(step)) {
            taken.push(next);
        }
        taken
    }

    /// Takes the answers to such steps.
    fn judge(
        &mut self,
        taken: &[(usize, &Step)],
        answers: &mut impl Iterator<Item = Result<Answer, Fault>>,
    ) -> Result<(), Fault> {
        for ((place, step), answer) in taken.iter().zip(answers) {
            let count = answer?.count;
            match step {
                Step::Required(_) if count == 0 => return Err(WriteError::NothingFound(*place).into()),
                Step::Required(_) | Step::Change(_) => self.changed |= count > 0,
                Step::Consequence(_) => {}
            }
        }
        if !self.changed {
            // Of nothing.
            while self.left.next_if(|(_, step)| matches!(step, Step::Consequence(_))).is_some() {}
        }
        Ok(())
    }
}
