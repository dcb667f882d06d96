//! A BulkRequest, carried out.

use super::order::{self, Order, Turn};
use super::reference;
use super::request::{BulkFault, BulkMethod, BulkOperation, BulkRequest, BulkWork};
use super::response::{BulkResponse, BulkResult};
use crate::scim::error::ScimError;
use crate::scim::patch::PATCH_OP;
use crate::scim::version::Version;
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, VecDeque};

/// A job under way. Effects are the host's: it performs each step and records how it went.
#[derive(Debug)]
pub struct BulkRun {
    fail_on_errors: Option<usize>,
    base_url: String,
    operations: Vec<BulkOperation>,
    turns: VecDeque<Turn>,
    deferred: Vec<Vec<usize>>,
    /// The step that the host was given last.
    current: Option<Turn>,
    results: Vec<Option<BulkResult>>,
    /// The operation that creates it, by name.
    creators: BTreeMap<String, usize>,
    /// By operation, what it created.
    ids: Vec<Option<String>>,
    errors: usize,
}

/// What the host must do next, as if it were a request of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkStep {
    /// Which operation it is of, from 0.
    pub operation: usize,
    /// The method.
    pub method: BulkMethod,
    /// Relative to the base URL, references resolved.
    pub path: String,
    /// The version that the resource must have.
    pub version: Option<Version>,
    /// The body, references resolved; empty for DELETE.
    pub data: Map<String, Json>,
}

/// How a step went that did not fail.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkSuccess {
    /// The status that the request alone would have been answered with.
    pub status: u16,
    /// The id of the resource.
    pub id: String,
    /// Its absolute URL.
    pub location: String,
    /// The version that it has now; none once it is deleted.
    pub version: Option<Version>,
}

impl BulkRun {
    /// Works out the order. `base_url` is absolute, without a slash at its end, for the locations of resources that
    /// an operation failed on.
    pub fn new(request: BulkRequest, base_url: &str) -> Self {
        let BulkRequest { fail_on_errors, operations } = request;
        let works = || operations.iter().map(|operation| operation.work.as_ref().ok());
        let creators: BTreeMap<String, usize> = operations
            .iter()
            .enumerate()
            .filter(|(_, operation)| {
                operation.work.as_ref().is_ok_and(|work| work.method == BulkMethod::Post)
            })
            .filter_map(|(index, operation)| operation.bulk_id.clone().map(|bulk_id| (bulk_id, index)))
            .collect();
        let needs: Vec<Vec<usize>> = works()
            .map(|work| {
                let names = work.map(BulkWork::references).unwrap_or_default();
                let mut needs: Vec<usize> =
                    names.into_iter().filter_map(|name| creators.get(name).copied()).collect();
                needs.sort_unstable();
                needs.dedup();
                needs
            })
            .collect();
        let Order { turns, deferred } = order::order(&needs);
        let count = operations.len();
        Self {
            fail_on_errors,
            base_url: base_url.to_owned(),
            operations,
            turns: turns.into(),
            deferred,
            current: None,
            results: vec![None; count],
            creators,
            ids: vec![None; count],
            errors: 0,
        }
    }

    /// The next step; none when the job is done, or ended by errors. A step whose outcome was not recorded has
    /// failed.
    pub fn next_step(&mut self) -> Option<BulkStep> {
        if self.current.is_some() {
            self.record(Err(ScimError::new(500, "expected an outcome, but none was recorded")));
        }
        // Zero errors that are accepted are as one: either way the first one ends it.
        while self.fail_on_errors.is_none_or(|limit| self.errors < limit.max(1)) {
            let turn = self.turns.pop_front()?;
            let prepared = match turn {
                Turn::Perform(index) => self.prepare(index),
                // What was not created cannot be amended, and has its error already.
                Turn::Amend(index) if self.id(index).is_none() => continue,
                Turn::Amend(index) => self.prepare_amendment(index),
            };
            self.current = Some(turn);
            match prepared {
                Ok(step) => return Some(step),
                Err(fault) => self.record(Err(fault.into())),
            }
        }
        None
    }

    /// Records how the step went that was given last.
    pub fn record(&mut self, outcome: Result<BulkSuccess, ScimError>) {
        let Some(turn) = self.current.take() else { return };
        let (Turn::Perform(index) | Turn::Amend(index)) = turn;
        let Some(operation) = self.operations.get(index) else { return };
        let failed_at = match &operation.work {
            Ok(work) if work.method != BulkMethod::Post => {
                self.resolve_path(work).ok().map(|path| format!("{}{path}", self.base_url))
            }
            Ok(_) => None,
            // It is told whatever is wrong with the rest of the operation (section 3.7).
            Err(_) => operation.resource.as_ref().map(|path| format!("{}{path}", self.base_url)),
        };
        let result = self.results.get_mut(index);
        let (Some(result), Some(id)) = (result, self.ids.get_mut(index)) else { return };
        let fresh = BulkResult {
            method: operation.method.clone(),
            bulk_id: operation.bulk_id.clone(),
            location: failed_at,
            version: None,
            outcome: Ok(200),
        };
        let result = result.get_or_insert(fresh);
        match outcome {
            Ok(success) => {
                result.location = Some(success.location);
                result.version = success.version;
                // An amendment belongs to the creation, whose status it keeps.
                if let Turn::Perform(_) = turn {
                    result.outcome = Ok(success.status);
                    *id = Some(success.id);
                }
            }
            Err(error) => {
                result.outcome = Err(error);
                self.errors = self.errors.saturating_add(1);
            }
        }
    }

    /// What is told to the client. Where errors ended the job before a resource had what was deferred, its operation
    /// has failed too, with the location of what is there.
    pub fn finish(mut self) -> BulkResponse {
        let turns = std::mem::take(&mut self.turns);
        for turn in turns {
            let Turn::Amend(index) = turn else { continue };
            if self.id(index).is_some() {
                let name = self.deferred_names(index).next().unwrap_or_default().to_owned();
                self.current = Some(turn);
                self.record(Err(BulkFault::FailedReference(name).into()));
            }
        }
        BulkResponse { operations: self.results.into_iter().flatten().collect() }
    }

    fn prepare(&self, index: usize) -> Result<BulkStep, BulkFault> {
        let work = self.work(index)?;
        for name in work.references() {
            let Some(creator) = self.creators.get(name) else {
                return Err(BulkFault::UnknownReference(name.to_owned()));
            };
            if self.id(*creator).is_none() && !self.is_deferred(index, name) {
                return Err(BulkFault::FailedReference(name.to_owned()));
            }
        }
        let mut data = work.data.clone();
        for path in self.deferred_attributes(index, work) {
            path.take(&mut data);
        }
        Ok(BulkStep {
            operation: index,
            method: work.method,
            path: self.resolve_path(work)?,
            version: work.version.clone(),
            data: self.resolve_data(&data)?,
        })
    }

    /// A PATCH that adds what was left out.
    fn prepare_amendment(&self, index: usize) -> Result<BulkStep, BulkFault> {
        let work = self.work(index)?;
        let operations: Vec<Json> = self
            .deferred_attributes(index, work)
            .into_iter()
            .filter_map(|path| Some((path, path.get(&work.data)?)))
            .map(|(path, value)| {
                let value = reference::resolve(path.attribute, value, &|name| self.id_of(name));
                let value = value.ok_or_else(|| self.failed_reference(index))?;
                Ok(json!({"op": "add", "path": path.to_string(), "value": value}))
            })
            .collect::<Result<_, BulkFault>>()?;
        let body = json!({"schemas": [PATCH_OP], "Operations": operations});
        Ok(BulkStep {
            operation: index,
            method: BulkMethod::Patch,
            path: format!("{}/{}", work.path, self.id(index).unwrap_or_default()),
            version: None,
            data: if let Json::Object(members) = body { members } else { Map::new() },
        })
    }

    fn work(&self, index: usize) -> Result<&BulkWork, BulkFault> {
        match self.operations.get(index).map(|operation| &operation.work) {
            Some(Ok(work)) => Ok(work),
            Some(Err(fault)) => Err(fault.clone()),
            None => Err(BulkFault::Malformed { member: "Operations", expected: "the operation" }),
        }
    }

    fn id(&self, index: usize) -> Option<&str> {
        self.ids.get(index)?.as_deref()
    }

    /// The id of what the operation of that name created.
    fn id_of(&self, name: &str) -> Option<&str> {
        self.id(*self.creators.get(name)?)
    }

    fn is_deferred(&self, index: usize, name: &str) -> bool {
        let creator = self.creators.get(name);
        let deferred = self.deferred.get(index);
        creator.is_some_and(|creator| deferred.is_some_and(|deferred| deferred.contains(creator)))
    }

    fn deferred_names(&self, index: usize) -> impl Iterator<Item = &str> {
        let deferred = self.deferred.get(index).into_iter().flatten();
        deferred.filter_map(|creator| self.operations.get(*creator)?.bulk_id.as_deref())
    }

    fn failed_reference(&self, index: usize) -> BulkFault {
        let failed = self.deferred_names(index).find(|name| self.id_of(name).is_none());
        BulkFault::FailedReference(failed.unwrap_or_default().to_owned())
    }

    /// The attributes of a body in which there is a reference that is deferred. They are left out as a whole: half of
    /// a value may not be valid.
    fn deferred_attributes<'w>(&self, index: usize, work: &'w BulkWork) -> Vec<MemberPath<'w>> {
        let has_deferred = |name: &str, value: &Json| {
            reference::in_json(name, value).into_iter().any(|name| self.is_deferred(index, name))
        };
        let mut paths = Vec::new();
        for (name, value) in &work.data {
            // An extension has its attributes as members of its object.
            if let Json::Object(members) = value
                && name.contains(':')
            {
                let deferred = members.iter().filter(|(name, value)| has_deferred(name, value));
                let extension = Some(name);
                paths.extend(deferred.map(|(attribute, _)| MemberPath { extension, attribute }));
            } else if has_deferred(name, value) {
                paths.push(MemberPath { extension: None, attribute: name });
            }
        }
        paths
    }

    fn resolve_path(&self, work: &BulkWork) -> Result<String, BulkFault> {
        reference::resolve_url(&work.path, &|name| self.id_of(name)).ok_or_else(|| {
            let name = reference::in_url(&work.path).into_iter().next().unwrap_or_default();
            BulkFault::FailedReference(name.to_owned())
        })
    }

    fn resolve_data(&self, data: &Map<String, Json>) -> Result<Map<String, Json>, BulkFault> {
        // Every name was looked up before.
        reference::resolve_members(data, &|name| self.id_of(name))
            .ok_or_else(|| BulkFault::FailedReference(String::new()))
    }
}

/// An attribute in a body.
#[derive(Debug, Clone, Copy)]
struct MemberPath<'m> {
    extension: Option<&'m String>,
    attribute: &'m String,
}

impl MemberPath<'_> {
    fn get<'d>(&self, data: &'d Map<String, Json>) -> Option<&'d Json> {
        match self.extension {
            None => data.get(self.attribute),
            Some(urn) => data.get(urn)?.get(self.attribute),
        }
    }

    fn take(&self, data: &mut Map<String, Json>) {
        match self.extension {
            None => drop(data.remove(self.attribute)),
            Some(urn) => {
                let Some(members) = data.get_mut(urn).and_then(Json::as_object_mut) else { return };
                members.remove(self.attribute);
            }
        }
    }
}

impl std::fmt::Display for MemberPath<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(urn) = self.extension {
            write!(f, "{urn}:")?;
        }
        f.write_str(self.attribute)
    }
}
