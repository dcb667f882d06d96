//! What every filter needs to perform the effects of the core's authentication: whoever checks signatures, key fetches, calls about
//! opaque tokens, the memory of proofs, the requests that wait, and what operators count of it all. No protocol logic.
//!
//! A filter is a [`Gate`] that has an [`Authenticator`], one for each configuration and worker, and performs the decisions that it comes
//! to. [`Root`] is its root context, made of what is a [`Filter`]'s own:
//! - [`Filter::configure`], by [`read_configuration`] and [`Authenticator::new`];
//! - with a request's headers, [`Authenticator::judge`]; a request that waits stays paused;
//! - on a tick, and when a call is answered, [`Gate::admit`] for those that waited;
//! - when a request's context is dropped, [`Authenticator::forget`].

mod authenticator;
mod backend;
mod callout;
mod configuration;
mod gate;
mod introspection;
mod keys;
pub mod metrics;
mod proofs;
mod root;
#[cfg(test)]
mod tests;
mod waiting;

pub use authenticator::{Authenticator, Judgement, client_certificate};
pub use configuration::read_configuration;
pub use gate::{Gate, Passage};
pub use root::{Filter, Root, SharedGate};
