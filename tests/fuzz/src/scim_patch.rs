//! PATCH. The input is the body of a request; it is held against a user and a group, as each profile reads it.

use crate::scim::{is_kept, object, resource_types, sample, softenings};
use doorward::scim::{GrantedRoles, MemberChange, Patch, Resource, ResourceType, Unknown, Value};
use std::collections::BTreeSet;

/// A PATCH is done as a whole or not at all, leaves a resource that can be kept, touches nothing that it does not name, and comes to
/// the same members if they are kept apart. Without what it says of granted roles it grants none.
pub fn check(input: &[u8]) {
    let Some(body) = object(input) else { return };
    for softenings in softenings() {
        for resource_type in resource_types() {
            for unknown in [Unknown::Refused, Unknown::Dropped] {
                let mut body = body.clone();
                softenings.soften_patch(resource_type, &mut body);
                let Ok(patch) = Patch::parse(resource_type, &body, &softenings.patch_rules(unknown)) else {
                    continue;
                };
                let before = sample(resource_type);
                let applied = patch.apply(&before);
                if let Ok(outcome) = &applied {
                    is_kept(&outcome.resource);
                    assert_eq!(outcome.changed, outcome.resource != before);
                    assert_eq!(
                        (outcome.resource.id(), before.id()),
                        (before.id(), before.id()),
                        "whose it is stays"
                    );
                    for attribute in outcome.resource.differences(&before) {
                        // `schemas` follows from what there is.
                        let is_named = patch.touches(&attribute) || attribute.to_string() == "schemas";
                        assert!(is_named, "{attribute} is none of {body:?}");
                    }
                }
                if let Some(granted) = GrantedRoles::of(resource_type)
                    && let Ok(outcome) = patch.clone().leaving_out(&granted).apply(&before)
                {
                    let mut provisioned = outcome.resource.clone();
                    granted.take(&mut provisioned);
                    assert_eq!(outcome.resource, provisioned, "no role is granted by {body:?}");
                }
                if let Some(members) = resource_type.find("members") {
                    let Ok(plan) = patch.plan(&members) else { continue };
                    let mut group = before.clone();
                    group.take(&members);
                    let rest = plan.rest.apply(&group);
                    let apart = simulate(&plan.members, ids(resource_type, &before));
                    if let (Ok(outcome), Ok(rest), Some(apart)) = (&applied, &rest, apart) {
                        assert_eq!(apart, Some(ids(resource_type, &outcome.resource)), "{body:?}");
                        let mut whole = outcome.resource.clone();
                        whole.take(&members);
                        assert_eq!(whole, rest.resource, "{body:?}");
                    }
                }
            }
        }
    }
}

fn ids(resource_type: &ResourceType, resource: &Resource) -> BTreeSet<String> {
    let members = resource_type.find("members").expect("members");
    let items = resource.get(&members).map_or(&[][..], Value::items);
    items.iter().filter_map(|item| Some(item.as_complex()?.get("value")?.as_str()?.to_owned())).collect()
}

/// The members after the changes: `Some(None)` if a removal finds nothing, and nothing where a filter is to be asked.
fn simulate(changes: &[MemberChange], mut ids: BTreeSet<String>) -> Option<Option<BTreeSet<String>>> {
    for change in changes {
        match change {
            MemberChange::Add(members) => ids.extend(members.iter().filter_map(value)),
            MemberChange::ReplaceAll(members) => ids = members.iter().filter_map(value).collect(),
            MemberChange::Clear => ids.clear(),
            MemberChange::Remove { values, must_exist } => {
                let count = ids.len();
                ids.retain(|id| !values.contains(id));
                if must_exist.is_some() && count == ids.len() {
                    return Some(None);
                }
            }
            MemberChange::RemoveMatching { .. } => return None,
        }
    }
    Some(Some(ids))
}

fn value(member: &doorward::scim::Complex) -> Option<String> {
    Some(member.get("value")?.as_str()?.to_owned())
}
