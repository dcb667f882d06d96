//! JSON to the raw document, with every fault of shape.
//!
//! serde stops at its first error. So the member at fault is noted, taken out, and the rest is read again, until
//! nothing is left to complain of.

use super::fault::{Faults, Path};
use super::raw::Document;
use crate::json::located::{self, Step};
use crate::json::{self, Limits};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Room for thousands of rules and issuers.
pub(super) const LIMITS: Limits = Limits { depth: 32, values: 1_000_000 };
/// A document with more faults than this is another kind of document.
const MAX_FAULTS: usize = 100;

/// Reads the document. What is returned lacks the members at fault.
pub(super) fn read(text: &[u8], faults: &mut Faults) -> Option<Document> {
    let parsed = json::parse_object(text, LIMITS);
    let value = Value::Object(faults.check(&Path::default(), parsed)?);
    read_part(&Path::default(), value, faults)
}

/// Reads a part of the document, which is at `path`.
pub(super) fn read_part<T: DeserializeOwned>(
    path: &Path,
    mut value: Value,
    faults: &mut Faults,
) -> Option<T> {
    let mut removed = Removed::default();
    for _ in 0..MAX_FAULTS {
        let (steps, error) = match located::read(&value) {
            Ok(part) => return Some(part),
            Err(fault) => fault,
        };
        faults.add(&removed.original_path(path, &steps), error);
        if !removed.remove(&mut value, &steps) {
            break;
        }
    }
    None
}

/// Items taken out of lists, so that those after them are still reported under the numbers that the author sees.
#[derive(Default)]
struct Removed(Vec<(Vec<Step>, usize)>);

impl Removed {
    fn original_path(&self, start: &Path, steps: &[Step]) -> Path {
        let mut path = start.clone();
        for (at, step) in steps.iter().enumerate() {
            path = match step {
                Step::Member(name) => path.member(name),
                Step::Item(index) => {
                    path.item(self.original_index(steps.get(..at).unwrap_or_default(), *index))
                }
            };
        }
        path
    }

    fn original_index(&self, list: &[Step], index: usize) -> usize {
        // Undone in the order of removal, last first, each moves the item one place back.
        let removals = self.0.iter().rev().filter(|(path, _)| path == list);
        removals.fold(
            index,
            |index, (_, removed)| if *removed <= index { index.saturating_add(1) } else { index },
        )
    }

    /// Takes the value at `steps` out, or the nearest one around it. `false` if that is the document itself.
    fn remove(&mut self, document: &mut Value, steps: &[Step]) -> bool {
        // An enum's variant is a step of the path even where it is written as a plain string: then the string goes.
        (0..steps.len()).rev().any(|at| self.remove_exactly(document, steps.get(..=at).unwrap_or_default()))
    }

    fn remove_exactly(&mut self, document: &mut Value, steps: &[Step]) -> bool {
        let Some((last, way)) = steps.split_last() else { return false };
        let parent = way.iter().try_fold(document, |value, step| match step {
            Step::Member(name) => value.get_mut(name),
            Step::Item(index) => value.get_mut(*index),
        });
        match (parent, last) {
            (Some(Value::Object(members)), Step::Member(name)) => members.remove(name).is_some(),
            (Some(Value::Array(items)), Step::Item(index)) if *index < items.len() => {
                items.remove(*index);
                self.0.push((way.to_vec(), *index));
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let mut faults = Faults::default();
        read(text.as_bytes(), &mut faults);
        let found = faults.into_error().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(found.lines().collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn every_fault_of_shape_is_reported_at_once() {
        check(
            r#"{"zz":1,"rules":[{"match":{"pat":{}}},{"allow":"all"},{"require":{"provider":7}},{"match":{"path":"exact"}}],
                "providers":{"a b":{"clock_skew":60}}}"#,
            &[
                r#"providers."a b".clock_skew: invalid type: integer `60`, expected a string"#,
                "rules[0].match.pat: unknown field `pat`, expected one of `hosts`, `path`, `methods`",
                "rules[1].allow: unknown variant `all`, expected `anonymous`",
                "rules[2].require.provider: invalid type: integer `7`, expected a string",
                "rules[3].match.path.exact: invalid type: unit variant, expected newtype variant",
                "zz: unknown field `zz`, expected one of `providers`, `rules`, `identity_headers`, `payload_header`, \
                 `filter_state`, `challenge`, `bypass_cors_preflight`, `limits`, `scim`, `worker`",
            ],
        );
    }

    #[test]
    fn items_keep_their_numbers_when_others_were_at_fault() {
        check(
            r#"{"rules":[1,{},2,3,{},{"x":1}]}"#,
            &[
                "rules[0]: invalid type: integer `1`, expected struct Rule",
                "rules[2]: invalid type: integer `2`, expected struct Rule",
                "rules[3]: invalid type: integer `3`, expected struct Rule",
                "rules[5].x: unknown field `x`, expected one of `match`, `allow`, `require`, `enforce`",
            ],
        );
    }

    #[test]
    fn what_is_no_document_is_one_fault() {
        check("", &["(document): not JSON at line 1, column 0: EOF while parsing a value"]);
        check("[]", &["(document): expected a JSON object"]);
        check(
            r#"{"rules":[],"rules":[]}"#,
            &[r#"(document): expected each member once, but found two members "rules""#],
        );
        check(r#"{"rules":7}"#, &["rules: invalid type: integer `7`, expected a sequence"]);
    }
}
