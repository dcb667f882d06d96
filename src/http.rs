//! A request's head as the host sees it, and the changes that the host is to make. Bytes throughout: any client can
//! send a header value that is not UTF-8.

use std::borrow::Cow;
use std::fmt;

/// One header field, borrowed from the host's buffer. Pseudo-headers (`:path`) are fields like any other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HeaderField<'r> {
    /// The field name as received. HTTP/2 and Envoy give lower case; other hosts need not.
    pub name: &'r [u8],
    /// The field value as received.
    pub value: &'r [u8],
}

impl fmt::Debug for HeaderField<'_> {
    /// The value may be a credential: only its length is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: <{} bytes>", self.name.escape_ascii(), self.value.len())
    }
}

/// One change to the request's header map. The host performs them in order.
#[derive(Clone, PartialEq, Eq)]
pub enum HeaderMutation<'r> {
    /// Remove every field of this name.
    Remove(Cow<'r, [u8]>),
    /// Replace every field of this name by one with this value.
    Set(Cow<'r, [u8]>, Cow<'r, [u8]>),
    /// Add one more field of this name after those that are there.
    Append(Cow<'r, [u8]>, Cow<'r, [u8]>),
}

impl HeaderMutation<'_> {
    /// The name of the field that is changed.
    pub fn name(&self) -> &[u8] {
        match self {
            Self::Remove(name) | Self::Set(name, _) | Self::Append(name, _) => name,
        }
    }
}

impl fmt::Debug for HeaderMutation<'_> {
    /// Values carry personal data and tokens: only their length is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remove(name) => write!(f, "Remove({})", name.escape_ascii()),
            Self::Set(name, value) => write!(f, "Set({}, <{} bytes>)", name.escape_ascii(), value.len()),
            Self::Append(name, value) => {
                write!(f, "Append({}, <{} bytes>)", name.escape_ascii(), value.len())
            }
        }
    }
}

/// RFC 9110 section 5.6.2: what methods and names are made of.
pub fn is_token(text: &[u8]) -> bool {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_tchar)
}

/// Whether this can be a method, and is one to every server: they are told apart by case (RFC 9110 section 9.1), but not by all.
pub fn is_method(text: &[u8]) -> bool {
    is_token(text) && !text.iter().any(u8::is_ascii_lowercase)
}

/// The head of one request, found in one pass over its fields.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'r> {
    /// `:method`; empty if there is none.
    pub method: &'r [u8],
    /// `:path` with its query; empty if there is none, as in a CONNECT request.
    pub path: &'r [u8],
    /// `:scheme`; empty if there is none.
    pub scheme: &'r [u8],
    /// `:authority`, or else `Host`; empty if there is neither.
    pub authority: &'r [u8],
    /// Every field, pseudo-headers included, in the order received.
    pub fields: &'r [HeaderField<'r>],
}

impl<'r> RequestHead<'r> {
    /// Finds the pseudo-headers among `fields`.
    pub fn new(fields: &'r [HeaderField<'r>]) -> Self {
        let mut head = Self { method: b"", path: b"", scheme: b"", authority: b"", fields };
        let mut host: &[u8] = b"";
        for field in fields {
            match field.name {
                b":method" => head.method = field.value,
                b":path" => head.path = field.value,
                b":scheme" => head.scheme = field.value,
                b":authority" => head.authority = field.value,
                name if name.eq_ignore_ascii_case(b"host") => host = field.value,
                _ => {}
            }
        }
        if head.authority.is_empty() {
            head.authority = host;
        }
        head
    }

    /// The request's place in a distributed trace; `None` if there is none, or `traceparent` is malformed or repeated.
    pub fn trace_parent(&self) -> Option<TraceParent<'r>> {
        let mut values = self.values(b"traceparent");
        match (values.next(), values.next()) {
            (Some(value), None) => TraceParent::parse(value),
            _ => None,
        }
    }

    /// The values of every field named `name`, whatever its case.
    pub fn values(&self, name: &'r [u8]) -> impl Iterator<Item = &'r [u8]> + use<'r> {
        self.fields.iter().filter(move |f| f.name.eq_ignore_ascii_case(name)).map(|f| f.value)
    }
}

/// The header `traceparent`: W3C Trace Context, section 3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent<'r> {
    /// The whole value.
    pub text: &'r str,
    /// 16 bytes in hexadecimal.
    pub trace_id: &'r str,
}

impl<'r> TraceParent<'r> {
    fn parse(value: &'r [u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut parts = text.split('-');
        let is_hex = |part: &str, length: usize| {
            part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_id = |part: &str, length| is_hex(part, length) && part.bytes().any(|byte| byte != b'0');
        let (version, trace_id) = (parts.next()?, parts.next()?);
        let (parent_id, flags) = (parts.next()?, parts.next()?);
        // A later version may add parts, this one may not.
        let ends = version != "00" || parts.next().is_none();
        let is_fine = is_hex(version, 2)
            && version != "ff"
            && is_id(trace_id, 32)
            && is_id(parent_id, 16)
            && is_hex(flags, 2)
            && ends
            && text.len() <= 256
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_fine.then_some(Self { text, trace_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field<'r>(name: &'r str, value: &'r str) -> HeaderField<'r> {
        HeaderField { name: name.as_bytes(), value: value.as_bytes() }
    }

    #[test]
    fn authority_wins_over_host() {
        let fields =
            [field("host", "b"), field(":authority", "a"), field(":method", "GET"), field(":path", "/x?y")];
        let head = RequestHead::new(&fields);
        assert_eq!((head.method, head.path, head.authority), (&b"GET"[..], &b"/x?y"[..], &b"a"[..]));
        let fields = [field("Host", "b")];
        assert_eq!(RequestHead::new(&fields).authority, b"b");
    }

    #[test]
    fn values_are_found_in_any_case() {
        let fields = [field("Cookie", "a"), field("x", "-"), field("cookie", "b")];
        let head = RequestHead::new(&fields);
        assert_eq!(head.values(b"cookie").collect::<Vec<_>>(), [b"a", b"b"]);
    }

    #[test]
    fn only_a_valid_trace_parent_is_one() {
        const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parse = |values: &[&str]| {
            let fields: Vec<_> = values.iter().map(|value| field("Traceparent", value)).collect();
            RequestHead::new(&fields).trace_parent().map(|trace| trace.trace_id.to_owned())
        };
        let trace_id = Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned());
        assert_eq!(parse(&[VALID]), trace_id);
        assert_eq!(parse(&["cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"]), trace_id);
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&[VALID, VALID]), None);
        for refused in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-\r\nx: y",
        ] {
            assert_eq!(parse(&[refused]), None, "{refused:?}");
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let shown = format!("{:?}", field("authorization", "Bearer secret"));
        assert!(!shown.contains("secret"), "{shown}");
        let shown = format!("{:?}", HeaderMutation::Set(b"x"[..].into(), b"secret"[..].into()));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
