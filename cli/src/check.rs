//! `doorward check`: the filter's own reading of a document, before it is deployed.

use crate::file;
use crate::plugin::{self, LOOKED_FOR, Plugin};
use doorward::config::{Config, ConfigError, fill_variables};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exits with 0 if every document is without fault, with 1 otherwise.
#[derive(clap::Args)]
pub(crate) struct Check {
    /// Documents, alone or inside configurations of Envoy or Istio: JSON, or YAML if the name ends in .yaml or .yml.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Exit with 1 on warnings too.
    #[arg(long)]
    deny_warnings: bool,
}

impl Check {
    pub(crate) fn run(&self) -> ExitCode {
        // Every file is checked, whatever became of the one before it.
        let mut counts = Counts::default();
        for path in &self.files {
            counts.check(path);
        }
        let is_fine = counts.faults == 0 && !(self.deny_warnings && counts.warnings > 0);
        if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Reads a document. One that stands alone may be a worker's: variables are those of the environment.
fn load(text: &[u8], is_alone: bool) -> Result<Config, ConfigError> {
    if !is_alone {
        return Config::load(text);
    }
    fill_variables(text, |name| std::env::var(name).ok()).and_then(|text| Config::load(&text))
}

#[derive(Default)]
struct Counts {
    faults: usize,
    warnings: usize,
}

impl Counts {
    fn check(&mut self, path: &Path) {
        let shown = path.display();
        match file::read(path).map(|documents| plugin::find(&documents)) {
            Ok(plugins) if plugins.is_empty() => {
                self.fault(format_args!("{shown}: expected {LOOKED_FOR}, but found none"));
            }
            Ok(plugins) => plugins.iter().for_each(|plugin| self.plugin(&shown.to_string(), plugin)),
            Err(error) => self.fault(format_args!("{shown}: {error}")),
        }
    }

    fn plugin(&mut self, file: &str, plugin: &Plugin) {
        let place = if plugin.place.is_empty() { String::new() } else { format!("{}: ", plugin.place) };
        if let Some(fault) = &plugin.fault {
            self.fault(format_args!("{file}: {place}{fault}"));
        }
        match plugin.text.as_deref().map(|text| load(text, plugin.place.is_empty())) {
            None => {}
            Some(Ok(config)) => {
                if plugin.fault.is_none() {
                    let policy = config.policy();
                    let (providers, rules) = (policy.providers.len(), policy.rules.iter().count());
                    let tenants = config.gateway().map(|gateway| gateway.tenants.len());
                    let tenants = tenants.map(|count| format!(", {count} tenant(s)")).unwrap_or_default();
                    println!("{file}: {place}ok ({providers} provider(s), {rules} rule(s){tenants})");
                }
                for warning in config.warnings() {
                    self.warnings = self.warnings.saturating_add(1);
                    eprintln!("{file}: warning: {place}{warning}");
                }
            }
            Some(Err(error)) => {
                for fault in error.faults() {
                    self.fault(format_args!("{file}: {place}{fault}"));
                }
            }
        }
    }

    fn fault(&mut self, line: std::fmt::Arguments<'_>) {
        self.faults = self.faults.saturating_add(1);
        eprintln!("{line}");
    }
}
