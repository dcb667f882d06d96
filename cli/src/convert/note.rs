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
pub(super) struct Notes {
    notes: Vec<Note>,
    /// How often something was not understood that could limit what is let through.
    doubts: usize,
}

impl Notes {
    fn add(&mut self, kind: NoteKind, path: &str, text: impl Into<String>) {
        let note = Note { kind, path: path.to_owned(), text: text.into() };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Something that could limit what is let through: whatever it is part of must not be taken for understood.
    pub(super) fn not_converted(&mut self, path: &str, why: impl Into<String>) {
        self.doubts = self.doubts.saturating_add(1);
        self.left_out(path, why);
    }

    /// Something without which no more is let through.
    pub(super) fn left_out(&mut self, path: &str, why: impl Into<String>) {
        self.add(NoteKind::NotConverted, path, why);
    }

    /// What `read` makes of its part of the input, and whether all of that was understood.
    pub(super) fn watch<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> (T, bool) {
        let before = self.doubts;
        let found = read(self);
        (found, self.doubts == before)
    }

    pub(super) fn differs(&mut self, path: &str, how: impl Into<String>) {
        self.add(NoteKind::Differs, path, how);
    }

    pub(super) fn add_to_do(&mut self, path: &str, what: impl Into<String>) {
        self.add(NoteKind::ToDo, path, what);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Note> {
        self.notes.iter()
    }
}
