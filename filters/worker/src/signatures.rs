//! Who checks signatures: WebCrypto for what the platform knows, and else pure Rust.

use crate::task;
use crate::web;
use doorward::jose::crypto::{self, SignatureJob, Verdict};
use doorward::jose::{Algorithm, Jwk};
use js_sys::Promise;
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use wasm_bindgen::JsValue;

/// Imported keys that are kept: those of many providers.
const MAX_KEYS: usize = 256;

/// One isolate's keys.
#[derive(Default)]
pub(crate) struct Signatures {
    imported: RefCell<VecDeque<Imported>>,
    /// What the platform does not know.
    unknown: RefCell<BTreeSet<Algorithm>>,
}

struct Imported {
    jwk: Arc<Jwk>,
    algorithm: Algorithm,
    key: JsValue,
}

impl Signatures {
    /// Checks a signature.
    pub(crate) async fn verify(&self, job: &SignatureJob<'_>) -> Verdict {
        match self.ask(job).await {
            Some(verdict) => verdict,
            None => crypto::verify(job),
        }
    }

    /// What WebCrypto says; `None` if it cannot be asked.
    pub(crate) async fn ask(&self, job: &SignatureJob<'_>) -> Option<Verdict> {
        if self.unknown.borrow().contains(&job.algorithm) || !job.key.fits(job.algorithm) {
            return None;
        }
        let name = job.algorithm.name();
        let key = match self.imported(job) {
            Some(key) => Ok(key),
            None => self.import(job, &job.key.material().spki()?).await,
        };
        let asked = match key {
            Ok(key) => settled(web::verify(name, &key, &job.signature, job.signing_input)).await,
            Err(error) => Err(error),
        };
        match asked {
            Ok(valid) => Some(Verdict::from(valid.is_truthy())),
            Err(error) => {
                // Any other error is of this key alone. It may be a client's own, as those of DPoP proofs are, who shall not decide
                // how the next one's is checked.
                if web::is_not_supported(&error) {
                    log::warn!("signatures: {name} is checked in the sandbox from now on: {error:?}");
                    self.unknown.borrow_mut().insert(job.algorithm);
                }
                None
            }
        }
    }

    fn imported(&self, job: &SignatureJob<'_>) -> Option<JsValue> {
        let imported = self.imported.borrow();
        let is_same = |one: &&Imported| Arc::ptr_eq(&one.jwk, &job.key) && one.algorithm == job.algorithm;
        imported.iter().find(is_same).map(|one| one.key.clone())
    }

    async fn import(&self, job: &SignatureJob<'_>, spki: &[u8]) -> Result<JsValue, JsValue> {
        let key = settled(web::import_key(job.algorithm.name(), spki)).await?;
        self.keep(job, &key);
        Ok(key)
    }

    fn keep(&self, job: &SignatureJob<'_>, key: &JsValue) {
        let mut imported = self.imported.borrow_mut();
        if imported.len() >= MAX_KEYS {
            imported.pop_front();
        }
        let key = key.clone();
        imported.push_back(Imported { jwk: Arc::clone(&job.key), algorithm: job.algorithm, key });
    }
}

async fn settled(promise: Result<Promise, JsValue>) -> Result<JsValue, JsValue> {
    task::settled(promise?).await
}
