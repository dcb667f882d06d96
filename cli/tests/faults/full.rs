//! The disk is full. It is said so, nothing of what is refused is there, reads go on, and so do writes as soon as there is room again.
//!
//! | test | how the disk is full | needs |
//! |---|---|---|
//! | a file that may not grow | `RLIMIT_FSIZE` of the store: the system answers EFBIG | util-linux |
//! | a disk that is full | a small tmpfs under SQLite's file: the system answers ENOSPC | root |
//! | PostgreSQL says so | a trigger that fails as PostgreSQL does then, at the last row of a change | |
//! | PostgreSQL's disk is full | a small tmpfs under a tablespace: the system answers ENOSPC to PostgreSQL | root |

use crate::bed::{Bed, Client, DOORWARD, Kind, Store, expect, id_of};
use crate::random::Random;
use crate::state::Trail;
use anyhow::{Context, Result, ensure};
use doorward_testbed::{PostgresServer, Request, Response, run, send};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// For a file or a disk: room for some hundred users.
const ROOM: u32 = 2 << 20;
/// More users than there is ever room for.
const MANY: usize = 5_000;

#[test]
fn a_sqlite_file_that_may_not_grow_on() {
    let tested = run(async {
        let bed = Bed::new(Kind::Sqlite).await?.context("expected a file")?;
        let token = bed.tenant("acme")?;
        // Whoever is above the limit is sent a signal, which ends a process unless it is ignored.
        let mut command = Command::new("env");
        command.args(["--ignore-signal=XFSZ", "prlimit", &format!("--fsize={ROOM}:"), DOORWARD]);
        let store = bed.start_by(command).await?;
        fills_up(&bed, store, &token, |store| {
            let id = store.process.id().to_string();
            succeed(Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited:"]))
        })
        .await
    });
    tested.unwrap();
}

#[test]
fn a_disk_under_sqlite_that_is_full() {
    let tested = run(async {
        let Some(disk) = Disk::new(ROOM)? else { return Ok(()) };
        let bed = Bed::on(&disk.path(), None, String::new())?;
        let token = bed.tenant("acme")?;
        let store = bed.start().await?;
        fills_up(&bed, store, &token, |_| disk.grow()).await
    });
    tested.unwrap();
}

#[test]
fn postgres_says_that_its_disk_is_full() {
    let tested = run(async {
        let Some(bed) = Bed::new(Kind::Postgres).await? else { return Ok(()) };
        let token = bed.tenant("acme")?;
        let store = bed.start().await?;
        let mut client = store.client(&token);
        for number in 0..20 {
            expect(&client.post("/Users", &user(&format!("first-{number}"), "")).await?, 201)?;
        }
        let sql = |text: &str| bed.server.as_ref().context("expected a server")?.sql(&bed.name, text);
        sql("CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$")?;
        sql("CREATE TRIGGER full_disk BEFORE INSERT ON change EXECUTE FUNCTION full_disk()")?;
        fills_up(&bed, store, &token, |_| sql("DROP TRIGGER full_disk ON change").map(drop)).await
    });
    tested.unwrap();
}

#[test]
fn a_disk_under_postgres_that_is_full() {
    let tested = run(async {
        if PostgresServer::programs().is_none() {
            eprintln!("left out: PostgreSQL is not installed");
            return Ok(());
        }
        // An empty database has 8 MB already.
        let Some(disk) = Disk::new(6 * ROOM)? else { return Ok(()) };
        let server = PostgresServer::start().await?;
        let data = server.sql("postgres", "SHOW data_directory")?;
        let owner = fs::metadata(data)?;
        chown(disk.path(), Some(owner.uid()), Some(owner.gid()))?;
        server.sql("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", disk.path().display()))?;
        server.sql("postgres", "CREATE DATABASE small OWNER doorward TABLESPACE small")?;
        let bed = Bed::on(&disk.path(), Some(server), "small".to_owned())?;
        let token = bed.tenant("acme")?;
        let store = bed.start().await?;
        fills_up(&bed, store, &token, |_| disk.grow()).await
    });
    tested.unwrap();
}

/// Writes until there is no room, looks around, makes room and goes on.
async fn fills_up(
    bed: &Bed,
    store: Store,
    token: &str,
    make_room: impl Fn(&Store) -> Result<()>,
) -> Result<()> {
    let mut random = Random::of("full");
    let reader = bed.reader().await?;
    let already = reader.state("acme").await?.resources.into_keys();
    let mut acknowledged: BTreeSet<String> = already.collect();
    let mut client = store.client(token);
    let mut refused = None;
    for number in 0..MANY {
        // What cannot be compressed.
        let filler: String = (0..150).map(|_| format!("{:016x}", random.next())).collect();
        let response = client.post("/Users", &user(&format!("u{number}"), &filler)).await?;
        if response.status != 201 {
            refused = Some((number, response));
            break;
        }
        acknowledged.insert(id_of(&response.json()?)?);
    }
    let (count, response) = refused.context("expected the disk to be full some time")?;
    eprintln!("{:?}: room for {count} users", bed.kind);
    full(&response)?;
    goes_on_reading(&store, &mut client, &acknowledged).await?;

    // Everything that changes something; smaller ones may still fit.
    let one = acknowledged.iter().next().context("expected a user")?.clone();
    let filler: String = (0..20_000).map(|_| format!("{:016x}", random.next())).collect();
    let large = user("large", &filler);
    full(&client.post("/Users", &large).await?)?;
    let replace = json!([{ "op": "replace", "path": "nickName", "value": filler }]);
    full(&client.patch(&format!("/Users/{one}"), &replace).await?)?;
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{ "method": "POST", "path": "/Users", "bulkId": "a", "data": large }],
    });
    let answer = expect(&client.post("/Bulk", &bulk).await?, 200)?;
    ensure!(answer["Operations"][0]["status"] == "507", "{answer}");
    goes_on_reading(&store, &mut client, &acknowledged).await?;
    let state = reader.state("acme").await?;
    ensure!(state.resources.keys().eq(&acknowledged), "expected what was acknowledged and no more");
    Trail::new().follow(&reader, "acme", &state).await?;

    make_room(&store)?;
    let response = client.patch(&format!("/Users/{one}"), &replace).await?;
    expect(&response, 200).context("with room again")?;
    for number in 0..20 {
        let response = client.post("/Users", &user(&format!("after-{number}"), "")).await?;
        acknowledged.insert(id_of(&expect(&response, 201)?)?);
    }
    // And what is on the disk is whole.
    drop(client);
    store.kill();
    let store = bed.start().await?;
    let state = reader.state("acme").await?;
    ensure!(state.resources.keys().eq(&acknowledged), "expected what was acknowledged and no more");
    Trail::new().follow(&reader, "acme", &state).await?;
    goes_on_reading(&store, &mut store.client(token), &acknowledged).await?;
    if bed.kind == Kind::Sqlite {
        let connection = rusqlite::Connection::open(bed.file())?;
        let found: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        ensure!(found == "ok", "{found}");
    }
    bed.verify().map(drop)
}

/// 507 as SCIM has it.
fn full(response: &Response) -> Result<()> {
    let body = expect(response, 507)?;
    let expected = json!(["urn:ietf:params:scim:api:messages:2.0:Error"]);
    ensure!(body["schemas"] == expected && body["status"] == "507", "expected a SCIM error: {body}");
    ensure!(body["detail"].as_str().is_some_and(|detail| detail.contains("room")), "{body}");
    Ok(())
}

async fn goes_on_reading(store: &Store, client: &mut Client, ids: &BTreeSet<String>) -> Result<()> {
    for id in ids.iter().take(20) {
        expect(&client.get(&format!("/Users/{id}")).await?, 200)?;
    }
    let page = expect(&client.get("/Users?count=1").await?, 200)?;
    ensure!(page["totalResults"] == ids.len(), "expected {}: {page}", ids.len());
    let ready = send(store.address, &Request::get("/readyz")).await?;
    ensure!(ready.status == 200, "/readyz: {}", ready.status);
    Ok(())
}

fn user(name: &str, filler: &str) -> Value {
    let schemas = ["urn:ietf:params:scim:schemas:core:2.0:User"];
    json!({ "schemas": schemas, "userName": name, "nickName": filler })
}

/// A small disk. It goes away again.
struct Disk(TempDir);

impl Disk {
    /// None if we may not make one.
    fn new(size: u32) -> Result<Option<Self>> {
        let folder = TempDir::with_prefix("doorward-disk-")?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "tmpfs"]).arg(folder.path());
        if let Err(error) = succeed(&mut mount) {
            eprintln!("left out: only root makes a small disk: {error:#}");
            return Ok(None);
        }
        Ok(Some(Self(folder)))
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    fn grow(&self) -> Result<()> {
        succeed(Command::new("mount").args(["-o", "remount,size=64m"]).arg::<&Path>(self.0.path()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whoever fails may leave somebody in it.
        let _ = succeed(Command::new("umount").arg("--lazy").arg(self.0.path()));
    }
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("expected to run {command:?}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "expected {command:?} to succeed: {error}");
    Ok(())
}
