//! Paths: the one reading, and rules that are matched against it. The input is the value of `:path`.

use doorward::policy::{NormalPath, PathPattern, Rule, RuleAction, RuleMatch, Rules};
use std::sync::LazyLock;

/// A path that is accepted can be read in no other way, and rules see the segments that everybody sees.
pub fn check(input: &[u8]) {
    let raw = input.split(|byte| *byte == b'?').next().unwrap_or_default();
    let Ok(path) = NormalPath::parse(input) else {
        assert!(NormalPath::parse(raw).is_err(), "the query decides");
        return;
    };
    let read = path.as_str();
    assert_eq!(NormalPath::parse(raw).as_ref(), Ok(&path), "the query is no part of the path");

    let lower = raw.to_ascii_lowercase();
    for separator in ["%2f", "%5c", "%3b", "\\", ";", "#", "%00"] {
        assert!(!contains(&lower, separator.as_bytes()), "{separator} in {read:?}");
    }
    assert!(raw.iter().all(u8::is_ascii_graphic));
    assert_eq!(decode(raw).as_deref(), Some(read.as_bytes()), "decoded once");
    assert!(read.starts_with('/') && !read.contains("//") && !read.contains(['\\', ';']));
    assert!(read.split('/').all(|segment| segment != "." && segment != ".."), "{read:?}");
    assert!(!read.chars().any(|character| character.is_ascii_control()));
    // Whoever decodes once more sees the same path.
    let escapes = read.as_bytes().windows(3).filter(|text| decode(text).is_some_and(|byte| byte.len() == 1));
    assert_eq!(escapes.count(), 0, "{read:?} can be decoded once more");
    let spelled = encode(read);
    assert_eq!(NormalPath::parse(spelled.as_bytes()).as_ref(), Ok(&path), "{spelled} is the same path");
    check_rules(&path);
}

/// The rules of [`RULES`], read by segments alone.
fn check_rules(path: &NormalPath<'_>) {
    let read = path.as_str();
    let trimmed = read.strip_suffix('/').unwrap_or(read);
    let segments: Vec<&str> = trimmed.split('/').skip(1).collect();
    let expected = match segments[..] {
        ["admin"] => 0,
        ["api", "v1", ..] => 1,
        ["users", _, "posts"] => 2,
        _ => 3,
    };
    assert_eq!(RULES.find(b"GET", b"example.com", path).map(|(index, _)| index), Some(expected), "{read:?}");
}

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let rule = |path: PathPattern| Rule {
        matches: RuleMatch { path: Some(path), ..RuleMatch::default() },
        action: RuleAction::Anonymous,
    };
    Rules::new(vec![
        rule(PathPattern::exact("/admin")),
        rule(PathPattern::prefix("/api/v1/")),
        rule(PathPattern::template("/users/{id}/posts").expect("a template")),
        rule(PathPattern::prefix("/")),
    ])
});

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Percent-decoding by RFC 3986; `None` if a percent sign has not two digits after it.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if text[at] == b'%' {
            let digits = text.get(at + 1..at + 3)?;
            let digits =
                std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
            decoded.push(u8::from_str_radix(digits, 16).ok()?);
            at += 3;
        } else {
            decoded.push(text[at]);
            at += 1;
        }
    }
    Some(decoded)
}

/// Everything but slashes, letters and digits percent-encoded.
pub(crate) fn encode(path: &str) -> String {
    let encode = |byte: u8| match byte {
        b'/' => "/".to_owned(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    path.bytes().map(encode).collect()
}
