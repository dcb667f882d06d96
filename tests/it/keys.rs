//! TEST KEYS. They are published with this source, so whatever they sign proves nothing: never use them elsewhere.
//!
//! Two keys for every algorithm, so that each test has a right one and a wrong one of the same kind. jwt-simple signs
//! with them, but for ES512, which it has not, and for headers that it would not write.

use doorward::jose::{Algorithm, base64url};
use jwt_simple::prelude::*;
use p256::ecdsa::signature::Signer as _;
use serde_json::{Map, Value, json};

/// Which of the two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    First,
    Second,
}

type Sign = Box<dyn Fn(&str, &Map<String, Value>) -> String>;
type SignBytes = Box<dyn Fn(&[u8]) -> Vec<u8>>;
type Check = Box<dyn Fn(&str, VerificationOptions) -> Result<(), jwt_simple::Error>>;

macro_rules! asymmetric {
    ($algorithm:expr, $pair:expr, $kid:expr, $sign_bytes:expr) => {{
        let pair = $pair.unwrap().with_key_id($kid);
        let public = pair.public_key();
        TestKey {
            algorithm: $algorithm,
            jwk: serde_json::from_str(&public.to_jwk()).unwrap(),
            sign: Box::new(move |typ, claims| pair.sign_with_options(only(claims), &typed(typ)).unwrap()),
            sign_bytes: $sign_bytes,
            check: Some(Box::new(move |token, options| {
                public.verify_token::<Map<String, Value>>(token, Some(options)).map(drop)
            })),
        }
    }};
}

macro_rules! symmetric {
    ($algorithm:expr, $kind:ident, $secret:expr, $kid:expr) => {{
        let key = || $kind::from_bytes($secret).with_key_id($kid);
        let (signer, bytes_signer, checker) = (key(), key(), key());
        TestKey {
            algorithm: $algorithm,
            jwk: json!({ "kty": "oct", "alg": $algorithm.name(), "kid": $kid, "k": base64url::encode($secret) }),
            sign: Box::new(move |typ, claims| signer.authenticate_with_options(only(claims), &typed(typ)).unwrap()),
            sign_bytes: Some(Box::new(move |input| bytes_signer.authentication_tag(input))),
            check: Some(Box::new(move |token, options| {
                checker.verify_token::<Map<String, Value>>(token, Some(options)).map(drop)
            })),
        }
    }};
}
/// A key that signs tokens.
pub(crate) struct TestKey {
    pub(crate) algorithm: Algorithm,
    /// What verifies its signatures: the public key, or the shared secret.
    pub(crate) jwk: Value,
    sign: Sign,
    /// Not for RSA.
    sign_bytes: Option<SignBytes>,
    /// jwt-simple's verdict on a token; not for ES512.
    pub(crate) check: Option<Check>,
}

impl TestKey {
    /// The key of `owner` for `algorithm`; `kid` is in its tokens and its JWK.
    pub(crate) fn new(algorithm: Algorithm, owner: Owner, kid: &str) -> Self {
        let (pem, seed) = match owner {
            Owner::First => (FIRST_RSA, [0x11; 66]),
            Owner::Second => (SECOND_RSA, [0x22; 66]),
        };
        match algorithm {
            Algorithm::Rs256 => asymmetric!(algorithm, RS256KeyPair::from_pem(pem), kid, None),
            Algorithm::Rs384 => asymmetric!(algorithm, RS384KeyPair::from_pem(pem), kid, None),
            Algorithm::Rs512 => asymmetric!(algorithm, RS512KeyPair::from_pem(pem), kid, None),
            Algorithm::Ps256 => asymmetric!(algorithm, PS256KeyPair::from_pem(pem), kid, None),
            Algorithm::Ps384 => asymmetric!(algorithm, PS384KeyPair::from_pem(pem), kid, None),
            Algorithm::Ps512 => asymmetric!(algorithm, PS512KeyPair::from_pem(pem), kid, None),
            Algorithm::Es256 => {
                let key = p256::ecdsa::SigningKey::from_slice(&seed[..32]).unwrap();
                let sign = move |input: &[u8]| -> Vec<u8> {
                    let signature: p256::ecdsa::Signature = key.sign(input);
                    signature.to_bytes().to_vec()
                };
                asymmetric!(algorithm, ES256KeyPair::from_bytes(&seed[..32]), kid, Some(Box::new(sign)))
            }
            Algorithm::Es384 => {
                let key = p384::ecdsa::SigningKey::from_slice(&seed[..48]).unwrap();
                let sign = move |input: &[u8]| -> Vec<u8> {
                    let signature: p384::ecdsa::Signature = key.sign(input);
                    signature.to_bytes().to_vec()
                };
                asymmetric!(algorithm, ES384KeyPair::from_bytes(&seed[..48]), kid, Some(Box::new(sign)))
            }
            Algorithm::Es512 => es512(&seed, kid),
            Algorithm::EdDsa => {
                let seed = <[u8; 32]>::try_from(&seed[..32]).unwrap();
                let key = ed25519_dalek::SigningKey::from_bytes(&seed);
                let pair = Ed25519KeyPair::from_bytes(&key.to_keypair_bytes());
                let sign = move |input: &[u8]| -> Vec<u8> { key.sign(input).to_bytes().to_vec() };
                asymmetric!(algorithm, pair, kid, Some(Box::new(sign)))
            }
            Algorithm::Hs256 => symmetric!(algorithm, HS256Key, &seed[..64], kid),
            Algorithm::Hs384 => symmetric!(algorithm, HS384Key, &seed[..64], kid),
            Algorithm::Hs512 => symmetric!(algorithm, HS512Key, &seed[..64], kid),
        }
    }

    /// An HS256 key of any secret.
    pub(crate) fn hs256(secret: &[u8], kid: &str) -> Self {
        symmetric!(Algorithm::Hs256, HS256Key, secret, kid)
    }

    /// A token with header `alg`, `kid`, `typ: JWT` and exactly these claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_typed("JWT", claims)
    }

    /// A token of this `typ`.
    pub(crate) fn sign_typed(&self, typ: &str, claims: &Value) -> String {
        (self.sign)(typ, claims.as_object().unwrap())
    }

    /// A token with exactly these texts as header and payload, whatever they are. Not for RSA.
    pub(crate) fn sign_raw(&self, header: &str, payload: &str) -> String {
        let input =
            format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(payload.as_bytes()));
        self.sign_input(&input)
    }

    /// A token whose first two segments are exactly these. Not for RSA.
    pub(crate) fn sign_input(&self, input: &str) -> String {
        let signature = self.sign_bytes.as_ref().expect("RSA keys sign whole tokens only")(input.as_bytes());
        format!("{input}.{}", base64url::encode(&signature))
    }
}

/// The JWK Set of these keys.
pub(crate) fn key_set<'k>(keys: impl IntoIterator<Item = &'k TestKey>) -> Value {
    json!({ "keys": keys.into_iter().map(|key| key.jwk.clone()).collect::<Vec<_>>() })
}

fn es512(seed: &[u8; 66], kid: &str) -> TestKey {
    // The order of P-521 starts with 0x01ff.
    let mut scalar = *seed;
    scalar[0] = 0;
    let key = p521::ecdsa::SigningKey::from_slice(&scalar).unwrap();
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = (base64url::encode(point.x().unwrap()), base64url::encode(point.y().unwrap()));
    let sign_bytes = move |input: &[u8]| -> Vec<u8> {
        let signature: p521::ecdsa::Signature = key.sign(input);
        signature.to_bytes().to_vec()
    };
    let (whole, header_kid) = (sign_bytes.clone(), kid.to_owned());
    TestKey {
        algorithm: Algorithm::Es512,
        jwk: json!({ "kty": "EC", "crv": "P-521", "alg": "ES512", "kid": kid, "x": x, "y": y }),
        sign: Box::new(move |typ, claims| {
            let header = json!({ "alg": "ES512", "kid": header_kid, "typ": typ }).to_string();
            let claims = Value::from(claims.clone()).to_string();
            let input =
                format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(claims.as_bytes()));
            format!("{input}.{}", base64url::encode(&whole(input.as_bytes())))
        }),
        sign_bytes: Some(Box::new(sign_bytes)),
        check: None,
    }
}

fn typed(typ: &str) -> HeaderOptions {
    HeaderOptions { signature_type: Some(typ.to_owned()), ..HeaderOptions::default() }
}

/// Claims of which none is set but these.
fn only(claims: &Map<String, Value>) -> JWTClaims<Map<String, Value>> {
    JWTClaims {
        issued_at: None,
        expires_at: None,
        invalid_before: None,
        issuer: None,
        subject: None,
        audiences: None,
        jwt_id: None,
        nonce: None,
        custom: claims.clone(),
    }
}

/// A TEST KEY, published here.
const FIRST_RSA: &str = "\
-----BEGIN PRIVATE KEY-----
MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQCeer35SYxI0G+Z
WS4njNQGYeJ/iZ2rEIiMMW26zbR0L5cKqsMaiWYadeUTNniGUJAuS49YvdtczYbK
eHzHo4kkvETB/Rz7c1ip2uXiJNanmThYtki9Y4BIjaeLcs18DnMLx1ai7TRInDjV
uD1B3+LkuvRpv+183BhXNoaFYNTdb+NFrSHrolUBvx4GcjuUZPNFDUcI7G0ThAUn
9N01hhAeTncFYHzlQra9Mr8LK2M9seHxOhBJKoL3jvS/NpdiWksoASp5aA8YH3pF
Pzdc7C46ETFNaEx0n96kdvD4+/zBOBBJnvT5hPs9mZuYRfr4268WWBgjQqhUkjTi
u4IzS9VFAgMBAAECggEAA3GHTzNZ6PsecaaOai2VLc5SrZK/6kehr+ojCDwP/7ZJ
AeJT+u+hWFHXeGNmmwSFHXxm0PbPHWUZ2KxlibDz+ehdVhm513zaIFaxSAik4V9i
6gqL6hGPaAQr78u+y0NFHKxoJYIh8LH0SjCGpDfJJk8poGKbNmtR3BNDOQKxnV4Y
PbzDiUeu61qpwCvRXP6oxyqkeGINYdavF62g/dKKmYu9hJiVQ75G6L6hwajRhm/Q
wPebU0A4N3RzzXQs9t4Ik1oZzy3hdmvZSqzJM+ksZUTSad4xdztzkiK59fhRgppF
/oSgMCx4pr0ybLpTqFb5Dq0dNEDl+N9KKO/kZ4FYwQKBgQDVFiFOuW60k9ghOP+C
f5ErdC+STBjkk0YS3AmC8lQjJBegJPfrOjYXAPbykJo2OZwqUoAH6/daghwfIbg+
+msNxpOqwCYL6Hqco+HcA8r9OD4E6Oz2GlsKYWoogqqhVPAySxAvv1YMY5qJRjN2
+8kth/CT1Uuc4OtH6qtWrJuepwKBgQC+ZUxQq968pbUrwPECSJk28sSaTlmwEjUm
XcRmlfnCiOUHtwrAWd+QF0hK/PsHwa/AG8kUy03cSua+QuQF4aSNq7usE+ua3LYs
/zGDfhiB05VjR5vREAlb4v8aUIPJo7C/pls6TArUYwMtTOdM24VPpE5eqlnhbPQL
IWbwqww2MwKBgAx+vrdCEmbOYJcaI4mAd3/H0V5PzgnhRPOoKXqfQSXKYQRIBq2p
fTB+Ivz4U8KoQCsPKWjNgnSxOnrs3EP9JTfqlBAoMlLyb/YtefoP0uBkYuagzfxk
cUA7lCEKAH1zYJ5iXnGeU6poUNCJ6Eyq2RItbYMNt+BcJA/Uh/WOK5XzAoGAZgJO
DhbXoslBtSyNtESDWm5dqbL62JwYv/KTLMeD5peD5ktKxl4gqsneoNbEBJbgfBQm
+y4mDDZRRHUASKppiMIPLhYKMJG6RYeA1suzg7OCIYwXTr7B1Opc9ZNX2KwMIdKW
pDhjwQE/jYDbmFExLseAebXZrC683k3KIn3ycAMCgYAq0Z2L8FDT0EHxZ9Zb6Esb
5VzFkAr7VHyoZ5VGD0q4oHQGXdLl0FkgX10dGsK05DSQ6OkAsUcapXB7DAq5bF0M
W+WTh0WsO3DyK7XUkUN4p7xzA2yDDHtLtg/ZccNjOjedhM5ltqxmM/3oVOTx4u0R
3xU/Bzfjvl3/6OSM6LWeVA==
-----END PRIVATE KEY-----
";

/// A TEST KEY, published here.
const SECOND_RSA: &str = "\
-----BEGIN PRIVATE KEY-----
MIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQC+u4fr9h2zmXhe
vcHM192Ppyvp5Qnin5F5rXGT3N/ey9x/SD/jERfoY2VJ9nkD2jEQFMs4ahc3VF45
C+TwBeW6rcQMc5+nPyHQeVxFrss5HXV0nfIlitWPZ49ibkgD7xt/OPWfRqI/3VpP
ShxtjY96k2UV5D0VOLmlk0EkIYvyrFIx+LpznOwGW2OvRhC0n8VM4uzoiIsopYND
z1ChhyPOuk11oCalKejHPzUKwvc3ew3zx/7EEHYcrpcdHxE5S0HILjaWw+qAQm+h
7ua2FRDxzX9dysVY1Zyion/7LBnEA1xJJnJhdCdgykekB6Vcg30hG/gPOLQGniuJ
jHA5/EZdAgMBAAECggEAAmtf5q8GjW1YSOC2AU0zsvYh6SOjTnahDR7AHr9h2ken
vQ2Y5zPOTn+u8eiTJxNbeqK+OTGkqGpaOksGVRfIuZIpYdG4UrzK8a64bEHdXhTG
P/vI7eT8Sdy8cDk0kf2J0cFSjE9Zu4mpSEbeZB1e6+Uha80AtrDeL1WA3Akjkf52
qHOolcYn1clVkbpiwb6BKxx9A/zgwkPIWqtFfjAxo8cQIkROaEMU/9FVFsdBCCRN
B+z8NSu17USUg/Fq90Svrnc3P7nP7decENwetf1POeC7ogqmoXKLezeeMygFStsb
gWohBEPk6Udwb940mf+SFV1ESow0va265kLozu+RwQKBgQDkua1XLRKD9NrFlWNA
AxuMNbjjjADhxMhBE1jPSycelwbaJzMMaD8hganfA8w4Uv77QGygACM986SJ56qd
x4mQeGpN3r4aPdYgK2lzaz08gd+EWXLxbdxcDmJqxyspGavz6UpqkcJnG8qDx21y
72oy9HjQrETJnSsC1pb9tYN55QKBgQDVegttgnadDT3j++1XU08uiJdrI7JWgrJd
+FP3V397riTMnBi5k0wb/GWiXKuqwSysmbC7GVqB+DqRQZZ0dv786keW7XuNcMGJ
AXJ9hfYLS5r81NVCilRSTrppVwpzX0lWJd/MXD6hUdMZRYOs7FPF4hxh87yAGxaZ
aEqFCp3zGQKBgQC6Kh7aW8c8PClstIDJ8z2Sy48nNibpm99aiEK6xnKaxVZAbbNx
H9BylzUKXe700SjUm8VOHY6RuCNuU29daLGhM0FjDC8y8K2+FVeJJ/n5q8Of16Zk
t4SqMNMOEfohQ9HffzygrO7MOaSFyeZdrFyGCNHlFrIOX6xIbR0Md5cBuQKBgQDQ
Y4XaTdvJ7c43yopij3GhRDdDoCIL7yN9NdeJgMFyk4larxo3tYE7ZIQ2HW56jn40
swbhbZt7ejx55WOgpzS84VonDAZrCOH0AxSnUejgF9rg6kaP4Qb1HeM8x3ntK9wk
G26/SGDfC0gdyE0EteIFLnd0awDcsRS7hiIQg0+yqQKBgQDdJ8TYNpQz1/Q/uhJm
3D+Ou1MngnpCtbfmZPFT8MHfs7k6ERlgi+QossyjByyWr6w+8G73sNOoB9kyEjSx
rUBdgV+qTQIPknc91dvvWipKSeINL87pqeO2SeG6WnWS5ezSNVvzCcq3kwY7ywya
ybNtfCfiUc93QoVxd/QS7815ug==
-----END PRIVATE KEY-----
";
