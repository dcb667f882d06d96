//! What a token's claims and type must be: RFC 7519 section 4.1, RFC 8725 section 3, RFC 9068 section 4.

use super::ClaimsSet;
use crate::jose::JoseHeader;
use crate::jwt::ClaimPath;
use crate::time::UnixTime;
use serde_json::Value;
use std::time::Duration;

/// An audience list longer than this is not read.
const MAX_AUDIENCES: usize = 64;

/// What one provider's tokens must satisfy, whatever the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRules {
    /// Values of which `aud` must have one. `None`: any audience, or none (`danger_any_audience`).
    pub audiences: Option<Vec<String>>,
    /// Values of which `typ` must be one; `application/` and case do not count. A token without `typ` is a `JWT`.
    pub token_types: Vec<String>,
    /// Whether a token without `exp` is accepted (`danger_no_expiry`).
    pub allow_no_expiry: bool,
    /// How far clocks may differ, either way.
    pub clock_skew: Duration,
    /// The longest that a token may live, from `iat` (or now, if there is none) to `exp`.
    pub max_lifetime: Option<Duration>,
    /// Claims that must be there.
    pub required_claims: Vec<ClaimPath>,
}

/// Why claims were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// A registered claim has the wrong JSON type, a date does not fit, or `exp` is not after `iat`.
    #[error("claim {0:?} is malformed")]
    Malformed(&'static str),
    /// A claim that must be there is not.
    #[error("expected claim {0:?}")]
    Missing(String),
    /// `typ` is not among the accepted ones.
    #[error("token type not accepted")]
    TokenType,
    /// Now is on or after `exp`.
    #[error("expired")]
    Expired,
    /// Now is before `nbf`.
    #[error("not valid yet")]
    NotYetValid,
    /// `iat` is in the future.
    #[error("issued in the future")]
    IssuedInFuture,
    /// `exp` is further from `iat` than allowed.
    #[error("lives longer than allowed")]
    LifetimeTooLong,
    /// `aud` has none of the accepted values.
    #[error("audience not accepted")]
    Audience,
    /// More audiences than are read.
    #[error("more than {MAX_AUDIENCES} audiences")]
    TooManyAudiences,
}

impl ClaimRules {
    /// Checks header and claims. Returns when the token ends, skew included; `None` if never.
    ///
    /// # Errors
    /// [`ClaimError`], the first that applies.
    pub fn check(
        &self,
        header: &JoseHeader,
        claims: &ClaimsSet,
        now: UnixTime,
    ) -> Result<Option<UnixTime>, ClaimError> {
        self.check_type(header)?;
        self.check_claims(claims, now)
    }

    /// Checks claims alone, of a token that has no header.
    ///
    /// # Errors
    /// [`ClaimError`], the first that applies.
    pub fn check_claims(&self, claims: &ClaimsSet, now: UnixTime) -> Result<Option<UnixTime>, ClaimError> {
        let ends = self.check_dates(claims, now)?;
        self.check_audience(claims)?;
        match self.required_claims.iter().find(|path| claims.get(path).is_none()) {
            Some(absent) => Err(ClaimError::Missing(absent.to_string())),
            None => Ok(ends),
        }
    }

    fn check_type(&self, header: &JoseHeader) -> Result<(), ClaimError> {
        let found = header.token_type.as_deref().unwrap_or("JWT");
        if self.token_types.iter().any(|accepted| same_type(accepted, found)) {
            Ok(())
        } else {
            Err(ClaimError::TokenType)
        }
    }

    fn check_dates(&self, claims: &ClaimsSet, now: UnixTime) -> Result<Option<UnixTime>, ClaimError> {
        let (exp, nbf, iat) = (claims.date("exp")?, claims.date("nbf")?, claims.date("iat")?);
        if exp.is_none() && !self.allow_no_expiry {
            return Err(ClaimError::Missing("exp".to_owned()));
        }
        let ends = exp.map(|exp| exp.saturating_add(self.clock_skew));
        // RFC 7519 section 4.1.4: "on or after which the JWT MUST NOT be accepted".
        if ends.is_some_and(|ends| now >= ends) {
            return Err(ClaimError::Expired);
        }
        let latest = now.saturating_add(self.clock_skew);
        if nbf.is_some_and(|nbf| nbf > latest) {
            return Err(ClaimError::NotYetValid);
        }
        if iat.is_some_and(|iat| iat > latest) {
            return Err(ClaimError::IssuedInFuture);
        }
        // Within the clock skew such a token would pass.
        if exp.zip(iat).is_some_and(|(exp, iat)| exp <= iat) {
            return Err(ClaimError::Malformed("exp"));
        }
        if let Some(max) = self.max_lifetime {
            let born = iat.unwrap_or(now);
            // Without `exp` a token lives for ever.
            if exp.is_none_or(|exp| exp.saturating_since(born) > max) {
                return Err(ClaimError::LifetimeTooLong);
            }
        }
        Ok(ends)
    }

    fn check_audience(&self, claims: &ClaimsSet) -> Result<(), ClaimError> {
        let Some(accepted) = &self.audiences else { return Ok(()) };
        let matches = |found: &str| accepted.iter().any(|accepted| accepted == found);
        let fits = match claims.top("aud") {
            None => return Err(ClaimError::Missing("aud".to_owned())),
            Some(Value::String(found)) => matches(found),
            Some(Value::Array(items)) if items.len() > MAX_AUDIENCES => {
                return Err(ClaimError::TooManyAudiences);
            }
            Some(Value::Array(items)) => {
                let found: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                found.ok_or(ClaimError::Malformed("aud"))?.into_iter().any(matches)
            }
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
                return Err(ClaimError::Malformed("aud"));
            }
        };
        if fits { Ok(()) } else { Err(ClaimError::Audience) }
    }
}

/// RFC 7515 section 4.1.9: a media type, whose `application/` may be left out. Media types ignore case.
pub(crate) fn same_type(a: &str, b: &str) -> bool {
    bare_type(a).eq_ignore_ascii_case(bare_type(b))
}

fn bare_type(typ: &str) -> &str {
    match typ.split_at_checked(12) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") && !rest.contains('/') => rest,
        _ => typ,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::{Algorithm, base64url};
    use serde_json::json;

    const NOW: UnixTime = UnixTime::from_secs(1_000_000);

    fn rules() -> ClaimRules {
        ClaimRules {
            audiences: Some(vec!["api".into(), "other".into()]),
            token_types: vec!["JWT".into(), "at+jwt".into()],
            allow_no_expiry: false,
            clock_skew: Duration::from_secs(60),
            max_lifetime: Some(Duration::from_secs(3600)),
            required_claims: vec![],
        }
    }

    /// Good claims with some replaced; `null` takes one away.
    fn claims(changes: &Value) -> ClaimsSet {
        let mut all = json!({"aud": "api", "exp": 1_000_100, "iat": 999_900});
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        ClaimsSet::parse(base64url::encode(all.to_string().as_bytes()).as_bytes()).unwrap()
    }

    fn check(changes: Value, expected: Result<(), ClaimError>) {
        check_rules(&rules(), None, changes, expected);
    }

    fn check_rules(rules: &ClaimRules, typ: Option<&str>, changes: Value, expected: Result<(), ClaimError>) {
        let header =
            JoseHeader { algorithm: Algorithm::Es256, key_id: None, token_type: typ.map(str::to_owned) };
        assert_eq!(rules.check(&header, &claims(&changes), NOW).map(|_| ()), expected, "{typ:?} {changes}");
    }

    #[test]
    fn expiry_means_on_or_after() {
        check(json!({"exp": 999_941}), Ok(()));
        check(json!({"exp": 999_940.001}), Ok(()));
        check(json!({"exp": 999_940}), Err(ClaimError::Expired));
        check(json!({"iat": 1_000_050, "exp": 1_000_050}), Err(ClaimError::Malformed("exp")));
        check(json!({"iat": 1_000_050, "exp": 1_000_051}), Ok(()));
        check(json!({"exp": 0, "iat": null}), Err(ClaimError::Expired));
        check(json!({"exp": null}), Err(ClaimError::Missing("exp".into())));
        check(json!({"exp": "1000100"}), Err(ClaimError::Malformed("exp")));
        check(json!({"exp": 1e30}), Err(ClaimError::Malformed("exp")));
    }

    #[test]
    fn dates_in_the_future_are_refused_beyond_the_skew() {
        check(json!({"nbf": 1_000_060}), Ok(()));
        check(json!({"nbf": 1_000_061}), Err(ClaimError::NotYetValid));
        check(json!({"nbf": []}), Err(ClaimError::Malformed("nbf")));
        check(json!({"iat": 1_000_060}), Ok(()));
        check(json!({"iat": 1_000_061}), Err(ClaimError::IssuedInFuture));
        check(json!({"iat": "x"}), Err(ClaimError::Malformed("iat")));
    }

    #[test]
    fn lifetime_is_bounded() {
        check(json!({"exp": 1_003_500}), Ok(()));
        check(json!({"exp": 1_003_501}), Err(ClaimError::LifetimeTooLong));
        check(json!({"iat": null, "exp": 1_003_600}), Ok(()));
        check(json!({"iat": null, "exp": 1_003_601}), Err(ClaimError::LifetimeTooLong));
        let immortal = ClaimRules { allow_no_expiry: true, ..rules() };
        check_rules(&immortal, None, json!({"exp": null}), Err(ClaimError::LifetimeTooLong));
        let immortal = ClaimRules { max_lifetime: None, ..immortal };
        check_rules(&immortal, None, json!({"exp": null}), Ok(()));
    }

    #[test]
    fn one_audience_must_match() {
        check(json!({"aud": "other"}), Ok(()));
        check(json!({"aud": ["x", "api"]}), Ok(()));
        check(json!({"aud": "API"}), Err(ClaimError::Audience));
        check(json!({"aud": []}), Err(ClaimError::Audience));
        check(json!({"aud": ["x"]}), Err(ClaimError::Audience));
        check(json!({"aud": ["api", 7]}), Err(ClaimError::Malformed("aud")));
        check(json!({"aud": {"api": 1}}), Err(ClaimError::Malformed("aud")));
        check(json!({"aud": null}), Err(ClaimError::Missing("aud".into())));
        check(json!({"aud": vec!["api"; 65]}), Err(ClaimError::TooManyAudiences));
        let any = ClaimRules { audiences: None, ..rules() };
        check_rules(&any, None, json!({"aud": null}), Ok(()));
    }

    #[test]
    fn type_is_checked_without_case_and_prefix() {
        for typ in [None, Some("JWT"), Some("jwt"), Some("at+jwt"), Some("application/AT+JWT")] {
            check_rules(&rules(), typ, json!({}), Ok(()));
        }
        for typ in
            ["", "dpop+jwt", "logout+jwt", "secevent+jwt", "text/at+jwt", "application/application/jwt"]
        {
            check_rules(&rules(), Some(typ), json!({}), Err(ClaimError::TokenType));
        }
        let strict = ClaimRules { token_types: vec!["at+jwt".into()], ..rules() };
        check_rules(&strict, None, json!({}), Err(ClaimError::TokenType));
    }

    #[test]
    fn required_claims_must_be_there() {
        let rules = ClaimRules { required_claims: vec![ClaimPath::top("sub")], ..rules() };
        check_rules(&rules, None, json!({"sub": "a"}), Ok(()));
        check_rules(&rules, None, json!({"sub": null}), Err(ClaimError::Missing("sub".into())));
    }
}
