//! What answers the store's requests.

use doorward::scim::{Catalog, CursorKey, ScimError};
use doorward_store::database::Database;
use doorward_store::http::Handle;
use doorward_store::secret::secret;
use doorward_store::service::{Context, Request, Response};
use std::sync::Arc;

/// The service over a database.
pub(super) async fn service<D: Database>(
    database: Arc<D>,
    catalog: Arc<Catalog>,
) -> Result<impl Handle, String> {
    let key = secret(database.as_ref(), "cursor").await.map_err(|error| error.to_string())?;
    Ok(Service { _database: database, _catalog: catalog, _cursors: CursorKey::new(key) })
}

/// Stands where the service will be: it is not built in yet.
struct Service<D> {
    _database: Arc<D>,
    _catalog: Arc<Catalog>,
    _cursors: CursorKey,
}

impl<D: Database> Handle for Service<D> {
    async fn handle(&self, _: &Context, _: &Request<'_>) -> Response {
        ScimError::new(501, "the service is not built in yet").into()
    }
}
