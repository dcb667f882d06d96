//! Issuers: one exact name, or a template whose parts are bound to claims and an allow-list, as multi-tenant
//! providers need it (Entra ID's `https://login.microsoftonline.com/{tenant}/v2.0`).

use super::{ClaimPath, ClaimsSet};
use serde_json::Value;

/// How many issuers one template may stand for.
const MAX_EXPANSIONS: usize = 100_000;

/// One issuer that is trusted, spelled out: templates are expanded when the configuration is compiled, so that a
/// token's `iss` always finds its provider by one exact look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The value that `iss` must have, byte for byte (RFC 7519 section 4.1.1; no normalisation of URLs).
    pub name: String,
    /// Claims that must agree with the parts of the name.
    pub bindings: Vec<IssuerBinding>,
}

/// A claim that must have one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerBinding {
    /// Which claim.
    pub claim: ClaimPath,
    /// The string that it must be.
    pub value: String,
}

impl IssuerBinding {
    /// Whether the claim is there and has the value.
    pub fn holds(&self, claims: &ClaimsSet) -> bool {
        claims.get(&self.claim).and_then(Value::as_str) == Some(self.value.as_str())
    }
}

/// An issuer with named parts: `https://login.example.com/{tenant}/v2.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerTemplate(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Name(String),
}

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerTemplateError {
    /// Braces that do not pair, or an empty or repeated name.
    #[error("expected parts written {{name}}, each name once")]
    Syntax,
    /// A part has no claim that it is bound to.
    #[error("expected a claim for part {{{0}}}")]
    Unbound(String),
    /// A part has no allowed values: unset means deny.
    #[error("expected a list of allowed values for part {{{0}}}")]
    NothingAllowed(String),
    /// An allowed value is empty, or holds a slash or a brace: it would reach beyond its part.
    #[error("allowed value {0:?} is empty or contains one of / ? # {{ }}")]
    UnsafeValue(String),
    /// The allowed values multiply to more issuers than we are willing to hold.
    #[error("expected at most {MAX_EXPANSIONS} issuers from one template")]
    TooMany,
}

impl IssuerTemplate {
    /// Parses a template. A text without braces is a template without parts.
    ///
    /// # Errors
    /// [`IssuerTemplateError::Syntax`].
    pub fn parse(text: &str) -> Result<Self, IssuerTemplateError> {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(IssuerTemplateError::Syntax)?;
            let part = Part::Name(name.to_owned());
            if literal.contains('}') || name.is_empty() || name.contains('{') || parts.contains(&part) {
                return Err(IssuerTemplateError::Syntax);
            }
            parts.push(Part::Literal(literal.to_owned()));
            parts.push(part);
            rest = after;
        }
        if rest.contains('}') {
            return Err(IssuerTemplateError::Syntax);
        }
        parts.push(Part::Literal(rest.to_owned()));
        Ok(Self(parts))
    }

    /// The names of the parts, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// Every issuer that the template stands for. `claim` gives the claim that a part is bound to, `allowed` its values.
    ///
    /// # Errors
    /// [`IssuerTemplateError`].
    pub fn expand<'a>(
        &self,
        claim: impl Fn(&str) -> Option<ClaimPath>,
        allowed: impl Fn(&str) -> Option<&'a [String]>,
    ) -> Result<Vec<Issuer>, IssuerTemplateError> {
        let mut issuers = vec![Issuer { name: String::new(), bindings: Vec::new() }];
        for part in &self.0 {
            issuers = match part {
                Part::Literal(literal) => {
                    issuers.iter_mut().for_each(|issuer| issuer.name.push_str(literal));
                    issuers
                }
                Part::Name(name) => {
                    let claim = claim(name).ok_or_else(|| IssuerTemplateError::Unbound(name.clone()))?;
                    let values = allowed(name)
                        .filter(|values| !values.is_empty())
                        .ok_or_else(|| IssuerTemplateError::NothingAllowed(name.clone()))?;
                    multiply(&issuers, &claim, values)?
                }
            };
        }
        Ok(issuers)
    }
}

fn multiply(
    issuers: &[Issuer],
    claim: &ClaimPath,
    values: &[String],
) -> Result<Vec<Issuer>, IssuerTemplateError> {
    if issuers.len().saturating_mul(values.len()) > MAX_EXPANSIONS {
        return Err(IssuerTemplateError::TooMany);
    }
    let mut product = Vec::new();
    for value in values {
        if value.is_empty() || value.contains(['/', '?', '#', '{', '}']) {
            return Err(IssuerTemplateError::UnsafeValue(value.clone()));
        }
        product.extend(issuers.iter().map(|issuer| {
            let mut bindings = issuer.bindings.clone();
            bindings.push(IssuerBinding { claim: claim.clone(), value: value.clone() });
            Issuer { name: format!("{}{value}", issuer.name), bindings }
        }));
    }
    Ok(product)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str, allowed: &[&str]) -> Result<Vec<String>, IssuerTemplateError> {
        let allowed: Vec<String> = allowed.iter().map(|s| (*s).to_owned()).collect();
        let issuers =
            IssuerTemplate::parse(text)?.expand(|_| Some(ClaimPath::top("tid")), |_| Some(&allowed))?;
        Ok(issuers.into_iter().map(|issuer| issuer.name).collect())
    }

    #[test]
    fn templates_expand_to_exact_issuers() {
        assert_eq!(expand("https://a/", &[]), Ok(vec!["https://a/".into()]));
        assert_eq!(
            expand("https://a/{t}/v2", &["x", "y"]),
            Ok(vec!["https://a/x/v2".into(), "https://a/y/v2".into()])
        );
        assert_eq!(expand("{a}.{b}", &["1", "2"]).map(|all| all.len()), Ok(4));
    }

    #[test]
    fn unset_means_deny() {
        assert_eq!(expand("https://a/{t}", &[]), Err(IssuerTemplateError::NothingAllowed("t".into())));
    }

    #[test]
    fn a_value_cannot_reach_beyond_its_part() {
        for value in ["", "x/y", "x?y", "x#y", "{x}"] {
            assert_eq!(
                expand("https://a/{t}/v2", &[value]),
                Err(IssuerTemplateError::UnsafeValue(value.into()))
            );
        }
    }

    #[test]
    fn malformed_templates_are_refused() {
        for text in ["{", "}", "{}", "a{b", "a}b", "{a}{a}", "{a{b}}", "{a}}"] {
            assert_eq!(IssuerTemplate::parse(text), Err(IssuerTemplateError::Syntax), "{text}");
        }
    }
}
