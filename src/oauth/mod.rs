//! OAuth 2.0 beyond plain JWTs, as a resource server needs it: opaque tokens (RFC 7662) with client authentication (RFC 6749,
//! RFC 7523), and tokens that are bound to a key of the client (RFC 7800, RFC 8705, RFC 9449).
//!
//! Without IO: calls are values, and answers are handed back. Knows nothing of rules, decisions or configuration documents.

mod client_authentication;
mod confirmation;
pub mod dpop;
mod form;
mod introspection;

pub use client_authentication::{AuthenticationMethod, ClientAuthentication};
pub use confirmation::{Confirmation, ConfirmationError, certificate_digest};
pub use introspection::{
    Introspection, IntrospectionAnswer, IntrospectionCall, IntrospectionCounts, IntrospectionError,
    IntrospectionMachine, IntrospectionUpdate, TokenDigest, VouchedToken,
};
