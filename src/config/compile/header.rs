//! What goes to the upstream and back to the client: identity headers, challenges, limits.

use super::Compiler;
use crate::authn::CacheLimits;
use crate::authn::rejection::Challenge;
use crate::config::fault::Path;
use crate::config::raw;
use crate::oidc::Endpoint;
use crate::policy::{IdentityHeader, IdentityMapping, ListStyle, ManagedHeaders, ValueEncoding, WhenMissing};

const DEFAULT_TOKEN_BYTES: usize = 16 * 1024;
const MIN_TOKEN_BYTES: u64 = 256;
const MAX_TOKEN_BYTES: u64 = 1024 * 1024;

const MAX_CACHED_TOKENS: u32 = 1_000_000;
const MIN_CACHED_BYTES: u64 = 64 * 1024;
const MAX_CACHED_BYTES: u64 = 1024 * 1024 * 1024;
const DEFAULT_DENIAL_LOGS: u32 = 10;
const MAX_DENIAL_LOGS: u32 = 10_000;

/// Entries of filter state that are not claims.
const RESERVED_STATE: [&str; 2] = ["provider", "reported"];

/// Headers by which hosts route, frame, or authenticate: never ours to set.
const RESERVED: [&str; 14] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Compiler<'_> {
    pub(super) fn identity(
        &mut self,
        raw: Vec<raw::IdentityHeader>,
        payload: Option<String>,
    ) -> IdentityMapping {
        let root = Path::default();
        let path = root.member("identity_headers");
        let mut mapping = IdentityMapping::default();
        for (index, raw) in raw.into_iter().enumerate() {
            let path = path.item(index);
            let header = self.faults.expect(&path.member("header"), raw.header, "a header name");
            let header =
                header.and_then(|header| self.identity_name(&path.member("header"), &header, &mapping));
            let style = (raw.list, raw.encoding, raw.when_missing);
            mapping.headers.extend(self.mapped_claim(&path, header, raw.claim, raw.provider, style));
        }
        if let Some(name) = payload {
            mapping.payload_header = self.identity_name(&root.member("payload_header"), &name, &mapping);
        }
        mapping
    }

    /// Filter state is written like headers are, under names of its own.
    pub(super) fn filter_state(&mut self, path: &Path, raw: Vec<raw::FilterState>) -> IdentityMapping {
        let mut mapping = IdentityMapping::default();
        for (index, raw) in raw.into_iter().enumerate() {
            let path = path.item(index);
            let name_path = path.member("name");
            let name = self.faults.expect(&name_path, raw.name, "a name");
            let is_letter = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
            let name = name.filter(|name| {
                let is_plain = !name.is_empty() && name.bytes().all(is_letter);
                if !is_plain {
                    let message =
                        format_args!("expected letters in lower case, digits and _, but found {name:?}");
                    self.faults.add(&name_path, message);
                } else if RESERVED_STATE.contains(&name.as_str()) {
                    self.faults.add(&name_path, format_args!("{name:?} is set by the filter itself"));
                } else if mapping.names().any(|known| known == name) {
                    self.faults.add(&name_path, format_args!("{name:?} is there already"));
                }
                is_plain
            });
            if matches!(raw.list, raw::ListStyle::Repeat) {
                self.faults
                    .add(&path.member("list"), "expected comma, space or json: an entry has one value");
            }
            let style = (raw.list, raw.encoding, raw.when_missing);
            mapping.headers.extend(self.mapped_claim(&path, name, raw.claim, raw.provider, style));
        }
        mapping
    }

    /// One claim under a name, whatever carries it.
    fn mapped_claim(
        &mut self,
        path: &Path,
        header: Option<String>,
        claim: Vec<String>,
        provider: Option<String>,
        (list, encoding, when_missing): (raw::ListStyle, raw::Encoding, raw::WhenMissing),
    ) -> Option<IdentityHeader> {
        let claim = self.claim_path(&path.member("claim"), claim);
        let provider = provider.map(|name| self.provider_id(&path.member("provider"), Some(name)));
        Some(IdentityHeader {
            header: header?,
            claim: claim?,
            provider: provider.flatten(),
            list: list_style(list),
            encoding: self::encoding(encoding),
            when_missing: self::when_missing(when_missing),
        })
    }

    fn identity_name(&mut self, path: &Path, name: &str, mapping: &IdentityMapping) -> Option<String> {
        let name = self.header_name(path, name)?;
        if RESERVED.contains(&name.as_str()) {
            self.faults.add(path, format_args!("header {name:?} has a meaning of its own in HTTP"));
            return None;
        }
        if ManagedHeaders::new(mapping.names()).covers(name.as_bytes()) {
            self.faults
                .add(path, format_args!("header {name:?} is there already, or is an alias of one that is"));
            return None;
        }
        Some(name)
    }

    pub(super) fn challenge(&mut self, path: &Path, raw: raw::Challenge) -> Challenge {
        let is_plain = |text: &String| {
            text.bytes()
                .all(|byte| (byte.is_ascii_graphic() || byte == b' ') && byte != b'"' && byte != b'\\')
        };
        if raw.realm.as_ref().is_some_and(|realm| !is_plain(realm)) {
            self.faults.add(&path.member("realm"), "expected visible ASCII without quotes and backslashes");
        }
        if let Some(url) = &raw.resource_metadata {
            self.faults.check(&path.member("resource_metadata"), Endpoint::parse(url, ""));
        }
        Challenge { realm: raw.realm, resource_metadata: raw.resource_metadata }
    }

    pub(super) fn denial_logs(&mut self, path: &Path, raw: &raw::Limits) -> u32 {
        let Some(lines) = raw.denial_logs else { return DEFAULT_DENIAL_LOGS };
        if lines > MAX_DENIAL_LOGS {
            let message = format_args!("expected 0 to {MAX_DENIAL_LOGS} a second, but found {lines}");
            self.faults.add(&path.member("denial_logs"), message);
        }
        lines
    }

    pub(super) fn token_cache(&mut self, path: &Path, raw: &raw::Limits) -> CacheLimits {
        let mut limits = CacheLimits::default();
        if let Some(entries) = raw.cached_tokens {
            if entries > MAX_CACHED_TOKENS {
                let message = format_args!("expected 0 to {MAX_CACHED_TOKENS} tokens, but found {entries}");
                self.faults.add(&path.member("cached_tokens"), message);
            }
            limits.entries = usize::try_from(entries).unwrap_or(limits.entries);
        }
        if let Some(bytes) = raw.cached_token_bytes {
            if !(MIN_CACHED_BYTES..=MAX_CACHED_BYTES).contains(&bytes) {
                let message = format_args!(
                    "expected {MIN_CACHED_BYTES} to {MAX_CACHED_BYTES} bytes, but found {bytes}"
                );
                self.faults.add(&path.member("cached_token_bytes"), message);
            }
            limits.bytes = usize::try_from(bytes).unwrap_or(limits.bytes);
        }
        limits
    }

    pub(super) fn max_token_bytes(&mut self, path: &Path, raw: &raw::Limits) -> usize {
        let Some(bytes) = raw.max_token_bytes else { return DEFAULT_TOKEN_BYTES };
        if !(MIN_TOKEN_BYTES..=MAX_TOKEN_BYTES).contains(&bytes) {
            let message =
                format_args!("expected {MIN_TOKEN_BYTES} to {MAX_TOKEN_BYTES} bytes, but found {bytes}");
            self.faults.add(&path.member("max_token_bytes"), message);
        }
        usize::try_from(bytes).unwrap_or(DEFAULT_TOKEN_BYTES)
    }
}

const fn list_style(raw: raw::ListStyle) -> ListStyle {
    match raw {
        raw::ListStyle::Comma => ListStyle::Comma,
        raw::ListStyle::Space => ListStyle::Space,
        raw::ListStyle::Json => ListStyle::Json,
        raw::ListStyle::Repeat => ListStyle::Repeat,
    }
}

const fn encoding(raw: raw::Encoding) -> ValueEncoding {
    match raw {
        raw::Encoding::Percent => ValueEncoding::Percent,
        raw::Encoding::Base64url => ValueEncoding::Base64Url,
        raw::Encoding::Reject => ValueEncoding::Reject,
    }
}

const fn when_missing(raw: raw::WhenMissing) -> WhenMissing {
    match raw {
        raw::WhenMissing::Omit => WhenMissing::Omit,
        raw::WhenMissing::Reject => WhenMissing::Reject,
    }
}
