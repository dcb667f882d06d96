//! Lists of resources: RFC 7644 section 3.4.2.4, RFC 9865.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// How many resources a page may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimits {
    /// Where the client does not say.
    pub default_count: usize,
    /// At most.
    pub max_count: usize,
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    /// By index (RFC 7644 section 3.4.2.4).
    Index {
        /// The first resource of the page, from 1.
        start_index: u64,
        /// At most this many; none is a question for the total.
        count: usize,
    },
    /// By cursor (RFC 9865).
    Cursor {
        /// Where the page before ended; absent for the first.
        cursor: Option<String>,
        /// At most this many; one or more, unless the service's limits are zero.
        count: usize,
    },
}

/// Why a page cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PagingError {
    /// By cursor, a page has one resource or more (RFC 9865 section 2, `count`).
    #[error("count: expected 1 or more by cursor, but found {found}")]
    CountTooSmall {
        /// What was asked for.
        found: i64,
    },
}

impl Paging {
    /// What the parameters ask for. By index nothing is an error: a `startIndex` below 1 is 1, a `count` below 0 is
    /// 0. Either way a `count` above the maximum is the maximum: `maxPageSize` holds whatever is asked for (RFC 9865
    /// section 4). With a `cursor`, be it empty, `startIndex` means nothing.
    ///
    /// # Errors
    /// [`PagingError::CountTooSmall`], by cursor.
    pub fn new(
        start_index: Option<i64>,
        count: Option<i64>,
        cursor: Option<&str>,
        limits: PageLimits,
    ) -> Result<Self, PagingError> {
        let max = limits.max_count;
        let clamped = match count {
            None => limits.default_count.min(max),
            Some(count) => usize::try_from(count.max(0)).unwrap_or(max).min(max),
        };
        let Some(cursor) = cursor else {
            let start_index = start_index.and_then(|index| u64::try_from(index).ok()).unwrap_or(1).max(1);
            return Ok(Self::Index { start_index, count: clamped });
        };
        if let Some(found) = count.filter(|count| *count < 1) {
            return Err(PagingError::CountTooSmall { found });
        }
        let cursor = (!cursor.is_empty()).then(|| cursor.to_owned());
        Ok(Self::Cursor { cursor, count: clamped })
    }
}

/// A page of a list, which serializes to the body of the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListResponse<R> {
    /// How many resources there are on all pages; may be unknown by cursor.
    pub total_results: Option<u64>,
    /// The first resource of the page, from 1; by index.
    pub start_index: Option<u64>,
    /// Where the next page begins; absent on the last; by cursor.
    pub next_cursor: Option<String>,
    /// Where the page before begins; by cursor.
    pub previous_cursor: Option<String>,
    /// The page.
    pub resources: Vec<R>,
}

impl<R> ListResponse<R> {
    /// The schema of a list.
    pub const SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

    /// A page by index.
    pub fn indexed(total_results: u64, start_index: u64, resources: Vec<R>) -> Self {
        Self {
            total_results: Some(total_results),
            start_index: Some(start_index),
            next_cursor: None,
            previous_cursor: None,
            resources,
        }
    }

    /// A whole list on one page.
    pub fn whole(resources: Vec<R>) -> Self {
        Self::indexed(u64::try_from(resources.len()).unwrap_or(u64::MAX), 1, resources)
    }

    /// A page by cursor.
    pub fn by_cursor(total_results: Option<u64>, next_cursor: Option<String>, resources: Vec<R>) -> Self {
        Self { total_results, start_index: None, next_cursor, previous_cursor: None, resources }
    }
}

impl<R: Serialize> Serialize for ListResponse<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schemas", &[Self::SCHEMA])?;
        if let Some(total_results) = self.total_results {
            map.serialize_entry("totalResults", &total_results)?;
        }
        if let Some(start_index) = self.start_index {
            map.serialize_entry("startIndex", &start_index)?;
        }
        map.serialize_entry("itemsPerPage", &self.resources.len())?;
        if let Some(cursor) = &self.next_cursor {
            map.serialize_entry("nextCursor", cursor)?;
        }
        if let Some(cursor) = &self.previous_cursor {
            map.serialize_entry("previousCursor", cursor)?;
        }
        map.serialize_entry("Resources", &self.resources)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LIMITS: PageLimits = PageLimits { default_count: 50, max_count: 200 };

    #[test]
    fn no_index_is_an_error() {
        let check = |start_index, count, expected: (u64, usize)| {
            let (start_index_found, count_found) = expected;
            let expected = Paging::Index { start_index: start_index_found, count: count_found };
            assert_eq!(Paging::new(start_index, count, None, LIMITS), Ok(expected));
        };
        check(None, None, (1, 50));
        check(Some(1), Some(200), (1, 200));
        check(Some(0), Some(0), (1, 0));
        check(Some(-5), Some(-5), (1, 0));
        check(Some(i64::MIN), Some(i64::MIN), (1, 0));
        check(Some(11), Some(201), (11, 200));
        check(Some(i64::MAX), Some(i64::MAX), (i64::MAX as u64, 200));
    }

    #[test]
    fn by_cursor_a_page_has_a_resource_at_least() {
        let check = |cursor: &str, count, expected: Result<(Option<&str>, usize), i64>| {
            let expected = expected
                .map(|(cursor, count)| Paging::Cursor { cursor: cursor.map(str::to_owned), count })
                .map_err(|found| PagingError::CountTooSmall { found });
            assert_eq!(Paging::new(Some(7), count, Some(cursor), LIMITS), expected);
        };
        check("", None, Ok((None, 50)));
        check("abc", Some(1), Ok((Some("abc"), 1)));
        check("abc", Some(i64::MAX), Ok((Some("abc"), 200)));
        check("abc", Some(0), Err(0));
        check("abc", Some(-1), Err(-1));
    }

    #[test]
    fn a_page_is_written_with_integers() {
        let page = serde_json::to_value(ListResponse::indexed(12, 11, vec![json!({"id": "a"})])).unwrap();
        let schemas = json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"]);
        let expected = json!({
            "schemas": schemas, "totalResults": 12, "startIndex": 11, "itemsPerPage": 1, "Resources": [{"id": "a"}]
        });
        assert_eq!(page, expected);
        let page = ListResponse::<()>::by_cursor(None, Some("c".into()), Vec::new());
        let expected = json!({"schemas": schemas, "itemsPerPage": 0, "nextCursor": "c", "Resources": []});
        assert_eq!(serde_json::to_value(page).unwrap(), expected);
        let empty = serde_json::to_value(ListResponse::<()>::whole(Vec::new())).unwrap();
        assert_eq!((empty["totalResults"].as_u64(), empty["startIndex"].as_u64()), (Some(0), Some(1)));
    }
}
