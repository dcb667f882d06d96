//! Whose turn it is to change a resource, among those of this process whose changes were overtaken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::OwnedMutexGuard;

/// Whoever holds it has the turn.
type Turn = tokio::sync::Mutex<()>;

/// Turns, by tenant and id, as long as anybody has one or waits for it.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<(String, String), Weak<Turn>>>);

impl Turns {
    /// Waits for a turn, which lasts as long as what this answers.
    pub(super) async fn take(&self, tenant: &str, id: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let key = (tenant.to_owned(), id.to_owned());
            let known = turns.get(&key).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::new(Turn::new(()));
                turns.insert(key, Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn one_comes_after_the_other() {
        let turns = Turns::default();
        let first = turns.take("a", "1").await;
        let others = [turns.take("a", "2").await, turns.take("b", "1").await];
        let moment = Duration::from_millis(20);
        assert!(timeout(moment, turns.take("a", "1")).await.is_err());
        assert_eq!(turns.0.lock().unwrap().len(), 3);
        drop((first, others));
        drop(turns.take("a", "1").await);
        drop(turns.take("c", "1").await);
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
