//! `cargo xtask setup|build|package|demo|test|fuzz|bench`: everything that is done with this repository, on a developer's machine and
//! in CI alike.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]
#![allow(
    clippy::arithmetic_side_effects,
    reason = "development only: an overflow fails the command that caused it"
)]

mod artifacts;
mod bench;
mod command;
mod demo;
mod exports;
mod fuzz;
mod package;
mod progress;
mod setup;
mod stamp;
mod suite;
mod table;
mod tally;
mod toolchain;
mod wasm_opt;
mod worker;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, package, demo, test and bench")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing: the WebAssembly target and Envoy.
    Setup {
        /// Also what only the tests need: npm and Python packages (D1 among them), PostgreSQL, cargo-deny.
        #[arg(long)]
        tests: bool,
    },
    /// Build the filters, the edge workers and the native binary into dist/.
    Build,
    /// Build the filters and write each as an OCI image, for Istio and other control planes that pull from a registry.
    Package {
        /// The folder for the images, one folder each; dist/oci if not given.
        #[arg(long, value_name = "FOLDER")]
        output: Option<PathBuf>,
    },
    /// Run the filters in Envoy, and show what happens to requests and to SCIM calls.
    Demo {
        /// Exit after the table; a row that is not as it should be is an error.
        #[arg(long)]
        once: bool,
    },
    /// Check formatting, lints, dependencies and documentation, and run all tests.
    Test {
        /// Run only tests whose name contains this, and no other checks.
        #[arg(long, value_name = "NAME")]
        filter: Option<String>,
    },
    /// Fuzz one target with libFuzzer; needs a C++ compiler.
    Fuzz {
        /// A file of fuzz/fuzz_targets/, without its extension.
        target: String,
        /// For how long.
        #[arg(long, value_name = "N", default_value_t = 60)]
        seconds: u32,
    },
    /// Run benchmarks: the core's, or those that are named.
    Bench {
        #[command(subcommand)]
        bench: Option<bench::Bench>,
    },
}

fn main() -> ExitCode {
    match perform(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<()> {
    match task {
        Task::Setup { tests: false } => setup::tools().map(drop),
        Task::Setup { tests: true } => setup::tools().and_then(|_| setup::tests()),
        Task::Build => artifacts::build(),
        Task::Package { output } => package::build(output),
        Task::Demo { once: true } => demo::once(),
        Task::Demo { once: false } => demo::stay(),
        Task::Test { filter } => suite::run(filter.as_deref()),
        Task::Fuzz { target, seconds } => fuzz::start(&target, seconds),
        Task::Bench { bench } => bench::start(bench),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
