//! A store that is gone, slow, or killed in the middle: what is answered, and what is there afterwards.

use super::{Bed, TENANTS, call, scim_error, user, with_body};
use crate::support::eventually;
use doorward_testbed::{GatewaySetup, run};

#[test]
fn a_store_that_is_gone_is_503_and_back_without_a_new_envoy() {
    run(async {
        let mut bed = Bed::start(GatewaySetup::new(&TENANTS)).await?;
        bed.store.kill();
        for request in [call("GET", "acme", "/Users"), with_body("POST", "acme", "/Users", &user("bob"))] {
            let gone = bed.send(&request).await?;
            assert_eq!(scim_error(&gone)?.0, 503, "{gone:?}");
            assert_eq!(gone.header("retry-after").as_deref(), Some("1"));
        }
        bed.store.restart().await?;
        eventually("the store is back", async || {
            Ok(bed.send(&with_body("POST", "acme", "/Users", &user("bob"))).await?.status == 201)
        })
        .await
    })
    .unwrap();
}
