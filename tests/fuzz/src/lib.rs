//! Fuzz targets: what must hold for every input, whatever it is.
//!
//! A target is a function that takes any bytes and panics if something does not hold. Three things call it:
//!
//! | who | with what | where |
//! |---|---|---|
//! | `tests/replay.rs` | the committed corpus and some thousand mutations of it | every machine, in `cargo test` |
//! | `cargo xtask fuzz TARGET` | what libFuzzer finds by coverage | by hand; a few seconds of it in `cargo xtask test` |
//! | `cargo fuzz run TARGET` | the same with AddressSanitizer | by hand, with nightly and cargo-fuzz |
//!
//! Expectations are read a second time by the plainest means ([`plain`]), never by the code under test.
//!
//! A new target is a module here with `check`, a line in [`TARGETS`], and below `fuzz/` its `[[bin]]`, its file in
//! `fuzz_targets/`, its corpus, and if it helps a dictionary. A test compares the lists.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "test code: a panic is how a target reports a finding"
)]

pub mod compact_jws;
pub mod configuration;
pub mod discovery;
pub mod dpop_proof;
pub mod gateway_call;
pub mod gateway_credential;
pub mod jwk_set;
pub mod mutator;
pub mod path;
pub mod plain;
pub mod request;
mod scim;
pub mod scim_bulk;
pub mod scim_filter;
pub mod scim_patch;
pub mod scim_path;
pub mod scim_request;

/// One fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of its module, its program below `fuzz/`, its corpus and its dictionary.
    pub name: &'static str,
    /// Panics if something does not hold for this input.
    pub check: fn(&[u8]),
}

/// Every target.
pub const TARGETS: [Target; 14] = [
    Target { name: "compact_jws", check: compact_jws::check },
    Target { name: "configuration", check: configuration::check },
    Target { name: "discovery", check: discovery::check },
    Target { name: "dpop_proof", check: dpop_proof::check },
    Target { name: "gateway_call", check: gateway_call::check },
    Target { name: "gateway_credential", check: gateway_credential::check },
    Target { name: "jwk_set", check: jwk_set::check },
    Target { name: "path", check: path::check },
    Target { name: "request", check: request::check },
    Target { name: "scim_bulk", check: scim_bulk::check },
    Target { name: "scim_filter", check: scim_filter::check },
    Target { name: "scim_patch", check: scim_patch::check },
    Target { name: "scim_path", check: scim_path::check },
    Target { name: "scim_request", check: scim_request::check },
];
