//! W3C Trace Context: the field `traceparent` (<https://www.w3.org/TR/trace-context/>, section 3.2).

/// The trace that a request is a part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TraceParent {
    /// 32 hexadecimal digits.
    pub(super) trace_id: String,
    /// The caller's part of it: 16 hexadecimal digits.
    pub(super) parent_id: String,
}

impl TraceParent {
    /// Nothing if the field is malformed: then the trace begins anew.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut parts = text.split('-');
        let mut hex = |length| {
            parts.next().filter(|part| {
                part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            })
        };
        let version = hex(2).filter(|version| *version != "ff")?;
        let is_some = |id: &&str| id.bytes().any(|b| b != b'0');
        let trace_id = hex(32).filter(is_some)?.to_owned();
        let parent_id = hex(16).filter(is_some)?.to_owned();
        hex(2)?;
        // Later versions may go on.
        (version != "00" || parts.next().is_none()).then_some(Self { trace_id, parent_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_as_the_standard_has_it() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        const PARENT: &str = "00f067aa0ba902b7";
        let expected = TraceParent { trace_id: TRACE.to_owned(), parent_id: PARENT.to_owned() };
        for (text, is_one) in [
            (format!("00-{TRACE}-{PARENT}-01"), true),
            (format!("cc-{TRACE}-{PARENT}-01-more"), true),
            (format!("00-{TRACE}-{PARENT}-01-more"), false),
            (format!("ff-{TRACE}-{PARENT}-01"), false),
            (format!("00-{}-{PARENT}-01", TRACE.to_uppercase()), false),
            (format!("00-{}-{PARENT}-01", "0".repeat(32)), false),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), false),
            (format!("00-{TRACE}-{PARENT}"), false),
            (format!("00-{TRACE}x-{PARENT}-01"), false),
            (String::new(), false),
        ] {
            assert_eq!(TraceParent::parse(text.as_bytes()), is_one.then(|| expected.clone()), "{text}");
        }
    }
}
