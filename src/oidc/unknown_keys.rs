//! Keys that tokens ask for and the key set does not have. Bounded: any client can invent names.

use crate::time::UnixTime;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many names are kept. Requests for more wait like the others, but are not told early that there is no such key.
const MAX_NAMES: usize = 1024;
/// No request waits longer for an answer, as when the provider is down.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Longer names are not kept: no provider has them.
const MAX_NAME_BYTES: usize = 256;

/// What is known of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// A token asked for it at this instant, and no fetch that began later has been answered.
    Asked(UnixTime),
    /// A fetch did not bring it; good until this instant.
    Absent(UnixTime),
}

/// The names.
#[derive(Debug, Default)]
pub(super) struct UnknownKeys(BTreeMap<String, Standing>);

/// What a token that asks for a name is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// A fetch will tell.
    Wait,
    /// There is no such key.
    Absent,
}

impl UnknownKeys {
    pub(super) fn ask(&mut self, now: UnixTime, name: &str) -> Told {
        match self.0.get(name) {
            Some(Standing::Asked(_)) => return Told::Wait,
            Some(Standing::Absent(until)) if now < *until => return Told::Absent,
            Some(Standing::Absent(_)) | None => {}
        }
        self.0.retain(|_, standing| !standing.is_over(now));
        if name.len() > MAX_NAME_BYTES {
            return Told::Absent;
        }
        if self.0.len() < MAX_NAMES {
            self.0.insert(name.to_owned(), Standing::Asked(now));
        }
        Told::Wait
    }

    /// A fetch that began at `began` brought the keys that `is_there` knows; of the others, those asked for before it are
    /// absent `until` then.
    pub(super) fn answered(&mut self, began: UnixTime, until: UnixTime, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| !is_there(name));
        for standing in self.0.values_mut() {
            if matches!(standing, Standing::Asked(asked) if *asked <= began) {
                *standing = Standing::Absent(until);
            }
        }
    }

    /// Whether a fetch is wanted.
    pub(super) fn is_asked(&self) -> bool {
        self.0.values().any(|standing| matches!(standing, Standing::Asked(_)))
    }
}

impl Standing {
    fn is_over(self, now: UnixTime) -> bool {
        match self {
            Self::Asked(asked) => now.saturating_since(asked) > LONGEST_WAIT,
            Self::Absent(until) => until <= now,
        }
    }
}
