//! The one that writes.

use super::connection::{Answer, Connection};
use super::fault::Fault;
use super::target::Target;
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

/// How often a transaction is tried that other processes are in the way of.
const ATTEMPTS: u32 = 5;
/// How long to wait before the second attempt; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(10);
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// After how many units the planner is told of them for the first time, and how many times as many the next time.
const ANALYZE_FIRST: usize = 256;
const ANALYZE_AGAIN: usize = 4;
/// How long that may take.
const ANALYZE: Duration = Duration::from_secs(60);
/// How many units that add something are sent at once.
const TOGETHER: usize = 64;

pub(super) struct Writer {
    target: Target,
    /// How long a transaction may take.
    patience: Duration,
    connection: Option<Connection>,
    /// Whether COMMIT was sent: without an answer to it, it is not known what was written.
    committing: bool,
    /// How many units this process has written.
    written: usize,
    /// How many there will be when the planner is told of them.
    analyze_at: usize,
}

impl Writer {
    pub(super) fn new(target: Target, patience: Duration, connection: Connection) -> Self {
        Self {
            target,
            patience,
            connection: Some(connection),
            committing: false,
            written: 0,
            analyze_at: ANALYZE_FIRST,
        }
    }

    /// Writes what waits, until there is nobody who could write.
    pub(super) async fn run(mut self, mut jobs: Jobs) {
        while jobs.take().await {
            let works: Vec<_> = jobs.works().collect();
            let outcomes = self.write(&works).await;
            self.written = self.written.saturating_add(outcomes.as_ref().map_or(0, Vec::len));
            jobs.answer(outcomes);
            if self.written >= self.analyze_at {
                self.analyze_at = self.analyze_at.saturating_mul(ANALYZE_AGAIN);
                tokio::spawn(analyze(self.target.clone()));
            }
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
            lost => lost.insert(Connection::open(&self.target).await?),
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
        let units = ready.iter().map(|(_, work)| match work {
            Work::Unit(unit) => Some(&**unit),
            Work::Administration(_) => None,
        });
        let mut is_done = false;
        if let Some(units) = units.collect::<Option<Vec<_>>>() {
            match together(connection, &units, &mut self.committing).await {
                Ok(written) => {
                    outcomes.extend(ready.iter().map(|(place, _)| *place).zip(written.into_iter().map(Ok)));
                    is_done = true;
                }
                Err(Fault::Refused(error)) => {
                    connection.run("ROLLBACK").await?;
                    if let [(place, _)] = ready.as_slice() {
                        outcomes.push((*place, Err(error)));
                        is_done = true;
                    }
                }
                Err(fault) => return Err(fault),
            }
        }
        if !is_done {
            outcomes.extend(one_by_one(connection, ready, &mut self.committing).await?);
        }
        outcomes.sort_by_key(|(place, _)| *place);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }
}

/// Has the planner look at the tables. It does so by itself, but once a minute at most: in the meantime a first synchronization has written
/// tens of thousands of users, and the planner takes the tables for empty, and no index for better than another.
async fn analyze(target: Target) {
    // If it fails, the planner still finds out by itself.
    let _ = timeout(ANALYZE, async {
        let connection = Connection::open(&target).await?;
        connection.run("ANALYZE resource, email, member, unique_value, role_grant").await
    })
    .await;
}

/// Does units in one transaction, all of them or none: without savepoints, which cost more than what they save where nothing is refused.
/// It is nearly always so; where not, the units are done [`one_by_one`].
async fn together(
    connection: &mut Connection,
    units: &[&Unit],
    committing: &mut bool,
) -> Result<Vec<Written>, Fault> {
    connection.run(BEGIN).await?;
    let mut heads = Heads::new();
    let mut written = Vec::new();
    let mut left = units;
    while let [unit, after @ ..] = left {
        let is_new = |other: &&&Unit| matches!(other.guard, Guard::New) && other.tenant == unit.tenant;
        let new = left.iter().take(TOGETHER).take_while(is_new).count();
        match left.split_at_checked(new) {
            Some((new @ [_, _, ..], rest)) => {
                written.extend(add(connection, new, &mut heads).await?);
                left = rest;
            }
            _ => {
                written.push(perform(connection, unit, &mut heads, Savepoint::None).await?);
                left = after;
            }
        }
    }
    end(connection, &heads, committing).await?;
    Ok(written)
}

/// Does everything in one transaction; each work is undone on its own if it is refused.
async fn one_by_one(
    connection: &mut Connection,
    works: Vec<(usize, &&Work)>,
    committing: &mut bool,
) -> Result<Vec<(usize, Result<Written, WriteError>)>, Fault> {
    connection.run(BEGIN).await?;
    let mut heads = Heads::new();
    let mut outcomes = Vec::new();
    // Whether the last work's savepoint is still there: it is released together with what comes next.
    let mut savepoint = Savepoint::New;
    for (place, work) in works {
        let outcome = match work {
            Work::Unit(unit) => perform(connection, unit, &mut heads, savepoint).await,
            // Before all units: there are no heads yet, of tenants that might go.
            Work::Administration(statements) => administer(connection, statements, savepoint).await,
        };
        let outcome = match outcome {
            Ok(written) => {
                savepoint = Savepoint::Next;
                Ok(written)
            }
            Err(Fault::Refused(error)) => {
                connection.run("ROLLBACK TO SAVEPOINT unit; RELEASE SAVEPOINT unit").await?;
                savepoint = Savepoint::New;
                Err(error)
            }
            Err(fault) => return Err(fault),
        };
        outcomes.push((place, outcome));
    }
    end(connection, &heads, committing).await?;
    Ok(outcomes)
}

/// Writes how far the chains have come, and commits.
async fn end(connection: &mut Connection, heads: &Heads, committing: &mut bool) -> Result<(), Fault> {
    for (tenant, head) in heads {
        let (enter, advance) =
            (enter(Scope::Tenant(tenant)), chain::advance(Dialect::Postgres, tenant, head));
        connection.pipeline(&[&enter, &advance]).await?;
    }
    *committing = true;
    connection.run("COMMIT").await
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
    savepoint: Savepoint,
) -> Result<Written, Fault> {
    let savepoint = savepoint.statements();
    let enter = enter(Scope::Service);
    let mut sent: Vec<_> = savepoint.iter().chain([&enter]).collect();
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
    heads: &mut Heads,
    savepoint: Savepoint,
) -> Result<Written, Fault> {
    let known = heads.get(&unit.tenant).copied();
    let savepoint = savepoint.statements();
    let enter = enter(Scope::Tenant(&unit.tenant));
    let mut sent: Vec<_> = savepoint.iter().chain([&enter]).collect();
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
        let sent: Vec<_> = taken.iter().map(|(_, step)| statement_of(step)).chain([&record]).collect();
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

/// Does units of one tenant that add a resource each, in one round trip: that they change something is known before they are sent.
async fn add(connection: &mut Connection, units: &[&Unit], heads: &mut Heads) -> Result<Vec<Written>, Fault> {
    let Some(Unit { tenant, .. }) = units.first() else { return Ok(Vec::new()) };
    let enter = enter(Scope::Tenant(tenant));
    let mut sent = vec![&enter];
    let ask_head = chain::head(Dialect::Postgres, tenant).for_update();
    let known = heads.get(tenant).copied();
    if known.is_none() {
        sent.push(&ask_head);
    }
    let rows = connection.pipeline(&sent).await?.pop().unwrap_or_default().rows;
    let found = if known.is_none() { chain::read_head(&rows)? } else { known };
    let mut head = found.ok_or(WriteError::Missing)?;
    let (mut records, mut written) = (Vec::new(), Vec::new());
    for unit in units {
        let record;
        (head, record) = chain::extend(Dialect::Postgres, unit, head, None)?;
        records.push(record);
        written.push(Written { changed: true, version_before: None, sequence: head.sequence });
    }
    let (mut sent, mut must_change) = (Vec::new(), Vec::new());
    for (unit, record) in units.iter().zip(&records) {
        for (number, step) in unit.steps.iter().enumerate() {
            // The first is what adds the resource.
            must_change.push(number == 0 || matches!(step, Step::Required(_)));
            sent.push(statement_of(step));
        }
        must_change.push(true);
        sent.push(record);
    }
    let answers = connection.pipeline(&sent).await?;
    if answers.iter().zip(must_change).any(|(answer, must_change)| must_change && answer.count == 0) {
        return Err(WriteError::NothingFound(0).into());
    }
    heads.insert(tenant.clone(), head);
    Ok(written)
}

/// The heads of the chains, of tenants whose rows a transaction has locked.
type Heads = HashMap<String, Head>;

/// How a work can be undone without what came before it.
#[derive(Debug, Clone, Copy)]
enum Savepoint {
    /// It cannot.
    None,
    /// By a savepoint.
    New,
    /// By a savepoint in place of the one of the work before.
    Next,
}

impl Savepoint {
    fn statements(self) -> Vec<Statement> {
        let (release, savepoint) = (plain("RELEASE SAVEPOINT unit"), plain("SAVEPOINT unit"));
        match self {
            Self::None => Vec::new(),
            Self::New => vec![savepoint],
            Self::Next => vec![release, savepoint],
        }
    }
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
