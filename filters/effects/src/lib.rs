//! What every filter needs to perform the effects of the core's authentication: whoever checks signatures, key fetches, calls about
//! opaque tokens, the memory of proofs, the requests that wait, and what operators count of it all. No protocol logic.
//!
//! A filter has an [`Authenticator`] for each configuration and worker, and performs the decisions that it comes to:
//! - in `on_configure`, [`read_configuration`] and [`Authenticator::new`];
//! - with a request's headers, [`Authenticator::judge`]; a request that waits stays paused;
//! - in `on_tick`, [`keep`], and in `on_http_call_response`, [`take_answer`]: both judge requests again by the filter's [`Gate`];
//! - when a request's context is dropped, [`Authenticator::forget`].

mod authenticator;
mod backend;
mod callout;
mod configuration;
mod gate;
mod introspection;
mod journal;
mod keys;
pub mod metrics;
mod proofs;
#[cfg(test)]
mod tests;
mod waiting;

pub use authenticator::{Authenticator, Judgement};
pub use configuration::read_configuration;
pub use gate::{Gate, Passage, keep, take_answer};
pub use journal::Journal;
