//! The requests that wait for keys or for an answer about their token.

use doorward::authn::{Awaited, wait_left};
use doorward::time::UnixTime;
use std::collections::BTreeMap;

/// How many requests wait at most; each holds a connection.
const MAX_WAITING: usize = 10_000;

/// Those of one worker, by context.
#[derive(Debug, Default)]
pub(crate) struct WaitingRequests(BTreeMap<u32, Waiting>);

/// A request that waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) since: UnixTime,
    pub(crate) awaited: Awaited,
}

impl WaitingRequests {
    /// Whether this request may wait, or wait on.
    pub(crate) fn admits(&self, context_id: u32, now: UnixTime) -> bool {
        match self.0.get(&context_id) {
            Some(waiting) => wait_left(waiting.since, now).is_some(),
            None => self.0.len() < MAX_WAITING,
        }
    }

    /// Has this request wait. One that waits already has done so since it came.
    pub(crate) fn insert(&mut self, context_id: u32, now: UnixTime, awaited: Awaited) {
        self.0.entry(context_id).or_insert(Waiting { since: now, awaited }).awaited = awaited;
    }

    pub(crate) fn remove(&mut self, context_id: u32) {
        self.0.remove(&context_id);
    }

    /// The contexts of such requests.
    pub(crate) fn contexts(&self, which: impl Fn(&Waiting) -> bool) -> Vec<u32> {
        self.0.iter().filter(|(_, waiting)| which(waiting)).map(|(id, _)| *id).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward::policy::ProviderId;

    const AWAITED: Awaited = Awaited::Keys(ProviderId(0));

    #[test]
    fn a_request_has_waited_since_it_came_whatever_for() {
        let at = UnixTime::from_secs;
        let mut requests = WaitingRequests::default();
        requests.insert(7, at(100), AWAITED);
        requests.insert(7, at(105), Awaited::Keys(ProviderId(1)));
        assert_eq!(requests.len(), 1);
        assert_eq!(requests.contexts(|waiting| waiting.awaited == AWAITED), [0_u32; 0]);
        assert!(requests.admits(7, at(109)));
        assert!(!requests.admits(7, at(110)));
        assert!(!requests.admits(7, at(99)), "the clock was set back");
    }

    #[test]
    fn so_many_wait_and_no_more() {
        let now = UnixTime::from_secs(100);
        let mut requests = WaitingRequests::default();
        for id in 0..10_000 {
            assert!(requests.admits(id, now));
            requests.insert(id, now, AWAITED);
        }
        assert!(!requests.admits(10_000, now));
        assert!(requests.admits(9_999, now), "it waits already");
        requests.remove(3);
        assert!(requests.admits(10_000, now));
    }
}
