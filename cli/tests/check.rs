//! `doorward check` as it is called, on files as they are.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

const OPEN: &str = "rules: [{ match: {}, allow: anonymous }]\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Runs `doorward check` in the root folder; standard output, then standard error.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    let run = command.arg("check").args(arguments).current_dir(root()).output().unwrap();
    (run.status.code(), String::from_utf8([run.stdout, run.stderr].concat()).unwrap())
}

/// Checks a file of this name and text. Each line, without the file's name in front, must start as expected.
fn check(name: &str, text: &str, status: i32, expected: &[&str]) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let (code, printed) = run(&[file]);
    let lines: Vec<_> = printed
        .lines()
        .map(|line| line.strip_prefix(file).unwrap_or(line).trim_start_matches(": "))
        .collect();
    let fits = lines.len() == expected.len() && lines.iter().zip(expected).all(|(l, e)| l.starts_with(e));
    assert!(fits && code == Some(status), "{text}\n{lines:#?}\n{expected:#?}\n{code:?}");
}

/// Envoy's configuration of this repository, changed.
fn envoy(from: &str, to: &str) -> String {
    let text = fs::read_to_string(root().join("envoy/jwt-authn.yaml")).unwrap();
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

const PLACE: &str = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0].typed_config\
                     .config.configuration";

#[test]
fn envoys_configuration_is_checked_where_ours_is_in_it() {
    check("envoy-1.yaml", &envoy("", ""), 0, &[&format!("{PLACE}: ok (1 provider(s), 3 rule(s))")]);
    let faulty = envoy(r#""audiences": ["api"],"#, r#""audience": "api","#);
    let expected = [
        format!("{PLACE}: providers.corp.audience: unknown field"),
        format!("{PLACE}: providers.corp.audiences: expected a list of audiences"),
    ];
    check("envoy-2.yaml", &faulty, 1, &expected.each_ref().map(String::as_str));
    // What is inside the text is strict JSON: YAML's own reader never sees it.
    let twice = envoy(r#""audiences": ["api"],"#, r#""audiences": ["api"], "audiences": ["other"],"#);
    check("envoy-3.yaml", &twice, 1, &[&format!("{PLACE}: (document): expected each member once")]);
}

#[test]
fn istios_configuration_is_accepted_without_a_warning() {
    let (code, printed) = run(&["--deny-warnings", "envoy/istio-wasmplugin.yaml"]);
    let expected =
        "envoy/istio-wasmplugin.yaml: document 1: spec.pluginConfig: ok (1 provider(s), 3 rule(s))\n";
    assert_eq!((code, printed.as_str()), (Some(0), expected));
}

#[test]
fn a_struct_is_a_fault() {
    let text = envoy(
        "google.protobuf.StringValue\n                          value: |",
        "google.protobuf.Struct\n                          value:",
    );
    let expected = format!("{PLACE}: expected \"@type\": type.googleapis.com/google.protobuf.StringValue");
    check("struct.yaml", &text, 1, &[&expected]);
}

#[test]
fn istios_resources_are_checked_in_one_file_with_others() {
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nrules: [{ verbs: [get] }]\n";
    let plugin =
        "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nspec: { pluginConfig: { rules: [] } }\n";
    let text = format!("{role}---\n{plugin}");
    check("istio.yaml", &text, 1, &["document 2: spec.pluginConfig: rules: expected at least one rule"]);
}

#[test]
fn a_file_without_ours_is_a_fault() {
    for (name, text) in [
        ("empty.yaml", ""),
        ("other.yaml", "static_resources: {}\n"),
        ("other.json", "{}"),
        ("typo.yaml", "provider: {}\n"),
    ] {
        check(
            name,
            text,
            1,
            &["expected a document with providers, rules or scim, or an Envoy or Istio configuration"],
        );
    }
    check("broken.json", "{", 1, &["(document): not JSON at line 1"]);
    check("broken.yaml", "a: [", 1, &["expected YAML"]);
}

#[test]
fn duplicate_members_are_faults_in_json_and_in_yaml() {
    check("twice.json", r#"{"rules":[],"rules":[]}"#, 1, &["(document): expected each member once"]);
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("twice.yaml");
    fs::write(&file, "rules: []\nrules: []\n").unwrap();
    let (code, printed) = run(&[file.to_str().unwrap()]);
    assert!(code == Some(1) && printed.contains("expected YAML"), "{printed}");
}

#[test]
fn warnings_change_the_status_only_when_denied() {
    check("open.yaml", OPEN, 0, &["ok (0 provider(s), 1 rule(s))", "warning: rules[0].allow: every request"]);
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("open-denied.yaml");
    fs::write(&file, OPEN).unwrap();
    assert_eq!(run(&["--deny-warnings", file.to_str().unwrap()]).0, Some(1));
    assert_eq!(run(&["--deny-warnings", "examples/first-policy/doorward.yaml"]).0, Some(0));
    assert_eq!(run(&["--deny-warnings", "envoy/jwt-authn.yaml"]).0, Some(0));
}
