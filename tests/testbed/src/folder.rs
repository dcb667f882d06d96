//! Where things lie in the work tree.

use anyhow::{Context, Result};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The root of the workspace.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_path_buf()
}

/// Cargo's target folder: `CARGO_TARGET_DIR`, or else `target` in the workspace.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The folder of the built filters and tools: `DOORWARD_DIST`, or else `dist` in the workspace.
pub fn dist() -> PathBuf {
    env::var_os("DOORWARD_DIST").map_or_else(|| root().join("dist"), |dir| root().join(dir))
}

/// The parent of all [`scratch`] folders.
pub fn scratch_root() -> PathBuf {
    target().join("testbed")
}

/// A new, empty folder for one part's files. It stays after the part has stopped, so that a failure can be looked
/// into; `cargo xtask test` starts by deleting all of them.
///
/// # Errors
/// If the folder cannot be made.
pub fn scratch(name: &str) -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = scratch_root().join(format!("{name}-{}-{number}", std::process::id()));
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("expected to empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("expected to make {}", folder.display()))?;
    Ok(folder)
}
