//! Fuzz targets under libFuzzer: `fuzz/`. What they check is in `tests/fuzz`, which also runs them without libFuzzer.
//!
//! Built here rather than by cargo-fuzz, with the flags that it uses, so that nothing need be installed but a C++ compiler
//! for libFuzzer itself: these flags work on stable Rust. AddressSanitizer, which does not, is left out: the core has no
//! `unsafe`. `cargo fuzz run TARGET` with nightly has it.

use crate::command::{capture, cargo, on_path, program, run, shown_path};
use anyhow::{Context, Result, bail, ensure};
use doorward_testbed::folder;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Inputs for each target in `cargo xtask test`; a count, so that slow machines test as much as fast ones.
const BRIEF_RUNS: u32 = 20_000;
/// Longer inputs find nothing that shorter ones do not, and take longer.
const LONGEST_INPUT: u32 = 4096;

/// Coverage as libFuzzer wants it. Without cargo-fuzz's `--cfg fuzzing`: some crates check less with it.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0";

/// The commonest reason why `fuzz/` does not build: the core has a new dependency.
const HOW_TO_LOCK: &str = "expected to build fuzz/; if its lock file is out of date, \
    `cargo update --workspace --manifest-path fuzz/Cargo.toml` renews it";

/// The built targets.
pub(crate) struct Targets {
    programs: PathBuf,
}

/// The names of all targets.
pub(crate) fn names() -> Result<Vec<String>> {
    let files = folder::root().join("fuzz/fuzz_targets");
    let files = fs::read_dir(&files).with_context(|| format!("expected to list {}", files.display()))?;
    let mut names = Vec::new();
    for file in files {
        let file = file?.path();
        names.extend(file.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Whether libFuzzer can be built here.
pub(crate) fn is_possible() -> bool {
    env::var_os("CXX").is_some() || on_path("c++")
}

impl Targets {
    /// Builds them, in a target folder of their own: everything in it is instrumented.
    pub(crate) fn build() -> Result<Self> {
        ensure!(
            is_possible(),
            "expected a C++ compiler, c++ or $CXX: libFuzzer is built from source (Debian: apt-get install g++)"
        );
        let version = capture(program("rustc").arg("-vV"))?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.context("expected rustc to name its host")?;
        let target = home();
        let mut build = cargo();
        // With the target named, build scripts and macros are not instrumented.
        build.args(["build", "--quiet", "--release", "--locked", "--bins", "--target", host]);
        build.args(["--manifest-path", "fuzz/Cargo.toml", "--target-dir"]).arg(&target);
        build.env("RUSTFLAGS", INSTRUMENTATION).env_remove("CARGO_ENCODED_RUSTFLAGS");
        run(&mut build).context(HOW_TO_LOCK)?;
        Ok(Self { programs: target.join(host).join("release") })
    }

    /// A few seconds of one target, the same each time.
    pub(crate) fn brief(&self, name: &str) -> Result<Command> {
        let found = home().join("brief").join(name);
        let _ = fs::remove_dir_all(&found);
        let mut command = self.command(name, found)?;
        command.args(["-seed=1", "-verbosity=0"]).arg(format!("-runs={BRIEF_RUNS}"));
        Ok(command)
    }

    /// libFuzzer on one target. What it finds worth keeping goes to `found`, and what it reads is there and in the committed
    /// corpus, which it leaves as it is.
    fn command(&self, name: &str, found: PathBuf) -> Result<Command> {
        let failures = home().join("failures");
        for folder in [&found, &failures] {
            fs::create_dir_all(folder).with_context(|| format!("expected to make {}", folder.display()))?;
        }
        let mut command = program(self.programs.join(name));
        let dictionary = folder::root().join("fuzz/dictionaries").join(format!("{name}.dict"));
        if dictionary.is_file() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        command.arg(format!("-artifact_prefix={}/{name}-", failures.display()));
        command.arg(format!("-max_len={LONGEST_INPUT}"));
        command.arg(found).arg(folder::root().join("fuzz/corpus").join(name));
        Ok(command)
    }
}

/// Fuzzes one target by hand.
pub(crate) fn start(name: &str, seconds: u32) -> Result<()> {
    let names = names()?;
    if !names.iter().any(|known| known == name) {
        bail!("expected one of {}, but found {name:?}", names.join(", "));
    }
    let found = home().join("corpus").join(name);
    let mut command = Targets::build()?.command(name, found.clone())?;
    command.arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1");
    println!("new inputs: {}", shown_path(&found));
    run(&mut command).with_context(|| {
        format!(
            "expected {name} to hold; copy the input named above to fuzz/corpus/{name}/ and mend the code"
        )
    })
}

fn home() -> PathBuf {
    folder::target().join("fuzz")
}
