//! The committed corpus of each target, and mutations of it: on every machine, without libFuzzer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may panic: that is how it fails"
)]
#![allow(missing_docs, reason = "a test binary has no interface")]

use doorward_fuzz::mutator::{self, Mutator};
use doorward_fuzz::{TARGETS, Target};
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Mutations for each target; a count, not a time.
const MUTATIONS: usize = 20_000;

#[test]
fn compact_jws_holds() {
    replay("compact_jws");
}

#[test]
fn configuration_holds() {
    replay("configuration");
}

#[test]
fn discovery_holds() {
    replay("discovery");
}

#[test]
fn dpop_proof_holds() {
    replay("dpop_proof");
}

#[test]
fn gateway_call_holds() {
    replay("gateway_call");
}

#[test]
fn gateway_credential_holds() {
    replay("gateway_credential");
}

#[test]
fn jwk_set_holds() {
    replay("jwk_set");
}

#[test]
fn path_holds() {
    replay("path");
}

#[test]
fn request_holds() {
    replay("request");
}

#[test]
fn scim_bulk_holds() {
    replay("scim_bulk");
}

#[test]
fn scim_filter_holds() {
    replay("scim_filter");
}

#[test]
fn scim_patch_holds() {
    replay("scim_patch");
}

#[test]
fn scim_path_holds() {
    replay("scim_path");
}

#[test]
fn scim_request_holds() {
    replay("scim_request");
}

#[test]
fn every_target_is_everywhere() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let files = |folder: &str, extension: &str| -> BTreeSet<String> {
        let names = names(&fuzz().join(folder)).into_iter();
        names.filter_map(|name| Some(name.strip_suffix(extension)?.to_owned())).collect()
    };
    assert_eq!(files("fuzz_targets", ".rs"), targets);
    assert_eq!(files("corpus", ""), targets);
    let stray: Vec<String> = files("dictionaries", ".dict").difference(&targets).cloned().collect();
    assert_eq!(stray, [""; 0], "dictionaries of no target");
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    let tests = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replay.rs")).unwrap();
    for target in &targets {
        assert!(manifest.contains(&format!("[[bin]]\nname = \"{target}\"\n")), "{target} in fuzz/Cargo.toml");
        assert!(tests.contains(&format!("    replay(\"{target}\");")), "{target} in tests/replay.rs");
    }
}

#[test]
fn corpora_are_small() {
    let mut total = 0;
    for target in TARGETS {
        let corpus = corpus(target.name);
        assert!((10..=200).contains(&corpus.len()), "{} inputs for {}", corpus.len(), target.name);
        total += corpus.iter().map(|(_, input)| input.len()).sum::<usize>();
    }
    assert!(total < 500_000, "{total} bytes");
}

fn replay(name: &str) {
    let target = TARGETS.into_iter().find(|target| target.name == name).expect("a target");
    let corpus = corpus(name);
    assert!(!corpus.is_empty());
    for (file, input) in &corpus {
        run(target, input, &format!("fuzz/corpus/{name}/{file}"));
    }
    let dictionary = fuzz().join(format!("dictionaries/{name}.dict"));
    let words = fs::read_to_string(dictionary).map(|text| mutator::words(&text)).unwrap_or_default();
    let inputs: Vec<Vec<u8>> = corpus.into_iter().map(|(_, input)| input).collect();
    let mut mutator = Mutator::new(name);
    for number in 0..MUTATIONS {
        let input = mutator.next(&inputs, &words);
        run(target, &input, &format!("mutation {number}"));
    }
}

/// One input. If something does not hold, the input is kept in a file for the corpus.
fn run(target: Target, input: &[u8], origin: &str) {
    if catch_unwind(AssertUnwindSafe(|| (target.check)(input))).is_err() {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-failure", target.name));
        fs::write(&file, input).unwrap();
        let (shown, file) = (input.escape_ascii(), file.display());
        panic!("{} does not hold for {origin}: {shown}\nkept in {file}", target.name);
    }
}

/// The committed inputs, with their names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = fuzz().join("corpus").join(target);
    names(&folder).into_iter().map(|name| (name.clone(), fs::read(folder.join(name)).unwrap())).collect()
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}
