//! Many operations in one request: RFC 7644 section 3.7.
//!
//! The host performs one step after the other, each as if it were a request of its own, and tells how it went:
//! ```text
//! let mut run = BulkRun::new(request, base_url);
//! while let Some(step) = run.next_step() { run.record(perform(step)) }
//! run.finish() -> BulkResponse
//! ```

mod order;
mod reference;
mod request;
mod response;
mod run;

pub use request::{BulkError, BulkFault, BulkLimits, BulkMethod, BulkOperation, BulkRequest, BulkWork};
pub use response::{BulkResponse, BulkResult};
pub use run::{BulkRun, BulkStep, BulkSuccess};

#[cfg(test)]
mod tests;
