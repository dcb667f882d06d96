//! One request from head to decision: find the token, judge it, ask for its signature to be checked, map its claims.
//!
//! The machine performs nothing. It returns a [`Step`]; the host performs the step's effect and comes back with the
//! outcome. Knows nothing of SCIM and nothing of configuration documents.

mod bearer;
mod binding;
pub mod decision;
mod journal;
mod judge;
mod log_line;
mod machine;
mod policy;
pub mod rejection;
mod token_cache;

pub use bearer::{BearerError, TokenLocation};
pub use journal::Journal;
pub use log_line::LogLine;
pub use machine::{
    Authn, Awaited, Outcome, Pending, ProofRecord, ProofStanding, Step, Verification, wait_left,
};
pub use policy::{AuthnPolicy, BindingRules, DpopRules, NonceRules, Provider, TrustedIssuer};
pub use token_cache::{CacheCounts, CacheLimits};
