//! The section `scim`: tenants, who may call for them, and the store behind.

use super::Compiler;
use crate::config::fault::Path;
use crate::config::{document, raw};
use crate::gateway::{
    ClientCertificate, CredentialKey, GatewayPolicy, Personal, Rate, Sites, StaticToken, StaticTokens,
    StoreLink, Tenant, TenantId, is_name,
};
use crate::jose::base64url;
use crate::jwt::ClaimPath;
use crate::oauth::certificate_digest;
use crate::oidc::Endpoint;
use crate::policy::{Enforcement, HostPattern, NormalPath, Requirement, Rule, RuleAction, RuleMatch};
use crate::scim::{BulkLimits, Catalog, DateTime, Profile, Unknown};
use serde_json::Value;
use std::num::NonZeroU32;
use std::sync::Arc;

const DEFAULT_BASE_PATH: &str = "/scim/v2";
const DEFAULT_BODY: u64 = 1024 * 1024;
const MIN_BODY: u64 = 1024;
const MAX_BODY: u64 = 16 * 1024 * 1024;
const DEFAULT_OPERATIONS: u64 = 1000;
const MAX_OPERATIONS: u64 = 100_000;
const DEFAULT_RATE: u32 = 100;
const DEFAULT_BURST: u32 = 1000;
const MAX_RATE: u64 = 1_000_000;

/// What the gateway's decisions depend on, and the rules by which its JWTs are judged.
#[derive(Debug, Clone)]
pub(in crate::config) struct ScimConfig {
    pub(in crate::config) policy: GatewayPolicy,
    pub(in crate::config) rules: Vec<Rule>,
    pub(in crate::config) subject: ClaimPath,
}

impl Compiler<'_> {
    /// `is_store_near`: the store is where the gateway is, and takes its word without a credential.
    pub(super) fn scim(&mut self, path: &Path, value: Value, is_store_near: bool) -> Option<ScimConfig> {
        let raw: raw::Scim = document::read_part(path, value, self.faults)?;
        let catalog = self.catalog(path, &raw.schemas, &raw.resource_types);
        let store_path = path.member("store");
        let store = match raw.store {
            None if is_store_near => Some(None),
            store => {
                let store = self.faults.expect(&store_path, store, "the store that calls go to");
                store.and_then(|store| self.store(&store_path, store)).map(Some)
            }
        };
        let subject = match raw.subject {
            Some(segments) => self.claim_path(&path.member("subject"), segments),
            None => Some(ClaimPath::top("sub")),
        };
        let limits_path = path.member("limits");
        let max_body =
            self.bounded(&limits_path.member("body"), raw.limits.body, DEFAULT_BODY, MIN_BODY..=MAX_BODY);
        let bulk = self.bulk(&limits_path.member("bulk"), &raw.limits.bulk);
        let rate = match raw.limits.rate {
            Some(rate) => self.rate(&limits_path.member("rate"), rate),
            None => NonZeroU32::new(DEFAULT_RATE)
                .zip(NonZeroU32::new(DEFAULT_BURST))
                .map(|(per_second, burst)| Rate { per_second, burst }),
        };
        let tenants_path = path.member("tenants");
        if raw.tenants.is_empty() {
            self.faults
                .add(&tenants_path, "expected at least one tenant: without any, every call is refused");
        }
        let mut built = Built { catalog, ..Built::default() };
        for (name, tenant) in raw.tenants {
            let path = tenants_path.member(&name);
            self.tenant(&path, name, tenant, raw.base_url.as_deref(), rate, &mut built);
        }
        self.check_certificates_alone(&tenants_path, &built);
        let personal = match raw.audit.personal_data {
            Some(raw::PersonalData::Plain) => Personal::Plain,
            Some(raw::PersonalData::Masked) | None => Personal::Masked,
        };
        let Built { tenants, rules, sites, tokens, catalog } = built;
        let store = store?;
        let salt = store.as_ref().map(|store| store.key.digest("buckets")).unwrap_or_default();
        let policy = GatewayPolicy {
            catalog: catalog?,
            tenants,
            sites,
            tokens,
            store,
            max_body,
            bulk,
            personal,
            salt,
        };
        Some(ScimConfig { policy, rules, subject: subject? })
    }

    fn catalog(&mut self, path: &Path, schemas: &[Value], resource_types: &[Value]) -> Option<Arc<Catalog>> {
        match Catalog::with(schemas, resource_types) {
            Ok(catalog) => Some(Arc::new(catalog)),
            Err(error) => {
                for fault in error.faults() {
                    // Places are counted from `schemas` and `resourceTypes`; here they have names of their own.
                    let place = match fault.place.strip_prefix("resourceTypes") {
                        Some(place) => format!("resource_types{place}"),
                        None => fault.place.clone(),
                    };
                    self.faults.add(path, format_args!("{place}: {}", fault.problem));
                }
                None
            }
        }
    }

    fn store(&mut self, path: &Path, raw: raw::ScimStore) -> Option<StoreLink> {
        let base_path = raw.base_path.unwrap_or_else(|| DEFAULT_BASE_PATH.to_owned());
        if !is_base_path(&base_path) {
            let message =
                format_args!("expected a path such as \"/scim/v2\", or \"\", but found {base_path:?}");
            self.faults.add(&path.member("base_path"), message);
        }
        let gateway_path = path.member("gateway");
        let gateway =
            self.faults.expect(&gateway_path, raw.gateway, "what the gateway calls itself at the store");
        let gateway = gateway.filter(|name| self.check_name(&gateway_path, name));
        let key_path = path.member("key");
        let key = self.faults.expect(&key_path, raw.key, "the key that gateway and store share")?;
        let id = self.faults.expect(&key_path.member("id"), key.id, "the id of the key");
        let secret_path = key_path.member("secret");
        let secret = self.faults.expect(&secret_path, key.secret, "32 bytes or more in base64url");
        let secret = secret.and_then(|secret| self.secret(&secret_path, &secret)).and_then(|secret| {
            let decoded = base64url::decode(secret.as_bytes()).ok();
            if decoded.is_none() {
                // What was found may be most of the secret.
                self.faults.add(&secret_path, "expected 32 bytes or more in base64url without padding");
            }
            decoded
        });
        let key = self.faults.check(&key_path, CredentialKey::new(id?, secret?))?;
        Some(StoreLink { base_path, gateway: gateway?, key })
    }

    fn tenant(
        &mut self,
        path: &Path,
        name: String,
        raw: raw::ScimTenant,
        base_url: Option<&str>,
        rate: Option<Rate>,
        built: &mut Built,
    ) {
        let id = TenantId(built.tenants.len());
        let is_letter = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if !(1..=64).contains(&name.len()) || !name.bytes().all(is_letter) {
            let message = "expected the id of a tenant as the store has it, of 1 to 64 of a-z, 0-9 and -";
            self.faults.add(path, message);
        }
        let profile_path = path.member("profile");
        let profile = match raw.profile.as_deref() {
            None => Profile::default(),
            Some(text) => {
                let profile = Profile::from_name(text);
                if profile.is_none() {
                    let known: Vec<_> = Profile::ALL.into_iter().map(Profile::as_str).collect();
                    let known = known.join(", ");
                    self.faults
                        .add(&profile_path, format_args!("expected one of {known}, but found {text:?}"));
                }
                profile.unwrap_or_default()
            }
        };
        let own = raw.base_url.as_deref().or(base_url).map(|url| url.replace("{tenant}", &name));
        let base_url = self.base_url(path, own, raw.hosts, built);
        if raw.tokens.is_empty() && raw.jwt.is_none() && raw.certificates.is_empty() {
            self.faults.add(path, "expected tokens, jwt or certificates: without any, every call is refused");
        }
        let has_tokens = !raw.tokens.is_empty();
        self.tokens(&path.member("tokens"), raw.tokens, id, &mut built.tokens);
        let rule = raw.jwt.and_then(|require| {
            let all = self.requirement(&path.member("jwt"), require)?;
            if all.iter().any(|group| group.allow_missing) {
                self.faults.add(
                    &path.member("jwt"),
                    "expected no allow_missing: a call without a token is nobody's",
                );
            }
            let action = RuleAction::Require(Requirement { all, enforcement: Enforcement::Deny });
            built.rules.push(Rule { matches: RuleMatch::default(), action });
            built.rules.len().checked_sub(1)
        });
        let certificates = self.certificates(&path.member("certificates"), raw.certificates);
        let unknown = match raw.unknown_attributes {
            Some(raw::UnknownAttributes::Drop) => Unknown::Dropped,
            Some(raw::UnknownAttributes::Refuse) | None => Unknown::Refused,
        };
        let mappings = self.mappings(&path.member("attributes"), raw.attributes, built.catalog.as_deref());
        let rate = match raw.rate {
            Some(rate) => self.rate(&path.member("rate"), rate),
            None => rate,
        };
        built.tenants.push(Tenant {
            name,
            profile,
            unknown,
            mappings,
            base_url: base_url.unwrap_or_default(),
            rule,
            has_tokens,
            certificates,
            rate,
        });
    }

    /// The base URL of the next tenant, without a slash at its end; calls find their tenant by it.
    fn base_url(
        &mut self,
        path: &Path,
        url: Option<String>,
        hosts: Option<Vec<String>>,
        built: &mut Built,
    ) -> Option<String> {
        let id = TenantId(built.tenants.len());
        let place = path.member("base_url");
        let url =
            self.faults.expect(&place, url, "what clients call the service, here or in scim.base_url")?;
        let url = url.trim_end_matches('/').to_owned();
        let endpoint = self.faults.check(&place, Endpoint::parse(&url, ""))?;
        let beside_path = url.ends_with(&endpoint.authority);
        let site = if beside_path { "" } else { endpoint.path.as_str() };
        let is_path = site.is_empty()
            || NormalPath::parse(site.as_bytes())
                .is_ok_and(|path| path.as_str() == site && !site.contains('?'));
        if !is_path {
            let message = format_args!("expected a path without query and percent signs, but found {site:?}");
            self.faults.add(&place, message);
            return None;
        }
        match hosts {
            None => {
                let host = crate::policy::host_of(endpoint.authority.as_bytes());
                built.sites.add(std::str::from_utf8(host).ok(), site, id);
            }
            Some(hosts) if hosts.is_empty() => built.sites.add(None, site, id),
            Some(hosts) => {
                for (index, host) in hosts.iter().enumerate() {
                    match HostPattern::parse(host) {
                        Some(HostPattern::Exact(host)) => built.sites.add(Some(&host), site, id),
                        Some(HostPattern::Below(_)) | None => {
                            let message = format_args!(
                                "expected a host without port, such as \"scim.example.com\", not {host:?}"
                            );
                            self.faults.add(&path.member("hosts").item(index), message);
                        }
                    }
                }
            }
        }
        Some(url)
    }

    fn tokens(&mut self, path: &Path, raw: Vec<raw::ScimToken>, tenant: TenantId, tokens: &mut StaticTokens) {
        let mut names = Vec::new();
        for (index, raw) in raw.into_iter().enumerate() {
            let path = path.item(index);
            let (name, sha256) = self.named_digest(&path, raw.name, raw.sha256.as_deref());
            let expires_path = path.member("expires");
            let expires = raw
                .expires
                .as_deref()
                .and_then(|text| self.faults.check(&expires_path, DateTime::parse(text)));
            let (Some(name), Some(sha256)) = (name, sha256) else { continue };
            if names.contains(&name) {
                let message = format_args!("expected each name once, but found {name:?} again");
                self.faults.add(&path.member("name"), message);
            }
            names.push(name.clone());
            let token = StaticToken { tenant, name, expires: expires.map(Into::into) };
            if tokens.add(sha256, token).is_err() {
                self.faults
                    .add(&path.member("sha256"), "expected each token once: whose it is must be certain");
            }
        }
    }

    fn certificates(&mut self, path: &Path, raw: Vec<raw::ScimCertificate>) -> Vec<ClientCertificate> {
        let mut certificates = Vec::new();
        for (index, raw) in raw.into_iter().enumerate() {
            let path = path.item(index);
            let (name, sha256) = self.named_digest(&path, raw.name, raw.sha256.as_deref());
            certificates.extend(name.zip(sha256).map(|(name, sha256)| ClientCertificate { name, sha256 }));
        }
        certificates
    }

    /// What is known by a name of the operator's own and by its SHA-256.
    fn named_digest(
        &mut self,
        path: &Path,
        name: Option<String>,
        sha256: Option<&str>,
    ) -> (Option<String>, Option<[u8; 32]>) {
        let name_path = path.member("name");
        let name = self.faults.expect(&name_path, name, "a name of your own");
        let name = name.filter(|name| self.check_name(&name_path, name));
        (name, self.sha256(&path.member("sha256"), sha256))
    }

    /// Where several tenants are called the same, a token tells which is meant; a certificate alone does not.
    fn check_certificates_alone(&mut self, path: &Path, built: &Built) {
        for shared in built.sites.shared() {
            for tenant in shared.iter().filter_map(|id| built.tenants.get(id.0)) {
                if tenant.rule.is_none() && !tenant.has_tokens {
                    self.faults.add(
                        &path.member(&tenant.name),
                        "expected tokens or jwt, or a base_url of its own: a certificate alone does not tell tenants apart",
                    );
                }
            }
        }
    }

    fn sha256(&mut self, path: &Path, text: Option<&str>) -> Option<[u8; 32]> {
        let digest = text.and_then(|text| certificate_digest(text.as_bytes()));
        if text.is_some() && digest.is_none() {
            // What was found may be the token itself: it is not repeated.
            self.faults.add(path, "expected a SHA-256 in 64 hexadecimal digits");
        } else if text.is_none() {
            self.faults.add(path, "expected a SHA-256 in 64 hexadecimal digits, but found nothing");
        }
        digest
    }

    fn check_name(&mut self, path: &Path, name: &str) -> bool {
        let is_name = is_name(name);
        if !is_name {
            let message = format_args!("expected 1 to 64 of A-Z, a-z, 0-9, -, _ and ., but found {name:?}");
            self.faults.add(path, message);
        }
        is_name
    }

    fn bulk(&mut self, path: &Path, raw: &raw::ScimBulk) -> BulkLimits {
        let operations = path.member("max_operations");
        let size = path.member("max_payload_size");
        BulkLimits {
            max_operations: self.bounded(
                &operations,
                raw.max_operations,
                DEFAULT_OPERATIONS,
                1..=MAX_OPERATIONS,
            ),
            max_payload_size: self.bounded(&size, raw.max_payload_size, DEFAULT_BODY, MIN_BODY..=MAX_BODY),
        }
    }

    fn rate(&mut self, path: &Path, raw: raw::ScimRate) -> Option<Rate> {
        let mut number = |name: &str, number: Option<u64>| {
            let path = path.member(name);
            let number = self.faults.expect(&path, number, "a number of calls")?;
            let fits = NonZeroU32::new(u32::try_from(number.min(MAX_RATE)).ok()?);
            if fits.is_none() || number > MAX_RATE {
                self.faults.add(&path, format_args!("expected 1 to {MAX_RATE}, but found {number}"));
            }
            fits
        };
        let (per_second, burst) =
            (number("requests_per_second", raw.requests_per_second), number("burst", raw.burst));
        Some(Rate { per_second: per_second?, burst: burst? })
    }

    fn bounded(
        &mut self,
        path: &Path,
        number: Option<u64>,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> usize {
        let number = number.unwrap_or(default);
        if !range.contains(&number) {
            let message = format_args!("expected {} to {}, but found {number}", range.start(), range.end());
            self.faults.add(path, message);
        }
        usize::try_from(number).unwrap_or(usize::MAX)
    }
}

/// What comes of the tenants, one after the other.
#[derive(Default)]
struct Built {
    /// What resources there are, if that is known.
    catalog: Option<Arc<Catalog>>,
    tenants: Vec<Tenant>,
    rules: Vec<Rule>,
    sites: Sites,
    tokens: StaticTokens,
}

/// Segments after slashes, none at the end.
fn is_base_path(path: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let is_plain = path.bytes().all(is_letter) && !path.ends_with('/');
    path.is_empty() || is_plain && NormalPath::parse(path.as_bytes()).is_ok()
}
