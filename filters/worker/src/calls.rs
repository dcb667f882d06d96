//! How many SCIM calls there were: see `metrics`.

use crate::metrics::{Counts, Page, count};
use doorward::gateway::{Call, Ending, GatewayPolicy, Operation, Outcome, Reason, TenantId};

/// One isolate's counts.
#[derive(Default)]
pub(crate) struct Calls {
    ended: Counts<(Option<TenantId>, Operation, Outcome)>,
    refused: Counts<(Option<TenantId>, Reason)>,
}

impl Calls {
    /// Counts a call that has ended.
    pub(crate) fn count(&self, call: &Call, ending: &Ending) {
        count(&self.ended, (call.tenant(), call.operation(), ending.outcome()));
        if let Some(reason) = ending.reason {
            count(&self.refused, (call.tenant(), reason));
        }
    }

    pub(crate) fn show(&self, policy: &GatewayPolicy, page: &mut Page) {
        let tenant = |id: &Option<TenantId>| {
            id.and_then(|id| policy.tenant(id)).map_or("-", |tenant| tenant.name.as_str())
        };
        page.head("scim_calls_total", "counter");
        for ((id, operation, outcome), count) in self.ended.borrow().iter() {
            let labels =
                [("tenant", tenant(id)), ("operation", operation.as_str()), ("outcome", outcome.as_str())];
            page.line("scim_calls_total", &labels, *count);
        }
        page.head("scim_refused_total", "counter");
        for ((id, reason), count) in self.refused.borrow().iter() {
            page.line("scim_refused_total", &[("tenant", tenant(id)), ("code", reason.code())], *count);
        }
    }
}
