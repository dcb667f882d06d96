//! Ids of resources: version 7 of RFC 9562. They grow with time, which keeps the rows of one time together.

use uuid::{Builder, Uuid};

/// A new one. `now` is in microseconds since 1970 UTC.
///
/// # Errors
/// If the system gives no random octets.
pub(super) fn resource_id(now: i64) -> Result<String, getrandom::Error> {
    let mut octets = [0; 10];
    getrandom::fill(&mut octets)?;
    Ok(of(now, octets).to_string())
}

/// Of these octets, the first twelve bits that are not the version's being the part of a millisecond (section 6.2, method 3).
fn of(now: i64, mut octets: [u8; 10]) -> Uuid {
    let now = u64::try_from(now).unwrap_or_default();
    let micros = u16::try_from(now % 1000).unwrap_or_default();
    // Of 4,096 parts, as many as have passed.
    let parts = u16::try_from(u32::from(micros).saturating_mul(4096) / 1000).unwrap_or_default();
    for (to, from) in octets.iter_mut().zip(parts.to_be_bytes()) {
        *to = from;
    }
    Builder::from_unix_timestamp_millis(now / 1000, &octets).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_time_and_grows_with_it() {
        const NOW: i64 = 0x0192_3456_789a * 1000;
        let id = |micros: i64| of(NOW + micros, [0xff; 10]).to_string();
        assert_eq!(id(0), "01923456-789a-7000-bfff-ffffffffffff");
        assert_eq!(id(500), "01923456-789a-7800-bfff-ffffffffffff");
        assert_eq!(id(999), "01923456-789a-7ffb-bfff-ffffffffffff");
        assert_eq!(id(1000), "01923456-789b-7000-bfff-ffffffffffff");
        assert!((0..1000).all(|micros| id(micros) < id(micros + 1)));
        assert_ne!(resource_id(NOW), resource_id(NOW));
        assert!(resource_id(-1).unwrap().starts_with("00000000-0000-7000-"));
    }
}
