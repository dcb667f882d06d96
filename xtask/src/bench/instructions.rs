//! Instructions of the core alone, counted by valgrind: they say more than a noisy clock.

use super::results::Instructions;
use crate::command::{capture, cargo, on_path, program};
use anyhow::{Context, Result, ensure};
use doorward_testbed::{Algorithm, folder};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Few and many calls: what the program does besides is in both.
const CALLS: (u64, u64) = (10, 30);

/// Builds the core's benchmarks and counts.
pub(super) fn count() -> Result<Vec<Instructions>> {
    ensure!(
        on_path("valgrind"),
        "expected `valgrind` on PATH; on Debian and Ubuntu: apt-get install valgrind"
    );
    let bench = build()?;
    let algorithm = |algorithm: Algorithm| {
        let count = |what| call(&bench, what, algorithm.name());
        let counted = Instructions {
            algorithm: algorithm.name().to_owned(),
            request: count("request")?,
            signature: count("signature")?,
        };
        println!("{counted:?}");
        Ok(counted)
    };
    Algorithm::ALL.into_iter().map(algorithm).collect()
}

fn build() -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["bench", "--package", "doorward", "--bench", "core", "--no-run"]);
    executable(&capture(build.args(["--message-format", "json"]))?)
        .context("expected cargo to name the program")
}

/// From cargo's messages, one document a line.
fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut named =
        messages.filter(|message| message.pointer("/target/name").is_some_and(|name| name == "core"));
    named.find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
}

/// Instructions of one call.
fn call(bench: &Path, what: &str, algorithm: &str) -> Result<u64> {
    let (few, many) = (total(bench, what, algorithm, CALLS.0)?, total(bench, what, algorithm, CALLS.1)?);
    Ok((many - few) / (CALLS.1 - CALLS.0))
}

fn total(bench: &Path, what: &str, algorithm: &str, calls: u64) -> Result<u64> {
    let out = folder::scratch("callgrind")?.join("out");
    let mut valgrind = program("valgrind");
    valgrind
        .args(["--quiet", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(bench)
        .args(["--count", what, algorithm, &calls.to_string()]);
    capture(&mut valgrind)?;
    let text =
        std::fs::read_to_string(&out).with_context(|| format!("expected to read {}", out.display()))?;
    instructions(&text).context("expected a summary in callgrind's output")
}

/// The line `summary: INSTRUCTIONS`, or `totals:`.
fn instructions(out: &str) -> Option<u64> {
    let line = out.lines().find_map(|line| line.strip_prefix("summary:").or(line.strip_prefix("totals:")))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_programs_are_found() {
        assert_eq!(instructions("events: Ir\nsummary: 123456\n\nfn=1\n"), Some(123_456));
        assert_eq!(instructions("fn=1\ntotals: 7\n"), Some(7));
        assert_eq!(instructions("events: Ir\n"), None);
        let messages = concat!(
            r#"{"target":{"name":"build-script-build"},"executable":"/x/build"}"#,
            "\n",
            r#"{"target":{"name":"core"},"executable":"/x/core-1"}"#,
            "\nnot JSON\n",
            r#"{"reason":"build-finished"}"#
        );
        assert_eq!(executable(messages), Some(PathBuf::from("/x/core-1")));
    }
}
