//! `doorward schema`: the JSON Schema of the document, for editors.

use std::process::ExitCode;

/// Prints the schema.
pub(crate) fn run() -> ExitCode {
    println!("{:#}", doorward::config::schema());
    ExitCode::SUCCESS
}
