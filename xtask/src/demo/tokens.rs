//! The first act: jwt-authn in a real Envoy between an issuer and an upstream, and what it does to requests.

use crate::table::Table;
use anyhow::{Context, Result};
use doorward_testbed::{
    Envoy, EnvoyConfig, Issuer, Listener, Request, Response, Seen, Upstream, WasmPlugin, folder, send,
    unix_now,
};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;

/// The headers that the demo's configuration makes from claims.
const IDENTITY_HEADERS: [&str; 3] = ["x-user-id", "x-user-groups", "x-tenant"];

/// The parts.
pub(super) struct Tokens {
    issuer: Issuer,
    upstream: Upstream,
    pub(super) envoy: Envoy,
}

/// One row: a request, and what should become of it.
struct Case {
    sent: &'static str,
    request: Request,
    expected: Outcome,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It reached the upstream with these identity headers, under any spelling.
    Forwarded(Vec<(String, String)>),
    /// It was answered at the edge with this status and denial code.
    Denied(u16, String),
}

impl Tokens {
    pub(super) async fn start() -> Result<Self> {
        let upstream = Upstream::start().await?;
        let issuer = Issuer::start().await?;
        let plugin = WasmPlugin::new(folder::dist().join("jwt-authn.wasm"), &configuration(&issuer));
        let config = EnvoyConfig::new(upstream.addr())
            .cluster("issuer", issuer.addr())
            .listener(Listener::new("demo").wasm(&plugin));
        let envoy = Envoy::start(&config).await?;
        Ok(Self { issuer, upstream, envoy })
    }

    /// Sends every request and prints what became of it. The number of those that are not as they should be.
    pub(super) async fn show(&self) -> Result<usize> {
        let mut table = Table::new(&["sent", "came back", "the upstream saw", ""]);
        let mut surprises = Vec::new();
        for case in self.cases()? {
            self.upstream.clear();
            let response = send(self.envoy.addr("demo")?, &case.request).await?;
            let outcome = outcome(&response, self.upstream.seen().first());
            let verdict = if outcome == case.expected {
                "as it should be"
            } else {
                surprises.push(format!("expected {:?}, but found {outcome:?}", case.expected));
                "UNEXPECTED"
            };
            let (back, saw) = outcome.shown(response.status);
            table.row([case.sent.to_owned(), back, saw, verdict.to_owned()]);
        }
        println!("\n{}", table.render());
        surprises.iter().for_each(|surprise| println!("{surprise}"));
        Ok(surprises.len())
    }

    fn cases(&self) -> Result<Vec<Case>> {
        let alice = [("x-user-id", "alice"), ("x-user-groups", "engineering,on-call"), ("x-tenant", "acme")];
        let alice =
            || Outcome::Forwarded(alice.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec());
        let denied = |code: &str| Outcome::Denied(401, code.to_owned());
        let valid = self.token(&json!({}))?;
        let request = |path| Request::get(path);
        Ok(vec![
            Case { sent: "no token", request: request("/orders"), expected: denied("token_missing") },
            Case { sent: "a valid token", request: request("/orders").bearer(&valid), expected: alice() },
            Case {
                sent: "an expired token",
                request: request("/orders").bearer(&self.token(&expired())?),
                expected: denied("token_expired"),
            },
            Case {
                sent: "a token for another audience",
                request: request("/orders").bearer(&self.token(&json!({ "aud": "another" }))?),
                expected: denied("audience_not_allowed"),
            },
            Case {
                sent: "a valid token and forged\nx-user-id, X_User_Id,\nX.User.Groups",
                request: request("/orders")
                    .bearer(&valid)
                    .header("x-user-id", "root")
                    .header("X_User_Id", "root")
                    .header("X.User.Groups", "admin"),
                expected: alice(),
            },
            Case {
                sent: "a valid token and a header\nthat is not UTF-8",
                request: request("/orders").bearer(&valid).header("x-note", b"\xff\xfe"),
                expected: alice(),
            },
            Case {
                sent: "/healthz, open to all, and\na forged x-user-id",
                request: request("/healthz").header("x-user-id", "root"),
                expected: Outcome::Forwarded(Vec::new()),
            },
        ])
    }

    /// A token for alice that is valid for an hour, changed by `changes`.
    fn token(&self, changes: &Value) -> Result<String> {
        let mut alice = json!({
            "exp": unix_now() + 3600,
            "groups": ["engineering", "on-call"],
            "https://example.com/tenant": "acme",
        });
        if let (Some(alice), Some(changes)) = (alice.as_object_mut(), changes.as_object()) {
            alice.extend(changes.clone());
        }
        self.issuer.mint(&alice)
    }

    /// Prints requests to try.
    pub(super) fn invite(&self) -> Result<()> {
        let files = folder::scratch("demo")?;
        let address = self.envoy.addr("demo")?;
        let mut text = "Try it, for an hour; -H @FILE takes the token from a file:\n".to_owned();
        let tokens =
            [("alice", json!({})), ("expired", expired()), ("audience", json!({ "aud": "another" }))];
        let mut lines = vec![format!("curl -i http://{address}/orders")];
        for (name, changes) in tokens {
            let file = files.join(name);
            fs::write(&file, format!("authorization: Bearer {}\n", self.token(&changes)?))
                .with_context(|| format!("expected to write {}", file.display()))?;
            let file = file.strip_prefix(folder::root()).unwrap_or(&file);
            lines.push(format!("curl -i -H @{} http://{address}/orders", file.display()));
        }
        lines.push(format!("curl -i -H 'X_User_Id: root' http://{address}/healthz"));
        lines.push(format!("curl -s http://{}/stats?filter=wasmcustom", self.envoy.admin()));
        for line in lines {
            writeln!(text, "  {line}")?;
        }
        println!("{text}");
        Ok(())
    }
}

/// Claims of a token that was valid for an hour, an hour ago.
fn expired() -> Value {
    let now = unix_now();
    json!({ "iat": now - 7200, "nbf": now - 7200, "exp": now - 3600 })
}

fn configuration(issuer: &Issuer) -> Value {
    json!({
        "providers": {
            "demo": {
                "issuer": issuer.url(),
                "audiences": ["api"],
                "jwks": { "remote": {
                    "uri": issuer.jwks_uri(),
                    // The issuer is on this machine's loopback, without TLS.
                    "danger_allow_http": true,
                    "cluster": "issuer",
                    "timeout": "5s",
                    "refresh": "5m",
                } },
            },
        },
        "rules": [
            { "match": { "path": { "exact": "/healthz" } }, "allow": "anonymous" },
            { "match": { "path": { "prefix": "/" } }, "require": { "provider": "demo" } },
        ],
        "identity_headers": [
            { "header": "x-user-id", "claim": ["sub"] },
            { "header": "x-user-groups", "claim": ["groups"], "list": "comma" },
            { "header": "x-tenant", "claim": ["https://example.com/tenant"] },
        ],
    })
}

fn outcome(response: &Response, seen: Option<&Seen>) -> Outcome {
    match seen {
        Some(seen) => Outcome::Forwarded(identity(seen)),
        None => Outcome::Denied(response.status, denial_code(response)),
    }
}

/// The identity headers that reached the upstream, in the order of [`IDENTITY_HEADERS`], aliases included.
fn identity(seen: &Seen) -> Vec<(String, String)> {
    let alias_of = |name: &str, header: &str| name.to_ascii_lowercase().replace(['_', '.'], "-") == header;
    IDENTITY_HEADERS
        .iter()
        .flat_map(|header| seen.headers.iter().filter(|(name, _)| alias_of(name, header)))
        .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()))
        .collect()
}

/// The denial code in a problem document (RFC 9457), or the body if it is none.
fn denial_code(response: &Response) -> String {
    let problem = response.json().unwrap_or_default();
    problem.get("code").and_then(Value::as_str).map_or_else(|| response.text(), str::to_owned)
}

impl Outcome {
    /// The cells "came back" and "the upstream saw".
    fn shown(&self, status: u16) -> (String, String) {
        match self {
            Self::Denied(status, code) => (format!("{status} {code}"), "nothing".to_owned()),
            Self::Forwarded(headers) if headers.is_empty() => {
                (status.to_string(), "no identity header".to_owned())
            }
            Self::Forwarded(headers) => {
                let lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                (status.to_string(), lines.join("\n"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_aliases_are_noticed() {
        let headers =
            [("x-tenant", "acme"), ("x_user.id", "root"), ("accept", "*/*"), ("x-user-id", "alice")];
        let seen = Seen {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).to_vec(),
            body: Vec::new(),
        };
        let found: Vec<_> = identity(&seen).into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, ["x_user.id", "x-user-id", "x-tenant"]);
    }

    #[test]
    fn denial_code_comes_from_the_problem_document() {
        let response = |body: &str| Response { status: 401, headers: Vec::new(), body: body.into() };
        assert_eq!(
            denial_code(&response(r#"{"type":"about:blank","code":"token_expired"}"#)),
            "token_expired"
        );
        assert_eq!(denial_code(&response("Jwt is missing")), "Jwt is missing");
    }
}
