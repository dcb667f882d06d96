//! `doorward-bindgen MODULE FOLDER`: writes into the folder what makes a compiled worker callable from JavaScript: `doorward.wasm`,
//! and `doorward.js` and `web.js` that go with it. It is wasm-bindgen's own command as a library, of the version that the worker was
//! compiled with, so that nothing is downloaded.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (module, folder) =
        arguments.next().zip(arguments.next()).context("expected a module and a folder")?;
    Bindgen::new()
        .input_path(&module)
        .web(true)?
        // The module is imported by whoever loads it: CDN platforms compile none at run time.
        .omit_default_module_path(true)
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .out_name("doorward")
        .generate(&folder)
        .with_context(|| format!("expected a worker compiled for JavaScript in {}", module.display()))?;
    flatten(&folder)?;
    rename(&folder.join("doorward_bg.wasm"), &folder.join("doorward.wasm"))
}

/// `web.js` beside the others: below `snippets` its folder has a name that no human would choose.
fn flatten(folder: &Path) -> Result<()> {
    let snippets = folder.join("snippets");
    let crates: Vec<_> = fs::read_dir(&snippets)
        .with_context(|| format!("expected {}", snippets.display()))?
        .collect::<Result<_, _>>()?;
    let [only] = crates.as_slice() else {
        anyhow::bail!("expected one crate with JavaScript of its own, but found {}", crates.len());
    };
    rename(&only.path().join("src/web.js"), &folder.join("web.js"))?;
    let glue = folder.join("doorward.js");
    let text = fs::read_to_string(&glue).with_context(|| format!("expected {}", glue.display()))?;
    let name = only.file_name();
    let import = format!("./snippets/{}/src/web.js", name.to_string_lossy());
    ensure!(text.contains(&import), "expected {} to import {import}", glue.display());
    // Where the file is, and not what the module calls it.
    let text = text
        .replace(&format!("from '{import}'"), "from './web.js'")
        .replace(&format!("from \"{import}\""), "from \"./web.js\"");
    let text = with_one_import(&text, &import);
    fs::write(&glue, text).with_context(|| format!("expected to write {}", glue.display()))?;
    fs::remove_dir_all(&snippets).with_context(|| format!("expected to remove {}", snippets.display()))
}

/// `web.js` is imported once for each block of Rust that declares its functions, and bundlers warn of a key that an object has twice. All
/// are the same: the first stays.
fn with_one_import(text: &str, import: &str) -> String {
    let spare: Vec<&str> = text.lines().filter_map(namespace).skip(1).collect();
    let is_spare = |line: &str| {
        let is_its =
            |name: &&str| namespace(line) == Some(*name) || line.trim() == format!("\"{import}\": {name},");
        spare.iter().any(is_its)
    };
    text.lines().filter(|line| !is_spare(line)).flat_map(|line| [line, "\n"]).collect()
}

/// The name that a line imports all of `web.js` as.
fn namespace(line: &str) -> Option<&str> {
    line.strip_prefix("import * as ")?.strip_suffix(" from \"./web.js\"")
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("expected to write {}", to.display()))
}
