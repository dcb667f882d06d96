//! What operators count of decisions. Envoy shows each as `wasmcustom.doorward.jwt_authn.…`, as it does what every filter counts
//! (`doorward_effects::metrics`):
//!
//! | metric | kind | counts |
//! |---|---|---|
//! | `allowed.PROVIDER` | counter | requests that passed |
//! | `denied.PROVIDER.CODE` | counter | denials |
//! | `reported.PROVIDER.CODE` | counter | denials that `enforce: report` let through |
//!
//! PROVIDER is whose token it was, and `-` where there was none or it was not known.
//! Counts are kept in the VM and handed over on the tick: a request costs no hostcall for them.

use doorward::authn::decision::{Decision, Reported};
use doorward::authn::rejection::Denial;
use doorward::policy::ProviderId;
use doorward_effects::metrics::{Counts, Names};
use doorward_host::HostError;

/// In front of every metric of this filter.
pub(crate) const PREFIX: &str = "doorward.jwt_authn";

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Allowed(Option<ProviderId>),
    Denied(Option<ProviderId>, Denial),
    Reported(Option<ProviderId>, Denial),
}

/// Decisions that are not handed over yet.
#[derive(Default)]
pub(crate) struct Decisions(Counts<Event>);

impl Decisions {
    pub(crate) fn count(&mut self, decision: &Decision<'_>) {
        self.0.count(match decision {
            Decision::Forward(forward) => match &forward.reported {
                Some(Reported { denial, provider, .. }) => Event::Reported(*provider, *denial),
                None => Event::Allowed(forward.provider),
            },
            Decision::Reject(reply) => Event::Denied(reply.provider, reply.denial),
        });
    }

    /// A denial that the core did not make: a hostcall failed.
    pub(crate) fn count_internal_error(&mut self) {
        self.0.count(Event::Denied(None, Denial::InternalError));
    }

    /// Hands the counts over to the proxy.
    pub(crate) fn flush(&mut self, names: &Names) -> Result<(), HostError> {
        let prefix = names.prefix();
        self.0.flush(|event| match event {
            Event::Allowed(provider) => format!("{prefix}.allowed.{}", names.provider(provider)),
            Event::Denied(provider, denial) => {
                format!("{prefix}.denied.{}.{denial}", names.provider(provider))
            }
            Event::Reported(provider, denial) => {
                format!("{prefix}.reported.{}.{denial}", names.provider(provider))
            }
        })
    }
}
