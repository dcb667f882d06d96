//! What a hostcall answers, as a value.

use std::error::Error;
use std::fmt;

/// A hostcall's status other than Ok, by the names of the proxy-wasm ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// 1: there is no such property, key, function, metric or buffer.
    NotFound,
    /// 2: an argument is wrong, or the call is not allowed in this phase.
    BadArgument,
    /// 3: the host could not serialize its answer.
    SerializationFailure,
    /// 4: the host could not parse an argument.
    ParseFailure,
    /// 5: an expression is wrong.
    BadExpression,
    /// 6: a pointer or a length is outside the module's memory.
    InvalidMemoryAccess,
    /// 7: a queue is empty.
    Empty,
    /// 8: the value was changed by somebody else since it was read.
    CasMismatch,
    /// 9: a result is not of the expected kind.
    ResultMismatch,
    /// 10: the host failed.
    InternalFailure,
    /// 11: the connection is gone.
    BrokenConnection,
    /// 12: the host does not have this call.
    Unimplemented,
    /// A number that the ABI does not list.
    Unknown(u32),
}

impl Status {
    /// The status that `code` stands for; `None` for Ok.
    pub const fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => return None,
            1 => Self::NotFound,
            2 => Self::BadArgument,
            3 => Self::SerializationFailure,
            4 => Self::ParseFailure,
            5 => Self::BadExpression,
            6 => Self::InvalidMemoryAccess,
            7 => Self::Empty,
            8 => Self::CasMismatch,
            9 => Self::ResultMismatch,
            10 => Self::InternalFailure,
            11 => Self::BrokenConnection,
            12 => Self::Unimplemented,
            other => Self::Unknown(other),
        })
    }

    /// The number that the ABI gives this status.
    pub const fn code(self) -> u32 {
        match self {
            Self::NotFound => 1,
            Self::BadArgument => 2,
            Self::SerializationFailure => 3,
            Self::ParseFailure => 4,
            Self::BadExpression => 5,
            Self::InvalidMemoryAccess => 6,
            Self::Empty => 7,
            Self::CasMismatch => 8,
            Self::ResultMismatch => 9,
            Self::InternalFailure => 10,
            Self::BrokenConnection => 11,
            Self::Unimplemented => 12,
            Self::Unknown(code) => code,
        }
    }
}

/// Why a hostcall did not do what it was asked. Carries no header value, token or key, so it may be logged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostError {
    /// The host answered with a status other than Ok.
    Status {
        /// The hostcall, by its name in the ABI.
        call: &'static str,
        /// What the host answered.
        status: Status,
    },
    /// The host answered Ok with bytes that are not what the ABI says.
    Malformed {
        /// The hostcall, by its name in the ABI.
        call: &'static str,
    },
    /// We refused to make the call: a header name or value with CR, LF or NUL in it, a name that is empty, or a
    /// number that the ABI cannot say.
    Refused {
        /// The hostcall, by its name in the ABI.
        call: &'static str,
    },
    /// There are more bytes than the caller takes; none were read.
    TooLarge {
        /// The hostcall, by its name in the ABI.
        call: &'static str,
        /// How many bytes there are.
        size: usize,
        /// How many the caller takes at most.
        limit: usize,
    },
}

impl HostError {
    /// The hostcall that failed, by its name in the ABI.
    pub const fn call(&self) -> &'static str {
        match self {
            Self::Status { call, .. }
            | Self::Malformed { call }
            | Self::Refused { call }
            | Self::TooLarge { call, .. } => call,
        }
    }

    /// What the host answered, if it was the host that refused.
    pub const fn status(&self) -> Option<Status> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::Malformed { .. } | Self::Refused { .. } | Self::TooLarge { .. } => None,
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { call, status } => write!(f, "{call}: the host answered {status:?}"),
            Self::Malformed { call } => write!(f, "{call}: the host's answer is malformed"),
            Self::Refused { call } => write!(f, "{call}: not called, an argument cannot be passed safely"),
            Self::TooLarge { call, size, limit } => {
                write!(f, "{call}: {size} bytes, at most {limit} are taken")
            }
        }
    }
}

impl Error for HostError {}

/// The status `code` that `call` returned, as a `Result`.
pub(crate) fn check(call: &'static str, code: u32) -> Result<(), HostError> {
    match Status::from_code(code) {
        None => Ok(()),
        Some(status) => Err(HostError::Status { call, status }),
    }
}

/// `Ok(None)` instead of the status NotFound.
pub(crate) fn optional<T>(result: Result<T, HostError>) -> Result<Option<T>, HostError> {
    match result {
        Err(HostError::Status { status: Status::NotFound, .. }) => Ok(None),
        Err(error) => Err(error),
        Ok(value) => Ok(Some(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_mapped_and_back() {
        assert_eq!(Status::from_code(0), None);
        for code in (1..=64).chain([u32::MAX]) {
            let status = Status::from_code(code).unwrap();
            assert_eq!(status.code(), code);
            assert_eq!(matches!(status, Status::Unknown(_)), code > 12, "{code}");
        }
    }

    #[test]
    fn errors_name_the_call() {
        let error = check("proxy_get_property", 99).unwrap_err();
        assert_eq!(error, HostError::Status { call: "proxy_get_property", status: Status::Unknown(99) });
        assert_eq!(error.to_string(), "proxy_get_property: the host answered Unknown(99)");
        assert_eq!(check("proxy_get_property", 0), Ok(()));
    }
}
