//! What holds for every database.

use crate::bed::{BatchedBed, Bed, D1Bed, Migrated, PostgresBed, SqliteBed};
use crate::units::{add, join, rename, resources, rows, set_name, tenant, verify};
use anyhow::Result;
use doorward_store::database::{Database, DatabaseError, Scope, Step, WriteError, Written};
use doorward_store::sql::{Cell, Row, Statement};
use doorward_testbed::run;
use futures_util::future::join_all;
use std::time::Instant;

/// Makes a test of each function, on each database.
macro_rules! on_all {
    ($($(#[$attribute:meta])* $name:ident),* $(,)?) => {
        mod on_sqlite {
            $(
                #[test]
                $(#[$attribute])*
                fn $name() {
                    super::run(async { super::$name(&super::SqliteBed::new()?).await }).unwrap();
                }
            )*
        }

        mod on_batches {
            $(
                #[test]
                $(#[$attribute])*
                fn $name() {
                    super::run(async { super::$name(&super::BatchedBed::new()?).await }).unwrap();
                }
            )*
        }

        mod on_d1 {
            $(
                #[test]
                $(#[$attribute])*
                fn $name() {
                    super::run(async {
                        match super::D1Bed::new().await? {
                            Some(bed) => super::$name(&bed).await,
                            None => Ok(()),
                        }
                    })
                    .unwrap();
                }
            )*
        }

        mod on_postgres {
            $(
                #[test]
                $(#[$attribute])*
                fn $name() {
                    super::run(async {
                        match super::PostgresBed::new().await? {
                            Some(bed) => super::$name(&bed).await,
                            None => Ok(()),
                        }
                    })
                    .unwrap();
                }
            )*
        }
    };
}

on_all! {
    a_unit_is_done_whole_or_not_at_all,
    a_unit_that_the_database_does_not_understand_stops_no_other_unit,
    a_guard_holds_the_version,
    a_value_in_use_is_taken_and_a_missing_member_dangles,
    what_changes_nothing_has_no_consequence_and_no_record,
    a_consequence_is_left_out_where_nothing_had_changed,
    a_unit_of_nobody_is_missing,
    many_writers_in_two_processes_leave_chains_without_gaps,
    one_of_two_processes_wins,
    a_read_is_of_one_moment,
    values_come_back_as_they_were,
    #[ignore = "a measurement: --ignored --nocapture"]
    writes_per_second,
}

async fn a_unit_is_done_whole_or_not_at_all<B: Bed>(bed: &B) -> Result<()> {
    let database = bed.open().await?;
    let dialect = database.dialect();
    database.write(tenant(dialect, "a")).await?;
    let mut broken = add(dialect, "a", "u0", "zero");
    broken.steps.push(Step::Required(set_name(dialect, "a", "nobody", "x")));
    // Those after the first share a transaction: they come while it is written.
    let names = ["one", "two", "three"];
    let [first, second, third] = names.map(|name| add(dialect, "a", name, name));
    let mut outcomes = join_all([first, second, broken, third].map(|unit| database.write(unit))).await;
    let written = |sequence| Ok(Written { changed: true, version_before: None, sequence });
    if !B::IN_ORDER {
        let refused = outcomes.remove(2);
        outcomes.sort_by_key(|outcome| outcome.as_ref().map_or(0, |written| written.sequence));
        outcomes.insert(2, refused);
    }
    assert_eq!(outcomes, [written(2), written(3), Err(WriteError::NothingFound(1)), written(4)]);
    let ids: Vec<_> = resources(&database, "a").await?.into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids, ["one", "three", "two"]);
    assert_eq!(verify(&database, "a").await?, 4);
    Ok(())
}

async fn a_unit_that_the_database_does_not_understand_stops_no_other_unit(bed: &impl Bed) -> Result<()> {
    let database = bed.open().await?;
    let dialect = database.dialect();
    database.write(tenant(dialect, "a")).await?;
    let text = |text| Statement::new(dialect, text);
    let wrong = [
        // One that cannot be prepared, one that fails when it is done.
        text("SELEKT 1"),
        text("UPDATE tenant SET name = NULL WHERE id = ").bind("a"),
    ];
    for (number, statement) in wrong.into_iter().enumerate() {
        let mut broken = add(dialect, "a", "u0", "zero");
        broken.steps.push(Step::Change(statement));
        let [first, second] = ["first", "second"].map(|id| {
            let id = format!("{id} {number}");
            add(dialect, "a", &id, &id)
        });
        // Those after the first share a transaction: they come while it is written.
        let outcomes = join_all([first, broken, second].map(|unit| database.write(unit))).await;
        let [Ok(_), Err(WriteError::Database(DatabaseError::Failed(_))), Ok(_)] = outcomes.as_slice() else {
            anyhow::bail!("expected one failure, but found {outcomes:?}");
        };
    }
    assert_eq!(verify(&database, "a").await?, 5);
    Ok(())
}

async fn a_guard_holds_the_version(bed: &impl Bed) -> Result<()> {
    let database = bed.open().await?;
    let dialect = database.dialect();
    database.write(tenant(dialect, "a")).await?;
    database.write(add(dialect, "a", "u1", "one")).await?;
    let written = |before, sequence| Ok(Written { changed: true, version_before: Some(before), sequence });
    for (id, expected, name, outcome) in [
        ("nobody", None, "x", Err(WriteError::Missing)),
        ("u1", Some(2), "x", Err(WriteError::Conflict { found: 1 })),
        ("u1", Some(1), "x", written(1, 3)),
        ("u1", Some(1), "y", Err(WriteError::Conflict { found: 2 })),
        ("u1", None, "y", written(2, 4)),
    ] {
        assert_eq!(database.write(rename(dialect, "a", id, expected, name)).await, outcome);
    }
    assert_eq!(resources(&database, "a").await?, [("u1".to_owned(), 3, Some("y".to_owned()))]);
    assert_eq!(
        database.write(add(dialect, "nowhere", "u1", "one")).await,
        Err(WriteError::Dangling),
        "there is no such tenant"
    );
    Ok(())
}

async fn a_value_in_use_is_taken_and_a_missing_member_dangles(bed: &impl Bed) -> Result<()> {
    let database = bed.open().await?;
    let dialect = database.dialect();
    database.write(tenant(dialect, "a")).await?;
    database.write(tenant(dialect, "b")).await?;
    database.write(add(dialect, "a", "u1", "one")).await?;
    database.write(add(dialect, "b", "u2", "one")).await?;
    for (unit, outcome) in [
        (tenant(dialect, "a"), Err(WriteError::Taken)),
        (add(dialect, "a", "u1", "two"), Err(WriteError::Taken)),
        (add(dialect, "a", "u3", "one"), Err(WriteError::Taken)),
        (join(dialect, "a", "u1", "nobody"), Err(WriteError::Dangling)),
        // It is there, and somebody else's.
        (join(dialect, "a", "u1", "u2"), Err(WriteError::Dangling)),
        (join(dialect, "a", "u1", "u1"), Ok(3)),
    ] {
        assert_eq!(database.write(unit.clone()).await.map(|written| written.sequence), outcome, "{unit:?}");
    }
    Ok(())
}

async fn what_changes_nothing_has_no_consequence_and_no_record(bed: &impl Bed) -> Result<()> {
    let database = bed.open().await?;
    let dialect = database.dialect();
    database.write(tenant(dialect, "a")).await?;
    database.write(add(dialect, "a", "u1", "one")).await?;
    for (name, changed, before, sequence) in
        [("x", true, 1, 3), ("x", false, 2, 3), ("x", false, 2, 3), ("y", true, 2, 4)]
    {
        let written = database.write(rename(dialect, "a", "u1", None, name)).await?;
        assert_eq!(written, Written { changed, version_before: Some(before), sequence });
    }
    assert_eq!(verify(&database, "a").await?, 4);
    Ok(())
}

async fn a_consequence_is_left_out_where_nothing_had_changed(bed: &impl Bed) -> Result<()> {
    let database = bed.open().await?;
    let dialect = database.dialect();
    database.write(tenant(dialect, "a")).await?;
    for id in ["u1", "u2"] {
        database.write(add(dialect, "a", id, id)).await?;
    }
    let set = |id, name| set_name(dialect, "a", id, name);
    for (number, (steps, changed, names)) in [
        (vec![Step::Change(set("nobody", "x")), Step::Consequence(set("u1", "x"))], false, [None, None]),
        (
            vec![
                Step::Change(set("nobody", "x")),
                Step::Consequence(set("u1", "x")),
                Step::Change(set("u2", "y")),
                Step::Change(set("nobody", "x")),
                Step::Consequence(set("u1", "z")),
            ],
            true,
            [Some("z"), Some("y")],
        ),
        (
            vec![
                Step::Consequence(set("u2", "x")),
                Step::Change(set("nobody", "x")),
                Step::Consequence(set("u2", "x")),
                Step::Required(set("u1", "a")),
                Step::Consequence(set("u2", "b")),
            ],
            true,
            [Some("a"), Some("b")],
        ),
        (vec![], false, [Some("a"), Some("b")]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut unit = rename(dialect, "a", "u1", None, "");
        unit.steps = steps;
        assert_eq!(database.write(unit).await.map(|written| written.changed), Ok(changed), "{number}");
        let found: Vec<_> = resources(&database, "a").await?.into_iter().map(|(.., name)| name).collect();
        assert_eq!(found, names.map(|name| name.map(str::to_owned)), "{number}");
    }
    assert_eq!(verify(&database, "a").await?, 5);
    Ok(())
}

async fn a_unit_of_nobody_is_missing(bed: &impl Bed) -> Result<()> {
    let database = bed.open().await?;
    let dialect = database.dialect();
    database.write(tenant(dialect, "a")).await?;
    database.write(add(dialect, "a", "u1", "one")).await?;
    let mut unit = add(dialect, "nobody", "u2", "two");
    unit.steps = vec![Step::Change(set_name(dialect, "nobody", "u1", "x"))];
    assert_eq!(database.write(unit.clone()).await, Err(WriteError::Missing));
    unit.steps = vec![Step::Required(set_name(dialect, "nobody", "u1", "x"))];
    assert_eq!(database.write(unit).await, Err(WriteError::NothingFound(0)));
    assert_eq!(verify(&database, "a").await?, 2);
    Ok(())
}

async fn many_writers_in_two_processes_leave_chains_without_gaps<B: Bed>(bed: &B) -> Result<()> {
    let databases = [bed.open().await?, bed.open().await?];
    let dialect = databases[0].dialect();
    for id in ["a", "b"] {
        databases[0].write(tenant(dialect, id)).await?;
    }
    let writer = |number: usize| {
        let databases = &databases;
        async move {
            for round in 0..B::ROUNDS {
                let id = format!("{number}-{round}");
                // All write to both tenants through both, in different order.
                let (tenant, database) = (["a", "b"][round % 2], &databases[(number + round / 2) % 2]);
                database.write(add(dialect, tenant, &id, &id)).await?;
            }
            Ok::<_, WriteError>(())
        }
    };
    join_all((0..64).map(writer)).await.into_iter().collect::<Result<(), _>>()?;
    let each = 64 * B::ROUNDS / 2;
    for id in ["a", "b"] {
        assert_eq!(verify(&databases[1], id).await?, i64::try_from(each + 1)?);
        assert_eq!(resources(&databases[1], id).await?.len(), each);
    }
    Ok(())
}

async fn one_of_two_processes_wins(bed: &impl Bed) -> Result<()> {
    let databases = [bed.open().await?, bed.open().await?];
    let dialect = databases[0].dialect();
    databases[0].write(tenant(dialect, "a")).await?;
    databases[0].write(add(dialect, "a", "u1", "one")).await?;
    for version in 1..=20 {
        let names = [format!("left {version}"), format!("right {version}")];
        let (left, right) = tokio::join!(
            databases[0].write(rename(dialect, "a", "u1", Some(version), &names[0])),
            databases[1].write(rename(dialect, "a", "u1", Some(version), &names[1])),
        );
        let conflict = Err(WriteError::Conflict { found: version + 1 });
        assert!(
            (left.is_ok() && right == conflict) || (right.is_ok() && left == conflict),
            "{left:?} {right:?}"
        );
    }
    assert_eq!(verify(&databases[0], "a").await?, 22);
    Ok(())
}

async fn a_read_is_of_one_moment(bed: &impl Bed) -> Result<()> {
    let database = bed.open().await?;
    let dialect = database.dialect();
    database.write(tenant(dialect, "a")).await?;
    database.write(add(dialect, "a", "u1", "one")).await?;
    let writing = async {
        for round in 0..200 {
            database.write(rename(dialect, "a", "u1", None, &round.to_string())).await?;
        }
        anyhow::Ok(())
    };
    let reading = async {
        for _ in 0..200 {
            let ask =
                || Statement::new(dialect, "SELECT display_name FROM resource WHERE tenant = ").bind("a");
            let found = database.read(Scope::Tenant("a"), vec![ask(); 20]).await?;
            assert_eq!(found.len(), 20);
            assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{found:?}");
        }
        anyhow::Ok(())
    };
    let (written, read) = tokio::join!(writing, reading);
    written.and(read)
}

async fn values_come_back_as_they_were(bed: &impl Bed) -> Result<()> {
    let database = bed.open().await?;
    let dialect = database.dialect();
    database.write(tenant(dialect, "a")).await?;
    database.write(add(dialect, "a", "u1", "\u{e9}\u{1f600}'\"\\")).await?;
    let start = |text| Statement::new(dialect, text);
    for (statement, expected) in [
        (
            start("SELECT user_name, display_name, version FROM resource WHERE tenant = ").bind("a"),
            Row(vec!["\u{e9}\u{1f600}'\"\\".into(), Cell::Null, 1.into()]),
        ),
        // More than 32 bits, in places where the type has to be guessed.
        (start("SELECT ").bind(5_000_000_000).sql(" + 1"), Row(vec![5_000_000_001.into()])),
        (start("SELECT COUNT(*) FROM tenant WHERE created < ").bind(i64::MAX), Row(vec![1.into()])),
        (start("SELECT EXISTS (SELECT 1 FROM tenant)"), Row(vec![1.into()])),
        (
            start("SELECT hash FROM tenant WHERE hash <> ").bind(vec![0_u8, 255]).sql(" LIMIT ").bind(0),
            Row(vec![]),
        ),
        // The same text with and without a value.
        (start("SELECT COUNT(*) FROM resource WHERE user_name = ").bind(Cell::Null), Row(vec![0.into()])),
        (start("SELECT COUNT(*) FROM resource WHERE user_name = ").bind("x"), Row(vec![0.into()])),
        (start("SELECT id FROM resource LIMIT ").bind(1), Row(vec!["u1".into()])),
        (start("SELECT id FROM resource LIMIT ").bind(i64::MAX), Row(vec!["u1".into()])),
        // By code points, and not by the rules of a language.
        (start("SELECT COUNT(*) FROM resource WHERE user_name > 'f'"), Row(vec![1.into()])),
    ] {
        let found = rows(&database, Scope::Tenant("a"), statement.clone()).await?;
        let expected: Vec<_> = if expected.0.is_empty() { vec![] } else { vec![expected] };
        assert_eq!(found, expected, "{statement:?}");
    }
    Ok(())
}

#[test]
fn newer_tables_are_refused() {
    async fn check<B: Migrated>(bed: &B) -> Result<()> {
        drop(bed.open().await?);
        drop(bed.open().await?);
        bed.sql(B::NEWER)?;
        let error = bed.open().await.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("or older, but found 1000"), "{error}");
        Ok(())
    }
    run(async {
        check(&SqliteBed::new()?).await?;
        match PostgresBed::new().await? {
            Some(bed) => check(&bed).await,
            None => Ok(()),
        }
    })
    .unwrap();
}

async fn writes_per_second(bed: &impl Bed) -> Result<()> {
    let database = bed.open().await?;
    let dialect = database.dialect();
    database.write(tenant(dialect, "a")).await?;
    for writers in [1, 8, 64, 256] {
        let (each, start) = (2048 / writers, Instant::now());
        let database = &database;
        let writer = |number: usize| async move {
            for round in 0..each {
                let id = format!("{writers}-{number}-{round}");
                database.write(add(dialect, "a", &id, &id)).await?;
            }
            Ok::<_, WriteError>(())
        };
        join_all((0..writers).map(writer)).await.into_iter().collect::<Result<(), _>>()?;
        let seconds = start.elapsed().as_secs_f64();
        eprintln!("{dialect:?}: {writers} writers, {:.0} creates/s", 2048.0 / seconds);
    }
    Ok(())
}
