//! What answers the store's requests.

use doorward::scim::{Catalog, CursorKey};
use doorward_store::database::Database;
use doorward_store::secret::secret;
use doorward_store::service::{Service, Settings};
use std::sync::Arc;

/// The service over a database.
pub(super) async fn service<D: Database>(
    database: Arc<D>,
    catalog: Arc<Catalog>,
    settings: Settings,
) -> Result<Service<D>, String> {
    let key = secret(database.as_ref(), "cursor").await.map_err(|error| error.to_string())?;
    Ok(Service::new(database, catalog, settings, CursorKey::new(key)))
}
