//! What is printed: one line a step, its subject first.

use std::fmt;

/// Lines of an explanation.
#[derive(Default)]
pub(super) struct Report(Vec<(&'static str, String)>);

impl Report {
    pub(super) fn add(&mut self, subject: &'static str, text: impl Into<String>) {
        self.0.push((subject, text.into()));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = "";
        for (subject, text) in &self.0 {
            let shown = if *subject == last { "" } else { subject };
            writeln!(f, "{shown:<12}{text}")?;
            last = subject;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_named_once() {
        let mut report = Report::default();
        report.add("dates", "a");
        report.add("dates", "b");
        report.add("keys", "c");
        assert_eq!(report.to_string(), "dates       a\n            b\nkeys        c\n");
    }
}
