//! Whole tokens: Wycheproof's JSON Web Signature vectors, and the examples of RFC 7520, RFC 8037 and RFC 7797.
//!
//! They are too large for this repository. `DOORWARD_VECTORS` names a folder that holds
//! `wycheproof/json_web_signature_test.json` (C2SP/wycheproof, `testvectors_v1`) and `rfc7520/` (ietf-jose/cookbook).

use crate::scores::{Row, Section, record};
use crate::verifier::{accepts, only_key};
use doorward::jose::{HeaderError, JwsError, UnverifiedJws};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

/// Labelled valid, but a strict verifier must refuse them.
const REFUSED: [(u64, &str); 6] = [
    (346, "the key says PS256, the token PS384: RFC 7517 section 4.4"),
    (347, "the key says ES521, which is not registered"),
    (350, "the key says PS256, the token PS384: RFC 7517 section 4.4"),
    (351, "the key says ES521, which is not registered"),
    (372, "a character outside base64url: RFC 7515 section 2"),
    (373, "a character outside base64url: RFC 7515 section 2"),
];

/// Labelled invalid, but byte for byte the text of another vector that is labelled valid: the padding that they are
/// about was lost from the file, and no verifier can follow both labels.
const CONTRADICTED: [(u64, u64); 2] = [(367, 357), (370, 357)];

/// RFC 7520 sections 4.1 to 4.4, RFC 8037 appendix A.4.
const EXAMPLES: [&str; 5] = [
    "jws_4_1.rsa_v15_signature.json",
    "jws_4_2.rsa-pss_signature.json",
    "jws_4_3.ecdsa_signature.json",
    "jws_4_4.hmac-sha2_integrity_protection.json",
    "curve25519_jws.json",
];

#[test]
fn whole_tokens_are_answered_as_labelled() {
    let Some(folder) = folder() else { return };
    let rows = [wycheproof(&folder), examples(&folder), unencoded_payload(&folder)];
    record(Section::Tokens, &rows, &[]);
}

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("DOORWARD_VECTORS").map(PathBuf::from);
    if folder.is_none() {
        // Not by a macro: the test harness would hide it.
        let note = "NOT RUN: the JWS vectors of Wycheproof, RFC 7520 and RFC 8037, because DOORWARD_VECTORS is not set\n";
        std::io::stderr().write_all(note.as_bytes()).unwrap();
    }
    folder
}

fn read(folder: &std::path::Path, file: &str) -> Value {
    let path = folder.join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Without the private members of an asymmetric key: published ones are refused, rightly.
fn public(key: &Value) -> Value {
    let mut key = key.clone();
    if key["kty"] != "oct" {
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
            key.as_object_mut().unwrap().remove(member);
        }
    }
    key
}

fn wycheproof(folder: &std::path::Path) -> Row {
    let document = read(folder, "wycheproof/json_web_signature_test.json");
    let mut row = Row::new("Wycheproof, JSON Web Signature");
    let (mut valid, mut refused, mut accepted) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for group in document["testGroups"].as_array().unwrap() {
        let key = group.get("public").or_else(|| group.get("private")).unwrap();
        let keys = only_key(&public(key));
        for test in group["tests"].as_array().unwrap() {
            let id = test["tcId"].as_u64().unwrap();
            let (token, comment) = (test["jws"].as_str().unwrap(), &test["comment"]);
            match (test["result"].as_str().unwrap(), accepts(token.as_bytes(), &keys)) {
                ("invalid", false) => row.as_labelled += 1,
                ("valid", true) => {
                    row.as_labelled += 1;
                    valid.insert(id, token);
                }
                ("valid", false) => {
                    row.stricter += 1;
                    refused.insert(id, (comment, keys.skipped().to_vec()));
                }
                ("invalid", true) => {
                    row.contradicted += 1;
                    accepted.insert(id, (token, comment));
                }
                (label, _) => panic!("unknown label {label}"),
            }
        }
    }
    for (id, twin) in CONTRADICTED {
        let text = accepted.remove(&id).map(|(token, _)| token);
        assert!(text.is_some() && text == valid.get(&twin).copied(), "tcId {id} is not the text of {twin}");
    }
    assert!(accepted.is_empty(), "labelled invalid, but accepted: {accepted:?}");
    let expected: Vec<u64> = REFUSED.iter().map(|(id, _)| *id).collect();
    assert_eq!(
        refused.keys().copied().collect::<Vec<_>>(),
        expected,
        "labelled valid, but refused: {refused:?}"
    );
    assert_eq!((row.vectors(), row.as_labelled), (401, 393));
    row
}

fn examples(folder: &std::path::Path) -> Row {
    let mut row = Row::new("RFC 7520 sections 4.1 to 4.4, RFC 8037 A.4");
    for file in EXAMPLES {
        let example = read(folder, &format!("rfc7520/{file}"));
        let keys = only_key(&public(&example["input"]["key"]));
        let token = example["output"]["compact"].as_str().unwrap();
        assert!(accepts(token.as_bytes(), &keys), "{file}: {:?}", keys.skipped());
        let payload = UnverifiedJws::parse(token.as_bytes()).unwrap().decode_unverified_payload().unwrap();
        assert_eq!(payload, example["input"]["payload"].as_str().unwrap().as_bytes(), "{file}");
        for (segment, mutant) in mutants(token) {
            assert!(
                !accepts(mutant.as_bytes(), &keys),
                "{file}: accepted with a change in segment {segment}"
            );
        }
        row.as_labelled += 1;
    }
    row
}

/// The token with one character changed, for each segment and several places in it.
fn mutants(token: &str) -> Vec<(usize, String)> {
    let mut mutants = Vec::new();
    let mut start = 0;
    for (index, segment) in token.split('.').enumerate() {
        for at in [0, segment.len() / 2, segment.len() - 1].map(|at| start + at) {
            let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
            mutants.push((index, format!("{}{other}{}", &token[..at], &token[at + 1..])));
        }
        start += segment.len() + 1;
    }
    assert_eq!(mutants.len(), 9);
    mutants
}

/// RFC 7797 leaves the payload unencoded and says so in `crit`: refused, since what is signed is then not a JWT.
fn unencoded_payload(folder: &std::path::Path) -> Row {
    let example = read(folder, "rfc7520/rfc7797_hmac-sha2_b64_false.json");
    let token = example["output"]["compact"].as_str().unwrap();
    assert_eq!(UnverifiedJws::parse(token.as_bytes()), Err(JwsError::Header(HeaderError::Critical)));
    assert!(!accepts(token.as_bytes(), &only_key(&example["input"]["key"])));
    Row { stricter: 1, ..Row::new("RFC 7797, unencoded payload") }
}
