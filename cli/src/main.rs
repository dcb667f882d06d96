//! The native binary `doorward`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to its terminal")]

mod check;
mod convert;
mod explain;
mod file;
mod plugin;
mod schema;

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
    /// Explain what the filter would decide about one request, and why.
    Explain(Box<explain::Explain>),
    /// Convert an Envoy or Istio configuration, and list what has no counterpart.
    Convert(convert::Convert),
    /// Print the JSON Schema of the document, for editors.
    Schema,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check(check) => check.run(),
        Command::Explain(explain) => explain.run(),
        Command::Convert(convert) => convert.run(),
        Command::Schema => schema::run(),
    }
}
