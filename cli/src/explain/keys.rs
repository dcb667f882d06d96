//! What providers say: their keys, from files or fetched as the proxy would fetch them, and what they answer about opaque tokens.

use doorward::authn::{Authn, Verification};
use doorward::config::Config;
use doorward::jose::{JwkSet, KeyOrigin};
use doorward::oauth::{IntrospectionCall, IntrospectionUpdate};
use doorward::oidc::{Endpoint, Fetch, FetchError, FetchResponse, KeySetSource, KeySetUpdate, Next};
use doorward::policy::ProviderId;
use doorward::time::UnixTime;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::Response;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// Where keys come from in this run.
pub(super) struct Keys {
    given: BTreeMap<usize, (String, Arc<JwkSet>)>,
    is_offline: bool,
}

/// An answer, as the key-set machine takes it, or what went wrong in words.
struct Answer {
    status: u16,
    cache_control: Option<Vec<u8>>,
    body: Vec<u8>,
}

impl Keys {
    /// Reads the files that stand in for fetches.
    pub(super) fn new(config: &Config, offline: &[String]) -> Result<Self, String> {
        let mut keys = Self { given: BTreeMap::new(), is_offline: !offline.is_empty() };
        let providers = &config.policy().providers;
        for argument in offline {
            let named = argument.split_once('=').and_then(|(name, file)| {
                Some((providers.iter().position(|provider| provider.name == name)?, file))
            });
            match named {
                Some((id, file)) => {
                    keys.given.insert(id, (file.to_owned(), read(file)?));
                }
                None => {
                    let set = read(argument)?;
                    for (id, verification) in config.verifications().iter().enumerate() {
                        if matches!(verification, Verification::Keys(source) if !matches!(source, KeySetSource::Inline(_)))
                        {
                            keys.given.entry(id).or_insert((argument.clone(), Arc::clone(&set)));
                        }
                    }
                }
            }
        }
        Ok(keys)
    }

    /// The machine that decides with these keys.
    pub(super) fn authn(&self, config: &Config) -> Authn {
        let verifications = config.verifications().iter().enumerate();
        let verifications =
            verifications.map(|(id, verification)| match (self.given.get(&id), verification) {
                (Some((_, set)), Verification::Keys(_)) => {
                    Verification::Keys(KeySetSource::Inline(Arc::clone(set)))
                }
                (_, other) => other.clone(),
            });
        let mut authn = Authn::new(config.policy().clone(), verifications.collect(), 0);
        // Nothing is remembered, and no nonce of a proxy's is known: any secret will do.
        authn.share_secret([0; 32]);
        authn
    }

    /// Asks a provider about the tokens that its machine asks about. What was said goes to `notes`. Whether it was asked.
    pub(super) fn ask(
        &self,
        authn: &mut Authn,
        id: ProviderId,
        now: UnixTime,
        notes: &mut Vec<String>,
    ) -> bool {
        if self.is_offline {
            notes.push("not asked, because of --offline".to_owned());
            return false;
        }
        let Some(machine) = authn.introspection_mut(id) else { return false };
        let calls = machine.poll(now);
        for call in &calls {
            let answer = post(call);
            let result = match &answer {
                Ok(answer) => {
                    Ok(FetchResponse { status: answer.status, cache_control: None, body: &answer.body })
                }
                Err(_) => Err(FetchError::NoResponse),
            };
            let outcome = match (machine.handle(now, call.token, result), answer) {
                (IntrospectionUpdate::Active, _) => "active".to_owned(),
                (IntrospectionUpdate::Inactive, _) => "not active".to_owned(),
                (IntrospectionUpdate::Failed(_), Err(reason)) => reason,
                (IntrospectionUpdate::Failed(error), Ok(_)) => error.to_string(),
            };
            notes.push(format!("POST {}: {outcome}", uri(&call.endpoint)));
        }
        !calls.is_empty()
    }

    /// Brings the keys that a provider's machine asks for at `at`. What was fetched goes to `notes`. Whether keys came.
    pub(super) fn bring(
        &self,
        authn: &mut Authn,
        id: ProviderId,
        at: UnixTime,
        notes: &mut Vec<String>,
    ) -> bool {
        let Some(machine) = authn.key_set_mut(id) else { return false };
        if self.is_offline {
            notes.push("none given for this provider by --offline".to_owned());
            return false;
        }
        let mut due = machine.poll(at);
        let mut came = false;
        while let Some(fetch) = due.take() {
            let shown = uri(&fetch.endpoint);
            let answer = get(&fetch);
            let result = match &answer {
                Ok(answer) => Ok(FetchResponse {
                    status: answer.status,
                    cache_control: answer.cache_control.as_deref(),
                    body: &answer.body,
                }),
                Err(_) => Err(FetchError::NoResponse),
            };
            let (update, next) = machine.handle(at, result);
            let outcome = match (update, answer) {
                (KeySetUpdate::Located, _) => "the provider's metadata".to_owned(),
                (KeySetUpdate::Fetched { keys, skipped }, _) => {
                    came = true;
                    format!("{keys} key(s), {skipped} left out")
                }
                (KeySetUpdate::Failed(FetchError::NoResponse), Err(reason)) => reason,
                (KeySetUpdate::Failed(error), _) => error.to_string(),
            };
            notes.push(format!("GET {shown}: {outcome}"));
            if let Next::Fetch(fetch) = next {
                due = Some(fetch);
            }
        }
        came
    }
}

fn read(file: &str) -> Result<Arc<JwkSet>, String> {
    let text = fs::read(file).map_err(|error| format!("{file}: expected a file to read: {error}"))?;
    // As if it had been fetched: shared secrets are left out.
    let set = JwkSet::parse(&text, KeyOrigin::Remote).map_err(|error| format!("{file}: {error}"))?;
    if set.keys().is_empty() {
        let reasons = set
            .skipped()
            .iter()
            .map(|skipped| format!("\n{file}: keys[{}]: {}", skipped.index, skipped.reason));
        return Err(format!("{file}: no usable key{}", reasons.collect::<String>()));
    }
    Ok(Arc::new(set))
}

fn uri(endpoint: &Endpoint) -> String {
    format!("{}://{}{}", endpoint.scheme, endpoint.authority, endpoint.path)
}

fn get(fetch: &Fetch) -> Result<Answer, String> {
    let request = agent(&fetch.endpoint, fetch.timeout)?.get(uri(&fetch.endpoint));
    let request = request.header("accept", "application/jwk-set+json, application/json");
    read_answer(request.call())
}

fn post(call: &IntrospectionCall) -> Result<Answer, String> {
    let mut request = agent(&call.endpoint, call.timeout)?.post(uri(&call.endpoint));
    for (name, value) in &call.headers {
        request = request.header(*name, value);
    }
    read_answer(request.send(&call.body))
}

fn read_answer(response: Result<Response<Body>, ureq::Error>) -> Result<Answer, String> {
    let mut response = response.map_err(|error| error.to_string())?;
    let limit = u64::try_from(FetchResponse::READ_BYTES).unwrap_or(u64::MAX);
    let mut body = Vec::new();
    let read = response.body_mut().as_reader().take(limit).read_to_end(&mut body);
    read.map_err(|error| error.to_string())?;
    Ok(Answer {
        status: response.status().as_u16(),
        cache_control: response.headers().get("cache-control").map(|value| value.as_bytes().to_vec()),
        body,
    })
}

/// A client that does what the proxy does: no redirects, any status is an answer, one limit for the whole exchange.
fn agent(endpoint: &Endpoint, timeout: Duration) -> Result<Agent, String> {
    let mut config = Agent::config_builder()
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(timeout));
    if endpoint.scheme == "https" {
        let found = rustls_native_certs::load_native_certs();
        if found.certs.is_empty() {
            let reasons: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
            return Err(format!("no certificate authority on this system: {}", reasons.join("; ")));
        }
        let roots: Vec<_> = found.certs.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::new_with_certs(&roots));
        config = config.tls_config(tls.build());
    }
    Ok(config.build().into())
}
