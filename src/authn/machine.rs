//! The request state machine.

use super::binding::Proof;
use super::decision::{Decision, Forward, LocalReply, Reported};
use super::judge::{Judge, Stage};
use super::policy::{AuthnPolicy, RuleFacts};
use super::rejection::{Denial, Offer, Rejection};
use super::token_cache::{CacheCounts, TokenCache, TokenKey, Voucher};
use crate::http::{HeaderMutation, RequestHead, is_method};
use crate::jose::crypto::{SignatureJob, Verdict};
use crate::jwt::VerifiedToken;
use crate::oauth::dpop::ReplayKey;
use crate::oauth::{Introspection, IntrospectionCall, IntrospectionMachine, TokenDigest};
use crate::oidc::{Fetch, KeySetMachine, KeySetSource};
use crate::policy::{Enforcement, NormalPath, ProviderId, Requirement, RuleAction};
use crate::time::UnixTime;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What comes next for a request.
#[derive(Debug)]
pub enum Step<'r> {
    /// The end.
    Decide(Decision<'r>),
    /// Check a signature, then [`Authn::resume`] with [`Outcome::Signature`].
    VerifySignature(SignatureJob<'r>, Box<Pending<'r>>),
    /// Something is on its way that the request depends on. Wait for it, then [`Authn::begin`] again with the same request; or give
    /// up with [`Authn::resume`] and [`Outcome::Unavailable`].
    Await(Awaited, Box<Pending<'r>>),
    /// Tell the SHA-256 of the client's certificate, by [`Authn::resume`] with [`Outcome::Certificate`].
    ReadCertificate(Box<Pending<'r>>),
    /// Remember a proof where all workers see it, then [`Authn::resume`] with [`Outcome::Proof`].
    RecordProof(ProofRecord, Box<Pending<'r>>),
}

/// A DPoP proof to be remembered, so that it is used once: see [`crate::oauth::dpop::replay::insert`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofRecord {
    /// Under what.
    pub key: ReplayKey,
    /// Until when.
    pub until: UnixTime,
}

/// What the host's memory of proofs says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofStanding {
    /// The proof is new, and is remembered now.
    Fresh,
    /// It was used before.
    Seen,
    /// There is no room to remember it.
    Full,
}

/// What a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Awaited {
    /// The provider's first key set, or one that may hold this token's key.
    Keys(ProviderId),
    /// What the provider says of this token.
    Introspection(ProviderId, TokenDigest),
}

/// How long a request waits: for the first keys of its provider, one that its provider may just have published, or an answer
/// about its token.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// How much longer a request waits that waits for something ([`Awaited`]) since an instant. `None` if it has waited long enough, or the clock was
/// set back while it did.
pub fn wait_left(since: UnixTime, now: UnixTime) -> Option<Duration> {
    if now < since {
        return None;
    }
    MAX_WAIT.checked_sub(now.saturating_since(since)).filter(|left| !left.is_zero())
}

/// What the host found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The answer to a [`SignatureJob`].
    Signature(Verdict),
    /// The host waited long enough.
    Unavailable,
    /// The SHA-256 of the certificate (DER) that the client has proved to hold; `None` if it showed none.
    Certificate(Option<[u8; 32]>),
    /// What became of a [`ProofRecord`].
    Proof(ProofStanding),
}

/// A request in the middle of its authentication. Borrows the request.
#[derive(Debug)]
pub struct Pending<'r> {
    pub(super) progress: Progress<'r>,
    pub(super) stage: Stage<'r>,
}

/// What has been settled of a request.
#[derive(Debug)]
pub(super) struct Progress<'r> {
    pub(super) head: RequestHead<'r>,
    pub(super) mutations: Vec<HeaderMutation<'r>>,
    /// The rule, by its place.
    pub(super) rule: usize,
    pub(super) passed: Vec<(ProviderId, Arc<VerifiedToken>)>,
    /// Where the passed tokens were: places in their providers' `locations`.
    pub(super) used: Vec<(ProviderId, usize)>,
    /// Groups done, those passed without a token included.
    pub(super) groups_done: usize,
    /// Payload of the first token, base64url.
    pub(super) payload: Cow<'r, [u8]>,
    /// Whether the rule wants one token only.
    pub(super) is_alone: bool,
    /// The token that alone decides, its voucher, and its place in the provider's `locations`.
    pub(super) reusable: Option<(TokenKey<'r>, Voucher, usize)>,
    /// A proof that must be new, of a token that has passed.
    pub(super) proof: Option<Proof<'r>>,
}

impl<'r> Progress<'r> {
    fn new(
        head: RequestHead<'r>,
        mutations: Vec<HeaderMutation<'r>>,
        rule: usize,
        requirement: &Requirement,
    ) -> Self {
        Self {
            head,
            mutations,
            rule,
            passed: Vec::new(),
            used: Vec::new(),
            groups_done: 0,
            payload: Cow::Borrowed(b""),
            is_alone: requirement.all.len() == 1,
            reusable: None,
            proof: None,
        }
    }
}

/// How a provider's tokens are verified.
#[derive(Debug, Clone)]
pub enum Verification {
    /// JWTs, by keys.
    Keys(KeySetSource),
    /// Opaque tokens, by asking.
    Introspection(Introspection),
}

/// The machine behind each provider.
#[derive(Debug)]
pub(super) enum Verifier {
    Keys(Box<KeySetMachine>),
    Introspection(Box<IntrospectionMachine>),
}

/// Decides requests by one configuration and what its providers say.
pub struct Authn {
    policy: AuthnPolicy,
    /// By the rule's place.
    facts: Vec<RuleFacts>,
    verifiers: Vec<Verifier>,
    cache: TokenCache,
    secret: Option<[u8; 32]>,
}

impl Authn {
    /// A machine for `policy`, with one verification for each of its providers, in the same order. `seed` spreads
    /// fetches over time; it should differ from one host to the next.
    pub fn new(policy: AuthnPolicy, verifications: Vec<Verification>, seed: u64) -> Self {
        let seeds = (0_u64..).map(|index| seed.wrapping_add(index.wrapping_mul(2)));
        let verifiers = verifications.into_iter().zip(seeds).map(|(verification, seed)| match verification {
            Verification::Keys(source) => Verifier::Keys(Box::new(KeySetMachine::new(source, seed))),
            Verification::Introspection(settings) => {
                Verifier::Introspection(Box::new(IntrospectionMachine::new(settings, seed)))
            }
        });
        let cache = TokenCache::new(policy.token_cache, seed);
        let facts = RuleFacts::of(&policy);
        Self { facts, verifiers: verifiers.collect(), policy, cache, secret: None }
    }

    /// Gives the machine 32 unpredictable bytes, the same for all workers that serve the same clients: nonces and the memory of
    /// proofs rest on them. Without, requests that need a proof are denied.
    pub fn share_secret(&mut self, secret: [u8; 32]) {
        self.secret = Some(secret);
    }

    /// The configuration.
    pub fn policy(&self) -> &AuthnPolicy {
        &self.policy
    }

    /// The key sets of the providers that have one.
    pub fn key_sets(&self) -> impl Iterator<Item = (ProviderId, &KeySetMachine)> {
        self.verifiers.iter().enumerate().filter_map(|(id, verifier)| match verifier {
            Verifier::Keys(machine) => Some((ProviderId(id), &**machine)),
            Verifier::Introspection(_) => None,
        })
    }

    /// The key set of one provider.
    pub fn key_set(&self, provider: ProviderId) -> Option<&KeySetMachine> {
        match self.verifiers.get(provider.0)? {
            Verifier::Keys(machine) => Some(machine),
            Verifier::Introspection(_) => None,
        }
    }

    /// The key set of one provider, for its host to drive.
    pub fn key_set_mut(&mut self, provider: ProviderId) -> Option<&mut KeySetMachine> {
        match self.verifiers.get_mut(provider.0)? {
            Verifier::Keys(machine) => Some(machine),
            Verifier::Introspection(_) => None,
        }
    }

    /// What the providers that are asked have said.
    pub fn introspections(&self) -> impl Iterator<Item = (ProviderId, &IntrospectionMachine)> {
        self.verifiers.iter().enumerate().filter_map(|(id, verifier)| match verifier {
            Verifier::Introspection(machine) => Some((ProviderId(id), &**machine)),
            Verifier::Keys(_) => None,
        })
    }

    /// What one provider has said, for its host to drive.
    pub fn introspection_mut(&mut self, provider: ProviderId) -> Option<&mut IntrospectionMachine> {
        match self.verifiers.get_mut(provider.0)? {
            Verifier::Introspection(machine) => Some(machine),
            Verifier::Keys(_) => None,
        }
    }

    /// What the cache of judged tokens has done, and holds.
    pub fn cache_counts(&self) -> CacheCounts {
        self.cache.counts()
    }

    /// Fetches that are due now. Each answer goes to [`KeySetMachine::handle`] of its provider.
    pub fn poll_fetches(&mut self, now: UnixTime) -> Vec<(ProviderId, Fetch)> {
        let due = self.verifiers.iter_mut().enumerate();
        due.filter_map(|(id, verifier)| match verifier {
            Verifier::Keys(machine) => machine.poll(now).map(|fetch| (ProviderId(id), fetch)),
            Verifier::Introspection(_) => None,
        })
        .collect()
    }

    /// Calls to make now. Each answer goes to [`IntrospectionMachine::handle`] of its provider.
    pub fn poll_introspections(&mut self, now: UnixTime) -> Vec<(ProviderId, IntrospectionCall)> {
        let mut calls = Vec::new();
        for (id, verifier) in self.verifiers.iter_mut().enumerate() {
            if let Verifier::Introspection(machine) = verifier {
                calls.extend(machine.poll(now).into_iter().map(|call| (ProviderId(id), call)));
            }
        }
        calls
    }

    /// Starts with a request.
    pub fn begin<'r>(&mut self, now: UnixTime, head: RequestHead<'r>) -> Step<'r> {
        match select(&self.policy, head) {
            Ok(Selected::Anonymous(forward)) => Step::Decide(Decision::Forward(forward)),
            Ok(Selected::Required(progress)) => {
                let (rule, head) = (progress.rule, progress.head);
                let step = self.judge(now, rule).advance(progress);
                report(&self.policy, rule, &head, step)
            }
            Err(denial) => {
                let reply = Rejection::from(denial).reply(&self.policy.challenge, &Offer::default());
                Step::Decide(Decision::Reject(reply))
            }
        }
    }

    /// Starts with a request that is to be judged by the rule at a place, whatever its path is: for hosts that choose by other means. A
    /// place without a rule is a denial.
    pub fn begin_required<'r>(&mut self, now: UnixTime, head: RequestHead<'r>, rule: usize) -> Step<'r> {
        let mutations = take_out_forged(&self.policy, &head);
        match self.policy.rules.get(rule).map(|rule| &rule.action) {
            Some(RuleAction::Require(requirement)) => {
                let progress = Progress::new(head, mutations, rule, requirement);
                let step = self.judge(now, rule).advance(progress);
                report(&self.policy, rule, &head, step)
            }
            Some(RuleAction::Anonymous) | None => {
                let rejection = Rejection::from(Denial::NoMatchingRule);
                let reply = rejection.reply(&self.policy.challenge, &Offer::default());
                Step::Decide(Decision::Reject(reply))
            }
        }
    }

    /// Goes on with a request after its effect was performed. An outcome that does not fit the step before is a denial.
    pub fn resume<'r>(&mut self, now: UnixTime, pending: Pending<'r>, outcome: Outcome) -> Step<'r> {
        let (rule, head) = (pending.progress.rule, pending.progress.head);
        let Pending { progress, stage } = pending;
        let step = self.judge(now, rule).resume(progress, stage, outcome);
        report(&self.policy, rule, &head, step)
    }

    fn judge(&mut self, now: UnixTime, rule: usize) -> Judge<'_> {
        Judge {
            policy: &self.policy,
            facts: self.facts.get(rule),
            rule,
            verifiers: &mut self.verifiers,
            cache: &mut self.cache,
            secret: self.secret.as_ref(),
            now,
        }
    }
}

impl fmt::Debug for Authn {
    /// The secret is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authn")
            .field("policy", &self.policy)
            .field("verifiers", &self.verifiers)
            .finish_non_exhaustive()
    }
}

/// Lets a request through that its rule would deny, if the rule only reports.
fn report<'r>(policy: &AuthnPolicy, rule: usize, head: &RequestHead<'r>, step: Step<'r>) -> Step<'r> {
    match step {
        Step::Decide(Decision::Reject(reply)) if policy.enforcement(rule) == Enforcement::Report => {
            let LocalReply { denial, provider, evidence, .. } = reply;
            let reported = Some(Reported { denial, rule, provider, evidence });
            let mutations = take_out_forged(policy, head);
            Step::Decide(Decision::Forward(Forward { mutations, reported, ..Forward::default() }))
        }
        Step::Decide(_)
        | Step::VerifySignature(..)
        | Step::Await(..)
        | Step::ReadCertificate(_)
        | Step::RecordProof(..) => step,
    }
}

fn take_out_forged<'r>(policy: &AuthnPolicy, head: &RequestHead<'r>) -> Vec<HeaderMutation<'r>> {
    let forged = policy.managed.forged(head.fields);
    forged.into_iter().map(|name| HeaderMutation::Remove(Cow::Borrowed(name))).collect()
}

enum Selected<'r> {
    Anonymous(Forward<'r>),
    Required(Progress<'r>),
}

fn select<'r>(policy: &AuthnPolicy, head: RequestHead<'r>) -> Result<Selected<'r>, Denial> {
    let mutations = take_out_forged(policy, &head);
    let path = NormalPath::parse(head.path).map_err(|_| Denial::PathNotAccepted)?;
    if !is_method(head.method) {
        return Err(Denial::MethodNotAccepted);
    }
    if !head.fields.iter().all(|field| field.name.is_ascii()) {
        return Err(Denial::HeaderNotAccepted);
    }
    if policy.bypass_cors_preflight && is_cors_preflight(&head) {
        return Ok(Selected::Anonymous(Forward { mutations, ..Forward::default() }));
    }
    let found = policy.rules.find(head.method, head.authority, &path);
    let (rule, found) = found.ok_or(Denial::NoMatchingRule)?;
    Ok(match &found.action {
        RuleAction::Anonymous => Selected::Anonymous(Forward { mutations, ..Forward::default() }),
        RuleAction::Require(requirement) => {
            Selected::Required(Progress::new(head, mutations, rule, requirement))
        }
    })
}

/// Fetch Standard, section 3.2.2: OPTIONS with `Origin` and `Access-Control-Request-Method`.
fn is_cors_preflight(head: &RequestHead<'_>) -> bool {
    head.method == b"OPTIONS"
        && head.values(b"origin").next().is_some()
        && head.values(b"access-control-request-method").next().is_some()
}
