//! The section `worker`: what an edge worker does beside deciding.

use super::Compiler;
use crate::authn::Provider;
use crate::config::fault::Path;
use crate::config::{document, raw};
use crate::oauth::certificate_digest;
use crate::oidc::Endpoint;
use crate::policy::NormalPath;
use crate::worker::{KeyMemory, MetricsPage, Origin, ProofMemory, StoreTarget, WorkerPolicy};
use serde_json::Value;

impl Compiler<'_> {
    /// `None` is a fault. Without the section the defaults are taken.
    pub(super) fn worker(
        &mut self,
        value: Option<Value>,
        providers: &[Provider],
        has_scim: bool,
    ) -> Option<WorkerPolicy> {
        let path = &Path::default().member("worker");
        let raw: raw::Worker = match value {
            Some(value) => document::read_part(path, value, self.faults)?,
            None => raw::Worker::default(),
        };
        let origin = match raw.origin {
            None => Some(Origin::Same),
            Some(raw::Origin::Binding(name)) => {
                self.bound_name(&path.member("origin").member("binding"), name).map(Origin::Binding)
            }
            Some(raw::Origin::Url(url)) => {
                let endpoint = self.base(&path.member("origin").member("url"), &url);
                endpoint.map(|Endpoint { scheme, authority, .. }| Origin::Url { scheme, authority })
            }
        };
        let keys = raw.keys.and_then(|keys| {
            let place = path.member("keys");
            match keys {
                raw::KeyMemory::Cache(name) => {
                    self.bound_name(&place.member("cache"), name).map(KeyMemory::Cache)
                }
                raw::KeyMemory::Kv(name) => self.bound_name(&place.member("kv"), name).map(KeyMemory::Kv),
            }
        });
        let place = path.member("proofs");
        let proofs = raw.proofs.and_then(|proofs| match proofs {
            raw::ProofMemory::Isolate => Some(ProofMemory::Isolate),
            raw::ProofMemory::DurableObject(name) => {
                self.bound_name(&place.member("durable_object"), name).map(ProofMemory::DurableObject)
            }
        });
        if proofs.is_none() && providers.iter().any(|provider| provider.binding.dpop.is_some()) {
            self.faults.add(&place, "expected where used DPoP proofs are remembered, but found nothing");
        }
        let place = path.member("secret");
        let secret = raw.secret.as_ref().and_then(|value| self.secret_bytes(&place, value));
        if raw.secret.is_none() && matches!(proofs, Some(ProofMemory::DurableObject(_))) {
            self.faults
                .add(&place, "expected the secret by which all isolates remember proofs, but found nothing");
        }
        let metrics = raw.metrics.and_then(|page| self.metrics_page(&path.member("metrics"), page));
        let analytics = raw.analytics.and_then(|name| self.bound_name(&path.member("analytics"), name));
        let place = path.member("store");
        match (&raw.store, has_scim) {
            (None, true) => self.faults.add(&place, "expected where SCIM calls go on to, but found nothing"),
            (Some(_), false) => {
                self.faults.add(&place, "expected scim, whose calls go there, but found nothing");
            }
            (None, false) | (Some(_), true) => {}
        }
        let store = raw.store.and_then(|store| self.store_target(&place, store));
        Some(WorkerPolicy { origin: origin?, keys, proofs, secret, metrics, analytics, store })
    }

    fn store_target(&mut self, path: &Path, raw: raw::StoreTarget) -> Option<StoreTarget> {
        match raw {
            raw::StoreTarget::Url(url) => {
                let place = path.member("url");
                let Endpoint { scheme, authority, .. } = self.base(&place, &url)?;
                Some(StoreTarget::Url { scheme, authority })
            }
            raw::StoreTarget::Binding(name) => {
                self.bound_name(&path.member("binding"), name).map(StoreTarget::Binding)
            }
            raw::StoreTarget::D1(name) => self.bound_name(&path.member("d1"), name).map(StoreTarget::D1),
        }
    }

    /// A URL that has a scheme, a host and perhaps a port, and nothing else.
    fn base(&mut self, path: &Path, url: &str) -> Option<Endpoint> {
        let endpoint = self.faults.check(path, Endpoint::parse(url, ""))?;
        if endpoint.path == "/" {
            return Some(endpoint);
        }
        self.faults.add(path, format_args!("expected a URL without a path, but found {url:?}"));
        None
    }

    fn metrics_page(&mut self, path: &Path, raw: raw::MetricsPage) -> Option<MetricsPage> {
        let place = path.member("path");
        let page = self.faults.expect(&place, raw.path, "the path where counts are shown")?;
        let is_path = page.len() > 1
            && NormalPath::parse(page.as_bytes())
                .is_ok_and(|path| path.as_str() == page && !page.contains('?'));
        if !is_path {
            self.faults.add(
                &place,
                format_args!("expected a path without query and percent signs, but found {page:?}"),
            );
        }
        let place = path.member("sha256");
        let sha256 = self.faults.expect(&place, raw.sha256, "the SHA-256 of a bearer token")?;
        let digest = certificate_digest(sha256.as_bytes());
        let sha256 = self.faults.expect(&place, digest, "64 hexadecimal digits")?;
        is_path.then_some(MetricsPage { path: page, sha256 })
    }

    fn bound_name(&mut self, path: &Path, name: String) -> Option<String> {
        self.faults.expect(path, Some(name).filter(|name| !name.is_empty()), "a name")
    }
}
