//! Who checks signatures: the proxy, for the algorithms whose known answers it gave at start, and else pure Rust in the sandbox.

use doorward::jose::Algorithm;
use doorward::jose::crypto::{self, SignatureJob, Verdict};
use doorward_host::foreign::ForeignError;
use doorward_host::signature;
use std::collections::BTreeSet;

/// Who checked a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Backend {
    /// The proxy.
    Host,
    /// Pure Rust.
    Sandbox,
}

impl Backend {
    /// As a part of a metric's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Sandbox => "sandbox",
        }
    }
}

/// The algorithms that the proxy checks.
#[derive(Debug, Default)]
pub(crate) struct Backends(BTreeSet<Algorithm>);

impl Backends {
    /// Asks the proxy what it can do: for each algorithm a valid signature and one that is not. What it does not know, or gets
    /// wrong, is not asked of it again.
    pub(crate) fn probe() -> Self {
        let (mut right, mut wrong) = (BTreeSet::new(), BTreeSet::new());
        for (job, expected) in crypto::known_answers() {
            match ask(&job) {
                Some(Ok(found)) if found == expected => {
                    right.insert(job.algorithm);
                }
                Some(Ok(found)) => {
                    log::error!("signatures: the proxy answers {found:?} to a known {} check", job.algorithm);
                    wrong.insert(job.algorithm);
                }
                Some(Err(ForeignError::NotFound)) | None => {
                    wrong.insert(job.algorithm);
                }
                Some(Err(error)) => {
                    log::error!("signatures: the proxy could not check {}: {error}", job.algorithm);
                    wrong.insert(job.algorithm);
                }
            }
        }
        let backends = Self(right.difference(&wrong).copied().collect());
        log::info!("signatures: {} by the proxy, others in the sandbox", backends.list());
        backends
    }

    /// Checks a signature. Should the proxy fail, the sandbox answers, and the proxy is not asked for this algorithm again.
    pub(crate) fn verify(&mut self, job: &SignatureJob<'_>) -> (Verdict, Backend) {
        if self.0.contains(&job.algorithm) {
            match ask(job) {
                Some(Ok(verdict)) => return (verdict, Backend::Host),
                Some(Err(error)) => {
                    log::error!(
                        "signatures: {} is checked in the sandbox from now on: {error}",
                        job.algorithm
                    );
                    self.0.remove(&job.algorithm);
                }
                None => {}
            }
        }
        (crypto::verify(job), Backend::Sandbox)
    }

    fn list(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|algorithm| algorithm.name()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

/// What the proxy says; `None` if it cannot be asked.
fn ask(job: &SignatureJob<'_>) -> Option<Result<Verdict, ForeignError>> {
    let check = job.x509()?;
    let answer = signature::verify(check.hash.name(), check.public_key, &check.signature, check.message);
    Some(answer.map(Verdict::from))
}
