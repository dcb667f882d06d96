//! What needs no database is settled here: whatever is at fault in a call is told at once, and the store gets what is clean.

use super::call::{Call, Method, Operation};
use super::credential::{Grant, Granted, actor};
use super::mapping::Mapping;
use super::policy::{GatewayPolicy, Tenant};
use super::refusal::{Reason, Refusal};
use crate::http::HeaderMutation;
use crate::scim::{
    self, BulkMethod, BulkRequest, BulkWork, Conditions, Discovery, FilterError, PageLimits, Patch,
    Projection, Resource, ResourceType, Route, ScimError, SearchRequest, Softenings, Sort, TypedFilter,
};
use crate::time::UnixTime;
use serde_json::{Map, Value as Json};
use std::net::IpAddr;
use std::sync::Arc;

/// What the proxy is to send to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarding {
    /// Changes of the request's header fields.
    pub mutations: Vec<HeaderMutation<'static>>,
    /// Another body; `None` leaves it as it is.
    pub body: Option<Vec<u8>>,
}

/// What the host knows of a call beside what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surroundings {
    /// Now.
    pub now: UnixTime,
    /// The client's address, for the store's audit trail.
    pub client: Option<IpAddr>,
}

/// A clean call: path and query below the base path of the store, and the body if it is another.
struct Clean {
    target: String,
    body: Option<Vec<u8>>,
}

impl GatewayPolicy {
    /// Judges a call whose caller is known, with its whole body, and says how it goes on to the store. `fresh` makes up an
    /// `Idempotency-Key`, which must never be the same again; none if the host has no randomness.
    ///
    /// # Errors
    /// [`Refusal`] for whatever is at fault.
    pub fn settle(
        &self,
        call: &Call,
        body: &[u8],
        surroundings: Surroundings,
        fresh: impl FnOnce() -> Option<String>,
    ) -> Result<Forwarding, Refusal> {
        let (Some(tenant), Some(actor)) = (call.tenant.and_then(|id| self.tenant(id)), &call.actor) else {
            return Err(Refusal::new(Reason::InternalError));
        };
        if self.wants_certificate(call) && !call.is_certified {
            return Err(Refusal::new(Reason::CertificateUnknown));
        }
        self.check_head(call)?;
        let limit = self.body_limit(call);
        if body.len() > limit {
            return Err(Refusal::too_large(limit));
        }
        let clean = self.clean(call, tenant, body)?;
        let mut mutations = Vec::with_capacity(8);
        let set = |name: &'static str, value: String| {
            HeaderMutation::Set(name.as_bytes().into(), value.into_bytes().into())
        };
        mutations.extend(call.fields.removed.iter().map(|name| HeaderMutation::Remove(name.clone().into())));
        match &self.store {
            Some(store) => {
                let target = format!("{}{}", store.base_path, clean.target);
                let credential = store.key.seal(
                    surroundings.now,
                    &Grant {
                        issuer: &store.gateway,
                        tenant: &tenant.name,
                        actor: &actor.name(),
                        profile: tenant.profile,
                        base_url: &tenant.base_url,
                        request_id: &call.request_id,
                        client: surroundings.client,
                        method: call.method.as_str(),
                        target: &target,
                    },
                );
                mutations.push(set(":path", target));
                mutations.push(set("authorization", format!("Bearer {credential}")));
            }
            None => mutations.extend([
                set(":path", clean.target),
                HeaderMutation::Remove(b"authorization".as_slice().into()),
            ]),
        }
        if !call.fields.has_request_id {
            mutations.push(set("x-request-id", call.request_id.clone()));
        }
        if call.operation() == Operation::Create && call.fields.idempotency_key.is_none() {
            // Without a key a create that is tried again could be made twice.
            let key = fresh().ok_or_else(|| Refusal::new(Reason::InternalError))?;
            mutations.push(set("idempotency-key", key));
        }
        if clean.body.is_some() {
            // The proxy counts it anew.
            mutations.push(HeaderMutation::Remove(b"content-length".as_slice().into()));
        }
        Ok(Forwarding { mutations, body: clean.body })
    }

    /// What a store that the host has itself is told of a call that is settled, and needs no credential to believe; `issuer` is what the host
    /// calls itself. `None` if it is not known who calls.
    pub fn granted(&self, call: &Call, issuer: &str, client: Option<IpAddr>) -> Option<Granted> {
        let tenant = self.tenant(call.tenant?)?;
        Some(Granted {
            issuer: issuer.to_owned(),
            tenant: tenant.name.clone(),
            actor: actor(&call.actor.as_ref()?.name()).into_owned(),
            profile: tenant.profile,
            base_url: tenant.base_url.clone(),
            request_id: call.request_id.clone(),
            client,
        })
    }

    fn clean(&self, call: &Call, tenant: &Tenant, body: &[u8]) -> Result<Clean, Refusal> {
        let route = call.route.as_ref().map_err(ScimError::clone)?;
        if !body.is_empty() {
            scim::check_media_type(call.fields.content_type.as_deref())?;
        }
        let fields = &call.fields;
        let has_body = matches!(call.method, Method::Post | Method::Put | Method::Patch);
        if !has_body && !body.is_empty() {
            let method = call.method.as_str();
            return Err(ScimError::new(400, format!("expected no body with {method}")).into());
        }
        Conditions::parse(fields.if_match.as_deref(), fields.if_none_match.as_deref())
            .map_err(ScimError::from)?;
        let request =
            Request { policy: self, tenant, softenings: tenant.profile.softenings(), query: &call.query };
        let clean = match (call.method, route) {
            (Method::Get | Method::Head, Route::Resource(resource_type, _)) => request.read(resource_type)?,
            (Method::Get | Method::Head, Route::Resources(resource_type)) => {
                request.list(std::slice::from_ref(resource_type))?
            }
            (Method::Get | Method::Head, Route::Root) => request.list(self.catalog.resource_types())?,
            (Method::Post, Route::Search(resource_type)) => {
                request.search(std::slice::from_ref(resource_type), body)?
            }
            (Method::Post, Route::RootSearch) => request.search(self.catalog.resource_types(), body)?,
            (Method::Post, Route::Resources(resource_type)) => {
                scim::idempotency_key(fields.idempotency_key.as_deref())?;
                request.resource(resource_type, body)?
            }
            (Method::Put, Route::Resource(resource_type, _)) => request.resource(resource_type, body)?,
            (Method::Patch, Route::Resource(resource_type, _)) => request.patch(resource_type, body)?,
            (Method::Delete, Route::Resource(..)) => (String::new(), None),
            (Method::Post, Route::Bulk) => request.bulk(body)?,
            (
                Method::Get | Method::Head,
                Route::ServiceProviderConfig | Route::ResourceTypes(_) | Route::Schemas(_),
            ) => {
                let search = SearchRequest::from_query(&call.query).map_err(ScimError::from)?;
                Discovery::check(&search)?;
                (String::new(), None)
            }
            // Whoever provisions has no business with the change feed.
            (_, Route::Changes) => {
                return Err(ScimError::new(404, "expected the path of a resource or an endpoint").into());
            }
            (_, Route::Me) => {
                return Err(ScimError::new(501, "a bearer token stands for no user here").into());
            }
            (method, route) => {
                let (methods, found) = (route.methods(), method.as_str());
                let error = ScimError::new(405, format!("expected {methods}, but found {found}"));
                return Err(Refusal { headers: vec![("allow", methods.to_owned())], ..Refusal::from(error) });
            }
        };
        let (query, body) = clean;
        let path = route.to_path();
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        Ok(Clean { target, body })
    }
}

/// A query, and a body if it is another.
type Parts = (String, Option<Vec<u8>>);

/// What requests are held against.
struct Request<'c> {
    policy: &'c GatewayPolicy,
    tenant: &'c Tenant,
    softenings: Softenings,
    query: &'c str,
}

/// Pages are the store's to bound; what is asked for must be possible.
const PAGES: PageLimits = PageLimits { default_count: usize::MAX, max_count: usize::MAX };

impl Request<'_> {
    fn read(&self, resource_type: &ResourceType) -> Result<Parts, ScimError> {
        let mut search = SearchRequest::from_query(self.query)?;
        if let Some(mapping) = self.mapping(resource_type) {
            mapping.translate_projection(&mut search);
        }
        Projection::new(resource_type, &search.attributes, &search.excluded_attributes)?;
        let SearchRequest { attributes, excluded_attributes, .. } = search;
        let search = SearchRequest { attributes, excluded_attributes, ..SearchRequest::default() };
        Ok((search.to_query(), None))
    }

    fn list(&self, resource_types: &[Arc<ResourceType>]) -> Result<Parts, ScimError> {
        let search = self.checked(resource_types, SearchRequest::from_query(self.query)?)?;
        Ok((search.to_query(), None))
    }

    fn search(&self, resource_types: &[Arc<ResourceType>], body: &[u8]) -> Result<Parts, ScimError> {
        let search = SearchRequest::from_json(&scim::read_body(body)?)?;
        let body = to_bytes(&self.checked(resource_types, search)?.to_json())?;
        Ok((String::new(), Some(body)))
    }

    /// The search as the RFC has it.
    fn checked(
        &self,
        resource_types: &[Arc<ResourceType>],
        mut search: SearchRequest,
    ) -> Result<SearchRequest, ScimError> {
        let mapping = match resource_types {
            [resource_type] => self.mapping(resource_type),
            _ if self.tenant.mappings.is_empty() => None,
            _ => {
                let detail = "expected a search of one resource type, since attributes are called otherwise here than in the store";
                return Err(ScimError::new(501, detail));
            }
        };
        if let Some(mapping) = mapping {
            mapping.translate_search(&mut search)?;
        }
        let syntax = self.softenings.filter_syntax();
        if let Some(mut filter) = search.parse_filter(&syntax)? {
            if let Some(mapping) = mapping {
                filter = mapping.translate_filter(filter)?;
            }
            if let [resource_type] = resource_types {
                filter = self.softenings.soften_filter(resource_type, filter);
                TypedFilter::resolve(&filter, resource_type)?;
            } else {
                TypedFilter::resolve_each(&filter, resource_types)?;
            }
            let written = filter.to_string();
            // Names of the store's, quotes and escapes may make it longer, and the store has the same limit.
            if written.len() > syntax.max_length {
                let (limit, found) = (syntax.max_length, written.len());
                return Err(FilterError::TooLong { limit, found }.into());
            }
            search.filter = Some(written);
        }
        if let Some(sort_by) = &search.sort_by {
            Sort::resolve_each(sort_by, search.sort_order, resource_types)?;
        }
        for resource_type in resource_types {
            Projection::new(resource_type, &search.attributes, &search.excluded_attributes)?;
        }
        search.paging(PAGES)?;
        Ok(search)
    }

    fn resource(&self, resource_type: &Arc<ResourceType>, body: &[u8]) -> Result<Parts, ScimError> {
        let (query, _) = self.read(resource_type)?;
        let mut members = scim::read_body(body)?;
        self.prepare_resource(resource_type, &mut members)?;
        Resource::parse(resource_type, &members, self.tenant.unknown)?;
        Ok((query, self.rewritten(members)?))
    }

    fn patch(&self, resource_type: &Arc<ResourceType>, body: &[u8]) -> Result<Parts, ScimError> {
        let (query, _) = self.read(resource_type)?;
        let mut members = scim::read_body(body)?;
        self.prepare_patch(resource_type, &mut members)?;
        Patch::parse(resource_type, &members, &self.softenings.patch_rules(self.tenant.unknown))?;
        Ok((query, self.rewritten(members)?))
    }

    /// Operations that are at fault fail one by one, each with its own response: that is the store's to write. But one that names what
    /// the client has no attribute of must not come to the store, which may have one of that name: then the request is refused.
    fn bulk(&self, body: &[u8]) -> Result<Parts, ScimError> {
        let mut members = BulkRequest::read_body(body, self.policy.bulk)?;
        let request = BulkRequest::from_json(&members, self.policy.bulk.max_operations)?;
        let operations = members.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("Operations"));
        let operations = operations.and_then(|(_, operations)| operations.as_array_mut());
        for (index, (json, operation)) in operations.into_iter().flatten().zip(request.operations).enumerate()
        {
            if let (Json::Object(json), Ok(work)) = (json, operation.work) {
                self.prepare_operation(json, work).map_err(|error| within(index, error))?;
            }
        }
        Ok((String::new(), self.rewritten(members)?))
    }

    fn prepare_operation(&self, operation: &mut Map<String, Json>, work: BulkWork) -> Result<(), ScimError> {
        let Ok(route) = Route::of(&self.policy.catalog, &work.path) else { return Ok(()) };
        let mut data = work.data;
        match (work.method, &route) {
            (BulkMethod::Post, Route::Resources(resource_type))
            | (BulkMethod::Put, Route::Resource(resource_type, _)) => {
                self.prepare_resource(resource_type, &mut data)?;
            }
            (BulkMethod::Patch, Route::Resource(resource_type, _)) => {
                self.prepare_patch(resource_type, &mut data)?;
            }
            _ => return Ok(()),
        }
        operation.retain(|name, _| !name.eq_ignore_ascii_case("data"));
        operation.insert("data".to_owned(), Json::Object(data));
        Ok(())
    }

    /// The body of a create or a replace under the store's names, as the RFC has it.
    fn prepare_resource(
        &self,
        resource_type: &ResourceType,
        members: &mut Map<String, Json>,
    ) -> Result<(), ScimError> {
        let mapping = self.mapping(resource_type);
        if let Some(mapping) = mapping {
            mapping.translate_resource(members, self.tenant.unknown)?;
        }
        self.softenings.soften_resource(resource_type, members);
        if let Some(mapping) = mapping {
            mapping.complete(members);
        }
        Ok(())
    }

    /// The same of a PATCH.
    fn prepare_patch(
        &self,
        resource_type: &ResourceType,
        members: &mut Map<String, Json>,
    ) -> Result<(), ScimError> {
        if let Some(mapping) = self.mapping(resource_type) {
            mapping.translate_patch(members, &self.softenings, self.tenant.unknown)?;
        }
        self.softenings.soften_patch(resource_type, members);
        Ok(())
    }

    fn mapping(&self, resource_type: &ResourceType) -> Option<&Mapping> {
        self.tenant.mappings.of(resource_type.name())
    }

    /// The body as it is now; `None` if nothing can have changed it.
    fn rewritten(&self, members: Map<String, Json>) -> Result<Option<Vec<u8>>, ScimError> {
        if self.softenings.iter().next().is_none() && self.tenant.mappings.is_empty() {
            return Ok(None);
        }
        to_bytes(&Json::Object(members)).map(Some)
    }
}

/// An error of an operation, counted from 0.
fn within(index: usize, error: ScimError) -> ScimError {
    let ScimError { status, scim_type, detail } = error;
    ScimError { scim_type, ..ScimError::new(status, format!("Operations[{index}]: {detail}")) }
}

fn to_bytes(body: &Json) -> Result<Vec<u8>, ScimError> {
    serde_json::to_vec(body).map_err(|error| ScimError::new(500, error.to_string()))
}
