//! Documents from files. YAML is for people: what the core reads is JSON.

use std::path::Path;
use std::{fs, io};

/// Why a file gave no document.
#[derive(Debug)]
pub(crate) enum FileError {
    Io(io::Error),
    Yaml(String),
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "expected a file to read: {error}"),
            Self::Yaml(error) => write!(f, "expected YAML: {error}"),
        }
    }
}

/// Reads a file as JSON text. JSON is passed on byte for byte, so that the core sees duplicate members; YAML is
/// converted, and its own reader refuses duplicate keys.
pub(crate) fn read_as_json(path: &Path) -> Result<Vec<u8>, FileError> {
    let bytes = fs::read(path).map_err(FileError::Io)?;
    let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    if is_yaml { yaml_to_json(&bytes) } else { Ok(bytes) }
}

fn yaml_to_json(bytes: &[u8]) -> Result<Vec<u8>, FileError> {
    let value: serde_json::Value =
        serde_saphyr::from_slice(bytes).map_err(|error| FileError::Yaml(error.to_string()))?;
    Ok(value.to_string().into_bytes())
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
}
