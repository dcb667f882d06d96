//! The database is gone, or busy, for a while. Whoever asks is told when to come again; when it is back the store goes on by itself, and
//! nothing is lost that was acknowledged.

use crate::bed::{Bed, Client, Kind, PATIENCE, Store, expect, id_of};
use crate::state::Trail;
use anyhow::{Context, Result, ensure};
use doorward_testbed::{Request, Response, eventually, run, send};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const OUTAGES: usize = 3;
const WRITERS: usize = 6;

#[test]
fn postgres_goes_and_comes_back() {
    let tested = run(async {
        let Some(mut bed) = Bed::new(Kind::Postgres).await? else { return Ok(()) };
        let token = bed.tenant("acme")?;
        let unused = crate::bed::doorward(&["token", "create", "acme", "unused", "--db", &bed.url])?;
        let store = bed.start().await?;
        let mut client = store.client(&token);
        let (writes, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let writers = (0..WRITERS).map(|number| write(number, store.client(&token), &writes, &stop));
        let outages = async {
            for outage in 0..OUTAGES {
                let wanted = writes.load(Ordering::Relaxed) + 30;
                let written = async || Ok(writes.load(Ordering::Relaxed) >= wanted);
                eventually("users are written", PATIENCE, written).await?;
                bed.server.as_mut().context("expected a server")?.stop();
                // A token that is known for a few seconds, and one that nobody can know.
                for token in [&token, &unused] {
                    unavailable(&store.client(token).get("/Users").await?)?;
                    let user = user(&format!("never-{outage}"));
                    unavailable(&store.client(token).post("/Users", &user).await?)?;
                }
                // Each operation of a Bulk request is answered by itself, unless nobody can know whose it is.
                let answer = store.client(&token).post("/Bulk", &bulk(outage)).await?;
                if answer.status == 200 {
                    ensure!(answer.json()?["Operations"][0]["status"] == "503", "{}", answer.text());
                } else {
                    unavailable(&answer)?;
                }
                is_ready(&store, false).await?;
                let admin = send(store.admin, &Request::get("/tenants")).await?;
                ensure!(admin.status == 503, "expected 503 of operators' endpoint: {}", admin.status);
                bed.server.as_mut().context("expected a server")?.start_again().await?;
                eventually("the store is ready", PATIENCE, async || {
                    Ok(send(store.address, &Request::get("/readyz")).await?.status == 200)
                })
                .await?;
            }
            let wanted = writes.load(Ordering::Relaxed) + 30;
            let written = async || Ok(writes.load(Ordering::Relaxed) >= wanted);
            let written = eventually("users are written again", PATIENCE, written).await;
            stop.store(true, Ordering::Relaxed);
            written
        };
        let done = tokio::try_join!(outages, try_join_all(writers));
        let ((), written) = done.with_context(|| store.process.report(10))?;
        is_ready(&store, true).await?;
        expect(&client.get("/Users?count=1").await?, 200)?;
        // No client is told why, but the operator is.
        ensure!(store.process.log().contains(r#""event":"database_error""#), "expected the cause in the log");

        let reader = bed.reader().await?;
        let state = reader.state("acme").await?;
        Trail::new().follow(&reader, "acme", &state).await?;
        for (id, name) in written.iter().flatten() {
            let kept = state.resources.get(id);
            ensure!(kept.is_some_and(|kept| kept.data["userName"] == **name), "expected {name}");
        }
        let names = state.resources.values().filter_map(|kept| kept.data["userName"].as_str());
        ensure!(!names.clone().any(|name| name.starts_with("never")), "expected nothing that was refused");
        bed.verify()?;
        Ok(())
    });
    tested.unwrap();
}

#[test]
fn sqlite_is_locked_for_longer_than_anyone_waits() {
    let tested = run(async {
        let bed = Bed::new(Kind::Sqlite).await?.context("expected a file")?;
        let token = bed.tenant("acme")?;
        let store = bed.start().await?;
        let mut client = store.client(&token);
        let mut acknowledged = vec![id_of(&expect(&client.post("/Users", &user("before")).await?, 201)?)?];
        let other = rusqlite::Connection::open(bed.file())?;
        other.execute_batch("BEGIN IMMEDIATE")?;
        let (mut writing, mut reading) = (store.client(&token), store.client(&token));
        let is_told = AtomicBool::new(false);
        let write = async {
            let response = writing.post("/Users", &user("meanwhile")).await;
            is_told.store(true, Ordering::Relaxed);
            response
        };
        // Reads do not wait for whoever writes.
        let read = async {
            let mut reads = 0;
            while !is_told.load(Ordering::Relaxed) {
                expect(&reading.get("/Users").await?, 200)?;
                is_ready(&store, true).await?;
                reads += usize::from(!is_told.load(Ordering::Relaxed));
            }
            Ok::<_, anyhow::Error>(reads)
        };
        let (refused, reads) = tokio::join!(write, read);
        unavailable(&refused?)?;
        ensure!(reads? > 0, "expected reads to go on meanwhile");
        other.execute_batch("ROLLBACK")?;
        acknowledged.push(id_of(&expect(&client.post("/Users", &user("after")).await?, 201)?)?);

        let reader = bed.reader().await?;
        let state = reader.state("acme").await?;
        Trail::new().follow(&reader, "acme", &state).await?;
        let found: BTreeSet<&String> = state.resources.keys().collect();
        ensure!(found == acknowledged.iter().collect(), "expected what was acknowledged and no more");
        bed.verify()?;
        Ok(())
    });
    tested.unwrap();
}

/// Writes until it is told to stop; answers what was acknowledged: ids and names.
async fn write(
    number: usize,
    mut client: Client,
    writes: &AtomicUsize,
    stop: &AtomicBool,
) -> Result<Vec<(String, String)>> {
    let (mut written, mut count) = (Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        let name = format!("u{number}-{count}");
        let response = client.post("/Users", &user(&name)).await?;
        if response.status == 503 {
            unavailable(&response)?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        written.push((id_of(&expect(&response, 201)?)?, name));
        writes.fetch_add(1, Ordering::Relaxed);
    }
    Ok(written)
}

/// 503 as SCIM has it, and when to come again.
fn unavailable(response: &Response) -> Result<()> {
    let body = expect(response, 503)?;
    let expected = json!(["urn:ietf:params:scim:api:messages:2.0:Error"]);
    ensure!(body["schemas"] == expected && body["status"] == "503", "expected a SCIM error: {body}");
    let media_type = response.header("content-type");
    ensure!(media_type.as_deref() == Some("application/scim+json"), "found {media_type:?}");
    let seconds = response.header("retry-after").with_context(|| format!("expected Retry-After: {body}"))?;
    let seconds: u32 = seconds.parse().with_context(|| format!("expected whole seconds, not {seconds}"))?;
    ensure!(seconds > 0, "expected a moment to wait");
    Ok(())
}

/// What an operator's machinery is told. Nobody ends a process for what its database does.
async fn is_ready(store: &Store, expected: bool) -> Result<()> {
    for address in [store.address, store.admin] {
        let begun = Instant::now();
        let ready = send(address, &Request::get("/readyz")).await?;
        ensure!(ready.status == if expected { 200 } else { 503 }, "/readyz: {}", ready.status);
        ensure!(begun.elapsed() < Duration::from_secs(20), "expected an answer");
        let healthy = send(address, &Request::get("/healthz")).await?;
        ensure!(healthy.status == 200, "/healthz: {}", healthy.status);
    }
    Ok(())
}

fn user(name: &str) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name })
}

fn bulk(outage: usize) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{
            "method": "POST", "path": "/Users", "bulkId": "a", "data": user(&format!("never-bulk-{outage}"))
        }],
    })
}
