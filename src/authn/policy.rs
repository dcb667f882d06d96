//! A checked configuration: everything that decisions depend on, but for keys and time.

use super::rejection::Challenge;
use super::{BearerError, TokenLocation, bearer};
use crate::http::RequestHead;
use crate::jose::Algorithm;
use crate::jwt::{ClaimRules, IssuerBinding};
use crate::policy::{AnyOf, Enforcement, IdentityMapping, ManagedHeaders, ProviderId, RuleAction, Rules};
use std::collections::HashMap;

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
    /// What challenges say.
    pub challenge: Challenge,
    /// Whether CORS preflight requests pass without a token.
    pub bypass_cors_preflight: bool,
    /// The longest token, in bytes.
    pub max_token_bytes: usize,
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

    /// The provider of `group` that `issuer` stands for.
    pub fn find_issuer(&self, issuer: &str, group: &AnyOf) -> Option<&TrustedIssuer> {
        self.issuers.get(issuer)?.iter().find(|trusted| group.of(trusted.provider).next().is_some())
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
        let found = bearer::find(head, &self.locations(group))?;
        Ok(found.map(|found| (found.token, found.location)))
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
