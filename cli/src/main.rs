//! The native binary `doorward`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to its terminal")]

mod audit;
mod check;
mod convert;
mod database;
mod explain;
mod file;
mod plugin;
mod role;
mod schema;
mod store;
mod tenant;
mod token;

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
    /// Run the backing store: SCIM over HTTP.
    Store(store::Store),
    /// Make, list and remove the tenants of a store.
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    /// Make, list and revoke the bearer tokens of a tenant.
    #[command(subcommand)]
    Token(token::Token),
    /// Grant roles to the members of groups, list and revoke them.
    #[command(subcommand)]
    Role(role::Role),
    /// Look after the audit trail of a store.
    #[command(subcommand)]
    Audit(audit::Audit),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check(check) => check.run(),
        Command::Explain(explain) => explain.run(),
        Command::Convert(convert) => convert.run(),
        Command::Schema => schema::run(),
        Command::Store(store) => database::report(store.run()),
        Command::Tenant(tenant) => database::report(tenant.run()),
        Command::Token(token) => database::report(token.run()),
        Command::Role(role) => database::report(role.run()),
        Command::Audit(audit) => audit.run(),
    }
}
