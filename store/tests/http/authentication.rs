//! Who is let in.

use crate::bed::{Gone, options, with, without_database};
use doorward::scim::Profile;
use doorward_store::http::{self, Authentication};
use doorward_store::tenants::Tenants;
use doorward_testbed::{Request, send};
use std::sync::Arc;

#[test]
fn how_to_authenticate_is_told_to_everyone_and_nothing_else_is() {
    with(
        |_| {},
        async |bed| {
            let config = "/scim/v2/ServiceProviderConfig";
            assert_eq!(send(bed.address, &Request::get(config)).await?.status, 201);
            assert_eq!(bed.fake.seen.lock().unwrap()[0].context.tenant, "");
            for request in [
                Request::new("POST", config),
                Request::get(config).bearer("wrong"),
                Request::get("/scim/v2/ServiceProviderConfig/"),
                Request::get("/scim/v2/Schemas"),
                Request::get("/scim/v2/ResourceTypes"),
                Request::get("/scim/v2/Users"),
            ] {
                assert_eq!(send(bed.address, &request).await?.status, 401, "{request:?}");
            }
            assert_eq!(bed.fake.seen.lock().unwrap().len(), 1);
            Ok(())
        },
    );
}

#[test]
fn a_request_is_let_in_with_a_token_of_a_tenant() {
    with(
        |_| {},
        async |bed| {
            let request = Request::get("/scim/v2/Users?filter=a&b=%20")
                .bearer(&bed.token)
                .header("Content-Type", "application/json")
                .header("If-Match", "W/\"1\"")
                .header("If-None-Match", "*")
                .header("Idempotency-Key", "k");
            let response = send(bed.address, &request.body("{}")).await?;
            assert_eq!(response.status, 201);
            assert_eq!(response.header("content-type").as_deref(), Some("application/scim+json"));
            assert_eq!(response.header("etag").as_deref(), Some("W/\"1\""));
            let seen = bed.fake.seen.lock().unwrap()[0].clone();
            assert_eq!(
                (seen.method.as_str(), seen.path.as_str(), seen.query.as_str()),
                ("GET", "/Users", "filter=a&b=%20")
            );
            assert_eq!((seen.context.tenant.as_str(), seen.context.profile), ("acme", Profile::Okta));
            assert_eq!(seen.context.origin.actor, "okta");
            assert_eq!(seen.context.origin.address.as_deref(), Some("127.0.0.1"));
            assert_eq!(seen.context.base_url, format!("http://{}/scim/v2", bed.address));
            let fields =
                ["application/json", "W/\"1\"", "*", "k"].map(|field| Some(field.as_bytes().to_vec()));
            assert_eq!((seen.fields, seen.body.as_slice()), (fields, b"{}".as_slice()));
            Ok(())
        },
    );
}

#[test]
fn nobody_else_is() {
    with(
        |_| {},
        async |bed| {
            let other = format!("dws_{}", "A".repeat(43));
            let token = &bed.token;
            let invalid = Some("Bearer realm=\"scim\", error=\"invalid_token\"");
            let missing = Some("Bearer realm=\"scim\"");
            for (fields, challenge) in [
                (vec![], missing),
                (vec![format!("Basic {token}")], missing),
                (vec![token.clone()], missing),
                (vec![format!("Bearer {token}"), format!("Bearer {token}")], missing),
                (vec!["Bearer".to_owned()], missing),
                (vec!["Bearer x".to_owned()], invalid),
                (vec![format!("Bearer {other}")], invalid),
                (vec![format!("Bearer {token}x")], invalid),
                (vec![format!("bearer  {token} ")], None),
            ] {
                let request = Request::get("/scim/v2/Users");
                let request =
                    fields.iter().fold(request, |request, field| request.header("Authorization", field));
                let response = send(bed.address, &request).await?;
                assert_eq!(response.header("www-authenticate").as_deref(), challenge, "{fields:?}");
                if challenge.is_some() {
                    assert_eq!(response.status, 401, "{fields:?}");
                    assert_eq!(response.header("content-type").as_deref(), Some("application/scim+json"));
                    let error = response.json()?;
                    assert_eq!(
                        (&error["status"], &error["schemas"][0]),
                        (&"401".into(), &"urn:ietf:params:scim:api:messages:2.0:Error".into())
                    );
                }
            }
            assert_eq!(bed.fake.seen.lock().unwrap().len(), 1);
            Ok(())
        },
    );
}

#[test]
fn a_body_is_not_waited_for_before_it_is_known_whose_it_is() {
    with(
        |_| {},
        async |bed| {
            // It never comes.
            let request = Request::new("POST", "/scim/v2/Users").header("Content-Length", "100");
            assert_eq!(send(bed.address, &request).await?.status, 401);
            Ok(())
        },
    );
}

#[test]
fn a_token_that_cannot_be_looked_up_is_no_unknown_token() {
    without_database(async |bed| {
        let response = send(bed.address, &Request::get("/scim/v2/Users").bearer(&bed.token)).await?;
        assert_eq!((response.status, response.header("retry-after").as_deref()), (503, Some("1")));
        assert_eq!(response.json()?["status"], "503");
        assert!(!response.text().contains("gone"), "{}", response.text());
        Ok(())
    });
}

#[test]
fn without_authentication_everyone_is_one_tenant() {
    // Its database must have the tenant, which is not there when the options are made.
    doorward_testbed::run(async {
        let folder = tempfile::tempdir()?;
        let database = doorward_store::database::SqliteOptions::new(folder.path().join("store.db"));
        let tenants = Arc::new(Tenants::new(Arc::new(doorward_store::database::Sqlite::open(&database)?)));
        let start = async || {
            let mut options = options();
            options.authentication = Authentication::Open { tenant: "demo".to_owned() };
            let log = http::Log::to(std::io::sink())?;
            anyhow::Ok(http::Server::bind(options, Arc::new(Echo), Arc::clone(&tenants), log).await)
        };
        let error = start().await?.err().unwrap().to_string();
        assert_eq!(error, "expected a tenant, but there is none of the id \"demo\"");
        tenants.create("demo", "Demo", Profile::Entra, http::now()).await?;
        let server = start().await??;
        let address = server.address();
        let task = tokio::spawn(server.run(std::future::pending()));
        let response = send(address, &Request::get("/scim/v2/Users")).await?;
        assert_eq!(response.text(), "demo entra anonymous");
        task.abort();
        Ok(())
    })
    .unwrap();
}

struct Echo;

impl http::Handle for Echo {
    fn watch(&self, _: &str) -> tokio::sync::watch::Receiver<()> {
        tokio::sync::watch::channel(()).1
    }

    async fn handle(
        &self,
        context: &doorward_store::service::Context,
        _: &doorward_store::service::Request<'_>,
    ) -> doorward_store::service::Response {
        let text = format!("{} {} {}", context.tenant, context.profile.as_str(), context.origin.actor);
        doorward_store::service::Response { status: 200, body: Some(text.into_bytes()), ..Default::default() }
    }
}

#[test]
fn the_server_refuses_to_be_open_beyond_loopback() {
    doorward_testbed::run(async {
        let mut options = options();
        options.listen = "0.0.0.0:0".parse()?;
        options.authentication = Authentication::Open { tenant: "demo".to_owned() };
        let tenants = Arc::new(Tenants::new(Arc::new(Gone)));
        let bound =
            http::Server::bind(options, Arc::new(Echo), tenants, http::Log::to(std::io::sink())?).await;
        let error = bound.err().unwrap().to_string();
        assert_eq!(
            error,
            "listen: expected a loopback address, since there is no authentication, but found 0.0.0.0:0"
        );
        Ok(())
    })
    .unwrap();
}
