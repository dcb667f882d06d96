//! The dashboards and the alert rules of `observability/`, against what a real Envoy and a real store show to Prometheus.

use crate::support::{LISTENER, eventually, filter, output, python, with};
use anyhow::{Context, Result, ensure};
use doorward::authn::rejection::Denial;
use doorward::gateway::{Operation, Outcome, Reason};
use doorward_testbed::{
    Answer, Database, Envoy, EnvoyConfig, GatewaySetup, Issuer, Listener, Request, ScimGateway, ScimStore,
    Upstream, WasmPlugin, folder, run, send,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Labels that Prometheus adds to all that it scrapes.
const ADDED_BY_PROMETHEUS: [&str; 2] = ["instance", "job"];

/// What it makes itself of each thing that it scrapes.
const MADE_BY_PROMETHEUS: &str = "up";

const REASONS: [Reason; 16] = [
    Reason::PathNotAccepted,
    Reason::NoTenant,
    Reason::CredentialsMissing,
    Reason::CredentialsMalformed,
    Reason::TokenUnknown,
    Reason::TokenExpired,
    Reason::CertificateUnknown,
    Reason::RateLimited,
    Reason::HeaderRepeated,
    Reason::ContentEncoding,
    Reason::BodyTooLarge,
    Reason::NotAccepted,
    Reason::StoreUnavailable,
    Reason::StoreDisagrees,
    Reason::StoreFailed,
    Reason::InternalError,
];
const OUTCOMES: [Outcome; 5] =
    [Outcome::Done, Outcome::Refused, Outcome::Rejected, Outcome::Failed, Outcome::Abandoned];

const OPERATIONS: [Operation; 9] = [
    Operation::Read,
    Operation::Search,
    Operation::Create,
    Operation::Replace,
    Operation::Patch,
    Operation::Delete,
    Operation::Bulk,
    Operation::Discover,
    Operation::Other,
];

/// Files that belong together.
struct Subject {
    dashboard: &'static str,
    rules: &'static str,
    cases: &'static str,
    /// Where README.md speaks of the panels.
    panels: &'static str,
}

const JWT_AUTHN: Subject = Subject {
    dashboard: "grafana-dashboard.json",
    rules: "prometheus-rules.yaml",
    cases: "prometheus-rules.test.yaml",
    panels: "## Panels",
};
const SCIM: Subject = Subject {
    dashboard: "scim-dashboard.json",
    rules: "scim-rules.yaml",
    cases: "scim-rules.test.yaml",
    panels: "## Panels of SCIM",
};
const SUBJECTS: [Subject; 2] = [JWT_AUTHN, SCIM];

impl Subject {
    fn dashboard(&self) -> Value {
        serde_json::from_str(&read(self.dashboard)).unwrap()
    }

    /// The part of README.md that speaks of its panels.
    fn panels(&self) -> String {
        let readme = read("README.md");
        let part = readme.split_once(&format!("\n{}\n", self.panels)).map(|(_, part)| part);
        let part = part.unwrap_or_else(|| panic!("expected {:?} in README.md", self.panels));
        part.split("\n## ").next().unwrap_or_default().to_owned()
    }
}

const RUNBOOK: &str = "https://github.com/doorward/doorward/blob/main/observability/README.md#";

fn path(name: &str) -> PathBuf {
    folder::root().join("observability").join(name)
}

fn read(name: &str) -> String {
    let path = path(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("expected {}: {e}", path.display()))
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&read(name)).unwrap()
}

fn items<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("expected {name} in {value:#}"))
}

/// Rows and panels, those inside of closed rows too.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let top = items(dashboard, "/panels");
    top.iter().flat_map(|panel| [panel].into_iter().chain(items(panel, "/panels"))).collect()
}

fn rules(file: &Value) -> Vec<&Value> {
    items(file, "/groups").iter().flat_map(|group| items(group, "/rules")).collect()
}

/// Something that is written in PromQL.
struct Expression {
    place: String,
    text: String,
    /// Labels that the result must have.
    wanted: Vec<String>,
}

fn expressions_of_dashboard(dashboard: &Value) -> Vec<Expression> {
    let mut found = Vec::new();
    for panel in panels(dashboard) {
        for target in items(panel, "/targets") {
            found.push(Expression {
                place: format!("panel {:?}", text(panel, "title")),
                text: text(target, "expr").replace("$__rate_interval", "5m"),
                wanted: between(text(target, "legendFormat"), "{{", "}}"),
            });
        }
    }
    for variable in items(dashboard, "/templating/list") {
        let Some(query) = variable.pointer("/query/query").and_then(Value::as_str) else { continue };
        let (metric, label) = between(query, "label_values(", ")")
            .first()
            .and_then(|inside| inside.rsplit_once(", "))
            .map(|(metric, label)| (metric.to_owned(), label.to_owned()))
            .unwrap_or_else(|| panic!("expected label_values(METRIC, LABEL), but found {query}"));
        let place = format!("variable {}", text(variable, "name"));
        found.push(Expression { place, text: metric, wanted: vec![label] });
    }
    found
}

fn expressions_of_rules(file: &Value) -> Vec<Expression> {
    let expression = |rule: &&Value| {
        let annotations = rule["annotations"].to_string();
        let wanted = between(&annotations, "{{ $labels.", " }}");
        Expression {
            place: format!("alert {}", text(rule, "alert")),
            text: text(rule, "expr").to_owned(),
            wanted,
        }
    };
    rules(file).iter().map(expression).collect()
}

/// What stands between each `opening` and the `closing` after it.
fn between(text: &str, opening: &str, closing: &str) -> Vec<String> {
    text.split(opening)
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(closing)?.0.trim().to_owned()))
        .collect()
}

/// What a scrape has: metrics with their labels and what these are, and families.
#[derive(Default)]
struct Scrape {
    labels: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    families: BTreeSet<String>,
}

impl Scrape {
    /// From Prometheus' text format.
    fn parse(text: &str) -> Self {
        let mut scrape = Self::default();
        for line in text.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                scrape.families.insert(family.split(' ').next().unwrap().to_owned());
            } else if let Some((name, rest)) = line.split_once(['{', ' ']).filter(|(name, _)| *name != "#") {
                let labels = scrape.labels.entry(name.to_owned()).or_default();
                // NAME="VALUE",NAME="VALUE"} NUMBER, or a NUMBER alone
                let parts: Vec<_> = rest.split('"').collect();
                for pair in parts.chunks_exact(2) {
                    let name = pair[0].trim_matches([',', '=']).to_owned();
                    labels.entry(name).or_default().insert(pair[1].to_owned());
                }
            }
        }
        scrape
    }

    fn has(&self, metric: &str, label: &str) -> bool {
        ADDED_BY_PROMETHEUS.contains(&label)
            || self.labels.get(metric).is_some_and(|labels| labels.contains_key(label))
    }

    /// Whether the label may be this: by its kind, where it is known what there is, otherwise if it was seen.
    fn may_be(&self, metric: &str, label: &str, value: &str) -> bool {
        let is_denial = || Denial::ALL.iter().any(|denial| denial.code() == value);
        match label {
            _ if ADDED_BY_PROMETHEUS.contains(&label) => true,
            "doorward_code" if metric.starts_with("doorward_scim_gateway_") => {
                is_denial() || REASONS.iter().any(|reason| reason.code() == value)
            }
            "doorward_code" => is_denial(),
            "doorward_outcome" => OUTCOMES.iter().any(|outcome| outcome.as_str() == value),
            "doorward_operation" => OPERATIONS.iter().any(|operation| operation.as_str() == value),
            "status" => value.parse::<u16>().is_ok_and(|status| (100..600).contains(&status)),
            _ => self.labels[metric][label].contains(value),
        }
    }
}

/// What an expression speaks of that is not there; `described` is from `python/promql.py`.
fn faults(
    expression: &Expression,
    described: &Value,
    variables: &BTreeSet<&str>,
    scrape: &Scrape,
) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(error) = described["error"].as_str() {
        faults.push(error.to_owned());
    }
    let selectors = items(described, "/selectors");
    for selector in selectors {
        let metric = text(selector, "name");
        if metric != MADE_BY_PROMETHEUS && !scrape.labels.contains_key(metric) {
            faults.push(format!("no metric {metric}"));
        }
        for matcher in items(selector, "/matchers") {
            let [label, operator, value] = [0, 1, 2].map(|part| matcher[part].as_str().unwrap());
            if !scrape.has(metric, label) {
                faults.push(format!("{metric} has no label {label}"));
            } else if let Some(variable) = value.strip_prefix('$') {
                if !variables.contains(variable) || operator != "=~" {
                    faults.push(format!("{label}{operator}{value}: expected =~ and a variable"));
                }
            } else {
                let unknown = value.split('|').filter(|value| !scrape.may_be(metric, label, value));
                faults.extend(unknown.map(|value| format!("{label} is never {value}")));
            }
        }
    }
    let grouping: Vec<_> = items(described, "/grouping").iter().filter_map(Value::as_str).collect();
    let known = |label: &str| selectors.iter().any(|selector| scrape.has(text(selector, "name"), label));
    faults.extend(grouping.iter().filter(|label| !known(label)).map(|label| format!("no label {label}")));
    // An aggregate keeps no label but those that it is grouped by.
    let kept = |label: &str| known(label) && (grouping.is_empty() || grouping.contains(&label));
    let lost = expression.wanted.iter().filter(|label| !kept(label));
    faults.extend(lost.map(|label| format!("the result has no label {label}")));
    faults.into_iter().map(|fault| format!("{}: {fault}\n  {}", expression.place, expression.text)).collect()
}

fn describe(expressions: &[Expression]) -> Result<Vec<Value>> {
    let texts: Vec<_> = expressions.iter().map(|expression| &expression.text).collect();
    let file = folder::scratch("promql")?.join("expressions.json");
    fs::write(&file, json!(texts).to_string())?;
    let described = output(python("promql.py").arg(&file))?;
    let described = described.as_array().context("expected a list")?.clone();
    ensure!(described.len() == expressions.len(), "expected one answer each");
    Ok(described)
}

/// `stats_config` of a file of `envoy/`.
fn stats_config(name: &str) -> Result<Value> {
    let file = fs::read_to_string(folder::root().join("envoy").join(name))?;
    let file: Value = serde_saphyr::from_str(&file)?;
    file.get("stats_config").cloned().with_context(|| format!("expected stats_config in {name}"))
}

/// A provider whose keys are fetched from the issuer, and one that asks it about tokens. It answers with keys, which say nothing of a token.
fn providers(issuer: &Issuer) -> Value {
    let remote =
        json!({ "uri": issuer.jwks_uri(), "cluster": "issuer", "refresh": "1s", "danger_allow_http": true });
    let introspection = json!({
        "uri": issuer.jwks_uri(), "cluster": "issuer", "danger_allow_http": true,
        "client_id": "edge", "client_secret": "secret",
    });
    json!({
        "corp": { "issuer": issuer.url(), "audiences": ["api"], "jwks": { "remote": remote } },
        "opaque": { "issuer": "https://opaque.example.com", "audiences": ["api"], "introspection": introspection },
    })
}

/// Once there is a count of this name, below `wasmcustom.doorward`.
async fn counted(envoy: &Envoy, name: &str) -> Result<()> {
    eventually(&format!("{name} is counted"), async || {
        Ok(envoy.stats().await?.contains_key(&format!("wasmcustom.doorward.{name}")))
    })
    .await
}

/// What Prometheus gets at `path`.
async fn scraped(addr: SocketAddr, path: &str) -> Result<String> {
    let response = send(addr, &Request::get(path)).await?;
    ensure!(response.status == 200, "expected 200, but found {}", response.status);
    Ok(response.text())
}

/// What Envoy shows once it shows this histogram, which it does a few seconds after its first value.
async fn scraped_with(envoy: &Envoy, histogram: &str) -> Result<String> {
    let mut text = String::new();
    eventually("the histogram is there", async || {
        text = scraped(envoy.admin(), "/stats/prometheus").await?;
        Ok(text.contains(&format!("{histogram}_bucket")))
    })
    .await?;
    Ok(text)
}

/// A scrape of an Envoy with jwt-authn after all has happened that is counted.
async fn scrape_jwt_authn(stats_config: Value) -> Result<Scrape> {
    let issuer = Issuer::start().await?;
    issuer.answer(Answer::Status(503));
    let upstream = Upstream::start().await?;
    let document = json!({
        "providers": providers(&issuer),
        "rules": [
            { "match": { "path": { "prefix": "/opaque" } }, "require": { "provider": "opaque" } },
            { "match": { "path": { "prefix": "/new" } }, "require": { "provider": "corp" }, "enforce": "report" },
            { "match": {}, "require": { "provider": "corp" } },
        ],
        "limits": { "cached_tokens": 1 },
    });
    let listener = Listener::new(LISTENER).wasm(&WasmPlugin::new(filter(), &document));
    let config = EnvoyConfig::new(upstream.addr()).cluster("issuer", issuer.addr()).listener(listener);
    let bootstrap = config.bootstrap(Path::new("/dev/null"));
    let bootstrap = with(bootstrap, json!({ "stats_config": stats_config }));
    let envoy = Envoy::start_bootstrap(&bootstrap, 1).await?;
    counted(&envoy, "jwt_authn.keys.corp.failed").await?;
    issuer.answer(Answer::Keys);
    counted(&envoy, "jwt_authn.keys.corp.age_seconds").await?;

    let valid = issuer.mint(&json!({}))?;
    let another = issuer.mint(&json!({ "sub": "bob" }))?;
    let other = issuer.mint(&json!({ "aud": "another" }))?;
    let requests = [
        (Request::get("/").bearer(&valid), 200),
        (Request::get("/").bearer(&valid), 200),
        (Request::get("/").bearer(&another), 200),
        (Request::get("/"), 401),
        (Request::get("/").bearer(&other), 401),
        (Request::get("/opaque").bearer("opaque"), 503),
        (Request::get("/new").bearer(&other), 200),
    ];
    for (request, status) in requests {
        let response = send(envoy.addr(LISTENER)?, &request).await?;
        ensure!(response.status == status, "expected {status}, but found {}", response.status);
    }
    counted(&envoy, "jwt_authn.reported.corp.audience_not_allowed").await?;
    Ok(Scrape::parse(&scraped_with(&envoy, "doorward_jwt_authn_verification_microseconds").await?))
}

/// A scrape of an Envoy with scim-gateway, and of the store behind it, after all has happened that is counted.
async fn scrape_scim(stats_config: Value) -> Result<Scrape> {
    const TENANTS: [(&str, &str); 3] = [("acme", "entra"), ("globex", "rfc"), ("initech", "rfc")];
    const EXPIRED: &str = "expired-0123456789abcdef";
    let issuer = Issuer::start().await?;
    issuer.answer(Answer::Status(503));
    let store = ScimStore::start(Database::Sqlite, &TENANTS, json!({})).await?;
    let mut setup = GatewaySetup::new(&TENANTS);
    let token = |token: &str| json!({ "name": "token", "sha256": ScimGateway::sha256(token) });
    let expired = with(token(EXPIRED), json!({ "name": "old", "expires": "2020-01-01T00:00:00Z" }));
    setup.tenants["acme"]["tokens"] = json!([token(&ScimGateway::token("acme")), expired]);
    setup.tenants["globex"]["jwt"] = json!({ "provider": "corp" });
    setup.tenants["initech"]["jwt"] = json!({ "provider": "opaque" });
    setup.document.insert("providers".to_owned(), providers(&issuer));
    setup.document.insert("limits".to_owned(), json!({ "cached_tokens": 1 }));
    setup.clusters.push(("issuer".to_owned(), issuer.addr()));
    setup.stats_config = Some(stats_config);
    let gateway = ScimGateway::start(store.addr(), &setup).await?;
    counted(&gateway.envoy, "scim_gateway.keys.corp.failed").await?;
    issuer.answer(Answer::Keys);
    counted(&gateway.envoy, "scim_gateway.keys.corp.age_seconds").await?;

    let call = |method: &str, tenant: &str, path: &str, token: &str| {
        Request::new(method, format!("{}{path}", ScimGateway::path(tenant)))
            .header("host", gateway.addr().to_string())
            .bearer(token)
    };
    let acme = ScimGateway::token("acme");
    let user = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "alice" });
    let create = json!({ "method": "POST", "path": "/Users", "bulkId": "b", "data": user });
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [create],
    });
    let valid = issuer.mint(&json!({}))?;
    let another = issuer.mint(&json!({ "sub": "bob" }))?;
    let calls = [
        (
            call("POST", "acme", "/Bulk", &acme)
                .header("content-type", "application/scim+json")
                .body(bulk.to_string()),
            200,
        ),
        (call("GET", "acme", "/ServiceProviderConfig", &acme), 200),
        (call("GET", "acme", "/Users/none", &acme), 404),
        (call("GET", "acme", "/Users", EXPIRED), 401),
        (call("GET", "nobody", "/Users", &acme), 404),
        (call("GET", "globex", "/Users", &valid), 200),
        (call("GET", "globex", "/Users", &valid), 200),
        (call("GET", "globex", "/Users", &another), 200),
        (call("GET", "initech", "/Users", "opaque"), 503),
    ];
    for (request, status) in calls {
        let response = send(gateway.addr(), &request).await?;
        ensure!(response.status == status, "expected {status}, but found {response:?}");
    }
    // Past the gateway: who may, and a credential that is none.
    let changes = Request::get("/scim/v2/changes");
    for (token, status) in [(store.token("acme")?, 200), ("a.b.c".to_owned(), 401)] {
        let response = send(store.addr(), &changes.clone().bearer(&token)).await?;
        ensure!(response.status == status, "expected {status}, but found {response:?}");
    }
    counted(&gateway.envoy, "scim_gateway.refused.initech.introspection_unavailable").await?;
    let envoy = scraped_with(&gateway.envoy, "doorward_scim_gateway_verification_microseconds").await?;
    Ok(Scrape::parse(&(envoy + &scraped(store.admin(), "/metrics").await?)))
}

/// That dashboard and alerts speak of what is in the scrape, and the dashboard of all of it.
fn expect_agreement(subject: &Subject, scrape: &Scrape) -> Result<()> {
    let dashboard = subject.dashboard();
    let variables = items(&dashboard, "/templating/list").iter();
    let variables: BTreeSet<_> = variables.map(|variable| text(variable, "name")).collect();
    let on_dashboard = expressions_of_dashboard(&dashboard);
    let in_rules = expressions_of_rules(&yaml(subject.rules));
    ensure!(on_dashboard.len() > 20 && in_rules.len() > 5, "expected panels and alerts");
    let described = [describe(&on_dashboard)?, describe(&in_rules)?];
    let all = on_dashboard.iter().chain(&in_rules).zip(described.iter().flatten());
    let faults: Vec<_> =
        all.flat_map(|(expression, found)| faults(expression, found, &variables, scrape)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));

    let shown = described[0].iter().flat_map(|found| items(found, "/selectors"));
    let shown: BTreeSet<_> = shown.map(|selector| text(selector, "name")).collect();
    let ours = scrape.families.iter().filter(|family| family.starts_with("doorward_"));
    let ours: Vec<_> = ours.collect();
    ensure!(ours.len() >= 6, "expected our metrics, but found {ours:?}");
    let is_shown = |family: &str| {
        ["", "_bucket", "_count", "_sum"].iter().any(|end| shown.contains(&*format!("{family}{end}")))
    };
    let missing: Vec<_> = ours.into_iter().filter(|family| !is_shown(family)).collect();
    assert!(missing.is_empty(), "no panel shows {missing:?}");
    Ok(())
}

#[test]
fn dashboard_and_alerts_of_jwt_authn_speak_of_what_envoy_shows_and_the_dashboard_of_all_of_it() {
    run(async {
        for file in ["jwt-authn.yaml", "doorward.yaml"] {
            let scrape = scrape_jwt_authn(stats_config(file)?).await?;
            expect_agreement(&JWT_AUTHN, &scrape).with_context(|| file.to_owned())?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn dashboard_and_alerts_of_scim_speak_of_what_envoy_and_the_store_show_and_the_dashboard_of_all_of_it() {
    run(async {
        for file in ["scim-gateway.yaml", "doorward.yaml"] {
            let scrape = scrape_scim(stats_config(file)?).await?;
            expect_agreement(&SCIM, &scrape).with_context(|| file.to_owned())?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_is_not_there_is_found() {
    let scrape = Scrape::parse(
        "# TYPE a counter\na{x=\"1\",y=\"p,q\"} 1\n# TYPE doorward_d counter\ndoorward_d{doorward_code=\"c\"} 2\nb{} 3\n\
         # HELP e Of all.\ne 4\ndoorward_store_f{route=\"/a/{id}\",status=\"200\"} 5\n\
         doorward_scim_gateway_g{doorward_code=\"c\",doorward_outcome=\"done\"} 6\n",
    );
    let cases: [(&str, &[&str], &[&str]); 17] = [
        ("sum by (x) (rate(a{y=~\"$v\"}[5m]))", &["x"], &[]),
        ("b{job=\"j\"} / on (instance) b", &["instance"], &[]),
        ("e == 0 and on (job, instance) up{job=\"j\"}", &["job"], &[]),
        ("a{y=\"p,q\"} / a{y!=\"p\"}", &[], &["y is never p"]),
        ("doorward_store_f{status=~\"500|5000\"}", &[], &["status is never 5000"]),
        ("sum by (x) (e)", &["x"], &["no label x", "the result has no label x"]),
        ("sum(", &[], &["unclosed left parenthesis"]),
        ("c", &[], &["no metric c"]),
        ("a offset 5m unless rate(c[1m])", &[], &["no metric c"]),
        ("a{z=\"1\"}", &[], &["a has no label z"]),
        ("b{x=\"1\"}", &[], &["b has no label x"]),
        ("sum by (z) (a)", &[], &["no label z"]),
        ("a * on (x) group_left (z) a", &[], &["no label z"]),
        ("sum by (x) (a)", &["y"], &["the result has no label y"]),
        ("a{x=~\"$w\"} + a{x=\"$v\"}", &[], &["x=~$w: expected =~", "x=$v: expected =~"]),
        (
            "doorward_d{doorward_code=~\"token_expired|token_old\"}",
            &[],
            &["doorward_code is never token_old"],
        ),
        (
            "doorward_scim_gateway_g{doorward_code=\"store_failed\",doorward_outcome!=\"lost\"}",
            &[],
            &["doorward_outcome is never lost"],
        ),
    ];
    let expressions = cases.map(|(text, wanted, _)| Expression {
        place: text.to_owned(),
        text: text.to_owned(),
        wanted: wanted.iter().map(|label| (*label).to_owned()).collect(),
    });
    let described = describe(&expressions).unwrap();
    for ((expression, described), (_, _, expected)) in expressions.iter().zip(&described).zip(cases) {
        let found = faults(expression, described, &BTreeSet::from(["v"]), &scrape);
        let fits = found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f.contains(e));
        assert!(fits, "{}: {found:#?}", expression.text);
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() {
    for subject in &SUBJECTS {
        expect_said(subject);
    }
}

fn expect_said(subject: &Subject) {
    let (file, readme, cases) = (yaml(subject.rules), read("README.md"), yaml(subject.cases));
    assert_eq!(cases["rule_files"], json!([subject.rules]));
    let cases: Vec<_> =
        items(&cases, "/tests").iter().flat_map(|case| items(case, "/alert_rule_test")).collect();
    assert_eq!(names(&file), ["groups"]);
    let mut alerts = BTreeSet::new();
    for group in items(&file, "/groups") {
        assert_eq!(names(group), ["name", "rules"]);
    }
    for rule in rules(&file) {
        let alert = text(rule, "alert");
        assert_eq!(names(rule), ["alert", "annotations", "expr", "for", "labels"], "{alert}");
        assert!(alerts.insert(alert), "{alert} is there twice");
        let minutes = text(rule, "for").strip_suffix('m').and_then(|number| number.parse::<u32>().ok());
        assert!(minutes.is_some_and(|minutes| minutes > 0), "{alert}: {}", rule["for"]);
        assert_eq!(names(&rule["labels"]), ["severity"], "{alert}");
        assert!(["critical", "warning"].contains(&text(&rule["labels"], "severity")), "{alert}");
        let annotations = &rule["annotations"];
        assert_eq!(names(annotations), ["description", "runbook_url", "summary"], "{alert}");
        assert_eq!(text(annotations, "runbook_url"), format!("{RUNBOOK}{}", alert.to_lowercase()));
        assert!(readme.contains(&format!("\n### {alert}\n")), "README.md does not speak of {alert}");
        let fires = |fires: bool| {
            let of_this = cases.iter().filter(|case| case["alertname"] == alert);
            of_this.filter(|case| items(case, "/exp_alerts").is_empty() != fires).count() > 0
        };
        assert!(
            fires(true) && fires(false),
            "expected {alert} to fire and not to fire in the test of the rules"
        );
    }
}

#[test]
fn every_denial_by_5xx_of_jwt_authn_is_in_an_alert_and_in_the_panels_for_it() {
    let codes: BTreeSet<_> =
        Denial::ALL.iter().filter(|denial| denial.status() >= 500).map(|denial| denial.code()).collect();
    assert!(codes.len() >= 4, "{codes:?}");
    let dashboard = JWT_AUTHN.dashboard();
    let (readme, mut seen) = (JWT_AUTHN.panels(), 0);
    for panel in
        panels(&dashboard).into_iter().filter(|panel| text(panel, "title").contains("the client's fault"))
    {
        seen += 1;
        for target in items(panel, "/targets") {
            let list = between(text(target, "expr"), "doorward_code=~\"", "\"");
            let found: BTreeSet<_> = list.iter().flat_map(|list| list.split('|')).collect();
            assert_eq!(found, codes, "{}", text(panel, "title"));
        }
        for code in &codes {
            assert!(text(panel, "description").contains(code), "{}: {code}", text(panel, "title"));
        }
    }
    assert_eq!(seen, 2);
    let file = yaml(JWT_AUTHN.rules);
    let alerted: Vec<_> = rules(&file).iter().map(|rule| text(rule, "expr")).collect();
    for code in &codes {
        assert!(alerted.iter().any(|alert| alert.contains(code)), "no alert has {code}");
        assert!(readme.contains(&format!("`{code}`")), "README.md does not speak of {code}");
    }
}

/// Alertmanager takes what is the same for one; of the same name and not the same, one would be explained by the other's words.
#[test]
fn an_alert_that_is_in_two_files_is_the_same() {
    let [one, other] = SUBJECTS.map(|subject| yaml(subject.rules));
    let mut twice = 0;
    for rule in rules(&one) {
        for found in rules(&other).into_iter().filter(|found| found["alert"] == rule["alert"]) {
            assert_eq!(found, rule);
            twice += 1;
        }
    }
    assert_eq!(twice, 1, "expected DoorwardVmFailing in both");
}

#[test]
fn every_panel_is_described_and_none_lies_on_another() {
    for subject in &SUBJECTS {
        expect_described(subject);
    }
    let [one, other] = SUBJECTS.map(|subject| subject.dashboard());
    assert!(one["uid"] != other["uid"] && one["title"] != other["title"]);
}

fn expect_described(subject: &Subject) {
    let (dashboard, readme) = (subject.dashboard(), subject.panels());
    let (mut ids, mut titles, mut taken) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in panels(&dashboard) {
        let title = text(panel, "title");
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is there twice");
        assert!(titles.insert(title), "{title} is there twice");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_u64().unwrap());
        assert!(x + w <= 24, "{title} is too wide");
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{title} lies on another panel");
        }
        if panel["type"] != "row" {
            assert!(text(panel, "description").len() > 20, "{title}");
            assert!(readme.contains(&format!("\n| {title} |")), "README.md does not speak of {title}");
            let targets = items(panel, "/targets").iter();
            for source in targets.map(|target| &target["datasource"]).chain([&panel["datasource"]]) {
                // Whoever imports it has another one.
                assert_eq!(source["uid"], "${datasource}", "{title}");
            }
        }
    }
}

fn names(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// With Prometheus' own tool, where it is installed.
#[test]
fn promtool_accepts_the_rules_and_their_cases() {
    let arguments = |subject: &Subject| [["check", "rules", subject.rules], ["test", "rules", subject.cases]];
    for arguments in SUBJECTS.iter().flat_map(arguments) {
        let run = Command::new("promtool").args(arguments).current_dir(path("")).output();
        let Ok(run) = run else {
            // Past the harness, which shows nothing of a test that passes.
            std::io::stderr()
                .write_all(b"NOT RUN: promtool over the alert rules, because it is not on PATH\n")
                .unwrap();
            return;
        };
        let said = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
        assert!(run.status.success(), "{arguments:?}:\n{said}");
    }
}
