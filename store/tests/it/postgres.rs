//! What only PostgreSQL does.

use crate::bed::{Bed, PostgresBed};
use crate::units::{add, rename, resources, rows, set_name, tenant, verify};
use anyhow::Result;
use doorward_store::database::{Database, DatabaseError, Postgres, PostgresOptions, Scope, Step, WriteError};
use doorward_store::sql::{Dialect, Row, Statement};
use doorward_testbed::{PostgresServer, run};
use std::time::Duration;

const PG: Dialect = Dialect::Postgres;

/// Runs a test on a database, if PostgreSQL is installed.
fn with_bed(test: impl AsyncFnOnce(PostgresBed) -> Result<()>) {
    run(async {
        match PostgresBed::new().await? {
            Some(bed) => test(bed).await,
            None => Ok(()),
        }
    })
    .unwrap();
}

#[test]
fn a_statement_that_forgets_its_tenant_reaches_nobody_elses_rows() {
    with_bed(async |bed| {
        let database = bed.open().await?;
        for (id, user) in [("a", "u1"), ("b", "u2")] {
            database.write(tenant(PG, id)).await?;
            database.write(add(PG, id, user, "one")).await?;
        }
        let count = Statement::new(PG, "SELECT (SELECT COUNT(*) FROM tenant), COUNT(*) FROM resource");
        for (scope, tenants, resources) in [
            (Scope::Tenant("a"), 1, 1),
            (Scope::Tenant("b"), 1, 1),
            (Scope::Tenant("nobody"), 0, 0),
            (Scope::Service, 2, 0),
            // What a transaction was for is forgotten with it.
            (Scope::Tenant(""), 0, 0),
        ] {
            let found = rows(&database, scope, count.clone()).await?;
            assert_eq!(found, [Row(vec![tenants.into(), resources.into()])], "{scope:?}");
        }
        // Changes: of all rows there are, and into another tenant.
        let mut all = rename(PG, "a", "u1", None, "x");
        all.steps.insert(0, Step::Change(Statement::new(PG, "UPDATE resource SET display_name = 'mine'")));
        database.write(all).await?;
        assert_eq!(resources(&database, "b").await?, [("u2".to_owned(), 1, None)]);
        let mut elsewhere = rename(PG, "a", "u1", None, "y");
        elsewhere.steps.push(Step::Required(set_name(PG, "b", "u2", "y")));
        assert_eq!(database.write(elsewhere).await, Err(WriteError::NothingFound(2)));
        let mut elsewhere = add(PG, "b", "u3", "three");
        elsewhere.tenant = "a".to_owned();
        let error = database.write(elsewhere).await.unwrap_err().to_string();
        assert!(error.contains("row-level security"), "{error}");
        assert_eq!(verify(&database, "b").await?, 2);
        Ok(())
    });
}

#[test]
fn what_passes_is_tried_again() {
    with_bed(async |bed| {
        let mut options = bed.options();
        options.timeout = Duration::from_secs(2);
        let database = Postgres::open(&options).await?;
        database.write(tenant(PG, "a")).await?;
        let raise = |code: &str| format!("RAISE EXCEPTION 'no' USING ERRCODE = '{code}'");
        let cut = "PERFORM pg_terminate_backend(pg_backend_pid())".to_owned();
        let (serialization, deadlock, full) = (raise("40001"), raise("40P01"), raise("53100"));
        for (number, (what, times, expected)) in [
            (&serialization, 3, ""),
            (&deadlock, 3, ""),
            (&serialization, 1000, "not available: 40001"),
            // Once it may have been lost before.
            (&cut, 1, ""),
            (&cut, 2, "not available: 57P01"),
            (&full, 1, "no room left: 53100"),
            // It waits no longer than it may, and leaves no lock to the next.
            (&"PERFORM pg_sleep(60)".to_owned(), 1, "not available: expected an answer within 2s"),
        ]
        .into_iter()
        .enumerate()
        {
            // The connection that is hindered is one that has served.
            bed.sql("DROP TRIGGER IF EXISTS hinder ON resource")?;
            let before = format!("before {number}");
            database.write(add(PG, "a", &before, &before)).await?;
            // A sequence counts on whatever is undone.
            bed.sql(&format!(
                "DROP SEQUENCE IF EXISTS tries; CREATE SEQUENCE tries; \
                 CREATE OR REPLACE FUNCTION hinder() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \
                 $$BEGIN IF nextval('tries') <= {times} THEN {what}; END IF; RETURN NEW; END$$; \
                 CREATE TRIGGER hinder BEFORE INSERT ON resource FOR EACH ROW EXECUTE FUNCTION hinder()"
            ))?;
            let id = number.to_string();
            let found = database.write(add(PG, "a", &id, &id)).await;
            let found = found.map_or_else(|error| error.to_string(), |_| String::new());
            assert_eq!(found.is_empty(), expected.is_empty(), "{what}, {times} times: {found}");
            assert!(found.contains(expected), "{what}, {times} times: {found}");
        }
        database.write(add(PG, "a", "after", "after")).await?;
        assert_eq!(verify(&database, "a").await?, 12);
        Ok(())
    });
}

#[test]
fn every_table_with_a_tenant_has_the_wall() {
    with_bed(async |bed| {
        bed.open().await?;
        let found = bed.server.sql(
            &bed.name,
            "SELECT relname FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attname = 'tenant' \
             WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace \
             AND NOT (relrowsecurity AND relforcerowsecurity AND EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = c.oid))",
        )?;
        assert_eq!(found, "", "these have none");
        Ok(())
    });
}

#[test]
fn a_role_beyond_the_wall_is_refused() {
    with_bed(async |bed| {
        let mut options = PostgresOptions::new(bed.server.url("postgres", &bed.name));
        let error = Postgres::open(&options).await.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("found a superuser"), "{error}");
        options.danger_unwalled = true;
        Postgres::open(&options).await?;
        Ok(())
    });
}

#[test]
fn a_url_that_asks_for_tls_is_refused() {
    run(async {
        for (url, asks) in [
            ("postgresql://a:secret@127.0.0.1:1/a?sslmode=require", true),
            ("postgresql://a:secret@db.example.com:1/a", true),
            ("host=localhost,db.example.com user=a password=secret", true),
            ("host=localhost hostaddr=192.0.2.1 user=a password=secret", true),
            ("postgresql://a:secret@127.0.0.1:1/a", false),
            ("host=127.0.0.1 port=1 user=a password=secret sslmode=disable", false),
        ] {
            let options = PostgresOptions::new(url);
            let error = Postgres::open(&options).await.err();
            match &error {
                Some(DatabaseError::Failed(text)) if asks => {
                    assert!(text.contains("without TLS"), "{url}: {text}");
                }
                Some(DatabaseError::Unavailable(_)) if !asks => {}
                _ => panic!("{url}: {error:?}"),
            }
            assert!(!format!("{error:?} {options:?}").contains("secret"), "{url}");
        }
        let error = Postgres::open(&PostgresOptions::new("host=127.0.0.1 secret=secret2")).await.err();
        assert!(!format!("{error:?}").contains("secret2"), "{error:?}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_lost_database_is_told_and_found_again() {
    if PostgresServer::programs().is_none() {
        eprintln!("left out: PostgreSQL is not installed");
        return;
    }
    run(async {
        let mut server = PostgresServer::start().await?;
        let name = server.database()?;
        let database = Postgres::open(&PostgresOptions::new(server.url("doorward", &name))).await?;
        database.write(tenant(PG, "a")).await?;
        database.write(add(PG, "a", "u1", "one")).await?;
        assert_eq!(resources(&database, "a").await?.len(), 1);
        server.stop();
        for _ in 0..2 {
            let ask = Statement::new(PG, "SELECT 1");
            let read = database.read(Scope::Tenant("a"), vec![ask]).await;
            assert!(matches!(read, Err(DatabaseError::Unavailable(_))), "{read:?}");
            let written = database.write(add(PG, "a", "u2", "two")).await;
            let unavailable = matches!(written, Err(WriteError::Database(DatabaseError::Unavailable(_))));
            assert!(unavailable, "{written:?}");
        }
        server.start_again().await?;
        assert_eq!(resources(&database, "a").await?.len(), 1);
        database.write(add(PG, "a", "u2", "two")).await?;
        // Restarted while nobody looked: nobody is told.
        server.stop();
        server.start_again().await?;
        database.write(add(PG, "a", "u3", "three")).await?;
        assert_eq!(resources(&database, "a").await?.len(), 3);
        assert_eq!(verify(&database, "a").await?, 4);
        Ok(())
    })
    .unwrap();
}
