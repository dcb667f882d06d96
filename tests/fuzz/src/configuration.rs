//! Configuration documents. The input is the document, JSON.

use crate::{path, plain};
use doorward::authn::decision::{Decision, Forward};
use doorward::authn::rejection::Denial;
use doorward::authn::{Authn, Step, Verification};
use doorward::config::{Config, ConfigError};
use doorward::http::{HeaderField, RequestHead};
use doorward::oidc::{Endpoint, KeySetSource};
use doorward::policy::{Enforcement, HostPattern, NormalPath, PathPattern, Rule, RuleAction, RuleMatch};
use doorward::time::UnixTime;
use serde_json::{Map, Value};
use std::time::Duration;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

/// What loads means what it says, and lets nobody through who has no token; what does not load says why and where.
pub fn check(input: &[u8]) {
    let (first, second) = (Config::load(input), Config::load(input));
    match (first, second) {
        (Ok(config), Ok(again)) => {
            assert!(same(&config, &again), "loaded twice, it is not the same");
            let document = plain::object(input);
            rewritten(&document, |text| {
                let rewritten = Config::load(text).expect("other white space, and it does not load");
                assert!(same(&config, &rewritten), "other white space, and it is not the same");
            });
            check_meaning(&config, &document);
            no_secret_in(&format!("{config:?} {:?}", config.warnings()), input, &document);
            check_requests(config);
        }
        (Err(error), Err(again)) => {
            assert_eq!(error, again, "loaded twice, its faults differ");
            check_faults(&error, input);
        }
        (first, _) => panic!("loaded twice, and only once without fault: {:?}", first.err()),
    }
}

fn same(a: &Config, b: &Config) -> bool {
    let (p, q) = (a.policy(), b.policy());
    let (sources, others) = (a.verifications(), b.verifications());
    (&p.providers, &p.issuers, &p.rules, &p.identity) == (&q.providers, &q.issuers, &q.rules, &q.identity)
        && (&p.challenge, p.bypass_cors_preflight, p.max_token_bytes)
            == (&q.challenge, q.bypass_cors_preflight, q.max_token_bytes)
        && sources.len() == others.len()
        && sources.iter().zip(others).all(|(a, b)| format!("{a:?}") == format!("{b:?}"))
        && a.warnings() == b.warnings()
}

/// Calls `see` with the document as serde_json writes it. Not if there are fractions: they may lose a digit in between.
fn rewritten(document: &Map<String, Value>, see: impl FnOnce(&[u8])) {
    fn has_fraction(value: &Value) -> bool {
        match value {
            Value::Number(number) => number.is_f64(),
            Value::Array(items) => items.iter().any(has_fraction),
            Value::Object(members) => members.values().any(has_fraction),
            Value::Null | Value::Bool(_) | Value::String(_) => false,
        }
    }
    if !document.values().any(has_fraction) {
        see(Value::from(document.clone()).to_string().as_bytes());
    }
}

/// What was compiled, beside what is written.
fn check_meaning(config: &Config, document: &Map<String, Value>) {
    let policy = config.policy();
    let names = |member: &str| document.get(member).and_then(Value::as_object).into_iter().flatten();
    let written: Vec<(&String, &Value)> = names("providers").collect();
    assert_eq!(policy.providers.len(), written.len());
    assert_eq!(config.verifications().len(), written.len());
    let verifications = policy.providers.iter().zip(config.verifications());
    for ((provider, verification), (name, raw)) in verifications.zip(written) {
        assert_eq!(&provider.name, name);
        let is_set = |member: &str| raw.get(member) == Some(&Value::Bool(true));
        assert_eq!(provider.claims.audiences.is_none(), is_set("danger_any_audience"));
        assert!(provider.claims.audiences.as_ref().is_none_or(|audiences| !audiences.is_empty()));
        let is_asked = raw.get("introspection").is_some_and(|asked| !asked.is_null());
        assert_eq!(provider.is_introspected, is_asked);
        assert_eq!(provider.claims.allow_no_expiry, is_set("danger_no_expiry") || is_asked);
        let binding = &provider.binding;
        assert_eq!(binding.ignore_unchecked, is_set("danger_ignore_confirmation"));
        assert_eq!(binding.certificate_bound, is_set("certificate_bound"));
        let dpop = raw.get("dpop").filter(|dpop| !dpop.is_null());
        assert_eq!(binding.dpop.is_some(), dpop.is_some());
        if let (Some(rules), Some(raw)) = (&binding.dpop, dpop) {
            assert_eq!(rules.required, raw.get("required") != Some(&Value::Bool(false)));
            assert!(rules.algorithms.iter().all(|algorithm| !algorithm.is_symmetric()));
            assert!(provider.locations.iter().any(|location| location.is_dpop()));
        }
        assert_eq!(provider.forward_token, is_set("forward_token"));
        assert!(provider.claims.clock_skew <= Duration::from_secs(600));
        assert!(!provider.claims.token_types.is_empty() && !provider.locations.is_empty());
        let algorithms = raw.get("algorithms").and_then(Value::as_array);
        let is_named = |name: &str| algorithms.is_some_and(|list| list.iter().any(|found| found == name));
        assert!(!provider.algorithms.is_empty());
        for algorithm in &provider.algorithms {
            let is_default = algorithms.is_none() && !algorithm.is_symmetric();
            let has_other_name = algorithm.name() == "EdDSA" && is_named("Ed25519");
            assert!(is_default || is_named(algorithm.name()) || has_other_name, "{algorithm} is not allowed");
        }
        match verification {
            Verification::Keys(source) => check_source(source, raw),
            Verification::Introspection(introspection) => {
                let may_be_http = raw["introspection"].get("danger_allow_http") == Some(&Value::Bool(true));
                assert!(introspection.endpoint.scheme == "https" || may_be_http);
                assert_eq!(Some(introspection.issuer.as_str()), raw["issuer"].as_str());
            }
        }
    }
    for issuer in policy.issuers.keys() {
        assert!(!issuer.is_empty() && !issuer.contains(['{', '}']), "{issuer:?}");
    }

    let rules = document["rules"].as_array().expect("rules");
    assert_eq!(policy.rules.iter().count(), rules.len());
    for (rule, raw) in policy.rules.iter().zip(rules) {
        match &rule.action {
            RuleAction::Anonymous => assert_eq!(raw["allow"], "anonymous"),
            RuleAction::Require(requirement) => {
                assert!(raw.get("allow").is_none_or(Value::is_null));
                let reports = raw.get("enforce").is_some_and(|enforce| enforce == "report");
                assert_eq!(requirement.enforcement == Enforcement::Report, reports);
                let require = &raw["require"];
                let groups = require.get("all").and_then(Value::as_array);
                let groups = groups.map_or_else(|| vec![require], |list| list.iter().collect());
                assert_eq!(requirement.all.len(), groups.len());
                for (group, raw) in requirement.all.iter().zip(groups) {
                    let allows = raw.get("allow_missing") == Some(&Value::Bool(true));
                    assert_eq!(group.allow_missing, allows);
                    assert!(!group.alternatives.is_empty());
                }
            }
        }
    }
    assert!((256..=1_048_576).contains(&policy.max_token_bytes));
    assert!(policy.identity.names().all(|name| policy.managed.covers(name.as_bytes())));
}

fn check_source(source: &KeySetSource, raw: &Value) {
    let is_fine = |endpoint: &Endpoint, kind: &str| {
        let may_be_http = raw["jwks"][kind].get("danger_allow_http") == Some(&Value::Bool(true));
        assert!(endpoint.scheme == "https" || may_be_http, "{endpoint:?}");
        assert!(!endpoint.cluster.is_empty());
    };
    match source {
        KeySetSource::Inline(set) => assert!(!set.keys().is_empty() && set.skipped().is_empty()),
        KeySetSource::Remote(remote) => is_fine(&remote.endpoint, "remote"),
        KeySetSource::Discovery(discovery) => {
            is_fine(&discovery.endpoint, "discovery");
            assert_eq!(Some(discovery.issuer.as_str()), raw["issuer"].as_str());
        }
    }
}

/// Each fault names a place that is there, or one that could be: what it is in is there.
fn check_faults(error: &ConfigError, input: &[u8]) {
    let faults = error.faults();
    assert!(!faults.is_empty() && faults.windows(2).all(|pair| pair[0] < pair[1]), "{error}");
    assert!(faults.iter().all(|fault| !fault.message.is_empty()));
    let Ok(Value::Object(document)) = serde_json::from_slice(input) else {
        assert!(faults.len() == 1 && faults[0].path.is_empty(), "{error}");
        return;
    };
    let whole = Value::from(document.clone());
    for fault in faults {
        assert!(leads_somewhere(&whole, &fault.path), "{fault}");
    }
    no_secret_in(&error.to_string(), input, &document);
    rewritten(&document, |text| {
        // A member that was there twice is gone.
        if faults.iter().all(|fault| !fault.path.is_empty()) {
            assert_eq!(Config::load(text).as_ref().err(), Some(error), "other white space, other faults");
        }
    });
}

/// Follows a path as [`doorward::config::Path`] writes it; its last step need not be there.
fn leads_somewhere(whole: &Value, path: &str) -> bool {
    let mut value = Some(whole);
    let mut rest = path;
    while !rest.is_empty() {
        let Some(here) = value else { return false };
        if let Some(item) = rest.strip_prefix('[') {
            let Some((index, after)) = item.split_once(']') else { return false };
            let Ok(index) = index.parse::<usize>() else { return false };
            (value, rest) = (here.get(index), after);
        } else {
            let rest_of_member = rest.strip_prefix('.').unwrap_or(rest);
            let end = match rest_of_member.strip_prefix('"') {
                Some(quoted) => match end_of_quoted(quoted) {
                    Some(end) => end + 1,
                    None => return false,
                },
                None => rest_of_member.find(['.', '[']).unwrap_or(rest_of_member.len()),
            };
            let (name, after) = rest_of_member.split_at(end);
            let members = here.as_object().into_iter().flatten();
            // Quoted names are compared as they are written: quoted.
            let found =
                members.into_iter().find(|(member, _)| *member == name || format!("{member:?}") == name);
            (value, rest) = (found.map(|(_, value)| value), after);
        }
    }
    true
}

/// The place after the closing quote.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Shared secrets and private keys are not repeated, in no message and no debug output.
fn no_secret_in(text: &str, input: &[u8], document: &Map<String, Value>) {
    let providers = document.get("providers").and_then(Value::as_object).into_iter().flatten();
    for (_, provider) in providers {
        let keys = provider.pointer("/jwks/inline/keys").and_then(Value::as_array).into_iter().flatten();
        for secret in keys.flat_map(|key| [key.get("k"), key.get("d")]).flatten().filter_map(Value::as_str) {
            let places = input.windows(secret.len().max(1)).filter(|part| *part == secret.as_bytes()).count();
            // One that is written elsewhere too is no secret.
            assert!(secret.len() < 16 || places > 1 || !text.contains(secret), "a secret in {text}");
        }
    }
}

/// Requests that the rules are for, without any token and with forged identity headers.
fn check_requests(config: Config) {
    let rules: Vec<Rule> = config.policy().rules.iter().take(20).cloned().collect();
    let mut authn = config.into_authn(1);
    for rule in &rules {
        for (method, authority, target) in probes(&rule.matches) {
            check_request(&mut authn, &method, &authority, target.as_bytes());
        }
    }
}

/// Method, authority and path of requests that a rule is for, as far as they can be told from it.
fn probes(matches: &RuleMatch) -> Vec<(String, String, String)> {
    let method = matches.methods.first().map_or("GET", String::as_str).to_owned();
    let authority = match matches.hosts.first() {
        None => "api.example.com".to_owned(),
        Some(HostPattern::Exact(name)) => name.clone(),
        Some(HostPattern::Below(domain)) => format!("a{domain}"),
    };
    let paths = match &matches.path {
        None => vec!["/".to_owned(), "/a/b".to_owned()],
        Some(PathPattern::Exact(path)) => vec![path.clone(), format!("{path}/")],
        Some(PathPattern::Prefix(path)) => vec![format!("{path}/"), format!("{path}/a")],
        Some(PathPattern::Template(segments)) => {
            let segments = segments.iter().map(|segment| segment.as_deref().unwrap_or("a"));
            vec![segments.fold(String::new(), |path, segment| format!("{path}/{segment}"))]
        }
    };
    paths.iter().map(|target| (method.clone(), authority.clone(), path::encode(target))).collect()
}

fn check_request(authn: &mut Authn, method: &str, authority: &str, target: &[u8]) {
    let managed: Vec<String> = authn.policy().identity.names().map(str::to_owned).collect();
    let forged: Vec<String> = managed.iter().map(|name| name.to_uppercase().replace('-', "_")).collect();
    let pseudo = [(":method", method.as_bytes()), (":authority", authority.as_bytes()), (":path", target)];
    let mut fields: Vec<HeaderField<'_>> =
        pseudo.iter().map(|(name, value)| HeaderField { name: name.as_bytes(), value }).collect();
    let forge = |name| HeaderField { name: str::as_bytes(name), value: b"root" };
    fields.extend(managed.iter().chain(&forged).map(String::as_str).map(forge));
    let head = RequestHead::new(&fields);
    let found = NormalPath::parse(target).ok().map(|path| {
        let found = authn.policy().rules.find(head.method, head.authority, &path);
        found.map(|(_, rule)| rule.action.clone())
    });
    let decision = match authn.begin(NOW, head) {
        Step::Decide(decision) => decision,
        step @ (Step::VerifySignature(..)
        | Step::Await(..)
        | Step::ReadCertificate(_)
        | Step::RecordProof(..)) => panic!("without a token: {step:?}"),
    };
    match (found, decision) {
        (None, decision) => assert_eq!(denial(&decision), Some(Denial::PathNotAccepted)),
        (Some(None), decision) => assert_eq!(denial(&decision), Some(Denial::NoMatchingRule)),
        (Some(Some(RuleAction::Anonymous)), Decision::Forward(forward)) => {
            assert_eq!(forward.reported, None);
            no_identity(&forward, &fields);
        }
        (Some(Some(RuleAction::Require(requirement))), Decision::Forward(forward)) => {
            let reports = requirement.enforcement == Enforcement::Report;
            let needs_none = requirement.all.iter().all(|group| group.allow_missing);
            assert!(needs_none || reports, "a request without token passed {requirement:?}");
            assert_eq!(forward.reported.is_some(), !needs_none);
            no_identity(&forward, &fields);
        }
        (Some(Some(RuleAction::Require(requirement))), decision) => {
            assert_eq!(denial(&decision), Some(Denial::TokenMissing));
            assert!(requirement.all.iter().any(|group| !group.allow_missing));
        }
        (Some(Some(RuleAction::Anonymous)), decision) => panic!("{decision:?} where nothing is required"),
    }
}

fn denial(decision: &Decision<'_>) -> Option<Denial> {
    match decision {
        Decision::Reject(reply) => Some(reply.denial),
        Decision::Forward(_) => None,
    }
}

fn no_identity(forward: &Forward<'_>, fields: &[HeaderField<'_>]) {
    assert!(forward.identity.is_empty() && forward.provider.is_none(), "identity without a token");
    for forged in &fields[3..] {
        let is_removed = forward.mutations.iter().any(|mutation| mutation.name() == forged.name);
        assert!(is_removed, "{} stays in the request", forged.name.escape_ascii());
    }
}
