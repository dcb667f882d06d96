//! What a SCIM gateway decides: who calls, and as what the call goes on to the store behind it.

mod credential;

pub use credential::{
    CredentialError, CredentialKey, CredentialKeyError, CredentialKeys, CredentialKeysError, Grant, Granted,
    LIFETIME, MAX_ACTOR_BYTES, SKEW, is_name,
};
