//! The request state machine.

use super::bearer::{self, BearerError, FoundToken, TokenLocation};
use super::decision::{Decision, Forward, Reported};
use super::policy::{AuthnPolicy, TrustedIssuer};
use super::rejection::{Denial, Rejection};
use crate::http::{HeaderMutation, RequestHead};
use crate::jose::crypto::{SignatureJob, Verdict};
use crate::jose::{HeaderError, Jwk, JwsError};
use crate::jwt::{ClaimError, UnverifiedJwt, UnverifiedJwtError, VerifiedToken};
use crate::oidc::{Fetch, KeyAnswer, KeySetMachine, KeySetSource};
use crate::policy::{AnyOf, Enforcement, IdentityError, NormalPath, ProviderId, RuleAction, Unmet};
use crate::time::UnixTime;
use std::borrow::Cow;
use std::sync::Arc;

/// What comes next for a request.
#[derive(Debug)]
pub enum Step<'r> {
    /// The end.
    Decide(Decision<'r>),
    /// Check a signature, then [`Authn::resume`] with [`Outcome::Signature`].
    VerifySignature(SignatureJob<'r>, Box<Pending<'r>>),
    /// The provider's first key set, or one that may hold this token's key, is on its way. Wait, then [`Authn::begin`] again with the same request; or give
    /// up with [`Authn::resume`] and [`Outcome::KeysUnavailable`].
    AwaitKeys(ProviderId, Box<Pending<'r>>),
}

/// What the host found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The answer to a [`SignatureJob`].
    Signature(Verdict),
    /// The host waited long enough for keys.
    KeysUnavailable,
}

/// A request in the middle of its authentication. Borrows the request.
#[derive(Debug)]
pub struct Pending<'r> {
    progress: Progress<'r>,
    /// The token whose signature is being checked; `None` while keys are awaited.
    candidate: Option<Candidate<'r>>,
}

#[derive(Debug)]
struct Progress<'r> {
    head: RequestHead<'r>,
    mutations: Vec<HeaderMutation<'r>>,
    /// The rule, by its place.
    rule: usize,
    passed: Vec<(ProviderId, VerifiedToken)>,
    /// Where the passed tokens were: places in their providers' `locations`.
    used: Vec<(ProviderId, usize)>,
    /// Groups done, those passed without a token included.
    groups_done: usize,
    /// Payload segment of the first token.
    payload: &'r [u8],
}

#[derive(Debug)]
struct Candidate<'r> {
    provider: ProviderId,
    /// Place of the token in the provider's `locations`.
    location: usize,
    jwt: UnverifiedJwt<'r>,
    ends: Option<UnixTime>,
    signature: Arc<[u8]>,
    /// Keys still to be tried, last first.
    keys: Vec<Arc<Jwk>>,
}

/// Decides requests by one configuration and the key sets of its providers.
#[derive(Debug)]
pub struct Authn {
    policy: AuthnPolicy,
    key_sets: Vec<KeySetMachine>,
}

impl Authn {
    /// A machine for `policy`, with one key source for each of its providers, in the same order. `seed` spreads
    /// fetches over time; it should differ from one host to the next.
    pub fn new(policy: AuthnPolicy, sources: Vec<KeySetSource>, seed: u64) -> Self {
        let seeds = (0_u64..).map(|index| seed.wrapping_add(index.wrapping_mul(2)));
        let key_sets = sources.into_iter().zip(seeds);
        Self { policy, key_sets: key_sets.map(|(source, seed)| KeySetMachine::new(source, seed)).collect() }
    }

    /// The configuration.
    pub fn policy(&self) -> &AuthnPolicy {
        &self.policy
    }

    /// The key sets of the providers, in the policy's order.
    pub fn key_sets(&self) -> &[KeySetMachine] {
        &self.key_sets
    }

    /// The key set of one provider, for its host to drive.
    pub fn key_set_mut(&mut self, provider: ProviderId) -> Option<&mut KeySetMachine> {
        self.key_sets.get_mut(provider.0)
    }

    /// Fetches that are due now. Each answer goes to [`KeySetMachine::handle`] of its provider.
    pub fn poll_fetches(&mut self, now: UnixTime) -> Vec<(ProviderId, Fetch)> {
        let due = self.key_sets.iter_mut().enumerate();
        due.filter_map(|(id, machine)| machine.poll(now).map(|fetch| (ProviderId(id), fetch))).collect()
    }

    /// Starts with a request.
    pub fn begin<'r>(&mut self, now: UnixTime, head: RequestHead<'r>) -> Step<'r> {
        match select(&self.policy, head) {
            Ok(Selected::Anonymous(forward)) => Step::Decide(Decision::Forward(forward)),
            Ok(Selected::Required(progress)) => {
                let (rule, head) = (progress.rule, progress.head);
                let step = self.judge(now).advance(progress);
                report(&self.policy, rule, &head, step)
            }
            Err(denial) => reject(&self.policy, denial),
        }
    }

    /// Goes on with a request after its effect was performed.
    pub fn resume<'r>(&mut self, now: UnixTime, pending: Pending<'r>, outcome: Outcome) -> Step<'r> {
        let (rule, head) = (pending.progress.rule, pending.progress.head);
        let step = self.go_on(now, pending, outcome);
        report(&self.policy, rule, &head, step)
    }

    fn go_on<'r>(&mut self, now: UnixTime, pending: Pending<'r>, outcome: Outcome) -> Step<'r> {
        let Pending { mut progress, candidate } = pending;
        let (Outcome::Signature(verdict), Some(candidate)) = (outcome, candidate) else {
            return reject(&self.policy, Denial::KeysUnavailable);
        };
        if verdict == Verdict::Invalid {
            return try_next_key(&self.policy, progress, candidate);
        }
        let payload = candidate.jwt.jws().unverified_payload_segment();
        let Candidate { provider, location, ends, .. } = candidate;
        let Some(token) = candidate.jwt.verified(verdict, ends) else {
            return reject(&self.policy, Denial::SignatureInvalid);
        };
        let Some(group) = self.policy.group(progress.rule, progress.groups_done) else {
            return reject(&self.policy, Denial::InternalError);
        };
        if let Err(unmet) = group.check(provider, token.claims()) {
            let rejection = match unmet {
                Unmet::Scopes(scopes) => {
                    Rejection { scopes: Some(scopes), ..Rejection::of(provider, Denial::ScopeMissing) }
                }
                Unmet::Condition => Rejection::of(provider, Denial::ClaimNotAllowed),
            };
            return reject(&self.policy, rejection);
        }
        if progress.passed.is_empty() {
            progress.payload = payload;
        }
        progress.passed.push((provider, token));
        progress.used.push((provider, location));
        progress.groups_done = progress.groups_done.saturating_add(1);
        self.judge(now).advance(progress)
    }

    fn judge(&mut self, now: UnixTime) -> Judge<'_> {
        Judge { policy: &self.policy, key_sets: &mut self.key_sets, now }
    }
}

/// The part of a decision that may need keys.
struct Judge<'a> {
    policy: &'a AuthnPolicy,
    key_sets: &'a mut [KeySetMachine],
    now: UnixTime,
}

impl<'a> Judge<'a> {
    /// Goes through the groups of the requirement until one needs an effect.
    fn advance<'r>(&mut self, mut progress: Progress<'r>) -> Step<'r> {
        while let Some(group) = self.policy.group(progress.rule, progress.groups_done) {
            match bearer::find(&progress.head, &self.policy.locations(group)) {
                Ok(Some(found)) => return self.take_token(progress, group, found),
                Ok(None) if group.allow_missing => {
                    progress.groups_done = progress.groups_done.saturating_add(1);
                }
                Ok(None) => return reject(self.policy, Denial::TokenMissing),
                Err(BearerError::Repeated) => return reject(self.policy, Denial::TokenRepeated),
                Err(BearerError::Malformed) => return reject(self.policy, Denial::CredentialsMalformed),
            }
        }
        match finish(self.policy, progress) {
            Ok(forward) => Step::Decide(Decision::Forward(forward)),
            Err(denial) => reject(self.policy, denial),
        }
    }

    /// Everything that can be said of a token without its signature; the cheap refusals come first.
    fn take_token<'r>(
        &mut self,
        progress: Progress<'r>,
        group: &AnyOf,
        found: FoundToken<'r, '_>,
    ) -> Step<'r> {
        let (jwt, trusted) = match identify(self.policy, group, found.token) {
            Ok(identified) => identified,
            Err(denial) => return reject(self.policy, denial),
        };
        let provider = trusted.provider;
        let refuse = |denial| reject(self.policy, Rejection::of(provider, denial));
        let (location, ends) = match check(self.policy, self.now, &jwt, trusted, found.location) {
            Ok(checked) => checked,
            Err(denial) => return refuse(denial),
        };
        let Ok(signature) = jwt.jws().decode_signature() else { return refuse(Denial::TokenMalformed) };
        let header = jwt.jws().unverified_header();
        let Some(key_set) = self.key_sets.get_mut(provider.0) else { return refuse(Denial::InternalError) };
        let mut keys = match key_set.look_up(self.now, header.key_id.as_deref(), header.algorithm) {
            KeyAnswer::Keys(keys) => keys,
            KeyAnswer::Wait => {
                return Step::AwaitKeys(provider, Box::new(Pending { progress, candidate: None }));
            }
            KeyAnswer::NotFound => return refuse(Denial::KeyNotFound),
            KeyAnswer::Unavailable => return refuse(Denial::KeysUnavailable),
        };
        keys.reverse();
        let candidate = Candidate { provider, location, jwt, ends, signature: signature.into(), keys };
        try_next_key(self.policy, progress, candidate)
    }
}

/// The token, parsed, and the provider that its issuer stands for.
fn identify<'r, 'p>(
    policy: &'p AuthnPolicy,
    group: &AnyOf,
    token: &'r [u8],
) -> Result<(UnverifiedJwt<'r>, &'p TrustedIssuer), Denial> {
    if token.len() > policy.max_token_bytes {
        return Err(Denial::TokenTooLarge);
    }
    let jwt = UnverifiedJwt::parse(token).map_err(|error| match error {
        UnverifiedJwtError::Jws(JwsError::Header(HeaderError::UnsupportedAlgorithm)) => {
            Denial::AlgorithmNotAllowed
        }
        UnverifiedJwtError::Jws(_) | UnverifiedJwtError::Claims(_) => Denial::TokenMalformed,
    })?;
    let issuer = jwt.unverified_claims().string("iss").ok().flatten().ok_or(Denial::IssuerNotAllowed)?;
    let trusted = policy.find_issuer(issuer, group).ok_or(Denial::IssuerNotAllowed)?;
    Ok((jwt, trusted))
}

/// Checks everything but the signature. The token's place in the provider's `locations`, and when it ends.
fn check(
    policy: &AuthnPolicy,
    now: UnixTime,
    jwt: &UnverifiedJwt<'_>,
    trusted: &TrustedIssuer,
    location: &TokenLocation,
) -> Result<(usize, Option<UnixTime>), Denial> {
    let (header, claims) = (jwt.jws().unverified_header(), jwt.unverified_claims());
    let provider = policy.provider(trusted.provider).ok_or(Denial::InternalError)?;
    // Another provider's token in this provider's place proves nothing about this one.
    let location = provider.locations.iter().position(|place| place == location);
    let location = location.ok_or(Denial::IssuerNotAllowed)?;
    if !provider.algorithms.contains(&header.algorithm) {
        return Err(Denial::AlgorithmNotAllowed);
    }
    if !trusted.bindings.iter().all(|binding| binding.holds(claims)) {
        return Err(Denial::IssuerMismatch);
    }
    let ends = provider.claims.check(header, claims, now).map_err(|error| denial_of(&error))?;
    Ok((location, ends))
}

/// Lets a request through that its rule would deny, if the rule only reports.
fn report<'r>(policy: &AuthnPolicy, rule: usize, head: &RequestHead<'r>, step: Step<'r>) -> Step<'r> {
    match step {
        Step::Decide(Decision::Reject(reply)) if policy.enforcement(rule) == Enforcement::Report => {
            let reported = Some(Reported { denial: reply.denial, rule, provider: reply.provider });
            let mutations = take_out_forged(policy, head);
            Step::Decide(Decision::Forward(Forward { mutations, reported, ..Forward::default() }))
        }
        Step::Decide(_) | Step::VerifySignature(..) | Step::AwaitKeys(..) => step,
    }
}

fn take_out_forged<'r>(policy: &AuthnPolicy, head: &RequestHead<'r>) -> Vec<HeaderMutation<'r>> {
    let forged = policy.managed.forged(head.fields);
    forged.into_iter().map(|name| HeaderMutation::Remove(Cow::Borrowed(name))).collect()
}

fn reject<'r>(policy: &AuthnPolicy, rejection: impl Into<Rejection>) -> Step<'r> {
    Step::Decide(Decision::Reject(rejection.into().reply(&policy.challenge)))
}

fn select<'r>(policy: &AuthnPolicy, head: RequestHead<'r>) -> Result<Selected<'r>, Denial> {
    let mutations = take_out_forged(policy, &head);
    let path = NormalPath::parse(head.path).map_err(|_| Denial::PathNotAccepted)?;
    if policy.bypass_cors_preflight && is_cors_preflight(&head) {
        return Ok(Selected::Anonymous(Forward { mutations, ..Forward::default() }));
    }
    let found = policy.rules.find(head.method, head.authority, &path);
    let (rule, found) = found.ok_or(Denial::NoMatchingRule)?;
    Ok(match &found.action {
        RuleAction::Anonymous => Selected::Anonymous(Forward { mutations, ..Forward::default() }),
        RuleAction::Require(_) => Selected::Required(Progress {
            head,
            mutations,
            rule,
            passed: Vec::new(),
            used: Vec::new(),
            groups_done: 0,
            payload: b"",
        }),
    })
}

fn try_next_key<'r>(policy: &AuthnPolicy, progress: Progress<'r>, mut candidate: Candidate<'r>) -> Step<'r> {
    let Some(key) = candidate.keys.pop() else {
        return reject(policy, Rejection::of(candidate.provider, Denial::SignatureInvalid));
    };
    let job = SignatureJob {
        algorithm: candidate.jwt.jws().unverified_header().algorithm,
        key,
        signing_input: candidate.jwt.jws().signing_input(),
        signature: Arc::clone(&candidate.signature),
    };
    Step::VerifySignature(job, Box::new(Pending { progress, candidate: Some(candidate) }))
}

fn finish<'r>(policy: &AuthnPolicy, progress: Progress<'r>) -> Result<Forward<'r>, Denial> {
    let identity = if progress.passed.is_empty() {
        Arc::default()
    } else {
        policy.identity.apply(&progress.passed, progress.payload).map_err(|error| match error {
            IdentityError::Missing(_) => Denial::IdentityClaimMissing,
            IdentityError::Unsafe(_) | IdentityError::TooLong(_) => Denial::IdentityClaimUnsafe,
        })?
    };
    let mut mutations = progress.mutations;
    let used = progress.used.iter().filter_map(|(id, place)| {
        let provider = policy.provider(*id).filter(|provider| !provider.forward_token)?;
        provider.locations.get(*place)
    });
    mutations.extend(bearer::strip(&progress.head, &used.collect::<Vec<_>>()));
    let provider = progress.passed.first().map(|(id, _)| *id);
    Ok(Forward { mutations, identity, provider, reported: None })
}

enum Selected<'r> {
    Anonymous(Forward<'r>),
    Required(Progress<'r>),
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

/// Fetch Standard, section 3.2.2: OPTIONS with `Origin` and `Access-Control-Request-Method`.
fn is_cors_preflight(head: &RequestHead<'_>) -> bool {
    head.method == b"OPTIONS"
        && head.values(b"origin").next().is_some()
        && head.values(b"access-control-request-method").next().is_some()
}
