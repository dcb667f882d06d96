//! What `doorward store` shows under faults, under load and to hostile tenants: the program as it is called, on SQLite and on PostgreSQL.
//! PostgreSQL is left out, and it is said, where it is not installed.
//!
//! | module | what it holds |
//! |---|---|
//! | `bed` | a database for one test, and stores over it |
//! | `full` | a disk that is full: it is said, reads go on, and so do writes when there is room again |
//! | `isolation` | a tenant that tries to see or change another one's data |
//! | `kill` | fifty times killed while it is written to: what was acknowledged is there, nothing is there by half |
//! | `outage` | a database that is gone, or busy: it is said when to come again, and nothing is lost |
//! | `random` | numbers that follow from a seed |
//! | `serial` | sixty-four clients that change the same at once |
//! | `state` | what is in the database, past the store, and the audit trail followed |
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests: what goes wrong fails the test, and they may say what they leave out"
)]

mod bed;
mod full;
mod isolation;
mod kill;
mod outage;
mod random;
mod serial;
mod state;
