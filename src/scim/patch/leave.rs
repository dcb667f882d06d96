//! A PATCH without what it says of granted roles.

use super::{Action, Change, Patch, Target};
use crate::scim::granted::GrantedRoles;
use crate::scim::value::Value;

impl Patch {
    /// Without what it does to granted roles: values to add or to remove that are such, and whatever would be done to one or make one.
    #[must_use]
    pub fn leaving_out(self, granted: &GrantedRoles) -> Self {
        let changes = self.changes.into_iter().filter_map(|change| leave_out(change, granted)).collect();
        Self { changes, ..self }
    }
}

/// What is left of a change, if anything is.
fn leave_out(change: Change, granted: &GrantedRoles) -> Option<Change> {
    let Change { operation, target, action } = change;
    if target.attribute() != *granted.attribute() {
        return Some(Change { operation, target, action });
    }
    let provisioned = |values: Vec<Value>| -> Vec<Value> {
        values.into_iter().filter(|value| !granted.holds(value)).collect()
    };
    let action = match (&target, action) {
        (Target::Attribute(_), Action::Add(values)) => {
            let values = provisioned(values.into_items());
            (!values.is_empty()).then_some(Action::Add(Value::Many(values)))
        }
        (Target::Attribute(_), Action::Replace(values)) => {
            let values = provisioned(values.into_items());
            Some(if values.is_empty() { Action::Remove } else { Action::Replace(Value::Many(values)) })
        }
        (Target::Attribute(_), Action::RemoveValues(values)) => {
            let values = provisioned(values);
            (!values.is_empty()).then_some(Action::RemoveValues(values))
        }
        (Target::Attribute(_), Action::Remove) => Some(Action::Remove),
        (Target::Items { attribute, selection, sub_attribute }, action) => {
            let described = selection.as_ref().and_then(|selection| selection.described(attribute));
            let is_about = described.is_some_and(|described| granted.holds_complex(&described));
            let makes = match (&action, sub_attribute) {
                (Action::Add(value) | Action::Replace(value), None) => granted.holds(value),
                (Action::Add(value) | Action::Replace(value), Some(sub)) => granted.makes(sub, value),
                (Action::Remove | Action::RemoveValues(_), _) => false,
            };
            (!is_about && !makes).then_some(action)
        }
    };
    Some(Change { operation, target, action: action? })
}
