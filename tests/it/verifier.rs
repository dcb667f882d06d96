//! The path from a token and a key set to a verdict, as every host takes it.

use doorward::jose::crypto::{SignatureJob, Verdict, verify};
use doorward::jose::{JwkSet, KeyOrigin, UnverifiedJws};
use serde_json::Value;
use std::sync::Arc;

/// A set of one key from the configuration.
pub(crate) fn only_key(jwk: &Value) -> JwkSet {
    let document = serde_json::json!({ "keys": [jwk] });
    JwkSet::parse(document.to_string().as_bytes(), KeyOrigin::Inline).unwrap()
}

/// Whether the token is a JWS with a valid signature by one of the keys.
pub(crate) fn accepts(token: &[u8], keys: &JwkSet) -> bool {
    UnverifiedJws::parse(token)
        .is_ok_and(|jws| jws.decode_unverified_payload().is_ok() && has_signer(&jws, keys))
}

/// Whether the signature is by one of the keys.
pub(crate) fn has_signer(jws: &UnverifiedJws<'_>, keys: &JwkSet) -> bool {
    let header = jws.unverified_header();
    let Ok(signature) = jws.decode_signature() else { return false };
    let signature: Arc<[u8]> = signature.into();
    keys.candidates(header.key_id.as_deref(), header.algorithm).into_iter().any(|key| {
        let job = SignatureJob {
            algorithm: header.algorithm,
            key: Arc::clone(key),
            signing_input: jws.signing_input(),
            signature: Arc::clone(&signature),
        };
        verify(&job) == Verdict::Valid
    })
}
