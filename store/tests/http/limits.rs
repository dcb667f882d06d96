//! How much, and how long.

use crate::bed::{PATIENCE, with};
use anyhow::{Context as _, Result};
use doorward_store::http::Rate;
use doorward_testbed::{Connection, Request, eventually, send, send_raw};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Long enough for a machine to do something else, and soon over.
const MOMENT: Duration = Duration::from_millis(50);

/// What comes back until the server closes the connection, which it must do.
async fn closed(address: SocketAddr, sent: &[u8]) -> Result<Vec<u8>> {
    timeout(PATIENCE, send_raw(address, sent, 2 * PATIENCE))
        .await
        .context("expected the connection to be closed")?
}

#[test]
fn who_waits_for_a_change_holds_up_nobody() {
    with(
        |options| options.limits.requests = 1,
        async |bed| {
            let get = |target: &str| Request::get(target).bearer(&bed.token);
            let waiting = tokio::spawn({
                let (address, request) = (bed.address, get("/scim/v2/changes?wait=60"));
                async move { send(address, &request).await }
            });
            bed.fake.entered.acquire().await?.forget();
            assert_eq!(send(bed.address, &get("/scim/v2/Users")).await?.status, 201);
            assert!(!waiting.is_finished());
            bed.fake.changed.store(true, Ordering::SeqCst);
            bed.fake.changes.send_replace(());
            let response = timeout(PATIENCE, waiting).await???;
            assert_eq!(response.status, 200);
            assert_eq!(response.header("content-type").as_deref(), Some("application/json"));
            Ok(())
        },
    );
}

#[test]
fn some_connections_are_left_for_those_who_do_not_wait() {
    with(
        |options| options.limits.connections = 3,
        async |bed| {
            let request = Request::get("/scim/v2/changes?wait=60").bearer(&bed.token);
            let waits = || {
                let (address, request) = (bed.address, request.clone());
                tokio::spawn(async move { send(address, &request).await })
            };
            let waiting = [waits(), waits(), waits()];
            // One of them is one too many, and is told at once that there is nothing new.
            let answered = || waiting.iter().filter(|waiting| waiting.is_finished()).count();
            eventually("one is answered", PATIENCE, async || Ok(answered() == 1)).await?;
            bed.fake.entered.acquire_many(3).await?.forget();
            assert_eq!(answered(), 1);
            Ok(())
        },
    );
}

#[test]
fn who_waits_is_answered_when_the_server_ends() {
    with(
        |_| {},
        async |bed| {
            let request = Request::get("/scim/v2/changes?wait=60").bearer(&bed.token);
            let address = bed.address;
            let waiting = tokio::spawn(async move { send(address, &request).await });
            bed.fake.entered.acquire().await?.forget();
            bed.stop();
            assert_eq!(timeout(PATIENCE, waiting).await???.status, 200);
            timeout(PATIENCE, bed.stopped()).await?
        },
    );
}

#[test]
fn a_body_has_a_limit() {
    with(
        |options| options.limits.body = 10,
        async |bed| {
            let post = || Request::new("POST", "/scim/v2/Users").bearer(&bed.token);
            let chunked = |chunks: &str| post().header("Transfer-Encoding", "chunked").body(chunks);
            for (request, expected) in [
                (post().body("0123456789"), 201),
                (post().body("0123456789x"), 413),
                (chunked("5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"), 201),
                (chunked("5\r\n01234\r\n6\r\n56789x\r\n0\r\n\r\n"), 413),
                // It is not sent, since the answer is known.
                (post().header("Content-Length", "1000000000000"), 413),
            ] {
                let response = send(bed.address, &request).await?;
                assert_eq!(response.status, expected, "{request:?}");
                if expected == 413 {
                    assert_eq!(response.json()?["status"], "413");
                    assert_eq!(response.header("content-type").as_deref(), Some("application/scim+json"));
                }
            }
            assert_eq!(bed.fake.seen.lock().unwrap().len(), 2);
            Ok(())
        },
    );
}

#[test]
fn a_body_that_does_not_come_is_given_up() {
    with(
        |options| options.limits.body_timeout = MOMENT,
        async |bed| {
            let request =
                Request::new("POST", "/scim/v2/Users").bearer(&bed.token).header("Content-Length", "5");
            let answer = String::from_utf8(closed(bed.address, &request.to_bytes()).await?)?;
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
            assert!(answer.contains("\"status\":\"408\""), "{answer}");
            assert!(bed.fake.seen.lock().unwrap().is_empty());
            Ok(())
        },
    );
}

#[test]
fn a_change_is_not_older_than_its_request() {
    with(
        |_| {},
        async |bed| {
            let request =
                Request::new("POST", "/scim/v2/Users").bearer(&bed.token).header("Content-Length", "2");
            let mut stream = TcpStream::connect(bed.address).await?;
            stream.write_all(&request.to_bytes()).await?;
            // The server has the head by now, as a rule.
            tokio::time::sleep(MOMENT).await;
            let begun = doorward_store::http::now();
            stream.write_all(b"{}").await?;
            let handled = async || Ok(!bed.fake.seen.lock().unwrap().is_empty());
            eventually("the request is handled", PATIENCE, handled).await?;
            let seen = bed.fake.seen.lock().unwrap()[0].context.now;
            assert!(seen >= begun, "{seen} {begun}");
            Ok(())
        },
    );
}

#[test]
fn a_head_that_does_not_come_is_given_up() {
    with(
        |options| options.limits.head_timeout = MOMENT,
        async |bed| {
            closed(bed.address, b"GET /healthz HTTP/1.1\r\nHost:").await?;
            Ok(())
        },
    );
}

#[test]
fn a_tenant_has_a_rate() {
    with(
        |options| {
            let [requests_per_second, burst] = [1, 2].map(|n| NonZeroU32::new(n).unwrap());
            options.limits.rate = Some(Rate { requests_per_second, burst });
        },
        async |bed| {
            bed.tenants
                .create("other", "Other", doorward::scim::Profile::Rfc, doorward_store::http::now())
                .await?;
            let other = bed.tenants.issue("other", "t", None, doorward_store::http::now()).await?;
            let get =
                async |token: &str| send(bed.address, &Request::get("/scim/v2/Users").bearer(token)).await;
            let mut refused = None;
            // However slow the machine is: it cannot send so many in so many seconds.
            for _ in 0..100 {
                let response = get(&bed.token).await?;
                if response.status == 429 {
                    refused = Some(response);
                    break;
                }
                assert_eq!(response.status, 201);
            }
            let refused = refused.expect("a request that is refused");
            assert_eq!(
                (refused.header("retry-after").as_deref(), refused.json()?["status"].as_str()),
                (Some("1"), Some("429"))
            );
            assert_eq!(get(other.reveal()).await?.status, 201);
            Ok(())
        },
    );
}

#[test]
fn so_many_requests_are_handled_at_once() {
    with(
        |options| {
            options.limits.requests = 1;
            options.limits.wait = MOMENT;
        },
        async |bed| {
            let gate = Request::get("/scim/v2/Gate").bearer(&bed.token);
            let first = {
                let (address, gate) = (bed.address, gate.clone());
                tokio::spawn(async move { send(address, &gate).await })
            };
            bed.fake.entered.acquire().await?.forget();
            let second = send(bed.address, &gate).await?;
            assert_eq!((second.status, second.header("retry-after").as_deref()), (503, Some("1")));
            bed.fake.gate.add_permits(1);
            assert_eq!(first.await??.status, 200);
            Ok(())
        },
    );
}

#[test]
fn so_many_connections_are_accepted() {
    with(
        |options| options.limits.connections = 1,
        async |bed| {
            let mut first = Connection::open(bed.address).await?;
            assert_eq!(first.send(&Request::get("/healthz")).await?.status, 200);
            let mut second = Connection::open(bed.address).await?;
            let request = Request::get("/healthz");
            let waiting = second.send(&request);
            tokio::pin!(waiting);
            // It waits as long as the first one is there, and no longer.
            assert!(timeout(MOMENT, &mut waiting).await.is_err());
            drop(first);
            assert_eq!(waiting.await?.status, 200);
            Ok(())
        },
    );
}

#[test]
fn who_does_not_read_its_response_makes_room() {
    with(
        |options| {
            options.limits.connections = 1;
            options.limits.write_timeout = MOMENT;
        },
        async |bed| {
            // Who has nothing to read may wait.
            let mut idle = Connection::open(bed.address).await?;
            for _ in 0..2 {
                assert_eq!(idle.send(&Request::get("/healthz")).await?.status, 200);
                tokio::time::sleep(2 * MOMENT).await;
            }
            drop(idle);
            let request = Request::get("/scim/v2/Large").bearer(&bed.token);
            let mut deaf = TcpStream::connect(bed.address).await?;
            deaf.write_all(&request.to_bytes()).await?;
            let handled = async || Ok(!bed.fake.seen.lock().unwrap().is_empty());
            eventually("the request is handled", PATIENCE, handled).await?;
            let next = timeout(PATIENCE, send(bed.address, &Request::get("/healthz"))).await;
            assert_eq!(next.context("expected room for another connection")??.status, 200);
            // The rest never came.
            let mut left = Vec::new();
            let _ = timeout(PATIENCE, deaf.read_to_end(&mut left)).await?;
            assert!(left.len() < 64 << 20, "{}", left.len());
            Ok(())
        },
    );
}
