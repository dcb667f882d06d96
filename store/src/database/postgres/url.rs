//! Where a database is, as it is written. What it says of TLS is taken out of it: the driver knows less of that than libpq.

use super::super::DatabaseError;
use percent_encoding::percent_decode_str;
use std::iter::Peekable;
use std::str::CharIndices;

/// What is written: a URL, or `key=value` pairs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// For the driver.
    pub(super) rest: String,
    /// `sslmode`.
    pub(super) mode: Mode,
    /// `sslrootcert`: a file, or `system`.
    pub(super) roots: Option<String>,
}

/// Whether TLS is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Disable,
    /// As it is if nothing is said.
    Prefer,
    Require,
}

impl Mode {
    fn parse(text: &str) -> Result<Self, DatabaseError> {
        match text {
            "disable" => Ok(Self::Disable),
            "prefer" => Ok(Self::Prefer),
            "require" | "verify-full" => Ok(Self::Require),
            "verify-ca" => Err(failed(
                "expected sslmode=verify-full instead of verify-ca: the name in the server's certificate is always verified",
            )),
            // Not what was found: who forgot an `&` has a password in it.
            _ => Err(failed("expected sslmode=disable, prefer, require or verify-full")),
        }
    }
}

impl Url {
    /// Reads as the driver does, and leaves to it what it has to say.
    pub(super) fn parse(text: &str) -> Result<Self, DatabaseError> {
        let mut read = Self { rest: String::new(), mode: Mode::Prefer, roots: None };
        match ["postgres://", "postgresql://"].iter().find(|scheme| text.starts_with(**scheme)) {
            Some(scheme) => read.read_url(text, scheme.len())?,
            None => read.read_pairs(text)?,
        }
        Ok(read)
    }

    fn read_url(&mut self, text: &str, scheme: usize) -> Result<(), DatabaseError> {
        // A password may have a `?`, as the driver reads it.
        let after = text.get(scheme..).unwrap_or_default();
        let credentials = after.find('@').unwrap_or_default();
        let query = after.get(credentials..).unwrap_or_default().find('?');
        let place = query.map(|place| scheme.saturating_add(credentials).saturating_add(place));
        let Some((head, query)) = place.and_then(|place| text.split_at_checked(place)) else {
            text.clone_into(&mut self.rest);
            return Ok(());
        };
        head.clone_into(&mut self.rest);
        let mut sign = '?';
        for pair in query.strip_prefix('?').unwrap_or(query).split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text| percent_decode_str(text).decode_utf8_lossy();
            if !self.take(&decode(key), &decode(value))? {
                self.rest.push(sign);
                self.rest.push_str(pair);
                sign = '&';
            }
        }
        Ok(())
    }

    fn read_pairs(&mut self, text: &str) -> Result<(), DatabaseError> {
        let mut characters = text.char_indices().peekable();
        let place = |characters: &mut Peekable<CharIndices<'_>>| {
            characters.peek().map_or(text.len(), |(place, _)| *place)
        };
        loop {
            while characters.next_if(|(_, c)| c.is_whitespace()).is_some() {}
            let start = place(&mut characters);
            while characters.next_if(|(_, c)| !c.is_whitespace() && *c != '=').is_some() {}
            let key = text.get(start..place(&mut characters)).unwrap_or_default();
            if key.is_empty() {
                // The driver would not read what comes after it.
                return match characters.peek() {
                    None => Ok(()),
                    Some(_) => Err(failed("expected a name in front of each =")),
                };
            }
            while characters.next_if(|(_, c)| c.is_whitespace()).is_some() {}
            if characters.next_if(|(_, c)| *c == '=').is_none() {
                return Err(failed("expected a URL, or pairs of a name, = and a value"));
            }
            while characters.next_if(|(_, c)| c.is_whitespace()).is_some() {}
            let quote = characters.next_if(|(_, c)| *c == '\'').is_some();
            let mut value = String::new();
            while let Some((_, c)) =
                characters.next_if(|(_, c)| if quote { *c != '\'' } else { !c.is_whitespace() })
            {
                match c {
                    '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
                    c => value.push(c),
                }
            }
            if quote && characters.next().is_none() {
                return Err(failed("expected a ' at the end of a value"));
            }
            if !self.take(key, &value)? {
                let pair = text.get(start..place(&mut characters)).unwrap_or_default();
                self.rest.push_str(pair);
                self.rest.push(' ');
            }
        }
    }

    /// Takes a parameter, if it is ours. Of two the last one counts, as everywhere in a URL of PostgreSQL.
    fn take(&mut self, key: &str, value: &str) -> Result<bool, DatabaseError> {
        match key {
            "sslmode" => self.mode = Mode::parse(value)?,
            "sslrootcert" => self.roots = Some(value.to_owned()),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn failed(text: &str) -> DatabaseError {
    DatabaseError::Failed(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_tls_is_taken_out() {
        for (text, rest, mode, roots) in [
            ("postgresql://a:b@h:1/d", "postgresql://a:b@h:1/d", Mode::Prefer, None),
            ("postgres://h?sslmode=prefer", "postgres://h", Mode::Prefer, None),
            ("postgres://h/d?sslmode=disable&a=b", "postgres://h/d?a=b", Mode::Disable, None),
            ("postgres://h/d?a=b&sslmode=require&c=d", "postgres://h/d?a=b&c=d", Mode::Require, None),
            ("postgres://h?sslmode=disable&sslmode=verify-full", "postgres://h", Mode::Require, None),
            ("postgres://h?ssl%6dode=%72equire", "postgres://h", Mode::Require, None),
            ("postgres://h?sslrootcert=%2Fa%20b.pem", "postgres://h", Mode::Prefer, Some("/a b.pem")),
            ("postgres://a:?sslmode=disable@h", "postgres://a:?sslmode=disable@h", Mode::Prefer, None),
            ("postgres://a:?b@h?sslmode=require", "postgres://a:?b@h", Mode::Require, None),
            ("host=h user = a", "host=h user = a ", Mode::Prefer, None),
            ("host=h sslmode = require user=a", "host=h user=a ", Mode::Require, None),
            ("sslmode='verify-full' sslrootcert='/a \\'b\\'.pem'", "", Mode::Require, Some("/a 'b'.pem")),
            (
                "password='a sslmode=disable \\' b' sslmode=require",
                "password='a sslmode=disable \\' b' ",
                Mode::Require,
                None,
            ),
            ("password=a\\ sslmode=disable", "password=a\\ sslmode=disable ", Mode::Prefer, None),
            ("sslrootcert=/a\\ b.pem host=h", "host=h ", Mode::Prefer, Some("/a b.pem")),
        ] {
            let expected = Url { rest: rest.to_owned(), mode, roots: roots.map(str::to_owned) };
            assert_eq!(Url::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_told_without_it() {
        for (text, expected) in [
            ("postgres://u:secret@h?sslmode=verify-ca", "expected sslmode=verify-full instead"),
            ("host=h password=secret sslmode=verify-ca", "expected sslmode=verify-full instead"),
            ("postgres://u:secret@h?sslmode=allow", "expected sslmode=disable, prefer,"),
            ("postgres://h?sslmode=require;password=secret", "expected sslmode=disable, prefer,"),
            ("postgres://u:secret@h?sslmode", "expected sslmode=disable, prefer,"),
            ("sslmode= password=secret", "expected sslmode=disable, prefer,"),
            ("host=h =secret sslmode=require", "expected a name"),
            ("host secret", "expected a URL, or pairs"),
            ("password='secret", "expected a ' at the end"),
        ] {
            let error = Url::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
