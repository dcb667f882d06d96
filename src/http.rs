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

/// The head of one request, found in one pass over its fields.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'r> {
    /// `:method`; empty if there is none.
    pub method: &'r [u8],
    /// `:path` with its query; empty if there is none, as in a CONNECT request.
    pub path: &'r [u8],
    /// `:authority`, or else `Host`; empty if there is neither.
    pub authority: &'r [u8],
    /// Every field, pseudo-headers included, in the order received.
    pub fields: &'r [HeaderField<'r>],
}

impl<'r> RequestHead<'r> {
    /// Finds the pseudo-headers among `fields`.
    pub fn new(fields: &'r [HeaderField<'r>]) -> Self {
        let mut head = Self { method: b"", path: b"", authority: b"", fields };
        let mut host: &[u8] = b"";
        for field in fields {
            match field.name {
                b":method" => head.method = field.value,
                b":path" => head.path = field.value,
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

    /// The values of every field named `name`, whatever its case.
    pub fn values(&self, name: &'r [u8]) -> impl Iterator<Item = &'r [u8]> + use<'r> {
        self.fields.iter().filter(move |f| f.name.eq_ignore_ascii_case(name)).map(|f| f.value)
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
    fn debug_shows_no_value() {
        let shown = format!("{:?}", field("authorization", "Bearer secret"));
        assert!(!shown.contains("secret"), "{shown}");
        let shown = format!("{:?}", HeaderMutation::Set(b"x"[..].into(), b"secret"[..].into()));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
