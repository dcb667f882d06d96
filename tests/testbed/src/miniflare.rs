//! A local workerd by npm's miniflare, which has the databases of Cloudflare's platform.

use crate::process::Process;
use crate::{eventually, folder};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long workerd may take to start.
const START: Duration = Duration::from_secs(60);

/// A running script of `tests/e2e/node` that uses miniflare. Dropping it ends it; its data goes too.
#[derive(Debug)]
pub(crate) struct Miniflare {
    /// In a group of its own: miniflare starts workerd.
    process: Process,
    /// Where miniflare puts what is in memory to those who ask. It tidies up unless it is killed, as here.
    data: PathBuf,
    ready: String,
}

impl Miniflare {
    /// Whether it is installed, as `cargo xtask setup --tests` does it.
    pub(crate) fn is_installed() -> bool {
        folder::root().join("tests/e2e/node/node_modules/miniflare").is_dir()
    }

    /// Starts a script with its files in `folder`, and waits until it prints `ready`.
    ///
    /// # Errors
    /// If miniflare is not installed, or the script is not ready within 60 seconds; with the end of its log.
    pub(crate) async fn start(script: &str, arguments: &[String], folder: &Path) -> Result<Self> {
        let data = folder.join("data");
        fs::create_dir_all(&data).with_context(|| format!("expected to make {}", data.display()))?;
        let mut node = Command::new("node");
        node.arg(folder::root().join("tests/e2e/node").join(script)).args(arguments).env("TMPDIR", &data);
        let process = Process::spawn_group("miniflare", &mut node, folder)?;
        let mut started = Self { process, data, ready: String::new() };
        eventually(&format!("{script} is ready"), START, async || {
            ensure!(started.process.exited().is_none(), "{}", started.process.report(20));
            let log = started.process.log();
            let whole = log.lines().take(log.matches('\n').count());
            let ready = whole.filter_map(|line| line.strip_prefix("ready")).next().map(str::to_owned);
            let is_ready = ready.is_some();
            started.ready = ready.unwrap_or_default();
            Ok(is_ready)
        })
        .await?;
        Ok(started)
    }

    /// What it printed in the line after `ready`.
    pub(crate) fn ready(&self) -> &str {
        self.ready.trim()
    }

    /// The process, for its log.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }
}

impl Drop for Miniflare {
    fn drop(&mut self) {
        self.process.stop();
        let _ = fs::remove_dir_all(&self.data);
    }
}

#[cfg(test)]
#[allow(clippy::print_stderr, reason = "it is said what is left out")]
mod tests {
    use super::*;
    use crate::run;

    #[test]
    fn nothing_is_left_of_its_data() {
        if !Miniflare::is_installed() {
            eprintln!("left out: miniflare is not installed");
            return;
        }
        run(async {
            let folder = folder::scratch("miniflare")?;
            let miniflare = Miniflare::start("d1.mjs", &["1".to_owned()], &folder).await?;
            assert!(miniflare.ready().parse::<u16>().is_ok(), "{:?}", miniflare.ready());
            let entries = |path: &Path| fs::read_dir(path).map_or(0, Iterator::count);
            assert!(entries(&folder.join("data")) > 0, "expected its data in {}", folder.display());
            drop(miniflare);
            assert_eq!(entries(&folder), 1, "expected the log alone in {}", folder.display());
            Ok(())
        })
        .unwrap();
    }
}
