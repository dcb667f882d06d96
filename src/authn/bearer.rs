//! Where tokens are in a request, and how they are taken out of it: RFC 6750 section 2, and cookies.

use crate::http::{HeaderMutation, RequestHead};
use std::borrow::Cow;

/// A place where a provider's token may be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TokenLocation {
    /// A header field: the token follows `scheme` and a space, or is the whole value.
    Header {
        /// Field name, lower case.
        name: String,
        /// Authentication scheme, compared without case (RFC 9110 section 11.1).
        scheme: Option<String>,
    },
    /// A cookie of this name.
    Cookie(String),
    /// A query parameter of this name (RFC 6750 section 2.3; it ends up in logs, so it is never the default).
    Query(String),
}

impl TokenLocation {
    /// Whether tokens here come with a proof: the scheme `DPoP` of RFC 9449 section 7.1.
    pub fn is_dpop(&self) -> bool {
        match self {
            Self::Header { name, scheme } => {
                name == "authorization"
                    && scheme.as_ref().is_some_and(|scheme| scheme.eq_ignore_ascii_case("DPoP"))
            }
            Self::Cookie(_) | Self::Query(_) => false,
        }
    }
}

/// Why the tokens of a request cannot be told apart or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BearerError {
    /// More than one token, or a header field more than once that may hold one.
    #[error("expected one token in one place")]
    Repeated,
    /// The scheme is there, but what follows is not one token.
    #[error("expected one token after the scheme")]
    Malformed,
}

/// A token, borrowed from the request, and where it was.
#[derive(Clone, Copy)]
pub(super) struct FoundToken<'r, 'p> {
    pub(super) token: &'r [u8],
    pub(super) location: &'p TokenLocation,
}

/// Looks for the one token in `locations`.
pub(super) fn find<'r, 'p>(
    head: &RequestHead<'r>,
    locations: impl IntoIterator<Item = &'p TokenLocation>,
) -> Result<Option<FoundToken<'r, 'p>>, BearerError> {
    let mut found: Option<FoundToken<'r, 'p>> = None;
    for location in locations {
        if let Some(token) = find_at(head, location)?
            && found.replace(FoundToken { token, location }).is_some()
        {
            return Err(BearerError::Repeated);
        }
    }
    Ok(found)
}

fn find_at<'r>(head: &RequestHead<'r>, location: &TokenLocation) -> Result<Option<&'r [u8]>, BearerError> {
    match location {
        TokenLocation::Header { name, scheme } => match (at_most_one(fields(head, name))?, scheme) {
            (None, _) => Ok(None),
            (Some(value), None) => Ok(Some(value)),
            (Some(value), Some(scheme)) => after_scheme(value, scheme),
        },
        TokenLocation::Cookie(name) => {
            at_most_one(cookies(head).filter_map(|pair| value_of(pair, name.as_bytes())))
        }
        TokenLocation::Query(name) => {
            at_most_one(query(head.path).filter(|pair| is_parameter(pair, name)).map(parameter_value))
        }
    }
}

fn at_most_one<'r>(mut values: impl Iterator<Item = &'r [u8]>) -> Result<Option<&'r [u8]>, BearerError> {
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        _ => Err(BearerError::Repeated),
    }
}

fn fields<'r>(head: &RequestHead<'r>, name: &str) -> impl Iterator<Item = &'r [u8]> {
    head.fields
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name.as_bytes()))
        .map(|field| field.value)
}

/// `None` for another scheme: Basic beside a rule for bearer tokens is no token, not a bad one.
fn after_scheme<'r>(value: &'r [u8], scheme: &str) -> Result<Option<&'r [u8]>, BearerError> {
    let Some((found, rest)) = value.split_at_checked(scheme.len()) else { return Ok(None) };
    if !found.eq_ignore_ascii_case(scheme.as_bytes()) || rest.first().is_some_and(|next| *next != b' ') {
        return Ok(None);
    }
    let token = rest.trim_ascii();
    // RFC 6750 section 2.1, b64token; a comma or an inner space would be a second credential.
    let is_token =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-'..=b'/' | b'=' | b'_' | b'~');
    if token.is_empty() || !token.iter().all(is_token) {
        Err(BearerError::Malformed)
    } else {
        Ok(Some(token))
    }
}

/// The pairs of every `cookie` field (RFC 6265 section 4.2.1).
fn cookies<'r>(head: &RequestHead<'r>) -> impl Iterator<Item = &'r [u8]> + use<'r> {
    head.values(b"cookie").flat_map(|value| value.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii)
}

fn value_of<'r>(pair: &'r [u8], name: &[u8]) -> Option<&'r [u8]> {
    pair.strip_prefix(name)?.strip_prefix(b"=")
}

fn query(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let question = path.iter().position(|byte| *byte == b'?');
    let query = question.and_then(|at| path.get(at..)).and_then(|query| query.strip_prefix(b"?"));
    query.into_iter().flat_map(|query| query.split(|byte| *byte == b'&'))
}

/// Whether the parameter is named `name`, however it is percent-encoded: an encoded name must not slip past.
fn is_parameter(pair: &[u8], name: &str) -> bool {
    let key = pair.split(|byte| *byte == b'=').next().unwrap_or(pair);
    let mut decoded = Vec::with_capacity(key.len());
    let mut rest = key;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let pair = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match pair.filter(|_| *byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) => {
                decoded.push(escaped);
                rest = after.get(2..).unwrap_or_default();
            }
            None => decoded.push(*byte),
        }
    }
    decoded == name.as_bytes()
}

fn parameter_value(pair: &[u8]) -> &[u8] {
    let equals = pair.iter().position(|byte| *byte == b'=');
    equals.and_then(|at| pair.get(at..)).and_then(|value| value.strip_prefix(b"=")).unwrap_or_default()
}

/// The changes that take the tokens at `locations` out of the request.
pub(super) fn strip<'r>(head: &RequestHead<'r>, locations: &[&TokenLocation]) -> Vec<HeaderMutation<'r>> {
    let mut mutations = Vec::new();
    for location in locations {
        if let TokenLocation::Header { name, .. } = location {
            mutations.push(HeaderMutation::Remove(match name.as_str() {
                "authorization" => Cow::Borrowed(b"authorization"),
                name => Cow::Owned(name.as_bytes().to_vec()),
            }));
        }
        // The proof belongs to the token.
        if location.is_dpop() {
            mutations.push(HeaderMutation::Remove(Cow::Borrowed(b"dpop")));
        }
    }
    let is_used_cookie = |pair: &[u8]| {
        locations.iter().any(|location| match location {
            TokenLocation::Cookie(name) => value_of(pair, name.as_bytes()).is_some(),
            TokenLocation::Header { .. } | TokenLocation::Query(_) => false,
        })
    };
    if cookies(head).any(is_used_cookie) {
        let kept: Vec<&[u8]> = cookies(head).filter(|pair| !is_used_cookie(pair)).collect();
        mutations.push(if kept.is_empty() {
            HeaderMutation::Remove(Cow::Borrowed(b"cookie"))
        } else {
            HeaderMutation::Set(Cow::Borrowed(b"cookie"), Cow::Owned(kept.join(&b"; "[..])))
        });
    }
    let is_used_parameter = |pair: &[u8]| {
        locations.iter().any(|location| match location {
            TokenLocation::Query(name) => is_parameter(pair, name),
            TokenLocation::Header { .. } | TokenLocation::Cookie(_) => false,
        })
    };
    if query(head.path).any(is_used_parameter) {
        let kept: Vec<&[u8]> = query(head.path).filter(|pair| !is_used_parameter(pair)).collect();
        let mut path = head.path.split(|byte| *byte == b'?').next().unwrap_or_default().to_vec();
        if !kept.is_empty() {
            path.push(b'?');
            path.extend(kept.join(&b'&'));
        }
        mutations.push(HeaderMutation::Set(Cow::Borrowed(b":path"), Cow::Owned(path)));
    }
    mutations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeaderField;

    fn bearer() -> TokenLocation {
        TokenLocation::Header { name: "authorization".into(), scheme: Some("Bearer".into()) }
    }

    fn check(
        fields: &[(&str, &str)],
        locations: &[TokenLocation],
        expected: Result<Option<&str>, BearerError>,
    ) {
        let fields: Vec<_> =
            fields.iter().map(|(n, v)| HeaderField { name: n.as_bytes(), value: v.as_bytes() }).collect();
        let found = find(&RequestHead::new(&fields), locations)
            .map(|found| found.map(|found| String::from_utf8(found.token.to_vec()).unwrap()));
        assert_eq!(found, expected.map(|token| token.map(str::to_owned)), "{locations:?}");
    }

    #[test]
    fn the_scheme_ignores_case_and_other_schemes_are_no_token() {
        for value in ["Bearer t.o.k", "bearer t.o.k", "BEARER  t.o.k "] {
            check(&[("authorization", value)], &[bearer()], Ok(Some("t.o.k")));
        }
        for value in ["", "Basic dTpw", "Bearertoken", "Bear", "DPoP t"] {
            check(&[("authorization", value)], &[bearer()], Ok(None));
        }
        for value in [
            "Bearer",
            "Bearer ",
            "Bearer a b",
            "Bearer a, Bearer b",
            "Bearer a,b",
            "Bearer \"a\"",
            "Bearer ü",
        ] {
            check(&[("authorization", value)], &[bearer()], Err(BearerError::Malformed));
        }
    }

    #[test]
    fn tokens_in_several_places_are_refused() {
        let both = [bearer(), TokenLocation::Cookie("s".into())];
        check(&[("authorization", "Bearer a"), ("cookie", "s=b")], &both, Err(BearerError::Repeated));
        check(&[("authorization", "Bearer a"), ("cookie", "s2=b")], &both, Ok(Some("a")));
        // The same token twice is refused as well: nothing says that an upstream reads the same one.
        check(
            &[("authorization", "Bearer a"), ("Authorization", "Bearer a")],
            &both,
            Err(BearerError::Repeated),
        );
        check(
            &[("authorization", "Basic x"), ("authorization", "Bearer a")],
            &both,
            Err(BearerError::Repeated),
        );
        check(&[("cookie", "s=a; s=b")], &both, Err(BearerError::Repeated));
        check(&[("cookie", "s=a"), ("cookie", "s=b")], &both, Err(BearerError::Repeated));
        let query = [TokenLocation::Query("access_token".into())];
        check(&[(":path", "/?access_token=a&access_token=b")], &query, Err(BearerError::Repeated));
        check(&[(":path", "/?access_token=a&%61ccess_token=b")], &query, Err(BearerError::Repeated));
    }

    #[test]
    fn cookies_query_and_plain_headers_are_read() {
        check(&[("cookie", "a=1; s=t.o.k ;b=2")], &[TokenLocation::Cookie("s".into())], Ok(Some("t.o.k")));
        check(&[("cookie", "as=x; S=y; s")], &[TokenLocation::Cookie("s".into())], Ok(None));
        let query = [TokenLocation::Query("t".into())];
        check(&[(":path", "/p?x=1&t=tok=&y")], &query, Ok(Some("tok=")));
        check(&[(":path", "/t=1")], &query, Ok(None));
        check(&[(":path", "/?t")], &query, Ok(Some("")));
        let header = [TokenLocation::Header { name: "x-token".into(), scheme: None }];
        check(&[("X-Token", "tok")], &header, Ok(Some("tok")));
    }

    #[test]
    fn used_tokens_are_taken_out_and_the_rest_is_kept() {
        let fields: Vec<_> = [
            (":path", "/p?a=1&t=tok&%74=x&b=%20"),
            ("cookie", "a=1; s=tok"),
            ("cookie", "b=2"),
            ("authorization", "Bearer tok"),
        ]
        .iter()
        .map(|(n, v)| HeaderField { name: n.as_bytes(), value: v.as_bytes() })
        .collect();
        let head = RequestHead::new(&fields);
        let (cookie, query) = (TokenLocation::Cookie("s".into()), TokenLocation::Query("t".into()));
        let set = |name: &'static str, value: &'static str| {
            HeaderMutation::Set(Cow::Borrowed(name.as_bytes()), Cow::Borrowed(value.as_bytes()))
        };
        let expected = [
            HeaderMutation::Remove(Cow::Borrowed(b"authorization")),
            set("cookie", "a=1; b=2"),
            set(":path", "/p?a=1&b=%20"),
        ];
        assert_eq!(strip(&head, &[&bearer(), &cookie, &query]), expected);
        let only = [
            HeaderField { name: b"cookie", value: b"s=tok" },
            HeaderField { name: b":path", value: b"/p?t=x" },
        ];
        let expected = [HeaderMutation::Remove(Cow::Borrowed(&b"cookie"[..])), set(":path", "/p")];
        assert_eq!(strip(&RequestHead::new(&only), &[&cookie, &query]), expected);
        assert_eq!(strip(&RequestHead::new(&only), &[]), []);
    }
}
