//! An operation becomes the changes of single attributes that it is.

use super::request::{Op, Operation};
use super::selection::Selection;
use super::{Action, Change, Fixed, PatchError, PatchFault, PatchRules, Target};
use crate::scim::path::PatchPath;
use crate::scim::resource_type::{AttributeRef, ResourceType, SCHEMAS, UnresolvedPath};
use crate::scim::schema::{Attribute, Mutability};
use crate::scim::value::{Place, Reading, Unknown, Value, ValueError, wrong_type};
use serde_json::{Map, Value as Json};
use std::collections::HashSet;
use std::sync::Arc;

/// Adds the changes of one operation to `changes`.
pub(super) fn compile(
    resource_type: &ResourceType,
    rules: &PatchRules,
    index: usize,
    operation: &Operation<'_>,
    changes: &mut Vec<Change>,
) -> Result<(), PatchError> {
    let mut compiler = Compiler { resource_type, rules, index, changes };
    compiler.operation(operation).map_err(|fault| PatchError { operation: Some(index), fault })
}

struct Compiler<'c> {
    resource_type: &'c ResourceType,
    rules: &'c PatchRules,
    index: usize,
    changes: &'c mut Vec<Change>,
}

/// What an operation without a path, or with the path of a schema, does to the members of its object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Write {
    Add,
    Replace,
}

impl Compiler<'_> {
    fn operation(&mut self, operation: &Operation<'_>) -> Result<(), PatchFault> {
        let write = match operation.op {
            Op::Add => Write::Add,
            Op::Replace => Write::Replace,
            Op::Remove => return self.remove(operation),
        };
        let value =
            operation.value.ok_or(PatchFault::Value(ValueError::Missing { place: "value".into() }))?;
        let Some(path) = operation.path else { return self.resource(write, object(value)?) };
        if self.resource_type.schema().id.eq_ignore_ascii_case(path) {
            return self.resource(write, object(value)?);
        }
        if let Some(extension) = self.resource_type.extension(path) {
            let urn = Arc::clone(&extension.schema.id);
            return if value.is_null() {
                self.remove_extension(&urn)
            } else {
                self.extension(write, &urn, value)
            };
        }
        match self.resolve(path)? {
            None => Ok(()),
            Some(Target::Attribute(attribute)) => {
                check_writable(&attribute)?;
                self.attribute(write, &attribute, value)
            }
            Some(Target::Items { attribute, selection, sub_attribute }) => {
                self.items(write, attribute, selection, sub_attribute, value)
            }
        }
    }

    /// The members of an object that is laid upon the resource.
    fn resource(&mut self, write: Write, members: &Map<String, Json>) -> Result<(), PatchFault> {
        check_once(members, &Place::Root)?;
        for (name, value) in members {
            if let Some(extension) = self.resource_type.extension(name) {
                let urn = Arc::clone(&extension.schema.id);
                match (value.is_null(), write) {
                    (true, Write::Replace) => self.remove_extension(&urn)?,
                    (true, Write::Add) => {}
                    (false, _) => self.extension(write, &urn, value)?,
                }
                continue;
            }
            let attributes = self.resource_type.attributes();
            match attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name)) {
                Some(attribute) => {
                    self.member(write, &AttributeRef::new(None, Arc::clone(attribute)), value)?;
                }
                None => self.unknown(name)?,
            }
        }
        Ok(())
    }

    /// The members of the object of an extension.
    fn extension(&mut self, write: Write, urn: &Arc<str>, value: &Json) -> Result<(), PatchFault> {
        let place = Place::Extension(urn);
        let members = value.as_object().ok_or_else(|| wrong_type(&place, "an object", value))?;
        check_once(members, &place)?;
        let Some(extension) = self.resource_type.extension(urn) else { return Ok(()) };
        for (name, value) in members {
            match extension.schema.attribute(name) {
                Some(attribute) => {
                    let attribute = AttributeRef::new(Some(Arc::clone(urn)), Arc::clone(attribute));
                    self.member(write, &attribute, value)?;
                }
                None if extension.schema.is_own_schemas(name, value) => {}
                None => self.unknown(&Place::Member(&place, name).to_string())?,
            }
        }
        Ok(())
    }

    /// A member of an object that is laid upon the resource.
    fn member(&mut self, write: Write, attribute: &AttributeRef, value: &Json) -> Result<(), PatchFault> {
        let definition = attribute.attribute();
        // A body says of which schemas it is; that changes nothing, since `schemas` follows the values.
        if attribute.extension().is_none() && &*definition.name == SCHEMAS {
            return Ok(());
        }
        if definition.mutability == Mutability::ReadOnly && self.rules.ignores_read_only {
            return Ok(());
        }
        check_writable(attribute)?;
        self.attribute(write, attribute, value)
    }

    fn unknown(&self, place: &str) -> Result<(), PatchFault> {
        match self.rules.unknown {
            Unknown::Dropped => Ok(()),
            Unknown::Refused => Err(ValueError::UnknownAttribute { place: place.to_owned() }.into()),
        }
    }

    /// A whole attribute, or a sub-attribute of one with a single value.
    fn attribute(&mut self, write: Write, attribute: &AttributeRef, value: &Json) -> Result<(), PatchFault> {
        let definition = attribute.definition();
        if attribute.extension().is_none() && &*attribute.attribute().name == SCHEMAS {
            return self.check_schemas(value);
        }
        if value.is_null() {
            return if write == Write::Replace { self.unassign(attribute) } else { Ok(()) };
        }
        if definition.multi_valued {
            let reading = Reading::from_client(self.rules.unknown);
            let values = self.values(attribute, value, reading)?;
            return match (write, values.is_empty()) {
                (Write::Add, true) => Ok(()),
                (Write::Replace, true) => self.unassign(attribute),
                (_, false) => {
                    self.push(Target::Attribute(attribute.clone()), write, Value::Many(values));
                    Ok(())
                }
            };
        }
        let text = attribute.to_string();
        let place = Place::Member(&Place::Root, &text);
        if definition.is_complex() {
            // Sub-attributes that are not named stay as they are (section 3.5.2.3).
            return self.sub_attributes(write, attribute, value, &place);
        }
        let Some(value) = Value::read_one(definition, value, &place, Reading::part(self.rules.unknown))?
        else {
            return Ok(());
        };
        if definition.required && value.is_blank() {
            return Err(ValueError::Missing { place: text }.into());
        }
        self.push(Target::Attribute(attribute.clone()), write, value);
        Ok(())
    }

    /// Each sub-attribute of an object by itself; those that a client cannot set are left out, as in a create.
    fn sub_attributes(
        &mut self,
        write: Write,
        attribute: &AttributeRef,
        value: &Json,
        place: &Place<'_>,
    ) -> Result<(), PatchFault> {
        let members = value.as_object().ok_or_else(|| wrong_type(place, "an object", value))?;
        check_once(members, place)?;
        for (name, value) in members {
            match attribute.sub(name) {
                Ok(sub) if sub.definition().mutability == Mutability::ReadOnly => {}
                Ok(sub) => self.attribute(write, &sub, value)?,
                Err(_) => self.unknown(&Place::Member(place, name).to_string())?,
            }
        }
        Ok(())
    }

    /// The new values of a multi-valued attribute; a single one may stand without an array.
    fn values(
        &self,
        attribute: &AttributeRef,
        value: &Json,
        reading: Reading,
    ) -> Result<Vec<Value>, PatchFault> {
        let definition = attribute.definition();
        let text = attribute.to_string();
        let place = Place::Member(&Place::Root, &text);
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let place = Place::Item(&place, index);
            let read = Value::read_one(definition, item, &place, reading)?;
            // A value that says nothing is no value; taken for one it could empty a list that nobody meant to empty.
            values.push(read.ok_or_else(|| ValueError::Missing { place: place.to_string() })?);
        }
        if values.iter().filter(|value| value.is_primary()).nth(1).is_some() {
            return Err(ValueError::TwoPrimaries { place: text }.into());
        }
        Ok(values)
    }

    /// Values of a multi-valued attribute, or a sub-attribute of each.
    fn items(
        &mut self,
        write: Write,
        attribute: AttributeRef,
        selection: Option<Selection>,
        sub_attribute: Option<Arc<Attribute>>,
        value: &Json,
    ) -> Result<(), PatchFault> {
        check_writable(&attribute)?;
        let text = attribute.to_string();
        let place = Place::Member(&Place::Root, &text);
        if let Some(sub) = sub_attribute {
            let target = attribute.sub(&sub.name)?;
            check_writable(&target)?;
            let value = Value::read(
                &sub,
                value,
                &Place::Member(&place, &sub.name),
                Reading::part(self.rules.unknown),
            )?;
            let target = Target::Items { attribute, selection, sub_attribute: Some(Arc::clone(&sub)) };
            return match (write, value) {
                (_, Some(value)) if sub.required && value.is_blank() => {
                    Err(ValueError::Missing { place: target.to_string() }.into())
                }
                (_, Some(value)) => {
                    self.push(target, write, value);
                    Ok(())
                }
                (Write::Add, None) => Ok(()),
                (Write::Replace, None) => self.push_removal(target),
            };
        }
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let [value] = items else { return Err(wrong_type(&place, "an object", value).into()) };
        let reading = if write == Write::Add {
            Reading::part(self.rules.unknown)
        } else {
            Reading::from_client(self.rules.unknown)
        };
        let read = Value::read_one(attribute.attribute(), value, &place, reading)?;
        let target = Target::Items { attribute, selection, sub_attribute: None };
        match (write, read) {
            (_, Some(value)) => self.push(target, write, value),
            (Write::Add, None) => {}
            (Write::Replace, None) if value.is_null() => self.push_removal(target)?,
            (Write::Replace, None) => return Err(ValueError::Missing { place: text }.into()),
        }
        Ok(())
    }

    fn remove(&mut self, operation: &Operation<'_>) -> Result<(), PatchFault> {
        let path = operation.path.ok_or_else(|| PatchFault::NoTarget(String::new()))?;
        if let Some(extension) = self.resource_type.extension(path) {
            let urn = Arc::clone(&extension.schema.id);
            return self.remove_extension(&urn);
        }
        let Some(target) = self.resolve(path)? else { return Ok(()) };
        let attribute = target.attribute();
        check_writable(&attribute)?;
        let Target::Attribute(_) = &target else { return self.push_removal(target) };
        // The RFC has no value here. Providers send one, and mean that value alone: to take it for "all of them" would empty a
        // group of which one member was to go.
        match operation.value {
            Some(value) if !value.is_null() && attribute.attribute().multi_valued => {
                // Enough of it to know it by.
                let values = self.values(&attribute, value, Reading::part(self.rules.unknown))?;
                if !values.is_empty() {
                    self.push_action(target, Action::RemoveValues(values));
                }
                Ok(())
            }
            _ => self.push_removal(target),
        }
    }

    /// Every attribute of an extension that a client may change.
    fn remove_extension(&mut self, urn: &Arc<str>) -> Result<(), PatchFault> {
        let Some(extension) = self.resource_type.extension(urn) else { return Ok(()) };
        if extension.required {
            return Err(PatchFault::Mutability { path: urn.to_string(), reason: Fixed::Required });
        }
        for attribute in &extension.schema.attributes {
            if attribute.mutability != Mutability::ReadOnly {
                let attribute = AttributeRef::new(Some(Arc::clone(urn)), Arc::clone(attribute));
                self.push_action(Target::Attribute(attribute), Action::Remove);
            }
        }
        Ok(())
    }

    /// What a path leads to; none if it is unknown and such are dropped.
    fn resolve(&self, path: &str) -> Result<Option<Target>, PatchFault> {
        let path = PatchPath::parse(path, &self.rules.filter_syntax)?;
        let drops = self.rules.unknown == Unknown::Dropped;
        let found = match self.resource_type.resolve(path.attr_path()) {
            Err(UnresolvedPath::UnknownAttribute(_) | UnresolvedPath::UnknownSchema(_)) if drops => {
                return Ok(None);
            }
            found => found?,
        };
        let is_list = found.attribute().multi_valued;
        match path {
            PatchPath::Attribute(_) => Ok(Some(match found.sub_attribute() {
                Some(sub) if is_list => Target::Items {
                    attribute: found.whole(),
                    selection: None,
                    sub_attribute: Some(Arc::clone(sub)),
                },
                _ => Target::Attribute(found),
            })),
            PatchPath::ValuePath { filter, sub_attribute, .. } => {
                if !is_list || !found.attribute().is_complex() || found.sub_attribute().is_some() {
                    return Err(PatchFault::NotSelectable(found.to_string()));
                }
                let sub_attribute = match sub_attribute {
                    None => None,
                    Some(name) => match found.sub(&name) {
                        Err(_) if drops => return Ok(None),
                        sub => sub?.sub_attribute().cloned(),
                    },
                };
                let selection = Some(Selection::new(&found, &filter)?);
                Ok(Some(Target::Items { attribute: found, selection, sub_attribute }))
            }
        }
    }

    /// `schemas` follows the values; to write what it may hold changes nothing.
    fn check_schemas(&self, value: &Json) -> Result<(), PatchFault> {
        let urns = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let is_known = |urn: &Json| urn.as_str().is_some_and(|urn| self.resource_type.has_schema(urn));
        match urns.iter().all(is_known) {
            true => Ok(()),
            false => {
                Err(wrong_type(&Place::Member(&Place::Root, SCHEMAS), "schemas of the resource type", value)
                    .into())
            }
        }
    }

    fn unassign(&mut self, attribute: &AttributeRef) -> Result<(), PatchFault> {
        self.push_removal(Target::Attribute(attribute.clone()))
    }

    /// A removal, if what is removed is not required and may be changed.
    fn push_removal(&mut self, target: Target) -> Result<(), PatchFault> {
        let (definition, removes_all) = match &target {
            Target::Attribute(attribute) => (attribute.definition(), true),
            Target::Items { attribute, sub_attribute: None, .. } => (attribute.attribute(), false),
            Target::Items { sub_attribute: Some(sub), .. } => (sub, true),
        };
        if definition.mutability == Mutability::ReadOnly {
            return Err(PatchFault::Mutability { path: target.to_string(), reason: Fixed::ReadOnly });
        }
        if removes_all && definition.required {
            return Err(PatchFault::Mutability { path: target.to_string(), reason: Fixed::Required });
        }
        self.push_action(target, Action::Remove);
        Ok(())
    }

    fn push(&mut self, target: Target, write: Write, value: Value) {
        let action = if write == Write::Add { Action::Add(value) } else { Action::Replace(value) };
        self.push_action(target, action);
    }

    fn push_action(&mut self, target: Target, action: Action) {
        self.changes.push(Change { operation: self.index, target, action });
    }
}

/// Whether a client may change the attribute and, if it is one, the sub-attribute. What is `immutable` is decided by the value
/// that is there.
fn check_writable(attribute: &AttributeRef) -> Result<(), PatchFault> {
    let of = [Some(attribute.attribute()), attribute.sub_attribute()];
    match of.into_iter().flatten().any(|definition| definition.mutability == Mutability::ReadOnly) {
        true => Err(PatchFault::Mutability { path: attribute.to_string(), reason: Fixed::ReadOnly }),
        false => Ok(()),
    }
}

/// Whether no two names differ in case alone: another reader might take the other one.
fn check_once(members: &Map<String, Json>, place: &Place<'_>) -> Result<(), ValueError> {
    let mut seen = HashSet::with_capacity(members.len());
    match members.keys().find(|name| !seen.insert(name.to_ascii_lowercase())) {
        Some(name) => Err(ValueError::Twice { place: Place::Member(place, name).to_string() }),
        None => Ok(()),
    }
}

fn object(value: &Json) -> Result<&Map<String, Json>, PatchFault> {
    let place = Place::Member(&Place::Root, "value");
    value.as_object().ok_or_else(|| wrong_type(&place, "an object, since there is no path", value).into())
}
