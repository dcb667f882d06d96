//! Doorward at the CDN: one isolate's decisions, for any platform with the common web API (`Request`, `Response`, `fetch`,
//! `crypto.subtle`). The core decides; here its effects are performed by web APIs. What a platform has of its own is in `js`.

#[cfg(feature = "scim")]
mod calls;
#[cfg(feature = "checks")]
mod checks;
#[cfg(feature = "scim")]
mod d1;
mod edge;
#[cfg(feature = "scim")]
mod exchange;
mod head;
mod judge;
mod logger;
mod memory;
mod metrics;
#[cfg(feature = "scim")]
mod near;
mod proofs;
#[cfg_attr(not(feature = "scim"), path = "no_scim.rs")]
mod scim;
mod signatures;
#[cfg(feature = "scim")]
mod store;
mod web;

use edge::Edge;
use std::rc::Rc;
use std::task::{self, Poll, Waker};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

/// What one isolate decides by.
#[wasm_bindgen]
pub struct Doorward(Rc<Edge>);

#[wasm_bindgen]
impl Doorward {
    /// By the configuration document, JSON, and the platform's bindings by their names.
    ///
    /// # Errors
    /// Throws every fault of the document, a line each.
    #[wasm_bindgen(constructor)]
    pub fn new(document: &str, bindings: &JsValue) -> Result<Doorward, JsError> {
        logger::start();
        let edge = Edge::new(document, bindings).map_err(|error| JsError::new(&error))?;
        Ok(Self(Rc::new(edge)))
    }

    /// Judges a request and sends it on, or answers it: a response, or the promise of one.
    pub fn fetch(&self, request: JsValue, context: web::Context) -> JsValue {
        let edge = Rc::clone(&self.0);
        let mut answer = Box::pin(async move { Ok(edge.answer(request, context).await) });
        // Most requests need to wait for nothing before they go on: then there is no promise of ours.
        match answer.as_mut().poll(&mut task::Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(answer) | Err(answer)) => answer,
            Poll::Pending => future_to_promise(answer).into(),
        }
    }
}
