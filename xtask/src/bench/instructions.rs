//! Instructions of the core alone, counted by valgrind: they say more than a noisy clock.

use super::results::{Dispatch, Instructions};
use crate::command::{capture, cargo, on_path, program};
use anyhow::{Context, Result, ensure};
use doorward_testbed::{Algorithm, folder};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Few and many calls: what the program does besides is in both.
const CALLS: (u64, u64) = (10, 30);

/// Issuers and rules, few and many.
const CROWDS: [(u32, u32); 2] = [(1, 1), (1_000, 10_000)];
/// What a call is with those: requests.
const CROWD: u64 = 1_000;

/// Builds the core's benchmarks and counts.
pub(super) fn count() -> Result<(Vec<Instructions>, Vec<Dispatch>)> {
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
    let crowd = |(issuers, rules)| {
        let count = |what| anyhow::Ok(call(&bench, what, &format!("{issuers}x{rules}"))? / CROWD);
        let counted = Dispatch { issuers, rules, new: count("new")?, again: count("again")? };
        println!("{counted:?}");
        Ok(counted)
    };
    let dispatch = CROWDS.into_iter().map(crowd).collect::<Result<_>>()?;
    Ok((Algorithm::ALL.into_iter().map(algorithm).collect::<Result<_>>()?, dispatch))
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
fn call(bench: &Path, what: &str, of: &str) -> Result<u64> {
    let (few, many) = (total(bench, what, of, CALLS.0)?, total(bench, what, of, CALLS.1)?);
    Ok((many - few) / (CALLS.1 - CALLS.0))
}

fn total(bench: &Path, what: &str, of: &str, calls: u64) -> Result<u64> {
    let out = folder::scratch("callgrind")?.join("out");
    let mut valgrind = program("valgrind");
    valgrind
        .args(["--quiet", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(bench)
        .args(["--count", what, of, &calls.to_string()]);
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
