//! From start to end.

use crate::bed::{PATIENCE, with, without_database};
use doorward_testbed::{Connection, Request, eventually, send};
use std::time::Duration;

#[test]
fn health_is_the_process_and_readiness_the_database() {
    with(
        |_| {},
        async |bed| {
            for address in [bed.address, bed.admin] {
                for path in ["/healthz", "/readyz"] {
                    assert_eq!(send(address, &Request::get(path)).await?.status, 200, "{path}");
                }
            }
            Ok(())
        },
    );
    without_database(async |bed| {
        for address in [bed.address, bed.admin] {
            assert_eq!(send(address, &Request::get("/healthz")).await?.status, 200);
            let ready = send(address, &Request::get("/readyz")).await?;
            assert_eq!((ready.status, ready.text().as_str()), (503, "the database does not answer\n"));
        }
        Ok(())
    });
}

#[test]
fn the_answer_to_head_is_sent_without_its_body() {
    with(
        |_| {},
        async |bed| {
            let mut connection = Connection::open(bed.address).await?;
            let head = Request::new("HEAD", "/scim/v2/Users/1").bearer(&bed.token);
            let get = Request::get("/scim/v2/Users/1").bearer(&bed.token);
            let head = connection.send(&head).await?;
            // On the same connection: a body that was sent would be read as an answer.
            let get = connection.send(&get).await?;
            assert_eq!((head.status, head.body.len()), (get.status, 0));
            for name in ["content-type", "content-length", "etag"] {
                assert_eq!(
                    (head.header(name), head.header(name).is_some()),
                    (get.header(name), true),
                    "{name}"
                );
            }
            Ok(())
        },
    );
}

#[test]
fn requests_end_before_the_server_does() {
    with(
        |_| {},
        async |bed| {
            let mut idle = Connection::open(bed.address).await?;
            idle.send(&Request::get("/healthz")).await?;
            let (address, gate) = (bed.address, Request::get("/scim/v2/Gate").bearer(&bed.token));
            let request = tokio::spawn(async move { send(address, &gate).await });
            bed.fake.entered.acquire().await?.forget();
            bed.stop();
            eventually("nothing is accepted any more", PATIENCE, async || {
                Ok(tokio::net::TcpStream::connect(bed.address).await.is_err())
            })
            .await?;
            assert!(!request.is_finished() && bed.is_running());
            assert!(!bed.log.text().contains("\"stopped\""));
            bed.fake.gate.add_permits(1);
            assert_eq!(request.await??.status, 200);
            bed.stopped().await?;
            bed.log.lines("stopped", 1).await?;
            Ok(())
        },
    );
}

#[test]
fn a_request_that_does_not_end_does_not_keep_the_server() {
    with(
        |options| options.limits.drain = Duration::from_millis(50),
        async |bed| {
            let (address, gate) = (bed.address, Request::get("/scim/v2/Gate").bearer(&bed.token));
            let request = tokio::spawn(async move { send(address, &gate).await });
            bed.fake.entered.acquire().await?.forget();
            bed.stop();
            bed.stopped().await?;
            bed.log.lines("drain_timeout", 1).await?;
            request.abort();
            Ok(())
        },
    );
}

#[test]
fn a_client_that_goes_away_is_in_the_log() {
    with(
        |_| {},
        async |bed| {
            let (address, gate) = (bed.address, Request::get("/scim/v2/Gate").bearer(&bed.token));
            let request = tokio::spawn(async move { send(address, &gate).await });
            bed.fake.entered.acquire().await?.forget();
            request.abort();
            let lines = bed.log.lines("request", 1).await?;
            assert_eq!(lines[0]["status"], 499);
            Ok(())
        },
    );
}
