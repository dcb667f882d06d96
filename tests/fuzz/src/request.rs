//! A whole request: head to decision, by one policy, with the pure-Rust verifier.
//!
//! The input is a request's fields, one a line: a name, a space, a value. In values these stand for tokens, so that a fuzzer
//! reaches what is behind a signature:
//!
//! | written | is |
//! |---|---|
//! | `<ed>` | the token of that name in `tokens.rs` |
//! | `<ed:7:x>` | the same with byte 7 replaced by `x` |
//! | `<=HEADER\|CLAIMS>` | header and claims, JSON or not, signed with the shared secret |

mod oracle;
mod policy;
mod tokens;

use doorward::authn::decision::{Decision, Forward, LocalReply};
use doorward::authn::rejection::Denial;
use doorward::authn::{Authn, Outcome, Step};
use doorward::http::{HeaderField, HeaderMutation, RequestHead};
use doorward::jose::{JwkSet, crypto};
use doorward::policy::{Enforcement, NormalPath, Requirement, RuleAction};
use doorward::time::UnixTime;
use serde_json::Value;
use std::cell::RefCell;

const NOW: i64 = 1_800_000_000;
/// Headers that are ours in [`policy::document`].
const MANAGED: [&str; 6] = ["x-user-id", "x-groups", "x-roles", "x-mail", "x-partner-id", "x-jwt-payload"];

/// One field: name and value.
type Field = (Vec<u8>, Vec<u8>);

thread_local! {
    static AUTHN: RefCell<Authn> = RefCell::new(policy::load());
}

/// Nothing that needs a token passes without a good one, and no upstream sees an identity that no token gave.
pub fn check(input: &[u8]) {
    let fields = fields(input);
    let view: Vec<HeaderField<'_>> = fields.iter().map(|(name, value)| HeaderField { name, value }).collect();
    let head = RequestHead::new(&view);
    AUTHN.with_borrow_mut(|authn| {
        let decision = decide(authn, head);
        assert_eq!(decide(authn, head), decision, "the same request again");
        match &decision {
            Decision::Reject(reply) => {
                check_reply(reply);
                let blames_the_signature =
                    matches!(reply.denial, Denial::SignatureInvalid | Denial::KeyNotFound);
                assert!(!blames_the_signature || !oracle::is_plainly_signed(&fields), "{reply:?}");
            }
            Decision::Forward(forward) => check_forward(authn, &head, &fields, forward),
        }
    });
}

/// The fields of the input, with tokens where they are named.
fn fields(input: &[u8]) -> Vec<Field> {
    let lines = input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let split = |line: &[u8]| {
        let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        (line[..space].to_vec(), tokens::expand(line.get(space + 1..).unwrap_or_default()))
    };
    lines.map(split).collect()
}

fn decide<'r>(authn: &mut Authn, head: RequestHead<'r>) -> Decision<'r> {
    let now = UnixTime::from_secs(NOW);
    let mut step = authn.begin(now, head);
    // No requirement of the policy takes more than two tokens.
    for _ in 0..=2 * JwkSet::MAX_CANDIDATES {
        step = match step {
            Step::Decide(decision) => return decision,
            step @ (Step::Await(..) | Step::ReadCertificate(_) | Step::RecordProof(..)) => panic!("{step:?}"),
            Step::VerifySignature(job, pending) => {
                assert!(job.key.fits(job.algorithm), "{job:?}");
                let verdict = crypto::verify(&job);
                authn.resume(now, *pending, Outcome::Signature(verdict))
            }
        };
    }
    panic!("too many signatures checked for one request")
}

fn check_reply(reply: &LocalReply) {
    // Neither a bug nor keys that are not there can be reached from outside.
    assert!(!matches!(reply.denial, Denial::InternalError | Denial::KeysUnavailable), "{reply:?}");
    assert!(matches!(reply.status, 400 | 401 | 403), "{reply:?}");
    assert_eq!(reply.status, reply.denial.status());
    let body: Value = serde_json::from_str(&reply.body).expect("problem details");
    assert_eq!((&body["status"], &body["code"]), (&Value::from(reply.status), &reply.denial.code().into()));
    let header = |name: &str| reply.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value);
    assert_eq!(header("content-type").map(AsRef::as_ref), Some("application/problem+json"));
    assert_eq!(header("cache-control").map(AsRef::as_ref), Some("no-store"));
    assert!(
        reply.status != 401 || header("www-authenticate").is_some_and(|value| value.starts_with("Bearer"))
    );
    for (_, value) in &reply.headers {
        assert!(value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{value:?}");
    }
}

fn check_forward(authn: &Authn, head: &RequestHead<'_>, fields: &[Field], forward: &Forward<'_>) {
    let before = upstream(fields, forward.mutations.iter());
    let forged = before.iter().find(|(name, _)| MANAGED.iter().any(|managed| is_alias(name, managed)));
    assert!(
        forged.is_none(),
        "{:?} reaches the upstream",
        forged.map(|(name, _)| name.escape_ascii().to_string())
    );
    for mutation in forward.identity.iter() {
        assert!(MANAGED.iter().any(|managed| managed.as_bytes() == mutation.name()), "{mutation:?}");
    }
    let after = upstream(fields, forward.all());
    check_values(&after);
    let path_of = |path: &[u8]| path.split(|byte| *byte == b'?').next().map(<[u8]>::to_vec);
    let seen = after.iter().rfind(|(name, _)| name == b":path").map(|(_, value)| value.as_slice());
    assert_eq!(path_of(seen.unwrap_or_default()), path_of(head.path), "another path");

    let path = NormalPath::parse(head.path).expect("a path with one reading");
    let (_, rule) = match authn.policy().rules.find(head.method, head.authority, &path) {
        Some(found) => found,
        None => return assert!(is_preflight(fields), "no rule is for it"),
    };
    match &rule.action {
        RuleAction::Require(requirement) if !is_preflight(fields) => match forward.reported {
            Some(_) => {
                assert_eq!(requirement.enforcement, Enforcement::Report);
                assert_unknown(forward);
            }
            None => check_passed(authn, requirement, fields, forward, &after),
        },
        RuleAction::Require(_) | RuleAction::Anonymous => {
            assert_eq!(forward.reported, None);
            assert_unknown(forward);
        }
    }
}

fn assert_unknown(forward: &Forward<'_>) {
    assert!(forward.identity.is_empty() && forward.provider.is_none(), "identity without a token");
}

/// The request met a requirement: each group has a good token in it, and identity headers say what these tokens say.
fn check_passed(
    authn: &Authn,
    requirement: &Requirement,
    fields: &[Field],
    forward: &Forward<'_>,
    after: &[Field],
) {
    let policy = authn.policy();
    let view: Vec<HeaderField<'_>> = after.iter().map(|(name, value)| HeaderField { name, value }).collect();
    let mut good = Vec::new();
    for group in &requirement.all {
        let found = oracle::good_tokens(policy, group, fields);
        assert!(!found.is_empty() || group.allow_missing, "no good token for {group:?}");
        let providers = || group.alternatives.iter().filter_map(|one| policy.provider(one.provider));
        if providers().all(|provider| !provider.forward_token) {
            let left = policy.find_token(&RequestHead::new(&view), group);
            assert!(matches!(left, Ok(None)), "the token is left in the request");
        }
        good.extend(found);
    }
    if forward.provider.is_none() {
        assert!(requirement.all.iter().all(|group| group.allow_missing), "nobody's token passed");
        return assert_unknown(forward);
    }
    let field =
        |name: &[u8]| after.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_slice());
    let payload = field(b"x-jwt-payload").expect("the payload of the token");
    assert!(good.iter().any(|token| token.payload == payload), "the payload is no good token's");
    let user = field(b"x-user-id").expect("a user");
    assert!(good.iter().any(|token| token.user().as_deref() == Some(user)), "the user is no good token's");
}

/// Identity headers can be read in one way only.
fn check_values(after: &[Field]) {
    for (name, value) in
        after.iter().filter(|(name, _)| MANAGED.iter().any(|managed| is_alias(name, managed)))
    {
        let is_visible = value.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        let is_trimmed = !value.starts_with(b" ") && !value.ends_with(b" ");
        let name = name.escape_ascii();
        assert!(is_visible && is_trimmed && !value.is_empty(), "{name}: {}", value.escape_ascii());
    }
}

/// What the upstream sees.
fn upstream<'m>(fields: &[Field], mutations: impl Iterator<Item = &'m HeaderMutation<'m>>) -> Vec<Field> {
    let mut fields = fields.to_vec();
    for mutation in mutations {
        let name = mutation.name().to_vec();
        if !matches!(mutation, HeaderMutation::Append(..)) {
            fields.retain(|(found, _)| !found.eq_ignore_ascii_case(&name));
        }
        match mutation {
            HeaderMutation::Remove(_) => {}
            HeaderMutation::Set(_, value) | HeaderMutation::Append(_, value) => {
                fields.push((name, value.to_vec()));
            }
        }
    }
    fields
}

/// Whether an upstream that turns everything but letters and digits into `_` takes the two for one name.
fn is_alias(name: &[u8], managed: &str) -> bool {
    name.len() == managed.len()
        && name.iter().zip(managed.bytes()).all(|(a, b)| {
            a.eq_ignore_ascii_case(&b) || !(a.is_ascii_alphanumeric() || b.is_ascii_alphanumeric())
        })
}

fn is_preflight(fields: &[Field]) -> bool {
    let has = |name: &str| fields.iter().any(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
    let method = fields.iter().rfind(|(name, _)| name == b":method");
    method.is_some_and(|(_, method)| method == b"OPTIONS")
        && has("origin")
        && has("access-control-request-method")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status, or 200, and what the oracle made of it.
    fn status(text: &str) -> u16 {
        check(text.as_bytes());
        let fields = fields(text.as_bytes());
        let view: Vec<HeaderField<'_>> =
            fields.iter().map(|(name, value)| HeaderField { name, value }).collect();
        AUTHN.with_borrow_mut(|authn| match decide(authn, RequestHead::new(&view)) {
            Decision::Forward(_) => 200,
            Decision::Reject(reply) => reply.status,
        })
    }

    fn get(path: &str, fields: &str) -> u16 {
        status(&format!(":method GET\n:path {path}\n:authority api.example.com\n{fields}"))
    }

    #[test]
    fn the_policy_lets_good_requests_through_and_no_others() {
        for name in ["ed", "es", "nokid", "two", "admin"] {
            assert_eq!(get("/x", &format!("authorization Bearer <{name}>")), 200, "{name}");
            assert_eq!(get("/x", &format!("authorization Bearer <{name}:40:_>")), 401, "{name}");
        }
        for name in ["expired", "audience", "stranger", "partner"] {
            assert_eq!(get("/x", &format!("authorization Bearer <{name}>")), 401, "{name}");
        }
        assert_eq!(get("/x?access_token=<ed>&y", ""), 200);
        assert_eq!(get("/x", "cookie a=b; session=<es>; c"), 200);
        assert_eq!(get("/healthz", ""), 200);
        assert_eq!(get("/shadow", ""), 200);
        assert_eq!(get("/optional", ""), 200);
        assert_eq!(get("/admin", "authorization Bearer <ed>"), 403);
        assert_eq!(get("/admin", "authorization Bearer <admin>"), 200);
        assert_eq!(get("/both", "authorization Bearer <ed>\nx-partner-token <partner>"), 200);
        assert_eq!(get("/both", "authorization Bearer <ed>"), 401);
        let signed = r#"<={"alg":"HS256"}|{"iss":"https://id.example/t1/v2","tid":"t1","aud":"api","sub":"a","exp":1800000300}>"#;
        assert_eq!(get("/x", &format!("authorization Bearer {signed}")), 200);
        assert_eq!(get("/x", &format!("authorization Bearer {}", signed.replace("\"t1\"", "\"t2\""))), 401);
    }
}
