//! Doorward's identity headers, read: copy this file. Every function refuses what Doorward does not write, and answers
//! nothing for an absent header.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hyper::HeaderMap;
use percent_encoding::percent_decode_str;
use serde_json::Value;

fn fields<'h>(headers: &'h HeaderMap, name: &str) -> Result<Vec<&'h str>> {
    let values = headers.get_all(name).iter();
    values.map(|value| value.to_str().with_context(|| format!("{name}: expected visible ASCII"))).collect()
}

fn field<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>> {
    let found = fields(headers, name)?;
    ensure!(found.len() <= 1, "{name}: expected one field, but found {}", found.len());
    Ok(found.first().copied())
}

fn percent_decode(name: &str, value: &str) -> Result<String> {
    let is_escape = |after: &str| {
        let digit = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
        after.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(digit))
    };
    let well_formed = !value.is_empty() && value.split('%').skip(1).all(is_escape);
    ensure!(well_formed, "{name}: expected percent-encoded text");
    let text = percent_decode_str(value).decode_utf8();
    Ok(text.with_context(|| format!("{name}: expected UTF-8"))?.into_owned())
}

/// One string, number or boolean, as text.
pub(crate) fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>> {
    let Some(value) = field(headers, name)? else { return Ok(None) };
    // A comma inside one value is encoded. A plain one stands between two: the claim was a list.
    ensure!(!value.contains(','), "{name}: expected one value, but found a list");
    percent_decode(name, value).map(Some)
}

/// A whole number. JSON's largest here is that of `u64`, its smallest that of `i64`.
pub(crate) fn integer(headers: &HeaderMap, name: &str) -> Result<Option<i128>> {
    let Some(value) = text(headers, name)? else { return Ok(None) };
    value.parse().map(Some).with_context(|| format!("{name}: expected a whole number"))
}

/// A list: `list: comma`, `list: repeat` (fields that may have been joined by commas on the way), or `list: space` with `' '`.
///
/// Split first, decode then: an item named `a,b` is `a%2Cb` here, and must not become two.
pub(crate) fn items(headers: &HeaderMap, name: &str, separator: char) -> Result<Vec<String>> {
    let fields = fields(headers, name)?;
    let parts = fields.iter().flat_map(|field| field.split(separator));
    parts.map(|part| percent_decode(name, part.trim_matches([' ', '\t']))).collect()
}

/// `list: json`: any JSON value.
pub(crate) fn json(headers: &HeaderMap, name: &str) -> Result<Option<Value>> {
    let Some(value) = field(headers, name)? else { return Ok(None) };
    serde_json::from_str(value).map(Some).with_context(|| format!("{name}: expected JSON"))
}

/// `encoding: base64url`: one text. `payload_header` too: the token's whole payload, as the JSON text that was signed.
pub(crate) fn base64url_text(headers: &HeaderMap, name: &str) -> Result<Option<String>> {
    let Some(value) = field(headers, name)? else { return Ok(None) };
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(value).ok();
    let bytes = bytes.with_context(|| format!("{name}: expected base64url"))?;
    String::from_utf8(bytes).map(Some).with_context(|| format!("{name}: expected UTF-8"))
}
