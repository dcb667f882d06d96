//! The head of a request, as the web platform tells it.

use doorward::http::HeaderField;
use std::borrow::Cow;

/// A request's head in one text: see `head` in `web.js`.
pub(crate) struct Received {
    text: Vec<u8>,
}

impl Received {
    /// Takes the text, in UTF-8.
    pub(crate) fn new(text: Vec<u8>) -> Self {
        Self { text: bytes(text) }
    }

    /// The fields, pseudo-headers first; `None` if the URL is none that a request can have.
    pub(crate) fn fields(&self) -> Option<Vec<HeaderField<'_>>> {
        let mut lines = self.text.split(|byte| *byte == b'\n');
        let (method, url) = (lines.next()?, lines.next()?);
        let url = Url::split(url)?;
        let mut fields = Vec::with_capacity(32);
        for (name, value) in [
            (&b":method"[..], method),
            (b":scheme", url.scheme),
            (b":authority", url.authority),
            (b":path", url.path),
        ] {
            fields.push(HeaderField { name, value });
        }
        while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
            fields.push(HeaderField { name, value });
        }
        Some(fields)
    }
}

/// The parts of an absolute URL, as the platform writes it.
struct Url<'u> {
    scheme: &'u [u8],
    authority: &'u [u8],
    /// Path and query.
    path: &'u [u8],
}

impl<'u> Url<'u> {
    fn split(url: &'u [u8]) -> Option<Self> {
        let colon = url.iter().position(|byte| *byte == b':')?;
        let (scheme, rest) = url.split_at_checked(colon)?;
        let rest = rest.strip_prefix(b"://")?;
        let end = rest.iter().position(|byte| *byte == b'/')?;
        let (authority, path) = rest.split_at_checked(end)?;
        let path = path.split(|byte| *byte == b'#').next()?;
        Some(Self { scheme, authority, path })
    }
}

/// Header fields are bytes, and the web platform shows each as a character (Infra Standard, isomorphic decoding).
fn bytes(text: Vec<u8>) -> Vec<u8> {
    if text.is_ascii() {
        return text;
    }
    // A character beyond a byte is of no header field: it stays what it is in UTF-8, for the core to refuse.
    let mut bytes = Vec::with_capacity(text.len());
    for character in String::from_utf8_lossy(&text).chars() {
        match u8::try_from(u32::from(character)) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// The same backwards: bytes as characters.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        Ok(_) | Err(_) => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
    }
}
