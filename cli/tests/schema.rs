//! The JSON Schema: what is committed is what is printed, and it says what the core says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests")]

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn printed() -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_doorward")).arg("schema").output().unwrap();
    assert!(run.status.success());
    String::from_utf8(run.stdout).unwrap()
}

/// What a document violates.
fn violations(document: &Value) -> Vec<String> {
    let schema = serde_json::from_str(&printed()).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn read_yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn first_policy() -> Value {
    read_yaml(&fs::read_to_string(root().join("examples/first-policy/doorward.yaml")).unwrap())
}

/// Every document of the README and of the examples; `faulty.yaml` is faulty on purpose.
fn documents() -> Vec<(PathBuf, Value)> {
    let readme = root().join("README.md");
    let text = fs::read_to_string(&readme).unwrap();
    let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let blocks = blocks.filter(|block| block.contains("providers:"));
    let mut documents: Vec<_> = blocks.map(|block| (readme.clone(), read_yaml(block))).collect();
    for example in fs::read_dir(root().join("examples")).unwrap() {
        let path = example.unwrap().path().join("doorward.yaml");
        if path.exists() {
            documents.push((path.clone(), read_yaml(&fs::read_to_string(&path).unwrap())));
        }
    }
    documents
}

#[test]
fn the_committed_schema_is_the_printed_one() {
    let path = root().join("schema/doorward.schema.json");
    let printed = printed();
    if std::env::var("DOORWARD_BLESS").is_ok_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &printed).unwrap();
    }
    let parse = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    assert_eq!(
        parse(&fs::read_to_string(&path).unwrap_or_else(|_| "null".to_owned())),
        parse(&printed),
        "if the change is meant, run DOORWARD_BLESS=1 cargo test -p doorward-cli --test schema"
    );
}

#[test]
fn the_schema_is_one_of_2020_12() {
    let schema: Value = serde_json::from_str(&printed()).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
}

#[test]
fn documents_in_readme_and_examples_are_valid() {
    let documents = documents();
    assert!(documents.len() >= 2);
    for (path, document) in documents {
        assert_eq!(violations(&document), Vec::<String>::new(), "{}", path.display());
    }
}

#[test]
fn what_the_core_refuses_for_its_shape_is_invalid() {
    let check = |pointer: &str, value: Value| {
        let mut document = first_policy();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = document.pointer_mut(parent).unwrap();
        if value.is_null() {
            parent.as_object_mut().unwrap().remove(name);
        } else {
            parent[name] = value.clone();
        }
        assert!(!violations(&document).is_empty(), "{pointer} = {value}");
    };
    // An unknown member, on every level.
    for parent in [
        "",
        "/providers/corp",
        "/providers/corp/jwks",
        "/providers/corp/jwks/remote",
        "/rules/0",
        "/rules/0/match",
        "/rules/0/match/path",
        "/rules/1/require",
        "/identity_headers/0",
    ] {
        check(&format!("{parent}/colour"), json!("red"));
    }
    for required in [
        "/rules",
        "/providers/corp/issuer",
        "/providers/corp/jwks",
        "/providers/corp/jwks/remote/uri",
        "/providers/corp/jwks/remote/cluster",
        "/rules/0/match",
        "/identity_headers/0/header",
        "/identity_headers/0/claim",
    ] {
        check(required, Value::Null);
    }
    check("/rules", json!([]));
    check("/providers/corp/audiences", json!("api"));
    check("/providers/corp/audiences", json!([]));
    check("/providers/corp/algorithms", json!(["none"]));
    check("/providers/corp/clock_skew", json!(60));
    check("/providers/corp/clock_skew", json!("soon"));
    check("/providers/corp/jwks", json!({"inline": {"keys": []}}));
    check("/rules/0/allow", json!("everyone"));
    check("/rules/0/allow", Value::Null);
    check("/rules/1/allow", json!("anonymous"));
    check("/rules/1/require/provider", Value::Null);
    check("/rules/1/require/any", json!([{"provider": "corp"}]));
    check("/providers/corp/from", json!([{"header": "a", "cookie": "b"}]));
    check("/rules/1/require/claims", json!([{"path": ["a"], "equals": ["b"]}]));
    check("/limits", json!({"max_token_bytes": 1}));
}

#[test]
fn every_member_has_a_description() {
    fn look(value: &Value, place: &str, missing: &mut Vec<String>) {
        for (name, property) in value["properties"].as_object().into_iter().flatten() {
            if property["description"].is_null() {
                missing.push(format!("{place}.{name}"));
            }
        }
    }
    let schema: Value = serde_json::from_str(&printed()).unwrap();
    let mut missing = Vec::new();
    look(&schema, "", &mut missing);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        look(definition, name, &mut missing);
    }
    assert_eq!(missing, [""; 0]);
}
