//! Bearer tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::fmt;

/// How many random octets a token has.
const OCTETS: usize = 32;

/// A token as its bearer sends it: a secret. It is shown once, when it is made, and never kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// What every token begins with, so that scanners for secrets find one that got where it should not be.
    pub const PREFIX: &str = "dws_";

    /// A new one, of 256 random bits.
    ///
    /// # Errors
    /// If the system gives no random octets.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut octets = [0; OCTETS];
        getrandom::fill(&mut octets)?;
        Ok(Self(format!("{}{}", Self::PREFIX, URL_SAFE_NO_PAD.encode(octets))))
    }

    /// A text that may be a token. Whether it is one, the database knows.
    pub fn from_text(text: &str) -> Option<Self> {
        let random = URL_SAFE_NO_PAD.decode(text.strip_prefix(Self::PREFIX)?).ok()?;
        (random.len() == OCTETS).then(|| Self(text.to_owned()))
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it. One round of SHA-256 is enough: 256 random bits cannot be guessed.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub(super) [u8; 32]);

impl TokenHash {
    /// Compares in constant time.
    pub fn is(&self, octets: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        self.0.as_slice().ct_eq(octets).into()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_random_and_found_again_by_its_hash() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_ne!(one, other);
        assert!(one.reveal().starts_with("dws_") && one.reveal().len() == 47, "{}", one.reveal());
        let again = Token::from_text(one.reveal()).unwrap();
        assert!(again.hash().is(&one.hash().0) && !again.hash().is(&other.hash().0) && !again.hash().is(&[]));
    }

    #[test]
    fn what_cannot_be_a_token_is_none() {
        let random = "A".repeat(43);
        assert!(Token::from_text(&format!("dws_{random}")).is_some());
        for text in [
            "",
            "dws_",
            &random,
            &format!("DWS_{random}"),
            &format!("dws_{random}A"),
            &format!("dws_{random}="),
            &format!("dws_{}+", "A".repeat(42)),
            &format!(" dws_{random}"),
        ] {
            assert!(Token::from_text(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let token = Token::random().unwrap();
        let shown = format!("{token:?} {:?}", token.hash());
        assert_eq!(shown, "Token(…) TokenHash(…)");
    }
}
