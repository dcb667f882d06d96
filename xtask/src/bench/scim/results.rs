//! What a run found, as it is kept in `benches/scim.json`.

use super::case::Case;
use super::subject::Subject;
use crate::bench::machine::Host;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// All of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Results {
    pub(super) host: Host,
    /// How long each case lasted at most, in seconds; a create goes on until all users are there.
    pub(super) seconds: u64,
    pub(super) postgres: String,
    pub(super) found: Vec<Found>,
    /// What was left out, and why.
    pub(super) left_out: Vec<String>,
}

/// One case on one server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) subject: Subject,
    /// How many users there were; of creates, how many were made.
    pub(super) users: usize,
    pub(super) case: Case,
    pub(super) connections: usize,
    /// Requests a second.
    pub(super) rate: f64,
    /// Of a request, in µs, as its client saw it.
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// CPU time of the server's process for a request, in µs; of PostgreSQL's none.
    pub(super) cpu: f64,
}

impl Results {
    pub(super) fn read(file: &Path) -> Result<Self> {
        let text = fs::read(file).with_context(|| format!("expected to read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("expected results in {}", file.display()))
    }

    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(file, text).with_context(|| format!("expected to write {}", file.display()))
    }

    pub(super) fn of(&self, subject: Subject, users: usize, case: Case) -> Option<&Found> {
        self.found.iter().find(|found| (found.subject, found.users, found.case) == (subject, users, case))
    }

    /// How many users there were, each once, ascending.
    pub(super) fn users(&self) -> Vec<usize> {
        let mut users: Vec<usize> = self.found.iter().map(|found| found.users).collect();
        users.sort_unstable();
        users.dedup();
        users
    }
}
