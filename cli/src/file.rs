//! Documents from files. YAML is for people: what the core reads is JSON.

use doorward::json::{self, JsonError, Limits};
use serde_json::Value;
use std::path::Path;
use std::{fs, io};

/// Envoy's configurations are deeper and longer than ours.
const LIMITS: Limits = Limits { depth: 128, values: 10_000_000 };

/// Why a file gave no document.
#[derive(Debug)]
pub(crate) enum FileError {
    Io(io::Error),
    Json(JsonError),
    Yaml(String),
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "expected a file to read: {error}"),
            Self::Json(error) => write!(f, "(document): {error}"),
            Self::Yaml(error) => write!(f, "expected YAML: {error}"),
        }
    }
}

/// One document of a file.
#[derive(Debug, PartialEq)]
pub(crate) struct Document {
    /// As JSON: byte for byte where it was JSON.
    pub(crate) text: Vec<u8>,
    /// The same, parsed.
    pub(crate) value: Value,
}

/// Reads every document of a file: one of JSON, or any number of YAML, without the empty ones.
pub(crate) fn read(path: &Path) -> Result<Vec<Document>, FileError> {
    let bytes = fs::read(path).map_err(FileError::Io)?;
    if is_yaml(path) { from_yaml(&bytes) } else { from_json(bytes) }
}

/// Reads a file as JSON text. JSON is passed on byte for byte, so that the core sees duplicate members; YAML is
/// converted, and its own reader refuses duplicate keys.
pub(crate) fn read_as_json(path: &Path) -> Result<Vec<u8>, FileError> {
    let bytes = fs::read(path).map_err(FileError::Io)?;
    if is_yaml(path) { yaml_to_json(&bytes) } else { Ok(bytes) }
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn from_json(text: Vec<u8>) -> Result<Vec<Document>, FileError> {
    let value = json::parse(&text, LIMITS).map_err(FileError::Json)?;
    Ok(vec![Document { text, value }])
}

fn from_yaml(bytes: &[u8]) -> Result<Vec<Document>, FileError> {
    let values: Vec<Value> = serde_saphyr::from_slice_multiple_with_options(bytes, options())
        .map_err(|error| FileError::Yaml(error.to_string()))?;
    let document = |value: Value| Document { text: value.to_string().into_bytes(), value };
    Ok(values.into_iter().map(document).collect())
}

fn yaml_to_json(bytes: &[u8]) -> Result<Vec<u8>, FileError> {
    let value: Value = serde_saphyr::from_slice_with_options(bytes, options())
        .map_err(|error| FileError::Yaml(error.to_string()))?;
    Ok(value.to_string().into_bytes())
}

/// A fault is one line, and shows nothing of the file: inline keys may be in it.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! { with_snippet: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(yaml: &str, expected: Option<&str>) {
        let json = yaml_to_json(yaml.as_bytes()).ok().map(|text| String::from_utf8(text).unwrap());
        assert_eq!(json.as_deref(), expected, "{yaml}");
    }

    #[test]
    fn yaml_becomes_json() {
        check("a: { b: [c, 1, true] }\n", Some(r#"{"a":{"b":["c",1,true]}}"#));
        check("a: 5m\n", Some(r#"{"a":"5m"}"#));
        check("{}", Some("{}"));
    }

    #[test]
    fn duplicate_keys_are_refused() {
        check("a: 1\na: 2\n", None);
        check("a: [", None);
    }

    #[test]
    fn a_fault_is_one_line_and_shows_nothing_of_the_file() {
        for text in ["a: secret\na: 2\n", "a: [secret", "---\na: secret\n---\nb: [\n"] {
            let error = from_yaml(text.as_bytes()).unwrap_err().to_string();
            assert!(error.lines().count() == 1 && error.contains("line "), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn every_document_of_a_file_is_read() {
        let texts = |yaml: &str| -> Option<Vec<String>> {
            let documents = from_yaml(yaml.as_bytes()).ok()?;
            Some(documents.into_iter().map(|document| String::from_utf8(document.text).unwrap()).collect())
        };
        let check = |yaml: &str, expected: &[&str]| {
            assert_eq!(
                texts(yaml).as_deref(),
                Some(&expected.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>()[..])
            );
        };
        check("a: 1", &[r#"{"a":1}"#]);
        check("---\na: 1\n---\n# empty\n---\nb: 2\n", &[r#"{"a":1}"#, r#"{"b":2}"#]);
        check("a: &x { c: 1 }\nb: *x\n", &[r#"{"a":{"c":1},"b":{"c":1}}"#]);
        check("", &[]);
        assert_eq!(texts("a: 1\n---\nb: 1\nb: 2\n"), None);
    }

    #[test]
    fn json_is_kept_byte_for_byte_and_read_strictly() {
        let text = br#" {"a": 1.0} "#.to_vec();
        assert_eq!(from_json(text.clone()).unwrap()[0].text, text);
        for bad in [r#"{"a":1,"a":2}"#, "{", "{} {}"] {
            assert!(matches!(from_json(bad.into()), Err(FileError::Json(_))), "{bad}");
        }
    }
}
