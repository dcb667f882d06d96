//! Keys: RFC 7517 (JWK, JWK Set), RFC 7518 section 6, RFC 8037 section 2.

use super::base64url;
use super::crypto::VerifyingKey;
use super::{Algorithm, KeyFamily};
use crate::json::{self, JsonError, Limits};
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;

/// A certificate chain in `x5c` is the deepest thing in a key set.
const LIMITS: Limits = Limits { depth: 8, values: 100_000 };

/// Who chose the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrigin {
    /// Written into the configuration: a shared secret (`oct`) is accepted.
    Inline,
    /// Fetched over the network: a shared secret is refused, since whoever can read the key set could forge tokens.
    Remote,
}

/// A public key, or a shared secret, that can verify signatures. Parsed and checked once.
pub struct Jwk {
    key_id: Option<String>,
    /// `alg` of the key, which then may be used with no other algorithm.
    algorithm: Option<Algorithm>,
    material: VerifyingKey,
}

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwkError {
    /// Not an object.
    #[error("expected a JWK object")]
    NotAnObject,
    /// A member is not there.
    #[error("expected member {0:?}")]
    Missing(&'static str),
    /// A member has the wrong JSON type, or is not base64url where it must be.
    #[error("member {0:?} is malformed")]
    Malformed(&'static str),
    /// `kty` or `crv` is none that we verify with.
    #[error("unsupported key type")]
    UnsupportedKeyType,
    /// `alg` is not a signature algorithm that we verify.
    #[error("unsupported \"alg\"")]
    UnsupportedAlgorithm,
    /// `alg` cannot be used with this `kty` and `crv`.
    #[error("\"alg\" {0} does not fit the key type")]
    AlgorithmMismatch(Algorithm),
    /// `use` is not `sig`.
    #[error("\"use\" is not \"sig\"")]
    NotForSignatures,
    /// `key_ops` is there and has no `verify`.
    #[error("\"key_ops\" has no \"verify\"")]
    NotForVerifying,
    /// A private key (`d`) was published: whatever it signs proves nothing.
    #[error("the key set publishes a private key")]
    PrivateKey,
    /// A shared secret from the network.
    #[error("a shared secret (\"oct\") is accepted only from the configuration")]
    SymmetricFromNetwork,
    /// The shared secret is shorter than the hash (RFC 7518 section 3.2).
    #[error("expected a shared secret of at least {expected} bytes, but found {found}")]
    SecretTooShort {
        /// Length of the hash in bytes.
        expected: usize,
        /// Length of the secret in bytes.
        found: usize,
    },
    /// The RSA modulus is shorter than 2048 bits (RFC 7518 section 3.3) or longer than 8192.
    #[error("expected an RSA modulus of 2048 to 8192 bits, but found {0}")]
    RsaSize(usize),
    /// The RSA public exponent is even, below 65537 (FIPS 186-5 section 5.1), or above 2^33.
    #[error("weak or oversized RSA exponent")]
    RsaExponent,
    /// The numbers are not an RSA key.
    #[error("not an RSA key")]
    NotRsa,
    /// The coordinates are not a point on the curve, or a point of small order.
    #[error("not a point on the curve")]
    NotOnCurve,
}

impl Jwk {
    /// Takes a key from its JSON.
    ///
    /// # Errors
    /// [`JwkError`], the first reason why the key cannot verify signatures.
    pub fn from_json(value: &Value, origin: KeyOrigin) -> Result<Self, JwkError> {
        let members = value.as_object().ok_or(JwkError::NotAnObject)?;
        check_use(members)?;
        let material = key_material(members, origin)?;
        let algorithm = match string(members, "alg")? {
            None => None,
            Some(name) => Some(Algorithm::from_name(name).ok_or(JwkError::UnsupportedAlgorithm)?),
        };
        if let Some(algorithm) = algorithm.filter(|algorithm| !material.fits(*algorithm)) {
            return Err(match material.secret_bytes() {
                Some(found) if algorithm.is_symmetric() => {
                    JwkError::SecretTooShort { expected: algorithm.hash().bytes(), found }
                }
                _ => JwkError::AlgorithmMismatch(algorithm),
            });
        }
        Ok(Self { key_id: string(members, "kid")?.map(str::to_owned), algorithm, material })
    }

    /// `kid`.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// `kty` and `crv`.
    pub fn family(&self) -> KeyFamily {
        self.material.family()
    }

    /// The parsed key.
    pub fn material(&self) -> &VerifyingKey {
        &self.material
    }

    /// Whether a signature by `algorithm` may be checked with this key.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.material.fits(algorithm) && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

impl fmt::Debug for Jwk {
    /// Key material is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwk")
            .field("key_id", &self.key_id)
            .field("family", &self.family())
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

fn check_use(members: &Map<String, Value>) -> Result<(), JwkError> {
    if string(members, "use")?.is_some_and(|usage| usage != "sig") {
        return Err(JwkError::NotForSignatures);
    }
    match members.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|op| op == "verify") => Ok(()),
        Some(Value::Array(_)) => Err(JwkError::NotForVerifying),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            Err(JwkError::Malformed("key_ops"))
        }
    }
}

fn key_material(members: &Map<String, Value>, origin: KeyOrigin) -> Result<VerifyingKey, JwkError> {
    let kty = string(members, "kty")?.ok_or(JwkError::Missing("kty"))?;
    if kty != "oct" && members.contains_key("d") {
        return Err(JwkError::PrivateKey);
    }
    match kty {
        "RSA" => VerifyingKey::rsa(&bytes(members, "n")?, &bytes(members, "e")?),
        "EC" => {
            let (x, y) = (bytes(members, "x")?, bytes(members, "y")?);
            match string(members, "crv")?.ok_or(JwkError::Missing("crv"))? {
                "P-256" => VerifyingKey::p256(&x, &y),
                "P-384" => VerifyingKey::p384(&x, &y),
                "P-521" => VerifyingKey::p521(&x, &y),
                _ => Err(JwkError::UnsupportedKeyType),
            }
        }
        "OKP" => match string(members, "crv")?.ok_or(JwkError::Missing("crv"))? {
            "Ed25519" => VerifyingKey::ed25519(&bytes(members, "x")?),
            _ => Err(JwkError::UnsupportedKeyType),
        },
        "oct" if origin == KeyOrigin::Remote => Err(JwkError::SymmetricFromNetwork),
        "oct" => VerifyingKey::oct(bytes(members, "k")?),
        _ => Err(JwkError::UnsupportedKeyType),
    }
}

fn string<'m>(members: &'m Map<String, Value>, name: &'static str) -> Result<Option<&'m str>, JwkError> {
    match members.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(JwkError::Malformed(name)),
    }
}

fn bytes(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, JwkError> {
    let text = string(members, name)?.ok_or(JwkError::Missing(name))?;
    base64url::decode(text.as_bytes()).map_err(|_| JwkError::Malformed(name))
}

/// A JWK Set (RFC 7517 section 5). Keys that we cannot use are left out and remembered with their reason: a provider
/// that adds a key of a new kind must not take the others with it.
#[derive(Debug, Default)]
pub struct JwkSet {
    keys: Vec<Arc<Jwk>>,
    skipped: Vec<SkippedKey>,
}

/// A key of a set that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in `keys`, from 0.
    pub index: usize,
    /// Its `kid`, if it has one.
    pub key_id: Option<String>,
    /// Why.
    pub reason: JwkError,
}

/// Why a text is not a JWK Set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwkSetError {
    /// Not one strict JSON object.
    #[error("not a JWK Set: {0}")]
    Json(#[from] JsonError),
    /// There is no array `keys`.
    #[error("expected member \"keys\" to be an array")]
    NoKeys,
    /// More keys than we are willing to hold.
    #[error("expected at most {limit} keys, but found {found}")]
    TooManyKeys {
        /// The bound.
        limit: usize,
        /// How many there are.
        found: usize,
    },
}

impl JwkSet {
    /// How many keys one set may have.
    pub const MAX_KEYS: usize = 1000;
    /// How many keys are tried for one token: more would let one token cost many signature checks.
    pub const MAX_CANDIDATES: usize = 4;

    /// Parses a JWK Set document.
    ///
    /// # Errors
    /// [`JwkSetError`]. Keys that cannot be used are not errors: see [`JwkSet::skipped`].
    pub fn parse(text: &[u8], origin: KeyOrigin) -> Result<Self, JwkSetError> {
        Self::from_json(&Value::Object(json::parse_object(text, LIMITS)?), origin)
    }

    /// Takes a JWK Set from its JSON.
    ///
    /// # Errors
    /// As [`JwkSet::parse`].
    pub fn from_json(value: &Value, origin: KeyOrigin) -> Result<Self, JwkSetError> {
        let keys = value.get("keys").and_then(Value::as_array).ok_or(JwkSetError::NoKeys)?;
        if keys.len() > Self::MAX_KEYS {
            return Err(JwkSetError::TooManyKeys { limit: Self::MAX_KEYS, found: keys.len() });
        }
        let mut set = Self::default();
        for (index, value) in keys.iter().enumerate() {
            match Jwk::from_json(value, origin) {
                Ok(key) => set.keys.push(Arc::new(key)),
                Err(reason) => {
                    let key_id = value.get("kid").and_then(Value::as_str).map(str::to_owned);
                    set.skipped.push(SkippedKey { index, key_id, reason });
                }
            }
        }
        Ok(set)
    }

    /// The usable keys.
    pub fn keys(&self) -> &[Arc<Jwk>] {
        &self.keys
    }

    /// The keys that were left out.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// The keys to try for a token with this header, at most [`JwkSet::MAX_CANDIDATES`].
    ///
    /// A token with a `kid` is tried with the keys of that `kid`, and else with keys that have none; a token without
    /// one with every key that fits its algorithm.
    pub fn candidates<'s>(&'s self, key_id: Option<&str>, algorithm: Algorithm) -> Vec<&'s Arc<Jwk>> {
        let fitting = || self.keys.iter().filter(|key| key.fits(algorithm));
        let named: Vec<_> = fitting()
            .filter(|key| key_id.is_none() || key.key_id() == key_id)
            .take(Self::MAX_CANDIDATES)
            .collect();
        if !named.is_empty() {
            return named;
        }
        fitting().filter(|key| key.key_id().is_none()).take(Self::MAX_CANDIDATES).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// RFC 7515 appendix A.3.1.
    fn p256() -> Value {
        json!({"kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
    }

    /// RFC 8037 appendix A.2.
    fn ed25519() -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    /// RFC 7515 appendix A.2.1.
    fn rsa() -> Value {
        json!({"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"})
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key.as_object_mut().unwrap().insert(name.into(), value);
        key
    }

    fn check(key: &Value, expected: Result<KeyFamily, JwkError>) {
        assert_eq!(Jwk::from_json(key, KeyOrigin::Remote).map(|k| k.family()), expected, "{key}");
    }

    #[test]
    fn each_family_is_accepted() {
        check(&rsa(), Ok(KeyFamily::Rsa));
        check(&p256(), Ok(KeyFamily::P256));
        check(&ed25519(), Ok(KeyFamily::Ed25519));
    }

    #[test]
    fn unusable_keys_say_why() {
        let modulus = rsa()["n"].as_str().unwrap().to_owned();
        let cases = [
            (json!(1), JwkError::NotAnObject),
            (json!({}), JwkError::Missing("kty")),
            (json!({"kty": "EC", "crv": "P-256", "x": "AA"}), JwkError::Missing("y")),
            (json!({"kty": "LWE"}), JwkError::UnsupportedKeyType),
            (with(p256(), "crv", json!("secp256k1")), JwkError::UnsupportedKeyType),
            (with(ed25519(), "crv", json!("Ed448")), JwkError::UnsupportedKeyType),
            (with(ed25519(), "crv", json!("X25519")), JwkError::UnsupportedKeyType),
            (with(p256(), "y", p256()["x"].clone()), JwkError::NotOnCurve),
            (with(p256(), "x", json!("AA")), JwkError::NotOnCurve),
            (with(p256(), "crv", json!("P-384")), JwkError::NotOnCurve),
            (with(p256(), "x", json!("f83O=")), JwkError::Malformed("x")),
            // The neutral element, and a point of order 8.
            (
                with(ed25519(), "x", json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
                JwkError::NotOnCurve,
            ),
            (
                with(ed25519(), "x", json!("xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o")),
                JwkError::NotOnCurve,
            ),
            (with(rsa(), "e", json!("Aw")), JwkError::RsaExponent),
            (with(rsa(), "e", json!("AQ")), JwkError::RsaExponent),
            (with(rsa(), "e", json!("AQAC")), JwkError::RsaExponent),
            (with(rsa(), "e", json!("AQAAAAAAAQ")), JwkError::RsaExponent),
            (with(rsa(), "n", json!(modulus.get(..200))), JwkError::RsaSize(1200)),
            (with(rsa(), "d", json!("AQAB")), JwkError::PrivateKey),
            (with(rsa(), "use", json!("enc")), JwkError::NotForSignatures),
            (with(rsa(), "key_ops", json!(["sign"])), JwkError::NotForVerifying),
            (with(rsa(), "key_ops", json!("verify")), JwkError::Malformed("key_ops")),
            (with(rsa(), "alg", json!("RSA-OAEP")), JwkError::UnsupportedAlgorithm),
            (with(rsa(), "alg", json!("ES256")), JwkError::AlgorithmMismatch(Algorithm::Es256)),
            (with(rsa(), "kid", json!(7)), JwkError::Malformed("kid")),
            (json!({"kty": "oct", "k": "AA"}), JwkError::SymmetricFromNetwork),
        ];
        for (key, reason) in cases {
            check(&key, Err(reason));
        }
        let short =
            Jwk::from_json(&json!({"kty": "oct", "k": "AAAA"}), KeyOrigin::Inline).map(|k| k.family());
        assert_eq!(short, Err(JwkError::SecretTooShort { expected: 32, found: 3 }));
    }

    #[test]
    fn a_key_with_alg_fits_no_other() {
        let key = Jwk::from_json(&with(rsa(), "alg", json!("PS256")), KeyOrigin::Remote).unwrap();
        assert!(key.fits(Algorithm::Ps256));
        assert!(!key.fits(Algorithm::Rs256) && !key.fits(Algorithm::Ps384) && !key.fits(Algorithm::Es256));
        let key = Jwk::from_json(&with(ed25519(), "alg", json!("Ed25519")), KeyOrigin::Remote).unwrap();
        assert!(key.fits(Algorithm::EdDsa));
    }

    fn set(keys: &[Value]) -> JwkSet {
        JwkSet::from_json(&json!({ "keys": keys }), KeyOrigin::Remote).unwrap()
    }

    #[test]
    fn unusable_keys_do_not_take_the_others_with_them() {
        let set = set(&[json!({"kty": "LWE", "kid": "pq"}), p256()]);
        assert_eq!(set.keys().len(), 1);
        let skipped =
            SkippedKey { index: 0, key_id: Some("pq".into()), reason: JwkError::UnsupportedKeyType };
        assert_eq!(set.skipped(), [skipped]);
    }

    #[test]
    fn candidates_are_bounded_and_of_the_matching_type() {
        let many: Vec<_> = (0..9).map(|_| with(p256(), "kid", json!("same"))).chain([rsa()]).collect();
        let set = set(&many);
        assert_eq!(set.candidates(Some("same"), Algorithm::Es256).len(), JwkSet::MAX_CANDIDATES);
        assert_eq!(set.candidates(None, Algorithm::Es256).len(), JwkSet::MAX_CANDIDATES);
        assert_eq!(set.candidates(Some("other"), Algorithm::Es256).len(), 0);
        assert_eq!(set.candidates(Some("same"), Algorithm::Es384).len(), 0);
        // The RSA key has no kid, so a token's kid cannot speak against it.
        assert_eq!(set.candidates(Some("same"), Algorithm::Rs256).len(), 1);
    }

    #[test]
    fn what_is_not_a_set_is_refused() {
        let parse = |text: &[u8]| JwkSet::parse(text, KeyOrigin::Remote).map(|_| ());
        assert_eq!(parse(b"{}"), Err(JwkSetError::NoKeys));
        assert!(matches!(parse(b"<html>"), Err(JwkSetError::Json(_))));
        assert!(matches!(parse(br#"{"keys":[],"keys":[]}"#), Err(JwkSetError::Json(_))));
        let many = json!({"keys": vec![json!({}); 1001]}).to_string();
        assert_eq!(parse(many.as_bytes()), Err(JwkSetError::TooManyKeys { limit: 1000, found: 1001 }));
        assert!(JwkSet::parse(br#"{"keys":[]}"#, KeyOrigin::Remote).unwrap().keys().is_empty());
    }
}
