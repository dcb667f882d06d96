//! Log lines about single requests, at most so many a second: whoever sends bad requests must not fill the disk.

use crate::time::UnixTime;

/// One host's lines.
#[derive(Debug, Default)]
pub struct Journal {
    /// The second that is counted.
    second: i64,
    /// How many lines were written in it.
    written: u32,
    /// How many were not written since the last one that was.
    suppressed: u64,
}

impl Journal {
    /// Whether a line may be written, of `per_second` at most: `Some` says how many went before it and were not. Whoever asks and
    /// may, writes.
    pub fn line(&mut self, now: UnixTime, per_second: u32) -> Option<u64> {
        if self.second != now.as_secs() {
            (self.second, self.written) = (now.as_secs(), 0);
        }
        if self.written >= per_second {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.written = self.written.saturating_add(1);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_lines_and_what_was_left_out_is_said_once() {
        let at = UnixTime::from_secs;
        let mut journal = Journal::default();
        let mut lines = |second: i64, wanted: usize| -> Vec<_> {
            (0..wanted).map(|_| journal.line(at(second), 2)).collect()
        };
        assert_eq!(lines(100, 5), [Some(0), Some(0), None, None, None]);
        assert_eq!(lines(101, 3), [Some(3), Some(0), None]);
        assert_eq!(lines(100, 1), [Some(1)], "the clock was set back");
        assert_eq!(Journal::default().line(at(0), 0), None);
    }
}
