//! What the host must do with a request. Values only: the host performs them.

use crate::authn::rejection::Denial;
use crate::http::HeaderMutation;
use crate::jwt::{ClaimsSet, UnverifiedJwt, VerifiedToken};
use crate::policy::ProviderId;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::sync::Arc;

/// The end of a request's authentication.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision<'r> {
    /// Apply the mutations and let the request go on to the upstream.
    Forward(Forward<'r>),
    /// Answer the client; the upstream sees nothing.
    Reject(LocalReply),
}

/// Changes to make before a request goes on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Forward<'r> {
    /// Changes that depend on this request: forged identity headers and the used token taken out.
    pub mutations: Vec<HeaderMutation<'r>>,
    /// Changes that depend on the token alone: the identity headers, to be applied after `mutations`.
    /// Shared, so that the same token presented again costs no allocation.
    pub identity: Arc<[HeaderMutation<'static>]>,
    /// Entries for the host's own state of the request, name and value, for its logs and policies.
    pub state: Arc<[(String, String)]>,
    /// Whose token passed; the first, if the requirement took several. `None` for an anonymous request.
    pub provider: Option<ProviderId>,
    /// Why the request would have been denied, were its rule enforced (`enforce: report`).
    pub reported: Option<Reported>,
}

/// A denial that was not enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Why.
    pub denial: Denial,
    /// Place of the rule in the configuration, from 0.
    pub rule: usize,
    /// Whose token it was, as far as that was known.
    pub provider: Option<ProviderId>,
    /// What the token said.
    pub evidence: Evidence,
}

/// What a refused token said of itself, for logs. Nobody vouches for it. Never the token, and no claim but these.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    key_id: Option<String>,
    issuer: Option<String>,
    subject: Option<String>,
}

impl Evidence {
    /// Longer texts are cut: clients write them.
    const MAX_CHARS: usize = 128;

    pub(super) fn of_jwt(jwt: &UnverifiedJwt<'_>) -> Self {
        let key_id = jwt.jws().unverified_header().key_id.clone();
        Self { key_id, ..Self::of_claims(jwt.unverified_claims()) }
    }

    pub(super) fn of(token: &VerifiedToken) -> Self {
        Self { key_id: token.key_id().map(str::to_owned), ..Self::of_claims(token.claims()) }
    }

    pub(super) fn of_claims(claims: &ClaimsSet) -> Self {
        let text = |name| claims.string(name).ok().flatten().map(str::to_owned);
        Self { key_id: None, issuer: text("iss"), subject: text("sub") }
    }

    /// `kid`, cut if it is long.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref().map(cut)
    }

    /// `iss`, cut if it is long.
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref().map(cut)
    }

    /// A name for the subject that is not the subject: the first 16 bytes, in hexadecimal, of the SHA-256 of `iss`, a zero byte and
    /// `sub`. Who knows both can compute it, to find somebody in a log; it hides a subject no better than it can be guessed.
    pub fn subject_hash(&self) -> Option<String> {
        let subject = self.subject.as_deref()?;
        let issuer = self.issuer.as_deref().unwrap_or_default();
        let digest = Sha256::digest([issuer.as_bytes(), &[0], subject.as_bytes()].concat());
        Some(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }
}

fn cut(text: &str) -> &str {
    let end = text.char_indices().nth(Evidence::MAX_CHARS).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or_default()
}

impl std::fmt::Debug for Evidence {
    /// Subjects are personal data: their hash is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evidence")
            .field("key_id", &self.key_id())
            .field("issuer", &self.issuer())
            .field("subject_hash", &self.subject_hash())
            .finish()
    }
}

impl<'r> Forward<'r> {
    /// All changes in the order to apply them.
    pub fn all(&self) -> impl Iterator<Item = &HeaderMutation<'r>> {
        self.mutations.iter().chain(self.identity.iter())
    }
}

/// A response made at the edge (Envoy's word).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalReply {
    /// HTTP status code.
    pub status: u16,
    /// Why, for logs, metrics and the proxy's response code details.
    pub denial: Denial,
    /// Place of the rule in the configuration, from 0; `None` if none was for the request.
    pub rule: Option<usize>,
    /// Whose token it was, as far as that was known.
    pub provider: Option<ProviderId>,
    /// What the token said.
    pub evidence: Evidence,
    /// Response header fields.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// RFC 9457 problem details, JSON.
    pub body: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_names_subjects_by_hash_and_cuts_what_is_long() {
        let text = |text: &str| Some(text.to_owned());
        let evidence = Evidence {
            key_id: Some("é".repeat(200)),
            issuer: text("https://issuer.example"),
            subject: text("alice"),
        };
        assert_eq!(evidence.key_id().map(|key_id| key_id.chars().count()), Some(128));
        // printf 'https://issuer.example\0alice' | sha256sum
        assert_eq!(evidence.subject_hash().as_deref(), Some("d0c1e6aaa26b1226a7b0a1a3e4c6800d"));
        let other = Evidence { issuer: text("https://other.example"), ..evidence.clone() };
        assert_ne!(other.subject_hash(), evidence.subject_hash());
        assert!(!format!("{evidence:?}").contains("alice"));
        assert_eq!(Evidence::default().subject_hash(), None);
    }
}
