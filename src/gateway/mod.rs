//! The SCIM gateway: a call is taken at the edge, its caller proved, whatever needs no database settled, and what is clean forwarded to
//! the store, by whose credential the store knows who calls.
//!
//! Sans-IO, as everything here. A host takes a call through these steps, and performs what each asks for:
//!
//! 1. [`GatewayPolicy::begin`] with the head. If a JWT is to be judged, [`Authn::begin_required`](crate::authn::Authn::begin_required)
//!    judges it, and [`GatewayPolicy::admit_subject`] takes its subject.
//! 2. [`GatewayPolicy::admit_certificate`], where the tenant wants one.
//! 3. [`GatewayPolicy::bucket`] and [`Rate::take`].
//! 4. [`GatewayPolicy::check_head`], and with the whole body [`GatewayPolicy::settle`].
//! 5. [`GatewayPolicy::answer`] with the head of the store's answer; where [`GatewayPolicy::rewrites_answers`] says so,
//!    [`GatewayPolicy::rewrite_answer`] with its whole body, before the head goes on.
//! 6. [`GatewayPolicy::audit_line`] at the end.

mod admit;
mod answer;
mod audit;
mod call;
mod credential;
mod mapping;
mod policy;
mod rate;
mod refusal;
mod settle;
mod site;

pub use admit::{Admission, SUBJECT};
pub use answer::Answer;
pub use audit::{Ending, Outcome};
pub use call::{Actor, Call, Method, Operation, plausible_id};
pub use credential::{
    CredentialError, CredentialKey, CredentialKeyError, CredentialKeys, CredentialKeysError, Grant, Granted,
    LIFETIME, MAX_ACTOR_BYTES, SKEW, is_name,
};
pub use mapping::{Mapping, MappingFault, MappingProblem, MappingRule, Mappings};
pub use policy::{
    ClientCertificate, GatewayPolicy, Personal, StaticToken, StaticTokens, StoreLink, Tenant, TenantId,
};
pub use rate::{BucketName, Rate, retry_after};
pub use refusal::{Reason, Refusal};
pub use settle::{Forwarding, Surroundings};
pub use site::Sites;
