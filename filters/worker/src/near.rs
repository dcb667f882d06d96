//! The store in the worker: its service over a D1 database, with no server and no credential between.

use crate::d1::D1;
use crate::store::{Answered, Body, Clean};
use crate::web;
use doorward::gateway::{Actor, Call, GatewayPolicy, Tenant};
use doorward::scim::{BulkLimits, Catalog, CursorKey, Unknown};
use doorward_store::database::{Batched, DatabaseError, Observed};
use doorward_store::front::{self, Caller};
use doorward_store::secret::secret;
use doorward_store::service::{Request, Response, Service, Settings};
use doorward_store::tenants::{TenantError, Tenants};
use std::cell::OnceCell;
use std::net::IpAddr;
use std::sync::Arc;
use wasm_bindgen::JsValue;

/// What this gateway is called in the audit trail.
const NAME: &str = "worker";

type Database = Observed<Batched<D1>>;

/// A store of this isolate.
pub(crate) struct Near {
    tenants: Arc<Tenants<Database>>,
    catalog: Arc<Catalog>,
    bulk: BulkLimits,
    /// For tenants whose unknown attributes are refused.
    refusing: OnceCell<Service<Database>>,
    /// For tenants whose unknown attributes are left out.
    dropping: OnceCell<Service<Database>>,
}

impl Near {
    /// Over a D1 database.
    pub(crate) fn new(binding: &JsValue, policy: &GatewayPolicy) -> Self {
        let database = Observed::new(Arc::new(Batched::new(D1::new(binding))), |error| {
            let is_empty = error.to_string().contains("no such table");
            let hint = if is_empty { "; are its migrations applied?" } else { "" };
            log::error!("{error}{hint}");
        });
        Self {
            tenants: Arc::new(Tenants::new(Arc::new(database))),
            catalog: Arc::clone(&policy.catalog),
            bulk: policy.bulk,
            refusing: OnceCell::new(),
            dropping: OnceCell::new(),
        }
    }

    /// Has a clean call answered.
    pub(crate) async fn answer(
        &self,
        policy: &GatewayPolicy,
        call: &Call,
        clean: &Clean,
        client: Option<IpAddr>,
    ) -> Option<Answered> {
        let tenant = policy.tenant(call.tenant()?)?;
        let granted = policy.granted(call, NAME, client)?;
        let response = match self.service_of(tenant, call).await {
            Ok(service) => {
                let context = Caller::Sent(Box::new(granted)).context(
                    || (None, String::new()),
                    call.request_id(),
                    micros_now(),
                );
                let (path, query) = clean.target.split_once('?').unwrap_or((&clean.target, ""));
                let field = |name| clean.field(name).map(str::as_bytes);
                let request = Request {
                    method: clean.method,
                    path,
                    query,
                    content_type: field("content-type"),
                    if_match: field("if-match"),
                    if_none_match: field("if-none-match"),
                    idempotency_key: field("idempotency-key"),
                    body: &clean.body,
                };
                service.handle(&context, &request).await
            }
            Err(response) => *response,
        };
        Some(answered(response, call, clean.method == "HEAD"))
    }

    /// Who answers for a tenant, which is made when it is called first.
    async fn service_of(&self, tenant: &Tenant, call: &Call) -> Result<&Service<Database>, Box<Response>> {
        if call.actor() != Some(&Actor::Anonymous) {
            self.provide(tenant).await.map_err(|error| front::unavailable(&error))?;
        }
        let place = match tenant.unknown {
            Unknown::Refused => &self.refusing,
            Unknown::Dropped => &self.dropping,
        };
        if let Some(service) = place.get() {
            return Ok(service);
        }
        let key = secret(self.tenants.database().as_ref(), "cursor").await;
        let cursors = CursorKey::new(key.map_err(|error| front::unavailable(&error))?);
        let settings = Settings { bulk: self.bulk, unknown: tenant.unknown, ..Settings::default() };
        let (tenants, catalog) = (Arc::clone(&self.tenants), Arc::clone(&self.catalog));
        Ok(place.get_or_init(|| Service::new(tenants, catalog, settings, cursors).without_turns()))
    }

    async fn provide(&self, tenant: &Tenant) -> Result<(), DatabaseError> {
        let now = micros_now();
        if self.tenants.exists(&tenant.name, now).await? {
            return Ok(());
        }
        match self.tenants.create(&tenant.name, &tenant.name, tenant.profile, now).await {
            // Another isolate was faster.
            Ok(_) | Err(TenantError::TenantTaken(_)) => Ok(()),
            Err(TenantError::Database(error)) => Err(error),
            Err(error) => Err(DatabaseError::Failed(error.to_string())),
        }
    }
}

/// The time as the store has it, in µs.
fn micros_now() -> i64 {
    web::now().as_millis().saturating_mul(1_000)
}

fn answered(response: Response, call: &Call, is_head: bool) -> Answered {
    let fields = front::fields(&response, call.request_id());
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let body = response.body.filter(|_| !is_head).map(|mut body| {
        body.extend(response.rest.into_iter().flatten().flatten());
        body
    });
    Answered { status: response.status, fields, body: Body::Bytes(body) }
}
