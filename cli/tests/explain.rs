//! `doorward explain` from outside: what it says, how it exits, and what it never prints.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use doorward::jose::base64url;
use jwt_simple::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// 2026-01-01T00:00:00Z; tokens here end an hour later.
const NOW: u64 = 1_767_225_600;

/// Files and keys of one test.
struct Bench {
    folder: PathBuf,
    key: Ed25519KeyPair,
}

impl Bench {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("explain").join(name);
        fs::create_dir_all(&folder).unwrap();
        Self { folder, key: Ed25519KeyPair::generate().with_key_id("k1") }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn jwks(&self) -> String {
        let x = base64url::encode(&self.key.public_key().to_bytes());
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": x}]}).to_string()
    }

    /// A document with keys at `jwks`.
    fn document(&self, jwks: &Value) -> String {
        let document = json!({
            "providers": {"corp": {"issuer": "https://login.example.com/", "audiences": ["api"], "jwks": jwks}},
            "rules": [
                {"match": {"path": {"exact": "/healthz"}}, "allow": "anonymous"},
                {"match": {"path": {"prefix": "/admin"}, "methods": ["POST"]},
                 "require": {"provider": "corp", "scopes": ["admin"],
                             "claims": [{"path": ["plan"], "equals": "gold"}]}},
                {"match": {"path": {"prefix": "/api"}}, "require": {"provider": "corp"}},
            ],
            "identity_headers": [{"header": "x-user-id", "claim": ["sub"]}],
            "payload_header": "x-payload",
        });
        self.file("doorward.json", &document.to_string())
    }

    /// A token with some claims replaced.
    fn token(&self, changes: &Value) -> String {
        let mut claims = json!({
            "iss": "https://login.example.com/", "aud": "api", "sub": "alice-in-person", "scope": "read write",
            "iat": NOW, "exp": NOW + 3600, "email": "alice@example.com",
        });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let mut custom = Claims::with_custom_claims(claims, Duration::from_secs(1));
        // The dates are among the custom claims.
        (custom.issued_at, custom.expires_at, custom.invalid_before) = (None, None, None);
        self.key.sign(custom).unwrap()
    }
}

/// Exit status, standard output, standard error.
fn explain(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    let run = command.arg("explain").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (run.status.code().unwrap(), text(run.stdout), text(run.stderr))
}

#[test]
fn each_request_is_explained_by_the_step_that_decides() {
    let bench = Bench::new("steps");
    let document =
        bench.document(&json!({"remote": {"uri": "https://login.example.com/jwks", "cluster": "c"}}));
    let keys = bench.file("keys.json", &bench.jwks());
    let now = NOW.to_string();
    let cases = [
        (
            json!({}),
            "GET",
            "/api/x?q",
            0,
            &[
                "rules[2], for path prefix /api",
                "valid by EdDSA with kid \"k1\"",
                "set x-user-id: <15 bytes>",
                "decision    allowed",
            ][..],
        ),
        (json!({}), "GET", "/healthz", 0, &["allows everybody", "decision    allowed"]),
        (json!({}), "GET", "/x", 1, &["none of 3 matches", "403 no_matching_rule"]),
        (json!({}), "GET", "/api//x", 1, &["more than one reading", "400 path_not_accepted"]),
        (
            json!({"exp": NOW - 300, "iat": null}),
            "GET",
            "/api",
            1,
            &[
                "exp 2025-12-31T23:55:00Z (5m ago)",
                "claims      refused: expired",
                "not checked",
                "401 token_expired",
            ],
        ),
        (
            json!({"iss": "https://evil.example/"}),
            "GET",
            "/api",
            1,
            &["\"https://evil.example/\", which none", "401 issuer_not_allowed"],
        ),
        (
            json!({"aud": ["web", "app"]}),
            "GET",
            "/api",
            1,
            &["audience    \"web\", \"app\"; one of \"api\" is needed", "401 audience_not_allowed"],
        ),
        (
            json!({"plan": "gold"}),
            "POST",
            "/admin",
            1,
            &[
                "needed \"admin\"; there \"read\", \"write\"",
                "claim plan equals \"gold\": it does",
                "403 scope_missing",
            ],
        ),
        (
            json!({"scope": "admin"}),
            "POST",
            "/admin",
            1,
            &["claim plan equals \"gold\": it is absent", "403 claim_not_allowed"],
        ),
    ];
    for (changes, method, path, status, expected) in cases {
        let token = bench.file("token", &bench.token(&changes));
        let arguments = [
            &document,
            "--token-file",
            &token,
            "--path",
            path,
            "--method",
            method,
            "--now",
            &now,
            "--offline",
            &keys,
        ];
        let (code, printed, error) = explain(&arguments);
        assert_eq!((code, error.as_str()), (status, ""), "{changes} {path}\n{printed}");
        for part in expected {
            assert!(printed.contains(part), "expected {part:?} for {changes} {path}:\n{printed}");
        }
    }
}

#[test]
fn neither_token_nor_claims_are_printed() {
    let bench = Bench::new("secrets");
    let document =
        bench.document(&json!({"remote": {"uri": "https://login.example.com/jwks", "cluster": "c"}}));
    let keys = bench.file("keys.json", &bench.jwks());
    let token = bench.token(&json!({}));
    let now = NOW.to_string();
    let arguments = [
        &document,
        "--token",
        &token,
        "--path",
        "/api",
        "--now",
        &now,
        "--offline",
        &keys,
        "--header",
        "X_User.Id: admin",
    ];
    let (code, printed, _) = explain(&arguments);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("remove \"x_user.id\": only the filter may set it"), "{printed}");
    let shown = explain(&[&arguments[..], &["--show-values"]].concat()).1;
    assert!(shown.contains("set x-user-id: alice-in-person"), "{shown}");
    let parts: Vec<_> = token.split('.').collect();
    for text in [&printed, &shown] {
        for secret in parts.iter().chain(&["alice@example.com"]) {
            assert!(!text.contains(secret), "{text}");
        }
    }
    assert!(!printed.contains("alice"), "{printed}");
}

#[test]
fn keys_are_fetched_through_discovery() {
    let bench = Bench::new("fetch");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let metadata =
        json!({"issuer": "https://login.example.com/", "jwks_uri": format!("{base}/jwks")}).to_string();
    let jwks = bench.jwks();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 2048];
            let length = stream.read(&mut request).unwrap();
            let body = if request[..length].starts_with(b"GET /jwks ") { &jwks } else { &metadata };
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    let discovery = json!({"uri": format!("{base}/meta"), "cluster": "c", "danger_allow_http": true});
    let document = bench.document(&json!({"discovery": discovery}));
    let now = NOW.to_string();
    let check = |token: &str, status: i32, expected: &[&str]| {
        let (code, printed, _) = explain(&[&document, "--token", token, "--path", "/api", "--now", &now]);
        assert_eq!(code, status, "{printed}");
        for part in expected {
            assert!(printed.contains(part), "expected {part:?}:\n{printed}");
        }
    };
    let located = format!("GET {base}/meta: the provider's metadata");
    let fetched = format!("GET {base}/jwks: 1 key(s), 0 left out");
    check(&bench.token(&json!({})), 0, &[&located, &fetched, "kid \"k1\" (Ed25519)", "decision    allowed"]);
    // Another key under another name: fetched again, as after a rotation, and not found.
    let other = Bench { folder: bench.folder.clone(), key: Ed25519KeyPair::generate().with_key_id("k2") };
    check(&other.token(&json!({})), 1, &[&fetched, "401 key_not_found"]);
    let forger = Bench { folder: bench.folder.clone(), key: Ed25519KeyPair::generate().with_key_id("k1") };
    check(&forger.token(&json!({})), 1, &["not valid by EdDSA with kid \"k1\"", "401 signature_invalid"]);
}

#[test]
fn keys_that_cannot_be_had_are_the_issuers_fault() {
    let bench = Bench::new("unreachable");
    let remote = json!({"uri": "http://127.0.0.1:1/jwks", "cluster": "c", "danger_allow_http": true});
    let document = bench.document(&json!({"remote": remote}));
    let token = bench.token(&json!({}));
    let now = NOW.to_string();
    let (code, printed, _) = explain(&[&document, "--token", &token, "--path", "/api", "--now", &now]);
    assert_eq!(code, 1);
    assert!(printed.contains("GET http://127.0.0.1:1/jwks: "), "{printed}");
    assert!(printed.contains("503 keys_unavailable"), "{printed}");
}

#[test]
fn what_convert_does_not_understand_admits_nobody() {
    let bench = Bench::new("converted");
    let now = NOW.to_string();
    let provider = |name: &str, value: Value| {
        let mut provider = json!({
            "issuer": "https://login.example.com/", "audiences": ["api"],
            "local_jwks": {"inline_string": bench.jwks()},
        });
        provider[name] = value;
        provider
    };
    let convert = |provider: Value| {
        let filter = json!({"providers": {"corp": provider}, "rules": [
            {"match": {"path": "/lost"}, "requires": {"provider": "corp"}},
            {"match": {"prefix": "/"}, "requires": {"provider_name": "corp"}},
        ]});
        let file = bench.file("envoy.json", &filter.to_string());
        let run = Command::new(env!("CARGO_BIN_EXE_doorward")).args(["convert", &file]).output().unwrap();
        bench.file("converted.yaml", &String::from_utf8(run.stdout).unwrap())
    };
    let check = |document: &str, path: &str, expected: (i32, &str)| {
        let token = bench.token(&json!({}));
        let (code, printed, _) = explain(&[document, "--token", &token, "--path", path, "--now", &now]);
        assert_eq!(code, expected.0, "{path}: {printed}");
        assert!(printed.contains(expected.1), "{path}: {printed}");
    };
    let document = convert(provider("forward", json!(true)));
    check(&document, "/lost", (1, "403 claim_not_allowed"));
    check(&document, "/x", (0, "decision    allowed"));
    let document = convert(provider("subjects", json!({"exact": "bob"})));
    check(&document, "/x", (1, "401 audience_not_allowed"));
}

/// Answers every request on a free port of loopback with this JSON; the address.
fn serve(body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            // Head and body may come apart.
            while !String::from_utf8_lossy(&request).contains("token=") {
                let used = request.iter().position(|byte| *byte == 0).unwrap();
                let length = stream.read(&mut request[used..]).unwrap();
                assert_ne!(length, 0);
            }
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    base
}

#[test]
fn an_opaque_token_is_asked_about_and_its_binding_is_shown() {
    let bench = Bench::new("opaque");
    let digest = base64url::encode(&[0xab; 32]);
    let answer = json!({"active": true, "iss": "https://login.example.com/", "aud": "api", "sub": "alice",
        "scope": "read", "cnf": {"x5t#S256": digest}});
    let base = serve(answer.to_string());
    let introspection = json!({"uri": format!("{base}/introspect"), "cluster": "c", "danger_allow_http": true,
        "client_id": "edge", "client_secret": "hunter2"});
    let document = json!({
        "providers": {"corp": {"issuer": "https://login.example.com/", "audiences": ["api"], "introspection": introspection}},
        "rules": [{"match": {}, "require": {"provider": "corp", "scopes": ["read"]}}],
        "identity_headers": [{"header": "x-user-id", "claim": ["sub"]}],
    });
    let document = bench.file("doorward.json", &document.to_string());
    let arguments = [document.as_str(), "--token", "opaque-token", "--path", "/"];
    let check = |more: &[&str], status: i32, expected: &[&str]| {
        let (code, printed, error) = explain(&[&arguments[..], more].concat());
        assert_eq!((code, error.as_str()), (status, ""), "{printed}");
        for part in expected {
            assert!(printed.contains(part), "expected {part:?}:\n{printed}");
        }
        for secret in ["opaque-token", "hunter2"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    };
    let asked = format!("POST {base}/introspect: active");
    let found = [asked.as_str(), "bound to    a certificate (x5t#S256)", "needed \"read\"; there \"read\""];
    let hex = "ab".repeat(32);
    check(&["--certificate-sha256", &hex], 0, &[&found[..], &["decision    allowed"]].concat());
    let colons = vec!["AB"; 32].join(":");
    check(&["--certificate-sha256", &colons], 0, &["decision    allowed"]);
    check(&[], 1, &[&found[..], &["401 certificate_mismatch"]].concat());
    let keys = bench.file("keys.json", &bench.jwks());
    check(&["--offline", &keys], 1, &["not asked, because of --offline", "503 introspection_unavailable"]);
    let (code, _, error) = explain(&[&arguments[..], &["--certificate-sha256", "ab"]].concat());
    assert!(code == 2 && error.contains("expected 64 hexadecimal digits"), "{error}");
}

#[test]
fn faults_of_usage_and_configuration_exit_with_2() {
    let bench = Bench::new("faults");
    let document =
        bench.document(&json!({"remote": {"uri": "https://login.example.com/jwks", "cluster": "c"}}));
    let faulty = bench.file("faulty.yaml", "rules: 7\n");
    let no_keys = bench.file("no_keys.json", r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#);
    let check = |arguments: &[&str], expected: &str| {
        let (code, _, error) = explain(arguments);
        assert_eq!(code, 2, "{arguments:?}");
        assert!(error.contains(expected), "{arguments:?}: {error}");
    };
    check(&[&document], "--path");
    check(&[&faulty, "--path", "/"], "faulty.yaml: rules: invalid type");
    check(&["nowhere.yaml", "--path", "/"], "nowhere.yaml: expected a file to read");
    check(&[&document, "--path", "/", "--now", "soon"], "expected RFC 3339");
    check(&[&document, "--path", "/", "--header", "secret"], "--header: expected NAME: VALUE");
    check(&[&document, "--path", "/", "--offline", &no_keys], "no usable key");
}
