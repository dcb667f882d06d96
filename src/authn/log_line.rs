//! What a host logs about one denial: one JSON object, the same on every host.

use super::decision::{Evidence, LocalReply, Reported};
use super::policy::AuthnPolicy;
use super::rejection::Denial;
use crate::http::RequestHead;
use crate::policy::ProviderId;
use serde_json::{Map, Value};

/// A denial, or one that was only reported. Never the token, and no claim but `iss` and a hash of `sub`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine<'d> {
    event: &'static str,
    denial: Denial,
    rule: Option<usize>,
    provider: Option<ProviderId>,
    evidence: &'d Evidence,
}

impl<'d> LogLine<'d> {
    /// For a request that was denied.
    pub fn denied(reply: &'d LocalReply) -> Self {
        let LocalReply { denial, rule, provider, evidence, .. } = reply;
        Self { event: "denied", denial: *denial, rule: *rule, provider: *provider, evidence }
    }

    /// For a request that an unenforced rule would have denied.
    pub fn reported(reported: &'d Reported) -> Self {
        let Reported { denial, rule, provider, evidence } = reported;
        Self { event: "reported", denial: *denial, rule: Some(*rule), provider: *provider, evidence }
    }

    /// The line. `suppressed` is how many went before it and were not logged.
    pub fn to_json(&self, policy: &AuthnPolicy, head: &RequestHead<'_>, suppressed: u64) -> String {
        let mut members = Map::new();
        let mut add = |name: &str, value: Option<Value>| {
            members.extend(value.map(|value| (name.to_owned(), value)));
        };
        let provider = self.provider.and_then(|id| policy.provider(id));
        add("event", Some(self.event.into()));
        add("code", Some(self.denial.code().into()));
        add("rule", self.rule.map(Value::from));
        add("provider", provider.map(|provider| provider.name.as_str().into()));
        add("kid", self.evidence.key_id().map(Value::from));
        add("iss", self.evidence.issuer().map(Value::from));
        add("sub_hash", self.evidence.subject_hash().map(Value::from));
        add("trace_id", head.trace_parent().map(|trace| trace.trace_id.into()));
        add("suppressed", (suppressed > 0).then(|| suppressed.into()));
        Value::Object(members).to_string()
    }
}
