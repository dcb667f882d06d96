//! Tokens made by other people's code: jose (JavaScript), PyJWT and jwcrypto (Python), in every algorithm that they can
//! sign with; whole through Envoy, mutated in every place through the core.

use crate::support::{Edge, document, identity, node, output, python};
use anyhow::Result;
use doorward::authn::decision::{Decision, Forward};
use doorward::authn::{Authn, Outcome, Step};
use doorward::config::Config;
use doorward::http::{HeaderField, RequestHead};
use doorward::jose::crypto;
use doorward::time::UnixTime;
use doorward_testbed::{Request, run, unix_now};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const ISSUER: &str = "https://interop.example.com";
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// RFC 9864's `Ed25519` and its older name are one algorithm; PyJWT knows only the older.
const COMMON: [&str; 13] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256",
    "HS384", "HS512",
];

#[derive(Clone, Copy, Debug)]
enum Tool {
    Jose,
    PyJwt,
    Jwcrypto,
}

struct Minted {
    algorithm: String,
    key: Value,
    token: String,
}

impl Tool {
    /// One token for each algorithm, each with a key of its own.
    fn mint(self) -> Result<Vec<Minted>> {
        let now = unix_now();
        let claims =
            json!({ "iss": ISSUER, "sub": "alice", "aud": ["api", "b"], "iat": now, "exp": now + 3600 });
        let mut command = match self {
            Self::Jose => node("mint_jose.mjs"),
            Self::PyJwt => python("mint_pyjwt.py"),
            Self::Jwcrypto => python("mint_jwcrypto.py"),
        };
        let printed = output(command.arg(claims.to_string()))?;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let cases = printed["cases"].as_array().unwrap().iter();
        let minted: Vec<Minted> = cases
            .map(|case| Minted {
                algorithm: text(&case["alg"]),
                key: case["jwk"].clone(),
                token: text(&case["token"]),
            })
            .collect();
        let found: BTreeSet<_> = minted.iter().map(|minted| minted.algorithm.as_str()).collect();
        assert!(COMMON.iter().all(|name| found.contains(name)), "{self:?} made only {found:?}");
        Ok(minted)
    }
}

/// All keys in one set; every algorithm named, since HMAC is never allowed unasked.
fn configuration(minted: &[Minted]) -> Value {
    let algorithms: Vec<_> = minted.iter().map(|minted| &minted.algorithm).collect();
    let keys: Vec<_> = minted.iter().map(|minted| &minted.key).collect();
    document(&json!({
        "issuer": ISSUER, "audiences": ["api"], "algorithms": algorithms, "jwks": { "inline": { "keys": keys } },
    }))
}

fn tokens_pass_envoy_and_their_mutations_do_not(tool: Tool) {
    /// How many mutations take the way through Envoy; the core gets them all.
    const SAMPLE: usize = 60;
    run(async {
        let minted = tool.mint()?;
        let edge = Edge::start(&configuration(&minted)).await?;
        for Minted { algorithm, token, .. } in &minted {
            let seen = edge.forwarded(&Request::get("/orders").bearer(token)).await?;
            let found = identity(&seen, &["x-user-id"]);
            assert_eq!(found, [("x-user-id".to_owned(), "alice".to_owned())], "{tool:?} {algorithm}");
            assert_eq!(seen.values("authorization"), Vec::<&[u8]>::new(), "{tool:?} {algorithm}");
        }
        edge.upstream.clear();
        let all: Vec<_> = minted.iter().flat_map(|minted| mutations(&minted.token)).collect();
        for mutation in all.iter().step_by(all.len() / SAMPLE) {
            let request = Request::get("/orders")
                .header("authorization", [b"Bearer ", mutation.token.as_slice()].concat());
            let response = edge.send(&request).await?;
            assert!(matches!(response.status, 400 | 401), "{tool:?} {}: {response:?}", mutation.label);
        }
        assert_eq!((edge.upstream.count(), edge.upstream_requests().await?), (0, minted.len() as u64));
        edge.expect_healthy(1).await
    })
    .unwrap();
}

#[test]
fn tokens_of_jose_pass_envoy_and_their_mutations_do_not() {
    tokens_pass_envoy_and_their_mutations_do_not(Tool::Jose);
}

#[test]
fn tokens_of_pyjwt_pass_envoy_and_their_mutations_do_not() {
    tokens_pass_envoy_and_their_mutations_do_not(Tool::PyJwt);
}

#[test]
fn tokens_of_jwcrypto_pass_envoy_and_their_mutations_do_not() {
    tokens_pass_envoy_and_their_mutations_do_not(Tool::Jwcrypto);
}

#[test]
fn every_mutation_of_every_token_is_refused_by_the_core() {
    let mut refused = 0;
    for tool in [Tool::Jose, Tool::PyJwt, Tool::Jwcrypto] {
        let minted = tool.mint().unwrap();
        let now = UnixTime::from_secs(i64::try_from(unix_now()).unwrap());
        let mut authn = Config::load(configuration(&minted).to_string().as_bytes()).unwrap().into_authn(1);
        for Minted { algorithm, token, .. } in &minted {
            assert_eq!(judge(&mut authn, now, token.as_bytes()), Ok(1), "{tool:?} {algorithm}");
            for mutation in mutations(token) {
                let (status, code) = match judge(&mut authn, now, &mutation.token) {
                    Err(refusal) => refusal,
                    Ok(_) => panic!("{tool:?} {algorithm} passes with {}", mutation.label),
                };
                assert!(
                    matches!(status, 400 | 401),
                    "{tool:?} {algorithm} {}: {status} {code}",
                    mutation.label
                );
                refused += 1;
            }
        }
    }
    // About 600 positions, nine classes, forty tokens.
    assert!(refused > 100_000, "{refused}");
}

/// The number of identity headers, or status and code of the denial.
fn judge(authn: &mut Authn, now: UnixTime, token: &[u8]) -> Result<usize, (u16, &'static str)> {
    let authorization = [b"Bearer ", token].concat();
    let field = |name: &'static str, value| HeaderField { name: name.as_bytes(), value };
    let fields =
        [field(":method", b"GET"), field(":path", b"/orders"), field("authorization", &authorization)];
    let mut step = authn.begin(now, RequestHead::new(&fields));
    loop {
        step = match step {
            Step::VerifySignature(job, pending) => {
                authn.resume(now, *pending, Outcome::Signature(crypto::verify(&job)))
            }
            step @ (Step::Await(..) | Step::ReadCertificate(_) | Step::RecordProof(..)) => panic!("{step:?}"),
            Step::Decide(Decision::Forward(Forward { identity, .. })) => return Ok(identity.len()),
            Step::Decide(Decision::Reject(reply)) => return Err((reply.status, reply.denial.code())),
        }
    }
}

struct Mutation {
    label: String,
    token: Vec<u8>,
}

/// Each position with a byte of each class in its place, and each segment taken away, doubled, emptied and more.
///
/// The last character of a segment may stand for bits of which some are unused. Changing only those leaves the decoded
/// bytes as they were, so that only a strict reading of base64url refuses it; that is among these mutations.
fn mutations(token: &str) -> Vec<Mutation> {
    let bytes = token.as_bytes();
    let mut all = Vec::new();
    let mut add = |label: String, token: Vec<u8>| {
        if token != bytes {
            all.push(Mutation { label, token });
        }
    };
    for (position, byte) in bytes.iter().enumerate() {
        let mut replace = |class: &str, other: u8| {
            let mut token = bytes.to_vec();
            token[position] = other;
            add(format!("{class} at {position}"), token);
        };
        if let Some(index) = ALPHABET.iter().position(|letter| letter == byte) {
            // Each bit of the six by itself.
            for bit in 0..6 {
                replace("another letter", ALPHABET[index ^ (1 << bit)]);
            }
        }
        replace("the other case", byte ^ if byte.is_ascii_alphabetic() { 0x20 } else { 0 });
        for (class, other) in [
            ("plus", b'+'),
            ("slash", b'/'),
            ("padding", b'='),
            ("a space", b' '),
            ("NUL", 0),
            ("0xff", 0xff),
            ("a dot", b'.'),
            ("a comma", b','),
        ] {
            replace(class, other);
        }
    }
    let segments: Vec<&str> = token.split('.').collect();
    assert_eq!(segments.len(), 3, "expected a compact JWS");
    for (index, segment) in segments.iter().enumerate() {
        let mut change = |what: &str, replacement: &[&str]| {
            let changed = [&segments[..index], replacement, &segments[index + 1..]].concat();
            add(format!("segment {index} {what}"), changed.join(".").into_bytes());
        };
        change("removed", &[]);
        change("doubled", &[segment, segment]);
        change("emptied", &[""]);
        change("after an empty one", &["", segment]);
        change("before an empty one", &[segment, ""]);
        let cases: [(&str, String); 9] = [
            ("padded", format!("{segment}=")),
            ("padded twice", format!("{segment}==")),
            ("with a line feed", format!("{segment}\n")),
            ("after a space", format!(" {segment}")),
            ("longer", format!("{segment}A")),
            ("longer by a byte", format!("{segment}AAAA")),
            ("shorter", segment[..segment.len() - 1].to_owned()),
            ("in upper case", segment.to_ascii_uppercase()),
            ("in lower case", segment.to_ascii_lowercase()),
        ];
        for (what, changed) in cases {
            // White space around the whole token is not part of it (RFC 9110 section 5.5).
            if changed.trim() != changed && (index == 0 || index == 2) {
                continue;
            }
            change(what, &[&changed]);
        }
    }
    let (header, payload, signature) = (segments[0], segments[1], segments[2]);
    let swapped = [(payload, header, signature), (header, signature, payload), (signature, payload, header)];
    for (index, (a, b, c)) in swapped.into_iter().enumerate() {
        add(format!("exchange {index}"), format!("{a}.{b}.{c}").into_bytes());
    }
    all
}
