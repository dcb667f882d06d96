//! The results for people: Markdown, and `benches/WORKER.md`.

use super::results::{Found, Results, Size, Subject};
use crate::bench::report::file;
use crate::bench::statistics::{median, ratios};
use anyhow::{Context, Result};
use std::fs;

/// The most that is deployed, compressed.
const MOST_BYTES: u64 = 600_000;
/// What the first request of a cold isolate may take, by that of `jose`.
const COLD: f64 = 1.3;

/// Writes `benches/WORKER.md`.
pub(super) fn write(results: &Results) -> Result<()> {
    let file = file("WORKER.md");
    let note = "Written by `cargo xtask bench worker --commit` from [worker.json](worker.json); do not edit.";
    let text = format!("# What the edge worker costs\n\n{note}\n\n{}", markdown(results));
    fs::write(&file, text).with_context(|| format!("expected to write {}", file.display()))
}

/// Everything as Markdown, without a title.
pub(super) fn markdown(results: &Results) -> String {
    let host = &results.host;
    let [before, after] = host.load;
    let mut text = format!(
        "{}: {}, {} cores, {} MiB, Linux {}; {}; jose {}; {}. Load average {before:.1} before, {after:.1} after the run.\n\
         \n\
         - One workerd has a worker that passes requests on (*nothing*), a worker by hand with npm's `jose`, bundled and minified, and \
         `dist/worker`. Both judge the same claims and set the same headers. The origin is a worker of the same process that answers at once.\n\
         - CPU time is workerd's ({}), with what the connections and the origin cost; medians of {} rounds of {} s with 8 connections, the \
         workers by turns. *Added* is what is beyond *nothing*.\n\
         - New tokens: 2,000 in a circle, of which ours keeps 100, so that each is new to it and makes another one go.\n",
        host.date,
        host.cpu,
        host.cores,
        host.memory_mib,
        host.kernel,
        results.workerd,
        results.jose,
        results.wrk,
        results.cpu_time,
        results.rounds,
        results.seconds,
    );
    for Size { folder, bytes, compressed } in &results.sizes {
        let (bytes, compressed, most) = (bytes / 1000, compressed / 1000, MOST_BYTES / 1000);
        text += &format!("- `dist/{folder}` has {bytes} KB, {compressed} KB compressed (at most {most}).\n");
    }
    text.push('\n');
    text += "| | | µs: nothing | jose | doorward | **by jose** | at most | added: jose | doorward | by jose |\n\
             |---|---|---|---|---|---|---|---|---|---|\n";
    for found in &results.found {
        text += &row(found);
    }
    text += "\nA process with one worker, from its start: the first request is sent when it listens, and waits for keys from loopback. CPU time is \
             that of the process until the answer, so it has the start too, where ours compiles its document and judges a made-up request.\n\n\
             | | first request, ms | by jose | at most | CPU, ms | by jose |\n|---|---|---|---|---|---|\n";
    let of = |subject| results.cold.iter().find(|cold| cold.subject == subject);
    for cold in &results.cold {
        let (first, cpu) = (median(&cold.first), median(&cold.cpu));
        let by = of(Subject::Jose).map(|jose| (first / median(&jose.first), cpu / median(&jose.cpu)));
        let (by_first, by_cpu) = by.unwrap_or((f64::NAN, f64::NAN));
        let aim = match cold.subject {
            Subject::Ours => held(by_first, COLD),
            Subject::Nothing | Subject::Jose => "-".to_owned(),
        };
        let name = cold.subject.name();
        text += &format!("| {name} | {first:.1} | {by_first:.2} | {aim} | {cpu:.0} | {by_cpu:.2} |\n");
    }
    text
}

/// One case in a line, for who waits.
pub(super) fn line(found: &Found) -> String {
    let [nothing, jose, ours] = medians(found);
    format!(
        "{} {}: nothing {nothing:.0}, jose {jose:.0}, doorward {ours:.0}",
        found.case.title(),
        found.algorithm
    )
}

fn row(found: &Found) -> String {
    let [nothing, jose, ours] = medians(found);
    let by = median(&ratios(&found.ours, &found.jose));
    format!(
        "| {} | {} | {nothing:.0} | {jose:.0} | {ours:.0} | **{by:.2}** | {} | {:.0} | {:.0} | {:.2} |\n",
        found.case.title(),
        found.algorithm,
        held(by, found.case.aim()),
        jose - nothing,
        ours - nothing,
        (ours - nothing) / (jose - nothing),
    )
}

fn medians(found: &Found) -> [f64; 3] {
    [&found.nothing, &found.jose, &found.ours].map(|series| median(series))
}

fn held(found: f64, aim: f64) -> String {
    if found <= aim { format!("{aim}") } else { format!("{aim}, missed") }
}

#[cfg(test)]
mod tests {
    use super::super::results::Case;
    use super::*;

    #[test]
    fn a_case_is_held_against_jose() {
        let found = |ours: f64| Found {
            case: Case::Repeated,
            algorithm: "RS256".to_owned(),
            nothing: vec![40.0],
            jose: vec![100.0],
            ours: vec![ours],
        };
        assert_eq!(
            row(&found(55.0)),
            "| repeated token | RS256 | 40 | 100 | 55 | **0.55** | 0.6 | 60 | 15 | 0.25 |\n"
        );
        assert!(row(&found(70.0)).contains("**0.70** | 0.6, missed |"));
    }
}
