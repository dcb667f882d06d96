//! Tokens that are bound: whoever presents one must prove to be the client that it was issued to. By a client certificate
//! (RFC 8705 section 3), by a DPoP proof (RFC 9449 section 7), or both.

use super::decision::Evidence;
use super::judge::{Judge, Place, Stage, Verified};
use super::machine::{Outcome, Pending, Progress, ProofRecord, ProofStanding, Step};
use super::policy::{BindingRules, DpopRules};
use super::rejection::{Denial, Rejection};
use crate::http::RequestHead;
use crate::jose::crypto::Verdict;
use crate::jwt::VerifiedToken;
use crate::oauth::Confirmation;
use crate::oauth::dpop::{Expected, NonceKey, ProofError, Target, UnverifiedProof};
use std::sync::Arc;

/// What is being proved.
#[derive(Debug)]
pub(super) enum Proving<'r> {
    /// That the client has the certificate with this SHA-256; after it, that it has the key with this thumbprint.
    Certificate([u8; 32], Option<[u8; 32]>),
    /// That the proof is signed with its key.
    Signature(Box<UnverifiedProof<'r>>),
}

/// A proof that is the client's own. Nothing is left to ask but whether it is new.
#[derive(Debug)]
pub(super) struct Proof<'r> {
    record: ProofRecord,
    place: Place<'r>,
    token: Arc<VerifiedToken>,
}

impl Judge<'_> {
    /// A verified token: is it bound, and as it must be?
    pub(super) fn bind<'r>(&mut self, progress: Progress<'r>, mut verified: Verified<'r>) -> Step<'r> {
        let Some(provider) = self.policy.provider(verified.place.provider) else {
            return self.refuse(Denial::InternalError);
        };
        let (certificate, key) = match bindings(&provider.binding, &verified) {
            Ok(bindings) => bindings,
            Err(denial) => return self.refuse_bound(&verified, denial),
        };
        if certificate.is_some() || key.is_some() {
            // Each request must prove it anew.
            verified.voucher = None;
        }
        match certificate {
            Some(certificate) => {
                let stage = Stage::Binding(verified, Proving::Certificate(certificate, key));
                Step::ReadCertificate(Box::new(Pending { progress, stage }))
            }
            None => self.prove(progress, verified, key),
        }
    }

    /// Goes on after an effect.
    pub(super) fn go_on_binding<'r>(
        &mut self,
        progress: Progress<'r>,
        verified: Verified<'r>,
        proving: Proving<'r>,
        outcome: Outcome,
    ) -> Step<'r> {
        match (proving, outcome) {
            (Proving::Certificate(expected, key), Outcome::Certificate(found)) => {
                if found == Some(expected) {
                    self.prove(progress, verified, key)
                } else {
                    self.refuse_bound(&verified, Denial::CertificateMismatch)
                }
            }
            (Proving::Signature(_), Outcome::Signature(Verdict::Invalid)) => {
                self.refuse_bound(&verified, Denial::DpopSignatureInvalid)
            }
            (Proving::Signature(proof), Outcome::Signature(Verdict::Valid)) => {
                self.accept_proved(progress, verified, &proof)
            }
            (Proving::Certificate(..) | Proving::Signature(_), _) => self.refuse(Denial::InternalError),
        }
    }

    /// Has a proof remembered, once all else is settled: until then the request may have to wait, and is judged from its beginning after that.
    pub(super) fn record<'r>(&self, progress: Progress<'r>, proof: Proof<'r>) -> Step<'r> {
        let record = proof.record;
        Step::RecordProof(record, Box::new(Pending { progress, stage: Stage::Freshness(proof) }))
    }

    /// Goes on after a proof was remembered.
    pub(super) fn take_standing<'r>(
        &mut self,
        progress: Progress<'r>,
        proof: &Proof<'_>,
        standing: ProofStanding,
    ) -> Step<'r> {
        let denial = match standing {
            ProofStanding::Fresh => return self.advance(progress),
            ProofStanding::Seen => Denial::DpopProofReplayed,
            ProofStanding::Full => Denial::DpopMemoryFull,
        };
        self.refuse(proof.place.rejection(denial).with(Evidence::of(&proof.token)))
    }

    /// If the token is bound to a key: the proof, all but its signature.
    fn prove<'r>(
        &mut self,
        progress: Progress<'r>,
        verified: Verified<'r>,
        key: Option<[u8; 32]>,
    ) -> Step<'r> {
        let Some(key) = key else { return self.accept(progress, verified) };
        let Some(rules) = self.dpop(&verified) else { return self.refuse(Denial::InternalError) };
        let Some(nonces) = self.nonces(rules) else { return self.refuse(Denial::InternalError) };
        match self.check_proof(&progress.head, &verified, &key, rules, nonces.as_ref()) {
            Ok(proof) => {
                let job = proof.signature_job();
                let stage = Stage::Binding(verified, Proving::Signature(Box::new(proof)));
                Step::VerifySignature(job, Box::new(Pending { progress, stage }))
            }
            Err(Denial::DpopNonceRequired) => {
                let nonce = nonces.map(|nonces| nonces.issue(self.now));
                let rejection = verified.place.rejection(Denial::DpopNonceRequired);
                self.refuse(Rejection { nonce, ..rejection.with(Evidence::of(&verified.token)) })
            }
            Err(denial) => self.refuse_bound(&verified, denial),
        }
    }

    fn check_proof<'r>(
        &self,
        head: &RequestHead<'r>,
        verified: &Verified<'r>,
        key: &[u8; 32],
        rules: &DpopRules,
        nonce: Option<&NonceKey>,
    ) -> Result<UnverifiedProof<'r>, Denial> {
        let mut values = head.values(b"dpop");
        // RFC 9449 section 4.3, step 1: not more than one.
        let proof = match (values.next(), values.next()) {
            (None, _) => return Err(Denial::DpopProofMissing),
            (Some(proof), None) => UnverifiedProof::parse(proof),
            (Some(_), Some(_)) => return Err(Denial::DpopProofMalformed),
        };
        let proof = proof.map_err(|error| denial_of(&error))?;
        let target = Target::new(&rules.origins, head.scheme, head.authority, head.path);
        let expected = Expected {
            now: self.now,
            method: head.method,
            target: &target,
            token: verified.place.key.token,
            thumbprint: key,
            algorithms: &rules.algorithms,
            max_age: rules.proof_max_age,
            nonce,
        };
        proof.check(&expected).map_err(|error| denial_of(&error))?;
        Ok(proof)
    }

    /// The proof is the client's own.
    fn accept_proved<'r>(
        &mut self,
        mut progress: Progress<'r>,
        verified: Verified<'r>,
        proof: &UnverifiedProof<'r>,
    ) -> Step<'r> {
        let (Some(rules), Some(secret)) = (self.dpop(&verified), self.secret) else {
            return self.refuse(Denial::InternalError);
        };
        let record = ProofRecord { key: proof.replay_key(secret), until: proof.ends(rules.proof_max_age) };
        // A request has one proof, and that is for one token.
        progress.proof = Some(Proof { record, place: verified.place, token: Arc::clone(&verified.token) });
        self.accept(progress, verified)
    }

    fn dpop(&self, verified: &Verified<'_>) -> Option<&DpopRules> {
        self.policy.provider(verified.place.provider)?.binding.dpop.as_ref()
    }

    /// The key of the nonces that proofs must have, if they must. `None` if the host has shared no secret.
    fn nonces(&self, rules: &DpopRules) -> Option<Option<NonceKey>> {
        let Some(nonce) = &rules.nonce else { return Some(None) };
        let secret = nonce.secret.or_else(|| self.secret.copied())?;
        Some(Some(NonceKey::new(secret, nonce.lifetime)))
    }

    fn refuse_bound<'r>(&self, verified: &Verified<'_>, denial: Denial) -> Step<'r> {
        self.refuse(verified.place.rejection(denial).with(Evidence::of(&verified.token)))
    }
}

/// Certificate and key that the client must prove to have.
type Bindings = (Option<[u8; 32]>, Option<[u8; 32]>);

fn bindings(rules: &BindingRules, verified: &Verified<'_>) -> Result<Bindings, Denial> {
    let confirmation = match Confirmation::of(verified.token.claims()) {
        Ok(confirmation) => confirmation,
        Err(_) if rules.ignore_unchecked => None,
        Err(_) => return Err(Denial::BindingNotSupported),
    };
    let mut certificate = confirmation.and_then(|confirmation| confirmation.x5t_s256);
    let mut key = confirmation.and_then(|confirmation| confirmation.jkt);
    if rules.ignore_unchecked && !rules.certificate_bound {
        certificate = None;
    }
    if key.is_some() && rules.dpop.is_none() {
        if !rules.ignore_unchecked {
            return Err(Denial::BindingNotSupported);
        }
        key = None;
    }
    let lacks_certificate = rules.certificate_bound && certificate.is_none();
    let lacks_key = rules.dpop.as_ref().is_some_and(|dpop| dpop.required) && key.is_none();
    match (key.is_some(), verified.place.is_dpop) {
        _ if lacks_certificate || lacks_key => Err(Denial::BindingMissing),
        // RFC 9449 section 7.2: what is bound must not pass as a bearer token.
        (true, false) => Err(Denial::DpopDowngraded),
        (false, true) => Err(Denial::BindingMissing),
        (true, true) | (false, false) => Ok((certificate, key)),
    }
}

fn denial_of(error: &ProofError) -> Denial {
    match error {
        ProofError::Malformed(_) => Denial::DpopProofMalformed,
        ProofError::Algorithm => Denial::DpopAlgorithmNotAllowed,
        ProofError::Request => Denial::DpopRequestMismatch,
        ProofError::Token => Denial::DpopTokenMismatch,
        ProofError::Age => Denial::DpopProofExpired,
        ProofError::Nonce => Denial::DpopNonceRequired,
    }
}
