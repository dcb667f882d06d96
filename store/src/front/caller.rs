//! Who asks: who has a token, or whom a gateway speaks for.

use crate::tenants::Access;
use doorward::gateway::Granted;
use doorward::scim::Profile;
use std::sync::Arc;

/// Who asks.
pub enum Caller {
    /// Who has a token, or is not asked for one.
    Known(Arc<Access>),
    /// Whom a gateway speaks for, of a tenant that is there.
    Sent(Box<Granted>),
}

impl Caller {
    /// The tenant's id.
    pub fn tenant(&self) -> &str {
        match self {
            Self::Known(access) => &access.tenant,
            Self::Sent(granted) => &granted.tenant,
        }
    }

    /// How the tenant's identity provider speaks.
    pub fn profile(&self) -> Profile {
        match self {
            Self::Known(access) => access.profile,
            Self::Sent(granted) => granted.profile,
        }
    }

    /// Its name in the audit trail. No token has a name with a colon, so none can pass for what a gateway says, nor the other way
    /// round.
    pub fn actor(&self) -> String {
        match self {
            Self::Known(access) => access.token.clone(),
            Self::Sent(granted) => format!("{}:{}", granted.issuer, granted.actor),
        }
    }
}
