//! OAuth 2.0 beyond plain JWTs, as a resource server needs it: opaque tokens (RFC 7662) with client authentication (RFC 6749,
//! RFC 7523).
//!
//! Without IO: calls are values, and answers are handed back.

mod client_authentication;
mod form;
mod introspection;

pub use client_authentication::{AuthenticationMethod, ClientAuthentication};
pub use introspection::{
    Introspection, IntrospectionAnswer, IntrospectionCall, IntrospectionCounts, IntrospectionError,
    IntrospectionMachine, IntrospectionUpdate, TokenDigest, VouchedToken,
};
