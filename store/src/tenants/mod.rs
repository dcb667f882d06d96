//! Tenants, their bearer tokens, and the roles that they grant. Tenants and tokens are there before there is an audit trail, and are written
//! beside it; grants are in it.

mod cache;
mod roles;
mod token;

pub use token::{Token, TokenHash};

use crate::audit;
use crate::database::{Database, DatabaseError, Scope, WriteError};
use crate::sql::{Row, Statement};
use cache::{Cache, Found};
use doorward::scim::Profile;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The longest id of a tenant and name of a token, in bytes.
const MAX_NAME: usize = 64;
/// The longest name of a tenant, in bytes.
const MAX_TITLE: usize = 256;
/// How many uses of tokens wait at most for being written.
const MAX_USES: usize = 256;

/// Whose data is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id: lower-case letters, digits and `-`.
    pub id: String,
    /// For people.
    pub name: String,
    /// How its identity provider speaks.
    pub profile: Profile,
    /// When it was made, in microseconds since 1970 UTC.
    pub created: i64,
}

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its name, which is the actor in the audit trail.
    pub name: String,
    /// When it was made, in microseconds since 1970 UTC.
    pub created: i64,
    /// From when on it is refused, in microseconds since 1970 UTC.
    pub expires: Option<i64>,
    /// When it was used, in microseconds since 1970 UTC, give or take a minute.
    pub last_used: Option<i64>,
}

/// What a token gives access to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The tenant's id.
    pub tenant: String,
    /// How the tenant's identity provider speaks.
    pub profile: Profile,
    /// The token's name.
    pub token: String,
    /// From when on it is refused, in microseconds since 1970 UTC.
    pub expires: Option<i64>,
}

/// Why tenants and tokens are not as asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TenantError {
    /// Not the id of a tenant.
    #[error("expected the id of a tenant, of 1 to 64 of a-z, 0-9 and -, but found {0:?}")]
    BadId(String),
    /// Not the name of a tenant.
    #[error("expected the name of a tenant, of 1 to 256 bytes and without control characters")]
    BadTitle,
    /// Not the name of a token.
    #[error("expected the name of a token, of 1 to 64 of A-Z, a-z, 0-9, -, _ and ., but found {0:?}")]
    BadTokenName(String),
    /// A tenant of that id is there.
    #[error("expected a new id, but there is a tenant {0:?}")]
    TenantTaken(String),
    /// A token of that name is there.
    #[error("expected a new name, but the tenant has a token {0:?}")]
    TokenTaken(String),
    /// No tenant has that id.
    #[error("expected a tenant, but there is none of the id {0:?}")]
    NoTenant(String),
    /// The tenant has no token of that name.
    #[error("expected a token, but the tenant has none of the name {0:?}")]
    NoToken(String),
    /// Not the name of a role.
    #[error(
        "expected the name of a role, of 1 to 128 printable characters, without blanks around it, but found {0:?}"
    )]
    BadRole(String),
    /// Groups cannot be known by that.
    #[error(
        "expected the {0} of groups, of 1 to 512 bytes, without control characters and without blanks around it"
    )]
    BadGroup(&'static str),
    /// The tenant has as many grants as it may have.
    #[error("expected at most {0} grants of a tenant: revoke others first")]
    TooManyGrants(i64),
    /// The tenant has no such grant.
    #[error("expected a grant, but the role {0:?} is not granted to these groups")]
    NoGrant(String),
    /// The token would not be good for a moment.
    #[error("expected an expiry in the future")]
    ExpiresInThePast,
    /// The system gives no random octets.
    #[error("expected random octets of the system: {0}")]
    Random(String),
    /// The database did not do it.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// The tenants of a database.
#[derive(Debug)]
pub struct Tenants<D> {
    database: Arc<D>,
    cache: Mutex<Caches>,
}

#[derive(Debug, Default)]
struct Caches {
    tokens: Cache<TokenHash, Found>,
    /// Whether there are tenants of these ids.
    tenants: Cache<String, ()>,
    /// Whether these tenants have grants of roles.
    grants: Cache<String, ()>,
    /// Tokens, and when they were used, as far as that is to be written.
    uses: Vec<(TokenHash, i64)>,
}

impl<D: Database> Tenants<D> {
    /// Those of this one.
    pub fn new(database: Arc<D>) -> Self {
        Self { database, cache: Mutex::default() }
    }

    /// The database.
    pub fn database(&self) -> &Arc<D> {
        &self.database
    }

    /// Makes a tenant; `now` is in microseconds since 1970 UTC.
    ///
    /// # Errors
    /// [`TenantError`] if the id or the name is not one, or the id is in use.
    pub async fn create(
        &self,
        id: &str,
        name: &str,
        profile: Profile,
        now: i64,
    ) -> Result<Tenant, TenantError> {
        if !is_name(id, |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
            return Err(TenantError::BadId(id.to_owned()));
        }
        if name.is_empty() || name.len() > MAX_TITLE || name.chars().any(char::is_control) {
            return Err(TenantError::BadTitle);
        }
        let head = audit::Head::START;
        let insert = self
            .statement("INSERT INTO tenant (id, name, profile, created, sequence, hash) VALUES (")
            .bind(id)
            .sql(", ")
            .bind(name)
            .sql(", ")
            .bind(profile.as_str())
            .sql(", ")
            .bind(now)
            .sql(", ")
            .bind(head.sequence)
            .sql(", ")
            .bind(head.hash.to_vec())
            .sql(")");
        let made = self.administer(insert).await;
        self.cache().tenants.clear();
        match made? {
            Some(_) => Ok(Tenant { id: id.to_owned(), name: name.to_owned(), profile, created: now }),
            None => Err(TenantError::TenantTaken(id.to_owned())),
        }
    }

    /// Every tenant, in the order of their ids.
    ///
    /// # Errors
    /// [`TenantError::Database`].
    pub async fn list(&self) -> Result<Vec<Tenant>, TenantError> {
        let select = self.statement("SELECT id, name, profile, created FROM tenant ORDER BY id");
        Ok(self.rows(select).await?.iter().map(tenant).collect::<Result<_, _>>()?)
    }

    /// The tenant of that id.
    ///
    /// # Errors
    /// [`TenantError::NoTenant`] if there is none.
    pub async fn find(&self, id: &str) -> Result<Tenant, TenantError> {
        let select = self.statement("SELECT id, name, profile, created FROM tenant WHERE id = ").bind(id);
        let rows = self.rows(select).await?;
        let row = rows.first().ok_or_else(|| TenantError::NoTenant(id.to_owned()))?;
        Ok(tenant(row)?)
    }

    /// Removes a tenant with everything that is its own: tokens, resources, and the audit trail.
    ///
    /// # Errors
    /// [`TenantError::NoTenant`] if there is none of that id.
    pub async fn remove(&self, id: &str) -> Result<(), TenantError> {
        let changed = self.administer(self.statement("DELETE FROM tenant WHERE id = ").bind(id)).await;
        *self.cache() = Caches::default();
        match changed? {
            Some(true) => Ok(()),
            Some(false) | None => Err(TenantError::NoTenant(id.to_owned())),
        }
    }

    /// Makes a token, beside those that the tenant has. `now` and `expires` are in microseconds since 1970 UTC.
    ///
    /// # Errors
    /// [`TenantError`] if the name is not one or in use, or there is no such tenant.
    pub async fn issue(
        &self,
        tenant: &str,
        name: &str,
        expires: Option<i64>,
        now: i64,
    ) -> Result<Token, TenantError> {
        if !is_name(name, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
            return Err(TenantError::BadTokenName(name.to_owned()));
        }
        if expires.is_some_and(|expires| expires <= now) {
            return Err(TenantError::ExpiresInThePast);
        }
        self.find(tenant).await?;
        let token = Token::random().map_err(|error| TenantError::Random(error.to_string()))?;
        // Out of the table of tenants: one that was removed a moment ago gives no row, and not a fault of the database.
        let insert = self
            .statement("INSERT INTO token (tenant, hash, name, created, expires) SELECT id, ")
            .bind(token.hash().0.to_vec())
            .sql(", ")
            .bind(name)
            .sql(", ")
            .bind(now)
            .sql(", ")
            .bind(expires)
            .sql(" FROM tenant WHERE id = ")
            .bind(tenant);
        match self.administer(insert).await? {
            Some(true) => Ok(token),
            Some(false) => Err(TenantError::NoTenant(tenant.to_owned())),
            None => Err(TenantError::TokenTaken(name.to_owned())),
        }
    }

    /// The tokens of a tenant, in the order of their names.
    ///
    /// # Errors
    /// [`TenantError::NoTenant`] if there is no such tenant.
    pub async fn tokens(&self, tenant: &str) -> Result<Vec<TokenRecord>, TenantError> {
        self.find(tenant).await?;
        let select = self
            .statement("SELECT name, created, expires, last_used FROM token WHERE tenant = ")
            .bind(tenant)
            .sql(" ORDER BY name");
        let record = |row: &Row| {
            Ok::<_, DatabaseError>(TokenRecord {
                name: row.text(0)?.to_owned(),
                created: row.integer(1)?,
                expires: row.optional_integer(2)?,
                last_used: row.optional_integer(3)?,
            })
        };
        Ok(self.rows(select).await?.iter().map(record).collect::<Result<_, _>>()?)
    }

    /// Revokes a token: here at once, in other processes within five seconds.
    ///
    /// # Errors
    /// [`TenantError::NoToken`] if the tenant has none of that name.
    pub async fn revoke(&self, tenant: &str, name: &str) -> Result<(), TenantError> {
        self.find(tenant).await?;
        let delete =
            self.statement("DELETE FROM token WHERE tenant = ").bind(tenant).sql(" AND name = ").bind(name);
        let changed = self.administer(delete).await;
        self.cache().tokens.clear();
        match changed? {
            Some(true) => Ok(()),
            Some(false) | None => Err(TenantError::NoToken(name.to_owned())),
        }
    }

    /// What a token gives access to; nothing if it is unknown, revoked or expired. `now` is in microseconds since 1970 UTC. That it was
    /// used is noted, for [`write_uses`](Self::write_uses).
    ///
    /// # Errors
    /// [`DatabaseError`] if that cannot be said.
    pub async fn authenticate(&self, token: &str, now: i64) -> Result<Option<Arc<Access>>, DatabaseError> {
        let Some(token) = Token::from_text(token) else { return Ok(None) };
        let hash = token.hash();
        let known =
            self.cache().tokens.get(&hash, now).map(|found| found.map(|found| Arc::clone(&found.access)));
        let access = match known {
            Some(access) => access,
            None => {
                let found = self.look_up(&hash).await?;
                let access = found.as_ref().map(|found| Arc::clone(&found.access));
                self.cache().tokens.put(hash, found, now);
                access
            }
        };
        let access = access.filter(|access| access.expires.is_none_or(|expires| now < expires));
        if access.is_some() {
            let mut caches = self.cache();
            if caches.tokens.note_use(&hash, now) && caches.uses.len() < MAX_USES {
                caches.uses.push((hash, now));
            }
        }
        Ok(access)
    }

    /// Whether there is a tenant of that id, for whoever is let in without a token. One that another process made or removed is seen
    /// within five seconds. `now` is in microseconds since 1970 UTC.
    ///
    /// # Errors
    /// [`DatabaseError`] if that cannot be said.
    pub async fn exists(&self, id: &str, now: i64) -> Result<bool, DatabaseError> {
        let known = self.cache().tenants.get(id, now).map(|found| found.is_some());
        if let Some(known) = known {
            return Ok(known);
        }
        let select = self.statement("SELECT 1 FROM tenant WHERE id = ").bind(id);
        let found = self.rows(select).await?.first().map(|_| ());
        self.cache().tenants.put(id.to_owned(), found, now);
        Ok(found.is_some())
    }

    async fn look_up(&self, hash: &TokenHash) -> Result<Option<Found>, DatabaseError> {
        let select = self
            .statement(
                "SELECT token.hash, tenant.id, tenant.profile, token.name, token.expires, token.last_used FROM token \
                 JOIN tenant ON tenant.id = token.tenant WHERE token.hash = ",
            )
            .bind(hash.0.to_vec());
        let rows = self.rows(select).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        if !hash.is(row.blob(0)?) {
            return Ok(None);
        }
        let access = Access {
            tenant: row.text(1)?.to_owned(),
            profile: profile(row.text(2)?)?,
            token: row.text(3)?.to_owned(),
            expires: row.optional_integer(4)?,
        };
        Ok(Some(Found { access: Arc::new(access), last_used: row.optional_integer(5)? }))
    }

    /// Whether there are uses of tokens to write.
    pub fn has_uses(&self) -> bool {
        !self.cache().uses.is_empty()
    }

    /// Writes when tokens were used, as was noted since the last time. It is for whoever answers requests to call, where no request waits
    /// for it, nor fails because of it.
    ///
    /// # Errors
    /// [`DatabaseError`] if the database did not do it: then it is not tried again.
    pub async fn write_uses(&self) -> Result<(), DatabaseError> {
        let uses = std::mem::take(&mut self.cache().uses);
        let update = |(hash, now): (TokenHash, i64)| {
            self.statement("UPDATE token SET last_used = ")
                .bind(now)
                .sql(" WHERE hash = ")
                .bind(hash.0.to_vec())
        };
        let updates: Vec<Statement> = uses.into_iter().map(update).collect();
        if updates.is_empty() {
            return Ok(());
        }
        match self.database.administer(updates).await {
            Ok(_) => Ok(()),
            Err(WriteError::Database(error)) => Err(error),
            Err(error) => Err(DatabaseError::Failed(error.to_string())),
        }
    }

    fn statement(&self, text: &'static str) -> Statement {
        Statement::new(self.database.dialect(), text)
    }

    async fn rows(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        Ok(self.database.read(Scope::Service, vec![statement]).await?.pop().unwrap_or_default())
    }

    /// Whether anything changed; nothing if a value is in use.
    async fn administer(&self, statement: Statement) -> Result<Option<bool>, DatabaseError> {
        match self.database.administer(vec![statement]).await {
            Ok(changed) => Ok(Some(changed)),
            Err(WriteError::Taken) => Ok(None),
            Err(WriteError::Database(error)) => Err(error),
            Err(
                error @ (WriteError::Missing
                | WriteError::Conflict { .. }
                | WriteError::NothingFound(_)
                | WriteError::Dangling),
            ) => Err(DatabaseError::Failed(error.to_string())),
        }
    }

    fn cache(&self) -> MutexGuard<'_, Caches> {
        // An entry is whole whatever happened to who had the lock.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_name(text: &str, is_letter: impl Fn(u8) -> bool) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(is_letter)
}

fn tenant(row: &Row) -> Result<Tenant, DatabaseError> {
    let (id, name) = (row.text(0)?.to_owned(), row.text(1)?.to_owned());
    Ok(Tenant { id, name, profile: profile(row.text(2)?)?, created: row.integer(3)? })
}

fn profile(name: &str) -> Result<Profile, DatabaseError> {
    Profile::from_name(name)
        .ok_or_else(|| DatabaseError::Failed(format!("expected a tenant's profile, but found {name:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::{Sqlite, SqliteOptions};

    const NOW: i64 = 1_700_000_000_000_000;
    const SECOND: i64 = 1_000_000;

    fn run(test: impl AsyncFnOnce(Tenants<Sqlite>)) {
        let folder = tempfile::tempdir().unwrap();
        let database = Sqlite::open(&SqliteOptions::new(folder.path().join("store.db"))).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test(Tenants::new(Arc::new(database))));
    }

    #[test]
    fn tenants_are_made_listed_and_removed() {
        run(async |tenants| {
            let made = tenants.create("acme", "Acme Inc.", Profile::Okta, NOW).await.unwrap();
            tenants.create("a-1", "A", Profile::Rfc, NOW).await.unwrap();
            let listed = tenants.list().await.unwrap();
            assert_eq!((listed.len(), &listed[1]), (2, &made));
            let again = tenants.create("acme", "B", Profile::Rfc, NOW).await;
            assert_eq!(again, Err(TenantError::TenantTaken("acme".to_owned())));
            tenants.remove("acme").await.unwrap();
            assert_eq!(tenants.remove("acme").await, Err(TenantError::NoTenant("acme".to_owned())));
            assert_eq!(tenants.find("acme").await, Err(TenantError::NoTenant("acme".to_owned())));
        });
    }

    #[test]
    fn ids_and_names_are_checked() {
        run(async |tenants| {
            for id in ["", "Acme", "a b", "a/b", "é", &"a".repeat(65)] {
                let error = tenants.create(id, "A", Profile::Rfc, NOW).await.unwrap_err();
                assert_eq!(error, TenantError::BadId(id.to_owned()));
            }
            for name in ["", "a\n", &"a".repeat(257)] {
                let error = tenants.create("a", name, Profile::Rfc, NOW).await.unwrap_err();
                assert_eq!(error, TenantError::BadTitle);
            }
            tenants.create("a", "A", Profile::Rfc, NOW).await.unwrap();
            for name in ["", "a b", "a/b", &"a".repeat(65)] {
                let error = tenants.issue("a", name, None, NOW).await.unwrap_err();
                assert_eq!(error, TenantError::BadTokenName(name.to_owned()));
            }
            let past = tenants.issue("a", "t", Some(NOW), NOW).await;
            assert_eq!(past, Err(TenantError::ExpiresInThePast));
            let nobody = tenants.issue("b", "t", None, NOW).await;
            assert_eq!(nobody, Err(TenantError::NoTenant("b".to_owned())));
        });
    }

    #[test]
    fn a_tenant_has_several_tokens_until_they_expire_or_are_revoked() {
        run(async |tenants| {
            tenants.create("acme", "A", Profile::Entra, NOW).await.unwrap();
            let one = tenants.issue("acme", "one", None, NOW).await.unwrap();
            let other = tenants.issue("acme", "other", Some(NOW + SECOND), NOW).await.unwrap();
            let twice = tenants.issue("acme", "one", None, NOW).await;
            assert_eq!(twice, Err(TenantError::TokenTaken("one".to_owned())));
            let access = tenants.authenticate(one.reveal(), NOW).await.unwrap().unwrap();
            assert_eq!(
                (access.tenant.as_str(), access.profile, access.token.as_str()),
                ("acme", Profile::Entra, "one")
            );
            // Expiry is not for the cache to say.
            for (now, is_good) in [(NOW, true), (NOW + SECOND - 1, true), (NOW + SECOND, false)] {
                assert_eq!(
                    tenants.authenticate(other.reveal(), now).await.unwrap().is_some(),
                    is_good,
                    "{now}"
                );
            }
            tenants.revoke("acme", "one").await.unwrap();
            assert_eq!(tenants.authenticate(one.reveal(), NOW).await, Ok(None));
            assert_eq!(tenants.revoke("acme", "one").await, Err(TenantError::NoToken("one".to_owned())));
            let names: Vec<_> =
                tenants.tokens("acme").await.unwrap().into_iter().map(|token| token.name).collect();
            assert_eq!(names, ["other"]);
            tenants.remove("acme").await.unwrap();
            assert_eq!(tenants.authenticate(other.reveal(), NOW).await, Ok(None));
        });
    }

    #[test]
    fn a_token_that_nobody_issued_gives_no_access() {
        run(async |tenants| {
            assert_eq!(tenants.authenticate(Token::random().unwrap().reveal(), NOW).await, Ok(None));
            assert_eq!(tenants.authenticate("", NOW).await, Ok(None));
        });
    }

    #[test]
    fn a_token_is_asked_for_once_in_five_seconds() {
        run(async |tenants| {
            tenants.create("acme", "A", Profile::Rfc, NOW).await.unwrap();
            let token = tenants.issue("acme", "t", None, NOW).await.unwrap();
            assert!(tenants.authenticate(token.reveal(), NOW).await.unwrap().is_some());
            // Another process, with a cache of its own.
            Tenants::new(Arc::clone(&tenants.database)).revoke("acme", "t").await.unwrap();
            assert!(tenants.authenticate(token.reveal(), NOW + 5 * SECOND - 1).await.unwrap().is_some());
            assert!(tenants.authenticate(token.reveal(), NOW + 5 * SECOND).await.unwrap().is_none());
        });
    }

    #[test]
    fn a_tenant_is_asked_for_once_in_five_seconds() {
        run(async |tenants| {
            let other = Tenants::new(Arc::clone(&tenants.database));
            let exists = async |now| tenants.exists("acme", now).await.unwrap();
            assert!(!exists(NOW).await);
            other.create("acme", "A", Profile::Rfc, NOW).await.unwrap();
            assert!(!exists(NOW + 5 * SECOND - 1).await);
            assert!(exists(NOW + 5 * SECOND).await);
            other.remove("acme").await.unwrap();
            assert!(exists(NOW + 10 * SECOND - 1).await);
            assert!(!exists(NOW + 10 * SECOND).await);
            // What this process does is seen at once.
            tenants.create("acme", "A", Profile::Rfc, NOW).await.unwrap();
            assert!(exists(NOW + 10 * SECOND).await);
            tenants.remove("acme").await.unwrap();
            assert!(!exists(NOW + 10 * SECOND).await);
        });
    }

    #[test]
    fn the_last_use_is_written() {
        run(async |tenants| {
            tenants.create("acme", "A", Profile::Rfc, NOW).await.unwrap();
            let token = tenants.issue("acme", "t", None, NOW).await.unwrap();
            assert_eq!(tenants.tokens("acme").await.unwrap()[0].last_used, None);
            tenants.authenticate(token.reveal(), NOW + 7).await.unwrap();
            assert!(tenants.has_uses());
            tenants.write_uses().await.unwrap();
            assert_eq!(tenants.tokens("acme").await.unwrap()[0].last_used, Some(NOW + 7));
            // Once a minute.
            tenants.authenticate(token.reveal(), NOW + 8).await.unwrap();
            assert!(!tenants.has_uses());
        });
    }
}
