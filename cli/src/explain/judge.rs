//! The filter's machine, driven to its end, with a note of every effect on the way.

use super::keys::Keys;
use doorward::authn::decision::Decision;
use doorward::authn::{Authn, Awaited, Outcome, ProofStanding, Step};
use doorward::http::RequestHead;
use doorward::jose::crypto::{self, Verdict};
use doorward::jose::{Algorithm, Jwk};
use doorward::policy::ProviderId;
use doorward::time::UnixTime;
use std::sync::Arc;
use std::time::Duration;

/// The longest cooldown: after it a machine fetches again for a key that it does not know.
const LONGEST_COOLDOWN: Duration = Duration::from_secs(3600);
/// A request needs two fetches for each provider: the first keys, and those after a rotation.
const MAX_ROUNDS: usize = 64;

/// What the machine decided, and what it asked for before.
pub(super) struct Judgement<'r> {
    pub(super) decision: Decision<'r>,
    pub(super) signatures: Vec<Signature<'r>>,
    pub(super) fetches: Vec<(ProviderId, Vec<String>)>,
}

/// One signature that was checked.
pub(super) struct Signature<'r> {
    pub(super) key: Arc<Jwk>,
    pub(super) algorithm: Algorithm,
    pub(super) verdict: Verdict,
    /// The signed part of the token, to tell which token it was.
    pub(super) signed: &'r [u8],
}

/// Decides, fetching what the machine waits for. No proof is remembered: each is new.
pub(super) fn judge<'r>(
    authn: &mut Authn,
    keys: &Keys,
    now: UnixTime,
    head: RequestHead<'r>,
    certificate: Option<[u8; 32]>,
) -> Judgement<'r> {
    let (mut signatures, mut fetches) = (Vec::new(), Vec::new());
    let mut step = authn.begin(now, head);
    let mut rounds = 0_usize;
    loop {
        step = match step {
            Step::Decide(decision) => return Judgement { decision, signatures, fetches },
            Step::VerifySignature(job, pending) => {
                let verdict = crypto::verify(&job);
                signatures.push(Signature {
                    key: Arc::clone(&job.key),
                    algorithm: job.algorithm,
                    verdict,
                    signed: job.signing_input,
                });
                authn.resume(now, *pending, Outcome::Signature(verdict))
            }
            Step::ReadCertificate(pending) => authn.resume(now, *pending, Outcome::Certificate(certificate)),
            Step::RecordProof(_, pending) => {
                authn.resume(now, *pending, Outcome::Proof(ProofStanding::Fresh))
            }
            Step::Await(Awaited::Introspection(id, _), pending) => {
                rounds = rounds.saturating_add(1);
                let mut notes = Vec::new();
                let asked = rounds <= MAX_ROUNDS && keys.ask(authn, id, now, &mut notes);
                fetches.push((id, notes));
                if asked {
                    signatures.clear();
                    authn.begin(now, head)
                } else {
                    authn.resume(now, *pending, Outcome::Unavailable)
                }
            }
            Step::Await(Awaited::Keys(id), pending) => {
                rounds = rounds.saturating_add(1);
                let mut notes = Vec::new();
                // In the proxy the request waits for the cooldown to pass; here time is only a number.
                let came = rounds <= MAX_ROUNDS
                    && (keys.bring(authn, id, now, &mut notes)
                        || notes.is_empty()
                            && keys.bring(authn, id, now.saturating_add(LONGEST_COOLDOWN), &mut notes));
                fetches.push((id, notes));
                if came {
                    // The signatures of earlier tokens are asked for again.
                    signatures.clear();
                    authn.begin(now, head)
                } else {
                    authn.resume(now, *pending, Outcome::Unavailable)
                }
            }
        };
    }
}
