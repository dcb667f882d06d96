//! Calls to the SCIM gateway. The input is a method, a target, and fields `name: value`, a line each; after an empty line, the body.

use doorward::authn::Authn;
use doorward::config::Config;
use doorward::gateway::{
    Admission, Call, CredentialKey, CredentialKeys, Forwarding, GatewayPolicy, Surroundings,
};
use doorward::http::{HeaderField, HeaderMutation, RequestHead};
use doorward::policy::NormalPath;
use doorward::time::UnixTime;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
/// What the corpus has as tokens: `rfc-token` and `entra-token`, by their hashes.
const TOKENS: [(&str, &str); 2] = [
    ("rfc", "567f169ed3fab3e770a1ab8ba6815833a3eba0dac75e4d5b6a57c7a7dd80c1ca"),
    ("entra", "80a594e32889208afa4a4ff4f323c0f7d9ba45e53440daec5141965f65b53600"),
];

static GATEWAY: LazyLock<(GatewayPolicy, Authn)> = LazyLock::new(|| {
    let tenant = |(name, sha256): (&str, &str)| {
        (name.to_owned(), json!({ "profile": name, "tokens": [{ "name": "fuzz", "sha256": sha256 }] }))
    };
    let document = json!({ "scim": {
        "base_url": "https://scim.example.com/{tenant}",
        "store": { "gateway": "edge", "key": { "id": "k1", "secret": "A".repeat(43) } },
        "tenants": TOKENS.into_iter().map(tenant).collect::<Map<String, Value>>(),
        "limits": { "body": 65536, "bulk": { "max_operations": 10, "max_payload_size": 65536 } },
    } });
    let config = Config::load_with_scim(document.to_string().as_bytes()).expect("a configuration");
    config.into_gateway(1).expect("a gateway")
});

/// Whatever is sent, it is refused as SCIM, or goes on below the base path of the store, for the tenant of its token alone, with
/// nothing that could end a field, and in words that the gateway leaves as they are when it meets them again.
pub fn check(input: &[u8]) {
    let (method, target, fields, body) = parse(input);
    let Some((call, forwarding)) = forward(method, target, &fields, body) else { return };
    for mutation in &forwarding.mutations {
        if let HeaderMutation::Set(_, value) | HeaderMutation::Append(_, value) = mutation {
            assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{mutation:?}");
        }
    }
    let set = |name: &[u8]| {
        forwarding.mutations.iter().find_map(|mutation| match mutation {
            HeaderMutation::Set(own, value) if own.as_ref() == name => Some(value.as_ref()),
            HeaderMutation::Set(..) | HeaderMutation::Remove(_) | HeaderMutation::Append(..) => None,
        })
    };
    let path = std::str::from_utf8(set(b":path").expect("a path")).expect("a path in ASCII");
    let below = path.strip_prefix("/scim/v2").expect("below the base path");
    assert!(below.starts_with('/') && below.is_ascii(), "{path}");
    let credential =
        set(b"authorization").and_then(|value| value.strip_prefix(b"Bearer ")).expect("a credential");
    let method_word = std::str::from_utf8(method).expect("a method of SCIM");
    let granted = keys().open(NOW, credential, method_word, path).expect("a credential for this call");
    let called = NormalPath::parse(target).expect("one reading");
    assert!(called.as_str().starts_with(&format!("/{}", granted.tenant)), "{called:?} as {granted:?}");
    if granted.actor == "token:fuzz" {
        let token = fields.iter().find(|field| field.name.eq_ignore_ascii_case(b"authorization"));
        let token = String::from_utf8_lossy(token.expect("a token").value).into_owned();
        assert!(token.ends_with(&format!("{}-token", granted.tenant)), "{token} as {granted:?}");
    } else {
        assert!(
            granted.actor == "anonymous" && path == "/scim/v2/ServiceProviderConfig",
            "{granted:?} {path}"
        );
    }
    // Once more, as the store got it.
    let again = format!("/{}{below}", granted.tenant);
    let body = forwarding.body.as_deref().unwrap_or(body);
    let (second, settled) =
        forward(method, again.as_bytes(), &fields, body).expect("clean words are taken again");
    assert_eq!(second.operation(), call.operation());
    let path_of = |forwarding: &Forwarding| {
        let path = forwarding.mutations.iter().find(|mutation| mutation.name() == b":path");
        path.map(|mutation| format!("{mutation:?}"))
    };
    assert_eq!(path_of(&settled), path_of(&forwarding));
    assert_eq!(settled.body.as_deref().unwrap_or(body), body, "softening softens once");
}

type Parts<'i> = (&'i [u8], &'i [u8], Vec<HeaderField<'i>>, &'i [u8]);

fn parse<'i>(input: &'i [u8]) -> Parts<'i> {
    let (head, body) = input
        .windows(2)
        .position(|pair| pair == b"\n\n")
        .and_then(|at| Some((input.get(..at)?, input.get(at.checked_add(2)?..)?)))
        .unwrap_or((input, b""));
    let mut lines = head.split(|byte| *byte == b'\n');
    let (method, target) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let field = |line: &'i [u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        Some(HeaderField { name, value: value.strip_prefix(b":").unwrap_or(value).trim_ascii() })
    };
    // Pseudo-headers are the proxy's.
    let fields = lines.filter_map(field).filter(|field| !field.name.is_empty()).collect();
    (method, target, fields, body)
}

/// What goes on, if anything does; a refusal is held against what it must be.
fn forward(
    method: &[u8],
    target: &[u8],
    fields: &[HeaderField<'_>],
    body: &[u8],
) -> Option<(Call, Forwarding)> {
    let (policy, authn) = &*GATEWAY;
    let field = |name, value| HeaderField { name, value };
    let pseudo =
        [field(b":method", method), field(b":path", target), field(b":authority", b"scim.example.com")];
    let all: Vec<HeaderField<'_>> = pseudo.iter().chain(fields).copied().collect();
    let (call, admission) =
        policy.begin(authn.policy(), NOW, &RequestHead::new(&all), || Some("made".to_owned()));
    let refusal = match admission {
        Admission::Known => {
            let around = Surroundings { now: NOW, client: None };
            match policy.settle(&call, body, around, || Some("key".to_owned())) {
                Ok(forwarding) => return Some((call, forwarding)),
                Err(refusal) => refusal,
            }
        }
        Admission::Judge(_) => panic!("no tenant has JWTs"),
        Admission::Refused(refusal) => refusal,
    };
    assert!((400..=501).contains(&refusal.status()), "{refusal:?}");
    let shown: Value = serde_json::from_slice(&refusal.body()).expect("JSON");
    assert_eq!(shown["status"], refusal.status().to_string());
    let has_challenge = refusal.headers.iter().any(|(name, _)| *name == "www-authenticate");
    assert_eq!(has_challenge, refusal.status() == 401, "{refusal:?}");
    None
}

fn keys() -> CredentialKeys {
    let mut keys = CredentialKeys::default();
    let key = CredentialKey::new("k1".to_owned(), vec![0; 32]).expect("a key");
    keys.add("edge", key).expect("a gateway");
    keys
}
