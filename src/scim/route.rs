//! Which resource or service a path names.

use super::catalog::Catalog;
use super::error::ScimError;
use super::resource_type::ResourceType;
use std::fmt::Write;
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

    /// The path that names it, percent-encoded: [`Route::of`] reads it as the same.
    pub fn to_path(&self) -> String {
        match self {
            Self::Root => "/".to_owned(),
            Self::RootSearch => "/.search".to_owned(),
            Self::Resources(resource_type) => resource_type.endpoint().to_owned(),
            Self::Search(resource_type) => format!("{}/.search", resource_type.endpoint()),
            Self::Resource(resource_type, id) => format!("{}/{}", resource_type.endpoint(), encoded(id)),
            Self::ServiceProviderConfig => "/ServiceProviderConfig".to_owned(),
            Self::ResourceTypes(None) => "/ResourceTypes".to_owned(),
            Self::ResourceTypes(Some(name)) => format!("/ResourceTypes/{}", encoded(name)),
            Self::Schemas(None) => "/Schemas".to_owned(),
            Self::Schemas(Some(urn)) => format!("/Schemas/{}", encoded(urn)),
            Self::Bulk => "/Bulk".to_owned(),
            Self::Me => "/Me".to_owned(),
            Self::Changes => "/changes".to_owned(),
        }
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

/// A segment with percent signs: what is not unreserved (RFC 3986 section 2.3), but for the colons of URNs.
fn encoded(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
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
            let found = Route::of(&catalog, path).ok();
            assert_eq!(found, expected, "{path}");
            if let Some(route) = found {
                assert_eq!(Route::of(&catalog, &route.to_path()).ok(), expected, "{path}");
            }
        }
    }
}
