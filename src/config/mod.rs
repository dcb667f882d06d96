//! The configuration document: read, checked as a whole, and turned into what decisions need.
//!
//! Every fault is reported, each with its path, all at once; a document with a fault gives nothing at all.

mod compile;
mod document;
mod duration;
mod fault;
mod raw;
#[cfg(feature = "schema")]
mod schema;
mod variable;
mod warning;

#[cfg(test)]
mod tests;

pub use compile::Config;
pub use fault::{ConfigError, Fault, Path};
#[cfg(feature = "schema")]
pub use schema::schema;
pub use variable::fill_variables;
pub use warning::Warning;
