//! Answers to the proxy's calls, as the core's machines take them.

use doorward::oidc::{FetchError, FetchResponse, FetchResult};
use doorward_host::HostError;
use doorward_host::callout::HttpCallResponse;

/// Hands the answer to a call to `take`: a response with a status, or why there is none.
pub(crate) fn with_answer<T>(
    response: Option<&HttpCallResponse>,
    take: impl FnOnce(FetchResult<'_>) -> T,
) -> Result<T, HostError> {
    let Some((response, status)) = response.and_then(|response| Some((response, response.status()?))) else {
        return Ok(take(Err(FetchError::NoResponse)));
    };
    match response.body(FetchResponse::READ_BYTES) {
        Ok(body) => {
            let cache_control = response.header("cache-control");
            Ok(take(Ok(FetchResponse { status, cache_control, body: &body })))
        }
        Err(HostError::TooLarge { .. }) => Ok(take(Err(FetchError::TooLarge))),
        Err(error) => Err(error),
    }
}
