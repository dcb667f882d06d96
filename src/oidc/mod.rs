//! Where a provider's keys come from, as a machine without IO: OpenID Connect Discovery 1.0, RFC 8414, RFC 7517.
//!
//! Knows nothing of tokens, requests or rules.

mod cache_control;
mod fetch;
mod jitter;
mod key_set;
mod metadata;
mod record;
mod source;
mod unknown_keys;

pub use fetch::{Fetch, FetchError, FetchResponse, FetchResult};
pub use key_set::{KeyAnswer, KeySetMachine, KeySetState, KeySetUpdate, Next};
pub use metadata::MetadataError;
pub use record::{KeySetRecord, Lease};
pub use source::{Discovery, Endpoint, KeySetSource, RemoteKeySet, Timing, UriError};
