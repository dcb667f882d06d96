//! The SCIM service: requests in, responses out. It knows no HTTP server: whoever has one hands over what a request says, and sends
//! what it answers.

mod exchange;

pub use exchange::{Context, Request, Response};
