//! Connections that read, each for one at a time. They are made when they are needed, and again when they were lost.

use super::connection::{Answer, Connection};
use super::fault::Fault;
use super::target::Target;
use crate::database::DatabaseError;
use crate::sql::Statement;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Semaphore;

pub(super) struct Pool {
    target: Target,
    free: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Pool {
    /// At most so many.
    pub(super) fn new(target: Target, size: usize) -> Self {
        Self { target, free: Mutex::default(), permits: Semaphore::new(size.max(1)) }
    }

    /// Runs statements on a free connection: a whole transaction that reads, so that it may be run again on another one. A connection
    /// is dropped, and with it closed, if who waits for the answer goes away.
    pub(super) async fn run(&self, statements: &[&Statement]) -> Result<Vec<Answer>, Fault> {
        let permit = self.permits.acquire().await;
        let _permit = permit.map_err(|_| DatabaseError::Unavailable("it is being closed".to_owned()))?;
        while let Some(mut connection) = self.take() {
            match connection.pipeline(statements).await {
                // It was lost while it was free.
                Err(fault) if fault.is_unavailable() => {}
                answers => return self.keep(connection, answers),
            }
        }
        let mut connection = Connection::open(&self.target).await?;
        let answers = connection.pipeline(statements).await;
        self.keep(connection, answers)
    }

    fn take(&self) -> Option<Connection> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.retain(|connection| !connection.is_closed());
        free.pop()
    }

    fn keep(
        &self,
        connection: Connection,
        answers: Result<Vec<Answer>, Fault>,
    ) -> Result<Vec<Answer>, Fault> {
        if !matches!(answers, Err(Fault::Broken(_))) {
            self.free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        answers
    }
}
