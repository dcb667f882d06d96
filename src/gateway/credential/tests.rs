use super::*;
use crate::jose::base64url;
use serde_json::json;

const NOW: i64 = 1_800_000_000;
const TARGET: &str = "/scim/v2/Users?filter=userName%20eq%20%22a%22";
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9));

fn at(secs: i64) -> UnixTime {
    UnixTime::from_secs(secs)
}

fn key(id: &str, secret: u8) -> CredentialKey {
    CredentialKey::new(id.to_owned(), vec![secret; 32]).unwrap()
}

fn keys(known: &[(&str, &str, u8)]) -> CredentialKeys {
    let mut keys = CredentialKeys::default();
    for (issuer, id, secret) in known {
        keys.add(issuer, key(id, *secret)).unwrap();
    }
    keys
}

fn grant() -> Grant<'static> {
    Grant {
        issuer: "edge",
        tenant: "acme",
        actor: "okta-admin",
        profile: Profile::Okta,
        base_url: "https://scim.example.com/scim/v2",
        request_id: "r-1",
        client: Some(CLIENT),
        method: "GET",
        target: TARGET,
    }
}

fn granted() -> Granted {
    Granted {
        issuer: "edge".to_owned(),
        tenant: "acme".to_owned(),
        actor: "okta-admin".to_owned(),
        profile: Profile::Okta,
        base_url: "https://scim.example.com/scim/v2".to_owned(),
        request_id: "r-1".to_owned(),
        client: Some(CLIENT),
    }
}

/// By the gateway `edge`, which has the key `k`.
fn open(text: &str) -> Result<Granted, CredentialError> {
    keys(&[("edge", "k", 1)]).open(at(NOW), text.as_bytes(), "GET", TARGET)
}

/// Signed with the right secret, whatever it says.
fn signed(header: &str, payload: &str) -> String {
    let text = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(payload.as_bytes()));
    let tag = key("k", 1).mac.tag(text.as_bytes());
    format!("{text}.{}", base64url::encode(&tag))
}

const HEADER: &str = r#"{"alg":"HS256","typ":"doorward-gateway+jwt","kid":"k"}"#;

fn payload() -> Value {
    json!({
        "iss": "edge", "aud": "doorward-store", "iat": NOW, "exp": NOW + 60, "tenant": "acme",
        "sub": "okta-admin", "profile": "okta", "base_url": "https://scim.example.com/scim/v2",
        "request_id": "r-1", "client": "203.0.113.9", "htm": "GET", "htu": TARGET
    })
}

#[test]
fn what_is_sealed_opens() {
    let text = key("k", 1).seal(at(NOW), &grant());
    assert_eq!(open(&text), Ok(granted()));
    let nobody = key("k", 1).seal(at(NOW), &Grant { client: None, ..grant() });
    assert_eq!(open(&nobody), Ok(Granted { client: None, ..granted() }));
}

#[test]
fn a_credential_is_what_the_table_says() {
    let text = key("k", 1).seal(UnixTime::from_millis(NOW * 1000 + 999), &grant());
    let jws = UnverifiedJws::parse(text.as_bytes()).unwrap();
    let found: Value = serde_json::from_slice(&jws.decode_unverified_payload().unwrap()).unwrap();
    assert_eq!(found, payload());
    assert!(text.starts_with(&format!("{}.", base64url::encode(HEADER.as_bytes()))));
    assert_eq!(open(&signed(HEADER, &payload().to_string())), Ok(granted()));
}

#[test]
fn room_is_made_once() {
    let key = key("k", 1);
    for actor in ["a", "ab", "abc"] {
        let text = key.seal(at(NOW), &Grant { actor, ..grant() });
        assert!(text.capacity() - text.len() <= 2, "{} {}", text.capacity(), text.len());
    }
}

#[test]
fn each_member_is_needed_and_of_its_kind() {
    for (name, wrong) in [
        ("iss", json!(1)),
        ("aud", json!(["doorward-store"])),
        ("iat", json!("1800000000")),
        ("iat", json!(1_800_000_000.0)),
        ("exp", json!(null)),
        ("tenant", json!(["acme"])),
        ("sub", json!("")),
        ("sub", json!("a\nb")),
        ("sub", json!("a".repeat(257))),
        ("profile", json!("other")),
        ("base_url", json!("scim.example.com")),
        ("base_url", json!("https://")),
        ("base_url", json!("https://scim.example.com/")),
        ("base_url", json!("https://scim.example.com/\r\nx:")),
        ("base_url", json!("https://scim.example.com/?a")),
        ("request_id", json!(1)),
        ("htm", json!(null)),
        ("htu", json!({})),
    ] {
        let mut without = payload();
        without.as_object_mut().unwrap().remove(name);
        let mut altered = payload();
        altered[name] = wrong;
        for payload in [without, altered] {
            let found = open(&signed(HEADER, &payload.to_string()));
            assert_eq!(found, Err(CredentialError::Member(name)), "{payload}");
        }
    }
    for client in [json!(null), json!("somewhere"), json!("203.0.113.9:80")] {
        let mut payload = payload();
        payload["client"] = client;
        assert_eq!(open(&signed(HEADER, &payload.to_string())), Err(CredentialError::Member("client")));
    }
}

#[test]
fn what_a_payload_says_is_held_against_the_request() {
    for (name, value, expected) in [
        ("iss", json!("other"), CredentialError::Issuer),
        ("aud", json!("another-store"), CredentialError::Audience),
        ("exp", json!(NOW + 61), CredentialError::Lifetime),
        ("exp", json!(NOW), CredentialError::Lifetime),
        ("exp", json!(i64::MAX), CredentialError::Lifetime),
        ("iat", json!(i64::MIN), CredentialError::Lifetime),
        ("htm", json!("get"), CredentialError::Method),
        ("htm", json!("DELETE"), CredentialError::Method),
        ("htu", json!("/scim/v2/Users"), CredentialError::Target),
        ("htu", json!(format!("{TARGET}&")), CredentialError::Target),
        ("more", json!(1), CredentialError::UnknownMember),
    ] {
        let mut payload = payload();
        payload[name] = value;
        assert_eq!(open(&signed(HEADER, &payload.to_string())), Err(expected), "{payload}");
    }
    let twice = payload().to_string().replacen('{', r#"{"tenant":"other","#, 1);
    assert_eq!(open(&signed(HEADER, &twice)), Err(CredentialError::Payload));
    assert_eq!(open(&signed(HEADER, "[]")), Err(CredentialError::Payload));
}

#[test]
fn a_minute_and_half_a_minute_of_difference() {
    let (key, keys) = (key("k", 1), keys(&[("edge", "k", 1)]));
    let text = key.seal(at(NOW), &grant());
    for (now, expected) in [
        (NOW - 31, Some(CredentialError::Early)),
        (NOW - 30, None),
        (NOW, None),
        (NOW + 89, None),
        (NOW + 90, Some(CredentialError::Expired)),
    ] {
        assert_eq!(keys.open(at(now), text.as_bytes(), "GET", TARGET).err(), expected, "{now}");
    }
    // The end of time is no time.
    let odd = UnixTime::from_millis(i64::MAX);
    let found = keys.open(odd, key.seal(odd, &grant()).as_bytes(), "GET", TARGET);
    assert_eq!(found, Err(CredentialError::Lifetime));
}

#[test]
fn another_header_is_refused_though_its_signature_holds() {
    for (header, expected) in [
        (r#"{"alg":"none","typ":"doorward-gateway+jwt","kid":"k"}"#, CredentialError::Algorithm),
        (r#"{"alg":"RS256","typ":"doorward-gateway+jwt","kid":"k"}"#, CredentialError::Algorithm),
        (r#"{"alg":"HS512","typ":"doorward-gateway+jwt","kid":"k"}"#, CredentialError::Algorithm),
        (r#"{"alg":"HS256","typ":"JWT","kid":"k"}"#, CredentialError::TokenType),
        (r#"{"alg":"HS256","kid":"k"}"#, CredentialError::TokenType),
        (r#"{"alg":"HS256","typ":"doorward-gateway+jwt"}"#, CredentialError::UnknownKey),
        (r#"{"alg":"HS256","typ":"doorward-gateway+jwt","kid":"other"}"#, CredentialError::UnknownKey),
        (r#"{"alg":"HS256","typ":"doorward-gateway+jwt","kid":"k","x":1}"#, CredentialError::Header),
        (r#"{"typ":"doorward-gateway+jwt","alg":"HS256","kid":"k"}"#, CredentialError::Header),
        (r#"{"alg":"HS256","typ":"doorward-gateway+jwt","kid":"k","kid":"k"}"#, CredentialError::Header),
        (r#"{"alg":"HS256","typ":"doorward-gateway+jwt","kid":"k","crit":[]}"#, CredentialError::Header),
    ] {
        assert_eq!(open(&signed(header, &payload().to_string())), Err(expected), "{header}");
    }
}

#[test]
fn what_was_altered_is_refused() {
    let text = key("k", 1).seal(at(NOW), &grant());
    for at in 0..text.len() {
        let mut altered = text.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        assert!(open(&String::from_utf8(altered).unwrap()).is_err(), "{at}");
    }
    let (body, tag) = text.rsplit_once('.').unwrap();
    let tag = base64url::decode(tag.as_bytes()).unwrap();
    for cut in 1..tag.len() {
        let cut = format!("{body}.{}", base64url::encode(&tag[..cut]));
        assert_eq!(open(&cut), Err(CredentialError::Signature), "{cut}");
    }
    // The tag of one is not the tag of another, whatever is swapped.
    for grant in [
        Grant { tenant: "other", ..grant() },
        Grant { actor: "other", ..grant() },
        Grant { profile: Profile::Rfc, ..grant() },
        Grant { base_url: "https://evil.example", ..grant() },
        Grant { request_id: "r-2", ..grant() },
        Grant { client: None, ..grant() },
    ] {
        let other = key("k", 1).seal(at(NOW), &grant);
        let (other, _) = other.rsplit_once('.').unwrap();
        assert_eq!(open(&format!("{other}.{}", base64url::encode(&tag))), Err(CredentialError::Signature));
    }
    for malformed in ["", "a.b", "a.b.c.d", &format!("{body}."), &format!("{text}.x"), &format!("{text}=")] {
        assert_eq!(open(malformed), Err(CredentialError::Malformed), "{malformed}");
    }
}

#[test]
fn a_key_is_of_one_gateway() {
    let text = key("k", 2).seal(at(NOW), &grant());
    assert_eq!(open(&text), Err(CredentialError::Signature));
    let open = |known: &[(&str, &str, u8)]| keys(known).open(at(NOW), text.as_bytes(), "GET", TARGET);
    assert_eq!(open(&[]), Err(CredentialError::UnknownKey));
    // Two keys while they are changed, and two gateways with a key of one id.
    assert_eq!(open(&[("edge", "old", 1), ("edge", "k", 2)]), Ok(granted()));
    assert_eq!(open(&[("other", "k", 1), ("edge", "k", 2)]), Ok(granted()));
    assert_eq!(open(&[("other", "k", 2), ("edge", "k", 1)]), Err(CredentialError::Issuer));
}

#[test]
fn an_actor_is_made_fit() {
    for (actor, expected) in [
        ("é".repeat(128), "é".repeat(128)),
        ("é".repeat(129), format!("{}…", "é".repeat(126))),
        ("a".repeat(257), format!("{}…", "a".repeat(253))),
        ("a\0b\u{85}c".to_owned(), "a?b?c".to_owned()),
    ] {
        let text = key("k", 1).seal(at(NOW), &Grant { actor: &actor, ..grant() });
        assert_eq!(open(&text).unwrap().actor, expected, "{actor}");
    }
    let nobody = key("k", 1).seal(at(NOW), &Grant { actor: "", ..grant() });
    assert_eq!(open(&nobody), Err(CredentialError::Member("sub")));
}

#[test]
fn keys_are_checked() {
    for id in ["", "a b", "a:b", "é", &"a".repeat(65)] {
        let error = CredentialKey::new(id.to_owned(), vec![1; 32]).unwrap_err();
        assert_eq!(error, CredentialKeyError::BadId(id.to_owned()));
        assert_eq!(
            keys(&[]).add(id, key("k", 1)),
            Err(CredentialKeysError::BadIssuer(id.to_owned())),
            "{id}"
        );
    }
    let error = CredentialKey::new("k".to_owned(), vec![1; 31]).unwrap_err();
    assert_eq!(error, CredentialKeyError::SecretTooShort { found: 31 });
    let mut keys = keys(&[("edge", "k", 1)]);
    assert_eq!(keys.add("edge", key("k", 2)), Err(CredentialKeysError::IdTaken("k".to_owned())));
    assert_eq!(keys.add("other", key("k", 1)), Err(CredentialKeysError::SecretShared("edge".to_owned())));
    assert_eq!(keys.add("edge", key("l", 1)), Ok(()));
}

#[test]
fn no_secret_and_no_credential_is_shown() {
    let shown = format!("{:?}", keys(&[("edge", "k", 7)]));
    assert_eq!(shown, r#"CredentialKeys([("edge", CredentialKey { id: "k", .. })])"#);
    let text = signed(HEADER, &payload().to_string().replace("acme\"", "acme\",\"secret\":1"));
    let error = open(&text).unwrap_err();
    assert!(!format!("{error} {error:?} {}", error.code()).contains("secret"), "{error}");
}
