//! Provider metadata, and what it leads to. The input is metadata, a JWK Set and a `Cache-Control` value, with a line
//! `---` between them; what is missing is a good one. The machine that fetches is driven with them.

use crate::plain;
use doorward::jose::{JwkSet, KeyFamily, KeyOrigin};
use doorward::oidc::{
    Discovery, Endpoint, FetchError, FetchResponse, KeySetMachine, KeySetRecord, KeySetSource, KeySetState,
    KeySetUpdate, Lease, Next, Timing,
};
use doorward::time::UnixTime;
use serde_json::Value;
use std::time::Duration;

const ISSUER: &str = "https://idp.example";
/// RFC 8037 appendix A.2.
const KEYS: &[u8] =
    br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const TIMING: Timing = Timing {
    timeout: Duration::from_secs(5),
    refresh: Duration::from_secs(300),
    stale_for: Duration::from_secs(3600),
    cooldown: Duration::from_secs(5),
};

/// Keys are fetched only from where the metadata of the trusted issuer says, and nothing but keys is taken for keys.
pub fn check(input: &[u8]) {
    let mut parts = split(input).into_iter();
    let metadata = parts.next().unwrap_or_default();
    let keys = parts.next().unwrap_or(KEYS);
    let cache_control = parts.next();
    for allow_http in [false, true] {
        discover(metadata, keys, cache_control, allow_http);
    }
    check_shared(input);
}

fn split(input: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(5).position(|window| window == b"\n---\n") {
        parts.push(&rest[..at]);
        rest = &rest[at + 5..];
    }
    parts.push(rest);
    parts
}

fn machine(allow_http: bool) -> KeySetMachine {
    let endpoint = Endpoint::parse("https://idp.example/.well-known/openid-configuration", "idp").unwrap();
    let discovery = Discovery {
        issuer: ISSUER.to_owned(),
        endpoint,
        jwks_cluster: "keys".to_owned(),
        allow_http,
        timing: TIMING,
    };
    KeySetMachine::new(KeySetSource::Discovery(discovery), 1)
}

fn discover(metadata: &[u8], keys: &[u8], cache_control: Option<&[u8]>, allow_http: bool) {
    let mut machine = machine(allow_http);
    let first = machine.poll(NOW).expect("metadata is due at once");
    assert_eq!((&*first.endpoint.cluster, &*first.endpoint.authority), ("idp", "idp.example"));
    let response = |status, body| Ok(FetchResponse { status, cache_control, body });
    let (update, next) = machine.handle(NOW, response(200, metadata));
    assert!(!matches!(machine.state(NOW), KeySetState::Ready(_)), "metadata is not keys");
    if update != KeySetUpdate::Located {
        return check_failure(&mut machine, &update, next);
    }
    let Next::Fetch(fetch) = next else { panic!("expected a fetch, but found {next:?}") };
    check_endpoint(&fetch.endpoint, &plain::object(metadata), allow_http);

    let (update, next) = machine.handle(NOW, response(200, keys));
    let KeySetUpdate::Fetched { keys: count, skipped } = update else {
        return check_failure(&mut machine, &update, next);
    };
    let plain = plain::object(keys);
    assert_eq!(plain["keys"].as_array().map(Vec::len), Some(count + skipped));
    let KeySetState::Ready(set) = machine.state(NOW) else { panic!("expected keys in force") };
    check_fetched(&set, count);
    let Next::Tell(record) = next else { panic!("expected a record, but found {next:?}") };
    let Some((lifetime, body)) = &record.keys else { panic!("expected keys in {record:?}") };
    assert_eq!(body, keys);
    assert!((30..=300).contains(&lifetime.as_secs()), "{lifetime:?}");
    assert!(machine.poll(NOW).is_none(), "a second fetch at once");
    assert!(machine.poll(NOW.saturating_add(*lifetime)).is_some(), "no fetch ahead of the end");
    let end = NOW.saturating_add(*lifetime).saturating_add(TIMING.stale_for);
    assert!(matches!(machine.state(end), KeySetState::Unavailable), "keys in force for ever");
    adopt(&record, count, allow_http);
}

fn check_failure(machine: &mut KeySetMachine, update: &KeySetUpdate, next: Next) {
    assert!(matches!(update, KeySetUpdate::Failed(_)), "{update:?}");
    assert!(!matches!(machine.state(NOW), KeySetState::Ready(_)), "keys in force after {update:?}");
    let Next::Tell(record) = next else { panic!("expected a record, but found {next:?}") };
    assert_eq!(record.keys, None);
    assert_eq!(KeySetRecord::decode(&record.encode()), Some(record));
    assert!(machine.poll(NOW).is_none(), "no pause after a failure");
    assert!(machine.poll(NOW.saturating_add(Duration::from_secs(5))).is_some(), "no retry");
    // Whatever the body says, another status gives nothing.
    let refused = FetchResponse { status: 404, cache_control: None, body: KEYS };
    let (update, _) = machine.handle(NOW, Ok(refused));
    assert_eq!(update, KeySetUpdate::Failed(FetchError::Status(404)));
}

/// The address is the document's `jwks_uri`, taken apart and nothing else.
fn check_endpoint(endpoint: &Endpoint, metadata: &serde_json::Map<String, Value>, allow_http: bool) {
    assert_eq!(metadata.get("issuer").and_then(Value::as_str), Some(ISSUER), "somebody else's metadata");
    assert_eq!(endpoint.cluster, "keys");
    assert!(endpoint.scheme == "https" || (allow_http && endpoint.scheme == "http"), "{endpoint:?}");
    let uri = metadata.get("jwks_uri").and_then(Value::as_str).expect("jwks_uri");
    let rest = uri.strip_prefix(&format!("{}://{}", endpoint.scheme, endpoint.authority));
    let rest = rest.unwrap_or_else(|| panic!("{endpoint:?} is not {uri:?}"));
    let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    assert_eq!(endpoint.path, rest);
    let is_split =
        |byte: u8| byte.is_ascii_whitespace() || byte.is_ascii_control() || b"@#/?\\".contains(&byte);
    assert!(!endpoint.authority.is_empty() && !endpoint.authority.bytes().any(is_split), "{endpoint:?}");
    assert!(endpoint.path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{endpoint:?}");
}

fn check_fetched(set: &JwkSet, count: usize) {
    assert!(count > 0 && set.keys().len() == count);
    assert!(set.keys().iter().all(|key| key.family() != KeyFamily::Oct), "a shared secret from the network");
}

/// Another worker makes the same of the record as this one made of the response.
fn adopt(record: &KeySetRecord, count: usize, allow_http: bool) {
    let record = KeySetRecord::decode(&record.encode()).expect("a record");
    let mut other = machine(allow_http);
    let update = other.adopt(NOW, &record);
    assert!(matches!(update, Some(KeySetUpdate::Fetched { keys, .. }) if keys == count), "{update:?}");
    let KeySetState::Ready(set) = other.state(NOW) else { panic!("expected keys in force") };
    check_fetched(&set, count);
    assert_eq!(other.adopt(NOW, &record), None, "no news twice");
}

/// What workers share is bytes: what is read is what would be written.
fn check_shared(bytes: &[u8]) {
    if let Some(record) = KeySetRecord::decode(bytes) {
        // What follows a failure is not looked at.
        assert!(bytes.starts_with(&record.encode()));
        let mut machine = machine(false);
        machine.adopt(NOW, &record);
        let body = record.keys.as_ref().map(|(_, body)| JwkSet::parse(body, KeyOrigin::Remote));
        let has_keys = matches!(&body, Some(Ok(set)) if !set.keys().is_empty());
        assert!(has_keys || !matches!(machine.state(NOW), KeySetState::Ready(_)), "keys out of nothing");
    }
    if let Some(lease) = Lease::decode(bytes) {
        assert_eq!(lease.encode(), bytes);
        let taken = Lease::take(NOW, Some(lease), lease.holder.wrapping_add(1), Duration::from_secs(10));
        if let Err(until) = taken {
            assert!(
                until > NOW && until.saturating_since(NOW) <= Duration::from_secs(120),
                "a lease for ever"
            );
        }
    }
}
