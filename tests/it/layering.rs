//! Who may import whom, and what the core rests on: `ARCHITECTURE.md` as a test.

use crate::blessed;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Plain values, for everyone.
const FOR_EVERYONE: [&str; 2] = ["json", "time"];

/// What each module of the core may use beside itself and [`FOR_EVERYONE`]; `module::item` allows that item alone.
const MAY_USE: [(&str, &[&str]); 13] = [
    ("authn", &["http", "jose", "jwt", "oauth", "oidc", "policy"]),
    ("config", &["authn", "gateway", "http", "jose", "jwt", "oauth", "oidc", "policy", "scim", "worker"]),
    ("gateway", &["authn", "http", "jose", "jwt", "oauth", "oidc", "policy", "scim"]),
    ("http", &[]),
    ("jose", &[]),
    ("json", &[]),
    ("jwt", &["jose"]),
    ("oauth", &["jose", "jwt", "oidc"]),
    ("oidc", &["jose"]),
    ("policy", &["http", "jose::base64url", "jwt"]),
    ("scim", &[]),
    ("time", &[]),
    ("worker", &[]),
];

/// The only modules below `config` that read the raw document; everyone else gets what was compiled from it.
const READ_RAW_CONFIG: [&str; 4] = ["compile", "document", "raw", "schema"];

/// Crates that do what the core must not: IO, tasks, clocks, randomness.
const NOT_IN_THE_CORE: [&str; 17] = [
    "async-std",
    "chrono",
    "coarsetime",
    "getrandom",
    "hyper",
    "jwt-simple",
    "mio",
    "proxy-wasm",
    "rand",
    "reqwest",
    "rustix",
    "smol",
    "socket2",
    "time",
    "tokio",
    "ureq",
    "wasm-bindgen",
];

#[test]
fn modules_use_only_what_they_may() {
    let found: BTreeSet<String> = sources().iter().filter_map(|file| file.module.first().cloned()).collect();
    let known: BTreeSet<String> = MAY_USE.iter().map(|(module, _)| (*module).to_owned()).collect();
    assert_eq!(found, known, "src/ and the table MAY_USE differ");
    let faults: Vec<String> = sources().iter().flat_map(Source::faults).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_scan_sees_every_way_to_name_a_module() {
    let source = |text: &str| Source::new("policy/route.rs", text).faults();
    for named in [
        "use crate::oidc::Fetch;",
        "use crate::{http::RequestHead, oidc};",
        "use crate::{jwt::{self, ClaimsSet}, authn::{rejection::{self, Denial}}};",
        "use super::super::oidc;",
        "use super::{path, super::oidc};",
        "fn f() -> crate :: oidc::Fetch { todo() }",
        "fn f<'a>(c: &'a char) -> bool { *c == '\"' || crate::oidc::f() }",
        "pub(in crate::oidc) fn f() {}",
        "use crate::jose::Algorithm;",
        "use crate::jose::{base64url, Algorithm};",
        "use crate::config::Config;",
        "use crate::*;",
        "#[cfg(test)] mod tests { use crate::http; } use crate::oidc;",
        "mod inner { use super::super::super::oidc; }",
    ] {
        assert!(!source(named).is_empty(), "{named}");
    }
    for harmless in [
        "use crate::http::RequestHead; use super::{Requirement, path::NormalPath}; use crate::jose::base64url;",
        "use crate::jose::base64url::{self, NotBase64Url}; pub(crate) fn f() {} use crate::time::UnixTime;",
        "// use crate::oidc;\n/* use crate::oidc; /* crate::oidc */ */ const A: &str = \"crate::oidc\";",
        "const A: &str = r#\"crate::oidc \" \"#; const B: &[u8] = b\"\\\"crate::oidc\";",
        "#[cfg(test)]\nmod tests { use crate::oidc; fn f() { if true {} } }",
        "#[cfg(test)]\nuse crate::oidc;",
    ] {
        assert_eq!(source(harmless), Vec::<String>::new(), "{harmless}");
    }
    let raw = "use super::{document, raw};";
    assert_eq!(Source::new("config/compile.rs", raw).faults(), Vec::<String>::new());
    assert_eq!(
        Source::new("config/compile/rule.rs", "use super::super::raw;").faults(),
        Vec::<String>::new()
    );
    assert_eq!(Source::new("authn/policy.rs", "use crate::config::raw;").faults().len(), 1);
    assert_eq!(Source::new("config/uri.rs", raw).faults().len(), 1);
    assert_eq!(Source::new("config/uri.rs", "use crate::config::raw::Document;").faults().len(), 1);
}

#[test]
fn the_core_rests_on_what_is_listed() {
    let listed: BTreeSet<String> = ["wasm32-wasip1", "wasm32-unknown-unknown"]
        .into_iter()
        .flat_map(|target| linked_crates("doorward", target))
        .collect();
    let lines: String = listed.iter().map(|name| format!("{name}\n")).collect();
    blessed::check("tests/it/core_dependencies.txt", &lines);
    let unwanted: Vec<&str> = NOT_IN_THE_CORE.into_iter().filter(|name| listed.contains(*name)).collect();
    assert_eq!(unwanted, [""; 0], "crates with IO, clocks or randomness in the core");
}

#[test]
fn the_filter_links_nothing_native() {
    let linked = linked_crates("doorward-jwt-authn", "wasm32-wasip1");
    assert!(linked.contains("proxy-wasm") && linked.contains("doorward"), "{linked:?}");
    for native in ["tokio", "hyper", "mio", "doorward-testbed", "jwt-simple", "reqwest"] {
        assert!(!linked.contains(native), "{native}");
    }
}

/// A worker has neither threads nor sockets, and its clock is JavaScript's.
#[test]
fn the_store_without_its_native_features_links_nothing_native() {
    let linked = linked("doorward-store", "wasm32-unknown-unknown", &["--no-default-features"]);
    assert!(linked.contains("doorward") && linked.contains("uuid"), "{linked:?}");
    for native in
        ["axum", "hyper", "js-sys", "mio", "rusqlite", "rustls", "socket2", "tokio-postgres", "wasm-bindgen"]
    {
        assert!(!linked.contains(native), "{native}");
    }
    for (package, own) in [("doorward-store", &[][..]), ("doorward-worker", &["--features", "scim"])] {
        let tokio = features(package, "wasm32-unknown-unknown", "tokio", own);
        assert_eq!(tokio, ["sync"], "of tokio, for {package}");
    }
}

#[test]
fn each_dependency_stays_behind_its_wrapper() {
    let check = |dependency: &str, allowed: &[&str]| {
        let found = dependents(dependency);
        let stray: Vec<&String> = found.iter().filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(
            !found.is_empty() && stray.is_empty(),
            "{dependency}: beside {allowed:?}, {stray:?} of {found:?}"
        );
    };
    check("proxy-wasm", &["doorward-host"]);
    let filters = ["doorward-jwt-authn", "doorward-scim-gateway"];
    check("doorward-host", &[&filters[..], &["doorward-effects", "doorward-backends"]].concat());
    check("doorward-effects", &filters);
    check("js-sys", &["doorward-worker"]);
    check("wasm-bindgen-futures", &["doorward-worker"]);
    let native = [
        "doorward-cli",
        "doorward-e2e",
        "doorward-store",
        "doorward-testbed",
        "identity-headers-example",
        "xtask",
    ];
    check("doorward-testbed", &native);
    // Which has its channels alone: see above.
    check("tokio", &[&native[..], &["doorward-worker"]].concat());
    check("hyper", &native);
    for filter in filters {
        assert!(dependents(filter).is_empty(), "filters do not know each other");
    }
}

#[test]
fn filters_rest_on_the_core_the_hostcalls_and_the_effects() {
    // The store is in the worker only where it takes SCIM calls.
    for (package, may_use) in [
        ("doorward-host", &["doorward"][..]),
        ("doorward-effects", &["doorward", "doorward-host"]),
        ("doorward-jwt-authn", &["doorward", "doorward-effects", "doorward-host"]),
        ("doorward-scim-gateway", &["doorward", "doorward-effects", "doorward-host"]),
        ("doorward-worker", &["doorward", "doorward-store"]),
    ] {
        let ours = dependencies(package).into_iter().filter(|name| name.starts_with("doorward"));
        assert_eq!(ours.collect::<Vec<_>>(), may_use, "{package}");
    }
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(blessed::path("")).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The names of the crates that are linked into `package`: without what only tests or the compiler need. Not by `cargo
/// metadata`, which knows one set of features for the whole workspace, jwt-simple's included.
fn linked_crates(package: &str, target: &str) -> BTreeSet<String> {
    linked(package, target, &[])
}

fn linked(package: &str, target: &str, more: &[&str]) -> BTreeSet<String> {
    let text = tree(package, target, "{p}", more);
    text.lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| *name != package)
        .map(str::to_owned)
        .collect()
}

/// The features that a dependency has when `package` has none.
fn features(package: &str, target: &str, dependency: &str, own: &[&str]) -> Vec<String> {
    let text = tree(package, target, "{p}:{f}", &[&["--no-default-features"], own].concat());
    let line = text.lines().find(|line| line.split(' ').next() == Some(dependency));
    let found = line.and_then(|line| line.rsplit(':').next()).unwrap_or_default();
    found.trim_end_matches(" (*)").split(',').map(str::to_owned).collect()
}

fn tree(package: &str, target: &str, format: &str, more: &[&str]) -> String {
    let arguments = ["tree", "--package", package, "--edges", "normal,no-proc-macro", "--target", target];
    let printed = ["--prefix", "none", "--format", format, "--locked"];
    cargo(&[&arguments[..], &printed, more].concat())
}

/// The members of the workspace that name `dependency` in their manifest, in any section.
fn dependents(dependency: &str) -> BTreeSet<String> {
    let members = members().into_iter().filter(|(_, dependencies)| dependencies.contains(dependency));
    members.map(|(name, _)| name).collect()
}

/// What a member of the workspace names in its manifest, in any section.
fn dependencies(package: &str) -> BTreeSet<String> {
    let found = members().into_iter().find(|(name, _)| name == package);
    found.unwrap_or_else(|| panic!("expected {package} in the workspace")).1
}

/// The members of the workspace, and what each names in its manifest.
fn members() -> Vec<(String, BTreeSet<String>)> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let name = |named: &Value| named["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            (name(package), package["dependencies"].as_array().unwrap().iter().map(name).collect())
        })
        .collect()
}

/// One file of the core.
struct Source {
    /// Below `src/`.
    file: String,
    /// Where it is in the tree of modules; empty for `lib.rs`.
    module: Vec<String>,
    /// Its words and signs, without comments, literals and tests.
    tokens: Vec<String>,
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    let root = blessed::path("src");
    collect(&root, &mut files);
    assert!(files.len() > 20, "src/ was not found");
    let read = |path: &std::path::PathBuf| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        Source::new(&name, &std::fs::read_to_string(path).unwrap())
    };
    files.iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

impl Source {
    fn new(file: &str, text: &str) -> Self {
        let mut module: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
            module.pop();
        }
        Self { file: file.to_owned(), module, tokens: without_tests(&tokens(text)) }
    }

    /// Every use of a module that is not allowed.
    fn faults(&self) -> Vec<String> {
        let Some(own) = self.module.first() else { return Vec::new() };
        let (_, may_use) = MAY_USE.iter().find(|(module, _)| module == own).unwrap_or(&("", &[]));
        let allowed = |path: &[String]| {
            let [module, rest @ ..] = path else { return true };
            let item = format!("{module}::{}", rest.first().map_or("", String::as_str));
            let is_raw = item == "config::raw";
            if module == own {
                return !is_raw
                    || self.module.get(1).is_some_and(|name| READ_RAW_CONFIG.contains(&name.as_str()));
            }
            FOR_EVERYONE.contains(&module.as_str())
                || may_use.contains(&module.as_str())
                || may_use.contains(&item.as_str())
        };
        let paths = self.paths().into_iter().filter(|path| !allowed(path));
        paths.map(|path| format!("src/{} must not use {}", self.file, path.join("::"))).collect()
    }

    /// Every path that starts from the crate, or leaves its own module by `super`, spelled from the crate.
    fn paths(&self) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        // Modules inside this file: each lets `super` name one level more.
        let mut blocks: Vec<Option<String>> = Vec::new();
        let mut at = 0;
        while let Some(token) = self.tokens.get(at) {
            let previous = at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or("", String::as_str);
            match token.as_str() {
                "{" => {
                    let opens_module = at >= 2 && self.tokens[at - 2] == "mod";
                    blocks.push(opens_module.then(|| previous.to_owned()));
                }
                "}" => drop(blocks.pop()),
                "crate" | "super"
                    if previous != "::" && self.tokens.get(at + 1).is_some_and(|next| next == "::") =>
                {
                    let mut here = self.module.clone();
                    here.extend(blocks.iter().flatten().cloned());
                    at = self.tree(at, &here, &mut paths);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        paths
    }

    /// Reads one path, or one tree of a `use`, that starts at token `at` and is relative to `base`. Returns the place
    /// after it.
    fn tree(&self, mut at: usize, base: &[String], paths: &mut Vec<Vec<String>>) -> usize {
        let mut path = base.to_vec();
        while let Some(token) = self.tokens.get(at) {
            at += 1;
            match token.as_str() {
                "crate" => path.clear(),
                "super" => drop(path.pop()),
                "self" => {}
                "{" => {
                    while self.tokens.get(at).is_some_and(|token| token != "}") {
                        at = self.tree(at, &path, paths);
                        at += usize::from(self.tokens.get(at).is_some_and(|token| token == ","));
                    }
                    return at + 1;
                }
                name => path.push(name.to_owned()),
            }
            if self.tokens.get(at).is_none_or(|token| token != "::") {
                break;
            }
            at += 1;
        }
        if self.tokens.get(at).is_some_and(|token| token == "as") {
            at += 2;
        }
        paths.push(path);
        at
    }
}

/// Words, `::`, and single signs; comments and literals left out.
fn tokens(text: &str) -> Vec<String> {
    let text: Vec<char> = text.chars().collect();
    let starts_with =
        |at: usize, prefix: &str| prefix.chars().enumerate().all(|(i, c)| text.get(at + i) == Some(&c));
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&character) = text.get(at) {
        if starts_with(at, "//") {
            while text.get(at).is_some_and(|c| *c != '\n') {
                at += 1;
            }
        } else if starts_with(at, "/*") {
            let mut depth = 0;
            loop {
                if starts_with(at, "/*") {
                    (depth, at) = (depth + 1, at + 2);
                } else if starts_with(at, "*/") {
                    (depth, at) = (depth - 1, at + 2);
                } else {
                    at += 1;
                }
                if depth == 0 || at >= text.len() {
                    break;
                }
            }
        } else if character == '"' {
            at += 1;
            while text.get(at).is_some_and(|c| *c != '"') {
                at += if text[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if character == '\'' {
            // A character literal, or else a lifetime, which has no second quote where one must be.
            let is_escape = text.get(at + 1) == Some(&'\\');
            let end = if is_escape { (at + 3..text.len()).find(|i| text[*i] == '\'') } else { Some(at + 2) };
            at = match end {
                Some(end) if text.get(end) == Some(&'\'') => end + 1,
                _ => at + 1,
            };
        } else if character.is_alphanumeric() || character == '_' {
            let start = at;
            while text.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_') {
                at += 1;
            }
            let word: String = text[start..at].iter().collect();
            let hashes = (at..text.len()).take_while(|i| text[*i] == '#').count();
            if matches!(word.as_str(), "r" | "br") && text.get(at + hashes) == Some(&'"') {
                let close = format!("\"{}", "#".repeat(hashes));
                let end =
                    (at + hashes + 1..text.len()).find(|i| starts_with(*i, &close)).unwrap_or(text.len());
                at = end + close.len();
            } else {
                tokens.push(word);
            }
        } else if starts_with(at, "::") {
            tokens.push("::".to_owned());
            at += 2;
        } else {
            if !character.is_whitespace() {
                tokens.push(character.to_string());
            }
            at += 1;
        }
    }
    tokens
}

/// Leaves out every item below `#[cfg(test)]`: up to its closing brace or its semicolon.
fn without_tests(tokens: &[String]) -> Vec<String> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].iter().zip(MARK).filter(|(token, mark)| token == mark).count() < MARK.len() {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let mut depth = 0_usize;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(token.as_str(), "}" | ";") {
                break;
            }
        }
    }
    kept
}
