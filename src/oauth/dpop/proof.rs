//! The DPoP proof: RFC 9449 sections 4.2 and 4.3.

use super::{NonceKey, ReplayKey, Target};
use crate::jose::crypto::SignatureJob;
use crate::jose::{Algorithm, HeaderError, Jwk, JwkError, JwsError, KeyOrigin, base64url, thumbprint};
use crate::json::{self, Limits};
use crate::jwt::{UnverifiedJwt, UnverifiedJwtError, same_type};
use crate::time::UnixTime;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A proof whose header and claims have been parsed, once, and whose signature nobody has checked.
///
/// Its key is the one that the sender wrote into the header. That is worth nothing until [`UnverifiedProof::check`] has
/// found it to be the key that the token is bound to, and the signature to be by it.
pub struct UnverifiedProof<'p> {
    algorithm: Algorithm,
    key: Arc<Jwk>,
    thumbprint: [u8; 32],
    signing_input: &'p [u8],
    signature: Arc<[u8]>,
    claims: Claims,
}

struct Claims {
    /// `jti`, a name that the client uses once.
    id: String,
    /// `htm`.
    method: String,
    /// `htu`.
    uri: String,
    /// `iat`.
    issued: UnixTime,
    /// `exp`, which RFC 9449 does not ask for, and RFC 7519 section 4.1.4 wants respected.
    expires: Option<UnixTime>,
    /// `nbf`, likewise.
    not_before: Option<UnixTime>,
    /// `ath`.
    token_hash: Option<String>,
    /// `nonce`.
    nonce: Option<String>,
}

/// What a proof must say to go with one request and its token.
#[derive(Clone, Copy)]
pub struct Expected<'r> {
    /// The present.
    pub now: UnixTime,
    /// The request's method.
    pub method: &'r [u8],
    /// The request's URI.
    pub target: &'r Target<'r>,
    /// The access token as received.
    pub token: &'r [u8],
    /// `jkt` of the token's `cnf`: the thumbprint of the key that it is bound to.
    pub thumbprint: &'r [u8; 32],
    /// The accepted algorithms; symmetric ones never are.
    pub algorithms: &'r [Algorithm],
    /// How far `iat` may be from now, either way.
    pub max_age: Duration,
    /// If there is one, the proof must have a nonce by this key.
    pub nonce: Option<&'r NonceKey>,
}

/// Why a proof was refused, in the groups that an operator tells apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// Not a DPoP proof.
    #[error("malformed proof: {0}")]
    Malformed(#[from] MalformedProof),
    /// `alg` is unknown, symmetric, or not among the accepted ones.
    #[error("algorithm of the proof not accepted")]
    Algorithm,
    /// `htm` or `htu` is not that of the request.
    #[error("the proof is for another method or URI")]
    Request,
    /// `ath` is not that of the token, or the token is bound to another key.
    #[error("the proof is for another token or by another key")]
    Token,
    /// `iat` is too far from now, or now is outside `exp` and `nbf`.
    #[error("the proof is too old, or from the future")]
    Age,
    /// There is no `nonce`, or it is not one that is valid now.
    #[error("the proof has no valid nonce")]
    Nonce,
}

/// Why a text is not a DPoP proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedProof {
    /// Longer than [`UnverifiedProof::MAX_BYTES`].
    #[error("longer than {} bytes", UnverifiedProof::MAX_BYTES)]
    TooLong,
    /// Not a JWT.
    #[error(transparent)]
    Jwt(#[from] UnverifiedJwtError),
    /// `typ` is not `dpop+jwt`.
    #[error("\"typ\" is not \"dpop+jwt\"")]
    Type,
    /// The header has no `jwk`.
    #[error("the header has no \"jwk\"")]
    NoKey,
    /// `jwk` is not a public key that we can verify with.
    #[error("\"jwk\" in the header: {0}")]
    Key(JwkError),
    /// `jwk` has a member of a private or secret key.
    #[error("\"jwk\" in the header is not a public key")]
    PrivateKey,
    /// The signature is not base64url.
    #[error("the signature is not base64url")]
    Signature,
    /// A claim that must be there is not, or a claim is not what it must be.
    #[error("claim {0:?} is missing or malformed")]
    Claim(&'static str),
}

/// Of a header that has been parsed by [`UnverifiedJwt::parse`] already.
const HEADER_LIMITS: Limits = Limits { depth: 4, values: 64 };

/// The members of private and secret keys (RFC 7518 sections 6.2.2, 6.3.2 and 6.4): not `d` alone betrays an RSA key.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl<'p> UnverifiedProof<'p> {
    /// The longest proof that is read: one with an RSA key of 8192 bits has room.
    pub const MAX_BYTES: usize = 8 * 1024;
    /// The longest `jti`.
    pub const MAX_ID_BYTES: usize = 256;

    /// Parses the value of a `DPoP` header.
    ///
    /// # Errors
    /// [`ProofError::Malformed`], [`ProofError::Algorithm`].
    pub fn parse(proof: &'p [u8]) -> Result<Self, ProofError> {
        if proof.len() > Self::MAX_BYTES {
            return Err(MalformedProof::TooLong.into());
        }
        let jwt = match UnverifiedJwt::parse(proof) {
            Ok(jwt) => jwt,
            Err(UnverifiedJwtError::Jws(JwsError::Header(HeaderError::UnsupportedAlgorithm))) => {
                return Err(ProofError::Algorithm);
            }
            Err(error) => return Err(MalformedProof::Jwt(error).into()),
        };
        let header = jwt.jws().unverified_header();
        if !header.token_type.as_deref().is_some_and(|typ| same_type(typ, "dpop+jwt")) {
            return Err(MalformedProof::Type.into());
        }
        if header.algorithm.is_symmetric() {
            return Err(ProofError::Algorithm);
        }
        let jwk = header_key(proof)?;
        let (key, thumbprint) = public_key(&jwk, header.algorithm)?;
        let signature = jwt.jws().decode_signature().map_err(|_| MalformedProof::Signature)?;
        Ok(Self {
            algorithm: header.algorithm,
            key: Arc::new(key),
            thumbprint,
            signing_input: jwt.jws().signing_input(),
            signature: signature.into(),
            claims: Claims::of(&jwt)?,
        })
    }

    /// Checks everything but the signature and whether the proof was used before.
    ///
    /// # Errors
    /// [`ProofError`], the first that applies. [`ProofError::Nonce`] comes last: a client that is told to try again
    /// with a nonce then has no other fault to mend.
    pub fn check(&self, expected: &Expected<'_>) -> Result<(), ProofError> {
        let claims = &self.claims;
        if !expected.algorithms.contains(&self.algorithm) {
            return Err(ProofError::Algorithm);
        }
        // Methods are case-sensitive (RFC 9110 section 9.1).
        if claims.method.as_bytes() != expected.method || !expected.target.matches(&claims.uri) {
            return Err(ProofError::Request);
        }
        claims.check_age(expected.now, expected.max_age)?;
        if self.thumbprint != *expected.thumbprint {
            return Err(ProofError::Token);
        }
        let token_hash = base64url::encode(&Sha256::digest(expected.token));
        if claims.token_hash.as_ref() != Some(&token_hash) {
            return Err(ProofError::Token);
        }
        match (expected.nonce, &claims.nonce) {
            (None, _) => Ok(()),
            (Some(key), Some(nonce)) if key.is_valid(nonce, expected.now) => Ok(()),
            (Some(_), _) => Err(ProofError::Nonce),
        }
    }

    /// The signature to check, by the key in the proof.
    pub fn signature_job(&self) -> SignatureJob<'p> {
        SignatureJob {
            algorithm: self.algorithm,
            key: Arc::clone(&self.key),
            signing_input: self.signing_input,
            signature: Arc::clone(&self.signature),
        }
    }

    /// Under what the proof is remembered. Only once its signature was found valid, or anybody could use it up.
    pub fn replay_key(&self, seed: &[u8; 32]) -> ReplayKey {
        ReplayKey::new(seed, &self.thumbprint, &self.claims.id)
    }

    /// The last instant at which [`UnverifiedProof::check`] accepts the age of the proof: so long it must be remembered.
    pub fn ends(&self, max_age: Duration) -> UnixTime {
        self.claims.issued.saturating_add(max_age)
    }
}

impl fmt::Debug for UnverifiedProof<'_> {
    /// A proof is a credential, if for a short time: only its algorithm is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedProof").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Claims {
    fn of(jwt: &UnverifiedJwt<'_>) -> Result<Self, MalformedProof> {
        let claims = jwt.unverified_claims();
        let string = |name| match claims.string(name) {
            Ok(text) => Ok(text.map(str::to_owned)),
            Err(_) => Err(MalformedProof::Claim(name)),
        };
        let date = |name| claims.date(name).map_err(|_| MalformedProof::Claim(name));
        let id = string("jti")?.filter(|id| (1..=UnverifiedProof::MAX_ID_BYTES).contains(&id.len()));
        Ok(Self {
            id: id.ok_or(MalformedProof::Claim("jti"))?,
            method: string("htm")?.ok_or(MalformedProof::Claim("htm"))?,
            uri: string("htu")?.ok_or(MalformedProof::Claim("htu"))?,
            issued: date("iat")?.ok_or(MalformedProof::Claim("iat"))?,
            expires: date("exp")?,
            not_before: date("nbf")?,
            token_hash: string("ath")?,
            nonce: string("nonce")?,
        })
    }

    fn check_age(&self, now: UnixTime, max_age: Duration) -> Result<(), ProofError> {
        let is_stale = now.saturating_since(self.issued) > max_age;
        let is_early = self.issued.saturating_since(now) > max_age
            || self.not_before.is_some_and(|date| date.saturating_since(now) > max_age);
        let has_expired = self.expires.is_some_and(|date| now >= date);
        if is_stale || is_early || has_expired { Err(ProofError::Age) } else { Ok(()) }
    }
}

/// The `jwk` of the header, which [`crate::jose::JoseHeader`] leaves out on purpose: who sends a token must not choose
/// the key that it is verified with. A proof alone is verified with the key that it brings (RFC 9449 section 4.3, step
/// 7), because that key counts only if its thumbprint is the one in the token.
fn header_key(proof: &[u8]) -> Result<Value, MalformedProof> {
    let segment = proof.split(|byte| *byte == b'.').next().unwrap_or_default();
    let header = |error| MalformedProof::Jwt(UnverifiedJwtError::Jws(JwsError::Header(error)));
    let text = base64url::decode(segment).map_err(|_| header(HeaderError::NotBase64Url))?;
    let mut members =
        json::parse_object(&text, HEADER_LIMITS).map_err(|error| header(HeaderError::Json(error)))?;
    members.remove("jwk").ok_or(MalformedProof::NoKey)
}

fn public_key(jwk: &Value, algorithm: Algorithm) -> Result<(Jwk, [u8; 32]), MalformedProof> {
    if PRIVATE_MEMBERS.into_iter().any(|name| jwk.get(name).is_some()) {
        return Err(MalformedProof::PrivateKey);
    }
    // First, because it is cheap, and refuses a second way to write the same key.
    let thumbprint = thumbprint::sha256(jwk).map_err(MalformedProof::Key)?;
    let key = Jwk::from_json(jwk, KeyOrigin::Remote).map_err(MalformedProof::Key)?;
    if !key.fits(algorithm) {
        return Err(MalformedProof::Key(JwkError::AlgorithmMismatch(algorithm)));
    }
    Ok((key, thumbprint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::crypto::{self, Verdict};
    use crate::oauth::dpop::replay::Insert;
    use crate::oauth::dpop::{Origin, replay};
    use serde_json::json;

    /// RFC 9449 section 7.1.
    const PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    /// RFC 9449 section 4.2: without `ath`.
    const TOKEN_REQUEST_PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    const TOKEN: &[u8] = b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    /// RFC 9449 section 6.1.
    const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    const IAT: i64 = 1_562_262_618;
    const MAX_AGE: Duration = Duration::from_secs(60);
    const NONCE: NonceKey = NonceKey::new([3; 32], Duration::from_secs(60));
    const NOW: UnixTime = UnixTime::from_secs(IAT);

    fn jkt() -> [u8; 32] {
        base64url::decode(JKT.as_bytes()).unwrap().try_into().unwrap()
    }

    /// Checks `proof` against the example's request, with some of it changed.
    fn check_changed(proof: &str, change: impl FnOnce(&mut Expected<'_>)) -> Result<(), ProofError> {
        let target = Target::new(&[], b"https", b"resource.example.org", b"/protectedresource");
        check_at(&target, proof, change)
    }

    fn check_at(
        target: &Target<'_>,
        proof: &str,
        change: impl FnOnce(&mut Expected<'_>),
    ) -> Result<(), ProofError> {
        let thumbprint = jkt();
        let mut expected = Expected {
            now: NOW,
            method: b"GET",
            target,
            token: TOKEN,
            thumbprint: &thumbprint,
            algorithms: &[Algorithm::Es256, Algorithm::EdDsa],
            max_age: MAX_AGE,
            nonce: None,
        };
        change(&mut expected);
        UnverifiedProof::parse(proof.as_bytes())?.check(&expected)
    }

    fn check(proof: &str) -> Result<(), ProofError> {
        check_changed(proof, |_| {})
    }

    /// A proof with some members of the example's header and claims changed; `null` takes one away. Its signature is
    /// no longer valid.
    fn proof(header: &Value, claims: &Value) -> String {
        let segments: Vec<&str> = PROOF.split('.').collect();
        let changed = |segment: &str, changes: &Value| {
            let mut all: Value =
                serde_json::from_slice(&base64url::decode(segment.as_bytes()).unwrap()).unwrap();
            for (name, value) in changes.as_object().unwrap() {
                all[name] = value.clone();
            }
            all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            base64url::encode(all.to_string().as_bytes())
        };
        format!("{}.{}.{}", changed(segments[0], header), changed(segments[1], claims), segments[2])
    }

    fn with_claims(claims: Value) -> String {
        proof(&json!({}), &claims)
    }

    fn with_header(header: Value) -> String {
        proof(&header, &json!({}))
    }

    fn malformed(proof: &str) -> MalformedProof {
        match UnverifiedProof::parse(proof.as_bytes()) {
            Err(ProofError::Malformed(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_published_example_passes_from_end_to_end() {
        let proof = UnverifiedProof::parse(PROOF.as_bytes()).unwrap();
        assert_eq!(check(PROOF), Ok(()));
        assert_eq!(crypto::verify(&proof.signature_job()), Verdict::Valid);
        let (key, until) = (proof.replay_key(&[5; 32]), proof.ends(MAX_AGE));
        assert_eq!(until, UnixTime::from_secs(IAT + 60));
        let Insert::Fresh(bucket) = replay::insert(None, NOW, key.id, until) else { panic!() };
        assert_eq!(replay::insert(Some(&bucket), NOW, key.id, until), Insert::Seen);
    }

    #[test]
    fn a_changed_proof_has_no_valid_signature() {
        let changed = with_claims(json!({"jti": "another"}));
        assert_eq!(check(&changed), Ok(()));
        let proof = UnverifiedProof::parse(changed.as_bytes()).unwrap();
        assert_eq!(crypto::verify(&proof.signature_job()), Verdict::Invalid);
    }

    #[test]
    fn a_proof_for_a_token_request_is_for_no_token() {
        let target = Target::new(&[], b"https", b"server.example.com", b"/token");
        let found = check_at(&target, TOKEN_REQUEST_PROOF, |expected| expected.method = b"POST");
        assert_eq!(found, Err(ProofError::Token));
    }

    #[test]
    fn method_and_uri_are_those_of_the_request() {
        for method in ["POST", "get", "Get", "GET ", ""] {
            let found = check_changed(PROOF, |expected| expected.method = method.as_bytes());
            assert_eq!(found, Err(ProofError::Request), "{method}");
        }
        for uri in ["https://resource.example.org/", "http://resource.example.org/protectedresource", ""] {
            assert_eq!(check(&with_claims(json!({"htu": uri}))), Err(ProofError::Request), "{uri}");
        }
        assert_eq!(
            check(&with_claims(json!({"htu": "HTTPS://resource.example.org:443/protectedresource?x"}))),
            Ok(())
        );
        let origins = [Origin::parse("https://api.example.com").unwrap()];
        let target = Target::new(&origins, b"https", b"resource.example.org", b"/protectedresource");
        let found = check_at(&target, PROOF, |_| {});
        assert_eq!(found, Err(ProofError::Request));
    }

    #[test]
    fn the_proof_is_for_this_token() {
        let found = check_changed(PROOF, |expected| expected.token = b"another");
        assert_eq!(found, Err(ProofError::Token));
        for ath in [json!(null), json!(""), json!("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEp")] {
            assert_eq!(check(&with_claims(json!({"ath": ath}))), Err(ProofError::Token), "{ath}");
        }
    }

    #[test]
    fn the_key_is_the_one_that_the_token_is_bound_to() {
        let found = check_changed(PROOF, |expected| expected.thumbprint = &[0; 32]);
        assert_eq!(found, Err(ProofError::Token));
        // RFC 8037 appendix A.2: another good key.
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        assert_eq!(check(&with_header(json!({"alg": "EdDSA", "jwk": jwk}))), Err(ProofError::Token));
    }

    #[test]
    fn age_is_bounded_either_way() {
        for (seconds, expected) in [(-61, false), (-60, true), (0, true), (60, true), (61, false)] {
            let found = check_changed(PROOF, |expected| expected.now = UnixTime::from_secs(IAT + seconds));
            assert_eq!(found, if expected { Ok(()) } else { Err(ProofError::Age) }, "{seconds}");
        }
        let check_dates = |claims: Value, expected| assert_eq!(check(&with_claims(claims)), expected);
        check_dates(json!({"exp": IAT}), Err(ProofError::Age));
        check_dates(json!({"exp": IAT + 1}), Ok(()));
        check_dates(json!({"nbf": IAT + 61}), Err(ProofError::Age));
        check_dates(json!({"nbf": IAT + 60}), Ok(()));
    }

    #[test]
    fn a_proof_is_remembered_as_long_as_its_age_is_accepted() {
        let ends = UnverifiedProof::parse(PROOF.as_bytes()).unwrap().ends(MAX_AGE);
        let at = |now| check_changed(PROOF, |expected| expected.now = now);
        assert_eq!(at(ends), Ok(()));
        assert_eq!(at(ends.saturating_add(Duration::from_millis(1))), Err(ProofError::Age));
    }

    #[test]
    fn a_proof_is_remembered_by_its_key_and_id() {
        let proof = UnverifiedProof::parse(PROOF.as_bytes()).unwrap();
        assert_eq!(proof.replay_key(&[5; 32]), ReplayKey::new(&[5; 32], &jkt(), "e1j3V_bKic8-LAEB"));
    }

    #[test]
    fn a_nonce_is_required_when_there_is_a_key_for_it() {
        let check_nonce = |claims: Value, expected| {
            let proof = with_claims(claims);
            assert_eq!(check_changed(&proof, |e| e.nonce = Some(&NONCE)), expected, "{proof}");
        };
        check_nonce(json!({"nonce": NONCE.issue(NOW)}), Ok(()));
        check_nonce(json!({"nonce": null}), Err(ProofError::Nonce));
        check_nonce(json!({"nonce": "x"}), Err(ProofError::Nonce));
        let old = NONCE.issue(NOW.saturating_sub(Duration::from_secs(180)));
        check_nonce(json!({"nonce": old}), Err(ProofError::Nonce));
        // Another fault is told first.
        check_nonce(json!({"ath": "x"}), Err(ProofError::Token));
        // Nobody asked for this one.
        assert_eq!(check(&with_claims(json!({"nonce": "x"}))), Ok(()));
    }

    #[test]
    fn algorithms_are_asymmetric_and_accepted() {
        let found = check_changed(PROOF, |expected| expected.algorithms = &[Algorithm::EdDsa]);
        assert_eq!(found, Err(ProofError::Algorithm));
        for alg in ["none", "HS256", "ES256K", "es256"] {
            let proof = with_header(json!({"alg": alg}));
            let found = check_changed(&proof, |expected| expected.algorithms = &Algorithm::ALL);
            assert_eq!(found, Err(ProofError::Algorithm), "{alg}");
        }
        let secret = with_header(json!({"alg": "HS256", "jwk": {"kty": "oct", "k": "A".repeat(43)}}));
        assert_eq!(check(&secret), Err(ProofError::Algorithm));
    }

    #[test]
    fn the_type_is_that_of_a_proof() {
        for typ in ["dpop+jwt", "DPoP+JWT", "application/dpop+jwt", "Application/DPOP+jwt"] {
            assert_eq!(check(&with_header(json!({"typ": typ}))), Ok(()), "{typ}");
        }
        for typ in [
            json!(null),
            json!(""),
            json!("JWT"),
            json!("at+jwt"),
            json!("dpop"),
            json!("text/dpop+jwt"),
            json!("application/application/dpop+jwt"),
        ] {
            assert_eq!(malformed(&with_header(json!({"typ": typ}))), MalformedProof::Type, "{typ}");
        }
    }

    #[test]
    fn the_key_is_public_and_fits() {
        let check_key = |header: Value, expected: MalformedProof| {
            let proof = with_header(header);
            assert_eq!(malformed(&proof), expected);
        };
        let example = json!({"kty": "EC", "crv": "P-256",
            "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
            "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"});
        let with = |name: &str, value: Value| {
            let mut jwk = example.clone();
            jwk[name] = value;
            json!({"jwk": jwk})
        };
        check_key(json!({"jwk": null}), MalformedProof::NoKey);
        check_key(json!({"jwk": "x"}), MalformedProof::Key(JwkError::NotAnObject));
        for name in PRIVATE_MEMBERS {
            check_key(with(name, json!("AQAB")), MalformedProof::PrivateKey);
        }
        let secret = json!({"jwk": {"kty": "oct", "k": "A".repeat(43)}});
        check_key(secret, MalformedProof::PrivateKey);
        check_key(with("x", json!("AAAA")), MalformedProof::Key(JwkError::Malformed("x")));
        check_key(with("x", example["y"].clone()), MalformedProof::Key(JwkError::NotOnCurve));
        check_key(with("use", json!("enc")), MalformedProof::Key(JwkError::NotForSignatures));
        let mismatch = |algorithm| MalformedProof::Key(JwkError::AlgorithmMismatch(algorithm));
        check_key(json!({"alg": "ES384"}), mismatch(Algorithm::Es384));
        check_key(json!({"alg": "RS256"}), mismatch(Algorithm::Rs256));
        check_key(with("alg", json!("ES384")), mismatch(Algorithm::Es384));
        assert_eq!(check(&with_header(with("alg", json!("ES256")))), Ok(()));
    }

    #[test]
    fn claims_are_what_they_must_be() {
        for (name, values) in [
            ("jti", &[json!(null), json!(""), json!(7), json!("x".repeat(257))][..]),
            ("htm", &[json!(null), json!(7)]),
            ("htu", &[json!(null), json!(["https://resource.example.org/protectedresource"])]),
            ("iat", &[json!(null), json!("1562262618"), json!(-1), json!(1e30)]),
            ("exp", &[json!("1562262618")]),
            ("nbf", &[json!(true)]),
            ("ath", &[json!(7)]),
            ("nonce", &[json!([])]),
        ] {
            for value in values {
                let found = malformed(&with_claims(json!({name: value})));
                assert_eq!(found, MalformedProof::Claim(name), "{value}");
            }
        }
        assert_eq!(check(&with_claims(json!({"jti": "x".repeat(256)}))), Ok(()));
        assert_eq!(check(&with_claims(json!({"iat": 1_562_262_618.5, "unknown": {"a": 1}}))), Ok(()));
    }

    #[test]
    fn what_is_no_strict_jws_is_refused() {
        let (signed, _) = PROOF.rsplit_once('.').unwrap();
        let crit = with_header(json!({"crit": ["x"], "x": 1}));
        let duplicate =
            base64url::encode(br#"{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","kty":"EC"}}"#);
        for text in [
            "",
            "a.b.c",
            signed,
            &format!("{signed}."),
            &format!("{PROOF}.a"),
            &crit,
            &format!("{duplicate}.e30.AQ"),
        ] {
            assert!(matches!(malformed(text), MalformedProof::Jwt(_)), "{text}");
        }
        assert_eq!(malformed(&format!("{signed}.AQ=")), MalformedProof::Signature);
    }

    #[test]
    fn length_is_bounded() {
        let of_length = |length: usize| {
            let (signed, _) = PROOF.rsplit_once('.').unwrap();
            format!("{signed}.{}", "A".repeat(length - signed.len() - 1))
        };
        assert_eq!(malformed(&of_length(8193)), MalformedProof::TooLong);
        assert!(UnverifiedProof::parse(of_length(8192).as_bytes()).is_ok());
    }

    #[test]
    fn debug_does_not_show_the_proof() {
        let proof = UnverifiedProof::parse(PROOF.as_bytes()).unwrap();
        assert_eq!(format!("{proof:?}"), "UnverifiedProof { algorithm: Es256, .. }");
    }
}
