//! The credential of a gateway for one request. The input is a credential, byte for byte; or, if it starts with `{`, lines with header
//! and payload, which get the tag that belongs to them, so that what is behind the signature can be reached.

use crate::plain;
use doorward::gateway::{CredentialKey, CredentialKeys, Grant, Granted};
use doorward::jose::base64url;
use doorward::jose::crypto::Hs256Key;
use doorward::time::UnixTime;
use serde_json::{Map, Value};

const NOW: i64 = 1_800_000_000;
const SECRET: [u8; 32] = [7; 32];
const METHOD: &str = "GET";
const TARGET: &str = "/scim/v2/Users?count=1";
const HEADER: &str = r#"{"alg":"HS256","typ":"doorward-gateway+jwt","kid":"k1"}"#;

/// What is taken is signed, and says what it must by the plainest reading; what it grants can be granted again.
pub fn check(input: &[u8]) {
    if input.starts_with(b"{") {
        let segments: Vec<String> = input.split(|byte| *byte == b'\n').map(base64url::encode).collect();
        let signed = segments.join(".");
        let tag = Hs256Key::new(&SECRET).expect("a key").tag(signed.as_bytes());
        credential(format!("{signed}.{}", base64url::encode(&tag)).as_bytes());
    } else {
        credential(input);
    }
}

fn credential(text: &[u8]) {
    let key = CredentialKey::new("k1".to_owned(), SECRET.to_vec()).expect("a key");
    let mut keys = CredentialKeys::default();
    keys.add("edge", key.clone()).expect("the first key");
    let open = |text: &[u8], method| keys.open(UnixTime::from_secs(NOW), text, method, TARGET);
    let Ok(granted) = open(text, METHOD) else { return };
    assert!(open(text, "POST").is_err(), "for two methods");

    let segments: Vec<&[u8]> = text.split(|byte| *byte == b'.').collect();
    let [header, payload, tag] = segments[..] else { panic!("not three segments") };
    assert_eq!(header, base64url::encode(HEADER.as_bytes()).as_bytes(), "another header");
    let expected = Hs256Key::new(&SECRET).expect("a key").tag(&[header, payload].join(&b'.'));
    assert_eq!(tag, base64url::encode(&expected).as_bytes(), "not signed");
    check_payload(
        &granted,
        &plain::object(&base64url::decode(payload).expect("a payload that was accepted")),
    );

    let Granted { issuer, tenant, actor, profile, base_url, request_id, client } = &granted;
    let again = key.seal(
        UnixTime::from_secs(NOW),
        &Grant {
            issuer,
            tenant,
            actor,
            profile: *profile,
            base_url,
            request_id,
            client: *client,
            method: METHOD,
            target: TARGET,
        },
    );
    assert_eq!(open(again.as_bytes(), METHOD).as_ref(), Ok(&granted));
}

fn check_payload(granted: &Granted, plain: &Map<String, Value>) {
    let text = |name: &str| plain[name].as_str().expect("a text");
    let client = plain.get("client").map(|client| client.as_str().expect("a text"));
    assert_eq!(plain.len(), if client.is_some() { 12 } else { 11 }, "a member that nobody knows");
    assert_eq!((text("iss"), text("aud")), ("edge", "doorward-store"));
    assert_eq!((text("htm"), text("htu")), (METHOD, TARGET));
    let (issued, expires) =
        (plain["iat"].as_i64().expect("seconds"), plain["exp"].as_i64().expect("seconds"));
    assert!(issued <= NOW + 30 && expires > NOW - 30, "{issued} {expires}");
    assert!((1..=60).contains(&(expires - issued)), "{issued} {expires}");
    let Granted { issuer, tenant, actor, profile, base_url, request_id, client: address } = granted;
    let found = [issuer, tenant, actor, profile.as_str(), base_url, request_id];
    assert_eq!(found, ["iss", "tenant", "sub", "profile", "base_url", "request_id"].map(text));
    assert_eq!(*address, client.map(|client| client.parse().expect("an address")));
    assert!((1..=256).contains(&actor.len()) && !actor.chars().any(char::is_control), "{actor:?}");
    assert!(base_url.starts_with("http") && !base_url.ends_with('/'), "{base_url}");
    assert!(!base_url.contains(|c: char| c.is_control() || " ?#".contains(c)), "{base_url}");
}
