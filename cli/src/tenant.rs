//! `doorward tenant`: whose data a store keeps.

use crate::database::{DatabaseArguments, block_on, time};
use doorward::scim::Profile;
use doorward_store::http::now;
use doorward_store::tenants::Tenants;

#[derive(clap::Subcommand)]
pub(crate) enum Tenant {
    /// Make a tenant, and the database if it is not there.
    Create {
        /// Its id, of a-z, 0-9 and -.
        id: String,
        #[command(flatten)]
        database: DatabaseArguments,
        /// Its name, for people; otherwise its id.
        #[arg(long)]
        name: Option<String>,
        /// How its identity provider speaks: rfc, entra, okta, google, jumpcloud or onelogin.
        #[arg(long, default_value = "rfc", value_parser = profile)]
        profile: Profile,
    },
    /// List every tenant: id, profile, when it was made, name.
    List {
        #[command(flatten)]
        database: DatabaseArguments,
    },
    /// Remove a tenant with everything that is its own: tokens, resources, and the audit trail.
    Remove {
        /// Its id.
        id: String,
        #[command(flatten)]
        database: DatabaseArguments,
    },
}

impl Tenant {
    pub(crate) fn run(&self) -> Result<(), String> {
        match self {
            Self::Create { id, database, name, profile } => {
                let tenants = Tenants::new(database.db.open_or_make()?);
                let made = tenants.create(id, name.as_ref().unwrap_or(id), *profile, now());
                let made = block_on(async { made.await.map_err(|error| error.to_string()) })?;
                println!("{}", made.id);
            }
            Self::List { database } => {
                let tenants = database.tenants()?;
                for tenant in block_on(async { tenants.list().await.map_err(|error| error.to_string()) })? {
                    let (profile, created) = (tenant.profile.as_str(), time(Some(tenant.created)));
                    println!("{}\t{profile}\t{created}\t{}", tenant.id, tenant.name);
                }
            }
            Self::Remove { id, database } => {
                let tenants = database.tenants()?;
                block_on(async { tenants.remove(id).await.map_err(|error| error.to_string()) })?;
            }
        }
        Ok(())
    }
}

fn profile(name: &str) -> Result<Profile, String> {
    Profile::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Profile::ALL.iter().map(|profile| profile.as_str()).collect();
        format!("expected one of {}", names.join(", "))
    })
}
