//! SCIM 2.0 as a protocol: RFC 7643 (schemas), RFC 7644 (protocol), RFC 9865 (cursors). What identity providers send is read,
//! judged and turned into values here; where resources are kept is somebody else's business.

mod attr_path;
mod body;
mod bulk;
mod caseless;
mod catalog;
mod cursor;
mod date_time;
mod discovery;
mod error;
mod filter;
mod granted;
mod idempotency;
mod list;
mod patch;
mod path;
mod profile;
mod projection;
mod resource;
mod resource_type;
mod route;
mod schema;
mod search;
mod sort;
mod value;
mod version;

pub use attr_path::{AttrPath, AttrPathError, is_attribute_name};
pub use body::{check_media_type, read_body};
pub use bulk::{
    BulkError, BulkFault, BulkLimits, BulkMethod, BulkOperation, BulkRequest, BulkResponse, BulkResult,
    BulkRun, BulkStep, BulkSuccess, BulkWork,
};
pub use caseless::fold_case;
pub use catalog::{Catalog, CatalogError, CatalogFault, CatalogProblem};
pub use cursor::{CursorError, CursorKey, CursorScope};
pub use date_time::{DateTime, DateTimeError};
pub use discovery::{AuthenticationScheme, Discovery, ServiceProviderConfig};
pub use error::{ScimError, ScimType};
pub use filter::{Comparison, Filter, FilterError, FilterSyntax, Literal, Operand, Operator, TypedFilter};
pub use granted::GrantedRoles;
pub use idempotency::idempotency_key;
pub use list::{ListResponse, PageLimits, Paging, PagingError};
pub use patch::{
    Fixed, MemberChange, MustExist, Outcome, PATCH_OP, Patch, PatchError, PatchFault, PatchRules, Plan,
};
pub use path::{PatchPath, PatchPathError};
pub use profile::{PatchAnswer, Profile, Softening, Softenings};
pub use projection::{Projected, Projection, ProjectionError};
pub use resource::{Meta, Resource, ResourceError};
pub use resource_type::{
    AttributeRef, Extension, ExtensionDocument, ResourceType, ResourceTypeDocument, UnresolvedPath,
};
pub use route::Route;
pub use schema::{Attribute, DataType, Mutability, Returned, Schema, Uniqueness};
pub use search::{SearchError, SearchRequest};
pub use sort::{Sort, SortError, SortKey, SortOrder};
pub use value::{Complex, Unknown, Value, ValueError};
pub use version::{Conditions, Freshness, Version, VersionError};

#[cfg(test)]
mod tests {
    //! What the tests of several files share.

    use super::catalog::Catalog;
    use super::resource_type::ResourceType;
    use std::sync::{Arc, LazyLock};

    static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::built_in().unwrap());

    /// A built-in resource type.
    pub(super) fn resource_type(name: &str) -> Arc<ResourceType> {
        Arc::clone(CATALOG.resource_type(name).unwrap())
    }

    pub(super) fn user() -> Arc<ResourceType> {
        resource_type("User")
    }

    pub(super) fn group() -> Arc<ResourceType> {
        resource_type("Group")
    }
}
