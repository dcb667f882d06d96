//! The core's own benchmarks.

use crate::command::{cargo, run};
use anyhow::Result;

/// Runs them with `arguments`.
pub(super) fn start(arguments: &[String]) -> Result<()> {
    run(cargo().args(["bench", "--package", "doorward", "--"]).args(arguments))
}
