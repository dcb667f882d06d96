//! Requests that the machine wants made, and their answers.

use super::metadata::MetadataError;
use super::source::Endpoint;
use crate::jose::JwkSetError;
use std::time::Duration;

/// A larger response is refused unread.
pub(super) const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A GET that the host is to perform. Redirects are not followed: they would lead where nobody configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Where.
    pub endpoint: Endpoint,
    /// How long to wait for the whole answer.
    pub timeout: Duration,
}

/// What came back.
pub type FetchResult<'b> = Result<FetchResponse<'b>, FetchError>;

/// A response, whatever its status.
#[derive(Debug, Clone, Copy)]
pub struct FetchResponse<'b> {
    /// HTTP status.
    pub status: u16,
    /// `Cache-Control`, if there is one.
    pub cache_control: Option<&'b [u8]>,
    /// Body, as far as the host read it.
    pub body: &'b [u8],
}

/// Why a fetch gave no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No response: connection refused, reset, or the timeout passed.
    #[error("no response")]
    NoResponse,
    /// Another worker fetched in vain.
    #[error("another worker's fetch failed")]
    Elsewhere,
    /// A status other than 200.
    #[error("expected status 200, but found {0}")]
    Status(u16),
    /// More bytes than we read.
    #[error("expected at most {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// Not the provider's metadata.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// Not a JWK Set.
    #[error(transparent)]
    Content(#[from] JwkSetError),
    /// A JWK Set without a key that we can use: never taken for keys.
    #[error("no usable key among {0}")]
    NoUsableKey(usize),
}

impl FetchResponse<'_> {
    /// The largest body that the host need hand over: one byte more than is taken, so that too large is known as such.
    pub const READ_BYTES: usize = MAX_BODY_BYTES + 1;

    /// The body of a response that may be read.
    pub(super) fn content(&self) -> Result<&[u8], FetchError> {
        if self.status != 200 {
            return Err(FetchError::Status(self.status));
        }
        if self.body.len() > MAX_BODY_BYTES { Err(FetchError::TooLarge) } else { Ok(self.body) }
    }
}
