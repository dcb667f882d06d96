//! Documents and what becomes of them, one line each.

use super::Config;
use crate::authn::{CacheLimits, TokenLocation, Verification};
use crate::jose::Algorithm;
use crate::oidc::{Endpoint, KeySetSource, Timing};
use crate::worker::{Origin, ProofMemory};
use serde_json::{Value, json};
use std::time::Duration;

/// A document without fault, as small as one can be.
fn smallest() -> Value {
    json!({
        "providers": {"corp": {
            "issuer": "https://login.example.com/",
            "audiences": ["api"],
            "jwks": {"remote": {"uri": "https://login.example.com/jwks", "cluster": "idp"}},
        }},
        "rules": [{"match": {}, "require": {"provider": "corp"}}],
    })
}

/// `smallest` with `value` at a JSON pointer's place (its parents must be there); `null` takes the place away.
fn with(pointer: &str, value: Value) -> Value {
    let mut document = smallest();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(members) if value.is_null() => drop(members.remove(name)),
        Value::Object(members) => drop(members.insert(name.into(), value)),
        Value::Array(items) => items.insert(name.parse().unwrap(), value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => panic!("{pointer}"),
    }
    document
}

fn faults(document: &Value) -> Vec<String> {
    match Config::load(document.to_string().as_bytes()) {
        Ok(_) => vec![],
        Err(error) => error.faults().iter().map(ToString::to_string).collect(),
    }
}

/// One change to `smallest` must give exactly one fault, which starts like this.
fn check(pointer: &str, value: Value, expected: &str) {
    let found = faults(&with(pointer, value.clone()));
    assert!(
        found.len() == 1 && found[0].starts_with(expected),
        "{pointer} = {value}\n{found:#?}\n{expected}"
    );
}

fn accept(pointer: &str, value: Value) -> Config {
    let document = with(pointer, value);
    Config::load(document.to_string().as_bytes()).unwrap_or_else(|error| panic!("{document}\n{error}"))
}

#[test]
fn defaults_are_strict() {
    let config = Config::load(smallest().to_string().as_bytes()).unwrap();
    let provider = &config.policy().providers[0];
    assert!(provider.algorithms.iter().all(|algorithm| !algorithm.is_symmetric()));
    assert_eq!(provider.algorithms.len(), 10);
    assert_eq!(provider.claims.clock_skew, Duration::from_secs(60));
    assert_eq!(provider.claims.token_types, ["JWT", "at+jwt"]);
    assert!(!provider.claims.allow_no_expiry && !provider.forward_token);
    let bearer = TokenLocation::Header { name: "authorization".into(), scheme: Some("Bearer".into()) };
    assert_eq!(provider.locations, [bearer]);
    assert!(!config.policy().bypass_cors_preflight);
    assert_eq!(config.policy().max_token_bytes, 16384);
    let Verification::Keys(KeySetSource::Remote(remote)) = &config.verifications()[0] else { panic!() };
    let day = Duration::from_secs(24 * 3600);
    let timing = Timing {
        timeout: Duration::from_secs(5),
        refresh: Duration::from_secs(300),
        stale_for: day,
        cooldown: Duration::from_secs(5),
    };
    assert_eq!(remote.timing, timing);
    assert_eq!(remote.endpoint, Endpoint::parse("https://login.example.com/jwks", "idp").unwrap());
}

#[test]
fn unset_means_deny() {
    assert_eq!(
        faults(&json!({})),
        ["rules: expected at least one rule: without any, every request is denied"]
    );
    check("/rules", json!([]), "rules: expected at least one rule");
    check("/rules/0/match", Value::Null, "rules[0].match: expected what the rule is for");
    check("/rules/0/require", Value::Null, "rules[0]: expected exactly one of allow, require");
    check("/providers/corp/issuer", Value::Null, "providers.corp.issuer: expected the value of \"iss\"");
    check("/providers/corp/audiences", Value::Null, "providers.corp.audiences: expected a list of audiences");
    check("/providers/corp/audiences", json!([]), "providers.corp.audiences: expected at least one audience");
    check("/providers/corp/jwks", Value::Null, "providers.corp: expected exactly one of jwks, introspection");
    check("/providers/corp/algorithms", json!([]), "providers.corp.algorithms: expected at least one");
    check("/providers/corp/token_types", json!([]), "providers.corp.token_types: expected at least one");
    check("/providers/corp/from", json!([]), "providers.corp.from: expected at least one place");
    check("/rules/0/match/hosts", json!([]), "rules[0].match.hosts: expected at least one host");
}

#[test]
fn provider_faults_name_their_place() {
    let corp = |member: &str, value: Value, expected: &str| {
        check(&format!("/providers/corp/{member}"), value, &format!("providers.corp.{expected}"));
    };
    corp("issuer", json!(""), "issuer: expected the value");
    corp("issuer", json!("https://a/{t}/"), "issuer: expected a claim for part {t}");
    corp("issuer_allow", json!({"t": ["a"]}), "issuer_allow.t: the issuer has no part {t}");
    corp("danger_any_audience", json!(true), "audiences: expected no audiences beside danger_any_audience");
    corp("algorithms", json!(["RS256", "none"]), "algorithms[1]: expected one of RS256");
    corp("algorithms", json!(["HS256"]), "jwks: expected inline keys, because HS256 uses a shared secret");
    corp("clock_skew", json!("11m"), "clock_skew: expected 0ns to 600s");
    corp("clock_skew", json!("soon"), "clock_skew: expected a whole number with a unit");
    corp("max_lifetime", json!("0s"), "max_lifetime: expected at least 1s");
    corp("required_claims", json!([["sub"], []]), "required_claims[1]: expected the names");
    corp("from", json!([{}]), "from[0]: expected exactly one of header, cookie, query");
    corp("from", json!([{"cookie": "a", "query": "b"}]), "from[0]: expected exactly one of");
    corp("from", json!([{"cookie": "a", "scheme": "Bearer"}]), "from[0].scheme: expected a header");
    corp("from", json!([{"header": "a b"}]), "from[0].header: expected a header name");
    corp(
        "from",
        json!([{"header": "x", "scheme": "Bea rer"}]),
        "from[0].scheme: expected an authentication scheme",
    );
    corp(
        "from",
        json!([{"header": "Authorization"}]),
        "from[0]: expected a scheme for the authorization header",
    );
    corp("from", json!([{"cookie": "a=b"}]), "from[0].cookie: expected a cookie name");
    corp("jwks/remote/uri", Value::Null, "jwks.remote.uri: expected the address");
    corp("jwks/remote/uri", json!("login.example.com"), "jwks.remote.uri: expected an absolute https URI");
    corp("jwks/remote/uri", json!("http://a/"), "jwks.remote.uri: expected https");
    corp("jwks/remote/cluster", json!(""), "jwks.remote.cluster: expected the name of a cluster");
    corp("jwks/remote/timeout", json!("0s"), "jwks.remote.timeout: expected 100ms to 60s");
    corp("jwks/remote/refresh", json!("100ms"), "jwks.remote.refresh: expected 1s to 86400s");
    corp("jwks", json!({"inline": {"keys": []}}), "jwks.inline.keys: expected at least one key");
    corp("jwks", json!({"inline": {"keys": [{"kty": "EC"}]}}), "jwks.inline.keys[0]: expected member \"x\"");
    corp("jwks", json!({"inline": {}}), "jwks.inline: expected member \"keys\"");
}

#[test]
fn discovery_is_found_below_the_issuer() {
    let config =
        accept("/providers/corp/jwks", json!({"discovery": {"cluster": "idp", "jwks_cluster": "keys"}}));
    let Verification::Keys(KeySetSource::Discovery(discovery)) = &config.verifications()[0] else { panic!() };
    assert_eq!(discovery.issuer, "https://login.example.com/");
    let uri = "https://login.example.com/.well-known/openid-configuration";
    assert_eq!(discovery.endpoint, Endpoint::parse(uri, "idp").unwrap());
    assert_eq!(discovery.jwks_cluster, "keys");
    let discovery = |raw: Value, expected: &str| {
        let expected = format!("providers.corp.jwks.discovery{expected}");
        check("/providers/corp/jwks", json!({ "discovery": raw }), &expected);
    };
    discovery(json!({}), ".cluster: expected the name of a cluster");
    discovery(json!({"cluster": "c", "uri": "http://a/"}), ".uri: expected https");
    discovery(json!({"cluster": "c", "stale_for": "31d"}), ".stale_for: expected 0ns to 2592000s");
    discovery(json!({"cluster": "c", "cooldown": "0s"}), ".cooldown: expected 1s to 3600s");
}

#[test]
fn rule_faults_name_their_place() {
    let rule = |member: &str, value: Value, expected: &str| {
        check(&format!("/rules/0/{member}"), value, &format!("rules[0]{expected}"));
    };
    rule("allow", json!("anonymous"), ": expected exactly one of allow, require");
    rule("enforce", json!("warn"), ".enforce: unknown variant `warn`, expected `deny` or `report`");
    rule("match/hosts", json!(["a:80"]), ".match.hosts[0]: expected a host without port");
    rule("match/methods", json!(["get"]), ".match.methods[0]: expected a method in upper case");
    rule("match/path", json!({"prefix": "admin"}), ".match.path.prefix: expected a path that starts with /");
    rule("match/path", json!({"exact": "/a/../b"}), ".match.path.exact: the path has more than one reading");
    rule("match/path", json!({"exact": "/a?b"}), ".match.path.exact: expected a path without query");
    rule("match/path", json!({"template": "/a{b}"}), ".match.path.template: expected segments such as");
    rule("require", json!({}), ".require: expected exactly one of provider, any, all");
    rule(
        "require",
        json!({"provider": "nobody"}),
        ".require.provider: expected the name of a provider (corp), but found \"nobody\"",
    );
    rule(
        "require",
        json!({"provider": "corp", "any": []}),
        ".require: expected exactly one of provider, any",
    );
    rule("require", json!({"any": []}), ".require.any: expected at least one member");
    rule(
        "require",
        json!({"any": [{"provider": "corp"}], "scopes": ["a"]}),
        ".require: expected scopes and claims inside",
    );
    rule(
        "require",
        json!({"any": [{"any": []}]}),
        ".require.any[0]: expected provider, scopes and claims only",
    );
    rule("require", json!({"all": []}), ".require.all: expected at least one member");
    rule(
        "require",
        json!({"all": [{"all": []}]}),
        ".require.all[0].all: expected provider or any inside all",
    );
    rule(
        "require",
        json!({"all": [{"provider": "corp"}], "allow_missing": true}),
        ".require: expected nothing beside all",
    );
    rule("require/scopes", json!(["a b"]), ".require.scopes[0]: expected one scope");
    rule("require/claims", json!([{"path": ["a"]}]), ".require.claims[0]: expected exactly one of equals");
    rule("require/claims", json!([{"path": [], "equals": 1}]), ".require.claims[0].path: expected the names");
    rule(
        "require/claims",
        json!([{"path": ["a"], "equals": [1]}]),
        ".require.claims[0].equals: expected a string, number or boolean",
    );
    rule(
        "require/claims",
        json!([{"path": ["a"], "one_of": []}]),
        ".require.claims[0].one_of: expected at least one value",
    );
}

#[test]
fn header_faults_name_their_place() {
    let header = |value: Value, expected: &str| {
        check("/identity_headers", json!([{"header": "x-a", "claim": ["a"]}, value]), expected);
    };
    header(json!({"claim": ["b"]}), "identity_headers[1].header: expected a header name");
    header(json!({"header": "x-b"}), "identity_headers[1].claim: expected the names");
    header(
        json!({"header": "X_A", "claim": ["b"]}),
        "identity_headers[1].header: header \"x_a\" is there already, or is an alias",
    );
    header(json!({"header": ":path", "claim": ["b"]}), "identity_headers[1].header: expected a header name");
    header(
        json!({"header": "Host", "claim": ["b"]}),
        "identity_headers[1].header: header \"host\" has a meaning of its own",
    );
    header(
        json!({"header": "x-b", "claim": ["b"], "provider": "no"}),
        "identity_headers[1].provider: expected the name",
    );
    check("/payload_header", json!("cookie"), "payload_header: header \"cookie\" has a meaning");
    check("/challenge", json!({"realm": "a\"b"}), "challenge.realm: expected visible ASCII");
    check(
        "/challenge",
        json!({"resource_metadata": "/x"}),
        "challenge.resource_metadata: expected an absolute",
    );
    check(
        "/limits",
        json!({"max_token_bytes": 1}),
        "limits.max_token_bytes: expected 256 to 1048576 bytes, but found 1",
    );
}

#[test]
fn a_token_header_cannot_be_an_identity_header() {
    let mut document = with("/providers/corp/from", json!([{"cookie": "c"}, {"header": "X_A"}]));
    document["identity_headers"] = json!([{"header": "x-a", "claim": ["a"]}]);
    assert_eq!(
        faults(&document),
        ["providers.corp.from[1]: header \"x_a\" is also an identity header, or an alias of one"]
    );
}

#[test]
fn all_faults_are_reported_at_once() {
    let found = faults(&json!({
        "providers": {"a": {"issuer": "x", "audience": ["api"], "clock_skew": 7, "algorithms": ["HS1"]}},
        "rules": [{"match": {"path": {"prefix": "//"}}, "require": {"provider": "b"}}, {"match": {}}],
        "colour": "red",
    }));
    let places: Vec<_> = found.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    let expected = [
        "colour",
        "providers.a",
        "providers.a.algorithms[0]",
        "providers.a.audience",
        "providers.a.audiences",
        "providers.a.clock_skew",
        "rules[0].match.path.prefix",
        "rules[0].require.provider",
        "rules[1]",
    ];
    assert_eq!(places, expected, "{found:#?}");
}

#[test]
fn secrets_are_not_in_faults() {
    let key = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0LXNlY3JldA", "alg": 7}]});
    let mut document = with("/providers/corp/jwks", json!({"inline": key}));
    document["providers"]["corp"]["algorithms"] = json!(["HS256"]);
    let found = faults(&document).join("\n");
    assert!(!found.is_empty() && !found.contains("c2Vj"), "{found}");
}

/// `smallest` with an opaque provider in the place of `corp`, changed as `with` does.
fn opaque(pointer: &str, value: Value) -> Value {
    let introspection = json!({
        "uri": "https://login.example.com/introspect", "cluster": "idp", "client_id": "edge", "client_secret": "s",
    });
    let mut document = with("/providers/corp/jwks", Value::Null);
    document["providers"]["corp"]["introspection"] = introspection;
    if !pointer.is_empty() {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = document.pointer_mut(&format!("/providers/corp{parent}")).unwrap();
        parent[name] = value;
        parent.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    }
    document
}

#[test]
fn introspection_is_checked() {
    let key = json!({"kty": "OKP", "crv": "Ed25519",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let accept = |pointer: &str, value: Value| {
        let found = faults(&opaque(pointer, value.clone()));
        assert_eq!(found, Vec::<String>::new(), "{pointer} = {value}");
    };
    accept("", Value::Null);
    accept("/introspection/authentication", json!("client_secret_post"));
    accept("/introspection/cache_for", json!("1h"));
    accept("/max_lifetime", json!("1h"));
    let mut by_key = opaque("/introspection/client_secret", Value::Null);
    by_key["providers"]["corp"]["introspection"]["private_key"] = key.clone();
    assert_eq!(faults(&by_key), Vec::<String>::new());
    by_key["providers"]["corp"]["introspection"]["assertion_audience"] = json!("https://as");
    assert_eq!(faults(&by_key), Vec::<String>::new());

    let check = |pointer: &str, value: Value, expected: &str| {
        let found = faults(&opaque(pointer, value.clone()));
        let expected = format!("providers.corp.{expected}");
        assert!(found.len() == 1 && found[0].starts_with(&expected), "{pointer} = {value}\n{found:#?}");
    };
    check("/introspection/uri", Value::Null, "introspection.uri: expected the address");
    check("/introspection/uri", json!("http://a/"), "introspection.uri: expected https");
    check("/introspection/cluster", Value::Null, "introspection.cluster: expected the name of a cluster");
    check("/introspection/client_id", json!(""), "introspection.client_id: expected our identifier");
    check("/introspection/client_secret", Value::Null, "introspection: expected exactly one of");
    check("/introspection/client_secret", json!(7), "introspection.client_secret: expected a string");
    check("/introspection/private_key", key.clone(), "introspection: expected exactly one of");
    check(
        "/introspection/assertion_audience",
        json!("a"),
        "introspection.assertion_audience: expected private_key",
    );
    check("/introspection/cache_for", json!("0s"), "introspection.cache_for: expected");
    check("/introspection/cache_for", json!("2h"), "introspection.cache_for: expected");
    check("/introspection/timeout", json!("1ms"), "introspection.timeout: expected");
    check("/algorithms", json!(["RS256"]), "algorithms: expected nothing beside introspection");
    check("/token_types", json!(["JWT"]), "token_types: expected nothing beside introspection");
    check("/danger_no_expiry", json!(true), "danger_no_expiry: expected nothing beside introspection");
    let jwks = json!({"remote": {"uri": "https://a/", "cluster": "c"}});
    let found = faults(&opaque("/jwks", jwks));
    assert_eq!(found, ["providers.corp: expected exactly one of jwks, introspection"]);

    let mut private = key;
    private["d"] = json!("c2VjcmV0LXNlY3JldA");
    by_key["providers"]["corp"]["introspection"]["private_key"] = private;
    let found = faults(&by_key).join("\n");
    assert!(
        found.contains("introspection.private_key: expected member \"d\"") && !found.contains("c2Vj"),
        "{found}"
    );
}

#[test]
fn a_group_asks_one_provider_at_most() {
    let mut document = opaque("", Value::Null);
    document["providers"]["other"] = document["providers"]["corp"].clone();
    document["providers"]["keys"] = smallest()["providers"]["corp"].clone();
    let any = |names: [&str; 2]| json!({"any": names.map(|name| json!({"provider": name}))});
    document["rules"][0]["require"] = any(["corp", "keys"]);
    assert_eq!(faults(&document), Vec::<String>::new(), "one by keys and one by asking");
    document["rules"][0]["require"] = any(["corp", "other"]);
    let found = faults(&document);
    assert!(found.len() == 1 && found[0].contains("at most one provider with introspection"), "{found:?}");
}

#[test]
fn bindings_are_checked() {
    let config = accept("/providers/corp/dpop", json!({}));
    let provider = &config.policy().providers[0];
    let dpop = provider.binding.dpop.as_ref().unwrap();
    assert!(dpop.required && dpop.nonce.is_none() && dpop.origins.is_empty());
    assert_eq!(dpop.proof_max_age, Duration::from_secs(60));
    assert_eq!(provider.locations.iter().map(TokenLocation::is_dpop).collect::<Vec<_>>(), [true]);
    let config =
        accept("/providers/corp/dpop", json!({"required": false, "origins": ["https://a.example:8443"]}));
    let locations = &config.policy().providers[0].locations;
    assert_eq!(locations.iter().map(TokenLocation::is_dpop).collect::<Vec<_>>(), [false, true]);
    accept("/providers/corp/dpop", json!({"nonce": {"lifetime": "10s", "secret": "A".repeat(43)}}));
    accept("/providers/corp/certificate_bound", json!(true));

    let dpop = |value: Value, expected: &str| check("/providers/corp/dpop", value, expected);
    dpop(json!({"algorithms": ["HS256"]}), "providers.corp.dpop.algorithms: expected asymmetric");
    dpop(json!({"proof_max_age": "11m"}), "providers.corp.dpop.proof_max_age: expected");
    dpop(json!({"origins": []}), "providers.corp.dpop.origins: expected at least one origin");
    dpop(json!({"origins": ["api.example.com"]}), "providers.corp.dpop.origins[0]: expected");
    dpop(json!({"origins": ["https://a/path"]}), "providers.corp.dpop.origins[0]: ");
    dpop(json!({"nonce": {"lifetime": "1s"}}), "providers.corp.dpop.nonce.lifetime: expected");
    dpop(json!({"nonce": {"secret": "short"}}), "providers.corp.dpop.nonce.secret: expected 32 bytes");
    let mut document = with("/providers/corp/dpop", json!({}));
    document["providers"]["corp"]["from"] = json!([{"header": "authorization", "scheme": "Bearer"}]);
    assert!(
        faults(&document)[0]
            .starts_with("providers.corp.from: expected { header: authorization, scheme: DPoP }")
    );
    let from = json!([{"header": "authorization", "scheme": "DPoP"}]);
    check("/providers/corp/from", from, "providers.corp.from: expected dpop beside");
}

#[test]
fn filter_state_has_names_of_its_own() {
    let entry = |name: &str| json!({"name": name, "claim": ["sub"]});
    let config = accept("/filter_state", json!([entry("sub"), entry("x_1")]));
    assert_eq!(config.policy().filter_state.names().collect::<Vec<_>>(), ["sub", "x_1"]);
    check("/filter_state", json!([entry("Sub")]), "filter_state[0].name: expected letters");
    check("/filter_state", json!([entry("a.b")]), "filter_state[0].name: expected letters");
    check("/filter_state", json!([entry("provider")]), "filter_state[0].name: \"provider\" is set by");
    check("/filter_state", json!([entry("a"), entry("a")]), "filter_state[1].name: \"a\" is there already");
    check("/filter_state", json!([{"name": "a"}]), "filter_state[0].claim: expected");
    let repeated = json!([{"name": "a", "claim": ["a"], "list": "repeat"}]);
    check("/filter_state", repeated, "filter_state[0].list: expected comma, space or json");
    assert_eq!(accept("/limits", json!({"denial_logs": 0})).policy().denial_logs, 0);
    let cache = accept("/limits", json!({"cached_tokens": 7, "cached_token_bytes": 65_536}));
    assert_eq!(cache.policy().token_cache, CacheLimits { entries: 7, bytes: 65_536 });
    check("/limits", json!({"cached_tokens": 1_000_001}), "limits.cached_tokens: expected 0 to");
    check("/limits", json!({"cached_token_bytes": 0}), "limits.cached_token_bytes: expected 65536 to");
    check("/limits", json!({"denial_logs": 10_001}), "limits.denial_logs: expected 0 to 10000");
}

#[test]
fn templates_stand_for_the_allowed_issuers_only() {
    let mut document =
        with("/providers/corp/issuer", json!("https://login.microsoftonline.com/{tenant}/v2.0"));
    document["providers"]["corp"]["issuer_claims"] = json!({"tenant": "tid"});
    document["providers"]["corp"]["issuer_allow"] = json!({"tenant": ["t1", "t2"]});
    let config = Config::load(document.to_string().as_bytes()).unwrap();
    let mut issuers: Vec<_> = config.policy().issuers.keys().cloned().collect();
    issuers.sort();
    assert_eq!(
        issuers,
        ["https://login.microsoftonline.com/t1/v2.0", "https://login.microsoftonline.com/t2/v2.0"]
    );
}

#[test]
fn one_issuer_must_lead_to_one_provider_of_a_group() {
    let mut document = smallest();
    document["providers"]["again"] = document["providers"]["corp"].clone();
    assert_eq!(faults(&document), Vec::<String>::new(), "in different rules they may share an issuer");
    document["rules"][0]["require"] = json!({"any": [{"provider": "corp"}, {"provider": "again"}]});
    assert_eq!(
        faults(&document),
        [
            "rules[0].require: expected each issuer at one provider of the group, but \"https://login.example.com/\" is at several"
        ]
    );
}

#[test]
fn shared_secrets_are_taken_only_inline_and_named() {
    let secret =
        json!({"inline": {"keys": [{"kty": "oct", "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}});
    check(
        "/providers/corp/jwks",
        secret.clone(),
        "providers.corp.jwks.inline.keys[0]: no algorithm of this provider fits",
    );
    let mut document = with("/providers/corp/jwks", secret);
    document["providers"]["corp"]["algorithms"] = json!(["HS256"]);
    assert_eq!(faults(&document), Vec::<String>::new());
    // A secret of 32 bytes is too short for a hash of 64 (RFC 7518 section 3.2).
    document["providers"]["corp"]["algorithms"] = json!(["HS512"]);
    assert_eq!(
        faults(&document),
        ["providers.corp.jwks.inline.keys[0]: no algorithm of this provider fits the key"]
    );
}

#[test]
fn what_is_written_is_taken() {
    let config = accept("/providers/corp/algorithms", json!(["Ed25519", "ES256"]));
    assert_eq!(config.policy().providers[0].algorithms, [Algorithm::EdDsa, Algorithm::Es256]);
    accept("/rules/0/match/hosts", json!(["api.example.com", "*.example.com", "[::1]"]));
    accept("/rules/0/require", json!({"all": [{"provider": "corp", "allow_missing": true}]}));
    accept(
        "/challenge",
        json!({"realm": "api", "resource_metadata": "https://a/.well-known/oauth-protected-resource"}),
    );
}

/// A document for the SCIM gateway alone.
fn scim() -> Value {
    json!({
        "scim": {
            "base_url": "https://scim.example.com/tenants/{tenant}/scim/v2",
            "store": { "gateway": "edge", "key": { "id": "k1", "secret": "A".repeat(43) } },
            "tenants": { "acme": { "tokens": [{ "name": "okta", "sha256": "ab".repeat(32) }] } },
        },
    })
}

/// One change to `scim` must give exactly these faults.
fn check_scim(pointer: &str, value: Value, expected: &[&str]) {
    let mut document = scim();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[name] = value.clone();
    assert_eq!(faults(&document), expected, "{pointer} = {value}");
}

#[test]
fn scim_alone_needs_no_rules_and_rules_need_no_scim() {
    let scim = scim().to_string();
    assert!(Config::load(scim.as_bytes()).is_ok() && Config::load_with_scim(scim.as_bytes()).is_ok());
    let fault = |error: super::ConfigError| error.faults()[0].path.clone();
    assert_eq!(Config::load_with_rules(scim.as_bytes()).map_err(fault).err().as_deref(), Some("rules"));
    let rules = smallest().to_string();
    assert!(Config::load_with_rules(rules.as_bytes()).is_ok());
    assert_eq!(Config::load_with_scim(rules.as_bytes()).map_err(fault).err().as_deref(), Some("scim"));
    // Whoever decides by rules leaves the section to others.
    let mut both = smallest();
    both["scim"] = json!({ "anything": 1 });
    assert!(Config::load_with_rules(both.to_string().as_bytes()).is_ok());
    assert!(Config::load_with_scim(both.to_string().as_bytes()).is_err());
}

#[test]
fn scim_at_a_worker_needs_a_store() {
    let with = |worker: Option<Value>, is_keyed: bool| {
        let mut document = scim();
        if let Some(worker) = worker {
            document["worker"] = worker;
        }
        if !is_keyed {
            document["scim"].as_object_mut().unwrap().remove("store");
        }
        document.to_string()
    };
    let found = |loaded: Result<Config, super::ConfigError>| match loaded {
        Ok(_) => Vec::new(),
        Err(error) => {
            error.faults().iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect()
        }
    };
    let no_target = "worker.store: expected where SCIM calls go on to, but found nothing";
    let no_store = "scim.store: expected the store that calls go to, but found nothing";
    let (url, d1) =
        (json!({ "store": { "url": "https://store.example" } }), json!({ "store": { "d1": "DB" } }));
    for (worker, is_keyed, expected) in [
        (None, true, vec![no_target]),
        (Some(json!({})), true, vec![no_target]),
        (Some(url.clone()), true, vec![]),
        // Only who has the store itself needs no key for it.
        (Some(url.clone()), false, vec![no_store]),
        (Some(d1.clone()), true, vec![]),
        (Some(d1.clone()), false, vec![]),
        (
            Some(json!({ "store": { "url": "https://store.example/scim" } })),
            true,
            vec!["worker.store.url: expected a URL without a path, but found \"https://store.example/scim\""],
        ),
        (
            Some(json!({ "store": { "d1": "" } })),
            true,
            vec!["worker.store.d1: expected a name, but found nothing"],
        ),
        (
            Some(json!({ "store": { "binding": "" } })),
            true,
            vec!["worker.store.binding: expected a name, but found nothing"],
        ),
    ] {
        let text = with(worker.clone(), is_keyed);
        assert_eq!(found(Config::load_with_scim_worker(text.as_bytes())), expected, "{text}");
        // Whoever checks a document sees what a worker would, if it says that there is one.
        if worker.is_some() {
            assert_eq!(found(Config::load(text.as_bytes())), expected, "{text}");
        }
    }
    // A proxy has no store of its own.
    let faults = found(Config::load_with_scim(with(Some(d1), false).as_bytes()));
    assert!(faults.contains(&no_store.to_owned()), "{faults:?}");
    let refused =
        "scim: expected nothing: this worker takes no SCIM calls, but that of dist/scim-worker does";
    let faults = found(Config::load_with_worker(with(Some(url.clone()), true).as_bytes()));
    assert!(faults.contains(&refused.to_owned()), "{faults:?}");
    let mut rules = smallest();
    rules["worker"] = url;
    assert_eq!(
        found(Config::load_with_scim_worker(rules.to_string().as_bytes())),
        ["worker.store: expected scim, whose calls go there, but found nothing"]
    );
}

#[test]
fn faults_of_scim_are_found_in_their_places() {
    check_scim(
        "/scim/tenants",
        json!({}),
        &["scim.tenants: expected at least one tenant: without any, every call is refused"],
    );
    check_scim(
        "/scim/tenants",
        json!({ "Acme": { "tokens": [{ "name": "a b", "sha256": "zz" }, { "expires": "soon" }], "profile": "azure", "x": 1 } }),
        &[
            "scim.tenants.Acme: expected the id of a tenant as the store has it, of 1 to 64 of a-z, 0-9 and -",
            "scim.tenants.Acme.profile: expected one of rfc, entra, okta, google, jumpcloud, onelogin, but found \"azure\"",
            "scim.tenants.Acme.tokens[0].name: expected 1 to 64 of A-Z, a-z, 0-9, -, _ and ., but found \"a b\"",
            "scim.tenants.Acme.tokens[0].sha256: expected a SHA-256 in 64 hexadecimal digits",
            "scim.tenants.Acme.tokens[1].expires: expected a date and time such as \"2011-05-13T04:42:34Z\", but found \"soon\"",
            "scim.tenants.Acme.tokens[1].name: expected a name of your own, but found nothing",
            "scim.tenants.Acme.tokens[1].sha256: expected a SHA-256 in 64 hexadecimal digits, but found nothing",
            "scim.tenants.Acme.x: unknown field `x`, expected one of `profile`, `base_url`, `hosts`, `tokens`, `jwt`, `certificates`, `unknown_attributes`, `attributes`, `rate`",
        ],
    );
    check_scim(
        "/scim/tenants/beta",
        json!({ "tokens": [{ "name": "x", "sha256": "AB".repeat(32) }] }),
        &["scim.tenants.beta.tokens[0].sha256: expected each token once: whose it is must be certain"],
    );
    check_scim(
        "/scim/tenants/acme",
        json!({}),
        &["scim.tenants.acme: expected tokens, jwt or certificates: without any, every call is refused"],
    );
    check_scim(
        "/scim/tenants/acme",
        json!({ "jwt": { "provider": "corp", "allow_missing": true } }),
        &[
            "scim.tenants.acme.jwt.provider: expected the name of a provider (there is none), but found \"corp\"",
        ],
    );
    check_scim(
        "/scim/base_url",
        Value::Null,
        &[
            "scim.tenants.acme.base_url: expected what clients call the service, here or in scim.base_url, but found nothing",
        ],
    );
    check_scim(
        "/scim/base_url",
        json!("https://a/%20b"),
        &["scim.tenants.acme.base_url: expected a path without query and percent signs, but found \"/%20b\""],
    );
    check_scim(
        "/scim/store",
        json!({ "base_path": "scim", "gateway": "a b", "key": { "id": "k", "secret": "c2hvcnQ" } }),
        &[
            "scim.store.base_path: expected a path such as \"/scim/v2\", or \"\", but found \"scim\"",
            "scim.store.gateway: expected 1 to 64 of A-Z, a-z, 0-9, -, _ and ., but found \"a b\"",
            "scim.store.key: expected a secret of at least 32 bytes, but found 5",
        ],
    );
    check_scim(
        "/scim/limits",
        json!({ "body": 1, "bulk": { "max_operations": 0 }, "rate": { "burst": 0 } }),
        &[
            "scim.limits.body: expected 1024 to 16777216, but found 1",
            "scim.limits.bulk.max_operations: expected 1 to 100000, but found 0",
            "scim.limits.rate.burst: expected 1 to 1000000, but found 0",
            "scim.limits.rate.requests_per_second: expected a number of calls, but found nothing",
        ],
    );
    let certificates = json!([{ "name": "a", "sha256": "cd".repeat(32) }]);
    check_scim(
        "/scim/tenants/beta",
        json!({ "certificates": certificates, "base_url": "https://scim.example.com/tenants/acme/scim/v2" }),
        &[
            "scim.tenants.beta: expected tokens or jwt, or a base_url of its own: a certificate alone does not tell tenants apart",
        ],
    );
}

#[test]
fn faults_of_worker_are_found_in_their_places() {
    let secret = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let digest = "00".repeat(32);
    check("/worker", json!({"origins": 1}), "worker.origins: unknown field");
    check("/worker", json!({"origin": "https://a"}), "worker.origin");
    check(
        "/worker",
        json!({"origin": {"url": "https://a/b"}}),
        "worker.origin.url: expected a URL without a path",
    );
    check("/worker", json!({"origin": {"url": "a"}}), "worker.origin.url: expected an absolute https URI");
    check("/worker", json!({"origin": {"binding": ""}}), "worker.origin.binding: expected a name");
    check("/worker", json!({"keys": {"kv": ""}}), "worker.keys.kv: expected a name");
    check("/worker", json!({"proofs": "elsewhere"}), "worker.proofs");
    check("/worker", json!({"proofs": {"durable_object": "P"}}), "worker.secret: expected the secret");
    check("/worker", json!({"secret": "short"}), "worker.secret: expected 32 bytes");
    check("/worker", json!({"metrics": {"path": "/m"}}), "worker.metrics.sha256: expected the SHA-256");
    check(
        "/worker",
        json!({"metrics": {"path": "m", "sha256": digest}}),
        "worker.metrics.path: expected a path",
    );
    check(
        "/worker",
        json!({"metrics": {"path": "/m?a", "sha256": digest}}),
        "worker.metrics.path: expected a path",
    );
    check(
        "/worker",
        json!({"metrics": {"path": "/m", "sha256": "ab"}}),
        "worker.metrics.sha256: expected 64",
    );
    let config = accept(
        "/worker",
        json!({
            "origin": {"url": "https://origin.example:8443"},
            "keys": {"cache": "doorward"},
            "proofs": {"durable_object": "PROOFS"},
            "secret": secret,
            "metrics": {"path": "/.doorward/metrics", "sha256": digest},
            "analytics": "DECISIONS",
        }),
    );
    let worker = config.worker().unwrap();
    let (scheme, authority) = ("https".to_owned(), "origin.example:8443".to_owned());
    assert_eq!(worker.origin, Origin::Url { scheme, authority });
    assert_eq!(worker.proofs, Some(ProofMemory::DurableObject("PROOFS".to_owned())));
    assert_eq!(worker.secret, Some([0; 32]));
    assert!(!format!("{worker:?}").contains("secret"));
}

#[test]
fn a_worker_needs_a_memory_of_proofs_where_proofs_are_asked_for() {
    let faults = |document: &Value| match Config::load_with_worker(document.to_string().as_bytes()) {
        Ok(config) => config.worker().map(|worker| vec![format!("{:?}", worker.origin)]).unwrap(),
        Err(error) => error.faults().iter().map(ToString::to_string).collect::<Vec<_>>(),
    };
    // Without the section, requests go on to where they were sent.
    assert_eq!(faults(&smallest()), ["Same"]);
    let mut document = with("/providers/corp/dpop", json!({}));
    assert_eq!(
        faults(&document),
        ["worker.proofs: expected where used DPoP proofs are remembered, but found nothing"]
    );
    // A proxy has a memory of its own.
    assert!(Config::load(document.to_string().as_bytes()).is_ok());
    document["worker"] = json!({"proofs": "isolate"});
    assert_eq!(faults(&document), ["Same"]);
}
