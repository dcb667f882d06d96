//! The store is killed, as by `kill -9`, while it is written to, and started again on the same database.
//!
//! Every client writes what is its own, one request after the other, and so knows what must be there: what was acknowledged, and of the
//! request that it lost whatever the audit trail says. One change is one record, and one record is one whole change.

use crate::bed::{Bed, Client, Kind, PATIENCE, Store, expect, id_of, patch, request};
use crate::random::Random;
use crate::state::{Kept, Reader, State, Trail};
use anyhow::{Context, Result, bail, ensure};
use doorward_store::audit::Record;
use doorward_store::database::{Database, Scope};
use doorward_store::sql::Statement;
use doorward_testbed::{Response, eventually, run};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const ROUNDS: usize = 50;
const WRITERS: usize = 6;
/// Of each writer: two users that enter and leave the shared group together.
const PAIRS: usize = 3;
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

#[test]
fn killed_fifty_times_on_sqlite() {
    killed(Kind::Sqlite);
}

#[test]
fn killed_fifty_times_on_postgres() {
    killed(Kind::Postgres);
}

/// What a writer has: its own part of the database.
#[derive(Debug, Clone, PartialEq, Default)]
struct Model {
    /// By `userName`: the number that is in each of several attributes.
    users: BTreeMap<String, u64>,
    /// By `displayName`: the members' names.
    groups: BTreeMap<String, BTreeSet<String>>,
    /// Which pairs are in the shared group.
    pairs: BTreeSet<usize>,
}

#[derive(Debug, Clone)]
enum Change {
    Create(String, u64),
    Patch(String, u64),
    Replace(String, u64),
    Delete(String),
    /// With members that the same Bulk request creates.
    Group(String, Vec<String>),
    Enter(usize),
    Leave(usize),
    /// Of a user that is not there: it fails, and changes nothing.
    Nothing,
}

/// A request.
#[derive(Debug, Clone)]
struct Sent {
    id: String,
    changes: Vec<Change>,
    /// Bulk, and whether the first error ends it.
    bulk: Option<bool>,
}

struct Writer {
    number: usize,
    random: Random,
    token: String,
    /// As of the last acknowledgement.
    model: Model,
    lost: Option<Sent>,
    /// By the names of users and groups.
    ids: BTreeMap<String, (String, i64)>,
    shared: String,
    counter: u64,
    acknowledged: Arc<AtomicUsize>,
}

fn killed(kind: Kind) {
    let tested = run(async {
        let Some(bed) = Bed::new(kind).await? else { return Ok(()) };
        let mut random = Random::of("kill");
        let token = bed.tenant("acme")?;
        let reader = bed.reader().await?;
        let mut writers = prepare(&bed, &token, &mut random).await?;
        let (mut trail, mut sums) = (Trail::new(), (0, 0, 0));
        for round in 0..=ROUNDS {
            let store = bed.start().await?;
            let state = reader.state("acme").await?;
            let records = trail.follow(&reader, "acme", &state).await.with_context(|| at(round, &store))?;
            for writer in &mut writers {
                let lost = writer.lost.is_some();
                let written = writer.settle(&state, &records).with_context(|| at(round, &store))?;
                sums.1 += usize::from(lost);
                sums.2 += usize::from(lost && written);
            }
            if round == ROUNDS {
                shown(&store, &token, &state).await?;
                break;
            }
            sums.0 += storm(&store, &mut writers, &mut random).await.with_context(|| at(round, &store))?;
            gone(&reader).await?;
        }
        let (acknowledged, lost, written) = sums;
        eprintln!(
            "{kind:?}: {ROUNDS} kills, {acknowledged} acknowledged, {lost} not, of which {written} were written"
        );
        let verdict = bed.verify()?;
        ensure!(verdict.starts_with("acme: ok ("), "{verdict}");
        // Otherwise there was nothing to lose.
        ensure!(acknowledged > ROUNDS && lost > ROUNDS / 2, "expected more to be under way");
        Ok(())
    });
    tested.unwrap();
}

fn at(round: usize, store: &Store) -> String {
    format!("in round {round}\n{}", store.process.report(10))
}

/// The shared group and the users that are its members now and then.
async fn prepare(bed: &Bed, token: &str, random: &mut Random) -> Result<Vec<Writer>> {
    let store = bed.start().await?;
    let mut client = store.client(token);
    let group = expect(&client.post("/Groups", &group("shared", &[])).await?, 201)?;
    let shared = id_of(&group)?;
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        let mut writer = Writer {
            number,
            random: random.fork(),
            token: token.to_owned(),
            model: Model::default(),
            lost: None,
            ids: BTreeMap::new(),
            shared: shared.clone(),
            counter: 0,
            acknowledged: Arc::default(),
        };
        let names: Vec<String> = (0..PAIRS).flat_map(|pair| writer.pair(pair)).collect();
        for name in names {
            let user = expect(&client.post("/Users", &user(&name, 0)).await?, 201)?;
            writer.ids.insert(name.clone(), (id_of(&user)?, 1));
            writer.model.users.insert(name, 0);
        }
        writers.push(writer);
    }
    store.kill();
    Ok(writers)
}

/// Everyone writes until the store is gone; answers how much was acknowledged.
async fn storm(store: &Store, writers: &mut [Writer], random: &mut Random) -> Result<usize> {
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let patience = Duration::from_millis(50 + random.next() % 200);
    let kill = async {
        tokio::time::sleep(patience).await;
        let enough = WRITERS * 2;
        let written = async || Ok(acknowledged.load(Ordering::Relaxed) >= enough);
        let waited = eventually("something is written", PATIENCE, written).await;
        store.kill();
        waited
    };
    let writing = writers.iter_mut().map(|writer| {
        writer.acknowledged = Arc::clone(&acknowledged);
        writer.write(store.client(&writer.token))
    });
    tokio::try_join!(kill, try_join_all(writing))?;
    Ok(acknowledged.load(Ordering::Relaxed))
}

/// Waits until PostgreSQL has found out that the store is gone: until then it may still be at a COMMIT that it was sent.
async fn gone(reader: &Reader) -> Result<()> {
    let Reader::Postgres(database) = reader else { return Ok(()) };
    eventually("the store's connections end", PATIENCE, async || {
        let select = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'doorward'";
        let select = Statement::new(database.dialect(), select);
        let rows = database.read(Scope::Service, vec![select]).await?;
        Ok(rows[0][0].integer(0)? == 0)
    })
    .await
}

/// The store shows what the database has.
async fn shown(store: &Store, token: &str, state: &State) -> Result<()> {
    let mut client = store.client(token);
    for (endpoint, resource_type) in [("/Users", "User"), ("/Groups", "Group")] {
        let kept = state.resources.iter().filter(|(_, kept)| kept.resource_type == resource_type);
        let kept: BTreeMap<_, _> = kept.collect();
        let mut seen = BTreeSet::new();
        while seen.len() < kept.len() {
            let page = format!("{endpoint}?startIndex={}&count=500", seen.len() + 1);
            let page = expect(&client.get(&page).await?, 200)?;
            ensure!(page["totalResults"] == kept.len(), "expected {} in {endpoint}", kept.len());
            for resource in page["Resources"].as_array().context("expected a page")? {
                let id = id_of(resource)?;
                let kept = kept.get(&id).context("expected a resource of the database")?;
                let version = format!("W/\"{}\"", kept.version);
                ensure!(resource["meta"]["version"] == version, "expected {version}: {resource}");
                seen.insert(id);
            }
        }
    }
    Ok(())
}

impl Model {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Create(name, value) | Change::Patch(name, value) | Change::Replace(name, value) => {
                self.users.insert(name.clone(), *value);
            }
            Change::Delete(name) => drop(self.users.remove(name)),
            Change::Group(name, members) => {
                self.groups.insert(name.clone(), members.iter().cloned().collect());
            }
            Change::Enter(pair) => drop(self.pairs.insert(*pair)),
            Change::Leave(pair) => drop(self.pairs.remove(pair)),
            Change::Nothing => {}
        }
    }
}

impl Sent {
    /// The changes that it comes to if all goes well.
    fn effects(&self) -> Vec<&Change> {
        let ends = |change: &&Change| self.bulk == Some(true) && matches!(change, Change::Nothing);
        let done = self.changes.iter().take_while(|change| !ends(change));
        done.filter(|change| !matches!(change, Change::Nothing)).collect()
    }
}

impl Writer {
    fn prefix(&self) -> String {
        format!("w{}-", self.number)
    }

    fn pair(&self, pair: usize) -> [String; 2] {
        ["a", "b"].map(|half| format!("{}pair-{pair}{half}", self.prefix()))
    }

    fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Writes until the store is gone.
    async fn write(&mut self, mut client: Client) -> Result<()> {
        loop {
            let sent = self.choose();
            let request = self.request(&sent).header("x-request-id", &sent.id);
            let Ok(response) = client.send(request).await else {
                self.lost = Some(sent);
                return Ok(());
            };
            self.acknowledge(&sent, &response).with_context(|| format!("{sent:?}: {}", response.text()))?;
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn choose(&mut self) -> Sent {
        let id = format!("{}{}", self.prefix(), self.count());
        let value = self.count();
        let names: Vec<String> = self.model.users.keys().cloned().collect();
        let name = self.random.pick(&names).clone();
        // Those that are in groups stay.
        let loose: Vec<&String> = names.iter().filter(|name| name.contains("solo")).collect();
        let pair = self.random.below(PAIRS);
        let new = format!("{}solo-{value}", self.prefix());
        let (changes, bulk) = match self.random.below(100) {
            0..15 => (vec![Change::Create(new, value)], None),
            15..40 => (vec![Change::Patch(name, value)], None),
            40..50 => (vec![Change::Replace(name, value)], None),
            50..55 if !loose.is_empty() => (vec![Change::Delete((*self.random.pick(&loose)).clone())], None),
            55..80 if self.model.pairs.contains(&pair) => (vec![Change::Leave(pair)], None),
            55..80 => (vec![Change::Enter(pair)], None),
            _ => {
                let members = ["x", "y"].map(|half| format!("{}bulk-{value}{half}", self.prefix()));
                let mut changes: Vec<Change> =
                    members.iter().map(|name| Change::Create(name.clone(), value)).collect();
                changes.push(Change::Group(format!("{}group-{value}", self.prefix()), members.into()));
                changes.push(Change::Patch(name, value));
                if self.random.chance(50) {
                    let at = self.random.below(changes.len() - 2) + 2;
                    changes.insert(at, Change::Nothing);
                }
                (changes, Some(self.random.chance(50)))
            }
        };
        Sent { id, changes, bulk }
    }

    fn request(&self, sent: &Sent) -> doorward_testbed::Request {
        let Some(fail_on_errors) = sent.bulk else {
            let (method, path, body) = self.operation(&sent.changes[0], &[]);
            let request = request(method, &path, body.as_ref());
            if let Change::Replace(name, _) = &sent.changes[0] {
                return request.header("if-match", format!("W/\"{}\"", self.ids[name].1));
            }
            return request;
        };
        let mut created = Vec::new();
        let mut operations = Vec::new();
        for change in &sent.changes {
            let (method, path, data) = self.operation(change, &created);
            let mut operation = json!({ "method": method, "path": path });
            if let Change::Create(name, _) | Change::Group(name, _) = change {
                created.push(name.clone());
                operation["bulkId"] = json!(name);
            }
            if let Some(data) = data {
                operation["data"] = data;
            }
            operations.push(operation);
        }
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations
        });
        if fail_on_errors {
            body["failOnErrors"] = json!(1);
        }
        request("POST", "/Bulk", Some(&body))
    }

    /// `created`: what the same Bulk request has created.
    fn operation(&self, change: &Change, created: &[String]) -> (&'static str, String, Option<Value>) {
        let id = |name: &String| match created.contains(name) {
            true => format!("bulkId:{name}"),
            false => self.ids[name].0.clone(),
        };
        let path = |name: &String| format!("/Users/{}", self.ids[name].0);
        let shared = format!("/Groups/{}", self.shared);
        match change {
            Change::Create(name, value) => ("POST", "/Users".to_owned(), Some(user(name, *value))),
            Change::Patch(name, value) => ("PATCH", path(name), Some(patch(&altered(name, *value)))),
            Change::Replace(name, value) => ("PUT", path(name), Some(user(name, *value))),
            Change::Delete(name) => ("DELETE", path(name), None),
            Change::Group(name, members) => {
                let members: Vec<String> = members.iter().map(id).collect();
                ("POST", "/Groups".to_owned(), Some(group(name, &members)))
            }
            Change::Enter(pair) => {
                let members = self.pair(*pair).map(|name| json!({ "value": id(&name) }));
                let add = json!([{ "op": "add", "path": "members", "value": members }]);
                ("PATCH", shared, Some(patch(&add)))
            }
            Change::Leave(pair) => {
                let members = self.pair(*pair).map(
                    |name| json!({ "op": "remove", "path": format!("members[value eq \"{}\"]", id(&name)) }),
                );
                ("PATCH", shared, Some(patch(&json!(members))))
            }
            Change::Nothing => ("PATCH", "/Users/nobody".to_owned(), Some(patch(&altered("nobody", 0)))),
        }
    }

    /// Takes an answer: what was sent is done, and must stay.
    fn acknowledge(&mut self, sent: &Sent, response: &Response) -> Result<()> {
        let answers: Vec<Value> = if sent.bulk.is_some() {
            let body = expect(response, 200)?;
            body["Operations"].as_array().context("expected operations")?.clone()
        } else {
            let status = match sent.changes[0] {
                Change::Create(..) | Change::Group(..) => 201,
                Change::Delete(_) => 204,
                Change::Patch(..) | Change::Replace(..) | Change::Enter(_) | Change::Leave(_) => 200,
                Change::Nothing => 404,
            };
            let body = expect(response, status)?;
            let version = response.header("etag");
            let location = body["meta"]["location"].clone();
            vec![json!({ "status": status.to_string(), "location": location, "version": version })]
        };
        let ends = |change: &Change| sent.bulk == Some(true) && matches!(change, Change::Nothing);
        let end = sent.changes.iter().position(ends).map_or(sent.changes.len(), |end| end + 1);
        ensure!(answers.len() == end, "expected answers to {end} operations");
        for (change, answer) in sent.changes.iter().zip(&answers) {
            let failed = answer["status"].as_str().is_none_or(|status| !status.starts_with('2'));
            ensure!(failed == matches!(change, Change::Nothing), "expected another status: {answer}");
            let named = match change {
                Change::Create(name, _) | Change::Patch(name, _) | Change::Replace(name, _) => name,
                Change::Group(..) | Change::Enter(_) | Change::Leave(_) | Change::Nothing => continue,
                Change::Delete(name) => {
                    self.ids.remove(name);
                    continue;
                }
            };
            let id = answer["location"].as_str().and_then(|location| location.rsplit('/').next());
            let version = answer["version"].as_str().and_then(number);
            let known = id.map(str::to_owned).zip(version).context("expected an id and a version")?;
            self.ids.insert(named.clone(), known);
        }
        for change in sent.effects() {
            self.model.apply(change);
        }
        Ok(())
    }

    /// Compares the database with what must be there, and takes over what is there of the request that was lost; answers whether
    /// anything is.
    fn settle(&mut self, state: &State, records: &[Record]) -> Result<bool> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for record in records.iter().filter(|record| record.origin.request_id.starts_with(&self.prefix())) {
            *counts.entry(&record.origin.request_id).or_default() += 1;
        }
        let mut written = 0;
        if let Some(sent) = self.lost.take() {
            written = counts.get(sent.id.as_str()).copied().unwrap_or_default();
            let effects = sent.effects();
            ensure!(written <= effects.len(), "expected a record for each change: {written} of {sent:?}");
            for change in effects.into_iter().take(written) {
                self.model.apply(change);
            }
        }
        let found = self.observe(state)?;
        if found != self.model {
            bail!("expected what was acknowledged: {:#?}\nbut found {found:#?}", self.model);
        }
        Ok(written > 0)
    }

    /// This writer's part of the database. Whatever is there by half is an error.
    fn observe(&mut self, state: &State) -> Result<Model> {
        let mut model = Model::default();
        self.ids.clear();
        let prefix = self.prefix();
        let names: BTreeMap<&str, &str> = state
            .resources
            .iter()
            .filter_map(|(id, kept)| Some((id.as_str(), kept.data["userName"].as_str()?)))
            .collect();
        for (id, kept) in &state.resources {
            if let Some(name) = names.get(id.as_str()).filter(|name| name.starts_with(&prefix)) {
                model.users.insert((*name).to_owned(), whole(name, kept)?);
                self.ids.insert((*name).to_owned(), (id.clone(), kept.version));
            }
            let name = kept.data["displayName"].as_str().unwrap_or_default();
            let members: BTreeSet<String> =
                kept.members.iter().map(|id| names[id.as_str()].to_owned()).collect();
            if kept.resource_type == "Group" && name.starts_with(&prefix) {
                model.groups.insert(name.to_owned(), members);
            } else if *id == self.shared {
                for pair in 0..PAIRS {
                    let inside = self.pair(pair).map(|name| members.contains(&name));
                    ensure!(inside[0] == inside[1], "expected both of a pair or none: {:?}", self.pair(pair));
                    model.pairs.extend(inside[0].then_some(pair));
                }
            }
        }
        Ok(model)
    }
}

/// The number that is in each attribute of a user, in the columns and in the rows beside it.
fn whole(name: &str, kept: &Kept) -> Result<u64> {
    let value = kept.data["displayName"].as_str().and_then(|text| text.strip_prefix('v')?.parse().ok());
    let value = value.with_context(|| format!("expected a number in {kept:?}"))?;
    let mut expected = user(name, value);
    expected["id"] = kept.data["id"].clone();
    ensure!(kept.data == expected, "expected all of a change: {}\nbut found {}", expected, kept.data);
    let [external_id, email] = ["externalId", "email"].map(|kind| number_in(kind, name, value));
    ensure!(kept.external_id.as_ref() == Some(&external_id), "expected {external_id} beside {kept:?}");
    ensure!(kept.emails == [email], "expected an address beside {kept:?}");
    Ok(value)
}

fn number_in(kind: &str, name: &str, value: u64) -> String {
    match kind {
        "email" => format!("v{value}.{name}@example.com"),
        _ => format!("x{value}-{name}"),
    }
}

/// A user whose attributes have the same number.
fn user(name: &str, value: u64) -> Value {
    let text = format!("v{value}");
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
        "userName": name,
        "externalId": number_in("externalId", name, value),
        "displayName": text,
        "nickName": text,
        "title": text,
        "emails": [{ "type": "work", "value": number_in("email", name, value) }],
        ENTERPRISE: { "department": text },
    })
}

/// The operations that bring a user to another number.
fn altered(name: &str, value: u64) -> Value {
    let text = format!("v{value}");
    json!([
        { "op": "replace", "path": "displayName", "value": text },
        { "op": "add", "path": "title", "value": text },
        { "op": "replace", "path": "emails[type eq \"work\"].value", "value": number_in("email", name, value) },
        { "op": "replace", "value": { "nickName": text, "externalId": number_in("externalId", name, value) } },
        { "op": "replace", "path": format!("{ENTERPRISE}:department"), "value": text },
    ])
}

fn group(name: &str, members: &[String]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name, "members": members
    })
}

/// The number in an entity tag.
fn number(tag: &str) -> Option<i64> {
    tag.strip_prefix("W/\"")?.strip_suffix('"')?.parse().ok()
}
