//! Where clean SCIM calls go on to: a store elsewhere, or the one in the worker.

use crate::exchange;
use crate::near::Near;
use crate::web;
use doorward::gateway::{Call, GatewayPolicy, Operation, Reason, Refusal};
use doorward::time::UnixTime;
use doorward::worker::StoreTarget;
use std::net::IpAddr;
use std::time::Duration;
use wasm_bindgen::JsValue;

/// How long a store may take for a call, tried again or not.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The same for many operations in one.
const BULK_TIMEOUT: Duration = Duration::from_secs(60);
/// How long, in milliseconds, before a call is tried again.
const PAUSE: u32 = 100;

/// A store.
pub(crate) enum Store {
    /// Elsewhere: by a URL that paths are put behind, over the network or over a binding.
    Far(String, Option<JsValue>),
    /// In the worker.
    Near(Box<Near>),
}

/// A clean call.
pub(crate) struct Clean {
    pub(crate) method: &'static str,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// What the store answered.
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Body,
}

/// The body of an answer.
pub(crate) enum Body {
    /// It comes with this response.
    Response(JsValue),
    /// It is there, if there is one.
    Bytes(Option<Vec<u8>>),
}

impl Clean {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

impl Store {
    /// The one that the document names.
    pub(crate) fn new(
        target: &StoreTarget,
        bindings: &JsValue,
        policy: &GatewayPolicy,
    ) -> Result<Self, String> {
        Ok(match target {
            StoreTarget::Url { scheme, authority } => Self::Far(format!("{scheme}://{authority}"), None),
            // The binding leads to the store whatever the URL says.
            StoreTarget::Binding(name) => {
                Self::Far("https://store.invalid".to_owned(), Some(web::bound(bindings, name)?))
            }
            StoreTarget::D1(name) => Self::Near(Box::new(Near::new(&web::bound(bindings, name)?, policy))),
        })
    }

    /// Sends a call; a refusal if there is no answer.
    pub(crate) async fn answer(
        &self,
        policy: &GatewayPolicy,
        call: &Call,
        clean: &Clean,
        client: Option<IpAddr>,
    ) -> Result<Answered, Refusal> {
        match self {
            Self::Near(near) => {
                let answered = near.answer(policy, call, clean, client).await;
                answered.ok_or_else(|| Refusal::new(Reason::InternalError))
            }
            Self::Far(base, binding) => ask((base, binding.as_ref()), call, clean)
                .await
                .ok_or_else(|| Refusal::new(Reason::StoreUnavailable)),
        }
    }
}

/// Asks a store elsewhere, once more if it does not answer or has too much to do, and the call may come twice.
async fn ask(target: (&str, Option<&JsValue>), call: &Call, clean: &Clean) -> Option<Answered> {
    let limit = if call.operation() == Operation::Bulk { BULK_TIMEOUT } else { TIMEOUT };
    let until = web::now().saturating_add(limit);
    let first = try_once(target, clean, until).await;
    let is_settled = first.as_ref().is_some_and(|answered| answered.status != 503);
    if is_settled || !call.is_repeatable() || web::now() >= until {
        return first;
    }
    if web::sleep(PAUSE).await.is_err() {
        return first;
    }
    try_once(target, clean, until).await.or(first)
}

async fn try_once(
    (base, binding): (&str, Option<&JsValue>),
    clean: &Clean,
    until: UnixTime,
) -> Option<Answered> {
    let url = format!("{base}{}", clean.target);
    let fields = web::lines(clean.fields.iter().map(|(name, value)| (*name, value.as_str())));
    let body = (!clean.body.is_empty()).then_some(clean.body.as_slice());
    let left = until.saturating_since(web::now());
    let response = exchange::ask((&url, binding), clean.method, &fields, body, left).await?;
    let head = exchange::response_head(&response);
    let mut lines = head.split('\n');
    let status = lines.next()?.parse().ok()?;
    let mut fields = Vec::new();
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        fields.push((name.to_owned(), value.to_owned()));
    }
    Some(Answered { status, fields, body: Body::Response(response) })
}
