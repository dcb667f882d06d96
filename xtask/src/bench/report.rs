//! The results for people: Markdown, and the files in `benches/`.

use super::listeners::{NATIVE_CACHE, Subject};
use super::load::{CONNECTIONS, RATE_CONNECTIONS};
use super::plot;
use super::results::{Case, Dispatch, Results};
use super::statistics::{median, range};
use anyhow::{Context, Result};
use doorward_testbed::folder;
use std::fs;
use std::path::PathBuf;

/// What the filter is built to keep.
struct Target {
    what: String,
    found: String,
    at_most: String,
    kept: bool,
}

/// A file in `benches/`.
pub(super) fn file(name: &str) -> PathBuf {
    folder::root().join("benches").join(name)
}

/// Writes `RESULTS.md` and `results.svg` from `results.json`.
pub(super) fn rewrite() -> Result<()> {
    let results = Results::read(&file("results.json"))?;
    for (name, text) in [("RESULTS.md", document(&results)), ("results.svg", plot::svg(&results))] {
        let file = file(name);
        fs::write(&file, text).with_context(|| format!("expected to write {}", file.display()))?;
    }
    Ok(())
}

fn document(results: &Results) -> String {
    let note = "Written by `cargo xtask bench jwt --instructions --commit` from [results.json](results.json); do not edit.";
    format!(
        "# What a request costs\n\n{note}\n\n{}\n## CPU time of a request\n\n![CPU time of a request](results.svg)\n",
        markdown(results)
    )
}

/// Everything as Markdown, without a title.
pub(super) fn markdown(results: &Results) -> String {
    [
        machine(results),
        cpu(results),
        compared(results),
        targets(results),
        latency(results),
        rest(results),
        instructions(results),
    ]
    .concat()
}

fn machine(results: &Results) -> String {
    let (machine, sizes) = (&results.machine, &results.sizes);
    let host = &machine.host;
    let [before, after] = host.load;
    format!(
        "{}: {}, {} cores, {} MiB, Linux {}; Envoy {}, one worker; {} with {CONNECTIONS} connections. Load average {before:.1} \
         before, {after:.1} after the run.\n\
         \n\
         - One Envoy process with a listener each; all with the same keys, issuer, audience and three claims to headers, no access \
         log, and a response of Envoy's own. `native` is Envoy's `jwt_authn`; its cache, where it has one, holds {NATIVE_CACHE} \
         tokens (its default is 100). `{}` is a module without SDK that answers each callback at once.\n\
         - CPU time is that of the whole Envoy process ({}), by the responses that Envoy counts; each must have the status that \
         the case demands. {} rounds after one that warms up; in each all listeners, another one first each time.\n\
         - A round is {} requests to a listener; of new tokens {}, which no listener has seen before. Zipf order is over {} tokens, \
         exponent 1, each sent once before. Requests have `Host`, `User-Agent`, `Accept`, and a token of 11 claims.\n",
        host.date,
        host.cpu,
        host.cores,
        host.memory_mib,
        host.kernel,
        machine.envoy,
        machine.wrk,
        Subject::Nothing.title(),
        machine.cpu_time,
        sizes.rounds,
        sizes.requests,
        sizes.new,
        sizes.distinct,
    )
}

fn cpu(results: &Results) -> String {
    let mut table =
        heading("CPU µs of a request: median (least–greatest round)", &Subject::ALL.map(Subject::title));
    for (case, algorithm) in results.cases() {
        let cell = |subject| spread(results.micros(case, algorithm, subject), 1);
        table += &row(&label(case, algorithm), Subject::ALL.map(cell));
    }
    table
}

fn compared(results: &Results) -> String {
    let others = [Subject::Native, Subject::NativeCache, Subject::Nothing];
    let mut table = heading(
        "Doorward by another: median of the rounds' ratios (least–greatest)",
        &others.map(Subject::title),
    );
    for (case, algorithm) in results.cases() {
        let cell = |by| spread(&results.ratios(case, algorithm, by), 2);
        table += &row(&label(case, algorithm), others.map(cell));
    }
    table
}

fn targets(results: &Results) -> String {
    let ratio = |what: &str, case, algorithm, by, at_most: f64| {
        let found = median(&results.ratios(case, algorithm, by));
        Target {
            what: format!("{what}, by `{}`", by.title()),
            found: format!("{found:.2}"),
            at_most: format!("{at_most:.2}"),
            kept: found <= at_most,
        }
    };
    let size = |what: &str, bytes: f64, unit: &str, bytes_of_unit: f64, at_most: f64| Target {
        what: what.to_owned(),
        found: format!("{:.0} {unit}", bytes / bytes_of_unit),
        at_most: format!("{at_most:.0} {unit}"),
        kept: bytes <= at_most * bytes_of_unit,
    };
    let repeated = "RS256, one token repeated";
    let large = format!("a worker's VM with {} cached tokens of 1 KB", results.sizes.large);
    let memory = results.memory.vm + results.memory.large;
    let mut targets = vec![
        ratio("RS256, every token new", Case::New, "RS256", Subject::Native, 0.85),
        ratio("ES256, every token new", Case::New, "ES256", Subject::Native, 0.95),
        ratio(repeated, Case::Repeated, "RS256", Subject::NativeCache, 1.15),
        ratio(repeated, Case::Repeated, "RS256", Subject::Native, 0.45),
        ratio(repeated, Case::Repeated, "RS256", Subject::Nothing, 1.20),
        ratio("RS256, bad signature, replayed", Case::BadSignature, "RS256", Subject::Native, 0.60),
        size("`jwt-authn.wasm`", results.module_bytes as f64, "KB", 1e3, 800.0),
        size(&large, memory as f64, "MB", 1e6, 24.0),
    ];
    if let [few, many] = results.dispatch.as_slice() {
        let grown = |what: &str, of: fn(&Dispatch) -> u64| {
            let found = of(many) as f64 / of(few) as f64;
            Target {
                what: format!("{what}, instructions with {}, by one of each", crowd(many)),
                found: format!("{found:.2}"),
                at_most: "1.10".to_owned(),
                kept: found <= 1.1,
            }
        };
        targets.push(grown("new token", |dispatch| dispatch.new));
        targets.push(grown("repeated token", |dispatch| dispatch.again));
    }
    let mut table = heading("Targets", &["found", "at most", "kept"]);
    for target in targets {
        let kept = if target.kept { "yes" } else { "**no**" };
        table += &row(&target.what, [target.found, target.at_most, kept.to_owned()]);
    }
    table
}

fn latency(results: &Results) -> String {
    let sizes = &results.sizes;
    let title = format!(
        "Latency in µs at {} requests a second, RS256, one token repeated ({}, {RATE_CONNECTIONS} connections, {} s a round)",
        sizes.rate, results.machine.h2load, sizes.rate_seconds
    );
    let mut table = heading(&title, &["p50", "p99"]);
    for latency in &results.latency {
        table += &row(latency.subject.title(), [spread(&latency.p50, 0), spread(&latency.p99, 0)]);
    }
    table
}

fn rest(results: &Results) -> String {
    let start = &results.start;
    let added = median(&start.ours) - median(&start.bare);
    let megabytes = |bytes: i64| format!("{:.1} MB", bytes as f64 / 1e6);
    let mut table = heading("The rest", &["", ""]);
    let rows = [
        (
            "`jwt-authn.wasm`".to_owned(),
            format!("{:.0} KB", results.module_bytes as f64 / 1e3),
            String::new(),
        ),
        (
            "from starting Envoy to the first response: what the filter adds".to_owned(),
            format!("{added:.0} ms"),
            format!("with it {} ms, without {} ms", spread(&start.ours, 0), spread(&start.bare, 0)),
        ),
        (
            "memory that the filter takes once".to_owned(),
            megabytes(results.memory.shared),
            "physical memory of Envoy with it, less that without: compiled code, which workers share, and a VM".to_owned(),
        ),
        (
            "memory of a worker's VM, before requests".to_owned(),
            megabytes(results.memory.vm),
            "physical memory of Envoy with 5 workers, less that with 1, by 4, less the same without filter"
                .to_owned(),
        ),
        (
            format!("what {} tokens of 1 KB add to it", results.sizes.large),
            megabytes(results.memory.large),
            "growth of a warm Envoy, less that with the wasm filter that does nothing".to_owned(),
        ),
    ];
    for (what, found, note) in rows {
        table += &row(&what, [found, note]);
    }
    table
}

fn instructions(results: &Results) -> String {
    if results.instructions.is_empty() {
        return "\nInstructions of the core were not counted (`--instructions`, with valgrind).\n".to_owned();
    }
    let mut table = heading(
        "Instructions of the core, natively (callgrind)",
        &["a request that comes again, without its signature", "a signature"],
    );
    for counted in &results.instructions {
        table +=
            &row(&counted.algorithm, [counted.request, counted.signature].map(|count| count.to_string()));
    }
    table += &heading(
        "Instructions of a request among many issuers and rules, without its signature",
        &["a new token", "one that comes again"],
    );
    for counted in &results.dispatch {
        table += &row(&crowd(counted), [counted.new, counted.again].map(|count| count.to_string()));
    }
    table
}

fn crowd(dispatch: &Dispatch) -> String {
    format!("{} issuers, {} rules", dispatch.issuers, dispatch.rules)
}

fn label(case: Case, algorithm: &str) -> String {
    if algorithm == "-" { case.title().to_owned() } else { format!("{algorithm}, {}", case.title()) }
}

/// `MEDIAN (LEAST–GREATEST)`.
fn spread(values: &[f64], digits: usize) -> String {
    let (least, greatest) = range(values);
    format!("{:.digits$} ({least:.digits$}–{greatest:.digits$})", median(values))
}

/// A heading and the first lines of a table; its first column has no title.
fn heading(title: &str, columns: &[&str]) -> String {
    let rule = "|---".repeat(columns.len() + 1);
    format!("\n## {title}\n\n| | {} |\n{rule}|\n", columns.join(" | "))
}

fn row(label: &str, cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().collect();
    format!("| {label} | {} |\n", cells.join(" | "))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::listeners::Subject;
    use crate::bench::machine::{Host, Machine};
    use crate::bench::results::{Cpu, Latency, Memory, Sizes, Start};

    /// Each listener takes 10 µs more than the one before it; two rounds.
    pub(in crate::bench) fn results() -> Results {
        let mut cpu = Vec::new();
        for (case, algorithm) in [(Case::Repeated, "RS256"), (Case::New, "RS256"), (Case::NoToken, "-")] {
            for (subject, micros) in Subject::ALL.into_iter().zip([10.0, 20.0, 30.0, 40.0, 50.0]) {
                let micros = vec![micros - 1.0, micros + 1.0];
                cpu.push(Cpu { case, algorithm: algorithm.to_owned(), subject, micros });
            }
        }
        let text = |text: &str| text.to_owned();
        Results {
            machine: Machine {
                host: Host {
                    date: text("2026-01-02"),
                    cpu: text("Some CPU"),
                    cores: 2,
                    memory_mib: 1,
                    kernel: text("6"),
                    load: [0.1, 0.2],
                },
                envoy: text("1.40.0"),
                wrk: text("wrk 4"),
                h2load: text("h2load 1"),
                cpu_time: text("/proc"),
            },
            sizes: Sizes { rounds: 2, requests: 9, new: 8, distinct: 7, large: 6, rate: 5, rate_seconds: 4 },
            module_bytes: 800_000,
            cpu,
            latency: vec![Latency { subject: Subject::Bare, p50: vec![1.0], p99: vec![2.0] }],
            start: Start { bare: vec![10.0], ours: vec![110.0] },
            memory: Memory { shared: 0, vm: 20_000_000, large: 4_000_001 },
            instructions: Vec::new(),
            dispatch: vec![
                Dispatch { issuers: 1, rules: 1, new: 1_000, again: 100 },
                Dispatch { issuers: 7, rules: 9, new: 1_100, again: 111 },
            ],
        }
    }

    #[test]
    fn medians_ratios_and_targets_are_shown() {
        let text = markdown(&results());
        for line in [
            "| RS256, one token repeated | 10.0 (9.0–11.0) | 20.0 (19.0–21.0) | 30.0 (29.0–31.0) | 40.0 (39.0–41.0) | 50.0 (49.0–51.0) |",
            "| no token | 1.67 (1.65–1.69) | 1.25 (1.24–1.26) | 2.50 (2.43–2.58) |",
            "| RS256, every token new, by `native` | 1.67 | 0.85 | **no** |",
            "| ES256, every token new, by `native` | NaN | 0.95 | **no** |",
            "| `jwt-authn.wasm` | 800 KB | 800 KB | yes |",
            "| a worker's VM with 6 cached tokens of 1 KB | 24 MB | 24 MB | **no** |",
            "| new token, instructions with 7 issuers, 9 rules, by one of each | 1.10 | 1.10 | yes |",
            "| repeated token, instructions with 7 issuers, 9 rules, by one of each | 1.11 | 1.10 | **no** |",
            "| no filter | 1 (1–1) | 2 (2–2) |",
            "| from starting Envoy to the first response: what the filter adds | 100 ms | with it 110 (110–110) ms, without 10 (10–10) ms |",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn committed_files_are_those_of_the_results() {
        let committed = Results::read(&file("results.json")).unwrap();
        let read = |name| fs::read_to_string(file(name)).unwrap();
        let advice = "run `cargo xtask bench report`";
        assert!(read("RESULTS.md") == document(&committed), "{advice}");
        assert!(read("results.svg") == plot::svg(&committed), "{advice}");
    }
}
