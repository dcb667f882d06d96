//! The server over real sockets, in front of a service that only remembers what it was asked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod admin;
mod authentication;
mod bed;
mod gateway;
mod lifecycle;
mod limits;
mod told;
