//! Tokens, minted once and kept below `target/`, with the public keys that verify them. The private keys are not kept.

use super::plan::Plan;
use crate::command::shown_path;
use anyhow::{Context, Result};
use doorward_testbed::{Algorithm, Keys, folder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// `iss` of every token.
pub(super) const ISSUER: &str = "https://login.example.com/";
/// `aud` of every token.
pub(super) const AUDIENCE: &str = "api";

/// Kept tokens must be valid whenever they are sent: from 2020 to 2100.
const VALID: (u64, u64) = (1_577_836_800, 4_102_444_800);

/// What is sent in all cases.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Tokens {
    /// The key set.
    pub(super) jwks: Value,
    /// For RS256, ES256 and EdDSA.
    pub(super) sets: Vec<Set>,
    /// Of 1 KB each.
    pub(super) large: Vec<String>,
}

/// Tokens of one algorithm.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Set {
    pub(super) algorithm: String,
    pub(super) distinct: Vec<String>,
    /// For each round, the one that warms up first.
    pub(super) new: Vec<Vec<String>>,
    pub(super) bad_signature: String,
}

impl Tokens {
    /// Those of the last run with this plan, or new ones: the latter takes minutes.
    pub(super) fn get(plan: &Plan) -> Result<Self> {
        let folder = folder::target().join("bench");
        let file = folder.join(format!("tokens-{}.json", plan.name));
        if let Some(tokens) = Self::read(&file).filter(|tokens| tokens.suffice(plan)) {
            return Ok(tokens);
        }
        println!("minting tokens, kept in {}", shown_path(&file));
        let tokens = Self::mint(plan)?;
        fs::create_dir_all(&folder).with_context(|| format!("expected to make {}", folder.display()))?;
        fs::write(&file, serde_json::to_vec(&tokens)?)
            .with_context(|| format!("expected to write {}", file.display()))?;
        Ok(tokens)
    }

    fn read(file: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    fn suffice(&self, plan: &Plan) -> bool {
        let enough = |set: &Set| {
            u32::try_from(set.distinct.len()) == Ok(plan.distinct)
                && set.new.len() > plan.rounds
                && set.new.iter().all(|new| new.len() == plan.new)
        };
        self.sets.len() == Algorithm::ALL.len()
            && self.sets.iter().all(enough)
            && self.large.len() == plan.large
    }

    fn mint(plan: &Plan) -> Result<Self> {
        let keys = Keys::generate("bench")?;
        let set = |algorithm: Algorithm| {
            let mut number = 0_usize;
            let mut next = || {
                number += 1;
                keys.sign(algorithm, "JWT", &claims(number))
            };
            let distinct = (0..plan.distinct).map(|_| next()).collect::<Result<Vec<_>>>()?;
            let mut round = || (0..plan.new).map(|_| next()).collect::<Result<Vec<_>>>();
            let new = (0..=plan.rounds).map(|_| round()).collect::<Result<Vec<_>>>()?;
            let bad_signature = spoil(&next()?);
            Ok(Set { algorithm: algorithm.name().to_owned(), distinct, new, bad_signature })
        };
        let sets = Algorithm::ALL.into_iter().map(set).collect::<Result<Vec<_>>>()?;
        let large = (0..plan.large).map(|number| large(&keys, number)).collect::<Result<Vec<_>>>()?;
        Ok(Self { jwks: json!({ "keys": keys.jwks()? }), sets, large })
    }
}

/// What an access token of an identity provider looks like.
fn claims(number: usize) -> Value {
    json!({
        "iss": ISSUER,
        "sub": format!("5b7f7c1e-6a5e-4b6e-9b59-{number:012}"),
        "aud": AUDIENCE,
        "iat": VALID.0,
        "nbf": VALID.0,
        "exp": VALID.1,
        "jti": format!("8d0f3c52-1f7e-4d0a-a5d4-{number:012}"),
        "azp": "orders-web",
        "scope": "openid profile email orders.read",
        "email": format!("user-{number}@example.com"),
        "tenant": "acme",
    })
}

/// A token of 1 KB. EdDSA, which is signed fastest: how a token was signed is not what takes memory.
fn large(keys: &Keys, number: usize) -> Result<String> {
    let mut claims = claims(number);
    if let Some(claims) = claims.as_object_mut() {
        // Four characters of a token hold three bytes of its payload.
        claims.insert("note".to_owned(), "x".repeat(352).into());
    }
    keys.sign(Algorithm::EdDsa, "JWT", &claims)
}

/// The token with another first character of its signature, which is base64url all the same.
fn spoil(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let mut rest = signature.chars();
    let first = if rest.next() == Some('A') { 'B' } else { 'A' };
    format!("{signed}.{first}{}", rest.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const SMALL: Plan = Plan { rounds: 1, distinct: 2, new: 2, large: 2, ..Plan::QUICK };

    #[test]
    fn no_token_comes_twice_and_all_rounds_have_theirs() {
        let tokens = Tokens::mint(&SMALL).unwrap();
        assert!(tokens.suffice(&SMALL) && !tokens.suffice(&Plan::QUICK));
        let all =
            |set: &Set| [set.distinct.clone(), set.new.concat(), vec![set.bad_signature.clone()]].concat();
        let sent: Vec<String> = tokens.sets.iter().flat_map(all).chain(tokens.large.clone()).collect();
        assert_eq!(sent.len(), 3 * 7 + 2);
        assert_eq!(sent.iter().collect::<HashSet<_>>().len(), sent.len());
    }

    #[test]
    fn large_tokens_are_of_1_kb() {
        let keys = Keys::generate("k").unwrap();
        for number in [0, 9_999] {
            let length = large(&keys, number).unwrap().len();
            assert!((1016..=1032).contains(&length), "{length}");
        }
    }

    #[test]
    fn a_spoiled_token_has_another_signature_of_the_same_length() {
        assert_eq!([spoil("a.b.Axy"), spoil("a.b.xyz")], ["a.b.Bxy", "a.b.Ayz"]);
    }
}
