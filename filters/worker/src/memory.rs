//! Key sets for isolates that start: a level of the platform's behind each isolate's own.

use crate::web;
use doorward::oidc::KeySetRecord;
use doorward::worker::KeyMemory;
use js_sys::Uint8Array;
use std::time::Duration;
use wasm_bindgen::JsValue;

/// Where records are kept.
pub(crate) struct Memory {
    place: Place,
    /// In front of every name: documents that differ share nothing.
    prefix: String,
}

enum Place {
    Cache(String),
    Kv(JsValue),
}

impl Memory {
    /// The one that the document names. `digest` tells documents apart.
    pub(crate) fn new(memory: &KeyMemory, bindings: &JsValue, digest: &str) -> Result<Self, String> {
        let place = match memory {
            KeyMemory::Cache(name) => {
                // Fails where there is none, rather than at the first request.
                web::bound(&js_sys::global(), "caches").map_err(|_| "this platform has no `caches`")?;
                Place::Cache(name.clone())
            }
            KeyMemory::Kv(name) => Place::Kv(web::bound(bindings, name)?),
        };
        Ok(Self { place, prefix: format!("keys/{digest}") })
    }

    /// What is kept for a provider, if anything.
    pub(crate) async fn read(&self, provider: &str) -> Option<KeySetRecord> {
        let name = self.name(provider);
        let promise = match &self.place {
            Place::Cache(cache) => web::read_cache(cache, &name),
            Place::Kv(namespace) => web::read_kv(namespace, &name),
        };
        match web::resolved(promise).await {
            Ok(found) if found.is_undefined() => None,
            Ok(found) => KeySetRecord::decode(&Uint8Array::from(found).to_vec()),
            Err(error) => {
                log::warn!("keys: what is kept for {provider:?} could not be read: {error:?}");
                None
            }
        }
    }

    /// Keeps a key set as long as it is new.
    pub(crate) async fn write(&self, provider: &str, record: &KeySetRecord) {
        let Some((lifetime, _)) = &record.keys else { return };
        let (name, content) = (self.name(provider), Uint8Array::from(record.encode().as_slice()));
        let seconds = u32::try_from((*lifetime).max(Duration::from_secs(1)).as_secs()).unwrap_or(u32::MAX);
        let promise = match &self.place {
            Place::Cache(cache) => web::write_cache(cache, &name, content, seconds),
            Place::Kv(namespace) => web::write_kv(namespace, &name, content, seconds),
        };
        if let Err(error) = web::resolved(promise).await {
            log::warn!("keys: those of {provider:?} could not be kept: {error:?}");
        }
    }

    fn name(&self, provider: &str) -> String {
        let name: String = provider
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
                other => format!(".{other:02x}"),
            })
            .collect();
        format!("{}/{name}", self.prefix)
    }
}
