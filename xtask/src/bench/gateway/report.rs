//! The results for people: Markdown, and `benches/GATEWAY.md`.

use super::results::{Found, Results};
use crate::bench::report::file;
use crate::bench::statistics::median;
use anyhow::{Context, Result};
use std::fs;

/// Writes `benches/GATEWAY.md`.
pub(super) fn write(results: &Results) -> Result<()> {
    let file = file("GATEWAY.md");
    let note =
        "Written by `cargo xtask bench gateway --commit` from [gateway.json](gateway.json); do not edit.";
    let text = format!("# What the SCIM gateway costs\n\n{note}\n\n{}", markdown(results));
    fs::write(&file, text).with_context(|| format!("expected to write {}", file.display()))
}

/// Everything as Markdown, without a title.
pub(super) fn markdown(results: &Results) -> String {
    let machine = &results.machine;
    let host = &machine.host;
    let [before, after] = host.load;
    let mut text = format!(
        "{}: {}, {} cores, {} MiB, Linux {}; {}; {}. Load average {before:.1} before, {after:.1} after the run.\n\
         \n\
         - Two listeners of one Envoy with one worker lead to one store on SQLite: one with the filter, one without. CPU time is Envoy's \
         ({}), of both the router and the connection to the store included; medians of {} rounds of {} s, the listeners by turns.\n\
         - Without the filter the store judges the token; with it, the gateway's credential. A call through the filter also leaves its \
         audit line.\n\
         - `scim-gateway.wasm` has {} KB.\n\n",
        host.date,
        host.cpu,
        host.cores,
        host.memory_mib,
        host.kernel,
        machine.envoy,
        machine.wrk,
        machine.cpu_time,
        results.rounds,
        results.seconds,
        results.module_bytes / 1000,
    );
    text += "| | CPU µs without | with | **added** | at most | latency µs without | with | **added** |\n|---|---|---|---|---|---|---|---|\n";
    for found in &results.found {
        text += &row(found);
    }
    text
}

fn row(found: &Found) -> String {
    let [without, with] =
        [&found.without, &found.with].map(|series| (median(&series.cpu), median(&series.latency)));
    let added = with.0 - without.0;
    let aim = match found.case.aim() {
        Some(aim) if added <= aim => format!("{aim:.0}"),
        Some(aim) => format!("{aim:.0}, missed"),
        None => "-".to_owned(),
    };
    format!(
        "| {} | {:.0} | {:.0} | **{added:.0}** | {aim} | {:.0} | {:.0} | **{:.0}** |\n",
        found.case.title(),
        without.0,
        with.0,
        without.1,
        with.1,
        with.1 - without.1,
    )
}

#[cfg(test)]
mod tests {
    use super::super::case::Case;
    use super::super::results::Series;
    use super::*;

    #[test]
    fn what_is_added_is_held_against_the_aim() {
        let series = |cpu: f64| Series { cpu: vec![cpu], latency: vec![100.0] };
        let row = |with| row(&Found { case: Case::Filter, without: series(40.0), with: series(with) });
        assert_eq!(row(90.0), "| GET, `userName eq` | 40 | 90 | **50** | 60 | 100 | 100 | **0** |\n");
        assert!(row(101.0).contains("**61** | 60, missed |"));
    }
}
