//! The dashboard and the alert rules of `observability/`, against what a real Envoy shows to Prometheus.

use crate::support::{LISTENER, eventually, filter, output, python, with};
use anyhow::{Context, Result, ensure};
use doorward::authn::rejection::Denial;
use doorward_testbed::{
    Answer, Envoy, EnvoyConfig, Issuer, Listener, Request, Upstream, WasmPlugin, folder, run, send,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Labels that Prometheus adds to all that it scrapes.
const ADDED_BY_PROMETHEUS: [&str; 2] = ["instance", "job"];

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

fn dashboard() -> Value {
    serde_json::from_str(&read("grafana-dashboard.json")).unwrap()
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

/// What a scrape has: metrics with their labels, and families by the kind that they are said to be.
#[derive(Default)]
struct Scrape {
    labels: BTreeMap<String, BTreeSet<String>>,
    families: BTreeSet<String>,
}

impl Scrape {
    /// From Prometheus' text format.
    fn parse(text: &str) -> Self {
        let mut scrape = Self::default();
        for line in text.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                scrape.families.insert(family.split(' ').next().unwrap().to_owned());
            } else if let Some((name, rest)) = line.split_once('{') {
                // NAME="VALUE",NAME="VALUE"} NUMBER
                let names = rest.split('"').step_by(2).map(|part| part.trim_matches([',', '=']));
                let names = names.take_while(|name| !name.starts_with('}')).map(str::to_owned);
                scrape.labels.entry(name.to_owned()).or_default().extend(names);
            }
        }
        scrape
    }

    fn has(&self, metric: &str, label: &str) -> bool {
        ADDED_BY_PROMETHEUS.contains(&label)
            || self.labels.get(metric).is_some_and(|labels| labels.contains(label))
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
        if !scrape.labels.contains_key(metric) {
            faults.push(format!("no metric {metric}"));
        }
        for matcher in items(selector, "/matchers") {
            let [label, operator, value] = [0, 1, 2].map(|part| matcher[part].as_str().unwrap());
            if !scrape.has(metric, label) {
                faults.push(format!("{metric} has no label {label}"));
            }
            if let Some(variable) = value.strip_prefix('$') {
                if !variables.contains(variable) || operator != "=~" {
                    faults.push(format!("{label}{operator}{value}: expected =~ and a variable"));
                }
            } else if label == "doorward_code" {
                let unknown = value.split('|').filter(|code| Denial::ALL.iter().all(|d| d.code() != *code));
                faults.extend(unknown.map(|code| format!("no denial has the code {code}")));
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

/// A scrape of an Envoy after all has happened that is counted. Labels are made as `envoy/jwt-authn.yaml` says.
async fn scrape() -> Result<Scrape> {
    let production = fs::read_to_string(folder::root().join("envoy/jwt-authn.yaml"))?;
    let production: Value = serde_saphyr::from_str(&production)?;
    let issuer = Issuer::start().await?;
    issuer.answer(Answer::Status(503));
    let upstream = Upstream::start().await?;
    let remote =
        json!({ "uri": issuer.jwks_uri(), "cluster": "issuer", "refresh": "1s", "danger_allow_http": true });
    // The issuer answers with keys, which say nothing of a token.
    let introspection = json!({
        "uri": issuer.jwks_uri(), "cluster": "issuer", "danger_allow_http": true,
        "client_id": "edge", "client_secret": "secret",
    });
    let document = json!({
        "providers": {
            "corp": { "issuer": issuer.url(), "audiences": ["api"], "jwks": { "remote": remote } },
            "opaque": { "issuer": "https://opaque.example.com", "audiences": ["api"], "introspection": introspection },
        },
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
    let bootstrap = with(bootstrap, json!({ "stats_config": production["stats_config"] }));
    let envoy = Envoy::start_bootstrap(&bootstrap, 1).await?;
    let counted = async |name: &str| {
        Ok(envoy.stats().await?.contains_key(&format!("wasmcustom.doorward.jwt_authn.{name}")))
    };
    eventually("a fetch has failed", async || counted("keys.corp.failed").await).await?;
    issuer.answer(Answer::Keys);
    eventually("keys are there", async || counted("keys.corp.age_seconds").await).await?;

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
    eventually("the last count is there", async || counted("reported.corp.audience_not_allowed").await)
        .await?;
    // Envoy shows a histogram a few seconds after its first value.
    let times = "doorward_jwt_authn_verification_microseconds_bucket";
    eventually("the histogram is there", async || {
        Ok(send(envoy.admin(), &Request::get("/stats/prometheus")).await?.text().contains(times))
    })
    .await?;
    let response = send(envoy.admin(), &Request::get("/stats/prometheus")).await?;
    ensure!(response.status == 200, "expected 200, but found {}", response.status);
    Ok(Scrape::parse(&response.text()))
}

#[test]
fn dashboard_and_alerts_speak_of_what_envoy_shows_and_the_dashboard_of_all_of_it() {
    run(async {
        let scrape = scrape().await?;
        let dashboard = dashboard();
        let variables = items(&dashboard, "/templating/list").iter();
        let variables: BTreeSet<_> = variables.map(|variable| text(variable, "name")).collect();
        let on_dashboard = expressions_of_dashboard(&dashboard);
        let in_rules = expressions_of_rules(&yaml("prometheus-rules.yaml"));
        ensure!(on_dashboard.len() > 20 && in_rules.len() > 5, "expected panels and alerts");
        let described = [describe(&on_dashboard)?, describe(&in_rules)?];
        let all = on_dashboard.iter().chain(&in_rules).zip(described.iter().flatten());
        let faults: Vec<_> =
            all.flat_map(|(expression, found)| faults(expression, found, &variables, &scrape)).collect();
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
    })
    .unwrap();
}

#[test]
fn what_is_not_there_is_found() {
    let scrape = Scrape::parse(
        "# TYPE a counter\na{x=\"1\",y=\"p,q\"} 1\n# TYPE doorward_d counter\ndoorward_d{doorward_code=\"c\"} 2\nb{} 3\n",
    );
    let cases: [(&str, &[&str], &[&str]); 12] = [
        ("sum by (x) (rate(a{y=~\"$v\"}[5m]))", &["x"], &[]),
        ("b{job=\"j\"} / on (instance) b", &["instance"], &[]),
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
            &["no denial has the code token_old"],
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
    let (file, readme, cases) =
        (yaml("prometheus-rules.yaml"), read("README.md"), yaml("prometheus-rules.test.yaml"));
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
fn every_panel_is_described_and_none_lies_on_another() {
    let (dashboard, readme) = (dashboard(), read("README.md"));
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
    for arguments in
        [["check", "rules", "prometheus-rules.yaml"], ["test", "rules", "prometheus-rules.test.yaml"]]
    {
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
