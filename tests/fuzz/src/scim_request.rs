//! Requests as the core reads them. The input is a query, `If-Match` and `If-None-Match` on a line each (empty for none), and a body.

use crate::scim::{is_kept, object, resource_types, sample, softenings};
use doorward::scim::{
    Conditions, CursorKey, CursorScope, PageLimits, Paging, Projection, Resource, SearchRequest, Sort,
    TypedFilter, Unknown, Version,
};
use doorward::time::UnixTime;
use serde_json::{Map, Value};

const PAGES: PageLimits = PageLimits { default_count: 100, max_count: 1000 };
const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

/// Whatever is asked, pages stay in their limits, nobody makes a cursor, conditions hold for one of two versions at most, what is
/// shown is never what is never shown, and what is taken can be kept.
pub fn check(input: &[u8]) {
    let mut parts = input.splitn(4, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (query, if_match, if_none_match, body) = (part(), part(), part(), part());
    if let Ok(search) = SearchRequest::from_query(&String::from_utf8_lossy(query)) {
        look(&search);
    }
    conditions(if_match, if_none_match);
    let Some(body) = object(body) else { return };
    if let Ok(search) = SearchRequest::from_json(&body) {
        look(&search);
    }
    take(&body);
}

fn look(search: &SearchRequest) {
    match search.paging(PAGES) {
        Ok(Paging::Index { start_index, count }) => assert!(start_index >= 1 && count <= PAGES.max_count),
        Ok(Paging::Cursor { cursor, count }) => {
            assert!((1..=PAGES.max_count).contains(&count));
            let scope = CursorScope { tenant: "a", resource_type: "User", filter: None, sort: None };
            let opened = cursor.map(|cursor| CursorKey::new([7; 32]).open(&scope, &cursor, NOW));
            assert!(!matches!(opened, Some(Ok(_))), "nobody has the key");
        }
        Err(_) => {}
    }
    for resource_type in resource_types() {
        let resource = sample(resource_type);
        if let Ok(projection) =
            Projection::new(resource_type, &search.attributes, &search.excluded_attributes)
        {
            let shown = projection.apply(&resource).to_json();
            assert_eq!(shown["id"].as_str(), resource.id(), "always returned");
            assert!(shown.get("schemas").is_some_and(Value::is_array) && shown.get("password").is_none());
        }
        if let Some(path) = &search.sort_by
            && let Ok(sort) = Sort::resolve(path, search.sort_order, resource_type)
        {
            assert!(sort.key(&resource).order(&sort.key(&resource)).is_eq());
        }
        for softenings in softenings() {
            if let Ok(Some(filter)) = search.parse_filter(&softenings.filter_syntax())
                && let Ok(filter) = TypedFilter::resolve(&filter, resource_type)
            {
                filter.matches(&resource);
            }
        }
    }
    let _ =
        search.sort_by.as_deref().map(|path| Sort::resolve_each(path, search.sort_order, resource_types()));
}

fn conditions(if_match: &[u8], if_none_match: &[u8]) {
    let field = |field| Some(field).filter(|field: &&[u8]| !field.is_empty());
    let Ok(conditions) = Conditions::parse(field(if_match), field(if_none_match)) else { return };
    let (one, other) = (Version::from(1), Version::from(2));
    let is_any = if_match.is_empty() || if_match.trim_ascii() == b"*";
    if !is_any && !if_match.contains(&b',') {
        let both = [&one, &other].map(|version| conditions.check_write(Some(version)).is_ok());
        assert_ne!(both, [true, true], "one tag is one version");
    }
    if if_match.trim_ascii() == b"*" {
        assert!(conditions.check_write(None).is_err(), "any version is a version");
    }
    let _ = conditions.check_read(&one);
}

fn take(body: &Map<String, Value>) {
    for softenings in softenings() {
        for resource_type in resource_types() {
            for unknown in [Unknown::Refused, Unknown::Dropped] {
                let mut body = body.clone();
                softenings.soften_resource(resource_type, &mut body);
                let Ok(resource) = Resource::parse(resource_type, &body, unknown) else { continue };
                assert_eq!(resource.id(), None, "whose it is, is not for the client to say");
                is_kept(&resource);
                let old = sample(resource_type);
                if let Ok(new) = resource.replacing(&old) {
                    assert_eq!(new.id(), old.id());
                    is_kept(&new);
                }
            }
        }
    }
}
