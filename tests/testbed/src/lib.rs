//! Real parts on free loopback ports: Envoy with a filter, an issuer, an upstream that echoes, an HTTP client, PostgreSQL, D1, and
//! the SCIM store with its gateway.
//!
//! Nothing here talks to anything but 127.0.0.1. Every part stops when it is dropped.
//!
//! ```no_run
//! use doorward_testbed::{Envoy, EnvoyConfig, Issuer, Listener, Request, Upstream, WasmPlugin, folder, run, send};
//!
//! run(async {
//!     let upstream = Upstream::start().await?;
//!     let issuer = Issuer::start().await?;
//!     let plugin = WasmPlugin::new(folder::dist().join("jwt-authn.wasm"), &serde_json::json!({}));
//!     let config = EnvoyConfig::new(upstream.addr())
//!         .cluster("issuer", issuer.addr())
//!         .listener(Listener::new("main").wasm(&plugin));
//!     let envoy = Envoy::start(&config).await?;
//!     let response = send(envoy.addr("main")?, &Request::get("/").header("x-user-id", "forged")).await?;
//!     assert_eq!(response.status, 401, "{}", envoy.log());
//!     Ok(())
//! })
//! # .unwrap();
//! ```
#![allow(
    clippy::arithmetic_side_effects,
    reason = "development only: an overflow fails the test that caused it"
)]

mod bootstrap;
mod client;
mod d1;
mod envoy;
pub mod folder;
mod issuer;
mod keys;
mod miniflare;
pub mod port;
mod postgres;
mod process;
pub mod readme;
mod runtime;
mod scim_gateway;
mod scim_store;
mod scim_worker;
mod server;
mod upstream;
mod worker_runtime;
mod workerd;

pub use bootstrap::{EnvoyConfig, Listener, WasmPlugin};
pub use client::{Connection, Request, Response, send, send_raw};
pub use d1::{D1Database, D1Server};
pub use envoy::Envoy;
pub use issuer::{Answer, Issuer, unix_now};
pub use keys::{Algorithm, Keys};
pub use postgres::PostgresServer;
pub use process::Process;
pub use runtime::{eventually, run};
pub use scim_gateway::{GatewaySetup, ScimGateway};
pub use scim_store::{Database, GATEWAY_KEY, ScimStore};
pub use scim_worker::ScimWorker;
pub use upstream::{Seen, Upstream};
pub use worker_runtime::{Platform, Service, WorkerBindings, WorkerRuntime, worker_section};
