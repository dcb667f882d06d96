//! The log: one line of JSON for each request and for what else happens. No line has a token, a query, an id or a body in it.

use super::clock;
use crate::database::DatabaseError;
use doorward::scim::DateTime;
use serde::Serialize;
use serde_json::json;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How many lines may wait for whoever reads the log.
const WAITING: usize = 8192;
/// How long lines are gathered for.
const PAUSE: Duration = Duration::from_millis(2);

/// Where lines go. Nobody waits for it: if the reader is stuck, lines are lost and counted.
#[derive(Debug)]
pub struct Log {
    /// Taken only when the log ends.
    sender: Option<SyncSender<Vec<u8>>>,
    writer: Option<JoinHandle<()>>,
    lost: AtomicU64,
}

/// A line.
#[derive(Serialize)]
struct Line<'l, T> {
    time: Option<String>,
    level: Level,
    event: &'l str,
    #[serde(flatten)]
    fields: T,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Info,
    Error,
}

impl Log {
    /// To the standard output.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn to_stdout() -> io::Result<Self> {
        Self::to(io::stdout())
    }

    /// To any writer, which a thread of its own writes to.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn to(writer: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, lines) = sync_channel(WAITING);
        let writer = thread::Builder::new().name("log".to_owned()).spawn(move || write(&lines, writer))?;
        Ok(Self { sender: Some(sender), writer: Some(writer), lost: AtomicU64::new(0) })
    }

    /// A fault of the database, whose cause no client is told.
    pub fn database_error(&self, error: &DatabaseError) {
        self.line(Level::Error, "database_error", json!({ "error": error.to_string() }));
    }

    /// How many lines were lost.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn line(&self, level: Level, event: &str, fields: impl Serialize) {
        let time = DateTime::from_unix_micros(clock::now()).map(|time| time.to_string());
        let line = serde_json::to_vec(&Line { time, level, event, fields });
        let sent = line.ok().zip(self.sender.as_ref()).map(|(mut line, sender)| {
            line.push(b'\n');
            sender.try_send(line)
        });
        if !matches!(sent, Some(Ok(()))) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write(lines: &Receiver<Vec<u8>>, mut writer: impl Write) {
    while let Ok(mut line) = lines.recv() {
        // What has come in the meantime is written at once.
        line.extend(lines.try_iter().take(WAITING).flatten());
        // Where should it be told that the log cannot be written?
        let _ = writer.write_all(&line).and_then(|()| writer.flush());
        // To be woken for each line would cost its sender more than the line.
        thread::park_timeout(PAUSE);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_there_when_the_log_has_ended() {
        let memory = Memory::default();
        let log = Log::to(memory.clone()).unwrap();
        for number in 0..1000 {
            log.line(Level::Info, "counted", json!({ "number": number }));
        }
        assert_eq!(log.lost(), 0);
        drop(log);
        let written = memory.0.lock().unwrap().clone();
        let lines: Vec<Value> = String::from_utf8(written)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 1000);
        assert_eq!(
            (&lines[7]["number"], &lines[7]["level"], &lines[7]["event"]),
            (&json!(7), &json!("info"), &json!("counted"))
        );
        assert!(lines[7]["time"].as_str().unwrap().ends_with('Z'));
    }

    /// Blocks until it may go on.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_stuck_costs_lines_and_no_time() {
        let (go_on, stuck) = sync_channel(0);
        let log = Log::to(Stuck(stuck)).unwrap();
        for _ in 0..3 * WAITING {
            log.line(Level::Info, "x", ());
        }
        assert!(log.lost() > 0);
        drop(go_on);
    }
}
