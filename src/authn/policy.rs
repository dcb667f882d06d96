//! A checked configuration: everything that decisions depend on, but for keys and time.

use super::rejection::{Challenge, Offer};
use super::token_cache::CacheLimits;
use super::{BearerError, TokenLocation, bearer};
use crate::http::RequestHead;
use crate::jose::Algorithm;
use crate::jwt::{ClaimRules, IssuerBinding, UnverifiedJwt};
use crate::oauth::dpop::Origin;
use crate::policy::{AnyOf, Enforcement, IdentityMapping, ManagedHeaders, ProviderId, RuleAction, Rules};
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// One party whose tokens are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its name in the configuration.
    pub name: String,
    /// Algorithms that its tokens may use.
    pub algorithms: Vec<Algorithm>,
    /// What its tokens' claims must be.
    pub claims: ClaimRules,
    /// Where its tokens may be.
    pub locations: Vec<TokenLocation>,
    /// Whether the token is left in the request for the upstream.
    pub forward_token: bool,
    /// Whether its tokens are opaque: it is asked about them, and keys do not count.
    pub is_introspected: bool,
    /// What its tokens are bound to.
    pub binding: BindingRules,
}

/// What tokens may or must be bound to, so that who steals one cannot use it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BindingRules {
    /// A key of the client's, proved with each request (RFC 9449). `None`: tokens so bound are refused.
    pub dpop: Option<DpopRules>,
    /// Whether tokens must be bound to the client's certificate (RFC 8705). Those that are, are held to it in any case.
    pub certificate_bound: bool,
    /// Whether bindings that are not asked for are ignored (`danger_ignore_confirmation`).
    pub ignore_unchecked: bool,
}

/// What DPoP proofs must be: RFC 9449 section 4.3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DpopRules {
    /// Whether tokens must be bound to a key.
    pub required: bool,
    /// Algorithms that proofs may use.
    pub algorithms: Vec<Algorithm>,
    /// How far `iat` may be from now, either way.
    pub proof_max_age: Duration,
    /// What clients call this service; none for the request's own scheme and host.
    pub origins: Vec<Origin>,
    /// Whether a nonce of ours must be in the proof.
    pub nonce: Option<NonceRules>,
}

/// Nonces that proofs must have.
#[derive(Clone, PartialEq, Eq)]
pub struct NonceRules {
    /// How long one is good for, at least.
    pub lifetime: Duration,
    /// What they are made with; `None` for the secret that the host shares.
    pub secret: Option<[u8; 32]>,
}

impl fmt::Debug for NonceRules {
    /// The secret is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NonceRules").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// A provider that an issuer stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedIssuer {
    /// Whose tokens have this issuer.
    pub provider: ProviderId,
    /// Claims that must agree with the issuer's name.
    pub bindings: Vec<IssuerBinding>,
}

/// A checked configuration. Made by `config`, or by a test.
#[derive(Debug, Clone, Default)]
pub struct AuthnPolicy {
    /// The providers; [`ProviderId`] is the place in this list.
    pub providers: Vec<Provider>,
    /// Issuers by their exact name. Several providers may share one, for different rules.
    pub issuers: HashMap<String, Vec<TrustedIssuer>>,
    /// The rules.
    pub rules: Rules,
    /// Claims to headers.
    pub identity: IdentityMapping,
    /// The headers that no client may send: those of `identity`, under every alias.
    pub managed: ManagedHeaders,
    /// Claims to entries of the host's own state of a request, under these names.
    pub filter_state: IdentityMapping,
    /// What challenges say.
    pub challenge: Challenge,
    /// Whether CORS preflight requests pass without a token.
    pub bypass_cors_preflight: bool,
    /// The longest token, in bytes.
    pub max_token_bytes: usize,
    /// The bounds of the cache of judged tokens.
    pub token_cache: CacheLimits,
    /// How many denials a second a worker logs.
    pub denial_logs: u32,
}

/// What follows from a policy for one rule, worked out once.
#[derive(Debug, Default)]
pub(super) struct RuleFacts {
    pub(super) groups: Vec<GroupFacts>,
    /// For challenges.
    pub(super) offer: Offer,
}

/// What follows for one group of its requirement.
#[derive(Debug)]
pub(super) struct GroupFacts {
    /// Every place where a token may be, each once.
    pub(super) places: Vec<TokenLocation>,
    /// The provider that is asked about its tokens.
    pub(super) asked: Option<ProviderId>,
}

impl RuleFacts {
    /// Those of every rule, in order.
    pub(super) fn of(policy: &AuthnPolicy) -> Vec<Self> {
        let rules = policy.rules.iter().enumerate();
        rules
            .map(|(place, rule)| {
                let groups = match &rule.action {
                    RuleAction::Anonymous => &[],
                    RuleAction::Require(requirement) => requirement.all.as_slice(),
                };
                let facts = |group: &AnyOf| GroupFacts {
                    places: policy.locations(group).into_iter().cloned().collect(),
                    asked: policy.introspected(group),
                };
                Self { groups: groups.iter().map(facts).collect(), offer: policy.offer(place) }
            })
            .collect()
    }
}

impl AuthnPolicy {
    /// The provider at a place.
    pub fn provider(&self, id: ProviderId) -> Option<&Provider> {
        self.providers.get(id.0)
    }

    /// What becomes of requests that do not meet the requirement of a rule.
    pub(super) fn enforcement(&self, rule: usize) -> Enforcement {
        match self.rules.get(rule).map(|rule| &rule.action) {
            Some(RuleAction::Require(requirement)) => requirement.enforcement,
            Some(RuleAction::Anonymous) | None => Enforcement::Deny,
        }
    }

    /// One group of the requirement of a rule; `None` after the last.
    pub(super) fn group(&self, rule: usize, index: usize) -> Option<&AnyOf> {
        match &self.rules.get(rule)?.action {
            RuleAction::Require(requirement) => requirement.all.get(index),
            RuleAction::Anonymous => None,
        }
    }

    /// The provider of `group` that `issuer` stands for; one with keys, if there are two.
    pub fn find_issuer(&self, issuer: &str, group: &AnyOf) -> Option<&TrustedIssuer> {
        let in_group = |trusted: &&TrustedIssuer| group.of(trusted.provider).next().is_some();
        let is_asked = |trusted: &&TrustedIssuer| {
            self.provider(trusted.provider).is_some_and(|provider| provider.is_introspected)
        };
        self.issuers.get(issuer)?.iter().filter(in_group).min_by_key(is_asked)
    }

    /// The provider of `group` that is asked about its tokens, if there is one.
    pub fn introspected(&self, group: &AnyOf) -> Option<ProviderId> {
        let mut ids = group.alternatives.iter().map(|alternative| alternative.provider);
        ids.find(|id| self.provider(*id).is_some_and(|provider| provider.is_introspected))
    }

    /// The token for `group` in a request, and where it is: what [`super::Authn::begin`] looks at, for explanations.
    ///
    /// # Errors
    /// [`BearerError`].
    pub fn find_token<'r>(
        &self,
        head: &RequestHead<'r>,
        group: &AnyOf,
    ) -> Result<Option<(&'r [u8], &TokenLocation)>, BearerError> {
        let found = bearer::find(head, self.locations(group))?;
        Ok(found.map(|found| (found.token, found.location)))
    }

    /// Whether `token` is a JWT that may meet a rule, by what it says of itself; nobody vouches for that. For who has several rules and
    /// wants the one to judge by: good for choosing, never for accepting.
    pub fn may_meet(&self, rule: usize, token: &[u8]) -> bool {
        let Ok(jwt) = UnverifiedJwt::parse(token) else { return false };
        let claims = jwt.unverified_claims();
        let Ok(Some(issuer)) = claims.string("iss") else { return false };
        let Some(group) = self.group(rule, 0) else { return false };
        let trusted = self.find_issuer(issuer, group);
        trusted.is_some_and(|trusted| group.check(trusted.provider, claims).is_ok())
    }

    /// The schemes by which a token for a rule may be sent, for challenges.
    pub(super) fn offer(&self, rule: usize) -> Offer {
        let Some(RuleAction::Require(requirement)) = self.rules.get(rule).map(|rule| &rule.action) else {
            return Offer::default();
        };
        let alternatives = requirement.all.iter().flat_map(|group| &group.alternatives);
        let mut offer = Offer { bearer: false, dpop: Vec::new() };
        for provider in alternatives.filter_map(|alternative| self.provider(alternative.provider)) {
            let dpop = provider.binding.dpop.as_ref();
            offer.bearer |= provider.locations.iter().any(|location| !location.is_dpop());
            for algorithm in dpop.into_iter().flat_map(|dpop| &dpop.algorithms) {
                if !offer.dpop.contains(algorithm) {
                    offer.dpop.push(*algorithm);
                }
            }
        }
        offer
    }

    /// Every place where a token for `group` may be, each once.
    pub(super) fn locations(&self, group: &AnyOf) -> Vec<&TokenLocation> {
        let mut places: Vec<&TokenLocation> = Vec::new();
        for alternative in &group.alternatives {
            for location in
                self.provider(alternative.provider).into_iter().flat_map(|provider| &provider.locations)
            {
                if !places.contains(&location) {
                    places.push(location);
                }
            }
        }
        places
    }
}
