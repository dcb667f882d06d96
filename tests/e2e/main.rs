//! End-to-end tests: the built filter in a real Envoy, with tokens and keys made by other people's code, and the built store.
//!
//! Run by `cargo xtask test`, which builds the filter and installs Envoy, the npm packages and the Python packages first.
//!
//! | module | what it holds |
//! |---|---|
//! | `backends` | the proxy's cryptography against the sandbox's, on every vector |
//! | `bound` | tokens bound to a key (DPoP) or to a certificate |
//! | `configuration` | what Envoy says to a faulty document, secrets in logs, the files under `envoy/` |
//! | `examples` | what the READMEs under `examples/` show, and what those examples are to keep |
//! | `hostile` | requests that try to walk around the filter, or to kill it |
//! | `interop` | tokens of jose, PyJWT and jwcrypto, whole and mutated |
//! | `istio` | the resources for Istio, as Istio would hand them to Envoy, and the module out of its OCI image |
//! | `keys` | key sets that come late, wrong, changed or not at all |
//! | `module` | what the built modules import and export |
//! | `observability` | dashboards and alert rules against what Envoy and the store show |
//! | `oidc_provider` | a real OpenID provider: its published keys, access tokens and ID tokens |
//! | `one_proxy` | both filters in one proxy, and what the files under `envoy/` have in common |
//! | `opaque` | opaque tokens, and a provider that is asked about them |
//! | `operating` | shadow mode, metrics, logs, filter state |
//! | `replies` | each denial as the client and the access log see it |
//! | `rotation` | keys over time on four workers: rotation, outages, cold starts, floods, discovery |
//! | `scim_clients` | client software for SCIM through the gateway into the store |
//! | `scim_gateway` | SCIM calls through the gateway, or the edge worker, into the store |
//! | `scim_suites` | the store under scim2-tester and scim-sanity, on both databases, directly, through the gateway and through the edge worker; and in the worker, on D1 |
//! | `support` | what these share |
//! | `worker` | the edge worker in workerd, Deno, Bun and Node.js |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test may panic: that is how it fails"
)]
#![allow(missing_docs, reason = "a test binary has no interface")]

mod backends;
mod bound;
mod configuration;
mod examples;
mod hostile;
mod interop;
mod istio;
mod keys;
mod module;
mod observability;
mod oidc_provider;
mod one_proxy;
mod opaque;
mod operating;
mod replies;
mod rotation;
mod scim_clients;
mod scim_gateway;
mod scim_suites;
mod support;
mod worker;
