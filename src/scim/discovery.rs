//! What a service tells of itself: RFC 7644 section 4, RFC 7643 sections 5 to 7, RFC 9865 section 4.

use super::bulk::BulkLimits;
use super::catalog::Catalog;
use super::error::ScimError;
use super::list::{ListResponse, PageLimits};
use super::resource_type::ResourceType;
use super::schema::Schema;
use super::search::SearchRequest;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use std::time::Duration;

const CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
const RESOURCE_TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";

/// The answers of the endpoints `/ServiceProviderConfig`, `/ResourceTypes` and `/Schemas`.
#[derive(Debug, Clone, Copy)]
pub struct Discovery<'c> {
    catalog: &'c Catalog,
    base_url: &'c str,
}

impl<'c> Discovery<'c> {
    /// `base_url` is absolute, without a slash at its end.
    pub const fn new(catalog: &'c Catalog, base_url: &'c str) -> Self {
        Self { catalog, base_url }
    }

    /// A filter is refused at these endpoints (RFC 7644 section 4), so that nobody takes everything for what was
    /// asked for.
    ///
    /// # Errors
    /// 403.
    pub fn check(search: &SearchRequest) -> Result<(), ScimError> {
        match search.filter {
            None => Ok(()),
            Some(_) => Err(ScimError::new(403, "expected no filter at this endpoint, but found one")),
        }
    }

    /// `/ServiceProviderConfig`.
    pub fn service_provider_config(&self, config: &ServiceProviderConfig) -> Json {
        self.resource(CONFIG, "ServiceProviderConfig", None, config.to_json())
    }

    /// `/ResourceTypes`.
    pub fn resource_types(&self) -> ListResponse<Json> {
        let types = self.catalog.resource_types().iter();
        ListResponse::whole(types.map(|resource_type| self.describe(resource_type)).collect())
    }

    /// `/ResourceTypes/NAME`.
    pub fn resource_type(&self, name: &str) -> Option<Json> {
        self.catalog.resource_type(name).map(|resource_type| self.describe(resource_type))
    }

    /// `/Schemas`.
    pub fn schemas(&self) -> ListResponse<Json> {
        ListResponse::whole(
            self.catalog.schemas().iter().map(|schema| self.describe_schema(schema)).collect(),
        )
    }

    /// `/Schemas/URN`.
    pub fn schema(&self, urn: &str) -> Option<Json> {
        self.catalog.schema(urn).map(|schema| self.describe_schema(schema))
    }

    fn describe(&self, resource_type: &ResourceType) -> Json {
        let mut members = members(resource_type.document());
        members.insert("id".to_owned(), json!(resource_type.name()));
        self.resource(RESOURCE_TYPE, "ResourceType", Some(("ResourceTypes", resource_type.name())), members)
    }

    fn describe_schema(&self, schema: &Schema) -> Json {
        self.resource(SCHEMA, "Schema", Some(("Schemas", &schema.id)), members(schema))
    }

    /// With what every resource has. `place` is the endpoint and the id, where there are several.
    fn resource(
        &self,
        schema: &str,
        resource_type: &str,
        place: Option<(&str, &str)>,
        mut members: Map<String, Json>,
    ) -> Json {
        let location = match place {
            None => format!("{}/{resource_type}", self.base_url),
            Some((endpoint, id)) => format!("{}/{endpoint}/{id}", self.base_url),
        };
        members.insert("schemas".to_owned(), json!([schema]));
        members.insert("meta".to_owned(), json!({"resourceType": resource_type, "location": location}));
        Json::Object(members)
    }
}

/// The members of what is written as an object.
fn members(value: &impl Serialize) -> Map<String, Json> {
    match serde_json::to_value(value) {
        Ok(Json::Object(members)) => members,
        Ok(_) | Err(_) => Map::new(),
    }
}

/// What the service supports beside what this core always does: PATCH, filters, and pages by index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceProviderConfig {
    /// Help for people.
    pub documentation_uri: Option<String>,
    /// Limits of Bulk; none if it is not supported.
    pub bulk: Option<BulkLimits>,
    /// The most resources that a filter returns.
    pub max_results: usize,
    /// Whether a password can be changed.
    pub change_password: bool,
    /// Whether lists can be sorted.
    pub sort: bool,
    /// Whether resources have versions.
    pub etag: bool,
    /// How many resources a page has; none if nothing is said of pages (RFC 9865), for clients that do not know the attribute.
    pub pages: Option<PageLimits>,
    /// How long a cursor is good; none if there are no cursors.
    pub cursor_timeout: Option<Duration>,
    /// How clients prove who they are.
    pub authentication_schemes: Vec<AuthenticationScheme>,
}

/// How clients prove who they are (RFC 7643 section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticationScheme {
    /// `oauthbearertoken`, `oauth2`, `httpbasic`, ….
    pub scheme_type: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// The specification.
    pub spec_uri: Option<String>,
    /// Help for people.
    pub documentation_uri: Option<String>,
    /// Whether it is the preferred one.
    pub primary: bool,
}

impl AuthenticationScheme {
    /// Bearer tokens (RFC 6750).
    pub fn bearer_token() -> Self {
        Self {
            scheme_type: "oauthbearertoken".to_owned(),
            name: "Bearer token".to_owned(),
            description: "A token in the header field Authorization.".to_owned(),
            spec_uri: Some("https://www.rfc-editor.org/info/rfc6750".to_owned()),
            documentation_uri: None,
            primary: true,
        }
    }

    fn to_json(&self) -> Json {
        let mut scheme = json!({
            "type": self.scheme_type,
            "name": self.name,
            "description": self.description,
            "primary": self.primary,
        });
        set(&mut scheme, "specUri", self.spec_uri.as_deref());
        set(&mut scheme, "documentationUri", self.documentation_uri.as_deref());
        scheme
    }
}

impl ServiceProviderConfig {
    fn to_json(&self) -> Map<String, Json> {
        let limits = self.bulk.unwrap_or(BulkLimits { max_operations: 0, max_payload_size: 0 });
        let pagination = self.pages.map(|pages| {
            let mut pagination = json!({
                "index": true,
                "cursor": self.cursor_timeout.is_some(),
                "defaultPaginationMethod": "index",
                "defaultPageSize": pages.default_count,
                "maxPageSize": pages.max_count,
            });
            set(&mut pagination, "cursorTimeout", self.cursor_timeout.map(|timeout| timeout.as_secs()));
            pagination
        });
        let schemes: Vec<Json> =
            self.authentication_schemes.iter().map(AuthenticationScheme::to_json).collect();
        let mut config = json!({
            "patch": {"supported": true},
            "bulk": {
                "supported": self.bulk.is_some(),
                "maxOperations": limits.max_operations,
                "maxPayloadSize": limits.max_payload_size,
            },
            "filter": {"supported": true, "maxResults": self.max_results},
            "changePassword": {"supported": self.change_password},
            "sort": {"supported": self.sort},
            "etag": {"supported": self.etag},
            "authenticationSchemes": schemes,
        });
        set(&mut config, "pagination", pagination);
        set(&mut config, "documentationUri", self.documentation_uri.as_deref());
        members(&config)
    }
}

/// Adds a member that has a value.
fn set(object: &mut Json, name: &str, value: Option<impl Into<Json>>) {
    if let (Some(members), Some(value)) = (object.as_object_mut(), value) {
        members.insert(name.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schema::{Attribute, DataType};
    use std::sync::Arc;

    const BASE: &str = "https://example.com/scim/v2";

    fn config() -> ServiceProviderConfig {
        ServiceProviderConfig {
            documentation_uri: Some("https://example.com/help".into()),
            bulk: Some(BulkLimits { max_operations: 1000, max_payload_size: 1_048_576 }),
            max_results: 200,
            change_password: false,
            sort: true,
            etag: true,
            pages: Some(PageLimits { default_count: 50, max_count: 200 }),
            cursor_timeout: Some(Duration::from_secs(3600)),
            authentication_schemes: vec![AuthenticationScheme::bearer_token()],
        }
    }

    /// Whether each member has an attribute of its type, and each required attribute a member.
    fn faults(place: &str, attributes: &[Arc<Attribute>], json: &Json) -> Vec<String> {
        let members = json.as_object().unwrap();
        let lacking = attributes
            .iter()
            .filter(|attribute| attribute.required && !members.contains_key(&*attribute.name))
            .map(|attribute| format!("{place}: {} is missing", attribute.name));
        let common = ["schemas", "id", "meta"];
        let of_members =
            members.iter().filter(|(name, _)| !common.contains(&name.as_str())).flat_map(|(name, value)| {
                let place = format!("{place}.{name}");
                let Some(attribute) = attributes.iter().find(|attribute| *attribute.name == **name) else {
                    return vec![format!("{place}: unknown")];
                };
                let items = if attribute.multi_valued {
                    value.as_array().unwrap().as_slice()
                } else {
                    std::slice::from_ref(value)
                };
                let of_item = |item: &Json| {
                    let fits = match attribute.data_type {
                        DataType::Complex => return faults(&place, &attribute.sub_attributes, item),
                        DataType::Boolean => item.is_boolean(),
                        DataType::Integer => item.is_u64(),
                        DataType::Decimal => item.is_number(),
                        DataType::String | DataType::Reference | DataType::DateTime | DataType::Binary => {
                            item.is_string()
                        }
                    };
                    if fits { Vec::new() } else { vec![format!("{place}: no {}", attribute.data_type)] }
                };
                items.iter().flat_map(of_item).collect()
            });
        lacking.chain(of_members).collect()
    }

    #[test]
    fn each_answer_is_of_its_own_schema() {
        let catalog = Catalog::built_in().unwrap();
        let discovery = Discovery::new(&catalog, BASE);
        let check = |urn: &str, json: &Json| {
            assert_eq!(json["schemas"], json!([urn]));
            let found = faults("", &catalog.schema(urn).unwrap().attributes, json);
            // Attributes have sub-attributes of the same form, one level deeper than the schema of schemas says.
            let found: Vec<_> =
                found.into_iter().filter(|fault| !fault.contains("subAttributes.subAttributes")).collect();
            assert_eq!(found, [""; 0], "{json}");
        };
        check(CONFIG, &discovery.service_provider_config(&config()));
        let types = discovery.resource_types();
        assert_eq!(types.total_results, Some(2));
        types.resources.iter().for_each(|json| check(RESOURCE_TYPE, json));
        let schemas = discovery.schemas();
        assert_eq!(schemas.total_results, Some(6));
        schemas.resources.iter().for_each(|json| check(SCHEMA, json));
    }

    #[test]
    fn what_is_supported_is_said() {
        let catalog = Catalog::built_in().unwrap();
        let discovery = Discovery::new(&catalog, BASE);
        let json = discovery.service_provider_config(&config());
        let pagination = json!({"index": true, "cursor": true, "defaultPaginationMethod": "index",
            "defaultPageSize": 50, "maxPageSize": 200, "cursorTimeout": 3600});
        assert_eq!(json["pagination"], pagination);
        assert_eq!(
            json["bulk"],
            json!({"supported": true, "maxOperations": 1000, "maxPayloadSize": 1_048_576})
        );
        assert_eq!(json["meta"]["location"], format!("{BASE}/ServiceProviderConfig"));
        let without = ServiceProviderConfig { bulk: None, cursor_timeout: None, ..config() };
        let json = discovery.service_provider_config(&without);
        assert_eq!(json["bulk"], json!({"supported": false, "maxOperations": 0, "maxPayloadSize": 0}));
        assert_eq!(
            (&json["pagination"]["cursor"], json["pagination"].get("cursorTimeout")),
            (&json!(false), None)
        );
        let silent = discovery.service_provider_config(&ServiceProviderConfig { pages: None, ..config() });
        assert_eq!((silent.get("pagination"), &silent["filter"]["maxResults"]), (None, &json!(200)));
    }

    #[test]
    fn each_is_found_by_its_id_and_location() {
        let catalog = Catalog::built_in().unwrap();
        let discovery = Discovery::new(&catalog, BASE);
        let user = discovery.resource_type("User").unwrap();
        assert_eq!((&user["id"], &user["endpoint"]), (&json!("User"), &json!("/Users")));
        assert_eq!(user["meta"]["location"], format!("{BASE}/ResourceTypes/User"));
        assert_eq!(discovery.resource_type("Nobody"), None);
        let urn = "urn:ietf:params:scim:schemas:core:2.0:Group";
        let schema = discovery.schema(urn).unwrap();
        assert_eq!(
            (&schema["id"], &schema["meta"]["location"]),
            (&json!(urn), &json!(format!("{BASE}/Schemas/{urn}")))
        );
        assert_eq!(discovery.schema("urn:x"), None);
    }

    #[test]
    fn filters_are_refused() {
        let search = |filter: Option<&str>| SearchRequest {
            filter: filter.map(str::to_owned),
            ..SearchRequest::default()
        };
        assert_eq!(Discovery::check(&search(None)), Ok(()));
        assert_eq!(Discovery::check(&search(Some(""))).map_err(|error| error.status), Err(403));
    }
}
