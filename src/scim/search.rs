//! What is searched for: RFC 7644 sections 3.4.2 (in a URL) and 3.4.3 (in a body).

use super::filter::{Filter, FilterError, FilterSyntax};
use super::list::{PageLimits, Paging, PagingError};
use super::sort::SortOrder;
use serde_json::{Map, Value as Json, json};
use std::fmt::Write;

/// The parameters of a search, from the query of a URL or from the body of `POST …/.search`. A GET of one resource
/// has some of them too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchRequest {
    /// Attributes to return.
    pub attributes: Vec<String>,
    /// Attributes to leave out.
    pub excluded_attributes: Vec<String>,
    /// A filter, not yet read; one that is empty is there, and at fault.
    pub filter: Option<String>,
    /// The attribute to sort by.
    pub sort_by: Option<String>,
    /// In which order.
    pub sort_order: SortOrder,
    /// The first resource of the page, from 1.
    pub start_index: Option<i64>,
    /// How many resources at most.
    pub count: Option<i64>,
    /// Where a page begins (RFC 9865); empty for the first page by cursor.
    pub cursor: Option<String>,
}

/// Why a search was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// `%` without two hexadecimal digits, or not UTF-8.
    #[error("{0}: expected percent-encoded UTF-8")]
    BadEncoding(&'static str),
    /// Given twice: nobody knows which is meant.
    #[error("{0}: expected it once, but found it again")]
    Twice(&'static str),
    /// Not an integer.
    #[error("{parameter}: expected an integer, but found {found:?}")]
    NotAnInteger {
        /// `startIndex` or `count`.
        parameter: &'static str,
        /// What was found.
        found: String,
    },
    /// Not an order.
    #[error("sortOrder: expected \"ascending\" or \"descending\", but found {0:?}")]
    BadOrder(String),
    /// A member of the body has another type of JSON.
    #[error("{parameter}: expected {expected}")]
    WrongType {
        /// The member.
        parameter: &'static str,
        /// `a string`, ….
        expected: &'static str,
    },
    /// The body is no SearchRequest.
    #[error("schemas: expected {:?} among them", SearchRequest::SCHEMA)]
    NoSearchRequest,
}

impl SearchError {
    /// The parameter at fault; none if it is the body.
    pub fn parameter(&self) -> Option<&'static str> {
        match self {
            Self::BadEncoding(parameter)
            | Self::Twice(parameter)
            | Self::NotAnInteger { parameter, .. }
            | Self::WrongType { parameter, .. } => Some(parameter),
            Self::BadOrder(_) => Some(SORT_ORDER),
            Self::NoSearchRequest => None,
        }
    }
}

const ATTRIBUTES: &str = "attributes";
const EXCLUDED_ATTRIBUTES: &str = "excludedAttributes";
pub(super) const FILTER: &str = "filter";
const SORT_BY: &str = "sortBy";
const SORT_ORDER: &str = "sortOrder";
const START_INDEX: &str = "startIndex";
pub(super) const COUNT: &str = "count";
const CURSOR: &str = "cursor";
const PARAMETERS: [&str; 8] =
    [ATTRIBUTES, EXCLUDED_ATTRIBUTES, FILTER, SORT_BY, SORT_ORDER, START_INDEX, COUNT, CURSOR];

impl SearchRequest {
    /// The schema of the body.
    pub const SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

    /// Reads the query of a URL, what follows `?`. Parameters that are not of the RFC are left to others: Entra ID
    /// sends one (`?aadOptscim062020`). Names are read in any case.
    ///
    /// # Errors
    /// [`SearchError`], the first fault.
    pub fn from_query(query: &str) -> Result<Self, SearchError> {
        let mut search = Self::default();
        let mut seen = Vec::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // A name that cannot be decoded is none of ours.
            let Some(parameter) = decode(name).and_then(|name| parameter(&name)) else { continue };
            if seen.contains(&parameter) {
                return Err(SearchError::Twice(parameter));
            }
            seen.push(parameter);
            let value = decode(value).ok_or(SearchError::BadEncoding(parameter))?;
            let integer = |value: &str| {
                parse_integer(value)
                    .ok_or_else(|| SearchError::NotAnInteger { parameter, found: value.to_owned() })
            };
            match parameter {
                ATTRIBUTES => search.attributes = split_names(&value),
                EXCLUDED_ATTRIBUTES => search.excluded_attributes = split_names(&value),
                FILTER => search.filter = Some(value),
                SORT_BY => search.sort_by = Some(value).filter(|value| !value.is_empty()),
                SORT_ORDER => search.sort_order = order(&value)?,
                START_INDEX => search.start_index = Some(integer(&value)?),
                COUNT => search.count = Some(integer(&value)?),
                _ => search.cursor = Some(value),
            }
        }
        Ok(search)
    }

    /// Reads the body of `POST …/.search`. Names are read in any case; `null` is absent; members that are not of the
    /// RFC are left out.
    ///
    /// # Errors
    /// [`SearchError`], the first fault.
    pub fn from_json(body: &Map<String, Json>) -> Result<Self, SearchError> {
        let schemas =
            body.iter().find(|(name, _)| name.eq_ignore_ascii_case("schemas")).map(|(_, value)| value);
        let is_ours =
            |schema: &Json| schema.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(Self::SCHEMA));
        if !schemas.and_then(Json::as_array).is_some_and(|schemas| schemas.iter().any(is_ours)) {
            return Err(SearchError::NoSearchRequest);
        }
        let mut search = Self::default();
        let mut seen = Vec::new();
        for (name, value) in body.iter().filter(|(_, value)| !value.is_null()) {
            let Some(parameter) = parameter(name) else { continue };
            if seen.contains(&parameter) {
                return Err(SearchError::Twice(parameter));
            }
            seen.push(parameter);
            let wrong = |expected| SearchError::WrongType { parameter, expected };
            let text = || value.as_str().map(str::to_owned).ok_or_else(|| wrong("a string"));
            let integer = || {
                value
                    .as_i64()
                    .ok_or_else(|| SearchError::NotAnInteger { parameter, found: value.to_string() })
            };
            let names = || {
                let items = value.as_array().ok_or_else(|| wrong("an array of strings"))?;
                let name = |item: &Json| item.as_str().map(str::to_owned);
                items.iter().map(name).collect::<Option<_>>().ok_or_else(|| wrong("an array of strings"))
            };
            match parameter {
                ATTRIBUTES => search.attributes = names()?,
                EXCLUDED_ATTRIBUTES => search.excluded_attributes = names()?,
                FILTER => search.filter = Some(text()?),
                SORT_BY => search.sort_by = Some(text()?).filter(|value| !value.is_empty()),
                SORT_ORDER => search.sort_order = order(&text()?)?,
                START_INDEX => search.start_index = Some(integer()?),
                COUNT => search.count = Some(integer()?),
                _ => search.cursor = Some(text()?),
            }
        }
        Ok(search)
    }
}

impl SearchRequest {
    /// As the query of a URL, which [`SearchRequest::from_query`] reads as the same search.
    pub fn to_query(&self) -> String {
        let mut query = String::new();
        let mut add = |name: &str, value: &str| {
            query.push_str(if query.is_empty() { "" } else { "&" });
            query.push_str(name);
            query.push('=');
            encode(value, &mut query);
        };
        if !self.attributes.is_empty() {
            add(ATTRIBUTES, &self.attributes.join(","));
        }
        if !self.excluded_attributes.is_empty() {
            add(EXCLUDED_ATTRIBUTES, &self.excluded_attributes.join(","));
        }
        for (name, value) in [(FILTER, &self.filter), (SORT_BY, &self.sort_by), (CURSOR, &self.cursor)] {
            if let Some(value) = value {
                add(name, value);
            }
        }
        if self.sort_order != SortOrder::default() {
            add(SORT_ORDER, self.sort_order.as_str());
        }
        for (name, value) in [(START_INDEX, self.start_index), (COUNT, self.count)] {
            if let Some(value) = value {
                add(name, &value.to_string());
            }
        }
        query
    }

    /// As the body of `POST …/.search`, which [`SearchRequest::from_json`] reads as the same search.
    pub fn to_json(&self) -> Json {
        let mut body = Map::new();
        let mut add = |name: &str, value: Json| body.insert(name.to_owned(), value);
        add("schemas", json!([Self::SCHEMA]));
        for (name, names) in
            [(ATTRIBUTES, &self.attributes), (EXCLUDED_ATTRIBUTES, &self.excluded_attributes)]
        {
            if !names.is_empty() {
                add(name, json!(names));
            }
        }
        for (name, value) in [(FILTER, &self.filter), (SORT_BY, &self.sort_by), (CURSOR, &self.cursor)] {
            if let Some(value) = value {
                add(name, json!(value));
            }
        }
        if self.sort_order != SortOrder::default() {
            add(SORT_ORDER, json!(self.sort_order.as_str()));
        }
        for (name, value) in [(START_INDEX, self.start_index), (COUNT, self.count)] {
            if let Some(value) = value {
                add(name, json!(value));
            }
        }
        Json::Object(body)
    }

    /// The filter, read; held against a resource type it says what is meant.
    ///
    /// # Errors
    /// [`FilterError`]; a filter that is empty is at fault too.
    pub fn parse_filter(&self, syntax: &FilterSyntax) -> Result<Option<Filter>, FilterError> {
        self.filter.as_deref().map(|filter| Filter::parse(filter, syntax)).transpose()
    }

    /// Which page is asked for.
    ///
    /// # Errors
    /// As [`Paging::new`].
    pub fn paging(&self, limits: PageLimits) -> Result<Paging, PagingError> {
        Paging::new(self.start_index, self.count, self.cursor.as_deref(), limits)
    }
}

fn parameter(name: &str) -> Option<&'static str> {
    PARAMETERS.into_iter().find(|parameter| parameter.eq_ignore_ascii_case(name))
}

fn split_names(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn order(value: &str) -> Result<SortOrder, SearchError> {
    if value.is_empty() {
        return Ok(SortOrder::default());
    }
    SortOrder::from_word(value).ok_or_else(|| SearchError::BadOrder(value.to_owned()))
}

/// An integer of any size; one that does not fit is as good as the largest or smallest that does.
fn parse_integer(text: &str) -> Option<i64> {
    let (digits, is_negative) = match text.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(if is_negative { i64::MIN } else { i64::MAX }))
}

/// Encodes what is not unreserved (RFC 3986 section 2.3), and leaves what is common in paths and harmless in a query.
fn encode(text: &str, encoded: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:,".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
}

/// Decodes as HTML forms do: `+` is a space.
fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high << 4 | low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_query_is_read() {
        let check = |query: &str, expected: SearchRequest| {
            assert_eq!(SearchRequest::from_query(query), Ok(expected), "{query}");
        };
        let none = SearchRequest::default;
        check("", none());
        check("aadOptscim062020", none());
        check("&&x=%zz&%zz=1", none());
        let filter = |text: &str| SearchRequest { filter: Some(text.to_owned()), ..none() };
        check("filter=userName%20eq%20%22x%22", filter("userName eq \"x\""));
        check("Filter=userName+eq+%22a%2Bb%22&aadOptscim062020", filter("userName eq \"a+b\""));
        check("filter=a=b", filter("a=b"));
        check("filter=%C3%A9", filter("é"));
        check("filter=", filter(""));
        check("filter", filter(""));
        check(
            "attributes=userName,%20name.familyName,&excludedAttributes=members&sortBy=userName&sortOrder=Descending",
            SearchRequest {
                attributes: names(&["userName", "name.familyName"]),
                excluded_attributes: names(&["members"]),
                sort_by: Some("userName".into()),
                sort_order: SortOrder::Descending,
                ..none()
            },
        );
        check(
            "startIndex=-1&count=99999999999999999999",
            SearchRequest { start_index: Some(-1), count: Some(i64::MAX), ..none() },
        );
        check("cursor&count=10", SearchRequest { cursor: Some(String::new()), count: Some(10), ..none() });
        check(
            "cursor=VZUTiyhEQJ94IR&sortBy=",
            SearchRequest { cursor: Some("VZUTiyhEQJ94IR".into()), ..none() },
        );
    }

    #[test]
    fn no_filter_is_not_an_empty_filter() {
        let parse = |query: &str| {
            let search = SearchRequest::from_query(query).unwrap();
            search
                .parse_filter(&FilterSyntax::default())
                .map(|filter| filter.map(|filter| filter.to_string()))
        };
        assert_eq!(parse("count=1"), Ok(None));
        assert_eq!(parse("filter=title+PR"), Ok(Some("title pr".into())));
        assert!(parse("filter=").is_err() && parse("filter=%20").is_err());
    }

    #[test]
    fn a_query_at_fault_is_refused_with_its_parameter() {
        let check = |query: &str, expected: SearchError| {
            assert_eq!(SearchRequest::from_query(query), Err(expected), "{query}");
        };
        let not_an_integer =
            |parameter, found: &str| SearchError::NotAnInteger { parameter, found: found.to_owned() };
        check("filter=%2", SearchError::BadEncoding("filter"));
        check("filter=%xy", SearchError::BadEncoding("filter"));
        check("filter=%ff", SearchError::BadEncoding("filter"));
        check("filter=a&filter=a", SearchError::Twice("filter"));
        check("filter=a&FILTER=b", SearchError::Twice("filter"));
        check("count=ten", not_an_integer("count", "ten"));
        check("count=", not_an_integer("count", ""));
        check("startIndex=1.5", not_an_integer("startIndex", "1.5"));
        check("startIndex=-", not_an_integer("startIndex", "-"));
        check("sortOrder=up", SearchError::BadOrder("up".into()));
    }

    #[test]
    fn a_body_is_read() {
        let body = json!({
            "schemas": [SearchRequest::SCHEMA],
            "attributes": ["displayName", "userName"],
            "FILTER": "displayName sw \"smith\"",
            "sortBy": null,
            "sortOrder": "ascending",
            "startIndex": 1,
            "count": 10,
            "extra": {}
        });
        let expected = SearchRequest {
            attributes: names(&["displayName", "userName"]),
            filter: Some("displayName sw \"smith\"".into()),
            start_index: Some(1),
            count: Some(10),
            ..SearchRequest::default()
        };
        assert_eq!(SearchRequest::from_json(body.as_object().unwrap()), Ok(expected));
    }

    #[test]
    fn a_body_at_fault_is_refused_with_its_member() {
        let check = |member: &str, value: Json, expected: SearchError| {
            let body = json!({"schemas": [SearchRequest::SCHEMA], member: value});
            assert_eq!(SearchRequest::from_json(body.as_object().unwrap()), Err(expected), "{body}");
        };
        let wrong = |parameter, expected| SearchError::WrongType { parameter, expected };
        check("attributes", json!("userName"), wrong("attributes", "an array of strings"));
        check("attributes", json!([1]), wrong("attributes", "an array of strings"));
        check("filter", json!(1), wrong("filter", "a string"));
        check("count", json!("1"), SearchError::NotAnInteger { parameter: "count", found: "\"1\"".into() });
        check("schemas", json!([]), SearchError::NoSearchRequest);
        check("schemas", json!("x"), SearchError::NoSearchRequest);
        let twice = json!({"schemas": [SearchRequest::SCHEMA], "count": 1, "Count": 1});
        assert_eq!(SearchRequest::from_json(twice.as_object().unwrap()), Err(SearchError::Twice("count")));
    }

    fn searches() -> impl Strategy<Value = SearchRequest> {
        let names = || prop::collection::vec("[a-zA-Z:.]{1,8}", 0..3);
        let text = || prop::option::of(any::<String>());
        let order = prop::sample::select(vec![SortOrder::Ascending, SortOrder::Descending]);
        let numbers = (any::<Option<i64>>(), any::<Option<i64>>());
        (names(), names(), text(), prop::option::of(".{1,9}"), order, numbers, text()).prop_map(
            |(attributes, excluded_attributes, filter, sort_by, sort_order, (start_index, count), cursor)| {
                SearchRequest {
                    attributes,
                    excluded_attributes,
                    filter,
                    sort_by,
                    sort_order,
                    start_index,
                    count,
                    cursor,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_search_is_written_as_it_is_read(search in searches()) {
            let query = search.to_query();
            prop_assert_eq!(SearchRequest::from_query(&query), Ok(search.clone()), "{}", query);
            let body = search.to_json();
            prop_assert_eq!(SearchRequest::from_json(body.as_object().unwrap()), Ok(search));
        }

        #[test]
        fn no_query_panics(query in "[a-z%&=+0-9é]{0,40}|(filter|count|cursor)=.{0,20}") {
            let _ = SearchRequest::from_query(&query);
        }
    }
}
