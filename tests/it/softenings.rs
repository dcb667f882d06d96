//! The documented table of what each SCIM profile softens is the code's.

use crate::blessed;
use doorward::scim::{PatchAnswer, Profile, Softening};
use std::fmt::Write as _;

const INTRO: &str = "\
# SCIM profiles

A tenant has a profile: the identity provider that provisions it. What the provider needs softer than RFC 7643 and RFC 7644 have it is \
named here; everything else is judged by the RFC, and the profile `rfc` softens nothing. These tables are made from the code by `cargo test \
--test it`, which fails when the two differ; `DOORWARD_BLESS=1` rewrites them.

| softening | what it does | profiles |
|---|---|---|
";

const ANSWERS: &str = "
A PATCH that succeeds is answered with the resource or, where the provider expects it, with 204.

| profile | answer to PATCH |
|---|---|
";

#[test]
fn softenings_are_documented() {
    let mut rendered = INTRO.to_owned();
    for softening in Softening::ALL {
        let having = Profile::ALL.into_iter().filter(|profile| profile.softenings().has(softening));
        let names: Vec<String> = having.map(|profile| format!("`{profile}`")).collect();
        writeln!(rendered, "| `{softening}` | {} | {} |", softening.description(), names.join(", ")).unwrap();
    }
    rendered.push_str(ANSWERS);
    for profile in Profile::ALL {
        let answer = match profile.patch_answer() {
            PatchAnswer::Resource => "200 and the resource",
            PatchAnswer::NoContent => "204",
        };
        writeln!(rendered, "| `{profile}` | {answer} |").unwrap();
    }
    blessed::check("docs/scim-profiles.md", &rendered);
}
