//! The backing store: SCIM resources in a database, with an audit trail that is also the change feed. The protocol is the core's;
//! here are rows, transactions and HTTP.

pub mod audit;
pub mod database;
pub mod http;
pub mod repository;
pub mod role;
pub mod secret;
pub mod service;
pub mod sql;
pub mod tenants;
pub mod trail;
