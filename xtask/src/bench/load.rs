//! Load, by `wrk` and `h2load`. `wrk` only sends: what came of it, Envoy counts.

use crate::command::{on_path, program, shown};
use anyhow::{Context, Result, ensure};
use doorward_testbed::folder;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

/// Connections of `wrk`.
pub(super) const CONNECTIONS: u32 = 8;
/// Connections of `h2load`, which share the rate.
pub(super) const RATE_CONNECTIONS: u32 = 4;

/// The two programs, and a folder for their files.
pub(super) struct Load {
    folder: PathBuf,
    pub(super) wrk: String,
    pub(super) h2load: String,
}

/// What to send, in files.
pub(super) struct Batch {
    tokens: PathBuf,
    order: PathBuf,
    pub(super) requests: u64,
}

impl Load {
    /// Looks for the programs.
    ///
    /// # Errors
    /// If one is not on `PATH`.
    pub(super) fn find() -> Result<Self> {
        ensure!(
            on_path("wrk") && on_path("h2load"),
            "expected `wrk` and `h2load` on PATH; on Debian and Ubuntu: apt-get install wrk nghttp2-client"
        );
        let folder = folder::scratch("bench")?;
        let script = folder.join("load.lua");
        fs::write(&script, include_str!("load.lua"))
            .with_context(|| format!("expected to write {}", script.display()))?;
        // `wrk -v` prints its usage too, and fails.
        Ok(Self { folder, wrk: first_words("wrk", "-v")?, h2load: first_words("h2load", "--version")? })
    }

    /// Writes the tokens to send, and in which order; an empty token is a request without.
    pub(super) fn batch(&self, tokens: &[String], order: &[usize]) -> Result<Batch> {
        let batch = Batch {
            tokens: self.folder.join("tokens"),
            order: self.folder.join("order"),
            requests: u64::try_from(order.len())?,
        };
        fs::write(&batch.tokens, lines(tokens)).context("expected to write the tokens")?;
        fs::write(&batch.order, lines(order)).context("expected to write their order")?;
        Ok(batch)
    }

    /// Sends all of it as fast as possible, or for so many seconds.
    pub(super) fn send(&self, to: SocketAddr, batch: &Batch, seconds: u32) -> Result<()> {
        let mut wrk = program("wrk");
        wrk.args(["-t", "1", "-c", &CONNECTIONS.to_string(), "-d", &format!("{seconds}s"), "-s"])
            .arg(self.folder.join("load.lua"))
            .arg(format!("http://{to}/"))
            .arg("--")
            .args([&batch.tokens, &batch.order]);
        output(&mut wrk).map(drop)
    }

    /// Sends `token` so many times a second, and answers how long each response took, in µs.
    ///
    /// # Errors
    /// Also if a response is not 200.
    pub(super) fn at_rate(&self, to: SocketAddr, token: &str, rate: u32, seconds: u32) -> Result<Vec<f64>> {
        let log = self.folder.join("latency");
        // It appends.
        let _ = fs::remove_file(&log);
        let total = rate * seconds;
        let mut h2load = program("h2load");
        h2load
            .args(["--h1", "-t", "1", "-c", &RATE_CONNECTIONS.to_string(), "-n", &total.to_string()])
            .arg(format!("--rps={}", rate / RATE_CONNECTIONS))
            .arg(format!("--log-file={}", log.display()))
            .args(["-H", &format!("authorization: Bearer {token}")])
            .arg(format!("http://{to}/v1/orders/1234567"));
        output(&mut h2load)?;
        let text = fs::read_to_string(&log).context("expected h2load's log")?;
        let micros = latencies(&text)?;
        ensure!(
            u32::try_from(micros.len()) == Ok(total),
            "expected {total} responses, but found {}",
            micros.len()
        );
        Ok(micros)
    }
}

/// From h2load's log, `STARTED STATUS MICROSECONDS` a line.
fn latencies(log: &str) -> Result<Vec<f64>> {
    let latency = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields.as_slice() {
            [_, "200", micros, ..] => micros.trim().parse().ok(),
            _ => None,
        }
        .with_context(|| format!("expected status 200 and microseconds, but found {line:?}"))
    };
    log.lines().map(latency).collect()
}

fn lines(items: &[impl ToString]) -> String {
    items.iter().map(|item| item.to_string() + "\n").collect()
}

/// What it prints, whatever its exit status.
fn first_words(name: &str, option: &str) -> Result<String> {
    let output = program(name).arg(option).output().with_context(|| format!("expected to start {name}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

fn output(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("expected to start {}", shown(command)))?;
    ensure!(
        output.status.success(),
        "expected success, but found {}: {}\n{}{}",
        output.status,
        command.get_program().display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_read_and_failures_are_not() {
        let log = "1795309298799641\t200\t12551\n1795309298799653\t200\t923\n";
        assert_eq!(latencies(log).unwrap(), [12_551.0, 923.0]);
        assert!(latencies("").unwrap().is_empty());
        for bad in ["1\t404\t5\n", "1\t-1\t5\n", "1\t200\n", "x\n"] {
            assert!(latencies(&format!("{log}{bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_line_is_a_token_or_none() {
        assert_eq!(lines(&["a.b.c".to_owned(), String::new()]), "a.b.c\n\n");
        assert_eq!(lines(&[0, 12]), "0\n12\n");
    }
}
