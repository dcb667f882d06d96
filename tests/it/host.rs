//! A host that performs every effect at once, but for what goes over the network, in virtual time; and what its requests need.

use crate::keys::{Owner, TestKey, key_set};
use doorward::authn::decision::{Decision, LocalReply};
use doorward::authn::{Authn, Awaited, Outcome, ProofRecord, ProofStanding, Step};
use doorward::config::Config;
use doorward::http::{HeaderField, HeaderMutation, RequestHead};
use doorward::jose::{Algorithm, crypto};
use doorward::oauth::dpop::replay::{self, Insert};
use doorward::oidc::{FetchError, FetchResponse, KeySetUpdate};
use doorward::time::UnixTime;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const CORP: &str = "https://login.example.com/";
pub(crate) const PARTNER: &str = "https://partner.example.net";

/// How a request ended.
#[derive(Debug, PartialEq)]
pub(crate) enum End {
    /// The upstream's view: every field after the mutations.
    Upstream(Vec<(String, String)>),
    Denied(LocalReply),
    Awaits(Awaited),
}

impl End {
    /// `"ok"`, `"waits"`, or the code of the denial.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Upstream(_) => "ok",
            Self::Denied(reply) => reply.denial.code(),
            Self::Awaits(_) => "waits",
        }
    }

    /// The values that the upstream sees under one name.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let Self::Upstream(fields) = self else { panic!("expected the request to pass: {self:?}") };
        fields.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    }

    /// A header of the denial.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let Self::Denied(reply) = self else { panic!("expected a denial: {self:?}") };
        reply.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_ref())
    }

    pub(crate) fn challenge(&self) -> Option<&str> {
        self.header("www-authenticate")
    }
}

/// A request's fields beside method, path and host.
pub(crate) type Fields<'f> = &'f [(&'f str, &'f str)];

pub(crate) struct Host {
    pub(crate) authn: RefCell<Authn>,
    pub(crate) now: UnixTime,
    /// The SHA-256 of the certificate that clients show.
    pub(crate) certificate: Cell<Option<[u8; 32]>>,
    proofs: RefCell<BTreeMap<u16, Vec<u8>>>,
}

impl Host {
    pub(crate) fn new(document: &Value) -> Self {
        let config = Config::load(document.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let mut authn = config.into_authn(1);
        authn.share_secret([7; 32]);
        Self {
            authn: RefCell::new(authn),
            now: UnixTime::from_secs(NOW),
            certificate: Cell::new(None),
            proofs: RefCell::default(),
        }
    }

    pub(crate) fn get(&self, path: &str, fields: Fields<'_>) -> End {
        self.run("GET", path, fields).0
    }

    pub(crate) fn bearer(&self, token: &str) -> End {
        self.get("/", &[("authorization", &format!("Bearer {token}"))])
    }

    /// The end, and how many signatures were checked.
    pub(crate) fn run(&self, method: &str, path: &str, fields: Fields<'_>) -> (End, usize) {
        let mut all = vec![
            (":method", method),
            (":scheme", "https"),
            (":path", path),
            (":authority", "api.example.com"),
        ];
        all.extend(fields);
        let view: Vec<HeaderField<'_>> = all
            .iter()
            .map(|(name, value)| HeaderField { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        let mut checks = 0;
        let mut step = self.authn.borrow_mut().begin(self.now, RequestHead::new(&view));
        loop {
            let (pending, outcome) = match step {
                Step::VerifySignature(job, pending) => {
                    checks += 1;
                    (pending, Outcome::Signature(crypto::verify(&job)))
                }
                Step::ReadCertificate(pending) => (pending, Outcome::Certificate(self.certificate.get())),
                Step::RecordProof(record, pending) => (pending, Outcome::Proof(self.record(record))),
                Step::Await(awaited, _) => return (End::Awaits(awaited), checks),
                Step::Decide(Decision::Reject(reply)) => return (End::Denied(reply), checks),
                Step::Decide(Decision::Forward(forward)) => {
                    let mut upstream: Vec<(String, String)> =
                        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
                    apply_all(&mut upstream, forward.all());
                    return (End::Upstream(upstream), checks);
                }
            };
            step = self.authn.borrow_mut().resume(self.now, *pending, outcome);
        }
    }

    fn record(&self, record: ProofRecord) -> ProofStanding {
        let mut proofs = self.proofs.borrow_mut();
        let bucket = proofs.get(&record.key.bucket).map(Vec::as_slice);
        match replay::insert(bucket, self.now, record.key.id, record.until) {
            Insert::Fresh(bytes) => {
                proofs.insert(record.key.bucket, bytes);
                ProofStanding::Fresh
            }
            Insert::Seen => ProofStanding::Seen,
            Insert::Full => ProofStanding::Full,
        }
    }

    /// Answers the one fetch that is due.
    pub(crate) fn answer(&mut self, body: Result<&[u8], FetchError>) -> KeySetUpdate {
        let mut due = self.authn.borrow_mut().poll_fetches(self.now);
        let (provider, _) = due.pop().expect("no fetch is due");
        assert!(due.is_empty());
        let result = body.map(|body| FetchResponse { status: 200, cache_control: None, body });
        self.authn.borrow_mut().key_set_mut(provider).unwrap().handle(self.now, result).0
    }

    pub(crate) fn later(&mut self, seconds: u64) {
        self.now = self.now.saturating_add(Duration::from_secs(seconds));
    }
}

/// Changes header fields as the host does.
fn apply_all<'m>(
    fields: &mut Vec<(String, String)>,
    mutations: impl Iterator<Item = &'m HeaderMutation<'m>>,
) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    for mutation in mutations {
        let name = text(mutation.name());
        match mutation {
            HeaderMutation::Remove(_) => fields.retain(|(found, _)| *found != name),
            HeaderMutation::Set(_, value) => {
                fields.retain(|(found, _)| *found != name);
                fields.push((name, text(value)));
            }
            HeaderMutation::Append(_, value) => fields.push((name, text(value))),
        }
    }
}

pub(crate) fn key(owner: Owner) -> TestKey {
    TestKey::new(Algorithm::Es256, owner, "k1")
}

pub(crate) fn provider(issuer: &str, keys: &[&TestKey]) -> Value {
    json!({ "issuer": issuer, "audiences": ["api"], "jwks": { "inline": key_set(keys.iter().copied()) } })
}

/// One provider, whose tokens every path needs.
pub(crate) fn corp_only() -> Value {
    json!({
        "providers": { "corp": provider(CORP, &[&key(Owner::First)]) },
        "rules": [{ "match": {}, "require": { "provider": "corp" } }],
        "identity_headers": [{ "header": "x-user-id", "claim": ["sub"] }],
    })
}

/// `document` with the value at a JSON pointer replaced, or added.
pub(crate) fn with(mut document: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[name] = value;
    document
}

/// Claims of a good token of `issuer`, with some replaced; `null` takes one out.
pub(crate) fn claims(issuer: &str, change: &Value) -> Value {
    let mut claims =
        json!({ "iss": issuer, "aud": "api", "sub": "alice", "iat": NOW - 60, "exp": NOW + 300 });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

pub(crate) fn corp_token(change: &Value) -> String {
    key(Owner::First).sign(&claims(CORP, change))
}
