//! Variables: texts that a host's platform keeps for a document, such as secrets. `{ "$env": "NAME" }` stands for one, anywhere.

use super::document::LIMITS;
use super::fault::{ConfigError, Faults, Path};
use crate::json;
use serde_json::Value;
use std::borrow::Cow;

const MEMBER: &str = "$env";

/// The document with each `{ "$env": "NAME" }` replaced by the text that `look_up` has for the name. What is no JSON is left as it is,
/// for [`super::Config::load`] to refuse.
///
/// # Errors
/// [`ConfigError`]: every place whose name has no text.
pub fn fill_variables<'t>(
    text: &'t [u8],
    look_up: impl Fn(&str) -> Option<String>,
) -> Result<Cow<'t, [u8]>, ConfigError> {
    let mentions = text.windows(MEMBER.len()).any(|window| window == MEMBER.as_bytes());
    let Some(members) = mentions.then(|| json::parse_object(text, LIMITS).ok()).flatten() else {
        return Ok(Cow::Borrowed(text));
    };
    let (mut document, mut faults) = (Value::Object(members), Faults::default());
    fill(&mut document, &Path::default(), &look_up, &mut faults);
    match faults.into_error() {
        Some(error) => Err(error),
        None => Ok(Cow::Owned(document.to_string().into_bytes())),
    }
}

fn fill(value: &mut Value, path: &Path, look_up: &dyn Fn(&str) -> Option<String>, faults: &mut Faults) {
    match value {
        Value::Object(members) => match variable(members) {
            Some(name) => match look_up(name) {
                Some(text) => *value = Value::String(text),
                None => {
                    faults
                        .add(path, format_args!("expected a text in the variable {name:?}, but found none"));
                }
            },
            None => {
                for (name, value) in members {
                    fill(value, &path.member(name), look_up, faults);
                }
            }
        },
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                fill(item, &path.item(index), look_up, faults);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn variable(members: &serde_json::Map<String, Value>) -> Option<&str> {
    members.get(MEMBER).and_then(Value::as_str).filter(|_| members.len() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filled(document: &Value) -> Result<Value, Vec<String>> {
        let text = document.to_string();
        let look_up = |name: &str| (name == "SECRET").then(|| "s3cret\"".to_owned());
        match fill_variables(text.as_bytes(), look_up) {
            Ok(filled) => Ok(serde_json::from_slice(&filled).unwrap()),
            Err(error) => Err(error.faults().iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn a_variable_stands_for_a_text_anywhere() {
        let found = filled(&json!({"a": [{"b": {"$env": "SECRET"}}, 1], "c": {"$env": "SECRET"}}));
        assert_eq!(found, Ok(json!({"a": [{"b": "s3cret\""}, 1], "c": "s3cret\""})));
        // An object with more than that is none.
        let other = json!({"a": {"$env": "SECRET", "b": 1}, "c": {"$env": 1}, "d": "$env"});
        assert_eq!(filled(&other), Ok(other));
    }

    #[test]
    fn each_place_without_a_text_is_told() {
        let found =
            filled(&json!({"a": [{"$env": "NONE"}], "b": {"$env": "OTHER"}, "c": {"$env": "SECRET"}}));
        let expected = [
            "a[0]: expected a text in the variable \"NONE\", but found none",
            "b: expected a text in the variable \"OTHER\", but found none",
        ];
        assert_eq!(found, Err(expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn what_is_no_json_or_repeats_a_member_is_left_to_be_refused() {
        for text in ["{\"a\": \"$env\"", "{\"$env\": 1, \"$env\": 2}"] {
            assert_eq!(
                fill_variables(text.as_bytes(), |_| None),
                Ok(Cow::Borrowed(text.as_bytes())),
                "{text}"
            );
        }
    }
}
