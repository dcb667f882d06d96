//! The plugin's configuration, and what operators are told if it is at fault.

use doorward::config::ConfigError;
use doorward_host::{HostError, buffer};

/// Reads the configuration by `load`, and answers it with its bytes; `None` if it has faults, each of which is in the log then.
///
/// Allowed in `on_configure` only.
///
/// # Errors
/// If the host does not hand it over.
pub fn read_configuration<T>(
    load: impl FnOnce(&[u8]) -> Result<T, ConfigError>,
) -> Result<Option<(T, Vec<u8>)>, HostError> {
    let text = buffer::plugin_configuration()?;
    let error = match load(&text) {
        Ok(config) => return Ok(Some((config, text))),
        Err(error) => error,
    };
    log::error!("the configuration has {} fault(s); the filter does not load", error.faults().len());
    for fault in error.faults() {
        log::error!("configuration: {fault}");
    }
    if !text.trim_ascii_start().starts_with(b"{") {
        // Envoy hands over a google.protobuf.Struct as protobuf, not as JSON.
        log::error!("configuration: expected JSON text in a google.protobuf.StringValue");
    }
    Ok(None)
}
