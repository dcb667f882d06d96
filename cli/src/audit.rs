//! `doorward audit`: whether the audit trail is what was written.

use crate::database::{DatabaseArguments, block_on, report};
use doorward_store::database::AnyDatabase;
use doorward_store::tenants::Tenants;
use doorward_store::trail;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(clap::Subcommand)]
pub(crate) enum Audit {
    /// Follow the audit trail of one tenant, or of each. Exits with 0 if each is whole, with 1 if one is not, with 2 if that cannot be
    /// said.
    Verify {
        /// The tenant's id; otherwise every tenant.
        tenant: Option<String>,
        #[command(flatten)]
        database: DatabaseArguments,
    },
}

impl Audit {
    pub(crate) fn run(&self) -> ExitCode {
        let Self::Verify { tenant, database } = self;
        // Opened first: that waits for PostgreSQL by itself.
        let verified = database.db.open().and_then(|opened| block_on(verify(&opened, tenant.as_deref())));
        match verified {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(fault) => report(Err(fault)),
        }
    }
}

/// Whether every trail is whole.
async fn verify(database: &Arc<AnyDatabase>, tenant: Option<&str>) -> Result<bool, String> {
    let ids = match tenant {
        Some(tenant) => vec![tenant.to_owned()],
        None => {
            let tenants =
                Tenants::new(Arc::clone(database)).list().await.map_err(|error| error.to_string())?;
            tenants.into_iter().map(|tenant| tenant.id).collect()
        }
    };
    let mut is_whole = true;
    for id in ids {
        match trail::verify(database.as_ref(), &id).await {
            Ok(count) => println!("{id}: ok ({count} record(s))"),
            Err(trail::TrailError::Chain(fault)) => {
                is_whole = false;
                eprintln!("{id}: {fault}");
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(is_whole)
}
