//! Performs what the core decides about requests.

use crate::http::Http;
use crate::metrics::{Decisions, PREFIX};
use doorward::authn::decision::{Decision, Forward, LocalReply};
use doorward::authn::rejection::internal_error;
use doorward::authn::{Authn, Journal, LogLine};
use doorward::config::Config;
use doorward::http::RequestHead;
use doorward::time::UnixTime;
use doorward_effects::{Authenticator, Filter, Judgement, Passage, SharedGate, read_configuration};
use doorward_host::headers::{self, RequestHeaders};
use doorward_host::{HostError, HttpContext, clock, property, random, reply};

/// Filter state is `wasm.` and this.
const STATE: &str = "doorward";

/// The decisions of one plugin configuration on one worker.
pub(crate) struct Gate {
    authenticator: Authenticator,
    decisions: Decisions,
    journal: Journal,
}

impl Gate {
    fn new(root_id: u32, authn: Authn, configuration: &[u8]) -> Result<Self, HostError> {
        let authenticator = Authenticator::new(root_id, authn, configuration, PREFIX)?;
        Ok(Self { authenticator, decisions: Decisions::default(), journal: Journal::default() })
    }

    /// Forgets a request that is over.
    pub(crate) fn forget(&mut self, context_id: u32) {
        self.authenticator.forget(context_id);
    }

    fn try_admit(&mut self, context_id: u32) -> Result<Passage, HostError> {
        let now = clock::now()?;
        let received = RequestHeaders::read()?;
        let fields = received.fields()?;
        let head = RequestHead::new(&fields);
        let begin = |authn: &mut Authn| authn.begin(now, head);
        let decision = match self.authenticator.judge(context_id, now, begin)? {
            Judgement::Decided(decision) => decision,
            Judgement::Waits => return Ok(Passage::Waiting),
        };
        let passage = match &decision {
            Decision::Forward(forward) => {
                self.forward(now, &head, forward)?;
                Passage::Open
            }
            Decision::Reject(reply) => {
                self.log(now, &head, &LogLine::denied(reply));
                answer(reply)
            }
        };
        self.decisions.count(&decision);
        Ok(passage)
    }

    fn forward(
        &mut self,
        now: UnixTime,
        head: &RequestHead<'_>,
        forward: &Forward<'_>,
    ) -> Result<(), HostError> {
        headers::apply(forward.all())?;
        let policy = self.authenticator.policy();
        for (name, value) in forward.state.iter() {
            property::set(&format!("{STATE}.{name}"), value.as_bytes())?;
        }
        if let Some(provider) = forward.provider.and_then(|id| policy.provider(id))
            && policy.filter_state.names().next().is_some()
        {
            property::set(&format!("{STATE}.provider"), provider.name.as_bytes())?;
        }
        if let Some(reported) = &forward.reported {
            // What an unenforced rule would have denied is for access logs too.
            property::set(&format!("{STATE}.reported"), reported.denial.code().as_bytes())?;
            self.log(now, head, &LogLine::reported(reported));
        }
        Ok(())
    }

    fn log(&mut self, now: UnixTime, head: &RequestHead<'_>, line: &LogLine<'_>) {
        let policy = self.authenticator.policy();
        if let Some(suppressed) = self.journal.line(now, policy.denial_logs) {
            log::info!("{}", line.to_json(policy, head, suppressed));
        }
    }
}

impl doorward_effects::Gate for Gate {
    fn authenticator(&mut self) -> &mut Authenticator {
        &mut self.authenticator
    }

    fn admit(&mut self, context_id: u32) -> Passage {
        self.try_admit(context_id).unwrap_or_else(|error| {
            log::error!("a request was denied because of a failed hostcall: {error}");
            self.decisions.count_internal_error();
            deny()
        })
    }

    fn flush(&mut self) -> Result<(), HostError> {
        self.decisions.flush(self.authenticator.names())
    }
}

impl Filter for Gate {
    fn configure(root_id: u32) -> Result<Option<Self>, HostError> {
        let Some((config, text)) = read_configuration(Config::load_with_rules)? else { return Ok(None) };
        Self::new(root_id, config.into_authn(random::number()), &text).map(Some)
    }

    fn http_context(id: u32, gate: SharedGate<Self>) -> Box<dyn HttpContext> {
        Box::new(Http::new(id, gate))
    }
}

/// Answers a request that cannot be judged.
pub(crate) fn deny() -> Passage {
    answer(&internal_error())
}

/// Answers the client. Should even that fail, the request stays paused until a timeout ends it: it never passes.
fn answer(decided: &LocalReply) -> Passage {
    let headers: Vec<(&str, &str)> =
        decided.headers.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let details = format!("doorward_{}", decided.denial.code());
    let reply = reply::LocalReply {
        status: decided.status,
        details: &details,
        headers: &headers,
        body: decided.body.as_bytes(),
    };
    if let Err(error) = reply.send() {
        log::error!("a denial could not be sent: {error}");
    }
    Passage::Answered
}
