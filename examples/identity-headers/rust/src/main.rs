//! `identity-headers-example PORT`: a service behind Doorward. It answers with what it understood of the identity headers.

mod identity;

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io::{Write, stderr};
use std::net::Ipv4Addr;
use tokio::net::TcpListener;

#[derive(Serialize)]
struct Understood {
    anonymous: bool,
    user_id: Option<String>,
    name: Option<String>,
    groups: Vec<String>,
    roles: Vec<String>,
    permissions: Vec<String>,
    address: Option<Value>,
    motto: Option<String>,
    /// As text: a reader in JavaScript would take digits away from a large number in JSON.
    employee_number: Option<String>,
    issuer: Option<String>,
    payload: Option<String>,
}

impl Understood {
    fn from(headers: &HeaderMap) -> Result<Self> {
        let payload = identity::base64url_text(headers, "x-jwt-payload")?;
        let claims: Option<Value> = payload.as_deref().map(serde_json::from_str).transpose()?;
        let user_id = identity::text(headers, "x-user-id")?;
        Ok(Self {
            // No x-user-id, no user: the document says `when_missing: reject` for it.
            anonymous: user_id.is_none(),
            user_id,
            name: identity::text(headers, "x-user-name")?,
            groups: identity::items(headers, "x-user-groups", ',')?,
            roles: identity::items(headers, "x-user-roles", ' ')?,
            permissions: identity::items(headers, "x-user-permissions", ',')?,
            address: identity::json(headers, "x-user-address")?,
            motto: identity::base64url_text(headers, "x-user-motto")?,
            employee_number: identity::integer(headers, "x-employee-number")?
                .map(|number| number.to_string()),
            issuer: claims.and_then(|claims| claims.get("iss")?.as_str().map(str::to_owned)),
            payload,
        })
    }
}

fn answer(request: &Request<Incoming>) -> (StatusCode, &'static str, String) {
    if request.uri().path() == "/healthz" {
        return (StatusCode::OK, "text/plain", "ok\n".to_owned());
    }
    let understood = Understood::from(request.headers())
        .and_then(|understood| serde_json::to_string_pretty(&understood).context("expected to write JSON"));
    let (status, body) = match understood {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => {
            // Not the user's fault: this service and the proxy's document do not agree. Nobody is let in by half an identity.
            let _ = writeln!(stderr(), "identity headers not understood: {error:#}");
            let body = json!({ "error": "identity headers not understood" });
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{body:#}"))
        }
    };
    (status, "application/json", body + "\n")
}

async fn respond(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, content_type, body) = answer(&request);
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
    Ok(response)
}

#[tokio::main]
async fn main() -> Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).context("expected a port")?;
    // On loopback only, where the proxy is: whoever can reach this port can write identity headers.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            let connection =
                http.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service_fn(respond));
            if let Err(error) = connection.await {
                let _ = writeln!(stderr(), "connection: {error}");
            }
        });
    }
}
