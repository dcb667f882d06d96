//! Log lines about single requests, at most so many a second: whoever sends bad requests must not fill the disk.

use doorward::authn::{AuthnPolicy, LogLine};
use doorward::http::RequestHead;
use doorward::time::UnixTime;

/// One worker's lines.
#[derive(Default)]
pub(crate) struct Journal {
    /// The second that is counted.
    second: i64,
    /// How many lines were written in it.
    written: u32,
    /// How many were not written since the last one that was.
    suppressed: u64,
}

impl Journal {
    /// Writes a line, or counts that it was left out.
    pub(crate) fn write(
        &mut self,
        policy: &AuthnPolicy,
        now: UnixTime,
        head: &RequestHead<'_>,
        line: &LogLine<'_>,
    ) {
        if self.second != now.as_secs() {
            (self.second, self.written) = (now.as_secs(), 0);
        }
        if self.written >= policy.denial_logs {
            self.suppressed = self.suppressed.saturating_add(1);
            return;
        }
        self.written = self.written.saturating_add(1);
        log::info!("{}", line.to_json(policy, head, self.suppressed));
        self.suppressed = 0;
    }
}
