//! Commands as documentation shows them, with what they print.

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
