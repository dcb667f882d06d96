//! The SCIM service: requests in, responses out. It knows no HTTP server: whoever has one hands over what a request says, and sends
//! what it answers.

mod bulk;
mod changes;
mod exchange;
mod id;
mod list;
mod members;
mod represent;
mod roles;
mod turns;
mod view;
mod write;

pub use exchange::{Context, Request, Response};
pub use members::Rest;

use crate::database::{Database, DatabaseError, WriteError};
use crate::repository::{Layout, Repository};
use crate::tenants::Tenants;
use changes::Watchers;
use doorward::scim::{
    self, AuthenticationScheme, BulkLimits, Catalog, CursorKey, Discovery, PageLimits, ResourceType, Route,
    ScimError, ScimType, SearchRequest, ServiceProviderConfig, Unknown,
};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use turns::Turns;
use view::View;

/// How the service behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many resources a page has.
    pub pages: PageLimits,
    /// Whether `ServiceProviderConfig` says so (RFC 9865). There are clients that refuse a service for an attribute they do not know.
    pub announce_pages: bool,
    /// How much a Bulk request may hold.
    pub bulk: BulkLimits,
    /// How long a cursor is good.
    pub cursor_timeout: Duration,
    /// What becomes of attributes that no schema has.
    pub unknown: Unknown,
    /// The attributes whose new values are in the audit trail, by their paths. Of all others it has the paths alone: values are personal
    /// data, and a trail forgets nothing.
    pub recorded: Vec<String>,
    /// How long the answers to creates with an `Idempotency-Key` are kept.
    pub idempotency: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pages: PageLimits { default_count: 100, max_count: 1_000 },
            announce_pages: true,
            bulk: BulkLimits { max_operations: 1_000, max_payload_size: 1 << 20 },
            cursor_timeout: Duration::from_secs(3_600),
            unknown: Unknown::Refused,
            recorded: Vec::new(),
            // The day that providers at most try again for.
            idempotency: Duration::from_secs(86_400),
        }
    }
}

/// SCIM over a repository.
#[derive(Debug)]
pub struct Service<D> {
    repository: Repository<D>,
    tenants: Arc<Tenants<D>>,
    catalog: Arc<Catalog>,
    /// By the names of resource types.
    layouts: HashMap<String, Layout>,
    /// What is seen by default, by the same names.
    views: HashMap<String, Arc<View>>,
    settings: Settings,
    cursors: CursorKey,
    watchers: Watchers,
    turns: Option<Turns>,
}

impl<D: Database> Service<D> {
    /// Over the database of these tenants. `cursors` must be the same in every process that serves it.
    pub fn new(
        tenants: Arc<Tenants<D>>,
        catalog: Arc<Catalog>,
        settings: Settings,
        cursors: CursorKey,
    ) -> Self {
        let (mut layouts, mut views) = (HashMap::new(), HashMap::new());
        for resource_type in catalog.resource_types() {
            let layout = Layout::of(resource_type);
            let view = View::by_default(resource_type, &layout).map(Arc::new);
            views.extend(view.map(|view| (resource_type.name().to_owned(), view)));
            layouts.insert(resource_type.name().to_owned(), layout);
        }
        Self {
            repository: Repository::new(Arc::clone(tenants.database())),
            tenants,
            catalog,
            layouts,
            views,
            settings,
            cursors,
            watchers: Watchers::default(),
            turns: Some(Turns::default()),
        }
    }

    /// Without turns, in which changes of one resource wait for each other that were overtaken: where a request must not wait for another
    /// one, as in workers.
    #[must_use]
    pub fn without_turns(self) -> Self {
        Self { turns: None, ..self }
    }

    /// Answers a request.
    pub async fn handle(&self, context: &Context, request: &Request<'_>) -> Response {
        self.answer(context, request).await.unwrap_or_else(Response::from)
    }

    async fn answer(&self, context: &Context, request: &Request<'_>) -> Result<Response, ScimError> {
        let route = Route::of(&self.catalog, request.path)?;
        if !request.body.is_empty() {
            scim::check_media_type(request.content_type)?;
        }
        let method = if request.method == "HEAD" { "GET" } else { request.method };
        match (method, &route) {
            ("GET", Route::Resource(resource_type, id)) => {
                self.get(context, request, resource_type, id).await
            }
            ("GET", Route::Resources(resource_type)) => {
                let search = SearchRequest::from_query(request.query)?;
                self.search(context, std::slice::from_ref(resource_type), &search).await
            }
            ("POST", Route::Search(resource_type)) => {
                let search = SearchRequest::from_json(&body(request)?)?;
                self.search(context, std::slice::from_ref(resource_type), &search).await
            }
            ("GET", Route::Root) => {
                let search = SearchRequest::from_query(request.query)?;
                self.search(context, self.catalog.resource_types(), &search).await
            }
            ("POST", Route::RootSearch) => {
                let search = SearchRequest::from_json(&body(request)?)?;
                self.search(context, self.catalog.resource_types(), &search).await
            }
            ("POST", Route::Resources(resource_type)) => {
                self.create(context, request, resource_type, body(request)?).await
            }
            ("PUT", Route::Resource(resource_type, id)) => {
                self.replace(context, request, resource_type, id, body(request)?).await
            }
            ("PATCH", Route::Resource(resource_type, id)) => {
                self.patch(context, request, resource_type, id, body(request)?).await
            }
            ("DELETE", Route::Resource(resource_type, id)) => {
                self.delete(context, request, resource_type, id).await
            }
            ("POST", Route::Bulk) => self.bulk(context, request).await,
            ("GET", Route::Changes) => self.changes(context, request).await,
            ("GET", Route::ServiceProviderConfig | Route::ResourceTypes(_) | Route::Schemas(_)) => {
                self.discover(context, request, &route)
            }
            (_, Route::Me) => Err(ScimError::new(501, "a bearer token stands for no user here")),
            (method, route) => {
                let methods = route.methods();
                let error = ScimError::new(405, format!("expected {methods}, but found {method}"));
                let mut response = Response::from(error);
                response.headers.push(("allow", methods.to_owned()));
                Ok(response)
            }
        }
    }

    fn discover(
        &self,
        context: &Context,
        request: &Request<'_>,
        route: &Route,
    ) -> Result<Response, ScimError> {
        Discovery::check(&SearchRequest::from_query(request.query)?)?;
        let discovery = Discovery::new(&self.catalog, &context.base_url);
        let missing = |name: &str| ScimError::not_found(name);
        Ok(match route {
            Route::ResourceTypes(None) => ok(&discovery.resource_types()),
            Route::ResourceTypes(Some(name)) => {
                ok(&discovery.resource_type(name).ok_or_else(|| missing(name))?)
            }
            Route::Schemas(None) => ok(&discovery.schemas()),
            Route::Schemas(Some(urn)) => ok(&discovery.schema(urn).ok_or_else(|| missing(urn))?),
            Route::ServiceProviderConfig => ok(&discovery.service_provider_config(&ServiceProviderConfig {
                documentation_uri: None,
                bulk: Some(self.settings.bulk),
                max_results: self.settings.pages.max_count,
                change_password: false,
                sort: true,
                etag: true,
                pages: self.settings.announce_pages.then_some(self.settings.pages),
                cursor_timeout: Some(self.settings.cursor_timeout),
                authentication_schemes: vec![AuthenticationScheme::bearer_token()],
            })),
            Route::Root
            | Route::RootSearch
            | Route::Resources(_)
            | Route::Search(_)
            | Route::Resource(..)
            | Route::Bulk
            | Route::Changes
            | Route::Me => {
                return Err(ScimError::new(404, "expected an endpoint that describes the service"));
            }
        })
    }

    fn layout(&self, resource_type: &ResourceType) -> Result<&Layout, ScimError> {
        self.layouts
            .get(resource_type.name())
            .ok_or_else(|| ScimError::new(500, "expected a known resource type"))
    }
}

/// 200 with a body.
fn ok(body: &impl Serialize) -> Response {
    Response { status: 200, body: serde_json::to_vec(body).ok(), ..Response::default() }
}

fn body(request: &Request<'_>) -> Result<Map<String, Json>, ScimError> {
    scim::read_body(request.body)
}

/// What a client is told if the database does not answer: nothing of what happened inside.
fn unavailable(error: &DatabaseError) -> ScimError {
    match error {
        DatabaseError::Unavailable(_) => {
            ScimError::new(503, "the database is not available; try again later")
        }
        DatabaseError::Full(_) => ScimError::new(507, "the database has no room left"),
        DatabaseError::Failed(_) => ScimError::new(500, "the database failed"),
    }
}

impl From<DatabaseError> for Response {
    fn from(error: DatabaseError) -> Self {
        unavailable(&error).into()
    }
}

/// Of a write that was refused for a reason that only the database knows.
fn refused(error: &WriteError, id: &str) -> ScimError {
    match error {
        WriteError::Missing => ScimError::not_found(id),
        WriteError::Conflict { .. } => ScimError::new(412, "the resource has another version"),
        WriteError::Taken => {
            ScimError::typed(409, ScimType::Uniqueness, "expected a value that is not in use")
        }
        WriteError::NothingFound(_) => ScimError::not_found(id),
        // A member that was there a moment ago.
        WriteError::Dangling => {
            ScimError::bad_request(ScimType::InvalidValue, "expected the id of a resource")
        }
        WriteError::Database(error) => unavailable(error),
    }
}
