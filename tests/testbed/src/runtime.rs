//! One runtime for a test or a demo, and waiting in it.

use anyhow::{Context, Result, ensure};
use std::future::Future;
use std::time::{Duration, Instant};

/// Runs `future` to its end. Two threads, so that a test that blocks does not stop the issuer and the upstream.
///
/// # Errors
/// What `future` answers, or that no runtime could be made.
pub fn run<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("expected to start a tokio runtime")?
        .block_on(future)
}

/// Waits until `condition` holds, at most for `patience`: for what becomes visible a moment later, such as a line in a log.
///
/// # Errors
/// That `what` did not happen in time, or what `condition` answers.
pub async fn eventually(
    what: &str,
    patience: Duration,
    mut condition: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let deadline = Instant::now() + patience;
    while !condition().await? {
        ensure!(Instant::now() < deadline, "expected within {patience:?} that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_the_condition_or_with_patience() {
        run(async {
            let mut asked = 0;
            let third = async || {
                asked += 1;
                Ok(asked == 3)
            };
            eventually("it is asked three times", Duration::from_secs(60), third).await?;
            let never = eventually("pigs fly", Duration::from_millis(20), async || Ok(false)).await;
            assert!(format!("{:#}", never.unwrap_err()).contains("pigs fly"));
            Ok(())
        })
        .unwrap();
    }
}
