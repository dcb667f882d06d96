//! Whom a gateway speaks for.

use crate::bed::{Bed, Memory, options, with};
use anyhow::Result;
use doorward::gateway::{CredentialKey, CredentialKeys, Grant};
use doorward::jose::base64url;
use doorward::scim::{Catalog, CursorKey, Profile};
use doorward::time::UnixTime;
use doorward_store::database::{Database, Scope, Sqlite, SqliteOptions};
use doorward_store::http::{self, Log, Rate, Server, ServerOptions};
use doorward_store::service::{Service, Settings};
use doorward_store::sql::Statement;
use doorward_store::tenants::Tenants;
use doorward_testbed::{Request, Response, run, send};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

const BASE: &str = "https://scim.example.com/tenants/acme";
const USERS: &str = "/scim/v2/Users";

fn key(id: &str, secret: u8) -> CredentialKey {
    CredentialKey::new(id.to_owned(), vec![secret; 32]).unwrap()
}

/// The gateway `edge`, with two keys.
fn behind(options: &mut ServerOptions) {
    let mut gateways = CredentialKeys::default();
    gateways.add("edge", key("k1", 1)).unwrap();
    gateways.add("edge", key("k2", 2)).unwrap();
    options.gateways = gateways;
}

fn grant<'g>(method: &'g str, target: &'g str) -> Grant<'g> {
    Grant {
        issuer: "edge",
        tenant: "acme",
        actor: "okta-admin",
        profile: Profile::Entra,
        base_url: BASE,
        request_id: "r-1",
        client: Some("203.0.113.9".parse().unwrap()),
        method,
        target,
    }
}

/// So many seconds from now on.
fn after(seconds: i64) -> UnixTime {
    UnixTime::from_millis(http::now() / 1000 + seconds * 1000)
}

fn credential(grant: &Grant<'_>) -> String {
    key("k1", 1).seal(after(0), grant)
}

/// A request as a gateway forwards it.
fn forwarded(grant: &Grant<'_>) -> Request {
    Request::new(grant.method, grant.target).bearer(&credential(grant))
}

async fn get<D>(bed: &Bed<D>, credential: &str) -> Result<Response> {
    send(bed.address, &Request::get(USERS).bearer(credential)).await
}

#[test]
fn what_a_gateway_says_is_taken_over() {
    with(behind, async |bed| {
        let target = "/scim/v2/Users?filter=userName%20eq%20%22a%22&x=%2F";
        let request = forwarded(&grant("POST", target))
            .header("X-Request-Id", "another")
            .header("X-Forwarded-For", "198.51.100.1")
            .header("Idempotency-Key", "i")
            .body("{}");
        let response = send(bed.address, &request).await?;
        assert_eq!(response.status, 201, "{}", response.text());
        assert_eq!(response.header("x-request-id").as_deref(), Some("r-1"));
        assert_eq!(response.header("location"), Some(format!("{BASE}/Users/1")));
        let seen = bed.fake.seen.lock().unwrap()[0].clone();
        assert_eq!((seen.context.tenant.as_str(), seen.context.profile), ("acme", Profile::Entra));
        let origin = seen.context.origin;
        assert_eq!(
            (origin.actor.as_str(), origin.address.as_deref(), origin.request_id.as_str()),
            ("edge:okta-admin", Some("203.0.113.9"), "r-1")
        );
        assert_eq!(
            (seen.fields[3].as_deref(), seen.body.as_slice()),
            (Some(b"i".as_slice()), b"{}".as_slice())
        );
        // The gateway's own address is nobody's.
        send(bed.address, &forwarded(&Grant { client: None, ..grant("GET", USERS) })).await?;
        assert_eq!(bed.fake.seen.lock().unwrap()[1].context.origin.address, None);
        let line = &bed.log.lines("request", 1).await?[0];
        assert_eq!(
            (&line["tenant"], &line["gateway"], &line["request_id"], &line["actor"]),
            (&json!("acme"), &json!("edge"), &json!("r-1"), &Value::Null)
        );
        assert!(!bed.log.text().contains("okta-admin"));
        Ok(())
    });
}

#[test]
fn tokens_are_good_beside_gateways() {
    with(behind, async |bed| {
        assert_eq!(get(bed, &bed.token).await?.status, 201);
        assert_eq!(get(bed, "dws_wrong").await?.status, 401);
        assert_eq!(send(bed.address, &Request::get(USERS)).await?.status, 401);
        assert_eq!(bed.fake.seen.lock().unwrap()[0].context.origin.actor, "okta");
        Ok(())
    });
}

#[test]
fn keys_are_changed_while_both_are_known() {
    with(behind, async |bed| {
        for (id, secret, expected) in [("k1", 1, 201), ("k2", 2, 201), ("k1", 2, 401), ("k3", 1, 401)] {
            let credential = key(id, secret).seal(after(0), &grant("GET", USERS));
            assert_eq!(get(bed, &credential).await?.status, expected, "{id} {secret}");
        }
        Ok(())
    });
}

#[test]
fn without_gateways_a_credential_is_a_token_that_nobody_issued() {
    with(
        |_| {},
        async |bed| {
            let response = send(bed.address, &forwarded(&grant("GET", USERS))).await?;
            assert_eq!(response.status, 401);
            assert!(response.text().contains("expected a token that was issued here"), "{}", response.text());
            assert!(!bed.log.lines("request", 1).await?[0].to_string().contains("credential_refused"));
            Ok(())
        },
    );
}

#[test]
fn a_refused_credential_has_its_reason_in_answer_log_and_metrics() {
    with(behind, async |bed| {
        let good = credential(&grant("GET", USERS));
        let (body, _) = good.rsplit_once('.').unwrap();
        let seal = |seconds| key("k1", 1).seal(after(seconds), &grant("GET", USERS));
        let cases = [
            (key("k1", 9).seal(after(0), &grant("GET", USERS)), "signature", "a valid signature"),
            (key("k9", 1).seal(after(0), &grant("GET", USERS)), "unknown_key", "a known key"),
            (seal(-120), "expired", "that has not expired"),
            (seal(120), "early", "that is good already"),
            (credential(&grant("DELETE", USERS)), "method", "for this method"),
            (credential(&grant("GET", "/scim/v2/Groups")), "target", "for this path and query"),
            (credential(&grant("GET", "/scim/v2/Users?count=1")), "target", "for this path and query"),
            (format!("{body}.AA"), "signature", "a valid signature"),
            ("a.b.c".to_owned(), "header", "the header of a gateway's credential"),
        ];
        for (number, (credential, reason, detail)) in cases.iter().enumerate() {
            let response = get(bed, credential).await?;
            assert_eq!(response.status, 401, "{reason}");
            assert_eq!(
                response.header("www-authenticate").as_deref(),
                Some("Bearer realm=\"scim\", error=\"invalid_token\"")
            );
            let error = response.json()?;
            assert!(error["detail"].as_str().unwrap().contains(detail), "{error}");
            let lines = bed.log.lines("request", number + 1).await?;
            assert_eq!(lines[number]["credential_refused"], *reason);
        }
        assert!(bed.fake.seen.lock().unwrap().is_empty());
        assert!(!bed.log.text().contains(body));
        let metrics = send(bed.admin, &Request::get("/metrics")).await?.text();
        for line in ["{reason=\"expired\"} 1", "{reason=\"target\"} 2", "{reason=\"signature\"} 2"] {
            let line = format!("doorward_store_credentials_refused_total{line}");
            assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
        }
        // It was good all the time.
        assert_eq!(get(bed, &good).await?.status, 201);
        Ok(())
    });
}

#[test]
fn a_tenant_must_be_there() {
    with(behind, async |bed| {
        let unknown = forwarded(&Grant { tenant: "other", ..grant("GET", USERS) });
        let response = send(bed.address, &unknown).await?;
        assert_eq!(response.status, 403);
        let error = response.json()?;
        assert_eq!(error["detail"], "expected a tenant of this store, but there is none of the id \"other\"");
        assert_eq!(error["status"], "403");
        assert!(bed.fake.seen.lock().unwrap().is_empty());
        bed.tenants.create("other", "Other", Profile::Rfc, http::now()).await?;
        assert_eq!(send(bed.address, &unknown).await?.status, 201);
        Ok(())
    });
}

#[test]
fn a_tenants_rate_is_that_of_all_its_requests() {
    let rate = |options: &mut ServerOptions| {
        behind(options);
        let [requests_per_second, burst] = [1, 2].map(|n| NonZeroU32::new(n).unwrap());
        options.limits.rate = Some(Rate { requests_per_second, burst });
    };
    with(rate, async |bed| {
        bed.tenants.create("other", "Other", Profile::Rfc, http::now()).await?;
        let mut refused = false;
        // However slow the machine is: it cannot send so many in so many seconds.
        for _ in 0..100 {
            refused |= send(bed.address, &forwarded(&grant("GET", USERS))).await?.status == 429;
            if refused {
                break;
            }
        }
        assert!(refused);
        let other = forwarded(&Grant { tenant: "other", ..grant("GET", USERS) });
        assert_eq!(send(bed.address, &other).await?.status, 201);
        Ok(())
    });
}

/// A server with the service itself, and the tenants `acme` and `other`.
fn with_service(test: impl AsyncFnOnce(SocketAddr, &Tenants<Sqlite>) -> Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    let tested = run(async {
        let database = Arc::new(Sqlite::open(&SqliteOptions::new(folder.path().join("store.db")))?);
        let tenants = Arc::new(Tenants::new(database));
        for tenant in ["acme", "other"] {
            tenants.create(tenant, tenant, Profile::Rfc, http::now()).await?;
        }
        let catalog = Arc::new(Catalog::built_in().unwrap());
        let service =
            Service::new(Arc::clone(&tenants), catalog, Settings::default(), CursorKey::new([7; 32]));
        let mut options = options();
        behind(&mut options);
        let log = Log::to(Memory::default())?;
        let server = Server::bind(options, Arc::new(service), Arc::clone(&tenants), log).await?;
        let address = server.address();
        let task = tokio::spawn(server.run(std::future::pending()));
        test(address, &tenants).await?;
        task.abort();
        Ok(())
    });
    tested.unwrap();
}

#[test]
fn the_audit_trail_and_the_resources_have_it_and_one_tenant_has_nothing_of_another() {
    with_service(async |address, tenants| {
        let user =
            json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "bjensen" });
        let create = forwarded(&grant("POST", USERS)).header("Content-Type", "application/scim+json");
        let created = send(address, &create.body(user.to_string())).await?;
        assert_eq!(created.status, 201, "{}", created.text());
        let resource = created.json()?;
        let id = resource["id"].as_str().unwrap();
        let location = format!("{BASE}/Users/{id}");
        assert_eq!(created.header("location").as_deref(), Some(location.as_str()));
        assert_eq!(resource["meta"]["location"], location.as_str());

        let database = tenants.database();
        let select =
            Statement::new(database.dialect(), "SELECT record FROM change WHERE tenant = ").bind("acme");
        let rows = database.read(Scope::Tenant("acme"), vec![select]).await?.pop().unwrap();
        let record: Value = serde_json::from_str(rows[0].text(0)?)?;
        assert_eq!(
            (&record["actor"], &record["address"], &record["request_id"]),
            (&json!("edge:okta-admin"), &json!("203.0.113.9"), &json!("r-1"))
        );

        let target = format!("{USERS}/{id}");
        let own = grant("GET", &target);
        let other = Grant { tenant: "other", ..own };
        assert_eq!(send(address, &forwarded(&own)).await?.status, 200);
        assert_eq!(send(address, &forwarded(&other)).await?.status, 404);
        // That of the one does not become that of the other.
        let now = after(0);
        let [credential, signed] = [other, own].map(|grant| key("k1", 1).seal(now, &grant));
        let parts: Vec<&str> = credential.split('.').collect();
        let payload = String::from_utf8(base64url::decode(parts[1].as_bytes())?)?;
        let payload = payload.replace("\"tenant\":\"other\"", "\"tenant\":\"acme\"");
        assert_eq!(base64url::encode(payload.as_bytes()), signed.split('.').nth(1).unwrap());
        let forged = format!("{}.{}.{}", parts[0], base64url::encode(payload.as_bytes()), parts[2]);
        assert_eq!(send(address, &Request::get(&target).bearer(&forged)).await?.status, 401);
        Ok(())
    });
}
