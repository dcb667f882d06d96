//! Compact JWS, and the JWT in it. The input is a token, byte for byte; or, if it starts with `{`, lines that are each
//! encoded and joined by dots, so that what is inside base64url can be reached.

use crate::plain;
use doorward::jose::crypto::Verdict;
use doorward::jose::{JwsError, UnverifiedJws, base64url};
use doorward::jwt::UnverifiedJwt;
use serde_json::{Map, Value};

/// What is split can be put together again, is read as serde_json reads it, and has one encoding.
pub fn check(input: &[u8]) {
    if input.starts_with(b"{") {
        let segments: Vec<String> = input.split(|byte| *byte == b'\n').map(base64url::encode).collect();
        token(segments.join(".").as_bytes());
    } else {
        token(input);
    }
}

fn token(token: &[u8]) {
    let segments: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
    let parsed = UnverifiedJws::parse(token);
    assert_eq!(parsed == Err(JwsError::Segments), segments.len() != 3, "three segments, no more and no less");
    let Ok(jws) = parsed else {
        assert!(UnverifiedJwt::parse(token).is_err(), "a JWT that is no JWS");
        return;
    };
    let [header, payload, signature] = segments[..] else { panic!("not three segments") };

    assert_eq!([jws.signing_input(), signature].join(&b'.'), token, "the parts make up the token");
    assert_eq!(jws.signing_input(), [header, payload].join(&b'.'));
    assert_eq!(jws.unverified_payload_segment(), payload);
    assert_eq!(UnverifiedJws::parse(token).as_ref(), Ok(&jws), "read twice, it is the same");
    let header = one_encoding(header).expect("a header that was accepted");
    check_header(&jws, &plain::object(&header));
    assert!(!signature.is_empty(), "an unsigned token");
    assert_eq!(jws.decode_signature().ok(), one_encoding(signature));
    let payload = one_encoding(payload);
    assert_eq!(jws.decode_unverified_payload().ok(), payload);

    if let Ok(jwt) = UnverifiedJwt::parse(token) {
        assert_eq!(jwt.jws(), &jws);
        check_claims(&jwt, &plain::object(&payload.expect("claims that were accepted")));
        assert!(jwt.verified(Verdict::Invalid, None).is_none(), "verified without a valid signature");
    }
}

/// The bytes of a segment, if it is the one encoding of them.
fn one_encoding(segment: &[u8]) -> Option<Vec<u8>> {
    let bytes = base64url::decode(segment).ok()?;
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    assert!(segment.iter().all(is_letter), "outside the alphabet");
    assert_eq!(segment.len(), (bytes.len() * 4).div_ceil(3), "padding or a length that cannot be");
    assert_eq!(base64url::encode(&bytes).as_bytes(), segment, "a second encoding");
    Some(bytes)
}

fn check_header(jws: &UnverifiedJws<'_>, plain: &Map<String, Value>) {
    let header = jws.unverified_header();
    let text = |name: &str| plain.get(name).map(|value| value.as_str().expect("a string"));
    match text("alg") {
        Some("Ed25519") => assert_eq!(header.algorithm.name(), "EdDSA"),
        name => assert_eq!(name, Some(header.algorithm.name())),
    }
    assert_eq!(header.key_id.as_deref(), text("kid"));
    assert_eq!(header.token_type.as_deref(), text("typ"));
    assert!(!plain.contains_key("crit"), "an extension that nobody understands");
    assert!(plain.get("b64").is_none_or(|b64| b64 == true), "an unencoded payload");
}

fn check_claims(jwt: &UnverifiedJwt<'_>, plain: &Map<String, Value>) {
    let claims = jwt.unverified_claims();
    for (name, value) in plain {
        assert_eq!(claims.top(name), Some(value).filter(|value| !value.is_null()), "{name:?}");
    }
    for name in ["exp", "nbf", "iat"] {
        if let Ok(Some(date)) = claims.date(name) {
            let seconds = plain[name].as_f64().expect("a number");
            assert!((0.0..253_402_300_800.0).contains(&seconds), "{name} {seconds}");
            assert!((seconds * 1000.0 - date.as_millis() as f64).abs() <= 1.0, "{name} {seconds}");
        }
    }
    assert!(claims.scopes().all(|scope| !scope.is_empty() && !scope.contains(' ')));
}
