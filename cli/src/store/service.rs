//! What answers the store's requests.

use doorward::scim::{Catalog, CursorKey};
use doorward_store::database::Database;
use doorward_store::secret::secret;
use doorward_store::service::{Service, Settings};
use doorward_store::tenants::Tenants;
use std::sync::Arc;

/// The service over the database of these tenants.
pub(super) async fn service<D: Database>(
    tenants: Arc<Tenants<D>>,
    catalog: Arc<Catalog>,
    settings: Settings,
) -> Result<Service<D>, String> {
    let key = secret(tenants.database().as_ref(), "cursor").await.map_err(|error| error.to_string())?;
    Ok(Service::new(tenants, catalog, settings, CursorKey::new(key)))
}
