//! Committed files that tests render: compared by every run, rewritten with `DOORWARD_BLESS=1`.

use std::path::{Path, PathBuf};

/// A path from the root of the repository.
pub(crate) fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// What is committed; empty if nothing is.
pub(crate) fn read(relative: &str) -> String {
    std::fs::read_to_string(path(relative)).unwrap_or_default()
}

/// Compares `rendered` with what is committed.
pub(crate) fn check(relative: &str, rendered: &str) {
    if std::env::var("DOORWARD_BLESS").is_ok_and(|value| value == "1") {
        std::fs::write(path(relative), rendered).unwrap();
        return;
    }
    let committed = read(relative);
    let first = committed.lines().zip(rendered.lines()).find(|(committed, rendered)| committed != rendered);
    assert!(
        committed == rendered,
        "{relative} is not what the tests render (first difference: {first:?}); if the change is meant, run \
         DOORWARD_BLESS=1 cargo test --test it"
    );
}
