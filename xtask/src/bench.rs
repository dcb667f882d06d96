//! Benchmarks.

use crate::command::{cargo, run};
use anyhow::Result;

/// Runs the core's benchmarks with `arguments`.
pub(crate) fn start(arguments: &[String]) -> Result<()> {
    run(cargo().args(["bench", "--package", "doorward", "--"]).args(arguments))
}
