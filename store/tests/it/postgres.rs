//! What only PostgreSQL does.

use crate::bed::{Bed, Migrated, PostgresBed};
use crate::units::{add, rename, resources, rows, set_name, tenant, verify};
use anyhow::Result;
use doorward_store::database::{Database, DatabaseError, Postgres, PostgresOptions, Scope, Step, WriteError};
use doorward_store::sql::{Dialect, Row, Statement};
use doorward_testbed::{PostgresServer, eventually, run};
use std::time::Duration;

const PG: Dialect = Dialect::Postgres;
/// How long to wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);

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
fn a_password_is_not_told() {
    run(async {
        for (url, expected) in [
            ("postgresql://a:secret@127.0.0.1:1/a", "not available"),
            ("host=127.0.0.1 port=1 user=a password=secret sslmode=disable", "not available"),
            ("postgresql://a:secret@127.0.0.1:1/a?sslmode=require", "not available"),
            ("postgresql://a:secret@127.0.0.1:1/a?sslmode=verify-ca", "sslmode=verify-full"),
            ("host=127.0.0.1 password=secret sslmode=secret", "expected sslmode="),
            ("host=127.0.0.1 secret=secret2", "invalid connection string"),
        ] {
            let options = PostgresOptions::new(url);
            let error =
                Postgres::open(&options).await.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(expected), "{url}: {error}");
            let told = format!("{error} {options:?}").replace("unknown option `secret`", "");
            assert!(!told.contains("secret"), "{url}: {told}");
        }
        Ok(())
    })
    .unwrap();
}

/// Runs a test on a server with TLS and a new database of it.
fn with_tls(test: impl AsyncFnOnce(&mut PostgresServer, &str) -> Result<()>) {
    if PostgresServer::programs().is_none() {
        eprintln!("left out: PostgreSQL is not installed");
        return;
    }
    run(async {
        let mut server = PostgresServer::start_with_tls().await?;
        let name = server.database()?;
        test(&mut server, &name).await
    })
    .unwrap();
}

#[test]
fn every_connection_has_tls() {
    with_tls(async |server, name| {
        let authority = server.authority().unwrap();
        let url = server.url("doorward", name);
        let mut options = PostgresOptions::new(format!(
            "{url}?sslmode=verify-full&sslrootcert={}&channel_binding=require",
            authority.display()
        ));
        let database = Postgres::open(&options).await?;
        database.write(tenant(PG, "a")).await?;
        // Enough that the planner is told of them, by one more connection.
        for number in 0..300 {
            let id = format!("u{number}");
            database.write(add(PG, "a", &id, &id)).await?;
        }
        assert_eq!(resources(&database, "a").await?.len(), 300);
        let analyzed = "SELECT count(*) FROM pg_stat_user_tables WHERE relname = 'resource' AND last_analyze IS NOT NULL";
        let analyzed = async || Ok(server.sql(name, analyzed)? == "1");
        eventually("the planner is told", PATIENCE, analyzed).await?;
        let plain = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl) FROM pg_stat_ssl \
                     JOIN pg_stat_activity USING (pid) WHERE usename = 'doorward'";
        let (with, without) =
            server.sql(name, plain)?.split_once('|').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert!(with.parse::<u32>()? >= 2 && without == "0", "{with} {without}");
        // What is given up is told to the server by TLS too: if it is not, its lock is in the way of the next.
        server.sql(
            name,
            "CREATE FUNCTION hinder() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN NEW; END'; \
             CREATE TRIGGER hinder BEFORE UPDATE ON resource FOR EACH ROW WHEN (NEW.display_name = 'slow') \
             EXECUTE FUNCTION hinder()",
        )?;
        options.timeout = Duration::from_secs(2);
        let hasty = Postgres::open(&options).await?;
        let given_up = hasty.write(rename(PG, "a", "u1", None, "slow")).await.unwrap_err().to_string();
        assert!(given_up.contains("expected an answer within 2s"), "{given_up}");
        let gone = async || {
            Ok(server.sql(
                name,
                "SELECT count(*) FROM pg_stat_activity WHERE usename = 'doorward' AND wait_event = 'PgSleep'",
            )? == "0")
        };
        eventually("it is given up", PATIENCE, gone).await?;
        database.write(rename(PG, "a", "u1", None, "quick")).await?;
        Ok(())
    });
}

#[test]
fn a_database_that_was_lost_by_tls_is_found_again() {
    with_tls(async |server, name| {
        let authority = server.authority().unwrap();
        let url =
            format!("{}?sslmode=require&sslrootcert={}", server.url("doorward", name), authority.display());
        let database = Postgres::open(&PostgresOptions::new(url)).await?;
        database.write(tenant(PG, "a")).await?;
        database.write(add(PG, "a", "u1", "one")).await?;
        assert_eq!(resources(&database, "a").await?.len(), 1);
        server.stop();
        let read = database.read(Scope::Tenant("a"), vec![Statement::new(PG, "SELECT 1")]).await;
        assert!(matches!(read, Err(DatabaseError::Unavailable(_))), "{read:?}");
        let written = database.write(add(PG, "a", "u2", "two")).await;
        let unavailable = matches!(written, Err(WriteError::Database(DatabaseError::Unavailable(_))));
        assert!(unavailable, "{written:?}");
        server.start_again().await?;
        assert_eq!(resources(&database, "a").await?.len(), 1);
        // Restarted while nobody looked: nobody is told.
        server.stop();
        server.start_again().await?;
        database.write(add(PG, "a", "u2", "two")).await?;
        assert_eq!(resources(&database, "a").await?.len(), 2);
        Ok(())
    });
}

#[test]
fn a_server_is_who_its_certificate_says() {
    with_tls(async |server, name| {
        let other = PostgresServer::start_with_tls().await?;
        let (own, other) = (server.authority().unwrap(), other.authority().unwrap());
        let (own, other) = (own.display(), other.display());
        let url = server.url("doorward", name);
        let port = server.port();
        let pairs = format!("user=doorward password=correct-horse dbname={name} port={port}");
        for (text, expected) in [
            (format!("{url}?sslmode=require&sslrootcert={own}"), None),
            (format!("{url}?sslrootcert={own}"), None),
            (format!("{pairs} host=localhost hostaddr=127.0.0.1 sslmode=require sslrootcert='{own}'"), None),
            (
                format!("{url}?sslmode=require&sslrootcert={other}"),
                Some("no authority that is trusted has signed it"),
            ),
            (format!("{url}?sslmode=require"), Some("no authority that is trusted has signed it")),
            (
                format!("{pairs} host=db.example.com hostaddr=127.0.0.1 sslrootcert='{own}'"),
                Some("not valid for name"),
            ),
            // The server, too, refuses who comes without.
            (format!("{url}?sslmode=disable"), Some("pg_hba.conf")),
            (url.clone(), Some("pg_hba.conf")),
        ] {
            let opened = Postgres::open(&PostgresOptions::new(&text)).await.err();
            match (&opened, expected) {
                (None, None) => {}
                (Some(DatabaseError::Failed(error)), Some(expected)) => {
                    assert!(error.contains(expected), "{text}: {error}");
                    assert!(!error.contains("correct-horse"), "{text}: {error}");
                }
                _ => panic!("{text}: {opened:?}"),
            }
        }
        Ok(())
    });
}

#[test]
fn a_server_without_tls_is_refused_if_there_must_be_some() {
    with_bed(async |bed| {
        let url = bed.server.url("doorward", &bed.name);
        let authority = tempfile::NamedTempFile::new()?;
        let with = PostgresServer::start_with_tls().await?;
        std::fs::copy(with.authority().unwrap(), authority.path())?;
        for words in ["sslmode=require", "sslmode=verify-full", "sslmode=prefer"] {
            let options =
                PostgresOptions::new(format!("{url}?{words}&sslrootcert={}", authority.path().display()));
            let error =
                Postgres::open(&options).await.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("server does not support TLS"), "{words}: {error}");
        }
        Ok(())
    });
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
