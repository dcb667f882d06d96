//! The edge worker in the runtimes that it is for: `workerd`, Deno, Bun and Node.js.
//!
//! | module | what it holds |
//! |---|---|
//! | `bindings` | what workerd binds and tells: an origin, a dataset of decisions, certificates of clients |
//! | `hostile` | requests that try to walk around the worker, or to kill it |
//! | `operating` | the page of counts, log lines |
//! | `origins` | origins that answer what cannot be passed on, or end connections |
//! | `providers` | keys, opaque and bound tokens of a real OpenID provider, and keys over time |
//! | `scenarios` | `tests/scenarios`: the same requests to Envoy and to every runtime |
//! | `signatures` | WebCrypto's verdicts against pure Rust's, on every vector |
//! | `start` | what is done before there is a request |
//! | `transport` | bodies in both directions, connections that end, WebSockets |
//! | `upgrades` | wishes for another protocol |

mod bindings;
mod hostile;
mod operating;
mod origins;
mod providers;
mod scenarios;
mod signatures;
mod start;
mod transport;
mod upgrades;
