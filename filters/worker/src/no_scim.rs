//! A worker that takes no SCIM calls: there is never a [`Scim`].

use crate::judge::Judge;
use crate::metrics::Page;
use crate::web::Context;
use doorward::authn::Authn;
use doorward::config::{Config, ConfigError};
use doorward::http::RequestHead;
use doorward::worker::WorkerPolicy;
use std::rc::Rc;
use wasm_bindgen::JsValue;

/// What there is none of.
pub(crate) enum Scim {}

/// Nor of this.
pub(crate) enum Store {}

impl Scim {
    /// Reads a document for a worker of this kind.
    ///
    /// # Errors
    /// Every fault of the document.
    pub(crate) fn load(text: &[u8]) -> Result<Config, ConfigError> {
        Config::load_with_worker(text)
    }

    /// Where calls go on to.
    pub(crate) fn store(_: &Config, _: &WorkerPolicy, _: &JsValue) -> Result<Option<Store>, String> {
        Ok(None)
    }

    /// The SCIM calls that the document wants taken.
    pub(crate) fn new(
        _: &Config,
        _: Store,
        _: impl FnOnce(Authn) -> Rc<Judge>,
        _: (u64, [u8; 32]),
    ) -> Option<Self> {
        None
    }

    pub(crate) fn judge(&self) -> &Rc<Judge> {
        match *self {}
    }

    pub(crate) fn show_counts(&self, _: &mut Page) {
        match *self {}
    }

    pub(crate) fn takes(&self, _: &RequestHead<'_>) -> bool {
        match *self {}
    }

    pub(crate) async fn answer(
        &self,
        _: &JsValue,
        _: &RequestHead<'_>,
        _: &Context,
    ) -> Result<JsValue, JsValue> {
        match *self {}
    }
}
