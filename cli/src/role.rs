//! `doorward role`: which roles the members of which groups have.

use crate::database::{DatabaseArguments, block_on, time};
use doorward_store::audit::Origin;
use doorward_store::http::now;
use doorward_store::role::GroupKey;

/// Who it was, in the audit trail. No token and no gateway has a name with a blank.
const ACTOR: &str = "command line";

#[derive(clap::Subcommand)]
pub(crate) enum Role {
    /// Grant a role to the members of groups. Where it is granted already, nothing changes.
    Grant(Granted),
    /// Revoke a grant.
    Revoke(Granted),
    /// List the grants of a tenant: role, what the groups are known by, that, since when.
    List {
        /// The tenant's id.
        tenant: String,
        #[command(flatten)]
        database: DatabaseArguments,
    },
}

#[derive(clap::Args)]
pub(crate) struct Granted {
    /// The tenant's id.
    tenant: String,
    /// The role's name.
    role: String,
    #[command(flatten)]
    group: Group,
    #[command(flatten)]
    database: DatabaseArguments,
}

/// Which groups.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Group {
    /// Those of this displayName; case does not count.
    #[arg(long, value_name = "NAME")]
    group_name: Option<String>,
    /// Those of this externalId.
    #[arg(long, value_name = "ID")]
    group_external_id: Option<String>,
    /// The one of this id.
    #[arg(long, value_name = "ID")]
    group_id: Option<String>,
}

impl Group {
    fn key(&self) -> Result<GroupKey, String> {
        let Self { group_name, group_external_id, group_id } = self;
        let key = group_name.clone().map(GroupKey::DisplayName);
        let key = key.or_else(|| group_external_id.clone().map(GroupKey::ExternalId));
        let key = key.or_else(|| group_id.clone().map(GroupKey::Id));
        key.ok_or_else(|| "expected --group-name, --group-external-id or --group-id".to_owned())
    }
}

impl Role {
    pub(crate) fn run(&self) -> Result<(), String> {
        let origin = Origin { actor: ACTOR.to_owned(), ..Origin::default() };
        match self {
            Self::Grant(Granted { tenant, role, group, database }) => {
                let (tenants, group) = (database.tenants()?, group.key()?);
                let granted = tenants.grant_role(tenant, role, &group, origin, now());
                block_on(async { granted.await.map_err(|error| error.to_string()) })?;
            }
            Self::Revoke(Granted { tenant, role, group, database }) => {
                let (tenants, group) = (database.tenants()?, group.key()?);
                let revoked = tenants.revoke_role(tenant, role, &group, origin, now());
                block_on(async { revoked.await.map_err(|error| error.to_string()) })?;
            }
            Self::List { tenant, database } => {
                let tenants = database.tenants()?;
                let grants =
                    block_on(async { tenants.grants(tenant).await.map_err(|error| error.to_string()) })?;
                for grant in grants {
                    let (by, group) = (grant.group.attribute(), grant.group.value());
                    println!("{}\t{by}\t{group}\t{}", grant.role, time(Some(grant.created)));
                }
            }
        }
        Ok(())
    }
}
