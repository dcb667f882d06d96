//! Log lines to the console.

use crate::web;
use log::{Level, LevelFilter, Log, Metadata, Record};

struct Console;

impl Log for Console {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        let line = record.args().to_string();
        match record.level() {
            Level::Error => web::error(&line),
            Level::Warn => web::warn(&line),
            Level::Info => web::log(&line),
            Level::Debug | Level::Trace => {}
        }
    }

    fn flush(&self) {}
}

/// Has lines logged from now on.
pub(crate) fn start() {
    // A second worker of the same isolate finds it there.
    if log::set_logger(&Console).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}
