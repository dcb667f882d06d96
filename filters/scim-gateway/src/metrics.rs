//! What operators count. Envoy shows each as `wasmcustom.doorward.scim_gateway.…`, beside what `doorward_effects::metrics` has:
//!
//! | metric | kind | counts |
//! |---|---|---|
//! | `calls.TENANT.OPERATION.OUTCOME` | counter | calls that have ended |
//! | `refused.TENANT.CODE` | counter | calls that were answered at the edge, by reason |
//!
//! TENANT is `-` where it is not known: there are no more of them than in the configuration. OPERATION and OUTCOME are as in audit
//! lines.

use doorward::gateway::{Call, Ending, GatewayPolicy, Operation, Outcome, Reason, TenantId};
use doorward_effects::metrics::Counts;
use doorward_host::HostError;

/// In front of every metric.
pub(crate) const PREFIX: &str = "doorward.scim_gateway";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Call(Option<TenantId>, Operation, Outcome),
    Refused(Option<TenantId>, Reason),
}

/// Calls that are not handed over yet.
#[derive(Default)]
pub(crate) struct Calls(Counts<Event>);

impl Calls {
    pub(crate) fn count(&mut self, call: &Call, ending: &Ending) {
        self.0.count(Event::Call(call.tenant(), call.operation(), ending.outcome()));
        if let Some(reason) = ending.reason {
            self.0.count(Event::Refused(call.tenant(), reason));
        }
    }

    /// Hands the counts over to the proxy.
    pub(crate) fn flush(&mut self, policy: &GatewayPolicy) -> Result<(), HostError> {
        // The ids of tenants are plain: no part of a metric's name but one.
        let tenant = |id: Option<TenantId>| {
            id.and_then(|id| policy.tenant(id)).map_or("-", |tenant| tenant.name.as_str())
        };
        self.0.flush(|event| match event {
            Event::Call(id, operation, outcome) => {
                format!("{PREFIX}.calls.{}.{}.{}", tenant(id), operation.as_str(), outcome.as_str())
            }
            Event::Refused(id, reason) => format!("{PREFIX}.refused.{}.{}", tenant(id), reason.code()),
        })
    }
}
