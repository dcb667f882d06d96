//! The raw document, checked and turned into what decisions need.

mod binding;
mod header;
mod introspection;
mod mapping;
mod provider;
mod rule;
mod scim;
mod section;
mod worker;

use super::fault::{ConfigError, Faults, Path};
use super::{document, duration, raw};
use crate::authn::{Authn, AuthnPolicy, TrustedIssuer, Verification};
use crate::gateway::{GatewayPolicy, SUBJECT};
use crate::http::is_token;
use crate::jwt::ClaimPath;
use crate::policy::{
    IdentityHeader, IdentityMapping, ListStyle, ManagedHeaders, ProviderId, Rule, Rules, ValueEncoding,
    WhenMissing,
};
use crate::worker::WorkerPolicy;
use scim::ScimConfig;
use section::{All, Gateway, RulesAlone, ScimWorker, Sections, Worker};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

/// A configuration without a fault.
#[derive(Debug, Clone)]
pub struct Config {
    policy: AuthnPolicy,
    verifications: Vec<Verification>,
    scim: Option<ScimConfig>,
    worker: Option<WorkerPolicy>,
}

impl Config {
    /// Reads and checks a document: JSON, UTF-8.
    ///
    /// # Errors
    /// [`ConfigError`], with every fault. What is unset denies, and what is unknown is a fault. A document has rules, or SCIM
    /// tenants, or both.
    pub fn load(text: &[u8]) -> Result<Self, ConfigError> {
        Self::load_with::<All>(text, |_, _| {})
    }

    /// The same for who decides by rules: a document without any is at fault, and `scim` is not looked at.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load_with_rules(text: &[u8]) -> Result<Self, ConfigError> {
        Self::load_with::<RulesAlone>(text, Self::check_rules)
    }

    /// The same for an edge worker that takes no SCIM calls: a document without rules is at fault, and so are one with `scim` and one that
    /// asks for more than `worker` provides.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load_with_worker(text: &[u8]) -> Result<Self, ConfigError> {
        Self::load_with::<Worker>(text, Self::check_rules)
    }

    /// The same for an edge worker that takes SCIM calls: it needs rules or `scim`.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load_with_scim_worker(text: &[u8]) -> Result<Self, ConfigError> {
        Self::load_with::<ScimWorker>(text, |_, _| {})
    }

    /// The same for a SCIM gateway: a document without `scim` is at fault.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load_with_scim(text: &[u8]) -> Result<Self, ConfigError> {
        Self::load_with::<Gateway>(text, |config, faults| {
            if config.scim.is_none() {
                let message = "expected the tenants whose calls are taken, but found nothing";
                faults.add(&Path::default().member("scim"), message);
            }
        })
    }

    fn check_rules(&self, faults: &mut Faults) {
        if self.policy.rules.iter().next().is_none() {
            faults.add(&Path::default().member("rules"), NO_RULES);
        }
    }

    fn load_with<S: Sections>(
        text: &[u8],
        check: impl FnOnce(&Self, &mut Faults),
    ) -> Result<Self, ConfigError> {
        let mut faults = Faults::default();
        let document = document::read(text, &mut faults);
        let config = document.map(|document| compile::<S>(document, &mut faults));
        let config = config.inspect(|config| check(config, &mut faults));
        match (config, faults.into_error()) {
            (Some(config), None) => Ok(config),
            (_, Some(error)) => Err(error),
            // A document that could not be read has left a fault.
            (None, None) => {
                let (policy, verifications) = (AuthnPolicy::default(), Vec::new());
                Ok(Self { policy, verifications, scim: None, worker: None })
            }
        }
    }

    /// What decisions depend on.
    pub fn policy(&self) -> &AuthnPolicy {
        &self.policy
    }

    /// How each provider's tokens are verified, in the order of the policy's providers.
    pub fn verifications(&self) -> &[Verification] {
        &self.verifications
    }

    /// What an edge worker does beside deciding.
    pub fn worker(&self) -> Option<&WorkerPolicy> {
        self.worker.as_ref()
    }

    /// The machine that decides by this configuration; `seed` as for [`Authn::new`].
    pub fn into_authn(self, seed: u64) -> Authn {
        Authn::new(self.policy, self.verifications, seed)
    }

    /// Every rule, those of SCIM tenants too.
    pub(in crate::config) fn rules(&self) -> impl Iterator<Item = &Rule> {
        let of_tenants = self.scim.iter().flat_map(|scim| &scim.rules);
        self.policy.rules.iter().chain(of_tenants)
    }

    /// What a SCIM gateway's decisions depend on.
    pub fn gateway(&self) -> Option<&GatewayPolicy> {
        self.scim.as_ref().map(|scim| &scim.policy)
    }

    /// The same, and the machine that judges the gateway's JWTs; `None` without `scim`. Its rules are those that tenants name, and it
    /// maps no claim to a header, but the subject to an entry of its own.
    pub fn into_gateway(self, seed: u64) -> Option<(GatewayPolicy, Authn)> {
        let ScimConfig { policy: gateway, rules, subject } = self.scim?;
        let subject = IdentityHeader {
            header: SUBJECT.to_owned(),
            claim: subject,
            provider: None,
            list: ListStyle::default(),
            encoding: ValueEncoding::default(),
            when_missing: WhenMissing::Reject,
        };
        let mut policy = AuthnPolicy {
            rules: Rules::new(rules),
            identity: IdentityMapping::default(),
            managed: ManagedHeaders::default(),
            filter_state: IdentityMapping { headers: vec![subject], payload_header: None },
            bypass_cors_preflight: false,
            ..self.policy
        };
        policy.challenge.realm.get_or_insert_with(|| "scim".to_owned());
        Some((gateway, Authn::new(policy, self.verifications, seed)))
    }
}

fn compile<S: Sections>(document: raw::Document, faults: &mut Faults) -> Config {
    let root = Path::default();
    let mut compiler =
        Compiler { faults, ids: BTreeMap::new(), introspected: Vec::new(), issuers: HashMap::new() };
    for (index, (name, provider)) in document.providers.iter().enumerate() {
        compiler.ids.insert(name.clone(), ProviderId(index));
        if provider.introspection.is_some() {
            compiler.introspected.push(ProviderId(index));
        }
    }
    let (mut providers, mut verifications) = (Vec::new(), Vec::new());
    for (index, (name, provider)) in document.providers.into_iter().enumerate() {
        let path = root.member("providers").member(&name);
        // A provider at fault leaves a gap that nobody sees: the document is refused.
        if let Some((provider, verification)) = compiler.provider(&path, name, ProviderId(index), provider) {
            providers.push(provider);
            verifications.push(verification);
        }
    }
    let rules = match (&document.scim, document.rules.is_empty()) {
        (Some(_), true) => Rules::default(),
        (Some(_), false) | (None, _) => compiler.rules(&root.member("rules"), document.rules),
    };
    let has_scim = document.scim.is_some();
    let is_store_near = document.worker.as_ref().is_some_and(|worker| worker.pointer("/store/d1").is_some());
    let scim =
        document.scim.and_then(|value| S::scim(&mut compiler, &root.member("scim"), value, is_store_near));
    let identity = compiler.identity(document.identity_headers, document.payload_header);
    compiler.check_locations(&providers, &identity);
    let filter_state = compiler.filter_state(&root.member("filter_state"), document.filter_state);
    let challenge = compiler.challenge(&root.member("challenge"), document.challenge);
    let max_token_bytes = compiler.max_token_bytes(&root.member("limits"), &document.limits);
    let token_cache = compiler.token_cache(&root.member("limits"), &document.limits);
    let denial_logs = compiler.denial_logs(&root.member("limits"), &document.limits);
    let worker = S::worker(&mut compiler, document.worker, &providers, has_scim);
    let policy = AuthnPolicy {
        providers,
        issuers: compiler.issuers,
        rules,
        managed: ManagedHeaders::new(identity.names()),
        identity,
        filter_state,
        challenge,
        bypass_cors_preflight: document.bypass_cors_preflight,
        max_token_bytes,
        token_cache,
        denial_logs,
    };
    Config { policy, verifications, scim, worker }
}

/// A document that decides nothing.
pub(super) const NO_RULES: &str = "expected at least one rule: without any, every request is denied";

/// The state of one compilation. Providers, rules and headers are compiled in the modules of these names.
struct Compiler<'f> {
    faults: &'f mut Faults,
    ids: BTreeMap<String, ProviderId>,
    /// Providers that are asked about their tokens.
    introspected: Vec<ProviderId>,
    issuers: HashMap<String, Vec<TrustedIssuer>>,
}

/// What every part needs.
impl Compiler<'_> {
    fn expect_some<T>(&mut self, path: &Path, list: &[T], what: &str) {
        if list.is_empty() {
            self.faults.add(path, format_args!("expected at least one {what}"));
        }
    }

    fn duration(
        &mut self,
        path: &Path,
        text: Option<&str>,
        min: Duration,
        max: Duration,
    ) -> Option<Duration> {
        let duration = self.faults.check(path, duration::parse(text?))?;
        if duration < min || duration > max {
            self.faults.add(path, OutOfRange { min, max });
        }
        Some(duration)
    }

    fn claim_path(&mut self, path: &Path, segments: Vec<String>) -> Option<ClaimPath> {
        self.faults.expect(path, ClaimPath::new(segments), "the names on the way to a claim, such as [sub]")
    }

    fn header_name(&mut self, path: &Path, name: &str) -> Option<String> {
        self.check_token(path, name, "a header name");
        is_token(name.as_bytes()).then(|| name.to_ascii_lowercase())
    }

    fn check_token(&mut self, path: &Path, text: &str, what: &str) {
        if !is_token(text.as_bytes()) {
            self.faults.add(path, format_args!("expected {what}, but found {text:?}"));
        }
    }
}

struct OutOfRange {
    min: Duration,
    max: Duration,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.max == Duration::MAX {
            write!(f, "expected at least {:?}", self.min)
        } else {
            write!(f, "expected {:?} to {:?}", self.min, self.max)
        }
    }
}
