//! What DPoP proofs need of all workers together: one secret, and the memory of the proofs that were used.

use doorward::authn::{ProofRecord, ProofStanding};
use doorward::oauth::dpop::replay::{self, Insert};
use doorward::time::UnixTime;
use doorward_host::{HostError, random, shared_data};

const SECRET: &str = "doorward.secret";
/// A bucket is changed by one worker at a time. Who loses this often meets more proofs than it can remember.
const MAX_TRIES: usize = 64;

/// The secret of the proxy's workers: the first one makes it up.
pub(crate) fn shared_secret() -> Result<[u8; 32], HostError> {
    let made = random::secret()?;
    if shared_data::create(SECRET, &made)? {
        return Ok(made);
    }
    let kept = shared_data::get(SECRET)?.and_then(|kept| <[u8; 32]>::try_from(kept.value.as_slice()).ok());
    kept.ok_or(HostError::Malformed { call: "proxy_get_shared_data" })
}

/// Remembers a proof where all workers see it.
pub(crate) fn record(record: ProofRecord, now: UnixTime) -> Result<ProofStanding, HostError> {
    let name = format!("doorward.proofs.{}.{}", replay::FORMAT, record.key.bucket);
    for _ in 0..MAX_TRIES {
        let current = shared_data::get(&name)?;
        let bytes = current.as_ref().map(|current| current.value.as_slice());
        let bucket = match replay::insert(bytes, now, record.key.id, record.until) {
            Insert::Fresh(bucket) => bucket,
            Insert::Seen => return Ok(ProofStanding::Seen),
            Insert::Full => return Ok(ProofStanding::Full),
        };
        let won = match current {
            Some(current) => shared_data::compare_and_set(&name, &bucket, current.version)?,
            None => shared_data::create(&name, &bucket)?,
        };
        if won {
            return Ok(ProofStanding::Fresh);
        }
    }
    Ok(ProofStanding::Full)
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward::oauth::dpop::ReplayKey;
    use doorward_host::fake;

    #[test]
    fn the_secret_is_the_same_on_all_workers_and_proofs_are_remembered_by_all() {
        fake::reset();
        let secret = shared_secret().unwrap();
        assert_eq!(shared_secret().unwrap(), secret);
        assert_ne!(secret, [0; 32]);
        let at = UnixTime::from_secs;
        let record =
            |bucket, id, until| ProofRecord { key: ReplayKey { bucket, id: [id; 12] }, until: at(until) };
        let standing = |record, now| super::record(record, at(now)).unwrap();
        assert_eq!(standing(record(1, 1, 60), 0), ProofStanding::Fresh);
        assert_eq!(standing(record(1, 1, 60), 1), ProofStanding::Seen);
        assert_eq!(standing(record(2, 1, 60), 1), ProofStanding::Fresh);
        assert_eq!(standing(record(1, 2, 60), 1), ProofStanding::Fresh);
        fake::with(|host| host.force("proxy_set_shared_data", 8));
        assert_eq!(standing(record(1, 3, 60), 1), ProofStanding::Full, "others write all the time");
        fake::with(|host| host.force("proxy_set_shared_data", 10));
        assert!(super::record(record(1, 3, 60), at(1)).is_err());
    }
}
