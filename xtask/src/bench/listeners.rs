//! What is compared: one Envoy with one worker, and a listener for each. All have the same keys, issuer, audience, and the
//! same three claims to headers; no access log; Envoy answers itself.

use super::nothing;
use super::tokens::{AUDIENCE, ISSUER};
use anyhow::{Context, Result};
use doorward_testbed::port::loopback;
use doorward_testbed::{EnvoyConfig, Listener, WasmPlugin, folder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// The token cache of the native filter, where it has one: it must hold all tokens that come again. Its default is 100.
pub(super) const NATIVE_CACHE: u32 = 10_000;

const HEADERS: [(&str, &str); 3] = [("x-user-id", "sub"), ("x-user-email", "email"), ("x-tenant", "tenant")];

/// One of the listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Subject {
    Bare,
    Nothing,
    Native,
    NativeCache,
    Ours,
}

impl Subject {
    pub(super) const ALL: [Self; 5] =
        [Self::Bare, Self::Nothing, Self::Native, Self::NativeCache, Self::Ours];

    /// The listener's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Nothing => "nothing",
            Self::Native => "native",
            Self::NativeCache => "native-cache",
            Self::Ours => "ours",
        }
    }

    /// What people read.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Bare => "no filter",
            Self::Nothing => "wasm, does nothing",
            Self::Native => "native",
            Self::NativeCache => "native, with cache",
            Self::Ours => "Doorward",
        }
    }

    /// Whether it looks at tokens.
    pub(super) fn judges(self) -> bool {
        matches!(self, Self::Native | Self::NativeCache | Self::Ours)
    }
}

/// The module that is measured: whatever `dist` holds.
pub(super) fn module() -> PathBuf {
    folder::dist().join("jwt-authn.wasm")
}

/// An Envoy with listeners for these.
pub(super) fn config(subjects: &[Subject], jwks: &Value) -> Result<EnvoyConfig> {
    // Nobody is there, and nobody is asked.
    let mut config = EnvoyConfig::new(loopback(1)).component_log_level("wasm:warning");
    for subject in subjects {
        config = config.listener(listener(*subject, jwks)?);
    }
    Ok(config)
}

fn listener(subject: Subject, jwks: &Value) -> Result<Listener> {
    let listener =
        Listener::new(subject.name()).direct_response().connection_manager("access_log", json!([]));
    Ok(match subject {
        Subject::Bare => listener,
        Subject::Nothing => {
            let file = folder::scratch("bench")?.join("nothing.wasm");
            fs::write(&file, nothing::module())
                .with_context(|| format!("expected to write {}", file.display()))?;
            listener.wasm(&WasmPlugin::new(file, &json!({})).name("nothing").vm_id("nothing"))
        }
        Subject::Native => listener.http_filter(native(jwks, None)),
        Subject::NativeCache => listener.http_filter(native(jwks, Some(NATIVE_CACHE))),
        Subject::Ours => listener.wasm(&WasmPlugin::new(module(), &ours(jwks))),
    })
}

fn ours(jwks: &Value) -> Value {
    let header = |(header, claim)| json!({ "header": header, "claim": [claim] });
    json!({
        "providers": { "bench": { "issuer": ISSUER, "audiences": [AUDIENCE], "jwks": { "inline": jwks } } },
        "rules": [{ "match": { "path": { "prefix": "/" } }, "require": { "provider": "bench" } }],
        "identity_headers": HEADERS.map(header),
    })
}

/// Envoy's `jwt_authn`. Like ours it takes the token out of the request, and knows `exp` and `nbf` give or take a minute.
fn native(jwks: &Value, cache: Option<u32>) -> Value {
    let header = |(header, claim)| json!({ "header_name": header, "claim_name": claim });
    let mut provider = json!({
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": { "inline_string": jwks.to_string() },
        "claim_to_headers": HEADERS.map(header),
    });
    if let (Some(size), Some(provider)) = (cache, provider.as_object_mut()) {
        provider.insert("jwt_cache_config".to_owned(), json!({ "jwt_cache_size": size }));
    }
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": { "bench": provider },
            "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "bench" } }],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_native_filter_has_a_cache_and_all_have_three_headers() {
        let at = |config: &Value, path: &str| config.pointer(path).cloned();
        let provider = "/typed_config/providers/bench";
        for (cache, expected) in [(None, None), (Some(9), Some(json!(9)))] {
            let config = native(&json!({ "keys": [] }), cache);
            assert_eq!(at(&config, &format!("{provider}/jwt_cache_config/jwt_cache_size")), expected);
            assert_eq!(
                at(&config, &format!("{provider}/claim_to_headers/2/header_name")),
                Some(json!("x-tenant"))
            );
        }
        assert_eq!(at(&ours(&json!({})), "/identity_headers/2/header"), Some(json!("x-tenant")));
    }

    #[test]
    fn each_subject_has_a_listener_of_its_name() {
        let config = config(&Subject::ALL, &json!({ "keys": [] })).unwrap();
        let bootstrap = config.bootstrap(std::path::Path::new("/x"));
        for (index, subject) in Subject::ALL.into_iter().enumerate() {
            let listener = &bootstrap["static_resources"]["listeners"][index];
            assert_eq!(listener["name"], subject.name());
            let manager = &listener["filter_chains"][0]["filters"][0]["typed_config"];
            assert_eq!(manager["access_log"], json!([]));
            assert_eq!(manager["stat_prefix"], subject.name());
        }
    }
}
