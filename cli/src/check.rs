//! `doorward check`: the filter's own reading of a document, before it is deployed.

use crate::file;
use doorward::config::Config;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exits with 0 if every document is without fault, with 1 otherwise.
#[derive(clap::Args)]
pub(crate) struct Check {
    /// Configuration documents: JSON, or YAML if the name ends in .yaml or .yml.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Check {
    pub(crate) fn run(&self) -> ExitCode {
        // Every file is checked, whatever became of the one before it.
        let fine = self.files.iter().filter(|path| check(path)).count();
        if fine == self.files.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn check(path: &Path) -> bool {
    let shown = path.display();
    let text = match file::read_as_json(path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("{shown}: {error}");
            return false;
        }
    };
    match Config::load(&text) {
        Ok(config) => {
            let policy = config.policy();
            let (providers, rules) = (policy.providers.len(), policy.rules.iter().count());
            println!("{shown}: ok ({providers} provider(s), {rules} rule(s))");
            true
        }
        Err(error) => {
            for fault in error.faults() {
                eprintln!("{shown}: {fault}");
            }
            false
        }
    }
}
