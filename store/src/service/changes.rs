//! The change feed: what has changed, in order, and where to go on from.

use super::represent::{location, version};
use super::roles::GROUP;
use super::{Context, Request, Response, Service, unavailable};
use crate::audit::{Granting, Head, Moved, Operation, Record};
use crate::database::{Database, DatabaseError, Scope, chain};
use crate::role::GroupKey;
use crate::sql::{Row, Statement};
use doorward::scim::{DateTime, ScimError, ScimType};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The longest that a request may wait for a change.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How many octets of a record's hash a place has.
const MARK: usize = 8;
/// What stands for the place after the last change.
const LATEST: &str = "latest";

/// A place in a tenant's feed: after how many changes, and of which history. A database that was restored from an older copy has
/// another one, and whoever reads the feed must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    sequence: i64,
    /// The first octets of the last change's hash.
    mark: [u8; MARK],
}

impl Place {
    const START: Self = Self { sequence: 0, mark: [0; MARK] };

    fn of(sequence: i64, hash: &[u8]) -> Self {
        let mut mark = [0; MARK];
        for (to, from) in mark.iter_mut().zip(hash) {
            *to = *from;
        }
        Self { sequence, mark }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-", self.sequence)?;
        self.mark.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (sequence, mark) = text.split_once('-').ok_or(())?;
        let is_plain = mark.len() == 2 * MARK && mark.bytes().all(|octet| octet.is_ascii_hexdigit());
        let mark = u64::from_str_radix(mark, 16).ok().filter(|_| is_plain).ok_or(())?;
        let sequence = sequence.parse().ok().filter(|sequence| *sequence >= 0).ok_or(())?;
        Ok(Self { sequence, mark: mark.to_be_bytes() })
    }
}

/// What `GET /changes` asks for.
struct Question {
    /// From the start if absent.
    since: Option<String>,
    count: usize,
    wait: Duration,
}

/// The answer.
#[derive(Serialize)]
struct Page {
    changes: Vec<Entry>,
    /// The place after them.
    next: String,
    /// Whether there are more already.
    more: bool,
}

/// A change, as the feed tells it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    sequence: i64,
    time: Option<String>,
    operation: Operation,
    resource_type: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    /// None of what is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    attributes: Vec<String>,
    /// Of a user those that are granted, of a group those that it grants or granted, of a grant its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<String>>,
    /// Of a grant: which groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<GroupKey>,
    /// Whose roles may be others, of what is no user.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Moved>,
}

/// The roles of what the changes of a page are about.
#[derive(Default)]
struct Roles {
    has_grants: bool,
    /// By the ids of users.
    users: HashMap<String, Vec<String>>,
    /// By the ids of groups.
    groups: HashMap<String, Vec<String>>,
}

/// Who waits for a change of which tenant.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<HashMap<String, watch::Sender<()>>>);

impl Watchers {
    /// Waits for the next change.
    pub(super) fn watch(&self, tenant: &str) -> watch::Receiver<()> {
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Of tenants that nobody waits for any more.
        senders.retain(|_, sender| sender.receiver_count() > 0);
        senders.entry(tenant.to_owned()).or_insert_with(|| watch::channel(()).0).subscribe()
    }

    /// There was a change.
    pub(super) fn tell(&self, tenant: &str) {
        let senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = senders.get(tenant) {
            sender.send_replace(());
        }
    }
}

impl<D: Database> Service<D> {
    /// Ends when something of a tenant has changed by way of this process.
    pub fn watch(&self, tenant: &str) -> watch::Receiver<()> {
        self.watchers.watch(tenant)
    }

    pub(super) async fn changes(
        &self,
        context: &Context,
        request: &Request<'_>,
    ) -> Result<Response, ScimError> {
        let question = self.question(request.query)?;
        let page = match question.since.as_deref() {
            Some(LATEST) => {
                let next = self.latest(context).await.map_err(|error| unavailable(&error))?;
                Page { changes: Vec::new(), next: next.to_string(), more: false }
            }
            since => self.page_since(context, since, question.count).await?,
        };
        let waits = (page.changes.is_empty() && question.since.as_deref() != Some(LATEST))
            .then_some(question.wait)
            .filter(|wait| !wait.is_zero());
        let body = serde_json::to_vec(&page).map_err(|error| ScimError::new(500, error.to_string()))?;
        let headers = vec![("content-type", "application/json".to_owned())];
        Ok(Response { status: 200, headers, body: Some(body), rest: None, waits })
    }

    fn question(&self, query: &str) -> Result<Question, ScimError> {
        let mut question =
            Question { since: None, count: self.settings.pages.default_count, wait: Duration::ZERO };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let wrong = |expected: &str| {
                let detail = format!("{name}: expected {expected}, but found {value:?}");
                ScimError::bad_request(ScimType::InvalidValue, detail)
            };
            match name {
                "since" => question.since = Some(value.to_owned()),
                "count" => {
                    let count = value.parse::<usize>().ok().filter(|count| *count > 0);
                    let count = count.ok_or_else(|| wrong("a number from 1 on"))?;
                    question.count = count.min(self.settings.pages.max_count);
                }
                "wait" => {
                    let seconds = value.parse().map(Duration::from_secs);
                    let wait = seconds.ok().filter(|wait| *wait <= LONGEST_WAIT);
                    question.wait = wait.ok_or_else(|| wrong("seconds from 0 to 60"))?;
                }
                _ => {
                    let detail = format!("expected since, count and wait, but found {name:?}");
                    return Err(ScimError::new(400, detail));
                }
            }
        }
        Ok(question)
    }

    async fn latest(&self, context: &Context) -> Result<Place, DatabaseError> {
        let database = self.repository.database();
        let ask = chain::head(database.dialect(), &context.tenant);
        let rows = database.read(Scope::Tenant(&context.tenant), vec![ask]).await?.pop().unwrap_or_default();
        let Head { sequence, hash } = chain::read_head(&rows)?.unwrap_or(Head::START);
        Ok(Place::of(sequence, &hash))
    }

    async fn page_since(
        &self,
        context: &Context,
        since: Option<&str>,
        count: usize,
    ) -> Result<Page, ScimError> {
        let since = match since.unwrap_or_default() {
            "" => Place::START,
            text => text.parse().map_err(|()| {
                ScimError::bad_request(
                    ScimType::InvalidValue,
                    format!("since: expected what `next` said, or {LATEST:?}, but found {text:?}"),
                )
            })?,
        };
        let (rows, has_grants) =
            self.records(context, since, count).await.map_err(|error| unavailable(&error))?;
        let is_new = |row: &Row| row.integer(0).map(|sequence| sequence > since.sequence);
        let broken =
            |error: &dyn fmt::Display| ScimError::new(500, format!("expected a record, but found {error}"));
        // The change that the place is after must be there, and the same.
        let mut before = Place::START;
        let (mut records, mut next, mut more) = (Vec::new(), since, false);
        for row in &rows {
            let found = row.integer(0).and_then(|sequence| Ok(Place::of(sequence, row.blob(2)?)));
            let found = found.map_err(|error| broken(&error))?;
            if !is_new(row).map_err(|error| broken(&error))? {
                before = found;
            } else if records.len() < count {
                let text = row.text(1).map_err(|error| broken(&error))?;
                let record: Record = serde_json::from_str(text).map_err(|error| broken(&error))?;
                records.push(record);
                next = found;
            } else {
                more = true;
            }
        }
        if before != since {
            return Err(ScimError::new(
                410,
                "since: this history has no such place, as after a database was restored: begin again",
            ));
        }
        let roles = if has_grants { self.roles_of(context, &records).await? } else { Roles::default() };
        let changes = records.into_iter().map(|record| self.entry(context, record, &roles)).collect();
        Ok(Page { changes, next: next.to_string(), more })
    }

    async fn roles_of(&self, context: &Context, records: &[Record]) -> Result<Roles, ScimError> {
        // Whoever was told of a grant sees its roles here.
        self.tenants.note_grants(&context.tenant, true, context.now);
        let ids = |is_wanted: &dyn Fn(&Record) -> bool| -> Vec<&str> {
            let wanted = records.iter().filter(|record| is_wanted(record)).map(|record| record.id.as_str());
            wanted.collect::<BTreeSet<_>>().into_iter().collect()
        };
        let users = ids(&|record| self.has_roles(record));
        let groups = ids(&|record| is_group(record));
        let tenant = context.tenant.as_str();
        let users = self.repository.roles(tenant, &users).await.map_err(|error| unavailable(&error))?;
        let groups =
            self.repository.granted_by(tenant, &groups).await.map_err(|error| unavailable(&error))?;
        Ok(Roles { has_grants: true, users, groups })
    }

    /// Whether it is of a user.
    fn has_roles(&self, record: &Record) -> bool {
        let layout = self.layouts.get(&record.resource_type).filter(|_| !is_grant(record));
        layout.is_some_and(|layout| layout.roles().is_some())
    }

    /// The record of a place, and those after it, one more than asked for; and whether the tenant has grants.
    async fn records(
        &self,
        context: &Context,
        since: Place,
        count: usize,
    ) -> Result<(Vec<Row>, bool), DatabaseError> {
        let database = self.repository.database();
        let limit = i64::try_from(count).unwrap_or(i64::MAX).saturating_add(2);
        let select =
            Statement::new(database.dialect(), "SELECT sequence, record, hash FROM change WHERE tenant = ")
                .bind(context.tenant.as_str())
                .sql(" AND sequence >= ")
                .bind(since.sequence)
                .sql(" ORDER BY sequence LIMIT ")
                .bind(limit);
        let scope = Scope::Tenant(&context.tenant);
        let grants = self.tenants.grants_statement(&context.tenant);
        let mut found = database.read(scope, vec![select, grants]).await?.into_iter();
        let mut rows = || found.next().unwrap_or_default();
        Ok((rows(), !rows().is_empty()))
    }

    fn entry(&self, context: &Context, record: Record, known_roles: &Roles) -> Entry {
        let (roles, members) = if self.has_roles(&record) {
            let found = || known_roles.users.get(&record.id).cloned().unwrap_or_default();
            (known_roles.has_grants.then(found), None)
        } else {
            of_group(&record, known_roles).unzip()
        };
        let group = record.granting.as_ref().and_then(|granting| granting.group.clone());
        let Record { sequence, time, operation, resource_type, id, version_after, attributes, .. } = record;
        let known = self.catalog.resource_type(&resource_type).filter(|_| version_after.is_some());
        Entry {
            sequence,
            time: DateTime::from_unix_micros(time).map(|time| time.to_string()),
            operation,
            location: known.map(|known| location(context, known, &id)),
            version: version_after.map(|number| version(number).to_string()),
            resource_type,
            id,
            attributes,
            roles,
            group,
            members,
        }
    }
}

fn is_grant(record: &Record) -> bool {
    matches!(record.operation, Operation::Grant | Operation::Revoke)
}

fn is_group(record: &Record) -> bool {
    record.resource_type == GROUP && !is_grant(record)
}

/// The roles that a group grants or granted, as far as is known, and whose they may be; those of a grant likewise.
fn of_group(record: &Record, known_roles: &Roles) -> Option<(Vec<String>, Moved)> {
    let Some(Granting { roles, members, .. }) = &record.granting else {
        // It grants something since, or did so and the process that changed it did not know yet.
        let roles = known_roles.groups.get(&record.id).filter(|_| is_group(record))?;
        return Some((roles.clone(), Moved::MANY));
    };
    let now = known_roles.groups.get(&record.id).filter(|_| is_group(record));
    let roles: BTreeSet<&String> = roles.iter().chain(now.into_iter().flatten()).collect();
    Some((roles.into_iter().cloned().collect(), members.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place = Place::of(70, &[1, 2, 3, 4, 5, 6, 7, 0xff, 9]);
        assert_eq!(place.to_string(), "70-01020304050607ff");
        assert_eq!(place.to_string().parse(), Ok(place));
        assert_eq!(Place::START.to_string().parse(), Ok(Place::START));
        for text in [
            "",
            "70",
            "70-",
            "-1-01020304050607ff",
            "70-+1020304050607ff",
            "70-01020304050607ff0",
            "x-01020304050607ff",
        ] {
            assert_eq!(text.parse::<Place>(), Err(()), "{text}");
        }
    }

    #[test]
    fn who_waits_is_told_and_forgotten() {
        let watchers = Watchers::default();
        let one = watchers.watch("a");
        watchers.tell("b");
        assert!(!one.has_changed().unwrap());
        watchers.tell("a");
        assert!(one.has_changed().unwrap());
        drop(one);
        let other = watchers.watch("b");
        assert_eq!(watchers.0.lock().unwrap().len(), 1);
        assert!(!other.has_changed().unwrap());
    }
}
