//! One line a step, with the time it took.

use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// Does `work` and prints a line about it: `name`, and what it answers.
///
/// # Errors
/// What `work` answers, under `name`.
pub(crate) fn step(name: &str, work: impl FnOnce() -> Result<String>) -> Result<()> {
    let start = Instant::now();
    match work() {
        Ok(outcome) => {
            println!("{}", line("ok", start.elapsed(), name, &outcome));
            Ok(())
        }
        Err(e) => {
            println!("{}", line("failed", start.elapsed(), name, ""));
            Err(e).with_context(|| format!("{name} failed"))
        }
    }
}

fn line(verdict: &str, took: Duration, name: &str, outcome: &str) -> String {
    let separator = if outcome.is_empty() { "" } else { ": " };
    format!("{verdict:<6} {:>7.1} s  {name}{separator}{outcome}", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned() {
        assert_eq!(line("ok", Duration::from_millis(1250), "Envoy", "1.40"), "ok         1.2 s  Envoy: 1.40");
        assert_eq!(line("failed", Duration::from_secs(1234), "Envoy", ""), "failed  1234.0 s  Envoy");
    }
}
