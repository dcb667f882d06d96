//! The core's integration tests: one binary, everything through the public interface, no network.
//!
//! | module | what it holds |
//! |---|---|
//! | `blessed` | committed files that tests render: compared, or rewritten with `DOORWARD_BLESS=1` |
//! | `bound` | tokens that are bound to a certificate or to a key |
//! | `gateway` | SCIM calls from head to answer |
//! | `host` | a host in virtual time, and what its requests need |
//! | `hostile_keys` | keys and signatures from the network that are none |
//! | `keys` | test keys, which sign tokens |
//! | `layering` | who may import whom, and what the core rests on |
//! | `links` | links between the documents |
//! | `mapping` | a SCIM tenant's attributes under other names |
//! | `opaque` | tokens that their provider is asked about |
//! | `repeated` | a token that comes again |
//! | `request` | one request from head to decision, in virtual time |
//! | `scores` | the table of `docs/vectors.md` |
//! | `second_opinion` | every verdict compared with jwt-simple's |
//! | `softenings` | the documented tables of what SCIM profiles soften |
//! | `vectors_jws` | whole tokens: Wycheproof, RFC 7520, RFC 8037 |
//! | `vectors_raw` | bare signatures: Wycheproof, every algorithm |
//! | `verifier` | the path from a token and a key set to a verdict |
//! | `wire` | the documented table of denials |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test may panic: that is how it fails"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "these tests read the environment and committed files; the core does not"
)]
#![allow(missing_docs, reason = "a test binary has no interface")]

mod blessed;
mod bound;
mod gateway;
mod host;
mod hostile_keys;
mod keys;
mod layering;
mod links;
mod mapping;
mod opaque;
mod repeated;
mod request;
mod scores;
mod second_opinion;
mod softenings;
mod vectors_jws;
mod vectors_raw;
mod verifier;
mod wire;
