//! What is wrong with a configuration, and where.

use std::fmt;

/// One fault: its place in the document, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Member names joined by dots, list items in brackets: `rules[2].match.path`. Empty for the document itself.
    pub path: String,
    /// What was expected, and what was found.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "(document)" } else { &self.path };
        write!(f, "{path}: {}", self.message)
    }
}

/// Every fault of a document; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    faults: Vec<Fault>,
}

impl ConfigError {
    /// The faults, by path.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// A place in a document: member names joined by dots, list items in brackets. Empty for the document itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// The place of a member; its name is quoted where it would be misread.
    pub fn member(&self, name: &str) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let name =
            if !name.is_empty() && name.chars().all(plain) { name.to_owned() } else { format!("{name:?}") };
        Self(if self.0.is_empty() { name } else { format!("{}.{name}", self.0) })
    }

    /// The place of a list's item, counted from 0.
    pub fn item(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Collects faults.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, path: &Path, message: impl fmt::Display) {
        self.0.push(Fault { path: path.0.clone(), message: message.to_string() });
    }

    /// The value of `result`, or nothing and a fault.
    pub(super) fn check<T>(&mut self, path: &Path, result: Result<T, impl fmt::Display>) -> Option<T> {
        result.map_err(|error| self.add(path, error)).ok()
    }

    /// The value, or nothing and a fault that says that it is missing.
    pub(super) fn expect<T>(&mut self, path: &Path, value: Option<T>, expected: &str) -> Option<T> {
        if value.is_none() {
            self.add(path, format_args!("expected {expected}, but found nothing"));
        }
        value
    }

    pub(super) fn into_error(mut self) -> Option<ConfigError> {
        self.0.sort();
        self.0.dedup();
        if self.0.is_empty() { None } else { Some(ConfigError { faults: self.0 }) }
    }
}
