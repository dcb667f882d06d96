//! The results for people: Markdown, and `benches/SCIM.md`.

use super::case::{Case, GROUPS, thousands};
use super::results::{Found, Results};
use super::subject::Subject;
use crate::bench::report::file;
use anyhow::{Context, Result};
use std::fs;

/// What the store is built to keep.
struct Aim {
    what: String,
    found: f64,
    bound: f64,
    kept: bool,
    digits: usize,
}

/// Writes `benches/SCIM.md`.
pub(super) fn write(results: &Results) -> Result<()> {
    let file = file("SCIM.md");
    let note = "Written by `cargo xtask bench scim --commit` from [scim.json](scim.json); do not edit.";
    let text = format!("# What the SCIM store does in a second\n\n{note}\n\n{}", markdown(results));
    fs::write(&file, text).with_context(|| format!("expected to write {}", file.display()))
}

/// Everything as Markdown, without a title.
pub(super) fn markdown(results: &Results) -> String {
    let mut text = method(results);
    for users in results.users() {
        text += &table(results, users, "requests a second", |found| whole(found.rate));
        text += &table(results, users, "µs of a request, median / 99th percentile", |found| {
            format!("{} / {}", whole(found.p50), whole(found.p99))
        });
        text +=
            &table(results, users, "CPU µs of the server's process for a request", |found| whole(found.cpu));
    }
    text += &aims(results);
    if !results.left_out.is_empty() {
        text += "\n## Left out\n\n";
        for line in &results.left_out {
            text += &format!("- {line}\n");
        }
    }
    text
}

fn method(results: &Results) -> String {
    let host = &results.host;
    let [before, after] = host.load;
    format!(
        "{}: {}, {} cores, {} MiB, Linux {}; {}. Load average {before:.1} before, {after:.1} after the run.\n\
         \n\
         - The client runs on the same cores as the server, and takes its part of them. It keeps 64 connections, each with one request \
         at a time; for the changes of groups one connection. Each case lasts {} s, but for creates, which go on until all users are \
         there. Every response is checked.\n\
         - Doorward runs as it does by default, but without a limit of requests: with bearer tokens, a line of log and an audit record \
         of each change. On SQLite with `journal_mode=WAL` and `synchronous=FULL`: a change is on the disk (fsync) before it is \
         acknowledged, and is there after a loss of power. On PostgreSQL with its defaults (`fsync` and `synchronous_commit` on).\n\
         - scimmy-routers (npm, in Node.js, with maps as its handlers) and scim2-server (PyPI, its storage in memory, behind waitress) \
         keep everything in memory, and nothing on a disk.\n",
        host.date, host.cpu, host.cores, host.memory_mib, host.kernel, results.postgres, results.seconds,
    )
}

fn table(results: &Results, users: usize, title: &str, cell: impl Fn(&Found) -> String) -> String {
    let mut text = format!("\n## {} users: {title}\n\n| |", thousands(users));
    for subject in Subject::ALL {
        text += &format!(" {} |", subject.title());
    }
    text += &format!("\n|---{}|\n", "|---".repeat(Subject::ALL.len()));
    for case in Case::USERS.into_iter().chain(GROUPS.map(Case::Member)) {
        let found = Subject::ALL.map(|subject| results.of(subject, users, case));
        if found.iter().all(Option::is_none) {
            continue;
        }
        text += &format!("| {} |", case.title());
        for found in found {
            text += &format!(" {} |", found.map_or_else(|| "-".to_owned(), &cell));
        }
        text += "\n";
    }
    text
}

fn aims(results: &Results) -> String {
    let all = results.users();
    let (Some(few), Some(many)) = (all.first().copied(), all.last().copied()) else { return String::new() };
    let rate = |subject, users, case| results.of(subject, users, case).map(|found| found.rate);
    let mut aims = Vec::new();
    for subject in Subject::OURS {
        let mut at_least = |what: String, found: Option<f64>, bound: f64, digits| {
            let what = format!("{}: {what}", subject.title());
            aims.extend(found.map(|found| Aim { what, found, bound, kept: found >= bound, digits }));
        };
        for case in [Case::UserName, Case::ExternalId, Case::Email] {
            let peers = Subject::PEERS.iter().filter_map(|peer| rate(*peer, few, case));
            let fastest = peers.reduce(f64::max);
            let times = rate(subject, few, case).zip(fastest).map(|(ours, theirs)| ours / theirs);
            at_least(
                format!("{} by the fastest peer, {} users, at least", case.title(), thousands(few)),
                times,
                10.0,
                1,
            );
        }
        at_least("GET by id a second, at least".to_owned(), rate(subject, few, Case::Get), 20_000.0, 0);
        at_least("creates a second, at least".to_owned(), rate(subject, few, Case::Create), 4_000.0, 0);
        let mut at_most = |what: String, found: Option<f64>, bound: f64, digits| {
            let what = format!("{}: {what}", subject.title());
            aims.extend(found.map(|found| Aim { what, found, bound, kept: found <= bound, digits }));
        };
        for case in [Case::UserName, Case::ExternalId, Case::Email] {
            let grown = rate(subject, few, case).zip(rate(subject, many, case)).map(|(few, many)| few / many);
            let grown = grown.filter(|_| few != many);
            at_most(
                format!("{}, time at {} users by {}, at most", case.title(), thousands(many), thousands(few)),
                grown,
                1.3,
                2,
            );
        }
        let [small, .., large] = GROUPS;
        let p50 = |members| results.of(subject, many, Case::Member(members)).map(|found| found.p50);
        let what = format!("PATCH of one member of {}, ms, at most", thousands(large));
        at_most(what, p50(large).map(|micros| micros / 1e3), 3.0, 2);
        let what =
            format!("PATCH of one member of {}, by one of {}, at most", thousands(large), thousands(small));
        at_most(what, p50(large).zip(p50(small)).map(|(large, small)| large / small), 1.5, 2);
    }
    let mut text = "\n## Aims\n\n| | found | bound | kept |\n|---|---|---|---|\n".to_owned();
    for Aim { what, found, bound, kept, digits } in aims {
        let kept = if kept { "yes" } else { "**no**" };
        text += &format!("| {what} | {found:.digits$} | {bound:.digits$} | {kept} |\n");
    }
    text
}

/// Without digits after the point.
fn whole(number: f64) -> String {
    format!("{number:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::machine::Host;

    fn results() -> Results {
        let text = |text: &str| text.to_owned();
        let found = |subject, users, case, rate: f64| Found {
            subject,
            users,
            case,
            connections: 64,
            rate,
            p50: 1e6 / rate,
            p99: 2e6 / rate,
            cpu: 7.0,
        };
        Results {
            host: Host {
                date: text("2026-01-02"),
                cpu: text("Some CPU"),
                cores: 2,
                memory_mib: 1,
                kernel: text("6"),
                load: [0.1, 0.2],
            },
            seconds: 5,
            postgres: text("postgres 15"),
            found: vec![
                found(Subject::Sqlite, 5_000, Case::UserName, 1_300.0),
                found(Subject::Sqlite, 5_000, Case::Get, 20_000.0),
                found(Subject::Scimmy, 5_000, Case::UserName, 100.0),
                found(Subject::Scim2Server, 5_000, Case::UserName, 130.0),
                found(Subject::Sqlite, 200_000, Case::UserName, 1_000.0),
                found(Subject::Sqlite, 200_000, Case::Member(10), 1_000.0),
                found(Subject::Sqlite, 200_000, Case::Member(100_000), 500.0),
            ],
            left_out: vec![text("something")],
        }
    }

    #[test]
    fn tables_and_aims_are_shown() {
        let text = markdown(&results());
        for line in [
            "| `userName eq` | 1300 | - | 100 | 130 |",
            "| PATCH, one member, group of 100,000 | 2000 / 4000 | - | - | - |",
            "| Doorward, SQLite: `userName eq` by the fastest peer, 5,000 users, at least | 10.0 | 10.0 | yes |",
            "| Doorward, SQLite: GET by id a second, at least | 20000 | 20000 | yes |",
            "| Doorward, SQLite: `userName eq`, time at 200,000 users by 5,000, at most | 1.30 | 1.30 | yes |",
            "| Doorward, SQLite: PATCH of one member of 100,000, ms, at most | 2.00 | 3.00 | yes |",
            "| Doorward, SQLite: PATCH of one member of 100,000, by one of 10, at most | 2.00 | 1.50 | **no** |",
            "- something",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
