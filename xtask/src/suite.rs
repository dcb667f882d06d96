//! Every check that a change must pass.

use crate::command::{capture, cargo, program, shown, stream};
use crate::tally::Tally;
use crate::{artifacts, fuzz, package, setup, worker};
use anyhow::{Result, ensure};
use doorward_testbed::folder;
use std::fs;
use std::process::Command;
use std::time::Instant;

/// Runs all checks, or with a filter only the tests whose names contain it. A failing check does not stop the others. The
/// last line printed is `N passed, N failed`: tests, and each other check as one.
pub(crate) fn run(filter: Option<&str>) -> Result<()> {
    let mut suite = Suite::default();
    let _ = fs::remove_dir_all(folder::scratch_root());
    if filter.is_none() {
        suite.check("format", cargo().args(["fmt", "--all", "--check"]));
        suite.check(
            "format of fuzz/",
            cargo().args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--", "--check"]),
        );
        suite.check(
            "clippy",
            cargo().args(["clippy", "--workspace", "--all-targets", "--locked"]).args([
                "--features",
                "doorward-worker/scim",
                "--",
                "-D",
                "warnings",
            ]),
        );
        suite.dependencies();
    }
    // Always the whole workspace: with another selection of packages, cargo builds dependencies again with other features.
    suite.tests("native tests", tests(&["--exclude", "doorward-e2e"], filter));
    if filter.is_none() {
        suite.fuzz();
    }
    if suite.part("filters and tools", build).is_some() {
        let mut end_to_end = tests(&["--test", "e2e"], filter);
        end_to_end.env("DOORWARD_DIST", folder::dist());
        suite.tests("end-to-end tests", end_to_end);
    }
    if filter.is_none() {
        let mut doc = cargo();
        doc.args(["doc", "--workspace", "--lib", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings");
        suite.check("documentation", &mut doc);
    }
    suite.finish()
}

fn build() -> Result<()> {
    let toolchain = setup::tools()?;
    setup::packages()?;
    artifacts::filters(&toolchain)?;
    worker::build(&toolchain)?;
    artifacts::test_filter(&toolchain)?;
    worker::checks(&toolchain)?;
    package::images(&package::folder())?;
    artifacts::native()
}

fn tests(selection: &[&str], filter: Option<&str>) -> Command {
    let mut command = cargo();
    command.args(["test", "--workspace", "--locked", "--no-fail-fast"]).args(selection).args(filter);
    command
}

#[derive(Default)]
struct Suite {
    tally: Tally,
    failures: Vec<String>,
}

impl Suite {
    /// `cargo deny` by `deny.toml`. Without advisories: their database changes without us.
    fn dependencies(&mut self) {
        if let Some(deny) = self.part("install cargo-deny", setup::cargo_deny) {
            self.check(
                "dependencies",
                program(deny).args(["--workspace", "check", "bans", "licenses", "sources"]),
            );
        }
    }

    /// A few seconds of libFuzzer for each target. Without a C++ compiler it is left to the native tests, which give all targets
    /// the corpora and mutations of them.
    fn fuzz(&mut self) {
        if !fuzz::is_possible() {
            println!("\n== fuzz: not run, for want of a C++ compiler (c++)");
            return;
        }
        let built = self.part("build fuzz targets", || Ok((fuzz::Targets::build()?, fuzz::names()?)));
        let Some((targets, names)) = built else { return };
        for name in &names {
            // libFuzzer talks a lot; what it says of a failure is in the error.
            self.part(&format!("fuzz {name}"), || capture(&mut targets.brief(name)?).map(drop));
        }
    }

    /// Something that passes or fails as a whole.
    fn check(&mut self, name: &str, command: &mut Command) {
        self.part(name, || {
            println!("$ {}", shown(command));
            ensure!(stream(command, |_| {})?, "{} failed", shown(command));
            Ok(())
        });
    }

    fn part<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        let start = heading(name);
        let outcome = work().inspect_err(|e| println!("{e:#}")).ok();
        self.count(name, if outcome.is_some() { Tally::PASSED } else { Tally::FAILED }, start);
        outcome
    }

    /// Tests, each of which counts. If the command fails and no test did, that is one failure: it did not compile.
    fn tests(&mut self, name: &str, mut command: Command) {
        let start = heading(name);
        println!("$ {}", shown(&command));
        let mut tally = Tally::default();
        let outcome = stream(&mut command, |line| tally += Tally::from_line(line).unwrap_or_default());
        let passed = outcome.unwrap_or_else(|e| {
            println!("{e:#}");
            false
        });
        if !passed && tally.failed == 0 {
            tally += Tally::FAILED;
        }
        self.count(name, tally, start);
    }

    fn count(&mut self, name: &str, tally: Tally, start: Instant) {
        println!("== {name}: {tally} in {:.1} s", start.elapsed().as_secs_f64());
        self.tally += tally;
        if tally.failed > 0 {
            self.failures.push(name.to_owned());
        }
    }

    fn finish(self) -> Result<()> {
        println!();
        if !self.failures.is_empty() {
            println!("failed: {}", self.failures.join(", "));
        }
        println!("{}", self.tally);
        if self.tally.failed > 0 {
            // Not an error: it would print something after the last line.
            std::process::exit(1);
        }
        Ok(())
    }
}

fn heading(name: &str) -> Instant {
    println!("\n== {name}");
    Instant::now()
}
