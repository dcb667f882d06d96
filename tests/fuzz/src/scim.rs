//! What the SCIM targets share: the built-in resource types, and resources to hold things against.

use doorward::json::{self, Limits};
use doorward::scim::{Catalog, Profile, Resource, ResourceType, Softenings};
use serde_json::{Map, Value, json};
use std::sync::{Arc, LazyLock};

const LIMITS: Limits = Limits { depth: 16, values: 10_000 };

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::built_in().expect("the built-in schemas"));

/// Every built-in resource type that is not about the service itself.
pub(crate) fn resource_types() -> &'static [Arc<ResourceType>] {
    CATALOG.resource_types()
}

/// A resource of that type with something in most kinds of attributes.
pub(crate) fn sample(resource_type: &Arc<ResourceType>) -> Resource {
    let body = match resource_type.name() {
        "User" => json!({
            "id": "u1", "userName": "bjensen", "externalId": "701984", "displayName": "Babs", "active": true,
            "name": { "familyName": "Jensen", "givenName": "Barbara" },
            "emails": [
                { "value": "bjensen@example.com", "type": "work", "primary": true },
                { "value": "babs@example.org", "type": "home" }
            ],
            "roles": [{ "value": "admin", "display": "Admin" }],
            "groups": [{ "value": "g1", "display": "Staff" }],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
                "employeeNumber": "271", "manager": { "value": "u2" }
            },
            "meta": { "resourceType": "User", "created": "2010-01-23T04:56:22Z", "lastModified": "2011-05-13T04:42:34Z" }
        }),
        _ => json!({
            "id": "g1", "displayName": "Staff", "externalId": "x",
            "members": [{ "value": "u1", "type": "User", "display": "Babs" }, { "value": "u2", "type": "User" }]
        }),
    };
    let body = body.as_object().expect("an object");
    Resource::from_stored(resource_type, body).expect("a resource")
}

/// The RFC's reading, and the softest ones.
pub(crate) fn softenings() -> impl Iterator<Item = Softenings> {
    [Profile::Rfc, Profile::Entra, Profile::Okta].into_iter().map(Profile::softenings)
}

/// A body, if it is one.
pub(crate) fn object(input: &[u8]) -> Option<Map<String, Value>> {
    json::parse_object(input, LIMITS).ok()
}

/// What is written is read again, and is the same.
pub(crate) fn is_kept(resource: &Resource) {
    let written = resource.to_json();
    let read = Resource::from_stored(resource.resource_type(), &written);
    let read = read.unwrap_or_else(|error| panic!("{error}: {written:?}"));
    assert_eq!(&read, resource, "{written:?}");
    assert_eq!(read.to_json(), written, "written again");
}
