//! Signatures of our own, for client assertions: ES256 and EdDSA. Both are deterministic (RFC 6979, RFC 8032), so that they
//! need no randomness, and cheap in a sandbox. RSA signing is neither, and takes a worker tens of milliseconds there.

use super::super::{Algorithm, base64url};
use p256::ecdsa::signature::Signer;
use serde_json::{Map, Value};
use std::fmt;

/// A private key.
#[derive(Clone)]
pub struct SigningKey {
    key_id: Option<String>,
    material: Material,
}

#[derive(Clone)]
enum Material {
    P256(Box<p256::ecdsa::SigningKey>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

/// Why a JWK is not a private key that we sign with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningKeyError {
    /// Another `kty` or `crv`.
    #[error("expected a private JWK: EC with P-256, or OKP with Ed25519")]
    KeyType,
    /// A member is missing or malformed.
    #[error("expected member {0:?} to be 32 bytes in base64url")]
    Member(&'static str),
    /// The public members are another key's.
    #[error("expected \"x\" and \"y\" to belong to \"d\"")]
    Mismatch,
    /// `alg` names an algorithm that is not the key's.
    #[error("expected \"alg\" to be {0}")]
    Algorithm(Algorithm),
}

impl SigningKey {
    /// Takes a private key from its JWK (RFC 7518 section 6.2.2, RFC 8037 section 2).
    ///
    /// # Errors
    /// [`SigningKeyError`]; nothing of the key is in it.
    pub fn from_json(value: &Value) -> Result<Self, SigningKeyError> {
        let members = value.as_object().ok_or(SigningKeyError::KeyType)?;
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let material = match (text("kty"), text("crv")) {
            (Some("EC"), Some("P-256")) => p256(members)?,
            (Some("OKP"), Some("Ed25519")) => ed25519(members)?,
            _ => return Err(SigningKeyError::KeyType),
        };
        let key = Self { key_id: text("kid").map(str::to_owned), material };
        let named = members.get("alg").map(|alg| alg.as_str().and_then(Algorithm::from_name));
        match named {
            Some(algorithm) if algorithm != Some(key.algorithm()) => {
                Err(SigningKeyError::Algorithm(key.algorithm()))
            }
            _ => Ok(key),
        }
    }

    /// `kid`.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// The signature over `message` as JWA encodes it.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.material {
            Material::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            Material::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
        }
    }

    /// `payload` as a compact JWS with `typ` (RFC 7515 section 7.1).
    pub fn sign_compact(&self, token_type: &str, payload: &Value) -> String {
        let mut header = Map::new();
        header.insert("alg".to_owned(), self.algorithm().name().into());
        header.insert("typ".to_owned(), token_type.into());
        header.extend(self.key_id.as_deref().map(|key_id| ("kid".to_owned(), key_id.into())));
        let header = base64url::encode(Value::Object(header).to_string().as_bytes());
        let payload = base64url::encode(payload.to_string().as_bytes());
        let signed = format!("{header}.{payload}");
        let signature = base64url::encode(&self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

impl fmt::Debug for SigningKey {
    /// Key material is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, {:?})", self.algorithm(), self.key_id)
    }
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        let same = match (&self.material, &other.material) {
            (Material::P256(own), Material::P256(other)) => own == other,
            (Material::Ed25519(own), Material::Ed25519(other)) => own == other,
            (Material::P256(_) | Material::Ed25519(_), _) => false,
        };
        same && self.key_id == other.key_id
    }
}

impl Eq for SigningKey {}

fn bytes(members: &Map<String, Value>, name: &'static str) -> Result<[u8; 32], SigningKeyError> {
    let text = members.get(name).and_then(Value::as_str).ok_or(SigningKeyError::Member(name))?;
    let bytes = base64url::decode(text.as_bytes()).map_err(|_| SigningKeyError::Member(name))?;
    bytes.try_into().map_err(|_| SigningKeyError::Member(name))
}

fn p256(members: &Map<String, Value>) -> Result<Material, SigningKeyError> {
    let key = p256::ecdsa::SigningKey::from_slice(&bytes(members, "d")?)
        .map_err(|_| SigningKeyError::Member("d"))?;
    let point = key.verifying_key().to_sec1_point(false);
    let is_own = |name, coordinate: Option<&[u8]>| {
        bytes(members, name).map(|given| coordinate.is_some_and(|own| own == given))
    };
    if is_own("x", point.x().map(AsRef::as_ref))? && is_own("y", point.y().map(AsRef::as_ref))? {
        Ok(Material::P256(Box::new(key)))
    } else {
        Err(SigningKeyError::Mismatch)
    }
}

fn ed25519(members: &Map<String, Value>) -> Result<Material, SigningKeyError> {
    let key = ed25519_dalek::SigningKey::from_bytes(&bytes(members, "d")?);
    if key.verifying_key().as_bytes() == &bytes(members, "x")? {
        Ok(Material::Ed25519(Box::new(key)))
    } else {
        Err(SigningKeyError::Mismatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::crypto::{SignatureJob, Verdict, verify};
    use crate::jose::{Jwk, KeyOrigin, UnverifiedJws};
    use serde_json::json;
    use std::sync::Arc;

    /// RFC 7515 appendix A.3.1.
    fn p256_key() -> Value {
        json!({"kty": "EC", "crv": "P-256", "kid": "k",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"})
    }

    /// RFC 8037 appendix A.1.
    fn ed25519_key() -> Value {
        json!({"kty": "OKP", "crv": "Ed25519",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key.as_object_mut().unwrap().insert(name.into(), value);
        key
    }

    #[test]
    fn what_is_signed_verifies_and_nothing_else_does() {
        for private in [p256_key(), ed25519_key()] {
            let key = SigningKey::from_json(&private).unwrap();
            let token = key.sign_compact("JWT", &json!({"sub": "edge"}));
            let jws = UnverifiedJws::parse(token.as_bytes()).unwrap();
            assert_eq!(jws.unverified_header().algorithm, key.algorithm());
            assert_eq!(jws.unverified_header().key_id.as_deref(), key.key_id());
            let mut public = private.clone();
            public.as_object_mut().unwrap().remove("d");
            let mut job = SignatureJob {
                algorithm: key.algorithm(),
                key: Arc::new(Jwk::from_json(&public, KeyOrigin::Remote).unwrap()),
                signing_input: jws.signing_input(),
                signature: jws.decode_signature().unwrap().into(),
            };
            assert_eq!(verify(&job), Verdict::Valid);
            job.signing_input = b"another";
            assert_eq!(verify(&job), Verdict::Invalid);
        }
    }

    /// RFC 8037 appendix A.4.
    #[test]
    fn the_example_of_rfc_8037() {
        let key = SigningKey::from_json(&ed25519_key()).unwrap();
        let signature = key.sign(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
        assert_eq!(
            base64url::encode(&signature),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
    }

    #[test]
    fn what_is_not_a_private_key_is_refused() {
        let cases = [
            (json!("k"), SigningKeyError::KeyType),
            (json!({"kty": "RSA", "d": "AQAB"}), SigningKeyError::KeyType),
            (with(p256_key(), "crv", json!("P-384")), SigningKeyError::KeyType),
            (with(p256_key(), "d", Value::Null), SigningKeyError::Member("d")),
            (with(p256_key(), "d", json!("AAAA")), SigningKeyError::Member("d")),
            (with(p256_key(), "d", json!("A".repeat(43))), SigningKeyError::Member("d")),
            (with(p256_key(), "y", p256_key()["x"].clone()), SigningKeyError::Mismatch),
            (with(ed25519_key(), "d", p256_key()["d"].clone()), SigningKeyError::Mismatch),
            (with(p256_key(), "alg", json!("ES384")), SigningKeyError::Algorithm(Algorithm::Es256)),
            (with(ed25519_key(), "alg", json!(1)), SigningKeyError::Algorithm(Algorithm::EdDsa)),
        ];
        for (key, expected) in cases {
            assert_eq!(SigningKey::from_json(&key), Err(expected), "{key}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", SigningKey::from_json(&p256_key()).unwrap());
        assert_eq!(shown, r#"SigningKey(ES256, Some("k"))"#);
    }
}
