//! A PATCH divided: what it does to members that a store keeps apart, and the rest.

use super::{Action, Change, Fixed, Patch, PatchError, PatchFault, Target};
use crate::scim::filter::TypedFilter;
use crate::scim::resource_type::AttributeRef;
use crate::scim::value::{Complex, VALUE, Value};

/// What a PATCH does, so that the members need not be loaded.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is done to the members, in order.
    pub members: Vec<MemberChange>,
    /// What is done to everything else, on the resource without its members.
    pub rest: Patch,
}

/// A change of the values of an attribute that is kept apart. What a value is, its sub-attribute `value` says alone.
#[derive(Debug, Clone, PartialEq)]
pub enum MemberChange {
    /// These, beside those that are there. One that is there already stays as it is.
    Add(Vec<Complex>),
    /// Those with these `value`s.
    Remove {
        /// Each once.
        values: Vec<String>,
        /// Whether it is [`PatchFault::NoTarget`] if none of them is there; `path` is what to report.
        must_exist: Option<MustExist>,
    },
    /// Those that a filter matches.
    RemoveMatching {
        /// On the sub-attributes of one value.
        filter: TypedFilter,
        /// Whether it is [`PatchFault::NoTarget`] if it matches none.
        must_exist: Option<MustExist>,
    },
    /// All.
    Clear,
    /// These, in place of all that are there.
    ReplaceAll(Vec<Complex>),
}

/// What to report if a removal finds nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MustExist {
    operation: usize,
    path: String,
}

impl MustExist {
    /// The error to answer with.
    pub fn error(&self) -> PatchError {
        PatchError { operation: Some(self.operation), fault: PatchFault::NoTarget(self.path.clone()) }
    }
}

impl Patch {
    /// Divides the PATCH: changes of the attribute `apart`, such as a group's `members`, from all others.
    ///
    /// # Errors
    /// [`PatchError`] where a value has no `value`, or a change cannot be told without loading the values: a sub-attribute of a
    /// member that is there.
    pub fn plan(self, apart: &AttributeRef) -> Result<Plan, PatchError> {
        let apart = apart.whole();
        let (of_members, rest): (Vec<Change>, Vec<Change>) =
            self.changes.into_iter().partition(|change| change.target.attribute() == apart);
        let mut members = Vec::new();
        for change in of_members {
            let operation = change.operation;
            divide(change, self.rules.creates_missing, self.rules.removes_missing, &mut members)
                .map_err(|fault| PatchError { operation: Some(operation), fault })?;
        }
        Ok(Plan { members, rest: Self { changes: rest, ..self } })
    }
}

fn divide(
    change: Change,
    creates_missing: bool,
    removes_missing: bool,
    members: &mut Vec<MemberChange>,
) -> Result<(), PatchFault> {
    let path = change.target.to_string();
    let operation = change.operation;
    match (change.target, change.action) {
        (Target::Attribute(_), Action::Add(values)) => {
            members.push(MemberChange::Add(values.into_members(&path)?));
        }
        (Target::Attribute(_), Action::Replace(values)) => {
            members.push(MemberChange::ReplaceAll(values.into_members(&path)?));
        }
        (Target::Attribute(_), Action::Remove) => members.push(MemberChange::Clear),
        (Target::Attribute(_), Action::RemoveValues(values)) => {
            let values = Value::Many(values).into_members(&path)?.iter().filter_map(value_of).collect();
            members.push(MemberChange::Remove { values, must_exist: None });
        }
        (Target::Items { selection: Some(selection), sub_attribute: None, .. }, action) => {
            let (new, may_be_missing) = match action {
                Action::Remove | Action::RemoveValues(_) => (None, removes_missing),
                Action::Replace(new) => (Some(new), creates_missing),
                Action::Add(_) => return Err(PatchFault::Mutability { path, reason: Fixed::Immutable }),
            };
            let new = new.map(|new| new.into_members(&path)).transpose()?;
            let must_exist = (!may_be_missing).then_some(MustExist { operation, path });
            members.push(match selection.listed() {
                Some(values) => MemberChange::Remove { values: once(values), must_exist },
                None => MemberChange::RemoveMatching { filter: selection.into_typed(), must_exist },
            });
            members.extend(new.map(MemberChange::Add));
        }
        (Target::Items { .. }, _) => return Err(PatchFault::Mutability { path, reason: Fixed::Immutable }),
    }
    Ok(())
}

fn value_of(complex: &Complex) -> Option<String> {
    complex.get(VALUE).and_then(Value::as_str).map(str::to_owned)
}

fn once(values: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    values.into_iter().filter(|value| seen.insert(value.clone())).collect()
}
