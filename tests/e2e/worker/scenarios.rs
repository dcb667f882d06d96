//! `tests/scenarios`: the same requests to the filter in Envoy and to the worker in every runtime, with the same outcome.

use crate::support::{Edge, folded, node, output};
use anyhow::{Context, Result, ensure};
use doorward_testbed::{
    Platform, Request, Response, Upstream, WorkerRuntime, folder, run, send, worker_section,
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;

/// Fields that whoever forwards writes by itself, and that say nothing of the request.
const OF_THE_HOP: [&str; 9] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "x-forwarded-proto",
    "x-request-id",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-internal",
    "x-forwarded-for",
];
/// The fields of an answer that must be the same.
const OF_THE_ANSWER: [&str; 7] =
    ["content-type", "cache-control", "www-authenticate", "location", "etag", "set-cookie", "dpop-nonce"];

/// One document with its requests.
struct Scenario {
    name: String,
    document: Value,
    tokens: BTreeMap<String, String>,
    cases: Vec<Value>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    status: u16,
    answer: BTreeMap<String, Vec<String>>,
    /// Of a denial. What the upstream says is in `seen`.
    problem: Option<Value>,
    seen: Option<Forwarded>,
}

/// What reached the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Forwarded {
    method: String,
    path: String,
    fields: BTreeMap<String, Vec<String>>,
    body: String,
}

impl Scenario {
    fn all() -> Result<Vec<Self>> {
        let file = folder::root().join("tests/scenarios/identity.yaml");
        let text = fs::read_to_string(&file)?;
        let all: Vec<Value> = serde_saphyr::from_str(&text).context("expected YAML")?;
        all.into_iter().map(Self::new).collect()
    }

    fn new(mut description: Value) -> Result<Self> {
        let name = description["name"].as_str().context("expected a name")?.to_owned();
        let file = folder::scratch("scenario")?.join("tokens.json");
        fs::write(&file, description.to_string())?;
        let made = output(node("scenario_tokens.mjs").arg(&file))?;
        let mut document = description["document"].take();
        put_keys(&mut document, &made["keys"])?;
        let tokens = made["tokens"].as_object().context("expected tokens")?;
        let tokens =
            tokens.iter().map(|(name, token)| (name.clone(), token.as_str().unwrap().to_owned())).collect();
        let cases = description["cases"].as_array().context("expected cases")?.clone();
        Ok(Self { name, document, tokens, cases })
    }

    /// A text with every `$NAME` replaced, longest names first.
    fn filled(&self, text: &str) -> String {
        let mut names: Vec<_> = self.tokens.iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        names.iter().fold(text.to_owned(), |text, (name, token)| text.replace(&format!("${name}"), token))
    }

    fn request(&self, case: &Value) -> Request {
        let path = self.filled(case["path"].as_str().unwrap());
        let mut request = Request::new(case["method"].as_str().unwrap_or("GET"), path);
        if let Some(token) = case["token"].as_str() {
            let token = self.tokens.get(token).unwrap_or_else(|| panic!("expected a token {token}"));
            request = request.bearer(token);
        }
        for pair in case["headers"].as_array().into_iter().flatten() {
            let value = self.filled(pair[1].as_str().unwrap());
            request = request.header(pair[0].as_str().unwrap(), bytes(&value));
        }
        let times = usize::try_from(case["repeat"].as_u64().unwrap_or(1)).unwrap();
        request.body(bytes(case["body"].as_str().unwrap_or_default()).repeat(times))
    }
}

/// Puts key sets in the place of `{ "$keys": [NAME] }`.
fn put_keys(value: &mut Value, keys: &Value) -> Result<()> {
    if let Some(names) = value.get("$keys").and_then(Value::as_array) {
        let found = names.iter().map(|name| keys.get(name.as_str()?).cloned()).collect::<Option<Vec<_>>>();
        *value = json!({ "keys": found.context("expected keys that tokens are signed with")? });
        return Ok(());
    }
    match value {
        Value::Object(members) => members.values_mut().try_for_each(|value| put_keys(value, keys)),
        Value::Array(items) => items.iter_mut().try_for_each(|value| put_keys(value, keys)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// Each character stands for a byte.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

async fn outcome(addr: SocketAddr, upstream: &Upstream, request: &Request) -> Result<Outcome> {
    upstream.clear();
    let response = send(addr, request).await?;
    let seen = upstream.seen();
    ensure!(seen.len() <= 1, "expected one request, but the upstream saw {seen:?}");
    let seen = seen.into_iter().next().map(|seen| {
        let mut fields = BTreeMap::<_, Vec<_>>::new();
        for (name, value) in &seen.headers {
            if !OF_THE_HOP.contains(&name.as_str()) {
                fields.entry(name.clone()).or_default().push(text(value));
            }
        }
        Forwarded { method: seen.method, path: seen.path, fields, body: text(&seen.body) }
    });
    let answer = OF_THE_ANSWER.iter().map(|name| ((*name).to_owned(), values(&response, name)));
    let answer = answer.filter(|(_, values)| !values.is_empty()).collect();
    let problem = if seen.is_none() { response.json().ok() } else { None };
    Ok(Outcome { status: response.status, answer, problem, seen })
}

fn values(response: &Response, name: &str) -> Vec<String> {
    response.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| text(value)).collect()
}

/// Fails unless an outcome is as the file says.
fn hold(scenario: &Scenario, expect: &Value, outcome: &Outcome) -> Result<()> {
    let expect = expect.as_object().context("expected `expect`")?;
    let known = ["status", "code", "challenge", "path", "body", "sees", "answer"];
    ensure!(expect.keys().all(|key| known.contains(&key.as_str())), "expected {known:?} in {expect:?}");
    let status = expect.get("status").and_then(Value::as_u64).unwrap_or(200);
    ensure!(u64::from(outcome.status) == status, "expected {status}");
    let challenge = outcome.answer.get("www-authenticate");
    if let Some(expected) = expect.get("challenge") {
        ensure!(challenge.map(|found| json!(found)) == Some(json!([expected])), "expected {expected}");
    }
    if let Some(expected) = expect.get("code") {
        let problem = outcome.problem.as_ref().context("expected a problem document")?;
        ensure!(problem["code"] == *expected, "expected {expected}");
        ensure!(outcome.seen.is_none(), "expected no request at the upstream");
    }
    for (name, expected) in members(expect, "answer") {
        ensure!(
            outcome.answer.get(name).map(|found| json!(found)).as_ref() == Some(expected),
            "expected {name}: {expected}"
        );
    }
    let Some(seen) = &outcome.seen else {
        ensure!(status >= 400, "expected a request at the upstream");
        return ensure_denied(expect);
    };
    for (name, expected) in [("path", &seen.path), ("body", &seen.body)] {
        if let Some(value) = expect.get(name).and_then(Value::as_str) {
            ensure!(*expected == scenario.filled(value), "expected {name} {value:?}");
        }
    }
    for (name, expected) in members(expect, "sees") {
        let found: Vec<_> = seen.fields.iter().filter(|(found, _)| folded(found) == *name).collect();
        match expected.as_array() {
            None => ensure!(found.is_empty(), "expected no {name}"),
            Some(expected) => {
                let expected: Vec<_> =
                    expected.iter().map(|v| scenario.filled(v.as_str().unwrap())).collect();
                ensure!(found == [(name, &expected)], "expected {name}: {expected:?}");
            }
        }
    }
    Ok(())
}

fn ensure_denied(expect: &Map<String, Value>) -> Result<()> {
    let nothing_seen = ["path", "body", "sees"].iter().all(|name| !expect.contains_key(*name));
    ensure!(nothing_seen, "expected a request at the upstream");
    Ok(())
}

fn members<'e>(expect: &'e Map<String, Value>, name: &str) -> impl Iterator<Item = (&'e String, &'e Value)> {
    expect.get(name).and_then(Value::as_object).into_iter().flatten()
}

/// What a case says of a platform that cannot do the same.
fn difference(case: &Value, platform: Platform) -> Option<&Value> {
    let differences = case["differs"].as_array()?;
    differences.iter().find(|one| one["on"].as_array().unwrap().contains(&json!(platform.name())))
}

#[test]
fn envoy_and_every_runtime_do_the_same() {
    run(async {
        let mut faults = Vec::new();
        for scenario in Scenario::all()? {
            let edge = Edge::start(&scenario.document).await?;
            let mut document = scenario.document.clone();
            document["worker"] = worker_section(edge.upstream.addr());
            let mut workers = Vec::new();
            for platform in Platform::ALL {
                workers.push((platform, WorkerRuntime::start(platform, &document).await?));
            }
            let mut names = BTreeSet::new();
            for case in &scenario.cases {
                let name = case["name"].as_str().context("expected a name")?;
                ensure!(names.insert(name), "expected one case {name:?}");
                let request = scenario.request(case);
                let place = |host: &str| format!("{}: {name} on {host}", scenario.name);
                let model =
                    outcome(edge.addr(), &edge.upstream, &request).await.with_context(|| place("Envoy"))?;
                if let Err(fault) = hold(&scenario, &case["expect"], &model) {
                    faults.push(format!("{}: {fault}\n{model:#?}", place("Envoy")));
                }
                for (platform, worker) in &workers {
                    let place = place(platform.name());
                    let found = outcome(worker.addr(), &edge.upstream, &request)
                        .await
                        .with_context(|| format!("{place}\n{}", worker.log()))?;
                    let expect = difference(case, *platform).map_or(&case["expect"], |one| &one["expect"]);
                    let fault = hold(&scenario, expect, &found).err().map(|fault| fault.to_string());
                    let fault = fault.or_else(|| match (found == model, difference(case, *platform)) {
                        (false, None) => Some(format!("expected the same as from Envoy, {model:#?}")),
                        (true, Some(_)) => Some("expected it to differ".to_owned()),
                        _ => None,
                    });
                    faults.extend(fault.map(|fault| format!("{place}: {fault}\nfound {found:#?}")));
                }
            }
            edge.expect_healthy(1).await?;
        }
        ensure!(faults.is_empty(), "{}\n{} faults", faults.join("\n\n"), faults.len());
        Ok(())
    })
    .unwrap();
}
