//! The requests that waited go on, or are answered: what a root context's callbacks do, whatever the filter.

use crate::Authenticator;
use doorward_host::callout::HttpCallResponse;
use doorward_host::{HostError, clock, stream};

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It may go on.
    Open,
    /// It was answered here.
    Answered,
    /// It stays paused: it waits, or the filter itself will let it go on.
    Waiting,
}

/// What a filter does with its requests.
pub trait Gate {
    /// What they are judged by.
    fn authenticator(&mut self) -> &mut Authenticator;

    /// Judges the request of the effective context, which is `context_id`, and performs the decision. Whatever fails, it is answered
    /// and does not go on.
    fn admit(&mut self, context_id: u32) -> Passage;

    /// Hands the filter's own counts over to the proxy.
    ///
    /// # Errors
    /// If the host refuses one.
    fn flush(&mut self) -> Result<(), HostError>;
}

/// Keeps keys, asks about tokens, judges the requests again that waited for either, and hands counts over to the proxy: all that is to
/// be done in `on_tick`.
///
/// # Errors
/// If a hostcall fails; the next tick tries again.
pub(crate) fn keep(gate: &mut impl Gate) -> Result<(), HostError> {
    let now = clock::now()?;
    let again = gate.authenticator().tick(now)?;
    admit_again(gate, again);
    gate.authenticator().flush()?;
    gate.flush()?;
    gate.authenticator().rest(now)
}

/// Takes the answer to a call that [`keep`] has made, and judges the requests again that waited for it: all that is to be done in
/// `on_http_call_response`, which gives the numbers. Another call's answer is left alone.
///
/// # Errors
/// If a hostcall fails; the requests then wait on, until they have waited long enough.
pub(crate) fn take_answer(
    gate: &mut impl Gate,
    call: u32,
    num_headers: usize,
    body_size: usize,
) -> Result<(), HostError> {
    let now = clock::now()?;
    let response = HttpCallResponse::read(num_headers, body_size)?;
    let again = gate.authenticator().answer(now, call, response.as_ref())?;
    admit_again(gate, again);
    Ok(())
}

pub(crate) fn admit_again(gate: &mut impl Gate, ids: Vec<u32>) {
    if ids.is_empty() {
        return;
    }
    let root_id = gate.authenticator().root_id;
    for id in ids {
        let outcome = stream::with_effective_context(id, root_id, || gate.admit(id));
        if !matches!(outcome, Ok(Passage::Waiting)) {
            gate.authenticator().forget(id);
        }
        let resumed = match outcome {
            Ok(Passage::Open) => stream::continue_request(id),
            Ok(Passage::Answered | Passage::Waiting) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = resumed {
            // The stream is gone: its client has left.
            log::debug!("a waiting request could not be resumed: {error}");
        }
    }
    if let Err(error) = stream::set_effective_context(root_id) {
        log::error!("the root context could not be restored: {error}");
    }
}
