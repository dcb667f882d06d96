//! The demo issuer: it makes keys, publishes them over HTTP, and mints tokens. It can also fail, in every way that matters.

use crate::keys::{Algorithm, Keys};
use crate::port::loopback;
use crate::server::{Server, WholeRequest, WholeResponse};
use anyhow::{Context, Result, bail};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};
use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// A running issuer, on a free loopback port over plain HTTP.
#[derive(Debug)]
pub struct Issuer {
    server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    generation: u32,
    keys: Arc<Keys>,
    published: Vec<Arc<Keys>>,
    answer: Answer,
    delay: Duration,
    jwks_fetches: usize,
    metadata_fetches: usize,
}

/// How `/jwks` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// With the published keys.
    Keys,
    /// With this status and no keys.
    Status(u16),
    /// 200 with this body.
    Body(Vec<u8>),
    /// By closing the connection.
    Close,
    /// Never.
    Hang,
}

impl Issuer {
    /// Starts on any free loopback port, with new keys.
    ///
    /// # Errors
    /// If it cannot listen or make keys.
    pub async fn start() -> Result<Self> {
        Self::start_at(loopback(0)).await
    }

    /// Starts at `addr`: an issuer that comes up later than the proxy, or comes back.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub async fn start_at(addr: SocketAddr) -> Result<Self> {
        let keys = Arc::new(Keys::generate("key-1")?);
        let state = Arc::new(Mutex::new(State {
            generation: 1,
            published: vec![Arc::clone(&keys)],
            keys,
            answer: Answer::Keys,
            delay: Duration::ZERO,
            jwks_fetches: 0,
            metadata_fetches: 0,
        }));
        let shared = Arc::clone(&state);
        let server = Server::start(addr, move |request| respond(request, Arc::clone(&shared))).await?;
        Ok(Self { server, state })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// The issuer identifier, `http://127.0.0.1:PORT`; `iss` of its tokens.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// The address of the key set.
    pub fn jwks_uri(&self) -> String {
        format!("{}/jwks", self.url())
    }

    /// The address of the metadata document (OpenID Connect Discovery).
    pub fn metadata_uri(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.url())
    }

    /// The key set as published, for an inline configuration.
    ///
    /// # Errors
    /// If a key cannot be written as JSON: a bug.
    pub fn jwks(&self) -> Result<Value> {
        lock(&self.state).jwks()
    }

    /// The keys that it signs with now. Keep them over a rotation to mint tokens that should no longer be accepted.
    pub fn keys(&self) -> Arc<Keys> {
        Arc::clone(&lock(&self.state).keys)
    }

    /// A claims set that a provider with audience `api` accepts, valid from now for ten minutes, changed by `changes`: each
    /// of its members replaces the one of that name, `null` removes it.
    pub fn claims(&self, changes: &Value) -> Value {
        let now = unix_now();
        let mut claims = json!({
            "iss": self.url(), "sub": "alice", "aud": "api", "iat": now, "nbf": now, "exp": now + 600,
        });
        if let (Some(claims), Some(changes)) = (claims.as_object_mut(), changes.as_object()) {
            claims.extend(changes.clone());
            claims.retain(|_, value| !value.is_null());
        }
        claims
    }

    /// A token of type `JWT` in RS256 with [`Self::claims`] of `changes`.
    ///
    /// # Errors
    /// If it cannot be signed: a bug.
    pub fn mint(&self, changes: &Value) -> Result<String> {
        self.keys().sign(Algorithm::Rs256, "JWT", &self.claims(changes))
    }

    /// A token with the current key for `algorithm`, header `typ`, and exactly these claims.
    ///
    /// # Errors
    /// If `claims` is not an object.
    pub fn sign(&self, algorithm: Algorithm, typ: &str, claims: &Value) -> Result<String> {
        self.keys().sign(algorithm, typ, claims)
    }

    /// Replaces all keys by new ones, `key-2` after `key-1` and so on: tokens signed before have an unpublished key.
    ///
    /// # Errors
    /// If no keys can be made.
    pub fn rotate(&self) -> Result<()> {
        let keys = self.next_keys()?;
        lock(&self.state).published = vec![keys];
        Ok(())
    }

    /// Signs with new keys from now on, and publishes them beside the old ones.
    ///
    /// # Errors
    /// If no keys can be made.
    pub fn rotate_with_overlap(&self) -> Result<()> {
        let keys = self.next_keys()?;
        lock(&self.state).published.push(keys);
        Ok(())
    }

    fn next_keys(&self) -> Result<Arc<Keys>> {
        let generation = lock(&self.state).generation + 1;
        let keys = Arc::new(Keys::generate(&format!("key-{generation}"))?);
        let mut state = lock(&self.state);
        state.generation = generation;
        state.keys = Arc::clone(&keys);
        Ok(keys)
    }

    /// Lets `/jwks` answer so from now on.
    pub fn answer(&self, answer: Answer) {
        lock(&self.state).answer = answer;
    }

    /// Waits so long before each answer from now on.
    pub fn delay(&self, delay: Duration) {
        lock(&self.state).delay = delay;
    }

    /// How often `/jwks` was asked for, whatever was answered.
    pub fn jwks_fetches(&self) -> usize {
        lock(&self.state).jwks_fetches
    }

    /// How often the metadata document was asked for.
    pub fn metadata_fetches(&self) -> usize {
        lock(&self.state).metadata_fetches
    }
}

impl State {
    fn jwks(&self) -> Result<Value> {
        let keys = self.published.iter().map(|keys| keys.jwks()).collect::<Result<Vec<_>>>()?;
        Ok(json!({ "keys": keys.concat() }))
    }
}

/// Seconds since 1970-01-01T00:00:00Z.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

async fn respond(request: WholeRequest, state: Arc<Mutex<State>>) -> Result<WholeResponse> {
    let path = request.uri().path();
    let (answer, delay) = {
        let mut state = lock(&state);
        match path {
            "/jwks" => state.jwks_fetches += 1,
            "/.well-known/openid-configuration" => state.metadata_fetches += 1,
            _ => {}
        }
        (state.answer.clone(), state.delay)
    };
    tokio::time::sleep(delay).await;
    match path {
        "/jwks" => match answer {
            Answer::Keys => {
                let jwks = lock(&state).jwks()?;
                response(200, jwks.to_string())
            }
            Answer::Status(status) => response(status, json!({ "error": "told to fail" }).to_string()),
            Answer::Body(body) => response(200, body),
            Answer::Close => bail!("told to close"),
            Answer::Hang => pending().await,
        },
        "/.well-known/openid-configuration" => {
            let host = request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
            let url = format!("http://{host}");
            let metadata = json!({
                "issuer": url,
                "jwks_uri": format!("{url}/jwks"),
                "authorization_endpoint": format!("{url}/authorize"),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": Algorithm::ALL.map(Algorithm::name),
            });
            response(200, metadata.to_string())
        }
        _ => response(404, json!({ "error": "not found" }).to_string()),
    }
}

fn response(status: u16, body: impl Into<Bytes>) -> Result<WholeResponse> {
    hyper::Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .context("expected to build a response")
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Request, run, send};

    fn kids(jwks: &Value) -> Vec<String> {
        jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn keys_are_published_rotated_and_counted() {
        run(async {
            let issuer = Issuer::start().await?;
            let fetch = async || send(issuer.addr(), &Request::get("/jwks")).await;
            let first = fetch().await?.json()?;
            assert_eq!(kids(&first), ["key-1-RS256", "key-1-ES256", "key-1-EdDSA"]);
            issuer.rotate_with_overlap()?;
            assert_eq!(kids(&fetch().await?.json()?).len(), 6);
            issuer.rotate()?;
            assert_eq!(kids(&fetch().await?.json()?), ["key-3-RS256", "key-3-ES256", "key-3-EdDSA"]);
            assert_eq!(issuer.jwks()?, fetch().await?.json()?);
            assert_eq!((issuer.jwks_fetches(), issuer.metadata_fetches()), (4, 0));
            let metadata =
                Request::get("/.well-known/openid-configuration").header("host", issuer.addr().to_string());
            let metadata = send(issuer.addr(), &metadata).await?.json()?;
            assert_eq!(
                (&metadata["issuer"], &metadata["jwks_uri"]),
                (&json!(issuer.url()), &json!(issuer.jwks_uri()))
            );
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn issuer_fails_as_told() {
        run(async {
            let issuer = Issuer::start().await?;
            let fetch = async || send(issuer.addr(), &Request::get("/jwks")).await;
            issuer.answer(Answer::Status(503));
            assert_eq!(fetch().await?.status, 503);
            issuer.answer(Answer::Body(b"<html>".to_vec()));
            assert_eq!(fetch().await?.text(), "<html>");
            issuer.answer(Answer::Close);
            assert!(fetch().await.is_err());
            issuer.answer(Answer::Hang);
            assert!(tokio::time::timeout(Duration::from_millis(100), fetch()).await.is_err());
            issuer.answer(Answer::Keys);
            issuer.delay(Duration::from_millis(50));
            let asked = std::time::Instant::now();
            assert_eq!(fetch().await?.status, 200);
            assert!(asked.elapsed() >= Duration::from_millis(50));
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn claims_are_changed_and_removed() {
        run(async {
            let issuer = Issuer::start().await?;
            let claims = issuer.claims(&json!({ "exp": null, "aud": ["a", "b"], "groups": ["x"] }));
            assert_eq!(claims.get("exp"), None);
            assert_eq!(claims["aud"], json!(["a", "b"]));
            assert_eq!(claims["groups"], json!(["x"]));
            assert_eq!(claims["iss"], json!(issuer.url()));
            Ok(())
        })
        .unwrap();
    }
}
