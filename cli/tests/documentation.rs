//! What the documentation shows is what happens.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "tests, which say what is left out"
)]

use doorward_store::database::{Database, Scope, Sqlite, SqliteOptions};
use doorward_store::sql::{Dialect, Statement};
use doorward_testbed::readme::{Changing, between_marks, blocks, mark, replace, shown};
use doorward_testbed::{Process, eventually, port, run};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The example of the store: its commands build on each other, so they are run together.
const STORE: &str = "scim-standalone";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The root README and that of every example.
fn readmes() -> Vec<PathBuf> {
    let examples = fs::read_dir(root().join("examples")).unwrap();
    let examples = examples.map(|entry| entry.unwrap().path().join("README.md"));
    examples.filter(|path| path.exists()).chain([root().join("README.md")]).collect()
}

/// Runs `doorward` in the root folder; standard output, then standard error.
fn doorward(arguments: &[&str]) -> (bool, String) {
    let run =
        Command::new(env!("CARGO_BIN_EXE_doorward")).args(arguments).current_dir(root()).output().unwrap();
    let text = [run.stdout, run.stderr].concat();
    (run.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn commands_print_what_the_readmes_show() {
    let mut runs = 0;
    for readme in readmes() {
        for shown in shown(&fs::read_to_string(&readme).unwrap()) {
            // Whatever needs a shell or a proxy is in `tests/e2e/examples.rs`.
            let Some(arguments) = shown.command.strip_prefix("dist/doorward ") else { continue };
            // Commands with a database build on each other, and are run together: below, and there.
            if arguments.contains("--db ") {
                continue;
            }
            let (_, printed) = doorward(&arguments.split(' ').collect::<Vec<_>>());
            assert_eq!(printed.trim(), shown.printed.trim(), "{}: {}", readme.display(), shown.command);
            runs += 1;
        }
    }
    assert!(runs >= 3, "expected commands in the READMEs, but found {runs}");
}

#[test]
fn documents_in_the_readme_are_without_fault() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let documents: Vec<_> =
        blocks(&text, "yaml").into_iter().filter(|block| block.contains("providers:")).collect();
    assert!(!documents.is_empty());
    for document in documents {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme.yaml");
        fs::write(&file, document).unwrap();
        let (fine, printed) = doorward(&["check", file.to_str().unwrap()]);
        assert!(fine, "{printed}\n{document}");
    }
}

#[test]
fn every_member_of_the_document_is_in_the_reference() {
    let raw = fs::read_to_string(root().join("src/config/raw.rs")).unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let members = raw.lines().filter_map(|line| line.trim().strip_prefix("pub(super) ")?.split_once(": "));
    let names: Vec<_> = members.map(|(name, _)| if name == "matches" { "match" } else { name }).collect();
    assert!(names.len() > 40);
    for name in names {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let documented = readme.split(|c| !is_word(c)).any(|word| word == name);
        assert!(documented, "expected {name:?} in the README's configuration reference");
    }
}

#[test]
fn a_faulty_document_and_a_missing_file_exit_with_1() {
    let (fine, printed) = doorward(&["check", "nowhere.yaml", "examples/first-policy/doorward.yaml"]);
    assert!(!fine);
    assert!(printed.contains("nowhere.yaml: expected a file to read"), "{printed}");
    assert!(printed.contains("doorward.yaml: ok"), "the other file is checked all the same: {printed}");
}

#[test]
fn the_readme_of_the_store_can_be_followed() {
    if ["bash", "curl"].iter().any(|program| Command::new(program).arg("--version").output().is_err()) {
        eprintln!("left out: bash or curl is not installed");
        return;
    }
    let example = root().join("examples").join(STORE);
    let read = |name: &str| fs::read_to_string(example.join(name)).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let here = |name: &str| scratch.path().join(name).display().to_string();
    let pair = |from: &str, to: String| (from.to_owned(), to);
    let free = || format!(":{}", port::free().unwrap());
    let replaced = [
        pair("dist/doorward", env!("CARGO_BIN_EXE_doorward").to_owned()),
        pair(&format!("examples/{STORE}/store.yaml"), here("store.yaml")),
        pair("/tmp/doorward-", here("doorward-")),
        pair(":8787", free()),
        pair(":8788", free()),
    ];
    fs::write(here("store.yaml"), replace(&read("store.yaml"), &replaced)).unwrap();
    let readme = read("README.md");
    let all: Vec<_> =
        shown(&readme).into_iter().filter(|shown| shown.command != "cargo xtask build").collect();
    let command = |(number, shown)| {
        let shown: &doorward_testbed::readme::Shown = shown;
        format!("printf '%s' '{}'\n{}\n", mark(number), replace(&shown.command, &replaced))
    };
    let script: String = all.iter().enumerate().map(command).collect();
    fs::write(here("commands.sh"), format!("{script}printf '%s' '{}'\n", mark(all.len()))).unwrap();
    let mut bash = Command::new("bash");
    bash.arg(here("commands.sh")).current_dir(root()).env("NO_PROXY", "127.0.0.1");
    // What it starts in the background ends with it.
    let process = Process::spawn_group("commands", &mut bash, scratch.path()).unwrap();
    let ended = run(eventually("the last command ends", Duration::from_secs(300), async || {
        Ok(process.exited().is_some())
    }));
    let log = process.log();
    ended.unwrap_or_else(|error| panic!("{error:#}\n{log}"));
    let (mut said, mut found) = (Changing::default(), Changing::default());
    for (number, shown) in all.iter().enumerate() {
        let printed = between_marks(&log, number).unwrap_or_else(|| panic!("{}\n{log}", shown.command));
        let (said, found) = (said.steady(&shown.printed), found.steady(printed.trim_end()));
        assert_eq!(found, said, "{}\n{log}", shown.command);
    }
    // The record that the README shows, by the question that it shows.
    let (questions, records) = (blocks(&readme, "sql"), blocks(&readme, "json"));
    let (&[question], &[record]) = (questions.as_slice(), records.as_slice()) else {
        panic!("expected a question and a record");
    };
    let rows = run(async {
        let database = Sqlite::open(&SqliteOptions::new(here("doorward-standalone.db")))?;
        let question = Statement::new(Dialect::Sqlite, Box::leak(Box::<str>::from(question)));
        Ok(database.read(Scope::Tenant("acme"), vec![question]).await?)
    });
    let rows = rows.unwrap();
    assert_eq!(found.steady(rows[0][0].text(0).unwrap()), said.steady(record.trim()));
}

/// The configuration of the store is told in three places: by the program's source, by the README, and member by member in docs/store.md.
#[test]
fn every_member_of_the_stores_configuration_is_documented() {
    let source = fs::read_to_string(root().join("cli/src/store/document.rs")).unwrap();
    let comment: String = source
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    let example = blocks(&comment, "yaml")[0];
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(blocks(&readme, "yaml").contains(&example), "expected in the README:\n{example}");
    // It is without fault: what is wrong is found later.
    let folder = tempfile::tempdir().unwrap();
    let here = |name: &str| folder.path().join(name).display().to_string();
    fs::write(here("store.yaml"), example).unwrap();
    let (db, config) = (format!("sqlite:{}", here("store.db")), here("store.yaml"));
    let (_, printed) =
        doorward(&["store", "--db", &db, "--config", &config, "--danger-no-authentication", "nobody"]);
    assert!(printed.contains("expected a tenant"), "{printed}");

    let reference = fs::read_to_string(root().join("docs/store.md")).unwrap();
    let (mut place, mut members) = (None, 0);
    for line in source.lines() {
        let name = line.strip_prefix("pub(super) ").unwrap_or(line).strip_prefix("struct ");
        match (name.and_then(|name| name.split_once(' ')), place) {
            (Some((name, _)), _) => {
                place = match name {
                    "Document" => Some(""),
                    "Rate" => Some("limits.rate."),
                    "Limits" => Some("limits."),
                    "Pages" => Some("pages."),
                    "Bulk" => Some("bulk."),
                    "Audit" => Some("audit."),
                    "Gateway" => Some("gateways[]."),
                    "GatewayKey" => Some("gateways[].keys[]."),
                    other => panic!("expected to know where {other} is in the document"),
                }
            }
            (None, Some(_)) if line == "}" => place = None,
            (None, Some(prefix)) => {
                let Some((member, kind)) = line.trim().split_once(": ").filter(|_| !line.contains("#["))
                else {
                    continue;
                };
                members += 1;
                if !["Limits,", "Pages,", "Bulk,", "Audit,"].contains(&kind) {
                    let row = format!("| `{prefix}{member}` |");
                    let is_there = reference.lines().any(|line| line.starts_with(&row));
                    assert!(is_there, "expected in docs/store.md: {row}");
                }
                assert!(example.contains(&format!("{member}:")), "expected in the example: {member}");
            }
            (None, None) => {}
        }
    }
    assert!(members > 25, "expected the members of the document, but found {members}");
}

#[test]
fn what_the_store_serves_beside_scim_is_documented() {
    let reference = fs::read_to_string(root().join("docs/store.md")).unwrap();
    let source = |name: &str| fs::read_to_string(root().join("store/src").join(name)).unwrap();
    let admin = [source("front/admin.rs"), source("http/admin.rs")].concat();
    let metrics = source("http/metrics.rs");
    let rows =
        admin.lines().filter_map(|line| line.strip_prefix("//! ").filter(|row| row.starts_with("| `")));
    // These are the same on both listeners.
    let rows: Vec<_> = rows.filter(|row| !row.contains("/healthz")).collect();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = metrics.split(|c| !is_name(c)).filter(|word| word.starts_with("doorward_store_"));
    let names = names
        .map(|name| ["_bucket", "_sum", "_count"].iter().fold(name, |name, end| name.trim_end_matches(end)));
    let names: BTreeSet<_> = names.map(|name| format!("| `{name}` |")).collect();
    assert_eq!((rows.len(), names.len()), (10, 4));
    for expected in rows.into_iter().chain(names.iter().map(String::as_str)) {
        assert!(
            reference.lines().any(|line| line.starts_with(expected)),
            "expected in docs/store.md: {expected}"
        );
    }
}
