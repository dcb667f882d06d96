//! A PATCH applied to a resource.

use super::items::{Items, TwoPrimaries, joined, merge, settle_primary};
use super::selection::Selection;
use super::{Action, Change, Fixed, Patch, PatchError, PatchFault, PatchRules, Target};
use crate::scim::resource::Resource;
use crate::scim::resource_type::AttributeRef;
use crate::scim::schema::{Attribute, Mutability};
use crate::scim::value::{Complex, Place, Value, ValueError};
use std::sync::Arc;

/// What became of a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The resource after all operations.
    pub resource: Resource,
    /// Whether it differs from the one before. If not, it has no new version and no new `meta.lastModified`.
    pub changed: bool,
}

impl Patch {
    /// Applies all operations, in order, to a copy of `resource`. What is kept apart from it must have been taken out of the PATCH by
    /// [`Patch::plan`].
    ///
    /// # Errors
    /// [`PatchError`] of the first operation that fails; then nothing of the PATCH holds.
    pub fn apply(&self, resource: &Resource) -> Result<Outcome, PatchError> {
        let mut after = resource.clone();
        for change in &self.changes {
            Application { rules: &self.rules, before: resource, resource: &mut after }
                .apply(change)
                .map_err(|fault| change.fail(fault))?;
        }
        check_required(resource, &after).map_err(|fault| {
            let operation = self.changes.last().map(|change| change.operation);
            PatchError { operation, fault }
        })?;
        let changed = after != *resource;
        Ok(Outcome { resource: after, changed })
    }
}

struct Application<'a> {
    rules: &'a PatchRules,
    /// As it was before the first operation.
    before: &'a Resource,
    resource: &'a mut Resource,
}

impl Application<'_> {
    fn apply(&mut self, change: &Change) -> Result<(), PatchFault> {
        match &change.target {
            Target::Attribute(attribute) => self.attribute(attribute, &change.action),
            Target::Items { attribute, selection, sub_attribute } => self.items(
                &change.target,
                attribute,
                selection.as_ref(),
                sub_attribute.as_ref(),
                &change.action,
            ),
        }
    }

    fn attribute(&mut self, attribute: &AttributeRef, action: &Action) -> Result<(), PatchFault> {
        let before = self.resource.get(attribute).cloned();
        let definition = attribute.definition();
        let fixed = |reason| PatchFault::Mutability { path: attribute.to_string(), reason };
        let after = match action {
            Action::Add(Value::Many(new)) => {
                let mut items =
                    Items::new(definition, before.clone().map_or_else(Vec::new, Value::into_items));
                let mut changed = Vec::with_capacity(new.len());
                for value in new {
                    changed.push(items.add(value.clone()).map_err(fixed)?);
                }
                let mut values = items.into_values();
                settle(attribute, &mut values, &changed)?;
                many(values)
            }
            Action::Replace(value @ Value::Many(_)) => Some(match &before {
                Some(before) => value.clone().in_place_of(before, definition),
                None => value.clone(),
            }),
            Action::Add(value) | Action::Replace(value) => Some(value.clone()),
            Action::Remove => None,
            Action::RemoveValues(values) => {
                let gone = Items::new(definition, values.clone());
                let kept = before.clone().map_or_else(Vec::new, Value::into_items);
                many(kept.into_iter().filter(|value| !gone.contain(value)).collect())
            }
        };
        if before == after {
            return Ok(());
        }
        let is_immutable = |definition: &Attribute| definition.mutability == Mutability::Immutable;
        // A complex value that can be set only once may be set by parts, all in one PATCH.
        let whole_is_set = || self.before.get(&attribute.whole()).is_some();
        if is_immutable(definition) && before.is_some()
            || is_immutable(attribute.attribute()) && attribute.sub_attribute().is_some() && whole_is_set()
        {
            return Err(fixed(Fixed::Immutable));
        }
        self.resource.set(attribute, after);
        Ok(())
    }

    fn items(
        &mut self,
        target: &Target,
        attribute: &AttributeRef,
        selection: Option<&Selection>,
        sub_attribute: Option<&Arc<Attribute>>,
        action: &Action,
    ) -> Result<(), PatchFault> {
        let before = self.resource.get(attribute).cloned().map_or_else(Vec::new, Value::into_items);
        let is_selected = |value: &Value| selection.is_none_or(|selection| selection.matches(value));
        let mut values = before.clone();
        let mut places: Vec<usize> =
            (0..).zip(&values).filter(|(_, value)| is_selected(value)).map(|(place, _)| place).collect();
        let is_new = places.is_empty();
        if is_new {
            let makes = match action {
                // "If the target location does not exist, the attribute and value are added" (section 3.5.2.1).
                Action::Add(_) => true,
                Action::Replace(_) => self.rules.creates_missing,
                Action::Remove | Action::RemoveValues(_)
                    if selection.is_none() || self.rules.removes_missing =>
                {
                    return Ok(());
                }
                Action::Remove | Action::RemoveValues(_) => false,
            };
            let described = selection.filter(|_| makes).and_then(|selection| selection.described(attribute));
            places.push(values.len());
            values.push(Value::Complex(described.ok_or_else(|| PatchFault::NoTarget(target.to_string()))?));
        }
        let fixed = |reason| PatchFault::Mutability { path: target.to_string(), reason };
        match (action, sub_attribute) {
            (Action::Remove | Action::RemoveValues(_), None) => values.retain(|value| !is_selected(value)),
            (Action::Remove | Action::RemoveValues(_), Some(sub)) => {
                each(&mut values, &places, |complex| remove(complex, sub)).map_err(fixed)?;
                values.retain(|value| value.as_complex().is_none_or(|complex| !complex.is_empty()));
            }
            (Action::Replace(new), None) if !is_new => replace(&mut values, &mut places, new),
            (Action::Add(new) | Action::Replace(new), sub) => {
                let adds = matches!(action, Action::Add(_));
                let write = |complex: &mut Complex| match sub {
                    None => lay_upon(attribute.attribute(), complex, new),
                    Some(sub) if adds => {
                        let new = joined(sub, complex.get(&sub.name), new)?;
                        write(attribute.attribute(), complex, sub, new)
                    }
                    Some(sub) => write(attribute.attribute(), complex, sub, new.clone()),
                };
                each(&mut values, &places, write).map_err(fixed)?;
                // What was made for the filter must be what the filter is about.
                if is_new && !values.last().is_some_and(is_selected) {
                    return Err(PatchFault::NoTarget(target.to_string()));
                }
            }
        }
        if !matches!(action, Action::Remove | Action::RemoveValues(_)) {
            settle(attribute, &mut values, &places)?;
        }
        if values == before {
            return Ok(());
        }
        if attribute.attribute().mutability == Mutability::Immutable && !before.is_empty() {
            return Err(fixed(Fixed::Immutable));
        }
        self.resource.set(attribute, many(values));
        Ok(())
    }
}

/// Does `change` to each of the complex values at `places`.
fn each(
    values: &mut [Value],
    places: &[usize],
    mut change: impl FnMut(&mut Complex) -> Result<(), Fixed>,
) -> Result<(), Fixed> {
    for place in places {
        values.get_mut(*place).and_then(Value::as_complex_mut).map_or(Ok(()), &mut change)?;
    }
    Ok(())
}

/// Puts `new` in the place of the values at `places`; once, since they would be the same.
fn replace(values: &mut Vec<Value>, places: &mut Vec<usize>, new: &Value) {
    let first = places.first().copied();
    let kept = std::mem::take(values).into_iter().enumerate().filter_map(|(place, value)| {
        if Some(place) == first {
            Some(new.clone())
        } else {
            places.binary_search(&place).is_err().then_some(value)
        }
    });
    *values = kept.collect();
    places.truncate(1);
}

/// Sets all that `new` has.
fn lay_upon(attribute: &Attribute, complex: &mut Complex, new: &Value) -> Result<(), Fixed> {
    new.as_complex().map_or(Ok(()), |new| merge(attribute, complex, new))
}

/// Sets a sub-attribute.
fn write(
    attribute: &Attribute,
    complex: &mut Complex,
    sub: &Arc<Attribute>,
    new: Value,
) -> Result<(), Fixed> {
    match complex.get(&sub.name) {
        Some(before) if *before == new => Ok(()),
        Some(_) if sub.mutability == Mutability::Immutable => Err(Fixed::Immutable),
        _ => {
            complex.set(&attribute.sub_attributes, sub, new);
            Ok(())
        }
    }
}

fn remove(complex: &mut Complex, sub: &Attribute) -> Result<(), Fixed> {
    match complex.get(&sub.name) {
        Some(_) if sub.mutability == Mutability::Immutable => Err(Fixed::Immutable),
        _ => {
            complex.remove(&sub.name);
            Ok(())
        }
    }
}

fn settle(attribute: &AttributeRef, values: &mut [Value], changed: &[usize]) -> Result<(), PatchFault> {
    settle_primary(values, changed)
        .map_err(|TwoPrimaries| ValueError::TwoPrimaries { place: attribute.to_string() }.into())
}

fn many(values: Vec<Value>) -> Option<Value> {
    if values.is_empty() { None } else { Some(Value::Many(values)) }
}

/// Whether what must have a value has kept it, and what has come has what it must have.
fn check_required(before: &Resource, after: &Resource) -> Result<(), PatchFault> {
    let lost = |path: String| PatchFault::Mutability { path, reason: Fixed::Required };
    for attribute in after.resource_type().all_attributes() {
        let definition = attribute.attribute();
        let (old, new) = (before.get(&attribute), after.get(&attribute));
        if old == new || definition.mutability == Mutability::ReadOnly {
            continue;
        }
        // An attribute of an extension may go with the extension.
        let may_go = attribute.extension().is_some_and(|urn| after.extension(urn).is_none());
        if new.is_none() && definition.required && !may_go {
            return Err(lost(attribute.to_string()));
        }
        let text = attribute.to_string();
        let place = Place::Member(&Place::Root, &text);
        for complex in new.map_or(&[][..], Value::items).iter().filter_map(Value::as_complex) {
            complex.check_required(&definition.sub_attributes, &place)?;
        }
    }
    for extension in after.resource_type().extensions() {
        let urn = &extension.schema.id;
        match (before.extension(urn), after.extension(urn)) {
            (Some(_), None) if extension.required => return Err(lost(urn.to_string())),
            (None, Some(new)) => new.check_required(&extension.schema.attributes, &Place::Extension(urn))?,
            _ => {}
        }
    }
    Ok(())
}
