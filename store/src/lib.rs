//! The backing store: SCIM resources in a database, with an audit trail that is also the change feed. The protocol is the core's;
//! here are rows, transactions and HTTP.
//!
//! Without the feature `native` there are no databases and no server, and nothing that reads a clock: a worker brings its own.

pub mod audit;
pub mod database;
pub mod front;
#[cfg(feature = "native")]
pub mod http;
pub mod repository;
pub mod role;
pub mod secret;
pub mod service;
pub mod sql;
pub mod tenants;
pub mod trail;
