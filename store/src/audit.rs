//! The audit trail: a record of every change, chained by hashes so that one that is taken out or altered shows.

use crate::role::GroupKey;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The hash of a record and of all before it: SHA-256.
pub type ChainHash = [u8; 32];

/// Before the first record of a tenant.
pub const START: ChainHash = [0; 32];

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A resource was added.
    Create,
    /// A resource was replaced as a whole (PUT).
    Replace,
    /// A resource was changed in parts (PATCH).
    Patch,
    /// A resource was removed.
    Delete,
    /// A role was granted to the members of groups.
    Grant,
    /// A role is granted to the members of groups no more.
    Revoke,
}

/// Who did something, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// Who: the name of a bearer token, what a gateway says, or by what way an operator came.
    pub actor: String,
    /// The address that the request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The request's id, as in its response and in the log.
    pub request_id: String,
}

/// What a change has to do with roles: those that a group grants or granted, or the one of a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granting {
    /// The names of the roles.
    pub roles: Vec<String>,
    /// Which groups, of a change of grants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupKey>,
    /// Whose roles the change may have changed.
    pub members: Moved,
}

/// Who came to a group, and who left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Moved {
    /// These: all who came, and perhaps some who were there; all who left, and perhaps some who were not there.
    Listed {
        /// The ids of those who came.
        added: Vec<String>,
        /// The ids of those who left.
        removed: Vec<String>,
    },
    /// More than are listed, or all, or it is not known.
    Unlisted(Unlisted),
}

/// The word for those who are not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unlisted {
    /// They may be many.
    Many,
}

impl Moved {
    /// Whoever.
    pub const MANY: Self = Self::Unlisted(Unlisted::Many);
    /// Nobody.
    pub const NOBODY: Self = Self::Listed { added: Vec::new(), removed: Vec::new() };
}

/// A change, before it is known which of the tenant's it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When, in microseconds since 1970 UTC.
    pub time: i64,
    /// Who.
    pub origin: Origin,
    /// What.
    pub operation: Operation,
    /// The resource type's name.
    pub resource_type: String,
    /// The resource's id.
    pub id: String,
    /// The attributes that were changed, by their paths.
    pub attributes: Vec<String>,
    /// The new values of those attributes whose values are recorded; null where there is none any more.
    pub values: BTreeMap<String, Json>,
    /// What it has to do with roles, if anything.
    pub granting: Option<Granting>,
}

/// A change as it is kept, and told by the change feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its place among the tenant's changes, from 1, without gaps.
    pub sequence: i64,
    /// Whose resource it is.
    pub tenant: String,
    /// When, in microseconds since 1970 UTC.
    pub time: i64,
    /// Who.
    #[serde(flatten)]
    pub origin: Origin,
    /// What.
    pub operation: Operation,
    /// The resource type's name.
    pub resource_type: String,
    /// The resource's id.
    pub id: String,
    /// The version before; none of what is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_before: Option<i64>,
    /// The version after; none of what is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_after: Option<i64>,
    /// The attributes that were changed, by their paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
    /// The new values of those attributes whose values are recorded; null where there is none any more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Json>,
    /// What the change has to do with roles, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granting: Option<Granting>,
}

/// A tenant's last record: what the next one is chained to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its place; 0 before the first.
    pub sequence: i64,
    /// Its hash.
    pub hash: ChainHash,
}

impl Head {
    /// Before the first record.
    pub const START: Self = Self { sequence: 0, hash: START };

    /// The head after a record of this text, which [`Record`] serializes to.
    #[must_use]
    pub fn after(&self, record: &str) -> Self {
        let hash = Sha256::new().chain_update(self.hash).chain_update(record.as_bytes()).finalize();
        Self { sequence: self.sequence.saturating_add(1), hash: hash.into() }
    }
}

/// Where a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Records are missing, or there are too many.
    #[error("expected record {expected}, but found record {found}")]
    Gap {
        /// The place that is next.
        expected: i64,
        /// The place that was found.
        found: i64,
    },
    /// A record is not what was written, or one before it is not.
    #[error("record {0} was altered, or one before it was")]
    Altered(i64),
    /// The chain ends before the place that the tenant's last change has.
    #[error("expected records up to {expected}, but the last one is {found}")]
    Short {
        /// The place of the last change.
        expected: i64,
        /// The place of the last record.
        found: i64,
    },
}

/// Follows a chain, record after record.
#[derive(Debug)]
pub struct Verification(Head);

impl Verification {
    /// From the first record on.
    #[must_use]
    pub fn new() -> Self {
        Self(Head::START)
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// [`ChainError`] if it does not follow.
    pub fn follow(&mut self, sequence: i64, record: &str, hash: &[u8]) -> Result<(), ChainError> {
        let next = self.0.after(record);
        if sequence != next.sequence {
            return Err(ChainError::Gap { expected: next.sequence, found: sequence });
        }
        let said: Option<Record> = serde_json::from_str(record).ok();
        if hash != next.hash || said.is_none_or(|said| said.sequence != sequence) {
            return Err(ChainError::Altered(sequence));
        }
        self.0 = next;
        Ok(())
    }

    /// Compares the end with the head that the tenant has; answers how many records there are.
    ///
    /// # Errors
    /// [`ChainError`] if it is another one.
    pub fn finish(self, head: Head) -> Result<i64, ChainError> {
        if self.0.sequence != head.sequence {
            return Err(ChainError::Short { expected: head.sequence, found: self.0.sequence });
        }
        if self.0.hash != head.hash {
            return Err(ChainError::Altered(head.sequence));
        }
        Ok(head.sequence)
    }
}

impl Default for Verification {
    fn default() -> Self {
        Self::new()
    }
}

impl Change {
    /// The version that the resource has after the change; none if it is gone.
    pub fn version_after(&self, before: Option<i64>) -> Option<i64> {
        match self.operation {
            // A grant is no resource.
            Operation::Delete | Operation::Grant | Operation::Revoke => None,
            Operation::Create | Operation::Replace | Operation::Patch => {
                Some(before.unwrap_or_default().saturating_add(1))
            }
        }
    }

    /// The record of the change, next after `head`.
    pub fn record(&self, tenant: &str, head: &Head, version_before: Option<i64>) -> Record {
        let Self { time, origin, operation, resource_type, id, attributes, values, granting } = self.clone();
        let version_after = self.version_after(version_before);
        let sequence = head.sequence.saturating_add(1);
        let tenant = tenant.to_owned();
        Record {
            sequence,
            tenant,
            time,
            origin,
            operation,
            resource_type,
            id,
            version_before,
            version_after,
            attributes,
            values,
            granting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(length: i64) -> (Vec<(i64, String, ChainHash)>, Head) {
        let mut head = Head::START;
        let mut records = Vec::new();
        for number in 0..length {
            let change = Change {
                time: number,
                origin: Origin { actor: "okta".to_owned(), ..Origin::default() },
                operation: Operation::Patch,
                resource_type: "User".to_owned(),
                id: format!("u{number}"),
                attributes: vec!["active".to_owned()],
                values: BTreeMap::new(),
                granting: None,
            };
            let record = change.record("acme", &head, Some(1));
            let text = serde_json::to_string(&record).unwrap();
            head = head.after(&text);
            records.push((record.sequence, text, head.hash));
        }
        (records, head)
    }

    fn verify(records: &[(i64, String, ChainHash)], head: Head) -> Result<i64, ChainError> {
        let mut verification = Verification::new();
        for (sequence, record, hash) in records {
            verification.follow(*sequence, record, hash)?;
        }
        verification.finish(head)
    }

    #[test]
    fn an_untouched_chain_verifies() {
        for length in [0, 1, 5] {
            let (records, head) = chain(length);
            assert_eq!(verify(&records, head), Ok(length));
            // What has nothing to do with roles is written as before there were any.
            assert!(!records.iter().any(|(_, text, _)| text.contains("granting")), "{records:?}");
        }
    }

    #[test]
    fn whatever_is_done_to_a_chain_shows() {
        let (records, head) = chain(5);
        let broken = |change: fn(&mut Vec<(i64, String, ChainHash)>)| {
            let mut records = records.clone();
            change(&mut records);
            verify(&records, head).unwrap_err()
        };
        assert_eq!(broken(|r| drop(r.remove(2))), ChainError::Gap { expected: 3, found: 4 });
        assert_eq!(broken(|r| drop(r.pop())), ChainError::Short { expected: 5, found: 4 });
        assert_eq!(broken(|r| r[1].1 = r[1].1.replace("okta", "mate")), ChainError::Altered(2));
        assert_eq!(broken(|r| r[1].2[0] ^= 1), ChainError::Altered(2));
        assert_eq!(broken(|r| r.swap(0, 1)), ChainError::Gap { expected: 1, found: 2 });
        // Renumbered, so that no gap shows.
        let error = broken(|r| {
            r.remove(2);
            r[2].0 = 3;
            r[3].0 = 4;
        });
        assert_eq!(error, ChainError::Altered(3));
        // Written anew from some place on: the head tells.
        let (_, other) = chain(4);
        assert_eq!(verify(&records, Head { sequence: 5, ..other }).unwrap_err(), ChainError::Altered(5));
    }
}
