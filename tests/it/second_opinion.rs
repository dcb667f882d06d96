//! Every verdict compared with jwt-simple's: another parser, other signature code (RSA, HMAC, Ed25519), and other
//! rules. We may be stricter, in the ways listed here and no others; we never accept what it refuses for its signature.

use crate::keys::{Owner, TestKey, key_set};
use doorward::authn::decision::Decision;
use doorward::authn::{Authn, Outcome, Step};
use doorward::config::Config;
use doorward::http::{HeaderField, RequestHead};
use doorward::jose::crypto::verify;
use doorward::jose::{Algorithm, base64url};
use doorward::time::UnixTime;
use jwt_simple::JWTError;
use jwt_simple::prelude::{Duration, HashSet, UnixTimeStamp, VerificationOptions};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeSet;

const NOW: u64 = 1_800_000_000;

/// Where we refuse and jwt-simple accepts.
const STRICTER: [(&str, &str); 15] = [
    (
        "header: array for object",
        "RFC 7515 section 4: a JSON object; serde takes the items for members, in order",
    ),
    ("header: b64 false", "RFC 7797: what was signed is then not what is read"),
    ("header: crit empty", "RFC 7515 section 4.1.11: the empty list must not be used"),
    ("header: crit null", "RFC 7515 section 4.1.11: an array"),
    ("header: deep", "no member that we know is deep; parsers with less stack than ours exist"),
    ("header: kid of another key", "a key with another kid is another key"),
    ("header: kid null", "RFC 7515 section 4.1.4: a string"),
    ("header: member of ours twice", "RFC 7515 section 4: two parsers could read two headers"),
    ("header: typ at+jwt, not configured", "RFC 8725 section 3.11: an access token is no ID token"),
    ("header: unknown member twice", "RFC 7515 section 4: two parsers could read two headers"),
    ("header: wide", "64 members are enough"),
    ("payload: claim twice", "RFC 7519 section 4: two parsers could read two sets of claims"),
    ("payload: exp is now", "RFC 7519 section 4.1.4: on or after exp"),
    ("payload: exp missing", "a token that never ends must be asked for (danger_no_expiry)"),
    ("secret shorter than the hash", "RFC 7518 section 3.2"),
];

/// Where we accept and jwt-simple refuses, never for the signature.
const LAXER: [(&str, &str); 5] = [
    ("header: application/jwt", "RFC 7515 section 4.1.9: the prefix may be written"),
    ("header: long", "the whole token is bounded (limits.max_token_bytes), not its header"),
    ("header: member that we never read", "RFC 7515 section 4: what is not understood is ignored"),
    ("payload: null for absent", "a claim that is null counts as absent"),
    (
        "payload: unread claim of another type",
        "sub, jti and nonce matter only where the configuration names them",
    ),
];

/// How a comparison ended.
#[derive(Default)]
struct Ledger {
    compared: usize,
    accepted_by_both: usize,
    refused_by_both: usize,
    stricter: BTreeSet<String>,
    laxer: BTreeSet<String>,
}

impl Ledger {
    fn compare(&mut self, bench: &Bench, class: &str, token: &[u8]) {
        self.compared += 1;
        let theirs = bench.theirs(token);
        let ours = bench.ours(token);
        let place = || format!("{} {class}: {}", bench.key.algorithm, token.escape_ascii());
        match (ours, theirs) {
            (true, Ok(())) => self.accepted_by_both += 1,
            (false, Err(_)) => self.refused_by_both += 1,
            (false, Ok(())) => {
                assert!(
                    STRICTER.iter().any(|(listed, _)| *listed == class),
                    "stricter, not listed: {}",
                    place()
                );
                self.stricter.insert(class.to_owned());
            }
            (true, Err(refusal)) => {
                assert!(refusal != Refusal::Signature, "accepted a bad signature: {}", place());
                assert!(LAXER.iter().any(|(listed, _)| *listed == class), "laxer, not listed: {}", place());
                self.laxer.insert(class.to_owned());
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Signature,
    Other,
}

/// One key, and both verifiers for it.
struct Bench {
    key: TestKey,
    /// `None` if our configuration refuses the key.
    authn: Option<RefCell<Authn>>,
}

impl Bench {
    fn new(key: TestKey) -> Self {
        let document = json!({
            "providers": { "p": {
                "issuer": "https://login.example.com/", "audiences": ["api"], "token_types": ["JWT"], "clock_skew": "0s",
                "algorithms": [key.algorithm.name()], "jwks": { "inline": key_set([&key]) },
                "from": [{ "header": "x-token" }],
            } },
            "rules": [{ "match": {}, "require": { "provider": "p" } }],
            "limits": { "max_token_bytes": 100_000 },
        });
        let authn = Config::load(document.to_string().as_bytes())
            .ok()
            .map(|config| RefCell::new(config.into_authn(1)));
        Self { key, authn }
    }

    fn ours(&self, token: &[u8]) -> bool {
        let Some(authn) = &self.authn else { return false };
        let mut authn = authn.borrow_mut();
        let now = UnixTime::from_secs(NOW.try_into().unwrap());
        let fields = [
            HeaderField { name: b":method", value: b"GET" },
            HeaderField { name: b":path", value: b"/" },
            HeaderField { name: b"x-token", value: token },
        ];
        let mut step = authn.begin(now, RequestHead::new(&fields));
        loop {
            step = match step {
                Step::VerifySignature(job, pending) => {
                    authn.resume(now, *pending, Outcome::Signature(verify(&job)))
                }
                Step::Decide(decision) => return matches!(decision, Decision::Forward(_)),
                step @ (Step::Await(..) | Step::ReadCertificate(_) | Step::RecordProof(..)) => {
                    panic!("{step:?}")
                }
            }
        }
    }

    fn theirs(&self, token: &[u8]) -> Result<(), Refusal> {
        // Its interface takes text; what is not text it cannot accept.
        let token = std::str::from_utf8(token).map_err(|_| Refusal::Other)?;
        let options = VerificationOptions {
            artificial_time: Some(UnixTimeStamp::from_secs(NOW)),
            time_tolerance: Some(Duration::from_secs(0)),
            allowed_issuers: Some(HashSet::from(["https://login.example.com/".to_owned()])),
            allowed_audiences: Some(HashSet::from(["api".to_owned()])),
            ..VerificationOptions::default()
        };
        let check = self.key.check.as_ref().unwrap();
        check(token, options).map_err(|error| match error.downcast_ref::<JWTError>() {
            Some(JWTError::InvalidSignature | JWTError::InvalidAuthenticationTag) => Refusal::Signature,
            _ => Refusal::Other,
        })
    }
}

fn claims() -> Value {
    json!({ "iss": "https://login.example.com/", "aud": "api", "sub": "alice", "iat": NOW - 60, "exp": NOW + 60 })
}

fn payload(more: &str) -> String {
    format!(r#"{{"iss":"https://login.example.com/","aud":"api","sub":"alice"{more}}}"#)
}

/// Every algorithm that jwt-simple has.
fn benches() -> impl Iterator<Item = Bench> {
    let algorithms = Algorithm::ALL.into_iter().filter(|algorithm| *algorithm != Algorithm::Es512);
    algorithms.map(|algorithm| Bench::new(TestKey::new(algorithm, Owner::First, "k")))
}

#[test]
fn verdicts_agree_but_for_the_listed_differences() {
    let mut ledger = Ledger::default();
    let others = tokens_of_all_keys();
    for bench in benches() {
        let token = bench.key.sign(&claims());
        assert!(
            bench.ours(token.as_bytes()) && bench.theirs(token.as_bytes()).is_ok(),
            "{}",
            bench.key.algorithm
        );
        changed_bytes(&mut ledger, &bench, &token);
        changed_shape(&mut ledger, &bench, &token);
        changed_algorithm(&mut ledger, &bench, &token);
        wrong_key(&mut ledger, &bench, &others);
        if bench.key.algorithm.key_family() != doorward::jose::KeyFamily::Rsa {
            signed_headers(&mut ledger, &bench);
            signed_payloads(&mut ledger, &bench);
        }
    }
    short_secret(&mut ledger);
    let listed =
        |list: &[(&str, &str)]| list.iter().map(|(class, _)| (*class).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(ledger.stricter, listed(&STRICTER), "stricter: found, and listed");
    assert_eq!(ledger.laxer, listed(&LAXER), "laxer: found, and listed");
    assert!(ledger.accepted_by_both > 50 && ledger.refused_by_both > 10_000, "{}", ledger.compared);
}

/// One byte changed, at every place, to one of each kind.
fn changed_bytes(ledger: &mut Ledger, bench: &Bench, token: &str) {
    let mut segment = 0;
    for (at, byte) in token.bytes().enumerate() {
        segment += usize::from(byte == b'.');
        // An RSA check takes long without optimisation; signatures are uniform.
        if segment == 2 && at % 5 != 0 && at + 3 < token.len() {
            continue;
        }
        let letter = if byte == b'A' { b'B' } else { b'A' };
        for other in [letter, b'.', b'=', b'+', b'/', b' ', b'\n', 0, 0xff] {
            let mut changed = token.as_bytes().to_vec();
            changed[at] = other;
            if other != byte {
                ledger.compare(bench, "byte changed", &changed);
            }
        }
    }
    // The last character of a segment has bits that stand for nothing.
    let last = token.as_bytes()[token.len() - 1];
    for other in
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".iter().filter(|c| **c != last)
    {
        let mut changed = token.as_bytes().to_vec();
        changed[token.len() - 1] = *other;
        ledger.compare(bench, "unused bits", &changed);
    }
}

fn changed_shape(ledger: &mut Ledger, bench: &Bench, token: &str) {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!() };
    for length in 0..token.len() {
        ledger.compare(bench, "truncated", &token.as_bytes()[..length]);
    }
    for changed in [
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}.{payload}..{signature}"),
        format!("{header}.{payload}.{signature}."),
        format!(".{header}.{payload}.{signature}"),
        format!("{header}.{payload}.{signature}.{signature}"),
        format!("{header}.{header}.{payload}.{signature}.{signature}"),
        format!("{payload}.{header}.{signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.{signature}=="),
        format!("{header}.{payload}.{signature}AAAA"),
        format!("{header}.{payload}.AAAA{signature}"),
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("{header}. {payload}.{signature}"),
        format!("{header}.{payload}.{signature}\0"),
        format!("Bearer {token}"),
        format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#),
        format!("{header}.{payload}.{}", base64url::encode(&[0; 64])),
        format!("{header}.{payload}.{}", base64url::encode(&[0xff; 256])),
    ] {
        ledger.compare(bench, "shape", changed.as_bytes());
    }
}

/// The same signature under another name, and none at all.
fn changed_algorithm(ledger: &mut Ledger, bench: &Bench, token: &str) {
    let (_, rest) = token.split_once('.').unwrap();
    let (payload, _) = rest.split_once('.').unwrap();
    let names = Algorithm::ALL.into_iter().map(Algorithm::name);
    let odd = [
        "none", "None", "NONE", "nOnE", "", "Ed25519", "Ed448", "ES256K", "rs256", "HS256 ", "dir", "A256GCM",
    ];
    for name in names.chain(odd) {
        let header =
            base64url::encode(json!({ "alg": name, "kid": "k", "typ": "JWT" }).to_string().as_bytes());
        ledger.compare(bench, "another alg", format!("{header}.{rest}").as_bytes());
        ledger.compare(bench, "another alg, unsigned", format!("{header}.{payload}.").as_bytes());
        ledger.compare(bench, "another alg, unsigned", format!("{header}.{payload}.AA").as_bytes());
    }
    // The public key taken for a shared secret.
    let secret =
        jwt_simple::prelude::HS256Key::from_bytes(bench.key.jwk.to_string().as_bytes()).with_key_id("k");
    let forged = {
        use jwt_simple::prelude::MACLike as _;
        let header = base64url::encode(br#"{"alg":"HS256","kid":"k","typ":"JWT"}"#);
        let input = format!("{header}.{payload}");
        format!("{input}.{}", base64url::encode(&secret.authentication_tag(input.as_bytes())))
    };
    ledger.compare(bench, "public key as secret", forged.as_bytes());
}

/// Tokens of every key and algorithm, the right one of the bench excepted.
fn wrong_key(ledger: &mut Ledger, bench: &Bench, tokens: &[(Algorithm, Owner, String)]) {
    for (algorithm, owner, token) in tokens {
        if (*algorithm, *owner) != (bench.key.algorithm, Owner::First) {
            ledger.compare(bench, "wrong key", token.as_bytes());
        }
    }
}

fn tokens_of_all_keys() -> Vec<(Algorithm, Owner, String)> {
    let all = Algorithm::ALL
        .into_iter()
        .flat_map(|algorithm| [(algorithm, Owner::First), (algorithm, Owner::Second)]);
    all.map(|(algorithm, owner)| (algorithm, owner, TestKey::new(algorithm, owner, "k").sign(&claims())))
        .collect()
}

fn signed_headers(ledger: &mut Ledger, bench: &Bench) {
    let alg = bench.key.algorithm.name();
    let payload = claims().to_string();
    let long = "k".repeat(12_000);
    let wide = (0..80).map(|i| format!(r#","m{i}":0"#)).collect::<String>();
    for (class, header) in [
        ("header: plain", r#"{"alg":"ALG"}"#),
        ("header: plain", r#"{ "alg" : "ALG" , "typ" : "jwt" }"#),
        ("header: plain", r#"{"alg":"ALG","b64":true,"x":{"y":[1]}}"#),
        ("header: plain", "{\"\\u0061lg\":\"ALG\"}\n"),
        ("header: malformed", r#"{"alg":"ALG"}x"#),
        ("header: malformed", "\u{feff}{\"alg\":\"ALG\"}"),
        ("header: malformed", r#"{"alg":"ALG",}"#),
        ("header: malformed", r#"{'alg':'ALG'}"#),
        ("header: malformed", r#"{"alg":["ALG"]}"#),
        ("header: malformed", r#"{"alg":null}"#),
        ("header: malformed", r#"{"typ":"JWT"}"#),
        ("header: malformed", r#"{"alg":"ALG","kid":"\ud800"}"#),
        ("header: malformed", r#"{"alg":"ALG","kid":7}"#),
        ("header: malformed", r#"{"alg":"ALG","typ":7}"#),
        ("header: malformed", r#"{"alg":"ALG","crit":7}"#),
        ("header: malformed", ""),
        ("header: malformed", r#""ALG""#),
        ("header: array for object", r#"["ALG",null,"k","JWT"]"#),
        ("header: b64 false", r#"{"alg":"ALG","b64":false}"#),
        ("header: crit", r#"{"alg":"ALG","crit":["b64"],"b64":true}"#),
        ("header: crit", r#"{"alg":"ALG","crit":["exp"]}"#),
        ("header: crit empty", r#"{"alg":"ALG","crit":[]}"#),
        ("header: crit null", r#"{"alg":"ALG","crit":null}"#),
        ("header: deep", r#"{"alg":"ALG","x":[[[[[[]]]]]]}"#),
        ("header: kid of another key", r#"{"alg":"ALG","kid":"other"}"#),
        ("header: kid null", r#"{"alg":"ALG","kid":null}"#),
        ("header: alg twice", r#"{"alg":"ALG","alg":"none"}"#),
        ("header: alg twice", r#"{"alg":"none","alg":"ALG"}"#),
        ("header: member of ours twice", r#"{"alg":"ALG","b64":true,"b64":true}"#),
        ("header: unknown member twice", r#"{"alg":"ALG","x":1,"x":2}"#),
        ("header: unknown member twice", r#"{"alg":"ALG","x":{"y":1,"y":2}}"#),
        ("header: wide", &format!(r#"{{"alg":"ALG"{wide}}}"#)),
        ("header: typ", r#"{"alg":"ALG","typ":"dpop"}"#),
        ("header: typ at+jwt, not configured", r#"{"alg":"ALG","typ":"at+jwt"}"#),
        ("header: application/jwt", r#"{"alg":"ALG","typ":"application/jwt"}"#),
        ("header: long", &format!(r#"{{"alg":"ALG","x":"{long}"}}"#)),
        ("header: member that we never read", r#"{"alg":"ALG","cty":7}"#),
        ("header: member that we never read", r#"{"alg":"ALG","jwk":{"kty":"oct","k":"AA"}}"#),
        ("header: member that we never read", r#"{"alg":"ALG","jku":7}"#),
    ] {
        let token = bench.key.sign_raw(&header.replace("ALG", alg), &payload);
        ledger.compare(bench, class, token.as_bytes());
    }
    let header = base64url::encode(json!({ "alg": alg }).to_string().as_bytes());
    let payload = base64url::encode(payload.as_bytes());
    for (class, input) in [
        ("segment signed as written", format!("{header}=.{payload}")),
        ("segment signed as written", format!("{header}.{payload}=")),
        ("segment signed as written", format!("{header}. {payload}")),
        ("segment signed as written", format!("{header}.{payload}\n")),
        ("segment signed as written", format!("{header}.{}", claims())),
    ] {
        ledger.compare(bench, class, bench.key.sign_input(&input).as_bytes());
    }
}

fn signed_payloads(ledger: &mut Ledger, bench: &Bench) {
    let header = json!({ "alg": bench.key.algorithm.name(), "kid": "k" }).to_string();
    let (past, soon) = (NOW - 1, NOW + 60);
    for (class, text) in [
        ("payload: plain", payload(&format!(r#","exp":{soon}"#))),
        ("payload: plain", payload(&format!(r#","exp":{soon}.5,"nbf":{NOW},"iat":{NOW}"#))),
        ("payload: plain", payload(&format!(r#","exp":{soon},"x":{{"y":[1,{{"z":null}}]}}"#))),
        ("payload: expired", payload(&format!(r#","exp":{past}"#))),
        ("payload: expired", payload(r#","exp":0"#)),
        ("payload: exp is now", payload(&format!(r#","exp":{NOW}"#))),
        ("payload: exp missing", payload("")),
        ("payload: exp malformed", payload(r#","exp":-1"#)),
        ("payload: exp malformed", payload(&format!(r#","exp":"{soon}""#))),
        ("payload: exp malformed", payload(r#","exp":null"#)),
        ("payload: exp malformed", payload(r#","exp":true"#)),
        ("payload: not yet", payload(&format!(r#","exp":{soon},"nbf":{}"#, NOW + 1))),
        ("payload: from the future", payload(&format!(r#","exp":{soon},"iat":{}"#, NOW + 1))),
        ("payload: claim twice", payload(&format!(r#","exp":{soon},"role":"user","role":"admin""#))),
        ("payload: claim twice", payload(&format!(r#","exp":{soon},"x":{{"role":"user","role":"admin"}}"#))),
        ("payload: registered claim twice", payload(&format!(r#","exp":{past},"exp":{soon}"#))),
        (
            "payload: registered claim twice",
            payload(&format!(r#","exp":{soon},"iss":"https://login.example.com/""#)),
        ),
        ("payload: issuer", format!(r#"{{"iss":"https://login.example.com","aud":"api","exp":{soon}}}"#)),
        ("payload: issuer", format!(r#"{{"iss":7,"aud":"api","exp":{soon}}}"#)),
        ("payload: issuer", format!(r#"{{"aud":"api","exp":{soon}}}"#)),
        (
            "payload: audience",
            format!(r#"{{"iss":"https://login.example.com/","aud":"other","exp":{soon}}}"#),
        ),
        (
            "payload: audience",
            format!(r#"{{"iss":"https://login.example.com/","aud":["x","api"],"exp":{soon}}}"#),
        ),
        (
            "payload: audience",
            format!(r#"{{"iss":"https://login.example.com/","aud":[7,"api"],"exp":{soon}}}"#),
        ),
        ("payload: audience", format!(r#"{{"iss":"https://login.example.com/","aud":[],"exp":{soon}}}"#)),
        ("payload: audience", format!(r#"{{"iss":"https://login.example.com/","aud":7,"exp":{soon}}}"#)),
        ("payload: audience", format!(r#"{{"iss":"https://login.example.com/","exp":{soon}}}"#)),
        ("payload: not an object", "[]".to_owned()),
        ("payload: not an object", "7".to_owned()),
        ("payload: not an object", String::new()),
        ("payload: not an object", payload(&format!(r#","exp":{soon}"#)) + "{}"),
        ("payload: null for absent", payload(&format!(r#","exp":{soon},"iat":null"#))),
        (
            "payload: unread claim of another type",
            format!(r#"{{"iss":"https://login.example.com/","aud":"api","exp":{soon},"sub":7}}"#),
        ),
        ("payload: unread claim of another type", payload(&format!(r#","exp":{soon},"jti":7"#))),
    ] {
        let token = bench.key.sign_raw(&header, &text);
        ledger.compare(bench, class, token.as_bytes());
    }
}

fn short_secret(ledger: &mut Ledger) {
    for length in [16, 31] {
        let key = TestKey::hs256(&vec![7; length], "k");
        let token = key.sign(&claims());
        ledger.compare(&Bench::new(key), "secret shorter than the hash", token.as_bytes());
    }
    let key = TestKey::hs256(&[7; 32], "k");
    let token = key.sign(&claims());
    ledger.compare(&Bench::new(key), "secret as long as the hash", token.as_bytes());
}
