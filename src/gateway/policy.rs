//! A checked configuration: everything that the gateway's decisions depend on, but for time and for what tokens prove.

use super::credential::CredentialKey;
use super::mapping::Mappings;
use super::rate::Rate;
use super::site::Sites;
use crate::scim::{BulkLimits, Catalog, Profile, Unknown};
use crate::time::UnixTime;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

/// The gateway's configuration. Made by `config`, or by a test.
#[derive(Debug, Clone)]
pub struct GatewayPolicy {
    /// What resources there are.
    pub catalog: Arc<Catalog>,
    /// The tenants; [`TenantId`] is the place in this list.
    pub tenants: Vec<Tenant>,
    /// Which of them a request may be for.
    pub sites: Sites,
    /// The tokens of all tenants.
    pub tokens: StaticTokens,
    /// Where clean calls go; `None` if the host has the store itself, and tells it who calls.
    pub store: Option<StoreLink>,
    /// The longest body, in bytes.
    pub max_body: usize,
    /// How much a Bulk request may hold.
    pub bulk: BulkLimits,
    /// What audit lines show of persons.
    pub personal: Personal,
    /// What the names of buckets are made with: the same on all workers, and a secret ([`CredentialKey::digest`]). Without a store's key a
    /// host puts one of its own here.
    pub salt: [u8; 32],
}

/// The place of a tenant in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(pub usize);

/// Whose calls are taken.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its id, here and in the store.
    pub name: String,
    /// How its identity provider speaks.
    pub profile: Profile,
    /// What becomes of attributes that no schema has.
    pub unknown: Unknown,
    /// What its attributes are called.
    pub mappings: Mappings,
    /// What clients call its service, without a slash at the end: `https://scim.example.com/tenants/acme/scim/v2`.
    pub base_url: String,
    /// The rule of the [`AuthnPolicy`](crate::authn::AuthnPolicy) that its JWTs must meet; `None` if it has none.
    pub rule: Option<usize>,
    /// Whether some of [`GatewayPolicy::tokens`] are its own.
    pub has_tokens: bool,
    /// Certificates of which a client must show one, beside a token or alone; none if it is empty.
    pub certificates: Vec<ClientCertificate>,
    /// How many calls each of its actors may make; any number if there is none.
    pub rate: Option<Rate>,
}

/// A client certificate that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its name, which is the actor if the client shows nothing else.
    pub name: String,
    /// SHA-256 of its DER.
    pub sha256: [u8; 32],
}

/// Where clean calls go.
#[derive(Debug, Clone)]
pub struct StoreLink {
    /// The path below which the store answers, without a slash at the end: `/scim/v2`.
    pub base_path: String,
    /// What the gateway calls itself towards the store.
    pub gateway: String,
    /// What its word is sealed with.
    pub key: CredentialKey,
}

/// What audit lines show of persons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Personal {
    /// Subjects of tokens, and ids that are no UUIDs, by their hash.
    #[default]
    Masked,
    /// As they are.
    Plain,
}

/// Bearer tokens that are known by their hash.
#[derive(Clone, Default)]
pub struct StaticTokens(HashMap<[u8; 32], StaticToken>);

/// One of them, as one tenant has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticToken {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name, which is the actor.
    pub name: String,
    /// From when on it is refused.
    pub expires: Option<UnixTime>,
}

impl StaticTokens {
    /// Adds a token by its SHA-256.
    ///
    /// # Errors
    /// The tenant that has it already: whose a token is must be certain.
    pub fn add(&mut self, sha256: [u8; 32], token: StaticToken) -> Result<(), TenantId> {
        match self.0.entry(sha256) {
            Entry::Occupied(found) => Err(found.get().tenant),
            Entry::Vacant(place) => {
                place.insert(token);
                Ok(())
            }
        }
    }

    /// The names of a tenant's tokens that never expire.
    pub fn without_end(&self, tenant: TenantId) -> BTreeSet<&str> {
        let of_tenant = self.0.values().filter(|token| token.tenant == tenant && token.expires.is_none());
        of_tenant.map(|token| token.name.as_str()).collect()
    }

    /// The token of that hash. Looking a hash up tells by its time nothing of use: who can choose a hash cannot choose its token.
    pub(super) fn get(&self, sha256: &[u8; 32]) -> Option<&StaticToken> {
        self.0.get(sha256)
    }
}

impl fmt::Debug for StaticTokens {
    /// Hashes of tokens are not shown: they are what a guess would be compared with.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticTokens({})", self.0.len())
    }
}

impl GatewayPolicy {
    /// The tenant of that place.
    pub fn tenant(&self, id: TenantId) -> Option<&Tenant> {
        self.tenants.get(id.0)
    }
}
