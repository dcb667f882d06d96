//! Why a request is denied, and the one map from each reason to what the client sees.

use super::decision::{Evidence, LocalReply};
use crate::jose::Algorithm;
use crate::jwt::UnverifiedJwt;
use crate::policy::ProviderId;
use std::borrow::Cow;
use std::fmt;

/// Why a request is denied. Each has a stable code, for problem details, metrics, logs and documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Denial {
    /// No rule is for this request.
    NoMatchingRule,
    /// The path has more than one reading, or is none.
    PathNotAccepted,
    /// The method is none, or not in upper case: some servers tell `post` from `POST`, and some do not.
    MethodNotAccepted,
    /// The name of a header field has bytes beyond ASCII, which hosts write in different ways.
    HeaderNotAccepted,
    /// No token was sent.
    TokenMissing,
    /// Tokens in several places, or a header repeated that may hold one.
    TokenRepeated,
    /// What follows the scheme is not one token.
    CredentialsMalformed,
    /// Longer than the limit.
    TokenTooLarge,
    /// Not a JWT: segments, base64url, JSON, duplicate members, `crit`.
    TokenMalformed,
    /// `alg` is none that we verify, or none that the provider may use.
    AlgorithmNotAllowed,
    /// `typ` is none that the provider may use.
    TokenTypeNotAllowed,
    /// `iss` is absent, or no provider of this rule has it.
    IssuerNotAllowed,
    /// A claim does not agree with the part of `iss` that it is bound to.
    IssuerMismatch,
    /// `aud` has none of the provider's audiences.
    AudienceNotAllowed,
    /// Now is on or after `exp`.
    TokenExpired,
    /// Now is before `nbf`.
    TokenNotYetValid,
    /// `iat` is in the future.
    TokenIssuedInFuture,
    /// The token lives longer than the provider's `max_lifetime`.
    TokenLifetimeTooLong,
    /// A required claim is absent.
    ClaimMissing,
    /// A registered claim has the wrong type or does not fit.
    ClaimMalformed,
    /// No key of the provider fits `kid` and `alg`.
    KeyNotFound,
    /// The signature is by none of the keys.
    SignatureInvalid,
    /// A scope is lacking.
    ScopeMissing,
    /// A claim does not meet the rule's condition.
    ClaimNotAllowed,
    /// A claim that must become an identity header has no value.
    IdentityClaimMissing,
    /// A claim cannot become a header safely: too long, or not to be encoded.
    IdentityClaimUnsafe,
    /// The provider says that the token is not active (RFC 7662).
    TokenInactive,
    /// The token is not bound as it must be.
    BindingMissing,
    /// The token is bound (`cnf`) in a way that is not checked here.
    BindingNotSupported,
    /// The token is bound to another certificate than the client's, or the client has none.
    CertificateMismatch,
    /// A token that is bound to a key was sent as a bearer token.
    DpopDowngraded,
    /// There is no `DPoP` header.
    DpopProofMissing,
    /// The `DPoP` header is not one proof.
    DpopProofMalformed,
    /// The proof's `alg` is not accepted.
    DpopAlgorithmNotAllowed,
    /// `htm` or `htu` is not that of the request.
    DpopRequestMismatch,
    /// `ath` is not that of the token, or the token is bound to another key.
    DpopTokenMismatch,
    /// `iat` is too far from now.
    DpopProofExpired,
    /// The proof must have a nonce, and has none that is good now.
    DpopNonceRequired,
    /// The proof's signature is not by its key.
    DpopSignatureInvalid,
    /// The proof was used before.
    DpopProofReplayed,
    /// There is no room to remember the proof.
    DpopMemoryFull,
    /// The provider's keys cannot be had.
    KeysUnavailable,
    /// The provider cannot be asked about the token.
    IntrospectionUnavailable,
    /// The filter itself failed; nothing is known of the token.
    InternalError,
}

/// Who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// Whoever sent the request.
    Client,
    /// Whoever issues the tokens or publishes the keys.
    Issuer,
    /// Whoever wrote the configuration.
    Operator,
    /// We: a bug.
    Bug,
}

/// The `error` attribute of a challenge: RFC 6750 section 3.1, RFC 9449 sections 7.1 and 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ErrorCode {
    InvalidRequest,
    InvalidToken,
    InsufficientScope,
    InvalidDpopProof,
    UseDpopNonce,
}

impl ErrorCode {
    const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
        }
    }

    /// Whether it exists in challenges of the scheme `DPoP` only.
    const fn is_about_proofs(self) -> bool {
        matches!(self, Self::InvalidDpopProof | Self::UseDpopNonce)
    }
}

/// What the challenge says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChallengeKind {
    /// No `WWW-Authenticate`: other credentials would not help.
    None,
    /// A challenge without `error`: no token was sent (RFC 6750 section 3.1, last paragraph).
    Plain,
    /// A challenge that says what was wrong.
    Error(ErrorCode),
}

struct Wire {
    code: &'static str,
    status: u16,
    challenge: ChallengeKind,
    title: &'static str,
    blame: Blame,
}

impl Denial {
    /// Every denial.
    pub const ALL: [Self; 44] = [
        Self::NoMatchingRule,
        Self::PathNotAccepted,
        Self::MethodNotAccepted,
        Self::HeaderNotAccepted,
        Self::TokenMissing,
        Self::TokenRepeated,
        Self::CredentialsMalformed,
        Self::TokenTooLarge,
        Self::TokenMalformed,
        Self::AlgorithmNotAllowed,
        Self::TokenTypeNotAllowed,
        Self::IssuerNotAllowed,
        Self::IssuerMismatch,
        Self::AudienceNotAllowed,
        Self::TokenExpired,
        Self::TokenNotYetValid,
        Self::TokenIssuedInFuture,
        Self::TokenLifetimeTooLong,
        Self::ClaimMissing,
        Self::ClaimMalformed,
        Self::KeyNotFound,
        Self::SignatureInvalid,
        Self::ScopeMissing,
        Self::ClaimNotAllowed,
        Self::IdentityClaimMissing,
        Self::IdentityClaimUnsafe,
        Self::TokenInactive,
        Self::BindingMissing,
        Self::BindingNotSupported,
        Self::CertificateMismatch,
        Self::DpopDowngraded,
        Self::DpopProofMissing,
        Self::DpopProofMalformed,
        Self::DpopAlgorithmNotAllowed,
        Self::DpopRequestMismatch,
        Self::DpopTokenMismatch,
        Self::DpopProofExpired,
        Self::DpopNonceRequired,
        Self::DpopSignatureInvalid,
        Self::DpopProofReplayed,
        Self::DpopMemoryFull,
        Self::KeysUnavailable,
        Self::IntrospectionUnavailable,
        Self::InternalError,
    ];

    /// The one map to the wire. No wildcard: a new denial does not compile until it is here.
    const fn wire(self) -> Wire {
        use Blame::{Bug, Client, Issuer, Operator};
        use ChallengeKind::{Error, None, Plain};
        use ErrorCode::{InsufficientScope, InvalidDpopProof, InvalidRequest, InvalidToken, UseDpopNonce};
        let (code, status, challenge, title, blame) = match self {
            Self::NoMatchingRule => ("no_matching_rule", 403, None, "No rule allows this request", Client),
            Self::PathNotAccepted => {
                ("path_not_accepted", 400, None, "The path has more than one reading", Client)
            }
            Self::MethodNotAccepted => {
                ("method_not_accepted", 400, None, "The method is not in upper case", Client)
            }
            Self::HeaderNotAccepted => {
                ("header_not_accepted", 400, None, "The name of a header is not in ASCII", Client)
            }
            Self::TokenMissing => ("token_missing", 401, Plain, "A token is required", Client),
            Self::TokenRepeated => {
                ("token_repeated", 400, Error(InvalidRequest), "More than one token was sent", Client)
            }
            Self::CredentialsMalformed => {
                ("credentials_malformed", 400, Error(InvalidRequest), "The credentials are malformed", Client)
            }
            Self::TokenTooLarge => {
                ("token_too_large", 401, Error(InvalidToken), "The token is too large", Client)
            }
            Self::TokenMalformed => {
                ("token_malformed", 401, Error(InvalidToken), "The token is malformed", Client)
            }
            Self::AlgorithmNotAllowed => (
                "algorithm_not_allowed",
                401,
                Error(InvalidToken),
                "The token's algorithm is not accepted",
                Client,
            ),
            Self::TokenTypeNotAllowed => (
                "token_type_not_allowed",
                401,
                Error(InvalidToken),
                "The token's type is not accepted",
                Client,
            ),
            Self::IssuerNotAllowed => {
                ("issuer_not_allowed", 401, Error(InvalidToken), "The token's issuer is not accepted", Client)
            }
            Self::IssuerMismatch => (
                "issuer_mismatch",
                401,
                Error(InvalidToken),
                "The token's issuer and claims disagree",
                Client,
            ),
            Self::AudienceNotAllowed => (
                "audience_not_allowed",
                401,
                Error(InvalidToken),
                "The token is for another audience",
                Client,
            ),
            Self::TokenExpired => {
                ("token_expired", 401, Error(InvalidToken), "The token has expired", Client)
            }
            Self::TokenNotYetValid => {
                ("token_not_yet_valid", 401, Error(InvalidToken), "The token is not valid yet", Client)
            }
            Self::TokenIssuedInFuture => (
                "token_issued_in_future",
                401,
                Error(InvalidToken),
                "The token was issued in the future",
                Client,
            ),
            Self::TokenLifetimeTooLong => {
                ("token_lifetime_too_long", 401, Error(InvalidToken), "The token lives too long", Issuer)
            }
            Self::ClaimMissing => {
                ("claim_missing", 401, Error(InvalidToken), "The token lacks a claim", Issuer)
            }
            Self::ClaimMalformed => {
                ("claim_malformed", 401, Error(InvalidToken), "The token has a malformed claim", Issuer)
            }
            Self::KeyNotFound => {
                ("key_not_found", 401, Error(InvalidToken), "The token's key is not known", Client)
            }
            Self::SignatureInvalid => {
                ("signature_invalid", 401, Error(InvalidToken), "The token's signature is not valid", Client)
            }
            Self::ScopeMissing => {
                ("scope_missing", 403, Error(InsufficientScope), "The token lacks a scope", Client)
            }
            Self::ClaimNotAllowed => (
                "claim_not_allowed",
                403,
                Error(InsufficientScope),
                "The token's claims do not allow this",
                Client,
            ),
            Self::IdentityClaimMissing => (
                "identity_claim_missing",
                403,
                None,
                "The token lacks a claim that identifies the caller",
                Issuer,
            ),
            Self::IdentityClaimUnsafe => {
                ("identity_claim_unsafe", 403, None, "A claim cannot be passed on safely", Operator)
            }
            Self::TokenInactive => {
                ("token_inactive", 401, Error(InvalidToken), "The token is not active", Client)
            }
            Self::BindingMissing => (
                "binding_missing",
                401,
                Error(InvalidToken),
                "The token is not bound to the client as it must be",
                Client,
            ),
            Self::BindingNotSupported => (
                "binding_not_supported",
                401,
                Error(InvalidToken),
                "The token is bound in a way that is not supported here",
                Operator,
            ),
            Self::CertificateMismatch => (
                "certificate_mismatch",
                401,
                Error(InvalidToken),
                "The token is bound to another certificate",
                Client,
            ),
            Self::DpopDowngraded => (
                "dpop_downgraded",
                401,
                Error(InvalidToken),
                "A token that is bound to a key was sent as a bearer token",
                Client,
            ),
            Self::DpopProofMissing => {
                ("dpop_proof_missing", 401, Error(InvalidDpopProof), "A DPoP proof is required", Client)
            }
            Self::DpopProofMalformed => {
                ("dpop_proof_malformed", 401, Error(InvalidDpopProof), "The DPoP proof is malformed", Client)
            }
            Self::DpopAlgorithmNotAllowed => (
                "dpop_algorithm_not_allowed",
                401,
                Error(InvalidDpopProof),
                "The algorithm of the DPoP proof is not accepted",
                Client,
            ),
            Self::DpopRequestMismatch => (
                "dpop_request_mismatch",
                401,
                Error(InvalidDpopProof),
                "The DPoP proof is for another request",
                Client,
            ),
            Self::DpopTokenMismatch => (
                "dpop_token_mismatch",
                401,
                Error(InvalidDpopProof),
                "The DPoP proof is for another token or by another key",
                Client,
            ),
            Self::DpopProofExpired => (
                "dpop_proof_expired",
                401,
                Error(InvalidDpopProof),
                "The DPoP proof is too old or from the future",
                Client,
            ),
            Self::DpopNonceRequired => (
                "dpop_nonce_required",
                401,
                Error(UseDpopNonce),
                "The DPoP proof needs the nonce that is sent along",
                Client,
            ),
            Self::DpopSignatureInvalid => (
                "dpop_signature_invalid",
                401,
                Error(InvalidDpopProof),
                "The signature of the DPoP proof is not valid",
                Client,
            ),
            Self::DpopProofReplayed => (
                "dpop_proof_replayed",
                401,
                Error(InvalidDpopProof),
                "The DPoP proof was used before",
                Client,
            ),
            Self::DpopMemoryFull => {
                ("dpop_memory_full", 503, None, "There is no room to remember the DPoP proof", Operator)
            }
            Self::KeysUnavailable => {
                ("keys_unavailable", 503, None, "The issuer's keys are not available", Issuer)
            }
            Self::IntrospectionUnavailable => {
                ("introspection_unavailable", 503, None, "The issuer cannot be asked about the token", Issuer)
            }
            Self::InternalError => ("internal_error", 500, None, "The request could not be judged", Bug),
        };
        Wire { code, status, challenge, title, blame }
    }

    /// The stable code.
    pub const fn code(self) -> &'static str {
        self.wire().code
    }

    /// HTTP status code.
    pub const fn status(self) -> u16 {
        self.wire().status
    }

    /// One sentence for people; nothing of the request is in it.
    pub const fn title(self) -> &'static str {
        self.wire().title
    }

    /// Who has to act.
    pub const fn blame(self) -> Blame {
        self.wire().blame
    }

    /// The `error` attribute of the challenge, if the response has one.
    pub const fn challenge_error(self) -> Option<&'static str> {
        match self.wire().challenge {
            ChallengeKind::Error(code) => Some(code.name()),
            ChallengeKind::None | ChallengeKind::Plain => None,
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What every challenge says: RFC 6750 section 3, RFC 9728 section 5.1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Challenge {
    /// `realm`; visible ASCII without quotes or backslashes.
    pub realm: Option<String>,
    /// URL of the protected resource's metadata.
    pub resource_metadata: Option<String>,
}

/// The schemes by which a token may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    /// `Bearer`, or in a place of its own.
    pub(super) bearer: bool,
    /// `DPoP`, with proofs by these algorithms; none if there are none.
    pub(super) dpop: Vec<Algorithm>,
}

impl Default for Offer {
    fn default() -> Self {
        Self { bearer: true, dpop: Vec::new() }
    }
}

/// The answer for a request that the host could not read or change, or before it has a configuration: denied, as a bug.
pub fn internal_error() -> LocalReply {
    Rejection::from(Denial::InternalError).reply(&Challenge::default(), &Offer::default())
}

/// A denial, with what the client may be told beyond it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection {
    pub(super) denial: Denial,
    /// Scopes that are needed, space-separated.
    pub(super) scopes: Option<String>,
    /// Place of the rule in the configuration.
    pub(super) rule: Option<usize>,
    /// Whose token it was, as far as that was known.
    pub(super) provider: Option<ProviderId>,
    /// What the token said.
    pub(super) evidence: Evidence,
    /// Whether the token came with the scheme `DPoP`.
    pub(super) is_dpop: bool,
    /// The nonce to use.
    pub(super) nonce: Option<String>,
}

impl From<Denial> for Rejection {
    fn from(denial: Denial) -> Self {
        Self {
            denial,
            scopes: None,
            rule: None,
            provider: None,
            evidence: Evidence::default(),
            is_dpop: false,
            nonce: None,
        }
    }
}

impl Rejection {
    pub(super) fn of(provider: ProviderId, denial: Denial) -> Self {
        Self { provider: Some(provider), ..Self::from(denial) }
    }

    pub(super) fn about(self, jwt: &UnverifiedJwt<'_>) -> Self {
        self.with(Evidence::of_jwt(jwt))
    }

    pub(super) fn with(self, evidence: Evidence) -> Self {
        Self { evidence, ..self }
    }

    pub(super) fn by_dpop(self, is_dpop: bool) -> Self {
        Self { is_dpop, ..self }
    }

    pub(super) fn reply(self, challenge: &Challenge, offer: &Offer) -> LocalReply {
        let Wire { code, status, title, .. } = self.denial.wire();
        let mut headers: Vec<(&'static str, Cow<'static, str>)> = vec![
            ("content-type", Cow::Borrowed("application/problem+json")),
            ("cache-control", Cow::Borrowed("no-store")),
        ];
        if let Some(value) = self.challenges(challenge, offer) {
            headers.push(("www-authenticate", Cow::Owned(value)));
        }
        if status == 503 {
            headers.push(("retry-after", Cow::Borrowed("5")));
        }
        // Codes and titles are our own plain words: nothing in them needs escaping.
        let body = format!(
            r#"{{"type":"urn:doorward:denial:{code}","title":"{title}","status":{status},"code":"{code}"}}"#
        );
        let Self { denial, rule, provider, evidence, nonce, .. } = self;
        headers.extend(nonce.map(|nonce| ("dpop-nonce", Cow::Owned(nonce))));
        LocalReply { status, denial, rule, provider, evidence, headers, body }
    }

    /// One challenge for each scheme (RFC 9110 section 11.6.1). What was wrong is said in the one that the client used.
    fn challenges(&self, challenge: &Challenge, offer: &Offer) -> Option<String> {
        let kind = self.denial.wire().challenge;
        if kind == ChallengeKind::None {
            return None;
        }
        let is_about_proofs = matches!(kind, ChallengeKind::Error(code) if code.is_about_proofs());
        let has_dpop = !offer.dpop.is_empty();
        let blames_dpop = has_dpop && (is_about_proofs || self.is_dpop || !offer.bearer);
        let bearer =
            (offer.bearer || !has_dpop).then(|| self.challenge("Bearer", !blames_dpop, "", challenge));
        let algorithms: Vec<_> = offer.dpop.iter().map(|algorithm| algorithm.name()).collect();
        let dpop = has_dpop.then(|| self.challenge("DPoP", blames_dpop, &algorithms.join(" "), challenge));
        Some(bearer.into_iter().chain(dpop).collect::<Vec<_>>().join(", "))
    }

    fn challenge(&self, scheme: &str, with_error: bool, algorithms: &str, challenge: &Challenge) -> String {
        let mut attributes: Vec<(&str, &str)> = Vec::new();
        attributes.extend(challenge.realm.as_deref().map(|realm| ("realm", realm)));
        if let (true, ChallengeKind::Error(code)) = (with_error, self.denial.wire().challenge) {
            attributes.extend([("error", code.name()), ("error_description", self.denial.title())]);
        }
        attributes.extend(self.scopes.as_deref().map(|scopes| ("scope", scopes)));
        if !algorithms.is_empty() {
            attributes.push(("algs", algorithms));
        }
        attributes.extend(challenge.resource_metadata.as_deref().map(|url| ("resource_metadata", url)));
        let list: Vec<String> =
            attributes.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        format!("{scheme} {}", list.join(", ")).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_and_plain() {
        let codes: HashSet<_> = Denial::ALL.iter().map(|denial| denial.code()).collect();
        assert_eq!(codes.len(), Denial::ALL.len());
        for denial in Denial::ALL {
            assert!(denial.code().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{denial}");
            assert!(
                denial.title().bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\' || b == b' ')
            );
        }
    }

    #[test]
    fn status_and_error_agree_with_rfc_6750() {
        for denial in Denial::ALL {
            match denial.challenge_error() {
                Some("invalid_request") => assert_eq!(denial.status(), 400, "{denial}"),
                Some("invalid_token" | "invalid_dpop_proof" | "use_dpop_nonce") => {
                    assert_eq!(denial.status(), 401, "{denial}");
                }
                Some("insufficient_scope") => assert_eq!(denial.status(), 403, "{denial}"),
                _ => assert!(denial == Denial::TokenMissing || denial.status() != 401, "{denial}"),
            }
        }
    }

    fn check(rejection: impl Into<Rejection>, challenge: &Challenge, expected: Option<&str>) {
        let reply = rejection.into().reply(challenge, &Offer::default());
        let found = reply.headers.iter().find(|(name, _)| *name == "www-authenticate");
        assert_eq!(found.map(|(_, value)| value.as_ref()), expected);
    }

    #[test]
    fn challenges_say_what_was_wrong_and_nothing_else() {
        let bare = Challenge::default();
        check(Denial::TokenMissing, &bare, Some("Bearer"));
        check(Denial::NoMatchingRule, &bare, None);
        check(
            Denial::TokenExpired,
            &bare,
            Some(r#"Bearer error="invalid_token", error_description="The token has expired""#),
        );
        let full = Challenge {
            realm: Some("api".into()),
            resource_metadata: Some("https://a/.well-known/x".into()),
        };
        check(
            Denial::TokenMissing,
            &full,
            Some(r#"Bearer realm="api", resource_metadata="https://a/.well-known/x""#),
        );
        let scope = Rejection { scopes: Some("read write".into()), ..Rejection::from(Denial::ScopeMissing) };
        check(
            scope,
            &bare,
            Some(
                r#"Bearer error="insufficient_scope", error_description="The token lacks a scope", scope="read write""#,
            ),
        );
    }

    #[test]
    fn each_scheme_has_its_challenge_and_the_one_used_says_what_was_wrong() {
        let both = Offer { bearer: true, dpop: vec![Algorithm::Es256, Algorithm::EdDsa] };
        let only = Offer { bearer: false, ..both.clone() };
        let check = |rejection: Rejection, offer: &Offer, expected: &str| {
            let reply = rejection.reply(&Challenge::default(), offer);
            let found = reply.headers.iter().find(|(name, _)| *name == "www-authenticate");
            assert_eq!(found.map(|(_, value)| value.as_ref()), Some(expected));
        };
        let plain = r#"DPoP algs="ES256 EdDSA""#;
        check(Denial::TokenMissing.into(), &both, &format!("Bearer, {plain}"));
        check(Denial::TokenMissing.into(), &only, plain);
        let expired = r#"error="invalid_token", error_description="The token has expired""#;
        check(Denial::TokenExpired.into(), &both, &format!("Bearer {expired}, {plain}"));
        let by_dpop = || Rejection::from(Denial::TokenExpired).by_dpop(true);
        check(by_dpop(), &both, &format!(r#"Bearer, DPoP {expired}, algs="ES256 EdDSA""#));
        check(Denial::TokenExpired.into(), &only, &format!(r#"DPoP {expired}, algs="ES256 EdDSA""#));
        check(
            Denial::DpopProofMissing.into(),
            &both,
            r#"Bearer, DPoP error="invalid_dpop_proof", error_description="A DPoP proof is required", algs="ES256 EdDSA""#,
        );
        let nonce = Rejection { nonce: Some("n".into()), ..Denial::DpopNonceRequired.into() };
        let reply = nonce.reply(&Challenge::default(), &only);
        assert!(reply.headers.contains(&("dpop-nonce", Cow::Borrowed("n"))));
    }

    #[test]
    fn bodies_are_problem_details() {
        for denial in Denial::ALL {
            let reply = Rejection::from(denial).reply(&Challenge::default(), &Offer::default());
            let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
            assert_eq!(body["status"], denial.status());
            assert_eq!(body["code"], denial.code());
            assert_eq!(reply.status, denial.status());
        }
        let reply = Rejection::from(Denial::KeysUnavailable).reply(&Challenge::default(), &Offer::default());
        assert!(reply.headers.contains(&("retry-after", Cow::Borrowed("5"))));
    }
}
