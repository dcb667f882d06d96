//! Where a provider's keys come from, as a machine without IO.
//!
//! Knows nothing of tokens, requests or rules.

mod key_set;

pub use key_set::{
    Fetch, FetchError, FetchResponse, FetchResult, KeySetMachine, KeySetSource, KeySetState, KeySetUpdate,
    RemoteKeySet,
};
