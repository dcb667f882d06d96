//! TEST KEYS, published here: what they sign proves nothing. Every signature is deterministic, so the tokens are fixed bytes.

use super::NOW;
use super::policy::{CORP, PARTNER};
use doorward::jose::base64url;
use ed25519_dalek::Signer as _;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::sync::LazyLock;

pub(super) const SECRET: [u8; 32] = [0x33; 32];

/// The tokens that a request can name. Their signatures are good; `expired`, `audience` and `stranger` say why they are not.
pub(super) static MINTED: LazyLock<BTreeMap<&str, String>> = LazyLock::new(|| {
    let with = |name: &str, value: Value| {
        let mut claims = json!({
            "iss": CORP, "aud": "api", "sub": "alice", "groups": ["a,b", "c"], "iat": NOW - 60, "exp": NOW + 300,
        });
        claims[name] = value;
        claims
    };
    let plain = with("sub", "alice".into());
    let header = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid, "typ": "JWT" });
    let (ed, es) = (header("EdDSA", "ed"), header("ES256", "es"));
    let partner = json!({
        "iss": PARTNER, "aud": ["api"], "sub": "p-7", "org": { "id": 7 }, "scope": "read", "exp": NOW + 300,
    });
    BTreeMap::from([
        ("ed", sign_ed(1, &ed, &plain)),
        ("es", sign_es(&es, &plain)),
        ("nokid", sign_ed(1, &json!({ "alg": "Ed25519" }), &plain)),
        ("two", sign_ed(2, &header("EdDSA", "two"), &plain)),
        ("admin", sign_ed(1, &ed, &with("scope", "admin read".into()))),
        ("expired", sign_ed(1, &ed, &with("exp", (NOW - 60).into()))),
        ("audience", sign_ed(1, &ed, &with("aud", "other".into()))),
        ("stranger", sign_ed(3, &ed, &plain)),
        ("partner", sign_hs(&json!({ "alg": "HS256" }).to_string(), &partner.to_string())),
    ])
});

/// The keys of the provider `corp`: two of them have one `kid`.
pub(super) fn public_keys() -> Value {
    let ed = |seed: u8, kid: &str| {
        let x = base64url::encode(ed_key(seed).verifying_key().as_bytes());
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x })
    };
    let point = es_key().verifying_key().to_sec1_point(false);
    let (x, y) = (base64url::encode(point.x().unwrap()), base64url::encode(point.y().unwrap()));
    let es = json!({ "kty": "EC", "crv": "P-256", "kid": "es", "alg": "ES256", "x": x, "y": y });
    json!([ed(1, "ed"), es, ed(4, "two"), ed(2, "two")])
}

fn ed_key(seed: u8) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
}

fn es_key() -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[0x11; 32]).unwrap()
}

fn input(header: &str, claims: &str) -> String {
    format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(claims.as_bytes()))
}

fn sign_ed(seed: u8, header: &Value, claims: &Value) -> String {
    let input = input(&header.to_string(), &claims.to_string());
    let signature = ed_key(seed).sign(input.as_bytes());
    format!("{input}.{}", base64url::encode(&signature.to_bytes()))
}

fn sign_es(header: &Value, claims: &Value) -> String {
    let input = input(&header.to_string(), &claims.to_string());
    let signature: p256::ecdsa::Signature = es_key().sign(input.as_bytes());
    format!("{input}.{}", base64url::encode(&signature.to_bytes()))
}

fn sign_hs(header: &str, claims: &str) -> String {
    let input = input(header, claims);
    let tag = tag(input.as_bytes());
    format!("{input}.{tag}")
}

/// HMAC with SHA-256 and the shared secret, base64url.
pub(super) fn tag(input: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRET).unwrap();
    mac.update(input);
    base64url::encode(&mac.finalize().into_bytes())
}

/// A value with tokens where they are named; see the module above.
pub(super) fn expand(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = value;
    while let Some(open) = rest.iter().position(|byte| *byte == b'<') {
        let inner = &rest[open + 1..];
        // Claims may hold a `>` of their own.
        let is_signed = inner.first() == Some(&b'=');
        let close = |byte: &u8| *byte == b'>';
        let close = if is_signed { inner.iter().rposition(close) } else { inner.iter().position(close) };
        let token = close.and_then(|close| token(&inner[..close]));
        out.extend(&rest[..open]);
        match (token, close) {
            (Some(token), Some(close)) => {
                out.extend(token);
                rest = &inner[close + 1..];
            }
            _ => {
                out.push(b'<');
                rest = inner;
            }
        }
    }
    out.extend(rest);
    out
}

fn token(written: &[u8]) -> Option<Vec<u8>> {
    if let Some(parts) = written.strip_prefix(b"=") {
        let bar = parts.iter().position(|byte| *byte == b'|')?;
        let (header, claims) = (base64url::encode(&parts[..bar]), base64url::encode(&parts[bar + 1..]));
        let input = format!("{header}.{claims}");
        return Some(format!("{input}.{}", tag(input.as_bytes())).into_bytes());
    }
    let mut parts = written.splitn(3, |byte| *byte == b':');
    let mut token = MINTED.get(std::str::from_utf8(parts.next()?).ok()?)?.clone().into_bytes();
    if let (Some(at), Some(&[byte, ..])) = (parts.next(), parts.next()) {
        let at: usize = std::str::from_utf8(at).ok()?.parse().ok()?;
        let at = at % token.len();
        token[at] = byte;
    }
    Some(token)
}
