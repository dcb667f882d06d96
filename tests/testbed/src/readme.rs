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

#[cfg(test)]
mod tests {
    use super::*;

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
