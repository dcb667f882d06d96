//! The `log` crate's macros, written to the proxy's log.

use crate::LogLevel;
use crate::sys;

/// Sends what the `log` macros are given at `level` and above to the host; before the first call nothing is logged.
/// On wasm this also makes a panic log its message before it traps. `Critical` turns logging off.
///
/// The proxy filters once more by its own level. Call it in `main!`, or in `on_configure`.
pub fn set_log_level(level: LogLevel) {
    sys::set_log_level(level);
}
