//! What the host must do with a request. Values only: the host performs them.

use crate::authn::rejection::Denial;
use crate::http::HeaderMutation;
use crate::policy::ProviderId;
use std::borrow::Cow;
use std::sync::Arc;

/// The end of a request's authentication.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision<'r> {
    /// Apply the mutations and let the request go on to the upstream.
    Forward(Forward<'r>),
    /// Answer the client; the upstream sees nothing.
    Reject(LocalReply),
}

/// Changes to make before a request goes on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Forward<'r> {
    /// Changes that depend on this request: forged identity headers and the used token taken out.
    pub mutations: Vec<HeaderMutation<'r>>,
    /// Changes that depend on the token alone: the identity headers, to be applied after `mutations`.
    /// Shared, so that the same token presented again costs no allocation.
    pub identity: Arc<[HeaderMutation<'static>]>,
    /// Whose token passed; the first, if the requirement took several. `None` for an anonymous request.
    pub provider: Option<ProviderId>,
    /// Why the request would have been denied, were its rule enforced (`enforce: report`).
    pub reported: Option<Reported>,
}

/// A denial that was not enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reported {
    /// Why.
    pub denial: Denial,
    /// Place of the rule in the configuration, from 0.
    pub rule: usize,
    /// Whose token it was, as far as that was known.
    pub provider: Option<ProviderId>,
}

impl<'r> Forward<'r> {
    /// All changes in the order to apply them.
    pub fn all(&self) -> impl Iterator<Item = &HeaderMutation<'r>> {
        self.mutations.iter().chain(self.identity.iter())
    }
}

/// A response made at the edge (Envoy's word).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalReply {
    /// HTTP status code.
    pub status: u16,
    /// Why, for logs, metrics and the proxy's response code details.
    pub denial: Denial,
    /// Whose token it was, as far as that was known.
    pub provider: Option<ProviderId>,
    /// Response header fields.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// RFC 9457 problem details, JSON.
    pub body: String,
}
