//! A token before and after its signature was checked. What is verified is a type.

use super::{ClaimsError, ClaimsSet};
use crate::jose::crypto::Verdict;
use crate::jose::{JwsError, UnverifiedJws};
use crate::time::UnixTime;

/// A JWT whose header and claims have been parsed, once, and whose signature nobody has checked.
#[derive(Debug, Clone)]
pub struct UnverifiedJwt<'t> {
    jws: UnverifiedJws<'t>,
    claims: ClaimsSet,
}

/// Why a text is not a JWT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnverifiedJwtError {
    /// Not a compact JWS.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// The payload is not a Claims Set.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
}

impl<'t> UnverifiedJwt<'t> {
    /// Parses `token`.
    ///
    /// # Errors
    /// [`UnverifiedJwtError`].
    pub fn parse(token: &'t [u8]) -> Result<Self, UnverifiedJwtError> {
        let jws = UnverifiedJws::parse(token)?;
        let claims = ClaimsSet::parse(jws.unverified_payload_segment())?;
        Ok(Self { jws, claims })
    }

    /// The signed text.
    pub fn jws(&self) -> &UnverifiedJws<'t> {
        &self.jws
    }

    /// The claims; nobody vouches for them yet. Good for refusing early, never for accepting.
    pub fn unverified_claims(&self) -> &ClaimsSet {
        &self.claims
    }

    /// The verified token, if the signature is valid.
    ///
    /// `ends` is the instant from which the token must no longer be accepted, as [`super::ClaimRules::check`] found it.
    pub fn verified(self, verdict: Verdict, ends: Option<UnixTime>) -> Option<VerifiedToken> {
        match verdict {
            Verdict::Valid => Some(VerifiedToken {
                key_id: self.jws.unverified_header().key_id.clone(),
                claims: self.claims,
                ends,
            }),
            Verdict::Invalid => None,
        }
    }
}

/// A token that its issuer vouches for: by a signature that was found valid, or by saying so when asked (RFC 7662). There is no
/// other way to make one. It owns what it holds, so that it can be kept while the request that brought it is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedToken {
    key_id: Option<String>,
    claims: ClaimsSet,
    ends: Option<UnixTime>,
}

impl VerifiedToken {
    /// A token that its issuer has just said to be active.
    pub(crate) fn introspected(claims: ClaimsSet, ends: Option<UnixTime>) -> Self {
        Self { key_id: None, claims, ends }
    }

    /// `kid` of the JOSE Header; `None` for an opaque token.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The claims.
    pub fn claims(&self) -> &ClaimsSet {
        &self.claims
    }

    /// The instant from which the token must no longer be accepted, clock skew included for a JWT; `None` if never.
    pub fn ends(&self) -> Option<UnixTime> {
        self.ends
    }
}
