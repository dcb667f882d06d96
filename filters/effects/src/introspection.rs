//! Calls about opaque tokens, over the proxy's clusters.

use crate::callout::with_answer;
use crate::metrics::Metrics;
use doorward::authn::{Authn, Awaited};
use doorward::oauth::{IntrospectionCall, IntrospectionUpdate, TokenDigest};
use doorward::oidc::{FetchError, FetchResult};
use doorward::policy::ProviderId;
use doorward::time::UnixTime;
use doorward_host::HostError;
use doorward_host::callout::{HttpCall, HttpCallResponse};
use std::collections::HashMap;

/// One worker's calls.
#[derive(Default)]
pub(crate) struct Introspector {
    /// Calls that are out.
    calls: HashMap<u32, (ProviderId, TokenDigest)>,
}

impl Introspector {
    /// Makes the calls that are due. What is known at once, because a call could not be made.
    pub(crate) fn ask(&mut self, authn: &mut Authn, metrics: &mut Metrics, now: UnixTime) -> Vec<Awaited> {
        let mut known = Vec::new();
        for (id, call) in authn.poll_introspections(now) {
            metrics.count_introspection(id);
            match dispatch(&call) {
                Ok(number) => {
                    self.calls.insert(number, (id, call.token));
                }
                Err(error) => {
                    let cluster = &call.endpoint.cluster;
                    log::warn!("introspection: the call to cluster {cluster:?} could not be made: {error}");
                    known.push(handle(authn, metrics, now, (id, call.token), Err(FetchError::NoResponse)));
                }
            }
        }
        known
    }

    /// Takes the answer to a call, if it is one of these. What is known now.
    pub(crate) fn answer(
        &mut self,
        authn: &mut Authn,
        metrics: &mut Metrics,
        now: UnixTime,
        call: u32,
        response: Option<&HttpCallResponse>,
    ) -> Result<Option<Awaited>, HostError> {
        let Some(asked) = self.calls.remove(&call) else { return Ok(None) };
        with_answer(response, |result| Some(handle(authn, metrics, now, asked, result)))
    }
}

fn dispatch(call: &IntrospectionCall) -> Result<u32, HostError> {
    let endpoint = &call.endpoint;
    let mut headers = vec![(":scheme", endpoint.scheme.as_str())];
    headers.extend(call.headers.iter().map(|(name, value)| (*name, value.as_str())));
    let call = HttpCall {
        cluster: &endpoint.cluster,
        method: "POST",
        path: &endpoint.path,
        authority: &endpoint.authority,
        headers: &headers,
        body: &call.body,
        timeout: call.timeout,
    };
    call.dispatch()
}

fn handle(
    authn: &mut Authn,
    metrics: &mut Metrics,
    now: UnixTime,
    (id, token): (ProviderId, TokenDigest),
    result: FetchResult<'_>,
) -> Awaited {
    let update = authn.introspection_mut(id).map(|machine| machine.handle(now, token, result));
    if let Some(IntrospectionUpdate::Failed(error)) = update {
        metrics.count_failed_introspection(id);
        let name = authn.policy().provider(id).map_or("", |provider| &provider.name);
        log::warn!("introspection: provider {name:?}: {error}");
    }
    Awaited::Introspection(id, token)
}
