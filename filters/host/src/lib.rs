//! The one crate that speaks proxy-wasm: every hostcall that Doorward's filters make, bytes only, every status a
//! `Result`, no panic.
//!
//! The SDK's own wrappers panic on any status that they do not list and on any header value that is not UTF-8, and a
//! panic kills the VM for every request on that worker. So the imports are declared anew in `sys`, the
//! only file with an unsafe block; the SDK keeps what holds tables of its own: dispatching callbacks to contexts, HTTP
//! callouts, the logger.
//!
//! On a native target the imports are replaced by [`fake`], so that a filter's contexts are tested with plain `cargo test`.
//!
//! A filter's entry point, in a private module because the macro writes a public function without documentation:
//! ```ignore
//! mod entry {
//!     doorward_host::main! {{
//!         doorward_host::logger::set_log_level(doorward_host::LogLevel::Info);
//!         doorward_host::set_root_context(|id| Box::new(super::Root::new(id)));
//!     }}
//! }
//! ```
//!
//! A filter must not call the default methods of [`Context`], [`RootContext`] and [`HttpContext`] that make hostcalls
//! (`get_http_request_headers`, `send_http_response`, …): those are the SDK's wrappers. It only overrides `on_…`.

pub mod body;
pub mod buffer;
pub mod callout;
pub mod clock;
#[cfg(not(target_family = "wasm"))]
pub mod fake;
pub mod foreign;
pub mod headers;
pub mod logger;
pub mod metrics;
pub mod property;
pub mod random;
pub mod reply;
pub mod shared_data;
pub mod signature;
pub mod status;
pub mod stream;
#[cfg(target_family = "wasm")]
mod sys;

mod abi;
mod pairs;
#[cfg(not(target_family = "wasm"))]
mod unlinked;

/// The hostcalls: the proxy's on wasm, the fake's elsewhere.
#[cfg(not(target_family = "wasm"))]
use fake as sys;

pub use proxy_wasm::main;
pub use proxy_wasm::traits::{Context, HttpContext, RootContext};
pub use proxy_wasm::types::{Action, ContextType, LogLevel};
pub use proxy_wasm::{set_http_context, set_root_context};
pub use status::{HostError, Status};
