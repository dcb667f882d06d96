//! Counts of what passed and failed.

use std::fmt;
use std::ops::AddAssign;

/// How many passed, how many failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// One that passed.
    pub(crate) const PASSED: Self = Self { passed: 1, failed: 0 };
    /// One that failed.
    pub(crate) const FAILED: Self = Self { passed: 0, failed: 1 };

    /// Reads the line that ends a run of Rust's test harness: `test result: ok. 3 passed; 0 failed; …`.
    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let (_, counts) = line.split_once("test result: ")?;
        let count = |word: &str| {
            counts.split(';').find_map(|part| part.strip_suffix(word)?.rsplit(' ').next()?.parse().ok())
        };
        Some(Self { passed: count(" passed")?, failed: count(" failed")? })
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_read() {
        let rest = "0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        let cases = [
            (format!("test result: ok. 3 passed; 0 failed; {rest}\n"), Some((3, 0))),
            (format!("test result: FAILED. 12 passed; 7 failed; {rest}"), Some((12, 7))),
            (format!("test result: \u{1b}[32mok\u{1b}[m. 1 passed; 0 failed; {rest}"), Some((1, 0))),
            ("test result: unknown".to_owned(), None),
            ("test tests::x ... ok".to_owned(), None),
            (String::new(), None),
        ];
        for (line, expected) in cases {
            assert_eq!(Tally::from_line(&line).map(|t| (t.passed, t.failed)), expected, "{line}");
        }
    }

    #[test]
    fn tallies_add_up() {
        let mut tally = Tally { passed: 2, failed: 1 };
        tally += Tally::PASSED;
        tally += Tally::FAILED;
        assert_eq!(tally.to_string(), "3 passed, 2 failed");
    }
}
