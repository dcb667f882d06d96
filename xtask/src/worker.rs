//! The edge worker, `dist/worker`, and the one that takes SCIM calls too, `dist/scim-worker`: a module each, the JavaScript that calls it, and
//! an entry for each platform.

use crate::artifacts::{self, deliver};
use crate::command::{cargo, run, shown_path};
use crate::progress::step;
use crate::toolchain::{Target, Toolchain};
use crate::wasm_opt;
use anyhow::{Context, Result};
use doorward_testbed::folder;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder in `dist`.
const FOLDER: &str = "worker";
/// The folder of the one that takes SCIM calls too.
const SCIM_FOLDER: &str = "scim-worker";
/// What wasm-bindgen makes beside the module.
const GLUE: [&str; 2] = ["doorward.js", "web.js"];
const MODULE: &str = "doorward.wasm";

/// Builds both.
pub(crate) fn build(toolchain: &Toolchain) -> Result<()> {
    step(FOLDER, || delivered(toolchain, FOLDER, &[]))?;
    step(SCIM_FOLDER, || delivered(toolchain, SCIM_FOLDER, &[artifacts::SCIM]))
}

/// Builds one, with these features, into a folder in `dist`.
fn delivered(toolchain: &Toolchain, folder: &str, features: &[&str]) -> Result<String> {
    let made = made(toolchain, folder, features)?;
    let (module, note) = wasm_opt::shrink(&read(&made.join(MODULE))?, &format!("{folder}.wasm"))?;
    for file in GLUE {
        deliver(&read(&made.join(file))?, &format!("{folder}/{file}"))?;
    }
    for file in entries()? {
        deliver(&read(&sources().join(&file))?, &format!("{folder}/{file}"))?;
    }
    Ok(deliver(&module, &format!("{folder}/{MODULE}"))? + note)
}

/// The module and its JavaScript, in a folder of this name where modules are compiled.
fn made(toolchain: &Toolchain, name: &str, features: &[&str]) -> Result<PathBuf> {
    let compiled =
        artifacts::module(toolchain, Target::Web, "doorward-worker", "doorward_worker.wasm", features)?;
    let made = folder::target().join("wasm").join(name);
    let _ = fs::remove_dir_all(&made);
    fs::create_dir_all(&made).with_context(|| format!("expected to make {}", made.display()))?;
    run(cargo()
        .args(["run", "--quiet", "--locked", "--package", "doorward-bindgen", "--"])
        .args([&compiled, &made]))?;
    Ok(made)
}

/// Builds what the tests alone call, `target/wasm/worker-checks`.
pub(crate) fn checks(toolchain: &Toolchain) -> Result<()> {
    step("worker-checks", || Ok(shown_path(&made(toolchain, "worker-checks", &["checks"])?)))
}

/// The files written by hand: one for each platform, and what they share.
fn entries() -> Result<Vec<String>> {
    let sources = sources();
    let listed = fs::read_dir(&sources).with_context(|| format!("expected {}", sources.display()))?;
    let names = listed.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.retain(|name| name.ends_with(".js"));
    names.sort();
    Ok(names)
}

fn sources() -> PathBuf {
    folder::root().join("filters/worker/js")
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("expected {}", file.display()))
}
