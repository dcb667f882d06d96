//! What a run found, as it is kept in `benches/results.json`.

use super::listeners::Subject;
use super::machine::Machine;
use super::statistics::ratios;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// All of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Results {
    pub(super) machine: Machine,
    pub(super) sizes: Sizes,
    /// Of `jwt-authn.wasm`, in bytes.
    pub(super) module_bytes: u64,
    pub(super) cpu: Vec<Cpu>,
    pub(super) latency: Vec<Latency>,
    pub(super) start: Start,
    pub(super) memory: Memory,
    /// Empty if they were not counted.
    pub(super) instructions: Vec<Instructions>,
    /// Of few and of many issuers and rules; empty if they were not counted.
    #[serde(default)]
    pub(super) dispatch: Vec<Dispatch>,
}

/// How much was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Sizes {
    pub(super) rounds: usize,
    pub(super) requests: usize,
    pub(super) new: usize,
    pub(super) distinct: u32,
    pub(super) large: usize,
    pub(super) rate: u32,
    pub(super) rate_seconds: u32,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Case {
    Repeated,
    Zipf,
    New,
    BadSignature,
    NoToken,
}

/// CPU time of the Envoy process a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Cpu {
    pub(super) case: Case,
    /// `RS256` and so on; `-` where there is no token.
    pub(super) algorithm: String,
    pub(super) subject: Subject,
    /// In µs, a value a round.
    pub(super) micros: Vec<f64>,
}

/// How long a response takes at a fixed rate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Latency {
    pub(super) subject: Subject,
    /// In µs, a value a round.
    pub(super) p50: Vec<f64>,
    pub(super) p99: Vec<f64>,
}

/// From starting Envoy to the first response, in ms, a value a start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) bare: Vec<f64>,
    pub(super) ours: Vec<f64>,
}

/// Physical memory, in bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Memory {
    /// What the filter takes once, however many workers there are: mostly its compiled code.
    pub(super) shared: i64,
    /// What each more worker's VM takes, before the first request.
    pub(super) vm: i64,
    /// What a VM grows by with the large tokens.
    pub(super) large: i64,
}

/// Instructions of the core, natively, a request without its signature.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Dispatch {
    pub(super) issuers: u32,
    pub(super) rules: u32,
    /// With a token that was never seen.
    pub(super) new: u64,
    /// With one that was.
    pub(super) again: u64,
}

/// Instructions of the core, natively, a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Instructions {
    pub(super) algorithm: String,
    pub(super) request: u64,
    pub(super) signature: u64,
}

impl Case {
    pub(super) const ALL: [Self; 5] =
        [Self::Repeated, Self::Zipf, Self::New, Self::BadSignature, Self::NoToken];

    /// What people read.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Repeated => "one token repeated",
            Self::Zipf => "zipf order",
            Self::New => "every token new",
            Self::BadSignature => "bad signature, replayed",
            Self::NoToken => "no token",
        }
    }

    /// Whether a filter that judges tokens lets it pass.
    pub(super) fn passes(self) -> bool {
        matches!(self, Self::Repeated | Self::Zipf | Self::New)
    }
}

impl Results {
    pub(super) fn read(file: &Path) -> Result<Self> {
        let text = fs::read(file).with_context(|| format!("expected to read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("expected results in {}", file.display()))
    }

    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let text = format!("{:#}\n", serde_json::to_value(self)?);
        fs::write(file, text).with_context(|| format!("expected to write {}", file.display()))
    }

    /// The rounds of one listener; empty if it was not measured.
    pub(super) fn micros(&self, case: Case, algorithm: &str, subject: Subject) -> &[f64] {
        let wanted = |cpu: &&Cpu| cpu.case == case && cpu.algorithm == algorithm && cpu.subject == subject;
        self.cpu.iter().find(wanted).map_or(&[], |cpu| &cpu.micros)
    }

    /// The cases in the order of the run, each with its algorithm.
    pub(super) fn cases(&self) -> Vec<(Case, &str)> {
        let mut cases: Vec<(Case, &str)> =
            self.cpu.iter().map(|cpu| (cpu.case, cpu.algorithm.as_str())).collect();
        cases.dedup();
        cases
    }

    /// Ours by another, in each round: both saw the same machine.
    pub(super) fn ratios(&self, case: Case, algorithm: &str, by: Subject) -> Vec<f64> {
        ratios(self.micros(case, algorithm, Subject::Ours), self.micros(case, algorithm, by))
    }
}
