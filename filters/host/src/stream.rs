//! Contexts and the streams behind them.

use crate::abi::StreamType;
use crate::status::HostError;
use crate::sys;

/// Lets the paused request of the context `context_id` go on. From another context's callback, as a key set's arrival on the
/// root context, this makes `context_id` the effective context until that callback returns; see
/// [`set_effective_context`].
///
/// Allowed while that request is paused; the host does it once the running callback has returned.
///
/// # Errors
/// [`HostError::Status`] BadArgument if the context is gone (the client went away: nothing is left to do).
pub fn continue_request(context_id: u32) -> Result<(), HostError> {
    set_effective_context(context_id)?;
    sys::continue_stream(StreamType::HttpRequest)
}

/// Lets the paused response of the context `context_id` go on, as [`continue_request`] does a request.
///
/// Allowed while that response is paused.
///
/// # Errors
/// [`HostError::Status`] BadArgument if the context is gone.
pub fn continue_response(context_id: u32) -> Result<(), HostError> {
    set_effective_context(context_id)?;
    sys::continue_stream(StreamType::HttpResponse)
}

/// Makes `context_id` the context that the hostcalls of the running callback are about: its headers, its local reply,
/// its properties. The host forgets it when the callback returns.
///
/// An HTTP call is dispatched for, and dies with, the effective context: set the root context's id again before one.
///
/// # Errors
/// [`HostError::Status`] BadArgument if there is no such context, as when its request has ended.
pub fn set_effective_context(context_id: u32) -> Result<(), HostError> {
    sys::set_effective_context(context_id)
}

/// Runs `act` with `context_id` as the effective context, and then makes `own_id`, the id of the context whose
/// callback is running, the effective one again.
///
/// # Errors
/// As [`set_effective_context`]; `act` is not run if `context_id` is gone.
pub fn with_effective_context<T>(
    context_id: u32,
    own_id: u32,
    act: impl FnOnce() -> T,
) -> Result<T, HostError> {
    set_effective_context(context_id)?;
    let result = act();
    set_effective_context(own_id)?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;
    use crate::fake::{self, Call};

    #[test]
    fn continuing_sets_the_effective_context_first() {
        fake::reset();
        continue_request(7).unwrap();
        continue_response(8).unwrap();
        let expected = [
            Call::SetEffectiveContext(7),
            Call::ContinueRequest(7),
            Call::SetEffectiveContext(8),
            Call::ContinueResponse(8),
        ];
        fake::with(|host| assert_eq!(host.calls, expected));
    }

    #[test]
    fn a_context_that_is_gone_is_an_error_and_is_not_continued() {
        fake::reset();
        fake::with(|host| host.force("proxy_set_effective_context", 2));
        assert_eq!(continue_request(7).unwrap_err().status(), Some(Status::BadArgument));
        assert_eq!(continue_response(7).unwrap_err().status(), Some(Status::BadArgument));
        assert!(with_effective_context(7, 1, || panic!("not to be run")).is_err());
        fake::with(|host| assert_eq!(host.calls, []));
    }

    #[test]
    fn the_own_context_is_restored() {
        fake::reset();
        assert_eq!(with_effective_context(7, 1, || fake::with(|host| host.effective_context)), Ok(7));
        assert_eq!(fake::with(|host| host.effective_context), 1);
    }
}
