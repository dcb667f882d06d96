//! What clients, the log and metrics are told.

use crate::bed::with;
use doorward_testbed::{Request, send};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_request_has_an_id_everywhere() {
    with(
        |_| {},
        async |bed| {
            let get = || Request::get("/scim/v2/Users").bearer(&bed.token);
            for (sent, is_kept) in [(Some("abc-1"), true), (Some("a b"), false), (None, false)] {
                let request = sent.into_iter().fold(get(), |request, id| request.header("X-Request-Id", id));
                let id = send(bed.address, &request).await?.header("x-request-id").unwrap();
                assert_eq!(Some(id.as_str()) == sent, is_kept, "{sent:?}");
                assert_eq!(bed.fake.seen.lock().unwrap().last().unwrap().context.origin.request_id, id);
                let lines = bed.log.lines("request", 1).await?;
                doorward_testbed::eventually("it is in the log", crate::bed::PATIENCE, async || {
                    Ok(bed.log.text().contains(&id))
                })
                .await?;
                assert!(!lines.is_empty());
            }
            Ok(())
        },
    );
}

#[test]
fn a_line_says_what_was_asked_and_nothing_personal() {
    with(
        |_| {},
        async |bed| {
            let get = |path: &str| Request::get(path).header("traceparent", TRACE);
            send(
                bed.address,
                &get("/scim/v2/Users/bjensen?filter=userName%20eq%20bjensen").bearer(&bed.token),
            )
            .await?;
            send(bed.address, &get("/scim/v2/bjensen")).await?;
            send(bed.address, &get("/elsewhere/bjensen")).await?;
            let lines = bed.log.lines("request", 3).await?;
            let known = &lines[0];
            for (name, expected) in [
                ("level", "info"),
                ("tenant", "acme"),
                ("actor", "okta"),
                ("method", "GET"),
                ("route", "/Users/{id}"),
                ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
                ("parent_id", "00f067aa0ba902b7"),
            ] {
                assert_eq!(known[name], expected, "{known}");
            }
            assert!(
                known["status"] == 201 && known["duration_ms"].is_number() && known["time"].is_string(),
                "{known}"
            );
            assert_eq!(
                (&lines[1]["status"], &lines[1]["route"], &lines[1]["tenant"]),
                (&401.into(), &"other".into(), &serde_json::Value::Null)
            );
            assert_eq!((&lines[2]["status"], &lines[2]["route"]), (&404.into(), &"other".into()));
            let text = bed.log.text();
            assert!(!text.contains("bjensen") && !text.contains(&bed.token), "{text}");
            Ok(())
        },
    );
}

#[test]
fn metrics_count_by_operation_and_status() {
    with(
        |_| {},
        async |bed| {
            for path in ["/scim/v2/Users/1", "/scim/v2/Users/2", "/scim/v2/nonsense"] {
                send(bed.address, &Request::get(path).bearer(&bed.token)).await?;
            }
            bed.log.lines("request", 3).await?;
            let text = send(bed.admin, &Request::get("/metrics")).await?.text();
            for (route, count) in [("/Users/{id}", 2), ("other", 1)] {
                let line = format!(
                    "doorward_store_request_duration_seconds_count{{method=\"GET\",route=\"{route}\",status=\"201\"}} {count}"
                );
                assert!(text.lines().any(|found| found == line), "{line}\n{text}");
            }
            assert!(!text.contains("acme"), "{text}");
            assert_eq!(send(bed.address, &Request::get("/metrics")).await?.status, 404);
            Ok(())
        },
    );
}

#[test]
fn the_base_url_is_configured_or_said_by_a_trusted_proxy() {
    let forwarded = |token: &str| {
        Request::get("/scim/v2/Users")
            .bearer(token)
            .header("Host", "evil.example")
            .header("X-Forwarded-Host", "scim.example.com")
            .header("X-Forwarded-Proto", "https")
    };
    with(
        |options| options.base_url = Some("https://id.example/scim".to_owned()),
        async |bed| {
            let response = send(bed.address, &forwarded(&bed.token)).await?;
            assert_eq!(response.header("location").as_deref(), Some("https://id.example/scim/Users/1"));
            Ok(())
        },
    );
    with(
        |options| options.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()],
        async |bed| {
            let response = send(bed.address, &forwarded(&bed.token)).await?;
            assert_eq!(
                response.header("location").as_deref(),
                Some("https://scim.example.com/scim/v2/Users/1")
            );
            Ok(())
        },
    );
    with(
        |options| options.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()],
        async |bed| {
            let response = send(bed.address, &forwarded(&bed.token)).await?;
            assert_eq!(response.header("location"), Some(format!("http://{}/scim/v2/Users/1", bed.address)));
            Ok(())
        },
    );
}

#[test]
fn paths_begin_with_the_base_path() {
    with(
        |options| options.base_path = "/a/b".to_owned(),
        async |bed| {
            for (path, expected) in [
                ("/a/b", Some("/")),
                ("/a/b/", Some("/")),
                ("/a/b/?aadOptscim062020", Some("/")),
                ("/a/b/Users/a%2Fb", Some("/Users/a%2Fb")),
                ("/a/bc/Users", None),
                ("/a/b%2FUsers", None),
                ("/Users", None),
                ("/", None),
            ] {
                bed.fake.seen.lock().unwrap().clear();
                let response = send(bed.address, &Request::get(path).bearer(&bed.token)).await?;
                let seen = bed.fake.seen.lock().unwrap().first().map(|seen| seen.path.clone());
                assert_eq!(seen.as_deref(), expected, "{path}");
                if expected.is_none() {
                    assert_eq!(
                        (response.status, response.json()?["status"].as_str()),
                        (404, Some("404")),
                        "{path}"
                    );
                }
            }
            Ok(())
        },
    );
}

#[test]
fn an_answer_without_content_has_no_media_type() {
    with(
        |_| {},
        async |bed| {
            let response = send(bed.address, &Request::get("/scim/v2/Nothing").bearer(&bed.token)).await?;
            assert_eq!(
                (response.status, response.header("content-type"), response.body.len()),
                (204, None, 0)
            );
            assert_eq!(response.header("cache-control").as_deref(), Some("no-store"));
            Ok(())
        },
    );
}
