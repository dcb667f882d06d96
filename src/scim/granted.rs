//! Roles that a service provider grants: values of a user's `roles` that nobody provisions. They are told by their type, and are shown
//! beside those that are provisioned; what a client says of them is left out, as what is `readOnly` is.

use super::caseless::fold_case;
use super::resource::Resource;
use super::resource_type::{AttributeRef, ResourceType};
use super::schema::{Attribute, DataType};
use super::value::{Complex, Value};
use std::sync::Arc;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// The place of granted roles in resources of one type.
#[derive(Debug, Clone)]
pub struct GrantedRoles {
    roles: AttributeRef,
    value: Arc<Attribute>,
    kind: Arc<Attribute>,
}

impl GrantedRoles {
    /// The `type` of a granted role, whatever its case.
    pub const TYPE: &str = "granted";

    /// In resources of this type; none if they are no users (RFC 7643 section 4.1).
    pub fn of(resource_type: &ResourceType) -> Option<Self> {
        let roles = resource_type.find("roles").filter(|_| &*resource_type.schema().id == USER)?;
        let is_list = roles.extension().is_none() && roles.attribute().multi_valued;
        let text = |name| {
            let sub = roles.sub(name).ok()?.sub_attribute().cloned()?;
            (is_list && sub.data_type == DataType::String).then_some(sub)
        };
        let (value, kind) = (text("value")?, text("type")?);
        Some(Self { roles, value, kind })
    }

    /// `roles`.
    pub fn attribute(&self) -> &AttributeRef {
        &self.roles
    }

    /// Whether a value of `roles` is, or would be, a granted one.
    pub fn holds(&self, role: &Value) -> bool {
        role.as_complex().is_some_and(|role| self.holds_complex(role))
    }

    pub(super) fn holds_complex(&self, role: &Complex) -> bool {
        role.get(&self.kind.name).is_some_and(is_type)
    }

    /// Whether this is written to a sub-attribute of a role, which would make it a granted one.
    pub(super) fn makes(&self, sub_attribute: &Attribute, value: &Value) -> bool {
        sub_attribute.name == self.kind.name && is_type(value)
    }

    /// Lets a resource have exactly these granted roles, after those that are provisioned.
    pub fn set(&self, resource: &mut Resource, granted: &[impl AsRef<str>]) {
        let before = resource.get(&self.roles).map_or(&[][..], Value::items);
        if granted.is_empty() && !before.iter().any(|role| self.holds(role)) {
            return;
        }
        let order = &self.roles.attribute().sub_attributes;
        let mut roles: Vec<Value> = before.iter().filter(|role| !self.holds(role)).cloned().collect();
        roles.extend(granted.iter().map(|name| {
            let mut role = Complex::new();
            role.set(order, &self.value, Value::String(name.as_ref().to_owned()));
            role.set(order, &self.kind, Value::String(Self::TYPE.to_owned()));
            Value::Complex(role)
        }));
        resource.set(&self.roles, if roles.is_empty() { None } else { Some(Value::Many(roles)) });
    }

    /// Takes the granted roles out, such as those that a client sends back.
    pub fn take(&self, resource: &mut Resource) {
        self.set(resource, &[""; 0]);
    }
}

fn is_type(value: &Value) -> bool {
    value.as_str().is_some_and(|text| fold_case(text) == GrantedRoles::TYPE)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{group, user};
    use super::super::{Catalog, PATCH_OP, Patch, PatchRules};
    use super::*;
    use serde_json::{Value as Json, json};

    fn resource(roles: &Json) -> Resource {
        let stored = json!({ "schemas": [USER], "id": "1", "userName": "b", "roles": roles });
        Resource::from_stored(&user(), stored.as_object().unwrap()).unwrap()
    }

    fn roles(resource: &Resource) -> Json {
        resource.to_json().get("roles").cloned().unwrap_or(json!([]))
    }

    #[test]
    fn granted_roles_stand_after_those_that_are_provisioned() {
        let granted = GrantedRoles::of(&user()).unwrap();
        let own = json!([{ "value": "a", "primary": true }, { "value": "b", "type": "work" }]);
        let both = json!([
            { "value": "a", "primary": true }, { "value": "b", "type": "work" },
            { "value": "a", "type": "granted" }, { "value": "c", "type": "granted" },
        ]);
        let mut user = resource(&own);
        granted.set(&mut user, &["a", "c"]);
        assert_eq!(roles(&user), both);
        granted.set(&mut user, &["a", "c"]);
        assert_eq!(roles(&user), both);
        granted.take(&mut user);
        assert_eq!(roles(&user), own);
        let mut user = resource(&json!([{ "value": "x", "type": "GRANTED" }]));
        granted.take(&mut user);
        assert_eq!(user, resource(&json!([])));
    }

    #[test]
    fn only_users_have_granted_roles() {
        assert!(GrantedRoles::of(&group()).is_none());
        let schema = json!({ "id": "urn:x:y", "attributes": [
            { "name": "roles", "type": "complex", "multiValued": true, "subAttributes": [{ "name": "value" }, { "name": "type" }] }
        ] });
        let types = json!({ "name": "Robot", "endpoint": "/Robots", "schema": "urn:x:y" });
        let catalog = Catalog::with(&[schema], &[types]).unwrap();
        assert!(GrantedRoles::of(catalog.resource_type("Robot").unwrap()).is_none());
    }

    /// What a PATCH makes of provisioned roles, where granted ones are left out of it.
    fn patched(operation: &Json) -> Result<Json, String> {
        let granted = GrantedRoles::of(&user()).unwrap();
        let body = json!({ "schemas": [PATCH_OP], "Operations": [operation] });
        let rules = PatchRules { creates_missing: true, ..PatchRules::default() };
        let patch = Patch::parse(&user(), body.as_object().unwrap(), &rules).unwrap().leaving_out(&granted);
        let before = resource(&provisioned());
        let after = patch.apply(&before).map_err(|error| error.to_string())?.resource;
        Ok(roles(&after))
    }

    fn provisioned() -> Json {
        json!([{ "value": "a", "primary": true }, { "value": "b", "type": "work" }])
    }

    #[test]
    fn what_a_patch_says_of_granted_roles_is_left_out() {
        let same = provisioned();
        for operation in [
            json!({ "op": "add", "path": "roles", "value": [{ "value": "a", "type": "Granted" }] }),
            json!({ "op": "add", "path": "roles", "value": { "value": "c", "type": "granted", "primary": true } }),
            json!({ "op": "add", "value": { "roles": [{ "value": "c", "type": "granted" }] } }),
            json!({ "op": "remove", "path": "roles", "value": [{ "value": "a", "type": "granted" }] }),
            json!({ "op": "remove", "path": "roles[type eq \"granted\"]" }),
            json!({ "op": "remove", "path": "roles[value eq \"a\" and type eq \"GRANTED\"]" }),
            json!({ "op": "replace", "path": "roles[type eq \"granted\"].value", "value": "c" }),
            json!({ "op": "add", "path": "roles[type eq \"granted\"].primary", "value": true }),
            json!({ "op": "replace", "path": "roles[value eq \"a\"]", "value": { "value": "a", "type": "granted" } }),
            json!({ "op": "add", "path": "roles[value eq \"a\"]", "value": { "type": "granted" } }),
            json!({ "op": "replace", "path": "roles[value eq \"a\"].type", "value": "granted" }),
            json!({ "op": "add", "path": "roles.type", "value": "granted" }),
            json!({ "op": "replace", "path": "roles", "value": [
                { "value": "a", "primary": true }, { "value": "x", "type": "granted" }, { "value": "b", "type": "work" }
            ] }),
        ] {
            assert_eq!(patched(&operation), Ok(same.clone()), "{operation}");
        }
        let own = json!([{ "value": "a", "primary": true }]);
        for (operation, expected) in [
            (json!({ "op": "remove", "path": "roles[value eq \"b\"]" }), own.clone()),
            (json!({ "op": "remove", "path": "roles" }), json!([])),
            (
                json!({ "op": "replace", "path": "roles", "value": [{ "value": "x", "type": "granted" }] }),
                json!([]),
            ),
            (
                json!({ "op": "add", "path": "roles", "value": [{ "value": "c", "type": "granted" }, { "value": "d" }] }),
                json!([{ "value": "a", "primary": true }, { "value": "b", "type": "work" }, { "value": "d" }]),
            ),
            (
                json!({ "op": "remove", "path": "roles", "value": [{ "value": "a", "type": "granted" }, { "value": "b" }] }),
                own,
            ),
        ] {
            assert_eq!(patched(&operation), Ok(expected), "{operation}");
        }
        // Nothing that is provisioned is found.
        let missing = patched(&json!({ "op": "remove", "path": "roles[value eq \"x\"]" })).unwrap_err();
        assert!(missing.contains("expected a path to a value that there is"), "{missing}");
    }
}
