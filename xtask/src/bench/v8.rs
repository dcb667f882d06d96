//! What the core costs in V8, measured in Node.js.

use crate::artifacts;
use crate::command::{program, run};
use crate::setup;
use crate::toolchain::Target;
use anyhow::Result;
use doorward_testbed::folder;

/// Builds the module as the filters are built, and prints a table.
pub(crate) fn bench() -> Result<()> {
    let (package, file) = ("doorward-bench-v8", "doorward-bench-v8.wasm");
    let module = artifacts::module(&setup::wasm()?, Target::Proxy, package, file, &[])?;
    let script = folder::root().join("benches/v8/run.mjs");
    // Node.js warns that its WASI is no sandbox; nothing here needs one.
    run(program("node").arg("--no-warnings").arg(script).arg(module))
}
