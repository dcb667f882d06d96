//! Sixty-four clients change the same resources at once. What comes out is what one of them after the other would have come to, in the
//! order of the audit trail.

use crate::bed::{Bed, Client, Kind, expect, id_of, patch, request, version_of};
use crate::random::Random;
use crate::state::Trail;
use anyhow::{Context, Result, ensure};
use doorward_testbed::{Response, run};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const CLIENTS: usize = 64;
const REQUESTS: usize = 16;
/// Who may be members.
const POOL: usize = 24;
/// Users whose attributes are changed, in pairs.
const USERS: usize = 12;

#[test]
fn sixty_four_clients_are_in_some_order_on_sqlite() {
    changed_at_once(Kind::Sqlite);
}

#[test]
fn sixty_four_clients_are_in_some_order_on_postgres() {
    changed_at_once(Kind::Postgres);
}

/// What a request does; members by their place in the pool.
#[derive(Debug, Clone)]
enum Change {
    Add(Vec<usize>),
    Remove(Vec<usize>),
    RemoveAny(Vec<usize>),
    ReplaceAll(Vec<usize>),
    /// Two attributes of the group.
    Rename(String),
    /// Two attributes of a user.
    Title(usize, String),
}

/// The group at one version.
#[derive(Debug, Clone, PartialEq, Default)]
struct Group {
    members: BTreeSet<usize>,
    name: String,
}

/// A request that was answered.
struct Done {
    id: String,
    change: Change,
    response: Response,
    /// The version of the group that the client had seen before it asked.
    seen: i64,
}

struct Ids {
    group: String,
    pool: Vec<String>,
}

fn changed_at_once(kind: Kind) {
    let tested = run(async {
        let Some(bed) = Bed::new(kind).await? else { return Ok(()) };
        let mut random = Random::of("serial");
        let token = bed.tenant("acme")?;
        let store = bed.start().await?;
        let mut client = store.client(&token);
        let mut pool = Vec::new();
        for number in 0..POOL {
            let user = json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": format!("u{number}")
            });
            pool.push(id_of(&expect(&client.post("/Users", &user).await?, 201)?)?);
        }
        let schemas = ["urn:ietf:params:scim:schemas:core:2.0:Group"];
        let group = json!({ "schemas": schemas, "displayName": "first", "externalId": "first" });
        let group = id_of(&expect(&client.post("/Groups", &group).await?, 201)?)?;
        let ids = Ids { group, pool };
        let clients = (0..CLIENTS).map(|number| work(number, store.client(&token), random.fork(), &ids));
        let done: Vec<Done> = try_join_all(clients).await?.into_iter().flatten().collect();

        let reader = bed.reader().await?;
        let state = reader.state("acme").await?;
        let records = Trail::new().follow(&reader, "acme", &state).await?;
        let by_id: BTreeMap<&str, &Done> = done.iter().map(|done| (done.id.as_str(), done)).collect();
        // The group and the users as the records say, one after the other.
        let first = Group { name: "first".to_owned(), members: BTreeSet::new() };
        let mut versions = vec![Group::default(), first];
        let mut titles: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        let mut recorded = BTreeSet::new();
        for record in records.iter().skip(POOL + 1) {
            let done = by_id.get(record.origin.request_id.as_str());
            let done = done.with_context(|| format!("expected a request of ours: {record:?}"))?;
            ensure!(recorded.insert(&done.id), "expected one record of {}", done.id);
            ensure!(done.response.status == 200, "expected no record of what was refused: {record:?}");
            if let Change::Title(user, title) = &done.change {
                titles.entry(*user).or_default().push(title.clone());
                let version = i64::try_from(titles[user].len())? + 1;
                ensure!(record.version_after == Some(version), "expected version {version}: {record:?}");
                shows(done, version, &json!({ "title": title, "nickName": title }))?;
                continue;
            }
            let before = versions.last().context("expected a version")?;
            let after = before.after(&done.change);
            ensure!(*before != after, "expected a change: {:?} of {before:?}", done.change);
            let version = i64::try_from(versions.len())?;
            ensure!(record.version_after == Some(version), "expected version {version}: {record:?}");
            versions.push(after);
        }
        // What each was answered: the group as it was at that version.
        let (mut unchanged, mut refused, mut busy) = (0, 0, 0);
        for done in done.iter().filter(|done| !matches!(done.change, Change::Title(..))) {
            match done.response.status {
                200 => {
                    let version = version_of(&done.response)?;
                    let at = usize::try_from(version)?;
                    let group = versions.get(at).with_context(|| format!("expected version {version}"))?;
                    shows(done, version, &json!({ "displayName": group.name, "externalId": group.name }))?;
                    if !recorded.contains(&done.id) {
                        unchanged += 1;
                        let from = usize::try_from(done.seen)?;
                        let nothing = |group: &Group| group.after(&done.change) == *group;
                        ensure!(
                            versions[from..=at].iter().any(nothing),
                            "expected {:?} to be done",
                            done.change
                        );
                    }
                }
                400 => refused += 1,
                _ => busy += 1,
            }
        }
        // And as it is now.
        let kept = &state.resources[&ids.group];
        let place = |id: &String| ids.pool.iter().position(|other| other == id).context("expected a member");
        let members = kept.members.iter().map(place).collect::<Result<BTreeSet<usize>>>()?;
        let name = kept.data["displayName"].as_str().context("expected a name")?.to_owned();
        ensure!(kept.data["externalId"] == *name, "expected both names to be the same: {}", kept.data);
        ensure!(versions.last() == Some(&Group { members, name }), "expected {:?}", versions.last());
        for (user, titles) in &titles {
            let data = &state.resources[&ids.pool[*user]].data;
            let last = titles.last().context("expected a title")?;
            ensure!(data["title"] == **last && data["nickName"] == **last, "expected {last}: {data}");
        }
        let verdict = bed.verify()?;
        ensure!(verdict == format!("acme: ok ({} record(s))", state.head.sequence), "{verdict}");
        eprintln!(
            "{kind:?}: {} changes of the group, {} of users; {unchanged} changed nothing, {refused} refused, {busy} came too late",
            versions.len() - 2,
            titles.values().map(Vec::len).sum::<usize>()
        );
        ensure!(recorded.len() > CLIENTS * REQUESTS / 4, "expected more changes");
        Ok(())
    });
    tested.unwrap();
}

/// An answer has the version, and the attributes that the resource had then.
fn shows(done: &Done, version: i64, expected: &Value) -> Result<()> {
    let body = done.response.json()?;
    ensure!(version_of(&done.response)? == version, "expected version {version}: {body}");
    for (name, value) in expected.as_object().context("expected attributes")? {
        ensure!(body[name] == *value, "expected {name} to be {value} at version {version}: {body}");
    }
    Ok(())
}

async fn work(number: usize, mut client: Client, mut random: Random, ids: &Ids) -> Result<Vec<Done>> {
    let (mut all, mut seen) = (Vec::new(), 1);
    for count in 0..REQUESTS {
        let mut change = Change::choose(&mut random, &format!("n{number}-{count}"));
        // Who comes too late for too often is told to come again.
        for attempt in 0..50 {
            let (id, before) = (format!("c{number}-{count}-{attempt}"), seen);
            let response = client.send(change.request(ids).header("x-request-id", &id)).await?;
            let status = response.status;
            match status {
                200 => {
                    if !matches!(change, Change::Title(..)) {
                        seen = version_of(&response)?.max(seen);
                    }
                }
                // None of them was a member.
                400 if matches!(change, Change::Remove(_)) => {
                    ensure!(response.json()?["scimType"] == "noTarget", "{}", response.text());
                }
                503 => {
                    let seconds = response.header("retry-after").context("expected Retry-After")?;
                    seconds.parse::<u32>().with_context(|| format!("expected seconds, not {seconds}"))?;
                    let pause = Duration::from_millis(random.next() % 100);
                    tokio::time::sleep(pause).await;
                }
                _ => anyhow::bail!("expected another answer to {change:?}: {status} {}", response.text()),
            }
            all.push(Done { id, change: change.clone(), response, seen: before });
            if status != 503 {
                break;
            }
            if let Change::Title(_, title) | Change::Rename(title) = &mut change {
                title.push('+');
            }
        }
    }
    Ok(all)
}

impl Change {
    fn choose(random: &mut Random, name: &str) -> Self {
        let some = |random: &mut Random, most: usize| {
            let count = 1 + random.below(most);
            (0..count).map(|_| random.below(POOL)).collect::<BTreeSet<_>>().into_iter().collect()
        };
        match random.below(100) {
            0..32 => Self::Add(some(random, 4)),
            32..52 => Self::Remove(some(random, 1)),
            52..62 => Self::RemoveAny(some(random, 3)),
            62..65 => Self::ReplaceAll(some(random, POOL)),
            65..75 => Self::Rename(name.to_owned()),
            _ => Self::Title(random.below(USERS), name.to_owned()),
        }
    }

    fn request(&self, ids: &Ids) -> doorward_testbed::Request {
        let group = format!("/Groups/{}?excludedAttributes=members", ids.group);
        let values = |members: &[usize]| -> Vec<Value> {
            members.iter().map(|place| json!({ "value": ids.pool[*place] })).collect()
        };
        let (path, operations) = match self {
            Self::Add(members) => {
                (group, json!([{ "op": "add", "path": "members", "value": values(members) }]))
            }
            Self::Remove(members) => {
                let remove = |place: &usize| json!({ "op": "remove", "path": format!("members[value eq \"{}\"]", ids.pool[*place]) });
                (group, members.iter().map(remove).collect())
            }
            Self::RemoveAny(members) => {
                let filter = |place: &usize| format!("value eq \"{}\"", ids.pool[*place]);
                let filter: Vec<String> = members.iter().map(filter).collect();
                // By a filter that is no list of values, and so by the members that are there. What enters leaves again.
                let path = format!("members[type pr and ({})]", filter.join(" or "));
                let add = json!({ "op": "add", "path": "members", "value": values(members) });
                (group, json!([add, { "op": "remove", "path": path }]))
            }
            Self::ReplaceAll(members) => {
                (group, json!([{ "op": "replace", "path": "members", "value": values(members) }]))
            }
            Self::Rename(name) => {
                let value = json!({ "displayName": name, "externalId": name });
                (group, json!([{ "op": "replace", "value": value }]))
            }
            Self::Title(user, title) => (
                format!("/Users/{}", ids.pool[*user]),
                json!([
                    { "op": "replace", "path": "title", "value": title },
                    { "op": "replace", "path": "nickName", "value": title },
                ]),
            ),
        };
        request("PATCH", &path, Some(&patch(&operations)))
    }
}

impl Group {
    fn after(&self, change: &Change) -> Self {
        let mut group = self.clone();
        match change {
            Change::Add(members) => group.members.extend(members),
            Change::Remove(members) | Change::RemoveAny(members) => {
                group.members.retain(|member| !members.contains(member));
            }
            Change::ReplaceAll(members) => group.members = members.iter().copied().collect(),
            Change::Rename(name) => group.name.clone_from(name),
            Change::Title(..) => {}
        }
        group
    }
}
