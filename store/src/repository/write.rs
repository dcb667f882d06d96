//! Changes, as units.

use super::Repository;
use super::layout::{Column, Layout};
use crate::audit::Change;
use crate::database::{Database, Guard, Step, Unit, WriteError, Written};
use doorward::scim::Resource;
use serde::ser::{Serialize, SerializeMap, Serializer};

const META: &str = "meta";

/// A resource as it is to be kept.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its id.
    pub id: String,
    /// The name of its resource type.
    pub resource_type: String,
    /// For the column `user_name`.
    pub user_name: Option<String>,
    external_id: Option<String>,
    display_name: Option<String>,
    active: Option<bool>,
    label: Option<String>,
    /// Its attributes as JSON.
    pub data: String,
    emails: Vec<(String, Option<String>)>,
    /// Paths and values that no other resource may have.
    pub unique_values: Vec<(String, String)>,
}

/// What a create with an `Idempotency-Key` is answered.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The key.
    pub key: &'a str,
    /// SHA-256 of what was sent.
    pub fingerprint: &'a [u8],
    /// The body.
    pub response: &'a str,
    /// Answers to other keys from before this time, in microseconds since 1970 UTC, are forgotten.
    pub forget_before: i64,
}

/// What a change rests on, and what must be the same still when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis<'b> {
    /// Nothing: it can be made whatever there is.
    Nothing,
    /// The attributes that a resource had, as they are kept, whatever has become of its members: for a draft. If they are others, step 0
    /// finds nothing.
    Attributes(&'b str),
    /// The version that a resource had.
    Version(i64),
}

/// A change of the members of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberStep {
    /// These too.
    Add(Vec<String>),
    /// Not these.
    Remove(Vec<String>),
    /// Not these, and it is an error if none of them is a member.
    RemoveSome(Vec<String>),
    /// None.
    Clear,
}

impl Draft {
    /// What groups are known by: `displayName`, `externalId` and `id`, each as it is compared.
    pub fn keys(&self) -> [Option<&str>; 3] {
        [self.display_name.as_deref(), self.external_id.as_deref(), Some(&self.id)]
    }

    /// Of a resource that has an id, without what other tables have.
    pub fn of(resource: &Resource, layout: &Layout) -> Self {
        Self {
            id: resource.id().unwrap_or_default().to_owned(),
            resource_type: resource.resource_type().name().to_owned(),
            user_name: layout.text(resource, Column::UserName),
            external_id: layout.text(resource, Column::ExternalId),
            display_name: layout.text(resource, Column::DisplayName),
            active: layout.boolean(resource, Column::Active),
            label: layout.label(resource).map(str::to_owned),
            // Values have no maps with keys that are no texts, which is all that could fail.
            data: serde_json::to_string(&Kept(resource)).unwrap_or_default(),
            emails: layout.emails(resource),
            unique_values: layout.unique_values(resource),
        }
    }
}

/// A resource as it is kept: without `meta`, which columns have, and in the order of its schemas, `schemas` first.
struct Kept<'r>(&'r Resource);

impl Serialize for Kept<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.core().iter().filter(|(name, _)| &***name != META) {
            map.serialize_entry(&**name, value)?;
        }
        for (urn, complex) in self.0.extensions() {
            map.serialize_entry(&**urn, complex)?;
        }
        map.end()
    }
}

impl<D: Database> Repository<D> {
    /// Adds a resource.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn insert(
        &self,
        tenant: &str,
        draft: &Draft,
        members: Vec<MemberStep>,
        change: Change,
        answer: Option<Answered<'_>>,
    ) -> Result<Written, WriteError> {
        let insert = self
            .statement(
                "INSERT INTO resource (tenant, id, type, version, created, modified, user_name, external_id, \
                 display_name, active, label, data) VALUES (",
            )
            .bind_all([tenant, &draft.id, &draft.resource_type])
            .sql(", 1, ")
            .bind_all([change.time, change.time])
            .sql(", ")
            .bind_all([draft.user_name.clone(), draft.external_id.clone(), draft.display_name.clone()])
            .sql(", ")
            .bind(draft.active)
            .sql(", ")
            .bind_all([draft.label.clone(), Some(draft.data.clone())])
            .sql(")");
        let tally = self
            .statement("INSERT INTO tally (tenant, type, resources) VALUES (")
            .bind_all([tenant, &draft.resource_type])
            .sql(", 1) ON CONFLICT (tenant, type) DO UPDATE SET resources = tally.resources + 1");
        let mut steps = vec![Step::Required(insert), Step::Consequence(tally)];
        self.add_values(tenant, draft, &mut steps);
        for step in members {
            self.add_members(tenant, &draft.id, step, &mut steps);
        }
        if let Some(Answered { key, fingerprint, response, forget_before }) = answer {
            let forget = self
                .statement("DELETE FROM idempotency WHERE tenant = ")
                .bind(tenant)
                .sql(" AND created < ")
                .bind(forget_before);
            steps.push(Step::Consequence(forget));
            let keep = self
                .statement(
                    "INSERT INTO idempotency (tenant, key, id, response, fingerprint, created) VALUES (",
                )
                .bind_all([tenant, key, &draft.id, response])
                .sql(", ")
                .bind(fingerprint.to_vec())
                .sql(", ")
                .bind(change.time)
                .sql(")");
            steps.push(Step::Required(keep));
        }
        let unit = Unit { tenant: tenant.to_owned(), guard: Guard::New, steps, change };
        self.database.write(unit).await
    }

    /// Changes a resource: its attributes if there is a draft, and its members.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn update(
        &self,
        tenant: &str,
        draft: Option<&Draft>,
        members: Vec<MemberStep>,
        basis: Basis<'_>,
        change: Change,
    ) -> Result<Written, WriteError> {
        let mut steps = Vec::new();
        if let Some(draft) = draft {
            let update = self
                .statement("UPDATE resource SET user_name = ")
                .bind(draft.user_name.clone())
                .sql(", external_id = ")
                .bind(draft.external_id.clone())
                .sql(", display_name = ")
                .bind(draft.display_name.clone())
                .sql(", active = ")
                .bind(draft.active)
                .sql(", label = ")
                .bind(draft.label.clone())
                .sql(", data = ")
                .bind(draft.data.as_str())
                .sql(" WHERE tenant = ")
                .bind(tenant)
                .sql(" AND id = ")
                .bind(draft.id.as_str());
            let update = match basis {
                Basis::Attributes(data) => update.sql(" AND data = ").bind(data),
                Basis::Nothing | Basis::Version(_) => update,
            };
            steps.push(Step::Required(update));
            for delete in ["DELETE FROM email WHERE tenant = ", "DELETE FROM unique_value WHERE tenant = "] {
                let delete = self.statement(delete).bind(tenant).sql(" AND id = ").bind(draft.id.as_str());
                steps.push(Step::Consequence(delete));
            }
            self.add_values(tenant, draft, &mut steps);
        }
        for step in members {
            self.add_members(tenant, &change.id, step, &mut steps);
        }
        let count_up = self
            .statement("UPDATE resource SET version = version + 1, modified = ")
            .bind(change.time)
            .sql(" WHERE tenant = ")
            .bind(tenant)
            .sql(" AND id = ")
            .bind(change.id.as_str());
        steps.push(Step::Consequence(count_up));
        let expected = match basis {
            Basis::Version(version) => Some(version),
            Basis::Nothing | Basis::Attributes(_) => None,
        };
        let guard = self.guard(tenant, &change, expected);
        self.database.write(Unit { tenant: tenant.to_owned(), guard, steps, change }).await
    }

    /// Removes a resource. The groups that it was a member of have a new version.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn delete(
        &self,
        tenant: &str,
        expected: Option<i64>,
        change: Change,
    ) -> Result<Written, WriteError> {
        let groups = self
            .statement("UPDATE resource SET version = version + 1, modified = ")
            .bind(change.time)
            .sql(" WHERE tenant = ")
            .bind(tenant)
            .sql(" AND id IN (SELECT m.group_id FROM member m WHERE m.tenant = ")
            .bind(tenant)
            .sql(" AND m.value = ")
            .bind(change.id.as_str())
            .sql(")");
        let delete = self
            .statement("DELETE FROM resource WHERE tenant = ")
            .bind(tenant)
            .sql(" AND id = ")
            .bind(change.id.as_str());
        let tally = self
            .statement("UPDATE tally SET resources = resources - 1 WHERE tenant = ")
            .bind(tenant)
            .sql(" AND type = ")
            .bind(change.resource_type.as_str());
        let guard = self.guard(tenant, &change, expected);
        let steps = vec![Step::Change(groups), Step::Required(delete), Step::Consequence(tally)];
        self.database.write(Unit { tenant: tenant.to_owned(), guard, steps, change }).await
    }

    fn guard(&self, tenant: &str, change: &Change, expected: Option<i64>) -> Guard {
        let statement = self
            .statement("SELECT version FROM resource WHERE tenant = ")
            .bind(tenant)
            .sql(" AND id = ")
            .bind(change.id.as_str())
            .sql(" AND type = ")
            .bind(change.resource_type.as_str())
            .for_update();
        Guard::Version { statement, expected }
    }

    fn add_values(&self, tenant: &str, draft: &Draft, steps: &mut Vec<Step>) {
        for (position, (value, kind)) in (0_i64..).zip(&draft.emails) {
            let insert = self
                .statement("INSERT INTO email (tenant, id, value, kind, position) VALUES (")
                .bind_all([tenant, &draft.id, value])
                .sql(", ")
                .bind(kind.clone())
                .sql(", ")
                .bind(position)
                .sql(")");
            steps.push(Step::Consequence(insert));
        }
        for (attribute, value) in &draft.unique_values {
            let insert = self
                .statement("INSERT INTO unique_value (tenant, type, attribute, value, id) VALUES (")
                .bind_all([tenant, &draft.resource_type, attribute, value, &draft.id])
                .sql(")");
            steps.push(Step::Consequence(insert));
        }
    }

    fn add_members(&self, tenant: &str, group: &str, step: MemberStep, steps: &mut Vec<Step>) {
        let delete = || {
            self.statement("DELETE FROM member WHERE tenant = ")
                .bind(tenant)
                .sql(" AND group_id = ")
                .bind(group)
        };
        let remove = |values: &[String]| delete().sql(" AND value IN (").among(values).sql(")");
        let chunk = self.database().dialect().list();
        match step {
            MemberStep::Add(values) => {
                for chunk in values.chunks(chunk) {
                    // What is not there any more is not added: who asked was told before, or deleted it meanwhile.
                    let insert = self
                        .statement("INSERT INTO member (tenant, group_id, value) SELECT r.tenant, ")
                        .bind(group)
                        .sql(", r.id FROM resource r WHERE r.tenant = ")
                        .bind(tenant)
                        .sql(" AND r.id IN (")
                        .among(chunk)
                        .sql(") ON CONFLICT DO NOTHING");
                    steps.push(Step::Change(insert));
                }
            }
            MemberStep::Remove(values) => {
                steps.extend(values.chunks(chunk).map(|chunk| Step::Change(remove(chunk))));
            }
            MemberStep::RemoveSome(values) => {
                // One step: that one of them all is found is enough.
                steps.push(Step::Required(remove(&values)));
            }
            MemberStep::Clear => steps.push(Step::Change(delete())),
        }
    }
}
