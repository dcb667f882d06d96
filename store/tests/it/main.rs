//! The store's integration tests: one binary, real databases. PostgreSQL and D1 are left out, and it is said, where they are not installed.
//!
//! | module | what it holds |
//! |---|---|
//! | `batches` | batches as D1 does them, in this process |
//! | `bed` | databases for one test each |
//! | `both` | what holds for every database |
//! | `d1` | batches of real D1, in a local workerd |
//! | `database` | the databases in one type |
//! | `lab` | a service over a database, and requests to it |
//! | `mutated` | requests that nobody sends: both databases answer them alike |
//! | `postgres` | what only PostgreSQL does: row-level security, a connection that is lost, roles, TLS |
//! | `providers` | what identity providers send, and what is kept of it |
//! | `roles` | roles that groups grant: where they are shown, what changes them, what the feed tells of it |
//! | `search` | lists, filters, orders, against the core's evaluator |
//! | `service` | what the service does, request by request |
//! | `units` | units of change as the service makes them, and what is there afterwards |
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests: what goes wrong fails the test, and they may look at the clock and say what they leave out"
)]

mod batches;
mod bed;
mod both;
mod changes;
mod d1;
mod database;
mod lab;
mod mutated;
mod postgres;
mod providers;
mod roles;
mod search;
mod service;
mod units;
mod view;
