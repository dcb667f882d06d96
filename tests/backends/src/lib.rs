//! A filter for tests: answers each request with what the proxy and the sandbox say of one signature. The request has the headers
//! `x-alg`, `x-jwk` (JSON), `x-input` and `x-signature` (both base64url); the answer is two words, the proxy's and the sandbox's:
//! `valid`, `invalid`, or for the proxy `none` if it is not asked.

use doorward::http::RequestHead;
use doorward::jose::crypto::{SignatureJob, Verdict, verify};
use doorward::jose::{Algorithm, Jwk, KeyOrigin, base64url};
use doorward_host::headers::RequestHeaders;
use doorward_host::reply::LocalReply;
use doorward_host::{Action, Context, ContextType, HttpContext, RootContext, signature};
use std::sync::Arc;

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _plugin_configuration_size: usize) -> bool {
        true
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Http))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Http;

impl Context for Http {}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        let body = judge().unwrap_or_else(|| "the request is no signature check".to_owned());
        let reply = LocalReply { status: 200, details: "backends", headers: &[], body: body.as_bytes() };
        // Should it fail, the request stays paused and its test fails.
        let _ = reply.send();
        Action::Pause
    }
}

fn judge() -> Option<String> {
    let received = RequestHeaders::read().ok()?;
    let fields = received.fields().ok()?;
    let head = RequestHead::new(&fields);
    let algorithm = Algorithm::from_name(std::str::from_utf8(head.values(b"x-alg").next()?).ok()?)?;
    let jwk = serde_json::from_slice(head.values(b"x-jwk").next()?).ok()?;
    let input = base64url::decode(head.values(b"x-input").next()?).ok()?;
    let signature = base64url::decode(head.values(b"x-signature").next()?).ok()?;
    let job = SignatureJob {
        algorithm,
        key: Arc::new(Jwk::from_json(&jwk, KeyOrigin::Remote).ok()?),
        signing_input: &input,
        signature: signature.into(),
    };
    Some(format!("{} {}", by_the_proxy(&job), word(verify(&job))))
}

fn by_the_proxy(job: &SignatureJob<'_>) -> String {
    let Some(check) = job.x509() else { return "none".to_owned() };
    match signature::verify(check.hash.name(), check.public_key, &check.signature, check.message) {
        Ok(valid) => word(Verdict::from(valid)).to_owned(),
        Err(error) => format!("error({error})"),
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "valid",
        Verdict::Invalid => "invalid",
    }
}

mod entry {
    doorward_host::main! {{
        doorward_host::set_root_context(|_| Box::new(super::Root));
    }}
}
