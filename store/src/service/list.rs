//! Reading: one resource, or a page of many.

use super::represent::version;
use super::view::View;
use super::{Context, Request, Response, Service, ok, unavailable};
use crate::database::Database;
use crate::repository::{Layout, Listed, Order, Position, Predicate, Related, Stored};
use doorward::scim::{
    Conditions, CursorScope, Filter, Freshness, GrantedRoles, ListResponse, Paging, Resource, ResourceType,
    ScimError, SearchRequest, Sort, SortOrder, TypedFilter,
};
use doorward::time::UnixTime;
use serde_json::value::RawValue;
use std::cmp::Ordering;
use std::sync::Arc;

/// How many resources are held against a filter at once, where SQL does not decide.
const BATCH: usize = 500;

/// A search of one resource type.
struct Search<'s> {
    resource_type: &'s Arc<ResourceType>,
    layout: &'s Layout,
    filter: Option<TypedFilter>,
    predicate: Option<Predicate>,
    sort: Option<Sort>,
    view: Arc<View>,
}

/// Where a page begins, and how long it may be.
enum Start {
    Index { skip: usize, count: usize },
    After { id: Option<String>, count: usize },
}

impl<D: Database> Service<D> {
    pub(super) async fn get(
        &self,
        context: &Context,
        request: &Request<'_>,
        resource_type: &Arc<ResourceType>,
        id: &str,
    ) -> Result<Response, ScimError> {
        let search = SearchRequest::from_query(request.query)?;
        let conditions = Conditions::parse(request.if_match, request.if_none_match)?;
        let view = self.view_of(resource_type, &search)?;
        let related = self.related(context, view.related).await?;
        let found = self.repository.get_whole(&context.tenant, resource_type.name(), id, related).await;
        let found = found.map_err(|error| unavailable(&error))?.ok_or_else(|| ScimError::not_found(id))?;
        let tag = version(found.row.version);
        if conditions.check_read(&tag)? == Freshness::NotModified {
            return Ok(Response {
                status: 304,
                headers: vec![("etag", tag.to_string())],
                ..Response::default()
            });
        }
        self.respond_whole(context, resource_type, found, &view)
    }

    pub(super) async fn row(
        &self,
        context: &Context,
        resource_type: &ResourceType,
        id: &str,
    ) -> Result<Stored, ScimError> {
        let found = self.repository.get(&context.tenant, resource_type.name(), id).await;
        found.map_err(|error| unavailable(&error))?.ok_or_else(|| ScimError::not_found(id))
    }

    /// A page of the resources of these types.
    pub(super) async fn search(
        &self,
        context: &Context,
        resource_types: &[Arc<ResourceType>],
        request: &SearchRequest,
    ) -> Result<Response, ScimError> {
        let searches = self.searches(context, resource_types, request)?;
        let paging = request.paging(self.settings.pages)?;
        match (paging, searches.as_slice()) {
            (Paging::Index { start_index, count }, searches) => {
                let skip = usize::try_from(start_index.saturating_sub(1)).unwrap_or(usize::MAX);
                let (total, page) = self.page_by_index(context, searches, skip, count).await?;
                let total = u64::try_from(total).unwrap_or(u64::MAX);
                Ok(ok(&ListResponse::indexed(total, start_index, page)))
            }
            (Paging::Cursor { cursor, count }, [search]) if search.sort.is_none() => {
                self.page_by_cursor(context, search, cursor.as_deref(), count).await
            }
            (Paging::Cursor { .. }, _) => Err(ScimError::new(
                400,
                "expected startIndex: by cursor, one type of resource is listed in its own order",
            )),
        }
    }

    fn searches<'s>(
        &'s self,
        context: &Context,
        resource_types: &'s [Arc<ResourceType>],
        request: &SearchRequest,
    ) -> Result<Vec<Search<'s>>, ScimError> {
        let softenings = context.profile.softenings();
        let filter = request.parse_filter(&softenings.filter_syntax())?;
        let filters: Vec<Option<TypedFilter>> = match &filter {
            None => resource_types.iter().map(|_| None).collect(),
            Some(filter) => typed(filter, resource_types, &softenings)?.into_iter().map(Some).collect(),
        };
        let sorts = match &request.sort_by {
            None => resource_types.iter().map(|_| None).collect(),
            Some(path) => Sort::resolve_each(path, request.sort_order, resource_types)?,
        };
        let mut searches = Vec::new();
        for ((resource_type, filter), sort) in resource_types.iter().zip(filters).zip(sorts) {
            let layout = self.layout(resource_type)?;
            let bounds = self.repository.database().bounds();
            let predicate = filter.as_ref().and_then(|filter| Predicate::of(filter, layout, &context.tenant));
            let predicate = predicate.filter(|predicate| predicate.fits(bounds));
            let view = self.view_of(resource_type, request)?;
            searches.push(Search { resource_type, layout, filter, predicate, sort, view });
        }
        Ok(searches)
    }

    async fn page_by_index(
        &self,
        context: &Context,
        searches: &[Search<'_>],
        skip: usize,
        count: usize,
    ) -> Result<(usize, Vec<Box<RawValue>>), ScimError> {
        if let ([_, _, ..], true) = (searches, searches.iter().any(|search| search.sort.is_some())) {
            return self.page_of_several_sorted(context, searches, skip, count).await;
        }
        let (mut total, mut page) = (0_usize, Vec::new());
        for search in searches {
            let skip = skip.saturating_sub(total);
            let count = count.saturating_sub(page.len());
            let (found, part) = self.part(context, search, &Start::Index { skip, count }).await?;
            total = total.saturating_add(found);
            page.extend(self.view(context, search.resource_type, &part, &search.view).await?);
        }
        Ok((total, page))
    }

    /// What one type adds to a page, and how many of it match in all.
    async fn part(
        &self,
        context: &Context,
        search: &Search<'_>,
        start: &Start,
    ) -> Result<(usize, Vec<Stored>), ScimError> {
        let is_exact = search.filter.is_none() || search.predicate.as_ref().is_some_and(|found| found.exact);
        match (is_exact, search.column_order()) {
            (true, Some(order)) => self.part_by_sql(context, search, order, start).await,
            (_, order) => self.part_by_evaluation(context, search, order, start).await,
        }
    }

    async fn part_by_sql(
        &self,
        context: &Context,
        search: &Search<'_>,
        order: Option<Order>,
        start: &Start,
    ) -> Result<(usize, Vec<Stored>), ScimError> {
        let listed = search.listed(context, order);
        let (position, count) = match start {
            Start::Index { skip, count } => {
                (Position::Offset(i64::try_from(*skip).unwrap_or(i64::MAX)), *count)
            }
            Start::After { id: Some(id), count } => (Position::After(id.clone()), *count),
            Start::After { id: None, count } => (Position::Offset(0), *count),
        };
        let rows = if count == 0 {
            Vec::new()
        } else {
            self.repository.list(listed, &position, count).await.map_err(|error| unavailable(&error))?
        };
        // A page that is not full ends the list: then it need not be counted.
        let total = match start {
            Start::Index { skip, count } if rows.len() < *count && (*skip == 0 || !rows.is_empty()) => {
                skip.saturating_add(rows.len())
            }
            Start::Index { .. } => {
                let count = self.repository.count(listed).await.map_err(|error| unavailable(&error))?;
                usize::try_from(count).unwrap_or(usize::MAX)
            }
            Start::After { .. } => 0,
        };
        Ok((total, rows))
    }

    /// Where SQL does not decide: batch by batch, so that no more than a batch is in memory, but for the keys of an order.
    async fn part_by_evaluation(
        &self,
        context: &Context,
        search: &Search<'_>,
        order: Option<Option<Order>>,
        start: &Start,
    ) -> Result<(usize, Vec<Stored>), ScimError> {
        let (skip, count) = match start {
            Start::Index { skip, count } => (*skip, *count),
            Start::After { count, .. } => (0, *count),
        };
        let sort = search.sort.as_ref().filter(|_| order.is_none());
        let mut position = match start {
            Start::After { id: Some(id), .. } => Position::After(id.clone()),
            Start::After { id: None, .. } | Start::Index { .. } => Position::Offset(0),
        };
        let (mut total, mut page, mut keys) = (0_usize, Vec::new(), Vec::new());
        let mut read = 0_i64;
        loop {
            let listed = search.listed(context, order.flatten());
            let batch = self.repository.list(listed, &position, BATCH).await;
            let batch = batch.map_err(|error| unavailable(&error))?;
            let is_last = batch.len() < BATCH;
            read = read.saturating_add(i64::try_from(batch.len()).unwrap_or(i64::MAX));
            position = match batch.last() {
                Some(last) if listed.order.is_none() => Position::After(last.id.clone()),
                _ => Position::Offset(read),
            };
            let resources = self.represent(context, search.resource_type, &batch, search.evaluated()).await?;
            for (row, resource) in batch.into_iter().zip(&resources) {
                if !search.filter.as_ref().is_none_or(|filter| filter.matches(resource)) {
                    continue;
                }
                match sort {
                    Some(sort) => keys.push((sort.key(resource), row.id)),
                    None if total >= skip && page.len() < count => page.push(row),
                    None => {}
                }
                total = total.saturating_add(1);
            }
            let is_enough = matches!(start, Start::After { .. }) && page.len() >= count;
            if is_last || is_enough {
                break;
            }
        }
        if let Some(sort) = sort {
            keys.sort_by(|(one, one_id), (other, other_id)| {
                let order = match sort.order() {
                    SortOrder::Ascending => one.order(other),
                    SortOrder::Descending => one.order(other).reverse(),
                };
                order.then_with(|| one_id.cmp(other_id))
            });
            let ids: Vec<String> = keys.into_iter().skip(skip).take(count).map(|(_, id)| id).collect();
            let name = search.resource_type.name();
            let found = self.repository.get_each(&context.tenant, name, &ids).await;
            let mut found = found.map_err(|error| unavailable(&error))?;
            page = ids.iter().filter_map(|id| found.remove(id)).collect();
        }
        Ok((total, page))
    }

    async fn page_of_several_sorted(
        &self,
        context: &Context,
        searches: &[Search<'_>],
        skip: usize,
        count: usize,
    ) -> Result<(usize, Vec<Box<RawValue>>), ScimError> {
        // The first of each type that could be on the page; which of them are, their keys tell.
        let most = skip.saturating_add(count);
        let (mut total, mut all) = (0_usize, Vec::new());
        for search in searches {
            let (found, rows) = self.part(context, search, &Start::Index { skip: 0, count: most }).await?;
            total = total.saturating_add(found);
            let resources = self.represent(context, search.resource_type, &rows, search.view.related).await?;
            all.extend(resources.into_iter().map(|resource| (search, resource)));
        }
        all.sort_by(|(one_search, one), (other_search, other)| {
            compare((one_search, one), (other_search, other))
        });
        let page = all.iter().skip(skip).take(count);
        let page = page.map(|(search, resource)| search.view.of(resource)).collect::<Result<_, _>>()?;
        Ok((total, page))
    }

    async fn page_by_cursor(
        &self,
        context: &Context,
        search: &Search<'_>,
        cursor: Option<&str>,
        count: usize,
    ) -> Result<Response, ScimError> {
        let filter = search.filter.as_ref().map(ToString::to_string);
        let scope = CursorScope {
            tenant: &context.tenant,
            resource_type: search.resource_type.name(),
            filter: filter.as_deref(),
            sort: None,
        };
        let now = UnixTime::from_secs(context.now.div_euclid(1_000_000));
        let id = match cursor {
            None => None,
            Some(cursor) => {
                let position = self.cursors.open(&scope, cursor, now)?;
                Some(String::from_utf8_lossy(&position).into_owned())
            }
        };
        // One more than is shown tells whether there is another page.
        let start = Start::After { id, count: count.saturating_add(1) };
        let (_, mut rows) = self.part(context, search, &start).await?;
        let has_more = rows.len() > count;
        rows.truncate(count);
        let next = rows.last().filter(|_| has_more).map(|last| {
            let expires = now.saturating_add(self.settings.cursor_timeout);
            self.cursors.seal(&scope, last.id.as_bytes(), expires)
        });
        let page = self.view(context, search.resource_type, &rows, &search.view).await?;
        Ok(ok(&ListResponse::by_cursor(None, next, page)))
    }
}

impl Search<'_> {
    /// The order in SQL, which may be none; none if SQL does not know it.
    fn column_order(&self) -> Option<Option<Order>> {
        let Some(sort) = &self.sort else { return Some(None) };
        let column = self.layout.column(sort.attribute())?;
        Some(Some(Order { column, descending: sort.order() == SortOrder::Descending }))
    }

    fn listed<'l>(&'l self, context: &'l Context, order: Option<Order>) -> Listed<'l> {
        Listed {
            tenant: &context.tenant,
            resource_type: self.resource_type.name(),
            predicate: self.predicate.as_ref(),
            order,
        }
    }

    /// What the filter and the order look at.
    fn evaluated(&self) -> Related {
        let filtered = self.filter.iter().flat_map(TypedFilter::attributes);
        let sorted = self.sort.iter().map(Sort::attribute);
        let used: Vec<_> = filtered.chain(sorted).map(|attribute| attribute.whole()).collect();
        let uses = |attribute: Option<&_>| attribute.is_some_and(|attribute| used.contains(attribute));
        Related {
            members: uses(self.layout.members()),
            groups: uses(self.layout.groups()),
            roles: uses(self.layout.roles().map(GrantedRoles::attribute)),
        }
    }
}

fn typed(
    filter: &Filter,
    resource_types: &[Arc<ResourceType>],
    softenings: &doorward::scim::Softenings,
) -> Result<Vec<TypedFilter>, ScimError> {
    if let [resource_type] = resource_types {
        let filter = softenings.soften_filter(resource_type, filter.clone());
        return Ok(vec![TypedFilter::resolve(&filter, resource_type)?]);
    }
    Ok(TypedFilter::resolve_each(filter, resource_types)?)
}

/// Two resources of types that are sorted together; one without the attribute has no value there.
fn compare(one: (&Search<'_>, &Resource), other: (&Search<'_>, &Resource)) -> Ordering {
    let key = |(search, resource): (&Search<'_>, &Resource)| {
        search.sort.as_ref().map_or(doorward::scim::SortKey::Missing, |sort| sort.key(resource))
    };
    let is_descending = [one.0, other.0]
        .iter()
        .any(|search| search.sort.as_ref().is_some_and(|sort| sort.order() == SortOrder::Descending));
    let order = key(one).order(&key(other));
    let order = if is_descending { order.reverse() } else { order };
    order.then_with(|| one.1.id().cmp(&other.1.id()))
}
