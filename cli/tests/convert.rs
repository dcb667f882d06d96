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
    let nobody = json!([{"match": {"hosts": ["nobody.invalid"]}, "allow": "anonymous"}]);
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
    ] {
        let why = format!("not converted: {why}");
        let listed = [
            why.as_str(),
            "not converted: rules[0]: the rule is left out",
            NO_MATCH,
            "to do: rules: there is no rule: the one for host nobody.invalid stands for those to come",
        ];
        of(requires(requirement), nobody.clone(), 3, &listed);
    }
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
        &[
            "not converted: AuthorizationPolicy p.spec.action: DENY: only ALLOW has a counterpart",
            "not converted: rules: those that need no token are left out: a policy that denies was not converted",
            to_do,
        ],
    );
}

#[test]
fn a_filter_is_found_inside_a_bootstrap() {
    let mut filter = envoy(&json!({}), &json!([{"match": {"prefix": "/"}}]));
    filter["@type"] =
        json!("type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication");
    let route =
        json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig"});
    let bootstrap = json!({"static_resources": {"listeners": [{"route": route}, {"filters": [{"typed_config": filter}]}]}});
    check(
        &bootstrap,
        "/rules",
        &json!([{"match": {}, "allow": "anonymous"}]),
        3,
        &[
            "not converted: static_resources.listeners[0].route: requirements of single routes have no counterpart: write rules",
        ],
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
fn yaml_and_json_hold_the_same_document() {
    let (_, yaml, _) = convert(&istio(&[]), &[]);
    let (_, json, _) = convert(&istio(&[]), &["--json"]);
    let from_yaml: Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(from_yaml, serde_json::from_str::<Value>(&json).unwrap());
}
