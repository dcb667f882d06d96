//! Performs what the core decides about calls.

use crate::call::{Answering, InFlight, Stage};
use crate::http::Http;
use crate::metrics::{Calls, PREFIX};
use doorward::authn::decision::{Decision, Forward};
use doorward::authn::{Authn, Journal};
use doorward::config::Config;
use doorward::gateway::{Admission, Answer, Ending, GatewayPolicy, Reason, Refusal, Surroundings};
use doorward::http::{HeaderField, RequestHead};
use doorward::time::UnixTime;
use doorward_effects::{
    Authenticator, Filter, Judgement, Passage, SharedGate, client_certificate, read_configuration,
};
use doorward_host::clock::Stopwatch;
use doorward_host::headers::{self, RequestHeaders, ResponseHeaders};
use doorward_host::{Action, HostError, HttpContext, body, clock, property, random, reply, shared_data};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Buckets in shared data are this and a number.
const BUCKET: &str = "doorward.scim.bucket";
/// A bucket is changed by one worker at a time. Who loses this often meets a flood, and is one of it.
const MAX_TRIES: usize = 64;
/// The longest answer that is rewritten, in bytes: what a page of large groups may have.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// The calls of one plugin configuration on one worker.
pub(crate) struct Gate {
    policy: GatewayPolicy,
    authenticator: Authenticator,
    calls: HashMap<u32, InFlight>,
    counts: Calls,
    journal: Journal,
}

impl Gate {
    fn new(
        root_id: u32,
        policy: GatewayPolicy,
        authn: Authn,
        configuration: &[u8],
    ) -> Result<Self, HostError> {
        let authenticator = Authenticator::new(root_id, authn, configuration, PREFIX)?;
        let (counts, journal) = (Calls::default(), Journal::default());
        Ok(Self { policy, authenticator, calls: HashMap::new(), counts, journal })
    }

    /// Takes a call by its head.
    pub(crate) fn begin(&mut self, id: u32, end_of_stream: bool) -> Passage {
        let passage = self.try_begin(id, end_of_stream);
        self.or_fail(id, passage)
    }

    fn try_begin(&mut self, id: u32, end_of_stream: bool) -> Result<Passage, HostError> {
        let watch = Stopwatch::start()?;
        let now = watch.started()?;
        let received = RequestHeaders::read()?;
        let fields = received.fields()?;
        let head = RequestHead::new(&fields);
        let (call, admission) = self.policy.begin(self.authenticator.policy(), now, &head, fresh);
        self.calls.insert(id, InFlight::new(call, watch, end_of_stream));
        match admission {
            Admission::Refused(refusal) => Ok(self.refuse(id, &refusal)),
            Admission::Judge(rule) => self.judge(id, now, &head, rule),
            Admission::Known => self.admit_known(id, now),
        }
    }

    /// Has a JWT judged.
    fn judge(
        &mut self,
        id: u32,
        now: UnixTime,
        head: &RequestHead<'_>,
        rule: usize,
    ) -> Result<Passage, HostError> {
        let begin = |authn: &mut Authn| authn.begin_required(now, *head, rule);
        let decision = match self.authenticator.judge(id, now, begin)? {
            Judgement::Decided(decision) => decision,
            Judgement::Waits => {
                self.set_stage(id, Stage::Judging(rule));
                return Ok(Passage::Waiting);
            }
        };
        match decision {
            Decision::Forward(forward) => self.take_subject(id, now, rule, &forward),
            Decision::Reject(reply) => Ok(self.refuse(id, &Refusal::of_token(&reply))),
        }
    }

    fn take_subject(
        &mut self,
        id: u32,
        now: UnixTime,
        rule: usize,
        forward: &Forward<'_>,
    ) -> Result<Passage, HostError> {
        // Where the token was, nothing is left of it.
        headers::apply(forward.all())?;
        let Some(in_flight) = self.calls.get_mut(&id) else { return Ok(Passage::Waiting) };
        match self.policy.admit_subject(&mut in_flight.call, rule, &forward.state) {
            Ok(()) => self.admit_known(id, now),
            Err(refusal) => Ok(self.refuse(id, &refusal)),
        }
    }

    /// Goes on with a call whose caller is known, but for a certificate.
    fn admit_known(&mut self, id: u32, now: UnixTime) -> Result<Passage, HostError> {
        let Some(in_flight) = self.calls.get_mut(&id) else { return Ok(Passage::Waiting) };
        in_flight.stage = Stage::Reading;
        if self.policy.wants_certificate(&in_flight.call) {
            let shown = client_certificate()?;
            if let Err(refusal) = self.policy.admit_certificate(&mut in_flight.call, shown) {
                return Ok(self.refuse(id, &refusal));
            }
        }
        if let Some(wait) = self.take_from_bucket(id, now)? {
            return Ok(self.refuse(id, &Refusal::limited(wait)));
        }
        let Some(in_flight) = self.calls.get(&id) else { return Ok(Passage::Waiting) };
        let whole = in_flight.body.is_whole;
        match self.policy.check_head(&in_flight.call) {
            Err(refusal) => Ok(self.refuse(id, &refusal)),
            Ok(()) if whole => self.settle(id, now),
            Ok(()) => Ok(Passage::Waiting),
        }
    }

    /// Counts a call. How long to wait, if there were too many.
    fn take_from_bucket(&self, id: u32, now: UnixTime) -> Result<Option<Duration>, HostError> {
        let call = self.calls.get(&id).map(|in_flight| &in_flight.call);
        let Some((bucket, rate)) = call.and_then(|call| self.policy.bucket(call)) else { return Ok(None) };
        let name = format!("{BUCKET}.{bucket}");
        for _ in 0..MAX_TRIES {
            let kept = shared_data::get(&name)?;
            let taken = match rate.take(kept.as_ref().map(|kept| kept.value.as_slice()), now) {
                Ok(taken) => taken,
                Err(wait) => return Ok(Some(wait)),
            };
            let won = match kept {
                Some(kept) => shared_data::compare_and_set(&name, &taken, kept.version)?,
                None => shared_data::create(&name, &taken)?,
            };
            if won {
                return Ok(None);
            }
        }
        Ok(Some(Duration::from_secs(1)))
    }

    /// Takes what has come of the body.
    pub(crate) fn take_body(&mut self, id: u32, size: usize, end_of_stream: bool) -> Passage {
        let passage = self.try_take_body(id, size, end_of_stream);
        self.or_fail(id, passage)
    }

    /// The body is whole: trailers follow it.
    pub(crate) fn end_body(&mut self, id: u32) -> Passage {
        let size = self.calls.get(&id).map_or(0, |in_flight| in_flight.body.size);
        self.take_body(id, size, true)
    }

    fn try_take_body(&mut self, id: u32, size: usize, end_of_stream: bool) -> Result<Passage, HostError> {
        let Some(in_flight) = self.calls.get_mut(&id) else { return Ok(Passage::Waiting) };
        in_flight.body.size = size;
        in_flight.body.is_whole |= end_of_stream;
        match in_flight.stage {
            Stage::Refused => return Ok(Passage::Answered),
            Stage::Forwarded => return Ok(Passage::Open),
            Stage::Judging(_) | Stage::Reading => {}
        }
        let limit = self.policy.body_limit(&in_flight.call);
        if size > limit {
            return Ok(self.refuse(id, &Refusal::too_large(limit)));
        }
        match (in_flight.stage, in_flight.body.is_whole) {
            (Stage::Reading, true) => self.settle(id, clock::now()?),
            (Stage::Reading | Stage::Judging(_) | Stage::Forwarded | Stage::Refused, _) => {
                Ok(Passage::Waiting)
            }
        }
    }

    /// Judges a whole call, and lets it go on to the store.
    fn settle(&mut self, id: u32, now: UnixTime) -> Result<Passage, HostError> {
        let Some(in_flight) = self.calls.get(&id) else { return Ok(Passage::Waiting) };
        let limit = self.policy.body_limit(&in_flight.call);
        let body = match in_flight.body.size {
            0 => Vec::new(),
            size => body::request(size, limit)?,
        };
        let surroundings = Surroundings { now, client: client_address()? };
        match self.policy.settle(&in_flight.call, &body, surroundings, fresh) {
            Ok(forwarding) => {
                headers::apply(&forwarding.mutations)?;
                if let Some(body) = &forwarding.body {
                    body::replace_request(body)?;
                }
                self.set_stage(id, Stage::Forwarded);
                Ok(Passage::Open)
            }
            Err(refusal) => Ok(self.refuse(id, &refusal)),
        }
    }

    /// Takes the head of the store's answer, or of the proxy's in its place.
    pub(crate) fn answer(&mut self, id: u32, end_of_stream: bool) -> Action {
        let action = self.try_answer(id, end_of_stream);
        self.or_withhold(id, action)
    }

    fn try_answer(&mut self, id: u32, end_of_stream: bool) -> Result<Action, HostError> {
        let Some(in_flight) = self.calls.get_mut(&id) else { return Ok(Action::Continue) };
        let received = ResponseHeaders::read()?;
        let fields = received.fields()?;
        // The proxy may have begun an answer of its own before ours, as to a body that is more than it buffers: then that one goes out.
        if in_flight.refused.is_some() && is_scim(&fields) {
            // Our own answer, on its way.
            return Ok(Action::Continue);
        }
        match self.policy.answer(&in_flight.call, &fields) {
            Answer::Pass(mutations) => headers::apply_response(&mutations)?,
            Answer::Replace(refusal) => return Ok(self.withhold(id, &refusal)),
        }
        if !self.policy.rewrites_answers(&in_flight.call, status(&fields)) {
            return Ok(Action::Continue);
        }
        in_flight.answer = Answering::Held;
        // Without any body there is none to come.
        if end_of_stream { self.rewrite(id, 0) } else { Ok(Action::Pause) }
    }

    /// Takes what has come of the answer's body.
    pub(crate) fn take_answer(&mut self, id: u32, size: usize, end_of_stream: bool) -> Action {
        let Some(in_flight) = self.calls.get_mut(&id) else { return Action::Continue };
        match in_flight.answer {
            Answering::Passing => return Action::Continue,
            Answering::Withheld => return Action::Pause,
            Answering::Held => in_flight.answer_size = size,
        }
        if size > MAX_ANSWER {
            log::error!("an answer was withheld: it has more than {MAX_ANSWER} bytes");
            return self.withhold(id, &Refusal::new(Reason::StoreFailed));
        }
        if !end_of_stream {
            return Action::Pause;
        }
        let action = self.rewrite(id, size);
        self.or_withhold(id, action)
    }

    /// The answer's body is whole: trailers follow it.
    pub(crate) fn end_answer(&mut self, id: u32) -> Action {
        let size = self.calls.get(&id).map_or(0, |in_flight| in_flight.answer_size);
        self.take_answer(id, size, true)
    }

    /// Lets an answer that was held go on, as the client is to see it.
    fn rewrite(&mut self, id: u32, size: usize) -> Result<Action, HostError> {
        let Some(in_flight) = self.calls.get_mut(&id) else { return Ok(Action::Continue) };
        let body = match size {
            0 => Vec::new(),
            size => body::response(size, MAX_ANSWER)?,
        };
        match self.policy.rewrite_answer(&in_flight.call, &body) {
            Ok(body) => {
                body::replace_response(&body)?;
                in_flight.answer = Answering::Passing;
                Ok(Action::Continue)
            }
            Err(refusal) => Ok(self.withhold(id, &refusal)),
        }
    }

    /// The client gets a refusal instead of the answer.
    fn withhold(&mut self, id: u32, refusal: &Refusal) -> Action {
        if let Some(in_flight) = self.calls.get_mut(&id) {
            in_flight.answer = Answering::Withheld;
        }
        self.refuse(id, refusal);
        Action::Pause
    }

    /// Whatever fails, nothing of the answer goes on.
    fn or_withhold(&mut self, id: u32, action: Result<Action, HostError>) -> Action {
        action.unwrap_or_else(|error| {
            log::error!("an answer was withheld because of a failed hostcall: {error}");
            self.withhold(id, &Refusal::new(Reason::InternalError))
        })
    }

    /// Answers a call here. Should even that fail, it stays paused until a timeout ends it: it never goes on.
    fn refuse(&mut self, id: u32, refusal: &Refusal) -> Passage {
        let mut request_id = None;
        if let Some(in_flight) = self.calls.get_mut(&id) {
            let duration = in_flight.watch().elapsed().unwrap_or_default();
            in_flight.stage = Stage::Refused;
            in_flight.refused = Some(Ending::refused(refusal, duration));
            request_id = Some(in_flight.call.request_id());
        }
        send(refusal, request_id);
        Passage::Answered
    }

    /// The call is over: it is told of.
    pub(crate) fn end(&mut self, id: u32) {
        let Some(in_flight) = self.calls.remove(&id) else { return };
        let duration = in_flight.watch().elapsed().unwrap_or_default();
        let ending = in_flight.refused.unwrap_or_else(|| {
            let status = property::get(&["response", "code"]).ok().flatten().and_then(|code| number(&code));
            Ending { status: status.unwrap_or_default(), reason: None, scim_type: None, duration }
        });
        let ending = Ending { duration, ..ending };
        self.counts.count(&in_flight.call, &ending);
        // Who is known has as many calls as its bucket; of others, and of calls beyond it, so many lines a second are enough.
        let policy = self.authenticator.policy();
        let is_counted = in_flight.call.actor().is_some() && ending.reason != Some(Reason::RateLimited);
        let suppressed = if is_counted {
            Some(0)
        } else {
            clock::now().ok().and_then(|now| self.journal.line(now, policy.denial_logs))
        };
        if let Some(suppressed) = suppressed {
            log::info!("{}", self.policy.audit_line(&in_flight.call, &ending, suppressed));
        }
    }

    /// Forgets a call that nobody told the end of.
    pub(crate) fn forget(&mut self, id: u32) {
        self.calls.remove(&id);
    }

    fn set_stage(&mut self, id: u32, stage: Stage) {
        if let Some(in_flight) = self.calls.get_mut(&id) {
            in_flight.stage = stage;
        }
    }

    /// Whatever fails, the call is answered and does not go on.
    fn or_fail(&mut self, id: u32, passage: Result<Passage, HostError>) -> Passage {
        passage.unwrap_or_else(|error| {
            log::error!("a call was refused because of a failed hostcall: {error}");
            self.refuse(id, &Refusal::new(Reason::InternalError))
        })
    }
}

impl doorward_effects::Gate for Gate {
    fn authenticator(&mut self) -> &mut Authenticator {
        &mut self.authenticator
    }

    /// Judges a call again whose JWT waited for something.
    fn admit(&mut self, id: u32) -> Passage {
        let Some(Stage::Judging(rule)) = self.calls.get(&id).map(|in_flight| in_flight.stage) else {
            return Passage::Waiting;
        };
        let passage = clock::now().and_then(|now| {
            let received = RequestHeaders::read()?;
            let fields = received.fields()?;
            self.judge(id, now, &RequestHead::new(&fields), rule)
        });
        self.or_fail(id, passage)
    }

    fn flush(&mut self) -> Result<(), HostError> {
        self.counts.flush(&self.policy)
    }
}

impl Filter for Gate {
    fn configure(root_id: u32) -> Result<Option<Self>, HostError> {
        let Some((config, text)) = read_configuration(Config::load_with_scim)? else { return Ok(None) };
        let Some((policy, authn)) = config.into_gateway(random::number()) else { return Ok(None) };
        Self::new(root_id, policy, authn, &text).map(Some)
    }

    fn http_context(id: u32, gate: SharedGate<Self>) -> Box<dyn HttpContext> {
        Box::new(Http::new(id, gate))
    }
}

/// Refuses a call that cannot be judged.
pub(crate) fn refuse_all() -> Passage {
    send(&Refusal::new(Reason::InternalError), None);
    Passage::Answered
}

fn send(refusal: &Refusal, request_id: Option<&str>) {
    let mut fields = vec![("content-type", "application/scim+json"), ("cache-control", "no-store")];
    fields.extend(refusal.headers.iter().map(|(name, value)| (*name, value.as_str())));
    fields.extend(request_id.map(|request_id| ("x-request-id", request_id)));
    let details = format!("doorward_{}", refusal.reason.code());
    let (status, body) = (refusal.status(), refusal.body());
    let reply = reply::LocalReply { status, details: &details, headers: &fields, body: &body };
    if let Err(error) = reply.send() {
        log::error!("a refusal could not be sent: {error}");
    }
}

/// Whether an answer is written as ours are.
fn is_scim(fields: &[HeaderField<'_>]) -> bool {
    let mut types = fields.iter().filter(|field| field.name == b"content-type");
    types.any(|field| field.value == b"application/scim+json")
}

/// 128 random bits in hexadecimal; `None` if the host has none.
fn fresh() -> Option<String> {
    let secret = random::secret().ok()?;
    Some(secret.iter().take(16).map(|octet| format!("{octet:02x}")).collect())
}

/// The client's address, as the proxy sees it.
fn client_address() -> Result<Option<IpAddr>, HostError> {
    let address = property::get(&["source", "address"])?;
    let address = address.and_then(|text| String::from_utf8(text).ok());
    Ok(address.and_then(|text| text.parse::<SocketAddr>().ok()).map(|address| address.ip()))
}

/// The status of a response; 0 if it has none.
fn status(fields: &[HeaderField<'_>]) -> u16 {
    let status = fields.iter().find(|field| field.name == b":status");
    let text = status.and_then(|field| std::str::from_utf8(field.value).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// A number among the proxy's attributes.
fn number(bytes: &[u8]) -> Option<u16> {
    let number = i64::from_le_bytes(bytes.try_into().ok()?);
    u16::try_from(number).ok()
}
