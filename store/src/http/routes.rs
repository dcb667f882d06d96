//! What a path is called in the log and in metrics: without ids, which are personal data and without number.

use std::collections::BTreeSet;
use std::sync::Arc;

/// Endpoints of every service.
const COMMON: [&str; 7] = ["/", "/.search", "/Bulk", "/Me", "/ServiceProviderConfig", "/changes", "/Schemas"];
const OTHER: &str = "other";

/// The routes of a service.
#[derive(Debug)]
pub(super) struct Routes {
    known: BTreeSet<Arc<str>>,
    other: Arc<str>,
}

impl Routes {
    /// Those with the endpoints of these resource types, such as `/Users`.
    pub(super) fn new<'e>(endpoints: impl IntoIterator<Item = &'e str>) -> Self {
        let mut known: BTreeSet<Arc<str>> = COMMON.into_iter().map(Arc::from).collect();
        known.extend(["/Schemas/{id}", "/ResourceTypes", "/ResourceTypes/{id}"].map(Arc::from));
        for endpoint in endpoints {
            known.extend([
                endpoint.into(),
                format!("{endpoint}/{{id}}").into(),
                format!("{endpoint}/.search").into(),
            ]);
        }
        Self { known, other: OTHER.into() }
    }

    /// The route of a path below the base path.
    pub(super) fn name(&self, path: &str) -> Arc<str> {
        let shape = match path.split_once('/').and_then(|(_, rest)| rest.split_once('/')) {
            Some((_, rest)) if rest.is_empty() || rest.contains('/') => OTHER.to_owned(),
            Some((first, ".search")) => format!("/{first}/.search"),
            Some((first, _)) => format!("/{first}/{{id}}"),
            None => path.to_owned(),
        };
        self.known.get(shape.as_str()).unwrap_or(&self.other).clone()
    }

    /// The name of what is no route.
    pub(super) fn other(&self) -> Arc<str> {
        self.other.clone()
    }
}

/// The method, if it is one that the service may know: a client can send any word.
pub(super) fn method(method: &str) -> &'static str {
    match method {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_a_path_without_ids() {
        let routes = Routes::new(["/Users", "/Groups"]);
        for (path, expected) in [
            ("/", "/"),
            ("/Users", "/Users"),
            ("/Users/bjensen@example.com", "/Users/{id}"),
            ("/Users/.search", "/Users/.search"),
            ("/.search", "/.search"),
            ("/Schemas/urn:a:b", "/Schemas/{id}"),
            ("/ServiceProviderConfig", "/ServiceProviderConfig"),
            ("/users", "other"),
            ("/Users/", "other"),
            ("/Users/1/2", "other"),
            ("/bjensen@example.com", "other"),
            ("/bjensen/1", "other"),
            ("", "other"),
        ] {
            assert_eq!(&*routes.name(path), expected, "{path}");
        }
    }
}
