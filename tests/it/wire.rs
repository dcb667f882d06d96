//! The documented table of denials is the code's.

use crate::blessed;
use doorward::authn::rejection::{Blame, Denial};
use std::fmt::Write as _;

const INTRO: &str = "\
# Denials

Every request that is denied gets one of these codes: in the `code` of the problem details (RFC 9457) that the client receives, in \
logs and in metrics. This table is made from the code by `cargo test --test it`, which fails when the two differ; `DOORWARD_BLESS=1` \
rewrites it.

- Challenge error: the `error` of `WWW-Authenticate`, of the scheme `Bearer` (RFC 6750 section 3.1) or `DPoP` (RFC 9449 section 7.1). A dash: the response names no error; only \
`token_missing` then has a challenge at all.
- Blame: who has to act.

| code | status | challenge error | blame | meaning |
|---|---|---|---|---|
";

fn blame(blame: Blame) -> &'static str {
    match blame {
        Blame::Client => "client",
        Blame::Issuer => "issuer",
        Blame::Operator => "operator",
        Blame::Bug => "bug",
    }
}

#[test]
fn denials_are_documented() {
    let mut rendered = INTRO.to_owned();
    for denial in Denial::ALL {
        let error = denial.challenge_error().map_or("–".to_owned(), |error| format!("`{error}`"));
        let (status, who, title) = (denial.status(), blame(denial.blame()), denial.title());
        writeln!(rendered, "| `{denial}` | {status} | {error} | {who} | {title} |").unwrap();
    }
    blessed::check("docs/denials.md", &rendered);
}
