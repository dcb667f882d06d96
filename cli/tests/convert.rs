//! `doorward convert` from outside: small inputs, what becomes of them, and what is listed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

static FILES: AtomicUsize = AtomicUsize::new(0);

/// Exit status, the document, and the list without the file's name.
fn convert(input: &str, options: &[&str]) -> (i32, String, Vec<String>) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("convert");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{}.yaml", FILES.fetch_add(1, Ordering::Relaxed)));
    fs::write(&file, input).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    let run = command.arg("convert").args(options).arg(&file).output().unwrap();
    let prefix = format!("{}: ", file.display());
    let list = String::from_utf8(run.stderr).unwrap().replace(&prefix, "");
    let list = list.lines().map(str::to_owned).collect();
    (run.status.code().unwrap(), String::from_utf8(run.stdout).unwrap(), list)
}

/// Converts `input`; `pointer` must have become `expected`, and the list must be `listed`.
fn check(input: &Value, pointer: &str, expected: &Value, status: i32, listed: &[&str]) {
    let (code, printed, list) = convert(&input.to_string(), &["--json"]);
    let document: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}{list:?}"));
    let found = document.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(
        (&found, code, list),
        (expected, status, listed.iter().map(|l| (*l).to_owned()).collect()),
        "{input}"
    );
}

/// An Envoy filter with one provider that differs in nothing, changed, and these rules.
fn envoy(changes: &Value, rules: &Value) -> Value {
    let mut provider = json!({
        "issuer": "https://a.example", "audiences": ["api"], "require_expiration": true,
        "from_headers": [{"name": "x-token"}],
        "remote_jwks": {"http_uri": {"uri": "https://a.example/jwks", "cluster": "c"}},
    });
    provider.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let other = json!({
        "issuer": "https://b.example", "audiences": ["api"], "requireExpiration": true,
        "fromHeaders": [{"name": "x-token"}],
        "remoteJwks": {"httpUri": {"uri": "https://b.example/jwks", "cluster": "c"}},
    });
    json!({"providers": {"a": provider, "b": other}, "rules": rules})
}

#[test]
fn envoys_providers_become_ours() {
    let rules = json!([{"match": {"prefix": "/"}, "requires": {"provider_name": "a"}}]);
    let remote = json!({"uri": "https://a.example/jwks", "cluster": "c"});
    let of = |changes: Value, member: &str, expected: Value, status: i32, listed: &[&str]| {
        check(&envoy(&changes, &rules), &format!("/providers/a/{member}"), &expected, status, listed);
    };
    of(json!({}), "issuer", json!("https://a.example"), 0, &[]);
    of(json!({}), "jwks/remote", remote, 0, &[]);
    of(json!({"forward": true}), "forward_token", json!(true), 0, &[]);
    of(json!({"clock_skew_seconds": 5}), "clock_skew", json!("5s"), 0, &[]);
    of(
        json!({"fromCookies": ["s"], "from_params": ["t"]}),
        "from",
        json!([{"header": "x-token"}, {"query": "t"}, {"cookie": "s"}]),
        0,
        &[],
    );
    of(
        json!({"audiences": null}),
        "danger_any_audience",
        json!(true),
        0,
        &[
            "differs: providers.a.audiences: there are none, so danger_any_audience is set: tokens for other services are accepted; name yours instead",
        ],
    );
    of(
        json!({"max_lifetime": {"seconds": 60}}),
        "max_lifetime",
        json!("60s"),
        0,
        &["differs: providers.a.max_lifetime: counts from \"iat\", not from now"],
    );
    of(
        json!({"require_expiration": false}),
        "danger_no_expiry",
        json!(null),
        0,
        &["differs: providers.a: tokens without \"exp\" are refused"],
    );
    of(
        json!({"from_headers": []}),
        "from",
        json!(null),
        0,
        &[
            "differs: providers.a: tokens in the query parameter access_token are not looked for; name it in `from` if you need it",
        ],
    );
    of(
        json!({"from_headers": [{"name": "x", "value_prefix": "t="}], "from_params": ["t"]}),
        "from",
        json!([{"query": "t"}]),
        3,
        &[
            "not converted: providers.a.from_headers[0]: a token after \"t=\" in header \"x\": only a scheme and a space can come before it",
        ],
    );
    of(
        json!({"payload_in_metadata": "p"}),
        "payload_in_metadata",
        json!(null),
        3,
        &["not converted: providers.a.payload_in_metadata: has no counterpart"],
    );
    of(
        json!({"clock_skew_seconds": 3600}),
        "clock_skew",
        json!(null),
        3,
        &["not converted: providers.a.clock_skew_seconds: expected at most 600 seconds"],
    );
    of(
        json!({"remote_jwks": null, "local_jwks": {"filename": "keys.json"}}),
        "audiences",
        json!(["api"]),
        3,
        &[
            "not converted: providers.a.local_jwks.filename: write the key set itself into `jwks.inline`",
            "to do: providers.a: say where the keys are: REPLACE_ME",
        ],
    );
    of(
        json!({"jwt_cache_config": {}, "header_in_metadata": "h"}),
        "audiences",
        json!(["api"]),
        3,
        &[
            "not converted: providers.a.header_in_metadata: has no counterpart",
            "not converted: providers.a.jwt_cache_config: has no counterpart",
        ],
    );
    of(
        json!({"issuer": null}),
        "issuer",
        json!("REPLACE_ME"),
        0,
        &["to do: providers.a.issuer: the document needs the one issuer of these tokens: REPLACE_ME"],
    );
    of(
        json!({"remote_jwks": null, "local_jwks": {"inline_string": "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0\"}]}"}}),
        "jwks/remote/cluster",
        json!("REPLACE_ME"),
        3,
        &[
            "not converted: providers.a.local_jwks.inline_string: keys[0]: a shared secret needs its HS* in `algorithms`",
            "to do: providers.a: say where the keys are: REPLACE_ME",
        ],
    );
}

#[test]
fn envoys_rules_become_ours_and_what_is_lost_denies() {
    const NO_MATCH: &str = "differs: rules: Envoy lets requests through that no rule is for; here they are denied: add a last rule `{ match: {}, allow: anonymous }` if that is meant";
    const PATHS: &str =
        "differs: rules: a slash at the end of a path does not count, and ambiguous paths are refused";
    let of = |rules: Value, expected: Value, status: i32, listed: &[&str]| {
        check(&envoy(&json!({}), &rules), "/rules", &expected, status, listed);
    };
    let every = json!({"prefix": "/"});
    let requires = |requires: Value| json!([{"match": every, "requires": requires}]);
    let rule = |require: Value| json!([{"match": {}, "require": require}]);
    of(json!([{"match": every}]), json!([{"match": {}, "allow": "anonymous"}]), 0, &[]);
    of(requires(json!({"providerName": "a"})), rule(json!({"provider": "a"})), 0, &[]);
    of(
        requires(json!({"requires_any": {"requirements": [{"provider_name": "a"}, {"provider_name": "b"}]}})),
        rule(json!({"any": [{"provider": "a"}, {"provider": "b"}]})),
        0,
        &[],
    );
    of(
        requires(json!({"requires_any": {"requirements": [{"provider_name": "a"}, {"allow_missing": {}}]}})),
        rule(json!({"provider": "a", "allow_missing": true})),
        0,
        &[],
    );
    of(
        requires(json!({"requires_all": {"requirements": [{"provider_name": "a"}, {"provider_name": "b"}]}})),
        rule(json!({"all": [{"provider": "a"}, {"provider": "b"}]})),
        0,
        &[],
    );
    of(
        requires(json!({"allow_missing": {}})),
        rule(json!({"any": [{"provider": "a"}, {"provider": "b"}], "allow_missing": true})),
        0,
        &[],
    );
    of(
        requires(json!({"provider_and_audiences": {"provider_name": "a", "audiences": ["api"]}})),
        rule(json!({"provider": "a"})),
        0,
        &[],
    );
    of(
        json!([{"match": {"path": "/x", "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]}}]),
        json!([{"match": {"path": {"exact": "/x"}, "methods": ["GET"]}, "allow": "anonymous"}]),
        0,
        &[NO_MATCH, PATHS],
    );
    of(
        json!([{"match": {"prefix": "/admin"}, "requires": {"provider_name": "a"}}]),
        json!([{"match": {"path": {"prefix": "/admin"}}, "require": {"provider": "a"}}]),
        0,
        &[
            "differs: rules[0].match.prefix: matches \"/admin\" and what is below it, not \"/adminx\"",
            NO_MATCH,
            PATHS,
        ],
    );
    of(
        json!([
            {"match": {"safe_regex": {"regex": ".*"}}, "requires": {"provider_name": "a"}},
            {"match": every, "requires": {"requires_any": {"requirements": [{"provider_name": "a"}, {"allow_missing": {}}]}}},
            {"match": every},
        ]),
        rule(json!({"provider": "a"})),
        3,
        &[
            "not converted: rules[0].match.safe_regex: regular expressions have no counterpart: use exact, prefix or template",
            "not converted: rules[0]: the rule is left out",
            "not converted: rules[1]: allow_missing is left out: it could let through what rules[0] was for",
            "not converted: rules[2]: is left out: it could let through what rules[0] was for",
        ],
    );
    for (requirement, why) in [
        (
            json!({"allow_missing_or_failed": {}}),
            "rules[0].requires.allow_missing_or_failed: a bad token is never accepted",
        ),
        (json!({"provider_name": "c"}), "rules[0].requires: there is no provider \"c\""),
        (
            json!({"provider_and_audiences": {"provider_name": "a", "audiences": ["x"]}}),
            "rules[0].requires.provider_and_audiences.audiences: audiences belong to the provider: write a provider for these",
        ),
        (
            json!({"provider_and_audiences": {"provider_name": "a", "audience": ["x"]}}),
            "rules[0].requires.provider_and_audiences.audience: has no counterpart",
        ),
        (json!("a"), "rules[0].requires: expected an object"),
        (json!({"provider": "a"}), "rules[0].requires.provider: has no counterpart"),
        (
            json!({"provider_name": "a", "requires_all": {}}),
            "rules[0].requires.requires_all: has no counterpart",
        ),
        (json!({"allow_missing": false}), "rules[0].requires.allow_missing: expected an object"),
        (
            json!({"requires_all": {"requirements": [{"provider_name": "a"}, "b"]}}),
            "rules[0].requires.requires_all.requirements[1]: expected an object",
        ),
        (
            json!({"requires_any": {"requirements": []}}),
            "rules[0].requires.requires_any.requirements: expected requirements of which one must hold",
        ),
    ] {
        let why = format!("not converted: {why}");
        let listed = [why.as_str(), "not converted: rules[0]: the rule is left out: its requests are denied"];
        of(requires(requirement), json!([denied(&json!({}))]), 3, &listed);
    }
}

/// The rule that takes the place of one for `matches` that is left out.
fn denied(matches: &Value) -> Value {
    let claims = json!([{"path": ["iss"], "equals": "nobody.invalid"}]);
    json!({"match": matches, "require": {"provider": "a", "claims": claims}})
}

/// The rules that become of these.
fn rules_of(input: &Value) -> Value {
    let (_, printed, list) = convert(&input.to_string(), &["--json"]);
    let document: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}{list:?}"));
    document["rules"].clone()
}

#[test]
fn what_comes_after_a_lost_rule_does_not_get_its_requests() {
    let of = |rules: Value, expected: Value| {
        let mut input = envoy(&json!({}), &rules);
        input["requirement_map"] = json!({"null": null, "x": {"provider_name": "a"}});
        assert_eq!(rules_of(&input), expected, "{rules}");
    };
    let need = |names: &[&str]| {
        let all: Vec<_> = names.iter().map(|name| json!({"provider_name": name})).collect();
        json!({"requires_any": {"requirements": all}})
    };
    let any = json!({"any": [{"provider": "a"}, {"provider": "b"}]});
    let every = |require: Value| json!({"match": {}, "require": require});
    let admin = json!({"path": {"exact": "/admin"}});
    let open = json!({"match": {"prefix": "/"}});
    let nobody = json!([{"match": {"hosts": ["nobody.invalid"]}, "allow": "anonymous"}]);
    // Its requests are known: they are denied, and the others are as before.
    for lost in [
        json!({"match": {"path": "/admin"}, "require": need(&["a"])}),
        json!({"match": {"path": "/admin"}, "requires": [need(&["a"])]}),
        json!({"match": {"path": "/admin"}, "requires": need(&["a"]), "requirement_name": "x"}),
        json!({"match": {"path": "/admin"}, "requirement_name": "y"}),
        json!({"match": {"path": "/admin"}, "requirement_name": "null"}),
        json!({"match": {"path": "/admin"}, "requirement_name": null}),
        json!({"match": {"path": "/admin"}, "requirement_name": 5}),
        json!({"match": {"path": "/admin"}, "stat_prefix": "x"}),
    ] {
        of(json!([lost, open]), json!([denied(&admin), {"match": {}, "allow": "anonymous"}]));
    }
    // They are not, but what they need is: what follows needs as much.
    for matches in [
        json!(null),
        json!({}),
        json!("/admin"),
        json!({"path": {"exact": "/admin"}}),
        json!({"path": 5}),
        json!({"prefix": ["/admin"]}),
        json!({"path": "/%zz"}),
        json!({"path_separated_prefix": ""}),
        json!({"safe_regex": "/admin"}),
        json!({"path_template": "/admin"}),
        json!({"headers": []}),
        json!({"path": "/admin", "prefix": "/"}),
        json!({"path": "/admin", "case_sensitive": false}),
        json!({"path": "/admin", "case_sensitive": "false"}),
        json!({"path": "/admin", "runtime_fraction": {}}),
        json!({"path": "/admin", "headers": {"name": ":method", "exact_match": "GET"}}),
        json!({"path": "/admin", "headers": ["GET"]}),
        json!({"path": "/admin", "headers": [{"name": ":method", "string_match": {"exact": 5}}]}),
        json!({"path": "/admin", "headers": [{"name": ":method", "exact_match": "GET", "invert_match": true}]}),
        json!({"path": "/admin", "headers": [{"name": "x-admin", "exact_match": "1"}]}),
        json!({"path": "/admin", "query_parameters": [{"name": "a", "present_match": true}]}),
    ] {
        let lost = |requires: Value| json!({"match": matches, "requires": requires});
        of(json!([lost(need(&["a"])), open]), nobody.clone());
        of(
            json!([lost(need(&["a"])), {"match": {"prefix": "/"}, "requires": need(&["a"])}]),
            json!([every(json!({"provider": "a"}))]),
        );
        of(
            json!([lost(need(&["a"])), {"match": {"prefix": "/"}, "requires": need(&["a", "b"])}]),
            json!([denied(&json!({}))]),
        );
        of(
            json!([lost(need(&["a", "b"])), {"match": {"prefix": "/"}, "requires": need(&["a", "b"])}]),
            json!([every(any.clone())]),
        );
        // A lost rule that asks for nothing takes nothing with it.
        of(json!([lost(json!({})), open]), json!([{"match": {}, "allow": "anonymous"}]));
    }
    // Neither is known: nothing that follows stays.
    for lost in [
        json!("x"),
        json!(null),
        json!({"match": {"path": 5}, "require": {}}),
        json!({"match": {"path": 5}, "requires": "a"}),
        json!({"match": {"path": 5}, "requirement_name": "y"}),
    ] {
        of(json!([lost, open]), nobody.clone());
        of(
            json!([lost, {"match": {"prefix": "/"}, "requires": need(&["a"])}, open]),
            json!([denied(&json!({}))]),
        );
        of(json!([open, lost]), json!([{"match": {}, "allow": "anonymous"}]));
    }
    // One that is left out because of a lost one leaves its own requests to nobody either.
    let all = json!({"requires_all": {"requirements": [{"provider_name": "a"}, {"provider_name": "b"}]}});
    of(
        json!([
            {"match": {"safe_regex": {}}, "requires": need(&["b"])},
            {"match": {"path": "/admin"}, "requires": need(&["a"])},
            {"match": {"prefix": "/"}, "requires": all},
            {"match": {"prefix": "/"}, "requires": need(&["b"])},
        ]),
        json!([
            denied(&admin),
            every(json!({"all": [{"provider": "a"}, {"provider": "b"}]})),
            every(json!({"provider": "b"})),
        ]),
    );
    // Without a provider there is nothing to deny by.
    let none = json!({"rules": [{"match": {"path": "/admin"}, "requires": need(&["a"])}, open]});
    assert_eq!(rules_of(&none), nobody);
}

#[test]
fn what_could_be_about_every_request_leaves_no_rule() {
    let rules =
        json!([{"match": {"prefix": "/"}, "requires": {"provider_name": "a"}}, {"match": {"prefix": "/"}}]);
    let whole = envoy(&json!({}), &rules);
    let kept = json!([{"match": {}, "require": {"provider": "a"}}, {"match": {}, "allow": "anonymous"}]);
    let closed = json!([denied(&json!({}))]);
    for (change, expected) in [
        (json!({}), &kept),
        (json!({"filter_state_rules": {"name": "x"}}), &kept),
        (json!({"strip_failure_response": true}), &kept),
        (json!({"requirement_map": {"x": "unused"}}), &kept),
        (json!({"filter_state_rule": {}}), &closed),
        (json!({"requirement_map": "x"}), &closed),
        (json!({"bypass_cors_preflight": "yes"}), &closed),
    ] {
        let mut input = whole.clone();
        input.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(rules_of(&input), *expected, "{change}");
    }
    let nobody = json!([{"match": {"hosts": ["nobody.invalid"]}, "allow": "anonymous"}]);
    for member in ["providers", "rules"] {
        let mut input = whole.clone();
        input[member] = json!("x");
        assert_eq!(rules_of(&input), nobody, "{member}");
    }
}

#[test]
fn tokens_of_a_provider_that_is_not_understood_do_not_count() {
    let rules = json!([{"match": {"prefix": "/"}, "requires": {"provider_name": "a"}}]);
    for (change, what) in [
        (json!({"audience": ["x"]}), "audience: has no counterpart"),
        (json!({"audiences": "x"}), "audiences: expected a list, but found a string"),
        (json!({"audiences": ["api", 5]}), "audiences[1]: expected a string"),
        (json!({"subjects": {"exact": "alice"}}), "subjects: has no counterpart"),
        (json!({"max_lifetime": "1h"}), "max_lifetime: expected a duration such as \"5s\", but found \"1h\""),
        (
            json!({"max_lifetime": {"seconds": "60"}}),
            "max_lifetime: expected a duration such as \"5s\", but found \"{\\\"seconds\\\":\\\"60\\\"}\"",
        ),
        (json!({"clock_skew_seconds": "5"}), "clock_skew_seconds: expected whole seconds"),
        (json!({"require_expiration": 1}), "require_expiration: expected true or false, but found a number"),
        (json!({"from_headers": "x"}), "from_headers: expected a list, but found a string"),
        (
            json!({"from_headers": [{"name": "x", "prefix": "y"}]}),
            "from_headers[0].prefix: has no counterpart",
        ),
        (
            json!({"remote_jwks": {"http_uri": {"uri": "https://a.example/jwks", "cluster": "c", "pin": 1}}}),
            "remote_jwks.http_uri.pin: has no counterpart",
        ),
    ] {
        let (code, printed, list) = convert(&envoy(&change, &rules).to_string(), &["--json"]);
        let document: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}{list:?}"));
        let provider = &document["providers"]["a"];
        assert_eq!(provider["audiences"], json!(["REPLACE_ME"]), "{change}: {list:?}");
        assert_eq!((code, &provider["danger_any_audience"]), (3, &Value::Null), "{change}: {list:?}");
        assert!(list.contains(&format!("not converted: providers.a.{what}")), "{change}: {list:?}");
        let to_do = "to do: providers.a.audiences: no token counts until what was not converted is settled: REPLACE_ME";
        assert!(list.iter().any(|line| line == to_do), "{change}: {list:?}");
        assert_eq!(document["providers"]["b"]["audiences"], json!(["api"]), "{change}");
    }
    let only = json!({"from_headers": [{"name": "x", "value_prefix": "t="}]});
    check(
        &envoy(&only, &rules),
        "/providers/a/audiences",
        &json!(["REPLACE_ME"]),
        3,
        &[
            "not converted: providers.a.from_headers[0]: a token after \"t=\" in header \"x\": only a scheme and a space can come before it",
            "not converted: providers.a: there is no place left where a token can be",
            "to do: providers.a.audiences: no token counts until what was not converted is settled: REPLACE_ME",
        ],
    );
}

#[test]
fn headers_without_a_value_are_taken_from_clients_all_the_same() {
    let rules = json!([{"match": {"prefix": "/"}}]);
    let of = |change: Value, other: Value, header: &str| {
        let mut input = envoy(&change, &rules);
        input["providers"]["b"].as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        check_header(&input, header);
    };
    of(json!({"claim_to_headers": [{"header_name": "X-User", "claim": "sub"}]}), json!({}), "x-user");
    of(json!({"claim_to_headers": [{"header_name": "x-user", "claim_name": 5}]}), json!({}), "x-user");
    of(json!({"forward_payload_header": "x-a"}), json!({"forward_payload_header": "X-B"}), "x-b");
}

fn check_header(input: &Value, header: &str) {
    let (code, printed, list) = convert(&input.to_string(), &["--json"]);
    let document: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}{list:?}"));
    let expected = json!([{"header": header, "claim": ["REPLACE_ME"]}]);
    assert_eq!((&document["identity_headers"], code), (&expected, 3), "{input}: {list:?}");
}

#[test]
fn a_later_rule_that_asks_for_less_than_one_with_a_narrower_prefix_is_listed() {
    let rules = json!([
        {"match": {"prefix": "/api"}, "requires": {"provider_name": "a"}},
        {"match": {"prefix": "/"}},
    ]);
    check(
        &envoy(&json!({}), &rules),
        "/rules/1",
        &json!({"match": {}, "allow": "anonymous"}),
        0,
        &[
            "differs: rules[0].match.prefix: matches \"/api\" and what is below it, not \"/apix\"",
            "differs: rules[1]: asks for less than rules[0], and may be for requests that are no longer for that",
            "differs: rules: a slash at the end of a path does not count, and ambiguous paths are refused",
        ],
    );
}

/// Istio documents: one issuer without differences, and policies.
fn istio(policies: &[Value]) -> String {
    let rule =
        json!({"issuer": "https://a.example", "audiences": ["api"], "jwks": KEYS, "fromParams": ["t"]});
    let authentication =
        json!({"kind": "RequestAuthentication", "metadata": {"name": "a"}, "spec": {"jwtRules": [rule]}});
    let policies = policies
        .iter()
        .map(|spec| json!({"kind": "AuthorizationPolicy", "metadata": {"name": "p"}, "spec": spec}));
    let documents: Vec<_> =
        [authentication].into_iter().chain(policies).map(|document| document.to_string()).collect();
    documents.join("\n---\n")
}

/// RFC 8037 appendix A.2.
const KEYS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
const ALL: &str =
    "not converted: rules: all are left out: what was not converted could deny what they are for";
const EXPIRY: &str = "differs: RequestAuthentication a.spec.jwtRules[0]: tokens without \"exp\" are refused";

#[test]
fn istios_rules_become_ours_and_what_is_lost_denies() {
    let of = |policies: &[Value], expected: Value, status: i32, listed: &[&str]| {
        let (code, printed, list) = convert(&istio(policies), &["--json"]);
        let document: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}{list:?}"));
        let listed: Vec<_> = [EXPIRY].iter().chain(listed).map(|line| (*line).to_owned()).collect();
        assert_eq!((&document["rules"], code, list), (&expected, status, listed), "{policies:?}");
    };
    let allow = |rule: Value| [json!({"rules": [rule]})];
    let open = json!({"provider": "a", "allow_missing": true});
    of(&[], json!([{"match": {}, "require": open}]), 0, &[]);
    of(&allow(json!({})), json!([{"match": {}, "require": open}]), 0, &[]);
    of(
        &allow(json!({"from": [{"source": {"requestPrincipals": ["*"]}}]})),
        json!([{"match": {}, "require": {"provider": "a"}}]),
        0,
        &[],
    );
    of(
        &allow(
            json!({"from": [{"source": {"requestPrincipals": ["https://a.example/alice"]}}], "to": [{"operation": {"paths": ["/x", "/u/{*}"], "methods": ["GET"]}}]}),
        ),
        json!([
            {"match": {"path": {"exact": "/x"}, "methods": ["GET"]}, "require": {"provider": "a", "claims": [{"path": ["sub"], "equals": "alice"}]}},
            {"match": {"path": {"template": "/u/{any}"}, "methods": ["GET"]}, "require": {"provider": "a", "claims": [{"path": ["sub"], "equals": "alice"}]}},
        ]),
        0,
        &["differs: rules: the first that matches decides; Istio allows what any of them allows"],
    );
    of(
        &allow(json!({"when": [{"key": "request.auth.claims[realm][roles]", "values": ["x"]}]})),
        json!([{"match": {}, "require": {"any": [
            {"provider": "a", "claims": [{"path": ["realm", "roles"], "one_of": ["x"]}]},
            {"provider": "a", "claims": [{"path": ["realm", "roles"], "contains": "x"}]},
        ]}}]),
        0,
        &[],
    );
    of(
        &allow(json!({"when": [{"key": "request.auth.claims[scope]", "values": ["read"]}]})),
        json!([{"match": {}, "require": {"provider": "a", "scopes": ["read"]}}]),
        0,
        &[],
    );
    let nobody = json!([{"match": {"hosts": ["nobody.invalid"]}, "allow": "anonymous"}]);
    let to_do = "to do: rules: there is no rule: the one for host nobody.invalid stands for those to come";
    let left_out = "not converted: AuthorizationPolicy p.spec.rules[0]: the rule is left out";
    of(
        &allow(json!({"from": [{"source": {"ipBlocks": ["10.0.0.0/8"]}}]})),
        nobody.clone(),
        3,
        &[
            "not converted: AuthorizationPolicy p.spec.rules[0].from[0].source.ipBlocks: has no counterpart",
            left_out,
            to_do,
        ],
    );
    of(
        &allow(json!({"when": [{"key": "request.headers[x]", "values": ["1"]}]})),
        nobody.clone(),
        3,
        &[
            "not converted: AuthorizationPolicy p.spec.rules[0].when[0]: a condition on \"request.headers[x]\" has no counterpart",
            left_out,
            to_do,
        ],
    );
    of(
        &[
            json!({"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/x"]}}]}]}),
            json!({"rules": [{}]}),
        ],
        nobody,
        3,
        &["not converted: AuthorizationPolicy p.spec.action: DENY: only ALLOW has a counterpart", ALL, to_do],
    );
    // Nobody but who has no token is denied by this.
    of(
        &[
            json!({"action": "DENY", "rules": [{"from": [{"source": {"notRequestPrincipals": ["*"]}}]}]}),
            json!({"rules": [{}, {"from": [{"source": {"requestPrincipals": ["*"]}}]}]}),
        ],
        json!([{"match": {}, "require": {"provider": "a"}}]),
        3,
        &[
            "not converted: AuthorizationPolicy p.spec.action: DENY: only ALLOW has a counterpart",
            "not converted: rules: those that need no token are left out: what was not converted could deny what they are for",
        ],
    );
}

#[test]
fn what_could_deny_and_is_not_understood_leaves_no_rule() {
    let nobody = json!([{"match": {"hosts": ["nobody.invalid"]}, "allow": "anonymous"}]);
    let of = |input: &str, expected: &Value| {
        let (code, printed, list) = convert(input, &["--json"]);
        let document: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}{list:?}"));
        assert_eq!((code, &document["rules"]), (3, expected), "{input}: {list:?}");
        list
    };
    let closed = json!({"from": [{"source": {"requestPrincipals": ["*"]}}]});
    for policy in [
        json!({"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/x"]}}]}]}),
        json!({"action": "DENY", "rules": [{"from": []}]}),
        json!({"action": "DENY", "rules": "x"}),
        json!({"action": "CUSTOM", "rules": []}),
        json!({"action": 5, "rules": [closed]}),
        json!({"rules": [closed], "unknown": 1}),
        json!(null),
        json!("x"),
    ] {
        let list = of(&istio(&[policy, json!({"rules": [{}, closed]})]), &nobody);
        assert!(list.iter().any(|line| line == ALL), "{list:?}");
    }
    let unknown = json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicies", "spec": {}});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [unknown]});
    for other in [unknown, list, json!({"spec": {}}), json!({"kind": "AuthorizationPolicy"}), json!([1])] {
        of(&format!("{}\n---\n{other}", istio(&[])), &nobody);
    }
    let open = json!([{"match": {}, "require": {"provider": "a", "allow_missing": true}}]);
    let elsewhere = json!({"apiVersion": "v1", "kind": "Service", "spec": {}});
    of(&format!("{}\n---\n{elsewhere}", istio(&[])), &open);
    for spec in [json!("x"), json!({"jwtRules": "x"}), json!({"jwtRule": []}), json!(null)] {
        of(&json!({"kind": "RequestAuthentication", "spec": spec}).to_string(), &nobody);
    }
    for (member, audience) in [("spaceDelimitedClaims", "api"), ("unknown", "REPLACE_ME")] {
        let mut rule = json!({"issuer": "https://a.example", "audiences": ["api"], "jwks": KEYS});
        rule[member] = json!(["roles"]);
        let input = json!({"kind": "RequestAuthentication", "spec": {"jwtRules": [rule]}});
        check_audience(&input, audience);
    }
    // Of a rule that allows, nothing stays if any of it is not understood.
    for rule in [
        json!("x"),
        json!({"form": closed["from"]}),
        json!({"from": "x"}),
        json!({"from": [{"source": {"requestPrincipals": ["*"]}, "unknown": 1}]}),
        json!({"from": closed["from"], "to": [{"operation": {"paths": ["/x"]}, "unknown": 1}]}),
        json!({"from": closed["from"], "to": [{"operation": {"paths": "/x"}}]}),
        json!({"from": closed["from"], "to": "x"}),
        json!({"from": closed["from"], "when": "x"}),
    ] {
        of(&istio(&[json!({"rules": [rule]})]), &nobody);
    }
}

fn check_audience(input: &Value, audience: &str) {
    let (code, printed, list) = convert(&input.to_string(), &["--json"]);
    let document: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}{list:?}"));
    assert_eq!((code, &document["providers"]["provider"]["audiences"]), (3, &json!([audience])), "{list:?}");
}

#[test]
fn a_filter_is_found_inside_a_bootstrap() {
    let rules = json!([
        {"match": {"path": "/a"}, "requires": {"provider_name": "a"}},
        {"match": {"path": "/b"}, "requires": {"provider_name": "b"}},
        {"match": {"prefix": "/"}},
    ]);
    let mut filter = envoy(&json!({}), &rules);
    filter["@type"] =
        json!("type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication");
    filter["requirement_map"] = json!({"a": {"provider_name": "a"}, "open": {}});
    let a = json!({"match": {"path": {"exact": "/a"}}, "require": {"provider": "a"}});
    let b = json!({"match": {"path": {"exact": "/b"}}, "require": {"provider": "b"}});
    let open = json!({"match": {}, "allow": "anonymous"});
    let (no_a, no_b) = (denied(&json!({"path": {"exact": "/a"}})), denied(&json!({"path": {"exact": "/b"}})));
    // What a route requires is required of every request, since which take the route is not known.
    for (route, expected) in [
        (json!({"disabled": true}), json!([a, b, open])),
        (json!({"requirement_name": "open"}), json!([a, b, open])),
        (json!({"requirementName": "a"}), json!([a, no_b])),
        (json!({"requirement_name": "unknown"}), json!([no_a, no_b])),
        (json!({"requirement_name": "a", "disabled": true}), json!([no_a, no_b])),
        (json!({"disabled": false}), json!([no_a, no_b])),
        (json!({"disabled": true, "unknown": 1}), json!([no_a, no_b])),
        (json!({}), json!([no_a, no_b])),
    ] {
        let kind = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig";
        let mut typed = route.clone();
        typed["@type"] = json!(kind);
        let wrapped =
            json!({"@type": "type.googleapis.com/xds.type.v3.TypedStruct", "type_url": kind, "value": route});
        let by_name = json!({"envoy.filters.http.jwt_authn": route});
        let inside = json!({"envoy.filters.http.jwt_authn": {"config": typed}});
        for (route, place) in [
            (typed, "route"),
            (wrapped, "route.value"),
            (by_name, "route.envoy.filters.http.jwt_authn"),
            (inside, "route.envoy.filters.http.jwt_authn.config"),
        ] {
            let bootstrap = json!({"static_resources": {"listeners": [{"route": route}, {"filters": [{"typed_config": filter}]}]}});
            let (code, printed, list) = convert(&bootstrap.to_string(), &["--json"]);
            let document: Value = serde_json::from_str(&printed).unwrap();
            assert_eq!((code, &document["rules"]), (3, &expected), "{route}: {list:?}");
            let listed = format!(
                "not converted: static_resources.listeners[0].{place}: requirements of single routes have no counterpart: write rules"
            );
            assert_eq!(list[0], listed);
        }
    }
    let off = json!({"disabled": true, "typed_config": filter});
    let (code, _, list) = convert(&json!([off]).to_string(), &["--json"]);
    assert_eq!(
        (code, list[0].as_str()),
        (0, "differs: [0].disabled: the document applies wherever it is loaded")
    );
}

#[test]
fn what_is_no_such_configuration_exits_with_2() {
    for (input, options) in [
        ("a: 1", &[][..]),
        ("a: [", &[]),
        ("kind: Pod", &[]),
        ("rules: []\n---\nrules: []", &[]),
        ("a: 1", &["--from", "istio"]),
    ] {
        let (code, printed, list) = convert(input, options);
        assert_eq!((code, printed.as_str()), (2, ""), "{input}: {list:?}");
    }
}

#[test]
fn our_own_documents_are_refused() {
    let refused = "is a Doorward document already: expected Envoy's or Istio's configuration";
    let rule = json!({"match": {}, "require": {"any": [{"provider": "a"}]}});
    for input in [
        json!({"rules": [rule]}),
        json!({"rules": [{"match": {}, "allow": "anonymous"}]}),
        json!({"rules": [{"match": {"path": {"prefix": "/"}}}]}),
        json!({"providers": {"a": {"issuer": "https://a.example", "jwks": {}}}}),
        json!({"scim": {}}),
        json!({"rules": [], "identity_headers": []}),
    ] {
        for options in [&["--json"][..], &["--from", "envoy"], &["--from", "istio"]] {
            let found = convert(&input.to_string(), options);
            assert_eq!(found, (2, String::new(), vec![refused.to_owned()]), "{input}");
        }
    }
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    for example in ["first-policy/doorward.yaml", "first-policy/faulty.yaml", "scim-gateway/doorward.yaml"] {
        let found = convert(&fs::read_to_string(examples.join(example)).unwrap(), &[]);
        assert_eq!(found, (2, String::new(), vec![refused.to_owned()]), "{example}");
    }
    // Envoy's, with a member of ours by mistake.
    let mistaken = json!([{"match": {"prefix": "/"}, "allow": "anonymous"}]);
    assert_eq!(rules_of(&envoy(&json!({}), &mistaken)), json!([denied(&json!({}))]));
}

#[test]
fn yaml_and_json_hold_the_same_document() {
    let (_, yaml, _) = convert(&istio(&[]), &[]);
    let (_, json, _) = convert(&istio(&[]), &["--json"]);
    let from_yaml: Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(from_yaml, serde_json::from_str::<Value>(&json).unwrap());
}

/// Every input that differs from `input` in one member's name, or in one value that is of no use there.
fn broken(input: &Value) -> Vec<Value> {
    let mut all: Vec<Value> = [json!({"unknown": 5}), json!([5]), json!("?")].into();
    match input {
        Value::Object(members) => {
            for (name, value) in members {
                let with = |name: &str, value: Value| {
                    let mut changed = input.clone();
                    changed.as_object_mut().unwrap().insert(name.to_owned(), value);
                    changed
                };
                let mut renamed = with(&format!("{name}x"), value.clone());
                renamed.as_object_mut().unwrap().remove(name);
                all.push(renamed);
                // A text in place of a text can be another one that is meant.
                let is_of_use = |value: &Value, other: &Value| value.is_string() && other.is_string();
                all.extend(
                    broken(value)
                        .into_iter()
                        .filter(|other| !is_of_use(value, other))
                        .map(|other| with(name, other)),
                );
            }
            all.push(json!([input]));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                for other in broken(item).into_iter().filter(|other| !(item.is_string() && other.is_string()))
                {
                    let mut changed = items.clone();
                    changed[index] = other;
                    all.push(Value::Array(changed));
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    all
}

/// A host, a path and a method, and what the one token says, if there is any.
type Sample = ([&'static str; 3], Option<Value>);

fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for path in ["/", "/admin", "/admin/x", "/orders/1", "/reports", "/health", "/other"] {
        for method in ["GET", "POST"] {
            for host in ["shop.example.com", "other.example.com"] {
                for token in [
                    None,
                    Some(json!({"iss": "https://a.example", "sub": "alice", "groups": ["sales"]})),
                    Some(json!({"iss": "https://a.example", "sub": "bob"})),
                    Some(json!({"iss": "https://b.example", "sub": "alice"})),
                ] {
                    samples.push(([host, path, method], token));
                }
            }
        }
    }
    samples
}

/// Whether a document of [`convert`] lets a request through, as far as these documents go.
fn passes(document: &Value, ([host, path, method], token): &Sample) -> bool {
    let lists = |list: &Value, item: &str| {
        list.as_array().is_none_or(|items| items.iter().any(|other| other == item))
    };
    let is_for = |rule: &&Value| {
        let matches = &rule["match"];
        let is_path = match (matches["path"]["exact"].as_str(), matches["path"]["prefix"].as_str()) {
            (Some(exact), _) => exact == *path,
            (_, Some(prefix)) => {
                let rest = path.strip_prefix(prefix.trim_end_matches('/'));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            (None, None) => {
                assert!(matches["path"].is_null(), "{matches}");
                true
            }
        };
        is_path && lists(&matches["hosts"], host) && lists(&matches["methods"], method)
    };
    let Some(rule) = document["rules"].as_array().unwrap().iter().find(is_for) else { return false };
    rule["allow"] == "anonymous" || meets(document, &rule["require"], token.as_ref())
}

fn meets(document: &Value, require: &Value, token: Option<&Value>) -> bool {
    if let Some(all) = require["all"].as_array() {
        return all.iter().all(|require| meets(document, require, token));
    }
    let Some(token) = token else { return require["allow_missing"] == true };
    if let Some(any) = require["any"].as_array() {
        return any.iter().any(|require| meets(document, require, Some(token)));
    }
    let provider = &document["providers"][require["provider"].as_str().unwrap()];
    let holds = |condition: &Value| {
        let found = &token[condition["path"][0].as_str().unwrap()];
        let has = |list: &Value, item: &Value| list.as_array().is_some_and(|items| items.contains(item));
        *found == condition["equals"] && !found.is_null()
            || has(&condition["one_of"], found)
            || has(found, &condition["contains"])
    };
    assert!(require["scopes"].is_null(), "{require}");
    provider["issuer"] == token["iss"]
        && provider["audiences"] != json!(["REPLACE_ME"])
        && require["claims"].as_array().into_iter().flatten().all(holds)
}

/// What of a provider says which tokens count; nothing of one of which none does.
fn limits(document: &Value, issuer: &str) -> Vec<Value> {
    let members = ["audiences", "danger_any_audience", "clock_skew", "max_lifetime", "from", "jwks"];
    let providers = document["providers"].as_object().unwrap().values();
    let open = providers
        .filter(|provider| provider["issuer"] == issuer && provider["audiences"] != json!(["REPLACE_ME"]));
    open.map(|provider| members.iter().map(|name| provider[name].clone()).collect()).collect()
}

/// Breaks `inputs`, documents of one file, in every way; nobody must get through who does not with the whole.
fn check_broken(inputs: &[Value]) {
    let text = |inputs: &[Value]| inputs.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    let (_, printed, list) = convert(&text(inputs), &["--json"]);
    let whole: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{list:?}"));
    let samples = samples();
    let (through, kept_out): (Vec<_>, Vec<_>) = samples.iter().partition(|sample| passes(&whole, sample));
    assert!(through.len() > 5 && kept_out.len() > 5, "{through:?} {printed}");
    let (mut refused, mut converted) = (Vec::new(), Vec::new());
    for index in 0..inputs.len() {
        for other in broken(&inputs[index]) {
            let mut inputs = inputs.to_vec();
            inputs[index] = other;
            let (code, printed, list) = convert(&text(&inputs), &["--json"]);
            let shown = || format!("{}\n{printed}\n{}", inputs[index], list.join("\n"));
            if code == 2 {
                assert!(!list.iter().any(|line| line.contains("bug")), "{}", shown());
                refused.push(index);
                continue;
            }
            converted.push(index);
            let document: Value = serde_json::from_str(&printed).unwrap();
            for sample in &kept_out {
                assert!(!passes(&document, sample), "{sample:?}\n{}", shown());
            }
            for issuer in ["https://a.example", "https://b.example"] {
                let before = limits(&whole, issuer);
                assert!(limits(&document, issuer).iter().all(|limit| before.contains(limit)), "{}", shown());
            }
        }
    }
    assert!(converted.len() > 100.max(refused.len()), "{} and {}", converted.len(), refused.len());
}

#[test]
fn nobody_gets_through_because_a_part_of_envoys_is_not_understood() {
    let rules = json!([
        {"match": {"path": "/health", "headers": [{"name": ":method", "exact_match": "GET"}]}},
        {"match": {"prefix": "/admin/", "case_sensitive": true}, "requires": {"provider_and_audiences": {"provider_name": "a", "audiences": ["api"]}}},
        {"match": {"path_separated_prefix": "/orders", "headers": [{"name": ":authority", "string_match": {"exact": "shop.example.com"}}]},
            "requires": {"requires_all": {"requirements": [{"provider_name": "a"}, {"requires_any": {"requirements": [{"provider_name": "a"}, {"allow_missing": {}}]}}]}}},
        {"match": {"path": "/reports"}, "requirement_name": "b"},
        {"match": {"prefix": "/admin/"}, "requires": {"provider_name": "b"}},
        {"match": {"prefix": "/"}},
    ]);
    let mut filter = envoy(
        &json!({"max_lifetime": "60s", "clock_skew_seconds": 5, "from_params": ["t"], "from_cookies": ["c"]}),
        &rules,
    );
    filter["requirement_map"] = json!({"b": {"provider_name": "b"}});
    filter["bypass_cors_preflight"] = json!(false);
    check_broken(&[filter]);
}

#[test]
fn nobody_gets_through_because_a_part_of_istios_is_not_understood() {
    let rules = |issuer: &str| {
        json!({"apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication", "metadata": {"name": "r"}, "spec": {
            "selector": {"matchLabels": {"app": "x"}},
            "jwtRules": [{"issuer": issuer, "audiences": ["api"], "jwks": KEYS, "fromParams": ["t"], "fromHeaders": [{"name": "x", "prefix": "y "}]}],
        }})
    };
    let policy = |spec: Value| json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "p"}, "spec": spec});
    let principals = |name: &str| json!([{"source": {"requestPrincipals": [name]}}]);
    check_broken(&[
        rules("https://a.example"),
        rules("https://b.example"),
        policy(json!({"action": "DENY", "rules": [{"from": [{"source": {"notRequestPrincipals": ["*"]}}]}]})),
        policy(json!({"action": "ALLOW", "rules": [
            {"to": [{"operation": {"paths": ["/admin/*"], "hosts": ["shop.example.com"], "methods": ["POST"]}}], "from": principals("https://a.example/alice")},
            {"to": [{"operation": {"paths": ["/orders/*"]}}], "when": [{"key": "request.auth.claims[groups]", "values": ["sales"]}]},
        ]})),
    ]);
    check_broken(&[
        rules("https://a.example"),
        rules("https://b.example"),
        policy(json!({"action": "AUDIT", "rules": [{}]})),
        policy(json!({"rules": [
            {"to": [{"operation": {"paths": ["/health"]}}]},
            {"to": [{"operation": {"hosts": ["shop.example.com"]}}], "from": principals("*")},
        ]})),
    ]);
}
