//! The native binary `doorward`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to its terminal")]

mod check;
mod file;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Identity at the edge.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check configuration documents, and print every fault with its path.
    Check(check::Check),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check(check) => check.run(),
    }
}
