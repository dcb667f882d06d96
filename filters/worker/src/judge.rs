//! Who judges tokens: one machine of the core, and whatever its effects need.

use crate::memory::Memory;
use crate::metrics::{Event, KeysFrom, Metrics};
use crate::proofs::Proofs;
use crate::signatures::Signatures;
use crate::web::{self, Answered, Call, Context};
use doorward::authn::decision::Decision;
use doorward::authn::{Authn, Awaited, Outcome, Step, wait_left};
use doorward::oauth::{IntrospectionCall, IntrospectionUpdate};
use doorward::oidc::{Fetch, KeySetUpdate, Next};
use doorward::policy::ProviderId;
use doorward::time::UnixTime;
use js_sys::Promise;
use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::future_to_promise;

/// How often, in milliseconds, a request looks whether another one's call has brought them. It cannot wait for that call itself: on
/// CDN platforms what one request has begun cannot be waited for by another.
const LOOK_AGAIN: u32 = 10;

/// What the machines of one isolate share.
pub(crate) struct Means {
    pub(crate) signatures: Signatures,
    pub(crate) proofs: Proofs,
    pub(crate) memory: Option<Memory>,
    pub(crate) metrics: Metrics,
    /// Of what is made up, nothing is told.
    pub(crate) is_rehearsal: bool,
}

/// Who judges the tokens of requests, or those of SCIM calls.
pub(crate) struct Judge {
    authn: RefCell<Authn>,
    means: Rc<Means>,
    /// Counts the fetches of keys that have ended: a request that waits looks here before it is judged again.
    keys_news: Cell<u64>,
}

impl Judge {
    pub(crate) fn new(authn: Authn, means: Rc<Means>) -> Self {
        Self { authn: RefCell::new(authn), means, keys_news: Cell::new(0) }
    }

    /// The machine, as it is now.
    pub(crate) fn authn(&self) -> Ref<'_, Authn> {
        self.authn.borrow()
    }

    /// The core's effects, performed: the one `match` over them.
    /// `begin` starts with the request, and starts again after it has waited.
    pub(crate) async fn judge<'r>(
        self: &Rc<Self>,
        request: &JsValue,
        context: &Context,
        begin: impl Fn(&mut Authn, UnixTime) -> Step<'r>,
    ) -> Decision<'r> {
        let since = web::now();
        let mut started = self.fetch_due(since, context);
        let mut step = begin(&mut self.authn.borrow_mut(), since);
        loop {
            let (pending, outcome) = match step {
                Step::Decide(decision) => return decision,
                Step::VerifySignature(job, pending) => {
                    (pending, Outcome::Signature(self.means.signatures.verify(&job).await))
                }
                Step::Await(awaited, pending) => {
                    if self.wait(awaited, since, std::mem::take(&mut started), context).await {
                        step = begin(&mut self.authn.borrow_mut(), web::now());
                        continue;
                    }
                    (pending, Outcome::Unavailable)
                }
                Step::ReadCertificate(pending) => {
                    (pending, Outcome::Certificate(web::client_certificate(request)))
                }
                Step::RecordProof(record, pending) => {
                    (pending, Outcome::Proof(self.means.proofs.record(record, web::now()).await))
                }
            };
            step = self.authn.borrow_mut().resume(web::now(), *pending, outcome);
        }
    }

    /// Waits for news of what a request depends on, by calls of its own or of others. No news in time, or from a platform that cannot wait, is
    /// `false`. Only with news is a request judged again: many may wait, and each costs what a new one does.
    async fn wait(
        self: &Rc<Self>,
        awaited: Awaited,
        since: UnixTime,
        mut started: Vec<Promise>,
        context: &Context,
    ) -> bool {
        let seen = self.keys_news.get();
        loop {
            let now = web::now();
            let Some(left) = wait_left(since, now) else { return false };
            // Another call may have come due, or one of another request was lost with it.
            started.extend(self.call_due(awaited, now, context));
            if !started.is_empty() {
                web::first(std::mem::take(&mut started), left).await;
            } else if web::sleep(LOOK_AGAIN).await.is_err() {
                return false;
            }
            let is_news = match awaited {
                Awaited::Keys(_) => self.keys_news.get() != seen,
                Awaited::Introspection(id, token) => {
                    let mut authn = self.authn.borrow_mut();
                    authn.introspection_mut(id).is_none_or(|machine| !machine.is_asked(web::now(), token))
                }
            };
            if is_news {
                return true;
            }
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
            let (judge, own) = (Rc::clone(self), context.clone());
            kept(context, async move { judge.fetch_keys(id, fetch, &own).await })
        };
        due.into_iter().map(start).collect()
    }

    /// Starts the calls about opaque tokens that are due.
    fn ask_due(self: &Rc<Self>, now: UnixTime, context: &Context) -> Vec<Promise> {
        let due = self.authn.borrow_mut().poll_introspections(now);
        let start = |(id, call)| {
            let (judge, own) = (Rc::clone(self), context.clone());
            kept(context, async move { judge.introspect(id, &call, &own).await })
        };
        due.into_iter().map(start).collect()
    }

    /// Brings a provider's keys: those that another isolate has kept, if they are news, or else its provider's.
    async fn fetch_keys(self: &Rc<Self>, id: ProviderId, mut fetch: Fetch, context: &Context) {
        let name = self.provider_name(id);
        if let Some(memory) = &self.means.memory
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
            let answered = call.make(context).await;
            let (update, next) = {
                let mut authn = self.authn.borrow_mut();
                let Some(machine) = authn.key_set_mut(id) else { return };
                machine.handle(web::now(), Answered::result(answered.as_ref()))
            };
            match update {
                KeySetUpdate::Located => {}
                KeySetUpdate::Fetched { keys, skipped } => {
                    self.count_keys(id, KeysFrom::Fetched);
                    if !self.means.is_rehearsal {
                        log::info!("keys: provider {name:?} has {keys} key(s), {skipped} left out");
                    }
                }
                KeySetUpdate::Failed(error) => {
                    self.count_keys(id, KeysFrom::Failed);
                    log::warn!("keys: provider {name:?}: {error}");
                }
            }
            match next {
                Next::Fetch(next) => fetch = next,
                Next::Tell(record) => {
                    // Nobody need wait for that.
                    let means = Rc::clone(&self.means);
                    let _ = kept(context, async move {
                        if let Some(memory) = &means.memory {
                            memory.write(&name, &record).await;
                        }
                    });
                    return;
                }
                Next::Nothing => return,
            }
        }
    }

    fn count_keys(&self, id: ProviderId, from: KeysFrom) {
        self.keys_news.set(self.keys_news.get().wrapping_add(1));
        self.means.metrics.count(Event::Keys(id, from));
    }

    async fn introspect(&self, id: ProviderId, call: &IntrospectionCall, context: &Context) {
        let IntrospectionCall { token, endpoint, headers, body, timeout } = call;
        let made = Call { endpoint, method: "POST", headers, body: Some(body), timeout: *timeout };
        let answered = made.make(context).await;
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
        self.means.metrics.count(Event::Introspected(id, is_answered));
    }

    fn provider_name(&self, id: ProviderId) -> String {
        self.authn.borrow().policy().provider(id).map_or_else(String::new, |provider| provider.name.clone())
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
