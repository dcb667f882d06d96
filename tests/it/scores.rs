//! The table of `docs/vectors.md`, made by the tests that count.

use crate::blessed;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

const FILE: &str = "docs/vectors.md";
const INTRO: &str = "\
# Test vectors

`cargo test --test it` runs every vector through the core's own parser and verifier, counts, and fails when a count differs from these \
tables; `DOORWARD_BLESS=1` rewrites them, and the first table is left as it is where `DOORWARD_VECTORS` names no vectors. \
Six Wycheproof tokens labelled valid are refused on purpose: tcId 372 and 373 hold a character outside base64url, which RFC 7515 \
section 2 forbids; in 346 and 350 the key is for PS256 alone and the token says PS384; in 347 and 351 the key's algorithm is \
`ES521`, which is registered nowhere.

- As labelled: the verdict is the label's; a vector labelled *acceptable* allows both.
- Stricter: labelled valid, refused by us.
- Out of scope: not judged, for a reason below the table.
- Contradicted: labelled invalid, but the same text as a vector labelled valid, so that no verifier can follow both. Wycheproof's tcId \
367 and 370 are byte for byte the token of 357; the padding that they are about is not in the file. Nothing else that is labelled \
invalid is accepted.
";

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Tokens,
    Signatures,
}

impl Section {
    const ALL: [Self; 2] = [Self::Tokens, Self::Signatures];

    fn heading(self) -> &'static str {
        match self {
            Self::Tokens => "\n## Whole tokens\n\n",
            Self::Signatures => "\n## Bare signatures\n\n",
        }
    }
}

/// One line of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) set: String,
    pub(crate) as_labelled: usize,
    pub(crate) stricter: usize,
    pub(crate) out_of_scope: usize,
    /// Labelled invalid, but the text of a vector labelled valid.
    pub(crate) contradicted: usize,
}

impl Row {
    pub(crate) fn new(set: impl Into<String>) -> Self {
        Self { set: set.into(), ..Self::default() }
    }

    /// How many vectors the set has.
    pub(crate) fn vectors(&self) -> usize {
        self.as_labelled + self.stricter + self.out_of_scope + self.contradicted
    }
}

/// Compares one table, with `notes` below it, with the committed one.
pub(crate) fn record(section: Section, rows: &[Row], notes: &[String]) {
    // Two tests share the file.
    static FILE_LOCK: Mutex<()> = Mutex::new(());
    let _guard = FILE_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let committed = blessed::read(FILE);
    let mut rendered = INTRO.to_owned();
    for other in Section::ALL {
        rendered.push_str(other.heading());
        rendered.push_str(&if other == section { table(rows, notes) } else { body(&committed, other) });
    }
    blessed::check(FILE, &rendered);
}

/// What stands below a heading, up to the next one.
fn body(committed: &str, section: Section) -> String {
    let after = committed.split_once(section.heading()).map_or("", |(_, after)| after);
    let next = Section::ALL.iter().filter_map(|other| after.find(other.heading())).min();
    after[..next.unwrap_or(after.len())].to_owned()
}

fn table(rows: &[Row], notes: &[String]) -> String {
    let mut text = String::from(
        "| set | vectors | as labelled | stricter | out of scope | contradicted |\n|---|---|---|---|---|---|\n",
    );
    let sum = |field: fn(&Row) -> usize| rows.iter().map(field).sum::<usize>();
    let total = Row {
        set: "**all**".to_owned(),
        as_labelled: sum(|row| row.as_labelled),
        stricter: sum(|row| row.stricter),
        out_of_scope: sum(|row| row.out_of_scope),
        contradicted: sum(|row| row.contradicted),
    };
    for row in rows.iter().chain([&total]) {
        let Row { set, as_labelled, stricter, out_of_scope, contradicted } = row;
        let vectors = row.vectors();
        writeln!(
            text,
            "| {set} | {vectors} | {as_labelled} | {stricter} | {out_of_scope} | {contradicted} |"
        )
        .unwrap();
    }
    for (index, note) in notes.iter().enumerate() {
        text.push_str(if index == 0 { "\n- " } else { "- " });
        text.push_str(note);
        text.push('\n');
    }
    text
}
