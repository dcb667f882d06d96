//! Two acts in a real Envoy: what jwt-authn does to requests, and a provisioning session through scim-gateway into the store.

mod provisioning;
mod tokens;

use crate::{artifacts, setup};
use anyhow::{Context, Result, bail, ensure};
use doorward_testbed::run;
use provisioning::Provisioning;
use tokens::Tokens;
use tokio::signal::unix::{SignalKind, signal};

/// Shows both tables and stops.
///
/// # Errors
/// Also if a row is not as it should be.
pub(crate) fn once() -> Result<()> {
    prepare()?;
    run(async {
        let (tokens, provisioning) = (Tokens::start().await?, Provisioning::start().await?);
        let surprises = tokens.show().await? + provisioning.show().await?;
        ensure!(
            surprises == 0,
            "expected every row as documented, but found {surprises} otherwise\n{}\n{}",
            tokens.envoy.log(),
            provisioning.log()
        );
        Ok(())
    })
}

/// Shows the tables and stays until Ctrl-C, for requests of your own.
pub(crate) fn stay() -> Result<()> {
    prepare()?;
    run(async {
        let (tokens, provisioning) = (Tokens::start().await?, Provisioning::start().await?);
        tokens.show().await?;
        tokens.invite()?;
        provisioning.show().await?;
        provisioning.invite()?;
        println!("Ctrl-C stops everything.");
        let mut terminate = signal(SignalKind::terminate()).context("expected to wait for SIGTERM")?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted.context("expected to wait for Ctrl-C")?,
            _ = terminate.recv() => {}
            () = tokens.envoy.ended() => bail!("expected Envoy to stay, but it ended\n{}", tokens.envoy.log()),
            () = provisioning.ended() => bail!("expected Envoy to stay, but it ended\n{}", provisioning.log()),
        }
        println!("\nstopped");
        Ok(())
    })
}

fn prepare() -> Result<()> {
    artifacts::filters(&setup::tools()?)?;
    artifacts::native()
}
