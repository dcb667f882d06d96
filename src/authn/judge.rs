//! The part of a decision that depends on tokens: find one, check it, and go on until an effect is needed or all is settled.

use super::bearer::{self, BearerError, FoundToken};
use super::binding::{Proof, Proving};
use super::decision::{Decision, Evidence, Forward};
use super::machine::{Awaited, Outcome, Pending, Progress, Step, Verifier};
use super::policy::{AuthnPolicy, Provider, RuleFacts, TrustedIssuer};
use super::rejection::{Denial, Offer, Rejection};
use super::token_cache::{Finished, Known, TokenCache, TokenKey, Voucher};
use crate::jose::crypto::{SignatureJob, Verdict};
use crate::jose::{HeaderError, Jwk, JwsError};
use crate::jwt::{ClaimError, UnverifiedJwt, UnverifiedJwtError, VerifiedToken};
use crate::oauth::{IntrospectionAnswer, TokenDigest};
use crate::oidc::KeyAnswer;
use crate::policy::{AnyOf, IdentityError, ProviderId, Unmet};
use crate::time::UnixTime;
use std::borrow::Cow;
use std::sync::Arc;

/// What a request was in the middle of.
#[derive(Debug)]
pub(super) enum Stage<'r> {
    /// Waiting; if in vain, it is denied for this.
    Awaiting(Rejection),
    /// The signature of its token is being checked.
    Signature(Candidate<'r>),
    /// The token is verified; what it is bound to is being proved.
    Binding(Verified<'r>, Proving<'r>),
    /// Every token has passed; a proof is being remembered.
    Freshness(Proof<'r>),
}

/// A JWT whose signature is being checked.
#[derive(Debug)]
pub(super) struct Candidate<'r> {
    place: Place<'r>,
    jwt: UnverifiedJwt<'r>,
    ends: Option<UnixTime>,
    voucher: Voucher,
    signature: Arc<[u8]>,
    /// Keys still to be tried, last first.
    keys: Vec<Arc<Jwk>>,
}

/// Whose token it is, and where it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'r> {
    pub(super) provider: ProviderId,
    /// In the provider's `locations`.
    location: usize,
    /// Whether it came with the scheme of DPoP.
    pub(super) is_dpop: bool,
    /// The token itself.
    pub(super) key: TokenKey<'r>,
}

/// A token that its provider vouches for.
#[derive(Debug)]
pub(super) struct Verified<'r> {
    pub(super) place: Place<'r>,
    pub(super) token: Arc<VerifiedToken>,
    /// base64url.
    payload: Cow<'r, [u8]>,
    /// By which keys, if the token alone decides: it is signed, and bound to nothing.
    pub(super) voucher: Option<Voucher>,
}

/// Judges by one policy, what its providers say, and one instant.
pub(super) struct Judge<'a> {
    pub(super) policy: &'a AuthnPolicy,
    pub(super) facts: Option<&'a RuleFacts>,
    /// The rule that the request is judged by, by its place.
    pub(super) rule: usize,
    pub(super) verifiers: &'a mut [Verifier],
    pub(super) cache: &'a mut TokenCache,
    /// Shared by all workers.
    pub(super) secret: Option<&'a [u8; 32]>,
    pub(super) now: UnixTime,
}

impl<'a> Judge<'a> {
    /// Goes on after an effect.
    pub(super) fn resume<'r>(
        &mut self,
        progress: Progress<'r>,
        stage: Stage<'r>,
        outcome: Outcome,
    ) -> Step<'r> {
        match (stage, outcome) {
            (Stage::Signature(candidate), Outcome::Signature(Verdict::Valid)) => {
                let Candidate { place, jwt, ends, voucher, .. } = candidate;
                self.cache.insert_verified(self.now, place.key, voucher, ends);
                self.take_verified(progress, place, jwt, ends, voucher)
            }
            (Stage::Signature(candidate), Outcome::Signature(Verdict::Invalid)) => {
                self.try_next_key(progress, candidate)
            }
            (Stage::Awaiting(rejection), Outcome::Unavailable) => self.refuse(rejection),
            (Stage::Binding(verified, proving), outcome) => {
                self.go_on_binding(progress, verified, proving, outcome)
            }
            (Stage::Freshness(proof), Outcome::Proof(standing)) => {
                self.take_standing(progress, &proof, standing)
            }
            (Stage::Awaiting(_) | Stage::Signature(_) | Stage::Freshness(_), _) => {
                self.refuse(Denial::InternalError)
            }
        }
    }

    /// Goes through the groups of the requirement until one needs an effect.
    pub(super) fn advance<'r>(&mut self, mut progress: Progress<'r>) -> Step<'r> {
        let (policy, facts) = (self.policy, self.facts);
        while let Some(group) = policy.group(progress.rule, progress.groups_done) {
            let Some(facts) = facts.and_then(|facts| facts.groups.get(progress.groups_done)) else {
                return self.refuse(Denial::InternalError);
            };
            match bearer::find(&progress.head, &facts.places) {
                Ok(Some(found)) => return self.take_token(progress, (group, facts.asked), found),
                Ok(None) if group.allow_missing => {
                    progress.groups_done = progress.groups_done.saturating_add(1);
                }
                Ok(None) => return self.refuse(Denial::TokenMissing),
                Err(BearerError::Repeated) => return self.refuse(Denial::TokenRepeated),
                Err(BearerError::Malformed) => return self.refuse(Denial::CredentialsMalformed),
            }
        }
        if let Some(proof) = progress.proof.take() {
            return self.record(progress, proof);
        }
        let reusable = progress.reusable.take();
        match finish(self.policy, progress) {
            Ok(forward) => {
                if let Some((key, voucher, location)) = reusable {
                    let (identity, state) = (Arc::clone(&forward.identity), Arc::clone(&forward.state));
                    let finished = Arc::new(Finished { location, identity, state });
                    self.cache.insert_finished(key, voucher, self.rule, finished);
                }
                Step::Decide(Decision::Forward(forward))
            }
            Err(rejection) => self.refuse(*rejection),
        }
    }

    /// What became of the same token before, if that still holds.
    fn recall<'r>(
        &mut self,
        progress: &mut Progress<'r>,
        group: &AnyOf,
        found: FoundToken<'r, '_>,
        key: TokenKey<'r>,
    ) -> Option<Step<'r>> {
        match self.cache.find(self.now, key, self.rule)? {
            Known::Finished(voucher, finished) => {
                let provider = self.policy.provider(voucher.provider)?;
                // In another place it is another matter.
                let is_there = provider.locations.get(finished.location) == Some(found.location);
                if !is_there || !vouches(self.verifiers, voucher, self.now) {
                    return None;
                }
                let mut mutations = std::mem::take(&mut progress.mutations);
                if !provider.forward_token {
                    mutations.extend(bearer::strip(&progress.head, &[found.location]));
                }
                Some(Step::Decide(Decision::Forward(Forward {
                    mutations,
                    identity: Arc::clone(&finished.identity),
                    state: Arc::clone(&finished.state),
                    provider: Some(voucher.provider),
                    reported: None,
                })))
            }
            Known::Forged(voucher, rejection) => {
                let provider = self.policy.provider(voucher.provider)?;
                let is_there = provider.locations.contains(found.location);
                if !is_there
                    || group.of(voucher.provider).next().is_none()
                    || !vouches(self.verifiers, voucher, self.now)
                {
                    return None;
                }
                let rejection = rejection.clone().by_dpop(found.location.is_dpop());
                Some(self.refuse(rejection))
            }
        }
    }

    fn take_token<'r>(
        &mut self,
        mut progress: Progress<'r>,
        (group, asked): (&AnyOf, Option<ProviderId>),
        found: FoundToken<'r, '_>,
    ) -> Step<'r> {
        let key = self.cache.key(found.token);
        // Of several tokens none decides alone.
        if progress.is_alone
            && let Some(step) = self.recall(&mut progress, group, found, key)
        {
            return step;
        }
        match identify(self.policy, group, asked, found.token) {
            Ok(Identified::Jwt(jwt, trusted)) => self.take_jwt(progress, jwt, trusted, (found, key)),
            Ok(Identified::Opaque(provider)) => self.take_opaque(progress, provider, (found, key)),
            Err(rejection) => self.refuse(rejection.by_dpop(found.location.is_dpop())),
        }
    }

    /// Everything that can be said of a JWT without its signature; the cheap refusals come first.
    fn take_jwt<'r>(
        &mut self,
        progress: Progress<'r>,
        jwt: UnverifiedJwt<'r>,
        trusted: &TrustedIssuer,
        (found, key): (FoundToken<'r, '_>, TokenKey<'r>),
    ) -> Step<'r> {
        let id = trusted.provider;
        let is_dpop = found.location.is_dpop();
        let rejection = |denial| Rejection::of(id, denial).by_dpop(is_dpop).about(&jwt);
        let refuse = |judge: &Self, denial| judge.refuse(rejection(denial));
        let checked = check(self.policy, self.now, &jwt, trusted, (found, key));
        let (place, ends) = match checked {
            Ok(checked) => checked,
            Err(denial) => return refuse(self, denial),
        };
        let Ok(signature) = jwt.jws().decode_signature() else {
            return refuse(self, Denial::TokenMalformed);
        };
        let header = jwt.jws().unverified_header();
        let Some(Verifier::Keys(key_set)) = self.verifiers.get_mut(id.0) else {
            return refuse(self, Denial::InternalError);
        };
        let mut keys = match key_set.look_up(self.now, header.key_id.as_deref(), header.algorithm) {
            KeyAnswer::Keys(keys) => keys,
            KeyAnswer::Wait => {
                let stage = Stage::Awaiting(rejection(Denial::KeysUnavailable));
                return Step::Await(Awaited::Keys(id), Box::new(Pending { progress, stage }));
            }
            KeyAnswer::NotFound => return refuse(self, Denial::KeyNotFound),
            KeyAnswer::Unavailable => return refuse(self, Denial::KeysUnavailable),
        };
        let voucher = Voucher { provider: id, generation: key_set.generation() };
        if self.cache.is_verified(self.now, key, voucher) {
            return self.take_verified(progress, place, jwt, ends, voucher);
        }
        keys.reverse();
        let candidate = Candidate { place, jwt, ends, voucher, signature: signature.into(), keys };
        self.try_next_key(progress, candidate)
    }

    /// A JWT whose signature is valid.
    fn take_verified<'r>(
        &mut self,
        progress: Progress<'r>,
        place: Place<'r>,
        jwt: UnverifiedJwt<'r>,
        ends: Option<UnixTime>,
        voucher: Voucher,
    ) -> Step<'r> {
        let payload = Cow::Borrowed(jwt.jws().unverified_payload_segment());
        let Some(token) = jwt.verified(Verdict::Valid, ends) else {
            return self.refuse(place.rejection(Denial::SignatureInvalid));
        };
        let token = Arc::new(token);
        self.bind(progress, Verified { place, token, payload, voucher: Some(voucher) })
    }

    fn try_next_key<'r>(&mut self, progress: Progress<'r>, mut candidate: Candidate<'r>) -> Step<'r> {
        let Some(key) = candidate.keys.pop() else {
            let Candidate { place, jwt, voucher, .. } = candidate;
            let rejection = place.rejection(Denial::SignatureInvalid).about(&jwt);
            self.cache.insert_forged(self.now, place.key, voucher, rejection.clone());
            return self.refuse(rejection);
        };
        let job = SignatureJob {
            algorithm: candidate.jwt.jws().unverified_header().algorithm,
            key,
            signing_input: candidate.jwt.jws().signing_input(),
            signature: Arc::clone(&candidate.signature),
        };
        let stage = Stage::Signature(candidate);
        Step::VerifySignature(job, Box::new(Pending { progress, stage }))
    }

    /// What its issuer says of an opaque token.
    fn take_opaque<'r>(
        &mut self,
        progress: Progress<'r>,
        id: ProviderId,
        (found, key): (FoundToken<'r, '_>, TokenKey<'r>),
    ) -> Step<'r> {
        let is_dpop = found.location.is_dpop();
        let refuse = |judge: &Self, denial| judge.refuse(Rejection::of(id, denial).by_dpop(is_dpop));
        let Some(provider) = self.policy.provider(id) else { return refuse(self, Denial::InternalError) };
        let Some(place) = Place::of(id, provider, found, key) else {
            return refuse(self, Denial::IssuerNotAllowed);
        };
        let Some(Verifier::Introspection(machine)) = self.verifiers.get_mut(id.0) else {
            return refuse(self, Denial::InternalError);
        };
        let trace = progress.head.trace_parent();
        let vouched = match machine.look_up(self.now, found.token, trace.map(|trace| trace.text)) {
            IntrospectionAnswer::Active(vouched) => vouched,
            IntrospectionAnswer::Inactive => return refuse(self, Denial::TokenInactive),
            IntrospectionAnswer::Unavailable => return refuse(self, Denial::IntrospectionUnavailable),
            IntrospectionAnswer::Wait => {
                let stage = Stage::Awaiting(Rejection::of(id, Denial::IntrospectionUnavailable));
                let awaited = Awaited::Introspection(id, TokenDigest::of(found.token));
                return Step::Await(awaited, Box::new(Pending { progress, stage }));
            }
        };
        let claims = vouched.token.claims();
        let issuer = claims.string("iss");
        let denial = match issuer {
            Err(error) => Some(denial_of(&error)),
            // RFC 7662 section 2.2: "iss" is optional. The endpoint is the issuer's own.
            Ok(Some(issuer)) if issuer != machine.settings().issuer => Some(Denial::IssuerNotAllowed),
            Ok(_) => provider.claims.check_claims(claims, self.now).err().map(|error| denial_of(&error)),
        };
        if let Some(denial) = denial {
            return self.refuse(place.rejection(denial).with(Evidence::of_claims(claims)));
        }
        let payload = Cow::Owned(vouched.payload.clone().into_bytes());
        let token = Arc::clone(&vouched.token);
        self.bind(progress, Verified { place, token, payload, voucher: None })
    }

    /// A token that is whoever's it says: does it meet the group?
    pub(super) fn accept<'r>(&mut self, mut progress: Progress<'r>, verified: Verified<'r>) -> Step<'r> {
        let Verified { place, token, payload, voucher } = verified;
        let Some(group) = self.policy.group(progress.rule, progress.groups_done) else {
            return self.refuse(Denial::InternalError);
        };
        if let Err(unmet) = group.check(place.provider, token.claims()) {
            let rejection = match unmet {
                Unmet::Scopes(scopes) => {
                    Rejection { scopes: Some(scopes), ..place.rejection(Denial::ScopeMissing) }
                }
                Unmet::Condition => place.rejection(Denial::ClaimNotAllowed),
            };
            return self.refuse(rejection.with(Evidence::of(&token)));
        }
        if progress.passed.is_empty() {
            progress.payload = payload;
        }
        if progress.is_alone {
            progress.reusable = voucher.map(|voucher| (place.key, voucher, place.location));
        }
        progress.passed.push((place.provider, token));
        progress.used.push((place.provider, place.location));
        progress.groups_done = progress.groups_done.saturating_add(1);
        self.advance(progress)
    }

    pub(super) fn refuse<'r>(&self, rejection: impl Into<Rejection>) -> Step<'r> {
        let rejection = Rejection { rule: Some(self.rule), ..rejection.into() };
        let none = Offer::default();
        let offer = self.facts.map_or(&none, |facts| &facts.offer);
        Step::Decide(Decision::Reject(rejection.reply(&self.policy.challenge, offer)))
    }
}

/// Whether a provider's keys are still those that vouched, and in force.
fn vouches(verifiers: &[Verifier], voucher: Voucher, now: UnixTime) -> bool {
    match verifiers.get(voucher.provider.0) {
        Some(Verifier::Keys(machine)) => {
            machine.generation() == voucher.generation && machine.is_in_force(now)
        }
        Some(Verifier::Introspection(_)) | None => false,
    }
}

impl<'r> Place<'r> {
    /// `None` in another provider's place: a token there proves nothing about this one.
    fn of(id: ProviderId, provider: &Provider, found: FoundToken<'r, '_>, key: TokenKey<'r>) -> Option<Self> {
        let location = provider.locations.iter().position(|location| location == found.location)?;
        Some(Self { provider: id, location, is_dpop: found.location.is_dpop(), key })
    }

    pub(super) fn rejection(&self, denial: Denial) -> Rejection {
        Rejection::of(self.provider, denial).by_dpop(self.is_dpop)
    }
}

enum Identified<'r, 'p> {
    Jwt(UnverifiedJwt<'r>, &'p TrustedIssuer),
    Opaque(ProviderId),
}

/// The provider whose token this is: by `iss` for a JWT, and else the one of the group that is asked about its tokens.
fn identify<'r, 'p>(
    policy: &'p AuthnPolicy,
    group: &AnyOf,
    asked: Option<ProviderId>,
    token: &'r [u8],
) -> Result<Identified<'r, 'p>, Box<Rejection>> {
    if token.len() > policy.max_token_bytes {
        return Err(Box::new(Denial::TokenTooLarge.into()));
    }
    let jwt = match (UnverifiedJwt::parse(token), asked) {
        (Ok(jwt), _) => jwt,
        (Err(_), Some(asked)) => return Ok(Identified::Opaque(asked)),
        (Err(UnverifiedJwtError::Jws(JwsError::Header(HeaderError::UnsupportedAlgorithm))), None) => {
            return Err(Box::new(Denial::AlgorithmNotAllowed.into()));
        }
        (Err(UnverifiedJwtError::Jws(_) | UnverifiedJwtError::Claims(_)), None) => {
            return Err(Box::new(Denial::TokenMalformed.into()));
        }
    };
    // A JWT names its issuer, and nobody else is told of it.
    let issuer = jwt.unverified_claims().string("iss").ok().flatten();
    let trusted = issuer.and_then(|issuer| policy.find_issuer(issuer, group));
    match trusted {
        Some(trusted) if asked == Some(trusted.provider) => Ok(Identified::Opaque(trusted.provider)),
        Some(trusted) => Ok(Identified::Jwt(jwt, trusted)),
        None => Err(Box::new(Rejection::from(Denial::IssuerNotAllowed).about(&jwt))),
    }
}

/// Checks everything but the signature. Where the token was, and when it ends.
fn check<'r>(
    policy: &AuthnPolicy,
    now: UnixTime,
    jwt: &UnverifiedJwt<'_>,
    trusted: &TrustedIssuer,
    (found, key): (FoundToken<'r, '_>, TokenKey<'r>),
) -> Result<(Place<'r>, Option<UnixTime>), Denial> {
    let (header, claims) = (jwt.jws().unverified_header(), jwt.unverified_claims());
    let provider = policy.provider(trusted.provider).ok_or(Denial::InternalError)?;
    let place = Place::of(trusted.provider, provider, found, key).ok_or(Denial::IssuerNotAllowed)?;
    if !provider.algorithms.contains(&header.algorithm) {
        return Err(Denial::AlgorithmNotAllowed);
    }
    if !trusted.bindings.iter().all(|binding| binding.holds(claims)) {
        return Err(Denial::IssuerMismatch);
    }
    let ends = provider.claims.check(header, claims, now).map_err(|error| denial_of(&error))?;
    Ok((place, ends))
}

fn finish<'r>(policy: &AuthnPolicy, progress: Progress<'r>) -> Result<Forward<'r>, Box<Rejection>> {
    let first = progress.passed.first();
    let (mut identity, mut state) = (Arc::default(), Arc::default());
    if let Some((id, token)) = first {
        let refuse = |error| {
            let denial = match error {
                IdentityError::Missing(_) => Denial::IdentityClaimMissing,
                IdentityError::Unsafe(_) | IdentityError::TooLong(_) => Denial::IdentityClaimUnsafe,
            };
            Box::new(Rejection::of(*id, denial).with(Evidence::of(token)))
        };
        identity = policy.identity.apply(&progress.passed, &progress.payload).map_err(refuse)?;
        state = policy.filter_state.entries(&progress.passed).map_err(refuse)?.into();
    }
    let mut mutations = progress.mutations;
    let used = progress.used.iter().filter_map(|(id, place)| {
        let provider = policy.provider(*id).filter(|provider| !provider.forward_token)?;
        provider.locations.get(*place)
    });
    mutations.extend(bearer::strip(&progress.head, &used.collect::<Vec<_>>()));
    let provider = first.map(|(id, _)| *id);
    Ok(Forward { mutations, identity, state, provider, reported: None })
}

fn denial_of(error: &ClaimError) -> Denial {
    match error {
        ClaimError::Malformed(_) | ClaimError::TooManyAudiences => Denial::ClaimMalformed,
        ClaimError::Missing(_) => Denial::ClaimMissing,
        ClaimError::TokenType => Denial::TokenTypeNotAllowed,
        ClaimError::Expired => Denial::TokenExpired,
        ClaimError::NotYetValid => Denial::TokenNotYetValid,
        ClaimError::IssuedInFuture => Denial::TokenIssuedInFuture,
        ClaimError::LifetimeTooLong => Denial::TokenLifetimeTooLong,
        ClaimError::Audience => Denial::AudienceNotAllowed,
    }
}
