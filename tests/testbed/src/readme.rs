//! Commands as documentation shows them, with what they print.

use std::collections::BTreeMap;

/// A command of a fenced `console` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// What stands behind `$ `.
    pub command: String,
    /// The lines up to the next command, without line breaks at the end.
    pub printed: String,
}

/// The fenced blocks of a language.
pub fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let opening = format!("```{language}\n");
    text.split(opening.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// All commands of a text, in order.
pub fn shown(text: &str) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    for block in blocks(text, "console") {
        for (number, line) in block.lines().enumerate() {
            match (line.strip_prefix("$ "), all.last_mut()) {
                (Some(command), _) => {
                    all.push(Shown { command: command.to_owned(), printed: String::new() });
                }
                (None, Some(last)) if number > 0 => last.printed += &format!("{line}\n"),
                (None, _) => {}
            }
        }
    }
    for shown in &mut all {
        shown.printed.truncate(shown.printed.trim_end().len());
    }
    all
}

/// Every occurrence of the first of each pair replaced by the second, in one pass: what was put in is left alone.
pub fn replace(text: &str, pairs: &[(String, String)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    loop {
        let found = pairs.iter().filter_map(|(from, to)| Some((rest.split_once(from.as_str())?, from, to)));
        let first = found.min_by_key(|((before, _), from, _)| (before.len(), *from));
        let Some(((before, after), _, to)) = first else { return out + rest };
        out += before;
        out += to;
        rest = after;
    }
}

/// What a script prints before it runs a command, and after the last one.
pub fn mark(number: usize) -> String {
    format!("@@@ {number} @@@\n")
}

/// What a command printed, in the output of such a script.
pub fn between_marks(output: &str, number: usize) -> Option<&str> {
    let (_, rest) = output.split_once(&mark(number))?;
    rest.split_once(&mark(number + 1)).map(|(printed, _)| printed)
}

/// What is another in every run: ids, times, places of a change feed. Each has a number instead, the same wherever it is.
#[derive(Debug, Default)]
pub struct Changing(BTreeMap<String, usize>);

impl Changing {
    /// The text with numbers for these.
    pub fn steady(&mut self, text: &str) -> String {
        let (mut out, mut word) = (String::new(), String::new());
        for c in text.chars().chain(['\n']) {
            if c.is_ascii_alphanumeric() || !word.is_empty() && "-:._".contains(c) {
                word.push(c);
            } else {
                out += &self.word(&word);
                out.push(c);
                word.clear();
            }
        }
        out
    }

    fn word(&mut self, word: &str) -> String {
        let is_hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let lengths: Vec<_> = word.split('-').map(str::len).collect();
        let is_id = lengths == [8, 4, 4, 4, 12] && is_hex(&word.replace('-', ""));
        let is_request_id = word.len() == 32 && is_hex(word);
        let digits = |c: char| if c.is_ascii_digit() { '0' } else { c };
        let shape: String = word.chars().map(digits).collect();
        let is_time =
            shape.starts_with("0000-00-00T00:00:00") && shape.ends_with('Z') || shape == "0".repeat(16);
        // How long something took: two may be the same by chance.
        if shape.split_once('.').is_some_and(|(whole, rest)| is_number(whole) && is_number(rest)) {
            return "<decimal>".to_owned();
        }
        // A place of the change feed: its number is the same each time, its hash is not.
        if let Some((number, hash)) =
            word.split_once('-').filter(|(_, hash)| hash.len() == 16 && is_hex(hash))
        {
            return format!("{number}-{}", self.named(hash));
        }
        if is_id || is_request_id || is_time { self.named(word) } else { word.to_owned() }
    }

    fn named(&mut self, word: &str) -> String {
        let next = self.0.len();
        format!("<{}>", self.0.entry(word.to_owned()).or_insert(next))
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_left_alone() {
        let pairs = [("a", "b"), ("b", "a"), ("cc", "")].map(|(from, to)| (from.into(), to.into()));
        assert_eq!(replace("abccab", &pairs), "baba");
        assert_eq!(replace("", &pairs), "");
    }

    #[test]
    fn what_a_command_printed_is_between_marks() {
        let output = format!("{}one\n{}{}", mark(0), mark(1), mark(2));
        let found = [0, 1, 2].map(|number| between_marks(&output, number));
        assert_eq!(found, [Some("one\n"), Some(""), None]);
    }

    #[test]
    fn what_changes_is_the_same_where_it_was_the_same() {
        let steady = |text: &str| Changing::default().steady(text);
        let [a, b] = ["01a20257-01c0-714b-b40b-3a36c299fb41", "676ae6d5-7336-473b-9903-e43967e2d46b"];
        let time = "2026-11-22T08:19:46.240222Z";
        assert_eq!(steady(&format!("{a} {b}/{a} {time}")), "<0> <1>/<0> <2>\n");
        assert_eq!(steady("1795335586679121 758cf81253198d8900112233445566ff"), "<0> <1>\n");
        assert_eq!(steady("2-758cf81253198d89 2-758cf81253198d89"), "2-<0> 2-<0>\n");
        assert_eq!(steady("\"ms\":1.85 1.85 2.0"), "\"ms\":<decimal> <decimal> <decimal>\n");
        for same in ["W/\"1\" 204", "127.0.0.1:8080", "urn:a:2.0:User", "2026-11-22", "gateway", "1. 2"] {
            assert_eq!(steady(same), format!("{same}\n"));
        }
    }

    #[test]
    fn commands_are_found_with_what_they_print() {
        let text =
            "a\n```console\n$ one\n$ two $ 2\n  b\n\nc\n\n```\n```sh\n$ no\n```\n```console\n$ three\n```\n";
        let expected = [("one", ""), ("two $ 2", "  b\n\nc"), ("three", "")];
        let expected =
            expected.map(|(command, printed)| Shown { command: command.into(), printed: printed.into() });
        assert_eq!(shown(text), expected);
        assert_eq!(blocks(text, "sh"), ["$ no\n"]);
    }
}
