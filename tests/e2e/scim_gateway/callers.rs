//! Who is taken for whom, and what who is refused is told: a SCIM error, and a challenge where credentials are missing.

use super::{Bed, audit_lines, call, expect, id_of, plain, scim, scim_error, user};
use crate::support::{Gate, eventually, expect_healthy, node, output, python};
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use doorward_testbed::{
    Algorithm, Answer, Connection, Database, GatewaySetup, Issuer, Request, Response, ScimGateway, folder,
    run,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;
use std::time::Instant;
use tokio::task::JoinSet;

const TENANTS: [(&str, &str); 3] = [("acme", "entra"), ("globex", "rfc"), ("initech", "okta")];

async fn start(change: impl FnOnce(&mut GatewaySetup)) -> Result<Bed> {
    let mut setup = GatewaySetup::new(&TENANTS);
    change(&mut setup);
    Bed::start_on(Database::Sqlite, &TENANTS, json!({}), setup).await
}

fn token(name: &str, token: &str) -> Value {
    json!({ "name": name, "sha256": ScimGateway::sha256(token) })
}

fn expiring(name: &str, secret: &str, expires: &str) -> Value {
    let mut token = token(name, secret);
    token["expires"] = expires.into();
    token
}

/// The status, of a refusal after a look at it; and whether it names an error in its challenge.
fn verdict(response: &Response) -> Result<(u16, Option<String>)> {
    if response.status < 400 {
        return Ok((response.status, None));
    }
    let (status, _) = scim_error(response)?;
    let challenge = response.header("www-authenticate");
    let error = challenge.and_then(|challenge| challenge.split("error=\"").nth(1).map(str::to_owned));
    Ok((status, error.and_then(|error| error.split('"').next().map(str::to_owned))))
}

/// Who called, by the audit lines of all who are known, once there are so many. Of others there are not so many a second.
async fn actors(bed: &Bed, count: usize) -> Result<Vec<String>> {
    let known = |lines: Vec<Value>| -> Vec<String> {
        lines.iter().filter_map(|line| Some(line["actor"].as_str()?.to_owned())).collect()
    };
    eventually("who called is told", async || Ok(known(audit_lines(bed, 0).await?).len() >= count)).await?;
    Ok(known(audit_lines(bed, 0).await?))
}

#[test]
fn a_tenant_has_several_tokens_and_no_other_is_taken() {
    run(async {
        let bed = start(|setup| {
            setup.tenants["acme"]["tokens"] = json!([
                token("old", "old-0123456789abcdef"),
                expiring("new", "new-0123456789abcdef", "2999-01-01T00:00:00Z"),
                expiring("over", "over-0123456789abcdef", "2020-01-01T00:00:00Z"),
            ]);
        })
        .await?;
        let globex = ScimGateway::token("globex");
        let bearer = |token: &str| format!("Bearer {token}");
        let cases: [(Vec<String>, u16, Option<&str>); 15] = [
            (vec![bearer("old-0123456789abcdef")], 200, None),
            (vec![bearer("new-0123456789abcdef")], 200, None),
            (vec!["bEaReR new-0123456789abcdef".to_owned()], 200, None),
            (vec![bearer("over-0123456789abcdef")], 401, Some("invalid_token")),
            (vec![bearer("old-0123456789abcdeF")], 401, Some("invalid_token")),
            (vec![bearer("unknown")], 401, Some("invalid_token")),
            (vec![bearer(&globex)], 401, Some("invalid_token")),
            (vec![bearer(&ScimGateway::sha256("old-0123456789abcdef"))], 401, Some("invalid_token")),
            (vec![], 401, None),
            (vec![String::new()], 401, Some("invalid_request")),
            (vec!["Bearer".to_owned()], 401, Some("invalid_request")),
            (vec!["Basic b2xkOm9sZA==".to_owned()], 401, Some("invalid_request")),
            (vec!["old-0123456789abcdef".to_owned()], 401, Some("invalid_request")),
            (vec![bearer("old-0123456789abcdef new-0123456789abcdef")], 401, Some("invalid_request")),
            (
                vec![bearer("old-0123456789abcdef"), bearer("old-0123456789abcdef")],
                401,
                Some("invalid_request"),
            ),
        ];
        for (fields, status, error) in &cases {
            for (method, path) in
                [("GET", "/Users"), ("GET", "/Users/1"), ("POST", "/Users"), ("PATCH", "/Users/1")]
            {
                // What is not for reading is at fault in another way, once it is known who calls.
                let status = match (method, path, *status) {
                    ("GET", "/Users", status) | (_, _, status @ 401) => status,
                    ("GET", _, _) => 404,
                    _ => 400,
                };
                let request = fields.iter().fold(plain(method, "acme", path), |request, field| {
                    request.header("authorization", field)
                });
                let request = if method == "GET" { request } else { scim(request, &json!({})) };
                let found = verdict(&bed.send(&request).await?)?;
                assert_eq!(found, (status, error.map(str::to_owned)), "{method} {path} {fields:?}");
            }
        }
        // By which token it was, is told.
        let actors = actors(&bed, 12).await?;
        assert_eq!(actors, [["token:old"; 4], ["token:new"; 4], ["token:new"; 4]].concat());
        expect_healthy(&bed.gateway.envoy, 1).await
    })
    .unwrap();
}

#[test]
fn everyone_may_read_how_to_authenticate_and_nothing_else() {
    run(async {
        let bed = start(|_| {}).await?;
        let shown = expect(&bed.send(&plain("GET", "acme", "/ServiceProviderConfig")).await?, 200)?;
        assert_eq!(shown["authenticationSchemes"][0]["type"], "oauthbearertoken", "{shown}");
        let location = format!("{}/ServiceProviderConfig", bed.gateway.url("acme"));
        assert_eq!(shown["meta"]["location"], location);
        assert_eq!(bed.send(&plain("HEAD", "acme", "/ServiceProviderConfig")).await?.status, 200);
        for (method, tenant, path, status) in [
            ("GET", "acme", "/ServiceProviderConfig/x", 401),
            ("POST", "acme", "/ServiceProviderConfig", 401),
            ("GET", "acme", "/Schemas", 401),
            ("GET", "acme", "/ResourceTypes", 401),
            ("GET", "acme", "/Users", 401),
            ("GET", "acme", "/Me", 401),
            ("GET", "acme", "/changes", 401),
            ("GET", "acme", "/Nothing", 401),
            ("GET", "acme", "", 401),
            ("TRACE", "acme", "/Users", 401),
            ("OPTIONS", "acme", "/Users", 401),
            ("GET", "nobody", "/ServiceProviderConfig", 404),
        ] {
            let found = verdict(&bed.send(&plain(method, tenant, path)).await?)?;
            assert_eq!(found, (status, None), "{method} {tenant} {path}");
        }
        // Whoever says who they are is judged.
        let wrong = plain("GET", "acme", "/ServiceProviderConfig").bearer("unknown");
        assert_eq!(verdict(&bed.send(&wrong).await?)?.0, 401);
        expect_healthy(&bed.gateway.envoy, 1).await
    })
    .unwrap();
}

const DIRECTORY: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

/// A provider with an issuer for each directory, and the keys as `jwks` says.
fn provider(jwks: &Value) -> Value {
    json!({
        "issuer": "https://sts.example.com/{directory}/",
        "issuer_claims": { "directory": "tid" },
        "issuer_allow": { "directory": [DIRECTORY] },
        "audiences": ["scim"],
        "jwks": jwks,
    })
}

fn claims(issuer: &Issuer, changes: &Value) -> Value {
    let iss = format!("https://sts.example.com/{DIRECTORY}/");
    let mut claims = issuer.claims(&json!({ "iss": iss, "tid": DIRECTORY, "aud": "scim" }));
    if let (Some(claims), Some(changes)) = (claims.as_object_mut(), changes.as_object()) {
        claims.extend(changes.clone());
        claims.retain(|_, value| !value.is_null());
    }
    claims
}

#[test]
fn a_jwt_is_taken_beside_tokens_and_judged_as_a_whole() {
    run(async {
        let issuer = Issuer::start().await?;
        let jwks = issuer.jwks()?;
        let bed = start(|setup| {
            let provider = provider(&json!({ "inline": jwks }));
            setup.document.insert("providers".to_owned(), json!({ "sts": provider }));
            setup.tenants["acme"]["jwt"] =
                json!({ "provider": "sts", "claims": [{ "path": ["roles"], "contains": "provision" }] });
            setup.tenants["acme"]["tokens"] = json!([token("beside", "beside-0123456789abcdef")]);
        })
        .await?;
        let good = json!({ "roles": ["provision"] });
        let with = |changes: Value| {
            let mut all = good.clone();
            all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            issuer.sign(Algorithm::Es256, "JWT", &claims(&issuer, &all))
        };
        let other = "0b27ad4f-8f0d-4e6a-9f36-22a3b3f5d1c2";
        let stranger = Issuer::start().await?;
        let cases = [
            ("good", with(json!({}))?, 200, None),
            ("a token beside", "beside-0123456789abcdef".to_owned(), 200, None),
            ("another directory", with(json!({ "tid": other }))?, 401, Some("invalid_token")),
            (
                "another directory that is consistent",
                with(json!({ "tid": other, "iss": format!("https://sts.example.com/{other}/") }))?,
                401,
                Some("invalid_token"),
            ),
            ("no directory", with(json!({ "tid": null }))?, 401, Some("invalid_token")),
            (
                "expired",
                with(json!({ "iat": null, "nbf": null, "exp": 1_000_000_000 }))?,
                401,
                Some("invalid_token"),
            ),
            ("not yet", with(json!({ "nbf": 4_000_000_000_u64 }))?, 401, Some("invalid_token")),
            ("another audience", with(json!({ "aud": "api" }))?, 401, Some("invalid_token")),
            (
                "somebody else's key",
                stranger.sign(Algorithm::Es256, "JWT", &claims(&issuer, &good))?,
                401,
                Some("invalid_token"),
            ),
            (
                "without its signature",
                with(json!({}))?.rsplit_once('.').unwrap().0.to_owned() + ".",
                401,
                Some("invalid_token"),
            ),
            ("no role", with(json!({ "roles": ["read"] }))?, 403, Some("insufficient_scope")),
            ("no subject", with(json!({ "sub": null }))?, 403, None),
        ];
        for (what, token, status, error) in &cases {
            for request in [
                plain("GET", "acme", "/Users").bearer(token),
                scim(plain("POST", "acme", "/Users").bearer(token), &user(what)),
            ] {
                let response = bed.send(&request).await?;
                let found = match response.status {
                    201 => (200, None),
                    // A challenge of RFC 6750 section 3.1 goes with 403, too.
                    403 => (403, *error),
                    _ => {
                        let (status, error) = verdict(&response)?;
                        (status, error.map(|_| "invalid_token"))
                    }
                };
                assert_eq!(found, (*status, *error), "{what}: {response:?} {}", response.text());
                assert!(
                    response.header("content-type").as_deref() == Some("application/scim+json"),
                    "{what}"
                );
            }
        }
        // To another tenant it means nothing.
        let foreign = plain("GET", "globex", "/Users").bearer(&cases[0].1);
        assert_eq!(verdict(&bed.send(&foreign).await?)?, (401, Some("invalid_token".to_owned())));
        // Subjects are persons.
        let actors = actors(&bed, 4).await?;
        assert!(actors[0].starts_with("subject:sha256:") && actors[2] == "token:beside", "{actors:?}");
        assert!(!bed.gateway.envoy.log().contains("alice"), "expected no subject in the log");
        expect_healthy(&bed.gateway.envoy, 1).await
    })
    .unwrap();
}

/// A tenant whose keys are fetched from where `cluster` leads.
async fn with_remote_keys(issuer: &Issuer, cluster: std::net::SocketAddr, workers: u32) -> Result<Bed> {
    let remote = json!({
        "uri": issuer.jwks_uri(), "cluster": "issuer", "timeout": "60s", "danger_allow_http": true,
    });
    start(|setup| {
        let provider = provider(&json!({ "remote": remote }));
        setup.document.insert("providers".to_owned(), json!({ "sts": provider }));
        setup.tenants["acme"]["jwt"] = json!({ "provider": "sts" });
        setup.clusters.push(("issuer".to_owned(), cluster));
        setup.workers = workers;
    })
    .await
}

#[test]
fn calls_wait_for_keys_with_their_bodies_and_then_pass() {
    const WAITING: usize = 12;
    run(async {
        let issuer = Issuer::start().await?;
        let gate = Gate::closed().await?;
        let bed = with_remote_keys(&issuer, gate.addr, 2).await?;
        let good = issuer.sign(Algorithm::Rs256, "JWT", &claims(&issuer, &json!({})))?;
        let forged = Issuer::start().await?.sign(Algorithm::Rs256, "JWT", &claims(&issuer, &json!({})))?;
        // A name with a softening in it, so that the body is another one afterwards.
        let create = |name: &str, token: &str| {
            let mut body = user(name);
            body["active"] = "True".into();
            body["title"] = "x".repeat(20_000).into();
            bed.addressed(&scim(plain("POST", "acme", "/Users").bearer(token), &body))
        };
        let mut whole = JoinSet::new();
        for number in 0..WAITING {
            let is_forged = number % 3 == 0;
            let request = create(&format!("whole{number}"), if is_forged { &forged } else { &good });
            let addr = bed.gateway.addr();
            whole.spawn(async move {
                let response = Connection::open(addr).await?.send(&request).await?;
                anyhow::Ok((is_forged, response))
            });
        }
        // Of others a part is still to come when the keys do; one leaves, one says too much, and one has nothing to say.
        let mut parts = Vec::new();
        for (number, cut) in [0, 1, 100, 10_000].into_iter().enumerate() {
            let bytes = create(&format!("part{number}"), &good).to_bytes();
            let head =
                bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("expected a head")? + 4;
            let (first, rest) = bytes.split_at(head + cut);
            let mut connection = Connection::open(bed.gateway.addr()).await?;
            connection.write(first).await?;
            parts.push((connection, rest.to_vec()));
        }
        let mut leaving = Connection::open(bed.gateway.addr()).await?;
        leaving.write(&create("leaving", &good).to_bytes()).await?;
        let mut reading = Connection::open(bed.gateway.addr()).await?;
        reading.write(&bed.addressed(&plain("GET", "acme", "/Users/1").bearer(&good)).to_bytes()).await?;
        let waiting = |count: usize| {
            let envoy = &bed.gateway.envoy;
            async move |_: ()| -> Result<bool> {
                let stats = envoy.stats().await?;
                Ok(stats.get("wasmcustom.doorward.scim_gateway.waiting").copied() == Some(count as u64))
            }
        };
        let all = WAITING + parts.len() + 2;
        eventually("every call waits", async || waiting(all)(()).await).await?;
        drop(leaving);
        eventually("one has left", async || waiting(all - 1)(()).await).await?;
        // Who is too long waits for nothing.
        let long = plain("POST", "acme", "/Users").bearer(&good).header("content-type", "application/json");
        let long = bed.send(&long.body(vec![b' '; 1_048_577])).await?;
        assert_eq!(verdict(&long)?.0, 413);
        let opened = gate.open(issuer.addr());
        for response in whole.join_all().await {
            let (is_forged, response) = response?;
            let expected = if is_forged { (401, Some("invalid_token".to_owned())) } else { (201, None) };
            assert_eq!(verdict(&response)?, expected, "{response:?} {}", response.text());
        }
        assert_eq!(verdict(&reading.read().await?)?.0, 404);
        for (mut connection, rest) in parts {
            connection.write(&rest).await?;
            let response = connection.read().await?;
            assert_eq!(response.status, 201, "{}", response.text());
            let created = response.json()?;
            // What came in pieces is whole.
            assert_eq!(created["title"].as_str().map(str::len), Some(20_000));
            assert_eq!(created["active"], true);
        }
        let left =
            bed.send(&plain("GET", "acme", "/Users?count=100&attributes=userName").bearer(&good)).await?;
        let left = expect(&left, 200)?;
        assert_eq!(left["totalResults"], WAITING - WAITING / 3 + 4, "{left}");
        assert!(!left.to_string().contains("leaving"), "expected nobody to be made who left: {left}");
        expect_healthy(&bed.gateway.envoy, 2).await?;
        opened.abort();
        Ok(())
    })
    .unwrap();
}

#[test]
fn keys_that_never_come_are_503_in_scim() {
    run(async {
        let issuer = Issuer::start().await?;
        issuer.answer(Answer::Hang);
        let bed = with_remote_keys(&issuer, issuer.addr(), 1).await?;
        let good = issuer.sign(Algorithm::Rs256, "JWT", &claims(&issuer, &json!({})))?;
        let refused = bed.send(&scim(plain("POST", "acme", "/Users").bearer(&good), &user("late"))).await?;
        assert_eq!(verdict(&refused)?.0, 503, "{refused:?}");
        let wait = refused.header("retry-after").context("expected Retry-After")?;
        assert!(wait.parse::<u64>().is_ok(), "{wait}");
        // Others do not wait.
        assert_eq!(bed.send(&call("GET", "globex", "/Users")).await?.status, 200);
        expect_healthy(&bed.gateway.envoy, 1).await
    })
    .unwrap();
}

#[test]
fn a_certificate_is_wanted_beside_a_token_or_alone() {
    run(async {
        let folder = folder::scratch("certificates")?;
        output(python("certificates.py").arg(&folder))?;
        let file = |name: &str| folder.join(name);
        let known = json!([{ "name": "okta-mtls", "sha256": fingerprint(&file("other.crt"))? }]);
        let url = "https://login.example.com/tenants/{tenant}/scim/v2";
        let mut setup = GatewaySetup::new(&TENANTS).mutual_tls(
            &file("provider.crt"),
            &file("provider.key"),
            &file("authority.crt"),
        );
        setup.scim.insert("base_url".to_owned(), url.into());
        setup.tenants["acme"]["certificates"] = known.clone();
        setup.tenants["globex"]["certificates"] = known;
        let globex = ScimGateway::token("globex");
        setup.tenants["globex"]["tokens"] = json!([token("beside", &globex)]);
        let bed = Bed::start_on(Database::Sqlite, &TENANTS, json!({}), setup).await?;
        let initech = ScimGateway::token("initech");
        for (tenant, certificate, token, path, status) in [
            ("acme", "other", "-", "/Users", 200),
            ("acme", "provider", "-", "/Users", 401),
            ("acme", "-", "-", "/Users", 401),
            ("acme", "-", "-", "/ServiceProviderConfig", 200),
            // There are no tokens here, so this one is nobody's.
            ("acme", "other", "anything", "/Users", 401),
            ("globex", "other", &globex, "/Users", 200),
            ("globex", "other", "-", "/Users", 401),
            ("globex", "other", &initech, "/Users", 401),
            ("globex", "provider", &globex, "/Users", 401),
            ("globex", "-", &globex, "/Users", 401),
            ("initech", "-", &initech, "/Users", 200),
            ("initech", "other", &initech, "/Users", 200),
            ("initech", "other", "-", "/Users", 401),
        ] {
            let mut command = node("tls_get.mjs");
            command.arg(bed.gateway.addr().port().to_string()).arg(&folder).args([certificate, token]);
            command.arg(format!("{}{path}", ScimGateway::path(tenant)));
            let answer = output(&mut command)?;
            let what = format!("{tenant} {certificate} {token} {path}: {answer}");
            assert_eq!(answer["status"], status, "{what}");
            let body: Value = serde_json::from_str(answer["body"].as_str().unwrap_or_default())?;
            let is_error = body["status"] == json!(status.to_string());
            assert_eq!(is_error, status == 401, "{what}");
            assert_eq!(answer["headers"]["www-authenticate"].is_string(), status == 401, "{what}");
            assert_eq!(answer["headers"]["content-type"], "application/scim+json", "{what}");
        }
        // Where there is a token, it says who calls.
        let [certificate, nobody, beside, token] =
            ["certificate:okta-mtls", "anonymous", "token:beside", "token:suite"];
        let expected = [certificate, nobody, beside, beside, beside, token, token];
        assert_eq!(actors(&bed, expected.len()).await?, expected);
        expect_healthy(&bed.gateway.envoy, 1).await
    })
    .unwrap();
}

/// The SHA-256 of a certificate, as the configuration has it.
fn fingerprint(pem: &Path) -> Result<String> {
    let pem = fs::read_to_string(pem)?;
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let digest = Sha256::digest(STANDARD.decode(body).unwrap());
    Ok(digest.iter().map(|octet| format!("{octet:02x}")).collect())
}

#[test]
fn tenants_of_one_address_are_told_apart_by_their_tokens() {
    run(async {
        let issuer = Issuer::start().await?;
        let jwks = issuer.jwks()?;
        let bed = start(|setup| {
            setup.scim.insert("base_url".to_owned(), "http://127.0.0.1/scim/v2".into());
            let provider = provider(&json!({ "inline": jwks }));
            setup.document.insert("providers".to_owned(), json!({ "sts": provider }));
            setup.tenants["initech"]["jwt"] = json!({ "provider": "sts" });
        })
        .await?;
        let jwt = issuer.sign(Algorithm::EdDsa, "JWT", &claims(&issuer, &json!({})))?;
        let tokens = [ScimGateway::token("acme"), ScimGateway::token("globex"), jwt];
        // The same name in each of them, and each sees its own alone.
        let mut ids = Vec::new();
        for token in &tokens {
            let request = scim(Request::new("POST", "/scim/v2/Users").bearer(token), &user("alice"));
            let created = expect(&bed.send(&request).await?, 201)?;
            let id = id_of(&created)?;
            assert_eq!(created["meta"]["location"], format!("http://127.0.0.1/scim/v2/Users/{id}"));
            ids.push(id);
        }
        for (token, own) in tokens.iter().zip(&ids) {
            for id in &ids {
                let read = bed.send(&Request::get(format!("/scim/v2/Users/{id}")).bearer(token)).await?;
                assert_eq!(read.status, if id == own { 200 } else { 404 });
            }
            let listed = bed.send(&Request::get("/scim/v2/Users").bearer(token)).await?;
            let listed = expect(&listed, 200)?;
            assert_eq!((&listed["totalResults"], &listed["Resources"][0]["id"]), (&json!(1), &json!(own)));
        }
        let expired = json!({ "iat": null, "nbf": null, "exp": 1_000_000_000 });
        let expired = issuer.sign(Algorithm::EdDsa, "JWT", &claims(&issuer, &expired))?;
        let (bare, whose) = (Request::get("/scim/v2/Users"), Request::get("/scim/v2/ServiceProviderConfig"));
        // Where a JWT may be, it is the one that is asked for.
        for request in [bare.clone(), whose, bare.clone().bearer("unknown"), bare.bearer(&expired)] {
            assert_eq!(verdict(&bed.send(&request).await?)?.0, 401, "{request:?}");
        }
        expect_healthy(&bed.gateway.envoy, 1).await
    })
    .unwrap();
}

#[test]
fn too_many_calls_of_one_actor_are_429_on_all_workers_together() {
    const CALLS: usize = 60;
    const BURST: usize = 5;
    run(async {
        let bed = start(|setup| {
            setup.workers = 2;
            setup.tenants["acme"]["rate"] = json!({ "requests_per_second": 1, "burst": BURST });
            setup.tenants["acme"]["tokens"] =
                json!([token("one", &ScimGateway::token("acme")), token("two", "two-0123456789abcdef")]);
        })
        .await?;
        let (begun, mut calls) = (Instant::now(), JoinSet::new());
        for _ in 0..CALLS {
            let (addr, request) = (bed.gateway.addr(), bed.addressed(&call("GET", "acme", "/Users")));
            calls.spawn(async move { Connection::open(addr).await?.send(&request).await });
        }
        let mut passed = 0;
        for response in calls.join_all().await {
            let response = response?;
            if response.status == 200 {
                passed += 1;
                continue;
            }
            assert_eq!(verdict(&response)?, (429, None), "{response:?}");
            let wait = response.header("retry-after").context("expected Retry-After")?;
            assert!(wait.parse::<u64>().is_ok_and(|seconds| (1..=60).contains(&seconds)), "{wait}");
        }
        // One comes back each second, however long this has taken.
        let most = BURST + usize::try_from(begun.elapsed().as_secs())? + 1;
        assert!((BURST..=most).contains(&passed), "expected {BURST} to {most}, but {passed} passed");
        let stats = bed.gateway.envoy.stats().await?;
        for worker in ["worker_0", "worker_1"] {
            let taken =
                stats.iter().find(|(name, _)| name.ends_with(&format!("{worker}.downstream_cx_total")));
            ensure!(
                taken.is_some_and(|(_, count)| *count > 0),
                "expected connections on {worker}: {stats:?}"
            );
        }
        // Others have buckets of their own.
        let two = plain("GET", "acme", "/Users").bearer("two-0123456789abcdef");
        for request in [two, call("GET", "globex", "/Users"), plain("GET", "acme", "/ServiceProviderConfig")]
        {
            assert_eq!(bed.send(&request).await?.status, 200, "{request:?}");
        }
        expect_healthy(&bed.gateway.envoy, 2).await
    })
    .unwrap();
}
