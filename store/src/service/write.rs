//! Changing: create, replace, patch, delete.

use super::id::resource_id;
use super::represent::{Others, location, version};
use super::view::{View, response};
use super::{Context, Request, Response, Service, refused, unavailable};
use crate::audit::{Change, Moved, Operation};
use crate::database::{Database, WriteError, Written};
use crate::repository::{Answered, Basis, Draft, Layout, Member, MemberStep, Related, Stored};
use doorward::scim::{
    AttributeRef, Complex, Conditions, MemberChange, MustExist, Patch, PatchAnswer, Resource, ResourceType,
    ScimError, ScimType, SearchRequest, Softening, Value, idempotency_key,
};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How often a change is tried again that another one overtook.
const ATTEMPTS: usize = 16;

/// The attribute that groups keep apart, in records.
const MEMBERS: &str = "members";

/// How a resource shall be.
enum Wanted {
    /// As this one, with these members.
    Replaced { resource: Box<Resource>, members: Vec<String> },
    /// As a PATCH makes it.
    Patched { rest: Patch, members: Vec<MemberChange> },
}

/// What is done to a resource.
struct Alteration {
    operation: Operation,
    /// As it shall be, if its attributes change.
    resource: Option<Resource>,
    members: Vec<MemberStep>,
    /// Of which removals an error is told if they find nothing, in their order.
    must_exist: Vec<MustExist>,
    /// What must not have changed meanwhile.
    rests_on: RestsOn,
    attributes: Vec<String>,
}

/// What an alteration was worked out from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RestsOn {
    Nothing,
    Attributes,
    /// The members too.
    Everything,
}

impl<D: Database> Service<D> {
    pub(super) async fn create(
        &self,
        context: &Context,
        request: &Request<'_>,
        resource_type: &Arc<ResourceType>,
        mut body: Map<String, Json>,
    ) -> Result<Response, ScimError> {
        let layout = self.layout(resource_type)?;
        let view = self.view_of(resource_type, &SearchRequest::from_query(request.query)?)?;
        let key = idempotency_key(request.idempotency_key)?;
        let fingerprint =
            Sha256::new().chain_update(request.path).chain_update([0]).chain_update(request.body);
        let fingerprint = fingerprint.finalize();
        if let Some(key) = key
            && let Some(response) = self.answered(context, resource_type, key, &fingerprint).await?
        {
            return Ok(response);
        }
        context.profile.softenings().soften_resource(resource_type, &mut body);
        let mut resource = Resource::parse(resource_type, &body, self.settings.unknown)?;
        let members = take_members(&mut resource, layout)?;
        take_what_is_not_kept(&mut resource, layout);
        let id = resource_id(context.now)
            .map_err(|error| ScimError::new(500, format!("expected random octets of the system: {error}")))?;
        resource.set_id(&id);
        let mut members = self.known_members(context, values_of(&members)).await?;
        members.sort_by(|one, other| one.id.cmp(&other.id));
        let draft = Draft::of(&resource, layout);
        let mut attributes: Vec<String> = resource.core().iter().map(|(name, _)| name.to_string()).collect();
        attributes.extend(resource.extensions().map(|(urn, _)| urn.to_string()));
        attributes.retain(|name| name != "id" && name != "schemas");
        if !members.is_empty() {
            attributes.push(MEMBERS.to_owned());
        }
        let row = Stored {
            id: draft.id.clone(),
            version: 1,
            created: context.now,
            modified: context.now,
            data: draft.data.clone(),
        };
        // It is in no group yet.
        let others = Others { members: &members, ..Others::default() };
        let shown = self.view_read(context, resource_type, &row, others, &view)?;
        let response = response(201, context, resource_type, &row, shown);
        let members: Vec<String> = members.into_iter().map(|member| member.id).collect();
        let steps = if members.is_empty() { Vec::new() } else { vec![MemberStep::Add(members)] };
        let mut change = change(context, Operation::Create, resource_type, &draft.id, attributes);
        change.values = self.recorded(&change.attributes, Some(&resource), &steps);
        change.granting = self.granting_new(context, &draft, &steps).await?;
        let text = String::from_utf8_lossy(response.body.as_deref().unwrap_or_default()).into_owned();
        let answer = key.map(|key| Answered {
            key,
            fingerprint: &fingerprint,
            response: &text,
            forget_before: self.oldest_answer(context),
        });
        let written = self.repository.insert(&context.tenant, &draft, steps, change, answer).await;
        if let Err(error) = written {
            if let (WriteError::Taken, Some(key)) = (&error, key)
                && let Some(response) = self.answered(context, resource_type, key, &fingerprint).await?
            {
                return Ok(response);
            }
            return Err(self.explained(context, &draft, error).await);
        }
        self.watchers.tell(&context.tenant);
        Ok(response)
    }

    pub(super) async fn replace(
        &self,
        context: &Context,
        request: &Request<'_>,
        resource_type: &Arc<ResourceType>,
        id: &str,
        mut body: Map<String, Json>,
    ) -> Result<Response, ScimError> {
        let layout = self.layout(resource_type)?;
        let view = self.view_of(resource_type, &SearchRequest::from_query(request.query)?)?;
        context.profile.softenings().soften_resource(resource_type, &mut body);
        let mut sent = Resource::parse(resource_type, &body, self.settings.unknown)?;
        let members = take_members(&mut sent, layout)?;
        take_what_is_not_kept(&mut sent, layout);
        let members = self.known(context, values_of(&members)).await?;
        let wanted = Wanted::Replaced { resource: Box::new(sent), members };
        let row = self.change(context, request, resource_type, id, &wanted).await?;
        self.respond(context, resource_type, &row, &view).await
    }

    pub(super) async fn patch(
        &self,
        context: &Context,
        request: &Request<'_>,
        resource_type: &Arc<ResourceType>,
        id: &str,
        mut body: Map<String, Json>,
    ) -> Result<Response, ScimError> {
        let layout = self.layout(resource_type)?;
        let search = SearchRequest::from_query(request.query)?;
        let view = self.view_of(resource_type, &search)?;
        let softenings = context.profile.softenings();
        softenings.soften_patch(resource_type, &mut body);
        let mut patch = Patch::parse(resource_type, &body, &softenings.patch_rules(self.settings.unknown))?;
        if let Some(roles) = layout.roles() {
            patch = patch.leaving_out(roles);
        }
        let (member_changes, rest) = match layout.members() {
            Some(members) => {
                let plan = patch.plan(members)?;
                (plan.members, plan.rest)
            }
            None => (Vec::new(), patch),
        };
        let wanted = Wanted::Patched { rest, members: member_changes };
        let row = self.change(context, request, resource_type, id, &wanted).await?;
        if search.attributes.is_empty() && self.is_told_less(context, &row.id, &view).await? {
            let tag = version(row.version).to_string();
            return Ok(Response { status: 204, headers: vec![("etag", tag)], ..Response::default() });
        }
        self.respond(context, resource_type, &row, &view).await
    }

    /// Whether a PATCH is answered with 204, where the client names no attributes: to the profiles that expect it, and where the group
    /// is so large that nobody who adds one member can want to see all of them.
    async fn is_told_less(&self, context: &Context, id: &str, view: &View) -> Result<bool, ScimError> {
        if context.profile.patch_answer() == PatchAnswer::NoContent {
            return Ok(true);
        }
        if !view.related.members {
            return Ok(false);
        }
        let most = self.settings.pages.default_count;
        let is_large = self.repository.has_more_members(&context.tenant, id, most).await;
        is_large.map_err(|error| unavailable(&error))
    }

    pub(super) async fn delete(
        &self,
        context: &Context,
        request: &Request<'_>,
        resource_type: &Arc<ResourceType>,
        id: &str,
    ) -> Result<Response, ScimError> {
        let conditions = Conditions::parse(request.if_match, request.if_none_match)?;
        for attempt in 0..ATTEMPTS {
            let mut expected = None;
            if !conditions.is_empty() {
                let row = self.row(context, resource_type, id).await?;
                conditions.check_write(Some(&version(row.version)))?;
                expected = Some(row.version);
            }
            let mut change = change(context, Operation::Delete, resource_type, id, Vec::new());
            if let Some((mut granting, version)) = self.granting_gone(context, resource_type, id).await? {
                if attempt == 0 {
                    expected = expected.or(Some(version));
                } else {
                    // While others come and go it is not known who is in it at its end.
                    granting.members = Moved::MANY;
                }
                change.granting = Some(granting);
            }
            match self.repository.delete(&context.tenant, expected, change).await {
                Ok(_) => {
                    self.watchers.tell(&context.tenant);
                    return Ok(Response { status: 204, ..Response::default() });
                }
                Err(WriteError::Conflict { .. }) => {}
                Err(error) => return Err(refused(&error, id)),
            }
        }
        Err(overtaken())
    }

    /// Changes a resource as it is wanted, and answers its row. What another change overtakes is worked out anew.
    async fn change(
        &self,
        context: &Context,
        request: &Request<'_>,
        resource_type: &Arc<ResourceType>,
        id: &str,
        wanted: &Wanted,
    ) -> Result<Stored, ScimError> {
        let layout = self.layout(resource_type)?;
        let conditions = Conditions::parse(request.if_match, request.if_none_match)?;
        let mut turn = None;
        for attempt in 0..ATTEMPTS {
            if attempt > 0
                && turn.is_none()
                && let Some(turns) = &self.turns
            {
                // Of many that overtake each other each comes to its end.
                turn = Some(turns.take(&context.tenant, id).await);
            }
            let row = self.row(context, resource_type, id).await?;
            conditions.check_write(Some(&version(row.version)))?;
            let altered = self.alteration(context, resource_type, layout, &row, wanted).await?;
            if altered.resource.is_none() && altered.members.is_empty() {
                // Members are read after the row: that there is nothing to do holds only if it is the same still.
                let has_read_members = altered.rests_on == RestsOn::Everything;
                if has_read_members && self.row(context, resource_type, id).await?.version != row.version {
                    continue;
                }
                return Ok(row);
            }
            let draft = altered.resource.as_ref().map(|resource| Draft::of(resource, layout));
            let basis = match altered.rests_on {
                _ if !conditions.is_empty() => Basis::Version(row.version),
                RestsOn::Everything => Basis::Version(row.version),
                // A group can be renamed while others come and go: their changes would overtake it each time.
                RestsOn::Attributes => Basis::Attributes(&row.data),
                RestsOn::Nothing => Basis::Nothing,
            };
            let mut change = change(context, altered.operation, resource_type, id, altered.attributes);
            change.values = self.recorded(&change.attributes, altered.resource.as_ref(), &altered.members);
            change.granting =
                self.granting(context, resource_type, id, draft.as_ref(), &altered.members).await?;
            let written =
                self.repository.update(&context.tenant, draft.as_ref(), altered.members, basis, change).await;
            if matches!(written, Ok(Written { changed: true, .. })) {
                self.watchers.tell(&context.tenant);
            }
            match written {
                // Members are changed whatever the version is. If another change came first, the attributes that were read before it
                // are not those of the version that there is now.
                Ok(Written { changed, version_before, .. })
                    if !changed || version_before != Some(row.version) =>
                {
                    return self.row(context, resource_type, id).await;
                }
                Ok(Written { version_before, .. }) => {
                    let version = version_before.unwrap_or_default().saturating_add(1);
                    let data = draft.map_or_else(|| row.data.clone(), |draft| draft.data);
                    return Ok(Stored { version, modified: context.now, data, ..row });
                }
                Err(WriteError::Conflict { .. }) => {}
                Err(WriteError::NothingFound(0)) if matches!(basis, Basis::Attributes(_)) => {}
                Err(WriteError::NothingFound(_)) => {
                    let first = altered.must_exist.first();
                    return Err(first.map_or_else(|| ScimError::not_found(id), |first| first.error().into()));
                }
                Err(error) => {
                    return Err(match &draft {
                        Some(draft) => self.explained(context, draft, error).await,
                        None => refused(&error, id),
                    });
                }
            }
        }
        Err(overtaken())
    }

    /// What is to be done to a resource so that it is as wanted.
    async fn alteration(
        &self,
        context: &Context,
        resource_type: &Arc<ResourceType>,
        layout: &Layout,
        row: &Stored,
        wanted: &Wanted,
    ) -> Result<Alteration, ScimError> {
        match wanted {
            Wanted::Replaced { resource, members } => {
                let old = self.own(context, resource_type, row).await?;
                let new = Resource::clone(resource).replacing(&old)?;
                let mut attributes = paths(&new.differences(&old));
                let mut steps = Vec::new();
                if layout.members().is_some() {
                    steps = self.exactly(context, &row.id, members).await?;
                    attributes.extend((!steps.is_empty()).then(|| MEMBERS.to_owned()));
                }
                Ok(Alteration {
                    operation: Operation::Replace,
                    resource: (new != old).then_some(new),
                    members: steps,
                    must_exist: Vec::new(),
                    rests_on: if layout.members().is_some() {
                        RestsOn::Everything
                    } else {
                        RestsOn::Attributes
                    },
                    attributes,
                })
            }
            Wanted::Patched { rest, members } => {
                let (steps, must_exist, is_simulated) =
                    self.member_steps(context, resource_type, layout, row, members).await?;
                let (mut resource, mut attributes) = (None, Vec::new());
                if !rest.is_empty() {
                    let old = self.own(context, resource_type, row).await?;
                    let mut new = rest.apply(&old)?.resource;
                    take_what_is_not_kept(&mut new, layout);
                    attributes = paths(&new.differences(&old));
                    resource = (new != old).then_some(new);
                }
                attributes.extend((!members.is_empty()).then(|| MEMBERS.to_owned()));
                Ok(Alteration {
                    operation: Operation::Patch,
                    rests_on: match (is_simulated, &resource) {
                        (true, _) => RestsOn::Everything,
                        (false, Some(_)) => RestsOn::Attributes,
                        (false, None) => RestsOn::Nothing,
                    },
                    resource,
                    members: steps,
                    must_exist,
                    attributes,
                })
            }
        }
    }

    /// A resource without what other tables have.
    async fn own(
        &self,
        context: &Context,
        resource_type: &Arc<ResourceType>,
        row: &Stored,
    ) -> Result<Resource, ScimError> {
        let related = Related { members: false, groups: false, roles: false };
        self.represent_one(context, resource_type, row, related).await
    }

    /// The steps that changes of members come to, what must be found, and whether they rest on the members that were read.
    async fn member_steps(
        &self,
        context: &Context,
        resource_type: &Arc<ResourceType>,
        layout: &Layout,
        row: &Stored,
        changes: &[MemberChange],
    ) -> Result<(Vec<MemberStep>, Vec<MustExist>, bool), ScimError> {
        let needs_members = changes.iter().any(|change| match change {
            MemberChange::ReplaceAll(_) | MemberChange::RemoveMatching { .. } => true,
            MemberChange::Add(_) | MemberChange::Remove { .. } | MemberChange::Clear => false,
        });
        let clears = changes.iter().any(|change| matches!(change, MemberChange::Clear));
        if needs_members || clears && self.tells_members(context, resource_type, &row.id).await? {
            let steps = self.simulated(context, resource_type, layout, row, changes).await?;
            return Ok((steps, Vec::new(), true));
        }
        let (mut steps, mut must_exist) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                MemberChange::Add(values) => {
                    steps.push(MemberStep::Add(self.known(context, values_of(values)).await?));
                }
                MemberChange::Remove { values, must_exist: Some(error) } => {
                    steps.push(MemberStep::RemoveSome(values.clone()));
                    must_exist.push(error.clone());
                }
                MemberChange::Remove { values, must_exist: None } => {
                    steps.push(MemberStep::Remove(values.clone()));
                }
                MemberChange::Clear => steps.push(MemberStep::Clear),
                MemberChange::ReplaceAll(_) | MemberChange::RemoveMatching { .. } => {}
            }
        }
        Ok((steps, must_exist, false))
    }

    /// The same by the members that are there: where all are replaced, or a filter chooses.
    async fn simulated(
        &self,
        context: &Context,
        resource_type: &Arc<ResourceType>,
        layout: &Layout,
        row: &Stored,
        changes: &[MemberChange],
    ) -> Result<Vec<MemberStep>, ScimError> {
        let mut after = by_id(self.members(context, &row.id).await?);
        let before: BTreeSet<String> = after.keys().cloned().collect();
        for change in changes {
            let count = after.len();
            match change {
                MemberChange::Add(values) => {
                    after.extend(by_id(self.known_members(context, values_of(values)).await?));
                }
                MemberChange::Clear => after.clear(),
                MemberChange::ReplaceAll(values) => {
                    after = by_id(self.known_members(context, values_of(values)).await?);
                }
                MemberChange::Remove { values, must_exist } => {
                    after.retain(|id, _| !values.contains(id));
                    must_find(count != after.len(), must_exist.as_ref())?;
                }
                MemberChange::RemoveMatching { filter, must_exist } => {
                    // Those that the same request added are among them.
                    let members: Vec<Member> = after.values().cloned().collect();
                    let others = Others { members: &members, ..Others::default() };
                    let group = self.read(context, resource_type, row, others)?;
                    let items = layout.members().and_then(|members| group.get(members));
                    let matching = items.map_or(&[][..], Value::items).iter();
                    let matching = matching.filter(|member| filter.matches_value(member));
                    for value in matching.filter_map(|member| value_of(member.as_complex()?)) {
                        after.remove(&value);
                    }
                    must_find(count != after.len(), must_exist.as_ref())?;
                }
            }
        }
        Ok(difference(&before, &after.into_keys().collect()))
    }

    /// The members of a group.
    pub(super) async fn members(&self, context: &Context, id: &str) -> Result<Vec<Member>, ScimError> {
        let found = self.repository.members(&context.tenant, &[id]).await;
        Ok(found.map_err(|error| unavailable(&error))?.remove(id).unwrap_or_default())
    }

    /// The steps that leave a group with exactly these members.
    async fn exactly(
        &self,
        context: &Context,
        id: &str,
        members: &[String],
    ) -> Result<Vec<MemberStep>, ScimError> {
        let before = self.members(context, id).await?.into_iter().map(|member| member.id).collect();
        Ok(difference(&before, &members.iter().cloned().collect()))
    }

    /// The values, if all of them are resources; for a profile that wants it, those that are.
    async fn known(&self, context: &Context, values: Vec<String>) -> Result<Vec<String>, ScimError> {
        let members = self.known_members(context, values).await?;
        Ok(members.into_iter().map(|member| member.id).collect())
    }

    /// The same with what is known of them.
    async fn known_members(&self, context: &Context, values: Vec<String>) -> Result<Vec<Member>, ScimError> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<&str> = values.iter().map(String::as_str).collect();
        let members = self.repository.existing(&context.tenant, &ids).await;
        let members = members.map_err(|error| unavailable(&error))?;
        let found: BTreeSet<&str> = members.iter().map(|member| member.id.as_str()).collect();
        let is_lenient = context.profile.softenings().has(Softening::SkipsUnknownMembers);
        if let Some(unknown) = values.iter().find(|value| !found.contains(value.as_str()))
            && !is_lenient
        {
            let detail = format!("members.value: expected the id of a resource, but found {unknown:?}");
            return Err(ScimError::bad_request(ScimType::InvalidValue, detail));
        }
        Ok(members)
    }

    /// What an `Idempotency-Key` was answered before.
    async fn answered(
        &self,
        context: &Context,
        resource_type: &ResourceType,
        key: &str,
        fingerprint: &[u8],
    ) -> Result<Option<Response>, ScimError> {
        let found = self.repository.answered(&context.tenant, key, self.oldest_answer(context)).await;
        let Some((before, id, body)) = found.map_err(|error| unavailable(&error))? else { return Ok(None) };
        if before != fingerprint {
            return Err(ScimError::new(
                422,
                "Idempotency-Key: expected the request that it was used with before",
            ));
        }
        let location = location(context, resource_type, &id);
        let headers = vec![("etag", version(1).to_string()), ("location", location)];
        Ok(Some(Response { status: 201, headers, body: Some(body.into_bytes()), ..Response::default() }))
    }

    /// Answers from before this time are forgotten.
    fn oldest_answer(&self, context: &Context) -> i64 {
        let kept = i64::try_from(self.settings.idempotency.as_micros()).unwrap_or(i64::MAX);
        context.now.saturating_sub(kept)
    }

    /// The values that the record of a change has.
    fn recorded(
        &self,
        changed: &[String],
        resource: Option<&Resource>,
        members: &[MemberStep],
    ) -> BTreeMap<String, Json> {
        let mut values = BTreeMap::new();
        for path in &self.settings.recorded {
            if path == MEMBERS {
                if !members.is_empty() {
                    values.insert(path.clone(), described(members));
                }
                continue;
            }
            let Some((resource, attribute)) =
                resource.and_then(|resource| Some((resource, resource.resource_type().find(path)?)))
            else {
                continue;
            };
            let whole = attribute.whole().to_string();
            let is_changed = changed
                .iter()
                .any(|path| *path == whole || attribute.extension().is_some_and(|urn| **urn == **path));
            if is_changed {
                let several = || -> Option<Json> {
                    let found: Vec<Json> = resource.values(&attribute).map(Value::to_json).collect();
                    (!found.is_empty()).then_some(Json::Array(found))
                };
                let value = resource.get(&attribute).map(Value::to_json).or_else(several);
                values.insert(path.clone(), value.unwrap_or_default());
            }
        }
        values
    }

    /// The error with the attribute whose value is taken.
    async fn explained(&self, context: &Context, draft: &Draft, error: WriteError) -> ScimError {
        if error == WriteError::Taken {
            let user_name = draft.user_name.as_deref();
            let taken = self
                .repository
                .taken(&context.tenant, &draft.resource_type, &draft.id, user_name, &draft.unique_values)
                .await;
            if let Ok(Some(path)) = taken {
                return ScimError::uniqueness(&path);
            }
        }
        refused(&error, &draft.id)
    }
}

fn change(
    context: &Context,
    operation: Operation,
    resource_type: &ResourceType,
    id: &str,
    attributes: Vec<String>,
) -> Change {
    Change {
        time: context.now,
        origin: context.origin.clone(),
        operation,
        resource_type: resource_type.name().to_owned(),
        id: id.to_owned(),
        attributes,
        values: BTreeMap::new(),
        granting: None,
    }
}

/// What was asked for, whether it changed anything or not.
fn described(members: &[MemberStep]) -> Json {
    let step = |step: &MemberStep| match step {
        MemberStep::Add(ids) => json!({ "add": ids }),
        MemberStep::Remove(ids) | MemberStep::RemoveSome(ids) => json!({ "remove": ids }),
        MemberStep::Clear => json!({ "remove": "all" }),
    };
    members.iter().map(step).collect()
}

fn paths(attributes: &[AttributeRef]) -> Vec<String> {
    attributes.iter().map(ToString::to_string).collect()
}

fn take_members(resource: &mut Resource, layout: &Layout) -> Result<Vec<Complex>, ScimError> {
    Ok(match layout.members() {
        Some(members) => resource.take_members(members)?,
        None => Vec::new(),
    })
}

/// A password is taken and not kept. Which roles are granted is not for a client to say.
fn take_what_is_not_kept(resource: &mut Resource, layout: &Layout) {
    if let Some(password) = layout.password() {
        resource.take(password);
    }
    if let Some(roles) = layout.roles() {
        roles.take(resource);
    }
}

fn values_of(members: &[Complex]) -> Vec<String> {
    members.iter().filter_map(value_of).collect()
}

fn by_id(members: Vec<Member>) -> BTreeMap<String, Member> {
    members.into_iter().map(|member| (member.id.clone(), member)).collect()
}

fn value_of(member: &Complex) -> Option<String> {
    member.get("value")?.as_str().map(str::to_owned)
}

fn must_find(is_found: bool, must_exist: Option<&MustExist>) -> Result<(), ScimError> {
    match must_exist {
        Some(error) if !is_found => Err(error.error().into()),
        _ => Ok(()),
    }
}

fn difference(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Vec<MemberStep> {
    let removed: Vec<String> = before.difference(after).cloned().collect();
    let added: Vec<String> = after.difference(before).cloned().collect();
    let mut steps = Vec::new();
    if !removed.is_empty() {
        steps.push(MemberStep::Remove(removed));
    }
    if !added.is_empty() {
        steps.push(MemberStep::Add(added));
    }
    steps
}

fn overtaken() -> ScimError {
    ScimError::new(503, "other changes of the resource came first each time; try again")
}
