//! What is in the database, past the store, and the audit trail followed.

use anyhow::{Context, Result, bail, ensure};
use doorward_store::audit::{Head, Operation, Record};
use doorward_store::database::{Database, Postgres, Scope};
use doorward_store::sql::{Cell, Dialect, Row, Statement};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Reads the database. Of SQLite's file nothing is kept open: who starts after a crash finds it as it was left.
pub(crate) enum Reader {
    Sqlite(PathBuf),
    Postgres(Box<Postgres>),
}

/// Everything of a tenant, as of one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    /// By id.
    pub(crate) resources: BTreeMap<String, Kept>,
    pub(crate) head: Head,
}

/// A resource.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    pub(crate) resource_type: String,
    pub(crate) version: i64,
    pub(crate) data: Value,
    /// The column beside the data.
    pub(crate) external_id: Option<String>,
    /// The rows beside the data.
    pub(crate) emails: Vec<String>,
    /// Of a group, by id.
    pub(crate) members: BTreeSet<String>,
}

impl Reader {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(database) => database.dialect(),
        }
    }

    /// The rows of each statement, as of one moment.
    pub(crate) async fn read(&self, tenant: &str, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>> {
        let path = match self {
            Self::Sqlite(path) => path,
            Self::Postgres(database) => return Ok(database.read(Scope::Tenant(tenant), statements).await?),
        };
        let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let transaction = connection.transaction()?;
        let mut all = Vec::new();
        for statement in &statements {
            let mut prepared = transaction.prepare(statement.text())?;
            let columns = prepared.column_count();
            let mut found = prepared.query(rusqlite::params_from_iter(statement.parameters()))?;
            let mut rows = Vec::new();
            while let Some(row) = found.next()? {
                let cells = (0..columns).map(|column| row.get_ref(column).map(Cell::from));
                rows.push(Row(cells.collect::<Result<_, _>>()?));
            }
            all.push(rows);
        }
        Ok(all)
    }

    fn of_tenant(&self, text: &'static str, tenant: &str) -> Statement {
        Statement::new(self.dialect(), text).bind(tenant)
    }

    pub(crate) async fn state(&self, tenant: &str) -> Result<State> {
        let select = [
            "SELECT id, type, version, data, external_id FROM resource WHERE tenant = ",
            "SELECT id, value, position FROM email WHERE tenant = ",
            "SELECT group_id, value FROM member WHERE tenant = ",
            "SELECT sequence, hash FROM tenant WHERE id = ",
            "SELECT type, resources FROM tally WHERE tenant = ",
        ];
        let mut statements: Vec<_> = select.map(|text| self.of_tenant(text, tenant)).into();
        statements[1] = statements[1].clone().sql(" ORDER BY id, position");
        let rows = self.read(tenant, statements).await?;
        let mut resources = BTreeMap::new();
        for row in &rows[0] {
            let kept = Kept {
                resource_type: row.text(1)?.to_owned(),
                version: row.integer(2)?,
                data: serde_json::from_str(row.text(3)?)?,
                external_id: row.optional_text(4)?.map(str::to_owned),
                emails: Vec::new(),
                members: BTreeSet::new(),
            };
            resources.insert(row.text(0)?.to_owned(), kept);
        }
        for row in &rows[1] {
            let kept = resources.get_mut(row.text(0)?).context("expected the resource of an address")?;
            kept.emails.push(row.text(1)?.to_owned());
        }
        for row in &rows[2] {
            let group = resources.get_mut(row.text(0)?).context("expected the group of a member")?;
            group.members.insert(row.text(1)?.to_owned());
        }
        for row in &rows[4] {
            let (name, told) = (row.text(0)?, row.integer(1)?);
            let count = resources.values().filter(|kept| kept.resource_type == name).count();
            ensure!(
                usize::try_from(told)? == count,
                "expected a tally of {count} of {name}, but found {told}"
            );
        }
        let head = rows[3].first().context("expected the tenant")?;
        let hash = head.blob(1)?.try_into().context("expected a hash of 32 octets")?;
        Ok(State { resources, head: Head { sequence: head.integer(0)?, hash } })
    }

    /// Everything that is kept of a tenant, row by row, but for the last use of its tokens.
    pub(crate) async fn everything(&self, tenant: &str) -> Result<Vec<Vec<Row>>> {
        let tables = [
            ("SELECT * FROM tenant WHERE id = ", ""),
            ("SELECT hash, name, created, expires FROM token WHERE tenant = ", " ORDER BY hash"),
            ("SELECT * FROM resource WHERE tenant = ", " ORDER BY id"),
            ("SELECT * FROM email WHERE tenant = ", " ORDER BY id, position"),
            ("SELECT * FROM unique_value WHERE tenant = ", " ORDER BY type, attribute, value"),
            ("SELECT * FROM member WHERE tenant = ", " ORDER BY group_id, value"),
            ("SELECT * FROM change WHERE tenant = ", " ORDER BY sequence"),
            ("SELECT * FROM idempotency WHERE tenant = ", " ORDER BY key"),
            ("SELECT * FROM tally WHERE tenant = ", " ORDER BY type"),
            ("SELECT * FROM role_grant WHERE tenant = ", " ORDER BY role, known_by, value"),
        ];
        let statements = tables.map(|(select, order)| self.of_tenant(select, tenant).sql(order));
        self.read(tenant, statements.into()).await
    }
}

/// The audit trail, followed so far, and the versions that it says resources have.
#[derive(Debug)]
pub(crate) struct Trail {
    head: Head,
    versions: BTreeMap<String, i64>,
}

impl Trail {
    pub(crate) fn new() -> Self {
        Self { head: Head::START, versions: BTreeMap::new() }
    }

    /// Follows it from where it was left; answers the new records. Every change of every resource has exactly one of them: what they say
    /// comes to the versions that resources have. (A member that is deleted changes its groups without a record of theirs; tests that
    /// follow the trail delete none.)
    pub(crate) async fn follow(
        &mut self,
        reader: &Reader,
        tenant: &str,
        state: &State,
    ) -> Result<Vec<Record>> {
        let select = reader.of_tenant("SELECT sequence, record, hash FROM change WHERE tenant = ", tenant);
        let select = select.sql(" AND sequence > ").bind(self.head.sequence).sql(" ORDER BY sequence");
        let rows = reader.read(tenant, vec![select]).await?.pop().unwrap_or_default();
        let mut records = Vec::new();
        for row in &rows {
            let text = row.text(1)?;
            let head = self.head.after(text);
            ensure!(
                row.integer(0)? == head.sequence && row.blob(2)? == head.hash,
                "expected record {} to follow",
                head.sequence
            );
            self.head = head;
            let record: Record = serde_json::from_str(text)?;
            ensure!(record.sequence == head.sequence && record.tenant == tenant, "expected ours: {text}");
            self.take(&record)?;
            records.push(record);
        }
        ensure!(
            self.head == state.head,
            "expected the last record to be the head: {:?}, {:?}",
            self.head,
            state.head
        );
        let kept = state.resources.iter().map(|(id, kept)| (id.clone(), kept.version));
        let kept: BTreeMap<String, i64> = kept.collect();
        for (id, version) in &kept {
            let said = self.versions.get(id);
            ensure!(
                said == Some(version),
                "expected a record for each change of {id}: {said:?} but it has {version}"
            );
        }
        ensure!(kept.len() == self.versions.len(), "expected nothing to be gone without a record");
        Ok(records)
    }

    fn take(&mut self, record: &Record) -> Result<()> {
        let known = self.versions.get(&record.id).copied();
        ensure!(record.version_before == known, "expected {known:?} before {record:?}");
        let after = match (record.operation, known) {
            (Operation::Create, None) => Some(1),
            (Operation::Replace | Operation::Patch, Some(known)) => Some(known + 1),
            (Operation::Delete, Some(_)) => None,
            // Of no resource.
            (Operation::Grant | Operation::Revoke, None) => None,
            (Operation::Create | Operation::Grant | Operation::Revoke, Some(_)) | (_, None) => {
                bail!("expected another operation: {record:?}")
            }
        };
        ensure!(record.version_after == after, "expected {after:?} after {record:?}");
        self.versions.remove(&record.id);
        self.versions.extend(after.map(|after| (record.id.clone(), after)));
        Ok(())
    }
}
