//! Files that say what an installed thing was made from, so that it is made again only when that changes.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Whether `stamp` says that it was made from `source`.
pub(crate) fn is_current(stamp: &Path, source: &str) -> bool {
    fs::read_to_string(stamp).is_ok_and(|found| found == source)
}

/// Says in `stamp` that it was made from `source`.
pub(crate) fn write(stamp: &Path, source: &str) -> Result<()> {
    fs::write(stamp, source).with_context(|| format!("expected to write {}", stamp.display()))
}
