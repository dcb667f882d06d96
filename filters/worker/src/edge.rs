//! One isolate: requests in, responses out.

use crate::head::{self, Received};
use crate::memory::Memory;
use crate::metrics::{Event, KeysFrom, Metrics};
use crate::proofs::Proofs;
use crate::signatures::Signatures;
use crate::web::{self, Answered, Call, Context};
use doorward::authn::decision::{Decision, Forward, LocalReply};
use doorward::authn::rejection::internal_error;
use doorward::authn::{Authn, Awaited, Journal, LogLine, Outcome, Step};
use doorward::config::{Config, fill_variables};
use doorward::http::{HeaderMutation, RequestHead};
use doorward::oauth::{IntrospectionCall, IntrospectionUpdate, certificate_digest};
use doorward::oidc::{Fetch, KeySetUpdate, Next};
use doorward::policy::ProviderId;
use doorward::time::UnixTime;
use doorward::worker::{MetricsPage, Origin};
use js_sys::Promise;
use sha2::{Digest, Sha256};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, future_to_promise};

/// How long a request waits for keys or for an answer about its token.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How often, in milliseconds, a request looks whether another one's call has brought them. It cannot wait for that call itself: on
/// CDN platforms what one request has begun cannot be waited for by another.
const LOOK_AGAIN: u32 = 10;

/// What one isolate decides by.
pub(crate) struct Edge {
    authn: RefCell<Authn>,
    signatures: Signatures,
    proofs: Proofs,
    memory: Option<Memory>,
    target: Target,
    page: Option<MetricsPage>,
    metrics: Metrics,
    journal: RefCell<Journal>,
    /// Counts what calls have brought: a request that waits looks here before it is judged again.
    news: Cell<u64>,
}

/// Where requests go on to.
enum Target {
    Same,
    Url(String),
    Binding(JsValue),
}

impl Edge {
    /// By a document, JSON, and what the platform has bound to names.
    ///
    /// # Errors
    /// Every fault of the document, a line each; or the names that nothing is bound to.
    pub(crate) fn new(document: &str, bindings: &JsValue) -> Result<Self, String> {
        let variable = |name: &str| web::bound(bindings, name).ok()?.as_string();
        let text = fill_variables(document.as_bytes(), variable).map_err(|error| error.to_string())?;
        let config = Config::load_with_worker(&text).map_err(|error| error.to_string())?;
        let policy = config.worker().cloned().unwrap_or_default();
        let digest: String = Sha256::digest(&text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let mut random = [0; 40];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        let (seed, secret) = random.split_first_chunk().ok_or("expected 40 bytes")?;
        let made_up = secret.first_chunk().copied().ok_or("expected 32 bytes")?;
        let mut authn = config.into_authn(u64::from_le_bytes(*seed));
        authn.share_secret(policy.secret.unwrap_or(made_up));
        let memory = policy.keys.as_ref().map(|memory| Memory::new(memory, bindings, &digest)).transpose()?;
        let target = match &policy.origin {
            Origin::Same => Target::Same,
            Origin::Url { scheme, authority } => Target::Url(format!("{scheme}://{authority}")),
            Origin::Binding(name) => Target::Binding(web::bound(bindings, name)?),
        };
        let dataset = policy.analytics.as_ref().map(|name| web::bound(bindings, name)).transpose()?;
        Ok(Self {
            authn: RefCell::new(authn),
            signatures: Signatures::default(),
            proofs: Proofs::new(policy.proofs.as_ref(), bindings)?,
            memory,
            target,
            page: policy.metrics,
            metrics: Metrics::new(dataset),
            journal: RefCell::default(),
            news: Cell::new(0),
        })
    }

    /// Judges a request and sends it on, or answers it: a response, or the promise of one.
    pub(crate) async fn answer(self: Rc<Self>, request: JsValue, context: Context) -> JsValue {
        match self.try_answer(&request, &context).await {
            Ok(answer) => answer,
            Err(error) => {
                log::error!("a request was denied because of a failed call: {error:?}");
                let denied = internal_error();
                self.metrics.count(Event::Denied(None, denied.denial));
                reply(&denied).unwrap_or_else(|error| error)
            }
        }
    }

    async fn try_answer(self: &Rc<Self>, request: &JsValue, context: &Context) -> Result<JsValue, JsValue> {
        let received = Received::new(web::head(request));
        let fields = received.fields().ok_or("expected an absolute URL")?;
        let head = RequestHead::new(&fields);
        if let Some(page) = self.page.as_ref().filter(|page| is_at(&head, &page.path)) {
            return self.show(page, &head);
        }
        let decision = self.judge(request, head, context).await;
        self.metrics.decided(&self.authn.borrow(), &decision);
        match &decision {
            Decision::Forward(forward) => {
                if let Some(reported) = &forward.reported {
                    self.log(&head, &LogLine::reported(reported));
                }
                self.forward(request, context, &head, forward)
            }
            Decision::Reject(denied) => {
                self.log(&head, &LogLine::denied(denied));
                reply(denied)
            }
        }
    }

    /// The core's effects, performed: the one `match` over them.
    async fn judge<'r>(
        self: &Rc<Self>,
        request: &JsValue,
        head: RequestHead<'r>,
        context: &Context,
    ) -> Decision<'r> {
        let since = web::now();
        let mut started = self.fetch_due(since, context);
        let mut step = self.authn.borrow_mut().begin(since, head);
        loop {
            let (pending, outcome) = match step {
                Step::Decide(decision) => return decision,
                Step::VerifySignature(job, pending) => {
                    (pending, Outcome::Signature(self.signatures.verify(&job).await))
                }
                Step::Await(awaited, pending) => {
                    let now = web::now();
                    if now >= since && now.saturating_since(since) < MAX_WAIT {
                        started.extend(self.call_due(awaited, now, context));
                        self.wait(std::mem::take(&mut started)).await;
                        step = self.authn.borrow_mut().begin(web::now(), head);
                        continue;
                    }
                    (pending, Outcome::Unavailable)
                }
                Step::ReadCertificate(pending) => {
                    let shown = web::certificate(request);
                    let digest = shown.and_then(|shown| certificate_digest(shown.as_bytes()));
                    (pending, Outcome::Certificate(digest))
                }
                Step::RecordProof(record, pending) => {
                    (pending, Outcome::Proof(self.proofs.record(record, web::now()).await))
                }
            };
            step = self.authn.borrow_mut().resume(web::now(), *pending, outcome);
        }
    }

    /// Waits for calls of this request, or else for those of others to bring news.
    async fn wait(&self, started: Vec<Promise>) {
        let seen = self.news.get();
        for promise in started {
            // Its outcome is with the machine that wanted it.
            let _ = JsFuture::from(promise).await;
        }
        if self.news.get() == seen {
            web::sleep(LOOK_AGAIN).await;
        }
    }

    /// Starts the calls that are due, of the kind that a request waits for.
    fn call_due(self: &Rc<Self>, awaited: Awaited, now: UnixTime, context: &Context) -> Vec<Promise> {
        match awaited {
            Awaited::Keys(_) => self.fetch_due(now, context),
            Awaited::Introspection(..) => self.ask_due(now, context),
        }
    }

    /// Starts the fetches of keys that are due.
    fn fetch_due(self: &Rc<Self>, now: UnixTime, context: &Context) -> Vec<Promise> {
        let due = self.authn.borrow_mut().poll_fetches(now);
        let start = |(id, fetch)| {
            let edge = Rc::clone(self);
            kept(context, async move { edge.fetch_keys(id, fetch).await })
        };
        due.into_iter().map(start).collect()
    }

    /// Starts the calls about opaque tokens that are due.
    fn ask_due(self: &Rc<Self>, now: UnixTime, context: &Context) -> Vec<Promise> {
        let due = self.authn.borrow_mut().poll_introspections(now);
        let start = |(id, call)| {
            let edge = Rc::clone(self);
            kept(context, async move { edge.introspect(id, &call).await })
        };
        due.into_iter().map(start).collect()
    }

    /// Brings a provider's keys: those that another isolate has kept, if they are news, or else its provider's.
    async fn fetch_keys(&self, id: ProviderId, mut fetch: Fetch) {
        let name = self.provider_name(id);
        if let Some(memory) = &self.memory
            && let Some(record) = memory.read(&name).await
        {
            let now = web::now();
            let mut authn = self.authn.borrow_mut();
            let Some(machine) = authn.key_set_mut(id) else { return };
            if let Some(KeySetUpdate::Fetched { .. }) = machine.adopt(now, &record) {
                self.count_keys(id, KeysFrom::Kept);
                // What was kept may be old.
                match machine.poll(now) {
                    Some(due) => fetch = due,
                    None => return,
                }
            }
        }
        loop {
            let headers = [("accept", "application/jwk-set+json, application/json".to_owned())];
            let Fetch { endpoint, timeout } = &fetch;
            let call = Call { endpoint, method: "GET", headers: &headers, body: None, timeout: *timeout };
            let answered = call.make().await;
            let (update, next) = {
                let mut authn = self.authn.borrow_mut();
                let Some(machine) = authn.key_set_mut(id) else { return };
                machine.handle(web::now(), Answered::result(answered.as_ref()))
            };
            match update {
                KeySetUpdate::Located => {}
                KeySetUpdate::Fetched { keys, skipped } => {
                    self.count_keys(id, KeysFrom::Fetched);
                    log::info!("keys: provider {name:?} has {keys} key(s), {skipped} left out");
                }
                KeySetUpdate::Failed(error) => {
                    self.count_keys(id, KeysFrom::Failed);
                    log::warn!("keys: provider {name:?}: {error}");
                }
            }
            match next {
                Next::Fetch(next) => fetch = next,
                Next::Tell(record) => {
                    if let Some(memory) = &self.memory {
                        memory.write(&name, &record).await;
                    }
                    return;
                }
                Next::Nothing => return,
            }
        }
    }

    fn count_keys(&self, id: ProviderId, from: KeysFrom) {
        self.news.set(self.news.get().wrapping_add(1));
        self.metrics.count(Event::Keys(id, from));
    }

    async fn introspect(&self, id: ProviderId, call: &IntrospectionCall) {
        let IntrospectionCall { token, endpoint, headers, body, timeout } = call;
        let made = Call { endpoint, method: "POST", headers, body: Some(body), timeout: *timeout };
        let answered = made.make().await;
        let update = {
            let mut authn = self.authn.borrow_mut();
            let Some(machine) = authn.introspection_mut(id) else { return };
            machine.handle(web::now(), *token, Answered::result(answered.as_ref()))
        };
        let is_answered = match update {
            IntrospectionUpdate::Failed(error) => {
                log::warn!("introspection: provider {:?}: {error}", self.provider_name(id));
                false
            }
            IntrospectionUpdate::Active | IntrospectionUpdate::Inactive => true,
        };
        self.news.set(self.news.get().wrapping_add(1));
        self.metrics.count(Event::Introspected(id, is_answered));
    }

    fn provider_name(&self, id: ProviderId) -> String {
        self.authn.borrow().policy().provider(id).map_or_else(String::new, |provider| provider.name.clone())
    }

    fn forward(
        &self,
        request: &JsValue,
        context: &Context,
        head: &RequestHead<'_>,
        forward: &Forward<'_>,
    ) -> Result<JsValue, JsValue> {
        let (mut changes, mut path) = (Vec::new(), head.path);
        for change in forward.all() {
            match change {
                // The query changes where a token was in it.
                HeaderMutation::Set(name, value) if **name == *b":path" => path = value,
                HeaderMutation::Remove(name) => changes.push(format!("-{}", head::text(name))),
                HeaderMutation::Set(name, value) => {
                    changes.push(format!("={} {}", head::text(name), head::text(value)));
                }
                HeaderMutation::Append(name, value) => {
                    changes.push(format!("+{} {}", head::text(name), head::text(value)));
                }
            }
        }
        let path = head::text(path);
        let url = match &self.target {
            Target::Url(origin) => format!("{origin}{path}"),
            Target::Same | Target::Binding(_) => {
                format!("{}://{}{path}", head::text(head.scheme), head::text(head.authority))
            }
        };
        let binding = match &self.target {
            Target::Binding(binding) => Some(binding),
            Target::Same | Target::Url(_) => None,
        };
        let sent = web::changed(request, &url, &changes.join("\n"))?;
        Ok(web::send(&sent, binding, context)?.into())
    }

    /// The page of counts, for who knows the token.
    fn show(&self, page: &MetricsPage, head: &RequestHead<'_>) -> Result<JsValue, JsValue> {
        let mut shown = head.values(b"authorization").filter_map(|value| value.strip_prefix(b"Bearer "));
        if shown.next().is_none_or(|token| Sha256::digest(token).as_slice() != page.sha256) {
            return web::reply(401, "www-authenticate\nBearer realm=\"metrics\"", "");
        }
        let text = self.metrics.text(&self.authn.borrow(), web::now());
        web::reply(200, "content-type\ntext/plain; version=0.0.4\ncache-control\nno-store", &text)
    }

    fn log(&self, head: &RequestHead<'_>, line: &LogLine<'_>) {
        let authn = self.authn.borrow();
        let policy = authn.policy();
        if let Some(suppressed) = self.journal.borrow_mut().line(web::now(), policy.denial_logs) {
            log::info!("{}", line.to_json(policy, head, suppressed));
        }
    }
}

/// Starts something that the platform is to let end, although the request is answered before.
fn kept(context: &Context, work: impl Future<Output = ()> + 'static) -> Promise {
    let promise = future_to_promise(async move {
        work.await;
        Ok(JsValue::UNDEFINED)
    });
    context.wait_until(&promise);
    promise
}

/// Whether a request is for exactly this path, whatever its query.
fn is_at(head: &RequestHead<'_>, path: &str) -> bool {
    head.path.split(|byte| *byte == b'?').next() == Some(path.as_bytes())
}

fn reply(denied: &LocalReply) -> Result<JsValue, JsValue> {
    let fields: Vec<&str> = denied.headers.iter().flat_map(|(name, value)| [*name, value.as_ref()]).collect();
    web::reply(denied.status, &fields.join("\n"), &denied.body)
}
