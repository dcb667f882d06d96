//! The id of a request: what its response, the log and the audit trail have in common.

use doorward::gateway::plausible_id;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// The sender's, if it looks like an id; otherwise a new one.
/// `now` is asked, in microseconds since 1970 UTC, if the system gives no random octets.
pub fn request_id(sent: Option<&[u8]>, now: impl FnOnce() -> i64) -> String {
    sent.and_then(plausible_id).map_or_else(|| make(now), str::to_owned)
}

/// 128 random bits; if the system has none, a number that this process did not give before.
fn make(now: impl FnOnce() -> i64) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut octets = [0; 16];
    if getrandom::fill(&mut octets).is_err() {
        return format!("{}-{}", now(), NEXT.fetch_add(1, Ordering::Relaxed));
    }
    let mut id = String::with_capacity(32);
    for octet in octets {
        // Writing to a String does not fail.
        let _ = write!(id, "{octet:02x}");
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_over_if_it_looks_like_one() {
        for id in
            ["a", "6f1c2d4e-0b5a-4f7e-9d3c-1a2b3c4d5e6f", "Root=1-67891233-abcdef012345", &"a".repeat(128)]
        {
            assert_eq!(request_id(Some(id.as_bytes()), || 0), id);
        }
    }

    #[test]
    fn otherwise_one_is_made() {
        let long = "a".repeat(129);
        for sent in [
            None,
            Some("".as_bytes()),
            Some(b"a b"),
            Some(b"a\"b"),
            Some(b"a\nb"),
            Some(b"\xff"),
            Some(long.as_bytes()),
        ] {
            let id = request_id(sent, || 0);
            assert!(id.len() == 32 && id != request_id(sent, || 0), "{id}");
        }
    }
}
