//! How we prove to an authorization server who is asking: RFC 6749 section 2.3.1, RFC 7523 section 2.2.

use super::form;
use crate::jose::crypto::SigningKey;
use crate::time::UnixTime;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::fmt;
use std::time::Duration;

/// An assertion is used at once; it lives long enough for clocks that differ.
const ASSERTION_LIFETIME: Duration = Duration::from_secs(60);
const ASSERTION_TYPE: &[u8] = b"urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client, and how it authenticates itself.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientAuthentication {
    /// `client_id`.
    pub client_id: String,
    /// With what.
    pub method: AuthenticationMethod,
}

/// The methods, by their names of the IANA registry "OAuth Token Endpoint Authentication Methods".
#[derive(Clone, PartialEq, Eq)]
pub enum AuthenticationMethod {
    /// `client_secret_basic`: identifier and secret in the `Authorization` header.
    SecretBasic(String),
    /// `client_secret_post`: identifier and secret in the body.
    SecretPost(String),
    /// `private_key_jwt`: an assertion signed with a key of the client's.
    PrivateKeyJwt {
        /// The key.
        key: Box<SigningKey>,
        /// `aud` of the assertion: the authorization server's issuer (draft-ietf-oauth-rfc7523bis), or what it wants instead.
        audience: String,
    },
}

impl ClientAuthentication {
    /// The header and the members of the body that authenticate one request. `unique` is used for no other.
    pub(super) fn credentials(
        &self,
        now: UnixTime,
        unique: &str,
    ) -> (Option<String>, Vec<(&'static str, Vec<u8>)>) {
        let client_id = || ("client_id", self.client_id.clone().into_bytes());
        match &self.method {
            AuthenticationMethod::SecretBasic(secret) => {
                let encoded = [&self.client_id, secret].map(|text| form::encode(text.as_bytes())).join(":");
                (Some(format!("Basic {}", STANDARD.encode(encoded))), Vec::new())
            }
            AuthenticationMethod::SecretPost(secret) => {
                (None, vec![client_id(), ("client_secret", secret.clone().into_bytes())])
            }
            AuthenticationMethod::PrivateKeyJwt { key, audience } => {
                let issued = now.as_secs();
                let expires = now.saturating_add(ASSERTION_LIFETIME).as_secs();
                let claims = json!({
                    "iss": self.client_id, "sub": self.client_id, "aud": audience,
                    "iat": issued, "exp": expires, "jti": unique,
                });
                let assertion = key.sign_compact("JWT", &claims).into_bytes();
                let members = vec![
                    client_id(),
                    ("client_assertion_type", ASSERTION_TYPE.to_vec()),
                    ("client_assertion", assertion),
                ];
                (None, members)
            }
        }
    }
}

impl fmt::Debug for ClientAuthentication {
    /// Secrets are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match &self.method {
            AuthenticationMethod::SecretBasic(_) => "client_secret_basic",
            AuthenticationMethod::SecretPost(_) => "client_secret_post",
            AuthenticationMethod::PrivateKeyJwt { .. } => "private_key_jwt",
        };
        write!(f, "ClientAuthentication({:?}, {method})", self.client_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::UnverifiedJws;
    use serde_json::Value;

    const NOW: UnixTime = UnixTime::from_millis(1_000_000_999);

    fn client(method: AuthenticationMethod) -> ClientAuthentication {
        ClientAuthentication { client_id: "ed:ge".into(), method }
    }

    #[test]
    fn basic_credentials_are_encoded_before_they_are_joined() {
        let (header, members) =
            client(AuthenticationMethod::SecretBasic("s%: é".into())).credentials(NOW, "1");
        let decoded = STANDARD.decode(header.unwrap().strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(decoded, b"ed%3Age:s%25%3A+%C3%A9");
        assert_eq!(members, []);
    }

    #[test]
    fn posted_credentials_are_members() {
        let (header, members) = client(AuthenticationMethod::SecretPost("s".into())).credentials(NOW, "1");
        assert_eq!(header, None);
        assert_eq!(members, [("client_id", b"ed:ge".to_vec()), ("client_secret", b"s".to_vec())]);
    }

    #[test]
    fn assertions_are_short_lived_and_for_one_audience() {
        let key = json!({"kty": "OKP", "crv": "Ed25519",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let key = Box::new(SigningKey::from_json(&key).unwrap());
        let method = AuthenticationMethod::PrivateKeyJwt { key, audience: "https://as".into() };
        let (header, members) = client(method).credentials(NOW, "7");
        assert_eq!(header, None);
        let names: Vec<_> = members.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["client_id", "client_assertion_type", "client_assertion"]);
        let jws = UnverifiedJws::parse(&members[2].1).unwrap();
        let claims: Value = serde_json::from_slice(&jws.decode_unverified_payload().unwrap()).unwrap();
        let expected = json!({"iss": "ed:ge", "sub": "ed:ge", "aud": "https://as",
            "iat": 1_000_000, "exp": 1_000_060, "jti": "7"});
        assert_eq!(claims, expected);
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", client(AuthenticationMethod::SecretPost("hunter2".into())));
        assert_eq!(shown, r#"ClientAuthentication("ed:ge", client_secret_post)"#);
    }
}
