//! For tests alone: what the platform and the sandbox say of one signature.

use crate::signatures::Signatures;
use doorward::jose::crypto::{SignatureJob, Verdict, verify};
use doorward::jose::{Algorithm, Jwk, KeyOrigin};
use js_sys::Promise;
use std::rc::Rc;
use std::sync::Arc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

/// Who is asked.
#[wasm_bindgen]
pub struct Checks(Rc<Signatures>);

#[wasm_bindgen]
impl Checks {
    /// With no key imported yet.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Self(Rc::default())
    }

    /// Promises three words, each `valid` or `invalid`: what WebCrypto says, or `none` if it is not asked; what pure Rust says; and what
    /// requests are judged by.
    pub fn check(&self, algorithm: &str, jwk: &str, input: Vec<u8>, signature: Vec<u8>) -> Promise {
        let signatures = Rc::clone(&self.0);
        let (algorithm, jwk) = (Algorithm::from_name(algorithm), serde_json::from_str(jwk));
        future_to_promise(async move {
            let key = jwk.ok().and_then(|jwk| Jwk::from_json(&jwk, KeyOrigin::Inline).ok());
            let (Some(algorithm), Some(key)) = (algorithm, key) else {
                return Err(JsValue::from_str("expected a signature check"));
            };
            let job = SignatureJob {
                algorithm,
                key: Arc::new(key),
                signing_input: &input,
                signature: signature.into(),
            };
            let asked = signatures.ask(&job).await.map_or("none", word);
            let judged = signatures.verify(&job).await;
            Ok(JsValue::from_str(&format!("{asked} {} {}", word(verify(&job)), word(judged))))
        })
    }
}

impl Default for Checks {
    fn default() -> Self {
        Self::new()
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "valid",
        Verdict::Invalid => "invalid",
    }
}
