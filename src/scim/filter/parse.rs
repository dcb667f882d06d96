//! The grammar of filters, and of the paths that have a filter inside.

use super::{Filter, FilterError, FilterSyntax, Literal, Operator};
use crate::scim::attr_path::{AttrPath, is_uri_byte};
use serde_json::Number;

impl Filter {
    /// Parses a filter. Operators and words are read in any case; `not` binds closest, then `and`, then `or`.
    ///
    /// `emails[type eq "work"].value eq "x"`, which is not of the grammar but which Entra ID sends, means
    /// `emails[type eq "work" and value eq "x"]`, and becomes that.
    ///
    /// # Errors
    /// [`FilterError`], the first fault met.
    pub fn parse(text: &str, syntax: &FilterSyntax) -> Result<Self, FilterError> {
        let mut parser = Parser::new(text, syntax)?;
        let filter = parser.alternatives(Place::Top)?;
        parser.end("\"and\", \"or\" or the end")?;
        Ok(filter)
    }
}

/// Parses `attrPath "[" filter "]" [subAttr]` (RFC 7644 section 3.5.2).
pub(in crate::scim) fn parse_value_path(
    text: &str,
    syntax: &FilterSyntax,
) -> Result<(AttrPath, Filter, Option<AttrPath>), FilterError> {
    let mut parser = Parser::new(text, syntax)?;
    let path = parser.path()?;
    if !parser.rest.starts_with('[') {
        return Err(parser.expected("\"[\""));
    }
    let filter = parser.brackets()?;
    let sub_attribute = parser.sub_attribute()?;
    parser.end("the end of the path")?;
    Ok((path, filter, sub_attribute))
}

/// Where an expression stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    /// Inside `[…]`, where no further brackets may be.
    ValuePath,
}

struct Parser<'t> {
    text: &'t str,
    /// What is left of it.
    rest: &'t str,
    depth_left: usize,
    syntax: &'t FilterSyntax,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, syntax: &'t FilterSyntax) -> Result<Self, FilterError> {
        if text.len() > syntax.max_length {
            return Err(FilterError::TooLong { limit: syntax.max_length, found: text.len() });
        }
        Ok(Self { text, rest: text, depth_left: syntax.max_depth, syntax })
    }

    fn alternatives(&mut self, place: Place) -> Result<Filter, FilterError> {
        let first = self.conjunction(place)?;
        let mut others = Vec::new();
        while self.joined_by("or") {
            others.push(self.conjunction(place)?);
        }
        Ok(joined(first, others, Filter::Or))
    }

    fn conjunction(&mut self, place: Place) -> Result<Filter, FilterError> {
        let first = self.term(place)?;
        let mut others = Vec::new();
        while self.joined_by("and") {
            others.push(self.term(place)?);
        }
        Ok(joined(first, others, Filter::And))
    }

    fn term(&mut self, place: Place) -> Result<Filter, FilterError> {
        self.skip_spaces();
        if self.rest.starts_with('(') {
            return self.inside('(', ')', "\"and\", \"or\" or \")\"", place);
        }
        // An attribute may have this name too: `not eq 1`.
        let after_not = strip_word(self.rest, "not").map(|rest| rest.trim_start_matches(' '));
        if let Some(rest) = after_not.filter(|rest| rest.starts_with('(')) {
            self.rest = rest;
            let negated = self.inside('(', ')', "\"and\", \"or\" or \")\"", place)?;
            return Ok(Filter::Not(Box::new(negated)));
        }
        let path = self.path()?;
        if !self.rest.starts_with('[') {
            return self.comparison(path);
        }
        if place == Place::ValuePath {
            return Err(self.expected("no brackets inside brackets"));
        }
        let inner = self.brackets()?;
        let filter = match self.sub_attribute()? {
            None => inner,
            Some(sub_attribute) => {
                let comparison = self.comparison(sub_attribute)?;
                let mut filters = if let Filter::And(filters) = inner { filters } else { vec![inner] };
                filters.push(comparison);
                Filter::And(filters)
            }
        };
        Ok(Filter::ValuePath { path, filter: Box::new(filter) })
    }

    fn brackets(&mut self) -> Result<Filter, FilterError> {
        self.inside('[', ']', "\"and\", \"or\" or \"]\"", Place::ValuePath)
    }

    /// A filter in brackets; the opening one is next.
    fn inside(
        &mut self,
        open: char,
        close: char,
        expected: &'static str,
        place: Place,
    ) -> Result<Filter, FilterError> {
        let Some(depth_left) = self.depth_left.checked_sub(1) else {
            return Err(FilterError::TooDeep { limit: self.syntax.max_depth, column: self.column() });
        };
        self.depth_left = depth_left;
        self.rest = self.rest.strip_prefix(open).unwrap_or(self.rest);
        let filter = self.alternatives(place)?;
        self.skip_spaces();
        self.rest = self.rest.strip_prefix(close).ok_or_else(|| self.expected(expected))?;
        self.depth_left = depth_left.saturating_add(1);
        Ok(filter)
    }

    /// What follows a path.
    fn comparison(&mut self, path: AttrPath) -> Result<Filter, FilterError> {
        const EXPECTED: &str = "an operator (eq, ne, co, sw, ew, gt, ge, lt, le, pr)";
        self.spaces(EXPECTED)?;
        let at_operator = self.rest;
        let word = self.take(|byte| byte.is_ascii_alphanumeric());
        if word.eq_ignore_ascii_case("pr") {
            return Ok(Filter::Present { path });
        }
        let Some(operator) = Operator::from_word(word) else {
            self.rest = at_operator;
            return Err(self.expected(EXPECTED));
        };
        self.spaces(LITERAL)?;
        let literal = self.literal()?;
        Ok(Filter::Compare { path, operator, literal })
    }

    fn literal(&mut self) -> Result<Literal, FilterError> {
        if self.rest.starts_with('"') {
            return self.string();
        }
        let at_word = self.rest;
        let word = self.take(|byte| !matches!(byte, b' ' | b')' | b']'));
        let literal = match word {
            "null" => Some(Literal::Null),
            "true" => Some(Literal::Boolean(true)),
            "false" => Some(Literal::Boolean(false)),
            _ => number(word),
        };
        let is_string = self.syntax.unquoted_strings && !word.is_empty() && !word.contains(['"', '\0']);
        match literal {
            Some(literal) => Ok(literal),
            None if is_string => Ok(Literal::String(word.to_owned())),
            None => {
                self.rest = at_word;
                Err(self.expected(LITERAL))
            }
        }
    }

    /// A string as JSON has it (RFC 8259 section 7).
    fn string(&mut self) -> Result<Literal, FilterError> {
        let mut escaped = false;
        let end = self.rest.bytes().enumerate().skip(1).find(|(_, byte)| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        });
        let split = end.and_then(|(at, _)| self.rest.split_at_checked(at.saturating_add(1)));
        let parsed = split.and_then(|(quoted, rest)| Some((serde_json::from_str(quoted).ok()?, rest)));
        let (text, rest): (String, _) = parsed.ok_or_else(|| self.expected("a complete JSON string"))?;
        // No value has it, and PostgreSQL cannot even be asked about it.
        if text.contains('\0') {
            return Err(self.expected("a string without U+0000"));
        }
        self.rest = rest;
        Ok(Literal::String(text))
    }

    fn path(&mut self) -> Result<AttrPath, FilterError> {
        let column = self.column();
        let at_path = self.rest;
        let text = self.take(is_uri_byte);
        if text.is_empty() {
            self.rest = at_path;
            return Err(self.expected("the path of an attribute"));
        }
        AttrPath::parse(text).map_err(|error| FilterError::Path { error, column })
    }

    /// `.name` after brackets.
    fn sub_attribute(&mut self) -> Result<Option<AttrPath>, FilterError> {
        let Some(rest) = self.rest.strip_prefix('.') else { return Ok(None) };
        self.rest = rest;
        let at_name = self.rest;
        let path = self.path()?;
        if path.schema().is_some() || path.sub_attribute().is_some() {
            self.rest = at_name;
            return Err(self.expected("the name of a sub-attribute"));
        }
        Ok(Some(path))
    }

    /// Takes `word` where two filters may be joined.
    fn joined_by(&mut self, word: &str) -> bool {
        let rest = strip_word(self.rest.trim_start_matches(' '), word);
        let rest = rest.filter(|rest| rest.starts_with([' ', '(']));
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn spaces(&mut self, expected: &'static str) -> Result<(), FilterError> {
        if !self.rest.starts_with(' ') {
            return Err(self.expected(expected));
        }
        self.skip_spaces();
        Ok(())
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }

    fn end(&mut self, expected: &'static str) -> Result<(), FilterError> {
        self.skip_spaces();
        if self.rest.is_empty() { Ok(()) } else { Err(self.expected(expected)) }
    }

    /// The longest beginning of what is left whose bytes are wanted; ends between characters if every byte of a
    /// character beyond ASCII is treated alike.
    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> &'t str {
        let length = self.rest.bytes().take_while(|byte| wanted(*byte)).count();
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or(("", self.rest));
        self.rest = rest;
        taken
    }

    fn column(&self) -> usize {
        self.text.len().saturating_sub(self.rest.len()).saturating_add(1)
    }

    fn expected(&self, expected: &'static str) -> FilterError {
        let found = match self.rest.chars().take(24).collect::<String>() {
            text if text.is_empty() => "the end".to_owned(),
            text => format!("{text:?}"),
        };
        FilterError::Syntax { expected, found, column: self.column() }
    }
}

const LITERAL: &str = "a string in double quotes, a number, true, false or null";

fn joined(first: Filter, others: Vec<Filter>, join: fn(Vec<Filter>) -> Filter) -> Filter {
    if others.is_empty() { first } else { join(std::iter::once(first).chain(others).collect()) }
}

/// What follows `word`, if `text` begins with it in any case.
fn strip_word<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let (beginning, rest) = text.split_at_checked(word.len())?;
    beginning.eq_ignore_ascii_case(word).then_some(rest)
}

/// A number as JSON has it (RFC 8259 section 6). serde_json knows the form; the standard library rounds correctly.
fn number(word: &str) -> Option<Literal> {
    serde_json::from_str::<Number>(word).ok()?;
    if let Ok(integer) = word.parse() {
        return Some(Literal::Integer(integer));
    }
    word.parse().ok().filter(|decimal: &f64| decimal.is_finite()).map(Literal::Decimal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Filter, FilterError> {
        Filter::parse(text, &FilterSyntax::default())
    }

    /// `expected` is the tree, every list in brackets and every leaf without spaces.
    fn check(text: &str, expected: &str) {
        assert_eq!(parse(text).map(|filter| tree(&filter)), Ok(expected.to_owned()), "{text}");
    }

    fn tree(filter: &Filter) -> String {
        let list = |filters: &[Filter]| filters.iter().map(tree).collect::<Vec<_>>().join(" ");
        match filter {
            Filter::And(filters) => format!("and({})", list(filters)),
            Filter::Or(filters) => format!("or({})", list(filters)),
            Filter::Not(filter) => format!("not({})", tree(filter)),
            Filter::Compare { path, operator, literal } => format!("{path}|{}|{literal}", operator.as_str()),
            Filter::Present { path } => format!("{path}|pr"),
            Filter::ValuePath { path, filter } => format!("{path}[{}]", tree(filter)),
        }
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        check(r#"userName eq "bjensen""#, r#"userName|eq|"bjensen""#);
        check(r#"name.familyName co "O'Malley""#, r#"name.familyName|co|"O'Malley""#);
        check(
            r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J""#,
            r#"urn:ietf:params:scim:schemas:core:2.0:User:userName|sw|"J""#,
        );
        check("title pr", "title|pr");
        check(r#"title pr and userType eq "Employee""#, r#"and(title|pr userType|eq|"Employee")"#);
        check(
            r#"userType eq "Employee" and (emails co "example.com" or emails.value co "example.org")"#,
            r#"and(userType|eq|"Employee" or(emails|co|"example.com" emails.value|co|"example.org"))"#,
        );
        check(
            r#"userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")"#,
            r#"and(userType|ne|"Employee" not(or(emails|co|"example.com" emails.value|co|"example.org")))"#,
        );
        check(
            r#"emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp" and value co "@foo.com"]"#,
            r#"or(emails[and(type|eq|"work" value|co|"@example.com")] ims[and(type|eq|"xmpp" value|co|"@foo.com")])"#,
        );
        check(
            r#"schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User""#,
            r#"schemas|eq|"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User""#,
        );
    }

    #[test]
    fn not_binds_closer_than_and_and_that_closer_than_or() {
        check("a pr or b pr and c pr", "or(a|pr and(b|pr c|pr))");
        check("a pr and b pr or c pr", "or(and(a|pr b|pr) c|pr)");
        check("(a pr or b pr) and c pr", "and(or(a|pr b|pr) c|pr)");
        check("not (a pr) and b pr", "and(not(a|pr) b|pr)");
        check("NOT(a pr)OR(b pr)", "or(not(a|pr) b|pr)");
        check("a pr and b pr and c pr", "and(a|pr b|pr c|pr)");
        check("a pr and (b pr and c pr)", "and(a|pr and(b|pr c|pr))");
        check("((a pr))", "a|pr");
        check("not (not (a pr))", "not(not(a|pr))");
    }

    #[test]
    fn words_are_read_in_any_case_and_spaces_are_free() {
        check("a EQ 1 AnD b Pr", "and(a|eq|1 b|pr)");
        check("  a   eq   1  ", "a|eq|1");
        check("e[ a pr ] and ( b pr )", "and(e[a|pr] b|pr)");
    }

    #[test]
    fn words_of_the_grammar_are_names_too() {
        check("not pr", "not|pr");
        check("and pr and or eq 1 or eq pr", "or(and(and|pr or|eq|1) eq|pr)");
        check("nothing eq true", "nothing|eq|true");
    }

    #[test]
    fn literals_are_those_of_json() {
        check("a eq null", "a|eq|null");
        check("a eq true or a eq false", "or(a|eq|true a|eq|false)");
        check("a eq -12", "a|eq|-12");
        check("a eq 1.50", "a|eq|1.5");
        check("a eq 9223372036854775808", "a|eq|9.223372036854776e18");
        check(r#"a eq """#, r#"a|eq|"""#);
        check(r#"a eq "\"\\\/\n\u00e9\ud83d\ude00""#, "a|eq|\"\\\"\\\\/\\né😀\"");
        check(r#"a eq "x) and (b ] pr""#, r#"a|eq|"x) and (b ] pr""#);
    }

    #[test]
    fn what_entra_sends_after_brackets_goes_into_them() {
        check(r#"emails[type eq "work"].value eq "x""#, r#"emails[and(type|eq|"work" value|eq|"x")]"#);
        check("e[a pr and b pr].c pr and d pr", "and(e[and(a|pr b|pr c|pr)] d|pr)");
        check("e[a pr or b pr].c pr", "e[and(or(a|pr b|pr) c|pr)]");
        check(
            r#"active eq true and (meta.lastModified ge "0001-01-03T00:00:00.0000000Z" and id pr)"#,
            r#"and(active|eq|true and(meta.lastModified|ge|"0001-01-03T00:00:00.0000000Z" id|pr))"#,
        );
    }

    #[test]
    fn unquoted_strings_are_read_only_where_allowed() {
        let lenient = FilterSyntax { unquoted_strings: true, ..FilterSyntax::default() };
        let parse_lenient = |text| Filter::parse(text, &lenient).map(|filter| tree(&filter));
        assert_eq!(parse_lenient("(externalId eq jyoung)"), Ok(r#"externalId|eq|"jyoung""#.into()));
        assert_eq!(parse_lenient("externalId eq 12"), Ok("externalId|eq|12".into()));
        assert!(parse_lenient("externalId eq ").is_err());
        assert!(parse_lenient("externalId eq j\"x").is_err());
        assert!(parse("externalId eq jyoung").is_err());
    }

    fn refused(text: &str, expected: &str) {
        assert_eq!(parse(text).map_err(|error| error.to_string()), Err(expected.to_owned()), "{text}");
    }

    #[test]
    fn faults_are_refused_with_their_place() {
        let no_path = "expected the path of an attribute at column";
        refused("", &format!("{no_path} 1, but found the end"));
        refused("   ", &format!("{no_path} 4, but found the end"));
        refused("()", &format!("{no_path} 2, but found \")\""));
        refused("a pr and ", &format!("{no_path} 10, but found the end"));
        refused("\"a\" eq 1", &format!("{no_path} 1, but found \"\\\"a\\\" eq 1\""));
        refused("e[]", &format!("{no_path} 3, but found \"]\""));
        refused("ä pr", &format!("{no_path} 1, but found \"ä pr\""));
        let no_operator = "expected an operator (eq, ne, co, sw, ew, gt, ge, lt, le, pr) at column";
        refused("a", &format!("{no_operator} 2, but found the end"));
        refused("a is 1", &format!("{no_operator} 3, but found \"is 1\""));
        refused("not a pr", &format!("{no_operator} 5, but found \"a pr\""));
        refused("a prx", &format!("{no_operator} 3, but found \"prx\""));
        let no_literal = "expected a string in double quotes, a number, true, false or null at column";
        refused("a eq", &format!("{no_literal} 5, but found the end"));
        refused("a eq ", &format!("{no_literal} 6, but found the end"));
        refused("a eq\"x\"", &format!("{no_literal} 5, but found \"\\\"x\\\"\""));
        for word in ["x", "'x'", "True", "01", "+1", "1.", ".5", "1e999", "{}", "a eq b"] {
            let text = format!("a eq {word}");
            refused(&text, &format!("{no_literal} 6, but found {word:?}"));
        }
        refused(
            "a eq \"\\u0000\"",
            "expected a string without U+0000 at column 6, but found \"\\\"\\\\u0000\\\"\"",
        );
        refused("a eq \"x", "expected a complete JSON string at column 6, but found \"\\\"x\"");
        refused("a eq \"\\x\"", "expected a complete JSON string at column 6, but found \"\\\"\\\\x\\\"\"");
        refused(
            "a eq \"\\ud800\" ",
            "expected a complete JSON string at column 6, but found \"\\\"\\\\ud800\\\" \"",
        );
        let no_end = "expected \"and\", \"or\" or the end at column";
        refused("a pr b pr", &format!("{no_end} 6, but found \"b pr\""));
        refused("a pr andb pr", &format!("{no_end} 6, but found \"andb pr\""));
        refused("a pr)", &format!("{no_end} 5, but found \")\""));
        refused("e[a pr]]", &format!("{no_end} 8, but found \"]\""));
        refused("(a pr", "expected \"and\", \"or\" or \")\" at column 6, but found the end");
        refused("e[a pr", "expected \"and\", \"or\" or \"]\" at column 7, but found the end");
        refused("(a pr]", "expected \"and\", \"or\" or \")\" at column 6, but found \"]\"");
        refused("e[f[a pr]]", "expected no brackets inside brackets at column 4, but found \"[a pr]]\"");
        refused("e[(f[a pr])]", "expected no brackets inside brackets at column 5, but found \"[a pr])]\"");
        refused("e[a pr].b.c pr", "expected the name of a sub-attribute at column 9, but found \"b.c pr\"");
        refused("b pr and a.b.c pr", "at column 10: expected at most one sub-attribute, but found \"a.b.c\"");
    }

    #[test]
    fn limits_hold_at_their_border() {
        let syntax = FilterSyntax { max_length: 16, max_depth: 2, unquoted_strings: false };
        let parse = |text: &str| Filter::parse(text, &syntax).map(|_| ());
        assert_eq!(parse("a eq \"890123456\""), Ok(()));
        assert_eq!(parse("a eq \"8901234567\""), Err(FilterError::TooLong { limit: 16, found: 17 }));
        assert_eq!(parse("((a pr))"), Ok(()));
        assert_eq!(parse("(e[a pr])"), Ok(()));
        assert_eq!(parse("(((a pr)))"), Err(FilterError::TooDeep { limit: 2, column: 3 }));
        assert_eq!(parse("((e[a pr]))"), Err(FilterError::TooDeep { limit: 2, column: 4 }));
        let flat = FilterSyntax { max_depth: 1, ..FilterSyntax::default() };
        assert!(Filter::parse("(a pr) and not (b pr) and c[d pr] and (e pr)", &flat).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r#"([ ()\[\].:"\\a1é]|eq|pr|not|and|or|null|true){0,30}"#) {
            let _ = parse(&text);
            let _ = parse_value_path(&text, &FilterSyntax { unquoted_strings: true, ..FilterSyntax::default() });
        }
    }
}
