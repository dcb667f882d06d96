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
mod task;
mod web;

use edge::{Edge, Prepared};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// What one isolate decides by.
#[wasm_bindgen]
pub struct Doorward(RefCell<State>);

enum State {
    Prepared(Box<Prepared>),
    Started(Rc<Edge>),
    /// It could not start, and says so for every request.
    Failed,
}

#[wasm_bindgen]
impl Doorward {
    /// By the configuration document, JSON, and the platform's bindings by their names. Can be made before there is a request.
    /// `has_zone` says that requests can go on to where they were sent; else the document must name an origin.
    ///
    /// # Errors
    /// Throws every fault of the document, a line each.
    #[wasm_bindgen(constructor)]
    pub fn new(document: &str, bindings: &JsValue, has_zone: bool) -> Result<Doorward, JsError> {
        logger::start();
        let prepared = Prepared::new(document, bindings, has_zone).map_err(|error| JsError::new(&error))?;
        log::info!("start: version {}, document {}", env!("CARGO_PKG_VERSION"), prepared.digest);
        Ok(Self(RefCell::new(State::Prepared(Box::new(prepared)))))
    }

    /// The same for a document that protects nothing, so that it can judge before there is a request, when there are no random numbers.
    ///
    /// # Errors
    /// Throws every fault of the document, a line each.
    pub fn rehearsal(document: &str, bindings: &JsValue) -> Result<Doorward, JsError> {
        let prepared = Prepared::new(document, bindings, false).map_err(|error| JsError::new(&error))?;
        Ok(Self(RefCell::new(State::Started(Rc::new(prepared.rehearse())))))
    }

    /// Judges a request and sends it on, or answers it: a response, or the promise of one.
    ///
    /// # Errors
    /// Throws if the platform has no random numbers.
    pub fn fetch(&self, request: JsValue, context: web::Context) -> Result<JsValue, JsError> {
        let edge = self.edge().map_err(|error| JsError::new(&error))?;
        Ok(task::start(&context.clone(), async move { edge.answer(request, context).await }))
    }

    fn edge(&self) -> Result<Rc<Edge>, String> {
        let mut state = self.0.borrow_mut();
        if let State::Started(edge) = &*state {
            return Ok(Rc::clone(edge));
        }
        let State::Prepared(prepared) = std::mem::replace(&mut *state, State::Failed) else {
            return Err("this isolate could not start".to_owned());
        };
        let edge = Rc::new(prepared.start()?);
        *state = State::Started(Rc::clone(&edge));
        Ok(edge)
    }
}
