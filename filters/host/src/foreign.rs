//! The proxy's own functions beyond the ABI (`verify_signature`, `clear_route_cache`, …).

use crate::status::{HostError, Status};
use crate::sys;
use std::error::Error;
use std::fmt;

/// Why a foreign function gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForeignError {
    /// The host has no function of this name: do not ask again.
    NotFound,
    /// The function or the host failed.
    Host(HostError),
}

impl fmt::Display for ForeignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => write!(f, "the host has no such foreign function"),
            Self::Host(error) => error.fmt(f),
        }
    }
}

impl Error for ForeignError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotFound => None,
            Self::Host(error) => Some(error),
        }
    }
}

/// Calls the host's function `name` with `arguments` and returns its answer, both in the function's own format. A function
/// without an answer gives no bytes. Allowed in every phase in which the function itself is.
///
/// # Errors
/// [`ForeignError::NotFound`] if there is no such function, else what the host answered.
pub fn call(name: &str, arguments: &[u8]) -> Result<Vec<u8>, ForeignError> {
    sys::call_foreign_function(name.as_bytes(), arguments).map_err(|error| match error.status() {
        Some(Status::NotFound) => ForeignError::NotFound,
        _ => ForeignError::Host(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{self, Call};

    #[test]
    fn bytes_go_in_and_come_out() {
        fake::reset();
        fake::with(|host| {
            host.set_foreign_function("reverse", |bytes| Ok(bytes.iter().rev().copied().collect()));
        });
        assert_eq!(call("reverse", b"\xffab"), Ok(b"ba\xff".to_vec()));
        let expected = Call::Foreign { name: "reverse".into(), arguments: b"\xffab".to_vec() };
        fake::with(|host| assert_eq!(host.calls, [expected]));
    }

    #[test]
    fn a_function_that_is_not_there_is_told_from_one_that_fails() {
        fake::reset();
        assert_eq!(call("other", b""), Err(ForeignError::NotFound));
        fake::with(|host| host.set_foreign_function("fails", |_| Err(2)));
        let error = HostError::Status { call: "proxy_call_foreign_function", status: Status::BadArgument };
        assert_eq!(call("fails", b""), Err(ForeignError::Host(error)));
    }
}
