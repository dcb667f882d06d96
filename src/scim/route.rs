//! Which resource or service a path names.

use super::catalog::Catalog;
use super::error::ScimError;
use super::resource_type::ResourceType;
use std::sync::Arc;

/// What a path names, below the base URL (RFC 7644 section 3.2).
#[derive(Debug, Clone, PartialEq)]
pub enum Route {
    /// `/`: resources of every type.
    Root,
    /// `/.search`.
    RootSearch,
    /// `/Users`.
    Resources(Arc<ResourceType>),
    /// `/Users/.search`.
    Search(Arc<ResourceType>),
    /// `/Users/2819c223`.
    Resource(Arc<ResourceType>, String),
    /// `/ServiceProviderConfig`.
    ServiceProviderConfig,
    /// `/ResourceTypes`, or one of them.
    ResourceTypes(Option<String>),
    /// `/Schemas`, or one of them.
    Schemas(Option<String>),
    /// `/Bulk`.
    Bulk,
    /// `/Me`.
    Me,
    /// `/changes`, the change feed: not of the RFC.
    Changes,
}

impl Route {
    /// What `path` names; it is still percent-encoded.
    ///
    /// # Errors
    /// 404.
    pub fn of(catalog: &Catalog, path: &str) -> Result<Self, ScimError> {
        let missing =
            || ScimError::new(404, "expected the path of a resource or an endpoint, but found another");
        let path = path.trim_start_matches('/');
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut segments = path.split('/');
        let (first, second) = (segments.next().unwrap_or_default(), segments.next());
        if segments.next().is_some() {
            return Err(missing());
        }
        let second = match second {
            // PostgreSQL has no texts with U+0000: nothing is called so.
            Some(encoded) => {
                let name = decoded(encoded).filter(|name| !name.is_empty() && !name.contains('\0'));
                Some(name.ok_or_else(missing)?)
            }
            None => None,
        };
        Ok(match (first, second) {
            ("", None) => Self::Root,
            (".search", None) => Self::RootSearch,
            ("ServiceProviderConfig", None) => Self::ServiceProviderConfig,
            ("ResourceTypes", name) => Self::ResourceTypes(name),
            ("Schemas", urn) => Self::Schemas(urn),
            ("Bulk", None) => Self::Bulk,
            ("Me", _) => Self::Me,
            ("changes", None) => Self::Changes,
            (endpoint, second) => {
                let resource_type = catalog.resource_type_at(&format!("/{endpoint}")).ok_or_else(missing)?;
                let resource_type = Arc::clone(resource_type);
                match second {
                    None => Self::Resources(resource_type),
                    Some(search) if search == ".search" => Self::Search(resource_type),
                    Some(id) => Self::Resource(resource_type, id),
                }
            }
        })
    }

    /// The methods that it has, for `Allow`.
    pub fn methods(&self) -> &'static str {
        match self {
            Self::Root
            | Self::ServiceProviderConfig
            | Self::ResourceTypes(_)
            | Self::Schemas(_)
            | Self::Changes => "GET, HEAD",
            Self::RootSearch | Self::Search(_) | Self::Bulk => "POST",
            Self::Resources(_) => "GET, HEAD, POST",
            Self::Resource(..) => "GET, HEAD, PUT, PATCH, DELETE",
            Self::Me => "",
        }
    }
}

/// A segment without its percent signs.
fn decoded(segment: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        if *octet == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
            octets.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        } else {
            octets.push(*octet);
        }
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_what_the_rfc_says() {
        let catalog = Catalog::built_in().unwrap();
        let user = || Arc::clone(catalog.resource_type("User").unwrap());
        for (path, expected) in [
            ("", Some(Route::Root)),
            ("/", Some(Route::Root)),
            ("/.search", Some(Route::RootSearch)),
            ("/Users", Some(Route::Resources(user()))),
            ("/Users/", Some(Route::Resources(user()))),
            ("/Users/.search", Some(Route::Search(user()))),
            ("/Users/a%2Fb", Some(Route::Resource(user(), "a/b".to_owned()))),
            ("/Schemas/urn:x", Some(Route::Schemas(Some("urn:x".to_owned())))),
            ("/Bulk", Some(Route::Bulk)),
            ("/changes", Some(Route::Changes)),
            ("/users", None),
            ("/Users/a/b", None),
            ("/Users/%zz", None),
            ("/Users/%+1", None),
            ("/Users/%ff", None),
            ("/Users/a%00", None),
            ("/Bulk/1", None),
            ("/Nothing", None),
        ] {
            assert_eq!(Route::of(&catalog, path).ok(), expected, "{path}");
        }
    }
}
