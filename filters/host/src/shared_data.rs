//! The map that the VMs of one `vm_id` share, on all workers. Values are copied on every read; nothing expires.
//! Allowed in every phase.

use crate::status::{HostError, Status, optional};
use crate::sys;
use std::fmt;
use std::num::NonZeroU32;

/// Which writing of a value was read: compare-and-set writes only over the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(NonZeroU32);

/// A value and its version.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedValue {
    /// What was written.
    pub value: Vec<u8>,
    /// For [`compare_and_set`].
    pub version: Version,
}

impl fmt::Debug for SharedValue {
    /// A value may be a secret: only its length is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedValue(<{} bytes>, {:?})", self.value.len(), self.version)
    }
}

/// What is stored under `key`; `None` if nothing ever was.
///
/// # Errors
/// [`HostError::Status`] if the host refuses, [`HostError::Malformed`] if a value has no version.
pub fn get(key: &str) -> Result<Option<SharedValue>, HostError> {
    let Some((value, cas)) = optional(sys::get_shared_data(key.as_bytes()))? else {
        return Ok(None);
    };
    let cas = NonZeroU32::new(cas).ok_or(HostError::Malformed { call: "proxy_get_shared_data" })?;
    Ok(Some(SharedValue { value, version: Version(cas) }))
}

/// Stores `value` under `key`, whatever is there.
///
/// # Errors
/// [`HostError::Status`] if the host refuses.
pub fn set(key: &str, value: &[u8]) -> Result<(), HostError> {
    sys::set_shared_data(key.as_bytes(), value, 0)
}

/// Stores `value` under `key` if nothing is there yet. `false` if somebody else was first.
///
/// # Errors
/// [`HostError::Status`] if the host refuses.
pub fn create(key: &str, value: &[u8]) -> Result<bool, HostError> {
    // The host takes any version for a key that is not there, and only the right one for a key that is; versions count
    // up from 1, so this one is never right.
    compare_and_set(key, value, Version(NonZeroU32::MAX))
}

/// Stores `value` under `key` if what is there is still what was read as `version`. `false` if somebody else has
/// written since: nothing is stored then.
///
/// A key that is not there yet is no conflict for the host: make a lease's key with [`create`].
///
/// # Errors
/// [`HostError::Status`] if the host refuses.
pub fn compare_and_set(key: &str, value: &[u8], version: Version) -> Result<bool, HostError> {
    match sys::set_shared_data(key.as_bytes(), value, version.0.get()) {
        Ok(()) => Ok(true),
        Err(HostError::Status { status: Status::CasMismatch, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;

    #[test]
    fn only_the_first_creates() {
        fake::reset();
        assert_eq!(create("lease", b"first"), Ok(true));
        assert_eq!(create("lease", b"second"), Ok(false));
        assert_eq!(get("lease").unwrap().unwrap().value, b"first");
    }

    #[test]
    fn only_one_of_two_writers_wins() {
        fake::reset();
        assert_eq!(get("lease"), Ok(None));
        set("lease", b"").unwrap();
        let read = get("lease").unwrap().unwrap();
        assert_eq!(read.value, b"");
        assert_eq!(compare_and_set("lease", b"mine", read.version), Ok(true));
        assert_eq!(compare_and_set("lease", b"theirs", read.version), Ok(false));
        assert_eq!(get("lease").unwrap().unwrap().value, b"mine");
    }

    #[test]
    fn other_statuses_are_errors() {
        fake::reset();
        fake::with(|host| host.force("proxy_set_shared_data", 10));
        assert_eq!(set("k", b"v").unwrap_err().status(), Some(Status::InternalFailure));
    }
}
