//! Links between the documents: each leads to a file, and to a heading of it.

use crate::blessed::path;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_link_leads_somewhere() {
    let mut documents = Vec::new();
    collect(&path("."), &mut documents);
    assert!(documents.len() > 20, "{documents:?}");
    let dead: Vec<String> = documents.iter().flat_map(|document| dead_links(document)).collect();
    assert_eq!(dead, [""; 0]);
}

#[test]
fn headings_have_the_names_that_links_use() {
    let text = "# The `a.b`: c\n```sh\n# no heading\n```\n## Who is_who?\n## Who is_who?\n";
    let expected = ["the-ab-c", "who-is_who", "who-is_who-1"].map(str::to_owned);
    assert_eq!(anchors(text), BTreeSet::from(expected));
    assert_eq!(links("[a](b.md#c) ![d](e.png) `[f](g)`\n```\n[h](i)\n```\n"), ["b.md#c", "e.png"]);
}

/// The documents of the repository, and not those of packages and builds.
fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap().path();
        let name = entry.file_name().unwrap().to_str().unwrap();
        if entry.is_dir() {
            if !["target", "dist", "node_modules"].contains(&name) && !name.starts_with('.') {
                collect(&entry, found);
            }
        } else if name.ends_with(".md") {
            found.push(entry);
        }
    }
}

fn dead_links(document: &Path) -> Vec<String> {
    let text = fs::read_to_string(document).unwrap();
    let is_alive = |link: &str| {
        if link.contains("://") {
            return true;
        }
        let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
        let target =
            if file.is_empty() { document.to_owned() } else { document.parent().unwrap().join(file) };
        match anchor {
            None => target.exists(),
            Some(anchor) => fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor)),
        }
    };
    let dead = links(&text).into_iter().filter(|link| !is_alive(link));
    dead.map(|link| format!("{}: {link}", document.display())).collect()
}

/// The lines of a document that are not code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

fn links(text: &str) -> Vec<&str> {
    let is_code = |line: &str, at: usize| line[..at].matches('`').count() % 2 == 1;
    let targets = |line| {
        let starts = str::match_indices(line, "](").filter(move |(at, _)| !is_code(line, *at));
        starts.filter_map(move |(at, _)| line[at + 2..].split_once(')').map(|(target, _)| target))
    };
    prose(text).flat_map(targets).collect()
}

/// What links call the headings, as the forges that show these documents make it.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for heading in prose(text).filter_map(|line| line.strip_prefix('#')) {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let name: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let again = (1..).map(|number| format!("{name}-{number}"));
        let free = std::iter::once(name.clone()).chain(again).find(|name| !names.contains(name));
        names.extend(free);
    }
    names
}
