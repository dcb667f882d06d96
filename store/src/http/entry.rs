//! What the log and the metrics tell of one request.

use super::log::{Level, Log};
use super::metrics::{Metrics, Operation};
use super::trace::TraceParent;
use crate::front::Seen;
use serde::Serialize;
use std::sync::Arc;
use tokio::time::Instant;

/// The client went away before there was a response; a word of nginx's that became usual.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// A request on its way. It is told of when it is dropped, so that one whose client went away is told of too.
pub(super) struct Entry {
    pub(super) request_id: String,
    pub(super) trace: Option<TraceParent>,
    pub(super) method: &'static str,
    pub(super) route: Arc<str>,
    pub(super) seen: Seen,
    pub(super) status: Option<u16>,
    pub(super) started: Instant,
    pub(super) log: Arc<Log>,
    pub(super) metrics: Arc<Metrics>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
struct Fields<'e> {
    request_id: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_refused: Option<&'static str>,
    method: &'static str,
    route: &'e str,
    status: u16,
    duration_ms: f64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let status = self.status.unwrap_or(CLIENT_CLOSED_REQUEST);
        let duration = self.started.elapsed();
        let level = if status >= 500 { Level::Error } else { Level::Info };
        let fields = Fields {
            request_id: &self.request_id,
            trace_id: self.trace.as_ref().map(|trace| trace.trace_id.as_str()),
            parent_id: self.trace.as_ref().map(|trace| trace.parent_id.as_str()),
            tenant: self.seen.tenant.as_deref(),
            actor: self.seen.actor.as_deref(),
            gateway: self.seen.gateway.as_deref(),
            credential_refused: self.seen.refused,
            method: self.method,
            route: &self.route,
            status,
            duration_ms: duration.as_secs_f64() * 1000.0,
        };
        self.log.line(level, "request", fields);
        if let Some(reason) = self.seen.refused {
            self.metrics.refuse(reason);
        }
        let operation = Operation { method: self.method, route: self.route.clone(), status };
        self.metrics.end(operation, duration);
    }
}
