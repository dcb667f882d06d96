//! One isolate: requests in, responses out.

use crate::head::{self, Received};
use crate::judge::{Judge, Means};
use crate::memory::Memory;
use crate::metrics::{Event, Metrics};
use crate::proofs::Proofs;
use crate::scim::{self, Scim};
use crate::signatures::Signatures;
use crate::web::{self, Context};
use doorward::authn::decision::{Decision, Forward, LocalReply};
use doorward::authn::rejection::internal_error;
use doorward::authn::{Authn, Journal, LogLine};
use doorward::config::{Config, fill_variables};
use doorward::http::{HeaderMutation, RequestHead};
use doorward::worker::{MetricsPage, Origin, WorkerPolicy};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::JsValue;

/// A document, compiled, and what is bound to its names: all that can be had before there is a request, when a platform has no random
/// numbers yet.
pub(crate) struct Prepared {
    /// Tells documents apart.
    pub(crate) digest: String,
    config: Config,
    policy: WorkerPolicy,
    target: Target,
    means: Means,
    store: Option<scim::Store>,
}

/// What one isolate decides by.
pub(crate) struct Edge {
    /// Without it the document has no rules: every request is a SCIM call.
    rules: Option<Rc<Judge>>,
    scim: Option<Scim>,
    target: Target,
    page: Option<MetricsPage>,
    means: Rc<Means>,
    journal: RefCell<Journal>,
}

/// Of a document for a platform that has no zone.
const NO_ORIGIN: &str = r#"worker.origin: expected {"url": …}; on this platform a request would go to any host that its client names"#;

/// Where requests go on to.
enum Target {
    Same,
    Url(String),
    Binding(JsValue),
}

impl Prepared {
    /// By a document, JSON, and what the platform has bound to names. Where there is no zone, a request that went on to where it was sent
    /// would go to any host that a client names.
    ///
    /// # Errors
    /// Every fault of the document, a line each; or the names that nothing is bound to.
    pub(crate) fn new(document: &str, bindings: &JsValue, has_zone: bool) -> Result<Self, String> {
        let variable = |name: &str| web::variable(bindings, name);
        let text = fill_variables(document.as_bytes(), variable).map_err(|error| error.to_string())?;
        let config = Scim::load(&text).map_err(|error| error.to_string())?;
        let policy = config.worker().cloned().unwrap_or_default();
        let digest: String = Sha256::digest(&text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let memory = policy.keys.as_ref().map(|memory| Memory::new(memory, bindings, &digest)).transpose()?;
        let target = match &policy.origin {
            Origin::Same if has_zone || !has_rules(&config) => Target::Same,
            Origin::Same => return Err(NO_ORIGIN.to_owned()),
            Origin::Url { scheme, authority } => Target::Url(format!("{scheme}://{authority}")),
            Origin::Binding(name) => Target::Binding(web::bound(bindings, name)?),
        };
        let dataset = policy.analytics.as_ref().map(|name| web::bound(bindings, name)).transpose()?;
        let means = Means {
            signatures: Signatures::default(),
            proofs: Proofs::new(policy.proofs.as_ref(), bindings)?,
            memory,
            metrics: Metrics::new(dataset),
            is_rehearsal: false,
        };
        let store = Scim::store(&config, &policy, bindings)?;
        Ok(Self { digest, config, policy, target, means, store })
    }

    /// Ready for requests.
    ///
    /// # Errors
    /// If the platform has no random numbers.
    pub(crate) fn start(self) -> Result<Edge, String> {
        let (mut seed, mut secret) = ([0; 8], [0; 32]);
        getrandom::fill(&mut seed).map_err(|error| error.to_string())?;
        getrandom::fill(&mut secret).map_err(|error| error.to_string())?;
        Ok(self.start_by(u64::from_le_bytes(seed), secret))
    }

    /// The same before there is a request, for a document that protects nothing: anybody may know its random numbers.
    pub(crate) fn rehearse(mut self) -> Edge {
        self.means.is_rehearsal = true;
        self.start_by(0, [0; 32])
    }

    fn start_by(self, seed: u64, made_up: [u8; 32]) -> Edge {
        let Self { config, policy, target, means, store, .. } = self;
        let means = Rc::new(means);
        let secret = policy.secret.unwrap_or(made_up);
        let judge = |mut authn: Authn| {
            authn.share_secret(secret);
            Rc::new(Judge::new(authn, Rc::clone(&means)))
        };
        let scim = store.and_then(|store| Scim::new(&config, store, judge, (seed, made_up)));
        let rules = has_rules(&config).then(|| judge(config.into_authn(seed)));
        Edge { rules, scim, target, page: policy.metrics, means, journal: RefCell::default() }
    }
}

impl Edge {
    /// Judges a request and sends it on, or answers it: a response, or the promise of one.
    pub(crate) async fn answer(self: Rc<Self>, request: JsValue, context: Context) -> JsValue {
        match self.try_answer(&request, &context).await {
            Ok(answer) => answer,
            Err(error) => {
                log::error!("a request was denied because of a failed call: {error:?}");
                let denied = internal_error();
                self.means.metrics.count(Event::Denied(None, denied.denial));
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
        let scim = self.scim.as_ref().filter(|scim| self.rules.is_none() || scim.takes(&head));
        match (scim, &self.rules) {
            (Some(scim), _) => scim.answer(request, &head, context).await,
            (None, Some(rules)) => self.decide(rules, request, &head, context).await,
            (None, None) => Err("expected rules or scim".into()),
        }
    }

    async fn decide(
        &self,
        rules: &Rc<Judge>,
        request: &JsValue,
        head: &RequestHead<'_>,
        context: &Context,
    ) -> Result<JsValue, JsValue> {
        let decision = rules.judge(request, context, |authn, now| authn.begin(now, *head)).await;
        self.means.metrics.decided(&rules.authn(), &decision);
        match &decision {
            Decision::Forward(forward) => {
                if let Some(reported) = &forward.reported {
                    self.log(rules, head, &LogLine::reported(reported));
                }
                self.forward(request, context, head, forward)
            }
            Decision::Reject(denied) => {
                self.log(rules, head, &LogLine::denied(denied));
                reply(denied)
            }
        }
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
        let machines = self.rules.iter().chain(self.scim.as_ref().map(Scim::judge));
        let machines: Vec<_> = machines.map(|judge| judge.authn()).collect();
        let text = self.means.metrics.text(&machines, self.scim.as_ref(), web::now());
        web::reply(200, "content-type\ntext/plain; version=0.0.4\ncache-control\nno-store", &text)
    }

    fn log(&self, rules: &Judge, head: &RequestHead<'_>, line: &LogLine<'_>) {
        let authn = rules.authn();
        let policy = authn.policy();
        if let Some(suppressed) = self.journal.borrow_mut().line(web::now(), policy.denial_logs) {
            log::info!("{}", line.to_json(policy, head, suppressed));
        }
    }
}

fn has_rules(config: &Config) -> bool {
    config.policy().rules.iter().next().is_some()
}

/// Whether a request is for exactly this path, whatever its query.
fn is_at(head: &RequestHead<'_>, path: &str) -> bool {
    head.path.split(|byte| *byte == b'?').next() == Some(path.as_bytes())
}

fn reply(denied: &LocalReply) -> Result<JsValue, JsValue> {
    let fields = web::lines(denied.headers.iter().map(|(name, value)| (*name, value.as_ref())));
    web::reply(denied.status, &fields, &denied.body)
}
