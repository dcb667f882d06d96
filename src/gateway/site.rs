//! Which tenants a request may be for: by its host and the beginning of its path.

use super::policy::TenantId;
use crate::policy::host_of;
use std::collections::HashMap;

/// Tenants by where they are called.
#[derive(Debug, Clone, Default)]
pub struct Sites {
    /// By host, in lower case and without port.
    hosts: HashMap<String, Paths>,
    /// Of tenants that any host leads to.
    any: Paths,
    /// How many segments the longest path has: no more of a request's are looked at.
    depth: usize,
}

/// By path, without a slash at the end.
type Paths = HashMap<String, Vec<TenantId>>;

/// Where a request leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Site<'s, 'p> {
    /// Tenants that are called there; more than one if only the token tells.
    pub(super) tenants: &'s [TenantId],
    /// What is left of the path.
    pub(super) rest: &'p str,
}

impl Sites {
    /// Adds a tenant, at a host (any, if none) and a path such as `/tenants/acme/scim/v2`, decoded; empty for every path.
    pub fn add(&mut self, host: Option<&str>, path: &str, tenant: TenantId) {
        self.depth = self.depth.max(path.matches('/').count());
        let paths = match host {
            Some(host) => self.hosts.entry(host.to_ascii_lowercase()).or_default(),
            None => &mut self.any,
        };
        let tenants = paths.entry(path.to_owned()).or_default();
        if !tenants.contains(&tenant) {
            tenants.push(tenant);
        }
    }

    /// Tenants that only a token tells apart.
    pub fn shared(&self) -> impl Iterator<Item = &[TenantId]> {
        let paths = self.hosts.values().chain([&self.any]);
        paths.flat_map(Paths::values).map(Vec::as_slice).filter(|tenants| tenants.len() > 1)
    }

    /// Where a request leads: by its host if that is known, and there by the longest path.
    pub(super) fn find<'s, 'p>(&'s self, authority: &[u8], path: &'p str) -> Option<Site<'s, 'p>> {
        let host = std::str::from_utf8(host_of(authority)).unwrap_or_default().to_ascii_lowercase();
        let named = self.hosts.get(&host).and_then(|paths| self.longest(paths, path));
        named.or_else(|| self.longest(&self.any, path))
    }

    fn longest<'s, 'p>(&self, paths: &'s Paths, path: &'p str) -> Option<Site<'s, 'p>> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let ends: Vec<usize> = ends.take(self.depth.saturating_add(1)).collect();
        ends.into_iter().rev().find_map(|end| {
            let (before, rest) = path.split_at_checked(end)?;
            paths.get(before).map(|tenants| Site { tenants, rest })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_at_the_named_host_wins() {
        let mut sites = Sites::default();
        sites.add(Some("SCIM.example.com"), "/tenants/acme/scim/v2", TenantId(0));
        sites.add(Some("scim.example.com"), "/tenants", TenantId(1));
        sites.add(Some("scim.example.com"), "/tenants", TenantId(2));
        sites.add(None, "", TenantId(3));
        sites.add(None, "/any", TenantId(4));
        for (host, path, expected) in [
            ("scim.example.com", "/tenants/acme/scim/v2/Users", Some((&[TenantId(0)][..], "/Users"))),
            ("SCIM.EXAMPLE.COM:8443", "/tenants/acme/scim/v2", Some((&[TenantId(0)], ""))),
            (
                "scim.example.com",
                "/tenants/acme/scim/v2x",
                Some((&[TenantId(1), TenantId(2)], "/acme/scim/v2x")),
            ),
            ("scim.example.com", "/tenantsx", Some((&[TenantId(3)], "/tenantsx"))),
            ("other.example", "/any/Users", Some((&[TenantId(4)], "/Users"))),
            ("\u{fffd}", "/Users", Some((&[TenantId(3)], "/Users"))),
        ] {
            let found = sites.find(host.as_bytes(), path).map(|site| (site.tenants, site.rest));
            assert_eq!(found, expected, "{host} {path}");
        }
        let mut named = Sites::default();
        named.add(Some("a.example"), "/scim", TenantId(0));
        assert_eq!(named.find(b"b.example", "/scim/Users"), None);
        assert_eq!(named.find(b"a.example", "/"), None);
    }

    #[test]
    fn no_more_of_a_path_is_looked_at_than_there_is_to_find() {
        let mut sites = Sites::default();
        sites.add(None, "/scim", TenantId(0));
        let long = format!("/scim{}", "/a".repeat(100_000));
        assert!(sites.find(b"", &long).is_some());
    }
}
