//! What a run found, as it is kept in `benches/worker.json`.

use crate::bench::machine::Host;
use serde::{Deserialize, Serialize};

/// All of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Results {
    #[serde(flatten)]
    pub(super) host: Host,
    pub(super) workerd: String,
    pub(super) jose: String,
    pub(super) wrk: String,
    pub(super) cpu_time: String,
    pub(super) rounds: usize,
    pub(super) seconds: u32,
    pub(super) sizes: Vec<Size>,
    pub(super) found: Vec<Found>,
    pub(super) cold: Vec<Cold>,
}

/// What is deployed of a folder in `dist`, in bytes: the module and its JavaScript.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Size {
    pub(super) folder: String,
    pub(super) bytes: u64,
    pub(super) compressed: u64,
}

/// One kind of token, an algorithm at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Case {
    /// The same token again and again.
    Repeated,
    /// Each token for the first time, or forgotten since.
    New,
}

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Subject {
    /// A worker that passes requests on.
    Nothing,
    /// A worker by hand, with `jose`.
    Jose,
    /// `dist/worker`.
    Ours,
}

/// CPU time of workerd for a request, in µs, for each round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) case: Case,
    pub(super) algorithm: String,
    pub(super) nothing: Vec<f64>,
    pub(super) jose: Vec<f64>,
    pub(super) ours: Vec<f64>,
}

/// One process with one worker, from its start, in ms, for each round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Cold {
    pub(super) subject: Subject,
    /// CPU time until the first response, the start of the process included.
    pub(super) cpu: Vec<f64>,
    /// Time of the first request, as its client sees it, the fetch of keys included.
    pub(super) first: Vec<f64>,
}

impl Subject {
    pub(super) const ALL: [Self; 3] = [Self::Nothing, Self::Jose, Self::Ours];

    /// As a name in configurations and reports.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Jose => "jose",
            Self::Ours => "doorward",
        }
    }
}

impl Case {
    pub(super) const ALL: [Self; 2] = [Self::Repeated, Self::New];

    /// What it may cost by what `jose` costs.
    pub(super) const fn aim(self) -> f64 {
        match self {
            Self::Repeated => 0.6,
            Self::New => 1.1,
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Repeated => "repeated token",
            Self::New => "new token",
        }
    }
}
