//! What the reader has to know about the result.

use std::fmt;

/// One remark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) kind: NoteKind,
    /// Where in the input.
    pub(super) path: String,
    pub(super) text: String,
}

/// What a remark is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoteKind {
    /// Has no counterpart, and is not in the result.
    NotConverted,
    /// Is in the result, and means something else there.
    Differs,
    /// Is for the reader to fill in.
    ToDo,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            NoteKind::NotConverted => "not converted",
            NoteKind::Differs => "differs",
            NoteKind::ToDo => "to do",
        };
        write!(f, "{kind}: {}: {}", self.path, self.text)
    }
}

/// Remarks in the order in which they were made.
#[derive(Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    fn add(&mut self, kind: NoteKind, path: &str, text: impl Into<String>) {
        let note = Note { kind, path: path.to_owned(), text: text.into() };
        if !self.0.contains(&note) {
            self.0.push(note);
        }
    }

    pub(super) fn not_converted(&mut self, path: &str, why: impl Into<String>) {
        self.add(NoteKind::NotConverted, path, why);
    }

    pub(super) fn differs(&mut self, path: &str, how: impl Into<String>) {
        self.add(NoteKind::Differs, path, how);
    }

    pub(super) fn add_to_do(&mut self, path: &str, what: impl Into<String>) {
        self.add(NoteKind::ToDo, path, what);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Note> {
        self.0.iter()
    }
}
