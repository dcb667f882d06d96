//! Doorward's core: who may pass, decided without IO.
//!
//! This crate opens no socket, reads no file, no clock, no environment and no randomness, and starts no task. A host
//! (an Envoy filter, an edge worker, a command-line tool) hands it a request's head and `now`, performs the effects
//! that it returns, and hands the results back. See `ARCHITECTURE.md` for who may import whom.

pub mod authn;
pub mod config;
pub mod gateway;
pub mod http;
pub mod jose;
pub mod json;
pub mod jwt;
pub mod oauth;
pub mod oidc;
pub mod policy;
pub mod scim;
pub mod time;
pub mod worker;
