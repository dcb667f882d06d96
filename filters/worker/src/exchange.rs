//! What SCIM calls need of the web platform: bodies, answers that are passed on, and D1.

use js_sys::{Promise, Uint8Array};
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::oneshot;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};

#[wasm_bindgen(module = "/src/web.js")]
extern "C" {
    #[wasm_bindgen(js_name = body)]
    fn body_promise(request: &JsValue, limit: u32) -> Promise;

    /// The client's address.
    fn address(request: &JsValue) -> Option<String>;

    #[wasm_bindgen(js_name = ask)]
    fn ask_promise(
        url: &str,
        binding: Option<&JsValue>,
        method: &str,
        fields: &str,
        body: Option<Uint8Array>,
        timeout: u32,
    ) -> Promise;

    /// The head of a response.
    #[wasm_bindgen(js_name = responseHead)]
    pub(crate) fn response_head(response: &JsValue) -> String;

    /// The body of a response under another head.
    #[wasm_bindgen(catch)]
    pub(crate) fn passed(response: &JsValue, status: u16, fields: &str) -> Result<JsValue, JsValue>;

    /// A response made here, of bytes or of none.
    #[wasm_bindgen(catch, js_name = reply)]
    pub(crate) fn respond(status: u16, fields: &str, content: Option<Uint8Array>)
    -> Result<JsValue, JsValue>;

    /// Keeps a D1 database, and answers its place.
    pub(crate) fn database(binding: &JsValue) -> u32;

    #[wasm_bindgen(js_name = batch)]
    fn batch_promise(place: u32, statements: &str) -> Promise;
}

/// The body of a request or of a response, up to one byte beyond `limit`; `None` if it did not come as a whole.
pub(crate) async fn body(of: &JsValue, limit: usize) -> Option<Vec<u8>> {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX).min(u32::MAX >> 1);
    let body = JsFuture::from(body_promise(of, limit)).await.ok().filter(|body| !body.is_undefined())?;
    Some(Uint8Array::from(body).to_vec())
}

/// The client's address, where the platform tells it.
pub(crate) fn client(request: &JsValue) -> Option<IpAddr> {
    address(request)?.parse().ok()
}

/// Sends a call to a store; `None` if there is no answer in time.
pub(crate) async fn ask(
    (url, binding): (&str, Option<&JsValue>),
    method: &str,
    fields: &str,
    body: Option<&[u8]>,
    timeout: Duration,
) -> Option<JsValue> {
    let timeout = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    let promise = ask_promise(url, binding, method, fields, body.map(Uint8Array::from), timeout);
    JsFuture::from(promise).await.ok().filter(|response| !response.is_undefined())
}

/// Has a D1 database do statements: JSON, as the answer is.
pub(crate) async fn batch(place: u32, statements: &str) -> Result<String, String> {
    let (sender, answer) = oneshot::channel();
    let promise = batch_promise(place, statements);
    // What belongs to JavaScript stays here: whoever waits need not.
    spawn_local(async move {
        let answer = JsFuture::from(promise).await.ok().and_then(|answer| answer.as_string());
        // Who asked may be gone.
        let _ = sender.send(answer);
    });
    answer.await.ok().flatten().ok_or_else(|| "expected an answer of the database".to_owned())
}
