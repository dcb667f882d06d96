//! What a request must prove: tokens of named providers, with scopes and claims.

use super::ClaimCondition;
use crate::jwt::ClaimsSet;

/// The place of a provider in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderId(pub usize);

/// Every one of these groups must be met (`all`). A plain `provider` or `any` is one group.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    /// The groups, in the order configured.
    pub all: Vec<AnyOf>,
    /// What becomes of a request that does not meet it.
    pub enforcement: Enforcement,
}

/// What becomes of a request that does not meet its requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enforcement {
    /// It is denied.
    #[default]
    Deny,
    /// It passes without identity, and the denial is reported: a policy tried on live traffic (shadow mode).
    Report,
}

/// One token must meet one of these alternatives.
///
/// The places where the alternatives' providers look for tokens count as one: a request with tokens in two of them
/// is refused, because it is not clear whom it speaks for.
#[derive(Debug, Clone, PartialEq)]
pub struct AnyOf {
    /// At least one.
    pub alternatives: Vec<ProviderRequirement>,
    /// Whether a request without any token passes. One with a bad token never does.
    pub allow_missing: bool,
}

impl AnyOf {
    /// The alternatives for tokens of `provider`.
    pub fn of(&self, provider: ProviderId) -> impl Iterator<Item = &ProviderRequirement> {
        self.alternatives.iter().filter(move |alternative| alternative.provider == provider)
    }

    /// Whether the claims of a verified token of `provider` meet an alternative.
    ///
    /// # Errors
    /// What the first alternative of that provider lacks.
    pub fn check(&self, provider: ProviderId, claims: &ClaimsSet) -> Result<(), Unmet> {
        let mut first = None;
        for alternative in self.of(provider) {
            match alternative.check(claims) {
                Ok(()) => return Ok(()),
                Err(unmet) => first = first.or(Some(unmet)),
            }
        }
        Err(first.unwrap_or(Unmet::Condition))
    }
}

/// A token of one provider, with scopes and claims.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderRequirement {
    /// Whose token.
    pub provider: ProviderId,
    /// Scopes that it must have, all of them.
    pub scopes: Vec<String>,
    /// Conditions on its claims, all of them.
    pub conditions: Vec<ClaimCondition>,
}

/// What a verified token lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmet {
    /// A scope: those that are needed, space-separated as RFC 6750 section 3 wants them.
    Scopes(String),
    /// A condition on a claim.
    Condition,
}

impl ProviderRequirement {
    fn check(&self, claims: &ClaimsSet) -> Result<(), Unmet> {
        if !self.scopes.iter().all(|needed| claims.scopes().any(|scope| scope == needed)) {
            return Err(Unmet::Scopes(self.scopes.join(" ")));
        }
        if self.conditions.iter().all(|condition| condition.holds(claims)) {
            Ok(())
        } else {
            Err(Unmet::Condition)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::base64url;
    use crate::jwt::ClaimPath;
    use crate::policy::ConditionTest;
    use serde_json::{Value, json};

    fn claims(value: &Value) -> ClaimsSet {
        ClaimsSet::parse(base64url::encode(value.to_string().as_bytes()).as_bytes()).unwrap()
    }

    fn alternative(provider: usize, scopes: &[&str], plan: Option<&str>) -> ProviderRequirement {
        let condition =
            |plan| ClaimCondition { path: ClaimPath::top("plan"), test: ConditionTest::Equals(json!(plan)) };
        ProviderRequirement {
            provider: ProviderId(provider),
            scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
            conditions: plan.map(condition).into_iter().collect(),
        }
    }

    #[test]
    fn one_alternative_of_the_tokens_provider_must_hold() {
        let any = AnyOf {
            alternatives: vec![
                alternative(0, &["admin", "write"], None),
                alternative(0, &["read"], Some("gold")),
                alternative(1, &[], None),
            ],
            allow_missing: false,
        };
        let check = |provider, value: Value| any.check(ProviderId(provider), &claims(&value));
        assert_eq!(check(0, json!({"scope": "write admin"})), Ok(()));
        assert_eq!(check(0, json!({"scope": "read", "plan": "gold"})), Ok(()));
        assert_eq!(check(0, json!({"scope": "read"})), Err(Unmet::Scopes("admin write".into())));
        assert_eq!(
            check(0, json!({"scope": "administrator write"})),
            Err(Unmet::Scopes("admin write".into()))
        );
        assert_eq!(check(1, json!({})), Ok(()));
        assert_eq!(check(2, json!({})), Err(Unmet::Condition));
    }
}
