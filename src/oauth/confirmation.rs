//! The confirmation claim `cnf`: RFC 7800 section 3.1, with the methods of RFC 9449 section 6.1 and RFC 8705 section 3.1.

use crate::jose::base64url;
use crate::jwt::ClaimsSet;
use serde_json::Value;

/// The keys that whoever presents a token must prove to hold. At least one is there; if both are, both must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmation {
    /// `jkt`: the SHA-256 thumbprint of the key of a DPoP proof.
    pub jkt: Option<[u8; 32]>,
    /// `x5t#S256`: the SHA-256 thumbprint of the client's certificate.
    pub x5t_s256: Option<[u8; 32]>,
}

/// Why a binding cannot be checked. Such a token must be refused: to ignore the binding would make it a bearer token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfirmationError {
    /// Not an object, or one without members.
    #[error("claim \"cnf\" is malformed")]
    Malformed,
    /// A thumbprint that is not base64url of 32 bytes.
    #[error("member {0:?} of \"cnf\" is malformed")]
    MalformedMember(&'static str),
    /// A member that we cannot check, such as `jwk`, `jwe`, `kid` or `jku`.
    #[error("member {0:?} of \"cnf\" is not supported")]
    Unsupported(String),
}

impl Confirmation {
    /// The binding of the token with these claims; `None` if it has none. As for every claim, `null` counts as absent.
    ///
    /// # Errors
    /// [`ConfirmationError`]. RFC 7800 section 3.1 lets a recipient ignore members that it does not understand; here
    /// they are refused, since they may be the only binding that the issuer meant.
    pub fn of(claims: &ClaimsSet) -> Result<Option<Self>, ConfirmationError> {
        let Some(value) = claims.top("cnf") else { return Ok(None) };
        let members = value.as_object().filter(|m| !m.is_empty()).ok_or(ConfirmationError::Malformed)?;
        let mut found = Self { jkt: None, x5t_s256: None };
        for (name, value) in members {
            match name.as_str() {
                "jkt" => found.jkt = Some(thumbprint("jkt", value)?),
                "x5t#S256" => found.x5t_s256 = Some(thumbprint("x5t#S256", value)?),
                _ => return Err(ConfirmationError::Unsupported(name.clone())),
            }
        }
        Ok(Some(found))
    }
}

/// The SHA-256 of a certificate from its 64 hexadecimal digits, as proxies and tools write it; `None` for anything else.
pub fn certificate_digest(text: &[u8]) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let (pairs, rest) = text.as_chunks::<2>();
    if pairs.len() != digest.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        let digits = std::str::from_utf8(pair).ok().filter(|digits| !digits.starts_with('+'))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(digest)
}

fn thumbprint(name: &'static str, value: &Value) -> Result<[u8; 32], ConfirmationError> {
    let bytes = value.as_str().and_then(|text| base64url::decode(text.as_bytes()).ok());
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(ConfirmationError::MalformedMember(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// RFC 9449 section 6.1.
    const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

    fn confirmation(claims: &Value) -> Result<Option<Confirmation>, ConfirmationError> {
        let segment = base64url::encode(claims.to_string().as_bytes());
        Confirmation::of(&ClaimsSet::parse(segment.as_bytes()).unwrap())
    }

    fn bytes(text: &str) -> [u8; 32] {
        base64url::decode(text.as_bytes()).unwrap().try_into().unwrap()
    }

    #[test]
    fn each_method_is_read() {
        let x5t = base64url::encode(&[9; 32]);
        let (jkt, x5t_s256) = (Some(bytes(JKT)), Some([9; 32]));
        let check = |cnf: Value, jkt, x5t_s256| {
            let expected = Ok(Some(Confirmation { jkt, x5t_s256 }));
            assert_eq!(confirmation(&json!({"cnf": cnf})), expected, "{cnf}");
        };
        check(json!({"jkt": JKT}), jkt, None);
        check(json!({"x5t#S256": x5t}), None, x5t_s256);
        check(json!({"x5t#S256": x5t, "jkt": JKT}), jkt, x5t_s256);
    }

    #[test]
    fn a_token_without_a_binding_has_none() {
        assert_eq!(confirmation(&json!({"sub": "a"})), Ok(None));
        assert_eq!(confirmation(&json!({"cnf": null})), Ok(None));
    }

    #[test]
    fn a_binding_that_cannot_be_read_is_never_ignored() {
        let check = |cnf: Value, expected: ConfirmationError| {
            assert_eq!(confirmation(&json!({"cnf": cnf})), Err(expected), "{cnf}");
        };
        for cnf in [json!({}), json!([]), json!(JKT), json!(false), json!(7)] {
            check(cnf, ConfirmationError::Malformed);
        }
        for value in [
            json!(null),
            json!(""),
            json!(7),
            json!([JKT]),
            json!(format!("{JKT}=")),
            json!(base64url::encode(&[9; 31])),
            json!(base64url::encode(&[9; 33])),
            // The example of RFC 8705 section 3.1, which no encoder makes: its last two bits are not zero.
            json!("bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"),
        ] {
            check(json!({"jkt": value}), ConfirmationError::MalformedMember("jkt"));
            let both = json!({"jkt": JKT, "x5t#S256": value});
            check(both, ConfirmationError::MalformedMember("x5t#S256"));
        }
        for name in ["jwk", "jwe", "kid", "jku", "x5t", "x5t#s256", "JKT", "jkt ", "osc"] {
            let unsupported = ConfirmationError::Unsupported(name.into());
            check(json!({name: JKT}), unsupported.clone());
            check(json!({"jkt": JKT, name: "x"}), unsupported);
        }
    }
}
