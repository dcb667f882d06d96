//! Where units wait for the one that writes. What waits is taken together, so that it can share a transaction (group commit).

use super::{DatabaseError, Unit, WriteError, Written};
use crate::sql::Statement;
use tokio::sync::{mpsc, oneshot};

/// How many units go into one transaction at most.
const BATCH: usize = 256;
/// How many units may wait; more are told to come back.
const QUEUE: usize = 4096;

/// What became of each unit of a batch, or why none was written.
pub(super) type Outcomes = Result<Vec<Result<Written, WriteError>>, DatabaseError>;

/// What is to be written.
pub(super) enum Work {
    /// A change of a tenant's data.
    Unit(Box<Unit>),
    /// No unit: nothing is recorded.
    Administration(Vec<Statement>),
}

/// The end where units are put in.
pub(super) struct Queue(mpsc::Sender<Job>);

/// The end of the one that writes.
pub(super) struct Jobs {
    receiver: mpsc::Receiver<Job>,
    taken: Vec<Job>,
}

struct Job {
    work: Work,
    answer: oneshot::Sender<Result<Written, WriteError>>,
}

/// A queue.
pub(super) fn queue() -> (Queue, Jobs) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Queue(sender), Jobs { receiver, taken: Vec::new() })
}

impl Queue {
    /// Puts a unit in, and waits for what becomes of it.
    pub(super) async fn write(&self, unit: Unit) -> Result<Written, WriteError> {
        self.put(Work::Unit(Box::new(unit))).await
    }

    /// The same for statements that are no unit. Answers whether any row changed.
    pub(super) async fn administer(&self, statements: Vec<Statement>) -> Result<bool, WriteError> {
        Ok(self.put(Work::Administration(statements)).await?.changed)
    }

    async fn put(&self, work: Work) -> Result<Written, WriteError> {
        let (answer, outcome) = oneshot::channel();
        self.0.try_send(Job { work, answer }).map_err(|error| {
            DatabaseError::Unavailable(match error {
                mpsc::error::TrySendError::Full(_) => "too many writes wait".to_owned(),
                mpsc::error::TrySendError::Closed(_) => "it is closed".to_owned(),
            })
        })?;
        // Without an answer the writer is gone: whether it wrote is not known, so it is not said that it did.
        outcome
            .await
            .unwrap_or_else(|_| Err(DatabaseError::Unavailable("the writer ended".to_owned()).into()))
    }
}

impl Jobs {
    /// Waits until there are units, and takes them; false if there will be none.
    pub(super) async fn take(&mut self) -> bool {
        self.receiver.recv_many(&mut self.taken, BATCH).await > 0
    }

    /// The same for a thread.
    pub(super) fn blocking_take(&mut self) -> bool {
        self.receiver.blocking_recv_many(&mut self.taken, BATCH) > 0
    }

    /// What was taken.
    pub(super) fn works(&self) -> impl Iterator<Item = &Work> {
        self.taken.iter().map(|job| &job.work)
    }

    /// Tells everyone what became of theirs.
    pub(super) fn answer(&mut self, outcomes: Outcomes) {
        let outcomes = outcomes.unwrap_or_else(|error| vec![Err(error.into()); self.taken.len()]);
        for (job, outcome) in self.taken.drain(..).zip(outcomes) {
            // Who asked may be gone.
            let _ = job.answer.send(outcome);
        }
    }
}
