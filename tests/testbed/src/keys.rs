//! An issuer's signing keys, and tokens of every kind, good and bad, signed with them.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jwt_simple::algorithms::{
    ECDSAP256KeyPairLike, ES256KeyPair, Ed25519KeyPair, EdDSAKeyPairLike, RS256KeyPair, RSAKeyPairLike,
};
use jwt_simple::claims::JWTClaims;
use jwt_simple::common::HeaderOptions;
use p256::ecdsa::Signature;
use p256::ecdsa::signature::Signer;
use serde_json::{Map, Value};

/// The algorithm to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// The name in a JOSE header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// One key of each algorithm.
#[derive(Debug)]
pub struct Keys {
    label: String,
    rs256: RS256KeyPair,
    es256: ES256KeyPair,
    eddsa: Ed25519KeyPair,
}

impl Keys {
    /// New keys, with the key ids `LABEL-RS256` and so on.
    ///
    /// # Errors
    /// If no RSA key can be made.
    pub fn generate(label: &str) -> Result<Self> {
        let kid = |algorithm| kid(label, algorithm);
        let rs256 = RS256KeyPair::generate(2048).context("expected to make an RSA key")?;
        Ok(Self {
            label: label.to_owned(),
            rs256: rs256.with_key_id(&kid(Algorithm::Rs256)),
            es256: ES256KeyPair::generate().with_key_id(&kid(Algorithm::Es256)),
            eddsa: Ed25519KeyPair::generate().with_key_id(&kid(Algorithm::EdDsa)),
        })
    }

    /// The key id of the key for `algorithm`.
    pub fn kid(&self, algorithm: Algorithm) -> String {
        kid(&self.label, algorithm)
    }

    /// The public keys, each a JWK with `kid`, `alg` and `use`.
    ///
    /// # Errors
    /// If a key cannot be written as JSON: a bug.
    pub fn jwks(&self) -> Result<Vec<Value>> {
        let keys = [
            self.rs256.public_key().to_jwk(),
            self.es256.public_key().to_jwk(),
            self.eddsa.public_key().to_jwk(),
        ];
        keys.iter().map(|jwk| serde_json::from_str(jwk).context("expected a JWK")).collect()
    }

    /// A token with header `alg`, `kid`, `typ` and exactly these `claims`, whatever they are.
    ///
    /// # Errors
    /// If `claims` is not an object.
    pub fn sign(&self, algorithm: Algorithm, typ: &str, claims: &Value) -> Result<String> {
        let Value::Object(custom) = claims else {
            bail!("expected claims to be an object, but found {claims}")
        };
        let claims = only(custom.clone());
        let options = HeaderOptions { signature_type: Some(typ.to_owned()), ..HeaderOptions::default() };
        match algorithm {
            Algorithm::Rs256 => self.rs256.sign_with_options(claims, &options),
            Algorithm::Es256 => self.es256.sign_with_options(claims, &options),
            Algorithm::EdDsa => self.eddsa.sign_with_options(claims, &options),
        }
        .with_context(|| format!("expected to sign with {}", algorithm.name()))
    }

    /// A token with exactly this header and payload, signed with the ES256 key whatever the header says: no `typ` or `kid`,
    /// an unknown `crit`, a payload that is not JSON.
    pub fn sign_raw(&self, header: &Value, payload: &[u8]) -> String {
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let input = format!("{}.{}", encode(header.to_string().as_bytes()), encode(payload));
        let signature: Signature = self.es256.key_pair().as_ref().sign(input.as_bytes());
        format!("{input}.{}", encode(&signature.to_bytes()))
    }
}

fn kid(label: &str, algorithm: Algorithm) -> String {
    format!("{label}-{}", algorithm.name())
}

/// Claims of which none is set but these: jwt-simple writes its own only where they have a value.
fn only(custom: Map<String, Value>) -> JWTClaims<Map<String, Value>> {
    JWTClaims {
        issued_at: None,
        expires_at: None,
        invalid_before: None,
        issuer: None,
        subject: None,
        audiences: None,
        jwt_id: None,
        nonce: None,
        custom,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jwt_simple::algorithms::{
        ECDSAP256PublicKeyLike, ES256PublicKey, Ed25519PublicKey, EdDSAPublicKeyLike, RS256PublicKey,
        RSAPublicKeyLike,
    };
    use jwt_simple::claims::NoCustomClaims;
    use serde_json::json;

    fn part(token: &str, index: usize) -> Value {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn published_keys_verify_tokens() {
        let keys = Keys::generate("k").unwrap();
        let jwks: Vec<String> = keys.jwks().unwrap().iter().map(Value::to_string).collect();
        let token = |algorithm| keys.sign(algorithm, "JWT", &json!({ "exp": 4_000_000_000_u64 })).unwrap();
        let [rsa, ec, ed] = jwks.as_slice() else { panic!("{jwks:?}") };
        let rsa = RS256PublicKey::from_jwk(rsa).unwrap();
        rsa.verify_token::<NoCustomClaims>(&token(Algorithm::Rs256), None).unwrap();
        let ec = ES256PublicKey::from_jwk(ec).unwrap();
        ec.verify_token::<NoCustomClaims>(&token(Algorithm::Es256), None).unwrap();
        let raw = keys.sign_raw(&json!({ "alg": "ES256" }), br#"{"exp":4000000000}"#);
        ec.verify_token::<NoCustomClaims>(&raw, None).unwrap();
        let ed = Ed25519PublicKey::from_jwk(ed).unwrap();
        ed.verify_token::<NoCustomClaims>(&token(Algorithm::EdDsa), None).unwrap();
    }

    #[test]
    fn claims_and_typ_are_the_callers() {
        let keys = Keys::generate("k").unwrap();
        for claims in [json!({}), json!({ "aud": [1, null], "exp": "soon", "iss": { "a": 1.5 }, "sub": "ü" })]
        {
            for algorithm in Algorithm::ALL {
                let token = keys.sign(algorithm, "at+jwt", &claims).unwrap();
                assert_eq!(part(&token, 1), claims);
                let header = json!({ "alg": algorithm.name(), "kid": keys.kid(algorithm), "typ": "at+jwt" });
                assert_eq!(part(&token, 0), header);
            }
        }
        assert!(keys.sign(Algorithm::Es256, "JWT", &json!([])).is_err());
    }
}
