//! `doorward token`: what identity providers show to a store.

use crate::database::{DatabaseArguments, block_on, time};
use doorward::scim::DateTime;
use doorward_store::http::now;

#[derive(clap::Subcommand)]
pub(crate) enum Token {
    /// Make a token, and print it: it cannot be shown again. Tokens that are there stay valid.
    Create {
        /// The tenant's id.
        tenant: String,
        /// Its name, which is the actor in the audit trail.
        name: String,
        #[command(flatten)]
        database: DatabaseArguments,
        /// When it ends, in RFC 3339, or after how long (90d); otherwise never.
        #[arg(long, value_name = "TIME", value_parser = Expiry::parse)]
        expires: Option<Expiry>,
    },
    /// List the tokens of a tenant: name, when it was made, when it ends, when it was last used.
    List {
        /// The tenant's id.
        tenant: String,
        #[command(flatten)]
        database: DatabaseArguments,
    },
    /// Revoke a token. Running stores refuse it within five seconds.
    Revoke {
        /// The tenant's id.
        tenant: String,
        /// Its name.
        name: String,
        #[command(flatten)]
        database: DatabaseArguments,
    },
}

/// When a token ends, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Since 1970 UTC.
    At(i64),
    /// From now on.
    After(i64),
}

impl Expiry {
    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(time) = DateTime::parse(text) {
            return Ok(Self::At(time.as_unix_micros()));
        }
        let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
        let days = days.ok_or("expected RFC 3339 (2026-01-31T12:00:00Z) or a number of days (90d)")?;
        Ok(Self::After(i64::from(days).saturating_mul(86_400_000_000)))
    }

    fn micros(self, now: i64) -> i64 {
        match self {
            Self::At(time) => time,
            Self::After(duration) => now.saturating_add(duration),
        }
    }
}

impl Token {
    pub(crate) fn run(&self) -> Result<(), String> {
        match self {
            Self::Create { tenant, name, database, expires } => {
                let tenants = database.tenants()?;
                let now = now();
                let issued = tenants.issue(tenant, name, expires.map(|expires| expires.micros(now)), now);
                let token = block_on(async { issued.await.map_err(|error| error.to_string()) })?;
                println!("{}", token.reveal());
            }
            Self::List { tenant, database } => {
                let tenants = database.tenants()?;
                let tokens =
                    block_on(async { tenants.tokens(tenant).await.map_err(|error| error.to_string()) })?;
                for token in tokens {
                    let times = [Some(token.created), token.expires, token.last_used].map(time);
                    println!("{}\t{}", token.name, times.join("\t"));
                }
            }
            Self::Revoke { tenant, name, database } => {
                let tenants = database.tenants()?;
                block_on(async { tenants.revoke(tenant, name).await.map_err(|error| error.to_string()) })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_an_instant_or_a_number_of_days() {
        assert_eq!(Expiry::parse("1970-01-01T00:00:01Z"), Ok(Expiry::At(1_000_000)));
        assert_eq!(Expiry::parse("2d").map(|expiry| expiry.micros(5)), Ok(172_800_000_005));
        for text in ["", "d", "-1d", "2h", "tomorrow"] {
            assert!(Expiry::parse(text).is_err(), "{text}");
        }
    }
}
