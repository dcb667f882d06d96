//! Verified claims as request headers.
//!
//! A header value must be readable in one way only, and must not break the header. So, by default (`percent`):
//! visible ASCII and inner spaces stand for themselves; everything else, and `%`, is percent-encoded as UTF-8; in lists
//! the separator is encoded too, so that one group named `a,b` can never pass for two. Applications percent-decode, and
//! plain values look as they are. `base64url` encodes the whole value, `reject` refuses what would need encoding.

use super::ProviderId;
use crate::http::HeaderMutation;
use crate::jose::base64url;
use crate::jwt::{ClaimPath, VerifiedToken};
use serde_json::{Number, Value};
use std::sync::Arc;

/// A value longer than this is refused: cut off, it would name somebody else.
const MAX_VALUE_BYTES: usize = 8192;
/// A list longer than this is refused.
const MAX_ITEMS: usize = 1000;
/// Numbers beyond 2^53 lose digits as floating point; an identifier with lost digits names somebody else.
const EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

/// All identity headers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IdentityMapping {
    /// One header each, in the order configured.
    pub headers: Vec<IdentityHeader>,
    /// A header for the whole payload, base64url as in the token.
    pub payload_header: Option<String>,
}

/// One claim that becomes one header.
#[derive(Debug, Clone, PartialEq)]
pub struct IdentityHeader {
    /// Header name, lower case.
    pub header: String,
    /// Which claim.
    pub claim: ClaimPath,
    /// Only from tokens of this provider; `None` takes the request's first token.
    pub provider: Option<ProviderId>,
    /// How a list is written.
    pub list: ListStyle,
    /// What happens to characters that a header cannot hold.
    pub encoding: ValueEncoding,
    /// What happens if there is no value.
    pub when_missing: WhenMissing,
}

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListStyle {
    /// `a,b`
    #[default]
    Comma,
    /// `a b`
    Space,
    /// JSON in ASCII, whatever the claim is: `["a","b"]`, `"a"`. Also writes objects and nested lists, which the others do not.
    Json,
    /// One header field for each item.
    Repeat,
}

/// What happens to characters that a header cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ValueEncoding {
    /// Percent-encoding (RFC 3986 section 2.1) of the characters concerned.
    #[default]
    Percent,
    /// base64url of each value, whatever it holds.
    Base64Url,
    /// The request is denied.
    Reject,
}

/// What happens if a claim is absent, `null`, empty, or of a type that cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenMissing {
    /// The header is left out.
    #[default]
    Omit,
    /// The request is denied.
    Reject,
}

/// Why verified claims cannot become headers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A claim whose header is `when_missing: reject` has no value.
    #[error("no value for header {0:?}")]
    Missing(String),
    /// The value would need encoding, and the header is `encoding: reject`; or a number lost digits.
    #[error("the value of header {0:?} cannot be written safely")]
    Unsafe(String),
    /// The value or the list is too long.
    #[error("the value of header {0:?} is too long")]
    TooLong(String),
}

impl IdentityMapping {
    /// The names of all headers that are ours.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|header| header.header.as_str()).chain(self.payload_header.as_deref())
    }

    /// The headers for `tokens`, the request's verified tokens in the order of the requirement, with the payload
    /// segment of the first.
    ///
    /// # Errors
    /// [`IdentityError`], the first met.
    pub fn apply(
        &self,
        tokens: &[(ProviderId, Arc<VerifiedToken>)],
        payload_segment: &[u8],
    ) -> Result<Arc<[HeaderMutation<'static>]>, IdentityError> {
        let mut mutations = Vec::with_capacity(self.headers.len().saturating_add(1));
        for header in &self.headers {
            header.write(header.find(tokens), &mut mutations)?;
        }
        if let Some(name) = self.payload_header.as_ref().filter(|_| !tokens.is_empty()) {
            mutations.push(set(name, payload_segment.to_vec()));
        }
        Ok(mutations.into())
    }

    /// The same as names and values, for what is not a header; of a list that would be repeated, the first.
    ///
    /// # Errors
    /// [`IdentityError`], the first met.
    pub fn entries(
        &self,
        tokens: &[(ProviderId, Arc<VerifiedToken>)],
    ) -> Result<Vec<(String, String)>, IdentityError> {
        let mut entries = Vec::with_capacity(self.headers.len());
        for header in &self.headers {
            let value = header.required_values(header.find(tokens))?.into_iter().next();
            entries.extend(value.map(|value| (header.header.clone(), value)));
        }
        Ok(entries)
    }
}

impl IdentityHeader {
    /// The claim, in the token that it is taken from.
    fn find<'t>(&self, tokens: &'t [(ProviderId, Arc<VerifiedToken>)]) -> Option<&'t Value> {
        let wanted = |id: ProviderId| self.provider.is_none_or(|provider| provider == id);
        let (_, token) = tokens.iter().find(|(id, _)| wanted(*id))?;
        token.claims().get(&self.claim)
    }

    /// The field values for a claim, of which there must be one if the header says so.
    fn required_values(&self, claim: Option<&Value>) -> Result<Vec<String>, IdentityError> {
        let values = match claim {
            Some(claim) => self.values(claim)?,
            None => Vec::new(),
        };
        match (values.is_empty(), self.when_missing) {
            (true, WhenMissing::Reject) => Err(IdentityError::Missing(self.header.clone())),
            (true, WhenMissing::Omit) | (false, _) => Ok(values),
        }
    }

    fn write(
        &self,
        claim: Option<&Value>,
        out: &mut Vec<HeaderMutation<'static>>,
    ) -> Result<(), IdentityError> {
        let mut values = self.required_values(claim)?.into_iter();
        out.extend(values.next().map(|first| set(&self.header, first.into_bytes())));
        let append = |value: String| {
            HeaderMutation::Append(self.header.clone().into_bytes().into(), value.into_bytes().into())
        };
        out.extend(values.map(append));
        Ok(())
    }

    /// The field values for a claim; none if it has nothing to write.
    fn values(&self, claim: &Value) -> Result<Vec<String>, IdentityError> {
        if self.list == ListStyle::Json {
            return self.json(claim);
        }
        let values = match claim {
            Value::Array(items) if items.len() > MAX_ITEMS => {
                return Err(IdentityError::TooLong(self.header.clone()));
            }
            Value::Array(items) => {
                let texts: Vec<String> = items
                    .iter()
                    .map(|item| self.scalar(item))
                    .collect::<Result<Option<_>, _>>()?
                    .unwrap_or_default();
                let separator = match self.list {
                    ListStyle::Comma => ",",
                    ListStyle::Space => " ",
                    ListStyle::Json | ListStyle::Repeat => "",
                };
                if separator.is_empty() || texts.is_empty() { texts } else { vec![texts.join(separator)] }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                self.scalar(claim)?.into_iter().collect()
            }
        };
        if values.iter().map(String::len).sum::<usize>() > MAX_VALUE_BYTES {
            return Err(IdentityError::TooLong(self.header.clone()));
        }
        Ok(values)
    }

    fn json(&self, claim: &Value) -> Result<Vec<String>, IdentityError> {
        let is_empty =
            claim.as_array().is_some_and(Vec::is_empty) || claim.as_str().is_some_and(str::is_empty);
        if is_empty {
            return Ok(Vec::new());
        }
        if numbers(claim).any(|number| !is_exact(number)) {
            return Err(IdentityError::Unsafe(self.header.clone()));
        }
        let text = ascii_json(&claim.to_string());
        if text.len() > MAX_VALUE_BYTES {
            return Err(IdentityError::TooLong(self.header.clone()));
        }
        Ok(vec![if self.encoding == ValueEncoding::Base64Url {
            base64url::encode(text.as_bytes())
        } else {
            text
        }])
    }

    /// One string, number or boolean, encoded. `None` for everything else and for the empty string.
    fn scalar(&self, value: &Value) -> Result<Option<String>, IdentityError> {
        let text = match value {
            Value::String(text) if text.is_empty() => return Ok(None),
            Value::String(text) => text.clone(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => {
                if !is_exact(number) {
                    return Err(IdentityError::Unsafe(self.header.clone()));
                }
                number.to_string()
            }
            Value::Null | Value::Array(_) | Value::Object(_) => return Ok(None),
        };
        match self.encoding {
            ValueEncoding::Base64Url => Ok(Some(base64url::encode(text.as_bytes()))),
            ValueEncoding::Percent => Ok(Some(percent(&text, self.list))),
            // Nothing is encoded, so a percent sign is no escape.
            ValueEncoding::Reject
                if judged_bytes(&text, self.list).all(|(byte, plain)| plain || byte == b'%') =>
            {
                Ok(Some(text))
            }
            ValueEncoding::Reject => Err(IdentityError::Unsafe(self.header.clone())),
        }
    }
}

fn is_exact(number: &Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|float| float.abs() < EXACT_FLOAT)
}

/// Every number in a claim, at any depth.
fn numbers(claim: &Value) -> Box<dyn Iterator<Item = &Number> + '_> {
    match claim {
        Value::Number(number) => Box::new(std::iter::once(number)),
        Value::Array(items) => Box::new(items.iter().flat_map(numbers)),
        Value::Object(members) => Box::new(members.values().flat_map(numbers)),
        Value::Null | Value::Bool(_) | Value::String(_) => Box::new(std::iter::empty()),
    }
}

fn set(name: &str, value: Vec<u8>) -> HeaderMutation<'static> {
    HeaderMutation::Set(name.as_bytes().to_vec().into(), value.into())
}

/// Injective: two texts never give the same value.
fn percent(text: &str, list: ListStyle) -> String {
    let mut out = String::with_capacity(text.len());
    for (byte, plain) in judged_bytes(text, list) {
        if plain {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The bytes of a text, each with whether it may stand for itself in a header.
fn judged_bytes(text: &str, list: ListStyle) -> impl Iterator<Item = (u8, bool)> {
    let last = text.len().saturating_sub(1);
    text.bytes().enumerate().map(move |(at, byte)| {
        let plain = match byte {
            b'%' => false,
            // Repeated fields may be joined by commas on the way (RFC 9110 section 5.3).
            b',' => !matches!(list, ListStyle::Comma | ListStyle::Repeat),
            // A space at either end would be cut off on the way (RFC 9110 section 5.5).
            b' ' => list != ListStyle::Space && at != 0 && at != last,
            _ => byte.is_ascii_graphic(),
        };
        (byte, plain)
    })
}

/// JSON text with everything outside ASCII escaped (RFC 8259 section 7). serde_json escapes control characters itself.
fn ascii_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() && character != '\u{7f}' {
            out.push(character);
        } else {
            let mut units = [0_u16; 2];
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn header(list: ListStyle, encoding: ValueEncoding) -> IdentityHeader {
        IdentityHeader {
            header: "x-h".into(),
            claim: ClaimPath::top("c"),
            provider: None,
            list,
            encoding,
            when_missing: WhenMissing::Reject,
        }
    }

    fn check(
        list: ListStyle,
        encoding: ValueEncoding,
        claim: Value,
        expected: Result<&[&str], IdentityError>,
    ) {
        let mut out = Vec::new();
        let result = header(list, encoding).write(Some(&claim), &mut out).map(|()| {
            out.iter()
                .map(|mutation| match mutation {
                    HeaderMutation::Set(_, value) | HeaderMutation::Append(_, value) => {
                        String::from_utf8(value.to_vec()).unwrap()
                    }
                    HeaderMutation::Remove(_) => panic!("removed"),
                })
                .collect::<Vec<_>>()
        });
        let expected = expected.map(|values| values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>());
        assert_eq!(result, expected, "{list:?} {encoding:?} {claim}");
    }

    fn missing() -> IdentityError {
        IdentityError::Missing("x-h".into())
    }

    #[test]
    fn scalars_are_written_plainly() {
        use ListStyle::Comma;
        use ValueEncoding::Percent;
        check(Comma, Percent, json!("alice"), Ok(&["alice"]));
        check(Comma, Percent, json!("Alice B. <a@b>"), Ok(&["Alice B. <a@b>"]));
        check(Comma, Percent, json!(42), Ok(&["42"]));
        check(Comma, Percent, json!(-1.5), Ok(&["-1.5"]));
        check(Comma, Percent, json!(u64::MAX), Ok(&["18446744073709551615"]));
        check(Comma, Percent, json!(true), Ok(&["true"]));
    }

    #[test]
    fn values_that_would_break_a_header_are_encoded() {
        use ValueEncoding::{Base64Url, Percent, Reject};
        let hostile = json!("a\r\nx-admin: 1\0ü%0a");
        check(ListStyle::Comma, Percent, hostile.clone(), Ok(&["a%0D%0Ax-admin: 1%00%C3%BC%250a"]));
        check(ListStyle::Comma, Base64Url, hostile.clone(), Ok(&["YQ0KeC1hZG1pbjogMQDDvCUwYQ"]));
        check(ListStyle::Comma, Reject, hostile, Err(IdentityError::Unsafe("x-h".into())));
        check(ListStyle::Comma, Reject, json!("100%"), Ok(&["100%"]));
        check(ListStyle::Comma, Percent, json!(" a b "), Ok(&["%20a b%20"]));
        check(ListStyle::Comma, Percent, json!(" "), Ok(&["%20"]));
    }

    #[test]
    fn a_separator_inside_an_item_cannot_pass_for_two_items() {
        use ValueEncoding::{Percent, Reject};
        check(ListStyle::Comma, Percent, json!(["a,b", "c d"]), Ok(&["a%2Cb,c d"]));
        check(ListStyle::Space, Percent, json!(["a,b", "c d"]), Ok(&["a,b c%20d"]));
        check(ListStyle::Repeat, Percent, json!(["a,b", "c"]), Ok(&["a%2Cb", "c"]));
        check(
            ListStyle::Json,
            Percent,
            json!(["a\"ü\u{7f}\n", 1, "😀"]),
            Ok(&[r#"["a\"\u00fc\u007f\n",1,"\ud83d\ude00"]"#]),
        );
        check(ListStyle::Comma, Reject, json!(["a,b"]), Err(IdentityError::Unsafe("x-h".into())));
        // A string where a list was expected is a list of one.
        check(ListStyle::Comma, Percent, json!("a,b"), Ok(&["a%2Cb"]));
    }

    #[test]
    fn what_has_no_value_is_missing() {
        for claim in
            [json!(""), json!([]), json!({"a": 1}), json!([["a"]]), json!(["a", {"b": 1}]), json!(["a", ""])]
        {
            check(ListStyle::Comma, ValueEncoding::Percent, claim, Err(missing()));
        }
        check(ListStyle::Json, ValueEncoding::Percent, json!({"a": [1]}), Ok(&[r#"{"a":[1]}"#]));
        check(ListStyle::Json, ValueEncoding::Percent, json!([]), Err(missing()));
        check(ListStyle::Json, ValueEncoding::Percent, json!(""), Err(missing()));
        check(ListStyle::Json, ValueEncoding::Percent, json!("[1]"), Ok(&[r#""[1]""#]));
        let mut out = Vec::new();
        let omit = IdentityHeader {
            when_missing: WhenMissing::Omit,
            ..header(ListStyle::Comma, ValueEncoding::Percent)
        };
        assert_eq!(omit.write(None, &mut out), Ok(()));
        assert!(out.is_empty());
    }

    #[test]
    fn lost_digits_and_length_are_refused() {
        use ValueEncoding::Percent;
        let unsafe_number = || Err(IdentityError::Unsafe("x-h".into()));
        check(ListStyle::Comma, Percent, json!(1.234_567_890_123_456_8e22), unsafe_number());
        check(ListStyle::Comma, Percent, json!([1e300]), unsafe_number());
        check(ListStyle::Json, Percent, json!({"a": [1e300]}), unsafe_number());
        let too_long = || Err(IdentityError::TooLong("x-h".into()));
        check(ListStyle::Comma, Percent, json!("a".repeat(8193)), too_long());
        check(ListStyle::Comma, Percent, json!(vec!["a"; 1001]), too_long());
        check(ListStyle::Json, Percent, json!(["a".repeat(8192)]), too_long());
        let longest = "a".repeat(8192);
        check(ListStyle::Comma, Percent, json!(longest), Ok(&[&longest]));
    }

    proptest::proptest! {
        #[test]
        fn two_lists_never_look_the_same(a: Vec<String>, b: Vec<String>) {
            let write = |items: &Vec<String>| {
                let items: Vec<_> = items.iter().filter(|item| !item.is_empty()).collect();
                let mut out = Vec::new();
                let done = header(ListStyle::Comma, ValueEncoding::Percent).write(Some(&json!(items)), &mut out);
                (items.len(), done.map(|()| out))
            };
            let same = a.iter().filter(|s| !s.is_empty()).eq(b.iter().filter(|s| !s.is_empty()));
            proptest::prop_assert_eq!(write(&a) == write(&b), same);
        }
    }
}
