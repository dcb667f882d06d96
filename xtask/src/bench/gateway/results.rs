//! What a run found, as it is kept in `benches/gateway.json`.

use super::case::Case;
use crate::bench::machine::Machine;
use serde::{Deserialize, Serialize};

/// All of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Results {
    pub(super) machine: Machine,
    pub(super) rounds: usize,
    pub(super) seconds: u32,
    /// `dist/scim-gateway.wasm`.
    pub(super) module_bytes: u64,
    pub(super) found: Vec<Found>,
}

/// One kind of call by both ways, a number for each round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) case: Case,
    pub(super) without: Series,
    pub(super) with: Series,
}

/// One way.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Series {
    /// CPU time of Envoy for a call, in µs.
    pub(super) cpu: Vec<f64>,
    /// Median time of a call on one connection, as its client sees it, in µs.
    pub(super) latency: Vec<f64>,
}
