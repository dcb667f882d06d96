//! Binaryen's `wasm-opt`, from npm: a module becomes a tenth smaller, and loads faster by as much. Without Node.js the module stays
//! as the compiler made it, and does the same.

use crate::command::{capture, on_path, program};
use crate::{setup, stamp};
use anyhow::{Context, Result};
use doorward_testbed::folder;
use std::fs;

const BINARYEN: &str = "binaryen@132.0.0";

/// Small code; and no function goes into its only caller if it is larger than so many instructions: an engine compiles a whole function when
/// it is first called, so that a rare case within it costs the first request.
const OPTIONS: [&str; 4] = ["-Oz", "--converge", "--one-caller-inline-max-function-size", "20"];

/// What Rust's compiler uses of WebAssembly beyond its first version, and no more: the module says it nowhere once it is stripped.
const FEATURES: [&str; 8] = [
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-call-indirect-overlong",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// The module, smaller if there is Node.js, and what was done. `name` is its own: what was made of the same module last time is used
/// again.
pub(crate) fn shrink(module: &[u8], name: &str) -> Result<(Vec<u8>, &'static str)> {
    if !on_path("npm") {
        return Ok((module.to_vec(), ", a tenth larger than with npm on PATH (wasm-opt)"));
    }
    let tool = install()?;
    let folder = folder::target().join("wasm");
    let (before, after) = (folder.join(format!("{name}.before")), folder.join(format!("{name}.after")));
    let stamp = folder.join(format!("{name}.stamp"));
    let made_by = format!("{BINARYEN} {} {}", OPTIONS.join(" "), FEATURES.join(" "));
    let known = fs::read(&before).is_ok_and(|found| found == module);
    if !known || !after.is_file() || !stamp::is_current(&stamp, &made_by) {
        let _ = fs::remove_file(&after);
        fs::write(&before, module).with_context(|| format!("expected to write {}", before.display()))?;
        let mut node = program("node");
        node.arg(tool).args(OPTIONS).args(FEATURES).arg("--output").arg(&after).arg(&before);
        capture(&mut node).context("expected wasm-opt to read the module")?;
        stamp::write(&stamp, &made_by)?;
    }
    let shrunk = fs::read(&after).with_context(|| format!("expected {}", after.display()))?;
    Ok((shrunk, ""))
}

fn install() -> Result<std::path::PathBuf> {
    let target = setup::tools_folder("binaryen")?;
    let stamp = target.join("stamp");
    if !stamp::is_current(&stamp, BINARYEN) {
        let mut npm = program("npm");
        npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--prefix"])
            .arg(&target)
            .arg(BINARYEN);
        capture(&mut npm).context("expected npm to install Binaryen")?;
        stamp::write(&stamp, BINARYEN)?;
    }
    Ok(target.join("node_modules/binaryen/bin/wasm-opt"))
}
