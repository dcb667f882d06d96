//! What a client sees of resources: JSON, as it goes into a response.
//!
//! A resource that is shown as it is, all of it, is not taken apart and put together again: what is kept is JSON already, and what
//! other tables have is added to its end.

use super::members::{Reference, Rest};
use super::represent::{Others, location, meta, version};
use super::{Context, Response, Service, unavailable};
use crate::database::Database;
use crate::repository::{Layout, Related, Stored, Whole};
use doorward::scim::{GrantedRoles, Meta, Projection, Resource, ResourceType, ScimError, SearchRequest};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;

/// The schemas that are part of the program. Their attributes stay what they are from start to start, and all that is kept of them is
/// returned by default; of a schema from a configuration neither is certain.
const BUILT_IN: [&str; 3] = [
    "urn:ietf:params:scim:schemas:core:2.0:User",
    "urn:ietf:params:scim:schemas:core:2.0:Group",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
];

/// The type of a granted role, as it is kept.
const GRANTED: &[u8] = b"\"granted\"";

/// A group of more members is sent in parts.
const IN_PARTS: usize = 1_000;

/// Which part of the resources of one type a client sees.
#[derive(Debug)]
pub(super) struct View {
    projection: Projection,
    /// Whether the client has chosen no attributes.
    is_default: bool,
    /// What must be read for it.
    pub(super) related: Related,
}

impl View {
    /// The one of a search, of attributes that are chosen or not.
    fn new(resource_type: &ResourceType, layout: &Layout, search: &SearchRequest) -> Result<Self, ScimError> {
        let projection = Projection::new(resource_type, &search.attributes, &search.excluded_attributes)?;
        let is_shown =
            |attribute: Option<&_>| attribute.is_some_and(|attribute| projection.includes(attribute));
        let related = Related {
            members: is_shown(layout.members()),
            groups: is_shown(layout.groups()),
            roles: is_shown(layout.roles().map(GrantedRoles::attribute)),
        };
        let is_default = search.attributes.is_empty() && search.excluded_attributes.is_empty();
        Ok(Self { projection, is_default, related })
    }

    /// The one of who chooses nothing.
    pub(super) fn by_default(resource_type: &ResourceType, layout: &Layout) -> Option<Self> {
        Self::new(resource_type, layout, &SearchRequest::default()).ok()
    }

    /// A resource that was read already.
    pub(super) fn of(&self, resource: &Resource) -> Result<Box<RawValue>, ScimError> {
        to_raw_value(&self.projection.apply(resource)).map_err(|error| broken(&error))
    }
}

/// A granted role.
#[derive(Serialize)]
struct Role<'r> {
    value: &'r str,
    #[serde(rename = "type")]
    kind: &'r str,
}

/// `meta` (RFC 7643 section 3.1).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MetaText<'m> {
    resource_type: &'m str,
    created: String,
    last_modified: String,
    location: &'m str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'m str>,
}

impl<D: Database> Service<D> {
    /// The view that a request asks for.
    pub(super) fn view_of(
        &self,
        resource_type: &ResourceType,
        search: &SearchRequest,
    ) -> Result<Arc<View>, ScimError> {
        let is_default = search.attributes.is_empty() && search.excluded_attributes.is_empty();
        match self.views.get(resource_type.name()).filter(|_| is_default) {
            Some(view) => Ok(Arc::clone(view)),
            None => View::new(resource_type, self.layout(resource_type)?, search).map(Arc::new),
        }
    }

    /// Resources from rows.
    pub(super) async fn view(
        &self,
        context: &Context,
        resource_type: &Arc<ResourceType>,
        rows: &[Stored],
        view: &View,
    ) -> Result<Vec<Box<RawValue>>, ScimError> {
        let loaded = self.load(context, rows, view.related).await?;
        let of = |row: &Stored| self.view_read(context, resource_type, row, loaded.of(&row.id), view);
        rows.iter().map(of).collect()
    }

    /// One resource, as the response to who asked for it or changed it.
    pub(super) async fn respond(
        &self,
        context: &Context,
        resource_type: &Arc<ResourceType>,
        row: &Stored,
        view: &View,
    ) -> Result<Response, ScimError> {
        if view.related.members {
            // The members of the version that is told, and no other's.
            return self.respond_anew(context, resource_type, &row.id, view).await;
        }
        let shown = self.view(context, resource_type, std::slice::from_ref(row), view).await?;
        let shown = shown.into_iter().next().ok_or_else(|| ScimError::not_found(&row.id))?;
        Ok(response(200, context, resource_type, row, shown))
    }

    /// One resource, read as of one moment.
    pub(super) async fn respond_anew(
        &self,
        context: &Context,
        resource_type: &Arc<ResourceType>,
        id: &str,
        view: &View,
    ) -> Result<Response, ScimError> {
        let related = self.related(context, view.related).await?;
        let found = self.repository.get_whole(&context.tenant, resource_type.name(), id, related).await;
        let found = found.map_err(|error| unavailable(&error))?.ok_or_else(|| ScimError::not_found(id))?;
        self.respond_whole(context, resource_type, found, view)
    }

    /// One resource that was read.
    pub(super) fn respond_whole(
        &self,
        context: &Context,
        resource_type: &Arc<ResourceType>,
        whole: Whole,
        view: &View,
    ) -> Result<Response, ScimError> {
        let Whole { row, members, groups, roles } = whole;
        if members.len() > IN_PARTS
            && view.is_default
            && let Some(start) = plain(&row.data).map(|start| format!("{start},\"members\":["))
        {
            let end = end(context, resource_type, &row).map_err(|error| broken(&error))?;
            let url = |known: &Arc<ResourceType>| location(context, known, "");
            let endpoints = self.catalog.resource_types().iter();
            let endpoints = endpoints.map(|known| (known.name().to_owned(), url(known))).collect();
            let rest = Some(Rest::new(members, endpoints, format!("]{end}")));
            let headers = headers(context, resource_type, &row);
            return Ok(Response { status: 200, headers, body: Some(start.into_bytes()), rest, waits: None });
        }
        let others = Others { members: &members, groups: &groups, roles: &roles };
        let shown = self.view_read(context, resource_type, &row, others, view)?;
        Ok(response(200, context, resource_type, &row, shown))
    }

    /// One resource with what other tables have.
    pub(super) fn view_read(
        &self,
        context: &Context,
        resource_type: &Arc<ResourceType>,
        row: &Stored,
        others: Others<'_>,
        view: &View,
    ) -> Result<Box<RawValue>, ScimError> {
        if view.is_default
            && !mixes_roles(&row.data, others.roles)
            && let Some(start) = plain(&row.data)
        {
            let text = self.spliced(context, resource_type, row, start, others);
            return text.and_then(RawValue::from_string).map_err(|error| broken(&error));
        }
        view.of(&self.read(context, resource_type, row, others)?)
    }

    fn spliced(
        &self,
        context: &Context,
        resource_type: &ResourceType,
        row: &Stored,
        start: &str,
        others: Others<'_>,
    ) -> serde_json::Result<String> {
        let mut text = String::with_capacity(start.len().saturating_add(512));
        text.push_str(start);
        for (name, others) in [("members", others.members), ("groups", others.groups)] {
            if others.is_empty() {
                continue;
            }
            let is_groups = name == "groups";
            let references = others.iter().map(|other| {
                let resource_type = self.catalog.resource_type(&other.resource_type);
                Reference {
                    value: &other.id,
                    reference: resource_type.map(|known| location(context, known, &other.id)),
                    display: other.label.as_deref(),
                    // Nobody is in a group by way of another one, as far as is kept.
                    kind: if is_groups { "direct" } else { &other.resource_type },
                }
            });
            text.push_str(",\"");
            text.push_str(name);
            text.push_str("\":");
            text.push_str(&serde_json::to_string(&references.collect::<Vec<_>>())?);
        }
        if !others.roles.is_empty() {
            let roles = others.roles.iter().map(|value| Role { value, kind: GrantedRoles::TYPE });
            text.push_str(",\"roles\":");
            text.push_str(&serde_json::to_string(&roles.collect::<Vec<_>>())?);
        }
        text.push_str(&end(context, resource_type, row)?);
        Ok(text)
    }
}

/// Whether a resource has roles of its own that those which are granted go among, or that look as if they were granted.
fn mixes_roles(data: &str, granted: &[String]) -> bool {
    // In a text the quotes would have backslashes in front.
    let looks_granted =
        || data.as_bytes().windows(GRANTED.len()).any(|part| part.eq_ignore_ascii_case(GRANTED));
    data.contains("\"roles\":") && (!granted.is_empty() || looks_granted())
}

/// `meta` and the end of a resource.
fn end(context: &Context, resource_type: &ResourceType, row: &Stored) -> serde_json::Result<String> {
    let Meta { created, last_modified, location, version } = meta(context, resource_type, row);
    let meta = MetaText {
        resource_type: resource_type.name(),
        created: created.to_string(),
        last_modified: last_modified.to_string(),
        location: &location,
        version: version.as_deref(),
    };
    Ok(format!(",\"meta\":{}}}", serde_json::to_string(&meta)?))
}

/// A response with one resource, and where it is, as in RFC 7644 sections 3.3, 3.4.1 and 3.5.1.
pub(super) fn response(
    status: u16,
    context: &Context,
    resource_type: &ResourceType,
    row: &Stored,
    shown: Box<RawValue>,
) -> Response {
    let body = Box::<str>::from(shown).into_string().into_bytes();
    let headers = headers(context, resource_type, row);
    Response { status, headers, body: Some(body), ..Response::default() }
}

fn headers(context: &Context, resource_type: &ResourceType, row: &Stored) -> Vec<(&'static str, String)> {
    let location = location(context, resource_type, &row.id);
    vec![("etag", version(row.version).to_string()), ("location", location)]
}

/// All but the end of what is kept, if it is of built-in schemas alone.
fn plain(data: &str) -> Option<&str> {
    let mut schemas = data.strip_prefix("{\"schemas\":[")?;
    loop {
        let (schema, rest) = schemas.strip_prefix('"')?.split_once('"')?;
        if !BUILT_IN.contains(&schema) {
            return None;
        }
        match rest.strip_prefix(',') {
            Some(rest) => schemas = rest,
            None => break rest.starts_with(']').then_some(())?,
        }
    }
    data.strip_suffix('}')
}

fn broken(error: &serde_json::Error) -> ScimError {
    ScimError::new(500, format!("expected a readable resource, but found {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_schema_of_a_configuration_is_read() {
        let [user, group, enterprise] = BUILT_IN;
        for (data, expected) in [
            (format!(r#"{{"schemas":["{user}"],"id":"1"}}"#), true),
            (format!(r#"{{"schemas":["{user}","{enterprise}"],"id":"1"}}"#), true),
            (format!(r#"{{"schemas":["{group}"]}}"#), true),
            (format!(r#"{{"schemas":["{user}","urn:a:b"],"id":"1"}}"#), false),
            (r#"{"schemas":["urn:a:b"],"id":"1"}"#.to_owned(), false),
            (r#"{"schemas":[]}"#.to_owned(), false),
            (format!(r#"{{"id":"1","schemas":["{user}"]}}"#), false),
            (format!(r#"{{"schemas":["{user}""#), false),
            (String::new(), false),
        ] {
            assert_eq!(plain(&data).is_some(), expected, "{data}");
            assert!(plain(&data).is_none_or(|start| format!("{start}}}") == data), "{data}");
        }
    }
}
