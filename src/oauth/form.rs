//! `application/x-www-form-urlencoded`, as OAuth 2.0 sends it (RFC 6749 appendix B).

/// `text` with everything but letters, digits and `*-._` percent-encoded, and a space as `+`.
pub(super) fn encode(text: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b' ' => encoded.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"*-._".contains(byte) => encoded.push(char::from(*byte)),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Name and value pairs as one body.
pub(super) fn body(pairs: &[(&str, &[u8])]) -> Vec<u8> {
    let pairs: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name.as_bytes()), encode(value))).collect();
    pairs.join("&").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6749_appendix_b() {
        assert_eq!(encode(" %&+£€".as_bytes()), "+%25%26%2B%C2%A3%E2%82%AC");
    }

    #[test]
    fn pairs_cannot_run_into_each_other() {
        assert_eq!(body(&[("token", b"a&b=c"), ("x y", b"\xff")]), b"token=a%26b%3Dc&x+y=%FF");
    }
}
