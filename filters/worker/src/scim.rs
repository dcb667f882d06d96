//! SCIM calls: the gateway's decisions, performed.

use crate::calls::Calls;
use crate::exchange;
use crate::head;
use crate::judge::Judge;
use crate::metrics::Page;
pub(crate) use crate::store::Store;
use crate::store::{Answered, Body, Clean};
use crate::web::{self, Context};
use doorward::authn::decision::Decision;
use doorward::authn::{Authn, Journal};
use doorward::config::{Config, ConfigError};
use doorward::gateway::{
    Admission, Answer, BucketName, Call, Ending, Forwarding, GatewayPolicy, Reason, Refusal, Surroundings,
};
use doorward::http::{HeaderField, HeaderMutation, RequestHead};
use doorward::time::UnixTime;
use doorward::worker::WorkerPolicy;
use js_sys::Uint8Array;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use wasm_bindgen::JsValue;

/// The longest answer that is rewritten, in bytes: what a page of large groups may have.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Fields that a store has use for. What else a client, or the platform, has put in front of a call stays here.
const FORWARDED: [&str; 10] = [
    "accept",
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-request-id",
];

/// Fields of the connection and of the server, and the length of a body that may have come compressed: the platform writes its own.
const OF_CONNECTION: [&str; 4] = ["connection", "content-length", "server", "transfer-encoding"];

/// The SCIM calls of one isolate.
pub(crate) struct Scim {
    policy: GatewayPolicy,
    judge: Rc<Judge>,
    store: Store,
    buckets: RefCell<HashMap<BucketName, [u8; 8]>>,
    journal: RefCell<Journal>,
    counts: Calls,
}

impl Scim {
    /// Reads a document for a worker of this kind.
    ///
    /// # Errors
    /// Every fault of the document.
    pub(crate) fn load(text: &[u8]) -> Result<Config, ConfigError> {
        Config::load_with_scim_worker(text)
    }

    /// Where the calls go on to that the document wants taken, if any.
    ///
    /// # Errors
    /// The name that nothing is bound to.
    pub(crate) fn store(
        config: &Config,
        worker: &WorkerPolicy,
        bindings: &JsValue,
    ) -> Result<Option<Store>, String> {
        let Some(policy) = config.gateway() else { return Ok(None) };
        let target = worker.store.as_ref().ok_or("expected worker.store")?;
        Store::new(target, bindings, policy).map(Some)
    }

    /// The SCIM calls that the document wants taken, if any. `salt` is a secret.
    pub(crate) fn new(
        config: &Config,
        store: Store,
        judge: impl FnOnce(Authn) -> Rc<Judge>,
        (seed, salt): (u64, [u8; 32]),
    ) -> Option<Self> {
        let (policy, authn) = config.clone().into_gateway(seed)?;
        // Buckets are the isolate's own, and so are their names.
        let policy = GatewayPolicy { salt, ..policy };
        let (buckets, journal, counts) = (RefCell::default(), RefCell::default(), Calls::default());
        Some(Self { policy, judge: judge(authn), store, buckets, journal, counts })
    }

    /// Who judges the JWTs of calls.
    pub(crate) fn judge(&self) -> &Rc<Judge> {
        &self.judge
    }

    /// What was counted.
    pub(crate) fn show_counts(&self, page: &mut Page) {
        self.counts.show(&self.policy, page);
    }

    /// Whether a request is a call for one of the tenants.
    pub(crate) fn takes(&self, head: &RequestHead<'_>) -> bool {
        self.policy.takes(head)
    }

    /// Takes a call, and has it answered.
    pub(crate) async fn answer(
        &self,
        request: &JsValue,
        head: &RequestHead<'_>,
        context: &Context,
    ) -> Result<JsValue, JsValue> {
        let since = web::now();
        let (mut call, admission) = self.policy.begin(self.judge.authn().policy(), since, head, fresh);
        let answered = match self.perform(request, head, context, &mut call, admission).await {
            Ok((status, response)) => response.map(|response| (Ok(status), response)),
            Err(refusal) => refused(&refusal, &call).map(|response| (Err(refusal), response)),
        };
        let (outcome, response) = answered.or_else(|error| {
            log::error!("a call was refused because of a failed call of the platform: {error:?}");
            let refusal = Refusal::new(Reason::InternalError);
            refused(&refusal, &call).map(|response| (Err(refusal), response))
        })?;
        let duration = web::now().saturating_since(since);
        self.tell(
            &call,
            &match outcome {
                Ok(status) => Ending { status, reason: None, scim_type: None, duration },
                Err(refusal) => Ending::refused(&refusal, duration),
            },
        );
        Ok(response)
    }

    /// The status and the response, which may not be possible to make.
    async fn perform(
        &self,
        request: &JsValue,
        head: &RequestHead<'_>,
        context: &Context,
        call: &mut Call,
        admission: Admission,
    ) -> Result<(u16, Result<JsValue, JsValue>), Refusal> {
        self.admit(request, head, context, call, admission).await?;
        self.take_from_bucket(call, web::now())?;
        self.policy.check_head(call)?;
        let limit = self.policy.body_limit(call);
        let body =
            exchange::body(request, limit).await.ok_or_else(|| Refusal::new(Reason::BodyIncomplete))?;
        if body.len() > limit {
            return Err(Refusal::too_large(limit));
        }
        let client = exchange::client(request);
        let surroundings = Surroundings { now: web::now(), client };
        let forwarding = self.policy.settle(call, &body, surroundings, fresh)?;
        let clean = clean(head, call, forwarding, body);
        let answered = self.store.answer(&self.policy, call, &clean, client).await?;
        self.pass(call, answered).await
    }

    /// Finds out who calls.
    async fn admit(
        &self,
        request: &JsValue,
        head: &RequestHead<'_>,
        context: &Context,
        call: &mut Call,
        admission: Admission,
    ) -> Result<(), Refusal> {
        match admission {
            Admission::Refused(refusal) => return Err(refusal),
            Admission::Judge(rule) => {
                let begin = |authn: &mut Authn, now| authn.begin_required(now, *head, rule);
                match self.judge.judge(request, context, begin).await {
                    Decision::Forward(forward) => self.policy.admit_subject(call, rule, &forward.state)?,
                    Decision::Reject(reply) => return Err(Refusal::of_token(&reply)),
                }
            }
            Admission::Known => {}
        }
        if self.policy.wants_certificate(call) {
            self.policy.admit_certificate(call, web::client_certificate(request))?;
        }
        Ok(())
    }

    /// Counts a call.
    fn take_from_bucket(&self, call: &Call, now: UnixTime) -> Result<(), Refusal> {
        let Some((name, rate)) = self.policy.bucket(call) else { return Ok(()) };
        let mut buckets = self.buckets.borrow_mut();
        let kept = buckets.get(&name).map(<[u8; 8]>::as_slice);
        let taken = rate.take(kept, now).map_err(Refusal::limited)?;
        buckets.insert(name, taken);
        Ok(())
    }

    /// Lets an answer go on, as the client is to see it.
    async fn pass(
        &self,
        call: &Call,
        answered: Answered,
    ) -> Result<(u16, Result<JsValue, JsValue>), Refusal> {
        let Answered { status, mut fields, body } = answered;
        let said = status.to_string();
        let mut seen = vec![HeaderField { name: b":status", value: said.as_bytes() }];
        seen.extend(
            fields.iter().map(|(name, value)| HeaderField { name: name.as_bytes(), value: value.as_bytes() }),
        );
        let changes = match self.policy.answer(call, &seen) {
            Answer::Pass(changes) => changes,
            Answer::Replace(refusal) => return Err(refusal),
        };
        let removed = |name: &str| {
            let is_it = |change: &HeaderMutation<'_>| matches!(change, HeaderMutation::Remove(removed) if **removed == *name.as_bytes());
            OF_CONNECTION.contains(&name) || changes.iter().any(is_it)
        };
        fields.retain(|(name, _)| !removed(name));
        let fields = web::lines(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let body = if self.policy.rewrites_answers(call, status) {
            let whole = match body {
                Body::Bytes(body) => body.unwrap_or_default(),
                Body::Response(response) => {
                    let whole = exchange::body(&response, MAX_ANSWER).await;
                    whole.ok_or_else(|| Refusal::new(Reason::StoreUnavailable))?
                }
            };
            if whole.len() > MAX_ANSWER {
                log::error!("an answer was withheld: it has more than {MAX_ANSWER} bytes");
                return Err(Refusal::new(Reason::StoreFailed));
            }
            Body::Bytes(Some(self.policy.rewrite_answer(call, &whole)?))
        } else {
            body
        };
        let response = match body {
            Body::Response(response) => exchange::passed(&response, status, &fields),
            Body::Bytes(body) => exchange::respond(status, &fields, body.as_deref().map(Uint8Array::from)),
        };
        Ok((status, response))
    }

    /// The call is over: it is told of.
    fn tell(&self, call: &Call, ending: &Ending) {
        self.counts.count(call, ending);
        // Who is known has as many calls as its bucket; of others, and of calls beyond it, so many lines a second are enough.
        let is_counted = call.actor().is_some() && ending.reason != Some(Reason::RateLimited);
        let suppressed = if is_counted {
            Some(0)
        } else {
            let lines = self.judge.authn().policy().denial_logs;
            self.journal.borrow_mut().line(web::now(), lines)
        };
        if let Some(suppressed) = suppressed {
            log::info!("{}", self.policy.audit_line(call, ending, suppressed));
        }
    }
}

/// What goes on to the store: as the core has it, and of the rest of the head what a store has use for.
fn clean(head: &RequestHead<'_>, call: &Call, forwarding: Forwarding, body: Vec<u8>) -> Clean {
    let set = |name: &str| {
        forwarding.mutations.iter().rev().find_map(|change| match change {
            HeaderMutation::Set(set, value) if **set == *name.as_bytes() => {
                Some(head::text(value).into_owned())
            }
            HeaderMutation::Set(..) | HeaderMutation::Append(..) | HeaderMutation::Remove(_) => None,
        })
    };
    let is_removed = |name: &str| {
        let is_it = |change: &HeaderMutation<'_>| matches!(change, HeaderMutation::Remove(removed) if **removed == *name.as_bytes());
        forwarding.mutations.iter().any(is_it)
    };
    let sent = |name: &'static str| {
        head.values(name.as_bytes())
            .next()
            .filter(|_| !is_removed(name))
            .map(|value| head::text(value).into_owned())
    };
    let fields =
        FORWARDED.into_iter().filter_map(|name| Some((name, set(name).or_else(|| sent(name))?))).collect();
    Clean {
        method: call.method().as_str(),
        target: set(":path").unwrap_or_default(),
        fields,
        body: forwarding.body.unwrap_or(body),
    }
}

fn refused(refusal: &Refusal, call: &Call) -> Result<JsValue, JsValue> {
    let mut fields = vec![
        ("content-type", "application/scim+json"),
        ("cache-control", "no-store"),
        ("x-request-id", call.request_id()),
    ];
    fields.extend(refusal.headers.iter().map(|(name, value)| (*name, value.as_str())));
    exchange::respond(
        refusal.status(),
        &web::lines(fields),
        Some(Uint8Array::from(refusal.body().as_slice())),
    )
}

/// 128 random bits in hexadecimal; `None` if the platform has none.
fn fresh() -> Option<String> {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).ok()?;
    Some(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}
