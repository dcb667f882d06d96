//! The web platform, as far as it is used here: `web.js`, and what a platform hands over with a request.

use doorward::oauth::certificate_digest;
use doorward::oidc::{Endpoint, FetchError, FetchResponse};
use doorward::time::UnixTime;
use js_sys::{Promise, Reflect, Uint8Array};
use std::time::Duration;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    /// What a platform hands over with a request.
    #[derive(Clone)]
    pub type Context;

    /// Has the platform keep the isolate until this is done, although the request is answered.
    #[wasm_bindgen(method, js_name = waitUntil)]
    pub(crate) fn wait_until(this: &Context, promise: &Promise);

    #[wasm_bindgen(js_namespace = console)]
    pub(crate) fn log(line: &str);

    #[wasm_bindgen(js_namespace = console)]
    pub(crate) fn warn(line: &str);

    #[wasm_bindgen(js_namespace = console)]
    pub(crate) fn error(line: &str);
}

#[wasm_bindgen(module = "/src/web.js")]
extern "C" {
    /// What `resume` makes of a promise's outcome.
    pub(crate) fn after(
        promise: &Promise,
        resume: &Closure<dyn Fn(usize, bool, JsValue) -> JsValue>,
        place: usize,
    ) -> Promise;

    /// What is in the array that a promise resolves to.
    pub(crate) fn only(promise: &Promise) -> Promise;

    #[wasm_bindgen(js_name = head)]
    fn write_head(request: &JsValue, room: &mut [u8]) -> usize;

    /// SHA-256 of the client's certificate, in hexadecimal.
    fn certificate(request: &JsValue) -> Option<String>;

    /// The same request to another URL, with changes.
    #[wasm_bindgen(catch)]
    pub(crate) fn changed(request: &JsValue, url: &str, changes: &str) -> Result<JsValue, JsValue>;

    /// Sends a request to what has a `fetch`.
    #[wasm_bindgen(catch)]
    pub(crate) fn send(
        request: &JsValue,
        binding: Option<&JsValue>,
        context: &Context,
    ) -> Result<Promise, JsValue>;

    /// A response.
    #[wasm_bindgen(catch)]
    pub(crate) fn reply(status: u16, fields: &str, body: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = sleep)]
    fn sleep_promise(milliseconds: u32) -> Promise;

    #[wasm_bindgen(js_name = first)]
    fn first_promise(promises: Vec<Promise>, milliseconds: u32) -> Promise;

    #[wasm_bindgen(js_name = call)]
    fn call_promise(
        context: &Context,
        url: &str,
        method: &str,
        fields: &str,
        body: Option<Uint8Array>,
        timeout: u32,
        limit: u32,
    ) -> Promise;

    /// A key for WebCrypto.
    #[wasm_bindgen(catch, js_name = importKey)]
    pub(crate) fn import_key(algorithm: &str, spki: &[u8]) -> Result<Promise, JsValue>;

    /// A check by WebCrypto.
    #[wasm_bindgen(catch)]
    pub(crate) fn verify(
        algorithm: &str,
        key: &JsValue,
        signature: &[u8],
        message: &[u8],
    ) -> Result<Promise, JsValue>;

    /// Bytes of `caches`.
    #[wasm_bindgen(catch, js_name = readCache)]
    pub(crate) fn read_cache(cache: &str, name: &str) -> Result<Promise, JsValue>;

    /// Bytes into `caches`.
    #[wasm_bindgen(catch, js_name = writeCache)]
    pub(crate) fn write_cache(
        cache: &str,
        name: &str,
        content: Uint8Array,
        seconds: u32,
    ) -> Result<Promise, JsValue>;

    /// Bytes of a key-value namespace.
    #[wasm_bindgen(catch, js_name = readKv)]
    pub(crate) fn read_kv(namespace: &JsValue, name: &str) -> Result<Promise, JsValue>;

    /// Bytes into a key-value namespace.
    #[wasm_bindgen(catch, js_name = writeKv)]
    pub(crate) fn write_kv(
        namespace: &JsValue,
        name: &str,
        content: Uint8Array,
        seconds: u32,
    ) -> Result<Promise, JsValue>;

    /// A proof into a Durable Object.
    #[wasm_bindgen(catch, js_name = recordProof)]
    pub(crate) fn record_proof(
        namespace: &JsValue,
        bucket: &str,
        id: &str,
        now: f64,
        until: f64,
    ) -> Result<Promise, JsValue>;

    /// A data point.
    #[wasm_bindgen(catch)]
    pub(crate) fn count(dataset: &JsValue, outcome: &str, provider: &str, code: &str) -> Result<(), JsValue>;

    /// The answer to a call.
    type Answer;
    #[wasm_bindgen(method, getter)]
    fn status(this: &Answer) -> u16;
    #[wasm_bindgen(method, getter, js_name = cacheControl)]
    fn cache_control(this: &Answer) -> Option<String>;
    #[wasm_bindgen(method, getter)]
    fn body(this: &Answer) -> Vec<u8>;
}

/// The time. CDN platforms stop it while a worker computes.
pub(crate) fn now() -> UnixTime {
    #[expect(clippy::cast_possible_truncation, reason = "such a conversion saturates")]
    let milliseconds = js_sys::Date::now() as i64;
    UnixTime::from_millis(milliseconds)
}

/// Room for the head of most requests, in bytes.
const HEAD: usize = 4096;

/// The head of a request, in UTF-8. Written into memory by the platform's encoder: what wasm-bindgen does for texts takes a step for each character.
pub(crate) fn head(request: &JsValue) -> Vec<u8> {
    let mut head = vec![0; HEAD];
    let mut size = write_head(request, &mut head);
    if size > head.len() {
        head.resize(size, 0);
        size = write_head(request, &mut head);
    }
    head.truncate(size);
    head
}

/// Fields as `web.js` takes them: names and values, a line each.
pub(crate) fn lines<'f>(fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> String {
    fields.into_iter().flat_map(|(name, value)| [name, value]).collect::<Vec<_>>().join("\n")
}

/// SHA-256 of the certificate that the client has shown.
pub(crate) fn client_certificate(request: &JsValue) -> Option<[u8; 32]> {
    certificate(request).and_then(|shown| certificate_digest(shown.as_bytes()))
}

/// Milliseconds as JavaScript has them.
pub(crate) fn number(instant: UnixTime) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this age of the world are exact")]
    let milliseconds = instant.as_millis() as f64;
    milliseconds
}

/// Waits.
///
/// # Errors
/// If the platform has no timer, as Cloudflare where there is no request.
pub(crate) async fn sleep(milliseconds: u32) -> Result<(), JsValue> {
    JsFuture::from(sleep_promise(milliseconds)).await.map(drop)
}

/// Waits until one of these promises settles, which may fail, but no longer than this.
pub(crate) async fn first(promises: Vec<Promise>, longest: Duration) {
    // It never fails.
    let _ = JsFuture::from(first_promise(promises, millis(longest))).await;
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// What a promise resolves to.
pub(crate) async fn resolved(promise: Result<Promise, JsValue>) -> Result<JsValue, JsValue> {
    JsFuture::from(promise?).await
}

/// Whether an error says that the platform has no such algorithm.
pub(crate) fn is_not_supported(error: &JsValue) -> bool {
    Reflect::get(error, &JsValue::from_str("name")).is_ok_and(|name| name == "NotSupportedError")
}

/// The text that the platform has under a name.
pub(crate) fn variable(bindings: &JsValue, name: &str) -> Option<String> {
    Reflect::get(bindings, &JsValue::from_str(name)).ok()?.as_string()
}

/// What is bound to a name, which is no text; an error that names it if nothing is.
pub(crate) fn bound(bindings: &JsValue, name: &str) -> Result<JsValue, String> {
    let found = Reflect::get(bindings, &JsValue::from_str(name)).ok();
    found
        .filter(|found| found.is_object() || found.is_function())
        .ok_or_else(|| format!("expected a binding called {name:?}, but found none"))
}

/// A call to make.
pub(crate) struct Call<'c> {
    pub(crate) endpoint: &'c Endpoint,
    pub(crate) method: &'static str,
    pub(crate) headers: &'c [(&'static str, String)],
    pub(crate) body: Option<&'c [u8]>,
    pub(crate) timeout: Duration,
}

/// What came back.
pub(crate) struct Answered {
    status: u16,
    cache_control: Option<String>,
    body: Vec<u8>,
}

impl Answered {
    /// As the core's machines take it.
    pub(crate) fn result(answered: Option<&Self>) -> Result<FetchResponse<'_>, FetchError> {
        let Self { status, cache_control, body } = answered.ok_or(FetchError::NoResponse)?;
        let cache_control = cache_control.as_deref().map(str::as_bytes);
        Ok(FetchResponse { status: *status, cache_control, body })
    }
}

impl Call<'_> {
    /// Makes the call; `None` if there is no answer in time.
    pub(crate) async fn make(&self, context: &Context) -> Option<Answered> {
        let Endpoint { scheme, authority, path, .. } = self.endpoint;
        let url = format!("{scheme}://{authority}{path}");
        let fields = lines(self.headers.iter().map(|(name, value)| (*name, value.as_str())));
        let limit = u32::try_from(FetchResponse::READ_BYTES).unwrap_or(u32::MAX);
        let body = self.body.map(Uint8Array::from);
        let promise = call_promise(context, &url, self.method, &fields, body, millis(self.timeout), limit);
        let answer = JsFuture::from(promise).await.ok().filter(|answer| !answer.is_undefined())?;
        let answer: Answer = answer.unchecked_into();
        Some(Answered { status: answer.status(), cache_control: answer.cache_control(), body: answer.body() })
    }
}
