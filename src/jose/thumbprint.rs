//! JWK Thumbprints: RFC 7638, and RFC 8037 section 2 for Ed25519.

use super::{JwkError, base64url};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The SHA-256 thumbprint of a public key. What `kid`, `alg`, `use` and other optional members say does not count.
///
/// A member that could be written in another way is refused, so that one key has one thumbprint: base64url must be
/// strict, numbers without leading zeros, coordinates of full length. Whether the numbers are a key is not checked
/// here: see [`super::Jwk::from_json`].
///
/// # Errors
/// [`JwkError::NotAnObject`], [`JwkError::Missing`], [`JwkError::Malformed`], [`JwkError::UnsupportedKeyType`], the
/// latter also for a shared secret: its hash is nothing to hand around.
pub fn sha256(jwk: &Value) -> Result<[u8; 32], JwkError> {
    let members = jwk.as_object().ok_or(JwkError::NotAnObject)?;
    // RFC 7638 section 3.2: required members only, in lexicographic order, without white space.
    let canonical = match string(members, "kty")? {
        "RSA" => {
            let (e, n) = (number(members, "e")?, number(members, "n")?);
            format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
        }
        "EC" => {
            let (crv, length) = match string(members, "crv")? {
                "P-256" => ("P-256", 32),
                "P-384" => ("P-384", 48),
                "P-521" => ("P-521", 66),
                _ => return Err(JwkError::UnsupportedKeyType),
            };
            let (x, y) = (octets(members, "x", length)?, octets(members, "y", length)?);
            format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#)
        }
        "OKP" if string(members, "crv")? == "Ed25519" => {
            let x = ed25519(members)?;
            format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)
        }
        _ => return Err(JwkError::UnsupportedKeyType),
    };
    Ok(Sha256::digest(canonical).into())
}

fn string<'m>(members: &'m Map<String, Value>, name: &'static str) -> Result<&'m str, JwkError> {
    members.get(name).ok_or(JwkError::Missing(name))?.as_str().ok_or(JwkError::Malformed(name))
}

fn decode(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, JwkError> {
    base64url::decode(string(members, name)?.as_bytes()).map_err(|_| JwkError::Malformed(name))
}

/// Base64urlUInt (RFC 7518 section 2): at least one byte, the first one not zero.
fn number(members: &Map<String, Value>, name: &'static str) -> Result<String, JwkError> {
    let bytes = decode(members, name)?;
    match bytes.first() {
        None | Some(0) => Err(JwkError::Malformed(name)),
        Some(_) => Ok(base64url::encode(&bytes)),
    }
}

fn octets(members: &Map<String, Value>, name: &'static str, length: usize) -> Result<String, JwkError> {
    let bytes = decode(members, name)?;
    if bytes.len() == length { Ok(base64url::encode(&bytes)) } else { Err(JwkError::Malformed(name)) }
}

/// RFC 8032 section 5.1.2: y, little-endian, below 2^255 - 19, and the sign of x in the highest bit. Verifiers take a
/// greater y modulo the prime, so that such a key would have two encodings.
fn ed25519(members: &Map<String, Value>) -> Result<String, JwkError> {
    let malformed = JwkError::Malformed("x");
    let bytes = <[u8; 32]>::try_from(decode(members, "x")?).map_err(|_| malformed.clone())?;
    let [lowest, middle @ .., highest] = &bytes;
    let is_reduced = *lowest < 0xed || middle.iter().any(|byte| *byte != 0xff) || highest | 0x80 != 0xff;
    if is_reduced { Ok(base64url::encode(&bytes)) } else { Err(malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MODULUS: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

    fn check(jwk: &Value, expected: Result<&str, JwkError>) {
        let found = sha256(jwk).map(|thumbprint| base64url::encode(&thumbprint));
        assert_eq!(found, expected.map(str::to_owned), "{jwk}");
    }

    /// RFC 9449 section 4.2, whose thumbprint is in section 6.1.
    fn p256() -> Value {
        json!({"kty": "EC", "crv": "P-256",
            "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
            "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"})
    }

    /// RFC 8037 appendix A.2.
    fn ed25519() -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    fn with(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
        key.as_object_mut().unwrap().insert(name.into(), value.into());
        key
    }

    #[test]
    fn published_examples_have_their_thumbprint() {
        // RFC 7638 section 3.1.
        let rsa = json!({"kty": "RSA", "n": MODULUS, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"});
        check(&rsa, Ok("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"));
        // RFC 8037 appendix A.3.
        check(&ed25519(), Ok("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"));
        check(&p256(), Ok("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"));
    }

    #[test]
    fn the_greater_curves_have_their_own_length() {
        for (crv, length) in [("P-384", 48), ("P-521", 66)] {
            let coordinate = base64url::encode(&vec![7; length]);
            let key = json!({"kty": "EC", "crv": crv, "x": coordinate, "y": coordinate});
            let text = format!(r#"{{"crv":"{crv}","kty":"EC","x":"{coordinate}","y":"{coordinate}"}}"#);
            assert_eq!(sha256(&key), Ok(Sha256::digest(text).into()));
            check(&with(key, "y", base64url::encode(&[7; 32])), Err(JwkError::Malformed("y")));
        }
    }

    #[test]
    fn optional_members_do_not_count() {
        let key = with(with(p256(), "kid", "k"), "use", "sig");
        assert_eq!(sha256(&key), sha256(&p256()));
        assert_ne!(sha256(&with(p256(), "x", p256()["y"].clone())), sha256(&p256()));
    }

    #[test]
    fn a_second_way_to_write_a_key_is_refused() {
        let rsa = json!({"kty": "RSA", "n": MODULUS, "e": "AQAB"});
        let cases = [
            (with(rsa.clone(), "e", "AAEAAQ"), "e"),
            (with(rsa.clone(), "e", ""), "e"),
            (with(rsa.clone(), "e", "AQAB="), "e"),
            (with(rsa.clone(), "e", 65537), "e"),
            (with(rsa, "n", format!("AAAA{MODULUS}")), "n"),
            (with(p256(), "x", "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFt"), "x"),
            (with(p256(), "x", "AAAAl8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs"), "x"),
            (with(p256(), "y", "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA="), "y"),
            (with(ed25519(), "x", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ"), "x"),
        ];
        for (key, member) in cases {
            check(&key, Err(JwkError::Malformed(member)));
        }
    }

    #[test]
    fn an_ed25519_key_is_below_the_prime() {
        let encoded = |lowest: u8, middle: u8, highest: u8| {
            let mut bytes = [middle; 32];
            (bytes[0], bytes[31]) = (lowest, highest);
            with(ed25519(), "x", base64url::encode(&bytes))
        };
        for reduced in [encoded(0xec, 0xff, 0x7f), encoded(0xff, 0xfe, 0xff), encoded(0xed, 0xff, 0x7e)] {
            assert!(sha256(&reduced).is_ok(), "{reduced}");
        }
        for greater in [encoded(0xed, 0xff, 0x7f), encoded(0xff, 0xff, 0xff)] {
            check(&greater, Err(JwkError::Malformed("x")));
        }
    }

    #[test]
    fn what_is_no_public_key_has_no_thumbprint() {
        check(&json!("RSA"), Err(JwkError::NotAnObject));
        check(&json!({}), Err(JwkError::Missing("kty")));
        check(&json!({"kty": "RSA", "n": MODULUS}), Err(JwkError::Missing("e")));
        check(&json!({"kty": "oct", "k": "AAAA"}), Err(JwkError::UnsupportedKeyType));
        check(&with(p256(), "crv", "secp256k1"), Err(JwkError::UnsupportedKeyType));
        check(&with(ed25519(), "crv", "X25519"), Err(JwkError::UnsupportedKeyType));
    }
}
