//! The headers that are ours: identity headers under every spelling that some upstream takes for the same name.

use crate::http::HeaderField;
use std::collections::HashSet;

/// The names of all managed headers, folded.
///
/// CGI, WSGI, PHP and others turn every character that is not a letter or a digit into `_` and ignore case, so
/// `X_User.Id` reaches an application as `x-user-id` does. All such characters count as one here.
#[derive(Debug, Clone, Default)]
pub struct ManagedHeaders {
    folded: HashSet<Vec<u8>>,
    /// Lengths of the names, as bits: most headers of a request are ruled out by their length alone.
    lengths: u64,
}

impl ManagedHeaders {
    /// The set of these names.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut set = Self::default();
        for name in names {
            set.lengths |= length_bit(name.len());
            set.folded.insert(fold(name.as_bytes()));
        }
        set
    }

    /// Whether `name` is a managed header, or an alias of one.
    pub fn covers(&self, name: &[u8]) -> bool {
        self.lengths & length_bit(name.len()) != 0 && self.folded.contains(&fold(name))
    }

    /// The names among `fields` that must be removed, each once, as they were received.
    pub fn forged<'r>(&self, fields: &'r [HeaderField<'r>]) -> Vec<&'r [u8]> {
        let mut names: Vec<&[u8]> = Vec::new();
        for field in fields {
            if self.covers(field.name) && !names.contains(&field.name) {
                names.push(field.name);
            }
        }
        names
    }
}

fn length_bit(length: usize) -> u64 {
    1 << (length & 63)
}

fn fold(name: &[u8]) -> Vec<u8> {
    let fold = |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.iter().map(fold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_is_covered() {
        let managed = ManagedHeaders::new(["x-user-id", "X-Org"]);
        for name in
            ["x-user-id", "X-User-Id", "x_user_id", "x.user.id", "X_User.ID", "x~user|id", "x-org", "x!org"]
        {
            assert!(managed.covers(name.as_bytes()), "{name}");
        }
        assert!(managed.covers(b"x\xffuser-id"));
        for name in ["x-user-i", "x-user-idx", "xuser-id", "x--user-id", "x-user-ie", ":path", ""] {
            assert!(!managed.covers(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn each_forged_name_is_listed_once() {
        let managed = ManagedHeaders::new(["x-user-id"]);
        let field = |name: &'static str| HeaderField { name: name.as_bytes(), value: b"admin" };
        let fields = [field("x-user-id"), field("host"), field("x_user_id"), field("x-user-id")];
        assert_eq!(managed.forged(&fields), [&b"x-user-id"[..], b"x_user_id"]);
    }
}
