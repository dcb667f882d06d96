//! What an edge worker does beside deciding: where requests and SCIM calls go on to, and what of its platform it uses.

use std::fmt;

/// The section `worker` of the document.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct WorkerPolicy {
    /// Where requests go on to.
    pub origin: Origin,
    /// Where key sets are kept for isolates that start.
    pub keys: Option<KeyMemory>,
    /// Where used DPoP proofs are remembered; without it no document may ask for any.
    pub proofs: Option<ProofMemory>,
    /// What proofs are remembered by and nonces are made with, the same in all isolates; `None` for one of each isolate's own.
    pub secret: Option<[u8; 32]>,
    /// Where counts are shown.
    pub metrics: Option<MetricsPage>,
    /// The binding of a dataset that takes a data point for each decision.
    pub analytics: Option<String>,
    /// Where clean SCIM calls go on to; `None` if none are taken.
    pub store: Option<StoreTarget>,
}

impl fmt::Debug for WorkerPolicy {
    /// The secret is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPolicy")
            .field("origin", &self.origin)
            .field("keys", &self.keys)
            .field("proofs", &self.proofs)
            .field("metrics", &self.metrics)
            .field("analytics", &self.analytics)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// Where requests go on to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// Where they were sent: the worker stands in front of it.
    #[default]
    Same,
    /// Another scheme, host and port; path and query stay.
    Url {
        /// `https` or `http`.
        scheme: String,
        /// Host and port.
        authority: String,
    },
    /// What the platform has bound to this name, such as another worker.
    Binding(String),
}

/// Where clean SCIM calls go on to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreTarget {
    /// A store's scheme, host and port.
    Url {
        /// `https` or `http`.
        scheme: String,
        /// Host and port.
        authority: String,
    },
    /// A store behind what the platform has bound to this name.
    Binding(String),
    /// Nowhere: the store is in the worker, and keeps its data in the D1 database bound to this name.
    D1(String),
}

/// Where key sets are kept for isolates that start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyMemory {
    /// The platform's `caches`, the one of this name.
    Cache(String),
    /// The key-value store bound to this name.
    Kv(String),
}

/// Where used DPoP proofs are remembered (RFC 9449 section 11.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProofMemory {
    /// In the isolate: right where there is one process, as with Node.js.
    Isolate,
    /// In Durable Objects of the namespace bound to this name.
    DurableObject(String),
}

/// Where counts are shown, as text for Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsPage {
    /// The path. No request to it goes on.
    pub path: String,
    /// SHA-256 of the bearer token that must be shown there.
    pub sha256: [u8; 32],
}
