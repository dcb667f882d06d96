//! Which DPoP proofs were used: in this isolate, or in Durable Objects that all isolates share.

use crate::web;
use doorward::authn::{ProofRecord, ProofStanding};
use doorward::oauth::dpop::replay::{self, Insert};
use doorward::time::UnixTime;
use doorward::worker::ProofMemory;
use std::cell::RefCell;
use std::collections::HashMap;
use wasm_bindgen::JsValue;

/// Where proofs are remembered.
pub(crate) enum Proofs {
    /// Nowhere: no proof is taken.
    Nowhere,
    /// Buckets of this isolate.
    Isolate(RefCell<HashMap<u16, Vec<u8>>>),
    /// A namespace of Durable Objects, one for each bucket.
    DurableObjects(JsValue),
}

impl Proofs {
    /// What the document names.
    pub(crate) fn new(memory: Option<&ProofMemory>, bindings: &JsValue) -> Result<Self, String> {
        Ok(match memory {
            None => Self::Nowhere,
            Some(ProofMemory::Isolate) => Self::Isolate(RefCell::default()),
            Some(ProofMemory::DurableObject(name)) => Self::DurableObjects(web::bound(bindings, name)?),
        })
    }

    /// Remembers a proof. One that cannot be remembered is not taken.
    pub(crate) async fn record(&self, record: ProofRecord, now: UnixTime) -> ProofStanding {
        match self {
            Self::Nowhere => ProofStanding::Full,
            Self::Isolate(buckets) => {
                let mut buckets = buckets.borrow_mut();
                let bytes = buckets.get(&record.key.bucket).map(Vec::as_slice);
                match replay::insert(bytes, now, record.key.id, record.until) {
                    Insert::Fresh(bucket) => {
                        buckets.insert(record.key.bucket, bucket);
                        ProofStanding::Fresh
                    }
                    Insert::Seen => ProofStanding::Seen,
                    Insert::Full => ProofStanding::Full,
                }
            }
            Self::DurableObjects(namespace) => {
                let id: String = record.key.id.iter().map(|byte| format!("{byte:02x}")).collect();
                let bucket = record.key.bucket.to_string();
                let (now, until) = (web::number(now), web::number(record.until));
                let promise = web::record_proof(namespace, &bucket, &id, now, until);
                match web::resolved(promise).await {
                    Ok(standing) if standing == "fresh" => ProofStanding::Fresh,
                    Ok(standing) if standing == "seen" => ProofStanding::Seen,
                    Ok(_) => ProofStanding::Full,
                    Err(error) => {
                        log::error!("a proof could not be remembered: {error:?}");
                        ProofStanding::Full
                    }
                }
            }
        }
    }
}
