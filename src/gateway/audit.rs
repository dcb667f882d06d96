//! The audit line of a call at the edge: one JSON object, the same on every host. The store's record of the call has the same
//! `request_id`, and says what was changed.

use super::call::{Call, masked};
use super::policy::{GatewayPolicy, Personal};
use super::refusal::{Reason, Refusal};
use crate::scim::ScimType;
use serde::Serialize;
use std::time::Duration;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// The status that the client got; 0 if it left before.
    pub status: u16,
    /// Why the call was answered at the edge, if it was.
    pub reason: Option<Reason>,
    /// `scimType` of that answer.
    pub scim_type: Option<ScimType>,
    /// From head to end.
    pub duration: Duration,
}

/// What became of a call, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// The store did it.
    Done,
    /// The edge refused it; the store saw nothing of it.
    Refused,
    /// The store refused it.
    Rejected,
    /// The store failed, or could not be reached.
    Failed,
    /// The client left.
    Abandoned,
}

impl Outcome {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

impl Ending {
    /// Of a call that was answered at the edge.
    pub fn refused(refusal: &Refusal, duration: Duration) -> Self {
        let (reason, scim_type) = (Some(refusal.reason), refusal.scim_type());
        Self { status: refusal.status(), reason, scim_type, duration }
    }

    /// In one word.
    pub fn outcome(&self) -> Outcome {
        match (self.reason, self.status) {
            (Some(Reason::StoreUnavailable | Reason::StoreDisagrees | Reason::StoreFailed), _) => {
                Outcome::Failed
            }
            (Some(_), _) => Outcome::Refused,
            (None, 0) => Outcome::Abandoned,
            (None, ..=399) => Outcome::Done,
            (None, 400..=499) => Outcome::Rejected,
            (None, _) => Outcome::Failed,
        }
    }
}

#[derive(Serialize)]
struct Line<'l> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    operation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_type: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scim_type: Option<&'static str>,
    status: u16,
    request_id: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'l str>,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    suppressed: Option<u64>,
}

impl GatewayPolicy {
    /// The line. It has no token, no query and no body in it, and of persons what the configuration allows.
    ///
    /// `suppressed` is how many went before it and were not written.
    pub fn audit_line(&self, call: &Call, ending: &Ending, suppressed: u64) -> String {
        let target = call.target().map(|id| match self.personal {
            Personal::Masked if !is_uuid(id) => masked(id),
            Personal::Masked | Personal::Plain => id.to_owned(),
        });
        let line = Line {
            event: "scim_call",
            tenant: call.tenant.and_then(|id| self.tenant(id)).map(|tenant| tenant.name.as_str()),
            actor: call.actor.as_ref().map(|actor| actor.shown(self.personal)),
            operation: call.operation().as_str(),
            resource_type: call.resource_type(),
            target,
            outcome: ending.outcome().as_str(),
            code: ending.reason.map(Reason::code),
            scim_type: ending.scim_type.map(ScimType::as_str),
            status: ending.status,
            request_id: &call.request_id,
            trace_id: call.trace_id.as_deref(),
            duration_ms: ending.duration.as_secs_f64() * 1000.0,
            suppressed: (suppressed > 0).then_some(suppressed),
        };
        serde_json::to_string(&line).unwrap_or_default()
    }
}

/// What the store gives its resources: nobody's name is one.
fn is_uuid(id: &str) -> bool {
    let is_dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let fits = |(at, byte): (usize, u8)| if is_dash(at) { byte == b'-' } else { byte.is_ascii_hexdigit() };
    id.len() == 36 && id.bytes().enumerate().all(fits)
}
