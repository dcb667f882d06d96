//! What the decision looked at, as lines. Claims are shown only where they are the reason: issuer, audience, dates, scopes.

use super::judge::Judgement;
use super::report::Report;
use super::{instant, text};
use doorward::authn::decision::Decision;
use doorward::authn::{Authn, AuthnPolicy, Provider};
use doorward::http::{HeaderMutation, RequestHead};
use doorward::jose::crypto::Verdict;
use doorward::jwt::{ClaimsSet, UnverifiedJwt};
use doorward::oauth::Confirmation;
use doorward::oidc::KeySetState;
use doorward::policy::{AnyOf, NormalPath, ProviderId, Requirement, RuleAction};
use doorward::time::UnixTime;

/// Longer lists are cut off.
const MAX_SHOWN: usize = 10;

/// Everything that can be seen of one judgement.
pub(super) struct View<'v, 'r> {
    pub(super) policy: &'v AuthnPolicy,
    pub(super) authn: &'v Authn,
    pub(super) judgement: &'v Judgement<'r>,
    pub(super) now: UnixTime,
    pub(super) head: RequestHead<'r>,
}

impl View<'_, '_> {
    /// The steps up to the decision.
    pub(super) fn describe(&self, report: &mut Report) {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let received = self.head.path.split(|byte| *byte == b'?').next().unwrap_or_default();
        let (method, host) = (lossy(self.head.method), lossy(self.head.authority));
        report.add("request", format!("{method} {:?} at host {host:?}", lossy(received)));
        report.add("time", instant::rfc3339(self.now));
        let path = match NormalPath::parse(self.head.path) {
            Ok(path) => path,
            Err(error) => return report.add("path", error.to_string()),
        };
        report.add("path", format!("read as {:?}", path.as_str()));
        if self.is_bypassed_preflight() {
            return report.add("rule", "none: a CORS preflight passes first (bypass_cors_preflight)");
        }
        let Some((index, rule)) = self.policy.rules.find(self.head.method, self.head.authority, &path) else {
            let count = self.policy.rules.iter().count();
            return report.add("rule", format!("none of {count} matches; no match is a denial"));
        };
        report.add("rule", format!("rules[{index}], for {}", text::rule_match(&rule.matches)));
        match &rule.action {
            RuleAction::Anonymous => report.add("rule", "allows everybody: no token is looked for"),
            RuleAction::Require(requirement) => self.requirement(report, requirement),
        }
    }

    fn is_bypassed_preflight(&self) -> bool {
        self.policy.bypass_cors_preflight
            && self.head.method == b"OPTIONS"
            && self.head.values(b"origin").next().is_some()
            && self.head.values(b"access-control-request-method").next().is_some()
    }

    fn requirement(&self, report: &mut Report, requirement: &Requirement) {
        let several = requirement.all.len() > 1;
        for (index, group) in requirement.all.iter().enumerate() {
            if several {
                report.add("group", format!("all[{index}]"));
            }
            let names: Vec<_> = group.alternatives.iter().map(|a| self.name(a.provider)).collect();
            report.add("rule", format!("requires a token of {}", names.join(" or ")));
            match self.policy.find_token(&self.head, group) {
                Err(error) => report.add("token", error.to_string()),
                Ok(None) => {
                    let places = group.alternatives.iter().filter_map(|a| self.policy.provider(a.provider));
                    let mut places: Vec<_> =
                        places.flat_map(|provider| &provider.locations).map(text::location).collect();
                    places.dedup();
                    let missing = if group.allow_missing { "; the rule allows that" } else { "" };
                    report.add("token", format!("none; looked in {}{missing}", places.join(", ")));
                }
                Ok(Some((token, location))) => {
                    report.add("token", format!("{} bytes in {}", token.len(), text::location(location)));
                    self.token(report, group, token);
                }
            }
        }
    }

    fn token(&self, report: &mut Report, group: &AnyOf, token: &[u8]) {
        if token.len() > self.policy.max_token_bytes {
            return report.add("token", format!("at most {} bytes are read", self.policy.max_token_bytes));
        }
        let jwt = match (UnverifiedJwt::parse(token), self.policy.introspected(group)) {
            (Ok(jwt), _) => jwt,
            (Err(_), Some(asked)) => return self.asked(report, group, asked),
            (Err(error), None) => return report.add("token", format!("not a token: {error}")),
        };
        let (header, claims) = (jwt.jws().unverified_header(), jwt.unverified_claims());
        let typ = header.token_type.as_ref().map_or("no typ".to_owned(), |typ| format!("typ {typ:?}"));
        let kid = text::key_id(header.key_id.as_deref());
        report.add("header", format!("alg {}, {typ}, {kid}", header.algorithm));
        let Ok(Some(issuer)) = claims.string("iss") else {
            return report.add("issuer", "no \"iss\" that is a string");
        };
        let Some(trusted) = self.policy.find_issuer(issuer, group) else {
            return report.add("issuer", format!("{issuer:?}, which none of these providers has"));
        };
        let Some(provider) = self.policy.provider(trusted.provider) else { return };
        report.add("issuer", format!("{issuer:?}: provider {}", provider.name));
        if provider.is_introspected {
            return self.asked(report, group, trusted.provider);
        }
        for binding in trusted.bindings.iter().filter(|binding| !binding.holds(claims)) {
            report.add("issuer", format!("claim {} is not {:?}", binding.claim, binding.value));
        }
        if !provider.algorithms.contains(&header.algorithm) {
            let accepted: Vec<_> = provider.algorithms.iter().map(|algorithm| algorithm.name()).collect();
            report.add("header", format!("accepted algorithms: {}", accepted.join(", ")));
        }
        self.claims(report, provider, claims);
        // The core's own check, for its words.
        match provider.claims.check(header, claims, self.now) {
            Ok(_) => report.add("claims", "as they must be"),
            Err(error) => report.add("claims", format!("refused: {error}")),
        }
        self.keys(report, trusted.provider);
        self.signature(report, &jwt);
        self.binding(report, provider, claims);
        self.alternatives(report, group, trusted.provider, claims);
    }

    /// A token that its provider is asked about.
    fn asked(&self, report: &mut Report, group: &AnyOf, id: ProviderId) {
        report.add("token", format!("opaque: provider {} is asked (RFC 7662)", self.name(id)));
        for note in self.notes(id) {
            report.add("answer", note.clone());
        }
        let machine = self.authn.introspections().find(|(of, _)| *of == id).map(|(_, machine)| machine);
        let vouched = machine.and_then(|machine| machine.vouched().next());
        let (Some(vouched), Some(provider)) = (vouched, self.policy.provider(id)) else { return };
        let claims = vouched.token.claims();
        self.claims(report, provider, claims);
        match provider.claims.check_claims(claims, self.now) {
            Ok(_) => report.add("claims", "as they must be"),
            Err(error) => report.add("claims", format!("refused: {error}")),
        }
        self.binding(report, provider, claims);
        self.alternatives(report, group, id, claims);
    }

    fn notes(&self, id: ProviderId) -> impl Iterator<Item = &String> {
        self.judgement.fetches.iter().filter(move |(of, _)| *of == id).flat_map(|(_, notes)| notes)
    }

    fn binding(&self, report: &mut Report, provider: &Provider, claims: &ClaimsSet) {
        let rules = &provider.binding;
        let found = match Confirmation::of(claims) {
            Ok(None) => "none".to_owned(),
            Ok(Some(confirmation)) => {
                let key = confirmation.jkt.map(|_| "a key (jkt)");
                let certificate = confirmation.x5t_s256.map(|_| "a certificate (x5t#S256)");
                key.into_iter().chain(certificate).collect::<Vec<_>>().join(" and ")
            }
            Err(error) => error.to_string(),
        };
        let is_plain = rules.dpop.is_none() && !rules.certificate_bound;
        if is_plain && claims.top("cnf").is_none() {
            return;
        }
        let needed = match (rules.dpop.as_ref().is_some_and(|dpop| dpop.required), rules.certificate_bound) {
            (true, true) => "; both a key and a certificate are needed",
            (true, false) => "; a key is needed",
            (false, true) => "; a certificate is needed",
            (false, false) if rules.ignore_unchecked => "; what is not asked for is ignored",
            (false, false) => "",
        };
        report.add("bound to", format!("{found}{needed}"));
        if rules.dpop.is_some() {
            let proofs = self.head.values(b"dpop").count();
            report.add(
                "proof",
                format!("{proofs} in the request; whether one was used before is not known here"),
            );
        }
    }

    fn claims(&self, report: &mut Report, provider: &Provider, claims: &ClaimsSet) {
        let skew = instant::span(provider.claims.clock_skew);
        for name in ["exp", "nbf", "iat"] {
            let text = match claims.date(name) {
                Ok(Some(date)) => instant::describe(date, self.now),
                Ok(None) if name == "exp" && provider.claims.allow_no_expiry => {
                    "absent, which is allowed".into()
                }
                Ok(None) if name == "exp" => "absent".into(),
                Ok(None) => continue,
                Err(error) => error.to_string(),
            };
            report.add("dates", format!("{name} {text}"));
        }
        let lifetime =
            provider.claims.max_lifetime.map(|max| format!("; lifetime at most {}", instant::span(max)));
        report.add("dates", format!("clocks may differ by {skew}{}", lifetime.unwrap_or_default()));
        let found = claims.top("aud").map_or("absent".to_owned(), |aud| match aud.as_array() {
            Some(items) => list(items.iter().map(ToString::to_string)),
            None => aud.to_string(),
        });
        let needed = match &provider.claims.audiences {
            Some(audiences) => {
                format!("one of {} is needed", list(audiences.iter().map(|a| format!("{a:?}"))))
            }
            None => "any is accepted (danger_any_audience)".to_owned(),
        };
        report.add("audience", format!("{found}; {needed}"));
    }

    fn keys(&self, report: &mut Report, id: ProviderId) {
        for note in self.notes(id) {
            report.add("keys", note.clone());
        }
        match self.authn.key_set(id).map(|machine| machine.state(self.now)) {
            Some(KeySetState::Ready(set)) => {
                let keys = set.keys().iter();
                let keys = keys
                    .map(|key| format!("{} ({})", text::key_id(key.key_id()), text::family(key.family())));
                report.add("keys", list(keys));
                for skipped in set.skipped().iter().take(MAX_SHOWN) {
                    let kid = text::key_id(skipped.key_id.as_deref());
                    report.add("keys", format!("left out: {kid}: {}", skipped.reason));
                }
            }
            Some(KeySetState::Pending | KeySetState::Unavailable) | None => {
                report.add("keys", "not needed, or not to be had");
            }
        }
    }

    fn signature(&self, report: &mut Report, jwt: &UnverifiedJwt<'_>) {
        let signed = jwt.jws().signing_input();
        let mut checked = self.judgement.signatures.iter().filter(|check| check.signed == signed).peekable();
        if checked.peek().is_none() {
            report.add("signature", "not checked: it did not come to that");
        }
        for check in checked {
            let verdict = match check.verdict {
                Verdict::Valid => "valid",
                Verdict::Invalid => "not valid",
            };
            let key = text::key_id(check.key.key_id());
            report.add("signature", format!("{verdict} by {} with {key}", check.algorithm));
        }
    }

    fn alternatives(&self, report: &mut Report, group: &AnyOf, id: ProviderId, claims: &ClaimsSet) {
        for alternative in group.of(id) {
            if !alternative.scopes.is_empty() {
                let found = list(claims.scopes().map(|scope| format!("{scope:?}")));
                let needed = list(alternative.scopes.iter().map(|scope| format!("{scope:?}")));
                report.add("scopes", format!("needed {needed}; there {found}"));
            }
            for condition in &alternative.conditions {
                let verdict = match (condition.holds(claims), claims.get(&condition.path)) {
                    (true, _) => "it does",
                    (false, Some(_)) => "it does not",
                    (false, None) => "it is absent",
                };
                let test = text::condition(&condition.test);
                report.add("conditions", format!("claim {} {test}: {verdict}", condition.path));
            }
        }
    }

    fn name(&self, id: ProviderId) -> &str {
        self.policy.provider(id).map_or("?", |provider| &provider.name)
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    let shown = items.get(..MAX_SHOWN).unwrap_or(&items).join(", ");
    match items.len().checked_sub(MAX_SHOWN) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ if items.is_empty() => "none".to_owned(),
        _ => shown,
    }
}

/// The end: what would be changed, or what would be answered.
pub(super) fn decision(
    report: &mut Report,
    head: &RequestHead<'_>,
    decision: &Decision<'_>,
    policy: &AuthnPolicy,
    show_values: bool,
) {
    match decision {
        Decision::Forward(forward) => {
            for mutation in &forward.mutations {
                report.add("headers", change(head, mutation, policy));
            }
            for mutation in forward.identity.iter() {
                report.add("headers", identity(mutation, policy, show_values));
            }
            match &forward.reported {
                Some(reported) => {
                    let (code, title) = (reported.denial.code(), reported.denial.title());
                    let rule = reported.rule;
                    let status = reported.denial.status();
                    report.add(
                        "decision",
                        format!("allowed, because rules[{rule}] only reports (enforce: report)"),
                    );
                    report.add("decision", format!("enforced it would be denied: {status} {code}: {title}"));
                }
                None => report.add("decision", "allowed: the request goes on to the upstream"),
            }
        }
        Decision::Reject(reply) => {
            let (code, title) = (reply.denial.code(), reply.denial.title());
            report.add("decision", format!("denied: {} {code}: {title}", reply.status));
        }
    }
}

/// A change to what the client sent. Its value is never shown: it may hold other credentials.
fn change(head: &RequestHead<'_>, mutation: &HeaderMutation<'_>, policy: &AuthnPolicy) -> String {
    let name = String::from_utf8_lossy(mutation.name()).into_owned();
    let is_forged = policy.managed.covers(mutation.name());
    match mutation {
        HeaderMutation::Remove(_) if is_forged => format!("remove {name:?}: only the filter may set it"),
        HeaderMutation::Remove(removed) if head.values(removed).next().is_some() => {
            format!("remove {name:?}: the token is not forwarded")
        }
        HeaderMutation::Remove(_) => format!("remove {name:?}"),
        HeaderMutation::Set(..) | HeaderMutation::Append(..) => {
            format!("rewrite {name:?} without the token")
        }
    }
}

fn identity(mutation: &HeaderMutation<'_>, policy: &AuthnPolicy, show_values: bool) -> String {
    let name = String::from_utf8_lossy(mutation.name()).into_owned();
    let (verb, value) = match mutation {
        HeaderMutation::Remove(_) => return format!("remove {name}"),
        HeaderMutation::Set(_, value) => ("set", value),
        HeaderMutation::Append(_, value) => ("add", value),
    };
    // The payload is a part of the token.
    let is_payload = policy.identity.payload_header.as_deref() == Some(name.as_str());
    if show_values && !is_payload {
        format!("{verb} {name}: {}", value.escape_ascii())
    } else {
        format!("{verb} {name}: <{} bytes>", value.len())
    }
}
