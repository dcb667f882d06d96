//! JSON Web Tokens: RFC 7519, with the advice of RFC 8725 and RFC 9068.
//!
//! Knows nothing of requests, rules, configuration documents or where keys come from.

mod claims;
mod issuer;
mod numeric_date;
mod token;
mod validation;

pub use claims::{ClaimPath, ClaimsError, ClaimsSet};
pub use issuer::{Issuer, IssuerBinding, IssuerTemplate, IssuerTemplateError};
pub use numeric_date::NumericDateError;
pub use token::{UnverifiedJwt, UnverifiedJwtError, VerifiedToken};
pub(crate) use validation::same_type;
pub use validation::{ClaimError, ClaimRules};
