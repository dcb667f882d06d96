//! What tokens are bound to.

use super::Compiler;
use crate::authn::{BindingRules, DpopRules, NonceRules};
use crate::config::fault::Path;
use crate::config::raw;
use crate::jose::base64url;
use crate::oauth::dpop::Origin;
use serde_json::Value;
use std::time::Duration;

const DEFAULT_PROOF_AGE: Duration = Duration::from_secs(60);
const MIN_PROOF_AGE: Duration = Duration::from_secs(1);
const MAX_PROOF_AGE: Duration = Duration::from_secs(600);
const DEFAULT_NONCE_LIFETIME: Duration = Duration::from_secs(300);
const MIN_NONCE_LIFETIME: Duration = Duration::from_secs(10);
const MAX_NONCE_LIFETIME: Duration = Duration::from_secs(24 * 3600);

impl Compiler<'_> {
    pub(super) fn binding(
        &mut self,
        path: &Path,
        dpop: Option<raw::Dpop>,
        certificate_bound: bool,
        ignore_unchecked: bool,
    ) -> BindingRules {
        let dpop = dpop.map(|dpop| self.dpop(&path.member("dpop"), dpop));
        BindingRules { dpop, certificate_bound, ignore_unchecked }
    }

    fn dpop(&mut self, path: &Path, raw: raw::Dpop) -> DpopRules {
        let algorithms_path = path.member("algorithms");
        let algorithms = self.algorithms(&algorithms_path, raw.algorithms.as_deref());
        if let Some(symmetric) = algorithms.iter().find(|algorithm| algorithm.is_symmetric()) {
            let message =
                format_args!("expected asymmetric algorithms (RFC 9449 section 4.2), not {symmetric}");
            self.faults.add(&algorithms_path, message);
        }
        let age_path = path.member("proof_max_age");
        let proof_max_age =
            self.duration(&age_path, raw.proof_max_age.as_deref(), MIN_PROOF_AGE, MAX_PROOF_AGE);
        let origins_path = path.member("origins");
        if let Some(origins) = &raw.origins {
            self.expect_some(&origins_path, origins, "origin");
        }
        let mut origins = Vec::new();
        for (index, origin) in raw.origins.unwrap_or_default().iter().enumerate() {
            origins.extend(self.faults.check(&origins_path.item(index), Origin::parse(origin)));
        }
        let nonce = raw.nonce.map(|nonce| self.nonce(&path.member("nonce"), &nonce));
        DpopRules {
            required: raw.required.unwrap_or(true),
            algorithms,
            proof_max_age: proof_max_age.unwrap_or(DEFAULT_PROOF_AGE),
            origins,
            nonce,
        }
    }

    fn nonce(&mut self, path: &Path, raw: &raw::DpopNonce) -> NonceRules {
        let lifetime = self.duration(
            &path.member("lifetime"),
            raw.lifetime.as_deref(),
            MIN_NONCE_LIFETIME,
            MAX_NONCE_LIFETIME,
        );
        let secret = raw.secret.as_ref().and_then(|value| self.secret_bytes(&path.member("secret"), value));
        NonceRules { lifetime: lifetime.unwrap_or(DEFAULT_NONCE_LIFETIME), secret }
    }

    pub(super) fn secret_bytes(&mut self, path: &Path, value: &Value) -> Option<[u8; 32]> {
        let bytes = value.as_str().and_then(|text| base64url::decode(text.as_bytes()).ok());
        let secret = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        if secret.is_none() {
            self.faults.add(path, "expected 32 bytes in base64url without padding");
        }
        secret
    }
}
